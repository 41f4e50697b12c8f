/*
 * idle.c - what a runtime costs that has nothing to do.
 *
 * Question:    two loops, a hundred tasks parked in long sleeps, no work for three seconds: how
 *              much CPU time is used?
 * Good answer: at most 0.1 % of one core. A runtime that looks for work now and then, or that keeps
 *              a ticking watch over idle loops, fails.
 */
#include "support/measure.h"
#include "support/process.h"
#include "whorl.h"

#include <string.h>

#define SLEEPERS    100
#define SETTLE_NS   (500 * WHORL_MILLISECOND)
#define MEASURED_NS (3 * WHORL_SECOND)
#define IDLE_BAR    0.1

static const char help[] =
    "CPU time of two idle loops over three seconds, in percent of a core. Exit code 1: above 0.1.";

struct run {
    int64_t measured_ns;
    double percent;
    double turns_per_s;
    int woken; /* sleepers that did not sleep on */
};

static int sleep_long(void *arg)
{
    struct run *run = arg;
    if (whorl_sleep(3600 * WHORL_SECOND) != -ECANCELED) {
        run->woken++;
    }
    return 0;
}

static int measure(void *arg)
{
    struct run *run = arg;
    struct whorl_stats before, after;
    int64_t cpu_before_ns, cpu_after_ns;
    int error = 0;
    for (int i = 0; i < SLEEPERS && !error; i++) {
        error = whorl_spawn(sleep_long, run, NULL, NULL);
    }
    if (error || (error = whorl_sleep(SETTLE_NS)) || (error = whorl_stats(-1, &before))) {
        return error;
    }
    const int64_t begin_ns = whorl_now();
    if ((error = process_cpu_ns(0, &cpu_before_ns)) || (error = whorl_sleep(run->measured_ns)) ||
        (error = process_cpu_ns(0, &cpu_after_ns)) || (error = whorl_stats(-1, &after))) {
        return error;
    }
    const double spent_ns = (double)(whorl_now() - begin_ns);
    run->percent = 100 * (double)(cpu_after_ns - cpu_before_ns) / spent_ns;
    run->turns_per_s = (double)(after.turns - before.turns) / spent_ns * 1e9;
    return 0;
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 1, help);
    const struct whorl_options runtime = {.loops = 2, .mode = WHORL_MODE_STEALING};
    struct bench_series percent = {.count = 0};
    struct bench_series turns = {.count = 0};
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        struct run run = {.measured_ns = options.quick ? WHORL_SECOND : MEASURED_NS};
        const int error = whorl_run(measure, &run, &runtime);
        if (error || run.woken) {
            bench_die("the runtime failed: %s", error ? strerror(-error) : "a sleeper woke early");
        }
        bench_series_add(&percent, run.percent);
        bench_series_add(&turns, run.turns_per_s);
    }
    const struct json_place place = {"idle", "100 sleepers", "stealing", 2};
    bench_report(&json, &place, "turns", &turns, "1/s");
    bench_report(&json, &place, "CPU", &percent, "%");
    const int missed = bench_report_bar(&json, &place, "CPU of an idle runtime",
                                        bench_series_median(&percent), IDLE_BAR, "%");
    return json_close(&json) ? 2 : missed;
}
