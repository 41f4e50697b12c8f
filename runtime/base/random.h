/*
 * random.h - a small seeded generator: victims of steals, jitter, tests. Not for secrets.
 *
 * Owns:       nothing.
 * Threads:    one a generator; each loop has its own.
 * Invariant:  the same seed gives the same numbers on every machine.
 * Not chosen: rand_r and random_r: short periods, a different sequence in each C library.
 */
#ifndef WHORL_BASE_RANDOM_H
#define WHORL_BASE_RANDOM_H

#include "base/assert.h"

#include <stdint.h>

struct whorl__random {
    uint64_t state;
};

/* Any seed is a good one; neighbouring seeds give unrelated sequences. */
static inline void whorl__random_init(struct whorl__random *random, uint64_t seed)
{
    random->state = seed;
}

/* splitmix64 (Steele, Lea, Flood 2014): a counter, hashed; every value comes once in 2^64. */
static inline uint64_t whorl__random_u64(struct whorl__random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = random->state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* 0 .. bound - 1. Scales by a multiplication; for a 32-bit bound its bias is below 2^-32. */
static inline uint32_t whorl__random_below(struct whorl__random *random, uint32_t bound)
{
    WHORL_ASSERT(bound > 0);
    return (uint32_t)(((whorl__random_u64(random) >> 32) * bound) >> 32);
}

#endif
