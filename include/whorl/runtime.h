/*
 * runtime.h - start the loops, run a program on them, stop them.
 */
#ifndef WHORL_RUNTIME_H
#define WHORL_RUNTIME_H

#include "whorl/api.h"
#include "whorl/report.h"

#include <stddef.h>
#include <stdint.h>

WHORL_BEGIN

struct whorl_task;
struct whorl_future;
struct whorl_attr;

/* A task's body: 0 or -errno. -ECANCELED means that the task ends cancelled. */
typedef int whorl_body(void *arg);

#define WHORL_LOOPS_MAX 1024

/*
 * In which order tasks run, and how the loops share work. STEALING is fast order: who was woken
 * last runs next, and a task that is awaited before it has begun begins there, as in
 * docs/decisions/012-inline-await.md. One loop may have it, too, and nobody to steal from it: for
 * programs that divide their work into very many tasks and rely on no order among them.
 */
enum whorl_mode {
    WHORL_MODE_AUTO = 0, /* single for one loop, else stealing */
    WHORL_MODE_SINGLE,   /* one loop, asyncio's own order: a FIFO, batch by batch */
    WHORL_MODE_ISOLATED, /* several loops, each as a single one; nothing is stolen or rescued */
    WHORL_MODE_STEALING  /* fast order; idle loops steal, and serve the sockets of stuck ones */
};

/* whorl_options.flags: no thread is started for the one loop that there is: it stands still until
 * somebody drives it, by whorl_loop_step in a main loop of his own, or by a run, which then takes
 * place on the thread that calls. For what must stay on one thread, such as a toolkit's windows.
 * Nobody watches for tasks that hold the loop (stall_ns, report_ns); threads are not pinned. */
#define WHORL_STEPPED 1

/* whorl_options.flags: all tasks and callbacks are in one strand (whorl/strand.h) of the runtime's
 * own: never two of them at the same time, on however many loops. Others are those that are asked
 * for in another strand, or with WHORL_NO_STRAND, and what such tasks ask for. */
#define WHORL_STRANDED 2

/* whorl_options.flags: a task that is awaited before it has begun waits for its turn all the same.
 * Without the flag, and in fast order (enum whorl_mode), it begins at once, in the place of the
 * task that awaits it: docs/decisions/012-inline-await.md. Nothing changes but when it runs. In the
 * environment: WHORL_INLINE=0. */
#define WHORL_NO_INLINE 4

/*
 * Zeroed options are the defaults. Fields to come take the place of reserved words, which stay zero
 * until then: so the size never changes, and a library that is older than a program refuses what it
 * does not know.
 */
struct whorl_options {
    int loops;            /* 0: one per allowed core, in the cgroup quota; up to WHORL_LOOPS_MAX */
    enum whorl_mode mode; /* WHORL_MODE_AUTO */
    int no_pin;           /* non-zero: leave the threads unpinned; pins that fail warn once */
    size_t stack_bytes;   /* stack of a task without a size of its own; 0: 64 KiB */
    int64_t stall_ns;     /* a loop in a task for longer is stuck; 0: 2 ms; WHORL_NEVER: no watch */
    int64_t report_ns;    /* a task that holds its loop for longer is named once; 0: 100 ms */
    /* NULL: this machine. Else another, to try the placement of loops: a synthetic description of
     * hwloc's ("pack:2 l3:1 core:64 pu:2"), or a file from lstopo whose name ends in .xml. */
    const char *topology;
    /* Where warnings go, one line without its end; any thread may call it. NULL: standard error. */
    void (*log)(void *log_arg, const char *line);
    void *log_arg;
    int dump_signal;      /* a signal that makes the process whorl_dump to stderr; 0: none */
    int handle_sigint;    /* non-zero: SIGINT cancels the main task, see whorl_run; 0: left alone */
    /* Gets what no call can tell its caller, see whorl/report.h. NULL: it goes to the log. */
    whorl_exception_handler *exception_handler;
    void *exception_handler_arg;
    /* At the end: tasks that have not ended after so long are reported and cancelled once more, and
     * again and again. 0: 5 s; WHORL_NEVER: they are cancelled once, and waited for. */
    int64_t end_round_ns;
    int end_rounds;       /* after so many of these rounds the process aborts; 0: it goes on */
    /* 1: debug mode; -1: none; 0: debug mode if the environment has WHORL_DEBUG, and it is neither
     * empty nor "0". What it does: docs/guide/looking-inside.md. */
    int debug;
    uint64_t flags;       /* WHORL_STEPPED, WHORL_STRANDED, WHORL_NO_INLINE */
    uint64_t reserved[2]; /* 0 */
};

