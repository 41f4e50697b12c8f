/*
 * test_generator.c - generators and exit stacks where memory is short: a refusal leaves all as it
 * was, and the end of a runtime that has no tasks to close with drops, reports and leaks nothing.
 */
#include "support/faults.h"
#include "support/logbook.h"
#include "support/play.h"

#include <errno.h>

static void refuse(enum faults_entry entry, uint32_t count)
{
    faults_order(&(struct faults_order){.entry = entry,
                                        .phase = FAULTS_ANY_PHASE,
                                        .error = -ENOMEM,
                                        .first = 1,
                                        .count = count});
}

static int give_one(void *arg)
{
    return whorl_generator_yield(arg, NULL);
}

static void count_free(void *arg)
{
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
}

/* ---- no stack ---- */

struct refused {
    int made, first, second;
    int freed;
};

static int play_refused(void *arg)
{
    struct refused *const refused = arg;
    /* A size that nobody else has, so that its stacks are mapped now. */
    const struct whorl_generator_attr attr = {.stack_bytes = (size_t)4 << 20,
                                              .arg_free = count_free};
    struct whorl_generator *generator = NULL;
    refuse(FAULTS_alloc, 1);
    refused->made = whorl_generator_new(give_one, &refused->freed, &attr, &generator);
    faults_order(NULL);
    must(whorl_generator_new(give_one, &refused->freed, &attr, &generator));
    refuse(FAULTS_map, UINT32_MAX);
    refused->first = whorl_generator_next(generator, NULL);
    faults_order(NULL);
    refused->second = whorl_generator_next(generator, NULL);
    whorl_generator_unref(generator);
    return 0;
}

static void test_a_generator_without_a_stack_has_not_begun(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct refused refused = {.made = UNSET, .first = UNSET, .second = UNSET};
        faults_install();
        assert_int_equal(play(loops, play_refused, &refused), 0);
        assert_int_equal(faults_blocks(), 0);
        assert_int_equal(faults_maps(), 0);
        faults_remove();
        assert_int_equal(refused.made, -ENOMEM);
        assert_int_equal(refused.first, -ENOMEM);
        assert_int_equal(refused.second, 0);
        assert_int_equal(refused.freed, 1);
    }
}

/* ---- no tasks at the end ---- */

enum { CROWD = 120 };

struct crowd {
    struct logbook log;
    struct whorl_generator *generators[CROWD];
    int cleaned;
    int freed;
};

static int give_and_clean_slowly(void *arg)
{
    struct crowd *const crowd = arg;
    const int error = whorl_generator_yield(NULL, NULL);
    const int waited = whorl_sleep(20 * WHORL_MILLISECOND);
    __atomic_fetch_add(&crowd->cleaned, 1, __ATOMIC_RELAXED);
    return waited != 0 ? waited : error;
}

static void count_free_of_crowd(void *arg)
{
    count_free(&((struct crowd *)arg)->freed);
}

static int play_crowd(void *arg)
{
    struct crowd *const crowd = arg;
    const struct whorl_generator_attr attr = {.stack_bytes = (size_t)256 << 10,
                                              .arg_free = count_free_of_crowd};
    for (int i = 0; i < CROWD; i++) {
        must(whorl_generator_new(give_and_clean_slowly, crowd, &attr, &crowd->generators[i]));
        must(whorl_generator_next(crowd->generators[i], NULL));
    }
    refuse(FAULTS_map, UINT32_MAX);
    return 0;
}

static void test_what_no_task_can_close_is_dropped_and_reported(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct crowd *const crowd = calloc(1, sizeof *crowd);
        const struct whorl_options options = {
            .loops = loops,
            .no_pin = 1,
            .stack_bytes = (size_t)2 << 20, /* of the tasks: few in a mapping */
            .log = logbook_write,
            .log_arg = &crowd->log};
        faults_install();
        assert_int_equal(whorl_run(play_crowd, crowd, &options), 0);
        for (int i = 0; i < CROWD; i++) {
            whorl_generator_unref(crowd->generators[i]);
        }
        assert_int_equal(faults_blocks(), 0);
        assert_int_equal(faults_maps(), 0);
        faults_remove();
        assert_int_equal(crowd->freed, CROWD);
        assert_true(crowd->cleaned > 0 && crowd->cleaned < CROWD);
        assert_true(logbook_count(&crowd->log, "was dropped without its clean-up") > 0);
        free(crowd);
    }
}

/* ---- exit stacks ---- */

static int count_enter(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int fail_otherwise(void *arg, int error)
{
    ++*(int *)arg;
    return error == -EPIPE ? -EIO : -EPIPE;
}

static void test_what_is_not_on_an_exit_stack_is_not_entered(void **state)
{
    struct whorl_exit_stack stack = {0};
    struct whorl_errors *errors = NULL;
    int entered = 0;
    int left = 0;
    (void)state;
    faults_install();
    refuse(FAULTS_alloc, UINT32_MAX);
    assert_int_equal(whorl_exit_stack_push(&stack, fail_otherwise, &left), -ENOMEM);
    assert_int_equal(whorl_exit_stack_enter(&stack, count_enter, fail_otherwise, &entered),
                     -ENOMEM);
    assert_int_equal(entered, 0);
    faults_order(NULL);
    assert_int_equal(whorl_exit_stack_push(&stack, fail_otherwise, &left), 0);
    assert_int_equal(whorl_exit_stack_push(&stack, fail_otherwise, &left), 0);
    refuse(FAULTS_alloc, 2); /* the list is shorter, the exits are called */
    assert_int_equal(whorl_exit_stack_close(&stack, -ECANCELED, &errors), -EIO);
    assert_int_equal(left, 2);
    assert_int_equal(whorl_errors_count(errors), 1);
    assert_int_equal(whorl_errors_get(errors, 0, NULL), -EIO);
    whorl_errors_free(errors);
    assert_int_equal(faults_blocks(), 0);
    faults_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_generator_without_a_stack_has_not_begun),
        cmocka_unit_test(test_what_no_task_can_close_is_dropped_and_reported),
        cmocka_unit_test(test_what_is_not_on_an_exit_stack_is_not_entered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
