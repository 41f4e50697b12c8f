/*
 * test_outside.c - failures of what whorl calls beside the table of sys/os.h: hwloc, signal
 * handlers, names of threads, the stack walker. And the one failure of the table that ends the
 * process. tests/lint/calls.txt lists all such calls, with what becomes of their failure.
 *
 * The kernel's are refused by a filter, in a child; those of libraries are defined here, before the
 * library's own.
 */
#include "support/child.h"
#include "support/faults.h"
#include "support/net.h"
#include "support/play.h"

#include "atomic/atomic.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <hwloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- libraries ---- */

static struct {
    const char *name; /* of the function that fails; NULL: none */
    int error;        /* what it leaves in errno */
} failing;

/* True: the caller is to fail. */
static bool fails(const char *name)
{
    if (failing.name == NULL || strcmp(failing.name, name) != 0) {
        return false;
    }
    errno = failing.error;
    return true;
}

static void *real(const char *name)
{
    void *const function = dlsym(RTLD_NEXT, name);
    must(function == NULL ? -ENOSYS : 0);
    return function;
}

int hwloc_topology_init(hwloc_topology_t *ret_tree)
{
    int (*const call)(hwloc_topology_t *) = (int (*)(hwloc_topology_t *))real(__func__);
    return fails(__func__) ? -1 : call(ret_tree);
}

int hwloc_topology_set_flags(hwloc_topology_t tree, unsigned long flags)
{
    int (*const call)(hwloc_topology_t, unsigned long) =
        (int (*)(hwloc_topology_t, unsigned long))real(__func__);
    return fails(__func__) ? -1 : call(tree, flags);
}

int hwloc_topology_set_synthetic(hwloc_topology_t tree, const char *description)
{
    int (*const call)(hwloc_topology_t, const char *) =
        (int (*)(hwloc_topology_t, const char *))real(__func__);
    return fails(__func__) ? -1 : call(tree, description);
}

int hwloc_topology_load(hwloc_topology_t tree)
{
    int (*const call)(hwloc_topology_t) = (int (*)(hwloc_topology_t))real(__func__);
    return fails(__func__) ? -1 : call(tree);
}

int backtrace(void **ret_frames, int frames_max)
{
    int (*const call)(void **, int) = (int (*)(void **, int))real(__func__);
    return fails(__func__) ? 0 : call(ret_frames, frames_max);
}

char **backtrace_symbols(void *const *frames, int count)
{
    char **(*const call)(void *const *, int) = (char **(*)(void *const *, int))real(__func__);
    return fails(__func__) ? NULL : call(frames, count);
}

/* ---- a run ---- */

static uint32_t bodies;   /* A */
static uint32_t handlers; /* A: lines about signal handlers */
static uint32_t stalls;   /* A: lines that name who holds a loop */
static uint32_t frames;   /* A: lines of stacks */
static uint32_t others;   /* A */

static void take_line(void *arg, const char *line)
{
    (void)arg;
    uint32_t *const kind = strstr(line, "no handler for SIGSEGV") != NULL ? &handlers
                           : strstr(line, "has held loop") != NULL        ? &stalls
                           : strncmp(line, "whorl:   #", 10) == 0         ? &frames
                                                                          : &others;
    (void)whorl__add_u32(kind, 1);
}

static void forget_lines(void)
{
    bodies = handlers = stalls = frames = others = 0;
}

static int count_body(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&bodies, 1);
    return whorl_sleep(WHORL_MILLISECOND);
}

static const struct whorl_options calm = {
    .loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER, .log = take_line};

static void run_without_hwloc(const char *name, int error, const char *topology)
{
    struct whorl_options options = calm;
    options.topology = topology;
    forget_lines();
    failing.name = name;
    failing.error = error;
    faults_install();
    const int got = whorl_run(count_body, NULL, &options);
    const int blocks = faults_blocks();
    const int maps = faults_maps();
    faults_remove();
    failing.name = NULL;
    assert_int_equal(got, error == 0 ? -EIO : -error);
    assert_int_equal(bodies, 0);
    assert_int_equal(blocks, 0);
    assert_int_equal(maps, 0);
}

static void test_hwloc_that_fails_fails_the_start(void **state)
{
    /* At each of its steps; it does not always say why. */
    static const int errors[] = {ENOMEM, EINVAL, ENOSYS, 0};
    const int fds = count_own("fd");
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        run_without_hwloc("hwloc_topology_init", errors[i], NULL);
        run_without_hwloc("hwloc_topology_set_flags", errors[i], NULL);
        run_without_hwloc("hwloc_topology_set_synthetic", errors[i], "core:2 pu:1");
        run_without_hwloc("hwloc_topology_load", errors[i], NULL);
    }
    assert_int_equal(count_own("fd"), fds);
}

/* ---- the stack of who holds a loop ---- */

static int block_until_named(void *arg)
{
    const struct timespec nap = {.tv_nsec = WHORL_MILLISECOND};
    const int64_t end_ns = whorl_after(20 * WHORL_SECOND);
    (void)arg;
    while (whorl__load_acquire_u32(&stalls) == 0 && whorl_now() < end_ns) {
        (void)nanosleep(&nap, NULL);
    }
    return 0;
}

