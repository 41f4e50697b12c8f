/*
 * os_linux.c - the table of os.h, filled with Linux.
 *
 * Owns:       whorl__os, which points here until a test points it elsewhere.
 * Threads:    any; nothing is kept between two calls.
 * Invariant:  errno is read in the line after the call that set it and never leaves this file.
 *             The table is reached through a pointer that may change, so no compiler can inline
 *             these bodies into a caller that waits and there reuse the address of errno.
 * Not chosen: remembering that epoll_pwait2 is missing; only kernels before 5.11 pay the second
 *             call, and a flag would be one more thing that every loop writes.
 */
#include "sys/os.h"

#include "base/assert.h"
#include "sys/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static int status(int result)
{
    return result < 0 ? -errno : result;
}

static ssize_t count(ssize_t result)
{
    return result < 0 ? -errno : result;
}

static struct timespec timespec_of(int64_t ns)
{
    WHORL_ASSERT(ns >= 0);
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* ---- memory ---- */

static void *linux_alloc(size_t bytes)
{
    if (bytes > PTRDIFF_MAX) {
        return NULL;
    }
    if (bytes == 0 || bytes % WHORL_CACHE_LINE != 0) {
        return malloc(bytes + (bytes == 0)); /* a block of no bytes still needs an address */
    }
    return aligned_alloc(WHORL_CACHE_LINE, bytes); /* ten times as long */
}

static void linux_free(void *block)
{
    free(block);
}

static int linux_map(size_t bytes, void **ret_base)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    void *const base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (base == MAP_FAILED) {
        return -errno;
    }
    /* A kernel built without huge pages refuses the advice, and has what was asked for. */
    (void)madvise(base, bytes, MADV_NOHUGEPAGE);
    *ret_base = base;
    return 0;
}

static int linux_unmap(void *base, size_t bytes)
{
    return status(munmap(base, bytes));
}

static int linux_protect(void *base, size_t bytes, int protection)
{
    return status(mprotect(base, bytes, protection));
}

static int linux_advise(void *base, size_t bytes, int advice)
{
    return status((int)TEMP_FAILURE_RETRY(madvise(base, bytes, advice)));
}

/* ---- time ---- */

static int64_t linux_now_ns(void)
{
    struct timespec now;
    const int result = clock_gettime(CLOCK_MONOTONIC, &now);
    WHORL_CHECK(result == 0, "every Linux has CLOCK_MONOTONIC");
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- threads ---- */

static int linux_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    pthread_t thread; /* pthread_create may write its result even when it fails */
    const int error = pthread_create(&thread, NULL, body, arg);
    if (error) {
        return -error;
    }
    *ret_thread = thread;
    return 0;
}

/* Blocked before it begins: a mask that the thread sets itself would come too late for a signal. */
static int linux_thread_start_quiet(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    sigset_t quiet, before;
    sigfillset(&quiet);
    sigdelset(&quiet, SIGSEGV);
    sigdelset(&quiet, SIGBUS);
    sigdelset(&quiet, SIGFPE);
    sigdelset(&quiet, SIGILL);
    sigdelset(&quiet, SIGTRAP);
    sigdelset(&quiet, SIGABRT);
    sigdelset(&quiet, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &quiet, &before);
    const int error = linux_thread_start(ret_thread, body, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void linux_thread_detach(pthread_t thread)
{
    (void)pthread_detach(thread);
}

static int linux_thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static int64_t linux_thread_cpu_ns(pthread_t thread)
{
    clockid_t clock;
    struct timespec used;
    const int error = pthread_getcpuclockid(thread, &clock);
    if (error != 0) {
        return -error;
    }
    if (clock_gettime(clock, &used) != 0) {
        return -errno;
    }
    return (int64_t)used.tv_sec * NS_PER_S + used.tv_nsec;
}

static int linux_thread_signal(pthread_t thread, int signal)
{
    return -pthread_kill(thread, signal);
}

static int linux_signal_stack(const stack_t *stack, stack_t *ret_old)
{
    return status(sigaltstack(stack, ret_old));
}

static int linux_thread_join(pthread_t thread)
{
    return -pthread_join(thread, NULL);
}

static void linux_yield(void)
{
    (void)sched_yield(); /* cannot fail on Linux */
}

/* FUTEX_WAIT_BITSET, unlike FUTEX_WAIT, takes an absolute time, so a signal costs no arithmetic. */
static int linux_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    const struct timespec deadline = timespec_of(deadline_ns < 0 ? 0 : deadline_ns);
    const struct timespec *const limit = deadline_ns == INT64_MAX ? NULL : &deadline;
    const int operation = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;
    return status((int)TEMP_FAILURE_RETRY(
        syscall(SYS_futex, word, operation, expected, limit, NULL, FUTEX_BITSET_MATCH_ANY)));
}

static int linux_futex_wake(uint32_t *word, int waiters_max)
{
    return status((int)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, waiters_max));
}

