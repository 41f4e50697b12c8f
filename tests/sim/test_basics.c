/*
 * test_basics.c - what whorl_sim_run itself promises: the clock, refusals, verdicts, seeds as text,
 * threads that are no loops, and that a run which fails leaves the process as it was.
 */
#include "support/play.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

static struct whorl_sim_report report;

/* Nothing is printed; the report says it all. */
static int run(uint64_t seed, struct whorl_sim_options options, whorl_body *body, void *arg)
{
    options.quiet = 1;
    options.report = &report;
    memset(&report, 0, sizeof report);
    return whorl_sim_run(seed, &options, body, arg);
}

static int run_plain(whorl_body *body, void *arg)
{
    return run(1, (struct whorl_sim_options){0}, body, arg);
}

static void assert_verdict(int result, const char *part)
{
    assert_int_equal(result, -ENOTRECOVERABLE);
    assert_true(report.failed);
    if (strstr(report.verdict, part) == NULL) {
        print_error("the verdict is: %s\n", report.verdict);
    }
    assert_non_null(strstr(report.verdict, part));
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- the clock ---- */

static int sleep_a_year(void *took_ns)
{
    const int64_t year_ns = 365 * 24 * 3600 * WHORL_SECOND;
    const int64_t start_ns = whorl_now();
    const int error = whorl_sleep(year_ns);
    *(int64_t *)took_ns = whorl_now() - start_ns - year_ns;
    return error;
}

/* Time passes only as far as somebody waits for it: a year costs as many steps as a second. */
static void test_time_11_sleep_of_a_year_ends_at_its_time_and_takes_none(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int64_t late_ns = -1;
        const struct whorl_sim_options options = {.ns_max = INT64_MAX, .runtime.loops = loops};
        tell_loops(loops);
        assert_int_equal(run(1, options, sleep_a_year, &late_ns), 0);
        assert_in_range(late_ns, 0, WHORL_MILLISECOND);
        assert_true(report.steps < 10000);
        assert_true(report.ns > 365 * 24 * 3600 * WHORL_SECOND);
    }
}

static int note_order(void *arg)
{
    struct journal *const journal = arg;
    struct whorl_task *task = start(do_nothing, NULL);
    note(journal, 'a');
    must(finish(task));
    must(whorl_sleep(WHORL_MILLISECOND));
    note(journal, 'b');
    return -ENOENT;
}

static void test_run_returns_what_the_body_returned(void **state)
{
    (void)state;
    struct journal journal = {""};
    assert_int_equal(run_plain(note_order, &journal), -ENOENT);
    assert_string_equal(journal.text, "ab");
    assert_int_equal(report.result, -ENOENT);
    assert_false(report.failed);
    assert_string_equal(report.verdict, "");
}

/* ---- refusals ---- */

static int run_inside(void *arg)
{
    int *const got = arg;
    got[0] = whorl_run(do_nothing, NULL, NULL);
    got[1] = whorl_sim_run(1, NULL, do_nothing, NULL);
    return 0;
}

static void *run_beside(void *arg)
{
    *(int *)arg = whorl_run(do_nothing, NULL, NULL);
    return NULL;
}

/* A thread of the program that knows nothing of the simulation tries a runtime of its own. */
static int run_from_a_thread(void *arg)
{
    pthread_t thread;
    must(-pthread_create(&thread, NULL, run_beside, arg));
    must(-pthread_join(thread, NULL));
    return 0;
}

static int run_in_sim_thread(void *arg)
{
    return whorl_run(do_nothing, NULL, NULL) == -EBUSY ? run_inside(arg) : 0;
}

static int start_sim_thread(void *arg)
{
    struct whorl_sim_thread *thread;
    must(whorl_sim_thread_start(run_in_sim_thread, arg, &thread));
    return whorl_sim_thread_join(thread);
}

static void test_only_one_runtime_while_a_simulation_runs(void **state)
{
    (void)state;
    int got[2] = {0, 0};
    assert_int_equal(run_plain(run_inside, got), 0);
    assert_int_equal(got[0], -EBUSY);
    assert_int_equal(got[1], -EBUSY);
    got[0] = got[1] = 0;
    assert_int_equal(run_plain(start_sim_thread, got), 0);
    assert_int_equal(got[0], -EBUSY);
    assert_int_equal(got[1], -EBUSY);
    got[0] = 0;
    assert_int_equal(run_plain(run_from_a_thread, got), 0);
    assert_int_equal(got[0], -EBUSY);
}

