/*
 * test_record.c - the transitions of a descriptor's record, one by one: what poll/record.h draws.
 */
#include "poll/record.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HANDLE_A UINT64_C(0x0000000100000002)
#define HANDLE_B UINT64_C(0x0000000300000004)

struct rig {
    struct whorl__records records;
    struct whorl__record *record; /* of descriptor 5: open, nothing known */
};

static int set_up(void **state)
{
    static struct rig rig;
    if (whorl__records_init(&rig.records) != 0 ||
        whorl__record_adopt(&rig.records, 5, WHORL__TCP) != 0) {
        return -1;
    }
    rig.record = whorl__record_find(&rig.records, 5);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *const rig = *state;
    whorl__records_fini(&rig->records);
    return 0;
}

/* ---- helpers ---- */

static uint64_t seen(const struct rig *rig)
{
    return whorl__record_seen(rig->record, WHORL__IN);
}

/* As the poller does: a new tick, then the slot. */
static whorl__handle event(const struct rig *rig, bool hangup)
{
    const uint32_t tick = whorl__add_u32(&rig->record->tick, 1) + 1;
    return whorl__record_event(rig->record, WHORL__IN, hangup, tick);
}

/* A call that began now, and found nothing. */
static void drain(const struct rig *rig)
{
    whorl__record_clear(rig->record, WHORL__IN, seen(rig));
    assert_false(seen(rig) & WHORL__SLOT_READY);
}

static void close_wholly(struct whorl__record *record)
{
    whorl__handle woken[2];
    assert_int_equal(whorl__record_enter(record), 0);
    assert_int_equal(whorl__record_close(record, woken), 0);
    assert_true(whorl__record_leave(record));
    whorl__record_closed(record);
}

/* ---- the table ---- */

static void test_find_number_out_of_range_or_never_seen_is_null(void **state)
{
    /* The public calls turn this into -EBADF. */
    struct rig *const rig = *state;
    assert_null(whorl__record_find(&rig->records, -1));
    assert_null(whorl__record_find(&rig->records, 1 << 20));
    assert_null(whorl__record_find(&rig->records, 100000));
    assert_int_equal(whorl__record_adopt(&rig->records, -1, WHORL__FILE), -EBADF);
    assert_int_equal(whorl__record_adopt(&rig->records, 1 << 20, WHORL__FILE), -EBADF);
}

static void test_find_neighbour_in_chunk_is_closed_with_its_number(void **state)
{
    /* A chunk holds many records; the others of it are there, but not ours yet. */
    struct rig *const rig = *state;
    struct whorl__record *const other = whorl__record_find(&rig->records, 6);
    assert_non_null(other);
    assert_int_equal(other->fd, 6);
    assert_int_equal(whorl__record_enter(other), -EBADF);
    assert_int_equal(whorl__record_adopt(&rig->records, WHORL__RECORDS_CHUNK + 1, WHORL__FILE), 0);
    assert_int_equal(whorl__record_find(&rig->records, WHORL__RECORDS_CHUNK + 1)->fd,
                     WHORL__RECORDS_CHUNK + 1);
}

static void test_find_after_new_chunks_gives_the_same_record(void **state)
{
    /* Pollers keep pointers to records. */
    struct rig *const rig = *state;
    for (int fd = WHORL__RECORDS_CHUNK; fd < (1 << 20); fd += 50000) {
        assert_int_equal(whorl__record_adopt(&rig->records, fd, WHORL__FILE), 0);
    }
    assert_ptr_equal(whorl__record_find(&rig->records, 5), rig->record);
    assert_int_equal(whorl__record_adopt(&rig->records, (1 << 20) - 1, WHORL__FILE), 0);
}

/* ---- life ---- */

static void test_adopt_of_an_open_record_is_eexist(void **state)
{
    /* A number has one owner. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__record_adopt(&rig->records, 5, WHORL__TCP), -EEXIST);
    close_wholly(rig->record);
    assert_int_equal(whorl__record_adopt(&rig->records, 5, WHORL__TCP), 0);
}

static void test_close_lets_nobody_enter_and_the_last_user_finish(void **state)
{
    /* The number stays taken until the last call has left. */
    struct rig *const rig = *state;
    whorl__handle woken[2];
    assert_int_equal(whorl__record_enter(rig->record), 0);
    assert_int_equal(whorl__record_enter(rig->record), 0);
    assert_int_equal(whorl__record_close(rig->record, woken), 0);
    assert_int_equal(woken[WHORL__IN], 0);
    assert_int_equal(woken[WHORL__OUT], 0);
    assert_true(whorl__record_is_closing(rig->record));
    assert_int_equal(whorl__record_enter(rig->record), -EBADF);
    assert_int_equal(whorl__record_close(rig->record, woken), -EBADF);
    assert_int_equal(whorl__record_adopt(&rig->records, 5, WHORL__TCP), -EEXIST);
    assert_false(whorl__record_leave(rig->record));
    assert_true(whorl__record_leave(rig->record));
    whorl__record_closed(rig->record);
    assert_int_equal(whorl__record_enter(rig->record), -EBADF);
}

