/*
 * handover.c - what it costs to hand something from one task to another.
 *
 * Question:    a free lock is taken and given back; four tasks hand a lock on 100 000 times each; a
 *              message goes to and fro through two queues of one; a semaphore and an event tell who
 *              waits. How long does each take, in units of a locked compare-and-swap; and what does
 *              it cost that other loops could take the tasks over? How much longer does a task take
 *              that is spawned into a strand which has no other?
 * Good answer: 8 units for the free lock. The hand-overs take no longer where tasks may be stolen
 *              than where they may not: pairs side by side, by the 95 % interval of their
 *              median. 25 units for a message to and fro on one loop, 30 on two:
 *              half of what a channel of one takes in Tokio. Where a compare-and-swap takes 2.4 ns
 *              that is 19, 60 and 71 ns. In a strand at most 1.2 times.
 *
 * All tasks of a measurement are spawned by the same one. On two loops they may stay together or
 * settle one on each: that is the scheduler's to decide, and part of the question. In isolated mode
 * nobody moves: that is what stealing is compared with.
 */
#include "support/measure.h"
#include "support/yardstick.h"
#include "whorl.h"

#include <errno.h>
#include <string.h>

#define PAIRS         2000000L
#define TASKS         4
#define HANDOVERS     100000L
#define ROUND_TRIPS   200000L
#define CAS_COUNT     5000000L
#define LOCK_BAR      8.0
#define STEALING_BAR  1.0
#define PING_BAR      25.0
#define PING_TWO_BAR  30.0
#define STRAND_PASSES 100
#define STRAND_TASKS  500
#define STRAND_BAR    1.2

static const char help[] =
    "Hand-overs from task to task. Exit code 1: a free lock above 8 locked compare-and-swaps,\n"
    "contended hand-overs slower with stealing than without, a message to and fro through two\n"
    "queues of one above 25 on one loop, 30 on two, or a task alone in a strand above 1.2 times\n"
    "one in none.";

/* What one runtime measures. */
struct run {
    bool quick;
    double lock_ns;     /* a pair of calls */
    double semaphore_ns;
    double handover_ns; /* one of them */
    double ping_ns;     /* to and fro */
    double permit_ns;
    double event_ns;
    double plain_ns;    /* spawned and awaited; the best pass */
    double strand_ns;   /* the same in a strand */
};

/* ---- alone ---- */

static int time_lock(long count, double *ret_ns)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (long i = 0; i < count && error == 0; i++) {
        error = whorl_lock_acquire(&lock);
        error = error != 0 ? error : whorl_lock_release(&lock);
    }
    *ret_ns = (double)(whorl_now() - begin_ns) / (double)count;
    return error;
}

static int time_semaphore(long count, double *ret_ns)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (long i = 0; i < count && error == 0; i++) {
        error = whorl_semaphore_acquire(&semaphore);
        error = error != 0 ? error : whorl_semaphore_release(&semaphore);
    }
    *ret_ns = (double)(whorl_now() - begin_ns) / (double)count;
    return error;
}

/* ---- with others ---- */

/* What the tasks of one measurement share; each round of theirs is `count` times the same. */
struct game {
    long count;
    struct whorl_lock lock;
    struct whorl_semaphore permits[2];
    struct whorl_event events[2];
    struct whorl_queue queues[2];
    long under_lock; /* M(lock) */
    whorl_body *bodies[2];
};

/* Both bodies, `each` times; nanoseconds until all have ended, or -errno. */
static int64_t play(struct game *game, int each)
{
    struct whorl_task *tasks[2 * TASKS];
    const int64_t begin_ns = whorl_now();
    int begun = 0;
    int error = 0;
    while (begun < 2 * each && error == 0) {
        error = whorl_spawn(game->bodies[begun % 2], game, NULL, &tasks[begun]);
        begun += error == 0;
    }
    for (int i = 0; i < begun; i++) {
        const int ended = whorl_await(tasks[i], NULL);
        error = error != 0 ? error : ended;
        whorl_task_unref(tasks[i]);
    }
    const int64_t spent_ns = whorl_now() - begin_ns;
    return error != 0 ? error : spent_ns;
}

