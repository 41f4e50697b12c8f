/*
 * atomic_count.h - the default back end of atomic.h, with a count of what a processor locks.
 *
 * Owns:       nothing; whoever chooses it defines whorl__count_locked.
 * Threads:    each has its own count.
 * Invariant:  compare-and-swap (also one that fails), swap, addition and the full fence count one
 *             each; loads, stores and the other fences are plain instructions on x86-64, and free.
 * Not chosen: counting instructions in the object code: most of them are on paths that are rarely
 *             taken, and what is wanted is the number that one call executes.
 */
#ifndef WHORL_ATOMIC_ATOMIC_COUNT_H
#define WHORL_ATOMIC_ATOMIC_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* Adds one to the calling thread's count. */
void whorl__count_locked(void);

/* The names get out of the way: a macro that pastes them together is expanded once more. */
#define whorl__fence_full      whorl__bare_fence_full
#define whorl__swap_u32        whorl__bare_swap_u32
#define whorl__swap_u64        whorl__bare_swap_u64
#define whorl__swap_ptr        whorl__bare_swap_ptr
#define whorl__cas_value_u32   whorl__bare_cas_value_u32
#define whorl__cas_value_u64   whorl__bare_cas_value_u64
#define whorl__cas_value_ptr   whorl__bare_cas_value_ptr
#define whorl__add_u32         whorl__bare_add_u32
#define whorl__add_u64         whorl__bare_add_u64
#define whorl__add_relaxed_u32 whorl__bare_add_relaxed_u32
#define whorl__add_relaxed_u64 whorl__bare_add_relaxed_u64

#if defined(WHORL_ATOMIC_C11)
#    include "atomic/atomic_c11.h"
#else
#    include "atomic/atomic_ck.h"
#endif

#undef whorl__fence_full
#undef whorl__swap_u32
#undef whorl__swap_u64
#undef whorl__swap_ptr
#undef whorl__cas_value_u32
#undef whorl__cas_value_u64
#undef whorl__cas_value_ptr
#undef whorl__add_u32
#undef whorl__add_u64
#undef whorl__add_relaxed_u32
#undef whorl__add_relaxed_u64

static inline void whorl__fence_full(void)
{
    whorl__count_locked();
    whorl__bare_fence_full();
}

#define WHORL__DEFINE_COUNTED(T, X)                                                                \
    static inline T whorl__swap_##X(T *field, T value)                                             \
    {                                                                                              \
        whorl__count_locked();                                                                     \
        return whorl__bare_swap_##X(field, value);                                                 \
    }                                                                                              \
    static inline bool whorl__cas_value_##X(T *field, T *expected, T desired)                      \
    {                                                                                              \
        whorl__count_locked();                                                                     \
        return whorl__bare_cas_value_##X(field, expected, desired);                                \
    }

WHORL__DEFINE_COUNTED(uint32_t, u32)
WHORL__DEFINE_COUNTED(uint64_t, u64)
WHORL__DEFINE_COUNTED(void *, ptr)
#undef WHORL__DEFINE_COUNTED

#define WHORL__DEFINE_COUNTED(T, X)                                                                \
    static inline T whorl__add_##X(T *field, T amount)                                             \
    {                                                                                              \
        whorl__count_locked();                                                                     \
        return whorl__bare_add_##X(field, amount);                                                 \
    }                                                                                              \
    static inline void whorl__add_relaxed_##X(T *field, T amount)                                  \
    {                                                                                              \
        whorl__count_locked();                                                                     \
        whorl__bare_add_relaxed_##X(field, amount);                                                \
    }

WHORL__DEFINE_COUNTED(uint32_t, u32)
WHORL__DEFINE_COUNTED(uint64_t, u64)
#undef WHORL__DEFINE_COUNTED

#endif
