/*
 * Why a task was asked to end: by whom, and through whom the request came.
 */
#include "support/faults.h"
#include "support/play.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* ---- what the tests have in common ---- */

/* The reasons of up to this many tasks, read once they have ended. */
enum { TASKS_MOST = 8 };

struct seen {
    struct whorl_why why[TASKS_MOST];
    uint64_t self;       /* the number of the task that asked */
    const void *block;   /* the one that ended it */
    int64_t deadline_ns;
    int error;
    uint32_t thread;
    char text[WHORL_WHY_TEXT];
};

static uint64_t number_of(struct whorl_task *task)
{
    uint64_t number = 0;
    char name[WHORL_TASK_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", whorl_task_name(task));
    return sscanf(name, "Task-%" SCNu64, &number) == 1 ? number : 0;
}

static struct whorl_task *start_named(const char *name, whorl_body *body, void *arg)
{
    const struct whorl_attr attr = {.name = name};
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, arg, &attr, &task));
    return task;
}

/* Waits until it has ended, without passing anything on, and reads why it was asked to. */
static void look_back(struct whorl_task *task, struct whorl_why *ret_why)
{
    (void)whorl_join(task, WHORL_NEVER, NULL);
    must(whorl_task_why(task, ret_why));
    whorl_task_unref(task);
}

static int rest(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static struct seen play_seen(int loops, whorl_body *body)
{
    struct seen seen = {.error = UNSET};
    assert_int_equal(play(loops, body, &seen), 0);
    return seen;
}

/* What follows "task N" at the beginning of a text; numbers differ with the loops. */
static const char *behind_number(const char *text)
{
    int length = 0;
    return sscanf(text, "task %*u%n", &length) == 0 && length > 0 ? text + length : text;
}

/* ---- who asks ---- */

static int cancel_by_task(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const task = start(rest, NULL);
    struct whorl_task *const named = start(rest, NULL);
    seen->self = number_of(whorl_task_current());
    settle();
    must(whorl_cancel(task, "enough") ? 0 : -EPROTO);
    whorl_task_set_name(whorl_task_current(), "boss");
    must(whorl_cancel(named, NULL) ? 0 : -EPROTO);
    must(whorl_task_why(task, &seen->why[2])); /* it has not ended yet, or has: the same */
    look_back(task, &seen->why[0]);
    look_back(named, &seen->why[1]);
    return 0;
}

/* The main task is "main": one of its own has a number for a name. */
static int cancel_by_unnamed(void *arg)
{
    return finish(start(cancel_by_task, arg));
}

/* As a program would compare them: padding, and what stands behind a name, is nobody's. */
static void assert_same_words(const struct whorl_why *one, const struct whorl_why *other)
{
    char words[2][WHORL_WHY_TEXT];
    assert_true(whorl_why_print(one, words[0], sizeof words[0]) > 0);
    assert_true(whorl_why_print(other, words[1], sizeof words[1]) > 0);
    assert_string_equal(words[0], words[1]);
    assert_int_equal(one->cause, other->cause);
    assert_true(one->task == other->task);
    assert_int_equal(one->requests, other->requests);
}

static void test_why_names_the_task_that_cancelled(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, cancel_by_unnamed);
        char name[WHORL_TASK_NAME_MAX + 1];
        assert_int_equal(seen.why[0].cause, WHORL_WHY_TASK);
        assert_true(seen.self != 0);
        assert_true(seen.why[0].task == seen.self);
        snprintf(name, sizeof name, "Task-%" PRIu64, seen.self);
        assert_string_equal(seen.why[0].name, name);
        assert_string_equal(seen.why[0].message, "enough");
        assert_int_equal(seen.why[0].requests, 1);
        assert_int_equal(seen.why[0].hops, 0);
        assert_null(seen.why[0].block);
        assert_same_words(&seen.why[2], &seen.why[0]);
        assert_string_equal(seen.why[1].name, "boss");
        assert_null(seen.why[1].message);
    }
}

static void *cancel_from_thread(void *arg)
{
    const uint32_t id = (uint32_t)gettid();
    must(whorl_cancel(arg, NULL) ? 0 : -EPROTO);
    return (void *)(uintptr_t)id;
}

static int cancel_by_thread(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const task = start(rest, NULL);
    pthread_t thread;
    void *id = NULL;
    settle();
    must(-pthread_create(&thread, NULL, cancel_from_thread, task));
    must(-pthread_join(thread, &id));
    seen->thread = (uint32_t)(uintptr_t)id;
    look_back(task, &seen->why[0]);
    return 0;
}

