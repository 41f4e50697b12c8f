/*
 * lock.c - one at a time, in the order of arrival.
 *
 * The word: what a line has, and HELD.
 *
 *   0 --acquire--> HELD --acquire: stands in line--> HELD | WAITERS
 *   ^                |                                    |
 *   +----release-----+                                    | release: the first is granted
 *   |                                                     v
 *   +------------------- the last one has left --- WAITERS (reserved: nobody else gets it)
 *                                                         | the first runs, and leaves
 *                                                         v
 *                                                HELD [| WAITERS]
 *
 * Free with somebody in line means: one is granted, or, in strict order, the first is leaving and
 * will grant when he runs. So at most one is granted. An unfair lock is taken whenever it is not
 * HELD; who was granted it and finds it taken stands at the head again.
 *
 *   losing order, were the lock free for all   ours
 *   A: release; B is woken                      A: release; B is GRANTED, WAITERS stays set
 *   A: acquire: free, takes it                  A: acquire: WAITERS: stands behind B
 *   B: finds it held, waits; and so on
 *
 * Owns:       struct lock, which is the program's struct whorl_lock.
 * Threads:    any.
 * Pairs:      K3 of line.h: release - the next acquire.
 * Not chosen: handing over HELD itself. locked() would be true between release and the next one's
 *             run, and asyncio's is not (LOCK-3); what is lost by the second lock of the line is
 *             nothing beside the switch of tasks.
 */
#include "sync/lock.h"

#include "sync/line.h"

#include "base/bug.h"
#include "base/text.h"
#include "sys/os.h"
#include "task/debugging.h"
#include "task/park.h"
#include "task/task.h"

#include "whorl.h"

#include <errno.h>

#define HELD    (UINT32_C(1) << WHORL__LINE_SHIFT)

#define FLAGS (WHORL_LOCK_UNFAIR | WHORL_LOCK_OWNED)

/* Who holds it is known only if it is asked for. */
struct lock {
    uint64_t flags;          /* C */
    struct whorl__line line; /* its word has HELD */
    struct whorl__rank rank;
    uint64_t owner;          /* A: who_am_i() of who holds it; 0: nobody. Written by him alone */
};

WHORL_STATIC(sizeof(struct lock) <= sizeof(struct whorl_lock), "it fits");

static struct lock *lock_of(struct whorl_lock *lock)
{
    return (struct lock *)(void *)lock;
}

/* ---- its owner ---- */

#define SERIAL_BITS 39

/* Of a task its serial, shifted: unlike a task's memory it is not used again. A thread: odd. */
static uint64_t who_am_i(void)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return (uint64_t)(unsigned)whorl__os->thread_id() << 1 | 1;
    }
    /* relaxed: its own. The runtime's number, for each counts its tasks */
    return task->runtime->id << (SERIAL_BITS + 1) | whorl__load_relaxed_u64(&task->serial) << 1;
}

static bool is_owned(const struct lock *lock)
{
    return WHORL_UNLIKELY((lock->flags & WHORL_LOCK_OWNED) != 0);
}

static bool is_mine(struct lock *lock)
{
    /* relaxed: what the caller has written he sees; what another wrote is not the caller */
    return whorl__load_relaxed_u64(&lock->owner) == who_am_i();
}

static void set_owner(struct lock *lock)
{
    if (is_owned(lock)) {
        whorl__store_relaxed_u64(&lock->owner, who_am_i()); /* relaxed: as above */
        if (whorl__task_current() != NULL) {
            whorl__debug_lock_owned(whorl__task_current(), lock);
        }
    }
}

static void clear_owner(struct lock *lock)
{
    if (whorl__task_current() != NULL) {
        whorl__debug_lock_given(whorl__task_current(), lock);
    }
    whorl__store_relaxed_u64(&lock->owner, 0); /* relaxed: only the caller is who it names */
}

/* ---- under the line's lock ---- */

/* Whether who is not in line gets it. All who are may be on their way out. */
static bool enter_locked(void *primitive, uint32_t *word)
{
    struct lock *const lock = primitive;
    const bool unfair =
        (lock->flags & WHORL_LOCK_UNFAIR) != 0 || WHORL__BUG(LOCK_LETS_PASS);
    if (WHORL__BUG(LOCK_COUNTS_THE_CANCELLED) && whorl__rank_head(&lock->rank) != NULL) {
        return false;
    }
    if ((*word & HELD) || !(unfair || !whorl__rank_is_before(&lock->rank))) {
        return false;
    }
    *word |= HELD;
    return true;
}

