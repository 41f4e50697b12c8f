/*
 * list.h - two intrusive lists: a ring that removes from its middle, and a queue that appends.
 *
 * Owns:       nothing; the nodes belong to whoever embeds them.
 * Threads:    one at a time; where there are more, the struct that holds the list says under which
 *             lock.
 * Invariant:  a ring: next->prev and prev->next lead back; an empty one, like a node that is in no
 *             list, points at itself. A queue: head is NULL exactly when count is 0, and the last
 *             node's next is NULL.
 * Not chosen: ck_queue. Its macros want the type of the element; ours want a container_of where
 *             the element is used, and check more.
 */
#ifndef WHORL_BASE_LIST_H
#define WHORL_BASE_LIST_H

#include "base/assert.h"
#include "base/compiler.h"

#include <stdbool.h>

/* ---- the ring: head and nodes are of one type ---- */

struct whorl__list {
    struct whorl__list *next;
    struct whorl__list *prev;
};

static inline void whorl__list_init(struct whorl__list *list)
{
    list->next = list;
    list->prev = list;
}

/* Of a head: no nodes. Of a node that was initialised: in no list. */
static inline bool whorl__list_is_empty(const struct whorl__list *list)
{
    WHORL_ASSERT(list->next->prev == list && list->prev->next == list);
    return list->next == list;
}

/* The node may hold anything, but must not be in a list. */
static inline void whorl__list_insert_before(struct whorl__list *place, struct whorl__list *node)
{
    WHORL_ASSERT(place->prev->next == place);
    node->next = place;
    node->prev = place->prev;
    place->prev->next = node;
    place->prev = node;
}

static inline void whorl__list_push_back(struct whorl__list *list, struct whorl__list *node)
{
    whorl__list_insert_before(list, node);
}

static inline void whorl__list_push_front(struct whorl__list *list, struct whorl__list *node)
{
    whorl__list_insert_before(list->next, node);
}

/* Leaves the node initialised, so that a second removal does nothing and is_empty tells. */
static inline void whorl__list_remove(struct whorl__list *node)
{
    WHORL_ASSERT(node->next->prev == node);
    WHORL_ASSERT(node->prev->next == node);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    whorl__list_init(node);
}

/* The first node, removed; NULL when there is none. */
static inline struct whorl__list *whorl__list_pop_front(struct whorl__list *list)
{
    if (whorl__list_is_empty(list)) {
        return NULL;
    }
    struct whorl__list *const node = list->next;
    whorl__list_remove(node);
    return node;
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void whorl__list_append(struct whorl__list *to, struct whorl__list *from)
{
    WHORL_ASSERT(to != from);
    if (whorl__list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    whorl__list_init(from);
}

/* The body must not remove node; list_for_each_safe allows that, and no other removal. */
#define whorl__list_for_each(node, list)                                                           \
    for (struct whorl__list *node = (list)->next; node != (list); node = node->next)

#define whorl__list_for_each_safe(node, list)                                                      \
    for (struct whorl__list *node = (list)->next, *node##_next = node->next; node != (list);       \
         node = node##_next, node##_next = node->next)

/* ---- the queue: first in, first out; a zeroed one is empty ---- */

struct whorl__fifo_node {
    struct whorl__fifo_node *next;
};

struct whorl__fifo {
    struct whorl__fifo_node *head;
    struct whorl__fifo_node *tail; /* meaningless while head is NULL */
    size_t count;
};

static inline void whorl__fifo_init(struct whorl__fifo *fifo)
{
    *fifo = (struct whorl__fifo){NULL, NULL, 0};
}

static inline bool whorl__fifo_is_empty(const struct whorl__fifo *fifo)
{
    WHORL_ASSERT((fifo->head == NULL) == (fifo->count == 0));
    return fifo->head == NULL;
}

static inline void whorl__fifo_push(struct whorl__fifo *fifo, struct whorl__fifo_node *node)
{
    node->next = NULL;
    if (whorl__fifo_is_empty(fifo)) {
        fifo->head = node;
    } else {
        WHORL_ASSERT(fifo->tail->next == NULL);
        fifo->tail->next = node;
    }
    fifo->tail = node;
    fifo->count++;
}

/* The oldest node, removed; NULL when there is none. */
static inline struct whorl__fifo_node *whorl__fifo_pop(struct whorl__fifo *fifo)
{
    if (whorl__fifo_is_empty(fifo)) {
        return NULL;
    }
    struct whorl__fifo_node *const node = fifo->head;
    fifo->head = node->next;
    fifo->count--;
    node->next = NULL;
    return node;
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void whorl__fifo_append(struct whorl__fifo *to, struct whorl__fifo *from)
{
    WHORL_ASSERT(to != from);
    if (whorl__fifo_is_empty(from)) {
        return;
    }
    if (whorl__fifo_is_empty(to)) {
        to->head = from->head;
    } else {
        to->tail->next = from->head;
    }
    to->tail = from->tail;
    to->count += from->count;
    whorl__fifo_init(from);
}

#endif