static void test_why_tells_a_plain_thread_by_its_number(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, cancel_by_thread);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_THREAD);
        assert_true(seen.why[0].thread == seen.thread);
        assert_true(seen.why[0].task == 0);
        assert_string_equal(seen.why[0].name, "");
    }
}

static void cancel_in_callback(void *arg)
{
    must(whorl_cancel(arg, NULL) ? 0 : -EPROTO);
}

static int cancel_by_callback(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const task = start(rest, NULL);
    settle();
    must(whorl_call_soon(cancel_in_callback, task, NULL, NULL));
    look_back(task, &seen->why[0]);
    return 0;
}

static void test_why_tells_a_callback(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, cancel_by_callback);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_CALLBACK);
        assert_true(seen.why[0].task == 0);
    }
}

static int end_alone(void *arg)
{
    (void)arg;
    return -EIO;
}

static int ask_nobody(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const task = start(end_alone, NULL);
    look_back(task, &seen->why[0]);
    must(whorl_task_why(whorl_task_current(), &seen->why[1]));
    return 0;
}

static void test_why_is_none_where_nobody_asked(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, ask_nobody);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_NONE);
        assert_int_equal(seen.why[1].cause, WHORL_WHY_NONE);
        assert_int_equal(seen.why[0].requests, 0);
    }
}

/* ---- the newest, and what is taken back ---- */

static int ask_twice(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const self = whorl_task_current();
    must(whorl_cancel(self, "first") ? 0 : -EPROTO);
    must(whorl_cancel(self, "second") ? 0 : -EPROTO);
    must(whorl_task_why(self, &seen->why[0]));
    (void)whorl_uncancel(self);
    (void)whorl_uncancel(self);
    must(whorl_task_why(self, &seen->why[1]));
    must(whorl_why_print(&seen->why[1], seen->text, sizeof seen->text) > 0 ? 0 : -EPROTO);
    return 0;
}

static void test_why_is_that_of_the_newest_and_tells_what_was_taken_back(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, ask_twice);
        assert_string_equal(seen.why[0].message, "second");
        assert_int_equal(seen.why[0].requests, 2);
        assert_int_equal(seen.why[1].requests, 0);
        assert_int_equal(seen.why[1].cause, WHORL_WHY_TASK);
        assert_string_equal(behind_number(seen.text),
                            " \"main\"; message \"second\"; taken back");
    }
}

/* Held in a section, so that several may come while it waits. */
struct held {
    struct seen *seen;
    struct whorl_future *begun;
    struct whorl_future *gate;
};

static int wait_in_section(void *arg)
{
    const struct held *const held = arg;
    struct whorl_shield section;
    must(whorl_shield_begin(&section));
    must(whorl_future_set_result(held->begun, NULL));
    must(whorl_future_await(held->gate, NULL));
    must(whorl_task_why(whorl_task_current(), &held->seen->why[3]));
    whorl_shield_end(&section);
    held->seen->error = wait_for_ever();
    must(whorl_task_why(whorl_task_current(), &held->seen->why[4]));
    return held->seen->error;
}

static int ask_one_in_a_section(void *arg)
{
    struct seen *const seen = arg;
    struct held held = {.seen = seen, .begun = new_future(), .gate = new_future()};
    struct whorl_task *const task = start(wait_in_section, &held);
    pthread_t thread;
    must(whorl_future_await(held.begun, NULL));
    must(whorl_cancel(task, "by a task") ? 0 : -EPROTO);
    must(whorl_task_why(task, &seen->why[0]));
    must(-pthread_create(&thread, NULL, cancel_from_thread, task));
    must(-pthread_join(thread, NULL));
    must(whorl_task_why(task, &seen->why[1]));
    must(whorl_call_soon(cancel_in_callback, task, NULL, NULL));
    do {
        must(whorl_yield());
        must(whorl_task_why(task, &seen->why[2]));
    } while (seen->why[2].requests < 3);
    must(whorl_future_set_result(held.gate, NULL));
    look_back(task, &seen->why[5]);
    whorl_future_unref(held.begun);
    whorl_future_unref(held.gate);
    return 0;
}

