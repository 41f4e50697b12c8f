/*
 * net.c - what tests of sockets share; see net.h.
 */
#include "support/net.h"

#include "support/tell.h"

#include "state/task.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- failures ---- */

static uint32_t failures; /* A: orders nothing, read when all threads are joined */

bool net_expect(bool condition, const char *text, const char *file, int line)
{
    if (!condition) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
        (void)whorl__add_u32(&failures, 1);
    }
    return condition;
}

bool net_expect_equal(long long got, long long wanted, const char *text, const char *file, int line)
{
    if (got != wanted) {
        fprintf(stderr, "%s:%d: %s is %lld, wanted %lld\n", file, line, text, got, wanted);
        (void)whorl__add_u32(&failures, 1);
    }
    return got == wanted;
}

int net_take_failures(void)
{
    return (int)whorl__swap_u32(&failures, 0);
}

/* ---- a run ---- */

int net_open_fds(void)
{
    DIR *const folder = opendir("/proc/self/fd");
    int count = -1; /* the folder's own */
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

void net_run_with(whorl_body *body, void *arg, const struct whorl_options *options)
{
    const int fds_before = net_open_fds();
    (void)net_take_failures();
    const int error = whorl_run(body, arg, options);
    assert_int_equal(net_take_failures(), 0);
    assert_int_equal(error, 0);
    assert_int_equal(net_open_fds(), fds_before);
}

void net_run(whorl_body *body, void *arg, int loops)
{
    /* On a busy machine any task may seem to hold its loop for long: no reports. */
    net_run_with(body, arg,
                 &(struct whorl_options){.loops = loops, .no_pin = 1, .report_ns = WHORL_NEVER});
}

void net_run_each(whorl_body *body, void *arg)
{
    net_run(body, arg, 1);
    net_run(body, arg, 2);
    net_run(body, arg, 8);
}

/* ---- sockets ---- */

static struct net_listener listen_on_unix(struct net_listener listener, const char *format,
                                          int backlog)
{
    static uint32_t serial; /* A: names of one process differ */
    const char *const folder = getenv("TMPDIR");
    snprintf(listener.path, sizeof listener.path, format, folder != NULL ? folder : P_tmpdir,
             (int)getpid(), (unsigned)whorl__add_u32(&serial, 1));
    listener.fd = whorl_unix_listen(listener.path, backlog);
    return listener;
}

struct net_listener net_listen(enum net_kind kind, int backlog)
{
    struct net_listener listener = {.kind = kind};
    switch (kind) {
    case NET_TCP4:
    case NET_TCP6:
        listener.fd = whorl_tcp_listen(kind == NET_TCP4 ? "127.0.0.1" : "::1", 0, backlog, 0);
        listener.port = listener.fd < 0 ? 0 : whorl_socket_port(listener.fd);
        break;
    case NET_UNIX_PATH:
        return listen_on_unix(listener, "%s/whorl-net-%d-%u", backlog);
    case NET_UNIX_ABSTRACT:
        return listen_on_unix(listener, "@%s/whorl-net-%d-%u", backlog);
    }
    return listener;
}

int net_connect(const struct net_listener *listener, int64_t deadline_ns)
{
    switch (listener->kind) {
    case NET_TCP4:
        return whorl_tcp_connect_until("127.0.0.1", listener->port, deadline_ns);
    case NET_TCP6:
        return whorl_tcp_connect_until("::1", listener->port, deadline_ns);
    default:
        return whorl_unix_connect_until(listener->path, deadline_ns);
    }
}

void net_listener_close(struct net_listener *listener)
{
    NET_EXPECT_EQUAL(whorl_close(listener->fd), 0);
    if (listener->kind == NET_UNIX_PATH) {
        (void)unlink(listener->path);
    }
}

bool net_has(enum net_kind kind)
{
    if (kind != NET_TCP6) {
        return true;
    }
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    const bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return bound;
}

bool net_pair(enum net_kind kind, int ret_fds[2])
{
    struct net_listener listener = net_listen(kind, 0);
    if (!NET_EXPECT(listener.fd >= 0)) {
        return false;
    }
    ret_fds[0] = net_connect(&listener, WHORL_NEVER);
    ret_fds[1] = ret_fds[0] < 0 ? -1 : whorl_accept(listener.fd);
    net_listener_close(&listener);
    return NET_EXPECT(ret_fds[0] >= 0) && NET_EXPECT(ret_fds[1] >= 0);
}

bool net_raw_pair(int type, int ret_fds[2])
{
    return NET_EXPECT_EQUAL(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds),
                            0);
}

