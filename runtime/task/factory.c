/*
 * factory.c - a function of the program that makes the tasks in place of the plain spawn.
 *
 *   whorl_spawn, groups, ... --no factory--------------------------> whorl__task_make
 *                            --factory--> the program's function --> whorl_task_make --+
 *
 * Owns:       struct whorl__factory of the runtime.
 * Threads:    any that spawns. The function is called without a lock, by several at once.
 * Invariant:  who sets it and who reads both words take the lock; whether there is one is a hint
 *             outside it, so that who has none pays one load.
 */
#include "task/task.h"

#include <errno.h>

int whorl__factory_spawn(struct whorl__runtime *runtime, whorl_body *body, void *arg,
                         const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    struct whorl__factory *const factory = &runtime->factory;
    const struct whorl_spawning spawning = {
        .body = body, .arg = arg, .attr = attr, .where = runtime};
    struct whorl_task *made = NULL;
    whorl__spin_lock(&factory->lock);
    whorl__plain_read(&factory->function);
    whorl_task_factory *const function = factory->function;
    void *const function_arg = factory->arg;
    whorl__spin_unlock(&factory->lock);
    const int error = function != NULL ? function(function_arg, &spawning, &made)
                                       : whorl_task_make(&spawning, &made);
    if (error != 0) {
        return error;
    }
    WHORL_CHECK(made != NULL, "a task factory has returned 0 and no task");
    if (ret_task != NULL) {
        *ret_task = made;
    } else {
        whorl_task_unref(made);
    }
    return 0;
}

/* ---- public ---- */

int whorl_task_make(const struct whorl_spawning *spawning, struct whorl_task **ret_task)
{
    if (spawning == NULL) {
        return -EINVAL;
    }
    struct whorl__runtime *const runtime = spawning->where;
    if (runtime == NULL || !whorl__reserved_ok(spawning->reserved, WHORL__RESERVED(spawning))) {
        return -EINVAL;
    }
    if (whorl__fork_inherited(runtime->generation)) {
        return -ECHILD;
    }
    struct whorl__loop *const here = whorl__loop_current();
    return whorl__task_make(runtime, here != NULL && here->runtime == runtime ? here : NULL,
                            spawning, ret_task);
}

int whorl_task_factory_eager(void *factory_arg, const struct whorl_spawning *spawning,
                             struct whorl_task **ret_task)
{
    (void)factory_arg;
    if (spawning == NULL) {
        return -EINVAL;
    }
    struct whorl_attr attr = {0};
    struct whorl_spawning eager = *spawning;
    if (spawning->attr != NULL) {
        attr = *spawning->attr;
    }
    attr.flags |= WHORL_EAGER;
    eager.attr = &attr;
    return whorl_task_make(&eager, ret_task);
}

int whorl_task_factory_set(whorl_task_factory *function, void *factory_arg)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    struct whorl__factory *const factory = &here->runtime->factory;
    whorl__spin_lock(&factory->lock);
    whorl__plain_write(&factory->function);
    factory->function = function;
    factory->arg = factory_arg;
    whorl__store_relaxed_u32(&factory->there, function != NULL); /* relaxed: a hint */
    whorl__spin_unlock(&factory->lock);
    return 0;
}

int whorl_task_factory_get(whorl_task_factory **ret_factory, void **ret_factory_arg)
{
    if (ret_factory == NULL) {
        return -EINVAL;
    }
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    struct whorl__factory *const factory = &here->runtime->factory;
    whorl__spin_lock(&factory->lock);
    whorl__plain_read(&factory->function);
    *ret_factory = factory->function;
    if (ret_factory_arg != NULL) {
        *ret_factory_arg = factory->arg;
    }
    whorl__spin_unlock(&factory->lock);
    return 0;
}