static int simulate_inside(void *arg)
{
    *(int *)arg = whorl_sim_run(1, NULL, do_nothing, NULL);
    return 0;
}

static void test_no_simulation_while_a_runtime_lives(void **state)
{
    (void)state;
    int got = 0;
    assert_int_equal(play(1, simulate_inside, &got), 0);
    assert_int_equal(got, -EBUSY);
    assert_int_equal(run_plain(do_nothing, NULL), 0);   /* and then it may */
    assert_int_equal(play(2, do_nothing, NULL), 0);     /* and so may a runtime */
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    struct whorl_sim_options options = {0};
    assert_int_equal(run(1, options, NULL, NULL), -EINVAL);
    options.faults[WHORL_SIM_SLOW] = 1000001;
    assert_int_equal(run(1, options, do_nothing, NULL), -EINVAL);
    options = (struct whorl_sim_options){.latency_ns = -1};
    assert_int_equal(run(1, options, do_nothing, NULL), -EINVAL);
    options = (struct whorl_sim_options){.descriptors_max = -1};
    assert_int_equal(run(1, options, do_nothing, NULL), -EINVAL);
    options = (struct whorl_sim_options){.runtime.loops = -1};
    assert_int_equal(run(1, options, do_nothing, NULL), -EINVAL); /* whorl_run's own word */
    options = (struct whorl_sim_options){.descriptors_max = 5};
    assert_int_equal(run(1, options, do_nothing, NULL), -EMFILE);
}

static void test_outside_a_simulation_its_calls_say_so(void **state)
{
    (void)state;
    int fds[2];
    struct whorl_sim_thread *thread;
    assert_int_equal(whorl_sim_random(), 0);
    assert_int_equal(whorl_sim_stall(1), -EPERM);
    assert_int_equal(whorl_sim_block(1), -EPERM);
    assert_int_equal(whorl_sim_pair(fds), -EPERM);
    assert_int_equal(whorl_sim_pipe(fds), -EPERM);
    assert_int_equal(whorl_sim_reset(3), -EPERM);
    assert_int_equal(whorl_sim_thread_start(do_nothing, NULL, &thread), -EPERM);
    whorl_sim_note("nothing");
    whorl_sim_fail("nothing"); /* returns */
}

/* ---- verdicts ---- */

static int wait_for_nobody(void *arg)
{
    struct whorl_future **const future = arg;
    must(whorl_future_new(future));
    whorl_task_set_name(whorl_task_current(), "patient");
    return whorl_future_await(*future, NULL);
}

/* Who waits, and for what, stands in the verdict; the same seed says the same. */
static void test_deadlock_is_found_and_explained(void **state)
{
    (void)state;
    struct whorl_future *future;
    assert_verdict(run_plain(wait_for_nobody, &future), "nobody can go on");
    assert_non_null(strstr(report.verdict, "\"patient\": waits for a future"));
    const uint64_t hash = report.hash;
    assert_verdict(run_plain(wait_for_nobody, &future), "nobody can go on");
    assert_int_equal(report.hash, hash);
}

static int leave_memory(void *arg)
{
    return whorl_future_new(arg);
}

static int leave_descriptor(void *arg)
{
    (void)arg;
    return whorl_tcp_listen("127.0.0.1", 0, 0, 0) >= 0 ? 0 : -EIO;
}

static void test_what_is_left_behind_is_a_failure(void **state)
{
    (void)state;
    struct whorl_future *future;
    assert_verdict(run_plain(leave_memory, &future), "memory was left behind: allocation");
    assert_verdict(run_plain(leave_descriptor, NULL), "a socket or pipe, was left open");
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    int error = 0;
    while (error == 0) {
        error = whorl_sleep(WHORL_SECOND);
    }
    return error;
}

