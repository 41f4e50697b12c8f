/*
 * Callbacks of a strand: row MT-7 of asyncio's semantics. What a task of a strand asks to be called
 * never runs while another one of the strand runs. What they share here is plain: in a build with
 * TSan that is the proof that they take turns, and that each sees what the last has done.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <stdio.h>

enum { LOOPS_MANY = 64 };

static int no_failure(void *arg)
{
    (void)arg;
    return 0;
}

static void at_many_loops(whorl_body *body)
{
    at_all_loops(body);
    at_loops(LOOPS_MANY, body);
}

static struct whorl_task *start_in(struct whorl_strand *strand, whorl_body *body, void *arg)
{
    const struct whorl_attr attr = {.strand = strand};
    struct whorl_task *task;
    must(whorl_spawn(body, arg, &attr, &task));
    return task;
}

/* Until nothing of it is left: tasks, and callbacks on their way. */
static void end_strand(struct whorl_strand *strand)
{
    EXPECT_IS(whorl_strand_join(strand, WHORL_NEVER), 0);
    EXPECT_IS(whorl_strand_destroy(strand), 0);
}

/* ---- one at a time ---- */

enum { MEMBERS = 8, ROUNDS = 60, SENT = 200 };

struct room {
    struct whorl_strand strand;
    struct whorl_strand *wanted; /* &strand, or the runtime's own */
    int inside; /* all plain: in turn */
    long tasks;
    long calls;
    long done;
    struct whorl_task *near;
};

static void section(struct room *room)
{
    EXPECT_IS(room->inside++, 0);
    EXPECT(whorl_strand_current() == room->wanted);
    EXPECT_IS(--room->inside, 0);
}

static void be_called(void *arg)
{
    struct room *const room = arg;
    section(room);
    room->calls++;
}

static void call_again(void *arg)
{
    be_called(arg);
    must(whorl_call_soon(be_called, arg, NULL, NULL));
}

static void be_told(struct whorl_future *future, void *arg)
{
    struct room *const room = arg;
    EXPECT(whorl_future_done(future));
    section(room);
    room->done++;
}

static int complete(void *arg)
{
    must(whorl_future_set_result(arg, NULL));
    whorl_future_unref(arg);
    return 0;
}

/* A future that is done by a task of no strand, on whatever loop. */
static void be_told_from_outside(struct room *room)
{
    const struct whorl_attr none = {.flags = WHORL_NO_STRAND};
    struct whorl_future *const future = new_future();
    must(whorl_future_add_done_callback(future, be_told, room));
    must(whorl_spawn(complete, future, &none, NULL));
}

/* Per round: four calls and a done callback. */
static int ask_for_calls(void *arg)
{
    struct room *const room = arg;
    for (int i = 0; i < ROUNDS; i++) {
        section(room);
        room->tasks++;
        must(whorl_call_soon(be_called, room, NULL, NULL));
        must(whorl_call_soon(call_again, room, NULL, NULL));
        must(whorl_call_later(i % 3 * 1000, be_called, room, NULL, NULL));
        be_told_from_outside(room);
        must(i % 2 ? whorl_yield() : whorl_sleep(1000));
    }
    section(room);
    return 0;
}

static int send_calls(void *arg)
{
    struct room *const room = arg;
    const bool own = room->wanted != &room->strand;
    const struct whorl_call_attr attr = {.strand = own ? NULL : &room->strand};
    for (int i = 0; i < SENT; i++) {
        must(whorl_call_soon_threadsafe(room->near, be_called, room, &attr, NULL));
    }
    return 0;
}

static void crowd(struct room *room, struct whorl_strand *strand)
{
    struct whorl_task *tasks[MEMBERS];
    struct beside beside;
    beside_start(&beside, send_calls, room);
    for (int i = 0; i < MEMBERS; i++) {
        tasks[i] = start_in(strand, ask_for_calls, room);
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&beside), 0);
}

static void check_sums(const struct room *room)
{
    EXPECT_IS(room->tasks, MEMBERS * ROUNDS);
    EXPECT_IS(room->calls, MEMBERS * ROUNDS * 4 + SENT);
    EXPECT_IS(room->done, MEMBERS * ROUNDS);
}

static int exclude(void *arg)
{
    struct room room = {.strand = WHORL_STRAND_INIT, .near = whorl_task_current()};
    (void)arg;
    room.wanted = &room.strand;
    crowd(&room, &room.strand);
    end_strand(&room.strand);
    check_sums(&room);
    return 0;
}

