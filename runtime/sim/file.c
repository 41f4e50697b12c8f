/*
 * file.c - the kernel's table of descriptors, eventfds, and epoll as Linux does it.
 *
 * An epoll has a list of ready watches. A change of a file puts those of its watches on it that
 * want to know, and wakes one thread that waits for the epoll. Who polls takes watches off and asks
 * each file what is ready now: nothing, then it was for nothing; an edge-triggered watch stays off
 * until the next change, a level-triggered one goes back to the end. So a file that never changes
 * is reported once, and an edge that nobody saw is gone: that is what the runtime has to live with.
 *
 * An epoll is a file, too, ready when something is on its list: another one may watch it. Linux
 * refuses circles (-ELOOP), and so does this.
 *
 * Owns:       sim->files; struct whorl__sim_file; watches.
 * Threads:    the carrier.
 * Invariant:  a number is given out lowest first. A file lives while a number stands for it; its
 *             watches go with it.
 */
#include "sim/sim.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

#define FD_FIRST 3 /* the standard streams are the program's */

struct watch {
    struct whorl__list of_file;
    struct whorl__list of_epoll;
    struct whorl__list ready; /* in no list while not ready */
    struct epoll *epoll;
    struct whorl__sim_file *file;
    int fd;
    struct epoll_event event;
};

struct epoll {
    struct whorl__sim_file file;
    struct whorl__list watches;
    struct whorl__list ready;
};

struct eventfd {
    struct whorl__sim_file file;
    uint64_t count;
};

/* ---- descriptors ---- */

void whorl__sim_file_init(struct whorl__sim_file *file, enum whorl__sim_kind kind)
{
    file->kind = kind;
    file->references = 0;
    whorl__list_init(&file->watches);
}

struct whorl__sim_file *whorl__sim_fd_file(int fd)
{
    const struct whorl__sim *const sim = whorl__sim;
    return fd >= 0 && fd < sim->file_room ? sim->files[fd] : NULL;
}

int whorl__sim_fd_room(int count)
{
    const struct whorl__sim *const sim = whorl__sim;
    if (FD_FIRST + sim->file_count + count > sim->options.descriptors_max) {
        return -EMFILE;
    }
    if (whorl__sim_fault(WHORL_SIM_NO_DESCRIPTOR)) {
        return whorl__random_u64(&whorl__sim->luck) & 1 ? -EMFILE : -ENFILE;
    }
    return 0;
}

int whorl__sim_fd_new(struct whorl__sim_file *file)
{
    struct whorl__sim *const sim = whorl__sim;
    int fd = FD_FIRST;
    while (fd < sim->file_room && sim->files[fd] != NULL) {
        fd++;
    }
    if (fd >= sim->file_room) {
        const int room = 2 * fd + 32;
        struct whorl__sim_file **const files = whorl__sim_own((size_t)room * sizeof *files);
        for (int i = 0; i < sim->file_room; i++) {
            files[i] = sim->files[i];
        }
        whorl__sim_disown(sim->files);
        sim->files = files;
        sim->file_room = room;
    }
    sim->files[fd] = file;
    sim->file_count++;
    file->references++;
    return fd;
}

static struct epoll *epoll_of(struct whorl__sim_file *file)
{
    return file->kind == WHORL__SIM_FILE_EPOLL ? whorl_container_of(file, struct epoll, file)
                                              : NULL;
}

static void remove_watch(struct watch *watch)
{
    whorl__list_remove(&watch->of_file);
    whorl__list_remove(&watch->of_epoll);
    whorl__list_remove(&watch->ready);
    whorl__sim_disown(watch);
}

static void destroy_file(struct whorl__sim_file *file)
{
    while (!whorl__list_is_empty(&file->watches)) {
        remove_watch(whorl_container_of(file->watches.next, struct watch, of_file));
    }
    struct epoll *const epoll = epoll_of(file);
    while (epoll != NULL && !whorl__list_is_empty(&epoll->watches)) {
        remove_watch(whorl_container_of(epoll->watches.next, struct watch, of_epoll));
    }
    if (file->kind == WHORL__SIM_FILE_SOCKET) {
        whorl__sim_socket_close(file);
    } else {
        whorl__sim_disown(file);
    }
}

int whorl__sim_fd_close(int fd)
{
    struct whorl__sim *const sim = whorl__sim;
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    if (file == NULL) {
        return -EBADF;
    }
    sim->files[fd] = NULL;
    sim->file_count--;
    if (--file->references == 0) {
        destroy_file(file);
    }
    return 0;
}

