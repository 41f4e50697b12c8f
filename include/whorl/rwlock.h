/*
 * rwlock.h - many who read, or one who writes.
 *
 *      static struct whorl_rwlock table_lock = WHORL_RWLOCK_INIT;
 *
 *      int error = whorl_rwlock_acquire_read(&table_lock);
 *      if (error == 0) {
 *          found = look_up(key);
 *          int released = whorl_rwlock_release_read(&table_lock);
 *      }
 *
 * Who waits stands in line, and is served in the order of arrival: readers one behind the other go
 * together, a writer alone. Who comes to read while a writer stands in line stands behind him; so
 * neither side keeps the other out for ever. Hence who reads must not acquire it to read once more:
 * if a writer has come in between, both wait for ever. asyncio has no such lock.
 * With several loops a task that may at once, again and again, gives way now and then:
 * docs/guide/fairness.md.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one lock. Every call may meet
 * every other one at the same time, on the same lock:
 *
 *                 acquire  try forms  release  init  destroy
 *      acquire       -         -         -      X     EBUSY
 *      try forms     -         -         -      X       X
 *      release       -         -         -      X       X
 *
 *      -      may meet
 *      X      must not
 *      EBUSY  destroy is refused; who comes after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_RWLOCK_H
#define WHORL_RWLOCK_H

#include "whorl/api.h"

#include <stdint.h>

WHORL_BEGIN

/* Anywhere: static, on a stack, in other structs. Its contents belong to whorl. */
struct whorl_rwlock {
    uint64_t opaque[8];
};

/* A free one. */
#define WHORL_RWLOCK_INIT {{0, 0, 0, 0, 0, 0, 0, 0}}

/*
 * whorl_rwlock_init - memory becomes a free lock; as WHORL_RWLOCK_INIT, at run time.
 *
 * Returns 0, -EINVAL (NULL).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/rwlock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_init(struct whorl_rwlock *lock);

/*
 * whorl_rwlock_destroy - from here on every call with the lock is -EINVAL, until it is made anew.
 *
 * Returns 0, -EBUSY (it is held, or somebody waits for it; who does is told to the exception
 * handler), -EINVAL (NULL, or destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/rwlock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_destroy(struct whorl_rwlock *lock);

/*
 * whorl_rwlock_acquire_read, whorl_rwlock_acquire_write, and until a deadline - wait until the
 * caller may read; until it may write.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * Returns 0, -ECANCELED (the caller was cancelled while it waited), -ETIMEDOUT, -EPERM (it would
 * have to wait, in a callback), -EINVAL (NULL, destroyed), -ENOMEM (no room for the timer),
 * -ECHILD (it was held or waited for in the process that this one was forked from). On an error
 * there is nothing to release.
 *
 * From:    a task; a plain thread, which then blocks; a callback, if it need not wait
 * Waits:   yes; if it may at once, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   everything before the releases that let it in happens before the return
 * Since:   0.1, stable                  Source: runtime/sync/rwlock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_acquire_read(struct whorl_rwlock *lock);
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_acquire_read_until(struct whorl_rwlock *lock,
                                                                int64_t deadline_ns);
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_acquire_write(struct whorl_rwlock *lock);
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_acquire_write_until(struct whorl_rwlock *lock,
                                                                 int64_t deadline_ns);

/*
 * whorl_rwlock_try_acquire_read, whorl_rwlock_try_acquire_write - without waiting: -EAGAIN.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   as the others
 * Since:   0.1, stable                  Source: runtime/sync/rwlock.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_try_acquire_read(struct whorl_rwlock *lock);
WHORL_API WHORL_WARN_UNUSED int whorl_rwlock_try_acquire_write(struct whorl_rwlock *lock);

/*
 * whorl_rwlock_release_read, whorl_rwlock_release_write - give it back; who is next goes in.
 *
 * Return 0, -EPERM (nobody reads, nobody writes), -EINVAL (NULL, destroyed), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before the call happens before the return of who it lets in
 * Since:   0.1, stable                  Source: runtime/sync/rwlock.c
 */
WHORL_API int whorl_rwlock_release_read(struct whorl_rwlock *lock);
WHORL_API int whorl_rwlock_release_write(struct whorl_rwlock *lock);

/*
 * whorl_rwlock_leave_read, whorl_rwlock_leave_write - release *held, unless it is NULL, and make it
 * NULL: for WHORL_ON_LEAVE, as whorl_lock_leave.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/rwlock.c
 */
WHORL_API void whorl_rwlock_leave_read(struct whorl_rwlock **held);
WHORL_API void whorl_rwlock_leave_write(struct whorl_rwlock **held);

WHORL_END

#endif
