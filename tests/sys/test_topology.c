/*
 * test_topology.c - loops get the right cores, and know who is near, on machines large and small.
 *
 * Machines other than this one are hwloc descriptions. What needs another affinity or another
 * environment happens in a child process, which answers by its exit code.
 */
#include "base/assert.h"
#include "sys/os.h"
#include "sys/topology.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/child.h"
#include "support/tree.h"

#define LOOPS_MAX 128

static struct whorl__topology *create(const char *synthetic)
{
    struct whorl__topology *topology = NULL;
    assert_int_equal(whorl__topology_create(synthetic, &topology), 0);
    assert_non_null(topology);
    return topology;
}

/* ---- described machines ---- */

static void test_topology_two_big_packages_one_loop_a_core(void **state)
{
    /* 128 cores of two threads each carry 128 loops, each on the first thread of its core. */
    (void)state;
    struct whorl__topology *topology = create("pack:2 l3:4 l2:16 core:1 pu:2");
    assert_int_equal(whorl__topology_loops(topology), 128);
    for (int loop = 0; loop < 128; ++loop) {
        assert_int_equal(whorl__topology_cpu_of(topology, loop), 2 * loop);
    }
    assert_int_equal(whorl__topology_distance(topology, 5, 5), WHORL__SAME_CORE);
    assert_int_equal(whorl__topology_distance(topology, 0, 15), WHORL__SAME_L3);
    assert_int_equal(whorl__topology_distance(topology, 0, 16), WHORL__SAME_PACKAGE);
    assert_int_equal(whorl__topology_distance(topology, 63, 64), WHORL__SAME_MACHINE);
    whorl__topology_destroy(topology);
}

static void test_topology_shared_l2_is_nearer_than_l3(void **state)
{
    /* Clusters of small cores share a second-level cache: a level of its own for thieves. */
    (void)state;
    struct whorl__topology *topology = create("pack:1 l3:2 l2:2 core:4 pu:1");
    assert_int_equal(whorl__topology_loops(topology), 16);
    assert_int_equal(whorl__topology_distance(topology, 0, 3), WHORL__SAME_L2);
    assert_int_equal(whorl__topology_distance(topology, 0, 4), WHORL__SAME_L3);
    assert_int_equal(whorl__topology_distance(topology, 0, 8), WHORL__SAME_PACKAGE);
    whorl__topology_destroy(topology);
}

static void test_topology_numa_without_packages_nodes_divide_it(void **state)
{
    /* Some machines name memory nodes but no packages; the node then is what loops share. */
    (void)state;
    struct whorl__topology *topology = create("numa:8 core:4 pu:1");
    assert_int_equal(whorl__topology_loops(topology), 32);
    assert_int_equal(whorl__topology_distance(topology, 0, 3), WHORL__SAME_PACKAGE);
    assert_int_equal(whorl__topology_distance(topology, 3, 4), WHORL__SAME_MACHINE);
    whorl__topology_destroy(topology);
}

static void test_topology_numa_inside_packages_package_counts(void **state)
{
    /* Eight nodes in two packages: loops of different nodes still share the package. */
    (void)state;
    struct whorl__topology *topology = create("pack:2 numa:4 l3:1 core:2 pu:1");
    assert_int_equal(whorl__topology_distance(topology, 0, 1), WHORL__SAME_L3);
    assert_int_equal(whorl__topology_distance(topology, 0, 7), WHORL__SAME_PACKAGE);
    assert_int_equal(whorl__topology_distance(topology, 0, 8), WHORL__SAME_MACHINE);
    whorl__topology_destroy(topology);
}

static void test_topology_without_cores_every_processor_carries_a_loop(void **state)
{
    /* Virtual machines may name processors only: each counts as a core, none is near another. */
    (void)state;
    struct whorl__topology *topology = create("pu:6");
    assert_int_equal(whorl__topology_loops(topology), 6);
    assert_int_equal(whorl__topology_cpu_of(topology, 5), 5);
    assert_int_not_equal(whorl__topology_distance(topology, 0, 1), WHORL__SAME_CORE);
    whorl__topology_destroy(topology);
}

