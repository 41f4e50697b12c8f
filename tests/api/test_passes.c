/*
 * How many passes of the loop a wait costs, in strict order: what CPython 3.14 needs.
 *
 * A ticker calls itself once a pass, before everything else, and counts. An event is made by a
 * callback; the passes from there until the waiting task goes on are the wait's price. Rows LOOP-2,
 * FUT-7, 8, 11, 12, TASK-1, 13, 20, SLP-1, GATH, TMO-10, 11.
 *
 *   what is waited for             passes   why, in CPython's words
 *   a future, a task               1        its end calls the task's wakeup soon
 *   a gather                       2        the child's callback, then the gather's
 *   a gather, future, task, done   0        nothing is waited for
 *   sleep(0), a new task           1        its step is called soon
 *   a timer                        1        the timer's callback completes a future
 *   timeout(0) over a future       2        _on_timeout is called soon, then the task's wakeup
 *   cancel of a waiting task       1        its future is cancelled, and that is an end
 *
 * A wait that is made of several costs their sum.
 */
#include "support/play.h"

#include <errno.h>

struct clock {
    unsigned ticks;
    bool stop;
};

static struct clock ticker;

static void tick(void *arg)
{
    (void)arg;
    ticker.ticks++;
    if (!ticker.stop) {
        must(whorl_call_soon(tick, NULL, NULL, NULL));
    }
}

/* From here on the ticker is first in every pass. */
static void start_ticker(void)
{
    ticker = (struct clock){0};
    must(whorl_call_soon(tick, NULL, NULL, NULL));
    must(whorl_yield());
}

static void stop_ticker(void)
{
    ticker.stop = true;
    must(whorl_yield());
    must(whorl_yield());
}

/* ---- one wait: what ends it, and when the waiting task went on ---- */

struct wait {
    int (*wait)(struct wait *wait);
    void (*end)(struct wait *wait); /* NULL: it ends by itself */
    struct whorl_future *future;
    struct whorl_task *child;
    struct whorl_task *waiter;
    unsigned ended_at;
    unsigned resumed_at;
    int got;
};

static int wait_here(void *arg)
{
    struct wait *const wait = arg;
    wait->ended_at = ticker.ticks; /* until something ends it */
    wait->got = wait->wait(wait);
    wait->resumed_at = ticker.ticks;
    return 0;
}

static int await_gate(void *arg)
{
    return whorl_future_await(arg, NULL);
}

static void end_wait(void *arg)
{
    struct wait *const wait = arg;
    wait->ended_at = ticker.ticks;
    wait->end(wait);
}

static void set_result(struct wait *wait)
{
    must(whorl_future_set_result(wait->future, NULL));
}

static void cancel_waiter(struct wait *wait)
{
    must(whorl_cancel(wait->waiter, NULL) ? 0 : -EINVAL);
}

static void pass(unsigned passes)
{
    while (passes-- > 0) {
        must(whorl_yield());
    }
}

static int run_wait(void *arg)
{
    struct wait *const wait = arg;
    start_ticker();
    wait->future = new_future();
    wait->child = start(await_gate, wait->future);
    pass(2);
    wait->waiter = start(wait_here, wait);
    pass(4);
    if (wait->end != NULL) {
        must(whorl_call_soon(end_wait, wait, NULL, NULL));
    }
    pass(10);
    (void)whorl_future_set_result(wait->future, NULL);
    must(finish(wait->waiter));
    (void)finish(wait->child);
    stop_ticker();
    whorl_future_unref(wait->future);
    return 0;
}

/* How many passes; checks what the wait returned. */
static unsigned passes_of(int (*body)(struct wait *), void (*end)(struct wait *), int got)
{
    struct wait wait = {.wait = body, .end = end, .got = UNSET};
    assert_int_equal(play(1, run_wait, &wait), 0);
    assert_int_equal(wait.got, got);
    return wait.resumed_at - wait.ended_at;
}

/* ---- waits ---- */

static int wait_future(struct wait *wait)
{
    return whorl_future_await(wait->future, NULL);
}

static int wait_child(struct wait *wait)
{
    return whorl_await(wait->child, NULL);
}

static int wait_gather(struct wait *wait)
{
    struct whorl_future *gather;
    struct whorl_future *const both[] = {wait->future, wait->future};
    must(whorl_gather_start(both, 2, 0, &gather));
    const int got = whorl_future_await(gather, NULL);
    whorl_future_unref(gather);
    return got;
}

static int wait_gather_of_child(struct wait *wait)
{
    return whorl_gather(&wait->child, 1, 0, NULL);
}

static int wait_done_future(struct wait *wait)
{
    struct whorl_future *const done = new_future();
    struct whorl_future *gather;
    (void)wait;
    must(whorl_future_set_result(done, NULL));
    must(whorl_future_await(done, NULL));
    must(whorl_gather_start(&done, 1, 0, &gather));
    const int got = whorl_future_await(gather, NULL);
    whorl_future_unref(gather);
    whorl_future_unref(done);
    return got;
}

