/*
 * Moving the deadline of an open timeout; rows TMO-16, TMO-17 and MT-15 of asyncio's semantics.
 */
#include "support/play.h"

/* ---- by the task itself ---- */

struct move {
    int moved;
    int inside;
    int outside;
    int then;
    bool expired;
    int64_t when_ns;
    int64_t took_ns;
};

static void leave(struct move *move, struct whorl_timeout *timeout)
{
    move->outside = whorl_timeout_exit(timeout, move->inside);
    move->expired = whorl_timeout_expired(timeout);
    move->then = whorl_yield();
}

static int switch_off(void *arg)
{
    struct move *const move = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(2 * WHORL_MILLISECOND)));
    move->moved = whorl_timeout_reschedule(&timeout, WHORL_NEVER);
    move->when_ns = whorl_timeout_when(&timeout);
    move->inside = whorl_sleep(10 * WHORL_MILLISECOND);
    leave(move, &timeout);
    return 0;
}

static void test_tmo_16_to_never_switches_it_off(void **state)
{
    /* A wait beyond the old deadline is not disturbed. A machine so slow that 2 ms pass between two
     * calls finds it expired, which is right as well. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct move move = {.moved = UNSET, .inside = UNSET, .outside = UNSET, .then = UNSET};
        assert_int_equal(play(loops, switch_off, &move), 0);
        assert_true(move.moved == 0 || move.moved == -EINVAL);
        assert_int_equal(move.inside, move.moved == 0 ? 0 : -ECANCELED);
        assert_int_equal(move.outside, move.moved == 0 ? 0 : -ETIMEDOUT);
        assert_int_equal(move.expired, move.moved != 0);
        assert_int_equal(move.then, 0);
    }
}

static int postpone(void *arg)
{
    struct move *const move = arg;
    struct whorl_timeout timeout;
    const int64_t start_ns = whorl_now();
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_timeout_reschedule(&timeout, start_ns + 3600 * WHORL_SECOND));
    move->moved = whorl_timeout_reschedule(&timeout, start_ns + 20 * WHORL_MILLISECOND);
    move->when_ns = whorl_timeout_when(&timeout) - start_ns;
    move->inside = wait_for_ever();
    move->took_ns = whorl_now() - start_ns;
    leave(move, &timeout);
    return 0;
}

static void test_tmo_16_to_another_time_fires_then(void **state)
{
    /* From none to far to near; not before the last one. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct move move = {.moved = UNSET, .inside = UNSET, .outside = UNSET, .then = UNSET};
        assert_int_equal(play(loops, postpone, &move), 0);
        assert_int_equal(move.moved, 0);
        assert_true(move.when_ns == 20 * WHORL_MILLISECOND);
        assert_int_equal(move.outside, -ETIMEDOUT);
        assert_true(move.took_ns >= 20 * WHORL_MILLISECOND);
        assert_int_equal(move.then, 0);
    }
}

static int bring_to_the_past(void *arg)
{
    struct move *const move = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    move->moved = whorl_timeout_reschedule(&timeout, whorl_now() - 1);
    move->inside = wait_for_ever();
    leave(move, &timeout);
    return 0;
}

static void test_tmo_16_to_the_past_fires_at_the_next_wait(void **state)
{
    /* As if it had been entered so. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct move move = {.moved = UNSET, .inside = UNSET, .outside = UNSET, .then = UNSET};
        assert_int_equal(play(loops, bring_to_the_past, &move), 0);
        assert_int_equal(move.moved, 0);
        assert_int_equal(move.inside, -ECANCELED);
        assert_int_equal(move.outside, -ETIMEDOUT);
        assert_int_equal(move.then, 0);
    }
}

static int move_expired(void *arg)
{
    struct move *const move = arg;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND)));
    move->inside = wait_for_ever();
    move->moved = whorl_timeout_reschedule(&timeout, WHORL_NEVER);
    leave(move, &timeout);
    return 0;
}

static void test_tmo_17_once_expired_it_cannot_be_moved(void **state)
{
    /* What was asked for cannot be unasked. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct move move = {.moved = UNSET, .inside = UNSET, .outside = UNSET, .then = UNSET};
        assert_int_equal(play(loops, move_expired, &move), 0);
        assert_int_equal(move.moved, -EINVAL);
        assert_int_equal(move.outside, -ETIMEDOUT);
        assert_true(move.expired);
    }
}

static int move_closed(void *arg)
{
    struct move *const move = arg;
    struct whorl_timeout timeout = {0};
    move->moved = whorl_timeout_reschedule(&timeout, whorl_after(WHORL_SECOND));
    move->expired = whorl_timeout_expired(&timeout);
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_timeout_exit(&timeout, 0));
    move->inside = whorl_timeout_reschedule(&timeout, whorl_now());
    move->then = whorl_yield(); /* no deadline was set on what is no block */
    return 0;
}

static void test_tmo_17_before_it_was_entered_and_when_it_was_left_it_cannot_be_moved(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct move move = {.moved = UNSET, .inside = UNSET, .then = UNSET, .expired = true};
        assert_int_equal(play(loops, move_closed, &move), 0);
        assert_int_equal(move.moved, -EINVAL);
        assert_int_equal(move.inside, -EINVAL);
        assert_int_equal(move.then, 0);
        assert_false(move.expired);
    }
}

static struct whorl_timeout kept; /* longer than its task and its runtime */

