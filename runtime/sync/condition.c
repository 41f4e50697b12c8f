/*
 * condition.c - waiting for a notification, with a lock.
 *
 * A wait stands in the condition's line before it releases the lock: a notify, which has the lock,
 * finds it there.
 *
 *   losing order                              ours
 *   A: releases the lock                      A: stands in line; releases the lock
 *   B: has the lock, changes things,          B: has the lock, changes things, notifies: A is
 *      notifies: nobody is there                 GRANTED
 *   A: stands in line, for ever               A: does not park
 *
 * Then it acquires the lock, however often it is cancelled meanwhile. A wait that a cancel ended
 * notifies one other, as asyncio's does: it may have been notified itself (COND-8, COND-9); and one
 * notification too many is a wait that returns for nothing, which is allowed (COND-11).
 *
 * It is counted in the line until it has the lock again, so that a destroy beside it is refused.
 * The two lines are locked one after the other, never one inside the other.
 *
 * Owns:       struct condition, which is the program's struct whorl_condition.
 * Threads:    any.
 * Pairs:      K3 of line.h, of both lines.
 * Not chosen: a notify that moves who waits into the lock's line. It saves a switch of tasks where
 *             many are notified; but a pass less than asyncio's is an order that asyncio has not.
 */
#include "sync/condition.h"

#include "sync/line.h"
#include "sync/lock.h"

#include "base/bug.h"
#include "whorl.h"

#include <errno.h>

struct condition {
    struct whorl_lock *lock;    /* C; NULL: its own */
    struct whorl_lock own_lock;
    struct whorl__line line;
    struct whorl__rank rank;
};

WHORL_STATIC(sizeof(struct condition) <= sizeof(struct whorl_condition) &&
                 offsetof(struct condition, own_lock) ==
                     offsetof(struct whorl_condition, own_lock),
             "it fits, and a static one has its lock");

static struct condition *condition_of(struct whorl_condition *condition)
{
    return (struct condition *)(void *)condition;
}

static struct whorl_lock *lock_of(struct condition *condition)
{
    return condition->lock != NULL ? condition->lock : &condition->own_lock;
}

struct whorl_lock *whorl_condition_lock(struct whorl_condition *condition)
{
    return condition != NULL ? lock_of(condition_of(condition)) : NULL;
}

/* That it is there, and that the caller has its lock. */
static int check(struct condition *condition)
{
    const int error = condition != NULL ? whorl__line_check(&condition->line, 0) : -EINVAL;
    return error != 0 ? error : whorl__lock_check_held(lock_of(condition));
}

int whorl__condition_check(struct whorl_condition *condition)
{
    return check(condition_of(condition));
}

static void notify(struct condition *condition, size_t count)
{
    struct whorl__told told = {{0}};
    const uint32_t word = whorl__line_lock(&condition->line);
    (void)whorl__rank_grant_all(&condition->rank, count, &told);
    whorl__line_unlock(&condition->line, word);
    whorl__tell(&told);
}

/* ---- waiting ---- */

static void stand(struct condition *condition, struct whorl__stander *stander)
{
    uint32_t word = whorl__line_lock(&condition->line);
    whorl__line_stand(&condition->line, &word, &condition->rank, stander);
    whorl__line_unlock(&condition->line, word);
}

/* In line already. The lock is released, and not the caller's when it returns. */
static int wait_in_line(struct whorl__line *line, struct whorl__stander *stander)
{
    uint32_t word = whorl__line_lock(line);
    const int error = whorl__line_wait(line, &word, stander);
    whorl__line_step_aside(stander);
    whorl__line_unlock(line, word);
    return error;
}

/* The last that its call does with it. pass_on: it may be notified, and has no use for that. */
static void leave(struct condition *condition, struct whorl__stander *stander, bool pass_on)
{
    struct whorl__told told = {{0}};
    uint32_t word = whorl__line_lock(&condition->line);
    if (pass_on) {
        (void)whorl__rank_grant_all(&condition->rank, 1, &told);
    }
    whorl__line_leave(&condition->line, &word, stander);
    whorl__line_unlock(&condition->line, word);
    whorl__tell(&told);
}