static void test_leave_of_an_open_record_finishes_nothing(void **state)
{
    /* Calls come and go; only closing makes the last one special. */
    struct rig *const rig = *state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(whorl__record_enter(rig->record), 0);
        assert_false(whorl__record_leave(rig->record));
    }
}

static void test_adopt_again_forgets_the_life_before(void **state)
{
    /* What was known of the old file must not be believed of the new one. */
    struct rig *const rig = *state;
    const uint64_t life = rig->record->state / WHORL__RECORD_LIFE;
    rig->record->home = 3;
    rig->record->strangers = 7;
    rig->record->accept_logged = true;
    drain(rig);
    close_wholly(rig->record);
    assert_int_equal(whorl__record_adopt(&rig->records, 5, WHORL__FILE), 0);
    assert_int_equal(rig->record->state / WHORL__RECORD_LIFE, life + 1);
    assert_int_equal(rig->record->home, 0);
    assert_int_equal(rig->record->strangers, 0);
    assert_false(rig->record->accept_logged);
    assert_int_equal(rig->record->kind, WHORL__FILE);
    assert_int_equal(seen(rig), WHORL__SLOT_READY);
}

static void test_records_of_one_number_reused_thousands_of_times_stay_right(void **state)
{
    /* A busy server gets the same few numbers over and over; the generation runs on. */
    struct rig *const rig = *state;
    const uint64_t life = rig->record->state / WHORL__RECORD_LIFE;
    for (int i = 1; i <= 100000; i++) {
        close_wholly(rig->record);
        assert_int_equal(whorl__record_adopt(&rig->records, 5, WHORL__TCP), 0);
    }
    assert_int_equal(rig->record->state / WHORL__RECORD_LIFE, life + 100000);
    assert_int_equal(rig->record->state % WHORL__RECORD_LIFE, WHORL__RECORD_OPEN);
}

static void test_move_is_begun_by_one_at_a_time(void **state)
{
    /* Two directions, two tasks, one poller to change. */
    struct rig *const rig = *state;
    assert_true(whorl__record_move_begin(rig->record));
    assert_false(whorl__record_move_begin(rig->record));
    whorl__record_move_end(rig->record);
    assert_true(whorl__record_move_begin(rig->record));
    whorl__record_move_end(rig->record);
    assert_int_equal(rig->record->state % WHORL__RECORD_LIFE, WHORL__RECORD_OPEN);
}

/* ---- a slot ---- */

static void test_wait_while_ready_is_refused(void **state)
{
    /* A record starts as READY: not known, so the call is to be tried first. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), -EAGAIN);
    assert_int_equal(event(rig, false), 0);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), -EAGAIN);
}

static void test_event_while_waiting_wakes_the_waiter_once(void **state)
{
    /* The handle leaves the slot with the event. */
    struct rig *const rig = *state;
    drain(rig);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    assert_int_equal(event(rig, false), HANDLE_A);
    assert_int_equal(event(rig, false), 0);
    assert_true(whorl__record_wait_end(rig->record, WHORL__IN, HANDLE_A));
    assert_true(seen(rig) & WHORL__SLOT_READY);
}

static void test_wait_of_a_second_task_is_ebusy(void **state)
{
    /* One reader and one writer; the directions do not disturb each other. */
    struct rig *const rig = *state;
    drain(rig);
    whorl__record_clear(rig->record, WHORL__OUT, whorl__record_seen(rig->record, WHORL__OUT));
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_B), -EBUSY);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__OUT, HANDLE_B), 0);
    assert_int_equal(event(rig, false), HANDLE_A);
    assert_false(whorl__record_wait_end(rig->record, WHORL__OUT, HANDLE_B));
}