int whorl__sim_fd_dup(int fd)
{
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    if (file == NULL) {
        return -EBADF;
    }
    const int error = whorl__sim_fd_room(1);
    return error != 0 ? error : whorl__sim_fd_new(file);
}

/* ---- who is told ---- */

static void make_ready(struct watch *watch)
{
    struct epoll *const epoll = watch->epoll;
    if (whorl__list_is_empty(&watch->ready)) {
        whorl__list_push_back(&epoll->ready, &watch->ready);
    }
    (void)whorl__sim_wake(epoll, 1);
    whorl__sim_file_notify(&epoll->file, EPOLLIN);
}

void whorl__sim_file_notify(struct whorl__sim_file *file, uint32_t events)
{
    whorl__list_for_each(link, &file->watches)
    {
        struct watch *const watch = whorl_container_of(link, struct watch, of_file);
        if (events == 0 || (events & (watch->event.events | EPOLLERR | EPOLLHUP)) != 0) {
            make_ready(watch);
        }
    }
}

static uint32_t watched_ready(const struct watch *watch)
{
    const uint32_t wanted = watch->event.events | EPOLLERR | EPOLLHUP;
    return whorl__sim_file_ready(watch->file) & wanted;
}

static uint32_t epoll_ready(struct epoll *epoll)
{
    whorl__list_for_each(link, &epoll->ready)
    {
        if (watched_ready(whorl_container_of(link, struct watch, ready)) != 0) {
            return EPOLLIN;
        }
    }
    return 0;
}

uint32_t whorl__sim_file_ready(struct whorl__sim_file *file)
{
    switch (file->kind) {
    case WHORL__SIM_FILE_EPOLL:
        return epoll_ready(whorl_container_of(file, struct epoll, file));
    case WHORL__SIM_FILE_EVENT:
        return (whorl_container_of(file, struct eventfd, file)->count > 0 ? EPOLLIN : 0) |
               EPOLLOUT;
    case WHORL__SIM_FILE_SOCKET:
        break;
    }
    return whorl__sim_socket_ready(file);
}

/* ---- eventfd ---- */

int whorl__sim_eventfd_new(void)
{
    const int error = whorl__sim_fd_room(1);
    if (error != 0) {
        return error;
    }
    struct eventfd *const event = whorl__sim_own(sizeof *event);
    whorl__sim_file_init(&event->file, WHORL__SIM_FILE_EVENT);
    return whorl__sim_fd_new(&event->file);
}

bool whorl__sim_fd_is_eventfd(int64_t fd)
{
    const struct whorl__sim_file *const file = whorl__sim_fd_file((int)fd);
    return file != NULL && file->kind == WHORL__SIM_FILE_EVENT;
}

ssize_t whorl__sim_eventfd_read(struct whorl__sim_file *file, void *ret_bytes, size_t bytes_max)
{
    struct eventfd *const event = whorl_container_of(file, struct eventfd, file);
    if (bytes_max < sizeof event->count) {
        return -EINVAL;
    }
    if (event->count == 0) {
        return -EAGAIN;
    }
    memcpy(ret_bytes, &event->count, sizeof event->count);
    event->count = 0;
    whorl__sim_file_notify(file, EPOLLOUT);
    return sizeof event->count;
}

ssize_t whorl__sim_eventfd_write(struct whorl__sim_file *file, const void *bytes, size_t count)
{
    struct eventfd *const event = whorl_container_of(file, struct eventfd, file);
    uint64_t more;
    if (count < sizeof more) {
        return -EINVAL;
    }
    memcpy(&more, bytes, sizeof more);
    if (more == UINT64_MAX) {
        return -EINVAL;
    }
    if (event->count >= UINT64_MAX - more) {
        return -EAGAIN;
    }
    event->count += more;
    if (!whorl__sim_goes_wrong(WHORL__SIM_LOSE_WAKE)) {
        whorl__sim_file_notify(file, EPOLLIN);
    }
    return sizeof more;
}

/* ---- epoll ---- */

int whorl__sim_epoll_new(void)
{
    const int error = whorl__sim_fd_room(1);
    if (error != 0) {
        return error;
    }
    struct epoll *const epoll = whorl__sim_own(sizeof *epoll);
    whorl__sim_file_init(&epoll->file, WHORL__SIM_FILE_EPOLL);
    whorl__list_init(&epoll->watches);
    whorl__list_init(&epoll->ready);
    return whorl__sim_fd_new(&epoll->file);
}

