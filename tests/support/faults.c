/*
 * faults.c - see faults.h.
 *
 * A refusal that the kernel could not have given would prove nothing. So EAGAIN, and a short count
 * where more was to be had, come with what the kernel promises after them: a new edge, which
 * EPOLL_CTL_MOD makes epoll report.
 */
#include "support/faults.h"

#include "atomic/atomic.h"
#include "base/assert.h"
#include "lockfree/spinlock.h"
#include "task/park.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif

enum { ORDERS = 64, WATCHED_MAX = 4096, REFUSED_MAX = 64 };

#define ONE_EACH(entry) +1
WHORL_STATIC(sizeof(struct whorl__os) == (0 FAULTS_ENTRIES(ONE_EACH)) * sizeof(void (*)(void)),
             "FAULTS_ENTRIES names every entry of struct whorl__os");

struct standing_order {
    struct faults_order order; /* C */
    uint32_t calls;            /* A: calls of the kind since it stands */
    uint32_t hits;             /* A */
    const void *victim;        /* published by hits */
};

struct watched {
    int epoll_fd; /* 1 + its number; 0: none */
    struct epoll_event event;
    bool connecting; /* connect was called since the number was a new socket */
};

struct mapping {
    void *base;
    size_t bytes;
};

static struct whorl__os table;
static struct standing_order orders[ORDERS]; /* a late caller may still look at an earlier one */
static uint32_t orders_made;                 /* A */
static void *standing;                       /* A: struct standing_order, or NULL */
static uint32_t phase_now;                   /* A */
static unsigned pretended;                   /* C while a runtime lives */
static uint32_t threads_made;                /* A */
static uint32_t calls[FAULTS_PHASE_COUNT][FAULTS_ENTRY_COUNT]; /* A */
static uint32_t blocks;                                        /* A */
static uint32_t maps;                                          /* A */
static struct whorl__spinlock lock;
static struct watched watched[WATCHED_MAX]; /* M(lock) */
static struct mapping refused[REFUSED_MAX]; /* M(lock) */
static int refused_count;                   /* M(lock) */

const char faults_loop[] = "a loop between two tasks";

const char *faults_name(enum faults_entry entry)
{
#define NAME(entry) #entry,
    static const char *const names[] = {FAULTS_ENTRIES(NAME)};
#undef NAME
    return names[entry];
}

const void *faults_me(void)
{
    const struct whorl__loop *const loop = whorl__loop_current();
    if (loop == NULL) {
        return (const void *)(uintptr_t)pthread_self();
    }
    return loop->current != NULL ? loop->current : faults_loop;
}

/* ---- does this call fail? ---- */

static bool is_meant(const struct faults_order *order, enum faults_entry entry, uint32_t phase,
                     int detail)
{
    return order->entry == entry && (order->phase == FAULTS_ANY_PHASE || order->phase == phase) &&
           (order->detail == 0 || order->detail == detail);
}

/* Counts the call. The order that it falls under, or NULL: it is made as ever. */
static const struct faults_order *hit(enum faults_entry entry, int detail)
{
    const uint32_t phase = whorl__load_acquire_u32(&phase_now);
    (void)whorl__add_u32(&calls[phase][entry], 1);
    struct standing_order *const now = whorl__load_acquire_ptr(&standing); /* pairs faults_order */
    if (now == NULL || !is_meant(&now->order, entry, phase, detail)) {
        return NULL;
    }
    const uint32_t count = now->order.count != 0 ? now->order.count : 1;
    const uint32_t call = whorl__add_u32(&now->calls, 1) + 1;
    if (call < now->order.first || call - now->order.first >= count) {
        return NULL;
    }
    if (call == now->order.first) {
        now->victim = faults_me();
    }
    (void)whorl__add_u32(&now->hits, 1); /* release half, pairs faults_hits */
    return &now->order;
}

/* ---- after a refusal, the edge ---- */

static void note_watch(int epoll_fd, int operation, int fd, const struct epoll_event *event)
{
    if (fd < 0 || fd >= WATCHED_MAX || operation == EPOLL_CTL_MOD) {
        return;
    }
    whorl__spin_lock(&lock);
    struct watched *const entry = &watched[fd];
    if (operation == EPOLL_CTL_ADD) {
        entry->epoll_fd = epoll_fd + 1;
        entry->event = *event;
    } else if (entry->epoll_fd == epoll_fd + 1) {
        entry->epoll_fd = 0;
    }
    whorl__spin_unlock(&lock);
}

