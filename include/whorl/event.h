/*
 * event.h - a flag that many wait for.
 *
 *      static struct whorl_event ready = WHORL_EVENT_INIT;
 *
 *      int error = whorl_event_wait(&ready);          // here: until it is set
 *      int was_set = whorl_event_set(&ready);         // there: all who wait go on
 *
 * Setting it wakes all who wait at that moment, in the order of arrival, each once: also if it is
 * cleared again before they run. So who comes back from the wait may find it clear, and looks again
 * if it matters. Who begins to wait after the clear waits for the next set.
 * With several loops a task that finds it set again and again gives way now and then:
 * docs/guide/fairness.md.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one event. Every call may meet
 * every other one at the same time, on the same event:
 *
 *              wait   set   clear  is_set  init  destroy
 *      wait      -     -      -      -      X    EBUSY
 *      set       -     -      -      -      X      X
 *      clear     -     -      -      -      X      X
 *      is_set    -     -      -      -      X      -
 *
 *      -      may meet
 *      X      must not
 *      EBUSY  destroy is refused, also while those who were woken have not returned; who comes
 *             after a destroy that was not gets -EINVAL
 */
#ifndef WHORL_EVENT_H
#define WHORL_EVENT_H

#include "whorl/api.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

/* Anywhere: static, on a stack, in other structs. Its contents belong to whorl. */
struct whorl_event {
    uint64_t opaque[8];
};

/* Not set. */
#define WHORL_EVENT_INIT {{0, 0, 0, 0, 0, 0, 0, 0}}

/*
 * whorl_event_init - memory becomes an event that is not set; as WHORL_EVENT_INIT, at run time.
 *
 * Returns 0, -EINVAL (NULL).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.Event
 * Since:   0.1, stable                  Source: runtime/sync/event.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_event_init(struct whorl_event *event);

/*
 * whorl_event_destroy - from here on every call with it is -EINVAL, until it is made anew.
 *
 * Returns 0, -EBUSY (somebody waits; who does is told to the exception handler), -EINVAL (NULL, or
 * destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/event.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_event_destroy(struct whorl_event *event);

/*
 * whorl_event_wait, whorl_event_wait_until - wait until it is set; without a wait if it is.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * Returns 0, -ECANCELED (the caller was cancelled while it waited), -ETIMEDOUT, -EPERM (it would
 * have to wait, in a callback), -EINVAL (NULL, destroyed), -ENOMEM (no room for the timer),
 * -ECHILD (it was waited for in the process that this one was forked from).
 *
 * From:    a task; a plain thread, which then blocks; a callback, if it is set
 * Waits:   yes; if it is set, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   everything before the set happens before the return
 * Model:   Event.wait
 * Since:   0.1, stable                  Source: runtime/sync/event.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_event_wait(struct whorl_event *event);
WHORL_API WHORL_WARN_UNUSED int whorl_event_wait_until(struct whorl_event *event,
                                                       int64_t deadline_ns);

/*
 * whorl_event_set, whorl_event_clear - the flag, and all who wait for it; the flag alone.
 *
 * Setting a set event and clearing a clear one do nothing. Return 0, -EINVAL (NULL, destroyed),
 * -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before a set happens before the return of who it lets go on
 * Model:   Event.set, Event.clear
 * Since:   0.1, stable                  Source: runtime/sync/event.c
 */
WHORL_API int whorl_event_set(struct whorl_event *event);
WHORL_API int whorl_event_clear(struct whorl_event *event);

/* Whether it is set, at that moment; what was done before the set is seen. False for NULL. */
WHORL_API bool whorl_event_is_set(const struct whorl_event *event);

WHORL_END

#endif
