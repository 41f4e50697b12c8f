/*
 * time.h - the clock, deadlines, sleep.
 *
 * All times are int64_t nanoseconds on CLOCK_MONOTONIC. A function that ends in _until takes an
 * absolute deadline; WHORL_NEVER waits for ever.
 */
#ifndef WHORL_TIME_H
#define WHORL_TIME_H

#include "whorl/api.h"

#include <stdint.h>

WHORL_BEGIN

#define WHORL_NEVER       INT64_MAX
#define WHORL_MICROSECOND INT64_C(1000)
#define WHORL_MILLISECOND INT64_C(1000000)
#define WHORL_SECOND      INT64_C(1000000000)

/* The present time. From anywhere; does not wait. */
WHORL_API int64_t whorl_now(void);

/* The time duration_ns from now: never past WHORL_NEVER, and now for a negative duration. */
WHORL_API int64_t whorl_after(int64_t duration_ns);

/*
 * whorl_sleep - let duration_ns pass.
 *
 *   duration_ns  nanoseconds; 0 and less give way once, as whorl_yield
 *
 * Returns 0, -ECANCELED (the task was cancelled; its timer is gone), -EPERM (not in a task),
 * -ENOMEM (no room for the timer; no time has passed).
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes, parks the task          Cancellation point: yes     Allocates: room for timers
 * Model:   asyncio.sleep
 * Since:   0.1, stable                  Source: runtime/task/sleep.c
 */
WHORL_API int whorl_sleep(int64_t duration_ns);

/*
 * whorl_sleep_until - the same until an absolute time. A time that has passed gives way once.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes, parks the task          Cancellation point: yes     Allocates: room for timers
 * Model:   asyncio.sleep, to an absolute time
 * Since:   0.1, stable                  Source: runtime/task/sleep.c
 */
WHORL_API int whorl_sleep_until(int64_t deadline_ns);

/*
 * whorl_yield - let everything run that is ready on this loop now, then go on.
 *
 * Returns 0, -ECANCELED (a cancel was pending), -EPERM (not in a task).
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   one pass                     Cancellation point: yes     Allocates: no
 * Model:   asyncio.sleep(0); with several loops the task may go on elsewhere
 * Since:   0.1, stable                  Source: runtime/task/sleep.c
 */
WHORL_API int whorl_yield(void);

WHORL_END

#endif
