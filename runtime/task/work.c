/*
 * work.c - work on its way into an executor: made, submitted, kept waiting for room, awaited.
 *
 * A full queue makes its submitter wait; a task parks, a plain thread blocks. The answer is given
 * under the executor's lock, and whoever is woken for another reason looks there:
 *
 *   losing order                               ours
 *   thread: there is room: takes the work in   thread: the same, under the lock
 *   task:   is cancelled, returns -ECANCELED   task:   is cancelled, takes the lock, finds the work
 *           and frees the argument                     in: succeeds, and the cancel stays pending
 *   thread: runs the work
 *
 * Owns:       nothing; struct whorl__work is the executor's from its submission on.
 * Threads:    any.
 */
#include "task/executor.h"

#include "task/cancel.h"
#include "task/context.h"
#include "task/park.h"
#include "task/task.h"

#include "sys/os.h"
#include "sys/tls.h"

#include <errno.h>
#include <string.h>

#define WORK_FLAGS ((unsigned)(WHORL_WORK_TRY | WHORL_WORK_FINISH | WHORL_WORK_CONTEXT))

/* ---- room ---- */

/* A cancel that comes when there is room already stays pending: the work is in. */
static int wait_in_task(struct whorl_task *task, struct whorl__work *work)
{
    while (whorl__executor_waits(work, task)) {
        whorl__park(task, WHORL__PARK_SLEEP);
        if (whorl__state_cancel_pending(&task->word) && whorl__executor_give_up(work)) {
            return whorl__cancel_take(task) ? -ECANCELED : -EAGAIN;
        }
    }
    return 0;
}

static void wait_in_thread(struct whorl__work *work)
{
    /* acquire, pairs the release in answer_locked */
    while (whorl__load_acquire_u32(&work->answered) == 0) {
        (void)whorl__os->futex_wait(&work->answered, 0, WHORL_NEVER);
    }
    (void)whorl__executor_waits(work, NULL); /* who has answered is done with it */
}

/* Once it is on `waiting`. -EAGAIN: a cancel was made and taken back; it is off again. */
static int wait_for_room(struct whorl__work *work)
{
    struct whorl_task *const task = whorl__task_current();
    if (task != NULL) {
        const int error = wait_in_task(task, work);
        return error != 0 ? error : work->refusal;
    }
    wait_in_thread(work);
    return work->refusal;
}

/* ---- submitting ---- */

static int submit(struct whorl__work *work, bool try)
{
    int error;
    do {
        error = whorl__executor_add(work, try);
        if (error == 0 && whorl__executor_waits(work, NULL)) {
            error = wait_for_room(work);
        }
    } while (error == -EAGAIN && !try && work->place == WHORL__WORK_DROPPED);
    return error;
}

static int make_work(whorl_body *body, void *arg, const struct whorl_work_attr *attr,
                     struct whorl__work **ret_work)
{
    static const struct whorl_work_attr plain;
    const struct whorl_work_attr *const wanted = attr != NULL ? attr : &plain;
    if (body == NULL || (wanted->flags & ~WORK_FLAGS) != 0 ||
        !whorl__reserved_ok(wanted->reserved, WHORL__RESERVED(wanted))) {
        return -EINVAL;
    }
    struct whorl__work *const work = whorl__os->alloc(sizeof *work);
    if (work == NULL) {
        return -ENOMEM;
    }
    memset(work, 0, sizeof *work);
    whorl__future_init(&work->head.future, WHORL__FUTURE_PLAIN, 2);
    work->head.generation = whorl__fork_generation;
    work->body = body;
    work->arg = arg;
    work->arg_free = wanted->arg_free;
    if (wanted->flags & WHORL_WORK_CONTEXT) {
        work->context = whorl__context_capture();
    }
    *ret_work = work;
    return 0;
}

/* ---- public ---- */

int whorl_executor_submit(struct whorl_executor *executor, whorl_body *body, void *arg,
                          const struct whorl_work_attr *attr, struct whorl_future **ret_future)
{
    struct whorl__work *work;
    int error = executor != NULL ? 0 : whorl__executor_find_default(&executor);
    if (error == 0 && whorl__executor_is_inherited(executor)) {
        error = -ECHILD;
    }
    if (error == 0) {
        error = make_work(body, arg, attr, &work);
    }
    if (error != 0) {
        return error;
    }
    work->executor = executor;
    error = submit(work, attr != NULL && (attr->flags & WHORL_WORK_TRY) != 0);
    if (error != 0) {
        whorl__context_release(work->context, NULL);
        whorl__os->free(work); /* nobody else knows of it */
        return error;
    }
    if (ret_future != NULL) {
        *ret_future = &work->head.future;
    } else {
        whorl_future_unref(&work->head.future);
    }
    return 0;
}

/* Until the function has ended, or will not begin, however often the caller is cancelled. */
static int see_to_its_end(struct whorl_future *future, void **ret_value)
{
    bool cancelled = false;
    int error;
    do {
        error = whorl_future_join(future, WHORL_NEVER, ret_value);
        if (error == -ECANCELED && !cancelled) {
            cancelled = true;
            whorl__executor_withdraw(whorl_container_of(future, struct whorl__work, head.future));
        }
    } while (!whorl__future_is_done(future));
    return cancelled ? -ECANCELED : error;
}

/*
 * In strict order a result takes the passes that it takes in asyncio: the thread posts it, a pass
 * copies it into a future, the next one wakes the caller. A wait that parked was one of the two.
 */
static int take_passes(const struct whorl_task *task, bool waited)
{
    int error = 0;
    if (task->loop->strict) {
        error = waited ? 0 : whorl_yield();
        error = error == 0 ? whorl_yield() : error;
    }
    return error;
}

static int wait_for_end(struct whorl_future *future, bool finish, void **ret_value)
{
    struct whorl_task *const task = whorl__task_current();
    const bool waits = !whorl__future_is_done(future);
    void *value = NULL;
    int error =
        finish ? see_to_its_end(future, &value) : whorl_future_await(future, &value);
    if (error != -ECANCELED && take_passes(task, waits) != 0) {
        error = -ECANCELED;
    }
    if (error == 0 && ret_value != NULL) {
        *ret_value = value;
    }
    return error;
}

int whorl_to_thread(whorl_body *body, void *arg, const struct whorl_work_attr *attr,
                    void **ret_value)
{
    if (body == NULL) {
        return -EINVAL;
    }
    struct whorl_work_attr wanted = attr != NULL ? *attr : (struct whorl_work_attr){0};
    struct whorl_future *future;
    int error = whorl__task_current() != NULL ? 0 : whorl__error_outside();
    wanted.flags |= WHORL_WORK_CONTEXT;
    if (error == 0) {
        error = whorl_executor_submit(NULL, body, arg, &wanted, &future);
    }
    if (error != 0) {
        return error;
    }
    error = wait_for_end(future, (wanted.flags & WHORL_WORK_FINISH) != 0, ret_value);
    whorl_future_unref(future);
    return error;
}

int whorl__work_return(void *value)
{
    struct whorl__work *const work = whorl__tls_work();
    if (work == NULL) {
        return whorl__error_outside();
    }
    work->value = value;
    return 0;
}
