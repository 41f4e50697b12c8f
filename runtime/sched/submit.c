/*
 * submit.c - a task is ready: where it goes, and who is told.
 *
 * Owns:       the shared queue.
 * Threads:    any. A foreign thread (one that is no loop of this runtime) counts itself as a guest
 *             from before the task is queued until it has touched the runtime for the last time:
 *             the task it queues may be the last, and the runtime is freed only without guests.
 *
 *   from                    a free task                      a pinned one, or strict order
 *   a loop of the runtime   hot slot (woken) or ring (new)   bound list, or the home's inbox
 *   a foreign thread        shared queue                     the home's inbox
 *
 * One of a strand is queued when it has the turn; until then it is in the strand's own line, and
 * whoever gives the turn up hands it over (strand.c).
 *
 * A new task that its spawner may await goes to the ring open, as entry.h says: no one holds it.
 * In the shared queue every task is held: what overflows is claimed first.
 *
 * Pairs:      B1  guest: guests + 1, queue the task ..., guests - 1 (release)
 *                 end of the runtime: guests == 0 (acquire)
 */
#include "sched/entry.h"
#include "sched/strand.h"

/* ---- guests ---- */

bool whorl__guest_enter(struct whorl__runtime *runtime)
{
    (void)whorl__add_u32(&runtime->guests, 1); /* pairs B1 */
    whorl__fence_full();                       /* pairs E2 of end.c: then `ending` is read */
    return !whorl__load_acquire_u32(&runtime->ending); /* acquire, pairs the store in end.c */
}

void whorl__guest_leave(struct whorl__runtime *runtime)
{
    (void)whorl__add_u32(&runtime->guests, (uint32_t)-1); /* release half, pairs B1 */
}

/* ---- the shared queue ---- */

static void push_shared(struct whorl__shared *shared, struct whorl_task *const *tasks,
                        unsigned count)
{
    whorl__spin_lock(&shared->lock);
    whorl__plain_write(&shared->tasks);
    for (unsigned i = 0; i < count; i++) {
        whorl__plain_write(&tasks[i]->ready);
        whorl__fifo_push(&shared->tasks, &tasks[i]->ready);
    }
    /* release, pairs the acquire in take_shared; ordered against sleepers by notify's fence */
    whorl__store_release_u32(&shared->count, (uint32_t)shared->tasks.count);
    whorl__spin_unlock(&shared->lock);
}

/* How many a loop takes at once: its share, as far as its ring has room. Thieves only make more. */
static size_t share_of(const struct whorl__loop *loop, const struct whorl__shared *shared)
{
    const size_t room = WHORL_RUNQUEUE_SLOTS / 2 - 1;
    const size_t fair = shared->tasks.count / loop->runtime->loop_count + 1;
    const size_t free_slots = WHORL_RUNQUEUE_SLOTS - 1 - whorl__runqueue_length(&loop->queue);
    const size_t most = room < free_slots + 1 ? room : free_slots + 1;
    return fair < most ? fair : most;
}

/*
 * A task is taken off the list before it is put into the ring: from then on a thief may run it, and
 * its link is used for another list, or another task.
 */
struct whorl_task *whorl__sched_take_shared(struct whorl__loop *loop)
{
    struct whorl__shared *const shared = &loop->runtime->shared;
    if (whorl__load_acquire_u32(&shared->count) == 0) { /* acquire, pairs push_shared */
        return NULL;
    }
    whorl__spin_lock(&shared->lock);
    whorl__plain_write(&shared->tasks);
    size_t share = share_of(loop, shared);
    struct whorl__fifo_node *const first = whorl__fifo_pop(&shared->tasks);
    struct whorl__fifo_node *node;
    while (share-- > 1 && (node = whorl__fifo_pop(&shared->tasks)) != NULL) {
        whorl__plain_write(node);
        const bool pushed = whorl__runqueue_push(&loop->queue, whorl__task_of_ready(node));
        WHORL_CHECK(pushed, "a ring has lost the room it had");
    }
    whorl__store_release_u32(&shared->count, (uint32_t)shared->tasks.count);
    whorl__spin_unlock(&shared->lock);
    return first == NULL ? NULL : whorl__task_of_ready(first);
}

/* ---- a loop's own ring ---- */

/* Claims what can be claimed, in place; returns how many. */
static unsigned claim_all(struct whorl__loop *loop, void **entries, unsigned count)
{
    unsigned claimed = 0;
    for (unsigned i = 0; i < count; i++) {
        struct whorl_task *const task = whorl__entry_claim(&loop->runtime->slots, entries[i]);
        if (task != NULL) {
            entries[claimed++] = task;
        }
    }
    return claimed;
}

