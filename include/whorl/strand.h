/*
 * strand.h - tasks that never run at the same time, on however many loops: what is written for one
 * loop stays correct on many.
 *
 *      static struct whorl_strand strand = WHORL_STRAND_INIT;
 *
 *      int chat(void *arg)
 *      {
 *          int error = whorl_strand_enter(&strand);   // this task, and all that it spawns
 *          ...
 *      }
 *
 * Of the tasks of one strand one runs at a time. It has the turn until it waits, gives way or ends;
 * then the one that has been ready longest gets it, on whatever loop. So what no asyncio task needs
 * a lock for, no task of a strand needs one for: what it does between two waits happens as a whole,
 * and everything the others did before is seen. A wait gives the turn up even if others of the
 * strand are not ready yet; when it is over, the task stands behind those that were ready before.
 *
 * A task is in the strand of the task that spawned it, or in the one of its attributes
 * (whorl_attr.strand), or with WHORL_NO_STRAND in none. Awaiting, cancelling, timeouts, groups and
 * locks work from one strand to another as within one. A task that blocks its thread, or computes
 * for long, keeps the turn all that time: what is long belongs into a task of no strand, or a
 * thread (whorl_to_thread).
 *
 * With one loop tasks take turns anyway, and a strand changes nothing of their order; unless that
 * loop keeps fast order (WHORL_MODE_STEALING), where it gives its tasks theirs.
 *
 * Callbacks that are asked for in a strand are in it too (whorl_call_soon, whorl_call_later, done
 * callbacks: whorl/callback.h): they take turns with its tasks, and what they spawn is in it. From
 * anywhere else a callback is asked for in a strand by whorl_call_attr.strand, a task is spawned
 * there by whorl_attr.strand; from plain threads by whorl_call_soon_threadsafe, whorl_spawn_remote.
 *
 * A strand is used by the tasks of one runtime at a time. Every call may meet every other one at
 * the same time, but for init; destroy is refused while there are tasks or callbacks in it.
 */
#ifndef WHORL_STRAND_H
#define WHORL_STRAND_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdint.h>

WHORL_BEGIN

/* Anywhere: static, on a stack, in other structs, as long as tasks or callbacks are in it. `opaque`
 * belongs to whorl. */
struct whorl_strand {
    uint64_t opaque[8];
};

/* One that nobody is in. */
#define WHORL_STRAND_INIT {{0, 0, 0, 0, 0, 0, 0, 0}}

/*
 * whorl_strand_init - memory becomes a strand; as WHORL_STRAND_INIT, at run time.
 *
 * Returns 0, -EINVAL (NULL).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/strand.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_strand_init(struct whorl_strand *strand);

/*
 * whorl_strand_destroy - from here on no task can be in it, until it is made anew.
 *
 * There is nothing to free: a strand that nobody is in may as well be forgotten. That is so as soon
 * as its tasks are known to have ended, and its callbacks to have been called or dropped.
 *
 * Returns 0, -EBUSY (tasks or callbacks are in it; some tasks are named to the exception handler),
 * -EINVAL (NULL, or destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: if it is refused
 * Since:   0.1, stable                  Source: runtime/task/strand.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_strand_destroy(struct whorl_strand *strand);

/* The strand that the calling task or callback is in; NULL: none. */
WHORL_API struct whorl_strand *whorl_strand_current(void);

/*
 * whorl_strand_enter - from here on the calling task is in this strand, and no more in its own.
 *
 *   strand  NULL: in none
 *
 * It waits for its turn there, like one that was spawned into it; it has given up its own by then.
 * What it spawns from here on is in the strand; what it has spawned before is where it was.
 *
 * Returns 0, -EINVAL (destroyed), -EXDEV (tasks of another runtime are in it), -EPERM (not in a
 * task), -ECHILD. On failure nothing has changed.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   for its turn                 Cancellation point: no      Allocates: no
 * Order:   everything that tasks of the strand did before happens before the return
 * Since:   0.1, stable                  Source: runtime/task/strand.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_strand_enter(struct whorl_strand *strand);

/*
 * whorl_strand_run - have body(arg) run in this strand, and wait for what it returns.
 *
 *   strand  NULL: in none
 *   near    for a plain thread: a task of the runtime that is to run it, as for
 *           whorl_spawn_remote; NULL: the caller's own
 *
 * A task goes there itself, with its own stack: it gives up its own turn, waits for that of the
 * strand, calls body, and comes back, when it has its own turn again. A cancel reaches it in what
 * body waits for. In the strand that it is in already body is simply called. For a plain thread, or
 * a task of another runtime, a task is made, and awaited.
 *
 * Returns what body returned; or, with body not called: -EINVAL (body NULL; destroyed), -EXDEV
 * (tasks of another runtime are in it), -EPERM (neither in a task nor near one; a callback),
 * -ECHILD; for a plain thread also as whorl_spawn_remote.
 *
 * From:    a task; a plain thread, which then blocks               Thread-safe: yes
 * Waits:   for its turn, there and back; for body
 * Cancellation point: no; what body waits for                      Allocates: for a plain thread
 * Order:   everything that tasks of the strand did before happens before body
 * Model:   loop.call_soon_threadsafe, with a result
 * Since:   0.1, stable                  Source: runtime/task/strand.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_strand_run(struct whorl_strand *strand,
                                                 struct whorl_task *near, whorl_body *body,
                                                 void *arg);

/*
 * whorl_strand_join - wait until no task is in the strand, and no callback.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * At some moment during the call nobody was in it; somebody may have come since. Tasks are not
 * cancelled: not at the deadline, not with the caller. Who is in another strand by whorl_strand_run
 * still counts in his own, and would wait there for himself, up to the deadline.
 *
 * Returns 0, -EDEADLK (the caller is in it), -ETIMEDOUT, -ECANCELED, -EINVAL (NULL, destroyed),
 * -ENOMEM, -EPERM (a callback, and it would have to wait), -ECHILD.
 *
 * From:    a task; a plain thread, which then blocks               Thread-safe: yes
 * Waits:   yes, not if nobody is in it  Cancellation point: if it waits
 * Allocates: a future
 * Order:   everything that was done in it happens before the return
 * Since:   0.1, stable                  Source: runtime/task/strand.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_strand_join(struct whorl_strand *strand,
                                                  int64_t deadline_ns);

WHORL_END

#endif
