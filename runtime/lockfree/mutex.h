/*
 * mutex.h - a lock of one word, for sections that may take long: who waits for it sleeps.
 *
 *            word        who is there
 *   FREE     0           nobody
 *   HELD     1           a holder; unlock wakes nobody
 *   WANTED   2           a holder, and perhaps threads that sleep; unlock wakes one of them
 *
 *   FREE --lock--> HELD --another waits--> WANTED --unlock--> FREE
 *
 * Who has waited takes the lock as WANTED, for he cannot know whether he was the last to wait:
 *
 *   broken: he takes it as HELD               ours
 *   A holds; B and C sleep: WANTED            the same
 *   A: word := FREE, wakes B                  the same
 *   B: word := HELD                           B: word := WANTED
 *   B: word := FREE, wakes nobody             B: word := FREE, wakes C
 *   C sleeps for ever
 *
 * Owns:       the word of each lock; a zeroed one is free, so it needs no init.
 * Threads:    any. The thread blocks, with all that waits for its loop; never held across a switch
 *             of fibers.
 * Invariant:  a thread sleeps only while the word is WANTED, or somebody is on the way to wake one.
 * Pairs:      K2  unlock: swap (release half) - lock: cas, or swap (acquire half): the next holder
 *                 sees all that the last one did.
 * Not chosen: a mutex of the C library: a simulation plays all loops on one thread, which it would
 *             block; the system calls of this one go through whorl__os.
 */
#ifndef WHORL_LOCKFREE_MUTEX_H
#define WHORL_LOCKFREE_MUTEX_H

#include "atomic/atomic.h"

struct whorl__mutex {
    uint32_t word; /* A: futex */
};

void whorl__mutex_lock(struct whorl__mutex *mutex);
void whorl__mutex_unlock(struct whorl__mutex *mutex);

#endif
