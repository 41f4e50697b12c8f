/*
 * test_release.c - after a crowd of tasks the memory of their stacks goes back to the system: while
 * nothing is left to do, and also while there is.
 */
#include "fiber/stack.h"
#include "sched/sched.h"
#include "support/play.h"

#include <errno.h>

/* More than loops and store keep warm, and few enough for gcc's TSan. */
enum { CROWD = 3500 };

static size_t count_used(void)
{
    struct whorl__stacks_info info;
    whorl__stacks_info(whorl__loop_current()->runtime->stacks, &info);
    return info.used;
}

static int sleep_long(void *arg)
{
    (void)arg;
    return whorl_sleep(WHORL_NEVER);
}

/* All of them at once, so that each has a stack; cancelled at once, too. */
static int end_crowd(void)
{
    static struct whorl_task *tasks[CROWD];
    for (int i = 0; i < CROWD; i++) {
        tasks[i] = start(sleep_long, NULL);
    }
    must(whorl_sleep(WHORL_MILLISECOND)); /* who has not begun has no stack, and needs none */
    for (int i = 0; i < CROWD; i++) {
        (void)whorl_cancel(tasks[i], NULL);
    }
    int odd = 0;
    for (int i = 0; i < CROWD; i++) {
        odd += finish(tasks[i]) != -ECANCELED;
    }
    return odd == 0 ? 0 : -EPROTO;
}

static int wait_idle(void *arg)
{
    (void)arg;
    int error = end_crowd();
    while (error == 0 && count_used() > 0) {
        error = whorl_sleep(100 * WHORL_MICROSECOND);
    }
    return error;
}

static int wait_busy(void *arg)
{
    (void)arg;
    int error = end_crowd();
    while (error == 0 && count_used() > 0) {
        error = whorl_yield();
    }
    return error;
}

static void test_memory_of_a_crowds_stacks_goes_back_while_loops_idle(void **state)
{
    (void)state;
    for (int loops = 1; loops <= 2; loops++) {
        assert_int_equal(play(loops, wait_idle, NULL), 0);
    }
}

static void test_memory_of_a_crowds_stacks_goes_back_while_a_task_runs_on(void **state)
{
    /* A server that is never idle does not keep what its busiest moment took. */
    (void)state;
    for (int loops = 1; loops <= 2; loops++) {
        assert_int_equal(play(loops, wait_busy, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_a_crowds_stacks_goes_back_while_loops_idle),
        cmocka_unit_test(test_memory_of_a_crowds_stacks_goes_back_while_a_task_runs_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
