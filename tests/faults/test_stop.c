/*
 * test_stop.c - every call that the end of a runtime makes fails in turn, and every call of the
 * clean-up of tasks that it cancels: whorl_run returns all the same, with what the body returned,
 * and leaves nothing behind. The phase is from the main body's return to that of whorl_run.
 *
 * label: medium
 */
#include "programs.h"
#include "support/net.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LEFT_PROGRAM(name)                                                                         \
    static int name##_left(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        leave_cast(&name##_cast);                                                                  \
        return 0;                                                                                  \
    }

LEFT_PROGRAM(tcp)
LEFT_PROGRAM(unix)
LEFT_PROGRAM(pipe)
LEFT_PROGRAM(moved)

static int nothing_left(void *arg)
{
    (void)arg;
    return 0;
}

static void test_stop_with_every_failure_ends_all_the_same(void **state)
{
    /* Tasks that live get their cancel, and clean up by calls that fail. */
    static const struct trial trials[] = {
        {.name = "nothing-1", .body = nothing_left, .loops = 1},
        {.name = "nothing-3", .body = nothing_left, .loops = 3},
        {.name = "tcp-1", .body = tcp_left, .loops = 1, .system = FAULTS_SLOW_CONNECT},
        {.name = "tcp-2", .body = tcp_left, .loops = 2},
        {.name = "unix-1", .body = unix_left, .loops = 1},
        {.name = "pipe-2", .body = pipe_left, .loops = 2, .mode = WHORL_MODE_ISOLATED},
        {.name = "moved-2", .body = moved_left, .loops = 2},
    };
    (void)state;
    trial_sweep(trials, sizeof trials / sizeof trials[0], FAULTS_STOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_with_every_failure_ends_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
