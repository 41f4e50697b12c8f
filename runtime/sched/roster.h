/*
 * roster.h - the runtimes of this process, for whoever looks into them from outside.
 *
 *      struct whorl__runtime *runtime = NULL;
 *      while ((runtime = whorl__roster_next(runtime)) != NULL) { look }   to its end, or
 *      whorl__roster_leave(runtime);                                      when left early
 *
 * Threads:    add and remove by the thread that runs the runtime; next and leave by any, also in a
 *             signal handler: they take no lock and wait for nobody.
 */
#ifndef WHORL_SCHED_ROSTER_H
#define WHORL_SCHED_ROSTER_H

#include "sched/sched.h"

/* Where the list begins: struct whorl__runtime. For debuggers, which have no other way in. */
extern void *whorl__roster_head;

/* Nobody is on the list: in a child of fork, where its parent's runtimes are not; after a
 * simulated run, which may have failed and left its own. By the only thread there is. */
void whorl__roster_clear(void);

/* Numbers the runtime, and lets others find it. */
void whorl__roster_add(struct whorl__runtime *runtime);

/* From the return on nobody looks into it; waits for those who do. */
void whorl__roster_remove(struct whorl__runtime *runtime);

/*
 * The runtime that was started next after `last`, which is left; the first one after NULL. NULL:
 * there is no other. What is returned stays, all but its tasks, until it is left.
 */
struct whorl__runtime *whorl__roster_next(struct whorl__runtime *last);
void whorl__roster_leave(struct whorl__runtime *runtime);

/* That runtime, to be left again; NULL: it does not run. */
struct whorl__runtime *whorl__roster_find(uint64_t id);

#endif
