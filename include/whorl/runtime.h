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

/* A task's body: 0 or -errno. -ECANCELED means that the task ends cancelled. */
typedef int whorl_body(void *arg);

#define WHORL_LOOPS_MAX 1024

/* How the loops share work. */
enum whorl_mode {
    WHORL_MODE_AUTO = 0, /* single for one loop, else stealing */
    WHORL_MODE_SINGLE,   /* one loop, asyncio's own order: a FIFO, batch by batch */
    WHORL_MODE_ISOLATED, /* several loops, each as a single one; nothing is stolen or rescued */
    WHORL_MODE_STEALING  /* several loops; idle ones steal, and serve the sockets of stuck ones */
};

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
    /* Gets what no call can tell its caller, see whorl/report.h. NULL: it goes to the log. */
    whorl_exception_handler *exception_handler;
    void *exception_handler_arg;
    uint64_t reserved[5]; /* 0 */
};

/*
 * whorl_run - start a runtime, run body(arg) as its first task, end everything, stop.
 *
 *   body     the main task
 *   options  NULL for the defaults; read before the call returns, not kept
 *
 * When body returns, all tasks that still live are cancelled, and the call waits until they have
 * ended; then the loops stop and every thread, descriptor and stack is given back.
 *
 * Returns what body returned (0 or -errno), or, with nothing started: -EINVAL (body NULL, loops
 * negative or over WHORL_LOOPS_MAX, stack_bytes below the minimum, single mode with several loops,
 * a topology hwloc does not understand, a dump_signal that cannot be had: a fault, SIGABRT,
 * SIGKILL, SIGSTOP, SIGSYS, SIGTRAP or SIGURG; a reserved word that is not zero), -EAGAIN (no more
 * threads, or eight other dump signals), -ENOMEM (also: no stack for the main task), -EMFILE or
 * -ENFILE (no descriptors left), -ENOSPC (fs.epoll.max_user_watches), -EBUSY (called from a task,
 * or while a simulation runs, see whorl/sim.h), or why the file that topology names cannot be read;
 * rarely another error of the system, as it is. docs/internals/failures.md has them all.
 *
 * From:    a plain thread; several may run runtimes of their own at once
 * Waits:   blocks the thread; loop 0 is a thread of its own
 * Order:   everything before the call happens before body; everything the tasks did happens before
 *          the return
 * Model:   asyncio.run
 * Since:   0.1, stable                  Source: runtime/runtime.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_run(whorl_body *body, void *arg,
                                          const struct whorl_options *options);

/* How many loops the caller's runtime has; -EPERM outside a task. */
WHORL_API int whorl_loop_count(void);

/* The loop that runs the caller now, from 0; -EPERM outside a task. A hint once the task waits. */
WHORL_API int whorl_loop_current(void);

WHORL_END

#endif
