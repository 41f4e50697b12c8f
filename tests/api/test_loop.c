/*
 * A loop's passes and its poller: rows LOOP-2, 3, 4, TIME-6, 8, MT-5.
 *
 * That a loop sleeps where it may is told by its own figures: a loop that looks again and again
 * makes thousands of turns in the time of a sleep here, one that sleeps a few.
 */
#include "support/play.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static struct journal journal;

static void note_letter(void *arg)
{
    note(&journal, *(const char *)arg);
}

static void *letter(const char *text)
{
    return (void *)(uintptr_t)text;
}

/* Of all loops. */
static uint64_t count_turns(void)
{
    struct whorl_stats stats;
    must(whorl_stats(-1, &stats));
    return stats.turns;
}

/* ---- callbacks beside sockets and timers ---- */

struct pipe {
    int ends[2];
    struct whorl_task *reader;
    bool stop;
};

static void open_pipe(struct pipe *pipe)
{
    must(pipe2(pipe->ends, O_NONBLOCK | O_CLOEXEC) == 0 ? 0 : -errno);
}

static void close_pipe(struct pipe *pipe)
{
    must(close(pipe->ends[0]) == 0 ? 0 : -errno);
    must(close(pipe->ends[1]) == 0 ? 0 : -errno);
}

static void write_to(struct pipe *pipe)
{
    must(write(pipe->ends[1], "x", 1) == 1 ? 0 : -errno);
}

static int wait_for_pipe(void *arg)
{
    struct pipe *const pipe = arg;
    must(whorl_fd_wait(pipe->ends[0], POLLIN) > 0 ? 0 : -EIO);
    note(&journal, 'p');
    return 0;
}

/* All three become ready here, the last first. */
static void make_ready(void *arg)
{
    struct pipe *const pipe = arg;
    must(whorl_call_later(0, note_letter, letter("t"), NULL, NULL));
    write_to(pipe);
    must(whorl_call_soon(note_letter, letter("s"), NULL, NULL));
}

static int order_of_a_pass(void *arg)
{
    struct pipe pipe = {.stop = false};
    (void)arg;
    open_pipe(&pipe);
    pipe.reader = start(wait_for_pipe, &pipe);
    settle();
    must(whorl_call_soon(make_ready, &pipe, NULL, NULL));
    must(whorl_yield()); /* the callback is called; the next pass is the one */
    must(whorl_yield());
    note(&journal, '|');
    must(finish(pipe.reader));
    close_pipe(&pipe);
    return 0;
}

static void test_loop_3_posted_first_then_the_poll_then_timers(void **state)
{
    /* The main task gives way when the callback has posted, before the poll. */
    (void)state;
    journal = (struct journal){0};
    assert_int_equal(play(1, order_of_a_pass, NULL), 0);
    assert_string_equal(journal.text, "s|pt");
}

static void call_for_ever(void *arg)
{
    struct pipe *const pipe = arg;
    if (!pipe->stop) {
        must(whorl_call_soon(call_for_ever, pipe, NULL, NULL));
    }
}

static void write_late(void *arg)
{
    write_to(arg);
}

/* The timer fires, and what it writes is found. */
static int repeat_beside_all(void *arg)
{
    struct pipe *const pipe = arg;
    open_pipe(pipe);
    must(whorl_call_soon(call_for_ever, pipe, NULL, NULL));
    must(whorl_call_later(WHORL_MILLISECOND, write_late, pipe, NULL, NULL));
    must(whorl_fd_wait(pipe->ends[0], POLLIN) > 0 ? 0 : -EIO);
    pipe->stop = true;
    settle();
    close_pipe(pipe);
    return 0;
}

static void test_loop_2_a_callback_that_repeats_itself_starves_no_pipe(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pipe pipe = {.stop = false};
        assert_int_equal(play_at_home(loops, repeat_beside_all, &pipe), 0);
    }
}

/* ---- how long a poll waits ---- */

enum { TURNS_FEW = 200 };

struct nap {
    int64_t duration_ns;
    uint64_t turns;
    struct whorl_task *main;
    struct whorl_future *told;
};

static void tell(void *arg)
{
    must(whorl_future_set_result(arg, NULL));
}

/* Timers that were cancelled, and are due before it ends; and one that is due long after. */
static int nap_among_timers(void *arg)
{
    struct nap *const nap = arg;
    struct whorl_handle *handles[50];
    for (int i = 0; i < 50; i++) {
        must(whorl_call_later((i + 1) * nap->duration_ns / 50, note_letter, letter("x"), NULL,
                              &handles[i]));
    }
    must(whorl_call_later(3600 * WHORL_SECOND, note_letter, letter("y"), NULL, NULL));
    for (int i = 0; i < 50; i++) {
        must(whorl_handle_cancel(handles[i]) ? 0 : -EINVAL);
        whorl_handle_unref(handles[i]);
    }
    const uint64_t before = count_turns();
    must(whorl_sleep(nap->duration_ns));
    nap->turns = count_turns() - before;
    return 0;
}

