/*
 * Futures: completed once, awaited by many; rows FUT of asyncio's semantics.
 *
 * Most rows need no task and are asserted in place; the others run at one loop where the order
 * matters, and at one, two and four where it does not.
 */
#include "support/play.h"

static int dummy;

/* ---- without a runtime ---- */

static void test_fut_1_new_is_pending(void **state)
{
    /* Neither done nor cancelled, and without a message. */
    (void)state;
    struct whorl_future *const future = new_future();
    assert_false(whorl_future_done(future));
    assert_false(whorl_future_cancelled(future));
    assert_null(whorl_future_cancel_message(future));
    whorl_future_unref(future);
}

static void test_fut_2_result_of_pending_is_eagain_and_does_not_wait(void **state)
{
    /* Asking is not waiting, and the output stays as it was. */
    (void)state;
    struct whorl_future *const future = new_future();
    void *value = &dummy;
    assert_int_equal(whorl_future_result(future, &value), -EAGAIN);
    assert_ptr_equal(value, &dummy);
    whorl_future_unref(future);
}

/* Everything that must be refused by a future which is done. */
static void assert_refuses_all(struct whorl_future *future)
{
    assert_int_equal(whorl_future_set_result(future, NULL), -EALREADY);
    assert_int_equal(whorl_future_set_error(future, -EIO), -EALREADY);
    assert_false(whorl_future_cancel(future, "late"));
}

static void test_fut_3_second_completion_is_refused_and_changes_nothing(void **state)
{
    /* The first outcome stays, whichever of the three it was. */
    (void)state;
    struct whorl_future *const good = new_future();
    struct whorl_future *const bad = new_future();
    struct whorl_future *const cancelled = new_future();
    void *value = NULL;
    assert_int_equal(whorl_future_set_result(good, &dummy), 0);
    assert_int_equal(whorl_future_set_error(bad, -EPIPE), 0);
    assert_true(whorl_future_cancel(cancelled, "first"));
    assert_refuses_all(good);
    assert_refuses_all(bad);
    assert_refuses_all(cancelled);
    assert_int_equal(whorl_future_result(good, &value), 0);
    assert_ptr_equal(value, &dummy);
    assert_int_equal(whorl_future_result(bad, NULL), -EPIPE);
    assert_string_equal(whorl_future_cancel_message(cancelled), "first");
    whorl_future_unref(good);
    whorl_future_unref(bad);
    whorl_future_unref(cancelled);
}

static void test_fut_3_error_that_is_not_negative_is_refused(void **state)
{
    /* 0 would be a success without a value, EIO a forgotten minus sign. */
    (void)state;
    struct whorl_future *const future = new_future();
    assert_int_equal(whorl_future_set_error(future, 0), -EINVAL);
    assert_int_equal(whorl_future_set_error(future, EIO), -EINVAL);
    assert_false(whorl_future_done(future));
    whorl_future_unref(future);
}

static void test_fut_4_cancel_of_pending_is_immediate(void **state)
{
    /* A plain future has nobody to ask. */
    (void)state;
    struct whorl_future *const future = new_future();
    assert_true(whorl_future_cancel(future, NULL));
    assert_true(whorl_future_done(future));
    assert_true(whorl_future_cancelled(future));
    whorl_future_unref(future);
}

static void test_fut_5_result_of_cancelled_is_ecanceled(void **state)
{
    /* Each time, and without touching the output. */
    (void)state;
    struct whorl_future *const future = new_future();
    void *value = &dummy;
    assert_true(whorl_future_cancel(future, NULL));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(whorl_future_result(future, &value), -ECANCELED);
        assert_int_equal(whorl_future_await(future, &value), -ECANCELED);
        assert_ptr_equal(value, &dummy);
    }
    whorl_future_unref(future);
}

