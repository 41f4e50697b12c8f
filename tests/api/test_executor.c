/*
 * Threads for what blocks: to_thread and executors; rows THR and MT-25 of asyncio's semantics.
 *
 * No test depends on time: functions on threads wait at gates, which the test opens.
 */
#include "support/play.h"

#include "base/compiler.h"
#include "sys/os.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#if defined(WHORL_TSAN) || defined(WHORL_ASAN)
enum { ROUNDS = 100 };
#else
enum { ROUNDS = 500 };
#endif

/* ---- functions for threads ---- */

static int token;

static int give_token(void *arg)
{
    (void)arg;
    return whorl_return(&token);
}

static int fail_with(void *arg)
{
    return -(int)(intptr_t)arg;
}

/* A function that says that it has begun, and then waits until it may end. */
struct stay {
    struct whorl_future *begun;
    struct whorl_future *gate;
    int ended; /* A */
    int freed; /* A */
};

static struct stay new_stay(void)
{
    return (struct stay){.begun = new_future(), .gate = new_future()};
}

static void drop_stay(struct stay *stay)
{
    whorl_future_unref(stay->begun);
    whorl_future_unref(stay->gate);
}

static int stay_there(void *arg)
{
    struct stay *const stay = arg;
    must(whorl_future_set_result(stay->begun, NULL));
    must(whorl_future_await(stay->gate, NULL)); /* blocks: it is a plain thread */
    __atomic_fetch_add(&stay->ended, 1, __ATOMIC_SEQ_CST);
    return whorl_return(&token);
}

static void count_freed(void *arg)
{
    struct stay *const stay = arg;
    __atomic_fetch_add(&stay->freed, 1, __ATOMIC_SEQ_CST);
}

static void open_gate(struct stay *stay)
{
    must(whorl_future_set_result(stay->gate, NULL));
}

static int load(const int *number)
{
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static void set_number(int *number, int value)
{
    __atomic_store_n(number, value, __ATOMIC_SEQ_CST);
}

static void play_at_all(whorl_body *body, void *arg)
{
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        assert_int_equal(play(loops, body, arg), 0);
    }
}

/* ---- THR-1, THR-9 ---- */

struct seen {
    int error;
    void *value;
    int other_error;
    void *other_value;
};

static int call_both(void *arg)
{
    struct seen *const seen = arg;
    *seen = (struct seen){UNSET, NULL, UNSET, &token};
    seen->error = whorl_to_thread(give_token, NULL, NULL, &seen->value);
    seen->other_error = whorl_to_thread(fail_with, (void *)EIO, NULL, &seen->other_value);
    return 0;
}

static void test_thr_1_and_9_a_value_and_an_error_come_back(void **state)
{
    /* What the function handed over, and what it returned; the output is untouched by an error. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct seen seen;
        assert_int_equal(play(loops, call_both, &seen), 0);
        assert_int_equal(seen.error, 0);
        assert_ptr_equal(seen.value, &token);
        assert_int_equal(seen.other_error, -EIO);
        assert_ptr_equal(seen.other_value, &token);
    }
}

static int submit_and_await(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_future *future;
    must(whorl_executor_submit(NULL, give_token, NULL, NULL, &future));
    seen->error = whorl_future_await(future, &seen->value);
    whorl_future_unref(future);
    must(whorl_executor_submit(NULL, give_token, NULL, NULL, NULL)); /* nobody looks */
    return 0;
}

static void test_thr_1_submit_gives_a_future(void **state)
{
    /* And its result comes to whoever awaits it; one that nobody wants is dropped. */
    (void)state;
    struct seen seen = {.error = UNSET};
    play_at_all(submit_and_await, &seen);
    assert_int_equal(seen.error, 0);
    assert_ptr_equal(seen.value, &token);
}

/* While a function blocks, the loop's other tasks go on: one of them lets it end. */
static int open_from_beside(void *arg)
{
    struct stay *const stay = arg;
    must(whorl_future_await(stay->begun, NULL));
    open_gate(stay);
    return 0;
}

static int block_beside_others(void *arg)
{
    struct stay stay = new_stay();
    struct whorl_task *const other = start(open_from_beside, &stay);
    (void)arg;
    const int error = whorl_to_thread(stay_there, &stay, NULL, NULL);
    must(finish(other));
    drop_stay(&stay);
    return error;
}

static void test_thr_1_the_loop_goes_on_meanwhile(void **state)
{
    /* Else this hangs. */
    (void)state;
    play_at_all(block_beside_others, NULL);
}

/* ---- what the thread may do ---- */

struct inside {
    struct whorl_task *main;
    struct whorl_task *spawned;
    struct whorl_future *future;
    int wrong;
    char name[16];
    sigset_t blocked;
};

static int end_with_token(void *arg)
{
    (void)arg;
    return whorl_return(&token);
}

static int look_around_inside(void *arg)
{
    struct inside *const inside = arg;
    void *value = NULL;
    inside->wrong += whorl_task_current() != NULL;
    inside->wrong += whorl_yield() != -EPERM;
    inside->wrong += whorl_spawn(end_with_token, NULL, NULL, NULL) != -EPERM;
    inside->wrong += whorl_to_thread(give_token, NULL, NULL, NULL) != -EPERM;
    inside->wrong += whorl_executor_submit(NULL, give_token, NULL, NULL, NULL) != -EPERM;
    inside->wrong += whorl_spawn_remote(inside->main, end_with_token, NULL, NULL,
                                        &inside->spawned) != 0;
    inside->wrong += whorl_await(inside->spawned, &value) != 0 || value != &token;
    inside->wrong += whorl_future_set_result(inside->future, &token) != 0;
    pthread_getname_np(pthread_self(), inside->name, sizeof inside->name);
    pthread_sigmask(SIG_BLOCK, NULL, &inside->blocked);
    return inside->wrong;
}

