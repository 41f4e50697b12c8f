/*
 * test_service.c - every call that whorl makes in service fails in turn, under programs that use
 * all of its calls: the error reaches the task that made the call, everybody else goes on, and no
 * byte is lost. The phase is the body of the main task.
 *
 * label: medium
 */
#include "programs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CAST_PROGRAM(name)                                                                         \
    static int name##_program(void *arg)                                                           \
    {                                                                                              \
        (void)arg;                                                                                 \
        play_cast(&name##_cast);                                                                   \
        return 0;                                                                                  \
    }

CAST_PROGRAM(tcp)
CAST_PROGRAM(unix)
CAST_PROGRAM(pipe)
CAST_PROGRAM(moved)

static void test_service_with_every_failure_tells_the_one_concerned(void **state)
{
    /* In asyncio's order and with stealing; the two differ in who makes which call. */
    static const struct trial trials[] = {
        {.name = "tcp-1", .body = tcp_program, .loops = 1},
        {.name = "tcp-3", .body = tcp_program, .loops = 3, .system = FAULTS_SLOW_CONNECT},
        {.name = "unix-1", .body = unix_program, .loops = 1},
        {.name = "unix-2", .body = unix_program, .loops = 2},
        {.name = "pipe-1", .body = pipe_program, .loops = 1},
        {.name = "pipe-2", .body = pipe_program, .loops = 2, .mode = WHORL_MODE_ISOLATED},
        {.name = "moved-2", .body = moved_program, .loops = 2},
        {.name = "timers-1", .body = timers_program, .loops = 1},
        {.name = "timers-2", .body = timers_program, .loops = 2},
        {.name = "futures-1", .body = futures_program, .loops = 1},
        {.name = "futures-3", .body = futures_program, .loops = 3},
        {.name = "threads-1", .body = threads_program, .loops = 1},
        {.name = "threads-2", .body = threads_program, .loops = 2},
        {.name = "crowd-1", .body = crowd_program, .loops = 1},
        {.name = "crowd-2", .body = crowd_program, .loops = 2, .system = FAULTS_OLD_KERNEL},
        {.name = "sync-1", .body = sync_program, .loops = 1},
        {.name = "sync-2", .body = sync_program, .loops = 2},
        {.name = "stuck-2", .body = stuck_program, .loops = 2, .names_culprits = true},
    };
    (void)state;
    trial_sweep(trials, sizeof trials / sizeof trials[0], FAULTS_SERVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_with_every_failure_tells_the_one_concerned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
