/*
 * state.h - the one word that says where a task is. Nothing else writes it.
 *
 *        spawn            park_commit
 *   FREE ------> LIVE ------------------> PARKED
 *    ^            | ^                        |
 *    |            | +---- wake, cancel ------+
 *    |            | finish
 *    +---free-- DONE
 *
 *   FREE    the slot holds no task; it is on a free list.
 *   LIVE    exactly one holder: a run queue, or the loop that runs it, or whoever just woke it and
 *           is about to queue it. NEW (no fiber yet), READY and RUNNING are told apart by the
 *           fields fiber and loop->current; no transition between them needs an atomic, since the
 *           holder is alone. That is why yielding and being run cost no locked operation.
 *   PARKED  on no queue; its stack is left; the first who moves it to LIVE holds it.
 *   DONE    the body has returned, its stack is given back, nobody runs it again.
 *
 * The word: phase (bits 0-2), WAKE (3), CANCEL (4), VISIT (5), OPEN (6), epoch (32-63).
 *   epoch   counts the waits of the slot, over all tasks it ever held. A handle names slot and
 *           epoch; a waker whose epoch is over changes nothing, so a timer, a descriptor or a
 *           canceller may keep a handle as long as it likes. Who wakes a parked task raises it in
 *           the same cas, and so does who fills the slot: then no handle names it yet, and the next
 *           wait has it without a locked operation. Else (a cancel ended the last wait, or a wake
 *           that came too early to find it parked) that wait raises it itself. The task knows by
 *           wait_begun, the low half of the epoch that it began a wait with last.
 *   WAKE    somebody woke the present epoch before the task had left its stack: the park ends at
 *           once. May be set when the wait is over already; the next park_begin clears it. Never
 *           set in an epoch that no handle names.
 *   CANCEL  a request is pending. Set and cleared under the task's lock only, but always in this
 *           word: so a park that begins cannot miss it and needs no fence.
 *   VISIT   somebody takes a reference on a task that he knows by its slot only. Set and cleared
 *           under the task's lock, while the task is LIVE or PARKED: it does not end meanwhile, so
 *           the runtime's own reference is there to be added to. Who would end it takes the lock.
 *   OPEN    the task has not begun, and nobody holds it: a ring has an entry that names slot and
 *           epoch, and its spawner may run it where it awaits it (task/inline.c). Who takes the
 *           entry out, and who awaits, each try to claim the task; the one whose cas clears OPEN
 *           holds it, and for the other there is nothing. Never set again in the task's life.
 *
 *               spawn_open             claim, by one of two
 *           FREE ------> LIVE | OPEN ----------------------> LIVE
 *
 * Losing interleaving, if a wait took an epoch that the last one had, for nobody had woken it:
 *
 *   task                               canceller                  waker, with the handle
 *   begins wait 7, parks
 *                                      PARKED -> LIVE
 *   is told, begins a wait: 7 again
 *   parks                                                         wakes 7: ends the wrong wait
 *
 * Ours: wait_begun is 7, so the second wait raises the epoch to 8.
 *
 * Losing interleaving, if who claims looked and then stored:
 *
 *   awaiter (loop 0)                   thief                      loop 1
 *                                      takes the entry, reads OPEN
 *   reads OPEN, stores LIVE
 *   runs the task to its end
 *                                      stores LIVE, runs it again
 *
 * Ours: both swap; the second finds OPEN gone. If the slot has another task by then, which may be
 * OPEN itself, the entry's epoch is not that task's: the entry is stale, and is dropped.
 *
 * Losing interleaving, if a task announced itself before its stack was left:
 *
 *   task (loop 0)                      waker                      loop 1
 *   PARKED (still on its stack)
 *                                      PARKED -> LIVE, queue it
 *                                                                 resumes the stack: two at once
 *
 * Ours: the fiber switches away first; then loop 0, on its own stack, tries LIVE -> PARKED. A waker
 * before that finds LIVE and leaves WAKE; the try fails and loop 0 keeps the task.
 *
 * Threads:    any.
 * Pairs:      S1  state_wake (release half): what the waker did is seen by the resumed task,
 *                 through the queue that carries it or the failing commit (acquire).
 *             S2  state_park_commit (release): the task's frame is seen by whoever wakes it
 *                 (acquire).
 */
#ifndef WHORL_STATE_STATE_H
#define WHORL_STATE_STATE_H

#include "atomic/atomic.h"
#include "base/assert.h"

#include <stdbool.h>

enum whorl__phase {
    WHORL__FREE = 0,
    WHORL__LIVE = 1,
    WHORL__PARKED = 2,
    WHORL__DONE = 3,
};

