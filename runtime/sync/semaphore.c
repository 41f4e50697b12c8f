/*
 * semaphore.c - units, handed out in the order of arrival.
 *
 * The word: what a line has, and from bit WHORL__LINE_SHIFT on how many units are free. One that
 * was granted is free no more: so a bounded semaphore counts it as held (SEM-10), and a release
 * beside it, of somebody who holds nothing, is not noticed.
 *
 *   value > 0, nobody in line     acquire: one cas
 *   value = 0, or WAITERS         acquire: stands in line
 *   WAITERS                       release: the first in line is granted the unit
 *
 * Units may be free with somebody in line: those in front were granted theirs and have not run.
 * Whoever leaves the line, with a unit or without, grants on while there is one to grant (SEM-5).
 *
 *   losing order, without that                 ours
 *   release, release: A, B are granted         the same
 *   release: a unit is free, nobody stands
 *   C: acquire: A and B have not run, stands   the same
 *   A, B: run, go on                           A: leaves, grants to C
 *   C: stands there for ever, beside a unit
 *
 * Owns:       struct semaphore, which is the program's struct whorl_semaphore.
 * Threads:    any.
 * Pairs:      K3 of line.h: release - the acquire that gets the unit.
 * Not chosen: several units in one acquire: who wants many would keep all behind him waiting.
 */
#include "sync/select.h"

#include "base/bug.h"
#include "task/park.h"

#include "whorl.h"

#include <errno.h>

#define ONE   (UINT32_C(1) << WHORL__LINE_SHIFT)
#define FLAGS (WHORL_SEMAPHORE_BOUNDED | WHORL_SEMAPHORE_UNFAIR)

struct semaphore {
    uint32_t flags;          /* C */
    uint32_t first_value;    /* C */
    struct whorl__line line; /* its word counts units */
    struct whorl__rank rank;
};

WHORL_STATIC(sizeof(struct semaphore) <= sizeof(struct whorl_semaphore) &&
                 offsetof(struct semaphore, line.word) == offsetof(struct whorl_semaphore, word),
             "it fits, and a static one has its units");
WHORL_STATIC(WHORL__LINE_DEAD == 4, "as WHORL_SEMAPHORE_INIT_FLAGS has it");
WHORL_STATIC(WHORL_SEMAPHORE_MAX == UINT32_MAX >> WHORL__LINE_SHIFT, "as many as the word counts");

static struct semaphore *semaphore_of(struct whorl_semaphore *semaphore)
{
    return (struct semaphore *)(void *)semaphore;
}

static uint32_t value_of(uint32_t word)
{
    return word >> WHORL__LINE_SHIFT;
}

/* Whether a unit more is refused. */
static bool is_full(const struct semaphore *semaphore, uint32_t word)
{
    const bool bounded = (semaphore->flags & WHORL_SEMAPHORE_BOUNDED) != 0 &&
                         !WHORL__BUG(SEMAPHORE_HAS_NO_BOUND);
    return value_of(word) >= (bounded ? semaphore->first_value : WHORL_SEMAPHORE_MAX);
}

/* ---- under the line's lock ---- */

static bool enter_locked(void *primitive, uint32_t *word)
{
    struct semaphore *const semaphore = primitive;
    const bool unfair = (semaphore->flags & WHORL_SEMAPHORE_UNFAIR) != 0 ||
                        WHORL__BUG(SEMAPHORE_LETS_PASS);
    if (value_of(*word) == 0 || !(unfair || !whorl__rank_is_before(&semaphore->rank))) {
        return false;
    }
    *word -= ONE;
    return true;
}

/* To as many as there are units, and not more than max. */
static void grant_locked(struct semaphore *semaphore, uint32_t *word, uint32_t max,
                         struct whorl__told *told)
{
    const uint32_t value = value_of(*word);
    const size_t count =
        whorl__rank_grant_all(&semaphore->rank, value < max ? value : max, told);
    *word -= (uint32_t)count << WHORL__LINE_SHIFT;
}

static bool take_locked(void *primitive, uint32_t *word, struct whorl__told *told)
{
    if (!WHORL__BUG(SEMAPHORE_WAKES_NO_MORE)) {
        grant_locked(primitive, word, UINT32_MAX, told);
    }
    return true;
}

static void give_up_locked(void *primitive, uint32_t *word, bool granted,
                           struct whorl__told *told)
{
    if (granted && !WHORL__BUG(SEMAPHORE_LOSES_A_UNIT)) {
        *word += ONE;
    }
    grant_locked(primitive, word, UINT32_MAX, told);
}

static const struct whorl__line_rules rules = {
    .kind = WHORL__SYNC_SEMAPHORE,
    .enter = enter_locked,
    .take = take_locked,
    .give_up = give_up_locked,
};

/* ---- acquire ---- */

static bool try_fast(struct semaphore *semaphore)
{
    if (whorl__line_may_be_inherited()) {
        return false;
    }
    uint32_t old = whorl__load_relaxed_u32(&semaphore->line.word); /* relaxed: the cas checks */
    while (!(old & WHORL__LINE_COMMON) && old >= ONE) {
        if (whorl__cas_value_u32(&semaphore->line.word, &old, old - ONE)) { /* pairs K3 */
            return true;
        }
    }
    return false;
}

