/*
 * task.c - a task's name, and what it waits for in words.
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

const char *whorl__park_sync_name(uint64_t waits_on)
{
    switch (whorl__park_sync_kind(waits_on)) {
    case WHORL__SYNC_LOCK:
        return "lock";
    case WHORL__SYNC_SEMAPHORE:
        return "semaphore";
    case WHORL__SYNC_EVENT:
        return "event";
    case WHORL__SYNC_CONDITION:
        return "condition";
    case WHORL__SYNC_QUEUE_GET:
        return "queue-get";
    case WHORL__SYNC_QUEUE_PUT:
        return "queue-put";
    case WHORL__SYNC_QUEUE_JOIN:
        return "queue-join";
    case WHORL__SYNC_READ:
        return "rwlock-read";
    case WHORL__SYNC_WRITE:
        return "rwlock-write";
    case WHORL__SYNC_ONCE:
        return "once";
    case WHORL__SYNC_SELECT:
        return "select";
    case WHORL__SYNC_BARRIER:
        return "barrier";
    }
    return "?";
}
