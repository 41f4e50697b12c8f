/*
 * context.h - what the runtime needs of contexts beyond the public calls.
 *
 * A context word says where values are found, in one pointer: NULL, nothing is set; a map, which is
 * a task's or a callback's own; or, tagged, a struct whorl_context, which several may share. Who
 * has a word owns one reference on what it names.
 *
 * A callback keeps a word from its registration on and is called with it as the context:
 *
 *      word = whorl__context_capture();        or whorl__context_share(context), if one was given
 *      whorl__context_call(&word, function, arg);
 *      whorl__context_release(word, loop or NULL);
 */
#ifndef WHORL_TASK_CONTEXT_H
#define WHORL_TASK_CONTEXT_H

#include "task/extra.h"

/* A copy of the caller's context, be it a task, a callback or a plain thread. Cannot fail. */
void *whorl__context_capture(void);

/* This very context. */
void *whorl__context_share(struct whorl_context *context);

/* The same for a task that `here` makes; NULL: a foreign thread does. */
void *whorl__context_lease(struct whorl__loop *here, struct whorl_context *context);

/* `here`: the calling thread's loop, if at hand; NULL otherwise. */
void whorl__context_release(void *word, struct whorl__loop *here);

/* Calls function(arg) outside any task with *word as the context; *word is another one afterwards
 * if the function has set something. */
void whorl__context_call(void **word, void (*function)(void *arg), void *arg);

/* The context that a callback's word stands for, with a reference for the caller: the very one from
 * now on, as whorl_task_context. By who alone may change the word. 0 or -ENOMEM. */
WHORL_MUST_USE int whorl__context_of_word(void **word, struct whorl_context **ret_context);

/* body(arg) in a copy of the context of a task that the caller has a reference on. */
int whorl__context_call_in(struct whorl_task *task, whorl_body *body, void *arg);

/* What a task spawned by `here`'s current task gets: the second if there is no such task. */
void *whorl__context_inherit(struct whorl__loop *here, struct whorl_task *creator);

/* What it keeps at hand of a shared context goes back, if it is about to sleep, or if the context
 * has got a value that somebody minds. After a turn, by the loop. */
void whorl__context_review_lease(struct whorl__loop *loop, bool sleeps);

/* Before the loop goes: the references that it keeps at hand. */
void whorl__context_loop_fini(struct whorl__loop *loop);

#endif
