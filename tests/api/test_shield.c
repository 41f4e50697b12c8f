/*
 * Shields; rows SHLD of asyncio's semantics, and those of gather and wait_for that speak of them.
 */
#include "support/play.h"

#include "state/task.h"

/* A task awaits a shield of `inner`, and is cancelled, or inner ends. */
struct scene {
    struct whorl_future *inner;
    struct whorl_future *shield;
    int inside; /* what the await of the shield returned */
    void *value;
    bool same; /* the shield is inner itself */
    uint32_t entered; /* A: the shield is there */
};

static int await_shield(void *arg)
{
    struct scene *const scene = arg;
    must(whorl_shield(scene->inner, &scene->shield));
    scene->same = scene->shield == scene->inner;
    __atomic_store_n(&scene->entered, 1, __ATOMIC_RELEASE);
    scene->inside = whorl_future_await(scene->shield, &scene->value);
    whorl_future_unref(scene->shield);
    return scene->inside;
}

/* A task that has its shield, and awaits it or is about to. */
static struct whorl_task *start_awaiter(struct scene *scene)
{
    struct whorl_task *const task = start(await_shield, scene);
    while (!__atomic_load_n(&scene->entered, __ATOMIC_ACQUIRE)) {
        must(whorl_yield());
    }
    must(whorl_yield());
    return task;
}

static int cancel_awaiter(void *arg)
{
    struct scene *const scene = arg;
    scene->inner = new_future();
    struct whorl_task *const task = start_awaiter(scene);
    (void)whorl_cancel(task, NULL);
    const int ended = finish(task);
    must(whorl_future_set_result(scene->inner, NULL)); /* -EALREADY if it was cancelled */
    whorl_future_unref(scene->inner);
    return ended == scene->inside ? 0 : 1;
}

static void test_shld_1_awaiter_is_cancelled_inner_goes_on(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.inside = UNSET};
        assert_int_equal(play(loops, cancel_awaiter, &scene), 0);
        assert_int_equal(scene.inside, -ECANCELED);
    }
}

static int end_inner(struct scene *scene, int error)
{
    scene->inner = new_future();
    struct whorl_task *const task = start(await_shield, scene);
    must(whorl_yield());
    if (error == -ECANCELED) {
        (void)whorl_future_cancel(scene->inner, NULL);
    } else if (error != 0) {
        must(whorl_future_set_error(scene->inner, error));
    } else {
        must(whorl_future_set_result(scene->inner, scene));
    }
    const int ended = finish(task);
    whorl_future_unref(scene->inner);
    return ended == error ? 0 : 1;
}

static int end_all_ways(void *arg)
{
    static const int ways[] = {-ECANCELED, -EIO, 0};
    (void)arg;
    for (int i = 0; i < 3; i++) {
        struct scene scene = {.inside = UNSET};
        if (end_inner(&scene, ways[i]) != 0 || (ways[i] == 0 && scene.value != &scene)) {
            return 1;
        }
    }
    return 0;
}

static void test_shld_2_and_3_cancel_result_and_error_pass_through(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, end_all_ways, NULL), 0);
    }
}

static int shield_done(void *arg)
{
    struct scene *const scene = arg;
    scene->inner = new_future();
    must(whorl_future_set_result(scene->inner, scene));
    const int error = await_shield(scene);
    whorl_future_unref(scene->inner);
    return error;
}

static void test_shld_4_done_inner_is_given_back_itself(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {.inside = UNSET};
        assert_int_equal(play(loops, shield_done, &scene), 0);
        assert_true(scene.same);
        assert_ptr_equal(scene.value, &scene);
    }
}

static int shield_nothing(void *arg)
{
    struct whorl_future *shield;
    (void)arg;
    return whorl_shield(NULL, &shield);
}

static void test_shld_4_nothing_is_refused(void **state)
{
    (void)state;
    assert_int_equal(play(1, shield_nothing, NULL), -EINVAL);
}

static int end_of_runtime(void *arg)
{
    struct sitter *const sitter = arg;
    struct scene *const scene = calloc(1, sizeof *scene);
    struct whorl_task *const inner = start(sit, sitter);
    const struct whorl_attr attr = {.arg_free = free};
    scene->inner = whorl_task_future(inner);
    must(whorl_future_await(sitter->begun, NULL));
    must(whorl_spawn(await_shield, scene, &attr, NULL));
    while (!__atomic_load_n(&scene->entered, __ATOMIC_ACQUIRE)) {
        must(whorl_yield());
    }
    whorl_task_unref(inner); /* the runtime keeps it */
    return 0;                /* both are left behind */
}

