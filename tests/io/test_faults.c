/*
 * test_faults.c - one system call at a time made to fail: the right error at the right task, nobody
 * else disturbed, nothing left open.
 */
#include "support/faults.h"
#include "support/net.h"

#include "sched/sched.h"
#include "sys/os.h"
#include "task/park.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* From now on that many calls of the entry fail so; detail as in support/faults.h. */
static void fail_calls(enum faults_entry entry, int detail, int error, uint32_t count)
{
    faults_order(&(struct faults_order){.entry = entry,
                                        .phase = FAULTS_ANY_PHASE,
                                        .detail = detail,
                                        .error = error,
                                        .first = 1,
                                        .count = count});
}

static void fail_nothing(void)
{
    faults_order(NULL);
}

static int set_up(void **state)
{
    (void)state;
    faults_install();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    faults_remove();
    return 0;
}

/* ---- the poller refuses ---- */

static void check_poller_refuses(int error)
{
    enum { MUCH = 16 << 20 };
    int fds[2], ends[2];
    char byte;
    struct net_listener listener = net_listen(NET_TCP4, 0);
    char *const bytes = calloc(1, MUCH);
    if (!net_pair(NET_UNIX_ABSTRACT, fds)) {
        return;
    }
    fail_calls(FAULTS_epoll_ctl, EPOLL_CTL_ADD, error, UINT32_MAX);
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), error);
    const ssize_t put = whorl_write(fds[0], bytes, MUCH);
    NET_EXPECT(put > 0 && put < MUCH); /* what was written is told first */
    NET_EXPECT_EQUAL(whorl_write(fds[0], bytes, 1), error);
    NET_EXPECT_EQUAL(whorl_accept(listener.fd), error);
    NET_EXPECT_EQUAL(whorl_tcp_connect("127.0.0.1", listener.port), error);
    NET_EXPECT_EQUAL(whorl_fd_wait(fds[0], POLLIN), error);
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), error);
    NET_EXPECT_EQUAL(whorl_fd_wait(ends[0], POLLIN), error);
    NET_EXPECT_EQUAL(close(ends[0]) + close(ends[1]), 0); /* still the caller's */
    fail_nothing();
    NET_EXPECT_EQUAL(net_read_all(fds[1], bytes, (size_t)put), put);
    NET_EXPECT_EQUAL(whorl_write(fds[1], "x", 1), 1);
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), 1);
    NET_EXPECT_EQUAL(whorl_read_until(fds[0], &byte, 1, 0), -ETIMEDOUT); /* it can wait now */
    NET_EXPECT_EQUAL(whorl_close(fds[0]) + whorl_close(fds[1]), 0);
    free(bytes);
    net_listener_close(&listener);
}

static int poller_refuses_main(void *arg)
{
    (void)arg;
    check_poller_refuses(-ENOSPC);
    check_poller_refuses(-ENOMEM);
    return 0;
}

static void test_poller_that_takes_nothing_is_told_to_each_waiter(void **state)
{
    /* The limit of watches (fs.epoll.max_user_watches) or of memory; later all works again. */
    (void)state;
    net_run_each(poller_refuses_main, NULL);
}

static int no_move_main(void *arg)
{
    int fds[2];
    uint64_t place = 0;
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    net_read_waiting(0, fds[1], fds[0], 1, &place); /* nobody has waited for this end before */
    fail_calls(FAULTS_epoll_ctl, EPOLL_CTL_ADD, -ENOSPC, UINT32_MAX);
    net_read_waiting(1, fds[1], fds[0], 20, &place);
    NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), 0);
    NET_EXPECT_EQUAL(NET_STAT(moves), 0);
    fail_nothing();
    net_read_waiting(1, fds[1], fds[0], 20, &place);
    NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), 1);
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_move_that_the_new_poller_refuses_stays_at_home(void **state)
{
    /* Data goes on coming through the old one; a later attempt succeeds. */
    (void)state;
    net_run(no_move_main, NULL, 2);
}

