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
 * Who gets the child if a thief comes at the same time is decided by its word: see OPEN in
 * state/state.h, with the losing interleaving.
 *
 * Only where the awaiter cannot go on before the child has ended: await, and what is made of it.
 * A wait with a deadline of its own, or for one of several, must not be held up by the child: those
 * never come here. The budget is that of the turn (sched/worker.c): when it is spent, the child is
 * the next to run, and the awaiter parks. So a chain of awaits holds its loop for one turn.
 *
 * Owns:       nothing.
 * Threads:    the loop of the awaiter.
 * Invariant:  who was claimed here has run, or is in the hot slot, when inline_begin returns.
 * Not chosen: the awaiter's stack for both; see docs/decisions/012-inline-await.md.
 */
#include "task/inline.h"

#include "sched/entry.h"
#include "sched/strand.h"
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
    const struct whorl__bars *const bars = &here->bars;
    return child->runtime == here->runtime && whorl__strand_of(awaiter) == NULL &&
           awaiter->pin == 0 && !bars->reporting &&
           bars->locks + bars->noted == 0 && whorl__rescue_section(here) == NULL &&
           !whorl__debugs(here->runtime);
}

static void begin(struct whorl__loop *here, struct whorl_task *awaiter, struct whorl_task *child)
{
    /* relaxed: the claim's cas decides, and the awaiter has a reference: the epoch is the task's */
    const uint64_t word = whorl__load_relaxed_u64(&child->word);
    if (!may_begin_here(here, awaiter, child)) {
        return;
    }
    const bool now = whorl__sched_may_begin(here);
    if (!whorl__state_claim(&child->word, whorl__state_epoch(word))) {
        return; /* somebody else was faster */
    }
    whorl__entry_forget(here, child, whorl__state_epoch(word));
    if (WHORL_LIKELY(now)) {
        whorl__task_run_here(here, child);
    } else {
        whorl__sched_submit(child);
    }
}

void whorl__inline_begin(struct whorl_task *awaiter, struct whorl_future *future)
{
    if (future->kind != WHORL__FUTURE_TASK) {
        return;
    }
    struct whorl_task *const child = whorl__task_of_future(future);
    /* relaxed: as in begin */
    if ((whorl__load_relaxed_u64(&child->word) & WHORL__OPEN) != 0) {
        begin(awaiter->loop, awaiter, child);
    }
}
