/*
 * spinlock.c - waiting for a spin lock: briefly with the core, then without it.
 *
 * Owns:       nothing; the state is in spinlock.h.
 * Threads:    any.
 * Invariant:  a waiter writes to the lock's line only after it has seen the lock free, so waiters
 *             do not slow the holder down.
 * Pairs:      K1 of spinlock.h.
 * Not chosen: a futex after the yields. The sections are shorter than a futex call; a waiter that
 *             yields has let the holder run.
 */
#include "lockfree/spinlock.h"

#include "sys/os.h"

enum { SPINS_BEFORE_YIELD = 64 }; /* about 2 us: a section that takes longer has lost its core */

static void wait_a_little(unsigned tries)
{
    if (tries < SPINS_BEFORE_YIELD) {
        whorl__pause();
    } else {
        whorl__os->yield();
    }
}

void whorl__spin_lock_slow(struct whorl__spinlock *lock)
{
    unsigned tries = 0;
    do {
        /* relaxed: only a hint that trying is worth it; the cas decides */
        while (whorl__load_relaxed_u32(&lock->word) != 0) {
            wait_a_little(tries);
            tries++;
        }
    } while (!whorl__spin_trylock(lock));
}
