/*
 * cancel.c - what it costs to end very many tasks at once.
 *
 * Question:    100 000 tasks sleep, on all loops. One task cancels them all, and awaits them all:
 *              how long does each of the calls take, and how long is it, by the number of tasks,
 *              until the last has ended, in units of a locked compare-and-swap?
 * Good answer: at most 208 units for either: where a compare-and-swap takes 2.4 ns, that is 0.5 us.
 *
 * A cancel takes the task's lock, ends its wait and queues it. Then each task runs once more, on a
 * stack that is in no cache. Beside these, without a bar: the CPU time of all loops.
 */
#include "support/measure.h"
#include "support/process.h"
#include "support/yardstick.h"
#include "whorl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS      100000L
#define CAS_COUNT  5000000L
#define CANCEL_BAR 208.0

static const char help[] =
    "100 000 sleeping tasks are cancelled at once. Exit code 1: a call, or an end, takes more\n"
    "than 208 locked compare-and-swaps (0.5 us where one takes 2.4 ns).";

struct run {
    long count;
    struct whorl_task **tasks;
    uint32_t asleep;   /* A: tasks that have begun */
    uint32_t refused;  /* A: tasks that ended in another way */
    double call_us;    /* of one cancel */
    double ended_us;   /* the same, and until all had ended */
    double cpu_us;     /* of all loops, for that */
};

static int sleep_for_ever(void *arg)
{
    struct run *run = arg;
    __atomic_fetch_add(&run->asleep, 1, __ATOMIC_RELAXED); /* relaxed: a count */
    const int error = whorl_sleep_until(WHORL_NEVER);
    if (error != -ECANCELED) {
        __atomic_fetch_add(&run->refused, 1, __ATOMIC_RELAXED); /* relaxed: read after joins */
    }
    return error;
}

static int spawn_all(struct run *run)
{
    for (long i = 0; i < run->count; i++) {
        const int error = whorl_spawn(sleep_for_ever, run, NULL, &run->tasks[i]);
        if (error != 0) {
            return error;
        }
    }
    /* relaxed: a count; who has counted itself is about to park, and a pause lets the last do so */
    while (__atomic_load_n(&run->asleep, __ATOMIC_RELAXED) < (uint32_t)run->count) {
        const int error = whorl_sleep(WHORL_MILLISECOND);
        if (error != 0) {
            return error;
        }
    }
    return whorl_sleep(10 * WHORL_MILLISECOND);
}

static int measure(void *arg)
{
    struct run *run = arg;
    int64_t cpu_before_ns = 0;
    int64_t cpu_after_ns = 0;
    int error = spawn_all(run);
    if (error != 0 || (error = process_cpu_ns(0, &cpu_before_ns)) != 0) {
        return error;
    }
    const int64_t begin_ns = whorl_now();
    for (long i = 0; i < run->count; i++) {
        if (!whorl_cancel(run->tasks[i], NULL)) {
            return -EPROTO;
        }
    }
    const int64_t called_ns = whorl_now();
    for (long i = 0; i < run->count; i++) {
        (void)whorl_await(run->tasks[i], NULL); /* -ECANCELED; the task counts what is not */
    }
    const int64_t ended_ns = whorl_now();
    error = process_cpu_ns(0, &cpu_after_ns);
    for (long i = 0; i < run->count; i++) {
        whorl_task_unref(run->tasks[i]);
    }
    run->call_us = (double)(called_ns - begin_ns) / (double)run->count / 1e3;
    run->ended_us = (double)(ended_ns - begin_ns) / (double)run->count / 1e3;
    run->cpu_us = (double)(cpu_after_ns - cpu_before_ns) / (double)run->count / 1e3;
    return error;
}

static void cancel_all(struct run *run, int loops)
{
    const struct whorl_options options = {.mode = WHORL_MODE_STEALING,
                                          .loops = loops,
                                          .stack_bytes = 16 * 1024,
                                          .report_ns = WHORL_NEVER};
    run->asleep = run->refused = 0;
    const int error = whorl_run(measure, run, &options);
    if (error != 0 || run->refused != 0) {
        bench_die("the runtime failed: %s",
                  error != 0 ? strerror(-error) : "a task was not cancelled");
    }
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 7, help);
    const int cores = bench_core_count();
    struct run run = {.count = options.quick ? TASKS / 10 : TASKS};
    struct bench_series cas = {.count = 0};
    struct bench_series calls = {.count = 0};
    struct bench_series ends = {.count = 0};
    struct bench_series cpu = {.count = 0};
    struct json json;
    run.tasks = calloc((size_t)run.count, sizeof(*run.tasks));
    if (run.tasks == NULL || json_open(&json, options.json_path)) {
        bench_die("no memory, or cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        bench_series_add(&cas, yardstick_cas_ns(CAS_COUNT));
        cancel_all(&run, cores);
        bench_series_add(&calls, run.call_us);
        bench_series_add(&ends, run.ended_us);
        bench_series_add(&cpu, run.cpu_us);
    }
    const struct json_place cas_place = {"cancel", "one word", "bare", 0};
    const struct json_place place = {"cancel", "sleeping tasks", "stealing", cores};
    bench_report(&json, &cas_place, "locked CAS", &cas, "ns");
    bench_report(&json, &place, "call", &calls, "us");
    bench_report(&json, &place, "until ended", &ends, "us");
    bench_report(&json, &place, "CPU time", &cpu, "us");
    const double cas_us = bench_series_median(&cas) / 1e3;
    int missed = bench_report_bar(&json, &place, "call to CAS",
                                  bench_series_median(&calls) / cas_us, CANCEL_BAR, "CAS");
    missed |= bench_report_bar(&json, &place, "until ended to CAS",
                               bench_series_median(&ends) / cas_us, CANCEL_BAR, "CAS");
    free(run.tasks);
    return json_close(&json) ? 2 : missed;
}
