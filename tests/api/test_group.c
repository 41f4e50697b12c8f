/*
 * Task groups; rows TG of asyncio's semantics.
 */
#include <stdio.h>
#include "support/play.h"

#include "sched/sched.h"

#include <errno.h>

/* A child: waits if told to, answers the cancel in its way. */
struct child {
    int answer;       /* what it returns; PASS_ON: what its wait returned */
    bool waits;       /* for ever, until it is cancelled */
    bool yields;      /* gives way once before it ends */
    uint32_t begun;   /* A: its body has been entered */
    int got;
    bool ended;
    bool freed;
};

static int be_child(void *arg)
{
    struct child *const child = arg;
    __atomic_store_n(&child->begun, 1, __ATOMIC_RELEASE);
    child->got = child->waits ? wait_for_ever() : child->yields ? whorl_yield() : 0;
    child->ended = true;
    return child->answer == PASS_ON ? child->got : child->answer;
}

static void free_child(void *arg)
{
    ((struct child *)arg)->freed = true;
}

static int add(struct whorl_group *group, struct child *child)
{
    static const struct whorl_attr attr = {.arg_free = free_child};
    return whorl_group_spawn(group, be_child, child, &attr, NULL);
}

/* A child that is cancelled before that has no body to answer with. From a task. */
static void await_begun(const struct child *child)
{
    while (!__atomic_load_n(&child->begun, __ATOMIC_ACQUIRE)) {
        must(whorl_yield());
    }
}

/* One group: two children, a block, and what was seen. */
struct scene {
    struct child one, two;
    int block;        /* how the block ends; PASS_ON: with what its wait for ever returned */
    bool block_waits;
    bool one_first;   /* the second child is added when the first has begun */
    int inside;
    int outside;
    int then;         /* of a wait after the group */
    int cancelling;   /* right after the group */
    size_t errors;
    int first, second;
    char first_name[32];
};

#define UNSEEN .inside = UNSET, .outside = UNSET, .then = UNSET

static void look_at_errors(struct scene *scene, struct whorl_errors *errors)
{
    const char *name = "";
    scene->errors = whorl_errors_count(errors);
    scene->first = whorl_errors_get(errors, 0, &name);
    scene->second = whorl_errors_get(errors, 1, NULL);
    strncpy(scene->first_name, name, sizeof scene->first_name - 1);
    whorl_errors_free(errors);
}

static int play_scene(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_group group;
    struct whorl_errors *errors;
    must(whorl_group_begin(&group));
    must(add(&group, &scene->one));
    if (scene->one_first) {
        await_begun(&scene->one);
    }
    must(add(&group, &scene->two));
    scene->inside = scene->block_waits ? wait_for_ever() : 0;
    scene->outside = whorl_group_end(
        &group, scene->block == PASS_ON ? scene->inside : scene->block, &errors);
    scene->cancelling = whorl_task_cancelling(whorl_task_current());
    look_at_errors(scene, errors);
    scene->then = whorl_yield();
    return 0;
}

static void play_group(int loops, struct scene *scene)
{
    assert_int_equal(play(loops, play_scene, scene), 0);
    assert_true(scene->one.freed && scene->two.freed);
}

static void test_tg_1_end_waits_for_all_children(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.one.yields = true, .two.yields = true, UNSEEN};
        play_group(loops, &scene);
        assert_int_equal(scene.outside, 0);
        assert_true(scene.one.ended && scene.two.ended);
        assert_int_equal(scene.errors, 0);
        assert_int_equal(scene.then, 0);
    }
}

/* ---- TG-2 ---- */

struct grower {
    struct whorl_group *group;
    int left;
    uint32_t *ended;
};

static int grow(void *arg)
{
    struct grower *const grower = arg;
    (void)whorl_yield();
    if (grower->left > 0) {
        struct grower *const next = malloc(sizeof *next);
        *next = (struct grower){grower->group, grower->left - 1, grower->ended};
        const struct whorl_attr attr = {.arg_free = free};
        must(whorl_group_spawn(grower->group, grow, next, &attr, NULL));
    }
    __atomic_fetch_add(grower->ended, 1, __ATOMIC_RELAXED);
    return 0;
}

static int play_growth(void *arg)
{
    struct whorl_group group;
    struct grower first = {&group, 50, arg};
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, grow, &first, NULL, NULL));
    return whorl_group_end(&group, 0, NULL);
}

static void test_tg_2_children_add_children_while_the_end_waits(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        uint32_t ended = 0;
        assert_int_equal(play(loops, play_growth, &ended), 0);
        assert_int_equal(ended, 51);
    }
}

