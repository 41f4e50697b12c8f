/*
 * What becomes of an argument, on every way that it can take: freed exactly once by whorl if whorl
 * took it, and left alone if it was refused; the body was called once or never, as the way says.
 *
 * `ways` is the list: tasks, group children, attempts of a race, work for threads, callbacks,
 * generators, mains of a runtime. Each is walked at one loop and at several, with every block and
 * every mapping counted; then once more for each allocation of the call that takes the argument,
 * which fails.
 */
#include "support/child.h"
#include "support/faults.h"
#include "support/play.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* A sanitizer would rather end a child of fork than let it go on. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

enum { NEVER = 0, ONCE = 1, MAYBE = 2 };

/* One argument on its way. */
struct walk {
    _Atomic unsigned bodies;
    _Atomic unsigned cleanups;
    _Atomic bool go;   /* for a function that keeps its thread */
    _Atomic bool busy; /* it has one */
    int got;           /* what the call said that was given the argument */
    bool unowned;      /* nobody is to free it */
    uint32_t fail_at;  /* which allocation of that call fails; 0: none */
    uint32_t hits;     /* how many did */
    struct whorl_executor *executor;
    struct whorl_generator *generator;
    struct whorl_task *task;
};

/* ---- the argument is given away ---- */

static void begin_offer(struct walk *walk)
{
    if (walk->fail_at != 0) {
        faults_order(&(struct faults_order){.entry = FAULTS_alloc,
                                            .phase = FAULTS_ANY_PHASE,
                                            .error = -ENOMEM,
                                            .first = walk->fail_at});
    }
}

/* True: it was taken. */
static bool end_offer(struct walk *walk, int got)
{
    if (walk->fail_at != 0) {
        walk->hits = faults_hits();
        faults_order(NULL);
    }
    walk->got = got;
    return got == 0;
}

#define OFFER(walk, call) (begin_offer(walk), end_offer(walk, call))

static void clean_up(void *arg)
{
    ((struct walk *)arg)->cleanups++;
}

static const struct whorl_attr plain = {.arg_free = clean_up};
static const struct whorl_work_attr plain_work = {.arg_free = clean_up};
static const struct whorl_call_attr plain_call = {.arg_free = clean_up};
static const struct whorl_generator_attr plain_generator = {.arg_free = clean_up};

/* ---- bodies ---- */

static int end_well(void *arg)
{
    ((struct walk *)arg)->bodies++;
    return 0;
}

static int end_badly(void *arg)
{
    ((struct walk *)arg)->bodies++;
    return -EIO;
}

static int rest(void *arg)
{
    ((struct walk *)arg)->bodies++;
    return wait_for_ever();
}

static int keep_thread(void *arg)
{
    struct walk *const walk = arg;
    walk->busy = true;
    while (!walk->go) {
        sched_yield();
    }
    return 0;
}

static int keep_thread_counted(void *arg)
{
    ((struct walk *)arg)->bodies++;
    return keep_thread(arg);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void call(void *arg)
{
    ((struct walk *)arg)->bodies++;
}

static void call_done(struct whorl_future *future, void *arg)
{
    (void)future;
    ((struct walk *)arg)->bodies++;
}

static int yield_for_ever(void *arg)
{
    ((struct walk *)arg)->bodies++;
    int error;
    do {
        error = whorl_generator_yield(NULL, NULL);
    } while (error == 0);
    return error;
}

static int yield_nothing(void *arg)
{
    ((struct walk *)arg)->bodies++;
    return 0;
}

/* ---- tasks ---- */

static int spawn_and_await(struct walk *walk, whorl_body *body, const struct whorl_attr *attr)
{
    struct whorl_task *task;
    if (OFFER(walk, whorl_spawn(body, walk, attr, &task))) {
        (void)finish(task);
    }
    return 0;
}

static int task_ends(void *arg)
{
    return spawn_and_await(arg, end_well, &plain);
}

static int task_fails(void *arg)
{
    return spawn_and_await(arg, end_badly, &plain);
}

static int task_elsewhere(void *arg)
{
    const struct whorl_attr attr = {.arg_free = clean_up,
                                    .pin = WHORL_PIN(whorl_loop_count() - 1)};
    return spawn_and_await(arg, end_well, &attr);
}

static int task_refused(void *arg)
{
    const struct whorl_attr attr = {.arg_free = clean_up, .stack_bytes = 1};
    return spawn_and_await(arg, end_well, &attr);
}

static int task_of_no_loop(void *arg)
{
    const struct whorl_attr attr = {.arg_free = clean_up, .pin = WHORL_PIN(LOOPS_MOST)};
    return spawn_and_await(arg, end_well, &attr);
}

static int task_cancelled(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_task *task;
    if (OFFER(walk, whorl_spawn(rest, walk, &plain, &task))) {
        settle();
        must(whorl_cancel(task, NULL) ? 0 : -EPROTO);
        (void)finish(task);
    }
    return 0;
}

/* On the caller's loop, which is taken until it waits. */
static struct whorl_attr attr_here(void)
{
    return (struct whorl_attr){.arg_free = clean_up, .pin = WHORL_PIN(whorl_loop_current())};
}

static int task_cancelled_before(void *arg)
{
    struct walk *const walk = arg;
    const struct whorl_attr attr = attr_here();
    struct whorl_task *task;
    if (OFFER(walk, whorl_spawn(end_well, walk, &attr, &task))) {
        must(whorl_cancel(task, NULL) ? 0 : -EPROTO);
        (void)finish(task);
    }
    return 0;
}

static int task_cancelled_while_it_begins(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_task *task;
    if (OFFER(walk, whorl_spawn(end_well, walk, &plain, &task))) {
        (void)whorl_cancel(task, NULL); /* another loop may have begun it */
        (void)finish(task);
    }
    return 0;
}

static int task_forgotten(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_spawn(end_well, walk, &plain, NULL));
    return 0;
}

