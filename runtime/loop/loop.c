/*
 * loop.c - the parts of a loop put together, and the queues that belong to it alone.
 *
 * Pairs:      P1  post: push to the inbox, fence, read sleeping
 *                 sleep: store sleeping, fence, look into the inbox      (not both may miss)
 */
#include "loop/loop.h"

#include "sys/os.h"

int whorl__loop_init(struct whorl__loop *loop, struct whorl__runtime *runtime, unsigned index,
                     bool strict, struct whorl__stacks *stacks,
                     void (*entry)(struct whorl__fiber *self))
{
    loop->runtime = runtime;
    loop->index = index;
    loop->strict = strict;
    loop->sync_cost = strict ? 0 : WHORL__COST_SYNC;
    loop->budget = 1;
    const int error = whorl__poller_init(&loop->poller);
    if (error != 0) {
        return error;
    }
    whorl__fifo_init(&loop->bound);
    whorl__runqueue_init(&loop->queue);
    whorl__inbox_init(&loop->inbox);
    whorl__timers_init(&loop->timers);
    whorl__fibers_init(&loop->fibers, stacks, entry);
    whorl__random_init(&loop->random, index + 1);
    return 0;
}

/* By now tasks are no more, but what the last of them have fired may stand there still. */
static void drop_calls(struct whorl__loop *loop)
{
    struct whorl__fifo_node *node;
    (void)whorl__loop_take_inbox(loop);
    while ((node = whorl__fifo_pop(&loop->bound)) != NULL) {
        WHORL_ASSERT(whorl__item_is_call(whorl__item_of_ready(node)));
        struct whorl__callback *const call = whorl__call_of_item(whorl__item_of_ready(node));
        call->run(call, true);
        (void)whorl__loop_take_inbox(loop);
    }
}

void whorl__loop_fini(struct whorl__loop *loop)
{
    drop_calls(loop);
    (void)whorl__timers_fire(&loop->timers, loop->runtime, WHORL_NEVER); /* of callbacks */
    drop_calls(loop);
    WHORL_ASSERT(whorl__fifo_is_empty(&loop->bound));
    WHORL_ASSERT(whorl__runqueue_length(&loop->queue) == 0);
    whorl__fibers_fini(&loop->fibers);
    whorl__timers_fini(&loop->timers);
    whorl__poller_fini(&loop->poller);
}

void whorl__loop_set_bars(struct whorl__loop *loop, struct whorl__bars bars)
{
    static struct whorl__cxx always_holds = {.uncaught = 1}; /* nobody writes to it */
    loop->bars = bars;
    loop->cxx = bars.reporting || bars.locks + bars.noted > 0 ? &always_holds : loop->cxx_own;
}

unsigned whorl__loop_take_inbox_slow(struct whorl__loop *loop)
{
    unsigned count;
    struct whorl__inbox_node *node = whorl__inbox_take_all(&loop->inbox, &count);
    while (node != NULL) {
        struct whorl__item *const item = whorl__item_of_inbox(node);
        node = node->next; /* before the item's link is used for the other list */
        loop->calls += whorl__item_is_call(item);
        whorl__fifo_push(&loop->bound, &item->ready);
    }
    return count;
}

void whorl__loop_post(struct whorl__loop *loop, struct whorl__item *item)
{
    if (whorl__inbox_push(&loop->inbox, &item->inbox)) {
        whorl__fence_full(); /* pairs P1 */
        whorl__loop_wake(loop);
    }
}

void whorl__loop_wake(struct whorl__loop *loop)
{
    /* relaxed: ordered after the push by the caller's full fence, P1 */
    if (whorl__load_relaxed_u32(&loop->sleeping)) {
        whorl__poller_wake(&loop->poller);
    }
}

