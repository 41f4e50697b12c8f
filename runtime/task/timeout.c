/*
 * timeout.c - a deadline over a block of code: a scope, its timer, and wait_for on top.
 *
 * Owns:       struct whorl_timeout's contents, which are a struct whorl__scope.
 * Threads:    enter and exit by the task; reschedule by anyone while the block is open: whoever has
 *             set `moving` under the task's lock has the timer, others give way until he is done;
 *             so does the exit, for the mover may be who has ended the block.
 * Invariant:  the timer holds the task's slot and the scope's serial number, no pointer to the
 *             scope: what it fires late finds no such scope, and does nothing (cancel.c).
 */
#include "task/callback.h"
#include "task/cancel.h"
#include "task/future.h"
#include "task/park.h"
#include "task/why.h"

#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>

WHORL_STATIC(sizeof(struct whorl__scope) <= sizeof(struct whorl_timeout),
             "whorl_timeout is large enough");

static struct whorl__scope *scope_of(struct whorl_timeout *timeout)
{
    return (struct whorl__scope *)(void *)timeout->opaque;
}

static void fire(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    whorl__cancel_by_scope(whorl__handle_task(&runtime->slots, handle), serial, NULL);
}

/* It is too late already. In strict order the block finds that out where asyncio's does: when the
 * loop has come to it; a block that never waits ends before. Late, it finds no such scope. */
static int expire(struct whorl__scope *scope, struct whorl__timers *timers)
{
    struct whorl__loop *const loop = whorl_container_of(timers, struct whorl__loop, timers);
    if (loop->strict && !WHORL__BUG(TIMEOUT_EXPIRES_AT_ONCE)) {
        scope->queued = true;
        return whorl__callback_fire_soon(loop, &scope->timer);
    }
    whorl__cancel_by_scope(scope->task, scope->serial, NULL);
    return 0;
}

/* On `timers`: the heap of the loop on which the block was entered. */
static int arm(struct whorl__scope *scope, struct whorl__timers *timers, int64_t deadline_ns)
{
    whorl__plain_write(&scope->armed);
    whorl__store_relaxed_u64(&scope->deadline_ns, (uint64_t)deadline_ns); /* relaxed: a figure */
    scope->timer.timers = timers;
    scope->armed = false;
    if (deadline_ns == WHORL_NEVER) {
        return 0;
    }
    scope->timer.handle = whorl__handle_make(scope->task, 0);
    scope->timer.serial = scope->serial;
    scope->timer.fire = fire;
    if (deadline_ns <= whorl_now()) {
        return expire(scope, timers);
    }
    const int error = whorl__timer_arm(timers, &scope->timer, deadline_ns);
    whorl__plain_write(&scope->armed); /* it may have fired: the exit waits for a mover */
    scope->armed = error == 0;
    if (error != 0) {
        scope->deadline_ns = WHORL_NEVER;
    }
    return error;
}

static void disarm(struct whorl__scope *scope)
{
    whorl__plain_write(&scope->armed);
    if (scope->armed) {
        (void)whorl__timer_disarm(&scope->timer);
        scope->armed = false;
    }
}

int whorl_timeout_enter(struct whorl_timeout *timeout, int64_t deadline_ns)
{
    if (WHORL_UNLIKELY(timeout == NULL)) {
        return -EINVAL;
    }
    struct whorl_task *const task = whorl__task_current();
    struct whorl__scope *const scope = scope_of(timeout);
    if (task == NULL) {
        *scope = (struct whorl__scope){0}; /* so that who leaves it all the same is told */
        return whorl__error_outside();
    }
    if (WHORL_UNLIKELY(whorl__cancel_scope_is_own(task, scope))) {
        return -EALREADY;
    }
    *scope = (struct whorl__scope){
        .task = task,
        .deadline_ns = (uint64_t)deadline_ns,
        .timed = true,
        .serial = whorl__serials_draw(&task->loop->scope_serials, &task->runtime->scopes_made),
    };
    whorl__cancel_scope_enter(task, scope);
    const int error = arm(scope, &task->loop->timers, deadline_ns);
    if (error != 0) {
        (void)whorl__cancel_scope_leave(task, scope, false);
    }
    return error;
}

