/*
 * Semaphores: rows SEM and MT-9 of asyncio's semantics; at one loop with asyncio's passes, at
 * several, and with plain threads.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>

/* ---- who takes a unit, and keeps it until told ---- */

struct taker {
    struct whorl_semaphore *semaphore;
    struct whorl_future *gate; /* kept until it is done; NULL: for ever */
    int got;
    unsigned event;
    unsigned at;
    struct whorl_task *task;
};

static int take(void *arg)
{
    struct taker *const taker = arg;
    taker->got = whorl_semaphore_acquire(taker->semaphore);
    taker->at = pass_now();
    if (taker->got != 0) {
        return taker->got;
    }
    taker->event = next_event();
    if (taker->gate != NULL) {
        EXPECT_IS(whorl_future_await(taker->gate, NULL), 0);
        EXPECT_IS(whorl_semaphore_release(taker->semaphore), 0);
    }
    return 0;
}

static void line_up(struct whorl_semaphore *semaphore, struct taker *takers, size_t count)
{
    pass_begin();
    for (size_t i = 0; i < count; i++) {
        takers[i].semaphore = semaphore;
        takers[i].got = UNSET;
        takers[i].task = start_user(take, &takers[i]);
        settle();
    }
}

static void end_all(struct taker *takers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(takers[i].task);
    }
    pass_end();
}

/* ---- rows ---- */

static int take_free_ones(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(2);
    struct taker taker[1] = {{0}};
    (void)arg;
    pass_begin();
    const unsigned at = pass_now();
    EXPECT(!whorl_semaphore_locked(&semaphore));
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_value(&semaphore), 1);
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), 0);
    EXPECT(whorl_semaphore_locked(&semaphore));
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), -EAGAIN);
    EXPECT_IS(pass_now() - at, 0);
    line_up(&semaphore, taker, 1);
    EXPECT_IS(taker[0].got, UNSET);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_value(&semaphore), 0); /* it is taken already */
    end_all(taker, 1);
    EXPECT_IS(taker[0].got, 0);
    return 0;
}

static void test_sem_1_a_free_unit_is_taken_without_a_wait(void **state)
{
    (void)state;
    at_all_loops(take_free_ones);
}

static void test_sem_2_a_negative_value_is_refused_and_zero_is_fine(void **state)
{
    struct whorl_semaphore semaphore;
    (void)state;
    assert_int_equal(whorl_semaphore_init(&semaphore, -1, 0), -EINVAL);
    assert_int_equal(whorl_semaphore_init(&semaphore, (int64_t)WHORL_SEMAPHORE_MAX + 1, 0),
                     -EINVAL);
    assert_int_equal(whorl_semaphore_init(&semaphore, 0, 0), 0);
    assert_int_equal(whorl_semaphore_try_acquire(&semaphore), -EAGAIN);
    assert_int_equal(whorl_semaphore_release(&semaphore), 0);
    assert_int_equal(whorl_semaphore_try_acquire(&semaphore), 0);
    assert_int_equal(whorl_semaphore_init(&semaphore, WHORL_SEMAPHORE_MAX, 0), 0);
    assert_int_equal(whorl_semaphore_release(&semaphore), -EOVERFLOW);
}

/* A compiler that is asked to warns of them, and so tells sooner. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void test_sem_2_so_is_one_in_an_initialiser(void **state)
{
    /* There nobody is told at once, so every call says so: none finds units. */
    static struct whorl_semaphore wrong[] = {
        WHORL_SEMAPHORE_INIT(-1), WHORL_SEMAPHORE_INIT(INT32_MIN),
        WHORL_SEMAPHORE_INIT(WHORL_SEMAPHORE_MAX + 1),
        WHORL_SEMAPHORE_INIT_FLAGS(-1, WHORL_SEMAPHORE_BOUNDED | WHORL_SEMAPHORE_UNFAIR)};
    static struct whorl_semaphore most = WHORL_SEMAPHORE_INIT(WHORL_SEMAPHORE_MAX);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(whorl_semaphore_acquire(&wrong[i]), -EINVAL);
        assert_int_equal(whorl_semaphore_try_acquire(&wrong[i]), -EINVAL);
        assert_int_equal(whorl_semaphore_release(&wrong[i]), -EINVAL);
        assert_int_equal(whorl_semaphore_value(&wrong[i]), 0);
        assert_int_equal(whorl_semaphore_destroy(&wrong[i]), -EINVAL);
    }
    assert_int_equal(whorl_semaphore_value(&most), WHORL_SEMAPHORE_MAX);
    assert_int_equal(whorl_semaphore_try_acquire(&most), 0);
}
#pragma GCC diagnostic pop

