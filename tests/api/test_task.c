/*
 * Tasks: spawn, await, names, arguments; rows TASK of asyncio's semantics.
 */
#include "support/play.h"

static int dummy;

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- spawn ---- */

struct family {
    struct journal journal;
    struct kin {
        struct family *family;
        char letter;
    } kin[4];
};

static int note_letter(void *arg)
{
    const struct kin *const kin = arg;
    note(&kin->family->journal, kin->letter);
    return 0;
}

static int spawn_four(void *arg)
{
    struct family *const family = arg;
    struct whorl_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        family->kin[i] = (struct kin){.family = family, .letter = (char)('a' + i)};
        tasks[i] = start(note_letter, &family->kin[i]);
    }
    note(&family->journal, '!');
    for (int i = 0; i < 4; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_task_1_bodies_begin_later_and_in_order(void **state)
{
    /* The creator is not suspended; its children then begin first come, first served. */
    (void)state;
    struct family family = {0};
    assert_int_equal(play(1, spawn_four, &family), 0);
    assert_string_equal(family.journal.text, "!abcd");
}

struct asked {
    whorl_body *body;
    void *arg;
    void *own_arg;
};

static int ask_of_oneself(void *arg)
{
    struct asked *const asked = arg;
    asked->own_arg = whorl_task_arg(whorl_task_current());
    return 0;
}

static int ask_for_its_body(void *arg)
{
    struct asked *const asked = arg;
    struct whorl_task *const task = start(ask_of_oneself, asked);
    must(whorl_await(task, NULL));
    asked->body = whorl_task_body(task); /* it has ended, and is still known */
    asked->arg = whorl_task_arg(task);
    whorl_task_unref(task);
    return 0;
}

static void test_task_knows_its_body_and_argument(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct asked asked = {.body = NULL};
        assert_int_equal(play(loops, ask_for_its_body, &asked), 0);
        assert_true(asked.body == ask_of_oneself);
        assert_ptr_equal(asked.arg, &asked);
        assert_ptr_equal(asked.own_arg, &asked);
    }
}

struct end {
    int answer;
    void *value;
    int errors[3];
    void *values[3];
};

static int end_as_told(void *arg)
{
    const struct end *const end = arg;
    must(whorl_return(end->value));
    return end->answer;
}

struct awaiter {
    struct whorl_task *task;
    struct end *end;
    int place;
};

static int await_it(void *arg)
{
    const struct awaiter *const awaiter = arg;
    awaiter->end->errors[awaiter->place] =
        whorl_await(awaiter->task, &awaiter->end->values[awaiter->place]);
    return 0;
}

/* Three await one task: two tasks, and the main task after them. */
static int await_by_three(void *arg)
{
    struct end *const end = arg;
    struct whorl_task *const task = start(end_as_told, end);
    struct awaiter awaiters[2] = {{task, end, 0}, {task, end, 1}};
    struct whorl_task *const first = start(await_it, &awaiters[0]);
    struct whorl_task *const second = start(await_it, &awaiters[1]);
    must(finish(first));
    must(finish(second));
    end->errors[2] = whorl_await(task, &end->values[2]);
    whorl_task_unref(task);
    return 0;
}

