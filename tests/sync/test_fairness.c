/*
 * Fairness: a task for which there always is something lets others run all the same.
 *
 * A greedy task and a modest one are pinned to the same loop, so that nobody but that loop runs
 * either. The greedy one makes calls that could wait and never have to, without end; the modest one
 * does nothing but yield, and looks each time how many calls were made since. These counts are of
 * one thread, whatever the machine does meanwhile. Without fairness the modest one never runs; the
 * greedy one then stops by itself, far beyond every bound.
 */
#include "sync/program_sync.h"

#include "loop/loop.h"
#include "support/net.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#define ROUNDS     50
#define FAR_BEYOND 20000

/* Calls in one run: so many, and the one that gives way. */
#define SYNC_MOST  (WHORL__ALLOWANCE / WHORL__COST_SYNC + 1)
#define IO_MOST    (WHORL__ALLOWANCE / WHORL__COST_IO + 1)

struct pair {
    int (*call)(struct pair *pair); /* one that could wait: 0, or it ends the greedy task */
    unsigned most;                  /* of it in one run */
    long limit;                     /* it stops by itself then */
    long calls;
    long longest; /* between two runs of the modest one */
    unsigned rounds;
    bool over;
    int got; /* what ended the greedy one */
    int pin;
    struct whorl_lock lock;
    struct whorl_semaphore semaphore;
    struct whorl_rwlock rwlock;
    struct whorl_event event;
    struct whorl_queue queue;
    int fds[2];
    struct whorl_task *greedy;
    struct whorl_task *modest;
};

/* ---- calls that need not wait ---- */

static int take_lock(struct pair *pair)
{
    const int error = whorl_lock_acquire(&pair->lock);
    return error != 0 ? error : whorl_lock_release(&pair->lock);
}

static int take_unit(struct pair *pair)
{
    const int error = whorl_semaphore_acquire(&pair->semaphore);
    return error != 0 ? error : whorl_semaphore_release(&pair->semaphore);
}

static int read_lock(struct pair *pair)
{
    const int error = whorl_rwlock_acquire_read(&pair->rwlock);
    return error != 0 ? error : whorl_rwlock_release_read(&pair->rwlock);
}

static int write_lock(struct pair *pair)
{
    const int error = whorl_rwlock_acquire_write(&pair->rwlock);
    return error != 0 ? error : whorl_rwlock_release_write(&pair->rwlock);
}

static int wait_for_event(struct pair *pair)
{
    return whorl_event_wait(&pair->event);
}

/* It is never empty: what was got is put back, which does not wait. */
static int get_item(struct pair *pair)
{
    void *item;
    const int error = whorl_queue_get(&pair->queue, &item);
    return error != 0 ? error : whorl_queue_try_put(&pair->queue, item);
}

/* It is never full. */
static int put_item(struct pair *pair)
{
    void *item;
    const int error = whorl_queue_put(&pair->queue, NULL);
    return error != 0 ? error : whorl_queue_try_get(&pair->queue, &item);
}

static int join_queue(struct pair *pair)
{
    return whorl_queue_join(&pair->queue);
}

/* There is room each time, and never an item. */
static int select_room(struct pair *pair)
{
    void *item;
    struct whorl_select_case cases[] = {WHORL_CASE_PUT(&pair->queue, NULL), WHORL_CASE_NEVER};
    const int chosen = whorl_select(cases, 2);
    return chosen < 0 ? chosen : whorl_queue_try_get(&pair->queue, &item);
}

static int read_byte(struct pair *pair)
{
    char byte;
    const ssize_t got = whorl_read(pair->fds[0], &byte, 1);
    return got != 1 ? (int)got : write(pair->fds[1], &byte, 1) == 1 ? 0 : -EPROTO;
}

static int write_byte(struct pair *pair)
{
    char byte = 'x';
    const ssize_t put = whorl_write(pair->fds[1], &byte, 1);
    return put != 1 ? (int)put : read(pair->fds[0], &byte, 1) == 1 ? 0 : -EPROTO;
}

