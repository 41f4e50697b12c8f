/*
 * inbox.h - where other threads leave tasks for a loop: many push, one exchange takes all.
 *
 * Owns:       the stack of nodes that were pushed and not yet taken.
 * Threads:    any may push, take and look; a rescuer takes from a loop that is stuck.
 * Invariant:  a node is in one inbox at a time, and belongs to the taker from the exchange on, who
 *             may push it again at once. A zeroed inbox is empty.
 * Pairs:      B1  push: write the node, cas head as a release
 *                 take: exchange head, acquire              (a node is seen whole)
 *             push and take are atomic on one word; whoever goes on to look at another word, such
 *             as "is the loop asleep", puts a full fence between.
 * Not chosen: ck_fifo_mpmc: 0.7.1 reports empty when it is not, which here is a lost wake-up.
 *             Popping single nodes: needs a double-wide swap against reuse, and costs one each.
 */
#ifndef WHORL_LOCKFREE_INBOX_H
#define WHORL_LOCKFREE_INBOX_H

#include "atomic/atomic.h"

#include <ck_stack.h>

#if defined(WHORL_TSAN) && !defined(WHORL_ATOMIC_CK_PR_SHIM)
#    error "ThreadSanitizer cannot see into ck: put runtime/atomic/shim first on the include path"
#endif

struct whorl__inbox_node {
    union {
        struct whorl__inbox_node *next; /* the taker's, after take_all */
        struct ck_stack_entry entry;    /* the inbox's, before */
    };
};

/* A line of its own: pushers of all cores write to it. */
struct whorl__inbox {
    struct ck_stack stack WHORL_ALIGNED(WHORL_CACHE_LINE); /* A */
};

void whorl__inbox_init(struct whorl__inbox *inbox);

/* True when the inbox was empty before: the edge on which its loop has to be woken. */
bool whorl__inbox_push(struct whorl__inbox *inbox, struct whorl__inbox_node *node);

/* All nodes, oldest first, linked by next; NULL, and a count of 0, when there are none. */
struct whorl__inbox_node *whorl__inbox_take_all(struct whorl__inbox *inbox, unsigned *ret_count);

/* A hint, out of date at once. */
static inline bool whorl__inbox_is_empty(const struct whorl__inbox *inbox)
{
    /* relaxed: nothing is read through it; who must not miss a push fences before */
    return whorl__load_relaxed_ptr((void *const *)&inbox->stack.head) == NULL;
}

#endif
