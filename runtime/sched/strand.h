/*
 * strand.h - tasks that never run at the same time: who of them has the turn. See strand.c.
 *
 * Owns:       future.strand of a task; the struct itself stands in sched.h.
 */
#ifndef WHORL_SCHED_STRAND_H
#define WHORL_SCHED_STRAND_H

#include "lockfree/spinlock.h"
#include "sched/sched.h"

/* The word: these, the members (bits 4-31), and the runtime whose they are (32-63). */
#define WHORL__STRAND_BUSY          UINT64_C(1)
#define WHORL__STRAND_WAITING       UINT64_C(2)
#define WHORL__STRAND_JOINED        UINT64_C(4)
#define WHORL__STRAND_DEAD          UINT64_C(8)
#define WHORL__STRAND_MEMBER        UINT64_C(16)
#define WHORL__STRAND_MEMBERS       UINT64_C(0xfffffff0)
#define WHORL__STRAND_RUNTIME_SHIFT 32

/* The task's, until it is done; NULL: none. By who holds the task, or is it, or visits it. */
static inline struct whorl__strand *whorl__strand_of(const struct whorl_task *task)
{
    /* relaxed: published with the task */
    return whorl__load_relaxed_ptr(&task->future.strand);
}

static inline void whorl__strand_set(struct whorl_task *task, struct whorl__strand *strand)
{
    whorl__store_relaxed_ptr(&task->future.strand, strand); /* relaxed: as above */
}

/* Whether its tasks ask for a turn: not in strict order with one loop, which has the order of a
 * strand by itself. In fast order one loop would let who was woken last run first. */
static inline bool whorl__strand_takes_turns(const struct whorl__runtime *runtime)
{
    return runtime->loop_count > 1 || runtime->stealing;
}

/* The same, and NULL where the tasks of a runtime take turns anyway. */
static inline struct whorl__strand *whorl__strand_shared(const struct whorl_task *task)
{
    struct whorl__strand *const strand = whorl__strand_of(task);
    if (WHORL_LIKELY(strand == NULL)) {
        return NULL;
    }
    return whorl__strand_takes_turns(task->runtime) ? strand : NULL;
}

/* ---- the turn ---- */

/* Takes the turn if nobody has it. */
WHORL_MUST_USE bool whorl__strand_try(struct whorl__strand *strand);

/* A ready task of a shared strand asks for the turn, or a call. False: it stands in line, and is
 * not the caller's any more. A call in line is run once: when it gets the turn, which it has to
 * pass on some time; or, `over`, without it. */
WHORL_MUST_USE bool whorl__strand_enter_slow(struct whorl__strand *strand,
                                             struct whorl__item *item);

/* As above, of any task: true where there is no line to stand in. */
WHORL_MUST_USE static inline bool whorl__strand_enter(struct whorl_task *task)
{
    struct whorl__strand *const strand = whorl__strand_shared(task);
    return WHORL_LIKELY(strand == NULL) || whorl__strand_enter_slow(strand, &task->item);
}

/* Who has the turn gives it up: the first in line is submitted. */
void whorl__strand_leave(struct whorl__strand *strand);

/* Who has the turn gives way, and asks for it again: who is to run now. */
struct whorl__item *whorl__strand_rotate(struct whorl__strand *strand, struct whorl__item *item);

/* Who has the turn, and keeps it, takes the first in line out; NULL: nobody is. */
struct whorl__item *whorl__strand_take(struct whorl__strand *strand);

/* Whether the turn belongs to who calls, on this loop, the task that runs: it is not given up by
 * that one. */
static inline bool whorl__strand_is_lent(const struct whorl__loop *loop,
                                         const struct whorl__strand *strand)
{
    return loop->nested != NULL && loop->nested->strand == strand;
}

/* ---- who is in it ---- */

/* One more, of this runtime; 0, -EINVAL (destroyed), -EXDEV (another one's are in it), -ECHILD. */
WHORL_MUST_USE int whorl__strand_admit(struct whorl__strand *strand,
                                       const struct whorl__runtime *runtime);

/* One less; with the turn, if it has that. Returns the future that is to be completed now, or
 * NULL; nothing of the strand is touched after. */
WHORL_MUST_USE void *whorl__strand_quit(struct whorl__strand *strand, bool has_turn);

/* What is to be said before it is used: 0, -EINVAL (destroyed), -ECHILD. */
WHORL_MUST_USE int whorl__strand_check(struct whorl__strand *strand);

/*
 * Somebody wants to know when nobody is in it. NULL: nobody is; else the future that will be
 * completed then: `future`, if there was none. keep is called with it, under the lock.
 */
void *whorl__strand_watch(struct whorl__strand *strand, void *future, void (*keep)(void *future));

/* No member ever: 0, -EBUSY (there are some), -EINVAL (it was before). */
WHORL_MUST_USE int whorl__strand_kill(struct whorl__strand *strand);

#endif
