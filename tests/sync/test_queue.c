/*
 * Queues: rows QUE, MT-9 and MT-29 of asyncio's semantics; at one loop with asyncio's passes, at
 * several, and with plain threads.
 *
 * Items are small numbers: item(5) is one, and number() tells which.
 */
#include "support/faults.h"
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>

static void *item(long number)
{
    return (void *)(intptr_t)number;
}

static long number(void *item)
{
    return (long)(intptr_t)item;
}

static int compare(const void *a, const void *b)
{
    return (a > b) - (a < b);
}

/* What comes out; -1: nothing, and the error is not the one of an empty queue. */
static long get_now(struct whorl_queue *queue)
{
    void *got = item(-1);
    const int error = whorl_queue_try_get(queue, &got);
    EXPECT(error == 0 || error == -EAGAIN || error == -ESHUTDOWN);
    return error == 0 ? number(got) : error;
}

static void put_now(struct whorl_queue *queue, long what)
{
    EXPECT_IS(whorl_queue_try_put(queue, item(what)), 0);
}

/* ---- who gets one, or puts one ---- */

struct user {
    struct whorl_queue *queue;
    long what; /* to be put; what was got */
    int got;   /* the error */
    unsigned place;
    unsigned at;
    struct whorl_task *task;
};

static int get_one(void *arg)
{
    struct user *const user = arg;
    void *got = NULL;
    user->got = whorl_queue_get(user->queue, &got);
    user->what = number(got);
    user->place = next_event();
    user->at = pass_now();
    return user->got;
}

static int put_one(void *arg)
{
    struct user *const user = arg;
    user->got = whorl_queue_put(user->queue, item(user->what));
    user->place = next_event();
    user->at = pass_now();
    return user->got;
}

static int join(void *arg)
{
    struct user *const user = arg;
    user->got = whorl_queue_join(user->queue);
    user->at = pass_now();
    return user->got;
}

static void line_up(struct whorl_queue *queue, whorl_body *body, struct user *users, size_t count)
{
    pass_begin();
    for (size_t i = 0; i < count; i++) {
        users[i].queue = queue;
        users[i].got = UNSET;
        users[i].task = start_user(body, &users[i]);
        settle();
    }
}

static void end_all(struct user *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(users[i].task);
    }
    pass_end();
}

/* ---- order, limits ---- */

static int orders(void *arg)
{
    static const long in[] = {3, 1, 4, 9, 5, 2, 6, 8, 7, 12, 10, 11};
    enum { COUNT = sizeof in / sizeof *in };
    struct whorl_queue fifo = WHORL_QUEUE_INIT(0);
    struct whorl_queue lifo = WHORL_QUEUE_INIT_LIFO(0);
    struct whorl_queue heap = WHORL_QUEUE_INIT_PRIORITY(0, compare);
    (void)arg;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            put_now(&fifo, in[i]);
            put_now(&lifo, in[i]);
            put_now(&heap, in[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            EXPECT_IS(get_now(&fifo), in[i]);
            EXPECT_IS(get_now(&lifo), in[COUNT - 1 - i]);
            EXPECT_IS(get_now(&heap), i + 1);
        }
    }
    EXPECT_IS(get_now(&fifo), -EAGAIN);
    EXPECT_IS(whorl_queue_destroy(&fifo), 0);
    EXPECT_IS(whorl_queue_destroy(&lifo), 0);
    EXPECT_IS(whorl_queue_destroy(&heap), 0);
    return 0;
}

static void test_que_1_first_in_first_out_last_in_first_out_and_lowest_first(void **state)
{
    (void)state;
    at_all_loops(orders);
    at_no_loop(orders);
}

static int without_limit(void *arg)
{
    static const int64_t no_limits[] = {0, -1, INT64_MIN};
    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        struct whorl_queue queue;
        EXPECT_IS(whorl_queue_init(&queue, WHORL_QUEUE_FIFO, no_limits[i], NULL), 0);
        for (int n = 0; n < 1000; n++) {
            put_now(&queue, n);
            EXPECT(!whorl_queue_full(&queue));
        }
        EXPECT_IS((long)whorl_queue_size(&queue), 1000);
        EXPECT_IS(whorl_queue_destroy(&queue), 0);
    }
    struct whorl_queue two = WHORL_QUEUE_INIT(2);
    put_now(&two, 1);
    EXPECT(!whorl_queue_full(&two) && !whorl_queue_empty(&two));
    put_now(&two, 2);
    EXPECT(whorl_queue_full(&two));
    return 0;
}

