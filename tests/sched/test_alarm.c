/*
 * test_alarm.c - a wake-up that was lost is found by the monitor, counted, and made good.
 *
 * The runtime loses none, so the tests put work where a wake-up belongs and leave that out. By hand
 * first, with a clock of the test's; then in a live runtime.
 */
#include "mill.h"
#include "rig.h"

#include "task/park.h"

#include <errno.h>

#define LATER WHORL_SECOND

/* ---- by hand ---- */

/* Two looks, LATER apart; whether the second one raised the alarm. */
static bool look_twice(struct whorl__loop *loop, struct whorl__alarm *alarm)
{
    const uint64_t before = loop->stats.missed_wakes;
    (void)whorl__alarm_look(loop, alarm, LATER);
    (void)whorl__alarm_look(loop, alarm, 2 * LATER);
    return loop->stats.missed_wakes == before + 1;
}

static void test_alarm_inbox_without_a_wake_is_found_and_made_good(void **state)
{
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[1];
    struct whorl__alarm alarm = {0};
    assert_true(whorl__idle_sleep_begin(loop));
    assert_false(look_twice(loop, &alarm));
    assert_true(whorl__inbox_push(&loop->inbox, &mill->tasks[0].inbox));
    assert_true(look_twice(loop, &alarm));
    assert_true(mill_was_woken(loop));
    (void)whorl__loop_take_inbox(loop);
    whorl__idle_sleep_end(loop);
}

static void test_alarm_shared_work_that_nobody_looks_for_is_found(void **state)
{
    /* The one who is woken counts as a searcher: so the others are left alone. */
    struct mill *const mill = *state;
    struct whorl__alarm alarms[MILL_LOOPS] = {0};
    for (unsigned i = 0; i < MILL_LOOPS; i++) {
        assert_true(whorl__idle_sleep_begin(mill->loops[i]));
    }
    whorl__fifo_push(&mill->runtime.shared.tasks, &mill->tasks[0].ready);
    mill->runtime.shared.count = 1;
    unsigned raised = 0;
    for (unsigned i = 0; i < MILL_LOOPS; i++) {
        (void)whorl__alarm_look(mill->loops[i], &alarms[i], LATER);
    }
    for (unsigned i = 0; i < MILL_LOOPS; i++) {
        raised += look_twice(mill->loops[i], &alarms[i]);
    }
    assert_int_equal(raised, 1);
    assert_int_equal(mill_searching(mill), 1);
    (void)whorl__fifo_pop(&mill->runtime.shared.tasks);
    mill->runtime.shared.count = 0;
}

static void test_alarm_late_timer_of_a_sleeping_loop_is_found(void **state)
{
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[2];
    struct whorl__alarm alarm = {0};
    struct whorl__timer timer = {.handle = 0};
    assert_true(whorl__idle_sleep_begin(loop));
    assert_int_equal(whorl__timer_arm(&loop->timers, &timer, 3 * LATER), 0);
    assert_false(look_twice(loop, &alarm)); /* it is not due yet */
    assert_true(whorl__alarm_look(loop, &alarm, 3 * LATER));
    assert_true(whorl__alarm_look(loop, &alarm, 4 * LATER));
    assert_int_equal(loop->stats.missed_wakes, 1);
    assert_true(mill_was_woken(loop));
    assert_false(whorl__timer_disarm(&timer));
    whorl__idle_sleep_end(loop);
}

