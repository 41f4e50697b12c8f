/*
 * atend.c - the list of what is to be done at the end of a runtime.
 *
 * Owns:       runtime->at_ends.
 * Threads:    see atend.h.
 * Pairs:      the lock's own (K1): who removes and who calls take a node off under it, and only one
 *             of the two finds it there.
 */
#include "sched/atend.h"

#include "sched/sched.h"

#include <inttypes.h>
#include <stdlib.h>

/* The mark stands for all that the lock protects. */
static void lock(struct whorl__at_ends *at_ends)
{
    whorl__spin_lock(&at_ends->lock);
    whorl__plain_write(&at_ends->stages);
}

void whorl__at_ends_init(struct whorl__at_ends *at_ends)
{
    at_ends->lock = (struct whorl__spinlock){0};
    for (unsigned i = 0; i < WHORL__AT_END_STAGES; i++) {
        whorl__list_init(&at_ends->stages[i]);
    }
}

void whorl__at_end_add(struct whorl__runtime *runtime, enum whorl__at_end_stage stage,
                       struct whorl__at_end *self)
{
    struct whorl__at_ends *const at_ends = &runtime->at_ends;
    WHORL_ASSERT(self->function != NULL);
    lock(at_ends);
    whorl__list_push_front(&at_ends->stages[stage], &self->link);
    whorl__spin_unlock(&at_ends->lock);
}

bool whorl__at_end_remove(struct whorl__runtime *runtime, struct whorl__at_end *self)
{
    struct whorl__at_ends *const at_ends = &runtime->at_ends;
    lock(at_ends);
    const bool there = !whorl__list_is_empty(&self->link);
    whorl__list_remove(&self->link);
    whorl__spin_unlock(&at_ends->lock);
    return there;
}

static struct whorl__at_end *take(struct whorl__at_ends *at_ends, enum whorl__at_end_stage stage)
{
    lock(at_ends);
    struct whorl__list *const link = whorl__list_pop_front(&at_ends->stages[stage]);
    whorl__spin_unlock(&at_ends->lock);
    return link == NULL ? NULL : whorl_container_of(link, struct whorl__at_end, link);
}

static WHORL_COLD _Noreturn void give_up(struct whorl__runtime *runtime)
{
    whorl__log(runtime, "whorl: tasks have not ended after %d rounds of %" PRId64 " ms; aborting",
               runtime->end_rounds, runtime->end_round_ns / WHORL_MILLISECOND);
    abort();
}

void whorl__at_end_round(struct whorl__runtime *runtime, int *rounds)
{
    ++*rounds;
    if (*rounds == runtime->end_rounds) {
        give_up(runtime);
    }
}

bool whorl__at_ends_run(struct whorl__runtime *runtime, enum whorl__at_end_stage stage)
{
    struct whorl__at_end *next = take(&runtime->at_ends, stage);
    const bool any = next != NULL;
    while (next != NULL) {
        next->function(next);
        next = take(&runtime->at_ends, stage);
    }
    return any;
}
