/*
 * strand.c - of the tasks and calls of one strand at most one has the turn: is in a queue of the
 * loops, or runs. The others that are ready stand in the strand's own line.
 *
 *                    ready: enter                the turn comes: leave, rotate
 *   PARKED, NEW --+---------------------> IN LINE ------------------+
 *                 |                                                 v
 *                 +--------------- enter, nobody has it -----> HAS THE TURN: a queue, then runs
 *                                                                   |
 *                 parks, ends, goes elsewhere: leave <--------------+
 *                 yields: rotate, to the end of the line
 *
 * The word:
 *   BUSY      somebody has the turn. Without it nobody is in line.
 *   WAITING   somebody is in line. Set and cleared under the lock; BUSY is cleared only where it is
 *             not set, by one cas of the whole word.
 *   JOINED    somebody waits until nobody is in it; set under the lock.
 *   DEAD      destroyed; there is no member, and none comes.
 *   members   tasks (and callbacks) that are in it, wherever they are; whose runtime that is stands
 *             beside their number, and is good while there is one.
 *
 * The losing order, were the line looked at and the turn given up in two steps:
 *
 *   A, which has the turn            B, just woken
 *   nobody is in line
 *                                    BUSY: stands in line
 *   BUSY := 0                        waits for ever
 *
 * Ours: A's cas takes BUSY out of a word in which WAITING is not set; B has set it, under the lock,
 * in a word that had BUSY, before it stands there. So either A's cas fails and A takes B along, or
 * B finds no BUSY.
 *
 * A task gives the turn up when its stack has been left (run.c), or when its body is over and
 * nobody knows it yet (task/strand.c): so the strand may be gone as soon as its tasks are known to
 * be. Who pops the next one has taken the turn over with it, and with that a member that keeps the
 * strand until it is submitted.
 *
 * A task that runs eagerly inside another of its strand has no turn of its own: it is lent
 * (struct whorl__nested), and stays with who called.
 *
 * A call (task/callback.c) is a member like a task, and stands in the same line. It is handed the
 * turn when it is ready, and keeps it until a loop has made it: so calls and tasks of a strand come
 * in the order in which they became ready. At the end of the runtime only calls are left, in the
 * loops and in line: who is dropped with the turn takes those in line along.
 *
 * Strict order with one loop: nobody asks for a turn, and the order is that of the loop.
 *
 * Threads:    any.
 * Invariant:  WAITING is set exactly while the line is not empty, seen under the lock; WAITING
 *             implies BUSY.
 * Pairs:      T1  leave, quit: BUSY := 0, a member less (release) - try, enter: the cas that sets
 *                 it; admit, watch, kill: how many members (acquire)
 *             K1  of spinlock.h: what one in line did before, and who took it out
 * Not chosen: a queue of strands, each of which runs its tasks one after the other: a task that is
 *             pinned would have to be run elsewhere, and a loop would have a third kind of item.
 */
#include "sched/strand.h"

#include "base/bug.h"

#include <errno.h>

#define BUSY    WHORL__STRAND_BUSY
#define WAITING WHORL__STRAND_WAITING
#define JOINED  WHORL__STRAND_JOINED
#define DEAD    WHORL__STRAND_DEAD
#define MEMBER  WHORL__STRAND_MEMBER
#define MEMBERS WHORL__STRAND_MEMBERS

/* ---- the line ---- */

static void lock(struct whorl__strand *strand)
{
    whorl__spin_lock(&strand->lock);
    whorl__plain_write(&strand->ready); /* stands for all that the lock protects */
}

static void unlock(struct whorl__strand *strand)
{
    whorl__spin_unlock(&strand->lock);
}

/* What a task waits for. */
static void note_wait(struct whorl__item *item, uint64_t waits_on)
{
    if (!whorl__item_is_call(item)) {
        /* relaxed: for dumps */
        whorl__store_relaxed_u64(&whorl__task_of_item(item)->waits_on, waits_on);
    }
}

