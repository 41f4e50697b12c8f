/*
 * all.h - the tasks of a runtime, for who has the runtime.
 */
#ifndef WHORL_TASK_ALL_H
#define WHORL_TASK_ALL_H

#include "sched/strand.h"

/* As whorl_all_tasks; strand: only those that are in it; NULL: all. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__all_tasks_in(struct whorl__runtime *runtime,
                                       const struct whorl__strand *strand,
                                       struct whorl_task ***ret_tasks, size_t *ret_count);

#endif