/* The first round that it is held over makes a line, and from then on the line never ends. */
static int hand_on(void *arg)
{
    struct game *const game = arg;
    int error = 0;
    for (long i = 0; i < game->count && error == 0; i++) {
        error = whorl_lock_acquire(&game->lock);
        if (error != 0) {
            return error;
        }
        game->under_lock++;
        error = i == 0 ? whorl_yield() : 0;
        const int released = whorl_lock_release(&game->lock);
        error = error != 0 ? error : released;
    }
    return error;
}

static int time_handovers(long count, double *ret_ns)
{
    struct game game = {
        .count = count, .lock = WHORL_LOCK_INIT, .bodies = {hand_on, hand_on}};
    const int64_t spent_ns = play(&game, TASKS / 2);
    if (spent_ns >= 0 && game.under_lock != TASKS * count) {
        return -EPROTO;
    }
    *ret_ns = (double)spent_ns / (double)(TASKS * count);
    return spent_ns < 0 ? (int)spent_ns : 0;
}

static int ping(void *arg)
{
    struct game *const game = arg;
    int error = 0;
    for (long i = 0; i < game->count && error == 0; i++) {
        void *item = NULL;
        error = whorl_queue_put(&game->queues[0], (void *)(uintptr_t)(i + 1));
        error = error != 0 ? error : whorl_queue_get(&game->queues[1], &item);
        if (error == 0 && item != (void *)(uintptr_t)(i + 1)) {
            error = -EPROTO;
        }
    }
    return error;
}

static int pong(void *arg)
{
    struct game *const game = arg;
    int error = 0;
    for (long i = 0; i < game->count && error == 0; i++) {
        void *item = NULL;
        error = whorl_queue_get(&game->queues[0], &item);
        error = error != 0 ? error : whorl_queue_put(&game->queues[1], item);
    }
    return error;
}

static int time_pings(long count, double *ret_ns)
{
    struct game game = {.count = count,
                        .queues = {WHORL_QUEUE_INIT(1), WHORL_QUEUE_INIT(1)},
                        .bodies = {ping, pong}};
    const int64_t spent_ns = play(&game, 1);
    *ret_ns = (double)spent_ns / (double)count;
    return spent_ns < 0 ? (int)spent_ns : 0;
}

static int lend(void *arg)
{
    struct game *const game = arg;
    int error = 0;
    for (long i = 0; i < game->count && error == 0; i++) {
        error = whorl_semaphore_release(&game->permits[0]);
        error = error != 0 ? error : whorl_semaphore_acquire(&game->permits[1]);
    }
    return error;
}

static int lend_back(void *arg)
{
    struct game *const game = arg;
    int error = 0;
    for (long i = 0; i < game->count && error == 0; i++) {
        error = whorl_semaphore_acquire(&game->permits[0]);
        error = error != 0 ? error : whorl_semaphore_release(&game->permits[1]);
    }
    return error;
}

static int time_permits(long count, double *ret_ns)
{
    struct game game = {.count = count,
                        .permits = {WHORL_SEMAPHORE_INIT(0), WHORL_SEMAPHORE_INIT(0)},
                        .bodies = {lend, lend_back}};
    const int64_t spent_ns = play(&game, 1);
    *ret_ns = (double)spent_ns / (double)count;
    return spent_ns < 0 ? (int)spent_ns : 0;
}

/* Waits for its own, takes it down and sets the other's. */
static int signal_on(struct game *game, int own, long count)
{
    int error = 0;
    for (long i = 0; i < count && error == 0; i++) {
        error = whorl_event_wait(&game->events[own]);
        if (error == 0) {
            (void)whorl_event_clear(&game->events[own]);
            const int set = whorl_event_set(&game->events[!own]);
            error = set < 0 ? set : 0;
        }
    }
    return error;
}

static int signal_first(void *arg)
{
    struct game *const game = arg;
    const int set = whorl_event_set(&game->events[0]);
    return set < 0 ? set : signal_on(game, 1, game->count);
}

