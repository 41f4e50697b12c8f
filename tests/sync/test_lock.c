/*
 * Locks: rows LOCK and MT-9 of asyncio's semantics; at one loop with asyncio's passes, at several,
 * with plain threads, and with two runtimes.
 */
#include "sync/program_sync.h"

#include <errno.h>
#include <stdio.h>

/* ---- who acquires, holds until told, and releases ---- */

struct taker {
    struct whorl_lock *lock;
    int64_t deadline_ns;       /* 0: none */
    struct whorl_future *gate; /* held until it is done; NULL: not at all */
    int got;
    unsigned event;            /* when he had it */
    unsigned at;               /* in which pass */
    const char *message;
    struct whorl_task *task;
};

static int take(void *arg)
{
    struct taker *const taker = arg;
    const int64_t deadline_ns = taker->deadline_ns != 0 ? taker->deadline_ns : WHORL_NEVER;
    taker->got = whorl_lock_acquire_until(taker->lock, deadline_ns);
    taker->message = whorl_cancel_message();
    taker->at = pass_now();
    if (taker->got != 0) {
        return taker->got;
    }
    taker->event = next_event();
    if (taker->gate != NULL) {
        EXPECT_IS(whorl_future_await(taker->gate, NULL), 0);
    }
    EXPECT_IS(whorl_lock_release(taker->lock), 0);
    return 0;
}

/* One after the other, so that the order of arrival is that of the array. */
static void line_up(struct whorl_lock *lock, struct taker *takers, size_t count)
{
    pass_begin();
    for (size_t i = 0; i < count; i++) {
        takers[i].lock = lock;
        takers[i].got = UNSET;
        takers[i].task = start_user(take, &takers[i]);
        settle();
    }
}

static void end_all(struct taker *takers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(takers[i].task);
    }
    pass_end();
}

static int acquire_and_release(void *arg)
{
    int error = whorl_lock_acquire(arg);
    return error != 0 ? error : whorl_lock_release(arg);
}

/* ---- rows ---- */

static int free_lock(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)arg;
    pass_begin();
    const unsigned before = pass_now();
    for (int i = 0; i < 100; i++) {
        EXPECT(!whorl_lock_locked(&lock));
        EXPECT_IS(i % 2 ? whorl_lock_try_acquire(&lock) : whorl_lock_acquire(&lock), 0);
        EXPECT(whorl_lock_locked(&lock));
        EXPECT_IS(whorl_lock_try_acquire(&lock), -EAGAIN);
        EXPECT_IS(whorl_lock_release(&lock), 0);
    }
    EXPECT_IS(pass_now() - before, 0);
    pass_end();
    return 0;
}

static void test_lock_1_a_free_lock_is_taken_without_a_wait(void **state)
{
    (void)state;
    at_all_loops(free_lock);
}

static int acquire_with_a_cancel_pending(void *arg)
{
    (void)arg;
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)whorl_cancel(whorl_task_current(), "now");
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_yield(), -ECANCELED);
    EXPECT_IS(whorl_uncancel(whorl_task_current()), 0);
    return 0;
}

static void test_lock_1_what_does_not_wait_is_no_cancellation_point(void **state)
{
    (void)state;
    at_all_loops(acquire_with_a_cancel_pending);
}

static int arrive_in_order(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[5] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 5);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 5);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_IS(takers[i].got, 0);
        EXPECT_IS(takers[i].event, i + 1);
    }
    EXPECT(!whorl_lock_locked(&lock));
    return 0;
}

static void test_lock_2_waiters_get_it_in_the_order_of_arrival(void **state)
{
    (void)state;
    at_all_loops(arrive_in_order);
}

static int come_between(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker first[1] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, first, 1);
    const unsigned released_at = pass_now();
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT(!whorl_lock_locked(&lock));
    EXPECT_IS(whorl_lock_try_acquire(&lock), -EAGAIN);
    EXPECT_IS(whorl_lock_release(&lock), -EPERM); /* it is nobody's: LOCK-8 */
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(next_event(), 2);
    EXPECT_IS(first[0].event, 1);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(first[0].at - released_at, 1);
        EXPECT_IS(pass_now() - released_at, 2);
    }
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(first, 1);
    return 0;
}

