/*
 * cancel.c - requests to end: who gets them, when they are delivered, when they are taken back.
 *
 * A request is made on a task. Where it goes:
 *
 *   the task awaits a future -> that future is cancelled in its place: a plain one is done at once,
 *                               a task gets the request in turn, a gather all its children. When
 *                               the future ends, the task resumes with whatever came of it.
 *   otherwise, or if that    -> it is left pending: the CANCEL bit in the task's word. It ends the
 *   future was done already     present wait, or the next one, which returns -ECANCELED.
 *
 * Counting: `requests` is what asyncio calls cancelling(). Pending are: the users' requests, as one
 * (users_pending), and each open scope's own. The CANCEL bit is set while any of them is; leaving a
 * scope takes its own away, and clears the bit if no other is pending (scope.c).
 *
 * A scope's request that is passed on is ON_ITS_WAY until the future has answered. The task may be
 * back before that, with the -ECANCELED that came of it: leaving the scope counts it as delivered.
 * If the future was done already, the request comes back, finds no scope, and is dropped.
 *
 * In strict order a request that ends a wait has arrived: it is not taken back, and a later one
 * does not change its message. asyncio has cancelled the future by then that the task waits for.
 *
 * A chain of awaits is walked, not recursed into; a chain that leads back to itself (tasks awaiting
 * each other) is found by Brent's method, and the request stays with the task it was found at,
 * which unties the knot. A gather is where the chain forks: there it is recursed into, and a chain
 * that leads back is found by the path of gathers it came through.
 *
 * Why it was made goes along with a request, and is noted wherever it is registered: why.h. A task
 * that a request was registered on takes its lock once more before it ends, so its block stays.
 *
 * Threads:    see cancel.h.
 */
#include "task/cancel.h"

#include "task/future.h"
#include "task/park.h"
#include "task/pending.h"
#include "task/why.h"

#include "base/bug.h"

#include <errno.h>

/* ---- under the task's lock ---- */

static struct whorl__scope *find_scope_locked(struct whorl_task *task, uint64_t serial)
{
    struct whorl__scope *scope = task->scopes;
    while (scope != NULL) {
        whorl__plain_read(&scope->outer); /* on the task's stack; MT-15 */
        if (scope->serial == serial) {
            break;
        }
        scope = scope->outer;
    }
    return scope;
}

/* Whether a request of `scope`, or of a user (NULL), is held back: a section is open inside it. */
static bool is_held_locked(const struct whorl_task *task, const struct whorl__scope *scope)
{
    const struct whorl__scope *inner = task->scopes;
    while (inner != NULL && inner != scope && !inner->shield) {
        inner = inner->outer;
    }
    return inner != NULL && inner != scope;
}

/* All that is pending and not held back is delivered, or on its way. */
static void settle_locked(struct whorl_task *task, enum whorl__scope_state state)
{
    const struct whorl__scope *const shield = whorl__cancel_find_shield_locked(task);
    if (shield == NULL) {
        task->users_pending = 0;
    }
    whorl__cancel_settle_scopes_locked(task->scopes, shield, state);
    whorl__state_cancel_clear(&task->word);
}

bool whorl__cancel_is_too_late(const struct whorl_task *task)
{
    /* acquire, pairs the cas of state_finish */
    const enum whorl__phase phase = whorl__state_phase(whorl__load_acquire_u64(&task->word));
    return phase == WHORL__DONE || phase == WHORL__FREE;
}

/* ---- what a task awaits ---- */

struct whorl_future *whorl__awaited_hold(struct whorl_task *task, bool *ret_visits)
{
    void *awaited = whorl__load_relaxed_ptr(&task->awaited); /* relaxed: the lock, or see below */
    *ret_visits = whorl__awaited_is_here(awaited) && whorl__state_visit(&task->word);
    if (*ret_visits) {
        whorl__fence_after_rmw(); /* pairs I2 */
        awaited = whorl__load_acquire_ptr(&task->awaited); /* acquire, pairs I3 */
    } else if (whorl__awaited_is_here(awaited)) {
        return NULL; /* it ended in this moment */
    }
    return whorl__awaited_future(awaited);
}

