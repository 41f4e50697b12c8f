/*
 * Read-write locks and what is done once: at one loop, at several, and with plain threads.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"

#include <errno.h>

/* ---- who reads or writes, and stays until told ---- */

struct user {
    struct whorl_rwlock *lock;
    bool writes;
    struct whorl_future *gate; /* inside until it is done; NULL: not at all */
    int got;
    unsigned place;
    struct whorl_task *task;
};

static int use(void *arg)
{
    struct user *const user = arg;
    user->got = user->writes ? whorl_rwlock_acquire_write(user->lock)
                             : whorl_rwlock_acquire_read(user->lock);
    if (user->got != 0) {
        return user->got;
    }
    user->place = next_event();
    if (user->gate != NULL) {
        EXPECT_IS(whorl_future_await(user->gate, NULL), 0);
    }
    EXPECT_IS(user->writes ? whorl_rwlock_release_write(user->lock)
                           : whorl_rwlock_release_read(user->lock),
              0);
    return 0;
}

static void line_up(struct whorl_rwlock *lock, struct user *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        users[i].lock = lock;
        users[i].got = UNSET;
        users[i].task = start(use, &users[i]);
        settle();
    }
}

static void end_all(struct user *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)finish(users[i].task);
    }
}

static int read_together(void *arg)
{
    struct whorl_rwlock lock = WHORL_RWLOCK_INIT;
    (void)arg;
    EXPECT_IS(whorl_rwlock_acquire_read(&lock), 0);
    EXPECT_IS(whorl_rwlock_try_acquire_read(&lock), 0);
    EXPECT_IS(whorl_rwlock_acquire_read_until(&lock, 0), 0);
    EXPECT_IS(whorl_rwlock_try_acquire_write(&lock), -EAGAIN);
    EXPECT_IS(whorl_rwlock_acquire_write_until(&lock, whorl_after(WHORL_MILLISECOND)),
              -ETIMEDOUT);
    EXPECT_IS(whorl_rwlock_release_write(&lock), -EPERM);
    EXPECT_IS(whorl_rwlock_destroy(&lock), -EBUSY);
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(whorl_rwlock_release_read(&lock), 0);
    }
    EXPECT_IS(whorl_rwlock_release_read(&lock), -EPERM);
    EXPECT_IS(whorl_rwlock_acquire_write(&lock), 0);
    EXPECT_IS(whorl_rwlock_try_acquire_read(&lock), -EAGAIN);
    EXPECT_IS(whorl_rwlock_acquire_read_until(&lock, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    EXPECT_IS(whorl_rwlock_release_read(&lock), -EPERM);
    EXPECT_IS(whorl_rwlock_release_write(&lock), 0);
    EXPECT_IS(whorl_rwlock_destroy(&lock), 0);
    EXPECT_IS(whorl_rwlock_acquire_read(&lock), -EINVAL);
    EXPECT_IS(whorl_rwlock_try_acquire_write(&lock), -EINVAL);
    EXPECT_IS(whorl_rwlock_release_read(&lock), -EINVAL);
    return 0;
}

static void test_readers_are_many_and_a_writer_is_alone(void **state)
{
    (void)state;
    at_all_loops(read_together);
    at_no_loop(read_together);
}

/* In line: a reader, a reader, a writer, a reader, a reader. */
static int go_in_order(void *arg)
{
    struct whorl_rwlock lock = WHORL_RWLOCK_INIT;
    struct whorl_future *const gate = new_future();
    struct user users[5] = {{.gate = gate}, {.gate = gate}, {.writes = true}, {0}, {0}};
    (void)arg;
    forget_events();
    EXPECT_IS(whorl_rwlock_acquire_write(&lock), 0);
    line_up(&lock, users, 5);
    EXPECT_IS(whorl_rwlock_release_write(&lock), 0);
    EXPECT_IS(whorl_rwlock_try_acquire_read(&lock), -EAGAIN); /* a writer stands there */
    settle();
    EXPECT(users[0].got == 0 && users[1].got == 0);
    for (int i = 2; i < 5; i++) {
        EXPECT_IS(users[i].got, UNSET);
    }
    must(whorl_future_set_result(gate, NULL));
    end_all(users, 5);
    EXPECT_IS(users[2].place, 3);
    EXPECT(users[3].place > 3 && users[4].place > 3);
    whorl_future_unref(gate);
    EXPECT_IS(whorl_rwlock_destroy(&lock), 0);
    return 0;
}

static void test_they_go_in_the_order_of_arrival_readers_together(void **state)
{
    (void)state;
    at_all_loops(go_in_order);
}

/* A writer in line goes; the readers behind him need not wait any more. */
static int cancel_a_writer(void *arg)
{
    struct whorl_rwlock lock = WHORL_RWLOCK_INIT;
    struct user users[3] = {{.writes = true}, {0}, {0}};
    (void)arg;
    EXPECT_IS(whorl_rwlock_acquire_read(&lock), 0);
    line_up(&lock, users, 3);
    EXPECT_IS(users[1].got, UNSET);
    EXPECT(whorl_cancel(users[0].task, NULL));
    settle();
    EXPECT_IS(users[0].got, -ECANCELED);
    EXPECT(users[1].got == 0 && users[2].got == 0);
    EXPECT_IS(whorl_rwlock_release_read(&lock), 0);
    end_all(users, 3);
    EXPECT_IS(whorl_rwlock_destroy(&lock), 0);
    return 0;
}

/* Granted, and cancelled before it runs: what it had goes to the next. */
static int cancel_the_chosen(void *arg)
{
    struct whorl_rwlock lock = WHORL_RWLOCK_INIT;
    struct user users[3] = {{.writes = true}, {0}, {.writes = true}};
    (void)arg;
    EXPECT_IS(whorl_rwlock_acquire_write(&lock), 0);
    line_up(&lock, users, 3);
    EXPECT_IS(whorl_rwlock_release_write(&lock), 0);
    (void)whorl_cancel(users[0].task, NULL);
    end_all(users, 3);
    EXPECT(users[1].got == 0 && users[2].got == 0);
    EXPECT_IS(whorl_rwlock_destroy(&lock), 0);
    return 0;
}

static void test_who_is_cancelled_keeps_nobody_out(void **state)
{
    (void)state;
    at_all_loops(cancel_a_writer);
    at_all_loops(cancel_the_chosen);
}

enum { ROUNDS = 400, USERS = 5 };

struct table {
    struct whorl_rwlock lock;
    int left;  /* plain: written together */
    int right;
    uint32_t users; /* A: draws which is which */
};

static int read_and_write(void *arg)
{
    struct table *const table = arg;
    const uint32_t number = whorl__add_u32(&table->users, 1);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if ((i + number) % 4 == 0) {
            EXPECT_IS(whorl_rwlock_acquire_write(&table->lock), 0);
            table->left++;
            if (i % 16 == 0 && whorl_loop_current() >= 0) {
                must(whorl_yield());
            }
            table->right++;
            EXPECT_IS(whorl_rwlock_release_write(&table->lock), 0);
        } else {
            EXPECT_IS(whorl_rwlock_acquire_read(&table->lock), 0);
            EXPECT_IS(table->left, table->right);
            EXPECT_IS(whorl_rwlock_release_read(&table->lock), 0);
        }
    }
    return 0;
}