/* Who moved the deadline to where it ended the block at once may still be at the timer. */
static void await_mover(const struct whorl__scope *scope)
{
    while (whorl__load_acquire_u32(&scope->moving) != 0) { /* acquire, pairs end_move */
        whorl__os->yield();
    }
}

int whorl_timeout_exit(struct whorl_timeout *timeout, int error)
{
    if (WHORL_UNLIKELY(timeout == NULL)) {
        return -EINVAL;
    }
    struct whorl__scope *const scope = scope_of(timeout);
    if (whorl__scope_is_inherited(scope)) {
        return -ECHILD;
    }
    whorl__cancel_scope_check(scope, "whorl_timeout_exit");
    await_mover(scope);
    disarm(scope);
    const bool cancelled = error == -ECANCELED;
    const bool by_deadline = whorl__cancel_scope_leave(scope->task, scope, cancelled);
    whorl__plain_write(&scope->outer); /* the block goes: who still looks at it races; MT-15 */
    return by_deadline && (cancelled || (WHORL__BUG(TIMEOUT_TAKES_ANY_ERROR) && error != 0))
               ? -ETIMEDOUT
               : error;
}

/* False: its time is over. */
static bool begin_move(struct whorl__scope *scope)
{
    for (;;) {
        whorl__spin_lock(&scope->task->lock);
        const bool late = scope->state != WHORL__SCOPE_QUIET;
        /* acquire, pairs the release in end_move: what the last mover did to the timer */
        const bool taken = whorl__load_acquire_u32(&scope->moving) != 0;
        if (!taken && !late) {
            whorl__store_relaxed_u32(&scope->moving, 1); /* relaxed: M(the task's lock) */
        }
        whorl__spin_unlock(&scope->task->lock);
        if (late || !taken) {
            return !late;
        }
        whorl__os->yield();
    }
}

/* The last look at the scope: the block may be left now. */
static void end_move(struct whorl__scope *scope)
{
    whorl__store_release_u32(&scope->moving, 0); /* pairs begin_move and await_mover */
}

/* One that waits in the loop's list finds no such scope any more. */
static WHORL_COLD void forget_queued(struct whorl__scope *scope)
{
    struct whorl__serials serials = {.next = 0}; /* the loop's own may be another thread's */
    whorl__spin_lock(&scope->task->lock);
    scope->serial = whorl__serials_draw(&serials, &scope->task->runtime->scopes_made);
    scope->queued = false;
    whorl__spin_unlock(&scope->task->lock);
}

/* By who has set moving. */
static int move(struct whorl__scope *scope, int64_t deadline_ns)
{
    whorl__plain_write(&scope->armed);
    if (WHORL__BUG(RESCHEDULE_KEEPS_THE_OLD_DEADLINE) && deadline_ns == WHORL_NEVER) {
        return 0;
    }
    if (WHORL_UNLIKELY(scope->queued)) {
        forget_queued(scope);
    }
    return scope->armed && whorl__timer_disarm(&scope->timer)
               ? -EINVAL
               : arm(scope, scope->timer.timers, deadline_ns);
}

int whorl_timeout_reschedule(struct whorl_timeout *timeout, int64_t deadline_ns)
{
    if (timeout == NULL) {
        return -EINVAL;
    }
    struct whorl__scope *const scope = scope_of(timeout);
    if (!whorl__scope_is_open(scope)) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(scope->task)) {
        return -ECHILD;
    }
    if (!begin_move(scope)) {
        return -EINVAL;
    }
    struct whorl__timers *const timers = scope->timer.timers;
    const int error = move(scope, deadline_ns);
    end_move(scope);
    struct whorl__loop *const loop = whorl_container_of(timers, struct whorl__loop, timers);
    if (loop != whorl__loop_current()) {
        whorl__fence_full(); /* it computes its sleep from the new deadline, or is woken */
        whorl__loop_wake(loop);
    }
    return error;
}

