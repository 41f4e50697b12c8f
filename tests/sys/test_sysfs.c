/*
 * test_sysfs.c - placement and victims on machines that synthetic descriptions cannot express:
 * cores of two kinds, processors that are switched off, memory nodes beside packages.
 *
 * hwloc is given a folder with the files of /sys that such a machine would have, so what is tested
 * is the way from the kernel's files to the order of the loops.
 */
#include "sys/os.h"
#include "sys/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <hwloc/export.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/tree.h"

#define CPUS_MAX 32

/* The processors first .. first+count-1. */
struct span {
    unsigned first, count;
};

struct cpu {
    struct span core, l2, l3, package;
    unsigned capacity; /* of 1024, as ARM tells it; 0: not told */
    unsigned mhz;      /* at most, as Intel tells it; 0: not told */
    bool is_off;
};

/* ---- the machine's files ---- */

static const char *root;

static void write_number(const char *path, unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "%u\n", number);
    tree_write(root, path, text);
}

/* The kernel's way to write a set: hexadecimal. */
static void write_set(const char *path, uint32_t set)
{
    char text[16];
    snprintf(text, sizeof text, "%08x\n", set);
    tree_write(root, path, text);
}

static uint32_t set_of(struct span span)
{
    return (span.count == 32 ? UINT32_MAX : (UINT32_C(1) << span.count) - 1) << span.first;
}

static void write_cache(unsigned cpu, unsigned index, unsigned level, uint32_t shared)
{
    char path[128];
    const char *base = "/sys/devices/system/cpu/cpu%u/cache/index%u/%s";
    snprintf(path, sizeof path, base, cpu, index, "level");
    write_number(path, level);
    snprintf(path, sizeof path, base, cpu, index, "type");
    tree_write(root, path, "Unified\n");
    snprintf(path, sizeof path, base, cpu, index, "shared_cpu_map");
    write_set(path, shared);
}

static void write_speed(unsigned number, const struct cpu *cpu)
{
    char path[128];
    if (cpu->capacity != 0) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpu_capacity", number);
        write_number(path, cpu->capacity);
    }
    if (cpu->mhz != 0) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/cpuinfo_max_freq",
                 number);
        write_number(path, cpu->mhz * 1000);
    }
}

/* A processor that is off has neither topology nor caches; its neighbours' leave it out (`on`). */
static void write_cpu(unsigned number, const struct cpu *cpu, uint32_t on)
{
    char path[128];
    const char *base = "/sys/devices/system/cpu/cpu%u/topology/%s";
    write_speed(number, cpu);
    if (cpu->is_off) {
        return;
    }
    snprintf(path, sizeof path, base, number, "core_cpus");
    write_set(path, set_of(cpu->core) & on);
    snprintf(path, sizeof path, base, number, "core_id");
    write_number(path, cpu->core.first);
    snprintf(path, sizeof path, base, number, "package_cpus");
    write_set(path, set_of(cpu->package) & on);
    snprintf(path, sizeof path, base, number, "physical_package_id");
    write_number(path, cpu->package.first);
    write_cache(number, 0, 2, set_of(cpu->l2) & on);
    write_cache(number, 1, 3, set_of(cpu->l3) & on);
}

static void write_machine(const struct cpu *cpus, unsigned count)
{
    uint32_t on = 0;
    char list[128] = "";
    for (unsigned i = 0; i < count; i++) {
        on |= cpus[i].is_off ? 0 : UINT32_C(1) << i;
        if (!cpus[i].is_off) {
            const size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%u", used > 0 ? "," : "", i);
        }
    }
    tree_write(root, "/proc/cpuinfo", "");
    tree_write(root, "/sys/devices/system/cpu/online", list);
    for (unsigned i = 0; i < count; i++) {
        write_cpu(i, &cpus[i], on);
    }
}

static void write_node(unsigned number, struct span cpus)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpumap", number);
    write_set(path, set_of(cpus));
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/meminfo", number);
    tree_write(root, path, "Node MemTotal: 1048576 kB\n");
}

/* ---- what is asked of each ---- */

static struct whorl__topology *look(void)
{
    struct whorl__topology *topology = NULL;
    assert_int_equal(whorl__topology_create(NULL, &topology), 0);
    return topology;
}

static void assert_cpus(const struct whorl__topology *topology, int count, const int *cpus)
{
    assert_int_equal(whorl__topology_loops(topology), count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(whorl__topology_cpu_of(topology, i), cpus[i]);
    }
}

/* The victims of a loop when there is one loop a core, in this order, at these distances. */
static void assert_victims(const struct whorl__topology *topology, int loop, const int *order,
                           const enum whorl__distance *levels)
{
    int found[CPUS_MAX], found_levels[CPUS_MAX];
    const int loops = whorl__topology_loops(topology);
    whorl__topology_victims(topology, loop, loops, found, found_levels);
    for (int i = 0; i < loops - 1; i++) {
        assert_int_equal(found[i], order[i]);
        assert_int_equal(found_levels[i], levels[i]);
    }
}