static void test_task_2_every_awaiter_gets_the_value(void **state)
{
    /* A value is handed over by whorl_return and counts if the body then returns 0. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct end end = {.answer = 0, .value = &dummy, .errors = {UNSET, UNSET, UNSET}};
        assert_int_equal(play(loops, await_by_three, &end), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(end.errors[i], 0);
            assert_ptr_equal(end.values[i], &dummy);
        }
    }
}

static void test_task_2_every_awaiter_gets_the_error_and_no_value(void **state)
{
    /* The value that was handed over before the failure is dropped. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct end end = {.answer = -EPIPE, .value = &dummy, .errors = {UNSET, UNSET, UNSET}};
        assert_int_equal(play(loops, await_by_three, &end), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(end.errors[i], -EPIPE);
            assert_null(end.values[i]);
        }
    }
}

struct refusals {
    int result;
    int error;
    int awaited;
    bool done;
};

static int complete_a_task(void *arg)
{
    struct refusals *const refusals = arg;
    struct whorl_task *const task = start(do_nothing, NULL);
    refusals->result = whorl_future_set_result(whorl_task_future(task), NULL);
    refusals->error = whorl_future_set_error(whorl_task_future(task), -EIO);
    refusals->awaited = finish(task);
    return 0;
}

static void test_task_3_setting_its_outcome_from_outside_is_refused(void **state)
{
    /* A task is a future that completes itself. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct refusals refusals = {UNSET, UNSET, UNSET, false};
        assert_int_equal(play(loops, complete_a_task, &refusals), 0);
        assert_int_equal(refusals.result, -EPERM);
        assert_int_equal(refusals.error, -EPERM);
        assert_int_equal(refusals.awaited, 0);
    }
}

struct selfish {
    int await, join, wait_for, expired_wait_for, gather, yield;
};

static int await_oneself(void *arg)
{
    struct selfish *const selfish = arg;
    struct whorl_task *const self = whorl_task_current();
    selfish->await = whorl_await(self, NULL);
    selfish->join = whorl_join(self, WHORL_NEVER, NULL);
    selfish->wait_for = whorl_wait_for(self, WHORL_SECOND, NULL);
    selfish->expired_wait_for = whorl_wait_for(self, 0, NULL);
    selfish->gather = whorl_gather(&self, 1, 0, NULL);
    selfish->yield = whorl_yield();
    return 0;
}

static void test_task_4_waiting_for_oneself_is_edeadlk(void **state)
{
    /* Each way to wait, and nothing of it is left pending afterwards. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct selfish selfish = {UNSET, UNSET, UNSET, UNSET, UNSET, UNSET};
        assert_int_equal(play(loops, await_oneself, &selfish), 0);
        assert_int_equal(selfish.await, -EDEADLK);
        assert_int_equal(selfish.join, -EDEADLK);
        assert_int_equal(selfish.wait_for, -EDEADLK);
        assert_int_equal(selfish.expired_wait_for, -EDEADLK);
        assert_int_equal(selfish.gather, -EDEADLK);
        assert_int_equal(selfish.yield, 0);
    }
}

/* ---- who runs ---- */

enum { SELVES = 8 };

static int see_oneself(void *arg)
{
    bool *const always_the_same = arg;
    struct whorl_task *const self = whorl_task_current();
    *always_the_same = self != NULL;
    for (int i = 0; i < 50; i++) {
        must(whorl_yield());
        *always_the_same &= whorl_task_current() == self;
    }
    return 0;
}

static int interleave(void *arg)
{
    bool *const same = arg;
    struct whorl_task *tasks[SELVES];
    for (int i = 0; i < SELVES; i++) {
        tasks[i] = start(see_oneself, &same[i]);
    }
    for (int i = 0; i < SELVES; i++) {
        must(finish(tasks[i]));
    }
    return whorl_task_current() != NULL ? 0 : -ERANGE;
}

static void test_task_7_current_is_the_same_after_each_wait(void **state)
{
    /* However tasks interleave and move; outside of tasks there is none. */
    (void)state;
    assert_null(whorl_task_current());
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        bool same[SELVES] = {false};
        assert_int_equal(play(loops, interleave, same), 0);
        for (int i = 0; i < SELVES; i++) {
            assert_true(same[i]);
        }
    }
    assert_null(whorl_task_current());
}

static int keep_errno(void *arg)
{
    const int mine = *(const int *)arg;
    for (int i = 0; i < 200; i++) {
        errno = mine;
        must(whorl_yield());
        if (errno != mine) {
            return -ERANGE;
        }
    }
    return 0;
}

