/*
 * Plain threads beside a runtime: they await, complete, cancel and spawn; rows MT and THR of
 * asyncio's semantics.
 *
 * Threads only record what they saw; all asserts run on the main thread after the joins.
 */
#include "support/play.h"

#include <pthread.h>
#include <sched.h>

#include "base/compiler.h"
#include "sys/os.h"

#if defined(WHORL_TSAN) || defined(WHORL_ASAN)
enum { ROUNDS = 300 };
#else
enum { ROUNDS = 2000 };
#endif

enum { THREADS = 4 };

static void start_thread(pthread_t *thread, void *(*body)(void *), void *arg)
{
    must(-pthread_create(thread, NULL, body, arg));
}

static void join_thread(pthread_t thread)
{
    must(-pthread_join(thread, NULL));
}

/* ---- a runtime of its own thread, open for guests ---- */

struct host {
    pthread_t thread;
    int loops;
    int error;
    struct whorl_future *ready; /* main is set */
    struct whorl_future *close; /* main waits for it, then ends */
    struct whorl_task *main;
};

static int keep_open(void *arg)
{
    struct host *const host = arg;
    host->main = whorl_task_ref(whorl_task_current());
    must(whorl_future_set_result(host->ready, NULL));
    return whorl_future_await(host->close, NULL);
}

static void *run_host(void *arg)
{
    struct host *const host = arg;
    const struct whorl_options options = {.loops = host->loops, .no_pin = 1};
    host->error = whorl_run(keep_open, host, &options);
    return NULL;
}

static void open_host(struct host *host, int loops)
{
    *host = (struct host){.loops = loops, .ready = new_future(), .close = new_future()};
    start_thread(&host->thread, run_host, host);
    must(whorl_future_await(host->ready, NULL));
}

/* Returns what whorl_run did. */
static int close_host(struct host *host)
{
    (void)whorl_future_set_result(host->close, NULL);
    join_thread(host->thread);
    whorl_task_unref(host->main);
    whorl_future_unref(host->ready);
    whorl_future_unref(host->close);
    return host->error;
}

/* ---- spawning ---- */

static int double_it(void *arg)
{
    must(whorl_yield());
    return whorl_return((void *)((uintptr_t)arg * 2));
}

struct guest {
    pthread_t thread;
    struct host *host;
    int wrong;
};

static void *submit_many(void *arg)
{
    struct guest *const guest = arg;
    for (uintptr_t i = 1; i <= ROUNDS / 4; i++) {
        struct whorl_task *task = NULL;
        void *value = NULL;
        must(whorl_spawn_remote(guest->host->main, double_it, (void *)i, NULL, &task));
        must(whorl_await(task, &value));
        guest->wrong += (uintptr_t)value != 2 * i;
        whorl_task_unref(task);
    }
    return NULL;
}

