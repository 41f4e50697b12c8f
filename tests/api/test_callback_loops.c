/*
 * test_callback_loops.c - what callbacks, timers and runtimes promise at any number of loops: the
 * rows of test_callback.c that know no order of passes, at one loop, two and four.
 */
#include "support/logbook.h"
#include "support/play.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static uint32_t called; /* A: how often count_call was */
static uint32_t freed;  /* A: as called, count_free */

static void count_call(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&called, 1);
}

static void count_free(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&freed, 1);
}

static void count_done(struct whorl_future *future, void *arg)
{
    (void)future;
    count_call(arg);
}

static unsigned calls(void)
{
    return whorl__load_acquire_u32(&called); /* acquire: for the test */
}

static unsigned frees(void)
{
    return whorl__load_acquire_u32(&freed); /* acquire: for the test */
}

/* Plays body at one loop, two, and four, each time from nothing; check sees what it wrote. */
static void play_at_each(whorl_body *body, void (*check)(const int *seen))
{
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int seen[8] = {0};
        whorl__store_release_u32(&called, 0); /* for the test, as all here */
        whorl__store_release_u32(&freed, 0);  /* as above */
        assert_int_equal(play(loops, body, seen), 0);
        check(seen);
    }
}

/* Until so many calls were made. */
static void await_calls(unsigned count)
{
    const int64_t end_ns = whorl_after(20 * WHORL_SECOND);
    while (calls() < count && whorl_now() < end_ns) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    must(calls() >= count ? 0 : -ETIMEDOUT);
}

/* ---- handles ---- */

static const struct whorl_call_attr freeing = {.arg_free = count_free};

static int cancel_one_early_one_late(void *arg)
{
    int *const seen = arg;
    struct whorl_handle *early;
    struct whorl_handle *late;
    must(whorl_call_soon(count_call, NULL, &freeing, &early));
    seen[0] = whorl_handle_cancel(early); /* the caller has its loop */
    seen[1] = (int)frees();
    seen[2] = whorl_handle_cancel(early);
    must(whorl_call_soon(count_call, NULL, &freeing, &late));
    await_calls(1);
    seen[3] = whorl_handle_cancel(late);
    seen[4] = whorl_handle_cancelled(early) * 2 + whorl_handle_cancelled(late);
    whorl_handle_unref(early);
    whorl_handle_unref(late);
    return 0;
}

static void check_handles(const int *seen)
{
    assert_int_equal(seen[0], true);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[2], false);
    assert_int_equal(seen[3], false);
    assert_int_equal(seen[4], 2);
    assert_int_equal(calls(), 1);
    assert_int_equal(frees(), 2);
}

static void test_loop_5_and_6_cancel_before_its_turn_or_in_vain(void **state)
{
    (void)state;
    play_at_each(cancel_one_early_one_late, check_handles);
}

/* ---- timers ---- */

static int arm_three(void *arg)
{
    const int64_t deadline_ns = whorl_after(2 * WHORL_MILLISECOND);
    struct whorl_handle *third;
    (void)arg;
    must(whorl_call_at(deadline_ns, count_call, NULL, NULL, NULL));
    must(whorl_call_at(deadline_ns, count_call, NULL, NULL, NULL));
    must(whorl_call_later(0, count_call, NULL, &freeing, &third));
    must(whorl_handle_cancel(third) ? 0 : -EPROTO);
    whorl_handle_unref(third);
    await_calls(2);
    must(whorl_sleep_until(deadline_ns + 5 * WHORL_MILLISECOND));
    return 0;
}

static void check_three(const int *seen)
{
    (void)seen;
    assert_int_equal(calls(), 2);
    assert_int_equal(frees(), 1);
}

static void test_time_4_and_6_equal_times_both_fire_a_cancelled_one_never(void **state)
{
    (void)state;
    play_at_each(arm_three, check_three);
}

#define TINY 200

/* Loop 0 alone: what the others do meanwhile is theirs. */
static int sleep_tiny(void *arg)
{
    int *const seen = arg;
    struct whorl_stats before;
    struct whorl_stats after;
    must(whorl_stats(0, &before));
    for (int i = 0; i < TINY; i++) {
        must(whorl_sleep(1 + i % 2 * 100));
    }
    must(whorl_stats(0, &after));
    seen[0] = (int)(after.turns - before.turns);
    must(whorl_stats(0, &before));
    must(whorl_sleep(30 * WHORL_MILLISECOND));
    must(whorl_stats(0, &after));
    seen[1] = (int)(after.turns - before.turns);
    seen[2] = (int)(after.sleeps - before.sleeps);
    return 0;
}

static int sleep_tiny_on_loop_0(void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(0)};
    struct whorl_task *task;
    must(whorl_spawn(sleep_tiny, arg, &attr, &task));
    return finish(task);
}

