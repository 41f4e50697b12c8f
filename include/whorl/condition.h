/*
 * condition.h - wait, with a lock, until somebody says that something has changed.
 *
 *      static struct whorl_condition changed = WHORL_CONDITION_INIT;
 *      struct whorl_lock *const lock = whorl_condition_lock(&changed);
 *
 *      int error = whorl_lock_acquire(lock);
 *      while (error == 0 && queue_is_empty()) {
 *          error = whorl_condition_wait(&changed);    // without the lock meanwhile
 *      }                                              // with it, also if error is -ECANCELED
 *      ...
 *      int released = whorl_lock_release(lock);
 *
 * Who waits gives the lock back, stands in line, and has the lock again when the call returns,
 * whatever it returns. A cancel that comes while it takes the lock again is held back until then.
 * Who was notified and then cancelled hands the notification on; so a wait may return without one:
 * look at what you wait for in a loop, or let whorl_condition_wait_for do that.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one condition. Every call may
 * meet every other one at the same time, on the same condition:
 *
 *                wait   notify  lock  init  destroy
 *      wait        -      -      -     X     EBUSY
 *      notify      -      -      -     X       X
 *      lock        -      -      -     X       -
 *
 *      -      may meet; wait and notify are for who has the lock
 *      X      must not
 *      EBUSY  destroy is refused; who comes after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_CONDITION_H
#define WHORL_CONDITION_H

#include "whorl/api.h"
#include "whorl/lock.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* Anywhere: static, on a stack, in other structs. Its contents belong to whorl. */
struct whorl_condition {
    struct whorl_lock *lock;
    struct whorl_lock own_lock;
    uint64_t opaque[6];
};

/* With a lock of its own; with one that is there already, say that of another condition. */
#define WHORL_CONDITION_INIT            {0, WHORL_LOCK_INIT, {0, 0, 0, 0, 0, 0}}
#define WHORL_CONDITION_INIT_LOCK(lock) {lock, WHORL_LOCK_INIT, {0, 0, 0, 0, 0, 0}}

/*
 * whorl_condition_init - memory becomes a condition; as WHORL_CONDITION_INIT_LOCK, at run time.
 *
 *   lock  which lock; NULL: one of its own
 *
 * Returns 0, -EINVAL (condition NULL).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.Condition
 * Since:   0.1, stable                  Source: runtime/sync/condition.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_condition_init(struct whorl_condition *condition,
                                                     struct whorl_lock *lock);

/*
 * whorl_condition_destroy - from here on every call with it is -EINVAL, until it is made anew.
 *
 * Its own lock goes with it; a lock that it was given stays.
 *
 * Returns 0, -EBUSY (somebody waits, or its own lock is in use; who waits is told to the exception
 * handler), -EINVAL (NULL, or destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/condition.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_condition_destroy(struct whorl_condition *condition);

/* Its lock, its own or the one it was given: to acquire, to release, to ask. NULL for NULL. */
WHORL_API struct whorl_lock *whorl_condition_lock(struct whorl_condition *condition);

/*
 * whorl_condition_wait, whorl_condition_wait_until - release the lock, wait for a notification,
 * acquire the lock again.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds, for the notification; WHORL_NEVER waits for
 *                ever. Acquiring the lock again takes as long as it takes
 *
 * Returns 0, -ECANCELED (the caller was cancelled), -ETIMEDOUT, all with the lock; -EPERM (the lock
 * is not held, or by somebody else who is known; or it is a callback), -EINVAL (NULL, destroyed),
 * -ENOMEM (no room for the timer), -ECHILD, and then nothing was done.
 *
 * From:    a task; a plain thread, which then blocks; who has the lock
 * Waits:   yes                          Cancellation point: yes
 * Allocates: no; with a deadline: room for timers
 * Order:   everything before the notify, and before the release of the lock, happens before the
 *          return
 * Model:   Condition.wait
 * Since:   0.1, stable                  Source: runtime/sync/condition.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_condition_wait(struct whorl_condition *condition);
WHORL_API WHORL_WARN_UNUSED int whorl_condition_wait_until(struct whorl_condition *condition,
                                                           int64_t deadline_ns);

/* Called with the lock held: 0: not yet; else what the wait returns: a count, or -errno. */
typedef int whorl_predicate(void *arg);

/*
 * whorl_condition_wait_for - wait until the predicate is not 0; at once if it is so now.
 *
 *   deadline_ns  as of whorl_condition_wait_until, for all of it
 *
 * Returns what the predicate has returned; -ETIMEDOUT if it is still 0 at the deadline; else the
 * errors of whorl_condition_wait_until.
 *
 * From:    a task; a plain thread, which then blocks; who has the lock
 * Waits:   yes, not if it is so         Cancellation point: if it waits
 * Allocates: no; with a deadline: room for timers
 * Order:   as whorl_condition_wait
 * Model:   Condition.wait_for
 * Since:   0.1, stable                  Source: runtime/sync/condition.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_condition_wait_for(struct whorl_condition *condition,
                                                         whorl_predicate *predicate, void *arg,
                                                         int64_t deadline_ns);

/*
 * whorl_condition_notify, whorl_condition_notify_all - wake the first `count` who wait; all.
 *
 * They go on once they have the lock, so not before the caller has released it. With nobody there
 * the notification is lost.
 *
 * Returns 0, -EPERM (the lock is not held, or by somebody else who is known), -EINVAL (NULL,
 * destroyed), -ECHILD.
 *
 * From:    anywhere, by who has the lock  Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before the call happens before the return of who it wakes
 * Model:   Condition.notify, Condition.notify_all
 * Since:   0.1, stable                  Source: runtime/sync/condition.c
 */
WHORL_API int whorl_condition_notify(struct whorl_condition *condition, size_t count);
WHORL_API int whorl_condition_notify_all(struct whorl_condition *condition);

WHORL_END

#endif