static unsigned drop_stale(struct whorl__loop *loop, void **entries, unsigned count)
{
    unsigned live = 0;
    for (unsigned i = 0; i < count; i++) {
        if (whorl__entry_is_live(&loop->runtime->slots, entries[i])) {
            entries[live++] = entries[i];
        }
    }
    return live;
}

/* The older ones to the shared queue, and behind them the entry that found the ring full. */
static void share_older(struct whorl__loop *loop, void **entries, unsigned count, void *entry)
{
    entries[count++] = entry;
    count = claim_all(loop, entries, count);
    if (count > 0) {
        push_shared(&loop->runtime->shared, (struct whorl_task *const *)(void *)entries, count);
        whorl__count(&loop->stats.overflows, 1);
    }
}

static void push_again(struct whorl__loop *loop, void *const *entries, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const bool pushed = whorl__runqueue_push(&loop->queue, entries[i]);
        WHORL_CHECK(pushed, "a ring has lost the room it had");
    }
}

/*
 * Stale entries go first. If that frees a quarter of the ring, it is enough: else somebody who
 * spawns on would be here again soon, with all these entries to be looked at.
 */
static WHORL_NOINLINE void push_overflow(struct whorl__loop *loop, void *entry)
{
    const unsigned enough = WHORL_RUNQUEUE_CAPACITY - WHORL_RUNQUEUE_SLOTS / 4;
    void *entries[WHORL_RUNQUEUE_SLOTS + 1];
    unsigned count = whorl__runqueue_take_all_for_overflow(&loop->queue, entries,
                                                           WHORL_RUNQUEUE_CAPACITY);
    count = drop_stale(loop, entries, count);
    if (count > enough) {
        const unsigned older = (count + 1) / 2;
        push_again(loop, &entries[older], count - older);
        share_older(loop, entries, older, entry);
    } else {
        entries[count++] = entry;
        push_again(loop, entries, count);
    }
    whorl__idle_notify(loop, loop->runtime); /* who looked meanwhile found an empty ring */
}

static inline void push_ring(struct whorl__loop *loop, void *entry)
{
    if (WHORL_UNLIKELY(!whorl__runqueue_push(&loop->queue, entry))) {
        push_overflow(loop, entry);
    }
}

unsigned whorl__entry_count(const struct whorl__loop *loop)
{
    unsigned count = 0;
    void *entry;
    for (unsigned i = 0; (entry = whorl__runqueue_peek(&loop->queue, i)) != NULL; i++) {
        count += whorl__entry_is_live(&loop->runtime->slots, entry);
    }
    return count;
}

/* The newest goes to the hot slot; what was there before it to the ring, and is told. In a blocking
 * section the loop will not come to its hot slot, so all of it goes to the ring. Only the loop
 * itself fills the slot: found empty, it stays so until the store. */
static void push_hot(struct whorl__loop *loop, struct whorl_task *task)
{
    struct whorl_task *before = task;
    /* relaxed: its own store */
    if (WHORL_LIKELY(whorl__load_relaxed_ptr(&loop->section) == NULL)) {
        /* relaxed: its own store, or a thief's who has left nothing */
        if (WHORL_LIKELY(whorl__load_relaxed_ptr(&loop->hot) == NULL)) {
            whorl__store_release_ptr(&loop->hot, task); /* release, pairs a thief's swap */
            return;
        }
        before = whorl__swap_ptr(&loop->hot, task);
    }
    if (before != NULL) {
        push_ring(loop, before);
        whorl__idle_notify(loop, loop->runtime);
    }
}

void whorl__sched_give_hot(struct whorl__loop *loop)
{
    struct whorl_task *const task = whorl__swap_ptr(&loop->hot, NULL);
    if (task != NULL) {
        push_ring(loop, task);
    }
}

/* ---- where to ---- */

static struct whorl__loop *home_of(const struct whorl_task *task)
{
    return task->pin != 0 ? task->runtime->loops[task->pin - 1] : task->loop;
}

static bool stays_home(const struct whorl_task *task)
{
    return task->pin != 0 || !task->runtime->stealing;
}

static void submit_home(struct whorl__loop *here, struct whorl_task *task)
{
    struct whorl__loop *const home = home_of(task);
    if (here == home) {
        whorl__loop_push_bound(home, task);
    } else {
        whorl__loop_post(home, &task->item);
    }
}

/* The calling thread's loop if it belongs to the task's runtime; else NULL. */
static struct whorl__loop *loop_here(const struct whorl_task *task)
{
    struct whorl__loop *const here = whorl__loop_current();
    whorl__plain_read(&task->runtime);
    return here != NULL && here->runtime == task->runtime ? here : NULL;
}

static void submit_foreign(struct whorl_task *task)
{
    struct whorl__runtime *const runtime = task->runtime;
    (void)whorl__add_u32(&runtime->guests, 1); /* the task, not queued yet, keeps the runtime */
    if (stays_home(task)) {
        submit_home(NULL, task);
    } else {
        push_shared(&runtime->shared, &task, 1);
        whorl__idle_notify(NULL, runtime);
    }
    whorl__plain_read(&runtime->loops); /* up to here: the runtime is there */
    whorl__guest_leave(runtime);
}

