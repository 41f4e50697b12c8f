/*
 * Failures that nobody looks at: rows FUT-14, FUT-15, FUT-16, TASK-11, CANC-28, GATH-3, SHLD-5 and
 * CTX-7 of asyncio's semantics; WHORL_QUIET, whorl_task_detach.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define FOR_LOOPS(loops) for (int loops = 1; loops <= LOOPS_MOST; loops *= 2)

/* ---- what the handler was told; one call at a time ---- */

struct told {
    int reports;
    int error; /* of the last */
    bool of_task;
    bool of_future;
    char name[64];
    struct whorl_task *kept; /* by a handler that takes a reference */
    bool keeps;
    /* The program's own. */
    void *arg;
    struct whorl_future *gate;
};

static int write_down(void *arg, const struct whorl_report *report)
{
    struct told *const told = arg;
    told->reports++;
    told->error = report->error;
    told->of_task = report->task != NULL;
    told->of_future = report->future != NULL;
    snprintf(told->name, sizeof told->name, "%s",
             report->task_name != NULL ? report->task_name : "");
    if (told->keeps) {
        told->kept = whorl_task_ref(report->task);
    }
    return 0;
}

static int run_telling(int loops, whorl_body *body, struct told *told)
{
    const struct whorl_options options = {.loops = loops,
                                          .no_pin = 1,
                                          .exception_handler = write_down,
                                          .exception_handler_arg = told};
    return whorl_run(body, told, &options);
}

static int end_with_eio(void *arg)
{
    (void)arg;
    return -EIO;
}

static int succeed(void *arg)
{
    return whorl_return(arg);
}

