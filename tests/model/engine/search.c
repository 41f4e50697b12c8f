/*
 * search.c - where an execution's choices come from.
 *
 * Owns:       engine.decisions, the list of what was answered, and how many answers there were.
 * Invariant:  every question with more than one answer is in the list, whatever the search; so a
 *             list taken from one search repeats in another.
 *
 *   seed         a quarter of the seeds are a uniform walk, a quarter stay with a thread for a
 *                while, half are PCT (Burckhardt and others, 2010): threads have random
 *                priorities, the highest runs, and at d - 1 random steps the running one falls to
 *                the bottom. A bug that needs d ordered events in k steps among n threads is then
 *                hit with a chance of at least 1/(n * k^(d-1)).
 *   exhaustive   depth first: the list of the last execution, with its last answer that has a
 *                successor counted up. Answers that cost (preempting a thread that could go on,
 *                keeping a store in a buffer, returning an old value) are limited by a bound, as
 *                most bugs need few of them.
 *   repeat       a list; beyond its end every answer is 0.
 */
#include "model/engine/engine.h"

enum { CHANCE_ALL = 256 };

/* ---- seeds ---- */

static unsigned one_of(const unsigned *values, unsigned count)
{
    return values[whorl__random_below(&engine.random, count)];
}

static void begin_pct(void)
{
    engine.change_count = 1 + whorl__random_below(&engine.random, 4); /* d - 1 */
    for (unsigned i = 0; i < engine.thread_count; i++) {
        engine.threads[i].priority = 16 + whorl__random_below(&engine.random, 1U << 16);
    }
    for (unsigned i = 0; i < engine.change_count; i++) {
        engine.change_at[i] = 1 + whorl__random_below(&engine.random, engine.usual_steps + 8);
    }
}

void search_begin_seed(uint64_t seed)
{
    static const unsigned stickiness[] = {0, 0, 4, 7};
    static const unsigned flushes[] = {128, 64, 200};
    static const unsigned holds[] = {128, 224, 32};
    static const unsigned stales[] = {16, 64, 128};
    engine.search = MODEL_RANDOM;
    engine.given_count = 0;
    whorl__random_init(&engine.random, seed);
    engine.stickiness = one_of(stickiness, 4);
    engine.flush_chance = one_of(flushes, 3);
    engine.hold_chance = one_of(holds, 3);
    engine.stale_chance = one_of(stales, 3);
    engine.pct = whorl__random_below(&engine.random, 2) == 0;
    engine.change_count = 0;
    if (engine.pct) {
        begin_pct();
    }
}

static unsigned prefer_by_priority(struct model_thread *const *threads, unsigned count)
{
    for (unsigned i = 0; i < engine.change_count; i++) {
        if (engine.change_at[i] == engine.steps && engine.current != NULL) {
            engine.current->priority = 1 + i;
        }
    }
    unsigned best = 0;
    for (unsigned i = 1; i < count; i++) {
        if (threads[i]->priority > threads[best]->priority) {
            best = i;
        }
    }
    return best;
}

unsigned search_prefer(struct model_thread *const *threads, unsigned count, bool current_first)
{
    if (engine.pct) {
        return prefer_by_priority(threads, count);
    }
    if (count == 1 ||
        (current_first && whorl__random_below(&engine.random, 8) < engine.stickiness)) {
        return 0;
    }
    return whorl__random_below(&engine.random, count);
}

/* What a seed answers to anything but "which thread". */
static unsigned wanted_by_seed(enum model_choice kind, unsigned count)
{
    unsigned chance = CHANCE_ALL;
    switch (kind) {
    case MODEL_CHOOSE_THREAD:
    case MODEL_CHOOSE_VALUE:
        break;
    case MODEL_CHOOSE_FLUSH:
        chance = engine.flush_chance;
        break;
    case MODEL_CHOOSE_HOLD:
        chance = engine.hold_chance;
        break;
    case MODEL_CHOOSE_STORE:
    case MODEL_CHOOSE_PLACE:
        chance = engine.stale_chance;
        break;
    }
    if (chance == CHANCE_ALL) {
        return whorl__random_below(&engine.random, count);
    }
    const bool unusual = whorl__random_below(&engine.random, CHANCE_ALL) < chance;
    return unusual ? 1 + whorl__random_below(&engine.random, count - 1) : 0;
}

/* ---- depth first ---- */

void search_begin_exhaustive(unsigned bound)
{
    engine.search = MODEL_EXHAUSTIVE;
    engine.given_count = 0;
    engine.decision_count = 0;
    engine.budget = bound;
}

bool search_next_exhaustive(unsigned bound)
{
    unsigned count = engine.decision_count;
    while (count > 0 &&
           engine.decisions[count - 1].picked + 1U >= engine.decisions[count - 1].allowed) {
        count--;
    }
    engine.given_count = count;
    engine.budget = bound;
    if (count == 0) {
        return false;
    }
    engine.decisions[count - 1].picked++;
    return true;
}

void search_begin_repeat(void)
{
    engine.search = MODEL_REPEAT;
}

/* ---- answers ---- */

unsigned search_answer(unsigned wanted, unsigned free_count, unsigned costly_count)
{
    const unsigned all = free_count + costly_count;
    if (all <= 1) {
        return 0;
    }
    const unsigned at = engine.decision_count;
    if (at == MODEL_CHOICES_MAX) {
        run_fail("livelock: more than %u choices", MODEL_CHOICES_MAX);
    }
    struct model_decision *const decision = &engine.decisions[at];
    engine.decision_count++;
    if (engine.search == MODEL_RANDOM) {
        decision->picked = (uint16_t)wanted;
    } else if (at >= engine.given_count || decision->picked >= all) {
        decision->picked = 0;
    }
    if (engine.search == MODEL_EXHAUSTIVE) {
        decision->allowed = (uint16_t)(engine.budget > 0 ? all : free_count);
        engine.budget -= decision->picked >= free_count;
    }
    return decision->picked;
}

unsigned search_choose(enum model_choice kind, unsigned free_count, unsigned costly_count)
{
    const unsigned all = free_count + costly_count;
    unsigned wanted = 0;
    if (engine.search == MODEL_RANDOM && all > 1) {
        wanted = wanted_by_seed(kind, all);
    }
    return search_answer(wanted, free_count, costly_count);
}
