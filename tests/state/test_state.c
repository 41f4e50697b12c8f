/*
 * test_state.c - the task word: every transition, from every state in which it may be asked for.
 */
#include "state/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A task's wait_begun; each test is a task of its own. */
static uint16_t begun;

static enum whorl__phase phase(uint64_t word)
{
    return whorl__state_phase(word);
}

/* A word in a phase of its life, through the transitions that lead there. */
static uint64_t word_in(enum whorl__phase wanted)
{
    uint64_t word = 0;
    begun = 0;
    if (wanted != WHORL__FREE) {
        whorl__state_spawn(&word);
    }
    if (wanted == WHORL__PARKED) {
        (void)whorl__state_park_begin(&word, &begun);
        assert_true(whorl__state_park_commit(&word));
    }
    if (wanted == WHORL__DONE) {
        assert_true(whorl__state_finish(&word));
    }
    assert_int_equal(phase(word), wanted);
    return word;
}

static void test_state_zeroed_word_is_free(void **state)
{
    /* A chunk fresh from the kernel is a row of free slots without anybody writing to it. */
    (void)state;
    assert_int_equal(phase(0), WHORL__FREE);
    assert_int_equal(whorl__state_epoch(0), 0);
}

static void test_state_whole_life_counts_epochs_on_and_on(void **state)
{
    /* A handle of an earlier life must never fit a later one: the epoch is never set back. */
    (void)state;
    uint64_t word = 0;
    uint32_t last = 0;
    begun = 0;
    for (int life = 0; life < 3; life++) {
        whorl__state_spawn(&word);
        assert_int_equal(phase(word), WHORL__LIVE);
        assert_true(whorl__state_epoch(word) > last);
        const uint32_t epoch = whorl__state_park_begin(&word, &begun);
        assert_int_equal(epoch, whorl__state_epoch(word));
        assert_true(whorl__state_park_commit(&word));
        assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_TAKEN);
        assert_true(whorl__state_finish(&word));
        assert_int_equal(phase(word), WHORL__DONE);
        last = whorl__state_epoch(word);
        whorl__state_free(&word);
        assert_int_equal(phase(word), WHORL__FREE);
        assert_int_equal(whorl__state_epoch(word), last);
    }
}

static void test_state_wake_parked_is_taken_once(void **state)
{
    /* Two wakers, one task: only the first may queue it, and ends the wait for all others. */
    (void)state;
    uint64_t word = word_in(WHORL__PARKED);
    const uint32_t epoch = whorl__state_epoch(word);
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_TAKEN);
    assert_int_equal(phase(word), WHORL__LIVE);
    assert_int_equal(whorl__state_epoch(word), epoch + 1);
    const uint64_t woken = word;
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_STALE);
    assert_int_equal(word, woken);
}

static void test_state_wait_after_wake_leaves_the_word_alone(void **state)
{
    /* Who woke it has raised the epoch, and so has the spawn: no handle names it, nobody changes
     * it, and the wait that begins costs no locked operation. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    uint64_t before = word;
    const uint32_t first = whorl__state_park_begin(&word, &begun);
    assert_int_equal(word, before);
    assert_true(whorl__state_park_commit(&word));
    assert_int_equal(whorl__state_wake(&word, first), WHORL__WAKE_TAKEN);
    before = word;
    const uint32_t second = whorl__state_park_begin(&word, &begun);
    assert_int_equal(second, first + 1);
    assert_int_equal(word, before);
    assert_int_equal(whorl__state_wake(&word, first), WHORL__WAKE_STALE);
    assert_true(whorl__state_park_commit(&word));
    assert_int_equal(whorl__state_wake(&word, second), WHORL__WAKE_TAKEN);
}

static void test_state_wake_beside_a_visitor_keeps_his_bit(void **state)
{
    /* The slow way of a waker: beside the phase only the epoch changes. */
    (void)state;
    uint64_t word = word_in(WHORL__PARKED);
    word |= WHORL__VISIT; /* somebody takes a reference meanwhile */
    const uint32_t epoch = whorl__state_epoch(word);
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_TAKEN);
    assert_int_equal(phase(word), WHORL__LIVE);
    assert_int_equal(whorl__state_epoch(word), epoch + 1);
    assert_int_equal(word & (WHORL__VISIT | WHORL__WAKE), WHORL__VISIT);
}

