/*
 * Debug mode: rows DBG-4 to DBG-8 and RUN-17 of asyncio's semantics; and locks of the program that
 * are held over a wait.
 */
#include "support/logbook.h"
#include "support/mark.h"
#include "support/play.h"

#include <pthread.h>
#include <time.h>

/* ---- a runtime with its log ---- */

enum { ENVIRONMENT = 0, ON = 1, OFF = -1 };

static int run_debug(int loops, int debug, struct logbook *log, whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = loops,
                                          .no_pin = 1,
                                          .debug = debug,
                                          .report_ns = 20 * WHORL_MILLISECOND,
                                          .log = logbook_write,
                                          .log_arg = log};
    return whorl_run(body, arg, &options);
}

/* ---- on and off ---- */

static int ask(void *arg)
{
    (void)arg;
    return whorl_debug_get();
}

/* Whether a runtime is in debug mode that was started so, at one loop and at several; -1: it
 * depends on how many. */
static int is_on(int debug)
{
    struct logbook log = {.lines = 0};
    const int at_one = run_debug(1, debug, &log, ask, NULL);
    for (int loops = 2; loops <= LOOPS_MOST; loops *= 2) {
        if (run_debug(loops, debug, &log, ask, NULL) != at_one) {
            return -1;
        }
    }
    return at_one;
}

static void test_dbg_4_off_by_default_on_by_option_and_environment(void **state)
{
    (void)state;
    unsetenv("WHORL_DEBUG");
    assert_int_equal(is_on(ENVIRONMENT), 0);
    assert_int_equal(is_on(ON), 1);
    static const char *const words[] = {"", "0", "1", "yes"};
    for (int i = 0; i < 4; i++) {
        setenv("WHORL_DEBUG", words[i], 1);
        assert_int_equal(is_on(ENVIRONMENT), i >= 2);
    }
    unsetenv("WHORL_DEBUG");
}

static void test_run_17_option_goes_before_the_environment(void **state)
{
    (void)state;
    setenv("WHORL_DEBUG", "1", 1);
    assert_int_equal(is_on(OFF), 0);
    assert_int_equal(is_on(ON), 1);
    setenv("WHORL_DEBUG", "0", 1);
    assert_int_equal(is_on(ON), 1);
    unsetenv("WHORL_DEBUG");
    struct logbook log = {.lines = 0};
    assert_int_equal(run_debug(1, 2, &log, ask, NULL), -EINVAL);
    assert_int_equal(run_debug(1, -2, &log, ask, NULL), -EINVAL);
}

static int switch_over(void *arg)
{
    int *const seen = arg;
    must(whorl_debug_set(7));
    seen[0] = whorl_debug_get();
    must(whorl_debug_set(0));
    seen[1] = whorl_debug_get();
    return 0;
}

static void test_dbg_4_is_switched_by_a_call(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct logbook log = {.lines = 0};
        int seen[] = {UNSET, UNSET};
        assert_int_equal(run_debug(loops, OFF, &log, switch_over, seen), 0);
        assert_int_equal(seen[0], 1);
        assert_int_equal(seen[1], 0);
    }
    assert_int_equal(whorl_debug_set(1), -EPERM);
    assert_int_equal(whorl_debug_get(), -EPERM);
}

/* ---- steps that take too long ---- */

/* By blocking the thread: under valgrind one that spins keeps the monitor from running. */
static bool log_grows_to(struct logbook *log, const char *words, unsigned count)
{
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (logbook_count(log, words) < count) {
        if (whorl_now() >= end_ns) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = WHORL_MILLISECOND}, NULL);
    }
    return true;
}

/* Holds its loop until it was told of, twice. It has the name only meanwhile: on a busy machine
 * another step of it may take long, too. */
static int hold_twice(void *arg)
{
    struct logbook *const log = arg;
    bool told = true;
    for (unsigned times = 1; times <= 2; times++) {
        whorl_task_set_name(whorl_task_current(), "slow");
        told &= log_grows_to(log, "task \"slow\" has held loop ", times);
        must(whorl_yield());
        whorl_task_set_name(whorl_task_current(), "quick");
    }
    return told ? 0 : -EPROTO;
}

