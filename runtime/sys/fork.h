/*
 * fork.h - a child of fork has the memory of its parent's runtimes, and none of their threads.
 *
 * Owns:       whorl__fork_generation: how many forks of a process that knew of whorl lie between
 *             the first process and this one.
 * Threads:    written in the child of a fork, where the forking thread is alone; read by anyone.
 * Invariant:  what was made in an earlier generation is never waited for, locked or changed: who
 *             would answer or unlock is not there, and the pollers are the parent's, too.
 *             Nothing is noticed of vfork and posix_spawn, whose children only go on to exec, nor
 *             of a clone that is called by hand.
 * Not chosen: getpid in each call: a system call, since glibc keeps it no longer. A page that a
 *             child finds cleared (MADV_WIPEONFORK): it tells, and does nothing of what is to do.
 */
#ifndef WHORL_SYS_FORK_H
#define WHORL_SYS_FORK_H

#include "base/compiler.h"

#include <errno.h>
#include <stdbool.h>

struct whorl__worker;

extern uint32_t whorl__fork_generation; /* C, in each process */

/* Whether something made in `generation` came here by a fork. */
static inline bool whorl__fork_inherited(uint32_t generation)
{
    return WHORL_UNLIKELY(generation != whorl__fork_generation);
}

/* What a call that only a task may make returns to anybody else. */
static inline int whorl__error_outside(void)
{
    return whorl__fork_generation == 0 ? -EPERM : -ECHILD;
}

/* From the first call on, forks are noticed. 0, or -ENOMEM, and then always. */
WHORL_MUST_USE int whorl__fork_watch(void);

/*
 * What else is to be done in a child: `forked` gets the worker whose thread forked, or NULL. That
 * thread is no worker any more when it is called.
 */
void whorl__fork_on_child(void (*forked)(struct whorl__worker *worker));

/* Around calls into libraries that take locks of their own and do not know of fork: none happens
 * meanwhile. Nothing that calls back into the program, or waits, stands between the two. */
void whorl__fork_hold(void);
void whorl__fork_release(void);

#endif