static int come_back(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
    struct taker takers[3] = {{0}};
    struct whorl_future *const gate = new_future();
    (void)arg;
    forget_events();
    must(whorl_future_set_result(gate, NULL));
    must(whorl_semaphore_acquire(&semaphore));
    for (int i = 0; i < 3; i++) {
        takers[i].gate = gate;
    }
    line_up(&semaphore, takers, 3);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), 0);
    EXPECT_IS(next_event(), 4);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    end_all(takers, 3);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_IS(takers[i].event, i + 1);
    }
    EXPECT_IS(whorl_semaphore_value(&semaphore), 1);
    whorl_future_unref(gate);
    return 0;
}

static void test_sem_3_who_releases_and_acquires_does_not_overtake(void **state)
{
    (void)state;
    at_all_loops(come_back);
}

/* Three units in one step, for one in line: two stay free, and yet nobody overtakes him. */
static int come_between(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker takers[3] = {{0}};
    (void)arg;
    forget_events();
    line_up(&semaphore, takers, 1);
    const unsigned at = pass_now();
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    }
    EXPECT_IS(whorl_semaphore_value(&semaphore), 2);
    EXPECT(whorl_semaphore_locked(&semaphore));
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), -EAGAIN);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), 0); /* granted by the first, when it runs */
    EXPECT_IS(next_event(), 2);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(pass_now() - at, 2);
        EXPECT_IS(takers[0].at - at, 1);
    }
    EXPECT(!whorl_semaphore_locked(&semaphore));
    EXPECT_IS(whorl_semaphore_value(&semaphore), 1);
    end_all(takers, 1);
    return 0;
}

static void test_sem_4_it_is_locked_while_who_was_chosen_has_not_run(void **state)
{
    (void)state;
    at_home(come_between);
}

static int release_three(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker takers[4] = {{0}};
    (void)arg;
    forget_events();
    line_up(&semaphore, takers, 4);
    const unsigned at = pass_now();
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    }
    settle();
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(takers[i].got, 0);
        if (whorl_loop_count() == 1) {
            EXPECT_IS(takers[i].at - at, 1);
            EXPECT_IS(takers[i].event, i + 1);
        }
    }
    EXPECT_IS(takers[3].got, UNSET);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    end_all(takers, 4);
    return 0;
}

/* Who stands behind one that was chosen gets a free unit when that one runs. */
static int grant_on(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker takers[3] = {{0}};
    (void)arg;
    line_up(&semaphore, takers, 1);
    const unsigned at = pass_now();
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    }
    for (int i = 1; i < 3; i++) {
        takers[i].semaphore = &semaphore;
        takers[i].task = start(take, &takers[i]);
    }
    end_all(takers, 3);
    EXPECT_IS(takers[0].at - at, 1);
    EXPECT_IS(takers[1].at - at, 1); /* it began after the first had run */
    EXPECT_IS(whorl_semaphore_value(&semaphore), 0);
    return 0;
}

static void test_sem_5_three_releases_let_three_through(void **state)
{
    (void)state;
    at_all_loops(release_three);
    at_one_loop(grant_on);
}

static int cancel_in_line(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker takers[3] = {{0}};
    (void)arg;
    forget_events();
    line_up(&semaphore, takers, 3);
    const unsigned at = pass_now();
    EXPECT(whorl_cancel(takers[1].task, NULL));
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    end_all(takers, 3);
    EXPECT_IS(takers[0].got, 0);
    EXPECT_IS(takers[1].got, -ECANCELED);
    EXPECT_IS(takers[2].got, 0);
    if (whorl_loop_count() == 1) { /* the cancelled one is passed over at once */
        EXPECT_IS(takers[0].event, 1);
        EXPECT_IS(takers[2].at - at, 1);
    }
    EXPECT_IS(whorl_semaphore_value(&semaphore), 0);
    return 0;
}