static void check_tiny(const int *seen)
{
    assert_in_range(seen[0], 1, 10 * TINY);
    assert_in_range(seen[1], 1, 50); /* a loop that spins turns thousands of times in 30 ms */
    assert_in_range(seen[2], 1, 50);
}

static void test_time_8_tiny_sleeps_cost_a_few_turns_each(void **state)
{
    (void)state;
    play_at_each(sleep_tiny_on_loop_0, check_tiny);
}

static int yield_often(void *arg)
{
    int *const seen = arg;
    struct whorl_stats before;
    struct whorl_stats after;
    struct whorl_handle *handle;
    must(whorl_stats(0, &before));
    for (int i = 0; i < TINY; i++) {
        must(whorl_yield());
    }
    must(whorl_stats(0, &after));
    seen[0] = (int)(after.sleeps - before.sleeps);
    must(whorl_call_later(WHORL_MILLISECOND, count_call, NULL, NULL, &handle));
    must(whorl_handle_cancel(handle) ? 0 : -EPROTO);
    whorl_handle_unref(handle);
    const int64_t deadline_ns = whorl_after(20 * WHORL_MILLISECOND);
    must(whorl_sleep_until(deadline_ns));
    seen[1] = whorl_now() >= deadline_ns;
    must(whorl_stats(0, &before));
    seen[2] = (int)(before.sleeps - after.sleeps);
    return 0;
}

static int yield_often_on_loop_0(void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(0)};
    struct whorl_task *task;
    must(whorl_spawn(yield_often, arg, &attr, &task));
    return finish(task);
}

static void check_sleeps(const int *seen)
{
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], true);
    assert_true(seen[2] > 0);
}

static void test_loop_4_poll_does_not_block_while_something_is_ready(void **state)
{
    (void)state;
    play_at_each(yield_often_on_loop_0, check_sleeps);
}

/* ---- done callbacks ---- */

/* A task that never gives way: what it posts here comes when it waits, and not before. */
static int register_done(void *arg)
{
    int *const seen = arg;
    struct whorl_future *const done = new_future();
    struct whorl_future *const pending = new_future();
    must(whorl_future_set_result(done, NULL));
    must(whorl_future_add_done_callback(done, count_done, NULL));
    seen[0] = (int)calls();
    must(whorl_future_add_done_callback(pending, count_done, seen));
    must(whorl_future_add_done_callback(pending, count_done, seen));
    must(whorl_future_add_done_callback(pending, count_done, NULL));
    seen[1] = whorl_future_remove_done_callback(pending, count_done, seen);
    seen[2] = whorl_future_remove_done_callback(pending, count_done, seen);
    must(whorl_future_set_result(pending, NULL));
    seen[3] = (int)calls();
    seen[4] = whorl_future_remove_done_callback(pending, count_done, NULL);
    await_calls(2);
    whorl_future_unref(done);
    whorl_future_unref(pending);
    return 0;
}

static void check_registered(const int *seen)
{
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 2);
    assert_int_equal(seen[2], 0);
    assert_int_equal(seen[3], 0); /* posted, not called */
    assert_int_equal(seen[4], 0);
    assert_int_equal(calls(), 2);
}

static void test_fut_8_and_9_done_callbacks_come_later_and_can_be_removed(void **state)
{
    (void)state;
    play_at_each(register_done, check_registered);
}

static void add_and_remove(struct whorl_future *future, void *arg)
{
    (void)whorl_future_remove_done_callback(future, count_done, NULL); /* on its way */
    must(whorl_future_add_done_callback(future, count_done, arg));
    count_call(NULL);
}

static int change_the_list(void *arg)
{
    struct whorl_future *const future = new_future();
    must(whorl_future_add_done_callback(future, add_and_remove, arg));
    must(whorl_future_add_done_callback(future, count_done, NULL));
    must(whorl_future_set_result(future, NULL));
    await_calls(3);
    settle();
    whorl_future_unref(future);
    return 0;
}

static void check_changed(const int *seen)
{
    (void)seen;
    assert_int_equal(calls(), 3);
}

static void test_fut_10_callbacks_that_change_the_list_change_no_batch(void **state)
{
    (void)state;
    play_at_each(change_the_list, check_changed);
}

struct last_step {
    uint32_t returned; /* A: the body is over, all but its return */
    int error;         /* of the task, as the callback sees it */
    bool in_task;      /* the callback has a current task */
    bool early;        /* it came before the body was over */
};

static int be_over(void *arg)
{
    struct last_step *const last = arg;
    must(whorl_yield());
    whorl__store_release_u32(&last->returned, 1); /* pairs look_at_end */
    return -EXDEV;
}

static void look_at_end(struct whorl_future *future, void *arg)
{
    struct last_step *const last = arg;
    last->early = whorl__load_acquire_u32(&last->returned) == 0; /* acquire, pairs be_over */
    last->in_task = whorl_task_current() != NULL;
    last->error = whorl_future_result(future, NULL);
    count_call(NULL);
}

