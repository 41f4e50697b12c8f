/*
 * topology.c - asks hwloc about the machine once, and keeps the answers in a small table.
 *
 * Owns:       the table of usable cores; hwloc's own tree is gone once create returns.
 * Threads:    constant after create, read by any.
 * Invariant:  at least one core; cores[] is in hwloc's logical order (neighbours are near), fast
 *             kinds first.
 * Traps:      hwloc honours the cpuset but neither the affinity (applied here) nor the CPU quota
 *             (quota.h). Under a description of another machine its binds succeed and do nothing,
 *             so binding is our own and asks first whether this is the machine.
 * Not chosen: a loop for every hardware thread: two loops on one core share its caches and its
 *             execution units, and gain little but when waiting for memory.
 */
#include "sys/topology.h"

#include "base/assert.h"
#include "sys/os.h"
#include "sys/quota.h"

#include <errno.h>
#include <hwloc.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

/* With fewer than two loops nobody can take over the tasks of a loop that is stuck. */
#define QUOTA_LOOPS_MIN 2

/* As many processors as Linux can be built for: its calls refuse a smaller mask. */
struct cpu_mask {
    cpu_set_t bits[8192 / CPU_SETSIZE];
};

struct core {
    int cpu;
    int efficiency;
    /* hwloc's unique number of the core, L2, L3, package it is in; 0 where there is none */
    uint64_t inside[WHORL__SAME_MACHINE];
};

struct whorl__topology {
    bool is_this_machine;     /* C */
    struct cpu_mask affinity; /* C: the creator's */
    int loops;                /* C */
    int core_count;           /* C */
    struct core cores[];      /* C */
};

/* hwloc says -1 and sets errno, mostly. */
static int hwloc_status(int result)
{
    if (result >= 0) {
        return 0;
    }
    return errno > 0 ? -errno : -EIO;
}

/* ---- from hwloc's tree to the table ---- */

/* A file's name ends in ".xml"; what hwloc takes for a synthetic description never does. */
static bool names_file(const char *description)
{
    const char *const dot = strrchr(description, '.');
    return dot && strcmp(dot, ".xml") == 0;
}

static int describe(hwloc_topology_t tree, const char *description)
{
    return hwloc_status(names_file(description) ? hwloc_topology_set_xml(tree, description)
                                                : hwloc_topology_set_synthetic(tree, description));
}

static int load(const char *description, hwloc_topology_t *ret_tree)
{
    hwloc_topology_t tree;
    errno = 0;
    int error = hwloc_status(hwloc_topology_init(&tree));
    if (error) {
        return error;
    }
    if (description) {
        error = describe(tree, description);
    } else {
        /* Some of its ways to look at processors run on each in turn: not in our thread. */
        const unsigned long flags = HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
        error = hwloc_status(hwloc_topology_set_flags(tree, flags));
    }
    if (!error) {
        error = hwloc_status(hwloc_topology_load(tree));
    }
    if (error) {
        hwloc_topology_destroy(tree);
        return error;
    }
    *ret_tree = tree;
    return 0;
}

static uint64_t ancestor(hwloc_topology_t tree, hwloc_obj_type_t type, hwloc_obj_t pu)
{
    const hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(tree, type, pu);
    return object ? object->gp_index : 0;
}

/* The memory node next to a processor, where exactly one is. */
static uint64_t memory_node(hwloc_topology_t tree, hwloc_obj_t pu)
{
    if (hwloc_bitmap_weight(pu->nodeset) != 1) {
        return 0;
    }
    const unsigned index = (unsigned)hwloc_bitmap_first(pu->nodeset);
    const hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(tree, index);
    return node ? node->gp_index : 0;
}

static int efficiency(hwloc_topology_t tree, hwloc_obj_t pu)
{
    const int kind = hwloc_cpukinds_get_by_cpuset(tree, pu->cpuset, 0);
    int rank = 0;
    if (kind < 0 || hwloc_cpukinds_get_info(tree, (unsigned)kind, NULL, &rank, NULL, NULL, 0) < 0) {
        return 0;
    }
    return rank > 0 ? rank : 0; /* -1: not known */
}

static struct core describe_core(hwloc_topology_t tree, hwloc_obj_t pu)
{
    struct core core = {.cpu = (int)pu->os_index, .efficiency = efficiency(tree, pu)};
    core.inside[WHORL__SAME_CORE] = ancestor(tree, HWLOC_OBJ_CORE, pu);
    core.inside[WHORL__SAME_L2] = ancestor(tree, HWLOC_OBJ_L2CACHE, pu);
    core.inside[WHORL__SAME_L3] = ancestor(tree, HWLOC_OBJ_L3CACHE, pu);
    core.inside[WHORL__SAME_PACKAGE] = ancestor(tree, HWLOC_OBJ_PACKAGE, pu);
    if (core.inside[WHORL__SAME_CORE] == 0) {
        core.inside[WHORL__SAME_CORE] = pu->gp_index; /* virtual machines may name no cores */
    }
    if (core.inside[WHORL__SAME_PACKAGE] == 0) {
        core.inside[WHORL__SAME_PACKAGE] = memory_node(tree, pu);
    }
    return core;
}

/* The first processor of each core, of those the mask allows; no mask allows all. */
static int collect_cores(hwloc_topology_t tree, const struct cpu_mask *mask, struct core *cores)
{
    int count = 0;
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(tree, HWLOC_OBJ_PU, pu));) {
        if (mask && !CPU_ISSET_S(pu->os_index, sizeof mask->bits, mask->bits)) {
            continue;
        }
        const struct core core = describe_core(tree, pu);
        const bool is_sibling =
            count > 0 && cores[count - 1].inside[WHORL__SAME_CORE] == core.inside[WHORL__SAME_CORE];
        if (!is_sibling) {
            cores[count++] = core;
        }
    }
    return count;
}

