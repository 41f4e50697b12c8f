/*
 * look.c - a task as others see it.
 *
 * Owns:       nothing.
 * Threads:    see look.h.
 * Pairs:      D1  the fields that R writes, then the word (park_commit, spawn: release) - look: the
 *                 word (acquire), the fields, fence, the word again.
 *             D2  give_stack: what the fiber is, task->fiber (release) - look: task->fiber
 *                 (acquire).
 *
 * What a task awaits may be gone the moment it resumes, so a future is looked into under the task's
 * lock only: the task, in its await, keeps the future until it has taken that lock again. Of a task
 * that is awaited the serial stands in waits_on, and nothing is looked into.
 */
#include "debug/look.h"

#include "task/cancel.h"
#include "task/future.h"
#include "task/why.h"

#include <string.h>

#define TRIES 4

static enum whorl__look_state state_of(struct whorl_task *task, uint64_t word,
                                       const struct whorl__loop *loop)
{
    switch (whorl__state_phase(word)) {
    case WHORL__PARKED:
        return WHORL__LOOK_PARKED;
    case WHORL__DONE:
        return WHORL__LOOK_DONE;
    default:
        /* relaxed: a sample */
        return loop != NULL && whorl__load_relaxed_ptr(&loop->current) == task ? WHORL__LOOK_RUNNING
                                                                               : WHORL__LOOK_READY;
    }
}

/* How deep a suspended stack is; its sp is stale while it runs. */
static size_t stack_now(const struct whorl__look *look)
{
    if (look->fiber == NULL || look->state == WHORL__LOOK_RUNNING) {
        return 0;
    }
    const char *const sp = whorl__load_relaxed_ptr(&look->fiber->sp); /* relaxed: checked below */
    const char *const low = look->fiber->stack_low;
    const char *const top = low + look->fiber->stack_bytes;
    return sp > low && sp < top ? (size_t)(top - sp) : 0;
}

/* relaxed, all of them: D1 tells whether they belong together. */
static void read_fields(struct whorl_task *task, struct whorl__look *look)
{
    struct whorl__loop *const loop = whorl__load_relaxed_ptr((void *const *)(void *)&task->loop);
    look->state = state_of(task, look->word, loop);
    look->loop = loop != NULL ? loop->index : 0;
    look->pin = (int)whorl__load_relaxed_u32((uint32_t *)&task->pin);
    look->body = (uint64_t)(uintptr_t)whorl__load_relaxed_ptr((void *const *)(void *)&task->body);
    look->future_word = whorl__load_relaxed_u32(&task->future.word);
    look->references = whorl__load_relaxed_u32(&task->future.references);
    look->serial = whorl__load_relaxed_u64(&task->serial);
    look->born_ns = whorl__load_relaxed_u64(&task->born_ns);
    look->parked_ns = whorl__load_relaxed_u64(&task->parked_ns);
    look->waits_on = whorl__load_relaxed_u64(&task->waits_on);
    look->wake_ns = whorl__load_relaxed_u64(&task->wake_ns);
    look->fiber = whorl__load_acquire_ptr(&task->fiber); /* acquire, pairs D2 */
    look->stack_now = stack_now(look);
}

/* ---- under the task's lock ---- */

static void read_timeouts_locked(const struct whorl_task *task, struct whorl__look *look)
{
    look->timeouts = 0;
    look->timeout_ns = WHORL_NEVER;
    for (const struct whorl__scope *scope = task->scopes; scope != NULL; scope = scope->outer) {
        /* relaxed: a figure */
        const int64_t deadline_ns = (int64_t)whorl__load_relaxed_u64(&scope->deadline_ns);
        look->timeouts++;
        look->timeout_ns = deadline_ns < look->timeout_ns ? deadline_ns : look->timeout_ns;
    }
}

static struct whorl__look_awaited identify(const struct whorl_future *future)
{
    struct whorl__look_awaited awaited = {.kind = future->kind, .id = (uint64_t)(uintptr_t)future};
    if (future->kind == WHORL__FUTURE_TASK) {
        /* relaxed: a number; whoever asks keeps the task */
        awaited.id = whorl__load_relaxed_u64(&((const struct whorl_task *)future)->serial);
    }
    return awaited;
}

