/*
 * step.c - a runtime without threads: the caller drives its one loop, pass by pass.
 *
 *   begin ... step, next, wait in a main loop of the program's own ... end       again and again
 *
 *              runtime->driver   the loop
 *   nobody     0                 stands still; what comes is queued
 *   begun      a thread          belongs to that thread; it runs inside of step, and only there
 *   closed     who has closed    is gone
 *
 * Between two steps the thread is a plain one: what it gives to the runtime goes the way that every
 * other thread's goes. `next` is the last look before the program waits: from then on the loop
 * counts as asleep, and nothing is given to it without a wake-up, which makes its poller ready (P1
 * of loop/loop.c):
 *
 *   losing order                              ours
 *   driver: looks: nothing is ready           driver: sleeping := 1, full fence, looks
 *   thread: posts, does not wake: the loop    thread: posts, full fence, reads sleeping: wakes
 *           does not sleep
 *   driver: waits for its own descriptors
 *
 * A run of such a runtime, and its close, drive the loop themselves, on the thread that calls.
 *
 * Owns:       runtime->driver, driver_stack.
 * Threads:    begin: any plain one. The others: the one that has begun.
 * Invariant:  who has begun is the only one to touch the loop's own fields.
 * Pairs:      M1  end: driver := 0 (release) - begin: driver := thread (acquire half): one loop,
 *                 driven by one thread after the other
 * Not chosen: a thread that drives the loop and calls back into the program's: two threads where
 *             the program has one, which is what it wanted to avoid. A step that is called without
 *             a begin: the signal stack and the fiber's host would be looked up each time.
 */
#include "step.h"

#include "fiber/overflow.h"
#include "sys/os.h"
#include "task/callback.h"
#include "task/future.h"

#include <errno.h>
#include <pthread.h>

static uint32_t self(void)
{
    return (uint32_t)whorl__os->thread_id();
}

static bool is_mine(struct whorl__runtime *runtime)
{
    /* relaxed: it is this thread's number if this thread has stored it */
    return whorl__load_relaxed_u32(&runtime->driver) == self();
}

static int step_begin(struct whorl__runtime *runtime)
{
    struct whorl__loop *const loop = runtime->loops[0];
    if (!whorl__cas_u32(&runtime->driver, 0, self())) { /* pairs M1 */
        return -EBUSY;
    }
    whorl__plain_write(&loop->host);
    const int error = whorl__overflow_thread_start(&runtime->driver_stack);
    if (error != 0) {
        whorl__log(runtime, "whorl: loop 0 cannot report stack overflows: %s",
                   whorl_error_text(error));
    }
    loop->thread = pthread_self();
    whorl__store_relaxed_u32(&loop->thread_id, self()); /* relaxed: a number, for dumps */
    whorl__worker_attach(loop);
    return 0;
}

void whorl__step_finish(struct whorl__runtime *runtime)
{
    struct whorl__loop *const loop = runtime->loops[0];
    whorl__worker_detach(loop);
    whorl__overflow_thread_stop(runtime->driver_stack);
    runtime->driver_stack = NULL;
    whorl__plain_write(&loop->host);
}

static void step_end(struct whorl__runtime *runtime)
{
    whorl__step_finish(runtime);
    whorl__store_release_u32(&runtime->driver, 0); /* pairs M1 */
}

static bool is_ending(struct whorl__runtime *runtime)
{
    /* relaxed: who closes it drives it for good, so all others are refused by `driver` */
    return whorl__load_relaxed_u32(&runtime->ending) != 0;
}

int whorl__step_enter(struct whorl__runtime *runtime, bool *ret_begun)
{
    *ret_begun = false;
    if (!runtime->stepped) {
        return 0;
    }
    if (is_ending(runtime)) {
        return -ESHUTDOWN;
    }
    if (is_mine(runtime)) {
        return 0;
    }
    const int error = step_begin(runtime);
    *ret_begun = error == 0;
    return error;
}

void whorl__step_leave(struct whorl__runtime *runtime, bool begun)
{
    if (begun) {
        step_end(runtime);
    }
}

/* ---- a run ---- */

/* It makes the pass happen that the end of the future asks for. */
static void take_note(struct whorl_future *future, void *arg)
{
    (void)future, (void)arg;
}

/* As asyncio's: the future's end ends the run one pass later, a stop does at once. */
static int step_until(struct whorl__runtime *runtime, struct whorl_future *future)
{
    struct whorl__loop *const loop = runtime->loops[0];
    bool stopped = false;
    while (!stopped && (future == NULL || !whorl__future_is_done(future))) {
        whorl__worker_step(loop, WHORL_NEVER);
        stopped = whorl__halt_answer(runtime);
    }
    if (!stopped) {
        whorl__worker_step(loop, 0);
        stopped = whorl__halt_answer(runtime);
    }
    return stopped ? -EINPROGRESS : 0;
}

int whorl__step_run(struct whorl__runtime *runtime, struct whorl_future *future)
{
    bool begun;
    int error = whorl__step_enter(runtime, &begun);
    if (error != 0) {
        return error;
    }
    if (future != NULL) {
        error = whorl__done_callback_add(future, runtime->loops[0], take_note, NULL);
    }
    if (error == 0) {
        error = step_until(runtime, future);
    }
    if (future != NULL) {
        (void)whorl_future_remove_done_callback(future, take_note, NULL);
    }
    whorl__step_leave(runtime, begun);
    return error;
}

/* ---- for a main loop of the program's own ---- */

static struct whorl__runtime *inside(struct whorl_runtime *runtime)
{
    return (struct whorl__runtime *)(void *)runtime;
}

/* Whether the caller may drive it, or begin to. */
static int check(struct whorl__runtime *runtime)
{
    if (runtime == NULL || !runtime->stepped) {
        return -EINVAL;
    }
    if (whorl__fork_inherited(runtime->generation)) {
        return -ECHILD;
    }
    if (whorl__loop_current() != NULL) {
        return -EBUSY;
    }
    return is_ending(runtime) ? -ESHUTDOWN : 0;
}

static int check_driver(struct whorl__runtime *runtime)
{
    const int error = check(runtime);
    return error == 0 && !is_mine(runtime) ? -EPERM : error;
}

int whorl_loop_begin(struct whorl_runtime *runtime)
{
    const int error = check(inside(runtime));
    return error != 0 ? error : step_begin(inside(runtime));
}

int whorl_loop_step(struct whorl_runtime *runtime, int64_t timeout_ns)
{
    const int error = check_driver(inside(runtime));
    if (error != 0) {
        return error;
    }
    whorl__worker_step(inside(runtime)->loops[0], timeout_ns > 0 ? timeout_ns : 0);
    return whorl__halt_answer(inside(runtime)) ? 1 : 0;
}

int whorl_loop_next(struct whorl_runtime *runtime, int64_t *ret_deadline_ns)
{
    const int error = check_driver(inside(runtime));
    if (error != 0) {
        return error;
    }
    struct whorl__loop *const loop = inside(runtime)->loops[0];
    const bool sleeps = whorl__idle_sleep_begin(loop); /* pairs P1; until the next step */
    if (ret_deadline_ns != NULL) {
        *ret_deadline_ns = sleeps ? whorl__timers_next(&loop->timers) : 0;
    }
    return loop->poller.epoll_fd;
}

int whorl_loop_end(struct whorl_runtime *runtime)
{
    const int error = check_driver(inside(runtime));
    if (error == 0) {
        step_end(inside(runtime));
    }
    return error;
}
