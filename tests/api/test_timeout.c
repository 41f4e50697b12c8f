/*
 * Timeouts over a block; rows TMO of asyncio's semantics.
 */
#include "support/faults.h"
#include "support/play.h"

/* ---- one block ---- */

/* What happened inside and after a block. */
struct block {
    int64_t after_ns; /* the deadline, from now */
    int answer;       /* how the block ends; PASS_ON: with what its wait returned */
    int inside;
    int outside;
    int then; /* of a wait after the block */
    bool expired;
    int cancelling;
    int64_t when_ns;
};

#define UNSEEN .inside = UNSET, .outside = UNSET, .then = UNSET

static int wait_in_block(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(block->after_ns)));
    block->when_ns = whorl_timeout_when(&timeout);
    block->inside = wait_for_ever();
    block->outside =
        whorl_timeout_exit(&timeout, block->answer == PASS_ON ? block->inside : block->answer);
    block->expired = whorl_timeout_expired(&timeout);
    block->cancelling = whorl_task_cancelling(whorl_task_current());
    block->then = whorl_yield();
    return 0;
}

static struct block play_block(int loops, whorl_body *body, int64_t after_ns, int answer)
{
    struct block block = {.after_ns = after_ns, .answer = answer, UNSEEN};
    assert_int_equal(play(loops, body, &block), 0);
    return block;
}

