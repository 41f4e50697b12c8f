/*
 * test_start.c - every call that a start makes fails in turn: whorl_run tells it and has undone
 * everything, or does without. The phase is from whorl_run to the first line of its body.
 */
#include "support/trial.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void test_start_with_every_failure_is_undone_or_does_without(void **state)
{
    /* With threads running already when the next one is refused, pollers made when the next ... */
    static const struct trial trials[] = {
        {.name = "single", .body = do_nothing, .loops = 1},
        {.name = "default", .body = do_nothing, .pinned = true},
        {.name = "isolated", .body = do_nothing, .loops = 2, .mode = WHORL_MODE_ISOLATED},
        {.name = "stealing", .body = do_nothing, .loops = 3, .mode = WHORL_MODE_STEALING},
        {.name = "old-kernel", .body = do_nothing, .loops = 2, .system = FAULTS_OLD_KERNEL},
        {.name = "no-third-thread", .body = do_nothing, .loops = 3, .system = FAULTS_TWO_THREADS},
    };
    (void)state;
    trial_sweep(trials, sizeof trials / sizeof trials[0], FAULTS_START);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_with_every_failure_is_undone_or_does_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
