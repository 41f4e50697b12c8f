/*
 * barrier.h - so many meet, and go on together.
 *
 *      static struct whorl_barrier start = WHORL_BARRIER_INIT(4);
 *
 *      unsigned index;
 *      int error = whorl_barrier_wait(&start, &index);   // until all four are there
 *      if (error == 0 && index == 0) {
 *          error = announce();                           // one of them does
 *      }
 *
 *   filling:    those who come wait; the last one lets all go
 *   draining:   they leave; who comes now waits until the last of them has left, then it fills anew
 *   resetting:  those who wait leave with an error; then it fills anew
 *   broken:     everybody gets the error, until it is reset
 *
 * A waiter that is cancelled, or late, leaves, and the others wait for one more: the barrier is not
 * broken by it, unlike those of POSIX and of Python's threads.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one barrier. Every call may
 * meet every other one at the same time, on the same barrier:
 *
 *              wait   reset, abort   n_waiting, broken  init  destroy
 *      wait      -         -                 -           X     EBUSY
 *      reset     -         -                 -           X       X
 *      asking    -         -                 -           X       -
 *
 *      -      may meet
 *      X      must not
 *      EBUSY  destroy is refused; who comes after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_BARRIER_H
#define WHORL_BARRIER_H

#include "whorl/api.h"
#include "whorl/condition.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

/* Anywhere: static, on a stack, in other structs. Its contents belong to whorl. */
struct whorl_barrier {
    uint32_t parties;
    uint32_t opaque32;
    struct whorl_condition changed;
    uint64_t opaque[6];
};

/* For so many, 1 or more. */
#define WHORL_BARRIER_INIT(parties) {parties, 0, WHORL_CONDITION_INIT, {0, 0, 0, 0, 0, 0}}

/*
 * whorl_barrier_init - memory becomes a barrier; as WHORL_BARRIER_INIT, at run time.
 *
 * Returns 0, -EINVAL (NULL, parties 0 or above INT_MAX).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.Barrier
 * Since:   0.1, stable                  Source: runtime/sync/barrier.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_barrier_init(struct whorl_barrier *barrier,
                                                   unsigned parties);

/*
 * whorl_barrier_destroy - from here on every call with it is -EINVAL, until it is made anew.
 *
 * Returns 0, -EBUSY (somebody is in it; who waits is told to the exception handler), -EINVAL (NULL,
 * or destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/barrier.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_barrier_destroy(struct whorl_barrier *barrier);

/*
 * whorl_barrier_wait, whorl_barrier_wait_until - wait until all are there.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *   ret_index    the place in this round, from 0, by order of arrival; each gets another one. May
 *                be NULL
 *
 * Returns 0, -ENOTRECOVERABLE (it is broken, or was broken or reset while the caller waited),
 * -ECANCELED, -ETIMEDOUT, -EPERM (it would have to wait, in a callback), -EINVAL (NULL, destroyed,
 * for no number of parties that whorl_barrier_init takes), -ENOMEM (no room for the timer),
 * -ECHILD.
 *
 * From:    a task; a plain thread, which then blocks
 * Waits:   yes, not as the last one     Cancellation point: if it waits
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   everything that anyone of the round did before happens before the return
 * Model:   Barrier.wait
 * Since:   0.1, stable                  Source: runtime/sync/barrier.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_barrier_wait(struct whorl_barrier *barrier,
                                                   unsigned *ret_index);
WHORL_API WHORL_WARN_UNUSED int whorl_barrier_wait_until(struct whorl_barrier *barrier,
                                                         int64_t deadline_ns, unsigned *ret_index);

/*
 * whorl_barrier_reset, whorl_barrier_abort - send those away who are inside; for ever.
 *
 * Both end the wait of all inside with -ENOTRECOVERABLE. After a reset it fills anew, once they
 * have left; those who wait for that go on waiting. After an abort it is broken, also for those and
 * for who comes later, until it is reset.
 *
 * Return 0, -ECANCELED (nothing was done), -EPERM (it would have to wait, in a callback), -EINVAL
 * (NULL, destroyed), -ECHILD.
 *
 * From:    a task; a plain thread; a callback, if nobody is in the middle of it
 * Waits:   for its lock only            Cancellation point: if it waits   Allocates: no
 * Model:   Barrier.reset, Barrier.abort
 * Since:   0.1, stable                  Source: runtime/sync/barrier.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_barrier_reset(struct whorl_barrier *barrier);
WHORL_API WHORL_WARN_UNUSED int whorl_barrier_abort(struct whorl_barrier *barrier);

/* How many it is for, constant; 0 for NULL. Hints, of that moment: how many wait while it fills, 0
 * at other times; whether it is broken. */
WHORL_API unsigned whorl_barrier_parties(const struct whorl_barrier *barrier);
WHORL_API unsigned whorl_barrier_n_waiting(const struct whorl_barrier *barrier);
WHORL_API bool whorl_barrier_broken(const struct whorl_barrier *barrier);

WHORL_END

#endif
