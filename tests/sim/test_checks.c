/*
 * test_checks.c - each invariant of runtime/sim/check.c fails when it is broken: a task reaches
 * into the runtime that it runs on and breaks it, and the run ends there and then, with the reason.
 */
#include "sched/sched.h"
#include "support/play.h"
#include "task/park.h"

#include <errno.h>
#include <stdio.h>

static struct whorl_sim_report report;

static void assert_caught(whorl_body *body, void *arg, const char *verdict)
{
    const struct whorl_sim_options options = {
        .runtime.loops = 2, .quiet = 1, .report = &report};
    const int result = whorl_sim_run(1, &options, body, arg);
    if (result != -ENOTRECOVERABLE || strstr(report.verdict, verdict) == NULL) {
        print_error("%d, and the verdict is: %s\n", result, report.verdict);
    }
    assert_int_equal(result, -ENOTRECOVERABLE);
    assert_non_null(strstr(report.verdict, verdict));
}

/* Any call: the run is examined when it begins. */
static int look(void)
{
    (void)whorl_now();
    return 0;
}

static int wait_here(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- K1 ---- */

static int queue_oneself(void *arg)
{
    struct whorl__loop *const loop = whorl__loop_current();
    (void)arg;
    return whorl__runqueue_push(&loop->queue, whorl__task_current()) ? look() : -EINVAL;
}

static void test_task_that_runs_and_is_queued_is_caught(void **state)
{
    (void)state;
    assert_caught(queue_oneself, NULL, "K1: task 0 is in two places");
}

static int run_twice(void *arg)
{
    struct whorl__runtime *const runtime = whorl__loop_current()->runtime;
    struct whorl__loop *const other = runtime->loops[1 - whorl_loop_current()];
    (void)arg;
    whorl__store_release_ptr(&other->current, whorl__task_current());
    return look();
}

static void test_task_that_runs_twice_is_caught(void **state)
{
    (void)state;
    assert_caught(run_twice, NULL, "K1: task 0 is in two places; the second one found is current");
}

/* Off the ring without a place to be: as a steal that forgets. */
static int lose_one(void *arg)
{
    struct whorl__loop *const loop = whorl__loop_current();
    (void)arg;
    (void)start(nothing, NULL);
    (void)whorl__runqueue_take(&loop->queue);
    (void)whorl__swap_ptr(&loop->hot, NULL);
    return look();
}

static void test_ready_task_without_a_place_is_caught(void **state)
{
    (void)state;
    assert_caught(lose_one, NULL, "it is lost");
}

static int queue_parked(void *arg)
{
    struct whorl_task *const task = start(wait_here, NULL);
    (void)arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    return whorl__runqueue_push(&whorl__loop_current()->queue, task) ? look() : -EINVAL;
}

static void test_parked_task_in_a_queue_is_caught(void **state)
{
    (void)state;
    assert_caught(queue_parked, NULL, "is in a ring and not ready");
}

static int run_parked(void *arg)
{
    struct whorl__runtime *const runtime = whorl__loop_current()->runtime;
    struct whorl_task *const task = start(wait_here, NULL);
    (void)arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    whorl__store_release_ptr(&runtime->loops[1 - whorl_loop_current()]->current, task);
    return look();
}

static void test_parked_task_that_runs_is_caught(void **state)
{
    (void)state;
    assert_caught(run_parked, NULL, "which is parked or free");
}

static int hold_parked_in_hand(void *arg)
{
    struct whorl_task *const task = start(wait_here, NULL);
    (void)arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    whorl__loop_current()->in_hand = task;
    return look();
}

static void test_parked_task_in_hand_is_caught(void **state)
{
    (void)state;
    assert_caught(hold_parked_in_hand, NULL, "which is parked or free");
}

static int hold_oneself_in_hand(void *arg)
{
    (void)arg;
    whorl__loop_current()->in_hand = whorl__task_current();
    return look();
}

static void test_task_that_runs_and_is_in_hand_is_caught(void **state)
{
    (void)state;
    assert_caught(hold_oneself_in_hand, NULL,
                  "K1: task 0 is in two places; the second one found is in hand");
}

/* ---- K2 ---- */

static int miscount_sleepers(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&whorl__loop_current()->runtime->idle.word, UINT32_C(0x10000));
    return look();
}

static int miscount_searchers(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&whorl__loop_current()->runtime->idle.word, 1);
    return look();
}

