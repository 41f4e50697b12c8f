/*
 * net.h - what tests of sockets share: a run with checks around it, connected pairs, bytes that
 * know their place in a stream, and waiting for a task to be parked.
 *
 * A task never calls a cmocka assert (it would longjmp off its stack): it says NET_EXPECT, which
 * records, and net_run fails the test after the runtime has ended.
 */
#ifndef WHORL_TESTS_SUPPORT_NET_H
#define WHORL_TESTS_SUPPORT_NET_H

#include "whorl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records a failure with its place; true if all is well. From any thread. */
#define NET_EXPECT(condition) net_expect((condition), #condition, __FILE__, __LINE__)
/* The same for two numbers, which are shown. */
#define NET_EXPECT_EQUAL(got, wanted)                                                              \
    net_expect_equal((long long)(got), (long long)(wanted), #got, __FILE__, __LINE__)

bool net_expect(bool condition, const char *text, const char *file, int line);
bool net_expect_equal(long long got, long long wanted, const char *text, const char *file,
                      int line);

/* How many failures were recorded; forgets them. For a child process that reports by itself. */
int net_take_failures(void);

/* whorl_run(body, arg) with that many loops; then asserts that it returned 0, that nothing was
 * recorded, and that as many descriptors are open as before. */
void net_run(whorl_body *body, void *arg, int loops);
/* The same with options of the caller's. */
void net_run_with(whorl_body *body, void *arg, const struct whorl_options *options);
/* One run with 1, one with 2, one with 8 loops. */
void net_run_each(whorl_body *body, void *arg);

/* Descriptors this process has open. */
int net_open_fds(void);

/* A field of struct whorl_stats, summed over all loops. In a task. */
#define NET_STAT(field)                                                                            \
    (__extension__({                                                                               \
        struct whorl_stats net_stats_ = {0};                                                       \
        (void)whorl_stats(-1, &net_stats_);                                                        \
        net_stats_.field;                                                                          \
    }))

enum net_kind { NET_TCP4, NET_TCP6, NET_UNIX_PATH, NET_UNIX_ABSTRACT };
#define NET_KINDS 4

/* A listener on an address of its own, and a way to reach it. In a task. */
struct net_listener {
    int fd; /* or -errno */
    enum net_kind kind;
    int port;
    char path[100]; /* of a Unix socket; removed by net_listener_close */
};

struct net_listener net_listen(enum net_kind kind, int backlog);
int net_connect(const struct net_listener *listener, int64_t deadline_ns);
void net_listener_close(struct net_listener *listener);

/* Whether this machine has an address of that kind. */
bool net_has(enum net_kind kind);

/* Two connected stream sockets, known to whorl. In a task; failures are recorded. */
bool net_pair(enum net_kind kind, int ret_fds[2]);

/* Two connected sockets that whorl does not know. type: SOCK_STREAM ... */
bool net_raw_pair(int type, int ret_fds[2]);

/* A small buffer for what is written, so that a writer soon has to wait. For Unix sockets: a packet
 * over loopback has 64 KiB, and TCP with less room than that waits for its timers. */
void net_shrink(int fd);

/* The peer gets a reset, not an end of stream, when fd is closed. */
void net_reset_on_close(int fd);

/* The byte at that place of a stream; long streams repeat late and at no power of two. */
static inline unsigned char net_byte(uint64_t place)
{
    const uint64_t mixed = (place + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned char)(mixed >> 40);
}

void net_fill(void *bytes, size_t count, uint64_t place);
/* Whether bytes are those of the stream from place on. */
bool net_matches(const void *bytes, size_t count, uint64_t place);

/* Reads until count bytes are there or the stream ends; how many, or -errno. */
long net_read_all(int fd, void *ret_bytes, size_t count);

/* Spawns; a failure is recorded and gives NULL. pin as in struct whorl_attr. */
struct whorl_task *net_spawn(whorl_body *body, void *arg, int pin);
/* Awaits, gives the reference back, returns the result. NULL: -ENOENT. */
int net_finish(struct whorl_task *task);

/* Yields until the task is parked, or done. */
void net_until_parked(struct whorl_task *task);

/* A task on that loop reads `count` bytes of a stream from fd, one by one, each of which it has to
 * wait for: it is written to the peer when the task is parked. *place goes on from call to call. */
void net_read_waiting(int loop, int fd, int peer, int count, uint64_t *place);

#endif
