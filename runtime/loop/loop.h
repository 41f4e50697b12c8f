/*
 * loop.h - the engine of one core: what is ready, what is due, what the poller watches, who runs.
 *
 * Owns:       struct whorl__loop.
 * Threads:    the loop's own thread, but for the fields marked A.
 * Invariant:  a ready task is in exactly one of: hot, queue, bound, inbox, the runtime's shared
 *             queue, the line of its strand (sched/strand.h); or it is loop->current.
 *
 *   queue   ring of 256, first in first out; thieves take half (lockfree/runqueue.h)
 *   hot     the task made ready last by a running one; runs next, at most WHORL__HOT_IN_A_ROW times
 *   bound   tasks that must run here: pinned ones; all of them in strict order. And calls, which
 *           nobody else runs either (state/task.h); together with the tasks first in first out
 *   inbox   what other threads want to run here and nowhere else
 *
 * Strict order (one loop, or isolated loops): everything is in `bound`, a plain list that nobody
 * else touches; no task is ever run by another thread.
 */
#ifndef WHORL_LOOP_LOOP_H
#define WHORL_LOOP_LOOP_H

#include "base/random.h"
#include "fiber/fiber.h"
#include "lockfree/runqueue.h"
#include "loop/timer.h"
#include "poll/poller.h"
#include "state/slots.h"
#include "sys/cxx.h"
#include "sys/tls.h"

#include <pthread.h>

#define WHORL__HOT_IN_A_ROW 3

/*
 * What a task may spend in one run on calls that could have waited and did not, before one of them
 * gives way (task/park.h), and what they cost: one on a descriptor, and one of runtime/sync; that
 * is free in strict order, where asyncio's would not give way either.
 */
#define WHORL__ALLOWANCE 256
#define WHORL__COST_IO   4
#define WHORL__COST_SYNC 1

/* What the loop does with a task once its stack has been left. */
enum whorl__action {
    WHORL__ACTION_PARK,
    WHORL__ACTION_YIELD,
    WHORL__ACTION_MOVE, /* into another strand, which it has asked for: task/strand.c */
    WHORL__ACTION_END
};

enum whorl__stuck {
    WHORL__STUCK_NOT,
    WHORL__STUCK_FOUND, /* the monitor found it in one task for stall_ns */
    WHORL__STUCK_SAID   /* its task is in a blocking section */
};

/* Numbers from a counter that loops share: each draws a block, or its line would be everybody's. */
struct whorl__serials {
    uint64_t next; /* L */
    uint64_t end;  /* L */
};

#define WHORL__SERIALS_BLOCK 1024

/* A run of a task inside that of another, which waits for it as for any call. On the stack. */
struct whorl__nested {
    struct whorl_task *creator;   /* NULL: a callback */
    struct whorl_task *child;     /* which the creator awaits; NULL: it was spawned eagerly */
    void *strand;                 /* in which the caller has the turn; NULL: in none */
    struct whorl__nested *outer;
};

/* What the running task must not wait with. */
struct whorl__bars {
    bool reporting;  /* it is in the exception handler */
    unsigned locks;  /* locks of the program that it holds, see whorl_debug_lock_held */
    unsigned noted;  /* notes of such locks, see sys/locks.h */
    uint64_t holder; /* the serial of who holds them: a task may end with one */
};

struct whorl__loop {
    struct whorl__runtime *runtime; /* C */
    unsigned index;                 /* C */
    bool strict;                    /* C */
    pthread_t thread;               /* C */
    uint32_t thread_id;             /* A: the kernel's, for reports; 0 before the thread runs */

