/*
 * task.h - what a task and a future are made of. Only data; what happens to it stands in task/.
 *
 * Owns:       struct whorl_future, struct whorl_task, struct whorl__waiter.
 * Threads:    field by field, by the codes of base/compiler.h.
 * Invariant:  a task's memory is type-stable: a slot is reused for tasks only, and its word goes on
 *             counting, as long as the runtime lives. So a handle may be looked up at any time.
 */
#ifndef WHORL_STATE_TASK_H
#define WHORL_STATE_TASK_H

#include "base/compiler.h"
#include "base/list.h"
#include "lockfree/inbox.h"
#include "lockfree/spinlock.h"
#include "state/state.h"
#include "whorl.h"

struct whorl__fiber;
struct whorl__loop;
struct whorl__runtime;

/* Slot index (32-63) and epoch (0-31) of one wait of one task. 0 is no handle. */
typedef uint64_t whorl__handle;

#ifndef WHORL__TASKS_MAX
#    define WHORL__TASKS_MAX (UINT32_C(1) << 24)
#endif

/*
 * Why a task is parked, and on what: one word, for dumps. Reason (bits 0-2), TIMED (3): the wait
 * has a deadline, in wake_ns. The rest by reason:
 *   FUTURE        its kind (4-5); above that the serial of a task, else the future's address, whose
 *                 low bits are 0
 *   READ, WRITE   the descriptor, from bit 6 on; BOTH (4): also the other direction
 *   GROUP         nothing: the children of the group that it ends
 *   SYNC          what of runtime/sync (4-7), its address, whose low bits are 0, from bit 5 on
 *   STRAND        its address, likewise. The task is ready, not parked: it waits for its turn
 */
enum whorl__park_reason {
    WHORL__PARK_NONE,
    WHORL__PARK_FUTURE,
    WHORL__PARK_SLEEP,
    WHORL__PARK_READ,
    WHORL__PARK_WRITE,
    WHORL__PARK_GROUP,
    WHORL__PARK_SYNC,
    WHORL__PARK_STRAND,
};

/* What of runtime/sync a task waits for. */
enum whorl__line_kind {
    WHORL__SYNC_LOCK,
    WHORL__SYNC_SEMAPHORE,
    WHORL__SYNC_EVENT,
    WHORL__SYNC_CONDITION,
    WHORL__SYNC_QUEUE_GET,
    WHORL__SYNC_QUEUE_PUT,
    WHORL__SYNC_QUEUE_JOIN,
    WHORL__SYNC_READ,
    WHORL__SYNC_WRITE,
    WHORL__SYNC_ONCE,
    WHORL__SYNC_SELECT,
    WHORL__SYNC_BARRIER,
};

#define WHORL__PARK_REASON_MASK  UINT64_C(7)
#define WHORL__PARK_TIMED        UINT64_C(8)
#define WHORL__PARK_BOTH         UINT64_C(16)
#define WHORL__PARK_KIND_SHIFT   4
#define WHORL__PARK_KIND_MASK    UINT64_C(3)
#define WHORL__PARK_DETAIL_SHIFT 6
#define WHORL__PARK_DETAIL_MASK  (~UINT64_C(63))
#define WHORL__PARK_SYNC_MASK    UINT64_C(15)
#define WHORL__PARK_SYNC_SHIFT   5 /* of an address that is a multiple of 8 */

enum whorl__future_kind {
    WHORL__FUTURE_PLAIN,
    WHORL__FUTURE_TASK,
    WHORL__FUTURE_GATHER,
    WHORL__FUTURE_SHIELD,
};

/* The word of a future; see task/future.c. */
#define WHORL__FUTURE_LOCKED    UINT32_C(1)
#define WHORL__FUTURE_WAITERS   UINT32_C(2)
#define WHORL__FUTURE_DONE      UINT32_C(4)
#define WHORL__FUTURE_CANCELLED UINT32_C(8)
#define WHORL__FUTURE_LOOKED    UINT32_C(16)

