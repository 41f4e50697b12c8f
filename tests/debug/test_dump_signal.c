/*
 * test_dump_signal.c - the option dump_signal: who gets the dump, and what is put back afterwards.
 *
 * Standard error is a file in memory while a test runs.
 */
#include "capture.h"

#include "support/mark.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define NUMBER SIGUSR2

struct stage {
    int fd;       /* what standard error is */
    int saved_fd; /* what it was */
};

static struct stage set_stage(void)
{
    struct stage stage = {.fd = capture_open(), .saved_fd = dup(STDERR_FILENO)};
    must(stage.saved_fd >= 0 && dup2(stage.fd, STDERR_FILENO) >= 0 ? 0 : -EBADF);
    return stage;
}

static struct capture clear_stage(struct stage *stage)
{
    must(dup2(stage->saved_fd, STDERR_FILENO) >= 0 ? 0 : -EBADF);
    close(stage->saved_fd);
    return capture_close(stage->fd);
}

static uint32_t others; /* A: signals that the program's own handler got */

static void count_other(int number)
{
    (void)number;
    mark(&others);
}

static const struct whorl_options with_signal = {
    .loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER, .dump_signal = NUMBER};

/* The handler of a signal as it is now. */
static void (*handler_of(int number))(int)
{
    struct sigaction action;
    assert_int_equal(sigaction(number, NULL, &action), 0);
    return action.sa_handler;
}

/* ---- in a task ---- */

static int raise_it(void *arg)
{
    (void)arg;
    errno = EXDEV;
    must(raise(NUMBER) == 0 ? 0 : -errno);
    return errno == EXDEV ? 0 : -EPROTO;
}

static void test_signal_in_a_task_dumps_and_the_old_handler_comes_back(void **state)
{
    (void)state;
    struct stage stage = set_stage();
    (void)signal(NUMBER, count_other);
    const int error = whorl_run(raise_it, NULL, &with_signal);
    struct capture capture = clear_stage(&stage);
    assert_int_equal(error, 0);
    assert_task(&capture, "main", "state=running");
    assert_ptr_equal(handler_of(NUMBER), count_other);
    assert_int_equal(level_of(&others), 0);
    (void)signal(NUMBER, SIG_DFL);
    capture_drop(&capture);
}

static int raise_on_a_small_stack(void *arg)
{
    const struct whorl_attr attr = {.stack_bytes = 16384, .name = "small"};
    struct whorl_task *task;
    must(whorl_spawn(raise_it, arg, &attr, &task));
    return finish(task);
}

static void test_signal_is_handled_beside_the_stack_of_a_small_task(void **state)
{
    /* Loops have a signal stack: the dump costs the task's own nothing. */
    (void)state;
    struct stage stage = set_stage();
    const int error = whorl_run(raise_on_a_small_stack, NULL, &with_signal);
    struct capture capture = clear_stage(&stage);
    assert_int_equal(error, 0);
    assert_task(&capture, "small", "state=running");
    assert_in_range(task_number(&capture, "small", "high"), 4096, 12288);
    capture_drop(&capture);
}

/* ---- to a process all of whose loops are stuck ---- */

struct jam {
    uint32_t stop;     /* A */
    uint32_t in_place; /* A */
};

static int hold_a_loop(void *arg)
{
    struct jam *const jam = arg;
    mark(&jam->in_place);
    return compute_until(&jam->stop, 1) ? 0 : -ETIMEDOUT;
}

static void *signal_jam(void *arg)
{
    struct jam *const jam = arg;
    must(compute_until(&jam->in_place, 2) ? 0 : -ETIMEDOUT);
    must(raise(NUMBER) == 0 ? 0 : -errno);
    mark(&jam->stop);
    return NULL;
}

