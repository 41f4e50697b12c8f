/*
 * unseen.c - a failure that nobody has looked at: who is told.
 *
 *   a task, on a loop of its runtime      the runtime's exception handler
 *   a task, on another thread             the same, until its runtime begins to end; from then on
 *                                         log and handler are not to be called from there
 *   a future, which has no runtime        that of the loop which lets go of it
 *   on no loop, and none to be told       standard error
 *
 * Owns:       nothing.
 * Threads:    whoever has let go of the last reference: alone with it.
 * Pairs:      E2  of end.c: a guest stays in the runtime as long as it is told; B1 when it leaves.
 */
#include "sched/unseen.h"

#include "sched/report.h"

/* Once only; and whoever is told finds it as it was, with a reference. */
static void hold(struct whorl_future *future)
{
    whorl__plain_write(&future->error); /* what others did before they let go is over */
    /* relaxed, both: the caller is alone */
    const uint32_t word = whorl__load_relaxed_u32(&future->word);
    whorl__store_relaxed_u32(&future->references, 1);
    whorl__store_relaxed_u32(&future->word, word | WHORL__FUTURE_LOOKED); /* relaxed: as above */
}

/* False: it may be gone. */
static bool tell_as_guest(struct whorl__runtime *runtime, const struct whorl_report *report)
{
    const bool runs = whorl__guest_enter(runtime); /* pairs E2, B1 */
    if (runs) {
        whorl__report(runtime, report);
    }
    whorl__guest_leave(runtime);
    return runs;
}

static void tell_anyone(struct whorl__loop *here, struct whorl_report *report,
                        struct whorl_task *task)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    if (here != NULL) {
        whorl__report(here->runtime, report);
        return;
    }
    if (task != NULL) {
        whorl__task_copy_name(task, name, sizeof name);
        report->task_name = name;
    }
    (void)whorl_exception_handler_default(report);
}

void whorl__unseen_tell_task(struct whorl_task *task)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl_report report = {
        .message = "a task has failed, and nobody has looked at its error",
        .error = task->future.error,
        .loop = -1,
        .task = task,
    };
    hold(&task->future);
    if (here != NULL && here->runtime == task->runtime) {
        whorl__report(here->runtime, &report);
    } else if (!tell_as_guest(task->runtime, &report)) {
        tell_anyone(here, &report, task);
    }
}

void whorl__unseen_tell_future(struct whorl_future *future)
{
    struct whorl_report report = {
        .message = "a future has failed, and nobody has looked at its error",
        .error = future->error,
        .loop = -1,
        .future = future,
    };
    hold(future);
    tell_anyone(whorl__loop_current(), &report, NULL);
}
