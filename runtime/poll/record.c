/*
 * record.c - the table of records, and how a record's life begins and ends; the drawing, and the
 * transitions of every call, stand in record.h.
 */
#include "poll/record.h"

#include "sys/os.h"

#include <errno.h>
#include <string.h>

#define CHUNK_BYTES (WHORL__RECORDS_CHUNK * sizeof(struct whorl__record))

int whorl__records_init(struct whorl__records *records)
{
    *records = (struct whorl__records){.chunks_max = WHORL__FDS_MAX / WHORL__RECORDS_CHUNK};
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

static struct whorl__record *make_chunk_locked(struct whorl__records *records, uint32_t number)
{
    struct whorl__record *const chunk = whorl__os->alloc(CHUNK_BYTES);
    if (chunk == NULL) {
        return NULL;
    }
    memset(chunk, 0, CHUNK_BYTES);
    for (uint32_t i = 0; i < WHORL__RECORDS_CHUNK; i++) {
        whorl__plain_write(&chunk[i].fd);
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
    if (fd < 0 || (uint32_t)fd >= WHORL__FDS_MAX) {
        return -EBADF;
    }
    struct whorl__record *const record = find_or_make(records, fd);
    if (record == NULL) {
        return -ENOMEM;
    }
    /* acquire, pairs record_closed and record_leave: all that the number's last users did is over.
     * That we see it CLOSED at all is the kernel's doing: it gives numbers back and out again under
     * one lock. A sanitizer does not see that one; it sees ours. */
    const uint64_t old = whorl__load_acquire_u64(&record->state);
    if ((old & (WHORL__RECORD_OPEN | WHORL__RECORD_CLOSING | WHORL__RECORD_MOVING)) ||
        !whorl__cas_u64(&record->state, old, old | WHORL__RECORD_MOVING)) {
        return -EEXIST; /* open, or somebody else is about to open it */
    }
    whorl__plain_write(&record->kind);
    whorl__plain_write(&record->accept_logged);
    record->kind = (uint8_t)kind;
    record->accept_logged = false;
    whorl__store_relaxed_u32(&record->home, 0);      /* relaxed: published with the state */
    whorl__store_relaxed_u32(&record->strangers, 0); /* relaxed: as home */
    /* Not known: READY makes the first call try. */
    whorl__store_relaxed_u64(&record->slots[WHORL__IN], WHORL__SLOT_READY);  /* relaxed: as home */
    whorl__store_relaxed_u64(&record->slots[WHORL__OUT], WHORL__SLOT_READY); /* relaxed: as home */
    /* release, pairs the cas of enter: a user sees the fields of this life */
    whorl__store_release_u64(&record->state, old + WHORL__RECORD_LIFE + WHORL__RECORD_OPEN);
    return 0;
}

/* Nobody waits here any longer, and nobody will: CLOSING is set. */
static whorl__handle evict(uint64_t *slot)
{
    /* release, pairs R1 */
    const uint64_t old = whorl__swap_u64(slot, WHORL__SLOT_READY | WHORL__SLOT_HANGUP);
    return (old & WHORL__SLOT_WAITING) ? old & ~WHORL__SLOT_WAITING : 0;
}

int whorl__record_close(struct whorl__record *record, whorl__handle ret_woken[2])
{
    if (whorl__or_u64(&record->state, WHORL__RECORD_CLOSING) & WHORL__RECORD_CLOSING) {
        return -EBADF;
    }
    ret_woken[WHORL__IN] = evict(&record->slots[WHORL__IN]);
    ret_woken[WHORL__OUT] = evict(&record->slots[WHORL__OUT]);
    return 0;
}

void whorl__record_closed(struct whorl__record *record)
{
    const uint64_t old = whorl__load_relaxed_u64(&record->state); /* relaxed: the last user's */
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
