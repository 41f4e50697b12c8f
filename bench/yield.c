/*
 * yield.c - what it costs to let the others run.
 *
 * Question:    1000 tasks on one loop yield in turn: how long does one yield take, all that the
 *              scheduler does included, against a bare switch between 1000 stacks?
 * Good answer: at most 5 bare switches.
 *
 * Both are measured in one process, in turns. The bare ring does what no scheduler can leave out: a
 * queue and a switch. The same tasks free to move between all loops are shown beside it, without a
 * bar: there each yield offers the task to the other loops.
 */
#include "support/measure.h"
#include "support/yardstick.h"
#include "whorl.h"

#include <string.h>

#define TASKS       1000
#define YIELDS_EACH 1000L
#define YIELD_BAR   5.0

static const char help[] =
    "1000 tasks yield in turn, against a bare switch among as many stacks. Exit code 1: above 5.";

struct run {
    long yields_each;
    uint64_t yields; /* A: made, by all tasks; each adds its own when it ends */
    double yield_ns;
};

static int yield_often(void *arg)
{
    struct run *run = arg;
    long made = 0;
    while (made < run->yields_each && !whorl_yield()) {
        made++;
    }
    __atomic_fetch_add(&run->yields, (uint64_t)made,
                       __ATOMIC_RELAXED); /* relaxed: read after joins */
    return 0;
}

/* One pass; returns nanoseconds, or -errno. */
static int64_t time_pass(struct run *run)
{
    static struct whorl_task *tasks[TASKS];
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (int i = 0; i < TASKS && !error; i++) {
        error = whorl_spawn(yield_often, run, NULL, &tasks[i]);
    }
    for (int i = 0; i < TASKS && !error; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error ? error : whorl_now() - begin_ns;
}

/* The first task: a pass to make stacks and caches warm, then the one that counts. */
static int measure(void *arg)
{
    struct run *run = arg;
    const long yields_each = run->yields_each;
    run->yields_each = 10;
    int64_t spent_ns = time_pass(run);
    if (spent_ns < 0) {
        return (int)spent_ns;
    }
    run->yields_each = yields_each;
    run->yields = 0;
    spent_ns = time_pass(run);
    run->yield_ns = (double)spent_ns / (double)TASKS / (double)yields_each;
    return spent_ns < 0 ? (int)spent_ns : 0;
}

static double time_yield(enum whorl_mode mode, int loops, long yields_each)
{
    struct run run = {.yields_each = yields_each};
    const struct whorl_options options = {.mode = mode, .loops = loops};
    const int error = whorl_run(measure, &run, &options);
    if (error) {
        bench_die("the runtime failed: %s", strerror(-error));
    }
    if (run.yields != (uint64_t)yields_each * TASKS) {
        bench_die("some yields were not made");
    }
    return run.yield_ns;
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 15, help);
    const long yields_each = options.quick ? YIELDS_EACH / 10 : YIELDS_EACH;
    const int cores = bench_core_count();
    struct bench_series bare = {.count = 0};
    struct bench_series single = {.count = 0};
    struct bench_series stealing = {.count = 0};
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        bench_series_add(&bare, yardstick_switch_ns(TASKS, yields_each * TASKS));
        bench_series_add(&single, time_yield(WHORL_MODE_SINGLE, 1, yields_each));
        bench_series_add(&stealing, time_yield(WHORL_MODE_STEALING, cores, yields_each));
    }
    const struct json_place bare_place = {"yield", "1000 fibers", "bare", 0};
    const struct json_place single_place = {"yield", "1000 tasks", "single", 1};
    const struct json_place stealing_place = {"yield", "1000 tasks", "stealing", cores};
    bench_report(&json, &bare_place, "switch", &bare, "ns");
    bench_report(&json, &single_place, "yield", &single, "ns");
    bench_report(&json, &stealing_place, "yield", &stealing, "ns");
    const double ratio = bench_series_median(&single) / bench_series_median(&bare);
    const int missed = bench_report_bar(&json, &single_place, "yield to bare switch", ratio,
                                        YIELD_BAR, "switches");
    return json_close(&json) ? 2 : missed;
}