static void test_lock_3_nobody_overtakes_who_was_chosen(void **state)
{
    (void)state;
    at_home(come_between);
}

/* At several loops: whoever was in line before a release is served before who releases. */
static int come_back(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[3] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 3);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(next_event(), 4);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 3);
    return 0;
}

static void test_lock_3_who_releases_goes_behind_those_in_line(void **state)
{
    (void)state;
    at_all_loops(come_back);
}

struct turns {
    struct whorl_lock lock;
    struct journal journal;
};

struct player {
    struct turns *turns;
    char letter;
};

static int take_turns(void *arg)
{
    const struct player *const player = arg;
    for (int i = 0; i < 4; i++) {
        EXPECT_IS(whorl_lock_acquire(&player->turns->lock), 0);
        note(&player->turns->journal, player->letter);
        EXPECT_IS(whorl_lock_release(&player->turns->lock), 0);
    }
    return 0;
}

static int play_in_turns(void *arg)
{
    struct turns turns = {WHORL_LOCK_INIT, {{0}}};
    struct player players[3] = {{&turns, 'a'}, {&turns, 'b'}, {&turns, 'c'}};
    struct whorl_task *tasks[3];
    (void)arg;
    must(whorl_lock_acquire(&turns.lock));
    for (int i = 0; i < 3; i++) {
        tasks[i] = start(take_turns, &players[i]);
        settle();
    }
    must(whorl_lock_release(&turns.lock));
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT(strcmp(turns.journal.text, "abcabcabcabc") == 0);
    return 0;
}

static void test_lock_4_who_releases_and_acquires_takes_turns_with_the_others(void **state)
{
    (void)state;
    at_one_loop(play_in_turns);
    at_all_loops(come_back);
}

/* The first is chosen, then cancelled before it runs. */
static int cancel_the_chosen(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[2] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 2);
    const unsigned at = pass_now();
    EXPECT_IS(whorl_lock_release(&lock), 0);
    (void)whorl_cancel(takers[0].task, "late");
    end_all(takers, 2);
    EXPECT_IS(takers[1].got, 0);
    EXPECT(!whorl_lock_locked(&lock));
    if (whorl_loop_count() == 1) {
        EXPECT_IS(takers[0].got, -ECANCELED);
        EXPECT(takers[0].message != NULL && strcmp(takers[0].message, "late") == 0);
        EXPECT_IS(takers[0].at - at, 1);
        EXPECT_IS(takers[1].at - at, 2);
    }
    return 0;
}

static void test_lock_5_who_was_chosen_and_cancelled_passes_it_on(void **state)
{
    (void)state;
    at_all_loops(cancel_the_chosen);
    at_home(cancel_the_chosen);
}

/* In asyncio the cancelled one passes the wake-up on when it runs: one pass more for the next. */
static int cancel_then_release(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[3] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    struct whorl_future *const gate = new_future();
    takers[1].gate = gate;
    line_up(&lock, takers, 3);
    const unsigned at = pass_now();
    (void)whorl_cancel(takers[0].task, NULL);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    settle();
    EXPECT_IS(takers[0].got, -ECANCELED);
    EXPECT_IS(takers[1].got, 0);
    EXPECT_IS(takers[2].got, UNSET); /* one of them, not two */
    EXPECT(whorl_lock_locked(&lock));
    if (whorl_loop_count() == 1) {
        EXPECT_IS(takers[0].at - at, 1);
        EXPECT_IS(takers[1].at - at, 2);
    }
    must(whorl_future_set_result(gate, NULL));
    end_all(takers, 3);
    EXPECT_IS(takers[2].got, 0);
    whorl_future_unref(gate);
    return 0;
}

static void test_lock_6_release_and_cancel_of_the_first_let_one_other_in(void **state)
{
    (void)state;
    at_all_loops(cancel_then_release);
}

