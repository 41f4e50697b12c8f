/*
 * test_idle.c - who searches, who sleeps, who is woken: the counters by hand, then with threads.
 *
 * The runs with threads switch the monitor off: it would hide a lost wake-up after some time.
 */
#include "mill.h"
#include "rig.h"

#include "task/park.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the counters, by hand ---- */

static void fall_asleep(struct whorl__loop *loop)
{
    assert_true(whorl__idle_sleep_begin(loop));
}

static void test_idle_at_most_half_of_the_loops_search(void **state)
{
    /* More would only meet at the same victims. */
    struct mill *const mill = *state;
    assert_true(whorl__idle_search_begin(&mill->runtime));
    assert_true(whorl__idle_search_begin(&mill->runtime));
    assert_false(whorl__idle_search_begin(&mill->runtime));
    assert_false(whorl__idle_search_end(&mill->runtime));
    assert_true(whorl__idle_search_end(&mill->runtime));
    assert_int_equal(mill->runtime.idle.word, 0);
}

static void test_idle_notify_wakes_the_nearest_sleeper_and_counts_it(void **state)
{
    /* From that moment on it is a searcher, so that the next notify wakes nobody. */
    struct mill *const mill = *state;
    fall_asleep(mill->loops[3]);
    fall_asleep(mill->loops[2]);
    whorl__idle_notify(mill->loops[1], &mill->runtime);
    assert_true(mill_was_woken(mill->loops[2]));
    assert_int_equal(mill_searching(mill), 1);
    assert_int_equal(mill_sleeping(mill), 1);
    whorl__idle_notify(mill->loops[1], &mill->runtime);
    assert_false(mill_was_woken(mill->loops[3]));
    whorl__idle_sleep_end(mill->loops[2]);
    assert_true(mill->loops[2]->searching);
    whorl__idle_sleep_end(mill->loops[3]);
    assert_false(mill->loops[3]->searching);
    assert_int_equal(mill->runtime.idle.word, 1);
}

static void test_idle_notify_with_a_searcher_or_nobody_asleep_wakes_nobody(void **state)
{
    /* The searcher will look again before it sleeps. */
    struct mill *const mill = *state;
    whorl__idle_notify(mill->loops[0], &mill->runtime);
    assert_int_equal(mill->runtime.idle.word, 0);
    fall_asleep(mill->loops[1]);
    assert_true(whorl__idle_search_begin(&mill->runtime));
    whorl__idle_notify(NULL, &mill->runtime);
    assert_false(mill_was_woken(mill->loops[1]));
    assert_int_equal(mill_sleeping(mill), 1);
    whorl__idle_sleep_end(mill->loops[1]);
}

static void test_idle_last_searcher_looks_again_and_stays_awake(void **state)
{
    /* Published after its last look and before it said that it sleeps: the publisher saw a
     * searcher and woke nobody. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[0];
    loop->searching = whorl__idle_search_begin(&mill->runtime);
    mill_fill_ring(mill, 1, 0, 1);
    whorl__idle_notify(mill->loops[1], &mill->runtime);
    assert_false(whorl__idle_sleep_begin(loop));
    whorl__idle_sleep_end(loop);
    assert_true(loop->searching); /* so that who comes to a task of its own first passes it on */
    assert_int_equal(mill->runtime.idle.word, 1);
}

