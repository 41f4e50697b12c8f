/*
 * Gather: many at once; rows GATH of asyncio's semantics.
 */
#include "support/play.h"

enum { CHILDREN = 4 };

/* ---- children that end when told ---- */

/* Each child waits on a gate of its own, then ends with the gate's outcome. */
struct nursery {
    unsigned flags;
    struct sitter children[CHILDREN];
    struct whorl_task *tasks[CHILDREN];
    struct whorl_result results[CHILDREN];
    struct whorl_future *gates[CHILDREN];
    int error;
    const char *message;
    bool done_early[CHILDREN]; /* the children that had ended when the gather did */
    bool accepted, cancelled;
    int errors[CHILDREN];
};

static int pass_gate(void *arg)
{
    struct sitter *const child = arg;
    child->ran = true;
    child->got = whorl_future_await(child->gate, &child->value);
    child->message = whorl_cancel_message();
    must(whorl_return(child->value));
    return child->answer == PASS_ON ? child->got : child->answer;
}

static void open_nursery(struct nursery *nursery)
{
    for (int i = 0; i < CHILDREN; i++) {
        nursery->gates[i] = new_future();
        nursery->children[i].gate = nursery->gates[i];
        nursery->children[i].answer = PASS_ON;
        nursery->tasks[i] = start(pass_gate, &nursery->children[i]);
    }
}

/* Ends whoever still lives, and takes down how each ended. */
static void close_nursery(struct nursery *nursery)
{
    for (int i = 0; i < CHILDREN; i++) {
        (void)whorl_future_set_result(nursery->gates[i], NULL);
        nursery->errors[i] = finish(nursery->tasks[i]);
        whorl_future_unref(nursery->gates[i]);
    }
}

static int gather_all(struct nursery *nursery)
{
    nursery->error = whorl_gather(nursery->tasks, CHILDREN, nursery->flags, nursery->results);
    nursery->message = whorl_cancel_message();
    for (int i = 0; i < CHILDREN; i++) {
        nursery->done_early[i] = whorl_task_done(nursery->tasks[i]);
    }
    return nursery->error;
}

static int gather_as_task(void *arg)
{
    return gather_all(arg);
}

/* ---- results ---- */

static int complete_backwards(void *arg)
{
    struct nursery *const nursery = arg;
    open_nursery(nursery);
    for (int i = CHILDREN - 1; i >= 0; i--) {
        must(whorl_future_set_result(nursery->gates[i], &nursery->children[i]));
        must(whorl_yield());
    }
    (void)gather_all(nursery);
    close_nursery(nursery);
    return 0;
}

