/*
 * executor.c - functions that block, on threads of their own; the results go to futures.
 *
 *   work     WAITING --room--> QUEUED --a thread takes it--> TAKEN --> its future is completed
 *               |                 +--withdrawn, executor broken or cleared--> DROPPED
 *               +--cancelled, or refused--> DROPPED
 *
 *   thread   started (counts as idle) --> takes work <--> idle --no work for idle_ns, or closed-->
 *            leaves: joins who left before it, and is joined by who leaves next, or by shutdown
 *
 * Everything is under one spin lock, which is held for a few list operations; `bell` is a futex on
 * which idle threads sleep.
 *
 *   losing order                              ours
 *   thread: queue empty, unlocks              thread: queue empty, reads bell, unlocks
 *   submit: queues, wakes: nobody sleeps      submit: queues, bell + 1, unlocks, wakes
 *   thread: sleeps, over the work             thread: sleeps only if bell is as it was
 *
 * `idle` counts the threads that will look at the queue again without being told: those that sleep,
 * those that were woken and those that begin. A submitter makes a thread when there would be more
 * work than idle threads; so none is left waiting for a thread that was woken for other work:
 *
 *   counting sleepers                         ours
 *   submit 1: wakes thread A                  submit 1: one work, one idle: wakes A
 *   submit 2: A sleeps, it seems: wakes A     submit 2: two works, one idle: makes thread B
 *   A runs work 1 for ever; work 2 waits      A and B take one each
 *
 * A thread that could not be started was counted, too, for a while. If none is left then, nobody
 * will look at the queue: what is in it fails as the start did.
 *
 * Owns:       struct whorl_executor; struct whorl__work from its submission to its end.
 * Threads:    any. The executor is kept by a reference of its owner and one of each thread.
 * Invariant:  queued + waiting work is taken in the order of submission; WAITING only while the
 *             queue is full. threads <= threads_max. A thread leaves only when the queue is empty:
 *             it stops counting as one of `threads` in the same section, and of `alive` when all
 *             that it does of the user's is over.
 *             Who is claimed here (PARKED to LIVE) is queued after the unlock, as in future.c.
 * Pairs:      K1 of spinlock.h for all that the lock protects.
 *             J1  start: thread := its handle, started := 1 (release) - join: started (acquire)
 *             J2  threads let go of the executor (release half) - who frees it (acquire half)
 * Not chosen: a lock-free queue: a thread's wake-up costs a thousand times what the lock does.
 *             Taking cancelled work out of the queue when its future is cancelled: whoever cancels
 *             would need the executor's lock; a thread drops it, or a submitter who finds no room.
 *             A second file for the threads: they and the queue are one protocol, under one lock.
 */
#include "task/executor.h"

#include "task/context.h"
#include "task/park.h"
#include "task/task.h"

#include "sys/os.h"
#include "sys/tls.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define THREADS_MORE 4
#define THREADS_MOST 32

/* One thread; freed by who joins it. */
struct whorl__member {
    struct whorl_executor *executor; /* C */
    pthread_t thread;                /* by thread_start, then C */
    uint32_t started;                /* A: J1 */
    unsigned number;                 /* C */
};

/* Who is to be told once the lock is gone. */
struct told {
    struct whorl__fifo tasks;   /* claimed submitters */
    struct whorl__list dropped; /* work that will not run */
    unsigned ring;              /* how many idle threads to wake */
};

/* ---- after the unlock ---- */

static void told_init(struct told *told)
{
    whorl__fifo_init(&told->tasks);
    whorl__list_init(&told->dropped);
    told->ring = 0;
}

static struct whorl__work *work_of(struct whorl__list *link)
{
    return whorl_container_of(link, struct whorl__work, link);
}

/* Its part is over: the argument goes, then the future hears of it. */
static void end_work(struct whorl__work *work, const struct whorl__outcome *outcome)
{
    whorl__context_release(work->context, NULL);
    if (work->arg_free != NULL) {
        work->arg_free(work->arg);
    }
    (void)whorl__future_complete(&work->head.future, outcome); /* or it was cancelled meanwhile */
    whorl_future_unref(&work->head.future);
}

