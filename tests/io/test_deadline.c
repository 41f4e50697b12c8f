/*
 * test_deadline.c - the _until forms against a peer that never answers; what timed out is as usable
 * as before.
 */
#include "support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SOON_NS (2 * WHORL_MILLISECOND)

/* Not early; how late depends on the machine. */
static void expect_over(int64_t deadline_ns)
{
    NET_EXPECT(whorl_now() >= deadline_ns);
}

/* ---- read and accept ---- */

static int read_main(void *arg)
{
    int fds[2];
    char bytes[10];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        const int64_t deadline_ns = whorl_after(SOON_NS);
        NET_EXPECT_EQUAL(whorl_read_until(fds[0], bytes, sizeof bytes, deadline_ns), -ETIMEDOUT);
        expect_over(deadline_ns);
        NET_EXPECT_EQUAL(whorl_read_until(fds[0], bytes, sizeof bytes, 0), -ETIMEDOUT);
        NET_EXPECT_EQUAL(whorl_write(fds[1], "abc", 3), 3);
        NET_EXPECT_EQUAL(whorl_read_until(fds[0], bytes, sizeof bytes, WHORL_NEVER), 3);
        NET_EXPECT(memcmp(bytes, "abc", 3) == 0);
    }
    NET_EXPECT_EQUAL(whorl_write(fds[1], "abc", 3), 3);
    NET_EXPECT_EQUAL(whorl_read_until(fds[0], bytes, sizeof bytes, 0),
                     3); /* it is there: no wait */
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_read_until_times_out_and_reads_on_later(void **state)
{
    /* A silent peer, again and again; and bytes that are there are given, however late it is. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(read_main, &kind);
    }
}

static int accept_main(void *arg)
{
    struct net_listener listener = net_listen(*(enum net_kind *)arg, 0);
    for (int i = 0; i < 3; i++) {
        const int64_t deadline_ns = whorl_after(SOON_NS);
        NET_EXPECT_EQUAL(whorl_accept_until(listener.fd, deadline_ns), -ETIMEDOUT);
        expect_over(deadline_ns);
        const int near = net_connect(&listener, WHORL_NEVER);
        const int far = whorl_accept_until(listener.fd, WHORL_NEVER);
        NET_EXPECT(near >= 0 && far >= 0);
        NET_EXPECT_EQUAL(whorl_close(near), 0);
        NET_EXPECT_EQUAL(whorl_close(far), 0);
    }
    net_listener_close(&listener);
    return 0;
}

static void test_accept_until_times_out_and_accepts_later(void **state)
{
    /* Nobody comes, then somebody does. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(accept_main, &kind);
    }
}

/* ---- write ---- */

#define MUCH (16 << 20)

/* Reads exactly count bytes of the stream from place on. */
static void take(int fd, uint64_t place, size_t count)
{
    unsigned char bytes[8192];
    while (count > 0) {
        const long got = net_read_all(fd, bytes, count < sizeof bytes ? count : sizeof bytes);
        if (!NET_EXPECT(got > 0) || !NET_EXPECT(net_matches(bytes, (size_t)got, place))) {
            return;
        }
        place += (uint64_t)got;
        count -= (size_t)got;
    }
}

static int write_main(void *arg)
{
    int fds[2];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    unsigned char *const bytes = malloc(MUCH);
    net_fill(bytes, MUCH, 0);
    size_t place = 0;
    for (int i = 0; i < 2; i++) {
        const int64_t deadline_ns = whorl_after(SOON_NS);
        const ssize_t put = whorl_write_until(fds[0], bytes + place, MUCH - place, deadline_ns);
        NET_EXPECT(put > 0 && (size_t)put < MUCH - place); /* the count first ... */
        expect_over(deadline_ns);
        const struct iovec part = {bytes + place, 1};
        NET_EXPECT_EQUAL(whorl_write_until(fds[0], bytes + place, 1, 0),
                         -ETIMEDOUT); /* ... then why */
        NET_EXPECT_EQUAL(whorl_writev_until(fds[0], &part, 1, 0), -ETIMEDOUT);
        take(fds[1], place, (size_t)put);
        place += (size_t)put;
    }
    NET_EXPECT_EQUAL(whorl_write(fds[0], bytes + place, 1000), 1000);
    take(fds[1], place, 1000);
    free(bytes);
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_write_until_tells_the_count_then_the_timeout(void **state)
{
    /* A peer that does not read; exactly the bytes of the count arrive. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(write_main, &kind);
    }
}

/* ---- connect ---- */

/* Fills the backlog until a connect would have to wait; returns how many are in it. */
static int fill_backlog(const struct net_listener *listener, int fds[], int fds_max)
{
    int count = 0;
    while (count < fds_max && (fds[count] = net_connect(listener, whorl_after(SOON_NS))) >= 0) {
        count++;
    }
    NET_EXPECT_EQUAL(count < fds_max ? fds[count] : 0, -ETIMEDOUT);
    return count;
}

static int connect_main(void *arg)
{
    enum { FDS_MAX = 16 };
    int fds[FDS_MAX];
    struct net_listener listener = net_listen(*(enum net_kind *)arg, 1);
    int count = fill_backlog(&listener, fds, FDS_MAX);
    const int64_t deadline_ns = whorl_after(SOON_NS);
    const int fds_before = net_open_fds();
    NET_EXPECT_EQUAL(net_connect(&listener, deadline_ns), -ETIMEDOUT);
    NET_EXPECT(whorl_now() >=
               deadline_ns - WHORL_MILLISECOND); /* a Unix one gives up a pause early */
    NET_EXPECT_EQUAL(net_open_fds(), fds_before);
    while (count > 0) {
        NET_EXPECT_EQUAL(whorl_close(fds[--count]), 0);
    }
    net_listener_close(&listener);
    return 0;
}

static void test_connect_until_times_out_on_a_full_backlog(void **state)
{
    /* TCP drops the SYN and waits; a Unix socket says EAGAIN and is asked again. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(connect_main, &kind);
    }
}

static int connect_later(void *arg)
{
    const int fd = net_connect(arg, WHORL_NEVER);
    return NET_EXPECT(fd >= 0) ? whorl_close(fd) : fd;
}

static int connect_when_room_main(void *arg)
{
    enum { FDS_MAX = 16 };
    int fds[FDS_MAX];
    (void)arg;
    struct net_listener listener = net_listen(NET_UNIX_ABSTRACT, 1);
    int count = fill_backlog(&listener, fds, FDS_MAX);
    struct whorl_task *const late = net_spawn(connect_later, &listener, 0);
    net_until_parked(late);
    for (int i = 0; i <= count; i++) {
        const int far = whorl_accept(listener.fd);
        NET_EXPECT(far >= 0 && whorl_close(far) == 0);
    }
    NET_EXPECT_EQUAL(net_finish(late), 0);
    while (count > 0) {
        NET_EXPECT_EQUAL(whorl_close(fds[--count]), 0);
    }
    net_listener_close(&listener);
    return 0;
}

static void test_connect_to_a_full_unix_backlog_gets_in_when_there_is_room(void **state)
{
    /* No poller tells; nobody is turned away. */
    (void)state;
    net_run_each(connect_when_room_main, NULL);
}

/* ---- the rest ---- */

static int others_main(void *arg)
{
    int ends[2];
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < 2; i++) {
        const int64_t deadline_ns = whorl_after(SOON_NS);
        NET_EXPECT_EQUAL(whorl_fd_wait_until(ends[0], POLLIN, deadline_ns), -ETIMEDOUT);
        expect_over(deadline_ns);
        NET_EXPECT_EQUAL(whorl_fd_wait_until(ends[1], POLLOUT, 0), POLLOUT);
        NET_EXPECT_EQUAL(i == 0 ? whorl_fd_adopt(ends[0]) : 0, 0); /* then the same adopted */
    }
    NET_EXPECT_EQUAL(whorl_close(ends[0]), 0);
    return close(ends[1]);
}

static void test_fd_wait_until_times_out_adopted_or_not(void **state)
{
    /* And what is ready needs no time at all. */
    (void)state;
    net_run_each(others_main, NULL);
}

static int crowd_read(void *arg)
{
    char byte;
    const int64_t deadline_ns = whorl_after((intptr_t)arg % 5 * WHORL_MILLISECOND);
    int fds[2];
    if (net_raw_pair(SOCK_STREAM, fds)) {
        NET_EXPECT_EQUAL(whorl_fd_adopt(fds[0]), 0);
        NET_EXPECT_EQUAL(whorl_read_until(fds[0], &byte, 1, deadline_ns), -ETIMEDOUT);
        expect_over(deadline_ns);
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
        (void)close(fds[1]);
    }
    return 0;
}

static int crowd_main(void *arg)
{
    enum { CROWD = 200 };
    struct whorl_task *tasks[CROWD];
    (void)arg;
    for (intptr_t i = 0; i < CROWD; i++) {
        tasks[i] = net_spawn(crowd_read, (void *)i, 0);
    }
    for (int i = 0; i < CROWD; i++) {
        NET_EXPECT_EQUAL(net_finish(tasks[i]), 0);
    }
    return 0;
}

static void test_read_until_of_many_at_once_times_each_out(void **state)
{
    /* Timers of many tasks in the heaps of many loops. */
    (void)state;
    net_run_each(crowd_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_until_times_out_and_reads_on_later),
        cmocka_unit_test(test_accept_until_times_out_and_accepts_later),
        cmocka_unit_test(test_write_until_tells_the_count_then_the_timeout),
        cmocka_unit_test(test_connect_until_times_out_on_a_full_backlog),
        cmocka_unit_test(test_connect_to_a_full_unix_backlog_gets_in_when_there_is_room),
        cmocka_unit_test(test_fd_wait_until_times_out_adopted_or_not),
        cmocka_unit_test(test_read_until_of_many_at_once_times_each_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
