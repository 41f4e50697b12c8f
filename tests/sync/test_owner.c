/*
 * Locks that know their owner: who has it, from everywhere; who is named when one is destroyed;
 * what debug mode shows of them; and variables that release what they hold.
 */
#include "sync/program_sync.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- reports ---- */

static char told[512];
static int told_error;
static int times;

static int keep_report(void *arg, const struct whorl_report *report)
{
    (void)arg;
    snprintf(told, sizeof told, "%s", report->message);
    told_error = report->error;
    times++;
    return 0;
}

static void listen_now(void)
{
    told[0] = '\0';
    times = 0;
    must(whorl_exception_handler_set(keep_report, NULL));
}

/* ---- who has it ---- */

struct holder {
    struct whorl_lock *lock;
    struct whorl_future *gate;
};

static int hold(void *arg)
{
    const struct holder *const holder = arg;
    must(whorl_lock_acquire(holder->lock));
    EXPECT_IS(whorl_future_await(holder->gate, NULL), 0);
    EXPECT_IS(whorl_lock_release(holder->lock), 0);
    return 0;
}

static void expect_owner(struct whorl_lock *lock, struct whorl_task *wanted)
{
    struct whorl_task *const owner = whorl_lock_owner(lock);
    EXPECT(owner == wanted);
    whorl_task_unref(owner);
}

static struct whorl_lock *shared;
static struct whorl_task *shared_owner;

static int look_from_a_thread(void *arg)
{
    (void)arg;
    expect_owner(shared, shared_owner);
    return 0;
}

static int own(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    struct holder holder = {.lock = &lock, .gate = new_future()};
    struct beside thread;
    (void)arg;
    expect_owner(NULL, NULL);
    expect_owner(&lock, NULL);
    must(whorl_lock_acquire(&lock));
    expect_owner(&lock, whorl_task_current());
    EXPECT_IS(whorl_lock_release(&lock), 0);
    expect_owner(&lock, NULL);
    struct whorl_task *const task = start(hold, &holder);
    settle();
    expect_owner(&lock, task);
    shared = &lock;
    shared_owner = task;
    beside_start(&thread, look_from_a_thread, NULL);
    EXPECT_IS(beside_finish(&thread), 0);
    must(whorl_future_set_result(holder.gate, NULL));
    EXPECT_IS(finish(task), 0);
    expect_owner(&lock, NULL);
    EXPECT_IS(whorl_lock_destroy(&lock), 0);
    whorl_future_unref(holder.gate);
    return 0;
}

static void test_an_owned_lock_tells_which_task_has_it(void **state)
{
    (void)state;
    at_all_loops(own);
}

static int own_nothing(void *arg)
{
    struct whorl_lock plain = WHORL_LOCK_INIT;
    struct whorl_lock owned = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    (void)arg;
    must(whorl_lock_acquire(&plain));
    expect_owner(&plain, NULL); /* it does not know */
    must(whorl_lock_acquire(&owned));
    expect_owner(&owned, NULL); /* a thread has it */
    EXPECT_IS(whorl_lock_acquire(&owned), -EDEADLK);
    EXPECT_IS(whorl_lock_release(&owned), 0);
    EXPECT_IS(whorl_lock_release(&plain), 0);
    return 0;
}

static void test_a_lock_without_owner_and_one_of_a_thread_have_no_task(void **state)
{
    (void)state;
    at_no_loop(own_nothing);
}

static int keep(void *arg)
{
    must(whorl_lock_acquire(arg));
    return 0;
}

