/*
 * atomic_ck.h - the default back end of atomic.h: ck_pr of ConcurrencyKit.
 *
 * Owns:       nothing.
 * Threads:    any.
 * Invariant:  ck_pr's own accesses carry no order, its fences do; each function below is an access
 *             between the fences that its name promises. On x86-64 all of them but the full fence
 *             are compiler barriers, so a load or a store is one plain move.
 * Not chosen: ck_pr_fence_store_load. It emits mfence, which also waits for write-combining
 *             stores that whorl never makes; a locked add to a line that is ours anyway orders the
 *             same ordinary accesses in a quarter of the time (docs/decisions/003-run-queue.md).
 */
#ifndef WHORL_ATOMIC_ATOMIC_CK_H
#define WHORL_ATOMIC_ATOMIC_CK_H

#include <ck_pr.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(WHORL_ATOMIC_CK_PR_SHIM)
#    error "atomic/shim/ck_pr.h stands on atomic.h: choose WHORL_ATOMIC_C11 or another back end"
#endif

/* ---- fences ---- */

static inline void whorl__fence_acquire(void)
{
    ck_pr_fence_acquire();
}

static inline void whorl__fence_release(void)
{
    ck_pr_fence_release();
}

static inline void whorl__fence_load_store(void)
{
    ck_pr_fence_load_store();
}

static inline void whorl__fence_full(void)
{
#if defined(__x86_64__)
    /* In the red zone, not at (rsp): there it would delay the return through that word. */
    __asm__ __volatile__("lock; addl $0, -4(%%rsp)" : : : "memory", "cc");
#else
    ck_pr_fence_memory();
#endif
}

static inline void whorl__fence_after_rmw(void)
{
#if defined(__x86_64__)
    ck_pr_barrier();
#else
    ck_pr_fence_memory();
#endif
}

static inline void whorl__pause(void)
{
#if defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory"); /* ck_pr_stall is only a compiler barrier there */
#else
    ck_pr_stall();
#endif
}

/* ---- loads and stores; exchange and compare-and-swap ---- */

#define WHORL__DEFINE_ACCESS(T, X, S)                                                              \
    static inline T whorl__load_relaxed_##X(T const *field)                                        \
    {                                                                                              \
        return ck_pr_load_##S(field);                                                              \
    }                                                                                              \
    static inline T whorl__load_acquire_##X(T const *field)                                        \
    {                                                                                              \
        T const value = ck_pr_load_##S(field);                                                     \
        ck_pr_fence_acquire();                                                                     \
        return value;                                                                              \
    }                                                                                              \
    static inline void whorl__store_relaxed_##X(T *field, T value)                                 \
    {                                                                                              \
        ck_pr_store_##S(field, value);                                                             \
    }                                                                                              \
    static inline void whorl__store_release_##X(T *field, T value)                                 \
    {                                                                                              \
        ck_pr_fence_release();                                                                     \
        ck_pr_store_##S(field, value);                                                             \
    }                                                                                              \
    static inline T whorl__swap_##X(T *field, T value)                                             \
    {                                                                                              \
        ck_pr_fence_release();                                                                     \
        T const old = ck_pr_fas_##S(field, value);                                                 \
        ck_pr_fence_acquire();                                                                     \
        return old;                                                                                \
    }                                                                                              \
    static inline bool whorl__cas_value_##X(T *field, T *expected, T desired)                      \
    {                                                                                              \
        ck_pr_fence_release();                                                                     \
        const bool swapped = ck_pr_cas_##S##_value(field, *expected, desired, expected);           \
        ck_pr_fence_acquire();                                                                     \
        return swapped;                                                                            \
    }

WHORL__DEFINE_ACCESS(uint32_t, u32, 32)
WHORL__DEFINE_ACCESS(uint64_t, u64, 64)
WHORL__DEFINE_ACCESS(void *, ptr, ptr)
#undef WHORL__DEFINE_ACCESS

/* ---- addition ---- */

#define WHORL__DEFINE_ADD(T, X, S)                                                                 \
    static inline T whorl__add_##X(T *field, T amount)                                             \
    {                                                                                              \
        ck_pr_fence_release();                                                                     \
        T const old = ck_pr_faa_##S(field, amount);                                                \
        ck_pr_fence_acquire();                                                                     \
        return old;                                                                                \
    }                                                                                              \
    static inline void whorl__add_relaxed_##X(T *field, T amount)                                  \
    {                                                                                              \
        ck_pr_add_##S(field, amount);                                                              \
    }

WHORL__DEFINE_ADD(uint32_t, u32, 32)
WHORL__DEFINE_ADD(uint64_t, u64, 64)
#undef WHORL__DEFINE_ADD

#endif