static void test_mt_7_callbacks_and_tasks_of_a_strand_take_turns(void **state)
{
    (void)state;
    at_many_loops(exclude);
    at_fast_loop(exclude);
}

static int exclude_isolated(void *arg)
{
    struct room *const room = arg;
    struct whorl_task *tasks[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        const struct whorl_attr attr = {.strand = &room->strand, .pin = WHORL_PIN(i % 3)};
        must(whorl_spawn(ask_for_calls, room, &attr, &tasks[i]));
    }
    for (int i = 0; i < MEMBERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    end_strand(&room->strand);
    return 0;
}

static void test_mt_7_callbacks_of_isolated_loops_take_turns(void **state)
{
    struct room room = {.strand = WHORL_STRAND_INIT};
    const struct whorl_options options = {.loops = 3, .mode = WHORL_MODE_ISOLATED};
    (void)state;
    room.wanted = &room.strand;
    assert_int_equal(whorl_run(exclude_isolated, &room, &options), 0);
    assert_int_equal(room.calls, MEMBERS * ROUNDS * 4);
    at_no_loop(no_failure);
}

/* Waits until all calls were made; the runtime's own strand has tasks in it all the time. */
static int fill_town(void *arg)
{
    struct room room = {.strand = WHORL_STRAND_INIT, .near = whorl_task_current()};
    (void)arg;
    room.wanted = whorl_strand_current();
    EXPECT(room.wanted != NULL);
    crowd(&room, NULL);
    while (room.calls < MEMBERS * ROUNDS * 4 + SENT || room.done < MEMBERS * ROUNDS) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    check_sums(&room);
    return 0;
}

static void test_mt_7_an_option_puts_all_callbacks_into_one_strand(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops++) {
        const struct whorl_options options = {.loops = loops, .flags = WHORL_STRANDED};
        assert_int_equal(whorl_run(fill_town, NULL, &options), 0);
    }
    at_no_loop(no_failure);
}

/* ---- in which order ---- */

struct line {
    struct journal *journal;
    char letter;
};

static void note_call(void *arg)
{
    const struct line *const line = arg;
    note(line->journal, line->letter);
}

static int note_task(void *arg)
{
    note_call(arg);
    return 0;
}

static void note_done(struct whorl_future *future, void *arg)
{
    (void)future;
    note_call(arg);
}

/* In the strand: nothing of it runs before this task waits. */
static int stand_in_line(void *arg)
{
    struct line lines[8];
    struct whorl_future *const future = new_future();
    struct whorl_task *tasks[2], *last;
    for (int i = 0; i < 8; i++) {
        lines[i] = (struct line){arg, (char)('a' + i)};
    }
    must(whorl_future_add_done_callback(future, note_done, &lines[4]));
    must(whorl_call_soon(note_call, &lines[0], NULL, NULL));
    tasks[0] = start(note_task, &lines[1]);
    must(whorl_call_soon(note_call, &lines[2], NULL, NULL));
    must(whorl_call_soon(note_call, &lines[3], NULL, NULL));
    must(whorl_future_set_result(future, NULL)); /* e */
    tasks[1] = start(note_task, &lines[5]);
    must(whorl_call_soon(note_call, &lines[6], NULL, NULL));
    last = start(note_task, &lines[7]);
    EXPECT_IS(finish(last), 0);
    EXPECT_IS(finish(tasks[0]), 0);
    EXPECT_IS(finish(tasks[1]), 0);
    whorl_future_unref(future);
    return 0;
}

static int check_order(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    struct journal journal = {.text = ""};
    (void)arg;
    EXPECT_IS(finish(start_in(&strand, stand_in_line, &journal)), 0);
    EXPECT_IS(strcmp(journal.text, "abcdefgh"), 0);
    end_strand(&strand);
    return 0;
}

static void test_mt_7_calls_and_tasks_of_a_strand_come_in_the_order_of_asking(void **state)
{
    (void)state;
    at_many_loops(check_order);
    at_fast_loop(check_order);
}

/* A call that is made by a call comes behind what is in line: asyncio's next pass. */
static void note_and_ask(void *arg)
{
    struct line *const line = arg;
    note_call(line);
    if (line->letter < 'c') {
        line->letter++;
        must(whorl_call_soon(note_and_ask, line, NULL, NULL));
    }
}

static int ask_in_turn(void *arg)
{
    struct line first = {arg, 'a'}, second = {arg, 'a'};
    must(whorl_call_soon(note_and_ask, &first, NULL, NULL));
    must(whorl_call_soon(note_and_ask, &second, NULL, NULL));
    while (strlen(((struct journal *)arg)->text) < 6) {
        must(whorl_sleep(1000));
    }
    return 0;
}

