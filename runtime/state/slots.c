/*
 * slots.c - taking and giving back task slots, a magazine at a time.
 *
 * Owns:       see slots.h.
 * Invariant:  a magazine is a chain of WHORL__MAGAZINE slots linked by next_free; its first slot's
 *             next_magazine links it to the others.
 */
#include "state/slots.h"

#include "sys/os.h"

#include <string.h>

#define CHUNK_BYTES (WHORL__CHUNK_SLOTS * sizeof(struct whorl_task))
#define TABLE_BYTES (WHORL__CHUNKS_MAX * sizeof(void *))

int whorl__slots_init(struct whorl__slots *slots)
{
    *slots = (struct whorl__slots){0};
    void *table;
    const int error = whorl__os->map(TABLE_BYTES, &table);
    if (error == 0) {
        slots->chunks = table;
    }
    return error;
}

static void free_chunks(struct whorl__slots *slots)
{
    for (uint32_t i = 0; i < slots->chunk_count; i++) {
        whorl__os->unmap(slots->chunks[i], CHUNK_BYTES);
    }
    whorl__os->unmap(slots->chunks, TABLE_BYTES);
}

static uint32_t count_referred(struct whorl__slots *slots)
{
    uint32_t referred = 0;
    for (uint32_t i = 0; i < whorl__slots_count(slots); i++) {
        const uint64_t word = whorl__load_acquire_u64(&whorl__slot_at(slots, i)->word);
        WHORL_ASSERT(whorl__state_phase(word) == WHORL__FREE ||
                     whorl__state_phase(word) == WHORL__DONE);
        referred += whorl__state_phase(word) != WHORL__FREE;
    }
    return referred;
}

void whorl__slots_close_held(struct whorl__slots *slots)
{
    whorl__spin_lock(&slots->lock);
    slots->closed = true;
    slots->zombies = count_referred(slots) + 1;
    whorl__spin_unlock(&slots->lock);
}

bool whorl__slots_leave(struct whorl__slots *slots)
{
    whorl__spin_lock(&slots->lock);
    WHORL_ASSERT(slots->closed && slots->zombies > 0);
    const bool last = --slots->zombies == 0;
    whorl__spin_unlock(&slots->lock);
    if (last) {
        free_chunks(slots);
    }
    return last;
}

bool whorl__slots_close(struct whorl__slots *slots)
{
    whorl__slots_close_held(slots);
    return whorl__slots_leave(slots);
}

/* A chunk just mapped is zero: FREE slots of epoch 0. Returns it as one magazine. */
static struct whorl_task *new_chunk_locked(struct whorl__slots *slots)
{
    const uint32_t number = slots->chunk_count;
    void *memory;
    if (number == WHORL__CHUNKS_MAX || whorl__os->map(CHUNK_BYTES, &memory) != 0) {
        return NULL;
    }
    struct whorl_task *const chunk = memory;
    for (uint32_t i = 0; i < WHORL__CHUNK_SLOTS; i++) {
        whorl__plain_write(&chunk[i].index); /* L1 */
        chunk[i].index = number * WHORL__CHUNK_SLOTS + i;
        chunk[i].next_free = i + 1 < WHORL__CHUNK_SLOTS ? &chunk[i + 1] : NULL;
    }
    whorl__store_release_ptr(&slots->chunks[number], chunk); /* release, pairs L1 */
    whorl__store_release_u32(&slots->chunk_count, number + 1); /* release, pairs L1 */
    return chunk;
}

static struct whorl_task *take_magazine(struct whorl__slots *slots)
{
    whorl__spin_lock(&slots->lock);
    struct whorl_task *magazine = slots->magazines;
    whorl__plain_write(&slots->magazines);
    if (magazine != NULL) {
        slots->magazines = magazine->next_magazine;
    } else {
        magazine = new_chunk_locked(slots);
    }
    whorl__spin_unlock(&slots->lock);
    return magazine;
}

WHORL_COLD bool whorl__slots_refill(struct whorl__slots *slots, struct whorl__slot_cache *cache)
{
    if (cache->spare != NULL) {
        cache->current = cache->spare;
        cache->spare = NULL;
    } else {
        cache->current = take_magazine(slots);
    }
    cache->current_count = cache->current != NULL ? WHORL__MAGAZINE : 0;
    return cache->current != NULL;
}

WHORL_COLD void whorl__slots_store_full(struct whorl__slots *slots,
                                        struct whorl__slot_cache *cache)
{
    struct whorl_task *const surplus = cache->spare;
    cache->spare = cache->current;
    cache->current = NULL;
    cache->current_count = 0;
    if (surplus != NULL) {
        whorl__spin_lock(&slots->lock);
        whorl__plain_write(&slots->magazines);
        surplus->next_magazine = slots->magazines;
        slots->magazines = surplus;
        whorl__spin_unlock(&slots->lock);
    }
}

/* Foreign threads are rare: they get single slots under the lock, from a magazine of their own. */
struct whorl_task *whorl__slots_take_remote(struct whorl__slots *slots)
{
    whorl__spin_lock(&slots->lock);
    whorl__plain_write(&slots->magazines); /* and foreign */
    if (slots->foreign == NULL && !slots->closed) {
        slots->foreign = slots->magazines;
        if (slots->foreign != NULL) {
            slots->magazines = slots->foreign->next_magazine;
        } else {
            slots->foreign = new_chunk_locked(slots);
        }
    }
    struct whorl_task *const task = slots->foreign;
    if (task != NULL) {
        whorl__plain_read(&task->next_free);
        slots->foreign = task->next_free;
    }
    whorl__spin_unlock(&slots->lock);
    return task;
}

bool whorl__slots_give_remote(struct whorl__slots *slots, struct whorl_task *task)
{
    whorl__spin_lock(&slots->lock);
    whorl__store_relaxed_u32(&task->future.references, 0); /* relaxed: nobody refers to it */
    whorl__plain_write(&task->future.error); /* what others did before they let go is over */
    whorl__state_free(&task->word); /* under the lock: until here close() counts it as a zombie */
    whorl__plain_write(&slots->magazines);
    whorl__plain_write(&task->next_free);
    task->next_free = slots->foreign;
    slots->foreign = task;
    const bool last = slots->closed && --slots->zombies == 0;
    whorl__spin_unlock(&slots->lock);
    if (last) {
        free_chunks(slots);
    }
    return last;
}
