/*
 * assert.h - four ways to say what must be true.
 *
 *   WHORL_CHECK   always on: misuse by the caller, impossible answers of the kernel
 *   WHORL_ASSERT  debug builds and CI: our own invariants, O(1)
 *   WHORL_AUDIT   whole-structure walks, in builds with WHORL_AUDIT_ON
 *   WHORL_STATIC  known while compiling
 *
 * A failure prints the expression and the place, then aborts.
 */
#ifndef WHORL_BASE_ASSERT_H
#define WHORL_BASE_ASSERT_H

#include "base/compiler.h"

WHORL_COLD _Noreturn void whorl__check_failed(const char *expression, const char *file, int line,
                                              const char *explanation);

/* NULL, or called before the process ends: to say what else may help. */
extern void (*whorl__check_hook)(void);

#define WHORL_CHECK(expression, explanation)                                                       \
    (WHORL_LIKELY(expression)                                                                      \
         ? (void)0                                                                                 \
         : whorl__check_failed(#expression, __FILE__, __LINE__, explanation))

#ifdef NDEBUG
#    define WHORL_ASSERT(expression) ((void)sizeof(expression))
#else
#    define WHORL_ASSERT(expression) WHORL_CHECK(expression, "whorl broke an invariant of its own")
#endif

#ifdef WHORL_AUDIT_ON
#    define WHORL_AUDIT(walk) ((void)(walk))
#else
#    define WHORL_AUDIT(walk) ((void)0)
#endif

#define WHORL_STATIC(expression, text) _Static_assert(expression, text)

#endif
