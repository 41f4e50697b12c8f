/*
 * program_tasks.c - programs of tasks, timers, futures, plain threads; and of tasks that hold their
 * loop.
 */
#include "programs.h"
#include "support/net.h"
#include "support/play.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { SLEEPERS = 20, GATHERED = 5, CROWD = 150 };

/* ---- timers ---- */

static int sleeper(void *arg)
{
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_sleep(*(const int64_t *)arg));
    return 0;
}

/* More at once than a new heap has room for. */
static void sleep_together(void)
{
    static const int64_t nap_ns = 2 * WHORL_MILLISECOND;
    struct trial_child children[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        children[i] = (struct trial_child){.body = sleeper, .arg = (void *)(uintptr_t)&nap_ns};
        trial_begin(&children[i]);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        NET_EXPECT_EQUAL(trial_finish(&children[i]), 0);
    }
}

static void time_out(void)
{
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_timeout_enter(&outer, whorl_after(WHORL_SECOND * 60)));
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_timeout_enter(&inner, WHORL_NEVER));
    (void)TRY_FOR(TRIAL_TIMED_SHORT, 0, whorl_timeout_reschedule(&inner, whorl_after(1000)));
    const long error = TRY_FOR(TRIAL_PLAIN, -ECANCELED, whorl_sleep_until(WHORL_NEVER));
    (void)TRY_FOR(TRIAL_PLAIN, -ETIMEDOUT, whorl_timeout_exit(&inner, (int)error));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_timeout_exit(&outer, 0));
}

static int never_ends(void *arg)
{
    (void)arg;
    return (int)TRY_FOR(TRIAL_PLAIN, -ECANCELED, whorl_sleep_until(WHORL_NEVER));
}

static void wait_in_vain(void)
{
    struct trial_child child = {.body = never_ends};
    trial_begin(&child);
    (void)TRY_FOR(TRIAL_TIMED, -ETIMEDOUT, whorl_join(child.task, whorl_after(1000), NULL));
    NET_EXPECT(!whorl_task_done(child.task));
    (void)TRY_FOR(TRIAL_TIMED_SHORT, -ETIMEDOUT, whorl_wait_for(child.task, 1000, NULL));
    NET_EXPECT(whorl_task_cancelled(child.task));
    NET_EXPECT_EQUAL(trial_finish(&child), -ECANCELED);
}

int timers_program(void *arg)
{
    (void)arg;
    (void)TRY(TRIAL_PLAIN, whorl_yield());
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_sleep_until(whorl_after(100 * WHORL_MICROSECOND)));
    sleep_together();
    time_out();
    wait_in_vain();
    return 0;
}

/* ---- futures ---- */

static struct whorl_future *make_future(void)
{
    struct whorl_future *future = NULL;
    (void)TRY_FOR(TRIAL_FUTURE, 0, whorl_future_new(&future));
    return future;
}

static int await_and_return(void *arg)
{
    void *value = NULL;
    const int error = (int)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_await(arg, &value));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_return(value));
    return error;
}

/* Waiters are begun before the result is there. */
static void gather_waiters(bool as_future)
{
    struct trial_child children[GATHERED];
    struct whorl_task *tasks[GATHERED];
    struct whorl_result results[GATHERED];
    struct whorl_future *const future = make_future();
    struct whorl_future *gather = NULL;
    int value;
    for (int i = 0; i < GATHERED; i++) {
        children[i] = (struct trial_child){.body = await_and_return, .arg = future};
        trial_begin(&children[i]);
        tasks[i] = children[i].task;
    }
    if (as_future) {
        (void)TRY_FOR(
            TRIAL_FUTURE, 0,
            whorl_gather_start((struct whorl_future *const *)(void *)tasks, GATHERED, 0, &gather));
    }
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_set_result(future, &value));
    if (as_future) {
        (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_await(gather, NULL));
        whorl_future_unref(gather);
    } else {
        (void)TRY_FOR(TRIAL_FUTURE, 0, whorl_gather(tasks, GATHERED, 0, results));
        NET_EXPECT(results[GATHERED - 1].value == &value);
    }
    for (int i = 0; i < GATHERED; i++) {
        NET_EXPECT_EQUAL(trial_finish(&children[i]), 0);
    }
    whorl_future_unref(future);
}

/* One child is about to end, and one future stays as it is. */
static void wait_for_some(void)
{
    struct whorl_future *const gate = make_future();
    struct trial_child child = {.body = await_and_return, .arg = gate};
    struct whorl_future *futures[2] = {make_future(), NULL};
    struct whorl_completed *completed = NULL;
    struct whorl_future *shield = NULL;
    size_t index = 0;
    trial_begin(&child);
    futures[1] = whorl_task_future(child.task);
    (void)TRY_FOR(TRIAL_FUTURE, 0,
                  whorl_as_completed(futures, 2, whorl_after(60 * WHORL_SECOND), &completed));
    (void)TRY_FOR(TRIAL_FUTURE, 0, whorl_shield(futures[0], &shield));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_set_result(gate, NULL));
    (void)TRY_FOR(TRIAL_FUTURE, 0, whorl_first_of(futures, 2, WHORL_NEVER, &index));
    NET_EXPECT_EQUAL(index, 1);
    (void)TRY_FOR(TRIAL_FUTURE, 1,
                  whorl_wait(futures, 2, WHORL_FIRST_COMPLETED, WHORL_NEVER, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_completed_next(completed, &index));
    whorl_completed_free(completed);
    NET_EXPECT(whorl_future_cancel(shield, NULL));
    NET_EXPECT(!whorl_future_done(futures[0]));
    whorl_future_unref(shield);
    whorl_future_unref(futures[0]);
    whorl_future_unref(gate);
    NET_EXPECT_EQUAL(trial_finish(&child), 0);
}