static void test_tmo_1_and_2_and_3_expiry_cancels_inside_and_is_etimedout_outside(void **state)
{
    /* Inside it looks like any cancel, outside nothing of it is left. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, wait_in_block, 2 * WHORL_MILLISECOND, PASS_ON);
        assert_int_equal(block.inside, -ECANCELED);
        assert_int_equal(block.outside, -ETIMEDOUT);
        assert_true(block.expired);
        assert_int_equal(block.cancelling, 0);
        assert_int_equal(block.then, 0);
    }
}

static void test_tmo_4_block_that_swallows_the_cancel_ends_normally(void **state)
{
    /* But the timeout knows that it expired. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, wait_in_block, WHORL_MILLISECOND, 0);
        assert_int_equal(block.outside, 0);
        assert_true(block.expired);
        assert_int_equal(block.cancelling, 0);
    }
}

static void test_tmo_5_another_error_after_expiry_comes_out(void **state)
{
    /* It is the newer news. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, wait_in_block, WHORL_MILLISECOND, -EPIPE);
        assert_int_equal(block.outside, -EPIPE);
        assert_true(block.expired);
        assert_int_equal(block.cancelling, 0);
    }
}

static int leave_early(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(block->after_ns)));
    block->inside = whorl_yield();
    block->outside = whorl_timeout_exit(&timeout, block->answer);
    block->expired = whorl_timeout_expired(&timeout);
    block->then = whorl_sleep(2 * WHORL_MILLISECOND);
    return 0;
}

static void test_tmo_6_error_without_expiry_passes_unchanged(void **state)
{
    /* -ECANCELED of the block's own making as well. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const int answers[] = {0, -EPIPE, -ECANCELED, -ETIMEDOUT};
        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
            const struct block block = play_block(loops, leave_early, WHORL_SECOND, answers[i]);
            assert_int_equal(block.outside, answers[i]);
            assert_false(block.expired);
        }
    }
}

static int leave_many_early(void *arg)
{
    struct whorl_stats before;
    struct whorl_stats after;
    (void)arg;
    must(whorl_stats(-1, &before));
    for (int i = 0; i < 100; i++) {
        struct whorl_timeout timeout;
        must(whorl_timeout_enter(&timeout, whorl_after(200 * WHORL_MILLISECOND)));
        must(whorl_timeout_exit(&timeout, 0));
    }
    must(whorl_sleep(250 * WHORL_MILLISECOND));
    must(whorl_stats(-1, &after));
    return after.timers - before.timers == 1 ? 0 : -ERANGE;
}

static void test_tmo_21_normal_end_takes_the_timer_out(void **state)
{
    /* Only the sleep's own timer fires. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, leave_many_early, NULL), 0);
    }
}

/* ---- never, and at once ---- */

static int enter_never(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    block->when_ns = whorl_timeout_when(&timeout);
    block->inside = whorl_sleep(WHORL_MILLISECOND);
    block->outside = whorl_timeout_exit(&timeout, 0);
    block->expired = whorl_timeout_expired(&timeout);
    return 0;
}

static void test_tmo_12_never_is_no_deadline(void **state)
{
    /* when() tells, and nothing expires. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, enter_never, 0, 0);
        assert_true(block.when_ns == WHORL_NEVER);
        assert_int_equal(block.inside, 0);
        assert_int_equal(block.outside, 0);
        assert_false(block.expired);
    }
}

static void test_tmo_10_past_deadline_fires_at_the_first_wait(void **state)
{
    /* Entering succeeds. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, wait_in_block, 0, PASS_ON);
        assert_int_equal(block.inside, -ECANCELED);
        assert_int_equal(block.outside, -ETIMEDOUT);
    }
}

static int never_wait(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_now() - WHORL_SECOND));
    block->outside = whorl_timeout_exit(&timeout, 0);
    block->expired = whorl_timeout_expired(&timeout);
    block->cancelling = whorl_task_cancelling(whorl_task_current());
    block->then = whorl_yield();
    return 0;
}

static void test_tmo_10_block_that_never_waits_ends_normally(void **state)
{
    /* And its request is taken back: the next wait outside is not hit. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, never_wait, 0, 0);
        assert_int_equal(block.outside, 0);
        assert_false(block.expired);
        assert_int_equal(block.cancelling, 0);
        assert_int_equal(block.then, 0);
    }
}

static int yield_in_expired(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, 0));
    block->inside = whorl_sleep(0);
    block->outside = whorl_timeout_exit(&timeout, block->inside);
    return 0;
}

static void test_tmo_11_zero_with_sleep_zero_inside_times_out(void **state)
{
    /* The expiry comes before the resume. */
    (void)state;
    const struct block block = play_block(1, yield_in_expired, 0, 0);
    assert_int_equal(block.inside, -ECANCELED);
    assert_int_equal(block.outside, -ETIMEDOUT);
}

/* ---- no memory ---- */

static void refuse_memory(void)
{
    faults_order(&(struct faults_order){
        .entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE, .error = -ENOMEM, .first = 1});
}

/* The timers of a loop get room with the first of them. */
static int enter_and_move_without_memory(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    refuse_memory();
    block->outside = whorl_timeout_enter(&timeout, whorl_after(WHORL_SECOND));
    must(whorl_timeout_enter(&timeout, WHORL_NEVER)); /* or that one would still be open */
    refuse_memory();
    block->inside = whorl_timeout_reschedule(&timeout, whorl_after(WHORL_SECOND));
    block->when_ns = whorl_timeout_when(&timeout);
    must(whorl_timeout_reschedule(&timeout, whorl_after(WHORL_SECOND)));
    block->then = whorl_timeout_exit(&timeout, whorl_yield());
    return 0;
}

static void test_timeout_without_memory_for_its_timer_is_enomem(void **state)
{
    /* Entering has opened no block; a block that is moved has no deadline then, and says so. */
    struct block block = {UNSEEN};
    (void)state;
    faults_install();
    const int error = play(1, enter_and_move_without_memory, &block);
    faults_remove();
    assert_int_equal(error, 0);
    assert_int_equal(block.outside, -ENOMEM);
    assert_int_equal(block.inside, -ENOMEM);
    assert_int_equal(block.when_ns, WHORL_NEVER);
    assert_int_equal(block.then, 0);
}

/* ---- cancels from outside ---- */

struct foreign {
    struct block block;
    struct whorl_future *begun;
    int at_end;
};

static int wait_and_tell(void *arg)
{
    struct foreign *const foreign = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(foreign->block.after_ns)));
    must(whorl_future_set_result(foreign->begun, NULL));
    foreign->block.inside = wait_for_ever();
    foreign->block.outside = whorl_timeout_exit(&timeout, foreign->block.inside);
    foreign->block.expired = whorl_timeout_expired(&timeout);
    foreign->block.cancelling = whorl_task_cancelling(whorl_task_current());
    return foreign->block.outside;
}

