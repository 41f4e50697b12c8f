/*
 * test_start_faults.c - every call into the system fails in turn, at the start and in service.
 *
 * The table of os.h is replaced by a copy in which the n-th call of one kind is refused; n grows
 * until a whole run needs fewer calls than that. A start that fails must leave nothing behind, and
 * must not have run the body.
 */
#include "../sched/rig.h"
#include "sys/os.h"

#include <dirent.h>
#include <errno.h>

#define N_MAX    400
#define CHILDREN 200
#define LOOPS    3

enum call { CALL_THREAD, CALL_ALLOC, CALL_MAP, CALL_EPOLL, CALL_EVENTFD, CALL_CTL };

static struct {
    enum call call;
    uint32_t refused; /* A: refusals */
    uint32_t count;   /* A: calls of the kind so far */
    uint32_t n; /* the one that is refused; 0: none. Set while no runtime lives, or by a task */
    uint32_t blocks; /* A: allocated and not freed */
    uint32_t maps;   /* A: mapped and not unmapped */
} faults;

/* True for the n-th call of the chosen kind. */
static bool refuse(enum call call)
{
    if (faults.call != call || whorl__add_u32(&faults.count, 1) + 1 != faults.n) {
        return false;
    }
    mark(&faults.refused);
    return true;
}

static int faulty_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    return refuse(CALL_THREAD) ? -EAGAIN : whorl__os_linux.thread_start(ret_thread, body, arg);
}

static void *faulty_alloc(size_t bytes)
{
    void *const block = refuse(CALL_ALLOC) ? NULL : whorl__os_linux.alloc(bytes);
    (void)whorl__add_u32(&faults.blocks, block != NULL);
    return block;
}

static void counted_free(void *block)
{
    (void)whorl__add_u32(&faults.blocks, block != NULL ? (uint32_t)-1 : 0);
    whorl__os_linux.free(block);
}

static int faulty_map(size_t bytes, void **ret_base)
{
    const int error = refuse(CALL_MAP) ? -ENOMEM : whorl__os_linux.map(bytes, ret_base);
    (void)whorl__add_u32(&faults.maps, error == 0);
    return error;
}

static int counted_unmap(void *base, size_t bytes)
{
    (void)whorl__add_u32(&faults.maps, (uint32_t)-1);
    return whorl__os_linux.unmap(base, bytes);
}

static int faulty_epoll_create(void)
{
    return refuse(CALL_EPOLL) ? -EMFILE : whorl__os_linux.epoll_create();
}

static int faulty_eventfd(void)
{
    return refuse(CALL_EVENTFD) ? -EMFILE : whorl__os_linux.eventfd();
}

static int faulty_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return refuse(CALL_CTL) ? -ENOSPC : whorl__os_linux.epoll_ctl(epoll_fd, operation, fd, event);
}

static int install_faults(void **state)
{
    static struct whorl__os faulty;
    (void)state;
    faulty = whorl__os_linux;
    faulty.thread_start = faulty_thread_start;
    faulty.alloc = faulty_alloc;
    faulty.free = counted_free;
    faulty.map = faulty_map;
    faulty.unmap = counted_unmap;
    faulty.epoll_create = faulty_epoll_create;
    faulty.eventfd = faulty_eventfd;
    faulty.epoll_ctl = faulty_ctl;
    whorl__os = &faulty;
    return 0;
}

static int remove_faults(void **state)
{
    (void)state;
    whorl__os = &whorl__os_linux;
    return 0;
}

static void arm(enum call call, uint32_t n)
{
    memset(&faults, 0, sizeof faults);
    faults.call = call;
    faults.n = n;
}

static unsigned count_entries(const char *folder)
{
    DIR *const open = opendir(folder);
    unsigned entries = 0;
    assert_non_null(open);
    while (readdir(open) != NULL) {
        entries++;
    }
    closedir(open);
    return entries;
}

/* ---- starting ---- */

static int run_once(void *arg)
{
    mark(arg);
    return 0;
}

/* Refuses the n-th call. True: it came to that. Some calls can be done without: then it starts. */
static bool start_with_fault(enum call call, uint32_t n, int wanted)
{
    uint32_t ran = 0;
    struct journal journal = {0};
    const struct whorl_options options = stealing_options(LOOPS, &journal);
    const unsigned fds = count_entries("/proc/self/fd");
    arm(call, n);
    const int error = whorl_run(run_once, &ran, &options);
    assert_true(error == 0 || error == wanted);
    assert_int_equal(ran, error == 0);
    assert_int_equal(level_of(&faults.blocks), 0);
    assert_int_equal(level_of(&faults.maps), 0);
    assert_int_equal(count_entries("/proc/self/fd"), fds);
    return level_of(&faults.refused) > 0;
}

static uint32_t start_until_good(enum call call, int wanted)
{
    uint32_t n = 1;
    while (n < N_MAX && start_with_fault(call, n, wanted)) {
        n++;
    }
    assert_true(n < N_MAX);
    return n - 1; /* as many calls as a start makes */
}

static void test_start_thread_refused_everything_is_undone(void **state)
{
    /* One a loop, and the monitor's: with some threads running already when the next is refused. */
    (void)state;
    assert_int_equal(start_until_good(CALL_THREAD, -EAGAIN), LOOPS + 1);
}

static void test_start_allocation_refused_everything_is_undone(void **state)
{
    /* Every block in turn; the figures of blocks and maps tell what was forgotten. */
    (void)state;
    assert_true(start_until_good(CALL_ALLOC, -ENOMEM) >= LOOPS + 2);
}

