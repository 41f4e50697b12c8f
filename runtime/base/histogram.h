/*
 * histogram.h - how often which value came, in fixed memory: for latencies and sizes.
 *
 * Owns:       its buckets.
 * Threads:    one at a time; a loop records in its own, a report merges copies.
 * Invariant:  count is the sum of the buckets.
 * Error:      values below 128 are exact. Above, a value is known within 1/64 of itself (1.6 %):
 *             each power of two is cut into 64 buckets of equal width.
 * Not chosen: exact samples. They need memory for each, and a sort to answer.
 */
#ifndef WHORL_BASE_HISTOGRAM_H
#define WHORL_BASE_HISTOGRAM_H

#include "base/compiler.h"

/* Two groups of 64 with buckets of width 1, then one group for each of the widths 2 .. 2^56. */
#define WHORL_HISTOGRAM_GROUP   64
#define WHORL_HISTOGRAM_BUCKETS (WHORL_HISTOGRAM_GROUP * (2 + 56))

struct whorl__histogram {
    uint64_t count;
    int64_t max;
    uint64_t buckets[WHORL_HISTOGRAM_BUCKETS];
};

void whorl__histogram_init(struct whorl__histogram *histogram);

/* Counts one value; a negative one counts as 0. */
void whorl__histogram_record(struct whorl__histogram *histogram, int64_t value);

/* Adds all of `from` to `to`. */
void whorl__histogram_merge(struct whorl__histogram *to, const struct whorl__histogram *from);

/*
 * The least value known to have at least `percent` percent of all values at or below it; never less
 * than the true one and at most 1.6 % more. 0 when nothing was recorded.
 */
int64_t whorl__histogram_percentile(const struct whorl__histogram *histogram, double percent);

static inline uint64_t whorl__histogram_count(const struct whorl__histogram *histogram)
{
    return histogram->count;
}

/* Exact; 0 when nothing was recorded. */
static inline int64_t whorl__histogram_max(const struct whorl__histogram *histogram)
{
    return histogram->max;
}

#endif
