/*
 * The helpers for a program's own tests: testing.h.
 */
#include "support/play.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct log {
    int runs;
    int loops[8];
    int debug;    /* in how many of them */
    int fails_at; /* so many loops; 0: none */
    int64_t slept_ns;
};

static int look_around(void *arg)
{
    struct log *const log = arg;
    const int loops = whorl_loop_count();
    log->loops[log->runs++ % 8] = loops;
    log->debug += whorl_debug_get();
    return loops == log->fails_at ? -EXDEV : 0;
}

static void test_body_is_run_at_one_loop_and_at_four_in_debug_mode(void **state)
{
    (void)state;
    struct log log = {.runs = 0};
    assert_int_equal(whorl_test_run("look", look_around, &log), 0);
    assert_int_equal(log.runs, 2);
    assert_int_equal(log.loops[0], 1);
    assert_int_equal(log.loops[1], 4);
    assert_int_equal(log.debug, 2);
}

/* What is written to standard error meanwhile. */
static int with_output(int (*test)(struct log *log), struct log *log, char *ret_text, size_t bytes)
{
    FILE *const file = tmpfile();
    const int before = dup(STDERR_FILENO);
    assert_non_null(file);
    assert_true(before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    const int result = test(log);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    rewind(file);
    ret_text[fread(ret_text, 1, bytes - 1, file)] = '\0';
    fclose(file);
    return result;
}

static int run_look(struct log *log)
{
    return whorl_test_run("look", look_around, log);
}

static void test_first_failure_is_returned_and_told(void **state)
{
    (void)state;
    char text[1024];
    struct log log = {.fails_at = 1};
    assert_int_equal(with_output(run_look, &log, text, sizeof text), -EXDEV);
    assert_int_equal(log.runs, 1);
    assert_non_null(strstr(text, "test \"look\" failed at 1 loop: EXDEV"));
    log = (struct log){.fails_at = 4};
    assert_int_equal(with_output(run_look, &log, text, sizeof text), -EXDEV);
    assert_int_equal(log.runs, 2);
    assert_non_null(strstr(text, "test \"look\" failed at 4 loops: EXDEV"));
}

static int leave_a_failure_unseen(void *arg)
{
    struct whorl_future *const future = new_future();
    (void)arg;
    must(whorl_future_set_error(future, -EIO));
    whorl_future_unref(future);
    return 0;
}

static int run_unseen(struct log *log)
{
    return whorl_test_run("unseen", leave_a_failure_unseen, log);
}

static int play_unseen(struct log *log)
{
    return whorl_test_simulate("unseen", leave_a_failure_unseen, log, 3);
}

static void test_report_fails_it(void **state)
{
    (void)state;
    char text[4096];
    struct log log = {.runs = 0};
    assert_int_equal(with_output(run_unseen, &log, text, sizeof text), -ENOTRECOVERABLE);
    assert_non_null(strstr(text, "something was reported"));
    assert_non_null(strstr(text, "EIO")); /* the report itself */
    assert_int_equal(with_output(play_unseen, &log, text, sizeof text), -ENOTRECOVERABLE);
    assert_non_null(strstr(text, "WHORL_SIM_SEED="));
}

static int sleep_for_a_day(void *arg)
{
    struct log *const log = arg;
    const int64_t before_ns = whorl_now();
    const int error = whorl_sleep(86400 * WHORL_SECOND / 100);
    log->runs++;
    log->slept_ns = whorl_now() - before_ns;
    return error;
}

static int play_look(struct log *log)
{
    return whorl_test_simulate("look", look_around, log, 2);
}

static void test_played_body_is_in_debug_mode_too(void **state)
{
    (void)state;
    struct log log = {.runs = 0};
    assert_int_equal(play_look(&log), 0);
    assert_int_equal(log.runs, 4); /* two seeds at one loop, two at four */
    assert_int_equal(log.debug, 4);
}

static void test_played_time_costs_none(void **state)
{
    (void)state;
    struct log log = {.runs = 0};
    assert_int_equal(whorl_test_simulate("sleep", sleep_for_a_day, &log, 5), 0);
    assert_int_equal(log.runs, 10);
    assert_true(log.slept_ns >= 86400 * WHORL_SECOND / 100);
}

static void test_failure_of_a_played_run_tells_its_seed(void **state)
{
    (void)state;
    char text[4096];
    char word[WHORL_SIM_SEED_TEXT_MAX];
    uint64_t seed = 0;
    struct log log = {.fails_at = 4};
    assert_int_equal(with_output(play_look, &log, text, sizeof text), -EXDEV);
    assert_int_equal(log.runs, 3);
    const char *const told = strstr(text, "WHORL_SIM_SEED=");
    assert_non_null(told);
    assert_int_equal(sscanf(told, "WHORL_SIM_SEED=%47s", word), 1);
    assert_int_equal(whorl_sim_seed_parse(word, &seed), 0);
    assert_int_equal(seed, 1);
}

static void test_seed_of_the_environment_is_played_alone(void **state)
{
    (void)state;
    char word[WHORL_SIM_SEED_TEXT_MAX];
    struct log log = {.fails_at = 0};
    whorl_sim_seed_format(77, word);
    setenv("WHORL_SIM_SEED", word, 1);
    assert_int_equal(play_look(&log), 0);
    unsetenv("WHORL_SIM_SEED");
    assert_int_equal(log.runs, 2); /* once at one loop, once at four */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_is_run_at_one_loop_and_at_four_in_debug_mode),
        cmocka_unit_test(test_first_failure_is_returned_and_told),
        cmocka_unit_test(test_report_fails_it),
        cmocka_unit_test(test_played_body_is_in_debug_mode_too),
        cmocka_unit_test(test_played_time_costs_none),
        cmocka_unit_test(test_failure_of_a_played_run_tells_its_seed),
        cmocka_unit_test(test_seed_of_the_environment_is_played_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
