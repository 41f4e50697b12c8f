/*
 * Sleep and yield; rows SLP and TIME of asyncio's semantics.
 *
 * Bounds on time are one-sided where a slow machine could break them, and generous elsewhere.
 */
#include "support/play.h"

/* ---- yield ---- */

struct turns {
    struct journal journal;
    struct turner {
        struct turns *turns;
        char letter;
        int64_t pause_ns;
    } turners[3];
};

static int take_turns(void *arg)
{
    const struct turner *const turner = arg;
    for (int i = 0; i < 3; i++) {
        note(&turner->turns->journal, turner->letter);
        must(whorl_sleep(turner->pause_ns));
    }
    return 0;
}

static int run_turners(void *arg)
{
    struct turns *const turns = arg;
    struct whorl_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        turns->turners[i].turns = turns;
        turns->turners[i].letter = (char)('a' + i);
        tasks[i] = start(take_turns, &turns->turners[i]);
    }
    for (int i = 0; i < 3; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_slp_1_zero_gives_way_for_exactly_one_pass(void **state)
{
    /* Everything that was ready runs once in between, in its order. */
    (void)state;
    struct turns turns = {0};
    assert_int_equal(play(1, run_turners, &turns), 0);
    assert_string_equal(turns.journal.text, "abcabcabc");
}

static void test_slp_2_negative_is_the_same_as_zero(void **state)
{
    /* However far in the past; mixed with zeros the order stays. */
    (void)state;
    struct turns turns = {0};
    turns.turners[0].pause_ns = -1;
    turns.turners[2].pause_ns = INT64_MIN;
    assert_int_equal(play(1, run_turners, &turns), 0);
    assert_string_equal(turns.journal.text, "abcabcabc");
}

/* What took no timer has not slept. */
static int sleep_less_than_zero(void *arg)
{
    struct whorl_stats before;
    struct whorl_stats after;
    (void)arg;
    must(whorl_stats(-1, &before));
    for (int i = 0; i < 20; i++) {
        must(whorl_sleep(i % 2 == 0 ? -1 : INT64_MIN));
    }
    must(whorl_stats(-1, &after));
    return after.timers == before.timers ? 0 : -ERANGE;
}

static void test_slp_2_negative_sets_no_timer(void **state)
{
    /* On any number of loops. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, sleep_less_than_zero, NULL), 0);
    }
}

static int sleep_into_the_past(void *arg)
{
    (void)arg;
    must(whorl_sleep_until(0));
    must(whorl_sleep_until(INT64_MIN));
    return whorl_sleep_until(whorl_now());
}

static void test_sleep_until_the_past_gives_way_once(void **state)
{
    /* It is not an error. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, sleep_into_the_past, NULL), 0);
    }
}

/* ---- time passes ---- */

static int sleep_ten(void *arg)
{
    int64_t *const took_ns = arg;
    const int64_t start_ns = whorl_now();
    must(whorl_sleep(10 * WHORL_MILLISECOND));
    *took_ns = whorl_now() - start_ns;
    return 0;
}

static void test_time_1_sleep_is_never_shorter_than_asked(void **state)
{
    /* Longer is the machine's affair. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int64_t took_ns = 0;
        assert_int_equal(play(loops, sleep_ten, &took_ns), 0);
        assert_true(took_ns >= 10 * WHORL_MILLISECOND);
    }
}

enum { SLEEPERS = 200 };

static int sleep_fifty(void *arg)
{
    (void)arg;
    return whorl_sleep(50 * WHORL_MILLISECOND);
}

static int sleep_together(void *arg)
{
    int64_t *const took_ns = arg;
    struct whorl_task *tasks[SLEEPERS];
    const int64_t start_ns = whorl_now();
    for (int i = 0; i < SLEEPERS; i++) {
        tasks[i] = start(sleep_fifty, NULL);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        must(finish(tasks[i]));
    }
    *took_ns = whorl_now() - start_ns;
    return 0;
}

static void test_slp_6_equal_sleepers_take_one_length_in_all(void **state)
{
    /* One after the other would be ten seconds. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int64_t took_ns = 0;
        assert_int_equal(play(loops, sleep_together, &took_ns), 0);
        assert_true(took_ns >= 50 * WHORL_MILLISECOND);
        assert_true(took_ns < 5 * WHORL_SECOND);
    }
}

struct order {
    struct journal journal;
    int64_t base_ns;
    struct due {
        struct order *order;
        char letter;
        int after_ms;
    } dues[4];
};

static int note_when_due(void *arg)
{
    const struct due *const due = arg;
    must(whorl_sleep_until(due->order->base_ns + due->after_ms * WHORL_MILLISECOND));
    note(&due->order->journal, due->letter);
    return 0;
}

/* Holds the loop until all of them are overdue. */
static int be_late(void *arg)
{
    static const int after_ms[] = {8, 2, 6, 4};
    struct order *const order = arg;
    struct whorl_task *tasks[4];
    order->base_ns = whorl_after(100 * WHORL_MILLISECOND);
    for (int i = 0; i < 4; i++) {
        order->dues[i] = (struct due){order, (char)('0' + after_ms[i]), after_ms[i]};
        tasks[i] = start(note_when_due, &order->dues[i]);
    }
    must(whorl_sleep_until(order->base_ns));
    while (whorl_now() < order->base_ns + 9 * WHORL_MILLISECOND) {
    }
    for (int i = 0; i < 4; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_time_12_late_timers_all_fire_in_the_order_of_their_time(void **state)
{
    /* Not in the order in which they were set; none is dropped. */
    (void)state;
    struct order order = {0};
    assert_int_equal(play(1, be_late, &order), 0);
    assert_string_equal(order.journal.text, "2468");
}

/* ---- cancelled ---- */

static int sleep_a_while(void *arg)
{
    (void)arg;
    return whorl_sleep(200 * WHORL_MILLISECOND);
}

static int cancel_sleepers_and_count(void *arg)
{
    struct whorl_stats before;
    struct whorl_stats after;
    (void)arg;
    must(whorl_stats(-1, &before));
    for (int i = 0; i < 20; i++) {
        struct whorl_task *const sleeper = start(sleep_a_while, NULL);
        settle();
        (void)whorl_cancel(sleeper, NULL);
        must(finish(sleeper) == -ECANCELED ? 0 : -ERANGE);
    }
    must(whorl_sleep(250 * WHORL_MILLISECOND));
    must(whorl_stats(-1, &after));
    return after.timers - before.timers == 1 ? 0 : -ERANGE;
}

static void test_slp_5_cancelling_takes_the_timer_out(void **state)
{
    /* Of 21 sleeps only the one that was not cancelled ever fires. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, cancel_sleepers_and_count, NULL), 0);
    }
}

static int sleep_and_look(void *arg)
{
    (void)arg;
    const int64_t until_ns = whorl_after(200 * WHORL_MICROSECOND);
    const int error = whorl_sleep_until(until_ns);
    return error == 0 && whorl_now() < until_ns ? -ERANGE : error;
}

static int cancel_and_reuse(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        struct whorl_task *const sleeper = start(sleep_and_look, NULL);
        must(whorl_yield());
        (void)whorl_cancel(sleeper, NULL);
        const int error = finish(sleeper);
        must(error == -ECANCELED ? 0 : error); /* 0: its time had come before the cancel */
    }
    return 0;
}

static void test_time_7_cancelled_timers_do_not_reach_who_comes_after(void **state)
{
    /* Slots and stacks are used again at once: a timer that stayed would end a stranger's sleep. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, cancel_and_reuse, NULL), 0);
    }
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return whorl_sleep(WHORL_NEVER);
}

static int cancel_eternal(void *arg)
{
    (void)arg;
    struct whorl_task *const sleeper = start(sleep_for_ever, NULL);
    must(whorl_yield());
    (void)whorl_cancel(sleeper, NULL);
    return finish(sleeper) == -ECANCELED ? 0 : -ERANGE;
}

static void test_sleep_for_ever_ends_by_a_cancel_only(void **state)
{
    /* WHORL_NEVER as a duration does not overflow into the past. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, cancel_eternal, NULL), 0);
    }
}

static void test_after_saturates_at_never(void **state)
{
    /* Adding to now cannot wrap round; a negative duration is now. */
    (void)state;
    assert_true(whorl_after(WHORL_NEVER) == WHORL_NEVER);
    assert_true(whorl_after(WHORL_NEVER - 1) == WHORL_NEVER);
    const int64_t now_ns = whorl_now();
    assert_true(whorl_after(INT64_MIN) >= now_ns);
    assert_true(whorl_after(INT64_MIN) < now_ns + 10 * WHORL_SECOND);
    assert_true(whorl_after(WHORL_SECOND) >= now_ns + WHORL_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slp_1_zero_gives_way_for_exactly_one_pass),
        cmocka_unit_test(test_slp_2_negative_is_the_same_as_zero),
        cmocka_unit_test(test_slp_2_negative_sets_no_timer),
        cmocka_unit_test(test_sleep_until_the_past_gives_way_once),
        cmocka_unit_test(test_time_1_sleep_is_never_shorter_than_asked),
        cmocka_unit_test(test_slp_6_equal_sleepers_take_one_length_in_all),
        cmocka_unit_test(test_time_12_late_timers_all_fire_in_the_order_of_their_time),
        cmocka_unit_test(test_slp_5_cancelling_takes_the_timer_out),
        cmocka_unit_test(test_time_7_cancelled_timers_do_not_reach_who_comes_after),
        cmocka_unit_test(test_sleep_for_ever_ends_by_a_cancel_only),
        cmocka_unit_test(test_after_saturates_at_never),
    };
    return cmocka_run_group_tests_name("sleep", tests, NULL, NULL);
}