static int signal_second(void *arg)
{
    struct game *const game = arg;
    return signal_on(game, 0, game->count);
}

static int time_events(long count, double *ret_ns)
{
    struct game game = {.count = count,
                        .events = {WHORL_EVENT_INIT, WHORL_EVENT_INIT},
                        .bodies = {signal_first, signal_second}};
    const int64_t spent_ns = play(&game, 1);
    *ret_ns = (double)spent_ns / (double)count;
    return spent_ns < 0 ? (int)spent_ns : 0;
}

/* ---- a strand ---- */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int time_spawns(struct whorl_strand *strand, double *best_ns)
{
    const struct whorl_attr attr = {.strand = strand};
    int error = 0;
    const int64_t begin_ns = whorl_now();
    for (int i = 0; i < STRAND_TASKS && error == 0; i++) {
        struct whorl_task *task;
        error = whorl_spawn(do_nothing, NULL, &attr, &task);
        if (error == 0) {
            error = whorl_await(task, NULL);
            whorl_task_unref(task);
        }
    }
    const double each_ns = (double)(whorl_now() - begin_ns) / STRAND_TASKS;
    *best_ns = *best_ns == 0 || each_ns < *best_ns ? each_ns : *best_ns;
    return error;
}

/* By turns within a millisecond, so that what disturbs one disturbs both. */
static int time_strand(struct run *run)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    int error = 0;
    for (int i = 0; i < STRAND_PASSES && error == 0; i++) {
        error = time_spawns(NULL, &run->plain_ns);
        error = error != 0 ? error : time_spawns(&strand, &run->strand_ns);
    }
    return error;
}

/* ---- all of it ---- */

static int measure(void *arg)
{
    struct run *const run = arg;
    const long part = run->quick ? 10 : 1;
    int error = time_lock(PAIRS / part, &run->lock_ns);
    error = error != 0 ? error : time_semaphore(PAIRS / part, &run->semaphore_ns);
    error = error != 0 ? error : time_pings(ROUND_TRIPS / part, &run->ping_ns);
    error = error != 0 ? error : time_permits(ROUND_TRIPS / part, &run->permit_ns);
    error = error != 0 ? error : time_events(ROUND_TRIPS / part, &run->event_ns);
    return error != 0 ? error : time_strand(run);
}

/* Alone, so that what is compared is measured side by side. */
static int measure_handovers(void *arg)
{
    struct run *const run = arg;
    return time_handovers(HANDOVERS / (run->quick ? 10 : 1), &run->handover_ns);
}

struct figures {
    const char *mode;
    enum whorl_mode kind;
    int loops;
    struct bench_series lock;
    struct bench_series semaphore;
    struct bench_series handover;
    struct bench_series ping;
    struct bench_series permit;
    struct bench_series event;
    struct bench_series plain;
    struct bench_series strand;
    struct bench_series strand_ratio; /* of a round, whose two were measured at one time */
};

static void run_in(const struct figures *figures, whorl_body *body, struct run *run)
{
    const struct whorl_options options = {
        .mode = figures->kind, .loops = figures->loops, .report_ns = WHORL_NEVER};
    const int error = whorl_run(body, run, &options);
    if (error) {
        bench_die("the runtime failed: %s", strerror(-error));
    }
}

static double add_handover(struct figures *figures, bool quick)
{
    struct run run = {.quick = quick};
    run_in(figures, measure_handovers, &run);
    bench_series_add(&figures->handover, run.handover_ns);
    return run.handover_ns;
}

/* By turns first: what gets slower or faster all the time favours neither. */
static void add_pair(struct bench_series *ratios, struct figures *above, struct figures *below,
                     bool above_first, bool quick)
{
    const double first = add_handover(above_first ? above : below, quick);
    const double second = add_handover(above_first ? below : above, quick);
    bench_series_add(ratios, above_first ? first / second : second / first);
}

