/*
 * task.h - tasks: spawn, await, cancel, name.
 *
 * A task is a function with an argument and a stack of its own. whorl_spawn makes it ready and
 * returns at once. The runtime keeps a started task until it ends; a handle (struct whorl_task *)
 * is a counted reference that the one who has it gives back by whorl_task_unref.
 *
 * Cancelling is a request, as in asyncio: the task gets -ECANCELED from the waiting call it is in,
 * or from the next one that really waits. A body that answers by returning -ECANCELED ends
 * cancelled; one that goes on is not cancelled, and later calls work as before.
 */
#ifndef WHORL_TASK_H
#define WHORL_TASK_H

#include "whorl/api.h"
#include "whorl/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_task;
struct whorl_future;
struct whorl_context;
struct whorl_strand;

#define WHORL_TASK_NAME_MAX 31 /* bytes; longer names are cut */

/* Zeroed attributes are the defaults; reserved words: as in struct whorl_options. */
struct whorl_attr {
    const char *name;            /* copied; NULL: "Task-N" */
    size_t stack_bytes;          /* 0: the runtime's default; 16 KiB to 64 MiB */
    int pin;                     /* 0: free; k + 1: stays on loop k (see WHORL_PIN) */
    void (*arg_free)(void *arg); /* called exactly once when the task has ended, begun or not */
    struct whorl_context *context; /* NULL: a copy of the creator's; else this very one, shared */
    uint64_t flags;              /* WHORL_EAGER, WHORL_QUIET, WHORL_NO_STRAND */
    struct whorl_strand *strand; /* NULL: the creator's, see whorl/strand.h */
    uint64_t reserved[1];        /* 0 */
};

/* whorl_attr.flags: the body runs at once, on the creator's thread and before whorl_spawn returns,
 * until its first wait; from then on it is a task like any other. The creator stays where it is.
 * Each has a stack of its own, so a chain of them takes memory and no depth. A task that does not
 * begin where it is spawned (from a foreign thread, pinned to another loop, in another strand than
 * the creator's unless there is one loop) is queued. */
#define WHORL_EAGER 1

/* whorl_attr.flags: how the task ends is nobody's business. Without it a task that fails, and whose
 * error nobody has looked at when its last reference goes, is reported, see whorl/report.h. To look
 * is to be told of it by an await, a join, a result, by who gathers or shields it or has it in a
 * group, or to cancel it when it has ended already. */
#define WHORL_QUIET 2

/* whorl_attr.flags: in no strand, whatever the creator is in. */
#define WHORL_NO_STRAND 4

/* The value of whorl_attr.pin that keeps a task on loop k. */
#define WHORL_PIN(k) ((k) + 1)

/*
 * whorl_spawn - make a task that runs body(arg).
 *
 *   attr      NULL for the defaults; copied
 *   ret_task  the caller's reference, to be given back by whorl_task_unref; NULL: none wanted
 *
 * Returns 0, -EINVAL (body NULL, stack too small or too large, no such loop, a reserved word that
 * is not zero, a strand beside WHORL_NO_STRAND, or one that was destroyed), -EXDEV (tasks of
 * another runtime are in the strand), -ENOMEM, -EPERM (not in a task or callback), -ECANCELED (the
 * runtime is ending and takes no new tasks). On failure nothing started and arg stays the caller's.
 * The stack is made later, when the task begins: where there is no memory for it, the task ends
 * with -ENOMEM, its body not called, arg_free called.
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: from a loop's cache
 * Order:   everything before the call happens before body
 * Model:   asyncio.create_task; with several loops the body may begin before this call returns
 * Since:   0.1, stable                  Source: runtime/task/task.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_spawn(whorl_body *body, void *arg,
                                            const struct whorl_attr *attr,
                                            struct whorl_task **ret_task);

/*
 * whorl_spawn_remote - the same from any thread, into the runtime that `near` belongs to.
 *
 *   near      a task of that runtime that has not ended, or whose end the caller waits for
 *
 * Parameters and results otherwise as whorl_spawn.
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a slot, under a lock
 * Order:   everything before the call happens before body
 * Model:   asyncio.run_coroutine_threadsafe
 * Since:   0.1, stable                  Source: runtime/task/task.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_spawn_remote(struct whorl_task *near, whorl_body *body,
                                                   void *arg, const struct whorl_attr *attr,
                                                   struct whorl_task **ret_task);

/* What a task factory is to make a task of. Valid during the call; may be copied and changed. */
struct whorl_spawning {
    whorl_body *body;
    void *arg;
    const struct whorl_attr *attr; /* NULL: the defaults */
    void *where;                   /* the runtime; to be handed on as it is */
    uint64_t reserved[4];          /* 0 */
};

