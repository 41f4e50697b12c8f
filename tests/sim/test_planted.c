/*
 * test_planted.c - the simulation finds bugs: a kernel with one in it fails within a budget of
 * seeds, and the seed that failed fails again in the same way. The same seeds are fine without it.
 */
#include "sim/program.h"
#include "sim/sim.h"
#include "support/play.h"

#include <errno.h>
#include <stdio.h>

static struct whorl_sim_report report;
static struct whorl_sim_report again;

static int run(const struct program *program, int loops, uint64_t seed,
               struct whorl_sim_report *ret_report)
{
    struct whorl_sim_options options;
    options_of(program, loops, seed, &options);
    options.report = ret_report;
    options.quiet = 1;
    options.ns_max = 600 * WHORL_SECOND;
    options.steps_max = 300000;
    return whorl_sim_run(seed, &options, program->body, NULL);
}

static uint64_t find(const struct program *program, int loops, uint64_t budget)
{
    for (uint64_t seed = 0; seed < budget; seed++) {
        if (run(program, loops, seed, &report) != 0) {
            return seed;
        }
    }
    return budget;
}

static void assert_found(enum whorl__sim_plant plant, const char *name,
                         const struct program *program, int loops)
{
    const uint64_t budget = 300;
    whorl__sim_plant = plant;
    const uint64_t seed = find(program, loops, budget);
    printf("sim planted %-11s %-12s %d loops: found with seed %llu: %.60s\n", name, program->name,
           loops, (unsigned long long)seed, report.verdict);
    assert_true(seed < budget);
    assert_true(report.failed);
    assert_int_equal(run(program, loops, seed, &again), -ENOTRECOVERABLE);
    assert_string_equal(again.verdict, report.verdict);
    assert_int_equal(again.hash, report.hash);
    assert_int_equal(again.steps, report.steps);
    whorl__sim_plant = WHORL__SIM_SOUND;
    assert_int_equal(run(program, loops, seed, &again), 0);
}

static void test_lost_wake_is_found(void **state)
{
    (void)state;
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_tasks, 2);
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_foreign, 8);
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_executors, 2);
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_callbacks, 2);
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_generators, 8);
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_sync, 8);
    assert_found(WHORL__SIM_LOSE_WAKE, "lost wake", &program_select, 2);
}

static void test_lost_edge_is_found(void **state)
{
    (void)state;
    assert_found(WHORL__SIM_LOSE_EDGE, "lost edge", &program_echo, 2);
    assert_found(WHORL__SIM_LOSE_EDGE, "lost edge", &program_stalls, 8);
}

static void test_lost_room_is_found(void **state)
{
    (void)state;
    assert_found(WHORL__SIM_LOSE_SPACE, "lost room", &program_echo, 8);
}

static void test_lost_futex_wake_is_found(void **state)
{
    (void)state;
    assert_found(WHORL__SIM_LOSE_FUTEX, "lost futex", &program_foreign, 2);
    assert_found(WHORL__SIM_LOSE_FUTEX, "lost futex", &program_executors, 2);
    assert_found(WHORL__SIM_LOSE_FUTEX, "lost futex", &program_callbacks, 8);
    assert_found(WHORL__SIM_LOSE_FUTEX, "lost futex", &program_sync, 1);
}

static void test_lost_byte_is_found(void **state)
{
    (void)state;
    assert_found(WHORL__SIM_LOSE_BYTE, "lost byte", &program_echo, 2);
}

static void test_short_read_of_tcp_is_found(void **state)
{
    (void)state;
    assert_found(WHORL__SIM_EARLY_END, "short TCP", &program_echo, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_wake_is_found),
        cmocka_unit_test(test_lost_edge_is_found),
        cmocka_unit_test(test_lost_room_is_found),
        cmocka_unit_test(test_lost_futex_wake_is_found),
        cmocka_unit_test(test_lost_byte_is_found),
        cmocka_unit_test(test_short_read_of_tcp_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