static void test_idle_searcher_kept_awake_by_own_work_still_counts(void **state)
{
    /* A publisher that met it as a searcher woke nobody: what was published is still its to find,
     * or to pass on before it runs its own task. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[0];
    loop->searching = whorl__idle_search_begin(&mill->runtime);
    whorl__loop_push_bound(loop, &mill->tasks[0]);
    assert_false(whorl__idle_sleep_begin(loop));
    whorl__idle_sleep_end(loop);
    assert_true(loop->searching);
    assert_int_equal(mill->runtime.idle.word, 1);
}

static void test_idle_not_the_last_searcher_may_sleep(void **state)
{
    /* The other one will see the work. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[0];
    assert_true(whorl__idle_search_begin(&mill->runtime));
    loop->searching = whorl__idle_search_begin(&mill->runtime);
    mill_fill_ring(mill, 1, 0, 1);
    fall_asleep(loop);
    assert_int_equal(mill_searching(mill), 1);
    whorl__idle_sleep_end(loop);
}

static void test_idle_own_work_keeps_a_loop_awake(void **state)
{
    /* Nobody else may run what is bound to it or lies in its inbox. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[0];
    assert_true(whorl__idle_search_begin(&mill->runtime)); /* so that it looks at its own only */
    whorl__loop_push_bound(loop, &mill->tasks[0]);
    assert_false(whorl__idle_sleep_begin(loop));
    whorl__idle_sleep_end(loop);
    (void)whorl__fifo_pop(&loop->bound);
    mill_play(mill->loops[1]);
    whorl__loop_post(loop, &mill->tasks[1].item);
    assert_false(whorl__idle_sleep_begin(loop));
    whorl__idle_sleep_end(loop);
    assert_int_equal(whorl__loop_take_inbox(loop), 1);
    mill->runtime.stop = 1;
    (void)whorl__fifo_pop(&loop->bound);
    assert_false(whorl__idle_sleep_begin(loop));
    whorl__idle_sleep_end(loop);
    mill->runtime.stop = 0;
    fall_asleep(loop);
    whorl__idle_sleep_end(loop);
}

static void test_idle_post_wakes_a_sleeper_on_the_first_task_only(void **state)
{
    /* The edge from empty: one system call for a burst. */
    struct mill *const mill = *state;
    struct whorl__loop *const loop = mill->loops[2];
    fall_asleep(loop);
    whorl__loop_post(loop, &mill->tasks[0].item);
    assert_true(mill_was_woken(loop));
    whorl__loop_post(loop, &mill->tasks[1].item);
    assert_false(mill_was_woken(loop));
    whorl__idle_sleep_end(loop);
    assert_int_equal(whorl__loop_take_inbox(loop), 2);
}

/* ---- with threads ---- */

#define ROUNDS 3000

struct handover {
    uint32_t ran;  /* A: children */
    uint32_t lost; /* rounds whose child nobody came for */
    int rounds;
};

static int child(void *arg)
{
    struct handover *const handover = arg;
    mark(&handover->ran);
    return 0;
}

/* Holds its loop until somebody else has run the child: only a wake-up can bring them. The pause
 * before lets the others get as far as anywhere on their way to sleep. */
static int spawn_and_hold(void *arg)
{
    struct handover *const handover = arg;
    for (int round = 0; round < handover->rounds && handover->lost == 0; round++) {
        for (int i = round * 7 % 600; i > 0; i--) {
            whorl__pause();
        }
        if (whorl_spawn(child, handover, NULL, NULL) != 0) {
            return -EPROTO;
        }
        handover->lost += !compute_until(&handover->ran, (uint32_t)round + 1);
    }
    return 0;
}

static void hand_over(int loops)
{
    struct handover handover = {.rounds = ROUNDS};
    struct whorl_options options = stealing_options(loops, NULL);
    options.stall_ns = WHORL_NEVER;
    assert_int_equal(whorl_run(spawn_and_hold, &handover, &options), 0);
    assert_int_equal(handover.lost, 0);
    assert_int_equal(handover.ran, ROUNDS);
}

static void test_idle_work_of_busy_loop_is_fetched_by_the_other(void **state)
{
    /* Two loops: one wake-up lost is enough to hang. */
    (void)state;
    hand_over(2);
}

static void test_idle_work_of_busy_loop_is_fetched_by_one_of_many(void **state)
{
    /* Eight loops: some search, some go to sleep, some are being woken. */
    (void)state;
    hand_over(8);
}

/* ---- a loop woken to search has work of its own ---- */

