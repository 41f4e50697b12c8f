/*
 * SIGINT by option: rows RUN-12 to RUN-16 of asyncio's semantics; and the limit of the end, which
 * ends the process. Each in a child: the handler is set on a process's main thread only, and the
 * signal may be the end of it.
 */
#include "support/child.h"
#include "support/mark.h"
#include "support/play.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct whorl_options handling = {.loops = 2, .no_pin = 1, .handle_sigint = 1};
static const struct whorl_options handling_at_one = {.loops = 1, .no_pin = 1, .handle_sigint = 1};

/* As from the keyboard: to the process. ThreadSanitizer keeps a signal back from a thread that is
 * in a system call it does not know, as the main thread is: there, to the calling thread. */
#if defined(WHORL_TSAN)
static void interrupt(void)
{
    must(raise(SIGINT));
}
#else
static void interrupt(void)
{
    must(kill(getpid(), SIGINT));
}
#endif

static bool has_default(void)
{
    struct sigaction present;
    must(sigaction(SIGINT, NULL, &present));
    return present.sa_handler == SIG_DFL;
}

static bool is_handled(void)
{
    struct sigaction present;
    must(sigaction(SIGINT, NULL, &present));
    return present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN;
}

/* What a child returns to say that line `line` was not as it should be. */
#define SHOULD(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* ---- the first one ---- */

static const char *seen_message;

static int interrupt_and_wait(void *arg)
{
    *(bool *)arg = is_handled();
    interrupt();
    const int error = wait_for_ever();
    seen_message = whorl_cancel_message();
    return error;
}

static int first_cancels(void)
{
    bool handled = false;
    SHOULD(whorl_run(interrupt_and_wait, &handled, &handling) == -EINTR);
    SHOULD(handled && has_default());
    SHOULD(seen_message != NULL && strcmp(seen_message, "SIGINT") == 0);
    SHOULD(whorl_run(interrupt_and_wait, &handled, &handling) == -EINTR);
    return 0;
}

static void test_run_12_first_sigint_cancels_main_and_run_is_eintr(void **state)
{
    /* And once more in the same process: the disposition is the default between the two. */
    (void)state;
    child_expect_success(first_cancels);
}

static int first_cancels_each(void)
{
    bool handled = false;
    struct whorl_runtime *runtime;
    SHOULD(whorl_runtime_new(&handling, &runtime) == 0);
    SHOULD(has_default());
    SHOULD(whorl_runtime_run(runtime, interrupt_and_wait, &handled) == -EINTR);
    SHOULD(whorl_runtime_run(runtime, interrupt_and_wait, &handled) == -EINTR);
    SHOULD(handled && has_default());
    SHOULD(whorl_runtime_free(runtime) == 0);
    return 0;
}

static void test_run_12_each_main_of_a_runtime_has_its_own_first_sigint(void **state)
{
    (void)state;
    child_expect_success(first_cancels_each);
}

static int cancel_self_too(void *arg)
{
    (void)arg;
    (void)whorl_cancel(whorl_task_current(), "by itself");
    interrupt();
    (void)wait_for_ever();
    while (whorl_task_cancelling(whorl_task_current()) < 2) {
        (void)whorl_yield(); /* until the other one is there as well */
    }
    return -ECANCELED;
}

static int two_cancel(void)
{
    SHOULD(whorl_run(cancel_self_too, NULL, &handling_at_one) == -ECANCELED);
    SHOULD(whorl_run(cancel_self_too, NULL, &handling) == -ECANCELED);
    return 0;
}

static void test_run_13_main_cancelled_by_somebody_else_too_is_ecanceled(void **state)
{
    (void)state;
    child_expect_success(two_cancel);
}

static int catch_and_return(void *arg)
{
    interrupt();
    (void)wait_for_ever();
    return *(int *)arg;
}

static int swallowed(void)
{
    int codes[] = {0, -EPIPE};
    SHOULD(whorl_run(catch_and_return, &codes[0], &handling_at_one) == 0);
    SHOULD(whorl_run(catch_and_return, &codes[0], &handling) == 0);
    SHOULD(whorl_run(catch_and_return, &codes[1], &handling) == -EPIPE);
    return 0;
}