static int wait_yield(struct wait *wait)
{
    (void)wait;
    return whorl_yield();
}

static int wait_sleep(struct wait *wait)
{
    (void)wait;
    return wait_for_ever();
}

static int wait_for_in_time(struct wait *wait)
{
    return whorl_future_wait_for(wait->future, WHORL_SECOND * 3600, NULL);
}

static int in_timeout_zero(struct wait *wait, int (*inner)(struct wait *))
{
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, 0));
    return whorl_timeout_exit(&timeout, inner(wait));
}

static int timeout_zero_over_future(struct wait *wait)
{
    return in_timeout_zero(wait, wait_future);
}

static int timeout_zero_over_yield(struct wait *wait)
{
    return in_timeout_zero(wait, wait_yield);
}

static int timeout_zero_over_sleep(struct wait *wait)
{
    return in_timeout_zero(wait, wait_sleep);
}

static int timeout_zero_over_gather(struct wait *wait)
{
    return in_timeout_zero(wait, wait_gather);
}

static int timeout_zero_over_nothing(struct wait *wait)
{
    struct whorl_timeout timeout;
    (void)wait;
    must(whorl_timeout_enter(&timeout, 0));
    must(whorl_timeout_exit(&timeout, 0));
    return whorl_timeout_expired(&timeout) ? -EINVAL : 0;
}

static void test_fut_11_a_future_wakes_who_awaits_it_in_the_next_pass(void **state)
{
    (void)state;
    assert_int_equal(passes_of(wait_future, set_result, 0), 1);
    assert_int_equal(passes_of(wait_for_in_time, set_result, 0), 1);
}

static void test_task_20_a_task_wakes_who_awaits_it_one_pass_after_its_end(void **state)
{
    /* One for the child's own wait, one for its end. */
    (void)state;
    assert_int_equal(passes_of(wait_child, set_result, 0), 2);
}

static void test_gath_a_gather_takes_one_pass_more_than_its_child(void **state)
{
    (void)state;
    assert_int_equal(passes_of(wait_gather, set_result, 0), 2);
    assert_int_equal(passes_of(wait_gather_of_child, set_result, 0), 3);
}

static void test_fut_12_what_is_done_is_awaited_without_a_pass(void **state)
{
    (void)state;
    assert_int_equal(passes_of(wait_done_future, NULL, 0), 0);
}

static void test_slp_1_sleep_zero_is_one_pass(void **state)
{
    (void)state;
    assert_int_equal(passes_of(wait_yield, NULL, 0), 1);
}

static void test_canc_4_a_cancel_wakes_in_the_next_pass(void **state)
{
    /* Of a gather over a future: the future's callback comes between. */
    (void)state;
    assert_int_equal(passes_of(wait_future, cancel_waiter, -ECANCELED), 1);
    assert_int_equal(passes_of(wait_sleep, cancel_waiter, -ECANCELED), 1);
    assert_int_equal(passes_of(wait_child, cancel_waiter, -ECANCELED), 2);
    assert_int_equal(passes_of(wait_gather, cancel_waiter, -ECANCELED), 2);
}

static void test_tmo_11_a_timeout_of_zero_is_called_soon(void **state)
{
    (void)state;
    assert_int_equal(passes_of(timeout_zero_over_yield, NULL, -ETIMEDOUT), 1);
    assert_int_equal(passes_of(timeout_zero_over_future, NULL, -ETIMEDOUT), 2);
    assert_int_equal(passes_of(timeout_zero_over_sleep, NULL, -ETIMEDOUT), 2);
    assert_int_equal(passes_of(timeout_zero_over_gather, NULL, -ETIMEDOUT), 3);
}

static void test_tmo_10_a_block_that_never_waits_ends_before_a_timeout_of_zero(void **state)
{
    (void)state;
    assert_int_equal(passes_of(timeout_zero_over_nothing, NULL, 0), 0);
}

/* ---- new tasks and done callbacks ---- */

struct begin {
    unsigned made_at;
    unsigned begun_at;
    unsigned called_at;
    unsigned late_at;
};

static int note_begin(void *arg)
{
    ((struct begin *)arg)->begun_at = ticker.ticks;
    return 0;
}

static void note_called(struct whorl_future *future, void *arg)
{
    (void)future;
    ((struct begin *)arg)->called_at = ticker.ticks;
}

static void note_late(struct whorl_future *future, void *arg)
{
    (void)future;
    ((struct begin *)arg)->late_at = ticker.ticks;
}

