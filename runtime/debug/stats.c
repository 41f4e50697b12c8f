/*
 * stats.c - the counters: as a struct, as a table, as Prometheus wants them.
 *
 * Owns:       nothing; each counter is written by its loop.
 * Threads:    any, also in a signal handler; a runtime is visited (sched/roster.h) meanwhile.
 * Invariant:  counters have 64 bits and never go back. What has ended is read before what was
 *             begun, so that the difference, the tasks that live, is never negative.
 */
#include "debug/output.h"

#include "sched/entry.h"
#include "sched/roster.h"
#include "sys/fork.h"
#include "sys/tls.h"
#include "task/park.h"

#include <errno.h>

#define COLUMN_WORD   14
#define COLUMN_NUMBER 12

struct counter {
    const char *name;
    const char *help;
};

#define INDEX(field)         (offsetof(struct whorl_stats, field) / sizeof(uint64_t))
#define COUNTER(field, text) [INDEX(field)] = {#field, text}

static const struct counter counters[] = {
    COUNTER(turns, "Turns of the loop."),
    COUNTER(runs, "Times a task was switched to."),
    COUNTER(spawned, "Tasks made."),
    COUNTER(ended, "Tasks that ended."),
    COUNTER(steals_tried, "Looks into another loop's queue."),
    COUNTER(steals, "Looks into another loop's queue that took something."),
    COUNTER(stolen, "Tasks taken from other loops."),
    COUNTER(migrations, "Tasks that went on here and had been suspended on another loop."),
    COUNTER(overflows, "Times the ring was full."),
    COUNTER(polls, "Times the poller was asked."),
    COUNTER(events, "Readiness events the poller gave."),
    COUNTER(sleeps, "Times the loop slept."),
    COUNTER(wakes, "Times it woke another loop."),
    COUNTER(timers, "Timers that fired."),
    COUNTER(rescues, "Times it served the poller of a stuck loop."),
    COUNTER(rescued, "Events it found there."),
    COUNTER(moves, "Descriptors that came here because their task did."),
    COUNTER(stalls, "Times the loop was found stuck in one task."),
    COUNTER(missed_wakes, "Wake-ups that only the alarm found; must be 0."),
};

#define COUNT (sizeof counters / sizeof counters[0])

WHORL_STATIC(COUNT == INDEX(reserved),
             "every field has a name and a help text");

/* ---- reading ---- */

static uint64_t read_counter(const struct whorl__loop *loop, size_t index)
{
    const uint64_t *const fields = (const uint64_t *)(const void *)&loop->stats;
    return whorl__load_relaxed_u64(&fields[index]); /* relaxed: a figure */
}

/* What no loop has counted. */
static uint64_t read_foreign(const struct whorl__runtime *runtime, size_t index)
{
    /* relaxed: a figure */
    return index == INDEX(spawned) ? whorl__load_relaxed_u64(&runtime->foreign_made) : 0;
}

static uint64_t sum_counter(const struct whorl__runtime *runtime, size_t index)
{
    uint64_t sum = read_foreign(runtime, index);
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        sum += read_counter(runtime->loops[i], index);
    }
    return sum;
}

static uint64_t count_tasks(const struct whorl__runtime *runtime)
{
    const uint64_t ended = sum_counter(runtime, INDEX(ended));
    whorl__fence_acquire(); /* begun after ended: the difference is not negative */
    return sum_counter(runtime, INDEX(spawned)) - ended;
}

static int read_stats(const struct whorl__runtime *runtime, int loop, struct whorl_stats *ret_stats)
{
    if (loop < -1 || loop >= (int)runtime->loop_count || ret_stats == NULL) {
        return -EINVAL;
    }
    struct whorl_stats stats = {0};
    uint64_t *const fields = (uint64_t *)(void *)&stats;
    for (size_t i = 0; i < COUNT; i++) {
        fields[i] = loop == -1 ? sum_counter(runtime, i) : read_counter(runtime->loops[loop], i);
    }
    *ret_stats = stats;
    return 0;
}

/* The only runtime there is; NULL: none, or several. */
static struct whorl__runtime *visit_only(void)
{
    struct whorl__runtime *const first = whorl__roster_next(NULL);
    if (first == NULL) {
        return NULL;
    }
    const uint64_t id = first->id;
    struct whorl__runtime *const second = whorl__roster_next(first);
    if (second != NULL) {
        whorl__roster_leave(second);
        return NULL;
    }
    return whorl__roster_find(id);
}