static void name_without(const char *name)
{
    const struct whorl_options options = {.loops = 2,
                                          .no_pin = 1,
                                          .stall_ns = WHORL_MILLISECOND,
                                          .report_ns = 2 * WHORL_MILLISECOND,
                                          .log = take_line};
    forget_lines();
    failing.name = name;
    failing.error = ENOMEM;
    const int error = whorl_run(block_until_named, NULL, &options);
    failing.name = NULL;
    assert_int_equal(error, 0);
    assert_int_equal(stalls, 1);
    assert_int_equal(others, 0);
}

static void test_stack_walker_that_fails_names_the_task_without_a_stack(void **state)
{
    /* No memory for the names of the functions; the library of the walker cannot be loaded. */
    (void)state;
    name_without("backtrace_symbols");
    assert_int_equal(frames, 0);
    name_without("backtrace");
}

/* ---- the kernel's ---- */

/* Nothing of a signal: no handler, and not the one of SIGURG either. */
static int run_without_handlers(void)
{
    forget_lines();
    if (CHILD_IS_SANITIZED || !child_refuse(SYS_rt_sigaction, EPERM)) {
        return CHILD_CANNOT;
    }
    const int error = whorl_run(count_body, NULL, &calm);
    return error == 0 && bodies == 1 && handlers == 1 && others == 0 ? 0 : 1;
}

static int run_silent_without_handlers(void)
{
    struct whorl_options options = calm;
    options.log = NULL;
    forget_lines();
    if (CHILD_IS_SANITIZED || close(STDERR_FILENO) != 0 || !child_refuse(SYS_rt_sigaction, EPERM)) {
        return CHILD_CANNOT;
    }
    return whorl_run(count_body, NULL, &options) == 0 && bodies == 1 ? 0 : 1;
}

static void test_signal_handler_refused_is_said_and_all_runs(void **state)
{
    /* Even when there is nobody to say it to. */
    (void)state;
    child_expect_success(run_without_handlers);
    child_expect_success(run_silent_without_handlers);
}

static int run_without_signal_stacks(void)
{
    forget_lines();
    if (CHILD_IS_SANITIZED || !child_refuse(SYS_sigaltstack, EPERM)) {
        return CHILD_CANNOT;
    }
    const int error = whorl_run(count_body, NULL, &calm);
    return error == 0 && bodies == 1 && others == 2 ? 0 : 1; /* a line a loop */
}

static void test_signal_stack_refused_is_said_by_each_loop(void **state)
{
    /* As tests/faults/test_start.c has it, by the kernel itself. */
    (void)state;
    child_expect_success(run_without_signal_stacks);
}

static int run_without_thread_names(void)
{
    forget_lines();
    if (!child_refuse_with(SYS_prctl, 0, PR_SET_NAME, EPERM)) {
        return CHILD_CANNOT;
    }
    const int error = whorl_run(count_body, NULL, &calm);
    return error == 0 && bodies == 1 && others == 0 ? 0 : 1;
}

static void test_thread_name_refused_is_nobodys_loss(void **state)
{
    /* A name is for people. */
    (void)state;
    child_expect_success(run_without_thread_names);
}

/* ---- what ends the process ---- */

static int last_words; /* a file in memory, which the child has for standard error */

/* The only loop sleeps when the thread completes what its task awaits. */
static void *complete_late(void *arg)
{
    faults_order(&(struct faults_order){
        .entry = FAULTS_write, .phase = FAULTS_ANY_PHASE, .error = -EBADF, .first = 1});
    must(whorl_future_set_result(arg, NULL));
    return NULL;
}

static int await_thread(void *arg)
{
    struct whorl_future *const future = new_future();
    pthread_t thread;
    (void)arg;
    must(-pthread_create(&thread, NULL, complete_late, future));
    must(whorl_future_await(future, NULL));
    return 0; /* had it not been asleep, the end of the runtime wakes it */
}

static int lose_a_wake(void)
{
    if (dup2(last_words, STDERR_FILENO) < 0) {
        return CHILD_CANNOT;
    }
    faults_install();
    return whorl_run(await_thread, NULL, &calm) == 0 ? 1 : 2;
}

static void test_wake_that_cannot_be_sent_ends_the_process_with_a_word(void **state)
{
    /* Who has closed descriptors that are not his would otherwise have a server that hangs. */
    char text[512] = "";
    (void)state;
    last_words = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(last_words >= 0);
    assert_int_equal(child_run(lose_a_wake), -SIGABRT);
    assert_true(pread(last_words, text, sizeof text - 1, 0) > 0);
    assert_non_null(strstr(text, "a loop cannot be woken"));
    assert_int_equal(close(last_words), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hwloc_that_fails_fails_the_start),
        cmocka_unit_test(test_stack_walker_that_fails_names_the_task_without_a_stack),
        cmocka_unit_test(test_signal_handler_refused_is_said_and_all_runs),
        cmocka_unit_test(test_signal_stack_refused_is_said_by_each_loop),
        cmocka_unit_test(test_thread_name_refused_is_nobodys_loss),
        cmocka_unit_test(test_wake_that_cannot_be_sent_ends_the_process_with_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
