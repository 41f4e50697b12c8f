/*
 * What no call can tell its caller: the exception handler. Rows DBG-1, DBG-2, DBG-3, DBG-11 and
 * MT-24 of asyncio's semantics, and RUN-3 as far as it is told.
 */
#include "sched/sched.h"
#include "support/child.h"
#include "support/logbook.h"
#include "support/mark.h"
#include "support/play.h"

#include <pthread.h>
#include <signal.h>

/* ---- a handler that writes down what it got ---- */

struct notes {
    struct logbook log;     /* the runtime's */
    uint32_t calls;         /* A */
    uint32_t inside;        /* A: threads that are in the handler */
    uint32_t most_inside;   /* A */
    int answer;             /* what the handler returns */
    struct whorl_report last;
    char message[128];
    char name[64];
};

static int keep(void *arg, const struct whorl_report *report)
{
    struct notes *const notes = arg;
    const uint32_t inside = whorl__add_u32(&notes->inside, 1) + 1;
    if (inside > level_of(&notes->most_inside)) {
        whorl__store_release_u32(&notes->most_inside, inside); /* read when all is over */
    }
    notes->last = *report;
    snprintf(notes->message, sizeof notes->message, "%s", report->message);
    snprintf(notes->name, sizeof notes->name, "%s",
             report->task_name != NULL ? report->task_name : "");
    (void)whorl__add_u32(&notes->inside, (uint32_t)-1);
    mark(&notes->calls);
    return notes->answer;
}

static int run_with(int loops, struct notes *notes, whorl_exception_handler *handler,
                    whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = loops,
                                          .no_pin = 1,
                                          .log = logbook_write,
                                          .log_arg = &notes->log,
                                          .exception_handler = handler,
                                          .exception_handler_arg = notes};
    return whorl_run(body, arg, &options);
}

/* ---- the default ---- */

static int report_everything(void *arg)
{
    struct whorl_task *const self = whorl_task_current();
    struct whorl_future *const future = new_future();
    (void)arg;
    whorl_task_set_name(self, "reporter");
    must(whorl_exception_handler_call(&(struct whorl_report){.message = "the sky fell",
                                                             .error = -EIO,
                                                             .task = self,
                                                             .future = future,
                                                             .waits_for = "rain",
                                                             .origin = "here"}));
    whorl_future_unref(future);
    return 0;
}

static void test_dbg_1_default_logs_message_and_entries_sorted_by_key(void **state)
{
    /* Each entry that there is, a line each, in the order of their names. */
    static const char *const lines[] = {"whorl: the sky fell\n",
                                        "whorl:   error: EIO (",
                                        "whorl:   future: 0x",
                                        "whorl:   loop: ",
                                        "whorl:   origin: here\n",
                                        "whorl:   runtime: ",
                                        "whorl:   task: 0x",
                                        "whorl:   task_name: reporter\n",
                                        "whorl:   waits_for: rain\n"};
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        assert_int_equal(run_with(loops, &notes, NULL, report_everything, NULL), 0);
        const char *at = notes.log.text;
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
            at = strstr(at, lines[i]);
            assert_non_null(at);
        }
        assert_int_equal(notes.log.lines, 9);
    }
}

static int report_little(void *arg)
{
    (void)arg;
    return whorl_exception_handler_call(&(struct whorl_report){.message = "little"});
}

static void test_dbg_1_default_leaves_out_what_there_is_not(void **state)
{
    (void)state;
    struct notes notes = {.calls = 0};
    assert_int_equal(run_with(1, &notes, NULL, report_little, NULL), 0);
    assert_int_equal(notes.log.lines, 3); /* message, loop, runtime */
    assert_null(strstr(notes.log.text, "error"));
    assert_null(strstr(notes.log.text, "task"));
}

/* ---- a handler ---- */

