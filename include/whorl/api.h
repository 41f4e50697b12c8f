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

/* What stands between the two is C in a C++ program, too. Some functions are called like the struct
 * that they fill, as stat(2) is; g++ -Wshadow would take that for a hidden constructor. */
#if defined(__cplusplus) && defined(__GNUC__) && !defined(__clang__)
#    define WHORL_BEGIN                                                                            \
        _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wshadow\"") extern "C" {
#    define WHORL_END }                                                                            \
        _Pragma("GCC diagnostic pop")
#elif defined(__cplusplus)
#    define WHORL_BEGIN extern "C" {
#    define WHORL_END   }
#else
#    define WHORL_BEGIN
#    define WHORL_END
#endif

#endif
