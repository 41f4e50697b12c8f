/*
 * atomic.h - every atomic operation of whorl, with its memory order in its name.
 *
 * Owns:       the choice of a back end. Outside this folder no file names a memory order or calls
 *             a compiler's atomics; a shared field is a plain uint32_t, uint64_t or void * that is
 *             touched only through these functions.
 * Threads:    any.
 * Orders:     relaxed  the access is not torn, and nothing else
 *             acquire  what the partner did before its release is seen after this load
 *             release  what was done before this store is seen by the partner's acquire
 *             cas, swap, add, or, and are acquire and release at once; a failed cas is an acquire
 *             load. Only the full fence orders a store before a later load.
 * Pairs:      none of its own; each caller names its partner beside the call.
 * Not chosen: sequentially consistent accesses. The few places that need the store-load order say
 *             so with a fence that a reader, and a test that removes it, can find.
 *
 * The back end is one of
 *
 *   atomic_ck.h    ck_pr, the default
 *   atomic_c11.h   the compiler's __atomic built-ins: under WHORL_ATOMIC_C11, and always under
 *                  ThreadSanitizer, which sees nothing of what inline assembly does
 *   atomic_model.h the model checker's (tests/model): every operation is a point where a simulated
 *                  machine may switch threads, hold a store back in a buffer, or answer a relaxed
 *                  load with an older value
 *   atomic_count.h either of the first two, with a count of what is locked (tests/counting)
 *   another one    named by WHORL_ATOMIC_BACKEND, a quoted header, as the last two are
 *
 * A back end defines these, for T and X in (uint32_t, u32), (uint64_t, u64), (void *, ptr):
 *
 *   T    whorl__load_relaxed_X(const T *field)        whorl__load_acquire_X(const T *field)
 *   void whorl__store_relaxed_X(T *field, T value)    whorl__store_release_X(T *field, T value)
 *   bool whorl__cas_value_X(T *field, T *expected, T desired)
 *            *expected becomes what was found when it returns false, and is unchanged otherwise;
 *            it never fails without a reason
 *   T    whorl__swap_X(T *field, T value)             returns the old value, as add does
 *   T    whorl__add_X(T *field, T amount)             not for ptr; to subtract, add -amount
 *   void whorl__add_relaxed_X(T *field, T amount)     not for ptr; for statistics
 *   void whorl__fence_full(void)                      orders all with all: also store before load
 *   void whorl__fence_after_rmw(void)                 the same, where a read-modify-write came
 *            after the store: free on x86-64, on which that was a full fence itself
 *   void whorl__fence_acquire(void)                   earlier loads before all that follows
 *   void whorl__fence_release(void)                   all that precedes before later stores
 *   void whorl__fence_load_store(void)                earlier loads before later stores
 *   void whorl__pause(void)                           tells the core that it is in a spin loop
 *
 * A plain field that changes hands between threads is marked where it is read or written for the
 * new owner: whorl__plain_read(&field), whorl__plain_write(&field). They do nothing, but for the
 * model checker, which fails when two marked accesses race. whorl__plain_copy(&field) marks a load
 * that counts only if the thread's next cas succeeds: whoever stores there later must have read
 * what that cas released.
 */
#ifndef WHORL_ATOMIC_ATOMIC_H
#define WHORL_ATOMIC_ATOMIC_H

#include "base/assert.h"
#include "base/compiler.h"

#include <ck_md.h>
#include <stdbool.h>
#include <stdint.h>

/* Debian's libck-dev for amd64 puts its configuration where a cross compiler finds it, too. With it
 * ck leaves out the fences that only a processor with total store order can do without. */
#if defined(CK_MD_TSO) && !defined(__x86_64__)
#    error "these ck headers are configured for x86-64: use the ones for this processor"
#endif

#if defined(WHORL_ATOMIC_BACKEND)
#    include WHORL_ATOMIC_BACKEND
#elif defined(WHORL_ATOMIC_C11) || defined(WHORL_TSAN)
#    include "atomic/atomic_c11.h"
#else
#    include "atomic/atomic_ck.h"
#endif

#if !defined(WHORL__MODEL)

/* ---- marks; for the model checker only ---- */

static inline void whorl__plain_read(const volatile void *field)
{
    (void)field;
}

static inline void whorl__plain_write(volatile void *field)
{
    (void)field;
}

static inline void whorl__plain_copy(const volatile void *field)
{
    (void)field;
}

/* ---- built on the back end; the model's defines them itself, each call with its own site ---- */

static inline bool whorl__cas_u32(uint32_t *field, uint32_t expected, uint32_t desired)
{
    return whorl__cas_value_u32(field, &expected, desired);
}

static inline bool whorl__cas_u64(uint64_t *field, uint64_t expected, uint64_t desired)
{
    return whorl__cas_value_u64(field, &expected, desired);
}

static inline bool whorl__cas_ptr(void **field, void *expected, void *desired)
{
    return whorl__cas_value_ptr(field, &expected, desired);
}

/* The four below return the old value. The first load is relaxed: the cas checks what it read. */

static inline uint32_t whorl__or_u32(uint32_t *field, uint32_t bits)
{
    uint32_t old = whorl__load_relaxed_u32(field);
    while (!whorl__cas_value_u32(field, &old, old | bits)) {
    }
    return old;
}

static inline uint64_t whorl__or_u64(uint64_t *field, uint64_t bits)
{
    uint64_t old = whorl__load_relaxed_u64(field);
    while (!whorl__cas_value_u64(field, &old, old | bits)) {
    }
    return old;
}

static inline uint32_t whorl__and_u32(uint32_t *field, uint32_t bits)
{
    uint32_t old = whorl__load_relaxed_u32(field);
    while (!whorl__cas_value_u32(field, &old, old & bits)) {
    }
    return old;
}

static inline uint64_t whorl__and_u64(uint64_t *field, uint64_t bits)
{
    uint64_t old = whorl__load_relaxed_u64(field);
    while (!whorl__cas_value_u64(field, &old, old & bits)) {
    }
    return old;
}

#endif /* !WHORL__MODEL */

#endif
