/*
 * idle.c - which loops search, which sleep, whom to wake.
 *
 * Owns:       runtime->idle.
 * Threads:    any loop; foreign threads notify.
 * Invariant:  work that may be stolen, nobody searching, somebody asleep => a wake-up is under way.
 *             idle.word counts the searching and the sleeping; a loop that was woken to search is
 *             counted as searching by the one who woke it, from that moment on.
 *             sleepers has a bit for each loop counted as sleeping.
 * Pairs:      I1  notify: work published, full fence, read idle.word
 *                 sleep:  idle.word: searching - 1, sleeping + 1; full fence; look at all queues
 *                 and so who stops to search for a task of its own: stop_searching in worker.c
 *
 * Losing interleaving, without the fences (each reads before its own write is seen by the other):
 *
 *   loop 0                                   loop 1, the last searcher
 *                                            looked everywhere: nothing
 *   publish a task
 *   read idle.word: searching 1, so          searching 0, sleeping 1
 *   nobody needs waking
 *                                            sleeps; the task waits for loop 0, which may be busy
 *
 * Ours: loop 1, when nobody searches any more, looks at every queue again after it has said that it
 * sleeps. Either loop 0 reads what loop 1 wrote, and wakes it; or loop 1 sees the task.
 *
 * A loop that may not sleep counts as a searcher again in the step in which it stops to count as a
 * sleeper: what it has seen, or what a publisher has left to it as the searcher it was, is still to
 * be found by it. It takes that as a searcher, or says that it searches no longer.
 *
 * A loop that finds work while it was the last to search wakes the next one: so a burst of work
 * wakes the loops one by one, each by the one before, and never a herd.
 *
 * At most half of the loops search at a time; the others go to sleep at once and need not look
 * again, for a searcher will.
 *
 * Not chosen: a hand-over of the task itself to a sleeping loop: the owner often gets to it first.
 *             membarrier by who goes to sleep, and no fence in notify: docs/decisions/014.
 */
#include "sched/sched.h"

#define SEARCHING_ONE  UINT32_C(1)
#define SEARCHING_MASK UINT32_C(0xffff)
#define SLEEPING_ONE   UINT32_C(0x10000)

static uint32_t searching(uint32_t word)
{
    return word & SEARCHING_MASK;
}

static uint32_t sleeping(uint32_t word)
{
    return word / SLEEPING_ONE;
}

bool whorl__idle_search_begin(struct whorl__runtime *runtime)
{
    uint32_t old = whorl__load_relaxed_u32(&runtime->idle.word); /* relaxed: the cas checks it */
    do {
        if (2 * searching(old) >= runtime->loop_count) {
            return false;
        }
    } while (!whorl__cas_value_u32(&runtime->idle.word, &old, old + SEARCHING_ONE));
    return true;
}

bool whorl__idle_search_end(struct whorl__runtime *runtime)
{
    const uint32_t old = whorl__add_u32(&runtime->idle.word, -SEARCHING_ONE);
    WHORL_ASSERT(searching(old) > 0);
    return searching(old) == 1;
}

/* The nearest sleeping loop; under the lock, when there is one. */
static struct whorl__loop *pick_sleeper_locked(struct whorl__loop *from,
                                               struct whorl__runtime *runtime)
{
    uint64_t *const sleepers = runtime->idle.sleepers;
    for (unsigned i = 0; from != NULL && i + 1 < runtime->loop_count; i++) {
        const unsigned victim = from->victims[i];
        if (sleepers[victim / 64] >> (victim % 64) & 1) {
            return runtime->loops[victim];
        }
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        if (sleepers[i / 64] >> (i % 64) & 1) {
            return runtime->loops[i];
        }
    }
    return NULL;
}

static WHORL_COLD struct whorl__loop *claim_sleeper(struct whorl__loop *from,
                                                    struct whorl__runtime *runtime)
{
    struct whorl__idle *const idle = &runtime->idle;
    struct whorl__loop *chosen = NULL;
    whorl__spin_lock(&idle->lock);
    uint32_t old = whorl__load_relaxed_u32(&idle->word); /* relaxed: the cas checks it */
    while (searching(old) == 0 && sleeping(old) > 0) {
        if (whorl__cas_value_u32(&idle->word, &old, old + SEARCHING_ONE - SLEEPING_ONE)) {
            chosen = pick_sleeper_locked(from, runtime);
            WHORL_ASSERT(chosen != NULL);
            whorl__plain_write(&idle->sleepers);
            idle->sleepers[chosen->index / 64] &= ~(UINT64_C(1) << (chosen->index % 64));
            break;
        }
    }
    whorl__spin_unlock(&idle->lock);
    return chosen;
}