static void test_dbg_5_each_slow_step_is_told_with_name_time_and_stack(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct logbook log = {.lines = 0};
        assert_int_equal(run_debug(loops, ON, &log, hold_twice, &log), 0);
        assert_int_equal(logbook_count(&log, "task \"slow\" has left loop "), 2);
        const char *const held = strstr(log.text, " has held loop ");
        assert_non_null(held);
        int loop = UNSET;
        int ms = UNSET;
        assert_int_equal(sscanf(held, " has held loop %d for %d ms", &loop, &ms), 2);
        assert_in_range(loop, 0, loops - 1);
        assert_in_range(ms, 20, 1000 * 1000);
        assert_non_null(strstr(held, "Its stack"));
    }
}

struct slow_call {
    struct logbook log;
    uint32_t ran; /* A */
};

static void hold_in_a_call(void *arg)
{
    struct slow_call *const call = arg;
    if (log_grows_to(&call->log, "has held loop ", 1)) {
        mark(&call->ran);
    }
}

static int make_slow_call(void *arg)
{
    struct slow_call *const call = arg;
    must(whorl_call_soon(hold_in_a_call, call, NULL, NULL));
    return yield_until(&call->ran, 1) ? 0 : -EPROTO;
}

static void test_dbg_5_slow_callback_is_told_with_its_function_and_time(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct slow_call call = {.ran = 0};
        assert_int_equal(run_debug(loops, ON, &call.log, make_slow_call, &call), 0);
        assert_int_equal(logbook_count(&call.log, "has held loop "), 1);
        const char *const told = strstr(call.log.text, "callback \"");
        assert_non_null(told);
        char address[32];
        snprintf(address, sizeof address, "[%p]", (void *)(uintptr_t)hold_in_a_call);
        assert_non_null(strstr(told, address)); /* as backtrace_symbols writes it */
        assert_non_null(strstr(told, " ms, "));
    }
}

enum { STEPS = 3 };

/* Longer than report_ns by little: who only looks now and then would miss it. */
static void hold_for_little(void)
{
    const struct timespec length = {.tv_nsec = 21 * WHORL_MILLISECOND};
    nanosleep(&length, NULL);
}

static void hold_a_little_in_a_call(void *arg)
{
    hold_for_little();
    mark(arg);
}

static void hold_a_little_when_done(struct whorl_future *future, void *arg)
{
    (void)future;
    hold_for_little();
    mark(arg);
}

static int hold_a_little(void *arg)
{
    uint32_t *const ran = arg;
    struct whorl_future *future;
    for (int i = 0; i < STEPS; i++) {
        whorl_task_set_name(whorl_task_current(), "slow");
        hold_for_little();
        must(whorl_yield());
        whorl_task_set_name(whorl_task_current(), "quick");
    }
    must(whorl_future_new(&future));
    must(whorl_future_set_result(future, NULL));
    must(whorl_call_soon(hold_a_little_in_a_call, ran, NULL, NULL));
    must(whorl_future_add_done_callback(future, hold_a_little_when_done, ran));
    whorl_future_unref(future);
    return yield_until(ran, 2) ? 0 : -EPROTO;
}

static bool names_function(const struct logbook *log, void *function)
{
    char address[32];
    snprintf(address, sizeof address, "[%p]\" has left loop ", function);
    return strstr(log->text, address) != NULL;
}

static void run_without_monitor(int loops, int debug, struct logbook *log)
{
    uint32_t ran = 0;
    const struct whorl_options options = {.loops = loops,
                                          .no_pin = 1,
                                          .debug = debug,
                                          .report_ns = 20 * WHORL_MILLISECOND,
                                          .stall_ns = WHORL_NEVER,
                                          .log = logbook_write,
                                          .log_arg = log};
    assert_int_equal(whorl_run(hold_a_little, &ran, &options), 0);
}