/*
 * whorl_run - start a runtime, run body(arg) as its first task, end everything, stop.
 *
 *   body     the main task
 *   options  NULL for the defaults; read before the call returns, not kept
 *
 * When body returns, all tasks that still live are cancelled, and the call waits until they have
 * ended; then the loops stop and every thread, descriptor and stack is given back. A leftover task
 * that fails is reported to the exception handler, and so is one that does not end, see
 * end_round_ns.
 *
 * With handle_sigint, on the main thread of the process, and if SIGINT has its default there: the
 * first SIGINT cancels the main task, with the message "SIGINT". If it then ends cancelled, and
 * nobody else had cancelled it, the result is -EINTR; if it goes on and returns something, that is
 * the result. A second SIGINT, or one that comes when body has returned, ends the process.
 *
 * Returns what body returned (0 or -errno), -EINTR as said, -EINPROGRESS (whorl_runtime_stop came
 * before body had returned; it was cancelled then), or, with nothing started: -EINVAL (body
 * NULL, loops negative or over WHORL_LOOPS_MAX, stack_bytes below the minimum, single mode with
 * several loops, a negative end_round_ns or end_rounds, debug out of -1 to 1, a topology hwloc does
 * not understand, a dump_signal that cannot be had: a fault, SIGABRT, SIGKILL, SIGSTOP, SIGSYS,
 * SIGTRAP or SIGURG; a reserved word that is not zero), -EAGAIN (no more threads, or eight other
 * dump signals), -ENOMEM (also: no stack for the main task), -EMFILE or -ENFILE (no descriptors
 * left), -ENOSPC (fs.epoll.max_user_watches), -EBUSY (called from a task, or while a simulation
 * runs, see whorl/sim.h), or why the file that topology names cannot be read; rarely another error
 * of the system, as it is. docs/internals/failures.md has them all.
 *
 * From:    a plain thread; several may run runtimes of their own at once
 * Waits:   blocks the thread; loop 0 is a thread of its own
 * Order:   everything before the call happens before body; everything the tasks did happens before
 *          the return
 * Model:   asyncio.run, which handles SIGINT unasked; a library for C leaves signals alone
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_run(whorl_body *body, void *arg,
                                          const struct whorl_options *options);

/* A runtime that runs several main tasks. */
struct whorl_runtime;

