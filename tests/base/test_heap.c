/*
 * The heap, against an array that is searched from end to end.
 */
#include "base/heap.h"

#include "base/random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NODES = 700 };

static unsigned blocks_alive;
static bool alloc_fails;

static void *counting_alloc(size_t bytes)
{
    if (alloc_fails) {
        return NULL;
    }
    blocks_alive++;
    return malloc(bytes);
}

static void counting_free(void *block)
{
    blocks_alive--;
    free(block);
}

static void insert(struct whorl__heap *heap, struct whorl__heap_node *node, int64_t key)
{
    assert_int_equal(whorl__heap_insert(heap, node, key), 0);
    assert_true(whorl__heap_contains(node));
}

static void test_heap_equal_keys_come_out_in_the_order_they_went_in(void **state)
{
    /* Timers of one deadline fire in the order they were set, as asyncio users expect. */
    (void)state;
    struct whorl__heap heap;
    static struct whorl__heap_node nodes[NODES];
    whorl__heap_init(&heap, counting_alloc, counting_free);
    for (unsigned i = 0; i < NODES; i++) {
        insert(&heap, &nodes[i], i % 3);
    }
    for (unsigned key = 0; key < 3; key++) {
        for (unsigned i = key; i < NODES; i += 3) {
            assert_ptr_equal(whorl__heap_pop(&heap), &nodes[i]);
        }
    }
    assert_null(whorl__heap_pop(&heap));
    assert_null(whorl__heap_peek(&heap));
    whorl__heap_fini(&heap);
    assert_int_equal(blocks_alive, 0);
}

static void test_heap_extreme_keys_are_ordered(void **state)
{
    /* "Never" is the largest key there is, and a deadline long past may be negative. */
    (void)state;
    static const int64_t keys[] = {0, INT64_MAX, INT64_MIN, -1, 1};
    static const unsigned order[] = {2, 3, 0, 4, 1};
    struct whorl__heap heap;
    struct whorl__heap_node nodes[5] = {{0}};
    whorl__heap_init(&heap, counting_alloc, counting_free);
    for (unsigned i = 0; i < 5; i++) {
        insert(&heap, &nodes[i], keys[i]);
    }
    for (unsigned i = 0; i < 5; i++) {
        assert_ptr_equal(whorl__heap_peek(&heap), &nodes[order[i]]);
        assert_ptr_equal(whorl__heap_pop(&heap), &nodes[order[i]]);
        assert_false(whorl__heap_contains(&nodes[order[i]]));
    }
    whorl__heap_fini(&heap);
}

static void test_heap_out_of_memory_keeps_what_is_inside(void **state)
{
    /* A timer that cannot be set must leave the others alone, and itself outside. */
    (void)state;
    struct whorl__heap heap;
    static struct whorl__heap_node nodes[NODES];
    struct whorl__heap_node late = {0};
    whorl__heap_init(&heap, counting_alloc, counting_free);
    alloc_fails = true;
    assert_int_equal(whorl__heap_insert(&heap, &late, 0), -ENOMEM);
    assert_int_equal(whorl__heap_reserve(&heap, SIZE_MAX), -ENOMEM);
    alloc_fails = false;
    assert_int_equal(whorl__heap_reserve(&heap, 100), 0);
    alloc_fails = true;
    const size_t capacity = heap.capacity;
    assert_true(capacity >= 100);
    for (size_t i = 0; i < capacity; i++) {
        insert(&heap, &nodes[i], -(int64_t)i);
    }
    assert_int_equal(whorl__heap_insert(&heap, &late, 0), -ENOMEM);
    alloc_fails = false;
    assert_false(whorl__heap_contains(&late));
    assert_true(whorl__heap_verify(&heap));
    assert_int_equal(heap.count, capacity);
    whorl__heap_fini(&heap);
    assert_int_equal(blocks_alive, 0);
}

static void test_heap_each_place_can_be_removed(void **state)
{
    /* The node that fills the hole may have to go up as well as down: all places, many shapes. */
    (void)state;
    enum { SIZE = 40, SHAPES = 50 };
    struct whorl__random random;
    whorl__random_init(&random, 1);
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        for (size_t place = 0; place < SIZE; place++) {
            struct whorl__heap heap;
            struct whorl__heap_node nodes[SIZE] = {{0}};
            whorl__heap_init(&heap, counting_alloc, counting_free);
            for (unsigned i = 0; i < SIZE; i++) {
                insert(&heap, &nodes[i], whorl__random_below(&random, 20));
            }
            whorl__heap_remove(&heap, heap.nodes[place]);
            assert_true(whorl__heap_verify(&heap));
            assert_int_equal(heap.count, SIZE - 1);
            whorl__heap_fini(&heap);
        }
    }
}

/* ---- random operations ---- */

static bool is_before(const struct whorl__heap_node *a, const struct whorl__heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static struct whorl__heap_node *first_by_search(struct whorl__heap_node *nodes)
{
    struct whorl__heap_node *first = NULL;
    for (unsigned i = 0; i < NODES; i++) {
        if (whorl__heap_contains(&nodes[i]) && (!first || is_before(&nodes[i], first))) {
            first = &nodes[i];
        }
    }
    return first;
}

static void test_heap_random_steps_agree_with_a_search(void **state)
{
    /* Inserts, removals and pops in any order; what is on top is checked after each. */
    (void)state;
    enum { STEPS = 20000 };
    struct whorl__heap heap;
    static struct whorl__heap_node nodes[NODES];
    struct whorl__random random;
    whorl__random_init(&random, 42);
    whorl__heap_init(&heap, counting_alloc, counting_free);
    for (unsigned step = 0; step < STEPS; step++) {
        struct whorl__heap_node *const node = &nodes[whorl__random_below(&random, NODES)];
        if (whorl__random_below(&random, 8) == 0) {
            struct whorl__heap_node *const expected = first_by_search(nodes);
            assert_ptr_equal(whorl__heap_pop(&heap), expected);
        } else if (whorl__heap_contains(node)) {
            whorl__heap_remove(&heap, node);
        } else {
            insert(&heap, node, whorl__random_below(&random, 100));
        }
        assert_ptr_equal(whorl__heap_peek(&heap), first_by_search(nodes));
    }
    assert_true(whorl__heap_verify(&heap));
    whorl__heap_fini(&heap);
    assert_int_equal(blocks_alive, 0);
}

static void test_heap_verify_finds_a_node_out_of_order(void **state)
{
    /* An audit that cannot fail would prove nothing. */
    (void)state;
    struct whorl__heap heap;
    struct whorl__heap_node nodes[3] = {{0}};
    whorl__heap_init(&heap, counting_alloc, counting_free);
    for (unsigned i = 0; i < 3; i++) {
        insert(&heap, &nodes[i], i);
    }
    nodes[2].key = -1;
    assert_false(whorl__heap_verify(&heap));
    nodes[2].key = 2;
    nodes[1].place = 1;
    assert_false(whorl__heap_verify(&heap));
    whorl__heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_equal_keys_come_out_in_the_order_they_went_in),
        cmocka_unit_test(test_heap_extreme_keys_are_ordered),
        cmocka_unit_test(test_heap_out_of_memory_keeps_what_is_inside),
        cmocka_unit_test(test_heap_each_place_can_be_removed),
        cmocka_unit_test(test_heap_random_steps_agree_with_a_search),
        cmocka_unit_test(test_heap_verify_finds_a_node_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
