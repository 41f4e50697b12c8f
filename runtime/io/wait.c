/*
 * wait.c - how a task waits for a descriptor, and which loop's poller watches it.
 *
 * I/O follows the task. A descriptor is watched by the loop on which a task first waited for it. If
 * its tasks then wait on one and the same other loop, WHORL__MOVE_AFTER times in a row, it is added
 * there (which reports its level again) and removed here. Between the two both pollers may deliver
 * its events; the record takes them from both.
 *
 * Owns:       record->home and strangers.
 * Threads:    any task's; MOVING lets one change the poller at a time.
 */
#include "io/wait.h"

#include "task/cancel.h"
#include "task/park.h"

#include "sys/os.h"

#include <errno.h>

#ifndef WHORL__MOVE_AFTER
#    define WHORL__MOVE_AFTER 8
#endif

#define STRANGER_LOOP(word)  ((word) >> 8)
#define STRANGER_COUNT(word) ((word) % 256)

/* ---- entering and leaving ---- */

static struct whorl__loop *home_of(struct whorl__call *call)
{
    /* acquire, pairs the stores in watch and move */
    const uint32_t home = whorl__load_acquire_u32(&call->record->home);
    return home == 0 ? NULL : call->task->runtime->loops[home - 1];
}

void whorl__call_retire(struct whorl__call *call)
{
    struct whorl__loop *const home = home_of(call);
    const int fd = call->record->fd;
    if (home != NULL) {
        whorl__poller_remove(&home->poller, call->record); /* a dup of it may live on elsewhere */
    }
    whorl__record_closed(call->record);
    (void)whorl__os->close(fd);
}

int whorl__call_close(struct whorl__call *call)
{
    whorl__handle woken[2];
    const int error = whorl__record_close(call->record, woken);
    for (int i = 0; error == 0 && i < 2; i++) {
        if (woken[i] != 0) {
            whorl__sched_wake(call->task->runtime, woken[i]);
        }
    }
    return error;
}

/* ---- who watches ---- */

static void begin_move(struct whorl__record *record)
{
    while (!whorl__record_move_begin(record)) {
        whorl__os->yield(); /* the other direction's task is in epoll_ctl */
    }
}

static int watch(struct whorl__call *call)
{
    struct whorl__record *const record = call->record;
    struct whorl__loop *const here = call->task->loop;
    int error = 0;
    begin_move(record);
    if (home_of(call) == NULL) {
        error = whorl__poller_add(&here->poller, record);
        if (error == 0) {
            whorl__store_release_u32(&record->home, here->index + 1);
        }
    }
    whorl__record_move_end(record);
    return error;
}

/* The poller has refused it: CLOSED again, but for the kernel. */
static void disown(struct whorl__call *call)
{
    whorl__handle woken[2];
    const int error = whorl__record_close(call->record, woken);
    const bool last = whorl__record_leave(call->record);
    WHORL_ASSERT(error == 0 && last); /* its adoption was not told to anybody */
    (void)error;
    (void)last;
    whorl__record_closed(call->record);
}

int whorl__call_adopt(struct whorl_task *task, int fd, enum whorl__kind kind)
{
    struct whorl__call call;
    int error = whorl__record_adopt(&task->runtime->records, fd, kind);
    if (error != 0 || kind != WHORL__FILE) {
        return error;
    }
    error = whorl__call_begin(&call, fd);
    if (error != 0) {
        return error;
    }
    error = watch(&call);
    if (error != 0) {
        disown(&call);
        return error;
    }
    whorl__call_end(&call);
    return 0;
}

static void move(struct whorl__call *call)
{
    struct whorl__record *const record = call->record;
    struct whorl__loop *const here = call->task->loop;
    if (!whorl__record_move_begin(record)) {
        return; /* the other direction's task is at it */
    }
    struct whorl__loop *const old = home_of(call);
    if (old != here && whorl__poller_add(&here->poller, record) == 0) {
        whorl__store_release_u32(&record->home, here->index + 1);
        whorl__poller_remove(&old->poller, record);
        whorl__count(&here->stats.moves, 1);
    }
    whorl__record_move_end(record);
}

/* A wait on another loop than the home: the eighth in a row on the same one moves it. */
static void count_stranger(struct whorl__call *call)
{
    uint32_t *const strangers = &call->record->strangers;
    const uint32_t here = call->task->loop->index + 1;
    const uint32_t old = whorl__load_relaxed_u32(strangers); /* relaxed: a hint */
    const uint32_t count = STRANGER_LOOP(old) == here ? STRANGER_COUNT(old) + 1 : 1;
    if (count >= WHORL__MOVE_AFTER) {
        move(call);
        whorl__store_relaxed_u32(strangers, 0); /* relaxed: a hint */
    } else {
        whorl__store_relaxed_u32(strangers, here << 8 | count); /* relaxed: a hint */
    }
}

