/*
 * Barriers: rows BAR and MT-29 of asyncio's semantics; at one loop, at several, and with plain
 * threads.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>

#define BROKEN (-ENOTRECOVERABLE)

struct party {
    struct whorl_barrier *barrier;
    int got;
    unsigned index;
    unsigned at;
    struct whorl_task *task;
};

static int meet(void *arg)
{
    struct party *const party = arg;
    party->got = whorl_barrier_wait(party->barrier, &party->index);
    party->at = pass_now();
    return party->got;
}

static void come(struct whorl_barrier *barrier, struct party *party)
{
    party->barrier = barrier;
    party->got = UNSET;
    party->index = UNSET;
    party->task = start_user(meet, party);
}

static void line_up(struct whorl_barrier *barrier, struct party *parties, size_t count)
{
    pass_begin();
    for (size_t i = 0; i < count; i++) {
        come(barrier, &parties[i]);
        settle();
    }
}

static void end_all(struct party *parties, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(parties[i].task);
    }
    pass_end();
}

static void expect_all(const struct party *parties, size_t count, int got)
{
    for (size_t i = 0; i < count; i++) {
        EXPECT_IS(parties[i].got, got);
    }
}

/* ---- rounds ---- */

static int one_round(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(4);
    struct party parties[3] = {{0}};
    unsigned index = UNSET;
    (void)arg;
    EXPECT_IS(whorl_barrier_parties(&barrier), 4);
    line_up(&barrier, parties, 3);
    expect_all(parties, 3, UNSET);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 3);
    EXPECT_IS(whorl_barrier_wait(&barrier, &index), 0);
    EXPECT_IS(index, 3);
    end_all(parties, 3);
    expect_all(parties, 3, 0);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_IS(parties[i].index, i);
    }
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    EXPECT_IS(whorl_barrier_destroy(&barrier), 0);
    EXPECT_IS(whorl_barrier_wait(&barrier, NULL), -EINVAL);
    return 0;
}

static void test_bar_1_the_last_one_lets_all_go_with_an_index_each(void **state)
{
    (void)state;
    at_all_loops(one_round);
}

static int alone(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(1);
    (void)arg;
    pass_begin();
    const unsigned at = pass_now();
    for (int i = 0; i < 3; i++) {
        unsigned index = UNSET;
        EXPECT_IS(whorl_barrier_wait(&barrier, &index), 0);
        EXPECT_IS(index, 0);
    }
    EXPECT_IS(pass_now() - at, 0);
    pass_end();
    return 0;
}

static void test_bar_2_one_party_never_waits_and_none_is_refused(void **state)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(0);
    struct whorl_barrier negative = WHORL_BARRIER_INIT((unsigned)-1);
    (void)state;
    assert_int_equal(whorl_barrier_wait(&barrier, NULL), -EINVAL);
    assert_int_equal(whorl_barrier_wait(&negative, NULL), -EINVAL);
    assert_int_equal(whorl_barrier_init(&barrier, 0), -EINVAL);
    assert_int_equal(whorl_barrier_init(&barrier, 0x80000000U), -EINVAL);
    at_all_loops(alone);
    at_no_loop(alone);
}

static int several_rounds(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    (void)arg;
    for (int round = 0; round < 5; round++) {
        struct party parties[3] = {{0}};
        line_up(&barrier, parties, 3);
        end_all(parties, 3);
        expect_all(parties, 3, 0);
        EXPECT_IS(parties[0].index + parties[1].index + parties[2].index, 3);
    }
    return 0;
}

static void test_bar_3_it_is_used_again(void **state)
{
    (void)state;
    at_all_loops(several_rounds);
}

/* Two wait; then the barrier's lock is held, while the third of the round and two of the next stand
 * in line for it. So they come in this order, and those who waited leave after them. */
static void fill_behind_its_lock(struct whorl_barrier *barrier, struct party old[3],
                                 struct party new[2])
{
    line_up(barrier, old, 2);
    must(whorl_lock_acquire(whorl_condition_lock(&barrier->changed)));
    line_up(barrier, &old[2], 1);
    line_up(barrier, new, 2);
}

static void open_its_lock(struct whorl_barrier *barrier)
{
    must(whorl_lock_release(whorl_condition_lock(&barrier->changed)));
    settle();
}

/* Who comes while it drains waits for the next round. */
static int come_while_it_drains(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party old[3] = {{0}};
    struct party new[3] = {{0}};
    (void)arg;
    fill_behind_its_lock(&barrier, old, new);
    open_its_lock(&barrier);
    expect_all(old, 3, 0);
    expect_all(new, 2, UNSET);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 2);
    come(&barrier, &new[2]);
    end_all(old, 3);
    end_all(new, 3);
    expect_all(new, 3, 0);
    EXPECT_IS(new[0].index + new[1].index + new[2].index, 3);
    return 0;
}

static void test_bar_4_who_comes_while_it_drains_waits(void **state)
{
    (void)state;
    at_all_loops(come_while_it_drains);
}