/* ---- failures ---- */

static void test_tg_3_first_failing_child_cancels_siblings_and_block(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.one = {.waits = true, .answer = PASS_ON},
                              .two.answer = -EPIPE,
                              .block_waits = true,
                              .block = PASS_ON,
                              .one_first = true,
                              UNSEEN};
        play_group(loops, &scene);
        assert_int_equal(scene.one.got, -ECANCELED);
        assert_int_equal(scene.inside, -ECANCELED);
        assert_int_equal(scene.outside, -EPIPE);
        assert_int_equal(scene.errors, 1);
        assert_int_equal(scene.cancelling, 0);
        assert_int_equal(scene.then, 0);
    }
}

struct levels {
    struct scene scene;
    int before;
};

static int play_level(void *arg)
{
    struct levels *const levels = arg;
    (void)whorl_cancel(whorl_task_current(), "long ago");
    levels->before = whorl_yield();
    return play_scene(&levels->scene);
}

static void test_tg_6_cancelling_is_what_it_was_before(void **state)
{
    /* Also where the task had swallowed a cancel, which must not come again: row 29. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct levels levels = {.scene = {.two.answer = -EPIPE,
                                          .block_waits = true,
                                          .block = PASS_ON,
                                          UNSEEN}};
        assert_int_equal(play(loops, play_level, &levels), 0);
        assert_int_equal(levels.before, -ECANCELED);
        assert_int_equal(levels.scene.inside, -ECANCELED);
        assert_int_equal(levels.scene.outside, -EPIPE);
        assert_int_equal(levels.scene.cancelling, 1);
        assert_int_equal(levels.scene.then, 0);
    }
}

static void test_tg_29_cancel_swallowed_before_the_group_does_not_come_again(void **state)
{
    /* Its block is not even cancelled here: the end waits when the child fails. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct levels levels = {.scene = {.one.yields = true, .two.answer = -EPIPE, UNSEEN}};
        assert_int_equal(play(loops, play_level, &levels), 0);
        assert_int_equal(levels.scene.outside, -EPIPE);
        assert_int_equal(levels.scene.cancelling, 1);
        assert_int_equal(levels.scene.then, 0);
    }
}

static void test_tg_4_errors_are_listed_with_their_names(void **state)
{
    /* The list is there for a single error, too. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.one.yields = true, .two.answer = -EPIPE, UNSEEN};
        play_group(loops, &scene);
        assert_int_equal(scene.outside, -EPIPE);
        assert_int_equal(scene.errors, 1);
        assert_int_equal(scene.first, -EPIPE);
        assert_memory_equal(scene.first_name, "Task-", 5);
    }
}

static void test_tg_5_child_cancelled_by_itself_is_no_failure(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.one.answer = -ECANCELED, .two.yields = true, UNSEEN};
        play_group(loops, &scene);
        assert_int_equal(scene.outside, 0);
        assert_int_equal(scene.two.got, 0);
        assert_int_equal(scene.errors, 0);
    }
}

static int fail_after_a_while(void *arg)
{
    struct scene *const scene = arg;
    struct whorl_group group;
    struct whorl_errors *errors;
    must(whorl_group_begin(&group));
    must(add(&group, &scene->one));
    must(add(&group, &scene->two));
    await_begun(&scene->one);
    await_begun(&scene->two);
    scene->outside = whorl_group_end(&group, scene->block, &errors);
    look_at_errors(scene, errors);
    return 0;
}

static void test_tg_7_block_that_fails_cancels_children(void **state)
{
    /* Its error stands behind those of the children. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.one = {.waits = true, .answer = PASS_ON},
                              .two = {.waits = true, .answer = -EIO},
                              .block = -ENOENT,
                              UNSEEN};
        assert_int_equal(play(loops, fail_after_a_while, &scene), 0);
        assert_int_equal(scene.one.got, -ECANCELED);
        assert_int_equal(scene.errors, 2);
        assert_int_equal(scene.first, -EIO);
        assert_int_equal(scene.second, -ENOENT);
        assert_int_equal(scene.outside, -EIO);
    }
}

static void test_tg_7_block_that_fails_at_once_keeps_its_own_error(void **state)
{
    /* The children are cancelled before they begin: their bodies never run. */
    (void)state;
    struct scene scene = {.block = -ENOENT, UNSEEN};
    play_group(1, &scene);
    assert_false(scene.one.ended || scene.two.ended);
    assert_int_equal(scene.outside, -ENOENT);
    assert_int_equal(scene.errors, 1);
}

