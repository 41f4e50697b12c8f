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
 * A wait that is made of several costs their sum. The waits for many have a table of their own
 * below, `rows`; passes.py measures each of its waits in asyncio, and test_passes_of_cpython.sh
 * compares.
 */
#include "support/play.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

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
    struct whorl_group *group;
    struct whorl_executor *executor;
    _Atomic bool go; /* for the function on a thread */
    bool resumed;    /* told by the wait itself */
    unsigned ended_at;
    unsigned resumed_at;
    int got;
};

static void resume_here(struct wait *wait)
{
    if (!wait->resumed) {
        wait->resumed = true;
        wait->resumed_at = ticker.ticks;
    }
}

static int wait_here(void *arg)
{
    struct wait *const wait = arg;
    wait->ended_at = ticker.ticks; /* until something ends it */
    wait->got = wait->wait(wait);
    resume_here(wait);
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

static void set_error(struct wait *wait)
{
    must(whorl_future_set_error(wait->future, -EIO));
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

/* ---- waits for many ---- */

static void cancel_group(struct wait *wait)
{
    whorl_group_cancel(wait->group);
}

static struct whorl_future *new_done(void)
{
    struct whorl_future *const done = new_future();
    must(whorl_future_set_result(done, NULL));
    return done;
}

/* Of `future` and one that is never done. */
static int wait_for_two(struct wait *wait, enum whorl_return_when when)
{
    struct whorl_future *const never = new_future();
    struct whorl_future *const both[] = {wait->future, never};
    const int got = whorl_wait(both, 2, when, WHORL_NEVER, NULL);
    whorl_future_unref(never);
    return got;
}

static int wait_all(struct wait *wait)
{
    return whorl_wait(&wait->future, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL);
}

static int wait_first(struct wait *wait)
{
    return wait_for_two(wait, WHORL_FIRST_COMPLETED);
}

static int wait_exception(struct wait *wait)
{
    return wait_for_two(wait, WHORL_FIRST_EXCEPTION);
}

static int wait_all_of_child(struct wait *wait)
{
    struct whorl_future *const child = whorl_task_future(wait->child);
    return whorl_wait(&child, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL);
}

static int wait_all_of_done(struct wait *wait)
{
    struct whorl_future *const done = new_done();
    (void)wait;
    const int got = whorl_wait(&done, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL);
    whorl_future_unref(done);
    return got;
}

static int wait_without_time(struct wait *wait)
{
    return whorl_wait(&wait->future, 1, WHORL_ALL_COMPLETED, 0, NULL);
}

static int first_of(struct wait *wait)
{
    size_t index;
    return whorl_first_of(&wait->future, 1, WHORL_NEVER, &index);
}

static int wait_for_child(struct wait *wait)
{
    return whorl_wait_for(wait->child, WHORL_SECOND * 3600, NULL);
}

static int wait_for_child_without_time(struct wait *wait)
{
    return whorl_wait_for(wait->child, 0, NULL);
}

static int wait_for_without_time(struct wait *wait)
{
    return whorl_future_wait_for(wait->future, 0, NULL);
}

static int wait_for_done(struct wait *wait)
{
    struct whorl_future *const done = new_done();
    (void)wait;
    const int got = whorl_future_wait_for(done, 0, NULL);
    whorl_future_unref(done);
    return got;
}

static int await_shield(struct whorl_future *inner)
{
    struct whorl_future *shield;
    must(whorl_shield(inner, &shield));
    const int got = whorl_future_await(shield, NULL);
    whorl_future_unref(shield);
    return got;
}

static int shield(struct wait *wait)
{
    return await_shield(wait->future);
}

static int shield_of_child(struct wait *wait)
{
    return await_shield(whorl_task_future(wait->child));
}

static int shield_of_done(struct wait *wait)
{
    struct whorl_future *const done = new_done();
    (void)wait;
    const int got = await_shield(done);
    whorl_future_unref(done);
    return got;
}

/* ---- groups ---- */

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int group_of(whorl_body *body, void *arg)
{
    struct whorl_group group;
    must(whorl_group_begin(&group));
    if (body != NULL) {
        must(whorl_group_spawn(&group, body, arg, NULL, NULL));
    }
    return whorl_group_end(&group, 0, NULL);
}

static int group_of_child(struct wait *wait)
{
    return group_of(await_gate, wait->future);
}

static int group_of_new_child(struct wait *wait)
{
    (void)wait;
    return group_of(end_at_once, NULL);
}

static int group_of_none(struct wait *wait)
{
    (void)wait;
    return group_of(NULL, NULL);
}

static int group_of_ended(struct wait *wait)
{
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, end_at_once, NULL, NULL, NULL));
    pass(4);
    wait->ended_at = ticker.ticks;
    return whorl_group_end(&group, 0, NULL);
}