static inline int settle_home(struct whorl__call *call)
{
    /* acquire, pairs the stores in watch and move */
    const uint32_t home = whorl__load_acquire_u32(&call->record->home);
    if (WHORL_UNLIKELY(home == 0)) {
        return watch(call);
    }
    if (WHORL_UNLIKELY(home != call->task->loop->index + 1)) {
        count_stranger(call);
    } else if (whorl__load_relaxed_u32(&call->record->strangers) != 0) { /* relaxed: a hint */
        whorl__store_relaxed_u32(&call->record->strangers, 0);           /* relaxed: a hint */
    }
    return 0;
}

/* ---- waiting ---- */

/* Puts the handle into every slot asked for; on failure into none. */
static int install(struct whorl__record *record, unsigned directions, whorl__handle handle)
{
    for (unsigned direction = 0; direction < 2; direction++) {
        if (!(directions >> direction & 1)) {
            continue;
        }
        const int error = whorl__record_wait(record, direction, handle);
        if (error != 0) {
            if (direction == WHORL__OUT && (directions & 1)) {
                (void)whorl__record_wait_end(record, WHORL__IN, handle);
            }
            return error;
        }
    }
    return 0;
}

static bool uninstall(struct whorl__record *record, unsigned directions, whorl__handle handle)
{
    bool event = false;
    for (unsigned direction = 0; direction < 2; direction++) {
        if (directions >> direction & 1) {
            event |= whorl__record_wait_end(record, direction, handle);
        }
    }
    return event;
}

/* What ended a wait whose slots are cleared again. */
static inline int outcome(struct whorl__call *call, bool event)
{
    if (WHORL_UNLIKELY(whorl__record_is_closing(call->record))) {
        return -EBADF;
    }
    if (WHORL_UNLIKELY(whorl__state_cancel_pending(&call->task->word))) {
        return -ECANCELED;
    }
    return event ? 0 : -ETIMEDOUT; /* or a cancel that was withdrawn: the caller knows */
}

static int park_for_any(struct whorl__call *call, unsigned directions, whorl__handle handle,
                        uint64_t timed)
{
    const uint64_t waits_on = whorl__park_on_fd(call->record->fd, WHORL__PARK_READ);
    const int error = install(call->record, directions, handle);
    if (error != 0) {
        return error;
    }
    whorl__park(call->task, waits_on | WHORL__PARK_BOTH | timed);
    return outcome(call, uninstall(call->record, directions, handle));
}

/* The common case, which every request goes through. */
static inline int park_for_one(struct whorl__call *call, enum whorl__direction direction,
                               whorl__handle handle, uint64_t timed)
{
    const enum whorl__park_reason reason =
        direction == WHORL__IN ? WHORL__PARK_READ : WHORL__PARK_WRITE;
    const int error = whorl__record_wait(call->record, direction, handle);
    if (error != 0) {
        return error;
    }
    whorl__park(call->task, whorl__park_on_fd(call->record->fd, reason) | timed);
    return outcome(call, whorl__record_wait_end(call->record, direction, handle));
}

/* timed: 0 or WHORL__PARK_TIMED, for dumps. */
static inline int park_for(struct whorl__call *call, unsigned directions, whorl__handle handle,
                           uint64_t timed)
{
    switch (directions) {
    case 1U << WHORL__IN:
        return park_for_one(call, WHORL__IN, handle, timed);
    case 1U << WHORL__OUT:
        return park_for_one(call, WHORL__OUT, handle, timed);
    default:
        return park_for_any(call, directions, handle, timed);
    }
}

static WHORL_NOINLINE int wait_until(struct whorl__call *call, unsigned directions,
                                     int64_t deadline_ns)
{
    struct whorl__timer timer;
    const whorl__handle handle = whorl__park_begin(call->task);
    int error = whorl__park_timer(call->task, &timer, handle, deadline_ns);
    if (error == 0) {
        error = park_for(call, directions, handle, WHORL__PARK_TIMED);
        const bool late = whorl__timer_disarm(&timer);
        if (error == -ETIMEDOUT && !late) {
            error = 0;
        }
    }
    return error;
}

int whorl__call_wait_any(struct whorl__call *call, unsigned directions, int64_t deadline_ns)
{
    int error = settle_home(call);
    if (error != 0) {
        return error;
    }
    if (deadline_ns != WHORL_NEVER) {
        error = wait_until(call, directions, deadline_ns);
        return error == -EAGAIN ? 0 : error;
    }
    error = park_for(call, directions, whorl__park_begin(call->task), 0);
    return error == -EAGAIN || error == -ETIMEDOUT ? 0 : error;
}

int whorl__call_failed(struct whorl__call *call, int error)
{
    return error == -ECANCELED && !whorl__cancel_take(call->task) ? 0 : error;
}