/* ---- accept ---- */

static void accept_after(struct net_listener *listener, int error, uint32_t count)
{
    const int near = net_connect(listener, WHORL_NEVER);
    fail_calls(FAULTS_accept, 0, error, count);
    const int far = whorl_accept(listener->fd);
    NET_EXPECT(near >= 0 && far >= 0);
    NET_EXPECT_EQUAL(faults_hits(), count);
    NET_EXPECT_EQUAL(whorl_close(near) + whorl_close(far), 0);
}

static int accept_faults_main(void *arg)
{
    static const int peers[] = {-ECONNABORTED, -EPROTO, -EPERM, -ENETDOWN, -EHOSTUNREACH};
    static const int shortages[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};
    static const int fatal[] = {-EINVAL, -EOPNOTSUPP, -EIO};
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        accept_after(&listener, peers[i], 200);
    }
    for (size_t i = 0; i < sizeof shortages / sizeof shortages[0]; i++) {
        accept_after(&listener, shortages[i], 1);
    }
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        fail_calls(FAULTS_accept, 0, fatal[i], 1);
        NET_EXPECT_EQUAL(whorl_accept(listener.fd), fatal[i]);
    }
    fail_nothing();
    const int near = net_connect(&listener, WHORL_NEVER);
    const int far = whorl_accept(listener.fd);
    NET_EXPECT_EQUAL(whorl_close(near) + whorl_close(far), 0);
    net_listener_close(&listener);
    return 0;
}

static void drop_line(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static void test_accept_passes_over_peers_waits_out_shortages_and_tells_the_rest(void **state)
{
    /* Whose fault it was decides what happens. */
    (void)state;
    net_run_with(accept_faults_main, NULL,
                 &(struct whorl_options){.loops = 1, .no_pin = 1, .log = drop_line});
    net_run_with(accept_faults_main, NULL,
                 &(struct whorl_options){.loops = 2, .no_pin = 1, .log = drop_line});
}

static uint32_t accept_lines; /* A */

static void count_line(void *arg, const char *line)
{
    (void)arg;
    (void)whorl__add_u32(&accept_lines, strstr(line, "accept") != NULL);
}

static int accept_task(void *arg)
{
    return whorl_accept(*(const int *)arg);
}

/* A filter that refuses every accept looks like a peer that gave up, for ever. */
static int refused_for_ever_main(void *arg)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    fail_calls(FAULTS_accept, 0, -EPERM, UINT32_MAX);
    const int64_t start_ns = whorl_now();
    NET_EXPECT_EQUAL(whorl_accept_until(listener.fd, whorl_after(20 * WHORL_MILLISECOND)),
                     -ETIMEDOUT);
    const int64_t pauses = (whorl_now() - start_ns) / WHORL_MILLISECOND;
    NET_EXPECT(faults_hits() <= 64 * (uint32_t)(pauses + 1));
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&accept_lines), 1);
    struct whorl_task *const cancelled = net_spawn(accept_task, &listener.fd, 0);
    net_until_parked(cancelled);
    NET_EXPECT(whorl_cancel(cancelled, NULL));
    NET_EXPECT_EQUAL(net_finish(cancelled), -ECANCELED);
    struct whorl_task *const closed = net_spawn(accept_task, &listener.fd, 0);
    net_until_parked(closed);
    net_listener_close(&listener);
    NET_EXPECT_EQUAL(net_finish(closed), -EBADF);
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&accept_lines),
                     1); /* of the same listener: said once */
    return 0;
}

static void run_counting_lines(whorl_body *body, int loops)
{
    whorl__store_release_u32(&accept_lines, 0);
    net_run_with(body, NULL,
                 &(struct whorl_options){
                     .loops = loops, .no_pin = 1, .report_ns = WHORL_NEVER, .log = count_line});
}

