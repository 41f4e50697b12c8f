/*
 * queue.h - one call that gets from a queue or puts into it, step by step: for queue.c, which has
 * them in a row, and select.c.
 *
 * Threads:    who makes the call; `reserved` and `told` under the line's lock.
 */
#ifndef WHORL_SYNC_QUEUE_H
#define WHORL_SYNC_QUEUE_H

#include "sync/line.h"

#include "whorl/queue.h"

struct queue;

/* One call that gets or puts; under the lock, but where it waits. */
struct whorl__queue_use {
    struct queue *queue;           /* C */
    uint32_t rank;                 /* C: which of the queue's */
    void *item;                    /* to be put; or what was got */
    struct whorl_task *task;       /* C: NULL: a thread, or a callback */
    struct whorl__stander stander; /* while it waits; select.c: of whatever it waits for */
    bool reserved;                 /* M(line): what it was granted is counted in the queue */
    struct whorl__told told;
    uint32_t word;                 /* M(line): the line's, as whorl__line_lock returned it */
};

/* But for `word` and `stander`, which are written when it waits. What whorl__line_check says. */
WHORL_MUST_USE int whorl__queue_use_begin(struct whorl__queue_use *use, struct whorl_queue *queue,
                                          bool gets, void *item);

struct whorl__line *whorl__queue_line(const struct whorl__queue_use *use,
                                      struct whorl__rank **ret_rank);

/*
 * Under the line's lock, with its word in `word`: 0; -EAGAIN: it would have to wait, also what it
 * was granted is not there; -ESHUTDOWN, -ENOMEM: who was granted something passes it on.
 */
WHORL_MUST_USE int whorl__queue_try_locked(struct whorl__queue_use *use);

/* It was granted something, and goes without. */
void whorl__queue_pass_on_locked(struct whorl__queue_use *use);

#endif
