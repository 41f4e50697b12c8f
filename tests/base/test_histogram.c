/*
 * The histogram, against the same values sorted.
 */
#include "base/histogram.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct whorl__histogram histogram;

/* Never less than the true value, and at most 1/64 more. */
static void expect_close(int64_t answer, int64_t truth)
{
    assert_true(answer >= truth);
    assert_true(answer - truth <= truth / 64);
}

static void test_histogram_empty_answers_zero(void **state)
{
    /* A report is printed before the first request as well. */
    (void)state;
    whorl__histogram_init(&histogram);
    assert_int_equal(whorl__histogram_count(&histogram), 0);
    assert_int_equal(whorl__histogram_max(&histogram), 0);
    assert_int_equal(whorl__histogram_percentile(&histogram, 99.0), 0);
}

static void test_histogram_small_values_are_exact(void **state)
{
    /* Below 128 each value has its own bucket, so queue lengths are counted exactly. */
    (void)state;
    for (int64_t value = 0; value < 128; value++) {
        whorl__histogram_init(&histogram);
        whorl__histogram_record(&histogram, value);
        whorl__histogram_record(&histogram, 1000);
        assert_int_equal(whorl__histogram_percentile(&histogram, 50.0), value);
    }
}

static void test_histogram_each_power_of_two_is_within_the_promised_error(void **state)
{
    /* Both sides of every border between groups, up to the largest number there is. */
    (void)state;
    for (int bit = 0; bit < 63; bit++) {
        for (int64_t offset = -1; offset <= 1; offset++) {
            const int64_t value = (INT64_C(1) << bit) + offset;
            whorl__histogram_init(&histogram);
            whorl__histogram_record(&histogram, value);
            whorl__histogram_record(&histogram, INT64_MAX);
            expect_close(whorl__histogram_percentile(&histogram, 50.0), value);
            assert_int_equal(whorl__histogram_percentile(&histogram, 100.0), INT64_MAX);
        }
    }
}

static void test_histogram_negative_counts_as_zero(void **state)
{
    /* A latency measured across two clocks may come out negative; it must not index outside. */
    (void)state;
    whorl__histogram_init(&histogram);
    whorl__histogram_record(&histogram, INT64_MIN);
    assert_int_equal(whorl__histogram_count(&histogram), 1);
    assert_int_equal(histogram.buckets[0], 1);
    assert_int_equal(whorl__histogram_max(&histogram), 0);
}

static int compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

enum { SAMPLES = 10000 };

/* Values of all magnitudes, as latencies have: a random number of random bits. */
static void draw_samples(int64_t *samples, uint64_t seed)
{
    struct whorl__random random;
    whorl__random_init(&random, seed);
    for (unsigned i = 0; i < SAMPLES; i++) {
        const uint32_t bits = whorl__random_below(&random, 40);
        samples[i] = (int64_t)(whorl__random_u64(&random) >> (63 - bits));
    }
}

static int64_t exact_percentile(const int64_t *sorted, unsigned permille)
{
    const unsigned rank = (SAMPLES * permille + 999) / 1000;
    return sorted[rank ? rank - 1 : 0];
}

static void test_histogram_percentiles_agree_with_sorted_samples(void **state)
{
    /* Recorded in two parts and merged, as the loops' histograms are. */
    (void)state;
    static const unsigned permilles[] = {0, 1, 10, 250, 500, 750, 900, 990, 999, 1000};
    static int64_t samples[SAMPLES];
    static struct whorl__histogram other;
    for (uint64_t seed = 0; seed < 20; seed++) {
        draw_samples(samples, seed);
        whorl__histogram_init(&histogram);
        whorl__histogram_init(&other);
        for (unsigned i = 0; i < SAMPLES; i++) {
            whorl__histogram_record(i % 3 ? &histogram : &other, samples[i]);
        }
        whorl__histogram_merge(&histogram, &other);
        qsort(samples, SAMPLES, sizeof(samples[0]), compare);
        assert_int_equal(whorl__histogram_count(&histogram), SAMPLES);
        assert_int_equal(whorl__histogram_max(&histogram), samples[SAMPLES - 1]);
        for (unsigned i = 0; i < sizeof(permilles) / sizeof(permilles[0]); i++) {
            expect_close(whorl__histogram_percentile(&histogram, permilles[i] / 10.0),
                         exact_percentile(samples, permilles[i]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_empty_answers_zero),
        cmocka_unit_test(test_histogram_small_values_are_exact),
        cmocka_unit_test(test_histogram_each_power_of_two_is_within_the_promised_error),
        cmocka_unit_test(test_histogram_negative_counts_as_zero),
        cmocka_unit_test(test_histogram_percentiles_agree_with_sorted_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
