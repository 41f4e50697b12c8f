/*
 * test_growth.c - structs that programs fill can grow: what this library does not know is refused.
 *
 * A program compiled against a later header, which gave a reserved word a name, may meet this
 * library. What it asks for there must be an error, not be passed over. Sizes: tests/abi.
 */
#include "support/play.h"

#include <errno.h>

#define WORDS(array) (sizeof(array) / sizeof(array)[0])

static int count_run(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void test_options_with_a_reserved_word_set_are_einval(void **state)
{
    /* Each word, its lowest and its highest bit; the body is not called. */
    (void)state;
    struct whorl_options options = {.loops = 1, .no_pin = 1};
    int runs = 0;
    for (size_t i = 0; i < WORDS(options.reserved); i++) {
        options.reserved[i] = 1;
        assert_int_equal(whorl_run(count_run, &runs, &options), -EINVAL);
        options.reserved[i] = UINT64_C(1) << 63;
        assert_int_equal(whorl_run(count_run, &runs, &options), -EINVAL);
        options.reserved[i] = 0;
    }
    assert_int_equal(runs, 0);
    assert_int_equal(whorl_run(count_run, &runs, &options), 0);
    assert_int_equal(runs, 1);
}

struct attempts {
    int runs;
    int refused;
    int wanted;
    int accepted;
};

static int spawn_with_reserved_words(void *arg)
{
    struct attempts *const attempts = arg;
    struct whorl_attr attr = {.name = "grown"};
    for (size_t i = 0; i < WORDS(attr.reserved); i++) {
        attr.reserved[i] = UINT64_C(1) << (i * 9 % 64);
        attempts->refused += whorl_spawn(count_run, &attempts->runs, &attr, NULL) == -EINVAL;
        attr.reserved[i] = 0;
        attempts->wanted++;
    }
    struct whorl_task *task;
    attempts->accepted = whorl_spawn(count_run, &attempts->runs, &attr, &task);
    return attempts->accepted == 0 ? finish(task) : attempts->accepted;
}

static void test_attributes_with_a_reserved_word_set_are_einval(void **state)
{
    /* And nothing was started for them. */
    (void)state;
    struct attempts attempts = {0};
    assert_int_equal(play(1, spawn_with_reserved_words, &attempts), 0);
    assert_int_equal(attempts.refused, attempts.wanted);
    assert_true(attempts.wanted > 0);
    assert_int_equal(attempts.runs, 1);
}

static int read_stats(void *arg)
{
    memset(arg, 0xff, sizeof(struct whorl_stats));
    return whorl_stats(-1, arg);
}

static void test_stats_counters_to_come_read_zero(void **state)
{
    /* So a later program can tell "not counted" from rubbish. */
    (void)state;
    struct whorl_stats stats;
    assert_int_equal(play(2, read_stats, &stats), 0);
    for (size_t i = 0; i < WORDS(stats.reserved); i++) {
        assert_int_equal(stats.reserved[i], 0);
    }
    assert_true(stats.runs > 0 && stats.runs < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_with_a_reserved_word_set_are_einval),
        cmocka_unit_test(test_attributes_with_a_reserved_word_set_are_einval),
        cmocka_unit_test(test_stats_counters_to_come_read_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
