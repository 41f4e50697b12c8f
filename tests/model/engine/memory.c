/*
 * memory.c - what an operation does to memory, in each of the four modes.
 *
 * Owns:       the locations, their histories, the buffers of the threads and their views.
 * Invariant:  the program's own memory always holds what the running thread would read there at
 *             the newest: the newest store of all, or what is in the thread's buffer. So a plain
 *             read by the owner of a field, as ck makes them, is right.
 *
 * A store is a message: a value, the clock of what happens before whoever acquires it, and in c11
 * mode the view, the times of other locations below which an acquirer may read no more.
 *
 *   relaxed store     carries what the last release fence saw
 *   release store     carries what the thread sees now
 *   read-modify-write carries, besides, what the message that it read carried (release sequence)
 *   relaxed load      keeps what the message carries aside, for a later acquire fence
 *   acquire load      joins it at once
 *   full fence        both fences; and in c11 mode joins the view that all full fences share, and
 *                     leaves its own there. It adds nothing to happens-before.
 *
 * Buffers (tso, pso). A full fence empties the thread's buffer, and a read-modify-write does in
 * tso. In pso it does if it releases, or where an entry for its own location is in the buffer. An
 * entry waits for older ones of its location; a release store for all older ones; any entry for
 * those before the last release fence.
 *
 * A location whose memory changed without an operation was initialised anew by a plain store: its
 * history begins again, with that value for everybody. That hides a wrong order of this very store;
 * marks (whorl__plain_write) are there to find it.
 */
#include "model/engine/engine.h"

#include <string.h>
#include <sys/mman.h>

enum { TABLE_SLOTS = 4 * MODEL_LOCATIONS_MAX, TIME_STEP = 1 << 16, POOL_TIMES = 32 << 20 };

/* Of a stack, what calls that have returned may have used; far less than a stack has. */
enum { LEFT_BYTES = 8 << 10 };

#define FRAME __builtin_frame_address(0)

static struct {
    uintptr_t address;
    uint32_t execution;
    uint32_t location;
} table[TABLE_SLOTS];

static uint32_t execution; /* counts up; older entries of the table are void */

/* ---- raw memory ---- */

static uint64_t raw_read(const void *address, unsigned bytes)
{
    uint32_t low;
    uint64_t value;
    if (bytes == sizeof(low)) {
        memcpy(&low, address, sizeof(low));
        return low;
    }
    memcpy(&value, address, sizeof(value));
    return value;
}

static void raw_write(void *address, unsigned bytes, uint64_t value)
{
    const uint32_t low = (uint32_t)value;
    if (bytes == sizeof(low)) {
        memcpy(address, &low, sizeof(low));
    } else {
        memcpy(address, &value, sizeof(value));
    }
}

/* ---- locations ---- */

static struct model_store *newest(struct model_location *location)
{
    return &location->history[location->store_count - 1];
}

static unsigned index_of(const struct model_location *location)
{
    return (unsigned)(location - engine.locations);
}

static struct model_location *make_location(const struct whorl__site *site, char *address,
                                            unsigned bytes)
{
    if (engine.location_count == MODEL_LOCATIONS_MAX) {
        run_fail("more than %d shared locations", MODEL_LOCATIONS_MAX);
    }
    const unsigned index = engine.location_count++;
    struct model_location *const location = &engine.locations[index];
    location->address = address;
    location->bytes = bytes;
    location->atomic = false;
    location->marked = false;
    location->copied = false;
    location->stores = 0;
    location->name = site->field;
    location->store_count = 0;
    memset(location->read_at, 0, sizeof(location->read_at));
    memset(location->written_at, 0, sizeof(location->written_at));
    memset(location->stored_at, 0, sizeof(location->stored_at));
    memset(location->loaded_at, 0, sizeof(location->loaded_at));
    memset(location->copied_at, 0, sizeof(location->copied_at));
    for (unsigned i = 0; i <= MODEL_MAIN; i++) {
        engine.threads[i].view[index] = 0;
        engine.threads[i].view_acquired[index] = 0;
    }
    engine.fence_view[index] = 0;
    return location;
}

