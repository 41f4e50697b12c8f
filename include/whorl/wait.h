/*
 * wait.h - waiting for some of many: wait, first of, and as_completed.
 *
 * All only watch: neither a deadline nor a cancel of the caller touches what is waited for. Where
 * that should end with the wait, use whorl_gather or a group.
 */
#ifndef WHORL_WAIT_H
#define WHORL_WAIT_H

#include "whorl/api.h"
#include "whorl/future.h"
#include "whorl/iterator.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

/* When whorl_wait returns. */
enum whorl_return_when {
    WHORL_ALL_COMPLETED = 0,
    WHORL_FIRST_COMPLETED, /* one is done, in whatever way */
    WHORL_FIRST_EXCEPTION  /* one has failed; a cancelled one is no failure; else all are done */
};

/*
 * whorl_wait - wait until some of many futures are done, or until a deadline.
 *
 *   futures      count of them, at least one; a task's is whorl_task_future. The same one may stand
 *                there twice
 *   when         which wait is meant
 *   deadline_ns  WHORL_NEVER: none; one that has passed: say what is done now
 *   ret_done     count places: whether futures[i] is done at the return; may be NULL
 *
 * Returns how many of the futures are done (one that stands there twice counts once), also at the
 * deadline; -ECANCELED (the caller was cancelled; the futures were not), -EINVAL (count 0, a NULL
 * among the futures, no such mode), -EDEADLK (the calling task is among them), -ENOMEM. What it
 * tells was true at one instant.
 *
 * From:    a task; a plain thread, which then blocks
 * Waits:   yes; a task gives way at least once      Cancellation point: yes      Allocates: a block
 * Order:   everything before a completion that is told happens before the return
 * Model:   asyncio.wait
 * Since:   0.1, stable                  Source: runtime/task/wait.c
 */
WHORL_API int whorl_wait(struct whorl_future *const *futures, size_t count,
                         enum whorl_return_when when, int64_t deadline_ns, bool *ret_done);

/*
 * whorl_first_of - wait until one of several futures is done, and tell which.
 *
 *   futures      count of them, at least one; a task's is whorl_task_future
 *   deadline_ns  WHORL_NEVER: none
 *   ret_index    the one that was done first; among those that were done before the call, the one
 *                that stands first. Read its result by whorl_future_result
 *
 * Returns 0; -ETIMEDOUT; -ECANCELED (the caller was cancelled); -EINVAL (count 0, a NULL among the
 * futures), -EDEADLK (the calling task is among them), -ENOMEM. The futures are never touched.
 *
 * From:    a task; a plain thread, which then blocks
 * Waits:   yes, not if one is done      Cancellation point: if it waits      Allocates: a block
 * Order:   everything before that completion happens before the return
 * Model:   asyncio.wait(..., return_when=FIRST_COMPLETED), of which one is taken
 * Since:   0.1, stable                  Source: runtime/task/wait.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_first_of(struct whorl_future *const *futures, size_t count,
                                               int64_t deadline_ns, size_t *ret_index);

/* An iteration over futures in the order in which they are done. */
struct whorl_completed;

/*
 * whorl_as_completed - begin such an iteration.
 *
 *   futures        count of them, 0 allowed; each gets a reference until the iteration is freed.
 *                  One that stands there twice is served once
 *   deadline_ns    for the whole iteration; WHORL_NEVER: none. What is done by then is served, and
 *                  what ends later is not. In strict order what counts is what was told by then, as
 *                  in asyncio: a completion is told in the next pass
 *   ret_completed  to be freed by whorl_completed_free
 *
 * Returns 0, -EINVAL (a NULL among the futures), -ENOMEM.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no
 * Allocates: a block; with a deadline and in strict order a timer
 * Model:   asyncio.as_completed
 * Since:   0.1, stable                  Source: runtime/task/wait.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_as_completed(struct whorl_future *const *futures,
                                                   size_t count, int64_t deadline_ns,
                                                   struct whorl_completed **ret_completed);

/*
 * whorl_completed_next - wait for the next one that is done.
 *
 *   ret_index  where it stands among the futures; read its result by whorl_future_result
 *
 * Returns 0; -ENOENT when all were served; -ETIMEDOUT after the deadline; -ECANCELED (the caller
 * was cancelled: nothing was taken, the iteration can go on). Several callers get one each.
 *
 * From:    a task; a plain thread       Thread-safe: yes
 * Waits:   yes, not if one is done      Cancellation point: if it waits      Allocates: no
 * Order:   everything before the completion happens before the return
 * Model:   async for ... in asyncio.as_completed
 * Since:   0.1, stable                  Source: runtime/task/wait.c
 */
WHORL_API int whorl_completed_next(struct whorl_completed *completed, size_t *ret_index);

/*
 * whorl_completed_iterator - the iteration as an iterator, which lives as long: it serves the
 * futures themselves, struct whorl_future *, and takes no reference for them.
 *
 * Its next waits and returns as whorl_completed_next, but for the end, which is -ENODATA; what one
 * of them has served the other does not. Its close does nothing: whorl_completed_free ends the
 * iteration. NULL for NULL.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   async for task in asyncio.as_completed(tasks)
 * Since:   0.1, stable                  Source: runtime/task/wait.c
 */
WHORL_API struct whorl_iterator *whorl_completed_iterator(struct whorl_completed *completed);

/* End it, served or not; the futures are not touched. NULL does nothing. By one thread, after which
 * nobody calls next. Neither waits nor allocates. */
WHORL_API void whorl_completed_free(struct whorl_completed *completed);

WHORL_END

#endif