static int wait_for_fd(struct pair *pair)
{
    const int ready = whorl_fd_wait(pair->fds[0], POLLIN);
    return ready < 0 ? ready : ready == POLLIN ? 0 : -EPROTO;
}

struct kind {
    int (*call)(struct pair *pair);
    unsigned most;
};

static const struct kind kinds[] = {
    {take_lock, SYNC_MOST},      {take_unit, SYNC_MOST},  {read_lock, SYNC_MOST},
    {write_lock, SYNC_MOST},     {get_item, SYNC_MOST},   {put_item, SYNC_MOST},
    {wait_for_event, SYNC_MOST}, {join_queue, SYNC_MOST}, {select_room, SYNC_MOST},
    {read_byte, IO_MOST},        {write_byte, IO_MOST},   {wait_for_fd, IO_MOST},
};

enum { KINDS = sizeof kinds / sizeof kinds[0], KINDS_OF_SYNC = KINDS - 3 };

/* ---- the two ---- */

static int be_greedy(void *arg)
{
    struct pair *const pair = arg;
    int error = 0;
    while (error == 0 && !pair->over && pair->calls < pair->limit) {
        pair->calls++;
        error = pair->call(pair);
    }
    pair->got = error;
    return 0;
}

static int be_modest(void *arg)
{
    struct pair *const pair = arg;
    while (pair->rounds < ROUNDS) {
        const long before = pair->calls;
        EXPECT_IS(whorl_yield(), 0);
        const long between = pair->calls - before;
        pair->longest = between > pair->longest ? between : pair->longest;
        pair->rounds++;
    }
    pair->over = true;
    return 0;
}

static struct whorl_task *start_at(whorl_body *body, struct pair *pair)
{
    const struct whorl_attr attr = {.pin = pair->pin};
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, pair, &attr, &task));
    return task;
}

/* The queue has an item at all times for who gets, and room for who puts; nothing is unfinished
 * for who joins. */
static void open_pair(struct pair *pair, const struct kind *kind, int pin)
{
    *pair = (struct pair){
        .call = kind->call, .most = kind->most, .limit = FAR_BEYOND, .got = UNSET, .pin = pin};
    must(whorl_lock_init(&pair->lock, 0));
    must(whorl_semaphore_init(&pair->semaphore, 1, 0));
    must(whorl_rwlock_init(&pair->rwlock));
    must(whorl_event_init(&pair->event));
    must(whorl_event_set(&pair->event));
    must(whorl_queue_init(&pair->queue, WHORL_QUEUE_FIFO, 4, NULL));
    if (kind->call == get_item) {
        must(whorl_queue_put(&pair->queue, pair));
    }
    EXPECT(net_pair(NET_UNIX_ABSTRACT, pair->fds));
    EXPECT_IS(write(pair->fds[1], "abcd", 4), 4);
}

static void close_pair(struct pair *pair)
{
    EXPECT_IS(whorl_queue_destroy(&pair->queue), 0);
    EXPECT_IS(whorl_lock_destroy(&pair->lock), 0);
    EXPECT_IS(whorl_semaphore_destroy(&pair->semaphore), 0);
    EXPECT_IS(whorl_rwlock_destroy(&pair->rwlock), 0);
    EXPECT_IS(whorl_event_destroy(&pair->event), 0);
    EXPECT_IS(whorl_close(pair->fds[0]), 0);
    EXPECT_IS(whorl_close(pair->fds[1]), 0);
}

static int start_both(void *arg)
{
    struct pair *const pair = arg;
    pair->greedy = start_at(be_greedy, pair);
    pair->modest = start_at(be_modest, pair);
    return 0;
}

/* From their own loop: when the greedy one begins, the modest one is ready. */
static void start_pair(struct pair *pair)
{
    EXPECT_IS(finish(start_at(start_both, pair)), 0);
}

