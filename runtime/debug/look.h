/*
 * look.h - what can be seen of a task by anyone, at any time, without its help.
 *
 * Owns:       struct whorl__look.
 * Threads:    any, also in a signal handler, while the runtime is visited (sched/roster.h).
 * Invariant:  nothing is waited for. What stands under the task's lock is read if the lock is free,
 *             and is else unknown. The task's word is read before and after the rest: if phase and
 *             epoch did not change, the rest belongs to that wait of that task (steady).
 */
#ifndef WHORL_DEBUG_LOOK_H
#define WHORL_DEBUG_LOOK_H

#include "sched/sched.h"
#include "task/extra.h"
#include "whorl/why.h"

#define WHORL__LOOK_CHILDREN 16

enum whorl__look_state {
    WHORL__LOOK_READY,   /* it could run, or is about to be queued */
    WHORL__LOOK_RUNNING, /* a loop is in it */
    WHORL__LOOK_PARKED,
    WHORL__LOOK_DONE, /* it has ended, and somebody holds a reference */
};

/* Something that can be awaited: a task's serial, or the address of another future. */
struct whorl__look_awaited {
    enum whorl__future_kind kind;
    uint64_t id;
};

struct whorl__look {
    uint64_t word;
    enum whorl__look_state state;
    bool steady;
    uint32_t future_word;
    uint32_t references;
    uint64_t serial;
    unsigned loop;
    int pin;
    uint64_t body;
    uint64_t born_ns;
    uint64_t parked_ns;
    uint64_t waits_on;
    uint64_t wake_ns;
    const struct whorl__fiber *fiber; /* NULL: not begun */
    size_t stack_now;                 /* bytes in use; 0: unknown, for it runs */

    /* Under the task's lock. */
    bool locked; /* it was free, and what follows was read */
    char name[WHORL_TASK_NAME_MAX + 1];
    int requests;
    const char *message; /* of the newest request */
    struct whorl_why why;
    uint64_t owned_count; /* locks that know it as their owner; in debug mode */
    const void *owned[WHORL__OWNED_MAX]; /* some of them; NULL: none */
    unsigned timeouts;   /* open blocks */
    int64_t timeout_ns;  /* the first deadline among them */
    bool awaits;         /* something that is not done */
    struct whorl__look_awaited awaited;
    bool gathers;        /* it awaits a gather */
    size_t children;     /* of that, and how many are not done */
    size_t children_pending;
    unsigned shown; /* of those, the first */
    struct whorl__look_awaited child[WHORL__LOOK_CHILDREN];
};

/* False: the slot holds no task. */
bool whorl__look_at_task(struct whorl_task *task, struct whorl__look *look);

/* The locks that know it as their owner: how many, and some of them, else NULL. Waits for the
 * task's lock: not in a signal handler. */
uint64_t whorl__look_at_owned(struct whorl_task *task, const void *ret_owned[WHORL__OWNED_MAX]);

/* What a parked task waits for, if it is a future. */
struct whorl__look_awaited whorl__look_awaited(uint64_t waits_on);

#endif
