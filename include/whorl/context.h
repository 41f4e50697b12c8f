/*
 * context.h - values that belong to a task and not to a thread: task-locals, and the contexts that
 * hold them.
 *
 * A context holds a value for each key. Every task has one of its own: when it is spawned it gets
 * its creator's as it is then (one reference, nothing is copied before one of the two changes), and
 * what it sets afterwards is its own. It goes along when the task moves to another thread, which a
 * thread-local does not.
 *
 *      static const struct whorl_local request_id = {.initial = "none"};
 *      whorl_local_set(&request_id, id, NULL);
 *      ... whorl_local_get(&request_id) ...       here, and in every task spawned from now on
 */
#ifndef WHORL_CONTEXT_H
#define WHORL_CONTEXT_H

#include "whorl/api.h"
#include "whorl/runtime.h"

#include <stdint.h>

WHORL_BEGIN

struct whorl_task;
struct whorl_context;

/*
 * A key. Its address is what counts, so it outlives all tasks: a static. destroy, if any, is called
 * exactly once for each value that was set, when the last context that holds it is gone or has
 * another value; by whoever was last, so on any thread, and it does not wait.
 */
struct whorl_local {
    void *initial;                /* what a context without a value answers */
    void (*destroy)(void *value); /* may be NULL */
    uint64_t reserved[2];         /* 0 */
};

/* What a value replaced; opaque. Used once, by whorl_local_reset or whorl_local_forget. */
struct whorl_local_token {
    uint64_t opaque[6];
};

/*
 * whorl_local_set - give the caller's context a value for a key.
 *
 *   value      from now on the context's if the key has `destroy`
 *   ret_token  NULL, or what whorl_local_reset takes to bring the old value back; it keeps that
 *              value, so it is given to reset or to forget
 *
 * Returns 0, -ENOMEM (the value stays the caller's), -EINVAL (key NULL, a reserved word that is not
 * zero) or -EPERM (a plain thread outside whorl_context_run, which has no context).
 *
 * From:    a task, a callback, a thread in whorl_context_run
 * Waits:   no                           Cancellation point: no      Allocates: a new map
 * Model:   ContextVar.set; rows CTX of the conformance list
 * Since:   0.1, stable                  Source: runtime/task/context.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_local_set(const struct whorl_local *key, void *value,
                                                struct whorl_local_token *ret_token);

/* The value that the caller's context has for the key, or key->initial. From anywhere. Valid while
 * the context keeps it. Model: ContextVar.get */
WHORL_API void *whorl_local_get(const struct whorl_local *key);

/*
 * whorl_local_reset - bring back what the set that filled the token replaced: a value, or none.
 *
 * Returns 0, -EALREADY (the token was used), -EINVAL (it was made in another context), -ENOMEM (the
 * token can be used again).
 *
 * From:    where it was set             Waits: no      Allocates: a new map
 * Model:   ContextVar.reset
 * Since:   0.1, stable                  Source: runtime/task/context.c
 */
WHORL_API int whorl_local_reset(struct whorl_local_token *token);

/* The token is not needed: what it keeps is let go. From anywhere. */
WHORL_API void whorl_local_forget(struct whorl_local_token *token);

/*
 * whorl_context_new - a context without values; whorl_context_copy: one with the values that the
 * caller's has now, a plain thread's being without any.
 *
 * Returns 0 or -ENOMEM. The reference is given back by whorl_context_unref.
 *
 * From:    anywhere                     Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: yes
 * Model:   contextvars.Context, contextvars.copy_context
 * Since:   0.1, stable                  Source: runtime/task/context.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_context_new(struct whorl_context **ret_context);
WHORL_API WHORL_WARN_UNUSED int whorl_context_copy(struct whorl_context **ret_context);

/* One reference more, and one given back; unref takes NULL. Any thread. */
WHORL_API struct whorl_context *whorl_context_ref(struct whorl_context *context);
WHORL_API void whorl_context_unref(struct whorl_context *context);

/* The value a context has for the key, or key->initial. Any thread. Model: Context.get */
WHORL_API void *whorl_context_get(struct whorl_context *context, const struct whorl_local *key);

/*
 * whorl_context_run - call body(arg) with `context` as the caller's: what it sets stays in there.
 *
 * Returns what body returned, or, with body not called: -EINVAL (an argument is NULL), -EBUSY (the
 * context is entered already, by this caller or another, or is that of the calling task), -ECHILD.
 * Body may wait; the context stays entered meanwhile.
 *
 * From:    a task, a callback, a plain thread     Thread-safe: yes
 * Waits:   only if body does            Cancellation point: no      Allocates: no
 * Model:   Context.run
 * Since:   0.1, stable                  Source: runtime/task/context.c
 */
WHORL_API int whorl_context_run(struct whorl_context *context, whorl_body *body, void *arg);

/*
 * whorl_task_context - the context of a task, with a reference: not a copy, so what the task sets
 * later is seen in it. As long as the task's slot lives, also when it has ended.
 *
 * Returns 0, -ENOMEM or -ECHILD.
 *
 * From:    any thread with a reference on the task
 * Waits:   no                           Cancellation point: no      Allocates: at the first call
 * Model:   Task.get_context
 * Since:   0.1, stable                  Source: runtime/task/context.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_task_context(struct whorl_task *task,
                                                   struct whorl_context **ret_context);

WHORL_END

#endif