static void finish_pair(struct pair *pair)
{
    EXPECT_IS(finish(pair->modest), 0);
    EXPECT_IS(finish(pair->greedy), 0);
}

/* ---- one pair ---- */

static int play_kind(const struct kind *kind, int pin)
{
    struct pair pair;
    open_pair(&pair, kind, pin);
    start_pair(&pair);
    finish_pair(&pair);
    EXPECT_IS(pair.got, 0);
    EXPECT_IS(pair.rounds, ROUNDS);
    EXPECT(pair.calls < FAR_BEYOND);
    EXPECT(pair.longest <= (long)pair.most);
    EXPECT(pair.longest > (long)pair.most / 2); /* and not after each call either */
    close_pair(&pair);
    return 0;
}

static int play_kinds(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        (void)play_kind(&kinds[i], WHORL_PIN(1));
    }
    return 0;
}

static void test_who_never_has_to_wait_lets_others_run_at_several_loops(void **state)
{
    /* Each kind of call: at most so many of them between two runs of the modest task. */
    (void)state;
    at_loops(2, play_kinds);
    at_loops(LOOPS_MOST, play_kinds);
}

static int play_kinds_alone(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        (void)play_kind(&kinds[i], 0);
    }
    return 0;
}

static void test_who_never_has_to_wait_lets_others_run_at_one_fast_loop(void **state)
{
    /* It keeps the order of several, not asyncio's: so it owes what they owe. */
    (void)state;
    at_fast_loop(play_kinds_alone);
}

/* ---- one loop ---- */

static int play_in_order(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS_OF_SYNC; i++) {
        struct pair pair;
        open_pair(&pair, &kinds[i], 0);
        start_pair(&pair);
        finish_pair(&pair);
        EXPECT_IS(pair.calls, FAR_BEYOND); /* all of them, before the modest one had begun */
        EXPECT_IS(pair.longest, 0);
        close_pair(&pair);
    }
    return 0;
}

static void test_que_3_at_one_loop_who_need_not_wait_goes_on_as_in_asyncio(void **state)
{
    (void)state;
    at_one_loop(play_in_order);
}

static int play_io(void *arg)
{
    (void)arg;
    for (size_t i = KINDS_OF_SYNC; i < KINDS; i++) {
        (void)play_kind(&kinds[i], 0);
    }
    return 0;
}

static void test_descriptors_that_are_always_ready_let_others_run_at_one_loop(void **state)
{
    (void)state;
    at_one_loop(play_io);
}

/* Locks and reads by turns, both from one allowance. At one loop only the reads count. */
static int read_or_lock(struct pair *pair)
{
    return pair->calls % 2 == 0 ? read_byte(pair) : take_lock(pair);
}

static int play_mixed_many(void *arg)
{
    const unsigned both = WHORL__COST_IO + WHORL__COST_SYNC;
    const struct kind kind = {read_or_lock, 2 * (WHORL__ALLOWANCE / both + 1)};
    (void)arg;
    return play_kind(&kind, WHORL_PIN(1));
}

static int play_mixed_one(void *arg)
{
    const struct kind kind = {read_or_lock, 2 * IO_MOST};
    (void)arg;
    return play_kind(&kind, 0);
}

static void test_io_and_locks_share_one_allowance_at_several_loops(void **state)
{
    (void)state;
    at_loops(2, play_mixed_many);
    at_one_loop(play_mixed_one);
}

/* ---- a cancel ---- */

/* A run that asks for the end of the greedy task, from its own loop or from another one. */
static int cancel_greedy(void *arg)
{
    struct pair *const pair = arg;
    (void)whorl_cancel(pair->greedy, NULL);
    return 0;
}