static void test_alarm_is_not_raised_for_what_is_well(void **state)
{
    /* Awake; woken already; made a turn meanwhile; somebody searches; not there at every look. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[1];
    struct whorl__alarm alarm = {0};
    (void)whorl__inbox_push(&loop->inbox, &mill->tasks[0].inbox);
    assert_false(look_twice(loop, &alarm));
    loop->sleeping = 1;
    whorl__poller_wake(&loop->poller);
    assert_false(look_twice(loop, &alarm));
    assert_true(mill_was_woken(loop));

    assert_true(whorl__alarm_look(loop, &alarm, LATER));
    loop->stats.turns++;
    assert_true(whorl__alarm_look(loop, &alarm, 2 * LATER));
    assert_true(whorl__alarm_look(loop, &alarm, 2 * LATER + LATER / 2));
    assert_int_equal(loop->stats.missed_wakes, 0);

    struct whorl__inbox_node *const node = &mill->tasks[1].inbox;
    (void)whorl__loop_take_inbox(loop);
    assert_false(whorl__alarm_look(loop, &alarm, 3 * LATER));
    (void)whorl__inbox_push(&loop->inbox, node);
    assert_true(whorl__alarm_look(loop, &alarm, 5 * LATER));
    assert_int_equal(loop->stats.missed_wakes, 0);
    (void)whorl__loop_take_inbox(loop);

    mill->runtime.shared.count = 1;
    assert_true(whorl__idle_search_begin(&mill->runtime));
    assert_false(look_twice(loop, &alarm));
    mill->runtime.shared.count = 0;
    loop->sleeping = 0;
}

/* ---- in a live runtime ---- */

struct lost {
    uint32_t parked; /* A */
    uint32_t woken;  /* A */
    struct whorl_task *sleeper;
    struct whorl_stats stats;
};

static int sleep_on_its_loop(void *arg)
{
    struct lost *const lost = arg;
    mark(&lost->parked);
    const int error = whorl_sleep_until(WHORL_NEVER);
    mark(&lost->woken);
    return error;
}

static bool is_asleep(struct whorl__loop *loop)
{
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (whorl__load_acquire_u32(&loop->sleeping) == 0) {
        if (whorl_now() >= end_ns || whorl_yield() != 0) {
            return false;
        }
    }
    return true;
}

/* What whorl_cancel does, without the wake-up of the loop. */
static bool cancel_without_wake(struct whorl_task *task, struct whorl__loop *loop)
{
    bool taken = false;
    whorl__spin_lock(&task->lock);
    task->asked = true;
    task->users_pending = 1;
    const bool asked = whorl__state_cancel(&task->word, &taken);
    whorl__spin_unlock(&task->lock);
    return asked && taken && whorl__inbox_push(&loop->inbox, &task->inbox);
}

static int lose_a_wake(struct lost *lost)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(1)};
    struct whorl__loop *const loop = whorl__task_current()->runtime->loops[1];
    const uint32_t before = level_of(&lost->woken);
    if (whorl_spawn(sleep_on_its_loop, lost, &attr, &lost->sleeper) != 0 ||
        !yield_until(&lost->parked, before + 1) || !is_asleep(loop) ||
        !cancel_without_wake(lost->sleeper, loop) ||
        !yield_until(&lost->woken, before + 1)) { /* so this loop and the monitor stay awake */
        return -EPROTO;
    }
    const int error = whorl_await(lost->sleeper, NULL);
    whorl_task_unref(lost->sleeper);
    return error == -ECANCELED ? whorl_stats(1, &lost->stats) : -EPROTO;
}

/* A loop that wakes for a reason of its own just then needs no alarm: so there are some tries. */
static int lose_wakes(void *arg)
{
    struct lost *const lost = arg;
    int error = 0;
    for (int i = 0; error == 0 && lost->stats.missed_wakes == 0 && i < 8; i++) {
        error = lose_a_wake(lost);
    }
    return error;
}

static int stay_on_loop_0(void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(0)};
    struct whorl_task *task;
    int error = whorl_spawn(lose_wakes, arg, &attr, &task);
    if (error == 0) {
        error = whorl_await(task, NULL);
        whorl_task_unref(task);
    }
    return error;
}

static void test_alarm_wakes_a_loop_whose_wake_was_lost(void **state)
{
    (void)state;
    struct lost lost = {0};
    struct logbook logbook = {.lines = 0};
    struct whorl_options options = stealing_options(2, &logbook);
    options.stall_ns = 60 * WHORL_SECOND;       /* a stuck loop would wake the other one */
    options.report_ns = 20 * WHORL_MILLISECOND; /* the monitor looks every half of that */
    assert_int_equal(whorl_run(stay_on_loop_0, &lost, &options), 0);
    assert_int_equal(lost.stats.missed_wakes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mill_test(test_alarm_inbox_without_a_wake_is_found_and_made_good),
        mill_test(test_alarm_shared_work_that_nobody_looks_for_is_found),
        mill_test(test_alarm_late_timer_of_a_sleeping_loop_is_found),
        mill_test(test_alarm_is_not_raised_for_what_is_well),
        cmocka_unit_test(test_alarm_wakes_a_loop_whose_wake_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
