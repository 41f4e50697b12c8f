/*
 * poller.h - the contract of a poller, and its epoll form: readiness in, handles of the woken out.
 *
 * Owns:       struct whorl__poller: an epoll and an eventfd, one a loop.
 * Threads:    poll() by the loop's own thread, and with timeout 0 by whoever rescues it: the kernel
 *             hands an edge to one of them. add, remove, wake, watch: any thread.
 * Contract:   a descriptor is added once and stays, edge-triggered in both directions; adding
 *             reports its level. Events of a record that was closed meanwhile do harm to nobody:
 *             records are type-stable and readiness is a hint.
 *             wake() ends one poll, now or the next; many of them before that count as one. A
 *             rescuer may be the one whose poll it ends: wake_taken tells, and it passes it on.
 * Pairs:      P1  wake: push work, then swap(wake_pending, 1)
 *                 poll: swap(wake_pending, 0), then look for work
 */
#ifndef WHORL_POLL_POLLER_H
#define WHORL_POLL_POLLER_H

#include "poll/record.h"

#ifndef WHORL__POLL_EVENTS
#    define WHORL__POLL_EVENTS 128
#endif

struct whorl__poller {
    int epoll_fd;          /* C */
    int wake_fd;           /* C */
    uint32_t wake_pending; /* A: an eventfd write is under way or not consumed yet */
};

/* What one poll found. */
struct whorl__poll_result {
    unsigned event_count;                         /* readiness events */
    unsigned woken_count;                         /* handles below */
    whorl__handle woken[2 * WHORL__POLL_EVENTS];  /* tasks whose wait is over */
    bool watched;                                 /* a poller that this one watches has events */
    bool wake_taken;                              /* a wake() was among them */
};

WHORL_MUST_USE int whorl__poller_init(struct whorl__poller *poller);
void whorl__poller_fini(struct whorl__poller *poller);

/* Watch a record; 0 or -errno (-EPERM: a regular file). */
WHORL_MUST_USE int whorl__poller_add(struct whorl__poller *poller, struct whorl__record *record);
void whorl__poller_remove(struct whorl__poller *poller, struct whorl__record *record);

/* Be told when another poller has events; and no longer. */
WHORL_MUST_USE int whorl__poller_watch(struct whorl__poller *poller, struct whorl__poller *other);
void whorl__poller_unwatch(struct whorl__poller *poller, struct whorl__poller *other);

/* timeout_ns 0: only look; < 0: for ever. An error of the kernel counts as nothing found. */
void whorl__poller_poll(struct whorl__poller *poller, int64_t timeout_ns,
                        struct whorl__poll_result *ret_result);

void whorl__poller_wake(struct whorl__poller *poller);

#endif
