/*
 * test_cancel.c - cancelling whoever waits for a descriptor: no byte and no connection is lost, the
 * count of what was written is right, and a cancel that was taken back disturbs nobody.
 */
#include "support/net.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a stream under fire ---- */

#define STREAM_BYTES 600000

struct stream {
    int fds[2];
    uint32_t begun; /* A: of reader and writer; a task cancelled before that never begins */
    uint32_t done;  /* A: those that are through */
    uint32_t shots; /* A: cancels delivered */
};

/* Goes on with what the count says was not written. */
static int write_under_fire(void *arg)
{
    struct stream *const stream = arg;
    unsigned char *const bytes = malloc(STREAM_BYTES);
    size_t place = 0;
    net_fill(bytes, STREAM_BYTES, 0);
    (void)whorl__add_u32(&stream->begun, 1);
    while (place < STREAM_BYTES) {
        const size_t left = STREAM_BYTES - place, chunk = left < 5000 ? left : place % 5000 + 1;
        const ssize_t put = whorl_write(stream->fds[0], bytes + place, chunk);
        if (put == -ECANCELED) {
            (void)whorl__add_u32(&stream->shots, 1);
        } else if (!NET_EXPECT(put > 0)) {
            break;
        }
        place += put > 0 ? (size_t)put : 0;
        (void)whorl_yield(); /* so that the reader catches up, and waits */
    }
    free(bytes);
    NET_EXPECT_EQUAL(whorl_shutdown(stream->fds[0], SHUT_WR), 0);
    (void)whorl__add_u32(&stream->done, 1);
    return 0;
}

static int read_under_fire(void *arg)
{
    struct stream *const stream = arg;
    unsigned char bytes[3000];
    uint64_t place = 0;
    ssize_t got;
    (void)whorl__add_u32(&stream->begun, 1);
    while ((got = whorl_read(stream->fds[1], bytes, 1 + place % sizeof bytes)) != 0) {
        if (got == -ECANCELED) {
            (void)whorl__add_u32(&stream->shots, 1);
            continue;
        }
        if (!NET_EXPECT(got > 0) || !NET_EXPECT(net_matches(bytes, (size_t)got, place))) {
            break;
        }
        place += (uint64_t)got;
    }
    NET_EXPECT_EQUAL(place, STREAM_BYTES);
    (void)whorl__add_u32(&stream->done, 1);
    return 0;
}

static int fire_main(void *arg)
{
    struct stream stream = {.done = 0};
    if (!net_pair(*(enum net_kind *)arg, stream.fds)) {
        return 0;
    }
    if (*(enum net_kind *)arg != NET_TCP4) {
        net_shrink(stream.fds[0]);
    }
    struct whorl_task *const writer = net_spawn(write_under_fire, &stream, 0);
    struct whorl_task *const reader = net_spawn(read_under_fire, &stream, 0);
    while (whorl__load_acquire_u32(&stream.begun) < 2) { /* pairs the adds at the beginnings */
        (void)whorl_yield();
    }
    for (int i = 0; whorl__load_acquire_u32(&stream.done) < 2;
         i++) { /* pairs the adds at the ends */
        (void)whorl_cancel(i % 2 == 0 ? writer : reader, NULL);
        for (int j = 0; j < i % 5; j++) {
            (void)whorl_yield();
        }
        (void)whorl_yield();
    }
    (void)net_finish(writer); /* a last cancel may have come after the last wait */
    (void)net_finish(reader);
    NET_EXPECT(stream.shots > 0 || whorl_loop_count() > 1); /* of several, all may have missed */
    return whorl_close(stream.fds[0]) + whorl_close(stream.fds[1]);
}