/* ---- as a table ---- */

static void put_table(struct whorl__text *text, const struct whorl__runtime *runtime)
{
    whorl__text_string(text, "\nruntime=");
    whorl__text_number(text, runtime->id);
    whorl__text_string(text, " loops=");
    whorl__text_number(text, runtime->loop_count);
    whorl__text_string(text, " tasks=");
    whorl__text_number(text, count_tasks(runtime));
    whorl__text_char(text, '\n');
    whorl__text_word_column(text, "counter", COLUMN_WORD);
    whorl__text_string(text, "       total");
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        whorl__text_string(text, i < 10 ? "      loop=" : i < 100 ? "     loop=" : "   loop=");
        whorl__text_number(text, i);
    }
    whorl__text_char(text, '\n');
    for (size_t k = 0; k < COUNT; k++) {
        whorl__text_word_column(text, counters[k].name, COLUMN_WORD);
        whorl__text_number_column(text, sum_counter(runtime, k), COLUMN_NUMBER);
        for (unsigned i = 0; i < runtime->loop_count; i++) {
            whorl__text_char(text, ' ');
            whorl__text_number_column(text, read_counter(runtime->loops[i], k), COLUMN_NUMBER - 1);
        }
        whorl__text_char(text, '\n');
    }
}

static void put_tables(struct whorl__output *output)
{
    struct whorl__runtime *runtime = NULL;
    whorl__output_heading(output, "counters");
    whorl__text_char(&output->text, '\n');
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        put_table(&output->text, runtime);
    }
}

/* ---- for Prometheus: all samples of a name stand together, under its HELP and TYPE ---- */

static void put_header(struct whorl__text *text, const char *name, const char *suffix,
                       const char *type, const char *help)
{
    static const char *const kinds[] = {"HELP", "TYPE"};
    const char *const words[] = {help, type};
    for (int i = 0; i < 2; i++) {
        whorl__text_string(text, "# ");
        whorl__text_string(text, kinds[i]);
        whorl__text_string(text, " whorl_");
        whorl__text_string(text, name);
        whorl__text_string(text, suffix);
        whorl__text_char(text, ' ');
        whorl__text_string(text, words[i]);
        whorl__text_char(text, '\n');
    }
}

/* loop: its number, or -1: none; -2: tasks of plain threads, which no loop has counted. */
static void put_sample(struct whorl__text *text, const char *name, const char *suffix,
                       const struct whorl__runtime *runtime, int loop, uint64_t value)
{
    whorl__text_string(text, "whorl_");
    whorl__text_string(text, name);
    whorl__text_string(text, suffix);
    whorl__text_string(text, "{runtime=\"");
    whorl__text_number(text, runtime->id);
    if (loop >= 0) {
        whorl__text_string(text, "\",loop=\"");
        whorl__text_number(text, (uint64_t)loop);
    } else if (loop == -2) {
        whorl__text_string(text, "\",loop=\"none");
    }
    whorl__text_string(text, "\"} ");
    whorl__text_number(text, value);
    whorl__text_char(text, '\n');
}

static void put_counter(struct whorl__text *text, size_t index)
{
    const struct counter *const counter = &counters[index];
    struct whorl__runtime *runtime = NULL;
    put_header(text, counter->name, "_total", "counter", counter->help);
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        for (unsigned i = 0; i < runtime->loop_count; i++) {
            put_sample(text, counter->name, "_total", runtime, (int)i,
                       read_counter(runtime->loops[i], index));
        }
        if (index == INDEX(spawned)) {
            put_sample(text, counter->name, "_total", runtime, -2, read_foreign(runtime, index));
        }
    }
}

/* What goes up and down; of the runtime if `of_loop` is NULL, else of each loop. */
struct gauge {
    const char *name;
    const char *help;
    uint64_t (*of_runtime)(const struct whorl__runtime *runtime);
    uint64_t (*of_loop)(const struct whorl__loop *loop);
};

static uint64_t count_loops(const struct whorl__runtime *runtime)
{
    return runtime->loop_count;
}

