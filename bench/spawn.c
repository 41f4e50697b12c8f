/*
 * spawn.c - what a task costs that does nothing.
 *
 * Question:    spawn a million empty tasks, then join them all: how long does one take, in units of
 *              a locked compare-and-swap? And does a second loop get in the way?
 * Good answer: at most 20 units on one loop, and on two loops no slower than on one.
 *
 * The second pass is measured: in the first the memory of the tasks is touched for the first time,
 * which is the kernel's cost. One task spawns all, so a second loop has only the bodies to take
 * over, which are empty: the worst case for sharing work, not one for showing it off.
 */
#include "support/measure.h"
#include "support/yardstick.h"
#include "whorl.h"

#include <stdlib.h>
#include <string.h>

#define TASKS         1000000L
#define CAS_COUNT     5000000L
#define SPAWN_BAR     20.0
#define TWO_LOOPS_BAR 1.0

static const char help[] =
    "A million empty tasks are spawned and joined. Exit code 1: above 20 locked compare-and-swaps\n"
    "each, or slower on two loops than on one.";

struct run {
    long tasks;
    struct whorl_task **handles;
    uint64_t ended; /* A */
    double task_ns;
};

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int count_one(void *arg)
{
    struct run *run = arg;
    __atomic_fetch_add(&run->ended, 1, __ATOMIC_RELAXED); /* relaxed: read after the joins */
    return 0;
}

/* One pass over bodies of this kind; nanoseconds, or -errno. */
static int64_t time_pass(struct run *run, whorl_body *body)
{
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (long i = 0; i < run->tasks && !error; i++) {
        error = whorl_spawn(body, run, NULL, &run->handles[i]);
    }
    for (long i = 0; i < run->tasks && !error; i++) {
        error = whorl_join(run->handles[i], WHORL_NEVER, NULL);
        whorl_task_unref(run->handles[i]);
    }
    return error ? error : whorl_now() - begin_ns;
}

/* The first pass counts its tasks, as a check; the second is timed. */
static int measure(void *arg)
{
    struct run *run = arg;
    int64_t spent_ns = time_pass(run, count_one);
    if (spent_ns >= 0) {
        spent_ns = time_pass(run, do_nothing);
    }
    run->task_ns = (double)spent_ns / (double)run->tasks;
    return spent_ns < 0 ? (int)spent_ns : 0;
}

static double time_task(enum whorl_mode mode, int loops, long tasks)
{
    struct run run = {.tasks = tasks};
    /* A task that spawns a million others holds its loop for long: no need to say so. */
    const struct whorl_options options = {.mode = mode, .loops = loops, .report_ns = WHORL_NEVER};
    run.handles = calloc((size_t)tasks, sizeof(struct whorl_task *));
    if (!run.handles) {
        bench_die("no memory for %ld handles", tasks);
    }
    const int error = whorl_run(measure, &run, &options);
    free(run.handles);
    if (error) {
        bench_die("the runtime failed: %s", strerror(-error));
    }
    if (run.ended != (uint64_t)tasks) {
        bench_die("some tasks did not run");
    }
    return run.task_ns;
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 9, help);
    const long tasks = options.quick ? TASKS / 10 : TASKS;
    struct bench_series cas = {.count = 0};
    struct bench_series single = {.count = 0};
    struct bench_series two = {.count = 0};
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        bench_series_add(&cas, yardstick_cas_ns(CAS_COUNT));
        bench_series_add(&single, time_task(WHORL_MODE_SINGLE, 1, tasks));
        bench_series_add(&two, time_task(WHORL_MODE_STEALING, 2, tasks));
    }
    const struct json_place cas_place = {"spawn", "one word", "bare", 0};
    const struct json_place single_place = {"spawn", "empty tasks", "single", 1};
    const struct json_place two_place = {"spawn", "empty tasks", "stealing", 2};
    bench_report(&json, &cas_place, "locked CAS", &cas, "ns");
    bench_report(&json, &single_place, "spawn and join", &single, "ns");
    bench_report(&json, &two_place, "spawn and join", &two, "ns");
    int missed = bench_report_bar(&json, &single_place, "spawn and join to CAS",
                                  bench_series_median(&single) / bench_series_median(&cas),
                                  SPAWN_BAR, "CAS");
    missed |= bench_report_bar(&json, &two_place, "two loops to one",
                               bench_series_median(&two) / bench_series_median(&single),
                               TWO_LOOPS_BAR, "times");
    return json_close(&json) ? 2 : missed;
}