/* All in line are on their way out: asyncio lets the next caller pass them. */
static int overtake_the_cancelled(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[2] = {{0}};
    (void)arg;
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 2);
    (void)whorl_cancel(takers[0].task, NULL);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_try_acquire(&lock), -EAGAIN);
    (void)whorl_cancel(takers[1].task, NULL);
    EXPECT_IS(whorl_lock_try_acquire(&lock), 0);
    settle();
    EXPECT_IS(takers[0].got, -ECANCELED);
    EXPECT_IS(takers[1].got, -ECANCELED);
    EXPECT(whorl_lock_locked(&lock));
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 2);
    return 0;
}

static void test_lock_3_cancelled_ones_are_no_line(void **state)
{
    (void)state;
    at_one_loop(overtake_the_cancelled);
}

static int cancel_one_in_line(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[3] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 3);
    EXPECT(whorl_cancel(takers[1].task, NULL));
    settle();
    EXPECT_IS(takers[1].got, -ECANCELED);
    EXPECT(whorl_lock_locked(&lock));
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 3);
    EXPECT_IS(takers[0].event, 1);
    EXPECT_IS(takers[2].event, 2);
    EXPECT_IS(whorl_lock_destroy(&lock), 0); /* nobody is left in it */
    return 0;
}

static void test_lock_7_a_cancelled_waiter_is_in_line_no_more(void **state)
{
    (void)state;
    at_all_loops(cancel_one_in_line);
}

static int release_free(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)arg;
    EXPECT_IS(whorl_lock_release(&lock), -EPERM);
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT(!whorl_lock_locked(&lock));
    EXPECT_IS(whorl_lock_release(&lock), -EPERM);
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    return 0;
}

static void test_lock_8_release_of_a_free_lock_is_an_error(void **state)
{
    (void)state;
    at_all_loops(release_free);
    at_no_loop(release_free);
}

static void test_lock_10_release_without_waiters_frees_it(void **state)
{
    (void)state;
    at_all_loops(free_lock);
}

static int release_for_another(void *arg)
{
    return whorl_lock_release(arg);
}

static int has_no_owner(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)arg;
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(whorl_lock_acquire_until(&lock, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(finish(start(release_for_another, &lock)), 0);
    EXPECT(!whorl_lock_locked(&lock));
    return 0;
}

static void test_lock_9_it_has_no_owner_and_twice_is_for_ever(void **state)
{
    (void)state;
    at_all_loops(has_no_owner);
}

static int has_an_owner(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    (void)arg;
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(whorl_lock_acquire(&lock), -EDEADLK);
    EXPECT_IS(whorl_lock_try_acquire(&lock), -EDEADLK);
    EXPECT_IS(finish(start(release_for_another, &lock)), -EPERM);
    EXPECT(whorl_lock_locked(&lock));
    struct whorl_task *const other = start(acquire_and_release, &lock);
    settle();
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_release(&lock), -EPERM);
    EXPECT_IS(finish(other), 0);
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    return 0;
}

static void test_mt_9_by_flag_it_has_an_owner_that_is_checked(void **state)
{
    (void)state;
    at_all_loops(has_an_owner);
}

static void leave_lock(void *lock)
{
    EXPECT_IS(whorl_lock_release(lock), 0);
}

/* A scope: what asyncio's "async with" is. */
static int in_a_scope(void *arg)
{
    struct whorl_exit_stack stack = {0};
    int error = whorl_lock_acquire(arg);
    if (error != 0) {
        return error;
    }
    must(whorl_exit_stack_defer(&stack, leave_lock, arg));
    return whorl_exit_stack_close(&stack, wait_for_ever(), NULL);
}

static int leave_a_scope(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)arg;
    struct whorl_task *const inside = start(in_a_scope, &lock);
    settle();
    struct whorl_task *const outside = start(in_a_scope, &lock);
    settle();
    EXPECT(whorl_cancel(outside, NULL)); /* its acquire is: it releases nothing */
    EXPECT_IS(finish(outside), -ECANCELED);
    EXPECT(whorl_lock_locked(&lock));
    EXPECT(whorl_cancel(inside, NULL));
    EXPECT_IS(finish(inside), -ECANCELED);
    EXPECT(!whorl_lock_locked(&lock));
    return 0;
}

