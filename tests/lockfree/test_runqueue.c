/*
 * The run queue: small cases one by one, then owner and thieves at full speed.
 *
 *   --seed N   repeats the stress of a failed run
 *
 * Threads only record what they saw; all asserts run on the main thread after the joins.
 */
#include "lockfree/runqueue.h"

#include "base/random.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { CAPACITY = WHORL_RUNQUEUE_CAPACITY, ITEMS_SMALL = 2 * WHORL_RUNQUEUE_SLOTS };

static uint64_t stress_seed;

/* ---- one thread ---- */

/* A task is a pointer into this array; which one says its index. */
static char tasks[ITEMS_SMALL];

static unsigned index_of(const void *task)
{
    return (unsigned)((const char *)task - tasks);
}

static void *task_at(unsigned index)
{
    return &tasks[index % ITEMS_SMALL];
}

/* A queue whose counters stand at `base`, with tasks first .. first + length - 1 inside. */
static void fill(struct whorl__runqueue *queue, uint32_t base, unsigned first, unsigned length)
{
    whorl__runqueue_init(queue);
    queue->ring.c_head = base;
    queue->ring.p_tail = base;
    for (unsigned i = 0; i < length; i++) {
        assert_true(whorl__runqueue_push(queue, task_at(first + i)));
    }
}

static void expect_rest(struct whorl__runqueue *queue, unsigned first, unsigned length)
{
    assert_true(whorl__runqueue_verify(queue));
    assert_int_equal(whorl__runqueue_length(queue), length);
    for (unsigned i = 0; i < length; i++) {
        assert_ptr_equal(whorl__runqueue_take(queue), task_at(first + i));
    }
    assert_null(whorl__runqueue_take(queue));
}

/* Where counters start: at 0, in mid ring, and shortly before they wrap round 2^32. */
static const uint32_t bases[] = {0, 100, UINT32_MAX - 3, UINT32_MAX - 200};

enum { BASES = sizeof(bases) / sizeof(bases[0]) };

static void test_runqueue_every_length_comes_out_in_order(void **state)
{
    /* First in, first out for each fill from empty to full, also where the counters wrap. */
    (void)state;
    struct whorl__runqueue queue;
    for (unsigned b = 0; b < BASES; b++) {
        for (unsigned length = 0; length <= CAPACITY; length++) {
            fill(&queue, bases[b], 0, length);
            expect_rest(&queue, 0, length);
        }
    }
}

static void test_runqueue_full_refuses_and_keeps_what_it_has(void **state)
{
    /* The overflow path begins with a push that must change nothing. */
    (void)state;
    struct whorl__runqueue queue;
    for (unsigned b = 0; b < BASES; b++) {
        fill(&queue, bases[b], 0, CAPACITY);
        assert_false(whorl__runqueue_push(&queue, task_at(CAPACITY)));
        assert_ptr_equal(whorl__runqueue_take(&queue), task_at(0));
        assert_true(whorl__runqueue_push(&queue, task_at(CAPACITY)));
        assert_false(whorl__runqueue_push(&queue, task_at(CAPACITY + 1)));
        expect_rest(&queue, 1, CAPACITY);
    }
}

static void test_runqueue_overflow_takes_the_older_half(void **state)
{
    /* For each length and several limits: what leaves and what stays are all, and in order. */
    (void)state;
    static const unsigned limits[] = {0, 1, 2, 64, CAPACITY};
    struct whorl__runqueue queue;
    void *taken[CAPACITY];
    for (unsigned length = 0; length <= CAPACITY; length++) {
        for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
            const unsigned half = (length + 1) / 2;
            const unsigned expected = half < limits[l] ? half : limits[l];
            fill(&queue, UINT32_MAX - 50, 0, length);
            assert_int_equal(whorl__runqueue_take_half_for_overflow(&queue, taken, limits[l]),
                             expected);
            for (unsigned i = 0; i < expected; i++) {
                assert_int_equal(index_of(taken[i]), i);
            }
            expect_rest(&queue, expected, length - expected);
        }
    }
}