static void test_topology_more_loops_than_cores_wrap_around(void **state)
{
    /* A runtime may ask for 64 loops on 2 cores: loop i sits beside loop i + cores. */
    (void)state;
    struct whorl__topology *topology = create("pack:1 core:2 pu:2");
    assert_int_equal(whorl__topology_cpu_of(topology, 0), 0);
    assert_int_equal(whorl__topology_cpu_of(topology, 1), 2);
    assert_int_equal(whorl__topology_cpu_of(topology, 62), 0);
    assert_int_equal(whorl__topology_cpu_of(topology, 63), 2);
    assert_int_equal(whorl__topology_distance(topology, 1, 63), WHORL__SAME_CORE);
    assert_int_equal(whorl__topology_distance(topology, 1, 62), WHORL__SAME_PACKAGE);
    whorl__topology_destroy(topology);
}

static void test_topology_distance_is_symmetric(void **state)
{
    /* Near is near in both directions, or two loops would disagree who should help whom. */
    (void)state;
    struct whorl__topology *topology = create("pack:2 numa:2 l3:1 l2:2 core:2 pu:2");
    for (int a = 0; a < 20; ++a) {
        for (int b = 0; b < 20; ++b) {
            assert_int_equal(whorl__topology_distance(topology, a, b),
                             whorl__topology_distance(topology, b, a));
        }
    }
    whorl__topology_destroy(topology);
}

/* Each other loop once, in order of distance, with the distance told truly. */
static void check_victims(const struct whorl__topology *topology, int loop, int loop_count)
{
    int order[LOOPS_MAX], level[LOOPS_MAX];
    bool seen[LOOPS_MAX] = {false};
    whorl__topology_victims(topology, loop, loop_count, order, level);
    for (int i = 0; i < loop_count - 1; ++i) {
        assert_true(order[i] >= 0 && order[i] < loop_count && order[i] != loop);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
        assert_int_equal(level[i], whorl__topology_distance(topology, loop, order[i]));
        assert_true(i == 0 || level[i - 1] <= level[i]);
    }
}

static void test_topology_victims_are_all_others_nearest_first(void **state)
{
    /* A thief that leaves a loop out strands its tasks; one that starts far away wastes caches. */
    (void)state;
    const char *machines[] = {"pack:2 l3:4 l2:16 core:1 pu:2", "pack:2 numa:4 l3:2 core:3 pu:2",
                              "pu:5", "pack:1 core:2 pu:1"};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; ++i) {
        struct whorl__topology *topology = create(machines[i]);
        for (int loop_count = 1; loop_count <= LOOPS_MAX; loop_count *= 2) {
            for (int loop = 0; loop < loop_count; ++loop) {
                check_victims(topology, loop, loop_count);
            }
        }
        whorl__topology_destroy(topology);
    }
}

static void test_topology_victims_of_two_big_packages_are_ordered_ring_by_ring(void **state)
{
    /* 2 x 64 cores, a cache for each sixteen: the own group from the next loop on, the own package,
     * the other; each of them a ring that begins behind the thief. */
    int order[127], level[127];
    (void)state;
    struct whorl__topology *topology = create("pack:2 l3:4 l2:16 core:1 pu:2");
    whorl__topology_victims(topology, 70, 128, order, level);
    for (int i = 0; i < 127; ++i) {
        const int group = 64 + (7 + i) % 16;
        const int package = 80 + (i - 15);
        const int machine = i - 63;
        assert_int_equal(order[i], i < 15 ? group : i < 63 ? package : machine);
        assert_int_equal(level[i], i < 15   ? WHORL__SAME_L3
                                   : i < 63 ? WHORL__SAME_PACKAGE
                                            : WHORL__SAME_MACHINE);
    }
    whorl__topology_destroy(topology);
}

static void test_topology_victims_start_at_the_next_loop(void **state)
{
    /* Within one distance thieves must not all begin with the same victim. */
    (void)state;
    struct whorl__topology *topology = create("pack:1 l3:1 core:4 pu:1");
    int order[3], level[3];
    whorl__topology_victims(topology, 2, 4, order, level);
    assert_int_equal(order[0], 3);
    assert_int_equal(order[1], 0);
    assert_int_equal(order[2], 1);
    whorl__topology_destroy(topology);
}

