/*
 * test_switch.c - what a switch must keep, fiber by fiber, and what it must not carry along.
 */
#include "fixture.h"

#include <execinfo.h>
#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static void count_three_turns(struct job *job)
{
    for (int i = 0; i < 3; i++) {
        job->turns++;
        suspend(job);
    }
    job->result = 77;
}

static void test_switch_there_and_back_runs_in_turns(void **state)
{
    /* The basic contract: each switch runs the fiber up to its next switch, and no further. */
    struct rig *rig = *state;
    struct job job = {0};
    struct whorl__fiber *fiber = get(rig, &job, count_three_turns);
    for (int i = 1; i <= 3; i++) {
        resume(&job);
        assert_int_equal(job.turns, i);
        assert_int_equal(job.result, 0);
    }
    resume(&job);
    assert_int_equal(job.result, 77);
    put(rig, fiber);
}

static void return_at_once(struct job *job)
{
    job->turns++;
}

static void test_fiber_reassigned_runs_the_new_job(void **state)
{
    /* A fiber is made once and serves many tasks: its entry goes round, it does not start anew. */
    struct rig *rig = *state;
    struct job first = {0};
    struct job second = {0};
    struct whorl__fiber *fiber = get(rig, &first, return_at_once);
    resume(&first);
    const void *sp_between = fiber->sp;
    assign(rig, fiber, &second, return_at_once);
    resume(&second);
    assert_int_equal(first.turns, 1);
    assert_int_equal(second.turns, 1);
    assert_ptr_equal(fiber->sp, sp_between);
    put(rig, fiber);
}

/* More live values than the machine has registers, all made from one seed. */
static long sum_across(struct job *job, long seed)
{
    const long values[4] = {seed, seed * 3, seed * 5, seed * 7};
    const long a = seed * 11;
    const long b = seed * 13;
    const long c = seed * 17;
    const long d = seed * 19;
    const long e = seed * 23;
    const long f = seed * 29;
    const double x = (double)seed * 0.5;
    if (job != NULL) {
        suspend(job);
    }
    return values[0] + values[1] + values[2] + values[3] + a + b * 2 + c * 3 + d * 4 + e * 5 +
           f * 6 + (long)(x * 2.0);
}

static void sum_in_fiber(struct job *job)
{
    job->result = sum_across(job, job->turns);
}

static void test_switch_between_many_keeps_registers_of_each(void **state)
{
    /* A register saved in the wrong place shows as another fiber's value; so all are alive at once.
     * Under gcc's TSan no more than 4000 may be. */
    enum { FIBER_COUNT = 2000 };
    struct rig *rig = *state;
    struct job *jobs = calloc(FIBER_COUNT, sizeof(*jobs));
    assert_non_null(jobs);
    for (int i = 0; i < FIBER_COUNT; i++) {
        jobs[i].turns = i + 1;
        get(rig, &jobs[i], sum_in_fiber);
        resume(&jobs[i]);
    }
    for (int i = 0; i < FIBER_COUNT; i++) {
        resume(&jobs[i]);
        assert_int_equal(jobs[i].result, sum_across(NULL, i + 1));
        put(rig, jobs[i].self);
    }
    free(jobs);
}

static struct job *ring_next(struct job *job)
{
    return job + (job->turns == 0 ? 1 : -1);
}

static void hand_on_and_count(struct job *job)
{
    for (int i = 0; i < 1000; i++) {
        job->result++;
        whorl__fiber_switch(job->self, ring_next(job)->self);
    }
}

static void test_switch_between_two_fibers_needs_no_host(void **state)
{
    /* Direct hand-over: the host is left once and gets its turn when one of the two is through. */
    struct rig *rig = *state;
    struct job pair[2] = {{.turns = 0}, {.turns = 1}};
    get(rig, &pair[0], hand_on_and_count);
    get(rig, &pair[1], hand_on_and_count);
    resume(&pair[0]);
    assert_int_equal(pair[0].result, 1000);
    assert_int_equal(pair[1].result, 1000);
    resume(&pair[1]);
    put(rig, pair[0].self);
    put(rig, pair[1].self);
}

/* The mode both floating point units round by, or -1 when they differ: on x86-64 fegetround asks
 * the x87, and two divisions show what the vector unit does. */