static void test_why_of_what_a_section_holds_back_is_the_newest(void **state)
{
    /* It is noted when it is asked, told when the section is left, and kept behind the end. */
    static const enum whorl_why_cause causes[] = {WHORL_WHY_TASK,     WHORL_WHY_THREAD,
                                                  WHORL_WHY_CALLBACK, WHORL_WHY_CALLBACK,
                                                  WHORL_WHY_CALLBACK, WHORL_WHY_CALLBACK};
    static const int requests[] = {1, 2, 3, 3, 3, 3};
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, ask_one_in_a_section);
        assert_int_equal(seen.error, -ECANCELED);
        for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
            assert_int_equal(seen.why[i].cause, causes[i]);
            assert_int_equal(seen.why[i].requests, requests[i]);
        }
        assert_string_equal(seen.why[0].message, "by a task");
        assert_null(seen.why[1].message); /* nothing of the one before */
        assert_string_equal(seen.why[1].name, "");
        assert_true(seen.why[2].thread == 0);
    }
}

static int meet_a_deadline_in_a_section(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_timeout timeout;
    struct whorl_shield section;
    must(whorl_cancel(whorl_task_current(), "before") ? 0 : -EPROTO);
    must(wait_for_ever() == -ECANCELED ? 0 : -EPROTO);
    seen->deadline_ns = whorl_after(WHORL_MILLISECOND);
    must(whorl_timeout_enter(&timeout, seen->deadline_ns));
    seen->block = &timeout;
    must(whorl_shield_begin(&section));
    do {
        must(whorl_sleep(WHORL_MILLISECOND));
        must(whorl_task_why(whorl_task_current(), &seen->why[0]));
    } while (seen->why[0].requests < 2);
    whorl_shield_end(&section);
    seen->error = whorl_timeout_exit(&timeout, wait_for_ever());
    must(whorl_task_why(whorl_task_current(), &seen->why[1]));
    (void)whorl_uncancel(whorl_task_current());
    return 0;
}

static void test_why_of_a_deadline_that_a_section_holds_back(void **state)
{
    /* The newest, though its block has used it up and the request before it still stands. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, meet_a_deadline_in_a_section);
        assert_int_equal(seen.error, -ETIMEDOUT);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(seen.why[i].cause, WHORL_WHY_DEADLINE);
            assert_ptr_equal(seen.why[i].block, seen.block);
            assert_true(seen.why[i].deadline_ns == seen.deadline_ns);
            assert_null(seen.why[i].message);
        }
        assert_int_equal(seen.why[0].requests, 2);
        assert_int_equal(seen.why[1].requests, 1);
    }
}

static int outlive(void *arg)
{
    struct whorl_task **const kept = arg;
    *kept = start_named("kept", rest, NULL);
    settle();
    must(whorl_cancel(*kept, NULL) ? 0 : -EPROTO);
    (void)whorl_join(*kept, WHORL_NEVER, NULL);
    return 0;
}

static void test_why_stays_readable_when_the_runtime_is_gone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_task *kept = NULL;
        struct whorl_why why;
        assert_int_equal(play(loops, outlive, &kept), 0);
        assert_int_equal(whorl_task_why(kept, &why), 0);
        assert_int_equal(why.cause, WHORL_WHY_TASK);
        assert_string_equal(why.name, "main");
        whorl_task_unref(kept);
    }
}

/* ---- deadlines ---- */

/* Two blocks, one of which has a deadline that comes. */
static int wait_in_blocks(struct seen *seen, bool inner_ends)
{
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    const int64_t soon_ns = whorl_after(WHORL_MILLISECOND);
    must(whorl_timeout_enter(&outer, inner_ends ? WHORL_NEVER : soon_ns));
    must(whorl_timeout_enter(&inner, inner_ends ? soon_ns : WHORL_NEVER));
    seen->block = inner_ends ? &inner : &outer;
    seen->deadline_ns = soon_ns;
    const int error = wait_for_ever();
    must(whorl_task_why(whorl_task_current(), &seen->why[0]));
    seen->error = whorl_timeout_exit(&outer, whorl_timeout_exit(&inner, error));
    must(whorl_task_why(whorl_task_current(), &seen->why[1]));
    return 0;
}

static int wait_for_inner(void *arg)
{
    return wait_in_blocks(arg, true);
}

static int wait_for_outer(void *arg)
{
    return wait_in_blocks(arg, false);
}

static void test_why_tells_which_deadline_it_was(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (unsigned outside = 0; outside < 2; outside++) {
            const struct seen seen = play_seen(loops, outside ? wait_for_inner : wait_for_outer);
            assert_int_equal(seen.error, -ETIMEDOUT);
            assert_int_equal(seen.why[0].cause, WHORL_WHY_DEADLINE);
            assert_ptr_equal(seen.why[0].block, seen.block);
            assert_true(seen.why[0].deadline_ns == seen.deadline_ns);
            assert_int_equal(seen.why[0].outside, outside);
            assert_string_equal(seen.why[0].name, "main");
            assert_int_equal(seen.why[0].requests, 1);
            assert_int_equal(seen.why[1].requests, 0); /* its block has used it up */
            assert_int_equal(seen.why[1].cause, WHORL_WHY_DEADLINE);
        }
    }
}

