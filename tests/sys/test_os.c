/*
 * The table of system calls: what each promises beyond the call itself, and that each failure comes
 * back as -errno with its outputs untouched.
 */
#include "sys/os.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/child.h"

static const struct whorl__os *const os = &whorl__os_linux;

enum { NS_PER_MS = 1000000 };

/* ---- the table ---- */

static void test_os_points_to_linux_with_no_entry_missing(void **state)
{
    /* A forgotten entry would be a call through NULL on a rare path. */
    (void)state;
    void (*entries[sizeof(struct whorl__os) / sizeof(void (*)(void))])(void);
    assert_ptr_equal(whorl__os, os);
    memcpy(entries, os, sizeof(entries));
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        assert_true(entries[i] != NULL);
    }
}

static void test_os_closed_descriptor_is_ebadf_from_every_call(void **state)
{
    /* One table of calls, one expectation: the sign and the code of each wrapper. */
    (void)state;
    struct epoll_event event = {0};
    struct sockaddr address = {.sa_family = AF_INET};
    socklen_t length = sizeof(address);
    int value = 0;
    struct iovec part = {.iov_base = &value, .iov_len = 1};
    /* qemu-user does not pass on a message without parts */
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    const ssize_t results[] = {
        os->epoll_ctl(-1, EPOLL_CTL_ADD, 0, &event),
        os->epoll_wait(-1, &event, 1, 0),
        os->epoll_wait(-1, &event, 1, -1),
        os->epoll_wait(-1, &event, 1, NS_PER_MS),
        os->poll(12345678, POLLIN),
        os->read(-1, &value, 1),
        os->write(-1, &value, 1),
        os->writev(-1, &part, 1),
        os->writev_quiet(-1, &part, 1),
        os->close(-1),
        os->dup(-1),
        os->set_nonblocking(-1),
        os->bind(-1, &address, length),
        os->listen(-1, 1),
        os->accept(-1, &address, &length),
        os->connect(-1, &address, length),
        os->recv(-1, &value, 1, 0),
        os->send(-1, &value, 1, 0),
        os->sendmsg(-1, &message, 0),
        os->shutdown(-1, SHUT_RD),
        os->getsockopt(-1, SOL_SOCKET, SO_ERROR, &value, &length),
        os->setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)),
        os->getsockname(-1, &address, &length),
        os->getpeername(-1, &address, &length),
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        assert_int_equal(results[i], -EBADF);
    }
}

/* ---- memory ---- */

static void test_os_alloc_is_aligned_and_refuses_the_impossible(void **state)
{
    /* Queues and inboxes rely on the cache line; a size that wrapped round must not succeed. */
    (void)state;
    static const size_t sizes[] = {0, 1, 16, 63, 64, 65, 640, 4096, 4097};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *const block = os->alloc(sizes[i]);
        assert_non_null(block);
        const bool whole_lines = sizes[i] > 0 && sizes[i] % WHORL_CACHE_LINE == 0;
        assert_int_equal((uintptr_t)block % (whole_lines ? WHORL_CACHE_LINE : 16), 0);
        memset(block, 1, sizes[i]);
        os->free(block);
    }
    assert_null(os->alloc(SIZE_MAX));
    assert_null(os->alloc((size_t)PTRDIFF_MAX + 1));
    os->free(NULL);
}

static void test_os_map_gives_zeroed_pages_and_takes_them_back(void **state)
{
    /* A gigabyte of stacks costs nothing before it is touched; and each call's refusal. */
    (void)state;
    const size_t bytes = (size_t)1 << 30;
    void *base = NULL;
    assert_int_equal(os->map(bytes, &base), 0);
    char *const last = (char *)base + bytes - 1;
    assert_int_equal(*last, 0);
    *last = 1;
    assert_int_equal(os->advise(base, bytes, MADV_DONTNEED), 0);
    assert_int_equal(*last, 0);
    assert_int_equal(os->protect(base, 4096, PROT_NONE), 0);
    assert_int_equal(os->protect((char *)base + 1, 4096, PROT_NONE), -EINVAL);
    assert_int_equal(os->advise((char *)base + 1, 4096, MADV_DONTNEED), -EINVAL);
    assert_int_equal(os->unmap((char *)base + 1, 4096), -EINVAL);
    assert_int_equal(os->unmap(base, bytes), 0);
    assert_int_equal(os->protect(base, 4096, PROT_READ), -ENOMEM);
}

