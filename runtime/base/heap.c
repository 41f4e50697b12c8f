/*
 * heap.c - the 4-ary heap: sifting a hole up or down, and filling it once.
 *
 * Owns:       see heap.h.
 * Threads:    one at a time.
 * Invariant:  between two calls, that of heap.h. While sifting, exactly one index is a hole: its
 *             pointer is stale, and the node that will fill it is in a local variable.
 * Not chosen: swapping pairs; a hole writes each pointer once instead of twice.
 */
#include "base/heap.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

enum { CHILDREN = 4, CAPACITY_MIN = 16 };

static size_t parent_of(size_t index)
{
    return (index - 1) / CHILDREN;
}

static size_t first_child_of(size_t index)
{
    return index * CHILDREN + 1;
}

static bool is_before(const struct whorl__heap_node *a, const struct whorl__heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void put(struct whorl__heap *heap, size_t index, struct whorl__heap_node *node)
{
    WHORL_ASSERT(index < heap->count);
    heap->nodes[index] = node;
    node->place = index + 1;
}

/* The child of `index` that is due first; `index` must have one. */
static size_t first_due_child(const struct whorl__heap *heap, size_t index)
{
    size_t best = first_child_of(index);
    const size_t end = best + CHILDREN < heap->count ? best + CHILDREN : heap->count;
    WHORL_ASSERT(best < end);
    for (size_t child = best + 1; child < end; child++) {
        if (is_before(heap->nodes[child], heap->nodes[best])) {
            best = child;
        }
    }
    return best;
}

/* Fills the hole at `index` with `node`, or with an ancestor that has to make way for it. */
static void sift_up(struct whorl__heap *heap, size_t index, struct whorl__heap_node *node)
{
    while (index > 0 && is_before(node, heap->nodes[parent_of(index)])) {
        put(heap, index, heap->nodes[parent_of(index)]);
        index = parent_of(index);
    }
    put(heap, index, node);
}

/* Fills the hole at `index` with `node`, or with a descendant that is due before it. */
static void sift_down(struct whorl__heap *heap, size_t index, struct whorl__heap_node *node)
{
    while (first_child_of(index) < heap->count) {
        const size_t child = first_due_child(heap, index);
        if (is_before(node, heap->nodes[child])) {
            break;
        }
        put(heap, index, heap->nodes[child]);
        index = child;
    }
    put(heap, index, node);
}

static int grow_to(struct whorl__heap *heap, size_t capacity)
{
    WHORL_ASSERT(capacity > heap->count);
    struct whorl__heap_node **const nodes = heap->alloc(capacity * sizeof(*nodes));
    if (!nodes) {
        return -ENOMEM;
    }
    if (heap->count) {
        memcpy(nodes, heap->nodes, heap->count * sizeof(*nodes));
    }
    if (heap->nodes) {
        heap->free(heap->nodes);
    }
    heap->nodes = nodes;
    heap->capacity = capacity;
    return 0;
}

void whorl__heap_init(struct whorl__heap *heap, void *(*alloc)(size_t bytes),
                      void (*release)(void *block))
{
    WHORL_ASSERT(alloc && release);
    *heap = (struct whorl__heap){.alloc = alloc, .free = release};
}

void whorl__heap_fini(struct whorl__heap *heap)
{
    if (heap->nodes) {
        heap->free(heap->nodes);
    }
    whorl__heap_init(heap, heap->alloc, heap->free);
}

int whorl__heap_reserve(struct whorl__heap *heap, size_t count)
{
    if (count <= heap->capacity) {
        return 0;
    }
    if (count > SIZE_MAX / 2 / sizeof(*heap->nodes)) {
        return -ENOMEM;
    }
    size_t capacity = heap->capacity ? heap->capacity : CAPACITY_MIN;
    while (capacity < count) {
        capacity *= 2;
    }
    return grow_to(heap, capacity);
}

int whorl__heap_insert(struct whorl__heap *heap, struct whorl__heap_node *node, int64_t key)
{
    WHORL_ASSERT(!whorl__heap_contains(node));
    const int error = whorl__heap_reserve(heap, heap->count + 1);
    if (error) {
        return error;
    }
    node->key = key;
    node->seq = heap->next_seq++;
    heap->count++;
    sift_up(heap, heap->count - 1, node);
    WHORL_AUDIT(WHORL_ASSERT(whorl__heap_verify(heap)));
    return 0;
}

void whorl__heap_remove(struct whorl__heap *heap, struct whorl__heap_node *node)
{
    WHORL_ASSERT(whorl__heap_contains(node) && node->place <= heap->count);
    WHORL_ASSERT(heap->nodes[node->place - 1] == node);
    const size_t hole = node->place - 1;
    struct whorl__heap_node *const last = heap->nodes[heap->count - 1];
    heap->count--;
    node->place = 0;
    if (last == node) {
        return;
    }
    /* The last node comes from another branch, so it may be due before the parent of the hole. */
    if (hole > 0 && is_before(last, heap->nodes[parent_of(hole)])) {
        sift_up(heap, hole, last);
    } else {
        sift_down(heap, hole, last);
    }
    WHORL_AUDIT(WHORL_ASSERT(whorl__heap_verify(heap)));
}

struct whorl__heap_node *whorl__heap_pop(struct whorl__heap *heap)
{
    struct whorl__heap_node *const first = whorl__heap_peek(heap);
    if (first) {
        whorl__heap_remove(heap, first);
    }
    return first;
}

bool whorl__heap_verify(const struct whorl__heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        if (heap->nodes[i]->place != i + 1) {
            return false;
        }
        if (i > 0 && is_before(heap->nodes[i], heap->nodes[parent_of(i)])) {
            return false;
        }
    }
    return heap->count <= heap->capacity;
}
