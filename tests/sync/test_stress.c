/*
 * All of this folder at once, in an order that a seed repeats, at 1, 2 and 64 loops and in plain
 * threads, while workers are cancelled and run out of time. label: medium
 *
 * What must hold: one at a time in a section (a plain counter; ThreadSanitizer looks, too); a
 * writer alone, and readers see what he wrote; never more than so many with a unit; each item got
 * once, of a FIFO queue those of one producer in their order; what is done once is seen by all; a
 * barrier lets nobody through before so many have come; no notification lost: whoever waits for
 * what is there comes back; a select does one of its cases. In the end nobody is in any of them,
 * and units and items are as many as were given.
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
enum { PARTIES = 2, ONCES = 50 };

/* A queue of each kind, and who has put and got what. */
struct goods {
    struct whorl_queue queue;
    uint32_t put[USERS]; /* A: how many items each has put */
    uint32_t got[USERS]; /* A: how many of his were got */
};

enum { KINDS = 3 }; /* as enum whorl_queue_kind */

struct arena {
    uint64_t seed;
    struct whorl_lock fair;
    struct whorl_lock unfair;
    struct whorl_lock owned;
    struct whorl_rwlock rwlock;
    struct whorl_semaphore semaphore;
    struct whorl_semaphore unfair_semaphore;
    struct whorl_barrier barrier;
    struct whorl_once onces[ONCES];
    struct goods goods[KINDS];
    struct whorl_condition condition;
    struct whorl_event event;
    int in_fair;                     /* plain: under the lock */
    int in_unfair;                   /* as that */
    int in_owned;                    /* as that */
    int written[2];                  /* plain: under the read-write lock; always the same */
    int done[ONCES];                 /* plain: written by what is done once */
    uint32_t come;                   /* A: to the barrier */
    uint32_t passed[PARTIES];        /* A: with that number */
    uint32_t in_unfair_semaphore;    /* A: as inside */
    int credits;                     /* under the condition's lock */
    uint32_t inside;                 /* A: who have a unit */
    uint32_t working;                /* A: workers that have not ended */
};