struct model_location *memory_locate(const struct whorl__site *site, const void *field,
                                     unsigned bytes)
{
    const uintptr_t address = (uintptr_t)field;
    unsigned slot = (unsigned)((address >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % TABLE_SLOTS;
    while (table[slot].execution == execution) {
        if (table[slot].address == address) {
            return &engine.locations[table[slot].location];
        }
        slot = (slot + 1) % TABLE_SLOTS;
    }
    struct model_location *const location = make_location(site, (char *)address, bytes);
    table[slot].address = address;
    table[slot].execution = execution;
    table[slot].location = index_of(location);
    return location;
}

/* The history is one store, as old as the location. */
static void begin_history(struct model_location *location, uint64_t value)
{
    location->atomic = true;
    location->store_count = 1;
    location->history[0] = (struct model_store){
        .value = value,
        .time = location->history[0].time,
        .thread = MODEL_MAIN,
    };
}

/* What the running thread's buffer holds for the location, the youngest; NULL: nothing. */
static struct model_pending *pending_of(struct model_thread *self, unsigned location)
{
    for (unsigned i = self->pending_count; i-- > 0;) {
        if (self->pending[i].location == location) {
            return &self->pending[i];
        }
    }
    return NULL;
}

static void drop_pending(struct model_thread *self, unsigned location)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < self->pending_count; i++) {
        if (self->pending[i].location != location) {
            self->pending[kept++] = self->pending[i];
        }
    }
    self->pending_count = kept;
}

/*
 * The running thread's stores to variables of calls that have returned. Nobody may look at these
 * any more, and what lies there belongs to the next calls, or to the checker itself: all that is
 * just below `at`, the frame of an operation, on the thread's own stack or on one of the scene's.
 */
static void drop_left(struct model_thread *self, const void *at)
{
    const uintptr_t frame = (uintptr_t)at;
    unsigned kept = 0;
    for (unsigned i = 0; i < self->pending_count; i++) {
        const uintptr_t address = (uintptr_t)engine.locations[self->pending[i].location].address;
        if (address >= frame || address < frame - LEFT_BYTES) {
            self->pending[kept++] = self->pending[i];
        }
    }
    self->pending_count = kept;
}

/* Plain stores since the last operation begin the history anew. */
static void notice_plain_stores(struct model_thread *self, struct model_location *location)
{
    const uint64_t raw = raw_read(location->address, location->bytes);
    const struct model_pending *const pending = pending_of(self, index_of(location));
    const uint64_t expected = pending != NULL ? pending->value : newest(location)->value;
    if (raw != expected) {
        const uint32_t time = newest(location)->time + TIME_STEP;
        drop_pending(self, index_of(location));
        location->history[0].time = time;
        begin_history(location, raw);
    }
}

static struct model_location *locate_atomic(struct whorl__site *site, const void *field,
                                            unsigned bytes)
{
    heap_check_access(site, field, bytes);
    struct model_location *const location = memory_locate(site, field, bytes);
    if (location->bytes != bytes && location->atomic) {
        run_fail("%s is accessed in two sizes", site->field);
    }
    if (!location->atomic) {
        location->bytes = bytes;
        location->history[0].time = TIME_STEP;
        begin_history(location, raw_read(field, bytes));
    } else {
        notice_plain_stores(engine.current, location);
    }
    return location;
}

/* ---- views: c11 ---- */

static struct model_view keep_view(const uint32_t *times)
{
    const uint32_t count = engine.location_count;
    if (engine.view_pool_used + count > POOL_TIMES) {
        run_fail("the views of this execution fill their pool: too many steps");
    }
    const struct model_view view = {engine.view_pool_used, count};
    memcpy(engine.view_pool + view.offset, times, count * sizeof(*times));
    engine.view_pool_used += count;
    return view;
}

static void join_view(uint32_t *times, struct model_view view)
{
    const uint32_t *const other = engine.view_pool + view.offset;
    for (uint32_t i = 0; i < view.count; i++) {
        times[i] = times[i] > other[i] ? times[i] : other[i];
    }
}

