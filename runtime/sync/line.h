/*
 * line.h - who waits for something of this folder: in line, first come, first served.
 *
 * A primitive is a line: a word, and one or more ranks, lists of those who stand there for the
 * same, each on his own stack: tasks of any loop of any runtime, and plain threads. The word:
 * LOCKED (the lock, a spin lock, for a few instructions), WAITERS (somebody stands there, or was
 * told and has not left yet), DEAD (it was destroyed); from bit WHORL__LINE_SHIFT on it is the
 * primitive's own, which changes its part by one cas where neither of the three is set.
 *
 *               grant              leave
 *   STANDING ----------> GRANTED ----------> (has what it was granted)
 *      |  ^                 |  |
 *      |  +--stand_again----+  +--leave----> (cancelled: gives it back, and the next one gets it)
 *      +-------leave-----------------------> (cancelled, or late)
 *
 *   STANDING  in its rank.
 *   GRANTED   off the list, and counted in `granted`: what there was to give is reserved for it
 *             until it runs and has taken the lock. So whoever comes in between stands in line
 *             behind it, and nothing is lost if it does not want it any more.
 *
 *   losing order: a grant is a wake-up      ours: a grant is a reservation
 *   A: release: free now; wakes B           A: release: B is GRANTED, under the lock
 *   C: acquire: somebody is in line, and    C: acquire: stands in line
 *      so C stands there, too
 *   B: is cancelled, and goes               B: is cancelled; under the lock it finds GRANTED,
 *   C: stands there for ever                   and grants to C before it goes
 *
 * The frame of who stands in line goes only after he has taken the lock and left, so whoever has
 * the lock may look at all of them. A task is claimed (PARKED to LIVE) under the lock and queued
 * after it: by then only the task is known, not its place in line. Nobody touches the primitive
 * after its unlock, so whoever is told may free it as soon as his call has returned.
 *
 * In strict order one who was cancelled, or is late, and has not run since is passed over, as
 * asyncio passes over a waiter that is done: is_leaving. Elsewhere nobody can know that; the grant
 * is given and comes back.
 *
 * Owns:       struct whorl__line, struct whorl__rank, struct whorl__stander.
 * Threads:    any. Under the lock of a line nothing else of ours is locked.
 * Invariant:  WAITERS is set exactly while `inside` > 0, and that is how many stand in all ranks of
 *             the line, or were granted there.
 * Pairs:      K3  unlock: word (release) - lock, and each cas on the word (acquire): all that was
 *                 done under the lock, and whatever happened before a release, a set, a put
 * Not chosen: a future for each who waits, as asyncio has it: a block of memory for each wait, and
 *             another lock.
 */
#ifndef WHORL_SYNC_LINE_H
#define WHORL_SYNC_LINE_H

#include "base/bug.h"
#include "loop/timer.h"
#include "state/task.h"
#include "sys/fork.h"
#include "task/cancel.h"
#include "task/park.h"

#include <errno.h>

#define WHORL__LINE_LOCKED  UINT32_C(1)
#define WHORL__LINE_WAITERS UINT32_C(2)
#define WHORL__LINE_DEAD    UINT32_C(4)
#define WHORL__LINE_SHIFT   3
#define WHORL__LINE_COMMON  UINT32_C(7)

/* A zeroed one is good: nobody is there. */
struct whorl__line {
    uint32_t word;       /* A: drawn above */
    uint32_t generation; /* A: sys/fork.h */
    uint32_t inside;     /* M(line) */
};

/* Those of a line who stand there for the same; a zeroed one is empty. */
struct whorl__rank {
    struct whorl__list waiters; /* M(line); next is NULL while nobody was there */
    uint32_t granted;           /* M(line): were told, and have not left yet */
};