static void test_os_map_fails_without_touching_its_output(void **state)
{
    /* No bytes, and more than any address space has. */
    (void)state;
    void *base = &base;
    assert_int_equal(os->map(0, &base), -EINVAL);
    assert_int_equal(os->map(SIZE_MAX / 2, &base), -ENOMEM);
    assert_ptr_equal(base, &base);
}

/* ---- threads and time ---- */

static void *body_main(void *arg)
{
    *(int *)arg = 7;
    return NULL;
}

static void test_os_thread_runs_its_body_and_can_be_joined_once(void **state)
{
    /* The join orders what the body wrote. */
    (void)state;
    int value = 0;
    pthread_t thread;
    assert_int_equal(os->thread_start(&thread, body_main, &value), 0);
    assert_int_equal(os->thread_join(thread), 0);
    assert_int_equal(value, 7);
#if !defined(WHORL_TSAN) /* it ends a program that joins itself */
    assert_int_equal(os->thread_join(pthread_self()), -EDEADLK);
#endif
}

#if !defined(WHORL_TSAN) && !defined(WHORL_ASAN) /* they need address space themselves */
static int start_thread_without_address_space(void)
{
    const struct rlimit none = {0, 0};
    const pthread_t before = pthread_self();
    pthread_t thread = before;
    pthread_attr_t large; /* larger than the stacks that the C library has kept for reuse */
    int value = 0;
    if (pthread_attr_init(&large) || pthread_attr_setstacksize(&large, (size_t)1 << 28) ||
        pthread_setattr_default_np(&large) || setrlimit(RLIMIT_AS, &none)) {
        return 1;
    }
    if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
        return CHILD_CANNOT; /* qemu-user keeps to no limit of address space */
    }
    return os->thread_start(&thread, body_main, &value) == -EAGAIN && thread == before ? 0 : 2;
}

static void test_os_thread_without_memory_for_its_stack_is_eagain(void **state)
{
    /* pthread_create returns a positive code and may have written its output. */
    (void)state;
    child_expect_success(start_thread_without_address_space);
}
#endif

static void test_os_clock_never_goes_back(void **state)
{
    /* All deadlines rest on it. */
    (void)state;
    int64_t last = os->now_ns();
    assert_true(last > 0);
    for (unsigned i = 0; i < 10000; i++) {
        const int64_t now = os->now_ns();
        assert_true(now >= last);
        last = now;
    }
}

static void test_os_futex_refuses_or_times_out(void **state)
{
    /* Each way not to sleep: another value, a time long past, a word that is none. */
    (void)state;
    uint32_t words[2] = {5, 5};
    assert_int_equal(os->futex_wait(words, 4, INT64_MAX), -EAGAIN);
    assert_int_equal(os->futex_wait(words, 5, 0), -ETIMEDOUT);
    assert_int_equal(os->futex_wait(words, 5, -1), -ETIMEDOUT);
    const int64_t deadline = os->now_ns() + NS_PER_MS;
    assert_int_equal(os->futex_wait(words, 5, deadline), -ETIMEDOUT);
    assert_true(os->now_ns() >= deadline);
    assert_int_equal(os->futex_wait((uint32_t *)((uintptr_t)words + 1), 5, 0), -EINVAL);
    assert_int_equal(os->futex_wake(words, 1), 0);
    assert_int_equal(os->futex_wake((uint32_t *)((uintptr_t)words + 1), 1), -EINVAL);
}

struct sleeper {
    uint32_t word;
    int wrong_result;
};

static void *sleeper_main(void *arg)
{
    struct sleeper *const sleeper = arg;
    while (whorl__load_acquire_u32(&sleeper->word) == 0) {
        const int result = os->futex_wait(&sleeper->word, 0, INT64_MAX);
        if (result != 0 && result != -EAGAIN) {
            sleeper->wrong_result = result;
        }
    }
    return NULL;
}

static void test_os_futex_wake_ends_a_wait_without_deadline(void **state)
{
    /* INT64_MAX must mean for ever, not a time that overflowed into the past. */
    (void)state;
    struct sleeper sleeper = {0, 0};
    pthread_t thread;
    assert_int_equal(os->thread_start(&thread, sleeper_main, &sleeper), 0);
    whorl__store_release_u32(&sleeper.word, 1);
    assert_in_range(os->futex_wake(&sleeper.word, 1), 0, 1);
    assert_int_equal(os->thread_join(thread), 0);
    assert_int_equal(sleeper.wrong_result, 0);
}