struct whorl_future {
    uint32_t word;              /* A: LOCKED is the lock called future below */
    uint32_t references;        /* A */
    int error;                  /* M(future) until DONE, then C */
    enum whorl__future_kind kind; /* C */
    void *value;                /* as error */
    union {
        const char *message;    /* as error */
        void *strand;           /* A: a task's, until its body is over: sched/strand.h; R writes */
    };
    struct whorl__list waiters; /* M(future); valid while WAITERS is set */
};

enum whorl__waiter_kind {
    WHORL__WAITER_TASK,
    WHORL__WAITER_THREAD,
    WHORL__WAITER_SELECT, /* a thread that waits for many: sync/select.c */
    WHORL__WAITER_CALLBACK,
    WHORL__WAITER_DONE, /* as CALLBACK, on the loop it names: task/callback.c */
    WHORL__WAITER_EDGE, /* is told nothing: who awaits, by the program's word, task/edge.c */
};

/*
 * What stands in a loop's own list and in its inbox: a task, or a call, which has neither fiber nor
 * body. Tasks and calls of one loop are one queue, first in first out.
 */
struct whorl__item {
    union { /* by the holder of the task; by who has made the call ready */
        struct whorl__fifo_node ready;
        struct whorl__inbox_node inbox;
    };
    void *fiber;      /* A: struct whorl__fiber, NULL before the first step; R writes */
    whorl_body *body; /* C */
};

/* A call of the loop's, on the loop's own stack. It belongs to itself once it runs. over: the loop
 * ends, and what the program wants to be called is dropped. */
struct whorl__callback {
    struct whorl__item item; /* first: a call is an item */
    void (*run)(struct whorl__callback *self, bool over);
};

/*
 * Somebody who wants to know when a future is done. On the waiter's stack, or in a gather. One with
 * a callback is a call of the completer's loop, once fired, if that loop keeps strict order.
 */
struct whorl__waiter {
    union {
        struct {
            struct whorl__list link; /* M(future) */
            union {
                struct whorl_task *task;
                uint32_t thread_word; /* A: futex, 1 once done */
                uint32_t *signal;     /* C: as that, of one for many */
                struct whorl_future *awaiter; /* C: for whom the callback is, alive; or NULL */
            };
            whorl__handle handle;
        };
        struct whorl__callback call; /* by the completer, once the waiter is off the list */
    };
    enum whorl__waiter_kind kind;
    void (*callback)(struct whorl__waiter *self);
};

struct WHORL_ALIGNED(WHORL_CACHE_LINE) whorl_task {
    struct whorl_future future; /* first: a task is a future */
    uint64_t word;              /* A: state.h */

    union {
        struct whorl__item item;
        struct { /* the same fields by their own names */
            union {
                struct whorl__fifo_node ready;
                struct whorl__inbox_node inbox;
                struct whorl_task *next_free;
            };
            void *fiber;
            whorl_body *body;
        };
    };
    /* R, but loop, body and pin are stored as A: a dump reads them of a task that may be any
     * moment's. The result of whorl_return stands in future.value, which nobody reads till DONE. */
    struct whorl__loop *loop;   /* where it runs, or ran last; its home when nothing migrates */
    void *arg;                  /* C */
    union {
        void (*arg_free)(void *);         /* C */
        struct whorl_task *next_magazine; /* M(slots), of a FREE slot */
    };
    uint64_t parked_ns;         /* A: R writes: the turn in which it parked last */
    struct whorl__runtime *runtime; /* C */
    uint32_t index;             /* C: the slot's */
    int pin;                    /* C: loop index + 1, 0 = free */

