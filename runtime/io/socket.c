/*
 * socket.c - making stream sockets: listen, accept, connect, on TCP and Unix addresses.
 *
 * Threads:    the calling task's.
 */
#include "io/wait.h"

#include "task/park.h"

#include "sys/os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#define BACKLOG_DEFAULT   1024
#define SHORTAGE_PAUSE_NS (50 * WHORL_MILLISECOND)
#define PEERS_PAUSE_NS    (1 * WHORL_MILLISECOND)
#define PEERS_IN_A_ROW    64 /* that are passed over without a pause */
#define UNIX_PAUSE_NS     (1 * WHORL_MILLISECOND)

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
    socklen_t bytes;
};

/* ---- addresses ---- */

static int parse_tcp(const char *text, int port, struct address *ret_address)
{
    if (port < 0 || port > 65535) {
        return -EINVAL;
    }
    struct address address = {0};
    if (text == NULL || strcmp(text, "0.0.0.0") == 0) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_addr.s_addr = htonl(INADDR_ANY);
        address.v4.sin_port = htons((uint16_t)port);
        address.bytes = sizeof address.v4;
    } else if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons((uint16_t)port);
        address.bytes = sizeof address.v4;
    } else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons((uint16_t)port);
        address.bytes = sizeof address.v6;
    } else {
        return -EINVAL;
    }
    *ret_address = address;
    return 0;
}

/* A leading '@' stands for the 0 byte of an abstract name. */
static int parse_unix(const char *path, struct address *ret_address)
{
    struct address address = {0};
    const size_t length = path == NULL ? 0 : strlen(path);
    if (length == 0 || length >= sizeof address.local.sun_path) {
        return length == 0 ? -EINVAL : -ENAMETOOLONG;
    }
    address.local.sun_family = AF_UNIX;
    memcpy(address.local.sun_path, path, length);
    size_t name_bytes = length + 1;
    if (path[0] == '@') {
        address.local.sun_path[0] = '\0';
        name_bytes = length;
    }
    address.bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_bytes);
    *ret_address = address;
    return 0;
}

/* ---- a new descriptor ---- */

static int new_socket(int family)
{
    return whorl__os->socket(family, SOCK_STREAM, 0);
}

static enum whorl__kind kind_of(const struct address *address)
{
    return address->any.sa_family == AF_UNIX ? WHORL__SOCKET : WHORL__TCP;
}

/* From here on the record owns the number; on failure it is closed. */
static int adopt_new(struct whorl_task *task, int fd, enum whorl__kind kind)
{
    const int error = whorl__call_adopt(task, fd, kind);
    if (error != 0) {
        (void)whorl__os->close(fd);
        return error;
    }
    return fd;
}

/* Small messages go out at once: what asyncio sets, too. Sockets accepted here inherit it. */
static void set_no_delay(int fd)
{
    const int on = 1;
    (void)whorl__os->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* ---- listen ---- */

static int bind_listener(int fd, const struct address *address, unsigned flags)
{
    const int on = 1;
    int error = 0;
    if (address->any.sa_family != AF_UNIX) {
        error = whorl__os->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        set_no_delay(fd);
    }
    if (error == 0 && (flags & WHORL_REUSEPORT)) {
        error = whorl__os->setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    return error != 0 ? error : whorl__os->bind(fd, &address->any, address->bytes);
}

/* bind has made the file of a Unix path: left there, it would refuse the next try. */
static void unbind(const struct address *address)
{
    if (address->any.sa_family == AF_UNIX && address->local.sun_path[0] != '\0') {
        (void)whorl__os->unlink(address->local.sun_path);
    }
}

static int listen_on(const struct address *address, int backlog, unsigned flags)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__error_outside();
    }
    const int fd = new_socket(address->any.sa_family);
    if (fd < 0) {
        return fd;
    }
    int error = bind_listener(fd, address, flags);
    if (error != 0) {
        goto close_socket;
    }
    error = whorl__os->listen(fd, backlog > 0 ? backlog : BACKLOG_DEFAULT);
    if (error == 0) {
        error = whorl__call_adopt(task, fd, kind_of(address));
    }
    if (error == 0) {
        return fd;
    }
    unbind(address);
close_socket:
    (void)whorl__os->close(fd);
    return error;
}

int whorl_tcp_listen(const char *address, int port, int backlog, unsigned flags)
{
    struct address parsed;
    if (backlog < 0 || (flags & ~(unsigned)WHORL_REUSEPORT) != 0) {
        return -EINVAL;
    }
    const int error = parse_tcp(address, port, &parsed);
    return error != 0 ? error : listen_on(&parsed, backlog, flags);
}