/* With the error, or, if 0, as cancelled. */
static void end_dropped(struct whorl__work *work, int error)
{
    end_work(work, &(struct whorl__outcome){.error = error != 0 ? error : -ECANCELED,
                                            .cancelled = error == 0});
}

static void tell(struct whorl_executor *executor, struct told *told, int error)
{
    struct whorl__fifo_node *node;
    struct whorl__list *link;
    if (told->ring > 0) {
        (void)whorl__os->futex_wake(&executor->bell, (int)told->ring);
    }
    while ((node = whorl__fifo_pop(&told->tasks)) != NULL) {
        whorl__sched_submit(whorl__task_of_ready(node));
    }
    while ((link = whorl__list_pop_front(&told->dropped)) != NULL) {
        end_dropped(work_of(link), error);
    }
}

static void let_go(struct whorl_executor *executor)
{
    if (whorl__add_u32(&executor->references, (uint32_t)-1) == 1) { /* J2 */
        whorl__plain_write(&executor->queue);
        whorl_future_unref(executor->ended);
        whorl__os->free(executor);
    }
}

/* ---- the queue ---- */

/* Who waits for room is taken off `waiting`, and learns what came of it. */
static void answer_locked(struct whorl__work *work, enum whorl__work_place place, struct told *told)
{
    struct whorl_executor *const executor = work->executor;
    WHORL_ASSERT(work->place == WHORL__WORK_WAITING);
    whorl__list_remove(&work->link);
    executor->blocked--;
    work->place = place;
    if (work->submitter == NULL) {
        whorl__store_release_u32(&work->answered, 1); /* it takes the lock before it goes */
        (void)whorl__os->futex_wake(&work->answered, 1);
    } else if (work->handle != 0 &&
               whorl__state_wake(&work->submitter->word, whorl__handle_epoch(work->handle)) ==
                   WHORL__WAKE_TAKEN) {
        whorl__fifo_push(&told->tasks, &work->submitter->ready);
    }
}

static void ring_locked(struct whorl_executor *executor, struct told *told, unsigned count)
{
    (void)whorl__add_u32(&executor->bell, 1); /* under the lock; read there, and by the kernel */
    told->ring += count;
}

static void enqueue_locked(struct whorl__work *work, struct told *told)
{
    struct whorl_executor *const executor = work->executor;
    work->place = WHORL__WORK_QUEUED;
    whorl__list_push_back(&executor->queue, &work->link);
    executor->queued++;
    if (executor->idle > 0) {
        ring_locked(executor, told, 1);
    }
}

/* What idle threads are about to take does not count. */
static bool is_full_locked(const struct whorl_executor *executor)
{
    const size_t limit = executor->options.queue_max;
    return limit != 0 && (executor->queued >= limit + executor->idle || executor->blocked > 0);
}

static bool has_room_locked(const struct whorl_executor *executor)
{
    return executor->queued < executor->options.queue_max + executor->idle;
}

static void admit_locked(struct whorl_executor *executor, struct told *told)
{
    while (executor->blocked > 0 && has_room_locked(executor)) {
        struct whorl__work *const work = work_of(executor->waiting.next);
        answer_locked(work, WHORL__WORK_QUEUED, told);
        enqueue_locked(work, told);
    }
}

static void drop_locked(struct whorl__work *work, struct told *told)
{
    whorl__list_remove(&work->link);
    work->executor->queued--;
    work->executor->done++;
    work->place = WHORL__WORK_DROPPED;
    whorl__list_push_back(&told->dropped, &work->link);
}

/* Drops what is queued: all of it, or what was cancelled. */
static void clear_locked(struct whorl_executor *executor, bool all, struct told *told)
{
    struct whorl__list *next;
    for (struct whorl__list *link = executor->queue.next; link != &executor->queue; link = next) {
        next = link->next;
        if (all || whorl__future_is_done(&work_of(link)->head.future)) {
            drop_locked(work_of(link), told);
        }
    }
}

