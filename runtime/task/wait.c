/*
 * wait.c - some of many: a watch, whose events are futures of its own.
 *
 *   watched futures          the watch                       who waits
 *   a done ------------->  report: the n-th to be done  -->  joins event n - 1
 *   b done ------------->                                    (wait: one event; as_completed: each)
 *
 * A wait for a future (future.c) already knows deadlines, cancels and plain threads; so what is
 * waited for here is a future again, and only who completes it is new.
 *
 * What whorl_wait tells was true at one instant. Futures end while it looks at one after the other:
 *
 *   losing order                              ours
 *   wait:   a is not done                     wait:   counts those that are done, looks at each,
 *   others: a is done, then b                         and counts again, until both counts agree:
 *   wait:   b is done: b without a, which             none ended meanwhile, for none is ever
 *           there never was                           done no more
 *
 * A watched future that is done calls report, from then on at any time; the watch lives until each
 * has reported or was taken back, which exclude each other under the future's lock. A report of
 * whorl_wait looks at its future, and keeps it till then: the wait may be over long before. The
 * futures of an iteration are kept until it is freed, for who is served to read them.
 *
 * In strict order an iteration has one timer, as in asyncio, from when it is made. It draws the
 * numbers that are left and completes their events with -ETIMEDOUT; who reports then gets a number
 * behind the last, and has nothing to say. In fast order, and where it is made outside of a loop,
 * each wait for the next one has the deadline, and a report looks at the time.
 *
 * A watch may also begin empty and get its futures one by one, as a race starts its attempts
 * (race.c): its places are counted from the beginning.
 *
 * Owns:       struct whorl_completed, which all forms use.
 * Threads:    reports from any.
 * Invariant:  event k is completed exactly once, by the report that drew number k.
 * Pairs:      W1  report: order[k], then event k is done (F1) - next: joins event k, reads order[k]
 *             W2  references: the last - 1 (acquire) sees all that was done under the others
 */
#include "task/wait.h"

#include "task/future.h"
#include "task/park.h"

#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct watched {
    struct whorl__waiter waiter;
    struct whorl_completed *watch; /* C */
    struct whorl_future *future;   /* C: with a reference; NULL: none was put here yet */
    size_t index;                  /* C: where it stands among the caller's */
};

/* One that is reported to whoever waits. */
struct event {
    struct whorl__free_future head;
};

struct whorl_completed {
    struct whorl_iterator iterator; /* C */
    uint32_t references;         /* A: W2: the caller, and each future that has not reported */
    uint32_t count;              /* C: places for futures, none of which is watched twice */
    uint32_t drawn;              /* A: how many have reported; more: some came after the timer */
    uint32_t next;               /* A: as_completed: how many were served */
    int64_t deadline_ns;         /* C: as_completed: what ends later is not served */
    struct whorl_handle *timer;  /* C: as_completed, strict order: with a reference on this */
    enum whorl_return_when when; /* C: wait: what completes its one event */
    bool single;                 /* C: wait, first_of */
    struct watched *watched;     /* C */
    size_t *order;               /* W1: index of the k-th to report */
    struct event events[];       /* count of them, or one */
};

/* ---- making one ---- */

static int compare_futures(const void *a, const void *b)
{
    const struct watched *const left = a;
    const struct watched *const right = b;
    const uintptr_t x = (uintptr_t)left->future;
    const uintptr_t y = (uintptr_t)right->future;
    return x != y ? (x > y) - (x < y) : (left->index > right->index) - (left->index < right->index);
}

static int compare_indexes(const void *a, const void *b)
{
    const size_t x = ((const struct watched *)a)->index;
    const size_t y = ((const struct watched *)b)->index;
    return (x > y) - (x < y);
}

/* Leaves the first of equal ones, in the caller's order. Returns how many are left. */
static uint32_t drop_duplicates(struct watched *watched, size_t count)
{
    uint32_t kept = 0;
    qsort(watched, count, sizeof *watched, compare_futures);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || watched[kept - 1].future != watched[i].future ||
            WHORL__BUG(COMPLETED_SERVES_TWICE)) {
            watched[kept++] = watched[i];
        }
    }
    qsort(watched, kept, sizeof *watched, compare_indexes);
    return kept;
}

static struct whorl_future *event_of(struct whorl_completed *watch, size_t index)
{
    return &watch->events[index].head.future;
}

/* Of so many places, all empty; NULL: out of memory. */
static int iterate(struct whorl_iterator *self, void **ret_item);

