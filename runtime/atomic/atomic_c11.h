/*
 * atomic_c11.h - the second back end of atomic.h: the compiler's __atomic built-ins.
 *
 * Owns:       nothing.
 * Threads:    any.
 * Invariant:  each name maps to the one built-in of the same order, so what ThreadSanitizer checks
 *             here is what atomic.h promises, not what one processor happens to give.
 * Not chosen: <stdatomic.h>. Its _Atomic types would spread to every struct and keep ck's
 *             structures from sharing a field with ours.
 */
#ifndef WHORL_ATOMIC_ATOMIC_C11_H
#define WHORL_ATOMIC_ATOMIC_C11_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- fences; gcc warns that ThreadSanitizer does not model them: orders that it must see are
 * therefore put on the accesses, wherever an access can carry them ---- */

#if defined(WHORL_TSAN) && !defined(__clang__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wtsan"
#endif

static inline void whorl__fence_acquire(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void whorl__fence_release(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* An acquire fence already keeps later stores behind earlier loads. */
static inline void whorl__fence_load_store(void)
{
    __atomic_thread_fence(__ATOMIC_ACQ_REL);
}

static inline void whorl__fence_full(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The language knows nothing that would do with less. */
static inline void whorl__fence_after_rmw(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#if defined(WHORL_TSAN) && !defined(__clang__)
#    pragma GCC diagnostic pop
#endif

static inline void whorl__pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#else
    __asm__ __volatile__("" ::: "memory");
#endif
}

/* ---- loads and stores; exchange and compare-and-swap ---- */

#define WHORL__DEFINE_ACCESS(T, X)                                                                 \
    static inline T whorl__load_relaxed_##X(T const *field)                                        \
    {                                                                                              \
        return __atomic_load_n(field, __ATOMIC_RELAXED);                                           \
    }                                                                                              \
    static inline T whorl__load_acquire_##X(T const *field)                                        \
    {                                                                                              \
        return __atomic_load_n(field, __ATOMIC_ACQUIRE);                                           \
    }                                                                                              \
    static inline void whorl__store_relaxed_##X(T *field, T value)                                 \
    {                                                                                              \
        __atomic_store_n(field, value, __ATOMIC_RELAXED);                                          \
    }                                                                                              \
    static inline void whorl__store_release_##X(T *field, T value)                                 \
    {                                                                                              \
        __atomic_store_n(field, value, __ATOMIC_RELEASE);                                          \
    }                                                                                              \
    static inline T whorl__swap_##X(T *field, T value)                                             \
    {                                                                                              \
        return __atomic_exchange_n(field, value, __ATOMIC_ACQ_REL);                                \
    }                                                                                              \
    static inline bool whorl__cas_value_##X(T *field, T *expected, T desired)                      \
    {                                                                                              \
        return __atomic_compare_exchange_n(field, expected, desired, false, __ATOMIC_ACQ_REL,      \
                                           __ATOMIC_ACQUIRE);                                      \
    }

WHORL__DEFINE_ACCESS(uint32_t, u32)
WHORL__DEFINE_ACCESS(uint64_t, u64)
WHORL__DEFINE_ACCESS(void *, ptr)
#undef WHORL__DEFINE_ACCESS

/* ---- addition ---- */

#define WHORL__DEFINE_ADD(T, X)                                                                    \
    static inline T whorl__add_##X(T *field, T amount)                                             \
    {                                                                                              \
        return __atomic_fetch_add(field, amount, __ATOMIC_ACQ_REL);                                \
    }                                                                                              \
    static inline void whorl__add_relaxed_##X(T *field, T amount)                                  \
    {                                                                                              \
        (void)__atomic_fetch_add(field, amount, __ATOMIC_RELAXED);                                 \
    }

WHORL__DEFINE_ADD(uint32_t, u32)
WHORL__DEFINE_ADD(uint64_t, u64)
#undef WHORL__DEFINE_ADD

#endif
