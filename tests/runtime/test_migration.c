/*
 * test_migration.c - a task that goes on on another thread takes its errno and identity along, and
 * finds that thread's thread-locals.
 *
 * The move is forced: a task gives way until a thief has it, while another one keeps its loop from
 * taking it back. Each test counts its moves, and fails if there were none.
 */
#include "../sched/rig.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOVES     20
#define LOOPS_MAX 8

/* A user's own thread-local behind a function that no compiler looks into. */
static _Thread_local int thread_number;

__attribute__((noinline)) static int *own_thread_number(void)
{
    int *at = &thread_number;
    __asm__ volatile("" : "+r"(at));
    return at;
}

/* errno likewise: its address is the thread's, and compilers keep it over a call: glibc
 * declares the function behind the macro constant. */
__attribute__((noinline)) static int *own_errno(void)
{
    int *at = &errno;
    __asm__ volatile("" : "+r"(at));
    return at;
}

/* And so is pthread_self, so the kernel is asked. */
static int own_thread(void)
{
    return (int)syscall(SYS_gettid);
}

struct journey {
    uint32_t stop; /* A: the traveller has arrived; the blockers leave */
    uint32_t at;   /* A: 1 + the loop it said it is on */
    int moves;
    int wrong_errno;
    int wrong_task;
    int wrong_value;
    int wrong_thread;
    int failed_waits;
};

struct blocker {
    struct journey *journey;
    int loop;
};

static bool is_here(struct journey *journey, int loop)
{
    return level_of(&journey->at) == (uint32_t)loop + 1;
}

/*
 * Pinned. Holds its loop while the traveller is there, so that an idle loop takes it away; keeps
 * out of the way else. The traveller is let go after some time, for it may be running elsewhere and
 * not have said so.
 */
static int block_where_traveller_is(void *arg)
{
    const struct blocker *const blocker = arg;
    struct journey *const journey = blocker->journey;
    while (level_of(&journey->stop) == 0) {
        const int64_t end_ns = whorl_after(20 * WHORL_MILLISECOND);
        while (is_here(journey, blocker->loop) && whorl_now() < end_ns) {
            whorl__pause();
        }
        if (whorl_sleep(50 * WHORL_MICROSECOND) != 0) {
            return -EPROTO;
        }
    }
    return 0;
}

/* Waits in one of several ways; every second one really parks. */
static int wait_somehow(int turn)
{
    return turn % 2 == 0 ? whorl_yield() : whorl_sleep(10 * WHORL_MICROSECOND);
}

static void check_identity(struct journey *journey, struct whorl_task *self, int turn)
{
    journey->wrong_errno += *own_errno() != 1000 + turn;
    journey->wrong_task += whorl_task_current() != self;
    journey->wrong_value +=
        *own_thread_number() != 0 && *own_thread_number() != whorl_loop_current() + 1;
    *own_thread_number() = whorl_loop_current() + 1;
}

static int travel(void *arg)
{
    struct journey *const journey = arg;
    struct whorl_task *const self = whorl_task_current();
    const int64_t end_ns = whorl_after(BOUND_NS);
    *own_thread_number() = whorl_loop_current() + 1;
    for (int turn = 0; journey->moves < MOVES && whorl_now() < end_ns; turn++) {
        const int loop = whorl_loop_current();
        const int thread = own_thread();
        whorl__store_release_u32(&journey->at, (uint32_t)loop + 1); /* pairs is_here */
        *own_errno() = 1000 + turn;
        const int error = wait_somehow(turn);
        check_identity(journey, self, turn);
        const bool moved = whorl_loop_current() != loop;
        journey->failed_waits += error != 0;
        journey->moves += moved;
        journey->wrong_thread += moved == (own_thread() == thread);
    }
    mark(&journey->stop);
    return 0;
}

static int main_of_journey(void *arg)
{
    struct blocker blockers[LOOPS_MAX];
    struct whorl_task *tasks[LOOPS_MAX + 1];
    const int loops = whorl_loop_count();
    int error = whorl_spawn(travel, arg, NULL, &tasks[loops]);
    for (int i = 0; i < loops && error == 0; i++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN(i)};
        blockers[i] = (struct blocker){.journey = arg, .loop = i};
        error = whorl_spawn(block_where_traveller_is, &blockers[i], &attr, &tasks[i]);
    }
    for (int i = 0; i <= loops && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void make_journey(int loops)
{
    struct journey journey = {0};
    struct logbook logbook = {0};
    const struct whorl_options options = stealing_options(loops, &logbook);
    assert_int_equal(whorl_run(main_of_journey, &journey, &options), 0);
    assert_true(journey.moves >= MOVES);
    assert_int_equal(journey.wrong_errno, 0);
    assert_int_equal(journey.wrong_task, 0);
    assert_int_equal(journey.wrong_value, 0);
    assert_int_equal(journey.wrong_thread, 0);
    assert_int_equal(journey.failed_waits, 0);
}

static void test_mt_6_task_keeps_errno_and_self_between_two_loops(void **state)
{
    /* What a C programmer takes for granted must survive a change of thread. */
    (void)state;
    make_journey(2);
}

static void test_mt_6_task_keeps_errno_and_self_among_eight_loops(void **state)
{
    /* More loops than cores: threads are preempted in the middle of every step. */
    (void)state;
    make_journey(8);
}

/* ---- tasks that stay ---- */

struct stay {
    uint32_t moved; /* A */
};

static int stay_on_loop(void *arg)
{
    struct stay *const stay = arg;
    const int loop = whorl_loop_current();
    for (int turn = 0; turn < 200; turn++) {
        if (wait_somehow(turn) != 0) {
            return -EPROTO;
        }
        if (whorl_loop_current() != loop) {
            mark(&stay->moved);
        }
    }
    return 0;
}

static int main_of_stay(void *arg)
{
    struct whorl_task *tasks[12];
    int error = 0;
    for (int i = 0; i < 12 && error == 0; i++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN(i % whorl_loop_count())};
        error = whorl_spawn(stay_on_loop, arg, &attr, &tasks[i]);
    }
    for (int i = 0; i < 12 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void test_migration_pinned_task_never_moves(void **state)
{
    /* Neither thieves nor rescuers take it, whatever it waits for. */
    (void)state;
    struct stay stay = {0};
    const struct whorl_options options = stealing_options(3, NULL);
    assert_int_equal(whorl_run(main_of_stay, &stay, &options), 0);
    assert_int_equal(stay.moved, 0);
}

static int main_of_isolated(void *arg)
{
    struct whorl_task *tasks[4];
    int error = 0;
    for (int i = 0; i < 4 && error == 0; i++) {
        error = whorl_spawn(stay_on_loop, arg, NULL, &tasks[i]);
    }
    for (int i = 0; i < 4 && error == 0; i++) {
        error = whorl_await(tasks[i], NULL);
        whorl_task_unref(tasks[i]);
    }
    return error;
}

static void test_migration_isolated_loops_share_nothing(void **state)
{
    /* The mode for code that was written for one loop. */
    (void)state;
    struct stay stay = {0};
    struct whorl_options options = stealing_options(3, NULL);
    options.mode = WHORL_MODE_ISOLATED;
    assert_int_equal(whorl_run(main_of_isolated, &stay, &options), 0);
    assert_int_equal(stay.moved, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_6_task_keeps_errno_and_self_between_two_loops),
        cmocka_unit_test(test_mt_6_task_keeps_errno_and_self_among_eight_loops),
        cmocka_unit_test(test_migration_pinned_task_never_moves),
        cmocka_unit_test(test_migration_isolated_loops_share_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