static int count_waiting(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party parties[2] = {{0}};
    (void)arg;
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    line_up(&barrier, parties, 1);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 1);
    line_up(&barrier, &parties[1], 1);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 2);
    EXPECT_IS(whorl_barrier_wait(&barrier, NULL), 0);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0); /* it drains */
    end_all(parties, 2);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    return 0;
}

static void test_bar_5_n_waiting_counts_while_it_fills(void **state)
{
    (void)state;
    at_all_loops(count_waiting);
}

static int cancel_one(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party parties[4] = {{0}};
    (void)arg;
    line_up(&barrier, parties, 2);
    EXPECT(whorl_cancel(parties[0].task, NULL));
    settle();
    EXPECT_IS(parties[0].got, -ECANCELED);
    EXPECT_IS(parties[1].got, UNSET);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 1);
    EXPECT(!whorl_barrier_broken(&barrier));
    line_up(&barrier, &parties[2], 1);
    EXPECT_IS(parties[2].got, UNSET);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 2);
    line_up(&barrier, &parties[3], 1);
    end_all(parties, 4);
    expect_all(&parties[1], 3, 0);
    for (unsigned i = 0; i < 3; i++) { /* BAR-13: no two of a round the same */
        EXPECT_IS(parties[i + 1].index, i);
    }
    return 0;
}

static void test_bar_6_a_cancelled_one_leaves_and_breaks_nothing(void **state)
{
    (void)state;
    at_all_loops(cancel_one);
}

static void test_bar_13_no_two_of_a_round_have_the_same_index(void **state)
{
    (void)state;
    at_all_loops(cancel_one);
}

static int run_out_of_time(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(2);
    (void)arg;
    EXPECT_IS(whorl_barrier_wait_until(&barrier, whorl_after(WHORL_MILLISECOND), NULL),
              -ETIMEDOUT);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    EXPECT(!whorl_barrier_broken(&barrier));
    EXPECT_IS(whorl_barrier_destroy(&barrier), 0);
    return 0;
}

static void test_bar_6_a_late_one_leaves_and_breaks_nothing(void **state)
{
    (void)state;
    at_all_loops(run_out_of_time);
    at_no_loop(run_out_of_time);
}

/* ---- reset and abort ---- */

static int reset_while_they_wait(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party parties[2] = {{0}};
    struct party next[3] = {{0}};
    (void)arg;
    line_up(&barrier, parties, 2);
    EXPECT_IS(whorl_barrier_reset(&barrier), 0);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    EXPECT(!whorl_barrier_broken(&barrier));
    end_all(parties, 2);
    expect_all(parties, 2, BROKEN);
    EXPECT(!whorl_barrier_broken(&barrier));
    line_up(&barrier, next, 3);
    end_all(next, 3);
    expect_all(next, 3, 0);
    return 0;
}

static void test_bar_7_reset_sends_those_away_who_wait(void **state)
{
    (void)state;
    at_all_loops(reset_while_they_wait);
}

static int reset_it(void *arg)
{
    return whorl_barrier_reset(arg);
}

static int abort_it_in_line(void *arg)
{
    return whorl_barrier_abort(arg);
}

/* The round is full and drains; two stand outside; then the reset. */
static int reset_while_it_drains(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party old[3] = {{0}};
    struct party new[2] = {{0}};
    (void)arg;
    fill_behind_its_lock(&barrier, old, new);
    struct whorl_task *const resetter = start(reset_it, &barrier);
    settle();
    open_its_lock(&barrier);
    EXPECT_IS(finish(resetter), 0);
    EXPECT_IS(old[2].got, 0); /* it was the last one, and waited for nothing */
    expect_all(old, 2, BROKEN);
    expect_all(new, 2, UNSET);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 2);
    EXPECT(!whorl_barrier_broken(&barrier));
    EXPECT_IS(whorl_barrier_wait(&barrier, NULL), 0);
    end_all(old, 3);
    end_all(new, 2);
    expect_all(new, 2, 0);
    return 0;
}

static void test_bar_8_reset_while_it_drains_leaves_those_outside(void **state)
{
    (void)state;
    at_all_loops(reset_while_it_drains);
}

static int reset_empty(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(2);
    (void)arg;
    EXPECT_IS(whorl_barrier_reset(&barrier), 0);
    EXPECT(!whorl_barrier_broken(&barrier));
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    return 0;
}

static void test_bar_9_reset_of_an_empty_one_is_quiet(void **state)
{
    (void)state;
    at_all_loops(reset_empty);
    at_no_loop(reset_empty);
}

static int abort_it(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party parties[2] = {{0}};
    struct party next[3] = {{0}};
    (void)arg;
    line_up(&barrier, parties, 2);
    EXPECT_IS(whorl_barrier_abort(&barrier), 0);
    EXPECT(whorl_barrier_broken(&barrier));
    end_all(parties, 2);
    expect_all(parties, 2, BROKEN);
    EXPECT_IS(whorl_barrier_wait(&barrier, NULL), BROKEN);
    EXPECT(whorl_barrier_broken(&barrier));
    EXPECT_IS(whorl_barrier_reset(&barrier), 0);
    EXPECT(!whorl_barrier_broken(&barrier));
    line_up(&barrier, next, 3);
    end_all(next, 3);
    expect_all(next, 3, 0);
    return 0;
}