static void test_fut_6_result_can_be_asked_for_again_and_again(void **state)
{
    /* Reading does not consume: neither a value nor an error. */
    (void)state;
    struct whorl_future *const good = new_future();
    struct whorl_future *const bad = new_future();
    assert_int_equal(whorl_future_set_result(good, &dummy), 0);
    assert_int_equal(whorl_future_set_error(bad, -EIO), 0);
    for (int i = 0; i < 3; i++) {
        void *value = NULL;
        assert_int_equal(whorl_future_result(good, &value), 0);
        assert_ptr_equal(value, &dummy);
        assert_int_equal(whorl_future_result(good, NULL), 0);
        assert_int_equal(whorl_future_result(bad, &value), -EIO);
        assert_ptr_equal(value, &dummy);
    }
    whorl_future_unref(good);
    whorl_future_unref(bad);
}

static void test_fut_24_error_ecanceled_is_a_failure_not_a_cancel(void **state)
{
    /* Only a cancel cancels. */
    (void)state;
    struct whorl_future *const future = new_future();
    assert_int_equal(whorl_future_set_error(future, -ECANCELED), 0);
    assert_true(whorl_future_done(future));
    assert_false(whorl_future_cancelled(future));
    assert_int_equal(whorl_future_result(future, NULL), -ECANCELED);
    whorl_future_unref(future);
}

static void test_fut_19_result_unless_cancelled_leaves_a_cancelled_one_alone(void **state)
{
    /* What each timer that completes a future relies on: the refusal is harmless. */
    (void)state;
    struct whorl_future *const future = new_future();
    assert_true(whorl_future_cancel(future, "before"));
    assert_int_equal(whorl_future_set_result(future, &dummy), -EALREADY);
    assert_true(whorl_future_cancelled(future));
    whorl_future_unref(future);
}

/* ---- awaited by tasks ---- */

enum { AWAITERS = 5 };

struct crowd {
    struct whorl_future *gate;
    struct journal journal;
    struct reader {
        struct crowd *crowd;
        char letter;
        int error;
        void *value;
    } readers[AWAITERS];
};

static int read_gate(void *arg)
{
    struct reader *const reader = arg;
    reader->error = whorl_future_await(reader->crowd->gate, &reader->value);
    return 0;
}

static int read_gate_in_order(void *arg)
{
    struct reader *const reader = arg;
    (void)read_gate(reader);
    note(&reader->crowd->journal, reader->letter);
    return 0;
}

static void start_readers(struct crowd *crowd, whorl_body *body, struct whorl_task **ret_tasks)
{
    for (int i = 0; i < AWAITERS; i++) {
        crowd->readers[i] =
            (struct reader){.crowd = crowd, .letter = (char)('a' + i), .error = UNSET};
        ret_tasks[i] = start(body, &crowd->readers[i]);
    }
}

static void finish_readers(struct whorl_task **tasks)
{
    for (int i = 0; i < AWAITERS; i++) {
        must(finish(tasks[i]));
    }
}

static int wake_in_order(void *arg)
{
    struct crowd *const crowd = arg;
    struct whorl_task *tasks[AWAITERS];
    start_readers(crowd, read_gate_in_order, tasks);
    settle();
    must(whorl_future_set_result(crowd->gate, crowd));
    note(&crowd->journal, '!');
    finish_readers(tasks);
    return 0;
}

static void assert_all_read(const struct crowd *crowd, int error, const void *value)
{
    for (int i = 0; i < AWAITERS; i++) {
        assert_int_equal(crowd->readers[i].error, error);
        assert_ptr_equal(crowd->readers[i].value, value);
    }
}

static void test_fut_11_awaiters_wake_in_the_order_they_began_to_wait(void **state)
{
    /* And none inside the completing call: the completer's own note comes first. */
    (void)state;
    struct crowd crowd = {.gate = new_future()};
    assert_int_equal(play(1, wake_in_order, &crowd), 0);
    assert_string_equal(crowd.journal.text, "!abcde");
    assert_all_read(&crowd, 0, &crowd);
    whorl_future_unref(crowd.gate);
}

static int wake_with_value(void *arg)
{
    struct crowd *const crowd = arg;
    struct whorl_task *tasks[AWAITERS];
    start_readers(crowd, read_gate, tasks);
    must(whorl_future_set_result(crowd->gate, crowd));
    finish_readers(tasks);
    return 0;
}