/* ---- events ---- */

static void expect_flags(int fd)
{
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_os_eventfd_wakes_an_epoll_that_waits(void **state)
{
    /* The way a loop is woken; and the clean-up of both. */
    (void)state;
    const int epoll_fd = os->epoll_create();
    const int event_fd = os->eventfd();
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
    uint64_t one = 1;
    expect_flags(event_fd);
    assert_true(fcntl(epoll_fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(os->read(event_fd, &one, sizeof(one)), -EAGAIN);
    assert_int_equal(os->epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event), 0);
    assert_int_equal(os->epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event), -EEXIST);
    assert_int_equal(os->epoll_wait(epoll_fd, &event, 1, 0), 0);
    assert_int_equal(os->write(event_fd, &one, sizeof(one)), sizeof(one));
    event.data.u64 = 0;
    assert_int_equal(os->epoll_wait(epoll_fd, &event, 1, -1), 1);
    assert_int_equal(event.data.u64, 77);
    assert_int_equal(os->epoll_wait(epoll_fd, &event, 0, 0), -EINVAL);
    assert_int_equal(os->close(event_fd), 0);
    assert_int_equal(os->close(epoll_fd), 0);
}

/* 0 when epoll waits at least as long as it was told, for times above and below a millisecond. */
static int wait_for_timeouts(void)
{
    static const int64_t timeouts[] = {1, 300000, 2 * NS_PER_MS + 1};
    const int epoll_fd = os->epoll_create();
    struct epoll_event event;
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        const int64_t begin = os->now_ns();
        if (os->epoll_wait(epoll_fd, &event, 1, timeouts[i]) != 0) {
            return 10 + (int)i;
        }
        if (os->now_ns() - begin < timeouts[i]) {
            return 20 + (int)i;
        }
    }
    return -os->close(epoll_fd);
}

static void test_os_epoll_never_returns_before_its_timeout(void **state)
{
    /* A loop that wakes early finds no timer due and goes round for nothing. */
    (void)state;
    assert_int_equal(wait_for_timeouts(), 0);
}

static int wait_with_enosys(void)
{
    return child_refuse(SYS_epoll_pwait2, ENOSYS) ? wait_for_timeouts() : CHILD_CANNOT;
}

static int wait_with_eperm(void)
{
    return child_refuse(SYS_epoll_pwait2, EPERM) ? wait_for_timeouts() : CHILD_CANNOT;
}

static void test_os_epoll_falls_back_to_milliseconds_where_nanoseconds_are_refused(void **state)
{
    /* Kernels before 5.11 say ENOSYS, some container filters EPERM; still never too early. */
    (void)state;
    child_expect_success(wait_with_enosys);
    child_expect_success(wait_with_eperm);
}

/* ---- descriptors ---- */

static void test_os_dup_and_nonblocking_set_what_they_say(void **state)
{
    /* A descriptor that leaks into a child process keeps a connection open there. */
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(os->set_nonblocking(ends[0]), 0);
    assert_int_equal(os->set_nonblocking(ends[0]), 0);
    const int copy = os->dup(ends[0]);
    expect_flags(copy);
    assert_int_equal(os->close(copy), 0);
    assert_int_equal(os->close(copy), -EBADF);
    assert_int_equal(os->close(ends[0]), 0);
    assert_int_equal(os->close(ends[1]), 0);
}

static void test_os_writev_and_read_count_bytes(void **state)
{
    /* Two parts in one call, and a read of what is there rather than of what fits. */
    (void)state;
    int ends[2];
    char text[16] = "";
    const struct iovec parts[] = {{(char *)(uintptr_t) "who", 3}, {(char *)(uintptr_t) "rl", 2}};
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(os->writev(ends[1], parts, 2), 5);
    assert_int_equal(os->read(ends[0], text, sizeof(text)), 5);
    assert_memory_equal(text, "whorl", 5);
    assert_int_equal(os->writev(ends[1], parts, -1), -EINVAL);
    assert_int_equal(os->close(ends[1]), 0);
    assert_int_equal(os->read(ends[0], text, sizeof(text)), 0);
    assert_int_equal(os->close(ends[0]), 0);
}

