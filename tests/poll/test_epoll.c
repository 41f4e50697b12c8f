/*
 * test_epoll.c - the poller: what one poll finds, whom it wakes, and that nothing it hands out late
 * does harm.
 */
#include "poll/poller.h"

#include "sys/os.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define HANDLE_A UINT64_C(0x0000000100000002)
#define HANDLE_B UINT64_C(0x0000000300000004)

/* A poller, and one end of a socket pair in its record. */
struct rig {
    struct whorl__poller poller;
    struct whorl__poll_result result;
    struct whorl__records records;
    struct whorl__record *record;
    int near;
    int far;
};

static int set_up(void **state)
{
    static struct rig rig;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0 ||
        whorl__poller_init(&rig.poller) != 0 || whorl__records_init(&rig.records) != 0 ||
        whorl__record_adopt(&rig.records, ends[0], WHORL__SOCKET) != 0) {
        return -1;
    }
    rig.near = ends[0];
    rig.far = ends[1];
    rig.record = whorl__record_find(&rig.records, ends[0]);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *const rig = *state;
    whorl__records_fini(&rig->records);
    whorl__poller_fini(&rig->poller);
    (void)close(rig->near);
    if (rig->far >= 0) {
        (void)close(rig->far);
    }
    return 0;
}

static unsigned look(struct rig *rig)
{
    whorl__poller_poll(&rig->poller, 0, &rig->result);
    return rig->result.event_count;
}

static void clear(struct rig *rig, enum whorl__direction direction)
{
    whorl__record_clear(rig->record, direction, whorl__record_seen(rig->record, direction));
}

static bool is_ready(struct rig *rig, enum whorl__direction direction)
{
    return (whorl__record_seen(rig->record, direction) & WHORL__SLOT_READY) != 0;
}

static void send_byte(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void test_poll_of_nothing_finds_nothing(void **state)
{
    /* timeout 0 returns at once. */
    struct rig *const rig = *state;
    assert_int_equal(look(rig), 0);
    assert_int_equal(rig->result.woken_count, 0);
    assert_false(rig->result.wake_taken);
    assert_false(rig->result.watched);
}

static void test_add_reports_the_level(void **state)
{
    /* What was there before the poller watched is told as well. */
    struct rig *const rig = *state;
    clear(rig, WHORL__IN);
    clear(rig, WHORL__OUT);
    send_byte(rig->far);
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    assert_int_equal(look(rig), 1);
    assert_true(is_ready(rig, WHORL__IN));
    assert_true(is_ready(rig, WHORL__OUT));
    assert_int_equal(look(rig), 0);
}

static void test_edge_wakes_the_reader_once(void **state)
{
    /* Edge-triggered: what was told is not told again, new bytes are. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    assert_int_equal(look(rig), 1);
    clear(rig, WHORL__IN);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    send_byte(rig->far);
    assert_int_equal(look(rig), 1);
    assert_int_equal(rig->result.woken_count, 1);
    assert_int_equal(rig->result.woken[0], HANDLE_A);
    assert_int_equal(look(rig), 0);
    send_byte(rig->far);
    assert_int_equal(look(rig), 1);
    assert_int_equal(rig->result.woken_count, 0);
}

static void test_hangup_wakes_reader_and_writer(void **state)
{
    /* The peer is gone: both directions have something to learn. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    (void)look(rig);
    clear(rig, WHORL__IN);
    clear(rig, WHORL__OUT);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__OUT, HANDLE_B), 0);
    (void)close(rig->far);
    rig->far = -1;
    assert_int_equal(look(rig), 1);
    assert_int_equal(rig->result.woken_count, 2);
    assert_int_equal(rig->result.woken[0], HANDLE_A);
    assert_int_equal(rig->result.woken[1], HANDLE_B);
    assert_true(whorl__record_seen(rig->record, WHORL__IN) & WHORL__SLOT_HANGUP);
}

static void test_data_and_fin_in_one_edge_mark_hangup(void **state)
{
    /* Else a read that takes the data would clear the latch and the FIN would never be read. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    (void)look(rig);
    clear(rig, WHORL__IN);
    send_byte(rig->far);
    assert_int_equal(shutdown(rig->far, SHUT_WR), 0);
    assert_int_equal(look(rig), 1);
    assert_true(whorl__record_seen(rig->record, WHORL__IN) & WHORL__SLOT_READY);
    assert_true(whorl__record_seen(rig->record, WHORL__IN) & WHORL__SLOT_HANGUP);
    assert_false(whorl__record_seen(rig->record, WHORL__OUT) & WHORL__SLOT_HANGUP);
}

static void test_removed_record_is_told_nothing(void **state)
{
    /* It lives on elsewhere, or is about to be closed. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    (void)look(rig);
    whorl__poller_remove(&rig->poller, rig->record);
    send_byte(rig->far);
    assert_int_equal(look(rig), 0);
}

static void test_add_twice_is_eexist_and_of_a_regular_file_eperm(void **state)
{
    /* The kernel's refusals reach the caller as they are. */
    struct rig *const rig = *state;
    FILE *const file = tmpfile();
    assert_non_null(file);
    const int fd = fileno(file);
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), -EEXIST);
    assert_int_equal(whorl__record_adopt(&rig->records, fd, WHORL__FILE), 0);
    assert_int_equal(whorl__poller_add(&rig->poller, whorl__record_find(&rig->records, fd)),
                     -EPERM);
    assert_int_equal(fclose(file), 0);
}

