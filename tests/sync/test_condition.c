/*
 * Conditions: rows COND and MT-9 of asyncio's semantics; at one loop with asyncio's passes, at
 * several, and with plain threads.
 */
#include "sync/program_sync.h"

#include <errno.h>

/* ---- who acquires, waits, and releases ---- */

struct waiter {
    struct whorl_condition *condition;
    int64_t deadline_ns; /* 0: none */
    int got;
    bool held;           /* it had the lock when the wait returned */
    unsigned place;
    unsigned at;
    const char *message;
    struct whorl_task *task;
};

static int wait(void *arg)
{
    struct waiter *const waiter = arg;
    struct whorl_lock *const lock = whorl_condition_lock(waiter->condition);
    EXPECT_IS(whorl_lock_acquire(lock), 0);
    waiter->got = waiter->deadline_ns != 0
                      ? whorl_condition_wait_until(waiter->condition, waiter->deadline_ns)
                      : whorl_condition_wait(waiter->condition);
    waiter->message = whorl_cancel_message();
    waiter->place = next_event();
    waiter->at = pass_now();
    waiter->held = whorl_lock_locked(lock);
    EXPECT_IS(whorl_lock_release(lock), 0); /* -EPERM if it had it not */
    return waiter->got;
}

static void line_up(struct whorl_condition *condition, struct waiter *waiters, size_t count)
{
    pass_begin();
    for (size_t i = 0; i < count; i++) {
        waiters[i].condition = condition;
        waiters[i].got = UNSET;
        waiters[i].task = start_user(wait, &waiters[i]);
        settle();
    }
}

static void end_all(struct waiter *waiters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(waiters[i].task);
    }
    pass_end();
}

static int count_back(const struct waiter *waiters, size_t count)
{
    int back = 0;
    for (size_t i = 0; i < count; i++) {
        back += waiters[i].got != UNSET;
    }
    return back;
}

static void acquire(struct whorl_condition *condition)
{
    must(whorl_lock_acquire(whorl_condition_lock(condition)));
}

static void release(struct whorl_condition *condition)
{
    must(whorl_lock_release(whorl_condition_lock(condition)));
}

/* With the lock, for that moment. */
static void notify(struct whorl_condition *condition, size_t count)
{
    acquire(condition);
    EXPECT_IS(whorl_condition_notify(condition, count), 0);
    release(condition);
}

/* ---- rows ---- */

static int without_lock(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    (void)arg;
    EXPECT_IS(whorl_condition_wait(&condition), -EPERM);
    EXPECT_IS(whorl_condition_wait_until(&condition, 0), -EPERM);
    EXPECT_IS(whorl_condition_notify(&condition, 1), -EPERM);
    EXPECT_IS(whorl_condition_notify_all(&condition), -EPERM);
    EXPECT_IS(whorl_condition_destroy(&condition), 0);
    return 0;
}

static int notify_of_another(void *condition)
{
    EXPECT_IS(whorl_condition_notify(condition, 1), -EPERM);
    EXPECT_IS(whorl_condition_wait(condition), -EPERM);
    return 0;
}

static int with_anothers_lock(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    struct whorl_condition condition = WHORL_CONDITION_INIT_LOCK(&lock);
    (void)arg;
    acquire(&condition);
    EXPECT_IS(finish(start(notify_of_another, &condition)), 0);
    EXPECT_IS(whorl_condition_notify(&condition, 1), 0);
    release(&condition);
    return 0;
}

static void test_cond_1_wait_and_notify_want_the_lock(void **state)
{
    (void)state;
    at_all_loops(without_lock);
    at_no_loop(without_lock);
    at_all_loops(with_anothers_lock);
}

static int wait_and_come_back(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiter[1] = {{0}};
    (void)arg;
    line_up(&condition, waiter, 1);
    EXPECT(!whorl_lock_locked(whorl_condition_lock(&condition)));
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify(&condition, 1), 0);
    settle();
    EXPECT_IS(waiter[0].got, UNSET); /* it wants the lock first */
    const unsigned at = pass_now();
    release(&condition);
    end_all(waiter, 1);
    EXPECT_IS(waiter[0].got, 0);
    EXPECT(waiter[0].held);
    if (whorl_loop_count() == 1) {
        EXPECT_IS(waiter[0].at - at, 1);
    }
    EXPECT_IS(whorl_condition_destroy(&condition), 0);
    return 0;
}