static int cancel_from_outside(void *arg)
{
    struct foreign *const foreign = arg;
    struct whorl_task *const task = start(wait_and_tell, foreign);
    must(whorl_future_await(foreign->begun, NULL));
    (void)whorl_cancel(task, NULL);
    foreign->at_end = finish(task);
    return 0;
}

static void test_tmo_7_foreign_cancel_without_expiry_passes(void **state)
{
    /* The deadline is an hour away. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct foreign foreign = {.block = {.after_ns = 3600 * WHORL_SECOND, UNSEEN}};
        foreign.begun = new_future();
        assert_int_equal(play(loops, cancel_from_outside, &foreign), 0);
        assert_int_equal(foreign.block.outside, -ECANCELED);
        assert_false(foreign.block.expired);
        assert_int_equal(foreign.block.cancelling, 1);
        assert_int_equal(foreign.at_end, -ECANCELED);
        whorl_future_unref(foreign.begun);
    }
}

/* Holds the loop until the deadline has passed, then cancels: both reach the task in one pass. */
static int expire_and_cancel(void *arg)
{
    struct foreign *const foreign = arg;
    struct whorl_task *const task = start(wait_and_tell, foreign);
    must(whorl_future_await(foreign->begun, NULL));
    const int64_t late_ns = whorl_after(foreign->block.after_ns + WHORL_MILLISECOND);
    while (whorl_now() < late_ns) {
    }
    (void)whorl_cancel(task, NULL);
    foreign->at_end = finish(task);
    return 0;
}

static int expire_both_ways(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, 0));
    (void)whorl_cancel(whorl_task_current(), NULL);
    block->inside = whorl_yield();
    block->outside = whorl_timeout_exit(&timeout, block->inside);
    block->expired = whorl_timeout_expired(&timeout);
    block->cancelling = whorl_uncancel(whorl_task_current());
    return 0;
}

