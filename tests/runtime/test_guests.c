/*
 * test_guests.c - plain threads that spawn, complete and let go while the runtime ends.
 *
 * A guest is started by the main task, which then returns at once: so each round is a race between
 * one guest's calls and the end of the runtime, and there are many rounds.
 */
#include "../sched/rig.h"

#include <errno.h>
#include <pthread.h>

#define ROUNDS      300
#define GUEST_CALLS 20

struct round {
    struct whorl_task *main_task; /* with a reference */
    struct whorl_task *tasks[GUEST_CALLS];
    uint32_t present;  /* A: the guest has begun */
    uint32_t accepted; /* A: spawned */
    uint32_t ran;      /* A */
    uint32_t freed;    /* A: arguments */
    bool strange;
    void *(*guest)(void *round);
    pthread_t thread;
};

static void count_freed(void *arg)
{
    struct round *const round = arg;
    mark(&round->freed);
}

static int run_once(void *arg)
{
    struct round *const round = arg;
    mark(&round->ran);
    return 0;
}

static void *spawn_until_refused(void *arg)
{
    struct round *const round = arg;
    const struct whorl_attr attr = {.arg_free = count_freed};
    int error = 0;
    mark(&round->present);
    while (error == 0) {
        error = whorl_spawn_remote(round->main_task, run_once, round, &attr, NULL);
        if (error == 0) {
            mark(&round->accepted);
        }
    }
    round->strange |= error != -ECANCELED;
    return NULL;
}

static void *let_go(void *arg)
{
    struct round *const round = arg;
    mark(&round->present);
    for (int i = 0; i < GUEST_CALLS; i++) {
        round->strange |= whorl_task_result(round->tasks[i], NULL) != 0;
        whorl_task_unref(round->tasks[i]);
    }
    return NULL;
}

static int main_of_round(void *arg)
{
    struct round *const round = arg;
    round->main_task = whorl_task_ref(whorl_task_current());
    for (int i = 0; i < GUEST_CALLS; i++) {
        if (whorl_spawn(run_once, round, NULL, &round->tasks[i]) != 0 ||
            whorl_await(round->tasks[i], NULL) != 0) {
            return -EPROTO;
        }
    }
    if (pthread_create(&round->thread, NULL, round->guest, round) != 0) {
        return -EAGAIN;
    }
    return yield_until(&round->present, 1) ? 0 : -ETIMEDOUT;
}

static void play(void *(*guest)(void *round), int loops, struct round *ret_round)
{
    const struct whorl_options options = {.loops = loops, .no_pin = 1};
    *ret_round = (struct round){.guest = guest};
    assert_int_equal(whorl_run(main_of_round, ret_round, &options), 0);
    assert_int_equal(pthread_join(ret_round->thread, NULL), 0);
    assert_false(ret_round->strange);
}

static void test_guest_spawns_while_runtime_ends_accepted_tasks_end(void **state)
{
    /* 0 is a promise: the body runs or is cancelled, and the argument is given back, also when the
     * runtime counted its tasks in that very moment. */
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct round round;
        play(spawn_until_refused, 1 + i % 3, &round);
        assert_int_equal(round.freed, round.accepted);
        for (int j = 0; j < GUEST_CALLS; j++) {
            whorl_task_unref(round.tasks[j]);
        }
        whorl_task_unref(round.main_task);
    }
}

static void test_guest_lets_go_of_tasks_while_runtime_ends_memory_is_freed_once(void **state)
{
    /* The slots belong to the runtime until the last reference is gone, and then to nobody: only a
     * sanitizer or a crash tells. */
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct round round;
        play(let_go, 1 + i % 3, &round);
        assert_int_equal(round.ran, GUEST_CALLS);
        whorl_task_unref(round.main_task);
    }
}

static void test_tasks_outlive_runtime_their_results_can_be_asked(void **state)
{
    /* A reference keeps the result, however long the runtime is gone. */
    (void)state;
    struct round round;
    play(spawn_until_refused, 2, &round);
    for (int i = 0; i < GUEST_CALLS; i++) {
        assert_true(whorl_task_done(round.tasks[i]));
        assert_int_equal(whorl_join(round.tasks[i], WHORL_NEVER, NULL), 0);
        assert_false(whorl_cancel(round.tasks[i], NULL));
        whorl_task_unref(round.tasks[i]);
    }
    assert_int_equal(whorl_spawn_remote(round.main_task, run_once, &round, NULL, NULL), -ECANCELED);
    whorl_task_unref(round.main_task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_spawns_while_runtime_ends_accepted_tasks_end),
        cmocka_unit_test(test_guest_lets_go_of_tasks_while_runtime_ends_memory_is_freed_once),
        cmocka_unit_test(test_tasks_outlive_runtime_their_results_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