void whorl__awaited_let_go(struct whorl_task *task, bool visits)
{
    if (visits) {
        whorl__state_leave(&task->word);
    }
}

/* ---- a request is registered ---- */

/* One request on one task. */
struct request {
    uint64_t scope_serial; /* 0: a user's */
    const char *message;
    struct whorl_why *why;        /* on the stack of who asks; hops are added on the way */
    struct whorl__why_room room;  /* to note it */
    struct whorl_why_hop hop;     /* the task itself, if it passes the request on */
    bool shutdown;                /* of the runtime's end: once a task */
    const struct whorl__cancel_path *path; /* the gathers it came through */
    uint32_t withdrawals;         /* of the task when it was made */
    struct whorl_future *awaited; /* where it goes on to, with a reference; NULL: stays here */
    bool taken;                   /* the task was parked: to be queued */
};

/* The most that it counts is as good as more. */
static void add_users_locked(struct whorl_task *task, unsigned more)
{
    const unsigned sum = task->users_pending + more;
    task->users_pending = (uint16_t)(sum < UINT16_MAX ? sum : UINT16_MAX);
}

static void set_pending_locked(struct whorl_task *task, struct whorl__scope *scope)
{
    if (scope != NULL) {
        scope->state = WHORL__SCOPE_PENDING;
    } else {
        add_users_locked(task, 1);
    }
}

static unsigned count_outside_locked(const struct whorl__scope *scope)
{
    unsigned count = 0;
    while ((scope = scope->outer) != NULL) {
        count++;
    }
    return count;
}

/* What only the task's lock lets one see: whose deadline it was, and who passes it on. */
static void note_why_locked(struct whorl_task *task, const struct whorl__scope *scope,
                            struct request *request)
{
    struct whorl_why *const why = request->why;
    if (scope != NULL && why->cause == WHORL_WHY_DEADLINE) {
        whorl__why_name_locked(task, &why->task, why->name);
        why->block = scope;
        /* relaxed: a figure */
        why->deadline_ns = (int64_t)whorl__load_relaxed_u64(&scope->deadline_ns);
        why->outside = count_outside_locked(scope);
    }
    if (request->awaited != NULL) {
        whorl__why_name_locked(task, &request->hop.task, request->hop.name);
    }
    if (!task->arrived) {
        whorl__why_note_locked(task, why, &request->room);
    }
}

static void note_locked(struct whorl_task *task, struct whorl__scope *scope,
                        struct request *request)
{
    note_why_locked(task, scope, request);
    task->asked = true;
    task->shutdown_asked |= request->shutdown;
    task->requests += !WHORL__BUG(CANCEL_COUNTS_ONCE) || task->requests == 0;
    if (!task->arrived || WHORL__BUG(CANCEL_KEEPS_THE_LAST_MESSAGE)) {
        task->request_message = request->message;
    }
    request->withdrawals = task->withdrawals;
    if (request->awaited == NULL) {
        set_pending_locked(task, scope);
    } else if (scope != NULL) {
        scope->state = WHORL__SCOPE_ON_ITS_WAY;
    }
}

/* What it awaits, with a reference; NULL: nothing. The task, in its await, keeps it till here. */
static struct whorl_future *find_awaited_locked(struct whorl_task *task)
{
    bool visits;
    struct whorl_future *const awaited = whorl__awaited_hold(task, &visits);
    if (awaited != NULL) {
        (void)whorl_future_ref(awaited);
    }
    whorl__awaited_let_go(task, visits);
    return awaited;
}

static bool register_locked(struct whorl_task *task, struct request *request)
{
    struct whorl__scope *scope = NULL;
    if (whorl__cancel_is_too_late(task) || (request->shutdown && task->shutdown_asked)) {
        return false;
    }
    if (request->scope_serial != 0) {
        scope = find_scope_locked(task, request->scope_serial);
        if (scope == NULL || scope->state != WHORL__SCOPE_QUIET) {
            return false;
        }
    }
    const bool held = is_held_locked(task, scope);
    request->taken = false;
    request->awaited = held ? NULL : find_awaited_locked(task);
    if (!held && request->awaited == NULL && !whorl__state_cancel(&task->word, &request->taken)) {
        return false; /* it ended in this moment */
    }
    note_locked(task, scope, request);
    if (WHORL_UNLIKELY(held)) {
        whorl__cancel_note_held_locked(task, request->message);
    }
    task->arrived |= request->taken && task->loop->strict;
    return true;
}

