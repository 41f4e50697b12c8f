/*
 * direct.h - the three system calls of every request, without the C library in between.
 *
 * In a program with threads the library wraps each of them into a cancellation point of its own
 * (pthread_cancel, which whorl does not support): about 90 instructions a request, and errno, which
 * we turn back into a result at once. Under a sanitizer, and on other machines, the library's
 * functions are used: sanitizers follow memory through them.
 *
 * Owns:       nothing.
 * Threads:    any.
 * Contract:   the result, or -errno; -EINTR is returned.
 */
#ifndef WHORL_SYS_DIRECT_H
#define WHORL_SYS_DIRECT_H

#include "base/compiler.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(WHORL_ASAN) && !defined(WHORL_TSAN)

static inline long whorl__direct4(long number, long a, long b, long c, long d)
{
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long whorl__direct6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    register long sixth __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

static inline ssize_t whorl__direct_read(int fd, void *ret_bytes, size_t bytes_max)
{
    return whorl__direct4(SYS_read, fd, (long)ret_bytes, (long)bytes_max, 0);
}

static inline ssize_t whorl__direct_send(int fd, const void *bytes, size_t count, int flags)
{
    return whorl__direct6(SYS_sendto, fd, (long)bytes, (long)count, flags, 0, 0);
}

static inline long whorl__direct_epoll_wait(int epoll_fd, struct epoll_event *ret_events,
                                            int events_max, int timeout_ms)
{
    return whorl__direct4(SYS_epoll_wait, epoll_fd, (long)ret_events, events_max, timeout_ms);
}

#else

static inline ssize_t whorl__direct_read(int fd, void *ret_bytes, size_t bytes_max)
{
    const ssize_t got = read(fd, ret_bytes, bytes_max);
    return got < 0 ? -errno : got;
}

static inline ssize_t whorl__direct_send(int fd, const void *bytes, size_t count, int flags)
{
    const ssize_t put = send(fd, bytes, count, flags);
    return put < 0 ? -errno : put;
}

static inline long whorl__direct_epoll_wait(int epoll_fd, struct epoll_event *ret_events,
                                            int events_max, int timeout_ms)
{
    const int found = epoll_wait(epoll_fd, ret_events, events_max, timeout_ms);
    return found < 0 ? -errno : found;
}

#endif

#endif
