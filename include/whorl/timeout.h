/*
 * timeout.h - a deadline over a block of code.
 *
 *      struct whorl_timeout timeout;
 *      whorl_timeout_enter(&timeout, whorl_after(2 * WHORL_SECOND));
 *      int error = talk_to(peer);                      // -ECANCELED inside, once the time is over
 *      error = whorl_timeout_exit(&timeout, error);    // -ETIMEDOUT outside
 *
 * At the deadline the task is cancelled inside the block; leaving it turns that cancel, and only
 * that one, into -ETIMEDOUT. Nothing arrives late: a deadline that fires while the block is being
 * left is taken back. Blocks nest, and must be left in reverse order by the task that entered.
 */
#ifndef WHORL_TIMEOUT_H
#define WHORL_TIMEOUT_H

#include "whorl/api.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

/* Lives on the caller's stack; its contents belong to whorl. */
struct whorl_timeout {
    uint64_t opaque[16];
};

/*
 * whorl_timeout_enter - from here on the calling task has until deadline_ns.
 *
 *   deadline_ns  WHORL_NEVER: none for now; one that has passed cancels at the next real wait
 *
 * Returns 0, -EPERM (not in a task), -ENOMEM (no room for the timer), -EINVAL (timeout NULL): then
 * no block is open; or -EALREADY: the caller has this one open, and it stays as it is.
 *
 * From:    a task                       Waits: no      Allocates: room for timers
 * Model:   asyncio.timeout_at, __aenter__
 * Since:   0.1, stable                  Source: runtime/task/timeout.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_timeout_enter(struct whorl_timeout *timeout,
                                                    int64_t deadline_ns);

/*
 * whorl_timeout_exit - leave the block.
 *
 *   error    how the block ended: 0, -errno or a count; all but -ECANCELED is passed through
 *
 * Returns -ETIMEDOUT if the deadline cancelled the block, error is -ECANCELED and nobody else asked
 * the task to end since it was entered (in fast order: or before, unless the task has met that
 * already); else error as it was; -EINVAL (timeout NULL). From the task that entered, innermost
 * block first: else the process aborts, with a line that names the call and the task.
 *
 * From:    the task that entered        Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.timeout_at, __aexit__
 * Since:   0.1, stable                  Source: runtime/task/timeout.c
 */
WHORL_API int whorl_timeout_exit(struct whorl_timeout *timeout, int error);

/*
 * Move the deadline; to the past fires at once, WHORL_NEVER switches it off. From any thread while
 * the block is open (the caller sees to that): 0, -EINVAL (the deadline has passed and cancels the
 * block; it was left, or never entered), or -ENOMEM (no room for the timer; the block then has no
 * deadline).
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: room for timers
 * Model:   Timeout.reschedule
 * Since:   0.1, stable                  Source: runtime/task/timeout.c
 */
WHORL_API int whorl_timeout_reschedule(struct whorl_timeout *timeout, int64_t deadline_ns);

/* The deadline, WHORL_NEVER if none; whether it cancelled the block, or, in strict order, will at
 * its next wait: also when the block was left. */
WHORL_API int64_t whorl_timeout_when(const struct whorl_timeout *timeout);
WHORL_API bool whorl_timeout_expired(const struct whorl_timeout *timeout);

WHORL_END

#endif
