/*
 * barrier.c - so many meet, and go on together: asyncio's, word by word, over a condition.
 *
 *                    the last one comes
 *   FILLING ------------------------------> DRAINING
 *    ^  | ^                                    |
 *    |  | +---- the last one has left ---------+
 *    |  | +---- the last one has left --- RESETTING <--- reset, from any, with somebody inside
 *    |  +-----> BROKEN  <--- abort, from any
 *    +-- reset ----+                          (reset with nobody inside: FILLING at once)
 *
 * All of it is changed by who has the condition's lock, and every change notifies all. `inside` are
 * those who count: they came while it filled, and have not left. Each stands in the list of the
 * arrivals until the round is full; then the list is numbered. So the numbers of a round are those
 * of arrival, and no two the same, whoever has left before (BAR-13: asyncio's is how many were
 * there at arrival, which two may have).
 *
 * Owns:       struct barrier, which is the program's struct whorl_barrier.
 * Threads:    any.
 * Invariant:  FILLING: inside < parties, but for the moment in which the last one comes.
 * Pairs:      those of the lock and of the condition.
 */
#include "sync/condition.h"

#include "atomic/atomic.h"
#include "base/bug.h"
#include "base/list.h"

#include "whorl.h"

#include <errno.h>
#include <limits.h>

enum state { FILLING, DRAINING, RESETTING, BROKEN };

struct barrier {
    uint32_t parties;             /* C */
    uint32_t state;               /* A: enum state; M(changed's lock) to write */
    struct whorl_condition changed;
    uint32_t inside;              /* A: as state */
    struct whorl__list arrivals;  /* M(changed's lock); valid while FILLING with somebody inside */
};

WHORL_STATIC(sizeof(struct barrier) <= sizeof(struct whorl_barrier) &&
                 offsetof(struct barrier, changed) == offsetof(struct whorl_barrier, changed),
             "it fits, and a static one is filling");

/* One of a round; on his stack. */
struct arrival {
    struct whorl__list link; /* as arrivals; in no list once it has its number */
    unsigned index;
};

static struct barrier *barrier_of(struct whorl_barrier *barrier)
{
    return (struct barrier *)(void *)barrier;
}

static bool is_for(uint32_t parties)
{
    return parties >= 1 && parties <= INT_MAX;
}

static struct whorl_lock *lock_of(struct barrier *barrier)
{
    return whorl_condition_lock(&barrier->changed);
}

/* With the lock from here on. In a child of fork it may be free though others are inside, whom only
 * the condition knows: then nothing may be touched. */
static int enter(struct barrier *barrier, int64_t deadline_ns)
{
    int error = whorl_lock_acquire_until(lock_of(barrier), deadline_ns);
    if (error != 0) {
        return error;
    }
    error = whorl__condition_check(&barrier->changed);
    if (error != 0) {
        (void)whorl_lock_release(lock_of(barrier));
    }
    return error;
}

/* ---- with the lock ---- */

/* relaxed, all of these: written with the lock; others read them for a hint */
static enum state state_of(const struct barrier *barrier)
{
    return (enum state)whorl__load_relaxed_u32(&barrier->state); /* relaxed: as above */
}

static uint32_t inside_of(const struct barrier *barrier)
{
    return whorl__load_relaxed_u32(&barrier->inside); /* relaxed: as above */
}

static void set_state(struct barrier *barrier, enum state state)
{
    whorl__store_relaxed_u32(&barrier->state, state); /* relaxed: as above */
}

static void set_inside(struct barrier *barrier, uint32_t inside)
{
    whorl__store_relaxed_u32(&barrier->inside, inside); /* relaxed: as above */
}

static void tell_all(struct barrier *barrier)
{
    const int error = whorl_condition_notify_all(&barrier->changed);
    WHORL_CHECK(error == 0, "whoever changes a barrier has its lock");
}

/* ---- a round ---- */

static int has_drained(void *arg)
{
    const enum state state = state_of(arg);
    return WHORL__BUG(BARRIER_LETS_IN) || (state != DRAINING && state != RESETTING);
}

static int has_filled(void *arg)
{
    return state_of(arg) != FILLING;
}

static void arrive(struct barrier *barrier, struct arrival *self)
{
    if (inside_of(barrier) == 0) {
        whorl__list_init(&barrier->arrivals);
    }
    whorl__list_push_back(&barrier->arrivals, &self->link);
    set_inside(barrier, inside_of(barrier) + 1);
}

static void number_all(struct barrier *barrier)
{
    struct whorl__list *link;
    unsigned index = 0;
    while ((link = whorl__list_pop_front(&barrier->arrivals)) != NULL) {
        whorl_container_of(link, struct arrival, link)->index = index++;
    }
}