static void test_shld_6_end_of_the_runtime_reaches_the_inner(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sitter sitter = {.answer = PASS_ON, .got = UNSET, .begun = new_future()};
        assert_int_equal(play(loops, end_of_runtime, &sitter), 0);
        assert_int_equal(sitter.got, -ECANCELED);
        whorl_future_unref(sitter.begun);
    }
}

static int two_shields(void *arg)
{
    struct scene *const scenes = arg;
    struct whorl_future *const inner = new_future();
    scenes[0].inner = scenes[1].inner = inner;
    struct whorl_task *const first = start_awaiter(&scenes[0]);
    struct whorl_task *const second = start_awaiter(&scenes[1]);
    (void)whorl_cancel(first, NULL);
    (void)finish(first);
    must(whorl_future_set_result(inner, NULL));
    (void)finish(second);
    whorl_future_unref(inner);
    return 0;
}

static void test_shld_7_two_shields_of_one_inner_are_independent(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scenes[2] = {{.inside = UNSET}, {.inside = UNSET}};
        assert_int_equal(play(loops, two_shields, scenes), 0);
        assert_int_equal(scenes[0].inside, -ECANCELED);
        assert_int_equal(scenes[1].inside, 0);
    }
}

static int many_shields(void *arg)
{
    (void)arg;
    struct whorl_future *const inner = new_future();
    for (int i = 0; i < 1000; i++) {
        struct whorl_future *shield;
        must(whorl_shield(inner, &shield));
        if (!whorl_future_cancel(shield, NULL)) {
            return 1;
        }
        whorl_future_unref(shield);
    }
    const bool touched = whorl__load_relaxed_u32(&inner->word) != 0; /* a waiter would be noted */
    const bool kept = whorl__load_relaxed_u32(&inner->references) != 1;
    whorl_future_unref(inner);
    return touched || kept;
}

static void test_shld_8_cancelled_shields_leave_nothing_on_the_inner(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, many_shields, NULL), 0);
    }
}

static int gather_of_shields(void *arg)
{
    struct whorl_future *const inner = new_future();
    struct whorl_future *shields[2];
    struct whorl_future *gather;
    (void)arg;
    must(whorl_shield(inner, &shields[0]));
    must(whorl_shield(inner, &shields[1]));
    must(whorl_gather_start(shields, 2, 0, &gather));
    const bool taken = whorl_future_cancel(gather, NULL);
    const int error = whorl_future_join(gather, WHORL_NEVER, NULL); /* its end is told in a pass */
    const bool touched = whorl_future_done(inner);
    whorl_future_unref(gather);
    whorl_future_unref(shields[0]);
    whorl_future_unref(shields[1]);
    whorl_future_unref(inner);
    return taken && error == -ECANCELED && !touched ? 0 : 1;
}

static void test_gath_17_cancel_of_a_gather_of_shields(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, gather_of_shields, NULL), 0);
    }
}

static int shield_of_gather(void *arg)
{
    struct whorl_future *const child = new_future();
    struct whorl_future *gather;
    struct whorl_future *shield;
    (void)arg;
    must(whorl_gather_start(&child, 1, 0, &gather));
    must(whorl_shield(gather, &shield));
    const bool taken = whorl_future_cancel(shield, NULL);
    const bool touched = whorl_future_done(gather) || whorl_future_done(child);
    must(whorl_future_set_result(child, NULL));
    whorl_future_unref(shield);
    whorl_future_unref(gather);
    whorl_future_unref(child);
    return taken && !touched ? 0 : 1;
}

static void test_gath_18_shield_of_a_gather(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, shield_of_gather, NULL), 0);
    }
}

static int wait_for_shield(void *arg)
{
    struct whorl_future *const inner = new_future();
    struct whorl_future *shield;
    (void)arg;
    must(whorl_shield(inner, &shield));
    const int late = whorl_future_wait_for(shield, WHORL_MILLISECOND, NULL);
    must(whorl_future_set_result(inner, NULL));
    const int later = whorl_future_await(inner, NULL);
    whorl_future_unref(shield);
    whorl_future_unref(inner);
    return late == -ETIMEDOUT ? later : 1;
}

