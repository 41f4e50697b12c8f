/*
 * cancel.c - requests to end: who gets them, when they are delivered, when they are taken back.
 *
 * A request is made on a task. Where it goes:
 *
 *   the task awaits a future  ->  that future is cancelled in its place: a plain one is done at once,
 *                                 a task gets the request in turn, a gather all its children. When
 *                                 the future ends, the task resumes with whatever came of it.
 *   otherwise, or if that     ->  it is left pending: the CANCEL bit in the task's word. It ends the
 *   future was done already       present wait, or the next one, which returns -ECANCELED.
 *
 * Counting: `requests` is what asyncio calls cancelling(). Every request has a number; the last one
 * delivered is remembered, so a scope that is left can tell whether its own request has arrived, and
 * take it back if not. `undelivered` says whether somebody else's is still to come.
 *
 *   late timer, without tags                  ours
 *   timer: fires, finds the task              timer: fires, takes the task's lock,
 *   task:  leaves the block                          looks for its scope's number
 *   timer: sets the request                     - there: request registered; leaving the block takes
 *   task:  is cancelled outside                   it back under the same lock
 *                                               - gone: nothing happens
 *
 * A chain of awaits is walked, not recursed into; a chain that leads back to itself (tasks awaiting
 * each other) is found by Brent's method, and the request stays with the task it was found at, which
 * unties the knot. A gather is where the chain forks: there it is recursed into, and a chain that
 * leads back is found by the path of gathers it came through.
 *
 * Threads:    see cancel.h.
 */
#include "task/cancel.h"

#include "task/future.h"

/* ---- under the task's lock ---- */

static struct whorl__scope *find_scope_locked(struct whorl_task *task, uint64_t serial)
{
    struct whorl__scope *scope = task->scopes;
    while (scope != NULL && scope->serial != serial) {
        scope = scope->outer;
    }
    return scope;
}

static void settle_locked(struct whorl_task *task)
{
    task->undelivered = 0;
    task->delivered_seq = task->request_seq;
    whorl__state_cancel_clear(&task->word);
}

static bool is_over(struct whorl_task *task)
{
    /* acquire, pairs the cas of state_finish */
    const enum whorl__phase phase = whorl__state_phase(whorl__load_acquire_u64(&task->word));
    return phase == WHORL__DONE || phase == WHORL__FREE;
}

/* Who asks; one for each task on the way. */
struct request {
    uint64_t scope_serial; /* 0: a user */
    const char *message;
    const struct whorl__cancel_path *path;
    uint32_t seq;                 /* the request's number in the task */
    struct whorl_future *awaited; /* where it goes on to, with a reference; NULL: stays here */
    bool taken;                   /* the task was parked: to be queued */
};

static bool register_locked(struct whorl_task *task, struct request *request)
{
    struct whorl__scope *scope = NULL;
    if (is_over(task)) {
        return false;
    }
    if (request->scope_serial != 0) {
        scope = find_scope_locked(task, request->scope_serial);
        if (scope == NULL || scope->request_seq != 0) {
            return false;
        }
    }
    request->taken = false;
    request->awaited = task->awaited;
    if (request->awaited == NULL && !whorl__state_cancel(&task->word, &request->taken)) {
        return false; /* it ended in this moment */
    }
    if (request->awaited != NULL) {
        (void)whorl_future_ref(request->awaited); /* the task, in its await, keeps it till here */
    }
    task->requests++;
    task->undelivered++;
    task->request_message = request->message;
    request->seq = ++task->request_seq;
    if (scope != NULL) {
        scope->request_seq = request->seq;
    }
    return true;
}

/* Still asked for: neither delivered nor taken back while the lock was not held. */
static bool stands_locked(struct whorl_task *task, const struct request *request)
{
    return task->request_seq >= request->seq && task->delivered_seq < request->seq &&
           (request->scope_serial == 0 || find_scope_locked(task, request->scope_serial) != NULL);
}

/* ---- the way of a request ---- */

static bool make_request(struct whorl_task *task, struct request *request)
{
    whorl__spin_lock(&task->lock);
    const bool made = register_locked(task, request);
    whorl__spin_unlock(&task->lock);
    if (made && request->taken) {
        whorl__sched_submit(task);
    }
    return made;
}

static void mark_delivered(struct whorl_task *task, uint32_t seq)
{
    whorl__spin_lock(&task->lock);
    if (task->delivered_seq < seq) {
        task->delivered_seq = seq;
        task->undelivered = task->request_seq - seq;
    }
    whorl__spin_unlock(&task->lock);
}

/* What it awaited was done: the request stays with the task. */
static void leave_pending(struct whorl_task *task, const struct request *request)
{
    bool taken = false;
    whorl__spin_lock(&task->lock);
    if (stands_locked(task, request)) {
        (void)whorl__state_cancel(&task->word, &taken);
    }
    whorl__spin_unlock(&task->lock);
    if (taken) {
        whorl__sched_submit(task);
    }
}

