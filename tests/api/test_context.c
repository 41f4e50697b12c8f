/*
 * Contexts and task-locals: rows CTX of asyncio's semantics, MT-28.
 *
 * Where a row says nothing about an order it is played at one loop, two and LOOPS_MOST.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>

static char none, red, green, blue;

static const struct whorl_local colour = {.initial = &none};
static const struct whorl_local shape = {.initial = &none};

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static void *get(void)
{
    return whorl_local_get(&colour);
}

static void set(void *value)
{
    must(whorl_local_set(&colour, value, NULL));
}

/* ---- CTX-1: a copy at creation ---- */

struct copies {
    void *before;  /* what the child found */
    void *creator; /* and the creator, when the child had set something */
    void *child;   /* and the child, when the creator had */
    void *other;   /* a key that nobody set */
    struct whorl_future *child_has_set;
    struct whorl_future *creator_has_set;
};

static int child_of_copies(void *arg)
{
    struct copies *const copies = arg;
    copies->before = get();
    set(&green);
    must(whorl_future_set_result(copies->child_has_set, NULL));
    must(whorl_future_await(copies->creator_has_set, NULL));
    copies->child = get();
    copies->other = whorl_local_get(&shape);
    return 0;
}

static int creator_of_copies(void *arg)
{
    struct copies *const copies = arg;
    copies->child_has_set = new_future();
    copies->creator_has_set = new_future();
    set(&red);
    struct whorl_task *const child = start(child_of_copies, copies);
    must(whorl_future_await(copies->child_has_set, NULL));
    copies->creator = get();
    set(&blue);
    must(whorl_future_set_result(copies->creator_has_set, NULL));
    must(finish(child));
    whorl_future_unref(copies->child_has_set);
    whorl_future_unref(copies->creator_has_set);
    return 0;
}

