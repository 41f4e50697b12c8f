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

#define WHORL__TASKS_MAX (UINT32_C(1) << 24)

/* Calls in a row that find their descriptor ready before the task gives way. */
#define WHORL__IO_BUDGET 64

/* Why a task is parked: for dumps and reports. */
enum whorl__park_reason {
    WHORL__PARK_NONE,
    WHORL__PARK_FUTURE,
    WHORL__PARK_SLEEP,
    WHORL__PARK_READ,
    WHORL__PARK_WRITE,
};

enum whorl__future_kind {
    WHORL__FUTURE_PLAIN,
    WHORL__FUTURE_TASK,
    WHORL__FUTURE_GATHER,
};

/* The word of a future; see task/future.c. */
#define WHORL__FUTURE_LOCKED    UINT32_C(1)
#define WHORL__FUTURE_WAITERS   UINT32_C(2)
#define WHORL__FUTURE_DONE      UINT32_C(4)
#define WHORL__FUTURE_CANCELLED UINT32_C(8)

struct whorl_future {
    uint32_t word;              /* A: LOCKED is the lock called future below */
    uint32_t references;        /* A */
    int error;                  /* M(future) until DONE, then C */
    enum whorl__future_kind kind; /* C */
    void *value;                /* as error */
    const char *message;        /* as error */
    struct whorl__list waiters; /* M(future); valid while WAITERS is set */
};

enum whorl__waiter_kind {
    WHORL__WAITER_TASK,
    WHORL__WAITER_THREAD,
    WHORL__WAITER_CALLBACK,
};

/* Somebody who wants to know when a future is done. On the waiter's stack, or in a gather. */
struct whorl__waiter {
    struct whorl__list link; /* M(future) */
    enum whorl__waiter_kind kind;
    bool fired;              /* M(future): the completer has unlinked it */
    union {
        struct whorl_task *task;
        uint32_t thread_word; /* A: futex, 1 once done */
        struct whorl__waiter *next_fired;
    };
    whorl__handle handle;
    void (*callback)(struct whorl__waiter *self);
};

struct WHORL_ALIGNED(WHORL_CACHE_LINE) whorl_task {
    struct whorl_future future; /* first: a task is a future */
    uint64_t word;              /* A: state.h */

    union {                     /* by the holder of the task */
        struct whorl__fifo_node ready;
        struct whorl__inbox_node inbox;
        struct whorl_task *next_free;
    };
    struct whorl__loop *loop;   /* R: where it runs, or ran last; its home when nothing migrates */
    void *fiber;                /* A: struct whorl__fiber, NULL before the first step; R writes */
    whorl_body *body;           /* C */
    void *arg;                  /* C */
    void (*arg_free)(void *);   /* C */
    void *return_value;         /* R */
    struct whorl__runtime *runtime; /* C */
    uint32_t index;             /* C: the slot's */
    int pin;                    /* C: loop index + 1, 0 = free */

    /* Third line */
    uint32_t stack_bytes;       /* C: 0 = the runtime's default */
    uint32_t stack_class;       /* C: the size it is rounded up to, fiber/stack.h */
    uint16_t reason;            /* R: enum whorl__park_reason */
    uint8_t io_budget;          /* R: ready I/O calls left before it gives way */
    bool named;                 /* M(lock): name is set */
    uint32_t stall_reported;    /* A: the monitor has named it */
    uint64_t serial;            /* A: the N of Task-N */

    /* Cancelling: task/cancel.c */
    struct whorl__spinlock lock;
    bool asked;                     /* M(lock): a request was made since the slot was filled */
    bool user_pending;              /* M(lock): a user's request waits for its delivery */
    bool shutdown_asked;            /* M(lock) */
    const char *delivered_message;  /* R: of the cancel it got last */
    struct whorl_future *awaited;   /* M(lock): gets the cancel in its place; kept by the task */
    struct whorl__scope *scopes;    /* M(lock): open timeouts, innermost first */

    /* Cold: a task that is never cancelled nor named does not touch these lines. */
    int requests;                   /* M(lock): made and not taken back */
    uint32_t withdrawals;           /* M(lock): times that the last of them was taken back */
    const char *request_message;    /* M(lock): of the newest request */
    struct whorl_task *next_magazine;   /* M(slots) */
    char name[WHORL_TASK_NAME_MAX + 1]; /* M(lock) */
};

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

static inline struct whorl_task *whorl__task_of_ready(struct whorl__fifo_node *node)
{
    return whorl_container_of(node, struct whorl_task, ready);
}

static inline struct whorl_task *whorl__task_of_inbox(struct whorl__inbox_node *node)
{
    return whorl_container_of(node, struct whorl_task, inbox);
}

/* The name, or "Task-N"; name_bytes includes the final 0. From any thread. */
void whorl__task_copy_name(struct whorl_task *task, char *ret_name, size_t name_bytes);

#endif
