/*
 * table.c - the table of sys/os.h, played. Each entry is a call: others may go on before and after
 * its effect, which itself is one moment.
 *
 * Owns:       nothing.
 * Threads:    the carrier. Of other threads of the program only memory and the clock are served,
 *             by the real table: they may belong to a library that knows nothing of this.
 * Contract:   that of sys/os.h.
 */
#include "sim/sim.h"

#include "base/assert.h"

#include <errno.h>
#include <poll.h>

#define THREAD_ID_FIRST 1000
#define YIELD_NS        1000

/* ---- time and threads ---- */

static int64_t sim_now_ns(void)
{
    struct whorl__sim *const sim = whorl__sim;
    if (!pthread_equal(pthread_self(), sim->carrier)) {
        return sim->real->now_ns();
    }
    whorl__sim_call(WHORL__SIM_NOW, 0);
    sim->current->told_ns = sim->now_ns;
    return whorl__sim_done(sim->now_ns);
}

static struct whorl_sim_thread *thread_of(pthread_t thread)
{
    struct whorl__sim *const sim = whorl__sim;
    const uintptr_t number = (uintptr_t)thread;
    WHORL_CHECK(number < sim->thread_count, "no thread of this simulation");
    return sim->threads[number];
}

/* What stands in a pthread_t is the number of the thread. */
static int sim_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    struct whorl_sim_thread *thread;
    whorl__sim_call(WHORL__SIM_START, 0);
    int error = whorl__sim_fault(WHORL_SIM_NO_MEMORY) ? -EAGAIN : 0;
    if (error == 0) {
        error = whorl__sim_thread_new(body, arg, &thread);
    }
    if (error == 0) {
        *ret_thread = (pthread_t)thread->number;
    }
    return (int)whorl__sim_done(error);
}

static int sim_thread_join(pthread_t handle)
{
    struct whorl_sim_thread *const thread = thread_of(handle);
    whorl__sim_call(WHORL__SIM_JOIN, thread->number);
    while (thread->state != WHORL__SIM_ENDED) {
        (void)whorl__sim_wait(thread, INT64_MAX);
    }
    thread->joined = true;
    return (int)whorl__sim_done(0);
}

/* All are joined in the end: a thread that does not end is a finding. */
static void sim_thread_detach(pthread_t handle)
{
    (void)handle;
}

static int sim_thread_id(void)
{
    whorl__sim_call(WHORL__SIM_ID, 0);
    return (int)whorl__sim_done(THREAD_ID_FIRST + (int)whorl__sim->current->number);
}

static int64_t sim_thread_cpu_ns(pthread_t handle)
{
    struct whorl_sim_thread *const thread = thread_of(handle);
    whorl__sim_call(WHORL__SIM_CPU, thread->number);
    const int64_t since_ns = thread->computes_since_ns;
    const int64_t more_ns = since_ns != 0 ? whorl__sim->now_ns - since_ns : 0;
    return whorl__sim_done(thread->cpu_ns + more_ns);
}

/* A signal would interrupt a thread between two loads: not played. */
/* All its threads are one. */
static int sim_signal_stack(const stack_t *stack, stack_t *ret_old)
{
    return whorl__sim->real->signal_stack(stack, ret_old);
}

static int sim_thread_signal(pthread_t handle, int signal)
{
    whorl__sim_call(WHORL__SIM_SIGNAL, thread_of(handle)->number);
    (void)signal;
    return (int)whorl__sim_done(-EPERM);
}

static void sim_yield(void)
{
    struct whorl__sim *const sim = whorl__sim;
    whorl__sim_call(WHORL__SIM_YIELD, 0);
    sim->current->due_ns = sim->now_ns + YIELD_NS; /* so that others come first, if there are any */
    whorl__sim_give_way();
    whorl__sim_done(0);
}

static int futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    if (*word != expected) {
        return -EAGAIN;
    }
    if (whorl__sim_fault(WHORL_SIM_INTERRUPT)) {
        return 0;
    }
    return whorl__sim_wait(word, deadline_ns) ? 0 : -ETIMEDOUT;
}

static int sim_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    whorl__sim_call(WHORL__SIM_FUTEX_WAIT, (int64_t)expected);
    return (int)whorl__sim_done(futex_wait(word, expected, deadline_ns));
}

static int sim_futex_wake(uint32_t *word, int waiters_max)
{
    whorl__sim_call(WHORL__SIM_FUTEX_WAKE, 0);
    const bool lost = whorl__sim_goes_wrong(WHORL__SIM_LOSE_FUTEX);
    return (int)whorl__sim_done(lost ? 1 : (int)whorl__sim_wake(word, (unsigned)waiters_max));
}

/* ---- events ---- */

static int sim_epoll_create(void)
{
    whorl__sim_call(WHORL__SIM_EPOLL_CREATE, 0);
    return (int)whorl__sim_done(whorl__sim_epoll_new());
}