static bool watches_at_last(struct epoll *epoll, const struct whorl__sim_file *file)
{
    whorl__list_for_each(link, &epoll->watches)
    {
        struct watch *const watch = whorl_container_of(link, struct watch, of_epoll);
        struct epoll *const inner = epoll_of(watch->file);
        if (watch->file == file || (inner != NULL && watches_at_last(inner, file))) {
            return true;
        }
    }
    return false;
}

static struct watch *find_watch(struct epoll *epoll, const struct whorl__sim_file *file, int fd)
{
    whorl__list_for_each(link, &epoll->watches)
    {
        struct watch *const watch = whorl_container_of(link, struct watch, of_epoll);
        if (watch->file == file && watch->fd == fd) {
            return watch;
        }
    }
    return NULL;
}

static int add_watch(struct epoll *epoll, struct whorl__sim_file *file, int fd,
                     const struct epoll_event *event)
{
    struct epoll *const inner = epoll_of(file);
    if (find_watch(epoll, file, fd) != NULL) {
        return -EEXIST;
    }
    if (inner != NULL && watches_at_last(inner, &epoll->file)) {
        return -ELOOP;
    }
    if (whorl__sim_fault(WHORL_SIM_NO_MEMORY)) {
        return -ENOMEM;
    }
    struct watch *const watch = whorl__sim_own(sizeof *watch);
    watch->epoll = epoll;
    watch->file = file;
    watch->fd = fd;
    watch->event = *event;
    whorl__list_init(&watch->ready);
    whorl__list_push_back(&file->watches, &watch->of_file);
    whorl__list_push_back(&epoll->watches, &watch->of_epoll);
    if (watched_ready(watch) != 0) {
        make_ready(watch);
    }
    return 0;
}

int whorl__sim_epoll_ctl(int epoll_fd, int operation, int fd, const struct epoll_event *event)
{
    struct whorl__sim_file *const outer = whorl__sim_fd_file(epoll_fd);
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    if (outer == NULL || file == NULL) {
        return -EBADF;
    }
    struct epoll *const epoll = epoll_of(outer);
    if (epoll == NULL || outer == file) {
        return -EINVAL;
    }
    if (operation == EPOLL_CTL_ADD) {
        return add_watch(epoll, file, fd, event);
    }
    struct watch *const watch = find_watch(epoll, file, fd);
    if (watch == NULL) {
        return -ENOENT;
    }
    if (operation == EPOLL_CTL_DEL) {
        remove_watch(watch);
        return 0;
    }
    watch->event = *event;
    if (watched_ready(watch) != 0) {
        make_ready(watch);
    }
    return 0;
}

/* What a poll may claim beyond the truth: readiness is a hint. */
static uint32_t false_alarm(const struct watch *watch)
{
    return watch->file->kind == WHORL__SIM_FILE_SOCKET && whorl__sim_fault(WHORL_SIM_AGAIN)
               ? watch->event.events & (EPOLLIN | EPOLLOUT)
               : 0;
}

/* Each watch once; a level-triggered one goes to the end again. */
static int collect(struct epoll *epoll, struct epoll_event *ret_events, int events_max)
{
    struct whorl__list again;
    struct whorl__list *link;
    int count = 0;
    whorl__list_init(&again);
    while (count < events_max && (link = whorl__list_pop_front(&epoll->ready)) != NULL) {
        struct watch *const watch = whorl_container_of(link, struct watch, ready);
        const uint32_t ready = watched_ready(watch) | false_alarm(watch);
        if (ready == 0) {
            continue;
        }
        ret_events[count] = watch->event;
        ret_events[count++].events = ready;
        if ((watch->event.events & EPOLLET) == 0) {
            whorl__list_push_back(&again, &watch->ready);
        }
    }
    whorl__list_append(&epoll->ready, &again);
    return count;
}

int whorl__sim_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int events_max,
                          int64_t timeout_ns)
{
    struct whorl__sim_file *const file = whorl__sim_fd_file(epoll_fd);
    struct epoll *const epoll = file == NULL ? NULL : epoll_of(file);
    const int64_t now_ns = whorl__sim->now_ns;
    const int64_t deadline_ns =
        timeout_ns < 0 || timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    if (epoll == NULL) {
        return file == NULL ? -EBADF : -EINVAL;
    }
    if (timeout_ns != 0 && whorl__sim_fault(WHORL_SIM_INTERRUPT)) {
        return -EINTR;
    }
    for (;;) {
        const int count = collect(epoll, ret_events, events_max);
        if (count != 0 || timeout_ns == 0 || !whorl__sim_wait(epoll, deadline_ns)) {
            return count;
        }
    }
}