static int cancel_each(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 2 * KINDS; i++) {
        struct pair pair;
        open_pair(&pair, &kinds[i / 2], WHORL_PIN(1));
        pair.limit = LONG_MAX;
        pair.greedy = start_at(be_greedy, &pair);
        pair.pin = i % 2 == 0 ? WHORL_PIN(0) : WHORL_PIN(1);
        EXPECT_IS(finish(start_at(cancel_greedy, &pair)), 0);
        (void)finish(pair.greedy);
        EXPECT(pair.got == -ECANCELED || pair.got == UNSET); /* or it had not begun */
        EXPECT(!whorl_lock_locked(&pair.lock));
        EXPECT_IS(whorl_semaphore_value(&pair.semaphore), 1);
        EXPECT_IS(whorl_rwlock_try_acquire_write(&pair.rwlock), 0);
        EXPECT_IS(whorl_rwlock_release_write(&pair.rwlock), 0);
        EXPECT_IS((long)whorl_queue_size(&pair.queue), pair.call == get_item);
        char bytes[8];
        EXPECT_IS(read(pair.fds[0], bytes, sizeof bytes), 4);
        close_pair(&pair);
    }
    return 0;
}

static void test_a_cancel_reaches_who_never_has_to_wait_and_nothing_is_lost(void **state)
{
    /* The call that gives way is a wait: it has taken nothing when the cancel is told. */
    (void)state;
    at_loops(2, cancel_each);
}

/* ---- who is not made to give way ---- */

static int try_only(struct pair *pair)
{
    void *item;
    if (whorl_lock_try_acquire(&pair->lock) != 0 || whorl_lock_release(&pair->lock) != 0 ||
        whorl_semaphore_try_acquire(&pair->semaphore) != 0 ||
        whorl_semaphore_release(&pair->semaphore) != 0 ||
        whorl_queue_try_put(&pair->queue, NULL) != 0) {
        return -EPROTO;
    }
    return whorl_queue_try_get(&pair->queue, &item);
}

/* Without a limit there is nothing that a put could wait for. */
static int put_without_limit(struct pair *pair)
{
    static struct whorl_queue queue = WHORL_QUEUE_INIT(0);
    void *item;
    const int error = whorl_queue_put(&queue, pair);
    return error != 0 ? error : whorl_queue_try_get(&queue, &item);
}

static int play_without_waits(void *arg)
{
    static const struct kind without[] = {{try_only, 0}, {put_without_limit, 0}};
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        struct pair pair;
        open_pair(&pair, &without[i], WHORL_PIN(1));
        start_pair(&pair);
        finish_pair(&pair);
        EXPECT_IS(pair.got, 0);
        EXPECT_IS(pair.calls, FAR_BEYOND);
        close_pair(&pair);
    }
    return 0;
}

static void test_calls_that_can_never_wait_never_give_way(void **state)
{
    (void)state;
    at_loops(2, play_without_waits);
}

static int be_greedy_in_a_strand(void *arg)
{
    static struct whorl_strand strand = WHORL_STRAND_INIT;
    EXPECT_IS(whorl_strand_enter(&strand), 0);
    return be_greedy(arg);
}

static int start_strand(void *arg)
{
    struct pair *const pair = arg;
    pair->greedy = start_at(be_greedy_in_a_strand, pair);
    pair->modest = start_at(be_modest, pair);
    return 0;
}

static int play_strands(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        const bool of_sync = i < KINDS_OF_SYNC;
        struct pair pair;
        open_pair(&pair, &kinds[i], WHORL_PIN(1));
        EXPECT_IS(finish(start_at(start_strand, &pair)), 0);
        finish_pair(&pair);
        EXPECT_IS(pair.got, 0);
        EXPECT(of_sync ? pair.calls == FAR_BEYOND : pair.longest <= (long)pair.most);
        close_pair(&pair);
    }
    return 0;
}

/* As at one loop: what single-loop code does between two waits stays whole. */
static void test_que_3_in_a_strand_who_need_not_wait_goes_on_as_in_asyncio(void **state)
{
    (void)state;
    at_loops(2, play_strands);
}

struct outside {
    struct whorl_lock lock;
    struct whorl_future *done;
    int got;
};

