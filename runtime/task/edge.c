/*
 * edge.c - who awaits a future by the program's word: for awaitables of its own.
 *
 * An edge is a waiter that nobody wakes. It stands among the future's other waiters, so that who
 * walks the graph finds it in its place; when the future is done it is freed with them.
 *
 * Owns:       struct edge.
 * Threads:    any; the list is the future's, under its lock.
 * Invariant:  an edge has a reference on who awaits, and none on the future, in whose list it is.
 */
#include "task/edge.h"

#include "task/future.h"

#include "base/error.h"
#include "sys/os.h"

#include <errno.h>

struct edge {
    struct whorl__waiter waiter;
    struct whorl_future *awaiter; /* C: with a reference; what the waiter says becomes a call's */
};

void whorl__edge_free(struct whorl__waiter *waiter)
{
    struct edge *const edge = whorl_container_of(waiter, struct edge, waiter);
    whorl_future_unref(edge->awaiter);
    whorl__os->free(edge);
}

static bool is_edge_of(const struct whorl__waiter *waiter, const void *awaiter)
{
    return waiter->kind == WHORL__WAITER_EDGE && waiter->awaiter == awaiter;
}

static bool take_out(struct whorl_future *future, const struct whorl_future *awaiter)
{
    struct whorl__list taken;
    struct whorl__list *link;
    bool found = false;
    whorl__list_init(&taken);
    whorl__future_take_waiters(future, is_edge_of, awaiter, &taken);
    while ((link = whorl__list_pop_front(&taken)) != NULL) {
        whorl__edge_free(whorl_container_of(link, struct whorl__waiter, link));
        found = true;
    }
    return found;
}

static int check(const struct whorl_future *future, const struct whorl_future *awaiter)
{
    if (future == NULL || awaiter == NULL) {
        return -EINVAL;
    }
    return whorl__future_is_inherited(future) || whorl__future_is_inherited(awaiter) ? -ECHILD : 0;
}

int whorl_future_add_to_awaited_by(struct whorl_future *future, struct whorl_future *awaiter)
{
    const int error = check(future, awaiter);
    struct edge *const edge = error == 0 ? whorl__os->alloc(sizeof *edge) : NULL;
    if (edge == NULL) {
        return error != 0 ? error : -ENOMEM;
    }
    *edge = (struct edge){.waiter = {.awaiter = awaiter, .kind = WHORL__WAITER_EDGE},
                          .awaiter = whorl_future_ref(awaiter)};
    (void)take_out(future, awaiter); /* told twice, it is one */
    if (!whorl__future_add_waiter(future, &edge->waiter)) {
        whorl__edge_free(&edge->waiter);
    }
    return 0;
}

int whorl_future_discard_from_awaited_by(struct whorl_future *future, struct whorl_future *awaiter)
{
    const int error = check(future, awaiter);
    if (error == 0) {
        (void)take_out(future, awaiter);
    }
    return error;
}
