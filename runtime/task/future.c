/*
 * future.c - completing once, waiting, waking those who wait.
 *
 * The word: LOCKED (the lock), WAITERS (the list is not empty), DONE and CANCELLED (how it ended),
 * LOOKED (a failure of it is known, or nobody cares: it is not to be reported).
 *
 *   0 --wait--> WAITERS --complete--> DONE
 *   +---------------complete--------> DONE [| CANCELLED]
 *
 * LOOKED may be set at any time, under the lock, and stays. It may not be missed: it is set by
 * those who have a reference, and read by whoever gives the last one back.
 *
 * Who completes holds the lock, writes the result, takes every waiter off the list, claims the
 * waiting tasks (PARKED to LIVE), and stores DONE, which is the unlock. Only then are the claimed
 * tasks queued: by then their waiters, which lie on their stacks, are not looked at any more.
 *
 *   losing order                              ours
 *   completer: unlocks, then walks the list   completer: claims under the lock
 *   task:      is cancelled, takes its        task:      is cancelled; takes the lock, finds its
 *              waiter off, returns                       waiter gone, and DONE
 *   completer: reads a dead stack             completer: queues it, knowing only the task
 *
 * A task that wakes for another reason takes its waiter off under the lock, or sees DONE: after
 * DONE nobody touches a waiter of task or thread kind. Marks say so to the model checker: of the
 * list and its waiters under the lock, and a last one of a waiter when its frame is left.
 *
 * A task that completes itself is alone: if nobody waits, one cas from 0 to DONE is all.
 *
 * Threads:    any.
 * Pairs:      F1  complete: word := DONE (release) - is_done (acquire): value, error, message.
 */
#include "task/future.h"

#include "task/callback.h"
#include "task/edge.h"
#include "task/cancel.h"
#include "task/inline.h"
#include "task/park.h"

#include "sched/unseen.h"
#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>

#define LOCKED    WHORL__FUTURE_LOCKED
#define WAITERS   WHORL__FUTURE_WAITERS
#define DONE      WHORL__FUTURE_DONE
#define CANCELLED WHORL__FUTURE_CANCELLED
#define LOOKED    WHORL__FUTURE_LOOKED

/* ---- the lock in the word ---- */

static WHORL_COLD void wait_a_little(unsigned *spins)
{
    if (++*spins % 64 == 0) {
        whorl__os->yield(); /* the holder may have been preempted */
    } else {
        whorl__pause();
    }
}

/* Returns the word as it was, without LOCKED. */
static uint32_t lock(struct whorl_future *future)
{
    unsigned spins = 0;
    for (;;) {
        const uint32_t old = whorl__load_relaxed_u32(&future->word); /* relaxed: the cas checks */
        if (!(old & LOCKED) && whorl__cas_u32(&future->word, old, old | LOCKED)) {
            return old;
        }
        wait_a_little(&spins);
    }
}

static void unlock(struct whorl_future *future, uint32_t word)
{
    WHORL_ASSERT(!(word & LOCKED));
    whorl__store_release_u32(&future->word, word); /* release, pairs lock and F1 */
}

/* ---- waiters ---- */

/* False: the future is done. */
bool whorl__future_add_waiter(struct whorl_future *future, struct whorl__waiter *waiter)
{
    if (whorl__future_is_done(future) || whorl__future_is_inherited(future)) {
        return false; /* inherited: who asks has seen that it is done */
    }
    const uint32_t word = lock(future);
    if (word & DONE) {
        unlock(future, word);
        return false;
    }
    whorl__plain_write(&future->waiters);
    whorl__plain_write(&waiter->link);
    if (!(word & WAITERS)) {
        whorl__list_init(&future->waiters);
    }
    if (WHORL__BUG(FUTURE_WAKES_THE_LAST_FIRST)) {
        whorl__list_push_front(&future->waiters, &waiter->link);
    } else {
        whorl__list_push_back(&future->waiters, &waiter->link);
    }
    unlock(future, word | WAITERS);
    return true;
}

/* Takes a waiter off unless the future is done, in which case it is off already: false. */
static bool remove_waiter(struct whorl_future *future, struct whorl__waiter *waiter)
{
    if (whorl__future_is_done(future)) {
        return false;
    }
    const uint32_t word = lock(future);
    const bool off = !(word & DONE);
    if (off) {
        whorl__plain_write(&future->waiters);
        whorl__list_remove(&waiter->link);
    }
    const bool none = off && (word & WAITERS) && whorl__list_is_empty(&future->waiters);
    unlock(future, none ? word & ~WAITERS : word);
    return off;
}