/* epoll tells again what is ready. If it does not watch fd yet, it will tell when it begins to. */
static void renew_edge(int fd)
{
    struct watched entry = {0};
    whorl__spin_lock(&lock);
    if (fd >= 0 && fd < WATCHED_MAX) {
        entry = watched[fd];
    }
    whorl__spin_unlock(&lock);
    if (entry.epoll_fd != 0) {
        (void)whorl__os_linux.epoll_ctl(entry.epoll_fd - 1, EPOLL_CTL_MOD, fd, &entry.event);
    }
}

/* ---- memory ---- */

static void *faulty_alloc(size_t bytes)
{
    void *const block = hit(FAULTS_alloc, 0) != NULL ? NULL : whorl__os_linux.alloc(bytes);
    (void)whorl__add_u32(&blocks, block != NULL);
    return block;
}

static void faulty_free(void *block)
{
    (void)hit(FAULTS_free, 0);
    (void)whorl__add_u32(&blocks, block != NULL ? (uint32_t)-1 : 0);
    whorl__os_linux.free(block);
}

static int faulty_map(size_t bytes, void **ret_base)
{
    const struct faults_order *const order = hit(FAULTS_map, 0);
    const int error = order != NULL ? order->error : whorl__os_linux.map(bytes, ret_base);
    (void)whorl__add_u32(&maps, error == 0);
    return error;
}

static int faulty_unmap(void *base, size_t bytes)
{
    const struct faults_order *const order = hit(FAULTS_unmap, 0);
    if (order != NULL) {
        whorl__spin_lock(&lock);
        WHORL_CHECK(refused_count < REFUSED_MAX, "room for every mapping that is kept");
        refused[refused_count++] = (struct mapping){base, bytes};
        whorl__spin_unlock(&lock);
        return order->error;
    }
    (void)whorl__add_u32(&maps, (uint32_t)-1);
    return whorl__os_linux.unmap(base, bytes);
}

static int faulty_advise(void *base, size_t bytes, int advice)
{
    const struct faults_order *const order = hit(FAULTS_advise, advice);
    if (order != NULL || ((pretended & FAULTS_OLD_KERNEL) && advice == MADV_GUARD_INSTALL)) {
        return order != NULL ? order->error : -EINVAL;
    }
    return whorl__os_linux.advise(base, bytes, advice);
}

/* Asked, given, or taken away. */
static int stack_call(const stack_t *stack)
{
    return stack == NULL                  ? FAULTS_STACK_ASKED
           : stack->ss_flags & SS_DISABLE ? FAULTS_STACK_TAKEN
                                          : FAULTS_STACK_GIVEN;
}

/* ---- what has no peculiarity: the call, or the error ---- */

#define PLAIN(type, name, parameters, arguments, detail)                                           \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        const struct faults_order *const order = hit(FAULTS_##name, detail);                       \
        if (order != NULL && order->way == FAULTS_REFUSED) {                                       \
            return order->error;                                                                   \
        }                                                                                          \
        const type result = whorl__os_linux.name arguments;                                        \
        return order != NULL ? order->error : result;                                              \
    }

PLAIN(int, protect, (void *base, size_t bytes, int protection), (base, bytes, protection), 0)
PLAIN(int, thread_start_quiet, (pthread_t * ret_thread, void *(*body)(void *), void *arg),
      (ret_thread, body, arg), 0)
PLAIN(int, thread_join, (pthread_t thread), (thread), 0)
PLAIN(int, thread_id, (void), (), 0)
PLAIN(int64_t, now_ns, (void), (), 0)
PLAIN(int, thread_signal, (pthread_t thread, int signal), (thread, signal), 0)
PLAIN(int, signal_stack, (const stack_t *stack, stack_t *ret_old), (stack, ret_old),
      stack_call(stack))
PLAIN(int, futex_wait, (uint32_t * word, uint32_t expected, int64_t deadline_ns),
      (word, expected, deadline_ns), 0)
PLAIN(int, futex_wake, (uint32_t * word, int waiters_max), (word, waiters_max), 0)
PLAIN(int, epoll_create, (void), (), 0)
PLAIN(int, epoll_wait,
      (int epoll_fd, struct epoll_event *ret_events, int events_max, int64_t timeout_ns),
      (epoll_fd, ret_events, events_max, timeout_ns), 0)
PLAIN(int, eventfd, (void), (), 0)
PLAIN(int, poll, (int fd, int events), (fd, events), 0)
PLAIN(int, close, (int fd), (fd), 0)
PLAIN(int, dup, (int fd), (fd), 0)
PLAIN(int, set_nonblocking, (int fd), (fd), 0)
PLAIN(int, bind, (int fd, const struct sockaddr *address, socklen_t bytes), (fd, address, bytes), 0)
PLAIN(int, unlink, (const char *path), (path), 0)
PLAIN(int, listen, (int fd, int backlog), (fd, backlog), 0)
PLAIN(int, shutdown, (int fd, int how), (fd, how), 0)
PLAIN(int, getsockopt, (int fd, int level, int option, void *ret_value, socklen_t *ret_bytes),
      (fd, level, option, ret_value, ret_bytes), option)
