/*
 * cancel.h - requests to end: made by anyone, delivered at the task's next wait, tagged by scope.
 *
 * Owns:       task->requests, users_pending, withdrawals, awaited, scopes; the CANCEL bit of the
 *             task's word.
 * Threads:    requests from any; the rest by the task itself. All under the task's lock, which is
 *             never held while another task's or a future's lock is taken. One exception, of the
 *             task itself, in inline.c.
 */
#ifndef WHORL_TASK_CANCEL_H
#define WHORL_TASK_CANCEL_H

#include "task/future.h"

#include "sched/sched.h"
#include "whorl/why.h"

/* What became of the one request that a scope can make. */
enum whorl__scope_state {
    WHORL__SCOPE_QUIET,     /* its time is not over */
    WHORL__SCOPE_ON_ITS_WAY, /* it was passed to the future that the task awaits */
    WHORL__SCOPE_PENDING,   /* it waits in the task's CANCEL bit, or is held back by a shield */
    WHORL__SCOPE_DELIVERED, /* the task has got it */
    WHORL__SCOPE_WITHDRAWN, /* taken back by whorl_uncancel before that */
};

/* An open timeout, group or shielded section; lies in the caller's struct of that name. */
struct whorl__scope {
    struct whorl__scope *outer;   /* M(task) */
    struct whorl_task *task;      /* C */
    uint64_t serial;              /* M(task): never the same twice in a runtime */
    enum whorl__scope_state state; /* M(task) */
    int baseline;                 /* C: requests there were when it was entered; cancel.c */
    bool others;                  /* the task's, once it has left: more than those are left */
    bool shield;                  /* C: what is asked outside of it is held back */
    bool timed;                   /* C: a timeout */
    uint64_t deadline_ns;         /* A: written by the task, or by who has set moving */
    bool armed;                   /* as deadline_ns */
    bool queued;                  /* as deadline_ns: an expiry waits in the loop's list */
    uint32_t moving;              /* A: somebody reschedules; set under M(task) */
    uint32_t left;                /* A: by the task: over; from then on task may be gone */
    struct whorl__timer timer;
};

/* An open shielded section; lies in the caller's struct whorl_shield. */
struct whorl__section {
    struct whorl__scope scope;
    const char *message; /* M(task): of the newest request that was held back */
};

/* The user asks. why: NULL: the caller does. False: the task was done. */
bool whorl__cancel_request(struct whorl_task *task, const char *message,
                           const struct whorl_why *why);

/* Its body has returned; it is done once its argument is freed. */
bool whorl__cancel_is_too_late(const struct whorl_task *task);

/* The gathers a request has come through, the last one first. On the stack of who asks. */
struct whorl__cancel_path {
    const struct whorl_future *gather; /* NULL: none, it only tells why */
    const struct whorl__cancel_path *outer;
    const struct whorl_why *why;       /* C: with the hops till here */
};

/* The last gather of `path` asks its child. False: it was done, or the request has come round. */
bool whorl__cancel_child(struct whorl_future *child, const char *message,
                         const struct whorl__cancel_path *path);

/* A scope asks. why: NULL: its time is over. Does nothing if the task has left it. */
void whorl__cancel_by_scope(struct whorl_task *task, uint64_t serial,
                            const struct whorl_why *why);

/* The running task looks whether a request is pending, and takes it. True: it is delivered now. */
WHORL_MUST_USE bool whorl__cancel_take(struct whorl_task *task);

/* The running task is about to wait with a request pending: that one ends the wait. */
void whorl__cancel_arrive(struct whorl_task *task);

/*
 * The running task is about to await a future: from now until await_end a request goes to that
 * future in its place. A request that is pending goes there now; true: there was one.
 */
bool whorl__cancel_await_begin(struct whorl_task *task, struct whorl_future *future);
void whorl__cancel_await_end(struct whorl_task *task);

/* Under the task's lock: what it awaits, which stays until let_go, by who has the lock still. */
struct whorl_future *whorl__awaited_hold(struct whorl_task *task, bool *ret_visits);
void whorl__awaited_let_go(struct whorl_task *task, bool visits);

/* Whether the scope's request has reached the task, or is what ended its last wait. */
static inline bool whorl__scope_expired(const struct whorl__scope *scope)
{
    return scope->state == WHORL__SCOPE_DELIVERED || scope->state == WHORL__SCOPE_ON_ITS_WAY;
}

/* Whether the block is one that was entered, and not left: else its task may be gone, or is none.
 * relaxed: who has nothing else to tell that it is open has to see to that, as its memory goes. */
static inline bool whorl__scope_is_open(const struct whorl__scope *scope)
{
    return scope->task != NULL && !whorl__load_relaxed_u32(&scope->left); /* relaxed: see there */
}

/* A block of the parent's, in a child of fork: its task is not to be touched. */
static inline bool whorl__scope_is_inherited(const struct whorl__scope *scope)
{
    return WHORL_UNLIKELY(whorl__fork_generation != 0) && whorl__scope_is_open(scope) &&
           whorl__task_is_inherited(scope->task);
}

/* Whether it is among the open ones of the running task: so its memory is in use. */
bool whorl__cancel_scope_is_own_slow(const struct whorl_task *task,
                                     const struct whorl__scope *scope);

static inline bool whorl__cancel_scope_is_own(const struct whorl_task *task,
                                              const struct whorl__scope *scope)
{
    return task->scopes != NULL && whorl__cancel_scope_is_own_slow(task, scope);
}

/*
 * Before a scope is left: that it is the running task's, and the innermost that this one has open.
 * Else the process ends, and is told the public call, who made it, and whose block it was.
 */
void whorl__cancel_scope_check(const struct whorl__scope *scope, const char *call);

/*
 * The running task enters and leaves a scope. cancelled: the block ends with -ECANCELED. leave:
 * true if it is the scope's cancel, and nobody else's, that ends it.
 */
void whorl__cancel_scope_enter(struct whorl_task *task, struct whorl__scope *scope);
bool whorl__cancel_scope_leave(struct whorl_task *task, struct whorl__scope *scope,
                               bool cancelled);

/*
 * The running task enters and leaves a shielded section. Until it leaves it, a request of a user or
 * of a scope outside stays pending without the CANCEL bit: it ends no wait and is not passed on.
 */
void whorl__cancel_section_enter(struct whorl_task *task, struct whorl__section *section);
void whorl__cancel_section_leave(struct whorl_task *task, struct whorl__section *section);

/* The running task leaves a request that it was given for its next wait. */
void whorl__cancel_again(struct whorl_task *task);

/* At the end of the runtime: as request, once a task; and once more if it takes its time. */
void whorl__cancel_for_shutdown(struct whorl_task *task);
bool whorl__cancel_for_shutdown_again(struct whorl_task *task, const char *message);

#endif
