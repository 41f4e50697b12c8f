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
 * as all are, and its slot stays until he has let go of it, with the words by which he is told.
 *
 * While it is OPEN it goes, or is stopped, as sched/halt.c draws it. A close goes on with what was
 * stopped, so that tasks can answer to their cancel.
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

#include "step.h"
#include "sys/os.h"
#include "task/future.h"
#include "task/task.h"

#include <errno.h>
#include <limits.h>

enum { OPEN, CLOSING, CLOSED };

static struct whorl__runtime *inside(struct whorl_runtime *runtime)
{
    return (struct whorl__runtime *)(void *)runtime;
}

/* ---- a run ---- */

static void sleep_on(uint32_t *word)
{
    /* relaxed: what it tells is read with the future's word, F1, or under the lock of halt.c */
    while (whorl__load_relaxed_u32(word) == 0) {
        (void)whorl__os->futex_wait(word, 0, WHORL_NEVER);
    }
}

/* The loops have threads: this one sleeps meanwhile. */
static int wait_until(struct whorl__runtime *runtime, struct whorl_future *future, bool has_main)
{
    struct whorl__waiter waiter = {.kind = WHORL__WAITER_THREAD};
    struct whorl__run run = {.word = &waiter.thread_word, .has_main = has_main};
    const int error = whorl__halt_run_begin(runtime, &run);
    if (error != 0) {
        return error;
    }
    if (whorl__future_add_waiter(future, &waiter)) {
        sleep_on(&waiter.thread_word);
        (void)whorl__future_call_off(future, &waiter);
        whorl__plain_write(&waiter.link); /* the frame goes: who still looks at it races */
    }
    return whorl__halt_run_end(runtime, &run);
}

/* Until the future is done, and then its result; or the run is ended before. */
static int run_until(struct whorl__runtime *runtime, struct whorl_future *future, bool has_main,
                     void **ret_value)
{
    const int error = runtime->stepped ? whorl__step_run(runtime, future)
                                       : wait_until(runtime, future, has_main);
    const bool ran = error == 0 || error == -EINPROGRESS;
    return ran && whorl__future_is_done(future) ? whorl_future_join(future, 0, ret_value) : error;
}

static int run_until_main(struct whorl_task *main_task)
{
    return run_until(main_task->runtime, &main_task->future, true, NULL);
}

static int await_main(struct whorl_task *main_task, bool handles)
{
    const int error =
        handles ? whorl__sigint_await(main_task, run_until_main) : run_until_main(main_task);
    whorl_task_unref(main_task);
    return error;
}

/* What is to be run, and as what. */
struct wanted {
    whorl_body *body;
    void *arg;
    const struct whorl_attr *attr; /* NULL: none */
};

static int run_main(struct whorl__runtime *runtime, const struct wanted *wanted, bool sigint)
{
    struct whorl_task *main_task;
    const bool handles = sigint && whorl__sigint_begin();
    const int error =
        whorl__task_spawn_main(runtime, wanted->body, wanted->arg, wanted->attr, &main_task);
    if (error == 0) {
        return await_main(main_task, handles);
    }
    if (handles) {
        whorl__sigint_end();
    }
    return error;
}

/* When no halt is under way; by the driver, if it has no threads. */
static int run_by_turn(struct whorl__runtime *runtime, const struct wanted *wanted, bool sigint)
{
    bool begun;
    int error = whorl__step_enter(runtime, &begun);
    if (error != 0) {
        return error;
    }
    if (!runtime->stepped) {
        whorl__halt_settle(runtime);
    }
    error = run_main(runtime, wanted, sigint);
    whorl__step_leave(runtime, begun);
    return error;
}

/* ---- the end ---- */