/* relaxed, in the four below: figures */
static uint64_t count_shared(const struct whorl__runtime *runtime)
{
    return whorl__load_relaxed_u32(&runtime->shared.count);
}

static uint64_t count_ring(const struct whorl__loop *loop)
{
    return whorl__entry_count(loop) + (whorl__load_relaxed_ptr(&loop->hot) != NULL);
}

static uint64_t is_asleep(const struct whorl__loop *loop)
{
    return whorl__load_relaxed_u32(&loop->sleeping) != 0;
}

static uint64_t is_stuck(const struct whorl__loop *loop)
{
    return whorl__load_relaxed_u32(&loop->stuck) != 0;
}

static const struct gauge gauges[] = {
    {.name = "loops", .help = "Loops of the runtime.", .of_runtime = count_loops},
    {.name = "tasks", .help = "Tasks that have not ended.", .of_runtime = count_tasks},
    {.name = "shared_queue_tasks", .help = "Ready tasks no loop has yet.",
     .of_runtime = count_shared},
    {.name = "run_queue_tasks", .help = "Ready tasks in the loop's ring.", .of_loop = count_ring},
    {.name = "loop_sleeping", .help = "Whether the loop sleeps.", .of_loop = is_asleep},
    {.name = "loop_stuck", .help = "Whether the loop is stuck in one task.", .of_loop = is_stuck},
};

static void put_gauge(struct whorl__text *text, const struct gauge *gauge)
{
    struct whorl__runtime *runtime = NULL;
    put_header(text, gauge->name, "", "gauge", gauge->help);
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        if (gauge->of_runtime != NULL) {
            put_sample(text, gauge->name, "", runtime, -1, gauge->of_runtime(runtime));
        }
        for (unsigned i = 0; gauge->of_loop != NULL && i < runtime->loop_count; i++) {
            put_sample(text, gauge->name, "", runtime, (int)i, gauge->of_loop(runtime->loops[i]));
        }
    }
}

static void put_exposition(struct whorl__output *output)
{
    for (size_t i = 0; i < COUNT; i++) {
        put_counter(&output->text, i);
    }
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        put_gauge(&output->text, &gauges[i]);
    }
}

static int put_format(struct whorl__output *output, enum whorl_stats_format format)
{
    switch (format) {
    case WHORL_STATS_TEXT:
        put_tables(output);
        return 0;
    case WHORL_STATS_PROMETHEUS:
        put_exposition(output);
        return 0;
    }
    return -EINVAL;
}

/* ---- public ---- */

int whorl_stats(int loop, struct whorl_stats *ret_stats)
{
    const struct whorl_task *const task = whorl__task_current();
    return task == NULL ? whorl__error_outside() : read_stats(task->runtime, loop, ret_stats);
}

int whorl_stats_of(uint64_t runtime, int loop, struct whorl_stats *ret_stats)
{
    struct whorl__runtime *const found = runtime != 0 ? whorl__roster_find(runtime) : visit_only();
    if (found == NULL) {
        return -ESRCH;
    }
    const int error = read_stats(found, loop, ret_stats);
    whorl__roster_leave(found);
    return error;
}

uint64_t whorl_runtime_current(void)
{
    const struct whorl_task *const task = whorl__task_current();
    return task == NULL ? 0 : task->runtime->id;
}

size_t whorl_runtimes(uint64_t *ret_ids, size_t max)
{
    size_t count = 0;
    struct whorl__runtime *runtime = NULL;
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        if (count < max && ret_ids != NULL) {
            ret_ids[count] = runtime->id;
        }
        count++;
    }
    return count;
}

ssize_t whorl_stats_print(enum whorl_stats_format format, char *ret_text, size_t bytes)
{
    struct whorl__output output;
    whorl__output_to_bytes(&output, ret_text, bytes);
    const int error = put_format(&output, format);
    if (error != 0) {
        return error;
    }
    (void)whorl__output_end(&output);
    return (ssize_t)output.total;
}

int whorl_stats_write(enum whorl_stats_format format, int fd)
{
    const int saved_errno = whorl__tls_errno();
    struct whorl__output output;
    whorl__output_to_fd(&output, fd);
    const int error = put_format(&output, format);
    if (error != 0) {
        return error;
    }
    const int failed = whorl__output_end(&output);
    whorl__tls_set_errno(saved_errno);
    return failed;
}