/* One who waits; on his stack. */
struct whorl__stander {
    struct whorl__list link;   /* M(line), while it stands there */
    struct whorl__rank *rank;  /* C */
    struct whorl_task *task;   /* C; NULL: a plain thread */
    whorl__handle handle;      /* M(line): of its present wait */
    uint32_t thread_word;      /* A: futex: 1 once granted */
    uint32_t *signal;          /* C: its thread_word, or what select.c waits on for many */
    bool granted;              /* M(line) */
    bool selects;              /* C: it is one of many: nobody can tell whether it is leaving */
    bool begun;                /* its own: a wait that it has not parked in yet */
    whorl__handle fresh;       /* its own: of that */
    uint64_t waits_on;         /* C: for dumps */
    int64_t deadline_ns;       /* C */
    struct whorl__timer timer; /* its own, with a deadline */
};

/* Whom to tell when the lock is gone. A zeroed one is empty. */
struct whorl__told {
    struct whorl__fifo tasks;
};

static inline struct whorl__stander *whorl__stander_of(struct whorl__list *link)
{
    return whorl_container_of(link, struct whorl__stander, link);
}

/* ---- the line ---- */

void whorl__line_init(struct whorl__line *line, uint32_t word);

/* Whether whorl__line_check is to be asked before the first cas. */
static inline bool whorl__line_may_be_inherited(void)
{
    return WHORL_UNLIKELY(whorl__fork_generation != 0);
}

int whorl__line_check_inherited(struct whorl__line *line, uint32_t busy);

/*
 * Before anything is done with it, where a cas on its word is not enough: 0, -ECHILD (it was left
 * in a state that nobody will end, by a process that this one is a child of), -EINVAL (it was
 * destroyed). busy: what of the word is such a state, beside WAITERS and LOCKED.
 */
static inline int whorl__line_check(struct whorl__line *line, uint32_t busy)
{
    const int error =
        whorl__line_may_be_inherited() ? whorl__line_check_inherited(line, busy) : 0;
    if (error != 0) {
        return error;
    }
    /* relaxed: who uses what is destroyed has not waited for that */
    const uint32_t word = whorl__load_relaxed_u32(&line->word);
    return WHORL_UNLIKELY(word & WHORL__LINE_DEAD) ? -EINVAL : 0;
}

/* The same, when somebody else has it. */
uint32_t whorl__line_lock_slow(struct whorl__line *line);

/* Returns the word as it was, without LOCKED; unlock stores it anew. */
static inline uint32_t whorl__line_lock(struct whorl__line *line)
{
    const uint32_t old = whorl__load_relaxed_u32(&line->word); /* relaxed: the cas checks */
    if (WHORL_LIKELY(!(old & WHORL__LINE_LOCKED) &&
                     whorl__cas_u32(&line->word, old, old | WHORL__LINE_LOCKED))) { /* pairs K3 */
        whorl__plain_write(&line->inside); /* stands for all that the lock protects */
        return old;
    }
    return whorl__line_lock_slow(line);
}

static inline void whorl__line_unlock(struct whorl__line *line, uint32_t word)
{
    WHORL_ASSERT(!(word & WHORL__LINE_LOCKED));
    whorl__store_release_u32(&line->word, word); /* release, pairs K3 */
}

/* ---- under its lock ---- */

/* The first in the rank, whatever he is about to do; NULL: nobody. */
struct whorl__stander *whorl__rank_head(struct whorl__rank *rank);

/* The first who is not about to leave; NULL: nobody. */
struct whorl__stander *whorl__rank_first_slow(struct whorl__rank *rank);

static inline struct whorl__stander *whorl__rank_first(struct whorl__rank *rank)
{
    return rank->waiters.next == NULL ? NULL : whorl__rank_first_slow(rank);
}

/* Whether somebody is to be served before one who comes now: granted, or staying. */
bool whorl__rank_is_before(struct whorl__rank *rank);

/* Strict order: a cancel or its deadline has ended its wait, and it has not run yet. */
bool whorl__stander_is_leaving(const struct whorl__stander *stander);

/* STANDING -> GRANTED, and claimed for `told`. all: in order, up to max of those who are not about
 * to leave; returns how many. */
void whorl__rank_grant(struct whorl__rank *rank, struct whorl__stander *stander,
                       struct whorl__told *told);
