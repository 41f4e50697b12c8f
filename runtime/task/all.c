/*
 * all.c - the list of all tasks: who lives, each with a reference.
 *
 * There is no list to be kept: a task is found by its slot. The slot's task may end at any moment,
 * and the slot be another's, so a reference is taken in a visit (state/state.h, VISIT):
 *
 *   losing order                               ours
 *   visitor: finds the word LIVE               visitor: sets VISIT, LIVE or PARKED being there
 *   loop:    LIVE -> DONE, drops the last      loop:    LIVE -> DONE fails; takes the task's lock
 *            reference: 1 is found there, and           which the visitor has
 *            no atomic is needed               visitor: references + 1; VISIT goes; unlocks
 *   visitor: references + 1, of a FREE slot    loop:    LIVE -> DONE; finds 2 references
 *
 * Threads:    any; of a runtime that the caller is in, or whose slots `near` keeps: nobody lives in
 *             them when it has ended, and a reference that was taken before keeps them in its turn.
 * Pairs:      A1  visit: references + 1, the word without VISIT (release) - finish: the cas of the
 *                 word (acquire), references
 * Not chosen: a reference that is taken only where there is one already (a cas that refuses 0): who
 *             drops the last one would need a locked operation, for each task that ends.
 */
#include "task/all.h"

#include "task/future.h"
#include "task/task.h"

#include "sched/roster.h"
#include "sched/sched.h"
#include "sys/os.h"

#include <errno.h>
#include <string.h>

#define LEAST 64

struct found {
    struct whorl_task **tasks;
    size_t count;
    size_t room;
};

static bool is_live(const struct whorl_task *task)
{
    /* relaxed: the visit decides */
    const enum whorl__phase phase = whorl__state_phase(whorl__load_relaxed_u64(&task->word));
    return phase == WHORL__LIVE || phase == WHORL__PARKED;
}

/* False: it is over, or not in that strand. */
static bool visit(struct whorl_task *task, const struct whorl__strand *strand)
{
    bool wanted = false;
    whorl__spin_lock(&task->lock);
    if (whorl__state_visit(&task->word)) {
        wanted = strand == NULL || whorl__strand_of(task) == strand;
        if (wanted) {
            (void)whorl__add_u32(&task->future.references, 1); /* pairs A1 */
        }
        whorl__state_leave(&task->word); /* pairs A1 */
    }
    whorl__spin_unlock(&task->lock);
    return wanted;
}

static bool make_room(struct found *found)
{
    if (found->count < found->room) {
        return true;
    }
    const size_t room = found->room == 0 ? LEAST : 2 * found->room;
    struct whorl_task **const tasks = whorl__os->alloc(room * sizeof(*tasks));
    if (tasks == NULL) {
        return false;
    }
    if (found->count > 0) {
        memcpy(tasks, found->tasks, found->count * sizeof(*tasks));
    }
    whorl__os->free(found->tasks);
    found->tasks = tasks;
    found->room = room;
    return true;
}

static int find_all(struct whorl__runtime *runtime, const struct whorl__strand *strand,
                    struct found *found)
{
    const uint32_t count = whorl__slots_count(&runtime->slots);
    for (uint32_t i = 0; i < count; i++) {
        struct whorl_task *const task = whorl__slot_at(&runtime->slots, i);
        if (!is_live(task)) {
            continue;
        }
        if (!make_room(found)) {
            whorl_all_tasks_free(found->tasks, found->count);
            return -ENOMEM;
        }
        if (visit(task, strand)) {
            found->tasks[found->count++] = task;
        }
    }
    return 0;
}

static bool has_serial(const struct whorl_task *task, uint64_t serial)
{
    /* relaxed: of a slot, a hint; of a task that was visited, its number, which stays */
    return whorl__load_relaxed_u64(&task->serial) == serial;
}

static struct whorl_task *find_serial(struct whorl__runtime *runtime, uint64_t serial)
{
    const uint32_t count = whorl__slots_count(&runtime->slots);
    for (uint32_t i = 0; i < count; i++) {
        struct whorl_task *const task = whorl__slot_at(&runtime->slots, i);
        if (!has_serial(task, serial) || !is_live(task) || !visit(task, NULL)) {
            continue;
        }
        if (has_serial(task, serial)) {
            return task;
        }
        whorl_task_unref(task); /* the slot was another's meanwhile */
    }
    return NULL;
}

struct whorl_task *whorl__task_find(uint64_t runtime_id, uint64_t serial)
{
    struct whorl__runtime *const runtime = whorl__roster_find(runtime_id);
    if (runtime == NULL) {
        return NULL;
    }
    struct whorl_task *const task = find_serial(runtime, serial);
    whorl__roster_leave(runtime);
    return task;
}

int whorl__all_tasks_in(struct whorl__runtime *runtime, const struct whorl__strand *strand,
                        struct whorl_task ***ret_tasks, size_t *ret_count)
{
    struct found found = {0};
    const int error = find_all(runtime, strand, &found);
    if (error == 0) {
        *ret_tasks = found.tasks;
        *ret_count = found.count;
    }
    return error;
}

int whorl_all_tasks(struct whorl_task *near, struct whorl_task ***ret_tasks, size_t *ret_count)
{
    if (ret_tasks == NULL || ret_count == NULL) {
        return -EINVAL;
    }
    struct whorl__loop *const here = whorl__loop_current();
    const bool in_task = here != NULL && here->current != NULL;
    if (near != NULL && whorl__task_is_inherited(near)) {
        return -ECHILD;
    }
    if (near == NULL && !in_task) {
        return whorl__error_outside();
    }
    struct whorl__runtime *const runtime = near != NULL ? near->runtime : here->runtime;
    return whorl__all_tasks_in(runtime, NULL, ret_tasks, ret_count);
}

void whorl_all_tasks_free(struct whorl_task **tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        whorl_task_unref(tasks[i]);
    }
    whorl__os->free(tasks);
}