/* ---- cores of two kinds ---- */

static void write_intel_hybrid(void)
{
    struct cpu cpus[8];
    for (unsigned i = 0; i < 4; i++) {
        const struct span core = {i & ~1U, 2};
        cpus[i] = (struct cpu){.core = core, .l2 = core, .mhz = 5000};
    }
    for (unsigned i = 4; i < 8; i++) {
        cpus[i] = (struct cpu){.core = {i, 1}, .l2 = {4, 4}, .mhz = 3800};
    }
    for (unsigned i = 0; i < 8; i++) {
        cpus[i].l3 = cpus[i].package = (struct span){0, 8};
    }
    write_machine(cpus, 8);
}

static void test_hybrid_fast_cores_get_the_first_loops(void **state)
{
    /* Two fast cores of two threads, four small ones around one cache. A thief tries the loops that
     * share its cache first, of whatever kind. */
    (void)state;
    write_intel_hybrid();
    struct whorl__topology *topology = look();
    assert_cpus(topology, 6, (int[]){0, 2, 4, 5, 6, 7});
    for (int loop = 0; loop < 6; loop++) {
        assert_int_equal(whorl__topology_efficiency_of(topology, loop), loop < 2);
    }
    assert_victims(topology, 0, (int[]){1, 2, 3, 4, 5},
                   (enum whorl__distance[]){WHORL__SAME_L3, WHORL__SAME_L3, WHORL__SAME_L3,
                                            WHORL__SAME_L3, WHORL__SAME_L3});
    assert_victims(topology, 3, (int[]){4, 5, 2, 0, 1},
                   (enum whorl__distance[]){WHORL__SAME_L2, WHORL__SAME_L2, WHORL__SAME_L2,
                                            WHORL__SAME_L3, WHORL__SAME_L3});
    whorl__topology_destroy(topology);
}

static void write_big_little(bool first_big_is_off)
{
    struct cpu cpus[8];
    for (unsigned i = 0; i < 8; i++) {
        cpus[i] = (struct cpu){.core = {i, 1},
                               .l2 = {i < 6 ? 0 : 6, i < 6 ? 6 : 2},
                               .l3 = {0, 8},
                               .package = {0, 8},
                               .capacity = i < 6 ? 446 : 1024,
                               .is_off = i == 6 && first_big_is_off};
    }
    write_machine(cpus, 8);
}

static void test_hybrid_fast_cores_come_first_whatever_their_numbers(void **state)
{
    /* Telephones number their small cores first. */
    (void)state;
    write_big_little(false);
    struct whorl__topology *topology = look();
    assert_cpus(topology, 8, (int[]){6, 7, 0, 1, 2, 3, 4, 5});
    assert_int_equal(whorl__topology_efficiency_of(topology, 1), 1);
    assert_int_equal(whorl__topology_efficiency_of(topology, 2), 0);
    assert_victims(topology, 1, (int[]){0, 2, 3, 4, 5, 6, 7},
                   (enum whorl__distance[]){WHORL__SAME_L2, WHORL__SAME_L3, WHORL__SAME_L3,
                                            WHORL__SAME_L3, WHORL__SAME_L3, WHORL__SAME_L3,
                                            WHORL__SAME_L3});
    whorl__topology_destroy(topology);
}

/* ---- processors that are switched off ---- */

static void test_offline_cpus_get_no_loop(void **state)
{
    /* Processor 0 is off, and a thread of the second core: the kernel's numbers have gaps. */
    struct cpu cpus[8];
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        const struct span core = {i & ~1U, 2};
        const struct span l3 = {i & ~3U, 4};
        cpus[i] = (struct cpu){.core = core, .l2 = core, .l3 = l3, .package = {0, 8}};
    }
    cpus[0].is_off = cpus[2].is_off = true;
    write_machine(cpus, 8);
    struct whorl__topology *topology = look();
    assert_cpus(topology, 4, (int[]){1, 3, 4, 6});
    assert_victims(
        topology, 1, (int[]){0, 2, 3},
        (enum whorl__distance[]){WHORL__SAME_L3, WHORL__SAME_PACKAGE, WHORL__SAME_PACKAGE});
    whorl__topology_destroy(topology);
}

static void test_offline_fast_core_leaves_the_other_first(void **state)
{
    /* What is off is of a kind, too; it must not push the others out of their places. */
    (void)state;
    write_big_little(true);
    struct whorl__topology *topology = look();
    assert_cpus(topology, 7, (int[]){7, 0, 1, 2, 3, 4, 5});
    assert_int_equal(whorl__topology_distance(topology, 0, 1), WHORL__SAME_L3);
    assert_int_equal(whorl__topology_distance(topology, 1, 6), WHORL__SAME_L2);
    whorl__topology_destroy(topology);
}

/* ---- memory nodes ---- */