static int jam_all(void *arg)
{
    pthread_t thread;
    struct whorl_task *const first = start(hold_a_loop, arg);
    struct whorl_task *const second = start(hold_a_loop, arg);
    must(pthread_create(&thread, NULL, signal_jam, arg));
    /* It parks; an await might run that one in this task's place. */
    must(whorl_join(first, WHORL_NEVER, NULL));
    must(finish(first));
    must(finish(second));
    must(pthread_join(thread, NULL));
    return 0;
}

static void test_signal_dumps_while_every_loop_is_stuck(void **state)
{
    (void)state;
    struct jam jam = {.stop = 0};
    struct stage stage = set_stage();
    const int error = whorl_run(jam_all, &jam, &with_signal);
    struct capture capture = clear_stage(&stage);
    assert_int_equal(error, 0);
    assert_non_null(strstr(capture.text, " running=2 parked=1 done=0\n"));
    capture_drop(&capture);
}

/* ---- whose handler it is ---- */

static int run_inner(void *arg)
{
    *(int *)arg = whorl_run(raise_it, NULL, &with_signal);
    return 0;
}

static void *run_inner_thread(void *arg)
{
    (void)run_inner(arg);
    return NULL;
}

/* A second runtime comes and goes; the first still has its signal. */
static int outlive_another(void *arg)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, run_inner_thread, arg));
    must(pthread_join(thread, NULL));
    return raise_it(NULL);
}

static void test_signal_of_two_runtimes_stays_until_both_have_ended(void **state)
{
    (void)state;
    int inner = UNSET;
    struct stage stage = set_stage();
    const int error = whorl_run(outlive_another, &inner, &with_signal);
    struct capture capture = clear_stage(&stage);
    assert_int_equal(error, 0);
    assert_int_equal(inner, 0);
    assert_non_null(strstr(capture.text, " runtimes=2\n"));
    assert_non_null(strstr(capture.text, " runtimes=1\n"));
    assert_ptr_equal(handler_of(NUMBER), SIG_DFL);
    capture_drop(&capture);
}

static int take_the_signal(void *arg)
{
    (void)arg;
    return signal(NUMBER, count_other) != SIG_ERR ? 0 : -errno;
}

static void test_signal_that_the_program_took_meanwhile_stays_its_own(void **state)
{
    (void)state;
    assert_int_equal(whorl_run(take_the_signal, NULL, &with_signal), 0);
    assert_ptr_equal(handler_of(NUMBER), count_other);
    (void)signal(NUMBER, SIG_DFL);
}

static int fork_once(void *arg)
{
    (void)arg;
    const pid_t child = fork();
    if (child == 0) {
        struct sigaction action;
        _exit(sigaction(NUMBER, NULL, &action) != 0 || action.sa_handler != SIG_DFL);
    }
    int status;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : -EPROTO;
}

static void test_signal_in_a_child_of_fork_is_as_before(void **state)
{
    (void)state;
    assert_int_equal(whorl_run(fork_once, NULL, &with_signal), 0);
    assert_ptr_equal(handler_of(NUMBER), SIG_DFL);
}

static void test_signal_that_cannot_be_had_is_einval(void **state)
{
    (void)state;
    const int numbers[] = {-1,      SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,       SIGURG,
                           SIGABRT, SIGFPE,  SIGILL,  SIGTRAP, SIGRTMIN - 1, SIGRTMAX + 1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const struct whorl_options options = {.loops = 1, .dump_signal = numbers[i]};
        assert_int_equal(whorl_run(raise_it, NULL, &options), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signal_in_a_task_dumps_and_the_old_handler_comes_back),
        cmocka_unit_test(test_signal_is_handled_beside_the_stack_of_a_small_task),
        cmocka_unit_test(test_signal_dumps_while_every_loop_is_stuck),
        cmocka_unit_test(test_signal_of_two_runtimes_stays_until_both_have_ended),
        cmocka_unit_test(test_signal_that_the_program_took_meanwhile_stays_its_own),
        cmocka_unit_test(test_signal_in_a_child_of_fork_is_as_before),
        cmocka_unit_test(test_signal_that_cannot_be_had_is_einval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