static void test_que_2_a_limit_of_zero_or_less_is_none(void **state)
{
    (void)state;
    at_all_loops(without_limit);
    at_no_loop(without_limit);
}

static int without_a_wait(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    void *got;
    (void)arg;
    pass_begin();
    const unsigned at = pass_now();
    for (int i = 0; i < 50; i++) {
        EXPECT_IS(whorl_queue_put(&queue, item(i)), 0);
    }
    for (int i = 0; i < 50; i++) {
        EXPECT_IS(whorl_queue_get(&queue, &got), 0);
        EXPECT_IS(number(got), i);
    }
    EXPECT_IS(pass_now() - at, 0);
    pass_end();
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_3_with_room_and_with_items_nobody_waits(void **state)
{
    (void)state;
    at_all_loops(without_a_wait);
}

static int wait_for_item_and_room(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct user getter[1] = {{0}};
    struct user putter[1] = {{.what = 8}};
    (void)arg;
    line_up(&queue, get_one, getter, 1);
    EXPECT_IS(getter[0].got, UNSET);
    unsigned at = pass_now();
    EXPECT_IS(whorl_queue_put(&queue, item(7)), 0);
    settle();
    EXPECT_IS(getter[0].got, 0);
    EXPECT_IS(getter[0].what, 7);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(getter[0].at - at, 1);
    }
    put_now(&queue, 1);
    line_up(&queue, put_one, putter, 1);
    EXPECT_IS(putter[0].got, UNSET);
    at = pass_now();
    EXPECT_IS(get_now(&queue), 1);
    settle();
    EXPECT_IS(putter[0].got, 0);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(putter[0].at - at, 1);
    }
    EXPECT_IS(get_now(&queue), 8);
    end_all(getter, 1);
    end_all(putter, 1);
    return 0;
}

static void test_que_4_get_waits_for_an_item_and_put_for_room(void **state)
{
    (void)state;
    at_all_loops(wait_for_item_and_room);
}

