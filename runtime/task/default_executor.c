/*
 * default_executor.c - which executors a runtime has, and what becomes of them at its end.
 *
 * Owns:       struct whorl__executors of each runtime.
 * Threads:    its tasks; the end on the thread that ends the runtime, when no task is left.
 * Invariant:  what is on `owned` stays there till the end, closed or not: so a pointer found under
 *             the lock is good for as long as the task that found it runs.
 */
#include "task/executor.h"

#include "task/park.h"

#include <errno.h>

#define END_LIMIT_NS  (300 * WHORL_SECOND)
#define END_REPORT_NS (5 * WHORL_SECOND)

/* ---- the end of a runtime ---- */

static struct whorl_executor *close_all(struct whorl__runtime *runtime)
{
    struct whorl__executors *const all = &runtime->executors;
    whorl__spin_lock(&all->lock);
    struct whorl_executor *const owned = all->owned;
    all->closed = true;
    whorl__spin_unlock(&all->lock);
    for (struct whorl_executor *each = owned; each != NULL; each = each->next_owned) {
        whorl__executor_close(each, false);
    }
    return owned;
}

/* True: all its threads have ended. */
static bool await_end(struct whorl__runtime *runtime, struct whorl_executor *executor,
                      int64_t limit_ns)
{
    int64_t report_ns = whorl_after(END_REPORT_NS);
    for (;;) {
        const int64_t until_ns = report_ns < limit_ns ? report_ns : limit_ns;
        if (whorl_executor_shutdown(executor, 0, until_ns) == 0) {
            return true;
        }
        const bool over = whorl_now() >= limit_ns;
        whorl__log(runtime, "whorl: %u threads of executor \"%s\" have not ended; %s",
                   whorl__executor_threads(executor), executor->name,
                   over ? "going on without them" : "still waiting");
        if (over) {
            return false;
        }
        report_ns = whorl_after(12 * END_REPORT_NS);
    }
}

/* All tasks have ended; on the thread that ends the runtime. */
static void end_executors(struct whorl__at_end *self)
{
    struct whorl__runtime *const runtime =
        whorl_container_of(self, struct whorl__runtime, executors.at_end);
    struct whorl_executor *next = close_all(runtime);
    const int64_t limit_ns = whorl_after(END_LIMIT_NS);
    while (next != NULL) {
        struct whorl_executor *const executor = next;
        next = executor->next_owned;
        (void)await_end(runtime, executor, limit_ns);
        whorl_executor_free(executor);
    }
}

/* ---- the default executor ---- */

/* The end of the runtime is to be told of the first. */
static bool own_locked(struct whorl__executors *all, struct whorl_executor *executor)
{
    const bool first = all->owned == NULL;
    executor->next_owned = all->owned;
    all->owned = executor;
    all->chosen = executor;
    return first;
}

static void register_end(struct whorl__runtime *runtime)
{
    runtime->executors.at_end.function = end_executors;
    whorl__at_end_add(runtime, WHORL__AT_END_POOLS, &runtime->executors.at_end);
}

static int make_default(struct whorl__runtime *runtime, struct whorl_executor **ret_executor)
{
    struct whorl__executors *const all = &runtime->executors;
    struct whorl_executor *made;
    const int error = whorl_executor_new(NULL, &made);
    if (error != 0) {
        return error;
    }
    made->given = true;
    whorl__spin_lock(&all->lock);
    const bool mine = all->chosen == NULL && !all->closed;
    const bool first = mine && own_locked(all, made);
    *ret_executor = all->chosen;
    const bool closed = all->closed;
    whorl__spin_unlock(&all->lock);
    if (first) {
        register_end(runtime);
    }
    if (!mine) {
        whorl_executor_free(made);
    }
    return closed ? -ESHUTDOWN : 0;
}

/* NULL: none was used yet. */
static struct whorl_executor *look_default(struct whorl__runtime *runtime, bool *ret_closed)
{
    struct whorl__executors *const all = &runtime->executors;
    whorl__spin_lock(&all->lock);
    struct whorl_executor *const chosen = all->chosen;
    *ret_closed = all->closed;
    whorl__spin_unlock(&all->lock);
    return chosen;
}

int whorl__executor_look_default(struct whorl_executor **ret_executor)
{
    struct whorl_task *const task = whorl__task_current();
    bool closed;
    if (task == NULL) {
        return whorl__error_outside();
    }
    *ret_executor = look_default(task->runtime, &closed);
    return 0;
}

int whorl__executor_find_default(struct whorl_executor **ret_executor)
{
    struct whorl_task *const task = whorl__task_current();
    bool closed;
    if (task == NULL) {
        return whorl__error_outside();
    }
    *ret_executor = look_default(task->runtime, &closed);
    if (closed) {
        return -ESHUTDOWN;
    }
    return *ret_executor != NULL ? 0 : make_default(task->runtime, ret_executor);
}

int whorl_executor_set_default(struct whorl_executor *executor)
{
    struct whorl_task *const task = whorl__task_current();
    if (executor == NULL) {
        return -EINVAL;
    }
    if (task == NULL) {
        return whorl__error_outside();
    }
    struct whorl__executors *const all = &task->runtime->executors;
    whorl__executor_lock(executor);
    const bool given = executor->given;
    executor->given = true;
    whorl__executor_unlock(executor);
    if (given) {
        return -EALREADY;
    }
    whorl__spin_lock(&all->lock);
    struct whorl_executor *const before = all->chosen;
    const bool closed = all->closed;
    const bool first = !closed && own_locked(all, executor);
    whorl__spin_unlock(&all->lock);
    if (first) {
        register_end(task->runtime);
    }
    if (closed) {
        whorl__executor_lock(executor);
        executor->given = false;
        whorl__executor_unlock(executor);
        return -ESHUTDOWN;
    }
    if (before != NULL) {
        whorl__executor_close(before, false);
    }
    return 0;
}

int whorl_executor_shutdown_default(int64_t deadline_ns)
{
    const struct whorl_task *const task = whorl__task_current();
    int error = 0;
    if (task == NULL) {
        return whorl__error_outside();
    }
    struct whorl__runtime *const runtime = task->runtime;
    struct whorl_executor *each = close_all(runtime);
    for (; each != NULL && error == 0; each = each->next_owned) {
        error = whorl_executor_shutdown(each, 0, deadline_ns);
        if (error == -ETIMEDOUT) {
            whorl__log(runtime,
                       "whorl: executor \"%s\" was shut down, and %u of its threads have not ended "
                       "in time; going on",
                       each->name, whorl__executor_threads(each));
        }
    }
    return error;
}
