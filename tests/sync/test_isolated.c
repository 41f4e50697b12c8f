/*
 * Locks and queues between loops of which each keeps asyncio's order (WHORL_MODE_ISOLATED): who is
 * woken there has nothing reserved, and who is about to leave can be told on his own loop only.
 * Rows MT-9 and MT-29: nothing lost, nothing twice, order per producer, all waiters end.
 */
#include "sync/program_sync.h"

#include <errno.h>

enum { LOOPS = 3, PUTTERS = 6, GETTERS = 6, ITEMS = 200 };

struct shared {
    struct whorl_queue queue;
    struct whorl_lock lock;
    size_t got[PUTTERS]; /* M(lock): the last of each that came */
    size_t count;        /* M(lock) */
};

struct party {
    struct shared *shared;
    size_t number;
    size_t items;
};

/* An item: who put it, and its number there, from 1. */
static int put_all(void *arg)
{
    struct party *const self = arg;
    int error = 0;
    while (error == 0 && self->items < ITEMS) {
        const uintptr_t item = self->number * (ITEMS + 1) + self->items + 1;
        error = whorl_queue_put(&self->shared->queue, (void *)item);
        self->items += error == 0;
    }
    return error;
}

static void note_item(struct shared *shared, uintptr_t item)
{
    const size_t putter = item / (ITEMS + 1);
    const size_t number = item % (ITEMS + 1);
    EXPECT(putter < PUTTERS && number > 0);
    shared->count++;
    shared->got[putter] += number;
}

static int get_all(void *arg)
{
    struct party *const self = arg;
    struct shared *const shared = self->shared;
    size_t last[PUTTERS] = {0};
    void *item;
    int error;
    while ((error = whorl_queue_get(&shared->queue, &item)) == 0) {
        const uintptr_t number = (uintptr_t)item;
        EXPECT(number % (ITEMS + 1) > last[number / (ITEMS + 1)]);
        last[number / (ITEMS + 1)] = number % (ITEMS + 1);
        struct whorl_shield shield;
        must(whorl_shield_begin(&shield));
        must(whorl_lock_acquire(&shared->lock));
        note_item(shared, number);
        EXPECT_IS(whorl_lock_release(&shared->lock), 0);
        whorl_shield_end(&shield);
        EXPECT_IS(whorl_queue_task_done(&shared->queue), 0);
    }
    return error;
}

static struct whorl_task *start_on(size_t loop, whorl_body *body, struct party *party)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN((int)(loop % LOOPS))};
    struct whorl_task *task;
    must(whorl_spawn(body, party, &attr, &task));
    return task;
}

static void check_all(const struct shared *shared, const struct party *putters)
{
    size_t count = 0;
    for (size_t i = 0; i < PUTTERS; i++) {
        count += putters[i].items;
        EXPECT_IS((long)shared->got[i], (long)(putters[i].items * (putters[i].items + 1) / 2));
    }
    EXPECT_IS((long)shared->count, (long)count);
}

/* Every second putter, and all getters but two, are cancelled on their way. */
static int hand_over(void *arg)
{
    struct shared shared = {.queue = WHORL_QUEUE_INIT(1)};
    struct party putters[PUTTERS];
    struct party getters[GETTERS];
    struct whorl_task *put[PUTTERS];
    struct whorl_task *got[GETTERS];
    (void)arg;
    for (size_t i = 0; i < PUTTERS; i++) {
        putters[i] = (struct party){&shared, i, 0};
        getters[i] = (struct party){&shared, i, 0};
        put[i] = start_on(i, put_all, &putters[i]);
        got[i] = start_on(i + 1, get_all, &getters[i]);
    }
    for (size_t i = 0; i < PUTTERS; i++) {
        must(whorl_yield());
        (void)whorl_cancel(i % 2 == 0 ? put[i] : NULL, NULL);
        (void)whorl_cancel(i < GETTERS - 2 ? got[i] : NULL, NULL);
    }
    for (size_t i = 0; i < PUTTERS; i++) {
        const int error = finish(put[i]);
        EXPECT(error == 0 || (error == -ECANCELED && i % 2 == 0));
    }
    EXPECT_IS(whorl_queue_join(&shared.queue), 0);
    EXPECT_IS(whorl_queue_shutdown(&shared.queue, false), 0);
    for (size_t i = 0; i < GETTERS; i++) {
        const int error = finish(got[i]);
        EXPECT(error == -ESHUTDOWN || (error == -ECANCELED && i < GETTERS - 2));
    }
    check_all(&shared, putters);
    EXPECT_IS(whorl_queue_destroy(&shared.queue), 0);
    EXPECT_IS(whorl_lock_destroy(&shared.lock), 0);
    return 0;
}

static int repeat(void *arg)
{
    for (int round = 0; round < 20; round++) {
        EXPECT_IS(hand_over(arg), 0);
    }
    return 0;
}

static int run_isolated(void *arg)
{
    const struct whorl_options options = {.loops = LOOPS, .mode = WHORL_MODE_ISOLATED, .no_pin = 1};
    (void)arg;
    return whorl_run(repeat, NULL, &options);
}

static void test_mt_9_strict_loops_share_queues_and_locks(void **state)
{
    (void)state;
    at_no_loop(run_isolated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_9_strict_loops_share_queues_and_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
