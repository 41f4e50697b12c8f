/*
 * First of several: whorl_select over queues, futures, events, locks, units and times; at one loop,
 * at several, and in plain threads. What must hold each time: one case is done, and the others are
 * as if nobody had asked.
 */
#include "support/faults.h"
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>

static void *item(long number)
{
    return (void *)(intptr_t)number;
}

static long number(const void *item)
{
    return (long)(intptr_t)item;
}

static void put_now(struct whorl_queue *queue, long what)
{
    EXPECT_IS(whorl_queue_try_put(queue, item(what)), 0);
}

static long get_now(struct whorl_queue *queue)
{
    void *got = item(-1);
    const int error = whorl_queue_try_get(queue, &got);
    return error == 0 ? number(got) : error;
}

/* ---- who selects, and who gets from one queue only ---- */

enum { CASES_MOST = 12 };

struct chooser {
    struct whorl_select_case cases[CASES_MOST];
    size_t count;
    int64_t deadline_ns; /* 0: none */
    int chosen;
    unsigned place;
    struct whorl_task *task;
};

static int choose(void *arg)
{
    struct chooser *const chooser = arg;
    chooser->chosen = whorl_select_until(
        chooser->cases, chooser->count,
        chooser->deadline_ns != 0 ? chooser->deadline_ns : WHORL_NEVER);
    chooser->place = next_event();
    return 0;
}

static void begin(struct chooser *chooser, size_t count)
{
    chooser->count = count;
    chooser->chosen = UNSET;
    chooser->task = start_user(choose, chooser);
    settle();
    EXPECT_IS(chooser->chosen, UNSET);
}

struct getter {
    struct whorl_queue *queue;
    int error;
    long what;
    struct whorl_task *task;
};

static int get_one(void *arg)
{
    struct getter *const getter = arg;
    void *got = NULL;
    getter->error = whorl_queue_get(getter->queue, &got);
    getter->what = number(got);
    return 0;
}

static void begin_getter(struct getter *getter, struct whorl_queue *queue)
{
    getter->queue = queue;
    getter->error = UNSET;
    getter->task = start_user(get_one, getter);
    settle();
}

/* ---- what can be done at once ---- */

static int do_at_once(void *arg)
{
    struct whorl_queue full = WHORL_QUEUE_INIT(1);
    struct whorl_queue empty = WHORL_QUEUE_INIT(1);
    struct whorl_queue idle = WHORL_QUEUE_INIT(1);
    struct whorl_event event = WHORL_EVENT_INIT;
    struct whorl_event set = WHORL_EVENT_INIT;
    struct whorl_lock held = WHORL_LOCK_INIT;
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct whorl_semaphore none = WHORL_SEMAPHORE_INIT(0);
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
    struct whorl_future *const done = new_future();
    struct whorl_future *const pending = new_future();
    (void)arg;
    must(whorl_lock_acquire(&held));
    must(whorl_event_set(&set));
    must(whorl_future_set_result(done, NULL));
    struct whorl_select_case waits[] = {
        WHORL_CASE_NEVER,
        WHORL_CASE_GET(&idle),
        WHORL_CASE_PUT(&full, item(5)),
        WHORL_CASE_DONE(pending),
        WHORL_CASE_EVENT(&event),
        WHORL_CASE_LOCK(&held),
        WHORL_CASE_SEMAPHORE(&none),
        WHORL_CASE_TIME(whorl_after(3600 * WHORL_SECOND)),
    };
    struct whorl_select_case goes[] = {
        WHORL_CASE_GET(&full),
        WHORL_CASE_PUT(&empty, item(5)),
        WHORL_CASE_DONE(done),
        WHORL_CASE_EVENT(&set),
        WHORL_CASE_LOCK(&lock),
        WHORL_CASE_SEMAPHORE(&semaphore),
        WHORL_CASE_TIME(whorl_now()),
    };
    enum { WAITS = sizeof waits / sizeof *waits, GOES = sizeof goes / sizeof *goes };
    put_now(&full, 7);
    EXPECT_IS(whorl_select_try(waits, WAITS), -EAGAIN);
    for (int i = 0; i < GOES; i++) {
        waits[0] = goes[i];
        waits[0].error = UNSET;
        pass_begin();
        const unsigned at = pass_now();
        EXPECT_IS(whorl_select(waits, WAITS), 0);
        EXPECT_IS(pass_now() - at, 0);
        pass_end();
        EXPECT_IS(waits[0].error, 0);
        if (i == 0) {
            EXPECT_IS(number(waits[0].item), 7);
            put_now(&full, 7);
        }
    }
    EXPECT_IS(get_now(&empty), 5);
    EXPECT_IS(get_now(&full), 7);
    EXPECT(whorl_lock_locked(&lock));
    EXPECT_IS(whorl_semaphore_value(&semaphore), 0);
    EXPECT(!whorl_event_is_set(&event));
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_release(&held), 0);
    EXPECT_IS(whorl_queue_destroy(&full), 0);
    EXPECT_IS(whorl_queue_destroy(&empty), 0);
    EXPECT_IS(whorl_queue_destroy(&idle), 0);
    EXPECT_IS(whorl_event_destroy(&event), 0);
    EXPECT_IS(whorl_semaphore_destroy(&none), 0);
    whorl_future_unref(done);
    whorl_future_unref(pending);
    return 0;
}

