/*
 * wait and as_completed; rows WAIT and ASC of asyncio's semantics.
 */
#include "support/play.h"

#include "sched/sched.h"

enum { MANY = 3 };

/* Futures that the case completes, and one task that waits for them. */
struct scene {
    struct whorl_future *futures[MANY];
    struct whorl_future *asked[MANY + 1];
    size_t count;
    enum whorl_return_when when;
    int64_t deadline_ns;
    int result;
    bool done[MANY + 1];
    bool kept;        /* what was pending was not cancelled */
    uint32_t entered; /* A: the waiter has begun */
};

static int wait_for_them(void *arg)
{
    struct scene *const scene = arg;
    __atomic_store_n(&scene->entered, 1, __ATOMIC_RELEASE);
    scene->result = whorl_wait(scene->asked, scene->count, scene->when, scene->deadline_ns,
                               scene->done);
    return 0;
}

/* A task that waits for them, or is about to. */
static struct whorl_task *start_waiter(struct scene *scene)
{
    struct whorl_task *const task = start(wait_for_them, scene);
    while (!__atomic_load_n(&scene->entered, __ATOMIC_ACQUIRE)) {
        must(whorl_yield());
    }
    settle();
    return task;
}

static void make_futures(struct scene *scene)
{
    scene->result = UNSET;
    scene->count = MANY;
    scene->deadline_ns = WHORL_NEVER;
    for (int i = 0; i < MANY; i++) {
        scene->asked[i] = scene->futures[i] = new_future();
    }
}

static void drop_futures(struct scene *scene)
{
    for (int i = 0; i < MANY; i++) {
        whorl_future_unref(scene->futures[i]);
    }
}

static int all_completed(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    struct whorl_task *const task = start(wait_for_them, scene);
    must(whorl_future_set_error(scene->futures[2], -EIO));
    must(whorl_yield());
    (void)whorl_future_cancel(scene->futures[0], NULL);
    must(whorl_yield());
    must(whorl_future_set_result(scene->futures[1], NULL));
    must(finish(task));
    drop_futures(scene);
    return 0;
}

static void test_wait_1_tells_what_is_done_and_raises_nothing(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, all_completed, &scene), 0);
        assert_int_equal(scene.result, MANY);
        assert_true(scene.done[0] && scene.done[1] && scene.done[2]);
    }
}

static int with_deadline(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->deadline_ns = whorl_after(2 * WHORL_MILLISECOND);
    must(whorl_future_set_result(scene->futures[1], NULL));
    must(finish(start(wait_for_them, scene)));
    scene->kept = true;
    for (int i = 0; i < MANY; i++) {
        scene->kept &= !whorl_future_cancelled(scene->futures[i]);
    }
    drop_futures(scene);
    return 0;
}

static void test_wait_2_deadline_cancels_nothing(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, with_deadline, &scene), 0);
        assert_int_equal(scene.result, 1);
        assert_true(scene.done[1] && !scene.done[0] && !scene.done[2]);
        assert_true(scene.kept);
    }
}

static int cancel_waiter(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    struct whorl_task *const task = start_waiter(scene);
    (void)whorl_cancel(task, NULL);
    must(finish(task));
    for (int i = 0; i < MANY; i++) {
        must(whorl_future_set_result(scene->futures[i], NULL)); /* -EALREADY if it was cancelled */
    }
    drop_futures(scene);
    return 0;
}

static void test_wait_3_cancel_of_the_waiter_leaves_them_alone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, cancel_waiter, &scene), 0);
        assert_int_equal(scene.result, -ECANCELED);
    }
}

static int first_completed(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->when = WHORL_FIRST_COMPLETED;
    struct whorl_task *const task = start_waiter(scene);
    (void)whorl_future_cancel(scene->futures[2], NULL);
    must(finish(task));
    drop_futures(scene);
    return 0;
}

static void test_wait_4_first_completed_in_whatever_way(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, first_completed, &scene), 0);
        assert_int_equal(scene.result, 1);
        assert_true(!scene.done[0] && !scene.done[1] && scene.done[2]);
    }
}