static void test_thr_15_many_threads_submit_and_get_all_results(void **state)
{
    /* Each spawns from outside and blocks for the value. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct host host;
        struct guest guests[THREADS];
        open_host(&host, loops);
        for (int i = 0; i < THREADS; i++) {
            guests[i] = (struct guest){.host = &host};
            start_thread(&guests[i].thread, submit_many, &guests[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            join_thread(guests[i].thread);
            assert_int_equal(guests[i].wrong, 0);
        }
        assert_int_equal(close_host(&host), 0);
    }
}

static int sit_for_ever(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static void test_thr_10_a_thread_can_wait_with_a_deadline(void **state)
{
    /* -ETIMEDOUT, not early, and the task is not disturbed. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct host host;
        struct whorl_task *task = NULL;
        open_host(&host, loops);
        assert_int_equal(whorl_spawn_remote(host.main, sit_for_ever, NULL, NULL, &task), 0);
        const int64_t deadline_ns = whorl_after(5 * WHORL_MILLISECOND);
        assert_int_equal(whorl_join(task, deadline_ns, NULL), -ETIMEDOUT);
        assert_true(whorl_now() >= deadline_ns);
        assert_false(whorl_task_done(task));
        assert_int_equal(whorl_join(task, 0, NULL), -ETIMEDOUT);
        assert_true(whorl_cancel(task, NULL));
        assert_int_equal(whorl_await(task, NULL), -ECANCELED);
        whorl_task_unref(task);
        assert_int_equal(close_host(&host), 0);
    }
}

static void test_thr_11_and_12_a_thread_cancels_a_task(void **state)
{
    /* The message arrives, the end is seen by the thread. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct host host;
        struct whorl_task *task = NULL;
        open_host(&host, loops);
        assert_int_equal(whorl_spawn_remote(host.main, sit_for_ever, NULL, NULL, &task), 0);
        assert_true(whorl_cancel(task, "from afar"));
        assert_int_equal(whorl_task_cancelling(task), 1);
        assert_int_equal(whorl_await(task, NULL), -ECANCELED);
        assert_true(whorl_task_cancelled(task));
        assert_string_equal(whorl_future_cancel_message(whorl_task_future(task)), "from afar");
        assert_false(whorl_cancel(task, "again"));
        whorl_task_unref(task);
        assert_int_equal(close_host(&host), 0);
    }
}

/* ---- no memory for one thread; the loops have all they need ---- */

static __thread bool lacks_memory;
static struct whorl__os lacking;

static void *maybe_alloc(size_t bytes)
{
    return lacks_memory ? NULL : whorl__os_linux.alloc(bytes);
}

static int maybe_map(size_t bytes, void **ret_base)
{
    return lacks_memory ? -ENOMEM : whorl__os_linux.map(bytes, ret_base);
}

/* Tasks until one cannot be made; what the call said then. */
static int spawn_until_refused(const struct host *host)
{
    int error = 0;
    lacks_memory = true;
    for (int i = 0; i < 20000 && error == 0; i++) {
        error = whorl_spawn_remote(host->main, sit_for_ever, NULL, NULL, NULL);
    }
    lacks_memory = false;
    return error;
}

static void test_thr_13_a_task_that_cannot_be_made_is_told_to_the_thread(void **state)
{
    /* By the call itself; the tasks that there are, and the next ones, are as ever. */
    (void)state;
    lacking = whorl__os_linux;
    lacking.alloc = maybe_alloc;
    lacking.map = maybe_map;
    whorl__os = &lacking;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct host host;
        struct whorl_task *task = NULL;
        void *value = NULL;
        open_host(&host, loops);
        assert_int_equal(spawn_until_refused(&host), -ENOMEM);
        assert_int_equal(whorl_spawn_remote(host.main, double_it, (void *)21, NULL, &task), 0);
        assert_int_equal(whorl_await(task, &value), 0);
        assert_ptr_equal(value, (void *)42);
        whorl_task_unref(task);
        assert_int_equal(close_host(&host), 0);
    }
    whorl__os = &whorl__os_linux;
}