static void test_runqueue_take_back_takes_the_newest_and_nothing_else(void **state)
{
    /* At every length, also where the counters wrap: the next push has its place. */
    (void)state;
    for (unsigned length = 0; length <= CAPACITY; length++) {
        struct whorl__runqueue queue;
        fill(&queue, UINT32_MAX - length / 2, 0, length);
        whorl__runqueue_take_back(&queue, task_at(length)); /* was never in there */
        if (length > 1) {
            whorl__runqueue_take_back(&queue, task_at(length - 2)); /* is not the newest */
        }
        assert_int_equal(whorl__runqueue_length(&queue), length);
        if (length > 0) {
            whorl__runqueue_take_back(&queue, task_at(length - 1));
            assert_int_equal(whorl__runqueue_length(&queue), length - 1);
            whorl__runqueue_take_back(&queue, task_at(length - 1)); /* is gone */
            assert_true(whorl__runqueue_push(&queue, task_at(length - 1)));
        }
        expect_rest(&queue, 0, length);
        whorl__runqueue_take_back(&queue, task_at(length - 1)); /* an empty one has no newest */
        assert_int_equal(whorl__runqueue_length(&queue), 0);
    }
}

static void test_runqueue_steal_takes_the_older_half_rounded_up(void **state)
{
    /* For each length: the first is handed over, the rest goes to the thief in order. */
    (void)state;
    struct whorl__runqueue victim;
    struct whorl__runqueue thief;
    for (unsigned b = 0; b < BASES; b++) {
        for (unsigned length = 1; length <= CAPACITY; length++) {
            const unsigned half = (length + 1) / 2;
            void *first = NULL;
            fill(&victim, bases[b], 0, length);
            fill(&thief, ~bases[b], 0, 0);
            assert_int_equal(whorl__runqueue_steal_half(&victim, &thief, &first), half);
            assert_ptr_equal(first, task_at(0));
            expect_rest(&thief, 1, half - 1);
            expect_rest(&victim, half, length - half);
        }
    }
}

static void test_runqueue_steal_from_empty_touches_nothing(void **state)
{
    /* The output must stay as it was: a caller tries several victims with one variable. */
    (void)state;
    struct whorl__runqueue victim;
    struct whorl__runqueue thief;
    void *first = &victim;
    fill(&victim, 7, 0, 0);
    fill(&thief, 9, 0, 3);
    assert_int_equal(whorl__runqueue_steal_half(&victim, &thief, &first), 0);
    assert_ptr_equal(first, &victim);
    expect_rest(&thief, 0, 3);
}

static void test_runqueue_steal_takes_no_more_than_the_thief_has_room_for(void **state)
{
    /* For each fill of the thief, up to full: nothing of its own is overwritten, none is lost. */
    (void)state;
    struct whorl__runqueue victim;
    struct whorl__runqueue thief;
    for (unsigned own = 0; own <= CAPACITY; own++) {
        const unsigned half = (CAPACITY + 1) / 2;
        const unsigned room = CAPACITY - own + 1;
        const unsigned expected = half < room ? half : room;
        void *first = NULL;
        fill(&victim, 5, 0, CAPACITY);
        fill(&thief, 3, CAPACITY, own);
        assert_int_equal(whorl__runqueue_steal_half(&victim, &thief, &first), expected);
        assert_ptr_equal(first, task_at(0));
        for (unsigned i = 0; i < own; i++) {
            assert_ptr_equal(whorl__runqueue_take(&thief), task_at(CAPACITY + i));
        }
        expect_rest(&thief, 1, expected - 1);
        expect_rest(&victim, expected, CAPACITY - expected);
    }
}

static void test_runqueue_stale_head_gives_up_the_steal(void **state)
{
    /* A thief between whose two reads the owner went round sees more tasks than fit: it copies
     * nothing. The counters are set as such a thief would read them. */
    (void)state;
    struct whorl__runqueue victim;
    struct whorl__runqueue thief;
    void *first = NULL;
    fill(&victim, 0, 0, CAPACITY);
    fill(&thief, 0, 0, 0);
    victim.ring.p_tail += 10;
    assert_int_equal(whorl__runqueue_steal_half(&victim, &thief, &first), 0);
    assert_null(first);
    assert_int_equal(whorl__runqueue_length(&thief), 0);
    assert_int_equal(whorl__runqueue_length(&victim), CAPACITY);
    assert_false(whorl__runqueue_verify(&victim));
}