void whorl__future_take_waiters(struct whorl_future *future,
                                bool (*matches)(const struct whorl__waiter *, const void *arg),
                                const void *arg, struct whorl__list *ret_taken)
{
    const uint32_t word = lock(future);
    if (!(word & WAITERS)) {
        unlock(future, word);
        return;
    }
    whorl__plain_write(&future->waiters);
    whorl__list_for_each_safe(link, &future->waiters)
    {
        if (matches(whorl_container_of(link, struct whorl__waiter, link), arg)) {
            whorl__list_remove(link);
            whorl__list_push_back(ret_taken, link);
        }
    }
    unlock(future, whorl__list_is_empty(&future->waiters) ? word & ~WAITERS : word);
}

static struct whorl_future *awaiter_of(const struct whorl__waiter *waiter)
{
    switch (waiter->kind) {
    case WHORL__WAITER_TASK:
        return &waiter->task->future;
    case WHORL__WAITER_CALLBACK:
    case WHORL__WAITER_EDGE:
        return waiter->awaiter;
    case WHORL__WAITER_THREAD:
    case WHORL__WAITER_SELECT:
    case WHORL__WAITER_DONE:
        break;
    }
    return NULL;
}

/* The task in whose place the future's task runs, on this loop: on no list. task/inline.c */
static struct whorl_future *find_awaiter_in_place(const struct whorl_future *future)
{
    const struct whorl__loop *const here = whorl__loop_current();
    const struct whorl__nested *nested = here != NULL ? here->nested : NULL;
    while (nested != NULL && (nested->child == NULL || &nested->child->future != future)) {
        nested = nested->outer;
    }
    return nested != NULL ? &nested->creator->future : NULL;
}

/* Whoever is on the list cannot go before he has taken the lock, so he can be referred to. */
size_t whorl__future_awaiters(struct whorl_future *future, struct whorl_future **ret_awaiters,
                              size_t max)
{
    size_t count = 0;
    const uint32_t word = lock(future);
    if (word & WAITERS) {
        whorl__plain_read(&future->waiters);
        whorl__list_for_each(link, &future->waiters)
        {
            struct whorl_future *const awaiter =
                awaiter_of(whorl_container_of(link, struct whorl__waiter, link));
            if (count < max) {
                ret_awaiters[count] = awaiter != NULL ? whorl_future_ref(awaiter) : NULL;
            }
            count++;
        }
    }
    unlock(future, word);
    struct whorl_future *const in_place = find_awaiter_in_place(future);
    if (in_place != NULL && count++ < max) {
        ret_awaiters[count - 1] = whorl_future_ref(in_place);
    }
    return count;
}

bool whorl__future_call_when_done(struct whorl_future *future, struct whorl__waiter *waiter)
{
    waiter->kind = WHORL__WAITER_CALLBACK;
    return whorl__future_add_waiter(future, waiter);
}

bool whorl__future_call_off(struct whorl_future *future, struct whorl__waiter *waiter)
{
    return remove_waiter(future, waiter);
}

/* ---- completing ---- */

/* Whom to tell once the lock is gone: tasks and callbacks, in the order in which they came. */
struct told {
    struct whorl__fifo items;
    size_t tasks;
};

static void claim_task(struct whorl__waiter *waiter, struct told *told)
{
    struct whorl_task *const task = waiter->task;
    const uint32_t epoch = whorl__handle_epoch(waiter->handle);
    if (whorl__state_wake(&task->word, epoch) == WHORL__WAKE_TAKEN) {
        whorl__fifo_push(&told->items, &task->ready);
        told->tasks++;
    }
}

/* From here on the waiter is a call: its link is not one any more. */
static void make_call(struct whorl__waiter *waiter)
{
    waiter->call.item.fiber = NULL;
    waiter->call.item.body = NULL;
}

static void claim_callback(struct whorl__waiter *waiter, struct told *told)
{
    make_call(waiter);
    whorl__fifo_push(&told->items, &waiter->call.item.ready);
}