static void refuse_locked(struct whorl_executor *executor, int error, struct told *told)
{
    while (executor->blocked > 0) {
        struct whorl__work *const work = work_of(executor->waiting.next);
        work->refusal = error;
        answer_locked(work, WHORL__WORK_DROPPED, told);
    }
}

/* ---- threads ---- */

static void wait_until_started(const struct whorl__member *member)
{
    while (whorl__load_acquire_u32(&member->started) == 0) { /* acquire, J1 */
        whorl__os->yield(); /* who has started it is about to say so */
    }
}

static void join_member(struct whorl__member *member)
{
    if (member != NULL) {
        wait_until_started(member);
        (void)whorl__os->thread_join(member->thread);
        whorl__os->free(member);
    }
}

static void detach_self(struct whorl__member *member)
{
    wait_until_started(member);
    whorl__os->thread_detach(member->thread);
    whorl__os->free(member);
}

/* It takes no more work; with the look that found none. */
static void count_out_locked(struct whorl_executor *executor)
{
    executor->idle--;
    executor->threads--;
}

/* Whether it was the last of a closed executor. */
static bool end_of_thread_locked(struct whorl_executor *executor)
{
    executor->alive--;
    return executor->closed && executor->alive == 0;
}

/* The thread is counted out of `threads` already. */
static void leave(struct whorl__member *member)
{
    struct whorl_executor *const executor = member->executor;
    struct whorl__member *before = NULL;
    whorl__executor_lock(executor);
    const bool alone = executor->abandoned;
    const bool last = end_of_thread_locked(executor);
    if (!alone) {
        before = executor->left;
        executor->left = member;
    }
    whorl__executor_unlock(executor);
    if (alone) {
        detach_self(member);
    }
    join_member(before);
    if (last) {
        (void)whorl_future_set_result(executor->ended, NULL);
    }
    let_go(executor);
}

static void name_thread(const struct whorl__member *member)
{
    char name[WHORL_EXECUTOR_NAME_MAX + 16];
    snprintf(name, sizeof name, "%.10s-%u", member->executor->name, member->number);
    name[15] = '\0';
    (void)pthread_setname_np(pthread_self(), name);
}

/* The first in the queue, or NULL: it is empty. */
static struct whorl__work *take_locked(struct whorl_executor *executor, struct told *told)
{
    struct whorl__list *const link = whorl__list_pop_front(&executor->queue);
    if (link == NULL) {
        return NULL;
    }
    work_of(link)->place = WHORL__WORK_TAKEN;
    executor->queued--;
    executor->idle--;
    admit_locked(executor, told);
    return work_of(link);
}

static int64_t idle_deadline(const struct whorl_executor *executor)
{
    return whorl_after(executor->options.idle_ns);
}

/* An idle thread's next work; NULL: it leaves, and is counted out. */
static struct whorl__work *next_work(struct whorl_executor *executor)
{
    const int64_t deadline_ns = idle_deadline(executor);
    struct told told;
    struct whorl__work *work;
    bool late = false;
    told_init(&told);
    whorl__executor_lock(executor);
    while ((work = take_locked(executor, &told)) == NULL && !executor->closed && !late) {
        const uint32_t bell = whorl__load_relaxed_u32(&executor->bell); /* relaxed: locked */
        whorl__executor_unlock(executor);
        late = whorl__os->futex_wait(&executor->bell, bell, deadline_ns) == -ETIMEDOUT;
        whorl__executor_lock(executor);
    }
    if (work == NULL) {
        count_out_locked(executor);
    }
    whorl__executor_unlock(executor);
    tell(executor, &told, 0);
    return work;
}

static void call_body(void *arg)
{
    struct whorl__work *const work = arg;
    work->error = work->body(work->arg);
}

static void run_work(struct whorl__work *work)
{
    struct whorl__outcome outcome = {.error = -ECANCELED, .cancelled = true};
    whorl__plain_write(&work->value);
    if (!whorl__future_is_done(&work->head.future)) {
        whorl__tls_set_work(work);
        whorl__context_call(&work->context, call_body, work);
        whorl__tls_set_work(NULL);
        WHORL_CHECK(!whorl__fork_inherited(work->executor->generation),
                    "work has returned in a child of fork, where its executor is not: exit, or "
                    "exec");
        outcome = (struct whorl__outcome){.error = work->error,
                                          .value = work->error == 0 ? work->value : NULL};
    }
    end_work(work, &outcome);
}