/* ---- cancelled from outside ---- */

struct outside {
    struct scene scene;
    struct whorl_task *task;
    bool again; /* cancelled a second time, perhaps while it waits for its children */
};

static int cancel_it(void *arg)
{
    struct outside *const outside = arg;
    outside->task = start(play_scene, &outside->scene);
    await_begun(&outside->scene.one);
    await_begun(&outside->scene.two);
    must(whorl_cancel(outside->task, "enough") ? 0 : -EALREADY);
    if (outside->again) {
        must(whorl_yield());
        (void)whorl_cancel(outside->task, "really");
    }
    return finish(outside->task);
}

static void play_outside(int loops, struct outside *outside)
{
    const int result = play(loops, cancel_it, outside);
    assert_true(result == 0 || (outside->again && result == -ECANCELED));
    assert_true(outside->scene.one.ended && outside->scene.two.ended);
}

#define OBEYS {.waits = true, .answer = PASS_ON}

static void test_tg_8_cancelled_from_outside_in_the_block(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct outside outside = {
            .scene = {.one = OBEYS, .two = OBEYS, .block_waits = true, .block = PASS_ON, UNSEEN}};
        play_outside(loops, &outside);
        assert_int_equal(outside.scene.one.got, -ECANCELED);
        assert_int_equal(outside.scene.outside, -ECANCELED);
        assert_int_equal(outside.scene.cancelling, 1);
        assert_int_equal(outside.scene.then, 0);
    }
}

static void test_tg_8_cancelled_from_outside_at_the_end(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct outside outside = {.scene = {.one = OBEYS, .two = OBEYS, UNSEEN}};
        play_outside(loops, &outside);
        assert_int_equal(outside.scene.outside, -ECANCELED);
        assert_int_equal(outside.scene.then, 0);
    }
}

static void test_tg_9_child_fails_while_it_unwinds_from_an_outside_cancel(void **state)
{
    /* The error comes out in place of the cancel. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct outside outside = {
            .scene = {.one = {.waits = true, .answer = -EIO}, .two = OBEYS, UNSEEN}};
        play_outside(loops, &outside);
        assert_int_equal(outside.scene.outside, -EIO);
    }
}

static void test_tg_10_cancel_beside_an_error_comes_at_the_next_wait(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct outside outside = {
            .scene = {.one = {.waits = true, .answer = -EIO}, .two = OBEYS, UNSEEN}};
        play_outside(loops, &outside);
        assert_int_equal(outside.scene.cancelling, 1);
        assert_int_equal(outside.scene.then, -ECANCELED);
    }
}

static void test_tg_11_errors_while_it_unwinds_are_added(void **state)
{
    /* In the order in which the children end, which is known at one loop. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct outside outside = {.scene = {.one = {.waits = true, .answer = -EIO},
                                            .two = {.waits = true, .answer = -EPIPE},
                                            UNSEEN}};
        play_outside(loops, &outside);
        assert_int_equal(outside.scene.errors, 2);
        assert_true(loops > 1 || outside.scene.first == -EIO);
        assert_int_equal(outside.scene.first + outside.scene.second, -EIO - EPIPE);
    }
}

static void test_tg_19_cancelled_again_and_again_still_waits(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct outside outside = {.scene = {.one = OBEYS, .two = OBEYS, UNSEEN}, .again = true};
        play_outside(loops, &outside);
        assert_int_equal(outside.scene.outside, -ECANCELED);
    }
}

/* ---- refusals ---- */

struct late {
    struct child refused, after;
    int before, while_aborting, at_end, end;
};

static int play_late(void *arg)
{
    struct late *const late = arg;
    struct child failing = {.answer = -EPIPE};
    struct whorl_group group = {{0}};
    late->before = add(&group, &late->refused);
    must(whorl_group_begin(&group));
    must(add(&group, &failing));
    (void)wait_for_ever();
    late->while_aborting = add(&group, &late->refused);
    late->end = whorl_group_end(&group, 0, NULL);
    late->at_end = add(&group, &late->after);
    whorl_group_cancel(&group);
    must(whorl_yield());
    return 0;
}

static void test_tg_12_adding_while_aborting_is_refused(void **state)
{
    /* The argument stays the caller's. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct late late = {.end = UNSET};
        assert_int_equal(play(loops, play_late, &late), 0);
        assert_int_equal(late.while_aborting, -ESHUTDOWN);
        assert_int_equal(late.end, -EPIPE);
        assert_false(late.refused.ended || late.refused.freed);
    }
}

static void test_tg_13_adding_before_the_beginning_and_after_the_end_is_refused(void **state)
{
    /* And a cancel after the end does nothing: row 26. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct late late = {.end = UNSET};
        assert_int_equal(play(loops, play_late, &late), 0);
        assert_int_equal(late.before, -EINVAL);
        assert_int_equal(late.at_end, -ESHUTDOWN);
        assert_false(late.after.ended || late.after.freed);
    }
}

static int begin_twice(void *arg)
{
    struct whorl_group outer, inner;
    must(whorl_group_begin(&outer));
    must(whorl_group_begin(&inner));
    *(int *)arg = whorl_group_begin(&outer);
    must(whorl_group_end(&inner, 0, NULL));
    must(whorl_group_end(&outer, 0, NULL));
    must(whorl_group_begin(&outer)); /* the memory may be used again */
    return whorl_group_end(&outer, 0, NULL);
}

static void test_tg_14_group_is_begun_once(void **state)
{
    (void)state;
    int again = UNSET;
    assert_int_equal(play(1, begin_twice, &again), 0);
    assert_int_equal(again, -EALREADY);
}

static void test_tg_14_outside_a_task_is_refused(void **state)
{
    (void)state;
    struct whorl_group group;
    assert_int_equal(whorl_group_begin(&group), -EPERM);
}

/* ---- nested ---- */

struct nested {
    struct child outer_child, inner_child;
    int inner, cancelling_between, outer, cancelling_after;
    bool catch_inner;
};

static int play_nested(void *arg)
{
    struct nested *const nested = arg;
    struct whorl_group outer, inner;
    must(whorl_group_begin(&outer));
    must(add(&outer, &nested->outer_child));
    must(whorl_group_begin(&inner));
    must(add(&inner, &nested->inner_child));
    nested->inner = whorl_group_end(&inner, wait_for_ever(), NULL);
    nested->cancelling_between = whorl_task_cancelling(whorl_task_current());
    nested->outer = whorl_group_end(&outer, nested->catch_inner ? 0 : nested->inner, NULL);
    nested->cancelling_after = whorl_task_cancelling(whorl_task_current());
    return 0;
}

static void test_tg_16_inner_failure_comes_to_the_outer(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nested nested = {.outer_child = {.waits = true, .answer = PASS_ON},
                                .inner_child.answer = -EIO};
        assert_int_equal(play(loops, play_nested, &nested), 0);
        assert_int_equal(nested.inner, -EIO);
        assert_int_equal(nested.outer, -EIO);
        assert_int_equal(nested.cancelling_after, 0);
    }
}