struct diversion {
    int pair[2];
    int loop;         /* the one that is woken, and blocked by its own task */
    uint32_t parked;  /* A: its reader waits */
    uint32_t fetched; /* A: the spawned task ran */
    bool saw[2];
};

static int read_and_hold(void *arg)
{
    struct diversion *const diversion = arg;
    char byte;
    mark(&diversion->parked);
    if (whorl_read(diversion->pair[0], &byte, 1) != 1) {
        return -EIO;
    }
    diversion->saw[0] = compute_until(&diversion->fetched, 1);
    return 0;
}

static int fetch(void *arg)
{
    struct diversion *const diversion = arg;
    mark(&diversion->fetched);
    return 0;
}

static bool all_others_sleep(const struct whorl__runtime *runtime, unsigned self)
{
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        /* relaxed: looked at until it is so */
        if (i != self && whorl__load_relaxed_u32(&runtime->loops[i]->sleeping) == 0) {
            return false;
        }
    }
    return true;
}

/* Pinned to loop 0. The nearest sleeper gets a byte for its own reader, and is woken to search. */
static int divert(void *arg)
{
    struct diversion *const diversion = arg;
    const struct whorl__runtime *const runtime = whorl__task_current()->runtime;
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (!all_others_sleep(runtime, 0) && whorl_now() < end_ns) {
        whorl__pause();
    }
    if (write(diversion->pair[1], "x", 1) != 1 || whorl_spawn(fetch, diversion, NULL, NULL) != 0) {
        return -EIO;
    }
    diversion->saw[1] = compute_until(&diversion->fetched, 1);
    return 0;
}

static int main_of_diversion(void *arg)
{
    struct diversion *const diversion = arg;
    struct whorl__loop *const *const loops = whorl__task_current()->runtime->loops;
    const struct whorl_attr nearest = {.pin = WHORL_PIN(loops[0]->victims[0])};
    const struct whorl_attr first = {.pin = WHORL_PIN(0)};
    struct whorl_task *tasks[2];
    int error = whorl_fd_adopt(diversion->pair[0]);
    error = error != 0 ? error : whorl_spawn(read_and_hold, diversion, &nearest, &tasks[0]);
    if (error != 0 || !yield_until(&diversion->parked, 1)) {
        return -EPROTO;
    }
    error = whorl_spawn(divert, diversion, &first, &tasks[1]);
    for (int i = 0; i < 2 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    (void)whorl_close(diversion->pair[0]);
    return error;
}

static void test_idle_loop_woken_to_search_runs_own_task_another_searches(void **state)
{
    /* While it counts as a searcher nobody else is woken: so it must pass the search on before it
     * lets a task of its own hold it. */
    (void)state;
    struct diversion diversion = {.loop = -1};
    struct whorl_options options = stealing_options(3, NULL);
    options.stall_ns = WHORL_NEVER;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, diversion.pair), 0);
    assert_int_equal(whorl_run(main_of_diversion, &diversion, &options), 0);
    (void)close(diversion.pair[1]);
    assert_true(diversion.saw[0]);
    assert_true(diversion.saw[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mill_test(test_idle_at_most_half_of_the_loops_search),
        mill_test(test_idle_notify_wakes_the_nearest_sleeper_and_counts_it),
        mill_test(test_idle_notify_with_a_searcher_or_nobody_asleep_wakes_nobody),
        mill_test(test_idle_last_searcher_looks_again_and_stays_awake),
        mill_test(test_idle_searcher_kept_awake_by_own_work_still_counts),
        mill_test(test_idle_not_the_last_searcher_may_sleep),
        mill_test(test_idle_own_work_keeps_a_loop_awake),
        mill_test(test_idle_post_wakes_a_sleeper_on_the_first_task_only),
        cmocka_unit_test(test_idle_work_of_busy_loop_is_fetched_by_the_other),
        cmocka_unit_test(test_idle_work_of_busy_loop_is_fetched_by_one_of_many),
        cmocka_unit_test(test_idle_loop_woken_to_search_runs_own_task_another_searches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
