/*
 * report.h - what no call can tell its caller goes to the runtime's exception handler.
 *
 *      whorl__report(runtime, &(struct whorl_report){.message = "...", .task = task});
 *
 * Owns:       struct whorl__reporter.
 * Threads:    any that keeps the runtime from being freed: a loop, the monitor, a counted guest.
 *             Not under a lock of ours: the handler is the program's code, and may call whorl.
 * Invariant:  one thread at a time is in the handler of a runtime, and a task does not leave its
 *             loop there: waiting in a handler ends the process.
 */
#ifndef WHORL_SCHED_REPORT_H
#define WHORL_SCHED_REPORT_H

#include "lockfree/mutex.h"
#include "whorl/report.h"

struct whorl__runtime;

struct whorl__reporter {
    struct whorl__mutex lock;         /* held over the handler */
    uint32_t owner;                   /* A: the thread that has it, the kernel's number; 0: none */
    whorl_exception_handler *handler; /* M(reporter); NULL: the default */
    void *handler_arg;                /* M(reporter) */
};

void whorl__reporter_init(struct whorl__reporter *reporter, whorl_exception_handler *handler,
                          void *handler_arg);

/* Fills in runtime, loop, and the name of the task, and gives it to the handler. */
void whorl__report(struct whorl__runtime *runtime, const struct whorl_report *report);

#endif