static void test_tg_17_outer_child_fails_while_the_block_is_in_the_inner(void **state)
{
    /* The inner has no error of its own. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nested nested = {.outer_child.answer = -EPIPE,
                                .inner_child = {.waits = true, .answer = PASS_ON}};
        assert_int_equal(play(loops, play_nested, &nested), 0);
        assert_int_equal(nested.inner, -ECANCELED);
        assert_int_equal(nested.outer, -EPIPE);
        assert_int_equal(nested.cancelling_after, 0);
    }
}

static void test_tg_18_inner_and_outer_fail_together(void **state)
{
    /* The inner's error can be caught between the two. At several loops the outer's failure may
     * end the inner's child before it has begun. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nested nested = {.outer_child.answer = -EPIPE,
                                .inner_child.answer = -EIO,
                                .catch_inner = true};
        assert_int_equal(play(loops, play_nested, &nested), 0);
        assert_true(nested.inner == -EIO || (loops > 1 && nested.inner == -ECANCELED));
        assert_true(nested.cancelling_between == 1 || loops > 1);
        assert_int_equal(nested.outer, -EPIPE);
        assert_int_equal(nested.cancelling_after, 0);
    }
}

static void test_tg_20_block_turns_its_cancel_into_an_error(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.one.yields = true,
                              .two.answer = -EPIPE,
                              .block_waits = true,
                              .block = -EIO,
                              UNSEEN};
        play_group(loops, &scene);
        assert_int_equal(scene.outside, -EPIPE);
        assert_int_equal(scene.errors, 2);
        assert_int_equal(scene.second, -EIO);
    }
}

/* ---- results, names, growth ---- */

static int give_seven(void *arg)
{
    static int seven = 7;
    (void)arg;
    return whorl_return(&seven);
}

struct results {
    int value;
    bool named;
};

static int play_results(void *arg)
{
    struct results *const results = arg;
    const struct whorl_attr attr = {.name = "seventh"};
    struct whorl_group group;
    struct whorl_task *task;
    void *value = NULL;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, give_seven, NULL, &attr, &task));
    must(whorl_group_end(&group, 0, NULL));
    must(whorl_task_result(task, &value));
    results->value = *(int *)value;
    results->named = strcmp(whorl_task_name(task), "seventh") == 0;
    whorl_task_unref(task);
    return 0;
}