/* More than may be spent, where nothing may wait. */
static int lock_often(struct outside *outside)
{
    int error = 0;
    for (int i = 0; i < 3 * SYNC_MOST && error == 0; i++) {
        error = whorl_lock_acquire(&outside->lock);
        error = error == 0 ? whorl_lock_release(&outside->lock) : error;
    }
    return error;
}

static void lock_in_callback(void *arg)
{
    struct outside *const outside = arg;
    outside->got = lock_often(outside);
    must(whorl_future_set_result(outside->done, NULL));
}

static int lock_in_thread(void *arg)
{
    return lock_often(arg);
}

static int play_outside(void *arg)
{
    struct outside outside = {.lock = WHORL_LOCK_INIT, .got = UNSET};
    struct beside beside;
    (void)arg;
    outside.done = new_future();
    must(whorl_call_soon(lock_in_callback, &outside, NULL, NULL));
    EXPECT_IS(whorl_future_await(outside.done, NULL), 0);
    EXPECT_IS(outside.got, 0);
    whorl_future_unref(outside.done);
    beside_start(&beside, lock_in_thread, &outside);
    EXPECT_IS(beside_finish(&beside), 0);
    return 0;
}

static void test_callbacks_and_threads_spend_nothing(void **state)
{
    (void)state;
    at_all_loops(play_outside);
}

/* A wait in the exception handler would end the process. */
static int lock_in_handler(void *arg, const struct whorl_report *report)
{
    struct outside *const outside = arg;
    (void)report;
    outside->got = lock_often(outside);
    return 0;
}

static int play_handler(void *arg)
{
    const struct whorl_report report = {.message = "a report of the test's own"};
    struct outside outside = {.lock = WHORL_LOCK_INIT, .got = UNSET};
    (void)arg;
    must(whorl_exception_handler_set(lock_in_handler, &outside));
    EXPECT_IS(whorl_exception_handler_call(&report), 0);
    EXPECT_IS(outside.got, 0);
    must(whorl_exception_handler_set(NULL, NULL));
    return 0;
}

static void test_the_exception_handler_never_gives_way(void **state)
{
    (void)state;
    at_all_loops(play_handler);
}

/* An eager child has an allowance of its own, and its creator goes on with what it had. */
static int spend_most(void *arg)
{
    struct pair *const pair = arg;
    for (int i = 0; i < SYNC_MOST - 1; i++) {
        EXPECT_IS(take_lock(pair), 0);
    }
    return 0;
}

static int create_often(struct pair *pair)
{
    const struct whorl_attr attr = {.flags = WHORL_EAGER};
    must(whorl_spawn(spend_most, pair, &attr, NULL));
    return whorl_event_wait(&pair->event);
}

static int play_eager(void *arg)
{
    const struct kind kind = {create_often, SYNC_MOST};
    (void)arg;
    return play_kind(&kind, WHORL_PIN(1));
}

static void test_an_eager_child_spends_its_own(void **state)
{
    (void)state;
    at_loops(2, play_eager);
}

/* ---- what a loop has to do beside ---- */

struct services {
    struct pair pair;
    int fds[2];
    unsigned served; /* by tasks and calls of the greedy one's loop */
};

static void count_served(struct services *services)
{
    services->pair.over = ++services->served == 3;
}

static int be_served_by_a_timer(void *arg)
{
    EXPECT_IS(whorl_sleep(WHORL_MILLISECOND), 0);
    count_served(arg);
    return 0;
}

static int be_served_by_the_poller(void *arg)
{
    struct services *const services = arg;
    char byte;
    EXPECT_IS(whorl_read(services->fds[0], &byte, 1), 1);
    count_served(services);
    return 0;
}

static void be_served_by_a_post(void *arg)
{
    count_served(arg);
}