static int task_left_waiting(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_spawn(rest, walk, &plain, NULL));
    settle();
    return 0;
}

static void refuse_maps(void)
{
    faults_order(&(struct faults_order){.entry = FAULTS_map,
                                        .phase = FAULTS_ANY_PHASE,
                                        .error = -ENOMEM,
                                        .first = 1,
                                        .count = 1000});
}

static int task_without_a_stack(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_attr attr = attr_here();
    struct whorl_task *task;
    attr.stack_bytes = 4 << 20; /* no loop has one of that size */
    walk->got = whorl_spawn(end_well, walk, &attr, &task);
    must(walk->got);
    refuse_maps();
    must(finish(task) == -ENOMEM ? 0 : -EPROTO);
    faults_order(NULL);
    return 0;
}

static int spawn_remotely(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_spawn_remote(walk->task, end_well, walk, &plain, NULL));
    return 0;
}

static int task_from_a_thread(void *arg)
{
    struct walk *const walk = arg;
    walk->task = whorl_task_current();
    must(whorl_to_thread(spawn_remotely, walk, NULL, NULL));
    settle();
    return 0;
}

static int spawn_when_cancelled(void *arg)
{
    (void)wait_for_ever();
    return task_ends(arg);
}

static int task_at_the_end(void *arg)
{
    whorl_task_unref(start(spawn_when_cancelled, arg));
    settle();
    return 0;
}

/* ---- eager tasks ---- */

static const struct whorl_attr eager = {.arg_free = clean_up, .flags = WHORL_EAGER};

static int eager_ends(void *arg)
{
    return spawn_and_await(arg, end_well, &eager);
}

static int eager_fails(void *arg)
{
    return spawn_and_await(arg, end_badly, &eager);
}

static int eager_waits(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_task *task;
    if (OFFER(walk, whorl_spawn(rest, walk, &eager, &task))) {
        must(whorl_cancel(task, NULL) ? 0 : -EPROTO);
        (void)finish(task);
    }
    return 0;
}

/* ---- factories ---- */

static int refuse(void *arg, const struct whorl_spawning *spawning, struct whorl_task **ret_task)
{
    (void)arg;
    (void)spawning;
    (void)ret_task;
    return -EACCES;
}

static int task_of_a_factory(void *arg)
{
    must(whorl_task_factory_set(whorl_task_factory_eager, NULL));
    return task_ends(arg);
}

static int task_refused_by_a_factory(void *arg)
{
    must(whorl_task_factory_set(refuse, NULL));
    (void)task_ends(arg);
    return whorl_task_factory_set(NULL, NULL);
}

/* ---- groups and races ---- */

static int group_of(struct walk *walk, whorl_body *body, const struct whorl_attr *attr,
                    bool cancels)
{
    struct whorl_group group;
    must(whorl_group_begin(&group));
    (void)OFFER(walk, whorl_group_spawn(&group, body, walk, attr, NULL));
    if (cancels) {
        whorl_group_cancel(&group);
    }
    (void)whorl_group_end(&group, 0, NULL);
    return 0;
}

static int child_ends(void *arg)
{
    return group_of(arg, end_well, &plain, false);
}

