/*
 * First of several futures, and staggered races: tasks that are started one after the other.
 */
#include "support/play.h"

#include "state/task.h"

#include <pthread.h>

enum { MANY = 4 };

/* ---- first of ---- */

struct scene {
    struct whorl_future *futures[MANY];
    size_t count;
    int64_t deadline_ns;
    int result;
    size_t index;
    bool untouched;   /* nothing of the wait is left on those that are pending */
    uint32_t entered; /* A: the waiter has begun */
};

static void make_futures(struct scene *scene)
{
    scene->result = UNSET;
    scene->index = MANY;
    scene->count = MANY;
    scene->deadline_ns = WHORL_NEVER;
    for (int i = 0; i < MANY; i++) {
        scene->futures[i] = new_future();
    }
}

static void drop_futures(struct scene *scene)
{
    scene->untouched = true;
    for (int i = 0; i < MANY; i++) {
        const uint32_t word = whorl__load_relaxed_u32(&scene->futures[i]->word);
        if ((word & WHORL__FUTURE_DONE) == 0) { /* who completed another may still be at that */
            scene->untouched &= word == 0;
            scene->untouched &= whorl__load_relaxed_u32(&scene->futures[i]->references) == 1;
        }
        whorl_future_unref(scene->futures[i]);
    }
}

static int take_first(void *arg)
{
    struct scene *const scene = arg;
    __atomic_store_n(&scene->entered, 1, __ATOMIC_RELEASE);
    scene->result = whorl_first_of(scene->futures, scene->count, scene->deadline_ns, &scene->index);
    return 0;
}

/* A task that waits, or is about to. */
static struct whorl_task *start_taker(struct scene *scene)
{
    struct whorl_task *const task = start(take_first, scene);
    while (!__atomic_load_n(&scene->entered, __ATOMIC_ACQUIRE)) {
        must(whorl_yield());
    }
    settle();
    return task;
}

static int complete_third(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    struct whorl_task *const task = start_taker(scene);
    must(whorl_future_set_error(scene->futures[2], -EIO));
    must(finish(task));
    drop_futures(scene);
    return 0;
}

static void test_first_of_tells_which_and_leaves_the_others_alone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, complete_third, &scene), 0);
        assert_int_equal(scene.result, 0);
        assert_int_equal(scene.index, 2);
        assert_true(scene.untouched);
    }
}

static int second_is_done(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    must(whorl_future_set_result(scene->futures[3], NULL));
    must(whorl_future_set_result(scene->futures[1], NULL));
    struct whorl_task *const other = start_here(take_first, &(struct scene){.entered = 0});
    (void)take_first(scene); /* it does not wait: the other has not run, and is cancelled */
    (void)whorl_cancel(other, NULL);
    const int ended = finish(other);
    drop_futures(scene);
    return ended == -ECANCELED ? 0 : -EPROTO;
}

static void test_first_of_takes_what_is_done_without_a_wait(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, second_is_done, &scene), 0);
        assert_int_equal(scene.result, 0);
        assert_int_equal(scene.index, 1);
        assert_true(scene.untouched);
    }
}

static int nothing_ends(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->deadline_ns = whorl_after(WHORL_MILLISECOND);
    (void)take_first(scene);
    const int late = scene->result;
    struct whorl_task *const task = start_taker(scene); /* that deadline has passed */
    must(finish(task));
    const int too_late = scene->result;
    drop_futures(scene);
    return late == -ETIMEDOUT && too_late == -ETIMEDOUT ? 0 : -EPROTO;
}

static void test_first_of_ends_at_its_deadline(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, nothing_ends, &scene), 0);
        assert_int_equal(scene.index, MANY);
        assert_true(scene.untouched);
    }
}

static int cancel_taker(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    struct whorl_task *const task = start_taker(scene);
    (void)whorl_cancel(task, NULL);
    must(finish(task));
    drop_futures(scene);
    return 0;
}

static void test_first_of_cancelled_leaves_all_alone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, cancel_taker, &scene), 0);
        assert_int_equal(scene.result, -ECANCELED);
        assert_int_equal(scene.index, MANY);
        assert_true(scene.untouched);
    }
}