/* The greedy task runs until all three were served: by its loop, to which they are bound, too. */
static void play_service(const struct kind *kind)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(1)};
    const struct whorl_call_attr call_attr = {.pin = WHORL_PIN(1)};
    struct services services = {.served = 0};
    struct whorl_task *tasks[2];
    open_pair(&services.pair, kind, WHORL_PIN(1));
    services.pair.limit = LONG_MAX;
    EXPECT(net_pair(NET_UNIX_ABSTRACT, services.fds));
    must(whorl_spawn(be_served_by_the_poller, &services, &attr, &tasks[0]));
    must(whorl_spawn(be_served_by_a_timer, &services, &attr, &tasks[1]));
    services.pair.greedy = start_at(be_greedy, &services.pair);
    EXPECT_IS(whorl_write(services.fds[1], "x", 1), 1);
    must(whorl_call_soon(be_served_by_a_post, &services, &call_attr, NULL));
    EXPECT_IS(finish(tasks[0]), 0);
    EXPECT_IS(finish(tasks[1]), 0);
    EXPECT_IS(finish(services.pair.greedy), 0);
    EXPECT_IS(services.pair.got, 0);
    EXPECT_IS(services.served, 3);
    EXPECT_IS(whorl_close(services.fds[0]), 0);
    EXPECT_IS(whorl_close(services.fds[1]), 0);
    close_pair(&services.pair);
}

static int play_services(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        play_service(&kinds[i]);
    }
    return 0;
}

static void test_timers_posts_and_the_poller_are_served_beside_a_greedy_task(void **state)
{
    (void)state;
    at_loops(2, play_services);
}

/* ---- tasks that wake each other ---- */

enum { CHAINS = 4, HANDED_MOST = 64 };

/* Pairs that hand an item to and fro through queues of one: each put wakes who runs next. One of
 * the two loops is held, so that nobody takes a task away from the other one. */
static struct {
    struct chain {
        struct whorl_queue there;
        struct whorl_queue back;
    } pairs[CHAINS];
    long handed;
    long longest[2]; /* between two runs of a modest task */
    unsigned modest; /* that have come to their end */
    bool over;       /* for those of the loop */
    uint32_t ended;  /* A: for who holds the other one */
} chains;

static int hand_there(void *arg)
{
    struct chain *const chain = arg;
    void *item;
    int error = 0;
    while (error == 0 && !chains.over && chains.handed < FAR_BEYOND) {
        error = whorl_queue_put(&chain->there, NULL);
        error = error == 0 ? whorl_queue_get(&chain->back, &item) : error;
        chains.handed++;
    }
    EXPECT_IS(error, 0);
    EXPECT_IS(whorl_queue_shutdown(&chain->there, false), 0);
    return 0;
}

static int hand_back(void *arg)
{
    struct chain *const chain = arg;
    void *item;
    int error = 0;
    while (error == 0) {
        error = whorl_queue_get(&chain->there, &item);
        error = error == 0 ? whorl_queue_put(&chain->back, item) : error;
        chains.handed++;
    }
    EXPECT_IS(error, -ESHUTDOWN);
    return 0;
}

static int be_modest_beside_chains(void *arg)
{
    long *const longest = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const long before = chains.handed;
        EXPECT_IS(whorl_yield(), 0);
        const long between = chains.handed - before;
        *longest = between > *longest ? between : *longest;
    }
    chains.over = ++chains.modest == 2;
    return 0;
}

/* On loop 1: the chains and one of the modest tasks are free, the other one is pinned. */
static int direct_chains(void *arg)
{
    const struct whorl_attr pinned = {.pin = WHORL_PIN(1)};
    struct whorl_task *tasks[2 * CHAINS + 2];
    (void)arg;
    for (size_t i = 0; i < CHAINS; i++) {
        struct chain *const chain = &chains.pairs[i];
        must(whorl_queue_init(&chain->there, WHORL_QUEUE_FIFO, 1, NULL));
        must(whorl_queue_init(&chain->back, WHORL_QUEUE_FIFO, 1, NULL));
        tasks[2 * i] = start(hand_back, chain);
        tasks[2 * i + 1] = start(hand_there, chain);
    }
    tasks[2 * CHAINS] = start(be_modest_beside_chains, &chains.longest[0]);
    must(whorl_spawn(be_modest_beside_chains, &chains.longest[1], &pinned, &tasks[2 * CHAINS + 1]));
    for (size_t i = 0; i < 2 * CHAINS + 2; i++) {
        EXPECT_IS(finish(tasks[i]), 0);
    }
    whorl__store_release_u32(&chains.ended, 1);
    return 0;
}

