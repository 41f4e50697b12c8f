/*
 * api.h - what marks a public function, and the version.
 */
#ifndef WHORL_API_H
#define WHORL_API_H

#define WHORL_VERSION_MAJOR 0
#define WHORL_VERSION_MINOR 1
#define WHORL_VERSION_PATCH 0

#if defined(__GNUC__)
#    define WHORL_API     __attribute__((visibility("default")))
#    define WHORL_WARN_UNUSED __attribute__((warn_unused_result))
#else
#    define WHORL_API
#    define WHORL_WARN_UNUSED
#endif

#ifdef __cplusplus
#    define WHORL_BEGIN extern "C" {
#    define WHORL_END   }
#else
#    define WHORL_BEGIN
#    define WHORL_END
#endif

#endif