int64_t whorl_timeout_when(const struct whorl_timeout *timeout)
{
    if (timeout == NULL) {
        return WHORL_NEVER;
    }
    const struct whorl__scope *const scope = scope_of((struct whorl_timeout *)(uintptr_t)timeout);
    return (int64_t)whorl__load_relaxed_u64(&scope->deadline_ns); /* relaxed: a figure */
}

/* In strict order it counts once the request was made, where asyncio's expiry is called; but not
 * while a shielded section holds it back. */
static bool will_expire_locked(const struct whorl__scope *scope)
{
    return scope->task->loop->strict &&
           (scope->state == WHORL__SCOPE_WITHDRAWN ||
            (scope->state == WHORL__SCOPE_PENDING &&
             whorl__state_cancel_pending(&scope->task->word)));
}

bool whorl_timeout_expired(const struct whorl_timeout *timeout)
{
    if (timeout == NULL) {
        return false;
    }
    struct whorl__scope *const scope = scope_of((struct whorl_timeout *)(uintptr_t)timeout);
    if (!whorl__scope_is_open(scope) || whorl__task_is_inherited(scope->task)) {
        return whorl__scope_expired(scope);
    }
    whorl__spin_lock(&scope->task->lock);
    const bool expired = whorl__scope_expired(scope) || will_expire_locked(scope);
    whorl__spin_unlock(&scope->task->lock);
    return expired;
}

/*
 * Strict order, and no time at all: asyncio cancels at once, so that a task that has not begun
 * never does, and waits for a done callback, which comes a pass after the end.
 */
static int cancel_and_wait(struct whorl_future *future, void **ret_value)
{
    struct whorl_why why;
    struct whorl_future *ended;
    int error = whorl_gather_start(&future, 1, WHORL_GATHER_RETURN_EXCEPTIONS, &ended);
    if (error != 0) {
        return error;
    }
    whorl__why_asked(&why);
    why.cause = WHORL_WHY_DEADLINE;
    why.deadline_ns = whorl_now();
    (void)whorl__future_cancel_for(future, NULL, &why);
    error = WHORL__BUG(WAIT_FOR_WITHOUT_TIME_LEAVES_IT)
                ? 0
                : whorl_future_join(ended, WHORL_NEVER, NULL);
    whorl_future_unref(ended);
    if (error != 0 || WHORL__BUG(WAIT_FOR_WITHOUT_TIME_LEAVES_IT)) {
        return error != 0 ? error : -ETIMEDOUT;
    }
    error = whorl_future_result(future, ret_value);
    return error == -ECANCELED ? -ETIMEDOUT : error;
}

int whorl_future_wait_for(struct whorl_future *future, int64_t timeout_ns, void **ret_value)
{
    if (future == NULL) {
        return -EINVAL;
    }
    const struct whorl_task *const self = whorl__task_current();
    if (self == NULL) {
        return whorl__error_outside();
    }
    if (timeout_ns <= 0 && self->loop->strict && future != &self->future &&
        !whorl__future_is_done(future)) {
        return cancel_and_wait(future, ret_value);
    }
    struct whorl_timeout timeout;
    const int64_t deadline_ns = timeout_ns == WHORL_NEVER ? WHORL_NEVER : whorl_after(timeout_ns);
    const int error = whorl_timeout_enter(&timeout, deadline_ns);
    if (error != 0) {
        return error;
    }
    const bool itself = future == &self->future; /* whether there is time left or not */
    return whorl_timeout_exit(&timeout,
                              itself ? -EDEADLK : whorl_future_await(future, ret_value));
}

int whorl_wait_for(struct whorl_task *task, int64_t timeout_ns, void **ret_value)
{
    return whorl_future_wait_for(whorl_task_future(task), timeout_ns, ret_value);
}