static void test_bar_10_abort_breaks_it_until_it_is_reset(void **state)
{
    (void)state;
    at_all_loops(abort_it);
}

static int abort_while_it_drains(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(3);
    struct party old[3] = {{0}};
    struct party new[2] = {{0}};
    (void)arg;
    fill_behind_its_lock(&barrier, old, new);
    struct whorl_task *const aborter = start(abort_it_in_line, &barrier);
    settle();
    open_its_lock(&barrier);
    EXPECT_IS(finish(aborter), 0);
    end_all(old, 3);
    end_all(new, 2);
    EXPECT_IS(old[2].got, 0);
    expect_all(old, 2, BROKEN);
    expect_all(new, 2, BROKEN);
    EXPECT(whorl_barrier_broken(&barrier));
    return 0;
}

static void test_bar_11_abort_hits_those_outside_as_well(void **state)
{
    (void)state;
    at_all_loops(abort_while_it_drains);
}

static void leave_with_index(void *arg)
{
    EXPECT_IS(*(unsigned *)arg, 0); /* there is nothing to give back: the index, and that is all */
}

static int in_a_scope(void *arg)
{
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(1);
    struct whorl_exit_stack stack = {0};
    unsigned index = UNSET;
    (void)arg;
    EXPECT_IS(whorl_barrier_wait(&barrier, &index), 0);
    must(whorl_exit_stack_defer(&stack, leave_with_index, &index));
    EXPECT_IS(whorl_exit_stack_close(&stack, 0, NULL), 0);
    EXPECT_IS(whorl_barrier_n_waiting(&barrier), 0);
    EXPECT(!whorl_barrier_broken(&barrier));
    return 0;
}

static void test_bar_12_a_scope_has_its_index_and_leaves_nothing_behind(void **state)
{
    (void)state;
    at_all_loops(in_a_scope);
}

/* ---- MT-29: many rounds on loops and in a thread ---- */

enum { ROUNDS = 100, PARTIES = 5 };

struct field {
    struct whorl_barrier barrier;
    uint32_t indexes;  /* A: sum over all rounds */
    uint32_t came;     /* A */
};

static int go_round(void *arg)
{
    struct field *const field = arg;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        unsigned index = UNSET;
        (void)whorl__add_u32(&field->came, 1);
        EXPECT_IS(whorl_barrier_wait(&field->barrier, &index), 0);
        /* acquire: for the test. All of this round have come, and of the next not all have gone. */
        const uint32_t came = whorl__load_acquire_u32(&field->came);
        EXPECT(came >= (round + 1) * PARTIES && came <= (round + 2) * PARTIES);
        EXPECT(index < PARTIES);
        (void)whorl__add_u32(&field->indexes, index);
    }
    return 0;
}

static int go_round_together(void *arg)
{
    struct field field = {.barrier = WHORL_BARRIER_INIT(PARTIES)};
    struct whorl_task *tasks[PARTIES - 1];
    struct beside thread;
    (void)arg;
    beside_start(&thread, go_round, &field);
    for (int i = 0; i < PARTIES - 1; i++) {
        tasks[i] = start(go_round, &field);
    }
    for (int i = 0; i < PARTIES - 1; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&thread), 0);
    EXPECT_IS(field.indexes, ROUNDS * PARTIES * (PARTIES - 1) / 2);
    EXPECT_IS(whorl_barrier_destroy(&field.barrier), 0);
    return 0;
}

static void test_mt_29_rounds_do_not_mix_and_all_come_back(void **state)
{
    (void)state;
    at_all_loops(go_round_together);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar_1_the_last_one_lets_all_go_with_an_index_each),
        cmocka_unit_test(test_bar_2_one_party_never_waits_and_none_is_refused),
        cmocka_unit_test(test_bar_3_it_is_used_again),
        cmocka_unit_test(test_bar_4_who_comes_while_it_drains_waits),
        cmocka_unit_test(test_bar_5_n_waiting_counts_while_it_fills),
        cmocka_unit_test(test_bar_6_a_cancelled_one_leaves_and_breaks_nothing),
        cmocka_unit_test(test_bar_6_a_late_one_leaves_and_breaks_nothing),
        cmocka_unit_test(test_bar_7_reset_sends_those_away_who_wait),
        cmocka_unit_test(test_bar_8_reset_while_it_drains_leaves_those_outside),
        cmocka_unit_test(test_bar_9_reset_of_an_empty_one_is_quiet),
        cmocka_unit_test(test_bar_10_abort_breaks_it_until_it_is_reset),
        cmocka_unit_test(test_bar_11_abort_hits_those_outside_as_well),
        cmocka_unit_test(test_bar_12_a_scope_has_its_index_and_leaves_nothing_behind),
        cmocka_unit_test(test_bar_13_no_two_of_a_round_have_the_same_index),
        cmocka_unit_test(test_mt_29_rounds_do_not_mix_and_all_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