static void test_start_mapping_refused_everything_is_undone(void **state)
{
    /* Tables, task slots, stacks: a main task without a stack never begins. */
    (void)state;
    assert_true(start_until_good(CALL_MAP, -ENOMEM) >= 4);
}

static void test_start_epoll_refused_everything_is_undone(void **state)
{
    /* Out of descriptors, with some pollers made already. */
    (void)state;
    assert_int_equal(start_until_good(CALL_EPOLL, -EMFILE), LOOPS);
}

static void test_start_eventfd_refused_everything_is_undone(void **state)
{
    /* As before, in the middle of a poller. */
    (void)state;
    assert_true(start_until_good(CALL_EVENTFD, -EMFILE) >= LOOPS);
}

static void test_start_epoll_ctl_refused_everything_is_undone(void **state)
{
    /* The eventfd cannot be watched: a loop that could not be woken must not start. */
    (void)state;
    assert_int_equal(start_until_good(CALL_CTL, -ENOSPC), LOOPS);
}

static void test_start_threads_of_failed_starts_are_gone(void **state)
{
    /* Joined, not left behind: the kernel's own list, once they had time to leave it. */
    (void)state;
    const unsigned threads = count_entries("/proc/self/task");
    for (uint32_t n = 1; n <= LOOPS + 1; n++) {
        assert_true(start_with_fault(CALL_THREAD, n, -EAGAIN));
    }
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (count_entries("/proc/self/task") > threads && whorl_now() < end_ns) {
        whorl__pause();
    }
    assert_int_equal(count_entries("/proc/self/task"), threads);
}

/* ---- in service ---- */

struct service {
    enum call call;
    uint32_t n;
    uint32_t begun; /* A: bodies */
    uint32_t freed; /* A: arguments */
    int accepted;
    int refused;       /* spawns that said -ENOMEM */
    int without_stack; /* tasks that ended with -ENOMEM */
    int strange;
    struct whorl_task *tasks[CHILDREN];
};

static int child(void *arg)
{
    struct service *const service = arg;
    mark(&service->begun);
    return whorl_yield();
}

static void child_freed(void *arg)
{
    struct service *const service = arg;
    mark(&service->freed);
}

static void spawn_children(struct service *service)
{
    const struct whorl_attr attr = {.arg_free = child_freed};
    for (int i = 0; i < CHILDREN; i++) {
        const int error = whorl_spawn(child, service, &attr, &service->tasks[service->accepted]);
        service->accepted += error == 0;
        service->refused += error == -ENOMEM;
        service->strange += error != 0 && error != -ENOMEM;
    }
}

static int main_of_service(void *arg)
{
    struct service *const service = arg;
    whorl__store_release_u32(&faults.count, 0);      /* pairs refuse: the start is over */
    whorl__store_release_u32(&faults.n, service->n); /* as above */
    spawn_children(service);
    for (int i = 0; i < service->accepted; i++) {
        const int error = whorl_await(service->tasks[i], NULL);
        service->without_stack += error == -ENOMEM;
        service->strange += error != 0 && error != -ENOMEM;
        whorl_task_unref(service->tasks[i]);
    }
    return 0;
}

static bool serve_with_fault(enum call call, uint32_t n)
{
    static struct service service;
    struct journal journal = {0};
    struct whorl_options options = stealing_options(2, &journal);
    options.stack_bytes = 16384;
    service = (struct service){.call = call, .n = n};
    arm(call, 0);
    assert_int_equal(whorl_run(main_of_service, &service, &options), 0);
    assert_int_equal(service.strange, 0);
    assert_int_equal(service.accepted + service.refused, CHILDREN);
    assert_int_equal(level_of(&service.begun), service.accepted - service.without_stack);
    assert_int_equal(level_of(&service.freed), service.accepted);
    assert_int_equal(level_of(&faults.blocks), 0);
    assert_int_equal(level_of(&faults.maps), 0);
    return level_of(&faults.refused) > 0;
}

static void test_service_allocation_refused_spawns_or_tasks_fail_alone(void **state)
{
    /* The runtime lives on, and every argument is given back. */
    (void)state;
    uint32_t n = 1;
    while (n < N_MAX && serve_with_fault(CALL_ALLOC, n)) {
        n++;
    }
    assert_true(n < N_MAX);
}

static void test_service_mapping_refused_spawns_or_tasks_fail_alone(void **state)
{
    /* Task slots and stacks. */
    (void)state;
    uint32_t n = 1;
    while (n < N_MAX && serve_with_fault(CALL_MAP, n)) {
        n++;
    }
    assert_true(n > 1 && n < N_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_thread_refused_everything_is_undone),
        cmocka_unit_test(test_start_allocation_refused_everything_is_undone),
        cmocka_unit_test(test_start_mapping_refused_everything_is_undone),
        cmocka_unit_test(test_start_epoll_refused_everything_is_undone),
        cmocka_unit_test(test_start_eventfd_refused_everything_is_undone),
        cmocka_unit_test(test_start_epoll_ctl_refused_everything_is_undone),
        cmocka_unit_test(test_start_threads_of_failed_starts_are_gone),
        cmocka_unit_test(test_service_allocation_refused_spawns_or_tasks_fail_alone),
        cmocka_unit_test(test_service_mapping_refused_spawns_or_tasks_fail_alone),
    };
    return cmocka_run_group_tests(tests, install_faults, remove_faults);
}
