/*
 * rwlock.c - many who read, or one who writes, in the order of arrival.
 *
 * The word: what a line has, WRITING, and above it how many read.
 *
 *   0 --read--> READER * n            0 --write--> WRITING
 *
 * Who is granted has it from then on: the word counts him before he runs. So whoever comes looks at
 * the word and at who still stands in line, and at nothing else. Each change that may let somebody
 * in grants from the head of the line: readers while there are only readers, or one writer.
 *
 *   losing order, were readers let past        ours
 *   A: reads. W: write: stands in line         the same
 *   B: reads, A: releases; A: reads,           B: read: W stands there: behind him
 *      B: releases; and so on                  A: releases: W is granted
 *   W: stands there for ever
 *
 * Owns:       struct rwlock, which is the program's struct whorl_rwlock.
 * Threads:    any.
 * Invariant:  not both WRITING and readers.
 * Pairs:      K3 of line.h: release - who is let in by it.
 */
#include "sync/line.h"

#include "task/park.h"

#include "whorl.h"

#include <errno.h>

#define WRITING (UINT32_C(1) << WHORL__LINE_SHIFT)
#define READER  (WRITING << 1)
#define HELD    (~WHORL__LINE_COMMON)

struct rwlock {
    struct whorl__line line; /* its word counts readers */
    struct whorl__rank rank; /* both kinds, by arrival */
};

WHORL_STATIC(sizeof(struct rwlock) <= sizeof(struct whorl_rwlock), "it fits");

static struct rwlock *rwlock_of(struct whorl_rwlock *lock)
{
    return (struct rwlock *)(void *)lock;
}

/* ---- under the line's lock ---- */

static bool may_read(uint32_t word)
{
    return !(word & WRITING) && word < HELD - READER; /* and the count does not run over */
}

static bool may_write(uint32_t word)
{
    return !(word & HELD);
}

static bool enter_read_locked(void *primitive, uint32_t *word)
{
    struct rwlock *const lock = primitive;
    if (!may_read(*word) || whorl__rank_first(&lock->rank) != NULL) {
        return false;
    }
    *word += READER;
    return true;
}

static bool enter_write_locked(void *primitive, uint32_t *word)
{
    struct rwlock *const lock = primitive;
    if (!may_write(*word) || whorl__rank_first(&lock->rank) != NULL) {
        return false;
    }
    *word |= WRITING;
    return true;
}

static bool is_reader(const struct whorl__stander *stander)
{
    return whorl__park_sync_kind(stander->waits_on) == WHORL__SYNC_READ;
}

/* From the head: as many as may be in at once. */
static void grant_locked(struct rwlock *lock, uint32_t *word, struct whorl__told *told)
{
    struct whorl__stander *first;
    while ((first = whorl__rank_first(&lock->rank)) != NULL &&
           (is_reader(first) ? may_read(*word) : may_write(*word))) {
        *word += is_reader(first) ? READER : WRITING;
        whorl__rank_grant(&lock->rank, first, told);
    }
}

static bool take_locked(void *primitive, uint32_t *word, struct whorl__told *told)
{
    (void)primitive, (void)word, (void)told;
    return true;
}

static void give_up_read_locked(void *primitive, uint32_t *word, bool granted,
                                struct whorl__told *told)
{
    *word -= granted ? READER : 0;
    grant_locked(primitive, word, told);
}

static void give_up_write_locked(void *primitive, uint32_t *word, bool granted,
                                 struct whorl__told *told)
{
    *word -= granted ? WRITING : 0;
    grant_locked(primitive, word, told);
}

static const struct whorl__line_rules reading = {
    .kind = WHORL__SYNC_READ,
    .enter = enter_read_locked,
    .take = take_locked,
    .give_up = give_up_read_locked,
};

static const struct whorl__line_rules writing = {
    .kind = WHORL__SYNC_WRITE,
    .enter = enter_write_locked,
    .take = take_locked,
    .give_up = give_up_write_locked,
};

/* ---- acquire ---- */

static bool try_read_fast(struct rwlock *lock)
{
    if (whorl__line_may_be_inherited()) {
        return false;
    }
    uint32_t old = whorl__load_relaxed_u32(&lock->line.word); /* relaxed: the cas checks */
    while (!(old & WHORL__LINE_COMMON) && may_read(old)) {
        if (whorl__cas_value_u32(&lock->line.word, &old, old + READER)) { /* pairs K3 */
            return true;
        }
    }
    return false;
}

static bool try_write_fast(struct rwlock *lock)
{
    return WHORL_LIKELY(!whorl__line_may_be_inherited()) &&
           whorl__cas_u32(&lock->line.word, 0, WRITING); /* acquire, pairs K3 */
}