static void test_what_can_be_done_at_once_is_done_without_a_wait(void **state)
{
    (void)state;
    at_all_loops(do_at_once);
    at_no_loop(do_at_once);
}

/* ---- each kind, waited for ---- */

struct world {
    struct whorl_queue source;
    struct whorl_queue sink; /* for one; it is full */
    struct whorl_event event;
    struct whorl_lock lock; /* held */
    struct whorl_semaphore semaphore;
    struct whorl_future *future;
};

enum { GET, PUT, DONE, EVENT, LOCK, SEMAPHORE, KINDS };

static void open_world(struct world *world)
{
    *world = (struct world){.source = WHORL_QUEUE_INIT(0),
                            .sink = WHORL_QUEUE_INIT(1),
                            .event = WHORL_EVENT_INIT,
                            .lock = WHORL_LOCK_INIT,
                            .semaphore = WHORL_SEMAPHORE_INIT(0),
                            .future = new_future()};
    put_now(&world->sink, 1);
    must(whorl_lock_acquire(&world->lock));
}

static void fill(struct whorl_select_case cases[KINDS], struct world *world)
{
    const struct whorl_select_case all[KINDS] = {
        [GET] = WHORL_CASE_GET(&world->source),
        [PUT] = WHORL_CASE_PUT(&world->sink, item(2)),
        [DONE] = WHORL_CASE_DONE(world->future),
        [EVENT] = WHORL_CASE_EVENT(&world->event),
        [LOCK] = WHORL_CASE_LOCK(&world->lock),
        [SEMAPHORE] = WHORL_CASE_SEMAPHORE(&world->semaphore),
    };
    memcpy(cases, all, sizeof all);
}

static void make_possible(struct world *world, int kind)
{
    switch (kind) {
    case GET:
        put_now(&world->source, 3);
        break;
    case PUT:
        EXPECT_IS(get_now(&world->sink), 1);
        break;
    case DONE:
        EXPECT_IS(whorl_future_set_result(world->future, NULL), 0);
        break;
    case EVENT:
        EXPECT_IS(whorl_event_set(&world->event), 0);
        break;
    case LOCK:
        EXPECT_IS(whorl_lock_release(&world->lock), 0);
        break;
    default:
        EXPECT_IS(whorl_semaphore_release(&world->semaphore), 0);
        break;
    }
}

/* Whether it is still there to be had, or, if it was done, is not. */
static void expect_world(struct world *world, int kind, bool made, bool done)
{
    switch (kind) {
    case GET:
        EXPECT_IS(get_now(&world->source), made && !done ? 3 : -EAGAIN);
        break;
    case PUT:
        EXPECT_IS(get_now(&world->sink), !made ? 1 : done ? 2 : -EAGAIN);
        break;
    case LOCK:
        EXPECT(whorl_lock_locked(&world->lock) == (!made || done));
        EXPECT_IS(whorl_lock_try_acquire(&world->lock), made && !done ? 0 : -EAGAIN);
        break;
    case SEMAPHORE:
        EXPECT_IS(whorl_semaphore_value(&world->semaphore), made && !done ? 1 : 0);
        EXPECT_IS(whorl_semaphore_try_acquire(&world->semaphore), made && !done ? 0 : -EAGAIN);
        break;
    default:
        break;
    }
}

/* Nobody stands anywhere any more. */
static void close_world(struct world *world)
{
    (void)whorl_lock_release(&world->lock);
    EXPECT_IS(whorl_queue_destroy(&world->source), 0);
    EXPECT_IS(whorl_queue_destroy(&world->sink), 0);
    EXPECT_IS(whorl_event_destroy(&world->event), 0);
    EXPECT_IS(whorl_lock_destroy(&world->lock), 0);
    EXPECT_IS(whorl_semaphore_destroy(&world->semaphore), 0);
    whorl_future_unref(world->future);
}

