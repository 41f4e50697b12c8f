/*
 * Each call of this folder that waits, by one table: with every kind of deadline, without memory
 * for its timer, cancelled, in a callback, in a generator, in a plain thread before and after a
 * runtime. Whatever ends it, nobody is left in line, and nothing was taken.
 *
 * And what needs no wait: by static ones of each kind, with no memory to be had; and what was
 * destroyed, in every call.
 */
#include "support/faults.h"
#include "sync/program_sync.h"

#include <errno.h>
#include <limits.h>

/* Of each one that has to be waited for. */
struct tools {
    struct whorl_lock lock; /* held */
    struct whorl_semaphore semaphore;
    struct whorl_event event;
    struct whorl_condition condition;
    struct whorl_barrier barrier; /* for two */
    struct whorl_queue empty;
    struct whorl_queue full; /* with an item that is not done */
    struct whorl_rwlock written;
};

static void open_tools(struct tools *tools)
{
    *tools = (struct tools){.lock = WHORL_LOCK_INIT,
                            .semaphore = WHORL_SEMAPHORE_INIT(0),
                            .event = WHORL_EVENT_INIT,
                            .condition = WHORL_CONDITION_INIT,
                            .barrier = WHORL_BARRIER_INIT(2),
                            .empty = WHORL_QUEUE_INIT(1),
                            .full = WHORL_QUEUE_INIT(1),
                            .written = WHORL_RWLOCK_INIT};
    must(whorl_lock_acquire(&tools->lock));
    must(whorl_queue_try_put(&tools->full, NULL));
    must(whorl_rwlock_acquire_write(&tools->written));
}

/* Nobody is in line, and everything is as it was. */
static void close_tools(struct tools *tools)
{
    EXPECT_IS(whorl_lock_release(&tools->lock), 0);
    EXPECT_IS(whorl_rwlock_release_write(&tools->written), 0);
    EXPECT_IS((long)whorl_queue_size(&tools->full), 1);
    EXPECT(whorl_queue_empty(&tools->empty));
    EXPECT_IS(whorl_semaphore_value(&tools->semaphore), 0);
    EXPECT(!whorl_lock_locked(whorl_condition_lock(&tools->condition)));
    EXPECT_IS(whorl_lock_destroy(&tools->lock), 0);
    EXPECT_IS(whorl_semaphore_destroy(&tools->semaphore), 0);
    EXPECT_IS(whorl_event_destroy(&tools->event), 0);
    EXPECT_IS(whorl_condition_destroy(&tools->condition), 0);
    EXPECT_IS(whorl_barrier_destroy(&tools->barrier), 0);
    EXPECT_IS(whorl_queue_destroy(&tools->empty), 0);
    EXPECT_IS(whorl_queue_destroy(&tools->full), 0);
    EXPECT_IS(whorl_rwlock_destroy(&tools->written), 0);
}

/* ---- the ways to wait ---- */

static int acquire(struct tools *tools, int64_t deadline_ns)
{
    return whorl_lock_acquire_until(&tools->lock, deadline_ns);
}

static int take_unit(struct tools *tools, int64_t deadline_ns)
{
    return whorl_semaphore_acquire_until(&tools->semaphore, deadline_ns);
}

static int wait_for_event(struct tools *tools, int64_t deadline_ns)
{
    return whorl_event_wait_until(&tools->event, deadline_ns);
}

/* The lock is held again, whatever a wait returns. */
static int wait_for_change(struct tools *tools, int64_t deadline_ns)
{
    struct whorl_lock *const lock = whorl_condition_lock(&tools->condition);
    must(whorl_lock_acquire(lock));
    const int error = whorl_condition_wait_until(&tools->condition, deadline_ns);
    EXPECT_IS(whorl_lock_release(lock), 0);
    return error;
}