/* Fast cores first, otherwise in the order they had: insertion, for a handful of kinds. */
static void sort_by_efficiency(struct core *cores, int count)
{
    for (int i = 1; i < count; ++i) {
        const struct core core = cores[i];
        int hole = i;
        for (; hole > 0 && cores[hole - 1].efficiency < core.efficiency; --hole) {
            cores[hole] = cores[hole - 1];
        }
        cores[hole] = core;
    }
}

static int loops_under_quota(int core_count)
{
    int quota = INT_MAX;
    if (whorl__quota_cpus(NULL, &quota)) {
        return core_count; /* a quota that cannot be read must not keep a program from starting */
    }
    const int loops_max = quota > QUOTA_LOOPS_MIN ? quota : QUOTA_LOOPS_MIN;
    return core_count < loops_max ? core_count : loops_max;
}

static void fill(struct whorl__topology *topology, hwloc_topology_t tree, bool is_described)
{
    topology->is_this_machine = hwloc_topology_is_thissystem(tree) != 0;
    const struct cpu_mask *mask = NULL;
    /* Where a sandbox does not tell the affinity, all processors count. */
    if (topology->is_this_machine &&
        sched_getaffinity(0, sizeof topology->affinity.bits, topology->affinity.bits) == 0) {
        mask = &topology->affinity;
    }
    topology->core_count = collect_cores(tree, mask, topology->cores);
    if (topology->core_count == 0) {
        /* The cpuset changed between the two looks. Binding will fail; running will not. */
        topology->core_count = collect_cores(tree, NULL, topology->cores);
    }
    WHORL_CHECK(topology->core_count >= 1, "hwloc sees no processor");
    sort_by_efficiency(topology->cores, topology->core_count);
    topology->loops = is_described ? topology->core_count : loops_under_quota(topology->core_count);
}

int whorl__topology_create(const char *description, struct whorl__topology **ret_topology)
{
    hwloc_topology_t tree;
    int error = load(description, &tree);
    if (error) {
        return error;
    }
    const int pus = hwloc_get_nbobjs_by_type(tree, HWLOC_OBJ_PU);
    WHORL_CHECK(pus >= 1, "hwloc sees no processor");
    const size_t bytes = sizeof(struct whorl__topology) + (size_t)pus * sizeof(struct core);
    struct whorl__topology *topology = whorl__os->alloc(bytes);
    if (!topology) {
        error = -ENOMEM;
        goto out;
    }
    memset(topology, 0, bytes);
    fill(topology, tree, description != NULL);
    *ret_topology = topology;
out:
    hwloc_topology_destroy(tree);
    return error;
}

void whorl__topology_destroy(struct whorl__topology *topology)
{
    whorl__os->free(topology);
}

/* ---- questions ---- */

static const struct core *core_of(const struct whorl__topology *topology, int loop)
{
    WHORL_ASSERT(loop >= 0);
    return &topology->cores[loop % topology->core_count];
}

int whorl__topology_loops(const struct whorl__topology *topology)
{
    WHORL_ASSERT(topology->loops >= 1);
    WHORL_ASSERT(topology->loops <= topology->core_count);
    return topology->loops;
}

int whorl__topology_cpu_of(const struct whorl__topology *topology, int loop)
{
    return core_of(topology, loop)->cpu;
}

int whorl__topology_efficiency_of(const struct whorl__topology *topology, int loop)
{
    return core_of(topology, loop)->efficiency;
}

int whorl__topology_distance(const struct whorl__topology *topology, int a, int b)
{
    const uint64_t *inside_a = core_of(topology, a)->inside;
    const uint64_t *inside_b = core_of(topology, b)->inside;
    int distance = WHORL__SAME_CORE;
    while (distance < WHORL__SAME_MACHINE &&
           (inside_a[distance] == 0 || inside_a[distance] != inside_b[distance])) {
        ++distance;
    }
    return distance;
}

void whorl__topology_victims(const struct whorl__topology *topology, int loop, int loop_count,
                             int *ret_order, int *ret_level)
{
    WHORL_ASSERT(loop >= 0 && loop < loop_count);
    int found = 0;
    for (int level = WHORL__SAME_CORE; level < WHORL__DISTANCES; ++level) {
        for (int step = 1; step < loop_count; ++step) {
            const int other = (loop + step) % loop_count;
            if (whorl__topology_distance(topology, loop, other) == level) {
                ret_order[found] = other;
                ret_level[found] = level;
                ++found;
            }
        }
    }
    WHORL_ASSERT(found == loop_count - 1);
}

/* ---- binding ---- */

/* Asks for the mask and looks whether it was granted: a cpuset may take away from it silently. */
static int set_affinity(const struct cpu_mask *mask)
{
    if (sched_setaffinity(0, sizeof mask->bits, mask->bits)) {
        return -errno;
    }
    struct cpu_mask granted = {0};
    if (sched_getaffinity(0, sizeof granted.bits, granted.bits)) {
        return -errno;
    }
    return CPU_EQUAL_S(sizeof mask->bits, mask->bits, granted.bits) ? 0 : -EINVAL;
}

int whorl__topology_bind(const struct whorl__topology *topology, int loop)
{
    if (!topology->is_this_machine) {
        return -ENOTSUP;
    }
    struct cpu_mask mask = {0};
    CPU_SET_S((size_t)whorl__topology_cpu_of(topology, loop), sizeof mask.bits, mask.bits);
    return set_affinity(&mask);
}

int whorl__topology_unbind(const struct whorl__topology *topology)
{
    if (!topology->is_this_machine) {
        return -ENOTSUP;
    }
    return set_affinity(&topology->affinity);
}
