/*
 * test_close.c - ends of connections: half-close, reset, data and FIN at once, closing under
 * somebody's hands, and that a closed number is nobody else's file.
 */
#include "support/net.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- half-close ---- */

static int half_close_main(void *arg)
{
    int fds[2];
    char bytes[100];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    for (int side = 0; side < 2; side++) {
        NET_EXPECT_EQUAL(whorl_write(fds[side], "last words", 10), 10);
        NET_EXPECT_EQUAL(whorl_shutdown(fds[side], SHUT_WR), 0);
        NET_EXPECT_EQUAL(whorl_write(fds[side], "x", 1), -EPIPE);
        NET_EXPECT_EQUAL(net_read_all(fds[!side], bytes, sizeof bytes), 10);
        NET_EXPECT_EQUAL(whorl_read(fds[!side], bytes, sizeof bytes), 0);
    }
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_half_close_each_way_lets_the_other_go_on(void **state)
{
    /* One side is done writing and still reads; then the other side is done, too. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(half_close_main, &kind);
    }
}

struct reader {
    int fd;
    ssize_t got[3];
    char bytes[100];
};

static int read_thrice(void *arg)
{
    struct reader *const reader = arg;
    for (int i = 0; i < 3; i++) {
        reader->got[i] = whorl_read(reader->fd, reader->bytes, sizeof reader->bytes);
    }
    return 0;
}

/* A reader that has its first byte behind it, so the poller knows its socket, and waits. */
static struct whorl_task *spawn_reader(struct reader *reader, int peer)
{
    struct whorl_task *const task = net_spawn(read_thrice, reader, 0);
    net_until_parked(task);
    NET_EXPECT_EQUAL(send(peer, "1", 1, 0), 1);
    while (reader->got[0] == 0 && !whorl_task_done(task)) {
        (void)whorl_yield();
    }
    net_until_parked(task);
    return task;
}

static int fin_main(void *arg)
{
    int fds[2];
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    struct reader reader = {.fd = fds[0]};
    struct whorl_task *const task = net_spawn(read_thrice, &reader, 0);
    net_until_parked(task);
    NET_EXPECT_EQUAL(send(fds[1], "bytes", 5, 0), 5);
    NET_EXPECT_EQUAL(shutdown(fds[1], SHUT_WR), 0); /* before any loop has looked */
    NET_EXPECT_EQUAL(net_finish(task), 0);
    NET_EXPECT_EQUAL(reader.got[0], 5);
    NET_EXPECT_EQUAL(reader.got[1], 0);
    NET_EXPECT_EQUAL(reader.got[2], 0);
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_data_and_fin_in_one_edge_are_both_read(void **state)
{
    /* A short read takes the data; the FIN has no edge of its own. */
    (void)state;
    for (int i = 0; i < 20; i++) {
        net_run(fin_main, NULL, 1 + i % 3);
    }
    net_run(fin_main, NULL, 8);
}

/* ---- reset ---- */

static void reset(int fd)
{
    net_reset_on_close(fd);
    NET_EXPECT_EQUAL(whorl_close(fd), 0);
}

static int write_until_failure(void *arg)
{
    static const char zeroes[65536];
    ssize_t put;
    do {
        put = whorl_write(*(int *)arg, zeroes, sizeof zeroes);
    } while (put > 0);
    return (int)put;
}

static void reset_before_use(void)
{
    int fds[2];
    char byte;
    if (net_pair(NET_TCP4, fds)) {
        reset(fds[1]);
        NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), -ECONNRESET);
        NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), 0); /* the kernel tells it once */
        NET_EXPECT_EQUAL(whorl_write(fds[0], "x", 1), -EPIPE);
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    }
}

static void reset_while_reading(void)
{
    int fds[2];
    if (net_pair(NET_TCP4, fds)) {
        struct reader reader = {.fd = fds[0]};
        struct whorl_task *const task = spawn_reader(&reader, fds[1]);
        reset(fds[1]);
        NET_EXPECT_EQUAL(net_finish(task), 0);
        NET_EXPECT_EQUAL(reader.got[0], 1);
        NET_EXPECT_EQUAL(reader.got[1], -ECONNRESET);
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    }
}

