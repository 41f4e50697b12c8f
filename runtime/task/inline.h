/*
 * inline.h - a task that has not begun is awaited, and begins where that is done.
 */
#ifndef WHORL_TASK_INLINE_H
#define WHORL_TASK_INLINE_H

#include "task/future.h"

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

/* A hint: it is a task that is open. */
static inline bool whorl__inline_is_for(const struct whorl_future *future)
{
    /* relaxed: the claim's cas decides */
    return future != NULL && future->kind == WHORL__FUTURE_TASK &&
           (whorl__load_relaxed_u64(&((const struct whorl_task *)future)->word) & WHORL__OPEN) != 0;
}

/*
 * Somebody is about to wait for the end of that task, and for nothing else. If it is still open and
 * the caller a task in whose place it may run, it does now until its first wait, and the caller is
 * returned; else NULL. Afterwards: whether the wait is over, and nobody looked in; if not, the
 * caller waits as ever.
 */
struct whorl_task *whorl__inline_run(struct whorl_task *child);

static inline bool whorl__inline_is_over(struct whorl_task *awaiter,
                                         const struct whorl_future *future)
{
    whorl__fence_after_rmw(); /* I2: `awaited` was cleared, then the child was DONE by a cas */
    /* relaxed: stored with the tag by this thread only; acquire: who had visited is done, A1 */
    return whorl__future_is_done(future) && whorl__load_relaxed_ptr(&awaiter->awaited) == NULL &&
           (whorl__load_acquire_u64(&awaiter->word) & (WHORL__CANCEL | WHORL__VISIT)) == 0;
}

/* The body has returned: if the task runs where it is awaited, its awaiter awaits nothing more. */
static inline void whorl__inline_end(struct whorl_task *task)
{
    const struct whorl__nested *const nested = task->loop->nested;
    if (nested == NULL || nested->child != task) {
        return;
    }
    struct whorl_task *const awaiter = nested->creator;
    /* relaxed: this thread's own store, or under the lock, when the awaiter takes it off */
    if (whorl__load_relaxed_ptr(&awaiter->awaited) == whorl__awaited_here(task)) {
        whorl__store_relaxed_ptr(&awaiter->awaited, NULL); /* I2; the cas to DONE comes next */
    }
}

#endif