static void test_runqueue_verify_finds_a_hole(void **state)
{
    /* An audit that cannot fail would prove nothing. */
    (void)state;
    struct whorl__runqueue queue;
    fill(&queue, UINT32_MAX, 0, 3);
    assert_true(whorl__runqueue_verify(&queue));
    queue.slots[1] = NULL;
    assert_false(whorl__runqueue_verify(&queue));
}

/* ---- one thread, random steps against an array that does the same by hand ---- */

struct modelled {
    struct whorl__runqueue queue;
    void *items[CAPACITY];
    unsigned length;
};

static void drop_oldest(struct modelled *m, unsigned count)
{
    assert_true(count <= m->length);
    m->length -= count;
    memmove(m->items, m->items + count, m->length * sizeof(m->items[0]));
}

static void push_both(struct modelled *m, void *task)
{
    assert_int_equal(whorl__runqueue_push(&m->queue, task), m->length < CAPACITY);
    if (m->length < CAPACITY) {
        m->items[m->length++] = task;
    }
}

static void take_both(struct modelled *m)
{
    void *const expected = m->length ? m->items[0] : NULL;
    assert_ptr_equal(whorl__runqueue_take(&m->queue), expected);
    if (expected) {
        drop_oldest(m, 1);
    }
}

static void overflow_both(struct modelled *m)
{
    void *taken[CAPACITY];
    const unsigned count = whorl__runqueue_take_half_for_overflow(&m->queue, taken, CAPACITY);
    assert_int_equal(count, (m->length + 1) / 2);
    assert_memory_equal(taken, m->items, count * sizeof(taken[0]));
    drop_oldest(m, count);
}

static void steal_both(struct modelled *victim, struct modelled *thief)
{
    void *first = NULL;
    const unsigned count = whorl__runqueue_steal_half(&victim->queue, &thief->queue, &first);
    assert_int_equal(count == 0, victim->length == 0);
    if (count == 0) {
        return;
    }
    assert_true(count <= (victim->length + 1) / 2);
    assert_ptr_equal(first, victim->items[0]);
    memcpy(thief->items + thief->length, victim->items + 1, (count - 1) * sizeof(first));
    thief->length += count - 1;
    drop_oldest(victim, count);
}

static void test_runqueue_random_steps_follow_a_plain_queue(void **state)
{
    /* Two queues that steal from each other, in long phases of filling and of emptying. */
    (void)state;
    enum { STEPS = 200000, PHASE = 2000 };
    static struct modelled both[2];
    struct whorl__random random;
    whorl__random_init(&random, stress_seed);
    fill(&both[0].queue, UINT32_MAX - STEPS / 4, 0, 0);
    fill(&both[1].queue, 0, 0, 0);
    for (unsigned step = 0; step < STEPS; step++) {
        const unsigned chance_of_push = step / PHASE % 2 ? 30 : 65;
        struct modelled *const m = &both[whorl__random_below(&random, 2)];
        const unsigned dice = whorl__random_below(&random, 100);
        if (dice < chance_of_push) {
            push_both(m, task_at(step));
        } else if (dice < 98) {
            take_both(m);
        } else if (dice < 99) {
            steal_both(m == both ? &both[1] : &both[0], m);
        } else if (m->length == CAPACITY) {
            overflow_both(m);
        }
        assert_int_equal(whorl__runqueue_length(&m->queue), m->length);
    }
    assert_true(whorl__runqueue_verify(&both[0].queue));
    assert_true(whorl__runqueue_verify(&both[1].queue));
}

/* ---- many threads ---- */

#if defined(WHORL_TSAN) || defined(WHORL_ASAN)
enum { ITEMS = 300000 };
#else
enum { ITEMS = 2000000 };
#endif
enum { WORKERS = 4 };