    /* Third line */
    uint8_t stack_class;        /* C: its size, rounded up, fiber/stack.h */
    bool told;                  /* R: delivered_message is set */
    bool named;                 /* M(lock): name is set */
    bool asked : 1;             /* M(lock): a request was made since the slot was filled */
    bool shutdown_asked : 1;    /* M(lock) */
    bool arrived : 1;           /* M(lock): a request has ended the wait it is in; strict order */
    uint16_t users_pending;     /* M(lock): users' requests that wait for their delivery */
    uint16_t wait_begun;        /* R: state.h: low half of the epoch of the wait it began last */
    uint32_t stall_reported;    /* A: the monitor has named it */
    struct whorl__spinlock lock;
    uint64_t serial;            /* A: the N of Task-N */
    uint64_t waits_on;          /* A: R writes: enum whorl__park_reason; valid while PARKED */
    uint64_t born_ns;           /* A: the turn in which it was spawned */
    void *awaited;              /* A: struct whorl_future, gets the cancel in its place, and is kept
                                   by the task; M(lock) to write, but with the tag: see below */
    struct whorl__scope *scopes;    /* M(lock): open timeouts, innermost first */
    void *more;                 /* A: what few tasks have: task/extra.h; M(lock) to write */

    /* Cold: a task that is never cancelled nor named, and waits without deadlines, does not touch
     * this line. */
    uint64_t wake_ns;               /* A: R writes: the deadline of a wait that has one */
    const char *delivered_message;  /* R: of the cancel it got last; valid while told */
    const char *request_message;    /* M(lock): of the newest request */
    uint32_t withdrawals;           /* M(lock): times that the last of them was taken back */
    int requests;                   /* M(lock): cancels that were made and not taken back */
    char name[WHORL_TASK_NAME_MAX + 1]; /* M(lock) */
};

WHORL_STATIC(offsetof(struct whorl_task, item.fiber) == offsetof(struct whorl_task, fiber) &&
                 offsetof(struct whorl_task, item.body) == offsetof(struct whorl_task, body),
             "an item's fields are the task's");
WHORL_STATIC(sizeof(struct whorl_task) == 4 * WHORL_CACHE_LINE, "four lines, three of them busy");

/*
 * `awaited` with this tag: a task that runs where it is awaited. The awaiter's thread stores and
 * clears that without the lock: task/inline.c. Whoever finds it has to hold it to look into it:
 * whorl__awaited_hold.
 */
#define WHORL__AWAITED_HERE ((uintptr_t)1)

static inline void *whorl__awaited_here(struct whorl_task *child)
{
    return (void *)((uintptr_t)&child->future | WHORL__AWAITED_HERE);
}

static inline bool whorl__awaited_is_here(const void *awaited)
{
    return ((uintptr_t)awaited & WHORL__AWAITED_HERE) != 0;
}

/* What `awaited` names; NULL: nothing. */
static inline struct whorl_future *whorl__awaited_future(void *awaited)
{
    return (struct whorl_future *)((uintptr_t)awaited & ~WHORL__AWAITED_HERE);
}

/* By the one who has the last reference: it has failed, and nobody knows. */
static inline bool whorl__future_is_unseen(const struct whorl_future *future)
{
    const uint32_t known = WHORL__FUTURE_CANCELLED | WHORL__FUTURE_LOOKED;
    /* relaxed: who has set it has given a reference back since */
    return WHORL_UNLIKELY(future->error != 0) &&
           (whorl__load_relaxed_u32(&future->word) & known) == 0;
}

/* R. Dumps read these three at any time. */
static inline void whorl__task_set_loop(struct whorl_task *task, struct whorl__loop *loop)
{
    whorl__store_relaxed_ptr((void **)(void *)&task->loop, loop); /* relaxed: for dumps */
}

static inline void whorl__task_set_body(struct whorl_task *task, whorl_body *body)
{
    /* relaxed: for dumps */
    whorl__store_relaxed_ptr((void **)(void *)&task->body, (void *)(uintptr_t)body);
}

static inline void whorl__task_set_pin(struct whorl_task *task, int pin)
{
    whorl__store_relaxed_u32((uint32_t *)&task->pin, (uint32_t)pin); /* relaxed: for dumps */
}

