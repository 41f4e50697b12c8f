/*
 * test_blocking.c - blocking sections: a task says that it blocks its loop, and others take over.
 *
 * On real threads there is no monitor (stall_ns is WHORL_NEVER): what happens while a task blocks,
 * happens by its section alone. The blocker sleeps in the kernel until the task that depends on its
 * loop writes to it, so without help both wait, until a bound passes and the test fails. Where the
 * time counts the clock is the simulator's.
 */
#include "rig.h"

#include "../debug/capture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum deed { NOTHING, WAKE_BEFORE, WAKE_INSIDE, WAKE_NESTED };

struct room {
    enum deed deed; /* what the blocker does besides */
    int pipe[2];    /* who was served tells the blocker */
    int sockets[2];
    uint32_t ready;    /* A: who depends on the loop is about to wait */
    uint32_t blocking; /* A */
    struct whorl_future *future;
    whorl_body *guest; /* depends on the loop */
    int loop;          /* the guest's when it began to wait */
    int begun;         /* what the section's calls returned */
    int ended;
    bool told;
    bool while_blocked;
    struct whorl_stats stats;
};

static struct room new_room(whorl_body *guest, enum deed deed)
{
    struct room room = {.guest = guest, .deed = deed, .begun = 1, .ended = 1};
    must(pipe(room.pipe) == 0 ? 0 : -errno);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, room.sockets) == 0 ? 0 : -errno);
    room.future = new_future();
    return room;
}

static void drop_room(struct room *room)
{
    whorl_future_unref(room->future);
    for (int i = 0; i < 2; i++) {
        (void)close(room->pipe[i]);
        (void)close(room->sockets[i]); /* the one that whorl had is closed already */
    }
}

/* ---- the blocker ---- */

/* A read(2) that ends in any case. */
static bool read_in_kernel(struct room *room)
{
    struct pollfd waiting = {.fd = room->pipe[0], .events = POLLIN};
    char byte;
    return poll(&waiting, 1, (int)(BOUND_NS / WHORL_MILLISECOND)) == 1 &&
           read(room->pipe[0], &byte, 1) == 1;
}

static void wake_guest(struct room *room)
{
    must(whorl_future_set_result(room->future, NULL));
}

static int block(void *arg)
{
    struct room *const room = arg;
    if (room->deed == WAKE_BEFORE) {
        wake_guest(room); /* into the hot slot, and nobody is told */
    }
    room->begun = whorl_blocking_begin("read");
    if (room->deed == WAKE_NESTED) {
        must(whorl_blocking_begin("inner"));
        must(whorl_blocking_end());
    }
    mark(&room->blocking);
    if (room->deed == WAKE_INSIDE || room->deed == WAKE_NESTED) {
        wake_guest(room);
    }
    room->told = read_in_kernel(room);
    __atomic_store_n(&room->blocking, 0, __ATOMIC_SEQ_CST);
    room->ended = whorl_blocking_end();
    return 0;
}

/* ---- guests ---- */

static int tell(struct room *room)
{
    room->while_blocked = level_of(&room->blocking) == 1;
    return write(room->pipe[1], "!", 1) == 1 ? 0 : -EIO;
}

static int await_future(void *arg)
{
    struct room *const room = arg;
    room->loop = whorl_loop_current();
    mark(&room->ready);
    const int error = whorl_future_await(room->future, NULL);
    return error != 0 ? error : tell(room);
}

static int read_socket(void *arg)
{
    struct room *const room = arg;
    char byte;
    must(whorl_fd_adopt(room->sockets[0]));
    const int first = whorl_fd_wait_until(room->sockets[0], POLLIN, whorl_now());
    room->loop = whorl_fd_loop(room->sockets[0]);
    mark(&room->ready);
    const ssize_t got = whorl_read(room->sockets[0], &byte, 1);
    const int error = first == -ETIMEDOUT && got == 1 ? tell(room) : -EPROTO;
    (void)whorl_close(room->sockets[0]);
    return error;
}

/* ---- the scene ---- */

/* The blocker is pinned to the loop that the guest waits on. */
static int main_of_room(void *arg)
{
    struct room *const room = arg;
    struct whorl_task *const guest = start(room->guest, room);
    if (!yield_until(&room->ready, 1)) {
        return -EPROTO;
    }
    const struct whorl_attr here = {.pin = WHORL_PIN(room->loop), .name = "blocker"};
    struct whorl_task *blocker;
    must(whorl_spawn(block, room, &here, &blocker));
    const int error = finish(guest);
    const int also = finish(blocker);
    must(whorl_stats(-1, &room->stats));
    return error != 0 ? error : also;
}

static struct whorl_options without_monitor(int loops)
{
    struct whorl_options options = stealing_options(loops, NULL);
    options.stall_ns = WHORL_NEVER;
    return options;
}

static void play_room(struct room *room)
{
    const struct whorl_options options = without_monitor(2);
    assert_int_equal(whorl_run(main_of_room, room, &options), 0);
    assert_true(room->told);
    /* A thief that searches already may look into the hot slot before the section begins. */
    assert_true(room->while_blocked || room->deed == WAKE_BEFORE);
    assert_int_equal(room->begun, 0);
    assert_int_equal(room->ended, 0);
    drop_room(room);
}

