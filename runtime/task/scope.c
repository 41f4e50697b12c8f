/*
 * scope.c - the blocks that a task has open, timeouts, groups and shielded sections: how they are
 * entered and left, and what becomes of their requests then. The requests themselves: cancel.c.
 *
 * A shielded section is a scope, too. What is pending of the users and of the scopes outside the
 * innermost section is held back: it is counted, and not told. So the bit stands for the scopes
 * inside that section only, and is set anew when the section is left.
 *
 *   innermost first:  timeout -> group -> SECTION -> timeout -> (users)
 *                     told by the bit     held back
 *
 *   late timer, without tags            ours
 *   timer: fires, finds the task        timer: fires, takes the task's lock, looks for its scope
 *   task:  leaves the block               - there: its request is noted in the scope; leaving takes
 *   timer: sets the request                 it back under the same lock
 *   task:  is cancelled outside           - gone: nothing happens
 *
 * Threads:    the task itself.
 */
#include "task/cancel.h"

#include "task/park.h"
#include "task/pending.h"

#include "base/bug.h"

#include <stdio.h>

/* ---- what is asked, and by whom ---- */

/* Requests of users and of `scope` and those around it that the task has not met yet. */
static int count_pending_locked(const struct whorl_task *task, const struct whorl__scope *scope)
{
    int count = task->users_pending;
    for (; scope != NULL; scope = scope->outer) {
        count += scope->state == WHORL__SCOPE_PENDING;
    }
    return count;
}

static int count_held_locked(const struct whorl_task *task)
{
    const struct whorl__scope *const shield = whorl__cancel_find_shield_locked(task);
    return shield != NULL ? count_pending_locked(task, shield) : 0;
}

/* ---- whose block it is ---- */

/* Without the lock: the list of the running task is written by itself alone. */
bool whorl__cancel_scope_is_own_slow(const struct whorl_task *task,
                                     const struct whorl__scope *scope)
{
    const struct whorl__scope *open = task->scopes;
    while (open != NULL && open != scope) {
        open = open->outer;
    }
    return open != NULL;
}

enum { WHAT_BYTES = WHORL_TASK_NAME_MAX + 64 };

/* What is wrong with leaving it; `self` is who tries, NULL outside of a task. May lie in `room`. */
static const char *what_is_wrong(const struct whorl__scope *scope, const struct whorl_task *self,
                                 char room[WHAT_BYTES])
{
    char owner[WHORL_TASK_NAME_MAX + 1];
    if (scope->task == NULL) {
        return "a block that was never entered";
    }
    if (!whorl__scope_is_open(scope)) {
        return scope->task == self ? "a block that it has left before"
                                   : "a block that was left before";
    }
    if (scope->task == self) {
        return "a block in which another one is still open";
    }
    whorl__task_copy_name(scope->task, owner, sizeof owner);
    snprintf(room, WHAT_BYTES, "a block that task \"%s\" has entered", owner);
    return room;
}

static WHORL_COLD _Noreturn void refuse_leave(const struct whorl__scope *scope,
                                              struct whorl_task *self, const char *call)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    char room[WHAT_BYTES];
    char text[WHORL_TASK_NAME_MAX + WHAT_BYTES + 64];
    const char *const what = what_is_wrong(scope, self, room);
    if (self != NULL) {
        whorl__task_copy_name(self, name, sizeof name);
        snprintf(text, sizeof text, "%s by task \"%s\": %s", call, name, what);
    } else {
        snprintf(text, sizeof text, "%s outside of a task: %s", call, what);
    }
    whorl__check_failed("it is the caller's innermost block", __FILE__, __LINE__, text);
}

/* Without the lock: the list of the running task is written by itself alone. */
void whorl__cancel_scope_check(const struct whorl__scope *scope, const char *call)
{
    struct whorl_task *const self = whorl__task_current();
    if (WHORL_UNLIKELY(self == NULL || scope->task != self || self->scopes != scope)) {
        refuse_leave(scope, self, call);
    }
}

/* ---- entering and leaving ---- */

/* Deadlines outside that are over and not told yet. */
static int count_late_locked(const struct whorl_task *task)
{
    int count = 0;
    for (const struct whorl__scope *scope = task->scopes; scope != NULL && !scope->shield;
         scope = scope->outer) {
        count += scope->timed && scope->state == WHORL__SCOPE_PENDING;
    }
    return count;
}

/*
 * Which requests are of before the block. A group's: those that the task has met; it gives the
 * others back (rows TG-10, TG-29). A timeout's, in strict order: all that there are, as in asyncio,
 * where one that is not met yet may come out as the timeout (TMO-9); but not those of deadlines
 * outside, which their own blocks tell (TMO-13). In fast order it is a matter of luck whether a
 * request comes just before the block or just after: it is as of a group, and none is lost (MT-13).
 */