static void add_round(struct figures *figures, bool quick)
{
    struct run run = {.quick = quick};
    run_in(figures, measure, &run);
    bench_series_add(&figures->lock, run.lock_ns);
    bench_series_add(&figures->semaphore, run.semaphore_ns);
    bench_series_add(&figures->ping, run.ping_ns);
    bench_series_add(&figures->permit, run.permit_ns);
    bench_series_add(&figures->event, run.event_ns);
    bench_series_add(&figures->plain, run.plain_ns);
    bench_series_add(&figures->strand, run.strand_ns);
    bench_series_add(&figures->strand_ratio, run.strand_ns / run.plain_ns);
}

static struct json_place place_of(const struct figures *figures, const char *load)
{
    return (struct json_place){"handover", load, figures->mode, figures->loops};
}

static void report_one(struct json *json, const struct figures *figures, const char *load,
                       const char *metric, const struct bench_series *series)
{
    const struct json_place place = place_of(figures, load);
    bench_report(json, &place, metric, series, "ns");
}

static void report(struct json *json, const struct figures *figures)
{
    report_one(json, figures, "a free lock", "acquire and release", &figures->lock);
    report_one(json, figures, "a free semaphore", "acquire and release", &figures->semaphore);
    report_one(json, figures, "a lock that 4 tasks want", "hand-over", &figures->handover);
    report_one(json, figures, "two queues of 1", "to and fro", &figures->ping);
    report_one(json, figures, "two semaphores", "to and fro", &figures->permit);
    report_one(json, figures, "two events", "to and fro", &figures->event);
    report_one(json, figures, "a task in no strand", "spawn and await", &figures->plain);
    report_one(json, figures, "a task alone in a strand", "spawn and await", &figures->strand);
}

/* The bars of one runtime, in units of cas_ns. */
static int judge(struct json *json, const struct figures *figures, double cas_ns, double ping_bar)
{
    const struct json_place lock = place_of(figures, "a free lock");
    const struct json_place pings = place_of(figures, "two queues of 1");
    const struct json_place strand = place_of(figures, "a task alone in a strand");
    int missed = bench_report_bar(json, &lock, "lock to CAS",
                                  bench_series_median(&figures->lock) / cas_ns, LOCK_BAR, "CAS");
    missed |= bench_report_bar(json, &pings, "to and fro to CAS",
                               bench_series_median(&figures->ping) / cas_ns, ping_bar, "CAS");
    missed |= bench_report_bar(json, &strand, "strand to plain",
                               bench_series_median(&figures->strand_ratio), STRAND_BAR, "times");
    return missed;
}

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 9, help);
    static struct bench_series cas;
    static struct figures single = {.mode = "single", .kind = WHORL_MODE_SINGLE, .loops = 1};
    static struct figures isolated = {.mode = "isolated", .kind = WHORL_MODE_ISOLATED, .loops = 2};
    static struct figures stealing = {.mode = "stealing", .kind = WHORL_MODE_STEALING, .loops = 2};
    static struct bench_series to_isolated;
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int round = 0; round < options.rounds; round++) {
        bench_series_add(&cas, yardstick_cas_ns(CAS_COUNT));
        add_round(&single, options.quick);
        add_round(&isolated, options.quick);
        add_round(&stealing, options.quick);
        (void)add_handover(&single, options.quick);
    }
    for (int pair = 0; pair < options.rounds || pair < BENCH_PAIRS_LEAST; pair++) {
        add_pair(&to_isolated, &stealing, &isolated, pair % 2 == 0, options.quick);
    }
    const struct json_place cas_place = {"handover", "one word", "bare", 0};
    bench_report(&json, &cas_place, "locked CAS", &cas, "ns");
    report(&json, &single);
    report(&json, &isolated);
    report(&json, &stealing);
    const double cas_ns = bench_series_median(&cas);
    const struct json_place contended = place_of(&stealing, "a lock that 4 tasks want");
    int missed = judge(&json, &single, cas_ns, PING_BAR);
    missed |= judge(&json, &stealing, cas_ns, PING_TWO_BAR);
    missed |= bench_report_paired_bar(&json, &contended, "stealing to isolated", &to_isolated,
                                      STEALING_BAR);
    return json_close(&json) ? 2 : missed;
}