static void reset_while_writing(void)
{
    int fds[2];
    if (net_pair(NET_TCP4, fds)) {
        struct whorl_task *const task = net_spawn(write_until_failure, &fds[0], 0);
        net_until_parked(task);
        reset(fds[1]);
        const int error = net_finish(task);
        NET_EXPECT(error == -ECONNRESET || error == -EPIPE);
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    }
}

/* Reset before it was accepted: the listener goes on, and the next connection is served. */
static void reset_before_accept(void)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    const int first = net_connect(&listener, WHORL_NEVER);
    reset(first);
    const int second = net_connect(&listener, WHORL_NEVER);
    const int taken = whorl_accept(listener.fd); /* Linux hands out the dead one as well */
    char byte;
    const ssize_t got = whorl_read(taken, &byte, 1);
    NET_EXPECT(got == -ECONNRESET || got == 0);
    const int served = whorl_accept(listener.fd);
    NET_EXPECT_EQUAL(whorl_write(second, "x", 1), 1);
    NET_EXPECT_EQUAL(whorl_read(served, &byte, 1), 1);
    NET_EXPECT_EQUAL(whorl_close(taken), 0);
    NET_EXPECT_EQUAL(whorl_close(second), 0);
    NET_EXPECT_EQUAL(whorl_close(served), 0);
    net_listener_close(&listener);
}

static int reset_main(void *arg)
{
    (void)arg;
    reset_before_use();
    reset_while_reading();
    reset_while_writing();
    reset_before_accept();
    return 0;
}

static void test_reset_in_each_phase_is_told_once_and_harms_nobody_else(void **state)
{
    /* Before the first call, under a reader, under a writer, in the backlog. */
    (void)state;
    net_run_each(reset_main, NULL);
}