/* first == second: only that. */
static void make_two(int first, int second)
{
    struct world world;
    struct chooser chooser = {.deadline_ns = 0};
    open_world(&world);
    fill(chooser.cases, &world);
    begin(&chooser, KINDS);
    make_possible(&world, first);
    if (second != first) {
        make_possible(&world, second);
    }
    must(finish(chooser.task));
    const int chosen = chooser.chosen;
    EXPECT(chosen == first || chosen == second);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(chosen, first < second ? first : second);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        expect_world(&world, kind, kind == first || kind == second, kind == chosen);
    }
    close_world(&world);
}

static int wait_for_each(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < KINDS; kind++) {
        make_two(kind, kind);
    }
    return 0;
}

static void test_each_kind_is_waited_for_and_done(void **state)
{
    (void)state;
    at_all_loops(wait_for_each);
    at_home(wait_for_each);
}

static int wait_for_two(void *arg)
{
    (void)arg;
    for (int first = 0; first < KINDS; first++) {
        for (int second = 0; second < KINDS; second++) {
            make_two(first, second);
        }
    }
    return 0;
}

static void test_of_two_that_come_together_one_is_done_and_one_is_left(void **state)
{
    (void)state;
    at_home(wait_for_two);
}

/* ---- cancelled, with what came meanwhile ---- */

static void cancel_with(unsigned made)
{
    struct world world;
    struct chooser chooser = {.deadline_ns = 0};
    open_world(&world);
    fill(chooser.cases, &world);
    begin(&chooser, KINDS);
    for (int kind = 0; kind < KINDS; kind++) {
        if (made & 1U << kind) {
            make_possible(&world, kind);
        }
    }
    EXPECT(whorl_cancel(chooser.task, NULL));
    (void)finish(chooser.task);
    EXPECT_IS(chooser.chosen, -ECANCELED);
    for (int kind = 0; kind < KINDS; kind++) {
        expect_world(&world, kind, (made & 1U << kind) != 0, false);
    }
    close_world(&world);
}

static int cancel_at_every_point(void *arg)
{
    (void)arg;
    for (unsigned made = 0; made < 1U << KINDS; made++) {
        cancel_with(made);
    }
    return 0;
}

static void test_a_cancel_loses_nothing_whatever_came_before_it(void **state)
{
    (void)state;
    at_home(cancel_at_every_point);
}

/* ---- what a loser was let in to ---- */

static int pass_on(void *arg)
{
    struct whorl_queue first = WHORL_QUEUE_INIT(0);
    struct whorl_queue second = WHORL_QUEUE_INIT(0);
    struct chooser chooser = {.cases = {WHORL_CASE_GET(&first), WHORL_CASE_GET(&second)}};
    struct getter behind_first;
    struct getter behind_second;
    (void)arg;
    begin(&chooser, 2);
    begin_getter(&behind_first, &first);
    begin_getter(&behind_second, &second);
    put_now(&first, 1);
    put_now(&second, 2);
    must(finish(chooser.task));
    struct getter *const loser = chooser.chosen == 0 ? &behind_second : &behind_first;
    struct getter *const other = chooser.chosen == 0 ? &behind_first : &behind_second;
    must(finish(loser->task));
    EXPECT_IS(loser->error, 0);
    EXPECT_IS(loser->what + number(chooser.cases[chooser.chosen].item), 3);
    settle();
    EXPECT_IS(other->error, UNSET);
    put_now(other->queue, 4);
    must(finish(other->task));
    EXPECT_IS(other->what, 4);
    EXPECT_IS(whorl_queue_destroy(&first), 0);
    EXPECT_IS(whorl_queue_destroy(&second), 0);
    return 0;
}

static void test_what_a_loser_was_granted_goes_to_who_stands_behind_it(void **state)
{
    (void)state;
    at_home(pass_on);
}

static int pass_on_a_lock(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct chooser first = {.cases = {WHORL_CASE_GET(&queue), WHORL_CASE_LOCK(&lock)}};
    struct chooser second = {.cases = {WHORL_CASE_LOCK(&lock)}};
    (void)arg;
    must(whorl_lock_acquire(&lock));
    begin(&first, 2);
    begin(&second, 1);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_try_acquire(&lock), -EAGAIN); /* it is the first one's */
    put_now(&queue, 1);
    must(finish(first.task));
    if (first.chosen == 1) {
        settle();
        EXPECT_IS(second.chosen, UNSET);
        EXPECT_IS(whorl_lock_release(&lock), 0);
        EXPECT_IS(get_now(&queue), 1);
    }
    must(finish(second.task));
    EXPECT_IS(second.chosen, 0);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    EXPECT_IS(whorl_lock_destroy(&lock), 0);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_a_lock_that_a_loser_was_granted_goes_to_the_next_in_line(void **state)
{
    (void)state;
    at_home(pass_on_a_lock);
}