static void cancel_waiter(void)
{
    struct whorl_future *const future = make_future();
    struct trial_child child = {.body = never_ends};
    trial_begin(&child);
    NET_EXPECT(whorl_cancel(child.task, NULL));
    NET_EXPECT_EQUAL(trial_finish(&child), -ECANCELED);
    NET_EXPECT(whorl_future_cancel(future, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, -ECANCELED, whorl_future_result(future, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, -EALREADY, whorl_future_set_error(future, -EIO));
    whorl_future_unref(future);
}

int futures_program(void *arg)
{
    (void)arg;
    gather_waiters(false);
    gather_waiters(true);
    wait_for_some();
    cancel_waiter();
    return 0;
}

/* ---- a plain thread ---- */

struct visit {
    struct whorl_task *host;
    struct whorl_future *begin; /* completed by a task */
    struct whorl_future *end;   /* by the thread */
};

static int echo_value(void *arg)
{
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_return(arg));
    return 0;
}

/* A task that gets no stack fails alone; the thread asks for another. */
static void spawn_from_outside(struct visit *visit)
{
    for (int tries = 0; tries < 2; tries++) {
        struct whorl_task *task = NULL;
        void *value = NULL;
        (void)TRY_FOR(TRIAL_SPAWN, 0,
                      whorl_spawn_remote(visit->host, echo_value, visit, NULL, &task));
        const int error = whorl_await(task, &value);
        whorl_task_unref(task);
        if (error == 0) {
            NET_EXPECT(value == visit);
            return;
        }
        NET_EXPECT_EQUAL(error, -ENOMEM);
        NET_EXPECT(trial_lost_a_stack());
    }
}

static void *visitor(void *arg)
{
    struct visit *const visit = arg;
    (void)TRY_FOR(TRIAL_PLAIN, -ETIMEDOUT, whorl_future_join(visit->end, whorl_after(1000), NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_await(visit->begin, NULL));
    spawn_from_outside(visit);
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_set_result(visit->end, NULL));
    return NULL;
}

int threads_program(void *arg)
{
    struct visit visit = {
        .host = whorl_task_current(), .begin = make_future(), .end = make_future()};
    pthread_t thread;
    (void)arg;
    must(-pthread_create(&thread, NULL, visitor, &visit));
    (void)TRY_FOR(TRIAL_TIMED, 0, whorl_sleep(100 * WHORL_MICROSECOND));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_set_result(visit.begin, NULL));
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_await(visit.end, NULL));
    must(-pthread_join(thread, NULL));
    whorl_future_unref(visit.begin);
    whorl_future_unref(visit.end);
    return 0;
}

/* ---- a crowd: more slots, stacks and sizes of stacks ---- */

int crowd_program(void *arg)
{
    static struct trial_child children[CROWD];
    struct whorl_future *const gate = make_future();
    (void)arg;
    for (int i = 0; i < CROWD; i++) {
        children[i] = (struct trial_child){
            .body = await_and_return, .arg = gate, .stack_bytes = (size_t)16384 << i % 4};
        trial_begin(&children[i]);
    }
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_future_set_result(gate, NULL));
    for (int i = 0; i < CROWD; i++) {
        NET_EXPECT_EQUAL(trial_finish(&children[i]), 0);
    }
    whorl_future_unref(gate);
    return 0;
}

/* ---- tasks that hold their loop ---- */

/* Until it is named: by a signal that its thread answers, with its stack. */
static int computes(void *arg)
{
    const int64_t end_ns = whorl_after(20 * WHORL_SECOND);
    const uint32_t before = trial_culprits();
    (void)arg;
    while (trial_culprits() == before && whorl_now() < end_ns) {
    }
    NET_EXPECT(trial_culprits() > before);
    return 0;
}

/* The same without computing. */
static int blocks(void *arg)
{
    const int64_t end_ns = whorl_after(20 * WHORL_SECOND);
    const uint32_t before = trial_culprits();
    const struct timespec nap = {.tv_nsec = 20 * WHORL_MILLISECOND};
    (void)arg;
    while (trial_culprits() == before && whorl_now() < end_ns) {
        (void)nanosleep(&nap, NULL);
    }
    NET_EXPECT(trial_culprits() > before);
    return 0;
}

/* Another loop serves the timers and sockets of the one that is held. */
int stuck_program(void *arg)
{
    struct trial_child holders[] = {{.body = computes}, {.body = blocks}};
    (void)arg;
    for (int i = 0; i < 2; i++) {
        trial_begin(&holders[i]);
        (void)TRY_FOR(TRIAL_TIMED, 0, whorl_sleep(WHORL_MILLISECOND));
        NET_EXPECT_EQUAL(trial_finish(&holders[i]), 0);
    }
    return 0;
}