static void claim_locked(struct whorl_future *future, struct told *told)
{
    struct whorl__list *link;
    whorl__plain_write(&future->waiters);
    while ((link = whorl__list_pop_front(&future->waiters)) != NULL) {
        struct whorl__waiter *const waiter =
            whorl_container_of(link, struct whorl__waiter, link);
        whorl__plain_write(&waiter->link);
        switch (waiter->kind) {
        case WHORL__WAITER_TASK:
            claim_task(waiter, told);
            break;
        case WHORL__WAITER_THREAD: /* it takes the lock before it goes */
            whorl__store_release_u32(&waiter->thread_word, 1);
            (void)whorl__os->futex_wake(&waiter->thread_word, 1);
            break;
        case WHORL__WAITER_SELECT: /* as that */
            whorl__store_relaxed_u32(waiter->signal, 1); /* relaxed: what it is told is DONE */
            (void)whorl__os->futex_wake(waiter->signal, 1);
            break;
        case WHORL__WAITER_DONE:
            (void)whorl_future_ref(future); /* until it was called */
            claim_callback(waiter, told);
            break;
        case WHORL__WAITER_CALLBACK:
        case WHORL__WAITER_EDGE:
            claim_callback(waiter, told);
            break;
        }
    }
}

static struct whorl__waiter *waiter_of(struct whorl__callback *call)
{
    return whorl_container_of(call, struct whorl__waiter, call);
}

/* Dropped it is not: who waits for a gather from a plain thread would wait for ever. */
static void run_callback(struct whorl__callback *self, bool over)
{
    struct whorl__waiter *const waiter = waiter_of(self);
    (void)over;
    waiter->callback(waiter);
}

/* On a loop that keeps strict order the callback waits for its turn, as asyncio's do. */
static void tell_callback(struct whorl__callback *call)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (waiter_of(call)->kind == WHORL__WAITER_DONE) {
        whorl__done_callback_post(waiter_of(call));
    } else if (waiter_of(call)->kind == WHORL__WAITER_EDGE) {
        whorl__edge_free(waiter_of(call));
    } else if (here != NULL && here->strict && !WHORL__BUG(FUTURE_CALLS_AT_ONCE)) {
        call->run = run_callback;
        whorl__loop_push_callback(here, call);
    } else {
        run_callback(call, false);
    }
}

void whorl__future_call_now(struct whorl__waiter *waiter)
{
    waiter->kind = WHORL__WAITER_CALLBACK;
    make_call(waiter);
    tell_callback(&waiter->call);
}

void whorl__future_call_in_turn(struct whorl_future *future, struct whorl__waiter *waiter)
{
    if (!whorl__future_call_when_done(future, waiter)) {
        whorl__future_call_now(waiter);
    }
}

/* One task alone runs next, beside the one that completed; several queue up in their order. */
static void tell(struct told *told)
{
    const bool alone = told->tasks == 1;
    struct whorl__fifo_node *node;
    while ((node = whorl__fifo_pop(&told->items)) != NULL) {
        struct whorl__item *const item = whorl__item_of_ready(node);
        if (whorl__item_is_call(item)) {
            tell_callback(whorl__call_of_item(item));
        } else if (alone) {
            whorl__sched_submit(whorl__task_of_item(item));
        } else {
            whorl__sched_submit_behind(whorl__task_of_item(item));
        }
    }
}

static void write_outcome(struct whorl_future *future, const struct whorl__outcome *outcome)
{
    whorl__plain_write(&future->error); /* F1 */
    future->error = outcome->error;
    future->value = outcome->value;
    future->message = outcome->message;
}

bool whorl__future_complete(struct whorl_future *future, const struct whorl__outcome *outcome)
{
    struct told told = {.tasks = 0};
    const uint32_t word = lock(future);
    if (word & DONE) {
        unlock(future, word);
        return false;
    }
    write_outcome(future, outcome);
    if (word & WAITERS) {
        claim_locked(future, &told);
    }
    /* pairs F1 */
    unlock(future, (word & LOOKED) | DONE | (outcome->cancelled ? CANCELLED : 0));
    tell(&told);
    return true;
}

/* ---- looking ---- */

void whorl__future_set_looked(struct whorl_future *future)
{
    unlock(future, lock(future) | LOOKED);
}

void whorl__future_look(struct whorl_future *future)
{
    const uint32_t word = whorl__load_acquire_u32(&future->word); /* acquire, pairs F1 */
    if (!(word & DONE) || (word & (CANCELLED | LOOKED)) != 0) {
        return;
    }
    whorl__plain_read(&future->error); /* F1 */
    if (future->error != 0 && !whorl__future_is_inherited(future)) {
        whorl__future_set_looked(future);
    }
}