static int two_in_a_pass(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->when = WHORL_FIRST_COMPLETED;
    struct whorl_task *const task = start_waiter(scene);
    must(whorl_future_set_result(scene->futures[2], NULL));
    must(whorl_future_set_result(scene->futures[0], NULL));
    must(finish(task));
    drop_futures(scene);
    return 0;
}

static void test_wait_5_what_ended_in_the_same_pass_is_done(void **state)
{
    /* At several loops the wait may be over before the second one is completed. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, two_in_a_pass, &scene), 0);
        assert_true(scene.done[2] && !scene.done[1]);
        assert_true(scene.done[0] || loops > 1);
        assert_int_equal(scene.result, 1 + scene.done[0]);
    }
}

static int first_exception(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->when = WHORL_FIRST_EXCEPTION;
    struct whorl_task *const task = start_waiter(scene);
    (void)whorl_future_cancel(scene->futures[0], NULL); /* no failure */
    settle();
    const bool too_early = whorl_task_done(task);
    must(whorl_future_set_error(scene->futures[1], -EIO));
    must(finish(task));
    drop_futures(scene);
    return too_early;
}

static void test_wait_6_first_exception_is_no_cancel(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, first_exception, &scene), 0);
        assert_int_equal(scene.result, 2);
        assert_true(scene.done[0] && scene.done[1] && !scene.done[2]);
    }
}

static int failed_before(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->when = WHORL_FIRST_EXCEPTION;
    must(whorl_future_set_error(scene->futures[1], -EIO));
    must(finish(start(wait_for_them, scene)));
    drop_futures(scene);
    return 0;
}

static void test_wait_7_first_exception_that_was_there_before(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, failed_before, &scene), 0);
        assert_int_equal(scene.result, 1);
    }
}

static int wrong_arguments(void *arg)
{
    (void)arg;
    struct whorl_future *const future = new_future();
    struct whorl_future *const none[] = {future, NULL};
    struct whorl_future *const self[] = {whorl_task_future(whorl_task_current())};
    int wrong = 0;
    wrong += whorl_wait(&future, 0, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL) != -EINVAL;
    wrong += whorl_wait(none, 2, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL) != -EINVAL;
    wrong += whorl_wait(&future, 1, (enum whorl_return_when)3, WHORL_NEVER, NULL) != -EINVAL;
    wrong += whorl_wait(self, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL) != -EDEADLK;
    whorl_future_unref(future);
    return wrong;
}

static void test_wait_8_wrong_arguments(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, wrong_arguments, NULL), 0);
    }
}

static int same_twice(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->asked[3] = scene->futures[0];
    scene->count = 4;
    for (int i = 0; i < MANY; i++) {
        must(whorl_future_set_result(scene->futures[i], NULL));
    }
    must(finish(start(wait_for_them, scene)));
    drop_futures(scene);
    return 0;
}

static void test_wait_9_the_same_twice_counts_once(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, same_twice, &scene), 0);
        assert_int_equal(scene.result, MANY);
        assert_true(scene.done[0] && scene.done[3]);
    }
}