static void test_gath_1_results_stand_in_the_order_of_the_arguments(void **state)
{
    /* Whoever ended first. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET};
        assert_int_equal(play(loops, complete_backwards, &nursery), 0);
        assert_int_equal(nursery.error, 0);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(nursery.results[i].error, 0);
            assert_ptr_equal(nursery.results[i].value, &nursery.children[i]);
        }
    }
}

static int fail_one(void *arg)
{
    struct nursery *const nursery = arg;
    open_nursery(nursery);
    nursery->results[0].error = UNSET;
    must(whorl_future_set_error(nursery->gates[1], -EPIPE));
    (void)gather_all(nursery);
    close_nursery(nursery);
    return 0;
}

static void test_gath_2_first_error_comes_at_once_and_siblings_run_on(void **state)
{
    /* They are not cancelled; and the results are not written. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET};
        assert_int_equal(play(loops, fail_one, &nursery), 0);
        assert_int_equal(nursery.error, -EPIPE);
        assert_int_equal(nursery.results[0].error, UNSET);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(nursery.done_early[i], i == 1);
            assert_int_equal(nursery.errors[i], i == 1 ? -EPIPE : 0);
        }
    }
}

static int fail_then_cancel(void *arg)
{
    struct nursery *const nursery = arg;
    struct whorl_future *gather;
    struct whorl_future *futures[CHILDREN];
    open_nursery(nursery);
    for (int i = 0; i < CHILDREN; i++) {
        futures[i] = whorl_task_future(nursery->tasks[i]);
    }
    must(whorl_gather_start(futures, CHILDREN, 0, &gather));
    must(whorl_future_set_error(nursery->gates[0], -EIO));
    nursery->error = whorl_future_await(gather, NULL);
    nursery->accepted = whorl_future_cancel(gather, NULL);
    whorl_future_unref(gather);
    close_nursery(nursery);
    return 0;
}

static void test_gath_4_cancelling_a_failed_gather_touches_nobody(void **state)
{
    /* It is done: refused, and the siblings end with their own results. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET};
        assert_int_equal(play(loops, fail_then_cancel, &nursery), 0);
        assert_int_equal(nursery.error, -EIO);
        assert_false(nursery.accepted);
        for (int i = 1; i < CHILDREN; i++) {
            assert_int_equal(nursery.errors[i], 0);
        }
    }
}

static int end_each_differently(void *arg)
{
    struct nursery *const nursery = arg;
    open_nursery(nursery);
    must(whorl_future_set_error(nursery->gates[0], -EPIPE));
    must(whorl_future_set_result(nursery->gates[1], nursery));
    (void)whorl_cancel(nursery->tasks[2], NULL);
    must(whorl_future_set_error(nursery->gates[3], -EIO));
    (void)gather_all(nursery);
    close_nursery(nursery);
    return 0;
}

static void test_gath_5_and_7_errors_and_cancels_stand_among_the_results(void **state)
{
    /* With the flag the gather waits for all, and itself succeeds. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET, .flags = WHORL_GATHER_RETURN_EXCEPTIONS};
        assert_int_equal(play(loops, end_each_differently, &nursery), 0);
        assert_int_equal(nursery.error, 0);
        assert_int_equal(nursery.results[0].error, -EPIPE);
        assert_null(nursery.results[0].value);
        assert_int_equal(nursery.results[1].error, 0);
        assert_ptr_equal(nursery.results[1].value, &nursery);
        assert_int_equal(nursery.results[2].error, -ECANCELED);
        assert_int_equal(nursery.results[3].error, -EIO);
        for (int i = 0; i < CHILDREN; i++) {
            assert_true(nursery.done_early[i]);
        }
    }
}

static int cancel_one_child(void *arg)
{
    struct nursery *const nursery = arg;
    struct whorl_future *gather;
    struct whorl_future *futures[CHILDREN];
    open_nursery(nursery);
    for (int i = 0; i < CHILDREN; i++) {
        futures[i] = whorl_task_future(nursery->tasks[i]);
    }
    must(whorl_gather_start(futures, CHILDREN, 0, &gather));
    must(whorl_yield());
    (void)whorl_cancel(nursery->tasks[2], "alone");
    nursery->error = whorl_future_await(gather, NULL);
    nursery->message = whorl_cancel_message();
    nursery->cancelled = whorl_future_cancelled(gather);
    whorl_future_unref(gather);
    close_nursery(nursery);
    return 0;
}

static void test_gath_6_cancelled_child_fails_the_gather_which_is_not_cancelled(void **state)
{
    /* The code is -ECANCELED, the siblings run on. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET};
        assert_int_equal(play(loops, cancel_one_child, &nursery), 0);
        assert_int_equal(nursery.error, -ECANCELED);
        assert_string_equal(nursery.message, "alone");
        assert_false(nursery.cancelled);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(nursery.errors[i], i == 2 ? -ECANCELED : 0);
        }
    }
}

/* ---- cancelling the gather ---- */

static int cancel_gatherer(void *arg)
{
    struct nursery *const nursery = arg;
    open_nursery(nursery);
    struct whorl_task *const gatherer = start(gather_as_task, nursery);
    settle();
    nursery->accepted = whorl_cancel(gatherer, "all of you");
    (void)whorl_join(gatherer, WHORL_NEVER, NULL);
    whorl_task_unref(gatherer);
    close_nursery(nursery);
    return 0;
}

static void assert_all_children_cancelled(const struct nursery *nursery)
{
    for (int i = 0; i < CHILDREN; i++) {
        assert_true(nursery->done_early[i]);
        assert_int_equal(nursery->children[i].got, -ECANCELED);
        assert_int_equal(nursery->errors[i], -ECANCELED);
        assert_string_equal(nursery->children[i].message, "all of you");
    }
}

static void test_gath_8_cancelling_it_cancels_all_children(void **state)
{
    /* With the message, in both forms. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (unsigned flags = 0; flags <= WHORL_GATHER_RETURN_EXCEPTIONS; flags++) {
            struct nursery nursery = {.error = UNSET, .flags = flags};
            assert_int_equal(play(loops, cancel_gatherer, &nursery), 0);
            assert_true(nursery.accepted);
            assert_int_equal(nursery.error, -ECANCELED);
            assert_all_children_cancelled(&nursery);
        }
    }
}

static void test_gath_19_message_passes_through_to_the_awaiter(void **state)
{
    /* As if it had been cancelled without a gather in between. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (unsigned flags = 0; flags <= WHORL_GATHER_RETURN_EXCEPTIONS; flags++) {
            struct nursery nursery = {.error = UNSET, .flags = flags};
            assert_int_equal(play(loops, cancel_gatherer, &nursery), 0);
            assert_string_equal(nursery.message, "all of you");
        }
    }
}

/* One child takes long to end after its cancel. */
static int end_slowly(void *arg)
{
    struct sitter *const child = arg;
    child->got = whorl_future_await(child->gate, NULL);
    for (int i = 0; i < 50; i++) {
        must(whorl_yield());
    }
    return child->got;
}

static int cancel_gatherer_of_a_slow_one(void *arg)
{
    struct nursery *const nursery = arg;
    struct whorl_future *const gate = new_future();
    struct sitter slow = {.gate = gate, .got = UNSET};
    open_nursery(nursery);
    struct whorl_task *const replaced = nursery->tasks[3];
    nursery->tasks[3] = start(end_slowly, &slow);
    struct whorl_task *const gatherer = start(gather_as_task, nursery);
    settle();
    nursery->accepted = whorl_cancel(gatherer, NULL);
    (void)whorl_join(gatherer, WHORL_NEVER, NULL);
    whorl_task_unref(gatherer);
    must(whorl_future_set_result(nursery->gates[3], NULL));
    must(finish(replaced)); /* while its gate is there */
    close_nursery(nursery);
    whorl_future_unref(gate);
    return 0;
}

static void test_gath_9_cancelled_it_ends_when_the_children_have_ended(void **state)
{
    /* The slowest too, in both forms: nothing runs on behind the back of who cancelled. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (unsigned flags = 0; flags <= WHORL_GATHER_RETURN_EXCEPTIONS; flags++) {
            struct nursery nursery = {.error = UNSET, .flags = flags};
            assert_int_equal(play(loops, cancel_gatherer_of_a_slow_one, &nursery), 0);
            assert_int_equal(nursery.error, -ECANCELED);
            for (int i = 0; i < CHILDREN; i++) {
                assert_true(nursery.done_early[i]);
            }
        }
    }
}

static int refuse_to_end(void *arg)
{
    struct sitter *const child = arg;
    child->got = whorl_future_await(child->gate, NULL);
    return 0;
}

static int cancel_gatherer_of_stubborn(void *arg)
{
    struct nursery *const nursery = arg;
    for (int i = 0; i < CHILDREN; i++) {
        nursery->gates[i] = new_future();
        nursery->children[i].gate = nursery->gates[i];
        nursery->tasks[i] = start(refuse_to_end, &nursery->children[i]);
    }
    struct whorl_task *const gatherer = start(gather_as_task, nursery);
    settle();
    (void)whorl_cancel(gatherer, NULL);
    (void)whorl_join(gatherer, WHORL_NEVER, NULL);
    whorl_task_unref(gatherer);
    close_nursery(nursery);
    return 0;
}

static void test_gath_10_cancelled_it_is_ecanceled_whatever_the_children_answer(void **state)
{
    /* Even with the flag, and though every child swallowed the cancel. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (unsigned flags = 0; flags <= WHORL_GATHER_RETURN_EXCEPTIONS; flags++) {
            struct nursery nursery = {.error = UNSET, .flags = flags};
            assert_int_equal(play(loops, cancel_gatherer_of_stubborn, &nursery), 0);
            assert_int_equal(nursery.error, -ECANCELED);
            for (int i = 0; i < CHILDREN; i++) {
                assert_int_equal(nursery.children[i].got, -ECANCELED);
                assert_int_equal(nursery.errors[i], 0);
            }
        }
    }
}

static int gather_plain(void *arg)
{
    struct nursery *const nursery = arg;
    struct whorl_future *gather;
    for (int i = 0; i < CHILDREN; i++) {
        nursery->gates[i] = new_future();
        must(whorl_future_set_result(nursery->gates[i], &nursery->gates[i]));
    }
    must(whorl_gather_start(nursery->gates, CHILDREN, 0, &gather));
    nursery->accepted = whorl_future_cancel(gather, NULL);
    const struct whorl_result *results = NULL;
    nursery->error = whorl_future_result(gather, (void **)&results);
    for (int i = 0; results != NULL && i < CHILDREN; i++) {
        nursery->results[i] = results[i];
    }
    whorl_future_unref(gather);
    for (int i = 0; i < CHILDREN; i++) {
        whorl_future_unref(nursery->gates[i]);
    }
    return 0;
}

static void test_gath_11_and_15_over_done_children_it_is_done_and_refuses(void **state)
{
    /* Without a wait, and its results are delivered; on a plain thread as well. */
    (void)state;
    for (int loops = 0; loops <= LOOPS_MOST; loops = loops == 0 ? 1 : loops * 2) {
        struct nursery nursery = {.error = UNSET, .accepted = true};
        if (loops == 0) {
            assert_int_equal(gather_plain(&nursery), 0);
        } else {
            assert_int_equal(play(loops, gather_plain, &nursery), 0);
        }
        assert_int_equal(nursery.error, 0);
        assert_false(nursery.accepted);
        for (int i = 0; i < CHILDREN; i++) {
            assert_ptr_equal(nursery.results[i].value, &nursery.gates[i]);
        }
    }
}

/* ---- borders ---- */

static int gather_nothing(void *arg)
{
    int *const errors = arg;
    struct whorl_future *gather;
    struct whorl_task *const missing[2] = {NULL, NULL};
    errors[0] = whorl_gather(NULL, 0, 0, NULL);
    must(whorl_gather_start(NULL, 0, 0, &gather));
    errors[1] = whorl_future_result(gather, NULL);
    errors[2] = whorl_gather(missing, 2, 0, NULL);
    whorl_future_unref(gather);
    return 0;
}

static void test_gath_12_nothing_is_done_at_once(void **state)
{
    /* And a NULL among the tasks is refused. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int errors[3] = {UNSET, UNSET, UNSET};
        assert_int_equal(play(loops, gather_nothing, errors), 0);
        assert_int_equal(errors[0], 0);
        assert_int_equal(errors[1], 0);
        assert_int_equal(errors[2], -EINVAL);
    }
}

static int gather_one_twice(void *arg)
{
    struct nursery *const nursery = arg;
    open_nursery(nursery);
    struct whorl_task *const twice[2] = {nursery->tasks[0], nursery->tasks[0]};
    must(whorl_future_set_result(nursery->gates[0], nursery));
    nursery->error = whorl_gather(twice, 2, 0, nursery->results);
    close_nursery(nursery);
    return 0;
}

static void test_gath_13_same_child_twice_stands_at_both_places(void **state)
{
    /* It runs once. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET};
        assert_int_equal(play(loops, gather_one_twice, &nursery), 0);
        assert_int_equal(nursery.error, 0);
        assert_ptr_equal(nursery.results[0].value, &nursery);
        assert_ptr_equal(nursery.results[1].value, &nursery);
    }
}

static int start_and_drop(void *arg)
{
    struct nursery *const nursery = arg;
    struct whorl_future *gather;
    struct whorl_future *futures[CHILDREN];
    open_nursery(nursery);
    for (int i = 0; i < CHILDREN; i++) {
        futures[i] = whorl_task_future(nursery->tasks[i]);
    }
    must(whorl_gather_start(futures, CHILDREN, 0, &gather));
    whorl_future_unref(gather);
    close_nursery(nursery);
    return 0;
}

static void test_gath_16_need_not_be_awaited(void **state)
{
    /* Dropping it cancels nobody; it lives until its children have reported. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {0};
        assert_int_equal(play(loops, start_and_drop, &nursery), 0);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(nursery.errors[i], 0);
        }
    }
}

static int gather_with_bad_one(void *arg)
{
    struct nursery *const nursery = arg;
    open_nursery(nursery);
    struct whorl_task *const kept = nursery->tasks[2];
    nursery->tasks[2] = NULL;
    nursery->error = whorl_gather(nursery->tasks, CHILDREN, 0, nursery->results);
    nursery->tasks[2] = kept;
    close_nursery(nursery);
    return 0;
}

static void test_gath_20_bad_argument_in_the_middle_leaves_the_others_whole(void **state)
{
    /* Refused before anything is registered with those that came first. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nursery nursery = {.error = UNSET};
        assert_int_equal(play(loops, gather_with_bad_one, &nursery), 0);
        assert_int_equal(nursery.error, -EINVAL);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(nursery.errors[i], 0);
        }
    }
}

/* ---- circles and crowds ---- */

struct circle {
    struct whorl_future *closed; /* both handles are there */
    struct whorl_task *outer;
    struct whorl_task *inner;
    int outer_got, inner_got;
};

static int gather_inner(void *arg)
{
    struct circle *const circle = arg;
    must(whorl_future_join(circle->closed, WHORL_NEVER, NULL));
    circle->outer_got = whorl_gather(&circle->inner, 1, 0, NULL);
    return circle->outer_got;
}

static int await_outer(void *arg)
{
    struct circle *const circle = arg;
    must(whorl_future_join(circle->closed, WHORL_NEVER, NULL));
    circle->inner_got = whorl_await(circle->outer, NULL);
    return circle->inner_got;
}

static int cancel_circle(void *arg)
{
    struct circle *const circle = arg;
    circle->outer = start(gather_inner, circle);
    circle->inner = start(await_outer, circle);
    must(whorl_future_set_result(circle->closed, NULL));
    settle();
    (void)whorl_cancel(circle->outer, NULL);
    (void)whorl_join(circle->outer, WHORL_NEVER, NULL);
    (void)whorl_join(circle->inner, WHORL_NEVER, NULL);
    whorl_task_unref(circle->outer);
    whorl_task_unref(circle->inner);
    return 0;
}

static void test_task_19_a_circle_through_a_gather_is_untied_by_a_cancel(void **state)
{
    /* A request that goes round by way of a gather must stop as well. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct circle circle = {.closed = new_future(), .outer_got = UNSET, .inner_got = UNSET};
        assert_int_equal(play(loops, cancel_circle, &circle), 0);
        assert_int_equal(circle.outer_got, -ECANCELED);
        assert_int_equal(circle.inner_got, -ECANCELED);
        whorl_future_unref(circle.closed);
    }
}

enum { CROWD = 1000 };

static int square(void *arg)
{
    const uintptr_t number = (uintptr_t)arg;
    must(whorl_yield());
    return whorl_return((void *)(number * number));
}

static int gather_crowd(void *arg)
{
    static struct whorl_task *tasks[CROWD];
    static struct whorl_result results[CROWD];
    (void)arg;
    for (uintptr_t i = 0; i < CROWD; i++) {
        tasks[i] = start(square, (void *)i);
    }
    must(whorl_gather(tasks, CROWD, 0, results));
    for (uintptr_t i = 0; i < CROWD; i++) {
        must((uintptr_t)results[i].value == i * i ? 0 : -ERANGE);
        whorl_task_unref(tasks[i]);
    }
    return 0;
}

static void test_mt_17_a_thousand_children_on_many_loops_all_report_once(void **state)
{
    /* The counter is brought to zero by exactly one of them. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, gather_crowd, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gath_1_results_stand_in_the_order_of_the_arguments),
        cmocka_unit_test(test_gath_2_first_error_comes_at_once_and_siblings_run_on),
        cmocka_unit_test(test_gath_4_cancelling_a_failed_gather_touches_nobody),
        cmocka_unit_test(test_gath_5_and_7_errors_and_cancels_stand_among_the_results),
        cmocka_unit_test(test_gath_6_cancelled_child_fails_the_gather_which_is_not_cancelled),
        cmocka_unit_test(test_gath_8_cancelling_it_cancels_all_children),
        cmocka_unit_test(test_gath_19_message_passes_through_to_the_awaiter),
        cmocka_unit_test(test_gath_9_cancelled_it_ends_when_the_children_have_ended),
        cmocka_unit_test(test_gath_10_cancelled_it_is_ecanceled_whatever_the_children_answer),
        cmocka_unit_test(test_gath_11_and_15_over_done_children_it_is_done_and_refuses),
        cmocka_unit_test(test_gath_12_nothing_is_done_at_once),
        cmocka_unit_test(test_gath_13_same_child_twice_stands_at_both_places),
        cmocka_unit_test(test_gath_16_need_not_be_awaited),
        cmocka_unit_test(test_gath_20_bad_argument_in_the_middle_leaves_the_others_whole),
        cmocka_unit_test(test_task_19_a_circle_through_a_gather_is_untied_by_a_cancel),
        cmocka_unit_test(test_mt_17_a_thousand_children_on_many_loops_all_report_once),
    };
    return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