static void test_spawn_remote_bad_attributes_are_einval(void **state)
{
    /* As spawn; and a NULL for the task it is near to. */
    (void)state;
    struct host host;
    const struct whorl_attr nowhere = {.pin = WHORL_PIN(2)};
    open_host(&host, 2);
    assert_int_equal(whorl_spawn_remote(NULL, sit_for_ever, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_spawn_remote(host.main, NULL, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(whorl_spawn_remote(host.main, sit_for_ever, NULL, &nowhere, NULL), -EINVAL);
    assert_int_equal(close_host(&host), 0);
}

static int tell_loop(void *arg)
{
    (void)arg;
    return whorl_return((void *)(intptr_t)whorl_loop_current());
}

static void test_spawn_remote_goes_to_the_loop_it_is_pinned_to(void **state)
{
    /* MT-22: post to loop k. */
    (void)state;
    struct host host;
    open_host(&host, LOOPS_MOST);
    for (int i = 0; i < 40; i++) {
        const struct whorl_attr attr = {.pin = WHORL_PIN(i % LOOPS_MOST)};
        struct whorl_task *task = NULL;
        void *value = NULL;
        assert_int_equal(whorl_spawn_remote(host.main, tell_loop, NULL, &attr, &task), 0);
        assert_int_equal(whorl_await(task, &value), 0);
        assert_int_equal((intptr_t)value, i % LOOPS_MOST);
        whorl_task_unref(task);
    }
    assert_int_equal(close_host(&host), 0);
}

/* ---- spawning while it ends ---- */

struct late {
    pthread_t thread;
    struct host *host;
    int refused;
    int lost;
};

static int yield_once(void *arg)
{
    (void)arg;
    return whorl_yield();
}

static void *submit_until_refused(void *arg)
{
    struct late *const late = arg;
    while (late->refused == 0) {
        struct whorl_task *task = NULL;
        const int error = whorl_spawn_remote(late->host->main, yield_once, NULL, NULL, &task);
        if (error == 0) {
            const int end = whorl_await(task, NULL); /* hangs if the task was lost */
            late->lost += end != 0 && end != -ECANCELED;
            whorl_task_unref(task);
        } else {
            late->refused = error;
        }
    }
    return NULL;
}

static void test_mt_23_spawning_while_the_runtime_ends_is_run_or_refused(void **state)
{
    /* None slips in and is never run: whoever awaits it would wait for ever. */
    (void)state;
    for (int round = 0; round < ROUNDS / 20; round++) {
        struct host host;
        struct late lates[2];
        open_host(&host, 1 + round % LOOPS_MOST);
        for (int i = 0; i < 2; i++) {
            lates[i] = (struct late){.host = &host};
            start_thread(&lates[i].thread, submit_until_refused, &lates[i]);
        }
        for (int i = 0; i < round % 50; i++) {
            sched_yield();
        }
        (void)whorl_future_set_result(host.close, NULL);
        for (int i = 0; i < 2; i++) {
            join_thread(lates[i].thread);
            assert_int_equal(lates[i].refused, -ECANCELED);
            assert_int_equal(lates[i].lost, 0);
        }
        assert_int_equal(close_host(&host), 0);
    }
}

/* ---- awaiting ---- */

struct watcher {
    pthread_t thread;
    struct whorl_task *task;
    struct whorl_future *future;
    int error;
    void *value;
};

static void *await_task(void *arg)
{
    struct watcher *const watcher = arg;
    watcher->error = whorl_await(watcher->task, &watcher->value);
    return NULL;
}

static int pass_gate(void *arg)
{
    void *value = NULL;
    const int error = whorl_future_await(arg, &value);
    must(whorl_return(value));
    return error;
}

static void test_mt_2_many_threads_await_one_task(void **state)
{
    /* All of them return, with the same value. */
    (void)state;
    static int token;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct host host;
        struct watcher watchers[THREADS];
        struct whorl_task *task = NULL;
        struct whorl_future *const gate = new_future();
        open_host(&host, loops);
        must(whorl_spawn_remote(host.main, pass_gate, gate, NULL, &task));
        for (int i = 0; i < THREADS; i++) {
            watchers[i] = (struct watcher){.task = task, .error = UNSET};
            start_thread(&watchers[i].thread, await_task, &watchers[i]);
        }
        assert_int_equal(whorl_future_set_result(gate, &token), 0);
        for (int i = 0; i < THREADS; i++) {
            join_thread(watchers[i].thread);
            assert_int_equal(watchers[i].error, 0);
            assert_ptr_equal(watchers[i].value, &token);
        }
        whorl_task_unref(task);
        whorl_future_unref(gate);
        assert_int_equal(close_host(&host), 0);
    }
}

static void *gather_two(void *arg)
{
    struct watcher *const watcher = arg;
    struct whorl_task *const tasks[2] = {watcher->task, watcher->task};
    struct whorl_result results[2] = {{UNSET, NULL}, {UNSET, NULL}};
    watcher->error = whorl_gather(tasks, 2, WHORL_GATHER_RETURN_EXCEPTIONS, results);
    watcher->value = results[1].value;
    return NULL;
}

static void test_mt_17_a_thread_gathers_tasks(void **state)
{
    /* It blocks until they have ended. */
    (void)state;
    static int token;
    struct host host;
    struct watcher watcher = {.error = UNSET};
    struct whorl_future *const gate = new_future();
    open_host(&host, 2);
    must(whorl_spawn_remote(host.main, pass_gate, gate, NULL, &watcher.task));
    start_thread(&watcher.thread, gather_two, &watcher);
    assert_int_equal(whorl_future_set_result(gate, &token), 0);
    join_thread(watcher.thread);
    assert_int_equal(watcher.error, 0);
    assert_ptr_equal(watcher.value, &token);
    whorl_task_unref(watcher.task);
    whorl_future_unref(gate);
    assert_int_equal(close_host(&host), 0);
}

static void *await_future(void *arg)
{
    struct watcher *const watcher = arg;
    watcher->error = whorl_future_await(watcher->future, &watcher->value);
    return NULL;
}

static void test_mt_2_threads_use_a_future_without_any_runtime(void **state)
{
    /* Futures have no loop. */
    (void)state;
    static int token;
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct watcher watcher = {.future = new_future(), .error = UNSET};
        start_thread(&watcher.thread, await_future, &watcher);
        assert_int_equal(whorl_future_set_result(watcher.future, &token), 0);
        join_thread(watcher.thread);
        assert_int_equal(watcher.error, 0);
        assert_ptr_equal(watcher.value, &token);
        whorl_future_unref(watcher.future);
    }
}

/* ---- one winner ---- */

/* Threads that meet before each round, then all try to complete the same future. */
struct race {
    pthread_barrier_t gather_round;
    struct whorl_future *future;
    struct rival {
        struct race *race;
        pthread_t thread;
        int number;
        int payload; /* plain: what the winner wrote must be seen by whoever awaits */
        bool won;
    } rivals[THREADS];
};

static bool try_to_win(struct rival *rival)
{
    struct whorl_future *const future = rival->race->future;
    rival->payload++;
    switch (rival->number) {
    case 0:
        return whorl_future_set_error(future, -EPIPE) == 0;
    case 1:
        return whorl_future_cancel(future, "rival");
    default:
        return whorl_future_set_result(future, rival) == 0;
    }
}

static void *compete(void *arg)
{
    struct rival *const rival = arg;
    for (int round = 0; round < ROUNDS; round++) {
        (void)pthread_barrier_wait(&rival->race->gather_round);
        rival->won = try_to_win(rival);
        (void)pthread_barrier_wait(&rival->race->gather_round);
    }
    return NULL;
}

/* How the future ended, against what the rivals were told; 0 if they agree. */
static int judge(struct race *race, int error, const void *value)
{
    int winners = 0;
    int winner = 0;
    for (int i = 0; i < THREADS; i++) {
        winners += race->rivals[i].won;
        winner = race->rivals[i].won ? i : winner;
    }
    const int expected = winner == 0 ? -EPIPE : winner == 1 ? -ECANCELED : 0;
    const void *const expected_value = winner > 1 ? &race->rivals[winner] : NULL;
    const bool cancelled = whorl_future_cancelled(race->future);
    return winners == 1 && error == expected && value == expected_value &&
                   cancelled == (winner == 1)
               ? 0
               : -ERANGE;
}

/* Awaits each round's future as a task, and judges. */
static int referee(void *arg)
{
    struct race *const race = arg;
    int wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        void *value = NULL;
        race->future = new_future();
        (void)pthread_barrier_wait(&race->gather_round);
        const int error = whorl_future_await(race->future, &value);
        const int payload = value == NULL ? round + 1 : ((struct rival *)value)->payload;
        (void)pthread_barrier_wait(&race->gather_round);
        wrong += payload != round + 1 || judge(race, error, value) != 0;
        whorl_future_unref(race->future);
    }
    return wrong == 0 ? 0 : -ERANGE;
}