static void test_topology_bad_description_is_refused(void **state)
{
    /* The error is the caller's to report, and the output stays as it was. */
    (void)state;
    struct whorl__topology *topology = NULL;
    assert_int_equal(whorl__topology_create("a teapot", &topology), -EINVAL);
    assert_null(topology);
}

static void test_topology_described_machine_cannot_be_bound_to(void **state)
{
    /* hwloc's own bind would say yes here and do nothing. */
    (void)state;
    struct whorl__topology *topology = create("core:4 pu:1");
    assert_int_equal(whorl__topology_bind(topology, 0), -ENOTSUP);
    assert_int_equal(whorl__topology_unbind(topology), -ENOTSUP);
    whorl__topology_destroy(topology);
}

static void *no_memory(size_t bytes)
{
    (void)bytes;
    return NULL;
}

static void test_topology_without_memory_fails_cleanly(void **state)
{
    /* Nothing is left behind (the address sanitizer looks) and the output stays as it was. */
    (void)state;
    const struct whorl__os *real = whorl__os;
    struct whorl__os os = *real;
    os.alloc = no_memory;
    whorl__os = &os;
    struct whorl__topology *topology = NULL;
    const int error = whorl__topology_create("core:4 pu:1", &topology);
    whorl__os = real;
    assert_int_equal(error, -ENOMEM);
    assert_null(topology);
}

/* ---- this machine ---- */

static cpu_set_t current_affinity(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    WHORL_CHECK(sched_getaffinity(0, sizeof set, &set) == 0, "the test's own look at affinity");
    return set;
}

static bool allows(const cpu_set_t *set, int cpu)
{
    return CPU_ISSET((size_t)cpu, set);
}

/* The highest processor that we may use. */
static int last_cpu(void)
{
    const cpu_set_t set = current_affinity();
    int cpu = CPU_SETSIZE - 1;
    while (!allows(&set, cpu)) {
        --cpu;
    }
    return cpu;
}

static void restrict_to(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    WHORL_CHECK(sched_setaffinity(0, sizeof set, &set) == 0, "the test's own affinity");
}

static void test_topology_this_machine_leaves_affinity_alone(void **state)
{
    /* Looking at the machine must not move the thread that looks. */
    (void)state;
    const cpu_set_t before = current_affinity();
    struct whorl__topology *topology = create(NULL);
    const cpu_set_t after = current_affinity();
    assert_true(CPU_EQUAL(&before, &after));
    const int loops = whorl__topology_loops(topology);
    assert_true(loops >= 1 && loops <= CPU_COUNT(&before));
    for (int loop = 0; loop < loops; ++loop) {
        assert_true(allows(&before, whorl__topology_cpu_of(topology, loop)));
    }
    whorl__topology_destroy(topology);
}

/* 1 loop on the one processor left: 0. */
static int restricted_body(void)
{
    const int cpu = last_cpu();
    restrict_to(cpu);
    struct whorl__topology *topology;
    if (whorl__topology_create(NULL, &topology)) {
        return 1;
    }
    const bool fits =
        whorl__topology_loops(topology) == 1 && whorl__topology_cpu_of(topology, 0) == cpu;
    whorl__topology_destroy(topology);
    return fits ? 0 : 2;
}

static void test_topology_under_taskset_uses_the_one_cpu_left(void **state)
{
    /* hwloc passes over the affinity; without our own look there would be a loop too many. */
    (void)state;
    child_expect_success(restricted_body);
}

/* Bound to one processor, then free again: 0. */
static int bind_body(void)
{
    const cpu_set_t before = current_affinity();
    struct whorl__topology *topology;
    if (whorl__topology_create(NULL, &topology)) {
        return 1;
    }
    for (int loop = 0; loop <= whorl__topology_loops(topology); ++loop) {
        const int cpu = whorl__topology_cpu_of(topology, loop);
        if (whorl__topology_bind(topology, loop) || sched_getcpu() != cpu) {
            return 2;
        }
        const cpu_set_t bound = current_affinity();
        if (CPU_COUNT(&bound) != 1 || !allows(&bound, cpu)) {
            return 3;
        }
    }
    if (whorl__topology_unbind(topology)) {
        return 4;
    }
    const cpu_set_t after = current_affinity();
    whorl__topology_destroy(topology);
    return CPU_EQUAL(&before, &after) ? 0 : 5;
}