static void test_wait_end_without_event_frees_the_slot(void **state)
{
    /* Cancelled or timed out: the next one may wait, and the next event wakes him. */
    struct rig *const rig = *state;
    drain(rig);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    assert_false(whorl__record_wait_end(rig->record, WHORL__IN, HANDLE_A));
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_B), 0);
    assert_int_equal(event(rig, false), HANDLE_B);
}

static void test_wait_end_by_a_stale_handle_leaves_the_waiter_alone(void **state)
{
    /* Who was woken long ago must not take away another one's place. */
    struct rig *const rig = *state;
    drain(rig);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_B), 0);
    assert_true(whorl__record_wait_end(rig->record, WHORL__IN, HANDLE_A));
    assert_int_equal(event(rig, false), HANDLE_B);
}

static void test_clear_after_an_event_since_the_call_keeps_ready(void **state)
{
    /* The lost edge: the kernel said EAGAIN, then data came, then the latch was to be cleared. */
    struct rig *const rig = *state;
    const uint64_t before_call = seen(rig);
    assert_int_equal(event(rig, false), 0);
    whorl__record_clear(rig->record, WHORL__IN, before_call);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), -EAGAIN);
}

static void test_clear_twice_with_an_event_between_keeps_the_second(void **state)
{
    /* READY -> READY: only the tick tells that there was an event. */
    struct rig *const rig = *state;
    assert_int_equal(event(rig, false), 0);
    const uint64_t before_call = seen(rig);
    assert_int_equal(event(rig, false), 0);
    whorl__record_clear(rig->record, WHORL__IN, before_call);
    assert_true(seen(rig) & WHORL__SLOT_READY);
    drain(rig);
}

static void test_clear_by_a_call_that_saw_a_waiter_changes_nothing(void **state)
{
    /* A second reader may try its call while the first one waits; it must not throw it out. */
    struct rig *const rig = *state;
    drain(rig);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    whorl__record_clear(rig->record, WHORL__IN, seen(rig));
    assert_int_equal(event(rig, false), HANDLE_A);
}

static void test_event_with_hangup_stays_marked_until_cleared(void **state)
{
    /* Data and FIN may be one edge: a short read must not hide the FIN. */
    struct rig *const rig = *state;
    assert_int_equal(event(rig, true), 0);
    assert_true(seen(rig) & WHORL__SLOT_HANGUP);
    assert_int_equal(event(rig, false), 0);
    assert_true(seen(rig) & WHORL__SLOT_HANGUP);
    drain(rig);
    assert_false(seen(rig) & WHORL__SLOT_HANGUP);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    assert_int_equal(event(rig, true), HANDLE_A);
    assert_true(seen(rig) & WHORL__SLOT_HANGUP);
}

static void test_event_of_an_older_tick_delivered_late_still_counts(void **state)
{
    /* Two pollers may deliver out of order; the later delivery is an event all the same. */
    struct rig *const rig = *state;
    assert_int_equal(whorl__record_event(rig->record, WHORL__IN, false, 7), 0);
    const uint64_t before_call = seen(rig);
    assert_int_equal(whorl__record_event(rig->record, WHORL__IN, false, 6), 0);
    whorl__record_clear(rig->record, WHORL__IN, before_call);
    assert_true(seen(rig) & WHORL__SLOT_READY);
}

static void test_close_hands_back_both_waiters(void **state)
{
    /* Who waits on a descriptor that is closed gets -EBADF, in both directions. */
    struct rig *const rig = *state;
    whorl__handle woken[2];
    drain(rig);
    whorl__record_clear(rig->record, WHORL__OUT, whorl__record_seen(rig->record, WHORL__OUT));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(whorl__record_enter(rig->record), 0);
    }
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), 0);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__OUT, HANDLE_B), 0);
    assert_int_equal(whorl__record_close(rig->record, woken), 0);
    assert_int_equal(woken[WHORL__IN], HANDLE_A);
    assert_int_equal(woken[WHORL__OUT], HANDLE_B);
    assert_true(whorl__record_wait_end(rig->record, WHORL__IN, HANDLE_A));
    assert_true(whorl__record_wait_end(rig->record, WHORL__OUT, HANDLE_B));
}

static void test_wait_on_a_closing_record_is_ebadf(void **state)
{
    /* Whether the latch is set or, by an event that came late, was cleared again. */
    struct rig *const rig = *state;
    whorl__handle woken[2];
    assert_int_equal(whorl__record_enter(rig->record), 0);
    assert_int_equal(whorl__record_close(rig->record, woken), 0);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), -EBADF);
    drain(rig);
    assert_int_equal(whorl__record_wait(rig->record, WHORL__IN, HANDLE_A), -EBADF);
    assert_false(seen(rig) & WHORL__SLOT_WAITING);
}