static void test_cond_2_wait_releases_the_lock_and_has_it_again(void **state)
{
    (void)state;
    at_all_loops(wait_and_come_back);
}

static int notify_some(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiters[5] = {{0}};
    (void)arg;
    forget_events();
    line_up(&condition, waiters, 5);
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify(&condition, 2), 0);
    EXPECT_IS(whorl_condition_notify(&condition, 0), 0);
    settle();
    EXPECT_IS(count_back(waiters, 5), 0);
    release(&condition);
    settle();
    EXPECT_IS(count_back(waiters, 5), 2);
    EXPECT(waiters[0].got == 0 && waiters[1].got == 0);
    if (whorl_loop_count() == 1) {
        EXPECT(waiters[0].place == 1 && waiters[1].place == 2);
    }
    notify(&condition, 2);
    settle();
    EXPECT(waiters[2].got == 0 && waiters[3].got == 0 && waiters[4].got == UNSET);
    notify(&condition, 9);
    end_all(waiters, 5);
    EXPECT_IS(waiters[4].got, 0);
    return 0;
}

static void test_cond_3_notify_wakes_at_most_n_in_order(void **state)
{
    (void)state;
    at_all_loops(notify_some);
}

static int notify_all(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiters[4] = {{0}};
    (void)arg;
    line_up(&condition, waiters, 4);
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify_all(&condition), 0);
    release(&condition);
    end_all(waiters, 4);
    EXPECT_IS(count_back(waiters, 4), 4);
    return 0;
}

static void test_cond_4_notify_all_wakes_all(void **state)
{
    (void)state;
    at_all_loops(notify_all);
}

static int notify_nobody(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiter[1] = {{0}};
    (void)arg;
    notify(&condition, 1);
    line_up(&condition, waiter, 1);
    EXPECT_IS(waiter[0].got, UNSET);
    EXPECT_IS(whorl_condition_destroy(&condition), -EBUSY);
    notify(&condition, 1);
    end_all(waiter, 1);
    return 0;
}

static void test_cond_5_a_notify_with_nobody_there_is_lost(void **state)
{
    (void)state;
    at_all_loops(notify_nobody);
}

static int cancel_a_wait(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiter[1] = {{0}};
    (void)arg;
    line_up(&condition, waiter, 1);
    acquire(&condition);
    EXPECT(whorl_cancel(waiter[0].task, "why not"));
    settle();
    EXPECT_IS(waiter[0].got, UNSET);
    release(&condition);
    end_all(waiter, 1);
    EXPECT_IS(waiter[0].got, -ECANCELED);
    EXPECT(waiter[0].held);
    EXPECT(waiter[0].message != NULL && strcmp(waiter[0].message, "why not") == 0);
    return 0;
}

static void test_cond_6_a_cancelled_wait_has_the_lock_when_it_says_so(void **state)
{
    (void)state;
    at_all_loops(cancel_a_wait);
}

static void test_cond_10_the_cancel_has_its_message(void **state)
{
    (void)state;
    at_all_loops(cancel_a_wait);
}

/* Notified; then cancelled, twice, while the lock is not to be had. */
static int cancel_the_return(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiter[1] = {{0}};
    (void)arg;
    line_up(&condition, waiter, 1);
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify(&condition, 1), 0);
    settle();
    EXPECT(whorl_cancel(waiter[0].task, "first"));
    settle();
    EXPECT_IS(waiter[0].got, UNSET);
    EXPECT(whorl_cancel(waiter[0].task, "second"));
    settle();
    EXPECT_IS(waiter[0].got, UNSET);
    release(&condition);
    end_all(waiter, 1);
    EXPECT_IS(waiter[0].got, -ECANCELED);
    EXPECT(waiter[0].held);
    EXPECT(waiter[0].message != NULL && strcmp(waiter[0].message, "second") == 0);
    return 0;
}

