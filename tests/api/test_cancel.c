/*
 * Cancelling: a request that is counted, goes where the task waits, and is obeyed or refused; rows
 * CANC of asyncio's semantics. When it is delivered: test_cancel_delivery.c.
 *
 * At several loops a request may come before the wait it ends or during it; these rows end alike
 * either way, so they run at one, two and four loops. Rows about what happens within one
 * pass run at one.
 */
#include "support/play.h"

/* ---- a sitter and who cancels it ---- */

/* What is told of a task from outside, at several moments. */
struct told {
    struct sitter sitter;
    bool accepted, accepted_again;
    bool cancelled_at_once;
    int cancelling, cancelling_at_end;
    int error;
    bool cancelled;
    const char *message;
};

static void look_at_end(struct told *told, struct whorl_task *task)
{
    told->error = whorl_await(task, NULL);
    told->cancelling_at_end = whorl_task_cancelling(task);
    told->cancelled = whorl_task_cancelled(task);
    told->message = whorl_future_cancel_message(whorl_task_future(task));
    whorl_task_unref(task);
}

/* Cancels the sitter once it has begun. */
static int cancel_sitter(void *arg)
{
    struct told *const told = arg;
    struct whorl_task *const task = start(sit, &told->sitter);
    must(whorl_future_await(told->sitter.begun, NULL));
    told->accepted = whorl_cancel(task, "go");
    told->cancelling = whorl_task_cancelling(task);
    look_at_end(told, task);
    told->accepted_again = whorl_cancel(task, "too late");
    return 0;
}

static struct told tell(int loops, whorl_body *body, int answer)
{
    struct told told = {.sitter = {.begun = new_future(), .answer = answer, .got = UNSET},
                        .error = UNSET};
    assert_int_equal(play(loops, body, &told), 0);
    whorl_future_unref(told.sitter.begun);
    return told;
}

static void test_canc_1_live_is_accepted_and_counted_ended_is_not(void **state)
{
    /* The return value tells the truth; the count rises by one and stays. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_sitter, PASS_ON);
        assert_true(told.accepted);
        assert_int_equal(told.cancelling, 1);
        assert_int_equal(told.sitter.got, -ECANCELED);
        assert_int_equal(told.error, -ECANCELED);
        assert_true(told.cancelled);
        assert_false(told.accepted_again);
        assert_int_equal(told.cancelling_at_end, 1);
    }
}

static int look_right_after_cancel(void *arg)
{
    struct told *const told = arg;
    struct whorl_task *const task = start(sit, &told->sitter);
    must(whorl_future_await(told->sitter.begun, NULL));
    settle();
    told->accepted = whorl_cancel(task, NULL);
    told->cancelled_at_once = whorl_task_cancelled(task) || whorl_task_done(task);
    look_at_end(told, task);
    return 0;
}

static void test_canc_2_cancel_only_requests(void **state)
{
    /* The task is cancelled when its body has ended so, not when somebody asked. */
    (void)state;
    const struct told told = tell(1, look_right_after_cancel, PASS_ON);
    assert_true(told.accepted);
    assert_false(told.cancelled_at_once);
    assert_true(told.cancelled);
}

/* Its clean-up waits until somebody allows it to end. */
static int clean_up_until_allowed(void *arg)
{
    struct sitter *const sitter = arg;
    must(whorl_future_set_result(sitter->begun, NULL));
    sitter->got = wait_for_ever();
    must(whorl_future_await(sitter->gate, &sitter->value));
    return sitter->got;
}

static int cancel_and_allow(void *arg)
{
    struct told *const told = arg;
    told->sitter.gate = new_future();
    struct whorl_task *const task = start(clean_up_until_allowed, &told->sitter);
    must(whorl_future_await(told->sitter.begun, NULL));
    told->accepted = whorl_cancel(task, NULL);
    settle();
    told->cancelled_at_once = whorl_task_cancelled(task) || whorl_task_done(task);
    must(whorl_future_set_result(told->sitter.gate, told));
    look_at_end(told, task);
    whorl_future_unref(told->sitter.gate);
    return 0;
}

static void test_canc_2_and_26_not_cancelled_before_its_cleanup_has_ended(void **state)
{
    /* However long that waits, and on whatever loop; it is not disturbed by the same request. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_and_allow, PASS_ON);
        assert_true(told.accepted);
        assert_false(told.cancelled_at_once);
        assert_non_null(told.sitter.value);
        assert_true(told.cancelled);
    }
}

struct unborn {
    bool here; /* it cannot begin before its maker waits */
    int runs;
    int frees;
    int error;
    bool cancelled;
};