static int register_on_task(void *arg)
{
    struct last_step last = {.error = UNSET};
    struct whorl_task *const task = start(be_over, &last);
    int *const seen = arg;
    must(whorl_future_add_done_callback(whorl_task_future(task), look_at_end, &last));
    await_calls(1);
    seen[0] = finish(task);
    seen[1] = last.error;
    seen[2] = last.in_task * 2 + last.early;
    return 0;
}

static void check_task(const int *seen)
{
    assert_int_equal(seen[0], -EXDEV);
    assert_int_equal(seen[1], -EXDEV);
    assert_int_equal(seen[2], 0);
}

static void test_task_13_done_callback_of_a_task_is_not_in_its_last_step(void **state)
{
    (void)state;
    play_at_each(register_on_task, check_task);
}

static int drop_a_pending_one(void *arg)
{
    (void)arg;
    whorl_future_unref(new_future());
    settle();
    return 0;
}

static void test_fut_17_pending_future_that_goes_is_not_reported(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct logbook logbook = {.lines = 0};
        const struct whorl_options options = {
            .loops = loops, .no_pin = 1, .log = logbook_write, .log_arg = &logbook};
        assert_int_equal(whorl_run(drop_a_pending_one, NULL, &options), 0);
        assert_string_equal(logbook.text, "");
    }
}

/* ---- callbacks belong to their loop ---- */

#define POSTS 50

struct posted {
    int loop;
    int count; /* of that loop; its callbacks only */
    bool astray;
    bool out_of_order;
};

struct one_post {
    struct posted *posted;
    int number;
};

static void note_post(void *arg)
{
    const struct one_post *const post = arg;
    post->posted->astray |= whorl_loop_current() != post->posted->loop;
    post->posted->out_of_order |= post->posted->count++ != post->number;
    count_call(NULL);
}

/* Each loop gets its posts from here, where nobody gives way meanwhile; other loops are idle. */
static int post_to_each(void *arg)
{
    int *const seen = arg;
    static struct posted posted[LOOPS_MOST];
    static struct one_post posts[LOOPS_MOST][POSTS];
    const int loops = whorl_loop_count();
    for (int k = 0; k < loops; k++) {
        posted[k] = (struct posted){.loop = k};
        const struct whorl_call_attr attr = {.pin = WHORL_PIN(k)};
        for (int i = 0; i < POSTS; i++) {
            posts[k][i] = (struct one_post){&posted[k], i};
            must(whorl_call_soon(note_post, &posts[k][i], &attr, NULL));
        }
    }
    await_calls((unsigned)(loops * POSTS));
    for (int k = 0; k < loops; k++) {
        seen[0] += posted[k].astray;
        seen[1] += posted[k].out_of_order;
        seen[2] += posted[k].count;
    }
    seen[3] = loops;
    return 0;
}

static void check_posts(const int *seen)
{
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 0);
    assert_int_equal(seen[2], seen[3] * POSTS);
}

static void test_mt_5_callbacks_stay_on_their_loop_and_in_order(void **state)
{
    (void)state;
    play_at_each(post_to_each, check_posts);
}

/* ---- the context of a callback ---- */

static const struct whorl_local local = {.initial = NULL};

static void take_local(void *arg)
{
    *(void **)arg = whorl_local_get(&local);
    must(whorl_local_set(&local, "the callback's", NULL));
    count_call(NULL);
}

static void take_local_done(struct whorl_future *future, void *arg)
{
    (void)future;
    take_local(arg);
}

static int post_between_sets(void *arg)
{
    int *const seen = arg;
    void *posted = NULL;
    void *done = NULL;
    struct whorl_future *const future = new_future();
    must(whorl_local_set(&local, "before", NULL));
    must(whorl_call_soon(take_local, &posted, NULL, NULL));
    must(whorl_future_add_done_callback(future, take_local_done, &done));
    must(whorl_local_set(&local, "after", NULL));
    must(whorl_future_set_result(future, NULL));
    await_calls(2);
    seen[0] = strcmp(posted, "before");
    seen[1] = strcmp(done, "before");
    seen[2] = strcmp(whorl_local_get(&local), "after");
    whorl_future_unref(future);
    return 0;
}

static void check_locals(const int *seen)
{
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[1], 0);
    assert_int_equal(seen[2], 0);
}

static void test_ctx_3_and_4_callbacks_have_a_copy_of_when_they_were_posted(void **state)
{
    (void)state;
    play_at_each(post_between_sets, check_locals);
}

/* ---- runtimes ---- */

static struct whorl_runtime *start_runtime(int loops)
{
    struct whorl_runtime *runtime = NULL;
    const struct whorl_options options = {.loops = loops, .no_pin = 1};
    tell_loops(loops);
    must(whorl_runtime_new(&options, &runtime));
    return runtime;
}

