/*
 * test_quota.c - the CPU quota is found wherever the control groups may keep it.
 *
 * Each test writes the files of /proc and /sys/fs/cgroup as a kernel would into a folder of its
 * own, and lets the reader look there instead.
 */
#include "sys/os.h"
#include "sys/quota.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/tree.h"

#define MOUNT_V2   "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define MOUNT_CPU  "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_SET  "35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
#define MOUNT_ROOT "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

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

/* The quota of the tree; a negative number is the error. */
static int quota_of(void **state)
{
    int cpus = -1;
    const int error = whorl__quota_cpus(*state, &cpus);
    if (error) {
        assert_int_equal(cpus, -1); /* outputs are untouched on failure */
        return error;
    }
    return cpus;
}

static void write_proc(void **state, const char *groups, const char *mounts)
{
    tree_write(*state, "/proc/self/cgroup", groups);
    tree_write(*state, "/proc/self/mountinfo", mounts);
}

static void test_quota_without_proc_is_unlimited(void **state)
{
    /* A process may live where no /proc is mounted: that sets no limit, and is no error. */
    assert_int_equal(quota_of(state), INT_MAX);
}

static void test_quota_v2_max_is_unlimited(void **state)
{
    /* The kernel writes the word "max" where there is no limit. */
    write_proc(state, "0::/box\n", MOUNT_ROOT MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "max 100000\n");
    assert_int_equal(quota_of(state), INT_MAX);
}

static void test_quota_v2_fraction_is_rounded_up(void **state)
{
    /* One and a half processors keep two loops busy, so parts of a processor count as one. */
    write_proc(state, "0::/box\n", MOUNT_ROOT MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "150000 100000\n");
    assert_int_equal(quota_of(state), 2);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "200000 100000\n");
    assert_int_equal(quota_of(state), 2);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "1000 100000\n");
    assert_int_equal(quota_of(state), 1);
}

