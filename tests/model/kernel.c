/*
 * kernel.c - the calls of kernel.h, as a system table for the library.
 *
 * Owns:       the pointer to the kernel of this execution.
 * Threads:    the model's threads, which take turns: between two atomic operations there is no
 *             switch. So a call takes the locks of what it touches first, and then is alone.
 */
#include "model/kernel.h"

#include "model/model.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_SLABS 4
#define SLAB_LEAST   ((size_t)64 * 1024)

static struct kernel *here;

/* ---- files ---- */

static struct kernel_file *file_at(int fd)
{
    MODEL_CHECK(fd >= KERNEL_FD_BASE && fd < KERNEL_FD_BASE + KERNEL_FILES);
    return &here->files[fd - KERNEL_FD_BASE];
}

/* The call's moment on this object: it sees what earlier calls left, later ones what it does. */
static void enter(struct kernel_file *file)
{
    (void)whorl__add_u32(&file->locks[file->life], 1); /* acq_rel: as the kernel's own lock */
}

static void enter_table(void)
{
    (void)whorl__add_u32(&here->numbers, 1); /* acq_rel: as the kernel's own lock */
}

static int open_file(enum kernel_kind kind)
{
    enter_table();
    for (int place = 0; place < KERNEL_FILES; place++) {
        struct kernel_file *const file = &here->files[place];
        if (file->kind == KERNEL_FREE) {
            MODEL_CHECK(file->life + 1 < KERNEL_LIVES);
            file->kind = kind;
            file->life++;
            file->bytes = 0;
            file->peer_gone = false;
            return KERNEL_FD_BASE + place;
        }
    }
    return -EMFILE;
}

static uint32_t level_of(int fd);

static bool has_ready_item(int epoll)
{
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        const struct kernel_item *const item = &here->items[i];
        if (item->used && item->ready && item->epoll == epoll &&
            (level_of(item->file) & item->events) != 0) {
            return true;
        }
    }
    return false;
}

static uint32_t level_of(int fd)
{
    const struct kernel_file *const file = file_at(fd);
    switch (file->kind) {
    case KERNEL_EVENTFD:
        return (uint32_t)EPOLLOUT | (file->bytes > 0 ? (uint32_t)EPOLLIN : 0);
    case KERNEL_EPOLL:
        return has_ready_item(fd) ? (uint32_t)EPOLLIN : 0;
    case KERNEL_STREAM:
        return (uint32_t)EPOLLOUT | (file->bytes > 0 || file->peer_gone ? (uint32_t)EPOLLIN : 0) |
               (file->peer_gone ? (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLHUP : 0);
    default:
        return 0;
    }
}

/* ---- the ready lists ---- */

static void enlist(struct kernel_item *item)
{
    if (!item->ready) {
        item->ready = true;
        item->since = here->ready_count++;
    }
}

/* The epolls that have `fd`: entered, so that who waits there sees what the caller did before. */
static void enter_watchers(int fd)
{
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        if (here->items[i].used && here->items[i].file == fd) {
            enter(file_at(here->items[i].epoll));
        }
    }
}

/* Something has happened to `fd`: its items become ready, and those of the epolls they are in. */
static void signal_watchers(int fd, uint32_t events)
{
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        struct kernel_item *const item = &here->items[i];
        if (item->used && item->file == fd && (item->events & events) != 0) {
            enlist(item);
            signal_watchers(item->epoll, EPOLLIN);
        }
    }
}

/* The moment of a call that changes a file. */
static void enter_all(int fd)
{
    enter(file_at(fd));
    enter_watchers(fd);
}

static struct kernel_item *find_item(int epoll, int fd)
{
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        struct kernel_item *const item = &here->items[i];
        if (item->used && item->epoll == epoll && item->file == fd) {
            return item;
        }
    }
    return NULL;
}

static struct kernel_item *free_item(void)
{
    unsigned i = 0;
    while (i < KERNEL_ITEMS && here->items[i].used) {
        i++;
    }
    MODEL_CHECK(i < KERNEL_ITEMS);
    return &here->items[i];
}

static struct kernel_item *first_ready(int epoll)
{
    struct kernel_item *first = NULL;
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        struct kernel_item *const item = &here->items[i];
        if (item->used && item->ready && item->epoll == epoll &&
            (first == NULL || item->since < first->since)) {
            first = item;
        }
    }
    return first;
}

