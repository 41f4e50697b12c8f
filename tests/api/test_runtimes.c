/*
 * test_runtimes.c - two runtimes in one process, in threads that the program made.
 *
 * Tasks of one complete futures that tasks of the other await, both ways, at once. A future has no
 * runtime; whoever completes it queues the waiter in the runtime that the waiter belongs to.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>

#define PAIRS  16
#define ROUNDS 40

/* ---- ping-pong ---- */

/* Futures by which a pair of tasks, one in each runtime, take turns. */
struct pair {
    struct whorl_future *there[ROUNDS]; /* completed by the left one, awaited by the right one */
    struct whorl_future *back[ROUNDS];
    uintptr_t left_sum;
    uintptr_t right_sum;
};

struct side {
    struct pair *pairs;
    whorl_body *play;
    int loops;
    int error;
    int nested; /* what whorl_run said inside a task */
    pthread_t thread;
};

static int play_left(void *arg)
{
    struct pair *const pair = arg;
    for (uintptr_t i = 0; i < ROUNDS; i++) {
        void *value = NULL;
        must(whorl_future_set_result(pair->there[i], (void *)(i + 1)));
        must(whorl_future_await(pair->back[i], &value));
        pair->left_sum += (uintptr_t)value;
    }
    return 0;
}

static int play_right(void *arg)
{
    struct pair *const pair = arg;
    for (uintptr_t i = 0; i < ROUNDS; i++) {
        void *value = NULL;
        must(whorl_future_await(pair->there[i], &value));
        pair->right_sum += (uintptr_t)value;
        must(whorl_future_set_result(pair->back[i], (void *)(2 * (i + 1))));
    }
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int play_side(void *arg)
{
    struct side *const side = arg;
    struct whorl_task *tasks[PAIRS];
    side->nested = whorl_run(do_nothing, NULL, NULL);
    for (int i = 0; i < PAIRS; i++) {
        tasks[i] = start(side->play, &side->pairs[i]);
    }
    for (int i = 0; i < PAIRS; i++) {
        must(finish(tasks[i]));
    }
    return whorl_loop_count() == side->loops ? 0 : -ERANGE;
}

static void *run_side(void *arg)
{
    struct side *const side = arg;
    const struct whorl_options options = {.loops = side->loops, .no_pin = 1};
    side->error = whorl_run(play_side, side, &options);
    return NULL;
}

static void make_pairs(struct pair pairs[PAIRS])
{
    memset(pairs, 0, PAIRS * sizeof *pairs);
    for (int i = 0; i < PAIRS; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            pairs[i].there[round] = new_future();
            pairs[i].back[round] = new_future();
        }
    }
}

static void drop_pairs(struct pair pairs[PAIRS])
{
    for (int i = 0; i < PAIRS; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            whorl_future_unref(pairs[i].there[round]);
            whorl_future_unref(pairs[i].back[round]);
        }
    }
}

static void run_both(struct side sides[2])
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&sides[i].thread, NULL, run_side, &sides[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
        assert_int_equal(sides[i].error, 0);
        assert_int_equal(sides[i].nested, -EBUSY);
    }
}

static void test_tasks_of_two_runtimes_complete_each_others_futures(void **state)
{
    /* Every value arrives once, whatever the numbers of loops; nesting is refused in both. */
    (void)state;
    static struct pair pairs[PAIRS];
    const int loops[][2] = {{1, 1}, {1, 3}, {2, LOOPS_MOST}};
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        struct side sides[2] = {{.pairs = pairs, .play = play_left, .loops = loops[i][0]},
                                {.pairs = pairs, .play = play_right, .loops = loops[i][1]}};
        make_pairs(pairs);
        run_both(sides);
        for (int pair = 0; pair < PAIRS; pair++) {
            assert_int_equal(pairs[pair].right_sum, ROUNDS * (ROUNDS + 1) / 2);
            assert_int_equal(pairs[pair].left_sum, ROUNDS * (ROUNDS + 1));
        }
        drop_pairs(pairs);
    }
}

/* ---- one ends before the other ---- */

struct survivor {
    struct whorl_future *ready; /* value: a task of the other runtime, with a reference */
    int awaited;
    int gathered;
    void *value;
};

static int wait_to_be_cancelled(void *arg)
{
    (void)arg;
    return whorl_sleep_until(WHORL_NEVER);
}

static int end_early(void *arg)
{
    struct survivor *const survivor = arg;
    struct whorl_task *task;
    must(whorl_spawn(wait_to_be_cancelled, NULL, NULL, &task));
    must(whorl_future_set_result(survivor->ready, task));
    return whorl_sleep(WHORL_MILLISECOND); /* then the runtime ends, and cancels the task */
}

static void *run_short_one(void *arg)
{
    const struct whorl_options options = {.loops = 2, .no_pin = 1};
    must(whorl_run(end_early, arg, &options));
    return NULL;
}

static int outlive(void *arg)
{
    struct survivor *const survivor = arg;
    void *task = NULL;
    must(whorl_future_await(survivor->ready, &task));
    survivor->awaited = whorl_await(task, &survivor->value);
    struct whorl_task *const tasks[] = {task};
    survivor->gathered = whorl_gather(tasks, 1, 0, NULL);
    whorl_task_unref(task);
    return 0;
}

static void test_a_task_outlives_the_runtime_that_it_waits_for(void **state)
{
    /* It gets the end of the other's task, and the handle is good when that runtime is gone. */
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct survivor survivor = {.ready = new_future(), .awaited = UNSET};
        const struct whorl_options options = {.loops = 2, .no_pin = 1};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, run_short_one, &survivor), 0);
        assert_int_equal(whorl_run(outlive, &survivor, &options), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(survivor.awaited, -ECANCELED);
        assert_int_equal(survivor.gathered, -ECANCELED);
        assert_null(survivor.value);
        whorl_future_unref(survivor.ready);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_of_two_runtimes_complete_each_others_futures),
        cmocka_unit_test(test_a_task_outlives_the_runtime_that_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