static void test_what_was_woken_before_the_section_is_taken(void **state)
{
    /* It stands in the hot slot, where nobody else would look. */
    (void)state;
    struct room room = new_room(await_future, WAKE_BEFORE);
    play_room(&room);
}

static void test_what_is_woken_inside_the_section_is_taken(void **state)
{
    /* A callback of the foreign call completes a future. */
    (void)state;
    struct room room = new_room(await_future, WAKE_INSIDE);
    play_room(&room);
}

static void test_the_end_of_an_inner_section_does_not_end_the_outer(void **state)
{
    /* They nest. */
    (void)state;
    struct room room = new_room(await_future, WAKE_NESTED);
    play_room(&room);
}

static void *send_when_blocked(void *arg)
{
    struct room *const room = arg;
    (void)compute_until(&room->blocking, 1);
    (void)send(room->sockets[1], "?", 1, MSG_NOSIGNAL);
    return NULL;
}

static void test_the_sockets_of_the_loop_are_served(void **state)
{
    /* What comes in after the section has begun, for a poller that nobody else asks. */
    (void)state;
    struct room room = new_room(read_socket, NOTHING);
    pthread_t client;
    assert_int_equal(pthread_create(&client, NULL, send_when_blocked, &room), 0);
    play_room(&room);
    assert_int_equal(pthread_join(client, NULL), 0);
    assert_true(room.stats.rescued > 0);
    assert_int_equal(room.stats.stalls, 0); /* nobody had to find out */
}

/* ---- how sections end ---- */

struct calls {
    int codes[8];
};

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int begin_only(void *arg)
{
    (void)arg;
    return whorl_blocking_begin("left open");
}

static int call_all(void *arg)
{
    struct calls *const calls = arg;
    const struct whorl_attr eager = {.flags = WHORL_EAGER};
    calls->codes[0] = whorl_blocking_end();
    must(whorl_blocking_begin(NULL));
    must(whorl_yield());
    calls->codes[1] = whorl_blocking_end();
    must(whorl_blocking_begin("outer"));
    must(whorl_blocking_begin("inner"));
    calls->codes[2] = whorl_blocking_end();
    calls->codes[3] = whorl_blocking_end();
    calls->codes[4] = whorl_blocking_end();
    must(finish(start_here(begin_only, NULL)));
    calls->codes[5] = whorl_blocking_end();
    must(whorl_blocking_begin("eager"));
    must(whorl_spawn(do_nothing, NULL, &eager, NULL));
    calls->codes[6] = whorl_blocking_end();
    calls->codes[7] = whorl_blocking_begin("again");
    must(whorl_blocking_end());
    return 0;
}

static void test_a_wait_ends_the_section_and_an_end_too_many_is_told(void **state)
{
    /* Nothing is left over for the task that runs next, in any mode. */
    (void)state;
    static const int wanted[8] = {-EINVAL, -EINVAL, 0, 0, -EINVAL, -EINVAL, -EINVAL, 0};
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct calls calls = {{0}};
        const struct whorl_options options = {.loops = loops, .no_pin = 1};
        assert_int_equal(whorl_run(call_all, &calls, &options), 0);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(calls.codes[i], wanted[i]);
        }
    }
}

static int call_on_a_thread(void *arg)
{
    (void)arg;
    return whorl_blocking_begin("thread") == 0 && whorl_blocking_end() == 0 ? 0 : -EPROTO;
}

static int call_in_to_thread(void *arg)
{
    return whorl_to_thread(call_on_a_thread, arg, NULL, NULL);
}

static void test_on_a_plain_thread_a_section_does_nothing(void **state)
{
    /* So a library may always say it. */
    (void)state;
    assert_int_equal(call_on_a_thread(NULL), 0);
    assert_int_equal(whorl_blocking_end(), 0);
    assert_int_equal(play(2, call_in_to_thread, NULL), 0);
}

/* ---- reports ---- */

static int dump_inside(void *arg)
{
    struct capture *const capture = arg;
    must(whorl_blocking_begin("say it"));
    *capture = capture_dump();
    return whorl_blocking_end();
}

static void test_a_dump_names_the_section(void **state)
{
    /* At one loop, and where it is also marked. */
    (void)state;
    for (int loops = 1; loops <= 2; loops++) {
        struct capture capture = {0};
        const struct whorl_options options = {.loops = loops, .no_pin = 1};
        assert_int_equal(whorl_run(dump_inside, &capture, &options), 0);
        assert_non_null(strstr(capture.text, " state=blocking task="));
        assert_non_null(strstr(capture.text, " section=\"say it\" for="));
        capture_drop(&capture);
    }
}

struct reported {
    struct logbook logbook;
    bool seen;
};

static int hold_until_reported(void *arg)
{
    struct reported *const reported = arg;
    must(whorl_blocking_begin("row by row"));
    reported->seen = compute_until(&reported->logbook.lines, 1);
    return whorl_blocking_end();
}