static void test_run_without_an_end_is_ended(void **state)
{
    (void)state;
    const struct whorl_sim_options few_steps = {.steps_max = 5000, .ns_max = INT64_MAX};
    assert_verdict(run(1, few_steps, sleep_for_ever, NULL), "more than 5000 calls");
    const struct whorl_sim_options short_time = {.ns_max = WHORL_SECOND * 10};
    assert_verdict(run(1, short_time, sleep_for_ever, NULL), "have passed");
    assert_true(report.ns > WHORL_SECOND * 10);
}

static int give_up(void *arg)
{
    (void)arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    whorl_sim_fail("the books do not balance");
    abort();
}

static int give_up_below(void *arg)
{
    return finish(start(give_up, arg));
}

static void test_program_may_fail_its_run(void **state)
{
    (void)state;
    assert_verdict(run_plain(give_up_below, NULL), "the books do not balance");
    assert_int_equal(run_plain(do_nothing, NULL), 0); /* the next one is as new */
}

static void fail_in_log(void *log_arg, const char *line)
{
    if (strstr(line, "has held loop") != NULL) {
        *(int *)log_arg += 1;
        whorl_sim_fail("it was logged");
    }
}

static int compute_long(void *arg)
{
    (void)arg;
    return whorl_sim_stall(WHORL_SECOND);
}

/* The runtime logs under a lock of its own: the run is left after the log has returned. */
static void test_program_may_fail_its_run_from_the_log(void **state)
{
    (void)state;
    int logged = 0;
    const struct whorl_sim_options options = {
        .runtime = {.log = fail_in_log, .log_arg = &logged}};
    assert_verdict(run(1, options, compute_long, NULL), "it was logged");
    assert_int_equal(logged, 1);
    assert_verdict(run(2, options, compute_long, NULL), "it was logged");
}

/* ---- stalls ---- */

struct stuck {
    int64_t served_ns;
    struct whorl_stats stats;
};

static int tick(void *arg)
{
    struct stuck *const stuck = arg;
    const int64_t start_ns = whorl_now();
    must(whorl_sleep(5 * WHORL_MILLISECOND));
    stuck->served_ns = whorl_now() - start_ns;
    return 0;
}

static int compute_beside(void *arg)
{
    struct stuck *const stuck = arg;
    struct whorl_task *const task = start(tick, arg);
    must(whorl_yield());
    must(whorl_sim_stall(200 * WHORL_MILLISECOND));
    must(finish(task));
    must(whorl_stats(-1, &stuck->stats));
    return 0;
}

/* A task computes for 200 ms: the others are served meanwhile, and the monitor notes the stall. */
static void test_stall_is_noticed_and_others_are_served(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct stuck stuck = {0};
        const struct whorl_sim_options options = {.runtime.loops = 2};
        assert_int_equal(run(seed, options, compute_beside, &stuck), 0);
        assert_true(stuck.stats.stalls >= 1);
        assert_true(stuck.served_ns < 100 * WHORL_MILLISECOND);
    }
}

/* ---- threads that are no loops ---- */

struct foreign {
    struct whorl_task *near;
    struct whorl_future *future;
    int awaited;
};

static int answer(void *arg)
{
    (void)arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    return -ENOENT;
}

static int visit(void *arg)
{
    struct foreign *const foreign = arg;
    struct whorl_task *task;
    if (whorl_task_current() != NULL || whorl_spawn(answer, NULL, NULL, NULL) != -EPERM) {
        return -EINVAL;
    }
    must(whorl_spawn_remote(foreign->near, answer, NULL, NULL, &task));
    foreign->awaited = whorl_await(task, NULL);
    whorl_task_unref(task);
    must(whorl_sim_block(WHORL_MILLISECOND));
    must(whorl_future_set_result(foreign->future, foreign));
    return 7;
}

static int host(void *arg)
{
    struct foreign *const foreign = arg;
    struct whorl_sim_thread *thread;
    void *value = NULL;
    foreign->near = whorl_task_current();
    foreign->future = new_future();
    must(whorl_sim_thread_start(visit, foreign, &thread));
    must(whorl_future_await(foreign->future, &value));
    whorl_future_unref(foreign->future);
    const int result = whorl_sim_thread_join(thread);
    return value == foreign && result == 7 ? 0 : -EINVAL;
}

