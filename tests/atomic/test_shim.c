/*
 * Our ck_pr.h: its functions, and the system's ck_ring.h and ck_stack.h compiled over it.
 */
#ifndef WHORL_ATOMIC_C11
#    define WHORL_ATOMIC_C11
#endif

#include "atomic/shim/ck_pr.h"

#include <ck_ring.h>
#include <ck_stack.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_shim_pointer_functions_do_as_ck_does(void **state)
{
    /* cas_value writes what it found also when it succeeds: ck's loops rely on it. */
    (void)state;
    int a;
    int b;
    int *field = &a;
    int *found = NULL;
    assert_ptr_equal(ck_pr_load_ptr(&field), &a);
    ck_pr_store_ptr(&field, &b);
    assert_ptr_equal(ck_pr_fas_ptr(&field, &a), &b);
    assert_false(ck_pr_cas_ptr_value(&field, &b, NULL, &found));
    assert_ptr_equal(found, &a);
    found = NULL;
    assert_true(ck_pr_cas_ptr_value(&field, &a, &b, &found));
    assert_ptr_equal(found, &a);
    assert_false(ck_pr_cas_ptr(&field, &a, NULL));
    assert_true(ck_pr_cas_ptr(&field, &b, &a));
    assert_ptr_equal(field, &a);
}

static void test_shim_number_functions_do_as_ck_does(void **state)
{
    /* The counters of a ring are unsigned and wrap. */
    (void)state;
    unsigned field = 0;
    unsigned found = 0;
    ck_pr_store_uint(&field, UINT32_MAX);
    assert_int_equal(ck_pr_load_uint(&field), UINT32_MAX);
    assert_false(ck_pr_cas_uint_value(&field, 1, 2, &found));
    assert_int_equal(found, UINT32_MAX);
    assert_true(ck_pr_cas_uint_value(&field, UINT32_MAX, 5, &found));
    assert_int_equal(found, UINT32_MAX);
    assert_true(ck_pr_cas_uint(&field, 5, 6));
    assert_false(ck_pr_cas_uint(&field, 5, 7));
    assert_int_equal(field, 6);
}

static void test_shim_carries_the_systems_ring(void **state)
{
    /* In order, up to one less than its size, and every consumer form of it. */
    (void)state;
    enum { SIZE = 8 };
    struct ck_ring ring;
    struct ck_ring_buffer buffer[SIZE];
    int items[SIZE];
    void *out;
    ck_ring_init(&ring, SIZE);
    for (unsigned i = 0; i < SIZE; i++) {
        assert_int_equal(ck_ring_enqueue_spmc(&ring, buffer, &items[i]), i < SIZE - 1);
    }
    for (unsigned i = 0; i < SIZE - 1; i++) {
        assert_true(i % 2 ? ck_ring_dequeue_spmc(&ring, buffer, &out)
                          : ck_ring_trydequeue_spmc(&ring, buffer, &out));
        assert_ptr_equal(out, &items[i]);
    }
    assert_false(ck_ring_dequeue_spmc(&ring, buffer, &out));
}

static void test_shim_carries_the_systems_stack(void **state)
{
    /* Last in first out, one by one and all at once. */
    (void)state;
    struct ck_stack stack = CK_STACK_INITIALIZER;
    struct ck_stack_entry entries[3];
    for (unsigned i = 0; i < 3; i++) {
        ck_stack_push_upmc(&stack, &entries[i]);
    }
    assert_ptr_equal(ck_stack_pop_upmc(&stack), &entries[2]);
    assert_ptr_equal(ck_stack_batch_pop_upmc(&stack), &entries[1]);
    assert_ptr_equal(entries[1].next, &entries[0]);
    assert_null(entries[0].next);
    assert_null(ck_stack_pop_upmc(&stack));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shim_pointer_functions_do_as_ck_does),
        cmocka_unit_test(test_shim_number_functions_do_as_ck_does),
        cmocka_unit_test(test_shim_carries_the_systems_ring),
        cmocka_unit_test(test_shim_carries_the_systems_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