static int sim_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    whorl__sim_call(WHORL__SIM_EPOLL_CTL, fd);
    return (int)whorl__sim_done(whorl__sim_epoll_ctl(epoll_fd, operation, fd, event));
}

static int sim_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int events_max,
                          int64_t timeout_ns)
{
    struct whorl_sim_thread *const self = whorl__sim->current;
    const bool for_ever = timeout_ns < 0 || timeout_ns > INT64_MAX - self->told_ns;
    self->sleeps_until_ns = for_ever ? INT64_MAX : self->told_ns + timeout_ns;
    whorl__sim_call(WHORL__SIM_EPOLL_WAIT, epoll_fd);
    return (int)whorl__sim_done(
        whorl__sim_epoll_wait(epoll_fd, ret_events, events_max, timeout_ns));
}

static int sim_eventfd(void)
{
    whorl__sim_call(WHORL__SIM_EVENTFD, 0);
    return (int)whorl__sim_done(whorl__sim_eventfd_new());
}

/* poll(2) and epoll use the same bits for what is asked here. */
static int sim_poll(int fd, int events)
{
    whorl__sim_call(WHORL__SIM_POLL, fd);
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    const uint32_t wanted = (uint32_t)events | POLLERR | POLLHUP;
    return (int)whorl__sim_done(file == NULL ? -EBADF
                                             : (int)(whorl__sim_file_ready(file) & wanted));
}

/* ---- descriptors ---- */

static ssize_t read_any(int fd, void *ret_bytes, size_t bytes_max)
{
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    if (file == NULL) {
        return -EBADF;
    }
    switch (file->kind) {
    case WHORL__SIM_FILE_EVENT:
        return whorl__sim_eventfd_read(file, ret_bytes, bytes_max);
    case WHORL__SIM_FILE_SOCKET:
        return whorl__sim_socket_recv(fd, ret_bytes, bytes_max, 0);
    case WHORL__SIM_FILE_EPOLL:
        break;
    }
    return -EINVAL;
}

static ssize_t sim_read(int fd, void *ret_bytes, size_t bytes_max)
{
    whorl__sim_call(WHORL__SIM_READ, fd);
    return whorl__sim_done(read_any(fd, ret_bytes, bytes_max));
}

static ssize_t write_any(int fd, const struct iovec *parts, int part_count)
{
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    if (file == NULL) {
        return -EBADF;
    }
    switch (file->kind) {
    case WHORL__SIM_FILE_EVENT:
        return part_count == 1
                   ? whorl__sim_eventfd_write(file, parts->iov_base, parts->iov_len)
                   : -EINVAL;
    case WHORL__SIM_FILE_SOCKET:
        return whorl__sim_socket_send(fd, parts, (size_t)part_count);
    case WHORL__SIM_FILE_EPOLL:
        break;
    }
    return -EINVAL;
}

static ssize_t sim_writev(int fd, const struct iovec *parts, int part_count)
{
    whorl__sim_call(WHORL__SIM_WRITE, fd);
    return whorl__sim_done(write_any(fd, parts, part_count));
}

static ssize_t sim_write(int fd, const void *bytes, size_t count)
{
    const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return sim_writev(fd, &part, 1);
}

static int sim_close(int fd)
{
    whorl__sim_call(WHORL__SIM_CLOSE, fd);
    return (int)whorl__sim_done(whorl__sim_fd_close(fd));
}

static int sim_dup(int fd)
{
    whorl__sim_call(WHORL__SIM_DUP, fd);
    return (int)whorl__sim_done(whorl__sim_fd_dup(fd));
}

static int sim_set_nonblocking(int fd)
{
    whorl__sim_call(WHORL__SIM_NONBLOCK, fd);
    return (int)whorl__sim_done(whorl__sim_fd_file(fd) == NULL ? -EBADF : 0);
}

/* There are no files: no control group, no state of a thread. */
static int sim_read_file(const char *path, char *ret_text, size_t text_max)
{
    whorl__sim_call(WHORL__SIM_READ_FILE, 0);
    (void)path, (void)ret_text, (void)text_max;
    return (int)whorl__sim_done(-ENOENT);
}

/* A name goes when its socket does. */
static int sim_unlink(const char *path)
{
    whorl__sim_call(WHORL__SIM_UNLINK, 0);
    (void)path;
    return (int)whorl__sim_done(0);
}

/* ---- sockets ---- */

static int sim_socket(int domain, int type, int protocol)
{
    whorl__sim_call(WHORL__SIM_SOCKET, domain);
    return (int)whorl__sim_done(whorl__sim_socket_new(domain, type, protocol));
}

static int sim_bind(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    whorl__sim_call(WHORL__SIM_BIND, fd);
    return (int)whorl__sim_done(whorl__sim_socket_bind(fd, address, address_bytes));
}

