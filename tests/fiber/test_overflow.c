/*
 * test_overflow.c - who hears of a stack overflow, and who of other faults.
 *
 * Each case runs in a child process, for it ends one. The child uses no cmocka; it exits with a
 * code that says what went wrong, if it gets that far.
 */
#include "fiber/overflow.h"

#include "fixture.h"
#include "sys/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_SURVIVED = 90, EXIT_SETUP_FAILED = 91, EXIT_PASSED_ON = 92 };

struct outcome {
    int status;     /* as from waitpid */
    char text[512]; /* what the child wrote on stderr */
};

static _Thread_local struct whorl__fiber *running;

static struct whorl__fiber *current(void)
{
    return running;
}

static const char *name(const struct whorl__fiber *fiber)
{
    (void)fiber;
    return "eater";
}

static void read_all(int fd, struct outcome *outcome)
{
    size_t length = 0;
    ssize_t count;
    do {
        count = read(fd, outcome->text + length, sizeof(outcome->text) - 1 - length);
        length += count > 0 ? (size_t)count : 0;
    } while (count > 0 && length < sizeof(outcome->text) - 1);
    outcome->text[length] = '\0';
}

static void be_child(int stderr_fd, void (*body)(void))
{
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(stderr_fd, STDERR_FILENO);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn the signal into an exit */
    signal(SIGBUS, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    body();
    _exit(EXIT_SURVIVED);
}

static struct outcome run_child(void (*body)(void))
{
    struct outcome outcome;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        be_child(ends[1], body);
    }
    close(ends[1]);
    read_all(ends[0], &outcome);
    close(ends[0]);
    assert_int_equal(waitpid(child, &outcome.status, 0), child);
    return outcome;
}

static WHORL_NOINLINE int eat_stack(int depth)
{
    volatile char plate[1000];
    plate[0] = (char)depth;
    if (depth == 0) {
        return plate[0];
    }
    return eat_stack(depth - 1) + plate[0];
}

static void overflow(struct job *job)
{
    job->result = eat_stack(1 << 20);
}

/* Nothing is ever mapped there, and it is not NULL, which a sanitizer would look for. */
#define NOWHERE ((uintptr_t)64)

static void read_nowhere(struct job *job)
{
    const volatile uintptr_t nowhere = NOWHERE;
    job->result = *(const volatile int *)nowhere;
}

static void run_on_fiber(void (*body)(struct job *))
{
    struct rig *rig = NULL;
    struct whorl__fiber *fiber = NULL;
    struct job job = {0};
    void *altstack;
    if (set_up((void **)&rig) != 0 || whorl__fibers_get(&rig->fibers, 0, &fiber) != 0 ||
        whorl__overflow_thread_start(&altstack) != 0 || !whorl__overflow_install(current, name)) {
        _exit(EXIT_SETUP_FAILED);
    }
    assign(rig, fiber, &job, body);
    running = fiber;
    resume(&job);
}

static void overflow_on_fiber(void)
{
    run_on_fiber(overflow);
}

static void assert_reported(const struct outcome *outcome)
{
    const char *expected = "whorl: stack overflow in task \"eater\": %zu bytes of stack, "
                           "high-water mark %zu; raise stack_bytes\n";
    const size_t bytes = whorl__stack_class_bytes(whorl__stack_class(0));
    char line[256];
    snprintf(line, sizeof(line), expected, bytes, bytes);
    assert_non_null(strstr(outcome->text, line));
    assert_true(WIFSIGNALED(outcome->status));
    assert_int_equal(WTERMSIG(outcome->status), SIGABRT);
}

static void test_overflow_in_fiber_names_task_and_sizes(void **state)
{
    /* What a user needs in order to act: which task, how large its stack is, what to change. */
    (void)state;
    const struct outcome outcome = run_child(overflow_on_fiber);
    assert_reported(&outcome);
}

static void *overflow_on_thread(void *arg)
{
    overflow_on_fiber();
    return arg;
}

static void overflow_on_another_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, overflow_on_thread, NULL) != 0) {
        _exit(EXIT_SETUP_FAILED);
    }
    pthread_join(thread, NULL);
}

static void test_overflow_on_second_thread_has_a_signal_stack_too(void **state)
{
    /* The signal stack is per thread: without one the kernel kills the process silently. */
    (void)state;
    const struct outcome outcome = run_child(overflow_on_another_thread);
    assert_reported(&outcome);
}

static int refuse_advice(void *base, size_t bytes, int advice)
{
    (void)base, (void)bytes, (void)advice;
    return -EINVAL;
}

static void overflow_with_protected_guards(void)
{
    struct whorl__os old_kernel = *whorl__os;
    old_kernel.advise = refuse_advice;
    whorl__os = &old_kernel;
    overflow_on_fiber();
}

static void test_overflow_into_protected_guard_is_reported_as_well(void **state)
{
    /* Kernels before 6.13 have no guard markers; the fault then has another code. */
    (void)state;
    const struct outcome outcome = run_child(overflow_with_protected_guards);
    assert_reported(&outcome);
}

static void read_nowhere_on_fiber(void)
{
    run_on_fiber(read_nowhere);
}