struct worker {
    struct arena *arena;
    unsigned number;
    uint32_t began; /* A: one who is cancelled before that never does */
    struct whorl__random random;
    uint32_t last[USERS]; /* of each producer: the number of the item of the FIFO queue that it got
                             last, from 1 */
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

/* ---- what one has, for a while ---- */

static void hold_lock(struct worker *worker, struct whorl_lock *lock, int *inside)
{
    EXPECT_IS(++*inside, 1);
    stay(worker);
    EXPECT_IS(--*inside, 0);
    EXPECT_IS(whorl_lock_release(lock), 0);
}

static void hold_unit(struct worker *worker, struct whorl_semaphore *semaphore, uint32_t *inside)
{
    EXPECT(whorl__add_u32(inside, 1) < PERMITS);
    stay(worker);
    (void)whorl__add_u32(inside, (uint32_t)-1);
    EXPECT_IS(whorl_semaphore_release(semaphore), 0);
}

/* ---- one step each ---- */

static void use_lock(struct worker *worker, struct whorl_lock *lock, int *inside)
{
    const int error = draw(worker, 4) > 0 ? whorl_lock_acquire_until(lock, deadline(worker))
                                          : whorl_lock_try_acquire(lock);
    if (!may_fail(error)) {
        hold_lock(worker, lock, inside);
    }
}

static void use_unit(struct worker *worker, struct whorl_semaphore *semaphore, uint32_t *inside)
{
    const int error = draw(worker, 4) > 0
                          ? whorl_semaphore_acquire_until(semaphore, deadline(worker))
                          : whorl_semaphore_try_acquire(semaphore);
    if (!may_fail(error)) {
        hold_unit(worker, semaphore, inside);
    }
}

static void read_one(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    const int error = draw(worker, 4) > 0
                          ? whorl_rwlock_acquire_read_until(&arena->rwlock, deadline(worker))
                          : whorl_rwlock_try_acquire_read(&arena->rwlock);
    if (may_fail(error)) {
        return;
    }
    const int before = arena->written[0];
    stay(worker);
    EXPECT_IS(arena->written[0], before);
    EXPECT_IS(arena->written[1], before);
    EXPECT_IS(whorl_rwlock_release_read(&arena->rwlock), 0);
}

static void write_one(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    const int error = draw(worker, 4) > 0
                          ? whorl_rwlock_acquire_write_until(&arena->rwlock, deadline(worker))
                          : whorl_rwlock_try_acquire_write(&arena->rwlock);
    if (may_fail(error)) {
        return;
    }
    const int next = ++arena->written[0];
    stay(worker);
    EXPECT_IS(++arena->written[1], next);
    EXPECT_IS(whorl_rwlock_release_write(&arena->rwlock), 0);
}

/* Mostly it fails, and then another does it. */
struct doing {
    struct worker *worker;
    unsigned which;
};

static int do_once(void *arg)
{
    const struct doing *const doing = arg;
    int *const done = &doing->worker->arena->done[doing->which];
    EXPECT_IS(*done % 2, 0); /* nobody is in it */
    ++*done;
    stay(doing->worker);
    ++*done;
    return draw(doing->worker, 3) == 0 ? 0 : -EAGAIN;
}

static void use_once(struct worker *worker)
{
    struct doing doing = {worker, draw(worker, ONCES)};
    struct whorl_once *const once = &worker->arena->onces[doing.which];
    if (!may_fail(whorl_once_run(once, do_once, &doing))) {
        EXPECT(whorl_once_done(once));
        const int done = worker->arena->done[doing.which];
        EXPECT(done > 0 && done % 2 == 0);
    }
}

/* Each number of a round is some party's, so as many have come as have passed with it. */
static void meet(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    unsigned index = PARTIES;
    (void)whorl__add_u32(&arena->come, 1);
    const int error = whorl_barrier_wait_until(&arena->barrier, soon(worker), &index);
    if (error == 0) {
        EXPECT(index < PARTIES);
        const uint32_t rounds = whorl__add_u32(&arena->passed[index % PARTIES], 1) + 1;
        EXPECT(whorl__load_acquire_u32(&arena->come) >= rounds * PARTIES); /* acquire: as above */
    } else {
        EXPECT(error == -ECANCELED || error == -ETIMEDOUT || error == -ENOTRECOVERABLE);
    }
}

static void disturb_barrier(struct worker *worker)
{
    struct whorl_barrier *const barrier = &worker->arena->barrier;
    const uint32_t what = draw(worker, 20);
    (void)may_fail(what == 0 ? whorl_barrier_abort(barrier)
                   : what < 3 || whorl_barrier_broken(barrier) ? whorl_barrier_reset(barrier)
                                                               : 0);
}

static void *next_item(const struct worker *worker, struct goods *goods)
{
    /* relaxed: its own */
    const uintptr_t next = whorl__load_relaxed_u32(&goods->put[worker->number]) + 1;
    return (void *)(next * USERS + worker->number);
}

static void put(struct worker *worker, struct goods *goods)
{
    void *const item = next_item(worker, goods);
    const int error = draw(worker, 4) > 0
                          ? whorl_queue_put_until(&goods->queue, item, soon(worker))
                          : whorl_queue_try_put(&goods->queue, item);
    if (!may_fail(error)) {
        (void)whorl__add_u32(&goods->put[worker->number], 1);
    }
}

static void count_item(struct worker *worker, struct goods *goods, uintptr_t item)
{
    const uint32_t producer = (uint32_t)(item % USERS);
    const uint32_t number = (uint32_t)(item / USERS);
    if (goods->queue.kind == WHORL_QUEUE_FIFO) {
        EXPECT(number > worker->last[producer]);
        worker->last[producer] = number;
    }
    (void)whorl__add_u32(&goods->got[producer], 1);
}

static void get(struct worker *worker, struct goods *goods)
{
    void *item = NULL;
    const int error = draw(worker, 4) > 0
                          ? whorl_queue_get_until(&goods->queue, soon(worker), &item)
                          : whorl_queue_try_get(&goods->queue, &item);
    if (!may_fail(error)) {
        count_item(worker, goods, (uintptr_t)item);
        EXPECT_IS(whorl_queue_task_done(&goods->queue), 0);
    }
}

static void use_queue(struct worker *worker)
{
    struct goods *const goods = &worker->arena->goods[draw(worker, KINDS)];
    switch (draw(worker, 8)) {
    case 0:
        (void)may_fail(whorl_queue_join_until(&goods->queue, soon(worker)));
        break;
    case 1:
    case 2:
    case 3:
        put(worker, goods);
        break;
    default:
        get(worker, goods);
        break;
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

static void use_some_lock(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    switch (draw(worker, 3)) {
    case 0:
        use_lock(worker, &arena->fair, &arena->in_fair);
        break;
    case 1:
        use_lock(worker, &arena->unfair, &arena->in_unfair);
        break;
    default:
        use_lock(worker, &arena->owned, &arena->in_owned);
        break;
    }
}

static void use_some_unit(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    if (draw(worker, 2) == 0) {
        use_unit(worker, &arena->semaphore, &arena->inside);
    } else {
        use_unit(worker, &arena->unfair_semaphore, &arena->in_unfair_semaphore);
    }
}

enum { FROM, TO, FAIR, UNIT, RAISED, LATE, CASES };

/* The first of six: exactly one is done, and what that is counts as if it had been done alone. */
static void select_one(struct worker *worker)
{
    struct arena *const arena = worker->arena;
    struct goods *const from = &arena->goods[draw(worker, KINDS)];
    struct goods *const to = &arena->goods[draw(worker, KINDS)];
    struct whorl_select_case cases[CASES] = {
        [FROM] = WHORL_CASE_GET(&from->queue),
        [TO] = WHORL_CASE_PUT(&to->queue, next_item(worker, to)),
        [FAIR] = WHORL_CASE_LOCK(&arena->fair),
        [UNIT] = WHORL_CASE_SEMAPHORE(&arena->semaphore),
        [RAISED] = WHORL_CASE_EVENT(&arena->event),
        [LATE] = WHORL_CASE_TIME(soon(worker)),
    };
    const int chosen = draw(worker, 4) > 0 ? whorl_select(cases, CASES)
                                           : whorl_select_try(cases, CASES);
    if (chosen < 0) {
        (void)may_fail(chosen);
        return;
    }
    EXPECT_IS(cases[chosen].error, 0);
    if (chosen == FROM) {
        count_item(worker, from, (uintptr_t)cases[FROM].item);
        EXPECT_IS(whorl_queue_task_done(&from->queue), 0);
    } else if (chosen == TO) {
        (void)whorl__add_u32(&to->put[worker->number], 1);
    } else if (chosen == FAIR) {
        hold_lock(worker, &arena->fair, &arena->in_fair);
    } else if (chosen == UNIT) {
        hold_unit(worker, &arena->semaphore, &arena->inside);
    }
}

static void step(struct worker *worker)
{
    static void (*const steps[])(struct worker *worker) = {
        use_some_lock, use_some_lock, use_some_unit, use_queue, use_queue,      use_queue,
        give_credit,   take_credit,   use_event,     read_one,  read_one,       write_one,
        use_once,      meet,          meet,          disturb_barrier, select_one,     select_one,
    };
    steps[draw(worker, sizeof steps / sizeof *steps)](worker);
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

/* Of items that are no pointers to anything: by their numbers. */
static int compare_items(const void *a, const void *b)
{
    const uintptr_t left = (uintptr_t)a;
    const uintptr_t right = (uintptr_t)b;
    return (left > right) - (left < right);
}

static void open_arena(struct arena *arena, uint64_t seed)
{
    *arena = (struct arena){.seed = seed, .working = USERS};
    must(whorl_lock_init(&arena->owned, WHORL_LOCK_OWNED));
    must(whorl_rwlock_init(&arena->rwlock));
    must(whorl_semaphore_init(&arena->unfair_semaphore, PERMITS, WHORL_SEMAPHORE_UNFAIR));
    must(whorl_barrier_init(&arena->barrier, PARTIES));
    for (unsigned i = 0; i < ONCES; i++) {
        must(whorl_once_init(&arena->onces[i]));
    }
    for (unsigned i = 0; i < KINDS; i++) {
        must(whorl_queue_init(&arena->goods[i].queue, (enum whorl_queue_kind)i, ROOM,
                              i == WHORL_QUEUE_PRIORITY ? compare_items : NULL));
    }
    must(whorl_lock_init(&arena->fair, 0));
    must(whorl_lock_init(&arena->unfair, WHORL_LOCK_UNFAIR));
    must(whorl_semaphore_init(&arena->semaphore, PERMITS, WHORL_SEMAPHORE_BOUNDED));
    must(whorl_condition_init(&arena->condition, NULL));
    must(whorl_event_init(&arena->event));
}

/* What is left in a queue counts as got. */
static void close_goods(struct goods *goods)
{
    void *item;
    while (whorl_queue_try_get(&goods->queue, &item) == 0) {
        (void)whorl__add_u32(&goods->got[(uintptr_t)item % USERS], 1);
        EXPECT_IS(whorl_queue_task_done(&goods->queue), 0);
    }
    EXPECT_IS(whorl_queue_join(&goods->queue), 0);
    for (unsigned i = 0; i < USERS; i++) {
        EXPECT_IS(goods->got[i], goods->put[i]);
    }
    EXPECT_IS(whorl_queue_shutdown(&goods->queue, false), 0);
    EXPECT_IS(whorl_queue_try_put(&goods->queue, goods), -ESHUTDOWN);
    EXPECT_IS(whorl_queue_destroy(&goods->queue), 0);
}

static void close_arena(struct arena *arena)
{
    for (unsigned i = 0; i < KINDS; i++) {
        close_goods(&arena->goods[i]);
    }
    for (unsigned i = 0; i < ONCES; i++) {
        EXPECT_IS(whorl_once_destroy(&arena->onces[i]), 0);
    }
    EXPECT_IS(whorl_lock_destroy(&arena->owned), 0);
    EXPECT_IS(arena->written[0], arena->written[1]);
    EXPECT_IS(whorl_rwlock_destroy(&arena->rwlock), 0);
    EXPECT_IS(whorl_semaphore_value(&arena->unfair_semaphore), PERMITS);
    EXPECT_IS(whorl_semaphore_destroy(&arena->unfair_semaphore), 0);
    EXPECT_IS(whorl_barrier_destroy(&arena->barrier), 0);
    EXPECT_IS(whorl_semaphore_value(&arena->semaphore), PERMITS);
    EXPECT_IS(whorl_lock_destroy(&arena->fair), 0);
    EXPECT_IS(whorl_lock_destroy(&arena->unfair), 0);
    EXPECT_IS(whorl_semaphore_destroy(&arena->semaphore), 0);
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
