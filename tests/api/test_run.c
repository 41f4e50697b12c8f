/*
 * whorl_run: what it refuses, what it returns, and that nothing is left of it; rows RUN of
 * asyncio's semantics.
 */
#include "support/play.h"

#include <limits.h>
#include <pthread.h>

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int count_run(void *arg)
{
    ++*(int *)arg;
    return 0;
}

/* ---- refused ---- */

static void swallow(void *log_arg, const char *line)
{
    (void)log_arg;
    (void)line;
}

static void test_loop_14_bad_options_or_no_body_are_einval_and_start_nothing(void **state)
{
    /* Each on its own; no thread, no descriptor, and the body is not called. */
    (void)state;
    const struct whorl_options bad[] = {
        {.loops = -1},
        {.loops = WHORL_LOOPS_MAX + 1},
        {.loops = INT_MIN},
        {.loops = INT_MAX},
        {.loops = 2, .mode = WHORL_MODE_SINGLE},
        {.loops = 1, .mode = (enum whorl_mode)4},
        {.loops = 1, .mode = (enum whorl_mode) - 1},
        {.loops = 1, .stack_bytes = 1},
        {.loops = 1, .stack_bytes = ((size_t)16 << 10) - 1},
        {.loops = 1, .stack_bytes = ((size_t)64 << 20) + 1},
        {.loops = 1, .stack_bytes = SIZE_MAX},
        {.loops = 1, .stall_ns = -1},
        {.loops = 1, .report_ns = INT64_MIN},
        {.loops = 1, .topology = "no such thing"},
    };
    int runs = 0;
    assert_int_equal(play(1, count_run, &runs), 0);
    const int threads = count_own("task");
    const int descriptors = count_own("fd");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct whorl_options options = bad[i];
        options.log = swallow;
        assert_int_equal(whorl_run(count_run, &runs, &options), -EINVAL);
    }
    assert_int_equal(whorl_run(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(runs, 1);
    assert_int_equal(count_own("task"), threads);
    assert_int_equal(count_own("fd"), descriptors);
}

static int take_loop_count(void *arg)
{
    *(int *)arg = whorl_loop_count();
    return whorl_loop_current() >= 0 && whorl_loop_current() < whorl_loop_count() ? 0 : -ERANGE;
}

static void test_run_good_options_give_the_loops_asked_for(void **state)
{
    /* 0 is as many as the machine allows; the smallest and the largest stack are allowed. */
    (void)state;
    const struct {
        struct whorl_options options;
        int loops; /* 0: one or more */
    } good[] = {
        {{.loops = 0, .no_pin = 1}, 0},
        {{.loops = 0, .mode = WHORL_MODE_SINGLE}, 1},
        {{.loops = 1, .mode = WHORL_MODE_STEALING}, 1},
        {{.loops = 3, .mode = WHORL_MODE_ISOLATED, .no_pin = 1}, 3},
        {{.loops = 64, .no_pin = 1}, 64},
        {{.loops = 1, .stack_bytes = (size_t)16 << 10}, 1},
        {{.loops = 1, .stack_bytes = (size_t)64 << 20}, 1},
        {{.loops = 2, .stall_ns = WHORL_NEVER, .report_ns = WHORL_NEVER, .no_pin = 1}, 2},
        {{.loops = 2, .topology = "pack:2 core:4 pu:2", .no_pin = 1}, 2},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int loops = UNSET;
        assert_int_equal(whorl_run(take_loop_count, &loops, &good[i].options), 0);
        assert_true(good[i].loops == 0 ? loops >= 1 && loops < UNSET : loops == good[i].loops);
    }
    int loops = UNSET;
    assert_int_equal(whorl_run(take_loop_count, &loops, NULL), 0);
    assert_in_range(loops, 1, WHORL_LOOPS_MAX);
}

static int run_again(void *arg)
{
    int *const errors = arg;
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    errors[0] = whorl_run(do_nothing, NULL, &options);
    errors[1] = whorl_run(do_nothing, NULL, NULL);
    errors[2] = whorl_yield();
    return 0;
}

static void test_run_8_and_loop_15_inside_a_task_is_ebusy(void **state)
{
    /* And the task goes on. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int errors[3] = {UNSET, UNSET, UNSET};
        assert_int_equal(play(loops, run_again, errors), 0);
        assert_int_equal(errors[0], -EBUSY);
        assert_int_equal(errors[1], -EBUSY);
        assert_int_equal(errors[2], 0);
    }
}

static void test_tmo_19_and_loop_21_calls_that_need_a_task_are_eperm_outside(void **state)
{
    /* On a plain thread, without a runtime: refused, nothing crashes, outputs stay. */
    (void)state;
    struct whorl_timeout timeout;
    struct whorl_stats stats = {.turns = UNSET};
    struct whorl_task *task = NULL;
    char byte = 'x';
    assert_int_equal(whorl_spawn(do_nothing, NULL, NULL, &task), -EPERM);
    assert_null(task);
    assert_int_equal(whorl_yield(), -EPERM);
    assert_int_equal(whorl_sleep(0), -EPERM);
    assert_int_equal(whorl_sleep(WHORL_SECOND), -EPERM);
    assert_int_equal(whorl_sleep_until(WHORL_NEVER), -EPERM);
    assert_int_equal(whorl_return(&byte), -EPERM);
    assert_int_equal(whorl_timeout_enter(&timeout, 0), -EPERM); /* row TMO-19 */
    assert_int_equal(whorl_loop_count(), -EPERM);
    assert_int_equal(whorl_loop_current(), -EPERM);
    assert_int_equal(whorl_stats(-1, &stats), -EPERM);
    assert_int_equal(stats.turns, UNSET);
    assert_null(whorl_task_current());
    assert_null(whorl_cancel_message());
    assert_int_equal(whorl_read(0, &byte, 1), -EPERM);
    assert_int_equal(whorl_write(1, &byte, 1), -EPERM);
    assert_int_equal(whorl_accept(0), -EPERM);
    assert_int_equal(whorl_close(0), -EPERM);
    assert_int_equal(whorl_tcp_connect("127.0.0.1", 1), -EPERM);
    assert_int_equal(whorl_tcp_listen("127.0.0.1", 0, 0, 0), -EPERM);
    assert_int_equal(byte, 'x');
}

/* ---- results ---- */

static int return_code(void *arg)
{
    return *(const int *)arg;
}

static void test_run_1_returns_what_the_body_returned(void **state)
{
    /* Success, failure, and a main task that ends cancelled. */
    (void)state;
    int codes[] = {0, -EPIPE, -ECANCELED, -EINVAL};
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
            assert_int_equal(play(loops, return_code, &codes[i]), codes[i]);
        }
    }
}