static void test_lock_11_a_scope_releases_on_any_exit_and_not_what_it_never_had(void **state)
{
    (void)state;
    at_all_loops(leave_a_scope);
}

/* ---- several runtimes, plain threads ---- */

enum { ROUNDS = 2000 };

struct shared {
    struct whorl_lock lock;
    unsigned long counted; /* under the lock */
};

static int count_up(void *arg)
{
    struct shared *const shared = arg;
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_IS(whorl_lock_acquire(&shared->lock), 0);
        const unsigned long was = shared->counted;
        if (i % 64 == 0 && whorl_loop_current() >= 0) {
            EXPECT_IS(whorl_yield(), 0);
        }
        shared->counted = was + 1;
        EXPECT_IS(whorl_lock_release(&shared->lock), 0);
    }
    return 0;
}

static int other_runtime(void *arg)
{
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    return whorl_run(count_up, arg, &options);
}

static int count_up_in_many_places(void *arg)
{
    struct shared shared = {WHORL_LOCK_INIT, 0};
    struct whorl_task *tasks[3];
    struct beside threads[2];
    (void)arg;
    beside_start(&threads[0], count_up, &shared);
    beside_start(&threads[1], other_runtime, &shared);
    for (int i = 0; i < 3; i++) {
        tasks[i] = start(count_up, &shared);
    }
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&threads[0]), 0);
    EXPECT_IS(beside_finish(&threads[1]), 0);
    EXPECT(shared.counted == 5 * ROUNDS);
    EXPECT_IS(whorl_lock_destroy(&shared.lock), 0);
    return 0;
}

static void test_lock_12_loops_threads_and_runtimes_share_a_lock(void **state)
{
    (void)state;
    at_all_loops(count_up_in_many_places);
}

static int wait_in_a_thread(void *arg)
{
    EXPECT_IS(whorl_lock_acquire_until(arg, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(whorl_lock_try_acquire(arg), -EAGAIN);
    return acquire_and_release(arg);
}

static int hand_to_a_thread(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct beside thread;
    (void)arg;
    must(whorl_lock_acquire(&lock));
    beside_start(&thread, wait_in_a_thread, &lock);
    must(whorl_sleep(20 * WHORL_MILLISECOND));
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(beside_finish(&thread), 0);
    return 0;
}

static void test_mt_9_a_plain_thread_waits_for_a_task_and_back(void **state)
{
    (void)state;
    at_all_loops(hand_to_a_thread);
}

/* ---- deadlines ---- */

static int run_out_of_time(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[3] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    takers[0].deadline_ns = whorl_after(WHORL_MILLISECOND);
    takers[2].deadline_ns = whorl_after(3600 * WHORL_SECOND);
    line_up(&lock, takers, 3);
    while (takers[0].got == UNSET) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    EXPECT_IS(takers[0].got, -ETIMEDOUT);
    EXPECT_IS(takers[2].got, UNSET);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 3);
    EXPECT_IS(takers[1].event, 1);
    EXPECT_IS(takers[2].event, 2);
    EXPECT_IS(whorl_lock_acquire_until(&lock, 0), 0); /* free: whatever the time is */
    EXPECT_IS(whorl_lock_acquire_until(&lock, 0), -ETIMEDOUT);
    return 0;
}

static void test_acquire_until_gives_up_at_its_deadline_and_leaves_the_line(void **state)
{
    (void)state;
    at_all_loops(run_out_of_time);
}

/* A cancel that is withdrawn before it ended the wait leaves the waiter where it stood. */
static int withdraw(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker takers[2] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 2);
    (void)whorl_cancel(takers[0].task, NULL);
    (void)whorl_uncancel(takers[0].task);
    settle();
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 2);
    EXPECT(takers[0].got == -ECANCELED || takers[0].event == 1);
    EXPECT_IS(takers[1].got, 0);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(takers[0].got, -ECANCELED); /* in strict order it had ended the wait */
    }
    return 0;
}