static void test_mt_3_set_and_cancel_race_and_exactly_one_wins(void **state)
{
    /* The return values tell the truth, and the awaiter sees what the winner wrote before. */
    (void)state;
    for (int loops = 1; loops <= 2; loops++) {
        struct race race = {.future = NULL};
        must(-pthread_barrier_init(&race.gather_round, NULL, THREADS + 1));
        for (int i = 0; i < THREADS; i++) {
            race.rivals[i].race = &race;
            race.rivals[i].number = i;
            start_thread(&race.rivals[i].thread, compete, &race.rivals[i]);
        }
        const struct whorl_options options = {
            .loops = loops, .no_pin = 1, .stall_ns = WHORL_NEVER, .report_ns = WHORL_NEVER};
        assert_int_equal(whorl_run(referee, &race, &options), 0);
        for (int i = 0; i < THREADS; i++) {
            join_thread(race.rivals[i].thread);
        }
        (void)pthread_barrier_destroy(&race.gather_round);
    }
}

/* ---- completed and cancelled at once ---- */

struct clash {
    struct whorl_future *gate;
    struct whorl_task *task;
    bool accepted;
};

static void *complete_gate(void *arg)
{
    struct clash *const clash = arg;
    (void)whorl_future_set_result(clash->gate, clash);
    return NULL;
}

static void *cancel_task(void *arg)
{
    struct clash *const clash = arg;
    clash->accepted = whorl_cancel(clash->task, NULL);
    return NULL;
}

