/*
 * inbox.c - ck_stack, pushed with an answer and taken as a queue.
 *
 * Owns:       see inbox.h.
 * Threads:    any.
 * Invariant:  following entry.next from head meets every node in the inbox, youngest first.
 * Pairs:      B1 of inbox.h.
 *
 * A push may be overtaken by a take and by the return of the same head node:
 *
 *   pusher                       others
 *   reads head = a
 *                                take a; push it again
 *   node.next = a
 *   cas a -> node, succeeds      right: a is on top once more, and below node is where it belongs
 *
 * That is harmless because a push looks at nothing behind the head, and a take asks for no
 * particular head at all.
 *
 * Not chosen: ck_stack_push_upmc. It does not tell whether the stack was empty, and with a second
 *             look two pushers could both say yes, or none.
 */
#include "lockfree/inbox.h"

void whorl__inbox_init(struct whorl__inbox *inbox)
{
    ck_stack_init(&inbox->stack);
}

bool whorl__inbox_push(struct whorl__inbox *inbox, struct whorl__inbox_node *node)
{
    void **const head = (void **)&inbox->stack.head;
    void *first = whorl__load_relaxed_ptr(head); /* relaxed: not followed, and the cas checks it */
    do {
        WHORL_ASSERT(first != &node->entry);
        whorl__plain_write(&node->entry.next);
        node->entry.next = first;
    } while (!whorl__cas_value_ptr(head, &first, &node->entry)); /* release, pairs B1 */
    return first == NULL;
}

struct whorl__inbox_node *whorl__inbox_take_all(struct whorl__inbox *inbox, unsigned *ret_count)
{
    unsigned count = 0;
    struct whorl__inbox_node *oldest_first = NULL;
    if (!whorl__inbox_is_empty(inbox)) { /* an empty inbox is the usual case; do not write to it */
        /* acquire, pairs B1: an exchange, then a load fence */
        struct ck_stack_entry *entry = ck_stack_batch_pop_upmc(&inbox->stack);
        while (entry) {
            struct whorl__inbox_node *const node =
                whorl_container_of(entry, struct whorl__inbox_node, entry);
            whorl__plain_read(&entry->next);
            entry = entry->next;
            whorl__plain_write(&node->next);
            node->next = oldest_first;
            oldest_first = node;
            count++;
        }
    }
    WHORL_ASSERT((count == 0) == (oldest_first == NULL));
    *ret_count = count;
    return oldest_first;
}
