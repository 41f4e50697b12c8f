/*
 * test_crash.c - what ends the process in a simulated run names the seed first: a fault, a check of
 * whorl's, an overflowing stack, a failed run that is to abort in its place.
 */
#include "support/child.h"
#include "support/play.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SEED      7
#define SEED_TEXT "0.1.0-s1:0x7"

static char said[1 << 16];
static FILE *stream;
static whorl_body *body_of_child;
static int abort_in_place;

/* cmocka's handlers would go on with the tests, in the child. */
static void let_signals_end_it(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        (void)signal(fatal[i], SIG_DFL);
    }
}

static int simulate(void)
{
    let_signals_end_it();
    const struct whorl_sim_options options = {.runtime.loops = 2,
                                              .abort_on_failure = abort_in_place};
    if (dup2(fileno(stream), STDERR_FILENO) < 0) {
        return CHILD_CANNOT;
    }
    return whorl_sim_run(SEED, &options, body_of_child, NULL) == 0 ? 0 : 1;
}

/* Runs it in a child, which must not end well, and keeps what it said. */
static void expect_end(whorl_body *body)
{
    stream = tmpfile();
    assert_non_null(stream);
    body_of_child = body;
    const int result = child_run(simulate);
    assert_true(result != 0 && result != CHILD_CANNOT);
    rewind(stream);
    said[fread(said, 1, sizeof said - 1, stream)] = '\0';
    fclose(stream);
}

static void expect_said(const char *part)
{
    if (strstr(said, part) == NULL) {
        print_error("it said: %s\n", said);
    }
    assert_non_null(strstr(said, part));
}

static volatile uintptr_t nowhere = 64;

static int write_nowhere(void *arg)
{
    (void)arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    *(volatile int *)nowhere = 1;
    return 0;
}

static void test_fault_names_its_seed(void **state)
{
    (void)state;
    expect_end(write_nowhere);
    expect_said("this happened in simulation " SEED_TEXT);
}

static int give_up(void *arg)
{
    (void)arg;
    whorl_sim_fail("enough is enough");
    return 0;
}

static void test_failed_run_aborts_in_its_place(void **state)
{
    (void)state;
    abort_in_place = 1;
    expect_end(give_up);
    abort_in_place = 0;
    expect_said("simulation " SEED_TEXT " failed: enough is enough");
    expect_said("repeat it with WHORL_SIM_SEED=" SEED_TEXT);
    expect_said("this happened in simulation " SEED_TEXT);
}

static void test_failed_run_prints_its_seed_and_goes_on(void **state)
{
    (void)state;
    expect_end(give_up); /* the child's own return is an error */
    expect_said("simulation " SEED_TEXT " failed: enough is enough");
    assert_null(strstr(said, "this happened in"));
}

static void *await_from_outside(void *future)
{
    (void)whorl_future_await(future, NULL);
    return NULL;
}

static int let_a_thread_in(void *arg)
{
    pthread_t thread;
    struct whorl_future *const future = new_future();
    (void)arg;
    must(-pthread_create(&thread, NULL, await_from_outside, future));
    must(-pthread_join(thread, NULL));
    return 0;
}

static void test_thread_of_the_program_is_told_what_it_may_not(void **state)
{
    (void)state;
    expect_end(let_a_thread_in);
    expect_said("a thread of the program called whorl during a simulation");
    expect_said(SEED_TEXT);
}

static unsigned dig(unsigned depth)
{
    volatile char room[4096];
    room[depth % sizeof room] = (char)depth;
    return depth == 0 ? 0 : dig(depth - 1) + (unsigned)room[depth % sizeof room];
}

static int overflow(void *arg)
{
    (void)arg;
    whorl_task_set_name(whorl_task_current(), "digger");
    return (int)dig(1000000);
}

static void test_overflowing_stack_is_told_as_ever(void **state)
{
    (void)state;
    if (CHILD_IS_SANITIZED) {
        skip(); /* it tells of the overflow itself */
    }
    expect_end(overflow);
    expect_said("stack overflow in task \"digger\"");
    expect_said(SEED_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_names_its_seed),
        cmocka_unit_test(test_failed_run_aborts_in_its_place),
        cmocka_unit_test(test_failed_run_prints_its_seed_and_goes_on),
        cmocka_unit_test(test_thread_of_the_program_is_told_what_it_may_not),
        cmocka_unit_test(test_overflowing_stack_is_told_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
