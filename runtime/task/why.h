/*
 * why.h - why a task was asked to end: made up by who asks, noted in the task's block.
 *
 *   who asks   fills a struct whorl_why on his stack, before any lock: it has his own name in it
 *   cancel.c   adds a hop for each task that passes the request on, and notes it, under the lock of
 *              each task that gets it, in extra->note
 *
 * One note may be many tasks': who asks them all, one after the other, says the same of each. A
 * loop keeps the note that was made there last, or that a task has left, with a stock of references
 * (as of contexts, context.c): so they are counted without locked operations.
 *
 * Owns:       struct whorl__note; extra->note; loop->note.
 * Threads:    what is on the stack is its thread's; extra->note is M(lock of the task).
 * Invariant:  a note that a task has is not written any more. A name is empty, and a number not 0,
 *             if the task has no name of its own: the words Task-N are made when somebody reads.
 *             Without memory the request goes its way, and is not noted.
 */
#ifndef WHORL_TASK_WHY_H
#define WHORL_TASK_WHY_H

#include "task/extra.h"

#include "whorl/why.h"

struct whorl__note {
    uint32_t references;  /* A */
    struct whorl_why why; /* C */
};

/* What it takes to note something, which is had before the task's lock. */
struct whorl__why_room {
    struct whorl__extra *block; /* for a task that has none; NULL: no need, used, or no memory */
    struct whorl__note *note;   /* NULL: no memory, or used */
};

/* The calling task, callback or thread asks. Under no task's lock. */
void whorl__why_asked(struct whorl_why *why);

/* It was told to `task`, which passes it on, or what is noted of it, if anything is. As above. */
void whorl__why_passed_on(struct whorl_why *why, struct whorl_task *task);

/* Number and name of a task. Under its lock. */
void whorl__why_name_locked(struct whorl_task *task, uint64_t *ret_number,
                            char ret_name[WHORL_TASK_NAME_MAX + 1]);

/* One more hop: task 0 is a gather. */
void whorl__why_add_hop(struct whorl_why *why, uint64_t task, const char *name);

/* To note `why`; who calls need not have a reference on the task. Under no lock. */
struct whorl__why_room whorl__why_room(struct whorl_task *task, const struct whorl_why *why);
void whorl__why_room_free(struct whorl__why_room *room);

/* Notes it. Of a deadline's the task's own part may have been added since the room was made. */
void whorl__why_note_locked(struct whorl_task *task, const struct whorl_why *why,
                            struct whorl__why_room *room);

/* A task's is given back. `here` as in drop_on, or NULL; the note may be NULL. */
void whorl__note_release(struct whorl__note *note, struct whorl__loop *here);

/* Before the loop goes. */
void whorl__why_loop_fini(struct whorl__loop *loop);

/* What is noted. Under the task's lock. */
void whorl__why_read_locked(struct whorl_task *task, struct whorl_why *ret_why);

/* In words, for a report; false: nobody has asked. */
bool whorl__why_text(struct whorl_task *task, char *ret_text, size_t bytes);

#endif
