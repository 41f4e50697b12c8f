/*
 * Events: rows EVT and MT-10 of asyncio's semantics; at one loop with asyncio's passes, at several,
 * and with plain threads.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>

struct waiter {
    struct whorl_event *event;
    int got;
    unsigned place; /* among those who came back */
    unsigned at;
    bool found_set;
    struct whorl_task *task;
};

static int wait(void *arg)
{
    struct waiter *const waiter = arg;
    waiter->got = whorl_event_wait(waiter->event);
    waiter->place = next_event();
    waiter->at = pass_now();
    waiter->found_set = whorl_event_is_set(waiter->event);
    return waiter->got;
}

static void line_up(struct whorl_event *event, struct waiter *waiters, size_t count)
{
    pass_begin();
    for (size_t i = 0; i < count; i++) {
        waiters[i].event = event;
        waiters[i].got = UNSET;
        waiters[i].task = start_user(wait, &waiters[i]);
        settle();
    }
}

static void end_all(struct waiter *waiters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(waiters[i].task);
    }
    pass_end();
}

static int wait_on_set(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    (void)arg;
    pass_begin();
    EXPECT(!whorl_event_is_set(&event));
    EXPECT_IS(whorl_event_set(&event), 0);
    EXPECT(whorl_event_is_set(&event));
    const unsigned at = pass_now();
    EXPECT_IS(whorl_event_wait(&event), 0);
    EXPECT_IS(whorl_event_wait_until(&event, 0), 0);
    EXPECT_IS(pass_now() - at, 0);
    pass_end();
    return 0;
}

static void test_evt_1_a_set_event_is_not_waited_for(void **state)
{
    (void)state;
    at_all_loops(wait_on_set);
}

static int wake_all(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct waiter waiters[4] = {{0}};
    (void)arg;
    forget_events();
    line_up(&event, waiters, 4);
    const unsigned at = pass_now();
    EXPECT_IS(whorl_event_set(&event), 0);
    settle();
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_IS(waiters[i].got, 0);
        EXPECT(waiters[i].found_set);
        if (whorl_loop_count() == 1) {
            EXPECT_IS(waiters[i].place, i + 1);
            EXPECT_IS(waiters[i].at - at, 1);
        }
    }
    end_all(waiters, 4);
    return 0;
}

static void test_evt_2_set_wakes_all_in_order_in_the_next_pass(void **state)
{
    (void)state;
    at_all_loops(wake_all);
}

/* Also EVT-6: who comes back may find it clear. */
static int set_and_clear(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct waiter waiters[3] = {{0}};
    struct waiter late[1] = {{0}};
    (void)arg;
    line_up(&event, waiters, 3);
    EXPECT_IS(whorl_event_set(&event), 0);
    EXPECT_IS(whorl_event_clear(&event), 0);
    line_up(&event, late, 1);
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(waiters[i].got, 0);
        if (whorl_loop_count() == 1) {
            EXPECT(!waiters[i].found_set);
        }
    }
    EXPECT_IS(late[0].got, UNSET);
    EXPECT_IS(whorl_event_set(&event), 0);
    end_all(waiters, 3);
    end_all(late, 1);
    EXPECT_IS(late[0].got, 0);
    EXPECT_IS(whorl_event_destroy(&event), 0);
    return 0;
}

static void test_evt_3_set_then_clear_wakes_who_was_there(void **state)
{
    (void)state;
    at_all_loops(set_and_clear);
}

static void test_evt_6_who_was_woken_may_find_it_clear(void **state)
{
    (void)state;
    at_all_loops(set_and_clear);
}

static int set_twice_clear_twice(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct waiter waiter[1] = {{0}};
    (void)arg;
    EXPECT_IS(whorl_event_clear(&event), 0);
    EXPECT_IS(whorl_event_set(&event), 0);
    EXPECT_IS(whorl_event_set(&event), 0);
    EXPECT(whorl_event_is_set(&event));
    EXPECT_IS(whorl_event_clear(&event), 0);
    EXPECT(!whorl_event_is_set(&event));
    line_up(&event, waiter, 1);
    EXPECT_IS(whorl_event_clear(&event), 0);
    settle();
    EXPECT_IS(waiter[0].got, UNSET);
    EXPECT_IS(whorl_event_set(&event), 0);
    end_all(waiter, 1);
    return 0;
}

static void test_evt_4_set_of_a_set_one_does_nothing_and_clear_wakes_nobody(void **state)
{
    (void)state;
    at_all_loops(set_twice_clear_twice);
}