static void test_topology_bind_moves_the_thread_unbind_frees_it(void **state)
{
    /* A bound loop runs on its own processor; what it lends back runs anywhere again. */
    (void)state;
    child_expect_success(bind_body);
}

/* ---- this machine, as an operator describes it, under a quota from files ---- */

static const char *quota_root;

static int read_file_below_root(const char *path, char *ret_text, size_t text_max)
{
    char full[4096];
    WHORL_CHECK((size_t)snprintf(full, sizeof full, "%s%s", quota_root, path) < sizeof full,
                "a test's path is short");
    return whorl__os_linux.read_file(full, ret_text, text_max);
}

/* The number of loops on a described box of 16 cores, under the quota of the tree. */
static int loops_body(void)
{
    static struct whorl__os os;
    os = *whorl__os;
    os.read_file = read_file_below_root;
    whorl__os = &os;
    struct whorl__topology *topology;
    if (setenv("HWLOC_SYNTHETIC", "core:16 pu:2", 1) || whorl__topology_create(NULL, &topology)) {
        return 255;
    }
    const int loops = whorl__topology_loops(topology);
    whorl__topology_destroy(topology);
    return loops;
}

static void test_topology_quota_caps_loops_but_leaves_two(void **state)
{
    /* More loops than the quota only take turns being throttled; one alone could not be helped. */
    const char *max_path = "/sys/fs/cgroup/box/cpu.max";
    quota_root = *state;
    tree_write(*state, "/proc/self/cgroup", "0::/box\n");
    tree_write(*state, "/proc/self/mountinfo",
               "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_int_equal(child_run(loops_body), 16);
    tree_write(*state, max_path, "2000000 100000\n");
    assert_int_equal(child_run(loops_body), 16);
    tree_write(*state, max_path, "450000 100000\n");
    assert_int_equal(child_run(loops_body), 5);
    tree_write(*state, max_path, "50000 100000\n");
    assert_int_equal(child_run(loops_body), 2);
    tree_write(*state, max_path, "not a number\n");
    assert_int_equal(child_run(loops_body), 16);
}

static int make_tree(void **state)
{
    *state = tree_make();
    return *state ? 0 : -1;
}

static int remove_tree(void **state)
{
    tree_remove(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topology_two_big_packages_one_loop_a_core),
        cmocka_unit_test(test_topology_shared_l2_is_nearer_than_l3),
        cmocka_unit_test(test_topology_numa_without_packages_nodes_divide_it),
        cmocka_unit_test(test_topology_numa_inside_packages_package_counts),
        cmocka_unit_test(test_topology_without_cores_every_processor_carries_a_loop),
        cmocka_unit_test(test_topology_more_loops_than_cores_wrap_around),
        cmocka_unit_test(test_topology_distance_is_symmetric),
        cmocka_unit_test(test_topology_victims_are_all_others_nearest_first),
        cmocka_unit_test(test_topology_victims_of_two_big_packages_are_ordered_ring_by_ring),
        cmocka_unit_test(test_topology_victims_start_at_the_next_loop),
        cmocka_unit_test(test_topology_bad_description_is_refused),
        cmocka_unit_test(test_topology_described_machine_cannot_be_bound_to),
        cmocka_unit_test(test_topology_without_memory_fails_cleanly),
        cmocka_unit_test(test_topology_this_machine_leaves_affinity_alone),
        cmocka_unit_test(test_topology_under_taskset_uses_the_one_cpu_left),
        cmocka_unit_test(test_topology_bind_moves_the_thread_unbind_frees_it),
        cmocka_unit_test_setup_teardown(test_topology_quota_caps_loops_but_leaves_two, make_tree,
                                        remove_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