static int rounding(void)
{
    volatile double one = 1.0;
    volatile double three = 3.0;
    volatile double ten = 10.0;
    const bool third_is_up = one / three > 0x1.5555555555555p-2;
    const bool tenth_is_down = one / ten < 0x1.999999999999ap-4;
    const int seen = third_is_up ? FE_UPWARD : tenth_is_down ? FE_DOWNWARD : FE_TONEAREST;
    return seen == fegetround() ? seen : -1;
}

/* valgrind computes by one mode whatever is set. */
static void skip_unless_rounding_works(void)
{
    fesetround(FE_UPWARD);
    const int seen = rounding();
    fesetround(FE_TONEAREST);
    if (seen != FE_UPWARD) {
        skip();
    }
}

static void round_upward(struct job *job)
{
    fesetround(FE_UPWARD);
    suspend(job);
    job->result = rounding();
    fesetround(FE_TONEAREST);
}

static void read_rounding(struct job *job)
{
    job->result = rounding();
}

static void test_rounding_mode_set_in_fiber_stays_there(void **state)
{
    /* The control words of the floating point units are callee-saved: each fiber has its own. */
    struct rig *rig = *state;
    skip_unless_rounding_works();
    struct job upward = {0};
    struct job other = {0};
    get(rig, &upward, round_upward);
    get(rig, &other, read_rounding);
    resume(&upward);
    assert_int_equal(rounding(), FE_TONEAREST);
    resume(&other);
    assert_int_equal(other.result, FE_TONEAREST);
    resume(&upward);
    assert_int_equal(upward.result, FE_UPWARD);
    assert_int_equal(rounding(), FE_TONEAREST);
    put(rig, upward.self);
    put(rig, other.self);
}

static void test_rounding_mode_of_creator_is_inherited(void **state)
{
    /* As with threads: a program that sets the mode before it starts anything means everything. */
    struct rig *rig = *state;
    skip_unless_rounding_works();
    struct job job = {0};
    whorl__fibers_trim(&rig->fibers);
    whorl__stacks_trim(rig->stacks); /* what is got next is a new context */
    fesetround(FE_DOWNWARD);
    get(rig, &job, read_rounding);
    fesetround(FE_TONEAREST);
    resume(&job);
    assert_int_equal(job.result, FE_DOWNWARD);
    assert_int_equal(rounding(), FE_TONEAREST);
    put(rig, job.self);
}

#if defined(__x86_64__) || defined(__aarch64__)

static __attribute__((used)) void switch_plainly(struct whorl__fiber *from, struct whorl__fiber *to)
{
    whorl__fiber_switch(from, to);
}

/* Loads every register a callee must keep, switches, and writes back what it finds in them. */
void switch_with_registers(struct whorl__fiber *from, struct whorl__fiber *to, long *registers);

#    if defined(__x86_64__)

enum { KEPT = 6 };

__asm__("    .text\n"
        "switch_with_registers:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    pushq %rdx\n" /* also aligns the stack for the call */
        "    movq 0(%rdx), %rbp\n"
        "    movq 8(%rdx), %rbx\n"
        "    movq 16(%rdx), %r12\n"
        "    movq 24(%rdx), %r13\n"
        "    movq 32(%rdx), %r14\n"
        "    movq 40(%rdx), %r15\n"
        "    call switch_plainly\n"
        "    popq %rdx\n"
        "    movq %rbp, 0(%rdx)\n"
        "    movq %rbx, 8(%rdx)\n"
        "    movq %r12, 16(%rdx)\n"
        "    movq %r13, 24(%rdx)\n"
        "    movq %r14, 32(%rdx)\n"
        "    movq %r15, 40(%rdx)\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n");

#    else

enum { KEPT = 19 }; /* x19 to x29, d8 to d15; x30 is kept if the way back is found */

