/*
 * test_misuse.c - each public call given what it cannot take has the error that its header says, in
 * a task, in a plain thread, at one loop and at several; and nothing else happens.
 *
 * A case is a line of the table: a name, the call, what it returns outside of a task, and inside. A
 * pointer counts as whether it is there. test_every_call.sh sees to it that each function of the
 * map stands here; the simulation's stand in tests/sim/test_checks.c.
 */
#include "support/play.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the calls are given. */
struct world {
    struct whorl_task *self;   /* NULL outside */
    struct whorl_task *ended;
    struct whorl_future *pending;
    struct whorl_future *done;
    struct whorl_future *failed;
    struct whorl_future *cancelled;
    struct whorl_future *gather; /* of pending */
    struct whorl_future *nothing[2]; /* done, and NULL */
    struct whorl_task *no_tasks[2];
    struct whorl_context *context;
    struct whorl_executor *executor; /* shut down */
    struct whorl_runtime *other;  /* lives, without a task */
    struct whorl_runtime *closed;
    struct whorl_runtime *stepped; /* nobody drives it */
    struct whorl_group zeroed;
    struct whorl_timeout no_timeout;    /* zeroed, and the next */
    struct whorl_iterator no_iterator;
    struct whorl_local_token token; /* used */
    struct whorl_report report;     /* without a message */
    int foreign;                    /* a descriptor that is not whorl's */
    int ran;                        /* A: bodies; by calls that should have been refused */
};

static struct world *the_world; /* one at a time */

/* Nobody changes these. */
static struct whorl_lock free_lock = WHORL_LOCK_INIT;
static struct whorl_lock held_lock = WHORL_LOCK_INIT; /* by main */
static struct whorl_lock fresh_lock;
static struct whorl_semaphore full_semaphore =
    WHORL_SEMAPHORE_INIT_FLAGS(1, WHORL_SEMAPHORE_BOUNDED);
static struct whorl_semaphore fresh_semaphore;
static struct whorl_condition condition = WHORL_CONDITION_INIT;
static struct whorl_barrier fresh_barrier;
static struct whorl_queue queue = WHORL_QUEUE_INIT(1);
static struct whorl_queue fresh_queue;
static struct whorl_rwlock free_rwlock = WHORL_RWLOCK_INIT;
static struct whorl_once once = WHORL_ONCE_INIT;
static void *item;

static const struct whorl_local key = {.initial = NULL};

static int never_run(void *arg)
{
    (void)arg;
    __atomic_fetch_add(&the_world->ran, 1, __ATOMIC_RELAXED); /* relaxed: read when all is over */
    return 0;
}

static int never_compared(const void *a, const void *b)
{
    (void)b;
    return never_run((void *)(uintptr_t)a);
}

static void never_called(void *arg)
{
    (void)never_run(arg);
}

static void never_done(struct whorl_future *future, void *arg)
{
    (void)future;
    (void)never_run(arg);
}

#define IS(pointer) ((pointer) != NULL)

static long cancel_handle_twice(void)
{
    struct whorl_handle *handle = NULL;
    const int error = whorl_call_soon(never_called, NULL, NULL, &handle);
    if (error != 0) {
        return error;
    }
    must(whorl_handle_cancel(handle) ? 0 : -EPROTO);
    const bool again = whorl_handle_cancel(handle);
    whorl_handle_unref(handle);
    return again;
}

static long destroy_strand_twice(void)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    const int error = whorl_strand_destroy(&strand);
    return error == 0 ? whorl_strand_destroy(&strand) : error;
}

static long enter_destroyed_strand(void)
{
    struct whorl_strand strand = WHORL_STRAND_INIT;
    must(whorl_strand_destroy(&strand));
    return whorl_strand_enter(&strand);
}

static long join_own_strand(void)
{
    static struct whorl_strand strand = WHORL_STRAND_INIT;
    int error = whorl_strand_enter(&strand);
    if (error == 0) {
        error = whorl_strand_join(&strand, WHORL_NEVER);
        must(whorl_strand_enter(NULL));
    }
    return error;
}

/* One that was never asked, and one that was closed. */
static long ask_closed(void)
{
    struct whorl_generator *generator = NULL;
    must(whorl_generator_new(never_run, NULL, NULL, &generator));
    int error = whorl_generator_close(generator);
    if (error == 0) {
        error = whorl_generator_next(generator, NULL);
    }
    whorl_generator_unref(generator);
    return error;
}

static long throw_positive(void)
{
    struct whorl_generator *generator = NULL;
    must(whorl_generator_new(never_run, NULL, NULL, &generator));
    const int error = whorl_generator_throw(generator, EIO, NULL);
    whorl_generator_unref(generator);
    return error;
}

static int answer_step(const struct whorl_graph_step *step, void *arg)
{
    (void)step;
    (void)arg;
    return -EXDEV;
}

/* What a begin that is refused leaves is no group. */
static long group_refused(void)
{
    struct whorl_group group;
    for (size_t i = 0; i < sizeof group.opaque / sizeof group.opaque[0]; i++) {
        group.opaque[i] = UINT64_C(0x5a5a5a5a5a5a5a5a);
    }
    const int begun = whorl_group_begin(&group);
    const int spawned = begun != 0 ? whorl_group_spawn(&group, never_run, NULL, NULL, NULL) : 0;
    whorl_group_cancel(&group);
    const int ended = whorl_group_end(&group, 0, NULL);
    return begun != 0 && spawned != ended ? -EPROTO : ended;
}

static long twice_section(void)
{
    struct whorl_shield shield;
    int error = whorl_shield_begin(&shield);
    if (error == 0) {
        error = whorl_shield_begin(&shield);
        whorl_shield_end(&shield);
    }
    return error;
}

static long twice_timeout(void)
{
    struct whorl_timeout timeout;
    const int entered = whorl_timeout_enter(&timeout, 0);
    return entered != 0 ? entered : whorl_timeout_exit(&timeout, -EXDEV);
}

static long twice_group(void)
{
    struct whorl_group group;
    int error = whorl_group_begin(&group);
    if (error == 0) {
        error = whorl_group_begin(&group);
        must(whorl_group_end(&group, 0, NULL));
    }
    return error;
}

static long add_after_end(void)
{
    struct whorl_group group;
    int error = whorl_group_begin(&group);
    if (error == 0) {
        must(whorl_group_end(&group, 0, NULL));
        error = whorl_group_spawn(&group, never_run, NULL, NULL, NULL);
    }
    return error;
}

static int run_again(void *context)
{
    return whorl_context_run(context, never_run, NULL);
}

static long adopt_twice(void)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    int error = whorl_fd_adopt(fds[0]);
    if (error == 0) {
        error = whorl_fd_adopt(fds[0]);
        must(whorl_close(fds[0]));
    } else {
        close(fds[0]);
    }
    close(fds[1]);
    return error;
}

static long close_twice(void)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    int error = whorl_fd_adopt(fds[0]);
    if (error == 0) {
        must(whorl_close(fds[0]));
        error = whorl_close(fds[0]);
    } else {
        close(fds[0]);
    }
    close(fds[1]);
    return error;
}

static int never_exit(void *arg, int error)
{
    (void)never_run(arg);
    return error;
}

/* Closed twice; what was pushed in between was refused. */
static long close_stack_again(void)
{
    struct whorl_exit_stack stack = {0};
    must(whorl_exit_stack_close(&stack, -EXDEV, NULL) == -EXDEV ? 0 : -EPROTO);
    must(whorl_exit_stack_push(&stack, NULL, NULL) == -EINVAL ? 0 : -EPROTO);
    return whorl_exit_stack_close(&stack, -EXDEV, NULL);
}

static long leave_nothing(void)
{
    struct whorl_exit_stack stack = {0};
    struct whorl_generator *generator = NULL;
    whorl_exit_stack_leave(NULL);
    whorl_exit_stack_leave(&stack);
    whorl_generator_leave(NULL);
    whorl_generator_leave(&generator);
    return IS(generator);
}

/* The generator of one that has not begun is gone after the first. */
static long leave_twice(void)
{
    struct whorl_generator *generator = NULL;
    must(whorl_generator_new(never_run, NULL, NULL, &generator));
    whorl_generator_leave(&generator);
    whorl_generator_leave(&generator);
    return IS(generator);
}