/* ---- events ---- */

static int linux_epoll_create(void)
{
    return status(epoll_create1(EPOLL_CLOEXEC));
}

static int linux_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return status(epoll_ctl(epoll_fd, operation, fd, event));
}

/* Rounds up: a poller that returns a little early would find no timer due and turn for nothing. */
static int milliseconds_of(int64_t ns)
{
    const int64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS != 0);
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static int linux_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int events_max,
                            int64_t timeout_ns)
{
    if (timeout_ns <= 0) {
        return (int)whorl__direct_epoll_wait(epoll_fd, ret_events, events_max,
                                             timeout_ns < 0 ? -1 : 0);
    }
    const struct timespec timeout = timespec_of(timeout_ns);
    const int result = status(epoll_pwait2(epoll_fd, ret_events, events_max, &timeout, NULL));
    /* EPERM: how some container filters refuse a call they do not know */
    if (result != -ENOSYS && result != -EPERM) {
        return result;
    }
    return status(epoll_wait(epoll_fd, ret_events, events_max, milliseconds_of(timeout_ns)));
}

static int linux_eventfd(void)
{
    return status(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static int linux_poll(int fd, int events)
{
    struct pollfd asked = {.fd = fd, .events = (short)events};
    const int found = status((int)TEMP_FAILURE_RETRY(poll(&asked, 1, 0)));
    if (found <= 0) {
        return found;
    }
    return asked.revents & POLLNVAL ? -EBADF : asked.revents;
}

/* ---- descriptors ---- */

/*
 * For pipes, which know no MSG_NOSIGNAL: the signal is held back, and taken away again if this call
 * raised it. One that was pending before stays.
 */
static ssize_t linux_writev_quiet(int fd, const struct iovec *parts, int part_count)
{
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    const ssize_t put = count(TEMP_FAILURE_RETRY(writev(fd, parts, part_count)));
    if (put == -EPIPE && !sigismember(&pending, SIGPIPE)) {
        const struct timespec at_once = {0, 0};
        (void)TEMP_FAILURE_RETRY(sigtimedwait(&pipe_signal, NULL, &at_once));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return put;
}

static ssize_t linux_read(int fd, void *ret_bytes, size_t bytes_max)
{
    ssize_t got;
    do {
        got = whorl__direct_read(fd, ret_bytes, bytes_max);
    } while (WHORL_UNLIKELY(got == -EINTR));
    return got;
}

static ssize_t linux_write(int fd, const void *bytes, size_t byte_count)
{
    return count(TEMP_FAILURE_RETRY(write(fd, bytes, byte_count)));
}

static ssize_t linux_writev(int fd, const struct iovec *parts, int part_count)
{
    return count(TEMP_FAILURE_RETRY(writev(fd, parts, part_count)));
}

/* Linux frees the number before it can be interrupted, so EINTR has closed; a retry could hit a
 * descriptor that another thread has just opened. */
static int linux_close(int fd)
{
    const int result = status(close(fd));
    return result == -EINTR ? 0 : result;
}

static int linux_dup(int fd)
{
    return status(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static int linux_set_nonblocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    return flags & O_NONBLOCK ? 0 : status(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/* Fills text from fd until the end of the file or of the room; files in /proc come in pieces. */
static ssize_t read_until_full(int fd, char *text, size_t room)
{
    size_t done = 0;
    while (done < room) {
        const ssize_t part = linux_read(fd, text + done, room - done);
        if (part < 0) {
            return part;
        }
        if (part == 0) {
            break;
        }
        done += (size_t)part;
    }
    return (ssize_t)done;
}

static int linux_read_file(const char *path, char *ret_text, size_t text_max)
{
    WHORL_ASSERT(text_max > 0 && text_max <= INT32_MAX);
    const int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) {
        return -errno;
    }
    const ssize_t length = read_until_full(fd, ret_text, text_max - 1);
    if (length >= 0) {
        ret_text[length] = '\0';
    }
    (void)linux_close(fd); /* nothing was written, so a close has nothing to report */
    return (int)length;
}

static int linux_unlink(const char *path)
{
    return status(unlink(path));
}

/* ---- sockets ---- */

static int linux_socket(int domain, int type, int protocol)
{
    return status(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

static int linux_bind(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    return status(bind(fd, address, address_bytes));
}

static int linux_listen(int fd, int backlog)
{
    return status(listen(fd, backlog));
}

static int linux_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes)
{
    const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    return status((int)TEMP_FAILURE_RETRY(accept4(fd, ret_peer, ret_peer_bytes, flags)));
}

/* POSIX: an interrupted connect goes on by itself, which is what EINPROGRESS says. */
static int linux_connect(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    const int result = status(connect(fd, address, address_bytes));
    return result == -EINTR ? -EINPROGRESS : result;
}

static ssize_t linux_recv(int fd, void *ret_bytes, size_t bytes_max, int flags)
{
    return count(TEMP_FAILURE_RETRY(recv(fd, ret_bytes, bytes_max, flags)));
}

/* MSG_NOSIGNAL here and below: a peer that went away is an error code, never a signal. */
static ssize_t linux_send(int fd, const void *bytes, size_t byte_count, int flags)
{
    ssize_t put;
    do {
        put = whorl__direct_send(fd, bytes, byte_count, flags | MSG_NOSIGNAL);
    } while (WHORL_UNLIKELY(put == -EINTR));
    return put;
}

static ssize_t linux_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return count(TEMP_FAILURE_RETRY(sendmsg(fd, message, flags | MSG_NOSIGNAL)));
}

static int linux_shutdown(int fd, int how)
{
    return status(shutdown(fd, how));
}

static int linux_getsockopt(int fd, int level, int option, void *ret_value, socklen_t *ret_bytes)
{
    return status(getsockopt(fd, level, option, ret_value, ret_bytes));
}

static int linux_setsockopt(int fd, int level, int option, const void *value, socklen_t bytes)
{
    return status(setsockopt(fd, level, option, value, bytes));
}

static int linux_getsockname(int fd, struct sockaddr *ret_address, socklen_t *ret_bytes)
{
    return status(getsockname(fd, ret_address, ret_bytes));
}

static int linux_getpeername(int fd, struct sockaddr *ret_address, socklen_t *ret_bytes)
{
    return status(getpeername(fd, ret_address, ret_bytes));
}

const struct whorl__os whorl__os_linux = {
    .alloc = linux_alloc,
    .free = linux_free,
    .map = linux_map,
    .unmap = linux_unmap,
    .protect = linux_protect,
    .advise = linux_advise,
    .now_ns = linux_now_ns,
    .thread_start = linux_thread_start,
    .thread_start_quiet = linux_thread_start_quiet,
    .thread_join = linux_thread_join,
    .thread_detach = linux_thread_detach,
    .thread_id = linux_thread_id,
    .thread_cpu_ns = linux_thread_cpu_ns,
    .thread_signal = linux_thread_signal,
    .signal_stack = linux_signal_stack,
    .yield = linux_yield,
    .futex_wait = linux_futex_wait,
    .futex_wake = linux_futex_wake,
    .epoll_create = linux_epoll_create,
    .epoll_ctl = linux_epoll_ctl,
    .epoll_wait = linux_epoll_wait,
    .eventfd = linux_eventfd,
    .poll = linux_poll,
    .read = linux_read,
    .write = linux_write,
    .writev = linux_writev,
    .writev_quiet = linux_writev_quiet,
    .close = linux_close,
    .dup = linux_dup,
    .set_nonblocking = linux_set_nonblocking,
    .read_file = linux_read_file,
    .unlink = linux_unlink,
    .socket = linux_socket,
    .bind = linux_bind,
    .listen = linux_listen,
    .accept = linux_accept,
    .connect = linux_connect,
    .recv = linux_recv,
    .send = linux_send,
    .sendmsg = linux_sendmsg,
    .shutdown = linux_shutdown,
    .getsockopt = linux_getsockopt,
    .setsockopt = linux_setsockopt,
    .getsockname = linux_getsockname,
    .getpeername = linux_getpeername,
};

const struct whorl__os *whorl__os = &whorl__os_linux;
