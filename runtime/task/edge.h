/*
 * edge.h - what future.c needs of the awaits that a program has told of.
 */
#ifndef WHORL_TASK_EDGE_H
#define WHORL_TASK_EDGE_H

#include "state/task.h"

/* Its future is done, or is freed; the waiter, of kind WHORL__WAITER_EDGE, is off the list. Under
 * no lock: what awaits may be freed by it. */
void whorl__edge_free(struct whorl__waiter *waiter);

#endif