#define WHORL__PHASE_MASK  UINT64_C(7)
#define WHORL__WAKE        UINT64_C(8)
#define WHORL__CANCEL      UINT64_C(16)
#define WHORL__VISIT       UINT64_C(32)
#define WHORL__OPEN        UINT64_C(64)
#define WHORL__EPOCH_SHIFT 32
#define WHORL__EPOCH_ONE   (UINT64_C(1) << WHORL__EPOCH_SHIFT)

/* What a waker found. */
enum whorl__wake {
    WHORL__WAKE_STALE, /* the wait is over: nothing to do */
    WHORL__WAKE_NOTED, /* the task was about to park and will not */
    WHORL__WAKE_TAKEN, /* it was parked: the caller holds it now and must queue it */
};

static inline enum whorl__phase whorl__state_phase(uint64_t word)
{
    return (enum whorl__phase)(word & WHORL__PHASE_MASK);
}

static inline uint32_t whorl__state_epoch(uint64_t word)
{
    return (uint32_t)(word >> WHORL__EPOCH_SHIFT);
}

static inline bool whorl__state_cancel_pending(const uint64_t *word)
{
    /* relaxed: a hint; who acts on it looks again under the task's lock. */
    return (whorl__load_relaxed_u64(word) & WHORL__CANCEL) != 0;
}

/* FREE -> LIVE, with these bits set, by the one who took the slot. The epoch goes on from the last
 * task's, and is returned. */
static inline uint32_t whorl__state_spawn_with(uint64_t *word, uint64_t bits)
{
    /* relaxed: stale handles that look now find another epoch, or LIVE, and change at most WAKE. */
    const uint64_t old = whorl__load_relaxed_u64(word);
    WHORL_ASSERT(whorl__state_phase(old) == WHORL__FREE);
    const uint64_t epoch = (old >> WHORL__EPOCH_SHIFT) + 1;
    whorl__store_release_u64(word, (epoch << WHORL__EPOCH_SHIFT) | WHORL__LIVE | bits);
    return (uint32_t)epoch;
}

/* The caller holds the task. */
static inline void whorl__state_spawn(uint64_t *word)
{
    (void)whorl__state_spawn_with(word, 0);
}

/* Nobody holds it: it is for who claims it. Returns its epoch. */
static inline uint32_t whorl__state_spawn_open(uint64_t *word)
{
    return whorl__state_spawn_with(word, WHORL__OPEN);
}

/* A hint: the task of this epoch may be claimed. */
static inline bool whorl__state_is_open(const uint64_t *word, uint32_t epoch)
{
    const uint64_t now = whorl__load_relaxed_u64(word); /* relaxed: the claim's cas decides */
    return (now & WHORL__OPEN) != 0 && whorl__state_epoch(now) == epoch;
}

/* True: the task of this epoch was open, and the caller holds it from here on. */
static inline bool whorl__state_claim(uint64_t *word, uint32_t epoch)
{
    uint64_t old = whorl__load_relaxed_u64(word); /* relaxed: the cas checks it */
    do {
        if ((old & WHORL__OPEN) == 0 || whorl__state_epoch(old) != epoch) {
            return false;
        }
    } while (!whorl__cas_value_u64(word, &old, old & ~WHORL__OPEN)); /* Q1 has brought the rest */
    return true;
}

/* The same, where a handle names the present epoch. */
static inline uint32_t whorl__state_park_raise(uint64_t *word)
{
    uint64_t old = whorl__load_relaxed_u64(word); /* relaxed: the cas checks it */
    uint64_t next;
    do {
        next = (old & ~WHORL__WAKE) + WHORL__EPOCH_ONE;
    } while (!whorl__cas_value_u64(word, &old, next));
    return whorl__state_epoch(next);
}

/* A new wait begins, by the task itself. Returns its epoch; *begun: the task's wait_begun. */
static inline uint32_t whorl__state_park_begin(uint64_t *word, uint16_t *begun)
{
    /* relaxed: without a handle nobody raises it, and one that was raised came with the task. Where
     * the low halves are the same by chance it is raised once more. */
    const uint64_t now = whorl__load_relaxed_u64(word);
    uint32_t epoch = whorl__state_epoch(now);
    WHORL_ASSERT(whorl__state_phase(now) == WHORL__LIVE && (now & WHORL__OPEN) == 0);
    if ((uint16_t)epoch == *begun) {
        epoch = whorl__state_park_raise(word);
    } else {
        WHORL_ASSERT((now & WHORL__WAKE) == 0);
    }
    *begun = (uint16_t)epoch;
    return epoch;
}

/* LIVE -> PARKED by the loop, its stack left (S2). False: woken or cancelled, and still LIVE. */
static inline bool whorl__state_park_commit(uint64_t *word)
{
    uint64_t old = whorl__load_acquire_u64(word); /* acquire, pairs S1 when WAKE is found */
    do {
        WHORL_ASSERT(whorl__state_phase(old) == WHORL__LIVE);
        if (old & (WHORL__WAKE | WHORL__CANCEL)) {
            return false;
        }
    } while (!whorl__cas_value_u64(word, &old, (old & ~WHORL__PHASE_MASK) | WHORL__PARKED));
    return true;
}