static void test_the_report_of_a_single_loop_names_the_section(void **state)
{
    /* There nobody can take over, so it is told, after report_ns. */
    (void)state;
    struct reported reported = {.seen = false};
    const struct whorl_options options = {.loops = 1,
                                          .report_ns = 20 * WHORL_MILLISECOND,
                                          .log = logbook_write,
                                          .log_arg = &reported.logbook};
    assert_int_equal(whorl_run(hold_until_reported, &reported, &options), 0);
    assert_true(reported.seen);
    assert_non_null(strstr(reported.logbook.text, ", in the section \"row by row\"; "));
}

/* ---- when, by the simulator's clock ---- */

#define BLOCKED_NS (2 * WHORL_SECOND)

struct times {
    struct logbook logbook;
    bool says;        /* in a section */
    int blockers;     /* each on a loop of its own */
    uint32_t ready;
    int loop;         /* the sleeper's */
    int64_t late_ns;  /* how late the sleeper woke */
};

static int block_for_long(void *arg)
{
    struct times *const times = arg;
    if (times->says) {
        must(whorl_blocking_begin("disk"));
    }
    must(whorl_sim_stall(BLOCKED_NS));
    return times->says ? whorl_blocking_end() : 0;
}

static int sleep_a_little(void *arg)
{
    struct times *const times = arg;
    times->loop = whorl_loop_current();
    const int64_t due_ns = whorl_after(50 * WHORL_MILLISECOND);
    mark(&times->ready);
    const int error = whorl_sleep_until(due_ns);
    times->late_ns = whorl_now() - due_ns;
    return error;
}

static int main_of_times(void *arg)
{
    struct times *const times = arg;
    struct whorl_task *const sleeper = start(sleep_a_little, times);
    struct whorl_task *blockers[2];
    while (level_of(&times->ready) == 0) {
        must(whorl_yield());
    }
    for (int i = 0; i < times->blockers; i++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN((times->loop + i) % 2),
                                        .name = "blocker"};
        must(whorl_spawn(block_for_long, times, &attr, &blockers[i]));
    }
    int error = finish(sleeper);
    for (int i = 0; i < times->blockers; i++) {
        const int also = finish(blockers[i]);
        error = error != 0 ? error : also;
    }
    return error;
}

static struct times simulate(bool says, int blockers, int64_t stall_ns, uint64_t seed)
{
    struct times times = {.says = says, .blockers = blockers};
    const struct whorl_sim_options options = {
        .runtime = {.loops = 2,
                    .mode = WHORL_MODE_STEALING,
                    .stall_ns = stall_ns,
                    .report_ns = WHORL_SECOND,
                    .log = logbook_write,
                    .log_arg = &times.logbook},
    };
    assert_int_equal(whorl_sim_run(seed, &options, main_of_times, &times), 0);
    return times;
}

enum { SEEDS = 50 };

static void test_others_take_over_at_once(void **state)
{
    /* Where the monitor would need a minute; and without a section, it does. */
    (void)state;
    tell_loops(2);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const struct times said = simulate(true, 1, 60 * WHORL_SECOND, seed);
        assert_true(said.late_ns < 10 * WHORL_MILLISECOND);
        const struct times unsaid = simulate(false, 1, 60 * WHORL_SECOND, seed);
        assert_true(unsaid.late_ns > BLOCKED_NS / 2);
    }
}

static void test_a_section_that_others_serve_is_not_reported(void **state)
{
    /* It holds nobody up; without a section it is a task that holds its loop. */
    (void)state;
    tell_loops(2);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct times said = simulate(true, 1, 2 * WHORL_MILLISECOND, seed);
        assert_string_equal(said.logbook.text, "");
        struct times unsaid = simulate(false, 1, 2 * WHORL_MILLISECOND, seed);
        assert_int_equal(logbook_count(&unsaid.logbook, "task \"blocker\" has held loop"), 1);
    }
}

static void test_sections_on_all_loops_wait_for_the_first_to_end(void **state)
{
    /* There is no spare loop; so it is reported, by name. */
    (void)state;
    tell_loops(2);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct times times = simulate(true, 2, 2 * WHORL_MILLISECOND, seed);
        assert_true(times.late_ns > BLOCKED_NS / 2);
        assert_true(logbook_count(&times.logbook, ", in the section \"disk\"; ") > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_woken_before_the_section_is_taken),
        cmocka_unit_test(test_what_is_woken_inside_the_section_is_taken),
        cmocka_unit_test(test_the_end_of_an_inner_section_does_not_end_the_outer),
        cmocka_unit_test(test_the_sockets_of_the_loop_are_served),
        cmocka_unit_test(test_a_wait_ends_the_section_and_an_end_too_many_is_told),
        cmocka_unit_test(test_on_a_plain_thread_a_section_does_nothing),
        cmocka_unit_test(test_a_dump_names_the_section),
        cmocka_unit_test(test_the_report_of_a_single_loop_names_the_section),
        cmocka_unit_test(test_others_take_over_at_once),
        cmocka_unit_test(test_a_section_that_others_serve_is_not_reported),
        cmocka_unit_test(test_sections_on_all_loops_wait_for_the_first_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
