/*
 * context.c - what a context costs the task that is spawned with one.
 *
 * Question:    tasks that do nothing are spawned without a context, in a context of the program's
 *              (attr.context), and by a task that has set locals, which they inherit. How much
 *              longer do the latter two take than the first?
 * Good answer: at most 1.1 times.
 *
 * Once in batches that stay in the caches, once one after the other, each awaited before the next:
 * there a task costs least, and what comes on top shows most. The three kinds take turns within a
 * millisecond, so that what disturbs one disturbs all, and the best pass of each kind counts.
 */
#include "support/measure.h"
#include "whorl.h"

#include <string.h>

#define PASSES      200
#define PASS_TASKS  2000
#define BATCH       500
#define CONTEXT_BAR 1.1

static const char help[] =
    "Tasks are spawned with a context and without. Exit code 1: more than 1.1 times as long with.";

enum kind { PLAIN, GIVEN, INHERITED, KINDS };

static struct whorl_local key;

struct run {
    int passes;
    struct whorl_context *context;
    double batch_ns[KINDS]; /* a task, in the best pass */
    double alone_ns[KINDS];
};

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Errors add up: 0 is none. */
static int spawn_batch(const struct whorl_attr *attr)
{
    struct whorl_task *tasks[BATCH];
    int made = 0;
    int error = 0;
    while (made < BATCH && (error = whorl_spawn(do_nothing, NULL, attr, &tasks[made])) == 0) {
        made++;
    }
    for (int i = 0; i < made; i++) {
        error |= whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static int spawn_alone(const struct whorl_attr *attr)
{
    struct whorl_task *task;
    int error = whorl_spawn(do_nothing, NULL, attr, &task);
    if (error == 0) {
        error = whorl_await(task, NULL);
        whorl_task_unref(task);
    }
    return error;
}

static void keep_best(double *best_ns, int64_t spent_ns)
{
    const double each_ns = (double)spent_ns / PASS_TASKS;
    if (*best_ns == 0 || each_ns < *best_ns) {
        *best_ns = each_ns;
    }
}

static int time_pass(struct run *run, enum kind kind)
{
    const struct whorl_attr attr = {.context = kind == GIVEN ? run->context : NULL};
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (int i = 0; i < PASS_TASKS / BATCH; i++) {
        error |= spawn_batch(&attr);
    }
    const int64_t middle_ns = whorl_now();
    for (int i = 0; i < PASS_TASKS; i++) {
        error |= spawn_alone(&attr);
    }
    keep_best(&run->batch_ns[kind], middle_ns - begin_ns);
    keep_best(&run->alone_ns[kind], whorl_now() - middle_ns);
    return error;
}

static int measure(void *arg)
{
    struct run *run = arg;
    struct whorl_local_token token;
    int error = whorl_context_copy(&run->context);
    for (int i = 0; i < run->passes && error == 0; i++) {
        error = time_pass(run, PLAIN) | time_pass(run, GIVEN);
        if (error == 0 && (error = whorl_local_set(&key, run, &token)) == 0) {
            error = time_pass(run, INHERITED) | whorl_local_reset(&token);
        }
    }
    whorl_context_unref(run->context);
    return error;
}

struct figures {
    struct bench_series batch[KINDS];
    struct bench_series alone[KINDS];
};

static void add_round(struct figures *figures, enum whorl_mode mode, int loops, bool quick)
{
    struct run run = {.passes = quick ? PASSES / 10 : PASSES};
    const struct whorl_options options = {.mode = mode, .loops = loops, .report_ns = WHORL_NEVER};
    const int error = whorl_run(measure, &run, &options);
    if (error != 0) {
        bench_die("the runtime failed: %s", strerror(-error));
    }
    for (int kind = 0; kind < KINDS; kind++) {
        bench_series_add(&figures->batch[kind], run.batch_ns[kind]);
        bench_series_add(&figures->alone[kind], run.alone_ns[kind]);
    }
}

/* The rounds' ratios, and not the ratio of two medians: a round was measured at one time. */
static int report_ratio(struct json *json, const struct json_place *place, const char *metric,
                        const struct bench_series *with, const struct bench_series *without)
{
    struct bench_series ratios = {.count = 0};
    for (int i = 0; i < with->count; i++) {
        bench_series_add(&ratios, with->values[i] / without->values[i]);
    }
    return bench_report_bar(json, place, metric, bench_series_median(&ratios), CONTEXT_BAR,
                            "times");
}

static int report(struct json *json, const struct figures *figures, const char *mode, int loops)
{
    static const char *const names[KINDS] = {"no context", "attr.context", "inherited locals"};
    int missed = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const struct json_place place = {"context", names[kind], mode, loops};
        bench_report(json, &place, "in batches", &figures->batch[kind], "ns");
        bench_report(json, &place, "one by one", &figures->alone[kind], "ns");
        if (kind != PLAIN) {
            missed |= report_ratio(json, &place, "in batches, to plain", &figures->batch[kind],
                                   &figures->batch[PLAIN]);
            missed |= report_ratio(json, &place, "one by one, to plain", &figures->alone[kind],
                                   &figures->alone[PLAIN]);
        }
    }
    return missed;
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 5, help);
    struct figures single = {.batch[0].count = 0};
    struct figures two = {.batch[0].count = 0};
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        add_round(&single, WHORL_MODE_SINGLE, 1, options.quick);
        add_round(&two, WHORL_MODE_STEALING, 2, options.quick);
    }
    int missed = report(&json, &single, "single", 1);
    missed |= report(&json, &two, "stealing", 2);
    return json_close(&json) ? 2 : missed;
}