static int ask_badly(void *arg)
{
    int *const results = arg;
    struct whorl_future *futures[2] = {new_future(), NULL};
    size_t index = MANY;
    results[0] = whorl_first_of(futures, 0, WHORL_NEVER, &index);
    results[1] = whorl_first_of(futures, 2, WHORL_NEVER, &index);
    futures[1] = whorl_task_future(whorl_task_current());
    results[2] = whorl_first_of(futures, 2, WHORL_NEVER, &index);
    whorl_future_unref(futures[0]);
    return index == MANY ? 0 : -EPROTO;
}

static void test_first_of_refuses_bad_input(void **state)
{
    (void)state;
    int results[3] = {UNSET, UNSET, UNSET};
    assert_int_equal(play(1, ask_badly, results), 0);
    assert_int_equal(results[0], -EINVAL);
    assert_int_equal(results[1], -EINVAL);
    assert_int_equal(results[2], -EDEADLK);
}

struct visit {
    struct scene scene;
    struct whorl_future *over;
};

static void *take_in_thread(void *arg)
{
    struct visit *const visit = arg;
    (void)take_first(&visit->scene);
    must(whorl_future_set_result(visit->over, NULL));
    return NULL;
}

static int complete_for_thread(void *arg)
{
    struct visit *const visit = arg;
    struct scene *const scene = &visit->scene;
    pthread_t thread;
    make_futures(scene);
    visit->over = new_future();
    must(-pthread_create(&thread, NULL, take_in_thread, visit));
    while (!__atomic_load_n(&scene->entered, __ATOMIC_ACQUIRE)) {
        must(whorl_yield());
    }
    must(whorl_future_set_result(scene->futures[0], NULL));
    must(whorl_future_await(visit->over, NULL)); /* not by a join: in strict order it needs us */
    must(-pthread_join(thread, NULL));
    whorl_future_unref(visit->over);
    drop_futures(scene);
    return 0;
}

static void test_first_of_blocks_a_plain_thread(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct visit visit = {.over = NULL};
        assert_int_equal(play(loops, complete_for_thread, &visit), 0);
        assert_int_equal(visit.scene.result, 0);
        assert_int_equal(visit.scene.index, 0);
        assert_true(visit.scene.untouched);
    }
}

/* ---- attempts ---- */

/* What an attempt does, and what became of it. */
struct runner {
    int answer;                 /* PASS_ON: it waits for its gate, or for ever */
    int stubborn;               /* so many cancels are swallowed; then it answers 0 */
    struct whorl_future *gate;  /* may be NULL */
    struct whorl_future *begun; /* completed when it begins; may be NULL */
    uint32_t cancels;           /* how many it got */
    bool ran;
    bool ended;
};

static int attempt(void *arg)
{
    struct runner *const runner = arg;
    int error = runner->answer;
    runner->ran = true;
    if (runner->begun != NULL) {
        must(whorl_future_set_result(runner->begun, NULL));
    }
    while (error == PASS_ON) {
        error = runner->gate != NULL ? whorl_future_join(runner->gate, WHORL_NEVER, NULL)
                                     : whorl_sleep(WHORL_NEVER);
        runner->cancels += error == -ECANCELED;
        if (error == -ECANCELED && runner->stubborn > 0) {
            runner->stubborn--;
            error = runner->stubborn == 0 ? 0 : PASS_ON;
        }
    }
    (void)whorl_yield(); /* an end takes time */
    must(whorl_return(runner));
    runner->ended = true;
    return error;
}

struct race {
    struct runner runners[MANY];
    struct whorl_attempt attempts[MANY];
    struct whorl_future *begun[MANY];
    size_t count;
    int64_t delay_ns;
    int result;
    size_t winner;
    bool all_over; /* at the return: what began had ended */
};

static struct race race_of(size_t count, int64_t delay_ns)
{
    return (struct race){.count = count, .delay_ns = delay_ns, .result = UNSET, .winner = MANY};
}

