/*
 * forkjoin.c - what it costs to divide work into tasks, and to await them.
 *
 * Question:    fib(30), where each call makes a task of one of its two branches; and skynet, a tree
 *              of a million leaves in which every node awaits ten. How long does a task take, and
 *              the whole, against task_group of oneTBB in the same minute?
 * Good answer: fib: half of oneTBB's time a task; skynet: no more than oneTBB's.
 *
 * Both come in these ways: whorl in fast order (WHORL_MODE_STEALING), so with WHORL_NO_INLINE, and
 * oneTBB, if forkjoin_tbb was built (libtbb-dev); one thread against one loop, two against two. One
 * loop has one way more, strict order, which is its default. It has no bar: asyncio's order is
 * breadth first, so nothing begins where it is awaited, and all tasks of a level have stacks at a
 * time (docs/decisions/012-inline-await.md). The rounds of all ways take turns. The second pass
 * counts, as in spawn.c.
 */
#include "support/measure.h"
#include "whorl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIB_N         30
#define FIB_QUICK     22
#define LEAVES        1000000
#define LEAVES_QUICK  10000
#define FIB_BAR       0.5
#define SKYNET_BAR    1.0
#define LOOP_COUNTS   2

static const char help[] =
    "fib(30) with a task a call, and a tree of a million tasks, by whorl and by oneTBB. Exit code\n"
    "1: in fast order, on one loop or on two, fib takes above half of oneTBB's time, or skynet\n"
    "above all of it.";

enum work { FIB, SKYNET, WORKS };

static const char *const work_names[] = {"fib", "skynet"};

enum way { FAST, FAST_NOT_INLINE, STRICT, WAYS }; /* STRICT: one loop only */

static const char *const way_names[WAYS] = {"stealing", "stealing, not inline", "single"};

struct call {
    long n;
    long leaves; /* skynet: below this node */
    long result;
};

static int fib(void *arg)
{
    struct call *const call = arg;
    if (call->n < 2) {
        call->result = call->n;
        return 0;
    }
    struct call one = {.n = call->n - 1};
    struct call other = {.n = call->n - 2};
    struct whorl_task *task;
    int error = whorl_spawn(fib, &one, NULL, &task);
    if (error != 0) {
        return error;
    }
    error = fib(&other);
    const int awaited = whorl_await(task, NULL);
    whorl_task_unref(task);
    call->result = one.result + other.result;
    return error != 0 ? error : awaited;
}

#define BRANCHES 10

static int skynet(void *arg)
{
    struct call *const call = arg;
    struct call parts[BRANCHES];
    struct whorl_task *tasks[BRANCHES];
    int error = 0;
    int made = 0;
    call->result = call->n;
    if (call->leaves == 1) {
        return 0;
    }
    while (made < BRANCHES && error == 0) {
        const long leaves = call->leaves / BRANCHES;
        parts[made] = (struct call){.n = call->n + made * leaves, .leaves = leaves};
        error = whorl_spawn(skynet, &parts[made], NULL, &tasks[made]);
        made += error == 0;
    }
    call->result = 0;
    for (int i = made - 1; i >= 0; i--) {
        const int awaited = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
        error = error != 0 ? error : awaited;
        call->result += parts[i].result;
    }
    return error;
}

struct run {
    enum work work;
    long size;
    long result;
    int64_t spent_ns;
};

static int measure(void *arg)
{
    struct run *const run = arg;
    int error = 0;
    for (int pass = 0; pass < 2 && error == 0; pass++) {
        struct call call = {.n = run->work == FIB ? run->size : 0, .leaves = run->size};
        const int64_t begin_ns = whorl_now();
        error = run->work == FIB ? fib(&call) : skynet(&call);
        run->spent_ns = whorl_now() - begin_ns;
        run->result = call.result;
    }
    return error;
}

static long fib_of(long n)
{
    long one = 0, next = 1;
    for (; n > 0; n--) {
        const long sum = one + next;
        one = next;
        next = sum;
    }
    return one;
}

/* How many tasks it makes: fib, one for each call of two or more; skynet, all but the root. */
static double count_tasks(enum work work, long size)
{
    return work == FIB ? (double)(fib_of(size + 1) - 1) : (double)(size - 1) * 10 / 9;
}

static void check(const struct run *run, const char *who)
{
    const long expected =
        run->work == FIB ? fib_of(run->size) : run->size * (run->size - 1) / 2;
    if (run->result != expected) {
        bench_die("%s of %s is %ld, and should be %ld", work_names[run->work], who, run->result,
                  expected);
    }
}