static void test_run_14_main_that_catches_the_cancel_decides_the_result(void **state)
{
    (void)state;
    child_expect_success(swallowed);
}

/* ---- the second one ---- */

static int interrupt_twice(void *arg)
{
    (void)arg;
    interrupt();
    (void)wait_for_ever();
    interrupt();
    return whorl_sleep(20 * WHORL_SECOND);
}

static int second_kills(void)
{
    (void)whorl_run(interrupt_twice, NULL, &handling);
    return 0;
}

static void test_run_15_second_sigint_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(child_run(second_kills), -SIGINT);
}

static int interrupt_at_the_end(void *arg)
{
    (void)arg;
    (void)wait_for_ever();
    interrupt(); /* main has returned: nobody is there to be cancelled by it */
    return whorl_sleep(20 * WHORL_SECOND);
}

static int leave_interrupter(void *arg)
{
    must(whorl_spawn(interrupt_at_the_end, arg, NULL, NULL));
    for (int i = 0; i < 8; i++) {
        must(whorl_yield());
    }
    return 0;
}

static int end_kills(void)
{
    const struct whorl_options options = {.loops = 1, .no_pin = 1, .handle_sigint = 1};
    (void)whorl_run(leave_interrupter, NULL, &options);
    return 0;
}

static void test_run_15_sigint_after_main_has_returned_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(child_run(end_kills), -SIGINT);
}

/* ---- when it is not handled ---- */

static int tell_handled(void *arg)
{
    *(bool *)arg = is_handled();
    return 0;
}

static int left_alone(void)
{
    bool handled = true;
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    SHOULD(whorl_run(tell_handled, &handled, &options) == 0);
    SHOULD(!handled);
    return 0;
}

static void test_run_16_without_the_option_sigint_is_left_alone(void **state)
{
    (void)state;
    child_expect_success(left_alone);
}

static int ignored_stays(void)
{
    bool handled = true;
    SHOULD(signal(SIGINT, SIG_IGN) != SIG_ERR);
    SHOULD(whorl_run(tell_handled, &handled, &handling) == 0);
    SHOULD(!handled && !has_default());
    return 0;
}

static uint32_t own_calls; /* A */

static void own_handler(int number)
{
    (void)number;
    mark(&own_calls);
}

static int interrupt_own(void *arg)
{
    (void)arg;
    interrupt();
    return compute_until(&own_calls, 1) ? whorl_yield() : -ETIME;
}

static int own_stays(void)
{
    SHOULD(signal(SIGINT, own_handler) != SIG_ERR);
    SHOULD(whorl_run(interrupt_own, NULL, &handling) == 0);
    SHOULD(own_calls == 1);
    SHOULD(signal(SIGINT, SIG_DFL) == own_handler);
    return 0;
}

static void test_run_16_only_the_default_disposition_is_replaced(void **state)
{
    /* A program that ignores it, or has a handler, keeps that. */
    (void)state;
    child_expect_success(ignored_stays);
    child_expect_success(own_stays);
}

static int set_own(void *arg)
{
    (void)arg;
    return signal(SIGINT, own_handler) != SIG_ERR ? 0 : -EINVAL;
}

static int later_handler_stays(void)
{
    SHOULD(whorl_run(set_own, NULL, &handling) == 0);
    SHOULD(signal(SIGINT, SIG_DFL) == own_handler);
    return 0;
}

static void test_run_16_a_handler_set_meanwhile_is_not_taken_out(void **state)
{
    (void)state;
    child_expect_success(later_handler_stays);
}

static void *run_in_thread(void *arg)
{
    must(whorl_run(tell_handled, arg, &handling));
    return NULL;
}

static int other_thread(void)
{
    bool handled = true;
    pthread_t thread;
    SHOULD(pthread_create(&thread, NULL, run_in_thread, &handled) == 0);
    SHOULD(pthread_join(thread, NULL) == 0);
    SHOULD(!handled);
    return 0;
}

static void test_run_16_only_the_main_thread_handles_it(void **state)
{
    (void)state;
    child_expect_success(other_thread);
}