static void test_cond_7_a_cancel_while_it_takes_the_lock_again_is_held_back(void **state)
{
    (void)state;
    at_all_loops(cancel_the_return);
}

static int cancel_the_notified(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiters[2] = {{0}};
    (void)arg;
    line_up(&condition, waiters, 2);
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify(&condition, 1), 0);
    (void)whorl_cancel(waiters[0].task, NULL); /* before it has run, at one loop */
    release(&condition);
    end_all(waiters, 2);
    EXPECT_IS(waiters[0].got, -ECANCELED);
    EXPECT_IS(waiters[1].got, 0);
    return 0;
}

static void test_cond_8_who_is_notified_and_cancelled_hands_it_on(void **state)
{
    (void)state;
    at_all_loops(cancel_the_notified);
}

static int cancel_the_relocking(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiters[2] = {{0}};
    (void)arg;
    line_up(&condition, waiters, 2);
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify(&condition, 1), 0);
    settle(); /* it stands in the lock's line now */
    EXPECT(whorl_cancel(waiters[0].task, NULL));
    release(&condition);
    end_all(waiters, 2);
    EXPECT_IS(waiters[0].got, -ECANCELED);
    EXPECT_IS(waiters[1].got, 0);
    return 0;
}

static void test_cond_9_the_same_while_it_takes_the_lock_again(void **state)
{
    (void)state;
    at_all_loops(cancel_the_relocking);
}

/* asyncio's: any wait that ends with a cancel notifies one other, notified or not. */
static int wake_for_nothing(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct waiter waiters[2] = {{0}};
    (void)arg;
    line_up(&condition, waiters, 2);
    EXPECT(whorl_cancel(waiters[0].task, NULL));
    end_all(waiters, 2);
    EXPECT_IS(waiters[1].got, 0);
    return 0;
}

static void test_cond_11_a_wait_may_return_for_nothing(void **state)
{
    (void)state;
    at_all_loops(wake_for_nothing);
}

struct box {
    struct whorl_condition condition;
    int items;
    int got;
    int asked; /* how often the predicate was called */
};

static int has_items(void *arg)
{
    struct box *const box = arg;
    EXPECT(whorl_lock_locked(whorl_condition_lock(&box->condition)));
    box->asked++;
    return box->items;
}

static int wait_for_items(void *arg)
{
    struct box *const box = arg;
    acquire(&box->condition);
    box->got = whorl_condition_wait_for(&box->condition, has_items, box, WHORL_NEVER);
    release(&box->condition);
    return 0;
}

static int wait_for_predicate(void *arg)
{
    struct box box = {.condition = WHORL_CONDITION_INIT, .items = 3, .got = UNSET};
    (void)arg;
    EXPECT_IS(wait_for_items(&box), 0); /* at once */
    EXPECT_IS(box.got, 3);
    EXPECT_IS(box.asked, 1);
    box.items = 0;
    box.asked = 0;
    box.got = UNSET;
    struct whorl_task *const task = start(wait_for_items, &box);
    settle();
    for (int i = 0; i < 3; i++) {
        notify(&box.condition, 1); /* for nothing */
        settle();
    }
    EXPECT_IS(box.got, UNSET);
    EXPECT_IS(box.asked, 4);
    acquire(&box.condition);
    box.items = -EPIPE; /* what it returns is what it says */
    EXPECT_IS(whorl_condition_notify(&box.condition, 1), 0);
    release(&box.condition);
    EXPECT_IS(finish(task), 0);
    EXPECT_IS(box.got, -EPIPE);
    acquire(&box.condition);
    box.items = 0;
    EXPECT_IS(whorl_condition_wait_for(&box.condition, has_items, &box,
                                       whorl_after(WHORL_MILLISECOND)),
              -ETIMEDOUT);
    release(&box.condition);
    return 0;
}