PLAIN(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t bytes),
      (fd, level, option, value, bytes), option)
PLAIN(int, getsockname, (int fd, struct sockaddr *ret_address, socklen_t *ret_bytes),
      (fd, ret_address, ret_bytes), 0)
PLAIN(int, getpeername, (int fd, struct sockaddr *ret_address, socklen_t *ret_bytes),
      (fd, ret_address, ret_bytes), 0)

static void faulty_yield(void)
{
    (void)hit(FAULTS_yield, 0);
    whorl__os_linux.yield();
}

static void faulty_thread_detach(pthread_t thread)
{
    (void)hit(FAULTS_thread_detach, 0);
    whorl__os_linux.thread_detach(thread);
}

/* As on a machine that has a core for each thread: there, who holds a loop and computes uses the
 * processor all the time. Here it would depend on the other processes whether a thread is named. */
static int64_t faulty_thread_cpu_ns(pthread_t thread)
{
    const struct faults_order *const order = hit(FAULTS_thread_cpu_ns, 0);
    const int64_t used_ns = whorl__os_linux.thread_cpu_ns(thread);
    return order != NULL ? order->error : used_ns < 0 ? used_ns : whorl__os_linux.now_ns();
}

static int faulty_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    const struct faults_order *const order = hit(FAULTS_thread_start, 0);
    if (order != NULL) {
        return order->error;
    }
    if ((pretended & FAULTS_TWO_THREADS) && whorl__add_u32(&threads_made, 1) >= 2) {
        return -EAGAIN;
    }
    return whorl__os_linux.thread_start(ret_thread, body, arg);
}

/* ---- events ---- */

static int faulty_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    const struct faults_order *const order = hit(FAULTS_epoll_ctl, operation);
    if (order != NULL && order->way == FAULTS_REFUSED) {
        return order->error;
    }
    const int result = whorl__os_linux.epoll_ctl(epoll_fd, operation, fd, event);
    if (result == 0) {
        note_watch(epoll_fd, operation, fd, event);
    }
    return order != NULL ? order->error : result;
}

/* ---- bytes ---- */

static int faulty_socket(int domain, int type, int protocol)
{
    const struct faults_order *const order = hit(FAULTS_socket, 0);
    const int fd = order != NULL ? order->error : whorl__os_linux.socket(domain, type, protocol);
    if (fd >= 0 && fd < WATCHED_MAX) {
        watched[fd].connecting = false; /* the number is nobody else's yet */
    }
    return fd;
}

/* Detail 1 is the first call for a socket: only that one begins something. */
static int faulty_connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    const bool first = fd >= 0 && fd < WATCHED_MAX && !watched[fd].connecting;
    const struct faults_order *const order = hit(FAULTS_connect, first ? 1 : 2);
    if (order != NULL && order->way == FAULTS_REFUSED) {
        return order->error;
    }
    const int error = whorl__os_linux.connect(fd, address, bytes);
    if (first) {
        watched[fd].connecting = true;
    }
    const bool slow = first && (pretended & FAULTS_SLOW_CONNECT) && address->sa_family != AF_UNIX;
    return order != NULL ? order->error : slow && error == 0 ? -EINPROGRESS : error;
}

static int faulty_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes)
{
    const struct faults_order *const order = hit(FAULTS_accept, 0);
    if (order == NULL) {
        return whorl__os_linux.accept(fd, ret_peer, ret_peer_bytes);
    }
    if (order->error == -EAGAIN) {
        renew_edge(fd);
    }
    return order->error;
}