static int note_ran(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static int all_done_already(void *arg)
{
    struct whorl_future *const future = new_future();
    must(whorl_future_set_result(future, NULL));
    struct whorl_task *const task = start(note_ran, arg);
    const int done = whorl_wait(&future, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL);
    const bool ran = *(bool *)arg;
    must(finish(task));
    whorl_future_unref(future);
    return done == 1 && ran ? 0 : 1;
}

static void test_wait_10_gives_way_even_if_all_are_done(void **state)
{
    (void)state;
    bool ran = false;
    assert_int_equal(play(1, all_done_already, &ran), 0);
}

/* Counts the passes from the start of the wait to its return. */
static int count_passes(void *arg)
{
    int *const passes = arg;
    while (*passes >= 0) {
        ++*passes;
        must(whorl_yield());
    }
    return 0;
}

static int passes_of_a_wait(void *arg)
{
    int passes = 0;
    struct whorl_future *const future = new_future();
    must(whorl_future_set_result(future, NULL));
    struct whorl_task *const task = start(count_passes, &passes);
    must(whorl_wait(&future, 1, WHORL_ALL_COMPLETED, WHORL_NEVER, NULL) == 1 ? 0 : -EPROTO);
    *(int *)arg = passes;
    passes = -1;
    must(finish(task));
    whorl_future_unref(future);
    return 0;
}

static void test_wait_10_costs_two_passes_if_all_are_done(void **state)
{
    /* As in CPython: one for the callback of the last future, one for the task. */
    (void)state;
    int passes = 0;
    assert_int_equal(play(1, passes_of_a_wait, &passes), 0);
    assert_int_equal(passes, 2);
}

static int wait_often(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->kept = true;
    for (int i = 0; i < 100; i++) {
        must(whorl_wait(scene->asked, MANY, WHORL_ALL_COMPLETED, whorl_now(), NULL));
        for (int k = 0; k < MANY; k++) {
            scene->kept &= whorl__load_relaxed_u32(&scene->futures[k]->word) == 0;
        }
    }
    drop_futures(scene);
    return 0;
}

static void test_wait_11_nothing_is_left_on_what_is_pending(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, wait_often, &scene), 0);
        assert_true(scene.kept); /* no waiter is noted in their words */
    }
}

static int poll_only(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->deadline_ns = whorl_now() - 1;
    must(whorl_future_set_result(scene->futures[2], NULL));
    must(finish(start(wait_for_them, scene)));
    drop_futures(scene);
    return 0;
}

static void test_wait_12_deadline_that_has_passed_polls(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct scene scene = {0};
        assert_int_equal(play(loops, poll_only, &scene), 0);
        assert_int_equal(scene.result, 1);
        assert_true(scene.done[2] && !scene.done[0] && !scene.done[1]);
    }
}

static int complete_at_deadline(void *arg)
{
    struct scene *const scene = arg;
    must(whorl_sleep_until(scene->deadline_ns));
    for (int i = 0; i < MANY; i++) {
        must(whorl_future_set_result(scene->futures[i], NULL));
    }
    return 0;
}

static int deadline_and_completion(void *arg)
{
    struct scene *const scene = arg;
    make_futures(scene);
    scene->deadline_ns = whorl_after(200 * WHORL_MICROSECOND);
    struct whorl_task *const completer = start(complete_at_deadline, scene);
    must(finish(start(wait_for_them, scene)));
    must(finish(completer));
    drop_futures(scene);
    return 0;
}

static void test_wait_13_deadline_and_completion_together(void **state)
{
    /* Completed in order: what is told is a beginning of it, and the count agrees. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (int round = 0; round < 20; round++) {
            struct scene scene = {0};
            assert_int_equal(play(loops, deadline_and_completion, &scene), 0);
            assert_int_equal(scene.result, scene.done[0] + scene.done[1] + scene.done[2]);
            assert_true(scene.done[0] >= scene.done[1] && scene.done[1] >= scene.done[2]);
        }
    }
}

/* ---- as_completed ---- */

struct order {
    size_t served[MANY + 1];
    int results[MANY + 1];
    unsigned count;
    int last;
};

static int serve(struct order *order, struct whorl_completed *completed)
{
    size_t index;
    order->last = whorl_completed_next(completed, &index);
    if (order->last == 0) {
        order->served[order->count++] = index;
    }
    return order->last;
}

static int in_order(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    make_futures(&scene);
    must(whorl_future_set_result(scene.futures[2], NULL));
    must(whorl_as_completed(scene.asked, MANY, WHORL_NEVER, &completed));
    must(serve(order, completed));
    must(whorl_future_set_error(scene.futures[1], -EIO)); /* row 10: the iteration goes on */
    must(whorl_future_set_result(scene.futures[0], NULL));
    while (serve(order, completed) == 0) {
    }
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_1_items_come_in_the_order_of_completion(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, in_order, &order), 0);
        assert_int_equal(order.count, MANY);
        assert_int_equal(order.served[0], 2);
        assert_int_equal(order.served[1], 1);
        assert_int_equal(order.served[2], 0);
        assert_int_equal(order.last, -ENOENT);
    }
}