static int await_child_for(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const child = start(rest, NULL);
    settle();
    seen->error = whorl_wait_for(child, seen->deadline_ns, NULL);
    look_back(child, &seen->why[0]);
    return 0;
}

static void test_why_tells_a_child_whose_deadline_it_was(void **state)
{
    /* Also where the time is over before anything waits. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (int64_t time_ns = 0; time_ns <= WHORL_MILLISECOND; time_ns += WHORL_MILLISECOND) {
            struct seen seen = {.deadline_ns = time_ns};
            assert_int_equal(play(loops, await_child_for, &seen), 0);
            assert_int_equal(seen.error, -ETIMEDOUT);
            assert_int_equal(seen.why[0].cause, WHORL_WHY_DEADLINE);
            assert_string_equal(seen.why[0].name, "main");
            assert_true(seen.why[0].deadline_ns != 0);
        }
    }
}

/* ---- groups ---- */

static int fail_late(void *arg)
{
    must(whorl_future_await(arg, NULL));
    return -EIO;
}

static int fail_in_group(void *arg)
{
    struct seen *const seen = arg;
    const struct whorl_attr attr = {.name = "bad"};
    struct whorl_future *const gate = new_future();
    struct whorl_group group;
    struct whorl_task *sibling;
    must(whorl_group_begin(&group));
    seen->block = &group;
    must(whorl_group_spawn(&group, rest, NULL, NULL, &sibling));
    must(whorl_group_spawn(&group, fail_late, gate, &attr, NULL));
    settle();
    must(whorl_future_set_result(gate, NULL));
    const int error = wait_for_ever();
    must(whorl_task_why(whorl_task_current(), &seen->why[1]));
    seen->error = whorl_group_end(&group, error, NULL);
    look_back(sibling, &seen->why[0]);
    whorl_future_unref(gate);
    return 0;
}

static void test_why_names_the_child_that_failed_its_group(void **state)
{
    /* To the other children, and to the block. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, fail_in_group);
        assert_int_equal(seen.error, -EIO);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(seen.why[i].cause, WHORL_WHY_GROUP);
            assert_string_equal(seen.why[i].name, "bad");
            assert_ptr_equal(seen.why[i].block, seen.block);
        }
    }
}

static int leave_group(struct seen *seen, int error, bool cancel)
{
    struct whorl_group group;
    struct whorl_task *child;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, rest, NULL, NULL, &child));
    if (cancel) {
        whorl_group_cancel(&group);
    }
    seen->error = whorl_group_end(&group, error, NULL);
    look_back(child, &seen->why[0]);
    return 0;
}

static int leave_group_failed(void *arg)
{
    return leave_group(arg, -EIO, false);
}

static int leave_group_cancelled(void *arg)
{
    return leave_group(arg, 0, true);
}

static void test_why_names_the_block_that_failed_or_cancelled_its_group(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen failed = play_seen(loops, leave_group_failed);
        const struct seen cancelled = play_seen(loops, leave_group_cancelled);
        assert_int_equal(failed.why[0].cause, WHORL_WHY_GROUP);
        assert_string_equal(failed.why[0].name, "main");
        assert_int_equal(cancelled.why[0].cause, WHORL_WHY_TASK);
        assert_string_equal(cancelled.why[0].name, "main");
    }
}

/* A child that begins at once, and ends its group before it is one of the children. */
static int end_own_group(void *arg)
{
    struct whorl_group *const group = arg;
    whorl_group_cancel(group);
    return wait_for_ever();
}

static int add_late_child(void *arg)
{
    struct seen *const seen = arg;
    const struct whorl_attr attr = {.flags = WHORL_EAGER};
    struct whorl_group group;
    struct whorl_task *child;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, end_own_group, &group, &attr, &child));
    seen->block = &group;
    seen->error = whorl_group_end(&group, 0, NULL);
    look_back(child, &seen->why[0]);
    return 0;
}