static void test_cond_12_wait_for_asks_first_and_with_the_lock(void **state)
{
    (void)state;
    at_all_loops(wait_for_predicate);
}

static int share_a_lock(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct whorl_condition left = WHORL_CONDITION_INIT_LOCK(&lock);
    struct whorl_condition right;
    struct waiter one[1] = {{0}};
    struct waiter two[1] = {{0}};
    (void)arg;
    must(whorl_condition_init(&right, &lock));
    EXPECT(whorl_condition_lock(&left) == &lock && whorl_condition_lock(&right) == &lock);
    line_up(&left, one, 1);
    line_up(&right, two, 1);
    must(whorl_lock_acquire(&lock));
    EXPECT_IS(whorl_condition_notify_all(&right), 0);
    EXPECT_IS(whorl_lock_release(&lock), 0);
    (void)finish(two[0].task);
    settle();
    EXPECT_IS(one[0].got, UNSET);
    notify(&left, 1);
    end_all(one, 1);
    EXPECT_IS(whorl_condition_destroy(&left), 0);
    EXPECT_IS(whorl_condition_destroy(&right), 0);
    EXPECT_IS(whorl_lock_acquire(&lock), 0); /* it stays */
    return 0;
}

static void test_cond_13_two_conditions_share_a_lock(void **state)
{
    (void)state;
    at_all_loops(share_a_lock);
}

static int run_out_of_time(void *arg)
{
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct whorl_lock *const lock = whorl_condition_lock(&condition);
    struct whorl_timeout timeout;
    (void)arg;
    acquire(&condition);
    must(whorl_timeout_enter(&timeout, whorl_after(WHORL_MILLISECOND)));
    const int error = whorl_condition_wait(&condition);
    EXPECT_IS(error, -ECANCELED);
    EXPECT_IS(whorl_timeout_exit(&timeout, error), -ETIMEDOUT);
    EXPECT(whorl_lock_locked(lock));
    EXPECT_IS(whorl_condition_wait_until(&condition, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT(whorl_lock_locked(lock));
    release(&condition);
    EXPECT_IS(whorl_condition_destroy(&condition), 0);
    EXPECT_IS(whorl_condition_wait(&condition), -EINVAL);
    EXPECT_IS(whorl_condition_notify(&condition, 1), -EINVAL);
    return 0;
}

static void test_cond_14_at_a_timeout_the_lock_is_held_again(void **state)
{
    (void)state;
    at_all_loops(run_out_of_time);
}

/* ---- MT-9: many who put and take, some of whom are cancelled; nothing is lost ---- */

enum { ITEMS = 400, TAKERS = 4 };

struct store {
    struct whorl_condition condition;
    int items;
    int taken;
    bool closed;
};

static int has_something(void *arg)
{
    const struct store *const store = arg;
    return store->items > 0 || store->closed;
}

static int take_items(void *arg)
{
    struct store *const store = arg;
    bool over = false;
    while (!over) {
        const int error = whorl_lock_acquire(whorl_condition_lock(&store->condition));
        if (error != 0) {
            return error;
        }
        const int got =
            whorl_condition_wait_for(&store->condition, has_something, store, WHORL_NEVER);
        if (got > 0 && store->items > 0) {
            store->items--;
            store->taken++;
        } else {
            over = got <= 0 || store->closed;
        }
        release(&store->condition);
        if (got == -ECANCELED) {
            return got;
        }
    }
    return 0;
}

static int put_items(void *arg)
{
    struct store *const store = arg;
    for (int i = 0; i < ITEMS; i++) {
        acquire(&store->condition);
        store->items++;
        EXPECT_IS(whorl_condition_notify(&store->condition, 1), 0);
        release(&store->condition);
        if (i % 16 == 0 && whorl_loop_current() >= 0) {
            must(whorl_yield());
        }
    }
    return 0;
}

/* One is cancelled in the middle of it: what he was told of, another takes. */
static int put_and_take(void *arg)
{
    struct store store = {.condition = WHORL_CONDITION_INIT};
    struct whorl_task *takers[TAKERS];
    struct whorl_task *putter;
    struct beside thread;
    (void)arg;
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = start(take_items, &store);
    }
    beside_start(&thread, put_items, &store);
    putter = start(put_items, &store);
    for (int i = 0; i + 1 < TAKERS; i++) {
        must(whorl_yield());
        (void)whorl_cancel(takers[i], NULL);
    }
    EXPECT_IS(finish(putter), 0);
    EXPECT_IS(beside_finish(&thread), 0);
    bool all = false;
    while (!all) { /* the last of them takes what is left, or nobody does: for ever */
        must(whorl_yield());
        acquire(&store.condition);
        all = store.taken == 2 * ITEMS;
        release(&store.condition);
    }
    acquire(&store.condition);
    store.closed = true;
    EXPECT_IS(whorl_condition_notify_all(&store.condition), 0);
    release(&store.condition);
    for (int i = 0; i < TAKERS; i++) {
        (void)finish(takers[i]);
    }
    EXPECT_IS(store.items, 0);
    EXPECT_IS(whorl_condition_destroy(&store.condition), 0);
    return 0;
}

static void test_mt_9_no_notification_is_lost_under_parallel_cancels(void **state)
{
    (void)state;
    at_all_loops(put_and_take);
}

/* It has its notification, and waits for the lock: it is in its call still. */
static int destroy_while_it_takes_the_lock(void *own)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct whorl_condition condition;
    struct waiter waiter[1] = {{0}};
    must(whorl_condition_init(&condition, own != NULL ? NULL : &lock));
    line_up(&condition, waiter, 1);
    acquire(&condition);
    EXPECT_IS(whorl_condition_notify(&condition, 1), 0);
    settle();
    EXPECT_IS(waiter[0].got, UNSET);
    EXPECT_IS(whorl_condition_destroy(&condition), -EBUSY);
    EXPECT(whorl_cancel(waiter[0].task, NULL)); /* then it hands the notification on */
    settle();
    EXPECT_IS(whorl_condition_destroy(&condition), -EBUSY);
    release(&condition);
    end_all(waiter, 1);
    EXPECT_IS(waiter[0].got, -ECANCELED);
    EXPECT_IS(whorl_condition_destroy(&condition), 0);
    return 0;
}

