/*
 * test_echo.c - bytes there and back: every kind of address, large amounts in both directions at
 * once, slow readers, and writes made of many parts.
 */
#include "support/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BIG_BYTES   (8 << 20)
#define CHUNK_BYTES 16384

/* ---- echo ---- */

static int echo(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char bytes[1000];
    ssize_t got;
    while ((got = whorl_read(fd, bytes, sizeof bytes)) > 0) {
        if (!NET_EXPECT_EQUAL(whorl_write(fd, bytes, (size_t)got), got)) {
            break;
        }
    }
    NET_EXPECT_EQUAL(got, 0);
    return whorl_close(fd);
}

static int serve(void *arg)
{
    const int listener = *(int *)arg;
    int fd;
    while ((fd = whorl_accept(listener)) >= 0) {
        NET_EXPECT_EQUAL(whorl_spawn(echo, (void *)(intptr_t)fd, NULL, NULL), 0);
    }
    return fd;
}

static int talk(void *arg)
{
    unsigned char sent[3000], got[3000];
    const int fd = net_connect(arg, WHORL_NEVER);
    if (!NET_EXPECT(fd >= 0)) {
        return fd;
    }
    for (size_t count = 1; count <= sizeof sent; count = count * 3 + 1) {
        net_fill(sent, count, count);
        NET_EXPECT_EQUAL(whorl_write(fd, sent, count), (ssize_t)count);
        NET_EXPECT_EQUAL(net_read_all(fd, got, count), (long)count);
        NET_EXPECT(memcmp(sent, got, count) == 0);
    }
    NET_EXPECT_EQUAL(whorl_shutdown(fd, SHUT_WR), 0);
    NET_EXPECT_EQUAL(whorl_read(fd, got, sizeof got), 0);
    return whorl_close(fd);
}

static int echo_main(void *arg)
{
    enum { CLIENTS = 20 };
    struct net_listener listener = net_listen(*(enum net_kind *)arg, 0);
    struct whorl_task *clients[CLIENTS];
    NET_EXPECT(listener.fd >= 0);
    struct whorl_task *const server = net_spawn(serve, &listener.fd, 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = net_spawn(talk, &listener, 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        NET_EXPECT_EQUAL(net_finish(clients[i]), 0);
    }
    net_listener_close(&listener);
    NET_EXPECT_EQUAL(net_finish(server), -EBADF);
    return 0;
}

static void test_echo_over_every_address_gives_bytes_back(void **state)
{
    /* The plain life of a server and its clients, whatever they are connected by. */
    (void)state;
    for (enum net_kind kind = 0; kind < NET_KINDS; kind++) {
        if (net_has(kind)) {
            net_run_each(echo_main, &kind);
        }
    }
}

/* ---- much, both ways ---- */

struct flow {
    int fd;
    uint64_t seed;
    bool slow;
};

static int send_much(void *arg)
{
    const struct flow *const flow = arg;
    unsigned char *const bytes = malloc(BIG_BYTES);
    net_fill(bytes, BIG_BYTES, flow->seed);
    NET_EXPECT_EQUAL(whorl_write(flow->fd, bytes, BIG_BYTES), BIG_BYTES);
    free(bytes);
    return whorl_shutdown(flow->fd, SHUT_WR);
}

/* A slow one lets everybody else run before each read, so the sender's buffers are full. */
static int receive_much(void *arg)
{
    const struct flow *const flow = arg;
    unsigned char *const bytes = malloc(CHUNK_BYTES);
    uint64_t done = 0;
    ssize_t got;
    while ((got = whorl_read(flow->fd, bytes, flow->slow ? 4999 : CHUNK_BYTES)) > 0) {
        if (!NET_EXPECT(net_matches(bytes, (size_t)got, flow->seed + done))) {
            break;
        }
        done += (uint64_t)got;
        for (int i = 0; flow->slow && i < 3; i++) {
            (void)whorl_yield();
        }
    }
    NET_EXPECT_EQUAL(got, 0);
    NET_EXPECT_EQUAL(done, BIG_BYTES);
    free(bytes);
    return 0;
}

static int flow_main(void *arg)
{
    int fds[2];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    if (*(enum net_kind *)arg != NET_TCP4) {
        net_shrink(fds[0]);
    }
    struct flow there = {.fd = fds[0], .seed = 1}, here = {.fd = fds[1], .seed = 1, .slow = true};
    struct flow back = {.fd = fds[1], .seed = 1 << 30}, home = {.fd = fds[0], .seed = 1 << 30};
    struct whorl_task *const tasks[] = {
        net_spawn(send_much, &there, 0),
        net_spawn(receive_much, &here, 0),
        net_spawn(send_much, &back, 0),
        net_spawn(receive_much, &home, 0),
    };
    for (int i = 0; i < 4; i++) {
        NET_EXPECT_EQUAL(net_finish(tasks[i]), 0);
    }
    NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    return whorl_close(fds[1]);
}

static void test_flow_of_8_mib_both_ways_arrives_exactly(void **state)
{
    /* Short writes, full buffers and a slow reader: no byte lost, doubled or out of order. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += 2) { /* one TCP, one Unix */
        net_run_each(flow_main, &kind);
    }
}

