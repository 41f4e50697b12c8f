/*
 * gather.c - one future over many: results in the order of the children.
 *
 * Owns:       struct gather: the future, a waiter and a result a child, in one block.
 * Threads:    any; children end anywhere.
 * Invariant:  `pending` counts the children that have not reported, plus one while the gather is
 *             being set up. Each child reports once; who brings `pending` to 0 ends the gather.
 *             The gather holds a reference on each child until it is freed, and one on itself until
 *             the last child has reported.
 *             A gather that was cancelled waits for all its children, in both forms, and then ends
 *             cancelled: whorl__gather_cancel_along says true if and only if it saw to that.
 * Pairs:      G1  report: results[i], then pending - 1 (release half) - last: sees all (acquire)
 *             G2  cancel: cancels + 1, ask the children, - 1 if none took it
 *                 end:    cancels | OVER; whoever is counted by then, has cancelled it
 *                 fail:   cancels 0 -> FAILED, by one cas: who comes later cannot cancel it, and
 *                         while somebody is counted a failure does not end it
 */
#include "task/cancel.h"
#include "task/future.h"
#include "task/why.h"
#include "task/park.h"

#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>
#include <string.h>

#define OVER   (UINT32_C(1) << 31) /* all children have reported */
#define FAILED (UINT32_C(1) << 30) /* the first failure has ended it, and no cancel can */

#define FLAGS  ((unsigned)WHORL_GATHER_RETURN_EXCEPTIONS)

/* By who only looks: he holds a lock meanwhile. */
#define LOOKED_AT_MAX 1024
#define ENDING_DEPTH 8

struct child {
    struct whorl__waiter waiter;
    struct gather *gather;       /* C */
    struct whorl_future *future; /* C: with a reference */
};

struct gather {
    struct whorl__free_future head; /* first: a gather is a future */
    size_t count;               /* C */
    unsigned flags;             /* C */
    uint32_t pending;           /* A: G1 */
    uint32_t cancels;           /* A: G2: cancels that are asking or were taken; OVER, FAILED */
    void *message;              /* A: of the newest; const char, stored before cancels */
    struct whorl_result *results; /* C; each written by its child's report */
    struct child children[];
};

static struct gather *gather_of(struct whorl_future *future)
{
    WHORL_ASSERT(future->kind == WHORL__FUTURE_GATHER);
    return whorl_container_of(future, struct gather, head.future);
}

/* A failure that could not end the gather, since a cancel was asking its children just then. */
static const struct whorl_future *find_failure(const struct gather *gather)
{
    for (size_t i = 0; i < gather->count; i++) {
        whorl__plain_read(&gather->results[i]); /* G1 */
        if (gather->results[i].error != 0) {
            return gather->children[i].future;
        }
    }
    return NULL;
}

static bool wants_list(const struct gather *gather)
{
    return (gather->flags & WHORL_GATHER_RETURN_EXCEPTIONS) != 0;
}

/* All have reported. */
static void end(struct gather *gather)
{
    struct whorl__outcome outcome = {.value = gather->results};
    const bool fails = !wants_list(gather) || WHORL__BUG(GATHER_RAISES_FROM_A_LIST);
    const struct whorl_future *const failed = fails ? find_failure(gather) : NULL;
    const uint32_t cancels = whorl__or_u32(&gather->cancels, OVER); /* pairs G2 */
    if (cancels != 0 && !(cancels & FAILED) && !WHORL__BUG(GATHER_SURVIVES_ITS_CANCEL)) {
        outcome = (struct whorl__outcome){
            .error = -ECANCELED,
            .message = whorl__load_relaxed_ptr(&gather->message), /* relaxed: G2 has brought it */
        };
    } else if (failed != NULL) {
        outcome = (struct whorl__outcome){.error = failed->error, .message = failed->message};
    }
    (void)whorl__future_complete(&gather->head.future, &outcome);
}

