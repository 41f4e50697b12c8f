/*
 * semaphore.h - so many at a time: units that are taken and given back, by anybody.
 *
 *      static struct whorl_semaphore places = WHORL_SEMAPHORE_INIT(100);
 *
 *      int error = whorl_semaphore_acquire(&places);
 *      if (error == 0) {
 *          error = fetch(page);
 *          int released = whorl_semaphore_release(&places);
 *      }
 *
 * Whoever waits stands in line and is served in the order of arrival. A release with somebody in
 * line hands its unit to the first of them: it is taken from then on, also before he runs; if he is
 * cancelled meanwhile, the next one gets it. Who comes while others are in line stands behind them,
 * even if a unit is free. With several loops a task that finds one free again and again gives way
 * now and then: docs/guide/fairness.md.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one semaphore. Every call may
 * meet every other one at the same time, on the same semaphore:
 *
 *                 acquire  try_acquire  release  value, locked  init  destroy
 *      acquire       -          -          -           -          X    EBUSY
 *      try_acquire   -          -          -           -          X      X
 *      release       -          -          -           -          X      X
 *      value, locked -          -          -           -          X      -
 *
 *      -      may meet
 *      X      must not
 *      EBUSY  destroy is refused; who comes after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_SEMAPHORE_H
#define WHORL_SEMAPHORE_H

#include "whorl/api.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

/* Units that a semaphore can have. */
#define WHORL_SEMAPHORE_MAX 0x1fffffff

enum whorl_semaphore_flags {
    /* More units given back than it began with are refused, if nobody else holds one. */
    WHORL_SEMAPHORE_BOUNDED = 1,
    /* Whoever comes when a unit is free gets it, also past those in line. */
    WHORL_SEMAPHORE_UNFAIR = 2
};

/* Anywhere: static, on a stack, in other structs. `opaque` belongs to whorl. */
struct whorl_semaphore {
    uint32_t flags;
    uint32_t first_value;
    uint32_t word;
    uint32_t opaque32;
    uint64_t opaque[6];
};

/* With 0 .. WHORL_SEMAPHORE_MAX units; and with flags. With less or more it is as one that was
 * destroyed: every call is -EINVAL. */
#define WHORL_SEMAPHORE_INIT(value) WHORL_SEMAPHORE_INIT_FLAGS(value, 0)
#define WHORL_SEMAPHORE_INIT_FLAGS(value, flags)                                                   \
    {flags, value, (value) + 0ULL > WHORL_SEMAPHORE_MAX ? 4U : (value) * 8U, 0, {0, 0, 0, 0, 0, 0}}

/*
 * whorl_semaphore_init - memory becomes a semaphore; as WHORL_SEMAPHORE_INIT_FLAGS, at run time.
 *
 * Returns 0, -EINVAL (NULL, a value below 0 or above WHORL_SEMAPHORE_MAX, unknown flags).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.Semaphore, asyncio.BoundedSemaphore
 * Since:   0.1, stable                  Source: runtime/sync/semaphore.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_semaphore_init(struct whorl_semaphore *semaphore,
                                                     int64_t value, unsigned flags);

/*
 * whorl_semaphore_destroy - from here on every call with it is -EINVAL, until it is made anew.
 *
 * Returns 0, -EBUSY (somebody waits; who does is told to the exception handler), -EINVAL (NULL, or
 * destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/semaphore.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_semaphore_destroy(struct whorl_semaphore *semaphore);

/*
 * whorl_semaphore_acquire, whorl_semaphore_acquire_until - take a unit, or wait for one.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * With a unit free and nobody in line there is no wait. On an error there is nothing to release.
 *
 * Returns 0, -ECANCELED (the caller was cancelled while it waited), -ETIMEDOUT, -EPERM (it would
 * have to wait, in a callback), -EINVAL (NULL, destroyed), -ENOMEM (no room for the timer),
 * -ECHILD (it was waited for in the process that this one was forked from).
 *
 * From:    a task; a plain thread, which then blocks; a callback, if a unit is free
 * Waits:   yes; if one is free, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   everything before the release of the unit happens before the return
 * Model:   Semaphore.acquire
 * Since:   0.1, stable                  Source: runtime/sync/semaphore.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_semaphore_acquire(struct whorl_semaphore *semaphore);
WHORL_API WHORL_WARN_UNUSED int whorl_semaphore_acquire_until(struct whorl_semaphore *semaphore,
                                                              int64_t deadline_ns);

/*
 * whorl_semaphore_try_acquire - without waiting: -EAGAIN if none is free, or others wait.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   as whorl_semaphore_acquire
 * Since:   0.1, stable                  Source: runtime/sync/semaphore.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_semaphore_try_acquire(struct whorl_semaphore *semaphore);

/*
 * whorl_semaphore_release - give a unit back, also one that was never taken: then there are more.
 *
 * Returns 0, -EOVERFLOW (there would be more than WHORL_SEMAPHORE_MAX, or, bounded, more than it
 * began with: nothing has changed), -EINVAL (NULL, destroyed), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before the call happens before the return of who acquires the unit
 * Model:   Semaphore.release
 * Since:   0.1, stable                  Source: runtime/sync/semaphore.c
 */
WHORL_API int whorl_semaphore_release(struct whorl_semaphore *semaphore);

/*
 * whorl_semaphore_leave - release a unit of *held, unless it is NULL, and make it NULL: for
 * WHORL_ON_LEAVE, as whorl_lock_leave.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   async with semaphore
 * Since:   0.1, stable                  Source: runtime/sync/semaphore.c
 */
WHORL_API void whorl_semaphore_leave(struct whorl_semaphore **held);

/* Hints, of that moment: whether an acquire would have to wait; how many units are free. True, and
 * 0, for NULL. */
WHORL_API bool whorl_semaphore_locked(struct whorl_semaphore *semaphore);
WHORL_API uint32_t whorl_semaphore_value(const struct whorl_semaphore *semaphore);

WHORL_END

#endif