static void join_times(uint32_t *times, const uint32_t *other)
{
    for (uint32_t i = 0; i < engine.location_count; i++) {
        times[i] = times[i] > other[i] ? times[i] : other[i];
    }
}

static void see(struct model_thread *self, const struct model_location *location, uint32_t time)
{
    uint32_t *const seen = &self->view[index_of(location)];
    *seen = *seen > time ? *seen : time;
}

/* ---- messages ---- */

static unsigned order_of(const struct whorl__site *site)
{
    return site->weakened != 0 ? site->weakened - 1U : site->order;
}

static void receive(struct model_thread *self, const struct model_location *location,
                    const struct model_store *store, unsigned order)
{
    const bool acquire = (order & WHORL__ORDER_ACQUIRE) != 0;
    clock_join(acquire ? &self->now : &self->acquired, &store->clock);
    if (engine.mode == MODEL_C11) {
        see(self, location, store->time);
        join_view(acquire ? self->view : self->view_acquired, store->view);
    }
}

/* What a store of this order tells its readers; they add its own time to the view themselves. */
static void compose(struct model_thread *self, struct model_store *store, unsigned order)
{
    self->spins = false;
    const bool release = (order & WHORL__ORDER_RELEASE) != 0;
    store->thread = (uint8_t)self->index;
    store->clock = release ? self->now : self->released;
    store->read_by_next = false;
    store->view = (struct model_view){0, 0};
    if (engine.mode == MODEL_C11) {
        store->view = release ? keep_view(self->view) : self->view_released;
    }
    self->now.at[self->index]++;
}

/* A release sequence: what was read is told on. */
static void compose_on(struct model_store *store, const struct model_store *read)
{
    clock_join(&store->clock, &read->clock);
    if (engine.mode == MODEL_C11 && read->view.count > 0) {
        uint32_t times[MODEL_LOCATIONS_MAX] = {0};
        join_view(times, store->view);
        join_view(times, read->view);
        store->view = keep_view(times);
    }
}

/* ---- buffers: tso and pso ---- */

static bool flushable(const struct model_thread *thread, unsigned entry)
{
    const struct model_pending *const pending = &thread->pending[entry];
    for (unsigned i = 0; i < entry; i++) {
        if (engine.mode == MODEL_TSO || thread->pending[i].location == pending->location ||
            thread->pending[i].sequence < pending->after) {
            return false;
        }
    }
    return true;
}

/* The buffer's owner may be running, or not: memory shows what the running thread has newest. What
 * that one has stored plainly since is newer than the entry, which then is gone. */
static void flush(struct model_thread *thread, unsigned entry)
{
    const struct model_pending pending = thread->pending[entry];
    struct model_location *const location = &engine.locations[pending.location];
    if (thread == engine.current) {
        notice_plain_stores(thread, location);
        if (pending_of(thread, pending.location) == NULL) {
            return;
        }
    }
    struct model_store *const store = newest(location);
    store->value = pending.value;
    store->clock = pending.clock;
    store->thread = (uint8_t)thread->index;
    thread->pending_count--;
    memmove(&thread->pending[entry], &thread->pending[entry + 1],
            (thread->pending_count - entry) * sizeof(pending));
    if (engine.current == NULL || pending_of(engine.current, pending.location) == NULL) {
        raw_write(location->address, location->bytes, pending.value);
    }
    trace_flush(thread, location, pending.value);
}

/* Whether the entry has to leave before `later` can. */
static bool is_before(const struct model_thread *thread, unsigned entry, unsigned later)
{
    const struct model_pending *const first = &thread->pending[entry];
    const struct model_pending *const second = &thread->pending[later];
    return entry == later ||
           (entry < later && (engine.mode == MODEL_TSO || first->location == second->location ||
                              first->sequence < second->after));
}

/* The entries of a thread that can leave and are wanted: for a location, or to be in front of those
 * that self is about to send to the same locations (location < 0), or all (self NULL). */