/* With the lock, before and after. */
static int wait_once(struct condition *condition, struct whorl__stander *stander)
{
    bool cancelled = false;
    stand(condition, stander);
    const int released = whorl_lock_release(lock_of(condition));
    if (released != 0) { /* somebody else has released it in this moment */
        leave(condition, stander, false);
        return released;
    }
    const int error = wait_in_line(&condition->line, stander);
    if (WHORL__BUG(CONDITION_TAKES_NO_LOCK) && error == -ECANCELED) {
        leave(condition, stander, false);
        return error;
    }
    const int again = whorl__lock_acquire_again(lock_of(condition), &cancelled);
    cancelled = cancelled && !WHORL__BUG(CONDITION_LOSES_A_CANCEL);
    const bool pass_on = cancelled || error == -ECANCELED;
    leave(condition, stander, pass_on && !WHORL__BUG(CONDITION_KEEPS_ITS_CALL));
    return again != 0 ? again : cancelled ? -ECANCELED : error;
}

/* who, kind: what a dump says of it. */
static int wait_until(struct whorl_condition *opaque, int64_t deadline_ns, const void *who,
                      enum whorl__line_kind kind)
{
    struct condition *const condition = opaque != NULL ? condition_of(opaque) : NULL;
    struct whorl__stander stander;
    int error = check(condition);
    if (error == 0) {
        error = whorl__stander_begin(&stander, who, kind, deadline_ns);
    }
    if (error == 0) {
        error = wait_once(condition, &stander);
        (void)whorl__stander_end(&stander);
    }
    return error;
}

int whorl_condition_wait_until(struct whorl_condition *condition, int64_t deadline_ns)
{
    return wait_until(condition, deadline_ns, condition, WHORL__SYNC_CONDITION);
}

int whorl_condition_wait(struct whorl_condition *condition)
{
    return whorl_condition_wait_until(condition, WHORL_NEVER);
}

/* At the deadline it looks once more. */
int whorl__condition_wait_for_of(struct whorl_condition *condition, whorl_predicate *predicate,
                                 void *arg, int64_t deadline_ns, const void *who,
                                 enum whorl__line_kind kind)
{
    int error = 0;
    int answer = predicate(arg);
    while (answer == 0 && error == 0) {
        error = wait_until(condition, deadline_ns, who, kind);
        if (error == 0 || error == -ETIMEDOUT) {
            answer = predicate(arg);
        }
    }
    return answer != 0 ? answer : error;
}

int whorl_condition_wait_for(struct whorl_condition *condition, whorl_predicate *predicate,
                             void *arg, int64_t deadline_ns)
{
    return condition == NULL || predicate == NULL
               ? -EINVAL
               : whorl__condition_wait_for_of(condition, predicate, arg, deadline_ns, condition,
                                              WHORL__SYNC_CONDITION);
}

/* ---- notifying ---- */

int whorl_condition_notify(struct whorl_condition *opaque, size_t count)
{
    struct condition *const condition = opaque != NULL ? condition_of(opaque) : NULL;
    const int error = check(condition);
    if (error == 0) {
        notify(condition, count);
    }
    return error;
}

int whorl_condition_notify_all(struct whorl_condition *condition)
{
    return whorl_condition_notify(condition, SIZE_MAX);
}

/* ---- its beginning and end ---- */

int whorl_condition_init(struct whorl_condition *opaque, struct whorl_lock *lock)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct condition *const condition = condition_of(opaque);
    *condition = (struct condition){.lock = lock};
    whorl__line_init(&condition->line, 0);
    return whorl_lock_init(&condition->own_lock, 0);
}

/* Nobody may come back for its own lock: the caller has it, then. */
static int close_own_lock(struct condition *condition)
{
    const int error = whorl_lock_try_acquire(&condition->own_lock);
    return error == -EAGAIN ? -EBUSY : error;
}

int whorl__condition_destroy_of(struct whorl_condition *opaque, const void *primitive,
                                const char *name)
{
    struct condition *const condition = condition_of(opaque);
    const bool owns = condition->lock == NULL;
    int error = owns ? close_own_lock(condition) : 0;
    if (error != 0) {
        return error;
    }
    const struct whorl__line_end end = {primitive, name, &condition->rank, 1, 0};
    error = whorl__line_destroy(&condition->line, &end);
    if (owns) {
        (void)whorl_lock_release(&condition->own_lock);
    }
    return owns && error == 0 ? whorl_lock_destroy(&condition->own_lock) : error;
}

int whorl_condition_destroy(struct whorl_condition *condition)
{
    return condition == NULL ? -EINVAL
                             : whorl__condition_destroy_of(condition, condition, "condition");
}