static void test_loop_4_and_time_6_poll_waits_for_the_earliest_timer_that_counts(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nap nap = {.duration_ns = 50 * WHORL_MILLISECOND};
        journal = (struct journal){0};
        assert_int_equal(play_at_home(loops, nap_among_timers, &nap), 0);
        assert_true(nap.turns < TURNS_FEW);
        assert_string_equal(journal.text, "");
    }
}

static void *post_late(void *arg)
{
    const struct nap *const nap = arg;
    const struct timespec while_it_sleeps = {.tv_nsec = 50 * WHORL_MILLISECOND};
    must(nanosleep(&while_it_sleeps, NULL));
    must(whorl_call_soon_threadsafe(nap->main, tell, nap->told, NULL, NULL));
    return NULL;
}

static int nap_without_timers(void *arg)
{
    struct nap *const nap = arg;
    pthread_t thread;
    nap->main = whorl_task_current();
    nap->told = new_future();
    const uint64_t before = count_turns();
    must(pthread_create(&thread, NULL, post_late, nap));
    must(whorl_future_await(nap->told, NULL));
    nap->turns = count_turns() - before;
    must(pthread_join(thread, NULL));
    whorl_future_unref(nap->told);
    return 0;
}

static void test_loop_4_poll_without_timers_waits_until_somebody_posts(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nap nap = {0};
        assert_int_equal(play_at_home(loops, nap_without_timers, &nap), 0);
        assert_true(nap.turns < TURNS_FEW);
    }
}

/* Were a poll to wait here, it would be for an hour. */
static int give_way_often(void *arg)
{
    int *const passes = arg;
    must(whorl_call_later(3600 * WHORL_SECOND, note_letter, letter("y"), NULL, NULL));
    for (*passes = 0; *passes < 10000; ++*passes) {
        must(whorl_yield());
    }
    return 0;
}

static void test_loop_4_poll_does_not_wait_while_something_is_ready(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int passes = 0;
        assert_int_equal(play_at_home(loops, give_way_often, &passes), 0);
        assert_int_equal(passes, 10000);
    }
}

enum { NAPS = 300, TURNS_A_NAP = 20 };

/* From one nanosecond on: many of them less than a poller can wait. */
static int nap_shortly(void *arg)
{
    struct nap *const nap = arg;
    const uint64_t before = count_turns();
    for (int64_t i = 0; i < NAPS; i++) {
        must(whorl_sleep(1 + i * i * i / 100));
    }
    nap->turns = count_turns() - before;
    return 0;
}

static void test_time_8_tiny_sleeps_cost_a_few_turns_each(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct nap nap = {0};
        assert_int_equal(play_at_home(loops, nap_shortly, &nap), 0);
        assert_true(nap.turns < NAPS * TURNS_A_NAP);
    }
}

/* ---- callbacks stay ---- */

enum { CALLS = 200 };

struct kept {
    int next;
    int out_of_order;
    int elsewhere;
};

struct kept_call {
    struct kept *kept;
    int number;
};

static void see_home(void *arg)
{
    const struct kept_call *const call = arg;
    call->kept->out_of_order += call->kept->next++ != call->number;
    call->kept->elsewhere += whorl_loop_current() != whorl_loop_count() - 1;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Others have nothing to do but to look for work here: tasks they may take, callbacks not. */
static int post_and_hold(void *arg)
{
    struct kept *const kept = arg;
    struct kept_call calls[CALLS];
    const int64_t until_ns = whorl_after(5 * WHORL_MILLISECOND);
    for (int i = 0; i < CALLS; i++) {
        calls[i] = (struct kept_call){kept, i};
        must(whorl_call_soon(see_home, &calls[i], NULL, NULL));
        must(whorl_spawn(do_nothing, NULL, NULL, NULL));
    }
    while (whorl_now() < until_ns) {
    }
    while (kept->next < CALLS) {
        must(whorl_yield());
    }
    return 0;
}

static void test_mt_5_callbacks_stay_on_their_loop_in_order_while_others_steal(void **state)
{
    (void)state;
    for (int loops = 2; loops <= LOOPS_MOST; loops *= 2) {
        struct kept kept = {0};
        assert_int_equal(play_at_home(loops, post_and_hold, &kept), 0);
        assert_int_equal(kept.next, CALLS);
        assert_int_equal(kept.out_of_order, 0);
        assert_int_equal(kept.elsewhere, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_2_a_callback_that_repeats_itself_starves_no_pipe),
        cmocka_unit_test(test_loop_3_posted_first_then_the_poll_then_timers),
        cmocka_unit_test(
            test_loop_4_and_time_6_poll_waits_for_the_earliest_timer_that_counts),
        cmocka_unit_test(test_loop_4_poll_without_timers_waits_until_somebody_posts),
        cmocka_unit_test(test_loop_4_poll_does_not_wait_while_something_is_ready),
        cmocka_unit_test(test_time_8_tiny_sleeps_cost_a_few_turns_each),
        cmocka_unit_test(test_mt_5_callbacks_stay_on_their_loop_in_order_while_others_steal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