static bool is_wanted(const struct model_thread *thread, unsigned entry, struct model_thread *self,
                      int location)
{
    for (unsigned later = entry; later < thread->pending_count; later++) {
        const unsigned place = thread->pending[later].location;
        const bool wanted = self == NULL || (location >= 0 ? place == (unsigned)location
                                                           : pending_of(self, place) != NULL);
        if (wanted && is_before(thread, entry, later)) {
            return flushable(thread, entry);
        }
    }
    return false;
}

struct flushes {
    struct {
        struct model_thread *owner;
        unsigned entry;
    } list[MODEL_THREADS_MAX * MODEL_PENDING_MAX];
    unsigned count;
};

static void gather(struct flushes *flushes, struct model_thread *self, int location)
{
    flushes->count = 0;
    for (unsigned i = 0; i < engine.thread_count; i++) {
        struct model_thread *const owner = &engine.threads[i];
        for (unsigned entry = 0; owner != self && entry < owner->pending_count; entry++) {
            if (is_wanted(owner, entry, self, location)) {
                flushes->list[flushes->count].owner = owner;
                flushes->list[flushes->count].entry = entry;
                flushes->count++;
            }
        }
    }
}

/* Stores of other threads that may reach memory before self does, at the location. */
static void choose_flushes(struct model_thread *self, int location)
{
    struct flushes flushes;
    gather(&flushes, self, location);
    while (flushes.count > 0) {
        const unsigned picked = search_choose(MODEL_CHOOSE_FLUSH, 1 + flushes.count, 0);
        if (picked == 0) {
            return;
        }
        flush(flushes.list[picked - 1].owner, flushes.list[picked - 1].entry);
        gather(&flushes, self, location);
    }
}

bool memory_flush_some(void)
{
    struct flushes flushes;
    gather(&flushes, NULL, -1);
    if (flushes.count > 0) {
        const unsigned picked = search_choose(MODEL_CHOOSE_VALUE, flushes.count, 0);
        flush(flushes.list[picked].owner, flushes.list[picked].entry);
    }
    return flushes.count > 0;
}

void memory_flush_all(struct model_thread *thread)
{
    if (thread->pending_count > 0) {
        choose_flushes(thread, -1);
    }
    while (thread->pending_count > 0) {
        flush(thread, 0);
    }
}

void memory_show(struct model_thread *thread)
{
    for (unsigned i = 0; i < thread->pending_count; i++) {
        const struct model_location *const location =
            &engine.locations[thread->pending[i].location];
        raw_write(location->address, location->bytes, thread->pending[i].value);
    }
}

void memory_hide(struct model_thread *thread)
{
    for (unsigned i = 0; i < thread->pending_count; i++) {
        struct model_location *const location = &engine.locations[thread->pending[i].location];
        notice_plain_stores(thread, location);
    }
    for (unsigned i = 0; i < thread->pending_count; i++) {
        struct model_location *const location = &engine.locations[thread->pending[i].location];
        raw_write(location->address, location->bytes, newest(location)->value);
    }
}

static void buffer_store(struct model_thread *self, struct model_location *location,
                         const struct model_store *store, unsigned order)
{
    if (self->pending_count == MODEL_PENDING_MAX) {
        flush(self, 0);
    }
    const uint32_t sequence = self->sequence_next++;
    self->pending[self->pending_count++] = (struct model_pending){
        .location = index_of(location),
        .value = store->value,
        .sequence = sequence,
        .after = (order & WHORL__ORDER_RELEASE) != 0 ? sequence : self->fence_sequence,
        .clock = store->clock,
    };
    raw_write(location->address, location->bytes, store->value);
}

/* Before a read-modify-write, which goes to memory itself. */
static void flush_before_rmw(struct model_thread *self, const struct model_location *location,
                             unsigned order)
{
    const bool fenced = self->pending_count > 0 && self->pending[0].sequence < self->fence_sequence;
    if (engine.mode == MODEL_TSO || fenced || (order & WHORL__ORDER_RELEASE) != 0 ||
        pending_of(self, index_of(location)) != NULL) {
        memory_flush_all(self);
    }
}

/* ---- histories: c11 ---- */

