/*
 * executor.h - functions that block, on threads of their own.
 *
 *      void *row;
 *      int error = whorl_to_thread(ask_database, query, NULL, &row);
 *
 * A function that blocks (a foreign library, a file system, a long computation) would hold its loop
 * up; an executor runs it on one of its threads, and hands its result to a future. A thread is made
 * when there is work for it and leaves when there has been none for a while.
 *
 * The function is written like a task's body: it returns 0 or -errno, and may hand over a value by
 * whorl_return. It runs on a plain thread, though, so what needs a task returns -EPERM there;
 * whorl_await (which then blocks), whorl_spawn_remote, whorl_cancel and the calls that complete
 * futures work. All signals but faults are blocked. It must return: no pthread_exit, no exception
 * thrown out of it.
 */
#ifndef WHORL_EXECUTOR_H
#define WHORL_EXECUTOR_H

#include "whorl/api.h"
#include "whorl/future.h"
#include "whorl/runtime.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_executor;

#define WHORL_EXECUTOR_NAME_MAX 31 /* bytes; of a thread's name the kernel keeps 15 */

/* Zeroed options are the defaults; reserved words: as in struct whorl_options. */
struct whorl_executor_options {
    const char *name;  /* copied; threads are called NAME-0, NAME-1 ...; NULL: "whorl-pool" */
    int threads_max;   /* 0: cores + 4, at most 32 */
    size_t queue_max;  /* how much work may wait for a thread; 0: no limit */
    int64_t idle_ns;   /* a thread without work for so long leaves; 0: 10 s; WHORL_NEVER: none */
    /* On each new thread, before its first work and after its last; may be NULL. A thread_begin
     * that returns an error breaks the executor: all work that waits, and all that comes, fails
     * with it. */
    int (*thread_begin)(void *hook_arg);
    void (*thread_end)(void *hook_arg);
    void *hook_arg;
    uint64_t reserved[6]; /* 0 */
};

enum whorl_work_flags {
    WHORL_WORK_TRY = 1,    /* where submit would wait for room: -EAGAIN */
    WHORL_WORK_FINISH = 2, /* whorl_to_thread only: cancelled, it waits for the function's end */
    WHORL_WORK_CONTEXT = 4 /* the function sees a copy of the caller's task-locals */
};

/* Zeroed attributes are the defaults; reserved words: as in struct whorl_options. */
struct whorl_work_attr {
    void (*arg_free)(void *arg); /* called once: after the function, or when it is not to run */
    unsigned flags;              /* of enum whorl_work_flags */
    uint64_t reserved[4];        /* 0 */
};

/*
 * whorl_executor_new - an executor of the caller's own; it belongs to no runtime.
 *
 *   options       NULL for the defaults
 *   ret_executor  to be given back by whorl_executor_free
 *
 * Returns 0, -EINVAL (threads_max or idle_ns negative, a reserved word that is not zero), -ENOMEM.
 * No thread is made yet.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: two blocks
 * Model:   concurrent.futures.ThreadPoolExecutor
 * Since:   0.1, stable                  Source: runtime/task/executor.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_executor_new(const struct whorl_executor_options *options,
                                                   struct whorl_executor **ret_executor);

/*
 * whorl_executor_submit - have body(arg) called on a thread of the executor.
 *
 *   executor    NULL: the default one of the caller's runtime, made at its first use
 *   attr        NULL for the defaults
 *   ret_future  completed when the function has returned and arg_free was called: by the value it
 *               handed over, or by its error. The caller's reference; NULL: none wanted
 *
 * Cancelling the future withdraws work that has not begun: arg_free is then called, by a thread of
 * the executor. Work that has begun runs on, and its result is dropped. Work of one submitter
 * begins in its order. Without WHORL_WORK_CONTEXT the function sees no task-locals.
 *
 * Returns 0, or, with arg still the caller's: -EINVAL (body NULL, an unknown flag, a reserved word
 * that is not zero), -ESHUTDOWN (the executor is shut down), the error of its thread_begin, -EAGAIN
 * (full, and WHORL_WORK_TRY; or no thread can be made, and there is none), -ENOMEM, -ECANCELED (the
 * caller was cancelled while it waited for room), -EPERM (executor NULL outside a task, or to wait
 * for room on a loop's thread outside a task).
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   for room, if queue_max is reached     Cancellation point: if it waits
 * Allocates: one block; now and then a thread
 * Order:   everything before the call happens before body; all of body happens before the future's
 *          completion
 * Model:   loop.run_in_executor, Executor.submit
 * Since:   0.1, stable                  Source: runtime/task/work.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_executor_submit(struct whorl_executor *executor,
                                                      whorl_body *body, void *arg,
                                                      const struct whorl_work_attr *attr,
                                                      struct whorl_future **ret_future);

/*
 * whorl_to_thread - call body(arg) on a thread of the default executor, and wait for its end.
 *
 *   attr       as whorl_executor_submit
 *   ret_value  what the function handed over by whorl_return; may be NULL
 *
 * Returns what the function returned, or why it could not be called (see whorl_executor_submit; arg
 * is then the caller's: -ESHUTDOWN, -EAGAIN, -ENOMEM, -EPERM, -EINVAL), or -ECANCELED: the caller
 * was cancelled. A cancel does not stop the function: it runs on, while this call returns at once.
 * So arg must not lie in the caller's frame; give it an arg_free, which is called when the function
 * has ended. Or set WHORL_WORK_FINISH: then a function that has begun is waited for, whatever is
 * cancelled meanwhile, and -ECANCELED comes after it. The function sees a copy of the caller's
 * task-locals; what it sets in there goes with it.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes                          Cancellation point: yes     Allocates: one block
 * Order:   everything before the call happens before body, everything in it before the return
 * Model:   asyncio.to_thread
 * Since:   0.1, stable                  Source: runtime/task/work.c
 */
