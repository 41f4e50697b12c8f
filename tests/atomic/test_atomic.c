/*
 * The atomic operations of whichever back end this build has: what each returns and leaves behind,
 * that none is lost between threads, and that the orders in the names hold.
 */
#include "atomic/atomic.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- one thread ---- */

/* Neighbours must stay untouched: an operation of the wrong width would reach into them. */
#define DEFINE_ACCESS_TEST(T, X, OLD, NEW)                                                         \
    static void test_atomic_##X##_access_returns_and_leaves_the_right_value(void **state)          \
    {                                                                                              \
        /* Each operation once, with a value that fills the whole width. */                        \
        (void)state;                                                                               \
        T fields[3] = {OLD, OLD, OLD};                                                             \
        T *const field = &fields[1];                                                               \
        assert_true(whorl__load_relaxed_##X(field) == OLD);                                        \
        whorl__store_relaxed_##X(field, NEW);                                                      \
        assert_true(whorl__load_acquire_##X(field) == NEW);                                        \
        whorl__store_release_##X(field, OLD);                                                      \
        assert_true(whorl__swap_##X(field, NEW) == OLD && *field == NEW);                          \
        T expected = OLD;                                                                          \
        assert_false(whorl__cas_value_##X(field, &expected, OLD));                                 \
        assert_true(expected == NEW && *field == NEW);                                             \
        assert_true(whorl__cas_value_##X(field, &expected, OLD));                                  \
        assert_true(expected == NEW && *field == OLD);                                             \
        assert_false(whorl__cas_##X(field, NEW, NEW));                                             \
        assert_true(*field == OLD);                                                                \
        assert_true(whorl__cas_##X(field, OLD, NEW));                                              \
        assert_true(*field == NEW && fields[0] == OLD && fields[2] == OLD);                        \
    }

#define DEFINE_ARITHMETIC_TEST(T, X, MAX)                                                          \
    static void test_atomic_##X##_arithmetic_returns_the_old_value_and_wraps(void **state)         \
    {                                                                                              \
        /* To subtract, callers add the negated amount; both directions wrap. */                   \
        (void)state;                                                                               \
        T fields[3] = {0, MAX, 0};                                                                 \
        T *const field = &fields[1];                                                               \
        assert_true(whorl__add_##X(field, 3) == MAX && *field == 2);                               \
        assert_true(whorl__add_##X(field, (T)-3) == 2 && *field == MAX);                           \
        whorl__add_relaxed_##X(field, 1);                                                          \
        assert_true(*field == 0);                                                                  \
        const T high = (T)1 << (sizeof(T) * 8 - 1);                                                \
        assert_true(whorl__or_##X(field, high | 1) == 0 && *field == (high | 1));                  \
        assert_true(whorl__or_##X(field, 6) == (high | 1) && *field == (high | 7));                \
        assert_true(whorl__and_##X(field, ~high) == (high | 7) && *field == 7);                    \
        assert_true(whorl__and_##X(field, 0) == 7 && *field == 0);                                 \
        assert_true(fields[0] == 0 && fields[2] == 0);                                             \
    }

static char here;
static char there;

DEFINE_ACCESS_TEST(uint32_t, u32, UINT32_C(0x89abcdef), UINT32_C(0xfedcba98))
DEFINE_ACCESS_TEST(uint64_t, u64, UINT64_C(0x89abcdef01234567), UINT64_C(0xfedcba9876543210))
DEFINE_ACCESS_TEST(void *, ptr, (void *)&here, (void *)&there)
DEFINE_ARITHMETIC_TEST(uint32_t, u32, UINT32_MAX)
DEFINE_ARITHMETIC_TEST(uint64_t, u64, UINT64_MAX)

static void test_atomic_fences_and_pause_leave_values_alone(void **state)
{
    /* The full fence adds to a word on the stack; it must add nothing. */
    (void)state;
    volatile uint64_t around[4] = {1, 2, 3, 4};
    whorl__fence_full();
    whorl__fence_after_rmw();
    whorl__fence_acquire();
    whorl__fence_release();
    whorl__fence_load_store();
    whorl__pause();
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(around[i] == i + 1);
    }
}

/* ---- two threads ---- */

#if defined(WHORL_TSAN) || defined(WHORL_ASAN)
enum { ROUNDS = 20000 };
#else
enum { ROUNDS = 100000 };
#endif
enum { SIDES = 2 };

/* Each field on a line of its own, so that a store can linger while the other side reads. */
struct line {
    uint64_t value WHORL_ALIGNED(WHORL_CACHE_LINE);
};

static struct {
    struct line arrived; /* A: how often a side came to the barrier */
    struct line u64;     /* A */
    uint32_t u32;        /* A */
    uint64_t bits;       /* A */
    void *ptr;           /* A */
    struct line flags[SIDES];
    uint64_t seen[SIDES][ROUNDS]; /* what each side read; plain, its own, read after the join */
} shared;

/* Both sides leave a round's barrier at about the same moment. */
static void meet(unsigned round)
{
    (void)whorl__add_u64(&shared.arrived.value, 1);
    for (unsigned tries = 0; whorl__load_acquire_u64(&shared.arrived.value) < SIDES * (round + 1);
         tries++) {
        if (tries < 1000) {
            whorl__pause();
        } else {
            (void)sched_yield();
        }
    }
}

static void run_both_sides(void *(*body)(void *))
{
    static unsigned sides[SIDES] = {0, 1};
    pthread_t threads[SIDES];
    memset(&shared, 0, sizeof(shared));
    for (unsigned i = 0; i < SIDES; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, body, &sides[i]), 0);
    }
    for (unsigned i = 0; i < SIDES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void *update_main(void *arg)
{
    const unsigned side = *(unsigned *)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)whorl__add_u64(&shared.u64.value, 1);
        whorl__add_relaxed_u32(&shared.u32, 1);
        (void)whorl__or_u64(&shared.bits, UINT64_C(1) << (2 * (i % 32) + side));
        (void)whorl__and_u64(&shared.bits, ~(UINT64_C(1) << (2 * ((i + 31) % 32) + side)));
        void *old = whorl__load_relaxed_ptr(&shared.ptr);
        while (!whorl__cas_value_ptr(&shared.ptr, &old, (char *)old + 1)) {
        }
    }
    return NULL;
}

static void test_atomic_two_threads_lose_no_update(void **state)
{
    /* Additions, bits and compare-and-swap on words that both sides write at once. */
    (void)state;
    run_both_sides(update_main);
    assert_int_equal(shared.u64.value, SIDES * ROUNDS);
    assert_int_equal(shared.u32, SIDES * ROUNDS);
    assert_int_equal((uintptr_t)shared.ptr, SIDES * ROUNDS);
    const unsigned last = (ROUNDS - 1) % 32;
    assert_true(shared.bits == UINT64_C(3) << (2 * last));
}

static void *store_buffer_main(void *arg)
{
    const unsigned side = *(unsigned *)arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        meet(round);
        whorl__store_relaxed_u64(&shared.flags[side].value, round + 1);
        whorl__fence_full(); /* pairs with the other side's: not both may read the old value */
        shared.seen[side][round] = whorl__load_relaxed_u64(&shared.flags[1 - side].value);
    }
    return NULL;
}

static void test_atomic_full_fence_keeps_a_store_before_a_load(void **state)
{
    /* The wake-up protocol rests on this: "I sleep" against "there is work", one must be seen. */
    (void)state;
    run_both_sides(store_buffer_main);
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_true(shared.seen[0][round] > round || shared.seen[1][round] > round);
    }
}

static void *store_buffer_rmw_main(void *arg)
{
    const unsigned side = *(unsigned *)arg;
    uint64_t own = 0; /* the other side never looks at it */
    for (unsigned round = 0; round < ROUNDS; round++) {
        meet(round);
        whorl__store_relaxed_u64(&shared.flags[side].value, round + 1);
        (void)whorl__cas_u64(&own, round, round + 1);
        whorl__fence_after_rmw(); /* pairs with the other side's, as above */
        shared.seen[side][round] = whorl__load_relaxed_u64(&shared.flags[1 - side].value);
    }
    return NULL;
}

static void test_atomic_fence_after_a_cas_keeps_a_store_before_a_load(void **state)
{
    /* A cancel of who awaits what runs in its place rests on this: task/inline.c. */
    (void)state;
    run_both_sides(store_buffer_rmw_main);
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_true(shared.seen[0][round] > round || shared.seen[1][round] > round);
    }
}

static void *message_main(void *arg)
{
    const unsigned side = *(unsigned *)arg;
    static uint64_t message; /* plain: a missing order is a race that ThreadSanitizer reports */
    for (unsigned round = 0; round < ROUNDS; round++) {
        meet(round);
        if (side == round % SIDES) {
            message = round;
            whorl__store_release_u64(&shared.flags[0].value, round + 1); /* pairs with below */
        } else {
            while (whorl__load_acquire_u64(&shared.flags[0].value) != round + 1) {
                (void)sched_yield();
            }
            shared.seen[side][round] = message;
        }
    }
    return NULL;
}

static void test_atomic_release_and_acquire_hand_a_message_over(void **state)
{
    /* The message is a plain variable, written before the release and read after the acquire. */
    (void)state;
    run_both_sides(message_main);
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_int_equal(shared.seen[1 - round % SIDES][round], round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atomic_u32_access_returns_and_leaves_the_right_value),
        cmocka_unit_test(test_atomic_u64_access_returns_and_leaves_the_right_value),
        cmocka_unit_test(test_atomic_ptr_access_returns_and_leaves_the_right_value),
        cmocka_unit_test(test_atomic_u32_arithmetic_returns_the_old_value_and_wraps),
        cmocka_unit_test(test_atomic_u64_arithmetic_returns_the_old_value_and_wraps),
        cmocka_unit_test(test_atomic_fences_and_pause_leave_values_alone),
        cmocka_unit_test(test_atomic_two_threads_lose_no_update),
        cmocka_unit_test(test_atomic_full_fence_keeps_a_store_before_a_load),
        cmocka_unit_test(test_atomic_fence_after_a_cas_keeps_a_store_before_a_load),
        cmocka_unit_test(test_atomic_release_and_acquire_hand_a_message_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
