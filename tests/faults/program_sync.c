/*
 * program_sync.c - a program that waits for locks, semaphores, events, conditions, barriers and
 * queues, with deadlines that come and with such that do not, in tasks and in a plain thread; and
 * puts into queues what they have no room for yet.
 *
 * What may fail in it: memory for a timer, memory for a queue's items, the futex of the thread. A
 * call that told of it is made again, on the same object: so nobody was left in its line.
 */
#include "programs.h"
#include "support/net.h"
#include "support/play.h"

#include <errno.h>
#include <pthread.h>

enum { WAITERS = 20, ITEMS = 40 };

#define SOON  whorl_after(1000)
#define NEVER whorl_after(60 * WHORL_SECOND)

/* ---- deadlines that come, in whoever calls ---- */

static void wait_for_locks(void)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    struct whorl_rwlock rwlock = WHORL_RWLOCK_INIT;
    struct whorl_semaphore semaphore = WHORL_SEMAPHORE_INIT(1);
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_acquire(&lock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_rwlock_acquire_write(&rwlock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_semaphore_acquire(&semaphore));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_lock_acquire_until(&lock, SOON));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_rwlock_acquire_read_until(&rwlock, SOON));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_rwlock_acquire_write_until(&rwlock, SOON));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_semaphore_acquire_until(&semaphore, SOON));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_release(&lock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_rwlock_release_write(&rwlock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_semaphore_release(&semaphore));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_destroy(&lock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_rwlock_destroy(&rwlock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_semaphore_destroy(&semaphore));
}

/* A wait that fails has the condition's lock. */
static void wait_for_news(void)
{
    struct whorl_event event = WHORL_EVENT_INIT;
    struct whorl_condition condition = WHORL_CONDITION_INIT;
    struct whorl_barrier barrier = WHORL_BARRIER_INIT(2);
    struct whorl_lock *const lock = whorl_condition_lock(&condition);
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_event_wait_until(&event, SOON));
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_lock_acquire_until(lock, NEVER));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_condition_wait_until(&condition, SOON));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_release(lock));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_barrier_wait_until(&barrier, SOON, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_event_destroy(&event));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_condition_destroy(&condition));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_barrier_destroy(&barrier));
}

static void wait_for_items(void)
{
    struct whorl_queue queue = WHORL_QUEUE_INIT(1);
    void *item = NULL;
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_queue_get_until(&queue, SOON, &item));
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_queue_put_until(&queue, &queue, NEVER));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_queue_put_until(&queue, &item, SOON));
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_queue_join_until(&queue, SOON));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_get(&queue, &item));
    NET_EXPECT(item == &queue);
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_task_done(&queue));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_join(&queue));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_destroy(&queue));
}

/* ---- more that wait at once than a new heap of timers has room for ---- */

static int wait_for_event(void *arg)
{
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_event_wait_until(arg, NEVER));
    return 0;
}

static void wait_together(void)
{
    struct trial_child children[WAITERS];
    struct whorl_event event = WHORL_EVENT_INIT;
    for (int i = 0; i < WAITERS; i++) {
        children[i] = (struct trial_child){.body = wait_for_event, .arg = &event};
        trial_begin(&children[i]);
    }
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_event_set(&event));
    for (int i = 0; i < WAITERS; i++) {
        NET_EXPECT_EQUAL(trial_finish(&children[i]), 0);
    }
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_event_destroy(&event));
}

/* ---- queues that grow ---- */

static int compare_numbers(const void *a, const void *b)
{
    const int *const left = a;
    const int *const right = b;
    return (*left > *right) - (*left < *right);
}

/* Whoever gets meanwhile loses nothing by a put that failed; what is got is what was put. */
static void fill(struct whorl_queue *queue)
{
    int numbers[ITEMS];
    void *item = NULL;
    int sum = 0;
    for (int i = 0; i < ITEMS; i++) {
        numbers[i] = i;
        (void)TRY_FOR(TRIAL_FUTURE, 0,
                      i % 2 == 0 ? whorl_queue_put(queue, &numbers[i])
                                 : whorl_queue_try_put(queue, &numbers[i]));
        NET_EXPECT_EQUAL((int)whorl_queue_size(queue), i + 1);
    }
    for (int i = 0; i < ITEMS; i++) {
        (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_get(queue, &item));
        sum += *(int *)item;
    }
    NET_EXPECT_EQUAL(sum, ITEMS * (ITEMS - 1) / 2);
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_shutdown(queue, true));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_destroy(queue));
}

static void fill_queues(void)
{
    struct whorl_queue queues[] = {WHORL_QUEUE_INIT(0), WHORL_QUEUE_INIT_LIFO(0),
                                   WHORL_QUEUE_INIT_PRIORITY(0, compare_numbers)};
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        fill(&queues[i]);
    }
}

/* ---- a plain thread, which waits by a futex ---- */

struct visit {
    struct whorl_lock taken; /* by a task, until the thread has ended */
    struct whorl_queue empty;
    struct whorl_lock lock; /* a task has it at first */
    struct whorl_semaphore units;
    struct whorl_queue queue;
    struct whorl_barrier barrier;
    struct whorl_event ended;
};

static void *visitor(void *arg)
{
    struct visit *const visit = arg;
    void *item = NULL;
    (void)TRY_FOR(TRIAL_PLAIN, -ETIMEDOUT, whorl_lock_acquire_until(&visit->taken, SOON));
    (void)TRY_FOR(TRIAL_PLAIN, -ETIMEDOUT, whorl_queue_get_until(&visit->empty, SOON, &item));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_semaphore_acquire(&visit->units));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_get(&visit->queue, &item));
    NET_EXPECT(item == visit);
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_acquire(&visit->lock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_release(&visit->lock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_barrier_wait(&visit->barrier, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_event_set(&visit->ended));
    return NULL;
}

static void meet_visitor(void)
{
    struct visit visit = {.taken = WHORL_LOCK_INIT,
                          .empty = WHORL_QUEUE_INIT(0),
                          .lock = WHORL_LOCK_INIT,
                          .units = WHORL_SEMAPHORE_INIT(0),
                          .queue = WHORL_QUEUE_INIT(0),
                          .barrier = WHORL_BARRIER_INIT(2),
                          .ended = WHORL_EVENT_INIT};
    pthread_t thread;
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_acquire(&visit.taken));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_acquire(&visit.lock));
    must(-pthread_create(&thread, NULL, visitor, &visit));
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_sleep(100 * WHORL_MICROSECOND));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_semaphore_release(&visit.units));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_put(&visit.queue, &visit));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_release(&visit.lock));
    while (whorl_barrier_n_waiting(&visit.barrier) == 0) { /* then it is woken by a futex */
        (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_yield());
    }
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_barrier_wait(&visit.barrier, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_event_wait(&visit.ended));
    must(-pthread_join(thread, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_release(&visit.taken));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_destroy(&visit.taken));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_lock_destroy(&visit.lock));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_destroy(&visit.empty));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_queue_destroy(&visit.queue));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_barrier_destroy(&visit.barrier));
}

int sync_program(void *arg)
{
    (void)arg;
    wait_for_locks();
    wait_for_news();
    wait_for_items();
    wait_together();
    fill_queues();
    meet_visitor();
    return 0;
}
