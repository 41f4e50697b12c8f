/*
 * queue.h - items from those who put to those who get; with a limit, if wanted.
 *
 *      static struct whorl_queue pages = WHORL_QUEUE_INIT(100);
 *
 *      int error = whorl_queue_put(&pages, page);      // here; waits while there are 100
 *      int error = whorl_queue_get(&pages, &page);     // there; waits while there are none
 *      int done = whorl_queue_task_done(&pages);       // page was dealt with
 *      int error = whorl_queue_join(&pages);           // until all were
 *      int shut = whorl_queue_shutdown(&pages, false); // no more are put; what is there is got
 *
 * Whoever waits stands in line and is served in the order of arrival. With several loops, and for
 * plain threads, an item that woke somebody is his: who gets in between finds it not there; if he
 * is cancelled meanwhile, the next one gets it. With one loop it is as in asyncio: who gets in
 * between takes it, and who was woken waits again, at the end of the line.
 *
 * Items of one who puts are got in the order in which he put them (LIFO and priority apart). One
 * who puts into a queue with room, or gets from one with items, does not wait. With one loop he so
 * gives no others a turn. With several he gives way now and then (docs/guide/fairness.md), but for
 * puts into a queue without a limit, which stops nobody.
 *
 * Tasks of any loop, of several runtimes, and plain threads may use one queue. Every call may meet
 * every other one at the same time, on the same queue:
 *
 *                   put, get  try forms  task_done, join  shutdown  asking  init  destroy
 *      put, get         -         -             -             -        -      X    EBUSY
 *      try forms        -         -             -             -        -      X      X
 *      task_done, join  -         -             -             -        -      X    EBUSY
 *      shutdown         -         -             -             -        -      X      X
 *      asking           -         -             -             -        -      X      X
 *
 *      -      may meet
 *      X      must not
 *      EBUSY  destroy is refused while they wait; who comes after a destroy that was not gets
 *             -EINVAL
 */
#ifndef WHORL_QUEUE_H
#define WHORL_QUEUE_H

#include "whorl/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* Which item is got next. */
enum whorl_queue_kind {
    WHORL_QUEUE_FIFO,    /* the oldest */
    WHORL_QUEUE_LIFO,    /* the newest */
    WHORL_QUEUE_PRIORITY /* the lowest; among equal ones any */
};

/* As of qsort: negative if `a` comes before `b`, 0, positive. It is called with the queue locked:
 * it must not wait, nor call anything of whorl. */
typedef int whorl_queue_compare(const void *a, const void *b);

/* Anywhere: static, on a stack, in other structs. `opaque` belongs to whorl. */
struct whorl_queue {
    uint32_t kind;
    uint32_t max;                  /* items; 0: no limit */
    whorl_queue_compare *compare;  /* of a priority queue */
    void (*item_free)(void *item); /* for items that nobody will get, of a shutdown or a destroy.
                                      May be set before the queue is used; NULL: they are dropped */
    uint64_t opaque[28];
};

/* Empty ones, for up to so many items; 0: any number. */
#define WHORL_QUEUE_INIT(max)      {WHORL_QUEUE_FIFO, max, 0, 0, {0}}
#define WHORL_QUEUE_INIT_LIFO(max) {WHORL_QUEUE_LIFO, max, 0, 0, {0}}
#define WHORL_QUEUE_INIT_PRIORITY(max, compare)                                                    \
    {WHORL_QUEUE_PRIORITY, max, compare, 0, {0}}

