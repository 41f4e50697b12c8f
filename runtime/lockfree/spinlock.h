/*
 * spinlock.h - a lock of one word, for sections of a few instructions that never wait.
 *
 * Owns:       the word of each lock; a zeroed one is free, so it needs no init.
 * Threads:    any. Never held across a switch of fibers or a call that sleeps. Rarely, and said
 *             there, one is held over an allocation: growing the slots, the records, a timer heap.
 * Invariant:  word is 1 exactly while somebody is between lock and unlock.
 * Pairs:      K1  lock: cas, acquire     unlock: store, release
 *                 (the next holder sees all that the last one did)
 * Not chosen: ck_spinlock. All of its locks spin for ever; where there are more threads than cores
 *             the holder may not be running at all, and only the scheduler can bring it back.
 */
#ifndef WHORL_LOCKFREE_SPINLOCK_H
#define WHORL_LOCKFREE_SPINLOCK_H

#include "atomic/atomic.h"

struct whorl__spinlock {
    uint32_t word; /* A: 1 held, 0 free */
};

/* The half that waits; out of line and cold. */
WHORL_COLD void whorl__spin_lock_slow(struct whorl__spinlock *lock);

static inline bool whorl__spin_trylock(struct whorl__spinlock *lock)
{
    return whorl__cas_u32(&lock->word, 0, 1); /* acquire, pairs K1 with spin_unlock */
}

static inline void whorl__spin_lock(struct whorl__spinlock *lock)
{
    if (WHORL_UNLIKELY(!whorl__spin_trylock(lock))) {
        whorl__spin_lock_slow(lock);
    }
}

static inline void whorl__spin_unlock(struct whorl__spinlock *lock)
{
    WHORL_ASSERT(whorl__load_relaxed_u32(&lock->word) == 1); /* relaxed: we wrote it */
    whorl__store_release_u32(&lock->word, 0);                /* release, pairs K1 with the cas */
}

#endif
