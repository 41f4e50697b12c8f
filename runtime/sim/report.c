/*
 * report.c - what a run says of itself: seeds as text, events as lines, why it failed.
 *
 * Owns:       the verdict in the report.
 * Threads:    the carrier; seeds: any.
 */
#include "sim/sim.h"

#include "sched/sched.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_PRINTED 64

/* ---- seeds ---- */

static void format_version(char ret_text[WHORL_SIM_SEED_TEXT_MAX])
{
    snprintf(ret_text, WHORL_SIM_SEED_TEXT_MAX, "%d.%d.%d-s%d:", WHORL_VERSION_MAJOR,
             WHORL_VERSION_MINOR, WHORL_VERSION_PATCH, WHORL__SIM_FORMAT);
}

void whorl_sim_seed_format(uint64_t seed, char ret_text[WHORL_SIM_SEED_TEXT_MAX])
{
    format_version(ret_text);
    const size_t length = strlen(ret_text);
    snprintf(ret_text + length, WHORL_SIM_SEED_TEXT_MAX - length, "0x%llx",
             (unsigned long long)seed);
}

static int parse_number(const char *text, uint64_t *ret_seed)
{
    char *end = NULL;
    const int saved = whorl__tls_errno();
    if (text[0] < '0' || text[0] > '9') {
        return -EINVAL;
    }
    whorl__tls_set_errno(0);
    const unsigned long long number = strtoull(text, &end, 0);
    const int error = whorl__tls_errno();
    whorl__tls_set_errno(saved);
    if (error != 0 || *end != '\0') {
        return -EINVAL;
    }
    *ret_seed = number;
    return 0;
}

static bool looks_like_version(const char *text, const char *colon)
{
    int major, minor, patch, format, length = 0;
    return sscanf(text, "%d.%d.%d-s%d:%n", &major, &minor, &patch, &format, &length) == 4 &&
           text + length == colon + 1;
}

int whorl_sim_seed_parse(const char *text, uint64_t *ret_seed)
{
    char ours[WHORL_SIM_SEED_TEXT_MAX];
    uint64_t seed;
    if (text == NULL) {
        return -EINVAL;
    }
    const char *const colon = strchr(text, ':');
    const int error = parse_number(colon == NULL ? text : colon + 1, &seed);
    if (error != 0 || (colon != NULL && !looks_like_version(text, colon))) {
        return -EINVAL;
    }
    format_version(ours);
    if (colon != NULL && strncmp(text, ours, strlen(ours)) != 0) {
        return -ESTALE;
    }
    *ret_seed = seed;
    return 0;
}

/* ---- the trace ---- */

static const char *name_of(enum whorl__sim_call call)
{
#define NAME(code, name) name,
    static const char *const names[] = {WHORL__SIM_CALLS(NAME)};
#undef NAME
    return names[call];
}

void whorl__sim_format_event(const struct whorl__sim_event *event, char *ret_line, size_t line_max)
{
    char task[32] = "";
    if (event->task >= 0) {
        snprintf(task, sizeof task, "task %lld", (long long)event->task);
    }
    snprintf(ret_line, line_max, "%8llu %14lld ns  thread %-3u %-10s %-14s %6lld = %lld%s%s",
             (unsigned long long)event->step, (long long)event->now_ns, event->thread, task,
             name_of(event->call), (long long)event->about, (long long)event->result,
             event->note[0] != '\0' ? "  " : "", event->note);
}

/* ---- verdicts ---- */

static void append(char *text, size_t text_max, const char *format, ...) WHORL_PRINTF(3, 4);

static void append(char *text, size_t text_max, const char *format, ...)
{
    const size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, text_max - length, format, arguments);
    va_end(arguments);
}

static void set_verdict(const char *format, va_list arguments)
{
    struct whorl_sim_report *const report = &whorl__sim->report;
    if (report->failed) {
        return; /* the first one counts */
    }
    report->failed = 1;
    vsnprintf(report->verdict, sizeof report->verdict, format, arguments);
}

void whorl__sim_verdict(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_verdict(format, arguments);
    va_end(arguments);
}

static void leave_failed(void)
{
    struct whorl__sim *const sim = whorl__sim;
    if (sim->options.abort_on_failure) {
        whorl__sim_print_failure();
        abort();
    }
    if (sim->hold == 0) { /* else at the next call: somebody's lock is held */
        whorl__sim_leave();
    }
}

void whorl__sim_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_verdict(format, arguments);
    va_end(arguments);
    leave_failed();
    abort();
}

void whorl_sim_fail(const char *verdict)
{
    if (whorl__sim != NULL) {
        whorl__sim_verdict("%s", verdict != NULL ? verdict : "the program said so");
        leave_failed();
    }
}