static void test_wf_11_timeout_of_a_shield_leaves_the_inner(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, wait_for_shield, NULL), 0);
    }
}

/* ---- both at once ---- */

static int complete(void *arg)
{
    return whorl_future_set_result(arg, NULL);
}

static int race(void *arg)
{
    (void)arg;
    for (int round = 0; round < 200; round++) {
        struct whorl_future *const inner = new_future();
        struct whorl_future *shield;
        must(whorl_shield(inner, &shield));
        struct whorl_task *const task = start(complete, inner);
        (void)whorl_yield();
        const bool taken = whorl_future_cancel(shield, NULL);
        must(finish(task));
        if (!whorl_future_done(shield) || taken != whorl_future_cancelled(shield)) {
            return 1;
        }
        whorl_future_unref(shield);
        whorl_future_unref(inner);
    }
    return 0;
}

static void test_mt_3_cancel_and_completion_race_one_wins(void **state)
{
    (void)state;
    assert_int_equal(play(LOOPS_MOST, race, NULL), 0);
}

/* ---- shielded sections ---- */

/* A task with a section, which others cancel while it is inside. */
struct tidy {
    struct whorl_future *inside; /* completed when it is in the section */
    struct whorl_future *gate;   /* what it waits for there */
    struct whorl_future *asked;  /* completed when all requests were made */
    int in_section[3];
    int behind[2];
    int requests;                /* cancelling, before the section's end */
    const char *message;
    bool inner_expired;
};

static struct tidy new_tidy(void)
{
    struct tidy tidy = {.in_section = {UNSET, UNSET, UNSET}, .behind = {UNSET, UNSET}};
    tidy.inside = new_future();
    tidy.gate = new_future();
    tidy.asked = new_future();
    return tidy;
}

static void drop_tidy(struct tidy *tidy)
{
    whorl_future_unref(tidy->inside);
    whorl_future_unref(tidy->gate);
    whorl_future_unref(tidy->asked);
}

static int clean_up(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    must(whorl_shield_begin(&shield));
    must(whorl_future_set_result(tidy->inside, NULL));
    tidy->in_section[0] = whorl_future_await(tidy->gate, NULL); /* not cancelled in its place */
    tidy->in_section[1] = whorl_future_join(tidy->asked, WHORL_NEVER, NULL);
    tidy->in_section[2] = whorl_yield();
    tidy->requests = whorl_task_cancelling(whorl_task_current());
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_yield();
    tidy->message = whorl_cancel_message();
    tidy->behind[1] = whorl_yield();
    return 0;
}

/* The cancels come while it awaits the gate, and after. */
static int cancel_inside(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_task *const task = start(clean_up, tidy);
    must(whorl_future_await(tidy->inside, NULL));
    settle();
    (void)whorl_cancel(task, "first");
    settle();
    must(whorl_future_set_result(tidy->gate, NULL)); /* -EALREADY if the cancel went there */
    settle();
    (void)whorl_cancel(task, "second");
    must(whorl_future_set_result(tidy->asked, NULL));
    return finish(task);
}

static void test_shielded_section_holds_cancels_back_until_the_next_wait(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, cancel_inside, &tidy), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(tidy.in_section[i], 0);
        }
        assert_int_equal(tidy.requests, 2);
        assert_int_equal(tidy.behind[0], -ECANCELED); /* one delivery for both, as in asyncio */
        assert_int_equal(tidy.behind[1], 0);
        assert_string_equal(tidy.message, "second");
        drop_tidy(&tidy);
    }
}

/* What was pending before is held back, too; a withdrawn one never comes. */
static int cancelled_before(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    struct whorl_shield nested;
    (void)whorl_cancel(whorl_task_current(), "before");
    must(whorl_shield_begin(&shield));
    tidy->in_section[0] = whorl_yield();
    must(whorl_shield_begin(&nested));
    tidy->in_section[1] = whorl_sleep(WHORL_MICROSECOND);
    whorl_shield_end(&nested);
    tidy->in_section[2] = whorl_yield(); /* still in the outer one */
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_yield();
    tidy->message = whorl_cancel_message();
    (void)whorl_uncancel(whorl_task_current());
    must(whorl_shield_begin(&shield));
    (void)whorl_cancel(whorl_task_current(), NULL);
    (void)whorl_uncancel(whorl_task_current());
    whorl_shield_end(&shield);
    tidy->behind[1] = whorl_yield();
    return 0;
}