static void become_idle(struct whorl_executor *executor)
{
    whorl__executor_lock(executor);
    executor->done++;
    executor->idle++;
    whorl__executor_unlock(executor);
}

/* 0, or what thread_begin said: all that is there fails with it, and all that comes. */
static int begin_thread(struct whorl__member *member)
{
    struct whorl_executor *const executor = member->executor;
    const struct whorl_executor_options *const options = &executor->options;
    struct told told;
    name_thread(member);
    const int error = options->thread_begin != NULL ? options->thread_begin(options->hook_arg) : 0;
    if (error == 0) {
        return 0;
    }
    told_init(&told);
    whorl__executor_lock(executor);
    executor->broken = executor->broken != 0 ? executor->broken : error;
    executor->closed = true;
    clear_locked(executor, true, &told);
    refuse_locked(executor, error, &told);
    count_out_locked(executor);
    ring_locked(executor, &told, executor->threads);
    whorl__executor_unlock(executor);
    tell(executor, &told, error);
    return error;
}

static void *thread_main(void *arg)
{
    struct whorl__member *const member = arg;
    struct whorl_executor *const executor = member->executor;
    struct whorl__work *work;
    if (begin_thread(member) == 0) {
        while ((work = next_work(executor)) != NULL) {
            run_work(work);
            become_idle(executor);
        }
        if (executor->options.thread_end != NULL) {
            executor->options.thread_end(executor->options.hook_arg);
        }
    }
    leave(member);
    return NULL;
}

static int start_member(struct whorl_executor *executor, unsigned number)
{
    struct whorl__member *const member = whorl__os->alloc(sizeof *member);
    if (member == NULL) {
        return -ENOMEM;
    }
    *member = (struct whorl__member){.executor = executor, .number = number};
    (void)whorl__add_u32(&executor->references, 1);
    const int error = whorl__os->thread_start_quiet(&member->thread, thread_main, member);
    if (error != 0) {
        (void)whorl__add_u32(&executor->references, (uint32_t)-1); /* the caller has another */
        whorl__os->free(member);
        return error == -EPERM ? -EAGAIN : error;
    }
    whorl__store_release_u32(&member->started, 1); /* J1; the last look at it */
    return 0;
}

static bool wants_thread_locked(const struct whorl_executor *executor)
{
    return !executor->closed && executor->queued + 1 > executor->idle &&
           executor->threads < executor->threads_max;
}

/* Locked before and after, not meanwhile. If no thread is left, work that has counted on this one
 * fails with it. */
static void undo_start_locked(struct whorl_executor *executor, int error)
{
    struct told told;
    told_init(&told);
    count_out_locked(executor);
    const bool last = end_of_thread_locked(executor);
    if (executor->threads == 0) {
        clear_locked(executor, true, &told);
        refuse_locked(executor, error, &told);
    }
    whorl__executor_unlock(executor);
    tell(executor, &told, error);
    if (last) { /* closed meanwhile, and nobody else will say it */
        (void)whorl_future_set_result(executor->ended, NULL);
    }
    whorl__executor_lock(executor);
}

/* Locked before and after, not meanwhile. An error only if there is no thread at all. */
static int make_threads(struct whorl_executor *executor)
{
    int error = 0;
    while (error == 0 && wants_thread_locked(executor)) {
        const unsigned number = executor->numbers++;
        executor->threads++;
        executor->alive++;
        executor->idle++;
        whorl__executor_unlock(executor);
        error = start_member(executor, number);
        whorl__executor_lock(executor);
        if (error != 0) {
            undo_start_locked(executor, error);
        }
    }
    return executor->threads > 0 ? 0 : error;
}

/* ---- room ---- */

bool whorl__executor_waits(struct whorl__work *work, struct whorl_task *task)
{
    whorl__executor_lock(work->executor);
    const bool waits = work->place == WHORL__WORK_WAITING;
    if (waits && task != NULL) {
        work->submitter = task;
        work->handle = whorl__park_begin(task);
    }
    whorl__executor_unlock(work->executor);
    return waits;
}