/* A child is done: takes down its result; the first failure ends a gather that wants no list. */
static void report(struct child *child)
{
    struct gather *const gather = child->gather;
    struct whorl_future *const future = child->future;
    struct whorl_result *const result = &gather->results[child - gather->children];
    whorl__plain_write(result); /* G1 */
    *result = (struct whorl_result){.error = future->error,
                                    .value = future->error == 0 ? future->value : NULL};
    if (future->error != 0) {
        whorl__future_look(future);
    }
    if (future->error != 0 && !wants_list(gather) && !WHORL__BUG(GATHER_FAILS_LATE) &&
        whorl__cas_u32(&gather->cancels, 0, FAILED)) { /* pairs G2; else end() tells */
        (void)whorl__future_complete(
            &gather->head.future,
            &(struct whorl__outcome){.error = future->error, .message = future->message});
    }
    if (whorl__add_u32(&gather->pending, (uint32_t)-1) == 1) { /* pairs G1 */
        end(gather);
        whorl_future_unref(&gather->head.future);
    }
}

static void child_done(struct whorl__waiter *waiter)
{
    report(whorl_container_of(waiter, struct child, waiter));
}

static struct gather *allocate(size_t count, unsigned flags)
{
    if (count > UINT32_MAX / 2) {
        return NULL;
    }
    const size_t head = sizeof(struct gather) + count * sizeof(struct child);
    struct gather *const gather =
        whorl__os->alloc(whorl__os_lines(head + count * sizeof(struct whorl_result)));
    if (gather == NULL) {
        return NULL;
    }
    memset(gather, 0, head);
    whorl__future_init(&gather->head.future, WHORL__FUTURE_GATHER, 2);
    gather->head.generation = whorl__fork_generation;
    gather->count = count;
    gather->flags = flags;
    gather->pending = (uint32_t)count + 1;
    gather->results = (struct whorl_result *)(void *)((char *)gather + head);
    return gather;
}

int whorl_gather_start(struct whorl_future *const *futures, size_t count, unsigned flags,
                       struct whorl_future **ret_gather)
{
    if (ret_gather == NULL || (futures == NULL && count > 0) || (flags & ~FLAGS) != 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        if (futures[i] == NULL) {
            return -EINVAL;
        }
        if (whorl__future_is_inherited(futures[i]) && !whorl__future_is_done(futures[i])) {
            return -ECHILD;
        }
    }
    struct gather *const gather = allocate(count, flags);
    if (gather == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        gather->children[i].gather = gather;
        gather->children[i].future = whorl_future_ref(futures[i]);
        gather->children[i].waiter.callback = child_done;
        gather->children[i].waiter.awaiter = &gather->head.future;
    }
    *ret_gather = &gather->head.future;
    for (size_t i = 0; i < count; i++) {
        if (!whorl__future_call_when_done(futures[i], &gather->children[i].waiter)) {
            report(&gather->children[i]);
        }
    }
    if (whorl__add_u32(&gather->pending, (uint32_t)-1) == 1) { /* set up, and all were done; G1 */
        end(gather);
        whorl_future_unref(&gather->head.future);
    }
    return 0;
}

static bool leads_through(const struct whorl__cancel_path *path, const struct whorl_future *gather)
{
    while (path != NULL && path->gather != gather) {
        path = path->outer;
    }
    return path != NULL;
}

static bool ask_children(struct gather *gather, const char *message,
                         const struct whorl__cancel_path *path)
{
    struct whorl_why why;
    const struct whorl__cancel_path longer = {
        .gather = &gather->head.future, .outer = path, .why = &why};
    bool any = false;
    if (path != NULL) {
        why = *path->why;
    } else {
        whorl__why_asked(&why);
    }
    whorl__why_add_hop(&why, 0, "");
    for (size_t i = 0; i < gather->count; i++) {
        any |= (!any || !WHORL__BUG(GATHER_CANCELS_ONE)) &&
               whorl__cancel_child(gather->children[i].future, message, &longer);
    }
    return any;
}