static int sim_listen(int fd, int backlog)
{
    whorl__sim_call(WHORL__SIM_LISTEN, fd);
    return (int)whorl__sim_done(whorl__sim_socket_listen(fd, backlog));
}

static int sim_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes)
{
    whorl__sim_call(WHORL__SIM_ACCEPT, fd);
    return (int)whorl__sim_done(whorl__sim_socket_accept(fd, ret_peer, ret_peer_bytes));
}

static int sim_connect(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    whorl__sim_call(WHORL__SIM_CONNECT, fd);
    return (int)whorl__sim_done(whorl__sim_socket_connect(fd, address, address_bytes));
}

static ssize_t sim_recv(int fd, void *ret_bytes, size_t bytes_max, int flags)
{
    whorl__sim_call(WHORL__SIM_RECV, fd);
    return whorl__sim_done(whorl__sim_socket_recv(fd, ret_bytes, bytes_max, flags));
}

static ssize_t sim_send(int fd, const void *bytes, size_t count, int flags)
{
    const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    whorl__sim_call(WHORL__SIM_SEND, fd);
    (void)flags;
    return whorl__sim_done(whorl__sim_socket_send(fd, &part, 1));
}

static ssize_t sim_sendmsg(int fd, const struct msghdr *message, int flags)
{
    whorl__sim_call(WHORL__SIM_SEND, fd);
    (void)flags;
    return whorl__sim_done(whorl__sim_socket_send(fd, message->msg_iov, message->msg_iovlen));
}

static int sim_shutdown(int fd, int how)
{
    whorl__sim_call(WHORL__SIM_SHUTDOWN, fd);
    return (int)whorl__sim_done(whorl__sim_socket_shutdown(fd, how));
}

static int sim_getsockopt(int fd, int level, int option, void *ret_value, socklen_t *ret_bytes)
{
    whorl__sim_call(WHORL__SIM_OPTION, fd);
    return (int)whorl__sim_done(
        whorl__sim_socket_get(fd, level, option, ret_value, ret_bytes));
}

static int sim_setsockopt(int fd, int level, int option, const void *value, socklen_t bytes)
{
    whorl__sim_call(WHORL__SIM_OPTION, fd);
    return (int)whorl__sim_done(whorl__sim_socket_set(fd, level, option, value, bytes));
}

static int sim_getsockname(int fd, struct sockaddr *ret_address, socklen_t *ret_bytes)
{
    whorl__sim_call(WHORL__SIM_NAME, fd);
    return (int)whorl__sim_done(whorl__sim_socket_name(fd, false, ret_address, ret_bytes));
}

static int sim_getpeername(int fd, struct sockaddr *ret_address, socklen_t *ret_bytes)
{
    whorl__sim_call(WHORL__SIM_NAME, fd);
    return (int)whorl__sim_done(whorl__sim_socket_name(fd, true, ret_address, ret_bytes));
}

const struct whorl__os whorl__sim_table = {
    .alloc = whorl__sim_alloc,
    .free = whorl__sim_free,
    .map = whorl__sim_map,
    .unmap = whorl__sim_unmap,
    .protect = whorl__sim_protect,
    .advise = whorl__sim_advise,
    .now_ns = sim_now_ns,
    .thread_start = sim_thread_start,
    .thread_start_quiet = sim_thread_start, /* no signals are played */
    .thread_join = sim_thread_join,
    .thread_detach = sim_thread_detach,
    .thread_id = sim_thread_id,
    .thread_cpu_ns = sim_thread_cpu_ns,
    .thread_signal = sim_thread_signal,
    .signal_stack = sim_signal_stack,
    .yield = sim_yield,
    .futex_wait = sim_futex_wait,
    .futex_wake = sim_futex_wake,
    .epoll_create = sim_epoll_create,
    .epoll_ctl = sim_epoll_ctl,
    .epoll_wait = sim_epoll_wait,
    .eventfd = sim_eventfd,
    .poll = sim_poll,
    .read = sim_read,
    .write = sim_write,
    .writev = sim_writev,
    .writev_quiet = sim_writev,
    .close = sim_close,
    .dup = sim_dup,
    .set_nonblocking = sim_set_nonblocking,
    .read_file = sim_read_file,
    .unlink = sim_unlink,
    .socket = sim_socket,
    .bind = sim_bind,
    .listen = sim_listen,
    .accept = sim_accept,
    .connect = sim_connect,
    .recv = sim_recv,
    .send = sim_send,
    .sendmsg = sim_sendmsg,
    .shutdown = sim_shutdown,
    .getsockopt = sim_getsockopt,
    .setsockopt = sim_setsockopt,
    .getsockname = sim_getsockname,
    .getpeername = sim_getpeername,
};