/* One task of a chain that was asked, and what it awaits. */
static void pass_on(struct whorl_task *task, const struct request *request, bool accepted)
{
    if (accepted) {
        mark_delivered(task, request->seq);
    } else {
        leave_pending(task, request);
    }
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

static bool cancel_untasked(struct whorl_future *future, const struct request *request)
{
    return future->kind == WHORL__FUTURE_GATHER
               ? whorl__gather_cancel_along(future, request->message, request->path)
               : whorl__future_cancel_plain(future, request->message);
}

/*
 * Asks `task`, and, while the one asked awaits another task, that one. The reference on each task of
 * the chain but the first is held until its own request has been placed.
 */
static bool request_along(struct whorl_task *task, struct request first)
{
    struct walk walk = {.mark = task, .limit = 1};
    struct request request = first;
    struct whorl_future *held = NULL;
    const bool made = make_request(task, &request);
    bool asking = made;
    while (asking && request.awaited != NULL) {
        struct whorl_future *const next = request.awaited;
        struct request onward = {.message = first.message};
        bool accepted;
        if (next->kind != WHORL__FUTURE_TASK) {
            accepted = cancel_untasked(next, &first);
            asking = false;
        } else if (comes_round(&walk, whorl__task_of_future(next))) {
            accepted = false;
            asking = false;
        } else {
            accepted = asking = make_request(whorl__task_of_future(next), &onward);
        }
        pass_on(task, &request, accepted);
        if (held != NULL) {
            whorl_future_unref(held);
        }
        held = next;
        if (asking) {
            task = whorl__task_of_future(next);
            request = onward;
        }
    }
    if (held != NULL) {
        whorl_future_unref(held);
    }
    return made;
}

bool whorl__cancel_request(struct whorl_task *task, const char *message)
{
    return request_along(task, (struct request){.message = message});
}

bool whorl__cancel_child(struct whorl_future *child, const char *message,
                         const struct whorl__cancel_path *path)
{
    const struct request request = {.message = message, .path = path};
    return child->kind == WHORL__FUTURE_TASK
               ? request_along(whorl__task_of_future(child), request)
               : cancel_untasked(child, &request);
}

void whorl__cancel_by_scope(struct whorl_task *task, uint64_t serial)
{
    (void)request_along(task, (struct request){.scope_serial = serial});
}

void whorl__cancel_for_shutdown(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    const bool asked = task->shutdown_asked;
    task->shutdown_asked = true;
    whorl__spin_unlock(&task->lock);
    if (!asked) {
        (void)whorl__cancel_request(task, "the runtime is ending");
    }
}

/* ---- the task's own side ---- */

bool whorl__cancel_take(struct whorl_task *task)
{
    if (WHORL_LIKELY(!whorl__state_cancel_pending(&task->word))) {
        return false;
    }
    whorl__spin_lock(&task->lock);
    const bool pending = whorl__state_cancel_pending(&task->word);
    if (pending) {
        settle_locked(task);
        task->delivered_message = task->request_message;
    }
    whorl__spin_unlock(&task->lock);
    return pending;
}

void whorl__cancel_await_begin(struct whorl_task *task, struct whorl_future *future)
{
    struct request request = {0};
    whorl__spin_lock(&task->lock);
    WHORL_ASSERT(task->awaited == NULL);
    task->awaited = future;
    const bool pending = whorl__state_cancel_pending(&task->word);
    if (pending) {
        whorl__state_cancel_clear(&task->word);
        request.seq = task->request_seq;
        request.message = task->request_message;
    }
    whorl__spin_unlock(&task->lock);
    if (pending) {
        pass_on(task, &request, whorl_future_cancel(future, request.message));
    }
}

void whorl__cancel_await_end(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    task->awaited = NULL;
    whorl__spin_unlock(&task->lock);
}

void whorl__cancel_scope_enter(struct whorl_task *task, struct whorl__scope *scope)
{
    whorl__spin_lock(&task->lock);
    scope->baseline = task->requests;
    scope->outer = task->scopes;
    task->scopes = scope;
    whorl__spin_unlock(&task->lock);
}

bool whorl__cancel_scope_leave(struct whorl_task *task, struct whorl__scope *scope)
{
    whorl__spin_lock(&task->lock);
    WHORL_CHECK(task->scopes == scope, "timeouts are left innermost first, by the task that entered");
    task->scopes = scope->outer;
    const bool asked = scope->request_seq != 0;
    scope->expired = asked && scope->request_seq <= task->delivered_seq;
    if (asked) {
        task->requests--;
    }
    if (asked && !scope->expired && --task->undelivered == 0) {
        whorl__state_cancel_clear(&task->word); /* nobody else's is pending */
    }
    const bool alone = scope->expired && task->requests <= scope->baseline;
    whorl__spin_unlock(&task->lock);
    return alone;
}

/* ---- public ---- */

bool whorl_cancel(struct whorl_task *task, const char *message)
{
    return whorl__cancel_request(task, message);
}

int whorl_task_cancelling(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    const int requests = task->requests;
    whorl__spin_unlock(&task->lock);
    return requests;
}

int whorl_uncancel(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    if (task->requests > 0 && --task->requests == 0) {
        settle_locked(task);
    }
    const int left = task->requests;
    whorl__spin_unlock(&task->lock);
    return left;
}
