/*
 * report.c - the exception handler: one report at a time, the default, and a handler that fails.
 *
 *   report   fill in what the caller left out; lock; handler; if it fails, the default tells both
 *   again    a report that is made inside the handler, on its thread, goes to the default at once:
 *            the lock is this thread's, and the handler is busy
 *
 * Owns:       runtime->reporter.
 * Threads:    see report.h.
 * Invariant:  owner is the thread that is between lock and unlock. A thread looks only whether it
 *             is itself, which nobody else can make true or untrue meanwhile.
 *             A task stays on its thread while it is in the handler (loop->bars): on another one it
 *             would give back a lock that it does not have there.
 * Not chosen: a queue that the one at work empties: it would need memory for what is told when
 *             there is none, and a report would outlive the task that it is about. A spin lock: a
 *             handler that writes to a slow disk would have every loop spin.
 */
#include "sched/report.h"

#include "sched/roster.h"
#include "sched/sched.h"
#include "sys/os.h"
#include "sys/tls.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define LINE_BYTES   480
#define ORIGIN_BYTES 440
#define WHY_BYTES    440

/* ---- one at a time ---- */

static uint32_t own_id(void)
{
    return (uint32_t)whorl__os->thread_id();
}

/* False: this thread has the lock already, being in the handler. */
static bool enter(struct whorl__reporter *reporter)
{
    const uint32_t id = own_id();
    if (whorl__load_relaxed_u32(&reporter->owner) == id) { /* relaxed: only this thread stores it */
        return false;
    }
    whorl__mutex_lock(&reporter->lock);
    whorl__plain_write(&reporter->handler);
    whorl__store_relaxed_u32(&reporter->owner, id); /* relaxed: as above */
    return true;
}

static void leave(struct whorl__reporter *reporter)
{
    whorl__store_relaxed_u32(&reporter->owner, 0); /* relaxed: as in enter */
    whorl__mutex_unlock(&reporter->lock);
}

/* ---- the default ---- */

static void put(struct whorl__runtime *runtime, const char *line)
{
    if (runtime != NULL) {
        whorl__log(runtime, "%s", line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

static void put_text(struct whorl__runtime *runtime, const char *key, const char *text)
{
    char line[LINE_BYTES];
    if (text != NULL) {
        snprintf(line, sizeof line, "whorl:   %s: %s", key, text);
        put(runtime, line);
    }
}

static void put_address(struct whorl__runtime *runtime, const char *key, const void *address)
{
    char text[32];
    if (address != NULL) {
        snprintf(text, sizeof text, "%p", address);
        put_text(runtime, key, text);
    }
}

static void put_error(struct whorl__runtime *runtime, int error)
{
    char text[LINE_BYTES / 2];
    if (error != 0) {
        snprintf(text, sizeof text, "%s (%s)", whorl_error_name(error), whorl_error_text(error));
        put_text(runtime, "error", text);
    }
}

static void put_place(struct whorl__runtime *runtime, const struct whorl_report *report)
{
    char text[48];
    put_text(runtime, "locks", report->locks);
    if (report->loop >= 0) {
        snprintf(text, sizeof text, "%d", report->loop);
        put_text(runtime, "loop", text);
    }
    put_text(runtime, "origin", report->origin);
    if (report->runtime != 0) {
        snprintf(text, sizeof text, "%" PRIu64, report->runtime);
        put_text(runtime, "runtime", text);
    }
}

/* Message first, then the entries in the order of their names. */
static void tell(struct whorl__runtime *runtime, const struct whorl_report *report)
{
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "whorl: %s", report->message);
    put(runtime, line);
    put_error(runtime, report->error);
    put_address(runtime, "future", report->future);
    put_address(runtime, "generator", report->generator);
    put_text(runtime, "generator_name", report->generator_name);
    put_place(runtime, report);
    put_address(runtime, "task", report->task);
    put_text(runtime, "task_name", report->task_name);
    put_text(runtime, "waits_at", report->waits_at);
    put_text(runtime, "waits_for", report->waits_for);
    put_text(runtime, "why", report->why);
}

/* ---- a report ---- */

/* What is made up for a report that lacks it. */
struct words {
    char name[WHORL_TASK_NAME_MAX + 1];
    char origin[ORIGIN_BYTES];
    char why[WHY_BYTES];
};

static void fill_in(struct whorl__runtime *runtime, struct whorl_report *report,
                    struct words *words)
{
    struct whorl__loop *const here = whorl__loop_current();
    report->runtime = runtime->id;
    report->loop = here != NULL && here->runtime == runtime ? (int)here->index : -1;
    if (report->task != NULL && report->task_name == NULL) {
        whorl__task_copy_name(report->task, words->name, sizeof words->name);
        report->task_name = words->name;
    }
    if (report->task != NULL && report->origin == NULL &&
        runtime->origin_text(report->task, words->origin, sizeof words->origin)) {
        report->origin = words->origin;
    }
    if (report->task != NULL && report->why == NULL &&
        runtime->why_text(report->task, words->why, sizeof words->why)) {
        report->why = words->why;
    }
}

struct call {
    const struct whorl__reporter *reporter;
    const struct whorl_report *report;
};

static int call_handler(void *arg)
{
    const struct call *const call = arg;
    return call->reporter->handler(call->reporter->handler_arg, call->report);
}

/* In the context of the task that it is about. */
static int call_in_context(const struct whorl__reporter *reporter,
                           const struct whorl_report *report)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl_task *const task = report->task;
    struct call call = {.reporter = reporter, .report = report};
    return task != NULL && (here == NULL || here->current != task)
               ? task->runtime->call_in(task, call_handler, &call)
               : call_handler(&call);
}

static bool set_reporting(struct whorl__loop *here, bool reporting)
{
    struct whorl__bars bars = here->bars;
    const bool before = bars.reporting;
    bars.reporting = reporting;
    whorl__loop_set_bars(here, bars);
    return before;
}

static int call(const struct whorl__reporter *reporter, const struct whorl_report *report)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (here == NULL) {
        return call_in_context(reporter, report);
    }
    const bool before = set_reporting(here, true);
    const int error = call_in_context(reporter, report);
    (void)set_reporting(here, before);
    return error;
}

