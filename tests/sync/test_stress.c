/*
 * All of this folder at once, in an order that a seed repeats, at 1, 2 and 64 loops and in plain
 * threads, while workers are cancelled and run out of time. label: medium
 *
 * What must hold: one at a time in a section (a plain counter; ThreadSanitizer looks, too); never
 * more than so many with a unit; each item got once, those of one producer in their order; no
 * notification lost: whoever waits for what is there comes back. In the end nobody is in any of
 * them, and units and items are as many as were given.
 *
 * WHORL_TEST_SCALE multiplies the seeds. A failure names its seed; what the threads make of it is
 * not repeated.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>

enum { WORKERS = 12, THREADS = 2, USERS = WORKERS + THREADS, STEPS = 1000, PERMITS = 3, ROOM = 4 };

struct arena {
    uint64_t seed;
    struct whorl_lock fair;
    struct whorl_lock unfair;
    struct whorl_semaphore semaphore;
    struct whorl_queue queue;
    struct whorl_condition condition;
    struct whorl_event event;
    int in_fair;                     /* plain: under the lock */
    int in_unfair;                   /* as that */
    int credits;                     /* under the condition's lock */
    uint32_t inside;                 /* A: who have a unit */
    uint32_t put[USERS];             /* A: how many items each has put */
    uint32_t got[USERS];             /* A: how many of his were got */
    uint32_t working;                /* A: workers that have not ended */
};

struct worker {
    struct arena *arena;
    unsigned number;
    uint32_t began; /* A: one who is cancelled before that never does */
    struct whorl__random random;
    uint32_t last[USERS]; /* of each producer: the number of the item that it got last, from 1 */
};

static uint32_t draw(struct worker *worker, uint32_t below)
{
    return whorl__random_below(&worker->random, below);
}

/* Mostly none; now and then one that comes soon. */
static int64_t deadline(struct worker *worker)
{
    return draw(worker, 4) > 0 ? WHORL_NEVER
                               : whorl_after((int64_t)draw(worker, 200) * WHORL_MICROSECOND);
}

/* One that surely comes, where nobody else may. */
static int64_t soon(struct worker *worker)
{
    return whorl_after((int64_t)(draw(worker, 500) + 1) * WHORL_MICROSECOND);
}

static void stay(struct worker *worker)
{
    if (draw(worker, 3) == 0 && whorl_loop_current() >= 0) {
        const int error = whorl_yield();
        EXPECT(error == 0 || error == -ECANCELED);
    }
}

static bool may_fail(int error)
{
    EXPECT(error == 0 || error == -ECANCELED || error == -ETIMEDOUT || error == -EAGAIN);
    return error != 0;
}

/* ---- one step each ---- */

static void use_lock(struct worker *worker, struct whorl_lock *lock, int *inside)
{
    const int error = draw(worker, 4) > 0 ? whorl_lock_acquire_until(lock, deadline(worker))
                                          : whorl_lock_try_acquire(lock);
    if (may_fail(error)) {
        return;
    }
    EXPECT_IS(++*inside, 1);
    stay(worker);
    EXPECT_IS(--*inside, 0);
    EXPECT_IS(whorl_lock_release(lock), 0);
}

static void use_unit(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    if (may_fail(whorl_semaphore_acquire_until(&arena->semaphore, deadline(worker)))) {
        return;
    }
    EXPECT(whorl__add_u32(&arena->inside, 1) < PERMITS);
    stay(worker);
    (void)whorl__add_u32(&arena->inside, (uint32_t)-1);
    EXPECT_IS(whorl_semaphore_release(&arena->semaphore), 0);
}

static void put(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    uint32_t *const count = &arena->put[worker->number];
    const uintptr_t next = whorl__load_relaxed_u32(count) + 1; /* relaxed: its own */
    void *const item = (void *)(next * USERS + worker->number);
    if (!may_fail(whorl_queue_put_until(&arena->queue, item, soon(worker)))) {
        (void)whorl__add_u32(count, 1);
    }
}