static int child_fails(void *arg)
{
    return group_of(arg, end_badly, &plain, false);
}

static int child_cancelled_before(void *arg)
{
    const struct whorl_attr attr = attr_here();
    return group_of(arg, end_well, &attr, true);
}

static int child_of_an_ended_group(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_end(&group, 0, NULL));
    (void)OFFER(walk, whorl_group_spawn(&group, end_well, walk, &plain, NULL));
    return 0;
}

static int child_of_a_cancelled_group(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, do_nothing, NULL, NULL, NULL));
    whorl_group_cancel(&group);
    (void)OFFER(walk, whorl_group_spawn(&group, end_well, walk, &plain, NULL));
    (void)whorl_group_end(&group, 0, NULL);
    return 0;
}

static int race_of(struct walk *walk, const struct whorl_attempt attempts[2], int64_t delay_ns,
                   size_t mine)
{
    struct whorl_attempt both[2] = {attempts[0], attempts[1]};
    size_t winner;
    (void)OFFER(walk, whorl_staggered_race(both, 2, delay_ns, &winner));
    walk->got = both[mine].started ? 0 : -EALREADY;
    return 0;
}

static int attempt_wins(void *arg)
{
    const struct whorl_attempt attempts[2] = {{.body = end_well, .arg = arg, .attr = &plain},
                                              {.body = do_nothing}};
    return race_of(arg, attempts, WHORL_NEVER, 0);
}

static int attempt_loses(void *arg)
{
    const struct whorl_attempt attempts[2] = {{.body = rest, .arg = arg, .attr = &plain},
                                              {.body = do_nothing}};
    return race_of(arg, attempts, 1, 0);
}

static int attempt_has_no_turn(void *arg)
{
    const struct whorl_attempt attempts[2] = {{.body = do_nothing},
                                              {.body = end_well, .arg = arg, .attr = &plain}};
    return race_of(arg, attempts, WHORL_NEVER, 1);
}

/* ---- work for threads ---- */

static void make_executor(struct walk *walk, const struct whorl_executor_options *options)
{
    must(whorl_executor_new(options, &walk->executor));
}

static void free_executor(struct walk *walk)
{
    walk->go = true;
    must(whorl_executor_shutdown(walk->executor, 0, WHORL_NEVER));
    whorl_executor_free(walk->executor);
}

/* Its only thread is kept, and there is room for one more. */
static void make_busy_executor(struct walk *walk)
{
    make_executor(walk, &(struct whorl_executor_options){.threads_max = 1, .queue_max = 1});
    must(whorl_executor_submit(walk->executor, keep_thread, walk, NULL, NULL));
    while (!walk->busy) {
        must(whorl_yield());
    }
}

static int submit_to(struct walk *walk, whorl_body *body)
{
    struct whorl_future *future;
    make_executor(walk, NULL);
    if (OFFER(walk, whorl_executor_submit(walk->executor, body, walk, &plain_work, &future))) {
        (void)whorl_future_await(future, NULL);
        whorl_future_unref(future);
    }
    free_executor(walk);
    return 0;
}

static int work_ends(void *arg)
{
    return submit_to(arg, end_well);
}

static int work_fails(void *arg)
{
    return submit_to(arg, end_badly);
}

static int work_withdrawn(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_future *future;
    make_busy_executor(walk);
    if (OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &plain_work, &future))) {
        must(whorl_future_cancel(future, NULL) ? 0 : -EPROTO);
        whorl_future_unref(future);
    }
    free_executor(walk);
    return 0;
}

static int work_dropped_by_a_shutdown(void *arg)
{
    struct walk *const walk = arg;
    make_busy_executor(walk);
    (void)OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &plain_work, NULL));
    must(whorl_executor_shutdown(walk->executor, WHORL_SHUTDOWN_CANCEL_PENDING, 0) == -ETIMEDOUT
             ? 0
             : -EPROTO);
    free_executor(walk);
    return 0;
}

static int work_of_a_freed_executor(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_future *future = NULL;
    make_busy_executor(walk);
    const bool taken =
        OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &plain_work, &future));
    whorl_executor_free(walk->executor);
    walk->go = true;
    if (taken) {
        must(whorl_future_await(future, NULL));
        whorl_future_unref(future);
    }
    return 0;
}

static int work_after_a_shutdown(void *arg)
{
    struct walk *const walk = arg;
    make_executor(walk, NULL);
    must(whorl_executor_shutdown(walk->executor, 0, WHORL_NEVER));
    (void)OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &plain_work, NULL));
    free_executor(walk);
    return 0;
}

