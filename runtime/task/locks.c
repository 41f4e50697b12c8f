/*
 * locks.c - finds libwhorl-locks.so in the process, has it note which locks tasks take, and tells
 * of those that a task waits with.
 *
 * Owns:       runtime->locks; the watcher, one for all runtimes of this library.
 * Threads:    start by any, of which one installs; the rest as task/locks.h says. What was told is
 *             under its lock.
 * Invariant:  a runtime that has `locks` watches; it unwatches once, when none of its threads runs.
 *             After that the library calls nothing here, so whorl may be unloaded.
 * Pairs:      O1  start: the fields, runtime->locks := it (cas, release half) - tell: reads it
 *                 (acquire)
 */
#include "task/locks.h"

#include "task/debugging.h"
#include "task/future.h"
#include "task/park.h"

#include "base/error.h"
#include "sys/fork.h"
#include "sys/locks.h"
#include "sys/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How many of a task's locks are told of, of how many places it is known that they were told. */
#define NOTES_MAX  4
#define TOLD_MAX   256
#define TEXT_BYTES 440

struct whorl__locks {
    whorl__locks_unwatch *unwatch; /* C */
    whorl__locks_held *held;       /* C */
    struct whorl__spinlock lock;
    uint32_t told_count;           /* M(lock): more than TOLD_MAX: the oldest were forgotten */
    uint64_t told[TOLD_MAX];       /* M(lock): places */
};

/* ---- for the library ---- */

static struct whorl__locks_owner owner_of(struct whorl_task *task)
{
    /* relaxed: a number, and by the task itself */
    return (struct whorl__locks_owner){task, whorl__load_relaxed_u64(&task->serial)};
}

static bool running(bool to_note, struct whorl__locks_owner *ret_owner)
{
    const struct whorl__loop *const here = whorl__loop_current();
    if (here == NULL || here->current == NULL || (to_note && !whorl__debugs(here->runtime))) {
        return false;
    }
    *ret_owner = owner_of(here->current);
    return true;
}

static const struct whorl__locks_watcher watcher = {
    .version = WHORL__LOCKS_VERSION, .running = running, .changed = whorl__debug_locks_noted};

/* ---- start and stop ---- */

/* The loader has a lock of its own, which no fork may find held. */
static void *find(const char *name)
{
    whorl__fork_hold();
    void *const address = dlsym(RTLD_DEFAULT, name);
    whorl__fork_release();
    return address;
}

void whorl__locks_start(struct whorl__runtime *runtime)
{
    whorl__locks_watch *const watch = (whorl__locks_watch *)(uintptr_t)find("whorl_locks_watch");
    struct whorl__locks *const locks = watch != NULL ? whorl__os->alloc(sizeof *locks) : NULL;
    void *none = NULL;
    if (locks == NULL) {
        return;
    }
    memset(locks, 0, sizeof *locks);
    locks->unwatch = (whorl__locks_unwatch *)(uintptr_t)find("whorl_locks_unwatch");
    locks->held = (whorl__locks_held *)(uintptr_t)find("whorl_locks_held");
    if (!watch(&watcher)) {
        whorl__os->free(locks);
    } else if (!whorl__cas_value_ptr(&runtime->locks, &none, locks)) { /* pairs O1 */
        locks->unwatch(&watcher);
        whorl__os->free(locks);
    }
}

void whorl__locks_stop(struct whorl__runtime *runtime)
{
    /* relaxed: who has installed it was a thread of the runtime, which is joined */
    struct whorl__locks *const locks = whorl__load_relaxed_ptr(&runtime->locks);
    if (locks != NULL) {
        locks->unwatch(&watcher);
        whorl__os->free(locks);
        whorl__store_relaxed_ptr(&runtime->locks, NULL); /* relaxed: nobody else is there */
    }
}

/* ---- telling ---- */

/* FNV-1a, a word at a time. */
static uint64_t mix(uint64_t hash, void *const *frames, int count)
{
    for (int i = 0; i < count; i++) {
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* True: this place was told of before. Now it was. */
static bool was_told(struct whorl__locks *locks, uint64_t place)
{
    bool found = false;
    whorl__spin_lock(&locks->lock);
    const uint32_t known = locks->told_count < TOLD_MAX ? locks->told_count : TOLD_MAX;
    for (uint32_t i = 0; i < known && !found; i++) {
        found = locks->told[i] == place;
    }
    if (!found) {
        locks->told[locks->told_count++ % TOLD_MAX] = place;
    }
    whorl__spin_unlock(&locks->lock);
    return found;
}

static size_t put_note(const struct whorl__locks_note *note, bool first, char *text, size_t bytes)
{
    const int head = snprintf(text, bytes, "%s%s %p taken at ", first ? "" : "; ", note->kind,
                              note->lock);
    const size_t used = (size_t)head < bytes ? (size_t)head : bytes - 1;
    return used + whorl__debug_frames_text(note->frames, note->frame_count, text + used,
                                           bytes - used);
}

/* Each gets the same share of the line. */
static void put_notes(const struct whorl__locks_note *notes, int count, char *text, size_t bytes)
{
    const size_t share = bytes / (size_t)count;
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        const size_t more = put_note(&notes[i], i == 0, text + used, share);
        used += more < share ? more : share - 1;
    }
}

static void report(struct whorl_task *task, const struct whorl__locks_note *notes, int count,
                   void *const *frames, int frame_count)
{
    char held[TEXT_BYTES];
    char place[TEXT_BYTES];
    put_notes(notes, count, held, sizeof held);
    const bool told = whorl__debug_frames_text(frames, frame_count, place, sizeof place) > 0;
    whorl__report(task->runtime, &(struct whorl_report){.message = WHORL__WAITS_WITH_A_LOCK,
                                                        .error = -EDEADLK,
                                                        .task = task,
                                                        .locks = held,
                                                        .waits_at = told ? place : NULL});
}

bool whorl__locks_tell(struct whorl_task *task)
{
    struct whorl__locks *const locks = whorl__load_acquire_ptr(&task->runtime->locks); /* O1 */
    const struct whorl__locks_owner owner = owner_of(task);
    struct whorl__locks_note notes[NOTES_MAX];
    void *frames[WHORL__TRACE_FRAMES];
    const int held = locks != NULL ? locks->held(&owner, notes, NOTES_MAX) : 0;
    if (held == 0) {
        return false;
    }
    const int count = held < NOTES_MAX ? held : NOTES_MAX;
    const int frame_count = whorl__debug_trace(frames, WHORL__TRACE_FRAMES);
    uint64_t place = mix(UINT64_C(0xcbf29ce484222325), frames, frame_count);
    for (int i = 0; i < count; i++) {
        place = mix(place, notes[i].frames, notes[i].frame_count);
    }
    if (!was_told(locks, place)) {
        report(task, notes, count, frames, frame_count);
    }
    return true;
}
