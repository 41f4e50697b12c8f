/*
 * behind.h - who waits for a task and is on no list of it.
 *
 *   in line for a lock that it owns    only its address is known, and only in debug mode
 *   the one in whose place it runs     it was awaited before it began: task/inline.c
 *
 * Threads:    any, not in a signal handler. Every task of the process is looked at.
 */
#ifndef WHORL_DEBUG_BEHIND_H
#define WHORL_DEBUG_BEHIND_H

#include "state/task.h"

/* Takes over a reference. 0 to go on. */
typedef int whorl__behind_visit(struct whorl_future *awaiter, void *arg);

/* In no order; who awaits it otherwise as well may be among them. 0, -ENOMEM, what visit
 * returned. */
WHORL_MUST_USE int whorl__behind_visit_all(struct whorl_task *task, whorl__behind_visit *visit,
                                           void *arg);

#endif