static int go_inside(void *arg)
{
    struct inside *const inside = arg;
    void *value = NULL;
    inside->main = whorl_task_current();
    inside->future = new_future();
    const int error = whorl_to_thread(look_around_inside, inside, NULL, NULL);
    must(whorl_future_await(inside->future, &value));
    inside->wrong += value != &token;
    whorl_task_unref(inside->spawned);
    whorl_future_unref(inside->future);
    return error;
}

static void test_mt_21_the_thread_needs_no_loop(void **state)
{
    /* It spawns, awaits and completes; what needs a task is refused; signals stay away. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct inside inside = {0};
        assert_int_equal(play(loops, go_inside, &inside), 0);
        assert_int_equal(inside.wrong, 0);
        assert_string_equal(inside.name, "whorl-pool-0");
        assert_true(sigismember(&inside.blocked, SIGTERM));
        assert_true(sigismember(&inside.blocked, SIGINT));
        assert_false(sigismember(&inside.blocked, SIGSEGV));
    }
}

static void test_to_thread_outside_a_task_is_eperm(void **state)
{
    /* There is no runtime whose executor it could use. */
    (void)state;
    struct whorl_executor_stats stats;
    assert_int_equal(whorl_to_thread(give_token, NULL, NULL, NULL), -EPERM);
    assert_int_equal(whorl_executor_submit(NULL, give_token, NULL, NULL, NULL), -EPERM);
    assert_int_equal(whorl_executor_stats(NULL, &stats), -EPERM);
    assert_int_equal(whorl_executor_shutdown_default(WHORL_NEVER), -EPERM);
}

/* ---- THR-2: the default executor ---- */

static int watch_default(void *arg)
{
    struct whorl_executor_stats *const stats = arg;
    must(whorl_executor_stats(NULL, &stats[0]));
    for (int i = 0; i < 3; i++) {
        must(whorl_to_thread(give_token, NULL, NULL, NULL));
    }
    must(whorl_executor_stats(NULL, &stats[1]));
    must(whorl_executor_shutdown_default(WHORL_NEVER)); /* a result comes before it is counted */
    must(whorl_executor_stats(NULL, &stats[2]));
    return 0;
}

static void test_thr_2_the_default_executor_is_made_at_first_use(void **state)
{
    /* One after the other needs one thread, or one each if the last is not idle again yet. */
    (void)state;
    struct whorl_executor_stats stats[3];
    assert_int_equal(play(1, watch_default, stats), 0);
    assert_int_equal(stats[0].threads + stats[0].done, 0);
    assert_in_range(stats[1].threads, 1, 3);
    assert_int_equal(stats[2].threads, 0);
    assert_int_equal(stats[2].done, 3);
}

static int use_own_default(void *arg)
{
    struct inside *const inside = arg;
    struct whorl_executor *executor;
    const struct whorl_executor_options options = {.name = "mine", .threads_max = 1};
    must(whorl_executor_new(&options, &executor));
    inside->wrong += whorl_executor_set_default(NULL) != -EINVAL;
    must(whorl_to_thread(give_token, NULL, NULL, NULL)); /* by the one that is replaced */
    must(whorl_executor_set_default(executor));
    inside->wrong += whorl_executor_set_default(executor) != -EALREADY;
    return go_inside(inside);
}