/* ---- time ---- */

/*
 * Who waits with a deadline lets others go first, and then it is that late: no thread need be there
 * that moves the clock, and a wait may end early or late against everything else. So a wake-up that
 * only a deadline makes up for is not taken for lost; models of wake-ups wait without one.
 */
static void pass_time(int64_t deadline_ns)
{
    model_yield();
    if (model_clock_ns() < deadline_ns) {
        model_clock_set(deadline_ns);
    }
}

/* ---- epoll ---- */

static int kernel_epoll_create(void)
{
    return open_file(KERNEL_EPOLL);
}

static int add_item(int epoll, int fd, const struct epoll_event *event)
{
    if (find_item(epoll, fd) != NULL) {
        return -EEXIST;
    }
    if (find_item(fd, epoll) != NULL) {
        return -ELOOP;
    }
    struct kernel_item *const item = free_item();
    *item = (struct kernel_item){
        .used = true, .epoll = epoll, .file = fd, .events = event->events, .data = event->data.u64};
    if ((level_of(fd) & item->events) != 0) {
        enlist(item);
        signal_watchers(epoll, EPOLLIN);
    }
    return 0;
}

static int kernel_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    enter(file_at(fd));
    enter(file_at(epoll));
    if (file_at(fd)->kind == KERNEL_FREE || file_at(epoll)->kind != KERNEL_EPOLL) {
        return -EBADF;
    }
    if (operation == EPOLL_CTL_ADD) {
        return add_item(epoll, fd, event);
    }
    struct kernel_item *const item = find_item(epoll, fd);
    if (item == NULL) {
        return -ENOENT;
    }
    MODEL_CHECK(operation == EPOLL_CTL_DEL);
    item->used = false;
    return 0;
}

/* Takes what is ready, in the order in which it became so. */
static int collect(int epoll, struct epoll_event *ret_events, int events_max)
{
    const unsigned end = here->ready_count;
    struct kernel_item *item;
    int count = 0;
    while (count < events_max && (item = first_ready(epoll)) != NULL && item->since < end) {
        const uint32_t events = level_of(item->file) & item->events;
        item->ready = false;
        if (events != 0) {
            ret_events[count].events = events;
            ret_events[count].data.u64 = item->data;
            count++;
            if (!(item->events & (uint32_t)EPOLLET)) {
                enlist(item);
            }
        }
    }
    return count;
}

static bool epoll_has_news(void *file)
{
    const struct kernel_file *const epoll = file;
    return has_ready_item(KERNEL_FD_BASE + (int)(epoll - here->files));
}

/* A thread whose waits end at once, again and again, spins; then others run, as on any machine. */
static void wait_for_news(struct kernel_file *file)
{
    unsigned *const ended_at_once = &here->ended_at_once[model_thread()];
    if (epoll_has_news(file) && ++*ended_at_once < 8) {
        return;
    }
    if (*ended_at_once >= 8) {
        model_yield();
    }
    *ended_at_once = 0;
    model_block_until(epoll_has_news, file);
}

static int kernel_epoll_wait(int epoll, struct epoll_event *ret_events, int events_max,
                             int64_t timeout_ns)
{
    struct kernel_file *const file = file_at(epoll);
    int count;
    do {
        if (timeout_ns < 0) {
            wait_for_news(file);
        } else if (timeout_ns > 0 && !epoll_has_news(file)) {
            pass_time(model_clock_ns() + timeout_ns);
        }
        enter(file);
        MODEL_CHECK(file->kind == KERNEL_EPOLL);
        count = collect(epoll, ret_events, events_max);
    } while (timeout_ns < 0 && count == 0); /* another thread's wait was faster */
    return count;
}

/* ---- eventfd and streams ---- */

static int kernel_eventfd(void)
{
    return open_file(KERNEL_EVENTFD);
}

static ssize_t kernel_write(int fd, const void *bytes, size_t count)
{
    (void)bytes;
    enter_all(fd);
    struct kernel_file *const file = file_at(fd);
    if (file->kind == KERNEL_FREE) {
        return -EBADF;
    }
    if (file->kind == KERNEL_EVENTFD) {
        file->bytes++;
        signal_watchers(fd, EPOLLIN);
    }
    return (ssize_t)count;
}

