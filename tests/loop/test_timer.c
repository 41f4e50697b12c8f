/*
 * test_timer.c - timers of one loop: when they fire, in which order, and that a disarmed one never
 * does, whoever is about to fire it.
 */
#include "loop/timer.h"

#include "base/random.h"
#include "sys/os.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FIRED_MAX 20000

static struct {
    uint64_t serials[FIRED_MAX];
    unsigned count;
    struct whorl__runtime *runtime;
    whorl__handle handle;
} fired;

static void note(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    fired.serials[fired.count++] = serial;
    fired.runtime = runtime;
    fired.handle = handle;
}

static int set_up(void **state)
{
    static struct whorl__timers timers;
    whorl__timers_init(&timers);
    fired.count = 0;
    *state = &timers;
    return 0;
}

static int tear_down(void **state)
{
    whorl__timers_fini(*state);
    return 0;
}

static void arm(struct whorl__timers *timers, struct whorl__timer *timer, uint64_t serial,
                int64_t deadline_ns)
{
    timer->handle = serial + 1000;
    timer->serial = serial;
    timer->fire = note;
    assert_int_equal(whorl__timer_arm(timers, timer, deadline_ns), 0);
}

/* ---- one at a time ---- */

static void test_timers_without_any_are_never_due(void **state)
{
    /* An idle loop sleeps for ever. */
    struct whorl__timers *const timers = *state;
    assert_int_equal(whorl__timers_next(timers), WHORL_NEVER);
    assert_int_equal(whorl__timers_fire(timers, NULL, WHORL_NEVER - 1), 0);
}

static void test_timer_fires_at_its_time_and_not_before(void **state)
{
    /* One nanosecond early is early. */
    struct whorl__timers *const timers = *state;
    struct whorl__runtime *const runtime = (void *)&fired; /* only handed through */
    struct whorl__timer timer;
    arm(timers, &timer, 1, 500);
    assert_int_equal(whorl__timers_next(timers), 500);
    assert_int_equal(whorl__timers_fire(timers, runtime, 499), 0);
    assert_int_equal(whorl__timers_fire(timers, runtime, 500), 1);
    assert_int_equal(fired.count, 1);
    assert_int_equal(fired.handle, 1001);
    assert_ptr_equal(fired.runtime, runtime);
    assert_int_equal(whorl__timers_next(timers), WHORL_NEVER);
    assert_int_equal(whorl__timers_fire(timers, runtime, 1000), 0);
    assert_true(whorl__timer_disarm(&timer));
}

static void test_timer_disarmed_never_fires(void **state)
{
    /* The wait ended in time; the loop may sleep past the deadline. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer timer;
    arm(timers, &timer, 1, 500);
    assert_false(whorl__timer_disarm(&timer));
    assert_int_equal(whorl__timers_next(timers), WHORL_NEVER);
    assert_int_equal(whorl__timers_fire(timers, NULL, 1000), 0);
    assert_int_equal(fired.count, 0);
}

static void test_timer_armed_again_fires_again(void **state)
{
    /* A timer on a task's stack is used for one wait after another. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer timer;
    for (int64_t i = 1; i <= 1000; i++) {
        const int64_t now_ns = i * 10 - i % 2; /* every other time too early */
        arm(timers, &timer, 1, i * 10);
        assert_int_equal(whorl__timers_fire(timers, NULL, now_ns), now_ns == i * 10);
        assert_int_equal(whorl__timer_disarm(&timer), now_ns == i * 10);
    }
    assert_int_equal(fired.count, 500);
}

