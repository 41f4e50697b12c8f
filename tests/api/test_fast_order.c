/*
 * test_fast_order.c - one loop in fast order (WHORL_MODE_STEALING with loops = 1): as several loops
 * keep it, with nobody there to steal. And that one loop has it only where it is asked for.
 *
 * No test has a monitor: it would hide a wake-up that is lost.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

static int play_fast(enum whorl_mode mode, uint64_t flags, whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = 1,
                                          .mode = mode,
                                          .no_pin = 1,
                                          .report_ns = WHORL_NEVER,
                                          .stall_ns = WHORL_NEVER,
                                          .debug = -1,
                                          .flags = flags};
    const int descriptors = count_own("fd");
    const int error = whorl_run(body, arg, &options);
    assert_int_equal(count_own("fd"), descriptors);
    return error;
}

/* ---- the order ---- */

struct order {
    struct journal journal;
    struct whorl_future *gate;
};

static int note_older(void *arg)
{
    struct order *const order = arg;
    note(&order->journal, 'o');
    return 0;
}

static int note_child(void *arg)
{
    struct order *const order = arg;
    note(&order->journal, 'c');
    return 0;
}

static int spawn_two_and_await_the_second(void *arg)
{
    struct order *const order = arg;
    struct whorl_task *const older = start(note_older, order);
    struct whorl_task *const child = start(note_child, order);
    must(finish(child));
    note(&order->journal, '.');
    must(finish(older));
    return 0;
}