/* ---- the way of a request ---- */

static bool make_request(struct whorl_task *task, struct request *request)
{
    request->room = whorl__why_room(task, request->why);
    whorl__cancel_lock(task);
    const bool made = register_locked(task, request);
    whorl__cancel_unlock(task);
    if (made && request->taken) {
        whorl__sched_submit(task);
    }
    whorl__why_room_free(&request->room);
    return made;
}

/* The future took it: a scope hears of it, if the task has not left it already. */
static void mark_delivered(struct whorl_task *task, const struct request *request)
{
    if (request->scope_serial == 0) {
        return;
    }
    whorl__cancel_lock(task);
    struct whorl__scope *const scope = find_scope_locked(task, request->scope_serial);
    if (scope != NULL) {
        scope->state = WHORL__SCOPE_DELIVERED;
    }
    whorl__cancel_unlock(task);
}

/*
 * The future was done: the request stays with the task, unless it was taken back meanwhile. False:
 * the task has ended meanwhile, and the request is as if it had never been made. waits: the future
 * is about to end, and the task stays in its await until then.
 */
static bool leave_pending(struct whorl_task *task, const struct request *request, bool waits)
{
    bool taken = false;
    whorl__cancel_lock(task);
    struct whorl__scope *const scope = find_scope_locked(task, request->scope_serial);
    const bool stands =
        request->scope_serial != 0 ? scope != NULL : request->withdrawals == task->withdrawals;
    const bool placed =
        !stands || waits || is_held_locked(task, scope) || whorl__state_cancel(&task->word, &taken);
    if (!placed) {
        task->requests -= task->requests > 0;
    } else if (stands) {
        set_pending_locked(task, scope);
    }
    whorl__cancel_unlock(task);
    if (taken) {
        whorl__sched_submit(task);
    }
    return placed;
}

/* In strict order a gather whose children are done ends in the turn of their callbacks. */
static bool is_about_to_end(const struct whorl_task *task, const struct whorl_future *awaited)
{
    /* relaxed: all loops of a runtime keep one order; in fast order it may be moving right now */
    const struct whorl__loop *const loop =
        whorl__load_relaxed_ptr((void *const *)(const void *)&task->loop);
    return awaited->kind == WHORL__FUTURE_GATHER && loop->strict &&
           whorl__gather_is_ending(awaited);
}

/* One task of a chain that was asked, and what it awaits. False: neither got it. */
static bool pass_on(struct whorl_task *task, const struct request *request, bool accepted)
{
    if (accepted) {
        mark_delivered(task, request);
    } else {
        whorl__future_look(request->awaited);
    }
    return accepted || leave_pending(task, request, is_about_to_end(task, request->awaited));
}

/* Steps along the chain of awaits, and tells when it has come round. */
struct walk {
    const struct whorl_task *mark;
    unsigned steps;
    unsigned limit;
};

static bool comes_round(struct walk *walk, const struct whorl_task *task)
{
    if (walk->mark == task) {
        return true;
    }
    if (walk->steps++ == walk->limit) {
        walk->mark = task;
        walk->steps = 0;
        walk->limit *= 2;
    }
    return false;
}

static bool cancel_untasked(struct whorl_future *future, const char *message,
                            const struct whorl__cancel_path *path)
{
    return future->kind == WHORL__FUTURE_GATHER ? whorl__gather_cancel_along(future, message, path)
                                                : whorl__future_cancel_plain(future, message);
}

/*
 * Asks `task`, and, while the one asked awaits another task, that one. The reference on each task
 * of the chain but the first is held until its own request has been placed. If the last one ended
 * before it could be told, nobody has met the request: it then stays with the first one, or, if
 * that is over as well, was never made.
 */
