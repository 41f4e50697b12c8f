/*
 * epoll.c - the poller on epoll; the contract stands in poller.h.
 *
 * Owns:       nothing beside the poller.
 * Invariant:  event data: 0 is the eventfd, 1 a watched poller, anything else a record.
 * Not chosen: one shared epoll. It balances by itself but every registration and poll contends;
 *             see docs/decisions/005-poller-per-loop.md.
 */
#include "poll/poller.h"

#include "sys/os.h"

#include <errno.h>

#define DATA_WAKE  UINT64_C(0)
#define DATA_WATCH UINT64_C(1)

#define HANGUP_IN  (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)
#define HANGUP_OUT (EPOLLHUP | EPOLLERR)

int whorl__poller_init(struct whorl__poller *poller)
{
    *poller = (struct whorl__poller){.epoll_fd = -1, .wake_fd = -1};
    int error = poller->epoll_fd = whorl__os->epoll_create();
    if (error < 0) {
        return error;
    }
    error = poller->wake_fd = whorl__os->eventfd();
    if (error < 0) {
        goto close_epoll;
    }
    /* Edge-triggered: a write to the eventfd is an event even if nobody ever reads it. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = DATA_WAKE};
    error = whorl__os->epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, poller->wake_fd, &event);
    if (error < 0) {
        goto close_eventfd;
    }
    return 0;

close_eventfd:
    whorl__os->close(poller->wake_fd);
close_epoll:
    whorl__os->close(poller->epoll_fd);
    return error;
}

void whorl__poller_fini(struct whorl__poller *poller)
{
    whorl__os->close(poller->wake_fd);
    whorl__os->close(poller->epoll_fd);
}

int whorl__poller_add(struct whorl__poller *poller, struct whorl__record *record)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
                                .data.ptr = record};
    return whorl__os->epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, record->fd, &event);
}

void whorl__poller_remove(struct whorl__poller *poller, struct whorl__record *record)
{
    (void)whorl__os->epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, record->fd, NULL);
}

int whorl__poller_watch(struct whorl__poller *poller, struct whorl__poller *other)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = DATA_WATCH};
    return whorl__os->epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, other->epoll_fd, &event);
}

void whorl__poller_unwatch(struct whorl__poller *poller, struct whorl__poller *other)
{
    (void)whorl__os->epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, other->epoll_fd, NULL);
}

static void note_woken(struct whorl__poll_result *result, whorl__handle handle)
{
    if (handle != 0) {
        result->woken[result->woken_count++] = handle;
    }
}

static void take_event(const struct epoll_event *event, struct whorl__poll_result *result)
{
    struct whorl__record *const record = event->data.ptr;
    const uint32_t bits = event->events;
    const uint32_t tick = whorl__add_u32(&record->tick, 1) + 1;
    if (bits & (EPOLLIN | HANGUP_IN)) {
        note_woken(result,
                   whorl__record_event(record, WHORL__IN, (bits & HANGUP_IN) != 0, tick));
    }
    if (bits & (EPOLLOUT | HANGUP_OUT)) {
        note_woken(result,
                   whorl__record_event(record, WHORL__OUT, (bits & HANGUP_OUT) != 0, tick));
    }
    result->event_count++;
}

void whorl__poller_poll(struct whorl__poller *poller, int64_t timeout_ns,
                        struct whorl__poll_result *ret_result)
{
    struct epoll_event events[WHORL__POLL_EVENTS];
    ret_result->event_count = 0;
    ret_result->woken_count = 0;
    ret_result->watched = false;
    ret_result->wake_taken = false;
    const int count =
        whorl__os->epoll_wait(poller->epoll_fd, events, WHORL__POLL_EVENTS, timeout_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == DATA_WAKE) {
            (void)whorl__swap_u32(&poller->wake_pending, 0); /* pairs P1 */
            ret_result->wake_taken = true;
        } else if (events[i].data.u64 == DATA_WATCH) {
            ret_result->watched = true;
        } else {
            take_event(&events[i], ret_result);
        }
    }
}

void whorl__poller_wake(struct whorl__poller *poller)
{
    if (whorl__swap_u32(&poller->wake_pending, 1) == 0) { /* pairs P1 */
        const uint64_t one = 1;
        const ssize_t put = whorl__os->write(poller->wake_fd, &one, sizeof one);
        /* An eventfd takes it always. One that the program has closed would mean to sleep on. */
        WHORL_CHECK(put == sizeof one, "a loop cannot be woken: is its descriptor closed?");
    }
}
