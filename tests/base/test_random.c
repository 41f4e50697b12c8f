/*
 * The seeded generator.
 */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static void test_random_gives_the_published_sequence(void **state)
{
    /* A seed must mean the same run on every machine; these are splitmix64's reference values. */
    (void)state;
    static const uint64_t expected[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    struct whorl__random random;
    whorl__random_init(&random, 1234567);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(whorl__random_u64(&random) == expected[i]);
    }
}

static void test_random_below_reaches_each_number_about_equally_often(void **state)
{
    /* A victim that is never chosen would never be robbed; one that always is, a hot spot. */
    (void)state;
    enum { BOUND_MAX = 17, DRAWS_EACH = 4000 };
    struct whorl__random random;
    whorl__random_init(&random, 0);
    for (uint32_t bound = 1; bound <= BOUND_MAX; bound++) {
        unsigned hits[BOUND_MAX] = {0};
        for (unsigned draw = 0; draw < DRAWS_EACH * bound; draw++) {
            const uint32_t number = whorl__random_below(&random, bound);
            assert_true(number < bound);
            hits[number]++;
        }
        for (uint32_t number = 0; number < bound; number++) {
            assert_in_range(hits[number], DRAWS_EACH * 9 / 10, DRAWS_EACH * 11 / 10);
        }
    }
}

static void test_random_below_the_largest_bound_stays_below(void **state)
{
    /* The multiplication must not overflow at the upper end. */
    (void)state;
    struct whorl__random random;
    whorl__random_init(&random, 7);
    bool upper_half = false;
    for (unsigned i = 0; i < 1000; i++) {
        const uint32_t number = whorl__random_below(&random, UINT32_MAX);
        assert_true(number < UINT32_MAX);
        upper_half |= number > UINT32_MAX / 2;
    }
    assert_true(upper_half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_gives_the_published_sequence),
        cmocka_unit_test(test_random_below_reaches_each_number_about_equally_often),
        cmocka_unit_test(test_random_below_the_largest_bound_stays_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
