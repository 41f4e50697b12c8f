/*
 * lock.h - one at a time: a lock that parks the task that waits for it, not the thread.
 *
 *      static struct whorl_lock lock = WHORL_LOCK_INIT;
 *
 *      int error = whorl_lock_acquire(&lock);
 *      if (error == 0) {
 *          error = talk_to(peer);            // may wait: other tasks run, and wait for the lock
 *          int released = whorl_lock_release(&lock);
 *      }
 *
 * Whoever waits stands in line, and gets the lock in the order of arrival. A release with somebody
 * in line reserves the lock for the first of them: until he runs, whorl_lock_locked is false, and
 * who comes in between stands behind him all the same. If he was cancelled meanwhile, the next one
 * gets it. So who releases and acquires again in a loop alternates with the others. With several
 * loops a task that finds it free again and again gives way now and then: docs/guide/fairness.md.
 *
 * The lock has no owner: any task or thread may release it, and who acquires it twice waits for
 * himself, for ever. WHORL_LOCK_OWNED gives it one.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one lock. Every call may meet
 * every other one at the same time, on the same lock:
 *
 *                 acquire  try_acquire  release  locked  init  destroy
 *      acquire       -          -          -       -      X     EBUSY
 *      try_acquire   -          -          -       -      X       X
 *      release       -          -          -       -      X       X
 *      locked        -          -          -       -      X       -
 *
 *      -      may meet
 *      X      must not; who acquired the lock last may destroy it when he has released it, even
 *             while another thread is still about to return from its release
 *      EBUSY  destroy is refused; who comes after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_LOCK_H
#define WHORL_LOCK_H

#include "whorl/api.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_task;

enum whorl_lock_flags {
    /* Whoever comes when the lock is free gets it, also past those in line: higher throughput where
     * sections are short, and no promise of an order or of an end of waiting. */
    WHORL_LOCK_UNFAIR = 1,
    /* It knows its owner: acquiring it twice is -EDEADLK, releasing somebody else's -EPERM;
     * whorl_lock_owner tells who has it, and so does the report of a destroy that was refused. In
     * debug mode dumps show under `owns` which a task has, and a task that ends and has one is
     * reported. Costs a look at who calls. */
    WHORL_LOCK_OWNED = 2
};

/* Anywhere: static, on a stack, in other structs. `opaque` belongs to whorl. */
struct whorl_lock {
    uint64_t flags;
    uint64_t opaque[7];
};

/* A free lock; or one with flags. */
#define WHORL_LOCK_INIT              {0, {0, 0, 0, 0, 0, 0, 0}}
#define WHORL_LOCK_INIT_FLAGS(flags) {flags, {0, 0, 0, 0, 0, 0, 0}}

/*
 * whorl_lock_init - memory becomes a free lock; as WHORL_LOCK_INIT_FLAGS, at run time.
 *
 * Returns 0, -EINVAL (lock NULL, unknown flags).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.Lock
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_lock_init(struct whorl_lock *lock, unsigned flags);

/*
 * whorl_lock_destroy - from here on every call with the lock is -EINVAL, until it is made anew.
 *
 * There is nothing to free: a lock that nobody uses may as well be forgotten.
 *
 * Returns 0, -EBUSY (it is held, or somebody waits for it; who does is told to the exception
 * handler, and who has it, if it knows its owner), -EINVAL (NULL, or destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_lock_destroy(struct whorl_lock *lock);

/*
 * whorl_lock_acquire, whorl_lock_acquire_until - wait until the lock is the caller's.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * A free lock that nobody waits for is taken at once, without a wait. On an error the lock is not
 * the caller's: there is nothing to release.
 *
 * Returns 0, -ECANCELED (the caller was cancelled while it waited), -ETIMEDOUT, -EDEADLK (it is
 * the caller's already; WHORL_LOCK_OWNED), -EPERM (it would have to wait, in a callback), -EINVAL
 * (NULL, destroyed), -ENOMEM (no room for the timer), -ECHILD (it was held or waited for in the
 * process that this one was forked from).
 *
 * From:    a task; a plain thread, which then blocks; a callback, if it is free
 * Waits:   yes; if it is free, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   everything before the release that freed it happens before the return
 * Model:   Lock.acquire
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_lock_acquire(struct whorl_lock *lock);
WHORL_API WHORL_WARN_UNUSED int whorl_lock_acquire_until(struct whorl_lock *lock,
                                                         int64_t deadline_ns);

/*
 * whorl_lock_try_acquire - the same without waiting: -EAGAIN if it is held, or others wait for it.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   as whorl_lock_acquire
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_lock_try_acquire(struct whorl_lock *lock);

/*
 * whorl_lock_release - give it back; the first in line is to have it.
 *
 * Returns 0, -EPERM (it is not held; or, with WHORL_LOCK_OWNED, not by the caller: nothing has
 * changed), -EINVAL (NULL, destroyed), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before the call happens before the return of the next acquire
 * Model:   Lock.release
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API int whorl_lock_release(struct whorl_lock *lock);

/*
 * whorl_lock_leave - release *held, unless it is NULL, and make it NULL. For WHORL_ON_LEAVE
 * (exit_stack.h), so that a lock is released wherever the function returns:
 *
 *      WHORL_ON_LEAVE(whorl_lock_leave) struct whorl_lock *held = NULL;
 *      int error = whorl_lock_acquire(&lock);
 *      if (error != 0) {
 *          return error;
 *      }
 *      held = &lock;
 *
 * From:    anywhere                     Thread-safe: as whorl_lock_release
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   async with lock
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API void whorl_lock_leave(struct whorl_lock **held);

/*
 * whorl_lock_owner - the task that has a lock with WHORL_LOCK_OWNED.
 *
 * Of that moment: unless it is the caller, the lock may be another's when it is looked at. To find
 * the task, all of its runtime are looked through: it is for messages and for debugging.
 *
 * Returns a reference, to be given back by whorl_task_unref; NULL: nobody has it, a plain thread or
 * a task that has ended has it, it was made without WHORL_LOCK_OWNED, or lock is NULL.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/lock.c
 */
WHORL_API struct whorl_task *whorl_lock_owner(const struct whorl_lock *lock);

/* Whether somebody has it, at that moment: a hint, unless it is the caller. False for NULL. */
WHORL_API bool whorl_lock_locked(const struct whorl_lock *lock);

WHORL_END

#endif
