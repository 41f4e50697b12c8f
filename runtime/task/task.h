/*
 * task.h - what the runtime needs of tasks beyond the public calls.
 */
#ifndef WHORL_TASK_TASK_H
#define WHORL_TASK_TASK_H

#include "sched/sched.h"

/* What fibers run: one task after the other. */
void whorl__task_entry(struct whorl__fiber *self);

/*
 * A task of this loop that has not begun runs until its first wait, on a fiber of its own, while
 * the caller, a task or a callback, is not suspended but calls: errno and the exceptions that the
 * caller is handling stay the caller's.
 */
void whorl__task_run_here(struct whorl__loop *here, struct whorl_task *task);

/* Calls it so that an exception which leaves it ends the process with a word. */
int whorl__task_call_body(whorl_body *body, void *arg);

/* As whorl_spawn, at the end of the runtime, when its tasks are over: by the thread that ends it,
 * with arguments that are right. */
WHORL_MUST_USE int whorl__task_spawn_late(struct whorl__runtime *runtime, whorl_body *body,
                                          void *arg, const struct whorl_attr *attr,
                                          struct whorl_task **ret_task);

/* Ends a task that never got a stack. */
void whorl__task_abandon(struct whorl_task *task, int error);

/* Nobody refers to the task any more; runtime->clear. */
void whorl__task_clear(struct whorl_task *task, struct whorl__loop *here);

/* From any thread, of a loop or not: as whorl_spawn_remote. */
WHORL_MUST_USE int whorl__task_spawn_into(struct whorl__runtime *runtime, whorl_body *body,
                                          void *arg, const struct whorl_attr *attr,
                                          struct whorl_task **ret_task);

/* The task of that runtime with that serial, with a reference for the caller; NULL: it has ended.
 * From any thread; looks through all tasks. all.c */
struct whorl_task *whorl__task_find(uint64_t runtime_id, uint64_t serial);

/* The plain spawn: as whorl_spawn, without a factory. `here` NULL: from a foreign thread. */
WHORL_MUST_USE int whorl__task_make(struct whorl__runtime *runtime, struct whorl__loop *here,
                                    const struct whorl_spawning *spawning,
                                    struct whorl_task **ret_task);

/* The runtime has a factory, or had one just now. */
WHORL_MUST_USE int whorl__factory_spawn(struct whorl__runtime *runtime, whorl_body *body,
                                        void *arg, const struct whorl_attr *attr,
                                        struct whorl_task **ret_task);

/* A main task, from a plain thread; attr may be NULL. -ESHUTDOWN: the runtime is ending, or has
 * ended. */
WHORL_MUST_USE int whorl__task_spawn_main(struct whorl__runtime *runtime, whorl_body *body,
                                          void *arg, const struct whorl_attr *attr,
                                          struct whorl_task **ret_task);

/*
 * The reserved words of a struct that a program fills. One that is not zero is a field that this
 * library does not know: refused, and not passed over.
 */
static inline bool whorl__reserved_ok(const uint64_t *words, size_t count)
{
    uint64_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= words[i];
    }
    return any == 0;
}

#define WHORL__RESERVED(input) (sizeof(input)->reserved / sizeof(input)->reserved[0])

#endif