static void test_state_wait_after_cancel_raises_the_epoch(void **state)
{
    /* Nobody has ended the wait by its handle, which is still out there. */
    (void)state;
    uint64_t word = word_in(WHORL__PARKED);
    const uint32_t first = whorl__state_epoch(word);
    bool taken = false;
    assert_true(whorl__state_cancel(&word, &taken));
    assert_true(taken);
    whorl__state_cancel_clear(&word);
    const uint32_t second = whorl__state_park_begin(&word, &begun);
    assert_int_equal(second, first + 1);
    assert_true(whorl__state_park_commit(&word));
    assert_int_equal(whorl__state_wake(&word, first), WHORL__WAKE_STALE);
    assert_int_equal(phase(word), WHORL__PARKED);
}

static void test_state_wait_begun_anew_raises_the_epoch(void **state)
{
    /* A wait that was begun and not parked in has a handle, too. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    const uint32_t first = whorl__state_park_begin(&word, &begun);
    assert_int_equal(whorl__state_park_begin(&word, &begun), first + 1);
    assert_int_equal(whorl__state_park_begin(&word, &begun), first + 2);
}

static void test_state_wait_with_the_same_low_half_raises_the_epoch(void **state)
{
    /* 65536 tasks of a slot that never waited: it looks as if the epoch had a handle. */
    (void)state;
    begun = 5;
    uint64_t word = (UINT64_C(0x10005) << WHORL__EPOCH_SHIFT) | WHORL__LIVE;
    assert_int_equal(whorl__state_park_begin(&word, &begun), 0x10006);
    assert_int_equal(begun, 6);
    assert_true(whorl__state_park_commit(&word));
}

static void test_state_wake_before_commit_ends_the_park(void **state)
{
    /* The waker comes while the task is still on its stack: the loop keeps the task. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    const uint32_t epoch = whorl__state_park_begin(&word, &begun);
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_NOTED);
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_NOTED);
    assert_false(whorl__state_park_commit(&word));
    assert_int_equal(phase(word), WHORL__LIVE);
}

static void test_state_stale_handle_changes_nothing(void **state)
{
    /* Timers, descriptors and completers keep handles for as long as they like. */
    (void)state;
    const enum whorl__phase phases[] = {WHORL__FREE, WHORL__LIVE, WHORL__PARKED, WHORL__DONE};
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        uint64_t word = word_in(phases[i]);
        const uint64_t before = word;
        assert_int_equal(whorl__state_wake(&word, whorl__state_epoch(word) - 1), WHORL__WAKE_STALE);
        assert_int_equal(whorl__state_wake(&word, whorl__state_epoch(word) + 1), WHORL__WAKE_STALE);
        assert_int_equal(word, before);
    }
}

static void test_state_wake_of_ended_task_is_stale(void **state)
{
    /* The epoch fits still, since nothing began after it; the task is gone all the same. */
    (void)state;
    uint64_t word = word_in(WHORL__DONE);
    const uint64_t done = word;
    assert_int_equal(whorl__state_wake(&word, whorl__state_epoch(word)), WHORL__WAKE_STALE);
    assert_int_equal(word, done);
    whorl__state_free(&word);
    assert_int_equal(whorl__state_wake(&word, whorl__state_epoch(word)), WHORL__WAKE_STALE);
    assert_int_equal(phase(word), WHORL__FREE);
}

static void test_state_late_wake_does_not_end_the_next_wait(void **state)
{
    /* A wake that was noted after the wait was over is wiped out when the next wait begins. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    const uint32_t first = whorl__state_park_begin(&word, &begun);
    assert_int_equal(whorl__state_wake(&word, first), WHORL__WAKE_NOTED);
    const uint32_t second = whorl__state_park_begin(&word, &begun);
    assert_int_equal(second, first + 1);
    assert_int_equal(whorl__state_wake(&word, first), WHORL__WAKE_STALE);
    assert_true(whorl__state_park_commit(&word));
}

static void test_state_cancel_parked_takes_it(void **state)
{
    /* Who cancels a parked task holds it and queues it; a waker that comes later must not. */
    (void)state;
    uint64_t word = word_in(WHORL__PARKED);
    const uint32_t epoch = whorl__state_epoch(word);
    bool taken = false;
    assert_true(whorl__state_cancel(&word, &taken));
    assert_true(taken);
    assert_int_equal(phase(word), WHORL__LIVE);
    assert_true(whorl__state_cancel_pending(&word));
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_NOTED);
    assert_true(whorl__state_cancel(&word, &taken));
    assert_false(taken);
}