static int hold_and_direct(void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN(1)};
    struct whorl_task *director = NULL;
    (void)arg;
    must(whorl_spawn(direct_chains, NULL, &attr, &director));
    while (whorl__load_acquire_u32(&chains.ended) == 0) {
        sched_yield();
    }
    EXPECT_IS(finish(director), 0);
    return 0;
}

static int play_chains(void *arg)
{
    struct whorl_task *holder = NULL;
    const struct whorl_attr attr = {.pin = WHORL_PIN(0)};
    (void)arg;
    memset(&chains, 0, sizeof chains);
    must(whorl_spawn(hold_and_direct, NULL, &attr, &holder));
    EXPECT_IS(finish(holder), 0);
    EXPECT(chains.handed < FAR_BEYOND);
    EXPECT(chains.longest[0] > 0 && chains.longest[0] <= HANDED_MOST);
    EXPECT(chains.longest[1] > 0 && chains.longest[1] <= HANDED_MOST);
    return 0;
}

static void test_tasks_that_wake_each_other_let_others_run(void **state)
{
    (void)state;
    at_loops(2, play_chains);
}

/* ---- very many loops ---- */

enum { VERY_MANY = 64 };

static int play_very_many(void *arg)
{
    static struct pair pairs[VERY_MANY];
    (void)arg;
    for (int i = 0; i < VERY_MANY; i++) {
        open_pair(&pairs[i], &kinds[i % KINDS], WHORL_PIN(i));
    }
    for (int i = 0; i < VERY_MANY; i++) {
        start_pair(&pairs[i]);
    }
    for (int i = 0; i < VERY_MANY; i++) {
        finish_pair(&pairs[i]);
        EXPECT_IS(pairs[i].got, 0);
        EXPECT_IS(pairs[i].rounds, ROUNDS);
        EXPECT(pairs[i].longest <= (long)pairs[i].most);
        close_pair(&pairs[i]);
    }
    return 0;
}

static void test_each_of_64_loops_is_fair(void **state)
{
    (void)state;
    at_loops(VERY_MANY, play_very_many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_never_has_to_wait_lets_others_run_at_several_loops),
        cmocka_unit_test(test_who_never_has_to_wait_lets_others_run_at_one_fast_loop),
        cmocka_unit_test(test_que_3_at_one_loop_who_need_not_wait_goes_on_as_in_asyncio),
        cmocka_unit_test(test_descriptors_that_are_always_ready_let_others_run_at_one_loop),
        cmocka_unit_test(test_io_and_locks_share_one_allowance_at_several_loops),
        cmocka_unit_test(test_a_cancel_reaches_who_never_has_to_wait_and_nothing_is_lost),
        cmocka_unit_test(test_calls_that_can_never_wait_never_give_way),
        cmocka_unit_test(test_que_3_in_a_strand_who_need_not_wait_goes_on_as_in_asyncio),
        cmocka_unit_test(test_callbacks_and_threads_spend_nothing),
        cmocka_unit_test(test_the_exception_handler_never_gives_way),
        cmocka_unit_test(test_an_eager_child_spends_its_own),
        cmocka_unit_test(test_timers_posts_and_the_poller_are_served_beside_a_greedy_task),
        cmocka_unit_test(test_tasks_that_wake_each_other_let_others_run),
        cmocka_unit_test(test_each_of_64_loops_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
