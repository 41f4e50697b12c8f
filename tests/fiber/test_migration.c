/*
 * test_migration.c - a fiber that resumes on another thread finds that thread's thread-locals.
 *
 * Every worker here has a host, and a fiber switches to the host of the worker it runs on, as told
 * by whorl__tls_worker(); so a stale answer would resume the wrong thread's stack.
 */
#include "fixture.h"
#include "sys/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

/* The struct is the upper layers'; here it is a test's. */
struct whorl__worker {
    struct whorl__fiber host;
    struct whorl__fibers fibers;
};

struct traveller {
    struct whorl__fiber *self;
    struct whorl__worker *seen[4];
    int seen_errno[4];
    int stops;
};

static void suspend_here(struct whorl__fiber *self)
{
    whorl__fiber_switch(self, &whorl__tls_worker()->host);
}

static void travel(struct whorl__fiber *self)
{
    for (;;) {
        struct traveller *traveller = self->user;
        const int stop = traveller->stops++;
        traveller->seen[stop] = whorl__tls_worker();
        traveller->seen_errno[stop] = whorl__tls_errno();
        whorl__tls_set_errno(1000 + stop);
        suspend_here(self);
    }
}

struct leg {
    struct whorl__worker worker;
    struct whorl__stacks *stacks;
    struct whorl__fiber *fiber;
    int errno_before;
    int errno_after;
};

static void *carry(void *arg)
{
    struct leg *leg = arg;
    whorl__tls_set_worker(&leg->worker);
    whorl__fiber_init_host(&leg->worker.host);
    whorl__tls_set_errno(leg->errno_before);
    whorl__fiber_switch(&leg->worker.host, leg->fiber);
    leg->errno_after = whorl__tls_errno();
    whorl__fiber_fini_host(&leg->worker.host);
    return NULL;
}