static void test_state_cancel_live_stays_pending_over_waits(void **state)
{
    /* It must end the wait that begins next, and each one after, until it was delivered. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    bool taken = true;
    assert_true(whorl__state_cancel(&word, &taken));
    assert_false(taken);
    (void)whorl__state_park_begin(&word, &begun);
    assert_false(whorl__state_park_commit(&word));
    (void)whorl__state_park_begin(&word, &begun);
    assert_false(whorl__state_park_commit(&word));
    whorl__state_cancel_clear(&word);
    assert_false(whorl__state_cancel_pending(&word));
    assert_true(whorl__state_park_commit(&word));
}

static void test_state_cancel_of_ended_or_free_changes_nothing(void **state)
{
    /* whorl_cancel says false; *ret_taken is untouched on failure. */
    (void)state;
    const enum whorl__phase phases[] = {WHORL__FREE, WHORL__DONE};
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        uint64_t word = word_in(phases[i]);
        const uint64_t before = word;
        bool taken = true;
        assert_false(whorl__state_cancel(&word, &taken));
        assert_true(taken);
        assert_int_equal(word, before);
    }
}

static void test_state_finish_waits_for_pending_cancel(void **state)
{
    /* A request made in the last moment is dealt with before the task is done, never lost. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    bool taken;
    assert_true(whorl__state_cancel(&word, &taken));
    assert_false(whorl__state_finish(&word));
    assert_int_equal(phase(word), WHORL__LIVE);
    whorl__state_cancel_clear(&word);
    assert_true(whorl__state_finish(&word));
}

static void test_state_finish_wipes_out_noted_wake(void **state)
{
    /* What a late waker left must not be seen by the slot's next task. */
    (void)state;
    uint64_t word = word_in(WHORL__LIVE);
    const uint32_t epoch = whorl__state_park_begin(&word, &begun);
    assert_int_equal(whorl__state_wake(&word, epoch), WHORL__WAKE_NOTED);
    assert_true(whorl__state_finish(&word));
    assert_int_equal(word & WHORL__WAKE, 0);
    whorl__state_free(&word);
    whorl__state_spawn(&word);
    (void)whorl__state_park_begin(&word, &begun);
    assert_true(whorl__state_park_commit(&word));
}

static void test_state_epoch_wraps_without_touching_the_rest(void **state)
{
    /* 2^32 waits of one slot are a matter of hours: the carry must fall out of the word. */
    (void)state;
    uint64_t word = (UINT64_C(0xffffffff) << WHORL__EPOCH_SHIFT) | WHORL__LIVE;
    begun = UINT16_MAX;
    assert_int_equal(whorl__state_park_begin(&word, &begun), 0);
    assert_int_equal(phase(word), WHORL__LIVE);
    assert_true(whorl__state_park_commit(&word));
    assert_int_equal(whorl__state_wake(&word, 0), WHORL__WAKE_TAKEN);
    word = (UINT64_C(0xffffffff) << WHORL__EPOCH_SHIFT) | WHORL__PARKED;
    assert_int_equal(whorl__state_wake(&word, UINT32_MAX), WHORL__WAKE_TAKEN);
    assert_int_equal(word, WHORL__LIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_zeroed_word_is_free),
        cmocka_unit_test(test_state_whole_life_counts_epochs_on_and_on),
        cmocka_unit_test(test_state_wake_parked_is_taken_once),
        cmocka_unit_test(test_state_wait_after_wake_leaves_the_word_alone),
        cmocka_unit_test(test_state_wake_beside_a_visitor_keeps_his_bit),
        cmocka_unit_test(test_state_wait_after_cancel_raises_the_epoch),
        cmocka_unit_test(test_state_wait_begun_anew_raises_the_epoch),
        cmocka_unit_test(test_state_wait_with_the_same_low_half_raises_the_epoch),
        cmocka_unit_test(test_state_wake_before_commit_ends_the_park),
        cmocka_unit_test(test_state_stale_handle_changes_nothing),
        cmocka_unit_test(test_state_wake_of_ended_task_is_stale),
        cmocka_unit_test(test_state_late_wake_does_not_end_the_next_wait),
        cmocka_unit_test(test_state_cancel_parked_takes_it),
        cmocka_unit_test(test_state_cancel_live_stays_pending_over_waits),
        cmocka_unit_test(test_state_cancel_of_ended_or_free_changes_nothing),
        cmocka_unit_test(test_state_finish_waits_for_pending_cancel),
        cmocka_unit_test(test_state_finish_wipes_out_noted_wake),
        cmocka_unit_test(test_state_epoch_wraps_without_touching_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