static int work_without_room(void *arg)
{
    struct walk *const walk = arg;
    const struct whorl_work_attr attr = {.arg_free = clean_up, .flags = WHORL_WORK_TRY};
    make_busy_executor(walk);
    must(whorl_executor_submit(walk->executor, do_nothing, NULL, NULL, NULL));
    (void)OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &attr, NULL));
    free_executor(walk);
    return 0;
}

static int submit_and_wait_for_room(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &plain_work, NULL));
    return 0;
}

static int work_whose_submitter_is_cancelled(void *arg)
{
    struct walk *const walk = arg;
    make_busy_executor(walk);
    must(whorl_executor_submit(walk->executor, do_nothing, NULL, NULL, NULL));
    struct whorl_task *const task = start(submit_and_wait_for_room, walk);
    settle();
    (void)whorl_cancel(task, NULL);
    (void)finish(task);
    free_executor(walk);
    return 0;
}

/* Once the work is in. */
static int refuse_thread(void *arg)
{
    struct walk *const walk = arg;
    while (!walk->go) {
        sched_yield();
    }
    return -EACCES;
}

static int work_for_broken_threads(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_future *future;
    make_executor(walk, &(struct whorl_executor_options){.thread_begin = refuse_thread,
                                                         .hook_arg = walk});
    if (OFFER(walk, whorl_executor_submit(walk->executor, end_well, walk, &plain_work, &future))) {
        walk->go = true;
        must(whorl_future_await(future, NULL) == -EACCES ? 0 : -EPROTO);
        whorl_future_unref(future);
    }
    free_executor(walk);
    return 0;
}

static int work_without_a_thread(void *arg)
{
    struct walk *const walk = arg;
    make_executor(walk, NULL);
    faults_order(&(struct faults_order){.entry = FAULTS_thread_start_quiet,
                                        .phase = FAULTS_ANY_PHASE,
                                        .error = -EAGAIN,
                                        .first = 1});
    walk->got = whorl_executor_submit(walk->executor, end_well, walk, &plain_work, NULL);
    faults_order(NULL);
    free_executor(walk);
    return 0;
}

static int to_thread(void *arg)
{
    struct walk *const walk = arg;
    const int got = whorl_to_thread(keep_thread_counted, walk, &plain_work, NULL);
    walk->got = got == -ECANCELED ? 0 : got;
    return 0;
}

static int work_whose_waiter_is_cancelled(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_task *const task = start(to_thread, walk);
    while (!walk->busy) {
        must(whorl_yield());
    }
    must(whorl_cancel(task, NULL) ? 0 : -EPROTO);
    (void)finish(task);
    walk->go = true;
    return 0;
}

static int work_left_at_the_end(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_executor_submit(NULL, end_well, walk, &plain_work, NULL));
    return 0;
}

/* ---- callbacks ---- */

/* A loop that is taken calls late. */
static void wait_until(const _Atomic unsigned *count)
{
    while (*count == 0) {
        must(whorl_yield());
    }
}

static int call_and_wait(struct walk *walk, const struct whorl_call_attr *attr)
{
    if (OFFER(walk, whorl_call_soon(call, walk, attr, NULL))) {
        wait_until(&walk->cleanups);
    }
    return 0;
}

static int call_is_made(void *arg)
{
    return call_and_wait(arg, &plain_call);
}

static int call_elsewhere(void *arg)
{
    const struct whorl_call_attr attr = {.arg_free = clean_up,
                                         .pin = WHORL_PIN(whorl_loop_count() - 1)};
    return call_and_wait(arg, &attr);
}

static int call_of_no_loop(void *arg)
{
    const struct whorl_call_attr attr = {.arg_free = clean_up, .pin = WHORL_PIN(LOOPS_MOST)};
    return call_and_wait(arg, &attr);
}

static int cancel_call(struct walk *walk, struct whorl_handle *handle)
{
    if (walk->got == 0) {
        must(whorl_handle_cancel(handle) ? 0 : -EPROTO);
        must(whorl_handle_cancel(handle) ? -EPROTO : 0);
        whorl_handle_unref(handle);
    }
    return 0;
}

static int call_cancelled(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_handle *handle = NULL;
    (void)OFFER(walk, whorl_call_soon(call, walk, &plain_call, &handle));
    return cancel_call(walk, handle);
}

static int cancel_on_thread(void *arg)
{
    (void)whorl_handle_cancel(arg);
    return 0;
}