static void test_thr_2_set_default_executor_replaces_it(void **state)
{
    /* The runtime shuts both down in the end: play counts threads. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct inside inside = {0};
        assert_int_equal(play(loops, use_own_default, &inside), 0);
        assert_int_equal(inside.wrong, 0);
        assert_string_equal(inside.name, "mine-0");
    }
}

/* ---- THR-3: cancel ---- */

struct call {
    struct stay *stay;
    unsigned flags;
    int error;
    int ended_then; /* whether the function had ended when the call returned */
};

static int call_it(void *arg)
{
    struct call *const call = arg;
    const struct whorl_work_attr attr = {.arg_free = count_freed, .flags = call->flags};
    call->error = whorl_to_thread(stay_there, call->stay, &attr, NULL);
    call->ended_then = load(&call->stay->ended);
    return call->error;
}

static int cancel_running(void *arg)
{
    struct call *const call = arg;
    struct whorl_task *const task = start(call_it, call);
    must(whorl_future_await(call->stay->begun, NULL));
    must(whorl_cancel(task, NULL) ? 0 : -EALREADY);
    if (finish(task) != -ECANCELED || load(&call->stay->freed) != 0) {
        return -EIO;
    }
    open_gate(call->stay);
    return 0;
}

static void test_thr_3_and_fut_20_a_cancelled_function_runs_on(void **state)
{
    /* The awaiter gets its cancel at once; the argument lives until the function has ended, which
     * the end of the runtime waits for. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct stay stay = new_stay();
        struct call call = {.stay = &stay};
        assert_int_equal(play(loops, cancel_running, &call), 0);
        assert_int_equal(call.error, -ECANCELED);
        assert_int_equal(call.ended_then, 0);
        assert_int_equal(stay.ended, 1);
        assert_int_equal(stay.freed, 1);
        drop_stay(&stay);
    }
}

static int cancel_one_that_finishes(void *arg)
{
    struct call *const call = arg;
    call->flags = WHORL_WORK_FINISH;
    struct whorl_task *const task = start(call_it, call);
    must(whorl_future_await(call->stay->begun, NULL));
    must(whorl_cancel(task, NULL) ? 0 : -EALREADY);
    must(whorl_sleep(WHORL_MILLISECOND));
    const bool waits = !whorl_task_done(task);
    (void)whorl_cancel(task, NULL); /* again: it does not help */
    must(whorl_sleep(WHORL_MILLISECOND));
    const bool still_waits = !whorl_task_done(task);
    open_gate(call->stay);
    return finish(task) == -ECANCELED && waits && still_waits ? 0 : -EIO;
}

static void test_thr_3_with_finish_the_function_is_waited_for(void **state)
{
    /* So its argument may lie in the caller's frame. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct stay stay = new_stay();
        struct call call = {.stay = &stay};
        assert_int_equal(play(loops, cancel_one_that_finishes, &call), 0);
        assert_int_equal(call.error, -ECANCELED);
        assert_int_equal(call.ended_then, 1);
        assert_int_equal(stay.freed, 1);
        drop_stay(&stay);
    }
}

struct pair {
    struct stay busy; /* holds the only thread */
    struct stay late; /* never begins */
    int error;
};

static struct whorl_executor *new_executor(const struct whorl_executor_options *options)
{
    struct whorl_executor *executor;
    must(whorl_executor_new(options, &executor));
    return executor;
}

static int withdraw_queued(void *arg)
{
    struct pair *const pair = arg;
    const struct whorl_executor_options options = {.threads_max = 1};
    const struct whorl_work_attr attr = {.arg_free = count_freed};
    struct whorl_executor *const executor = new_executor(&options);
    struct whorl_future *busy, *late;
    must(whorl_executor_submit(executor, stay_there, &pair->busy, &attr, &busy));
    must(whorl_executor_submit(executor, stay_there, &pair->late, &attr, &late));
    must(whorl_future_cancel(late, "never mind") ? 0 : -EALREADY);
    pair->error = whorl_future_result(late, NULL);
    open_gate(&pair->busy);
    must(whorl_future_await(busy, NULL));
    must(whorl_executor_shutdown(executor, 0, WHORL_NEVER));
    whorl_executor_free(executor);
    whorl_future_unref(busy);
    whorl_future_unref(late);
    return 0;
}

static void test_thr_3_and_fut_20_work_that_has_not_begun_is_withdrawn(void **state)
{
    /* Its function is not called, its argument is freed. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.busy = new_stay(), .late = new_stay(), .error = UNSET};
        assert_int_equal(play(loops, withdraw_queued, &pair), 0);
        assert_int_equal(pair.error, -ECANCELED);
        assert_int_equal(pair.late.ended, 0);
        assert_int_equal(pair.late.freed, 1);
        assert_int_equal(pair.busy.freed, 1);
        drop_stay(&pair.busy);
        drop_stay(&pair.late);
    }
}

static int finish_queued(void *arg)
{
    struct pair *const pair = arg;
    const struct whorl_executor_options options = {.threads_max = 1};
    struct call call = {.stay = &pair->late, .flags = WHORL_WORK_FINISH};
    must(whorl_executor_set_default(new_executor(&options)));
    must(whorl_executor_submit(NULL, stay_there, &pair->busy, NULL, NULL));
    must(whorl_future_await(pair->busy.begun, NULL));
    struct whorl_task *const task = start(call_it, &call);
    must(whorl_sleep(WHORL_MILLISECOND));
    must(whorl_cancel(task, NULL) ? 0 : -EALREADY);
    pair->error = finish(task); /* hangs if it waited for the busy thread */
    open_gate(&pair->busy);
    return 0;
}

static void test_thr_3_with_finish_work_that_has_not_begun_is_withdrawn(void **state)
{
    /* There is nothing to wait for. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct pair pair = {.busy = new_stay(), .late = new_stay(), .error = UNSET};
        assert_int_equal(play(loops, finish_queued, &pair), 0);
        assert_int_equal(pair.error, -ECANCELED);
        assert_int_equal(pair.late.ended, 0);
        drop_stay(&pair.busy);
        drop_stay(&pair.late);
    }
}

/* ---- THR-4: later than the runtime ---- */

static int leave_work(void *arg)
{
    struct stay *const stay = arg;
    struct whorl_executor *const executor = (struct whorl_executor *)(void *)stay[1].begun;
    return whorl_executor_submit(executor, stay_there, stay, NULL, NULL);
}

static void test_thr_4_a_result_after_the_runtime_is_dropped(void **state)
{
    /* An executor of the program's own outlives runtimes; who asked is gone. */
    (void)state;
    const int threads = count_own("task");
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_executor *const executor = new_executor(NULL);
        struct stay stays[2] = {new_stay(), {.begun = (struct whorl_future *)(void *)executor}};
        const struct whorl_options options = {.loops = loops, .no_pin = 1};
        assert_int_equal(whorl_run(leave_work, stays, &options), 0);
        open_gate(&stays[0]);
        assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
        assert_int_equal(stays[0].ended, 1);
        whorl_executor_free(executor);
        drop_stay(&stays[0]);
    }
    assert_true(comes_down_to("task", threads));
}

/* ---- THR-5, THR-6, THR-18: shutting down ---- */

static int use_after_shutdown(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_executor *const own = new_executor(NULL);
    struct whorl_executor *const unused = new_executor(NULL);
    must(whorl_to_thread(give_token, NULL, NULL, NULL));
    must(whorl_executor_shutdown_default(WHORL_NEVER));
    seen->error = whorl_to_thread(give_token, NULL, NULL, NULL);
    const int refused = whorl_executor_set_default(unused);
    struct whorl_future *future;
    must(whorl_executor_submit(own, give_token, NULL, NULL, &future));
    seen->other_error = whorl_future_await(future, &seen->other_value);
    whorl_future_unref(future);
    must(whorl_executor_shutdown_default(WHORL_NEVER)); /* a second time is no harm */
    must(whorl_executor_shutdown(own, 0, WHORL_NEVER));
    whorl_executor_free(own);
    whorl_executor_free(unused);
    return refused == -ESHUTDOWN ? 0 : -EIO;
}

static void test_thr_5_after_shutdown_default_only_own_ones_work(void **state)
{
    /* -ESHUTDOWN from the default one. */
    (void)state;
    struct seen seen = {.error = UNSET, .other_error = UNSET};
    play_at_all(use_after_shutdown, &seen);
    assert_int_equal(seen.error, -ESHUTDOWN);
    assert_int_equal(seen.other_error, 0);
    assert_ptr_equal(seen.other_value, &token);
}

struct shutdown {
    struct stay stay;
    struct journal journal;
    int late;
    int in_time;
};

static int open_after_a_while(void *arg)
{
    struct shutdown *const shutdown = arg;
    must(whorl_yield());
    open_gate(&shutdown->stay);
    return 0;
}

static int shut_down_while_running(void *arg)
{
    struct shutdown *const shutdown = arg;
    must(whorl_executor_submit(NULL, stay_there, &shutdown->stay, NULL, NULL));
    must(whorl_future_await(shutdown->stay.begun, NULL));
    shutdown->late = whorl_executor_shutdown_default(whorl_after(WHORL_MILLISECOND));
    struct whorl_task *const other = start(open_after_a_while, shutdown);
    shutdown->in_time = whorl_executor_shutdown_default(WHORL_NEVER);
    must(shutdown->stay.ended == 1 ? 0 : -EIO);
    return finish(other);
}

static void keep_line(void *log_arg, const char *line)
{
    snprintf(log_arg, sizeof((struct journal *)NULL)->text, "%.127s", line);
}

static void test_thr_6_shutdown_default_waits_and_lets_the_loop_go_on(void **state)
{
    /* With a deadline it warns and goes on; without, it waits while another task lets the work end.
     */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct shutdown shutdown = {.stay = new_stay(), .late = UNSET, .in_time = UNSET};
        const struct whorl_options options = {
            .loops = loops, .no_pin = 1, .log = keep_line, .log_arg = &shutdown.journal};
        assert_int_equal(whorl_run(shut_down_while_running, &shutdown, &options), 0);
        assert_int_equal(shutdown.late, -ETIMEDOUT);
        assert_int_equal(shutdown.in_time, 0);
        assert_non_null(strstr(shutdown.journal.text, "\"whorl-pool\""));
        drop_stay(&shutdown.stay);
    }
}

