/*
 * runqueue.c - ck_ring with one producer, emptied one by one or half at a time.
 *
 *      c_head                p_tail          Both count up for ever, modulo 2^32; the slot of a
 *        |                     |             count is its low bits. Tasks are in [c_head, p_tail).
 *   . . [a] [b] [c] [d] [e] [f] . . .        Only the owner moves p_tail, by a store. Whoever takes
 *                                            moves c_head, by a compare-and-swap.
 *
 * Owns:       the slots and both counters of each queue.
 * Threads:    owner and thieves, as runqueue.h says for each function.
 * Invariant:  0 <= p_tail - c_head <= capacity.
 * Pairs:      Q1  push:  store slot, release p_tail
 *                 take, steal:  acquire p_tail, load slot          (a task is seen whole)
 *             Q2  take, steal:  load slot, cas c_head as a release
 *                 push:  read c_head, then store slot              (a slot is read, then reused)
 *
 * Why no task runs twice.
 *
 *   were c_head stored:                          c_head is swapped:
 *   owner takes            thief steals          owner takes            thief steals
 *   head = 7               head = 7              head = 7               head = 7
 *   reads slots[7]         reads slots[7..9]     reads slots[7]         reads slots[7..9]
 *   c_head = 8                                   cas 7 -> 8, wins
 *                          c_head = 10                                  cas 7 -> 10, fails: it
 *   7 ran here             7 runs again          7 ran here             drops its copies
 *
 *   All takers of a count race for the one change of c_head that passes over it. The counter does
 *   not come back to 7 before 2^32 tasks went by, so a successful swap also says that nobody took
 *   anything since c_head was read.
 *
 * Why none is lost, and why the copies are the tasks that were there.
 *
 *   were slots read after the swap:              slots are read before the swap:
 *   thief                  owner                 thief                  owner
 *   cas 7 -> 10                                  reads slots[7..9]
 *                          sees room, pushes z                          sees no room
 *                          over slots[7]         cas 7 -> 10, release
 *   reads slots[7]: z,                                                  sees 10, pushes z
 *   and the old 7 is gone                                               over slots[7]
 *
 *   The owner reuses a slot only after it has seen a c_head beyond it, and that c_head was
 *   published by a swap that follows the reads (Q2). A thief that is slow enough to read a reused
 *   slot finds c_head moved, and fails.
 *
 * Two reads are no snapshot. A thief reads c_head, then p_tail; in between the owner may have gone
 * round, so the difference can exceed the capacity. Then c_head has moved for certain and the swap
 * could not succeed; the thief gives up before it copies too much.
 *
 * Not chosen: ck_ring's own enqueue and dequeue: they copy slots with memcpy, which races by the
 *             letter of C, and 0.7.1 orders both with a store fence, too weak for Q1 and Q2 outside
 *             x86 (docs/decisions/003-run-queue.md). A queue that the thief locks: the victim would
 *             wait for a thief that lost its core.
 */
#include "lockfree/runqueue.h"

WHORL_STATIC((WHORL_RUNQUEUE_SLOTS & (WHORL_RUNQUEUE_SLOTS - 1)) == 0, "counts wrap into slots");
WHORL_STATIC(WHORL_RUNQUEUE_SLOTS >= 4, "half of a ring must be at least two tasks");
WHORL_STATIC(sizeof(struct ck_ring_buffer) == sizeof(void *), "slots are what ck_ring counts in");

static void **slot_of(struct whorl__runqueue *queue, uint32_t count)
{
    return &queue->slots[count & (WHORL_RUNQUEUE_SLOTS - 1)];
}

static uint32_t half_rounded_up(uint32_t count)
{
    return (count + 1) / 2;
}

static uint32_t smaller_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Copies the slots from `head` on. relaxed: Q1 was acquired with p_tail, the cas releases Q2 */
static void copy_slots(struct whorl__runqueue *queue, uint32_t head, void **ret_tasks,
                       uint32_t count)
{
    WHORL_ASSERT(count <= WHORL_RUNQUEUE_CAPACITY);
    for (uint32_t i = 0; i < count; i++) {
        ret_tasks[i] = whorl__load_relaxed_ptr(slot_of(queue, head + i));
        whorl__plain_copy(slot_of(queue, head + i));
    }
}

void whorl__runqueue_init(struct whorl__runqueue *queue)
{
    ck_ring_init(&queue->ring, WHORL_RUNQUEUE_SLOTS);
    for (uint32_t i = 0; i < WHORL_RUNQUEUE_SLOTS; i++) {
        queue->slots[i] = NULL;
    }
}

void *whorl__runqueue_take(struct whorl__runqueue *queue)
{
    const uint32_t tail = whorl__load_relaxed_u32(&queue->ring.p_tail); /* relaxed: our own */
    uint32_t head = whorl__load_relaxed_u32(&queue->ring.c_head); /* relaxed: the cas checks it */
    while (head != tail) {
        WHORL_ASSERT(tail - head <= WHORL_RUNQUEUE_CAPACITY);
        void *const task = whorl__load_relaxed_ptr(slot_of(queue, head)); /* relaxed: our own */
        whorl__plain_copy(slot_of(queue, head));
        /* acq_rel, pairs Q2 with the read of c_head in push */
        if (whorl__cas_value_u32(&queue->ring.c_head, &head, head + 1)) {
            WHORL_ASSERT(task);
            return task;
        }
    }
    return NULL;
}