static void test_tg_21_results_are_read_after_the_block(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct results results = {0};
        assert_int_equal(play(loops, play_results, &results), 0);
        assert_int_equal(results.value, 7);
    }
}

static void test_tg_22_child_is_given_a_name_as_any_task(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct results results = {0};
        assert_int_equal(play(loops, play_results, &results), 0);
        assert_true(results.named);
    }
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* How many chunks of slots its tasks have taken at the end. */
static int play_long_life(void *arg)
{
    enum { CHILDREN = 20000 }; /* of many chunks, if they were kept */
    struct whorl_group group;
    must(whorl_group_begin(&group));
    for (int i = 0; i < CHILDREN; i++) {
        struct whorl_task *task;
        must(whorl_group_spawn(&group, do_nothing, NULL, NULL, &task));
        must(finish(task));
    }
    must(whorl_group_end(&group, 0, NULL));
    *(uint32_t *)arg = whorl_task_current()->runtime->slots.chunk_count;
    return 0;
}

static void test_tg_23_group_that_lives_long_does_not_grow(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        uint32_t chunks = 0;
        assert_int_equal(play(loops, play_long_life, &chunks), 0);
        assert_in_range(chunks, 1, 2 * loops); /* each loop keeps some free slots */
    }
}

/* ---- cancelling the group ---- */

struct cancelled {
    struct child child;
    int inside, outside, cancelling, then;
    bool before_children;
};

static int play_cancelled(void *arg)
{
    struct cancelled *const cancelled = arg;
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(add(&group, &cancelled->child));
    if (!cancelled->before_children) {
        for (int i = 0; i < 5; i++) {
            must(whorl_yield());
        }
    }
    whorl_group_cancel(&group);
    whorl_group_cancel(&group);
    cancelled->inside = wait_for_ever();
    cancelled->outside = whorl_group_end(&group, cancelled->inside, NULL);
    cancelled->cancelling = whorl_task_cancelling(whorl_task_current());
    cancelled->then = whorl_yield();
    return 0;
}

static void test_tg_26_cancel_of_a_group_ends_it_without_error(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (int before = 0; before < 2; before++) {
            struct cancelled cancelled = {.child = {.waits = true, .answer = PASS_ON},
                                          .before_children = before};
            assert_int_equal(play(loops, play_cancelled, &cancelled), 0);
            assert_int_equal(cancelled.inside, -ECANCELED);
            assert_int_equal(cancelled.outside, 0);
            assert_int_equal(cancelled.cancelling, 0);
            assert_int_equal(cancelled.then, 0);
            assert_true(cancelled.child.freed);
        }
    }
}

struct asked {
    struct journal journal;
};

static int note_a_cancel(void *arg)
{
    struct asked *const asked = arg;
    const int error = wait_for_ever();
    note(&asked->journal, 'c');
    return error;
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

static int play_asked(void *arg)
{
    struct asked *const asked = arg;
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, note_a_cancel, asked, NULL, NULL));
    must(whorl_group_spawn(&group, fail_at_once, NULL, NULL, NULL));
    const int error = wait_for_ever();
    note(&asked->journal, 'b');
    return whorl_group_end(&group, error, NULL) == -EIO ? 0 : 1;
}

static void test_tg_3_children_are_cancelled_before_the_block(void **state)
{
    (void)state;
    struct asked asked = {.journal = {""}};
    assert_int_equal(play(1, play_asked, &asked), 0);
    assert_string_equal(asked.journal.text, "cb");
}

struct window {
    struct whorl_group group;
    struct whorl_task *group_task;
    int added, outside, cancelling;
    bool ran;
};