static int never(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_for_never(struct tools *tools, int64_t deadline_ns)
{
    struct whorl_lock *const lock = whorl_condition_lock(&tools->condition);
    must(whorl_lock_acquire(lock));
    const int error = whorl_condition_wait_for(&tools->condition, never, NULL, deadline_ns);
    EXPECT_IS(whorl_lock_release(lock), 0);
    return error;
}

static int meet(struct tools *tools, int64_t deadline_ns)
{
    const int error = whorl_barrier_wait_until(&tools->barrier, deadline_ns, NULL);
    EXPECT_IS(whorl_barrier_n_waiting(&tools->barrier), 0);
    return error;
}

static int get(struct tools *tools, int64_t deadline_ns)
{
    void *item;
    return whorl_queue_get_until(&tools->empty, deadline_ns, &item);
}

static int put(struct tools *tools, int64_t deadline_ns)
{
    return whorl_queue_put_until(&tools->full, NULL, deadline_ns);
}

static int join(struct tools *tools, int64_t deadline_ns)
{
    return whorl_queue_join_until(&tools->full, deadline_ns);
}

static int read_it(struct tools *tools, int64_t deadline_ns)
{
    return whorl_rwlock_acquire_read_until(&tools->written, deadline_ns);
}

static int write_it(struct tools *tools, int64_t deadline_ns)
{
    return whorl_rwlock_acquire_write_until(&tools->written, deadline_ns);
}

static int choose(struct tools *tools, int64_t deadline_ns)
{
    struct whorl_select_case cases[] = {
        WHORL_CASE_GET(&tools->empty),   WHORL_CASE_PUT(&tools->full, NULL),
        WHORL_CASE_LOCK(&tools->lock),   WHORL_CASE_SEMAPHORE(&tools->semaphore),
        WHORL_CASE_EVENT(&tools->event), WHORL_CASE_TIME(WHORL_NEVER)};
    return whorl_select_until(cases, 6, deadline_ns);
}

typedef int way(struct tools *tools, int64_t deadline_ns);

static way *const ways[] = {acquire, take_unit, wait_for_event, wait_for_change, wait_for_never,
                            meet,    get,       put,            join,            read_it,
                            write_it, choose};

enum { WAYS = sizeof ways / sizeof *ways };

static int try_way(int number, int64_t deadline_ns)
{
    struct tools tools;
    open_tools(&tools);
    const int error = ways[number](&tools, deadline_ns);
    close_tools(&tools);
    return error;
}

/* ---- deadlines ---- */

static int run_out_of_time(void *arg)
{
    static const int64_t past_ns[] = {0, 1, -1, INT64_MIN, INT64_MIN + 1};
    (void)arg;
    for (int i = 0; i < WAYS; i++) {
        for (size_t j = 0; j < sizeof past_ns / sizeof *past_ns; j++) {
            EXPECT_IS(try_way(i, past_ns[j]), -ETIMEDOUT);
        }
        EXPECT_IS(try_way(i, whorl_now()), -ETIMEDOUT);
        const int64_t soon_ns = whorl_after(WHORL_MILLISECOND);
        EXPECT_IS(try_way(i, soon_ns), -ETIMEDOUT);
        EXPECT(whorl_now() >= soon_ns);
    }
    return 0;
}

static void test_each_wait_ends_at_its_deadline_also_one_that_has_passed(void **state)
{
    (void)state;
    at_no_loop(run_out_of_time); /* before any runtime, and after some */
    at_all_loops(run_out_of_time);
    at_no_loop(run_out_of_time);
}

/* ---- cancelled, under a deadline that never comes ---- */

struct waiting {
    int way;
    int64_t deadline_ns;
    int got;
};

static int wait_in_task(void *arg)
{
    struct waiting *const waiting = arg;
    waiting->got = try_way(waiting->way, waiting->deadline_ns);
    return 0;
}

static int cancel_each(void *arg)
{
    static const int64_t far_ns[] = {WHORL_NEVER, WHORL_NEVER - 1, INT64_MAX / 2};
    (void)arg;
    for (int i = 0; i < WAYS; i++) {
        for (size_t j = 0; j < sizeof far_ns / sizeof *far_ns; j++) {
            struct waiting waiting = {.way = i, .deadline_ns = far_ns[j], .got = UNSET};
            struct whorl_task *const task = start(wait_in_task, &waiting);
            settle();
            EXPECT_IS(waiting.got, UNSET);
            EXPECT(whorl_cancel(task, NULL));
            (void)finish(task);
            EXPECT_IS(waiting.got, -ECANCELED);
        }
    }
    return 0;
}

static void test_each_wait_is_cancelled_also_with_a_deadline_that_never_comes(void **state)
{
    (void)state;
    at_all_loops(cancel_each);
}

/* ---- no memory for the timer ---- */

static int wait_without_memory(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAYS; i++) {
        faults_order(&(struct faults_order){.entry = FAULTS_alloc,
                                            .phase = FAULTS_ANY_PHASE,
                                            .error = -ENOMEM,
                                            .first = 1,
                                            .count = UINT32_MAX});
        const int error = try_way(i, whorl_after(WHORL_MILLISECOND));
        EXPECT((long)faults_hits() > 0);
        faults_order(NULL);
        EXPECT_IS(error, -ENOMEM);
    }
    EXPECT_IS(try_way(0, whorl_after(WHORL_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static void test_each_wait_without_memory_for_its_timer_is_enomem(void **state)
{
    (void)state;
    faults_install();
    at_one_loop(wait_without_memory);
    faults_remove();
}

/* ---- in a callback ---- */

struct called {
    int got[WAYS];
    struct whorl_future *done;
};

static void in_a_callback(void *arg)
{
    struct called *const called = arg;
    for (int i = 0; i < WAYS; i++) {
        called->got[i] = try_way(i, i % 2 == 0 ? WHORL_NEVER : whorl_after(WHORL_SECOND));
    }
    must(whorl_future_set_result(called->done, NULL));
}

static int wait_in_a_callback(void *arg)
{
    struct called called = {.done = new_future()};
    (void)arg;
    must(whorl_call_soon(in_a_callback, &called, NULL, NULL));
    EXPECT_IS(whorl_future_await(called.done, NULL), 0);
    for (int i = 0; i < WAYS; i++) {
        EXPECT_IS(called.got[i], -EPERM);
    }
    whorl_future_unref(called.done);
    return 0;
}

static void test_each_wait_is_refused_in_a_callback(void **state)
{
    (void)state;
    at_all_loops(wait_in_a_callback);
}

/* ---- in a generator: the task that asks it waits ---- */

static int try_each_and_yield(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAYS; i++) {
        int got = try_way(i, whorl_after(WHORL_MILLISECOND));
        const int error = whorl_generator_yield(&got, NULL);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int wait_in_a_generator(void *arg)
{
    struct whorl_generator *generator = NULL;
    void *got;
    (void)arg;
    must(whorl_generator_new(try_each_and_yield, NULL, NULL, &generator));
    for (int i = 0; i < WAYS; i++) {
        EXPECT_IS(whorl_generator_next(generator, &got), 0);
        EXPECT_IS(*(const int *)got, -ETIMEDOUT);
    }
    EXPECT_IS(whorl_generator_next(generator, &got), -ENODATA);
    whorl_generator_unref(generator);
    return 0;
}

static void test_each_wait_waits_in_a_generator(void **state)
{
    (void)state;
    at_all_loops(wait_in_a_generator);
}

/* ---- one set of them, in one runtime after the other ---- */

static struct whorl_queue lasting = WHORL_QUEUE_INIT(0);
static struct whorl_lock last_lock = WHORL_LOCK_INIT;
static struct whorl_event last_event = WHORL_EVENT_INIT;

static int put_and_hold(void *arg)
{
    (void)arg;
    must(whorl_lock_acquire(&last_lock));
    must(whorl_event_set(&last_event));
    return whorl_queue_put(&lasting, &lasting);
}

static int get_and_release(void *arg)
{
    void *item = NULL;
    (void)arg;
    EXPECT_IS(whorl_event_wait(&last_event), 0);
    EXPECT_IS(whorl_event_clear(&last_event), 0);
    EXPECT_IS(whorl_lock_try_acquire(&last_lock), -EAGAIN);
    EXPECT_IS(whorl_lock_release(&last_lock), 0); /* it has no owner */
    EXPECT_IS(whorl_queue_get(&lasting, &item), 0);
    EXPECT(item == &lasting);
    EXPECT_IS(whorl_queue_task_done(&lasting), 0);
    return whorl_queue_join(&lasting);
}

static void test_what_one_runtime_leaves_the_next_one_and_a_thread_find(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops++) {
        at_loops(loops, put_and_hold);
        at_no_loop(get_and_release);
        at_no_loop(put_and_hold);
        at_loops(loops, get_and_release);
    }
}

/* ---- without a wait: static, and with no memory to be had ---- */

static int compare_addresses(const void *a, const void *b)
{
    return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

static struct whorl_lock static_lock = WHORL_LOCK_INIT;
static struct whorl_lock static_unfair = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_UNFAIR);
static struct whorl_lock static_owned = WHORL_LOCK_INIT_FLAGS(WHORL_LOCK_OWNED);
static struct whorl_semaphore static_semaphore = WHORL_SEMAPHORE_INIT(2);
static struct whorl_semaphore static_bounded =
    WHORL_SEMAPHORE_INIT_FLAGS(1, WHORL_SEMAPHORE_BOUNDED);
static struct whorl_event static_event = WHORL_EVENT_INIT;
static struct whorl_condition static_condition = WHORL_CONDITION_INIT;
static struct whorl_condition static_sharer = WHORL_CONDITION_INIT_LOCK(&static_lock);
static struct whorl_barrier static_barrier = WHORL_BARRIER_INIT(1);
static struct whorl_queue static_fifo = WHORL_QUEUE_INIT(2);
static struct whorl_queue static_lifo = WHORL_QUEUE_INIT_LIFO(0);
static struct whorl_queue static_heap = WHORL_QUEUE_INIT_PRIORITY(8, compare_addresses);
static struct whorl_rwlock static_rwlock = WHORL_RWLOCK_INIT;
static struct whorl_once static_once = WHORL_ONCE_INIT;
static struct whorl_strand static_strand = WHORL_STRAND_INIT;
static int times_done;

static void use_locks(void)
{
    struct whorl_lock *const locks[] = {&static_lock, &static_unfair, &static_owned};
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(whorl_lock_acquire(locks[i]), 0);
        EXPECT(whorl_lock_locked(locks[i]));
        EXPECT_IS(whorl_lock_release(locks[i]), 0);
        EXPECT_IS(whorl_lock_try_acquire(locks[i]), 0);
        EXPECT_IS(whorl_lock_release(locks[i]), 0);
    }
    EXPECT_IS(whorl_rwlock_acquire_read(&static_rwlock), 0);
    EXPECT_IS(whorl_rwlock_try_acquire_read(&static_rwlock), 0);
    EXPECT_IS(whorl_rwlock_release_read(&static_rwlock), 0);
    EXPECT_IS(whorl_rwlock_release_read(&static_rwlock), 0);
    EXPECT_IS(whorl_rwlock_acquire_write(&static_rwlock), 0);
    EXPECT_IS(whorl_rwlock_release_write(&static_rwlock), 0);
}

static void use_units(void)
{
    EXPECT_IS(whorl_semaphore_acquire(&static_semaphore), 0);
    EXPECT_IS(whorl_semaphore_try_acquire(&static_semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&static_semaphore), 0);
    EXPECT_IS(whorl_semaphore_release(&static_semaphore), 0);
    EXPECT_IS(whorl_semaphore_value(&static_semaphore), 2);
    EXPECT_IS(whorl_semaphore_release(&static_bounded), -EOVERFLOW);
}

static int is_so(void *arg)
{
    (void)arg;
    return 1;
}

static void use_news(void)
{
    struct whorl_condition *const conditions[] = {&static_condition, &static_sharer};
    unsigned index = UINT_MAX;
    for (int i = 0; i < 2; i++) {
        struct whorl_lock *const lock = whorl_condition_lock(conditions[i]);
        EXPECT_IS(whorl_lock_acquire(lock), 0);
        EXPECT_IS(whorl_condition_notify(conditions[i], 1), 0);
        EXPECT_IS(whorl_condition_wait_for(conditions[i], is_so, NULL, WHORL_NEVER), 1);
        EXPECT_IS(whorl_lock_release(lock), 0);
    }
    EXPECT(whorl_condition_lock(&static_sharer) == &static_lock);
    EXPECT_IS(whorl_event_set(&static_event), 0);
    EXPECT_IS(whorl_event_wait(&static_event), 0);
    EXPECT_IS(whorl_event_clear(&static_event), 0);
    EXPECT_IS(whorl_barrier_wait(&static_barrier, &index), 0);
    EXPECT_IS(index, 0);
}

/* Which of two items each kind gives first. */
static void use_items(void)
{
    static char items[2];
    const struct {
        struct whorl_queue *queue;
        int first_put, first_got;
    } uses[] = {{&static_fifo, 1, 1}, {&static_lifo, 1, 0}, {&static_heap, 1, 0}};
    for (int i = 0; i < 3; i++) {
        struct whorl_select_case cases[] = {WHORL_CASE_GET(uses[i].queue)};
        void *item = NULL;
        EXPECT_IS(whorl_queue_put(uses[i].queue, &items[uses[i].first_put]), 0);
        EXPECT_IS(whorl_queue_try_put(uses[i].queue, &items[1 - uses[i].first_put]), 0);
        EXPECT_IS(whorl_queue_get(uses[i].queue, &item), 0);
        EXPECT(item == &items[uses[i].first_got]);
        EXPECT_IS(whorl_select(cases, 1), 0);
        EXPECT_IS(cases[0].error, 0);
        EXPECT_IS(whorl_queue_task_done(uses[i].queue), 0);
        EXPECT_IS(whorl_queue_task_done(uses[i].queue), 0);
        EXPECT_IS(whorl_queue_join(uses[i].queue), 0);
    }
}

static int do_it(void *arg)
{
    (void)arg;
    times_done++;
    return 0;
}

/* Success is the proof: a call that needed memory would be -ENOMEM. */
static int use_static_ones(void *arg)
{
    (void)arg;
    faults_order(&(struct faults_order){.entry = FAULTS_alloc,
                                        .phase = FAULTS_ANY_PHASE,
                                        .error = -ENOMEM,
                                        .first = 1,
                                        .count = UINT32_MAX});
    use_locks();
    use_units();
    use_news();
    use_items();
    EXPECT_IS(whorl_once_run(&static_once, do_it, NULL), 0);
    EXPECT_IS(times_done, 1);
    if (whorl_loop_count() > 0) {
        EXPECT_IS(whorl_strand_enter(&static_strand), 0);
        EXPECT_IS(whorl_strand_enter(NULL), 0);
    }
    if (whorl_loop_count() <= 1) {
        EXPECT_IS((long)faults_hits(), 0);
    }
    faults_order(NULL);
    return 0;
}

static void test_static_ones_are_used_as_they_are_and_allocate_nothing(void **state)
{
    (void)state;
    faults_install();
    at_no_loop(use_static_ones);
    at_all_loops(use_static_ones);
    faults_remove();
}

/* ---- what was destroyed ---- */

static void use_destroyed_locks(void)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct whorl_rwlock rwlock = WHORL_RWLOCK_INIT;
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
    struct whorl_select_case cases[] = {WHORL_CASE_LOCK(&lock)};
    EXPECT_IS(whorl_lock_destroy(&lock), 0);
    EXPECT_IS(whorl_lock_destroy(&lock), -EINVAL);
    EXPECT_IS(whorl_lock_acquire(&lock), -EINVAL);
    EXPECT_IS(whorl_lock_try_acquire(&lock), -EINVAL);
    EXPECT_IS(whorl_lock_release(&lock), -EINVAL);
    EXPECT_IS(whorl_select(cases, 1), -EINVAL);
    EXPECT_IS(whorl_select_try(cases, 1), -EINVAL);
    EXPECT_IS(whorl_rwlock_destroy(&rwlock), 0);
    EXPECT_IS(whorl_rwlock_destroy(&rwlock), -EINVAL);
    EXPECT_IS(whorl_rwlock_acquire_read(&rwlock), -EINVAL);
    EXPECT_IS(whorl_rwlock_try_acquire_read(&rwlock), -EINVAL);
    EXPECT_IS(whorl_rwlock_release_read(&rwlock), -EINVAL);
    EXPECT_IS(whorl_rwlock_acquire_write(&rwlock), -EINVAL);
    EXPECT_IS(whorl_rwlock_try_acquire_write(&rwlock), -EINVAL);
    EXPECT_IS(whorl_rwlock_release_write(&rwlock), -EINVAL);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), 0);
    EXPECT_IS(whorl_semaphore_destroy(&semaphore), -EINVAL);
    EXPECT_IS(whorl_semaphore_acquire(&semaphore), -EINVAL);
    EXPECT_IS(whorl_semaphore_try_acquire(&semaphore), -EINVAL);
    EXPECT_IS(whorl_semaphore_release(&semaphore), -EINVAL);
}