static void count_item(struct worker *worker, uintptr_t item)
{
    const uint32_t producer = (uint32_t)(item % USERS);
    const uint32_t number = (uint32_t)(item / USERS);
    EXPECT(number > worker->last[producer]);
    worker->last[producer] = number;
    (void)whorl__add_u32(&worker->arena->got[producer], 1);
}

static void get(struct worker *worker)
{
    void *item = NULL;
    if (!may_fail(whorl_queue_get_until(&worker->arena->queue, soon(worker), &item))) {
        count_item(worker, (uintptr_t)item);
        EXPECT_IS(whorl_queue_task_done(&worker->arena->queue), 0);
    }
}

static int has_credit(void *arg)
{
    return ((const struct arena *)arg)->credits;
}

static void give_credit(struct worker *worker)
{
    struct whorl_condition *const condition = &worker->arena->condition;
    if (may_fail(whorl_lock_acquire(whorl_condition_lock(condition)))) {
        return;
    }
    worker->arena->credits++;
    EXPECT_IS(whorl_condition_notify(condition, 1), 0);
    EXPECT_IS(whorl_lock_release(whorl_condition_lock(condition)), 0);
}

static void take_credit(struct worker *worker)
{
    struct whorl_condition *const condition = &worker->arena->condition;
    if (may_fail(whorl_lock_acquire(whorl_condition_lock(condition)))) {
        return;
    }
    const int got =
        whorl_condition_wait_for(condition, has_credit, worker->arena, soon(worker));
    if (got > 0) {
        worker->arena->credits--;
    } else {
        EXPECT(got == -ECANCELED || got == -ETIMEDOUT);
    }
    EXPECT_IS(whorl_lock_release(whorl_condition_lock(condition)), 0);
}

static void use_event(struct worker *worker)
{
    struct whorl_event *const event = &worker->arena->event;
    switch (draw(worker, 3)) {
    case 0:
        EXPECT_IS(whorl_event_set(event), 0);
        break;
    case 1:
        EXPECT_IS(whorl_event_clear(event), 0);
        break;
    default:
        (void)may_fail(whorl_event_wait_until(event, soon(worker)));
        break;
    }
}

static void step(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    switch (draw(worker, 8)) {
    case 0:
        use_lock(worker, &arena->fair, &arena->in_fair);
        break;
    case 1:
        use_lock(worker, &arena->unfair, &arena->in_unfair);
        break;
    case 2:
        use_unit(worker);
        break;
    case 3:
        put(worker);
        break;
    case 4:
        get(worker);
        break;
    case 5:
        give_credit(worker);
        break;
    case 6:
        take_credit(worker);
        break;
    default:
        use_event(worker);
        break;
    }
}

/* A cancel is met in one of the steps, and then over. */
static int work(void *arg)
{
    struct worker *const worker = arg;
    (void)whorl__add_u32(&worker->began, 1);
    for (int i = 0; i < STEPS; i++) {
        step(worker);
        if (whorl_loop_current() >= 0) {
            while (whorl_uncancel(whorl_task_current()) > 0) {
            }
        }
    }
    (void)whorl__add_u32(&worker->arena->working, (uint32_t)-1);
    return 0;
}

/* ---- all of it ---- */

static void open_arena(struct arena *arena, uint64_t seed)
{
    *arena = (struct arena){.seed = seed, .working = USERS};
    must(whorl_lock_init(&arena->fair, 0));
    must(whorl_lock_init(&arena->unfair, WHORL_LOCK_UNFAIR));
    must(whorl_semaphore_init(&arena->semaphore, PERMITS, WHORL_SEMAPHORE_BOUNDED));
    must(whorl_queue_init(&arena->queue, WHORL_QUEUE_FIFO, ROOM, NULL));
    must(whorl_condition_init(&arena->condition, NULL));
    must(whorl_event_init(&arena->event));
}