static void test_move_between_pollers_loses_no_edge(void **state)
{
    /* ADD to the new one reports the level; DEL from the old one may come at any time after. */
    struct rig *const rig = *state;
    struct whorl__poller other;
    assert_int_equal(whorl__poller_init(&other), 0);
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    (void)look(rig);
    clear(rig, WHORL__IN);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    send_byte(rig->far); /* neither poller has been asked yet */
    assert_int_equal(whorl__poller_add(&other, rig->record), 0);
    whorl__poller_remove(&rig->poller, rig->record);
    assert_int_equal(look(rig), 0);
    whorl__poller_poll(&other, 0, &rig->result);
    assert_int_equal(rig->result.woken_count, 1);
    assert_int_equal(rig->result.woken[0], HANDLE_A);
    whorl__poller_fini(&other);
}

static void test_event_in_two_pollers_wakes_once(void **state)
{
    /* While a descriptor moves, both have its edge. */
    struct rig *const rig = *state;
    struct whorl__poller other;
    assert_int_equal(whorl__poller_init(&other), 0);
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    assert_int_equal(whorl__poller_add(&other, rig->record), 0);
    (void)look(rig);
    whorl__poller_poll(&other, 0, &rig->result);
    clear(rig, WHORL__IN);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    send_byte(rig->far);
    assert_int_equal(look(rig), 1);
    assert_int_equal(rig->result.woken_count, 1);
    whorl__poller_poll(&other, 0, &rig->result);
    assert_int_equal(rig->result.event_count, 1);
    assert_int_equal(rig->result.woken_count, 0);
    whorl__poller_fini(&other);
}

static void test_watched_poller_with_events_is_reported(void **state)
{
    /* A loop that sleeps for a stuck one wakes when the stuck one's sockets have something. */
    struct rig *const rig = *state;
    struct whorl__poller watcher;
    assert_int_equal(whorl__poller_init(&watcher), 0);
    assert_int_equal(whorl__poller_add(&rig->poller, rig->record), 0);
    assert_int_equal(whorl__poller_watch(&watcher, &rig->poller), 0);
    whorl__poller_poll(&watcher, 0, &rig->result);
    assert_true(rig->result.watched);
    (void)look(rig); /* the level of the new record */
    whorl__poller_poll(&watcher, 0, &rig->result);
    assert_false(rig->result.watched);
    send_byte(rig->far);
    whorl__poller_unwatch(&watcher, &rig->poller);
    whorl__poller_poll(&watcher, 0, &rig->result);
    assert_false(rig->result.watched);
    whorl__poller_fini(&watcher);
}

/* ---- waking ---- */

static void test_wake_before_the_poll_ends_it(void **state)
{
    /* Many of them count as one, and the next poll sleeps again. */
    struct rig *const rig = *state;
    for (int i = 0; i < 3; i++) {
        whorl__poller_wake(&rig->poller);
    }
    whorl__poller_poll(&rig->poller, -1, &rig->result);
    assert_true(rig->result.wake_taken);
    assert_int_equal(rig->result.event_count, 0);
    (void)look(rig);
    assert_false(rig->result.wake_taken);
    whorl__poller_wake(&rig->poller);
    whorl__poller_poll(&rig->poller, -1, &rig->result);
    assert_true(rig->result.wake_taken);
}

#define WAKE_ROUNDS 20000

struct talk {
    struct whorl__poller *poller;
    uint32_t work; /* A */
};