static bool request_by(struct whorl_task *task, struct request first)
{
    struct walk walk = {.mark = task, .limit = 1};
    struct whorl_task *asked = task;
    struct request request = first;
    struct whorl_future *held = NULL;
    if (!make_request(task, &request)) {
        return false;
    }
    const struct request made = request;
    const struct whorl__cancel_path via = {.outer = first.path, .why = first.why};
    bool placed = true;
    bool asking = true;
    while (asking && request.awaited != NULL) {
        struct whorl_future *const next = request.awaited;
        struct request onward = {.message = first.message, .why = first.why};
        bool accepted;
        whorl__why_add_hop(first.why, request.hop.task, request.hop.name);
        if (next->kind != WHORL__FUTURE_TASK) {
            accepted = cancel_untasked(next, first.message, &via);
            asking = false;
        } else if (comes_round(&walk, whorl__task_of_future(next))) {
            accepted = false;
            asking = false;
        } else if (WHORL__BUG(CANCEL_LEAVES_THE_AWAITED_ALONE)) {
            accepted = asking = false;
        } else {
            accepted = asking = make_request(whorl__task_of_future(next), &onward);
        }
        placed = pass_on(asked, &request, accepted);
        if (held != NULL) {
            whorl_future_unref(held);
        }
        held = next;
        if (asking) {
            asked = whorl__task_of_future(next);
            request = onward;
        }
    }
    if (held != NULL) {
        whorl_future_unref(held);
    }
    return placed || (asked != task && leave_pending(task, &made, false));
}

/* The same with a reason of its own to add to. */
static bool request_along(struct whorl_task *task, struct request first,
                          const struct whorl_why *given)
{
    struct whorl_why why;
    if (whorl__cancel_is_too_late(task)) {
        return false;
    }
    if (given != NULL) {
        why = *given;
    } else {
        whorl__why_asked(&why);
    }
    why.message = first.message;
    first.why = &why;
    return request_by(task, first);
}

bool whorl__cancel_request(struct whorl_task *task, const char *message,
                           const struct whorl_why *why)
{
    return request_along(task, (struct request){.message = message}, why);
}

bool whorl__cancel_child(struct whorl_future *child, const char *message,
                         const struct whorl__cancel_path *path)
{
    const struct request request = {.message = message, .path = path};
    return child->kind == WHORL__FUTURE_TASK
               ? request_along(whorl__task_of_future(child), request, path->why)
               : cancel_untasked(child, message, path);
}

void whorl__cancel_by_scope(struct whorl_task *task, uint64_t serial, const struct whorl_why *why)
{
    static const struct whorl_why late = {.cause = WHORL_WHY_DEADLINE};
    (void)request_along(task, (struct request){.scope_serial = serial}, why != NULL ? why : &late);
}

static const struct whorl_why at_shutdown = {.cause = WHORL_WHY_SHUTDOWN};

void whorl__cancel_for_shutdown(struct whorl_task *task)
{
    (void)request_along(
        task, (struct request){.message = "the runtime is ending", .shutdown = true}, &at_shutdown);
}

bool whorl__cancel_for_shutdown_again(struct whorl_task *task, const char *message)
{
    return whorl__cancel_request(task, message, &at_shutdown);
}

/* ---- the task's own side ---- */

void whorl__cancel_arrive(struct whorl_task *task)
{
    whorl__cancel_lock(task);
    task->arrived = task->loop->strict && whorl__state_cancel_pending(&task->word);
    whorl__cancel_unlock(task);
}

bool whorl__cancel_take(struct whorl_task *task)
{
    if (WHORL_LIKELY(!whorl__state_cancel_pending(&task->word))) {
        return false;
    }
    whorl__cancel_lock(task);
    const bool pending = whorl__state_cancel_pending(&task->word);
    task->arrived = false;
    if (pending) {
        settle_locked(task, WHORL__SCOPE_DELIVERED);
        task->delivered_message = task->request_message;
        task->told = true;
    }
    whorl__cancel_unlock(task);
    return pending;
}