static ssize_t kernel_read(int fd, void *ret_bytes, size_t bytes_max)
{
    struct kernel_file *const file = file_at(fd);
    enter(file);
    if (file->kind != KERNEL_STREAM) {
        return -EBADF;
    }
    const size_t count = file->bytes < bytes_max ? file->bytes : bytes_max;
    memset(ret_bytes, 'x', count);
    file->bytes -= (unsigned)count;
    return count > 0 || file->peer_gone ? (ssize_t)count : -EAGAIN;
}

static ssize_t kernel_recv(int fd, void *ret_bytes, size_t bytes_max, int flags)
{
    (void)flags;
    return kernel_read(fd, ret_bytes, bytes_max);
}

static int kernel_close(int fd)
{
    struct kernel_file *const file = file_at(fd);
    enter_all(fd);
    enter_table();
    if (file->kind == KERNEL_FREE) {
        return -EBADF;
    }
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        struct kernel_item *const item = &here->items[i];
        item->used = item->used && item->file != fd && item->epoll != fd;
    }
    file->kind = KERNEL_FREE;
    return 0;
}

unsigned kernel_watchers_of(int fd)
{
    unsigned count = 0;
    for (unsigned i = 0; i < KERNEL_ITEMS; i++) {
        count += here->items[i].used && here->items[i].file == fd;
    }
    return count;
}

int kernel_open_stream(void)
{
    return open_file(KERNEL_STREAM);
}

/* ---- the peer ---- */

/* Place and life of a file in one number. */
unsigned kernel_file_of(int fd)
{
    return (unsigned)(fd - KERNEL_FD_BASE) + KERNEL_FILES * file_at(fd)->life;
}

static int descriptor_of(unsigned file)
{
    return KERNEL_FD_BASE + (int)(file % KERNEL_FILES);
}

static bool is_open(unsigned file)
{
    const struct kernel_file *const at = file_at(descriptor_of(file));
    return at->kind == KERNEL_STREAM && at->life == file / KERNEL_FILES;
}

bool kernel_peer_send(unsigned file)
{
    const int fd = descriptor_of(file);
    enter_all(fd);
    if (!is_open(file)) {
        return false;
    }
    file_at(fd)->bytes++;
    signal_watchers(fd, EPOLLIN);
    return true;
}

bool kernel_peer_leave(unsigned file)
{
    const int fd = descriptor_of(file);
    enter_all(fd);
    if (!is_open(file)) {
        return false;
    }
    file_at(fd)->peer_gone = true;
    signal_watchers(fd, (uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLHUP);
    return true;
}

/* ---- threads ---- */

static int kernel_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    if (here->threads_started == here->threads_max) {
        return -EAGAIN;
    }
    const unsigned number = here->threads_first + here->threads_started++;
    MODEL_CHECK(number < KERNEL_THREADS);
    struct kernel_thread *const thread = &here->threads[number];
    thread->body = body;
    thread->arg = arg;
    *ret_thread = (pthread_t)number;
    (void)whorl__add_u32(&thread->lock, 1); /* release half: the thread sees what we did */
    thread->started = true;
    return 0;
}

static bool may_start(void *arg)
{
    const struct kernel_thread *const thread = arg;
    return thread->started || here->closed_to_threads;
}

static bool has_ended(void *arg)
{
    const struct kernel_thread *const thread = arg;
    return thread->ended;
}

void kernel_run_thread(unsigned number)
{
    struct kernel_thread *const thread = &here->threads[number];
    model_block_until(may_start, thread);
    if (thread->started) {
        (void)whorl__add_u32(&thread->lock, 1); /* acquire half, pairs thread_start */
        (void)thread->body(thread->arg);
        (void)whorl__add_u32(&thread->lock, 1); /* release half, pairs thread_join */
        thread->ended = true;
    }
}

void kernel_no_more_threads(void)
{
    here->closed_to_threads = true;
}

static int kernel_thread_join(pthread_t number)
{
    struct kernel_thread *const thread = &here->threads[number];
    model_block_until(has_ended, thread);
    (void)whorl__add_u32(&thread->lock, 1); /* acquire half */
    return 0;
}

/* Its memory is the model's: there is nothing to give back. */
static void kernel_thread_detach(pthread_t number)
{
    (void)number;
}