static int share_a_table(void *arg)
{
    struct table table = {.lock = WHORL_RWLOCK_INIT};
    struct whorl_task *tasks[USERS - 1];
    struct beside thread;
    (void)arg;
    beside_start(&thread, read_and_write, &table);
    for (int i = 0; i < USERS - 1; i++) {
        tasks[i] = start(read_and_write, &table);
    }
    for (int i = 0; i < USERS - 1; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&thread), 0);
    EXPECT_IS(table.left, USERS * ROUNDS / 4);
    EXPECT_IS(whorl_rwlock_destroy(&table.lock), 0);
    return 0;
}

static void test_no_reader_sees_a_half_of_what_is_written(void **state)
{
    (void)state;
    at_all_loops(share_a_table);
}

/* ---- once ---- */

struct work {
    struct whorl_once once;
    struct whorl_future *gate; /* the body waits for it */
    int fails;                 /* so often first; by the body, which is alone */
    int began;
    int value;                 /* plain: written by the body */
    uint32_t right;            /* A: who came back with 0 and saw it */
};

static int do_it(void *arg)
{
    struct work *const work = arg;
    work->began++;
    if (work->gate != NULL) {
        const int error = whorl_future_await(work->gate, NULL);
        if (error != 0) {
            return error;
        }
    }
    if (work->fails > 0) {
        work->fails--;
        return -EIO;
    }
    work->value = 5;
    return 0;
}