/* ---- waiting ---- */

static int take_result(struct whorl_future *future, void **ret_value)
{
    whorl__plain_read(&future->error); /* F1 */
    if (WHORL_UNLIKELY(future->error != 0)) {
        whorl__future_look(future);
    } else if (ret_value != NULL) {
        *ret_value = future->value;
    }
    return future->error;
}

/* Who awaits a future that ends with a cancel is told of that one. */
static void tell_of_cancelled(struct whorl_future *future, bool awaits)
{
    struct whorl_task *const self = whorl__task_current();
    if (awaits && self != NULL && whorl__future_is_done(future) &&
        take_result(future, NULL) == -ECANCELED) {
        self->delivered_message = WHORL__BUG(AWAIT_HAS_NO_MESSAGE) ? NULL : future->message;
        self->told = true;
    }
}

/* Without a wait. */
static int take_done(struct whorl_future *future, bool awaits, void **ret_value)
{
    if (WHORL_UNLIKELY(future->error == -ECANCELED)) {
        tell_of_cancelled(future, awaits);
    }
    return take_result(future, ret_value);
}

/* Once: *ret_late tells that the deadline ended it. 0 or -ENOMEM. */
static int wait_once(struct whorl_task *task, struct whorl_future *future, int64_t deadline_ns,
                     bool *ret_late)
{
    struct whorl__waiter waiter = {.kind = WHORL__WAITER_TASK, .task = task};
    struct whorl__timer timer;
    const bool timed = deadline_ns != WHORL_NEVER;
    waiter.handle = whorl__park_begin(task);
    if (timed) {
        const int error = whorl__park_timer(task, &timer, waiter.handle, deadline_ns);
        if (error != 0) {
            return error;
        }
    }
    if (whorl__future_add_waiter(future, &waiter)) {
        whorl__park(task, whorl__park_on_future(future, timed ? WHORL__PARK_TIMED : 0));
        (void)remove_waiter(future, &waiter);
    }
    whorl__plain_write(&waiter.link); /* the frame goes: who still looks at it races */
    *ret_late = timed && whorl__timer_disarm(&timer);
    return 0;
}

/* A task that is asked too late, for its body has returned, is waited for all the same (WF-3): all
 * that it still does is to free its argument. */
static bool is_ending(const struct whorl_future *future)
{
    return future->kind == WHORL__FUTURE_TASK &&
           whorl__cancel_is_too_late(whorl_container_of(future, struct whorl_task, future));
}

/*
 * The task's way of waiting. awaits: cancelling the task cancels the future. It waits again when a
 * cancel woke it that was then withdrawn.
 */
static int wait_in_task(struct whorl_task *task, struct whorl_future *future, bool awaits,
                        int64_t deadline_ns, void **ret_value)
{
    int error = 0;
    bool late = false;
    bool cancelled = false;
    if (awaits && whorl__cancel_await_begin(task, future) && task->loop->strict &&
        !WHORL__BUG(CANCEL_IN_A_WAIT_TAKES_NO_PASS) && whorl__future_is_done(future)) {
        whorl__give_way(task); /* a wait that was begun takes a pass, as in asyncio */
    }
    while (error == 0 && !late && !whorl__future_is_done(future) &&
           (!cancelled || (awaits && is_ending(future)))) {
        error = wait_once(task, future, deadline_ns, &late);
        cancelled |= whorl__cancel_take(task);
    }
    if (awaits) {
        whorl__cancel_await_end(task);
        cancelled |= whorl__cancel_take(task);
    }
    if (cancelled) {
        tell_of_cancelled(future, awaits);
        return -ECANCELED;
    }
    if (error == 0 && whorl__future_is_done(future)) {
        return take_done(future, awaits, ret_value);
    }
    return error != 0 ? error : -ETIMEDOUT;
}

/* A plain thread's: it blocks. */
static int wait_in_thread(struct whorl_future *future, int64_t deadline_ns, void **ret_value)
{
    struct whorl__waiter waiter = {.kind = WHORL__WAITER_THREAD};
    bool late = false;
    if (whorl__future_add_waiter(future, &waiter)) {
        /* acquire, pairs the release in claim_locked */
        while (!late && whorl__load_acquire_u32(&waiter.thread_word) == 0) {
            late = whorl__os->futex_wait(&waiter.thread_word, 0, deadline_ns) == -ETIMEDOUT;
        }
        /* Either it is off the list here, or the completer is done with it: both need the lock. */
        const uint32_t word = lock(future);
        if (!(word & DONE)) {
            whorl__plain_write(&future->waiters);
            whorl__list_remove(&waiter.link);
        }
        unlock(future, word);
        whorl__plain_write(&waiter.link); /* as in wait_once */
    }
    return whorl__future_is_done(future) ? take_result(future, ret_value) : -ETIMEDOUT;
}