static int64_t kernel_thread_cpu_ns(pthread_t thread)
{
    (void)thread;
    return 0;
}

/* ---- futexes ---- */

static int (*futex_wait_for_ever)(uint32_t *word, uint32_t expected, int64_t deadline_ns);

static int kernel_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    if (deadline_ns == INT64_MAX) {
        return futex_wait_for_ever(word, expected, deadline_ns);
    }
    pass_time(deadline_ns);
    /* relaxed: a wait promises nothing but to end */
    return whorl__load_relaxed_u32(word) == expected ? -ETIMEDOUT : -EAGAIN;
}

/* ---- memory ---- */

/* Memory for stacks, kept from one execution to the next, and not cleared: a stack need not be. */
static struct kernel_slab {
    char *base;
    size_t bytes;
    bool used;
} slabs[KERNEL_SLABS];

static int map_slab(size_t bytes, void **ret_base)
{
    for (unsigned i = 0; i < KERNEL_SLABS; i++) {
        struct kernel_slab *const slab = &slabs[i];
        if (slab->base == NULL) {
            slab->base = aligned_alloc(WHORL_CACHE_LINE, bytes);
            slab->bytes = bytes;
            MODEL_CHECK(slab->base != NULL);
        }
        if (!slab->used && slab->bytes == bytes) {
            slab->used = true;
            *ret_base = slab->base;
            return 0;
        }
    }
    return -ENOMEM;
}

static bool unmap_slab(const void *base)
{
    for (unsigned i = 0; i < KERNEL_SLABS; i++) {
        if (slabs[i].used && slabs[i].base == base) {
            slabs[i].used = false;
            return true;
        }
    }
    return false;
}

static void forget_slabs(void)
{
    for (unsigned i = 0; i < KERNEL_SLABS; i++) {
        slabs[i].used = false; /* an execution that failed has not unmapped them */
    }
}

static int kernel_map(size_t bytes, void **ret_base)
{
    here->maps++;
    if (bytes >= SLAB_LEAST) {
        return map_slab(bytes, ret_base);
    }
    void *const base = model_alloc(bytes);
    MODEL_CHECK(base != NULL);
    memset(base, 0, bytes);
    *ret_base = base;
    return 0;
}

static int kernel_unmap(void *base, size_t bytes)
{
    (void)bytes;
    here->maps--;
    if (!unmap_slab(base)) {
        model_free(base);
    }
    return 0;
}

static int kernel_protect(void *base, size_t bytes, int protection)
{
    (void)base;
    (void)bytes;
    (void)protection;
    return 0;
}

/* No guard markers: stacks are guarded by protect, which here does nothing. */
static int kernel_advise(void *base, size_t bytes, int advice)
{
    (void)base;
    (void)bytes;
    (void)advice;
    return -EINVAL;
}

/* ---- the table ---- */

void kernel_begin(struct kernel *kernel)
{
    here = kernel;
    forget_slabs();
    /* memory, futexes and the clock are the checker's */
    kernel->threads_first = 1;
    kernel->threads_max = KERNEL_THREADS;
    futex_wait_for_ever = model_os.futex_wait;
    model_os.futex_wait = kernel_futex_wait;
    model_os.yield = model_yield;
    model_os.map = kernel_map;
    model_os.unmap = kernel_unmap;
    model_os.protect = kernel_protect;
    model_os.advise = kernel_advise;
    model_os.thread_start = kernel_thread_start;
    model_os.thread_start_quiet = kernel_thread_start;
    model_os.thread_detach = kernel_thread_detach;
    model_os.thread_join = kernel_thread_join;
    model_os.thread_cpu_ns = kernel_thread_cpu_ns;
    model_os.epoll_create = kernel_epoll_create;
    model_os.epoll_ctl = kernel_epoll_ctl;
    model_os.epoll_wait = kernel_epoll_wait;
    model_os.eventfd = kernel_eventfd;
    model_os.read = kernel_read;
    model_os.write = kernel_write;
    model_os.recv = kernel_recv;
    model_os.close = kernel_close;
}

void kernel_end(struct kernel *kernel)
{
    for (unsigned i = 0; i < KERNEL_FILES; i++) {
        MODEL_CHECK(kernel->files[i].kind == KERNEL_FREE);
    }
    MODEL_CHECK(kernel->maps == 0);
}
