/*
 * record.c - the transitions of a descriptor's record; the drawing stands in record.h.
 */
#include "poll/record.h"

#include "sys/os.h"

#include <errno.h>
#include <string.h>

/* As many descriptor numbers as Linux ever hands out by default (fs.nr_open is 2^20). */
#define FDS_MAX     (UINT32_C(1) << 20)
#define CHUNK_BYTES (WHORL__RECORDS_CHUNK * sizeof(struct whorl__record))

int whorl__records_init(struct whorl__records *records)
{
    *records = (struct whorl__records){.chunks_max = FDS_MAX / WHORL__RECORDS_CHUNK};
    void *table;
    const int error = whorl__os->map(records->chunks_max * sizeof(void *), &table);
    if (error == 0) {
        records->chunks = table;
    }
    return error;
}

void whorl__records_fini(struct whorl__records *records)
{
    for (uint32_t i = 0; i < records->chunks_max; i++) {
        if (records->chunks[i] != NULL) {
            whorl__os->free(records->chunks[i]);
        }
    }
    whorl__os->unmap(records->chunks, records->chunks_max * sizeof(void *));
}

struct whorl__record *whorl__record_find(struct whorl__records *records, int fd)
{
    if (fd < 0 || (uint32_t)fd >= FDS_MAX) {
        return NULL;
    }
    /* acquire, pairs the release in find_or_make */
    struct whorl__record *const chunk =
        whorl__load_acquire_ptr(&records->chunks[(uint32_t)fd / WHORL__RECORDS_CHUNK]);
    return chunk == NULL ? NULL : &chunk[(uint32_t)fd % WHORL__RECORDS_CHUNK];
}

static struct whorl__record *make_chunk_locked(struct whorl__records *records, uint32_t number)
{
    struct whorl__record *const chunk = whorl__os->alloc(CHUNK_BYTES);
    if (chunk == NULL) {
        return NULL;
    }
    memset(chunk, 0, CHUNK_BYTES);
    for (uint32_t i = 0; i < WHORL__RECORDS_CHUNK; i++) {
        chunk[i].fd = (int)(number * WHORL__RECORDS_CHUNK + i);
    }
    /* release, pairs the acquire in whorl__record_find */
    whorl__store_release_ptr(&records->chunks[number], chunk);
    return chunk;
}

static struct whorl__record *find_or_make(struct whorl__records *records, int fd)
{
    struct whorl__record *record = whorl__record_find(records, fd);
    if (record != NULL) {
        return record;
    }
    whorl__spin_lock(&records->lock);
    record = whorl__record_find(records, fd);
    if (record == NULL && make_chunk_locked(records, (uint32_t)fd / WHORL__RECORDS_CHUNK)) {
        record = whorl__record_find(records, fd);
    }
    whorl__spin_unlock(&records->lock);
    return record;
}

int whorl__record_adopt(struct whorl__records *records, int fd, enum whorl__kind kind)
{
    if (fd < 0 || (uint32_t)fd >= FDS_MAX) {
        return -EBADF;
    }
    struct whorl__record *const record = find_or_make(records, fd);
    if (record == NULL) {
        return -ENOMEM;
    }
    /* relaxed: the cas checks it, and whoever made the number known to others orders the rest */
    const uint64_t old = whorl__load_relaxed_u64(&record->state);
    if (old & (WHORL__RECORD_OPEN | WHORL__RECORD_CLOSING)) {
        return -EEXIST;
    }
    record->kind = (uint8_t)kind;
    record->accept_logged = false;
    whorl__store_relaxed_u32(&record->home, 0);      /* relaxed: published by the cas below */
    whorl__store_relaxed_u32(&record->strangers, 0); /* relaxed: as home */
    /* Not known: READY makes the first call try. */
    whorl__store_relaxed_u64(&record->slots[WHORL__IN], WHORL__SLOT_READY);  /* relaxed: as home */
    whorl__store_relaxed_u64(&record->slots[WHORL__OUT], WHORL__SLOT_READY); /* relaxed: as home */
    if (!whorl__cas_u64(&record->state, old, old + WHORL__RECORD_LIFE + WHORL__RECORD_OPEN)) {
        return -EEXIST;
    }
    return 0;
}