/* What a task that waits for a future stores in waits_on; `timed` is 0 or WHORL__PARK_TIMED. */
static inline uint64_t whorl__park_on_future(struct whorl_future *future, uint64_t timed)
{
    const uint64_t kind = (uint64_t)future->kind << WHORL__PARK_KIND_SHIFT;
    uint64_t detail = (uint64_t)(uintptr_t)future;
    if (future->kind == WHORL__FUTURE_TASK) {
        const struct whorl_task *const task = (const struct whorl_task *)future;
        /* relaxed: a number, and constant while anybody may wait for the task */
        detail = whorl__load_relaxed_u64(&task->serial) << WHORL__PARK_DETAIL_SHIFT;
    }
    WHORL_ASSERT((detail & ~WHORL__PARK_DETAIL_MASK) == 0);
    return detail | kind | timed | WHORL__PARK_FUTURE;
}

static inline uint64_t whorl__park_on_fd(int fd, enum whorl__park_reason reason)
{
    return (uint64_t)(unsigned)fd << WHORL__PARK_DETAIL_SHIFT | reason;
}

/* What a task stores in waits_on that waits for something of runtime/sync. */
static inline uint64_t whorl__park_on_sync(const void *what, enum whorl__line_kind kind)
{
    const uint64_t address = (uint64_t)(uintptr_t)what;
    WHORL_ASSERT(address % 8 == 0);
    return address << WHORL__PARK_SYNC_SHIFT | (uint64_t)kind << WHORL__PARK_KIND_SHIFT |
           WHORL__PARK_SYNC;
}

/* The same of a ready task that has not the turn of its strand. */
static inline uint64_t whorl__park_on_strand(const void *strand)
{
    const uint64_t address = (uint64_t)(uintptr_t)strand;
    WHORL_ASSERT(address % 8 == 0);
    return address << WHORL__PARK_SYNC_SHIFT | WHORL__PARK_STRAND;
}

static inline whorl__handle whorl__handle_make(const struct whorl_task *task, uint32_t epoch)
{
    return ((uint64_t)task->index << 32) | epoch;
}

static inline uint32_t whorl__handle_epoch(whorl__handle handle)
{
    return (uint32_t)handle;
}

static inline struct whorl_task *whorl__task_of_future(struct whorl_future *future)
{
    WHORL_ASSERT(future->kind == WHORL__FUTURE_TASK);
    return whorl_container_of(future, struct whorl_task, future);
}

static inline struct whorl__item *whorl__item_of_ready(struct whorl__fifo_node *node)
{
    return whorl_container_of(node, struct whorl__item, ready);
}

static inline struct whorl__item *whorl__item_of_inbox(struct whorl__inbox_node *node)
{
    return whorl_container_of(node, struct whorl__item, inbox);
}

static inline bool whorl__item_is_call(const struct whorl__item *item)
{
    return item->fiber == NULL && item->body == NULL;
}

static inline struct whorl_task *whorl__task_of_item(struct whorl__item *item)
{
    return whorl_container_of(item, struct whorl_task, item);
}

static inline struct whorl__callback *whorl__call_of_item(struct whorl__item *item)
{
    return whorl_container_of(item, struct whorl__callback, item);
}

static inline struct whorl_task *whorl__task_of_ready(struct whorl__fifo_node *node)
{
    return whorl_container_of(node, struct whorl_task, ready);
}

/* "lock": what of runtime/sync a task waits for that stored such a word. */
const char *whorl__park_sync_name(uint64_t waits_on);

static inline enum whorl__line_kind whorl__park_sync_kind(uint64_t waits_on)
{
    return (enum whorl__line_kind)(waits_on >> WHORL__PARK_KIND_SHIFT & WHORL__PARK_SYNC_MASK);
}

/* Its address. */
static inline uint64_t whorl__park_sync_address(uint64_t waits_on)
{
    const uint64_t kind = WHORL__PARK_SYNC_MASK << WHORL__PARK_KIND_SHIFT;
    return (waits_on & ~(kind | 15)) >> WHORL__PARK_SYNC_SHIFT;
}

/* The name, or "Task-N"; name_bytes includes the final 0. From any thread. */
void whorl__task_copy_name(struct whorl_task *task, char *ret_name, size_t name_bytes);

#endif