static int run_race(void *arg)
{
    struct race *const race = arg;
    for (size_t i = 0; i < race->count; i++) {
        race->attempts[i].body = attempt;
        race->attempts[i].arg = &race->runners[i];
        race->attempts[i].error = UNSET;
        race->attempts[i].value = race;
    }
    race->result = whorl_staggered_race(race->attempts, race->count, race->delay_ns, &race->winner);
    race->all_over = true;
    for (size_t i = 0; i < race->count; i++) {
        race->all_over &= race->runners[i].ran == race->runners[i].ended;
    }
    return 0;
}

static void test_staggered_race_first_attempt_wins_alone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(3, WHORL_NEVER);
        assert_int_equal(play(loops, run_race, &race), 0);
        assert_int_equal(race.result, 0);
        assert_int_equal(race.winner, 0);
        assert_ptr_equal(race.attempts[0].value, &race.runners[0]);
        assert_true(race.attempts[0].started && race.all_over);
        for (int i = 1; i < 3; i++) {
            assert_true(!race.runners[i].ran && !race.attempts[i].started);
            assert_int_equal(race.attempts[i].error, 0);
            assert_null(race.attempts[i].value);
        }
    }
}

static void test_staggered_race_failure_starts_the_next(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(4, WHORL_NEVER);
        race.runners[0].answer = -EIO;
        race.runners[1].answer = -ECANCELED; /* also a failure */
        assert_int_equal(play(loops, run_race, &race), 0);
        assert_int_equal(race.result, 0);
        assert_int_equal(race.winner, 2);
        assert_int_equal(race.attempts[0].error, -EIO);
        assert_int_equal(race.attempts[1].error, -ECANCELED);
        assert_null(race.attempts[0].value);
        assert_false(race.attempts[3].started);
    }
}

/* The first two never end by themselves: the third only begins if the delay starts it. */
static void test_staggered_race_delay_starts_the_next(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(3, WHORL_MILLISECOND);
        race.runners[0].answer = race.runners[1].answer = PASS_ON;
        assert_int_equal(play(loops, run_race, &race), 0);
        assert_int_equal(race.result, 0);
        assert_int_equal(race.winner, 2);
        assert_true(race.all_over);
        for (int i = 0; i < 2; i++) {
            assert_true(race.attempts[i].started);
            assert_int_equal(race.attempts[i].error, -ECANCELED);
            assert_int_equal(race.runners[i].cancels, 1);
        }
    }
}

static void test_staggered_race_of_failures_tells_the_first(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(3, 0);
        race.runners[0].answer = -EPIPE;
        race.runners[1].answer = -EIO;
        race.runners[2].answer = -ENOENT;
        assert_int_equal(play(loops, run_race, &race), 0);
        assert_int_equal(race.result, -EPIPE);
        assert_int_equal(race.winner, MANY);
        assert_int_equal(race.attempts[1].error, -EIO);
        assert_int_equal(race.attempts[2].error, -ENOENT);
        assert_true(race.all_over);
    }
}

/* One that was cancelled answers with a value: it is not lost. */
static void test_staggered_race_keeps_the_value_of_a_loser(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(2, WHORL_MILLISECOND);
        race.runners[0] = (struct runner){.answer = PASS_ON, .stubborn = 1};
        assert_int_equal(play(loops, run_race, &race), 0);
        assert_int_equal(race.result, 0);
        assert_int_equal(race.winner, 1);
        assert_int_equal(race.attempts[0].error, 0);
        assert_ptr_equal(race.attempts[0].value, &race.runners[0]);
    }
}

/* ---- the caller is cancelled ---- */

static struct whorl_task *start_race(struct race *race, size_t begun)
{
    for (size_t i = 0; i < begun; i++) {
        race->runners[i].answer = PASS_ON;
        race->runners[i].begun = race->begun[i] = new_future();
    }
    struct whorl_task *const task = start(run_race, race);
    for (size_t i = 0; i < begun; i++) {
        must(whorl_future_await(race->begun[i], NULL));
    }
    settle();
    return task;
}

static int finish_race(struct race *race, struct whorl_task *task)
{
    const int error = finish(task);
    for (size_t i = 0; i < MANY; i++) {
        whorl_future_unref(race->begun[i]);
    }
    return error;
}

