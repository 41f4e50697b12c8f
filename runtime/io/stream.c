/*
 * stream.c - read, write, shutdown, close, and the readiness of any descriptor.
 *
 * The system call comes first where the record says "ready, or not known"; when the kernel says
 * EAGAIN, or gives less than was asked for, the latch is cleared and the next call waits at once.
 * So a request that arrives in one piece costs one read, as with a hand-written loop.
 *
 * Threads:    the calling task's.
 */
#include "io/wait.h"

#include "sys/os.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

/* ---- read ---- */

static bool may_be_ready(uint64_t seen)
{
    return (seen & WHORL__SLOT_READY) != 0;
}

/* One try. -EAGAIN: nothing there, and the latch says so. `anyway`: whatever the latch says. */
static ssize_t try_read(struct whorl__call *call, void *ret_bytes, size_t bytes_max, bool anyway)
{
    struct whorl__record *const record = call->record;
    const uint64_t seen = whorl__record_seen(record, WHORL__IN);
    if (!may_be_ready(seen) && !anyway) {
        return -EAGAIN;
    }
    const ssize_t got = whorl__call_answer(whorl__os->read(record->fd, ret_bytes, bytes_max));
    whorl__plain_read(&record->kind);
    const bool drained = got > 0 && (size_t)got < bytes_max && record->kind == WHORL__TCP &&
                         !(seen & WHORL__SLOT_HANGUP);
    /* Drained: an edge since `seen` keeps the latch, and data and FIN in one edge have HANGUP. But
     * an edge is promised only once a poller watches. relaxed: this task set home before `seen`. */
    if (got == -EAGAIN || (drained && whorl__load_relaxed_u32(&record->home) != 0)) {
        whorl__record_clear(record, WHORL__IN, seen);
    }
    return got;
}

/* A late task looks once more: a busy loop may not have asked its poller in time. */
static ssize_t read_some(struct whorl__call *call, void *ret_bytes, size_t bytes_max,
                         int64_t deadline_ns)
{
    bool late = false;
    for (;;) {
        const ssize_t got = try_read(call, ret_bytes, bytes_max, late);
        if (got != -EAGAIN || late) {
            return got == -EAGAIN ? -ETIMEDOUT : got;
        }
        int error = whorl__call_wait(call, WHORL__IN, deadline_ns);
        if (WHORL_UNLIKELY(error != 0)) {
            error = whorl__call_failed(call, error);
            late = error == -ETIMEDOUT;
        }
        if (error != 0 && !late) {
            return error;
        }
    }
}

ssize_t whorl_read_until(int fd, void *ret_bytes, size_t bytes_max, int64_t deadline_ns)
{
    struct whorl__call call;
    const int error = whorl__call_begin_wait(&call, fd);
    if (error != 0) {
        return error;
    }
    const ssize_t got = read_some(&call, ret_bytes, bytes_max, deadline_ns);
    whorl__call_end(&call);
    return got;
}

ssize_t whorl_read(int fd, void *ret_bytes, size_t bytes_max)
{
    return whorl_read_until(fd, ret_bytes, bytes_max, WHORL_NEVER);
}

/* ---- write ---- */

/* A peer that is gone is an error, never a signal. */
static ssize_t put_parts(const struct whorl__record *record, struct iovec *parts, int part_count)
{
    whorl__plain_read(&record->kind);
    if (record->kind == WHORL__FILE) {
        return whorl__os->writev_quiet(record->fd, parts, part_count);
    }
    if (part_count == 1) {
        return whorl__os->send(record->fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
    }
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)part_count};
    return whorl__os->sendmsg(record->fd, &message, MSG_NOSIGNAL);
}

/* One try to write some of the parts. -EAGAIN: no room, and the latch says so. */
static ssize_t try_write(struct whorl__call *call, struct iovec *parts, int part_count)
{
    struct whorl__record *const record = call->record;
    const uint64_t seen = whorl__record_seen(record, WHORL__OUT);
    if (!may_be_ready(seen)) {
        return -EAGAIN;
    }
    const ssize_t put = whorl__call_answer(put_parts(record, parts, part_count));
    if (put == -EAGAIN) {
        whorl__record_clear(record, WHORL__OUT, seen);
    }
    return put;
}

/* Waits for room; 0 to try again. What was written is told first: then a cancel stays pending. */
static int wait_for_room(struct whorl__call *call, bool some_written, int64_t deadline_ns)
{
    const int error = whorl__call_wait(call, WHORL__OUT, deadline_ns);
    return error != 0 && !some_written ? whorl__call_failed(call, error) : error;
}