static void test_shielded_sections_nest_and_hold_what_was_pending(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, cancelled_before, &tidy), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(tidy.in_section[i], 0);
        }
        assert_int_equal(tidy.behind[0], -ECANCELED);
        assert_string_equal(tidy.message, "before");
        assert_int_equal(tidy.behind[1], 0);
        drop_tidy(&tidy);
    }
}

/* A deadline inside ends a wait, and says so, though a cancel is held back. */
static int time_out_inside(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    struct whorl_timeout timeout;
    (void)whorl_cancel(whorl_task_current(), "held");
    must(whorl_shield_begin(&shield));
    must(whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND)));
    tidy->in_section[0] = whorl_future_join(tidy->gate, WHORL_NEVER, NULL);
    tidy->in_section[1] = whorl_timeout_exit(&timeout, tidy->in_section[0]);
    tidy->inner_expired = whorl_timeout_expired(&timeout);
    tidy->in_section[2] = whorl_yield();
    tidy->requests = whorl_task_cancelling(whorl_task_current());
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_yield();
    tidy->message = whorl_cancel_message();
    tidy->behind[1] = whorl_yield();
    return 0;
}

static void test_shielded_section_lets_timeouts_inside_work(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, time_out_inside, &tidy), 0);
        assert_int_equal(tidy.in_section[0], -ECANCELED);
        assert_int_equal(tidy.in_section[1], -ETIMEDOUT);
        assert_int_equal(tidy.in_section[2], 0);
        assert_true(tidy.inner_expired);
        assert_int_equal(tidy.requests, 1);
        assert_int_equal(tidy.behind[0], -ECANCELED);
        assert_string_equal(tidy.message, "held");
        assert_int_equal(tidy.behind[1], 0);
        drop_tidy(&tidy);
    }
}

/* A deadline around it waits for its end, and is then told as ever. */
static int time_out_outside(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    struct whorl_timeout timeout;
    must(whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND)));
    must(whorl_shield_begin(&shield));
    tidy->in_section[0] = whorl_sleep(5 * WHORL_MILLISECOND);
    tidy->in_section[1] = whorl_timeout_expired(&timeout);
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_sleep(WHORL_NEVER);
    tidy->behind[1] = whorl_timeout_exit(&timeout, tidy->behind[0]);
    tidy->requests = whorl_task_cancelling(whorl_task_current());
    return whorl_yield();
}

static void test_shielded_section_holds_a_deadline_around_it_back(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, time_out_outside, &tidy), 0);
        assert_int_equal(tidy.in_section[0], 0);
        assert_false(tidy.in_section[1]);
        assert_int_equal(tidy.behind[0], -ECANCELED);
        assert_int_equal(tidy.behind[1], -ETIMEDOUT);
        assert_int_equal(tidy.requests, 0);
        drop_tidy(&tidy);
    }
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

/* A group inside: its failure ends its block; and a deadline that came as well is not lost. */
static int group_inside(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    struct whorl_group group;
    (void)whorl_cancel(whorl_task_current(), NULL);
    must(whorl_shield_begin(&shield));
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, fail_at_once, NULL, NULL, NULL));
    tidy->in_section[0] = whorl_future_join(tidy->gate, WHORL_NEVER, NULL);
    tidy->in_section[1] = whorl_group_end(&group, tidy->in_section[0], NULL);
    tidy->in_section[2] = whorl_yield();
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_yield();
    tidy->behind[1] = whorl_yield();
    return 0;
}

static void test_shielded_section_lets_groups_inside_work(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, group_inside, &tidy), 0);
        assert_int_equal(tidy.in_section[0], -ECANCELED);
        assert_int_equal(tidy.in_section[1], -EIO);
        assert_int_equal(tidy.in_section[2], 0);
        assert_int_equal(tidy.behind[0], -ECANCELED);
        assert_int_equal(tidy.behind[1], 0);
        drop_tidy(&tidy);
    }
}

static int fail_later(void *arg)
{
    struct tidy *const tidy = arg;
    must(whorl_future_set_result(tidy->inside, NULL));
    const int error = whorl_future_join(tidy->asked, WHORL_NEVER, NULL);
    return error != 0 ? -EIO : 0; /* it answers the cancel of its group with a failure */
}