bool whorl__executor_give_up(struct whorl__work *work)
{
    whorl__executor_lock(work->executor);
    const bool waits = work->place == WHORL__WORK_WAITING;
    if (waits) {
        whorl__list_remove(&work->link);
        work->executor->blocked--;
        work->place = WHORL__WORK_DROPPED;
    }
    whorl__executor_unlock(work->executor);
    return waits;
}

/* ---- submitting ---- */

static int refusal_locked(const struct whorl_executor *executor)
{
    return executor->broken != 0 ? executor->broken : executor->closed ? -ESHUTDOWN : 0;
}

/* 0: it is queued, or waits for room. */
static int place_locked(struct whorl__work *work, bool try, struct told *told)
{
    struct whorl_executor *const executor = work->executor;
    if (is_full_locked(executor)) {
        clear_locked(executor, false, told); /* cancelled work needs no room */
        admit_locked(executor, told);
    }
    if (!is_full_locked(executor)) {
        enqueue_locked(work, told);
        return 0;
    }
    if (try) {
        return -EAGAIN;
    }
    if (whorl__loop_current() != NULL && whorl__task_current() == NULL) {
        return -EPERM;
    }
    work->place = WHORL__WORK_WAITING;
    work->submitter = whorl__task_current();
    work->handle = 0; /* it has not begun to wait, and will look before it does */
    whorl__store_relaxed_u32(&work->answered, 0); /* relaxed: locked */
    whorl__list_push_back(&executor->waiting, &work->link);
    executor->blocked++;
    return 0;
}

int whorl__executor_add(struct whorl__work *work, bool try)
{
    struct whorl_executor *const executor = work->executor;
    struct told told;
    told_init(&told);
    work->place = WHORL__WORK_TAKEN; /* by nobody yet: in neither list */
    whorl__executor_lock(executor);
    int error = make_threads(executor);
    const int refusal = refusal_locked(executor);
    error = refusal != 0 ? refusal : error;
    if (error == 0) {
        error = place_locked(work, try, &told);
    }
    whorl__executor_unlock(executor);
    tell(executor, &told, 0);
    return error;
}

void whorl__executor_withdraw(struct whorl__work *work)
{
    struct told told;
    told_init(&told);
    whorl__executor_lock(work->executor);
    if (work->place == WHORL__WORK_QUEUED) {
        drop_locked(work, &told);
        admit_locked(work->executor, &told);
    }
    whorl__executor_unlock(work->executor);
    tell(work->executor, &told, 0);
}

/* ---- closing ---- */

void whorl__executor_close(struct whorl_executor *executor, bool cancel)
{
    struct told told;
    told_init(&told);
    whorl__executor_lock(executor);
    executor->closed = true;
    if (cancel) {
        clear_locked(executor, true, &told);
    }
    refuse_locked(executor, -ESHUTDOWN, &told);
    const bool last = executor->alive == 0;
    ring_locked(executor, &told, executor->threads);
    whorl__executor_unlock(executor);
    tell(executor, &told, 0);
    if (last) {
        (void)whorl_future_set_result(executor->ended, NULL);
    }
}

unsigned whorl__executor_threads(struct whorl_executor *executor)
{
    whorl__executor_lock(executor);
    const unsigned threads = executor->threads;
    whorl__executor_unlock(executor);
    return threads;
}

/* ---- its life ---- */

static unsigned count_cores(void)
{
    const struct whorl_task *const task = whorl__task_current();
    cpu_set_t allowed;
    if (task != NULL) { /* a described machine, and a simulated one, are as they say */
        return (unsigned)whorl__topology_loops(task->runtime->topology);
    }
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? (unsigned)CPU_COUNT(&allowed) : 1;
}

static unsigned default_threads(void)
{
    const unsigned wanted = count_cores() + THREADS_MORE;
    return wanted < THREADS_MOST ? wanted : THREADS_MOST;
}