static void test_dbg_2_handler_gets_the_report_and_the_log_nothing(void **state)
{
    /* At one loop and at several; the loop and the runtime are told, and the name of the task. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        assert_int_equal(run_with(loops, &notes, keep, report_everything, NULL), 0);
        assert_int_equal(notes.calls, 1);
        assert_string_equal(notes.message, "the sky fell");
        assert_string_equal(notes.name, "reporter");
        assert_int_equal(notes.last.error, -EIO);
        assert_in_range(notes.last.loop, 0, loops - 1);
        assert_true(notes.last.runtime != 0);
        assert_int_equal(notes.log.lines, 0);
    }
}

struct change {
    struct notes notes;
    whorl_exception_handler *seen[3];
    void *seen_arg;
};

static int change_handlers(void *arg)
{
    struct change *const change = arg;
    must(whorl_exception_handler_get(&change->seen[0], NULL));
    must(whorl_exception_handler_set(keep, &change->notes));
    must(whorl_exception_handler_get(&change->seen[1], &change->seen_arg));
    must(report_little(NULL));
    must(whorl_exception_handler_set(NULL, NULL));
    must(whorl_exception_handler_get(&change->seen[2], NULL));
    return report_little(NULL);
}

static void test_dbg_2_handler_is_set_and_none_restores_the_default(void **state)
{
    (void)state;
    struct change change = {.seen = {keep, NULL, keep}};
    assert_int_equal(run_with(1, &change.notes, NULL, change_handlers, &change), 0);
    assert_null(change.seen[0]);
    assert_ptr_equal(change.seen[1], keep);
    assert_ptr_equal(change.seen_arg, &change.notes);
    assert_null(change.seen[2]);
    assert_int_equal(change.notes.calls, 1);
    assert_int_equal(change.notes.log.lines, 3);
}

static int spoil_errno(void *arg, const struct whorl_report *report)
{
    (void)arg, (void)report;
    errno = EIO;
    return 0;
}

static int fail_unseen(void *arg)
{
    (void)arg;
    return -EPROTO;
}

/* The report comes where the last reference goes: in a call that reports nothing by itself. */
static int let_go_of_a_failure(void *arg)
{
    int *const ret_errno = arg;
    struct whorl_task *const task = start(fail_unseen, NULL);
    settle();
    errno = EDOM;
    whorl_task_unref(task);
    *ret_errno = errno;
    return 0;
}

static void test_dbg_2_handler_leaves_errno_to_the_task(void **state)
{
    (void)state;
    for (int loops = 1; loops <= 2; loops++) {
        const struct whorl_options options = {.loops = loops, .exception_handler = spoil_errno};
        int after = 0;
        assert_int_equal(whorl_run(let_go_of_a_failure, &after, &options), 0);
        assert_int_equal(after, EDOM);
    }
}

static int report_nothing(void *arg)
{
    (void)arg;
    return whorl_exception_handler_call(&(struct whorl_report){.error = -EIO});
}

static void test_dbg_2_report_without_a_message_is_einval(void **state)
{
    (void)state;
    struct notes notes = {.calls = 0};
    assert_int_equal(run_with(1, &notes, keep, report_nothing, NULL), -EINVAL);
    assert_int_equal(notes.calls, 0);
    assert_int_equal(whorl_exception_handler_default(&(struct whorl_report){.error = -EIO}),
                     -EINVAL);
}

static void test_dbg_2_outside_a_task_is_eperm(void **state)
{
    (void)state;
    whorl_exception_handler *handler = keep;
    assert_int_equal(whorl_exception_handler_set(keep, NULL), -EPERM);
    assert_int_equal(whorl_exception_handler_get(&handler, NULL), -EPERM);
    assert_ptr_equal(handler, keep);
    assert_int_equal(report_little(NULL), -EPERM);
}

/* ---- a handler that fails ---- */

static void test_dbg_3_handler_that_fails_is_told_with_the_original(void **state)
{
    /* The default tells of the failure, then of what the handler had in hand; the loop lives. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.answer = -ENOSPC};
        assert_int_equal(run_with(loops, &notes, keep, report_everything, NULL), 0);
        assert_int_equal(notes.calls, 1);
        const char *const failure = strstr(notes.log.text, "the exception handler failed");
        assert_non_null(failure);
        const char *const why = strstr(failure, "ENOSPC");
        assert_non_null(why);
        assert_non_null(strstr(why, "the sky fell"));
        assert_int_equal(logbook_count(&notes.log, "the sky fell"), 1);
    }
}

static int report_again(void *arg, const struct whorl_report *report)
{
    struct notes *const notes = arg;
    (void)keep(notes, report);
    must(whorl_exception_handler_set(NULL, NULL)); /* from now on, not for this one */
    return whorl_exception_handler_call(&(struct whorl_report){.message = "inside"});
}

static void test_dbg_3_report_inside_the_handler_goes_to_the_default(void **state)
{
    /* It is not called for what goes wrong in itself; what it sets counts from the next one on. */
    (void)state;
    struct notes notes = {.calls = 0};
    assert_int_equal(run_with(1, &notes, report_again, report_everything, NULL), 0);
    assert_int_equal(notes.calls, 1);
    assert_int_equal(logbook_count(&notes.log, "whorl: inside"), 1);
    assert_int_equal(logbook_count(&notes.log, "the sky fell"), 0);
}

static int pass_to_default(void *arg, const struct whorl_report *report)
{
    (void)keep(arg, report);
    return whorl_exception_handler_default(report);
}

static void test_dbg_2_handler_may_pass_a_report_to_the_default(void **state)
{
    (void)state;
    struct notes notes = {.calls = 0};
    assert_int_equal(run_with(1, &notes, pass_to_default, report_everything, NULL), 0);
    assert_int_equal(notes.calls, 1);
    assert_int_equal(logbook_count(&notes.log, "the sky fell"), 1);
    assert_int_equal(notes.log.lines, 9);
}

/* ---- several loops at once ---- */

enum { REPORTERS = 8, REPORTS = 40 };

static int report_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < REPORTS; i++) {
        must(report_little(NULL));
        must(whorl_yield());
    }
    return 0;
}