static void test_dbg_5_step_that_is_hardly_too_long_is_told_each_time(void **state)
{
    /* Also without the monitor, which may see nothing of it: the loop itself takes the time. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct logbook log = {.lines = 0};
        int loop = UNSET;
        int ms = UNSET;
        run_without_monitor(loops, ON, &log);
        assert_int_equal(logbook_count(&log, "task \"slow\" has left loop "), STEPS);
        const char *const left = strstr(log.text, " has left loop ");
        assert_int_equal(sscanf(left, " has left loop %d after %d ms", &loop, &ms), 2);
        assert_in_range(loop, 0, loops - 1);
        assert_in_range(ms, 20, 1000 * 1000);
        assert_int_equal(logbook_count(&log, "callback \""), 2);
        assert_true(names_function(&log, (void *)(uintptr_t)hold_a_little_in_a_call));
        assert_true(names_function(&log, (void *)(uintptr_t)hold_a_little_when_done));
    }
}

static void test_dbg_5_nothing_is_timed_without_debug_mode(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct logbook log = {.lines = 0};
        run_without_monitor(loops, OFF, &log);
        assert_int_equal(log.lines, 0);
    }
}

/* ---- calls that are bound to a loop ---- */

static void *call_from_thread(void *arg)
{
    int *const refused = arg;
    struct whorl_timeout timeout;
    struct whorl_group group;
    refused[0] = whorl_yield();
    refused[1] = whorl_sleep(1);
    refused[2] = whorl_timeout_enter(&timeout, whorl_after(1));
    refused[3] = whorl_group_begin(&group);
    refused[4] = whorl_return(NULL);
    refused[5] = whorl_loop_current();
    refused[6] = whorl_debug_set(1);
    refused[7] = whorl_spawn(ask, NULL, NULL, NULL);
    return NULL;
}

enum { BOUND_CALLS = 8 };

static int call_from_outside(void *arg)
{
    pthread_t thread;
    must(-pthread_create(&thread, NULL, call_from_thread, arg));
    return -pthread_join(thread, NULL);
}

static void test_dbg_6_calls_bound_to_a_loop_are_refused_elsewhere(void **state)
{
    /* In debug mode and without; on a thread that is no loop, while a runtime is there. */
    (void)state;
    for (int debug = OFF; debug <= ON; debug++) {
        struct logbook log = {.lines = 0};
        int refused[BOUND_CALLS] = {0};
        assert_int_equal(run_debug(1, debug, &log, call_from_outside, refused), 0);
        for (int i = 0; i < BOUND_CALLS; i++) {
            assert_int_equal(refused[i], -EPERM);
        }
    }
}

/* ---- where a task was made ---- */

struct notes {
    uint32_t calls; /* A */
    struct whorl_report last;
    char message[128];
    char name[64];
    char origin[512];
};

static int keep(void *arg, const struct whorl_report *report)
{
    struct notes *const notes = arg;
    notes->last = *report;
    snprintf(notes->message, sizeof notes->message, "%s", report->message);
    snprintf(notes->name, sizeof notes->name, "%s", report->task_name ? report->task_name : "");
    snprintf(notes->origin, sizeof notes->origin, "%s", report->origin ? report->origin : "");
    mark(&notes->calls);
    return 0;
}

static int run_noted(int loops, int debug, struct notes *notes, whorl_body *body, void *arg)
{
    const struct whorl_options options = {.loops = loops,
                                          .no_pin = 1,
                                          .debug = debug,
                                          .exception_handler = keep,
                                          .exception_handler_arg = notes};
    return whorl_run(body, arg, &options);
}

static int report_self(void *arg)
{
    (void)arg;
    return whorl_exception_handler_call(
        &(struct whorl_report){.message = "look", .task = whorl_task_current()});
}

struct origin {
    int count;
    void *frames[16];
    int without_room;
    int own_count; /* what the child saw of itself */
};

static int see_own_origin(void *arg)
{
    struct origin *const origin = arg;
    origin->own_count = whorl_task_origin(whorl_task_current(), NULL, 0);
    return report_self(NULL);
}

/* Not inlined, and long enough only for itself: a frame in it is known by its address. */
WHORL_NOINLINE static struct whorl_task *make_here(struct origin *origin)
{
    struct whorl_task *const task = start(see_own_origin, origin);
    __asm__ volatile("" : : "r"(task) : "memory"); /* no tail call */
    return task;
}

static int look_at_origin(void *arg)
{
    struct origin *const origin = arg;
    struct whorl_task *const task = make_here(origin);
    origin->count = whorl_task_origin(task, origin->frames, 16);
    origin->without_room = whorl_task_origin(task, NULL, 0);
    return finish(task);
}

static bool was_made_here(const struct origin *origin)
{
    const uintptr_t start_of = (uintptr_t)make_here;
    for (int i = 0; i < origin->count && i < 16; i++) {
        const uintptr_t frame = (uintptr_t)origin->frames[i];
        if (frame > start_of && frame - start_of < 1024) {
            return true;
        }
    }
    return false;
}

static void test_dbg_7_tasks_remember_where_they_were_made_and_reports_show_it(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        struct origin origin = {.count = UNSET};
        assert_int_equal(run_noted(loops, ON, &notes, look_at_origin, &origin), 0);
        assert_in_range(origin.count, 1, 16);
        assert_true(was_made_here(&origin));
        assert_int_equal(origin.without_room, origin.count);
        assert_int_equal(origin.own_count, origin.count);
        assert_int_equal(notes.calls, 1);
        assert_non_null(strstr(notes.origin, "[0x")); /* as backtrace_symbols writes them */
    }
}

