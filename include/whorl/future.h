/*
 * future.h - one-shot results, and waiting for many.
 *
 * A future is completed once: by a value, an error, or a cancel. Any task and any plain thread may
 * complete, cancel or await it; exactly one completion wins, and everything its maker did before
 * happens before every awaiter's return. Futures are counted references and need no runtime.
 */
#ifndef WHORL_FUTURE_H
#define WHORL_FUTURE_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_future;

/*
 * A pending future with one reference, the caller's; -ENOMEM. From anywhere.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Model:   loop.create_future
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_future_new(struct whorl_future **ret_future);

/* One reference more, and one given back; NULL may be given back. From any thread. If it is the
 * last one of a future that has failed, and nobody has looked at the error, that is reported: to
 * the exception handler of the runtime whose loop the caller is on; elsewhere to standard error. */
WHORL_API struct whorl_future *whorl_future_ref(struct whorl_future *future);
WHORL_API void whorl_future_unref(struct whorl_future *future);

/*
 * whorl_future_set_result, whorl_future_set_error - complete a future.
 *
 *   value  handed to every awaiter; stays the caller's business
 *   error  negative errno. -ECANCELED set this way is a failure, not a cancel
 *
 * The caller must hold a reference over the call.
 * Returns 0, -EALREADY (done or cancelled before: nothing changed), -EPERM (the future is a task or
 * a gather, which complete themselves), -EINVAL (error not negative).
 *
 * From:    any thread                   Waits: no      Allocates: no
 * Order:   everything before the call happens before every awaiter's return
 * Model:   Future.set_result, Future.set_exception
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_future_set_result(struct whorl_future *future, void *value);
WHORL_API int whorl_future_set_error(struct whorl_future *future, int error);

/*
 * Cancel: a pending plain future is cancelled at once, a task is asked to end, a gather passes it
 * on to its children. Returns false, changing nothing, if it was done. Message: as whorl_cancel.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   Future.cancel
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API bool whorl_future_cancel(struct whorl_future *future, const char *message);

/*
 * whorl_future_await - wait for a future's result. As whorl_await; cancelling the awaiting task
 * cancels the future, and with it everyone else who awaits it: use whorl_future_join where the
 * future is shared.
 *
 * From:    a task; a plain thread       Thread-safe: yes
 * Waits:   yes, not if it is done       Cancellation point: if it waits  Allocates: no
 * Order:   everything before the completion happens before the return
 * Model:   await future
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_future_await(struct whorl_future *future, void **ret_value);

/*
 * Only watch, with a deadline: as whorl_join.
 *
 * From:    a task; a plain thread       Thread-safe: yes
 * Waits:   yes, not if it is done       Cancellation point: if it waits  Allocates: no
 * Model:   asyncio.wait((future,), timeout=...)
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_future_join(struct whorl_future *future, int64_t deadline_ns, void **ret_value);

/*
 * As whorl_wait_for, for any future.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes, not if it is done       Cancellation point: if it waits  Allocates: no
 * Model:   asyncio.wait_for
 * Since:   0.1, stable                  Source: runtime/task/timeout.c
 */
WHORL_API int whorl_future_wait_for(struct whorl_future *future, int64_t timeout_ns,
                                    void **ret_value);

/*
 * Its result without waiting: as whorl_future_await, or -EAGAIN while pending.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   Future.result
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_future_result(struct whorl_future *future, void **ret_value);

/* Whether it is done, by whatever end; and whether that was a cancel. Any thread. */
WHORL_API bool whorl_future_done(struct whorl_future *future);
WHORL_API bool whorl_future_cancelled(struct whorl_future *future);
/* The message given to the cancel that ended it; NULL if none. */
WHORL_API const char *whorl_future_cancel_message(struct whorl_future *future);

/* How one child of a gather ended. */
struct whorl_result {
    int error;   /* 0, -errno, -ECANCELED */
    void *value; /* of a success; else NULL */
};

enum whorl_gather_flags {
    WHORL_GATHER_RETURN_EXCEPTIONS = 1 /* wait for all, errors stand among the results */
};

/*
 * whorl_gather - wait for many tasks.
 *
 *   tasks    count of them; the same one may stand there twice
 *   results  count places, in the order of tasks; may be NULL. Written on success only
 *
 * Without WHORL_GATHER_RETURN_EXCEPTIONS the first child that fails (or ends cancelled) ends the
 * wait with its error at once; the other children are not cancelled and run on. Cancelling the
 * caller cancels every child that has not ended, waits for all of them, and returns -ECANCELED.
 *
 * Returns 0, the first error, -ECANCELED, -ENOMEM, -EINVAL (a NULL among the tasks), -EDEADLK (the
 * calling task is among them).
 *
 * From:    a task; a plain thread, which then blocks
 * Waits:   yes, not if all have ended   Cancellation point: if it waits     Allocates: one block
 * Model:   await asyncio.gather(*tasks)
 * Since:   0.1, stable                  Source: runtime/task/gather.c
 */
WHORL_API int whorl_gather(struct whorl_task *const *tasks, size_t count, unsigned flags,
                           struct whorl_result *results);

/*
 * whorl_gather_start - the same as a future of its own, over any futures, without waiting.
 *
 * Its value is an array of count struct whorl_result, which lives as long as the gather does. It
 * keeps a reference on every child. 0, -ENOMEM, -EINVAL (a NULL among the futures).
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Model:   asyncio.gather(...)
 * Since:   0.1, stable                  Source: runtime/task/gather.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_gather_start(struct whorl_future *const *futures,
                                                   size_t count, unsigned flags,
                                                   struct whorl_future **ret_gather);

WHORL_END

#endif