/* ---- parts ---- */

#define PARTS_MAX 1024

struct parts {
    struct iovec list[PARTS_MAX];
    unsigned char bytes[PARTS_MAX * 9];
    size_t count;
};

/* Every third part is empty, the others have 1 to 9 bytes. */
static void make_parts(struct parts *parts, int part_count)
{
    parts->count = 0;
    for (int i = 0; i < part_count; i++) {
        const size_t length = i % 3 == 0 ? 0 : (size_t)(i % 9) + 1;
        parts->list[i] = (struct iovec){parts->bytes + parts->count, length};
        parts->count += length;
    }
    net_fill(parts->bytes, parts->count, 0);
}

static void write_parts_and_check(const int fds[2], struct parts *parts, int part_count)
{
    static unsigned char got[PARTS_MAX * 9]; /* one task at a time */
    struct iovec before[PARTS_MAX];
    make_parts(parts, part_count);
    memcpy(before, parts->list, sizeof before[0] * (size_t)part_count);
    NET_EXPECT_EQUAL(whorl_writev(fds[0], parts->list, part_count), parts->count);
    NET_EXPECT(memcmp(before, parts->list, sizeof before[0] * (size_t)part_count) == 0);
    NET_EXPECT_EQUAL(net_read_all(fds[1], got, parts->count), parts->count);
    NET_EXPECT(net_matches(got, parts->count, 0));
}

static int parts_main(void *arg)
{
    const int counts[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 100, PARTS_MAX};
    struct parts *const parts = calloc(1, sizeof *parts);
    int fds[2];
    (void)arg;
    if (net_pair(NET_TCP4, fds)) {
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            write_parts_and_check(fds, parts, counts[i]);
        }
        const struct iovec empty[20] = {{0}};
        NET_EXPECT_EQUAL(whorl_writev(fds[0], empty, 20), 0);
        NET_EXPECT_EQUAL(whorl_writev(fds[0], NULL, 0), 0);
        NET_EXPECT_EQUAL(whorl_writev(fds[0], parts->list, -1), -EINVAL);
        NET_EXPECT_EQUAL(whorl_writev(fds[0], parts->list, PARTS_MAX + 1), -EINVAL);
        NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
        NET_EXPECT_EQUAL(whorl_close(fds[1]), 0);
    }
    free(parts);
    return 0;
}

static void test_writev_of_many_and_empty_parts_writes_all_in_order(void **state)
{
    /* Parts are passed on in windows of 16; the borders and empty parts must not show. */
    (void)state;
    net_run_with(parts_main, NULL,
                 &(struct whorl_options){.loops = 1, .no_pin = 1, .stack_bytes = 256 << 10});
    net_run_with(parts_main, NULL,
                 &(struct whorl_options){.loops = 2, .no_pin = 1, .stack_bytes = 256 << 10});
}

#define LARGE_PARTS 40
#define LARGE_BYTES 100000

static int write_large_parts(void *arg)
{
    struct iovec parts[LARGE_PARTS];
    unsigned char *const bytes = malloc(LARGE_PARTS * LARGE_BYTES);
    net_fill(bytes, LARGE_PARTS * LARGE_BYTES, 0);
    for (int i = 0; i < LARGE_PARTS; i++) {
        parts[i] = (struct iovec){bytes + i * LARGE_BYTES, LARGE_BYTES};
    }
    NET_EXPECT_EQUAL(whorl_writev(*(int *)arg, parts, LARGE_PARTS), LARGE_PARTS * LARGE_BYTES);
    free(bytes);
    return whorl_shutdown(*(int *)arg, SHUT_WR);
}

static int large_parts_main(void *arg)
{
    int fds[2];
    (void)arg;
    if (!net_pair(NET_UNIX_ABSTRACT, fds)) {
        return 0;
    }
    struct whorl_task *const writer = net_spawn(write_large_parts, &fds[0], 0);
    net_until_parked(writer); /* the first parts fill the buffers */
    unsigned char bytes[5000];
    uint64_t done = 0;
    ssize_t got;
    while ((got = whorl_read(fds[1], bytes, sizeof bytes)) > 0) {
        NET_EXPECT(net_matches(bytes, (size_t)got, done));
        done += (uint64_t)got;
    }
    NET_EXPECT_EQUAL(done, LARGE_PARTS * LARGE_BYTES);
    NET_EXPECT_EQUAL(net_finish(writer), 0);
    NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    return whorl_close(fds[1]);
}

static void test_writev_cut_within_parts_goes_on_there(void **state)
{
    /* Short writes end anywhere in a part; the rest of it comes next. */
    (void)state;
    net_run_each(large_parts_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_over_every_address_gives_bytes_back),
        cmocka_unit_test(test_flow_of_8_mib_both_ways_arrives_exactly),
        cmocka_unit_test(test_writev_of_many_and_empty_parts_writes_all_in_order),
        cmocka_unit_test(test_writev_cut_within_parts_goes_on_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