static void test_fault_elsewhere_without_handler_kills_as_before(void **state)
{
    /* We take only what is ours: a null pointer in a task is an ordinary crash, signal and all. */
    (void)state;
    const struct outcome outcome = run_child(read_nowhere_on_fiber);
    assert_null(strstr(outcome.text, "whorl"));
    assert_true(WIFSIGNALED(outcome.status));
    assert_int_equal(WTERMSIG(outcome.status), SIGSEGV);
}

static void pass_plain(int number)
{
    _exit(number == SIGSEGV ? EXIT_PASSED_ON : EXIT_SURVIVED);
}

static void read_nowhere_with_plain_handler(void)
{
    signal(SIGSEGV, pass_plain);
    run_on_fiber(read_nowhere);
}

static void pass_detailed(int number, siginfo_t *info, void *context)
{
    const int right = number == SIGSEGV && (uintptr_t)info->si_addr == NOWHERE && context != NULL;
    _exit(right ? EXIT_PASSED_ON : EXIT_SURVIVED);
}

static void read_nowhere_with_detailed_handler(void)
{
    struct sigaction action = {.sa_sigaction = pass_detailed, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    run_on_fiber(read_nowhere);
}

static void test_fault_elsewhere_goes_to_the_handler_before_ours(void **state)
{
    /* Crash reporters and language runtimes have handlers of their own, of either form. */
    (void)state;
    const struct outcome plain = run_child(read_nowhere_with_plain_handler);
    assert_true(WIFEXITED(plain.status));
    assert_int_equal(WEXITSTATUS(plain.status), EXIT_PASSED_ON);
    const struct outcome detailed = run_child(read_nowhere_with_detailed_handler);
    assert_true(WIFEXITED(detailed.status));
    assert_int_equal(WEXITSTATUS(detailed.status), EXIT_PASSED_ON);
}

static void send_to_self(struct job *job)
{
    job->result = raise(SIGSEGV);
}

static void send_on_fiber(void)
{
    run_on_fiber(send_to_self);
}

static void send_ignored_on_fiber(void)
{
    signal(SIGSEGV, SIG_IGN);
    run_on_fiber(send_to_self);
}

static void test_signal_sent_by_hand_keeps_its_meaning(void **state)
{
    /* kill -SEGV carries no address: it must kill where it killed, and not where it was ignored. */
    (void)state;
    const struct outcome killed = run_child(send_on_fiber);
    assert_true(WIFSIGNALED(killed.status));
    assert_int_equal(WTERMSIG(killed.status), SIGSEGV);
    const struct outcome ignored = run_child(send_ignored_on_fiber);
    assert_true(WIFEXITED(ignored.status));
    assert_int_equal(WEXITSTATUS(ignored.status), EXIT_SURVIVED);
}

static void test_signal_stack_of_the_program_is_kept(void **state)
{
    /* Sanitizers and crash reporters unmap their own at thread end, and would unmap ours. */
    (void)state;
    static char own[64 << 10];
    const stack_t altstack = {.ss_sp = own, .ss_size = sizeof(own)};
    stack_t before;
    stack_t now;
    void *ret = own;
    assert_int_equal(sigaltstack(&altstack, &before), 0);
    assert_int_equal(whorl__overflow_thread_start(&ret), 0);
    assert_null(ret);
    whorl__overflow_thread_stop(ret);
    assert_int_equal(sigaltstack(&before, &now), 0);
    assert_ptr_equal(now.ss_sp, own);
}

static void *start_and_stop(void *arg)
{
    stack_t *ret_after = arg;
    const stack_t none = {.ss_flags = SS_DISABLE};
    stack_t before;
    stack_t during = {.ss_flags = SS_DISABLE};
    void *ret;
    sigaltstack(&none, &before);
    if (whorl__overflow_thread_start(&ret) == 0) {
        sigaltstack(NULL, &during);
        whorl__overflow_thread_stop(ret);
    }
    sigaltstack(&before, ret_after);
    return (during.ss_flags & SS_DISABLE) == 0 ? arg : NULL;
}

static void test_signal_stack_of_ours_goes_with_the_thread(void **state)
{
    /* A worker that ends leaves neither the mapping nor a pointer to it behind. */
    (void)state;
    stack_t after = {.ss_flags = 0};
    pthread_t thread;
    void *had_one = NULL;
    assert_int_equal(pthread_create(&thread, NULL, start_and_stop, &after), 0);
    assert_int_equal(pthread_join(thread, &had_one), 0);
    assert_non_null(had_one);
    assert_true((after.ss_flags & SS_DISABLE) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow_in_fiber_names_task_and_sizes),
        cmocka_unit_test(test_overflow_on_second_thread_has_a_signal_stack_too),
        cmocka_unit_test(test_overflow_into_protected_guard_is_reported_as_well),
        cmocka_unit_test(test_fault_elsewhere_without_handler_kills_as_before),
        cmocka_unit_test(test_fault_elsewhere_goes_to_the_handler_before_ours),
        cmocka_unit_test(test_signal_sent_by_hand_keeps_its_meaning),
        cmocka_unit_test(test_signal_stack_of_the_program_is_kept),
        cmocka_unit_test(test_signal_stack_of_ours_goes_with_the_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