/*
 * whorl_queue_init - memory becomes an empty queue; as the macros above, at run time.
 *
 *   max      how many items it holds; 0 or less: any number
 *   compare  of a priority queue; else NULL
 *
 * Returns 0, -EINVAL (NULL, an unknown kind, a priority queue without compare or another with one,
 * max above UINT32_MAX).
 *
 * From:    anywhere                     Thread-safe: no: nobody else may use it yet
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_queue_init(struct whorl_queue *queue,
                                                 enum whorl_queue_kind kind, int64_t max,
                                                 whorl_queue_compare *compare);

/*
 * whorl_queue_destroy - free its memory; from here on every call with it is -EINVAL, until it is
 * made anew. Items that are left go to item_free.
 *
 * Returns 0, -EBUSY (somebody waits; who does is told to the exception handler), -EINVAL (NULL, or
 * destroyed before), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: see above
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_queue_destroy(struct whorl_queue *queue);

/*
 * whorl_queue_put, whorl_queue_put_until - put an item, or wait for room.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * On an error the item was not put: it is the caller's.
 *
 * Returns 0, -ESHUTDOWN (it is shut down, or was while the caller waited), -ECANCELED, -ETIMEDOUT,
 * -EPERM (it would have to wait, in a callback), -ENOMEM (no room for the item or the timer),
 * -EINVAL (NULL, destroyed), -ECHILD (it was in use in the process that this one was forked from).
 *
 * From:    a task; a plain thread, which then blocks; a callback, if there is room
 * Waits:   yes; if there is room under a limit, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: now and then: room for more than 8 items; with a deadline: room for timers
 * Order:   everything before the put happens before the return of the get that has the item
 * Model:   Queue.put
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_queue_put(struct whorl_queue *queue, void *item);
WHORL_API WHORL_WARN_UNUSED int whorl_queue_put_until(struct whorl_queue *queue, void *item,
                                                      int64_t deadline_ns);

/*
 * whorl_queue_get, whorl_queue_get_until - get the next item, or wait for one.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * On an error nothing was taken.
 *
 * Returns 0, -ESHUTDOWN (it is shut down and empty), -ECANCELED, -ETIMEDOUT, -EPERM (it would have
 * to wait, in a callback), -ENOMEM (no room for the timer), -EINVAL (NULL, destroyed), -ECHILD.
 *
 * From:    a task; a plain thread, which then blocks; a callback, if there is an item
 * Waits:   yes; if there is one, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   as whorl_queue_put
 * Model:   Queue.get
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_queue_get(struct whorl_queue *queue, void **ret_item);
WHORL_API WHORL_WARN_UNUSED int whorl_queue_get_until(struct whorl_queue *queue,
                                                      int64_t deadline_ns, void **ret_item);

/*
 * whorl_queue_try_put, whorl_queue_try_get - the same without waiting: -EAGAIN if there is no room,
 * or no item, that is not somebody's who waits already.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no
 * Allocates: as the others
 * Order:   as the others
 * Model:   Queue.put_nowait, Queue.get_nowait
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_queue_try_put(struct whorl_queue *queue, void *item);
WHORL_API WHORL_WARN_UNUSED int whorl_queue_try_get(struct whorl_queue *queue, void **ret_item);

/*
 * whorl_queue_task_done - an item that was got has been dealt with.
 *
 * Returns 0, -EOVERFLOW (more often than items were put: nothing has changed), -EINVAL (NULL,
 * destroyed), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before it happens before the return of who joins
 * Model:   Queue.task_done
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API int whorl_queue_task_done(struct whorl_queue *queue);

/*
 * whorl_queue_join, whorl_queue_join_until - wait until every item that was put is done.
 *
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER waits for ever
 *
 * Also after a shutdown. Who was woken goes on, whatever is put after that.
 *
 * Returns 0, -ECANCELED, -ETIMEDOUT, -EPERM (it would have to wait, in a callback), -ENOMEM (no
 * room for the timer), -EINVAL (NULL, destroyed), -ECHILD.
 *
 * From:    a task; a plain thread, which then blocks
 * Waits:   yes; if all are done, it may give way
 * Cancellation point: if it waits or gives way
 * Allocates: no; with a deadline: room for timers, if it waits
 * Order:   everything before each task_done happens before the return
 * Model:   Queue.join
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_queue_join(struct whorl_queue *queue);
WHORL_API WHORL_WARN_UNUSED int whorl_queue_join_until(struct whorl_queue *queue,
                                                       int64_t deadline_ns);

/*
 * whorl_queue_shutdown - from here on nothing is put, and nobody waits for what will not come.
 *
 *   immediate  also what is there is got by nobody: it goes to item_free, and counts as done
 *
 * Who waits to put gets -ESHUTDOWN, who waits to get an item or -ESHUTDOWN. With several loops
 * items that woke somebody stay his: who gets meanwhile waits until he has taken them, or was
 * cancelled. A second shutdown is fine, also an immediate one after one that was not.
 *
 * Returns 0, -EINVAL (NULL, destroyed), -ECHILD.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   Queue.shutdown
 * Since:   0.1, stable                  Source: runtime/sync/queue.c
 */
WHORL_API int whorl_queue_shutdown(struct whorl_queue *queue, bool immediate);

/* Hints, of that moment: how many items are there; whether none is, whether there is no room. 0,
 * true and false for NULL. */
WHORL_API size_t whorl_queue_size(struct whorl_queue *queue);
WHORL_API bool whorl_queue_empty(struct whorl_queue *queue);
WHORL_API bool whorl_queue_full(struct whorl_queue *queue);

WHORL_END

#endif