bool whorl__gather_cancel_along(struct whorl_future *future, const char *message,
                                const struct whorl__cancel_path *path)
{
    struct gather *const gather = gather_of(future);
    if (whorl__future_is_done(future) || leads_through(path, future)) {
        return false;
    }
    void *const before = whorl__load_relaxed_ptr(&gather->message); /* relaxed: one of them */
    /* relaxed: published by the release half below */
    whorl__store_relaxed_ptr(&gather->message, (void *)(uintptr_t)message);
    const bool over = (whorl__add_u32(&gather->cancels, 1) & (OVER | FAILED)) != 0; /* pairs G2 */
    if (!over && ask_children(gather, message, path)) {
        return true;
    }
    const bool ended = (whorl__add_u32(&gather->cancels, (uint32_t)-1) & OVER) != 0; /* pairs G2 */
    if (!ended || over) {
        /* Nobody took it: it says what it said before, unless a later one has said more. */
        (void)whorl__cas_ptr(&gather->message, (void *)(uintptr_t)message, before);
    }
    return !over && ended;
}

bool whorl__gather_cancel(struct whorl_future *future, const char *message)
{
    return whorl__gather_cancel_along(future, message, NULL);
}

/* depth: of gathers of gathers that are looked into. */
static bool is_ending(const struct whorl_future *future, unsigned depth)
{
    if (whorl__future_is_done(future)) {
        return true;
    }
    if (future->kind != WHORL__FUTURE_GATHER || depth == 0) {
        return false;
    }
    const struct gather *const gather =
        whorl_container_of(future, const struct gather, head.future);
    size_t done = 0;
    while (done < gather->count && is_ending(gather->children[done].future, depth - 1)) {
        done++;
    }
    return done == gather->count;
}

bool whorl__gather_is_ending(const struct whorl_future *future)
{
    return is_ending(future, ENDING_DEPTH);
}

void whorl__gather_free(struct whorl_future *future)
{
    struct gather *const gather = gather_of(future);
    for (size_t i = 0; i < gather->count; i++) {
        whorl_future_unref(gather->children[i].future);
    }
    whorl__os->free(gather);
}

unsigned whorl__gather_look(const struct whorl_future *future,
                            const struct whorl_future **ret_children, unsigned max,
                            size_t *ret_count, size_t *ret_pending)
{
    const struct gather *const gather =
        whorl_container_of(future, const struct gather, head.future);
    const size_t looked_at = gather->count < LOOKED_AT_MAX ? gather->count : LOOKED_AT_MAX;
    unsigned found = 0;
    for (size_t i = 0; i < looked_at && found < max; i++) {
        if (!whorl__future_is_done(gather->children[i].future)) {
            ret_children[found++] = gather->children[i].future;
        }
    }
    *ret_count = gather->count;
    *ret_pending = whorl__load_relaxed_u32(&gather->pending); /* relaxed: a figure */
    return found;
}

/* ---- the waiting form ---- */

int whorl_gather(struct whorl_task *const *tasks, size_t count, unsigned flags,
                 struct whorl_result *results)
{
    if (tasks == NULL && count > 0) {
        return -EINVAL;
    }
    struct whorl_task *const self = whorl__task_current();
    for (size_t i = 0; i < count; i++) {
        if (tasks[i] == NULL) {
            return -EINVAL;
        }
        if (tasks[i] == self) {
            return -EDEADLK;
        }
    }
    struct whorl_future *gather;
    int error = whorl_gather_start((struct whorl_future *const *)(const void *)tasks, count, flags,
                                   &gather);
    if (error != 0) {
        return error;
    }
    void *value = NULL;
    error = whorl_future_await(gather, &value);
    if (error == 0 && results != NULL && count > 0) {
        memcpy(results, value, count * sizeof *results);
    }
    whorl_future_unref(gather);
    return error;
}
