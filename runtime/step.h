/*
 * step.h - a runtime that is driven by whoever calls, for the files beside it.
 *
 * Owns:       nothing; step.c says what is whose.
 * Threads:    plain ones.
 */
#ifndef WHORL_STEP_H
#define WHORL_STEP_H

#include "sched/sched.h"

/* The calling thread drives the loop of a stepped runtime until leave, unless it has begun before;
 * nothing for one that has threads. -EBUSY: another thread drives it; -ESHUTDOWN: it is ending. */
WHORL_MUST_USE int whorl__step_enter(struct whorl__runtime *runtime, bool *ret_begun);
void whorl__step_leave(struct whorl__runtime *runtime, bool begun);

/* Who drives it closes it: nobody will any more. */
void whorl__step_finish(struct whorl__runtime *runtime);

/* Drives it until the future is done (NULL: never): 0, -EINPROGRESS: it was stopped; -EBUSY: by
 * another thread; -ESHUTDOWN; -ENOMEM. */
WHORL_MUST_USE int whorl__step_run(struct whorl__runtime *runtime, struct whorl_future *future);

#endif
