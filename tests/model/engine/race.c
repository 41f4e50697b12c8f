/*
 * race.c - marked plain accesses: two of different threads, one of them a write, must be ordered.
 *
 * A marked copy is weaker: a load of a field that others may overwrite at any time, whose value is
 * kept only if the compare-and-swap that follows succeeds. That swap must tell everybody who stores
 * there later that the load is over, by its release; on the other side a relaxed load and a branch
 * are enough, for no processor and no compiler stores before it knows that it may. The histories of
 * c11 mode cannot show this order broken, as a load there never returns a later store.
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

/* A store over copies that were kept: by what the thread has read, in whatever order. */
static void check_copies(const struct whorl__site *site, const struct model_location *location)
{
    const struct model_thread *const self = engine.current;
    for (unsigned i = 0; i <= MODEL_MAIN; i++) {
        if (i != self->index && location->copied_at[i] > self->now.at[i] &&
            location->copied_at[i] > self->acquired.at[i]) {
            fail_race(site, location->copied_site[i], i);
        }
    }
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
    if (stores && location->copied) {
        check_copies(site, location);
    }
    if (stores) {
        location->stores++;
        remember(site, location->stored_at, location->stored_site);
    } else {
        remember(site, location->loaded_at, location->loaded_site);
    }
}

/* To give memory back is to write to all of it: what others did there must be over. */
void race_check_free(const char *block, size_t bytes)
{
    static const struct whorl__site site = {
        .file = "model_free", .field = "the block", .op = WHORL__OP_PLAIN_WRITE};
    for (unsigned i = 0; i < engine.location_count; i++) {
        const struct model_location *const location = &engine.locations[i];
        if (location->address >= block && location->address < block + bytes) {
            check_against(&site, location->stored_at, location->stored_site);
            check_against(&site, location->loaded_at, location->loaded_site);
            check_against(&site, location->written_at, location->written_site);
            check_against(&site, location->read_at, location->read_site);
        }
    }
}

static void begin_copy(const struct whorl__site *site, const struct model_location *location)
{
    struct model_thread *const self = engine.current;
    if (self->copy_count == MODEL_COPIES_MAX) {
        run_fail("more than %d marked copies before a cas", MODEL_COPIES_MAX);
    }
    self->copies[self->copy_count++] = (struct model_copy){
        .site = site,
        .location = (unsigned)(location - engine.locations),
        .at = self->now.at[self->index],
        .stores = location->stores,
    };
}

void race_end_copies(bool kept)
{
    struct model_thread *const self = engine.current;
    for (unsigned i = 0; kept && i < self->copy_count; i++) {
        const struct model_copy *const copy = &self->copies[i];
        struct model_location *const location = &engine.locations[copy->location];
        if (location->stores != copy->stores) {
            run_fail("the copy of %s at %s:%d is kept, and the field was stored to meanwhile",
                     copy->site->field, sites_short_file(copy->site->file), copy->site->line);
        }
        location->copied = true;
        location->copied_at[self->index] = copy->at;
        location->copied_site[self->index] = copy->site;
    }
    self->copy_count = 0;
}

void whorl__model_plain(struct whorl__site *site, const volatile void *field, unsigned bytes)
{
    if (engine.current == NULL) {
        return; /* before or after all executions: main() of a program */
    }
    const void *const address = (const void *)(uintptr_t)field;
    heap_check_access(site, address, bytes);
    struct model_location *const location = memory_locate(site, address, bytes);
    site->reached++;
    trace_operation(site, location, 0, 0, MODEL_MARK_NONE, 0);
    if (site->op == WHORL__OP_PLAIN_COPY) {
        begin_copy(site, location);
        return;
    }
    location->marked = true;
    check_against(site, location->written_at, location->written_site);
    check_against(site, location->stored_at, location->stored_site);
    if (site->op == WHORL__OP_PLAIN_WRITE) {
        check_against(site, location->read_at, location->read_site);
        remember(site, location->written_at, location->written_site);
    } else {
        remember(site, location->read_at, location->read_site);
    }
}