static void test_fast_order_what_is_awaited_overtakes_only_where_it_was_asked_for(void **state)
{
    /* asyncio's order is the default of one loop; the flag takes inline awaits out of the other. */
    (void)state;
    static const struct {
        enum whorl_mode mode;
        uint64_t flags;
        const char *order;
    } cases[] = {
        {WHORL_MODE_STEALING, 0, "c.o"},
        {WHORL_MODE_STEALING, WHORL_NO_INLINE, "oc."},
        {WHORL_MODE_AUTO, 0, "oc."},
        {WHORL_MODE_SINGLE, 0, "oc."},
        {WHORL_MODE_ISOLATED, 0, "oc."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct order order = {.gate = NULL};
        assert_int_equal(play_fast(cases[i].mode, cases[i].flags, spawn_two_and_await_the_second,
                                   &order),
                         0);
        assert_string_equal(order.journal.text, cases[i].order);
    }
}

static int note_when_woken(void *arg)
{
    struct order *const order = arg;
    const int error = whorl_future_await(order->gate, NULL);
    note(&order->journal, 'w');
    return error;
}

static int wake_after_a_spawn(void *arg)
{
    struct order *const order = arg;
    order->gate = new_future();
    struct whorl_task *const waiter = start(note_when_woken, order);
    settle();
    struct whorl_task *const older = start(note_older, order);
    must(whorl_future_set_result(order->gate, NULL));
    must(whorl_join(waiter, WHORL_NEVER, NULL));
    must(finish(older));
    whorl_task_unref(waiter);
    whorl_future_unref(order->gate);
    return 0;
}

static void test_fast_order_who_was_woken_runs_before_what_was_spawned(void **state)
{
    /* The hot slot; in asyncio's order it stands behind. */
    (void)state;
    struct order fast = {.gate = NULL};
    struct order strict = {.gate = NULL};
    assert_int_equal(play_fast(WHORL_MODE_STEALING, 0, wake_after_a_spawn, &fast), 0);
    assert_int_equal(play_fast(WHORL_MODE_AUTO, 0, wake_after_a_spawn, &strict), 0);
    assert_string_equal(fast.journal.text, "wo");
    assert_string_equal(strict.journal.text, "ow");
}

/* ---- depth first ---- */

static long calls;

static int fib(void *arg)
{
    long *const n = arg;
    calls++;
    if (*n < 2) {
        return 0;
    }
    long one = *n - 1;
    long other = *n - 2;
    struct whorl_task *const task = start(fib, &one);
    must(fib(&other));
    must(finish(task));
    *n = one + other;
    return 0;
}

static void test_fast_order_fork_join_calls_each_branch_once(void **state)
{
    /* More tasks than a ring holds, of which most begin where they are awaited. */
    (void)state;
    long n = 18;
    calls = 0;
    assert_int_equal(play_fast(WHORL_MODE_STEALING, 0, fib, &n), 0);
    assert_int_equal(n, 2584);
    assert_int_equal(calls, 2 * 4181 - 1);
}

/* ---- foreign threads, and a loop that sleeps ---- */

enum { ROUNDS = 2000 };

struct talk {
    struct whorl_task *main;
    struct whorl_future *questions[ROUNDS];
    struct whorl_future *answers[ROUNDS];
    int spawned; /* by the loop's tasks only */
};

static int count_spawned(void *arg)
{
    struct talk *const talk = arg;
    talk->spawned++;
    return 0;
}

static void *ask(void *arg)
{
    struct talk *const talk = arg;
    for (int i = 0; i < ROUNDS; i++) {
        must(whorl_future_set_result(talk->questions[i], NULL));
        must(whorl_future_join(talk->answers[i], WHORL_NEVER, NULL));
        if (i % 4 == 0) {
            struct whorl_task *task;
            must(whorl_spawn_remote(talk->main, count_spawned, talk, NULL, &task));
            must(whorl_join(task, WHORL_NEVER, NULL));
            whorl_task_unref(task);
        }
    }
    return NULL;
}

static int answer(void *arg)
{
    struct talk *const talk = arg;
    pthread_t thread;
    talk->main = whorl_task_current();
    for (int i = 0; i < ROUNDS; i++) {
        talk->questions[i] = new_future();
        talk->answers[i] = new_future();
    }
    must(-pthread_create(&thread, NULL, ask, talk));
    for (int i = 0; i < ROUNDS; i++) {
        must(whorl_future_await(talk->questions[i], NULL));
        must(whorl_future_set_result(talk->answers[i], NULL));
    }
    while (talk->spawned < ROUNDS / 4) {
        must(whorl_yield());
    }
    must(-pthread_join(thread, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        whorl_future_unref(talk->questions[i]);
        whorl_future_unref(talk->answers[i]);
    }
    return 0;
}

static void test_fast_order_a_foreign_thread_wakes_the_loop_each_time(void **state)
{
    /* By a future that its task waits for, and by a task: the shared queue and the idle word. */
    (void)state;
    static struct talk talk;
    talk = (struct talk){.main = NULL};
    assert_int_equal(play_fast(WHORL_MODE_STEALING, 0, answer, &talk), 0);
    assert_int_equal(talk.spawned, ROUNDS / 4);
}

/* ---- timers, sections, other threads ---- */

static int sleep_a_little(void *arg)
{
    int *const ended = arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    ++*ended;
    return 0;
}

static int add_on_thread(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int use_everything(void *arg)
{
    int *const ended = arg;
    int on_thread = 0;
    struct whorl_future *const gate = new_future();
    struct sitter sitter = {.gate = gate};
    struct whorl_task *const sleeper = start(sleep_a_little, ended);
    struct whorl_task *const woken = start(sit, &sitter);
    const struct whorl_attr pinned = {.pin = WHORL_PIN(0)};
    struct whorl_task *at_home;
    settle();
    must(whorl_blocking_begin("a section"));
    must(whorl_spawn(sleep_a_little, ended, &pinned, &at_home));
    must(whorl_future_set_result(gate, NULL));
    must(whorl_blocking_end());
    must(whorl_to_thread(add_on_thread, &on_thread, NULL, NULL));
    must(finish(woken));
    must(finish(sleeper));
    must(finish(at_home));
    whorl_future_unref(gate);
    return sitter.got == 0 && on_thread == 1 ? 0 : -EPROTO;
}

static void test_fast_order_timers_pins_sections_and_threads_work(void **state)
{
    /* Nobody serves the loop while it is in a section; what it queued there it runs itself. */
    (void)state;
    int ended = 0;
    assert_int_equal(play_fast(WHORL_MODE_STEALING, 0, use_everything, &ended), 0);
    assert_int_equal(ended, 2);
}

/* ---- the end ---- */

enum { LEFT = 700 };

struct leftovers {
    struct whorl_task *main;
    int begun;
    int cancelled;
    int freed;
};

static int wait_till_cancelled(void *arg)
{
    struct leftovers *const left = arg;
    left->begun++;
    const int error = wait_for_ever();
    left->cancelled += error == -ECANCELED;
    return error;
}

static void count_freed(void *arg)
{
    struct leftovers *const left = arg;
    left->freed++;
}

static int leave_behind(void *arg)
{
    struct leftovers *const left = arg;
    const struct whorl_attr attr = {.arg_free = count_freed};
    struct whorl_task *task;
    for (int i = 0; i < LEFT; i++) {
        must(whorl_spawn(wait_till_cancelled, left, &attr, NULL));
        if (i == LEFT / 2) {
            settle();
        }
    }
    for (int i = 0; i < LEFT; i++) { /* open ones: more than fit into the ring, never awaited */
        must(whorl_spawn(wait_till_cancelled, left, &attr, &task));
        whorl_task_unref(task);
    }
    return 0;
}

static void test_fast_order_the_end_cancels_what_is_left_wherever_it_is(void **state)
{
    /* Parked, in the ring, in the shared queue, open or not: each argument is freed once. */
    (void)state;
    struct leftovers left = {.main = NULL};
    assert_int_equal(play_fast(WHORL_MODE_STEALING, 0, leave_behind, &left), 0);
    assert_int_equal(left.freed, 2 * LEFT);
    assert_int_equal(left.begun, left.cancelled);
    assert_true(left.begun >= LEFT / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast_order_what_is_awaited_overtakes_only_where_it_was_asked_for),
        cmocka_unit_test(test_fast_order_who_was_woken_runs_before_what_was_spawned),
        cmocka_unit_test(test_fast_order_fork_join_calls_each_branch_once),
        cmocka_unit_test(test_fast_order_a_foreign_thread_wakes_the_loop_each_time),
        cmocka_unit_test(test_fast_order_timers_pins_sections_and_threads_work),
        cmocka_unit_test(test_fast_order_the_end_cancels_what_is_left_wherever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