static int cancel_one(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct waiter waiters[2] = {{0}};
    (void)arg;
    line_up(&event, waiters, 2);
    EXPECT(whorl_cancel(waiters[0].task, NULL));
    settle();
    EXPECT_IS(waiters[0].got, -ECANCELED);
    EXPECT_IS(waiters[1].got, UNSET);
    EXPECT_IS(whorl_event_destroy(&event), -EBUSY);
    EXPECT_IS(whorl_event_set(&event), 0);
    end_all(waiters, 2);
    EXPECT_IS(waiters[1].got, 0);
    EXPECT_IS(whorl_event_destroy(&event), 0);
    EXPECT_IS(whorl_event_set(&event), -EINVAL);
    EXPECT_IS(whorl_event_clear(&event), -EINVAL);
    EXPECT_IS(whorl_event_wait(&event), -EINVAL);
    return 0;
}

static void test_evt_5_a_cancelled_waiter_is_gone(void **state)
{
    (void)state;
    at_all_loops(cancel_one);
}

/* Set, then cancelled before it runs: the cancel is told, the event stays set. */
static int cancel_the_woken(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct waiter waiters[2] = {{0}};
    (void)arg;
    line_up(&event, waiters, 2);
    EXPECT_IS(whorl_event_set(&event), 0);
    (void)whorl_cancel(waiters[0].task, NULL);
    end_all(waiters, 2);
    EXPECT(waiters[0].got == -ECANCELED || whorl_loop_count() > 1);
    EXPECT_IS(waiters[1].got, 0);
    return 0;
}

static void test_evt_5_a_cancel_beats_a_set_that_was_not_met_yet(void **state)
{
    (void)state;
    at_all_loops(cancel_the_woken);
}

static int run_out_of_time(void *arg)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    (void)arg;
    EXPECT_IS(whorl_event_wait_until(&event, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(whorl_event_wait_until(&event, 0), -ETIMEDOUT);
    EXPECT_IS(whorl_event_destroy(&event), 0);
    return 0;
}

static void test_wait_until_gives_up_at_its_deadline(void **state)
{
    (void)state;
    at_all_loops(run_out_of_time);
    at_no_loop(run_out_of_time);
}

/* ---- MT-10: who was there before the set is woken once, who comes after the clear is not ---- */

enum { ROUNDS = 300, WAITERS = 5 };

struct bell {
    struct whorl_event event;
    struct whorl_event done;
    uint32_t there;  /* A: who is about to wait, or has waited, in this round */
    uint32_t rung;   /* A: rounds that were rung */
    uint32_t heard;  /* A: by how many, in all */
};

/* Who waits in round r comes back when r was rung, and not before. */
static int hear(void *arg)
{
    struct bell *const bell = arg;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        (void)whorl__add_u32(&bell->there, 1);
        EXPECT_IS(whorl_event_wait(&bell->event), 0);
        EXPECT(whorl__load_acquire_u32(&bell->rung) > round); /* acquire: for the test */
        if (whorl__add_u32(&bell->heard, 1) + 1 == (round + 1) * (WAITERS + 1)) {
            EXPECT_IS(whorl_event_clear(&bell->event), 0);
            EXPECT_IS(whorl_event_set(&bell->done), 0);
        }
        EXPECT_IS(whorl_event_wait(&bell->done), 0);
        /* All have heard it: nobody goes on before the bell is clear. */
    }
    return 0;
}

static int ring(void *arg)
{
    struct bell bell = {.event = WHORL_EVENT_INIT, .done = WHORL_EVENT_INIT};
    struct whorl_task *tasks[WAITERS];
    struct beside thread;
    (void)arg;
    beside_start(&thread, hear, &bell);
    for (int i = 0; i < WAITERS; i++) {
        tasks[i] = start(hear, &bell);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        /* acquire: for the test */
        while (whorl__load_acquire_u32(&bell.there) < (round + 1) * (WAITERS + 1)) {
            must(whorl_yield());
        }
        EXPECT_IS(whorl_event_clear(&bell.done), 0);
        (void)whorl__add_u32(&bell.rung, 1);
        EXPECT_IS(whorl_event_set(&bell.event), 0);
    }
    for (int i = 0; i < WAITERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&thread), 0);
    return 0;
}

static void test_mt_10_everybody_there_is_woken_once_and_nobody_after(void **state)
{
    (void)state;
    at_all_loops(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evt_1_a_set_event_is_not_waited_for),
        cmocka_unit_test(test_evt_2_set_wakes_all_in_order_in_the_next_pass),
        cmocka_unit_test(test_evt_3_set_then_clear_wakes_who_was_there),
        cmocka_unit_test(test_evt_4_set_of_a_set_one_does_nothing_and_clear_wakes_nobody),
        cmocka_unit_test(test_evt_5_a_cancelled_waiter_is_gone),
        cmocka_unit_test(test_evt_5_a_cancel_beats_a_set_that_was_not_met_yet),
        cmocka_unit_test(test_evt_6_who_was_woken_may_find_it_clear),
        cmocka_unit_test(test_wait_until_gives_up_at_its_deadline),
        cmocka_unit_test(test_mt_10_everybody_there_is_woken_once_and_nobody_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
