/*
 * The list of all tasks: rows TASK-8, EAG-5 and MT-22 of asyncio's semantics.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>

#define FOR_LOOPS(loops) for (int loops = 1; loops <= LOOPS_MOST; loops *= 2)

/* How often `task` is on the list of the runtime of `near`. */
static int count_listed(struct whorl_task *near, const struct whorl_task *task, size_t *ret_count)
{
    struct whorl_task **tasks;
    size_t count;
    int times = 0;
    must(whorl_all_tasks(near, &tasks, &count));
    for (size_t i = 0; i < count; i++) {
        times += tasks[i] == task;
    }
    whorl_all_tasks_free(tasks, count);
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return times;
}

/* ---- TASK-8: who lives is there, who has ended is not ---- */

enum { SLEEPERS = 100 };

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return whorl_sleep_until(WHORL_NEVER);
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

struct lists {
    size_t with_all;  /* how long the list was */
    size_t alone;
    int self;         /* how often the caller was on it */
    int sleepers;     /* of them, on the list once */
    int runnable;     /* one that has not begun */
    int ended;        /* one that has, with a handle still there */
};

static int look_at_lists(void *arg)
{
    struct lists *const lists = arg;
    struct whorl_task *sleepers[SLEEPERS];
    struct whorl_task *const self = whorl_task_current();
    struct whorl_task *const ended = start(end_at_once, NULL);
    must(whorl_await(ended, NULL));
    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = start(sleep_for_ever, NULL);
    }
    settle();
    struct whorl_task *const runnable = start_here(end_at_once, NULL);
    for (int i = 0; i < SLEEPERS; i++) {
        lists->sleepers += count_listed(NULL, sleepers[i], NULL) == 1;
    }
    lists->self = count_listed(NULL, self, &lists->with_all);
    lists->runnable = count_listed(NULL, runnable, NULL);
    lists->ended = count_listed(NULL, ended, NULL);
    must(finish(runnable));
    whorl_task_unref(ended);
    for (int i = 0; i < SLEEPERS; i++) {
        must(whorl_cancel(sleepers[i], NULL) ? 0 : -EPROTO);
        must(finish(sleepers[i]) == -ECANCELED ? 0 : -EPROTO);
    }
    (void)count_listed(NULL, self, &lists->alone);
    return 0;
}

static void test_task_8_who_lives_is_listed_and_who_has_ended_is_not(void **state)
{
    /* Parked ones, one that is queued, the caller itself: each once. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct lists lists = {0};
        assert_int_equal(play(loops, look_at_lists, &lists), 0);
        assert_int_equal(lists.with_all, SLEEPERS + 2);
        assert_int_equal(lists.sleepers, SLEEPERS);
        assert_int_equal(lists.self, 1);
        assert_int_equal(lists.runnable, 1);
        assert_int_equal(lists.ended, 0);
        assert_int_equal(lists.alone, 1);
    }
}

/* ---- EAG-5: the eager part counts, an eager end does not ---- */

struct eager_part {
    int listed_inside;
    int listed_after; /* one that has ended */
    int listed_later; /* one that waits */
    bool waits;
};

static int look_inside(void *arg)
{
    struct eager_part *const part = arg;
    part->listed_inside += count_listed(NULL, whorl_task_current(), NULL);
    return part->waits ? whorl_sleep_until(WHORL_NEVER) : 0;
}

static int spawn_eagerly(void *arg)
{
    struct eager_part *const part = arg;
    const struct whorl_attr attr = {.flags = WHORL_EAGER};
    struct whorl_task *quick;
    struct whorl_task *waiting;
    must(whorl_spawn(look_inside, part, &attr, &quick));
    part->listed_after = count_listed(NULL, quick, NULL);
    part->waits = true;
    must(whorl_spawn(look_inside, part, &attr, &waiting));
    part->listed_later = count_listed(NULL, waiting, NULL);
    must(finish(quick));
    must(whorl_cancel(waiting, NULL) ? 0 : -EPROTO);
    return finish(waiting) == -ECANCELED ? 0 : -EPROTO;
}

static void test_eag_5_is_listed_in_its_eager_part_and_not_when_it_has_ended(void **state)
{
    /* Two of them: one ends in its eager part, one waits after it. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct eager_part part = {0};
        assert_int_equal(play(loops, spawn_eagerly, &part), 0);
        assert_int_equal(part.listed_inside, 2);
        assert_int_equal(part.listed_after, 0);
        assert_int_equal(part.listed_later, 1);
    }
}

/* ---- MT-22: while others come and go ---- */

enum { ROUNDS = 200, CHURNERS = 4, CHILDREN = 8 };

struct churn {
    struct whorl_task *stayer;
    struct whorl_task *near;
    int missing; /* lists without the stayer */
    int torn;    /* listed tasks that were not what they should be */
};

/* Spawns and ends on every loop; a child's slot is the next child's at once. */
static int churn_tasks(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CHILDREN; i++) {
            must(whorl_spawn(end_at_once, NULL, NULL, NULL));
        }
        must(whorl_yield());
    }
    return 0;
}