static int check_chains(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    struct journal journal = {.text = ""};
    (void)arg;
    EXPECT_IS(finish(start_in(&strand, ask_in_turn, &journal)), 0);
    EXPECT_IS(strcmp(journal.text, "aabbcc"), 0);
    end_strand(&strand);
    return 0;
}

static void test_mt_7_what_a_call_of_a_strand_asks_for_stands_behind(void **state)
{
    (void)state;
    at_many_loops(check_chains);
    at_fast_loop(check_chains);
}

/* ---- where a callback is ---- */

struct where {
    struct whorl_strand *strand;
    struct whorl_future *told;
    int loop;
};

static int be_there(void *arg)
{
    struct where *const where = arg;
    EXPECT(whorl_strand_current() == where->strand);
    return 0;
}

static int be_there_and_tell(void *arg)
{
    struct where *const where = arg;
    (void)be_there(arg);
    return whorl_future_set_result(where->told, NULL);
}

static bool has_begun;

static int begin_eagerly(void *arg)
{
    has_begun = true;
    return be_there(arg);
}

static void do_all_from_a_call(void *arg)
{
    struct where *const where = arg;
    const struct whorl_attr eager = {.flags = WHORL_EAGER | WHORL_QUIET};
    (void)be_there(arg);
    has_begun = false;
    must(whorl_spawn(begin_eagerly, arg, &eager, NULL));
    EXPECT(has_begun);
    (void)be_there(arg);
    if (where->strand != NULL) {
        EXPECT_IS(whorl_strand_join(where->strand, WHORL_NEVER), -EDEADLK);
    }
    EXPECT_IS(whorl_strand_enter(NULL), -EPERM);
    must(whorl_spawn(be_there_and_tell, arg, NULL, NULL));
}

static void call_and_wait(struct where *where, const struct whorl_call_attr *attr)
{
    where->told = new_future();
    must(whorl_call_soon(do_all_from_a_call, where, attr, NULL));
    EXPECT_IS(whorl_future_await(where->told, NULL), 0);
    whorl_future_unref(where->told);
}

static int ask_from_inside(void *arg)
{
    struct where inside = {.strand = arg}, outside = {.strand = NULL};
    const struct whorl_call_attr none = {.flags = WHORL_NO_STRAND};
    call_and_wait(&inside, NULL);
    call_and_wait(&outside, &none);
    return 0;
}

static int ask_from_everywhere(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT, other = WHORL_STRAND_INIT;
    const struct whorl_call_attr into = {.strand = &strand};
    struct where there = {.strand = &strand}, nowhere = {.strand = NULL};
    (void)arg;
    call_and_wait(&nowhere, NULL);
    call_and_wait(&there, &into);
    EXPECT_IS(finish(start_in(&strand, ask_from_inside, &strand)), 0);
    must(whorl_strand_enter(&other));
    call_and_wait(&there, &into);
    must(whorl_strand_enter(NULL));
    end_strand(&strand);
    end_strand(&other);
    return 0;
}

static void test_mt_7_a_callback_is_where_it_was_asked_for(void **state)
{
    (void)state;
    at_all_loops(ask_from_everywhere);
}

static void note_loop(void *arg)
{
    struct where *const where = arg;
    where->loop = whorl_loop_current();
    must(whorl_future_set_result(where->told, NULL));
}

static int pin_calls(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    const int loops = whorl_loop_count();
    (void)arg;
    must(whorl_strand_enter(&strand));
    for (int i = 0; i < 4 * loops; i++) {
        const struct whorl_call_attr attr = {.pin = WHORL_PIN(i % loops)};
        struct where where = {.told = new_future(), .loop = -1};
        must(whorl_call_soon(note_loop, &where, &attr, NULL));
        EXPECT_IS(whorl_future_await(where.told, NULL), 0);
        EXPECT_IS(where.loop, i % loops);
        whorl_future_unref(where.told);
    }
    must(whorl_strand_enter(NULL));
    end_strand(&strand);
    return 0;
}

static void test_mt_7_a_pinned_call_of_a_strand_is_made_by_its_loop(void **state)
{
    (void)state;
    at_all_loops(pin_calls);
}

/* ---- cancelled, dropped ---- */

static uint32_t freed; /* A */

static void count_freed(void *arg)
{
    (void)arg;
    (void)whorl__add_u32(&freed, 1);
}

static const struct whorl_call_attr freeing = {.arg_free = count_freed};