static void test_accept_refused_for_ever_pauses_says_so_and_can_be_ended(void **state)
{
    /* It neither spins nor holds its loop; the deadline, a cancel and a close get through. */
    (void)state;
    run_counting_lines(refused_for_ever_main, 1);
    run_counting_lines(refused_for_ever_main, 2);
}

/* The first allocation is for the record of the connection. */
static int accept_without_memory_main(void *arg)
{
    const bool no_timer = arg != NULL;
    struct net_listener listener = net_listen(NET_TCP4, 0);
    char byte = 0;
    (void)arg;
    const int near = net_connect(&listener, WHORL_NEVER);
    int high[WHORL__RECORDS_CHUNK];
    int count = 0;
    do {
        high[count] = dup(0);
    } while (high[count++] < WHORL__RECORDS_CHUNK - 1);
    fail_calls(FAULTS_alloc, 0, -ENOMEM, no_timer ? 4 : 1);
    const int far = whorl_accept(listener.fd);
    NET_EXPECT(far >= WHORL__RECORDS_CHUNK);
    NET_EXPECT_EQUAL(faults_hits(), no_timer ? 4 : 1);
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&accept_lines), 1);
    NET_EXPECT_EQUAL(whorl_write(near, "x", 1), 1); /* the same connection: it was kept */
    NET_EXPECT_EQUAL(whorl_read(far, &byte, 1), 1);
    NET_EXPECT_EQUAL(whorl_close(near) + whorl_close(far), 0);
    while (count > 0) {
        NET_EXPECT_EQUAL(close(high[--count]), 0);
    }
    net_listener_close(&listener);
    return 0;
}

static void test_accept_without_memory_keeps_the_connection_and_waits(void **state)
{
    /* Memory for the record comes late; and once, not even the pause finds any for its timer. */
    static int no_timer;
    (void)state;
    run_counting_lines(accept_without_memory_main, 1);
    run_counting_lines(accept_without_memory_main, 2);
    whorl__store_release_u32(&accept_lines, 0);
    net_run_with(accept_without_memory_main, &no_timer,
                 &(struct whorl_options){.loops = 1, .no_pin = 1, .log = count_line});
}

/* ---- closing ---- */

static int close_cannot_wait_main(void *arg)
{
    int fds[2];
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    fail_calls(FAULTS_alloc, 0, -ENOMEM, 1); /* of the first timer */
    NET_EXPECT_EQUAL(whorl_close_until(fds[0], whorl_after(60 * WHORL_SECOND)), -ENOMEM);
    NET_EXPECT_EQUAL(whorl_close(fds[0]), -EBADF);
    fail_calls(FAULTS_epoll_ctl, EPOLL_CTL_ADD, -ENOSPC, 1);
    NET_EXPECT_EQUAL(whorl_close_until(fds[1], WHORL_NEVER), 0); /* the peer has closed: no wait */
    return 0;
}

static void test_close_that_cannot_wait_closes_and_says_why(void **state)
{
    /* 0 would mean that all had arrived. */
    (void)state;
    net_run(close_cannot_wait_main, NULL, 1);
}

/* ---- making sockets ---- */

static const struct {
    enum faults_entry entry;
    int detail;
} steps[] = {
    {FAULTS_socket, 0}, {FAULTS_setsockopt, SO_REUSEADDR}, {FAULTS_bind, 0}, {FAULTS_listen, 0}};

static int listen_fails_main(void *arg)
{
    const int fds_before = net_open_fds();
    (void)arg;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        fail_calls(steps[i].entry, steps[i].detail, -EACCES, 1);
        NET_EXPECT_EQUAL(whorl_tcp_listen("127.0.0.1", 0, 0, 0), -EACCES);
        NET_EXPECT_EQUAL(net_open_fds(), fds_before);
        const int listener = whorl_tcp_listen("127.0.0.1", 0, 0, 0);
        NET_EXPECT(listener >= 0);
        NET_EXPECT_EQUAL(whorl_close(listener), 0);
    }
    return 0;
}