static int end_with(void *arg)
{
    return whorl_return(arg);
}

static int same_in_and_out(void *arg)
{
    struct order *const order = arg;
    struct whorl_task *tasks[MANY];
    struct whorl_future *futures[MANY];
    struct whorl_completed *completed;
    for (int i = 0; i < MANY; i++) {
        tasks[i] = start(end_with, &order->results[i]);
        futures[i] = whorl_task_future(tasks[i]);
    }
    must(whorl_as_completed(futures, MANY, WHORL_NEVER, &completed));
    while (serve(order, completed) == 0) {
        const size_t index = order->served[order->count - 1];
        void *value = NULL;
        must(whorl_future_result(futures[index], &value));
        order->results[index] += value == &order->results[index];
    }
    whorl_completed_free(completed);
    for (int i = 0; i < MANY; i++) {
        whorl_task_unref(tasks[i]);
    }
    return 0;
}

static void test_asc_2_items_are_the_very_tasks_that_were_given(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, same_in_and_out, &order), 0);
        assert_int_equal(order.count, MANY);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(order.results[i], 1);
        }
    }
}

static int by_iterator(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    void *item;
    make_futures(&scene);
    must(whorl_future_set_result(scene.futures[2], NULL));
    must(whorl_as_completed(scene.asked, MANY, WHORL_NEVER, &completed));
    struct whorl_iterator *const items = whorl_completed_iterator(completed);
    must(whorl_iterator_next(items, &item));
    order->served[order->count++] = item == scene.futures[2];
    must(whorl_future_set_error(scene.futures[1], -EIO));
    must(serve(order, completed)); /* in between, by its index: it is not served again */
    must(whorl_future_set_result(scene.futures[0], NULL));
    while ((order->last = whorl_iterator_next(items, &item)) == 0) {
        order->served[order->count++] = item == scene.futures[0];
    }
    order->results[0] = whorl_iterator_close(items);
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_2_as_an_iterator_it_gives_the_futures_themselves(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {.results = {UNSET}};
        assert_int_equal(play(loops, by_iterator, &order), 0);
        assert_int_equal(order.count, MANY);
        assert_int_equal(order.served[0], true);
        assert_int_equal(order.served[1], 1);
        assert_int_equal(order.served[2], true);
        assert_int_equal(order.last, -ENODATA);
        assert_int_equal(order.results[0], 0);
    }
}

static int until_deadline(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    make_futures(&scene);
    must(whorl_future_set_result(scene.futures[1], NULL));
    must(whorl_as_completed(scene.asked, MANY, whorl_after(2 * WHORL_MILLISECOND), &completed));
    while (serve(order, completed) == 0) {
    }
    must(whorl_future_set_result(scene.futures[0], NULL)); /* not cancelled, and too late */
    must(whorl_future_set_result(scene.futures[2], NULL));
    order->results[0] = order->last;
    (void)serve(order, completed);
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_4_deadline_ends_the_iteration_and_cancels_nothing(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, until_deadline, &order), 0);
        assert_int_equal(order.count, 1);
        assert_int_equal(order.results[0], -ETIMEDOUT);
        assert_int_equal(order.last, -ETIMEDOUT);
    }
}