static void test_dbg_7_without_debug_mode_nothing_is_known(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        struct origin origin = {.count = UNSET};
        assert_int_equal(run_noted(loops, OFF, &notes, look_at_origin, &origin), 0);
        assert_int_equal(origin.count, 0);
        assert_int_equal(notes.calls, 1);
        assert_null(notes.last.origin);
    }
}

/* ---- a task that never began ---- */

struct late {
    struct whorl_task *child;
    uint32_t freed; /* A */
    bool ran;
};

static int say_it_ran(void *arg)
{
    struct late *const late = arg;
    late->ran = true;
    return 0;
}

static void count_free(void *arg)
{
    struct late *const late = arg;
    mark(&late->freed);
}

/* It has the loop before its sibling, until the end of the runtime has asked that one to end. */
static int hold_until_asked(void *arg)
{
    struct late *const late = arg;
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (whorl_task_cancelling(late->child) == 0 && whorl_now() < end_ns) {
    }
    whorl_task_unref(late->child);
    return 0;
}

static int leave_one_behind(void *arg)
{
    struct late *const late = arg;
    const int here = 1 + whorl_loop_current();
    const struct whorl_attr first = {.pin = here};
    const struct whorl_attr second = {.name = "too late", .pin = here, .arg_free = count_free};
    must(whorl_spawn(hold_until_asked, late, &first, NULL));
    return whorl_spawn(say_it_ran, late, &second, &late->child);
}

static void test_dbg_8_task_that_never_began_is_told_of_with_its_origin(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        struct late late = {.ran = false};
        assert_int_equal(run_noted(loops, ON, &notes, leave_one_behind, &late), 0);
        assert_false(late.ran);
        assert_int_equal(late.freed, 1);
        assert_int_equal(notes.calls, 1);
        assert_string_equal(notes.name, "too late");
        assert_non_null(strstr(notes.message, "never begun"));
        assert_int_equal(notes.last.error, -ECANCELED);
        assert_non_null(strstr(notes.origin, "[0x"));
    }
}

static int cancel_before_it_begins(void *arg)
{
    struct late *const late = arg;
    struct whorl_task *const task = start_here(say_it_ran, late);
    (void)whorl_cancel(task, NULL);
    return finish(task) == -ECANCELED ? 0 : -EPROTO;
}

static void test_dbg_8_task_that_its_program_cancelled_in_time_is_not_told_of(void **state)
{
    /* Nor is anything told without debug mode. */
    (void)state;
    struct notes notes = {.calls = 0};
    struct late late = {.ran = false};
    assert_int_equal(run_noted(1, ON, &notes, cancel_before_it_begins, &late), 0);
    assert_false(late.ran);
    assert_int_equal(run_noted(1, OFF, &notes, leave_one_behind, &late), 0);
    assert_false(late.ran);
    assert_int_equal(notes.calls, 0);
}

/* ---- locks of the program ---- */

struct locks {
    struct notes *notes;
    unsigned told[5];
    int held[5];
};

static int use_no_lock(void *arg)
{
    (void)arg;
    return whorl_debug_lock_held(0);
}

static unsigned told(struct locks *locks)
{
    return level_of(&locks->notes->calls);
}

static int wait_with_locks(void *arg)
{
    struct locks *const locks = arg;
    locks->held[0] = whorl_debug_lock_held(1);
    must(whorl_sleep(1));
    locks->told[0] = told(locks);
    locks->held[1] = whorl_debug_lock_held(1);
    must(finish(start_here(use_no_lock, NULL))); /* whose count is its own */
    locks->told[1] = told(locks);
    locks->held[2] = whorl_debug_lock_held(-1);
    must(whorl_yield());
    locks->told[2] = told(locks);
    locks->held[3] = whorl_debug_lock_held(-1);
    must(whorl_sleep(1));
    must(whorl_yield());
    locks->told[3] = told(locks);
    locks->held[4] = whorl_debug_lock_held(-1);
    return 0;
}