static bool try_slow(struct semaphore *semaphore)
{
    /* relaxed: a hint */
    if (value_of(whorl__load_relaxed_u32(&semaphore->line.word)) == 0) {
        return false;
    }
    uint32_t word = whorl__line_lock(&semaphore->line);
    const bool entered = enter_locked(semaphore, &word);
    whorl__line_unlock(&semaphore->line, word);
    return entered;
}

int whorl_semaphore_acquire_until(struct whorl_semaphore *opaque, int64_t deadline_ns)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct semaphore *const semaphore = semaphore_of(opaque);
    int error = whorl__spend_sync();
    if (WHORL_UNLIKELY(error != 0) || try_fast(semaphore)) {
        return error;
    }
    error = whorl__line_check(&semaphore->line, 0);
    if (error != 0 || try_slow(semaphore)) {
        return error;
    }
    return whorl__line_pass(semaphore, &semaphore->line, &semaphore->rank, &rules,
                            deadline_ns);
}

int whorl_semaphore_acquire(struct whorl_semaphore *semaphore)
{
    return whorl_semaphore_acquire_until(semaphore, WHORL_NEVER);
}

int whorl_semaphore_try_acquire(struct whorl_semaphore *opaque)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct semaphore *const semaphore = semaphore_of(opaque);
    if (try_fast(semaphore)) {
        return 0;
    }
    const int error = whorl__line_check(&semaphore->line, 0);
    return error != 0 ? error : try_slow(semaphore) ? 0 : -EAGAIN;
}

/* ---- release ---- */

static int release_slow(struct semaphore *semaphore)
{
    struct whorl__told told = {{0}};
    uint32_t word = whorl__line_lock(&semaphore->line);
    const bool full = is_full(semaphore, word);
    if (!full) {
        word += ONE;
        grant_locked(semaphore, &word, 1, &told); /* as asyncio's: to one (SEM-5) */
    }
    whorl__line_unlock(&semaphore->line, word);
    whorl__tell(&told);
    return full ? -EOVERFLOW : 0;
}

int whorl_semaphore_release(struct whorl_semaphore *opaque)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct semaphore *const semaphore = semaphore_of(opaque);
    const int error = whorl__line_check(&semaphore->line, 0);
    if (error != 0) {
        return error;
    }
    uint32_t old = whorl__load_relaxed_u32(&semaphore->line.word); /* relaxed: the cas checks */
    while (!(old & WHORL__LINE_COMMON) && !is_full(semaphore, old)) {
        if (whorl__cas_value_u32(&semaphore->line.word, &old, old + ONE)) { /* pairs K3 */
            return 0;
        }
    }
    return release_slow(semaphore);
}

void whorl_semaphore_leave(struct whorl_semaphore **held)
{
    if (held != NULL && *held != NULL) {
        (void)whorl_semaphore_release(*held);
        *held = NULL;
    }
}

/* ---- looking ---- */

uint32_t whorl_semaphore_value(const struct whorl_semaphore *opaque)
{
    if (opaque == NULL) {
        return 0;
    }
    const struct semaphore *const semaphore = (const struct semaphore *)(const void *)opaque;
    return value_of(whorl__load_relaxed_u32(&semaphore->line.word)); /* relaxed: orders nothing */
}

/* With a unit free it depends on who stands there. */
bool whorl_semaphore_locked(struct whorl_semaphore *opaque)
{
    if (opaque == NULL || whorl_semaphore_value(opaque) == 0) {
        return true;
    }
    struct semaphore *const semaphore = semaphore_of(opaque);
    if (whorl__line_check(&semaphore->line, 0) != 0) {
        return true;
    }
    const uint32_t word = whorl__line_lock(&semaphore->line);
    const bool locked = value_of(word) == 0 || whorl__rank_is_before(&semaphore->rank);
    whorl__line_unlock(&semaphore->line, word);
    return locked;
}

/* ---- for select.c ---- */

int whorl__semaphore_place(struct whorl_semaphore *opaque, struct whorl__line_place *ret_place)
{
    struct semaphore *const semaphore = semaphore_of(opaque);
    *ret_place = (struct whorl__line_place){semaphore, &semaphore->line, &semaphore->rank, &rules};
    return whorl__line_check(&semaphore->line, 0);
}

/* ---- its beginning and end ---- */

int whorl_semaphore_init(struct whorl_semaphore *opaque, int64_t value, unsigned flags)
{
    if (opaque == NULL || value < 0 || value > WHORL_SEMAPHORE_MAX ||
        (flags & ~(unsigned)FLAGS) != 0) {
        return -EINVAL;
    }
    struct semaphore *const semaphore = semaphore_of(opaque);
    *semaphore = (struct semaphore){.flags = flags, .first_value = (uint32_t)value};
    whorl__line_init(&semaphore->line, (uint32_t)value << WHORL__LINE_SHIFT);
    return 0;
}

int whorl_semaphore_destroy(struct whorl_semaphore *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct semaphore *const semaphore = semaphore_of(opaque);
    const struct whorl__line_end end = {semaphore, "semaphore", &semaphore->rank, 1, 0};
    return whorl__line_destroy(&semaphore->line, &end);
}
