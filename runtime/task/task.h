/*
 * task.h - what the runtime needs of tasks beyond the public calls.
 */
#ifndef WHORL_TASK_TASK_H
#define WHORL_TASK_TASK_H

#include "sched/sched.h"

/* What fibers run: one task after the other. */
void whorl__task_entry(struct whorl__fiber *self);

/* Ends a task that never got a stack. */
void whorl__task_abandon(struct whorl_task *task, int error);

/* The main task, from the thread that starts the runtime. */
WHORL_MUST_USE int whorl__task_spawn_main(struct whorl__runtime *runtime, whorl_body *body,
                                          void *arg, struct whorl_task **ret_task);

#endif
