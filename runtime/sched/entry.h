/*
 * entry.h - what stands in a loop's ring: a task, or the name of one that is open.
 *
 *   even   the address of a task that who takes the entry out holds from then on
 *   odd    slot (33-56) and epoch (1-32) of a task that was open when it was pushed: state.h. Who
 *          takes the entry out has to claim the task; it is stale if somebody was faster
 *
 * Stale entries stay where they are until somebody comes to them: an owner or thief drops what it
 * cannot claim, an owner whose ring is full drops all of them first. So nobody pays for taking a
 * task back out of the middle of a ring. One loop by itself takes back what it pushed last.
 *
 * Threads:    who has taken an entry out; the rest are looks from anywhere.
 * Invariant:  an open task has exactly one entry in all rings, from its spawn on.
 * Not chosen: the task's address for both. A slot is used again at once, and the oldest entries of
 *             a ring would name its newest tasks: a thief would get leaves, and not branches.
 */
#ifndef WHORL_SCHED_ENTRY_H
#define WHORL_SCHED_ENTRY_H

#include "sched/sched.h"

#define WHORL__ENTRY_OPEN UINT64_C(1)

WHORL_STATIC(sizeof(void *) == sizeof(uint64_t), "an entry holds a slot and an epoch");
WHORL_STATIC(WHORL__TASKS_MAX <= UINT64_C(1) << 31, "a slot has its place above the epoch");

static inline void *whorl__entry_open(const struct whorl_task *task, uint32_t epoch)
{
    return (void *)(uintptr_t)(whorl__handle_make(task, epoch) << 1 | WHORL__ENTRY_OPEN);
}

static inline bool whorl__entry_is_open(const void *entry)
{
    return ((uintptr_t)entry & WHORL__ENTRY_OPEN) != 0;
}

static inline whorl__handle whorl__entry_handle(const void *entry)
{
    WHORL_ASSERT(whorl__entry_is_open(entry));
    return (whorl__handle)(uintptr_t)entry >> 1;
}

/* Whose it is, or was. */
static inline struct whorl_task *whorl__entry_task(struct whorl__slots *slots, void *entry)
{
    return whorl__entry_is_open(entry) ? whorl__handle_task(slots, whorl__entry_handle(entry))
                                       : entry;
}

/* Of an entry that was taken out: the task, which the caller holds; NULL: it was stale. */
static inline struct whorl_task *whorl__entry_claim(struct whorl__slots *slots, void *entry)
{
    struct whorl_task *const task = whorl__entry_task(slots, entry);
    if (!whorl__entry_is_open(entry)) {
        return task;
    }
    const uint32_t epoch = whorl__handle_epoch(whorl__entry_handle(entry));
    return whorl__state_claim(&task->word, epoch) ? task : NULL;
}

/* The loop's task has claimed it by its word. Where no thief is, and it came last, its entry goes
 * at once: a tree of tasks leaves none behind. */
static inline void whorl__entry_forget(struct whorl__loop *loop, const struct whorl_task *task,
                                       uint32_t epoch)
{
    if (!loop->runtime->shares) {
        whorl__runqueue_take_back(&loop->queue, whorl__entry_open(task, epoch));
    }
}

/* A hint: taken out now, it would give a task. */
static inline bool whorl__entry_is_live(struct whorl__slots *slots, void *entry)
{
    return !whorl__entry_is_open(entry) ||
           whorl__state_is_open(&whorl__entry_task(slots, entry)->word,
                                whorl__handle_epoch(whorl__entry_handle(entry)));
}

/* The oldest task of the loop's own ring, or NULL; stale entries before it are dropped. */
static inline struct whorl_task *whorl__entry_take(struct whorl__loop *loop)
{
    void *entry;
    while ((entry = whorl__runqueue_take(&loop->queue)) != NULL) {
        struct whorl_task *const task = whorl__entry_claim(&loop->runtime->slots, entry);
        if (WHORL_LIKELY(task != NULL)) {
            return task;
        }
    }
    return NULL;
}

/* From anywhere, a hint: how many tasks there are in a ring. Looks at each entry: cold. */
unsigned whorl__entry_count(const struct whorl__loop *loop);

#endif