static bool try_fast(struct rwlock *lock, const struct whorl__line_rules *rules)
{
    return rules == &reading ? try_read_fast(lock) : try_write_fast(lock);
}

static int try_slow(struct rwlock *lock, const struct whorl__line_rules *rules)
{
    const int error = whorl__line_check(&lock->line, HELD);
    if (error != 0) {
        return error;
    }
    uint32_t word = whorl__line_lock(&lock->line);
    const bool entered = rules->enter(lock, &word);
    whorl__line_unlock(&lock->line, word);
    return entered ? 0 : -EAGAIN;
}

static int acquire(struct whorl_rwlock *opaque, const struct whorl__line_rules *rules,
                   int64_t deadline_ns)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct rwlock *const lock = rwlock_of(opaque);
    int error = whorl__spend_sync();
    if (WHORL_UNLIKELY(error != 0) || try_fast(lock, rules)) {
        return error;
    }
    error = try_slow(lock, rules);
    return error != -EAGAIN
               ? error
               : whorl__line_pass(lock, &lock->line, &lock->rank, rules, deadline_ns);
}

static int try_acquire(struct whorl_rwlock *opaque, const struct whorl__line_rules *rules)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct rwlock *const lock = rwlock_of(opaque);
    return try_fast(lock, rules) ? 0 : try_slow(lock, rules);
}

int whorl_rwlock_acquire_read(struct whorl_rwlock *lock)
{
    return acquire(lock, &reading, WHORL_NEVER);
}

int whorl_rwlock_acquire_read_until(struct whorl_rwlock *lock, int64_t deadline_ns)
{
    return acquire(lock, &reading, deadline_ns);
}

int whorl_rwlock_acquire_write(struct whorl_rwlock *lock)
{
    return acquire(lock, &writing, WHORL_NEVER);
}

int whorl_rwlock_acquire_write_until(struct whorl_rwlock *lock, int64_t deadline_ns)
{
    return acquire(lock, &writing, deadline_ns);
}

int whorl_rwlock_try_acquire_read(struct whorl_rwlock *lock)
{
    return try_acquire(lock, &reading);
}

int whorl_rwlock_try_acquire_write(struct whorl_rwlock *lock)
{
    return try_acquire(lock, &writing);
}

/* ---- release ---- */

static int release(struct whorl_rwlock *opaque, bool reads)
{
    struct whorl__told told = {{0}};
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct rwlock *const lock = rwlock_of(opaque);
    const int error = whorl__line_check(&lock->line, HELD);
    if (error != 0) {
        return error;
    }
    const uint32_t unit = reads ? READER : WRITING;
    uint32_t old = whorl__load_relaxed_u32(&lock->line.word); /* relaxed: the cas checks */
    while (!(old & WHORL__LINE_COMMON) && (reads ? old >= READER : (old & WRITING) != 0)) {
        if (whorl__cas_value_u32(&lock->line.word, &old, old - unit)) { /* pairs K3 */
            return 0;
        }
    }
    uint32_t word = whorl__line_lock(&lock->line);
    const bool held = reads ? word >= READER : (word & WRITING) != 0;
    if (held) {
        word -= unit;
        grant_locked(lock, &word, &told);
    }
    whorl__line_unlock(&lock->line, word);
    whorl__tell(&told);
    return held ? 0 : -EPERM;
}

int whorl_rwlock_release_read(struct whorl_rwlock *lock)
{
    return release(lock, true);
}

int whorl_rwlock_release_write(struct whorl_rwlock *lock)
{
    return release(lock, false);
}

static void leave(struct whorl_rwlock **held, bool reads)
{
    if (held != NULL && *held != NULL) {
        (void)release(*held, reads);
        *held = NULL;
    }
}

void whorl_rwlock_leave_read(struct whorl_rwlock **held)
{
    leave(held, true);
}

void whorl_rwlock_leave_write(struct whorl_rwlock **held)
{
    leave(held, false);
}

/* ---- its beginning and end ---- */

int whorl_rwlock_init(struct whorl_rwlock *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct rwlock *const lock = rwlock_of(opaque);
    *lock = (struct rwlock){.line.word = 0};
    whorl__line_init(&lock->line, 0);
    return 0;
}

int whorl_rwlock_destroy(struct whorl_rwlock *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct rwlock *const lock = rwlock_of(opaque);
    const struct whorl__line_end end = {lock, "read-write lock", &lock->rank, 1, HELD};
    return whorl__line_destroy(&lock->line, &end);
}
