/*
 * mill.h - the loops of a runtime without their threads: the test's thread plays each in turn.
 *
 * Only what the queues and the idle protocol look at is there; tasks are bare, and never run.
 */
#ifndef WHORL_TESTS_SCHED_MILL_H
#define WHORL_TESTS_SCHED_MILL_H

#include "sched/sched.h"
#include "sys/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MILL_LOOPS 4
#define MILL_TASKS 600

struct mill {
    struct whorl__runtime runtime;
    struct whorl__loop *loops[MILL_LOOPS];
    uint16_t victims[MILL_LOOPS][MILL_LOOPS];
    uint16_t levels[MILL_LOOPS][MILL_LOOPS];
    struct whorl_task tasks[MILL_TASKS];
};

static inline void mill_never_enter(struct whorl__fiber *self)
{
    (void)self;
}

/* The next loops in a circle are near, the last one is far. */
static inline void mill_add_loop(struct mill *mill, unsigned index)
{
    struct whorl__loop *const loop = whorl__os->alloc(sizeof *loop);
    assert_non_null(loop);
    memset(loop, 0, sizeof *loop);
    assert_int_equal(whorl__loop_init(loop, &mill->runtime, index, false, mill->runtime.stacks,
                                      mill_never_enter),
                     0);
    for (unsigned i = 0; i + 1 < MILL_LOOPS; i++) {
        mill->victims[index][i] = (uint16_t)((index + 1 + i) % MILL_LOOPS);
        mill->levels[index][i] = (uint16_t)i;
    }
    loop->victims = mill->victims[index];
    loop->victim_levels = mill->levels[index];
    mill->loops[index] = loop;
}

static inline int mill_set_up(void **state)
{
    struct mill *const mill = whorl__os->alloc(sizeof *mill);
    assert_non_null(mill);
    memset(mill, 0, sizeof *mill);
    mill->runtime.loop_count = MILL_LOOPS;
    mill->runtime.loops = mill->loops;
    mill->runtime.stealing = true;
    mill->runtime.shares = true;
    assert_int_equal(whorl__stacks_create(&mill->runtime.stacks), 0);
    for (unsigned i = 0; i < MILL_LOOPS; i++) {
        mill_add_loop(mill, i);
    }
    for (unsigned i = 0; i < MILL_TASKS; i++) {
        mill->tasks[i].runtime = &mill->runtime;
        mill->tasks[i].loop = mill->loops[0];
        mill->tasks[i].index = i;
    }
    *state = mill;
    return 0;
}

static inline int mill_tear_down(void **state)
{
    struct mill *const mill = *state;
    whorl__tls_set_worker(NULL);
    for (unsigned i = 0; i < MILL_LOOPS; i++) {
        while (whorl__runqueue_take(&mill->loops[i]->queue) != NULL) {
        }
        while (whorl__fifo_pop(&mill->loops[i]->bound) != NULL) {
        }
        whorl__loop_fini(mill->loops[i]);
        whorl__os->free(mill->loops[i]);
    }
    whorl__stacks_destroy(mill->runtime.stacks);
    whorl__os->free(mill);
    return 0;
}

/* From here on the test's thread is that loop's; NULL: a foreign one. */
static inline void mill_play(struct whorl__loop *loop)
{
    whorl__tls_set_worker((struct whorl__worker *)loop);
}

/* Puts tasks [from, to) into a loop's ring. */
static inline void mill_fill_ring(struct mill *mill, unsigned loop, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        assert_true(whorl__runqueue_push(&mill->loops[loop]->queue, &mill->tasks[i]));
    }
}

/* Whether somebody has woken the loop's poller since the last look. */
static inline bool mill_was_woken(struct whorl__loop *loop)
{
    whorl__poller_poll(&loop->poller, 0, &loop->poll_result);
    return loop->poll_result.wake_taken;
}

static inline uint32_t mill_searching(const struct mill *mill)
{
    return mill->runtime.idle.word & 0xffff;
}

static inline uint32_t mill_sleeping(const struct mill *mill)
{
    return mill->runtime.idle.word >> 16;
}

#define mill_test(test) cmocka_unit_test_setup_teardown(test, mill_set_up, mill_tear_down)

#endif