/* ---- at the same time ---- */

#define RACE_ROUNDS 200000

struct race {
    struct rig *rig;
    uint32_t bytes; /* A: what a pipe would hold: the poller adds, the reader takes */
};

static void *deliver(void *arg)
{
    struct race *const race = arg;
    for (int i = 0; i < RACE_ROUNDS; i++) {
        (void)whorl__add_u32(&race->bytes, 1);
        (void)event(race->rig, false);
    }
    return NULL;
}

static bool is_ready_or_waited(struct rig *rig)
{
    return whorl__record_wait(rig->record, WHORL__IN, HANDLE_A) == -EAGAIN ||
           whorl__record_wait_end(rig->record, WHORL__IN, HANDLE_A);
}

static void test_clear_racing_events_never_loses_the_last_one(void **state)
{
    /* After the last event either READY stands there or everything was taken: else a hang. */
    struct rig *const rig = *state;
    struct race race = {.rig = rig};
    pthread_t poller;
    uint32_t taken = 0;
    assert_int_equal(pthread_create(&poller, NULL, deliver, &race), 0);
    while (taken < RACE_ROUNDS) {
        const uint64_t before_call = seen(rig);
        const uint32_t got = whorl__swap_u32(&race.bytes, 0);
        taken += got;
        if (got == 0) {
            whorl__record_clear(rig->record, WHORL__IN, before_call);
            while (taken < RACE_ROUNDS && !is_ready_or_waited(rig)) {
            }
        }
    }
    assert_int_equal(pthread_join(poller, NULL), 0);
}

static void *enter_and_leave(void *arg)
{
    struct rig *const rig = arg;
    uintptr_t last = 0;
    while (whorl__record_enter(rig->record) == 0) {
        last += whorl__record_leave(rig->record);
    }
    return (void *)last;
}

static void test_close_racing_users_has_exactly_one_last(void **state)
{
    /* Two who both close the number would close a stranger's file. */
    struct rig *const rig = *state;
    for (int round = 0; round < 200; round++) {
        pthread_t users[2];
        whorl__handle woken[2];
        void *last[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&users[i], NULL, enter_and_leave, rig), 0);
        }
        assert_int_equal(whorl__record_enter(rig->record), 0);
        assert_int_equal(whorl__record_close(rig->record, woken), 0);
        uintptr_t lasts = whorl__record_leave(rig->record);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(users[i], &last[i]), 0);
            lasts += (uintptr_t)last[i];
        }
        assert_int_equal(lasts, 1);
        whorl__record_closed(rig->record);
        assert_int_equal(whorl__record_adopt(&rig->records, 5, WHORL__TCP), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find_number_out_of_range_or_never_seen_is_null),
        TEST(test_find_neighbour_in_chunk_is_closed_with_its_number),
        TEST(test_find_after_new_chunks_gives_the_same_record),
        TEST(test_adopt_of_an_open_record_is_eexist),
        TEST(test_close_lets_nobody_enter_and_the_last_user_finish),
        TEST(test_leave_of_an_open_record_finishes_nothing),
        TEST(test_adopt_again_forgets_the_life_before),
        TEST(test_records_of_one_number_reused_thousands_of_times_stay_right),
        TEST(test_move_is_begun_by_one_at_a_time),
        TEST(test_wait_while_ready_is_refused),
        TEST(test_event_while_waiting_wakes_the_waiter_once),
        TEST(test_wait_of_a_second_task_is_ebusy),
        TEST(test_wait_end_without_event_frees_the_slot),
        TEST(test_wait_end_by_a_stale_handle_leaves_the_waiter_alone),
        TEST(test_clear_after_an_event_since_the_call_keeps_ready),
        TEST(test_clear_twice_with_an_event_between_keeps_the_second),
        TEST(test_clear_by_a_call_that_saw_a_waiter_changes_nothing),
        TEST(test_event_with_hangup_stays_marked_until_cleared),
        TEST(test_event_of_an_older_tick_delivered_late_still_counts),
        TEST(test_close_hands_back_both_waiters),
        TEST(test_wait_on_a_closing_record_is_ebadf),
        TEST(test_clear_racing_events_never_loses_the_last_one),
        TEST(test_close_racing_users_has_exactly_one_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
