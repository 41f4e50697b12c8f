/*
 * Cancelling: when a request is delivered, once, and how it is taken back; rows CANC of asyncio's
 * semantics, mostly by a task that cancels itself.
 */
#include "support/play.h"

/* ---- a task that cancels itself ---- */

struct own {
    struct whorl_future *done;
    struct whorl_future *pending;
    bool accepted;
    int on_done, at_wait, after, late;
    int cancelling;
    int answer;
    bool cancelled;
    void *value;
    const char *message;
    int uncancelled;
    int error;
};

static void cancel_self(struct own *own, const char *message)
{
    own->accepted = whorl_cancel(whorl_task_current(), message);
}

static int deliver_at_yield(void *arg)
{
    struct own *const own = arg;
    cancel_self(own, "self");
    own->on_done = whorl_future_await(own->done, NULL);
    own->at_wait = whorl_yield();
    own->message = whorl_cancel_message();
    own->after = whorl_yield();
    own->late = whorl_sleep(1);
    return 0;
}

/* Runs the body as a task of its own, and looks at how it ended. */
struct staged {
    whorl_body *body;
    struct own own;
};

static int stage(void *arg)
{
    struct staged *const staged = arg;
    struct whorl_task *const task = start(staged->body, &staged->own);
    staged->own.error = whorl_await(task, &staged->own.value);
    staged->own.cancelling = whorl_task_cancelling(task);
    staged->own.cancelled = whorl_task_cancelled(task);
    whorl_task_unref(task);
    return 0;
}

static struct own play_own(int loops, whorl_body *body, int answer)
{
    struct staged staged = {.body = body, .own = {.done = new_future(), .pending = new_future()}};
    staged.own.answer = answer;
    staged.own.on_done = staged.own.at_wait = staged.own.after = staged.own.late = UNSET;
    must(whorl_future_set_result(staged.own.done, NULL));
    assert_int_equal(play(loops, stage, &staged), 0);
    whorl_future_unref(staged.own.done);
    whorl_future_unref(staged.own.pending);
    return staged.own;
}

static void test_canc_8_delivered_at_the_next_real_wait_only(void **state)
{
    /* An await that need not suspend goes through in between. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, deliver_at_yield, 0);
        assert_true(own.accepted);
        assert_int_equal(own.on_done, 0);
        assert_int_equal(own.at_wait, -ECANCELED);
    }
}

static void test_canc_14_is_delivered_once_later_waits_work(void **state)
{
    /* Edge-triggered: the cancel is over once it was told. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, deliver_at_yield, 0);
        assert_int_equal(own.after, 0);
        assert_int_equal(own.late, 0);
        assert_int_equal(own.error, 0);
        assert_false(own.cancelled);
    }
}

static void test_canc_22_catching_does_not_lower_the_count(void **state)
{
    /* Only uncancel does. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, deliver_at_yield, 0);
        assert_int_equal(own.cancelling, 1);
    }
}

static void test_canc_23_the_body_sees_the_message(void **state)
{
    /* As it was given, by pointer. */
    (void)state;
    assert_string_equal(play_own(1, deliver_at_yield, 0).message, "self");
}

static int deliver_at_pending(void *arg)
{
    struct own *const own = arg;
    cancel_self(own, NULL);
    own->at_wait = whorl_future_await(own->pending, NULL);
    own->on_done = whorl_future_cancelled(own->pending) ? 1 : 0;
    own->after = whorl_yield();
    return 0;
}

