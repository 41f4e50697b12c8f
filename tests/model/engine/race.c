/*
 * race.c - marked plain accesses: two of different threads, one of them a write, must be ordered.
 *
 * Owns:       the access times in each location.
 * Invariant:  an access at time t of thread u happens before now iff the current clock's entry for
 *             u is at least t: clocks count up behind every release.
 */
#include "model/engine/engine.h"

#include <stdio.h>

static _Noreturn void fail_race(const struct whorl__site *site, const struct whorl__site *other,
                                unsigned thread)
{
    char who[24] = "setup";
    if (thread != MODEL_MAIN) {
        (void)snprintf(who, sizeof(who), "thread %u", thread);
    }
    run_fail("data race: %s of %s at %s:%d, not ordered after the %s of %s at %s:%d by %s",
             sites_op_name(site->op), site->field, sites_short_file(site->file), site->line,
             sites_op_name(other->op), other->field, sites_short_file(other->file), other->line,
             who);
}

/* Any access in `times` that does not happen before the current thread's present. */
static void check_against(const struct whorl__site *site, const uint32_t *times,
                          const struct whorl__site *const *sites)
{
    const struct model_thread *const self = engine.current;
    for (unsigned i = 0; i <= MODEL_MAIN; i++) {
        if (i != self->index && times[i] > self->now.at[i]) {
            fail_race(site, sites[i], i);
        }
    }
}

static void remember(const struct whorl__site *site, uint32_t *times,
                     const struct whorl__site **sites)
{
    const struct model_thread *const self = engine.current;
    times[self->index] = self->now.at[self->index];
    sites[self->index] = site;
}

/* An atomic operation on a field that has marked plain accesses, too. */
void race_check_atomic(const struct whorl__site *site, struct model_location *location)
{
    const bool stores = site->op != WHORL__OP_LOAD;
    if (location->marked) {
        check_against(site, location->written_at, location->written_site);
        if (stores) {
            check_against(site, location->read_at, location->read_site);
        }
    }
    if (stores) {
        remember(site, location->stored_at, location->stored_site);
    }
}

void whorl__model_plain(struct whorl__site *site, const volatile void *field, unsigned bytes)
{
    if (engine.current == NULL) {
        return; /* before or after all executions: main() of a program */
    }
    const void *const address = (const void *)(uintptr_t)field;
    heap_check_access(address, bytes);
    struct model_location *const location = memory_locate(site, address, bytes);
    site->reached++;
    location->marked = true;
    check_against(site, location->written_at, location->written_site);
    check_against(site, location->stored_at, location->stored_site);
    if (site->op == WHORL__OP_PLAIN_WRITE) {
        check_against(site, location->read_at, location->read_site);
        remember(site, location->written_at, location->written_site);
    } else {
        remember(site, location->read_at, location->read_site);
    }
    trace_operation(site, location, 0, 0, MODEL_MARK_NONE, 0);
}