int whorl_unix_listen(const char *path, int backlog)
{
    struct address parsed;
    if (backlog < 0) {
        return -EINVAL;
    }
    const int error = parse_unix(path, &parsed);
    return error != 0 ? error : listen_on(&parsed, backlog, 0);
}

int whorl_socket_port(int fd)
{
    struct whorl__call call;
    struct address address = {.bytes = sizeof address.v6};
    int error = whorl__call_begin(&call, fd);
    if (error != 0) {
        return error;
    }
    error = whorl__os->getsockname(fd, &address.any, &address.bytes);
    whorl__call_end(&call);
    if (error != 0) {
        return error;
    }
    switch (address.any.sa_family) {
    case AF_INET:
        return ntohs(address.v4.sin_port);
    case AF_INET6:
        return ntohs(address.v6.sin6_port);
    default:
        return -EAFNOSUPPORT;
    }
}

/* ---- accept ---- */

struct accepting {
    struct whorl__call call;
    int64_t deadline_ns;
    int accepted;  /* -1: none yet */
    unsigned gone; /* peers that were passed over */
};

/* The peer gave up, or the network did, before we came: the next one may be fine. */
static bool is_peers_fault(int error)
{
    switch (error) {
    case -ECONNABORTED:
    case -EPROTO:
    case -EPERM:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENOPROTOOPT:
    case -ENONET:
        return true;
    default:
        return false;
    }
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

static void log_once(struct accepting *accepting, int error, const char *comfort)
{
    struct whorl__call *const call = &accepting->call;
    if (!call->record->accept_logged) {
        call->record->accept_logged = true;
        whorl__log(call->task->runtime, "whorl: accept: %s; %s", whorl_error_text(error), comfort);
    }
}

/* 0 to try again. Where there is no memory for a timer either, the others go first. */
static int pause_accepting(const struct accepting *accepting, int64_t pause_ns)
{
    const int64_t next_ns = whorl_after(pause_ns);
    const int64_t deadline_ns = accepting->deadline_ns;
    if (whorl__record_is_closing(accepting->call.record)) {
        return -EBADF;
    }
    int error = whorl_sleep_until(next_ns < deadline_ns ? next_ns : deadline_ns);
    if (error == -ENOMEM) {
        error = whorl_yield();
    }
    return error == 0 && whorl_now() >= deadline_ns ? -ETIMEDOUT : error;
}

static int wait_out_shortage(struct accepting *accepting, int error)
{
    log_once(accepting, error,
             "connections wait in the kernel until some are closed, or raise the limit "
             "(ulimit -n)");
    return pause_accepting(accepting, SHORTAGE_PAUSE_NS);
}

/* It may be no peer at all, but a filter that refuses every accept: that must not spin. */
static int pass_over(struct accepting *accepting, int error)
{
    if (++accepting->gone % PEERS_IN_A_ROW != 0) {
        return 0;
    }
    log_once(accepting, error, "so it was many times in a row; accepting goes on");
    return pause_accepting(accepting, PEERS_PAUSE_NS);
}

/* A connection that was taken is kept through a shortage of memory, too. */
static int adopt_accepted(struct accepting *accepting, int fd)
{
    struct whorl__call *const call = &accepting->call;
    int error;
    while ((error = whorl__call_adopt(call->task, fd, call->record->kind)) == -ENOMEM) {
        error = wait_out_shortage(accepting, error);
        if (error != 0) {
            break;
        }
    }
    if (error != 0) {
        (void)whorl__os->close(fd);
        return error;
    }
    whorl__plain_write(&call->record->accept_logged);
    call->record->accept_logged = false;
    accepting->accepted = fd;
    return 0;
}

/* `anyway`: whatever the latch says. */
static int try_accept(struct whorl__call *call, bool anyway)
{
    struct whorl__record *const record = call->record;
    const uint64_t seen = whorl__record_seen(record, WHORL__IN);
    if (!(seen & WHORL__SLOT_READY) && !anyway) {
        return -EAGAIN;
    }
    const int fd = (int)whorl__call_answer(whorl__os->accept(record->fd, NULL, NULL));
    if (fd == -EAGAIN) {
        whorl__record_clear(record, WHORL__IN, seen);
    }
    return fd;
}

/* One step; 0: look whether one was accepted, else go on. */
static int accept_step(struct accepting *accepting)
{
    struct whorl__call *const call = &accepting->call;
    int fd = try_accept(call, false);
    int error = 0;
    if (fd == -EAGAIN) {
        error = whorl__call_failed(
            call, whorl__call_wait(call, WHORL__IN, accepting->deadline_ns));
        if (error == -ETIMEDOUT) { /* a busy loop may not have asked its poller in time */
            fd = try_accept(call, true);
        }
    }
    if (fd >= 0) {
        return adopt_accepted(accepting, fd);
    }
    if (fd == -EAGAIN) {
        return error;
    }
    if (is_shortage(fd)) {
        return wait_out_shortage(accepting, fd);
    }
    return is_peers_fault(fd) ? pass_over(accepting, fd) : fd;
}

int whorl_accept_until(int fd, int64_t deadline_ns)
{
    struct accepting accepting = {.deadline_ns = deadline_ns, .accepted = -1};
    int error = whorl__call_begin_wait(&accepting.call, fd);
    if (error != 0) {
        return error;
    }
    while (error == 0 && accepting.accepted < 0) {
        error = accept_step(&accepting);
    }
    whorl__call_end(&accepting.call);
    return error != 0 ? error : accepting.accepted;
}

int whorl_accept(int fd)
{
    return whorl_accept_until(fd, WHORL_NEVER);
}

/* ---- connect ---- */

/* Waits until the kernel has an answer, asks for it, and asks again if that was a false alarm. */
static int await_answer(struct whorl__call *call, const struct address *address,
                        int64_t deadline_ns)
{
    struct whorl__record *const record = call->record;
    uint64_t seen = whorl__record_seen(record, WHORL__OUT); /* of before: nobody watches it yet */
    for (;;) {
        whorl__record_clear(record, WHORL__OUT, seen);
        int error = whorl__call_wait(call, WHORL__OUT, deadline_ns);
        if (error != 0 && (error = whorl__call_failed(call, error)) != 0) {
            return error;
        }
        seen = whorl__record_seen(record, WHORL__OUT); /* an answer from here on changes it */
        int answer = 0;
        socklen_t answer_bytes = sizeof answer;
        error = whorl__os->getsockopt(record->fd, SOL_SOCKET, SO_ERROR, &answer, &answer_bytes);
        if (error != 0 || answer != 0) {
            return (int)whorl__call_answer(error != 0 ? error : -answer);
        }
        error = whorl__os->connect(record->fd, &address->any, address->bytes);
        if (error != -EALREADY && error != -EINPROGRESS) {
            return error == -EISCONN ? 0 : (int)whorl__call_answer(error);
        }
    }
}

/* A Unix listener whose backlog is full says EAGAIN, and no poller tells when there is room. */
static int connect_patiently(struct whorl__call *call, const struct address *address,
                             int64_t deadline_ns)
{
    int error;
    while ((error = whorl__os->connect(call->record->fd, &address->any, address->bytes)) ==
           -EAGAIN) {
        const int64_t next_ns = whorl_after(UNIX_PAUSE_NS);
        if (whorl__record_is_closing(call->record)) {
            return -EBADF;
        }
        if (next_ns >= deadline_ns) {
            return -ETIMEDOUT;
        }
        error = whorl_sleep_until(next_ns);
        if (error != 0) {
            return error;
        }
    }
    return (int)whorl__call_answer(error);
}

static int connect_call(struct whorl__call *call, const struct address *address,
                        int64_t deadline_ns)
{
    const int error = connect_patiently(call, address, deadline_ns);
    return error == -EINPROGRESS || error == -EINTR ? await_answer(call, address, deadline_ns)
                                                    : error;
}

static int connect_to(const struct address *address, int64_t deadline_ns)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__error_outside();
    }
    int fd = new_socket(address->any.sa_family);
    if (fd < 0) {
        return fd;
    }
    if (address->any.sa_family != AF_UNIX) {
        set_no_delay(fd);
    }
    fd = adopt_new(task, fd, kind_of(address));
    struct whorl__call call;
    int error = fd < 0 ? fd : whorl__call_begin(&call, fd);
    if (error != 0) {
        return error;
    }
    error = connect_call(&call, address, deadline_ns);
    if (error != 0) {
        (void)whorl__call_close(&call);
    }
    whorl__call_end(&call);
    return error != 0 ? error : fd;
}

int whorl_tcp_connect_until(const char *address, int port, int64_t deadline_ns)
{
    if (address == NULL) {
        return -EINVAL;
    }
    struct address parsed;
    const int error = parse_tcp(address, port, &parsed);
    return error != 0 ? error : connect_to(&parsed, deadline_ns);
}

int whorl_tcp_connect(const char *address, int port)
{
    return whorl_tcp_connect_until(address, port, WHORL_NEVER);
}

int whorl_unix_connect_until(const char *path, int64_t deadline_ns)
{
    struct address parsed;
    const int error = parse_unix(path, &parsed);
    return error != 0 ? error : connect_to(&parsed, deadline_ns);
}

int whorl_unix_connect(const char *path)
{
    return whorl_unix_connect_until(path, WHORL_NEVER);
}
