/*
 * timer.c - a heap of deadlines under a short lock; the rules stand in timer.h.
 */
#include "loop/timer.h"

#include "sys/os.h"

void whorl__timers_init(struct whorl__timers *timers)
{
    *timers = (struct whorl__timers){.next_ns = (uint64_t)WHORL_NEVER};
    whorl__list_init(&timers->due);
    whorl__heap_init(&timers->heap, whorl__os->alloc, whorl__os->free);
}

void whorl__timers_fini(struct whorl__timers *timers)
{
    WHORL_ASSERT(whorl__heap_peek(&timers->heap) == NULL && whorl__list_is_empty(&timers->due));
    whorl__heap_fini(&timers->heap);
}

static void note_next_locked(struct whorl__timers *timers)
{
    whorl__plain_write(&timers->heap); /* it was changed under the lock, or looked at */
    const struct whorl__heap_node *const first = whorl__heap_peek(&timers->heap);
    /* relaxed: see T1 */
    whorl__store_relaxed_u64(&timers->next_ns,
                             (uint64_t)(first != NULL ? first->key : WHORL_NEVER));
}

int whorl__timer_arm(struct whorl__timers *timers, struct whorl__timer *timer, int64_t deadline_ns)
{
    whorl__plain_write(&timer->node);
    timer->timers = timers;
    timer->state = WHORL__TIMER_ARMED;
    timer->node.place = 0;
    whorl__spin_lock(&timers->lock);
    const int error = whorl__heap_insert(&timers->heap, &timer->node, deadline_ns);
    note_next_locked(timers);
    whorl__spin_unlock(&timers->lock);
    return error;
}

bool whorl__timer_disarm(struct whorl__timer *timer)
{
    struct whorl__timers *const timers = timer->timers;
    whorl__spin_lock(&timers->lock);
    whorl__plain_write(&timer->node); /* from here on it is the caller's alone */
    const enum whorl__timer_state state = timer->state;
    if (state == WHORL__TIMER_ARMED) {
        whorl__heap_remove(&timers->heap, &timer->node);
        note_next_locked(timers);
    } else if (state == WHORL__TIMER_DUE) {
        whorl__list_remove(&timer->due);
    }
    whorl__spin_unlock(&timers->lock);
    return state == WHORL__TIMER_FIRED;
}

/* Takes the first timer out if it is due, and copies what firing needs. */
static bool take_due(struct whorl__timers *timers, int64_t now_ns, struct whorl__timer *ret_copy)
{
    bool due = false;
    whorl__spin_lock(&timers->lock);
    struct whorl__heap_node *const first = whorl__heap_peek(&timers->heap);
    if (first != NULL && first->key <= now_ns) {
        whorl__heap_remove(&timers->heap, first);
        struct whorl__timer *const timer = whorl_container_of(first, struct whorl__timer, node);
        whorl__plain_write(&timer->node);
        timer->state = WHORL__TIMER_FIRED;
        *ret_copy = *timer;
        due = true;
    }
    note_next_locked(timers);
    whorl__spin_unlock(&timers->lock);
    return due;
}

unsigned whorl__timers_fire(struct whorl__timers *timers, struct whorl__runtime *runtime,
                            int64_t now_ns)
{
    unsigned fired = 0;
    struct whorl__timer copy;
    while (whorl__timers_next(timers) <= now_ns && take_due(timers, now_ns, &copy)) {
        copy.fire(runtime, copy.handle, copy.serial);
        fired++;
    }
    return fired;
}

unsigned whorl__timers_collect(struct whorl__timers *timers, int64_t now_ns)
{
    unsigned collected = 0;
    struct whorl__heap_node *first;
    whorl__spin_lock(&timers->lock);
    while ((first = whorl__heap_peek(&timers->heap)) != NULL && first->key <= now_ns) {
        struct whorl__timer *const timer = whorl_container_of(first, struct whorl__timer, node);
        whorl__heap_remove(&timers->heap, first);
        whorl__plain_write(&timer->node);
        timer->state = WHORL__TIMER_DUE;
        whorl__list_push_back(&timers->due, &timer->due);
        collected++;
    }
    note_next_locked(timers);
    whorl__spin_unlock(&timers->lock);
    return collected;
}

static bool take_collected(struct whorl__timers *timers, struct whorl__timer *ret_copy)
{
    whorl__spin_lock(&timers->lock);
    struct whorl__list *const link = whorl__list_pop_front(&timers->due);
    if (link != NULL) {
        struct whorl__timer *const timer = whorl_container_of(link, struct whorl__timer, due);
        whorl__plain_write(&timer->node);
        timer->state = WHORL__TIMER_FIRED;
        *ret_copy = *timer;
    }
    whorl__spin_unlock(&timers->lock);
    return link != NULL;
}

unsigned whorl__timers_fire_due(struct whorl__timers *timers, struct whorl__runtime *runtime)
{
    unsigned fired = 0;
    struct whorl__timer copy;
    while (take_collected(timers, &copy)) {
        copy.fire(runtime, copy.handle, copy.serial);
        fired++;
    }
    return fired;
}