/*
 * Makes a task in place of the plain spawn, mostly by whorl_task_make with something changed: the
 * attributes, or a body of its own around the one that was asked for. *ret_task gets the task, with
 * a reference. It returns 0 or -errno, which the spawn then returns, and arg is the caller's still.
 * It is called on the thread that spawns, by several at once, and must not wait. A whorl_spawn
 * inside it would call it again.
 */
typedef int whorl_task_factory(void *factory_arg, const struct whorl_spawning *spawning,
                               struct whorl_task **ret_task);

/*
 * whorl_task_factory_set - from now on, who makes the tasks of the caller's runtime.
 *
 *   factory      NULL: they are made plainly again
 *   factory_arg  stays until the runtime has ended: a spawn on another loop may still have it
 *
 * It makes every one: those of whorl_spawn, of groups and races, of foreign threads, and later
 * mains. Returns 0, or -EPERM (not in a task).
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.set_task_factory
 * Since:   0.1, stable                  Source: runtime/task/factory.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_task_factory_set(whorl_task_factory *factory,
                                                       void *factory_arg);

/*
 * whorl_task_factory_get - who makes the tasks of the caller's runtime.
 *
 *   ret_factory      NULL is written if they are made plainly
 *   ret_factory_arg  may be NULL
 *
 * Returns 0, -EINVAL (ret_factory NULL), or -EPERM (not in a task).
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.get_task_factory
 * Since:   0.1, stable                  Source: runtime/task/factory.c
 */
WHORL_API int whorl_task_factory_get(whorl_task_factory **ret_factory, void **ret_factory_arg);

/*
 * whorl_task_make - the plain spawn, for a factory and during its call.
 *
 *   spawning  what the factory got, or a changed copy
 *   ret_task  may be NULL
 *
 * Returns as whorl_spawn; -EINVAL also if spawning, or its where, is NULL; -ECHILD.
 *
 * From:    a factory                    Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: as whorl_spawn
 * Model:   asyncio.Task, called by a factory
 * Since:   0.1, stable                  Source: runtime/task/factory.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_task_make(const struct whorl_spawning *spawning,
                                                struct whorl_task **ret_task);

/* A factory that adds WHORL_EAGER. Its argument is not used. Returns as whorl_task_make. Model:
 * asyncio.eager_task_factory */
WHORL_API int whorl_task_factory_eager(void *factory_arg, const struct whorl_spawning *spawning,
                                       struct whorl_task **ret_task);

/*
 * whorl_await - wait until a task has ended and take its result.
 *
 *   ret_value  what the body handed over by whorl_return, NULL if nothing; written on success
 *              only; may be NULL
 *
 * Returns what the body returned: 0 or its -errno; -ECANCELED if it ended cancelled, or if the
 * caller was cancelled; -EDEADLK (own task); -EPERM (on a loop's thread but not in a task).
 * Cancelling the caller cancels the task it awaits, and the call then still waits for that task to
 * end. A task may be awaited any number of times, by any number of tasks and threads.
 *
 * From:    a task; a plain thread, which then blocks
 * Waits:   yes, not if the task has ended    Cancellation point: if it waits    Allocates: no
 * Order:   everything the task did happens before the return
 * Model:   await task
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_await(struct whorl_task *task, void **ret_value);

/*
 * whorl_join - wait until a task has ended, or until a deadline; only watch.
 *
 * As whorl_await, but the task is not cancelled: not at the deadline (-ETIMEDOUT), not when the
 * caller is cancelled (-ECANCELED, at once). -ENOMEM: no room for the deadline's timer. To tell the
 * task's own -ECANCELED or -ETIMEDOUT from the caller's, see whorl_task_done.
 *
 * From:    a task; a plain thread       Thread-safe: yes
 * Waits:   yes, not if it has ended     Cancellation point: if it waits  Allocates: no
 * Order:   everything the task did happens before the return
 * Model:   asyncio.wait((task,), timeout=...)
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_join(struct whorl_task *task, int64_t deadline_ns, void **ret_value);

/*
 * whorl_wait_for - await a task, and cancel it if it has not ended within timeout_ns.
 *
 * Returns as whorl_await, or -ETIMEDOUT once the cancelled task has ended: so it can take longer
 * than timeout_ns. If the task answers the cancel with a value or another error, that is the
 * result. timeout_ns WHORL_NEVER: plain await. -EPERM: not in a task. -ENOMEM, at once and with the
 * task running on: no room for the timer.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes, not if it has ended     Cancellation point: if it waits  Allocates: no
 * Order:   everything the task did happens before the return
 * Model:   asyncio.wait_for
 * Since:   0.1, stable                  Source: runtime/task/timeout.c
 */