/* A factory that hands on what it got with one field spoiled. */
enum spoiled { NO_BODY, NO_PLACE, RESERVED };

static int make_spoiled(void *which, const struct whorl_spawning *spawning,
                        struct whorl_task **ret_task)
{
    struct whorl_spawning changed = *spawning;
    switch (*(const enum spoiled *)which) {
    case NO_BODY:
        changed.body = NULL;
        break;
    case NO_PLACE:
        changed.where = NULL;
        break;
    case RESERVED:
        changed.reserved[0] = 1;
        break;
    }
    return whorl_task_make(&changed, ret_task);
}

static long spawn_spoiled(enum spoiled which)
{
    int error = whorl_task_factory_set(make_spoiled, &which);
    if (error == 0) {
        error = whorl_spawn(never_run, NULL, NULL, NULL);
        must(whorl_task_factory_set(NULL, NULL));
    }
    return error;
}

static long end_section_twice(void)
{
    must(whorl_blocking_begin(NULL));
    must(whorl_blocking_end());
    return whorl_blocking_end();
}

#define ATTR(...)    (&(struct whorl_attr){__VA_ARGS__})
#define CALL_ATTR(...) (&(struct whorl_call_attr){__VA_ARGS__})
#define OPTIONS(...) (&(struct whorl_options){__VA_ARGS__})
/* The call of a task, or of a plain thread, only; else the answer of the other. */
#define INSIDE(call, other)  (w->self != NULL ? (long)(call) : (other))
#define OUTSIDE(call, other) (w->self == NULL ? (long)(call) : (other))

