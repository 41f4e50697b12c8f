/*
 * record.h - what whorl knows of a descriptor: who uses it, who waits on it, which poller watches.
 *
 * Owns:       struct whorl__record, one a descriptor number, type-stable; the table of them.
 *
 *   CLOSED --adopt--> OPEN --close--> CLOSING --last user leaves--> CLOSED (and close(2) is done)
 *
 *   CLOSED   the number is not ours; every call on it is refused with -EBADF. With MOVING: somebody
 *            is about to adopt it, alone.
 *   OPEN     calls enter and leave (users counts them).
 *   CLOSING  no call enters; those inside are woken and leave. The number still is in the kernel's
 *            table, so nobody can get it for another file while somebody here would use it.
 *
 * The state word: OPEN, CLOSING, MOVING (bits 0-2), users (8-31), generation (32-63, one a life).
 *
 * A slot a direction (IN, OUT) says what is known of readiness, or who waits for it:
 *
 *   [0, READY, HANGUP, tick]         nobody waits; tick: the event that was seen last
 *   [WAITING, handle]                one task waits
 *
 *   event:  WAITING -> READY and wake; otherwise set READY and the new tick
 *   wait:   not READY -> WAITING; READY -> no wait, try the call again
 *   clear:  the call said EAGAIN: [.., tick] -> [0, tick], by cas against the word as it was before
 *           the call. An event since then has changed the tick, the cas fails, and the edge that
 *           the poller will not repeat is not lost.
 *   a short read of a TCP socket says "drained" as well, but only while HANGUP is not there: data
 *   and FIN may come as one edge, and the FIN must still be read; urgent data stops a read, and
 *   what is behind it must still be read. So an event with urgent data sets HANGUP, too.
 *
 * Losing interleaving without the tick:
 *
 *   task                               poller
 *   read -> EAGAIN
 *                                      data arrives: READY (was READY already)
 *   READY -> not READY
 *   waits for ever
 *
 * Threads:    any; with a stuck loop two pollers may deliver events of one record at once.
 * Pairs:      R1  wait: cas the slot to WAITING (release: whose wait it is), then read state -
 *                 close: state |= CLOSING, then swap the slot (acquire, release). The two changes
 *                 of the slot have an order: either close finds the handle, or the task has found
 *                 what close left there (acquire), and with it sees CLOSING.
 *             R2  event: slot := READY - the woken task reads the slot: one word, no order needed.
 * Model:      Go's pollDesc with its rg and wg; the tick is Tokio's.
 */
#ifndef WHORL_POLL_RECORD_H
#define WHORL_POLL_RECORD_H

#include "atomic/atomic.h"
#include "lockfree/spinlock.h"
#include "state/task.h"

#include <errno.h>

#define WHORL__RECORD_OPEN    UINT64_C(1)
#define WHORL__RECORD_CLOSING UINT64_C(2)
#define WHORL__RECORD_MOVING  UINT64_C(4)
#define WHORL__RECORD_USER    UINT64_C(0x100)
#define WHORL__RECORD_USERS   UINT64_C(0xffffff00)
#define WHORL__RECORD_LIFE    (UINT64_C(1) << 32)

#define WHORL__SLOT_WAITING (UINT64_C(1) << 63)
#define WHORL__SLOT_READY   (UINT64_C(1) << 62)
#define WHORL__SLOT_HANGUP  (UINT64_C(1) << 61)
#define WHORL__SLOT_TICK    UINT64_C(0xffffffff)

enum whorl__direction { WHORL__IN, WHORL__OUT };

enum whorl__kind {
    WHORL__FILE,   /* no socket: a pipe, an eventfd, a terminal ... */
    WHORL__SOCKET, /* a read ends with a message, or (Unix) where descriptors were sent along */
    WHORL__TCP,    /* a short read means that nothing is left */
};

struct WHORL_ALIGNED(WHORL_CACHE_LINE) whorl__record {
    uint64_t state;     /* A */
    uint64_t slots[2];  /* A: by enum whorl__direction */
    uint32_t tick;      /* A: counts events */
    uint32_t home;      /* A: 1 + the loop whose poller watches; 0 = none yet */
    uint32_t strangers; /* A: waits in a row by tasks of one other loop; a hint */
    int fd;             /* C */
    uint8_t kind;       /* C while OPEN: enum whorl__kind */
    bool accept_logged; /* by the one task that accepts: out of descriptors was said once */
};

#ifndef WHORL__RECORDS_CHUNK
#    define WHORL__RECORDS_CHUNK 256
#endif

/* As many descriptor numbers as Linux ever hands out by default (fs.nr_open is 2^20). */
#ifndef WHORL__FDS_MAX
#    define WHORL__FDS_MAX (UINT32_C(1) << 20)
#endif

struct whorl__records {
    struct whorl__spinlock lock;
    uint32_t chunks_max; /* C */
    void **chunks;       /* C; A each */
};

WHORL_MUST_USE int whorl__records_init(struct whorl__records *records);
void whorl__records_fini(struct whorl__records *records);

/* CLOSED -> OPEN. 0, -ENOMEM, -EEXIST (open already), -EBADF (number out of range). */
WHORL_MUST_USE int whorl__record_adopt(struct whorl__records *records, int fd,
                                       enum whorl__kind kind);

/* OPEN -> CLOSING by a user of the record, who still has to leave. ret_woken: handles of whoever
 * waited, 0 for none. 0 or -EBADF (closing already). */