static void use_destroyed_news(void)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(2);
    struct whorl_once once = WHORL_ONCE_INIT;
    EXPECT_IS(whorl_event_destroy(&event), 0);
    EXPECT_IS(whorl_event_destroy(&event), -EINVAL);
    EXPECT_IS(whorl_event_set(&event), -EINVAL);
    EXPECT_IS(whorl_event_clear(&event), -EINVAL);
    EXPECT_IS(whorl_event_wait(&event), -EINVAL);
    EXPECT_IS(whorl_condition_destroy(&condition), 0);
    EXPECT_IS(whorl_condition_destroy(&condition), -EINVAL);
    EXPECT_IS(whorl_lock_acquire(whorl_condition_lock(&condition)), -EINVAL);
    EXPECT_IS(whorl_condition_wait(&condition), -EINVAL);
    EXPECT_IS(whorl_condition_notify(&condition, 1), -EINVAL);
    EXPECT_IS(whorl_condition_notify_all(&condition), -EINVAL);
    EXPECT_IS(whorl_barrier_destroy(&barrier), 0);
    EXPECT_IS(whorl_barrier_destroy(&barrier), -EINVAL);
    EXPECT_IS(whorl_barrier_wait(&barrier, NULL), -EINVAL);
    EXPECT_IS(whorl_barrier_reset(&barrier), -EINVAL);
    EXPECT_IS(whorl_barrier_abort(&barrier), -EINVAL);
    EXPECT_IS(whorl_once_destroy(&once), 0);
    EXPECT_IS(whorl_once_destroy(&once), -EINVAL);
    EXPECT_IS(whorl_once_run(&once, do_it, NULL), -EINVAL);
}