static int fork_and_look(void *arg)
{
    const pid_t child = fork();
    if (child == 0) {
        _exit(has_default() ? 0 : 1);
    }
    return waitpid(child, arg, 0) == child ? 0 : -ECHILD;
}

static int forked(void)
{
    int status = -1;
    SHOULD(whorl_run(fork_and_look, &status, &handling) == 0);
    SHOULD(status == 0);
    return 0;
}

static void test_run_16_a_child_of_fork_has_the_default_again(void **state)
{
    (void)state;
    child_expect_success(forked);
}

/* ---- the limit of the end ---- */

static int never_obey(void *arg)
{
    while (arg == NULL) {
        (void)wait_for_ever();
    }
    return 0;
}

static int leave_deaf(void *arg)
{
    must(whorl_spawn(never_obey, arg, NULL, NULL));
    return whorl_yield();
}

/* In its yield when the runtime ends; the closer cancels it round by round. */
static int give_and_never_end(void *arg)
{
    must(whorl_generator_yield(arg, NULL) == -ESHUTDOWN ? 0 : -EPROTO);
    return never_obey(NULL);
}

static int leave_deaf_generator(void *arg)
{
    struct whorl_generator *generator;
    must(whorl_generator_new(give_and_never_end, arg, NULL, &generator));
    return whorl_generator_next(generator, NULL);
}

static int leave_lost_generator(void *arg)
{
    struct whorl_generator *generator;
    must(whorl_generator_new(give_and_never_end, arg, NULL, &generator));
    must(whorl_generator_next(generator, NULL));
    whorl_generator_unref(generator); /* a reaper closes it */
    return whorl_yield();
}

static whorl_body *deaf_main;
static int deaf_loops;

static void swallow(void *log_arg, const char *line)
{
    (void)log_arg, (void)line;
}

static int abort_in_the_end(void)
{
    const struct rlimit no_core = {0, 0};
    const struct whorl_options options = {.loops = deaf_loops,
                                          .no_pin = 1,
                                          .end_round_ns = 10 * WHORL_MILLISECOND,
                                          .end_rounds = 2,
                                          .log = swallow};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(60); /* it may hang */
    (void)whorl_run(deaf_main, NULL, &options);
    return 0;
}

static void expect_abort_in_the_end(whorl_body *body)
{
    deaf_main = body;
    for (deaf_loops = 1; deaf_loops <= 2; deaf_loops++) {
        assert_int_equal(child_run(abort_in_the_end), -SIGABRT);
    }
}

static void test_mt_23_the_limit_of_rounds_aborts(void **state)
{
    (void)state;
    expect_abort_in_the_end(leave_deaf);
}

static void test_mt_23_the_limit_of_rounds_counts_for_generators_too(void **state)
{
    /* Left in its yield, and lost there: the one is closed at the end, the other by a reaper. */
    (void)state;
    expect_abort_in_the_end(leave_deaf_generator);
    expect_abort_in_the_end(leave_lost_generator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_12_first_sigint_cancels_main_and_run_is_eintr),
        cmocka_unit_test(test_run_12_each_main_of_a_runtime_has_its_own_first_sigint),
        cmocka_unit_test(test_run_13_main_cancelled_by_somebody_else_too_is_ecanceled),
        cmocka_unit_test(test_run_14_main_that_catches_the_cancel_decides_the_result),
        cmocka_unit_test(test_run_15_second_sigint_ends_the_process),
        cmocka_unit_test(test_run_15_sigint_after_main_has_returned_ends_the_process),
        cmocka_unit_test(test_run_16_without_the_option_sigint_is_left_alone),
        cmocka_unit_test(test_run_16_only_the_default_disposition_is_replaced),
        cmocka_unit_test(test_run_16_a_handler_set_meanwhile_is_not_taken_out),
        cmocka_unit_test(test_run_16_only_the_main_thread_handles_it),
        cmocka_unit_test(test_run_16_a_child_of_fork_has_the_default_again),
        cmocka_unit_test(test_mt_23_the_limit_of_rounds_aborts),
        cmocka_unit_test(test_mt_23_the_limit_of_rounds_counts_for_generators_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