static int expire_kept(void *arg)
{
    (void)arg;
    must(whorl_timeout_enter(&kept, whorl_after(WHORL_MILLISECOND)));
    return whorl_timeout_exit(&kept, wait_for_ever()) == -ETIMEDOUT ? 0 : -EPROTO;
}

static void test_timeout_can_be_asked_when_its_runtime_is_gone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, expire_kept, NULL), 0);
        assert_true(whorl_timeout_expired(&kept));
        assert_true(whorl_timeout_when(&kept) < whorl_now());
        assert_int_equal(whorl_timeout_reschedule(&kept, WHORL_NEVER), -EINVAL);
    }
}

static int enter_twice(void *arg)
{
    struct move *const move = arg;
    struct whorl_timeout timeout;
    struct whorl_timeout inner;
    must(whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND)));
    must(whorl_timeout_enter(&inner, WHORL_NEVER));
    move->moved = whorl_timeout_enter(&timeout, WHORL_NEVER);
    move->inside = whorl_timeout_exit(&inner, wait_for_ever());
    leave(move, &timeout);
    return 0;
}

static void test_tmo_18_open_block_is_not_entered_once_more(void **state)
{
    /* And goes on as it was: the deadline of the first time counts. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct move move = {.moved = UNSET, .inside = UNSET, .outside = UNSET, .then = UNSET};
        assert_int_equal(play(loops, enter_twice, &move), 0);
        assert_int_equal(move.moved, -EALREADY);
        assert_int_equal(move.inside, -ECANCELED);
        assert_int_equal(move.outside, -ETIMEDOUT);
        assert_int_equal(move.then, 0);
    }
}

/* ---- by another task ---- */

struct remote {
    struct move move;
    struct whorl_timeout timeout;
    struct whorl_future *open;  /* the block is open, its address may be used */
    struct whorl_future *moved; /* the other is done with it */
    int64_t to_ns;
};

static int move_it(void *arg)
{
    struct remote *const remote = arg;
    must(whorl_future_await(remote->open, NULL));
    remote->move.moved = whorl_timeout_reschedule(&remote->timeout, remote->to_ns);
    return whorl_future_set_result(remote->moved, NULL);
}

static int be_moved(void *arg)
{
    struct remote *const remote = arg;
    struct whorl_task *const other = start(move_it, remote);
    must(whorl_timeout_enter(&remote->timeout, WHORL_NEVER));
    must(whorl_future_set_result(remote->open, NULL));
    remote->move.inside = wait_for_ever();
    while (!whorl_future_done(remote->moved)) { /* before the block is closed */
        must(whorl_yield());
    }
    leave(&remote->move, &remote->timeout);
    return finish(other);
}

static void test_tmo_16_another_task_may_move_it(void **state)
{
    /* To the past, and to soon: the waiting task is woken wherever it waits. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (int soon = 0; soon <= 1; soon++) {
            struct remote remote = {.open = new_future(), .moved = new_future()};
            remote.to_ns = soon ? whorl_after(20 * WHORL_MILLISECOND) : 0;
            assert_int_equal(play(loops, be_moved, &remote), 0);
            assert_int_equal(remote.move.moved, 0);
            assert_int_equal(remote.move.outside, -ETIMEDOUT);
            assert_int_equal(remote.move.then, 0);
            whorl_future_unref(remote.open);
            whorl_future_unref(remote.moved);
        }
    }
}

/* ---- at the edge ---- */

/* A deadline that comes while the block is being left, again and again. */
static int leave_at_the_deadline(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        struct whorl_timeout timeout;
        const int64_t deadline_ns = whorl_after(50 * WHORL_MICROSECOND);
        int error = 0;
        must(whorl_timeout_enter(&timeout, deadline_ns));
        while (error == 0 && whorl_now() < deadline_ns) {
            error = whorl_yield();
        }
        const bool hit = error == -ECANCELED;
        error = whorl_timeout_exit(&timeout, error);
        must(error == (hit ? -ETIMEDOUT : 0) ? 0 : -ERANGE);
        must(whorl_task_cancelling(whorl_task_current()));
        must(whorl_yield());
        must(whorl_sleep(1));
    }
    return 0;
}

static int leave_together(void *arg)
{
    struct whorl_task *tasks[4];
    (void)arg;
    for (int i = 0; i < 4; i++) {
        tasks[i] = start(leave_at_the_deadline, NULL);
    }
    for (int i = 0; i < 4; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_15_deadline_that_comes_while_leaving_is_taken_back(void **state)
{
    /* Nothing outside the block is cancelled, though tasks move between loops meanwhile. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, leave_together, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tmo_16_to_never_switches_it_off),
        cmocka_unit_test(test_tmo_16_to_another_time_fires_then),
        cmocka_unit_test(test_tmo_16_to_the_past_fires_at_the_next_wait),
        cmocka_unit_test(test_tmo_17_once_expired_it_cannot_be_moved),
        cmocka_unit_test(
            test_tmo_17_before_it_was_entered_and_when_it_was_left_it_cannot_be_moved),
        cmocka_unit_test(test_timeout_can_be_asked_when_its_runtime_is_gone),
        cmocka_unit_test(test_tmo_18_open_block_is_not_entered_once_more),
        cmocka_unit_test(test_tmo_16_another_task_may_move_it),
        cmocka_unit_test(test_mt_15_deadline_that_comes_while_leaving_is_taken_back),
    };
    return cmocka_run_group_tests_name("reschedule", tests, NULL, NULL);
}