/* ---- places ---- */

static int keep_places(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_queue other = WHORL_QUEUE_INIT(0);
    struct chooser chooser = {.cases = {WHORL_CASE_GET(&other), WHORL_CASE_GET(&queue)}};
    struct getter before;
    struct getter behind;
    (void)arg;
    begin_getter(&before, &queue);
    begin(&chooser, 2);
    begin_getter(&behind, &queue);
    for (int i = 1; i <= 3; i++) {
        put_now(&queue, i);
    }
    must(finish(before.task));
    must(finish(chooser.task));
    must(finish(behind.task));
    EXPECT_IS(before.what, 1);
    EXPECT_IS(chooser.chosen, 1);
    EXPECT_IS(number(chooser.cases[1].item), 2);
    EXPECT_IS(behind.what, 3);
    return 0;
}

static void test_it_has_a_place_in_each_line_in_the_order_of_arrival(void **state)
{
    (void)state;
    at_home(keep_places);
}

/* With one loop who comes in between takes the item, as in asyncio: it waits on, at its place. */
static int come_between(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_queue other = WHORL_QUEUE_INIT(0);
    struct chooser chooser = {.cases = {WHORL_CASE_GET(&queue), WHORL_CASE_GET(&other)}};
    struct getter behind;
    (void)arg;
    begin(&chooser, 2);
    begin_getter(&behind, &queue);
    put_now(&queue, 1);
    EXPECT_IS(get_now(&queue), whorl_loop_count() == 1 ? 1 : -EAGAIN);
    settle();
    EXPECT_IS(chooser.chosen, whorl_loop_count() == 1 ? UNSET : 0);
    put_now(&queue, 2);
    put_now(&queue, 3);
    must(finish(chooser.task));
    must(finish(behind.task));
    EXPECT_IS(chooser.chosen, 0);
    EXPECT_IS(number(chooser.cases[0].item), whorl_loop_count() == 1 ? 2 : 1);
    EXPECT_IS(behind.what, whorl_loop_count() == 1 ? 3 : 2);
    EXPECT_IS(get_now(&queue), whorl_loop_count() == 1 ? -EAGAIN : 3);
    return 0;
}

static void test_who_finds_its_item_taken_waits_on_in_all_lines(void **state)
{
    (void)state;
    at_home(come_between);
}

/* ---- the same thing twice ---- */