/* The oldest of them: all, or half. */
static unsigned take_for_overflow(struct whorl__runqueue *queue, void **ret_tasks, unsigned max,
                                  bool half)
{
    const uint32_t tail = whorl__load_relaxed_u32(&queue->ring.p_tail); /* relaxed: our own */
    uint32_t head = whorl__load_relaxed_u32(&queue->ring.c_head); /* relaxed: the cas checks it */
    WHORL_ASSERT(tail - head <= WHORL_RUNQUEUE_CAPACITY);
    const uint32_t count = smaller_of(half ? half_rounded_up(tail - head) : tail - head, max);
    copy_slots(queue, head, ret_tasks, count);
    /* acq_rel, pairs Q2 with the read of c_head in push */
    return whorl__cas_u32(&queue->ring.c_head, head, head + count) ? count : 0;
}

unsigned whorl__runqueue_take_half_for_overflow(struct whorl__runqueue *queue, void **ret_tasks,
                                                unsigned max)
{
    return take_for_overflow(queue, ret_tasks, max, true);
}

unsigned whorl__runqueue_take_all_for_overflow(struct whorl__runqueue *queue, void **ret_tasks,
                                               unsigned max)
{
    return take_for_overflow(queue, ret_tasks, max, false);
}

/* How many tasks the thief may copy at once: what its ring has room for, and one to run. */
static uint32_t room_of_thief(struct whorl__runqueue *thief)
{
    const uint32_t tail = whorl__load_relaxed_u32(&thief->ring.p_tail); /* relaxed: our own */
    /* acquire, pairs Q2 with the cas of whoever steals from the thief */
    const uint32_t head = whorl__load_acquire_u32(&thief->ring.c_head);
    WHORL_ASSERT(tail - head <= WHORL_RUNQUEUE_CAPACITY);
    return WHORL_RUNQUEUE_CAPACITY - (tail - head) + 1;
}

/* Copies into the thief's slots behind its tail, which nobody reads before p_tail has moved. */
static void copy_to_thief(struct whorl__runqueue *victim, uint32_t head,
                          struct whorl__runqueue *thief, uint32_t count)
{
    WHORL_ASSERT(count <= WHORL_RUNQUEUE_CAPACITY);
    const uint32_t tail = whorl__load_relaxed_u32(&thief->ring.p_tail); /* relaxed: our own */
    for (uint32_t i = 0; i < count; i++) {
        /* relaxed both: read under Q1 and Q2 of the victim, published by Q1 of the thief */
        void *const task = whorl__load_relaxed_ptr(slot_of(victim, head + i));
        whorl__plain_copy(slot_of(victim, head + i));
        whorl__store_relaxed_ptr(slot_of(thief, tail + i), task);
    }
}

unsigned whorl__runqueue_steal_half(struct whorl__runqueue *victim, struct whorl__runqueue *thief,
                                    void **ret_first)
{
    WHORL_ASSERT(victim != thief);
    /* acquire: p_tail must be read after it, or tail - head could be negative */
    const uint32_t head = whorl__load_acquire_u32(&victim->ring.c_head);
    /* acquire, pairs Q1 with the release in push and in steal_half */
    const uint32_t tail = whorl__load_acquire_u32(&victim->ring.p_tail);
    const uint32_t available = tail - head;
    if (available == 0 || available > WHORL_RUNQUEUE_CAPACITY) {
        return 0;
    }
    const uint32_t count = smaller_of(half_rounded_up(available), room_of_thief(thief));
    /* relaxed: as in copy_to_thief */
    void *const first = whorl__load_relaxed_ptr(slot_of(victim, head));
    whorl__plain_copy(slot_of(victim, head));
    copy_to_thief(victim, head + 1, thief, count - 1);
    /* acq_rel, pairs Q2 with the read of c_head in the victim's push */
    if (!whorl__cas_u32(&victim->ring.c_head, head, head + count)) {
        return 0;
    }
    WHORL_ASSERT(first);
    const uint32_t own_tail = whorl__load_relaxed_u32(&thief->ring.p_tail); /* relaxed: our own */
    /* release, pairs Q1 with the acquire of p_tail by whoever steals from the thief */
    whorl__store_release_u32(&thief->ring.p_tail, own_tail + count - 1);
    *ret_first = first;
    return count;
}

unsigned whorl__runqueue_length(const struct whorl__runqueue *queue)
{
    /* acquire: as in steal_half, so that the difference is never negative */
    const uint32_t head = whorl__load_acquire_u32(&queue->ring.c_head);
    const uint32_t tail = whorl__load_relaxed_u32(&queue->ring.p_tail); /* relaxed: only counted */
    return smaller_of(tail - head, WHORL_RUNQUEUE_CAPACITY);
}

bool whorl__runqueue_verify(const struct whorl__runqueue *queue)
{
    const uint32_t head = whorl__load_acquire_u32(&queue->ring.c_head);
    const uint32_t tail = whorl__load_relaxed_u32(&queue->ring.p_tail); /* relaxed: our own */
    if (ck_ring_capacity(&queue->ring) != WHORL_RUNQUEUE_SLOTS ||
        tail - head > WHORL_RUNQUEUE_CAPACITY) {
        return false;
    }
    for (uint32_t i = head; i != tail; i++) {
        /* relaxed: the owner stored them itself, and thieves do not clear what they took */
        if (!whorl__load_relaxed_ptr(&queue->slots[i & (WHORL_RUNQUEUE_SLOTS - 1)])) {
            return false;
        }
    }
    return true;
}
