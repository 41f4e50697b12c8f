/*
 * timer.h - what is due when, on one loop.
 *
 * Owns:       struct whorl__timers, one a loop.
 * Threads:    armed by the loop's own thread; disarmed from any; fired by the loop, or by the loop
 *             that rescues it while it is stuck. All under the lock timers, which is short (a heap
 *             that grows allocates under it), and never taken together with another lock.
 * Invariant:  a timer that is in a heap is in that of timer->timers. Once disarm() returned, the
 *             timer's memory is not touched again: firing takes copies under the lock and works on
 *             those. So a timer may lie on the stack of the task that waits for it.
 *
 *   ARMED --due--> FIRED                       fast order: it fires where it is found to be due
 *   ARMED --due--> DUE --its turn--> FIRED     strict order: one item of the loop's list stands for
 *     +---------------+--disarm--> out         all that were found due together, and fires them
 * Pairs:      T1  next_ns: stored under the lock, read without it by the loop's own thread (which
 *                 stored it, or stores a later one) and by a rescuer (a hint, looked at again).
 */
#ifndef WHORL_LOOP_TIMER_H
#define WHORL_LOOP_TIMER_H

#include "base/heap.h"
#include "lockfree/spinlock.h"
#include "state/task.h"

struct whorl__timers {
    struct whorl__spinlock lock; /* timers */
    struct whorl__heap heap;     /* M(timers) */
    struct whorl__list due;      /* M(timers): strict order: out of the heap, not fired yet */
    uint64_t next_ns;            /* A: the first deadline, WHORL_NEVER if none; T1 */
};

enum whorl__timer_state { WHORL__TIMER_ARMED, WHORL__TIMER_DUE, WHORL__TIMER_FIRED };

struct whorl__timer {
    union { /* M(timers) */
        struct whorl__heap_node node; /* while armed */
        struct whorl__list due;       /* while due */
    };
    struct whorl__timers *timers; /* M(timers); C while armed */
    enum whorl__timer_state state; /* M(timers) */
    whorl__handle handle;         /* C while armed: whose wait, or whose scope */
    uint64_t serial;              /* C while armed: the scope's number */
    /* C while armed: gets copies, runs without the lock. */
    void (*fire)(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial);
};

void whorl__timers_init(struct whorl__timers *timers);
void whorl__timers_fini(struct whorl__timers *timers);

/* handle, serial and fire are set by the caller. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__timer_arm(struct whorl__timers *timers, struct whorl__timer *timer,
                                    int64_t deadline_ns);

/* True: it had fired, or is being fired now. From any thread, once for each arm. */
bool whorl__timer_disarm(struct whorl__timer *timer);

/* Fires what is due at now_ns; returns how many. */
unsigned whorl__timers_fire(struct whorl__timers *timers, struct whorl__runtime *runtime,
                            int64_t now_ns);

/* Strict order, the loop's own thread: takes what is due at now_ns out of the heap; returns how
 * many. fire_due then fires all that were taken and not disarmed since, in the order in which they
 * were due; returns how many. */
unsigned whorl__timers_collect(struct whorl__timers *timers, int64_t now_ns);
unsigned whorl__timers_fire_due(struct whorl__timers *timers, struct whorl__runtime *runtime);

/* The first deadline; WHORL_NEVER if none. */
static inline int64_t whorl__timers_next(const struct whorl__timers *timers)
{
    return (int64_t)whorl__load_relaxed_u64(&timers->next_ns); /* relaxed: see T1 */
}

#endif