/* The block waits, and is cancelled there. */
static int group_with_block(struct wait *wait)
{
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, await_gate, wait->future, NULL, NULL));
    wait->group = &group;
    return whorl_group_end(&group, wait_for_ever(), NULL);
}

/* ---- iterations ---- */

static int next_until(struct whorl_future *const *futures, size_t count, int64_t deadline_ns)
{
    struct whorl_completed *completed;
    size_t index;
    must(whorl_as_completed(futures, count, deadline_ns, &completed));
    const int got = whorl_completed_next(completed, &index);
    whorl_completed_free(completed);
    return got;
}

static int next_of(struct whorl_future *const *futures, size_t count)
{
    return next_until(futures, count, WHORL_NEVER);
}

static int each_without_time(struct wait *wait)
{
    return next_until(&wait->future, 1, whorl_now());
}

static int each(struct wait *wait)
{
    struct whorl_future *const never = new_future();
    const int got = next_of((struct whorl_future *const[]){wait->future, never}, 2);
    whorl_future_unref(never);
    return got;
}

static int each_of_child(struct wait *wait)
{
    return next_of((struct whorl_future *const[]){whorl_task_future(wait->child)}, 1);
}

static int each_of_done(struct wait *wait)
{
    struct whorl_future *const done = new_done();
    (void)wait;
    const int got = next_of(&done, 1);
    whorl_future_unref(done);
    return got;
}

/* ---- timeouts ---- */

static int timeout_rescheduled(struct wait *wait)
{
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_timeout_reschedule(&timeout, 0));
    return whorl_timeout_exit(&timeout, wait_future(wait));
}

static int timeout_inner(struct wait *wait)
{
    struct whorl_timeout outer;
    must(whorl_timeout_enter(&outer, WHORL_NEVER));
    return whorl_timeout_exit(&outer, in_timeout_zero(wait, wait_future));
}

/* ---- races ---- */

static int race(struct wait *wait, size_t count)
{
    struct whorl_attempt attempts[] = {{.body = await_gate, .arg = wait->future},
                                       {.body = end_at_once}};
    size_t winner;
    return whorl_staggered_race(attempts, count, WHORL_NEVER, &winner);
}

static int race_of_one(struct wait *wait)
{
    return race(wait, 1);
}

static int race_of_two(struct wait *wait)
{
    return race(wait, 2);
}

/* ---- generators ---- */

static int await_and_yield(void *arg)
{
    const int error = whorl_future_await(arg, NULL);
    return error != 0 ? error : whorl_generator_yield(NULL, NULL);
}

static int yield_twice(void *arg)
{
    (void)arg;
    const int error = whorl_generator_yield(NULL, NULL);
    return error != 0 ? error : whorl_generator_yield(NULL, NULL);
}

static int yield_and_clean_up(void *arg)
{
    const int error = whorl_generator_yield(NULL, NULL);
    resume_here(arg);
    return error;
}

static int take_item(whorl_body *body, void *arg, struct whorl_generator **ret_generator)
{
    must(whorl_generator_new(body, arg, NULL, ret_generator));
    return whorl_generator_next(*ret_generator, NULL);
}

