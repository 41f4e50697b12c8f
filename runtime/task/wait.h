/*
 * wait.h - a watch whose futures are not all there when it begins: for race.c.
 *
 * It is an iteration like that of whorl_as_completed and ended by whorl_completed_free.
 *
 * Threads:    futures are added by one thread at a time, which is the one that calls next.
 */
#ifndef WHORL_TASK_WAIT_H
#define WHORL_TASK_WAIT_H

#include "base/compiler.h"
#include "whorl.h"

/* With `count` places, at least one; NULL: out of memory. */
struct whorl_completed *whorl__watch_new(size_t count);

/* Puts a future into an empty place; keeps a reference. It may be done already. */
void whorl__watch_add(struct whorl_completed *watch, size_t index, struct whorl_future *future);

/* As whorl_completed_next, by its own deadline. It waits for one more to be done, even if none was
 * added that could be: the caller counts. */
int whorl__watch_next(struct whorl_completed *completed, int64_t deadline_ns, size_t *ret_index);

#endif
