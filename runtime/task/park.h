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

#include "sched/sched.h"

/* The running task; NULL outside one. */
static inline struct whorl_task *whorl__task_current(void)
{
    struct whorl__loop *const loop = whorl__loop_current();
    return loop == NULL ? NULL : loop->current;
}

static inline whorl__handle whorl__park_begin(struct whorl_task *task)
{
    return whorl__handle_make(task, whorl__state_park_begin(&task->word));
}

/* Returns when woken; the task may be on another loop then. waits_on: for dumps, state/task.h. */
void whorl__park(struct whorl_task *task, uint64_t waits_on);

/* Behind everything that is ready. */
void whorl__give_way(struct whorl_task *task);

/* What a timer does that only ends a wait. */
void whorl__wake_by_timer(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial);

/* Arms a timer that ends the wait of `handle`, on the task's loop; not for WHORL_NEVER. */
WHORL_MUST_USE int whorl__park_timer(struct whorl_task *task, struct whorl__timer *timer,
                                     whorl__handle handle, int64_t deadline_ns);

#endif
