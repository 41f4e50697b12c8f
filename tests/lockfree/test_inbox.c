/*
 * The inbox: order and the empty edge by hand, then many pushers and two takers at full speed.
 *
 * Threads only record what they saw; all asserts run on the main thread after the joins.
 */
#include "lockfree/inbox.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_inbox_nodes_come_out_in_the_order_they_went_in(void **state)
{
    /* The stack below reverses them; the loop must see first in, first out. */
    (void)state;
    enum { NODES = 100 };
    struct whorl__inbox inbox;
    struct whorl__inbox_node nodes[NODES];
    whorl__inbox_init(&inbox);
    for (unsigned length = 0; length <= NODES; length++) {
        for (unsigned i = 0; i < length; i++) {
            (void)whorl__inbox_push(&inbox, &nodes[i]);
        }
        unsigned count = NODES + 1;
        const struct whorl__inbox_node *node = whorl__inbox_take_all(&inbox, &count);
        assert_int_equal(count, length);
        for (unsigned i = 0; i < length; i++) {
            assert_ptr_equal(node, &nodes[i]);
            node = node->next;
        }
        assert_null(node);
    }
}

static void test_inbox_push_reports_the_empty_edge_only(void **state)
{
    /* The first push after each take wakes the loop, the others must not. */
    (void)state;
    struct whorl__inbox inbox = {0};
    struct whorl__inbox_node nodes[3];
    unsigned count;
    for (unsigned round = 0; round < 3; round++) {
        assert_true(whorl__inbox_is_empty(&inbox));
        assert_true(whorl__inbox_push(&inbox, &nodes[0]));
        assert_false(whorl__inbox_is_empty(&inbox));
        assert_false(whorl__inbox_push(&inbox, &nodes[1]));
        assert_false(whorl__inbox_push(&inbox, &nodes[2]));
        assert_ptr_equal(whorl__inbox_take_all(&inbox, &count), &nodes[0]);
        assert_int_equal(count, 3);
    }
    assert_null(whorl__inbox_take_all(&inbox, &count));
    assert_int_equal(count, 0);
}

static void test_inbox_node_can_be_pushed_again_while_its_batch_is_walked(void **state)
{
    /* A task that was taken may be sent to an inbox again before the taker came to the next one. */
    (void)state;
    struct whorl__inbox inbox = {0};
    struct whorl__inbox_node nodes[2];
    unsigned count;
    (void)whorl__inbox_push(&inbox, &nodes[0]);
    (void)whorl__inbox_push(&inbox, &nodes[1]);
    struct whorl__inbox_node *const first = whorl__inbox_take_all(&inbox, &count);
    struct whorl__inbox_node *const second = first->next;
    assert_true(whorl__inbox_push(&inbox, first));
    assert_ptr_equal(second, &nodes[1]);
    assert_null(second->next);
    assert_ptr_equal(whorl__inbox_take_all(&inbox, &count), first);
    assert_int_equal(count, 1);
}

/* ---- many threads ---- */

#if defined(WHORL_TSAN) || defined(WHORL_ASAN)
enum { LETTERS_EACH = 50000 };
#else
enum { LETTERS_EACH = 500000 };
#endif
enum { PUSHERS = 3, TAKERS = 2 };

struct letter {
    struct whorl__inbox_node node;
    unsigned pusher; /* C */
    unsigned serial; /* plain: written before the push, read after the take */
    uint32_t taken;  /* A: how often */
};

struct pusher {
    struct letter *letters;
    unsigned edges; /* L: pushes that found the inbox empty */
    pthread_t thread;
};

struct taker {
    unsigned batches;      /* L */
    unsigned out_of_order; /* L: a pusher's letters must stay in order within a batch */
    unsigned miscounted;   /* L */
    pthread_t thread;
};

static struct whorl__inbox shared;
static struct pusher pushers[PUSHERS];
static uint32_t pushers_left; /* A */