static void test_run_twice_in_a_row_and_often(void **state)
{
    /* Nothing of one run is in the way of the next. */
    (void)state;
    int runs = 0;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(play(1 + i % 4, count_run, &runs), 0);
    }
    assert_int_equal(runs, 60);
}

/* ---- tasks left over ---- */

enum { LEFTOVERS = 20 };

struct leftover {
    int got;
    bool ended; /* plain: written by the task, read after whorl_run */
    int frees;
};

static int linger(void *arg)
{
    struct leftover *const leftover = arg;
    leftover->got = wait_for_ever();
    for (int i = 0; i < 10; i++) {
        must(whorl_yield()); /* its cleanup waits too */
    }
    leftover->ended = true;
    return -EIO; /* row RUN-3: an answer that nobody is told */
}

static void count_free(void *arg)
{
    ((struct leftover *)arg)->frees++;
}

static int leave_behind(void *arg)
{
    struct leftover *const leftovers = arg;
    const struct whorl_attr attr = {.arg_free = count_free};
    for (int i = 0; i < LEFTOVERS; i++) {
        must(whorl_spawn(linger, &leftovers[i], &attr, NULL));
    }
    for (int i = 0; i < 50; i++) {
        must(whorl_yield());
    }
    return 0;
}

static void test_run_2_and_3_leftovers_are_cancelled_and_waited_for(void **state)
{
    /* Whether they had begun or not; the result is main's. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct leftover leftovers[LEFTOVERS] = {0};
        assert_int_equal(play(loops, leave_behind, leftovers), 0);
        for (int i = 0; i < LEFTOVERS; i++) {
            assert_int_equal(leftovers[i].frees, 1);
            assert_int_equal(leftovers[i].ended, leftovers[i].got == -ECANCELED);
        }
        assert_true(loops > 1 || leftovers[0].ended);
    }
}

static int keep_on(void *arg)
{
    int *const rounds = arg;
    (void)wait_for_ever();
    for (int i = 0; i < 200; i++) {
        must(whorl_yield()); /* swallowed: it is asked once, and takes its time */
        ++*rounds;
    }
    return 0;
}