/* Called or cancelled: the two race. */
static int call_cancelled_elsewhere(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_handle *handle;
    if (OFFER(walk, whorl_call_soon(call, walk, &plain_call, &handle))) {
        must(whorl_to_thread(cancel_on_thread, handle, NULL, NULL));
        whorl_handle_unref(handle);
    }
    return 0;
}

static int call_dropped(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_call_soon(call, walk, &plain_call, NULL));
    return 0;
}

static int timer_fires(void *arg)
{
    struct walk *const walk = arg;
    if (OFFER(walk, whorl_call_later(1, call, walk, &plain_call, NULL))) {
        wait_until(&walk->cleanups);
    }
    return 0;
}

static int timer_cancelled(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_handle *handle = NULL;
    (void)OFFER(walk, whorl_call_later(3600 * WHORL_SECOND, call, walk, &plain_call, &handle));
    return cancel_call(walk, handle);
}

static int timer_dropped(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_call_later(3600 * WHORL_SECOND, call, walk, &plain_call, NULL));
    return 0;
}

static int timer_of_never_dropped(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_call_at(WHORL_NEVER, call, walk, &plain_call, NULL));
    return 0;
}

static int post(void *arg)
{
    struct walk *const walk = arg;
    (void)OFFER(walk, whorl_call_soon_threadsafe(walk->task, call, walk, &plain_call, NULL));
    return 0;
}

static int post_when_cancelled(void *arg)
{
    (void)wait_for_ever();
    return post(arg);
}

static int post_on_a_thread_when_cancelled(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_future *future;
    (void)wait_for_ever();
    make_executor(walk, NULL);
    must(whorl_executor_submit(walk->executor, post, walk, NULL, &future));
    must(whorl_future_await(future, NULL));
    whorl_future_unref(future);
    free_executor(walk);
    return 0;
}

static int leave_behind(struct walk *walk, whorl_body *body)
{
    walk->task = start(body, walk);
    settle();
    whorl_task_unref(walk->task);
    return 0;
}

static int call_at_the_end(void *arg)
{
    return leave_behind(arg, post_when_cancelled);
}

static int call_by_a_thread_at_the_end(void *arg)
{
    return leave_behind(arg, post_on_a_thread_when_cancelled);
}

/* ---- done callbacks: their argument is never whorl's ---- */

static struct whorl_future *future_with_callback(struct walk *walk)
{
    struct whorl_future *const future = new_future();
    walk->unowned = true;
    (void)OFFER(walk, whorl_future_add_done_callback(future, call_done, walk));
    return future;
}

static int done_callback_called(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_future *const future = future_with_callback(walk);
    must(whorl_future_set_result(future, NULL));
    if (walk->got == 0) {
        wait_until(&walk->bodies);
    }
    whorl_future_unref(future);
    return 0;
}

static int done_callback_removed(void *arg)
{
    struct walk *const walk = arg;
    struct whorl_future *const future = future_with_callback(walk);
    const int removed = whorl_future_remove_done_callback(future, call_done, walk);
    must(removed == (walk->got == 0) ? 0 : -EPROTO);
    must(whorl_future_set_result(future, NULL));
    settle();
    whorl_future_unref(future);
    return 0;
}

static int done_callback_never_called(void *arg)
{
    whorl_future_unref(future_with_callback(arg));
    settle();
    return 0;
}

static int done_callback_dropped(void *arg)
{
    struct whorl_future *const future = future_with_callback(arg);
    must(whorl_future_set_result(future, NULL));
    whorl_future_unref(future);
    return 0;
}

/* ---- generators ---- */

static bool make_generator(struct walk *walk, whorl_body *body)
{
    return OFFER(walk, whorl_generator_new(body, walk, &plain_generator, &walk->generator));
}

/* One that waits in its yield. */
static bool begin_generator(struct walk *walk)
{
    const bool made = make_generator(walk, yield_for_ever);
    if (made) {
        must(whorl_generator_next(walk->generator, NULL));
    }
    return made;
}