/* PARKED -> LIVE, and the wait is over: what a waker puts in the place of `parked`. */
static inline uint64_t whorl__state_woken(uint64_t parked)
{
    return ((parked & ~WHORL__PHASE_MASK) | WHORL__LIVE) + WHORL__EPOCH_ONE;
}

/* End the wait of `epoch` (S1). Mostly it finds the task parked, and nothing else in the word. */
static inline enum whorl__wake whorl__state_wake(uint64_t *word, uint32_t epoch)
{
    const uint64_t waiting = ((uint64_t)epoch << WHORL__EPOCH_SHIFT) | WHORL__PARKED;
    uint64_t old = waiting;
    if (WHORL_LIKELY(whorl__cas_value_u64(word, &old, whorl__state_woken(waiting)))) { /* S2 */
        return WHORL__WAKE_TAKEN;
    }
    for (;;) {
        if (whorl__state_epoch(old) != epoch) {
            return WHORL__WAKE_STALE;
        }
        switch (whorl__state_phase(old)) {
        case WHORL__PARKED:
            if (whorl__cas_value_u64(word, &old, whorl__state_woken(old))) {
                return WHORL__WAKE_TAKEN;
            }
            break;
        case WHORL__LIVE:
            if ((old & WHORL__WAKE) || whorl__cas_value_u64(word, &old, old | WHORL__WAKE)) {
                return WHORL__WAKE_NOTED;
            }
            break;
        default:
            return WHORL__WAKE_STALE;
        }
    }
}

/*
 * A cancel request is left pending; under the task's lock. *ret_taken: it was parked, and the
 * caller holds it now and must queue it. False: the task was done, nothing changed.
 */
static inline bool whorl__state_cancel(uint64_t *word, bool *ret_taken)
{
    uint64_t old = whorl__load_acquire_u64(word); /* acquire, pairs S2 */
    for (;;) {
        const enum whorl__phase phase = whorl__state_phase(old);
        if (phase == WHORL__DONE || phase == WHORL__FREE) {
            return false;
        }
        const bool take = phase == WHORL__PARKED;
        uint64_t next = old | WHORL__CANCEL;
        if (take) {
            next = (next & ~WHORL__PHASE_MASK) | WHORL__LIVE;
        }
        if (whorl__cas_value_u64(word, &old, next)) {
            *ret_taken = take;
            return true;
        }
    }
}

/* The pending request was delivered or withdrawn; under the task's lock. */
static inline void whorl__state_cancel_clear(uint64_t *word)
{
    (void)whorl__and_u64(word, ~WHORL__CANCEL);
}

/* Under the task's lock. False: it is over. Else it does not end before state_leave. */
static inline bool whorl__state_visit(uint64_t *word)
{
    uint64_t old = whorl__load_relaxed_u64(word); /* relaxed: the cas checks it */
    do {
        const enum whorl__phase phase = whorl__state_phase(old);
        if (phase != WHORL__LIVE && phase != WHORL__PARKED) {
            return false;
        }
        WHORL_ASSERT((old & WHORL__VISIT) == 0);
    } while (!whorl__cas_value_u64(word, &old, old | WHORL__VISIT));
    return true;
}

/* By who has visited, still under the task's lock. */
static inline void whorl__state_leave(uint64_t *word)
{
    (void)whorl__and_u64(word, ~WHORL__VISIT);
}

/* LIVE -> DONE by the task itself. False: a cancel is pending and must be dealt with first, or a
 * visitor has the task's lock and must have left. */
static inline bool whorl__state_finish(uint64_t *word)
{
    uint64_t old = whorl__load_relaxed_u64(word); /* relaxed: the cas checks it */
    uint64_t next;
    do {
        WHORL_ASSERT(whorl__state_phase(old) == WHORL__LIVE);
        WHORL_ASSERT((old & WHORL__OPEN) == 0);
        if (old & (WHORL__CANCEL | WHORL__VISIT)) {
            return false;
        }
        next = (old & ~(WHORL__PHASE_MASK | WHORL__WAKE)) | WHORL__DONE;
    } while (!whorl__cas_value_u64(word, &old, next));
    return true;
}

/* DONE -> FREE, by the one who dropped the last reference. */
static inline void whorl__state_free(uint64_t *word)
{
    const uint64_t old = whorl__load_relaxed_u64(word); /* relaxed: nobody changes a DONE word */
    WHORL_ASSERT(whorl__state_phase(old) == WHORL__DONE);
    whorl__store_release_u64(word, old & ~(WHORL__EPOCH_ONE - 1)); /* phase and bits are now 0 */
}

#endif