static void test_listen_failing_at_each_call_leaves_nothing_open(void **state)
{
    /* socket, setsockopt, bind, listen in turn. */
    (void)state;
    net_run(listen_fails_main, NULL, 1);
}

static int busy_unlink(const char *path)
{
    const int error = whorl__os_linux.unlink(path);
    return error == 0 ? -EBUSY : error;
}

/* The file that bind has made is gone again, or the second try would find it: -EADDRINUSE. */
static int unix_listen_fails_main(void *arg)
{
    (void)arg;
    fail_calls(FAULTS_listen, 0, -EACCES, 2);
    const struct net_listener listener = net_listen(NET_UNIX_PATH, 0);
    NET_EXPECT_EQUAL(listener.fd, -EACCES);
    NET_EXPECT_EQUAL(access(listener.path, F_OK), -1);
    NET_EXPECT_EQUAL(whorl_unix_listen(listener.path, 0), -EACCES);
    NET_EXPECT_EQUAL(access(listener.path, F_OK), -1);
    const int other = whorl_unix_listen(listener.path, 0);
    NET_EXPECT(other >= 0);
    NET_EXPECT_EQUAL(whorl_unix_listen(listener.path, 0), -EADDRINUSE); /* not ours to remove */
    NET_EXPECT_EQUAL(access(listener.path, F_OK), 0);
    NET_EXPECT_EQUAL(unlink(listener.path), 0);
    return whorl_close(other);
}

static void test_unix_listen_that_fails_leaves_no_file(void **state)
{
    /* Nor does it tell what unlink then says. */
    (void)state;
    net_run(unix_listen_fails_main, NULL, 1);
    faults_table()->unlink = busy_unlink;
    net_run(unix_listen_fails_main, NULL, 1);
}

static int no_record_main(void *arg)
{
    /* The first descriptor beyond those whose records are there already needs a new chunk. */
    struct net_listener listener = net_listen(NET_TCP4, 0);
    int ends[2];
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    const int high = fcntl(ends[0], F_DUPFD_CLOEXEC, WHORL__RECORDS_CHUNK);
    NET_EXPECT(high >= WHORL__RECORDS_CHUNK);
    fail_calls(FAULTS_alloc, 0, -ENOMEM, 1);
    NET_EXPECT_EQUAL(whorl_fd_adopt(high), -ENOMEM);
    NET_EXPECT_EQUAL(whorl_fd_adopt(high), 0);
    NET_EXPECT_EQUAL(whorl_close(high), 0);
    NET_EXPECT_EQUAL(close(ends[0]) + close(ends[1]), 0);
    net_listener_close(&listener);
    return 0;
}

static int no_first_record_main(void *arg)
{
    const int fds_before = net_open_fds();
    (void)arg;
    fail_calls(FAULTS_alloc, 0, -ENOMEM, 1);
    NET_EXPECT_EQUAL(whorl_tcp_listen("127.0.0.1", 0, 0, 0), -ENOMEM);
    fail_calls(FAULTS_alloc, 0, -ENOMEM, 1);
    NET_EXPECT_EQUAL(whorl_tcp_connect("127.0.0.1", 1), -ENOMEM);
    NET_EXPECT_EQUAL(net_open_fds(), fds_before);
    return 0;
}

static void test_record_without_memory_is_enomem_and_the_descriptor_closed(void **state)
{
    /* One that whorl made is closed again, one that was given stays the caller's. */
    (void)state;
    net_run(no_record_main, NULL, 1);
    net_run(no_first_record_main, NULL, 1);
}

/* ---- connect ---- */

static int connect_fails_main(void *arg)
{
    static const int errors[] = {-ENETUNREACH, -EADDRNOTAVAIL, -ETIMEDOUT, -EACCES};
    struct net_listener listener = net_listen(NET_TCP4, 0);
    const int fds_before = net_open_fds();
    (void)arg;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fail_calls(FAULTS_connect, 0, errors[i], 1);
        NET_EXPECT_EQUAL(net_connect(&listener, WHORL_NEVER), errors[i]);
        NET_EXPECT_EQUAL(net_open_fds(), fds_before);
    }
    net_listener_close(&listener);
    return 0;
}