static void test_ctx_1_later_changes_of_either_side_are_not_seen(void **state)
{
    /* A child begins with what its creator had; then each has its own. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct copies copies = {0};
        assert_int_equal(play(loops, creator_of_copies, &copies), 0);
        assert_ptr_equal(copies.before, &red);
        assert_ptr_equal(copies.creator, &red);
        assert_ptr_equal(copies.child, &green);
        assert_ptr_equal(copies.other, &none);
    }
}

/* ---- CTX-2, CTX-6, CTX-9: many tasks, each its own, over suspensions and threads ---- */

enum { MANY = 100 };

struct many {
    struct own {
        void *late[3];
        bool moved;
    } own[MANY];
};

static int keep_own(void *arg)
{
    struct own *const own = arg;
    const pthread_t first = pthread_self();
    set(own);
    for (int i = 0; i < 3; i++) {
        must(i == 1 ? whorl_sleep(WHORL_MILLISECOND) : whorl_yield());
        own->late[i] = get();
        own->moved |= !pthread_equal(first, pthread_self());
    }
    return 0;
}

static int run_many(void *arg)
{
    struct many *const many = arg;
    struct whorl_task *tasks[MANY];
    for (int i = 0; i < MANY; i++) {
        tasks[i] = start(keep_own, &many->own[i]);
    }
    for (int i = 0; i < MANY; i++) {
        must(finish(tasks[i]));
    }
    return get() == &none ? 0 : -EPROTO;
}

static void test_ctx_2_and_6_and_9_a_hundred_tasks_keep_their_own_over_waits(void **state)
{
    /* What a task has set is there after each wait, on whatever thread, and nobody else's. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct many many = {0};
        assert_int_equal(play(loops, run_many, &many), 0);
        for (int i = 0; i < MANY; i++) {
            for (int late = 0; late < 3; late++) {
                assert_ptr_equal(many.own[i].late[late], &many.own[i]);
            }
        }
    }
}

/* ---- CTX-5: a context that is given is shared ---- */

struct sharing {
    struct whorl_context *context;
    void *first;  /* what the second task found of the first one's */
    void *inside; /* in the context, in the end */
    void *self;   /* the one who gave it */
};

static int set_green(void *arg)
{
    struct sharing *const sharing = arg;
    set(&green);
    (void)sharing;
    return whorl_yield();
}

static int look_and_set_blue(void *arg)
{
    struct sharing *const sharing = arg;
    sharing->first = get();
    set(&blue);
    return 0;
}

static int share_one(void *arg)
{
    struct sharing *const sharing = arg;
    must(whorl_context_new(&sharing->context));
    const struct whorl_attr attr = {.context = sharing->context};
    struct whorl_task *task;
    set(&red);
    must(whorl_spawn(set_green, sharing, &attr, &task));
    must(finish(task));
    must(whorl_spawn(look_and_set_blue, sharing, &attr, &task));
    must(finish(task));
    sharing->inside = whorl_context_get(sharing->context, &colour);
    sharing->self = get();
    whorl_context_unref(sharing->context);
    return 0;
}

static void test_ctx_5_tasks_that_were_given_one_context_share_it(void **state)
{
    /* No copy is made: the second task sees what the first has set, the giver does not. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sharing sharing = {0};
        assert_int_equal(play(loops, share_one, &sharing), 0);
        assert_ptr_equal(sharing.first, &green);
        assert_ptr_equal(sharing.inside, &blue);
        assert_ptr_equal(sharing.self, &red);
    }
}

/* ---- CTX-8: the context of a task ---- */

struct looked_at {
    struct whorl_future *go;
    struct whorl_context *given;
    bool same;    /* of a task that was given one */
    void *early;  /* through a sleeping task's context, before it sets */
    void *late;   /* and after */
    void *ended;  /* and when it has ended */
    void *own;    /* what the task itself then sees of a set from outside */
};

static int set_when_told(void *arg)
{
    struct looked_at *const at = arg;
    set(&red);
    must(whorl_yield());
    must(whorl_future_await(at->go, NULL));
    at->own = whorl_local_get(&shape);
    set(&green);
    return 0;
}

static int set_shape(void *value)
{
    return whorl_local_set(&shape, value, NULL);
}

static int look_at_context(void *arg)
{
    struct looked_at *const at = arg;
    struct whorl_context *context;
    at->go = new_future();
    struct whorl_task *const task = start(set_when_told, at);
    must(whorl_sleep(WHORL_MILLISECOND));
    must(whorl_task_context(task, &context));
    while ((at->early = whorl_context_get(context, &colour)) == &none) {
        must(whorl_yield());
    }
    must(whorl_context_run(context, set_shape, &blue));
    must(whorl_future_set_result(at->go, NULL));
    must(whorl_await(task, NULL));
    at->late = whorl_context_get(context, &colour);
    whorl_context_unref(context);
    must(whorl_task_context(task, &context));
    at->ended = whorl_context_get(context, &colour);
    whorl_context_unref(context);
    whorl_task_unref(task);
    whorl_future_unref(at->go);

    must(whorl_context_new(&at->given));
    const struct whorl_attr attr = {.context = at->given};
    struct whorl_task *other;
    must(whorl_spawn(end_at_once, NULL, &attr, &other));
    must(whorl_task_context(other, &context));
    at->same = context == at->given;
    whorl_context_unref(context);
    whorl_context_unref(at->given);
    return finish(other);
}

static void test_ctx_8_a_tasks_context_is_the_very_one_it_has(void **state)
{
    /* Not a copy: what either side sets later is seen by the other, and it outlives the task. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct looked_at at = {0};
        assert_int_equal(play(loops, look_at_context, &at), 0);
        assert_ptr_equal(at.early, &red);
        assert_ptr_equal(at.own, &blue);
        assert_ptr_equal(at.late, &green);
        assert_ptr_equal(at.ended, &green);
        assert_true(at.same);
    }
}

/* ---- a token is the context's, also once others have that ---- */

static int reset_after_a_look(void *arg)
{
    int *const got = arg;
    struct whorl_local_token token;
    struct whorl_context *context;
    must(whorl_local_set(&colour, &red, &token));
    must(whorl_task_context(whorl_task_current(), &context));
    *got = whorl_local_reset(&token);
    whorl_local_forget(&token);
    whorl_context_unref(context);
    return 0;
}

static void test_token_is_good_after_somebody_has_asked_for_the_context(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int got = UNSET;
        assert_int_equal(play(loops, reset_after_a_look, &got), 0);
        assert_int_equal(got, 0);
    }
}

/* ---- CTX-10: children of a gather copy when they are made ---- */

static int return_colour(void *arg)
{
    (void)arg;
    return whorl_return(get());
}

static int gather_colours(void *arg)
{
    struct whorl_result *const results = arg;
    struct whorl_task *tasks[2];
    set(&red);
    tasks[0] = start(return_colour, NULL);
    set(&green);
    tasks[1] = start(return_colour, NULL);
    set(&blue);
    must(whorl_gather(tasks, 2, 0, results));
    whorl_task_unref(tasks[0]);
    whorl_task_unref(tasks[1]);
    return 0;
}

static void test_ctx_10_children_copy_when_they_are_made(void **state)
{
    /* Not when they begin, nor when they are waited for. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_result results[2] = {{0}};
        assert_int_equal(play(loops, gather_colours, results), 0);
        assert_ptr_equal(results[0].value, &red);
        assert_ptr_equal(results[1].value, &green);
    }
}

/* ---- tokens ---- */

struct tokens {
    void *seen[4];
    int errors[4];
    struct whorl_local_token foreign;
};

static int set_with_token(void *arg)
{
    return whorl_local_set(&colour, &blue, arg);
}

static int play_tokens(void *arg)
{
    struct tokens *const tokens = arg;
    struct whorl_local_token first;
    struct whorl_local_token second;
    must(whorl_local_set(&colour, &red, &first));
    must(whorl_local_set(&colour, &green, &second));
    tokens->seen[0] = get();
    tokens->errors[0] = whorl_local_reset(&second);
    tokens->seen[1] = get();
    tokens->errors[1] = whorl_local_reset(&second);
    must(finish(start(set_with_token, &tokens->foreign)));
    tokens->errors[2] = whorl_local_reset(&tokens->foreign);
    whorl_local_forget(&tokens->foreign);
    tokens->seen[2] = get();
    tokens->errors[3] = whorl_local_reset(&first);
    tokens->seen[3] = get();
    return 0;
}

static void test_token_brings_back_once_and_in_its_own_context_only(void **state)
{
    /* ContextVar.reset: a used token and another context's are refused. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tokens tokens = {0};
        assert_int_equal(play(loops, play_tokens, &tokens), 0);
        assert_ptr_equal(tokens.seen[0], &green);
        assert_ptr_equal(tokens.seen[1], &red);
        assert_ptr_equal(tokens.seen[2], &red);
        assert_ptr_equal(tokens.seen[3], &none);
        assert_int_equal(tokens.errors[0], 0);
        assert_int_equal(tokens.errors[1], -EALREADY);
        assert_int_equal(tokens.errors[2], -EINVAL);
        assert_int_equal(tokens.errors[3], 0);
    }
}

/* ---- running in a context ---- */

struct entering {
    struct whorl_context *context;
    int nested;   /* entering it again, from inside */
    int other;    /* and from another task meanwhile */
    int own;      /* entering the context that one is in by attr */
    void *inside;
    void *child;  /* what a task spawned inside begins with */
    void *after;
};

static int enter_again(void *arg)
{
    struct entering *const entering = arg;
    return whorl_context_run(entering->context, end_at_once, NULL);
}

static int stay_inside(void *arg)
{
    struct entering *const entering = arg;
    void *value;
    set(&green);
    entering->nested = enter_again(entering);
    entering->other = finish(start(enter_again, entering));
    entering->inside = get();
    struct whorl_task *const child = start(return_colour, NULL);
    must(whorl_await(child, &value));
    whorl_task_unref(child);
    entering->child = value;
    return 7;
}

static int play_entering(void *arg)
{
    struct entering *const entering = arg;
    set(&red);
    must(whorl_context_copy(&entering->context));
    const int answer = whorl_context_run(entering->context, stay_inside, entering);
    entering->after = get();
    const struct whorl_attr attr = {.context = entering->context};
    struct whorl_task *task;
    must(whorl_spawn(enter_again, entering, &attr, &task));
    entering->own = finish(task);
    must(whorl_context_run(entering->context, end_at_once, NULL)); /* it was left */
    whorl_context_unref(entering->context);
    return answer == 7 ? 0 : -EPROTO;
}

static void test_run_in_a_context_that_is_entered_is_refused(void **state)
{
    /* Context.run: from inside, from another task, from a task whose own it is. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct entering entering = {0};
        assert_int_equal(play(loops, play_entering, &entering), 0);
        assert_int_equal(entering.nested, -EBUSY);
        assert_int_equal(entering.other, -EBUSY);
        assert_int_equal(entering.own, -EBUSY);
        assert_ptr_equal(entering.inside, &green);
        assert_ptr_equal(entering.child, &green);
        assert_ptr_equal(entering.after, &red);
    }
}

static int set_in_thread(void *arg)
{
    set(arg);
    return 0;
}

static void test_plain_thread_has_a_context_only_while_it_runs_in_one(void **state)
{
    /* And what it sets there is then the context's; the main task begins with its starter's. */
    (void)state;
    struct whorl_context *context;
    assert_int_equal(whorl_local_set(&colour, &red, NULL), -EPERM);
    assert_int_equal(whorl_context_new(&context), 0);
    assert_int_equal(whorl_context_run(NULL, set_in_thread, NULL), -EINVAL);
    assert_int_equal(whorl_context_run(context, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_context_run(context, set_in_thread, &red), 0);
    assert_ptr_equal(whorl_local_get(&colour), &none);
    assert_ptr_equal(whorl_context_get(context, &colour), &red);
    whorl_context_unref(context);
    const struct whorl_local odd = {.reserved = {1}};
    assert_int_equal(whorl_local_set(&odd, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_local_set(NULL, NULL, NULL), -EINVAL);
}

static int take_colour(void *arg)
{
    *(void **)arg = get();
    return 0;
}

static int run_runtime(void *arg)
{
    set(&blue);
    return whorl_run(take_colour, arg, &(struct whorl_options){.loops = 2});
}

static void test_main_task_begins_with_a_copy_of_its_starters_context(void **state)
{
    /* asyncio.run does the same. */
    (void)state;
    void *seen = NULL;
    struct whorl_context *context;
    assert_int_equal(whorl_context_new(&context), 0);
    assert_int_equal(whorl_context_run(context, run_runtime, &seen), 0);
    assert_ptr_equal(seen, &blue);
    whorl_context_unref(context);
}

/* ---- destroy ---- */

static int destroyed[MANY];

static void destroy(void *value)
{
    (void)__atomic_add_fetch((int *)value, 1, __ATOMIC_SEQ_CST);
}

static const struct whorl_local owned = {.destroy = destroy};

static int use_owned(void *arg)
{
    if (arg != NULL) {
        must(whorl_local_set(&owned, arg, NULL));
    }
    return whorl_yield();
}

static int spawn_owned(void *arg)
{
    (void)arg;
    struct whorl_task *tasks[MANY];
    struct whorl_local_token token;
    must(whorl_local_set(&owned, &destroyed[0], NULL));
    for (int i = 1; i < MANY; i++) {
        tasks[i] = start(use_owned, i % 3 == 0 ? NULL : &destroyed[i]);
    }
    for (int i = 1; i < MANY; i++) {
        must(finish(tasks[i]));
    }
    must(whorl_local_set(&owned, &destroyed[3], &token));
    const bool kept = destroyed[0] == 0;
    must(whorl_local_reset(&token));
    must(whorl_local_set(&owned, &destroyed[6], &token));
    whorl_local_forget(&token);
    return kept && whorl_local_get(&owned) == &destroyed[6] ? 0 : -EPROTO;
}

static void test_values_are_destroyed_once_when_nobody_has_them(void **state)
{
    /* With the last task, when they are replaced, when a token lets them go. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        memset(destroyed, 0, sizeof destroyed);
        assert_int_equal(play(loops, spawn_owned, NULL), 0);
        for (int i = 0; i < MANY; i++) {
            const bool used = i % 3 != 0 || i == 0 || i == 3 || i == 6;
            assert_int_equal(destroyed[i], used ? 1 : 0);
        }
    }
}

static int set_owned_in_it(void *arg)
{
    return whorl_local_set(&owned, arg, NULL);
}

static int await_destroyed(const int *count)
{
    int error = 0;
    while (error == 0 && __atomic_load_n(count, __ATOMIC_SEQ_CST) == 0) {
        error = whorl_sleep(WHORL_MILLISECOND);
    }
    return error;
}

/* arg: at one loop. */
static int give_late_value(void *arg)
{
    struct whorl_task *tasks[MANY];
    struct whorl_context *context;
    must(whorl_context_new(&context));
    const struct whorl_attr attr = {.context = context};
    for (int i = 0; i < MANY; i++) {
        must(whorl_spawn(use_owned, NULL, &attr, &tasks[i]));
    }
    must(whorl_context_run(context, set_owned_in_it, &destroyed[0]));
    for (int i = 0; i < MANY; i++) {
        must(finish(tasks[i]));
    }
    const bool kept = destroyed[0] == 0;
    whorl_context_unref(context);
    if (arg != NULL) {
        return kept && destroyed[0] == 1 ? 0 : -EPROTO;
    }
    return kept ? await_destroyed(&destroyed[0]) : -EPROTO;
}

static void test_value_set_after_many_tasks_share_its_context_is_destroyed_with_it(void **state)
{
    /* A loop has references on the context at hand by then. With one loop they are no delay. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        memset(destroyed, 0, sizeof destroyed);
        assert_int_equal(play(loops, give_late_value, loops == 1 ? destroyed : NULL), 0);
        assert_int_equal(destroyed[0], 1);
    }
}

/* A task in a shared context, whose children have its values and are not in it. */
static int spawn_from_shared(void *arg)
{
    struct whorl_task *tasks[MANY];
    (void)arg;
    must(whorl_local_set(&colour, &red, NULL));
    for (int i = 0; i < MANY; i++) {
        tasks[i] = start(set_green, NULL);
    }
    for (int i = 0; i < MANY; i++) {
        must(finish(tasks[i]));
    }
    return get() == &red ? 0 : -EPROTO;
}

static int share_and_spawn(void *arg)
{
    struct whorl_context *context;
    struct whorl_task *tasks[4];
    (void)arg;
    must(whorl_context_new(&context));
    const struct whorl_attr attr = {.context = context};
    for (int i = 0; i < 4; i++) {
        must(whorl_spawn(spawn_from_shared, NULL, &attr, &tasks[i]));
    }
    int error = 0;
    for (int i = 0; i < 4; i++) {
        error = finish(tasks[i]) != 0 ? -EPROTO : error;
    }
    const bool theirs = whorl_context_get(context, &colour) == &red;
    whorl_context_unref(context);
    return theirs ? error : -EPROTO;
}

static void test_ctx_2_children_of_a_task_in_a_shared_context_copy_it(void **state)
{
    /* Many of them, so that references on the context and on its map are at hand in turn. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, share_and_spawn, NULL), 0);
    }
}

/* ---- many keys ---- */

static int set_many_keys(void *arg)
{
    static struct whorl_local keys[40];
    (void)arg;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++) {
            must(whorl_local_set(&keys[i * 7 % 40], &keys[i], NULL));
        }
    }
    for (int i = 0; i < 40; i++) {
        if (whorl_local_get(&keys[i * 7 % 40]) != &keys[i]) {
            return -EPROTO;
        }
    }
    return 0;
}

static void test_many_keys_set_in_any_order_keep_their_values(void **state)
{
    /* Maps stand in the order of addresses; sets come in another. */
    (void)state;
    assert_int_equal(play(1, set_many_keys, NULL), 0);
}

/* ---- MT-28: shared between tasks that run in parallel ---- */

struct crowd {
    struct whorl_context *context;
    struct whorl_local keys[4];
};

static int hammer(void *arg)
{
    struct crowd *const crowd = arg;
    for (int i = 0; i < 200; i++) {
        void *const seen = whorl_local_get(&crowd->keys[i % 4]);
        if (seen != NULL && seen != &red && seen != &green) {
            return -EPROTO;
        }
        must(whorl_local_set(&crowd->keys[i % 4], i % 2 == 0 ? &red : &green, NULL));
        if (i % 16 == 0) {
            must(whorl_yield());
        }
    }
    return 0;
}

static int run_crowd(void *arg)
{
    struct crowd *const crowd = arg;
    struct whorl_task *tasks[8];
    must(whorl_context_new(&crowd->context));
    const struct whorl_attr attr = {.context = crowd->context};
    for (int i = 0; i < 8; i++) {
        must(whorl_spawn(hammer, crowd, &attr, &tasks[i]));
    }
    for (int i = 0; i < 8; i++) {
        must(finish(tasks[i]));
    }
    for (int i = 0; i < 4; i++) {
        must(whorl_context_get(crowd->context, &crowd->keys[i]) == NULL ? -EPROTO : 0);
    }
    whorl_context_unref(crowd->context);
    return 0;
}

static void test_mt_28_parallel_tasks_share_a_context_and_lose_no_key(void **state)
{
    /* Each set is one step: a value is one of those that were set, and no key is lost. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct crowd crowd = {0};
        assert_int_equal(play(loops, run_crowd, &crowd), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ctx_1_later_changes_of_either_side_are_not_seen),
        cmocka_unit_test(test_ctx_2_and_6_and_9_a_hundred_tasks_keep_their_own_over_waits),
        cmocka_unit_test(test_ctx_5_tasks_that_were_given_one_context_share_it),
        cmocka_unit_test(test_ctx_8_a_tasks_context_is_the_very_one_it_has),
        cmocka_unit_test(test_token_is_good_after_somebody_has_asked_for_the_context),
        cmocka_unit_test(test_ctx_10_children_copy_when_they_are_made),
        cmocka_unit_test(test_token_brings_back_once_and_in_its_own_context_only),
        cmocka_unit_test(test_run_in_a_context_that_is_entered_is_refused),
        cmocka_unit_test(test_plain_thread_has_a_context_only_while_it_runs_in_one),
        cmocka_unit_test(test_main_task_begins_with_a_copy_of_its_starters_context),
        cmocka_unit_test(test_values_are_destroyed_once_when_nobody_has_them),
        cmocka_unit_test(test_value_set_after_many_tasks_share_its_context_is_destroyed_with_it),
        cmocka_unit_test(test_ctx_2_children_of_a_task_in_a_shared_context_copy_it),
        cmocka_unit_test(test_many_keys_set_in_any_order_keep_their_values),
        cmocka_unit_test(test_mt_28_parallel_tasks_share_a_context_and_lose_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
