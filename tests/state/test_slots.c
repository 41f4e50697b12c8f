/*
 * test_slots.c - task slots: magazines, reuse, the registry, closing while tasks are referred to.
 */
#include "state/slots.h"
#include "sys/os.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY (3 * WHORL__MAGAZINE)

struct rig {
    struct whorl__slots slots;
    struct whorl__slot_cache cache;
    struct whorl_task *taken[MANY];
};

static int set_up(void **state)
{
    struct rig *const rig = calloc(1, sizeof *rig);
    *state = rig;
    return rig == NULL || whorl__slots_init(&rig->slots) != 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void take_all(struct rig *rig, int count)
{
    for (int i = 0; i < count; i++) {
        rig->taken[i] = whorl__slots_take(&rig->slots, &rig->cache);
        assert_non_null(rig->taken[i]);
        assert_int_equal(whorl__state_phase(rig->taken[i]->word), WHORL__FREE);
    }
}

static void give_all(struct rig *rig, struct whorl__slot_cache *cache, int count)
{
    for (int i = 0; i < count; i++) {
        whorl__slots_give(&rig->slots, cache, rig->taken[i]);
    }
}

static void end(struct whorl_task *task)
{
    whorl__state_spawn(&task->word);
    assert_true(whorl__state_finish(&task->word));
}

static void test_slots_each_is_handed_out_once_and_found_by_its_index(void **state)
{
    /* The index in a handle is all a late waker has. */
    struct rig *const rig = *state;
    static bool seen[MANY];
    memset(seen, 0, sizeof seen);
    take_all(rig, MANY);
    assert_int_equal(whorl__slots_count(&rig->slots), MANY);
    for (int i = 0; i < MANY; i++) {
        const uint32_t index = rig->taken[i]->index;
        assert_in_range(index, 0, MANY - 1);
        assert_false(seen[index]);
        seen[index] = true;
        assert_ptr_equal(whorl__slot_at(&rig->slots, index), rig->taken[i]);
        assert_ptr_equal(whorl__handle_task(&rig->slots, whorl__handle_make(rig->taken[i], 7)),
                         rig->taken[i]);
    }
    assert_true(whorl__slots_close(&rig->slots));
}

static void test_slots_given_last_is_taken_first(void **state)
{
    /* It is the one that is still in the processor's cache. */
    struct rig *const rig = *state;
    take_all(rig, 3);
    give_all(rig, &rig->cache, 3);
    assert_ptr_equal(whorl__slots_take(&rig->slots, &rig->cache), rig->taken[2]);
    assert_ptr_equal(whorl__slots_take(&rig->slots, &rig->cache), rig->taken[1]);
    assert_true(whorl__slots_close(&rig->slots));
}

static void test_slots_word_goes_on_counting_in_the_next_task(void **state)
{
    /* Type-stability: a stale handle finds a task, only not its own. */
    struct rig *const rig = *state;
    take_all(rig, 1);
    struct whorl_task *const task = rig->taken[0];
    end(task);
    const uint32_t epoch = whorl__state_epoch(task->word);
    whorl__state_free(&task->word);
    give_all(rig, &rig->cache, 1);
    take_all(rig, 1);
    assert_ptr_equal(rig->taken[0], task);
    whorl__state_spawn(&task->word);
    assert_true(whorl__state_epoch(task->word) > epoch);
    assert_int_equal(whorl__state_wake(&task->word, epoch), WHORL__WAKE_STALE);
    assert_true(whorl__state_finish(&task->word));
    whorl__state_free(&task->word);
    assert_true(whorl__slots_close(&rig->slots));
}

static void test_slots_made_here_and_ended_there_come_back(void **state)
{
    /* A loop that spawns and one that ends the tasks: full magazines flow back, no memory grows. */
    struct rig *const rig = *state;
    struct whorl__slot_cache other = {0};
    for (int round = 0; round < 10; round++) {
        take_all(rig, MANY);
        give_all(rig, &other, MANY);
    }
    /* Three magazines in flight, two that a cache may keep, and one that is being filled. */
    assert_true(whorl__slots_count(&rig->slots) <= 6 * WHORL__MAGAZINE);
    assert_true(whorl__slots_close(&rig->slots));
}

static void test_slots_back_and_forth_at_border_touches_no_lock(void **state)
{
    /* A spare magazine between the cache and the shared list: who takes and gives around the border
     * of a magazine must not go there each time. */
    struct rig *const rig = *state;
    take_all(rig, WHORL__MAGAZINE + 1);
    give_all(rig, &rig->cache, WHORL__MAGAZINE + 1);
    whorl__spin_lock(&rig->slots.lock); /* taking it again would hang */
    for (int i = 0; i < 100; i++) {
        struct whorl_task *const one = whorl__slots_take(&rig->slots, &rig->cache);
        struct whorl_task *const two = whorl__slots_take(&rig->slots, &rig->cache);
        whorl__slots_give(&rig->slots, &rig->cache, one);
        whorl__slots_give(&rig->slots, &rig->cache, two);
    }
    whorl__spin_unlock(&rig->slots.lock);
    assert_true(whorl__slots_close(&rig->slots));
}

static void test_slots_foreign_thread_takes_and_gives_single_ones(void **state)
{
    /* It has no cache; what it gave back is there for the next. */
    struct rig *const rig = *state;
    struct whorl_task *const task = whorl__slots_take_remote(&rig->slots);
    assert_non_null(task);
    end(task);
    assert_false(whorl__slots_give_remote(&rig->slots, task));
    assert_int_equal(whorl__state_phase(task->word), WHORL__FREE);
    assert_ptr_equal(whorl__slots_take_remote(&rig->slots), task);
    assert_true(whorl__slots_close(&rig->slots));
}

static void test_slots_closing_with_zombies_last_reference_frees(void **state)
{
    /* Tasks that somebody still refers to keep all chunks; only the very last says so. */
    struct rig *const rig = *state;
    take_all(rig, 3);
    for (int i = 0; i < 3; i++) {
        end(rig->taken[i]);
    }
    assert_false(whorl__slots_close(&rig->slots));
    assert_false(whorl__slots_give_remote(&rig->slots, rig->taken[1]));
    assert_int_equal(whorl__state_phase(rig->taken[0]->word), WHORL__DONE);
    assert_false(whorl__slots_give_remote(&rig->slots, rig->taken[0]));
    assert_true(whorl__slots_give_remote(&rig->slots, rig->taken[2]));
}

static void test_slots_closed_hand_out_nothing(void **state)
{
    /* A foreign thread that comes late must not open a new chunk nobody frees. */
    struct rig *const rig = *state;
    take_all(rig, 1);
    end(rig->taken[0]);
    assert_false(whorl__slots_close(&rig->slots));
    assert_null(whorl__slots_take_remote(&rig->slots));
    assert_true(whorl__slots_give_remote(&rig->slots, rig->taken[0]));
}

/* ---- out of memory ---- */

static int refuse_map(size_t bytes, void **ret_base)
{
    (void)bytes;
    (void)ret_base;
    return -ENOMEM;
}

static void test_slots_out_of_memory_is_told_and_passes(void **state)
{
    /* NULL, nothing changed; when there is memory again it goes on. */
    struct rig *const rig = *state;
    struct whorl__os refusing = *whorl__os;
    const struct whorl__os *const real = whorl__os;
    refusing.map = refuse_map;
    whorl__os = &refusing;
    struct whorl__slots never;
    const int error = whorl__slots_init(&never);
    struct whorl_task *const none = whorl__slots_take(&rig->slots, &rig->cache);
    struct whorl_task *const none_either = whorl__slots_take_remote(&rig->slots);
    whorl__os = real;
    assert_int_equal(error, -ENOMEM);
    assert_null(none);
    assert_null(none_either);
    assert_int_equal(whorl__slots_count(&rig->slots), 0);
    take_all(rig, 1);
    assert_true(whorl__slots_close(&rig->slots));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slots_each_is_handed_out_once_and_found_by_its_index,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slots_given_last_is_taken_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slots_word_goes_on_counting_in_the_next_task, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slots_made_here_and_ended_there_come_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slots_back_and_forth_at_border_touches_no_lock, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slots_foreign_thread_takes_and_gives_single_ones,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slots_closing_with_zombies_last_reference_frees,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slots_closed_hand_out_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slots_out_of_memory_is_told_and_passes, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