void net_shrink(int fd)
{
    const int bytes = 4096; /* the kernel raises it to its minimum */
    NET_EXPECT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

void net_reset_on_close(int fd)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};
    NET_EXPECT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
}

/* ---- streams ---- */

void net_fill(void *bytes, size_t count, uint64_t place)
{
    unsigned char *const to = bytes;
    for (size_t i = 0; i < count; i++) {
        to[i] = net_byte(place + i);
    }
}

bool net_matches(const void *bytes, size_t count, uint64_t place)
{
    const unsigned char *const from = bytes;
    for (size_t i = 0; i < count; i++) {
        if (from[i] != net_byte(place + i)) {
            fprintf(stderr, "byte %llu of the stream is wrong\n", (unsigned long long)(place + i));
            return false;
        }
    }
    return true;
}

long net_read_all(int fd, void *ret_bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        const ssize_t got = whorl_read(fd, (char *)ret_bytes + done, count - done);
        if (got <= 0) {
            return got < 0 ? got : (long)done;
        }
        done += (size_t)got;
    }
    return (long)done;
}

/* ---- tasks ---- */

struct whorl_task *net_spawn(whorl_body *body, void *arg, int pin)
{
    struct whorl_task *task = NULL;
    NET_EXPECT_EQUAL(whorl_spawn(body, arg, &(struct whorl_attr){.pin = pin}, &task), 0);
    return task;
}

int net_finish(struct whorl_task *task)
{
    if (task == NULL) {
        return -ENOENT;
    }
    const int error = whorl_await(task, NULL);
    whorl_task_unref(task);
    return error;
}

static bool is_parked(struct whorl_task *task)
{
    const uint64_t word = whorl__load_acquire_u64(&task->word); /* acquire: it did all before */
    return whorl__state_phase(word) == WHORL__PARKED;
}

void net_until_parked(struct whorl_task *task)
{
    while (task != NULL && !is_parked(task) && !whorl_task_done(task)) {
        (void)whorl_yield();
    }
}

struct trickle {
    int fd;
    int count;
    uint64_t place; /* A: by the reader */
};

static int read_trickle(void *arg)
{
    struct trickle *const trickle = arg;
    for (int i = 0; i < trickle->count; i++) {
        unsigned char bytes[2];
        const ssize_t got = whorl_read(trickle->fd, bytes, sizeof bytes);
        if (!NET_EXPECT_EQUAL(got, 1) || !NET_EXPECT(net_matches(bytes, 1, trickle->place))) {
            break;
        }
        (void)whorl__add_u64(&trickle->place, 1);
    }
    return 0;
}

void net_read_waiting(int loop, int fd, int peer, int count, uint64_t *place)
{
    struct trickle trickle = {.fd = fd, .count = count, .place = *place};
    struct whorl_task *const reader = net_spawn(read_trickle, &trickle, WHORL_PIN(loop));
    for (const uint64_t end = *place + (uint64_t)count; *place < end; ++*place) {
        const unsigned char byte = net_byte(*place);
        net_until_parked(reader);
        NET_EXPECT_EQUAL(whorl_write(peer, &byte, 1), 1);
        /* acquire, pairs the reader's add: for what comes next it has to wait again */
        while (whorl__load_acquire_u64(&trickle.place) <= *place && !whorl_task_done(reader)) {
            (void)whorl_yield();
        }
    }
    NET_EXPECT_EQUAL(net_finish(reader), 0);
}
