/*
 * mark.h - words by which tasks and threads of a test tell each other how far they are.
 *
 * Busy waiting is how a task holds its loop; it ends with the event it is there for, and the bound
 * only keeps a broken build from hanging.
 */
#ifndef WHORL_TESTS_SUPPORT_MARK_H
#define WHORL_TESTS_SUPPORT_MARK_H

#include "atomic/atomic.h"
#include "whorl.h"

#define BOUND_NS (20 * WHORL_SECOND)

/* Holds the calling thread until the word has reached `least`. False: the bound has passed. */
static inline bool compute_until(uint32_t *word, uint32_t least)
{
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (whorl__load_acquire_u32(word) < least) { /* acquire, pairs mark */
        if (whorl_now() >= end_ns) {
            return false;
        }
        whorl__pause();
    }
    return true;
}

/* The same, giving way between looks. */
static inline bool yield_until(uint32_t *word, uint32_t least)
{
    const int64_t end_ns = whorl_after(BOUND_NS);
    while (whorl__load_acquire_u32(word) < least) { /* acquire, pairs mark */
        if (whorl_now() >= end_ns || whorl_yield() != 0) {
            return false;
        }
    }
    return true;
}

static inline void mark(uint32_t *word)
{
    (void)whorl__add_u32(word, 1); /* release half, pairs the loads above */
}

static inline uint32_t level_of(uint32_t *word)
{
    return whorl__load_acquire_u32(word); /* acquire, pairs mark */
}

#endif