static int leave_ten(void *arg)
{
    struct stay *const stay = arg;
    open_gate(stay);
    for (int i = 0; i < 10; i++) {
        const struct whorl_work_attr attr = {.arg_free = count_freed};
        must(whorl_executor_submit(NULL, give_token, stay, &attr, NULL));
    }
    return 0;
}

static void test_thr_18_the_default_executor_is_joined_before_run_returns(void **state)
{
    /* All that was submitted is done; play counts the threads. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct stay stay = new_stay();
        assert_int_equal(play(loops, leave_ten, &stay), 0);
        assert_int_equal(stay.freed, 10);
        drop_stay(&stay);
    }
}

static int shut_down_from_inside(void *arg)
{
    return whorl_executor_shutdown(arg, 0, WHORL_NEVER);
}

static void test_shutdown_from_its_own_thread_is_edeadlk(void **state)
{
    /* And without a wait it is -ETIMEDOUT: that thread has not ended. No runtime is needed. */
    (void)state;
    struct whorl_executor *const executor = new_executor(NULL);
    struct whorl_future *future;
    must(whorl_executor_submit(executor, shut_down_from_inside, executor, NULL, &future));
    assert_int_equal(whorl_future_await(future, NULL), -EDEADLK);
    assert_int_equal(whorl_executor_submit(executor, give_token, NULL, NULL, NULL), -ESHUTDOWN);
    assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
    assert_int_equal(whorl_executor_shutdown(executor, 0, 0), 0);
    whorl_future_unref(future);
    whorl_executor_free(executor);
}

