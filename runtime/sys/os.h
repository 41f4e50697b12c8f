/*
 * os.h - the whole port: every call into the kernel and the allocator, in one replaceable table.
 *
 * Owns:       the pointer whorl__os; tests put their own table there to make any call fail.
 * Threads:    any; a table is replaced only while no runtime lives.
 * Contract:   a call that fails returns -errno, at once; nobody above this file reads errno.
 *             EINTR is retried inside wherever a retry is harmless. Elsewhere: epoll_wait returns
 *             it; an interrupted close has closed and says 0; an interrupted connect goes on and
 *             says -EINPROGRESS. A peer that is gone is -EPIPE from send, never SIGPIPE.
 *             Times are int64_t nanoseconds on CLOCK_MONOTONIC; a deadline of INT64_MAX is never.
 */
#ifndef WHORL_SYS_OS_H
#define WHORL_SYS_OS_H

#include "base/compiler.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct whorl__os {
    /* memory, not cleared; a block of whole cache lines begins one, others as malloc's: so every
     * type begins where it wants to, whose size is a multiple of its alignment */
    void *(*alloc)(size_t bytes);
    void (*free)(void *block);
    int (*map)(size_t bytes, void **ret_base); /* lazily committed, private, no huge pages */
    int (*unmap)(void *base, size_t bytes);
    int (*protect)(void *base, size_t bytes, int protection);
    int (*advise)(void *base, size_t bytes, int advice);

    /* time */
    int64_t (*now_ns)(void);

    /* threads */
    int (*thread_start)(pthread_t *ret_thread, void *(*body)(void *), void *arg);
    int (*thread_start_quiet)(pthread_t *ret_thread, void *(*body)(void *),
                              void *arg); /* the same, with all signals blocked but faults */
    int (*thread_join)(pthread_t thread);
    void (*thread_detach)(pthread_t thread);     /* nobody will join it */
    int (*thread_id)(void);                      /* the kernel's number of the calling thread */
    int64_t (*thread_cpu_ns)(pthread_t thread);  /* CPU time it has used; -errno */
    int (*thread_signal)(pthread_t thread, int signal);
    int (*signal_stack)(const stack_t *stack, stack_t *ret_old); /* either may be NULL */
    void (*yield)(void); /* by who spins: lets others run, of whom one holds what it wants */
    int (*futex_wait)(uint32_t *word, uint32_t expected,
                      int64_t deadline_ns); /* -EAGAIN, -ETIMEDOUT; 0 may be for no reason */
    int (*futex_wake)(uint32_t *word, int waiters_max);

    /* events */
    int (*epoll_create)(void);
    int (*epoll_ctl)(int epoll_fd, int operation, int fd, struct epoll_event *event);
    int (*epoll_wait)(int epoll_fd, struct epoll_event *ret_events, int events_max,
                      int64_t timeout_ns); /* < 0 waits for ever; -EINTR is returned */
    int (*eventfd)(void);
    int (*poll)(int fd, int events); /* what is ready now, as poll(2) tells it; 0 = nothing */

    /* descriptors */
    ssize_t (*read)(int fd, void *ret_bytes, size_t bytes_max);
    ssize_t (*write)(int fd, const void *bytes, size_t count);
    ssize_t (*writev)(int fd, const struct iovec *parts, int part_count);
    ssize_t (*writev_quiet)(int fd, const struct iovec *parts, int part_count); /* no SIGPIPE */
    int (*close)(int fd);
    int (*dup)(int fd);
    int (*set_nonblocking)(int fd);
    int (*read_file)(const char *path, char *ret_text, size_t text_max); /* bytes read, 0-ended */
    int (*unlink)(const char *path);

    /* sockets; all new ones are non-blocking and close-on-exec */
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *address, socklen_t address_bytes);
    int (*listen)(int fd, int backlog);
    int (*accept)(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t address_bytes);
    ssize_t (*recv)(int fd, void *ret_bytes, size_t bytes_max, int flags);
    ssize_t (*send)(int fd, const void *bytes, size_t count, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    int (*shutdown)(int fd, int how);
    int (*getsockopt)(int fd, int level, int option, void *ret_value, socklen_t *ret_bytes);
    int (*setsockopt)(int fd, int level, int option, const void *value, socklen_t bytes);
    int (*getsockname)(int fd, struct sockaddr *ret_address, socklen_t *ret_bytes);
    int (*getpeername)(int fd, struct sockaddr *ret_address, socklen_t *ret_bytes);
};

/* The real kernel. */
extern const struct whorl__os whorl__os_linux;

/* What every layer calls through; points to whorl__os_linux unless a test put another there. */
extern const struct whorl__os *whorl__os;

/* So many bytes in whole cache lines: of a block that begins with a type on a line of its own, and
 * ends with as many others as are wanted. */
static inline size_t whorl__os_lines(size_t bytes)
{
    const size_t rest = bytes % WHORL_CACHE_LINE;
    return rest == 0 || bytes > PTRDIFF_MAX ? bytes : bytes + WHORL_CACHE_LINE - rest;
}

#endif