static void test_debug_wait_with_a_lock_held_is_told_each_time(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        struct locks locks = {.notes = &notes};
        assert_int_equal(run_noted(loops, ON, &notes, wait_with_locks, &locks), 0);
        const unsigned calls[] = {1, 2, 3, 3};
        const int held[] = {1, 2, 1, 0, 0};
        for (int i = 0; i < 4; i++) {
            assert_int_equal(locks.told[i], calls[i]);
        }
        for (int i = 0; i < 5; i++) {
            assert_int_equal(locks.held[i], held[i]);
        }
        assert_string_equal(notes.name, "main");
        assert_int_equal(notes.last.error, -EDEADLK);
        assert_non_null(strstr(notes.message, "holds a lock"));
    }
}

static int give_way_once(void *arg)
{
    (void)arg;
    return whorl_yield();
}

/* In strict order who yields hands over to the next of the batch, without going by the loop. */
static int yield_to_others_with_a_lock(void *arg)
{
    struct locks *const locks = arg;
    struct whorl_task *const one = start(give_way_once, NULL);
    struct whorl_task *const two = start(give_way_once, NULL);
    must(whorl_yield());
    (void)whorl_debug_lock_held(1);
    must(whorl_yield());
    (void)whorl_debug_lock_held(-1);
    locks->told[0] = told(locks);
    must(finish(one));
    return finish(two);
}

static void test_debug_yield_to_another_task_with_a_lock_held_is_told(void **state)
{
    (void)state;
    struct notes notes = {.calls = 0};
    struct locks locks = {.notes = &notes};
    assert_int_equal(run_noted(1, ON, &notes, yield_to_others_with_a_lock, &locks), 0);
    assert_int_equal(locks.told[0], 1);
    assert_string_equal(notes.name, "main");
}

static void test_debug_locks_are_not_counted_without_debug_mode(void **state)
{
    (void)state;
    struct notes notes = {.calls = 0};
    struct locks locks = {.notes = &notes};
    assert_int_equal(run_noted(1, OFF, &notes, wait_with_locks, &locks), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(locks.held[i], 0);
    }
    assert_int_equal(notes.calls, 0);
    assert_int_equal(whorl_debug_lock_held(1), 0); /* outside tasks there is nothing to count */
    assert_int_equal(whorl_debug_lock_held(-1), 0);
}

static int end_with_a_lock(void *arg)
{
    (void)arg;
    (void)whorl_debug_lock_held(3);
    return 0;
}

static int wait_behind_it(void *arg)
{
    struct locks *const locks = arg;
    must(finish(start_here(end_with_a_lock, NULL)));
    must(finish(start_here(give_way_once, NULL))); /* the loop's next task */
    locks->told[0] = told(locks);
    locks->held[0] = whorl_debug_lock_held(1);
    (void)whorl_debug_lock_held(-1);
    return 0;
}

static void test_debug_task_that_ends_with_a_lock_blames_no_other(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct notes notes = {.calls = 0};
        struct locks locks = {.notes = &notes};
        assert_int_equal(run_noted(loops, ON, &notes, wait_behind_it, &locks), 0);
        assert_int_equal(locks.told[0], 0);
        assert_int_equal(locks.held[0], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dbg_4_off_by_default_on_by_option_and_environment),
        cmocka_unit_test(test_run_17_option_goes_before_the_environment),
        cmocka_unit_test(test_dbg_4_is_switched_by_a_call),
        cmocka_unit_test(test_dbg_5_each_slow_step_is_told_with_name_time_and_stack),
        cmocka_unit_test(test_dbg_5_step_that_is_hardly_too_long_is_told_each_time),
        cmocka_unit_test(test_dbg_5_nothing_is_timed_without_debug_mode),
        cmocka_unit_test(test_dbg_5_slow_callback_is_told_with_its_function_and_time),
        cmocka_unit_test(test_dbg_6_calls_bound_to_a_loop_are_refused_elsewhere),
        cmocka_unit_test(test_dbg_7_tasks_remember_where_they_were_made_and_reports_show_it),
        cmocka_unit_test(test_dbg_7_without_debug_mode_nothing_is_known),
        cmocka_unit_test(test_dbg_8_task_that_never_began_is_told_of_with_its_origin),
        cmocka_unit_test(test_dbg_8_task_that_its_program_cancelled_in_time_is_not_told_of),
        cmocka_unit_test(test_debug_wait_with_a_lock_held_is_told_each_time),
        cmocka_unit_test(test_debug_yield_to_another_task_with_a_lock_held_is_told),
        cmocka_unit_test(test_debug_locks_are_not_counted_without_debug_mode),
        cmocka_unit_test(test_debug_task_that_ends_with_a_lock_blames_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