__asm__("    .text\n"
        ".macro sides with\n"
        "    \\with x19, x20, [x2]\n"
        "    \\with x21, x22, [x2, 16]\n"
        "    \\with x23, x24, [x2, 32]\n"
        "    \\with x25, x26, [x2, 48]\n"
        "    \\with x27, x28, [x2, 64]\n"
        "    \\with d8, d9, [x2, 80]\n"
        "    \\with d10, d11, [x2, 96]\n"
        "    \\with d12, d13, [x2, 112]\n"
        "    \\with d14, d15, [x2, 128]\n"
        ".endm\n"
        "switch_with_registers:\n"
        "    sub sp, sp, 176\n"
        "    stp x29, x30, [sp, 144]\n"
        "    str x2, [sp, 160]\n"
        "    mov x9, x2\n"
        "    mov x2, sp\n"
        "    sides stp\n" /* the caller's */
        "    mov x2, x9\n"
        "    sides ldp\n"
        "    ldr x29, [x2, 144]\n"
        "    bl switch_plainly\n"
        "    ldr x2, [sp, 160]\n"
        "    sides stp\n"
        "    str x29, [x2, 144]\n"
        "    mov x2, sp\n"
        "    sides ldp\n"
        "    ldp x29, x30, [sp, 144]\n"
        "    add sp, sp, 176\n"
        "    ret\n");

#    endif

static void fill_registers(long registers[KEPT], long first)
{
    for (int i = 0; i < KEPT; i++) {
        registers[i] = first + i;
    }
}

static int count_changed(const long registers[KEPT], long first)
{
    int changed = 0;
    for (int i = 0; i < KEPT; i++) {
        changed += registers[i] != first + i;
    }
    return changed;
}

static void hold_registers(struct job *job)
{
    long registers[KEPT];
    fill_registers(registers, 100);
    switch_with_registers(job->self, job->host, registers);
    job->result = count_changed(registers, 100);
}

static void test_registers_of_callee_are_each_kept(void **state)
{
    /* Compiled code rarely has all of them busy, so assembly fills them, on both sides. */
    struct rig *rig = *state;
    struct job job = {0};
    long registers[KEPT];
    fill_registers(registers, 200);
    get(rig, &job, hold_registers);
    resume(&job);
    switch_with_registers(job.host, job.self, registers);
    assert_int_equal(job.result, 0);
    assert_int_equal(count_changed(registers, 200), 0);
    put(rig, job.self);
}

#else

static void test_registers_of_callee_are_each_kept(void **state)
{
    (void)state;
    skip(); /* no assembly here for this processor */
}

#endif

static void measure_alignment(struct job *job)
{
    _Alignas(16) char aligned[16];
    char text[64];
    char *volatile place = aligned;
    snprintf(text, sizeof(text), "%Lf %f", 1.5L, 2.5); /* libc saves vector registers with movaps */
    job->result = (long)((uintptr_t)place % 16) + (strcmp(text, "1.500000 2.500000") != 0);
}

static void test_stack_at_entry_is_aligned(void **state)
{
    /* 8 bytes off crashes only in code that uses aligned vector moves: deep inside libraries. */
    struct rig *rig = *state;
    struct job job = {.result = -1};
    get(rig, &job, measure_alignment);
    resume(&job);
    assert_int_equal(job.result, 0);
    put(rig, job.self);
}

static WHORL_NOINLINE void walk_stack(struct job *job)
{
    void *frames[64];
    suspend(job);
    job->result = backtrace(frames, 64);
}

static void test_backtrace_in_fiber_ends_at_its_entry(void **state)
{
    /* Without the end mark an unwinder runs on into whatever lies above: garbage, or a crash. The
     * frames are this function, the entry, its two callers, and a few of a sanitizer. */
    struct rig *rig = *state;
    struct job job = {0};
    get(rig, &job, walk_stack);
    resume(&job);
    resume(&job);
    assert_in_range(job.result, 3, 8);
    put(rig, job.self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch_there_and_back_runs_in_turns),
        cmocka_unit_test(test_fiber_reassigned_runs_the_new_job),
        cmocka_unit_test(test_switch_between_many_keeps_registers_of_each),
        cmocka_unit_test(test_switch_between_two_fibers_needs_no_host),
        cmocka_unit_test(test_registers_of_callee_are_each_kept),
        cmocka_unit_test(test_rounding_mode_set_in_fiber_stays_there),
        cmocka_unit_test(test_rounding_mode_of_creator_is_inherited),
        cmocka_unit_test(test_stack_at_entry_is_aligned),
        cmocka_unit_test(test_backtrace_in_fiber_ends_at_its_entry),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
