/*
 * A runtime that runs several mains: new, run, spawn, close, free; rows RUN and MT-23 of asyncio's
 * semantics, and what a runtime as an object adds to them.
 */
#include "support/logbook.h"
#include "support/mark.h"
#include "support/play.h"

#include <pthread.h>

static struct whorl_runtime *new_runtime(int loops)
{
    const struct whorl_options options = {.loops = loops, .no_pin = 1};
    struct whorl_runtime *runtime = NULL;
    assert_int_equal(whorl_runtime_new(&options, &runtime), 0);
    assert_non_null(runtime);
    return runtime;
}

static int count_run(void *arg)
{
    (void)whorl__add_u32(arg, 1);
    return 0;
}

static int return_code(void *arg)
{
    return *(const int *)arg;
}

/* ---- several mains ---- */

static void test_run_9_several_mains_each_with_its_result(void **state)
{
    /* One after the other on the same loops; threads and descriptors are given back in the end. */
    (void)state;
    int codes[] = {0, -EPIPE, -ECANCELED, -EINVAL, 0};
    uint32_t runs = 0;
    assert_int_equal(play(1, count_run, &runs), 0); /* what a process keeps is there now */
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const int threads = count_own("task");
        const int descriptors = count_own("fd");
        struct whorl_runtime *const runtime = new_runtime(loops);
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
            assert_int_equal(whorl_runtime_run(runtime, return_code, &codes[i]), codes[i]);
        }
        assert_int_equal(whorl_runtime_free(runtime), 0);
        assert_true(comes_down_to("task", threads));
        assert_int_equal(count_own("fd"), descriptors);
    }
}

struct shared {
    struct whorl_future *future;
    struct whorl_task *left;
    int got;
    uint64_t runtime;
};

static int wait_for_shared(void *arg)
{
    struct shared *const shared = arg;
    shared->got = whorl_future_await(shared->future, NULL);
    return shared->got;
}

static int make_shared(void *arg)
{
    struct shared *const shared = arg;
    shared->future = new_future();
    shared->left = start(wait_for_shared, shared);
    shared->runtime = whorl_runtime_current();
    return whorl_yield();
}

static int use_shared(void *arg)
{
    struct shared *const shared = arg;
    must(whorl_future_set_result(shared->future, shared));
    must(finish(shared->left));
    return whorl_runtime_current() == shared->runtime ? 0 : -EXDEV;
}

static void test_run_9_what_one_main_made_the_next_can_use(void **state)
{
    /* A future, and a task that waits for it over the time between the two. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct shared shared = {.got = UNSET};
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_runtime_run(runtime, make_shared, &shared), 0);
        assert_int_equal(whorl_runtime_run(runtime, use_shared, &shared), 0);
        assert_true(shared.runtime == whorl_runtime_id(runtime));
        assert_int_equal(whorl_runtime_free(runtime), 0);
        assert_int_equal(shared.got, 0);
        whorl_future_unref(shared.future);
    }
}

static int leave_one(void *arg)
{
    struct sitter *const sitter = arg;
    struct whorl_future *const begun = sitter->begun;
    must(whorl_spawn(sit, sitter, NULL, NULL));
    return whorl_future_await(begun, NULL);
}

static void test_run_9_and_loop_12_leftovers_of_one_main_live_on_until_the_close(void **state)
{
    /* The next main does not disturb them; the close cancels them, and waits. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sitter sitter = {.begun = new_future(), .got = UNSET, .answer = PASS_ON};
        struct whorl_runtime *const runtime = new_runtime(loops);
        uint32_t runs = 0;
        assert_int_equal(whorl_runtime_run(runtime, leave_one, &sitter), 0);
        assert_int_equal(whorl_runtime_run(runtime, count_run, &runs), 0);
        assert_int_equal(sitter.got, UNSET);
        assert_int_equal(whorl_runtime_close(runtime), 0);
        assert_int_equal(sitter.got, -ECANCELED);
        assert_int_equal(whorl_runtime_free(runtime), 0);
        whorl_future_unref(sitter.begun);
    }
}

static const struct whorl_local flavour = {.initial = NULL};

struct tasting {
    const char *sets; /* NULL: nothing */
    const void *found;
    const void *child_found;
};