static int note_that_it_ran(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

/* The child has ended, its end was told in this pass, and the block goes on in the next. */
static int come_in_the_window(void *arg)
{
    struct window *const window = arg;
    must(whorl_yield());
    window->added = whorl_group_spawn(&window->group, note_that_it_ran, &window->ran, NULL, NULL);
    whorl_group_cancel(&window->group);
    window->cancelling = whorl_task_cancelling(window->group_task);
    return 0;
}

static int play_window(void *arg)
{
    struct window *const window = arg;
    window->group_task = whorl_task_current();
    must(whorl_group_begin(&window->group));
    must(whorl_group_spawn(&window->group, do_nothing, NULL, NULL, NULL));
    struct whorl_task *const other_task = start(come_in_the_window, window);
    window->outside = whorl_group_end(&window->group, 0, NULL);
    must(finish(other_task));
    return 0;
}

static void test_tg_13_and_26_all_have_ended_and_the_end_waits_still(void **state)
{
    /* As in asyncio the group is over then: it takes no child, and a cancel asks nobody. */
    (void)state;
    struct window window = {.added = UNSET, .outside = UNSET, .cancelling = UNSET};
    assert_int_equal(play(1, play_window, &window), 0);
    assert_int_equal(window.added, -ESHUTDOWN);
    assert_int_equal(window.cancelling, 0);
    assert_int_equal(window.outside, 0);
    assert_false(window.ran);
}

struct both {
    struct child child;
    struct whorl_task *task;
    int outside;
};

static int wait_in_group(void *arg)
{
    struct both *const both = arg;
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(add(&group, &both->child));
    must(whorl_yield());
    must(whorl_yield());
    (void)whorl_cancel(whorl_task_current(), "from outside");
    whorl_group_cancel(&group);
    both->outside = whorl_group_end(&group, wait_for_ever(), NULL);
    return both->outside;
}

static int play_both(void *arg)
{
    struct both *const both = arg;
    return finish(start(wait_in_group, both)) == both->outside ? 0 : 1;
}

static void test_tg_27_group_cancel_beside_an_outside_cancel(void **state)
{
    /* The outside one still comes out. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct both both = {.child = {.waits = true, .answer = PASS_ON}, .outside = UNSET};
        assert_int_equal(play(loops, play_both, &both), 0);
        assert_int_equal(both.outside, -ECANCELED);
    }
}

struct pending {
    int outside, cancelling, then;
};

static int leave_with_cancel_pending(void *arg)
{
    struct pending *const pending = arg;
    struct whorl_group group;
    (void)whorl_cancel(whorl_task_current(), "from outside");
    must(whorl_group_begin(&group));
    whorl_group_cancel(&group);
    pending->outside = whorl_group_end(&group, -ECANCELED, NULL);
    pending->cancelling = whorl_task_cancelling(whorl_task_current());
    pending->then = whorl_yield();
    return 0;
}

static void test_tg_27_a_block_that_ends_cancelled_while_one_is_pending(void **state)
{
    /* It says so, and the one that is pending is delivered all the same. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pending pending = {.outside = UNSET};
        assert_int_equal(play(loops, leave_with_cancel_pending, &pending), 0);
        assert_int_equal(pending.outside, -ECANCELED);
        assert_int_equal(pending.cancelling, 1);
        assert_int_equal(pending.then, -ECANCELED);
    }
}

struct messages {
    struct whorl_future *until;
    char seen[16];
};

static int outlast_cancels(void *arg)
{
    const struct messages *const messages = arg;
    while (!whorl_future_done(messages->until)) {
        (void)whorl_future_join(messages->until, WHORL_NEVER, NULL);
    }
    return 0;
}

/* Its end waits for a child that takes its time, and is cancelled again meanwhile. */
static int be_cancelled_twice(void *arg)
{
    struct messages *const messages = arg;
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, outlast_cancels, messages, NULL, NULL));
    const int error = whorl_group_end(&group, wait_for_ever(), NULL);
    const char *const message = whorl_cancel_message();
    snprintf(messages->seen, sizeof messages->seen, "%s", message == NULL ? "none" : message);
    return error;
}

static int play_messages(void *arg)
{
    struct messages *const messages = arg;
    struct whorl_task *const task = start(be_cancelled_twice, messages);
    settle();
    (void)whorl_cancel(task, "the first");
    settle();
    (void)whorl_cancel(task, "the second");
    settle();
    must(whorl_future_set_result(messages->until, NULL));
    return finish(task) == -ECANCELED ? 0 : 1;
}

static void test_canc_23_a_group_passes_on_the_message_that_ended_it(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct messages messages = {.until = new_future()};
        assert_int_equal(play(loops, play_messages, &messages), 0);
        assert_string_equal(messages.seen, "the first");
        whorl_future_unref(messages.until);
    }
}

static int other(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static int play_empty(void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(whorl_loop_current())};
    struct whorl_group group;
    bool ran = false;
    struct whorl_task *task;
    must(whorl_spawn(other, &ran, &attr, &task));
    must(whorl_group_begin(&group));
    must(whorl_group_end(&group, 0, NULL));
    *(bool *)arg = ran;
    must(finish(task));
    return 0;
}