/* A reference that is held keeps a task and its name, whatever becomes of it. */
static void look_while_they_churn(struct churn *churn, struct whorl_task *near)
{
    struct whorl_task **tasks;
    size_t count;
    bool there = false;
    must(whorl_all_tasks(near, &tasks, &count));
    for (size_t i = 0; i < count; i++) {
        there |= tasks[i] == churn->stayer;
        const bool was_done = whorl_task_done(tasks[i]);
        const int error = whorl_task_result(tasks[i], NULL);
        churn->torn += error != 0 && error != -EAGAIN;
        churn->torn += was_done && error == -EAGAIN;
    }
    churn->missing += !there;
    whorl_all_tasks_free(tasks, count);
}

static void *look_from_thread(void *arg)
{
    struct churn *const churn = arg;
    for (int round = 0; round < ROUNDS / 4; round++) {
        look_while_they_churn(churn, churn->near);
    }
    return NULL;
}

static int look_from_task(void *arg)
{
    struct churn *const churn = arg;
    for (int round = 0; round < ROUNDS / 4; round++) {
        look_while_they_churn(churn, NULL);
        must(whorl_yield());
    }
    return 0;
}

static int run_churn(void *arg)
{
    struct churn *const churn = arg;
    struct whorl_task *churners[CHURNERS];
    pthread_t thread;
    struct churn by_thread = {0};
    churn->stayer = start(sleep_for_ever, NULL);
    by_thread.near = whorl_task_current();
    by_thread.stayer = churn->stayer;
    for (int i = 0; i < CHURNERS; i++) {
        churners[i] = start(churn_tasks, NULL);
    }
    must(-pthread_create(&thread, NULL, look_from_thread, &by_thread));
    struct whorl_task *const looker = start(look_from_task, churn);
    must(finish(looker));
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    for (int i = 0; i < CHURNERS; i++) {
        must(finish(churners[i]));
    }
    churn->missing += by_thread.missing;
    churn->torn += by_thread.torn;
    must(whorl_cancel(churn->stayer, NULL) ? 0 : -EPROTO);
    return finish(churn->stayer) == -ECANCELED ? 0 : -EPROTO;
}

static void test_mt_22_who_stays_is_on_every_list_while_others_come_and_go(void **state)
{
    /* Asked for by a task and by a plain thread; whoever is listed is a whole task. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct churn churn = {0};
        assert_int_equal(play(loops, run_churn, &churn), 0);
        assert_int_equal(churn.missing, 0);
        assert_int_equal(churn.torn, 0);
    }
}

/* ---- where there is none ---- */

static int keep_handle(void *arg)
{
    *(struct whorl_task **)arg = whorl_task_ref(whorl_task_current());
    return 0;
}

static void test_all_tasks_outside_are_refused_and_of_an_ended_runtime_none(void **state)
{
    /* A reference to a task keeps its runtime's slots, and nobody is in them. */
    (void)state;
    struct whorl_task *near = NULL;
    struct whorl_task **tasks = NULL;
    size_t count = 7;
    assert_int_equal(whorl_all_tasks(NULL, &tasks, &count), -EPERM);
    assert_null(tasks);
    assert_int_equal(count, 7);
    assert_int_equal(play(2, keep_handle, &near), 0);
    assert_int_equal(whorl_all_tasks(near, &tasks, &count), 0);
    assert_int_equal(count, 0);
    whorl_all_tasks_free(tasks, count);
    whorl_task_unref(near);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_8_who_lives_is_listed_and_who_has_ended_is_not),
        cmocka_unit_test(test_eag_5_is_listed_in_its_eager_part_and_not_when_it_has_ended),
        cmocka_unit_test(test_mt_22_who_stays_is_on_every_list_while_others_come_and_go),
        cmocka_unit_test(test_all_tasks_outside_are_refused_and_of_an_ended_runtime_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