static void submit(struct whorl_task *task)
{
    struct whorl__loop *const here = loop_here(task);
    if (here == NULL) {
        submit_foreign(task);
    } else if (stays_home(task)) {
        submit_home(here, task);
    } else {
        push_hot(here, task);
    }
}

void whorl__sched_submit(struct whorl_task *task)
{
    if (whorl__strand_enter(task)) {
        submit(task);
    }
}

static void submit_behind(struct whorl__loop *here, struct whorl_task *task)
{
    if (here == NULL) {
        submit_foreign(task);
    } else if (stays_home(task)) {
        submit_home(here, task);
    } else {
        push_ring(here, task);
        whorl__idle_notify(here, here->runtime);
    }
}

/* Not before who was woken by what the caller did last. */
static void hand_over_to(struct whorl_task *task)
{
    struct whorl__loop *const here = loop_here(task);
    /* relaxed: its own store, or a thief's */
    if (here != NULL && whorl__load_relaxed_ptr(&here->hot) != NULL) {
        submit_behind(here, task);
    } else {
        submit(task);
    }
}

void whorl__sched_hand_over(struct whorl__item *item)
{
    if (WHORL_UNLIKELY(whorl__item_is_call(item))) {
        struct whorl__callback *const call = whorl__call_of_item(item);
        call->run(call, false);
    } else {
        hand_over_to(whorl__task_of_item(item));
    }
}

void whorl__sched_submit_new(struct whorl__loop *here, struct whorl_task *task)
{
    if (whorl__strand_enter(task)) {
        submit_behind(here, task);
    }
}

void whorl__sched_submit_plain(struct whorl__loop *here, struct whorl_task *task)
{
    WHORL_ASSERT(task->pin == 0 && task->loop == here && whorl__strand_of(task) == NULL);
    if (here->strict) {
        whorl__loop_push_bound(here, task);
    } else {
        push_ring(here, task);
        whorl__idle_notify(here, here->runtime);
    }
}

void whorl__sched_submit_open(struct whorl__loop *here, struct whorl_task *task, uint32_t epoch)
{
    WHORL_ASSERT(!stays_home(task));
    push_ring(here, whorl__entry_open(task, epoch));
    whorl__idle_notify(here, here->runtime);
}

void whorl__sched_submit_behind(struct whorl_task *task)
{
    whorl__sched_submit_new(loop_here(task), task);
}

void whorl__sched_requeue(struct whorl__loop *loop, struct whorl_task *task)
{
    if (stays_home(task)) {
        submit_home(loop, task);
    } else {
        push_ring(loop, task);
    }
}

/* ---- ending a wait ---- */

static struct whorl_task *take_parked(struct whorl__runtime *runtime, whorl__handle handle)
{
    struct whorl_task *const task = whorl__handle_task(&runtime->slots, handle);
    return whorl__state_wake(&task->word, whorl__handle_epoch(handle)) == WHORL__WAKE_TAKEN ? task
                                                                                          : NULL;
}

void whorl__sched_wake(struct whorl__runtime *runtime, whorl__handle handle)
{
    struct whorl_task *const task = take_parked(runtime, handle);
    if (task != NULL) {
        whorl__sched_submit(task);
    }
}

/* Strict order: most of them are at home here. */
static void wake_polled_strict(struct whorl__loop *loop, const struct whorl__poll_result *result)
{
    for (unsigned i = 0; i < result->woken_count; i++) {
        struct whorl_task *const task = take_parked(loop->runtime, result->woken[i]);
        if (task == NULL || !whorl__strand_enter(task)) {
            continue;
        }
        if (WHORL_LIKELY(task->loop == loop && task->pin == 0)) {
            whorl__loop_push_bound(loop, task);
        } else {
            submit_home(loop, task);
        }
    }
}

/*
 * Tasks whose sockets are ready queue up in the ring, in the order of the events. One alone wakes
 * nobody: this loop runs it next.
 */
void whorl__sched_wake_polled(struct whorl__loop *loop, const struct whorl__poll_result *result)
{
    unsigned free_tasks = 0;
    if (loop->strict) {
        wake_polled_strict(loop, result);
        return;
    }
    for (unsigned i = 0; i < result->woken_count; i++) {
        struct whorl_task *const task = take_parked(loop->runtime, result->woken[i]);
        if (task != NULL && whorl__strand_enter(task)) {
            free_tasks += !stays_home(task);
            whorl__sched_requeue(loop, task);
        }
    }
    if (free_tasks > 1) {
        whorl__idle_notify(loop, loop->runtime);
    }
}