/* In the strand, so they are in line. */
static int cancel_in_line(void *arg)
{
    struct room *const room = arg;
    struct whorl_handle *handles[3], *timer;
    for (int i = 0; i < 3; i++) {
        must(whorl_call_soon(be_called, room, &freeing, &handles[i]));
    }
    must(whorl_call_later(WHORL_SECOND, be_called, room, &freeing, &timer));
    EXPECT(whorl_handle_cancel(handles[1]));
    EXPECT(!whorl_handle_cancel(handles[1]));
    EXPECT(whorl_handle_cancel(timer));
    EXPECT_IS(whorl__load_relaxed_u32(&freed), 2);
    EXPECT_IS(room->calls, 0);
    while (room->calls < 2) {
        must(whorl_sleep(1000));
    }
    EXPECT(!whorl_handle_cancel(handles[0]));
    for (int i = 0; i < 3; i++) {
        whorl_handle_unref(handles[i]);
    }
    whorl_handle_unref(timer);
    return 0;
}

static int check_cancels(void *arg)
{
    struct room room = {.strand = WHORL_STRAND_INIT};
    (void)arg;
    room.wanted = &room.strand;
    whorl__store_relaxed_u32(&freed, 0);
    EXPECT_IS(finish(start_in(&room.strand, cancel_in_line, &room)), 0);
    end_strand(&room.strand);
    EXPECT_IS(room.calls, 2);
    EXPECT_IS(whorl__load_relaxed_u32(&freed), 4);
    return 0;
}

static void test_mt_7_a_cancelled_call_of_a_strand_is_not_made(void **state)
{
    (void)state;
    at_all_loops(check_cancels);
}

/* A timer that is cancelled, and a done callback that is removed, are in the strand no longer. */
static int take_back(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    const struct whorl_call_attr attr = {.strand = &strand};
    struct room room = {.wanted = &strand};
    struct whorl_future *const future = new_future();
    struct whorl_handle *timer;
    (void)arg;
    must(whorl_call_later(WHORL_SECOND, be_called, &room, &attr, &timer));
    EXPECT_IS(whorl_strand_destroy(&strand), -EBUSY);
    EXPECT(whorl_handle_cancel(timer));
    whorl_handle_unref(timer);
    must(whorl_strand_enter(&strand));
    must(whorl_future_add_done_callback(future, be_told, &room));
    must(whorl_strand_enter(NULL));
    EXPECT_IS(whorl_strand_destroy(&strand), -EBUSY);
    EXPECT_IS(whorl_future_remove_done_callback(future, be_told, &room), 1);
    EXPECT_IS(whorl_strand_destroy(&strand), 0);
    EXPECT_IS(whorl_strand_init(&strand), 0);
    must(whorl_strand_enter(&strand));
    must(whorl_future_add_done_callback(future, be_told, &room));
    must(whorl_strand_enter(NULL));
    whorl_future_unref(future); /* never done */
    EXPECT_IS(whorl_strand_destroy(&strand), 0);
    return 0;
}

static char told[512];

static int hear(void *arg, const struct whorl_report *report)
{
    (void)arg;
    snprintf(told, sizeof told, "%s", report->message);
    return 0;
}

static int take_back_and_hear(void *arg)
{
    told[0] = '\0';
    must(whorl_exception_handler_set(hear, NULL));
    (void)take_back(arg);
    EXPECT(strstr(told, "still in it are callbacks") != NULL);
    return 0;
}

static void test_mt_7_a_strand_with_callbacks_on_their_way_is_not_destroyed(void **state)
{
    (void)state;
    at_all_loops(take_back_and_hear);
}

struct leaving {
    struct whorl_strand strand;
    struct room room;
    struct whorl_future *future;
};

enum { LEFT = 40 };

/* The main: what it asks for last is dropped with the runtime, with the turn or in line for it. */
static int leave_calls(void *arg)
{
    struct leaving *const leaving = arg;
    const struct whorl_call_attr attr = {.strand = &leaving->strand, .arg_free = count_freed};
    struct whorl_call_attr pinned = attr;
    must(whorl_call_later(WHORL_SECOND, be_called, &leaving->room, &attr, NULL));
    must(whorl_strand_enter(&leaving->strand));
    must(whorl_future_add_done_callback(leaving->future, be_told, &leaving->room));
    for (int i = 0; i < LEFT; i++) {
        pinned.pin = i % 2 ? WHORL_PIN(i % whorl_loop_count()) : 0;
        must(whorl_call_soon(be_called, &leaving->room, &pinned, NULL));
    }
    return 0;
}