static uint32_t interrupted; /* A: connects */

/* Interrupted: the kernel goes on by itself. */
static int interrupted_connect(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    const int error = whorl__os_linux.connect(fd, address, address_bytes);
    return error == -EINPROGRESS && whorl__swap_u32(&interrupted, 1) == 0 ? -EINTR : error;
}

static int connect_interrupted_main(void *arg)
{
    int fds[2];
    (void)arg;
    whorl__store_release_u32(&interrupted, 0);
    if (net_pair(NET_TCP4, fds)) {
        NET_EXPECT_EQUAL(whorl__load_acquire_u32(&interrupted), 1);
        NET_EXPECT_EQUAL(whorl_close(fds[0]) + whorl_close(fds[1]), 0);
    }
    return 0;
}

static void test_connect_that_fails_or_is_interrupted_ends_right(void **state)
{
    /* An error closes the socket, an interruption is none. */
    (void)state;
    net_run(connect_fails_main, NULL, 1);
    faults_table()->connect = interrupted_connect;
    net_run_each(connect_interrupted_main, NULL);
}

/* As if the poller of a stuck loop delivered an edge from another thread, at this very moment. */
static void deliver_edge(int fd)
{
    struct whorl_task *const task = whorl__task_current();
    struct whorl__record *const record = whorl__record_find(&task->runtime->records, fd);
    const uint32_t tick = whorl__add_u32(&record->tick, 1) + 1;
    NET_EXPECT_EQUAL(whorl__record_event(record, WHORL__OUT, false, tick), 0);
}

static uint32_t connects; /* A: calls so far */

/* The second one still says "going on"; then the answer comes, and its edge at once. */
static int late_connect(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    const uint32_t call = whorl__add_u32(&connects, 1);
    if (call != 1) {
        return whorl__os_linux.connect(fd, address, address_bytes);
    }
    deliver_edge(fd);
    return -EALREADY;
}

static int late_answer_main(void *arg)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    whorl__store_release_u32(&connects, 0);
    const int near = net_connect(&listener, WHORL_NEVER);
    NET_EXPECT(near >= 0);
    NET_EXPECT(whorl__load_acquire_u32(&connects) >= 3);
    NET_EXPECT_EQUAL(whorl_close(near), 0);
    net_listener_close(&listener);
    return 0;
}

static void test_connect_woken_in_vain_sees_the_edge_that_comes_while_it_looks(void **state)
{
    /* The latch is cleared against what it was before the look, or this would hang. */
    (void)state;
    faults_table()->connect = late_connect;
    net_run(late_answer_main, NULL, 1);
    net_run(late_answer_main, NULL, 2);
}

/* ---- reading and writing ---- */

static ssize_t short_send(int fd, const void *bytes, size_t count, int flags)
{
    return whorl__os_linux.send(fd, bytes, count > 0 ? 1 : 0, flags);
}

static ssize_t short_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct iovec first = message->msg_iov[0];
    first.iov_len = first.iov_len > 0 ? 1 : 0;
    const struct msghdr shorter = {.msg_iov = &first, .msg_iovlen = 1};
    return whorl__os_linux.sendmsg(fd, &shorter, flags);
}

static ssize_t short_writev(int fd, const struct iovec *parts, int part_count)
{
    (void)part_count;
    struct iovec first = parts[0];
    first.iov_len = first.iov_len > 0 ? 1 : 0;
    return whorl__os_linux.writev_quiet(fd, &first, 1);
}