    /* Running */
    struct whorl__fiber host;       /* L: the thread's own context */
    void *current;                  /* A: struct whorl_task, written by the loop only */
    struct whorl__nested *nested;   /* L: who is not current, since what it spawned runs eagerly */
    struct whorl__fiber *spare;     /* L: of the task that ended last, for the next to begin */
    struct whorl__cxx *cxx;         /* L: cxx_own; while there are bars, one that always holds */
    struct whorl__cxx *cxx_own;     /* C: the thread's, for C++ tasks; NULL without C++ */
    int *errno_at;                  /* C: the thread's errno; a task saves and restores by it */
    enum whorl__action action;      /* L */
    int allowance;                  /* L: left to the task that runs; full when it was entered */
    int sync_cost;                  /* C: WHORL__COST_SYNC, or 0 */
    void *left_strand;              /* L: with ACTION_MOVE: whose turn it gives up; NULL: none's */
    unsigned hot_in_a_row;          /* L */
    bool bound_first;               /* L: whose turn it is, that of bound or that of the ring */
    size_t batch_left;              /* L: strict order: items of this batch that have not run yet */
    size_t calls;                   /* L: fast order: how many of `bound` are calls */
    size_t calls_left;              /* L: fast order: how many of them this turn may run */
    bool calling;                   /* L: it runs a call */
    void *call_strand;              /* L: struct whorl__strand, of the call that runs; or NULL */
    void *called;                   /* A: that function, for the monitor; NULL: none */
    uint64_t called_count;          /* A: how many it has run; written by the loop only */
    bool poll_now;                  /* L: strict order: the program was called, and sees passes */
    struct whorl__callback due_call;    /* L: strict order: stands in `bound` for the timers due */
    unsigned inline_left;           /* L: tasks that may still begin where they are awaited before
                                       the time is looked at */
    unsigned inlined;               /* L: how many have in this turn */
    unsigned budget;                /* L: fast order: items a turn, so that it takes about 100 us */
    int64_t polled_ns;              /* L: when the poller was asked last */
    uint64_t clocked_runs;          /* L: strict order: items run when the clock was asked last */
    unsigned unclocked_max;         /* L: strict order: how many may run before it is asked again */
    int64_t released_ns;            /* L: when it gave memory of stacks back last, being busy */
    uint64_t turn_ns;               /* A: when its turn began; written by the loop only */
    uint32_t bound_seen;            /* A: bound.count at that time, for dumps */
    struct whorl__serials task_serials; /* L: default task names, from the process's */
    struct whorl__serials scope_serials; /* L: of timeouts, from the runtime's */
    struct whorl__random random;    /* L */
    struct whorl__fibers fibers;    /* L */
    struct whorl__slot_cache slots; /* L */
    struct whorl__fifo bound;       /* L */
    struct whorl__bars bars;        /* L */
    void **context_at;              /* L: of the callback it runs; NULL: none. task/context.c */
    void *stock_word;               /* L: references at hand, all of one context word ... */
    uint32_t stock;                 /* L: ... and how many */
    void *stock_wanted;             /* L: the word that was wanted last and was not at hand */
    void *note;                     /* L: of who has asked tasks to end, task/why.h; or NULL */
    uint32_t note_stock;            /* L: references on it; one at least */

    /* Others look in */
    void *hot WHORL_ALIGNED(WHORL_CACHE_LINE); /* A */
    void *section;           /* A: const char, the name of the blocking section that its task is in;
                                NULL: in none; written by the loop only. sched/rescue.c */
    struct whorl__runqueue queue;
    struct whorl__inbox inbox;
    struct whorl__timers timers;
    struct whorl__poller poller;

    /* Sleep and rescue */
    uint32_t sleeping WHORL_ALIGNED(WHORL_CACHE_LINE); /* A: in, or about to enter, a long poll */
    uint32_t searching;      /* A: counted in idle.word; written by the loop only */
    bool searches_on;        /* L: it may not sleep, and searches on; until sleep_end */
    uint32_t stuck;          /* A: enum whorl__stuck */
    unsigned section_depth;  /* L: sections inside one another */
    uint64_t section_run;    /* A: the run that the section is in; written by the loop only */
    uint32_t watcher;        /* A: 1 + the loop that serves it meanwhile; 0 = none */
    uint32_t watching;       /* L: how many stuck loops this one serves */
    bool watching_blind;     /* L: the epoll of one of them is not inside its own */
    uint64_t watch_set[WHORL_LOOPS_MAX / 64]; /* L: which */
    uint16_t *victims;       /* C: the other loops, nearest first */
    uint16_t *victim_levels; /* C: how far each is */

    struct whorl_stats stats; /* A: each field written by the loop only */
    struct whorl__poll_result poll_result; /* L: too large for a stack frame */
    struct whorl_task *in_hand; /* L: debug mode: taken and not current, while the clock is read */
};

/* The calling thread's loop; NULL on a foreign thread. Never keep it over a wait. */
static inline struct whorl__loop *whorl__loop_current(void)
{
    return (struct whorl__loop *)whorl__tls_worker();
}

/* The same if it runs a task or a call; NULL while it does its own work. */
static inline struct whorl__loop *whorl__loop_here(void)
{
    struct whorl__loop *const here = whorl__loop_current();
    return here != NULL && (here->current != NULL || here->calling) ? here : NULL;
}

/* The tag of a context word that names a struct whorl_context; task/extra.h has the others. */
#define WHORL__WORD_SHARED ((uintptr_t)2)

/* A reference on what a context word names, from those at hand; false: there is none. */
static inline bool whorl__stock_take(struct whorl__loop *loop, const void *word)
{
    const bool at_hand = loop->stock_word == word && loop->stock > 0;
    loop->stock -= at_hand;
    return at_hand;
}

/* And back; false: it is another word's. Never NULL. */
static inline bool whorl__stock_give(struct whorl__loop *loop, const void *word)
{
    const bool kept = loop->stock_word == word;
    loop->stock += kept;
    return kept;
}

/* What is at hand is looked at after each turn, and goes back before the loop sleeps:
 * task/context.c. */
static inline bool whorl__stock_is_lease(const struct whorl__loop *loop)
{
    return ((uintptr_t)loop->stock_word & WHORL__WORD_SHARED) != 0;
}

/* Never the same twice: 64 bits last for centuries. */
static inline uint64_t whorl__serials_draw(struct whorl__serials *serials, uint64_t *source)
{
    if (WHORL_UNLIKELY(serials->next == serials->end)) {
        serials->next = whorl__add_u64(source, WHORL__SERIALS_BLOCK);
        serials->end = serials->next + WHORL__SERIALS_BLOCK;
    }
    return serials->next++;
}

