/*
 * runqueue.h - the tasks that are ready on one loop: a ring its owner fills and all may empty.
 *
 * Owns:       the ring; the tasks are opaque pointers, never NULL.
 * Threads:    each queue has one owner, the loop that embeds it. A function says who may call it:
 *             the owner, a thief (the owner of another queue), or any thread.
 * Invariant:  a task that was pushed is handed out exactly once; first in, first out.
 *             The argument for both stands at the top of runqueue.c.
 * Pairs:      Q1 and Q2, named in runqueue.c.
 * Not chosen: a Chase-Lev deque; see docs/decisions/003-run-queue.md.
 */
#ifndef WHORL_LOCKFREE_RUNQUEUE_H
#define WHORL_LOCKFREE_RUNQUEUE_H

#include "atomic/atomic.h"

#include <ck_ring.h>

#if defined(WHORL_TSAN) && !defined(WHORL_ATOMIC_CK_PR_SHIM)
#    error "ThreadSanitizer cannot see into ck: put runtime/atomic/shim first on the include path"
#endif

/* A power of two. A ring keeps one slot free to tell full from empty. */
#ifndef WHORL_RUNQUEUE_SLOTS
#    define WHORL_RUNQUEUE_SLOTS 256
#endif
#define WHORL_RUNQUEUE_CAPACITY (WHORL_RUNQUEUE_SLOTS - 1)

struct whorl__runqueue {
    struct ck_ring ring WHORL_ALIGNED(WHORL_CACHE_LINE); /* A: c_head; p_tail by the owner */
    void *slots[WHORL_RUNQUEUE_SLOTS] WHORL_ALIGNED(WHORL_CACHE_LINE); /* A: stored by the owner */
};

void whorl__runqueue_init(struct whorl__runqueue *queue);

/* Owner. False when the ring is full; then take_half_for_overflow makes room. */
WHORL_MUST_USE static inline bool whorl__runqueue_push(struct whorl__runqueue *queue, void *task)
{
    WHORL_ASSERT(task);
    const uint32_t tail = whorl__load_relaxed_u32(&queue->ring.p_tail); /* relaxed: our own */
    /* relaxed, pairs Q2: the store below depends on what is read here, and so cannot precede it */
    const uint32_t head = whorl__load_relaxed_u32(&queue->ring.c_head);
    if (WHORL_UNLIKELY(tail - head >= WHORL_RUNQUEUE_CAPACITY)) {
        return false;
    }
    void **const slot = &queue->slots[tail & (WHORL_RUNQUEUE_SLOTS - 1)];
    whorl__store_relaxed_ptr(slot, task); /* relaxed: published by the tail */
    /* release, pairs Q1 with the acquire of p_tail. It also keeps what the owner read from the task
     * before the moment a thief may write to it. */
    whorl__store_release_u32(&queue->ring.p_tail, tail + 1);
    return true;
}

/*
 * Owner, of a queue that nobody steals from. Takes the newest task out if it is this one. With
 * thieves it would not do: docs/decisions/012-inline-await.md.
 */
static inline void whorl__runqueue_take_back(struct whorl__runqueue *queue, const void *task)
{
    /* relaxed, all: nobody else takes; who looks from elsewhere only counts */
    const uint32_t tail = whorl__load_relaxed_u32(&queue->ring.p_tail);
    const uint32_t head = whorl__load_relaxed_u32(&queue->ring.c_head);
    void **const newest = &queue->slots[(tail - 1) & (WHORL_RUNQUEUE_SLOTS - 1)];
    if (tail != head && whorl__load_relaxed_ptr(newest) == task) {
        whorl__store_relaxed_u32(&queue->ring.p_tail, tail - 1);
    }
}

/* Owner. The oldest task, or NULL when there is none. */
void *whorl__runqueue_take(struct whorl__runqueue *queue);

/*
 * Owner. Takes the older half, at most `max`, into ret_tasks, oldest first. Returns how many;
 * 0 when thieves took some meanwhile, so that there is room again.
 */
unsigned whorl__runqueue_take_half_for_overflow(struct whorl__runqueue *queue, void **ret_tasks,
                                                unsigned max);

/* Owner. The same with all there is, at most `max`. */
unsigned whorl__runqueue_take_all_for_overflow(struct whorl__runqueue *queue, void **ret_tasks,
                                               unsigned max);

/*
 * Thief, the owner of `thief`. Takes the older half of the victim's tasks, rounded up, at most as
 * many as fit: the oldest to *ret_first, the rest to the thief's own queue. Returns how many;
 * 0 when the victim has none or another thread was faster, and *ret_first is untouched.
 */
unsigned whorl__runqueue_steal_half(struct whorl__runqueue *victim, struct whorl__runqueue *thief,
                                    void **ret_first);

/*
 * Any thread. A hint, out of date at once; but it is 0 only if the queue was empty at some moment
 * during the call, so a searcher that looks after a full fence does not miss a push before it.
 */
unsigned whorl__runqueue_length(const struct whorl__runqueue *queue);

/* Owner. Walks the slots; false when an invariant is broken. */
bool whorl__runqueue_verify(const struct whorl__runqueue *queue);

/* What will be taken after `ahead` others, if nobody steals it: a hint, for prefetches and figures.
 * NULL: there are not so many. */
static inline void *whorl__runqueue_peek(const struct whorl__runqueue *queue, unsigned ahead)
{
    /* relaxed: what stands there may be taken at any time, and nothing is read through it */
    const unsigned head = whorl__load_relaxed_u32(&queue->ring.c_head);
    const unsigned tail = whorl__load_relaxed_u32(&queue->ring.p_tail);
    return tail - head > ahead
               ? whorl__load_relaxed_ptr(&queue->slots[(head + ahead) % WHORL_RUNQUEUE_SLOTS])
               : NULL;
}

#endif