/* The index of the oldest store that the thread may read. */
static unsigned oldest_readable(const struct model_thread *self,
                                const struct model_location *location)
{
    const uint32_t seen = self->view[index_of(location)];
    unsigned oldest = location->store_count - 1;
    while (oldest > 0 && location->history[oldest - 1].time >= seen) {
        oldest--;
    }
    return oldest;
}

static void forget_oldest(struct model_location *location)
{
    location->store_count--;
    memmove(&location->history[0], &location->history[1],
            location->store_count * sizeof(location->history[0]));
}

/* Puts the store behind the one at `before`. Its time lies between the neighbours'. */
static void insert_store(struct model_location *location, unsigned before,
                         struct model_store *store)
{
    const bool last = before == location->store_count - 1;
    const uint32_t low = location->history[before].time;
    store->time = last ? low + TIME_STEP : low + (location->history[before + 1].time - low) / 2;
    memmove(&location->history[before + 2], &location->history[before + 1],
            (location->store_count - 1 - before) * sizeof(*store));
    location->history[before + 1] = *store;
    location->store_count++;
    if (last) {
        raw_write(location->address, location->bytes, store->value);
    }
}

/* Whether there is room in the order behind a store: no read-modify-write stands there. */
static bool room_behind(const struct model_location *location, unsigned before)
{
    return !location->history[before].read_by_next &&
           (before == location->store_count - 1 ||
            location->history[before + 1].time - location->history[before].time >= 2);
}

/* How many stores behind the newest place the new one goes; 0 = it is the newest. */
static unsigned choose_place(struct model_thread *self, const struct model_location *location)
{
    unsigned places[MODEL_HISTORY];
    unsigned count = 0;
    const unsigned oldest = oldest_readable(self, location);
    for (unsigned before = location->store_count - 1; before-- > oldest;) {
        if (room_behind(location, before)) {
            places[count++] = before;
        }
    }
    const unsigned picked = search_choose(MODEL_CHOOSE_PLACE, 1, count);
    return picked == 0 ? location->store_count - 1 : places[picked - 1];
}

/* ---- the operations ---- */

/* frame: of the operation, as its caller calls it. */
static struct model_location *begin(struct whorl__site *site, const void *frame,
                                    const void *field, unsigned bytes)
{
    if (engine.current == NULL) {
        run_fail("%s: an operation outside of any execution", site->function);
    }
    drop_left(engine.current, frame);
    if (!site->statistic) {
        run_point();
    }
    site->reached++;
    struct model_location *const location = locate_atomic(site, field, bytes);
    race_check_atomic(site, location);
    if (!engine.alone) {
        choose_flushes(engine.current, (int)index_of(location));
    }
    return location;
}

/* The store that a load returns. ret_detail: how many newer ones there are. */
static const struct model_store *choose_store(struct model_thread *self,
                                              struct model_location *location, unsigned *ret_detail)
{
    *ret_detail = 0;
    if (engine.mode != MODEL_C11 || engine.alone) {
        return newest(location);
    }
    const unsigned oldest = oldest_readable(self, location);
    const unsigned newer = search_choose(MODEL_CHOOSE_STORE, 1, location->store_count - 1 - oldest);
    *ret_detail = newer;
    return &location->history[location->store_count - 1 - newer];
}

uint64_t whorl__model_load(struct whorl__site *site, const void *field, unsigned bytes)
{
    struct model_location *const location = begin(site, FRAME, field, bytes);
    struct model_thread *const self = engine.current;
    const struct model_pending *const pending = pending_of(self, index_of(location));
    if (pending != NULL) {
        trace_operation(site, location, pending->value, 0, MODEL_MARK_FORWARDED, 0);
        return pending->value;
    }
    unsigned newer;
    const struct model_store *const store = choose_store(self, location, &newer);
    receive(self, location, store, order_of(site));
    trace_operation(site, location, store->value, 0, newer > 0 ? MODEL_MARK_STALE : MODEL_MARK_NONE,
                    newer);
    return store->value;
}