static void carry_on_new_thread(struct leg *leg, struct whorl__fiber *fiber, int errno_before)
{
    pthread_t thread;
    leg->fiber = fiber;
    leg->errno_before = errno_before;
    assert_int_equal(pthread_create(&thread, NULL, carry, leg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_fiber_resumed_elsewhere_sees_that_worker_and_errno(void **state)
{
    /* One function, before and after a switch, in a loop the optimiser would love to tidy up: it
     * must ask for the address of each thread-local again. */
    enum { LEGS = 4 };
    (void)state;
    static struct leg legs[LEGS];
    struct traveller traveller = {0};
    struct whorl__stacks *stacks;
    struct whorl__fibers fibers;
    assert_int_equal(whorl__stacks_create(&stacks), 0);
    whorl__fibers_init(&fibers, stacks, travel);
    assert_int_equal(whorl__fibers_get(&fibers, 0, &traveller.self), 0);
    traveller.self->user = &traveller;
    for (int i = 0; i < LEGS; i++) {
        carry_on_new_thread(&legs[i], traveller.self, 50 + i);
    }
    assert_int_equal(traveller.stops, LEGS);
    for (int i = 0; i < LEGS; i++) {
        assert_ptr_equal(traveller.seen[i], &legs[i].worker);
        assert_int_equal(traveller.seen_errno[i], 50 + i);
        assert_int_equal(legs[i].errno_after, 1000 + i);
    }
    whorl__fibers_put(&fibers, traveller.self);
    whorl__fibers_fini(&fibers);
    whorl__stacks_destroy(stacks);
}

static void test_worker_of_foreign_thread_is_null(void **state)
{
    /* How every call finds out whether it is on a loop's thread. */
    (void)state;
    assert_null(whorl__tls_worker());
}

/* Fibers that go back and forth between threads: each thread takes one from the pot, runs it for a
 * turn, and puts it back, until all have made their turns. */
struct pot {
    pthread_mutex_t lock;
    struct whorl__fiber *ready; /* M(lock) */
    int unfinished;             /* M(lock) */
};

struct wanderer {
    long sum;
    int turns_left;
    bool wrong;
    struct whorl__fiber *self;
};

static void wander(struct whorl__fiber *self)
{
    for (;;) {
        struct wanderer *wanderer = self->user;
        while (wanderer->turns_left > 0) {
            struct whorl__worker *const before = whorl__tls_worker();
            const int errno_before = (int)((uintptr_t)before >> 6 & 0xffff);
            wanderer->wrong |= whorl__tls_errno() != errno_before;
            wanderer->sum += wanderer->turns_left--;
            suspend_here(self);
        }
        suspend_here(self);
    }
}

static struct whorl__fiber *take(struct pot *pot, bool *ret_finished)
{
    pthread_mutex_lock(&pot->lock);
    struct whorl__fiber *fiber = pot->ready;
    if (fiber != NULL) {
        pot->ready = fiber->next;
    }
    *ret_finished = pot->unfinished == 0;
    pthread_mutex_unlock(&pot->lock);
    return fiber;
}

/* Last in, first out would hand a thread its own fiber again: put it at the end. */
static void give(struct pot *pot, struct whorl__fiber *fiber)
{
    pthread_mutex_lock(&pot->lock);
    struct whorl__fiber **end = &pot->ready;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    fiber->next = NULL;
    *end = fiber;
    pthread_mutex_unlock(&pot->lock);
}

struct carrier {
    struct whorl__worker worker;
    struct pot *pot;
};

static void step(struct carrier *carrier, struct whorl__fiber *fiber)
{
    struct wanderer *wanderer = fiber->user;
    whorl__tls_set_errno((int)((uintptr_t)&carrier->worker >> 6 & 0xffff));
    whorl__fiber_switch(&carrier->worker.host, fiber);
    if (wanderer->turns_left > 0) {
        give(carrier->pot, fiber);
        return;
    }
    whorl__fibers_put(&carrier->worker.fibers, fiber);
    pthread_mutex_lock(&carrier->pot->lock);
    carrier->pot->unfinished--;
    pthread_mutex_unlock(&carrier->pot->lock);
}

static void *carry_many(void *arg)
{
    struct carrier *carrier = arg;
    bool finished = false;
    whorl__tls_set_worker(&carrier->worker);
    whorl__fiber_init_host(&carrier->worker.host);
    while (!finished) {
        struct whorl__fiber *fiber = take(carrier->pot, &finished);
        if (fiber != NULL) {
            step(carrier, fiber);
        }
    }
    whorl__fiber_fini_host(&carrier->worker.host);
    return NULL;
}

static void test_fibers_passed_between_threads_keep_their_stacks(void **state)
{
    /* Got here, run on any of three threads in turn, put into another's cache: what tasks do under
     * work stealing, with sanitizers watching the stacks. */
    enum { WANDERERS = 100, THREADS = 3, TURNS = 50 };
    (void)state;
    static struct carrier carriers[THREADS];
    static struct wanderer wanderers[WANDERERS];
    pthread_t threads[THREADS];
    struct pot pot = {.lock = PTHREAD_MUTEX_INITIALIZER, .unfinished = WANDERERS};
    struct whorl__stacks *stacks;
    struct whorl__fibers fibers;
    assert_int_equal(whorl__stacks_create(&stacks), 0);
    whorl__fibers_init(&fibers, stacks, wander);
    for (int i = 0; i < WANDERERS; i++) {
        assert_int_equal(whorl__fibers_get(&fibers, 0, &wanderers[i].self), 0);
        wanderers[i].turns_left = TURNS;
        wanderers[i].self->user = &wanderers[i];
        give(&pot, wanderers[i].self);
    }
    for (int i = 0; i < THREADS; i++) {
        carriers[i].pot = &pot;
        whorl__fibers_init(&carriers[i].worker.fibers, stacks, wander);
        assert_int_equal(pthread_create(&threads[i], NULL, carry_many, &carriers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        whorl__fibers_fini(&carriers[i].worker.fibers);
    }
    for (int i = 0; i < WANDERERS; i++) {
        assert_int_equal(wanderers[i].sum, TURNS * (TURNS + 1) / 2);
        assert_false(wanderers[i].wrong);
    }
    whorl__fibers_fini(&fibers);
    whorl__stacks_destroy(stacks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fiber_resumed_elsewhere_sees_that_worker_and_errno),
        cmocka_unit_test(test_worker_of_foreign_thread_is_null),
        cmocka_unit_test(test_fibers_passed_between_threads_keep_their_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
