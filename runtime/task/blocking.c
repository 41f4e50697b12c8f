/*
 * blocking.c - a task says that it is about to block its loop: sched/rescue.c does the rest.
 *
 * Owns:       nothing.
 * Threads:    the task's own; on a plain thread there is nothing to do.
 */
#include "whorl/blocking.h"

#include "task/park.h"

#include <errno.h>

/* The loop that the caller's task holds; NULL: there is none, and the caller returns *ret_error. */
static struct whorl__loop *held_loop(int *ret_error)
{
    struct whorl__loop *const loop = whorl__loop_current();
    *ret_error = loop == NULL ? 0 : -EPERM;
    return loop != NULL && whorl__task_current() != NULL ? loop : NULL;
}

int whorl_blocking_begin(const char *name)
{
    int error;
    struct whorl__loop *const loop = held_loop(&error);
    if (loop == NULL) {
        return error;
    }
    whorl__rescue_enter_section(loop, name != NULL ? name : "?");
    return 0;
}

int whorl_blocking_end(void)
{
    int error;
    struct whorl__loop *const loop = held_loop(&error);
    if (loop == NULL) {
        return error;
    }
    return whorl__rescue_leave_section(loop) ? 0 : -EINVAL;
}