static void test_stream_whose_ends_are_cancelled_all_the_time_arrives_exactly(void **state)
{
    /* At every point of every wait: what arrives is what was sent, once, in order. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(fire_main, &kind);
    }
}

/* ---- a partial write ---- */

struct partial {
    int fd;
    ssize_t first;
    ssize_t second;
    ssize_t third;
};

#define MUCH (16 << 20)

static int write_partly(void *arg)
{
    struct partial *const partial = arg;
    unsigned char *const bytes = malloc(MUCH);
    net_fill(bytes, MUCH, 0);
    partial->first = whorl_write(partial->fd, bytes, MUCH);
    partial->second = whorl_write(partial->fd, bytes, 1);
    partial->third = whorl_write_until(partial->fd, bytes, 1, 0);
    free(bytes);
    return 0;
}

static int partial_main(void *arg)
{
    int fds[2];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    struct partial partial = {.fd = fds[0]};
    struct whorl_task *const writer = net_spawn(write_partly, &partial, 0);
    net_until_parked(writer);
    NET_EXPECT(whorl_cancel(writer, "enough"));
    NET_EXPECT_EQUAL(net_finish(writer), 0);
    NET_EXPECT(partial.first > 0 && partial.first < MUCH);
    NET_EXPECT_EQUAL(partial.second, -ECANCELED);
    NET_EXPECT_EQUAL(partial.third, -ETIMEDOUT); /* one request, told once */
    NET_EXPECT_EQUAL(whorl_shutdown(fds[0], SHUT_WR), 0);
    unsigned char bytes[8192];
    ssize_t place = 0, got;
    while ((got = whorl_read(fds[1], bytes, sizeof bytes)) > 0) {
        NET_EXPECT(net_matches(bytes, (size_t)got, (uint64_t)place));
        place += got;
    }
    NET_EXPECT_EQUAL(place, partial.first);
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_write_cancelled_half_way_tells_the_count_then_the_cancel(void **state)
{
    /* Bytes that are gone must be told; the cancel waits for the next call. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(partial_main, &kind);
    }
}

/* ---- each wait ---- */

static int wait_accept(void *arg)
{
    return whorl_accept(*(int *)arg);
}

static int wait_read(void *arg)
{
    char byte;
    return (int)whorl_read(*(int *)arg, &byte, 1);
}

static int wait_fd(void *arg)
{
    return whorl_fd_wait(*(int *)arg, POLLIN);
}

static int wait_close(void *arg)
{
    return whorl_close_until(*(int *)arg, WHORL_NEVER);
}

static int wait_connect(void *arg)
{
    return net_connect(arg, WHORL_NEVER);
}

static void cancel_in(whorl_body *body, void *arg)
{
    struct whorl_task *const task = net_spawn(body, arg, 0);
    net_until_parked(task);
    NET_EXPECT(whorl_cancel(task, NULL));
    NET_EXPECT_EQUAL(net_finish(task), -ECANCELED);
}

static void cancel_in_connect(enum net_kind kind)
{
    enum { FDS_MAX = 16 };
    int fds[FDS_MAX], count = 0;
    struct net_listener listener = net_listen(kind, 1);
    while (count < FDS_MAX &&
           (fds[count] = net_connect(&listener, whorl_after(2 * WHORL_MILLISECOND))) >= 0) {
        count++;
    }
    const int fds_before = net_open_fds();
    cancel_in(wait_connect, &listener);
    NET_EXPECT_EQUAL(net_open_fds(), fds_before);
    while (count > 0) {
        NET_EXPECT_EQUAL(whorl_close(fds[--count]), 0);
    }
    net_listener_close(&listener);
}

static int each_wait_main(void *arg)
{
    int fds[2], ends[2];
    char byte;
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        cancel_in(wait_read, &fds[0]);
        NET_EXPECT_EQUAL(whorl_write(fds[1], "x", 1), 1);
        NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), 1);
    }
    cancel_in(wait_fd, &fds[0]);
    cancel_in(wait_close, &fds[0]);
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), -EBADF); /* cancelled, and closed all the same */
    NET_EXPECT_EQUAL(whorl_close(fds[1]), 0);
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    cancel_in(wait_fd, &ends[0]);
    (void)close(ends[0]);
    (void)close(ends[1]);
    struct net_listener listener = net_listen(NET_TCP4, 0);
    cancel_in(wait_accept, &listener.fd);
    net_listener_close(&listener);
    cancel_in_connect(NET_TCP4);
    cancel_in_connect(NET_UNIX_ABSTRACT);
    return 0;
}

static void test_cancel_in_each_wait_ends_it_and_leaves_nothing_open(void **state)
{
    /* Read, fd_wait, close_until, accept, connect. */
    (void)state;
    net_run_each(each_wait_main, NULL);
}

static int race_main(void *arg)
{
    enum { ROUNDS = 200 };
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct whorl_task *const task = net_spawn(wait_accept, &listener.fd, 0);
        if (i % 2 == 0) { /* else it may be cancelled before it begins */
            net_until_parked(task);
        }
        const int near = net_connect(&listener, WHORL_NEVER);
        (void)whorl_cancel(task, NULL); /* the connection is there, too */
        int far = net_finish(task);
        if (!NET_EXPECT(far >= 0 || far == -ECANCELED)) {
            break;
        }
        far = far >= 0 ? far : whorl_accept(listener.fd); /* it was left in the backlog */
        NET_EXPECT(far >= 0 && near >= 0);
        NET_EXPECT_EQUAL(whorl_close(near), 0);
        NET_EXPECT_EQUAL(whorl_close(far), 0);
    }
    NET_EXPECT_EQUAL(whorl_accept_until(listener.fd, 0), -ETIMEDOUT);
    net_listener_close(&listener);
    return 0;
}

static void test_accept_cancelled_as_a_connection_comes_never_drops_it(void **state)
{
    /* It is handed over or stays in the backlog; net_run counts the descriptors. */
    (void)state;
    net_run_each(race_main, NULL);
}

static int withdrawn_main(void *arg)
{
    int fds[2];
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    for (int i = 0; i < 100; i++) {
        struct whorl_task *const reader = net_spawn(wait_read, &fds[0], 0);
        net_until_parked(reader);
        NET_EXPECT(whorl_cancel(reader, NULL));
        NET_EXPECT_EQUAL(whorl_uncancel(reader), 0);
        NET_EXPECT_EQUAL(whorl_write(fds[1], "x", 1), 1);
        const int got = net_finish(reader);
        char byte;
        NET_EXPECT(got == -ECANCELED || (got == 1 && arg != NULL)); /* which loop was faster */
        NET_EXPECT_EQUAL(got == 1 ? 1 : whorl_read(fds[0], &byte, 1), 1);
    }
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_canc_20_cancel_taken_back_before_it_is_seen_loses_no_byte(void **state)
{
    /* On one loop it has ended the wait already. On several the reader may have been woken for
     * nothing: it waits on, and does not report a timeout. */
    (void)state;
    net_run(withdrawn_main, NULL, 1);
    net_run(withdrawn_main, (void *)1, 2);
    net_run(withdrawn_main, (void *)1, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_whose_ends_are_cancelled_all_the_time_arrives_exactly),
        cmocka_unit_test(test_write_cancelled_half_way_tells_the_count_then_the_cancel),
        cmocka_unit_test(test_cancel_in_each_wait_ends_it_and_leaves_nothing_open),
        cmocka_unit_test(test_accept_cancelled_as_a_connection_comes_never_drops_it),
        cmocka_unit_test(test_canc_20_cancel_taken_back_before_it_is_seen_loses_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