/* X(name, call, outside, inside) */
/* clang-format off */
#define RUNTIME_MISUSES(X) \
    X(run_null_body, whorl_run(NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(run_negative_loops, whorl_run(never_run, NULL, OPTIONS(.loops = -1)), -EINVAL, -EINVAL) \
    X(run_single_with_two, \
      whorl_run(never_run, NULL, OPTIONS(.loops = 2, .mode = WHORL_MODE_SINGLE)), \
      -EINVAL, -EINVAL) \
    X(run_unknown_mode, \
      whorl_run(never_run, NULL, OPTIONS(.mode = (enum whorl_mode)77)), -EINVAL, -EINVAL) \
    X(run_reserved, whorl_run(never_run, NULL, OPTIONS(.reserved = {1})), -EINVAL, -EINVAL) \
    X(run_in_a_task, INSIDE(whorl_run(never_run, NULL, NULL), -EBUSY), -EBUSY, -EBUSY) \
    X(runtime_new_null, whorl_runtime_new(NULL, NULL), -EINVAL, -EINVAL) \
    X(runtime_run_null, whorl_runtime_run(NULL, never_run, NULL), -EINVAL, -EINVAL) \
    X(runtime_run_with_null, whorl_runtime_run_with(NULL, never_run, NULL, NULL), \
      -EINVAL, -EINVAL) \
    X(runtime_run_with_null_body, whorl_runtime_run_with(w->other, NULL, NULL, NULL), \
      -EINVAL, -EBUSY) \
    X(runtime_run_with_reserved, \
      whorl_runtime_run_with(w->other, never_run, NULL, ATTR(.reserved = {1})), -EINVAL, -EBUSY) \
    X(runtime_run_until_null, whorl_runtime_run_until(NULL, w->done, NULL), -EINVAL, -EINVAL) \
    X(runtime_run_until_null_future, whorl_runtime_run_until(w->other, NULL, NULL), \
      -EINVAL, -EINVAL) \
    X(runtime_run_until_of_another, \
      whorl_runtime_run_until(w->other, whorl_task_future(w->ended), NULL), -EXDEV, -EBUSY) \
    X(runtime_run_until_nested, \
      INSIDE(whorl_runtime_run_until(w->other, w->done, NULL), -EBUSY), -EBUSY, -EBUSY) \
    X(runtime_run_forever_null, whorl_runtime_run_forever(NULL), -EINVAL, -EINVAL) \
    X(runtime_run_forever_nested, \
      INSIDE(whorl_runtime_run_forever(w->other), -EBUSY), -EBUSY, -EBUSY) \
    X(runtime_stop_null, OUTSIDE(whorl_runtime_stop(NULL), -EPERM), -EPERM, -EPERM) \
    X(runtime_stop_closed, whorl_runtime_stop(w->closed), -ESHUTDOWN, -ESHUTDOWN) \
    X(runtime_run_until_closed, whorl_runtime_run_until(w->closed, w->done, NULL), \
      -ESHUTDOWN, -EBUSY) \
    X(runtime_run_forever_closed, whorl_runtime_run_forever(w->closed), -ESHUTDOWN, -EBUSY) \
    X(loop_begin_null, whorl_loop_begin(NULL), -EINVAL, -EINVAL) \
    X(loop_begin_threads, whorl_loop_begin(w->other), -EINVAL, -EINVAL) \
    X(loop_begin_nested, INSIDE(whorl_loop_begin(w->stepped), -EBUSY), -EBUSY, -EBUSY) \
    X(loop_step_null, whorl_loop_step(NULL, 0), -EINVAL, -EINVAL) \
    X(loop_step_threads, whorl_loop_step(w->other, 0), -EINVAL, -EINVAL) \
    X(loop_step_not_begun, whorl_loop_step(w->stepped, 0), -EPERM, -EBUSY) \
    X(loop_next_null, whorl_loop_next(NULL, NULL), -EINVAL, -EINVAL) \
    X(loop_next_not_begun, whorl_loop_next(w->stepped, NULL), -EPERM, -EBUSY) \
    X(loop_end_null, whorl_loop_end(NULL), -EINVAL, -EINVAL) \
    X(loop_end_not_begun, whorl_loop_end(w->stepped), -EPERM, -EBUSY) \
    X(runtime_state_null, whorl_runtime_state(NULL), -EINVAL, -EINVAL) \
    X(runtime_state_closed, whorl_runtime_state(w->closed), \
      WHORL_RUNTIME_CLOSED, WHORL_RUNTIME_CLOSED) \
    X(runtime_spawn_null, \
      whorl_runtime_spawn(NULL, never_run, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(runtime_id_null, whorl_runtime_id(NULL), 0, 0) \
    X(runtime_close_null, whorl_runtime_close(NULL), -EINVAL, -EINVAL) \
    X(runtime_free_null, whorl_runtime_free(NULL), 0, 0) \
    X(loop_count, OUTSIDE(whorl_loop_count(), -EPERM), -EPERM, -EPERM) \
    X(loop_current, OUTSIDE(whorl_loop_current(), -EPERM), -EPERM, -EPERM) \
    X(runtime_current, w->self != NULL ? 0 : whorl_runtime_current(), 0, 0)

#define TASK_MISUSES(X) \
    X(spawn_null, whorl_spawn(NULL, NULL, NULL, NULL), -EPERM, -EINVAL) \
    X(spawn_small_stack, \
      whorl_spawn(never_run, NULL, ATTR(.stack_bytes = 1), NULL), -EPERM, -EINVAL) \
    X(spawn_no_such_loop, \
      whorl_spawn(never_run, NULL, ATTR(.pin = WHORL_PIN(1000)), NULL), -EPERM, -EINVAL) \
    X(spawn_negative_pin, whorl_spawn(never_run, NULL, ATTR(.pin = -1), NULL), -EPERM, -EINVAL) \
    X(spawn_reserved, \
      whorl_spawn(never_run, NULL, ATTR(.reserved = {1}), NULL), -EPERM, -EINVAL) \
    X(spawn_outside, OUTSIDE(whorl_spawn(never_run, NULL, NULL, NULL), -EPERM), -EPERM, -EPERM) \
    X(spawn_remote_null_near, \
      whorl_spawn_remote(NULL, never_run, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(spawn_remote_null_body, \
      whorl_spawn_remote(w->ended, NULL, NULL, NULL, NULL), -ECANCELED, -EINVAL) \
    X(await_null, whorl_await(NULL, NULL), -EINVAL, -EINVAL) \
    X(await_self, INSIDE(whorl_await(w->self, NULL), -EDEADLK), -EDEADLK, -EDEADLK) \
    X(join_null, whorl_join(NULL, 0, NULL), -EINVAL, -EINVAL) \
    X(join_self, INSIDE(whorl_join(w->self, WHORL_NEVER, NULL), -EDEADLK), -EDEADLK, -EDEADLK) \
    X(wait_for_null, whorl_wait_for(NULL, 0, NULL), -EINVAL, -EINVAL) \
    X(wait_for_self, INSIDE(whorl_wait_for(w->self, 1, NULL), -EDEADLK), -EDEADLK, -EDEADLK) \
    X(wait_for_outside, OUTSIDE(whorl_wait_for(w->ended, 1, NULL), -EPERM), -EPERM, -EPERM) \
    X(task_result_null, whorl_task_result(NULL, NULL), -EINVAL, -EINVAL) \
    X(task_result_early, INSIDE(whorl_task_result(w->self, NULL), -EAGAIN), -EAGAIN, -EAGAIN) \
    X(return_outside, OUTSIDE(whorl_return(NULL), -EPERM), -EPERM, -EPERM) \
    X(cancel_null, whorl_cancel(NULL, NULL), false, false) \
    X(cancel_ended, whorl_cancel(w->ended, NULL), false, false) \
    X(task_cancelling_null, whorl_task_cancelling(NULL), -EINVAL, -EINVAL) \
    X(uncancel_null, whorl_uncancel(NULL), -EINVAL, -EINVAL) \
    X(uncancel_ended, whorl_uncancel(w->ended), 0, 0) \
    X(task_why_null, whorl_task_why(NULL, NULL), -EINVAL, -EINVAL) \
    X(task_why_no_place, whorl_task_why(w->ended, NULL), -EINVAL, -EINVAL) \
    X(why_print_null, whorl_why_print(NULL, NULL, 0), -EINVAL, -EINVAL) \
    X(cancel_message, IS(whorl_cancel_message()), false, false) \
    X(task_done_null, whorl_task_done(NULL), false, false) \
    X(task_cancelled_null, whorl_task_cancelled(NULL), false, false) \
    X(task_current, OUTSIDE(IS(whorl_task_current()), false), false, false) \
    X(all_tasks_null, whorl_all_tasks(NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(all_tasks_free_null, (whorl_all_tasks_free(NULL, 0), 0), 0, 0) \
    X(task_name_null, IS(whorl_task_name(NULL)), false, false) \
    X(task_set_name_null, \
      (whorl_task_set_name(NULL, "x"), whorl_task_set_name(w->ended, NULL), 0), 0, 0) \
    X(task_ref_null, IS(whorl_task_ref(NULL)), false, false) \
    X(task_unref_null, (whorl_task_unref(NULL), 0), 0, 0) \
    X(task_detach_null, (whorl_task_detach(NULL), 0), 0, 0) \
    X(task_future_null, IS(whorl_task_future(NULL)), false, false) \
    X(task_factory_set_null, whorl_task_factory_set(NULL, NULL), -EPERM, 0) \
    X(task_factory_get_null, whorl_task_factory_get(NULL, NULL), -EINVAL, -EINVAL) \
    X(task_factory_get_alone, whorl_task_factory_get(&factory, NULL), -EPERM, 0) \
    X(task_factory_eager_null, whorl_task_factory_eager(NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(task_factory_eager_nowhere, \
      whorl_task_factory_eager(NULL, &spawning, NULL), -EINVAL, -EINVAL) \
    X(task_make_null, whorl_task_make(NULL, NULL), -EINVAL, -EINVAL) \
    X(task_make_nowhere, whorl_task_make(&spawning, NULL), -EINVAL, -EINVAL) \
    X(task_make_no_body, spawn_spoiled(NO_BODY), -EPERM, -EINVAL) \
    X(task_make_no_place, spawn_spoiled(NO_PLACE), -EPERM, -EINVAL) \
    X(task_make_reserved, spawn_spoiled(RESERVED), -EPERM, -EINVAL) \
    X(task_set_result, whorl_future_set_result(whorl_task_future(w->ended), NULL), -EPERM, -EPERM)

#define TIME_MISUSES(X) \
    X(sleep_outside, OUTSIDE(whorl_sleep(1), -EPERM), -EPERM, -EPERM) \
    X(sleep_negative, INSIDE(whorl_sleep(-1), 0), 0, 0) \
    X(sleep_until_outside, OUTSIDE(whorl_sleep_until(0), -EPERM), -EPERM, -EPERM) \
    X(yield_outside, OUTSIDE(whorl_yield(), -EPERM), -EPERM, -EPERM) \
    X(now, whorl_now() > 0, true, true) \
    X(after_overflow, whorl_after(INT64_MAX) == WHORL_NEVER, true, true) \
    X(timeout_enter_null, whorl_timeout_enter(NULL, 0), -EINVAL, -EINVAL) \
    X(timeout_exit_null, whorl_timeout_exit(NULL, 0), -EINVAL, -EINVAL) \
    X(timeout_reschedule_null, whorl_timeout_reschedule(NULL, 0), -EINVAL, -EINVAL) \
    X(timeout_when_null, whorl_timeout_when(NULL) == WHORL_NEVER, true, true) \
    X(timeout_expired_null, whorl_timeout_expired(NULL), false, false) \
    X(timeout_error_passes, twice_timeout(), -EPERM, -EXDEV) \
    X(group_begin_null, whorl_group_begin(NULL), -EINVAL, -EINVAL) \
    X(group_begin_twice, twice_group(), -EPERM, -EALREADY) \
    X(group_spawn_null, whorl_group_spawn(NULL, never_run, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(group_spawn_zeroed, \
      whorl_group_spawn(&w->zeroed, never_run, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(group_spawn_ended, add_after_end(), -EPERM, -ESHUTDOWN) \
    X(group_cancel_null, (whorl_group_cancel(NULL), whorl_group_cancel(&w->zeroed), 0), 0, 0) \
    X(group_end_null, whorl_group_end(NULL, 0, NULL), -EINVAL, -EINVAL) \
    X(group_refused, group_refused(), -EINVAL, 0) \
    X(section_twice, twice_section(), -EPERM, -EALREADY) \
    X(timeout_reschedule_zeroed, whorl_timeout_reschedule(&w->no_timeout, 0), -EINVAL, -EINVAL) \
    X(timeout_expired_zeroed, whorl_timeout_expired(&w->no_timeout), false, false) \
    X(group_end_zeroed, whorl_group_end(&w->zeroed, 0, NULL), -EINVAL, -EINVAL) \
    X(errors_null, whorl_errors_count(NULL) + (size_t)whorl_errors_get(NULL, 0, NULL), 0, 0) \
    X(errors_find_null, whorl_errors_find(NULL, -EIO), false, false) \
    X(errors_free_null, (whorl_errors_free(NULL), 0), 0, 0)

#define FUTURE_MISUSES(X) \
    X(future_new_null, whorl_future_new(NULL), -EINVAL, -EINVAL) \
    X(future_ref_null, IS(whorl_future_ref(NULL)), false, false) \
    X(future_unref_null, (whorl_future_unref(NULL), 0), 0, 0) \
    X(set_result_null, whorl_future_set_result(NULL, NULL), -EINVAL, -EINVAL) \
    X(set_result_twice, whorl_future_set_result(w->done, NULL), -EALREADY, -EALREADY) \
    X(set_result_cancelled, whorl_future_set_result(w->cancelled, NULL), -EALREADY, -EALREADY) \
    X(set_result_gather, whorl_future_set_result(w->gather, NULL), -EPERM, -EPERM) \
    X(set_error_null, whorl_future_set_error(NULL, -EIO), -EINVAL, -EINVAL) \
    X(set_error_positive, whorl_future_set_error(w->pending, EIO), -EINVAL, -EINVAL) \
    X(set_error_zero, whorl_future_set_error(w->pending, 0), -EINVAL, -EINVAL) \
    X(set_error_twice, whorl_future_set_error(w->failed, -EIO), -EALREADY, -EALREADY) \
    X(future_cancel_null, whorl_future_cancel(NULL, NULL), false, false) \
    X(future_cancel_done, whorl_future_cancel(w->done, NULL), false, false) \
    X(future_await_null, whorl_future_await(NULL, NULL), -EINVAL, -EINVAL) \
    X(future_join_null, whorl_future_join(NULL, 0, NULL), -EINVAL, -EINVAL) \
    X(future_wait_for_null, whorl_future_wait_for(NULL, 0, NULL), -EINVAL, -EINVAL) \
    X(future_result_null, whorl_future_result(NULL, NULL), -EINVAL, -EINVAL) \
    X(future_result_early, whorl_future_result(w->pending, NULL), -EAGAIN, -EAGAIN) \
    X(future_result_cancelled, whorl_future_result(w->cancelled, NULL), -ECANCELED, -ECANCELED) \
    X(future_done_null, whorl_future_done(NULL), false, false) \
    X(future_cancelled_null, whorl_future_cancelled(NULL), false, false) \
    X(future_message_null, IS(whorl_future_cancel_message(NULL)), false, false) \
    X(gather_null, whorl_gather(NULL, 1, 0, NULL), -EINVAL, -EINVAL) \
    X(gather_null_child, whorl_gather(w->no_tasks, 2, 0, NULL), -EINVAL, -EINVAL) \
    X(gather_flags, whorl_gather(&w->ended, 1, 1U << 30, NULL), -EINVAL, -EINVAL) \
    X(gather_self, INSIDE(whorl_gather(&w->self, 1, 0, NULL), -EDEADLK), -EDEADLK, -EDEADLK) \
    X(gather_start_null, whorl_gather_start(NULL, 1, 0, &ignored), -EINVAL, -EINVAL) \
    X(gather_start_null_child, whorl_gather_start(w->nothing, 2, 0, &ignored), -EINVAL, -EINVAL) \
    X(gather_start_flags, \
      whorl_gather_start(w->nothing, 1, 1U << 30, &ignored), -EINVAL, -EINVAL) \
    X(gather_start_no_place, whorl_gather_start(w->nothing, 1, 0, NULL), -EINVAL, -EINVAL) \
    X(wait_null, whorl_wait(NULL, 1, WHORL_ALL_COMPLETED, 0, NULL), -EINVAL, -EINVAL) \
    X(wait_none, whorl_wait(w->nothing, 0, WHORL_ALL_COMPLETED, 0, NULL), -EINVAL, -EINVAL) \
    X(wait_null_child, \
      whorl_wait(w->nothing, 2, WHORL_ALL_COMPLETED, 0, NULL), -EINVAL, -EINVAL) \
    X(wait_unknown_mode, \
      whorl_wait(w->nothing, 1, (enum whorl_return_when)9, 0, NULL), -EINVAL, -EINVAL) \
    X(first_of_null, whorl_first_of(NULL, 1, 0, &place), -EINVAL, -EINVAL) \
    X(first_of_none, whorl_first_of(w->nothing, 0, 0, &place), -EINVAL, -EINVAL) \
    X(first_of_null_child, whorl_first_of(w->nothing, 2, 0, &place), -EINVAL, -EINVAL) \
    X(first_of_no_place, whorl_first_of(w->nothing, 1, 0, NULL), -EINVAL, -EINVAL) \
    X(race_null, whorl_staggered_race(NULL, 1, 0, &place), -EPERM, -EINVAL) \
    X(race_none, whorl_staggered_race(&attempt, 0, 0, &place), -EPERM, -EINVAL) \
    X(race_no_body, whorl_staggered_race(&attempt, 1, 0, &place), -EPERM, -EINVAL) \
    X(race_no_place, whorl_staggered_race(&attempt, 1, 0, NULL), -EPERM, -EINVAL) \
    X(as_completed_null, whorl_as_completed(NULL, 1, 0, &iteration), -EINVAL, -EINVAL) \
    X(as_completed_null_child, \
      whorl_as_completed(w->nothing, 2, 0, &iteration), -EINVAL, -EINVAL) \
    X(as_completed_no_place, whorl_as_completed(w->nothing, 1, 0, NULL), -EINVAL, -EINVAL) \
    X(completed_next_null, whorl_completed_next(NULL, NULL), -EINVAL, -EINVAL) \
    X(completed_iterator_null, IS(whorl_completed_iterator(NULL)), false, false) \
    X(completed_free_null, (whorl_completed_free(NULL), 0), 0, 0) \
    X(shield_null, whorl_shield(NULL, &ignored), -EINVAL, -EINVAL) \
    X(shield_begin_null, whorl_shield_begin(NULL), -EINVAL, -EINVAL) \
    X(shield_begin_outside, OUTSIDE(whorl_shield_begin(&section), -EPERM), -EPERM, -EPERM) \
    X(shield_end_null, (whorl_shield_end(NULL), 0), 0, 0) \
    X(shield_no_place, whorl_shield(w->pending, NULL), -EINVAL, -EINVAL)

/* One case, as an array. */
#define CASE(...) ((struct whorl_select_case[]){__VA_ARGS__})

#define SYNC_MISUSES(X) \
    X(lock_init_null, whorl_lock_init(NULL, 0), -EINVAL, -EINVAL) \
    X(lock_init_flags, whorl_lock_init(&fresh_lock, 4), -EINVAL, -EINVAL) \
    X(lock_destroy_null, whorl_lock_destroy(NULL), -EINVAL, -EINVAL) \
    X(lock_destroy_held, whorl_lock_destroy(&held_lock), -EBUSY, -EBUSY) \
    X(lock_acquire_null, whorl_lock_acquire(NULL), -EINVAL, -EINVAL) \
    X(lock_acquire_until_null, whorl_lock_acquire_until(NULL, 0), -EINVAL, -EINVAL) \
    X(lock_acquire_held, whorl_lock_acquire_until(&held_lock, 0), -ETIMEDOUT, -ETIMEDOUT) \
    X(lock_try_acquire_null, whorl_lock_try_acquire(NULL), -EINVAL, -EINVAL) \
    X(lock_try_acquire_held, whorl_lock_try_acquire(&held_lock), -EAGAIN, -EAGAIN) \
    X(lock_release_null, whorl_lock_release(NULL), -EINVAL, -EINVAL) \
    X(lock_release_free, whorl_lock_release(&free_lock), -EPERM, -EPERM) \
    X(lock_locked_null, whorl_lock_locked(NULL), false, false) \
    X(lock_owner_null, whorl_lock_owner(NULL) != NULL, false, false) \
    X(lock_leave_null, (whorl_lock_leave(NULL), 0), 0, 0) \
    X(semaphore_leave_null, (whorl_semaphore_leave(NULL), 0), 0, 0) \
    X(rwlock_leave_read_null, (whorl_rwlock_leave_read(NULL), 0), 0, 0) \
    X(rwlock_leave_write_null, (whorl_rwlock_leave_write(NULL), 0), 0, 0) \
    X(semaphore_init_null, whorl_semaphore_init(NULL, 0, 0), -EINVAL, -EINVAL) \
    X(semaphore_init_negative, whorl_semaphore_init(&fresh_semaphore, -1, 0), -EINVAL, -EINVAL) \
    X(semaphore_init_flags, whorl_semaphore_init(&fresh_semaphore, 0, 4), -EINVAL, -EINVAL) \
    X(semaphore_destroy_null, whorl_semaphore_destroy(NULL), -EINVAL, -EINVAL) \
    X(semaphore_acquire_null, whorl_semaphore_acquire(NULL), -EINVAL, -EINVAL) \
    X(semaphore_acquire_until_null, whorl_semaphore_acquire_until(NULL, 0), -EINVAL, -EINVAL) \
    X(semaphore_try_acquire_null, whorl_semaphore_try_acquire(NULL), -EINVAL, -EINVAL) \
    X(semaphore_release_null, whorl_semaphore_release(NULL), -EINVAL, -EINVAL) \
    X(semaphore_release_full, whorl_semaphore_release(&full_semaphore), -EOVERFLOW, -EOVERFLOW) \
    X(semaphore_locked_null, whorl_semaphore_locked(NULL), true, true) \
    X(semaphore_value_null, whorl_semaphore_value(NULL), 0, 0) \
    X(event_init_null, whorl_event_init(NULL), -EINVAL, -EINVAL) \
    X(event_destroy_null, whorl_event_destroy(NULL), -EINVAL, -EINVAL) \
    X(event_wait_null, whorl_event_wait(NULL), -EINVAL, -EINVAL) \
    X(event_wait_until_null, whorl_event_wait_until(NULL, 0), -EINVAL, -EINVAL) \
    X(event_set_null, whorl_event_set(NULL), -EINVAL, -EINVAL) \
    X(event_clear_null, whorl_event_clear(NULL), -EINVAL, -EINVAL) \
    X(event_is_set_null, whorl_event_is_set(NULL), false, false) \
    X(condition_init_null, whorl_condition_init(NULL, NULL), -EINVAL, -EINVAL) \
    X(condition_destroy_null, whorl_condition_destroy(NULL), -EINVAL, -EINVAL) \
    X(condition_lock_null, whorl_condition_lock(NULL) != NULL, false, false) \
    X(condition_wait_null, whorl_condition_wait(NULL), -EINVAL, -EINVAL) \
    X(condition_wait_unlocked, whorl_condition_wait(&condition), -EPERM, -EPERM) \
    X(condition_wait_until_null, whorl_condition_wait_until(NULL, 0), -EINVAL, -EINVAL) \
    X(condition_wait_for_null, \
      whorl_condition_wait_for(NULL, never_run, NULL, 0), -EINVAL, -EINVAL) \
    X(condition_wait_for_nothing, \
      whorl_condition_wait_for(&condition, NULL, NULL, 0), -EINVAL, -EINVAL) \
    X(condition_notify_null, whorl_condition_notify(NULL, 1), -EINVAL, -EINVAL) \
    X(condition_notify_unlocked, whorl_condition_notify(&condition, 1), -EPERM, -EPERM) \
    X(condition_notify_all_null, whorl_condition_notify_all(NULL), -EINVAL, -EINVAL) \
    X(barrier_init_null, whorl_barrier_init(NULL, 1), -EINVAL, -EINVAL) \
    X(barrier_init_nobody, whorl_barrier_init(&fresh_barrier, 0), -EINVAL, -EINVAL) \
    X(barrier_destroy_null, whorl_barrier_destroy(NULL), -EINVAL, -EINVAL) \
    X(barrier_wait_null, whorl_barrier_wait(NULL, NULL), -EINVAL, -EINVAL) \
    X(barrier_wait_until_null, whorl_barrier_wait_until(NULL, 0, NULL), -EINVAL, -EINVAL) \
    X(barrier_reset_null, whorl_barrier_reset(NULL), -EINVAL, -EINVAL) \
    X(barrier_abort_null, whorl_barrier_abort(NULL), -EINVAL, -EINVAL) \
    X(barrier_parties_null, whorl_barrier_parties(NULL), 0, 0) \
    X(barrier_n_waiting_null, whorl_barrier_n_waiting(NULL), 0, 0) \
    X(barrier_broken_null, whorl_barrier_broken(NULL), false, false) \
    X(queue_init_null, whorl_queue_init(NULL, WHORL_QUEUE_FIFO, 0, NULL), -EINVAL, -EINVAL) \
    X(queue_init_kind, \
      whorl_queue_init(&fresh_queue, (enum whorl_queue_kind)3, 0, NULL), -EINVAL, -EINVAL) \
    X(queue_init_no_compare, \
      whorl_queue_init(&fresh_queue, WHORL_QUEUE_PRIORITY, 0, NULL), -EINVAL, -EINVAL) \
    X(queue_init_compare, \
      whorl_queue_init(&fresh_queue, WHORL_QUEUE_LIFO, 0, never_compared), -EINVAL, -EINVAL) \
    X(queue_init_too_big, \
      whorl_queue_init(&fresh_queue, WHORL_QUEUE_FIFO, INT64_MAX, NULL), -EINVAL, -EINVAL) \
    X(queue_destroy_null, whorl_queue_destroy(NULL), -EINVAL, -EINVAL) \
    X(queue_put_null, whorl_queue_put(NULL, NULL), -EINVAL, -EINVAL) \
    X(queue_put_until_null, whorl_queue_put_until(NULL, NULL, 0), -EINVAL, -EINVAL) \
    X(queue_get_null, whorl_queue_get(NULL, &item), -EINVAL, -EINVAL) \
    X(queue_get_no_place, whorl_queue_get(&queue, NULL), -EINVAL, -EINVAL) \
    X(queue_get_until_null, whorl_queue_get_until(NULL, 0, &item), -EINVAL, -EINVAL) \
    X(queue_get_until_no_place, whorl_queue_get_until(&queue, 0, NULL), -EINVAL, -EINVAL) \
    X(queue_try_put_null, whorl_queue_try_put(NULL, NULL), -EINVAL, -EINVAL) \
    X(queue_try_get_null, whorl_queue_try_get(NULL, &item), -EINVAL, -EINVAL) \
    X(queue_try_get_no_place, whorl_queue_try_get(&queue, NULL), -EINVAL, -EINVAL) \
    X(queue_task_done_null, whorl_queue_task_done(NULL), -EINVAL, -EINVAL) \
    X(queue_task_done_nothing, whorl_queue_task_done(&queue), -EOVERFLOW, -EOVERFLOW) \
    X(queue_join_null, whorl_queue_join(NULL), -EINVAL, -EINVAL) \
    X(queue_join_until_null, whorl_queue_join_until(NULL, 0), -EINVAL, -EINVAL) \
    X(queue_shutdown_null, whorl_queue_shutdown(NULL, true), -EINVAL, -EINVAL) \
    X(queue_size_null, whorl_queue_size(NULL), 0, 0) \
    X(queue_empty_null, whorl_queue_empty(NULL), true, true) \
    X(queue_full_null, whorl_queue_full(NULL), false, false) \
    X(rwlock_init_null, whorl_rwlock_init(NULL), -EINVAL, -EINVAL) \
    X(rwlock_destroy_null, whorl_rwlock_destroy(NULL), -EINVAL, -EINVAL) \
    X(rwlock_acquire_read_null, whorl_rwlock_acquire_read(NULL), -EINVAL, -EINVAL) \
    X(rwlock_acquire_read_until_null, \
      whorl_rwlock_acquire_read_until(NULL, 0), -EINVAL, -EINVAL) \
    X(rwlock_acquire_write_null, whorl_rwlock_acquire_write(NULL), -EINVAL, -EINVAL) \
    X(rwlock_acquire_write_until_null, \
      whorl_rwlock_acquire_write_until(NULL, 0), -EINVAL, -EINVAL) \
    X(rwlock_try_acquire_read_null, whorl_rwlock_try_acquire_read(NULL), -EINVAL, -EINVAL) \
    X(rwlock_try_acquire_write_null, whorl_rwlock_try_acquire_write(NULL), -EINVAL, -EINVAL) \
    X(rwlock_release_read_null, whorl_rwlock_release_read(NULL), -EINVAL, -EINVAL) \
    X(rwlock_release_read_free, whorl_rwlock_release_read(&free_rwlock), -EPERM, -EPERM) \
    X(rwlock_release_write_null, whorl_rwlock_release_write(NULL), -EINVAL, -EINVAL) \
    X(rwlock_release_write_free, whorl_rwlock_release_write(&free_rwlock), -EPERM, -EPERM) \
    X(once_init_null, whorl_once_init(NULL), -EINVAL, -EINVAL) \
    X(once_destroy_null, whorl_once_destroy(NULL), -EINVAL, -EINVAL) \
    X(once_run_null, whorl_once_run(NULL, never_run, NULL), -EINVAL, -EINVAL) \
    X(once_run_nothing, whorl_once_run(&once, NULL, NULL), -EINVAL, -EINVAL) \
    X(once_done_null, whorl_once_done(NULL), false, false) \
    X(select_null, whorl_select(NULL, 1), -EINVAL, -EINVAL) \
    X(select_nothing, whorl_select(NULL, 0), -EINVAL, -EINVAL) \
    X(select_get_null, whorl_select(CASE(WHORL_CASE_GET(NULL)), 1), -EINVAL, -EINVAL) \
    X(select_done_null, whorl_select(CASE(WHORL_CASE_DONE(NULL)), 1), -EINVAL, -EINVAL) \
    X(select_kind, whorl_select(CASE({99, 0, 0, 0, 0}), 1), -EINVAL, -EINVAL) \
    X(select_never, whorl_select(CASE(WHORL_CASE_NEVER), 1), -EINVAL, -EINVAL) \
    X(select_too_many, \
      whorl_select(CASE(WHORL_CASE_NEVER), (size_t)WHORL_SELECT_MAX + 1), -EINVAL, -EINVAL) \
    X(select_until_null, whorl_select_until(NULL, 1, 0), -EINVAL, -EINVAL) \
    X(select_try_null, whorl_select_try(NULL, 1), -EINVAL, -EINVAL) \
    X(select_try_event_null, \
      whorl_select_try(CASE(WHORL_CASE_EVENT(NULL)), 1), -EINVAL, -EINVAL)

#define STRAND_MISUSES(X) \
    X(strand_init_null, whorl_strand_init(NULL), -EINVAL, -EINVAL) \
    X(strand_destroy_null, whorl_strand_destroy(NULL), -EINVAL, -EINVAL) \
    X(strand_destroy_twice, destroy_strand_twice(), -EINVAL, -EINVAL) \
    X(strand_current_none, IS(whorl_strand_current()), false, false) \
    X(strand_enter_none, whorl_strand_enter(NULL), -EPERM, 0) \
    X(strand_enter_destroyed, enter_destroyed_strand(), -EPERM, -EINVAL) \
    X(strand_run_null, whorl_strand_run(NULL, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(strand_run_outside, \
      OUTSIDE(whorl_strand_run(NULL, NULL, never_run, NULL), -EPERM), -EPERM, -EPERM) \
    X(strand_join_null, whorl_strand_join(NULL, WHORL_NEVER), -EINVAL, -EINVAL) \
    X(strand_join_itself, join_own_strand(), -EPERM, -EDEADLK)

#define CALLBACK_MISUSES(X) \
    X(call_soon_null, whorl_call_soon(NULL, NULL, NULL, NULL), -EPERM, -EINVAL) \
    X(call_soon_no_such_loop, \
      whorl_call_soon(never_called, NULL, CALL_ATTR(.pin = WHORL_PIN(1000)), NULL), \
      -EPERM, -EINVAL) \
    X(call_soon_reserved, \
      whorl_call_soon(never_called, NULL, CALL_ATTR(.reserved = {1}), NULL), -EPERM, -EINVAL) \
    X(call_soon_outside, \
      OUTSIDE(whorl_call_soon(never_called, NULL, NULL, NULL), -EPERM), -EPERM, -EPERM) \
    X(call_threadsafe_null, \
      whorl_call_soon_threadsafe(NULL, never_called, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(call_threadsafe_null_callback, \
      INSIDE(whorl_call_soon_threadsafe(w->self, NULL, NULL, NULL, NULL), -EINVAL), \
      -EINVAL, -EINVAL) \
    X(call_later_null, whorl_call_later(0, NULL, NULL, NULL, NULL), -EPERM, -EINVAL) \
    X(call_later_outside, \
      OUTSIDE(whorl_call_later(0, never_called, NULL, NULL, NULL), -EPERM), -EPERM, -EPERM) \
    X(call_at_null, whorl_call_at(WHORL_NEVER, NULL, NULL, NULL, NULL), -EPERM, -EINVAL) \
    X(call_at_no_such_loop, \
      whorl_call_at(0, never_called, NULL, CALL_ATTR(.pin = WHORL_PIN(1000)), NULL), \
      -EPERM, -EINVAL) \
    X(handle_cancel_null, whorl_handle_cancel(NULL), false, false) \
    X(handle_cancel_twice, cancel_handle_twice(), -EPERM, false) \
    X(handle_cancelled_null, whorl_handle_cancelled(NULL), false, false) \
    X(handle_when_null, whorl_handle_when(NULL), 0, 0) \
    X(handle_context_null, whorl_handle_context(NULL, NULL), -EINVAL, -EINVAL) \
    X(handle_unref_null, (whorl_handle_unref(NULL), 0), 0, 0) \
    X(add_done_null, whorl_future_add_done_callback(NULL, never_done, NULL), -EINVAL, -EINVAL) \
    X(add_done_null_callback, \
      whorl_future_add_done_callback(w->pending, NULL, NULL), -EINVAL, -EINVAL) \
    X(add_done_outside, \
      OUTSIDE(whorl_future_add_done_callback(w->pending, never_done, NULL), -EPERM), \
      -EPERM, -EPERM) \
    X(remove_done_null, whorl_future_remove_done_callback(NULL, never_done, NULL), 0, 0) \
    X(remove_done_unknown, whorl_future_remove_done_callback(w->pending, never_done, NULL), 0, 0)

#define GENERATOR_MISUSES(X) \
    X(generator_new_null, whorl_generator_new(NULL, NULL, NULL, &generator), -EINVAL, -EINVAL) \
    X(generator_new_no_place, whorl_generator_new(never_run, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(generator_yield_in_no_body, whorl_generator_yield(NULL, NULL), -EPERM, -EPERM) \
    X(generator_next_null, whorl_generator_next(NULL, NULL), -EINVAL, -EINVAL) \
    X(generator_next_closed, ask_closed(), -EPERM, -ENODATA) \
    X(generator_send_null, whorl_generator_send(NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(generator_throw_null, whorl_generator_throw(NULL, -EIO, NULL), -EINVAL, -EINVAL) \
    X(generator_throw_positive, throw_positive(), -EINVAL, -EINVAL) \
    X(generator_close_null, whorl_generator_close(NULL), -EINVAL, -EINVAL) \
    X(generators_close, OUTSIDE(whorl_generators_close(), -EPERM), -EPERM, -EPERM) \
    X(generator_name_null, IS(whorl_generator_name(NULL)), false, false) \
    X(generator_iterator_null, IS(whorl_generator_iterator(NULL)), false, false) \
    X(generator_ref_null, IS(whorl_generator_ref(NULL)), false, false) \
    X(generator_unref_null, (whorl_generator_unref(NULL), 0), 0, 0) \
    X(iterator_next_null, whorl_iterator_next(NULL, NULL), -EINVAL, -EINVAL) \
    X(iterator_next_empty, whorl_iterator_next(&w->no_iterator, NULL), -EINVAL, -EINVAL) \
    X(iterator_close_null, whorl_iterator_close(NULL), -EINVAL, -EINVAL)

#define EXIT_STACK_MISUSES(X) \
    X(exit_stack_push_null, whorl_exit_stack_push(NULL, never_exit, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_push_null_exit, whorl_exit_stack_push(&stack, NULL, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_enter_null, \
      whorl_exit_stack_enter(NULL, never_run, never_exit, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_enter_null_enter, \
      whorl_exit_stack_enter(&stack, NULL, never_exit, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_enter_null_exit, \
      whorl_exit_stack_enter(&stack, never_run, NULL, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_defer_null, whorl_exit_stack_defer(NULL, never_called, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_defer_null_function, \
      whorl_exit_stack_defer(&stack, NULL, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_closing_null, whorl_exit_stack_closing(NULL, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_closing_null_generator, \
      whorl_exit_stack_closing(&stack, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_move_null, \
      (whorl_exit_stack_move(NULL, NULL), whorl_exit_stack_move(&stack, NULL), \
       whorl_exit_stack_move(NULL, &stack), 0), 0, 0) \
    X(exit_stack_close_null, whorl_exit_stack_close(NULL, -EXDEV, NULL), -EINVAL, -EINVAL) \
    X(exit_stack_close_twice, close_stack_again(), -EXDEV, -EXDEV) \
    X(exit_stack_leave_null, leave_nothing(), false, false) \
    X(generator_leave_twice, leave_twice(), false, false)

#define BLOCKING_MISUSES(X) \
    X(blocking_begin_null, whorl_blocking_begin(NULL) + whorl_blocking_end(), 0, 0) \
    X(blocking_end_without, whorl_blocking_end(), 0, -EINVAL) \
    X(blocking_end_twice, end_section_twice(), 0, -EINVAL)

#define CONTEXT_MISUSES(X) \
    X(local_set_null, whorl_local_set(NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(local_set_outside, OUTSIDE(whorl_local_set(&key, NULL, NULL), -EPERM), -EPERM, -EPERM) \
    X(local_get_null, IS(whorl_local_get(NULL)), false, false) \
    X(local_reset_null, whorl_local_reset(NULL), -EINVAL, -EINVAL) \
    X(local_reset_used, whorl_local_reset(&w->token), -EALREADY, -EALREADY) \
    X(local_forget, (whorl_local_forget(NULL), whorl_local_forget(&w->token), 0), 0, 0) \
    X(context_new_null, whorl_context_new(NULL), -EINVAL, -EINVAL) \
    X(context_copy_null, whorl_context_copy(NULL), -EINVAL, -EINVAL) \
    X(context_ref_null, IS(whorl_context_ref(NULL)), false, false) \
    X(context_unref_null, (whorl_context_unref(NULL), 0), 0, 0) \
    X(context_get_null, IS(whorl_context_get(NULL, NULL)), false, false) \
    X(context_run_null, whorl_context_run(NULL, never_run, NULL), -EINVAL, -EINVAL) \
    X(context_run_null_body, whorl_context_run(w->context, NULL, NULL), -EINVAL, -EINVAL) \
    X(context_run_entered, whorl_context_run(w->context, run_again, w->context), -EBUSY, -EBUSY) \
    X(task_context_null, whorl_task_context(NULL, NULL), -EINVAL, -EINVAL)

#define EXECUTOR_MISUSES(X) \
    X(executor_new_null, whorl_executor_new(NULL, NULL), -EINVAL, -EINVAL) \
    X(executor_new_negative, \
      whorl_executor_new(&(struct whorl_executor_options){.threads_max = -1}, &executor), \
      -EINVAL, -EINVAL) \
    X(executor_submit_null_body, \
      whorl_executor_submit(w->executor, NULL, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(executor_submit_late, \
      whorl_executor_submit(w->executor, never_run, NULL, NULL, NULL), -ESHUTDOWN, -ESHUTDOWN) \
    X(to_thread_null, whorl_to_thread(NULL, NULL, NULL, NULL), -EINVAL, -EINVAL) \
    X(to_thread_outside, \
      OUTSIDE(whorl_to_thread(never_run, NULL, NULL, NULL), -EPERM), -EPERM, -EPERM) \
    X(executor_set_default, whorl_executor_set_default(NULL), -EINVAL, -EINVAL) \
    X(executor_shutdown_null, whorl_executor_shutdown(NULL, 0, 0), -EINVAL, -EINVAL) \
    X(executor_shutdown_twice, whorl_executor_shutdown(w->executor, 0, WHORL_NEVER), 0, 0) \
    X(executor_shutdown_default, \
      OUTSIDE(whorl_executor_shutdown_default(0), -EPERM), -EPERM, -EPERM) \
    X(executor_free_null, (whorl_executor_free(NULL), 0), 0, 0) \
    X(executor_stats_null, whorl_executor_stats(w->executor, NULL), -EINVAL, -EINVAL)

#define IO_MISUSES(X) \
    X(tcp_listen_name, whorl_tcp_listen("localhost", 0, 0, 0), -EINVAL, -EINVAL) \
    X(tcp_listen_port, whorl_tcp_listen("127.0.0.1", 70000, 0, 0), -EINVAL, -EINVAL) \
    X(unix_listen_null, whorl_unix_listen(NULL, 0), -EINVAL, -EINVAL) \
    X(socket_port, whorl_socket_port(w->foreign), -EPERM, -EBADF) \
    X(accept, whorl_accept(w->foreign), -EPERM, -EBADF) \
    X(accept_until, whorl_accept_until(-1, 0), -EPERM, -EBADF) \
    X(tcp_connect_null, whorl_tcp_connect(NULL, 1), -EINVAL, -EINVAL) \
    X(tcp_connect_until, whorl_tcp_connect_until("127.0.0.1", -1, 0), -EINVAL, -EINVAL) \
    X(unix_connect_null, whorl_unix_connect(NULL), -EINVAL, -EINVAL) \
    X(unix_connect_until, whorl_unix_connect_until("", 0), -EINVAL, -EINVAL) \
    X(read, whorl_read(w->foreign, &byte, 1), -EPERM, -EBADF) \
    X(read_until, whorl_read_until(-1, &byte, 1, 0), -EPERM, -EBADF) \
    X(write, whorl_write(w->foreign, &byte, 1), -EPERM, -EBADF) \
    X(write_until, whorl_write_until(-1, &byte, 1, 0), -EPERM, -EBADF) \
    X(writev, whorl_writev(w->foreign, &part, 1), -EPERM, -EBADF) \
    X(writev_until, whorl_writev_until(-1, &part, 1, 0), -EPERM, -EBADF) \
    X(shutdown, whorl_shutdown(w->foreign, SHUT_WR), -EPERM, -EBADF) \
    X(shutdown_until, whorl_shutdown_until(-1, SHUT_WR, 0), -EPERM, -EBADF) \
    X(close_foreign, whorl_close(w->foreign), -EPERM, -EBADF) \
    X(close_until, whorl_close_until(-1, 0), -EPERM, -EBADF) \
    X(close_twice, close_twice(), -EPERM, -EBADF) \
    X(fd_adopt, whorl_fd_adopt(-1), -EPERM, -EBADF) \
    X(fd_adopt_twice, adopt_twice(), -EPERM, -EEXIST) \
    X(fd_wait, whorl_fd_wait(-1, POLLIN), -EPERM, -EBADF) \
    X(fd_wait_until, whorl_fd_wait_until(w->foreign, 0, 0), -EINVAL, -EINVAL) \
    X(fd_loop, whorl_fd_loop(w->foreign), -EPERM, -EBADF)

#define DEBUG_MISUSES(X) \
    X(error_name, strcmp(whorl_error_name(-99999), "E?"), 0, 0) \
    X(strerror, strcmp(whorl_strerror(-99999), "unknown error"), 0, 0) \
    X(strerror_least, strcmp(whorl_strerror(INT_MIN), "unknown error"), 0, 0) \
    X(error_text, IS(whorl_error_text(-99999)), true, true) \
    X(handler_set, OUTSIDE(whorl_exception_handler_set(NULL, NULL), -EPERM), -EPERM, -EPERM) \
    X(handler_get, whorl_exception_handler_get(NULL, NULL), -EPERM, 0) \
    X(handler_call_null, whorl_exception_handler_call(NULL), -EINVAL, -EINVAL) \
    X(handler_call_no_message, whorl_exception_handler_call(&w->report), -EPERM, -EINVAL) \
    X(handler_default_null, whorl_exception_handler_default(NULL), -EINVAL, -EINVAL) \
    X(handler_default_no_message, whorl_exception_handler_default(&w->report), -EINVAL, -EINVAL) \
    X(dump, whorl_dump(-1), -EBADF, -EBADF) \
    X(debug_set, OUTSIDE(whorl_debug_set(0), -EPERM), -EPERM, -EPERM) \
    X(debug_get, OUTSIDE(whorl_debug_get(), -EPERM), -EPERM, -EPERM) \
    X(debug_lock_held, whorl_debug_lock_held(-1), 0, 0) \
    X(task_body_null, whorl_task_body(NULL) != NULL, false, false) \
    X(task_arg_null, IS(whorl_task_arg(NULL)), false, false) \
    X(task_origin_null, whorl_task_origin(NULL, NULL, 0), -EINVAL, -EINVAL) \
    X(task_origin_no_place, whorl_task_origin(w->ended, NULL, 1), -EINVAL, -EINVAL) \
    X(graph_walk_null, whorl_graph_walk(w->pending, 0, NULL, NULL), -EINVAL, -EINVAL) \
    X(graph_walk_outside, \
      OUTSIDE(whorl_graph_walk(NULL, 0, answer_step, NULL), -EPERM), -EPERM, -EPERM) \
    X(graph_walk_stops, whorl_graph_walk(w->pending, 0, answer_step, NULL), -EXDEV, -EXDEV) \
    X(awaited_by_null, whorl_future_add_to_awaited_by(w->pending, NULL), -EINVAL, -EINVAL) \
    X(awaited_null, whorl_future_add_to_awaited_by(NULL, w->pending), -EINVAL, -EINVAL) \
    X(not_awaited_by_null, \
      whorl_future_discard_from_awaited_by(w->pending, NULL), -EINVAL, -EINVAL) \
    X(not_awaited_by, whorl_future_discard_from_awaited_by(w->pending, w->pending), 0, 0) \
    X(test_run_null, whorl_test_run(NULL, never_run, NULL), -EINVAL, -EINVAL) \
    X(test_run_no_body, whorl_test_run("none", NULL, NULL), -EINVAL, -EINVAL) \
    X(test_simulate_null, whorl_test_simulate("none", NULL, NULL, 1), -EINVAL, -EINVAL) \
    X(test_simulate_no_seeds, \
      whorl_test_simulate("none", never_run, NULL, 0), -EINVAL, -EINVAL) \
    X(graph_print, whorl_graph_print(w->pending, 0, -1), -EBADF, -EBADF) \
    X(runtimes, whorl_runtimes(NULL, 0) > 5, false, false) \
    X(runtimes_null, whorl_runtimes(NULL, 5) > 5, false, false) \
    X(stats_null, whorl_stats(-1, NULL), -EPERM, -EINVAL) \
    X(stats_no_such_loop, whorl_stats(1000, &stats), -EPERM, -EINVAL) \
    X(stats_of, whorl_stats_of(UINT64_MAX, -1, &stats), -ESRCH, -ESRCH) \
    X(stats_print, whorl_stats_print((enum whorl_stats_format)9, NULL, 0), -EINVAL, -EINVAL) \
    X(stats_write, whorl_stats_write(WHORL_STATS_TEXT, -1), -EBADF, -EBADF)

#define MISUSES(X) \
    RUNTIME_MISUSES(X) TASK_MISUSES(X) TIME_MISUSES(X) FUTURE_MISUSES(X) SYNC_MISUSES(X) \
    STRAND_MISUSES(X) CALLBACK_MISUSES(X) GENERATOR_MISUSES(X) EXIT_STACK_MISUSES(X) \
    CONTEXT_MISUSES(X) EXECUTOR_MISUSES(X) BLOCKING_MISUSES(X) IO_MISUSES(X) DEBUG_MISUSES(X)
/* clang-format on */

#define FUNCTION(name, call, outside, inside)                                                      \
    static long misuse_##name(struct world *w)                                                     \
    {                                                                                              \
        struct whorl_future *ignored = NULL;                                                       \
        struct whorl_completed *iteration = NULL;                                                  \
        struct whorl_executor *executor = NULL;                                                    \
        struct whorl_generator *generator = NULL;                                                  \
        struct whorl_attempt attempt = {.body = NULL};                                             \
        struct whorl_exit_stack stack = {0};                                                       \
        const struct whorl_spawning spawning = {.body = never_run};                                \
        whorl_task_factory *factory = NULL;                                                        \
        size_t place = 0;                                                                          \
        struct whorl_shield section;                                                               \
        struct whorl_stats stats;                                                                  \
        char byte = 'x';                                                                           \
        struct iovec part = {.iov_base = &byte, .iov_len = 1};                                     \
        (void)w, (void)ignored, (void)iteration, (void)executor, (void)stats, (void)part;          \
        (void)attempt, (void)place, (void)generator, (void)section;                                \
        (void)stack, (void)spawning, (void)factory;                                                \
        return (long)(call);                                                                       \
    }
MISUSES(FUNCTION)

struct misuse {
    const char *name;
    long (*call)(struct world *world);
    long outside;
    long inside;
};

#define ENTRY(name, call, outside, inside) {#name, misuse_##name, outside, inside},
static const struct misuse misuses[] = {MISUSES(ENTRY)};

enum { MISUSE_COUNT = sizeof misuses / sizeof misuses[0] };

/* ---- a world of things to misuse ---- */

static void make_world(struct world *w)
{
    const struct whorl_executor_options options = {.threads_max = 1};
    int ends[2];
    w->pending = new_future();
    w->done = new_future();
    w->failed = new_future();
    w->cancelled = new_future();
    must(whorl_future_set_result(w->done, NULL));
    must(whorl_future_set_error(w->failed, -EIO));
    must(whorl_future_cancel(w->cancelled, NULL) ? 0 : -EPROTO);
    must(whorl_gather_start(&w->pending, 1, 0, &w->gather));
    must(whorl_context_new(&w->context));
    must(whorl_executor_new(&options, &w->executor));
    must(whorl_executor_shutdown(w->executor, 0, WHORL_NEVER));
    must(pipe2(ends, O_CLOEXEC));
    close(ends[1]);
    w->foreign = ends[0];
    w->nothing[0] = w->done;
    w->no_tasks[0] = w->ended;
    the_world = w;
}

static int use_token(void *token)
{
    must(whorl_local_set(&key, NULL, token));
    return whorl_local_reset(token);
}

static void end_world(struct world *w)
{
    must(whorl_future_set_result(w->pending, NULL));
    whorl_future_unref(w->pending);
    whorl_future_unref(w->done);
    (void)whorl_future_result(w->failed, NULL); /* looked at: no report */
    whorl_future_unref(w->failed);
    whorl_future_unref(w->cancelled);
    whorl_future_unref(w->gather);
    whorl_context_unref(w->context);
    whorl_executor_free(w->executor);
    close(w->foreign);
}

struct answers {
    struct world world;
    long got[MISUSE_COUNT];
    struct whorl_task *task; /* kept for the thread outside */
};

static void misuse_all(struct answers *answers)
{
    make_world(&answers->world);
    must(whorl_context_run(answers->world.context, use_token, &answers->world.token));
    for (int i = 0; i < MISUSE_COUNT; i++) {
        answers->got[i] = misuses[i].call(&answers->world);
    }
    end_world(&answers->world);
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int misuse_inside(void *arg)
{
    struct answers *const answers = arg;
    struct world *const w = &answers->world;
    w->self = whorl_task_current();
    w->ended = start(end_at_once, NULL);
    must(whorl_await(w->ended, NULL));
    misuse_all(answers);
    settle();
    answers->task = w->ended;
    return 0;
}

static void check(const struct answers *answers, bool inside)
{
    int wrong = 0;
    for (int i = 0; i < MISUSE_COUNT; i++) {
        const long wanted = inside ? misuses[i].inside : misuses[i].outside;
        if (answers->got[i] != wanted) {
            print_message("%s %s is %ld, not %ld\n", misuses[i].name, inside ? "inside" : "outside",
                          answers->got[i], wanted);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(answers->world.ran, 0);
}

/* Two runtimes beside the one that plays; they cannot be made in there. */
static void make_others(struct world *w)
{
    const struct whorl_options options = {.loops = 1, .no_pin = 1};
    must(whorl_runtime_new(&options, &w->other));
    must(whorl_runtime_new(&options, &w->closed));
    must(whorl_runtime_close(w->closed));
    must(whorl_runtime_new(&(struct whorl_options){.flags = WHORL_STEPPED}, &w->stepped));
}

static void free_others(struct world *w)
{
    must(whorl_runtime_free(w->other));
    must(whorl_runtime_free(w->closed));
    must(whorl_runtime_free(w->stepped));
}

static void test_misuse_inside_and_outside_has_the_error_of_its_header(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct answers inside = {.task = NULL};
        struct answers outside = {.task = NULL};
        make_others(&inside.world);
        outside.world.other = inside.world.other;
        outside.world.closed = inside.world.closed;
        outside.world.stepped = inside.world.stepped;
        assert_int_equal(play(loops, misuse_inside, &inside), 0);
        check(&inside, true);
        outside.world.ended = inside.task;
        misuse_all(&outside);
        check(&outside, false);
        whorl_task_unref(inside.task);
        free_others(&inside.world);
    }
}

int main(void)
{
    must(whorl_lock_try_acquire(&held_lock));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse_inside_and_outside_has_the_error_of_its_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
