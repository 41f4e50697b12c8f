/*
 * mutex.c - the steps of the lock whose states stand in mutex.h.
 *
 * Owns:       nothing.
 * Threads:    any.
 * Pairs:      K2 of mutex.h.
 */
#include "lockfree/mutex.h"

#include "sys/os.h"
#include "whorl/time.h"

enum { FREE, HELD, WANTED };

void whorl__mutex_lock(struct whorl__mutex *mutex)
{
    if (WHORL_LIKELY(whorl__cas_u32(&mutex->word, FREE, HELD))) { /* acquire half, pairs K2 */
        return;
    }
    while (whorl__swap_u32(&mutex->word, WANTED) != FREE) { /* acquire half, pairs K2 */
        (void)whorl__os->futex_wait(&mutex->word, WANTED, WHORL_NEVER);
    }
}

void whorl__mutex_unlock(struct whorl__mutex *mutex)
{
    const uint32_t before = whorl__swap_u32(&mutex->word, FREE); /* release half, pairs K2 */
    WHORL_ASSERT(before != FREE);
    if (before == WANTED) {
        (void)whorl__os->futex_wake(&mutex->word, 1);
    }
}
