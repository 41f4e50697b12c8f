/*
 * whorl.h - asyncio for C on every core: all stable headers, in reading order.
 *
 * A program gives whorl_run() a function; that function is the first task. Tasks spawn tasks, await
 * them, sleep, read and write; every waiting call simply returns when it is done. There is one
 * event loop per core, and an idle loop takes over tasks that wait in another loop's queue.
 *
 * What every function here has in common, unless its comment says otherwise:
 *   - int results are 0 (or a count, or a descriptor) on success and -errno on failure; errno
 *     itself is never the way an error is told, and its value is kept per task;
 *   - outputs named ret_x are written on success only;
 *   - a NULL where something is needed is -EINVAL; from a bool false, from a pointer NULL, and
 *     where nothing is returned nothing happens. What gives back or frees takes NULL;
 *   - times are absolute nanoseconds on CLOCK_MONOTONIC, WHORL_NEVER means no deadline;
 *   - "waits" means that the task is parked and its loop runs others; every waiting call is a
 *     cancellation point and may then return -ECANCELED;
 *   - after a waiting call the task may continue on another thread: do not keep the address of a
 *     thread-local over it, and hold no pthread mutex across it;
 *   - a child made by fork has none of its parent's loops: there a call that would need one returns
 *     -ECHILD (a bool: false) at once, what was done before stays readable, and whorl_run starts a
 *     runtime of the child's own. A body must not return in a child: exit, or exec.
 */
#ifndef WHORL_H
#define WHORL_H

#include "whorl/api.h"
#include "whorl/error.h"
#include "whorl/time.h"
#include "whorl/report.h"
#include "whorl/runtime.h"
#include "whorl/task.h"
#include "whorl/why.h"
#include "whorl/context.h"
#include "whorl/future.h"
#include "whorl/timeout.h"
#include "whorl/group.h"
#include "whorl/wait.h"
#include "whorl/shield.h"
#include "whorl/race.h"
#include "whorl/lock.h"
#include "whorl/semaphore.h"
#include "whorl/event.h"
#include "whorl/condition.h"
#include "whorl/barrier.h"
#include "whorl/queue.h"
#include "whorl/rwlock.h"
#include "whorl/once.h"
#include "whorl/select.h"
#include "whorl/strand.h"
#include "whorl/executor.h"
#include "whorl/callback.h"
#include "whorl/iterator.h"
#include "whorl/generator.h"
#include "whorl/exit_stack.h"
#include "whorl/blocking.h"
#include "whorl/io.h"
#include "whorl/stats.h"
#include "whorl/debug.h"
#include "whorl/sim.h"
#include "whorl/testing.h"

#endif