static int first_item(struct wait *wait, whorl_body *body, void *arg)
{
    struct whorl_generator *generator;
    const int got = take_item(body, arg, &generator);
    resume_here(wait);
    (void)whorl_generator_close(generator);
    whorl_generator_unref(generator);
    return got;
}

static int item_after_wait(struct wait *wait)
{
    return first_item(wait, await_and_yield, wait->future);
}

static int item_at_once(struct wait *wait)
{
    return first_item(wait, yield_twice, NULL);
}

static int generator_closed(struct wait *wait)
{
    struct whorl_generator *generator;
    (void)wait;
    must(take_item(yield_twice, NULL, &generator));
    const int got = whorl_generator_close(generator);
    whorl_generator_unref(generator);
    return got;
}

/* Until the body, which nobody has any more, can clean up. */
static int generator_dropped(struct wait *wait)
{
    struct whorl_generator *generator;
    must(take_item(yield_and_clean_up, wait, &generator));
    whorl_generator_unref(generator);
    pass(8);
    return 0;
}

static int generators_closed(struct wait *wait)
{
    struct whorl_generator *generator;
    must(take_item(yield_twice, NULL, &generator));
    const int got = whorl_generators_close();
    resume_here(wait);
    whorl_generator_unref(generator);
    return got;
}

/* ---- the end of a function on a thread ---- */

static int run_until_told(void *arg)
{
    struct wait *const wait = arg;
    while (!wait->go) {
        sched_yield();
    }
    return 0;
}

/* Keeps the loop's thread until the function's end was posted: its pass begins behind this one. */
static void let_it_end(void *arg)
{
    struct wait *const wait = arg;
    struct whorl_executor_stats stats;
    wait->ended_at = ticker.ticks;
    wait->go = true;
    do {
        sched_yield();
        must(whorl_executor_stats(wait->executor, &stats));
    } while (stats.done == 0);
}

static void let_it_end_and_cancel(void *arg)
{
    let_it_end(arg);
    cancel_waiter(arg);
}

static int to_thread_until(struct wait *wait, whorl_callback *end)
{
    must(whorl_executor_new(NULL, &wait->executor));
    must(whorl_executor_set_default(wait->executor));
    must(whorl_call_later(0, end, wait, NULL, NULL));
    return whorl_to_thread(run_until_told, wait, NULL, NULL);
}

static int to_thread(struct wait *wait)
{
    return to_thread_until(wait, let_it_end);
}

static int to_thread_cancelled(struct wait *wait)
{
    return to_thread_until(wait, let_it_end_and_cancel);
}

/* ---- the table ---- */

