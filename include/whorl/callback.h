/*
 * callback.h - calls without a task: soon, later, from other threads, when a future is done.
 *
 * A callback is a function that a loop calls on its own stack, between two tasks: it costs no task,
 * it must be short, and it cannot wait. A call in it that would have to wait returns -EPERM; it may
 * spawn tasks, complete futures, cancel, and make more callbacks. The callbacks of one loop are run
 * one after the other, first come first served, by that loop and never by another; one that is made
 * by a callback is run in the loop's next pass, never in the same. With one loop, tasks and
 * callbacks stand in one queue.
 *
 * It is called in a copy of the context of who asked for it: it finds the task-locals of the task
 * that made it, and what it sets there is its own (whorl/context.h).
 *
 * A callback that a task of a strand asks for is in that strand (whorl/strand.h), as what the task
 * spawns, and so is one that such a callback asks for, or that has a strand in its attributes; from
 * elsewhere, with WHORL_STRANDED, it is in the runtime's own. It never runs while another one of
 * the strand runs, task or callback, and has its place in the strand's order from when it is ready:
 * from the call, its time, or the end of the future. If its turn comes later it is called then, and
 * not in the loop's next pass; and where loops share tasks, without a pin, by the loop that hands
 * it the turn. While it waits for a loop the others of the strand wait. It is in the strand until
 * it was called, cancelled or dropped; if it was cancelled when it was ready, until its turn. With
 * one loop all this changes nothing of the order.
 *
 * What is still there when the runtime ends is dropped: not called, its argument freed.
 */
#ifndef WHORL_CALLBACK_H
#define WHORL_CALLBACK_H

#include "whorl/api.h"
#include "whorl/task.h"

#include <stdbool.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_future;

/* What is called. */
typedef void whorl_callback(void *arg);
typedef void whorl_done_callback(struct whorl_future *future, void *arg);

/* One callback that was asked for: a counted reference, to cancel it by. */
struct whorl_handle;

/* Zeroed attributes are the defaults; reserved words: as in struct whorl_options. */
struct whorl_call_attr {
    void (*arg_free)(void *arg); /* called exactly once: after the call, or when it is cancelled */
    int pin;                     /* 0: the caller's loop; WHORL_PIN(k): loop k */
    struct whorl_context *context; /* to be called in; NULL: a copy of the caller's */
    struct whorl_strand *strand; /* NULL: the caller's, see below */
    uint64_t flags;              /* WHORL_NO_STRAND: in none, whatever the caller is in */
    uint64_t reserved[2];        /* 0 */
};