WHORL_API int whorl_wait_for(struct whorl_task *task, int64_t timeout_ns, void **ret_value);

/*
 * The result of a task that has ended, without waiting: as whorl_await, or -EAGAIN: not ended.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything the task did happens before the return
 * Model:   Task.result
 * Since:   0.1, stable                  Source: runtime/task/future.c
 */
WHORL_API int whorl_task_result(struct whorl_task *task, void **ret_value);

/*
 * Hand over a value: what whorl_await gives if the body then returns 0. In a task only: -EPERM.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   return value
 * Since:   0.1, stable                  Source: runtime/task/task.c
 */
WHORL_API int whorl_return(void *value);

/*
 * whorl_cancel - ask a task to end.
 *
 *   message  NULL, or a text that outlives everyone who may ask for it (a literal)
 *
 * Returns true if the request was registered before the task was done; it promises nothing about
 * when, or whether the task obeys. Raises whorl_task_cancelling by one. False: the body has ended.
 * On another loop its argument may be being freed at this moment: whorl_task_done follows shortly.
 *
 * Who asked is noted for whorl_task_why (why.h); without memory for that it is not.
 *
 * From:    any thread; a task may cancel itself      Waits: no      Allocates: a block
 * Model:   Task.cancel; rows CANC-1 to CANC-28 of the conformance list
 * Since:   0.1, stable                  Source: runtime/task/cancel.c
 */
WHORL_API bool whorl_cancel(struct whorl_task *task, const char *message);

/* How many cancel requests were made and not taken back. Any thread. Model: Task.cancelling */
WHORL_API int whorl_task_cancelling(struct whorl_task *task);

/*
 * Take one cancel request back and return how many are left. If none is left and the request was
 * not delivered yet, it is withdrawn: in strict order one that has ended a wait is delivered, as in
 * asyncio. Any thread. Model: Task.uncancel
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/cancel.c
 */
WHORL_API int whorl_uncancel(struct whorl_task *task);

/* The message of the cancel that the calling task got last; NULL if none. */
WHORL_API const char *whorl_cancel_message(void);

/* Whether the task has ended; and whether it ended cancelled. Any thread. */
WHORL_API bool whorl_task_done(struct whorl_task *task);
WHORL_API bool whorl_task_cancelled(struct whorl_task *task);

/* What it was spawned with: its body; and the body's argument, which arg_free may have freed since.
 * For who has a reference, or is the task; any thread. NULL for NULL. Model: Task.get_coro */
WHORL_API whorl_body *whorl_task_body(struct whorl_task *task);
WHORL_API void *whorl_task_arg(struct whorl_task *task);

/* The running task, no reference taken; NULL outside one. Model: asyncio.current_task */
WHORL_API struct whorl_task *whorl_task_current(void);

/*
 * whorl_all_tasks - the tasks of a runtime that have not ended.
 *
 *   near       NULL: the caller's runtime; else a task of the runtime that is meant, which lives
 *              during the call, or to which the caller has a reference
 *   ret_tasks  an array with a reference on each; all of it goes back by whorl_all_tasks_free
 *   ret_count  how many there are
 *
 * A task that lives from before the call until after it is there, once, whatever loop runs it; the
 * caller's own, too. One that begins or ends meanwhile may be there. The order says nothing. Of a
 * runtime that has ended there is none.
 *
 * Returns 0, -ENOMEM, -EPERM (near NULL, and not in a task), -ECHILD.
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: the array
 * Model:   asyncio.all_tasks
 * Since:   0.1, stable                  Source: runtime/task/all.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_all_tasks(struct whorl_task *near,
                                                struct whorl_task ***ret_tasks, size_t *ret_count);

/* Gives back such an array, and the references in it. NULL and 0 are fine. Any thread. */
WHORL_API void whorl_all_tasks_free(struct whorl_task **tasks, size_t count);

/* The task's name, valid as long as the caller's reference. Set it before others can look. */
WHORL_API const char *whorl_task_name(struct whorl_task *task);
WHORL_API void whorl_task_set_name(struct whorl_task *task, const char *name);

/* One reference more, and one given back. A task that runs needs none: it runs on without. */
WHORL_API struct whorl_task *whorl_task_ref(struct whorl_task *task);
WHORL_API void whorl_task_unref(struct whorl_task *task);

/* The reference is given back, and how the task ends is nobody's business any more: a failure is
 * not reported (WHORL_QUIET). NULL is fine. Any thread. Model: none; asyncio would report it */
WHORL_API void whorl_task_detach(struct whorl_task *task);

/* The task as the future it is; no reference taken. */
WHORL_API struct whorl_future *whorl_task_future(struct whorl_task *task);

WHORL_END

#endif
