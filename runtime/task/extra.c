/*
 * extra.c - the block of a task: made, found, freed.
 *
 * Threads:    see extra.h. Two may make one at a time: the first to take the lock installs his.
 */
#include "task/extra.h"

#include "task/context.h"
#include "task/why.h"

#include "sys/os.h"

#include <string.h>

struct whorl__extra *whorl__extra_new(void)
{
    struct whorl__extra *const fresh = whorl__os->alloc(sizeof *fresh);
    if (fresh != NULL) {
        memset(fresh, 0, sizeof *fresh);
    }
    return fresh;
}

struct whorl__extra *whorl__extra_install_locked(struct whorl_task *task,
                                                 struct whorl__extra *fresh)
{
    struct whorl__extra *const present = whorl__extra_find(task);
    if (present != NULL) {
        return present;
    }
    WHORL_ASSERT(fresh != NULL);
    WHORL_ASSERT(whorl__more_tag(fresh) == 0);
    whorl__plain_write(&fresh->task); /* X2 */
    fresh->task = task;
    fresh->context = whorl__load_relaxed_ptr(&task->more); /* relaxed: M(lock) */
    /* release, pairs X2 */
    whorl__store_release_ptr(&task->more, whorl__more_tagged(fresh, WHORL__MORE_BLOCK));
    return fresh;
}

struct whorl__extra *whorl__extra(struct whorl_task *task)
{
    struct whorl__extra *const present = whorl__extra_find(task);
    if (present != NULL) {
        return present;
    }
    struct whorl__extra *const fresh = whorl__extra_new();
    if (fresh == NULL) {
        return NULL;
    }
    whorl__spin_lock(&task->lock);
    struct whorl__extra *const installed = whorl__extra_install_locked(task, fresh);
    whorl__spin_unlock(&task->lock);
    if (installed != fresh) {
        whorl__os->free(fresh);
    }
    return installed;
}

void whorl__extra_clear(struct whorl_task *task, struct whorl__loop *here)
{
    void *const word = whorl__load_relaxed_ptr(&task->more); /* relaxed: the caller is alone */
    if (whorl__more_tag(word) == WHORL__MORE_BLOCK) {
        struct whorl__extra *const extra = whorl__more_untagged(word);
        whorl__spin_lock(&task->lock); /* a dump looks into the block, and has no reference */
        whorl__store_relaxed_ptr(&task->more, NULL); /* relaxed: M(lock) */
        whorl__spin_unlock(&task->lock);
        whorl__context_release(extra->context, here);
        whorl__note_release(extra->note, here);
        whorl__os->free(extra->origin);
        whorl__os->free(extra);
    } else {
        whorl__context_release(word, here);
    }
    whorl__store_relaxed_ptr(&task->more, NULL); /* relaxed: published with the slot's next task */
}