static void test_sem_6_who_was_cancelled_is_passed_over(void **state)
{
    (void)state;
    at_all_loops(cancel_in_line);
}

static int cancel_the_chosen(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker takers[2] = {{0}};
    (void)arg;
    line_up(&semaphore, takers, 2);
    const unsigned at = pass_now();
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    (void)whorl_cancel(takers[0].task, NULL);
    settle();
    if (whorl_loop_count() == 1) {
        EXPECT_IS(takers[0].got, -ECANCELED);
        EXPECT_IS(takers[0].at - at, 1);
        EXPECT_IS(takers[1].at - at, 2);
    }
    if (takers[0].got == 0) { /* it was faster */
        EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    }
    end_all(takers, 2);
    EXPECT_IS(takers[1].got, 0);
    EXPECT_IS(whorl_semaphore_value(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), 0); /* SEM-11: nobody is left in it */
    return 0;
}

static int cancel_the_last(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker taker[1] = {{0}};
    (void)arg;
    line_up(&semaphore, taker, 1);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    (void)whorl_cancel(taker[0].task, NULL);
    end_all(taker, 1);
    EXPECT_IS(whorl_semaphore_value(&semaphore), taker[0].got == 0 ? 0 : 1);
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), taker[0].got == 0 ? -EAGAIN : 0);
    return 0;
}

static void test_sem_7_who_was_granted_and_cancelled_gives_it_back(void **state)
{
    (void)state;
    at_all_loops(cancel_the_chosen);
    at_all_loops(cancel_the_last);
}

static int release_more(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
    (void)arg;
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_value(&semaphore), 2);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), 0);
    return 0;
}

static void test_sem_8_a_release_without_an_acquire_makes_one_more(void **state)
{
    (void)state;
    at_all_loops(release_more);
    at_no_loop(release_more);
}

static int release_bounded(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT_FLAGS(1, WHORL_SEMAPHORE_BOUNDED);
    (void)arg;
    EXPECT_IS(whorl_semaphore_release(&semaphore), -EOVERFLOW);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&semaphore), -EOVERFLOW);
    EXPECT_IS(whorl_semaphore_value(&semaphore), 1);
    return 0;
}

static void test_sem_9_the_bounded_one_refuses_that(void **state)
{
    (void)state;
    at_all_loops(release_bounded);
    at_no_loop(release_bounded);
}

/* A unit that was granted counts as held: a release by who holds nothing is not noticed then. */
static int release_beside_a_grant(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT_FLAGS(1, WHORL_SEMAPHORE_BOUNDED);
    struct taker taker[1] = {{0}};
    (void)arg;
    must(whorl_semaphore_acquire(&semaphore));
    line_up(&semaphore, taker, 1);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0); /* whose? nobody can know */
    EXPECT_IS(whorl_semaphore_release(&semaphore), -EOVERFLOW);
    end_all(taker, 1);
    EXPECT_IS(taker[0].got, 0);
    return 0;
}

static void test_sem_10_a_granted_unit_counts_as_held(void **state)
{
    (void)state;
    at_all_loops(release_beside_a_grant);
}

static void test_sem_11_a_cancelled_waiter_leaves_no_entry(void **state)
{
    (void)state;
    at_all_loops(cancel_the_chosen);
}

/* ---- permits of many, deadlines, flags, misuse ---- */

enum { PERMITS = 3, USERS = 6, ROUNDS = 500 };

struct pool {
    struct whorl_semaphore semaphore;
    uint32_t inside; /* A */
};

static int use(void *arg)
{
    struct pool *const pool = arg;
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_IS(whorl_semaphore_acquire(&pool->semaphore), 0);
        const uint32_t inside = whorl__add_u32(&pool->inside, 1) + 1;
        EXPECT(inside <= PERMITS);
        if (i % 8 == 0 && whorl_loop_current() >= 0) {
            EXPECT_IS(whorl_yield(), 0);
        }
        (void)whorl__add_u32(&pool->inside, (uint32_t)-1);
        EXPECT_IS(whorl_semaphore_release(&pool->semaphore), 0);
    }
    return 0;
}