static int generator_never_begun(void *arg)
{
    struct walk *const walk = arg;
    if (make_generator(walk, yield_for_ever)) {
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int generator_closed_before(void *arg)
{
    struct walk *const walk = arg;
    if (make_generator(walk, yield_for_ever)) {
        must(whorl_generator_close(walk->generator));
        must(whorl_generator_close(walk->generator));
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int generator_thrown_into_before(void *arg)
{
    struct walk *const walk = arg;
    if (make_generator(walk, yield_for_ever)) {
        must(whorl_generator_throw(walk->generator, -EIO, NULL) == -EIO ? 0 : -EPROTO);
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int ask_till_the_end(struct walk *walk, whorl_body *body, int end)
{
    if (make_generator(walk, body)) {
        must(whorl_generator_next(walk->generator, NULL) == end ? 0 : -EPROTO);
        must(whorl_generator_next(walk->generator, NULL) == -ENODATA ? 0 : -EPROTO);
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int generator_ends(void *arg)
{
    return ask_till_the_end(arg, yield_nothing, -ENODATA);
}

static int generator_fails(void *arg)
{
    return ask_till_the_end(arg, end_badly, -EIO);
}

static int generator_cancelled_inside(void *arg)
{
    must(whorl_cancel(whorl_task_current(), NULL) ? 0 : -EPROTO);
    (void)ask_till_the_end(arg, rest, -ECANCELED);
    (void)whorl_uncancel(whorl_task_current());
    return 0;
}

static int generator_closed(void *arg)
{
    struct walk *const walk = arg;
    if (begin_generator(walk)) {
        must(whorl_generator_close(walk->generator));
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int generator_lost(void *arg)
{
    struct walk *const walk = arg;
    if (begin_generator(walk)) {
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int unref_generator(void *arg)
{
    whorl_generator_unref(arg);
    return 0;
}

static int generator_lost_on_a_thread(void *arg)
{
    struct walk *const walk = arg;
    return begin_generator(walk) ? whorl_to_thread(unref_generator, walk->generator, NULL, NULL)
                                 : 0;
}

/* The reference is given back when the runtime is gone. */
static int generator_left_at_the_end(void *arg)
{
    struct walk *const walk = arg;
    if (!begin_generator(walk)) {
        walk->generator = NULL;
    }
    return 0;
}

static int generator_refused(void *arg)
{
    struct walk *const walk = arg;
    must(whorl_generators_close());
    if (make_generator(walk, yield_for_ever)) {
        must(whorl_generator_next(walk->generator, NULL) == -ESHUTDOWN ? 0 : -EPROTO);
        whorl_generator_unref(walk->generator);
    }
    return 0;
}

static int generator_without_a_stack(void *arg)
{
    struct walk *const walk = arg;
    const struct whorl_generator_attr attr = {.arg_free = clean_up, .stack_bytes = 4 << 20};
    struct whorl_generator *generator;
    walk->got = whorl_generator_new(yield_for_ever, walk, &attr, &generator);
    must(walk->got);
    refuse_maps();
    must(whorl_generator_next(generator, NULL) == -ENOMEM ? 0 : -EPROTO);
    faults_order(NULL);
    whorl_generator_unref(generator);
    return 0;
}

/* ---- in a child of fork ---- */

static bool refused_in_the_child(struct walk *walk)
{
    return whorl_spawn(end_well, walk, &plain, NULL) == -ECHILD &&
           whorl_call_soon(call, walk, &plain_call, NULL) == -ECHILD &&
           whorl_executor_submit(walk->executor, end_well, walk, &plain_work, NULL) == -ECHILD &&
           walk->bodies == 0 && walk->cleanups == 0;
}

static int refused_in_a_child(void *arg)
{
    struct walk *const walk = arg;
    int status = -1;
    make_executor(walk, NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(refused_in_the_child(walk) ? 0 : 1);
    }
    must(child > 0 && waitpid(child, &status, 0) == child ? 0 : -ECHILD);
    walk->got = status == 0 ? -ECHILD : -EPROTO;
    free_executor(walk);
    return 0;
}

/* ---- a runtime of several mains ---- */

static void use_runtime(struct walk *walk, int loops, whorl_body *body, bool closed)
{
    const struct whorl_options options = {.loops = loops, .no_pin = 1};
    struct whorl_runtime *runtime;
    must(whorl_runtime_new(&options, &runtime));
    if (closed) {
        must(whorl_runtime_close(runtime));
    }
    if (body != NULL) {
        must(whorl_runtime_run(runtime, body, walk));
    } else {
        (void)OFFER(walk, whorl_runtime_spawn(runtime, end_well, walk, &plain, NULL));
    }
    must(whorl_runtime_free(runtime));
}

static void runtime_freed(struct walk *walk, int loops)
{
    use_runtime(walk, loops, NULL, false);
}

static void runtime_closed(struct walk *walk, int loops)
{
    use_runtime(walk, loops, NULL, true);
}

static void runtime_freed_behind_a_main(struct walk *walk, int loops)
{
    use_runtime(walk, loops, task_forgotten, false);
}

static void runtime_freed_over_one_that_waits(struct walk *walk, int loops)
{
    use_runtime(walk, loops, task_left_waiting, false);
}

/* ---- the ways ---- */

static const struct way {
    const char *name;
    whorl_body *main;                               /* in a task */
    void (*outside)(struct walk *walk, int loops);  /* or by a plain thread */
    int got;                                        /* what the call says: not 0, it is refused */
    int bodies;
    bool sweeps; /* is walked again with allocations that fail */
} ways[] = {
    {"a task ends", task_ends, NULL, 0, ONCE, true},
    {"a task fails", task_fails, NULL, 0, ONCE, false},
    {"a task on another loop", task_elsewhere, NULL, 0, ONCE, true},
    {"a task of a stack too small", task_refused, NULL, -EINVAL, NEVER, false},
    {"a task of no loop", task_of_no_loop, NULL, -EINVAL, NEVER, false},
    {"a task is cancelled while it waits", task_cancelled, NULL, 0, ONCE, false},
    {"a task is cancelled before it begins", task_cancelled_before, NULL, 0, NEVER, true},
    {"a task is cancelled while it begins", task_cancelled_while_it_begins, NULL, 0, MAYBE, true},
    {"a task is forgotten", task_forgotten, NULL, 0, MAYBE, true},
    {"a task is left waiting", task_left_waiting, NULL, 0, ONCE, false},
    {"a task gets no stack", task_without_a_stack, NULL, 0, NEVER, false},
    {"a task from a thread", task_from_a_thread, NULL, 0, ONCE, true},
    {"a task when the runtime ends", task_at_the_end, NULL, -ECANCELED, NEVER, false},
    {"an eager task ends", eager_ends, NULL, 0, ONCE, true},
    {"an eager task fails", eager_fails, NULL, 0, ONCE, false},
    {"an eager task waits", eager_waits, NULL, 0, ONCE, true},
    {"a task of a factory", task_of_a_factory, NULL, 0, ONCE, true},
    {"a task refused by a factory", task_refused_by_a_factory, NULL, -EACCES, NEVER, false},
    {"a child ends", child_ends, NULL, 0, ONCE, true},
    {"a child fails", child_fails, NULL, 0, ONCE, false},
    {"a child is cancelled before it begins", child_cancelled_before, NULL, 0, NEVER, true},
    {"a child of an ended group", child_of_an_ended_group, NULL, -ESHUTDOWN, NEVER, false},
    {"a child of a cancelled group", child_of_a_cancelled_group, NULL, -ESHUTDOWN, NEVER, false},
    {"an attempt wins", attempt_wins, NULL, 0, ONCE, true},
    {"an attempt loses", attempt_loses, NULL, 0, MAYBE, false}, /* or has not begun till then */
    {"an attempt has no turn", attempt_has_no_turn, NULL, -EALREADY, NEVER, true},
    {"work ends", work_ends, NULL, 0, ONCE, true},
    {"work fails", work_fails, NULL, 0, ONCE, false},
    {"work is withdrawn", work_withdrawn, NULL, 0, NEVER, true},
    {"work is dropped by a shutdown", work_dropped_by_a_shutdown, NULL, 0, NEVER, true},
    {"work of a freed executor", work_of_a_freed_executor, NULL, 0, ONCE, true},
    {"work after a shutdown", work_after_a_shutdown, NULL, -ESHUTDOWN, NEVER, false},
    {"work without room", work_without_room, NULL, -EAGAIN, NEVER, false},
    {"work whose submitter is cancelled", work_whose_submitter_is_cancelled, NULL, -ECANCELED,
     NEVER, true},
    {"work for broken threads", work_for_broken_threads, NULL, 0, NEVER, true},
    {"work without a thread", work_without_a_thread, NULL, -EAGAIN, NEVER, false},
    {"work whose waiter is cancelled", work_whose_waiter_is_cancelled, NULL, 0, ONCE, false},
    {"work is left at the end", work_left_at_the_end, NULL, 0, ONCE, true},
    {"a call is made", call_is_made, NULL, 0, ONCE, true},
    {"a call on another loop", call_elsewhere, NULL, 0, ONCE, true},
    {"a call of no loop", call_of_no_loop, NULL, -EINVAL, NEVER, false},
    {"a call is cancelled", call_cancelled, NULL, 0, NEVER, true},
    {"a call is cancelled by a thread", call_cancelled_elsewhere, NULL, 0, MAYBE, false},
    {"a call is dropped", call_dropped, NULL, 0, MAYBE, true},
    {"a call when the runtime ends", call_at_the_end, NULL, 0, MAYBE, false},
    {"a call by a thread when the runtime ends", call_by_a_thread_at_the_end, NULL, -ECANCELED,
     NEVER, false},
    {"a timer fires", timer_fires, NULL, 0, ONCE, true},
    {"a timer is cancelled", timer_cancelled, NULL, 0, NEVER, true},
    {"a timer is dropped", timer_dropped, NULL, 0, NEVER, true},
    {"a timer of never is dropped", timer_of_never_dropped, NULL, 0, NEVER, true},
    {"a done callback is called", done_callback_called, NULL, 0, ONCE, true},
    {"a done callback is removed", done_callback_removed, NULL, 0, NEVER, true},
    {"a done callback is never called", done_callback_never_called, NULL, 0, NEVER, true},
    {"a done callback is dropped", done_callback_dropped, NULL, 0, MAYBE, false},
    {"a generator never begins", generator_never_begun, NULL, 0, NEVER, true},
    {"a generator is closed before", generator_closed_before, NULL, 0, NEVER, false},
    {"a generator is thrown into before", generator_thrown_into_before, NULL, 0, NEVER, false},
    {"a generator ends", generator_ends, NULL, 0, ONCE, true},
    {"a generator fails", generator_fails, NULL, 0, ONCE, false},
    {"a generator is cancelled inside", generator_cancelled_inside, NULL, 0, ONCE, false},
    {"a generator is closed", generator_closed, NULL, 0, ONCE, true},
    {"a generator is lost", generator_lost, NULL, 0, ONCE, true},
    {"a generator is lost on a thread", generator_lost_on_a_thread, NULL, 0, ONCE, false},
    {"a generator is left at the end", generator_left_at_the_end, NULL, 0, ONCE, true},
    {"a generator is refused", generator_refused, NULL, 0, NEVER, false},
    {"a generator gets no stack", generator_without_a_stack, NULL, 0, NEVER, false},
    {"refused in a child of fork", refused_in_a_child, NULL, -ECHILD, NEVER, false},
    {"a runtime is freed", NULL, runtime_freed, 0, MAYBE, true},
    {"a runtime is closed", NULL, runtime_closed, -ESHUTDOWN, NEVER, false},
    {"a runtime is freed behind a main", NULL, runtime_freed_behind_a_main, 0, MAYBE, false},
    {"a runtime is freed over one that waits", NULL, runtime_freed_over_one_that_waits, 0, ONCE,
     false},
};

#define WAYS (sizeof ways / sizeof ways[0])

static void check_walk(const struct way *way, const struct walk *walk)
{
    const bool taken = walk->got == 0;
    assert_int_equal(walk->cleanups, taken && !walk->unowned ? 1 : 0);
    if (!taken) {
        assert_int_equal(walk->bodies, 0);
    } else if (way->bodies == MAYBE) {
        assert_in_range(walk->bodies, 0, 1);
    } else {
        assert_int_equal(walk->bodies, way->bodies);
    }
}

/* The n-th allocation of its call fails; 0: none. Returns whether there was such a one. */
static bool take(const struct way *way, int loops, uint32_t fail_at)
{
    struct walk walk = {.got = UNSET, .fail_at = fail_at};
    faults_install();
    if (way->main != NULL) {
        assert_int_equal(play(loops, way->main, &walk), 0);
    } else {
        way->outside(&walk, loops);
    }
    whorl_generator_unref(way->main == generator_left_at_the_end ? walk.generator : NULL);
    const int blocks = faults_blocks();
    const int maps = faults_maps();
    faults_remove();
    if (walk.hits == 0) {
        assert_int_equal(walk.got, way->got);
    }
    check_walk(way, &walk);
    assert_int_equal(blocks, 0);
    assert_int_equal(maps, 0);
    return walk.hits > 0;
}

static void test_argument_is_freed_exactly_once(void **state)
{
    const struct way *const way = *state;
    uint32_t fail_at = 1;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        (void)take(way, loops, 0);
    }
    while (way->sweeps && take(way, 1 + (int)(fail_at % 2), fail_at)) {
        fail_at++;
    }
}

static struct CMUnitTest test_of_way(const struct way *way)
{
    return (struct CMUnitTest){.name = way->name,
                               .test_func = test_argument_is_freed_exactly_once,
                               .initial_state = (void *)(uintptr_t)way};
}

int main(void)
{
    struct CMUnitTest tests[WAYS];
    for (size_t i = 0; i < WAYS; i++) {
        tests[i] = test_of_way(&ways[i]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