static void write_bytewise(int to, int from)
{
    enum { PARTS = 40, PART_BYTES = 50 };
    unsigned char bytes[PARTS * PART_BYTES], got[sizeof bytes];
    struct iovec parts[PARTS];
    net_fill(bytes, sizeof bytes, 0);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (struct iovec){bytes + i * PART_BYTES, PART_BYTES};
    }
    NET_EXPECT_EQUAL(whorl_write(to, bytes, sizeof bytes), (ssize_t)sizeof bytes);
    NET_EXPECT_EQUAL(net_read_all(from, got, sizeof got), (long)sizeof got);
    NET_EXPECT(net_matches(got, sizeof got, 0));
    memset(got, 0, sizeof got);
    NET_EXPECT_EQUAL(whorl_writev(to, parts, PARTS), (ssize_t)sizeof bytes);
    NET_EXPECT_EQUAL(net_read_all(from, got, sizeof got), (long)sizeof got);
    NET_EXPECT(net_matches(got, sizeof got, 0));
}

static int short_main(void *arg)
{
    int fds[2], ends[2];
    (void)arg;
    if (net_pair(NET_TCP4, fds)) {
        write_bytewise(fds[0], fds[1]);
        NET_EXPECT_EQUAL(whorl_close(fds[0]) + whorl_close(fds[1]), 0);
    }
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[1]), 0);
    write_bytewise(ends[1], ends[0]);
    return whorl_close(ends[0]) + whorl_close(ends[1]);
}

static void test_write_of_one_byte_at_a_time_writes_all(void **state)
{
    /* The shortest writes there are, across the borders of parts and of windows. */
    (void)state;
    faults_table()->send = short_send;
    faults_table()->sendmsg = short_sendmsg;
    faults_table()->writev_quiet = short_writev;
    net_run_each(short_main, NULL);
}

static int storm_peer;      /* C in a run */
static uint32_t storm_left; /* A: refusals still to come */

/* EAGAIN, and at once an edge: the peer has sent something, so the poller tells both directions. */
static ssize_t stormy_send(int fd, const void *bytes, size_t count, int flags)
{
    const uint32_t left = whorl__load_acquire_u32(&storm_left); /* the one writer's own store */
    if (fd != storm_peer && left > 0) {
        whorl__store_release_u32(&storm_left, left - 1);
        NET_EXPECT_EQUAL(whorl__os_linux.send(storm_peer, "!", 1, 0), 1);
        return -EAGAIN;
    }
    return whorl__os_linux.send(fd, bytes, count, flags);
}

static int storm_main(void *arg)
{
    enum { BYTES = 1000, STORM = 100 };
    unsigned char bytes[BYTES], got[BYTES];
    int fds[2];
    if (!net_pair(*(enum net_kind *)arg, fds)) {
        return 0;
    }
    storm_peer = fds[1];
    net_fill(bytes, BYTES, 0);
    whorl__store_release_u32(&storm_left, STORM);
    NET_EXPECT_EQUAL(whorl_write(fds[0], bytes, BYTES), BYTES);
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&storm_left), 0);
    NET_EXPECT_EQUAL(net_read_all(fds[1], got, BYTES), BYTES);
    NET_EXPECT(net_matches(got, BYTES, 0));
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_write_through_a_storm_of_eagain_gets_through(void **state)
{
    /* Each refusal is followed by an edge, sometimes before the latch is cleared: none is lost. */
    (void)state;
    faults_table()->send = stormy_send;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_PATH) {
        net_run_each(storm_main, &kind);
    }
}

static int read_fails_main(void *arg)
{
    int fds[2];
    char byte = 0;
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    NET_EXPECT_EQUAL(whorl_write(fds[1], "x", 1), 1);
    fail_calls(FAULTS_read, 0, -EIO, 1);
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), -EIO);
    NET_EXPECT_EQUAL(byte, 0); /* untouched */
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), 1);
    NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    fail_calls(FAULTS_read, 0, -EIO, 1); /* a drain that fails closes all the same */
    NET_EXPECT_EQUAL(whorl_close_until(fds[1], WHORL_NEVER), 0);
    fail_nothing();
    return 0;
}