/* Parts not written yet; a window of them is copied, so that the caller's array stays as it is. */
#define WINDOW 16

struct rest {
    const struct iovec *parts;
    int count;
    size_t offset; /* into parts[0] */
};

static void skip_empty(struct rest *rest)
{
    while (rest->count > 0 && rest->offset == rest->parts->iov_len) {
        rest->parts++;
        rest->count--;
        rest->offset = 0;
    }
}

static int window_of(const struct rest *rest, struct iovec ret_window[WINDOW])
{
    const int count = rest->count < WINDOW ? rest->count : WINDOW;
    for (int i = 0; i < count; i++) {
        ret_window[i] = rest->parts[i];
    }
    ret_window[0].iov_base = (char *)ret_window[0].iov_base + rest->offset;
    ret_window[0].iov_len -= rest->offset;
    return count;
}

static void advance(struct rest *rest, size_t bytes)
{
    while (bytes > 0) {
        const size_t left = rest->parts->iov_len - rest->offset;
        const size_t step = bytes < left ? bytes : left;
        rest->offset += step;
        bytes -= step;
        skip_empty(rest);
    }
}

/* How much was written, with the `done` bytes of before; or the error that came before anything
 * was. If something was, the same error comes again to the next call. */
static ssize_t write_rest(struct whorl__call *call, struct rest *rest, ssize_t done,
                          int64_t deadline_ns)
{
    struct iovec window[WINDOW];
    skip_empty(rest);
    while (rest->count > 0) {
        ssize_t put = try_write(call, window, window_of(rest, window));
        if (put == -EAGAIN) {
            put = wait_for_room(call, done > 0, deadline_ns);
        }
        if (put < 0) {
            return done > 0 ? done : put;
        }
        advance(rest, (size_t)put);
        done += put;
    }
    return done;
}

ssize_t whorl_writev_until(int fd, const struct iovec *parts, int part_count, int64_t deadline_ns)
{
    struct whorl__call call;
    if (part_count < 0 || part_count > 1024) {
        return -EINVAL;
    }
    const int error = whorl__call_begin_wait(&call, fd);
    if (error != 0) {
        return error;
    }
    struct rest rest = {.parts = parts, .count = part_count};
    const ssize_t done = write_rest(&call, &rest, 0, deadline_ns);
    whorl__call_end(&call);
    return done;
}

ssize_t whorl_writev(int fd, const struct iovec *parts, int part_count)
{
    return whorl_writev_until(fd, parts, part_count, WHORL_NEVER);
}

ssize_t whorl_write_until(int fd, const void *bytes, size_t count, int64_t deadline_ns)
{
    struct whorl__call call;
    const int error = whorl__call_begin_wait(&call, fd);
    if (error != 0) {
        return error;
    }
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    ssize_t put = 0;
    if (WHORL_LIKELY(count > 0)) {
        put = try_write(&call, &part, 1);
        if (WHORL_UNLIKELY(put == -EAGAIN || (put >= 0 && (size_t)put < count))) {
            const ssize_t done = put > 0 ? put : 0;
            struct rest rest = {.parts = &part, .count = 1, .offset = (size_t)done};
            put = write_rest(&call, &rest, done, deadline_ns);
        }
    }
    whorl__call_end(&call);
    return put;
}

ssize_t whorl_write(int fd, const void *bytes, size_t count)
{
    return whorl_write_until(fd, bytes, count, WHORL_NEVER);
}

/* ---- shutdown and close ---- */

int whorl_shutdown(int fd, int how)
{
    struct whorl__call call;
    int error = whorl__call_begin(&call, fd);
    if (error == 0) {
        error = whorl__os->shutdown(fd, how);
        whorl__call_end(&call);
    }
    return error;
}

int whorl_shutdown_until(int fd, int how, int64_t deadline_ns)
{
    (void)deadline_ns;
    return whorl_shutdown(fd, how);
}

int whorl_close(int fd)
{
    struct whorl__call call;
    int error = whorl__call_begin(&call, fd);
    if (error == 0) {
        error = whorl__call_close(&call);
        whorl__call_end(&call);
    }
    return error;
}

/* Whether we could not wait for the peer; what ends its stream otherwise is its own affair. */
static bool is_ours(ssize_t error)
{
    return error == -ETIMEDOUT || error == -ECANCELED || error == -ENOMEM || error == -ENOSPC;
}