/* A dump shows what it waits for by the barrier. */
static int wait_for(struct barrier *barrier, whorl_predicate *predicate, int64_t deadline_ns)
{
    return whorl__condition_wait_for_of(&barrier->changed, predicate, barrier, deadline_ns, barrier,
                                        WHORL__SYNC_BARRIER);
}

/* Until the round is full: 0, or why not. */
static int meet(struct barrier *barrier, int64_t deadline_ns)
{
    if (inside_of(barrier) == barrier->parties) {
        number_all(barrier);
        set_state(barrier, DRAINING);
        tell_all(barrier);
        return 0;
    }
    const int error = wait_for(barrier, has_filled, deadline_ns);
    if (error < 0) {
        return error;
    }
    const enum state state = state_of(barrier);
    return state == BROKEN || state == RESETTING ? -ENOTRECOVERABLE : 0;
}

/* The last one makes room for the next round. */
static void depart(struct barrier *barrier, struct arrival *self)
{
    whorl__list_remove(&self->link); /* a second time if it has its number: that does nothing */
    set_inside(barrier, inside_of(barrier) - 1);
    if (inside_of(barrier) > 0) {
        return;
    }
    if (state_of(barrier) == DRAINING || state_of(barrier) == RESETTING) {
        set_state(barrier, FILLING);
    }
    tell_all(barrier);
}

static int wait_with_lock(struct barrier *barrier, int64_t deadline_ns, struct arrival *self)
{
    int error = wait_for(barrier, has_drained, deadline_ns);
    if (error < 0) {
        return error;
    }
    if (state_of(barrier) == BROKEN) {
        return -ENOTRECOVERABLE;
    }
    arrive(barrier, self);
    error = meet(barrier, deadline_ns);
    if (WHORL__BUG(BARRIER_IS_BROKEN) && error == -ECANCELED) {
        set_state(barrier, BROKEN);
    }
    depart(barrier, self);
    return error;
}

int whorl_barrier_wait_until(struct whorl_barrier *opaque, int64_t deadline_ns,
                             unsigned *ret_index)
{
    if (opaque == NULL || !is_for(opaque->parties)) {
        return -EINVAL;
    }
    struct barrier *const barrier = barrier_of(opaque);
    struct arrival self;
    int error = enter(barrier, deadline_ns);
    if (error != 0) {
        return error;
    }
    error = wait_with_lock(barrier, deadline_ns, &self);
    (void)whorl_lock_release(lock_of(barrier));
    if (error == 0 && ret_index != NULL) {
        *ret_index = self.index;
    }
    return error;
}

int whorl_barrier_wait(struct whorl_barrier *barrier, unsigned *ret_index)
{
    return whorl_barrier_wait_until(barrier, WHORL_NEVER, ret_index);
}

/* ---- from outside ---- */

static int change(struct whorl_barrier *opaque, enum state state)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct barrier *const barrier = barrier_of(opaque);
    const int error = enter(barrier, WHORL_NEVER);
    if (error != 0) {
        return error;
    }
    const bool empty = inside_of(barrier) == 0 || WHORL__BUG(BARRIER_KEEPS_THEM);
    set_state(barrier, state == RESETTING && empty ? FILLING : state);
    tell_all(barrier);
    (void)whorl_lock_release(lock_of(barrier));
    return 0;
}

int whorl_barrier_reset(struct whorl_barrier *barrier)
{
    return change(barrier, RESETTING);
}

int whorl_barrier_abort(struct whorl_barrier *barrier)
{
    return change(barrier, BROKEN);
}

unsigned whorl_barrier_parties(const struct whorl_barrier *barrier)
{
    return barrier != NULL ? barrier->parties : 0;
}

unsigned whorl_barrier_n_waiting(const struct whorl_barrier *opaque)
{
    if (opaque == NULL) {
        return 0;
    }
    const struct barrier *const barrier = (const struct barrier *)(const void *)opaque;
    return state_of(barrier) == FILLING ? inside_of(barrier) : 0;
}

bool whorl_barrier_broken(const struct whorl_barrier *opaque)
{
    return opaque != NULL &&
           state_of((const struct barrier *)(const void *)opaque) == BROKEN;
}

/* ---- its beginning and end ---- */

int whorl_barrier_init(struct whorl_barrier *opaque, unsigned parties)
{
    if (opaque == NULL || !is_for(parties)) {
        return -EINVAL;
    }
    struct barrier *const barrier = barrier_of(opaque);
    *barrier = (struct barrier){.parties = parties};
    return whorl_condition_init(&barrier->changed, NULL);
}

int whorl_barrier_destroy(struct whorl_barrier *opaque)
{
    return opaque == NULL ? -EINVAL
                          : whorl__condition_destroy_of(&barrier_of(opaque)->changed, opaque,
                                                        "barrier");
}