/* One more of something; written by the loop's thread alone, read by anyone. */
static inline void whorl__count(uint64_t *counter, uint64_t more)
{
    /* relaxed: a figure; orders nothing */
    whorl__store_relaxed_u64(counter, whorl__load_relaxed_u64(counter) + more);
}

/* In place. entry is what fibers run. 0 or -errno, everything undone. */
WHORL_MUST_USE int whorl__loop_init(struct whorl__loop *loop, struct whorl__runtime *runtime,
                                    unsigned index, bool strict, struct whorl__stacks *stacks,
                                    void (*entry)(struct whorl__fiber *self));
void whorl__loop_fini(struct whorl__loop *loop);

/* The loop's own thread puts a task behind all others of its own. */
static inline void whorl__loop_push_bound(struct whorl__loop *loop, struct whorl_task *task)
{
    whorl__fifo_push(&loop->bound, &task->ready);
}

/* The same with a call, which is filled but for its item. */
static inline void whorl__loop_push_callback(struct whorl__loop *loop, struct whorl__callback *call)
{
    call->item.fiber = NULL;
    call->item.body = NULL;
    loop->calls++;
    whorl__fifo_push(&loop->bound, &call->item.ready);
}

/*
 * Many tasks in turn do not fit the first cache: what the next ones need is asked for while this
 * one runs. Each step reads only what an earlier one asked for: the third task's lines, the
 * second's fiber, the first's stack.
 */
static inline void whorl__loop_prefetch(const struct whorl__loop *loop)
{
    const struct whorl__fifo_node *const first = loop->bound.head;
    const struct whorl__fifo_node *const second = first != NULL ? first->next : NULL;
    const struct whorl__fifo_node *const third = second != NULL ? second->next : NULL;
    if (third == NULL) {
        return;
    }
    const struct whorl__item *const next =
        whorl_container_of(first, const struct whorl__item, ready);
    const struct whorl__item *const after =
        whorl_container_of(second, const struct whorl__item, ready);
    const char *const later = (const char *)third; /* at the end of a task's first line */
    __builtin_prefetch(later);
    __builtin_prefetch(later + WHORL_CACHE_LINE);
    if (after->fiber != NULL) {
        __builtin_prefetch(after->fiber);
    }
    if (next->fiber != NULL) {
        const char *const stack = ((const struct whorl__fiber *)next->fiber)->sp;
        __builtin_prefetch(stack);
        __builtin_prefetch(stack + WHORL_CACHE_LINE);
    }
}

/*
 * Strict order only: a task that gives way takes the next one's turn over without going through the
 * loop: it queues itself, and the task returned is to be switched to. The list is this thread's
 * alone, so nobody can run the yielding task before its stack is left. NULL: go through the loop,
 * for the batch is over, or what is next has no stack: a new task, or a call.
 */
static inline struct whorl_task *whorl__loop_take_over(struct whorl__loop *loop,
                                                       struct whorl_task *task)
{
    struct whorl__fifo_node *const first = loop->bound.head;
    if (loop->batch_left == 0 || first == NULL) {
        return NULL;
    }
    if (whorl__item_of_ready(first)->fiber == NULL) {
        return NULL;
    }
    struct whorl_task *const next = whorl__task_of_ready(first);
    loop->batch_left--;
    (void)whorl__fifo_pop(&loop->bound);
    whorl__loop_push_bound(loop, task);
    whorl__loop_prefetch(loop);
    whorl__count(&loop->stats.runs, 1);
    loop->allowance = WHORL__ALLOWANCE;
    whorl__store_release_ptr(&loop->current, next); /* release, pairs culprit_report: its fiber */
    return next;
}

/*
 * From now on the running task has these bars. A task that leaves looks at one word, loop->cxx, and
 * goes by the slow way if that holds anything: so nobody pays for the bars who has none.
 */
void whorl__loop_set_bars(struct whorl__loop *loop, struct whorl__bars bars);

/* Moves the inbox to `bound`; returns how many. */
unsigned whorl__loop_take_inbox_slow(struct whorl__loop *loop);

static inline unsigned whorl__loop_take_inbox(struct whorl__loop *loop)
{
    const bool empty = whorl__inbox_is_empty(&loop->inbox);
    return WHORL_LIKELY(empty) ? 0 : whorl__loop_take_inbox_slow(loop);
}

/* Anyone: an item for this loop alone, which is woken if it sleeps. */
void whorl__loop_post(struct whorl__loop *loop, struct whorl__item *item);

/* Anyone: end the loop's sleep, if it sleeps. */
void whorl__loop_wake(struct whorl__loop *loop);

/* Whether there is anything here that only this loop may run. Its own thread. */
static inline bool whorl__loop_has_own_work(const struct whorl__loop *loop)
{
    return !whorl__fifo_is_empty(&loop->bound) || !whorl__inbox_is_empty(&loop->inbox) ||
           whorl__load_relaxed_ptr(&loop->hot) != NULL; /* relaxed: its own store, or a thief's */
}

#endif
