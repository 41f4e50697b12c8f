/*
 * test_steal.c - where a searching loop looks, in which order, and how much it takes.
 */
#include "mill.h"

static void test_steal_takes_older_half_and_runs_the_oldest(void **state)
{
    /* What waited longest goes on first; the victim keeps what is warm in its cache. */
    struct mill *const mill = *state;
    mill_fill_ring(mill, 1, 0, 10);
    assert_ptr_equal(whorl__steal(mill->loops[0]), &mill->tasks[0]);
    assert_int_equal(whorl__runqueue_length(&mill->loops[0]->queue), 4);
    assert_int_equal(whorl__runqueue_length(&mill->loops[1]->queue), 5);
    assert_ptr_equal(whorl__runqueue_take(&mill->loops[0]->queue), &mill->tasks[1]);
    assert_ptr_equal(whorl__runqueue_take(&mill->loops[1]->queue), &mill->tasks[5]);
    assert_int_equal(mill->loops[0]->stats.steals, 1);
    assert_int_equal(mill->loops[0]->stats.stolen, 5);
}

static void test_steal_nearest_victim_comes_first(void **state)
{
    /* From loop 2 the nearest is 3, then 0, then 1. */
    struct mill *const mill = *state;
    mill_fill_ring(mill, 1, 1, 2);
    mill_fill_ring(mill, 0, 0, 1);
    mill_fill_ring(mill, 3, 3, 4);
    assert_ptr_equal(whorl__steal(mill->loops[2]), &mill->tasks[3]);
    assert_ptr_equal(whorl__steal(mill->loops[2]), &mill->tasks[0]);
    assert_ptr_equal(whorl__steal(mill->loops[2]), &mill->tasks[1]);
    assert_null(whorl__steal(mill->loops[2]));
}

static void test_steal_hot_slot_is_taken_only_when_all_rings_are_empty(void **state)
{
    /* The owner is about to run it: even the farthest ring is better. */
    struct mill *const mill = *state;
    mill->loops[1]->hot = &mill->tasks[7];
    mill_fill_ring(mill, 3, 0, 1);
    assert_ptr_equal(whorl__steal(mill->loops[0]), &mill->tasks[0]);
    assert_ptr_equal(mill->loops[1]->hot, &mill->tasks[7]);
    assert_ptr_equal(whorl__steal(mill->loops[0]), &mill->tasks[7]);
    assert_null(mill->loops[1]->hot);
}

static void test_steal_same_level_begins_anywhere(void **state)
{
    /* Searchers must not all meet at the same victim: of 60 looks no loop is first each time. */
    struct mill *const mill = *state;
    unsigned first[MILL_LOOPS] = {0};
    memset(mill->levels[0], 0, sizeof mill->levels[0]);
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 1; i < MILL_LOOPS; i++) {
            mill_fill_ring(mill, i, i, i + 1);
        }
        const struct whorl_task *const task = whorl__steal(mill->loops[0]);
        assert_non_null(task);
        first[task->index]++;
        for (unsigned i = 1; i < MILL_LOOPS; i++) {
            (void)whorl__runqueue_take(&mill->loops[i]->queue);
        }
    }
    for (unsigned i = 1; i < MILL_LOOPS; i++) {
        assert_in_range(first[i], 1, 58);
    }
}

static void test_steal_finds_shared_queue_last(void **state)
{
    /* A foreign thread's task, when nobody has anything else. */
    struct mill *const mill = *state;
    mill_play(NULL);
    whorl__sched_submit(&mill->tasks[5]);
    mill_fill_ring(mill, 1, 0, 1);
    assert_ptr_equal(whorl__steal(mill->loops[0]), &mill->tasks[0]);
    assert_ptr_equal(whorl__steal(mill->loops[0]), &mill->tasks[5]);
    assert_null(whorl__steal(mill->loops[0]));
}

static void test_steal_something_there_sees_rings_and_shared_queue(void **state)
{
    /* The last look before sleep. Hot slots do not count: their owner is awake. */
    struct mill *const mill = *state;
    assert_false(whorl__steal_something_there(mill->loops[0]));
    mill->loops[2]->hot = &mill->tasks[0];
    assert_false(whorl__steal_something_there(mill->loops[0]));
    mill->loops[2]->hot = NULL;
    mill_fill_ring(mill, 3, 1, 2);
    assert_true(whorl__steal_something_there(mill->loops[0]));
    (void)whorl__runqueue_take(&mill->loops[3]->queue);
    assert_false(whorl__steal_something_there(mill->loops[0]));
    whorl__sched_submit(&mill->tasks[2]);
    assert_true(whorl__steal_something_there(mill->loops[0]));
    assert_ptr_equal(whorl__sched_take_shared(mill->loops[0]), &mill->tasks[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mill_test(test_steal_takes_older_half_and_runs_the_oldest),
        mill_test(test_steal_nearest_victim_comes_first),
        mill_test(test_steal_hot_slot_is_taken_only_when_all_rings_are_empty),
        mill_test(test_steal_same_level_begins_anywhere),
        mill_test(test_steal_finds_shared_queue_last),
        mill_test(test_steal_something_there_sees_rings_and_shared_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