static int count_run(void *arg)
{
    ((struct unborn *)arg)->runs++;
    return 0;
}

static void count_free(void *arg)
{
    ((struct unborn *)arg)->frees++;
}

static int cancel_unborn(void *arg)
{
    struct unborn *const unborn = arg;
    struct whorl_attr attr = {.arg_free = count_free};
    struct whorl_task *task;
    attr.pin = unborn->here ? WHORL_PIN(whorl_loop_current()) : 0;
    must(whorl_spawn(count_run, unborn, &attr, &task));
    (void)whorl_cancel(task, NULL);
    unborn->error = whorl_await(task, NULL);
    unborn->cancelled = whorl_task_cancelled(task);
    whorl_task_unref(task);
    return 0;
}

static void test_canc_3_before_the_first_step_the_body_never_runs(void **state)
{
    /* Yet what it was given is cleaned up. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct unborn unborn = {.here = true, .error = UNSET};
        assert_int_equal(play(loops, cancel_unborn, &unborn), 0);
        assert_int_equal(unborn.runs, 0);
        assert_int_equal(unborn.frees, 1);
        assert_int_equal(unborn.error, -ECANCELED);
        assert_true(unborn.cancelled);
    }
}

/* ---- a request that comes when the body has ended ---- */

struct ending {
    struct whorl_task *task;
    bool registered;
    bool done;
    int requests;
    int error;
};

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static void cancel_ending(void *arg)
{
    struct ending *const ending = arg;
    ending->registered = whorl_cancel(ending->task, NULL);
    ending->done = whorl_task_done(ending->task);
    ending->requests = whorl_task_cancelling(ending->task);
}

static int end_while_freeing(void *arg)
{
    struct ending *const ending = arg;
    const struct whorl_attr attr = {.arg_free = cancel_ending,
                                    .pin = WHORL_PIN(whorl_loop_current())};
    must(whorl_spawn(end_at_once, ending, &attr, &ending->task));
    ending->error = whorl_await(ending->task, NULL);
    whorl_task_unref(ending->task);
    return 0;
}

static void test_mt_13_cancel_comes_too_late_while_the_argument_is_freed(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct ending ending = {.registered = true, .done = true, .error = UNSET};
        assert_int_equal(play(loops, end_while_freeing, &ending), 0);
        assert_false(ending.registered);
        assert_false(ending.done);
        assert_int_equal(ending.requests, 0);
        assert_int_equal(ending.error, 0);
    }
}

static int cancel_many_unborn(void *arg)
{
    struct unborn *const unborn = arg;
    for (int i = 0; i < 500; i++) {
        struct unborn one = {.error = UNSET};
        must(cancel_unborn(&one));
        const bool never_ran = one.runs == 0 && one.error == -ECANCELED && one.cancelled;
        const bool ran = one.runs == 1 && (one.error == 0 || one.error == -ECANCELED);
        unborn->runs += never_ran || ran;
        unborn->frees += one.frees;
    }
    return 0;
}

static void test_mt_14_cancel_races_with_a_thief_that_starts_the_task(void **state)
{
    /* It never runs or it runs; its argument is cleaned up exactly once in both cases. */
    (void)state;
    for (int loops = 2; loops <= LOOPS_MOST; loops *= 2) {
        struct unborn sums = {0};
        assert_int_equal(play(loops, cancel_many_unborn, &sums), 0);
        assert_int_equal(sums.runs, 500);
        assert_int_equal(sums.frees, 500);
    }
}

/* ---- through what it awaits ---- */

static int cancel_sitter_at_gate(void *arg)
{
    struct told *const told = arg;
    told->sitter.gate = new_future();
    must(cancel_sitter(told));
    const bool gate_cancelled = whorl_future_cancelled(told->sitter.gate);
    whorl_future_unref(told->sitter.gate);
    return gate_cancelled ? 0 : -ERANGE;
}

