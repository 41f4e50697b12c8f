/*
 * behind.c - who waits for a task and is on no list of it: see behind.h.
 *
 * A lock is never looked into: who waits for it may have it, and free it, in this moment. What its
 * owner wrote down is its address, and what a parked task wrote down is the address that it waits
 * for; the two are compared.
 *
 *   losing order                                ours
 *   us: find W parked, at the lock L            us: find W parked, at the address L
 *   A:  releases L: W is granted                A:  releases L: W is granted
 *   W:  releases L, and frees its memory        W:  releases L, and frees its memory
 *   us: read the owner of L                     us: have read that A owned L, before
 *
 * Threads:    see behind.h. Each task's lock is taken alone, for two fields.
 * Not chosen: the lock of L's line. It keeps those who stand there, but not L until it is held.
 */
#include "debug/behind.h"

#include "debug/look.h"
#include "sched/roster.h"
#include "task/all.h"
#include "task/future.h"

/* For whom is asked. */
struct asked {
    struct whorl_task *task;
    const void *owned[WHORL__OWNED_MAX];
    bool owns;
    bool runs; /* it may be in another's place */
};

static bool owns_address(const struct asked *asked, uint64_t address)
{
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        if (asked->owned[i] != NULL && (uint64_t)(uintptr_t)asked->owned[i] == address) {
            return true;
        }
    }
    return false;
}

static bool is_in_line(struct whorl_task *other, const struct asked *asked)
{
    struct whorl__look look;
    return asked->owns && whorl__look_at_task(other, &look) && look.steady &&
           look.state == WHORL__LOOK_PARKED &&
           (look.waits_on & WHORL__PARK_REASON_MASK) == WHORL__PARK_SYNC &&
           whorl__park_sync_kind(look.waits_on) == WHORL__SYNC_LOCK &&
           owns_address(asked, whorl__park_sync_address(look.waits_on));
}

/* It awaits it, and is not parked. */
static bool gave_its_place(struct whorl_task *other, const struct asked *asked)
{
    if (!asked->runs) {
        return false;
    }
    whorl__spin_lock(&other->lock);
    void *const awaited = whorl__load_relaxed_ptr(&other->awaited); /* relaxed: not looked into */
    const bool awaits = whorl__awaited_future(awaited) == &asked->task->future;
    whorl__spin_unlock(&other->lock);
    return awaits;
}

static int visit_tasks(struct whorl_task *const *tasks, size_t count, const struct asked *asked,
                       whorl__behind_visit *visit, void *arg)
{
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++) {
        if (is_in_line(tasks[i], asked) || gave_its_place(tasks[i], asked)) {
            error = visit(whorl_future_ref(&tasks[i]->future), arg);
        }
    }
    return error;
}

static int visit_runtime(struct whorl__runtime *runtime, const struct asked *asked,
                         whorl__behind_visit *visit, void *arg)
{
    struct whorl_task **tasks;
    size_t count;
    int error = whorl__all_tasks_in(runtime, NULL, &tasks, &count);
    if (error == 0) {
        error = visit_tasks(tasks, count, asked, visit, arg);
        whorl_all_tasks_free(tasks, count);
    }
    return error;
}

int whorl__behind_visit_all(struct whorl_task *task, whorl__behind_visit *visit, void *arg)
{
    struct asked asked = {.task = task};
    struct whorl__runtime *runtime = NULL;
    int error = 0;
    asked.owns = whorl__look_at_owned(task, asked.owned) > 0;
    /* relaxed: a moment of its own */
    asked.runs = whorl__state_phase(whorl__load_relaxed_u64(&task->word)) == WHORL__LIVE &&
                 !whorl__future_is_done(&task->future);
    if (!asked.owns && !asked.runs) {
        return 0;
    }
    while (error == 0 && (runtime = whorl__roster_next(runtime)) != NULL) {
        error = visit_runtime(runtime, &asked, visit, arg);
    }
    if (error != 0 && runtime != NULL) {
        whorl__roster_leave(runtime);
    }
    return error;
}
