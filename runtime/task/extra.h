/*
 * extra.h - what only some tasks have, in a block of its own that is made when it is first needed.
 *
 * Owns:       task->more, struct whorl__extra.
 * Threads:    found and made by whoever has a reference on the task, or is it, or visits it under
 *             its lock. What stands in the block has access codes of its own. It is freed with the
 *             task, by whoever gave the last reference back.
 * Invariant:  `more` is one tagged pointer, changed under the task's lock:
 *
 *                 NULL --inherit, set--> a context word --install--> block, which has the word
 *
 *             Once there, the block stays until the task is freed, so who has found it keeps it as
 *             long as the task. Only two tests know of it on the way of a task that has nothing:
 *             one when a child is spawned, one when the slot is freed.
 * Pairs:      X2  install: the block's contents, more := block (release) - find: more (acquire)
 */
#ifndef WHORL_TASK_EXTRA_H
#define WHORL_TASK_EXTRA_H

#include "sched/sched.h"

/* The low bits of `more`, and of a context word, which is never a block. */
#define WHORL__MORE_TAGS   ((uintptr_t)3)
#define WHORL__MORE_MAP    ((uintptr_t)0) /* struct whorl__map, or NULL: its own, or nothing */
#define WHORL__MORE_BLOCK  ((uintptr_t)1) /* struct whorl__extra */
#define WHORL__MORE_SHARED WHORL__WORD_SHARED /* struct whorl_context */

struct whorl__note;

/* Of the locks that a task owns, so many are known by their address. */
#define WHORL__OWNED_MAX 4

struct whorl__extra {
    struct whorl_task *task; /* C: whose it is */
    void *context;           /* A: M(lock) writes: the context word, task/context.h */
    struct whorl__origin *origin; /* C: task/debugging.h; NULL: not noted */
    struct whorl__note *note;     /* M(lock): task/why.h; NULL: none */
    uint64_t owned_count;         /* A: written by the task; locks that know it as their owner */
    void *owned[WHORL__OWNED_MAX]; /* A: as that: some of them; NULL: none */
};

static inline uintptr_t whorl__more_tag(const void *word)
{
    return (uintptr_t)word & WHORL__MORE_TAGS;
}

static inline void *whorl__more_untagged(const void *word)
{
    return (void *)((uintptr_t)word & ~WHORL__MORE_TAGS);
}

static inline void *whorl__more_tagged(const void *pointer, uintptr_t tag)
{
    return (void *)((uintptr_t)pointer | tag);
}

/* The task's block; NULL: it has none. */
static inline struct whorl__extra *whorl__extra_find(struct whorl_task *task)
{
    void *const word = whorl__load_acquire_ptr(&task->more); /* acquire, pairs X2 */
    if (WHORL_LIKELY(whorl__more_tag(word) != WHORL__MORE_BLOCK)) {
        return NULL;
    }
    struct whorl__extra *const extra = whorl__more_untagged(word);
    whorl__plain_read(&extra->task); /* X2 */
    return extra;
}

/* A block that no task has yet; NULL: out of memory. */
struct whorl__extra *whorl__extra_new(void);

/* Gives the task `fresh` unless it has a block, and returns the one it has then. Under its lock. */
struct whorl__extra *whorl__extra_install_locked(struct whorl_task *task,
                                                 struct whorl__extra *fresh);

/* The task's block, made if need be; NULL: out of memory. Not under its lock. */
WHORL_MUST_USE struct whorl__extra *whorl__extra(struct whorl_task *task);

/* Nobody refers to the task any more: what it had beside its slot goes. `here` as in drop_on. */
void whorl__extra_clear(struct whorl_task *task, struct whorl__loop *here);

#endif