int whorl__record_enter(struct whorl__record *record)
{
    uint64_t old = whorl__load_relaxed_u64(&record->state); /* relaxed: the cas checks it */
    do {
        if ((old & (WHORL__RECORD_OPEN | WHORL__RECORD_CLOSING)) != WHORL__RECORD_OPEN) {
            return -EBADF;
        }
    } while (!whorl__cas_value_u64(&record->state, &old, old + WHORL__RECORD_USER));
    return 0;
}

bool whorl__record_leave(struct whorl__record *record)
{
    const uint64_t old = whorl__add_u64(&record->state, -WHORL__RECORD_USER);
    WHORL_ASSERT(old & WHORL__RECORD_USERS);
    return (old & WHORL__RECORD_CLOSING) && (old & WHORL__RECORD_USERS) == WHORL__RECORD_USER;
}

/* Nobody waits here any longer, and nobody will: CLOSING is set. */
static whorl__handle evict(uint64_t *slot)
{
    const uint64_t old = whorl__swap_u64(slot, WHORL__SLOT_READY | WHORL__SLOT_HANGUP);
    return (old & WHORL__SLOT_WAITING) ? old & ~WHORL__SLOT_WAITING : 0;
}

int whorl__record_close(struct whorl__record *record, whorl__handle ret_woken[2])
{
    if (whorl__or_u64(&record->state, WHORL__RECORD_CLOSING) & WHORL__RECORD_CLOSING) {
        return -EBADF;
    }
    whorl__fence_full(); /* pairs R1 */
    ret_woken[WHORL__IN] = evict(&record->slots[WHORL__IN]);
    ret_woken[WHORL__OUT] = evict(&record->slots[WHORL__OUT]);
    return 0;
}

void whorl__record_closed(struct whorl__record *record)
{
    const uint64_t old = whorl__load_relaxed_u64(&record->state); /* relaxed: the last user's alone */
    WHORL_ASSERT((old & WHORL__RECORD_CLOSING) && !(old & WHORL__RECORD_USERS));
    whorl__store_release_u64(&record->state, old & ~(WHORL__RECORD_LIFE - 1));
}

bool whorl__record_move_begin(struct whorl__record *record)
{
    return !(whorl__or_u64(&record->state, WHORL__RECORD_MOVING) & WHORL__RECORD_MOVING);
}

void whorl__record_move_end(struct whorl__record *record)
{
    (void)whorl__and_u64(&record->state, ~WHORL__RECORD_MOVING);
}

whorl__handle whorl__record_event(struct whorl__record *record, enum whorl__direction direction,
                                  bool hangup, uint32_t tick)
{
    uint64_t *const slot = &record->slots[direction];
    const uint64_t mark = WHORL__SLOT_READY | tick | (hangup ? WHORL__SLOT_HANGUP : 0);
    uint64_t old = whorl__load_acquire_u64(slot); /* acquire, pairs the cas in record_wait */
    for (;;) {
        const bool waiting = (old & WHORL__SLOT_WAITING) != 0;
        const uint64_t next = waiting ? mark : mark | (old & WHORL__SLOT_HANGUP);
        if (whorl__cas_value_u64(slot, &old, next)) { /* release half, pairs R2 */
            return waiting ? old & ~WHORL__SLOT_WAITING : 0;
        }
    }
}

int whorl__record_wait(struct whorl__record *record, enum whorl__direction direction,
                       whorl__handle handle)
{
    uint64_t *const slot = &record->slots[direction];
    uint64_t old = whorl__load_acquire_u64(slot); /* acquire, pairs R2 */
    do {
        if (old & WHORL__SLOT_WAITING) {
            return -EBUSY;
        }
        if (old & WHORL__SLOT_READY) {
            return whorl__record_is_closing(record) ? -EBADF : -EAGAIN;
        }
    } while (!whorl__cas_value_u64(slot, &old, WHORL__SLOT_WAITING | handle));
    whorl__fence_full(); /* pairs R1 */
    if (whorl__record_is_closing(record)) {
        (void)whorl__record_wait_end(record, direction, handle);
        return -EBADF;
    }
    return 0;
}

bool whorl__record_wait_end(struct whorl__record *record, enum whorl__direction direction,
                            whorl__handle handle)
{
    /* relaxed: the tick of a moment in which nobody called; only its being different matters */
    const uint32_t tick = whorl__load_relaxed_u32(&record->tick);
    return !whorl__cas_u64(&record->slots[direction], WHORL__SLOT_WAITING | handle, tick);
}