/* An await takes a pass before it fails, and a cancel comes instead of that, as in asyncio. */
static WHORL_COLD int wait_for_itself(struct whorl_task *task, bool awaits)
{
    const int error = awaits && task->loop->strict ? whorl_yield() : 0;
    if (WHORL__BUG(AWAIT_OF_ITSELF_IS_CANCELLED)) {
        return -ECANCELED;
    }
    return error != 0 ? error : -EDEADLK;
}

static int wait_for_future(struct whorl_future *future, bool awaits, int64_t deadline_ns,
                           void **ret_value)
{
    if (WHORL_UNLIKELY(future == NULL)) {
        return -EINVAL;
    }
    if (whorl__future_is_done(future)) {
        if (WHORL__BUG(AWAIT_SUSPENDS_ALWAYS) && awaits && whorl__task_current() != NULL) {
            whorl__give_way(whorl__task_current());
        }
        return take_done(future, awaits, ret_value);
    }
    if (whorl__future_is_inherited(future)) {
        return -ECHILD;
    }
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__loop_current() != NULL ? -EPERM
                                             : wait_in_thread(future, deadline_ns, ret_value);
    }
    if (future == &task->future) {
        return wait_for_itself(task, awaits);
    }
    return wait_in_task(task, future, awaits, deadline_ns, ret_value);
}

/* ---- public ---- */

bool whorl__future_is_inherited_slow(const struct whorl_future *future)
{
    const uint32_t generation =
        future->kind == WHORL__FUTURE_TASK
            ? whorl_container_of(future, const struct whorl_task, future)->runtime->generation
            : whorl_container_of(future, const struct whorl__free_future, future)->generation;
    return whorl__fork_inherited(generation);
}

int whorl_future_new(struct whorl_future **ret_future)
{
    if (ret_future == NULL) {
        return -EINVAL;
    }
    struct whorl__free_future *const plain = whorl__os->alloc(sizeof *plain);
    if (plain == NULL || whorl__fork_watch() != 0) {
        whorl__os->free(plain);
        return -ENOMEM;
    }
    whorl__future_init(&plain->future, WHORL__FUTURE_PLAIN, 1);
    plain->generation = whorl__fork_generation;
    *ret_future = &plain->future;
    return 0;
}

struct whorl_future *whorl_future_ref(struct whorl_future *future)
{
    if (WHORL_UNLIKELY(future == NULL)) {
        return NULL;
    }
    (void)whorl__add_u32(&future->references, 1);
    return future;
}

/* Of a future that was never done: nobody else waits, for who does has a reference. */
static WHORL_COLD void free_done_callbacks(struct whorl_future *future)
{
    struct whorl__list *link;
    while ((link = whorl__list_pop_front(&future->waiters)) != NULL) {
        struct whorl__waiter *const waiter = whorl_container_of(link, struct whorl__waiter, link);
        if (waiter->kind == WHORL__WAITER_EDGE) {
            whorl__edge_free(waiter);
        } else {
            whorl__done_callback_free(waiter);
        }
    }
}

/* A failure that nobody knows of is told, and whoever was told may keep the future. */
static bool was_unseen(struct whorl_future *future)
{
    const bool unseen = whorl__future_is_unseen(future);
    if (WHORL_UNLIKELY(unseen)) {
        whorl__unseen_tell_future(future);
    }
    return unseen;
}

void whorl_future_unref(struct whorl_future *future)
{
    if (future == NULL || whorl__future_is_inherited(future)) {
        return;
    }
    if (future->kind == WHORL__FUTURE_TASK) {
        whorl__sched_drop(whorl__task_of_future(future));
        return;
    }
    do {
        if (whorl__add_u32(&future->references, (uint32_t)-1) != 1) {
            return;
        }
    } while (was_unseen(future));
    whorl__plain_write(&future->error); /* what others did before they let go is over */
    if (WHORL_UNLIKELY(whorl__load_relaxed_u32(&future->word) & WAITERS)) { /* relaxed: alone */
        free_done_callbacks(future);
    }
    if (future->kind == WHORL__FUTURE_GATHER) {
        whorl__gather_free(future);
    } else {
        whorl__os->free(whorl_container_of(future, struct whorl__free_future, future));
    }
}