static int taste_as_child(void *arg)
{
    struct tasting *const tasting = arg;
    tasting->child_found = whorl_local_get(&flavour);
    static char bitter[] = "bitter";
    return whorl_local_set(&flavour, bitter, NULL); /* in its own copy */
}

static int taste(void *arg)
{
    struct tasting *const tasting = arg;
    tasting->found = whorl_local_get(&flavour);
    must(finish(start(taste_as_child, tasting)));
    if (tasting->sets != NULL) {
        must(whorl_local_set(&flavour, (void *)(uintptr_t)tasting->sets, NULL));
    }
    return 0;
}

static void test_run_10_mains_share_one_context(void **state)
{
    /* What one sets the next sees; what a task of theirs sets it does not, nor another runtime. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tasting first = {.sets = "sweet"};
        struct tasting second = {.sets = "sour"};
        struct tasting third = {.sets = NULL};
        struct tasting other = {.sets = NULL};
        struct whorl_runtime *const runtime = new_runtime(loops);
        struct whorl_runtime *const apart = new_runtime(loops);
        assert_int_equal(whorl_runtime_run(runtime, taste, &first), 0);
        assert_int_equal(whorl_runtime_run(runtime, taste, &second), 0);
        assert_int_equal(whorl_runtime_run(runtime, taste, &third), 0);
        assert_int_equal(whorl_runtime_run(apart, taste, &other), 0);
        assert_int_equal(whorl_runtime_free(runtime), 0);
        assert_int_equal(whorl_runtime_free(apart), 0);
        assert_null(first.found);
        assert_ptr_equal(second.found, first.sets);
        assert_ptr_equal(second.child_found, first.sets);
        assert_ptr_equal(third.found, second.sets);
        assert_null(other.found);
    }
}

/* ---- generators, when tasks fail ---- */

struct closing {
    struct logbook log;
    struct whorl_generator *generator;
    uint32_t closed; /* A */
    uint32_t failed; /* A: when the generator was closed, the task that failed was over */
    uint32_t order;  /* A: failed, as the generator found it */
};

static int give_until_closed(void *arg)
{
    struct closing *const closing = arg;
    int error;
    do {
        error = whorl_generator_yield(closing, NULL);
    } while (error == 0);
    whorl__store_release_u32(&closing->order, level_of(&closing->failed)); /* read after the run */
    mark(&closing->closed);
    return error;
}

static int fail_when_cancelled(void *arg)
{
    struct closing *const closing = arg;
    (void)wait_for_ever();
    mark(&closing->failed);
    return -EPIPE;
}

static int leave_both(void *arg)
{
    struct closing *const closing = arg;
    must(whorl_generator_new(give_until_closed, closing, NULL, &closing->generator));
    must(whorl_generator_next(closing->generator, NULL));
    must(whorl_spawn(fail_when_cancelled, closing, NULL, NULL));
    settle();
    return -EIO;
}

static void test_run_7_generators_are_closed_also_when_tasks_failed(void **state)
{
    /* Main fails, and so does a leftover: that is told, and the generator is closed behind it. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct closing closing = {.closed = 0};
        const struct whorl_options options = {
            .loops = loops, .no_pin = 1, .log = logbook_write, .log_arg = &closing.log};
        assert_int_equal(whorl_run(leave_both, &closing, &options), -EIO);
        assert_int_equal(closing.failed, 1);
        assert_int_equal(closing.closed, 1);
        assert_int_equal(closing.order, 1);
        assert_int_equal(logbook_count(&closing.log, "error: EPIPE"), 1);
        whorl_generator_unref(closing.generator);
    }
}

/* ---- several threads ---- */

enum { THREADS = 6, MAINS = 25 };

struct caller {
    pthread_t thread;
    struct whorl_runtime *runtime;
    int number;
    int bad;
};

static int yield_and_return(void *arg)
{
    const struct caller *const caller = arg;
    must(whorl_yield());
    must(whorl_yield());
    return -caller->number;
}

static void *run_mains(void *arg)
{
    struct caller *const caller = arg;
    for (int i = 0; i < MAINS; i++) {
        caller->bad +=
            whorl_runtime_run(caller->runtime, yield_and_return, caller) != -caller->number;
    }
    return NULL;
}

static void test_run_several_threads_each_wait_for_their_own_main(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct caller callers[THREADS];
        struct whorl_runtime *const runtime = new_runtime(loops);
        for (int i = 0; i < THREADS; i++) {
            callers[i] = (struct caller){.runtime = runtime, .number = i + 1};
            must(pthread_create(&callers[i].thread, NULL, run_mains, &callers[i]));
        }
        for (int i = 0; i < THREADS; i++) {
            must(pthread_join(callers[i].thread, NULL));
            assert_int_equal(callers[i].bad, 0);
        }
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

/* ---- spawn ---- */

static int spawn_into(void *arg)
{
    struct caller *const caller = arg;
    struct whorl_task *task;
    must(whorl_runtime_spawn(caller->runtime, yield_and_return, caller, NULL, &task));
    return finish(task);
}

static void test_loop_24_spawn_from_a_thread_and_from_tasks_of_any_runtime(void **state)
{
    /* From this thread, from a task of the same runtime, from one of another. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_task *task = NULL;
        struct whorl_runtime *const other = new_runtime(1);
        struct caller caller = {.runtime = new_runtime(loops), .number = EDOM};
        assert_int_equal(
            whorl_runtime_spawn(caller.runtime, yield_and_return, &caller, NULL, &task), 0);
        assert_int_equal(whorl_await(task, NULL), -EDOM);
        whorl_task_unref(task);
        assert_int_equal(whorl_runtime_run(caller.runtime, spawn_into, &caller), -EDOM);
        assert_int_equal(whorl_runtime_run(other, spawn_into, &caller), -EDOM);
        assert_int_equal(whorl_runtime_free(caller.runtime), 0);
        assert_int_equal(whorl_runtime_free(other), 0);
    }
}

/* ---- refused ---- */

static int call_inside(void *arg)
{
    struct caller *const caller = arg;
    struct whorl_runtime *another = NULL;
    caller->bad = 0;
    caller->bad += whorl_runtime_run(caller->runtime, call_inside, caller) != -EBUSY;
    caller->bad += whorl_runtime_new(NULL, &another) != -EBUSY;
    caller->bad += whorl_runtime_close(caller->runtime) != -EBUSY;
    caller->bad += whorl_runtime_free(caller->runtime) != -EBUSY;
    return another == NULL ? whorl_yield() : -EPROTO;
}

static void test_run_8_and_loop_16_inside_a_task_is_ebusy(void **state)
{
    /* Also of another runtime; and the runtime goes on. Freeing none does nothing. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const other = new_runtime(1);
        struct caller caller = {.runtime = new_runtime(loops), .bad = UNSET};
        assert_int_equal(whorl_runtime_run(caller.runtime, call_inside, &caller), 0);
        assert_int_equal(caller.bad, 0);
        assert_int_equal(whorl_runtime_run(other, call_inside, &caller), 0);
        assert_int_equal(caller.bad, 0);
        assert_int_equal(whorl_runtime_free(caller.runtime), 0);
        assert_int_equal(whorl_runtime_free(other), 0);
        assert_int_equal(whorl_runtime_free(NULL), 0);
    }
}

static void test_run_bad_arguments_are_einval(void **state)
{
    (void)state;
    const struct whorl_options bad[] = {{.loops = -1},
                                        {.end_round_ns = -1},
                                        {.end_rounds = -1},
                                        {.reserved = {[1] = 1}}};
    struct whorl_runtime *runtime = NULL;
    struct whorl_task *task = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(whorl_runtime_new(&bad[i], &runtime), -EINVAL);
        assert_null(runtime);
    }
    assert_int_equal(whorl_runtime_new(NULL, NULL), -EINVAL);
    assert_int_equal(whorl_runtime_run(NULL, count_run, NULL), -EINVAL);
    assert_int_equal(whorl_runtime_spawn(NULL, count_run, NULL, NULL, &task), -EINVAL);
    assert_int_equal(whorl_runtime_close(NULL), -EINVAL);
    assert_int_equal(whorl_runtime_free(NULL), 0);
    runtime = new_runtime(1);
    assert_int_equal(whorl_runtime_run(runtime, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_runtime_spawn(runtime, NULL, NULL, NULL, &task), -EINVAL);
    assert_null(task);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

/* ---- closed ---- */

static void test_run_11_close_twice_is_fine_and_use_after_it_refused(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        uint32_t runs = 0;
        struct whorl_task *task = NULL;
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_runtime_close(runtime), 0);
        assert_int_equal(whorl_runtime_close(runtime), 0);
        assert_int_equal(whorl_runtime_run(runtime, count_run, &runs), -ESHUTDOWN);
        assert_int_equal(whorl_runtime_spawn(runtime, count_run, &runs, NULL, &task), -ESHUTDOWN);
        assert_null(task);
        assert_int_equal(whorl_runtime_free(runtime), 0);
        assert_int_equal(runs, 0);
    }
}

struct blocked {
    struct caller caller;
    struct whorl_future *begun;
    int result;
    int got;
};

static int block(void *arg)
{
    struct blocked *const blocked = arg;
    must(whorl_future_set_result(blocked->begun, NULL));
    blocked->got = wait_for_ever();
    return -EIDRM;
}

static void *run_blocked(void *arg)
{
    struct blocked *const blocked = arg;
    blocked->result = whorl_runtime_run(blocked->caller.runtime, block, blocked);
    return NULL;
}

static void test_run_free_cancels_the_main_of_another_thread(void **state)
{
    /* Its caller gets what it answers; the handle is gone by then, perhaps. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct blocked blocked = {.begun = new_future(), .got = UNSET};
        blocked.caller.runtime = new_runtime(loops);
        must(pthread_create(&blocked.caller.thread, NULL, run_blocked, &blocked));
        assert_int_equal(whorl_future_await(blocked.begun, NULL), 0);
        assert_int_equal(whorl_runtime_free(blocked.caller.runtime), 0);
        must(pthread_join(blocked.caller.thread, NULL));
        assert_int_equal(blocked.got, -ECANCELED);
        assert_int_equal(blocked.result, -EIDRM);
        whorl_future_unref(blocked.begun);
    }
}

struct closer {
    pthread_t thread;
    struct whorl_runtime *runtime;
    const struct sitter *sitter;
    int error;
    int seen; /* what had become of the leftover when close returned */
};

static void *close_it(void *arg)
{
    struct closer *const closer = arg;
    closer->error = whorl_runtime_close(closer->runtime);
    closer->seen = closer->sitter->got;
    return NULL;
}

static void test_run_11_close_by_several_at_once_waits_for_the_end_in_each(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct sitter sitter = {.begun = new_future(), .got = UNSET, .answer = PASS_ON};
        struct closer closers[3];
        struct whorl_runtime *const runtime = new_runtime(1 + round % 3);
        assert_int_equal(whorl_runtime_run(runtime, leave_one, &sitter), 0);
        for (int i = 0; i < 3; i++) {
            closers[i] = (struct closer){.runtime = runtime, .sitter = &sitter};
            must(pthread_create(&closers[i].thread, NULL, close_it, &closers[i]));
        }
        for (int i = 0; i < 3; i++) {
            must(pthread_join(closers[i].thread, NULL));
            assert_int_equal(closers[i].error, 0);
            assert_int_equal(closers[i].seen, -ECANCELED);
        }
        assert_int_equal(whorl_runtime_free(runtime), 0);
        whorl_future_unref(sitter.begun);
    }
}

static void test_run_task_references_outlive_the_free(void **state)
{
    (void)state;
    int code = -EDOM;
    struct whorl_task *task = NULL;
    struct whorl_runtime *const runtime = new_runtime(2);
    assert_int_equal(whorl_runtime_spawn(runtime, return_code, &code, NULL, &task), 0);
    assert_int_equal(whorl_join(task, WHORL_NEVER, NULL), -EDOM);
    assert_int_equal(whorl_runtime_free(runtime), 0);
    assert_int_equal(whorl_task_result(task, NULL), -EDOM);
    assert_int_equal(whorl_spawn_remote(task, count_run, NULL, NULL, NULL), -ECANCELED);
    whorl_task_unref(task);
}

/* ---- the end: rounds, and who survives ---- */

struct stubborn {
    struct logbook log;
    int cancels; /* that it gets before it obeys */
    int got;
    uint32_t reports;         /* A */
    char name[64], wait[128]; /* of the report */
};

static int obey_late(void *arg)
{
    struct stubborn *const stubborn = arg;
    while (stubborn->got < stubborn->cancels) {
        (void)wait_for_ever();
        stubborn->got++;
    }
    return 0;
}

static int leave_stubborn(void *arg)
{
    const struct whorl_attr attr = {.name = "stubborn"};
    must(whorl_spawn(obey_late, arg, &attr, NULL));
    for (int i = 0; i < 50; i++) {
        must(whorl_yield());
    }
    return -EPIPE;
}

static int note_report(void *arg, const struct whorl_report *report)
{
    struct stubborn *const stubborn = arg;
    snprintf(stubborn->name, sizeof stubborn->name, "%s", report->task_name);
    snprintf(stubborn->wait, sizeof stubborn->wait, "%s", report->waits_for);
    mark(&stubborn->reports);
    return 0;
}

static void test_mt_23_rounds_cancel_until_no_task_is_left(void **state)
{
    /* Who has not ended is named, with what it waits for, and cancelled again: three times here. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct stubborn stubborn = {.cancels = 4};
        const struct whorl_options options = {.loops = loops,
                                              .no_pin = 1,
                                              .end_round_ns = 20 * WHORL_MILLISECOND,
                                              .exception_handler = note_report,
                                              .exception_handler_arg = &stubborn};
        assert_int_equal(whorl_run(leave_stubborn, &stubborn, &options), -EPIPE);
        assert_int_equal(stubborn.got, 4);
        assert_true(stubborn.reports >= 3);
        assert_string_equal(stubborn.name, "stubborn");
        assert_non_null(strstr(stubborn.wait, "state="));
    }
}

static void test_mt_23_without_a_handler_the_log_names_who_survives(void **state)
{
    (void)state;
    struct stubborn stubborn = {.cancels = 2};
    const struct whorl_options options = {.loops = 2,
                                          .no_pin = 1,
                                          .end_round_ns = 20 * WHORL_MILLISECOND,
                                          .log = logbook_write,
                                          .log_arg = &stubborn.log};
    assert_int_equal(whorl_run(leave_stubborn, &stubborn, &options), -EPIPE);
    assert_true(logbook_count(&stubborn.log, "task_name: stubborn") >= 1);
    assert_true(logbook_count(&stubborn.log, "waits_for: state=parked waits=sleep") >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_9_several_mains_each_with_its_result),
        cmocka_unit_test(test_run_9_what_one_main_made_the_next_can_use),
        cmocka_unit_test(test_run_10_mains_share_one_context),
        cmocka_unit_test(test_run_9_and_loop_12_leftovers_of_one_main_live_on_until_the_close),
        cmocka_unit_test(test_run_7_generators_are_closed_also_when_tasks_failed),
        cmocka_unit_test(test_run_several_threads_each_wait_for_their_own_main),
        cmocka_unit_test(test_loop_24_spawn_from_a_thread_and_from_tasks_of_any_runtime),
        cmocka_unit_test(test_run_8_and_loop_16_inside_a_task_is_ebusy),
        cmocka_unit_test(test_run_bad_arguments_are_einval),
        cmocka_unit_test(test_run_11_close_twice_is_fine_and_use_after_it_refused),
        cmocka_unit_test(test_run_free_cancels_the_main_of_another_thread),
        cmocka_unit_test(test_run_11_close_by_several_at_once_waits_for_the_end_in_each),
        cmocka_unit_test(test_run_task_references_outlive_the_free),
        cmocka_unit_test(test_mt_23_rounds_cancel_until_no_task_is_left),
        cmocka_unit_test(test_mt_23_without_a_handler_the_log_names_who_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
