/*
 * test_machines.c - a runtime on the processors it is given: few of them, others than the first,
 * some that go away, and where it may not choose among them.
 *
 * What changes the process happens in a child, which answers by its exit code.
 */
#include "../sched/rig.h"
#include "sys/os.h"

#include "support/child.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOPS 3
#define TASKS 100

/* ---- what runs ---- */

struct crowd {
    int cpu;          /* where all must run; -1: anywhere */
    uint32_t strayed; /* A: tasks that ran elsewhere */
    uint32_t ended;   /* A */
    int loops;        /* as the main task was told */
};

static int member(void *arg)
{
    struct crowd *const crowd = arg;
    const int error = whorl_sleep(WHORL_MILLISECOND);
    if (crowd->cpu >= 0 && sched_getcpu() != crowd->cpu) {
        mark(&crowd->strayed);
    }
    mark(&crowd->ended);
    return error;
}

static int run_crowd(void *arg)
{
    struct crowd *const crowd = arg;
    crowd->loops = whorl_loop_count();
    for (int i = 0; i < TASKS; i++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN(i % crowd->loops)};
        const int error = whorl_spawn(member, crowd, &attr, NULL);
        if (error != 0) {
            return error;
        }
    }
    return yield_until(&crowd->ended, TASKS) ? 0 : -ETIMEDOUT;
}

/* 0: all ended, where they had to be. */
static int verdict(const struct whorl_options *options, struct crowd *crowd)
{
    const int error = whorl_run(run_crowd, crowd, options);
    return error != 0                         ? 1
           : level_of(&crowd->ended) != TASKS ? 2
           : level_of(&crowd->strayed)        ? 3
                                              : 0;
}

/* ---- processors ---- */

static cpu_set_t affinity(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    WHORL_CHECK(sched_getaffinity(0, sizeof set, &set) == 0, "the test's own look at affinity");
    return set;
}

/* The last of ours, which is not the first if there are two. */
static int last_cpu(void)
{
    const cpu_set_t set = affinity();
    int cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET((size_t)cpu, &set)) {
        cpu--;
    }
    return cpu;
}

static int restrict_thread(pid_t thread, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(thread, sizeof set, &set);
}

static int one_cpu_left(void)
{
    struct crowd crowd = {.cpu = last_cpu()};
    if (restrict_thread(0, crowd.cpu) != 0) {
        return CHILD_CANNOT;
    }
    const int code = verdict(NULL, &crowd);
    return code != 0 ? code : crowd.loops != 1 ? 4 : 0;
}

static void test_machines_taskset_to_the_last_cpu_runs_one_loop_there(void **state)
{
    /* As `taskset -c N program`: no loop on processor 0, none too many. */
    (void)state;
    child_expect_success(one_cpu_left);
}

static int many_loops_on_one_cpu(void)
{
    struct crowd crowd = {.cpu = last_cpu()};
    const struct whorl_options options = {.loops = LOOPS};
    if (restrict_thread(0, crowd.cpu) != 0) {
        return CHILD_CANNOT;
    }
    const cpu_set_t before = affinity();
    const int code = verdict(&options, &crowd);
    const cpu_set_t after = affinity();
    return code != 0 ? code : crowd.loops != LOOPS ? 4 : !CPU_EQUAL(&before, &after) ? 5 : 0;
}

static void test_machines_more_loops_than_cpus_share_those_allowed(void **state)
{
    /* Three loops on the one processor left: pinned there, all of them at work, the caller as
     * before. */
    (void)state;
    child_expect_success(many_loops_on_one_cpu);
}