void whorl__model_store(struct whorl__site *site, void *field, unsigned bytes, uint64_t value)
{
    struct model_location *const location = begin(site, FRAME, field, bytes);
    struct model_thread *const self = engine.current;
    const unsigned order = order_of(site);
    struct model_store store = {.value = value};
    enum model_mark mark = MODEL_MARK_NONE;
    unsigned detail = 0;
    compose(self, &store, order);
    if (engine.mode == MODEL_C11) {
        if (location->store_count == MODEL_HISTORY) {
            forget_oldest(location);
        }
        const unsigned before =
            engine.alone ? location->store_count - 1 : choose_place(self, location);
        detail = location->store_count - 1 - before;
        mark = detail > 0 ? MODEL_MARK_INSERTED : MODEL_MARK_NONE;
        insert_store(location, before, &store);
        see(self, location, store.time);
    } else if (engine.mode == MODEL_SC || engine.alone) {
        *newest(location) = store;
        raw_write(field, bytes, value);
    } else {
        buffer_store(self, location, &store, order);
        mark = MODEL_MARK_BUFFERED;
    }
    trace_operation(site, location, 0, value, mark, detail);
}

/* The store of a read-modify-write, behind the one at `read`, or over it. */
static void store_behind(struct model_location *location, unsigned read, struct model_store *store)
{
    compose_on(store, &location->history[read]);
    if (engine.mode != MODEL_C11) {
        store->time = location->history[0].time;
        location->history[0] = *store;
        raw_write(location->address, location->bytes, store->value);
        return;
    }
    if (location->store_count == MODEL_HISTORY) {
        forget_oldest(location);
        read--;
    }
    location->history[read].read_by_next = true;
    insert_store(location, read, store);
    see(engine.current, location, store->time);
}

static uint64_t modified(uint8_t op, uint64_t old, uint64_t operand, unsigned bytes)
{
    uint64_t value = operand;
    switch (op) {
    case WHORL__OP_ADD:
        value = old + operand;
        break;
    case WHORL__OP_OR:
        value = old | operand;
        break;
    case WHORL__OP_AND:
        value = old & operand;
        break;
    }
    return bytes == sizeof(uint32_t) ? (uint32_t)value : value;
}

/* Which store a read-modify-write reads: the newest, or in c11 mode one with room behind it; or,
 * for a compare-and-swap that fails on it, any that a load could return. */
static unsigned choose_read(struct model_thread *self, struct model_location *location,
                            const uint64_t *expected)
{
    const unsigned last = location->store_count - 1;
    if (engine.mode != MODEL_C11 || engine.alone) {
        return last;
    }
    unsigned reads[MODEL_HISTORY];
    unsigned count = 0;
    const unsigned oldest = oldest_readable(self, location);
    const unsigned lowest = location->store_count == MODEL_HISTORY && oldest == 0 ? 1 : oldest;
    for (unsigned read = last; read-- > lowest;) {
        const bool fails = expected != NULL && location->history[read].value != *expected;
        if (fails || room_behind(location, read)) {
            reads[count++] = read;
        }
    }
    const unsigned picked = search_choose(MODEL_CHOOSE_STORE, 1, count);
    return picked == 0 ? last : reads[picked - 1];
}

uint64_t whorl__model_rmw(struct whorl__site *site, void *field, unsigned bytes, uint64_t operand)
{
    struct model_location *const location = begin(site, FRAME, field, bytes);
    struct model_thread *const self = engine.current;
    const unsigned order = order_of(site);
    flush_before_rmw(self, location, order);
    const unsigned read = choose_read(self, location, NULL);
    const unsigned newer = location->store_count - 1 - read;
    const uint64_t old = location->history[read].value;
    struct model_store store = {.value = modified(site->op, old, operand, bytes)};
    receive(self, location, &location->history[read], order);
    compose(self, &store, order);
    store_behind(location, read, &store);
    trace_operation(site, location, old, store.value,
                    newer > 0 ? MODEL_MARK_INSERTED : MODEL_MARK_NONE, newer);
    return old;
}