static int set_flag(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

static int after_deadline(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    bool gave_way = false;
    make_futures(&scene);
    must(whorl_future_set_result(scene.futures[2], NULL));
    must(whorl_as_completed(scene.asked, MANY, whorl_after(WHORL_MILLISECOND), &completed));
    must(whorl_sleep(5 * WHORL_MILLISECOND));
    must(whorl_future_set_result(scene.futures[0], NULL));
    must(whorl_sleep(WHORL_MILLISECOND));
    struct whorl_task *const other = start(set_flag, &gave_way);
    must(serve(order, completed));
    (void)serve(order, completed);
    order->results[0] = gave_way;
    must(finish(other));
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static int free_before_report(void *arg)
{
    struct whorl_future *const future = new_future();
    struct whorl_completed *completed;
    (void)arg;
    must(whorl_as_completed(&future, 1, whorl_after(3600 * WHORL_SECOND), &completed));
    must(whorl_future_set_result(future, NULL)); /* on one loop the report is queued */
    whorl_completed_free(completed);
    must(whorl_yield());
    whorl_future_unref(future);
    return 0;
}

static void test_asc_4_report_comes_when_iteration_and_timer_are_freed(void **state)
{
    /* It takes the timer back, which has to be there: a sanitizer sees if it is not. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, free_before_report, NULL), 0);
    }
}

static void test_asc_4_deadline_has_a_timer_of_its_own(void **state)
{
    /* Strict order: it counts from when the iteration was made, though nobody asks for the next
     * one; then what was told before is served, and the rest is late, at once. */
    (void)state;
    struct order order = {.results = {UNSET}};
    assert_int_equal(play(1, after_deadline, &order), 0);
    assert_int_equal(order.count, 1);
    assert_int_equal(order.served[0], 2);
    assert_int_equal(order.last, -ETIMEDOUT);
    assert_int_equal(order.results[0], false);
}

static int complete_slowly(void *arg)
{
    struct scene *const scene = arg;
    for (int i = 0; i < MANY; i++) {
        must(whorl_yield());
        must(whorl_future_set_result(scene->futures[i], NULL));
    }
    return 0;
}

static int count_timers(const struct whorl__runtime *runtime)
{
    int count = 0;
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        count += (int)runtime->loops[i]->timers.heap.count;
    }
    return count;
}

static int with_unused_deadline(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    make_futures(&scene);
    must(whorl_as_completed(scene.asked, MANY, whorl_after(WHORL_SECOND * 1000), &completed));
    struct whorl_task *const completer = start(complete_slowly, &scene);
    while (serve(order, completed) == 0) {
    }
    must(finish(completer));
    order->results[0] = count_timers(whorl_task_current()->runtime);
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_5_timer_of_an_unused_deadline_is_gone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, with_unused_deadline, &order), 0);
        assert_int_equal(order.count, MANY);
        assert_int_equal(order.last, -ENOENT);
        assert_int_equal(order.results[0], 0);
    }
}

static int leave_with_timer(void *arg)
{
    struct scene scene = {0};
    struct whorl_completed *completed;
    make_futures(&scene);
    must(whorl_as_completed(scene.asked, MANY, whorl_after(WHORL_SECOND * 1000), &completed));
    whorl_completed_free(completed);
    *(int *)arg = count_timers(whorl_task_current()->runtime);
    drop_futures(&scene);
    return 0;
}

static void test_asc_5_and_11_timer_of_an_iteration_that_is_left_is_gone(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int timers = UNSET;
        assert_int_equal(play(loops, leave_with_timer, &timers), 0);
        assert_int_equal(timers, 0);
    }
}

static int with_duplicates(void *arg)
{
    struct order *const order = arg;
    struct whorl_future *const future = new_future();
    struct whorl_future *const twice[] = {future, future};
    struct whorl_completed *completed;
    must(whorl_future_set_result(future, NULL));
    must(whorl_as_completed(twice, 2, WHORL_NEVER, &completed));
    while (serve(order, completed) == 0) {
    }
    whorl_completed_free(completed);
    whorl_future_unref(future);
    return 0;
}

static void test_asc_6_duplicates_are_served_once(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, with_duplicates, &order), 0);
        assert_int_equal(order.count, 1);
        assert_int_equal(order.last, -ENOENT);
    }
}

/* ---- several callers ---- */

struct taker {
    struct whorl_completed *completed;
    size_t index;
    int result;
};

static int take_one(void *arg)
{
    struct taker *const taker = arg;
    taker->result = whorl_completed_next(taker->completed, &taker->index);
    return 0;
}

