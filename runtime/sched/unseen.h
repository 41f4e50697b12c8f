/*
 * unseen.h - a task or future that has failed, and is let go of before anybody has looked.
 */
#ifndef WHORL_SCHED_UNSEEN_H
#define WHORL_SCHED_UNSEEN_H

#include "sched/sched.h"

/*
 * The last reference has gone, and whorl__future_is_unseen: a report. Then the caller has a
 * reference again, and gives it back once more: the handler may have taken one of its own.
 */
void whorl__unseen_tell_task(struct whorl_task *task);
void whorl__unseen_tell_future(struct whorl_future *future);

#endif