/* A deadline inside ends the wait for the children, one of which then fails: the failure is told,
 * and the deadline comes at the next wait in the section (TG-16). */
static int deadline_and_failure_inside(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    struct whorl_timeout timeout;
    struct whorl_group group;
    struct whorl_attr attr = {.pin = whorl_loop_current() + 1};
    must(whorl_shield_begin(&shield));
    must(whorl_timeout_enter(&timeout, WHORL_NEVER));
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, fail_later, tidy, &attr, NULL));
    must(whorl_future_join(tidy->inside, WHORL_NEVER, NULL)); /* one that has not begun fails not */
    must(whorl_timeout_reschedule(&timeout, whorl_after(WHORL_MILLISECOND)));
    tidy->in_section[0] = whorl_group_end(&group, 0, NULL);
    tidy->in_section[1] = whorl_yield();
    tidy->in_section[2] = whorl_timeout_exit(&timeout, tidy->in_section[1]);
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_yield();
    return 0;
}

static void test_shielded_section_keeps_a_deadline_inside_beside_a_failure(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, deadline_and_failure_inside, &tidy), 0);
        assert_int_equal(tidy.in_section[0], -EIO);
        assert_int_equal(tidy.in_section[1], -ECANCELED);
        assert_int_equal(tidy.in_section[2], -ETIMEDOUT);
        assert_int_equal(tidy.behind[0], 0);
        drop_tidy(&tidy);
    }
}

/* The end of the runtime waits for the section. */
static int tidy_at_the_end(void *arg)
{
    struct tidy *const tidy = arg;
    struct whorl_shield shield;
    must(whorl_shield_begin(&shield));
    must(whorl_future_set_result(tidy->inside, NULL));
    tidy->in_section[0] = whorl_sleep(5 * WHORL_MILLISECOND);
    whorl_shield_end(&shield);
    tidy->behind[0] = whorl_sleep(WHORL_NEVER);
    return tidy->behind[0];
}

static int leave_it_tidying(void *arg)
{
    struct tidy *const tidy = arg;
    must(whorl_spawn(tidy_at_the_end, tidy, NULL, NULL));
    return whorl_future_await(tidy->inside, NULL);
}

static void test_shielded_section_keeps_the_runtime_waiting(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tidy tidy = new_tidy();
        assert_int_equal(play(loops, leave_it_tidying, &tidy), 0);
        assert_int_equal(tidy.in_section[0], 0);
        assert_int_equal(tidy.behind[0], -ECANCELED);
        drop_tidy(&tidy);
    }
}

static void test_shielded_section_is_for_tasks(void **state)
{
    (void)state;
    struct whorl_shield shield;
    assert_int_equal(whorl_shield_begin(&shield), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shld_1_awaiter_is_cancelled_inner_goes_on),
        cmocka_unit_test(test_shld_2_and_3_cancel_result_and_error_pass_through),
        cmocka_unit_test(test_shld_4_done_inner_is_given_back_itself),
        cmocka_unit_test(test_shld_4_nothing_is_refused),
        cmocka_unit_test(test_shld_6_end_of_the_runtime_reaches_the_inner),
        cmocka_unit_test(test_shld_7_two_shields_of_one_inner_are_independent),
        cmocka_unit_test(test_shld_8_cancelled_shields_leave_nothing_on_the_inner),
        cmocka_unit_test(test_gath_17_cancel_of_a_gather_of_shields),
        cmocka_unit_test(test_gath_18_shield_of_a_gather),
        cmocka_unit_test(test_wf_11_timeout_of_a_shield_leaves_the_inner),
        cmocka_unit_test(test_mt_3_cancel_and_completion_race_one_wins),
        cmocka_unit_test(test_shielded_section_holds_cancels_back_until_the_next_wait),
        cmocka_unit_test(test_shielded_sections_nest_and_hold_what_was_pending),
        cmocka_unit_test(test_shielded_section_lets_timeouts_inside_work),
        cmocka_unit_test(test_shielded_section_holds_a_deadline_around_it_back),
        cmocka_unit_test(test_shielded_section_lets_groups_inside_work),
        cmocka_unit_test(test_shielded_section_keeps_a_deadline_inside_beside_a_failure),
        cmocka_unit_test(test_shielded_section_keeps_the_runtime_waiting),
        cmocka_unit_test(test_shielded_section_is_for_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
