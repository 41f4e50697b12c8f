/*
 * park.h - how a task waits: begin, tell others the handle, park.
 *
 *      whorl__handle handle = whorl__park_begin(task);
 *      ... put the handle where it will be found: a timer, a record, a future's waiters ...
 *      whorl__park(task, WHORL__PARK_SLEEP);
 *      ... take it away again, look what happened ...
 *
 * Whoever finds the handle calls whorl__sched_wake, from then on, at any time, as often as he
 * likes; only the first call within this wait has an effect. A pending cancel ends the park as
 * well.
 *
 * Threads:    the task itself.
 */
#ifndef WHORL_TASK_PARK_H
#define WHORL_TASK_PARK_H

#include "task/cancel.h"

#include "sched/sched.h"

struct whorl__strand;

/* The running task; NULL outside one. */
static inline struct whorl_task *whorl__task_current(void)
{
    struct whorl__loop *const loop = whorl__loop_current();
    return loop == NULL ? NULL : loop->current;
}

static inline whorl__handle whorl__park_begin(struct whorl_task *task)
{
    return whorl__handle_make(task, whorl__state_park_begin(&task->word, &task->wait_begun));
}

/* Leaves the stack with what the thread has and the task owns beside errno. */
void whorl__leave_with_more(struct whorl_task *task, struct whorl__fiber *next);

/* errno is the task's, not the thread's: it goes along. task->loop is another one afterwards. */
WHORL_ALWAYS_INLINE void whorl__leave_for(struct whorl_task *task, struct whorl__fiber *next)
{
    struct whorl__loop *const loop = task->loop;
    const int saved_errno = *loop->errno_at;
    whorl__plain_write((struct whorl__fiber *)task->fiber); /* and the frame: it is left now; S2 */
    if (WHORL_UNLIKELY(whorl__cxx_holds(loop->cxx))) {
        whorl__leave_with_more(task, next);
    } else {
        whorl__fiber_switch(task->fiber, next);
    }
    *task->loop->errno_at = saved_errno;
}

WHORL_ALWAYS_INLINE void whorl__leave(struct whorl_task *task, enum whorl__action action)
{
    struct whorl__loop *const loop = task->loop;
    loop->action = action;
    whorl__leave_for(task, &loop->host);
}

/* Returns when woken; the task may be on another loop then. waits_on: for dumps, state/task.h. */
void whorl__park(struct whorl_task *task, uint64_t waits_on);

/*
 * The same in the caller's frame. The processor foretells a return by the calls before it, and
 * after a switch those were another stack's: each frame between a task and its switch costs a wrong
 * guess.
 */
WHORL_ALWAYS_INLINE void whorl__park_here(struct whorl_task *task, uint64_t waits_on)
{
    /* relaxed: published by the park's commit, for whoever dumps */
    whorl__store_relaxed_u64(&task->waits_on, waits_on);
    whorl__store_relaxed_u64(&task->parked_ns, task->loop->turn_ns); /* relaxed: as above */
    if (WHORL_UNLIKELY(whorl__state_cancel_pending(&task->word))) {
        whorl__cancel_arrive(task);
    }
    whorl__leave(task, WHORL__ACTION_PARK);
}

/* Behind everything that is ready. */
void whorl__give_way(struct whorl_task *task);

/*
 * A call that may have to wait begins, and has looked at nothing yet: it costs that much. Once what
 * the run may spend is gone the task gives way, which is a wait like others: 0, or -ECANCELED. So a
 * task for which there always is something neither keeps others from running nor is deaf to a
 * cancel. In a callback and in the exception handler, where nothing may wait, nothing gives way.
 * Nor does a task of a strand in a call of runtime/sync: what it does between two waits is not to
 * be interrupted by a call that asyncio would go on from. It does so in the next on a descriptor.
 */
WHORL_MUST_USE int whorl__spent(struct whorl__loop *loop, int cost);

WHORL_MUST_USE static inline int whorl__spend(struct whorl__loop *loop, int cost)
{
    loop->allowance -= cost;
    return WHORL_LIKELY(loop->allowance >= 0) ? 0 : whorl__spent(loop, cost);
}

/* The same by whoever calls: a task, a callback, or a plain thread, which spends nothing. */
WHORL_MUST_USE static inline int whorl__spend_sync(void)
{
    struct whorl__loop *const loop = whorl__loop_current();
    return loop != NULL ? whorl__spend(loop, loop->sync_cost) : 0;
}

/* Into the strand that it has been given, whose turn it does not have yet; the turn of `left`, if
 * that is one, is given up. */
void whorl__move(struct whorl_task *task, struct whorl__strand *left);

/* What a timer does that only ends a wait. */
void whorl__wake_by_timer(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial);

/* Arms a timer that ends the wait of `handle`, on the task's loop; not for WHORL_NEVER. */
WHORL_MUST_USE int whorl__park_timer(struct whorl_task *task, struct whorl__timer *timer,
                                     whorl__handle handle, int64_t deadline_ns);

#endif