/* One of the calls below, with all of its bytes or with one. */
#define BYTES(name, parameters, all, one)                                                          \
    static ssize_t faulty_##name parameters                                                        \
    {                                                                                              \
        const struct faults_order *const order = hit(FAULTS_##name, 0);                            \
        if (order == NULL) {                                                                       \
            return whorl__os_linux.name all;                                                       \
        }                                                                                          \
        const ssize_t result =                                                                     \
            order->way == FAULTS_SHORT ? whorl__os_linux.name one : order->error;                  \
        if (order->way == FAULTS_SHORT || order->error == -EAGAIN) {                               \
            renew_edge(fd);                                                                        \
        }                                                                                          \
        return result;                                                                             \
    }

static size_t least(size_t count)
{
    return count > 0 ? 1 : 0;
}

static struct iovec first_byte(const struct iovec *parts)
{
    return (struct iovec){.iov_base = parts->iov_base, .iov_len = least(parts->iov_len)};
}

static struct msghdr first_part(struct iovec *part)
{
    return (struct msghdr){.msg_iov = part, .msg_iovlen = 1};
}

#define FIRST_BYTE (&(struct iovec[1]){first_byte(parts)}[0])
#define FIRST_PART                                                                                 \
    (&(struct msghdr[1]){first_part(&(struct iovec[1]){first_byte(message->msg_iov)}[0])}[0])

BYTES(read, (int fd, void *ret_bytes, size_t bytes_max), (fd, ret_bytes, bytes_max),
      (fd, ret_bytes, least(bytes_max)))
BYTES(writev, (int fd, const struct iovec *parts, int part_count), (fd, parts, part_count),
      (fd, FIRST_BYTE, 1))
BYTES(writev_quiet, (int fd, const struct iovec *parts, int part_count), (fd, parts, part_count),
      (fd, FIRST_BYTE, 1))
BYTES(recv, (int fd, void *ret_bytes, size_t bytes_max, int flags),
      (fd, ret_bytes, bytes_max, flags), (fd, ret_bytes, least(bytes_max), flags))
BYTES(send, (int fd, const void *bytes, size_t count, int flags), (fd, bytes, count, flags),
      (fd, bytes, least(count), flags))
BYTES(sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
      (fd, FIRST_PART, flags))

/* whorl writes to its own eventfds only: to wake a loop, and to find out whether a page is guarded.
 * The second gets -EFAULT, and only it can fail. */
static ssize_t faulty_write(int fd, const void *bytes, size_t count)
{
    const ssize_t result = whorl__os_linux.write(fd, bytes, count);
    const struct faults_order *const order = hit(FAULTS_write, result == -EFAULT ? EFAULT : 0);
    return order != NULL ? order->error : result;
}

static int faulty_read_file(const char *path, char *ret_text, size_t text_max)
{
    const struct faults_order *const order = hit(FAULTS_read_file, 0);
    if (order != NULL && order->way == FAULTS_REFUSED) {
        return order->error;
    }
    return whorl__os_linux.read_file(path, ret_text, order != NULL && text_max > 2 ? 2 : text_max);
}

/* ---- in and out ---- */

static void fill_table(void)
{
#define PUT(name) table.name = faulty_##name;
    FAULTS_ENTRIES(PUT)
#undef PUT
}

void faults_install(void)
{
    fill_table();
    faults_order(NULL);
    faults_enter(FAULTS_START);
    memset(calls, 0, sizeof calls);
    memset(watched, 0, sizeof watched);
    pretended = 0;
    threads_made = 0;
    blocks = 0;
    maps = 0;
    whorl__os = &table;
}

void faults_remove(void)
{
    faults_order(NULL);
    whorl__os = &whorl__os_linux;
}

struct whorl__os *faults_table(void)
{
    return &table;
}

void faults_order(const struct faults_order *order)
{
    struct standing_order *next = NULL;
    if (order != NULL) {
        next = &orders[whorl__add_u32(&orders_made, 1) % ORDERS];
        *next = (struct standing_order){.order = *order};
    }
    (void)whorl__swap_ptr(&standing, next); /* release half, pairs hit */
}

void faults_enter(enum faults_phase phase)
{
    whorl__store_release_u32(&phase_now, phase); /* pairs hit */
}

void faults_pretend(unsigned system)
{
    pretended = system;
}

uint32_t faults_hits(void)
{
    struct standing_order *const now = whorl__load_acquire_ptr(&standing);
    return now == NULL ? 0 : whorl__load_acquire_u32(&now->hits); /* acquire, pairs hit */
}

const void *faults_victim(void)
{
    struct standing_order *const now = whorl__load_acquire_ptr(&standing);
    return now == NULL || faults_hits() == 0 ? NULL : now->victim;
}

uint32_t faults_calls(enum faults_phase phase, enum faults_entry entry)
{
    return whorl__load_acquire_u32(&calls[phase][entry]);
}

int faults_blocks(void)
{
    return (int)whorl__load_acquire_u32(&blocks);
}

int faults_maps(void)
{
    return (int)whorl__load_acquire_u32(&maps);
}

int faults_unmap_refused(void)
{
    whorl__spin_lock(&lock);
    const int count = refused_count;
    for (int i = 0; i < count; i++) {
        (void)whorl__os_linux.unmap(refused[i].base, refused[i].bytes);
    }
    refused_count = 0;
    whorl__spin_unlock(&lock);
    maps -= (uint32_t)count;
    return count;
}