/* The plain fields show a taker that sees a task too early, or an owner that looks too late. */
struct item {
    uint64_t payload; /* written by the pusher before, by the taker after */
    uint32_t taken;   /* A: how often */
};

struct worker {
    struct whorl__runqueue queue;
    struct whorl__random random; /* L */
    unsigned wrong_payloads;     /* L */
    unsigned steals;             /* L */
    unsigned overflows;          /* L */
    pthread_t thread;
};

static struct item *items;
static struct worker workers[WORKERS];
static uint32_t all_pushed; /* A */

static uint64_t payload_of(const struct item *item)
{
    return (uint64_t)(item - items) ^ stress_seed;
}

static void run_item(struct worker *worker, struct item *item)
{
    if (item->payload != payload_of(item)) {
        worker->wrong_payloads++;
    }
    item->payload = ~item->payload;
    whorl__add_relaxed_u32(&item->taken, 1); /* relaxed: read after the join */
}

static bool try_steal(struct worker *worker)
{
    struct worker *const victim = &workers[whorl__random_below(&worker->random, WORKERS)];
    void *first;
    if (victim == worker || !whorl__runqueue_steal_half(&victim->queue, &worker->queue, &first)) {
        return false;
    }
    worker->steals++;
    run_item(worker, first);
    return true;
}

static bool all_queues_are_empty(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        if (whorl__runqueue_length(&workers[i].queue)) {
            return false;
        }
    }
    return true;
}

/* Ends when nothing is pushed any more and no queue has a task; who holds one runs it himself. */
static void run_until_all_is_done(struct worker *worker)
{
    /* acquire, pairs with the release in push_all */
    while (!whorl__load_acquire_u32(&all_pushed) || !all_queues_are_empty()) {
        struct item *const item = whorl__runqueue_take(&worker->queue);
        if (item) {
            run_item(worker, item);
        } else if (!try_steal(worker)) {
            (void)sched_yield();
        }
    }
}

static void push_or_overflow(struct worker *worker, struct item *item)
{
    void *half[CAPACITY];
    while (!whorl__runqueue_push(&worker->queue, item)) {
        const unsigned count =
            whorl__runqueue_take_half_for_overflow(&worker->queue, half, CAPACITY);
        worker->overflows += count > 0;
        for (unsigned i = 0; i < count; i++) {
            run_item(worker, half[i]);
        }
    }
}

static void push_all(struct worker *worker)
{
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i].payload = payload_of(&items[i]);
        push_or_overflow(worker, &items[i]);
        struct item *const own =
            whorl__random_below(&worker->random, 3) ? NULL : whorl__runqueue_take(&worker->queue);
        if (own) {
            run_item(worker, own);
        }
    }
    whorl__store_release_u32(&all_pushed, 1);
}

static void *worker_main(void *arg)
{
    struct worker *const worker = arg;
    if (worker == workers) {
        push_all(worker);
    }
    run_until_all_is_done(worker);
    return NULL;
}

static void start_round(unsigned round)
{
    memset(items, 0, ITEMS * sizeof(*items));
    whorl__store_relaxed_u32(&all_pushed, 0); /* relaxed: nobody runs yet */
    for (unsigned i = 0; i < WORKERS; i++) {
        fill(&workers[i].queue, UINT32_MAX - ITEMS / 2, 0, 0);
        whorl__random_init(&workers[i].random, stress_seed + round * WORKERS + i);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
}

static void finish_round(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_true(whorl__runqueue_verify(&workers[i].queue));
        assert_int_equal(workers[i].wrong_payloads, 0);
    }
    unsigned lost = 0;
    unsigned doubled = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        lost += items[i].taken == 0;
        doubled += items[i].taken > 1;
    }
    assert_int_equal(lost, 0);
    assert_int_equal(doubled, 0);
}

