/*
 * Selects over queues, a lock, units, an event and times, all at once, in an order that a seed
 * repeats, at 1, 2 and 64 loops and in plain threads, while workers are cancelled and run out of
 * time. label: medium
 *
 * What must hold: each item that a select put is got once, by whichever case; those of one producer
 * in one queue in their order; one at a time has the lock (a plain counter; ThreadSanitizer looks,
 * too), and never more than so many a unit. In the end nobody is in any line, and items, units and
 * the lock are all there.
 *
 * WHORL_TEST_SCALE multiplies the seeds. A failure names its seed; what the threads make of it is
 * not repeated.
 */
#include "sync/program_sync.h"

#include "atomic/atomic.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>

enum {
    WORKERS = 10,
    THREADS = 2,
    USERS = WORKERS + THREADS,
    STEPS = 2000,
    QUEUES = 3,
    ROOM = 2,
    PERMITS = 2,
    CASES_MOST = WHORL_SELECT_SMALL + 3 /* also more than have room without an allocation */
};

struct market {
    uint64_t seed;
    struct whorl_queue queues[QUEUES];
    struct whorl_lock lock;
    struct whorl_semaphore semaphore;
    struct whorl_event event;
    int inside;                   /* plain: under the lock */
    uint32_t units;               /* A: who have one */
    uint32_t put[QUEUES][USERS];  /* A: how many items each has put there */
    uint32_t got[QUEUES][USERS];  /* A: how many of his were got */
    uint32_t working;             /* A: users that have not ended */
    uint32_t began[USERS];        /* A: one who is cancelled before that never does */
};

struct user {
    struct market *market;
    unsigned number;
    struct whorl__random random;
    struct whorl_select_case cases[CASES_MOST];
    unsigned queue[CASES_MOST];        /* of the cases that get or put */
    uint32_t last[QUEUES][USERS];      /* of each producer: the item that it got last, from 1 */
};

static uint32_t draw(struct user *user, uint32_t below)
{
    return whorl__random_below(&user->random, below);
}

static int64_t soon(struct user *user)
{
    return whorl_after((int64_t)draw(user, 400) * WHORL_MICROSECOND);
}

/* ---- cases ---- */

/* The next item of this user in that queue: it counts only once it was put. */
static void *next_item(struct user *user, unsigned queue)
{
    const uint32_t *const count = &user->market->put[queue][user->number];
    const uintptr_t next = whorl__load_relaxed_u32(count) + 1; /* relaxed: its own */
    return (void *)(next * USERS + user->number);
}

static struct whorl_select_case draw_case(struct user *user, unsigned queue)
{
    struct market *const market = user->market;
    switch (draw(user, 10)) {
    case 0:
        return (struct whorl_select_case)WHORL_CASE_LOCK(&market->lock);
    case 1:
        return (struct whorl_select_case)WHORL_CASE_SEMAPHORE(&market->semaphore);
    case 2:
        return (struct whorl_select_case)WHORL_CASE_EVENT(&market->event);
    case 3:
        return (struct whorl_select_case)WHORL_CASE_TIME(soon(user));
    case 4:
    case 5:
    case 6:
        return (struct whorl_select_case)WHORL_CASE_PUT(&market->queues[queue],
                                                        next_item(user, queue));
    default:
        return (struct whorl_select_case)WHORL_CASE_GET(&market->queues[queue]);
    }
}

static size_t draw_cases(struct user *user)
{
    const size_t count = 1 + draw(user, draw(user, 8) == 0 ? CASES_MOST : 4);
    for (size_t i = 0; i < count; i++) {
        user->queue[i] = draw(user, QUEUES);
        user->cases[i] = draw_case(user, user->queue[i]);
    }
    return count;
}

/* ---- what came of it ---- */

static void count_item(struct user *user, unsigned queue, uintptr_t item)
{
    const uint32_t producer = (uint32_t)(item % USERS);
    const uint32_t number = (uint32_t)(item / USERS);
    EXPECT(number > user->last[queue][producer]);
    user->last[queue][producer] = number;
    (void)whorl__add_u32(&user->market->got[queue][producer], 1);
}

static void stay(struct user *user)
{
    if (draw(user, 3) == 0 && whorl_loop_current() >= 0) {
        const int error = whorl_yield();
        EXPECT(error == 0 || error == -ECANCELED);
    }
}

static void use_lock(struct user *user)
{
    EXPECT_IS(++user->market->inside, 1);
    stay(user);
    EXPECT_IS(--user->market->inside, 0);
    EXPECT_IS(whorl_lock_release(&user->market->lock), 0);
}

static void use_unit(struct user *user)
{
    EXPECT(whorl__add_u32(&user->market->units, 1) < PERMITS);
    stay(user);
    (void)whorl__add_u32(&user->market->units, (uint32_t)-1);
    EXPECT_IS(whorl_semaphore_release(&user->market->semaphore), 0);
}

static void go_on_with(struct user *user, int chosen)
{
    const struct whorl_select_case *const one = &user->cases[chosen];
    const unsigned queue = user->queue[chosen];
    EXPECT_IS(one->error, 0);
    switch (one->kind) {
    case WHORL_SELECT_GET:
        count_item(user, queue, (uintptr_t)one->item);
        break;
    case WHORL_SELECT_PUT:
        (void)whorl__add_u32(&user->market->put[queue][user->number], 1);
        break;
    case WHORL_SELECT_LOCK:
        use_lock(user);
        break;
    case WHORL_SELECT_SEMAPHORE:
        use_unit(user);
        break;
    case WHORL_SELECT_EVENT:
        EXPECT_IS(whorl_event_clear(&user->market->event), 0);
        break;
    default:
        EXPECT(whorl_now() >= one->time_ns);
        break;
    }
}

