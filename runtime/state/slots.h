/*
 * slots.h - where tasks live: type-stable slots in chunks, which also are the list of all tasks.
 *
 * Owns:       the chunks of one runtime; struct whorl__slot_cache, a loop's free slots.
 * Threads:    a cache by its loop's thread; the rest by anyone, under the lock slots.
 * Invariant:  a slot once made is a task's for as long as the runtime lives. chunks[i] is set once.
 * Pairs:      L1  new chunk: fill, store chunks[i] (release) - slot_at: load chunks[i] (acquire)
 * Not chosen: malloc. A handle may be looked up long after its task is gone, and a free list that
 *             hands out what was used last keeps the slot in the cache.
 */
#ifndef WHORL_STATE_SLOTS_H
#define WHORL_STATE_SLOTS_H

#include "state/task.h"

/* A model makes it small, so that chunks are made and magazines move within a few steps. */
#ifndef WHORL__CHUNK_SLOTS
#    define WHORL__CHUNK_SLOTS 1024
#endif
#define WHORL__CHUNKS_MAX (WHORL__TASKS_MAX / WHORL__CHUNK_SLOTS)
#define WHORL__MAGAZINE   WHORL__CHUNK_SLOTS /* a new chunk is one magazine */

struct whorl__slots {
    struct whorl__spinlock lock;   /* slots */
    uint32_t chunk_count;          /* A: M(slots) to raise */
    struct whorl_task *magazines;  /* M(slots): full ones, linked by next_magazine */
    struct whorl_task *foreign;    /* M(slots): freed one by one by foreign threads */
    bool closed;                   /* M(slots): the runtime is gone but for these slots */
    uint32_t zombies;              /* M(slots): slots somebody still refers to after closing, and
                                    * who has closed, until he leaves */
    void **chunks;                 /* C: WHORL__CHUNKS_MAX of them; A each */
};

/* Two stacks of free slots: take and give touch `current` only, and move whole magazines. */
struct whorl__slot_cache {
    struct whorl_task *current; /* L */
    struct whorl_task *spare;   /* L: full or NULL */
    uint32_t current_count;     /* L */
};

WHORL_MUST_USE int whorl__slots_init(struct whorl__slots *slots);

/* Frees the chunks, or leaves that to the last whorl__slots_give_remote if tasks are still referred
 * to. Returns true when the memory that holds `slots` may be freed now. */
bool whorl__slots_close(struct whorl__slots *slots);

/* The same in two steps: after the first the slots, and the memory that holds them, are kept until
 * the second, which returns what slots_close would. */
void whorl__slots_close_held(struct whorl__slots *slots);
WHORL_MUST_USE bool whorl__slots_leave(struct whorl__slots *slots);

/* A magazine for an empty cache, if there is one; one of a full cache goes to where all find it. */
WHORL_MUST_USE bool whorl__slots_refill(struct whorl__slots *slots,
                                        struct whorl__slot_cache *cache);
void whorl__slots_store_full(struct whorl__slots *slots, struct whorl__slot_cache *cache);

/* A FREE slot; NULL: out of memory, or WHORL__TASKS_MAX tasks. */
static inline struct whorl_task *whorl__slots_take(struct whorl__slots *slots,
                                                   struct whorl__slot_cache *cache)
{
    if (WHORL_UNLIKELY(cache->current == NULL) && !whorl__slots_refill(slots, cache)) {
        return NULL;
    }
    struct whorl_task *const task = cache->current;
    whorl__plain_read(&task->next_free);
    cache->current = task->next_free;
    cache->current_count--;
    return task;
}

static inline void whorl__slots_give(struct whorl__slots *slots, struct whorl__slot_cache *cache,
                                     struct whorl_task *task)
{
    if (WHORL_UNLIKELY(cache->current_count == WHORL__MAGAZINE)) {
        whorl__slots_store_full(slots, cache);
    }
    whorl__plain_write(&task->next_free);
    task->next_free = cache->current;
    cache->current = task;
    cache->current_count++;
}

/*
 * From a thread without a cache. give: makes a DONE task FREE, at one moment with giving it back: a
 * runtime that closes meanwhile must not free the chunk between the two. True when it was the last
 * zombie of a closed runtime, whose memory the caller then frees.
 */
struct whorl_task *whorl__slots_take_remote(struct whorl__slots *slots);
WHORL_MUST_USE bool whorl__slots_give_remote(struct whorl__slots *slots, struct whorl_task *task);

/* Every slot ever made, for index < whorl__slots_count. */
static inline uint32_t whorl__slots_count(struct whorl__slots *slots)
{
    return whorl__load_acquire_u32(&slots->chunk_count) * WHORL__CHUNK_SLOTS; /* pairs L1 */
}

static inline struct whorl_task *whorl__slot_at(struct whorl__slots *slots, uint32_t index)
{
    /* acquire, pairs L1 */
    struct whorl_task *const chunk =
        whorl__load_acquire_ptr(&slots->chunks[index / WHORL__CHUNK_SLOTS]);
    return &chunk[index % WHORL__CHUNK_SLOTS];
}

static inline struct whorl_task *whorl__handle_task(struct whorl__slots *slots,
                                                    whorl__handle handle)
{
    return whorl__slot_at(slots, (uint32_t)(handle >> 32));
}

#endif