static int baseline_locked(const struct whorl_task *task, const struct whorl__scope *scope)
{
    const int later = scope->timed && task->loop->strict
                          ? count_held_locked(task) + count_late_locked(task)
                          : count_pending_locked(task, task->scopes);
    const bool none = task->requests <= later || WHORL__BUG(TIMEOUT_COUNTS_FROM_ZERO);
    return none ? 0 : task->requests - later;
}

void whorl__cancel_scope_enter(struct whorl_task *task, struct whorl__scope *scope)
{
    whorl__cancel_lock(task);
    whorl__plain_write(&scope->outer);
    scope->baseline = baseline_locked(task, scope);
    scope->outer = task->scopes;
    task->scopes = scope;
    whorl__cancel_unlock(task);
}

/* Before the lock is taken: that has the store seen as long as the block's memory is there. */
static void set_left(struct whorl__scope *scope)
{
    whorl__store_relaxed_u32(&scope->left, 1); /* relaxed: orders nothing, see scope_is_open */
}

/*
 * A deadline that came when the block was on its way out with -ECANCELED already, say by that of an
 * inner block, needs no delivery of its own: the inner block has left it to this one to tell.
 */
bool whorl__cancel_scope_leave(struct whorl_task *task, struct whorl__scope *scope, bool cancelled)
{
    set_left(scope);
    whorl__cancel_lock(task);
    WHORL_ASSERT(task->scopes == scope); /* scope_check */
    task->scopes = scope->outer;
    const bool pending = scope->state == WHORL__SCOPE_PENDING;
    if (pending && cancelled) {
        scope->state = WHORL__SCOPE_DELIVERED;
    }
    const bool expired = whorl__scope_expired(scope);
    if (scope->state != WHORL__SCOPE_QUIET && task->requests > 0 &&
        !WHORL__BUG(TIMEOUT_KEEPS_ITS_REQUEST)) {
        task->requests--;
    }
    if (task->requests == 0) {
        whorl__cancel_withdraw_locked(task);
    } else if (pending && !whorl__cancel_any_pending_locked(task)) {
        whorl__state_cancel_clear(&task->word);
    }
    scope->others = task->requests - count_held_locked(task) > scope->baseline;
    whorl__cancel_unlock(task);
    return expired && (!scope->others || WHORL__BUG(TIMEOUT_HIDES_A_CANCEL));
}

/* What the scopes inside the innermost section have delivered is pending once more. True: any. */
static bool repeat_scopes_locked(struct whorl_task *task, const struct whorl__scope *shield)
{
    bool any = false;
    for (struct whorl__scope *scope = task->scopes; scope != shield; scope = scope->outer) {
        if (scope->state == WHORL__SCOPE_DELIVERED) {
            scope->state = WHORL__SCOPE_PENDING;
            any = true;
        }
    }
    return any;
}

/* In a section it can only have come from a scope inside. */
void whorl__cancel_again(struct whorl_task *task)
{
    bool taken;
    whorl__cancel_lock(task);
    const struct whorl__scope *const shield = whorl__cancel_find_shield_locked(task);
    if (shield == NULL && task->users_pending == 0) {
        task->users_pending = 1;
    }
    if (shield == NULL || repeat_scopes_locked(task, shield)) {
        task->request_message = NULL;
        (void)whorl__state_cancel(&task->word, &taken); /* it runs: there is nothing to take */
    }
    whorl__cancel_unlock(task);
}

/* ---- shielded sections ---- */

void whorl__cancel_section_enter(struct whorl_task *task, struct whorl__section *section)
{
    *section = (struct whorl__section){.scope.task = task,
                                       .scope.deadline_ns = WHORL_NEVER,
                                       .scope.serial = UINT64_MAX, /* no request's */
                                       .scope.shield = true};
    whorl__cancel_lock(task);
    whorl__plain_write(&section->scope.outer);
    section->message = task->request_message;
    section->scope.outer = task->scopes;
    task->scopes = &section->scope;
    whorl__state_cancel_clear(&task->word); /* what is pending is held back from here on */
    whorl__cancel_unlock(task);
}

void whorl__cancel_section_leave(struct whorl_task *task, struct whorl__section *section)
{
    bool taken;
    set_left(&section->scope);
    whorl__cancel_lock(task);
    WHORL_ASSERT(task->scopes == &section->scope); /* scope_check */
    task->scopes = section->scope.outer;
    if (whorl__cancel_find_shield_locked(task) != NULL) {
        whorl__cancel_note_held_locked(task, section->message);
    }
    if (whorl__cancel_any_pending_locked(task)) {
        task->request_message = section->message;
        (void)whorl__state_cancel(&task->word, &taken); /* it runs: there is nothing to take */
    }
    whorl__cancel_unlock(task);
}