static void test_timer_of_the_past_is_due_at_once(void **state)
{
    /* Deadlines of the past, 0 and below, come first. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer timers_of[3];
    arm(timers, &timers_of[0], 0, 10);
    arm(timers, &timers_of[1], 1, 0);
    arm(timers, &timers_of[2], 2, -5);
    assert_int_equal(whorl__timers_next(timers), -5);
    assert_int_equal(whorl__timers_fire(timers, NULL, 10), 3);
    assert_int_equal(fired.serials[0], 2);
    assert_int_equal(fired.serials[1], 1);
    assert_int_equal(fired.serials[2], 0);
}

/* ---- many ---- */

#define MANY 10000

/* Due at random times, many at the same one. */
static struct whorl__timer *arm_many(struct whorl__timers *timers, uint64_t seed)
{
    struct whorl__timer *const many = calloc(MANY, sizeof *many);
    struct whorl__random random;
    whorl__random_init(&random, seed);
    assert_non_null(many);
    for (uint64_t i = 0; i < MANY; i++) {
        arm(timers, &many[i], i, whorl__random_below(&random, 1000));
    }
    return many;
}

static void test_timers_many_fire_by_deadline_then_in_order_of_arming(void **state)
{
    /* Two sleeps of the same length end in the order they began. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer *const many = arm_many(timers, 1);
    assert_int_equal(whorl__timers_fire(timers, NULL, 1000), MANY);
    for (unsigned i = 1; i < MANY; i++) {
        const struct whorl__timer *const before = &many[fired.serials[i - 1]];
        const struct whorl__timer *const after = &many[fired.serials[i]];
        assert_true(before->node.key < after->node.key ||
                    (before->node.key == after->node.key && before->serial < after->serial));
    }
    free(many);
}

static void test_timers_many_disarmed_leave_exactly_the_others(void **state)
{
    /* Most deadlines of a server never come: they are taken out of the middle of the heap. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer *const many = arm_many(timers, 2);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 3 != 0) {
            assert_false(whorl__timer_disarm(&many[i]));
        }
    }
    assert_int_equal(whorl__timers_fire(timers, NULL, 1000), (MANY + 2) / 3);
    for (unsigned i = 0; i < fired.count; i++) {
        assert_int_equal(fired.serials[i] % 3, 0);
    }
    free(many);
}

static void test_timers_stepwise_fire_each_when_due(void **state)
{
    /* As a loop does it: sleep until the next deadline, fire what is due then. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer *const many = arm_many(timers, 3);
    unsigned total = 0;
    int64_t now_ns;
    while ((now_ns = whorl__timers_next(timers)) != WHORL_NEVER) {
        const unsigned before = fired.count;
        const unsigned count = whorl__timers_fire(timers, NULL, now_ns);
        assert_true(count > 0);
        for (unsigned i = before; i < fired.count; i++) {
            assert_int_equal(many[fired.serials[i]].node.key, now_ns);
        }
        total += count;
    }
    assert_int_equal(total, MANY);
    free(many);
}

static struct whorl__timers *rearm_in;
static struct whorl__timer rearmed;

static void rearm(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    note(runtime, handle, serial);
    if (serial < 10) {
        rearmed.serial = serial + 1;
        rearmed.fire = rearm;
        assert_int_equal(whorl__timer_arm(rearm_in, &rearmed, (int64_t)serial + 1), 0);
    }
}

static void test_timer_armed_while_firing_is_fired_in_the_same_pass_if_due(void **state)
{
    /* Firing holds no lock, so whoever is woken may arm at once. */
    struct whorl__timers *const timers = *state;
    rearm_in = timers;
    rearmed = (struct whorl__timer){.fire = rearm};
    assert_int_equal(whorl__timer_arm(timers, &rearmed, 0), 0);
    assert_int_equal(whorl__timers_fire(timers, NULL, 5), 6);
    assert_int_equal(whorl__timers_next(timers), 6);
    assert_int_equal(whorl__timers_fire(timers, NULL, 10), 5);
}

static void *no_memory(size_t bytes)
{
    (void)bytes;
    return NULL;
}

static void test_timer_arm_without_memory_is_enomem_and_changes_nothing(void **state)
{
    /* The call that wanted the deadline fails; the timers armed before live on. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer *const many = calloc(MANY, sizeof *many);
    struct whorl__timer first;
    arm(timers, &first, 1, 500);
    timers->heap.alloc = no_memory;
    int error = 0;
    unsigned armed = 0;
    while (armed < MANY && error == 0) {
        many[armed].fire = note;
        error = whorl__timer_arm(timers, &many[armed], 600);
        armed += error == 0;
    }
    assert_int_equal(error, -ENOMEM);
    assert_int_equal(whorl__timers_next(timers), 500);
    assert_int_equal(whorl__timers_fire(timers, NULL, 1000), 1 + armed);
    timers->heap.alloc = whorl__os->alloc;
    free(many);
}

/* ---- two threads ---- */

#define RACE_ROUNDS 100000

struct race {
    struct whorl__timers *timers;
    uint32_t stop;  /* A */
    uint32_t fires; /* A: read when the threads are joined */
};

static struct race race;

static void count_fire(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    (void)runtime;
    (void)handle;
    (void)serial;
    (void)whorl__add_u32(&race.fires, 1);
}

static void *fire_always(void *arg)
{
    (void)arg;
    while (!whorl__load_acquire_u32(&race.stop)) { /* acquire, pairs the store below */
        (void)whorl__timers_fire(race.timers, NULL, 10);
    }
    return NULL;
}

static void test_disarm_racing_a_fire_has_one_winner_each_time(void **state)
{
    /* A rescuer fires while the task disarms: exactly one of them gets the timer. */
    pthread_t rescuer;
    unsigned lost = 0;
    race = (struct race){.timers = *state};
    assert_int_equal(pthread_create(&rescuer, NULL, fire_always, NULL), 0);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        struct whorl__timer timer = {.fire = count_fire};
        assert_int_equal(whorl__timer_arm(race.timers, &timer, i % 7), 0);
        for (volatile int pause = 0; pause < i % 50; pause++) {
        }
        lost += whorl__timer_disarm(&timer);
    }
    whorl__store_release_u32(&race.stop, 1); /* pairs the load in fire_always */
    assert_int_equal(pthread_join(rescuer, NULL), 0);
    assert_int_equal(race.fires, lost);
    assert_int_equal(whorl__timers_next(race.timers), WHORL_NEVER);
}

static void *disarm_odd(void *arg)
{
    struct whorl__timer *const many = arg;
    uintptr_t in_time = 0;
    for (unsigned i = 1; i < MANY; i += 2) {
        in_time += !whorl__timer_disarm(&many[i]);
    }
    return (void *)in_time;
}

static void test_disarm_of_many_from_another_thread_while_others_fire(void **state)
{
    /* Tasks that migrated disarm what lies in their old loop's heap. */
    struct whorl__timers *const timers = *state;
    struct whorl__timer *const many = arm_many(timers, 4);
    pthread_t other;
    void *in_time;
    assert_int_equal(pthread_create(&other, NULL, disarm_odd, many), 0);
    for (int64_t now_ns = 0; now_ns <= 1000; now_ns++) {
        (void)whorl__timers_fire(timers, NULL, now_ns);
    }
    assert_int_equal(pthread_join(other, &in_time), 0);
    assert_int_equal(fired.count + (uintptr_t)in_time, MANY);
    free(many);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_timers_without_any_are_never_due),
        TEST(test_timer_fires_at_its_time_and_not_before),
        TEST(test_timer_disarmed_never_fires),
        TEST(test_timer_armed_again_fires_again),
        TEST(test_timer_of_the_past_is_due_at_once),
        TEST(test_timers_many_fire_by_deadline_then_in_order_of_arming),
        TEST(test_timers_many_disarmed_leave_exactly_the_others),
        TEST(test_timers_stepwise_fire_each_when_due),
        TEST(test_timer_armed_while_firing_is_fired_in_the_same_pass_if_due),
        TEST(test_timer_arm_without_memory_is_enomem_and_changes_nothing),
        TEST(test_disarm_racing_a_fire_has_one_winner_each_time),
        TEST(test_disarm_of_many_from_another_thread_while_others_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
