/*
 * httpd_bench.h - the endpoints of httpd --bench: work of a known size, and what the loops tell.
 *
 *   /-/work?units=N  N times about 8 us of computing at 3 GHz, without a wait
 *   /-/stall?ms=N    N milliseconds of it, by the clock
 *   /-/loop          which loop polls the connection, and which one runs its task
 *   /-/stats         counters, a line each: the runtime's sums, then each loop's as loopK.name
 *
 * Owns:    a counter of requests for each loop.
 * Threads: any loop. The counters are relaxed: figures to look at, nothing is handed over by them.
 */
#ifndef HTTPD_BENCH_H
#define HTTPD_BENCH_H

#include <whorl.h>

#include "httpd_request.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WORK_UNITS_MAX = 100000,
    WORK_UNITS_HEAVY = 10, /* so many and more count as heavy */
    STALL_MS_MAX = 1000,
};

/* An answer's text, and what to free when it was sent. */
struct bench_body {
    const char *text;
    size_t bytes;
    char *allocated;
    char small[64];
};

struct bench_counter {
    uint64_t light, heavy; /* A: requests on connections that this loop polls */
    uint64_t ran;          /* A: requests that this loop ran */
} __attribute__((aligned(64)));

static struct bench_counter *bench_counters; /* C: one for each loop */
static int bench_loop_count;                 /* C */

static int bench_start(int loop_count)
{
    const size_t bytes = (size_t)loop_count * sizeof *bench_counters;
    bench_counters = aligned_alloc(64, bytes);
    if (!bench_counters) {
        return -ENOMEM;
    }
    memset(bench_counters, 0, bytes);
    bench_loop_count = loop_count;
    return 0;
}

static void bench_end(void)
{
    free(bench_counters);
}

static void bench_count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); /* relaxed: a figure to look at */
}

static void bench_count_request(int home, bool heavy)
{
    struct bench_counter *counter = &bench_counters[home];
    bench_count(heavy ? &counter->heavy : &counter->light);
    bench_count(&bench_counters[whorl_loop_current()].ran);
}

/* The number of a query that is just name=number; -1: it is not, or the number is beyond max. */
static int64_t query_number(struct slice query, const char *name, int64_t max)
{
    const size_t name_len = strlen(name);
    if (!slice_begins(query, name) || query.len == name_len) {
        return -1;
    }
    int64_t number = 0;
    for (size_t i = name_len; i < query.len && number <= max; i++) {
        if (query.at[i] < '0' || query.at[i] > '9') {
            return -1;
        }
        number = number * 10 + (query.at[i] - '0');
    }
    return number <= max ? number : -1;
}

/* A unit is 4000 rounds of six instructions, each of which needs the one before. */
static uint64_t do_work(int64_t units)
{
    uint64_t x = 0x9e3779b97f4a7c15 ^ (uint64_t)units;
    for (int64_t round = 0; round < units * 4000; round++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static int answer_work(struct slice query, int home, struct bench_body *body)
{
    const int64_t units = query_number(query, "units=", WORK_UNITS_MAX);
    if (units < 0) {
        return -EINVAL;
    }
    const unsigned long long result = do_work(units);
    bench_count_request(home, units >= WORK_UNITS_HEAVY);
    body->bytes = (size_t)snprintf(body->small, sizeof body->small, "%016llx\n", result);
    return 0;
}

static int answer_stall(struct slice query, int home, struct bench_body *body)
{
    const int64_t ms = query_number(query, "ms=", STALL_MS_MAX);
    if (ms < 0) {
        return -EINVAL;
    }
    const int64_t end_ns = whorl_after(ms * WHORL_MILLISECOND);
    while (whorl_now() < end_ns) {
        /* it is the point of this one not to wait */
    }
    bench_count_request(home, true);
    body->bytes = (size_t)snprintf(body->small, sizeof body->small, "stalled %d ms\n", (int)ms);
    return 0;
}

static int answer_loop(int home, struct bench_body *body)
{
    body->bytes = (size_t)snprintf(body->small, sizeof body->small, "home %d\nran %d\n", home,
                                   whorl_loop_current());
    return 0;
}

static void print_runtime_stats(FILE *out, const char *prefix, int loop)
{
#define FIELD(name)                                                                                \
    {                                                                                              \
#        name, offsetof(struct whorl_stats, name)                                                  \
    }
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
        FIELD(turns),   FIELD(runs),   FIELD(spawned),    FIELD(ended),        FIELD(steals_tried),
        FIELD(steals),  FIELD(stolen), FIELD(migrations), FIELD(overflows),    FIELD(polls),
        FIELD(events),  FIELD(sleeps), FIELD(wakes),      FIELD(timers),       FIELD(rescues),
        FIELD(rescued), FIELD(moves),  FIELD(stalls),     FIELD(missed_wakes),
    };
#undef FIELD
    struct whorl_stats stats;
    if (whorl_stats(loop, &stats) < 0) {
        return;
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&stats + fields[i].offset, sizeof value);
        fprintf(out, "%s%s %llu\n", prefix, fields[i].name, (unsigned long long)value);
    }
}

static void print_counter(FILE *out, const char *prefix, const char *name, const uint64_t *counter)
{
    const uint64_t value = __atomic_load_n(counter, __ATOMIC_RELAXED); /* relaxed: as counted */
    fprintf(out, "%s%s %llu\n", prefix, name, (unsigned long long)value);
}

static int answer_stats(struct bench_body *body)
{
    FILE *out = open_memstream(&body->allocated, &body->bytes);
    if (!out) {
        return -ENOMEM;
    }
    print_runtime_stats(out, "", -1);
    for (int k = 0; k < bench_loop_count; k++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "loop%d.", k);
        print_runtime_stats(out, prefix, k);
        print_counter(out, prefix, "light", &bench_counters[k].light);
        print_counter(out, prefix, "heavy", &bench_counters[k].heavy);
        print_counter(out, prefix, "ran", &bench_counters[k].ran);
    }
    if (fclose(out) != 0) {
        free(body->allocated);
        return -ENOMEM;
    }
    body->text = body->allocated;
    return 0;
}

/* What is below /-/ on a connection that loop home polls: 0, -ENOENT, -EINVAL (query), -ENOMEM. */
static int bench_answer(struct slice path, struct slice query, int home,
                        struct bench_body *ret_body)
{
    ret_body->text = ret_body->small;
    ret_body->allocated = NULL;
    if (slice_is(path, "/-/work")) {
        return answer_work(query, home, ret_body);
    }
    if (slice_is(path, "/-/stall")) {
        return answer_stall(query, home, ret_body);
    }
    if (slice_is(path, "/-/loop")) {
        return answer_loop(home, ret_body);
    }
    return slice_is(path, "/-/stats") ? answer_stats(ret_body) : -ENOENT;
}

#endif