void whorl__idle_notify(struct whorl__loop *from, struct whorl__runtime *runtime)
{
    if (from != NULL && !runtime->shares) {
        return; /* the only loop is awake: it is the one that asks */
    }
    whorl__fence_full(); /* pairs I1 */
    const uint32_t word = whorl__load_relaxed_u32(&runtime->idle.word); /* relaxed: fenced */
    if (WHORL_LIKELY(searching(word) > 0 || sleeping(word) == 0)) {
        return;
    }
    struct whorl__loop *const chosen = claim_sleeper(from, runtime);
    if (chosen != NULL) {
        whorl__poller_wake(&chosen->poller);
        if (from != NULL) {
            whorl__count(&from->stats.wakes, 1);
        }
    }
}

static void announce_sleep(struct whorl__loop *loop)
{
    struct whorl__idle *const idle = &loop->runtime->idle;
    whorl__spin_lock(&idle->lock);
    whorl__plain_write(&idle->sleepers);
    idle->sleepers[loop->index / 64] |= UINT64_C(1) << (loop->index % 64);
    (void)whorl__add_u32(&idle->word, SLEEPING_ONE - (loop->searching ? SEARCHING_ONE : 0));
    whorl__spin_unlock(&idle->lock);
    whorl__store_relaxed_u32(&loop->searching, 0); /* relaxed: for dumps */
}

/* True: nobody had woken it, and it has taken itself off the list. If it may not sleep for what is
 * to be done, it searches on from the same moment. */
static bool withdraw_sleep(struct whorl__loop *loop)
{
    const uint32_t search = loop->searches_on ? SEARCHING_ONE : 0;
    struct whorl__idle *const idle = &loop->runtime->idle;
    const uint64_t bit = UINT64_C(1) << (loop->index % 64);
    whorl__spin_lock(&idle->lock);
    whorl__plain_write(&idle->sleepers);
    const bool listed = (idle->sleepers[loop->index / 64] & bit) != 0;
    if (listed) {
        idle->sleepers[loop->index / 64] &= ~bit;
        (void)whorl__add_u32(&idle->word, search - SLEEPING_ONE);
    }
    whorl__spin_unlock(&idle->lock);
    return listed;
}

bool whorl__idle_sleep_begin(struct whorl__loop *loop)
{
    struct whorl__runtime *const runtime = loop->runtime;
    const bool searched = loop->searching;
    /* relaxed: the fence below orders it, P1 */
    whorl__store_relaxed_u32(&loop->sleeping, 1);
    if (runtime->stealing) {
        announce_sleep(loop);
    }
    whorl__fence_full(); /* pairs I1, and P1 of loop.c */
    const uint32_t word = whorl__load_relaxed_u32(&runtime->idle.word); /* relaxed: fenced */
    const bool nobody_searches = runtime->stealing && searching(word) == 0;
    const bool own_work =
        whorl__loop_has_own_work(loop) ||
        whorl__load_acquire_u32(&runtime->stop); /* acquire, pairs the store that stops all */
    loop->searches_on = own_work ? searched
                                 : nobody_searches && whorl__steal_something_there(loop);
    return !own_work && !loop->searches_on;
}

void whorl__idle_sleep_end(struct whorl__loop *loop)
{
    /* relaxed: a waker that still sees 1 causes one needless wake-up */
    whorl__store_relaxed_u32(&loop->sleeping, 0);
    if (loop->runtime->stealing && (!withdraw_sleep(loop) || loop->searches_on)) {
        /* relaxed: for dumps; it is counted by whoever woke it, or by withdraw_sleep */
        whorl__store_relaxed_u32(&loop->searching, 1);
    }
    loop->searches_on = false;
}

bool whorl__idle_someone_searches(const struct whorl__runtime *runtime)
{
    return searching(whorl__load_relaxed_u32(&runtime->idle.word)) > 0; /* relaxed: a hint */
}

bool whorl__idle_all_sleep(struct whorl__runtime *runtime)
{
    if (whorl__load_relaxed_u32(&runtime->halt.all)) { /* relaxed: a hint */
        return true;
    }
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        if (!whorl__load_relaxed_u32(&runtime->loops[i]->sleeping)) { /* relaxed: a hint */
            return false;
        }
    }
    return true;
}
