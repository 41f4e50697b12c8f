/*
 * await.c - what waits cost that have nothing to wait for.
 *
 * Question:    a future that is done is awaited; a thousand of them are gathered; a timeout is
 *              entered and left before its time. How long does each take, in units of a locked
 *              compare-and-swap?
 * Good answer: 3 units for the await, 8.3 a future for the gather, 25 for the timeout: where a
 *              compare-and-swap takes 2.4 ns, that is 7, 20 and 60 ns.
 *
 * A timeout around each request is what a server pays for every one of them, though hardly any
 * fires. Its deadline is an hour away, and 100 others are open in the same loop meanwhile.
 */
#include "support/measure.h"
#include "support/yardstick.h"
#include "whorl.h"

#include <errno.h>
#include <string.h>

#define AWAITS      2000000L
#define GATHERS     2000L
#define GATHERED    1000
#define TIMEOUTS    500000L
#define OTHERS      100
#define CAS_COUNT   5000000L
#define AWAIT_BAR   3.0
#define GATHER_BAR  8.3
#define TIMEOUT_BAR 25.0

static const char help[] =
    "Waits for what is done, and timeouts that do not fire. Exit code 1: an await above 3 locked\n"
    "compare-and-swaps, a gather of 1000 above 8.3 a future, or a timeout above 25.";

struct run {
    bool quick;
    double await_ns;
    double gather_ns;
    double timeout_ns;
};

static int time_awaits(struct whorl_future *done, long count, double *ret_ns)
{
    const int64_t begin_ns = whorl_now();
    int error = 0;
    for (long i = 0; i < count && error == 0; i++) {
        void *value = NULL;
        error = whorl_future_await(done, &value);
        if (value != done) {
            return -EPROTO;
        }
    }
    *ret_ns = (double)(whorl_now() - begin_ns) / (double)count;
    return error;
}

/* futures: GATHERED of them, all done. */
static int time_gathers(struct whorl_future *const *futures, long count, double *ret_ns)
{
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (long i = 0; i < count && error == 0; i++) {
        struct whorl_future *gather;
        error = whorl_gather_start(futures, GATHERED, 0, &gather);
        if (error == 0) {
            error = whorl_future_await(gather, NULL);
            whorl_future_unref(gather);
        }
    }
    *ret_ns = (double)(whorl_now() - begin_ns) / (double)count / GATHERED;
    return error;
}

static int time_timeouts(long count, double *ret_ns)
{
    const int64_t deadline_ns = whorl_after(3600 * WHORL_SECOND);
    const int64_t begin_ns = whorl_now();
    int error = 0;
    for (long i = 0; i < count && error == 0; i++) {
        struct whorl_timeout timeout;
        error = whorl_timeout_enter(&timeout, deadline_ns);
        if (error == 0) {
            error = whorl_timeout_exit(&timeout, 0);
        }
    }
    *ret_ns = (double)(whorl_now() - begin_ns) / (double)count;
    return error;
}

/* Has a timer in the heap until the gate opens. */
static int sit_in_timeout(void *gate)
{
    struct whorl_timeout timeout;
    const int error = whorl_timeout_enter(&timeout, whorl_after(1800 * WHORL_SECOND));
    return error ? error : whorl_timeout_exit(&timeout, whorl_future_join(gate, WHORL_NEVER, NULL));
}

static int time_all(struct run *run, struct whorl_future *const *futures)
{
    const long part = run->quick ? 10 : 1;
    int error = time_awaits(futures[0], AWAITS / part, &run->await_ns);
    if (error == 0) {
        error = time_gathers(futures, GATHERS / part, &run->gather_ns);
    }
    return error != 0 ? error : time_timeouts(TIMEOUTS / part, &run->timeout_ns);
}

/* With futures that are done; each is its own value. */
static int measure_done(struct run *run)
{
    struct whorl_future *futures[GATHERED];
    int made = 0;
    int error = 0;
    while (made < GATHERED && error == 0 && (error = whorl_future_new(&futures[made])) == 0) {
        error = whorl_future_set_result(futures[made], futures[made]);
        made++;
    }
    if (error == 0) {
        error = time_all(run, futures);
    }
    while (made > 0) {
        whorl_future_unref(futures[--made]);
    }
    return error;
}

/* Beside OTHERS tasks, each in a timeout. */
static int measure(void *arg)
{
    struct whorl_task *others[OTHERS];
    struct whorl_future *gate;
    int begun = 0;
    int error = whorl_future_new(&gate);
    if (error != 0) {
        return error;
    }
    while (begun < OTHERS && error == 0) {
        error = whorl_spawn(sit_in_timeout, gate, NULL, &others[begun]);
        begun += error == 0;
    }
    if (error == 0 && (error = whorl_sleep(WHORL_MILLISECOND)) == 0) {
        error = measure_done(arg);
    }
    if (whorl_future_set_result(gate, NULL) != 0) {
        return -EPROTO;
    }
    while (begun > 0) {
        (void)whorl_join(others[--begun], WHORL_NEVER, NULL);
        whorl_task_unref(others[begun]);
    }
    whorl_future_unref(gate);
    return error;
}

struct figures {
    struct bench_series await;
    struct bench_series gather;
    struct bench_series timeout;
};

static void add_round(struct figures *figures, enum whorl_mode mode, int loops, bool quick)
{
    struct run run = {.quick = quick};
    const struct whorl_options options = {.mode = mode, .loops = loops, .report_ns = WHORL_NEVER};
    const int error = whorl_run(measure, &run, &options);
    if (error) {
        bench_die("the runtime failed: %s", strerror(-error));
    }
    bench_series_add(&figures->await, run.await_ns);
    bench_series_add(&figures->gather, run.gather_ns);
    bench_series_add(&figures->timeout, run.timeout_ns);
}

static int report(struct json *json, const struct figures *figures, const char *mode, int loops,
                  double cas_ns)
{
    const struct json_place await = {"await", "a future that is done", mode, loops};
    const struct json_place gather = {"await", "1000 of them gathered", mode, loops};
    const struct json_place timeout = {"await", "a timeout that does not fire", mode, loops};
    bench_report(json, &await, "await", &figures->await, "ns");
    bench_report(json, &gather, "gather, a future", &figures->gather, "ns");
    bench_report(json, &timeout, "enter and leave", &figures->timeout, "ns");
    int missed = bench_report_bar(json, &await, "await to CAS",
                                  bench_series_median(&figures->await) / cas_ns, AWAIT_BAR, "CAS");
    missed |= bench_report_bar(json, &gather, "gather to CAS",
                               bench_series_median(&figures->gather) / cas_ns, GATHER_BAR, "CAS");
    missed |= bench_report_bar(json, &timeout, "timeout to CAS",
                               bench_series_median(&figures->timeout) / cas_ns, TIMEOUT_BAR, "CAS");
    return missed;
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 9, help);
    struct bench_series cas = {.count = 0};
    struct figures single = {.await.count = 0};
    struct figures two = {.await.count = 0};
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        bench_series_add(&cas, yardstick_cas_ns(CAS_COUNT));
        add_round(&single, WHORL_MODE_SINGLE, 1, options.quick);
        add_round(&two, WHORL_MODE_STEALING, 2, options.quick);
    }
    const struct json_place cas_place = {"await", "one word", "bare", 0};
    bench_report(&json, &cas_place, "locked CAS", &cas, "ns");
    const double cas_ns = bench_series_median(&cas);
    int missed = report(&json, &single, "single", 1, cas_ns);
    missed |= report(&json, &two, "stealing", 2, cas_ns);
    return json_close(&json) ? 2 : missed;
}
