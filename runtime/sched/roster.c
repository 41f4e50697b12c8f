/*
 * roster.c - the list of runtimes: visited without locks, left only when nobody visits.
 *
 * Owns:       the list; runtime->id, next_older and visitors.
 * Threads:    see roster.h.
 * Invariant:  the list is in the order of ids, the newest first. Who walks it counts in `walkers`,
 *             who looks into a runtime in its `visitors`, and he is counted there before he is no
 *             longer counted as walking. So a runtime that was taken off the list is nobody's once
 *             there was no walker, and then no visitor.
 *             Walks are short and wait for nothing; a visit takes as long as its output does.
 * Pairs:      V1  walk: walkers + 1, read the list ... visitors + 1, walkers - 1
 *                 remove: unlink, full fence, until walkers was 0, until visitors is 0
 *             V2  add: fill the runtime, head := it (release) - walk: read head (acquire)
 *             V3  leave: visitors - 1 (release half) - remove: visitors == 0 (acquire)
 *
 * A child of fork has none of the threads that its parent's list speaks of: it begins a new one.
 *
 * Not chosen: a lock. A dump is taken when something is stuck, and it may be in a signal handler
 *             that has interrupted the holder.
 */
#include "sched/roster.h"

#include "sys/os.h"

#define LOOK_NS WHORL_MILLISECOND

static struct whorl__spinlock changes; /* one adds or removes at a time */
void *whorl__roster_head;              /* A: struct whorl__runtime, the newest */
static uint32_t walkers;               /* A */
static uint64_t last_id;               /* M(changes) */

void whorl__roster_clear(void)
{
    changes = (struct whorl__spinlock){0};
    whorl__store_relaxed_ptr(&whorl__roster_head, NULL); /* relaxed: there is one thread */
    whorl__store_relaxed_u32(&walkers, 0); /* relaxed: as above */
}

void whorl__roster_add(struct whorl__runtime *runtime)
{
    whorl__spin_lock(&changes);
    whorl__plain_write(&runtime->id); /* and all that was filled before; V2 */
    runtime->id = ++last_id;
    /* relaxed: M(changes), and published by the release below */
    whorl__store_relaxed_ptr(&runtime->next_older, whorl__load_relaxed_ptr(&whorl__roster_head));
    whorl__store_release_ptr(&whorl__roster_head, runtime); /* pairs V2 */
    whorl__spin_unlock(&changes);
}

static void unlink_locked(struct whorl__runtime *runtime)
{
    void **link = &whorl__roster_head;
    /* relaxed: M(changes) */
    while (whorl__load_relaxed_ptr(link) != runtime) {
        struct whorl__runtime *const newer = whorl__load_relaxed_ptr(link); /* relaxed: as above */
        WHORL_ASSERT(newer != NULL);
        link = &newer->next_older;
    }
    /* relaxed: M(changes) */
    void *const older = whorl__load_relaxed_ptr(&runtime->next_older);
    whorl__store_release_ptr(link, older); /* pairs V2; a walker in this runtime goes on from it */
}

static void wait_for(uint32_t *count)
{
    uint32_t present;
    while ((present = whorl__load_acquire_u32(count)) != 0) { /* acquire, pairs V1 and V3 */
        (void)whorl__os->futex_wait(count, present, whorl__os->now_ns() + LOOK_NS);
    }
}

void whorl__roster_remove(struct whorl__runtime *runtime)
{
    whorl__spin_lock(&changes);
    unlink_locked(runtime);
    whorl__spin_unlock(&changes);
    whorl__fence_full(); /* pairs V1: a walker is seen in `walkers`, or sees the list without it */
    wait_for(&walkers);
    wait_for(&runtime->visitors);
}

/* The oldest runtime whose id is above `id`, or, if exact, equal to it. */
static struct whorl__runtime *pick(uint64_t id, bool exact)
{
    struct whorl__runtime *picked = NULL;
    /* acquire, pairs V2 */
    struct whorl__runtime *runtime = whorl__load_acquire_ptr(&whorl__roster_head);
    while (runtime != NULL && runtime->id >= id + !exact) {
        whorl__plain_read(&runtime->id);
        picked = runtime;
        runtime = whorl__load_acquire_ptr(&runtime->next_older); /* acquire, pairs V2 */
    }
    return picked != NULL && exact && picked->id != id ? NULL : picked;
}

static struct whorl__runtime *enter(uint64_t id, bool exact)
{
    (void)whorl__add_u32(&walkers, 1); /* pairs V1 */
    whorl__fence_full();               /* pairs V1: before the list is read */
    struct whorl__runtime *const runtime = pick(id, exact);
    if (runtime != NULL) {
        (void)whorl__add_u32(&runtime->visitors, 1); /* pairs V1 */
    }
    (void)whorl__add_u32(&walkers, (uint32_t)-1); /* release half, pairs V1 */
    return runtime;
}

struct whorl__runtime *whorl__roster_next(struct whorl__runtime *last)
{
    const uint64_t id = last != NULL ? last->id : 0;
    if (last != NULL) {
        whorl__roster_leave(last);
    }
    return enter(id, false);
}

void whorl__roster_leave(struct whorl__runtime *runtime)
{
    (void)whorl__add_u32(&runtime->visitors, (uint32_t)-1); /* release half, pairs V3 */
}

struct whorl__runtime *whorl__roster_find(uint64_t id)
{
    return enter(id, true);
}
