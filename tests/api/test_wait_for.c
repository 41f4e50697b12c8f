/*
 * wait_for: an await with a time limit; rows WF of asyncio's semantics.
 */
#include "support/play.h"

/* ---- a child and who waits for it ---- */

struct wait {
    struct sitter child;
    whorl_body *body; /* of the child; NULL: sit */
    int64_t timeout_ns;
    int error;
    void *value;
    bool child_done; /* when wait_for returned */
    bool child_cancelled;
    int cancelling;
    int then;
    int64_t took_ns;
    bool own_task; /* what ran under the limit was in the caller's task */
};

static void wait_for_task(struct wait *wait, struct whorl_task *task)
{
    const int64_t start_ns = whorl_now();
    wait->error = whorl_wait_for(task, wait->timeout_ns, &wait->value);
    wait->took_ns = whorl_now() - start_ns;
    wait->child_done = whorl_task_done(task);
    wait->child_cancelled = whorl_task_cancelled(task);
    wait->cancelling = whorl_task_cancelling(whorl_task_current());
    wait->then = whorl_yield();
}

/* The child cannot begin before its waiter waits. */
static int wait_for_sitter(void *arg)
{
    struct wait *const wait = arg;
    struct whorl_task *const task = start_here(sit, &wait->child);
    wait_for_task(wait, task);
    whorl_task_unref(task);
    return 0;
}

/* The same once the child has begun. */
static int wait_for_begun(void *arg)
{
    struct wait *const wait = arg;
    wait->child.begun = new_future();
    struct whorl_task *const task = start(wait->body != NULL ? wait->body : sit, &wait->child);
    must(whorl_future_await(wait->child.begun, NULL));
    wait_for_task(wait, task);
    whorl_task_unref(task);
    whorl_future_unref(wait->child.begun);
    return 0;
}

static struct wait play_wait(int loops, whorl_body *body, int64_t timeout_ns, int answer)
{
    struct wait wait = {.timeout_ns = timeout_ns, .error = UNSET, .then = UNSET};
    wait.child = (struct sitter){.answer = answer, .value = &wait, .got = UNSET};
    assert_int_equal(play(loops, body, &wait), 0);
    assert_true(wait.value == NULL || wait.value == &wait);
    return wait;
}

/* ---- in time ---- */

static int wait_for_open_gate(void *arg)
{
    struct wait *const wait = arg;
    wait->child.gate = new_future();
    must(whorl_future_set_result(wait->child.gate, NULL));
    must(wait_for_sitter(wait));
    whorl_future_unref(wait->child.gate);
    return 0;
}

static void test_wf_1_in_time_is_the_result(void **state)
{
    /* With a limit and without. */
    (void)state;
    const int64_t limits_ns[] = {3600 * WHORL_SECOND, WHORL_NEVER};
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (size_t i = 0; i < 2; i++) {
            const struct wait good = play_wait(loops, wait_for_open_gate, limits_ns[i], 0);
            assert_int_equal(good.error, 0);
            assert_non_null(good.value);
            const struct wait bad = play_wait(loops, wait_for_open_gate, limits_ns[i], -EPIPE);
            assert_int_equal(bad.error, -EPIPE);
            assert_null(bad.value);
        }
    }
}

static int wait_many_in_time(void *arg)
{
    struct whorl_stats before;
    struct whorl_stats after;
    (void)arg;
    must(whorl_stats(-1, &before));
    for (int i = 0; i < 50; i++) {
        struct wait wait = {.timeout_ns = 200 * WHORL_MILLISECOND};
        must(wait_for_open_gate(&wait));
        must(wait.error);
    }
    must(whorl_sleep(250 * WHORL_MILLISECOND));
    must(whorl_stats(-1, &after));
    return after.timers - before.timers == 1 ? 0 : -ERANGE;
}

static void test_wf_14_no_timer_is_left_after_an_early_end(void **state)
{
    /* Only the sleep's own one fires. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, wait_many_in_time, NULL), 0);
    }
}

/* A function that waits: under a limit it is a call like any other. */
static int wait_and_say_where(struct wait *wait, const struct whorl_task *caller)
{
    const int error = wait_for_ever();
    wait->own_task = whorl_task_current() == caller;
    return error;
}

static int limit_a_call(void *arg)
{
    struct wait *const wait = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(wait->timeout_ns)));
    wait->error = whorl_timeout_exit(&timeout, wait_and_say_where(wait, whorl_task_current()));
    return 0;
}