static void use_destroyed_queue(void)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    struct whorl_select_case cases[] = {WHORL_CASE_PUT(&queue, NULL)};
    void *item;
    EXPECT_IS(whorl_queue_destroy(&queue), 0);
    EXPECT_IS(whorl_queue_destroy(&queue), -EINVAL);
    EXPECT_IS(whorl_queue_put(&queue, NULL), -EINVAL);
    EXPECT_IS(whorl_queue_try_put(&queue, NULL), -EINVAL);
    EXPECT_IS(whorl_queue_get(&queue, &item), -EINVAL);
    EXPECT_IS(whorl_queue_try_get(&queue, &item), -EINVAL);
    EXPECT_IS(whorl_queue_task_done(&queue), -EINVAL);
    EXPECT_IS(whorl_queue_join(&queue), -EINVAL);
    EXPECT_IS(whorl_queue_shutdown(&queue, false), -EINVAL);
    EXPECT_IS(whorl_select(cases, 1), -EINVAL);
}

static int use_destroyed_ones(void *arg)
{
    (void)arg;
    times_done = 0;
    use_destroyed_locks();
    use_destroyed_news();
    use_destroyed_queue();
    EXPECT_IS(times_done, 0);
    return 0;
}

static void test_what_was_destroyed_is_refused_by_every_call(void **state)
{
    (void)state;
    at_no_loop(use_destroyed_ones);
    at_all_loops(use_destroyed_ones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_wait_ends_at_its_deadline_also_one_that_has_passed),
        cmocka_unit_test(test_each_wait_is_cancelled_also_with_a_deadline_that_never_comes),
        cmocka_unit_test(test_each_wait_without_memory_for_its_timer_is_enomem),
        cmocka_unit_test(test_each_wait_is_refused_in_a_callback),
        cmocka_unit_test(test_each_wait_waits_in_a_generator),
        cmocka_unit_test(test_what_one_runtime_leaves_the_next_one_and_a_thread_find),
        cmocka_unit_test(test_static_ones_are_used_as_they_are_and_allocate_nothing),
        cmocka_unit_test(test_what_was_destroyed_is_refused_by_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