static void test_mt_13_completion_and_cancel_race_and_one_is_delivered(void **state)
{
    /* The value or the cancel; a cancel that was refused came after the end. */
    (void)state;
    struct host host;
    open_host(&host, 2);
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct clash clash = {.gate = new_future()};
        pthread_t threads[2];
        void *value = NULL;
        must(whorl_spawn_remote(host.main, pass_gate, clash.gate, NULL, &clash.task));
        start_thread(&threads[0], complete_gate, &clash);
        start_thread(&threads[1], cancel_task, &clash);
        const int error = whorl_await(clash.task, &value);
        join_thread(threads[0]);
        join_thread(threads[1]);
        assert_true(error == 0 || error == -ECANCELED);
        assert_true(error != 0 || value == &clash);
        assert_true(error == 0 || clash.accepted);
        assert_int_equal(whorl_task_cancelling(clash.task), clash.accepted);
        whorl_task_unref(clash.task);
        whorl_future_unref(clash.gate);
    }
    assert_int_equal(close_host(&host), 0);
}

/* ---- a gather whose children end while it is cancelled ---- */

struct brood {
    struct whorl_future *children[3];
    struct whorl_future *gather;
    bool accepted;
};

static void *complete_children(void *arg)
{
    struct brood *const brood = arg;
    for (int i = 0; i < 3; i++) {
        (void)whorl_future_set_result(brood->children[i], brood);
    }
    return NULL;
}

static void *cancel_gather(void *arg)
{
    struct brood *const brood = arg;
    brood->accepted = whorl_future_cancel(brood->gather, "brood");
    return NULL;
}

static struct brood hatch(unsigned flags)
{
    struct brood brood = {.accepted = false};
    for (int i = 0; i < 3; i++) {
        brood.children[i] = new_future();
    }
    must(whorl_gather_start(brood.children, 3, flags, &brood.gather));
    return brood;
}

static void test_gath_11_cancel_of_a_gather_tells_the_truth_in_a_race(void **state)
{
    /* Accepted if and only if it ends cancelled, though the last child ends at that moment. */
    (void)state;
    for (int round = 0; round < ROUNDS / 5; round++) {
        struct brood brood = hatch(round % 2 == 0 ? 0 : WHORL_GATHER_RETURN_EXCEPTIONS);
        pthread_t threads[2];
        start_thread(&threads[0], complete_children, &brood);
        start_thread(&threads[1], cancel_gather, &brood);
        join_thread(threads[0]);
        join_thread(threads[1]);
        assert_int_equal(whorl_future_result(brood.gather, NULL), brood.accepted ? -ECANCELED : 0);
        whorl_future_unref(brood.gather);
        for (int i = 0; i < 3; i++) {
            whorl_future_unref(brood.children[i]);
        }
    }
}

/* ---- a chain of awaits, cancelled from outside ---- */

struct chain {
    struct whorl_future *gate;
    int depth;
};

static int await_deeper(void *arg)
{
    struct chain *const chain = arg;
    if (chain->depth == 0) {
        return whorl_future_await(chain->gate, NULL);
    }
    struct chain deeper = {.gate = chain->gate, .depth = chain->depth - 1};
    return finish(start(await_deeper, &deeper));
}

static void *cancel_again_and_again(void *arg)
{
    struct whorl_task *const task = arg;
    while (whorl_cancel(task, NULL)) {
        sched_yield();
    }
    return NULL;
}

static void test_canc_5_a_thread_cancels_a_deep_chain_while_it_grows(void **state)
{
    /* Wherever the request arrives, all of the chain ends, innermost first, and none is left. */
    (void)state;
    struct host host;
    open_host(&host, 2);
    for (int round = 0; round < ROUNDS / 20; round++) {
        struct chain chain = {.gate = new_future(), .depth = 20};
        struct whorl_task *task = NULL;
        pthread_t threads[2];
        must(whorl_spawn_remote(host.main, await_deeper, &chain, NULL, &task));
        start_thread(&threads[0], cancel_again_and_again, task);
        start_thread(&threads[1], cancel_again_and_again, task);
        assert_int_equal(whorl_await(task, NULL), -ECANCELED);
        join_thread(threads[0]);
        join_thread(threads[1]);
        whorl_task_unref(task);
        whorl_future_unref(chain.gate);
    }
    assert_int_equal(close_host(&host), 0);
}

/* ---- two runtimes ---- */

