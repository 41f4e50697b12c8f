/*
 * topology.h - how many loops this machine carries, on which processors, and who is near whom.
 *
 * Loops are numbered from 0. A runtime may have more loops than there are usable cores: they wrap
 * around, loop i sharing a core with loop i + cores.
 */
#ifndef WHORL_SYS_TOPOLOGY_H
#define WHORL_SYS_TOPOLOGY_H

#include "base/compiler.h"

struct whorl__topology;

/* What the nearest thing is that two loops share. */
enum whorl__distance {
    WHORL__SAME_CORE,
    WHORL__SAME_L2,
    WHORL__SAME_L3,
    WHORL__SAME_PACKAGE, /* or the memory node, on machines that name no packages */
    WHORL__SAME_MACHINE,
    WHORL__DISTANCES /* how many there are */
};

/*
 * Looks at this machine: the cores that the cpuset and the calling thread's affinity leave to us.
 * `description` is NULL, or another machine as hwloc describes it: "pack:2 l3:1 core:64 pu:2", or
 * the name of a file that `lstopo machine.xml` wrote there. The affinity of the caller is the same
 * afterwards. Returns 0, -ENOMEM, -EINVAL (description), or why the file cannot be read.
 */
WHORL_MUST_USE int whorl__topology_create(const char *description,
                                          struct whorl__topology **ret_topology);
void whorl__topology_destroy(struct whorl__topology *topology);

/* The number of loops that suits: one a core, no more than the CPU quota, never less than 1. */
int whorl__topology_loops(const struct whorl__topology *topology);

/* The operating system's number of the processor that is the loop's; binding may still fail. */
int whorl__topology_cpu_of(const struct whorl__topology *topology, int loop);

/* 0 for the slowest kind of core, more for faster ones. Fast cores have the lower loop numbers. */
int whorl__topology_efficiency_of(const struct whorl__topology *topology, int loop);

/* An enum whorl__distance. */
int whorl__topology_distance(const struct whorl__topology *topology, int a, int b);

/*
 * Whom loop `loop` of `loop_count` should steal from: all the others, nearest first, with the
 * distance of each. Both arrays take loop_count - 1 entries. Within one distance the order starts
 * at the next loop, so that thieves differ; the caller randomises further.
 */
void whorl__topology_victims(const struct whorl__topology *topology, int loop, int loop_count,
                             int *ret_order, int *ret_level);

/*
 * Binds the calling thread to its loop's processor. Returns 0 or -errno, -ENOTSUP when the
 * topology does not describe this machine. A thread can run unbound: failure deserves a warning.
 */
WHORL_MUST_USE int whorl__topology_bind(const struct whorl__topology *topology, int loop);

/*
 * Gives the calling thread the affinity back that the creator of the topology had: for threads
 * that a bound thread started, which inherit its binding, and for a thread that was only lent.
 */
WHORL_MUST_USE int whorl__topology_unbind(const struct whorl__topology *topology);

#endif