static int wake_with_error(void *arg)
{
    struct crowd *const crowd = arg;
    struct whorl_task *tasks[AWAITERS];
    start_readers(crowd, read_gate, tasks);
    must(whorl_future_set_error(crowd->gate, -EPIPE));
    finish_readers(tasks);
    return 0;
}

static void test_fut_11_all_awaiters_get_the_same_outcome(void **state)
{
    /* Whether they wait already or come later: a value, or an error. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct crowd crowd = {.gate = new_future()};
        assert_int_equal(play(loops, wake_with_value, &crowd), 0);
        assert_all_read(&crowd, 0, &crowd);
        whorl_future_unref(crowd.gate);

        crowd.gate = new_future();
        assert_int_equal(play(loops, wake_with_error, &crowd), 0);
        assert_all_read(&crowd, -EPIPE, NULL);
        whorl_future_unref(crowd.gate);
    }
}

struct two_waits {
    struct whorl_future *future;
    struct journal journal;
    int errors[2];
};

static int note_b(void *arg)
{
    struct two_waits *const two = arg;
    note(&two->journal, 'b');
    return 0;
}

static int await_done_one(void *arg)
{
    struct two_waits *const two = arg;
    must(whorl_future_set_result(two->future, NULL));
    struct whorl_task *const other = start_here(note_b, two);
    two->errors[0] = whorl_future_await(two->future, NULL);
    two->errors[1] = whorl_future_join(two->future, WHORL_NEVER, NULL);
    note(&two->journal, 'a');
    return finish(other);
}

static void test_fut_12_await_of_done_does_not_suspend(void **state)
{
    /* No other task runs in between, though one is ready. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct two_waits two = {.future = new_future(), .errors = {UNSET, UNSET}};
        assert_int_equal(play(loops, await_done_one, &two), 0);
        assert_string_equal(two.journal.text, "ab");
        assert_int_equal(two.errors[0], 0);
        assert_int_equal(two.errors[1], 0);
        whorl_future_unref(two.future);
    }
}

static int complete(void *arg)
{
    return whorl_future_set_result(arg, &dummy);
}

struct twice {
    void *values[2];
    int errors[2];
};

static int await_twice(void *arg)
{
    struct twice *const twice = arg;
    struct whorl_future *const future = new_future();
    struct whorl_task *const completer = start(complete, future);
    for (int i = 0; i < 2; i++) {
        twice->errors[i] = whorl_future_await(future, &twice->values[i]);
    }
    must(finish(completer));
    whorl_future_unref(future);
    return 0;
}

static void test_fut_13_may_be_awaited_before_and_after_completion(void **state)
{
    /* The same task, twice: once parked, once not. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct twice twice = {.errors = {UNSET, UNSET}};
        assert_int_equal(play(loops, await_twice, &twice), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(twice.errors[i], 0);
            assert_ptr_equal(twice.values[i], &dummy);
        }
    }
}

static int cancel_gate_under_sitter(void *arg)
{
    struct sitter *const sitter = arg;
    struct whorl_task *const task = start(sit, sitter);
    must(whorl_future_await(sitter->begun, NULL));
    (void)whorl_future_cancel(sitter->gate, "for a reason");
    const int cancelling = whorl_task_cancelling(task);
    const int error = finish(task);
    return cancelling != 0 ? -ERANGE : error;
}

static void test_fut_18_cancel_message_reaches_the_awaiter(void **state)
{
    /* The awaiter was not cancelled itself, yet gets the code and the message. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sitter sitter = {.begun = new_future(), .gate = new_future(), .answer = 0};
        assert_int_equal(play(loops, cancel_gate_under_sitter, &sitter), 0);
        assert_int_equal(sitter.got, -ECANCELED);
        assert_string_equal(sitter.message, "for a reason");
        assert_string_equal(whorl_future_cancel_message(sitter.gate), "for a reason");
        whorl_future_unref(sitter.begun);
        whorl_future_unref(sitter.gate);
    }
}

/* ---- join: only watch ---- */

struct watch {
    struct whorl_future *gate;
    struct whorl_future *begun;
    int got;
    bool gate_done;
};

static int join_gate(void *arg)
{
    struct watch *const watch = arg;
    must(whorl_future_set_result(watch->begun, NULL));
    watch->got = whorl_future_join(watch->gate, WHORL_NEVER, NULL);
    return 0;
}

static int cancel_joiner(void *arg)
{
    struct watch *const watch = arg;
    struct whorl_task *const joiner = start(join_gate, watch);
    must(whorl_future_await(watch->begun, NULL));
    (void)whorl_cancel(joiner, NULL);
    must(finish(joiner));
    watch->gate_done = whorl_future_done(watch->gate);
    return 0;
}

static void test_join_cancelled_leaves_the_future_pending(void **state)
{
    /* The difference to await: the future is shared, and others still want it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct watch watch = {.gate = new_future(), .begun = new_future(), .gate_done = true};
        assert_int_equal(play(loops, cancel_joiner, &watch), 0);
        assert_int_equal(watch.got, -ECANCELED);
        assert_false(watch.gate_done);
        whorl_future_unref(watch.gate);
        whorl_future_unref(watch.begun);
    }
}

static int join_until_late(void *arg)
{
    struct watch *const watch = arg;
    const int64_t deadline_ns = whorl_after(5 * WHORL_MILLISECOND);
    watch->got = whorl_future_join(watch->gate, deadline_ns, NULL);
    watch->gate_done = whorl_future_done(watch->gate);
    return whorl_now() >= deadline_ns ? 0 : -ERANGE;
}

static void test_join_past_its_deadline_is_etimedout_and_not_early(void **state)
{
    /* The future is not cancelled, and the call does not return before its time. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct watch watch = {.gate = new_future(), .gate_done = true};
        assert_int_equal(play(loops, join_until_late, &watch), 0);
        assert_int_equal(watch.got, -ETIMEDOUT);
        assert_false(watch.gate_done);
        whorl_future_unref(watch.gate);
    }
}

static int complete_without_holding(void *arg)
{
    struct whorl_future *const future = arg;
    must(whorl_future_set_result(future, NULL));
    whorl_future_unref(future);
    return 0;
}

static int await_and_drop(void *arg)
{
    (void)arg;
    for (int round = 0; round < 500; round++) {
        struct whorl_future *const future = new_future();
        struct whorl_task *const task = start(complete_without_holding, whorl_future_ref(future));
        must(whorl_future_await(future, NULL));
        whorl_future_unref(future);
        must(finish(task));
    }
    return 0;
}

static void test_future_awaiter_may_drop_it_as_soon_as_it_wakes(void **state)
{
    /* The completer's own reference covers the rest of its call; a sanitizer would see it fail. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, await_and_drop, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fut_1_new_is_pending),
        cmocka_unit_test(test_fut_2_result_of_pending_is_eagain_and_does_not_wait),
        cmocka_unit_test(test_fut_3_second_completion_is_refused_and_changes_nothing),
        cmocka_unit_test(test_fut_3_error_that_is_not_negative_is_refused),
        cmocka_unit_test(test_fut_4_cancel_of_pending_is_immediate),
        cmocka_unit_test(test_fut_5_result_of_cancelled_is_ecanceled),
        cmocka_unit_test(test_fut_6_result_can_be_asked_for_again_and_again),
        cmocka_unit_test(test_fut_11_awaiters_wake_in_the_order_they_began_to_wait),
        cmocka_unit_test(test_fut_11_all_awaiters_get_the_same_outcome),
        cmocka_unit_test(test_fut_12_await_of_done_does_not_suspend),
        cmocka_unit_test(test_fut_13_may_be_awaited_before_and_after_completion),
        cmocka_unit_test(test_fut_18_cancel_message_reaches_the_awaiter),
        cmocka_unit_test(test_fut_19_result_unless_cancelled_leaves_a_cancelled_one_alone),
        cmocka_unit_test(test_fut_24_error_ecanceled_is_a_failure_not_a_cancel),
        cmocka_unit_test(test_join_cancelled_leaves_the_future_pending),
        cmocka_unit_test(test_join_past_its_deadline_is_etimedout_and_not_early),
        cmocka_unit_test(test_future_awaiter_may_drop_it_as_soon_as_it_wakes),
    };
    return cmocka_run_group_tests_name("future", tests, NULL, NULL);
}
