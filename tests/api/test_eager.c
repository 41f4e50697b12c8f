/*
 * Eager start: rows EAG of asyncio's semantics, MT-18. What does not depend on another loop's pace
 * is played at one loop, two and LOOPS_MOST; the journal of EAG-11 at one.
 */
#include "support/play.h"

#include "base/compiler.h"

#include <errno.h>
#include <pthread.h>

static const struct whorl_attr eager = {.flags = WHORL_EAGER};

static struct whorl_task *start_eagerly(whorl_body *body, void *arg)
{
    struct whorl_task *task;
    must(whorl_spawn(body, arg, &eager, &task));
    return task;
}

#define FOR_LOOPS(loops) for (int loops = 1; loops <= LOOPS_MOST; loops *= 2)

/* ---- EAG-1, EAG-6: all of it before spawn returns ---- */

struct quick {
    struct whorl_future *done; /* awaited, but done already: no wait */
    bool was_done;
    bool same_thread;
    bool cancelled;   /* what the cancel said */
    int cancelling;
    int result;
    void *value;
    pthread_t thread;
};

static int end_with_thread(void *arg)
{
    struct quick *const quick = arg;
    must(whorl_future_await(quick->done, NULL));
    quick->thread = pthread_self();
    return whorl_return(quick);
}

static int spawn_quick(void *arg)
{
    struct quick *const quick = arg;
    quick->done = new_future();
    must(whorl_future_set_result(quick->done, NULL));
    const pthread_t here = pthread_self();
    struct whorl_task *const task = start_eagerly(end_with_thread, quick);
    quick->same_thread = pthread_equal(here, quick->thread);
    quick->was_done = whorl_task_done(task);
    quick->cancelled = whorl_cancel(task, "too late");
    quick->cancelling = whorl_task_cancelling(task);
    quick->result = whorl_await(task, &quick->value);
    whorl_task_unref(task);
    whorl_future_unref(quick->done);
    return 0;
}

