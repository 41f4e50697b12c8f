/*
 * future.h - what the files of this folder need of futures beyond the public calls.
 */
#ifndef WHORL_TASK_FUTURE_H
#define WHORL_TASK_FUTURE_H

#include "state/task.h"
#include "sys/fork.h"

/* How a future ends. */
struct whorl__outcome {
    int error;
    void *value;
    bool cancelled;
    const char *message;
};

/* A future that is no task: a plain one, or the head of a gather. On lines of its own, as dumps
 * want it (state/task.h). */
struct WHORL_ALIGNED(WHORL_CACHE_LINE) whorl__free_future {
    struct whorl_future future; /* first: it is a future */
    uint32_t generation;        /* C: sys/fork.h */
};

/*
 * Whether it was made before the fork that made this process. Such a future can be read once it is
 * done; nothing else may touch it, for its lock may be held by a thread that is not here.
 */
bool whorl__future_is_inherited_slow(const struct whorl_future *future);

static inline bool whorl__future_is_inherited(const struct whorl_future *future)
{
    return WHORL_UNLIKELY(whorl__fork_generation != 0) && whorl__future_is_inherited_slow(future);
}

/* NULL, the task of a block that was never entered, is not. */
static inline bool whorl__task_is_inherited(const struct whorl_task *task)
{
    return WHORL_UNLIKELY(whorl__fork_generation != 0) && task != NULL &&
           whorl__future_is_inherited_slow(&task->future);
}

/* Memory that is not shared yet becomes a pending future. */
static inline void whorl__future_init(struct whorl_future *future, enum whorl__future_kind kind,
                                      uint32_t references)
{
    whorl__store_relaxed_u32(&future->word, 0); /* relaxed: not shared yet */
    whorl__store_relaxed_u32(&future->references, references); /* relaxed: as above */
    whorl__plain_write(&future->error);
    future->error = 0;
    future->value = NULL;
    future->message = NULL;
    future->kind = kind;
}

/* Somebody has a failure of the future in hand, if it has one: it is not to be reported. By one who
 * has a reference. set: also of one that is not done, whatever will come of it. */
void whorl__future_look(struct whorl_future *future);
void whorl__future_set_looked(struct whorl_future *future);

/* Completes any kind of future; wakes or calls everybody who waits. False: it was done. */
bool whorl__future_complete(struct whorl_future *future, const struct whorl__outcome *outcome);

/* The same for a task, which nobody else completes: without the lock if nobody waits. */
static inline void whorl__future_complete_alone(struct whorl_future *future,
                                                const struct whorl__outcome *outcome)
{
    whorl__plain_write(&future->error); /* F1 */
    future->error = outcome->error;
    future->value = outcome->value;
    future->message = outcome->message;
    const uint32_t ended =
        WHORL__FUTURE_DONE | (outcome->cancelled ? WHORL__FUTURE_CANCELLED : 0);
    if (WHORL_UNLIKELY(!whorl__cas_u32(&future->word, 0, ended))) { /* release half, pairs F1 */
        (void)whorl__future_complete(future, outcome);
    }
}

/* Cancels a future that is no task; what whorl_future_cancel does for those. */
bool whorl__future_cancel_plain(struct whorl_future *future, const char *message);

/* whorl_future_cancel, with why; NULL: the caller asks. */
struct whorl_why;
bool whorl__future_cancel_for(struct whorl_future *future, const char *message,
                              const struct whorl_why *why);

/* gather.c; path: the gathers the request has come through already, see cancel.h */
struct whorl__cancel_path;
bool whorl__gather_cancel(struct whorl_future *gather, const char *message);
bool whorl__gather_cancel_along(struct whorl_future *gather, const char *message,
                                const struct whorl__cancel_path *path);
void whorl__gather_free(struct whorl_future *gather);
/* All its children are done, or are gathers of that kind. On their loop, if in strict order. */
bool whorl__gather_is_ending(const struct whorl_future *gather);

/* For dumps, while the caller keeps the gather: how many children it has, how many of them have not
 * reported, and up to `max` that are not done. Returns how many those are; looks at the first
 * thousand or so only. */
unsigned whorl__gather_look(const struct whorl_future *gather,
                            const struct whorl_future **ret_children, unsigned max,
                            size_t *ret_count, size_t *ret_pending);

/* shield.c: completes it, and leaves what is inside alone. False: it was done. */
bool whorl__shield_cancel(struct whorl_future *shield, const struct whorl__outcome *outcome);

static inline bool whorl__future_is_done(const struct whorl_future *future)
{
    /* acquire, pairs the release that completes: the result is seen */
    return (whorl__load_acquire_u32(&future->word) & WHORL__FUTURE_DONE) != 0;
}

/* A waiter of any kind, kept by its maker. False: the future is done, and the waiter not used. */
WHORL_MUST_USE bool whorl__future_add_waiter(struct whorl_future *future,
                                             struct whorl__waiter *waiter);

/* Moves those that match to the end of `ret_taken`; none if the future is done. */
void whorl__future_take_waiters(struct whorl_future *future,
                                bool (*matches)(const struct whorl__waiter *, const void *arg),
                                const void *arg, struct whorl__list *ret_taken);

/*
 * Who waits for it now, in the order in which they began: up to `max`, each with a reference
 * for the caller; a thread, and a callback that stands for nobody, is NULL. Returns how many there
 * are.
 */
size_t whorl__future_awaiters(struct whorl_future *future, struct whorl_future **ret_awaiters,
                              size_t max);

/* A callback waiter, registered by the one who owns its memory. False: the future is done already,
 * and the callback will not be called. */
WHORL_MUST_USE bool whorl__future_call_when_done(struct whorl_future *future,
                                                 struct whorl__waiter *waiter);

/* For who was told so: calls it as the end of a future would, on a strict loop in its turn. */
void whorl__future_call_now(struct whorl__waiter *waiter);

/* The two in one: whether the future is done already or not, it is called. */
void whorl__future_call_in_turn(struct whorl_future *future, struct whorl__waiter *waiter);

/* Takes it back, by one who has a reference on the future. False: it is called, was, or will be. */
bool whorl__future_call_off(struct whorl_future *future, struct whorl__waiter *waiter);

#endif