bool whorl__model_cas(struct whorl__site *site, void *field, unsigned bytes, uint64_t *expected,
                      uint64_t desired)
{
    struct model_location *const location = begin(site, FRAME, field, bytes);
    struct model_thread *const self = engine.current;
    const unsigned order = order_of(site);
    flush_before_rmw(self, location, order);
    const unsigned read = choose_read(self, location, expected);
    const unsigned newer = location->store_count - 1 - read;
    const uint64_t found = location->history[read].value;
    receive(self, location, &location->history[read], order);
    if (found != *expected) {
        trace_operation(site, location, found, desired, MODEL_MARK_FAILED, newer);
        race_end_copies(false);
        *expected = found;
        return false;
    }
    struct model_store store = {.value = desired};
    race_end_copies(true);
    compose(self, &store, order);
    store_behind(location, read, &store);
    trace_operation(site, location, found, desired,
                    newer > 0 ? MODEL_MARK_INSERTED : MODEL_MARK_NONE, newer);
    return true;
}

void whorl__model_fence(struct whorl__site *site)
{
    if (engine.current == NULL) {
        run_fail("%s: a fence outside of any execution", site->function);
    }
    struct model_thread *const self = engine.current;
    const unsigned order = order_of(site);
    drop_left(self, FRAME);
    run_point();
    site->reached++;
    if ((order & WHORL__ORDER_ACQUIRE) != 0) {
        clock_join(&self->now, &self->acquired);
        join_times(self->view, self->view_acquired);
    }
    if (order == WHORL__ORDER_FULL) {
        memory_flush_all(self);
        join_times(self->view, engine.fence_view);
        memcpy(engine.fence_view, self->view, engine.location_count * sizeof(self->view[0]));
    }
    if ((order & WHORL__ORDER_RELEASE) != 0) {
        self->released = self->now;
        self->fence_sequence = self->sequence_next;
        self->now.at[self->index]++;
        if (engine.mode == MODEL_C11) {
            self->view_released = keep_view(self->view);
        }
    }
    trace_operation(site, NULL, 0, 0, MODEL_MARK_NONE, 0);
}

void whorl__model_pause(void)
{
    model_yield();
}

/* ---- threads begin and end ---- */

static void clear_thread(struct model_thread *thread)
{
    thread->now = (struct model_clock){{0}};
    thread->acquired = (struct model_clock){{0}};
    thread->released = (struct model_clock){{0}};
    thread->now.at[thread->index] = 1;
    thread->copy_count = 0;
    thread->pending_count = 0;
    thread->sequence_next = 1;
    thread->fence_sequence = 0;
    thread->view_released = (struct model_view){0, 0};
    thread->state = MODEL_ENDED;
    thread->yielded = false;
    thread->spins = false;
}

void memory_reset(void)
{
    if (engine.view_pool == NULL) {
        void *const pool = mmap(NULL, POOL_TIMES * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        WHORL_CHECK(pool != MAP_FAILED, "no memory for the checker");
        engine.view_pool = pool;
    }
    execution++;
    engine.location_count = 0;
    engine.view_pool_used = 0;
    for (unsigned i = 0; i <= MODEL_MAIN; i++) {
        clear_thread(&engine.threads[i]);
    }
}

/* A thread knows all that setup did. */
void memory_thread_start(struct model_thread *thread)
{
    struct model_thread *const main = &engine.threads[MODEL_MAIN];
    thread->now = main->now;
    thread->now.at[thread->index] = 1;
    memcpy(thread->view, main->view, engine.location_count * sizeof(main->view[0]));
    if (engine.mode == MODEL_C11) {
        /* setup is over: a relaxed store tells no less than that */
        thread->view_released = keep_view(thread->view);
    }
    thread->released = main->now;
}

void memory_join_all(struct model_thread *thread)
{
    for (unsigned i = 0; i < engine.thread_count; i++) {
        clock_join(&thread->now, &engine.threads[i].now);
    }
    for (unsigned i = 0; i < engine.location_count; i++) {
        struct model_location *const location = &engine.locations[i];
        if (location->atomic) {
            see(thread, location, newest(location)->time);
        }
    }
}
