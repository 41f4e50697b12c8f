/*
 * test_kernels.c - a runtime on kernels that lack what it would like to have, and on one that has
 * no map entries left.
 *
 * What is lacking is refused by a filter in a child process, so the way round it is taken where it
 * would be taken on such a kernel. Each child runs the same small programme: tasks that talk over
 * sockets, sleep, and use their stacks.
 */
#include "../sched/rig.h"
#include "fiber/stack.h"
#include "loop/loop.h"
#include "sched/sched.h"

#include "support/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS        20
#define ROUNDS       10
#define GUARD_ADVICE 102 /* MADV_GUARD_INSTALL, which older headers do not know */

/* ---- the programme ---- */

struct end {
    int fd;
    bool begins;
};

/* Bounces a byte, with a nap in the middle: sockets, timers and the poller's time limit. */
static int bounce(void *arg)
{
    struct end *const end = arg;
    char byte = 1;
    for (int i = 0; i < ROUNDS; i++) {
        if (end->begins && whorl_write(end->fd, &byte, 1) != 1) {
            return -EIO;
        }
        if (whorl_read(end->fd, &byte, 1) != 1) {
            return -EIO;
        }
        if (!end->begins && whorl_write(end->fd, &byte, 1) != 1) {
            return -EIO;
        }
        if (i == ROUNDS / 2 && whorl_sleep(300 * WHORL_MICROSECOND) != 0) {
            return -EIO;
        }
    }
    return 0;
}

static int run_programme(void *arg)
{
    struct whorl_task *tasks[2 * PAIRS];
    static struct end ends[2 * PAIRS];
    int failed = 0;
    (void)arg;
    for (int i = 0; i < 2 * PAIRS; i += 2) {
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
            return -errno;
        }
        for (int k = 0; k < 2; k++) {
            ends[i + k] = (struct end){.fd = fds[k], .begins = k == 0};
            if (whorl_fd_adopt(fds[k]) != 0 ||
                whorl_spawn(bounce, &ends[i + k], NULL, &tasks[i + k]) != 0) {
                return -EIO;
            }
        }
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        failed += whorl_await(tasks[i], NULL) != 0;
        whorl_task_unref(tasks[i]);
        failed += whorl_close(ends[i].fd) != 0;
    }
    return failed == 0 ? 0 : -EIO;
}

static int run_on_two_loops(void)
{
    const struct whorl_options options = {.loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER};
    return whorl_run(run_programme, NULL, &options) == 0 ? 0 : 1;
}

/* ---- calls that are refused ---- */

static int without_guard_markers(void)
{
    return child_refuse_with(SYS_madvise, 2, GUARD_ADVICE, EINVAL) ? run_on_two_loops()
                                                                   : CHILD_CANNOT;
}

static int without_huge_page_advice(void)
{
    return child_refuse_with(SYS_madvise, 2, MADV_NOHUGEPAGE, EINVAL) ? run_on_two_loops()
                                                                      : CHILD_CANNOT;
}

/* Of locked memory the kernel takes none back. */
static int without_giving_pages_back(void)
{
    return child_refuse_with(SYS_madvise, 2, MADV_DONTNEED, EINVAL) ? run_on_two_loops()
                                                                    : CHILD_CANNOT;
}

static int without_epoll_pwait2(void)
{
    return child_refuse(SYS_epoll_pwait2, ENOSYS) ? run_on_two_loops() : CHILD_CANNOT;
}

static int with_epoll_pwait2_forbidden(void)
{
    return child_refuse(SYS_epoll_pwait2, EPERM) ? run_on_two_loops() : CHILD_CANNOT;
}

static void test_kernels_without_one_call_the_programme_runs(void **state)
{
    /* Each of them has a way round it. */
    (void)state;
    child_expect_success(without_guard_markers);
    child_expect_success(without_huge_page_advice);
    child_expect_success(without_giving_pages_back);
    child_expect_success(without_epoll_pwait2);
    child_expect_success(with_epoll_pwait2_forbidden);
}

static int without_any(void)
{
    if (CHILD_IS_SANITIZED || !child_refuse(SYS_madvise, EINVAL) ||
        !child_refuse(SYS_epoll_pwait2, ENOSYS) || !child_refuse(SYS_mincore, ENOSYS) ||
        !child_refuse(SYS_sched_setaffinity, EPERM) ||
        !child_refuse(SYS_sched_getaffinity, EPERM)) {
        return CHILD_CANNOT;
    }
    return run_on_two_loops();
}

static void test_kernels_without_all_of_them_the_programme_runs(void **state)
{
    /* A strict sandbox refuses many things at once; one way round must not lead to another hole. */
    (void)state;
    child_expect_success(without_any);
}

/* ---- guards by protection: the real calls ---- */

static WHORL_NOINLINE int eat_stack(int depth)
{
    volatile char plate[1000];
    plate[0] = (char)depth;
    return depth == 0 ? plate[0] : eat_stack(depth - 1) + plate[0];
}

static int overflow(void *arg)
{
    (void)arg;
    return eat_stack(1 << 20);
}

static int overflow_without_markers(void)
{
    const struct rlimit no_core = {0, 0};
    const struct whorl_options options = {.loops = 1, .report_ns = WHORL_NEVER};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's */
    signal(SIGABRT, SIG_DFL);
    if (!child_refuse_with(SYS_madvise, 2, GUARD_ADVICE, EINVAL)) {
        return CHILD_CANNOT;
    }
    return whorl_run(overflow, NULL, &options) == 0 ? 1 : 2; /* ran through the guard */
}