static void test_shutdown_cancels_what_is_pending(void **state)
{
    /* What runs is waited for. */
    (void)state;
    const struct whorl_executor_options options = {.threads_max = 1};
    const struct whorl_work_attr attr = {.arg_free = count_freed};
    struct whorl_executor *const executor = new_executor(&options);
    struct stay busy = new_stay(), late = new_stay();
    struct whorl_future *running, *pending;
    must(whorl_executor_submit(executor, stay_there, &busy, &attr, &running));
    must(whorl_executor_submit(executor, stay_there, &late, &attr, &pending));
    must(whorl_future_await(busy.begun, NULL));
    assert_int_equal(whorl_executor_shutdown(executor, WHORL_SHUTDOWN_CANCEL_PENDING, 0),
                     -ETIMEDOUT);
    assert_int_equal(whorl_future_result(pending, NULL), -ECANCELED);
    assert_true(whorl_future_cancelled(pending));
    assert_int_equal(late.freed, 1);
    assert_int_equal(whorl_executor_shutdown(executor, 0, whorl_after(WHORL_MILLISECOND)),
                     -ETIMEDOUT);
    open_gate(&busy);
    assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
    assert_int_equal(whorl_future_result(running, NULL), 0);
    assert_int_equal(busy.freed, 1);
    assert_int_equal(late.ended, 0);
    whorl_executor_free(executor);
    whorl_future_unref(running);
    whorl_future_unref(pending);
    drop_stay(&busy);
    drop_stay(&late);
}

static void test_free_without_shutdown_lets_the_work_be_done(void **state)
{
    /* Nobody waits; the threads clean up after themselves. */
    (void)state;
    const int threads = count_own("task");
    struct whorl_executor *const executor = new_executor(NULL);
    struct stay stay = new_stay();
    struct whorl_future *future;
    must(whorl_executor_submit(executor, stay_there, &stay, NULL, &future));
    whorl_executor_free(executor);
    whorl_executor_free(NULL);
    open_gate(&stay);
    assert_int_equal(whorl_future_await(future, NULL), 0);
    assert_true(comes_down_to("task", threads));
    whorl_future_unref(future);
    drop_stay(&stay);
}

/* ---- THR-16: as many threads as asyncio has ---- */

static int fill_default(void *arg)
{
    struct whorl_executor_stats *const stats = arg;
    struct stay stays[40];
    for (int i = 0; i < 40; i++) {
        stays[i] = new_stay();
        must(whorl_executor_submit(NULL, stay_there, &stays[i], NULL, NULL));
    }
    must(whorl_executor_stats(NULL, stats));
    for (int i = 0; i < 40; i++) {
        open_gate(&stays[i]);
    }
    must(whorl_executor_shutdown_default(WHORL_NEVER));
    for (int i = 0; i < 40; i++) {
        must(stays[i].ended == 1 ? 0 : -EIO);
        drop_stay(&stays[i]);
    }
    return 0;
}

static void test_the_default_has_cores_plus_4_threads_and_32_at_most(void **state)
{
    /* The rest queues up behind them. */
    (void)state;
    static const struct {
        const char *topology;
        unsigned threads;
    } machines[] = {
        {"pack:1 core:1 pu:1", 5}, {"pack:1 core:3 pu:1", 7}, {"pack:4 core:16 pu:1", 32}};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        struct whorl_executor_stats stats;
        const struct whorl_options options = {
            .loops = 2, .no_pin = 1, .topology = machines[i].topology};
        assert_int_equal(whorl_run(fill_default, &stats, &options), 0);
        assert_int_equal(stats.threads, machines[i].threads);
        assert_int_equal(stats.queued - stats.idle, 40 - stats.threads); /* some just begin */
        assert_int_equal(stats.blocked, 0);
    }
}

/* ---- THR-15, MT-25: many submitters ---- */

struct crowd {
    struct whorl_executor *executor;
    int wrong;
};

static int add_one(void *arg)
{
    return whorl_return((void *)((intptr_t)arg + 1));
}

static void *submit_many(void *arg)
{
    struct crowd *const crowd = arg;
    for (intptr_t i = 0; i < ROUNDS; i++) {
        struct whorl_future *future;
        void *value = NULL;
        must(whorl_executor_submit(crowd->executor, add_one, (void *)i, NULL, &future));
        must(whorl_future_await(future, &value));
        crowd->wrong += (intptr_t)value != i + 1;
        whorl_future_unref(future);
    }
    return NULL;
}

static int submit_many_task(void *arg)
{
    (void)submit_many(arg);
    return 0;
}

enum { CROWD = 4 };