static void test_os_poll_tells_what_is_ready_now(void **state)
{
    /* Nothing, data, and both ends gone; it never waits. */
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(os->poll(ends[0], POLLIN), 0);
    assert_int_equal(os->poll(ends[1], POLLOUT), POLLOUT);
    assert_int_equal(os->write(ends[1], "x", 1), 1);
    assert_int_equal(os->poll(ends[0], POLLIN), POLLIN);
    assert_int_equal(os->close(ends[1]), 0);
    assert_int_equal(os->poll(ends[0], POLLIN), POLLIN | POLLHUP);
    assert_int_equal(os->close(ends[0]), 0);
}

static void test_os_read_file_ends_its_text_and_stops_at_the_room(void **state)
{
    /* Longer, equal and shorter than the room; missing, and no file at all. */
    (void)state;
    char path[64];
    char text[8] = "before";
    const int fd = memfd_create("seven bytes", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(os->write(fd, "1234567", 7), 7);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_int_equal(os->read_file("/proc/self/no such file", text, sizeof(text)), -ENOENT);
    assert_int_equal(os->read_file("/proc/self", text, sizeof(text)), -EISDIR);
    assert_string_equal(text, "before");
    assert_int_equal(os->read_file(path, text, 8), 7);
    assert_string_equal(text, "1234567");
    assert_int_equal(os->read_file(path, text, 4), 3);
    assert_string_equal(text, "123");
    assert_int_equal(os->read_file(path, text, 1), 0);
    assert_string_equal(text, "");
    assert_int_equal(os->close(fd), 0);
}

/* ---- interrupted calls ---- */

static uint32_t signals_seen;

static void count_signal(int number)
{
    (void)number;
    whorl__add_relaxed_u32(&signals_seen, 1);
}

struct reader {
    int fd;
    ssize_t result;
};

static void *reader_main(void *arg)
{
    struct reader *const reader = arg;
    char byte;
    reader->result = os->read(reader->fd, &byte, 1);
    return NULL;
}

static void test_os_quiet_write_to_a_closed_pipe_is_epipe_and_no_signal(void **state)
{
    /* A pipe knows no MSG_NOSIGNAL; neither a handler may run nor a signal stay pending. */
    (void)state;
    const struct sigaction counting = {.sa_handler = count_signal};
    const struct iovec part = {(char *)(uintptr_t) "x", 1};
    struct sigaction before;
    sigset_t pending;
    sigset_t mask;
    int ends[2];
    whorl__store_relaxed_u32(&signals_seen, 0);
    assert_int_equal(sigaction(SIGPIPE, &counting, &before), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(os->writev_quiet(ends[1], &part, 1), 1);
    assert_int_equal(os->close(ends[0]), 0);
    assert_int_equal(os->writev_quiet(ends[1], &part, 1), -EPIPE);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    assert_false(sigismember(&pending, SIGPIPE));
    assert_false(sigismember(&mask, SIGPIPE));
    assert_int_equal(whorl__load_relaxed_u32(&signals_seen), 0);
    assert_int_equal(os->close(ends[1]), 0);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

static void test_os_quiet_write_leaves_a_signal_that_was_pending_before(void **state)
{
    /* That one is the program's own business. */
    (void)state;
    const struct iovec part = {(char *)(uintptr_t) "x", 1};
    const struct timespec at_once = {0, 0};
    sigset_t pipe_signal;
    sigset_t before;
    int ends[2];
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &pipe_signal, &before), 0);
    assert_int_equal(pthread_kill(pthread_self(), SIGPIPE), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(os->close(ends[0]), 0);
    assert_int_equal(os->writev_quiet(ends[1], &part, 1), -EPIPE);
    assert_int_equal(os->close(ends[1]), 0);
    assert_int_equal(sigtimedwait(&pipe_signal, NULL, &at_once), SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void test_os_read_goes_on_after_a_signal(void **state)
{
    /* A profiler's signal must not look like an error; the read is told to go on each time. */
    (void)state;
    enum { SIGNALS = 20 };
    const struct sigaction counting = {.sa_handler = count_signal}; /* no SA_RESTART */
    struct sigaction before;
    struct reader reader = {.result = -1};
    int ends[2];
    pthread_t thread;
    whorl__store_relaxed_u32(&signals_seen, 0);
    assert_int_equal(sigaction(SIGUSR1, &counting, &before), 0);
    assert_int_equal(pipe(ends), 0);
    reader.fd = ends[0];
    assert_int_equal(os->thread_start(&thread, reader_main, &reader), 0);
    for (uint32_t i = 0; i < SIGNALS; i++) {
        assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
#if !defined(WHORL_TSAN) /* it delivers signals only when the call has returned */
        while (whorl__load_relaxed_u32(&signals_seen) <= i) {
            (void)sched_yield();
        }
#endif
    }
    assert_int_equal(os->write(ends[1], "x", 1), 1);
    assert_int_equal(os->thread_join(thread), 0);
    assert_int_equal(reader.result, 1);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    assert_int_equal(os->close(ends[0]), 0);
    assert_int_equal(os->close(ends[1]), 0);
}

/* ---- sockets ---- */

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    const struct sockaddr_in any_port = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(*ret_address);
    const int fd = os->socket(AF_INET, SOCK_STREAM, 0);
    expect_flags(fd);
    assert_int_equal(os->bind(fd, (const struct sockaddr *)&any_port, sizeof(any_port)), 0);
    assert_int_equal(os->listen(fd, 8), 0);
    assert_int_equal(os->getsockname(fd, (struct sockaddr *)ret_address, &length), 0);
    return fd;
}

/* Waits without a time limit of its own for the events on the descriptor. */
static void wait_for(int fd, uint32_t events)
{
    const int epoll_fd = os->epoll_create();
    struct epoll_event event = {.events = events};
    assert_int_equal(os->epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
    int ready;
    do {
        ready = os->epoll_wait(epoll_fd, &event, 1, -1);
    } while (ready == -EINTR);
    assert_int_equal(ready, 1);
    assert_int_equal(os->close(epoll_fd), 0);
}

static void test_os_sockets_connect_accept_and_talk(void **state)
{
    /* One connection from birth to half-close, by the table alone. */
    (void)state;
    struct sockaddr_in address;
    struct sockaddr_in peer;
    struct sockaddr_in name;
    socklen_t length = sizeof(peer);
    socklen_t name_length = sizeof(name);
    char text[8];
    const int listener = listen_on_loopback(&address);
    assert_int_equal(os->accept(listener, NULL, NULL), -EAGAIN);
    const int client = os->socket(AF_INET, SOCK_STREAM, 0);
    const int begun = os->connect(client, (const struct sockaddr *)&address, sizeof(address));
    assert_true(begun == 0 || begun == -EINPROGRESS);
    wait_for(listener, EPOLLIN);
    const int server = os->accept(listener, (struct sockaddr *)&peer, &length);
    expect_flags(server);
    assert_int_equal(os->getpeername(client, (struct sockaddr *)&name, &name_length), 0);
    assert_int_equal(name.sin_port, address.sin_port);
    assert_int_equal(os->recv(server, text, sizeof(text), 0), -EAGAIN);
    assert_int_equal(os->send(client, "whorl", 5, 0), 5);
    wait_for(server, EPOLLIN);
    assert_int_equal(os->recv(server, text, sizeof(text), 0), 5);
    assert_int_equal(os->shutdown(client, SHUT_WR), 0);
    wait_for(server, EPOLLIN);
    assert_int_equal(os->recv(server, text, sizeof(text), 0), 0);
    assert_int_equal(os->close(client), 0);
    assert_int_equal(os->close(server), 0);
    assert_int_equal(os->close(listener), 0);
}

static void test_os_sockets_refuse_with_the_right_code(void **state)
{
    /* Each call's own refusal, with a descriptor that is open. */
    (void)state;
    struct sockaddr_in address;
    struct sockaddr_un nobody = {.sun_family = AF_UNIX, .sun_path = "\0whorl: nobody listens here"};
    socklen_t length = sizeof(address);
    int value = 1;
    const int listener = listen_on_loopback(&address);
    const int other = os->socket(AF_INET, SOCK_STREAM, 0);
    const int local = os->socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(os->socket(-1, SOCK_STREAM, 0), -EAFNOSUPPORT);
    assert_int_equal(os->bind(other, (const struct sockaddr *)&address, length), -EADDRINUSE);
    assert_int_equal(os->listen(local, 1), -EINVAL);
    assert_int_equal(os->connect(local, (const struct sockaddr *)&nobody, sizeof(nobody)),
                     -ECONNREFUSED);
    assert_int_equal(os->shutdown(other, SHUT_WR), -ENOTCONN);
    assert_int_equal(os->getpeername(other, (struct sockaddr *)&address, &length), -ENOTCONN);
    assert_int_equal(os->getsockopt(other, SOL_SOCKET, -1, &value, &length), -ENOPROTOOPT);
    assert_int_equal(os->setsockopt(other, SOL_SOCKET, -1, &value, sizeof(value)), -ENOPROTOOPT);
    assert_int_equal(os->setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)), 0);
    assert_int_equal(os->close(local), 0);
    assert_int_equal(os->close(other), 0);
    assert_int_equal(os->close(listener), 0);
}

static void test_os_send_to_a_closed_peer_is_epipe_and_no_signal(void **state)
{
    /* SIGPIPE would end the whole server for one client that went away. */
    (void)state;
    int ends[2];
    char byte = 'x';
    struct iovec part = {&byte, 1};
    const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(os->sendmsg(ends[0], &message, 0), 1);
    assert_int_equal(os->close(ends[1]), 0);
    assert_int_equal(os->send(ends[0], &byte, 1, 0), -EPIPE);
    assert_int_equal(os->sendmsg(ends[0], &message, 0), -EPIPE);
    assert_int_equal(os->close(ends[0]), 0);
}

static int reach_the_descriptor_limit(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NOFILE, &none)) {
        return 1;
    }
    char text[8];
    return os->epoll_create() == -EMFILE && os->eventfd() == -EMFILE &&
                   os->socket(AF_INET, SOCK_STREAM, 0) == -EMFILE && os->dup(0) == -EINVAL &&
                   os->read_file("/proc/self/stat", text, sizeof(text)) == -EMFILE
               ? 0
               : 2;
}

