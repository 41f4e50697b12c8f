/*
 * runner.c - running programs: whorl_run, and a runtime that runs several.
 *
 *   new ... run, run, spawn ... close ... free
 *
 *            life     run and spawn               close
 *   OPEN     from new on    a main, or a task     the first one ends and stops the runtime
 *   CLOSING  close          refused: the runtime  others wait
 *            is at work     takes no new tasks
 *   CLOSED   until free     the same              nothing is left to do
 *
 * A main task is awaited as any plain thread would; who waits for it holds a reference to the task
 * and nothing else, so the runtime may be closed, and even freed, under him: his main is cancelled
 * as all are, and its slot stays until he has let go of it.
 *
 * Owns:       runtime->life, main_context.
 * Threads:    any that is no loop.
 * Invariant:  the first close alone ends and stops; after CLOSED there are slots, and this word.
 * Pairs:      E3  close: all is stopped, then life := CLOSED (release) - another close, whose
 *                 caller may count on that: life (acquire).
 * Not chosen: a handle of its own memory, with a count of calls inside: the runtime already counts
 *             guests, for foreign spawns, and keeps its slots for who refers to tasks.
 */
#include "runtime.h"

#include "sys/os.h"
#include "task/task.h"

#include <errno.h>
#include <limits.h>

enum { OPEN, CLOSING, CLOSED };

static struct whorl__runtime *inside(struct whorl_runtime *runtime)
{
    return (struct whorl__runtime *)(void *)runtime;
}

/* ---- a main task ---- */

static int await_main(struct whorl_task *main_task, bool handles)
{
    const int error = handles ? whorl__sigint_await(main_task) : whorl_await(main_task, NULL);
    whorl_task_unref(main_task);
    return error;
}

static int run_main(struct whorl__runtime *runtime, whorl_body *body, void *arg, bool sigint)
{
    struct whorl_task *main_task;
    const bool handles = sigint && whorl__sigint_begin();
    const int error = whorl__task_spawn_main(runtime, body, arg, &main_task);
    if (error == 0) {
        return await_main(main_task, handles);
    }
    if (handles) {
        whorl__sigint_end();
    }
    return error;
}

/* ---- the end ---- */

/* True: it was this call that ended it. */
static bool close_runtime(struct whorl__runtime *runtime)
{
    uint32_t life = OPEN;
    if (whorl__cas_value_u32(&runtime->life, &life, CLOSING)) {
        whorl__runtime_end(runtime);
        whorl__runtime_stop(runtime);
        whorl_context_unref(runtime->main_context);
        whorl__plain_write(&runtime->loops);
        whorl__store_release_u32(&runtime->life, CLOSED); /* pairs E3 */
        (void)whorl__os->futex_wake(&runtime->life, INT_MAX);
        return true;
    }
    while ((life = whorl__load_acquire_u32(&runtime->life)) != CLOSED) { /* pairs E3 */
        (void)whorl__os->futex_wait(&runtime->life, life, WHORL_NEVER);
    }
    whorl__plain_read(&runtime->loops);
    return false;
}

/* ---- once ---- */

static int run_once(whorl_body *body, void *arg, const struct whorl_options *options, bool sigint)
{
    struct whorl__runtime *runtime;
    if (body == NULL) {
        return -EINVAL;
    }
    int error = whorl__runtime_start(options, &runtime);
    if (error != 0) {
        return error;
    }
    error = run_main(runtime, body, arg, sigint && runtime->handle_sigint);
    (void)close_runtime(runtime);
    whorl__runtime_let_go(runtime);
    return error;
}

int whorl__run(whorl_body *body, void *arg, const struct whorl_options *options)
{
    return run_once(body, arg, options, false);
}

int whorl_run(whorl_body *body, void *arg, const struct whorl_options *options)
{
    if (!whorl__process_enter()) {
        return -EBUSY;
    }
    const int error = run_once(body, arg, options, true);
    whorl__process_leave();
    return error;
}

/* ---- several times ---- */

/* With a context for its mains, a copy of the caller's. */
static int start_runtime(const struct whorl_options *options, struct whorl__runtime **ret_runtime)
{
    const int error = whorl__runtime_start(options, ret_runtime);
    if (error != 0 || whorl_context_copy(&(*ret_runtime)->main_context) == 0) {
        return error;
    }
    (void)close_runtime(*ret_runtime);
    whorl__runtime_let_go(*ret_runtime);
    return -ENOMEM;
}

int whorl_runtime_new(const struct whorl_options *options, struct whorl_runtime **ret_runtime)
{
    struct whorl__runtime *runtime;
    if (ret_runtime == NULL) {
        return -EINVAL;
    }
    if (!whorl__process_enter()) {
        return -EBUSY;
    }
    const int error = start_runtime(options, &runtime);
    if (error != 0) {
        whorl__process_leave();
        return error;
    }
    *ret_runtime = (struct whorl_runtime *)(void *)runtime;
    return 0;
}

/* What is asked of every call from outside. */
static int check_outside(const struct whorl__runtime *runtime)
{
    if (runtime == NULL) {
        return -EINVAL;
    }
    if (whorl__fork_inherited(runtime->generation)) {
        return -ECHILD;
    }
    return whorl__loop_current() != NULL ? -EBUSY : 0;
}

int whorl_runtime_run(struct whorl_runtime *runtime, whorl_body *body, void *arg)
{
    int error = check_outside(inside(runtime));
    if (error == 0) {
        error = run_main(inside(runtime), body, arg, inside(runtime)->handle_sigint);
    }
    return error;
}

int whorl_runtime_spawn(struct whorl_runtime *runtime, whorl_body *body, void *arg,
                        const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    if (runtime == NULL) {
        return -EINVAL;
    }
    if (whorl__fork_inherited(inside(runtime)->generation)) {
        return -ECHILD;
    }
    const int error = whorl__task_spawn_into(inside(runtime), body, arg, attr, ret_task);
    return error == -ECANCELED ? -ESHUTDOWN : error;
}

uint64_t whorl_runtime_id(struct whorl_runtime *runtime)
{
    if (runtime == NULL) {
        return 0;
    }
    return inside(runtime)->id;
}

int whorl_runtime_close(struct whorl_runtime *runtime)
{
    const int error = check_outside(inside(runtime));
    if (error == 0 && close_runtime(inside(runtime))) {
        whorl__process_leave();
    }
    return error;
}

int whorl_runtime_free(struct whorl_runtime *runtime)
{
    if (runtime == NULL) {
        return 0;
    }
    const int error = whorl_runtime_close(runtime);
    if (error == 0) {
        whorl__runtime_let_go(inside(runtime));
    }
    return error;
}