static void test_quota_v2_ancestor_is_tighter_ancestor_wins(void **state)
{
    /* A limit holds for the whole subtree, so every folder up to the mount must be read. */
    write_proc(state, "0::/pod/box/inner\n", MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/pod/cpu.max", "300000 100000\n");
    tree_write(*state, "/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
    tree_write(*state, "/sys/fs/cgroup/pod/box/inner/cpu.max", "800000 100000\n");
    assert_int_equal(quota_of(state), 3);
}

static void test_quota_v2_own_group_is_tighter_own_group_wins(void **state)
{
    /* The minimum is taken over the whole way up, not at its end. */
    write_proc(state, "0::/pod/box\n", MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/pod/cpu.max", "800000 100000\n");
    tree_write(*state, "/sys/fs/cgroup/pod/box/cpu.max", "400000 100000\n");
    assert_int_equal(quota_of(state), 4);
}

static void test_quota_v2_namespace_root_is_read(void **state)
{
    /* In a container with its own cgroup namespace the path is "/", the limit at the mount. */
    write_proc(state, "0::/\n", MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/cpu.max", "250000 50000\n");
    assert_int_equal(quota_of(state), 5);
}

static void test_quota_v1_minus_one_is_unlimited(void **state)
{
    /* cgroup v1 writes -1 where there is no limit. */
    write_proc(state, "1:cpu,cpuacct:/box\n", MOUNT_CPU);
    tree_write(*state, "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_of(state), INT_MAX);
}

static void test_quota_v1_controller_is_named_exactly(void **state)
{
    /* "cpuset" and "cpuacct" begin like "cpu" but are other controllers. */
    write_proc(state, "3:cpuset:/wrong\n2:cpuacct:/wrong\n1:cpu:/box\n", MOUNT_SET MOUNT_CPU);
    tree_write(*state, "/sys/fs/cgroup/cpuset/box/cpu.cfs_quota_us", "100000\n");
    tree_write(*state, "/sys/fs/cgroup/cpuset/box/cpu.cfs_period_us", "100000\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/wrong/cpu.cfs_quota_us", "200000\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/wrong/cpu.cfs_period_us", "100000\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "610000\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_of(state), 7);
}

static void test_quota_v1_mount_shows_own_group_path_is_cut(void **state)
{
    /* In a container of the host's namespace the mount begins at our group, not at the top. */
    write_proc(state, "4:cpu,cpuacct:/docker/ab12/inner\n",
               "33 31 0:30 /docker/ab12 /sys/fs/cgroup/cpu ro master:9 - cgroup cgroup rw,cpu\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_of(state), 3);
}

static void test_quota_mount_of_other_group_is_passed_over(void **state)
{
    /* A mount that does not show our group tells somebody else's limits. */
    write_proc(state, "0::/docker/ab12\n",
               "30 23 0:26 /docker/ab1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    tree_write(*state, "/sys/fs/cgroup/cpu.max", "100000 100000\n");
    tree_write(*state, "/sys/fs/cgroup/2/cpu.max", "100000 100000\n");
    assert_int_equal(quota_of(state), INT_MAX);
}

static void test_quota_hybrid_both_sides_are_read(void **state)
{
    /* With both versions mounted the cpu controller may sit on either. */
    write_proc(state, "1:cpu:/old\n0::/new\n",
               MOUNT_CPU "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/old/cpu.cfs_quota_us", "600000\n");
    tree_write(*state, "/sys/fs/cgroup/cpu/old/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_of(state), 6);
    tree_write(*state, "/sys/fs/cgroup/unified/new/cpu.max", "400000 100000\n");
    assert_int_equal(quota_of(state), 4);
}

static void test_quota_mount_point_with_space_is_found(void **state)
{
    /* mountinfo writes a space as \040; taken literally the folder would not be there. */
    write_proc(state, "0::/box\n", "30 23 0:26 / /run/my\\040groups rw - cgroup2 cgroup2 rw\n");
    tree_write(*state, "/run/my groups/box/cpu.max", "900000 100000\n");
    assert_int_equal(quota_of(state), 9);
}

static void test_quota_huge_number_stays_unlimited(void **state)
{
    /* More processors than an int counts must not wrap around to few. */
    write_proc(state, "0::/box\n", MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "9223372036854775807 1\n");
    assert_int_equal(quota_of(state), INT_MAX);
}

static void test_quota_garbage_is_refused(void **state)
{
    /* What no kernel writes is an error for the caller to weigh, not a guess. */
    write_proc(state, "0::/box\n", MOUNT_V2);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "lots\n");
    assert_int_equal(quota_of(state), -EINVAL);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "100000\n");
    assert_int_equal(quota_of(state), -EINVAL);
    tree_write(*state, "/sys/fs/cgroup/box/cpu.max", "100000 0\n");
    assert_int_equal(quota_of(state), -EINVAL);
}

static void test_quota_broken_tables_are_unlimited(void **state)
{
    /* Lines that were cut short name no group and no mount, and break nothing. */
    write_proc(state, "0:\n:\n\n0", "30 23\n - \n30 23 0:26 / - cgroup2\n\n");
    assert_int_equal(quota_of(state), INT_MAX);
}

static void *no_memory(size_t bytes)
{
    (void)bytes;
    return NULL;
}

static void test_quota_without_memory_fails_cleanly(void **state)
{
    /* The tables are read into one block; without it the caller hears so. */
    struct whorl__os os = *whorl__os;
    os.alloc = no_memory;
    const struct whorl__os *real = whorl__os;
    whorl__os = &os;
    const int error = quota_of(state);
    whorl__os = real;
    assert_int_equal(error, -ENOMEM);
}

static void test_quota_of_this_machine_is_readable(void **state)
{
    /* Whatever system runs the tests: its own files must be understood. */
    (void)state;
    int cpus = 0;
    assert_int_equal(whorl__quota_cpus(NULL, &cpus), 0);
    assert_true(cpus >= 1);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TREE(test_quota_without_proc_is_unlimited),
        IN_TREE(test_quota_v2_max_is_unlimited),
        IN_TREE(test_quota_v2_fraction_is_rounded_up),
        IN_TREE(test_quota_v2_ancestor_is_tighter_ancestor_wins),
        IN_TREE(test_quota_v2_own_group_is_tighter_own_group_wins),
        IN_TREE(test_quota_v2_namespace_root_is_read),
        IN_TREE(test_quota_v1_minus_one_is_unlimited),
        IN_TREE(test_quota_v1_controller_is_named_exactly),
        IN_TREE(test_quota_v1_mount_shows_own_group_path_is_cut),
        IN_TREE(test_quota_mount_of_other_group_is_passed_over),
        IN_TREE(test_quota_hybrid_both_sides_are_read),
        IN_TREE(test_quota_mount_point_with_space_is_found),
        IN_TREE(test_quota_huge_number_stays_unlimited),
        IN_TREE(test_quota_garbage_is_refused),
        IN_TREE(test_quota_broken_tables_are_unlimited),
        IN_TREE(test_quota_without_memory_fails_cleanly),
        cmocka_unit_test(test_quota_of_this_machine_is_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