static struct whorl_completed *allocate(size_t count, size_t event_count)
{
    struct whorl_completed *watch = NULL;
    if (count <= INT_MAX) {
        watch = whorl__os->alloc(whorl__os_lines(sizeof *watch + count * sizeof watch->watched[0] +
                                                 event_count * sizeof watch->events[0] +
                                                 count * sizeof watch->order[0]));
    }
    if (watch == NULL || whorl__fork_watch() != 0) {
        whorl__os->free(watch);
        return NULL;
    }
    *watch = (struct whorl_completed){
        .iterator.next = iterate, .references = 1, .deadline_ns = WHORL_NEVER};
    watch->watched = (struct watched *)(void *)&watch->events[event_count];
    watch->order = (size_t *)(void *)&watch->watched[count];
    memset(watch->watched, 0, count * sizeof watch->watched[0]);
    for (size_t i = 0; i < event_count; i++) {
        whorl__future_init(event_of(watch, i), WHORL__FUTURE_PLAIN, 1);
        watch->events[i].head.generation = whorl__fork_generation;
    }
    return watch;
}

static int check_futures(struct whorl_future *const *futures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (futures[i] == NULL) {
            return -EINVAL;
        }
        if (whorl__future_is_inherited(futures[i]) && !whorl__future_is_done(futures[i])) {
            return -ECHILD;
        }
    }
    return 0;
}

/* single: one event; else one for each future. */
static int make(struct whorl_future *const *futures, size_t count, bool single,
                struct whorl_completed **ret_watch)
{
    const int error = check_futures(futures, count);
    if (error != 0) {
        return error;
    }
    struct whorl_completed *const watch = allocate(count, single ? 1 : count);
    if (watch == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        watch->watched[i].future = futures[i];
        watch->watched[i].index = i;
    }
    watch->count = drop_duplicates(watch->watched, count);
    watch->references = watch->count + 1;
    watch->single = single;
    *ret_watch = watch;
    return 0;
}

static void drop(struct whorl_completed *watch)
{
    if (whorl__add_u32(&watch->references, (uint32_t)-1) == 1) { /* pairs W2 */
        whorl_handle_unref(watch->timer);
        whorl__os->free(watch);
    }
}

/* ---- reports ---- */

/* Whether the n-th report, of this future, ends the wait. */
static bool ends_wait(const struct whorl_completed *watch, struct whorl_future *future, uint32_t n)
{
    if (n == watch->count || watch->when == WHORL_FIRST_COMPLETED) {
        return true;
    }
    if (watch->when != WHORL_FIRST_EXCEPTION || future->error == 0) {
        return false;
    }
    whorl__future_look(future);
    return !whorl_future_cancelled(future) || WHORL__BUG(WAIT_ENDS_WITH_A_CANCELLED_ONE);
}

/* Each number once; those from the count on are nobody's. */
static uint32_t draw_number(struct whorl_completed *watch)
{
    return whorl__add_u32(&watch->drawn, 1);
}

/* late: after the deadline, at which the iteration is over. */
static void report(struct watched *watched, bool late)
{
    struct whorl_completed *const watch = watched->watch;
    struct whorl_future *const future = watched->future;
    const struct whorl__outcome told = {.error = late ? -ETIMEDOUT : 0, .value = watched};
    const uint32_t number = draw_number(watch);
    if (!watch->single && number < watch->count) {
        whorl__plain_write(&watch->order[number]); /* W1 */
        watch->order[number] = watched->index;
        (void)whorl__future_complete(event_of(watch, number), &told);
    } else if (watch->single && ends_wait(watch, future, number + 1)) {
        (void)whorl__future_complete(event_of(watch, 0), &told);
    }
    if (number + 1 == watch->count) {
        (void)whorl_handle_cancel(watch->timer);
    }
    if (watch->single) {
        whorl_future_unref(future);
    }
    drop(watch);
}

/* Called by the timer, if the iteration has one: nobody else is served. */
static void deadline_passed(void *arg)
{
    struct whorl_completed *const watch = arg;
    const struct whorl__outcome late = {.error = -ETIMEDOUT};
    uint32_t number;
    if (WHORL__BUG(COMPLETED_HAS_NO_DEADLINE)) {
        return;
    }
    while ((number = draw_number(watch)) < watch->count) {
        (void)whorl__future_complete(event_of(watch, number), &late);
    }
}

static void drop_timed(void *arg)
{
    drop(arg);
}

static void future_done(struct whorl__waiter *waiter)
{
    struct watched *const watched = whorl_container_of(waiter, struct watched, waiter);
    const struct whorl_completed *const watch = watched->watch;
    report(watched, watch->timer == NULL && watch->deadline_ns != WHORL_NEVER &&
                        whorl__os->now_ns() >= watch->deadline_ns);
}

/* When it was put here: whatever the time is. */
static void future_was_done(struct whorl__waiter *waiter)
{
    report(whorl_container_of(waiter, struct watched, waiter), false);
}