static int complete_plain(struct whorl_future *future, const struct whorl__outcome *outcome)
{
    if (WHORL_UNLIKELY(future == NULL)) {
        return -EINVAL;
    }
    if (future->kind != WHORL__FUTURE_PLAIN) {
        return -EPERM;
    }
    if (whorl__future_is_inherited(future)) {
        return -ECHILD;
    }
    return whorl__future_complete(future, outcome) || WHORL__BUG(FUTURE_SET_TWICE) ? 0 : -EALREADY;
}

int whorl_future_set_result(struct whorl_future *future, void *value)
{
    return complete_plain(future, &(struct whorl__outcome){.value = value});
}

int whorl_future_set_error(struct whorl_future *future, int error)
{
    return error >= 0 ? -EINVAL : complete_plain(future, &(struct whorl__outcome){.error = error});
}

bool whorl__future_cancel_plain(struct whorl_future *future, const char *message)
{
    const struct whorl__outcome outcome = {
        .error = -ECANCELED, .cancelled = true, .message = message};
    switch (future->kind) {
    case WHORL__FUTURE_GATHER:
        return whorl__gather_cancel(future, message);
    case WHORL__FUTURE_SHIELD:
        return whorl__shield_cancel(future, &outcome);
    default:
        return whorl__future_complete(future, &outcome) || WHORL__BUG(FUTURE_CANCEL_ENDS_AGAIN);
    }
}

static bool cancel_any(struct whorl_future *future, const char *message,
                       const struct whorl_why *why)
{
    if (future->kind == WHORL__FUTURE_TASK) {
        return whorl__cancel_request(whorl__task_of_future(future), message, why);
    }
    const struct whorl__cancel_path path = {.why = why};
    return future->kind == WHORL__FUTURE_GATHER && why != NULL
               ? whorl__gather_cancel_along(future, message, &path)
               : whorl__future_cancel_plain(future, message);
}

bool whorl__future_cancel_for(struct whorl_future *future, const char *message,
                              const struct whorl_why *why)
{
    const bool accepted = cancel_any(future, message, why);
    if (!accepted) {
        whorl__future_look(future);
    }
    return accepted;
}

bool whorl_future_cancel(struct whorl_future *future, const char *message)
{
    if (future == NULL) {
        return false;
    }
    if (whorl__future_is_inherited(future)) {
        return false;
    }
    return whorl__future_cancel_for(future, message, NULL);
}

int whorl_future_await(struct whorl_future *future, void **ret_value)
{
    struct whorl_task *awaiter;
    if (!whorl__inline_is_for(future) ||
        (awaiter = whorl__inline_run(whorl__task_of_future(future))) == NULL) {
        return wait_for_future(future, true, WHORL_NEVER, ret_value);
    }
    return WHORL_LIKELY(whorl__inline_is_over(awaiter, future))
               ? take_done(future, true, ret_value)
               : wait_in_task(awaiter, future, true, WHORL_NEVER, ret_value);
}

int whorl_future_join(struct whorl_future *future, int64_t deadline_ns, void **ret_value)
{
    return wait_for_future(future, false, deadline_ns, ret_value);
}

int whorl_future_result(struct whorl_future *future, void **ret_value)
{
    if (future == NULL) {
        return -EINVAL;
    }
    if (whorl__future_is_done(future)) {
        return take_result(future, ret_value);
    }
    return whorl__future_is_inherited(future) ? -ECHILD : -EAGAIN;
}

bool whorl_future_done(struct whorl_future *future)
{
    if (WHORL_UNLIKELY(future == NULL)) {
        return false;
    }
    return whorl__future_is_done(future);
}

bool whorl_future_cancelled(struct whorl_future *future)
{
    if (future == NULL) {
        return false;
    }
    /* acquire, pairs F1 */
    return (whorl__load_acquire_u32(&future->word) & CANCELLED) != 0;
}

const char *whorl_future_cancel_message(struct whorl_future *future)
{
    if (future == NULL) {
        return NULL;
    }
    return whorl__future_is_done(future) ? future->message : NULL;
}