static int wait_for_the_dead(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    (void)arg;
    EXPECT_IS(finish(start(keep, &lock)), 0);
    expect_owner(&lock, NULL);
    EXPECT(whorl_lock_locked(&lock));
    EXPECT_IS(whorl_lock_release(&lock), -EPERM);
    EXPECT_IS(whorl_lock_acquire_until(&lock, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static void test_a_lock_of_a_task_that_has_ended_is_nobodys_and_stays_held(void **state)
{
    (void)state;
    at_all_loops(wait_for_the_dead);
}

static int select_it(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    struct whorl_select_case cases[] = {WHORL_CASE_LOCK(&lock)};
    (void)arg;
    EXPECT_IS(whorl_select(cases, 1), 0);
    expect_owner(&lock, whorl_task_current());
    EXPECT_IS(whorl_lock_release(&lock), 0);
    return 0;
}

static void test_who_selects_a_lock_owns_it(void **state)
{
    (void)state;
    at_all_loops(select_it);
}

/* ---- destroyed while somebody has it ---- */

static int destroy_held(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    struct holder holder = {.lock = &lock, .gate = new_future()};
    (void)arg;
    listen_now();
    struct whorl_task *const task = start(hold, &holder);
    whorl_task_set_name(task, "possessive");
    settle();
    EXPECT_IS(whorl_lock_destroy(&lock), -EBUSY);
    EXPECT_IS(times, 1);
    EXPECT_IS(told_error, -EBUSY);
    EXPECT(strstr(told, "owner") != NULL && strstr(told, "\"possessive\"") != NULL);
    must(whorl_future_set_result(holder.gate, NULL));
    EXPECT_IS(finish(task), 0);
    EXPECT_IS(whorl_lock_destroy(&lock), 0);
    EXPECT_IS(times, 1);
    whorl_future_unref(holder.gate);
    return 0;
}

static void test_who_has_a_lock_that_is_destroyed_is_named(void **state)
{
    (void)state;
    at_all_loops(destroy_held);
}

/* ---- debug mode ---- */

enum { LOCKS = 6 };

static struct whorl_lock many[LOCKS];

static void make_many(void)
{
    for (int i = 0; i < LOCKS; i++) {
        must(whorl_lock_init(&many[i], WHORL_LOCK_OWNED));
    }
}

static void put_address(char *text, size_t bytes, const void *address)
{
    snprintf(text, bytes, "0x%llx", (unsigned long long)(uintptr_t)address);
}

static int take_all(void *arg)
{
    const int *const kept = arg;
    for (int i = 0; i < LOCKS; i++) {
        must(whorl_lock_acquire(&many[i]));
    }
    for (int i = LOCKS - 1; i >= *kept; i--) {
        EXPECT_IS(whorl_lock_release(&many[i]), 0);
    }
    return 0;
}

/* Its number, and as many of them as are told. */
static void expect_told(int kept)
{
    char word[32];
    EXPECT_IS(times, kept > 0);
    if (kept == 0) {
        return;
    }
    EXPECT_IS(told_error, -EDEADLK);
    snprintf(word, sizeof word, ": %d", kept);
    EXPECT(strstr(told, "owns locks") != NULL && strstr(told, word) != NULL);
    for (int i = 0; i < kept && i < 4; i++) {
        put_address(word, sizeof word, &many[i]);
        EXPECT(strstr(told, word) != NULL);
    }
}

static int end_with_locks(void *arg)
{
    (void)arg;
    must(whorl_debug_set(1));
    for (int kept = 0; kept <= LOCKS; kept++) {
        make_many();
        listen_now();
        EXPECT_IS(finish(start(take_all, &kept)), 0);
        expect_told(kept);
    }
    must(whorl_debug_set(0));
    make_many();
    listen_now();
    EXPECT_IS(finish(start(take_all, &(int){1})), 0);
    EXPECT_IS(times, 0); /* nobody has asked */
    return 0;
}

static void test_a_task_that_ends_with_locks_is_told_of_in_debug_mode(void **state)
{
    (void)state;
    at_all_loops(end_with_locks);
}

static void dump(char *text, size_t bytes)
{
    const int fd = memfd_create("dump", 0);
    must(whorl_dump(fd));
    const ssize_t got = pread(fd, text, bytes - 1, 0);
    EXPECT(got > 0);
    text[got > 0 ? got : 0] = '\0';
    close(fd);
}

static int show_owner(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
    struct holder holder = {.lock = &lock, .gate = new_future()};
    char text[16384];
    char address[32];
    char words[64];
    (void)arg;
    must(whorl_debug_set(1));
    struct whorl_task *const owner = start(hold, &holder);
    settle();
    struct whorl_task *const next = start(hold, &holder);
    settle();
    dump(text, sizeof text);
    put_address(address, sizeof address, &lock);
    snprintf(words, sizeof words, " owns=%s ", address);
    EXPECT(strstr(text, words) != NULL);
    snprintf(words, sizeof words, "waits=lock on=%s ", address);
    EXPECT(strstr(text, words) != NULL);
    must(whorl_future_set_result(holder.gate, NULL));
    EXPECT_IS(finish(owner), 0);
    EXPECT_IS(finish(next), 0);
    dump(text, sizeof text);
    EXPECT(strstr(text, "owns=") == NULL);
    must(whorl_debug_set(0));
    whorl_future_unref(holder.gate);
    return 0;
}

static void test_in_debug_mode_a_dump_shows_who_owns_what_another_waits_for(void **state)
{
    (void)state;
    at_all_loops(show_owner);
}

/* ---- left by a variable ---- */

static struct whorl_lock door = WHORL_LOCK_INIT;
static struct whorl_semaphore seats = WHORL_SEMAPHORE_INIT(1);
static struct whorl_rwlock book = WHORL_RWLOCK_INIT;

/* Returns in the middle, with so many of them held. */
static int hold_some(int some)
{
    WHORL_ON_LEAVE(whorl_lock_leave) struct whorl_lock *lock = NULL;
    WHORL_ON_LEAVE(whorl_semaphore_leave) struct whorl_semaphore *seat = NULL;
    WHORL_ON_LEAVE(whorl_rwlock_leave_read) struct whorl_rwlock *reads = NULL;
    WHORL_ON_LEAVE(whorl_rwlock_leave_write) struct whorl_rwlock *writes = NULL;
    if (some == 0) {
        return 0;
    }
    must(whorl_lock_acquire(&door));
    lock = &door;
    if (some == 1) {
        return 1;
    }
    must(whorl_semaphore_acquire(&seats));
    seat = &seats;
    must(some == 2 ? whorl_rwlock_acquire_read(&book) : whorl_rwlock_acquire_write(&book));
    *(some == 2 ? &reads : &writes) = &book;
    EXPECT(whorl_lock_locked(&door));
    return some;
}

static int leave(void *arg)
{
    (void)arg;
    for (int some = 0; some <= 3; some++) {
        EXPECT_IS(hold_some(some), some);
        EXPECT(!whorl_lock_locked(&door));
        EXPECT_IS(whorl_semaphore_value(&seats), 1);
        EXPECT_IS(whorl_rwlock_try_acquire_write(&book), 0);
        EXPECT_IS(whorl_rwlock_release_write(&book), 0);
    }
    whorl_lock_leave(NULL);
    whorl_semaphore_leave(NULL);
    whorl_rwlock_leave_read(NULL);
    whorl_rwlock_leave_write(NULL);
    return 0;
}

static void test_a_variable_releases_what_it_holds_where_the_function_returns(void **state)
{
    (void)state;
    at_all_loops(leave);
    at_no_loop(leave);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_owned_lock_tells_which_task_has_it),
        cmocka_unit_test(test_a_lock_without_owner_and_one_of_a_thread_have_no_task),
        cmocka_unit_test(test_a_lock_of_a_task_that_has_ended_is_nobodys_and_stays_held),
        cmocka_unit_test(test_who_selects_a_lock_owns_it),
        cmocka_unit_test(test_who_has_a_lock_that_is_destroyed_is_named),
        cmocka_unit_test(test_a_task_that_ends_with_locks_is_told_of_in_debug_mode),
        cmocka_unit_test(test_in_debug_mode_a_dump_shows_who_owns_what_another_waits_for),
        cmocka_unit_test(test_a_variable_releases_what_it_holds_where_the_function_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