static int epipe_main(void *arg)
{
    int fds[2];
    if (net_pair(*(enum net_kind *)arg, fds)) {
        struct iovec parts[2] = {{(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
        NET_EXPECT_EQUAL(whorl_close(fds[1]), 0);
        (void)!whorl_write(fds[0], "x", 1); /* TCP learns by this one */
        char byte;
        (void)!whorl_read(fds[0], &byte, 1);
        NET_EXPECT_EQUAL(whorl_write(fds[0], "x", 1), -EPIPE);
        NET_EXPECT_EQUAL(whorl_writev(fds[0], parts, 2), -EPIPE);
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    }
    return 0;
}

static void test_write_to_a_peer_that_is_gone_is_epipe_without_signal(void **state)
{
    /* SIGPIPE would end the process, and this test with it. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(epipe_main, &kind);
    }
}

/* ---- closed by another task ---- */

static int read_one(void *arg)
{
    char byte;
    return (int)whorl_read(*(int *)arg, &byte, 1);
}

static int accept_one(void *arg)
{
    return whorl_accept(*(int *)arg);
}

static int connect_one(void *arg)
{
    return net_connect(arg, WHORL_NEVER);
}

static void close_under(whorl_body *body, int fd)
{
    struct whorl_task *const task = net_spawn(body, &fd, 0);
    net_until_parked(task);
    NET_EXPECT_EQUAL(whorl_close(fd), 0);
    NET_EXPECT_EQUAL(whorl_close(fd), -EBADF);
    NET_EXPECT_EQUAL(net_finish(task), -EBADF);
}

/* The writer has put some bytes before it waited: the count comes first, the error at the next. */
static void close_under_writer(enum net_kind kind)
{
    int fds[2];
    if (net_pair(kind, fds)) {
        close_under(write_until_failure, fds[0]);
        NET_EXPECT_EQUAL(whorl_close(fds[1]), 0);
    }
}

/* A Unix listener whose backlog is full keeps connect waiting. */
static void close_under_connect(void)
{
    struct net_listener listener = net_listen(NET_UNIX_ABSTRACT, 1);
    int first[8];
    int count = 0;
    while (count < 8 && (first[count] = net_connect(&listener, whorl_now())) >= 0) {
        count++;
    }
    NET_EXPECT_EQUAL(count < 8 ? first[count] : 0, -ETIMEDOUT);
    const int next = dup(0); /* the number that connect will get */
    (void)close(next);
    struct whorl_task *const task = net_spawn(connect_one, &listener, 0);
    net_until_parked(task);
    NET_EXPECT_EQUAL(whorl_close(next), 0);
    NET_EXPECT_EQUAL(net_finish(task), -EBADF);
    while (count > 0) {
        NET_EXPECT_EQUAL(whorl_close(first[--count]), 0);
    }
    net_listener_close(&listener);
}

static int close_under_main(void *arg)
{
    int fds[2];
    (void)arg;
    if (net_pair(NET_TCP4, fds)) {
        close_under(read_one, fds[0]);
        NET_EXPECT_EQUAL(whorl_close(fds[1]), 0);
    }
    close_under_writer(NET_TCP4);
    close_under_writer(NET_UNIX_ABSTRACT);
    struct net_listener listener = net_listen(NET_TCP4, 0);
    close_under(accept_one, listener.fd);
    close_under_connect();
    return 0;
}

static void test_close_by_another_task_is_ebadf_to_whoever_waits(void **state)
{
    /* Reading, writing, accepting, connecting; a second close is refused. */
    (void)state;
    net_run_each(close_under_main, NULL);
}

#define READERS 4

struct hunt {
    int fd;
    uint32_t ended; /* A: readers that are through */
};

static int read_while_closed(void *arg)
{
    struct hunt *const hunt = arg;
    char bytes[16];
    ssize_t got;
    while ((got = whorl_read(hunt->fd, bytes, sizeof bytes)) > 0 || got == -EBUSY) {
        NET_EXPECT(got < 0 || bytes[0] == 'g'); /* not of the bait */
        (void)whorl_yield();
    }
    NET_EXPECT_EQUAL(got, -EBADF);
    (void)whorl__add_u32(&hunt->ended, 1);
    return 0;
}

static int feed(void *arg)
{
    while (send(*(int *)arg, "good", 4, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        (void)whorl_yield();
    }
    return 0;
}

/* Pipes that hold other bytes take every number that is free. */
static void bait(int pipes[][2], int count)
{
    for (int i = 0; i < count; i++) {
        NET_EXPECT_EQUAL(pipe2(pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
        NET_EXPECT_EQUAL(write(pipes[i][1], "bad", 3), 3);
    }
}

static void check_bait(int pipes[][2], int count)
{
    char bytes[4];
    for (int i = 0; i < count; i++) {
        NET_EXPECT_EQUAL(read(pipes[i][0], bytes, sizeof bytes), 3);
        (void)close(pipes[i][0]);
        (void)close(pipes[i][1]);
    }
}

static int hunt_main(void *arg)
{
    enum { PIPES = 8 };
    (void)arg;
    for (int round = 0; round < 100; round++) {
        int fds[2], pipes[PIPES][2];
        if (!net_raw_pair(SOCK_STREAM, fds)) {
            return 0;
        }
        NET_EXPECT_EQUAL(whorl_fd_adopt(fds[0]), 0);
        struct hunt hunt = {.fd = fds[0]};
        struct whorl_task *readers[READERS];
        for (int i = 0; i < READERS; i++) {
            readers[i] = net_spawn(read_while_closed, &hunt, 0);
        }
        struct whorl_task *const feeder = net_spawn(feed, &fds[1], 0);
        for (int i = 0; i < round % 7; i++) {
            (void)whorl_yield();
        }
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
        bait(pipes, PIPES);
        for (int i = 0; i < READERS; i++) {
            NET_EXPECT_EQUAL(net_finish(readers[i]), 0);
        }
        NET_EXPECT_EQUAL(net_finish(feeder), 0);
        check_bait(pipes, PIPES);
        (void)close(fds[1]);
    }
    return 0;
}

static void test_close_never_lets_a_reader_touch_the_next_file_of_that_number(void **state)
{
    /* The number goes back to the kernel when the last call has left, not before. */
    (void)state;
    net_run_each(hunt_main, NULL);
}

static int second_main(void *arg)
{
    int fds[2];
    char byte;
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    struct whorl_task *const reader = net_spawn(read_one, &fds[0], 0);
    net_until_parked(reader);
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), -EBUSY);
    NET_EXPECT_EQUAL(whorl_write(fds[0], "x", 1), 1); /* the other direction is free */
    NET_EXPECT_EQUAL(whorl_write(fds[1], "x", 1), 1);
    NET_EXPECT_EQUAL(net_finish(reader), 1); /* the first one was not disturbed */
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_second_reader_is_ebusy_and_the_first_undisturbed(void **state)
{
    /* Two readers of one stream would tear it apart. */
    (void)state;
    net_run_each(second_main, NULL);
}

/* ---- close with a drain ---- */

static int drain_main(void *arg)
{
    enum { BYTES = 1 << 20 };
    int fds[2];
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    unsigned char *const bytes = malloc(BYTES);
    net_fill(bytes, BYTES, 0);
    NET_EXPECT_EQUAL(whorl_write(fds[0], bytes, BYTES), BYTES);
    NET_EXPECT_EQUAL(whorl_write(fds[1], "unread", 6), 6); /* else its close would be a reset */
    NET_EXPECT_EQUAL(whorl_close_until(fds[0], whorl_now()), -ETIMEDOUT);
    NET_EXPECT_EQUAL(whorl_read(fds[0], bytes, 1), -EBADF);
    memset(bytes, 0, BYTES);
    NET_EXPECT_EQUAL(net_read_all(fds[1], bytes, BYTES), BYTES);
    NET_EXPECT(net_matches(bytes, BYTES, 0));
    free(bytes);
    return whorl_close(fds[1]);
}

static int close_gently(void *arg)
{
    return whorl_close_until(*(int *)arg, WHORL_NEVER);
}

static int drain_until_peer_closes_main(void *arg)
{
    int fds[2];
    char bytes[100];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    NET_EXPECT_EQUAL(whorl_write(fds[0], "last words", 10), 10);
    struct whorl_task *const closer = net_spawn(close_gently, &fds[0], 0);
    net_until_parked(closer);
    NET_EXPECT_EQUAL(whorl_write(fds[1], "late words", 10), 10);
    NET_EXPECT_EQUAL(net_read_all(fds[1], bytes, sizeof bytes), 10);
    NET_EXPECT(!whorl_task_done(closer));
    NET_EXPECT_EQUAL(whorl_close(fds[1]), 0);
    return net_finish(closer);
}

static void test_close_until_waits_for_the_peer_and_not_for_ever(void **state)
{
    /* All that was written arrives, though the peer still wrote; the deadline ends the wait. */
    (void)state;
    net_run_each(drain_main, NULL);
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(drain_until_peer_closes_main, &kind);
    }
}

static int close_until_errors_main(void *arg)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    int ends[2];
    (void)arg;
    NET_EXPECT_EQUAL(whorl_close_until(-1, WHORL_NEVER), -EBADF);
    NET_EXPECT_EQUAL(whorl_close_until(listener.fd, WHORL_NEVER), 0);
    NET_EXPECT_EQUAL(whorl_close_until(listener.fd, WHORL_NEVER), -EBADF);
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    NET_EXPECT_EQUAL(whorl_close_until(ends[0], WHORL_NEVER), 0); /* no socket: just closed */
    return close(ends[1]);
}

static void test_close_until_of_what_has_no_peer_just_closes(void **state)
{
    /* A listener and a pipe have nothing to wait for. */
    (void)state;
    net_run(close_until_errors_main, NULL, 1);
    net_run(close_until_errors_main, NULL, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_close_each_way_lets_the_other_go_on),
        cmocka_unit_test(test_data_and_fin_in_one_edge_are_both_read),
        cmocka_unit_test(test_reset_in_each_phase_is_told_once_and_harms_nobody_else),
        cmocka_unit_test(test_write_to_a_peer_that_is_gone_is_epipe_without_signal),
        cmocka_unit_test(test_close_by_another_task_is_ebadf_to_whoever_waits),
        cmocka_unit_test(test_close_never_lets_a_reader_touch_the_next_file_of_that_number),
        cmocka_unit_test(test_second_reader_is_ebusy_and_the_first_undisturbed),
        cmocka_unit_test(test_close_until_waits_for_the_peer_and_not_for_ever),
        cmocka_unit_test(test_close_until_of_what_has_no_peer_just_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