/* An unfair one may be gone when he who was granted it comes. */
static bool take_locked(void *primitive, uint32_t *word, struct whorl__told *told)
{
    (void)primitive, (void)told;
    const bool free = !(*word & HELD);
    *word |= HELD;
    return free;
}

/* If it is free: the first in line is to have it, unless one was told already. */
static void grant_first_locked(struct lock *lock, uint32_t word, struct whorl__told *told)
{
    struct whorl__stander *const first = word & HELD ? NULL : whorl__rank_head(&lock->rank);
    if (first != NULL && lock->rank.granted == 0 && !whorl__stander_is_leaving(first)) {
        whorl__rank_grant(&lock->rank, first, told);
    }
}

static void give_up_locked(void *primitive, uint32_t *word, bool granted,
                           struct whorl__told *told)
{
    (void)granted;
    if (!WHORL__BUG(LOCK_FORGETS_THE_NEXT)) {
        grant_first_locked(primitive, *word, told);
    }
}

static const struct whorl__line_rules rules = {
    .kind = WHORL__SYNC_LOCK,
    .enter = enter_locked,
    .take = take_locked,
    .give_up = give_up_locked,
};

/* ---- acquire ---- */

static int has_it(struct lock *lock)
{
    set_owner(lock);
    return 0;
}

static bool try_fast(struct lock *lock)
{
    return WHORL_LIKELY(!whorl__line_may_be_inherited()) &&
           whorl__cas_u32(&lock->line.word, 0, HELD); /* acquire, pairs K3 */
}

/* Under the line's lock; not if it is seen to be in vain. */
static bool try_slow(struct lock *lock)
{
    if (whorl__load_relaxed_u32(&lock->line.word) & HELD) { /* relaxed: a hint */
        return false;
    }
    uint32_t word = whorl__line_lock(&lock->line);
    const bool entered = enter_locked(lock, &word);
    whorl__line_unlock(&lock->line, word);
    return entered;
}

/* What is to be said before the line is looked at. */
static int check(struct lock *lock)
{
    const int error = whorl__line_check(&lock->line, HELD);
    return error == 0 && is_owned(lock) && is_mine(lock) ? -EDEADLK : error;
}

static WHORL_NOINLINE int acquire_slow(struct lock *lock, int64_t deadline_ns)
{
    int error = check(lock);
    if (error == 0 && !try_slow(lock)) {
        error = whorl__line_pass(lock, &lock->line, &lock->rank, &rules, deadline_ns);
    }
    return error != 0 ? error : has_it(lock);
}

int whorl_lock_acquire_until(struct whorl_lock *opaque, int64_t deadline_ns)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct lock *const lock = lock_of(opaque);
    const int error = whorl__spend_sync();
    if (WHORL_UNLIKELY(error != 0)) {
        return error;
    }
    return try_fast(lock) ? has_it(lock) : acquire_slow(lock, deadline_ns);
}

int whorl_lock_acquire(struct whorl_lock *lock)
{
    return whorl_lock_acquire_until(lock, WHORL_NEVER);
}

int whorl_lock_try_acquire(struct whorl_lock *opaque)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct lock *const lock = lock_of(opaque);
    if (try_fast(lock)) {
        return has_it(lock);
    }
    const int error = check(lock);
    if (error != 0) {
        return error;
    }
    return try_slow(lock) ? has_it(lock) : -EAGAIN;
}

/* ---- release ---- */

static WHORL_NOINLINE int release_slow(struct lock *lock)
{
    struct whorl__told told = {{0}};
    const int error = whorl__line_check(&lock->line, HELD);
    if (error != 0) {
        return error;
    }
    uint32_t word = whorl__line_lock(&lock->line);
    const bool held = (word & HELD) != 0;
    if (held) {
        word &= ~HELD;
        grant_first_locked(lock, word, &told);
    }
    whorl__line_unlock(&lock->line, word);
    whorl__tell(&told);
    return held || WHORL__BUG(LOCK_RELEASES_A_FREE_ONE) ? 0 : -EPERM;
}

