/*
 * locks.h - what a runtime in debug mode and libwhorl-locks.so say to each other.
 *
 * The library (runtime/locks) stands in front of pthread_mutex_lock and its like. It knows nothing
 * of tasks; a runtime that finds it in the process tells it whom to ask: a watcher. Neither is
 * linked to the other, so that it works for a whorl of any kind, be it linked in or loaded late.
 *
 * Owns:       the layout of what both see; WHORL__LOCKS_VERSION counts its changes.
 * Threads:    the watcher's functions are called on any thread, `running` under the library's lock:
 *             they take no lock and wait for nothing.
 */
#ifndef WHORL_SYS_LOCKS_H
#define WHORL_SYS_LOCKS_H

#include <stdbool.h>
#include <stdint.h>

#define WHORL__LOCKS_VERSION 1
#define WHORL__LOCKS_FRAMES  8

/* A task of any runtime: its slot, and which of those that the slot has had. */
struct whorl__locks_owner {
    const void *task;
    uint64_t serial;
};

/* That somebody holds a lock. */
struct whorl__locks_note {
    const void *lock; /* NULL: there is none */
    const char *kind; /* "mutex" and so on */
    bool shared;      /* for reading: others may have it as well */
    struct whorl__locks_owner owner;
    uint32_t count; /* times, by the same owner */
    int frame_count;
    void *frames[WHORL__LOCKS_FRAMES]; /* where it was taken, innermost first */
};

struct whorl__locks_watcher {
    uint32_t version;
    /* Whether the calling thread is in a task; to_note: one of a runtime in debug mode. */
    bool (*running)(bool to_note, struct whorl__locks_owner *ret_owner);
    /* The task that the calling thread is in has one note more (1) or less (-1). */
    void (*changed)(int change);
};

/* Exported by the library as whorl_locks_watch, whorl_locks_unwatch and whorl_locks_held. */

/* False: it is of another version, or has too many. Each needs an unwatch; the same may watch
 * several times. After the last unwatch nothing of it is called any more. */
typedef bool whorl__locks_watch(const struct whorl__locks_watcher *watcher);
typedef void whorl__locks_unwatch(const struct whorl__locks_watcher *watcher);
/* What is noted of an owner, the first max of it. Returns how many it is. */
typedef int whorl__locks_held(const struct whorl__locks_owner *owner,
                              struct whorl__locks_note *ret_notes, int max);

#endif