/*
 * whorl_runtime_new - start a runtime without a main task: its loops wait for what comes.
 *
 *   options      as for whorl_run
 *   ret_runtime  to be given back by whorl_runtime_free
 *
 * Returns 0, or with nothing started: -EINVAL (also: ret_runtime is NULL) and the other errors of
 * whorl_run.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   blocks the thread until all loops have been started
 * Model:   asyncio.Runner
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_runtime_new(const struct whorl_options *options,
                                                  struct whorl_runtime **ret_runtime);

/*
 * whorl_runtime_run - run body(arg) as a main task and wait until it has ended.
 *
 * Any number of times, one after the other, and from several threads at once, each of which waits
 * for its own. Tasks that a main leaves behind run on, also while no main runs; they are cancelled
 * when the runtime is closed. All mains have one context, see whorl/context.h: what one sets, the
 * next one sees. At first it has the values that the caller of whorl_runtime_new had. SIGINT as in
 * whorl_run.
 *
 * Returns what body returned; -EINPROGRESS (the runtime was stopped before body had returned: the
 * main is pending, and goes on with the next run); -EINTR; -EINVAL (runtime or body is NULL);
 * -EBUSY (on the thread of a loop); -ESHUTDOWN (it is being closed, or closed); -ENOMEM; -ECHILD. A
 * main that runs while the runtime is closed is cancelled as all tasks are, and the call returns
 * what it answered.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   blocks the thread
 * Order:   everything before the call happens before body; everything body did happens before the
 *          return
 * Model:   asyncio.Runner.run, but that lets no task run between two mains
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_runtime_run(struct whorl_runtime *runtime, whorl_body *body,
                                                  void *arg);

/*
 * whorl_runtime_run_with - the same with attributes of the main task.
 *
 *   attr  as for whorl_spawn; without a name it is "main", without a context it has that of all
 *         mains; NULL is whorl_runtime_run
 *
 * Returns as whorl_runtime_run, and -EINVAL also for what whorl_spawn refuses in an attr.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   blocks the thread
 * Order:   as whorl_runtime_run
 * Model:   asyncio.Runner.run(main, context=...)
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_runtime_run_with(struct whorl_runtime *runtime,
                                                       whorl_body *body, void *arg,
                                                       const struct whorl_attr *attr);

/*
 * whorl_runtime_run_until - let the runtime go on until the future is done.
 *
 *   future     kept by the caller; a task of this runtime, see whorl_task_future, or any other
 *   ret_value  written on success only; may be NULL
 *
 * What was stopped goes on, all of it. The end of the run does not stop it again.
 *
 * Returns the future's result as whorl_future_await does; -EINPROGRESS (the runtime was stopped
 * before); -EINVAL (runtime or future is NULL); -EXDEV (a task of another runtime); -EBUSY (on the
 * thread of a loop); -ESHUTDOWN (it is being closed, or closed); -ECHILD.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   blocks the thread
 * Order:   everything before the call happens before what goes on; everything that completed the
 *          future, or on -EINPROGRESS all that the tasks did, happens before the return
 * Model:   asyncio's loop.run_until_complete
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_runtime_run_until(struct whorl_runtime *runtime,
                                                        struct whorl_future *future,
                                                        void **ret_value);

/*
 * whorl_runtime_run_forever - let the runtime go on until it is stopped.
 *
 * Returns 0 (stopped), -EINVAL (NULL), -EBUSY (on the thread of a loop), -ESHUTDOWN (it is being
 * closed, or closed), or -ECHILD.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   blocks the thread
 * Order:   everything before the call happens before what goes on; all that the tasks did, and what
 *          preceded the stop, happens before the return
 * Model:   asyncio's loop.run_forever
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_runtime_run_forever(struct whorl_runtime *runtime);

/*
 * whorl_runtime_stop - end the run after this pass; nothing of the runtime runs until the next one.
 *
 *   runtime  NULL: the caller's own, in a task or a callback
 *
 * Each loop ends its pass: with one loop the rest of the batch that is ready now, with several each
 * its turn. What that makes ready stays queued. Then all runs that are under way return: 0 from
 * whorl_runtime_run_forever, -EINPROGRESS from the others unless what they wait for is done. Tasks,
 * timers and callbacks stay as they are, and the next run goes on with them; so does a close, which
 * cancels them. Threads of executors are not stopped.
 *
 * While no run is under way, the request is for the next one: that makes one pass, which does not
 * wait for descriptors or timers, and is ended. A second request before that adds nothing.
 *
 * Returns 0, -EPERM (NULL outside a task or callback), -ESHUTDOWN (it is being closed, or closed),
 * or -ECHILD.
 *
 * From:    any thread, task or callback; a signal handler    Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Order:   everything before the call happens before the return of the runs that it ends
 * Model:   asyncio's loop.stop; for all loops of the runtime
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API int whorl_runtime_stop(struct whorl_runtime *runtime);

/* Where a runtime is in its life. */
enum {
    WHORL_RUNTIME_GOING,   /* tasks run, whether or not a run is under way */
    WHORL_RUNTIME_STOPPED, /* and it waits for a run, or its close */
    WHORL_RUNTIME_CLOSING, /* all is cancelled and waited for */
    WHORL_RUNTIME_CLOSED   /* nothing is left but the handle */
};

/* One of these, true of the moment before; -EINVAL (NULL) or -ECHILD. From anywhere. */
WHORL_API int whorl_runtime_state(struct whorl_runtime *runtime);

