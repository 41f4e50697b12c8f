/*
 * inline.h - a task that has not begun is awaited, and begins where that is done.
 */
#ifndef WHORL_TASK_INLINE_H
#define WHORL_TASK_INLINE_H

#include "sched/sched.h"

/* By the options of a runtime, and the environment. */
bool whorl__inline_wanted(uint64_t flags);

/*
 * A new task that has no strand is left open, state.h: it is free to go anywhere, and its maker,
 * which runs on a loop, keeps a handle by which it can be awaited. `here` NULL: a foreign thread.
 */
static inline bool whorl__inline_is_open(const struct whorl__loop *here,
                                         const struct whorl_attr *attr,
                                         struct whorl_task *const *ret_task)
{
    return here != NULL && here->runtime->inlines && ret_task != NULL &&
           (attr == NULL || (attr->pin == 0 && (attr->flags & WHORL_EAGER) == 0));
}

/* The running task is about to wait for the end of `future`, and for nothing else. If that is a
 * task that is still open, it runs now until its first wait. */
void whorl__inline_begin(struct whorl_task *awaiter, struct whorl_future *future);

#endif