int whorl_lock_release(struct whorl_lock *opaque)
{
    if (WHORL_UNLIKELY(opaque == NULL)) {
        return -EINVAL;
    }
    struct lock *const lock = lock_of(opaque);
    if (is_owned(lock)) {
        if (!is_mine(lock)) {
            const int error = whorl__line_check(&lock->line, HELD);
            return error != 0 ? error : -EPERM;
        }
        clear_owner(lock);
    }
    if (WHORL_LIKELY(!whorl__line_may_be_inherited()) &&
        whorl__cas_u32(&lock->line.word, HELD, 0)) { /* release, pairs K3 */
        return 0;
    }
    return release_slow(lock);
}

bool whorl_lock_locked(const struct whorl_lock *opaque)
{
    if (opaque == NULL) {
        return false;
    }
    /* relaxed: orders nothing */
    return (whorl__load_relaxed_u32(&((const struct lock *)(const void *)opaque)->line.word) &
            HELD) != 0;
}

struct whorl_task *whorl_lock_owner(const struct whorl_lock *opaque)
{
    const struct lock *const lock = (const struct lock *)(const void *)opaque;
    if (lock == NULL || !is_owned(lock)) {
        return NULL;
    }
    /* relaxed: a number; the task is looked for */
    const uint64_t owner = whorl__load_relaxed_u64((uint64_t *)&lock->owner);
    if (owner == 0 || (owner & 1)) {
        return NULL;
    }
    return whorl__task_find(owner >> (SERIAL_BITS + 1),
                            owner >> 1 & ((UINT64_C(1) << SERIAL_BITS) - 1));
}

void whorl_lock_leave(struct whorl_lock **held)
{
    if (held != NULL && *held != NULL) {
        (void)whorl_lock_release(*held);
        *held = NULL;
    }
}

/* ---- for a condition ---- */

int whorl__lock_check_held(struct whorl_lock *opaque)
{
    struct lock *const lock = lock_of(opaque);
    const int error = whorl__line_check(&lock->line, HELD);
    if (error != 0) {
        return error;
    }
    return whorl_lock_locked(opaque) && (!is_owned(lock) || is_mine(lock)) ? 0 : -EPERM;
}

/* Each time at the end of the line, as in asyncio; the last cancel is the one that is told. */
int whorl__lock_acquire_again(struct whorl_lock *lock, bool *ret_cancelled)
{
    int error;
    while ((error = whorl_lock_acquire(lock)) == -ECANCELED) {
        *ret_cancelled = true;
    }
    return error;
}

/* ---- for select.c ---- */

int whorl__lock_place(struct whorl_lock *opaque, struct whorl__line_place *ret_place)
{
    struct lock *const lock = lock_of(opaque);
    *ret_place = (struct whorl__line_place){lock, &lock->line, &lock->rank, &rules};
    return check(lock);
}

void whorl__lock_set_owner(struct whorl_lock *opaque)
{
    set_owner(lock_of(opaque));
}

/* ---- its beginning and end ---- */

int whorl_lock_init(struct whorl_lock *opaque, unsigned flags)
{
    if (opaque == NULL || (flags & ~(unsigned)FLAGS) != 0) {
        return -EINVAL;
    }
    struct lock *const lock = lock_of(opaque);
    *lock = (struct lock){.flags = flags};
    whorl__line_init(&lock->line, 0);
    return 0;
}

/* Who waits is told of by the line. */
static void tell_of_owner(struct lock *lock)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    char room[WHORL_TASK_NAME_MAX + 120];
    struct whorl__text text = {.bytes = room, .size = sizeof room - 1};
    struct whorl_task *const owner = whorl_lock_owner((struct whorl_lock *)(void *)lock);
    if (owner == NULL) {
        return;
    }
    whorl__text_string(&text, "the lock ");
    whorl__text_hex(&text, (uint64_t)(uintptr_t)lock);
    whorl__text_string(&text, " was to be destroyed; its owner is ");
    whorl__task_copy_name(owner, name, sizeof name);
    whorl__text_quoted(&text, name);
    room[text.length] = '\0';
    whorl_task_unref(owner);
    whorl__line_report_use(room);
}

int whorl_lock_destroy(struct whorl_lock *opaque)
{
    if (opaque == NULL) {
        return -EINVAL;
    }
    struct lock *const lock = lock_of(opaque);
    const struct whorl__line_end end = {lock, "lock", &lock->rank, 1, HELD};
    const int error = whorl__line_destroy(&lock->line, &end);
    if (error == -EBUSY) {
        tell_of_owner(lock);
    }
    return error;
}