static struct whorl_task *left_behind;

static int await_gate(void *gate)
{
    return whorl_future_await(gate, NULL);
}

static int leave_one_behind(void *gate)
{
    left_behind = start(await_gate, gate);
    return -EXDEV;
}

static int finish_it(void *gate)
{
    must(whorl_future_set_result(gate, NULL));
    return finish(left_behind);
}

static void test_loop_12_run_tells_its_main_and_loses_no_other_task(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const runtime = start_runtime(loops);
        struct whorl_future *const gate = new_future();
        assert_int_equal(whorl_runtime_run(runtime, leave_one_behind, gate), -EXDEV);
        assert_false(whorl_task_done(left_behind));
        assert_int_equal(whorl_runtime_run(runtime, finish_it, gate), 0);
        assert_int_equal(whorl_runtime_free(runtime), 0);
        whorl_future_unref(gate);
    }
}

struct ends {
    struct whorl_runtime *runtime;
    int closed;
    int freed;
};

static int end_it_from_inside(void *arg)
{
    struct ends *const ends = arg;
    ends->closed = whorl_runtime_close(ends->runtime);
    ends->freed = whorl_runtime_free(ends->runtime);
    return whorl_yield();
}

static void test_loop_16_runtime_is_not_freed_from_inside(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct ends ends = {.runtime = start_runtime(loops)};
        assert_int_equal(whorl_runtime_run(ends.runtime, end_it_from_inside, &ends), 0);
        assert_int_equal(ends.closed, -EBUSY);
        assert_int_equal(ends.freed, -EBUSY);
        assert_int_equal(whorl_runtime_close(ends.runtime), 0);
        assert_int_equal(whorl_runtime_close(ends.runtime), 0);
        assert_int_equal(whorl_runtime_free(ends.runtime), 0);
        assert_int_equal(whorl_runtime_free(NULL), 0);
    }
}

static int be_run(void *arg)
{
    count_call(arg);
    return 0;
}

static void test_loop_24_task_given_while_no_main_runs_begins(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const runtime = start_runtime(loops);
        struct whorl_task *task = NULL;
        whorl__store_release_u32(&called, 0); /* for the test */
        assert_int_equal(whorl_runtime_spawn(runtime, be_run, NULL, NULL, &task), 0);
        assert_int_equal(whorl_await(task, NULL), 0);
        assert_int_equal(calls(), 1);
        whorl_task_unref(task);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static int keep_self(void *arg)
{
    *(struct whorl_task **)arg = whorl_task_ref(whorl_task_current());
    return 0;
}

static void test_loop_17_ended_runtime_takes_nothing(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const runtime = start_runtime(loops);
        struct whorl_task *ended = NULL;
        assert_int_equal(whorl_runtime_run(runtime, keep_self, &ended), 0);
        assert_int_equal(whorl_runtime_close(runtime), 0);
        assert_int_equal(whorl_runtime_run(runtime, be_run, NULL), -ESHUTDOWN);
        assert_int_equal(whorl_runtime_spawn(runtime, be_run, NULL, NULL, NULL), -ESHUTDOWN);
        assert_int_equal(whorl_spawn_remote(ended, be_run, NULL, NULL, NULL), -ECANCELED);
        assert_int_equal(whorl_call_soon_threadsafe(ended, count_call, NULL, NULL, NULL),
                         -ECANCELED);
        whorl_task_unref(ended);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_5_and_6_cancel_before_its_turn_or_in_vain),
        cmocka_unit_test(test_time_4_and_6_equal_times_both_fire_a_cancelled_one_never),
        cmocka_unit_test(test_time_8_tiny_sleeps_cost_a_few_turns_each),
        cmocka_unit_test(test_loop_4_poll_does_not_block_while_something_is_ready),
        cmocka_unit_test(test_fut_8_and_9_done_callbacks_come_later_and_can_be_removed),
        cmocka_unit_test(test_fut_10_callbacks_that_change_the_list_change_no_batch),
        cmocka_unit_test(test_task_13_done_callback_of_a_task_is_not_in_its_last_step),
        cmocka_unit_test(test_fut_17_pending_future_that_goes_is_not_reported),
        cmocka_unit_test(test_mt_5_callbacks_stay_on_their_loop_and_in_order),
        cmocka_unit_test(test_ctx_3_and_4_callbacks_have_a_copy_of_when_they_were_posted),
        cmocka_unit_test(test_loop_12_run_tells_its_main_and_loses_no_other_task),
        cmocka_unit_test(test_loop_16_runtime_is_not_freed_from_inside),
        cmocka_unit_test(test_loop_17_ended_runtime_takes_nothing),
        cmocka_unit_test(test_loop_24_task_given_while_no_main_runs_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