static int take_up_again(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct taker taker = {.result = UNSET};
    make_futures(&scene);
    must(whorl_as_completed(scene.asked, MANY, WHORL_NEVER, &taker.completed));
    must(whorl_future_set_result(scene.futures[1], NULL));
    must(serve(order, taker.completed));
    struct whorl_task *const task = start(take_one, &taker);
    settle();
    (void)whorl_cancel(task, NULL); /* left in the middle of a wait: nothing is lost */
    (void)finish(task);
    order->results[0] = taker.result;
    must(whorl_future_set_result(scene.futures[0], NULL));
    must(serve(order, taker.completed));
    must(whorl_future_set_result(scene.futures[2], NULL));
    while (serve(order, taker.completed) == 0) {
    }
    whorl_completed_free(taker.completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_7_iteration_is_left_and_taken_up_again(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, take_up_again, &order), 0);
        assert_true(order.results[0] == -ECANCELED || loops > 1); /* or it never began */
        assert_int_equal(order.count, MANY);
        assert_int_equal(order.served[0], 1);
        assert_int_equal(order.served[1], 0);
        assert_int_equal(order.served[2], 2);
    }
}

static int several(void *arg)
{
    bool *const seen = arg;
    struct scene scene = {0};
    struct taker takers[MANY];
    struct whorl_task *tasks[MANY];
    make_futures(&scene);
    struct whorl_completed *completed;
    must(whorl_as_completed(scene.asked, MANY, WHORL_NEVER, &completed));
    for (int i = 0; i < MANY; i++) {
        takers[i] = (struct taker){.completed = completed, .result = UNSET};
        tasks[i] = start(take_one, &takers[i]);
    }
    must(whorl_yield());
    for (int i = 0; i < MANY; i++) {
        must(whorl_future_set_result(scene.futures[i], NULL));
    }
    for (int i = 0; i < MANY; i++) {
        must(finish(tasks[i]));
        must(takers[i].result);
        seen[takers[i].index] = true;
    }
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_8_several_callers_get_one_each(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        bool seen[MANY] = {false};
        assert_int_equal(play(1 + round % LOOPS_MOST, several, seen), 0);
        assert_true(seen[0] && seen[1] && seen[2]);
    }
}

static int nothing(void *arg)
{
    struct order *const order = arg;
    struct whorl_completed *completed;
    struct whorl_future *const none[] = {NULL};
    must(whorl_as_completed(NULL, 0, WHORL_NEVER, &completed));
    (void)serve(order, completed);
    whorl_completed_free(completed);
    whorl_completed_free(NULL);
    order->results[0] = whorl_as_completed(none, 1, WHORL_NEVER, &completed);
    return 0;
}

static void test_asc_9_an_empty_list_ends_at_once_and_null_is_refused(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, nothing, &order), 0);
        assert_int_equal(order.last, -ENOENT);
        assert_int_equal(order.results[0], -EINVAL);
    }
}

static int with_a_failure(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    make_futures(&scene);
    must(whorl_as_completed(scene.asked, MANY, WHORL_NEVER, &completed));
    must(whorl_future_set_error(scene.futures[2], -EIO));
    (void)whorl_future_cancel(scene.futures[0], NULL);
    must(whorl_future_set_result(scene.futures[1], NULL));
    while (serve(order, completed) == 0) {
        const size_t index = order->served[order->count - 1];
        order->results[order->count - 1] = whorl_future_result(scene.futures[index], NULL);
    }
    whorl_completed_free(completed);
    drop_futures(&scene);
    return 0;
}

static void test_asc_10_failure_is_told_with_its_child(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, with_a_failure, &order), 0);
        assert_int_equal(order.count, MANY);
        assert_int_equal(order.results[0], -EIO);
        assert_int_equal(order.results[1], -ECANCELED);
        assert_int_equal(order.results[2], 0);
    }
}

static int leave_early(void *arg)
{
    struct order *const order = arg;
    struct scene scene = {0};
    struct whorl_completed *completed;
    make_futures(&scene);
    must(whorl_as_completed(scene.asked, MANY, WHORL_NEVER, &completed));
    must(whorl_future_set_result(scene.futures[0], NULL));
    must(serve(order, completed));
    whorl_completed_free(completed);
    must(whorl_future_set_result(scene.futures[1], NULL)); /* nothing was cancelled, nobody calls */
    must(whorl_future_set_result(scene.futures[2], NULL));
    drop_futures(&scene);
    return 0;
}