static void step(struct user *user)
{
    if (draw(user, 6) == 0) {
        EXPECT_IS(whorl_event_set(&user->market->event), 0);
    }
    const size_t count = draw_cases(user);
    const int chosen = draw(user, 5) == 0 ? whorl_select_try(user->cases, count)
                                          : whorl_select_until(user->cases, count, soon(user));
    if (chosen >= 0) {
        go_on_with(user, chosen);
    } else {
        EXPECT(chosen == -ECANCELED || chosen == -ETIMEDOUT || chosen == -EAGAIN);
    }
}

/* A cancel is met in one of the steps, and then over. */
static int work(void *arg)
{
    struct user *const user = arg;
    (void)whorl__swap_u32(&user->market->began[user->number], 1);
    for (int i = 0; i < STEPS; i++) {
        step(user);
        if (whorl_loop_current() >= 0) {
            while (whorl_uncancel(whorl_task_current()) > 0) {
            }
        }
    }
    (void)whorl__add_u32(&user->market->working, (uint32_t)-1);
    return 0;
}

/* ---- all of it ---- */

static void open_market(struct market *market, uint64_t seed)
{
    *market = (struct market){.seed = seed, .working = USERS};
    for (int i = 0; i < QUEUES; i++) {
        must(whorl_queue_init(&market->queues[i], WHORL_QUEUE_FIFO, ROOM, NULL));
    }
    must(whorl_lock_init(&market->lock, seed % 2 == 0 ? WHORL_LOCK_UNFAIR : WHORL_LOCK_OWNED));
    must(whorl_semaphore_init(&market->semaphore, PERMITS, WHORL_SEMAPHORE_BOUNDED));
    must(whorl_event_init(&market->event));
}

/* What is left in a queue counts as got. */
static void close_queue(struct market *market, unsigned queue)
{
    void *item;
    while (whorl_queue_try_get(&market->queues[queue], &item) == 0) {
        (void)whorl__add_u32(&market->got[queue][(uintptr_t)item % USERS], 1);
    }
    for (unsigned i = 0; i < USERS; i++) {
        EXPECT_IS(market->got[queue][i], market->put[queue][i]);
    }
    EXPECT_IS(whorl_queue_destroy(&market->queues[queue]), 0);
}

static void close_market(struct market *market)
{
    for (unsigned i = 0; i < QUEUES; i++) {
        close_queue(market, i);
    }
    EXPECT_IS(whorl_semaphore_value(&market->semaphore), PERMITS);
    EXPECT_IS(whorl_lock_destroy(&market->lock), 0);
    EXPECT_IS(whorl_semaphore_destroy(&market->semaphore), 0);
    EXPECT_IS(whorl_event_destroy(&market->event), 0);
}

static void cancel_some(struct market *market, struct whorl_task *const *tasks)
{
    struct whorl__random random;
    whorl__random_init(&random, market->seed);
    while (whorl__load_acquire_u32(&market->working) > 0) { /* acquire: for the test */
        const uint32_t which = whorl__random_below(&random, WORKERS);
        if (whorl__load_acquire_u32(&market->began[which])) { /* acquire: for the test */
            (void)whorl_cancel(tasks[which], "stress");
        }
        must(whorl_sleep((int64_t)whorl__random_below(&random, 50) * WHORL_MICROSECOND));
    }
}

static uint64_t the_seed;

static int trade(void *arg)
{
    struct market market;
    struct user users[USERS];
    struct whorl_task *tasks[WORKERS];
    struct beside threads[THREADS];
    (void)arg;
    open_market(&market, the_seed);
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = (struct user){.market = &market, .number = i};
        whorl__random_init(&users[i].random, the_seed * USERS + i);
    }
    for (int i = 0; i < THREADS; i++) {
        beside_start(&threads[i], work, &users[WORKERS + i]);
    }
    for (int i = 0; i < WORKERS; i++) {
        tasks[i] = start(work, &users[i]);
    }
    cancel_some(&market, tasks);
    for (int i = 0; i < WORKERS; i++) {
        (void)finish(tasks[i]); /* one may be cancelled at its very end */
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT_IS(beside_finish(&threads[i]), 0);
    }
    close_market(&market);
    return 0;
}

static void trade_at(int loops)
{
    const char *const text = getenv("WHORL_TEST_SCALE");
    const uint64_t scale = text != NULL && atoi(text) > 0 ? (uint64_t)atoi(text) : 1;
    for (uint64_t seed = 1; seed <= 4 * scale; seed++) {
        the_seed = seed;
        printf("seed %llu, %d loops\n", (unsigned long long)seed, loops);
        fflush(stdout);
        at_loops(loops, trade);
    }
}

static void test_selects_lose_nothing_at_one_loop(void **state)
{
    (void)state;
    trade_at(1);
}

static void test_selects_lose_nothing_at_two_loops(void **state)
{
    (void)state;
    trade_at(2);
}

static void test_selects_lose_nothing_at_64_loops(void **state)
{
    (void)state;
    trade_at(64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selects_lose_nothing_at_one_loop),
        cmocka_unit_test(test_selects_lose_nothing_at_two_loops),
        cmocka_unit_test(test_selects_lose_nothing_at_64_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
