/*
 * The two intrusive lists.
 */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { NODES = 5 };

static void expect_ring(struct whorl__list *list, struct whorl__list *const *nodes, unsigned count)
{
    unsigned seen = 0;
    whorl__list_for_each(node, list)
    {
        assert_true(seen < count);
        assert_ptr_equal(node, nodes[seen]);
        assert_ptr_equal(node->prev->next, node);
        seen++;
    }
    assert_int_equal(seen, count);
    assert_int_equal(whorl__list_is_empty(list), count == 0);
}

static void test_list_both_ends_keep_their_order(void **state)
{
    /* push_front goes before all, push_back behind all, pop_front takes from the front. */
    (void)state;
    struct whorl__list list;
    struct whorl__list a;
    struct whorl__list b;
    struct whorl__list c;
    whorl__list_init(&list);
    expect_ring(&list, NULL, 0);
    assert_null(whorl__list_pop_front(&list));
    whorl__list_push_back(&list, &b);
    whorl__list_push_back(&list, &c);
    whorl__list_push_front(&list, &a);
    expect_ring(&list, (struct whorl__list *[]){&a, &b, &c}, 3);
    assert_ptr_equal(whorl__list_pop_front(&list), &a);
    assert_true(whorl__list_is_empty(&a));
    expect_ring(&list, (struct whorl__list *[]){&b, &c}, 2);
}

static void test_list_removal_twice_does_nothing_more(void **state)
{
    /* A waiter that was woken and then cancelled removes itself again. */
    (void)state;
    struct whorl__list list;
    struct whorl__list nodes[3];
    whorl__list_init(&list);
    for (unsigned i = 0; i < 3; i++) {
        whorl__list_push_back(&list, &nodes[i]);
    }
    whorl__list_remove(&nodes[1]);
    whorl__list_remove(&nodes[1]);
    expect_ring(&list, (struct whorl__list *[]){&nodes[0], &nodes[2]}, 2);
}

static void test_list_safe_walk_allows_removing_the_node(void **state)
{
    /* Wake-all loops take each waiter out while they walk. */
    (void)state;
    struct whorl__list list;
    struct whorl__list nodes[NODES];
    whorl__list_init(&list);
    for (unsigned i = 0; i < NODES; i++) {
        whorl__list_push_back(&list, &nodes[i]);
    }
    unsigned seen = 0;
    whorl__list_for_each_safe(node, &list)
    {
        assert_ptr_equal(node, &nodes[seen++]);
        whorl__list_remove(node);
    }
    assert_int_equal(seen, NODES);
    assert_true(whorl__list_is_empty(&list));
}

static void test_list_append_moves_all_behind(void **state)
{
    /* From empty, to empty, and both with nodes. */
    (void)state;
    struct whorl__list to;
    struct whorl__list from;
    struct whorl__list a;
    struct whorl__list b;
    whorl__list_init(&to);
    whorl__list_init(&from);
    whorl__list_append(&to, &from);
    expect_ring(&to, NULL, 0);
    whorl__list_push_back(&from, &a);
    whorl__list_append(&to, &from);
    expect_ring(&to, (struct whorl__list *[]){&a}, 1);
    expect_ring(&from, NULL, 0);
    whorl__list_push_back(&from, &b);
    whorl__list_append(&to, &from);
    expect_ring(&to, (struct whorl__list *[]){&a, &b}, 2);
    whorl__list_append(&to, &from);
    expect_ring(&to, (struct whorl__list *[]){&a, &b}, 2);
}

static void test_fifo_nodes_come_out_in_the_order_they_went_in(void **state)
{
    /* Also after it ran empty, when the tail still names an old node; a zeroed one is empty. */
    (void)state;
    struct whorl__fifo fifo = {0};
    struct whorl__fifo_node nodes[NODES];
    for (unsigned round = 0; round < 2; round++) {
        assert_null(whorl__fifo_pop(&fifo));
        for (unsigned i = 0; i < NODES; i++) {
            whorl__fifo_push(&fifo, &nodes[i]);
            assert_int_equal(fifo.count, i + 1);
        }
        for (unsigned i = 0; i < NODES; i++) {
            assert_ptr_equal(whorl__fifo_pop(&fifo), &nodes[i]);
            assert_null(nodes[i].next);
        }
        assert_true(whorl__fifo_is_empty(&fifo));
    }
}

static void test_fifo_append_moves_all_behind(void **state)
{
    /* Every pair of lengths from 0 to 2; pushing goes on behind the moved nodes. */
    (void)state;
    for (unsigned left = 0; left <= 2; left++) {
        for (unsigned right = 0; right <= 2; right++) {
            struct whorl__fifo to;
            struct whorl__fifo from;
            struct whorl__fifo_node nodes[NODES];
            whorl__fifo_init(&to);
            whorl__fifo_init(&from);
            for (unsigned i = 0; i < left + right; i++) {
                whorl__fifo_push(i < left ? &to : &from, &nodes[i]);
            }
            whorl__fifo_append(&to, &from);
            assert_true(whorl__fifo_is_empty(&from));
            whorl__fifo_push(&to, &nodes[left + right]);
            assert_int_equal(to.count, left + right + 1);
            for (unsigned i = 0; i <= left + right; i++) {
                assert_ptr_equal(whorl__fifo_pop(&to), &nodes[i]);
            }
            assert_null(whorl__fifo_pop(&to));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_both_ends_keep_their_order),
        cmocka_unit_test(test_list_removal_twice_does_nothing_more),
        cmocka_unit_test(test_list_safe_walk_allows_removing_the_node),
        cmocka_unit_test(test_list_append_moves_all_behind),
        cmocka_unit_test(test_fifo_nodes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(test_fifo_append_moves_all_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