static void test_mt_7_the_end_of_the_runtime_drops_calls_of_a_strand(void **state)
{
    static struct leaving leaving = {.strand = WHORL_STRAND_INIT};
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops++) {
        whorl__store_relaxed_u32(&freed, 0);
        leaving.room = (struct room){.wanted = &leaving.strand};
        leaving.future = new_future();
        assert_int_equal(play(loops, leave_calls, &leaving), 0);
        assert_int_equal(whorl__load_relaxed_u32(&freed), LEFT + 1);
        assert_int_equal(whorl_strand_destroy(&leaving.strand), -EBUSY); /* the done callback */
        must(whorl_future_set_result(leaving.future, NULL));
        assert_int_equal(leaving.room.done, 0);
        assert_int_equal(whorl_strand_join(&leaving.strand, WHORL_NEVER), 0);
        whorl_future_unref(leaving.future);
    }
    assert_int_equal(whorl_strand_destroy(&leaving.strand), 0);
    at_no_loop(no_failure);
}

/* ---- misuse ---- */

static int use_wrongly(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    struct room room = {.wanted = &strand};
    const struct whorl_call_attr both = {.strand = &strand, .flags = WHORL_NO_STRAND};
    const struct whorl_call_attr unknown = {.flags = 1u << 20};
    const struct whorl_call_attr eager = {.flags = WHORL_EAGER};
    const struct whorl_call_attr gone = {.strand = &strand};
    (void)arg;
    EXPECT_IS(whorl_call_soon(be_called, &room, &both, NULL), -EINVAL);
    EXPECT_IS(whorl_call_soon(be_called, &room, &unknown, NULL), -EINVAL);
    EXPECT_IS(whorl_call_soon(be_called, &room, &eager, NULL), -EINVAL);
    EXPECT_IS(whorl_strand_destroy(&strand), 0);
    EXPECT_IS(whorl_call_soon(be_called, &room, &gone, NULL), -EINVAL);
    EXPECT_IS(whorl_call_later(0, be_called, &room, &gone, NULL), -EINVAL);
    EXPECT_IS(whorl_call_soon_threadsafe(whorl_task_current(), be_called, &room, &gone, NULL),
              -EINVAL);
    EXPECT_IS(room.calls, 0);
    return 0;
}

static void test_mt_7_a_call_in_no_good_strand_is_refused(void **state)
{
    (void)state;
    at_all_loops(use_wrongly);
}

static int call_elsewhere(void *arg)
{
    const struct whorl_call_attr attr = {.strand = arg};
    EXPECT_IS(whorl_call_soon(be_called, NULL, &attr, NULL), -EXDEV);
    return 0;
}

static int run_second_runtime(void *arg)
{
    const struct whorl_options options = {.loops = 2};
    return whorl_run(call_elsewhere, arg, &options);
}

static int use_in_two(void *arg)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    const struct whorl_call_attr attr = {.strand = &strand};
    struct whorl_handle *timer;
    struct beside beside;
    (void)arg;
    must(whorl_call_later(WHORL_SECOND, be_called, NULL, &attr, &timer));
    beside_start(&beside, run_second_runtime, &strand);
    EXPECT_IS(beside_finish(&beside), 0);
    EXPECT(whorl_handle_cancel(timer));
    whorl_handle_unref(timer);
    end_strand(&strand);
    return 0;
}

static void test_mt_7_a_strand_with_a_call_is_of_its_runtime(void **state)
{
    (void)state;
    at_all_loops(use_in_two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_7_callbacks_and_tasks_of_a_strand_take_turns),
        cmocka_unit_test(test_mt_7_callbacks_of_isolated_loops_take_turns),
        cmocka_unit_test(test_mt_7_an_option_puts_all_callbacks_into_one_strand),
        cmocka_unit_test(test_mt_7_calls_and_tasks_of_a_strand_come_in_the_order_of_asking),
        cmocka_unit_test(test_mt_7_what_a_call_of_a_strand_asks_for_stands_behind),
        cmocka_unit_test(test_mt_7_a_callback_is_where_it_was_asked_for),
        cmocka_unit_test(test_mt_7_a_pinned_call_of_a_strand_is_made_by_its_loop),
        cmocka_unit_test(test_mt_7_a_cancelled_call_of_a_strand_is_not_made),
        cmocka_unit_test(test_mt_7_a_strand_with_callbacks_on_their_way_is_not_destroyed),
        cmocka_unit_test(test_mt_7_the_end_of_the_runtime_drops_calls_of_a_strand),
        cmocka_unit_test(test_mt_7_a_call_in_no_good_strand_is_refused),
        cmocka_unit_test(test_mt_7_a_strand_with_a_call_is_of_its_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