static void watch_one(struct whorl_completed *watch, struct watched *watched,
                      struct whorl_future *awaiter)
{
    watched->watch = watch;
    watched->waiter.callback = future_done;
    watched->waiter.awaiter = awaiter;
    (void)whorl_future_ref(watched->future); /* until it has reported, or unwatch_all */
    if (!whorl__future_call_when_done(watched->future, &watched->waiter)) {
        watched->waiter.callback = future_was_done;
        if (WHORL__BUG(WAIT_REPORTS_AT_ONCE)) {
            future_was_done(&watched->waiter);
        } else {
            whorl__future_call_now(&watched->waiter);
        }
    }
}

static struct whorl_future *own_future(void)
{
    struct whorl_task *const task = whorl__task_current();
    return task != NULL ? &task->future : NULL;
}

static void watch_all(struct whorl_completed *watch)
{
    /* Who asks for the next of an iteration may be anybody; a wait is its task's. */
    struct whorl_future *const awaiter = watch->single ? own_future() : NULL;
    for (uint32_t i = 0; i < watch->count; i++) {
        watch_one(watch, &watch->watched[i], awaiter);
    }
}

/* Those that are not done will not report any more. The caller's reference goes, too. */
static void unwatch_all(struct whorl_completed *watch)
{
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched *const watched = &watch->watched[i];
        if (watched->future == NULL) {
            continue;
        }
        const bool off = whorl__future_call_off(watched->future, &watched->waiter);
        if (off || !watch->single) {
            whorl_future_unref(watched->future);
        }
        if (off) {
            drop(watch);
        }
    }
    drop(watch);
}

/* ---- wait ---- */

static int count_done(const struct whorl_completed *watch)
{
    int done = 0;
    for (uint32_t i = 0; i < watch->count; i++) {
        done += whorl__future_is_done(watch->watched[i].future);
    }
    return done;
}

/* How many are done, and which of the caller's: as of one instant. */
static int look_at_all(const struct whorl_completed *watch, struct whorl_future *const *futures,
                       size_t count, bool *ret_done)
{
    int before;
    int after = count_done(watch);
    do {
        before = after;
        for (size_t i = 0; ret_done != NULL && i < count; i++) {
            ret_done[i] = whorl__future_is_done(futures[i]);
        }
        after = count_done(watch);
    } while (after != before);
    return after;
}

/* A task gives way at least once, as in asyncio, so that a loop around a wait starves nobody. */
static int wait_for_event(struct whorl_completed *watch, int64_t deadline_ns)
{
    struct whorl_future *const event = event_of(watch, 0);
    if (whorl__future_is_done(event) && whorl__task_current() != NULL) {
        return whorl_yield();
    }
    const int error = whorl_future_join(event, deadline_ns, NULL);
    return error == -ETIMEDOUT ? 0 : error;
}

static bool holds_own(struct whorl_future *const *futures, size_t count)
{
    const struct whorl_task *const self = whorl__task_current();
    for (size_t i = 0; self != NULL && i < count; i++) {
        if (futures[i] == &self->future) {
            return true;
        }
    }
    return false;
}

int whorl_wait(struct whorl_future *const *futures, size_t count, enum whorl_return_when when,
               int64_t deadline_ns, bool *ret_done)
{
    struct whorl_completed *watch;
    if (futures == NULL || count == 0 || when > WHORL_FIRST_EXCEPTION) {
        return -EINVAL;
    }
    if (holds_own(futures, count)) {
        return -EDEADLK;
    }
    int result = make(futures, count, true, &watch);
    if (result != 0) {
        return result;
    }
    watch->when = when;
    watch_all(watch);
    result = wait_for_event(watch, deadline_ns);
    for (size_t i = 0; WHORL__BUG(WAIT_CANCELS_THE_LATE) && i < count; i++) {
        (void)whorl_future_cancel(futures[i], NULL);
    }
    if (result == 0) {
        result = look_at_all(watch, futures, count, ret_done);
    }
    unwatch_all(watch);
    return result;
}

/* ---- first of ---- */

/* The first that is done; `count` if none is. */
static size_t find_done(struct whorl_future *const *futures, size_t count)
{
    size_t i = 0;
    while (i < count && !whorl__future_is_done(futures[i])) {
        i++;
    }
    return i;
}

static int wait_for_first(struct whorl_completed *watch, int64_t deadline_ns, size_t *ret_index)
{
    void *first;
    watch->when = WHORL_FIRST_COMPLETED;
    watch_all(watch);
    const int error = whorl_future_join(event_of(watch, 0), deadline_ns, &first);
    if (error == 0) {
        *ret_index = ((const struct watched *)first)->index;
    }
    unwatch_all(watch);
    return error;
}

