/*
 * compiler.h - what the compiler offers, under our names; and the legend of the field codes.
 *
 * Every field of a struct that more than one thread may see carries a code for who may touch it:
 *
 *   C       constant after the struct was initialised
 *   L       only the thread of the loop that owns the struct
 *   A       atomic, by anyone, through atomic/atomic.h
 *   M(x)    under lock x
 *   R       whoever moved the task to RUNNING
 */
#ifndef WHORL_BASE_COMPILER_H
#define WHORL_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define WHORL_CACHE_LINE 64

#define WHORL_NOINLINE     __attribute__((noinline))
/* Also without optimisation: what wraps a change of stack must not be a frame of its own. */
#define WHORL_ALWAYS_INLINE static inline __attribute__((always_inline))
#define WHORL_COLD         __attribute__((noinline, cold))
#define WHORL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WHORL_MUST_USE     __attribute__((warn_unused_result))
#define WHORL_ALIGNED(n)   __attribute__((aligned(n)))
#define WHORL_LIKELY(x)    __builtin_expect(!!(x), 1)
#define WHORL_UNLIKELY(x)  __builtin_expect(!!(x), 0)

/* A function whose body no caller may look into: gcc spells it noipa, clang has no single word. */
#if defined(__clang__)
#    define WHORL_OPAQUE __attribute__((noinline, optnone))
#else
#    define WHORL_OPAQUE __attribute__((noinline, noipa))
#endif

#define whorl_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#if defined(__SANITIZE_ADDRESS__)
#    define WHORL_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define WHORL_ASAN 1
#    endif
#endif

#if defined(__SANITIZE_THREAD__)
#    define WHORL_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define WHORL_TSAN 1
#    endif
#endif

#endif
