/*
 * task.c - a task's name.
 */
#include "state/task.h"

#include <stdio.h>

void whorl__task_copy_name(struct whorl_task *task, char *ret_name, size_t name_bytes)
{
    whorl__spin_lock(&task->lock);
    if (task->named) {
        snprintf(ret_name, name_bytes, "%s", task->name);
    } else {
        /* relaxed: a number */
        const unsigned long long serial = whorl__load_relaxed_u64(&task->serial);
        snprintf(ret_name, name_bytes, "Task-%llu", serial);
    }
    whorl__spin_unlock(&task->lock);
}
