/*
 * heap.h - a min-heap of intrusive nodes: what is due first is on top.
 *
 * Owns:       the array of pointers; the nodes belong to whoever embeds them.
 * Threads:    one at a time, under whatever lock the heap's owner names.
 * Invariant:  no node is due before its parent; nodes[i]->place is i + 1.
 * Order:      by key, and among equal keys by the time of insertion, as a queue would.
 * Not chosen: a binary heap. Four children a node halve the depth, and the pointers of the four
 *             lie in half a cache line. A timer wheel: it rounds deadlines, and what is waiting
 *             here is at most one timer a waiting task.
 */
#ifndef WHORL_BASE_HEAP_H
#define WHORL_BASE_HEAP_H

#include "base/compiler.h"

#include <stdbool.h>

struct whorl__heap_node {
    int64_t key;  /* C while in a heap */
    uint64_t seq; /* C while in a heap: breaks ties */
    size_t place; /* index + 1; 0 = in no heap, which is what a zeroed node says */
};

struct whorl__heap {
    struct whorl__heap_node **nodes;
    size_t count;
    size_t capacity;
    uint64_t next_seq;
    void *(*alloc)(size_t bytes); /* C */
    void (*free)(void *block);    /* C */
};

/* Allocates nothing yet. */
void whorl__heap_init(struct whorl__heap *heap, void *(*alloc)(size_t bytes),
                      void (*release)(void *block));

/* Frees the array. Nodes still inside are forgotten, and keep saying that they are in a heap. */
void whorl__heap_fini(struct whorl__heap *heap);

/* Makes room for `count` nodes in all, so that inserting up to there cannot fail. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__heap_reserve(struct whorl__heap *heap, size_t count);

/* Puts the node in at `key`. 0 or -ENOMEM; on failure the node is in no heap. O(log n). */
WHORL_MUST_USE int whorl__heap_insert(struct whorl__heap *heap, struct whorl__heap_node *node,
                                      int64_t key);

/* Takes a node out from wherever it is. O(log n); never fails and never allocates. */
void whorl__heap_remove(struct whorl__heap *heap, struct whorl__heap_node *node);

/* The first node, removed; NULL when there is none. */
struct whorl__heap_node *whorl__heap_pop(struct whorl__heap *heap);

/* Walks the whole heap; false when an invariant is broken. */
bool whorl__heap_verify(const struct whorl__heap *heap);

/* The first node, left inside; NULL when there is none. */
static inline struct whorl__heap_node *whorl__heap_peek(const struct whorl__heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

static inline bool whorl__heap_contains(const struct whorl__heap_node *node)
{
    return node->place != 0;
}

#endif
