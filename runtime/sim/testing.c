/*
 * testing.c - a program's tests: each body at one loop and at several, played or not.
 *
 * Threads:    the caller's; reports come one at a time from any thread of the runtime, which has
 *             ended before they are counted.
 */
#include "whorl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

static const int loop_counts[] = {1, 4};

struct test {
    const char *name;
    whorl_body *body;
    void *arg;
    uint64_t seeds; /* 0: not played */
    int reports;
};

static int count_report(void *arg, const struct whorl_report *report)
{
    struct test *const test = arg;
    test->reports++;
    return whorl_exception_handler_default(report);
}

static struct whorl_options options_for(struct test *test, int loops)
{
    return (struct whorl_options){.loops = loops,
                                  .no_pin = 1,
                                  .debug = 1,
                                  .exception_handler = count_report,
                                  .exception_handler_arg = test};
}

static void tell(const struct test *test, int loops, int error, const char *seed)
{
    fprintf(stderr, "whorl: test \"%s\" failed at %d loop%s: %s (%s)%s%s\n", test->name, loops,
            loops == 1 ? "" : "s", whorl_error_name(error),
            test->reports > 0 ? "something was reported" : whorl_error_text(error),
            seed != NULL ? "; to repeat it: WHORL_SIM_SEED=" : "", seed != NULL ? seed : "");
}

static int run_at(struct test *test, int loops)
{
    const struct whorl_options options = options_for(test, loops);
    const int error = whorl_run(test->body, test->arg, &options);
    return error == 0 && test->reports > 0 ? -ENOTRECOVERABLE : error;
}

/* One run a seed: a report ends it where it was made. */
static int play_at(struct test *test, int loops, struct whorl_sim_report *report)
{
    const struct whorl_sim_options options = {.runtime = options_for(test, loops),
                                              .report = report};
    int error = 0;
    bool chosen = false; /* by the environment: another seed than this loop's */
    for (uint64_t seed = 1; seed <= test->seeds && error == 0 && !chosen; seed++) {
        error = whorl_sim_explore(seed, 1, &options, test->body, test->arg, NULL);
        error = error == 0 && test->reports > 0 ? -ENOTRECOVERABLE : error;
        chosen = report->seed != seed;
    }
    return error;
}

static int run_all(struct test *test)
{
    int error = 0;
    if (test->name == NULL || test->body == NULL) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof loop_counts / sizeof loop_counts[0] && error == 0; i++) {
        struct whorl_sim_report report = {.seed = 0};
        const bool played = test->seeds > 0;
        error = played ? play_at(test, loop_counts[i], &report) : run_at(test, loop_counts[i]);
        if (error != 0) {
            tell(test, loop_counts[i], error, played ? report.seed_text : NULL);
        }
    }
    return error;
}

int whorl_test_run(const char *name, whorl_body *body, void *arg)
{
    return run_all(&(struct test){.name = name, .body = body, .arg = arg});
}

int whorl_test_simulate(const char *name, whorl_body *body, void *arg, uint64_t seeds)
{
    if (seeds == 0) {
        return -EINVAL;
    }
    return run_all(&(struct test){.name = name, .body = body, .arg = arg, .seeds = seeds});
}
