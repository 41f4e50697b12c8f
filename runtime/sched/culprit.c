/*
 * culprit.c - names the task that holds its loop, once.
 *
 * Owns:       task->stall_reported.
 * Threads:    the monitor's.
 */
#include "sched/culprit.h"

#include "sched/sched.h"

#include <stdio.h>

void whorl__culprit_prepare(void) {}

void whorl__culprit_report(struct whorl__loop *loop, uint64_t runs, int64_t held_ns)
{
    struct whorl_task *const task = whorl__load_relaxed_ptr(&loop->current); /* relaxed: a sample */
    if (task == NULL || whorl__load_relaxed_u64(&loop->stats.runs) != runs) { /* relaxed: a sample */
        return;
    }
    if (task->stall_reported) {
        return;
    }
    task->stall_reported = 1;
    char name[WHORL_TASK_NAME_MAX + 1];
    whorl__task_copy_name(task, name, sizeof name);
    whorl__log(loop->runtime, "whorl: task \"%s\" has held loop %u for %lld ms", name, loop->index,
               (long long)(held_ns / WHORL_MILLISECOND));
}
