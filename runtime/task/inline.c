/*
 * inline.c - a task that has not begun is awaited, and begins where that is done.
 *
 *   awaiter                              its child
 *   spawn                                OPEN, in the ring (sched/entry.h)
 *   ...                                  may be taken by its own loop, or by a thief, as any task
 *   await: claim it                      held by the awaiter; its entry in the ring is stale
 *     run it, as a call                  RUNNING, on a fiber of its own, until it waits or ends
 *     done?  go on                       DONE: the awaiter was not suspended
 *     else   park, as ever               PARKED or READY: a task like any other from now on
 *
 * The awaiter is not parked meanwhile, and not queued, and nobody has to wake it. It is found as
 * the one whose call the loop is in (loop->nested); it has said what it awaits before, so a cancel
 * goes on to the child as if the awaiter were parked. Two switches of fibers are what is left of a
 * trip through the queues, a park and a wake-up.
 *
 * What it awaits it says without its lock, by `awaited` with a tag (state/task.h), and takes back
 * likewise, just before the child is DONE. Others look at `awaited` under the awaiter's lock:
 *
 *   losing order                                ours
 *   asker:   finds `awaited`                    asker:   finds the tag: sets VISIT, looks again
 *   awaiter: its child ends; goes on, and       awaiter: `awaited` := NULL, the child's word DONE
 *            gives the child back                        (a cas), then its own word: VISIT is
 *   asker:   refers to what is free                      there, so it takes the lock and goes on
 *
 * Each stores, has a full fence by its cas, and looks at what the other stores: one of them sees
 * the other's, and an asker that sees NULL looks at no child. One that comes too early for the tag
 * leaves CANCEL, as with a task that awaits nothing. The awaiter finds that when it has claimed the
 * child, or when the child has ended; or when it parks after all. Then it stores `awaited` anew
 * under its lock, passes on what is pending, and is from then on like any other (task/cancel.c).
 *
 * Who gets the child if a thief comes at the same time is decided by its word: see OPEN in
 * state/state.h, with the losing interleaving.
 *
 * Only where the awaiter cannot go on before the child has ended: await, and what is made of it.
 * A wait with a deadline of its own, or for one of several, must not be held up by the child: those
 * never come here. The budget is that of the turn (sched/worker.c): when it is spent, the child is
 * the next to run, and the awaiter parks. So a chain of awaits holds its loop for one turn.
 *
 * Owns:       `awaited` of a task, where it has the tag.
 * Threads:    the loop of the awaiter.
 * Invariant:  who was claimed here has run, or is in the hot slot, when inline_run returns.
 * Pairs:      I2  `awaited` := NULL, a cas, the own word - VISIT by a cas, `awaited`: cancel.c
 *             I3  `awaited` := child (release) - awaited_hold (acquire): what the child is
 * Not chosen: the awaiter's stack for both; see docs/decisions/012-inline-await.md.
 */
#include "task/inline.h"

#include "sched/entry.h"
#include "sched/strand.h"
#include "task/cancel.h"
#include "task/debugging.h"
#include "task/task.h"

#include <stdlib.h>
#include <string.h>

bool whorl__inline_wanted(uint64_t flags)
{
    const char *const word = secure_getenv("WHORL_INLINE");
    return (flags & WHORL_NO_INLINE) == 0 && (word == NULL || strcmp(word, "0") != 0);
}

/*
 * What is open has no pin, no strand, no strict loop, and is of the loop's own runtime or is left
 * alone. An awaiter that has the turn of a strand gives it up by parking. One that is pinned, in a
 * blocking section, in the exception handler or that holds a lock of the program's is to wait as it
 * always did: others count on it. Debug mode times each step by itself.
 */
static bool may_begin_here(const struct whorl__loop *here, const struct whorl_task *awaiter,
                           const struct whorl_task *child)
{
    return child->runtime == here->runtime && whorl__strand_of(awaiter) == NULL &&
           awaiter->pin == 0 && whorl__rescue_section(here) == NULL &&
           !whorl__debugs(here->runtime);
}

static bool has_bars(const struct whorl__loop *here)
{
    return here->bars.reporting || here->bars.locks + here->bars.noted > 0;
}

/* It catches an exception, or there is one on its way. */
static WHORL_COLD void run_beside_exception(struct whorl__loop *here, struct whorl_task *child)
{
    struct whorl__cxx *const own = here->cxx_own;
    const struct whorl__cxx held = *own;
    *own = (struct whorl__cxx){0};
    whorl__sched_run_awaited(here, child);
    *own = held;
}

/* One word tells of bars and exceptions, as when a task leaves; a child may end with a bar. */
static void run(struct whorl__loop *here, struct whorl_task *child)
{
    const int saved_errno = *here->errno_at;
    if (WHORL_UNLIKELY(whorl__cxx_holds(here->cxx))) {
        run_beside_exception(here, child);
    } else {
        whorl__sched_run_awaited(here, child);
    }
    if (WHORL_UNLIKELY(has_bars(here))) {
        whorl__loop_set_bars(here, (struct whorl__bars){.locks = 0});
    }
    *here->errno_at = saved_errno;
}

/* True: the child is the awaiter's to run, and a request for the awaiter goes to the child. */
static bool claim(struct whorl_task *awaiter, struct whorl_task *child)
{
    /* relaxed: the claim's cas decides, and the awaiter has a reference: the epoch is the task's */
    const uint64_t word = whorl__load_relaxed_u64(&child->word);
    whorl__store_release_ptr(&awaiter->awaited, whorl__awaited_here(child)); /* I3 */
    if (!whorl__state_claim(&child->word, whorl__state_epoch(word))) {
        whorl__cancel_await_end(awaiter); /* somebody else was faster; a look at it is over then */
        return false;
    }
    whorl__entry_forget(awaiter->loop, child, whorl__state_epoch(word));
    if (WHORL_UNLIKELY(whorl__state_cancel_pending(&awaiter->word))) {
        (void)whorl__cancel_await_begin(awaiter, &child->future);
    }
    return true;
}

struct whorl_task *whorl__inline_run(struct whorl_task *child)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl_task *const awaiter = here != NULL ? here->current : NULL;
    if (awaiter == NULL || whorl__task_is_inherited(child) ||
        !may_begin_here(here, awaiter, child) ||
        (whorl__cxx_holds(here->cxx) && has_bars(here))) {
        return NULL;
    }
    /* Before the claim: it may ask the clock, and a child that is claimed is in no queue. */
    const bool now = whorl__sched_may_begin(here);
    if (!claim(awaiter, child)) {
        return NULL;
    }
    if (WHORL_LIKELY(now)) {
        run(here, child);
    } else {
        whorl__sched_submit(child);
    }
    return awaiter;
}