static int miscount_stuck(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&whorl__loop_current()->runtime->monitor.stuck_count, 1);
    return look();
}

static void test_wrong_counts_are_caught(void **state)
{
    (void)state;
    assert_caught(miscount_sleepers, NULL, "K2: the idle word");
    assert_caught(miscount_searchers, NULL, "K2: the idle word");
    assert_caught(miscount_stuck, NULL, "K2: stuck_count");
}

/* ---- K3 ---- */

/* A pinned task goes to the inbox of its loop, and nobody writes to the loop's eventfd. */
static int forget_to_wake(void *arg)
{
    struct whorl__runtime *const runtime = whorl__loop_current()->runtime;
    struct whorl__loop *const other = runtime->loops[1];
    const struct whorl_attr here = {.pin = WHORL_PIN(0)};
    struct whorl_task *task;
    (void)arg;
    must(whorl_sim_stall(WHORL_MILLISECOND)); /* the other one goes to sleep */
    must(whorl_spawn(nothing, NULL, &here, &task));
    struct whorl__fifo_node *const node = whorl__fifo_pop(&whorl__loop_current()->bound);
    (void)whorl__inbox_push(&other->inbox, &whorl__task_of_ready(node)->inbox);
    return look();
}

static int forget_on_loop_0(void *arg)
{
    const struct whorl_attr here = {.pin = WHORL_PIN(0)};
    struct whorl_task *task;
    (void)arg;
    must(whorl_spawn(forget_to_wake, NULL, &here, &task));
    return finish(task);
}

static void test_loop_that_sleeps_over_its_work_is_caught(void **state)
{
    (void)state;
    assert_caught(forget_on_loop_0, NULL, "K3: loop 1 sleeps over work of its own");
}

/* ---- K4 ---- */

#define MONITOR_STOP 2 /* of rescue.c */

/* Into the shared queue without telling anybody, with the monitor gone; then this loop computes. */
static int tell_nobody(void *arg)
{
    const struct whorl_attr here = {.pin = WHORL_PIN(whorl_loop_current())};
    struct whorl_task *task;
    (void)arg;
    must(whorl_sim_stall(WHORL_MILLISECOND)); /* the other one goes to sleep */
    struct whorl__loop *const loop = whorl__loop_current();
    struct whorl__shared *const shared = &loop->runtime->shared;
    must(whorl_spawn(nothing, NULL, &here, &task));
    struct whorl__fifo_node *const node = whorl__fifo_pop(&loop->bound);
    whorl__store_release_u32(&loop->runtime->monitor.state, MONITOR_STOP);
    task->pin = 0;
    whorl__fifo_push(&shared->tasks, node);
    whorl__store_release_u32(&shared->count, 1);
    return whorl_sim_stall(10 * WHORL_SECOND);
}

static void test_work_that_nobody_comes_for_is_caught(void **state)
{
    (void)state;
    assert_caught(tell_nobody, NULL, "K4: work has waited");
}

/* ---- K5, K6 ---- */

static int forget_deadline(void *arg)
{
    (void)arg;
    whorl__store_relaxed_u64(&whorl__loop_current()->timers.next_ns, 5);
    return look();
}

static int miss_a_wake(void *arg)
{
    (void)arg;
    whorl__count(&whorl__loop_current()->stats.missed_wakes, 1);
    return look();
}

static void test_wrong_deadline_and_missed_wake_are_caught(void **state)
{
    (void)state;
    assert_caught(forget_deadline, NULL, "K5: loop");
    assert_caught(miss_a_wake, NULL, "K6: loop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_that_runs_and_is_queued_is_caught),
        cmocka_unit_test(test_task_that_runs_twice_is_caught),
        cmocka_unit_test(test_ready_task_without_a_place_is_caught),
        cmocka_unit_test(test_parked_task_in_a_queue_is_caught),
        cmocka_unit_test(test_parked_task_that_runs_is_caught),
        cmocka_unit_test(test_parked_task_in_hand_is_caught),
        cmocka_unit_test(test_task_that_runs_and_is_in_hand_is_caught),
        cmocka_unit_test(test_wrong_counts_are_caught),
        cmocka_unit_test(test_loop_that_sleeps_over_its_work_is_caught),
        cmocka_unit_test(test_work_that_nobody_comes_for_is_caught),
        cmocka_unit_test(test_wrong_deadline_and_missed_wake_are_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