static void test_tmo_8_expiry_and_foreign_cancel_together_are_ecanceled(void **state)
{
    /* Somebody else wants the task to end: that must not turn into a mere timeout. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, expire_both_ways, 0, 0);
        assert_int_equal(block.inside, -ECANCELED);
        assert_int_equal(block.outside, -ECANCELED);
        assert_true(block.expired);
    }
    struct foreign foreign = {.block = {.after_ns = 2 * WHORL_MILLISECOND, UNSEEN}};
    foreign.begun = new_future();
    assert_int_equal(play(1, expire_and_cancel, &foreign), 0);
    assert_int_equal(foreign.block.outside, -ECANCELED);
    assert_int_equal(foreign.at_end, -ECANCELED);
    whorl_future_unref(foreign.begun);
}

static int use_timeout_in_cleanup(void *arg)
{
    struct block *const block = arg;
    (void)whorl_cancel(whorl_task_current(), NULL);
    must(whorl_yield() == -ECANCELED ? 0 : -ERANGE);
    return wait_in_block(block);
}

static void test_tmo_9_cancelled_before_it_can_still_time_out(void **state)
{
    /* What counts is who asked since the block was entered. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block =
            play_block(loops, use_timeout_in_cleanup, WHORL_MILLISECOND, PASS_ON);
        assert_int_equal(block.outside, -ETIMEDOUT);
        assert_int_equal(block.cancelling, 1);
        assert_int_equal(block.then, 0);
    }
}

static int enter_while_cancelled(void *arg)
{
    struct block *const block = arg;
    struct whorl_timeout timeout;
    (void)whorl_cancel(whorl_task_current(), NULL);
    (void)whorl_cancel(whorl_task_current(), NULL);
    must(whorl_timeout_enter(&timeout, 0));
    block->inside = whorl_yield();
    block->outside = whorl_timeout_exit(&timeout, block->inside);
    block->cancelling = whorl_task_cancelling(whorl_task_current());
    block->then = whorl_yield();
    return 0;
}

static void test_tmo_9_cancel_not_met_before_the_block_counts_as_before(void **state)
{
    /* Strict order: the base is the count at the entry, whether the task has met them or not. In
     * fast order it is news all the same: who asks knows nothing of blocks. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, enter_while_cancelled, 0, 0);
        assert_int_equal(block.inside, -ECANCELED);
        assert_int_equal(block.outside, loops == 1 ? -ETIMEDOUT : -ECANCELED);
        assert_int_equal(block.cancelling, 2);
        assert_int_equal(block.then, 0);
    }
}

/* ---- nested ---- */

struct nest {
    int64_t outer_after_ns, inner_after_ns;
    int64_t busy_ns; /* how long the loop is held inside both */
    int inside, inner, between, outer, then;
    bool inner_expired, outer_expired;
};

static int wait_in_nest(void *arg)
{
    struct nest *const nest = arg;
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    const int64_t now_ns = whorl_now();
    must(whorl_timeout_enter(&outer, now_ns + nest->outer_after_ns));
    must(whorl_timeout_enter(&inner, now_ns + nest->inner_after_ns));
    while (whorl_now() < now_ns + nest->busy_ns) {
    }
    nest->inside = wait_for_ever();
    nest->inner = whorl_timeout_exit(&inner, nest->inside);
    nest->inner_expired = whorl_timeout_expired(&inner);
    nest->between = nest->inner == -ETIMEDOUT ? whorl_sleep(10 * WHORL_SECOND) : nest->inner;
    nest->outer = whorl_timeout_exit(&outer, nest->between);
    nest->outer_expired = whorl_timeout_expired(&outer);
    nest->then = whorl_yield();
    return 0;
}

static void test_tmo_13_both_expired_inner_passes_outer_tells(void **state)
{
    /* The loop was held past both, so they fire in one pass; both say that they expired. */
    (void)state;
    struct nest nest = {.outer_after_ns = 2 * WHORL_MILLISECOND,
                        .inner_after_ns = 2 * WHORL_MILLISECOND,
                        .busy_ns = 3 * WHORL_MILLISECOND};
    assert_int_equal(play(1, wait_in_nest, &nest), 0);
    assert_int_equal(nest.inside, -ECANCELED);
    assert_int_equal(nest.inner, -ECANCELED);
    assert_int_equal(nest.outer, -ETIMEDOUT);
    assert_true(nest.inner_expired);
    assert_true(nest.outer_expired);
    assert_int_equal(nest.then, 0);
}

static void test_tmo_13_past_deadlines_both_expired(void **state)
{
    /* The same without a timer: both had passed when they were entered. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nest nest = {.outer_after_ns = -1, .inner_after_ns = -1};
        assert_int_equal(play(loops, wait_in_nest, &nest), 0);
        assert_int_equal(nest.inner, -ECANCELED);
        assert_int_equal(nest.outer, -ETIMEDOUT);
        assert_true(nest.inner_expired && nest.outer_expired);
    }
}

static void test_tmo_14_each_deadline_comes_out_at_its_own_block(void **state)
{
    /* The inner one first, then the outer one in a second wait; or the outer one alone. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nest inner_first = {.inner_after_ns = WHORL_MILLISECOND,
                                   .outer_after_ns = 500 * WHORL_MILLISECOND};
        assert_int_equal(play(loops, wait_in_nest, &inner_first), 0);
        assert_int_equal(inner_first.inner, -ETIMEDOUT);
        assert_int_equal(inner_first.between, -ECANCELED);
        assert_int_equal(inner_first.outer, -ETIMEDOUT);

        struct nest outer_first = {.inner_after_ns = 3600 * WHORL_SECOND,
                                   .outer_after_ns = WHORL_MILLISECOND};
        assert_int_equal(play(loops, wait_in_nest, &outer_first), 0);
        assert_int_equal(outer_first.inner, -ECANCELED);
        assert_false(outer_first.inner_expired);
        assert_int_equal(outer_first.outer, -ETIMEDOUT);
        assert_int_equal(outer_first.then, 0);
    }
}

static int time_out_in_cleanup(void *arg)
{
    struct block *const inner = arg;
    struct whorl_timeout outer;
    must(whorl_timeout_enter(&outer, whorl_after(WHORL_MILLISECOND)));
    const int error = wait_for_ever();
    must(wait_in_block(inner));
    return whorl_timeout_exit(&outer, error) == -ETIMEDOUT ? 0 : -ERANGE;
}

static void test_tmo_15_timeout_in_the_cleanup_of_an_expired_one_works(void **state)
{
    /* Each on its own. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block =
            play_block(loops, time_out_in_cleanup, WHORL_MILLISECOND, PASS_ON);
        assert_int_equal(block.outside, -ETIMEDOUT);
    }
}

/* ---- taking back what a block asked ---- */

static int uncancel_in_block(void *arg)
{
    struct block *const block = arg;
    struct whorl_task *const self = whorl_task_current();
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, 0));
    must(whorl_loop_count() > 1 || whorl_yield() == -ECANCELED ? 0 : -ERANGE); /* in its turn */
    must(whorl_uncancel(self));
    block->inside = whorl_yield();
    block->outside = whorl_timeout_exit(&timeout, block->inside);
    block->cancelling = whorl_task_cancelling(self);
    block->then = whorl_yield();
    return 0;
}