static void push_locked(struct whorl__strand *strand, struct whorl__item *item)
{
    note_wait(item, whorl__park_on_strand(strand));
    whorl__plain_write(&item->ready);
    whorl__fifo_push(&strand->ready, &item->ready);
}

/* The first in line, which has the turn now. There is one. */
static struct whorl__item *pop_locked(struct whorl__strand *strand)
{
    struct whorl__item *const item = whorl__item_of_ready(whorl__fifo_pop(&strand->ready));
    whorl__plain_write(&item->ready);
    note_wait(item, WHORL__PARK_NONE);
    return item;
}

/* ---- the turn ---- */

/* As long as nobody has it. */
static bool try_from(struct whorl__strand *strand, uint64_t *word)
{
    while (!(*word & BUSY)) {
        if (whorl__cas_value_u64(&strand->word, word, *word | BUSY)) { /* acquire, pairs T1 */
            return true;
        }
    }
    return false;
}

bool whorl__strand_try(struct whorl__strand *strand)
{
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    return try_from(strand, &word);
}

/* Under the lock: true: the caller has it; else it is known that somebody will be in line. */
static bool try_or_announce_locked(struct whorl__strand *strand)
{
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    do {
        if (try_from(strand, &word)) {
            return true;
        }
    } while (!whorl__cas_value_u64(&strand->word, &word, word | WAITING));
    return false;
}

bool whorl__strand_enter_slow(struct whorl__strand *strand, struct whorl__item *item)
{
    if (whorl__strand_try(strand)) {
        return true;
    }
    lock(strand);
    const bool has_turn = try_or_announce_locked(strand);
    if (!has_turn) {
        push_locked(strand, item);
    }
    unlock(strand);
    return has_turn;
}

/* Without the lock, where nobody is in line and nobody waits for the last to go; else false. less:
 * BUSY, MEMBER, or both: the caller has the turn, is a member. */
static bool less_plainly(struct whorl__strand *strand, uint64_t less)
{
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    while (!((less & BUSY) && (word & WAITING)) && !((less & MEMBER) && (word & JOINED))) {
        if (whorl__cas_value_u64(&strand->word, &word, word - less)) { /* release, pairs T1 */
            return true;
        }
    }
    return false;
}

/* Under the lock. True: the last has gone, and JOINED with it. */
static bool less_locked(struct whorl__strand *strand, uint64_t less)
{
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    uint64_t next;
    do {
        next = word - less;
        if (!(next & MEMBERS)) {
            next &= ~JOINED;
        }
    } while (!whorl__cas_value_u64(&strand->word, &word, next)); /* release, pairs T1 */
    return ((word ^ next) & JOINED) != 0;
}

/* As less_plainly, anyway. Who is first in line is handed the turn. */
static WHORL_COLD void *less_slowly(struct whorl__strand *strand, uint64_t less)
{
    void *joined = NULL;
    struct whorl__item *next = NULL;
    lock(strand);
    if ((less & BUSY) && !whorl__fifo_is_empty(&strand->ready)) {
        next = pop_locked(strand);
        less -= BUSY;
        less += whorl__fifo_is_empty(&strand->ready) ? WAITING : 0;
    }
    if (less_locked(strand, less)) {
        joined = strand->joined;
        strand->joined = NULL;
    }
    unlock(strand);
    if (next != NULL) {
        whorl__sched_hand_over(next);
    }
    return joined;
}

void whorl__strand_leave(struct whorl__strand *strand)
{
    WHORL_ASSERT(whorl__load_relaxed_u64(&strand->word) & BUSY); /* relaxed: the caller's own */
    if (!less_plainly(strand, BUSY)) {
        (void)less_slowly(strand, BUSY); /* it is a member still: nobody is told */
    }
}

struct whorl__item *whorl__strand_rotate(struct whorl__strand *strand, struct whorl__item *item)
{
    /* relaxed: who comes now is behind the caller */
    if (!(whorl__load_relaxed_u64(&strand->word) & WAITING)) {
        return item;
    }
    lock(strand);
    struct whorl__item *const next = pop_locked(strand);
    push_locked(strand, item);
    unlock(strand);
    return next;
}