/* Until the peer has closed as well; what it still sends is dropped. */
static int drain(int fd, int64_t deadline_ns)
{
    char dropped[4096];
    ssize_t got;
    do {
        got = whorl_read_until(fd, dropped, sizeof dropped, deadline_ns);
    } while (got > 0);
    return is_ours(got) ? (int)got : 0;
}

int whorl_close_until(int fd, int64_t deadline_ns)
{
    int error = whorl_shutdown(fd, SHUT_WR);
    if (error == -EBADF || error == whorl__error_outside()) {
        return error;
    }
    error = error == 0 ? drain(fd, deadline_ns) : 0; /* not connected: nothing to wait for */
    const int closed = whorl_close(fd);
    return closed != 0 ? closed : error;
}

/* ---- any descriptor ---- */

static enum whorl__kind kind_of(int fd)
{
    int protocol;
    socklen_t protocol_bytes = sizeof protocol;
    if (whorl__os->getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_bytes) != 0) {
        return WHORL__FILE;
    }
    return protocol == IPPROTO_TCP ? WHORL__TCP : WHORL__SOCKET;
}

int whorl_fd_adopt(int fd)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__error_outside();
    }
    const int error = whorl__os->set_nonblocking(fd);
    return error != 0 ? error : whorl__call_adopt(task, fd, kind_of(fd));
}

static unsigned directions_of(int events)
{
    return (events & POLLIN ? 1U << WHORL__IN : 0) | (events & POLLOUT ? 1U << WHORL__OUT : 0);
}

/* The kernel is asked each time: whoever uses readiness alone reads behind the latch's back. */
static int wait_for_events(struct whorl__call *call, int events, int64_t deadline_ns)
{
    struct whorl__record *const record = call->record;
    for (;;) {
        const uint64_t seen_in = whorl__record_seen(record, WHORL__IN);
        const uint64_t seen_out = whorl__record_seen(record, WHORL__OUT);
        const int ready = whorl__os->poll(record->fd, events);
        if (ready != 0) {
            return ready;
        }
        if (events & POLLIN) {
            whorl__record_clear(record, WHORL__IN, seen_in);
        }
        if (events & POLLOUT) {
            whorl__record_clear(record, WHORL__OUT, seen_out);
        }
        int error = whorl__call_wait_any(call, directions_of(events), deadline_ns);
        if (error != 0 && (error = whorl__call_failed(call, error)) != 0) {
            return error;
        }
    }
}

/* A number whorl does not know is watched through a duplicate, which nobody else can close. */
static int borrow(struct whorl_task *task, int fd)
{
    const int borrowed = whorl__os->dup(fd);
    if (borrowed < 0) {
        return borrowed;
    }
    const int error = whorl__call_adopt(task, borrowed, WHORL__FILE);
    if (error != 0) {
        (void)whorl__os->close(borrowed);
        return error;
    }
    return borrowed;
}

static int wait_borrowed(int fd, int events, int64_t deadline_ns)
{
    struct whorl_task *const task = whorl__task_current();
    const int borrowed = borrow(task, fd);
    if (borrowed < 0) {
        return borrowed;
    }
    const int ready = whorl_fd_wait_until(borrowed, events, deadline_ns);
    (void)whorl_close(borrowed);
    return ready;
}

int whorl_fd_wait_until(int fd, int events, int64_t deadline_ns)
{
    struct whorl__call call;
    if (directions_of(events) == 0 || (events & ~(POLLIN | POLLOUT)) != 0) {
        return -EINVAL;
    }
    const int error = whorl__call_begin_wait(&call, fd);
    if (error == -EBADF) {
        return wait_borrowed(fd, events, deadline_ns);
    }
    if (error != 0) {
        return error;
    }
    const int ready = wait_for_events(&call, events, deadline_ns);
    whorl__call_end(&call);
    return ready;
}

int whorl_fd_wait(int fd, int events)
{
    return whorl_fd_wait_until(fd, events, WHORL_NEVER);
}

int whorl_fd_loop(int fd)
{
    struct whorl__call call;
    const int error = whorl__call_begin(&call, fd);
    if (error != 0) {
        return error;
    }
    /* relaxed: a hint */
    const uint32_t home = whorl__load_relaxed_u32(&call.record->home);
    whorl__call_end(&call);
    return home == 0 ? -EAGAIN : (int)home - 1;
}