static void test_asc_11_leaving_early_cancels_nothing(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct order order = {0};
        assert_int_equal(play(loops, leave_early, &order), 0);
    }
}

/* ---- many loops ---- */

enum { CROWD = 64 };

static int end_sometime(void *arg)
{
    int error = 0;
    for (uintptr_t i = 0; error == 0 && i < (uintptr_t)arg % 5; i++) {
        error = whorl_yield();
    }
    return error;
}

static int crowd(void *arg)
{
    struct whorl_task *tasks[CROWD];
    struct whorl_future *futures[CROWD];
    bool done[CROWD];
    (void)arg;
    for (uintptr_t i = 0; i < CROWD; i++) {
        tasks[i] = start(end_sometime, (void *)(i * 7 + 1));
        futures[i] = whorl_task_future(tasks[i]);
    }
    const int some = whorl_wait(futures, CROWD, WHORL_FIRST_COMPLETED, WHORL_NEVER, done);
    const int all = whorl_wait(futures, CROWD, WHORL_ALL_COMPLETED, WHORL_NEVER, done);
    for (int i = 0; i < CROWD; i++) {
        whorl_task_unref(tasks[i]);
    }
    return some >= 1 && all == CROWD ? 0 : 1;
}

static void test_mt_17_children_of_many_loops_end_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        assert_int_equal(play(LOOPS_MOST, crowd, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_1_tells_what_is_done_and_raises_nothing),
        cmocka_unit_test(test_wait_2_deadline_cancels_nothing),
        cmocka_unit_test(test_wait_3_cancel_of_the_waiter_leaves_them_alone),
        cmocka_unit_test(test_wait_4_first_completed_in_whatever_way),
        cmocka_unit_test(test_wait_5_what_ended_in_the_same_pass_is_done),
        cmocka_unit_test(test_wait_6_first_exception_is_no_cancel),
        cmocka_unit_test(test_wait_7_first_exception_that_was_there_before),
        cmocka_unit_test(test_wait_8_wrong_arguments),
        cmocka_unit_test(test_wait_9_the_same_twice_counts_once),
        cmocka_unit_test(test_wait_10_gives_way_even_if_all_are_done),
        cmocka_unit_test(test_wait_10_costs_two_passes_if_all_are_done),
        cmocka_unit_test(test_wait_11_nothing_is_left_on_what_is_pending),
        cmocka_unit_test(test_wait_12_deadline_that_has_passed_polls),
        cmocka_unit_test(test_wait_13_deadline_and_completion_together),
        cmocka_unit_test(test_asc_1_items_come_in_the_order_of_completion),
        cmocka_unit_test(test_asc_2_items_are_the_very_tasks_that_were_given),
        cmocka_unit_test(test_asc_2_as_an_iterator_it_gives_the_futures_themselves),
        cmocka_unit_test(test_asc_4_deadline_ends_the_iteration_and_cancels_nothing),
        cmocka_unit_test(test_asc_4_deadline_has_a_timer_of_its_own),
        cmocka_unit_test(test_asc_4_report_comes_when_iteration_and_timer_are_freed),
        cmocka_unit_test(test_asc_5_timer_of_an_unused_deadline_is_gone),
        cmocka_unit_test(test_asc_5_and_11_timer_of_an_iteration_that_is_left_is_gone),
        cmocka_unit_test(test_asc_6_duplicates_are_served_once),
        cmocka_unit_test(test_asc_7_iteration_is_left_and_taken_up_again),
        cmocka_unit_test(test_asc_8_several_callers_get_one_each),
        cmocka_unit_test(test_asc_9_an_empty_list_ends_at_once_and_null_is_refused),
        cmocka_unit_test(test_asc_10_failure_is_told_with_its_child),
        cmocka_unit_test(test_asc_11_leaving_early_cancels_nothing),
        cmocka_unit_test(test_mt_17_children_of_many_loops_end_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