static int leave_stubborn(void *arg)
{
    must(whorl_spawn(keep_on, arg, NULL, NULL));
    settle();
    return -EPIPE;
}

static void test_run_4_leftover_that_swallows_its_cancel_is_still_waited_for(void **state)
{
    /* Asked once, not again and again: its later waits succeed. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int rounds = 0;
        assert_int_equal(play(loops, leave_stubborn, &rounds), -EPIPE);
        assert_int_equal(rounds, 200);
    }
}

struct late_spawn {
    int error;
    int frees;
    struct whorl_task *handle;
};

static void count_late_free(void *arg)
{
    ((struct late_spawn *)arg)->frees++;
}

static int spawn_late(void *arg)
{
    struct late_spawn *const late = arg;
    const struct whorl_attr attr = {.arg_free = count_late_free};
    (void)wait_for_ever();
    late->error = whorl_spawn(do_nothing, late, &attr, &late->handle);
    return 0;
}

static int leave_spawner(void *arg)
{
    must(whorl_spawn(spawn_late, arg, NULL, NULL));
    settle();
    return 0;
}

static void test_run_5_and_task_12_the_ending_runtime_takes_no_new_tasks(void **state)
{
    /* Refused, not lost: the argument stays the caller's. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct late_spawn late = {.error = UNSET};
        assert_int_equal(play(loops, leave_spawner, &late), 0);
        assert_int_equal(late.error, -ECANCELED);
        assert_null(late.handle);
        assert_int_equal(late.frees, 0);
    }
}

/* Leftovers that wait for one another: in a chain, in a circle, in a gather that leads back. */
struct tangle {
    struct whorl_task *tasks[3];
};

static int await_next(void *arg)
{
    struct whorl_task **const next = arg;
    (void)whorl_yield();
    return whorl_await(*next, NULL);
}

static int gather_next(void *arg)
{
    struct whorl_task **const next = arg;
    (void)whorl_yield();
    return whorl_gather(next, 1, WHORL_GATHER_RETURN_EXCEPTIONS, NULL);
}

static int leave_tangled(void *arg)
{
    struct tangle *const tangle = arg;
    tangle->tasks[0] = start(await_next, &tangle->tasks[1]);
    tangle->tasks[1] = start(gather_next, &tangle->tasks[2]);
    tangle->tasks[2] = start(await_next, &tangle->tasks[0]);
    settle();
    return 0;
}

static void test_run_2_leftovers_in_a_circle_end_too(void **state)
{
    /* Each waits for the next, one of them by a gather. */
    (void)state;
    struct tangle tangle = {{NULL}};
    assert_int_equal(play(1, leave_tangled, &tangle), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(whorl_task_done(tangle.tasks[i]));
        whorl_task_unref(tangle.tasks[i]);
    }
}

/* ---- handles that outlive it ---- */

struct kept {
    struct whorl_task *good, *cancelled, *main;
    struct whorl_future *gather;
};

static int return_kept(void *arg)
{
    return whorl_return(arg);
}

static int keep_handles(void *arg)
{
    struct kept *const kept = arg;
    kept->main = whorl_task_ref(whorl_task_current());
    kept->good = start(return_kept, kept);
    must(whorl_spawn(keep_on, &(int){0}, &(struct whorl_attr){.name = "kept"}, &kept->cancelled));
    (void)whorl_cancel(kept->cancelled, "kept");
    struct whorl_future *futures[1] = {whorl_task_future(kept->good)};
    must(whorl_gather_start(futures, 1, 0, &kept->gather));
    return whorl_future_join(kept->gather, WHORL_NEVER, NULL);
}

static void test_run_handles_stay_valid_after_it_returned(void **state)
{
    /* Every question has an answer, and nothing can be started there any more. */
    (void)state;
    struct kept kept = {NULL, NULL, NULL, NULL};
    void *value = NULL;
    assert_int_equal(play(1, keep_handles, &kept), 0);
    assert_true(whorl_task_done(kept.good) && whorl_task_done(kept.main));
    assert_int_equal(whorl_await(kept.good, &value), 0);
    assert_ptr_equal(value, &kept);
    assert_int_equal(whorl_join(kept.main, 0, NULL), 0);
    assert_int_equal(whorl_task_result(kept.cancelled, NULL), -ECANCELED);
    assert_true(whorl_task_cancelled(kept.cancelled));
    assert_string_equal(whorl_task_name(kept.cancelled), "kept");
    assert_string_equal(whorl_future_cancel_message(whorl_task_future(kept.cancelled)), "kept");
    assert_false(whorl_cancel(kept.good, NULL));
    assert_int_equal(whorl_spawn_remote(kept.main, do_nothing, NULL, NULL, NULL), -ECANCELED);
    assert_int_equal(whorl_future_result(kept.gather, NULL), 0);
    whorl_future_unref(kept.gather);
    whorl_task_unref(whorl_task_ref(kept.good));
    whorl_task_unref(kept.main);
    whorl_task_unref(kept.good);
    whorl_task_unref(kept.cancelled);
}

/* ---- as many ended as begun ---- */

static int spawn_and_sum(void *arg)
{
    struct whorl_stats *const stats = arg;
    for (int i = 0; i < 500; i++) {
        must(finish(start(do_nothing, NULL)));
    }
    must(whorl_stats(whorl_loop_count(), stats) == -EINVAL ? 0 : -ERANGE);
    must(whorl_stats(-2, stats) == -EINVAL ? 0 : -ERANGE);
    const int64_t patience_ns = whorl_after(20 * WHORL_SECOND);
    do { /* an end is counted a moment after its awaiter may go on */
        must(whorl_sleep(WHORL_MILLISECOND));
        must(whorl_stats(-1, stats));
    } while (stats->ended < 500 && whorl_now() < patience_ns);
    return 0;
}

static void test_run_as_many_have_ended_as_begun(void **state)
{
    /* All but main itself, which is asking; and no wake-up was missed. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_stats stats = {0};
        assert_int_equal(play(loops, spawn_and_sum, &stats), 0);
        assert_int_equal(stats.spawned, 501);
        assert_int_equal(stats.ended, 500);
        assert_int_equal(stats.missed_wakes, 0);
    }
}

/* ---- several at once ---- */

struct neighbour {
    pthread_t thread;
    int loops;
    int error;
    int sum;
};

static int add_one(void *arg)
{
    must(whorl_yield());
    *(int *)arg = 1;
    return 0;
}

static int add_hundred(void *arg)
{
    struct neighbour *const neighbour = arg;
    int ones[100] = {0};
    struct whorl_task *tasks[100];
    for (int i = 0; i < 100; i++) {
        tasks[i] = start(add_one, &ones[i]);
    }
    for (int i = 0; i < 100; i++) {
        must(finish(tasks[i]));
        neighbour->sum += ones[i];
    }
    return whorl_loop_count() == neighbour->loops ? 0 : -ERANGE;
}

static void *run_beside(void *arg)
{
    struct neighbour *const neighbour = arg;
    const struct whorl_options options = {.loops = neighbour->loops, .no_pin = 1};
    for (int i = 0; i < 10 && neighbour->error == 0; i++) {
        neighbour->error = whorl_run(add_hundred, neighbour, &options);
    }
    return NULL;
}

static void test_run_two_at_once_in_two_threads(void **state)
{
    /* Each with loops of its own, started and stopped while the other runs. */
    (void)state;
    struct neighbour neighbours[2] = {{.loops = 1}, {.loops = 3}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&neighbours[i].thread, NULL, run_beside, &neighbours[i]),
                         0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(neighbours[i].thread, NULL), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(neighbours[i].error, 0);
        assert_int_equal(neighbours[i].sum, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_14_bad_options_or_no_body_are_einval_and_start_nothing),
        cmocka_unit_test(test_run_good_options_give_the_loops_asked_for),
        cmocka_unit_test(test_run_8_and_loop_15_inside_a_task_is_ebusy),
        cmocka_unit_test(test_tmo_19_and_loop_21_calls_that_need_a_task_are_eperm_outside),
        cmocka_unit_test(test_run_1_returns_what_the_body_returned),
        cmocka_unit_test(test_run_twice_in_a_row_and_often),
        cmocka_unit_test(test_run_2_and_3_leftovers_are_cancelled_and_waited_for),
        cmocka_unit_test(test_run_4_leftover_that_swallows_its_cancel_is_still_waited_for),
        cmocka_unit_test(test_run_5_and_task_12_the_ending_runtime_takes_no_new_tasks),
        cmocka_unit_test(test_run_2_leftovers_in_a_circle_end_too),
        cmocka_unit_test(test_run_handles_stay_valid_after_it_returned),
        cmocka_unit_test(test_run_as_many_have_ended_as_begun),
        cmocka_unit_test(test_run_two_at_once_in_two_threads),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