static int full_and_empty(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    void *got = item(77);
    (void)arg;
    EXPECT_IS(whorl_queue_try_get(&queue, &got), -EAGAIN);
    EXPECT_IS(number(got), 77);
    put_now(&queue, 1);
    EXPECT_IS(whorl_queue_try_put(&queue, item(2)), -EAGAIN);
    EXPECT_IS(whorl_queue_put_until(&queue, item(2), whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(get_now(&queue), 1);
    EXPECT_IS(get_now(&queue), -EAGAIN);
    EXPECT_IS(whorl_queue_get_until(&queue, whorl_after(WHORL_MILLISECOND), &got), -ETIMEDOUT);
    EXPECT_IS(whorl_queue_destroy(&queue), 0); /* QUE-8: nobody is left in it */
    return 0;
}

static void test_que_5_the_try_forms_say_full_and_empty(void **state)
{
    (void)state;
    at_all_loops(full_and_empty);
    at_no_loop(full_and_empty);
}

/* ---- cancels ---- */

static int cancel_a_woken_getter(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user getters[3] = {{0}};
    (void)arg;
    line_up(&queue, get_one, getters, 3);
    const unsigned at = pass_now();
    put_now(&queue, 5);
    (void)whorl_cancel(getters[0].task, NULL);
    settle();
    if (whorl_loop_count() == 1) {
        EXPECT_IS(getters[0].got, -ECANCELED);
        EXPECT_IS(getters[1].at - at, 2);
    }
    if (getters[0].got == -ECANCELED) {
        EXPECT_IS(getters[1].got, 0);
        EXPECT_IS(getters[1].what, 5);
    } else {
        EXPECT_IS(getters[0].what, 5);
        put_now(&queue, 6);
    }
    put_now(&queue, 7);
    end_all(getters, 3);
    EXPECT_IS((long)whorl_queue_size(&queue), 0);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_6_a_getter_that_was_woken_and_cancelled_loses_no_item(void **state)
{
    (void)state;
    at_all_loops(cancel_a_woken_getter);
}

static int cancel_a_woken_putter(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct user putters[2] = {{.what = 2}, {.what = 3}};
    (void)arg;
    put_now(&queue, 1);
    line_up(&queue, put_one, putters, 2);
    EXPECT_IS(get_now(&queue), 1);
    (void)whorl_cancel(putters[0].task, NULL);
    settle();
    const bool cancelled = putters[0].got == -ECANCELED;
    EXPECT(cancelled || whorl_loop_count() > 1);
    EXPECT_IS(get_now(&queue), cancelled ? 3 : 2); /* QUE-10: its item was not put */
    end_all(putters, 2);
    EXPECT_IS(putters[1].got, 0);
    EXPECT_IS(get_now(&queue), cancelled ? -EAGAIN : 3);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_7_a_putter_that_was_woken_and_cancelled_loses_no_room(void **state)
{
    (void)state;
    at_all_loops(cancel_a_woken_putter);
}

static int cancel_in_line(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct user getters[2] = {{0}};
    struct user putters[2] = {{.what = 2}, {.what = 3}};
    (void)arg;
    line_up(&queue, get_one, getters, 2);
    EXPECT(whorl_cancel(getters[0].task, NULL));
    if (whorl_loop_count() > 1) {
        settle();
    }
    put_now(&queue, 1); /* QUE-9: for the second */
    end_all(getters, 2);
    EXPECT_IS(getters[0].got, -ECANCELED);
    EXPECT_IS(getters[1].what, 1);
    put_now(&queue, 1);
    line_up(&queue, put_one, putters, 2);
    EXPECT(whorl_cancel(putters[0].task, NULL));
    settle();
    EXPECT_IS(get_now(&queue), 1);
    settle();
    EXPECT_IS(get_now(&queue), 3);
    end_all(putters, 2);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_8_a_cancelled_waiter_leaves_no_entry(void **state)
{
    (void)state;
    at_all_loops(cancel_in_line);
}

static void test_que_9_a_getter_cancelled_in_line_is_passed_over(void **state)
{
    (void)state;
    at_all_loops(cancel_in_line);
}

static void test_que_10_a_cancelled_put_has_put_and_a_cancelled_get_taken_nothing(void **state)
{
    (void)state;
    at_all_loops(cancel_a_woken_putter);
    at_all_loops(cancel_a_woken_getter);
}

/* ---- who comes in between ---- */

static int come_between(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user getters[2] = {{0}};
    (void)arg;
    forget_events();
    line_up(&queue, get_one, getters, 2);
    put_now(&queue, 1);
    EXPECT_IS(get_now(&queue), 1); /* before the first, who was woken, has run */
    settle();
    EXPECT_IS(getters[0].got, UNSET);
    put_now(&queue, 2);
    settle();
    EXPECT_IS(getters[0].got, UNSET); /* it stands behind the other now */
    EXPECT_IS(getters[1].what, 2);
    put_now(&queue, 3);
    end_all(getters, 2);
    EXPECT_IS(getters[0].what, 3);
    return 0;
}

static void test_que_11_who_finds_his_item_taken_goes_to_the_end(void **state)
{
    (void)state;
    at_one_loop(come_between);
}

/* Several loops: an item that woke somebody is his. One put for each that waits; a thief tries. */
struct thief {
    struct whorl_queue *queue;
    uint32_t stop; /* A */
    uint32_t stolen; /* A */
};

static int steal(void *arg)
{
    struct thief *const thief = arg;
    void *got;
    while (!whorl__load_acquire_u32(&thief->stop)) { /* acquire: for the test */
        if (whorl_queue_try_get(thief->queue, &got) == 0) {
            (void)whorl__add_u32(&thief->stolen, 1);
        }
    }
    return 0;
}

static int reserve(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct thief thief = {.queue = &queue};
    struct beside thread;
    (void)arg;
    if (whorl_loop_count() == 1) {
        return 0;
    }
    beside_start(&thread, steal, &thief);
    for (int round = 0; round < 50; round++) {
        struct user getter[1] = {{0}};
        line_up(&queue, get_one, getter, 1);
        put_now(&queue, round);
        end_all(getter, 1);
        EXPECT_IS(getter[0].what, round);
    }
    (void)whorl__swap_u32(&thief.stop, 1);
    EXPECT_IS(beside_finish(&thread), 0);
    EXPECT_IS(thief.stolen, 0);
    return 0;
}

static void test_mt_9_an_item_that_woke_somebody_is_his(void **state)
{
    (void)state;
    at_all_loops(reserve);
}

static int take_several(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(3);
    struct user putters[4] = {{.what = 4}, {.what = 5}, {.what = 6}, {.what = 7}};
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        put_now(&queue, i);
    }
    line_up(&queue, put_one, putters, 4);
    for (int i = 1; i <= 3; i++) {
        EXPECT_IS(get_now(&queue), i);
    }
    settle();
    EXPECT(putters[0].got == 0 && putters[1].got == 0 && putters[2].got == 0);
    EXPECT_IS(putters[3].got, UNSET);
    EXPECT(whorl_queue_full(&queue));
    long sum = 0;
    for (int i = 0; i < 4; i++) {
        const long got = get_now(&queue);
        sum += got;
        if (whorl_loop_count() == 1) {
            EXPECT_IS(got, i + 4);
        }
        settle();
    }
    EXPECT_IS(sum, 22);
    end_all(putters, 4);
    return 0;
}

static void test_que_12_taking_k_wakes_k_putters(void **state)
{
    (void)state;
    at_all_loops(take_several);
}

static int two_putters_of_one(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct user putters[2] = {{.what = 2}, {.what = 3}};
    (void)arg;
    put_now(&queue, 1);
    line_up(&queue, put_one, putters, 2);
    for (long i = 1; i <= 3; i++) {
        void *got;
        EXPECT_IS(whorl_queue_get(&queue, &got), 0);
        EXPECT_IS(number(got), i);
    }
    end_all(putters, 2);
    return 0;
}

static void test_que_13_gets_receive_in_order_what_putters_wait_with(void **state)
{
    (void)state;
    at_all_loops(two_putters_of_one);
}

/* ---- done ---- */

static int join_it(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user joiners[2] = {{0}};
    (void)arg;
    EXPECT_IS(whorl_queue_join(&queue), 0); /* nothing was put */
    for (int i = 0; i < 3; i++) {
        put_now(&queue, i);
    }
    line_up(&queue, join, joiners, 2);
    for (int i = 0; i < 3; i++) {
        (void)get_now(&queue);
    }
    settle();
    EXPECT_IS(joiners[0].got, UNSET); /* QUE-16: a get is not the end of it */
    EXPECT_IS(whorl_queue_task_done(&queue), 0);
    EXPECT_IS(whorl_queue_task_done(&queue), 0);
    settle();
    EXPECT_IS(joiners[1].got, UNSET);
    const unsigned at = pass_now();
    EXPECT_IS(whorl_queue_task_done(&queue), 0);
    put_now(&queue, 9); /* QUE-17: later */
    end_all(joiners, 2);
    EXPECT(joiners[0].got == 0 && joiners[1].got == 0);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(joiners[0].at - at, 1);
        EXPECT_IS(joiners[1].at - at, 1);
    }
    EXPECT_IS(whorl_queue_join_until(&queue, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static void test_que_14_join_returns_when_all_that_was_put_is_done(void **state)
{
    (void)state;
    at_all_loops(join_it);
}

static void test_que_16_the_count_rises_at_the_put_and_falls_at_task_done(void **state)
{
    (void)state;
    at_all_loops(join_it);
}

static void test_que_17_all_joiners_wake_and_a_later_put_changes_nothing(void **state)
{
    (void)state;
    at_all_loops(join_it);
}

static int done_too_often(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    (void)arg;
    EXPECT_IS(whorl_queue_task_done(&queue), -EOVERFLOW);
    put_now(&queue, 1);
    EXPECT_IS(whorl_queue_task_done(&queue), 0); /* asyncio asks for no get before it */
    EXPECT_IS(whorl_queue_task_done(&queue), -EOVERFLOW);
    EXPECT_IS(whorl_queue_join(&queue), 0);
    return 0;
}

static void test_que_15_task_done_too_often_is_an_error(void **state)
{
    (void)state;
    at_all_loops(done_too_often);
    at_no_loop(done_too_often);
}

/* ---- shut down ---- */

static int shut_with_items(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(2);
    struct user putter[1] = {{.what = 3}};
    struct user joiner[1] = {{0}};
    void *got;
    (void)arg;
    put_now(&queue, 1);
    put_now(&queue, 2);
    line_up(&queue, put_one, putter, 1);
    line_up(&queue, join, joiner, 1);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    EXPECT_IS(whorl_queue_put(&queue, item(4)), -ESHUTDOWN);
    EXPECT_IS(whorl_queue_try_put(&queue, item(4)), -ESHUTDOWN);
    settle();
    EXPECT_IS(putter[0].got, -ESHUTDOWN);
    EXPECT_IS(whorl_queue_get(&queue, &got), 0);
    EXPECT_IS(number(got), 1);
    EXPECT_IS(get_now(&queue), 2);
    EXPECT_IS(whorl_queue_get(&queue, &got), -ESHUTDOWN);
    EXPECT_IS(get_now(&queue), -ESHUTDOWN);
    settle();
    EXPECT_IS(joiner[0].got, UNSET); /* QUE-20 */
    EXPECT_IS(whorl_queue_task_done(&queue), 0);
    EXPECT_IS(whorl_queue_task_done(&queue), 0);
    end_all(joiner, 1);
    end_all(putter, 1);
    EXPECT_IS(joiner[0].got, 0);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0); /* QUE-23: twice */
    return 0;
}

static void test_que_18_after_a_shutdown_nothing_is_put(void **state)
{
    (void)state;
    at_all_loops(shut_with_items);
}

static int shut_an_empty_one(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user getters[3] = {{0}};
    (void)arg;
    line_up(&queue, get_one, getters, 3);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    end_all(getters, 3);
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(getters[i].got, -ESHUTDOWN);
    }
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_19_gets_drain_it_and_waiting_ones_are_told(void **state)
{
    (void)state;
    at_all_loops(shut_with_items);
    at_all_loops(shut_an_empty_one);
}

/* With one loop it is as in asyncio, where nothing is reserved. */
static int shut_with_one_reserved(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user getters[2] = {{0}};
    void *got;
    (void)arg;
    if (whorl_loop_count() == 1) {
        return 0;
    }
    line_up(&queue, get_one, getters, 2);
    put_now(&queue, 7);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    EXPECT_IS(whorl_queue_try_get(&queue, &got), -EAGAIN);
    EXPECT_IS(whorl_queue_get(&queue, &got), -ESHUTDOWN);
    end_all(getters, 2);
    EXPECT_IS(getters[0].got, 0);
    EXPECT_IS(getters[0].what, 7);
    EXPECT_IS(getters[1].got, -ESHUTDOWN);
    EXPECT_IS(whorl_queue_try_get(&queue, &got), -ESHUTDOWN);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_mt_9_a_shutdown_leaves_an_item_to_whom_it_woke(void **state)
{
    (void)state;
    at_home(shut_with_one_reserved);
}

/* Who was woken does not want it: it is for the first behind him, who is not turned away. */
static int shut_with_one_given_up(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user getter[1] = {{0}};
    void *got = NULL;
    (void)arg;
    line_up(&queue, get_one, getter, 1);
    put_now(&queue, 7);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    EXPECT(whorl_cancel(getter[0].task, "enough"));
    EXPECT_IS(whorl_queue_get(&queue, &got), 0);
    EXPECT_IS(number(got), 7);
    end_all(getter, 1);
    EXPECT_IS(getter[0].got, -ECANCELED);
    EXPECT_IS(get_now(&queue), -ESHUTDOWN);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_6_what_is_given_up_after_a_shutdown_is_the_next_ones(void **state)
{
    (void)state;
    at_home(shut_with_one_given_up);
}

static void test_que_20_join_still_waits_for_what_was_taken(void **state)
{
    (void)state;
    at_all_loops(shut_with_items);
}

static uint32_t freed; /* A: sum of the items */

static void free_item(void *item)
{
    (void)whorl__add_u32(&freed, (uint32_t)number(item));
}

static int shut_at_once(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user joiner[1] = {{0}};
    (void)arg;
    queue.item_free = free_item;
    (void)whorl__swap_u32(&freed, 0);
    for (int i = 1; i <= 20; i++) {
        put_now(&queue, i);
    }
    line_up(&queue, join, joiner, 1);
    EXPECT_IS(whorl_queue_shutdown(&queue, true), 0);
    EXPECT_IS((long)whorl_queue_size(&queue), 0);
    EXPECT_IS(freed, 210);
    EXPECT_IS(get_now(&queue), -ESHUTDOWN);
    end_all(joiner, 1);
    EXPECT_IS(joiner[0].got, 0);
    EXPECT_IS(whorl_queue_task_done(&queue), -EOVERFLOW);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    EXPECT_IS(freed, 210);
    return 0;
}

static void test_que_21_an_immediate_one_empties_it_and_counts_that_as_done(void **state)
{
    (void)state;
    at_all_loops(shut_at_once);
}

static int shut_with_unfinished(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    struct user joiner[1] = {{0}};
    (void)arg;
    put_now(&queue, 1);
    put_now(&queue, 2);
    EXPECT_IS(get_now(&queue), 1);
    line_up(&queue, join, joiner, 1);
    EXPECT_IS(whorl_queue_shutdown(&queue, true), 0);
    settle();
    EXPECT_IS(joiner[0].got, UNSET);
    EXPECT_IS(whorl_queue_task_done(&queue), 0);
    end_all(joiner, 1);
    EXPECT_IS(joiner[0].got, 0);
    EXPECT_IS(whorl_queue_task_done(&queue), -EOVERFLOW);
    return 0;
}

static void test_que_22_what_was_taken_and_not_done_still_counts(void **state)
{
    (void)state;
    at_all_loops(shut_with_unfinished);
}

static int shut_twice(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    (void)arg;
    put_now(&queue, 1);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), 0);
    EXPECT_IS((long)whorl_queue_size(&queue), 1);
    EXPECT_IS(whorl_queue_shutdown(&queue, true), 0);
    EXPECT_IS((long)whorl_queue_size(&queue), 0);
    EXPECT_IS(whorl_queue_join(&queue), 0);
    EXPECT_IS(whorl_queue_shutdown(&queue, true), 0);
    return 0;
}

static void test_que_23_twice_is_fine_and_so_is_immediate_after_normal(void **state)
{
    (void)state;
    at_all_loops(shut_twice);
    at_no_loop(shut_twice);
}

static int shut_under_a_putter(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct user putter[1] = {{.what = 2}};
    (void)arg;
    put_now(&queue, 1);
    line_up(&queue, put_one, putter, 1);
    EXPECT_IS(whorl_queue_shutdown(&queue, true), 0);
    end_all(putter, 1);
    EXPECT_IS(putter[0].got, -ESHUTDOWN);
    EXPECT_IS((long)whorl_queue_size(&queue), 0);
    EXPECT_IS(whorl_queue_join(&queue), 0);
    return 0;
}

static void test_que_24_a_putter_puts_nothing_into_the_room_of_a_shutdown(void **state)
{
    (void)state;
    at_all_loops(shut_under_a_putter);
}

static int same_number(const void *a, const void *b)
{
    (void)a, (void)b;
    return 0;
}

static int all_equal(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT_PRIORITY(0, same_number);
    long sum = 0;
    (void)arg;
    for (int i = 1; i <= 10; i++) {
        put_now(&queue, i);
    }
    for (int i = 1; i <= 10; i++) {
        sum += get_now(&queue);
    }
    EXPECT_IS(sum, 55); /* each once; in which order is not promised */
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_que_25_among_equals_each_comes_out_once(void **state)
{
    (void)state;
    at_all_loops(all_equal);
}

/* ---- MT-29: many who put and get; some are cancelled, and then it is shut down ---- */

enum { MAKERS = 3, ITEMS = 400, EATERS = 4 };

struct kitchen {
    struct whorl_queue queue;
    uint32_t put;               /* A */
    uint32_t got;               /* A */
    uint32_t seen[MAKERS + 1][ITEMS]; /* A: how often each item was got */
};

struct maker {
    struct kitchen *kitchen;
    long number;
};

static int make(void *arg)
{
    const struct maker *const maker = arg;
    for (long i = 0; i < ITEMS; i++) {
        const int error = whorl_queue_put(&maker->kitchen->queue, item(maker->number * ITEMS + i));
        if (error != 0) {
            return error;
        }
        (void)whorl__add_u32(&maker->kitchen->put, 1);
    }
    return 0;
}

/* Of each maker, what one eater gets is in the order in which it was put. */
static int eat(void *arg)
{
    struct kitchen *const kitchen = arg;
    long last[MAKERS + 1];
    int error;
    void *got;
    memset(last, -1, sizeof last);
    while ((error = whorl_queue_get(&kitchen->queue, &got)) == 0) {
        const long maker = number(got) / ITEMS;
        const long which = number(got) % ITEMS;
        EXPECT(which > last[maker]);
        last[maker] = which;
        (void)whorl__add_u32(&kitchen->seen[maker][which], 1);
        (void)whorl__add_u32(&kitchen->got, 1);
        EXPECT_IS(whorl_queue_task_done(&kitchen->queue), 0);
    }
    return error;
}

static void expect_each_once(struct kitchen *kitchen)
{
    for (int maker = 0; maker <= MAKERS; maker++) {
        for (int i = 0; i < ITEMS; i++) {
            EXPECT_IS(kitchen->seen[maker][i], 1);
        }
    }
}

static int cook(void *arg)
{
    static struct kitchen kitchen;
    struct maker makers[MAKERS + 1];
    struct whorl_task *tasks[MAKERS];
    struct whorl_task *eaters[EATERS];
    struct beside maker_thread;
    struct beside eater_thread;
    (void)arg;
    memset(&kitchen, 0, sizeof kitchen);
    must(whorl_queue_init(&kitchen.queue, WHORL_QUEUE_FIFO, 5, NULL));
    for (int i = 0; i <= MAKERS; i++) {
        makers[i] = (struct maker){&kitchen, i};
    }
    for (int i = 0; i < EATERS; i++) {
        eaters[i] = start(eat, &kitchen);
    }
    beside_start(&eater_thread, eat, &kitchen);
    beside_start(&maker_thread, make, &makers[MAKERS]);
    for (int i = 0; i < MAKERS; i++) {
        tasks[i] = start(make, &makers[i]);
    }
    for (int i = 0; i + 1 < EATERS; i++) {
        must(whorl_yield());
        (void)whorl_cancel(eaters[i], NULL);
    }
    for (int i = 0; i < MAKERS; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&maker_thread), 0);
    EXPECT_IS(whorl_queue_join(&kitchen.queue), 0);
    EXPECT_IS(whorl_queue_shutdown(&kitchen.queue, false), 0);
    for (int i = 0; i < EATERS; i++) {
        const int error = finish(eaters[i]);
        EXPECT(error == -ECANCELED || error == -ESHUTDOWN);
    }
    EXPECT_IS(beside_finish(&eater_thread), -ESHUTDOWN);
    EXPECT_IS(kitchen.got, (MAKERS + 1) * ITEMS);
    expect_each_once(&kitchen);
    EXPECT_IS(whorl_queue_destroy(&kitchen.queue), 0);
    return 0;
}

static void test_mt_29_nothing_is_lost_nothing_comes_twice_and_all_end(void **state)
{
    (void)state;
    at_all_loops(cook);
}

/* ---- no memory ---- */

static int put_without_memory(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    (void)arg;
    for (int i = 0; i < 8; i++) { /* as many lie in the queue itself */
        put_now(&queue, i);
    }
    (void)get_now(&queue);
    put_now(&queue, 8);
    faults_install();
    faults_order(&(struct faults_order){
        .entry = FAULTS_alloc, .phase = FAULTS_ANY_PHASE, .error = -ENOMEM, .first = 1});
    EXPECT_IS(whorl_queue_try_put(&queue, item(9)), -ENOMEM);
    EXPECT_IS((long)faults_hits(), 1);
    faults_remove();
    EXPECT_IS((long)whorl_queue_size(&queue), 8);
    put_now(&queue, 9);
    for (int i = 1; i <= 9; i++) {
        EXPECT_IS(get_now(&queue), i);
    }
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    return 0;
}

static void test_a_put_without_memory_puts_nothing_and_loses_nothing(void **state)
{
    (void)state;
    at_no_loop(put_without_memory);
}

/* ---- misuse ---- */

static int destroy_in_use(void *arg)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct user putter[1] = {{.what = 2}};
    void *got;
    (void)arg;
    queue.item_free = free_item;
    (void)whorl__swap_u32(&freed, 0);
    put_now(&queue, 1);
    line_up(&queue, put_one, putter, 1);
    EXPECT_IS(whorl_queue_destroy(&queue), -EBUSY);
    EXPECT_IS(get_now(&queue), 1);
    end_all(putter, 1);
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    EXPECT_IS(freed, 2);
    EXPECT_IS(whorl_queue_destroy(&queue), -EINVAL);
    EXPECT_IS(whorl_queue_put(&queue, NULL), -EINVAL);
    EXPECT_IS(whorl_queue_try_put(&queue, NULL), -EINVAL);
    EXPECT_IS(whorl_queue_get(&queue, &got), -EINVAL);
    EXPECT_IS(whorl_queue_try_get(&queue, &got), -EINVAL);
    EXPECT_IS(whorl_queue_task_done(&queue), -EINVAL);
    EXPECT_IS(whorl_queue_join(&queue), -EINVAL);
    EXPECT_IS(whorl_queue_shutdown(&queue, true), -EINVAL);
    EXPECT_IS((long)whorl_queue_size(&queue), 0);
    EXPECT(whorl_queue_empty(&queue));
    EXPECT(!whorl_queue_full(&queue));
    return 0;
}

static void test_a_queue_in_use_is_not_destroyed_and_frees_its_items(void **state)
{
    (void)state;
    at_all_loops(destroy_in_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_que_1_first_in_first_out_last_in_first_out_and_lowest_first),
        cmocka_unit_test(test_que_2_a_limit_of_zero_or_less_is_none),
        cmocka_unit_test(test_que_3_with_room_and_with_items_nobody_waits),
        cmocka_unit_test(test_que_4_get_waits_for_an_item_and_put_for_room),
        cmocka_unit_test(test_que_5_the_try_forms_say_full_and_empty),
        cmocka_unit_test(test_que_6_a_getter_that_was_woken_and_cancelled_loses_no_item),
        cmocka_unit_test(test_que_7_a_putter_that_was_woken_and_cancelled_loses_no_room),
        cmocka_unit_test(test_que_8_a_cancelled_waiter_leaves_no_entry),
        cmocka_unit_test(test_que_9_a_getter_cancelled_in_line_is_passed_over),
        cmocka_unit_test(test_que_10_a_cancelled_put_has_put_and_a_cancelled_get_taken_nothing),
        cmocka_unit_test(test_que_11_who_finds_his_item_taken_goes_to_the_end),
        cmocka_unit_test(test_que_12_taking_k_wakes_k_putters),
        cmocka_unit_test(test_que_13_gets_receive_in_order_what_putters_wait_with),
        cmocka_unit_test(test_que_14_join_returns_when_all_that_was_put_is_done),
        cmocka_unit_test(test_que_15_task_done_too_often_is_an_error),
        cmocka_unit_test(test_que_16_the_count_rises_at_the_put_and_falls_at_task_done),
        cmocka_unit_test(test_que_17_all_joiners_wake_and_a_later_put_changes_nothing),
        cmocka_unit_test(test_que_18_after_a_shutdown_nothing_is_put),
        cmocka_unit_test(test_que_19_gets_drain_it_and_waiting_ones_are_told),
        cmocka_unit_test(test_mt_9_a_shutdown_leaves_an_item_to_whom_it_woke),
        cmocka_unit_test(test_que_6_what_is_given_up_after_a_shutdown_is_the_next_ones),
        cmocka_unit_test(test_que_20_join_still_waits_for_what_was_taken),
        cmocka_unit_test(test_que_21_an_immediate_one_empties_it_and_counts_that_as_done),
        cmocka_unit_test(test_que_22_what_was_taken_and_not_done_still_counts),
        cmocka_unit_test(test_que_23_twice_is_fine_and_so_is_immediate_after_normal),
        cmocka_unit_test(test_que_24_a_putter_puts_nothing_into_the_room_of_a_shutdown),
        cmocka_unit_test(test_que_25_among_equals_each_comes_out_once),
        cmocka_unit_test(test_mt_9_an_item_that_woke_somebody_is_his),
        cmocka_unit_test(test_mt_29_nothing_is_lost_nothing_comes_twice_and_all_end),
        cmocka_unit_test(test_a_put_without_memory_puts_nothing_and_loses_nothing),
        cmocka_unit_test(test_a_queue_in_use_is_not_destroyed_and_frees_its_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