/* True: it was this call that ended it. */
static bool close_runtime(struct whorl__runtime *runtime)
{
    uint32_t life = OPEN;
    if (whorl__cas_value_u32(&runtime->life, &life, CLOSING)) {
        whorl__runtime_end(runtime);
        if (runtime->stepped) {
            whorl__step_finish(runtime);
        }
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

static void do_nothing(void)
{
}

/* By the driver, if it has no threads: 0, or -EBUSY. The first close calls first_does. */
static int close_by_turn(struct whorl__runtime *runtime, void (*first_does)(void))
{
    bool begun;
    const int error = whorl__step_enter(runtime, &begun);
    if (error != 0 && error != -ESHUTDOWN) { /* that is: another close is under way, or was */
        return error;
    }
    if (close_runtime(runtime)) {
        first_does();
    }
    return 0;
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
    const struct wanted wanted = {body, arg, NULL};
    error = run_by_turn(runtime, &wanted, sigint && runtime->handle_sigint);
    (void)close_by_turn(runtime, do_nothing);
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
    (void)close_by_turn(*ret_runtime, do_nothing);
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

int whorl_runtime_run_with(struct whorl_runtime *runtime, whorl_body *body, void *arg,
                           const struct whorl_attr *attr)
{
    int error = check_outside(inside(runtime));
    if (error == 0) {
        const struct wanted wanted = {body, arg, attr};
        error = run_by_turn(inside(runtime), &wanted, inside(runtime)->handle_sigint);
    }
    return error;
}

int whorl_runtime_run(struct whorl_runtime *runtime, whorl_body *body, void *arg)
{
    return whorl_runtime_run_with(runtime, body, arg, NULL);
}

/* A task of another runtime: this one's run would not make it go on. */
static bool is_strange(const struct whorl_future *future, const struct whorl__runtime *runtime)
{
    return future->kind == WHORL__FUTURE_TASK &&
           whorl_container_of(future, const struct whorl_task, future)->runtime != runtime;
}

int whorl_runtime_run_until(struct whorl_runtime *runtime, struct whorl_future *future,
                            void **ret_value)
{
    const int error = future == NULL ? -EINVAL : check_outside(inside(runtime));
    if (error != 0) {
        return error;
    }
    if (whorl__future_is_inherited(future)) {
        return -ECHILD;
    }
    if (is_strange(future, inside(runtime))) {
        return -EXDEV;
    }
    return run_until(inside(runtime), future, false, ret_value);
}

static int wait_for_stop(struct whorl__runtime *runtime)
{
    uint32_t word = 0;
    struct whorl__run run = {.word = &word};
    const int error = whorl__halt_run_begin(runtime, &run);
    if (error != 0) {
        return error;
    }
    sleep_on(&word);
    return whorl__halt_run_end(runtime, &run);
}

int whorl_runtime_run_forever(struct whorl_runtime *runtime)
{
    int error = check_outside(inside(runtime));
    if (error == 0) {
        error = inside(runtime)->stepped ? whorl__step_run(inside(runtime), NULL)
                                         : wait_for_stop(inside(runtime));
    }
    return error == -EINPROGRESS ? 0 : error;
}

/* ---- stopping ---- */

int whorl_runtime_stop(struct whorl_runtime *runtime)
{
    const struct whorl__loop *const here = whorl__loop_here();
    struct whorl__runtime *const meant =
        runtime == NULL && here != NULL ? here->runtime : inside(runtime);
    if (meant == NULL) {
        return whorl__error_outside();
    }
    if (whorl__fork_inherited(meant->generation)) {
        return -ECHILD;
    }
    const bool open = whorl__guest_enter(meant);
    if (open) {
        whorl__halt_ask(meant);
    }
    whorl__guest_leave(meant);
    return open ? 0 : -ESHUTDOWN;
}

int whorl_runtime_state(struct whorl_runtime *runtime)
{
    if (runtime == NULL) {
        return -EINVAL;
    }
    if (whorl__fork_inherited(inside(runtime)->generation)) {
        return -ECHILD;
    }
    const uint32_t life = whorl__load_acquire_u32(&inside(runtime)->life); /* pairs E3 */
    if (life != OPEN) {
        return life == CLOSED ? WHORL_RUNTIME_CLOSED : WHORL_RUNTIME_CLOSING;
    }
    /* relaxed, both: true of the moment before */
    const bool stands = inside(runtime)->stepped
                            ? whorl__load_relaxed_u32(&inside(runtime)->driver) == 0
                            : whorl__load_relaxed_u32(&inside(runtime)->halt.all) != 0;
    return stands ? WHORL_RUNTIME_STOPPED : WHORL_RUNTIME_GOING;
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
    return error != 0 ? error : close_by_turn(inside(runtime), whorl__process_leave);
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