static int keep_four_errnos(void *arg)
{
    int values[4] = {1, 2, 3, 4};
    struct whorl_task *tasks[4];
    (void)arg;
    for (int i = 0; i < 4; i++) {
        tasks[i] = start(keep_errno, &values[i]);
    }
    for (int i = 0; i < 4; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_6_errno_belongs_to_the_task(void **state)
{
    /* Other tasks set theirs in between; the loop and the thread may change. One loop only here: at
     * several, the compiler may keep the address of the old thread's errno over the wait. */
    (void)state;
    assert_int_equal(play(1, keep_four_errnos, NULL), 0);
}

/* ---- names ---- */

struct names {
    char first[32], second[32], given[32], cut[64], changed[32];
};

static int collect_names(void *arg)
{
    struct names *const names = arg;
    char long_name[64];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    struct whorl_task *const first = start(do_nothing, NULL);
    struct whorl_task *const second = start(do_nothing, NULL);
    struct whorl_task *given;
    struct whorl_task *cut;
    must(whorl_spawn(do_nothing, NULL, &(struct whorl_attr){.name = "reader"}, &given));
    must(whorl_spawn(do_nothing, NULL, &(struct whorl_attr){.name = long_name}, &cut));
    strcpy(names->first, whorl_task_name(first));
    strcpy(names->second, whorl_task_name(second));
    strcpy(names->given, whorl_task_name(given));
    strcpy(names->cut, whorl_task_name(cut));
    whorl_task_set_name(given, "writer");
    strcpy(names->changed, whorl_task_name(given));
    must(finish(first));
    must(finish(second));
    must(finish(given));
    must(finish(cut));
    return 0;
}

static void test_task_9_names_are_unique_given_changed_or_cut(void **state)
{
    /* Task-N counts for the whole process: a second runtime does not begin anew. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct names names = {0};
        struct names later = {0};
        assert_int_equal(play(loops, collect_names, &names), 0);
        assert_int_equal(play(loops, collect_names, &later), 0);
        assert_int_equal(strncmp(names.first, "Task-", 5), 0);
        assert_string_not_equal(names.first, names.second);
        assert_string_not_equal(names.first, later.first);
        assert_string_not_equal(names.second, later.first);
        assert_string_equal(names.given, "reader");
        assert_string_equal(names.changed, "writer");
        assert_int_equal(strlen(names.cut), WHORL_TASK_NAME_MAX);
    }
}

/* ---- lifetime ---- */

struct detached {
    struct whorl_future *done;
};

static int finish_unseen(void *arg)
{
    struct detached *const detached = arg;
    for (int i = 0; i < 3; i++) {
        must(whorl_yield());
    }
    return whorl_future_set_result(detached->done, detached);
}

static int detach(void *arg)
{
    struct detached *const detached = arg;
    void *value = NULL;
    must(whorl_spawn(finish_unseen, detached, NULL, NULL));
    must(whorl_future_await(detached->done, &value));
    return value == detached ? 0 : -ERANGE;
}

static void test_task_10_without_a_handle_runs_to_its_end(void **state)
{
    /* asyncio may lose such a task; a runtime that owns its tasks does not. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct detached detached = {.done = new_future()};
        assert_int_equal(play(loops, detach, &detached), 0);
        whorl_future_unref(detached.done);
    }
}

struct watched_end {
    struct journal journal;
    int errors[2];
};

static int note_other(void *arg)
{
    struct watched_end *const end = arg;
    note(&end->journal, 'o');
    return 0;
}

static int end_failing(void *arg)
{
    (void)arg;
    return -EIO;
}

static int await_ended(void *arg)
{
    struct watched_end *const end = arg;
    struct whorl_task *const failed = start(end_failing, NULL);
    settle();
    struct whorl_task *const other = start_here(note_other, end);
    end->errors[0] = whorl_await(failed, NULL);
    end->errors[1] = whorl_await(failed, NULL);
    note(&end->journal, 'm');
    must(finish(other));
    whorl_task_unref(failed);
    return 0;
}

static void test_task_14_await_of_ended_does_not_suspend_and_repeats(void **state)
{
    /* The same error again and again, and nobody runs in between. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct watched_end end = {.errors = {UNSET, UNSET}};
        assert_int_equal(play(loops, await_ended, &end), 0);
        assert_string_equal(end.journal.text, "mo");
        assert_int_equal(end.errors[0], -EIO);
        assert_int_equal(end.errors[1], -EIO);
    }
}

static int return_future(void *arg)
{
    return whorl_return(arg);
}

static int await_returned_future(void *arg)
{
    void *value = NULL;
    struct whorl_task *const task = start(return_future, arg);
    must(whorl_await(task, &value));
    whorl_task_unref(task);
    return value == arg ? 0 : -ERANGE;
}

static void test_task_17_returning_a_future_does_not_await_it(void **state)
{
    /* The pending future is the value. */
    (void)state;
    struct whorl_future *const pending = new_future();
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, await_returned_future, pending), 0);
    }
    assert_false(whorl_future_done(pending));
    whorl_future_unref(pending);
}