size_t whorl__rank_grant_all(struct whorl__rank *rank, size_t max, struct whorl__told *told);

/* ---- standing there ---- */

static inline void whorl__stander_fill(struct whorl__stander *stander, struct whorl_task *task,
                                       uint64_t waits_on, int64_t deadline_ns)
{
    stander->task = task;
    stander->handle = 0;
    stander->fresh = 0;
    stander->thread_word = 0;
    stander->signal = &stander->thread_word;
    stander->granted = false;
    stander->selects = false;
    stander->begun = false;
    stander->waits_on = waits_on;
    stander->deadline_ns = deadline_ns;
}

/*
 * The caller is about to stand in line. 0, -EPERM (in a callback: nothing there may wait), -ENOMEM
 * (no room for the timer). Then stand and wait, or not; and without the lock, end.
 */
WHORL_MUST_USE int whorl__stander_begin(struct whorl__stander *stander, const void *what,
                                        enum whorl__line_kind kind, int64_t deadline_ns);

/* The same by a task that waits without a deadline: it locks nothing, and cannot fail. */
static inline void whorl__stander_begin_task(struct whorl__stander *stander,
                                             struct whorl_task *task, const void *what,
                                             enum whorl__line_kind kind)
{
    whorl__stander_fill(stander, task, whorl__park_on_sync(what, kind), WHORL_NEVER);
    stander->fresh = whorl__park_begin(task);
    stander->begun = true;
}

static inline bool whorl__stander_is_timed(const struct whorl__stander *stander)
{
    return stander->deadline_ns != WHORL_NEVER;
}

/* True: its time was over. */
static inline bool whorl__stander_end(struct whorl__stander *stander)
{
    const bool begun = stander->begun;
    stander->begun = false;
    return begun && stander->task != NULL && whorl__stander_is_timed(stander) &&
           whorl__timer_disarm(&stander->timer);
}

/* Under the lock: at the end of the rank; stand_again: who was granted something and did not find
 * it, at its head. */
static inline void whorl__line_stand(struct whorl__line *line, uint32_t *word,
                                     struct whorl__rank *rank, struct whorl__stander *stander)
{
    if (rank->waiters.next == NULL) {
        whorl__list_init(&rank->waiters);
    }
    whorl__plain_write(&stander->link);
    stander->rank = rank;
    stander->handle = stander->fresh;
    if (WHORL__BUG(LINE_SERVES_THE_LAST_FIRST)) {
        whorl__list_push_front(&rank->waiters, &stander->link);
    } else {
        whorl__list_push_back(&rank->waiters, &stander->link);
    }
    line->inside++;
    *word |= WHORL__LINE_WAITERS;
}
void whorl__line_stand_again(struct whorl__stander *stander);

/* A plain thread blocks until it is told, or late: 0, -ETIMEDOUT. */
WHORL_MUST_USE int whorl__stander_park_thread(struct whorl__stander *stander);

WHORL_ALWAYS_INLINE int whorl__stander_park(struct whorl__stander *stander)
{
    struct whorl_task *const task = stander->task;
    if (task == NULL) {
        return whorl__stander_park_thread(stander);
    }
    whorl__park_here(task, stander->waits_on);
    const bool late = whorl__stander_end(stander);
    const bool cancelled =
        WHORL_UNLIKELY(whorl__state_cancel_pending(&task->word)) && whorl__cancel_take(task);
    return cancelled ? -ECANCELED : late ? -ETIMEDOUT : 0;
}

/* Once, without the lock. */
WHORL_ALWAYS_INLINE int whorl__line_park(struct whorl__line *line, uint32_t *word,
                                         struct whorl__stander *stander)
{
    stander->handle = stander->fresh;
    whorl__line_unlock(line, *word);
    const int result = whorl__stander_park(stander);
    *word = whorl__line_lock(line);
    return result;
}

/* What is left to do of a wait of which `result` is known, or which has not begun: 0. */
WHORL_MUST_USE int whorl__line_wait_again(struct whorl__line *line, uint32_t *word,
                                          struct whorl__stander *stander, int result);