/* Under the lock, with the turn: nobody is in line any more. */
static void announce_nobody_locked(struct whorl__strand *strand)
{
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    while (!whorl__cas_value_u64(&strand->word, &word, word & ~WAITING)) {
    }
}

struct whorl__item *whorl__strand_take(struct whorl__strand *strand)
{
    struct whorl__item *next = NULL;
    lock(strand);
    if (!whorl__fifo_is_empty(&strand->ready)) {
        next = pop_locked(strand);
    }
    if (whorl__fifo_is_empty(&strand->ready)) {
        announce_nobody_locked(strand);
    }
    unlock(strand);
    return next;
}

/* ---- who is in it ---- */

/*
 * In a child of fork: one that the parent left with members is refused; another is the child's
 * from now on. One that the child uses has its generation before its word changes.
 */
static WHORL_COLD int check_inherited(struct whorl__strand *strand, uint64_t word)
{
    /* relaxed, both: any of the child's threads writes the same */
    if (!whorl__fork_inherited(whorl__load_relaxed_u32(&strand->generation))) {
        return 0;
    }
    if (word & MEMBERS) {
        return -ECHILD;
    }
    whorl__store_relaxed_u32(&strand->generation, whorl__fork_generation);
    return 0;
}

int whorl__strand_check(struct whorl__strand *strand)
{
    /* relaxed: who uses what is destroyed, or was left behind, has not waited for that */
    const uint64_t word = whorl__load_relaxed_u64(&strand->word);
    const int error = whorl__fork_generation != 0 ? check_inherited(strand, word) : 0;
    return error != 0 ? error : word & DEAD ? -EINVAL : 0;
}

int whorl__strand_admit(struct whorl__strand *strand, const struct whorl__runtime *runtime)
{
    const uint64_t id = runtime->id << WHORL__STRAND_RUNTIME_SHIFT;
    const uint64_t low = UINT32_MAX;
    const int error = whorl__strand_check(strand);
    if (error != 0) {
        return error;
    }
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    do {
        if (word & DEAD) {
            return -EINVAL;
        }
        if ((word & MEMBERS) && (word & ~low) != id) {
            return -EXDEV;
        }
    } while (!whorl__cas_value_u64(&strand->word, &word,
                                   ((word & low) | id) + MEMBER)); /* acquire, pairs T1 */
    return 0;
}

void *whorl__strand_quit(struct whorl__strand *strand, bool has_turn)
{
    const uint64_t less = has_turn ? MEMBER + BUSY : MEMBER;
    return less_plainly(strand, less) ? NULL : less_slowly(strand, less);
}

/* Under the lock. False: there are no members. */
static bool announce_joiner_locked(struct whorl__strand *strand)
{
    uint64_t word = whorl__load_acquire_u64(&strand->word); /* acquire, pairs T1 */
    while (word & MEMBERS) {
        if (whorl__cas_value_u64(&strand->word, &word, word | JOINED)) { /* acquire, pairs T1 */
            return true;
        }
    }
    return false;
}

void *whorl__strand_watch(struct whorl__strand *strand, void *future, void (*keep)(void *future))
{
    void *joined = NULL;
    lock(strand);
    if (announce_joiner_locked(strand)) {
        strand->joined = strand->joined != NULL ? strand->joined : future;
        joined = strand->joined;
        keep(joined);
    }
    unlock(strand);
    return joined;
}

int whorl__strand_kill(struct whorl__strand *strand)
{
    lock(strand);
    uint64_t word = whorl__load_relaxed_u64(&strand->word); /* relaxed: the cas checks it */
    while (!(word & (MEMBERS | DEAD)) &&
           !whorl__cas_value_u64(&strand->word, &word, word | DEAD)) { /* acquire, pairs T1 */
    }
    unlock(strand);
    return word & MEMBERS ? -EBUSY : word & DEAD ? -EINVAL : 0;
}