static void test_a_cancel_that_is_withdrawn_keeps_the_place_in_line(void **state)
{
    (void)state;
    at_all_loops(withdraw);
}

/* ---- hints ---- */

/* What is asked may be over when it is answered: a try acts and tells. */
static int try_and_count(void *arg)
{
    struct shared *const shared = arg;
    for (int done = 0; done < ROUNDS;) {
        const bool was_locked = whorl_lock_locked(&shared->lock); /* whatever it says */
        const int error = whorl_lock_try_acquire(&shared->lock);
        if (error == 0) {
            EXPECT(whorl_lock_locked(&shared->lock)); /* the caller's: no hint */
            shared->counted++;
            EXPECT_IS(whorl_lock_release(&shared->lock), 0);
            done++;
        } else {
            EXPECT_IS(error, -EAGAIN);
            if (was_locked && whorl_loop_current() >= 0) {
                EXPECT_IS(whorl_yield(), 0);
            }
        }
    }
    return 0;
}

static int try_from_everywhere(void *arg)
{
    struct shared shared = {WHORL_LOCK_INIT, 0};
    struct whorl_task *tasks[3];
    struct beside thread;
    (void)arg;
    beside_start(&thread, try_and_count, &shared);
    for (int i = 0; i < 3; i++) {
        tasks[i] = start(try_and_count, &shared);
    }
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&thread), 0);
    EXPECT(shared.counted == 4 * ROUNDS);
    return 0;
}

static void test_mt_8_what_is_asked_is_a_hint_and_a_try_acts(void **state)
{
    (void)state;
    at_all_loops(try_from_everywhere);
}

/* ---- unfair ---- */

static int barge(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_UNFAIR);
    struct taker takers[2] = {{0}};
    (void)arg;
    forget_events();
    must(whorl_lock_acquire(&lock));
    line_up(&lock, takers, 2);
    for (int i = 0; i < 3; i++) { /* the first is woken, and finds it taken, each time */
        EXPECT_IS(whorl_lock_release(&lock), 0);
        EXPECT_IS(whorl_lock_acquire(&lock), 0);
        settle();
        EXPECT_IS(takers[0].got, UNSET);
    }
    EXPECT_IS(whorl_lock_release(&lock), 0);
    end_all(takers, 2);
    EXPECT_IS(takers[0].event, 1);
    EXPECT_IS(takers[1].event, 2);
    return 0;
}

static int count_up_unfairly(void *arg)
{
    struct shared shared = {WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_UNFAIR), 0};
    struct whorl_task *tasks[4];
    struct beside thread;
    (void)arg;
    beside_start(&thread, count_up, &shared);
    for (int i = 0; i < 4; i++) {
        tasks[i] = start(count_up, &shared);
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&thread), 0);
    EXPECT(shared.counted == 5 * ROUNDS);
    return 0;
}

static void test_mt_9_an_unfair_lock_is_whose_who_comes_first(void **state)
{
    (void)state;
    at_one_loop(barge);
    at_all_loops(count_up_unfairly);
}

/* ---- misuse ---- */

static char told[512];

static int keep_report(void *arg, const struct whorl_report *report)
{
    (void)arg;
    EXPECT_IS(report->error, -EBUSY);
    snprintf(told, sizeof told, "%s", report->message);
    return 0;
}