static void test_canc_4_the_awaited_future_is_cancelled_first(void **state)
{
    /* The task gets its cancel through it, with the message. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_sitter_at_gate, PASS_ON);
        assert_true(told.cancelled);
        assert_string_equal(told.message, "go");
    }
}

/* An outer task that awaits an inner one, which sits. */
struct pair {
    struct told told; /* the sitter in it is the inner task; the rest is about the outer */
    struct whorl_task *inner;
    void *value;
    int inner_cancelling;
    int got;
};

static int await_inner(void *arg)
{
    struct pair *const pair = arg;
    pair->got = whorl_await(pair->inner, &pair->value);
    return pair->got;
}

static int cancel_outer(void *arg)
{
    struct pair *const pair = arg;
    pair->inner = start(sit, &pair->told.sitter);
    struct whorl_task *const outer = start(await_inner, pair);
    must(whorl_future_await(pair->told.sitter.begun, NULL));
    settle(); /* the outer awaits the inner */
    pair->told.accepted = whorl_cancel(outer, "outer");
    look_at_end(&pair->told, outer);
    pair->inner_cancelling = whorl_task_cancelling(pair->inner);
    must(whorl_task_done(pair->inner) ? 0 : -ERANGE);
    whorl_task_unref(pair->inner);
    return 0;
}

static struct pair play_pair(int loops, whorl_body *body, int answer)
{
    struct pair pair = {.got = UNSET};
    pair.told.sitter = (struct sitter){.begun = new_future(), .answer = answer, .value = &pair};
    assert_int_equal(play(loops, body, &pair), 0);
    whorl_future_unref(pair.told.sitter.begun);
    return pair;
}

static void test_canc_5_cancelling_the_outer_cancels_the_inner_task(void **state)
{
    /* The inner gets the request and the message; the outer ends after it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct pair pair = play_pair(loops, cancel_outer, PASS_ON);
        assert_true(pair.told.accepted);
        assert_int_equal(pair.told.sitter.got, -ECANCELED);
        assert_string_equal(pair.told.sitter.message, "outer");
        assert_int_equal(pair.inner_cancelling, 1);
        assert_int_equal(pair.got, -ECANCELED);
        assert_true(pair.told.cancelled);
        assert_string_equal(pair.told.message, "outer");
    }
}

static void test_canc_6_inner_that_refuses_saves_the_outer(void **state)
{
    /* The outer gets the value although its cancel was accepted, and the count keeps it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct pair pair = play_pair(loops, cancel_outer, 0);
        assert_true(pair.told.accepted);
        assert_int_equal(pair.got, 0);
        assert_non_null(pair.value);
        assert_int_equal(pair.told.error, 0);
        assert_false(pair.told.cancelled);
        assert_int_equal(pair.told.cancelling_at_end, 1);
    }
}

static void test_canc_17_inner_that_answers_with_an_error_fails_the_outer_so(void **state)
{
    /* The cancel became -EPIPE on its way back. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct pair pair = play_pair(loops, cancel_outer, -EPIPE);
        assert_int_equal(pair.got, -EPIPE);
        assert_false(pair.told.cancelled);
    }
}

/* Takes two cancels to end. */
static int take_two(void *arg)
{
    struct sitter *const sitter = arg;
    must(whorl_future_set_result(sitter->begun, NULL));
    const int first = wait_for_ever();
    sitter->ran = first == -ECANCELED;
    sitter->got = wait_for_ever();
    return sitter->got;
}

static int cancel_outer_twice(void *arg)
{
    struct pair *const pair = arg;
    pair->inner = start(take_two, &pair->told.sitter);
    struct whorl_task *const outer = start(await_inner, pair);
    settle();
    pair->told.accepted = whorl_cancel(outer, "once");
    settle();
    must(whorl_task_done(pair->inner) ? -ERANGE : 0);
    pair->told.accepted_again = whorl_cancel(outer, "twice");
    look_at_end(&pair->told, outer);
    pair->inner_cancelling = whorl_task_cancelling(pair->inner);
    whorl_task_unref(pair->inner);
    return 0;
}

static void test_canc_7_second_cancel_goes_down_to_the_inner_again(void **state)
{
    /* While it is still unwinding from the first. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct pair pair = play_pair(loops, cancel_outer_twice, 0);
        assert_true(pair.told.accepted_again);
        assert_true(pair.told.sitter.ran);
        assert_int_equal(pair.told.sitter.got, -ECANCELED);
        assert_int_equal(pair.inner_cancelling, 2);
        assert_int_equal(pair.told.cancelling_at_end, 2);
        assert_true(pair.told.cancelled);
    }
}

/* Two tasks that await each other, and a chain of three. */
struct knot {
    struct whorl_future *tied; /* all handles are there */
    struct whorl_task *tasks[3];
    int errors[3];
    int count;
    struct ring_place {
        struct knot *knot;
        int at;
    } places[3];
};

static int await_next(void *arg)
{
    const struct ring_place *const place = arg;
    struct knot *const knot = place->knot;
    must(whorl_future_join(knot->tied, WHORL_NEVER, NULL));
    knot->errors[place->at] = whorl_await(knot->tasks[(place->at + 1) % knot->count], NULL);
    return knot->errors[place->at];
}

static int tie_and_cancel(void *arg)
{
    struct knot *const knot = arg;
    for (int i = 0; i < knot->count; i++) {
        knot->places[i] = (struct ring_place){.knot = knot, .at = i};
        knot->tasks[i] = start(await_next, &knot->places[i]);
    }
    must(whorl_future_set_result(knot->tied, NULL));
    settle();
    must(whorl_cancel(knot->tasks[0], NULL) ? 0 : -ERANGE);
    for (int i = 0; i < knot->count; i++) {
        (void)whorl_join(knot->tasks[i], WHORL_NEVER, NULL);
    }
    for (int i = 0; i < knot->count; i++) {
        whorl_task_unref(knot->tasks[i]);
    }
    return 0;
}

static void tie(int count, int loops)
{
    struct knot knot = {.count = count, .tied = new_future()};
    assert_int_equal(play(loops, tie_and_cancel, &knot), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(knot.errors[i], -ECANCELED);
    }
    whorl_future_unref(knot.tied);
}

static void test_task_19_a_circle_of_awaits_is_untied_by_a_cancel(void **state)
{
    /* It hangs by itself, as in asyncio; a cancel that went round for ever would hang too. */
    (void)state;
    for (int count = 2; count <= 3; count++) {
        for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
            tie(count, loops);
        }
    }
}

/* ---- completed and cancelled in one pass ---- */

static int complete_then_cancel(void *arg)
{
    struct told *const told = arg;
    void *value = NULL;
    told->sitter.gate = new_future();
    struct whorl_task *const task = start(sit, &told->sitter);
    settle();
    must(whorl_future_set_result(told->sitter.gate, told));
    told->accepted = whorl_cancel(task, "later");
    look_at_end(told, task);
    must(whorl_future_result(told->sitter.gate, &value));
    whorl_future_unref(told->sitter.gate);
    return value == told ? 0 : -ERANGE;
}

static void test_canc_12_cancel_after_completion_wins_and_the_value_stays(void **state)
{
    /* The task was queued with its result; what it gets is the cancel, and exactly one resume. */
    (void)state;
    const struct told told = tell(1, complete_then_cancel, PASS_ON);
    assert_true(told.accepted);
    assert_int_equal(told.sitter.got, -ECANCELED);
    assert_string_equal(told.sitter.message, "later");
    assert_true(told.cancelled);
}

/* ---- what a body answers ---- */

static void test_canc_15_catch_and_return_is_a_success(void **state)
{
    /* Done, not cancelled. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_sitter, 0);
        assert_int_equal(told.sitter.got, -ECANCELED);
        assert_int_equal(told.error, 0);
        assert_false(told.cancelled);
    }
}

static void test_canc_17_catch_and_fail_is_that_failure(void **state)
{
    /* Not cancelled either. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_sitter, -EIO);
        assert_int_equal(told.error, -EIO);
        assert_false(told.cancelled);
    }
}

static int ignore_first(void *arg)
{
    struct told *const told = arg;
    struct whorl_task *const task = start(take_two, &told->sitter);
    must(whorl_future_await(told->sitter.begun, NULL));
    told->accepted = whorl_cancel(task, "one");
    settle();
    must(whorl_task_done(task) ? -ERANGE : 0);
    told->accepted_again = whorl_cancel(task, "two");
    look_at_end(told, task);
    return 0;
}

static void test_canc_16_body_that_goes_on_is_alive_until_the_second(void **state)
{
    /* The second cancel works as the first. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, ignore_first, 0);
        assert_true(told.accepted && told.accepted_again);
        assert_true(told.sitter.ran);
        assert_int_equal(told.sitter.got, -ECANCELED);
        assert_int_equal(told.cancelling_at_end, 2);
        assert_true(told.cancelled);
    }
}

static int uncancel_ended(void *arg)
{
    struct told *const told = arg;
    struct whorl_task *const task = start(sit, &told->sitter);
    must(whorl_future_await(told->sitter.begun, NULL));
    told->accepted = whorl_cancel(task, NULL);
    (void)whorl_await(task, NULL);
    must(whorl_uncancel(task));
    look_at_end(told, task);
    return 0;
}

static void test_canc_22_uncancel_does_not_change_how_a_task_ended(void **state)
{
    /* The count falls; cancelled stays cancelled. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, uncancel_ended, PASS_ON);
        assert_true(told.cancelled);
        assert_int_equal(told.error, -ECANCELED);
        assert_int_equal(told.cancelling_at_end, 0);
    }
}

/* ---- who was meant ---- */

static void test_canc_23_awaiters_of_a_cancelled_task_see_the_message(void **state)
{
    /* It travels with the outcome; without one there is none. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_sitter, PASS_ON);
        assert_string_equal(told.message, "go");
        assert_string_equal(told.sitter.message, "go");
    }
    assert_null(tell(1, look_right_after_cancel, PASS_ON).message);
}

static int cancel_gate_only(void *arg)
{
    struct told *const told = arg;
    told->sitter.gate = new_future();
    struct whorl_task *const task = start(sit, &told->sitter);
    must(whorl_future_await(told->sitter.begun, NULL));
    must(whorl_future_cancel(told->sitter.gate, "gate") ? 0 : -ERANGE);
    look_at_end(told, task);
    whorl_future_unref(told->sitter.gate);
    return 0;
}

static void test_canc_24_cancel_of_the_awaited_future_looks_the_same(void **state)
{
    /* But for the count: 0 tells that what it waited for was meant, not the task. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct told told = tell(loops, cancel_gate_only, PASS_ON);
        assert_int_equal(told.sitter.got, -ECANCELED);
        assert_string_equal(told.sitter.message, "gate");
        assert_int_equal(told.cancelling_at_end, 0);
        assert_true(told.cancelled);
    }
}

static int cancel_inner_only(void *arg)
{
    struct pair *const pair = arg;
    pair->inner = start(sit, &pair->told.sitter);
    struct whorl_task *const outer = start(await_inner, pair);
    must(whorl_future_await(pair->told.sitter.begun, NULL));
    must(whorl_cancel(pair->inner, "inner") ? 0 : -ERANGE);
    look_at_end(&pair->told, outer);
    whorl_task_unref(pair->inner);
    return 0;
}

static void test_canc_25_awaiter_that_passes_it_on_ends_cancelled_too(void **state)
{
    /* Though nobody cancelled it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct pair pair = play_pair(loops, cancel_inner_only, PASS_ON);
        assert_int_equal(pair.got, -ECANCELED);
        assert_true(pair.told.cancelled);
        assert_int_equal(pair.told.cancelling_at_end, 0);
        assert_string_equal(pair.told.message, "inner");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canc_1_live_is_accepted_and_counted_ended_is_not),
        cmocka_unit_test(test_canc_2_cancel_only_requests),
        cmocka_unit_test(test_canc_2_and_26_not_cancelled_before_its_cleanup_has_ended),
        cmocka_unit_test(test_canc_3_before_the_first_step_the_body_never_runs),
        cmocka_unit_test(test_mt_13_cancel_comes_too_late_while_the_argument_is_freed),
        cmocka_unit_test(test_mt_14_cancel_races_with_a_thief_that_starts_the_task),
        cmocka_unit_test(test_canc_4_the_awaited_future_is_cancelled_first),
        cmocka_unit_test(test_canc_5_cancelling_the_outer_cancels_the_inner_task),
        cmocka_unit_test(test_canc_6_inner_that_refuses_saves_the_outer),
        cmocka_unit_test(test_canc_17_inner_that_answers_with_an_error_fails_the_outer_so),
        cmocka_unit_test(test_canc_7_second_cancel_goes_down_to_the_inner_again),
        cmocka_unit_test(test_task_19_a_circle_of_awaits_is_untied_by_a_cancel),
        cmocka_unit_test(test_canc_12_cancel_after_completion_wins_and_the_value_stays),
        cmocka_unit_test(test_canc_15_catch_and_return_is_a_success),
        cmocka_unit_test(test_canc_17_catch_and_fail_is_that_failure),
        cmocka_unit_test(test_canc_16_body_that_goes_on_is_alive_until_the_second),
        cmocka_unit_test(test_canc_22_uncancel_does_not_change_how_a_task_ended),
        cmocka_unit_test(test_canc_23_awaiters_of_a_cancelled_task_see_the_message),
        cmocka_unit_test(test_canc_24_cancel_of_the_awaited_future_looks_the_same),
        cmocka_unit_test(test_canc_25_awaiter_that_passes_it_on_ends_cancelled_too),
    };
    return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
