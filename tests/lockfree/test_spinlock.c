/*
 * The spin lock: its words by hand, then more threads than cores.
 */
#include "lockfree/spinlock.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_spinlock_zeroed_is_free_and_trylock_tells(void **state)
{
    /* Structs that embed a lock are zeroed and never initialise it. */
    (void)state;
    struct whorl__spinlock lock = {0};
    assert_true(whorl__spin_trylock(&lock));
    assert_false(whorl__spin_trylock(&lock));
    whorl__spin_unlock(&lock);
    whorl__spin_lock(&lock);
    assert_false(whorl__spin_trylock(&lock));
    whorl__spin_unlock(&lock);
    assert_int_equal(lock.word, 0);
}

/* ---- many threads ---- */

#if defined(WHORL_TSAN) || defined(WHORL_ASAN)
enum { ROUNDS = 10000 };
#else
enum { ROUNDS = 100000 };
#endif
enum { THREADS = 8 };

static struct {
    struct whorl__spinlock lock;
    uint64_t count;  /* M(lock), on purpose a plain read and a plain write */
    uint64_t square; /* M(lock): count squared */
    unsigned torn;   /* M(lock): entries that found the two apart */
} shared;

static void *counter_main(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        whorl__spin_lock(&shared.lock);
        shared.torn += shared.square != shared.count * shared.count;
        shared.count++;
        if (i % 1000 == 0) {
            (void)sched_yield(); /* a holder that loses its core: the others must give theirs up */
        }
        shared.square = shared.count * shared.count;
        whorl__spin_unlock(&shared.lock);
    }
    return NULL;
}

static void test_spinlock_oversubscribed_counts_every_round(void **state)
{
    /* Eight threads on fewer cores, with holders that are sent away: no round may be lost. */
    (void)state;
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, counter_main, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(shared.count, THREADS * ROUNDS);
    assert_int_equal(shared.torn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spinlock_zeroed_is_free_and_trylock_tells),
        cmocka_unit_test(test_spinlock_oversubscribed_counts_every_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
