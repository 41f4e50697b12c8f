/*
 * machine.c - a machine of two cores; see machine.h.
 */
#include "model/machine.h"

#include "base/compiler.h"
#include "fiber/overflow.h"
#include "sched/culprit.h"
#include "sys/topology.h"

#include <errno.h>

struct whorl__topology {
    int cores;
};

static struct whorl__topology two_cores = {2};

void machine_begin(void)
{
}

/* ---- sys/topology.h ---- */

int whorl__topology_create(const char *synthetic, struct whorl__topology **ret_topology)
{
    (void)synthetic;
    *ret_topology = &two_cores;
    return 0;
}

void whorl__topology_destroy(struct whorl__topology *topology)
{
    (void)topology;
}

int whorl__topology_loops(const struct whorl__topology *topology)
{
    return topology->cores;
}

int whorl__topology_cpu_of(const struct whorl__topology *topology, int loop)
{
    return loop % topology->cores;
}

int whorl__topology_efficiency_of(const struct whorl__topology *topology, int loop)
{
    (void)topology;
    (void)loop;
    return 0;
}

int whorl__topology_distance(const struct whorl__topology *topology, int a, int b)
{
    (void)topology;
    (void)a;
    (void)b;
    return WHORL__SAME_L3;
}

void whorl__topology_victims(const struct whorl__topology *topology, int loop, int loop_count,
                             int *ret_order, int *ret_level)
{
    for (int i = 0; i + 1 < loop_count; i++) {
        ret_order[i] = (loop + 1 + i) % loop_count;
        ret_level[i] = whorl__topology_distance(topology, loop, ret_order[i]);
    }
}

int whorl__topology_bind(const struct whorl__topology *topology, int loop)
{
    (void)topology;
    (void)loop;
    return -ENOTSUP;
}

int whorl__topology_unbind(const struct whorl__topology *topology)
{
    (void)topology;
    return -ENOTSUP;
}

/* ---- fiber/overflow.h ---- */

bool whorl__overflow_install(struct whorl__fiber *(*current)(void),
                             const char *(*name)(const struct whorl__fiber *fiber))
{
    (void)current;
    (void)name;
    return true;
}

void whorl__overflow_uninstall(void)
{
}

void whorl__overflow_forked(void)
{
}

int whorl__overflow_thread_start(void **ret_altstack)
{
    *ret_altstack = NULL;
    return 0;
}

void whorl__overflow_thread_stop(void *altstack)
{
    (void)altstack;
}

/* ---- sched/culprit.h ---- */

void whorl__culprit_prepare(void)
{
}

void whorl__culprit_forked(void)
{
}

bool whorl__culprit_report_call(struct whorl__loop *loop, const void *function, int64_t held_ns,
                                int64_t cpu_ns)
{
    (void)loop, (void)function, (void)held_ns, (void)cpu_ns;
    return false;
}

bool whorl__culprit_report(struct whorl__loop *loop, uint64_t runs, int64_t held_ns, int64_t cpu_ns)
{
    (void)loop, (void)runs, (void)held_ns, (void)cpu_ns;
    return false;
}

void whorl__culprit_tell_step(struct whorl__loop *loop, struct whorl_task *task, int64_t took_ns)
{
    (void)loop, (void)task, (void)took_ns;
}

void whorl__culprit_tell_call(struct whorl__loop *loop, const void *function, int64_t took_ns)
{
    (void)loop, (void)function, (void)took_ns;
}
