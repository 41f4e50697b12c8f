/*
 * steal.c - an idle loop looks for work elsewhere: nearest first, half of what is there.
 *
 * Owns:       nothing; the ring's argument stands in lockfree/runqueue.c.
 * Threads:    the searching loop's.
 * Invariant:  every pass looks at every other loop once; inside one level of distance it begins at
 *             a random one, so that searchers do not all meet at the same victim.
 *             A batch of stale entries (entry.h) is no work found: it is dropped, and the search
 *             goes on.
 *             Hot slots are taken in the last pass only: the owner is about to run what is there,
 *             and will find it in its cache.
 */
#include "sched/entry.h"

#ifndef WHORL__STEAL_PASSES
#    define WHORL__STEAL_PASSES 3
#endif

/* The rest of the batch is in the loop's ring, where nothing was before. */
static struct whorl_task *first_live(struct whorl__loop *loop, void *first, unsigned count)
{
    struct whorl_task *const task = whorl__entry_claim(&loop->runtime->slots, first);
    return task != NULL || count == 1 ? task : whorl__entry_take(loop);
}

static struct whorl_task *steal_from(struct whorl__loop *loop, struct whorl__loop *victim,
                                     bool hot_too)
{
    void *first = NULL;
    struct whorl_task *task = NULL;
    whorl__count(&loop->stats.steals_tried, 1);
    unsigned count = whorl__runqueue_steal_half(&victim->queue, &loop->queue, &first);
    if (count > 0) {
        task = first_live(loop, first, count);
    }
    /* relaxed: a hint, the swap decides */
    if (task == NULL && hot_too && whorl__load_relaxed_ptr(&victim->hot) != NULL) {
        task = whorl__swap_ptr(&victim->hot, NULL);
        count = 1;
    }
    if (task != NULL) {
        whorl__count(&loop->stats.steals, 1);
        whorl__count(&loop->stats.stolen, count);
    }
    return task;
}

/* The loops of one level: victims[from] to victims[to - 1], from a random one on. */
static struct whorl_task *steal_level(struct whorl__loop *loop, unsigned from, unsigned to,
                                      bool hot_too)
{
    const unsigned count = to - from;
    const unsigned start = whorl__random_below(&loop->random, count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned victim = loop->victims[from + (start + i) % count];
        struct whorl_task *const task =
            steal_from(loop, loop->runtime->loops[victim], hot_too);
        if (task != NULL) {
            return task;
        }
    }
    return NULL;
}

static struct whorl_task *steal_pass(struct whorl__loop *loop, bool hot_too)
{
    const unsigned others = loop->runtime->loop_count - 1;
    unsigned from = 0;
    while (from < others) {
        unsigned to = from + 1;
        while (to < others && loop->victim_levels[to] == loop->victim_levels[from]) {
            to++;
        }
        struct whorl_task *const task = steal_level(loop, from, to, hot_too);
        if (task != NULL) {
            return task;
        }
        from = to;
    }
    return NULL;
}

struct whorl_task *whorl__steal(struct whorl__loop *loop)
{
    for (unsigned pass = 0; pass < WHORL__STEAL_PASSES; pass++) {
        struct whorl_task *const task = steal_pass(loop, pass + 1 == WHORL__STEAL_PASSES);
        if (task != NULL) {
            return task;
        }
    }
    return whorl__sched_take_shared(loop);
}

bool whorl__steal_something_there(struct whorl__loop *loop)
{
    struct whorl__runtime *const runtime = loop->runtime;
    if (whorl__load_acquire_u32(&runtime->shared.count) > 0) { /* acquire, pairs push_shared */
        return true;
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        if (whorl__runqueue_length(&runtime->loops[i]->queue) > 0) {
            return true;
        }
    }
    return whorl__rescue_is_wanted(loop);
}