static void test_eag_1_and_6_without_a_wait_it_is_done_when_spawn_returns(void **state)
{
    /* On the creator's thread; a cancel comes too late and changes nothing. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct quick quick = {0};
        assert_int_equal(play(loops, spawn_quick, &quick), 0);
        assert_true(quick.was_done);
        assert_true(quick.same_thread);
        assert_false(quick.cancelled);
        assert_int_equal(quick.cancelling, 0);
        assert_int_equal(quick.result, 0);
        assert_ptr_equal(quick.value, &quick);
    }
}

/* ---- EAG-2, EAG-3, EAG-4, EAG-5: the first part, and the rest ---- */

static char red, green;
static const struct whorl_local colour;

struct parts {
    struct whorl_future *gate;
    struct whorl_task *seen_early; /* who the body found itself to be, and later */
    struct whorl_task *seen_late;
    struct whorl_task *task;
    struct whorl_task *creator;
    struct whorl_task *creator_before;
    struct whorl_task *creator_after;
    int errno_after;
    void *inherited;
    void *leaked;
    bool done_early;
    bool moved; /* the creator, by spawning */
    void *own_late;
};

/* Of the thread that it is called on: a compiler keeps errno's address over a wait. */
static WHORL_NOINLINE int read_errno(void)
{
    return errno;
}

static int run_parts(void *arg)
{
    struct parts *const parts = arg;
    parts->seen_early = whorl_task_current();
    parts->inherited = whorl_local_get(&colour);
    must(whorl_local_set(&colour, &green, NULL));
    errno = EXDEV;
    must(whorl_future_await(parts->gate, NULL));
    parts->seen_late = whorl_task_current();
    parts->own_late = whorl_local_get(&colour);
    return read_errno() == EXDEV ? 0 : -EPROTO;
}

static int spawn_parts(void *arg)
{
    struct parts *const parts = arg;
    parts->gate = new_future();
    must(whorl_local_set(&colour, &red, NULL));
    parts->creator_before = whorl_task_current();
    const int here = whorl_loop_current();
    errno = ENOTTY;
    parts->task = start_eagerly(run_parts, parts);
    parts->errno_after = errno;
    parts->moved = here != whorl_loop_current();
    parts->creator_after = whorl_task_current();
    parts->leaked = whorl_local_get(&colour);
    parts->done_early = whorl_task_done(parts->task);
    must(whorl_yield());
    must(whorl_future_set_result(parts->gate, NULL));
    const int error = whorl_await(parts->task, NULL);
    whorl_task_unref(parts->task);
    whorl_future_unref(parts->gate);
    return error;
}

static void test_eag_2_and_3_and_4_first_part_is_its_own_task_then_it_is_like_any(void **state)
{
    /* current_task, context and errno are the new task's inside and the creator's after; MT-18: the
     * creator has not moved. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct parts parts = {0};
        assert_int_equal(play(loops, spawn_parts, &parts), 0);
        assert_ptr_equal(parts.seen_early, parts.task);
        assert_ptr_equal(parts.seen_late, parts.task);
        assert_ptr_equal(parts.creator_after, parts.creator_before);
        assert_int_equal(parts.errno_after, ENOTTY);
        assert_ptr_equal(parts.inherited, &red);
        assert_ptr_equal(parts.leaked, &red);
        assert_ptr_equal(parts.own_late, &green);
        assert_false(parts.done_early);
        assert_false(parts.moved);
    }
}

/* ---- MT-18: nobody takes either of them to another loop meanwhile ---- */

enum { EAGER_ROUNDS = 300 };

struct loop_of_parts {
    int creator; /* its loop: compilers know of pthread_self that a thread's is always the same */
    int moved; /* first parts that ran elsewhere, or creators that came back elsewhere */
};

static int look_at_loop(void *arg)
{
    struct loop_of_parts *const parts = arg;
    parts->moved += parts->creator != whorl_loop_current();
    return whorl_yield(); /* from here on any loop may have it */
}

/* Waits between the rounds, so that it is on another loop now and then. */
static int spawn_where_others_steal(void *arg)
{
    struct loop_of_parts *const parts = arg;
    for (int round = 0; round < EAGER_ROUNDS; round++) {
        parts->creator = whorl_loop_current();
        struct whorl_task *const task = start_eagerly(look_at_loop, parts);
        parts->moved += parts->creator != whorl_loop_current();
        must(finish(task));
        must(whorl_yield());
    }
    return 0;
}

static int spawn_on_all_loops(void *arg)
{
    struct loop_of_parts *const parts = arg;
    struct whorl_task *tasks[LOOPS_MOST];
    for (int i = 0; i < LOOPS_MOST; i++) {
        tasks[i] = start(spawn_where_others_steal, &parts[i]);
    }
    for (int i = 0; i < LOOPS_MOST; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_mt_18_first_part_and_creator_stay_on_one_loop(void **state)
{
    /* With every loop busy at it, and what waits free to be stolen. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct loop_of_parts parts[LOOPS_MOST] = {0};
        assert_int_equal(play(loops, spawn_on_all_loops, parts), 0);
        for (int i = 0; i < LOOPS_MOST; i++) {
            assert_int_equal(parts[i].moved, 0);
        }
    }
}

/* ---- EAG-7: cancelled right after the first part ---- */

struct late_cancel {
    int got;
    int cancelling;
    const char *message;
    int ended;
    int freed;
};

static int wait_and_tell(void *arg)
{
    struct late_cancel *const late = arg;
    late->got = whorl_sleep_until(WHORL_NEVER);
    late->cancelling = whorl_task_cancelling(whorl_task_current());
    late->message = whorl_cancel_message();
    return late->got;
}

static void count_freed(void *arg)
{
    ((struct late_cancel *)arg)->freed++;
}

static int cancel_after_first_part(void *arg)
{
    struct late_cancel *const late = arg;
    struct whorl_task *task;
    const struct whorl_attr attr = {.flags = WHORL_EAGER, .arg_free = count_freed};
    must(whorl_spawn(wait_and_tell, late, &attr, &task));
    must(whorl_cancel(task, "enough") ? 0 : -EPROTO);
    late->ended = finish(task);
    return 0;
}

static void test_eag_7_cancel_after_the_first_part_is_delivered(void **state)
{
    /* As to any task that waits; the argument is freed once. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct late_cancel late = {0};
        assert_int_equal(play(loops, cancel_after_first_part, &late), 0);
        assert_int_equal(late.got, -ECANCELED);
        assert_int_equal(late.cancelling, 1);
        assert_string_equal(late.message, "enough");
        assert_int_equal(late.ended, -ECANCELED);
        assert_int_equal(late.freed, 1);
    }
}

/* ---- EAG-8: errors stay in the task ---- */

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

static int spawn_failing(void *arg)
{
    (void)arg;
    struct whorl_task *const task = start_eagerly(fail_at_once, NULL);
    const bool done = whorl_task_done(task);
    const int error = finish(task);
    return done && error == -EIO ? 0 : -EPROTO;
}

static void test_eag_8_error_of_the_first_part_is_the_tasks(void **state)
{
    /* whorl_spawn itself returns 0. */
    (void)state;
    FOR_LOOPS(loops)
    {
        assert_int_equal(play(loops, spawn_failing, NULL), 0);
    }
}

/* ---- EAG-9: queued where it cannot begin ---- */

struct remote {
    struct whorl_task *near;
    struct whorl_task *task;
    pthread_t ran_on;
    pthread_t caller;
};

static int note_thread(void *arg)
{
    ((struct remote *)arg)->ran_on = pthread_self();
    return 0;
}

static void *spawn_from_thread(void *arg)
{
    struct remote *const remote = arg;
    remote->caller = pthread_self();
    must(whorl_spawn_remote(remote->near, note_thread, remote, &eager, &remote->task));
    must(whorl_await(remote->task, NULL));
    return NULL;
}

static int spawn_remotely(void *arg)
{
    struct remote *const remote = arg;
    pthread_t thread;
    remote->near = whorl_task_current();
    must(pthread_create(&thread, NULL, spawn_from_thread, remote) == 0 ? 0 : -EAGAIN);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    whorl_task_unref(remote->task);
    return 0;
}

static int begin_pinned(void *arg)
{
    (void)arg;
    const struct whorl_attr there = {
        .flags = WHORL_EAGER,
        .pin = WHORL_PIN((whorl_loop_current() + 1) % whorl_loop_count()),
    };
    struct remote remote = {.caller = pthread_self()};
    must(whorl_spawn(note_thread, &remote, &there, &remote.task));
    must(finish(remote.task));
    const bool elsewhere = !pthread_equal(remote.ran_on, remote.caller);
    return elsewhere == (whorl_loop_count() > 1) ? 0 : -EPROTO;
}

static void test_eag_9_from_another_thread_or_for_another_loop_it_is_queued(void **state)
{
    /* It begins on a loop's thread, never on the caller's that is none. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct remote remote = {0};
        assert_int_equal(play(loops, spawn_remotely, &remote), 0);
        assert_false(pthread_equal(remote.ran_on, remote.caller));
        assert_int_equal(play(loops, begin_pinned, NULL), 0);
    }
}

/* ---- EAG-10: nested ---- */

enum { DEPTH = 1000 };

struct nest {
    int depth;
    int deepest;
    struct whorl_future *gate;
};

static int nest_deeper(void *arg)
{
    struct nest *const nest = arg;
    if (++nest->depth > nest->deepest) {
        nest->deepest = nest->depth;
    }
    struct whorl_task *inner = NULL;
    if (nest->depth < DEPTH) {
        inner = start_eagerly(nest_deeper, nest);
    }
    nest->depth--;
    if (inner != NULL) {
        return finish(inner);
    }
    return whorl_future_await(nest->gate, NULL);
}

static int run_nest(void *arg)
{
    struct nest *const nest = arg;
    nest->gate = new_future();
    struct whorl_task *const outermost = start_eagerly(nest_deeper, nest);
    const bool all_began = nest->deepest == DEPTH && nest->depth == 0;
    must(whorl_future_set_result(nest->gate, NULL));
    must(finish(outermost));
    whorl_future_unref(nest->gate);
    return all_began ? 0 : -EPROTO;
}

static void test_eag_10_chains_nest_a_thousand_deep(void **state)
{
    /* Each on a stack of its own: the innermost has begun when the outermost spawn returns. */
    (void)state;
    FOR_LOOPS(loops)
    {
        struct nest nest = {0};
        assert_int_equal(play(loops, run_nest, &nest), 0);
    }
}

/* ---- EAG-11, and yielding in the first part ---- */

static int note_twice(void *arg)
{
    note(arg, 'c');
    must(whorl_yield());
    note(arg, 'd');
    return 0;
}

static int note_other(void *arg)
{
    note(arg, 'o');
    must(whorl_yield());
    note(arg, 'p');
    return 0;
}

static int note_order(void *arg)
{
    struct whorl_task *const other = start(note_other, arg);
    note(arg, '1');
    struct whorl_task *const task = start_eagerly(note_twice, arg);
    note(arg, '2');
    must(whorl_yield());
    note(arg, '3');
    must(finish(task));
    return finish(other);
}

static int note_order_later(void *arg)
{
    must(whorl_yield());
    return note_order(arg);
}

static void test_eag_11_first_part_runs_before_the_rest_of_the_creator(void **state)
{
    /* Its first yield puts it behind what is ready, and the creator goes on at once; also when the
     * creator's batch has more to run. */
    (void)state;
    struct journal first = {{0}};
    struct journal later = {{0}};
    assert_int_equal(play(1, note_order, &first), 0);
    assert_string_equal(first.text, "1c2od3p");
    assert_int_equal(play(1, note_order_later, &later), 0);
    assert_string_equal(later.text, first.text);
}

static int reject_flags(void *arg)
{
    (void)arg;
    const struct whorl_attr odd = {.flags = UINT64_C(1) << 63};
    return whorl_spawn(fail_at_once, NULL, &odd, NULL) == -EINVAL ? 0 : -EPROTO;
}

static void test_spawn_with_an_unknown_flag_is_refused(void **state)
{
    /* A flag of a later version is refused, not passed over. */
    (void)state;
    assert_int_equal(play(1, reject_flags, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eag_1_and_6_without_a_wait_it_is_done_when_spawn_returns),
        cmocka_unit_test(test_eag_2_and_3_and_4_first_part_is_its_own_task_then_it_is_like_any),
        cmocka_unit_test(test_mt_18_first_part_and_creator_stay_on_one_loop),
        cmocka_unit_test(test_eag_7_cancel_after_the_first_part_is_delivered),
        cmocka_unit_test(test_eag_8_error_of_the_first_part_is_the_tasks),
        cmocka_unit_test(test_eag_9_from_another_thread_or_for_another_loop_it_is_queued),
        cmocka_unit_test(test_eag_10_chains_nest_a_thousand_deep),
        cmocka_unit_test(test_eag_11_first_part_runs_before_the_rest_of_the_creator),
        cmocka_unit_test(test_spawn_with_an_unknown_flag_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