static int begin_and_end(void *arg)
{
    struct begin *const begin = arg;
    start_ticker();
    begin->made_at = ticker.ticks;
    struct whorl_task *const task = start(note_begin, begin);
    struct whorl_future *const future = whorl_task_future(task);
    must(whorl_future_add_done_callback(future, note_called, begin));
    pass(5);
    begin->late_at = UNSET;
    const unsigned registered_at = ticker.ticks;
    must(whorl_future_add_done_callback(future, note_late, begin));
    pass(5);
    begin->late_at -= registered_at;
    must(finish(task));
    stop_ticker();
    return 0;
}

static void test_task_1_and_13_begin_and_done_callbacks_take_one_pass_each(void **state)
{
    (void)state;
    struct begin begin = {0};
    assert_int_equal(play(1, begin_and_end, &begin), 0);
    assert_int_equal(begin.begun_at - begin.made_at, 1);
    assert_int_equal(begin.called_at - begin.begun_at, 1);
    assert_int_equal(begin.late_at, 1); /* FUT-8 */
}

/* ---- timers ---- */

struct timed {
    int (*wait)(struct timed *timed);
    int64_t deadline_ns;
    unsigned fired_at;
    unsigned resumed_at;
    struct whorl_future *future;
    int got;
};

static void note_fired(void *arg)
{
    ((struct timed *)arg)->fired_at = ticker.ticks;
}

/* A callback for the same time is armed before: both are due in one pass. */
static int wait_timed(void *arg)
{
    struct timed *const timed = arg;
    start_ticker();
    timed->future = new_future();
    timed->deadline_ns = whorl_after(WHORL_MILLISECOND);
    must(whorl_call_at(timed->deadline_ns, note_fired, timed, NULL, NULL));
    timed->got = timed->wait(timed);
    timed->resumed_at = ticker.ticks;
    stop_ticker();
    whorl_future_unref(timed->future);
    return 0;
}

static unsigned passes_after_timer(int (*body)(struct timed *), int got)
{
    struct timed timed = {.wait = body, .got = UNSET};
    assert_int_equal(play(1, wait_timed, &timed), 0);
    assert_int_equal(timed.got, got);
    return timed.resumed_at - timed.fired_at;
}

static int timed_sleep(struct timed *timed)
{
    return whorl_sleep_until(timed->deadline_ns);
}

static int timed_join(struct timed *timed)
{
    return whorl_future_join(timed->future, timed->deadline_ns, NULL);
}

static int timed_timeout(struct timed *timed)
{
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, timed->deadline_ns));
    return whorl_timeout_exit(&timeout, whorl_future_await(timed->future, NULL));
}

static int timed_timeout_over_gather(struct timed *timed)
{
    struct whorl_timeout timeout;
    struct whorl_future *gather;
    must(whorl_gather_start(&timed->future, 1, 0, &gather));
    must(whorl_timeout_enter(&timeout, timed->deadline_ns));
    const int got = whorl_timeout_exit(&timeout, whorl_future_await(gather, NULL));
    whorl_future_unref(gather);
    return got;
}

static int timed_timeout_over_task(struct timed *timed)
{
    struct whorl_timeout timeout;
    struct whorl_task *const child = start(await_gate, timed->future);
    must(whorl_timeout_enter(&timeout, timed->deadline_ns));
    return whorl_timeout_exit(&timeout, finish(child));
}

static void test_slp_a_sleep_ends_one_pass_after_its_timer(void **state)
{
    (void)state;
    assert_int_equal(passes_after_timer(timed_sleep, 0), 1);
    assert_int_equal(passes_after_timer(timed_join, -ETIMEDOUT), 1);
}

static void test_tmo_1_a_timeout_cancels_in_its_turn(void **state)
{
    (void)state;
    assert_int_equal(passes_after_timer(timed_timeout, -ETIMEDOUT), 1);
    assert_int_equal(passes_after_timer(timed_timeout_over_gather, -ETIMEDOUT), 2);
    assert_int_equal(passes_after_timer(timed_timeout_over_task, -ETIMEDOUT), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fut_11_a_future_wakes_who_awaits_it_in_the_next_pass),
        cmocka_unit_test(test_task_20_a_task_wakes_who_awaits_it_one_pass_after_its_end),
        cmocka_unit_test(test_gath_a_gather_takes_one_pass_more_than_its_child),
        cmocka_unit_test(test_fut_12_what_is_done_is_awaited_without_a_pass),
        cmocka_unit_test(test_slp_1_sleep_zero_is_one_pass),
        cmocka_unit_test(test_canc_4_a_cancel_wakes_in_the_next_pass),
        cmocka_unit_test(test_tmo_11_a_timeout_of_zero_is_called_soon),
        cmocka_unit_test(test_tmo_10_a_block_that_never_waits_ends_before_a_timeout_of_zero),
        cmocka_unit_test(
            test_task_1_and_13_begin_and_done_callbacks_take_one_pass_each),
        cmocka_unit_test(test_slp_a_sleep_ends_one_pass_after_its_timer),
        cmocka_unit_test(test_tmo_1_a_timeout_cancels_in_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