static void test_why_of_a_child_that_comes_late_names_its_group(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, add_late_child);
        assert_int_equal(seen.error, 0);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_GROUP);
        assert_ptr_equal(seen.why[0].block, seen.block);
        assert_string_equal(seen.why[0].name, "main");
        assert_int_equal(seen.why[0].requests, 1);
        assert_int_equal(seen.why[0].hops, 0);
    }
}

static int hold_group(void *arg)
{
    return leave_group(arg, 0, false);
}

static int cancel_who_holds_a_group(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const owner = start_named("owner", hold_group, seen);
    settle();
    must(whorl_cancel(owner, NULL) ? 0 : -EPROTO);
    look_back(owner, &seen->why[1]);
    return 0;
}

static void test_why_reaches_the_children_of_a_cancelled_block(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, cancel_who_holds_a_group);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_TASK);
        assert_string_equal(seen.why[0].name, "main");
        assert_int_equal(seen.why[0].hops, 1);
        assert_string_equal(seen.why[0].hop[0].name, "owner");
        assert_int_equal(seen.why[1].hops, 0);
    }
}

/* ---- the end of the runtime ---- */

static int be_left_over(void *arg)
{
    struct seen *const seen = arg;
    const int error = wait_for_ever();
    must(whorl_task_why(whorl_task_current(), &seen->why[0]));
    return error;
}

static int leave_one(void *arg)
{
    whorl_task_unref(start(be_left_over, arg));
    settle();
    return 0;
}

static void test_why_tells_of_the_end_of_the_runtime(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, leave_one);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_SHUTDOWN);
        assert_string_equal(seen.why[0].message, "the runtime is ending");
    }
}

/* ---- what is passed on ---- */

static int await_other(void *arg)
{
    return whorl_await(arg, NULL);
}

enum { CHAIN = 7 };

/* link 0 awaits link 1, and so on; the last one waits for ever. */
static void start_chain(struct whorl_task *links[CHAIN])
{
    for (int i = CHAIN - 1; i >= 0; i--) {
        char name[16];
        snprintf(name, sizeof name, "link %d", i);
        links[i] = i == CHAIN - 1 ? start_named(name, rest, NULL)
                                  : start_named(name, await_other, links[i + 1]);
        settle();
    }
}

static void look_back_at_chain(struct whorl_task *const *links, struct seen *seen)
{
    for (int i = 0; i < CHAIN; i++) {
        look_back(links[i], &seen->why[i]);
    }
}

static int cancel_chain(void *arg)
{
    struct whorl_task *links[CHAIN];
    start_chain(links);
    must(whorl_cancel(links[0], "cut") ? 0 : -EPROTO);
    look_back_at_chain(links, arg);
    return 0;
}