static void test_read_that_fails_is_told_once_and_reads_on(void **state)
{
    /* What the kernel says of a descriptor is the caller's to judge. */
    (void)state;
    net_run_each(read_fails_main, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- a cancel of the kernel's own ---- */

static int kernel_cancels_main(void *arg)
{
    int fds[2];
    char byte = 0;
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    NET_EXPECT_EQUAL(whorl_write(fds[1], "x", 1), 1);
    NET_EXPECT_EQUAL(whorl_fd_wait(fds[0], POLLIN), POLLIN);
    fail_calls(FAULTS_read, 0, -ECANCELED, 1);
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), -EIO);
    fail_calls(FAULTS_send, 0, -ECANCELED, 1);
    NET_EXPECT_EQUAL(whorl_write(fds[0], "x", 1), -EIO);
    fail_calls(FAULTS_connect, 0, -ECANCELED, 1);
    NET_EXPECT_EQUAL(net_connect(&listener, WHORL_NEVER), -EIO);
    const int near = net_connect(&listener, WHORL_NEVER);
    fail_calls(FAULTS_accept, 0, -ECANCELED, 1);
    NET_EXPECT_EQUAL(whorl_accept(listener.fd), -EIO);
    fail_nothing();
    NET_EXPECT_EQUAL(whorl_read(fds[0], &byte, 1), 1); /* the byte is there still */
    NET_EXPECT_EQUAL(whorl_task_cancelling(whorl_task_current()), 0);
    NET_EXPECT_EQUAL(whorl_close(near) + whorl_close(fds[0]) + whorl_close(fds[1]), 0);
    net_listener_close(&listener);
    return 0;
}

/* What the kernel kept of a connection that it had begun. */
static int cancelled_getsockopt(int fd, int level, int option, void *ret_value,
                                socklen_t *ret_bytes)
{
    const int error = whorl__os_linux.getsockopt(fd, level, option, ret_value, ret_bytes);
    if (error == 0 && level == SOL_SOCKET && option == SO_ERROR) {
        memcpy(ret_value, &(int){ECANCELED}, sizeof(int));
    }
    return error;
}

static int kernel_cancels_later_main(void *arg)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    whorl__store_release_u32(&interrupted, 0);
    NET_EXPECT_EQUAL(net_connect(&listener, WHORL_NEVER), -EIO);
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&interrupted), 1);
    net_listener_close(&listener);
    return 0;
}

static void test_canc_27_what_the_kernel_calls_cancelled_is_eio(void **state)
{
    /* -ECANCELED from a call means that the task was cancelled, and nothing else. */
    (void)state;
    net_run_each(kernel_cancels_main, NULL);
    faults_table()->connect = interrupted_connect;
    faults_table()->getsockopt = cancelled_getsockopt;
    net_run_each(kernel_cancels_later_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_poller_that_takes_nothing_is_told_to_each_waiter),
        TEST(test_move_that_the_new_poller_refuses_stays_at_home),
        TEST(test_accept_passes_over_peers_waits_out_shortages_and_tells_the_rest),
        TEST(test_accept_refused_for_ever_pauses_says_so_and_can_be_ended),
        TEST(test_accept_without_memory_keeps_the_connection_and_waits),
        TEST(test_close_that_cannot_wait_closes_and_says_why),
        TEST(test_listen_failing_at_each_call_leaves_nothing_open),
        TEST(test_unix_listen_that_fails_leaves_no_file),
        TEST(test_record_without_memory_is_enomem_and_the_descriptor_closed),
        TEST(test_connect_that_fails_or_is_interrupted_ends_right),
        TEST(test_connect_woken_in_vain_sees_the_edge_that_comes_while_it_looks),
        TEST(test_write_of_one_byte_at_a_time_writes_all),
        TEST(test_write_through_a_storm_of_eagain_gets_through),
        TEST(test_read_that_fails_is_told_once_and_reads_on),
        TEST(test_canc_27_what_the_kernel_calls_cancelled_is_eio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