static int run_once(void *arg)
{
    struct work *const work = arg;
    const int error = whorl_once_run(&work->once, do_it, work);
    if (error == 0 && work->value == 5) {
        (void)whorl__add_u32(&work->right, 1);
    }
    return error;
}

static int many_run_once(void *arg)
{
    struct work work = {.once = WHORL_ONCE_INIT, .gate = new_future()};
    struct whorl_task *tasks[4];
    struct beside thread;
    (void)arg;
    EXPECT(!whorl_once_done(&work.once));
    tasks[0] = start(run_once, &work);
    settle();
    beside_start(&thread, run_once, &work);
    for (int i = 1; i < 4; i++) {
        tasks[i] = start(run_once, &work);
    }
    settle();
    EXPECT_IS(whorl_once_destroy(&work.once), -EBUSY);
    must(whorl_future_set_result(work.gate, NULL));
    for (int i = 0; i < 4; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    EXPECT_IS(beside_finish(&thread), 0);
    EXPECT_IS(work.right, 5);
    EXPECT_IS(work.began, 1);
    EXPECT(whorl_once_done(&work.once));
    EXPECT_IS(run_once(&work), 0);
    EXPECT_IS(work.began, 1);
    EXPECT_IS(whorl_once_destroy(&work.once), 0);
    EXPECT_IS(whorl_once_run(&work.once, do_it, &work), -EINVAL);
    whorl_future_unref(work.gate);
    return 0;
}

static void test_once_is_once_and_all_see_it(void **state)
{
    (void)state;
    at_all_loops(many_run_once);
}

/* The first fails, one in line is cancelled, the one behind him does it. */
static int fail_then_work(void *arg)
{
    struct work work = {.once = WHORL_ONCE_INIT, .gate = new_future(), .fails = 1};
    struct whorl_task *tasks[3];
    (void)arg;
    for (int i = 0; i < 3; i++) {
        tasks[i] = start(run_once, &work);
        settle();
    }
    EXPECT(whorl_cancel(tasks[1], NULL));
    EXPECT_IS(finish(tasks[1]), -ECANCELED);
    must(whorl_future_set_result(work.gate, NULL));
    EXPECT_IS(finish(tasks[0]), -EIO);
    EXPECT_IS(finish(tasks[2]), 0);
    EXPECT_IS(work.began, 2);
    whorl_future_unref(work.gate);
    return 0;
}

/* Who does it is cancelled in it: the next one begins anew. */
static int cancel_who_does_it(void *arg)
{
    struct work work = {.once = WHORL_ONCE_INIT, .gate = new_future()};
    struct whorl_task *tasks[2];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        tasks[i] = start(run_once, &work);
        settle();
    }
    struct whorl_future *const first_gate = work.gate;
    work.gate = NULL;
    EXPECT(whorl_cancel(tasks[0], NULL)); /* and with it the future that it awaits */
    EXPECT_IS(finish(tasks[0]), -ECANCELED);
    EXPECT_IS(finish(tasks[1]), 0);
    EXPECT(whorl_once_done(&work.once));
    whorl_future_unref(first_gate);
    return 0;
}

static void test_what_failed_is_tried_by_the_next(void **state)
{
    (void)state;
    at_all_loops(fail_then_work);
    at_all_loops(cancel_who_does_it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_are_many_and_a_writer_is_alone),
        cmocka_unit_test(test_they_go_in_the_order_of_arrival_readers_together),
        cmocka_unit_test(test_who_is_cancelled_keeps_nobody_out),
        cmocka_unit_test(test_no_reader_sees_a_half_of_what_is_written),
        cmocka_unit_test(test_once_is_once_and_all_see_it),
        cmocka_unit_test(test_what_failed_is_tried_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
