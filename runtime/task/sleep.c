/*
 * sleep.c - leaving the stack, and the waits that need nothing but that: yield and sleep.
 *
 * Threads:    the task itself.
 */
#include "task/cancel.h"
#include "task/debugging.h"
#include "task/park.h"

#include "sched/strand.h"
#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>
#include <stdio.h>

static WHORL_COLD _Noreturn void refuse_to_leave(struct whorl_task *task)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    whorl__task_copy_name(task, name, sizeof name);
    fprintf(stderr, "whorl: task \"%s\" waits inside the exception handler\n", name);
    whorl__check_failed("!bars.reporting", __FILE__, __LINE__,
                        "a handler must not wait: others wait for it; let it wake a task");
}

/* The C++ exceptions it is handling are the task's, not the thread's: sys/cxx.h. So are the locks
 * that it holds. */
WHORL_COLD void whorl__leave_with_more(struct whorl_task *task, struct whorl__fiber *next)
{
    struct whorl__loop *const here = task->loop;
    const struct whorl__bars bars = here->bars;
    struct whorl__cxx held = {0};
    if (bars.reporting) {
        refuse_to_leave(task);
    }
    const bool holds = bars.locks + bars.noted > 0;
    const bool tells_now = holds && here->current == task; /* not in take_over's place */
    if (tells_now) {
        whorl__debug_tell_of_locks(task);
    }
    whorl__loop_set_bars(here, (struct whorl__bars){.locks = 0});
    if (here->cxx_own != NULL) {
        held = *here->cxx_own;
        *here->cxx_own = (struct whorl__cxx){0};
    }
    whorl__fiber_switch(task->fiber, next);
    if (task->loop->cxx_own != NULL) {
        *task->loop->cxx_own = held;
    }
    whorl__loop_set_bars(task->loop, bars);
    if (holds && !tells_now) {
        whorl__debug_tell_of_locks(task);
    }
}

void whorl__park(struct whorl_task *task, uint64_t waits_on)
{
    whorl__park_here(task, waits_on);
}

void whorl__give_way(struct whorl_task *task)
{
    struct whorl__loop *const loop = task->loop;
    const bool takes_over = loop->strict && whorl__strand_shared(task) == NULL;
    struct whorl_task *const next = takes_over ? whorl__loop_take_over(loop, task) : NULL;
    if (next == NULL) {
        whorl__leave(task, WHORL__ACTION_YIELD);
        return;
    }
    whorl__leave_for(task, next->fiber);
}

WHORL_COLD int whorl__spent(struct whorl__loop *loop, int cost)
{
    struct whorl_task *const task = loop->current;
    if (task != NULL && cost == WHORL__COST_SYNC && whorl__strand_shared(task) != NULL) {
        loop->allowance = 0;
        return 0;
    }
    loop->allowance = WHORL__ALLOWANCE;
    if (task == NULL || loop->bars.reporting) {
        return 0;
    }
    whorl__give_way(task);
    return whorl__cancel_take(task) ? -ECANCELED : 0;
}

void whorl__move(struct whorl_task *task, struct whorl__strand *left)
{
    task->loop->left_strand = left;
    whorl__leave(task, WHORL__ACTION_MOVE);
}

void whorl__wake_by_timer(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    (void)serial;
    whorl__sched_wake(runtime, handle);
}

int whorl__park_timer(struct whorl_task *task, struct whorl__timer *timer, whorl__handle handle,
                      int64_t deadline_ns)
{
    timer->handle = handle;
    timer->serial = 0;
    timer->fire = whorl__wake_by_timer;
    whorl__store_relaxed_u64(&task->wake_ns, (uint64_t)deadline_ns); /* relaxed: as in park */
    return whorl__timer_arm(&task->loop->timers, timer, deadline_ns);
}

int64_t whorl_now(void)
{
    return whorl__os->now_ns();
}

int64_t whorl_after(int64_t duration_ns)
{
    const int64_t now_ns = whorl_now();
    if (duration_ns <= 0) {
        return now_ns;
    }
    return duration_ns > WHORL_NEVER - now_ns ? WHORL_NEVER : now_ns + duration_ns;
}

int whorl_yield(void)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__error_outside();
    }
    whorl__give_way(task);
    return whorl__cancel_take(task) ? -ECANCELED : 0;
}

/* Until the timer fires or a cancel comes: 0, -ECANCELED, -ENOMEM; -EAGAIN when neither did, since
 * a cancel woke the task and was withdrawn. */
static int sleep_once(struct whorl_task *task, int64_t deadline_ns)
{
    struct whorl__timer timer;
    const whorl__handle handle = whorl__park_begin(task);
    bool fired = false;
    if (deadline_ns != WHORL_NEVER) {
        const int error = whorl__park_timer(task, &timer, handle, deadline_ns);
        if (error != 0) {
            return error;
        }
    }
    whorl__park(task, WHORL__PARK_SLEEP | (deadline_ns != WHORL_NEVER ? WHORL__PARK_TIMED : 0));
    if (deadline_ns != WHORL_NEVER) {
        fired = whorl__timer_disarm(&timer);
    }
    return whorl__cancel_take(task) ? -ECANCELED : fired ? 0 : -EAGAIN;
}

int whorl_sleep_until(int64_t deadline_ns)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__error_outside();
    }
    if (deadline_ns <= whorl_now()) {
        return whorl_yield();
    }
    int error;
    do {
        error = sleep_once(task, deadline_ns);
    } while (error == -EAGAIN);
    return error;
}

int whorl_sleep(int64_t duration_ns)
{
    if (WHORL__BUG(SLEEP_ZERO_DOES_NOTHING) && duration_ns <= 0) {
        return 0;
    }
    return duration_ns <= 0 ? whorl_yield() : whorl_sleep_until(whorl_after(duration_ns));
}