static void write_eight_nodes(bool has_packages)
{
    struct cpu cpus[16];
    for (unsigned i = 0; i < 16; i++) {
        cpus[i] = (struct cpu){.core = {i, 1}, .l2 = {i, 1}, .l3 = {i & ~1U, 2}};
        cpus[i].package = has_packages ? (struct span){i & ~7U, 8} : (struct span){0, 16};
    }
    write_machine(cpus, 16);
    tree_write(root, "/sys/devices/system/node/online", "0-7\n");
    for (unsigned node = 0; node < 8; node++) {
        write_node(node, (struct span){2 * node, 2});
    }
}

static void test_eight_nodes_in_two_packages_are_searched_outwards(void **state)
{
    /* From node 2 in the first package: its node mate, its package, the rest; each from the next
     * loop on, so that thieves spread. */
    static const int order[15] = {4, 6, 7, 0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15};
    enum whorl__distance levels[15];
    (void)state;
    for (int i = 0; i < 15; i++) {
        levels[i] = i < 1 ? WHORL__SAME_L3 : i < 7 ? WHORL__SAME_PACKAGE : WHORL__SAME_MACHINE;
    }
    write_eight_nodes(true);
    struct whorl__topology *topology = look();
    assert_cpus(topology, 16, (int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    assert_victims(topology, 5, order, levels);
    whorl__topology_destroy(topology);
}

static void test_eight_nodes_in_one_package_are_one_level(void **state)
{
    /* Below a package nodes make no level of their own; the caches that nodes have do. */
    (void)state;
    write_eight_nodes(false);
    struct whorl__topology *topology = look();
    assert_int_equal(whorl__topology_distance(topology, 0, 1), WHORL__SAME_L3);
    assert_int_equal(whorl__topology_distance(topology, 0, 2), WHORL__SAME_PACKAGE);
    assert_int_equal(whorl__topology_distance(topology, 0, 15), WHORL__SAME_PACKAGE);
    whorl__topology_destroy(topology);
}

/* ---- a machine from a file ---- */

/* What `lstopo machine.xml` would write on the machine whose files stand below root. */
static void export_machine(const char *path)
{
    hwloc_topology_t tree;
    assert_int_equal(hwloc_topology_init(&tree), 0);
    assert_int_equal(hwloc_topology_load(tree), 0);
    assert_int_equal(hwloc_topology_export_xml(tree, path, 0), 0);
    hwloc_topology_destroy(tree);
}

static void test_file_of_lstopo_describes_a_machine(void **state)
{
    /* The order of a production machine can be looked at elsewhere; nothing binds to it. */
    char path[PATH_MAX];
    (void)state;
    snprintf(path, sizeof path, "%s/machine.xml", root);
    write_intel_hybrid();
    export_machine(path);
    unsetenv("HWLOC_FSROOT");
    struct whorl__topology *topology = NULL;
    assert_int_equal(whorl__topology_create(path, &topology), 0);
    assert_cpus(topology, 6, (int[]){0, 2, 4, 5, 6, 7});
    assert_int_equal(whorl__topology_efficiency_of(topology, 0), 1);
    assert_int_equal(whorl__topology_bind(topology, 0), -ENOTSUP);
    whorl__topology_destroy(topology);
}

static void test_file_that_is_missing_or_no_xml_is_refused(void **state)
{
    /* The caller hears why, and gets nothing. */
    char path[PATH_MAX];
    struct whorl__topology *topology = NULL;
    (void)state;
    snprintf(path, sizeof path, "%s/none.xml", root);
    assert_int_equal(whorl__topology_create(path, &topology), -ENOENT);
    tree_write(root, "/none.xml", "a teapot\n");
    assert_int_equal(whorl__topology_create(path, &topology), -EINVAL);
    assert_null(topology);
}

/* ---- */

static int read_no_file(const char *path, char *ret_text, size_t text_max)
{
    (void)path, (void)ret_text, (void)text_max;
    return -ENOENT; /* no quota, whatever this system has */
}

static int make_root(void **state)
{
    static struct whorl__os os;
    os = whorl__os_linux;
    os.read_file = read_no_file;
    whorl__os = &os;
    *state = tree_make();
    root = *state;
    return root == NULL || setenv("HWLOC_FSROOT", root, 1) != 0 ||
                   setenv("HWLOC_COMPONENTS", "linux,stop", 1) != 0
               ? -1
               : 0;
}

static int remove_root(void **state)
{
    unsetenv("HWLOC_FSROOT");
    unsetenv("HWLOC_COMPONENTS");
    whorl__os = &whorl__os_linux;
    tree_remove(*state);
    return 0;
}

#define ON_MACHINE(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MACHINE(test_hybrid_fast_cores_get_the_first_loops),
        ON_MACHINE(test_hybrid_fast_cores_come_first_whatever_their_numbers),
        ON_MACHINE(test_offline_cpus_get_no_loop),
        ON_MACHINE(test_offline_fast_core_leaves_the_other_first),
        ON_MACHINE(test_eight_nodes_in_two_packages_are_searched_outwards),
        ON_MACHINE(test_eight_nodes_in_one_package_are_one_level),
        ON_MACHINE(test_file_of_lstopo_describes_a_machine),
        ON_MACHINE(test_file_that_is_missing_or_no_xml_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