static void test_os_descriptor_limit_is_reported_by_every_maker(void **state)
{
    /* EMFILE is part of a server's life. Linux's dup says EINVAL when the limit is 0. */
    (void)state;
    child_expect_success(reach_the_descriptor_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_os_points_to_linux_with_no_entry_missing),
        cmocka_unit_test(test_os_closed_descriptor_is_ebadf_from_every_call),
        cmocka_unit_test(test_os_alloc_is_aligned_and_refuses_the_impossible),
        cmocka_unit_test(test_os_map_gives_zeroed_pages_and_takes_them_back),
        cmocka_unit_test(test_os_map_fails_without_touching_its_output),
        cmocka_unit_test(test_os_thread_runs_its_body_and_can_be_joined_once),
#if !defined(WHORL_TSAN) && !defined(WHORL_ASAN)
        cmocka_unit_test(test_os_thread_without_memory_for_its_stack_is_eagain),
#endif
        cmocka_unit_test(test_os_clock_never_goes_back),
        cmocka_unit_test(test_os_futex_refuses_or_times_out),
        cmocka_unit_test(test_os_futex_wake_ends_a_wait_without_deadline),
        cmocka_unit_test(test_os_eventfd_wakes_an_epoll_that_waits),
        cmocka_unit_test(test_os_epoll_never_returns_before_its_timeout),
        cmocka_unit_test(test_os_epoll_falls_back_to_milliseconds_where_nanoseconds_are_refused),
        cmocka_unit_test(test_os_dup_and_nonblocking_set_what_they_say),
        cmocka_unit_test(test_os_writev_and_read_count_bytes),
        cmocka_unit_test(test_os_poll_tells_what_is_ready_now),
        cmocka_unit_test(test_os_read_file_ends_its_text_and_stops_at_the_room),
        cmocka_unit_test(test_os_quiet_write_to_a_closed_pipe_is_epipe_and_no_signal),
        cmocka_unit_test(test_os_quiet_write_leaves_a_signal_that_was_pending_before),
        cmocka_unit_test(test_os_read_goes_on_after_a_signal),
        cmocka_unit_test(test_os_sockets_connect_accept_and_talk),
        cmocka_unit_test(test_os_sockets_refuse_with_the_right_code),
        cmocka_unit_test(test_os_send_to_a_closed_peer_is_epipe_and_no_signal),
        cmocka_unit_test(test_os_descriptor_limit_is_reported_by_every_maker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