static int check_executor_options(const struct whorl_executor_options *options)
{
    const bool ok = options->threads_max >= 0 && options->idle_ns >= 0 &&
                    whorl__reserved_ok(options->reserved, WHORL__RESERVED(options));
    return ok ? 0 : -EINVAL;
}

static void fill(struct whorl_executor *executor, const struct whorl_executor_options *options)
{
    memset(executor, 0, sizeof *executor);
    executor->references = 1;
    executor->generation = whorl__fork_generation;
    whorl__list_init(&executor->queue);
    whorl__list_init(&executor->waiting);
    executor->options = *options;
    executor->threads_max =
        options->threads_max > 0 ? (unsigned)options->threads_max : default_threads();
    executor->options.idle_ns = options->idle_ns > 0 ? options->idle_ns : WHORL__EXECUTOR_IDLE_NS;
    snprintf(executor->name, sizeof executor->name, "%s",
             options->name != NULL ? options->name : "whorl-pool");
    executor->options.name = executor->name;
}

int whorl_executor_new(const struct whorl_executor_options *options,
                       struct whorl_executor **ret_executor)
{
    if (ret_executor == NULL) {
        return -EINVAL;
    }
    static const struct whorl_executor_options defaults;
    const struct whorl_executor_options *const chosen = options != NULL ? options : &defaults;
    struct whorl_future *ended;
    if (check_executor_options(chosen) != 0) {
        return -EINVAL;
    }
    if (whorl_future_new(&ended) != 0) {
        return -ENOMEM;
    }
    struct whorl_executor *const executor = whorl__os->alloc(sizeof *executor);
    if (executor == NULL) {
        whorl_future_unref(ended);
        return -ENOMEM;
    }
    fill(executor, chosen);
    executor->ended = ended;
    *ret_executor = executor;
    return 0;
}

static void join_left(struct whorl_executor *executor)
{
    whorl__executor_lock(executor);
    struct whorl__member *const left = executor->left;
    executor->left = NULL;
    whorl__executor_unlock(executor);
    join_member(left);
}

int whorl_executor_shutdown(struct whorl_executor *executor, unsigned flags, int64_t deadline_ns)
{
    if (executor == NULL) {
        return -EINVAL;
    }
    const struct whorl__work *const work = whorl__tls_work();
    if (whorl__executor_is_inherited(executor)) {
        return -ECHILD;
    }
    if ((flags & ~(unsigned)WHORL_SHUTDOWN_CANCEL_PENDING) != 0 || deadline_ns < 0) {
        return -EINVAL;
    }
    whorl__executor_close(executor, (flags & WHORL_SHUTDOWN_CANCEL_PENDING) != 0);
    if (deadline_ns == 0) {
        return whorl__future_is_done(executor->ended) ? 0 : -ETIMEDOUT;
    }
    if (work != NULL && work->executor == executor) {
        return -EDEADLK;
    }
    const int error = whorl_future_join(executor->ended, deadline_ns, NULL);
    if (error == 0) {
        join_left(executor); /* it has nothing left to do */
    }
    return error;
}

void whorl_executor_free(struct whorl_executor *executor)
{
    if (executor == NULL || whorl__executor_is_inherited(executor)) {
        return;
    }
    whorl__executor_close(executor, false);
    whorl__executor_lock(executor);
    executor->abandoned = true;
    whorl__executor_unlock(executor);
    join_left(executor);
    let_go(executor);
}

int whorl_executor_stats(struct whorl_executor *executor, struct whorl_executor_stats *ret_stats)
{
    if (ret_stats == NULL) {
        return -EINVAL;
    }
    const int error = executor != NULL ? 0 : whorl__executor_look_default(&executor);
    if (error != 0) {
        return error;
    }
    if (executor != NULL && whorl__executor_is_inherited(executor)) {
        return -ECHILD;
    }
    memset(ret_stats, 0, sizeof *ret_stats);
    if (executor != NULL) {
        whorl__executor_lock(executor);
        ret_stats->threads = executor->threads;
        ret_stats->idle = executor->idle;
        ret_stats->queued = executor->queued;
        ret_stats->blocked = executor->blocked;
        ret_stats->done = executor->done;
        whorl__executor_unlock(executor);
    }
    return 0;
}