struct pending_result {
    int before, after;
    void *value;
    bool done_before, done_after;
};

static int ask_for_result(void *arg)
{
    struct pending_result *const seen = arg;
    struct whorl_task *const task = start(return_future, seen);
    seen->before = whorl_task_result(task, &seen->value);
    seen->done_before = whorl_task_done(task);
    must(whorl_await(task, NULL));
    seen->after = whorl_task_result(task, &seen->value);
    seen->done_after = whorl_task_done(task);
    whorl_task_unref(task);
    return 0;
}

static void test_task_result_before_and_after_the_end(void **state)
{
    /* -EAGAIN while it lives, then as an await would give it. */
    (void)state;
    struct pending_result seen = {.before = UNSET, .after = UNSET};
    assert_int_equal(play(1, ask_for_result, &seen), 0);
    assert_int_equal(seen.before, -EAGAIN);
    assert_false(seen.done_before);
    assert_int_equal(seen.after, 0);
    assert_true(seen.done_after);
    assert_ptr_equal(seen.value, &seen);
}

/* ---- attributes ---- */

static int spawn_badly(void *arg)
{
    int *const errors = arg;
    const struct whorl_attr small = {.stack_bytes = 1000};
    const struct whorl_attr large = {.stack_bytes = (size_t)65 << 20};
    const struct whorl_attr nowhere = {.pin = WHORL_PIN(1)};
    const struct whorl_attr negative = {.pin = -1};
    struct whorl_task *task = (struct whorl_task *)(void *)&dummy;
    errors[0] = whorl_spawn(NULL, NULL, NULL, &task);
    errors[1] = whorl_spawn(do_nothing, NULL, &small, &task);
    errors[2] = whorl_spawn(do_nothing, NULL, &large, &task);
    errors[3] = whorl_spawn(do_nothing, NULL, &nowhere, &task);
    errors[4] = whorl_spawn(do_nothing, NULL, &negative, &task);
    return task == (struct whorl_task *)(void *)&dummy ? 0 : -ERANGE;
}

static void test_spawn_bad_attributes_are_einval_and_start_nothing(void **state)
{
    /* No body, a stack too small or too large, a loop that is not there. */
    (void)state;
    int errors[5] = {UNSET, UNSET, UNSET, UNSET, UNSET};
    assert_int_equal(play(1, spawn_badly, errors), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(errors[i], -EINVAL);
    }
}

struct owned {
    int freed; /* by arg_free, which runs before anybody learns of the end */
    int freed_at_await;
};

static void count_free(void *arg)
{
    ((struct owned *)arg)->freed++;
}

static int give_argument(void *arg)
{
    struct owned *const owned = arg;
    const struct whorl_attr attr = {.arg_free = count_free};
    struct whorl_task *task;
    must(whorl_spawn(do_nothing, owned, &attr, &task));
    must(whorl_await(task, NULL));
    owned->freed_at_await = owned->freed;
    whorl_task_unref(task);
    return whorl_spawn(NULL, owned, &attr, NULL) == -EINVAL ? 0 : -ERANGE;
}