/* Most events are looks at the clock, and a monitor that finds nothing: left out. */
static bool tells_something(const struct whorl__sim_event *event)
{
    return event->call != WHORL__SIM_NOW &&
           !(event->call == WHORL__SIM_FUTEX_WAIT && event->result == -ETIMEDOUT);
}

/* The number of the first event to be printed. */
static uint64_t first_line(const struct whorl__sim *sim)
{
    const uint64_t kept = WHORL__SIM_EVENTS_KEPT;
    const uint64_t oldest = sim->event_count < kept ? 0 : sim->event_count - kept;
    uint64_t first = sim->event_count;
    for (unsigned lines = 0; first > oldest && lines < LINES_PRINTED; first--) {
        lines += tells_something(&sim->events[(first - 1) % kept]);
    }
    return first;
}

void whorl__sim_print_failure(void)
{
    const struct whorl__sim *const sim = whorl__sim;
    if (sim->options.quiet) {
        return;
    }
    fprintf(stderr,
            "whorl: simulation %s failed: %s\n"
            "whorl: its last events, without looks at the clock:\n",
            sim->report.seed_text, sim->report.verdict);
    for (uint64_t i = first_line(sim); i < sim->event_count; i++) {
        const struct whorl__sim_event *const event = &sim->events[i % WHORL__SIM_EVENTS_KEPT];
        char line[192];
        if (tells_something(event)) {
            whorl__sim_format_event(event, line, sizeof line);
            fprintf(stderr, "whorl: %s\n", line);
        }
    }
    fprintf(stderr, "whorl: repeat it with WHORL_SIM_SEED=%s\n", sim->report.seed_text);
}

void whorl__sim_print_crash(void)
{
    whorl__sim_verdict("a check of whorl's own, above");
    whorl__sim_print_failure();
}

/* ---- nobody can go on ---- */

static const char *waits_for(const struct whorl_sim_thread *thread)
{
    const struct whorl__runtime *const runtime = whorl__sim->runtime;
    if (thread->call == WHORL__SIM_EPOLL_WAIT) {
        return "sleeps in its poller";
    }
    if (thread->call == WHORL__SIM_JOIN) {
        return "waits for a thread to end";
    }
    if (runtime != NULL && thread->waits_on == &runtime->ended_word) {
        return "waits for all tasks to end";
    }
    if (runtime != NULL && thread->waits_on == &runtime->monitor.state) {
        return "is the monitor, parked";
    }
    return "waits for a future";
}

static const char *reason_name(uint64_t waits_on)
{
    switch (waits_on & WHORL__PARK_REASON_MASK) {
    case WHORL__PARK_FUTURE:
        return "a future";
    case WHORL__PARK_SLEEP:
        return "a cancel: it sleeps for ever";
    case WHORL__PARK_READ:
        return "a descriptor to be readable";
    case WHORL__PARK_WRITE:
        return "a descriptor to be writable";
    case WHORL__PARK_GROUP:
        return "the children of its group";
    case WHORL__PARK_STRAND:
        return "the turn of its strand";
    case WHORL__PARK_SYNC:
        return whorl__park_sync_name(waits_on);
    default:
        return "something";
    }
}

static void append_tasks(char *text, size_t text_max, struct whorl__runtime *runtime)
{
    const uint32_t count = whorl__slots_count(&runtime->slots);
    for (uint32_t i = 0; i < count; i++) {
        const struct whorl_task *const task = whorl__slot_at(&runtime->slots, i);
        /* relaxed: one thread */
        const enum whorl__phase phase = whorl__state_phase(whorl__load_relaxed_u64(&task->word));
        const uint64_t waits_on = whorl__load_relaxed_u64(&task->waits_on); /* relaxed: as above */
        const bool in_line = (waits_on & WHORL__PARK_REASON_MASK) == WHORL__PARK_STRAND;
        const bool ready = phase == WHORL__LIVE && !in_line;
        if (phase == WHORL__PARKED || phase == WHORL__LIVE) {
            append(text, text_max, "\n  task %u%s%s%s: %s%s", i, task->named ? " \"" : "",
                   task->named ? task->name : "", task->named ? "\"" : "",
                   ready ? "ready" : "waits for ", ready ? "" : reason_name(waits_on));
        }
    }
}

void whorl__sim_deadlock(void)
{
    const struct whorl__sim *const sim = whorl__sim;
    char text[WHORL_SIM_VERDICT_MAX];
    snprintf(text, sizeof text, "nobody can go on, and nothing is due:");
    if (sim->runtime != NULL) {
        append_tasks(text, sizeof text, sim->runtime);
    }
    for (unsigned i = 0; i < sim->live_count; i++) {
        append(text, sizeof text, "\n  thread %u %s", sim->live[i]->number,
               waits_for(sim->live[i]));
    }
    whorl__sim_fail("%s", text);
}