static int destroy_beside_the_wait(void *arg)
{
    (void)arg;
    EXPECT_IS(destroy_while_it_takes_the_lock(NULL), 0);
    EXPECT_IS(destroy_while_it_takes_the_lock(&arg), 0);
    return 0;
}

static void test_destroy_is_refused_until_the_wait_has_returned(void **state)
{
    (void)state;
    at_all_loops(destroy_beside_the_wait);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cond_1_wait_and_notify_want_the_lock),
        cmocka_unit_test(test_cond_2_wait_releases_the_lock_and_has_it_again),
        cmocka_unit_test(test_cond_3_notify_wakes_at_most_n_in_order),
        cmocka_unit_test(test_cond_4_notify_all_wakes_all),
        cmocka_unit_test(test_cond_5_a_notify_with_nobody_there_is_lost),
        cmocka_unit_test(test_cond_6_a_cancelled_wait_has_the_lock_when_it_says_so),
        cmocka_unit_test(test_cond_7_a_cancel_while_it_takes_the_lock_again_is_held_back),
        cmocka_unit_test(test_cond_8_who_is_notified_and_cancelled_hands_it_on),
        cmocka_unit_test(test_cond_9_the_same_while_it_takes_the_lock_again),
        cmocka_unit_test(test_cond_10_the_cancel_has_its_message),
        cmocka_unit_test(test_cond_11_a_wait_may_return_for_nothing),
        cmocka_unit_test(test_cond_12_wait_for_asks_first_and_with_the_lock),
        cmocka_unit_test(test_cond_13_two_conditions_share_a_lock),
        cmocka_unit_test(test_cond_14_at_a_timeout_the_lock_is_held_again),
        cmocka_unit_test(test_destroy_is_refused_until_the_wait_has_returned),
        cmocka_unit_test(test_mt_9_no_notification_is_lost_under_parallel_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