static int await_in_other_runtime(void *arg)
{
    struct host *const other = arg;
    struct whorl_task *task = NULL;
    void *value = NULL;
    for (uintptr_t i = 1; i <= 50; i++) {
        must(whorl_spawn_remote(other->main, double_it, (void *)i, NULL, &task));
        must(whorl_await(task, &value));
        must((uintptr_t)value == 2 * i ? 0 : -ERANGE);
        whorl_task_unref(task);
    }
    must(whorl_spawn_remote(other->main, sit_for_ever, NULL, NULL, &task));
    must(whorl_wait_for(task, WHORL_MILLISECOND, NULL) == -ETIMEDOUT ? 0 : -ERANGE);
    whorl_task_unref(task);
    return 0;
}

static void test_mt_2_a_task_awaits_tasks_of_another_runtime(void **state)
{
    /* Spawned there, awaited and cancelled from here. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct host host;
        const struct whorl_options options = {.loops = loops, .no_pin = 1};
        open_host(&host, 2);
        assert_int_equal(whorl_run(await_in_other_runtime, &host, &options), 0);
        assert_int_equal(close_host(&host), 0);
    }
}

/* ---- a thread that waits for what a later pass does ---- */

struct trap {
    struct whorl_future *child;
    struct whorl_future *gather;
    pthread_t watcher;
    bool done_at_once; /* the gather, when its child had been completed */
    int watched;
};

static void *watch_gather(void *arg)
{
    struct trap *const trap = arg;
    trap->watched = whorl_future_join(trap->gather, WHORL_NEVER, NULL);
    return NULL;
}

static int join_watcher(void *arg)
{
    return -pthread_join(((struct trap *)arg)->watcher, NULL);
}

/* Joined on the loop's own thread, the watcher would wait for a pass that does not come. */
static int complete_and_join(void *arg)
{
    struct trap *const trap = arg;
    must(whorl_gather_start(&trap->child, 1, 0, &trap->gather));
    start_thread(&trap->watcher, watch_gather, trap);
    must(whorl_future_set_result(trap->child, NULL));
    trap->done_at_once = whorl_future_done(trap->gather);
    must(whorl_to_thread(join_watcher, trap, NULL, NULL));
    whorl_future_unref(trap->gather);
    return 0;
}

static void test_a_thread_watches_a_gather_that_a_later_pass_of_a_strict_loop_ends(void **state)
{
    /* docs/guide/porting.md says so: with several loops it is done at once. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct trap trap = {.child = new_future(), .watched = UNSET};
        const struct whorl_options options = {.loops = loops, .no_pin = 1};
        assert_int_equal(whorl_run(complete_and_join, &trap, &options), 0);
        assert_int_equal(trap.done_at_once, loops > 1);
        assert_int_equal(trap.watched, 0);
        whorl_future_unref(trap.child);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thr_15_many_threads_submit_and_get_all_results),
        cmocka_unit_test(test_thr_10_a_thread_can_wait_with_a_deadline),
        cmocka_unit_test(test_thr_11_and_12_a_thread_cancels_a_task),
        cmocka_unit_test(test_thr_13_a_task_that_cannot_be_made_is_told_to_the_thread),
        cmocka_unit_test(test_spawn_remote_bad_attributes_are_einval),
        cmocka_unit_test(test_spawn_remote_goes_to_the_loop_it_is_pinned_to),
        cmocka_unit_test(test_mt_23_spawning_while_the_runtime_ends_is_run_or_refused),
        cmocka_unit_test(test_mt_2_many_threads_await_one_task),
        cmocka_unit_test(test_mt_17_a_thread_gathers_tasks),
        cmocka_unit_test(test_mt_2_threads_use_a_future_without_any_runtime),
        cmocka_unit_test(test_mt_3_set_and_cancel_race_and_exactly_one_wins),
        cmocka_unit_test(test_mt_13_completion_and_cancel_race_and_one_is_delivered),
        cmocka_unit_test(test_gath_11_cancel_of_a_gather_tells_the_truth_in_a_race),
        cmocka_unit_test(test_canc_5_a_thread_cancels_a_deep_chain_while_it_grows),
        cmocka_unit_test(test_mt_2_a_task_awaits_tasks_of_another_runtime),
        cmocka_unit_test(test_a_thread_watches_a_gather_that_a_later_pass_of_a_strict_loop_ends),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