static int sit_for_ever(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static void wait_until_done(struct whorl_task *task)
{
    while (!whorl_task_done(task)) {
        must(whorl_yield());
    }
}

static struct whorl_task *start_and_let_fail(void)
{
    struct whorl_task *const task = start(end_with_eio, NULL);
    wait_until_done(task);
    return task;
}

static struct whorl_future *failed_future(void)
{
    struct whorl_future *const future = new_future();
    must(whorl_future_set_error(future, -EIO));
    return future;
}

static int none(void *arg)
{
    (void)arg;
    return 0;
}

/* Plays body; says how many reports came. */
static int count_reports(int loops, whorl_body *body)
{
    struct told told = {0};
    assert_int_equal(run_telling(loops, body, &told), 0);
    return told.reports;
}

/* ---- futures ---- */

static int drop_failed_future(void *arg)
{
    struct told *const told = arg;
    whorl_future_unref(failed_future());
    return told->reports == 1 ? 0 : -EPROTO; /* at once */
}

static int drop_others(void *arg)
{
    struct told *const told = arg;
    struct whorl_future *const good = new_future();
    struct whorl_future *const cancelled = new_future();
    must(whorl_future_set_result(good, told));
    must(whorl_future_cancel(cancelled, NULL) ? 0 : -EPROTO);
    whorl_future_unref(good);
    whorl_future_unref(cancelled);
    return 0;
}

static int drop_failed_by_hand(void *arg)
{
    (void)arg;
    struct whorl_future *const future = new_future();
    must(whorl_future_set_error(future, -ECANCELED)); /* a failure, not a cancel: FUT-24 */
    whorl_future_unref(future);
    return 0;
}

static void test_fut_14_error_nobody_looked_at_is_reported_with_the_last_reference(void **state)
{
    /* Once, with the error and the future; a value, or a cancel, nobody looked at is not. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct told told = {0};
        assert_int_equal(run_telling(loops, drop_failed_future, &told), 0);
        assert_int_equal(told.reports, 1);
        assert_int_equal(told.error, -EIO);
        assert_true(told.of_future);
        assert_false(told.of_task);
        assert_int_equal(count_reports(loops, drop_others), 0);
        assert_int_equal(count_reports(loops, drop_failed_by_hand), 1);
    }
}

static int look_in_every_way(void *arg)
{
    struct whorl_future *const futures[] = {failed_future(), failed_future(), failed_future(),
                                            failed_future()};
    (void)arg;
    must(whorl_future_result(futures[0], NULL) == -EIO ? 0 : -EPROTO);
    must(whorl_future_await(futures[1], NULL) == -EIO ? 0 : -EPROTO);
    must(whorl_future_join(futures[2], whorl_after(0), NULL) == -EIO ? 0 : -EPROTO);
    must(whorl_future_wait_for(futures[3], WHORL_SECOND, NULL) == -EIO ? 0 : -EPROTO);
    for (int i = 0; i < 4; i++) {
        whorl_future_unref(futures[i]);
    }
    return 0;
}

/* It waits while the future fails: what it is woken with is a look, too. */
static int await_gate(void *arg)
{
    struct whorl_future *const gate = arg;
    const int error = whorl_future_await(gate, NULL);
    whorl_future_unref(gate);
    return error == -EIO ? 0 : -EPROTO;
}

static int fail_while_it_waits(void *arg)
{
    (void)arg;
    struct whorl_future *const gate = new_future();
    struct whorl_task *const task = start(await_gate, whorl_future_ref(gate));
    settle();
    must(whorl_future_set_error(gate, -EIO));
    whorl_future_unref(gate);
    return finish(task);
}

static int look_only_whether_it_is_done(void *arg)
{
    (void)arg;
    struct whorl_future *const future = failed_future();
    must(whorl_future_done(future) && !whorl_future_cancelled(future) ? 0 : -EPROTO);
    whorl_future_unref(future);
    return 0;
}

static void test_fut_15_one_look_at_the_error_silences_the_report(void **state)
{
    /* By result, await, join or wait_for; to ask whether it is done is none. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, look_in_every_way), 0);
        assert_int_equal(count_reports(loops, fail_while_it_waits), 0);
        assert_int_equal(count_reports(loops, look_only_whether_it_is_done), 1);
    }
}

static int cancel_failed_future(void *arg)
{
    (void)arg;
    struct whorl_future *const future = failed_future();
    must(whorl_future_cancel(future, NULL) ? -EPROTO : 0);
    whorl_future_unref(future);
    return 0;
}

static void test_fut_16_cancel_of_a_failed_future_says_false_and_silences(void **state)
{
    /* Who cancels it does not care how it ends. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, cancel_failed_future), 0);
    }
}

/* ---- tasks ---- */

static int leave_failing_task(void *arg)
{
    (void)arg;
    const struct whorl_attr attr = {.name = "unloved"};
    must(whorl_spawn(end_with_eio, NULL, &attr, NULL));
    settle();
    return 0;
}

static int drop_failed_task(void *arg)
{
    struct told *const told = arg;
    struct whorl_task *const task = start_and_let_fail();
    whorl_task_set_name(task, "unloved");
    settle();
    const bool early = told->reports != 0; /* somebody may still look */
    whorl_task_unref(task);
    return early ? -EPROTO : 0;
}

static void test_task_11_failed_task_nobody_looked_at_is_reported_with_its_name(void **state)
{
    /* When it ends, if nobody has a handle; when the last handle goes, otherwise. */
    whorl_body *const bodies[] = {leave_failing_task, drop_failed_task};
    (void)state;
    FOR_LOOPS(loops)
    {
        for (int i = 0; i < 2; i++) {
            struct told told = {0};
            assert_int_equal(run_telling(loops, bodies[i], &told), 0);
            assert_int_equal(told.reports, 1);
            assert_int_equal(told.error, -EIO);
            assert_true(told.of_task);
            assert_string_equal(told.name, "unloved");
        }
    }
}

static int gather_failing(void *arg)
{
    (void)arg;
    struct whorl_task *tasks[2] = {start(end_with_eio, NULL), start(end_with_eio, NULL)};
    must(whorl_gather(tasks, 2, 0, NULL) == -EIO ? 0 : -EPROTO);
    whorl_task_unref(tasks[0]);
    whorl_task_unref(tasks[1]);
    settle(); /* the second fails when the gather is over */
    return 0;
}

static int group_failing(void *arg)
{
    struct whorl_group group;
    (void)arg;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, end_with_eio, NULL, NULL, NULL));
    must(whorl_group_end(&group, 0, NULL) == -EIO ? 0 : -EPROTO);
    return 0;
}

static int await_failing(void *arg)
{
    (void)arg;
    return finish(start(end_with_eio, NULL)) == -EIO ? 0 : -EPROTO;
}

static int leave_good_task(void *arg)
{
    must(whorl_spawn(succeed, arg, NULL, NULL));
    settle();
    return 0;
}

static void test_task_11_task_that_was_looked_at_is_not_reported(void **state)
{
    /* Awaited, gathered, in a group; nor is one that ended well. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, await_failing), 0);
        assert_int_equal(count_reports(loops, gather_failing), 0);
        assert_int_equal(count_reports(loops, group_failing), 0);
        assert_int_equal(count_reports(loops, leave_good_task), 0);
    }
}

static int cancel_failed_task(void *arg)
{
    (void)arg;
    struct whorl_task *const task = start_and_let_fail();
    must(whorl_cancel(task, NULL) ? -EPROTO : 0);
    whorl_task_unref(task);
    return 0;
}

static int cancel_then_fail(void *arg)
{
    (void)arg;
    struct whorl_task *const task = start_here(end_with_eio, NULL);
    whorl_task_unref(task); /* nobody cancels it: it fails, and is reported */
    settle();
    return 0;
}

static void test_canc_28_cancel_of_a_failed_task_silences_its_report(void **state)
{
    /* And without that cancel it is reported. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, cancel_failed_task), 0);
        assert_int_equal(count_reports(loops, cancel_then_fail), 1);
    }
}

/* ---- CTX-7: in the context of what failed ---- */

static char red, green;
static const struct whorl_local colour;

struct seen {
    void *inside;
    int reports;
};

static int see_colour(void *arg, const struct whorl_report *report)
{
    struct seen *const seen = arg;
    (void)report;
    seen->inside = whorl_local_get(&colour);
    seen->reports++;
    return whorl_local_set(&colour, seen, NULL); /* seen by nobody else */
}

static int fail_in_green(void *arg)
{
    (void)arg;
    must(whorl_local_set(&colour, &green, NULL));
    return -EIO;
}

/* The failed task's last reference is given back in red. */
static int drop_in_red(void *arg)
{
    (void)arg;
    struct whorl_task *const task = start(fail_in_green, NULL);
    must(whorl_local_set(&colour, &red, NULL));
    wait_until_done(task);
    settle();
    whorl_task_unref(task);
    return whorl_local_get(&colour) == &red ? 0 : -EPROTO;
}

/* It has none by then: the loop lets go of the task. */
static int leave_green(void *arg)
{
    (void)arg;
    must(whorl_spawn(fail_in_green, NULL, NULL, NULL));
    settle();
    return whorl_local_get(&colour) == NULL ? 0 : -EPROTO;
}

static int report_another(void *arg)
{
    (void)arg;
    struct whorl_context *context;
    const struct whorl_report report = {.message = "by hand", .loop = -1};
    struct whorl_report about = report;
    must(whorl_local_set(&colour, &green, NULL));
    struct whorl_task *const sleeper = start(sit_for_ever, NULL); /* a copy: green */
    must(whorl_local_set(&colour, &red, NULL));
    must(whorl_task_context(sleeper, &context)); /* shared from now on */
    about.task = sleeper;
    must(whorl_exception_handler_call(&about));
    whorl_context_unref(context);
    must(whorl_cancel(sleeper, NULL) ? 0 : -EPROTO);
    must(finish(sleeper) == -ECANCELED ? 0 : -EPROTO);
    return whorl_local_get(&colour) == &red ? 0 : -EPROTO;
}

static void test_ctx_7_handler_runs_in_the_context_of_what_failed(void **state)
{
    /* Whoever lets go of it, or tells: values are the failed task's, and changes are nobody's. */
    whorl_body *const bodies[] = {drop_in_red, leave_green, report_another};
    (void)state;
    FOR_LOOPS(loops)
    {
        for (int i = 0; i < 3; i++) {
            struct seen seen = {0};
            const struct whorl_options options = {.loops = loops,
                                                  .no_pin = 1,
                                                  .exception_handler = see_colour,
                                                  .exception_handler_arg = &seen};
            assert_int_equal(whorl_run(bodies[i], NULL, &options), 0);
            assert_int_equal(seen.reports, 1);
            assert_ptr_equal(seen.inside, &green);
        }
    }
}

/* ---- who wants no report ---- */

static int fail_quietly(void *arg)
{
    (void)arg;
    const struct whorl_attr attr = {.flags = WHORL_QUIET};
    must(whorl_spawn(end_with_eio, NULL, &attr, NULL));
    settle();
    return 0;
}

static int detach_all(void *arg)
{
    (void)arg;
    whorl_task_detach(start_and_let_fail());
    whorl_task_detach(start_here(end_with_eio, NULL)); /* it fails later */
    whorl_task_detach(NULL);
    settle();
    return 0;
}

static void test_dbg_12_quiet_and_detached_tasks_fail_unreported(void **state)
{
    /* By a flag of the spawn, or by who has the handle: before the failure or after. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, fail_quietly), 0);
        assert_int_equal(count_reports(loops, detach_all), 0);
    }
}

/* ---- who is told ---- */

static void test_handler_may_keep_the_task_it_is_told_of(void **state)
{
    /* With its error, after the run; and giving it back is not told again. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct told told = {.keeps = true};
        assert_int_equal(run_telling(loops, leave_failing_task, &told), 0);
        assert_int_equal(told.reports, 1);
        assert_non_null(told.kept);
        assert_int_equal(whorl_task_result(told.kept, NULL), -EIO);
        whorl_task_unref(told.kept);
        assert_int_equal(told.reports, 1);
    }
}

static void *drop_on_thread(void *arg)
{
    whorl_task_unref(arg);
    return NULL;
}

static int drop_elsewhere(void *arg)
{
    (void)arg;
    pthread_t thread;
    struct whorl_task *const task = start_and_let_fail();
    settle(); /* the runtime's own reference has gone, or is about to */
    must(-pthread_create(&thread, NULL, drop_on_thread, task));
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    return 0;
}

static void test_last_reference_given_back_by_a_thread_tells_the_runtime(void **state)
{
    /* As long as it runs. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, drop_elsewhere), 1);
    }
}

static int hand_out_failed(void *arg)
{
    struct told *const told = arg;
    told->arg = start_and_let_fail();
    whorl_task_set_name(told->arg, "leftover");
    return 0;
}

/* What release(arg) writes to standard error. */
static void catch_stderr(void (*release)(void *arg), void *arg, char *ret_text, size_t bytes)
{
    const int held = dup(STDERR_FILENO);
    const int file = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(held >= 0 && file >= 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    release(arg);
    fflush(stderr);
    assert_int_equal(dup2(held, STDERR_FILENO), STDERR_FILENO);
    const ssize_t count = pread(file, ret_text, bytes - 1, 0);
    assert_true(count >= 0);
    ret_text[count] = '\0';
    close(held);
    close(file);
}

static void release_task(void *arg)
{
    whorl_task_unref(arg);
}

static void release_future(void *arg)
{
    whorl_future_unref(arg);
}

static void test_after_the_run_standard_error_is_told(void **state)
{
    /* Handler and log of a runtime that has ended are not called any more. */
    char text[1024];
    (void)state;
    FOR_LOOPS(loops)
    {
        struct told told = {0};
        assert_int_equal(run_telling(loops, hand_out_failed, &told), 0);
        assert_int_equal(told.reports, 0);
        catch_stderr(release_task, told.arg, text, sizeof text);
        assert_int_equal(told.reports, 0);
        assert_non_null(strstr(text, "a task has failed"));
        assert_non_null(strstr(text, "leftover"));
        assert_non_null(strstr(text, "EIO"));
    }
    catch_stderr(release_future, failed_future(), text, sizeof text);
    assert_non_null(strstr(text, "a future has failed"));
    assert_int_equal(count_reports(1, none), 0);
}

/* ---- behind a gather, behind shields ---- */

static void test_gath_3_errors_after_the_first_are_not_reported(void **state)
{
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(count_reports(loops, gather_failing), 0);
    }
}

/* Two shields, both cancelled, of one future that then fails. */
static int fail_behind_shields(void *arg)
{
    struct told *const told = arg;
    struct whorl_future *const inner = new_future();
    for (int i = 0; i < 2; i++) {
        struct whorl_future *shield;
        must(whorl_shield(inner, &shield));
        must(whorl_future_cancel(shield, NULL) ? 0 : -EPROTO);
        whorl_future_unref(shield);
    }
    must(whorl_future_set_error(inner, -EIO));
    settle();
    whorl_future_unref(inner);
    return told->error;
}

static int succeed_behind_shield(void *arg)
{
    struct whorl_future *const inner = new_future();
    struct whorl_future *shield;
    must(whorl_shield(inner, &shield));
    must(whorl_future_cancel(shield, NULL) ? 0 : -EPROTO);
    must(whorl_future_set_result(inner, arg));
    whorl_future_unref(shield);
    whorl_future_unref(inner);
    return 0;
}

/* The shield has the error, and somebody looks there. */
static int fail_through_shield(void *arg)
{
    (void)arg;
    struct whorl_future *const inner = new_future();
    struct whorl_future *shield;
    must(whorl_shield(inner, &shield));
    must(whorl_future_set_error(inner, -EIO));
    must(whorl_future_await(shield, NULL) == -EIO ? 0 : -EPROTO);
    whorl_future_unref(shield);
    whorl_future_unref(inner);
    return 0;
}

static void test_shld_5_error_behind_a_cancelled_shield_is_reported_once(void **state)
{
    (void)state;
    FOR_LOOPS(loops)
    {
        struct told told = {0};
        assert_int_equal(run_telling(loops, fail_behind_shields, &told), -EIO);
        assert_int_equal(told.reports, 1);
        assert_true(told.of_future);
        assert_int_equal(count_reports(loops, succeed_behind_shield), 0);
        assert_int_equal(count_reports(loops, fail_through_shield), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fut_14_error_nobody_looked_at_is_reported_with_the_last_reference),
        cmocka_unit_test(test_fut_15_one_look_at_the_error_silences_the_report),
        cmocka_unit_test(test_fut_16_cancel_of_a_failed_future_says_false_and_silences),
        cmocka_unit_test(test_task_11_failed_task_nobody_looked_at_is_reported_with_its_name),
        cmocka_unit_test(test_task_11_task_that_was_looked_at_is_not_reported),
        cmocka_unit_test(test_canc_28_cancel_of_a_failed_task_silences_its_report),
        cmocka_unit_test(test_dbg_12_quiet_and_detached_tasks_fail_unreported),
        cmocka_unit_test(test_ctx_7_handler_runs_in_the_context_of_what_failed),
        cmocka_unit_test(test_handler_may_keep_the_task_it_is_told_of),
        cmocka_unit_test(test_last_reference_given_back_by_a_thread_tells_the_runtime),
        cmocka_unit_test(test_after_the_run_standard_error_is_told),
        cmocka_unit_test(test_gath_3_errors_after_the_first_are_not_reported),
        cmocka_unit_test(test_shld_5_error_behind_a_cancelled_shield_is_reported_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
