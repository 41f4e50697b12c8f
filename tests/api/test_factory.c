/*
 * Task factories: row TASK-16 of asyncio's semantics.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>

#define FOR_LOOPS(loops) for (int loops = 1; loops <= LOOPS_MOST; loops *= 2)

static int end_at_once(void *arg)
{
    return whorl_return(arg);
}

/* ---- a factory that names what it makes ---- */

struct factory {
    struct whorl_task *near;
    int refusal; /* what it returns in place of a task, if that is not 0 */
};

static int make_named(void *arg, const struct whorl_spawning *spawning,
                      struct whorl_task **ret_task)
{
    const struct factory *const factory = arg;
    struct whorl_spawning named = *spawning;
    struct whorl_attr attr = {0};
    if (factory->refusal != 0) {
        return factory->refusal;
    }
    if (spawning->attr != NULL) {
        attr = *spawning->attr;
    }
    attr.name = "factory-made";
    named.attr = &attr;
    return whorl_task_make(&named, ret_task);
}

static bool is_named(struct whorl_task *task)
{
    return strcmp(whorl_task_name(task), "factory-made") == 0;
}

static int tell_name(void *arg)
{
    *(bool *)arg = is_named(whorl_task_current());
    return 0;
}

/* ---- TASK-16: every task ---- */

struct made {
    struct factory factory;
    bool plain;    /* a spawn without a handle */
    bool spawned;
    bool in_group;
    bool remote;
    bool after;    /* when it was taken away again */
    bool same;     /* get gives what was set */
    bool none;     /* and nothing before and after */
    int refused;   /* what a spawn said where the factory refuses */
    int freed;     /* arguments, of a spawn that was refused: stays the caller's */
};

static void *spawn_from_thread(void *arg)
{
    struct made *const made = arg;
    struct whorl_task *task;
    must(whorl_spawn_remote(made->factory.near, tell_name, &made->remote, NULL, &task));
    must(whorl_await(task, NULL));
    whorl_task_unref(task);
    return NULL;
}

static bool has_factory(whorl_task_factory *wanted, void *wanted_arg)
{
    whorl_task_factory *factory;
    void *arg = NULL;
    must(whorl_task_factory_get(&factory, &arg));
    return factory == wanted && arg == wanted_arg;
}

static void count_freed(void *arg)
{
    ((struct made *)arg)->freed++;
}

static void make_everywhere(struct made *made)
{
    struct whorl_group group;
    pthread_t thread;
    struct whorl_task *const task = start(tell_name, &made->spawned);
    must(finish(task));
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, tell_name, &made->in_group, NULL, NULL));
    must(whorl_group_end(&group, 0, NULL));
    must(whorl_spawn(tell_name, &made->plain, NULL, NULL));
    settle();
    must(-pthread_create(&thread, NULL, spawn_from_thread, made));
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
}

static int use_factory(void *arg)
{
    struct made *const made = arg;
    const struct whorl_attr attr = {.arg_free = count_freed};
    struct whorl_task *none = NULL;
    made->factory.near = whorl_task_current();
    made->none = has_factory(NULL, NULL);
    must(whorl_task_factory_set(make_named, &made->factory));
    made->same = has_factory(make_named, &made->factory);
    make_everywhere(made);
    made->factory.refusal = -EDQUOT;
    made->refused = whorl_spawn(end_at_once, made, &attr, &none);
    must(none == NULL ? 0 : -EPROTO);
    must(whorl_task_factory_set(NULL, NULL));
    made->none &= has_factory(NULL, NULL);
    return finish(start(tell_name, &made->after));
}

static void test_task_16_a_factory_makes_every_task_until_it_is_taken_away(void **state)
{
    /* Spawned with a handle and without, by a group, by a foreign thread. What it refuses is not
     * made, and the argument stays the caller's. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct made made = {.after = true};
        assert_int_equal(play(loops, use_factory, &made), 0);
        assert_true(made.spawned);
        assert_true(made.plain);
        assert_true(made.in_group);
        assert_true(made.remote);
        assert_false(made.after);
        assert_true(made.same);
        assert_true(made.none);
        assert_int_equal(made.refused, -EDQUOT);
        assert_int_equal(made.freed, 0);
    }
}

/* ---- the eager one ---- */

static int spawn_with_eager_factory(void *arg)
{
    struct whorl_task *task;
    must(whorl_task_factory_set(whorl_task_factory_eager, NULL));
    must(whorl_spawn(end_at_once, arg, NULL, &task));
    const bool eager = whorl_task_done(task);
    must(finish(task));
    must(whorl_task_factory_set(NULL, NULL));
    return eager ? 0 : -EPROTO;
}

static void test_eager_factory_starts_tasks_inside_the_spawn(void **state)
{
    /* As asyncio.eager_task_factory. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(play(loops, spawn_with_eager_factory, NULL), 0);
    }
}

/* ---- misuse ---- */

static int misuse(void *arg)
{
    const struct whorl_spawning nowhere = {.body = end_at_once};
    (void)arg;
    return whorl_task_make(&nowhere, NULL) == -EINVAL ? 0 : -EPROTO;
}

static void test_factory_calls_outside_are_refused(void **state)
{
    /* There is no runtime to have one; and a spawning is only got from a spawn. */
    whorl_task_factory *factory;
    (void)state;
    assert_int_equal(whorl_task_factory_set(NULL, NULL), -EPERM);
    assert_int_equal(whorl_task_factory_get(&factory, NULL), -EPERM);
    assert_int_equal(play(1, misuse, NULL), 0);
}

/* ---- set and used at the same time ---- */

enum { ROUNDS = 200, SPAWNERS = 3 };

static int spawn_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        must(finish(start(end_at_once, NULL)));
    }
    return 0;
}

static int change_often(void *arg)
{
    struct factory factory = {0};
    struct whorl_task *spawners[SPAWNERS];
    (void)arg;
    for (int i = 0; i < SPAWNERS; i++) {
        spawners[i] = start(spawn_often, NULL);
    }
    for (int i = 0; i < ROUNDS; i++) {
        must(whorl_task_factory_set(i % 2 == 0 ? make_named : NULL, &factory));
        must(whorl_yield());
    }
    for (int i = 0; i < SPAWNERS; i++) {
        must(finish(spawners[i]));
    }
    return whorl_task_factory_set(NULL, NULL);
}

static void test_factory_may_be_changed_while_others_spawn(void **state)
{
    /* Function and argument belong together, and every task is made. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(play(loops, change_often, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_16_a_factory_makes_every_task_until_it_is_taken_away),
        cmocka_unit_test(test_eager_factory_starts_tasks_inside_the_spawn),
        cmocka_unit_test(test_factory_calls_outside_are_refused),
        cmocka_unit_test(test_factory_may_be_changed_while_others_spawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