WHORL_MUST_USE int whorl__record_close(struct whorl__record *record, whorl__handle ret_woken[2]);

/* CLOSING -> CLOSED, by the last user, after it left and before close(2). */
void whorl__record_closed(struct whorl__record *record);

/* One at a time changes the poller. */
WHORL_MUST_USE bool whorl__record_move_begin(struct whorl__record *record);
void whorl__record_move_end(struct whorl__record *record);

static inline uint64_t whorl__record_seen(struct whorl__record *record,
                                          enum whorl__direction direction)
{
    return whorl__load_acquire_u64(&record->slots[direction]); /* acquire, pairs R1 */
}

/* The call that began after `seen` was read found nothing left. */
static inline void whorl__record_clear(struct whorl__record *record,
                                       enum whorl__direction direction, uint64_t seen)
{
    if ((seen & WHORL__SLOT_READY) && !(seen & WHORL__SLOT_WAITING)) {
        (void)whorl__cas_u64(&record->slots[direction], seen, seen & WHORL__SLOT_TICK);
    }
}

static inline bool whorl__record_is_closing(struct whorl__record *record)
{
    return (whorl__load_acquire_u64(&record->state) & WHORL__RECORD_CLOSING) != 0;
}

/* The record of fd; NULL: never seen here. */
static inline struct whorl__record *whorl__record_find(struct whorl__records *records, int fd)
{
    if (fd < 0 || (uint32_t)fd >= WHORL__FDS_MAX) {
        return NULL;
    }
    /* acquire, pairs the release in find_or_make */
    struct whorl__record *const chunk =
        whorl__load_acquire_ptr(&records->chunks[(uint32_t)fd / WHORL__RECORDS_CHUNK]);
    return chunk == NULL ? NULL : &chunk[(uint32_t)fd % WHORL__RECORDS_CHUNK];
}

/* Enter and leave a call. enter: 0 or -EBADF. leave: true for the last user of a closing record,
 * who then takes it off its poller and calls closed(). */
WHORL_MUST_USE static inline int whorl__record_enter(struct whorl__record *record)
{
    uint64_t old = whorl__load_relaxed_u64(&record->state); /* relaxed: the cas checks it */
    do {
        if ((old & (WHORL__RECORD_OPEN | WHORL__RECORD_CLOSING)) != WHORL__RECORD_OPEN) {
            return -EBADF;
        }
    } while (!whorl__cas_value_u64(&record->state, &old, old + WHORL__RECORD_USER));
    whorl__plain_read(&record->fd); /* C: made with its chunk */
    return 0;
}

WHORL_MUST_USE static inline bool whorl__record_leave(struct whorl__record *record)
{
    const uint64_t old = whorl__add_u64(&record->state, -WHORL__RECORD_USER);
    WHORL_ASSERT(old & WHORL__RECORD_USERS);
    return (old & WHORL__RECORD_CLOSING) && (old & WHORL__RECORD_USERS) == WHORL__RECORD_USER;
}

/* An event: marks the slot, returns who waited (0: nobody). hangup: do not trust short reads. */
static inline whorl__handle whorl__record_event(struct whorl__record *record,
                                                enum whorl__direction direction, bool hangup,
                                                uint32_t tick)
{
    uint64_t *const slot = &record->slots[direction];
    const uint64_t mark = WHORL__SLOT_READY | tick | (hangup ? WHORL__SLOT_HANGUP : 0);
    uint64_t old = whorl__load_acquire_u64(slot); /* acquire, pairs the cas in record_wait */
    for (;;) {
        const bool waiting = (old & WHORL__SLOT_WAITING) != 0;
        const uint64_t next = waiting ? mark : mark | (old & WHORL__SLOT_HANGUP);
        if (whorl__cas_value_u64(slot, &old, next)) { /* pairs R1, R2 */
            return waiting ? old & ~WHORL__SLOT_WAITING : 0;
        }
    }
}

/* The wait is over: whatever ended it, handle stands there no longer. True: an event ended it. */
static inline bool whorl__record_wait_end(struct whorl__record *record,
                                          enum whorl__direction direction, whorl__handle handle)
{
    /* relaxed: the tick of a moment in which nobody called; only its being different matters */
    const uint32_t tick = whorl__load_relaxed_u32(&record->tick);
    return !whorl__cas_u64(&record->slots[direction], WHORL__SLOT_WAITING | handle, tick);
}

/* A task is about to wait. 0: installed; -EAGAIN: ready, try the call again; -EBUSY; -EBADF. */
WHORL_MUST_USE static inline int whorl__record_wait(struct whorl__record *record,
                                                    enum whorl__direction direction,
                                                    whorl__handle handle)
{
    uint64_t *const slot = &record->slots[direction];
    uint64_t old = whorl__load_acquire_u64(slot); /* acquire, pairs R1 */
    do {
        if (old & WHORL__SLOT_WAITING) {
            return -EBUSY;
        }
        if (old & WHORL__SLOT_READY) {
            return whorl__record_is_closing(record) ? -EBADF : -EAGAIN;
        }
    } while (!whorl__cas_value_u64(slot, &old, WHORL__SLOT_WAITING | handle)); /* pairs R1 */
    if (whorl__record_is_closing(record)) {
        (void)whorl__record_wait_end(record, direction, handle);
        return -EBADF;
    }
    return 0;
}

#endif