static void test_tg_28_empty_group_does_not_suspend(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        bool ran = true;
        assert_int_equal(play(loops, play_empty, &ran), 0);
        assert_false(ran);
    }
}

/* ---- with timeouts ---- */

struct timed {
    struct child child;
    int group, timeout;
};

static int play_timed(void *arg)
{
    struct timed *const timed = arg;
    struct whorl_timeout timeout;
    struct whorl_group group;
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_group_begin(&group));
    must(add(&group, &timed->child));
    await_begun(&timed->child);
    must(whorl_timeout_reschedule(&timeout, whorl_after(WHORL_MILLISECOND)));
    timed->group = whorl_group_end(&group, 0, NULL);
    timed->timeout = whorl_timeout_exit(&timeout, timed->group);
    return 0;
}

static void test_tmo_20_timeout_around_a_group(void **state)
{
    /* The children are cancelled; a child that fails in its clean-up wins over the timeout. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct timed obeys = {.child = {.waits = true, .answer = PASS_ON}};
        assert_int_equal(play(loops, play_timed, &obeys), 0);
        assert_int_equal(obeys.group, -ECANCELED);
        assert_int_equal(obeys.timeout, -ETIMEDOUT);
        struct timed fails = {.child = {.waits = true, .answer = -EIO}};
        assert_int_equal(play(loops, play_timed, &fails), 0);
        assert_int_equal(fails.group, -EIO);
        assert_int_equal(fails.timeout, -EIO);
    }
}

/* ---- many at once ---- */

enum { CROWD = 400 };

struct crowd {
    uint32_t ended;
    int error;
};

static int member(void *arg)
{
    struct crowd *const crowd = arg;
    const int64_t number = whorl_now() % 7;
    int error = 0;
    for (int64_t i = 0; i < number && error == 0; i++) {
        error = whorl_yield();
    }
    __atomic_fetch_add(&crowd->ended, 1, __ATOMIC_RELAXED);
    return number == 3 ? -EIO : error;
}

static int play_crowd(void *arg)
{
    struct crowd *const crowd = arg;
    struct whorl_group group;
    unsigned added = 0;
    must(whorl_group_begin(&group));
    while (added < CROWD && whorl_group_spawn(&group, member, crowd, NULL, NULL) == 0) {
        added++;
    }
    crowd->error = whorl_group_end(&group, 0, NULL);
    return crowd->error == 0 || crowd->error == -EIO ? 0 : crowd->error;
}

static void test_mt_16_children_of_many_loops_fail_at_any_moment(void **state)
{
    /* None is left over, and none touches the group after its end: play() and ASan look. */
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct crowd crowd = {0};
        assert_int_equal(play(LOOPS_MOST, play_crowd, &crowd), 0);
        assert_true(crowd.ended <= CROWD);
    }
}

/* ---- children that begin at once ---- */

struct eager_scene {
    struct whorl_group group;
    int cancelling; /* of the block, right after the spawn of a child that failed in it */
    int added;      /* what the block's next spawn said then */
    int added_late; /* what a child's spawn said, after it had ended the group */
    int block;      /* how the block's next wait ended */
    int end;
    bool ran;       /* the child that was added began */
};

static int fail_in_spawn(void *arg)
{
    (void)arg;
    return -EIO;
}

static int take_note(void *arg)
{
    ((struct eager_scene *)arg)->ran = true;
    return 0;
}

static int play_eager_failure(void *arg)
{
    const struct whorl_attr eager = {.flags = WHORL_EAGER};
    struct eager_scene *const scene = arg;
    must(whorl_group_begin(&scene->group));
    must(whorl_group_spawn(&scene->group, fail_in_spawn, NULL, &eager, NULL));
    scene->cancelling = whorl_task_cancelling(whorl_task_current());
    scene->added = whorl_group_spawn(&scene->group, take_note, scene, NULL, NULL);
    scene->block = whorl_yield();
    scene->end = whorl_group_end(&scene->group, scene->block, NULL);
    return 0;
}

static void test_tg_24_eager_child_that_fails_cancels_the_block_a_pass_later(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct eager_scene scene = {.end = UNSET};
        assert_int_equal(play(loops, play_eager_failure, &scene), 0);
        assert_int_equal(scene.block, -ECANCELED);
        assert_int_equal(scene.end, -EIO);
        if (loops == 1) { /* weaker at several: it may be cancelled in the spawn */
            assert_int_equal(scene.cancelling, 0);
            assert_int_equal(scene.added, 0);
            assert_false(scene.ran);
        }
    }
}