int whorl_first_of(struct whorl_future *const *futures, size_t count, int64_t deadline_ns,
                   size_t *ret_index)
{
    struct whorl_completed *watch;
    if (futures == NULL || count == 0 || ret_index == NULL) {
        return -EINVAL;
    }
    if (holds_own(futures, count)) {
        return -EDEADLK;
    }
    int error = check_futures(futures, count);
    if (error != 0) {
        return error;
    }
    const size_t done = find_done(futures, count);
    if (done < count) {
        *ret_index = done;
        return 0;
    }
    error = make(futures, count, true, &watch);
    return error != 0 ? error : wait_for_first(watch, deadline_ns, ret_index);
}

/* ---- as_completed ---- */

static bool is_inherited(struct whorl_completed *completed)
{
    return completed->count > 0 && whorl__future_is_inherited(event_of(completed, 0));
}

static bool is_strict_here(void)
{
    const struct whorl__loop *const here = whorl__loop_here();
    return here != NULL && here->strict;
}

/* Before it can fire, or a report can meet it. */
static int arm(struct whorl_completed *completed, int64_t deadline_ns)
{
    const struct whorl_call_attr attr = {.arg_free = drop_timed, .flags = WHORL_NO_STRAND};
    completed->deadline_ns = deadline_ns;
    if (deadline_ns == WHORL_NEVER || completed->count == 0 || !is_strict_here()) {
        return 0;
    }
    const int error =
        whorl_call_at(deadline_ns, deadline_passed, completed, &attr, &completed->timer);
    completed->references += error == 0;
    return error;
}

int whorl_as_completed(struct whorl_future *const *futures, size_t count, int64_t deadline_ns,
                       struct whorl_completed **ret_completed)
{
    struct whorl_completed *completed;
    if (ret_completed == NULL || (futures == NULL && count > 0)) {
        return -EINVAL;
    }
    int error = make(futures, count, false, &completed);
    if (error != 0) {
        return error;
    }
    error = arm(completed, deadline_ns);
    if (error != 0) {
        whorl__os->free(completed);
        return error;
    }
    watch_all(completed);
    *ret_completed = completed;
    return 0;
}

/* Of a wait for the next one: where the timer ends it, none of its own. */
static int64_t deadline_of(const struct whorl_completed *completed)
{
    const bool timed = completed->timer != NULL && is_strict_here();
    return timed ? WHORL_NEVER : completed->deadline_ns;
}

/* Draws the number of the next one that is done. 0, -ENOENT, or what the wait says. */
static int draw(struct whorl_completed *completed, int64_t deadline_ns, uint32_t *ret_number)
{
    uint32_t next = whorl__load_relaxed_u32(&completed->next); /* relaxed: the cas checks it */
    do {
        if (next == completed->count) {
            return -ENOENT;
        }
        const int error = whorl_future_join(event_of(completed, next), deadline_ns, NULL);
        if (error != 0) {
            return error;
        }
    } while (!whorl__cas_value_u32(&completed->next, &next, next + 1));
    *ret_number = next;
    return 0;
}

int whorl__watch_next(struct whorl_completed *completed, int64_t deadline_ns, size_t *ret_index)
{
    uint32_t number;
    const int error = draw(completed, deadline_ns, &number);
    if (error == 0) {
        whorl__plain_read(&completed->order[number]); /* W1 */
        *ret_index = completed->order[number];
    }
    return error;
}

static int iterate(struct whorl_iterator *self, void **ret_item)
{
    struct whorl_completed *const completed =
        whorl_container_of(self, struct whorl_completed, iterator);
    uint32_t number;
    const int error = draw(completed, deadline_of(completed), &number);
    if (error == 0 && ret_item != NULL) {
        const struct watched *const watched = event_of(completed, number)->value;
        *ret_item = watched->future;
    }
    return error == -ENOENT ? -ENODATA : error;
}

struct whorl_iterator *whorl_completed_iterator(struct whorl_completed *completed)
{
    return completed != NULL ? &completed->iterator : NULL;
}

int whorl_completed_next(struct whorl_completed *completed, size_t *ret_index)
{
    if (completed == NULL || ret_index == NULL) {
        return -EINVAL;
    }
    return whorl__watch_next(completed, deadline_of(completed), ret_index);
}

void whorl_completed_free(struct whorl_completed *completed)
{
    if (completed != NULL && !is_inherited(completed)) {
        (void)whorl_handle_cancel(completed->timer); /* a report may still come, and do the same */
        unwatch_all(completed);
    }
}

/* ---- one by one ---- */

struct whorl_completed *whorl__watch_new(size_t count)
{
    struct whorl_completed *const watch = allocate(count, count);
    if (watch != NULL) {
        watch->count = (uint32_t)count;
    }
    return watch;
}

void whorl__watch_add(struct whorl_completed *watch, size_t index, struct whorl_future *future)
{
    struct watched *const watched = &watch->watched[index];
    WHORL_ASSERT(index < watch->count && watched->future == NULL);
    watched->future = future;
    watched->index = index;
    (void)whorl__add_u32(&watch->references, 1); /* the caller has one, too */
    watch_one(watch, watched, own_future());
}