WHORL_API int whorl_to_thread(whorl_body *body, void *arg, const struct whorl_work_attr *attr,
                              void **ret_value);

/*
 * whorl_executor_set_default - the executor that whorl_to_thread uses in the caller's runtime.
 *
 *   executor  given to the runtime, which shuts it down at its end; not to be freed any more
 *
 * The one before, if any, takes no new work and ends with the runtime. Returns 0, -EPERM (not in a
 * task), -EINVAL (NULL), -ESHUTDOWN (whorl_executor_shutdown_default was called), -EALREADY (a
 * runtime has it).
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.set_default_executor
 * Since:   0.1, stable                  Source: runtime/task/default_executor.c
 */
WHORL_API int whorl_executor_set_default(struct whorl_executor *executor);

enum whorl_shutdown_flags {
    WHORL_SHUTDOWN_CANCEL_PENDING = 1 /* work that has not begun is cancelled */
};

/*
 * whorl_executor_shutdown - take no more work, and wait until all is done and the threads ended.
 *
 *   flags        of enum whorl_shutdown_flags
 *   deadline_ns  0: do not wait
 *
 * Who waits for room is refused. May be called again, to wait on. Returns 0 (all has ended),
 * -ETIMEDOUT (it goes on), -ECANCELED (the caller was cancelled; the executor is shut down all the
 * same), -EDEADLK (on one of its own threads, with a deadline other than 0: shut down, not waited
 * for), -EINVAL, -EPERM (on a loop's thread outside a task), -ENOMEM (no room for the deadline).
 *
 * From:    a task; a plain thread, which then blocks      Thread-safe: yes
 * Waits:   yes, not if all has ended    Cancellation point: if it waits    Allocates: no
 * Order:   everything that work did happens before the return of 0
 * Model:   Executor.shutdown
 * Since:   0.1, stable                  Source: runtime/task/executor.c
 */
WHORL_API int whorl_executor_shutdown(struct whorl_executor *executor, unsigned flags,
                                      int64_t deadline_ns);

/*
 * The same for the default executor of the caller's runtime: from then on whorl_to_thread gives
 * -ESHUTDOWN. At -ETIMEDOUT a line in the log says so. -EPERM: not in a task.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes, not if all has ended    Cancellation point: if it waits    Allocates: no
 * Model:   loop.shutdown_default_executor
 * Since:   0.1, stable                  Source: runtime/task/default_executor.c
 */
WHORL_API int whorl_executor_shutdown_default(int64_t deadline_ns);

/*
 * Give an executor back; NULL may be given back. It takes no more work; what it has is still done,
 * by threads that nobody waits for: to wait, call whorl_executor_shutdown before.
 *
 * From:    any thread; nobody may use it any more          Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/executor.c
 */
WHORL_API void whorl_executor_free(struct whorl_executor *executor);

/* Figures of one moment. */
struct whorl_executor_stats {
    uint64_t threads;     /* that live */
    uint64_t idle;        /* of them without work */
    uint64_t queued;      /* work that waits for a thread */
    uint64_t blocked;     /* submitters that wait for room */
    uint64_t done;        /* work that ended, or was withdrawn */
    uint64_t reserved[3]; /* 0 */
};

/*
 * Its figures; executor NULL: of the default one, all 0 if it was not used. 0, -EPERM (NULL outside
 * a task).
 *
 * From:    any thread                   Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Since:   0.1, stable                  Source: runtime/task/executor.c
 */
WHORL_API int whorl_executor_stats(struct whorl_executor *executor,
                                   struct whorl_executor_stats *ret_stats);

WHORL_END

#endif
