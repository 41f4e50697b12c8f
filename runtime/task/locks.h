/*
 * locks.h - locks of the program that a task holds, as libwhorl-locks.so has noted them.
 */
#ifndef WHORL_TASK_LOCKS_H
#define WHORL_TASK_LOCKS_H

#include "sched/sched.h"

/* Debug mode is on: the library is told, if it is in the process. Any thread, several times. */
void whorl__locks_start(struct whorl__runtime *runtime);

/* The end of the runtime, when its threads are gone. */
void whorl__locks_stop(struct whorl__runtime *runtime);

/* The running task waits, or has waited: tells of the locks that it holds, once for each place.
 * False: it holds none. */
bool whorl__locks_tell(struct whorl_task *task);

#endif