static void *pusher_main(void *arg)
{
    struct pusher *const pusher = arg;
    for (unsigned i = 0; i < LETTERS_EACH; i++) {
        struct letter *const letter = &pusher->letters[i];
        letter->serial = i + 1;
        pusher->edges += whorl__inbox_push(&shared, &letter->node);
    }
    (void)whorl__add_u32(&pushers_left, (uint32_t)-1); /* release, pairs with taker_main */
    return NULL;
}

static void open_batch(struct taker *taker, struct whorl__inbox_node *node, unsigned count)
{
    unsigned last_serials[PUSHERS] = {0};
    taker->batches += count > 0;
    while (node) {
        struct letter *const letter = whorl_container_of(node, struct letter, node);
        node = node->next;
        taker->out_of_order += letter->serial <= last_serials[letter->pusher];
        last_serials[letter->pusher] = letter->serial;
        whorl__add_relaxed_u32(&letter->taken, 1); /* relaxed: read after the join */
        count--;
    }
    taker->miscounted += count != 0;
}

static void *taker_main(void *arg)
{
    struct taker *const taker = arg;
    unsigned count;
    do {
        struct whorl__inbox_node *const batch = whorl__inbox_take_all(&shared, &count);
        open_batch(taker, batch, count);
        if (count == 0) {
            (void)sched_yield();
        }
        /* acquire, pairs with the end of pusher_main */
    } while (whorl__load_acquire_u32(&pushers_left) || !whorl__inbox_is_empty(&shared));
    return NULL;
}

static void start_pushers(void)
{
    for (unsigned p = 0; p < PUSHERS; p++) {
        pushers[p].letters = calloc(LETTERS_EACH, sizeof(struct letter));
        assert_non_null(pushers[p].letters);
        for (unsigned i = 0; i < LETTERS_EACH; i++) {
            pushers[p].letters[i].pusher = p;
        }
    }
    whorl__store_relaxed_u32(&pushers_left, PUSHERS); /* relaxed: nobody runs yet */
    for (unsigned p = 0; p < PUSHERS; p++) {
        assert_int_equal(pthread_create(&pushers[p].thread, NULL, pusher_main, &pushers[p]), 0);
    }
}

/* Returns how many pushes met an empty inbox. */
static unsigned finish_pushers(void)
{
    unsigned edges = 0;
    for (unsigned p = 0; p < PUSHERS; p++) {
        assert_int_equal(pthread_join(pushers[p].thread, NULL), 0);
        edges += pushers[p].edges;
    }
    return edges;
}

static void test_inbox_many_pushers_two_takers_each_letter_arrives_once(void **state)
{
    /* A loop and its rescuer take at once; and each batch that was taken began with one edge. */
    (void)state;
    struct taker takers[TAKERS];
    memset(takers, 0, sizeof(takers));
    start_pushers();
    for (unsigned t = 0; t < TAKERS; t++) {
        assert_int_equal(pthread_create(&takers[t].thread, NULL, taker_main, &takers[t]), 0);
    }
    const unsigned edges = finish_pushers();
    unsigned batches = 0;
    for (unsigned t = 0; t < TAKERS; t++) {
        assert_int_equal(pthread_join(takers[t].thread, NULL), 0);
        assert_int_equal(takers[t].out_of_order, 0);
        assert_int_equal(takers[t].miscounted, 0);
        batches += takers[t].batches;
    }
    assert_int_equal(edges, batches);
    for (unsigned p = 0; p < PUSHERS; p++) {
        for (unsigned i = 0; i < LETTERS_EACH; i++) {
            assert_int_equal(pushers[p].letters[i].taken, 1);
        }
        free(pushers[p].letters);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_nodes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(test_inbox_push_reports_the_empty_edge_only),
        cmocka_unit_test(test_inbox_node_can_be_pushed_again_while_its_batch_is_walked),
        cmocka_unit_test(test_inbox_many_pushers_two_takers_each_letter_arrives_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