static int be_a_crowd(void *arg)
{
    struct crowd *const crowds = arg;
    struct whorl_task *tasks[CROWD];
    for (int i = 0; i < CROWD; i++) {
        tasks[i] = start(submit_many_task, &crowds[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        must(finish(tasks[i]));
    }
    return 0;
}

static void test_thr_15_many_tasks_and_threads_submit_and_get_all_results(void **state)
{
    /* To few threads and a short queue, so that everybody waits for room now and then. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        const struct whorl_executor_options options = {.threads_max = 2, .queue_max = 1};
        struct crowd crowds[2 * CROWD];
        pthread_t threads[CROWD];
        struct whorl_executor *const executor = new_executor(&options);
        for (int i = 0; i < 2 * CROWD; i++) {
            crowds[i] = (struct crowd){.executor = executor};
        }
        for (int i = 0; i < CROWD; i++) {
            must(-pthread_create(&threads[i], NULL, submit_many, &crowds[CROWD + i]));
        }
        const struct whorl_options run = {.loops = loops, .no_pin = 1};
        assert_int_equal(whorl_run(be_a_crowd, crowds, &run), 0);
        for (int i = 0; i < CROWD; i++) {
            must(-pthread_join(threads[i], NULL));
        }
        for (int i = 0; i < 2 * CROWD; i++) {
            assert_int_equal(crowds[i].wrong, 0);
        }
        assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
        struct whorl_executor_stats stats;
        assert_int_equal(whorl_executor_stats(executor, &stats), 0);
        assert_int_equal(stats.threads + stats.queued + stats.blocked, 0);
        assert_int_equal(stats.done, 2 * CROWD * ROUNDS);
        whorl_executor_free(executor);
    }
}

struct sequence {
    int next;  /* only the executor's one thread writes it */
    int wrong;
};

struct numbered {
    struct sequence *sequence;
    int number;
};

static int come_in_order(void *arg)
{
    struct numbered *const numbered = arg;
    numbered->sequence->wrong += numbered->sequence->next++ != numbered->number;
    return 0;
}

static int submit_in_order(void *arg)
{
    struct sequence *const sequence = arg;
    const struct whorl_executor_options options = {.threads_max = 1, .queue_max = 3};
    struct whorl_executor *const executor = new_executor(&options);
    struct numbered numbered[100];
    for (int i = 0; i < 100; i++) {
        numbered[i] = (struct numbered){sequence, i};
        must(whorl_executor_submit(executor, come_in_order, &numbered[i], NULL, NULL));
    }
    const int error = whorl_executor_shutdown(executor, 0, WHORL_NEVER);
    whorl_executor_free(executor);
    return error;
}

static void test_mt_25_work_of_one_submitter_begins_in_its_order(void **state)
{
    /* Also when it had to wait for room. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sequence sequence = {0};
        assert_int_equal(play(loops, submit_in_order, &sequence), 0);
        assert_int_equal(sequence.next, 100);
        assert_int_equal(sequence.wrong, 0);
    }
}

/* ---- THR-7, THR-8: task-locals ---- */

static int destroyed; /* A */

static void count_destroyed(void *value)
{
    (void)value;
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_SEQ_CST);
}

static const struct whorl_local local = {.initial = NULL, .destroy = count_destroyed};

struct locals {
    void *seen[3]; /* by to_thread, by submit, by submit with the context */
    void *after;   /* by the task, when the functions have set their own */
};

static int look_and_set(void *arg)
{
    static int other;
    *(void **)arg = whorl_local_get(&local);
    return whorl_local_set(&local, &other, NULL);
}

static int hand_locals_over(void *arg)
{
    struct locals *const locals = arg;
    const struct whorl_work_attr with = {.flags = WHORL_WORK_CONTEXT};
    struct whorl_future *futures[2];
    must(whorl_local_set(&local, &token, NULL));
    must(whorl_to_thread(look_and_set, &locals->seen[0], NULL, NULL));
    must(whorl_executor_submit(NULL, look_and_set, &locals->seen[1], NULL, &futures[0]));
    must(whorl_executor_submit(NULL, look_and_set, &locals->seen[2], &with, &futures[1]));
    for (int i = 0; i < 2; i++) {
        must(whorl_future_await(futures[i], NULL));
        whorl_future_unref(futures[i]);
    }
    locals->after = whorl_local_get(&local);
    return 0;
}

static void test_thr_7_and_8_to_thread_passes_the_context_and_submit_does_not(void **state)
{
    /* A copy: what the function sets does not come back, and is let go when it ends. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct locals locals = {.seen = {NULL, &locals, NULL}};
        set_number(&destroyed, 0);
        assert_int_equal(play(loops, hand_locals_over, &locals), 0);
        assert_ptr_equal(locals.seen[0], &token);
        assert_null(locals.seen[1]);
        assert_ptr_equal(locals.seen[2], &token);
        assert_ptr_equal(locals.after, &token);
        assert_int_equal(load(&destroyed), 4);
    }
}

/* ---- a full queue ---- */

struct full {
    struct whorl_executor *executor;
    struct stay busy, queued, refused;
    int error;
};

static int submit_when_there_is_room(void *arg)
{
    struct full *const full = arg;
    const struct whorl_work_attr attr = {.arg_free = count_freed};
    full->error = whorl_executor_submit(full->executor, stay_there, &full->refused, &attr, NULL);
    return full->error;
}

static void wait_until_blocked(const struct full *full, unsigned count)
{
    struct whorl_executor_stats stats;
    do {
        must(whorl_sleep(0));
        must(whorl_executor_stats(full->executor, &stats));
    } while (stats.blocked != count);
}

static int try_when_full(void *arg)
{
    struct full *const full = arg;
    const struct whorl_executor_options options = {.threads_max = 1, .queue_max = 1};
    const struct whorl_work_attr try = {.arg_free = count_freed, .flags = WHORL_WORK_TRY};
    struct whorl_future *queued;
    full->executor = new_executor(&options);
    must(whorl_executor_submit(full->executor, stay_there, &full->busy, NULL, NULL));
    must(whorl_future_await(full->busy.begun, NULL));
    must(whorl_executor_submit(full->executor, stay_there, &full->queued, &try, &queued));
    const int tried =
        whorl_executor_submit(full->executor, stay_there, &full->refused, &try, NULL);
    must(tried == -EAGAIN && full->refused.freed == 0 ? 0 : -EIO);
    struct whorl_task *const waits = start(submit_when_there_is_room, full);
    wait_until_blocked(full, 1);
    must(whorl_cancel(waits, NULL) ? 0 : -EIO);
    must(finish(waits) == -ECANCELED ? 0 : -EIO);
    must(full->error == -ECANCELED && full->refused.freed == 0 ? 0 : -EIO);
    must(whorl_future_cancel(queued, NULL) ? 0 : -EIO); /* makes room */
    must(whorl_executor_submit(full->executor, stay_there, &full->refused, &try, NULL));
    struct whorl_task *const stays = start(submit_when_there_is_room, full);
    wait_until_blocked(full, 1);
    must(whorl_executor_shutdown(full->executor, 0, 0) == -ETIMEDOUT ? 0 : -EIO);
    must(finish(stays) == -ESHUTDOWN ? 0 : -EIO);
    open_gate(&full->busy);
    open_gate(&full->refused);
    must(whorl_executor_shutdown(full->executor, 0, WHORL_NEVER));
    whorl_executor_free(full->executor);
    whorl_future_unref(queued);
    return 0;
}

static void test_a_full_queue_refuses_or_waits(void **state)
{
    /* -EAGAIN by flag; a cancel or a shutdown ends the wait, and the argument stays the caller's;
     * cancelled work takes no room. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct full full = {.busy = new_stay(), .queued = new_stay(), .refused = new_stay()};
        assert_int_equal(play(loops, try_when_full, &full), 0);
        assert_int_equal(full.refused.freed, 1);
        assert_int_equal(full.queued.freed, 1);
        assert_int_equal(full.queued.ended, 0);
        drop_stay(&full.busy);
        drop_stay(&full.queued);
        drop_stay(&full.refused);
    }
}

/* ---- threads come and go ---- */

struct hooks {
    int begun, ended; /* A */
    int answer;
};

static int count_begun(void *arg)
{
    struct hooks *const hooks = arg;
    __atomic_fetch_add(&hooks->begun, 1, __ATOMIC_SEQ_CST);
    return hooks->answer;
}

static void count_ended(void *arg)
{
    struct hooks *const hooks = arg;
    __atomic_fetch_add(&hooks->ended, 1, __ATOMIC_SEQ_CST);
}

static void test_idle_threads_leave_and_new_ones_come(void **state)
{
    /* Each begins and ends by the hooks; none is counted twice. */
    (void)state;
    const int threads = count_own("task");
    struct hooks hooks = {0};
    const struct whorl_executor_options options = {.threads_max = 3,
                                                   .idle_ns = 1,
                                                   .thread_begin = count_begun,
                                                   .thread_end = count_ended,
                                                   .hook_arg = &hooks};
    struct whorl_executor *const executor = new_executor(&options);
    for (int round = 0; round < 20; round++) {
        struct whorl_future *future;
        must(whorl_executor_submit(executor, give_token, NULL, NULL, &future));
        assert_int_equal(whorl_future_await(future, NULL), 0);
        whorl_future_unref(future);
        const int64_t patience_ns = whorl_after(10 * WHORL_SECOND);
        while (load(&hooks.ended) < load(&hooks.begun) && whorl_now() < patience_ns) {
            sched_yield();
        }
        assert_int_equal(load(&hooks.ended), load(&hooks.begun));
    }
    assert_true(load(&hooks.begun) >= 20); /* some leave before their first work comes */
    assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
    assert_int_equal(load(&hooks.ended), load(&hooks.begun));
    whorl_executor_free(executor);
    assert_true(comes_down_to("task", threads));
}

static void test_a_thread_begin_that_fails_breaks_the_executor(void **state)
{
    /* Its error comes to what waits and to what is submitted later; the end hook is not called. */
    (void)state;
    struct hooks hooks = {.answer = -EACCES};
    struct stay stay = new_stay();
    const struct whorl_work_attr attr = {.arg_free = count_freed};
    const struct whorl_executor_options options = {
        .thread_begin = count_begun, .thread_end = count_ended, .hook_arg = &hooks};
    struct whorl_executor *const executor = new_executor(&options);
    struct whorl_future *future = NULL;
    const int first = whorl_executor_submit(executor, give_token, &stay, &attr, &future);
    if (first == 0) { /* else the thread was faster */
        assert_int_equal(whorl_future_await(future, NULL), -EACCES);
        assert_false(whorl_future_cancelled(future));
        assert_int_equal(stay.freed, 1);
        whorl_future_unref(future);
    }
    assert_int_equal(first == 0 ? -EACCES : first, -EACCES);
    assert_int_equal(whorl_executor_submit(executor, give_token, NULL, NULL, NULL), -EACCES);
    assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
    assert_int_equal(hooks.begun, 1);
    assert_int_equal(hooks.ended, 0);
    whorl_executor_free(executor);
    drop_stay(&stay);
}

/* ---- bad input, and no memory or threads ---- */

static void test_bad_arguments_are_einval(void **state)
{
    /* And nothing has begun: the argument stays the caller's. */
    (void)state;
    struct whorl_executor *executor = NULL;
    struct whorl_executor_options options = {.threads_max = -1};
    assert_int_equal(whorl_executor_new(&options, &executor), -EINVAL);
    options = (struct whorl_executor_options){.idle_ns = -1};
    assert_int_equal(whorl_executor_new(&options, &executor), -EINVAL);
    options = (struct whorl_executor_options){.reserved = {[5] = 1}};
    assert_int_equal(whorl_executor_new(&options, &executor), -EINVAL);
    assert_null(executor);
    executor = new_executor(NULL);
    struct whorl_work_attr attr = {.arg_free = count_freed, .flags = 64};
    assert_int_equal(whorl_executor_submit(executor, give_token, NULL, &attr, NULL), -EINVAL);
    attr = (struct whorl_work_attr){.arg_free = count_freed, .reserved = {[3] = 1}};
    assert_int_equal(whorl_executor_submit(executor, give_token, NULL, &attr, NULL), -EINVAL);
    assert_int_equal(whorl_executor_submit(executor, NULL, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_executor_shutdown(executor, 64, 0), -EINVAL);
    assert_int_equal(whorl_executor_shutdown(executor, 0, -1), -EINVAL);
    assert_int_equal(whorl_executor_shutdown(executor, 0, 0), 0);
    whorl_executor_free(executor);
}

/* Put into its place while the executor has no thread, and told what fails. */
static struct whorl__os lacking;
static int lacks_threads, lacks_memory; /* A */

static int maybe_thread(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    return load(&lacks_threads) ? -EAGAIN
                                : whorl__os_linux.thread_start_quiet(ret_thread, body, arg);
}

static void *maybe_memory(size_t bytes)
{
    return load(&lacks_memory) ? NULL : whorl__os_linux.alloc(bytes);
}

static void check_shortage(struct whorl_executor *executor, struct stay *stay)
{
    struct whorl_executor *none = NULL;
    struct whorl_future *future, *other;
    set_number(&lacks_threads, 1);
    assert_int_equal(whorl_executor_submit(executor, stay_there, stay, NULL, &future), -EAGAIN);
    set_number(&lacks_memory, 1);
    assert_int_equal(whorl_executor_submit(executor, stay_there, stay, NULL, &future), -ENOMEM);
    assert_int_equal(whorl_executor_new(NULL, &none), -ENOMEM);
    set_number(&lacks_memory, 0);
    set_number(&lacks_threads, 0);
    assert_int_equal(whorl_executor_submit(executor, stay_there, stay, NULL, &future), 0);
    assert_int_equal(whorl_future_await(stay->begun, NULL), 0);
    set_number(&lacks_threads, 1);
    assert_int_equal(whorl_executor_submit(executor, give_token, NULL, NULL, &other), 0);
    open_gate(stay);
    assert_int_equal(whorl_future_await(other, NULL), 0);
    assert_int_equal(whorl_executor_shutdown(executor, 0, WHORL_NEVER), 0);
    whorl_future_unref(future);
    whorl_future_unref(other);
}

static void test_without_threads_or_memory_submit_tells(void **state)
{
    /* Where there is a thread already, no second one is needed. */
    (void)state;
    struct whorl_executor *const executor = new_executor(NULL);
    struct stay stay = new_stay();
    lacking = whorl__os_linux;
    lacking.thread_start_quiet = maybe_thread;
    lacking.alloc = maybe_memory;
    whorl__os = &lacking;
    check_shortage(executor, &stay);
    whorl__os = &whorl__os_linux;
    whorl_executor_free(executor);
    drop_stay(&stay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thr_1_and_9_a_value_and_an_error_come_back),
        cmocka_unit_test(test_thr_1_submit_gives_a_future),
        cmocka_unit_test(test_thr_1_the_loop_goes_on_meanwhile),
        cmocka_unit_test(test_mt_21_the_thread_needs_no_loop),
        cmocka_unit_test(test_to_thread_outside_a_task_is_eperm),
        cmocka_unit_test(test_thr_2_the_default_executor_is_made_at_first_use),
        cmocka_unit_test(test_thr_2_set_default_executor_replaces_it),
        cmocka_unit_test(test_thr_3_and_fut_20_a_cancelled_function_runs_on),
        cmocka_unit_test(test_thr_3_with_finish_the_function_is_waited_for),
        cmocka_unit_test(test_thr_3_and_fut_20_work_that_has_not_begun_is_withdrawn),
        cmocka_unit_test(test_thr_3_with_finish_work_that_has_not_begun_is_withdrawn),
        cmocka_unit_test(test_thr_4_a_result_after_the_runtime_is_dropped),
        cmocka_unit_test(test_thr_5_after_shutdown_default_only_own_ones_work),
        cmocka_unit_test(test_thr_6_shutdown_default_waits_and_lets_the_loop_go_on),
        cmocka_unit_test(test_thr_18_the_default_executor_is_joined_before_run_returns),
        cmocka_unit_test(test_shutdown_from_its_own_thread_is_edeadlk),
        cmocka_unit_test(test_shutdown_cancels_what_is_pending),
        cmocka_unit_test(test_free_without_shutdown_lets_the_work_be_done),
        cmocka_unit_test(test_the_default_has_cores_plus_4_threads_and_32_at_most),
        cmocka_unit_test(test_thr_15_many_tasks_and_threads_submit_and_get_all_results),
        cmocka_unit_test(test_mt_25_work_of_one_submitter_begins_in_its_order),
        cmocka_unit_test(test_thr_7_and_8_to_thread_passes_the_context_and_submit_does_not),
        cmocka_unit_test(test_a_full_queue_refuses_or_waits),
        cmocka_unit_test(test_idle_threads_leave_and_new_ones_come),
        cmocka_unit_test(test_a_thread_begin_that_fails_breaks_the_executor),
        cmocka_unit_test(test_bad_arguments_are_einval),
        cmocka_unit_test(test_without_threads_or_memory_submit_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