static void test_foreign_thread_spawns_awaits_and_completes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct foreign foreign = {0};
        const struct whorl_sim_options options = {.runtime.loops = 1 + (int)(seed % 3)};
        assert_int_equal(run(seed, options, host, &foreign), 0);
        assert_int_equal(foreign.awaited, -ENOENT);
    }
}

/* ---- memory that is older than the run, or outlives it ---- */

static int drop_older(void *arg)
{
    whorl_future_unref(arg);
    return 0;
}

static void test_future_of_before_may_be_given_back_inside(void **state)
{
    (void)state;
    assert_int_equal(run_plain(drop_older, new_future()), 0);
}

/* ---- seeds as text ---- */

static void test_seed_as_text_comes_back(void **state)
{
    (void)state;
    char text[WHORL_SIM_SEED_TEXT_MAX];
    static const uint64_t seeds[] = {0, 1, 0xdeadbeef, UINT64_MAX};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        uint64_t seed = 77;
        whorl_sim_seed_format(seeds[i], text);
        assert_int_equal(whorl_sim_seed_parse(text, &seed), 0);
        assert_int_equal(seed, seeds[i]);
    }
    assert_string_equal(text, "0.1.0-s1:0xffffffffffffffff");
}

static void test_seed_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "x",          "0x",        "-1",
                                      "12 ",       "0.1.0-s1:",  "0.1.0:5",   ":5",
                                      "0.1.0-s1:z", "0.1.0-s1 :5", "99999999999999999999",
                                      "0.1.0-s1:5:6"};
    uint64_t seed = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(whorl_sim_seed_parse(bad[i], &seed), -EINVAL);
    }
    assert_int_equal(whorl_sim_seed_parse(NULL, &seed), -EINVAL);
    assert_int_equal(seed, 77);
    assert_int_equal(whorl_sim_seed_parse("12", &seed), 0);
    assert_int_equal(seed, 12);
    assert_int_equal(whorl_sim_seed_parse("0x1f", &seed), 0);
    assert_int_equal(seed, 0x1f);
}

static void test_seed_of_another_version_is_refused(void **state)
{
    (void)state;
    uint64_t seed = 77;
    assert_int_equal(whorl_sim_seed_parse("0.1.0-s2:0x5", &seed), -ESTALE);
    assert_int_equal(whorl_sim_seed_parse("0.2.0-s1:0x5", &seed), -ESTALE);
    assert_int_equal(whorl_sim_seed_parse("1.0.0-s1:5", &seed), -ESTALE);
    assert_int_equal(seed, 77);
}