/*
 * whorl_call_soon - have a loop call a function in its next pass.
 *
 *   attr        NULL for the defaults; copied
 *   ret_handle  the caller's reference, to be given back by whorl_handle_unref; NULL: none wanted
 *
 * Returns 0, -EINVAL (callback NULL, no such loop, an unknown flag, a reserved word that is not
 * zero, a strand beside WHORL_NO_STRAND, or one that was destroyed), -EXDEV (tasks of another
 * runtime are in the strand), -ENOMEM, -EPERM (neither in a task nor in a callback). On failure arg
 * stays the caller's.
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Order:   everything before the call happens before the callback; those of one caller for one loop
 *          are called in the order in which they were made
 * Model:   loop.call_soon
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_call_soon(whorl_callback *callback, void *arg,
                                                const struct whorl_call_attr *attr,
                                                struct whorl_handle **ret_handle);

/*
 * whorl_call_soon_threadsafe - the same from any thread, into the runtime that `near` belongs to.
 *
 *   near  a task of that runtime that has not ended, or whose end the caller waits for
 *
 * Without a pin it is loop 0 that calls it, or the caller's own loop if he is one of that runtime.
 * A loop that sleeps is woken. Parameters and results otherwise as whorl_call_soon, and: -EINVAL
 * (near NULL), -ECANCELED (the runtime is ending). A plain thread is in no strand: attr->strand
 * says with which tasks the callback takes turns.
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Order:   as whorl_call_soon
 * Model:   loop.call_soon_threadsafe
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_call_soon_threadsafe(struct whorl_task *near,
                                                           whorl_callback *callback, void *arg,
                                                           const struct whorl_call_attr *attr,
                                                           struct whorl_handle **ret_handle);

/*
 * whorl_call_later, whorl_call_at - have the caller's loop call a function at a later time.
 *
 *   delay_ns     nanoseconds from now; negative ones are due before, and so come first
 *   deadline_ns  absolute CLOCK_MONOTONIC nanoseconds; WHORL_NEVER: only the handle is made
 *
 * Not called before that time. A time that has passed is no call_soon: the callback is called after
 * those that were made before the loop looks at its timers again. Equal times are called in the
 * order in which they were asked for. A timer that is cancelled is gone at once.
 *
 * Returns as whorl_call_soon; -EINVAL also for a pin to another loop than the caller's.
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: one block, and room
 * Order:   as whorl_call_soon
 * Model:   loop.call_later, loop.call_at
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_call_later(int64_t delay_ns, whorl_callback *callback,
                                                 void *arg, const struct whorl_call_attr *attr,
                                                 struct whorl_handle **ret_handle);
WHORL_API WHORL_WARN_UNUSED int whorl_call_at(int64_t deadline_ns, whorl_callback *callback,
                                              void *arg, const struct whorl_call_attr *attr,
                                              struct whorl_handle **ret_handle);

/*
 * whorl_handle_cancel - see to it that a callback is not called.
 *
 * True: it will not be called; its argument has been freed. False, changing nothing: it was called,
 * or cancelled, or dropped. If it is running just then, a plain thread waits until it has returned;
 * a loop does not wait (it may be the very loop), and a callback that cancels itself goes on.
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   a plain thread, for a callback that runs    Cancellation point: no    Allocates: no
 * Order:   if a plain thread gets false, everything the callback did happens before the return
 * Model:   Handle.cancel
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API bool whorl_handle_cancel(struct whorl_handle *handle);

/* Whether it was cancelled, or dropped at the end of its runtime. Any thread. */
WHORL_API bool whorl_handle_cancelled(const struct whorl_handle *handle);
/* When it is due, also after a cancel; 0 for whorl_call_soon. Any thread. */
WHORL_API int64_t whorl_handle_when(const struct whorl_handle *handle);
/*
 * whorl_handle_context - the context that a callback is called in.
 *
 *   ret_context  the very one: what is set in it before the call is found by the callback. With a
 *                reference, to be given back by whorl_context_unref
 *
 * Also after the call, and after a cancel. Returns 0, -EINVAL (a NULL), -ENOMEM, -ECHILD, -EBUSY
 * (another thread calls it just now: until it returns the context is its own).
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a block
 * Model:   Handle.get_context
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_handle_context(struct whorl_handle *handle,
                                                     struct whorl_context **ret_context);
/* A reference given back; the callback is called all the same. NULL may be given back. */
WHORL_API void whorl_handle_unref(struct whorl_handle *handle);

/*
 * whorl_future_add_done_callback - have a function called when a future is done.
 *
 *   callback  gets the future, which stays until it returns, and arg
 *
 * It is called soon after the future is done, as by whorl_call_soon, on the loop on which it was
 * registered; if the future is done already, soon after this call. The callbacks of one loop are
 * called in the order in which they were added. From a plain thread: on loop 0 of the runtime of a
 * task; a future that is no task belongs to no runtime, and then it is -EPERM. If that runtime has
 * ended when the future is done, or the future is freed without an end, nothing is called.
 *
 * Returns 0, -EINVAL (callback NULL), -ENOMEM, -EPERM, -ECANCELED (a plain thread, and the runtime
 * is ending).
 *
 * From:    a task, a callback; a plain thread for a task's future
 * Waits:   no                           Cancellation point: no      Allocates: one block
 * Order:   everything before the completion happens before the callback
 * Model:   Future.add_done_callback
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_future_add_done_callback(struct whorl_future *future,
                                                               whorl_done_callback *callback,
                                                               void *arg);

/*
 * Removes every entry with this function and argument, of any loop, and returns how many there
 * were. Those of a future that is done are on their way and are not removed: 0.
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   Future.remove_done_callback
 * Since:   0.1, stable                  Source: runtime/task/callback.c
 */
WHORL_API int whorl_future_remove_done_callback(struct whorl_future *future,
                                                whorl_done_callback *callback, void *arg);

WHORL_END

#endif