static void *push_and_wake(void *arg)
{
    struct talk *const talk = arg;
    for (int i = 0; i < WAKE_ROUNDS; i++) {
        (void)whorl__add_u32(&talk->work, 1);
        whorl__poller_wake(talk->poller);
    }
    return NULL;
}

static void test_wake_from_another_thread_is_never_lost(void **state)
{
    /* Sleeping for ever until all work is seen: a lost wake-up hangs here. */
    struct rig *const rig = *state;
    struct talk talk = {.poller = &rig->poller};
    pthread_t other;
    uint32_t done = 0;
    assert_int_equal(pthread_create(&other, NULL, push_and_wake, &talk), 0);
    while (done < WAKE_ROUNDS) {
        whorl__poller_poll(&rig->poller, -1, &rig->result);
        done += whorl__swap_u32(&talk.work, 0);
    }
    assert_int_equal(pthread_join(other, NULL), 0);
}

static void test_poll_with_timeout_returns_after_it(void **state)
{
    /* Not early: a loop that wakes early finds no timer due. */
    struct rig *const rig = *state;
    const int64_t start_ns = whorl__os->now_ns();
    whorl__poller_poll(&rig->poller, 3 * WHORL_MILLISECOND, &rig->result);
    assert_true(whorl__os->now_ns() - start_ns >= 3 * WHORL_MILLISECOND);
    assert_int_equal(rig->result.event_count, 0);
}

/* ---- failures ---- */

static struct whorl__os faulty;
static unsigned calls_until_failure;

static bool fails_now(void)
{
    return calls_until_failure-- == 0;
}

static int failing_epoll_create(void)
{
    return fails_now() ? -EMFILE : whorl__os_linux.epoll_create();
}

static int failing_eventfd(void)
{
    return fails_now() ? -EMFILE : whorl__os_linux.eventfd();
}

static int failing_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return fails_now() ? -ENOSPC : whorl__os_linux.epoll_ctl(epoll_fd, operation, fd, event);
}

static void test_init_failing_at_each_call_leaves_nothing_open(void **state)
{
    /* Three calls, three places to unwind from. */
    struct whorl__poller poller;
    const int next_fd = dup(0);
    (void)state;
    (void)close(next_fd);
    faulty = whorl__os_linux;
    faulty.epoll_create = failing_epoll_create;
    faulty.eventfd = failing_eventfd;
    faulty.epoll_ctl = failing_epoll_ctl;
    whorl__os = &faulty;
    for (unsigned i = 0; i < 3; i++) {
        calls_until_failure = i;
        const int error = whorl__poller_init(&poller);
        const int fd = dup(0);
        (void)close(fd);
        assert_int_equal(error, i < 2 ? -EMFILE : -ENOSPC);
        assert_int_equal(fd, next_fd);
    }
    whorl__os = &whorl__os_linux;
}

static int failing_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int events_max,
                              int64_t timeout_ns)
{
    (void)epoll_fd;
    (void)ret_events;
    (void)events_max;
    (void)timeout_ns;
    return -EINTR;
}

static void test_poll_interrupted_counts_as_nothing_found(void **state)
{
    /* A signal ends the sleep; the loop looks around and sleeps again. */
    struct rig *const rig = *state;
    faulty = whorl__os_linux;
    faulty.epoll_wait = failing_epoll_wait;
    whorl__os = &faulty;
    rig->result.event_count = 99;
    whorl__poller_poll(&rig->poller, -1, &rig->result);
    whorl__os = &whorl__os_linux;
    assert_int_equal(rig->result.event_count, 0);
    assert_int_equal(rig->result.woken_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_poll_of_nothing_finds_nothing),
        TEST(test_add_reports_the_level),
        TEST(test_edge_wakes_the_reader_once),
        TEST(test_hangup_wakes_reader_and_writer),
        TEST(test_data_and_fin_in_one_edge_mark_hangup),
        TEST(test_removed_record_is_told_nothing),
        TEST(test_add_twice_is_eexist_and_of_a_regular_file_eperm),
        TEST(test_move_between_pollers_loses_no_edge),
        TEST(test_event_in_two_pollers_wakes_once),
        TEST(test_watched_poller_with_events_is_reported),
        TEST(test_wake_before_the_poll_ends_it),
        TEST(test_wake_from_another_thread_is_never_lost),
        TEST(test_poll_with_timeout_returns_after_it),
        TEST(test_init_failing_at_each_call_leaves_nothing_open),
        TEST(test_poll_interrupted_counts_as_nothing_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