static void test_canc_19_uncancel_inside_does_not_bring_the_count_below_zero(void **state)
{
    /* The body took back the timeout's own request; leaving the block must not do it again. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, uncancel_in_block, 0, 0);
        assert_int_equal(block.inside, 0);
        assert_int_equal(block.outside, 0);
        assert_int_equal(block.cancelling, 0);
        assert_int_equal(block.then, 0);
    }
}

static int withdraw_beside_expiry(void *arg)
{
    struct block *const block = arg;
    struct whorl_task *const self = whorl_task_current();
    struct whorl_timeout timeout;
    (void)whorl_cancel(self, NULL);
    must(whorl_timeout_enter(&timeout, 0));
    must(whorl_loop_count() > 1 || whorl_yield() == -ECANCELED ? 0 : -ERANGE); /* in its turn */
    must(whorl_uncancel(self) == 1 ? 0 : -ERANGE);
    block->outside = whorl_timeout_exit(&timeout, 0);
    block->cancelling = whorl_task_cancelling(self);
    block->then = whorl_yield();
    return 0;
}

static void test_canc_20_last_request_withdrawn_by_leaving_a_block_is_gone(void **state)
{
    /* One was taken back by uncancel, the other by the end of the block: nobody asks any more. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct block block = play_block(loops, withdraw_beside_expiry, 0, 0);
        assert_int_equal(block.outside, 0);
        assert_int_equal(block.cancelling, 0);
        assert_int_equal(block.then, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tmo_1_and_2_and_3_expiry_cancels_inside_and_is_etimedout_outside),
        cmocka_unit_test(test_tmo_4_block_that_swallows_the_cancel_ends_normally),
        cmocka_unit_test(test_tmo_5_another_error_after_expiry_comes_out),
        cmocka_unit_test(test_tmo_6_error_without_expiry_passes_unchanged),
        cmocka_unit_test(test_tmo_21_normal_end_takes_the_timer_out),
        cmocka_unit_test(test_tmo_12_never_is_no_deadline),
        cmocka_unit_test(test_tmo_10_past_deadline_fires_at_the_first_wait),
        cmocka_unit_test(test_tmo_10_block_that_never_waits_ends_normally),
        cmocka_unit_test(test_tmo_11_zero_with_sleep_zero_inside_times_out),
        cmocka_unit_test(test_tmo_7_foreign_cancel_without_expiry_passes),
        cmocka_unit_test(test_tmo_8_expiry_and_foreign_cancel_together_are_ecanceled),
        cmocka_unit_test(test_tmo_9_cancel_not_met_before_the_block_counts_as_before),
        cmocka_unit_test(test_tmo_9_cancelled_before_it_can_still_time_out),
        cmocka_unit_test(test_tmo_13_both_expired_inner_passes_outer_tells),
        cmocka_unit_test(test_tmo_13_past_deadlines_both_expired),
        cmocka_unit_test(test_tmo_14_each_deadline_comes_out_at_its_own_block),
        cmocka_unit_test(test_timeout_without_memory_for_its_timer_is_enomem),
        cmocka_unit_test(test_tmo_15_timeout_in_the_cleanup_of_an_expired_one_works),
        cmocka_unit_test(test_canc_19_uncancel_inside_does_not_bring_the_count_below_zero),
        cmocka_unit_test(test_canc_20_last_request_withdrawn_by_leaving_a_block_is_gone),
    };
    return cmocka_run_group_tests_name("timeout", tests, NULL, NULL);
}
