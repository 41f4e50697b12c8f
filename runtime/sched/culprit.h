/*
 * culprit.h - names the task that holds its loop, once, with its stack; in debug mode each one that
 * has held it for too long.
 *
 * Owns:       task->stall_reported.
 * Threads:    the monitor's; tell: the loop's.
 */
#ifndef WHORL_SCHED_CULPRIT_H
#define WHORL_SCHED_CULPRIT_H

#include "base/compiler.h"
#include "whorl/task.h"

struct whorl__loop;

/* Loads what a stack walk needs, so that no signal handler has to. */
void whorl__culprit_prepare(void);

/*
 * Logs the loop's current task, how long it has held the loop, and where it is; nothing if that
 * task was named before, but for debug mode. True: it did.
 *
 *   runs     the loop's count of runs as it was sampled: if it has moved on, the task is gone
 *   held_ns  how long the task has run without a wait
 *   cpu_ns   CPU time its thread had since half a report time: with less than a quarter of one, and
 *            in no system call, it is no culprit but was kept from its core by the kernel
 */
bool whorl__culprit_report(struct whorl__loop *loop, uint64_t runs, int64_t held_ns,
                           int64_t cpu_ns);

/* The same of a call that the loop makes between two tasks. False: the kernel kept it from its
 * core, ask again. */
bool whorl__culprit_report_call(struct whorl__loop *loop, const void *function, int64_t held_ns,
                                int64_t cpu_ns);

/*
 * In debug mode, when a step of a task, or a call, is over: a line in the log if it took as long as
 * report_ns. The monitor only samples, and may see none of a step that is not much longer.
 *
 *   task  has left its stack, and is not published yet
 */
void whorl__culprit_tell_step(struct whorl__loop *loop, struct whorl_task *task, int64_t took_ns);
void whorl__culprit_tell_call(struct whorl__loop *loop, const void *function, int64_t took_ns);

/* In the child of a fork: a report that another thread was making is not there any more. */
void whorl__culprit_forked(void);

#endif
