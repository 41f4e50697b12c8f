/*
 * report.h - what went wrong with nobody there to be told: where it goes.
 *
 * An error that no call can return (a leftover task that fails, a task that does not end), or that
 * nobody has looked at when the last reference to its task or future goes, becomes a report. The
 * runtime's exception handler gets it, one report at a time; without one, or if that fails, it is
 * written to the runtime's log.
 */
#ifndef WHORL_REPORT_H
#define WHORL_REPORT_H

#include "whorl/api.h"

#include <stdint.h>

WHORL_BEGIN

struct whorl_task;
struct whorl_future;
struct whorl_generator;

/*
 * What there is to tell; what does not apply is NULL or 0. All of it is valid during the call only,
 * unless the handler takes references of its own. A library that is newer than the program may fill
 * what are reserved words now; one who makes a report leaves them 0.
 */
struct whorl_report {
    const char *message;         /* what happened, in words */
    int error;                   /* -errno */
    int loop;                    /* the loop it happened on, from 0; -1: none */
    uint64_t runtime;            /* its number, see whorl_runtimes */
    struct whorl_task *task;     /* the task it is about */
    struct whorl_future *future; /* the future that is no task */
    const char *task_name;
    const char *waits_for;       /* of a task that does not end */
    const char *origin;          /* where task or future was made, in debug mode */
    struct whorl_generator *generator; /* that could not be closed as it should be */
    const char *generator_name;
    const char *why;             /* the task was asked to end: by whom; whorl/why.h */
    const char *locks;           /* that a task waits with: which, and where it took them */
    const char *waits_at;        /* where that task stands */
    uint64_t reserved[3];        /* 0 */
};

/*
 * Gets the reports of a runtime. Returns 0, or -errno if it could not handle this one: then the
 * default reports that failure and the report itself. It is called on the thread that has found the
 * error: a loop, the monitor, or a plain thread; in a task or outside any, also while the runtime
 * ends. Whoever has a report of his own meanwhile is blocked until it returns. It may call whorl,
 * spawn and wake tasks, and put questions to them, but not wait: that ends the process. What goes
 * wrong inside it, on the same thread, is told by the default. It runs in a copy of the context of
 * the task that the report is about, if there is one.
 */
typedef int whorl_exception_handler(void *handler_arg, const struct whorl_report *report);

/*
 * whorl_exception_handler_set - from now on, who gets the reports of the caller's runtime.
 *
 *   handler  NULL: the default again
 *
 * Returns 0, or -EPERM (in no task and no callback).
 *
 * From:    a task, a callback, a handler    Thread-safe: yes; blocks while another thread
 *          is in the handler
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.set_exception_handler
 * Since:   0.1, stable                  Source: runtime/sched/report.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_exception_handler_set(whorl_exception_handler *handler,
                                                            void *handler_arg);

/*
 * whorl_exception_handler_get - who gets the reports of the caller's runtime.
 *
 *   ret_handler      NULL is written if it is the default
 *   ret_handler_arg  may be NULL
 *
 * Returns 0, or -EPERM (in no task and no callback).
 *
 * From:    a task, a callback, a handler Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.get_exception_handler
 * Since:   0.1, stable                  Source: runtime/sched/report.c
 */
WHORL_API int whorl_exception_handler_get(whorl_exception_handler **ret_handler,
                                          void **ret_handler_arg);

/*
 * whorl_exception_handler_call - make a report, as the runtime would.
 *
 *   report  loop and runtime are filled in, and the name of its task if there is none
 *
 * Returns 0, -EPERM (in no task and no callback), -EINVAL (no message).
 *
 * From:    a task, a callback           Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.call_exception_handler
 * Since:   0.1, stable                  Source: runtime/sched/report.c
 */
WHORL_API int whorl_exception_handler_call(const struct whorl_report *report);

/*
 * whorl_exception_handler_default - what happens to a report without a handler: the message, and
 * each entry that there is, sorted by name, go to the log of its runtime, a line each.
 *
 * Without a runtime, that is outside tasks with a report that names none which runs, they go to
 * standard error. Returns 0, or -EINVAL (no message).
 *
 * From:    a task, a callback, a handler Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   loop.default_exception_handler
 * Since:   0.1, stable                  Source: runtime/sched/report.c
 */
WHORL_API int whorl_exception_handler_default(const struct whorl_report *report);

WHORL_END

#endif