static int report_from_all(void *arg)
{
    struct whorl_task *tasks[REPORTERS];
    for (int i = 0; i < REPORTERS; i++) {
        tasks[i] = start(report_often, arg);
    }
    for (int i = 0; i < REPORTERS; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_24_handler_is_called_by_one_loop_at_a_time(void **state)
{
    /* None is lost, and no two are in it at once. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        assert_int_equal(run_with(loops, &notes, keep, report_from_all, NULL), 0);
        assert_int_equal(notes.calls, REPORTERS * REPORTS);
        assert_int_equal(notes.most_inside, 1);
    }
}

/* ---- the end ---- */

static int answer_with_an_error(void *arg)
{
    (void)arg;
    (void)wait_for_ever();
    return -EIO;
}

static int answer_cancelled(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static int leave_two(void *arg)
{
    (void)arg;
    const struct whorl_attr failing = {.name = "failing"};
    must(whorl_spawn(answer_with_an_error, NULL, &failing, NULL));
    must(whorl_spawn(answer_cancelled, NULL, NULL, NULL));
    for (int i = 0; i < 50; i++) {
        must(whorl_yield());
    }
    return -EPIPE;
}

static void test_run_3_leftover_that_answers_with_an_error_is_reported(void **state)
{
    /* Reported, not raised: the result is main's. One that ends cancelled is not worth a word. */
    (void)state;
    struct notes notes = {.calls = 0};
    assert_int_equal(run_with(1, &notes, keep, leave_two, NULL), -EPIPE);
    assert_int_equal(notes.calls, 1);
    assert_string_equal(notes.name, "failing");
    assert_int_equal(notes.last.error, -EIO);
    assert_non_null(strstr(notes.message, "end of the runtime"));
}

/* ---- from outside a task ---- */

static int need_no_task(void *arg, const struct whorl_report *report)
{
    struct notes *const notes = arg;
    (void)keep(notes, report);
    return whorl_task_current() == NULL ? whorl_exception_handler_default(report) : -EPROTO;
}

static void *report_from_thread(void *runtime)
{
    whorl__report(runtime, &(struct whorl_report){.message = "from a plain thread"});
    return NULL;
}

static int start_reporting_thread(void *arg)
{
    pthread_t thread;
    (void)arg;
    must(pthread_create(&thread, NULL, report_from_thread, whorl_task_current()->runtime));
    return -pthread_join(thread, NULL);
}

static void test_dbg_11_handler_needs_no_current_task(void **state)
{
    /* The report comes from a thread that is no loop; the default finds the runtime's log. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        assert_int_equal(run_with(loops, &notes, need_no_task, start_reporting_thread, NULL), 0);
        assert_int_equal(notes.calls, 1);
        assert_int_equal(notes.last.loop, -1);
        assert_int_equal(logbook_count(&notes.log, "whorl: from a plain thread"), 1);
    }
}

/* ---- what a handler may do, and may not ---- */

struct helper {
    struct notes notes;
    struct whorl_future *told;
    struct whorl_task *made;
    bool ran;
};

static int note_that_it_ran(void *arg)
{
    struct helper *const helper = arg;
    helper->ran = true;
    return 0;
}

static int use_whorl(void *arg, const struct whorl_report *report)
{
    struct helper *const helper = arg;
    (void)keep(&helper->notes, report);
    must(whorl_spawn(note_that_it_ran, helper, NULL, &helper->made));
    return whorl_future_set_result(helper->told, NULL);
}

static int wait_for_the_handler(void *arg)
{
    const struct helper *const helper = arg;
    return whorl_future_await(helper->told, NULL);
}

static int report_and_await(void *arg)
{
    struct helper *const helper = arg;
    helper->told = new_future();
    struct whorl_task *const waiter = start(wait_for_the_handler, helper);
    settle();
    must(report_little(NULL));
    must(finish(waiter));
    must(finish(helper->made));
    whorl_future_unref(helper->told);
    return 0;
}

static void test_dbg_2_handler_may_spawn_tasks_and_wake_them(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct helper helper = {.ran = false};
        const struct whorl_options options = {.loops = loops,
                                              .no_pin = 1,
                                              .exception_handler = use_whorl,
                                              .exception_handler_arg = &helper};
        assert_int_equal(whorl_run(report_and_await, &helper, &options), 0);
        assert_int_equal(helper.notes.calls, 1);
        assert_true(helper.ran);
    }
}

static int sleep_inside(void *arg, const struct whorl_report *report)
{
    (void)arg, (void)report;
    return whorl_sleep(WHORL_MILLISECOND);
}

static int yield_inside(void *arg, const struct whorl_report *report)
{
    (void)arg, (void)report;
    return whorl_yield();
}

static int run_handler_that_waits(whorl_exception_handler *handler)
{
    const struct whorl_options options = {
        .loops = 1, .no_pin = 1, .exception_handler = handler};
    return whorl_run(report_little, NULL, &options);
}

static int wait_by_sleep(void)
{
    return run_handler_that_waits(sleep_inside);
}

static int wait_by_yield(void)
{
    return run_handler_that_waits(yield_inside);
}

static void test_mt_24_handler_that_waits_ends_the_process(void **state)
{
    /* On another thread it would give back a lock that it does not have there. */
    (void)state;
    if (!child_can_start_threads()) {
        skip();
    }
    assert_int_equal(child_run(wait_by_sleep), -SIGABRT);
    assert_int_equal(child_run(wait_by_yield), -SIGABRT);
}

/* Two threads of one runtime at a time, so that the second has to wait for the first. */
struct meeting {
    struct notes notes;
    uint32_t reporters; /* A: threads that are about to report, or have */
    uint32_t first;     /* A */
};

static int wait_for_the_other(void *arg, const struct whorl_report *report)
{
    struct meeting *const meeting = arg;
    if (whorl__add_u32(&meeting->first, 1) == 0) {
        (void)compute_until(&meeting->reporters, 2);
    }
    return keep(&meeting->notes, report);
}

static int report_in_step(void *arg)
{
    struct meeting *const meeting = arg;
    mark(&meeting->reporters);
    return report_little(NULL);
}

static int report_from_two(void *arg)
{
    struct whorl_task *tasks[2];
    for (int i = 0; i < 2; i++) {
        const struct whorl_attr attr = {.pin = i + 1};
        must(whorl_spawn(report_in_step, arg, &attr, &tasks[i]));
    }
    must(finish(tasks[0]));
    return finish(tasks[1]);
}

static void test_mt_24_second_report_waits_for_the_handler_of_the_first(void **state)
{
    (void)state;
    struct meeting meeting = {.reporters = 0};
    const struct whorl_options options = {.loops = 2,
                                          .no_pin = 1,
                                          .exception_handler = wait_for_the_other,
                                          .exception_handler_arg = &meeting};
    assert_int_equal(whorl_run(report_from_two, &meeting, &options), 0);
    assert_int_equal(meeting.notes.calls, 2);
    assert_int_equal(meeting.notes.most_inside, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dbg_1_default_logs_message_and_entries_sorted_by_key),
        cmocka_unit_test(test_dbg_1_default_leaves_out_what_there_is_not),
        cmocka_unit_test(test_dbg_2_handler_gets_the_report_and_the_log_nothing),
        cmocka_unit_test(test_dbg_2_handler_is_set_and_none_restores_the_default),
        cmocka_unit_test(test_dbg_2_handler_leaves_errno_to_the_task),
        cmocka_unit_test(test_dbg_2_report_without_a_message_is_einval),
        cmocka_unit_test(test_dbg_2_outside_a_task_is_eperm),
        cmocka_unit_test(test_dbg_3_handler_that_fails_is_told_with_the_original),
        cmocka_unit_test(test_dbg_3_report_inside_the_handler_goes_to_the_default),
        cmocka_unit_test(test_dbg_2_handler_may_pass_a_report_to_the_default),
        cmocka_unit_test(test_mt_24_handler_is_called_by_one_loop_at_a_time),
        cmocka_unit_test(test_run_3_leftover_that_answers_with_an_error_is_reported),
        cmocka_unit_test(test_dbg_11_handler_needs_no_current_task),
        cmocka_unit_test(test_dbg_2_handler_may_spawn_tasks_and_wake_them),
        cmocka_unit_test(test_mt_24_handler_that_waits_ends_the_process),
        cmocka_unit_test(test_mt_24_second_report_waits_for_the_handler_of_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
