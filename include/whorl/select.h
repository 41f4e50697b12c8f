/*
 * select.h - wait for several things at once, and do the first that can be done: an item of a
 * queue, room in one, the end of a task, an event, a lock, a time.
 *
 *      struct whorl_select_case cases[] = {
 *          WHORL_CASE_GET(&jobs),
 *          WHORL_CASE_PUT(&results, result),
 *          WHORL_CASE_DONE(whorl_task_future(peer)),
 *          WHORL_CASE_TIME(whorl_after(5 * WHORL_SECOND)),
 *      };
 *      switch (whorl_select(cases, 4)) {
 *      case 0: work(cases[0].item); break;     // it was got from jobs; the other three: untouched
 *      case 1: result = NULL; break;           // it was put
 *      case 2: return 0;                       // peer has ended
 *      case 3: say_something(); break;         // five seconds have passed
 *      default: return -ECANCELED;             // none of them
 *      }
 *
 * Exactly one is done, or none if it fails: an item of another queue stays there, and the item of
 * another put stays the caller's. Meanwhile the caller has a place in each line, as one who waits
 * for that alone. What it was let in to and does not take, because another case was faster or it
 * was cancelled, goes to the next one in that line: nothing is lost, and nothing is there twice.
 *
 * If several can be done, one of them is drawn by lot, so that none starves. With one loop
 * (asyncio's order) it is the first of them as they stand in the array. To prefer one everywhere,
 * ask for it first: whorl_queue_try_get, then select.
 * With several loops a task that finds one that can be done again and again gives way now and then:
 * docs/guide/fairness.md.
 *
 * A case that can only fail counts as one that can be done: of a queue that is shut down, a put, or
 * a get when it is empty. It is then the one that was chosen, and its error is -ESHUTDOWN.
 *
 * No cases are:
 *
 *      a condition        its wait is two waits: for the notification, and then for the lock, which
 *                         is not to be given up any more
 *      a barrier          who has come is counted on by the others: they go on, and he with them
 *      a read-write lock  a writer in line holds off who comes to read, also if he then goes
 *                         elsewhere
 *      once               who is let in has to do it
 *      a queue's join     as all that has no case: a task that joins, and its end as a case
 *
 * The same thing may be in several cases, also to put and to get. The cases are the caller's: they
 * may be used again as they are, and stay where they are until the call returns. What they name may
 * be used by anybody at the same time, but for a destroy, which is -EBUSY while somebody waits.
 */
#ifndef WHORL_SELECT_H
#define WHORL_SELECT_H

#include "whorl/api.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_event;
struct whorl_future;
struct whorl_lock;
struct whorl_queue;
struct whorl_semaphore;

enum whorl_select_kind {
    WHORL_SELECT_NEVER,    /* nothing: a case that is switched off keeps its number */
    WHORL_SELECT_GET,      /* an item was got */
    WHORL_SELECT_PUT,      /* the item was put */
    WHORL_SELECT_DONE,     /* the future is done; ask it how. It is only watched: a cancel of the
                              caller does not go on to it */
    WHORL_SELECT_TIME,     /* the time has come */
    WHORL_SELECT_EVENT,    /* the event was set */
    WHORL_SELECT_LOCK,     /* the lock is the caller's */
    WHORL_SELECT_SEMAPHORE /* a unit is the caller's */
};

/* Most cases of one call; up to WHORL_SELECT_SMALL of them nothing is allocated. */
#define WHORL_SELECT_MAX   65535
#define WHORL_SELECT_SMALL 8

/* One of them; best made by the macros below. */
struct whorl_select_case {
    uint32_t kind;   /* enum whorl_select_kind */
    int error;       /* written if it is the one: 0, or -ESHUTDOWN, -ENOMEM of a queue; also if it
                        is the one that the call is refused for */
    void *of;        /* the queue, future, event, lock or semaphore; else NULL */
    void *item;      /* PUT: the item; GET: written, if it is the one and its error is 0 */
    int64_t time_ns; /* TIME: absolute CLOCK_MONOTONIC nanoseconds */
};

/* Initialisers, of which the compiler checks what they are given. */
#define WHORL_CASE_NEVER                {WHORL_SELECT_NEVER, 0, 0, 0, 0}
#define WHORL_CASE_GET(queue)           WHORL_CASE_OF(GET, struct whorl_queue, queue, 0)
#define WHORL_CASE_PUT(queue, item)     WHORL_CASE_OF(PUT, struct whorl_queue, queue, item)
#define WHORL_CASE_DONE(future)         WHORL_CASE_OF(DONE, struct whorl_future, future, 0)
#define WHORL_CASE_TIME(time_ns)        {WHORL_SELECT_TIME, 0, 0, 0, time_ns}
#define WHORL_CASE_EVENT(event)         WHORL_CASE_OF(EVENT, struct whorl_event, event, 0)
#define WHORL_CASE_LOCK(lock)           WHORL_CASE_OF(LOCK, struct whorl_lock, lock, 0)
#define WHORL_CASE_SEMAPHORE(semaphore)                                                            \
    WHORL_CASE_OF(SEMAPHORE, struct whorl_semaphore, semaphore, 0)
#define WHORL_CASE_OF(kind, type, what, item)                                                      \
    {WHORL_SELECT_##kind, 0, 1 ? (what) : (type *)0, item, 0}

/*
 * whorl_select, whorl_select_until - wait until one of the cases can be done, and do it.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * A case that can be done at once is done without a wait.
 *
 * Returns the number of the case, from 0; -ECANCELED (nothing was done), -ETIMEDOUT, -EDEADLK (the
 * end of the calling task, or a WHORL_LOCK_OWNED that it has), -EPERM (it would have to wait, in a
 * callback), -ENOMEM, -EINVAL (NULL, an unknown kind, something destroyed, more than
 * WHORL_SELECT_MAX; or no case that could ever be done and no deadline: none, or all are NEVER),
 * -ECHILD (something was in use in the process that this one was forked from).
 *
 * From:    a task; a plain thread, which then blocks; a callback, if a case can be done
 * Waits:   yes; if a case can be done, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: with more than WHORL_SELECT_SMALL cases; as the case that is done; with a time or a
 * deadline: room for timers, if it waits
 * Order:   as the call that the case stands for
 * Model:   asyncio.wait(FIRST_COMPLETED) over a task for each, without what is lost by that; Go's
 * select
 * Since:   0.1, stable                  Source: runtime/sync/select.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_select(struct whorl_select_case *cases, size_t count);
WHORL_API WHORL_WARN_UNUSED int whorl_select_until(struct whorl_select_case *cases, size_t count,
                                                   int64_t deadline_ns);

/*
 * whorl_select_try - the same without waiting: -EAGAIN if no case can be done now, also of no cases
 * at all. (Go's select with a default.)
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no
 * Allocates: with more than WHORL_SELECT_SMALL cases; as the case that is done
 * Order:   as the call that the case stands for
 * Since:   0.1, stable                  Source: runtime/sync/select.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_select_try(struct whorl_select_case *cases, size_t count);

WHORL_END

#endif