static int twice(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct chooser getter = {.cases = {WHORL_CASE_GET(&queue), WHORL_CASE_GET(&queue)}};
    struct chooser putter = {
        .cases = {WHORL_CASE_PUT(&queue, item(5)), WHORL_CASE_PUT(&queue, item(6))}};
    (void)arg;
    begin(&getter, 2);
    put_now(&queue, 1);
    must(finish(getter.task));
    EXPECT(getter.chosen == 0 || getter.chosen == 1);
    EXPECT_IS(number(getter.cases[getter.chosen].item), 1);
    put_now(&queue, 2);
    begin(&putter, 2);
    EXPECT_IS(get_now(&queue), 2);
    must(finish(putter.task));
    EXPECT_IS(get_now(&queue), 5 + putter.chosen);
    EXPECT_IS(get_now(&queue), -EAGAIN);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_the_same_queue_twice_is_used_once(void **state)
{
    (void)state;
    at_home(twice);
}

static int get_and_put(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct whorl_select_case cases[] = {WHORL_CASE_GET(&queue), WHORL_CASE_PUT(&queue, item(7))};
    (void)arg;
    for (int round = 0; round < 10; round++) {
        EXPECT_IS(whorl_select(cases, 2), 1); /* empty: there is room */
        EXPECT_IS(whorl_select(cases, 2), 0); /* full: there is an item */
        EXPECT_IS(number(cases[0].item), 7);
    }
    EXPECT(whorl_queue_empty(&queue));
    return 0;
}

static void test_get_and_put_of_one_queue_take_turns(void **state)
{
    (void)state;
    at_all_loops(get_and_put);
    at_no_loop(get_and_put);
}

/* An item that is somebody's, and no room: it stands for both, in one queue. */
static int get_and_put_in_line(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct chooser chooser = {.cases = {WHORL_CASE_GET(&queue), WHORL_CASE_PUT(&queue, item(7))}};
    struct getter getter;
    (void)arg;
    begin_getter(&getter, &queue);
    put_now(&queue, 1);
    chooser.count = 2;
    chooser.task = start_user(choose, &chooser);
    must(finish(chooser.task));
    must(finish(getter.task));
    EXPECT_IS(getter.what, 1);
    EXPECT_IS(chooser.chosen, 1);
    EXPECT_IS(get_now(&queue), 7);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_get_and_put_of_one_queue_may_both_wait(void **state)
{
    (void)state;
    at_home(get_and_put_in_line);
}

/* ---- shut down, late, in vain ---- */

static int shut(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct whorl_queue other = WHORL_QUEUE_INIT(1);
    struct chooser chooser = {.cases = {WHORL_CASE_GET(&other), WHORL_CASE_GET(&queue)}};
    (void)arg;
    begin(&chooser, 2);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    must(finish(chooser.task));
    EXPECT_IS(chooser.chosen, 1);
    EXPECT_IS(chooser.cases[1].error, -ESHUTDOWN);
    EXPECT_IS(whorl_select(chooser.cases, 2), 1);
    EXPECT_IS(chooser.cases[1].error, -ESHUTDOWN);
    put_now(&other, 1);
    EXPECT_IS(whorl_queue_shutdown(&other, false), 0);
    chooser.cases[1] = (struct whorl_select_case)WHORL_CASE_NEVER;
    EXPECT_IS(whorl_select(chooser.cases, 2), 0); /* what is in it is got */
    EXPECT_IS(chooser.cases[0].error, 0);
    chooser.cases[0] = (struct whorl_select_case)WHORL_CASE_PUT(&other, item(2));
    EXPECT_IS(whorl_select(chooser.cases, 2), 0);
    EXPECT_IS(chooser.cases[0].error, -ESHUTDOWN);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    EXPECT_IS(whorl_queue_destroy(&other), 0);
    return 0;
}

static void test_a_queue_that_is_shut_down_is_chosen_and_says_so(void **state)
{
    (void)state;
    at_all_loops(shut);
}

static int run_out_of_time(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_select_case cases[] = {
        WHORL_CASE_GET(&queue),
        WHORL_CASE_TIME(whorl_after(3600 * WHORL_SECOND)),
        WHORL_CASE_TIME(whorl_after(WHORL_MILLISECOND)),
        WHORL_CASE_TIME(WHORL_NEVER),
    };
    (void)arg;
    EXPECT_IS(whorl_select(cases, 4), 2);
    EXPECT(whorl_now() >= cases[2].time_ns);
    EXPECT_IS(whorl_select_try(cases, 2), -EAGAIN);
    EXPECT_IS(whorl_select_try(cases, 3), 2); /* it has come */
    EXPECT_IS(whorl_select_until(cases, 2, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(whorl_select_until(cases, 2, 0), -ETIMEDOUT);
    EXPECT_IS(whorl_select_until(cases, 2, -1), -ETIMEDOUT);
    EXPECT_IS(whorl_select_until(cases, 2, INT64_MIN), -ETIMEDOUT);
    EXPECT_IS(whorl_select_until(cases + 3, 1, 0), -ETIMEDOUT);
    cases[1].time_ns = INT64_MIN;
    EXPECT_IS(whorl_select_try(cases, 2), 1);
    put_now(&queue, 1);
    EXPECT_IS(whorl_select_until(cases, 1, 0), 0); /* what is there needs no time */
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_the_next_time_or_the_deadline_ends_it(void **state)
{
    (void)state;
    at_all_loops(run_out_of_time);
    at_no_loop(run_out_of_time);
}

static int nothing_to_wait_for(void *arg)
{
    struct whorl_select_case none[] = {WHORL_CASE_NEVER, WHORL_CASE_TIME(WHORL_NEVER)};
    (void)arg;
    EXPECT_IS(whorl_select(NULL, 0), -EINVAL);
    EXPECT_IS(whorl_select(none, 2), -EINVAL);
    EXPECT_IS(whorl_select_try(NULL, 0), -EAGAIN);
    EXPECT_IS(whorl_select_try(none, 2), -EAGAIN);
    EXPECT_IS(whorl_select_until(NULL, 0, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(whorl_select_until(none, 2, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static void test_what_could_never_end_is_refused_unless_it_has_a_deadline(void **state)
{
    (void)state;
    at_all_loops(nothing_to_wait_for);
    at_no_loop(nothing_to_wait_for);
}

/* ---- refused ---- */

static int misuse(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_queue gone = WHORL_QUEUE_INIT(0);
    struct whorl_lock mine = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    struct whorl_select_case cases[] = {WHORL_CASE_PUT(&queue, item(1)), WHORL_CASE_NEVER};
    (void)arg;
    EXPECT_IS(whorl_select(NULL, 1), -EINVAL);
    EXPECT_IS(whorl_select(cases, (size_t)WHORL_SELECT_MAX + 1), -EINVAL);
    cases[1] = (struct whorl_select_case)WHORL_CASE_GET(NULL);
    EXPECT_IS(whorl_select(cases, 2), -EINVAL);
    EXPECT_IS(cases[1].error, -EINVAL);
    cases[1] = (struct whorl_select_case){.kind = WHORL_SELECT_SEMAPHORE + 1, .of = &queue};
    EXPECT_IS(whorl_select(cases, 2), -EINVAL);
    EXPECT_IS(whorl_queue_destroy(&gone), 0);
    cases[1] = (struct whorl_select_case)WHORL_CASE_GET(&gone);
    EXPECT_IS(whorl_select(cases, 2), -EINVAL);
    must(whorl_lock_acquire(&mine));
    cases[1] = (struct whorl_select_case)WHORL_CASE_LOCK(&mine);
    EXPECT_IS(whorl_select(cases, 2), -EDEADLK);
    EXPECT_IS(cases[1].error, -EDEADLK);
    EXPECT_IS(whorl_lock_release(&mine), 0);
    EXPECT_IS(whorl_select(cases + 1, 1), 0);
    EXPECT_IS(whorl_lock_release(&mine), 0); /* it is the caller's by name */
    if (whorl_task_current() != NULL) {
        cases[1] =
            (struct whorl_select_case)WHORL_CASE_DONE(whorl_task_future(whorl_task_current()));
        EXPECT_IS(whorl_select(cases, 2), -EDEADLK);
    }
    EXPECT(whorl_queue_empty(&queue)); /* whoever was refused has put nothing */
    return 0;
}

static void test_a_wrong_case_is_refused_before_anything_is_done(void **state)
{
    (void)state;
    at_all_loops(misuse);
    at_no_loop(misuse);
}

struct called {
    struct whorl_queue full;
    struct whorl_queue empty;
    int got[3];
    struct whorl_future *done;
};

static void in_a_callback(void *arg)
{
    struct called *const called = arg;
    struct whorl_select_case cases[] = {WHORL_CASE_GET(&called->empty),
                                        WHORL_CASE_GET(&called->full)};
    called->got[0] = whorl_select(cases, 2);
    called->got[1] = whorl_select(cases, 2);
    called->got[2] = whorl_select_try(cases, 2);
    must(whorl_future_set_result(called->done, NULL));
}

static int select_in_a_callback(void *arg)
{
    struct called called = {.full = WHORL_QUEUE_INIT(0),
                            .empty = WHORL_QUEUE_INIT(0),
                            .done = new_future()};
    (void)arg;
    put_now(&called.full, 1);
    must(whorl_call_soon(in_a_callback, &called, NULL, NULL));
    EXPECT_IS(whorl_future_await(called.done, NULL), 0);
    EXPECT_IS(called.got[0], 1);
    EXPECT_IS(called.got[1], -EPERM);
    EXPECT_IS(called.got[2], -EAGAIN);
    EXPECT_IS(whorl_queue_destroy(&called.full), 0);
    EXPECT_IS(whorl_queue_destroy(&called.empty), 0);
    whorl_future_unref(called.done);
    return 0;
}

static void test_a_callback_does_what_can_be_done_and_never_waits(void **state)
{
    (void)state;
    at_all_loops(select_in_a_callback);
}

static int destroy_in_use(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_event event = WHORL_EVENT_INIT;
    struct chooser chooser = {.cases = {WHORL_CASE_GET(&queue), WHORL_CASE_EVENT(&event)}};
    (void)arg;
    begin(&chooser, 2);
    EXPECT_IS(whorl_queue_destroy(&queue), -EBUSY);
    EXPECT_IS(whorl_event_destroy(&event), -EBUSY);
    EXPECT_IS(whorl_event_set(&event), 0);
    must(finish(chooser.task));
    EXPECT_IS(chooser.chosen, 1);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    EXPECT_IS(whorl_event_destroy(&event), 0);
    return 0;
}

static void test_what_somebody_selects_is_not_destroyed(void **state)
{
    (void)state;
    at_all_loops(destroy_in_use);
}

/* ---- futures ---- */

static int end_badly(void *arg)
{
    must(whorl_future_await(arg, NULL));
    return -EIO;
}

static int watch_tasks(void *arg)
{
    struct whorl_future *const gate = new_future();
    struct whorl_future *const never = new_future();
    struct whorl_task *const failing = start(end_badly, gate);
    struct chooser chooser = {.cases = {WHORL_CASE_DONE(never),
                                        WHORL_CASE_DONE(whorl_task_future(failing))}};
    (void)arg;
    begin(&chooser, 2);
    EXPECT(whorl_cancel(chooser.task, NULL));
    (void)finish(chooser.task);
    EXPECT_IS(chooser.chosen, -ECANCELED);
    EXPECT(!whorl_task_done(failing)); /* it was only watched */
    begin(&chooser, 2);
    must(whorl_future_set_result(gate, NULL));
    must(finish(chooser.task));
    EXPECT_IS(chooser.chosen, 1);
    EXPECT_IS(chooser.cases[1].error, 0);
    EXPECT_IS(whorl_task_result(failing, NULL), -EIO);
    EXPECT(whorl_future_cancel(never, NULL));
    EXPECT_IS(whorl_select(chooser.cases, 1), 0); /* cancelled is done */
    whorl_task_unref(failing);
    whorl_future_unref(gate);
    whorl_future_unref(never);
    return 0;
}

static void test_the_end_of_a_task_is_watched_and_no_cancel_goes_on_to_it(void **state)
{
    (void)state;
    at_all_loops(watch_tasks);
}

/* ---- many, and no memory ---- */

enum { MANY = 300 };

static int select_of_many(void *arg)
{
    static struct whorl_queue queues[MANY];
    struct whorl_select_case cases[MANY];
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        must(whorl_queue_init(&queues[i], WHORL_QUEUE_FIFO, 0, NULL));
        cases[i] = (struct whorl_select_case)WHORL_CASE_GET(&queues[i]);
    }
    for (int count = 1; count <= MANY; count += count <= WHORL_SELECT_SMALL + 1 ? 1 : 97) {
        put_now(&queues[count - 1], count);
        EXPECT_IS(whorl_select(cases, (size_t)count), count - 1);
        EXPECT_IS(number(cases[count - 1].item), count);
        EXPECT_IS(whorl_select_until(cases, (size_t)count, whorl_now()), -ETIMEDOUT);
    }
    for (int i = 0; i < MANY; i++) {
        EXPECT_IS(whorl_queue_destroy(&queues[i]), 0);
    }
    return 0;
}

static void test_of_many_cases_the_right_one_is_done(void **state)
{
    (void)state;
    at_all_loops(select_of_many);
    at_no_loop(select_of_many);
}

/* The n-th allocation fails, for each n: nothing is lost, and it goes well in the end. */
static int without_memory(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct whorl_select_case cases[WHORL_SELECT_SMALL + 1];
    (void)arg;
    for (int i = 0; i <= WHORL_SELECT_SMALL; i++) {
        cases[i] = (struct whorl_select_case)WHORL_CASE_GET(&queue);
    }
    faults_order(&(struct faults_order){
        .entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE, .error = -ENOMEM, .first = 1});
    EXPECT_IS(whorl_select_try(cases, WHORL_SELECT_SMALL), -EAGAIN);
    EXPECT_IS((long)faults_hits(), 0); /* a few need none */
    EXPECT_IS(whorl_select_try(cases, WHORL_SELECT_SMALL + 1), -ENOMEM);
    EXPECT_IS((long)faults_hits(), 1);
    faults_order(NULL);
    for (int i = 0; i < 8; i++) {
        put_now(&queue, i);
    }
    cases[0] = (struct whorl_select_case)WHORL_CASE_PUT(&queue, item(9));
    faults_order(&(struct faults_order){
        .entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE, .error = -ENOMEM, .first = 1});
    EXPECT_IS(whorl_select(cases, 1), 0);
    EXPECT_IS(cases[0].error, -ENOMEM); /* a ninth item has no room, and was not put */
    faults_order(NULL);
    EXPECT_IS((long)whorl_queue_size(&queue), 8);
    for (int i = 0; i < 8; i++) {
        EXPECT_IS(get_now(&queue), i);
    }
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_without_memory_it_fails_and_nothing_is_done(void **state)
{
    (void)state;
    faults_install();
    at_no_loop(without_memory);
    faults_remove();
}

/* ---- who is chosen, where several can be ---- */

static int draw(void *arg)
{
    struct whorl_queue queues[3] = {WHORL_QUEUE_INIT(0), WHORL_QUEUE_INIT(0), WHORL_QUEUE_INIT(0)};
    struct whorl_select_case cases[] = {WHORL_CASE_GET(&queues[0]), WHORL_CASE_GET(&queues[1]),
                                        WHORL_CASE_GET(&queues[2])};
    int times[3] = {0};
    (void)arg;
    for (int round = 0; round < 600; round++) {
        for (int i = 0; i < 3; i++) {
            if (whorl_queue_empty(&queues[i])) {
                put_now(&queues[i], i);
            }
        }
        const int chosen = whorl_select(cases, 3);
        if (chosen < 0 || chosen > 2) {
            return chosen;
        }
        times[chosen]++;
    }
    for (int i = 0; i < 3; i++) {
        if (whorl_loop_count() == 1) {
            EXPECT_IS(times[i], i == 0 ? 600 : 0);
        } else {
            EXPECT(times[i] > 100); /* 200 by lot; below 100 once in 10^17 runs */
        }
        EXPECT_IS(whorl_queue_shutdown(&queues[i], true), 0);
        EXPECT_IS(whorl_queue_destroy(&queues[i]), 0);
    }
    return 0;
}

static void test_with_one_loop_the_first_is_done_else_each_has_its_chance(void **state)
{
    (void)state;
    at_all_loops(draw);
    at_no_loop(draw);
}

/* ---- a plain thread ---- */

struct thread_select {
    struct world world;
    struct whorl_select_case cases[KINDS];
    int chosen;
};

static int select_in_thread(void *arg)
{
    struct thread_select *const select = arg;
    select->chosen = whorl_select(select->cases, KINDS);
    return 0;
}

static int serve_a_thread(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < KINDS; kind++) {
        struct thread_select select = {.chosen = UNSET};
        struct beside thread;
        open_world(&select.world);
        fill(select.cases, &select.world);
        beside_start(&thread, select_in_thread, &select);
        must(whorl_sleep(WHORL_MILLISECOND)); /* mostly it stands there by then */
        make_possible(&select.world, kind);
        EXPECT_IS(beside_finish(&thread), 0);
        EXPECT_IS(select.chosen, kind);
        for (int other = 0; other < KINDS; other++) {
            expect_world(&select.world, other, other == kind, other == kind);
        }
        close_world(&select.world);
    }
    return 0;
}

static void test_a_plain_thread_is_served_by_tasks(void **state)
{
    (void)state;
    at_all_loops(serve_a_thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_done_at_once_is_done_without_a_wait),
        cmocka_unit_test(test_each_kind_is_waited_for_and_done),
        cmocka_unit_test(test_of_two_that_come_together_one_is_done_and_one_is_left),
        cmocka_unit_test(test_a_cancel_loses_nothing_whatever_came_before_it),
        cmocka_unit_test(test_what_a_loser_was_granted_goes_to_who_stands_behind_it),
        cmocka_unit_test(test_a_lock_that_a_loser_was_granted_goes_to_the_next_in_line),
        cmocka_unit_test(test_it_has_a_place_in_each_line_in_the_order_of_arrival),
        cmocka_unit_test(test_who_finds_its_item_taken_waits_on_in_all_lines),
        cmocka_unit_test(test_the_same_queue_twice_is_used_once),
        cmocka_unit_test(test_get_and_put_of_one_queue_take_turns),
        cmocka_unit_test(test_get_and_put_of_one_queue_may_both_wait),
        cmocka_unit_test(test_a_queue_that_is_shut_down_is_chosen_and_says_so),
        cmocka_unit_test(test_the_next_time_or_the_deadline_ends_it),
        cmocka_unit_test(test_what_could_never_end_is_refused_unless_it_has_a_deadline),
        cmocka_unit_test(test_a_wrong_case_is_refused_before_anything_is_done),
        cmocka_unit_test(test_a_callback_does_what_can_be_done_and_never_waits),
        cmocka_unit_test(test_what_somebody_selects_is_not_destroyed),
        cmocka_unit_test(test_the_end_of_a_task_is_watched_and_no_cancel_goes_on_to_it),
        cmocka_unit_test(test_of_many_cases_the_right_one_is_done),
        cmocka_unit_test(test_without_memory_it_fails_and_nothing_is_done),
        cmocka_unit_test(test_with_one_loop_the_first_is_done_else_each_has_its_chance),
        cmocka_unit_test(test_a_plain_thread_is_served_by_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
