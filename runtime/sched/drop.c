/*
 * drop.c - a reference of a task is given back; with the last one its slot is free again.
 *
 * Threads:    any; by the loop itself it costs no look at where one is.
 * Pairs:      D1  let_go: references - 1 (release half) - let_go that finds the last one (acquire)
 */
#include "sched/sched.h"
#include "sched/unseen.h"

#include "sys/os.h"

/* What few tasks have beside their slot. `here`: the calling thread's loop, or NULL. */
static void clear(struct whorl__loop *here, struct whorl_task *task)
{
    void *const more = whorl__load_relaxed_ptr(&task->more); /* relaxed: it is alone */
    if (WHORL_LIKELY(more == NULL)) {
        return;
    }
    if (here != NULL && whorl__stock_give(here, more)) { /* task/context.c */
        whorl__store_relaxed_ptr(&task->more, NULL); /* relaxed: it is alone */
    } else {
        task->runtime->clear(task, here);
    }
}

/* True: it was the last. acquire: all that the others did before they let go is seen. */
static bool let_go(struct whorl_task *task)
{
    return whorl__load_acquire_u32(&task->future.references) == 1 ||
           whorl__add_u32(&task->future.references, (uint32_t)-1) == 1;
}

/* A failure that nobody knows of is told first, and whoever was told may keep the task. */
static bool is_last(struct whorl_task *task)
{
    while (let_go(task)) {
        if (WHORL_LIKELY(!whorl__future_is_unseen(&task->future))) {
            return true;
        }
        whorl__unseen_tell_task(task);
    }
    return false;
}

static WHORL_COLD void free_slot_remote(struct whorl_task *task)
{
    struct whorl__runtime *const runtime = task->runtime;
    clear(NULL, task);
    if (whorl__slots_give_remote(&runtime->slots, task)) {
        whorl__os->free(runtime);
    }
}

static void free_slot(struct whorl__loop *here, struct whorl_task *task)
{
    clear(here, task);
    whorl__store_relaxed_u32(&task->future.references, 0); /* relaxed: nobody refers to it */
    whorl__plain_write(&task->future.error); /* what others did before they let go is over */
    whorl__state_free(&task->word);
    whorl__slots_give(&task->runtime->slots, &here->slots, task);
}

void whorl__sched_drop_on(struct whorl__loop *here, struct whorl_task *task)
{
    if (is_last(task)) {
        free_slot(here, task);
    }
}

void whorl__sched_drop(struct whorl_task *task)
{
    if (!is_last(task)) {
        return;
    }
    struct whorl__loop *const here = whorl__loop_current();
    if (here != NULL && here->runtime == task->runtime) {
        free_slot(here, task);
    } else {
        free_slot_remote(task);
    }
}