static const struct row {
    const char *name;
    int (*wait)(struct wait *wait);
    void (*end)(struct wait *wait); /* NULL: it ends by itself */
    int got;
    unsigned passes;
    unsigned in_asyncio;
} rows[] = {
    {"wait", wait_all, set_result, 1, 2, 2}, /* the future's callback, then the waiter's wakeup */
    {"wait, the first", wait_first, set_result, 1, 2, 2},
    {"wait, the first that fails", wait_exception, set_error, 1, 2, 2},
    {"wait for a child", wait_all_of_child, set_result, 1, 3, 3},
    {"wait for what is done", wait_all_of_done, NULL, 1, 2, 2},
    {"wait without time", wait_without_time, NULL, 0, 2, 2}, /* a timer, which is due */
    {"wait, cancelled", wait_all, cancel_waiter, -ECANCELED, 1, 1},
    {"wait_for a child", wait_for_child, set_result, 0, 2, 2},
    {"wait_for, cancelled", wait_for_child, cancel_waiter, -ECANCELED, 2, 2},
    {"wait_for without time", wait_for_without_time, NULL, -ETIMEDOUT, 2, 2},
    {"wait_for a child without time", wait_for_child_without_time, NULL, -ETIMEDOUT, 3, 3},
    {"wait_for what is done", wait_for_done, NULL, 0, 0, 0},
    {"first_of", first_of, set_result, 0, 2, 2},
    {"first_of, cancelled", first_of, cancel_waiter, -ECANCELED, 1, 1},
    {"shield", shield, set_result, 0, 2, 2}, /* the inner one's callback, then the wakeup */
    {"shield of a child", shield_of_child, set_result, 0, 3, 3},
    {"shield of what is done", shield_of_done, NULL, 0, 0, 0},
    {"shield, cancelled", shield, cancel_waiter, -ECANCELED, 1, 1},
    {"group of a child", group_of_child, set_result, 0, 3, 3}, /* its wakeup, its callback, ours */
    {"group of a child that fails", group_of_child, set_error, -EIO, 3, 3},
    {"group of a new child", group_of_new_child, NULL, 0, 3, 3},
    {"group of none", group_of_none, NULL, 0, 0, 0},
    {"group of one that has ended", group_of_ended, NULL, 0, 0, 0},
    {"group, cancelled", group_of_child, cancel_waiter, -ECANCELED, 4, 4},
    {"group, its block cancelled", group_with_block, cancel_waiter, -ECANCELED, 4, 4},
    {"group, its block and a failure", group_with_block, set_error, -EIO, 3, 3},
    {"group, group_cancel", group_with_block, cancel_group, 0, 3, 3},
    {"as_completed", each, set_result, 0, 2, 2},
    {"as_completed of a child", each_of_child, set_result, 0, 3, 3},
    {"as_completed of what is done", each_of_done, NULL, 0, 2, 2},
    {"as_completed, cancelled", each, cancel_waiter, -ECANCELED, 1, 1},
    {"as_completed without time", each_without_time, NULL, -ETIMEDOUT, 2, 2},
    {"timeout, rescheduled to the past", timeout_rescheduled, NULL, -ETIMEDOUT, 2, 2},
    {"timeout, an inner one", timeout_inner, NULL, -ETIMEDOUT, 2, 2},
    /* An attempt of asyncio's waits inside its own task for the one before it to fail, and one that
     * is never needed is cancelled; here the caller starts each when it is its turn. */
    {"race of one", race_of_one, set_result, 0, 3, 4},
    {"race of one that fails", race_of_one, set_error, -EIO, 3, 4},
    {"race, the next one", race_of_two, set_error, 0, 6, 5},
    {"race, cancelled", race_of_two, cancel_waiter, -ECANCELED, 4, 4},
    {"generator, an item", item_after_wait, set_result, 0, 1, 1},
    {"generator, cancelled", item_after_wait, cancel_waiter, -ECANCELED, 1, 1},
    {"generator, an item at once", item_at_once, NULL, 0, 0, 0},
    {"generator, closed", generator_closed, NULL, 0, 0, 0},
    {"generator, dropped", generator_dropped, NULL, 0, 2, 2},
    {"generators, all closed", generators_closed, NULL, 0, 3, 3},
    {"to_thread", to_thread, NULL, 0, 2, 2}, /* the result is posted, then the wakeup */
    {"to_thread, cancelled at its end", to_thread_cancelled, NULL, -ECANCELED, 1, 1},
};

#define ROWS (sizeof rows / sizeof rows[0])

static void test_row_takes_as_many_passes_as_in_asyncio(void **state)
{
    const struct row *const row = *state;
    assert_int_equal(passes_of(row->wait, row->end, row->got), row->passes);
}

static struct CMUnitTest test_of_row(const struct row *row)
{
    return (struct CMUnitTest){.name = row->name,
                               .test_func = test_row_takes_as_many_passes_as_in_asyncio,
                               .initial_state = (void *)(uintptr_t)row};
}

/* For test_passes_of_cpython.sh: what each row is said to take in asyncio. */
static int print_asyncio(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        printf("%s: %u\n", rows[i].name, rows[i].in_asyncio);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--asyncio") == 0) {
        return print_asyncio();
    }
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
    struct CMUnitTest row_tests[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        row_tests[i] = test_of_row(&rows[i]);
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(row_tests, NULL, NULL);
}
