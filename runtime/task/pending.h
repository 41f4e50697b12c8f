/*
 * pending.h - what is pending of a task, under its lock: for cancel.c and scope.c.
 *
 * Which requests there are, and how they are counted, is drawn in cancel.c; what a section holds
 * back, in scope.c.
 *
 * Threads:    any; all but lock itself with the task's lock.
 */
#ifndef WHORL_TASK_PENDING_H
#define WHORL_TASK_PENDING_H

#include "task/cancel.h"

#include "base/bug.h"

/* The mark stands for all that the lock protects. */
static inline void whorl__cancel_lock(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    whorl__plain_write(&task->requests);
}

static inline void whorl__cancel_unlock(struct whorl_task *task)
{
    whorl__spin_unlock(&task->lock);
}

/* The innermost section that is open; NULL: none. */
static inline struct whorl__scope *whorl__cancel_find_shield_locked(const struct whorl_task *task)
{
    struct whorl__scope *scope = task->scopes;
    while (scope != NULL && !scope->shield) {
        scope = scope->outer;
    }
    return scope;
}

/* Something is, and not held back. */
static inline bool whorl__cancel_any_pending_locked(const struct whorl_task *task)
{
    const struct whorl__scope *scope = task->scopes;
    while (scope != NULL && !scope->shield && scope->state != WHORL__SCOPE_PENDING) {
        scope = scope->outer;
    }
    return scope != NULL ? !scope->shield : task->users_pending > 0;
}

static inline void whorl__cancel_settle_scopes_locked(struct whorl__scope *scope,
                                                      const struct whorl__scope *end,
                                                      enum whorl__scope_state state)
{
    for (; scope != end; scope = scope->outer) {
        if (scope->state == WHORL__SCOPE_PENDING) {
            scope->state = state;
        }
    }
}

/* Nobody asks any more. What has ended a wait stays: the task is on its way out of it. */
static inline void whorl__cancel_withdraw_locked(struct whorl_task *task)
{
    if (task->arrived || WHORL__BUG(UNCANCEL_WITHDRAWS_NOTHING)) {
        return;
    }
    task->withdrawals++;
    task->users_pending = 0;
    whorl__cancel_settle_scopes_locked(task->scopes, NULL, WHORL__SCOPE_WITHDRAWN);
    whorl__state_cancel_clear(&task->word);
}

/* Its message is kept apart: what is told inside the section has one of its own, or none. */
static inline void whorl__cancel_note_held_locked(struct whorl_task *task, const char *message)
{
    struct whorl__scope *const shield = whorl__cancel_find_shield_locked(task);
    whorl_container_of(shield, struct whorl__section, scope)->message = message;
}

#endif