/* What was on its way of the scopes has arrived, or comes back. */
static void answer_scopes_locked(struct whorl_task *task, bool accepted)
{
    const struct whorl__scope *const shield = whorl__cancel_find_shield_locked(task);
    for (struct whorl__scope *scope = task->scopes; scope != shield; scope = scope->outer) {
        if (scope->state == WHORL__SCOPE_ON_ITS_WAY) {
            scope->state = accepted ? WHORL__SCOPE_DELIVERED : WHORL__SCOPE_PENDING;
        }
    }
}

/* What an await took along. */
struct pending {
    unsigned users;
    uint32_t withdrawals; /* of the task at that time */
};

/*
 * The future has answered to what was pending. Only the task itself leaves scopes: they stand. What
 * has become pending meanwhile stays so: it may be this very request, come round to the task.
 * waits: as of leave_pending.
 */
static void answer_pending(struct whorl_task *task, const struct pending *pending, bool accepted,
                           bool waits)
{
    bool taken;
    whorl__cancel_lock(task);
    answer_scopes_locked(task, accepted);
    if (!accepted && pending->withdrawals == task->withdrawals) {
        add_users_locked(task, pending->users);
    }
    if (!waits && whorl__cancel_any_pending_locked(task)) {
        (void)whorl__state_cancel(&task->word, &taken); /* it runs: there is nothing to take */
    }
    whorl__cancel_unlock(task);
}

static unsigned count_told_users_locked(const struct whorl_task *task)
{
    return whorl__cancel_find_shield_locked(task) == NULL ? task->users_pending : 0;
}

/* What was pending goes on to what the task awaits, and why with it. */
static WHORL_COLD bool cancel_onward(struct whorl_task *task, struct whorl_future *future,
                                     const char *message)
{
    struct whorl_why why;
    whorl__why_passed_on(&why, task);
    return whorl__future_cancel_for(future, message, &why);
}

bool whorl__cancel_await_begin(struct whorl_task *task, struct whorl_future *future)
{
    whorl__cancel_lock(task);
    whorl__store_relaxed_ptr(&task->awaited, future); /* relaxed: under the lock */
    const bool pending = whorl__state_cancel_pending(&task->word);
    const struct pending taken = {.users = count_told_users_locked(task),
                                  .withdrawals = task->withdrawals};
    const char *const message = task->request_message;
    if (WHORL_UNLIKELY(pending)) {
        settle_locked(task, WHORL__SCOPE_ON_ITS_WAY);
    }
    whorl__cancel_unlock(task);
    if (WHORL_UNLIKELY(pending)) {
        const bool accepted = cancel_onward(task, future, message);
        answer_pending(task, &taken, accepted, !accepted && is_about_to_end(task, future));
    }
    return pending;
}

void whorl__cancel_await_end(struct whorl_task *task)
{
    bool taken;
    whorl__cancel_lock(task);
    whorl__store_relaxed_ptr(&task->awaited, NULL); /* relaxed: under the lock */
    if (WHORL_UNLIKELY(task->users_pending > 0 || task->scopes != NULL) &&
        whorl__cancel_any_pending_locked(task)) {
        (void)whorl__state_cancel(&task->word, &taken); /* it runs: there is nothing to take */
    }
    whorl__cancel_unlock(task);
}

/* ---- public ---- */

bool whorl_cancel(struct whorl_task *task, const char *message)
{
    return task != NULL && whorl_future_cancel(&task->future, message);
}

int whorl_task_cancelling(struct whorl_task *task)
{
    if (task == NULL) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(task)) {
        return -ECHILD;
    }
    whorl__cancel_lock(task);
    const int requests = task->requests;
    whorl__cancel_unlock(task);
    return requests;
}

int whorl_uncancel(struct whorl_task *task)
{
    if (task == NULL) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(task)) {
        return -ECHILD;
    }
    whorl__cancel_lock(task);
    if (task->requests > 0 && (--task->requests == 0 || WHORL__BUG(UNCANCEL_WITHDRAWS_TOO_EARLY))) {
        whorl__cancel_withdraw_locked(task);
    }
    const int left = task->requests;
    whorl__cancel_unlock(task);
    return left;
}
