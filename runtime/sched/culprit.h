/*
 * culprit.h - names the task that holds its loop, once, with its stack.
 *
 * Owns:       task->stall_reported.
 * Threads:    the monitor's.
 */
#ifndef WHORL_SCHED_CULPRIT_H
#define WHORL_SCHED_CULPRIT_H

#include "base/compiler.h"

struct whorl__loop;

/* Loads what a stack walk needs, so that the report itself allocates as little as possible. */
void whorl__culprit_prepare(void);

/*
 * Logs the loop's current task, how long it has held the loop, and where it is; nothing if that
 * task was named before. `runs` is the loop's count of runs as it was sampled: if it has moved on
 * meanwhile, the task is gone and nothing is logged.
 */
void whorl__culprit_report(struct whorl__loop *loop, uint64_t runs, int64_t held_ns);

#endif