static void test_kernels_without_guard_markers_overflow_is_caught(void **state)
{
    /* Kernels before 6.13: the guard is a page that mprotect made. */
    (void)state;
    const int code = child_run(overflow_without_markers);
    if (code == CHILD_CANNOT) {
        skip();
    }
    assert_int_equal(code, -SIGABRT);
}

/* ---- map entries ---- */

#define ENTRIES_MAX  200000 /* with a limit above that it would take too long */
#define STACKS       400
#define ENTRIES_LEFT 240 /* a start takes some forty; too few for 400 guards */

struct filler {
    char *base;
    size_t pages; /* every second one has another protection, which makes two entries */
    size_t page;
};

/* Uses all the entries there are. False: there are too many. */
static bool use_up_maps(struct filler *filler)
{
    filler->page = (size_t)sysconf(_SC_PAGESIZE);
    filler->base = mmap(NULL, ENTRIES_MAX * filler->page, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (filler->base == MAP_FAILED) {
        return false;
    }
    while (filler->pages < ENTRIES_MAX &&
           mprotect(filler->base + filler->pages * filler->page, filler->page, PROT_READ) == 0) {
        filler->pages += 2;
    }
    return filler->pages < ENTRIES_MAX && errno == ENOMEM;
}

/* Pages that are as their neighbours make one entry with them. */
static bool free_maps(struct filler *filler, size_t entries)
{
    for (size_t freed = 0; freed < entries; freed += 2) {
        filler->pages -= 2;
        if (mprotect(filler->base + filler->pages * filler->page, filler->page, PROT_NONE) != 0) {
            return false;
        }
    }
    return true;
}

static int run_without_maps(void)
{
    struct filler filler = {0};
    const struct whorl_options options = {.loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER};
    if (run_on_two_loops() != 0) {
        return 1;
    }
    if (CHILD_IS_SANITIZED || !use_up_maps(&filler)) {
        return CHILD_CANNOT;
    }
    const int error = whorl_run(run_programme, NULL, &options);
    if (error != -ENOMEM && error != -EAGAIN) {
        return 2;
    }
    return free_maps(&filler, ENTRIES_LEFT) && run_on_two_loops() == 0 ? 0 : 3;
}

static void test_kernels_without_map_entries_start_fails_cleanly(void **state)
{
    /* Past vm.max_map_count nothing can be mapped: -ENOMEM, or -EAGAIN from a thread. When there is
     * room again a run succeeds. */
    (void)state;
    child_expect_success(run_without_maps);
}

struct stacks_seen {
    uint32_t begun;                 /* A */
    uint32_t go;                    /* A */
    struct whorl__stacks_info info; /* while all tasks live */
};

static int hold_stack(void *arg)
{
    struct stacks_seen *const seen = arg;
    volatile char page[5000];
    page[0] = 1;
    mark(&seen->begun);
    while (level_of(&seen->go) == 0) {
        if (whorl_sleep(WHORL_MILLISECOND) != 0) {
            return -EIO;
        }
    }
    return page[0] - 1;
}

static int hold_many_stacks(void *arg)
{
    static struct whorl_task *tasks[STACKS];
    struct stacks_seen *const seen = arg;
    int failed = 0;
    for (int i = 0; i < STACKS; i++) {
        if (whorl_spawn(hold_stack, seen, NULL, &tasks[i]) != 0) {
            return -EIO;
        }
    }
    if (!yield_until(&seen->begun, STACKS)) {
        return -ETIMEDOUT;
    }
    whorl__stacks_info(whorl__loop_current()->runtime->stacks, &seen->info);
    mark(&seen->go);
    for (int i = 0; i < STACKS; i++) {
        failed += whorl_await(tasks[i], NULL) != 0;
        whorl_task_unref(tasks[i]);
    }
    return failed == 0 ? 0 : -EIO;
}

static int run_with_few_maps(void)
{
    struct filler filler = {0};
    struct stacks_seen seen = {0};
    const struct whorl_options options = {.loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER};
    /* qemu-user has neither filters nor markers */
    (void)child_refuse_with(SYS_madvise, 2, GUARD_ADVICE, EINVAL);
    if (run_on_two_loops() != 0) {
        return 1;
    }
    if (CHILD_IS_SANITIZED || !use_up_maps(&filler)) {
        return CHILD_CANNOT;
    }
    if (!free_maps(&filler, ENTRIES_LEFT)) {
        return 2;
    }
    if (whorl_run(hold_many_stacks, &seen, &options) != 0) {
        return 3;
    }
    const bool fell_back = seen.info.guard == WHORL__GUARD_SLAB && seen.info.unguarded > 0 &&
                           seen.info.unguarded < seen.info.out + seen.info.shelved;
    return fell_back ? 0 : 4;
}

static void test_kernels_with_few_map_entries_stacks_do_without_guards(void **state)
{
    /* Guards by protection cost two entries each. When they run short, stacks are had all the same:
     * the first ones guarded, the others not, and every task ends as it should. */
    (void)state;
    child_expect_success(run_with_few_maps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_without_one_call_the_programme_runs),
        cmocka_unit_test(test_kernels_without_all_of_them_the_programme_runs),
        cmocka_unit_test(test_kernels_without_guard_markers_overflow_is_caught),
        cmocka_unit_test(test_kernels_without_map_entries_start_fails_cleanly),
        cmocka_unit_test(test_kernels_with_few_map_entries_stacks_do_without_guards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