static void test_runqueue_owner_and_thieves_run_each_task_once(void **state)
{
    /* The whole contract at full speed: one pushes and takes, three steal, also from each other. */
    (void)state;
    enum { ROUNDS = 5 };
    items = malloc(ITEMS * sizeof(*items));
    assert_non_null(items);
    for (unsigned round = 0; round < ROUNDS; round++) {
        start_round(round);
        finish_round();
    }
    unsigned steals = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        steals += workers[i].steals;
    }
    print_message("%u steals, %u overflows\n", steals, workers[0].overflows);
    assert_true(steals > 0);
    assert_true(workers[0].overflows > 0);
    free(items);
}

/* ---- from thief to thief ---- */

enum { HOPS = 20000 };

/* Three threads in a row; the last must see what the first wrote, though they share no queue. */
static struct {
    struct whorl__runqueue queues[3];
    uint32_t run; /* A: items that came to an end, at the middle or at the last */
    struct item items[HOPS];
} hop;

static void *hop_first_main(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < HOPS; i++) {
        hop.items[i].payload = i;
        while (!whorl__runqueue_push(&hop.queues[0], &hop.items[i])) {
            (void)sched_yield();
        }
    }
    return NULL;
}

/* Thread `at` steals from the queue of thread at - 1, and ends the one that it is handed. */
static void steal_hop(unsigned at, unsigned *wrong_payloads)
{
    void *first;
    if (!whorl__runqueue_steal_half(&hop.queues[at - 1], &hop.queues[at], &first)) {
        (void)sched_yield();
        return;
    }
    const struct item *item = first;
    unsigned ended = 0;
    while (item) {
        *wrong_payloads += item->payload != (uint64_t)(item - hop.items);
        ended++;
        item = at == 2 ? whorl__runqueue_take(&hop.queues[at]) : NULL;
    }
    whorl__add_relaxed_u32(&hop.run, ended); /* relaxed: must not order what is tested here */
}

static void *hop_middle_main(void *arg)
{
    while (whorl__load_relaxed_u32(&hop.run) < HOPS) { /* relaxed: as above */
        if (whorl__runqueue_length(&hop.queues[1]) == 0) {
            steal_hop(1, arg);
        } else {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void *hop_last_main(void *arg)
{
    while (whorl__load_relaxed_u32(&hop.run) < HOPS) { /* relaxed: as above */
        steal_hop(2, arg);
    }
    return NULL;
}

static void test_runqueue_task_stolen_twice_still_carries_its_writes(void **state)
{
    /* What a steal publishes must be released as a push is; ThreadSanitizer sees it if not. */
    (void)state;
    void *(*const mains[3])(void *) = {hop_first_main, hop_middle_main, hop_last_main};
    unsigned wrong[3] = {0, 0, 0};
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++) {
        whorl__runqueue_init(&hop.queues[i]);
    }
    for (unsigned i = 3; i-- > 0;) { /* the last first: starting a thread would order its memory */
        assert_int_equal(pthread_create(&threads[i], NULL, mains[i], &wrong[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

int main(int argc, char **argv)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    stress_seed = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        stress_seed = strtoull(argv[2], NULL, 10);
    }
    print_message("--seed %llu\n", (unsigned long long)stress_seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runqueue_every_length_comes_out_in_order),
        cmocka_unit_test(test_runqueue_full_refuses_and_keeps_what_it_has),
        cmocka_unit_test(test_runqueue_overflow_takes_the_older_half),
        cmocka_unit_test(test_runqueue_take_back_takes_the_newest_and_nothing_else),
        cmocka_unit_test(test_runqueue_steal_takes_the_older_half_rounded_up),
        cmocka_unit_test(test_runqueue_steal_from_empty_touches_nothing),
        cmocka_unit_test(test_runqueue_steal_takes_no_more_than_the_thief_has_room_for),
        cmocka_unit_test(test_runqueue_stale_head_gives_up_the_steal),
        cmocka_unit_test(test_runqueue_verify_finds_a_hole),
        cmocka_unit_test(test_runqueue_random_steps_follow_a_plain_queue),
        cmocka_unit_test(test_runqueue_owner_and_thieves_run_each_task_once),
        cmocka_unit_test(test_runqueue_task_stolen_twice_still_carries_its_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