/*
 * Waits, without the lock, until it is granted something, cancelled or late, and has the lock
 * again. 0: granted; -ECANCELED, granted or not; -ETIMEDOUT and -ENOMEM: not. Inline, for what
 * whorl__park_here says.
 */
WHORL_MUST_USE WHORL_ALWAYS_INLINE int whorl__line_wait(struct whorl__line *line, uint32_t *word,
                                                        struct whorl__stander *stander)
{
    int result = 0;
    if (WHORL_LIKELY(stander->begun && !stander->granted)) {
        result = whorl__line_park(line, word, stander);
        if (WHORL_LIKELY(result == 0 && stander->granted)) {
            whorl__plain_read(&stander->link);
            return 0;
        }
    }
    return whorl__line_wait_again(line, word, stander, result);
}

/* It waits no more, and nobody grants it anything; it is still counted, until it leaves. */
void whorl__line_step_aside(struct whorl__stander *stander);

/* It goes, granted or not. */
static inline void whorl__line_leave(struct whorl__line *line, uint32_t *word,
                                     struct whorl__stander *stander)
{
    struct whorl__rank *const rank = stander->rank;
    WHORL_ASSERT(line->inside > 0);
    if (stander->granted) {
        WHORL_ASSERT(rank->granted > 0);
        rank->granted--;
    } else {
        whorl__list_remove(&stander->link);
    }
    if (rank->granted == 0 && whorl__list_is_empty(&rank->waiters)) {
        rank->waiters.next = NULL; /* so that what nobody waits for may be moved */
    }
    if (--line->inside == 0) {
        *word &= ~WHORL__LINE_WAITERS;
    }
    whorl__plain_write(&stander->link); /* the frame goes: who still looks at it races */
}

/* ---- without the lock ---- */

void whorl__tell_all(struct whorl__told *told);

/* One alone runs next, beside the one that tells; several queue up in their order. */
static inline void whorl__tell(struct whorl__told *told)
{
    if (told->tasks.count == 1) {
        whorl__sched_submit(whorl__task_of_ready(whorl__fifo_pop(&told->tasks)));
    } else if (told->tasks.count > 1) {
        whorl__tell_all(told);
    }
}

/*
 * What is asked of a primitive while one goes through its line. All under the lock; they change
 * *word, and grant to others for `told`.
 */
struct whorl__line_rules {
    enum whorl__line_kind kind;
    /* Who is not in line: true: it may go on, and has what it came for. */
    bool (*enter)(void *primitive, uint32_t *word);
    /* Who was granted something: false: it is not there, and he stands there again. */
    bool (*take)(void *primitive, uint32_t *word, struct whorl__told *told);
    /* Who goes without it; granted: what was reserved for him is for others now. */
    void (*give_up)(void *primitive, uint32_t *word, bool granted, struct whorl__told *told);
};

/* What a primitive that has rules tells select.c of itself. */
struct whorl__line_place {
    void *primitive;
    struct whorl__line *line;
    struct whorl__rank *rank;
    const struct whorl__line_rules *rules;
};

/* The way of a primitive's user through its line: 0, or what stander_begin and line_wait say. */
WHORL_MUST_USE int whorl__line_pass(void *primitive, struct whorl__line *line,
                                    struct whorl__rank *rank,
                                    const struct whorl__line_rules *rules, int64_t deadline_ns);

/* What was to be destroyed is in use: to the exception handler. */
void whorl__line_report_use(const char *message);

/* Whose line is to end. */
struct whorl__line_end {
    const void *primitive; /* as the program knows it */
    const char *name;      /* "lock" */
    struct whorl__rank *ranks;
    size_t rank_count;
    uint32_t busy;         /* set in its word: it is in use */
};

/*
 * Nobody will use it any more: from here on -EINVAL. 0, -ECHILD, -EINVAL (it was destroyed before),
 * -EBUSY: somebody waits, who is named in a report, or it is in use.
 */
int whorl__line_destroy(struct whorl__line *line, const struct whorl__line_end *end);

#endif