static int destroy_in_use(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct taker taker[1] = {{0}};
    (void)arg;
    told[0] = '\0';
    must(whorl_exception_handler_set(keep_report, NULL));
    must(whorl_lock_acquire(&lock));
    EXPECT_IS(whorl_lock_destroy(&lock), -EBUSY); /* held */
    EXPECT(told[0] == '\0');
    line_up(&lock, taker, 1);
    whorl_task_set_name(taker[0].task, "patient");
    EXPECT_IS(whorl_lock_destroy(&lock), -EBUSY);
    EXPECT(strstr(told, "lock") != NULL && strstr(told, "\"patient\"") != NULL);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(whorl_lock_destroy(&lock), -EBUSY); /* granted, and on its way */
    }
    end_all(taker, 1);
    EXPECT_IS(whorl_lock_destroy(&lock), 0);
    EXPECT_IS(whorl_lock_destroy(&lock), -EINVAL);
    EXPECT_IS(whorl_lock_acquire(&lock), -EINVAL);
    EXPECT_IS(whorl_lock_try_acquire(&lock), -EINVAL);
    EXPECT_IS(whorl_lock_release(&lock), -EINVAL);
    EXPECT(!whorl_lock_locked(&lock));
    must(whorl_lock_init(&lock, 0));
    EXPECT_IS(whorl_lock_acquire(&lock), 0);
    return 0;
}

static void test_a_lock_in_use_is_not_destroyed_and_names_who_waits(void **state)
{
    (void)state;
    at_all_loops(destroy_in_use);
}

static void in_a_callback(void *arg)
{
    EXPECT_IS(whorl_lock_acquire(arg), -EPERM);
    EXPECT_IS(whorl_lock_try_acquire(arg), -EAGAIN);
    EXPECT_IS(whorl_lock_release(arg), 0);
    EXPECT_IS(whorl_lock_acquire(arg), 0);
}

static int call_back(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)arg;
    must(whorl_lock_acquire(&lock));
    must(whorl_call_soon(in_a_callback, &lock, NULL, NULL));
    settle();
    EXPECT_IS(whorl_lock_release(&lock), 0);
    return 0;
}

static void test_a_callback_takes_what_is_free_and_never_waits(void **state)
{
    (void)state;
    at_one_loop(call_back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_1_a_free_lock_is_taken_without_a_wait),
        cmocka_unit_test(test_lock_1_what_does_not_wait_is_no_cancellation_point),
        cmocka_unit_test(test_lock_2_waiters_get_it_in_the_order_of_arrival),
        cmocka_unit_test(test_lock_3_nobody_overtakes_who_was_chosen),
        cmocka_unit_test(test_lock_3_who_releases_goes_behind_those_in_line),
        cmocka_unit_test(test_lock_3_cancelled_ones_are_no_line),
        cmocka_unit_test(test_lock_4_who_releases_and_acquires_takes_turns_with_the_others),
        cmocka_unit_test(test_lock_5_who_was_chosen_and_cancelled_passes_it_on),
        cmocka_unit_test(test_lock_6_release_and_cancel_of_the_first_let_one_other_in),
        cmocka_unit_test(test_lock_7_a_cancelled_waiter_is_in_line_no_more),
        cmocka_unit_test(test_lock_8_release_of_a_free_lock_is_an_error),
        cmocka_unit_test(test_lock_9_it_has_no_owner_and_twice_is_for_ever),
        cmocka_unit_test(test_lock_10_release_without_waiters_frees_it),
        cmocka_unit_test(test_lock_11_a_scope_releases_on_any_exit_and_not_what_it_never_had),
        cmocka_unit_test(test_lock_12_loops_threads_and_runtimes_share_a_lock),
        cmocka_unit_test(test_mt_8_what_is_asked_is_a_hint_and_a_try_acts),
        cmocka_unit_test(test_mt_9_a_plain_thread_waits_for_a_task_and_back),
        cmocka_unit_test(test_mt_9_by_flag_it_has_an_owner_that_is_checked),
        cmocka_unit_test(test_mt_9_an_unfair_lock_is_whose_who_comes_first),
        cmocka_unit_test(test_acquire_until_gives_up_at_its_deadline_and_leaves_the_line),
        cmocka_unit_test(test_a_cancel_that_is_withdrawn_keeps_the_place_in_line),
        cmocka_unit_test(test_a_lock_in_use_is_not_destroyed_and_names_who_waits),
        cmocka_unit_test(test_a_callback_takes_what_is_free_and_never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