static void handle(struct whorl__runtime *runtime, const struct whorl_report *report)
{
    const struct whorl__reporter *const reporter = &runtime->reporter;
    whorl_exception_handler *const handler = reporter->handler;
    const int error = handler != NULL ? call(reporter, report) : 0;
    if (error != 0) {
        tell(runtime, &(struct whorl_report){.message = "the exception handler failed, with what "
                                                        "follows in hand",
                                             .error = error,
                                             .loop = -1});
    }
    if (handler == NULL || error != 0) {
        tell(runtime, report);
    }
}

void whorl__report(struct whorl__runtime *runtime, const struct whorl_report *report)
{
    struct whorl_report full = *report;
    struct words words;
    const int saved_errno = whorl__tls_errno(); /* of a task that only let go of something */
    fill_in(runtime, &full, &words);
    if (enter(&runtime->reporter)) {
        handle(runtime, &full);
        leave(&runtime->reporter);
    } else {
        tell(runtime, &full);
    }
    whorl__tls_set_errno(saved_errno);
}

void whorl__reporter_init(struct whorl__reporter *reporter, whorl_exception_handler *handler,
                          void *handler_arg)
{
    reporter->lock = (struct whorl__mutex){0};
    whorl__store_relaxed_u32(&reporter->owner, 0); /* relaxed: not shared yet */
    reporter->handler = handler;
    reporter->handler_arg = handler_arg;
}

/* ---- public ---- */

int whorl_exception_handler_set(whorl_exception_handler *handler, void *handler_arg)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    struct whorl__reporter *const reporter = &here->runtime->reporter;
    const bool entered = enter(reporter);
    reporter->handler = handler;
    reporter->handler_arg = handler_arg;
    if (entered) {
        leave(reporter);
    }
    return 0;
}

int whorl_exception_handler_get(whorl_exception_handler **ret_handler, void **ret_handler_arg)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    struct whorl__reporter *const reporter = &here->runtime->reporter;
    const bool entered = enter(reporter);
    if (ret_handler != NULL) {
        *ret_handler = reporter->handler;
    }
    if (ret_handler_arg != NULL) {
        *ret_handler_arg = reporter->handler_arg;
    }
    if (entered) {
        leave(reporter);
    }
    return 0;
}

int whorl_exception_handler_call(const struct whorl_report *report)
{
    if (report == NULL) {
        return -EINVAL;
    }
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    if (report->message == NULL) {
        return -EINVAL;
    }
    whorl__report(here->runtime, report);
    return 0;
}

int whorl_exception_handler_default(const struct whorl_report *report)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (report == NULL || report->message == NULL) {
        return -EINVAL;
    }
    if (here != NULL) {
        tell(here->runtime, report);
        return 0;
    }
    struct whorl__runtime *const found =
        report->runtime != 0 ? whorl__roster_find(report->runtime) : NULL;
    tell(found, report);
    if (found != NULL) {
        whorl__roster_leave(found);
    }
    return 0;
}