static void test_spawn_argument_is_freed_once_and_stays_ours_on_failure(void **state)
{
    /* By the time of the awaiter's return; and not at all where nothing was started. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct owned owned = {0};
        assert_int_equal(play(loops, give_argument, &owned), 0);
        assert_int_equal(owned.freed_at_await, 1);
        assert_int_equal(owned.freed, 1);
    }
}

static int stay_on_loop(void *arg)
{
    const int home = *(const int *)arg;
    for (int i = 0; i < 200; i++) {
        if (whorl_loop_current() != home) {
            return -ERANGE;
        }
        must(whorl_yield());
    }
    return 0;
}

static int pin_one_to_each_loop(void *arg)
{
    int homes[4];
    struct whorl_task *tasks[4];
    (void)arg;
    const int count = whorl_loop_count();
    for (int i = 0; i < count; i++) {
        homes[i] = i;
        must(whorl_spawn(stay_on_loop, &homes[i], &(struct whorl_attr){.pin = WHORL_PIN(i)},
                         &tasks[i]));
    }
    for (int i = 0; i < count; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_1_pinned_tasks_stay_on_their_loop(void **state)
{
    /* From the first step to the last, while others are idle and would steal. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, pin_one_to_each_loop, NULL), 0);
    }
}

static int use_stack(void *arg)
{
    volatile char room[300 << 10];
    (void)arg;
    memset((char *)room, 1, sizeof room);
    return room[sizeof room - 1] == 1 ? 0 : -ERANGE;
}

static int spawn_large(void *arg)
{
    struct whorl_task *task;
    (void)arg;
    must(whorl_spawn(use_stack, NULL, &(struct whorl_attr){.stack_bytes = (size_t)1 << 20}, &task));
    return finish(task);
}

static void test_spawn_stack_of_its_own_size_is_usable(void **state)
{
    /* More than the default would hold. */
    (void)state;
    assert_int_equal(play(1, spawn_large, NULL), 0);
}

/* ---- many ---- */

static int add_up(void *arg)
{
    const uintptr_t depth = (uintptr_t)arg;
    uintptr_t sum = 1;
    for (int i = 0; depth > 0 && i < 4; i++) {
        void *value = NULL;
        struct whorl_task *const child = start(add_up, (void *)(depth - 1));
        must(whorl_await(child, &value));
        whorl_task_unref(child);
        sum += (uintptr_t)value;
    }
    return whorl_return((void *)sum);
}

static int grow_tree(void *arg)
{
    void *value = NULL;
    (void)arg;
    struct whorl_task *const root = start(add_up, (void *)5);
    must(whorl_await(root, &value));
    whorl_task_unref(root);
    return (uintptr_t)value == 1365 ? 0 : -ERANGE; /* 1 + 4 + 16 + ... + 1024 */
}

static void test_task_tree_of_many_adds_up(void **state)
{
    /* Each value arrives once, over any number of loops. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, grow_tree, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_1_bodies_begin_later_and_in_order),
        cmocka_unit_test(test_task_knows_its_body_and_argument),
        cmocka_unit_test(test_task_2_every_awaiter_gets_the_value),
        cmocka_unit_test(test_task_2_every_awaiter_gets_the_error_and_no_value),
        cmocka_unit_test(test_task_3_setting_its_outcome_from_outside_is_refused),
        cmocka_unit_test(test_task_4_waiting_for_oneself_is_edeadlk),
        cmocka_unit_test(test_task_7_current_is_the_same_after_each_wait),
        cmocka_unit_test(test_mt_6_errno_belongs_to_the_task),
        cmocka_unit_test(test_task_9_names_are_unique_given_changed_or_cut),
        cmocka_unit_test(test_task_10_without_a_handle_runs_to_its_end),
        cmocka_unit_test(test_task_14_await_of_ended_does_not_suspend_and_repeats),
        cmocka_unit_test(test_task_17_returning_a_future_does_not_await_it),
        cmocka_unit_test(test_task_result_before_and_after_the_end),
        cmocka_unit_test(test_spawn_bad_attributes_are_einval_and_start_nothing),
        cmocka_unit_test(test_spawn_argument_is_freed_once_and_stays_ours_on_failure),
        cmocka_unit_test(test_mt_1_pinned_tasks_stay_on_their_loop),
        cmocka_unit_test(test_spawn_stack_of_its_own_size_is_usable),
        cmocka_unit_test(test_task_tree_of_many_adds_up),
    };
    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