static void read_gather_locked(const struct whorl_future *awaited, struct whorl__look *look)
{
    const struct whorl_future *children[WHORL__LOOK_CHILDREN];
    look->gathers = awaited != NULL && awaited->kind == WHORL__FUTURE_GATHER;
    look->shown = 0;
    if (!look->gathers) {
        return;
    }
    look->shown = whorl__gather_look(awaited, children, WHORL__LOOK_CHILDREN,
                                     &look->children, &look->children_pending);
    for (unsigned i = 0; i < look->shown; i++) {
        look->child[i] = identify(children[i]);
    }
}

/* Changed by the task itself, also at this moment. */
static uint64_t read_owned_locked(struct whorl_task *task, const void *ret_owned[WHORL__OWNED_MAX])
{
    struct whorl__extra *const extra = whorl__extra_find(task);
    /* relaxed: figures */
    for (unsigned i = 0; i < WHORL__OWNED_MAX; i++) {
        ret_owned[i] = extra != NULL ? whorl__load_relaxed_ptr(&extra->owned[i]) : NULL;
    }
    return extra != NULL ? whorl__load_relaxed_u64(&extra->owned_count) : 0; /* relaxed: as above */
}

uint64_t whorl__look_at_owned(struct whorl_task *task, const void *ret_owned[WHORL__OWNED_MAX])
{
    whorl__spin_lock(&task->lock);
    const uint64_t count = read_owned_locked(task, ret_owned);
    whorl__spin_unlock(&task->lock);
    return count;
}

static void read_awaited_locked(struct whorl_task *task, struct whorl__look *look)
{
    bool visits;
    const struct whorl_future *const awaited = whorl__awaited_hold(task, &visits);
    look->awaits = awaited != NULL && !whorl__future_is_done(awaited);
    if (look->awaits) {
        look->awaited = identify(awaited);
    }
    read_gather_locked(awaited, look);
    whorl__awaited_let_go(task, visits);
}

static void read_locked(struct whorl_task *task, struct whorl__look *look)
{
    look->locked = whorl__spin_trylock(&task->lock);
    if (!look->locked) {
        return;
    }
    look->name[0] = '\0';
    if (task->named) {
        memcpy(look->name, task->name, sizeof look->name);
    }
    look->requests = task->requests;
    look->message = task->request_message;
    whorl__why_read_locked(task, &look->why);
    look->owned_count = read_owned_locked(task, look->owned);
    read_timeouts_locked(task, look);
    read_awaited_locked(task, look);
    whorl__spin_unlock(&task->lock);
}

/* ---- together ---- */

/* What WAKE, CANCEL, VISIT and OPEN do to the word leaves the rest as it was. */
static bool is_same_wait(uint64_t a, uint64_t b)
{
    const uint64_t flags = WHORL__WAKE | WHORL__CANCEL | WHORL__VISIT | WHORL__OPEN;
    return (a & ~flags) == (b & ~flags);
}

bool whorl__look_at_task(struct whorl_task *task, struct whorl__look *look)
{
    look->steady = false;
    for (unsigned i = 0; i < TRIES && !look->steady; i++) {
        look->word = whorl__load_acquire_u64(&task->word); /* acquire, pairs D1 */
        if (whorl__state_phase(look->word) == WHORL__FREE) {
            return false;
        }
        read_fields(task, look);
        read_locked(task, look);
        whorl__fence_acquire(); /* pairs D1: the fields before the word's second load */
        look->steady = is_same_wait(look->word, whorl__load_relaxed_u64(&task->word)); /* fenced */
    }
    return true;
}

struct whorl__look_awaited whorl__look_awaited(uint64_t waits_on)
{
    struct whorl__look_awaited awaited = {
        .kind = (enum whorl__future_kind)(waits_on >> WHORL__PARK_KIND_SHIFT &
                                          WHORL__PARK_KIND_MASK),
        .id = waits_on & WHORL__PARK_DETAIL_MASK,
    };
    if (awaited.kind == WHORL__FUTURE_TASK) {
        awaited.id >>= WHORL__PARK_DETAIL_SHIFT;
    }
    return awaited;
}