static int cancel_race(void *arg)
{
    struct race *const race = arg;
    struct whorl_task *const task = start_race(race, 2);
    (void)whorl_cancel(task, "enough");
    return finish_race(race, task);
}

static void test_staggered_race_cancelled_cancels_all_and_waits(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(2, WHORL_MILLISECOND);
        assert_int_equal(play(loops, cancel_race, &race), 0);
        assert_int_equal(race.result, -ECANCELED);
        assert_int_equal(race.winner, MANY);
        assert_true(race.all_over);
        assert_int_equal(race.attempts[0].error, -ECANCELED);
        assert_int_equal(race.attempts[1].error, -ECANCELED);
    }
}

/* Each cancel of the caller reaches the attempts; the first one alone would not end it. */
static int cancel_race_twice(void *arg)
{
    struct race *const race = arg;
    race->runners[0].stubborn = 2;
    struct whorl_task *const task = start_race(race, 1);
    (void)whorl_cancel(task, NULL);
    settle();
    (void)whorl_cancel(task, NULL);
    return finish_race(race, task);
}

static void test_staggered_race_cancelled_again_asks_again(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct race race = race_of(2, WHORL_NEVER);
        assert_int_equal(play(loops, cancel_race_twice, &race), 0);
        assert_int_equal(race.result, -ECANCELED);
        assert_int_equal(race.runners[0].cancels, 2);
        assert_int_equal(race.attempts[0].error, 0); /* it succeeded too late: no winner is told */
        assert_ptr_equal(race.attempts[0].value, &race.runners[0]);
        assert_false(race.attempts[1].started);
        assert_int_equal(race.winner, MANY);
    }
}

/* ---- what cannot be started ---- */

static int start_badly(void *arg)
{
    struct race *const race = arg;
    race->attempts[1].body = attempt;
    race->attempts[1].arg = &race->runners[1];
    race->result = whorl_staggered_race(race->attempts, 2, WHORL_NEVER, &race->winner);
    size_t winner;
    return whorl_staggered_race(race->attempts, 0, 0, &winner) == -EINVAL ? 0 : -EPROTO;
}

static void test_staggered_race_attempt_that_cannot_start_has_failed(void **state)
{
    (void)state;
    struct race race = race_of(2, WHORL_NEVER); /* the first one has no body */
    assert_int_equal(play(1, start_badly, &race), 0);
    assert_int_equal(race.result, 0);
    assert_int_equal(race.winner, 1);
    assert_int_equal(race.attempts[0].error, -EINVAL);
    assert_false(race.attempts[0].started);
}

static void test_staggered_race_is_for_tasks(void **state)
{
    (void)state;
    struct whorl_attempt attempts[1] = {{.body = attempt}};
    size_t winner = MANY;
    assert_int_equal(whorl_staggered_race(attempts, 1, 0, &winner), -EPERM);
    assert_int_equal(winner, MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_of_tells_which_and_leaves_the_others_alone),
        cmocka_unit_test(test_first_of_takes_what_is_done_without_a_wait),
        cmocka_unit_test(test_first_of_ends_at_its_deadline),
        cmocka_unit_test(test_first_of_cancelled_leaves_all_alone),
        cmocka_unit_test(test_first_of_refuses_bad_input),
        cmocka_unit_test(test_first_of_blocks_a_plain_thread),
        cmocka_unit_test(test_staggered_race_first_attempt_wins_alone),
        cmocka_unit_test(test_staggered_race_failure_starts_the_next),
        cmocka_unit_test(test_staggered_race_delay_starts_the_next),
        cmocka_unit_test(test_staggered_race_of_failures_tells_the_first),
        cmocka_unit_test(test_staggered_race_keeps_the_value_of_a_loser),
        cmocka_unit_test(test_staggered_race_cancelled_cancels_all_and_waits),
        cmocka_unit_test(test_staggered_race_cancelled_again_asks_again),
        cmocka_unit_test(test_staggered_race_attempt_that_cannot_start_has_failed),
        cmocka_unit_test(test_staggered_race_is_for_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
