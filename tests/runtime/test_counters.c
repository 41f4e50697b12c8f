/*
 * test_counters.c - counters that have come to the end of 32 bits, or of 48, go on.
 *
 * A year of 10^9 events a second is 3.2 * 10^16, which wants 55 bits. The counters of a live
 * runtime are set to a little below 2^32, as if so much had happened; then more happens.
 */
#include "support/play.h"

#include "task/cancel.h"
#include "task/park.h"

#include <pthread.h>

#define MORE        50
#define NEAR_32     (UINT64_C(0x100000000) - MORE / 2)
#define STATS_COUNT (offsetof(struct whorl_stats, reserved) / sizeof(uint64_t))

/* ---- every counter of a loop ---- */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* The body of the main task runs on the only loop: nobody else writes these. */
static void start_counters_at(struct whorl__loop *loop, uint64_t value)
{
    uint64_t *const counters = (uint64_t *)(void *)&loop->stats;
    for (size_t i = 0; i < STATS_COUNT; i++) {
        (void)whorl__swap_u64(&counters[i], value);
    }
}

static int work_on(void *arg)
{
    struct whorl_stats *const stats = arg;
    start_counters_at(whorl__task_current()->loop, NEAR_32);
    for (int i = 0; i < MORE; i++) {
        must(finish(start(do_nothing, NULL)));
        must(whorl_sleep(100 * WHORL_MICROSECOND));
    }
    must(whorl_stats(0, stats));
    return 0;
}

static void test_counters_of_a_loop_go_past_32_bits(void **state)
{
    /* All of them stand near 2^32; none falls back, and those that were used went over it. */
    (void)state;
    struct whorl_stats stats = {0};
    assert_int_equal(play(1, work_on, &stats), 0);
    const uint64_t *const counters = (const uint64_t *)(const void *)&stats;
    for (size_t i = 0; i < STATS_COUNT; i++) {
        assert_true(counters[i] >= NEAR_32);
    }
    assert_true(stats.spawned == NEAR_32 + MORE);
    assert_true(stats.runs > UINT32_MAX);
    assert_true(stats.turns > UINT32_MAX);
    assert_true(stats.timers > UINT32_MAX);
}

/* ---- tasks of foreign threads, by which the runtime knows that all have ended ---- */

struct crowd {
    struct whorl_task *main_task;
    struct whorl_future *over;
    struct whorl_stats stats;
};

static void *spawn_many(void *arg)
{
    struct crowd *const crowd = arg;
    for (int i = 0; i < MORE; i++) {
        must(whorl_spawn_remote(crowd->main_task, do_nothing, NULL, NULL, NULL));
    }
    must(whorl_future_set_result(crowd->over, NULL));
    return NULL;
}

static int begin_near_the_end(void *arg)
{
    struct crowd *const crowd = arg;
    struct whorl_task *const self = whorl__task_current();
    struct whorl__runtime *const runtime = self->runtime;
    pthread_t thread;
    crowd->main_task = self;
    crowd->over = new_future();
    /* As many have ended as were begun; main, the one foreign spawn so far, lives. */
    whorl__add_u64(&runtime->foreign_made, NEAR_32);
    whorl__add_u64(&runtime->loops[0]->stats.ended, NEAR_32);
    must(pthread_create(&thread, NULL, spawn_many, crowd));
    must(whorl_future_await(crowd->over, NULL));
    must(pthread_join(thread, NULL));
    whorl_future_unref(crowd->over);
    must(whorl_stats(-1, &crowd->stats));
    return 0;
}

static void test_counters_of_foreign_tasks_go_past_32_bits(void **state)
{
    /* With 32 bits the sums of begun and ended would never meet again, and the end would hang. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct crowd crowd = {0};
        assert_int_equal(play(loops, begin_near_the_end, &crowd), 0);
        assert_true(crowd.stats.spawned == 1 + NEAR_32 + MORE);
    }
}

/* ---- the serials that tell timeouts apart ---- */

/* An outer block without a deadline, an inner one that is over at once. */
static int nest(void)
{
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    must(whorl_timeout_enter(&outer, WHORL_NEVER));
    must(whorl_timeout_enter(&inner, whorl_now()));
    const int inside = whorl_timeout_exit(&inner, wait_for_ever());
    const int outside = whorl_timeout_exit(&outer, inside);
    return inside == -ETIMEDOUT && outside == inside ? 0 : -EPROTO;
}

static int nest_near(void *arg)
{
    struct whorl_task *const self = whorl__task_current();
    uint64_t serials[2 * MORE];
    (void)whorl__swap_u64(&self->runtime->scopes_made, *(const uint64_t *)arg);
    self->loop->scope_serials = (struct whorl__serials){0};
    for (int i = 0; i < MORE; i++) {
        must(nest());
    }
    /* Blocks of one task, open all at once, are told apart by nothing else. */
    struct whorl_timeout open[2 * MORE];
    for (int i = 0; i < 2 * MORE; i++) {
        must(whorl_timeout_enter(&open[i], WHORL_NEVER));
        serials[i] = self->scopes->serial;
    }
    for (int i = 2 * MORE; i-- > 0;) {
        must(whorl_timeout_exit(&open[i], 0));
        must(serials[i] != 0 && (i == 0 || serials[i] == serials[i - 1] + 1) ? 0 : -EPROTO);
    }
    return 0;
}

static void test_counters_of_timeouts_go_past_32_and_48_bits(void **state)
{
    /* A serial that came back would let an old timer end another block. */
    (void)state;
    const uint64_t starts[] = {NEAR_32 - 2 * MORE, (UINT64_C(1) << 48) - 3 * MORE};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        uint64_t start = starts[i];
        assert_int_equal(play(1, nest_near, &start), 0);
    }
}

/* ---- where foreign tasks begin ---- */

static int note_loop(void *arg)
{
    uint32_t *const counts = arg;
    (void)whorl__add_u32(&counts[whorl_loop_current()], 1);
    return 0;
}

struct round_robin {
    struct whorl_task *main_task;
    struct whorl_task *tasks[9];
    uint32_t counts[3]; /* A */
};

static void *spawn_nine(void *arg)
{
    struct round_robin *const round = arg;
    for (int i = 0; i < 9; i++) {
        must(whorl_spawn_remote(round->main_task, note_loop, round->counts, NULL,
                                &round->tasks[i]));
    }
    return NULL;
}

static int place_near(void *arg)
{
    struct round_robin *const round = arg;
    pthread_t thread;
    round->main_task = whorl__task_current();
    (void)whorl__swap_u64(&round->main_task->runtime->place_next, UINT32_MAX - 3);
    must(pthread_create(&thread, NULL, spawn_nine, round));
    must(pthread_join(thread, NULL));
    for (int i = 0; i < 9; i++) {
        must(finish(round->tasks[i]));
    }
    return 0;
}

static void test_counters_of_places_stay_fair_past_32_bits(void **state)
{
    /* 2^32 is no multiple of three loops: a counter that wraps gives one of them two in a row. */
    (void)state;
    struct round_robin round = {0};
    const struct whorl_options options = {.loops = 3, .mode = WHORL_MODE_ISOLATED, .no_pin = 1};
    assert_int_equal(whorl_run(place_near, &round, &options), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(round.counts[i], 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_of_a_loop_go_past_32_bits),
        cmocka_unit_test(test_counters_of_foreign_tasks_go_past_32_bits),
        cmocka_unit_test(test_counters_of_timeouts_go_past_32_and_48_bits),
        cmocka_unit_test(test_counters_of_places_stay_fair_past_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
