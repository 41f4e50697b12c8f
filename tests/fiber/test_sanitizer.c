/*
 * test_sanitizer.c - what AddressSanitizer has to know about fibers; skipped in other builds.
 */
#include "fixture.h"

#if defined(WHORL_ASAN)

#    include <sanitizer/asan_interface.h>
#    include <sanitizer/lsan_interface.h>

/* The pointer is in a register, so the switch puts it on the stack. ASan's heap copies of frames,
 * where a variable with an address may be, are not searched while the fiber is parked. */
static void hold_block(struct job *job)
{
    char *block = malloc(100);
    suspend(job);
    job->result = block != NULL;
    free(block);
}

static void test_block_known_to_parked_fiber_only_is_no_leak(void **state)
{
    /* The leak checker walks thread stacks; a parked task's stack belongs to no thread. */
    struct rig *rig = *state;
    struct job job = {0};
    get(rig, &job, hold_block);
    resume(&job);
    assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
    resume(&job);
    put(rig, job.self);
}

/* Leaves a frame with poisoned edges behind, for the fiber is given away in the middle of it. */
static void die_in_frame(struct job *job)
{
    volatile char guarded[64];
    guarded[0] = 1;
    suspend(job);
    job->result = guarded[0];
}

static void test_stack_dropped_in_mid_frame_is_clean_when_reused(void **state)
{
    /* ASan marks the edges of each frame's arrays; a context dropped half-way never clears them. */
    struct rig *rig = *state;
    struct job job = {0};
    struct whorl__fiber *fiber = get(rig, &job, die_in_frame);
    resume(&job);
    put(rig, fiber);
    whorl__fibers_trim(&rig->fibers);
    whorl__stacks_trim(rig->stacks);
    assert_null(__asan_region_is_poisoned(fiber->stack_low, fiber->stack_bytes));
}

#else

static void test_block_known_to_parked_fiber_only_is_no_leak(void **state)
{
    (void)state;
    skip(); /* needs AddressSanitizer */
}

static void test_stack_dropped_in_mid_frame_is_clean_when_reused(void **state)
{
    (void)state;
    skip(); /* needs AddressSanitizer */
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_block_known_to_parked_fiber_only_is_no_leak, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stack_dropped_in_mid_frame_is_clean_when_reused,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
