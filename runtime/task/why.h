/*
 * why.h - why a task was asked to end: made up by who asks, kept in the task's block.
 *
 *   who asks   fills a struct whorl_why on his stack, before any lock: it has his own name in it
 *   cancel.c   adds a hop for each task that passes the request on, and writes it down, under the
 *              lock of each task that gets it, in extra->why
 *
 * Owns:       extra->why.
 * Threads:    what is on the stack is its thread's; extra->why is M(lock of the task).
 * Invariant:  a name is empty, and a number not 0, if the task has no name of its own: the words
 *             Task-N are made when somebody reads. Without memory the request goes its way, and is
 *             not noted.
 */
#ifndef WHORL_TASK_WHY_H
#define WHORL_TASK_WHY_H

#include "task/extra.h"

#include "whorl/why.h"

/* The calling task, callback or thread asks. Under no task's lock. */
void whorl__why_asked(struct whorl_why *why);

/* It was told to `task`, which passes it on, or what is noted of it, if anything is. As above. */
void whorl__why_passed_on(struct whorl_why *why, struct whorl_task *task);

/* Number and name of a task. Under its lock. */
void whorl__why_name_locked(struct whorl_task *task, uint64_t *ret_number,
                            char ret_name[WHORL_TASK_NAME_MAX + 1]);

/* One more hop: task 0 is a gather. */
void whorl__why_add_hop(struct whorl_why *why, uint64_t task, const char *name);

/* For the task's block, or NULL: it has one, or there is no memory. Under no lock; who calls need
 * not have a reference. */
struct whorl__extra *whorl__why_room(struct whorl_task *task);

/* Notes it in the task's block, which is *room if it has none yet: then *room is NULL after it. */
void whorl__why_note_locked(struct whorl_task *task, const struct whorl_why *why,
                            struct whorl__extra **room);

/* What is noted. Under the task's lock. */
void whorl__why_read_locked(struct whorl_task *task, struct whorl_why *ret_why);

/* In words, for a report; false: nobody has asked. */
bool whorl__why_text(struct whorl_task *task, char *ret_text, size_t bytes);

#endif