static void test_why_tells_through_whom_it_came(void **state)
{
    /* All of the way in number, the first four by name. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, cancel_chain);
        for (unsigned i = 0; i < CHAIN; i++) {
            const struct whorl_why *const why = &seen.why[i];
            assert_int_equal(why->cause, WHORL_WHY_TASK);
            assert_string_equal(why->name, "main");
            assert_string_equal(why->message, "cut");
            assert_int_equal(why->hops, i);
            for (unsigned hop = 0; hop < i && hop < WHORL_WHY_HOPS; hop++) {
                char name[16];
                snprintf(name, sizeof name, "link %u", hop);
                assert_string_equal(why->hop[hop].name, name);
                assert_true(why->hop[hop].task != 0);
            }
        }
    }
}

static int cancel_self_first(void *arg)
{
    (void)whorl_cancel(whorl_task_current(), "early");
    return whorl_await(arg, NULL);
}

static int pass_on_what_is_pending(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const inner = start_named("inner", rest, NULL);
    settle();
    struct whorl_task *const outer = start_named("outer", cancel_self_first, inner);
    look_back(outer, &seen->why[0]);
    look_back(inner, &seen->why[1]);
    return 0;
}

static void test_why_goes_along_when_a_pending_request_meets_an_await(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, pass_on_what_is_pending);
        assert_int_equal(seen.why[0].hops, 0);
        assert_int_equal(seen.why[1].cause, WHORL_WHY_TASK);
        assert_string_equal(seen.why[1].name, "outer");
        assert_int_equal(seen.why[1].hops, 1);
        assert_string_equal(seen.why[1].hop[0].name, "outer");
    }
}

static int gather_two(void *arg)
{
    return whorl_gather(arg, 2, 0, NULL);
}

static int cancel_who_gathers(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *tasks[2] = {start(rest, NULL), NULL};
    struct whorl_task *const leaf = start_named("leaf", rest, NULL);
    settle();
    tasks[1] = start_named("middle", await_other, leaf);
    settle();
    struct whorl_task *const top = start_named("top", gather_two, tasks);
    settle();
    must(whorl_cancel(top, NULL) ? 0 : -EPROTO);
    look_back(top, &seen->why[0]);
    look_back(tasks[0], &seen->why[1]);
    look_back(tasks[1], &seen->why[2]);
    look_back(leaf, &seen->why[3]);
    return 0;
}

static void test_why_tells_a_gather_on_the_way(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        static const unsigned hops[] = {0, 2, 2, 3};
        const struct seen seen = play_seen(loops, cancel_who_gathers);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(seen.why[i].cause, WHORL_WHY_TASK);
            assert_string_equal(seen.why[i].name, "main");
            assert_int_equal(seen.why[i].hops, hops[i]);
        }
        for (int i = 1; i < 4; i++) {
            assert_string_equal(seen.why[i].hop[0].name, "top");
            assert_true(seen.why[i].hop[1].task == 0);
        }
        assert_string_equal(seen.why[3].hop[2].name, "middle");
    }
}

static int cancel_the_gather(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const task = start(rest, NULL);
    struct whorl_future *child = whorl_task_future(task);
    struct whorl_future *gather;
    settle();
    must(whorl_gather_start(&child, 1, 0, &gather));
    must(whorl_future_cancel(gather, NULL) ? 0 : -EPROTO);
    look_back(task, &seen->why[0]);
    (void)whorl_future_join(gather, WHORL_NEVER, NULL);
    whorl_future_unref(gather);
    return 0;
}

static void test_why_of_a_gathers_child_names_who_cancelled_the_gather(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct seen seen = play_seen(loops, cancel_the_gather);
        assert_int_equal(seen.why[0].cause, WHORL_WHY_TASK);
        assert_string_equal(seen.why[0].name, "main");
        assert_int_equal(seen.why[0].hops, 1);
        assert_true(seen.why[0].hop[0].task == 0);
    }
}

/* ---- no memory ---- */

static int cancel_without_memory(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *const task = start(rest, NULL);
    settle();
    faults_order(&(struct faults_order){
        .entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE, .error = -ENOMEM, .first = 1});
    const bool asked = whorl_cancel(task, NULL);
    seen->thread = faults_hits();
    faults_order(NULL);
    must(asked ? 0 : -EPROTO);
    seen->error = whorl_join(task, WHORL_NEVER, NULL);
    look_back(task, &seen->why[0]);
    return 0;
}

static void test_why_is_unknown_without_memory_and_the_cancel_works(void **state)
{
    struct seen seen = {.error = UNSET};
    (void)state;
    faults_install();
    const int error = play(1, cancel_without_memory, &seen);
    const int blocks = faults_blocks();
    faults_remove();
    assert_int_equal(error, 0);
    assert_int_equal(seen.thread, 1); /* it was asked for, once */
    assert_int_equal(seen.error, -ECANCELED);
    assert_int_equal(seen.why[0].cause, WHORL_WHY_UNKNOWN);
    assert_int_equal(seen.why[0].requests, 1);
    assert_int_equal(blocks, 0);
}

/* seen->thread: which of the cancel's allocations fails; afterwards, how many did. */
static int cancel_chain_without_memory(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_task *links[CHAIN];
    start_chain(links);
    faults_order(&(struct faults_order){.entry = FAULTS_alloc,
                                        .phase = FAULTS_ANY_PHASE,
                                        .error = -ENOMEM,
                                        .first = seen->thread});
    const bool asked = whorl_cancel(links[0], "cut");
    seen->thread = faults_hits();
    faults_order(NULL);
    must(asked ? 0 : -EPROTO);
    seen->error = whorl_join(links[0], WHORL_NEVER, NULL);
    look_back_at_chain(links, seen);
    return 0;
}

static unsigned count_unknown(const struct seen *seen)
{
    unsigned unknown = 0;
    for (unsigned i = 0; i < CHAIN; i++) {
        const struct whorl_why *const why = &seen->why[i];
        assert_int_equal(why->requests, 1);
        if (why->cause == WHORL_WHY_UNKNOWN) {
            unknown++;
            continue;
        }
        assert_int_equal(why->cause, WHORL_WHY_TASK);
        assert_string_equal(why->name, "main");
        assert_string_equal(why->message, "cut");
        assert_int_equal(why->hops, i);
    }
    return unknown;
}

static void test_why_of_one_without_memory_leaves_that_of_the_others(void **state)
{
    /* Each allocation of a cancel that goes through a chain fails once. */
    uint32_t hits = 1;
    unsigned tries = 0;
    (void)state;
    for (uint32_t first = 1; hits > 0; first++) {
        struct seen seen = {.error = UNSET, .thread = first};
        faults_install();
        const int error = play(1, cancel_chain_without_memory, &seen);
        const int blocks = faults_blocks();
        faults_remove();
        hits = seen.thread;
        assert_int_equal(error, 0);
        assert_int_equal(seen.error, -ECANCELED);
        assert_int_equal(count_unknown(&seen), hits);
        assert_int_equal(blocks, 0);
        tries += hits;
    }
    assert_int_equal(tries, 2 * CHAIN); /* a block and a note for each */
}

static int cancel_and_count(void *arg)
{
    struct seen *const seen = arg;
    const uint32_t before = faults_calls(FAULTS_START, FAULTS_alloc);
    seen->error = finish(start(end_alone, NULL));
    seen->thread = faults_calls(FAULTS_START, FAULTS_alloc) - before;
    return cancel_by_task(seen);
}

static void test_why_costs_no_memory_who_is_not_asked_and_is_given_back(void **state)
{
    struct seen seen = {.error = UNSET};
    (void)state;
    faults_install();
    const int error = play(1, cancel_and_count, &seen);
    const int blocks = faults_blocks();
    faults_remove();
    assert_int_equal(error, 0);
    assert_int_equal(seen.error, -EIO);
    assert_int_equal(seen.thread, 0);
    assert_int_equal(seen.why[0].cause, WHORL_WHY_TASK);
    assert_int_equal(blocks, 0);
}

/* ---- in words ---- */

static void test_why_is_printed_in_words(void **state)
{
    static const struct {
        struct whorl_why why;
        const char *text;
    } rows[] = {
        {{.cause = WHORL_WHY_NONE}, "nobody"},
        {{.cause = WHORL_WHY_UNKNOWN, .requests = 1}, "not noted"},
        {{.cause = WHORL_WHY_TASK, .requests = 1, .task = 7}, "task 7"},
        {{.cause = WHORL_WHY_CALLBACK, .requests = 1}, "a callback"},
        {{.cause = WHORL_WHY_THREAD, .requests = 1, .thread = 99}, "thread 99"},
        {{.cause = WHORL_WHY_DEADLINE, .requests = 1, .task = 3, .name = "visit"},
         "a deadline of task 3 \"visit\""},
        {{.cause = WHORL_WHY_GROUP, .requests = 1, .task = 3},
         "a group that failed, by task 3"},
        {{.cause = WHORL_WHY_SHUTDOWN, .requests = 1}, "the end of the runtime"},
        {{.cause = WHORL_WHY_TASK, .requests = 1, .task = 1, .hops = 2,
          .hop = {{.task = 2, .name = "x"}, {.task = 0}}},
         "task 1; through task 2 \"x\", a gather"},
        {{.cause = WHORL_WHY_TASK, .requests = 1, .task = 1, .hops = 5,
          .hop = {{.task = 2}, {.task = 3}, {.task = 4}, {.task = 5}}},
         "task 1; through task 2, task 3, task 4, task 5, ..."},
        {{.cause = WHORL_WHY_TASK, .task = 1, .message = "stop"},
         "task 1; message \"stop\"; taken back"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int length = (int)strlen(rows[i].text);
        char text[WHORL_WHY_TEXT];
        assert_int_equal(whorl_why_print(&rows[i].why, text, sizeof text), length);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(whorl_why_print(&rows[i].why, NULL, 0), length);
        memset(text, 'x', sizeof text);
        assert_int_equal(whorl_why_print(&rows[i].why, text, 5), length);
        assert_memory_equal(text, rows[i].text, 4);
        assert_int_equal(text[4], '\0');
        assert_int_equal(text[5], 'x');
    }
}

/* ---- in dumps and reports ---- */

static int print_own_line(void *arg)
{
    struct seen *const seen = arg;
    FILE *const file = tmpfile();
    must(file != NULL ? 0 : -EIO);
    must(whorl_graph_print(whorl_task_future(whorl_task_current()), 0, fileno(file)));
    rewind(file);
    const size_t length = fread(seen->text, 1, sizeof seen->text - 1, file);
    seen->text[length] = '\0';
    fclose(file);
    return 0;
}

static int ask_and_dump(void *arg)
{
    must(whorl_cancel(whorl_task_current(), NULL) ? 0 : -EPROTO);
    return print_own_line(arg);
}

static void test_why_is_in_dumps_of_those_who_were_asked(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct seen seen = {.error = UNSET};
        assert_int_equal(play(loops, ask_and_dump, &seen), -ECANCELED);
        const char *const why = strstr(seen.text, " why=task by=task:");
        assert_non_null(why);
        assert_non_null(strstr(why, " by-name=\"main\" refs="));
        memset(&seen, 0, sizeof seen);
        assert_int_equal(play(loops, print_own_line, &seen), 0);
        assert_non_null(strstr(seen.text, " refs="));
        assert_null(strstr(seen.text, "why="));
    }
}

static int keep_why(void *arg, const struct whorl_report *report)
{
    struct seen *const seen = arg;
    snprintf(seen->text, sizeof seen->text, "%s", report->why != NULL ? report->why : "(none)");
    return 0;
}

static int report_self(void *arg)
{
    if (arg != NULL) {
        must(whorl_cancel(whorl_task_current(), "no") ? 0 : -EPROTO);
    }
    const int error = whorl_exception_handler_call(
        &(struct whorl_report){.message = "look", .task = whorl_task_current()});
    (void)whorl_uncancel(whorl_task_current());
    return error;
}

static void test_why_is_in_reports_about_those_who_were_asked(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct seen seen = {.error = UNSET};
        const struct whorl_options options = {.loops = loops,
                                              .no_pin = 1,
                                              .exception_handler = keep_why,
                                              .exception_handler_arg = &seen};
        assert_int_equal(whorl_run(report_self, &seen, &options), 0);
        assert_string_equal(behind_number(seen.text), " \"main\"; message \"no\"");
        assert_int_equal(whorl_run(report_self, NULL, &options), 0);
        assert_string_equal(seen.text, "(none)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why_names_the_task_that_cancelled),
        cmocka_unit_test(test_why_tells_a_plain_thread_by_its_number),
        cmocka_unit_test(test_why_tells_a_callback),
        cmocka_unit_test(test_why_is_none_where_nobody_asked),
        cmocka_unit_test(test_why_is_that_of_the_newest_and_tells_what_was_taken_back),
        cmocka_unit_test(test_why_of_what_a_section_holds_back_is_the_newest),
        cmocka_unit_test(test_why_of_a_deadline_that_a_section_holds_back),
        cmocka_unit_test(test_why_stays_readable_when_the_runtime_is_gone),
        cmocka_unit_test(test_why_tells_which_deadline_it_was),
        cmocka_unit_test(test_why_tells_a_child_whose_deadline_it_was),
        cmocka_unit_test(test_why_names_the_child_that_failed_its_group),
        cmocka_unit_test(test_why_names_the_block_that_failed_or_cancelled_its_group),
        cmocka_unit_test(test_why_reaches_the_children_of_a_cancelled_block),
        cmocka_unit_test(test_why_of_a_child_that_comes_late_names_its_group),
        cmocka_unit_test(test_why_tells_of_the_end_of_the_runtime),
        cmocka_unit_test(test_why_tells_through_whom_it_came),
        cmocka_unit_test(test_why_goes_along_when_a_pending_request_meets_an_await),
        cmocka_unit_test(test_why_tells_a_gather_on_the_way),
        cmocka_unit_test(test_why_of_a_gathers_child_names_who_cancelled_the_gather),
        cmocka_unit_test(test_why_is_unknown_without_memory_and_the_cancel_works),
        cmocka_unit_test(test_why_of_one_without_memory_leaves_that_of_the_others),
        cmocka_unit_test(test_why_costs_no_memory_who_is_not_asked_and_is_given_back),
        cmocka_unit_test(test_why_is_printed_in_words),
        cmocka_unit_test(test_why_is_in_dumps_of_those_who_were_asked),
        cmocka_unit_test(test_why_is_in_reports_about_those_who_were_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