/*
 * whorl_runtime_spawn - make a task of that runtime, from anywhere, and do not wait.
 *
 * Parameters and results as whorl_spawn, but -ESHUTDOWN in place of -ECANCELED, -EINVAL also if
 * runtime is NULL, and -ECHILD.
 *
 * From:    any thread, a task of any runtime    Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a slot, under a lock
 * Order:   everything before the call happens before body
 * Model:   asyncio.run_coroutine_threadsafe
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_runtime_spawn(struct whorl_runtime *runtime,
                                                    whorl_body *body, void *arg,
                                                    const struct whorl_attr *attr,
                                                    struct whorl_task **ret_task);

/* Its number, as in whorl_runtimes and whorl_stats_of. */
WHORL_API uint64_t whorl_runtime_id(struct whorl_runtime *runtime);

/*
 * whorl_runtime_close - cancel all that lives, wait until it has ended, stop the loops.
 *
 * As whorl_run does when its main has returned. What is left is the handle, to be freed; run and
 * spawn are refused. A second close, also one at the same time, waits for the first, and is 0.
 *
 * Returns 0, -EINVAL (NULL), -EBUSY (on the thread of a loop, which would wait for itself), or
 * -ECHILD.
 *
 * From:    a plain thread               Thread-safe: yes
 * Waits:   blocks the thread; for ever, if a task does not end: see end_round_ns
 * Order:   everything the tasks did happens before the return
 * Model:   asyncio.Runner.close
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API int whorl_runtime_close(struct whorl_runtime *runtime);

/*
 * whorl_runtime_free - close it, if that was not done, and give the handle back.
 *
 * No other call on the handle may be under way, but a whorl_runtime_run that waits for its main, or
 * begin. NULL is fine. Returns as whorl_runtime_close; on an error nothing was freed. References
 * to tasks stay valid.
 *
 * From:    a plain thread               Thread-safe: no
 * Waits:   as whorl_runtime_close
 * Order:   everything the tasks did happens before the return
 * Model:   asyncio.Runner, the end of its with block
 * Since:   0.1, stable                  Source: runtime/runner.c
 */
WHORL_API int whorl_runtime_free(struct whorl_runtime *runtime);

/*
 * whorl_loop_begin, whorl_loop_step, whorl_loop_next, whorl_loop_end - drive a WHORL_STEPPED
 * runtime from a main loop of the program's own: that of a toolkit, or a poll(2) of yours.
 *
 *   timeout_ns       how long a step may wait while there is nothing to do; 0: not at all;
 *                    WHORL_NEVER: until there is
 *   ret_deadline_ns  when the next step has something to do, as whorl_now counts: 0 at once,
 *                    WHORL_NEVER only when the descriptor is ready; may be NULL
 *
 * begin makes the calling thread the loop's: it alone may step, until end. A step is one pass: a
 * look at descriptors, timers and what other threads have sent, then each task and callback that is
 * ready. next is to be called last before the thread waits: the descriptor that it returns is
 * readable (POLLIN, level-triggered) as soon as the next step has something to do before that time;
 * it belongs to the runtime, and is for poll, epoll and their like alone. Between two steps the
 * thread is like any other that is no loop's.
 *
 * Returns: begin and end 0; step 0, or 1 if whorl_runtime_stop was called since the last step, or
 * in this one; next the descriptor. All of them -EINVAL (NULL, or a runtime with threads), -EBUSY
 * (in a task or a callback; begin also if somebody has begun), -EPERM (the thread has not begun),
 * -ESHUTDOWN (it is being closed, or closed), or -ECHILD.
 *
 * From:    a plain thread; all but begin: the one that has begun
 * Waits:   step blocks the thread, up to timeout_ns and as long as its tasks run
 * Order:   what was done before end happens before what follows the next begin
 * Model:   asyncio's loop._run_forever_setup, _run_once, _run_forever_cleanup
 * Since:   0.1, stable                  Source: runtime/step.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_loop_begin(struct whorl_runtime *runtime);
WHORL_API WHORL_WARN_UNUSED int whorl_loop_step(struct whorl_runtime *runtime, int64_t timeout_ns);
WHORL_API WHORL_WARN_UNUSED int whorl_loop_next(struct whorl_runtime *runtime,
                                                int64_t *ret_deadline_ns);
WHORL_API int whorl_loop_end(struct whorl_runtime *runtime);

/* How many loops the caller's runtime has; -EPERM outside a task or callback. */
WHORL_API int whorl_loop_count(void);

/* The loop that runs the caller now, from 0; -EPERM outside a task or callback. A hint once a task
 * has waited. */
WHORL_API int whorl_loop_current(void);

WHORL_END

#endif