static int use_by_many(void *arg)
{
    const unsigned flags = *(const unsigned *)arg;
    struct pool pool = {.inside = 0};
    struct whorl_task *tasks[USERS];
    struct beside threads[2];
    must(whorl_semaphore_init(&pool.semaphore, PERMITS, flags));
    for (int i = 0; i < 2; i++) {
        beside_start(&threads[i], use, &pool);
    }
    for (int i = 0; i < USERS; i++) {
        tasks[i] = start(use, &pool);
    }
    for (int i = 0; i < USERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        EXPECT_IS(beside_finish(&threads[i]), 0);
    }
    EXPECT_IS(whorl_semaphore_value(&pool.semaphore), PERMITS);
    EXPECT_IS(whorl_semaphore_destroy(&pool.semaphore), 0);
    return 0;
}

static int use_fairly(void *arg)
{
    unsigned flags = WHORL_SEMAPHORE_BOUNDED;
    (void)arg;
    return use_by_many(&flags);
}

static int use_unfairly(void *arg)
{
    unsigned flags = WHORL_SEMAPHORE_UNFAIR;
    (void)arg;
    return use_by_many(&flags);
}

static void test_mt_9_tasks_and_threads_share_units(void **state)
{
    (void)state;
    at_all_loops(use_fairly);
    at_all_loops(use_unfairly);
}

static int barge(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT_FLAGS(0, WHORL_SEMAPHORE_UNFAIR);
    struct taker taker[1] = {{0}};
    (void)arg;
    line_up(&semaphore, taker, 1);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), 0);
    end_all(taker, 1);
    EXPECT_IS(taker[0].got, 0);
    return 0;
}

static void test_mt_9_an_unfair_one_lets_pass_who_comes(void **state)
{
    (void)state;
    at_one_loop(barge);
}

static int run_out_of_time(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    (void)arg;
    EXPECT_IS(whorl_semaphore_acquire_until(&semaphore, whorl_after(WHORL_MILLISECOND)),
              -ETIMEDOUT);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_acquire_until(&semaphore, 0), 0);
    EXPECT_IS(whorl_semaphore_acquire_until(&semaphore, 0), -ETIMEDOUT);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), 0);
    return 0;
}

static void test_acquire_until_gives_up_at_its_deadline(void **state)
{
    (void)state;
    at_all_loops(run_out_of_time);
    at_no_loop(run_out_of_time);
}

static int destroy_in_use(void *arg)
{
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(0);
    struct taker taker[1] = {{0}};
    (void)arg;
    line_up(&semaphore, taker, 1);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), -EBUSY);
    EXPECT_IS(whorl_semaphore_release(&semaphore), 0);
    end_all(taker, 1);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), -EINVAL);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), -EINVAL);
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), -EINVAL);
    EXPECT_IS(whorl_semaphore_release(&semaphore), -EINVAL);
    EXPECT(whorl_semaphore_locked(&semaphore));
    return 0;
}

static void test_a_semaphore_in_use_is_not_destroyed(void **state)
{
    (void)state;
    at_all_loops(destroy_in_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sem_1_a_free_unit_is_taken_without_a_wait),
        cmocka_unit_test(test_sem_2_a_negative_value_is_refused_and_zero_is_fine),
        cmocka_unit_test(test_sem_2_so_is_one_in_an_initialiser),
        cmocka_unit_test(test_sem_3_who_releases_and_acquires_does_not_overtake),
        cmocka_unit_test(test_sem_4_it_is_locked_while_who_was_chosen_has_not_run),
        cmocka_unit_test(test_sem_5_three_releases_let_three_through),
        cmocka_unit_test(test_sem_6_who_was_cancelled_is_passed_over),
        cmocka_unit_test(test_sem_7_who_was_granted_and_cancelled_gives_it_back),
        cmocka_unit_test(test_sem_8_a_release_without_an_acquire_makes_one_more),
        cmocka_unit_test(test_sem_9_the_bounded_one_refuses_that),
        cmocka_unit_test(test_sem_10_a_granted_unit_counts_as_held),
        cmocka_unit_test(test_sem_11_a_cancelled_waiter_leaves_no_entry),
        cmocka_unit_test(test_mt_9_tasks_and_threads_share_units),
        cmocka_unit_test(test_mt_9_an_unfair_one_lets_pass_who_comes),
        cmocka_unit_test(test_acquire_until_gives_up_at_its_deadline),
        cmocka_unit_test(test_a_semaphore_in_use_is_not_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