static void test_canc_9_the_future_it_then_awaits_is_cancelled(void **state)
{
    /* As if the request had come during the wait. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, deliver_at_pending, 0);
        assert_int_equal(own.at_wait, -ECANCELED);
        assert_int_equal(own.on_done, 1);
        assert_int_equal(own.after, 0);
    }
}

static int cancel_self_and_answer(void *arg)
{
    struct own *const own = arg;
    cancel_self(own, "at the end");
    must(whorl_return(own));
    return own->answer;
}

static void test_canc_10_cancel_self_then_return_ends_cancelled(void **state)
{
    /* The value is lost. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, cancel_self_and_answer, 0);
        assert_int_equal(own.error, -ECANCELED);
        assert_true(own.cancelled);
        assert_null(own.value);
    }
}

static void test_canc_11_cancel_self_then_fail_ends_with_the_error(void **state)
{
    /* The failure is the stronger news. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, cancel_self_and_answer, -EPIPE);
        assert_int_equal(own.error, -EPIPE);
        assert_false(own.cancelled);
    }
}

static int return_ecanceled(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

static void test_canc_18_returning_ecanceled_unasked_ends_cancelled(void **state)
{
    /* And nobody is counted as having asked. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, return_ecanceled, 0);
        assert_true(own.cancelled);
        assert_int_equal(own.cancelling, 0);
    }
}

static int clean_up_slowly(void *arg)
{
    struct own *const own = arg;
    cancel_self(own, NULL);
    own->at_wait = whorl_yield();
    for (int i = 0; i < 20; i++) {
        own->after = whorl_yield();
        must(own->after);
    }
    own->late = whorl_sleep(WHORL_MILLISECOND);
    return own->at_wait;
}

static void test_canc_26_cleanup_that_waits_runs_to_its_end(void **state)
{
    /* And the task ends cancelled when it passes the code on at last. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, clean_up_slowly, 0);
        assert_int_equal(own.late, 0);
        assert_true(own.cancelled);
    }
}

/* ---- two at once ---- */

static int wait_three_times(void *arg)
{
    struct own *const own = arg;
    must(whorl_future_set_result(own->done, NULL));
    own->at_wait = whorl_future_await(own->pending, NULL);
    own->after = whorl_yield();
    own->late = whorl_sleep(1);
    return 0;
}

static int cancel_twice_at_once(void *arg)
{
    struct own *const own = arg;
    struct whorl_task *const task = start(wait_three_times, own);
    must(whorl_future_await(own->done, NULL));
    settle();
    must(whorl_cancel(task, "one") && whorl_cancel(task, "two") ? 0 : -ERANGE);
    own->cancelling = whorl_task_cancelling(task);
    return finish(task);
}

static void test_canc_13_two_requests_at_once_deliver_one(void **state)
{
    /* Yet two are counted. */
    (void)state;
    struct own own = {.done = new_future(), .pending = new_future()};
    assert_int_equal(play(1, cancel_twice_at_once, &own), 0);
    assert_int_equal(own.at_wait, -ECANCELED);
    assert_int_equal(own.after, 0);
    assert_int_equal(own.late, 0);
    assert_int_equal(own.cancelling, 2);
    whorl_future_unref(own.done);
    whorl_future_unref(own.pending);
}

static int cancel_self_twice(void *arg)
{
    struct own *const own = arg;
    cancel_self(own, "one");
    cancel_self(own, "two");
    own->at_wait = whorl_yield();
    own->after = whorl_yield();
    own->late = whorl_sleep(1);
    return 0;
}

static void test_canc_13_two_requests_to_oneself_deliver_one(void **state)
{
    /* Both were there before the wait; the second is not kept for a later one. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, cancel_self_twice, 0);
        assert_int_equal(own.at_wait, -ECANCELED);
        assert_int_equal(own.after, 0);
        assert_int_equal(own.late, 0);
        assert_int_equal(own.cancelling, 2);
        assert_int_equal(own.error, 0);
    }
}

/* ---- taking back ---- */

static int uncancel_to_below_zero(void *arg)
{
    struct own *const own = arg;
    struct whorl_task *const self = whorl_task_current();
    cancel_self(own, NULL);
    cancel_self(own, NULL);
    own->at_wait = whorl_yield();
    own->on_done = whorl_uncancel(self);
    own->after = whorl_uncancel(self);
    own->late = whorl_uncancel(self);
    return 0;
}

static void test_canc_19_uncancel_counts_down_to_zero_and_stops(void **state)
{
    /* It returns what is left. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, uncancel_to_below_zero, 0);
        assert_int_equal(own.on_done, 1);
        assert_int_equal(own.after, 0);
        assert_int_equal(own.late, 0);
        assert_int_equal(own.cancelling, 0);
    }
}

static int uncancel_before_delivery(void *arg)
{
    struct own *const own = arg;
    struct whorl_task *const self = whorl_task_current();
    cancel_self(own, NULL);
    own->uncancelled = whorl_uncancel(self);
    own->at_wait = whorl_yield();
    own->after = whorl_sleep(1);
    return 0;
}

static void test_canc_20_uncancel_to_zero_withdraws_what_was_not_delivered(void **state)
{
    /* The task goes on undisturbed, and ends as it likes. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, uncancel_before_delivery, 0);
        assert_int_equal(own.uncancelled, 0);
        assert_int_equal(own.at_wait, 0);
        assert_int_equal(own.after, 0);
        assert_int_equal(own.error, 0);
    }
}

/* How a task waits on a gate without cancelling it. */
struct withdrawn {
    whorl_body *wait;
    struct whorl_future *begun;
    struct whorl_future *gate;
    int got;
    int early; /* how often it came back before the gate was opened */
    bool open;
};

static int wait_joining(void *arg)
{
    struct withdrawn *const withdrawn = arg;
    must(whorl_future_set_result(withdrawn->begun, NULL));
    withdrawn->got = whorl_future_join(withdrawn->gate, WHORL_NEVER, NULL);
    withdrawn->early = withdrawn->open ? 0 : 1;
    return 0;
}

static int wait_sleeping(void *arg)
{
    struct withdrawn *const withdrawn = arg;
    const int64_t until_ns = whorl_after(20 * WHORL_MILLISECOND);
    must(whorl_future_set_result(withdrawn->begun, NULL));
    withdrawn->got = whorl_sleep_until(until_ns);
    withdrawn->early = whorl_now() < until_ns ? 1 : 0;
    return 0;
}

/* They share a loop: it does not run between the two calls. */
static int cancel_and_withdraw(void *arg)
{
    struct withdrawn *const withdrawn = arg;
    struct whorl_task *const task = start_here(withdrawn->wait, withdrawn);
    must(whorl_future_await(withdrawn->begun, NULL));
    settle();
    must(whorl_cancel(task, NULL) ? 0 : -ERANGE);
    must(whorl_uncancel(task));
    settle();
    withdrawn->open = true;
    must(whorl_future_set_result(withdrawn->gate, NULL));
    return finish(task);
}

static int cancel_on_one_loop(void *arg)
{
    return finish(start_here(cancel_and_withdraw, arg));
}

static struct withdrawn play_withdrawn(whorl_body *wait, int loops)
{
    struct withdrawn withdrawn = {.wait = wait, .got = UNSET};
    withdrawn.begun = new_future();
    withdrawn.gate = new_future();
    assert_int_equal(play(loops, cancel_on_one_loop, &withdrawn), 0);
    whorl_future_unref(withdrawn.begun);
    whorl_future_unref(withdrawn.gate);
    return withdrawn;
}

static void test_canc_20_withdrawn_request_does_not_end_a_wait(void **state)
{
    /* The parked task was queued because of it; what it waits for has not happened. */
    (void)state;
    whorl_body *const waits[] = {wait_joining, wait_sleeping};
    for (size_t i = 0; i < 2; i++) {
        const struct withdrawn withdrawn = play_withdrawn(waits[i], 2);
        assert_int_equal(withdrawn.got, 0);
        assert_int_equal(withdrawn.early, 0);
    }
}

static void test_canc_20_in_strict_order_what_ended_a_wait_is_not_taken_back(void **state)
{
    /* asyncio has cancelled the future by then on which the task waits. */
    (void)state;
    whorl_body *const waits[] = {wait_joining, wait_sleeping};
    for (size_t i = 0; i < 2; i++) {
        const struct withdrawn withdrawn = play_withdrawn(waits[i], 1);
        assert_int_equal(withdrawn.got, -ECANCELED);
        assert_int_equal(withdrawn.early, 1);
    }
}

static int cancel_twice_uncancel_once(void *arg)
{
    struct own *const own = arg;
    cancel_self(own, NULL);
    cancel_self(own, NULL);
    own->uncancelled = whorl_uncancel(whorl_task_current());
    own->at_wait = whorl_yield();
    return 0;
}

static void test_canc_21_uncancel_above_zero_leaves_the_delivery(void **state)
{
    /* Somebody still wants it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct own own = play_own(loops, cancel_twice_uncancel_once, 0);
        assert_int_equal(own.uncancelled, 1);
        assert_int_equal(own.at_wait, -ECANCELED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canc_8_delivered_at_the_next_real_wait_only),
        cmocka_unit_test(test_canc_14_is_delivered_once_later_waits_work),
        cmocka_unit_test(test_canc_22_catching_does_not_lower_the_count),
        cmocka_unit_test(test_canc_23_the_body_sees_the_message),
        cmocka_unit_test(test_canc_9_the_future_it_then_awaits_is_cancelled),
        cmocka_unit_test(test_canc_10_cancel_self_then_return_ends_cancelled),
        cmocka_unit_test(test_canc_11_cancel_self_then_fail_ends_with_the_error),
        cmocka_unit_test(test_canc_18_returning_ecanceled_unasked_ends_cancelled),
        cmocka_unit_test(test_canc_26_cleanup_that_waits_runs_to_its_end),
        cmocka_unit_test(test_canc_13_two_requests_at_once_deliver_one),
        cmocka_unit_test(test_canc_13_two_requests_to_oneself_deliver_one),
        cmocka_unit_test(test_canc_19_uncancel_counts_down_to_zero_and_stops),
        cmocka_unit_test(test_canc_20_uncancel_to_zero_withdraws_what_was_not_delivered),
        cmocka_unit_test(test_canc_20_withdrawn_request_does_not_end_a_wait),
        cmocka_unit_test(test_canc_20_in_strict_order_what_ended_a_wait_is_not_taken_back),
        cmocka_unit_test(test_canc_21_uncancel_above_zero_leaves_the_delivery),
    };
    return cmocka_run_group_tests_name("cancel_delivery", tests, NULL, NULL);
}