/* What a change of the cpuset does to threads that run: the kernel gives each another mask. */
static int restrict_all_threads(int cpu)
{
    DIR *const tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    int error = tasks == NULL ? -errno : 0;
    while (error == 0 && (entry = readdir(tasks)) != NULL) {
        const pid_t thread = (pid_t)atoi(entry->d_name);
        error = thread > 0 && restrict_thread(thread, cpu) != 0 ? -errno : 0;
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return error;
}

/* The first crowd shows that every loop has come as far as to run tasks. */
static int run_move_and_run(void *arg)
{
    struct crowd before = {.cpu = -1};
    struct crowd *const crowd = arg;
    int error = run_crowd(&before);
    if (error == 0) {
        error = restrict_all_threads(crowd->cpu);
    }
    return error != 0 ? error : run_crowd(crowd);
}

static int cpus_taken_away(void)
{
    struct logbook logbook = {0};
    struct crowd crowd = {.cpu = last_cpu()};
    const struct whorl_options options = {
        .loops = LOOPS, .log = logbook_write, .log_arg = &logbook, .report_ns = WHORL_NEVER};
    if (whorl_run(run_move_and_run, &crowd, &options) != 0) {
        return 1;
    }
    return level_of(&crowd.strayed) != 0 ? 3 : level_of(&logbook.lines) != 0 ? 4 : 0;
}

static void test_machines_cpus_taken_away_while_running_loops_go_on(void **state)
{
    /* A cpuset that shrinks moves the threads; the loops share what is left, and say nothing. */
    (void)state;
    child_expect_success(cpus_taken_away);
}

/* ---- where it may not choose ---- */

/* Three loops that cannot be pinned: they work, and it was said once. */
static int run_unpinned(int error)
{
    struct logbook logbook = {0};
    struct crowd crowd = {.cpu = -1};
    const struct whorl_options options = {
        .loops = LOOPS, .log = logbook_write, .log_arg = &logbook, .report_ns = WHORL_NEVER};
    if (!child_refuse(SYS_sched_setaffinity, error)) {
        return CHILD_CANNOT;
    }
    const int code = verdict(&options, &crowd);
    if (code != 0) {
        return code;
    }
    const bool is_told = logbook_count(&logbook, "is not pinned to a core") == 1 &&
                         logbook_count(&logbook, whorl_error_text(-error)) == 1;
    return is_told && level_of(&logbook.lines) == 1 ? 0 : 5;
}

static int binding_is_forbidden(void)
{
    return run_unpinned(EPERM);
}

static int binding_is_invalid(void)
{
    return run_unpinned(EINVAL);
}

static void test_machines_binding_refused_is_said_once_and_loops_run(void **state)
{
    /* Container filters say EPERM; a cpuset that lost the processor says EINVAL. */
    (void)state;
    child_expect_success(binding_is_forbidden);
    child_expect_success(binding_is_invalid);
}

static int affinity_is_not_told(void)
{
    struct logbook logbook = {0};
    struct crowd crowd = {.cpu = -1};
    const struct whorl_options options = {
        .loops = LOOPS, .log = logbook_write, .log_arg = &logbook, .report_ns = WHORL_NEVER};
    if (CHILD_IS_SANITIZED || !child_refuse(SYS_sched_getaffinity, EPERM)) {
        return CHILD_CANNOT; /* sanitizers die where a thread's attributes are not told */
    }
    return verdict(&options, &crowd);
}

static void test_machines_affinity_not_told_loops_run(void **state)
{
    /* Then all processors that hwloc sees count; a program must not fail to start for that. */
    (void)state;
    child_expect_success(affinity_is_not_told);
}

static int read_nothing(const char *path, char *ret_text, size_t text_max)
{
    (void)path, (void)ret_text, (void)text_max;
    return -ENOENT;
}

static void test_machines_without_proc_and_cgroups_loops_run(void **state)
{
    /* A chroot without /proc: no quota is known, and nobody can tell what a stuck thread does. */
    static struct whorl__os os;
    struct crowd crowd = {.cpu = -1};
    (void)state;
    os = whorl__os_linux;
    os.read_file = read_nothing;
    whorl__os = &os;
    const int code = verdict(NULL, &crowd);
    whorl__os = &whorl__os_linux;
    assert_int_equal(code, 0);
}

/* ---- described machines ---- */

static void test_machines_described_one_gets_a_loop_a_core_unpinned(void **state)
{
    /* Two packages of four cores, with two threads each, on whatever there is; no warning. */
    struct logbook logbook = {0};
    struct crowd crowd = {.cpu = -1};
    const struct whorl_options options = {.topology = "pack:2 l3:1 core:4 pu:2",
                                          .log = logbook_write,
                                          .log_arg = &logbook,
                                          .report_ns = WHORL_NEVER};
    (void)state;
    assert_int_equal(verdict(&options, &crowd), 0);
    assert_int_equal(crowd.loops, 8);
    assert_int_equal(level_of(&logbook.lines), 0);
}

static void test_machines_file_that_is_missing_is_enoent(void **state)
{
    /* Nothing has started; the body was not called. */
    struct crowd crowd = {.cpu = -1};
    const struct whorl_options options = {.topology = "/nowhere/machine.xml"};
    (void)state;
    assert_int_equal(whorl_run(run_crowd, &crowd, &options), -ENOENT);
    assert_int_equal(crowd.loops, 0);
}

/* A kernel of paper, which counts the pollers and lets no thread start. */
static int pollers_made;

static int paper_epoll(void)
{
    return 1000000 + pollers_made++;
}

static int paper_eventfd(void)
{
    return 2000000;
}

static int paper_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    (void)epoll_fd, (void)operation, (void)fd, (void)event;
    return 0;
}

static int paper_close(int fd)
{
    (void)fd;
    return 0;
}

static int paper_thread(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    (void)ret_thread, (void)body, (void)arg;
    return -EAGAIN;
}

static void test_machines_with_more_cores_than_loops_can_be(void **state)
{
    /* Sets of loops have WHORL_LOOPS_MAX bits; a machine with more cores gets as many loops. */
    static struct whorl__os os;
    const struct whorl_options options = {.topology = "core:1100 pu:1"};
    struct crowd crowd = {.cpu = -1};
    (void)state;
    os = whorl__os_linux;
    os.epoll_create = paper_epoll;
    os.eventfd = paper_eventfd;
    os.epoll_ctl = paper_ctl;
    os.close = paper_close;
    os.thread_start = paper_thread;
    whorl__os = &os;
    const int error = whorl_run(run_crowd, &crowd, &options);
    whorl__os = &whorl__os_linux;
    assert_int_equal(error, -EAGAIN);
    assert_int_equal(pollers_made, WHORL_LOOPS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machines_taskset_to_the_last_cpu_runs_one_loop_there),
        cmocka_unit_test(test_machines_more_loops_than_cpus_share_those_allowed),
        cmocka_unit_test(test_machines_cpus_taken_away_while_running_loops_go_on),
        cmocka_unit_test(test_machines_binding_refused_is_said_once_and_loops_run),
        cmocka_unit_test(test_machines_affinity_not_told_loops_run),
        cmocka_unit_test(test_machines_without_proc_and_cgroups_loops_run),
        cmocka_unit_test(test_machines_described_one_gets_a_loop_a_core_unpinned),
        cmocka_unit_test(test_machines_file_that_is_missing_is_enoent),
        cmocka_unit_test(test_machines_with_more_cores_than_loops_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