static int count_runs(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void test_environment_names_the_one_seed_to_run(void **state)
{
    (void)state;
    const struct whorl_sim_options options = {.quiet = 1, .report = &report};
    uint64_t tried = 77;
    int runs = 0;
    unsetenv("WHORL_SIM_SEED");
    assert_int_equal(whorl_sim_explore(5, 3, &options, count_runs, &runs, &tried), 0);
    assert_int_equal(tried, 3);
    assert_int_equal(runs, 3);
    setenv("WHORL_SIM_SEED", "0.1.0-s1:0x2a", 1);
    assert_int_equal(whorl_sim_explore(5, 3, &options, count_runs, &runs, &tried), 0);
    assert_int_equal(tried, 1);
    assert_int_equal(report.seed, 0x2a);
    setenv("WHORL_SIM_SEED", "0.0.9-s1:0x2a", 1);
    assert_int_equal(whorl_sim_explore(5, 3, &options, count_runs, &runs, &tried), -ESTALE);
    assert_int_equal(tried, 0);
    assert_int_equal(runs, 4);
    unsetenv("WHORL_SIM_SEED");
}

static int fail_at_seed(void *arg)
{
    (void)arg;
    return whorl_sim_random() % 8 == 0 ? -EIO : 0;
}

static void test_explore_stops_at_the_first_seed_that_fails(void **state)
{
    (void)state;
    const struct whorl_sim_options options = {.quiet = 1, .report = &report};
    uint64_t tried = 0;
    assert_int_equal(whorl_sim_explore(0, 1000, &options, fail_at_seed, NULL, &tried), -EIO);
    assert_true(tried >= 1 && tried < 1000);
    assert_int_equal(report.seed, tried - 1);
    assert_int_equal(run(report.seed, options, fail_at_seed, NULL), -EIO);
}

/* ---- the trace ---- */

/* ---- debug mode ---- */

static int wait_a_moment(void *arg)
{
    (void)arg;
    return whorl_sleep(WHORL_MICROSECOND);
}

static int hold_the_loop(void *arg)
{
    (void)arg;
    return whorl_sim_stall(2 * WHORL_SECOND);
}

/* Tasks of each kind of beginning and end, one of which is told of: it held its loop too long. */
static int begin_and_end(void *arg)
{
    const struct whorl_attr eager = {.flags = WHORL_EAGER};
    void *frame = NULL;
    (void)arg;
    struct whorl_task *const first = start(wait_a_moment, NULL);
    struct whorl_task *const second = start(hold_the_loop, NULL);
    struct whorl_task *third;
    must(whorl_spawn(wait_a_moment, NULL, &eager, &third));
    const bool known = whorl_task_origin(first, &frame, 1) > 0 && frame != NULL;
    must(whorl_yield());
    must(finish(first));
    must(finish(second));
    must(finish(third));
    return known ? 0 : -EPROTO;
}

/* A log of the program's calls into the system, where the run is examined. */
static void look_for_the_slow(void *log_arg, const char *line)
{
    (void)whorl_now();
    *(bool *)log_arg |= strstr(line, "has left loop") != NULL;
}

static void test_debug_mode_is_played_and_tells_of_a_slow_step(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        bool told = false;
        struct whorl_sim_options options = {.runtime.loops = loops};
        options.runtime.debug = 1;
        options.runtime.log = look_for_the_slow;
        options.runtime.log_arg = &told;
        tell_loops(loops);
        for (uint64_t seed = 1; seed <= 20; seed++) {
            assert_int_equal(run(seed, options, begin_and_end, NULL), 0);
        }
        assert_true(told);
    }
}

struct lines {
    unsigned count;
    unsigned notes;
};

static void count_line(void *trace_arg, const char *line)
{
    struct lines *const lines = trace_arg;
    lines->count++;
    lines->notes += strstr(line, "one two three") != NULL;
}

static int say_something(void *arg)
{
    (void)arg;
    whorl_sim_note("one two three");
    return 0;
}

static void test_trace_gets_each_event(void **state)
{
    (void)state;
    struct lines lines = {0};
    const struct whorl_sim_options options = {.trace = count_line, .trace_arg = &lines};
    assert_int_equal(run(1, options, say_something, NULL), 0);
    assert_true(lines.count >= report.steps);
    assert_int_equal(lines.notes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_11_sleep_of_a_year_ends_at_its_time_and_takes_none),
        cmocka_unit_test(test_run_returns_what_the_body_returned),
        cmocka_unit_test(test_only_one_runtime_while_a_simulation_runs),
        cmocka_unit_test(test_no_simulation_while_a_runtime_lives),
        cmocka_unit_test(test_bad_options_are_refused),
        cmocka_unit_test(test_outside_a_simulation_its_calls_say_so),
        cmocka_unit_test(test_deadlock_is_found_and_explained),
        cmocka_unit_test(test_what_is_left_behind_is_a_failure),
        cmocka_unit_test(test_run_without_an_end_is_ended),
        cmocka_unit_test(test_program_may_fail_its_run),
        cmocka_unit_test(test_program_may_fail_its_run_from_the_log),
        cmocka_unit_test(test_stall_is_noticed_and_others_are_served),
        cmocka_unit_test(test_foreign_thread_spawns_awaits_and_completes),
        cmocka_unit_test(test_future_of_before_may_be_given_back_inside),
        cmocka_unit_test(test_seed_as_text_comes_back),
        cmocka_unit_test(test_seed_that_is_none_is_refused),
        cmocka_unit_test(test_seed_of_another_version_is_refused),
        cmocka_unit_test(test_environment_names_the_one_seed_to_run),
        cmocka_unit_test(test_explore_stops_at_the_first_seed_that_fails),
        cmocka_unit_test(test_debug_mode_is_played_and_tells_of_a_slow_step),
        cmocka_unit_test(test_trace_gets_each_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
