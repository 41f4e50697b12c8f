/*
 * histogram.c - where a value is counted, and what a bucket stands for.
 *
 *   value          0 .. 63   64 .. 127   128 .. 255   256 .. 511   ...   2^62 .. 2^63 - 1
 *   bucket width   1         1           2            4                  2^56
 *   bucket         0 .. 63   64 .. 127   128 .. 191   192 .. 255   ...   3648 .. 3711
 *
 * Owns:       see histogram.h.
 * Threads:    one at a time.
 * Invariant:  from group 1 on, a bucket of width 2^s holds values whose upper seven bits are the
 *             same and begin with a one, so its width is at most 1/64 of any of them.
 * Not chosen: logarithms of floating point; a count of leading zeros is exact and one instruction.
 */
#include "base/histogram.h"

#include "base/assert.h"

#include <string.h>

enum { GROUP = WHORL_HISTOGRAM_GROUP, GROUP_BITS = 6 };

WHORL_STATIC(1 << GROUP_BITS == GROUP, "a group is what six bits can count");

static size_t bucket_of(int64_t value)
{
    WHORL_ASSERT(value >= 0);
    if (value < GROUP) {
        return (size_t)value;
    }
    const int shift = 63 - GROUP_BITS - __builtin_clzll((unsigned long long)value);
    const size_t bucket = (size_t)(value >> shift) + (size_t)shift * GROUP;
    WHORL_ASSERT(bucket >= GROUP && bucket < WHORL_HISTOGRAM_BUCKETS);
    return bucket;
}

/* The largest value that is counted in this bucket. */
static int64_t largest_in(size_t bucket)
{
    WHORL_ASSERT(bucket < WHORL_HISTOGRAM_BUCKETS);
    if (bucket < GROUP) {
        return (int64_t)bucket;
    }
    const size_t shift = bucket / GROUP - 1;
    const uint64_t next = (uint64_t)(bucket - shift * GROUP + 1) << shift;
    return (int64_t)(next - 1);
}

void whorl__histogram_init(struct whorl__histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void whorl__histogram_record(struct whorl__histogram *histogram, int64_t value)
{
    const int64_t counted = value < 0 ? 0 : value;
    histogram->buckets[bucket_of(counted)]++;
    histogram->count++;
    if (counted > histogram->max) {
        histogram->max = counted;
    }
}

void whorl__histogram_merge(struct whorl__histogram *to, const struct whorl__histogram *from)
{
    for (size_t i = 0; i < WHORL_HISTOGRAM_BUCKETS; i++) {
        to->buckets[i] += from->buckets[i];
    }
    to->count += from->count;
    if (from->max > to->max) {
        to->max = from->max;
    }
}

/* How many values must lie at or below the answer: percent of count, rounded up, at least one. */
static uint64_t rank_of(const struct whorl__histogram *histogram, double percent)
{
    const double exact = percent / 100.0 * (double)histogram->count;
    const uint64_t whole = (uint64_t)exact;
    const uint64_t rank = whole + ((double)whole < exact);
    if (rank == 0) {
        return 1;
    }
    return rank < histogram->count ? rank : histogram->count;
}

int64_t whorl__histogram_percentile(const struct whorl__histogram *histogram, double percent)
{
    WHORL_ASSERT(percent >= 0.0);
    WHORL_ASSERT(percent <= 100.0);
    if (histogram->count == 0) {
        return 0;
    }
    const uint64_t rank = rank_of(histogram, percent);
    uint64_t seen = 0;
    size_t bucket = 0;
    for (;; bucket++) {
        WHORL_ASSERT(bucket < WHORL_HISTOGRAM_BUCKETS);
        seen += histogram->buckets[bucket];
        if (seen >= rank) {
            break;
        }
    }
    const int64_t largest = largest_in(bucket);
    return largest < histogram->max ? largest : histogram->max;
}