static int64_t time_whorl(enum work work, long size, int loops, enum way way)
{
    struct run run = {.work = work, .size = size};
    const struct whorl_options options = {
        .loops = loops,
        .mode = way == STRICT ? WHORL_MODE_SINGLE : WHORL_MODE_STEALING,
        .report_ns = WHORL_NEVER,
        .flags = way == FAST_NOT_INLINE ? WHORL_NO_INLINE : 0};
    const int error = whorl_run(measure, &run, &options);
    if (error != 0) {
        bench_die("the runtime failed: %s", strerror(-error));
    }
    check(&run, "whorl");
    return run.spent_ns;
}

/* The program beside this one; empty: it was not built. */
static void find_tbb(char path[static 4096])
{
    const ssize_t length = readlink("/proc/self/exe", path, 4000);
    path[length > 0 ? length : 0] = '\0';
    strcat(path, "_tbb");
    if (access(path, X_OK) != 0) {
        path[0] = '\0';
    }
}

static int64_t time_tbb(const char *path, enum work work, long size, int threads)
{
    struct run run = {.work = work, .size = size};
    char command[4200];
    snprintf(command, sizeof command, "'%s' %s %ld %d", path, work_names[work], size, threads);
    FILE *const output = popen(command, "re");
    long long spent_ns = 0;
    if (output == NULL || fscanf(output, "%ld %lld", &run.result, &spent_ns) != 2 ||
        pclose(output) != 0) {
        bench_die("forkjoin_tbb failed");
    }
    check(&run, "oneTBB");
    return spent_ns;
}

/* All figures of one work on one number of loops. */
struct figures {
    struct bench_series whorl[WAYS];
    struct bench_series tbb;
};

/* fib a task in ns, skynet the whole in ms. */
static double in_units(enum work work, long size, int64_t spent_ns)
{
    return work == FIB ? (double)spent_ns / count_tasks(work, size) : (double)spent_ns / 1e6;
}

static enum way ways_of(int loops)
{
    return loops == 1 ? WAYS : STRICT;
}

static void add_round(struct figures *figures, enum work work, long size, int loops,
                      const char *tbb)
{
    for (enum way way = FAST; way < ways_of(loops); way++) {
        bench_series_add(&figures->whorl[way],
                         in_units(work, size, time_whorl(work, size, loops, way)));
    }
    if (tbb[0] != '\0') {
        bench_series_add(&figures->tbb,
                         in_units(work, size, time_tbb(tbb, work, size, loops)));
    }
}

static int report(struct json *json, const struct figures *figures, enum work work, long size,
                  int loops)
{
    char load[64];
    const char *const unit = work == FIB ? "ns" : "ms";
    const char *const metric = work == FIB ? "a task" : "the whole";
    snprintf(load, sizeof load, work == FIB ? "fib(%ld)" : "skynet of %ld", size);
    struct json_place place = {"forkjoin", load, way_names[FAST], loops};
    for (enum way way = FAST; way < ways_of(loops); way++) {
        place.mode = way_names[way];
        bench_report(json, &place, metric, &figures->whorl[way], unit);
    }
    if (figures->tbb.count == 0) {
        return 0;
    }
    const double ratio =
        bench_series_median(&figures->whorl[FAST]) / bench_series_median(&figures->tbb);
    place.mode = "oneTBB";
    bench_report(json, &place, metric, &figures->tbb, unit);
    place.mode = way_names[FAST];
    return bench_report_bar(json, &place, work == FIB ? "fib to oneTBB" : "skynet to oneTBB",
                            ratio, work == FIB ? FIB_BAR : SKYNET_BAR, "times");
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 5, help);
    const long sizes[WORKS] = {options.quick ? FIB_QUICK : FIB_N,
                               options.quick ? LEAVES_QUICK : LEAVES};
    static struct figures figures[WORKS][LOOP_COUNTS];
    char tbb[4096];
    struct json json;
    find_tbb(tbb);
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        for (int loops = 1; loops <= LOOP_COUNTS; loops++) {
            add_round(&figures[FIB][loops - 1], FIB, sizes[FIB], loops, tbb);
            add_round(&figures[SKYNET][loops - 1], SKYNET, sizes[SKYNET], loops, tbb);
        }
    }
    if (tbb[0] == '\0') {
        printf("without oneTBB: libtbb-dev was not there when this was built\n");
    }
    int missed = 0;
    for (int loops = 1; loops <= LOOP_COUNTS; loops++) {
        for (int work = 0; work < WORKS; work++) {
            missed |=
                report(&json, &figures[work][loops - 1], (enum work)work, sizes[work], loops);
        }
    }
    return json_close(&json) ? 2 : missed;
}