static int end_and_add(void *arg)
{
    struct eager_scene *const scene = arg;
    whorl_group_cancel(&scene->group);
    scene->added_late = whorl_group_spawn(&scene->group, take_note, scene, NULL, NULL);
    return 0;
}

static int play_eager_late(void *arg)
{
    const struct whorl_attr eager = {.flags = WHORL_EAGER};
    struct eager_scene *const scene = arg;
    must(whorl_group_begin(&scene->group));
    must(whorl_group_spawn(&scene->group, end_and_add, scene, &eager, NULL));
    scene->end = whorl_group_end(&scene->group, 0, NULL);
    return 0;
}

static void test_tg_25_child_added_by_an_eager_child_while_aborting_is_refused(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct eager_scene scene = {.end = UNSET, .added_late = UNSET};
        assert_int_equal(play(loops, play_eager_late, &scene), 0);
        assert_int_equal(scene.added_late, -ESHUTDOWN);
        assert_false(scene.ran);
        assert_int_equal(scene.end, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tg_1_end_waits_for_all_children),
        cmocka_unit_test(test_tg_2_children_add_children_while_the_end_waits),
        cmocka_unit_test(test_tg_3_first_failing_child_cancels_siblings_and_block),
        cmocka_unit_test(test_tg_6_cancelling_is_what_it_was_before),
        cmocka_unit_test(test_tg_29_cancel_swallowed_before_the_group_does_not_come_again),
        cmocka_unit_test(test_tg_4_errors_are_listed_with_their_names),
        cmocka_unit_test(test_tg_5_child_cancelled_by_itself_is_no_failure),
        cmocka_unit_test(test_tg_7_block_that_fails_cancels_children),
        cmocka_unit_test(test_tg_7_block_that_fails_at_once_keeps_its_own_error),
        cmocka_unit_test(test_tg_8_cancelled_from_outside_in_the_block),
        cmocka_unit_test(test_tg_8_cancelled_from_outside_at_the_end),
        cmocka_unit_test(test_tg_9_child_fails_while_it_unwinds_from_an_outside_cancel),
        cmocka_unit_test(test_tg_10_cancel_beside_an_error_comes_at_the_next_wait),
        cmocka_unit_test(test_tg_11_errors_while_it_unwinds_are_added),
        cmocka_unit_test(test_tg_19_cancelled_again_and_again_still_waits),
        cmocka_unit_test(test_tg_12_adding_while_aborting_is_refused),
        cmocka_unit_test(test_tg_13_adding_before_the_beginning_and_after_the_end_is_refused),
        cmocka_unit_test(test_tg_14_group_is_begun_once),
        cmocka_unit_test(test_tg_14_outside_a_task_is_refused),
        cmocka_unit_test(test_tg_16_inner_failure_comes_to_the_outer),
        cmocka_unit_test(test_tg_17_outer_child_fails_while_the_block_is_in_the_inner),
        cmocka_unit_test(test_tg_18_inner_and_outer_fail_together),
        cmocka_unit_test(test_tg_20_block_turns_its_cancel_into_an_error),
        cmocka_unit_test(test_tg_21_results_are_read_after_the_block),
        cmocka_unit_test(test_tg_22_child_is_given_a_name_as_any_task),
        cmocka_unit_test(test_tg_23_group_that_lives_long_does_not_grow),
        cmocka_unit_test(test_tg_26_cancel_of_a_group_ends_it_without_error),
        cmocka_unit_test(test_tg_3_children_are_cancelled_before_the_block),
        cmocka_unit_test(test_tg_13_and_26_all_have_ended_and_the_end_waits_still),
        cmocka_unit_test(test_tg_27_group_cancel_beside_an_outside_cancel),
        cmocka_unit_test(test_tg_27_a_block_that_ends_cancelled_while_one_is_pending),
        cmocka_unit_test(test_canc_23_a_group_passes_on_the_message_that_ended_it),
        cmocka_unit_test(test_tg_28_empty_group_does_not_suspend),
        cmocka_unit_test(test_tmo_20_timeout_around_a_group),
        cmocka_unit_test(test_mt_16_children_of_many_loops_fail_at_any_moment),
        cmocka_unit_test(test_tg_24_eager_child_that_fails_cancels_the_block_a_pass_later),
        cmocka_unit_test(test_tg_25_child_added_by_an_eager_child_while_aborting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
