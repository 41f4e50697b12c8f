/*
 * executor.h - what executors are made of, and what their files offer each other.
 *
 *   executor.c         the queue, the threads, room, the end: all that the lock protects
 *   work.c             work on its way in: submit, to_thread
 *   default_executor.c which executors a runtime has, and what becomes of them at its end
 *
 * Owns:       struct whorl_executor, struct whorl__work.
 * Threads:    any; see executor.c.
 */
#ifndef WHORL_TASK_EXECUTOR_H
#define WHORL_TASK_EXECUTOR_H

#include "sched/sched.h"
#include "task/future.h"

#define WHORL__EXECUTOR_IDLE_NS (10 * WHORL_SECOND)

enum whorl__work_place {
    WHORL__WORK_WAITING, /* for room */
    WHORL__WORK_QUEUED,
    WHORL__WORK_TAKEN,  /* by a thread; or in no list yet */
    WHORL__WORK_DROPPED /* it will not run */
};

struct whorl__work {
    struct whorl__free_future head;  /* first: it is a future, and freed as one */
    struct whorl__list link;         /* M(executor): in queue or waiting */
    enum whorl__work_place place;                /* M(executor) */
    int refusal;                     /* M(executor): why one that waited was dropped */
    struct whorl_executor *executor; /* C */
    whorl_body *body;                /* C */
    void *arg;                       /* C */
    void (*arg_free)(void *arg);     /* C */
    void *value;                     /* its thread's */
    int error;                       /* its thread's: what body has returned */
    void *context;                   /* its thread's: a word of context.h; NULL: none */
    struct whorl_task *submitter;    /* M(executor): the task that waits for room; else NULL */
    whorl__handle handle;            /* M(executor): its wait */
    uint32_t answered;               /* A: futex of a thread that waits for room */
};

struct whorl__member; /* one of its threads */

struct whorl_executor {
    struct whorl__spinlock lock;
    uint32_t references;        /* A */
    uint32_t bell;              /* A: M(executor) to write; futex of idle threads */
    uint32_t generation;        /* C: sys/fork.h */
    struct whorl__list queue;   /* M(executor) */
    struct whorl__list waiting; /* M(executor): for room */
    unsigned threads;           /* M(executor): that take work */
    unsigned alive;             /* M(executor): these, and those that are leaving */
    unsigned idle;              /* M(executor): see above */
    unsigned numbers;           /* M(executor): of threads, for their names */
    size_t queued;              /* M(executor) */
    size_t blocked;             /* M(executor): length of waiting */
    uint64_t done;              /* M(executor) */
    bool closed;                /* M(executor) */
    bool abandoned;             /* M(executor): nobody joins, threads detach themselves */
    bool given;                 /* M(executor): a runtime has it */
    int broken;                 /* M(executor): the error of thread_begin */
    struct whorl__member *left; /* M(executor): the thread that left last, not joined */
    struct whorl_future *ended; /* C: completed when closed and without threads */
    struct whorl_executor *next_owned; /* M(executors) of its runtime */
    unsigned threads_max;       /* C */
    struct whorl_executor_options options; /* C: name and threads_max stand apart */
    char name[WHORL_EXECUTOR_NAME_MAX + 1]; /* C */
};

/* ---- executor.c ---- */

/* The mark stands for all that the lock protects. */
static inline void whorl__executor_lock(struct whorl_executor *executor)
{
    whorl__spin_lock(&executor->lock);
    whorl__plain_write(&executor->queue);
}

static inline void whorl__executor_unlock(struct whorl_executor *executor)
{
    whorl__spin_unlock(&executor->lock);
}

static inline bool whorl__executor_is_inherited(const struct whorl_executor *executor)
{
    return whorl__fork_inherited(executor->generation);
}

/* Puts new work into the queue or, if there is no room, on the list of those that wait for it: see
 * its place. 0, -EAGAIN (no room and `try`; no thread can be made), -ENOMEM, -EPERM, the error of
 * an executor that takes none. */
WHORL_MUST_USE int whorl__executor_add(struct whorl__work *work, bool try);
/* Whether it still waits for room; if so, a task (NULL: a thread) is woken by the answer, and may
 * park. */
bool whorl__executor_waits(struct whorl__work *work, struct whorl_task *task);
/* Takes it off the list of those that wait. False: it has its answer. */
bool whorl__executor_give_up(struct whorl__work *work);
/* Drops it if no thread has taken it. */
void whorl__executor_withdraw(struct whorl__work *work);

/* Takes no more work. */
void whorl__executor_close(struct whorl_executor *executor, bool cancel);
unsigned whorl__executor_threads(struct whorl_executor *executor);

/* ---- work.c ---- */

/* What whorl_return does on a thread of an executor; on any other, whorl__error_outside. */
int whorl__work_return(void *value);

/* ---- default_executor.c ---- */

/* The default executor of the caller's runtime, made if there is none. */
WHORL_MUST_USE int whorl__executor_find_default(struct whorl_executor **ret_executor);
/* The same, not made: NULL if there is none. 0 or whorl__error_outside. */
WHORL_MUST_USE int whorl__executor_look_default(struct whorl_executor **ret_executor);

#endif