static void test_wf_13_a_function_under_a_limit_runs_in_the_callers_task(void **state)
{
    /* No task is made for it; what it changes of the caller's is changed. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct wait wait = play_wait(loops, limit_a_call, WHORL_MILLISECOND, 0);
        assert_int_equal(wait.error, -ETIMEDOUT);
        assert_true(wait.own_task);
    }
}

/* ---- late ---- */

static void test_wf_2_late_child_is_cancelled_and_waited_for(void **state)
{
    /* Then -ETIMEDOUT, and the waiter is as it was before. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct wait wait = play_wait(loops, wait_for_begun, WHORL_MILLISECOND, PASS_ON);
        assert_int_equal(wait.error, -ETIMEDOUT);
        assert_true(wait.child_done);
        assert_true(wait.child_cancelled);
        assert_int_equal(wait.child.got, -ECANCELED);
        assert_null(wait.value);
        assert_int_equal(wait.cancelling, 0);
        assert_int_equal(wait.then, 0);
    }
}

static int end_slowly(void *arg)
{
    struct sitter *const child = arg;
    must(whorl_future_set_result(child->begun, NULL));
    child->got = wait_for_ever();
    must(whorl_sleep(30 * WHORL_MILLISECOND));
    return child->got;
}

static int wait_for_slow(void *arg)
{
    struct wait *const wait = arg;
    wait->body = end_slowly;
    return wait_for_begun(wait);
}

static void test_wf_3_takes_as_long_as_the_childs_cleanup(void **state)
{
    /* The limit is when the child is asked to end, not when the call returns. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct wait wait = play_wait(loops, wait_for_slow, WHORL_MILLISECOND, PASS_ON);
        assert_int_equal(wait.error, -ETIMEDOUT);
        assert_true(wait.took_ns >= 30 * WHORL_MILLISECOND);
        assert_true(wait.child_done);
    }
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static void free_slowly(void *arg)
{
    const int64_t until_ns = whorl_after(10 * WHORL_MILLISECOND);
    (void)arg;
    while (whorl_now() < until_ns) {
    }
}

static int wait_for_freeing(void *arg)
{
    bool *const done = arg;
    const struct whorl_attr slow = {.arg_free = free_slowly,
                                    .pin = WHORL_PIN(whorl_loop_count() - 1)};
    struct whorl_task *child;
    must(whorl_spawn(end_at_once, arg, &slow, &child));
    (void)whorl_wait_for(child, WHORL_MILLISECOND, NULL);
    *done = whorl_task_done(child);
    whorl_task_unref(child);
    return 0;
}

static void test_wf_3_child_is_done_even_if_only_its_argument_was_left(void **state)
{
    /* Its body has returned, and is not to be asked any more: it is waited for all the same. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        bool done = false;
        assert_int_equal(play(loops, wait_for_freeing, &done), 0);
        assert_true(done);
    }
}

static void test_wf_4_child_that_swallows_the_cancel_gives_its_value(void **state)
{
    /* No timeout then. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct wait wait = play_wait(loops, wait_for_begun, WHORL_MILLISECOND, 0);
        assert_int_equal(wait.error, 0);
        assert_non_null(wait.value);
        assert_int_equal(wait.cancelling, 0);
        assert_int_equal(wait.then, 0);
    }
}

static void test_wf_5_child_that_answers_with_another_error_gives_that(void **state)
{
    /* Not the timeout. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct wait wait = play_wait(loops, wait_for_begun, WHORL_MILLISECOND, -EPIPE);
        assert_int_equal(wait.error, -EPIPE);
    }
}

/* ---- no time at all ---- */

static int wait_for_ended(void *arg)
{
    struct wait *const wait = arg;
    struct journal journal = {0};
    wait->child.gate = new_future();
    must(whorl_future_set_result(wait->child.gate, NULL));
    struct whorl_task *const task = start(sit, &wait->child);
    (void)whorl_join(task, WHORL_NEVER, NULL);
    struct sitter other = {.gate = wait->child.gate};
    struct whorl_task *const ready = start_here(sit, &other);
    wait->error = whorl_wait_for(task, wait->timeout_ns, &wait->value);
    note(&journal, other.ran ? 'o' : 'm');
    wait->then = whorl_yield();
    must(finish(ready));
    whorl_task_unref(task);
    whorl_future_unref(wait->child.gate);
    return journal.text[0] == 'm' ? 0 : -ERANGE;
}

static void test_wf_6_no_time_but_the_child_has_ended_is_its_result(void **state)
{
    /* Without a suspension: a task that is ready does not run in between. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const int64_t limits_ns[] = {0, -1, INT64_MIN};
        for (size_t i = 0; i < 3; i++) {
            const struct wait wait = play_wait(loops, wait_for_ended, limits_ns[i], 0);
            assert_int_equal(wait.error, 0);
            assert_non_null(wait.value);
            assert_int_equal(wait.then, 0);
        }
    }
}

static void test_wf_7_no_time_and_not_begun_never_runs(void **state)
{
    /* The body is not called, and the error is the timeout. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const int64_t limits_ns[] = {0, -WHORL_SECOND};
        for (size_t i = 0; i < 2; i++) {
            const struct wait wait = play_wait(loops, wait_for_sitter, limits_ns[i], PASS_ON);
            assert_int_equal(wait.error, -ETIMEDOUT);
            assert_false(wait.child.ran);
            assert_true(wait.child_cancelled);
            assert_int_equal(wait.then, 0);
        }
    }
}

static void test_wf_8_no_time_and_begun_is_cancelled_and_awaited(void **state)
{
    /* The child sees a cancel at its wait. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct wait wait = play_wait(loops, wait_for_begun, 0, PASS_ON);
        assert_int_equal(wait.error, -ETIMEDOUT);
        assert_int_equal(wait.child.got, -ECANCELED);
        assert_true(wait.child_done);
    }
}

/* ---- the waiter is cancelled ---- */

static int cancel_waiter(void *arg)
{
    struct wait *const wait = arg;
    wait->child.begun = new_future();
    struct whorl_task *const waiter = start(wait_for_sitter, wait);
    must(whorl_future_await(wait->child.begun, NULL));
    (void)whorl_cancel(waiter, NULL);
    (void)whorl_join(waiter, WHORL_NEVER, NULL);
    whorl_task_unref(waiter);
    whorl_future_unref(wait->child.begun);
    return 0;
}

static void test_wf_9_cancelled_waiter_cancels_the_child_and_waits_for_it(void **state)
{
    /* With a limit and without; and it is a cancel that comes out, not a timeout. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const int64_t limits_ns[] = {3600 * WHORL_SECOND, WHORL_NEVER};
        for (size_t i = 0; i < 2; i++) {
            const struct wait wait = play_wait(loops, cancel_waiter, limits_ns[i], PASS_ON);
            assert_int_equal(wait.error, -ECANCELED);
            assert_true(wait.child_done);
            assert_int_equal(wait.child.got, -ECANCELED);
            assert_int_equal(wait.cancelling, 1);
        }
    }
}

static int complete_and_cancel_waiter(void *arg)
{
    struct wait *const wait = arg;
    wait->child.gate = new_future();
    struct whorl_task *const waiter = start(wait_for_sitter, wait);
    settle();
    must(whorl_future_set_result(wait->child.gate, NULL));
    while (wait->child.got == UNSET) {
        must(whorl_yield());
    }
    (void)whorl_cancel(waiter, NULL); /* the child has ended, its waiter is queued */
    (void)whorl_join(waiter, WHORL_NEVER, NULL);
    whorl_task_unref(waiter);
    whorl_future_unref(wait->child.gate);
    return 0;
}

static void test_wf_10_completed_and_cancelled_in_one_pass_is_cancelled(void **state)
{
    /* The cancel wins in the waiter, and the child keeps its own end. */
    (void)state;
    const struct wait wait = play_wait(1, complete_and_cancel_waiter, WHORL_SECOND, 0);
    assert_int_equal(wait.child.got, 0);
    assert_int_equal(wait.error, -ECANCELED);
    assert_true(wait.child_done);
    assert_false(wait.child_cancelled);
}

/* ---- plain futures ---- */

static int wait_for_gate(void *arg)
{
    struct wait *const wait = arg;
    struct whorl_future *const gate = new_future();
    wait->error = whorl_future_wait_for(gate, wait->timeout_ns, &wait->value);
    wait->child_cancelled = whorl_future_cancelled(gate);
    wait->then = whorl_yield();
    whorl_future_unref(gate);
    return 0;
}

static void test_wf_2_late_plain_future_is_cancelled(void **state)
{
    /* At once: there is nobody to wait for. */
    (void)state;
    const int64_t limits_ns[] = {WHORL_MILLISECOND, 0};
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (size_t i = 0; i < 2; i++) {
            const struct wait wait = play_wait(loops, wait_for_gate, limits_ns[i], 0);
            assert_int_equal(wait.error, -ETIMEDOUT);
            assert_true(wait.child_cancelled);
            assert_int_equal(wait.then, 0);
        }
    }
}

static void test_wait_for_outside_a_task_is_eperm(void **state)
{
    /* And the future is not touched. */
    (void)state;
    struct whorl_future *const gate = new_future();
    assert_int_equal(whorl_future_wait_for(gate, 0, NULL), -EPERM);
    assert_false(whorl_future_done(gate));
    whorl_future_unref(gate);
}

/* ---- many, at the edge ---- */

static int end_about_now(void *arg)
{
    const int64_t *const until_ns = arg;
    while (whorl_now() < *until_ns) {
        const int error = whorl_yield();
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* The child ends by itself at the very time its limit comes: either outcome, nothing is left. */
static int race_with_the_limit(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        int64_t until_ns = whorl_after(100 * WHORL_MICROSECOND);
        struct whorl_task *const task = start(end_about_now, &until_ns);
        const int error = whorl_wait_for(task, 100 * WHORL_MICROSECOND, NULL);
        must(whorl_task_done(task) ? 0 : -ERANGE);
        must(error == 0 || error == -ETIMEDOUT ? 0 : -ERANGE);
        must(error == -ETIMEDOUT ? 0 : whorl_task_result(task, NULL));
        must(whorl_task_cancelling(whorl_task_current()));
        must(whorl_yield());
        whorl_task_unref(task);
    }
    return 0;
}

static void test_mt_15_limit_that_comes_at_the_end_never_hits_later(void **state)
{
    /* No late cancel: what follows the call is not disturbed, whoever won. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, race_with_the_limit, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wf_1_in_time_is_the_result),
        cmocka_unit_test(test_wf_14_no_timer_is_left_after_an_early_end),
        cmocka_unit_test(test_wf_13_a_function_under_a_limit_runs_in_the_callers_task),
        cmocka_unit_test(test_wf_2_late_child_is_cancelled_and_waited_for),
        cmocka_unit_test(test_wf_3_takes_as_long_as_the_childs_cleanup),
        cmocka_unit_test(test_wf_3_child_is_done_even_if_only_its_argument_was_left),
        cmocka_unit_test(test_wf_4_child_that_swallows_the_cancel_gives_its_value),
        cmocka_unit_test(test_wf_5_child_that_answers_with_another_error_gives_that),
        cmocka_unit_test(test_wf_6_no_time_but_the_child_has_ended_is_its_result),
        cmocka_unit_test(test_wf_7_no_time_and_not_begun_never_runs),
        cmocka_unit_test(test_wf_8_no_time_and_begun_is_cancelled_and_awaited),
        cmocka_unit_test(test_wf_9_cancelled_waiter_cancels_the_child_and_waits_for_it),
        cmocka_unit_test(test_wf_10_completed_and_cancelled_in_one_pass_is_cancelled),
        cmocka_unit_test(test_wf_2_late_plain_future_is_cancelled),
        cmocka_unit_test(test_wait_for_outside_a_task_is_eperm),
        cmocka_unit_test(test_mt_15_limit_that_comes_at_the_end_never_hits_later),
    };
    return cmocka_run_group_tests_name("wait_for", tests, NULL, NULL);
}
