/*
 * atend.h - what else there is to be done at the end of a runtime, once no task is left.
 *
 *   tasks are cancelled and waited for
 *   GENERATORS, the newest first; tasks that those have made are waited for
 *   POOLS, the newest first; tasks that those have made are waited for
 *   the loops stop
 *
 * Owns:       struct whorl__at_ends; a struct whorl__at_end belongs to who embeds it.
 * Threads:    add and remove: any that keeps the runtime from being freed. The functions are called
 *             on the thread that ends the runtime, which is none of its loops, without a lock: they
 *             may block, join threads, wake and cancel tasks, add and remove.
 * Invariant:  a function is called at most once, and only while it is registered; the struct is not
 *             touched any more once its function has begun.
 */
#ifndef WHORL_SCHED_ATEND_H
#define WHORL_SCHED_ATEND_H

#include "base/list.h"
#include "lockfree/spinlock.h"

#include <stdbool.h>

struct whorl__runtime;

enum whorl__at_end_stage { WHORL__AT_END_GENERATORS, WHORL__AT_END_POOLS, WHORL__AT_END_STAGES };

struct whorl__at_end {
    struct whorl__list link; /* M(at_ends); in no list once it was called */
    void (*function)(struct whorl__at_end *self);
};

struct whorl__at_ends {
    struct whorl__spinlock lock;
    struct whorl__list stages[WHORL__AT_END_STAGES]; /* M(at_ends) */
};

void whorl__at_ends_init(struct whorl__at_ends *at_ends);

/* self->function is to be called at the end; self stays until then, or until it was removed. */
void whorl__at_end_add(struct whorl__runtime *runtime, enum whorl__at_end_stage stage,
                       struct whorl__at_end *self);

/* True: it will not be called. False: it was, or is being called by another thread. */
bool whorl__at_end_remove(struct whorl__runtime *runtime, struct whorl__at_end *self);

/* A round of the end is over, and somebody has not ended, as was reported: the process aborts if it
 * was the last that the options allow. */
void whorl__at_end_round(struct whorl__runtime *runtime, int *rounds);

/* Calls what a stage holds, and what is added meanwhile; true: there was any. */
bool whorl__at_ends_run(struct whorl__runtime *runtime, enum whorl__at_end_stage stage);

#endif