/* What is left in the queue counts as got. */
static void close_arena(struct arena *arena)
{
    void *item;
    while (whorl_queue_try_get(&arena->queue, &item) == 0) {
        (void)whorl__add_u32(&arena->got[(uintptr_t)item % USERS], 1);
        EXPECT_IS(whorl_queue_task_done(&arena->queue), 0);
    }
    EXPECT_IS(whorl_queue_join(&arena->queue), 0);
    for (unsigned i = 0; i < USERS; i++) {
        EXPECT_IS(arena->got[i], arena->put[i]);
    }
    EXPECT_IS(whorl_semaphore_value(&arena->semaphore), PERMITS);
    EXPECT_IS(whorl_lock_destroy(&arena->fair), 0);
    EXPECT_IS(whorl_lock_destroy(&arena->unfair), 0);
    EXPECT_IS(whorl_semaphore_destroy(&arena->semaphore), 0);
    EXPECT_IS(whorl_queue_destroy(&arena->queue), 0);
    EXPECT_IS(whorl_condition_destroy(&arena->condition), 0);
    EXPECT_IS(whorl_event_destroy(&arena->event), 0);
}

static void cancel_some(struct arena *arena, const struct worker *workers,
                        struct whorl_task *const *tasks)
{
    struct whorl__random random;
    whorl__random_init(&random, arena->seed);
    while (whorl__load_acquire_u32(&arena->working) > 0) { /* acquire: for the test */
        const uint32_t which = whorl__random_below(&random, WORKERS);
        if (whorl__load_acquire_u32(&workers[which].began)) { /* acquire: for the test */
            (void)whorl_cancel(tasks[which], "stress");
        }
        must(whorl_sleep((int64_t)whorl__random_below(&random, 50) * WHORL_MICROSECOND));
    }
}

static uint64_t the_seed;

static int mix(void *arg)
{
    struct arena arena;
    struct worker workers[USERS];
    struct whorl_task *tasks[WORKERS];
    struct beside threads[THREADS];
    (void)arg;
    open_arena(&arena, the_seed);
    for (unsigned i = 0; i < USERS; i++) {
        workers[i] = (struct worker){.arena = &arena, .number = i};
        whorl__random_init(&workers[i].random, the_seed * USERS + i);
    }
    for (int i = 0; i < THREADS; i++) {
        beside_start(&threads[i], work, &workers[WORKERS + i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        tasks[i] = start(work, &workers[i]);
    }
    cancel_some(&arena, workers, tasks);
    for (int i = 0; i < WORKERS; i++) {
        (void)finish(tasks[i]); /* one may be cancelled at its very end */
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT_IS(beside_finish(&threads[i]), 0);
    }
    close_arena(&arena);
    return 0;
}

static int scale(void)
{
    const char *const text = getenv("WHORL_TEST_SCALE");
    const int times = text != NULL ? atoi(text) : 1;
    return times > 0 ? times : 1;
}

static void mix_at(int loops)
{
    for (uint64_t seed = 1; seed <= 4 * (uint64_t)scale(); seed++) {
        the_seed = seed;
        printf("seed %llu, %d loops\n", (unsigned long long)seed, loops);
        fflush(stdout);
        at_loops(loops, mix);
    }
}

static void test_mt_9_all_at_once_at_one_loop(void **state)
{
    (void)state;
    mix_at(1);
}

static void test_mt_9_all_at_once_at_two_loops(void **state)
{
    (void)state;
    mix_at(2);
}

static void test_mt_9_all_at_once_at_64_loops(void **state)
{
    (void)state;
    mix_at(64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_9_all_at_once_at_one_loop),
        cmocka_unit_test(test_mt_9_all_at_once_at_two_loops),
        cmocka_unit_test(test_mt_9_all_at_once_at_64_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
