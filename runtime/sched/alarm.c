/*
 * alarm.c - a wake-up that was lost: found late, counted, and made good.
 *
 * The arguments of idle.c and loop.c say that there is none. If they are wrong, a loop sleeps over
 * work for ever; so the monitor, while it watches, looks for one that has done so for ALARM_NS.
 * missed_wakes counts those, and must read 0.
 *
 * Owns:       loop->stats.missed_wakes; struct whorl__alarm, one a loop.
 * Threads:    the monitor's.
 * Invariant:  no false alarm: the loop has made no turn, no wake-up is under way (its eventfd is
 *             not written), and there was work at every look of ALARM_NS. Who pushes work and has
 *             not come to the wake-up yet is not kept from his core for so long.
 * Not chosen: a heartbeat of the monitor when all loops sleep and it is parked: an idle runtime
 *             makes no system calls. It does not park while it sees such a loop.
 */
#include "sched/sched.h"

#define ALARM_NS WHORL_SECOND

static bool has_shared_work(struct whorl__runtime *runtime)
{
    /* relaxed, here and below: samples, taken again and again before anything is done */
    return whorl__load_relaxed_u32(&runtime->shared.count) > 0 &&
           !whorl__idle_someone_searches(runtime);
}

static bool has_own_work(struct whorl__loop *loop, int64_t now_ns)
{
    return !whorl__inbox_is_empty(&loop->inbox) || whorl__timers_next(&loop->timers) <= now_ns;
}

/* Whether it sleeps, though there is something to do for it and nobody wakes it. */
static bool sleeps_over_work(struct whorl__loop *loop, int64_t now_ns)
{
    return whorl__load_relaxed_u32(&loop->sleeping) != 0 &&           /* relaxed: a sample */
           whorl__load_relaxed_u32(&loop->poller.wake_pending) == 0 && /* relaxed: a sample */
           (has_own_work(loop, now_ns) || has_shared_work(loop->runtime));
}

static void make_good(struct whorl__loop *loop, int64_t now_ns)
{
    whorl__count(&loop->stats.missed_wakes, 1); /* the monitor is the only writer of this one */
    if (has_own_work(loop, now_ns)) {
        whorl__poller_wake(&loop->poller);
    } else {
        whorl__idle_notify(NULL, loop->runtime);
    }
}

bool whorl__alarm_look(struct whorl__loop *loop, struct whorl__alarm *alarm, int64_t now_ns)
{
    const uint64_t turns = whorl__load_relaxed_u64(&loop->stats.turns); /* relaxed: a sample */
    if (!sleeps_over_work(loop, now_ns)) {
        alarm->since_ns = 0;
        return false;
    }
    if (alarm->since_ns == 0 || alarm->turns != turns) {
        *alarm = (struct whorl__alarm){.turns = turns, .since_ns = now_ns};
    } else if (now_ns - alarm->since_ns >= ALARM_NS) {
        make_good(loop, now_ns);
        alarm->since_ns = 0;
    }
    return true;
}
