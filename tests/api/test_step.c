/*
 * A runtime without threads: driven step by step from a main loop of the program's own, or by runs
 * on the thread that calls. Rows LOOP of asyncio's semantics hold there pass by pass.
 */
#include "support/mark.h"
#include "support/play.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct whorl_options stepped = {.flags = WHORL_STEPPED};

static struct whorl_runtime *new_stepped(void)
{
    struct whorl_runtime *runtime = NULL;
    assert_int_equal(whorl_runtime_new(&stepped, &runtime), 0);
    return runtime;
}

static struct whorl_runtime *new_begun(void)
{
    struct whorl_runtime *const runtime = new_stepped();
    assert_int_equal(whorl_loop_begin(runtime), 0);
    return runtime;
}

static struct whorl_task *give(struct whorl_runtime *runtime, whorl_body *body, void *arg)
{
    struct whorl_task *task = NULL;
    assert_int_equal(whorl_runtime_spawn(runtime, body, arg, NULL, &task), 0);
    return task;
}

/* When the next step has something to do. */
static int64_t next_of(struct whorl_runtime *runtime)
{
    int64_t deadline_ns = -1;
    assert_true(whorl_loop_next(runtime, &deadline_ns) >= 0);
    return deadline_ns;
}

static bool is_readable(struct whorl_runtime *runtime)
{
    struct pollfd ready = {.fd = whorl_loop_next(runtime, NULL), .events = POLLIN};
    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0;
}

/* Until nothing is ready; timers and descriptors are not waited for. */
static void step_until_idle(struct whorl_runtime *runtime)
{
    do {
        assert_int_equal(whorl_loop_step(runtime, 0), 0);
    } while (next_of(runtime) == 0);
}

/* ---- on the thread that calls ---- */

struct where {
    pthread_t thread;
    int threads;
    bool child_here;
};

static int child_looks(void *arg)
{
    struct where *const where = arg;
    must(whorl_sleep(WHORL_MILLISECOND));
    where->child_here = pthread_equal(where->thread, pthread_self()) != 0;
    return 0;
}

static int look_around(void *arg)
{
    struct where *const where = arg;
    where->thread = pthread_self();
    where->threads = count_own("task");
    must(finish(start(child_looks, where)));
    return whorl_loop_count() == 1 ? -EPIPE : -EXDEV;
}

static void test_step_run_takes_place_on_the_thread_that_calls(void **state)
{
    /* No thread is started, neither by whorl_run nor for a runtime that runs several mains. */
    (void)state;
    const int threads = count_own("task");
    struct where where = {.threads = UNSET};
    assert_int_equal(whorl_run(look_around, &where, &stepped), -EPIPE);
    assert_true(pthread_equal(where.thread, pthread_self()));
    assert_true(where.child_here);
    assert_int_equal(where.threads, threads);
    struct whorl_runtime *const runtime = new_stepped();
    for (int i = 0; i < 3; i++) {
        where = (struct where){.threads = UNSET};
        assert_int_equal(whorl_runtime_run(runtime, look_around, &where), -EPIPE);
        assert_true(pthread_equal(where.thread, pthread_self()));
        assert_true(where.child_here);
        assert_int_equal(where.threads, threads);
        assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_STOPPED);
    }
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

/* ---- steps ---- */

static int note_passes(void *arg)
{
    int error = 0;
    while (error == 0) {
        note(arg, 'p');
        error = whorl_yield();
    }
    return error;
}

static void call_note_x(void *arg)
{
    note(arg, 'x');
}

static int note_and_call(void *arg)
{
    note(arg, 'a');
    must(whorl_call_soon(call_note_x, arg, NULL, NULL));
    note(arg, 'b');
    return 0;
}

static void test_loop_2_and_loop_24_each_step_is_one_pass(void **state)
{
    /* What was given before begins with the first; what a pass schedules waits for the next. */
    (void)state;
    struct journal journal = {.text = ""};
    struct whorl_runtime *const runtime = new_begun();
    whorl_task_unref(give(runtime, note_and_call, &journal));
    assert_string_equal(journal.text, "");
    assert_int_equal(whorl_loop_step(runtime, 0), 0);
    assert_string_equal(journal.text, "ab");
    assert_true(next_of(runtime) == 0);
    assert_int_equal(whorl_loop_step(runtime, WHORL_NEVER), 0);
    assert_string_equal(journal.text, "abx");
    assert_true(next_of(runtime) == WHORL_NEVER);
    whorl_task_unref(give(runtime, note_passes, &journal));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(whorl_loop_step(runtime, WHORL_NEVER), 0);
    }
    assert_string_equal(journal.text, "abxppp");
    assert_int_equal(whorl_loop_end(runtime), 0);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

static int nap(void *arg)
{
    return whorl_sleep_until(*(const int64_t *)arg);
}

static void test_loop_4_next_is_the_earliest_timer_and_a_step_waits_no_longer(void **state)
{
    /* Of two that are far away; without the one that is cancelled; and one that comes. */
    (void)state;
    const int64_t late_ns = whorl_now() + 7200 * WHORL_SECOND;
    const int64_t sooner_ns = late_ns - 3600 * WHORL_SECOND;
    struct whorl_runtime *const runtime = new_begun();
    struct whorl_task *const late = give(runtime, nap, (void *)(uintptr_t)&late_ns);
    struct whorl_task *const sooner = give(runtime, nap, (void *)(uintptr_t)&sooner_ns);
    step_until_idle(runtime);
    assert_true(next_of(runtime) == sooner_ns);
    assert_true(whorl_cancel(sooner, NULL));
    step_until_idle(runtime);
    assert_true(next_of(runtime) == late_ns);
    assert_int_equal(whorl_loop_step(runtime, WHORL_MILLISECOND), 0); /* the limit ends it */
    assert_int_equal(whorl_loop_step(runtime, -1), 0);
    const int64_t now_ns = whorl_now() + WHORL_MILLISECOND;
    struct whorl_task *const soon = give(runtime, nap, (void *)(uintptr_t)&now_ns);
    while (!whorl_task_done(soon)) {
        assert_int_equal(whorl_loop_step(runtime, WHORL_NEVER), 0);
    }
    assert_true(whorl_now() >= now_ns);
    assert_false(whorl_task_done(late));
    whorl_task_unref(late);
    whorl_task_unref(sooner);
    whorl_task_unref(soon);
    assert_int_equal(whorl_loop_end(runtime), 0);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

static void *post_x(void *arg)
{
    struct sitter *const sitter = arg;
    assert_int_equal(whorl_future_set_result(sitter->gate, NULL), 0);
    return NULL;
}

static void test_loop_19_descriptor_is_ready_when_another_thread_gives_something(void **state)
{
    /* A post from a thread, or from the driver's own between two steps; the step takes it. */
    (void)state;
    for (int by_thread = 0; by_thread <= 1; by_thread++) {
        struct sitter sitter = {.gate = new_future(), .got = UNSET};
        struct whorl_runtime *const runtime = new_begun();
        struct whorl_task *const task = give(runtime, sit, &sitter);
        step_until_idle(runtime);
        assert_false(is_readable(runtime));
        if (by_thread) {
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, post_x, &sitter), 0);
            assert_int_equal(pthread_join(thread, NULL), 0);
        } else {
            (void)post_x(&sitter);
        }
        assert_true(is_readable(runtime));
        assert_true(next_of(runtime) == 0);
        assert_int_equal(whorl_loop_step(runtime, 0), 0);
        assert_true(whorl_task_done(task));
        step_until_idle(runtime);
        assert_false(is_readable(runtime));
        whorl_task_unref(task);
        whorl_future_unref(sitter.gate);
        assert_int_equal(whorl_loop_end(runtime), 0);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

/* Takes bytes off a pipe until its end. */
struct reader {
    int fd;
    char text[16];
};

static int read_all(void *arg)
{
    struct reader *const reader = arg;
    size_t length = 0;
    ssize_t got;
    must(whorl_fd_adopt(reader->fd));
    while ((got = whorl_read(reader->fd, reader->text + length, 1)) > 0) {
        length += (size_t)got;
    }
    must(whorl_close(reader->fd));
    return (int)got;
}

static void test_loop_3_descriptor_is_ready_when_one_of_its_tasks_is(void **state)
{
    (void)state;
    int fds[2];
    struct reader reader = {.text = ""};
    struct whorl_runtime *const runtime = new_begun();
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    reader.fd = fds[0];
    struct whorl_task *const task = give(runtime, read_all, &reader);
    step_until_idle(runtime);
    for (int i = 0; i < 3; i++) {
        assert_false(is_readable(runtime));
        assert_int_equal(write(fds[1], &"abc"[i], 1), 1);
        assert_true(is_readable(runtime));
        step_until_idle(runtime);
        assert_int_equal(strlen(reader.text), i + 1);
    }
    assert_int_equal(close(fds[1]), 0);
    assert_true(is_readable(runtime));
    step_until_idle(runtime);
    assert_int_equal(whorl_task_result(task, NULL), 0);
    whorl_task_unref(task);
    assert_int_equal(whorl_loop_end(runtime), 0);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

/* ---- a main loop of the program's own ---- */

#define ROUNDS 50

struct office {
    struct whorl_runtime *runtime;
    struct whorl_task *clerk; /* keeps the runtime's calls for the thread */
    uint32_t calls;           /* plain: the driver's thread only */
    unsigned naps;
    int fd;
};

static void count_call(void *arg)
{
    struct office *const office = arg;
    office->calls++;
}

static void *post_calls(void *arg)
{
    struct office *const office = arg;
    for (int i = 0; i < ROUNDS; i++) {
        must(whorl_call_soon_threadsafe(office->clerk, count_call, office, NULL, NULL));
        usleep(100);
    }
    return NULL;
}

static int nap_often(void *arg)
{
    struct office *const office = arg;
    for (int i = 0; i < ROUNDS; i++) {
        must(whorl_sleep(100 * WHORL_MICROSECOND));
        office->naps++;
    }
    return 0;
}

static int wait_milliseconds(int64_t deadline_ns)
{
    if (deadline_ns == WHORL_NEVER) {
        return -1;
    }
    const int64_t left_ns = deadline_ns - whorl_now();
    return left_ns <= 0 ? 0 : (int)(left_ns / WHORL_MILLISECOND + 1);
}

static void poll_until_all_is_done(struct office *office, const struct whorl_task *const *tasks)
{
    while (office->calls < ROUNDS || !whorl_task_done((struct whorl_task *)(uintptr_t)tasks[0]) ||
           !whorl_task_done((struct whorl_task *)(uintptr_t)tasks[1])) {
        int64_t deadline_ns;
        struct pollfd ready = {.fd = whorl_loop_next(office->runtime, &deadline_ns),
                               .events = POLLIN};
        assert_true(poll(&ready, 1, wait_milliseconds(deadline_ns)) >= 0);
        assert_int_equal(whorl_loop_step(office->runtime, 0), 0);
    }
}

static void test_step_from_a_loop_of_poll_with_timers_pipes_and_a_thread(void **state)
{
    /* It never waits in a step; a lost wake-up would let poll sleep for ever. */
    (void)state;
    int fds[2];
    pthread_t thread;
    struct reader reader = {.text = ""};
    struct office office = {.runtime = new_begun()};
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    reader.fd = fds[0];
    assert_int_equal(write(fds[1], "whorl", 5), 5);
    assert_int_equal(close(fds[1]), 0);
    struct whorl_task *const naps = give(office.runtime, nap_often, &office);
    struct whorl_task *const reads = give(office.runtime, read_all, &reader);
    office.clerk = naps;
    assert_int_equal(pthread_create(&thread, NULL, post_calls, &office), 0);
    poll_until_all_is_done(&office, (const struct whorl_task *const[]){naps, reads});
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(office.naps, ROUNDS);
    assert_string_equal(reader.text, "whorl");
    whorl_task_unref(naps);
    whorl_task_unref(reads);
    assert_int_equal(whorl_loop_end(office.runtime), 0);
    assert_int_equal(whorl_runtime_free(office.runtime), 0);
}

/* ---- stop, runs, threads in turn ---- */

static int stop_it(void *arg)
{
    (void)arg;
    return whorl_runtime_stop(NULL);
}

static void test_loop_9_stop_is_told_to_who_steps(void **state)
{
    /* In a step, or between two: once for each request that is new. */
    (void)state;
    struct whorl_runtime *const runtime = new_begun();
    assert_int_equal(whorl_loop_step(runtime, 0), 0);
    whorl_task_unref(give(runtime, stop_it, NULL));
    assert_int_equal(whorl_loop_step(runtime, WHORL_NEVER), 1);
    assert_int_equal(whorl_loop_step(runtime, 0), 0);
    assert_int_equal(whorl_runtime_stop(runtime), 0);
    assert_int_equal(whorl_runtime_stop(runtime), 0);
    assert_true(is_readable(runtime));
    assert_int_equal(whorl_loop_step(runtime, WHORL_NEVER), 1);
    assert_int_equal(whorl_loop_step(runtime, 0), 0);
    assert_int_equal(whorl_loop_end(runtime), 0);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

static int stop_then_wait(void *arg)
{
    struct sitter *const sitter = arg;
    must(whorl_runtime_stop(NULL));
    return sit(sitter);
}

static void test_loop_13_runs_on_the_callers_thread_are_stopped_and_go_on(void **state)
{
    /* Within begin and end as well as without. */
    (void)state;
    for (int begun = 0; begun <= 1; begun++) {
        struct sitter sitter = {.gate = new_future(), .got = UNSET};
        struct whorl_runtime *const runtime = begun ? new_begun() : new_stepped();
        struct whorl_task *const task = give(runtime, stop_then_wait, &sitter);
        struct whorl_future *const future = whorl_task_future(task);
        assert_int_equal(whorl_runtime_run_until(runtime, future, NULL), -EINPROGRESS);
        assert_int_equal(whorl_runtime_state(runtime),
                         begun ? WHORL_RUNTIME_GOING : WHORL_RUNTIME_STOPPED);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, post_x, &sitter), 0);
        assert_int_equal(whorl_runtime_run_until(runtime, future, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(sitter.got, 0);
        whorl_task_unref(give(runtime, stop_it, NULL));
        assert_int_equal(whorl_runtime_run_forever(runtime), 0);
        whorl_task_unref(task);
        whorl_future_unref(sitter.gate);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void *complete_soon(void *arg)
{
    assert_int_equal(whorl_future_set_result(arg, arg), 0);
    return NULL;
}

static void test_loop_12_run_until_a_future_that_only_a_thread_knows(void **state)
{
    /* Nobody in the runtime waits for it: its end still ends the sleep of the loop. */
    (void)state;
    struct whorl_runtime *const runtime = new_stepped();
    for (int i = 0; i < 10; i++) {
        struct whorl_future *const future = new_future();
        pthread_t thread;
        void *value = NULL;
        assert_int_equal(pthread_create(&thread, NULL, complete_soon, future), 0);
        assert_int_equal(whorl_runtime_run_until(runtime, future, &value), 0);
        assert_ptr_equal(value, future);
        assert_int_equal(pthread_join(thread, NULL), 0);
        whorl_future_unref(future);
    }
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

struct relay {
    struct whorl_runtime *runtime;
    uint32_t begun; /* A: the first thread has begun */
    uint32_t tried; /* A: the second was refused */
    unsigned steps; /* plain: by whoever drives */
};

static int count_step(void *arg)
{
    struct relay *const relay = arg;
    relay->steps++;
    return whorl_yield();
}

static void step_some(struct relay *relay)
{
    for (int i = 0; i < 5; i++) {
        whorl_task_unref(give(relay->runtime, count_step, relay));
        assert_int_equal(whorl_loop_step(relay->runtime, 0), 0);
    }
    assert_int_equal(whorl_loop_end(relay->runtime), 0);
}

static void *step_second(void *arg)
{
    struct relay *const relay = arg;
    assert_true(compute_until(&relay->begun, 1));
    assert_int_equal(whorl_loop_begin(relay->runtime), -EBUSY);
    assert_int_equal(whorl_loop_step(relay->runtime, 0), -EPERM);
    assert_int_equal(whorl_loop_next(relay->runtime, NULL), -EPERM);
    assert_int_equal(whorl_loop_end(relay->runtime), -EPERM);
    assert_int_equal(whorl_runtime_run_forever(relay->runtime), -EBUSY);
    assert_int_equal(whorl_runtime_close(relay->runtime), -EBUSY);
    mark(&relay->tried);
    while (whorl_loop_begin(relay->runtime) == -EBUSY) {
        sched_yield();
    }
    step_some(relay);
    return NULL;
}

static void test_step_one_thread_drives_after_the_other(void **state)
{
    /* While one has begun every other is refused; what tasks write is handed over by end, begin. */
    (void)state;
    struct relay relay = {.runtime = new_begun()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, step_second, &relay), 0);
    mark(&relay.begun);
    assert_true(compute_until(&relay.tried, 1));
    step_some(&relay);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(relay.steps, 10);
    assert_int_equal(whorl_runtime_free(relay.runtime), 0);
}

/* ---- fork ---- */

static int step_in_child(struct whorl_runtime *runtime)
{
    const bool refused = whorl_loop_step(runtime, 0) == -ECHILD &&
                         whorl_loop_next(runtime, NULL) == -ECHILD &&
                         whorl_loop_end(runtime) == -ECHILD &&
                         whorl_loop_begin(runtime) == -ECHILD &&
                         whorl_runtime_run_forever(runtime) == -ECHILD &&
                         whorl_runtime_stop(runtime) == -ECHILD;
    return refused ? 0 : 1;
}

static void test_loop_22_child_of_fork_cannot_drive_what_its_parent_drives(void **state)
{
    (void)state;
    int status = -1;
    struct whorl_runtime *const runtime = new_begun();
    const pid_t child = fork();
    if (child == 0) {
        _exit(step_in_child(runtime));
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(whorl_loop_step(runtime, 0), 0);
    assert_int_equal(whorl_loop_end(runtime), 0);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

/* ---- its end ---- */

struct leftovers {
    struct whorl_runtime *runtime;
    int nested[3];
    int sleeper;
    int cleaned; /* how the generator was closed */
    struct whorl_generator *generator;
};

static int sleep_and_clean_up(void *arg)
{
    struct leftovers *const left = arg;
    left->sleeper = whorl_sleep_until(WHORL_NEVER);
    must(whorl_sleep(WHORL_MILLISECOND));
    return left->sleeper;
}

static int yield_and_clean_up(void *arg)
{
    struct leftovers *const left = arg;
    left->cleaned = whorl_generator_yield(left, NULL);
    (void)whorl_sleep(WHORL_MILLISECOND);
    return 0;
}

static int work(void *arg)
{
    (void)arg;
    return 0;
}

static int leave_all(void *arg)
{
    struct leftovers *const left = arg;
    left->nested[0] = whorl_loop_step(left->runtime, 0);
    left->nested[1] = whorl_loop_begin(left->runtime);
    left->nested[2] = whorl_runtime_run_forever(left->runtime);
    must(whorl_spawn(sleep_and_clean_up, left, NULL, NULL));
    must(whorl_generator_new(yield_and_clean_up, left, NULL, &left->generator));
    must(whorl_generator_next(left->generator, NULL));
    must(whorl_to_thread(work, NULL, NULL, NULL));
    return whorl_yield();
}

static void test_run_6_close_drives_the_loop_until_all_has_ended(void **state)
{
    /* Tasks and generators whose clean-up waits, and a pool's threads: by who has begun, or not. */
    (void)state;
    const int descriptors = count_own("fd");
    for (int begun = 0; begun <= 1; begun++) {
        struct leftovers left = {.sleeper = UNSET, .cleaned = UNSET};
        left.runtime = begun ? new_begun() : new_stepped();
        assert_int_equal(whorl_runtime_run(left.runtime, leave_all, &left), 0);
        assert_int_equal(whorl_runtime_close(left.runtime), 0);
        assert_int_equal(left.sleeper, -ECANCELED);
        assert_int_equal(left.cleaned, -ESHUTDOWN);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(left.nested[i], -EBUSY);
        }
        assert_int_equal(whorl_loop_begin(left.runtime), -ESHUTDOWN);
        assert_int_equal(whorl_loop_step(left.runtime, 0), -ESHUTDOWN);
        assert_int_equal(whorl_runtime_run_forever(left.runtime), -ESHUTDOWN);
        assert_int_equal(whorl_runtime_close(left.runtime), 0);
        whorl_generator_unref(left.generator);
        assert_int_equal(whorl_runtime_free(left.runtime), 0);
    }
    assert_int_equal(count_own("fd"), descriptors);
}

static void test_step_options_that_contradict_it_are_refused(void **state)
{
    (void)state;
    const struct whorl_options wrong[] = {
        {.flags = WHORL_STEPPED, .loops = 2},
        {.flags = WHORL_STEPPED, .mode = WHORL_MODE_STEALING},
        {.flags = WHORL_STEPPED, .mode = WHORL_MODE_ISOLATED},
        {.flags = UINT64_C(1) << 63},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct whorl_runtime *runtime = NULL;
        assert_int_equal(whorl_runtime_new(&wrong[i], &runtime), -EINVAL);
        assert_null(runtime);
    }
    struct whorl_runtime *runtime = NULL;
    assert_int_equal(whorl_runtime_new(&(struct whorl_options){.loops = 1}, &runtime), 0);
    assert_int_equal(whorl_loop_begin(runtime), -EINVAL);
    assert_int_equal(whorl_loop_step(runtime, 0), -EINVAL);
    assert_int_equal(whorl_loop_next(runtime, NULL), -EINVAL);
    assert_int_equal(whorl_loop_end(runtime), -EINVAL);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_run_takes_place_on_the_thread_that_calls),
        cmocka_unit_test(test_loop_2_and_loop_24_each_step_is_one_pass),
        cmocka_unit_test(test_loop_4_next_is_the_earliest_timer_and_a_step_waits_no_longer),
        cmocka_unit_test(test_loop_19_descriptor_is_ready_when_another_thread_gives_something),
        cmocka_unit_test(test_loop_3_descriptor_is_ready_when_one_of_its_tasks_is),
        cmocka_unit_test(test_step_from_a_loop_of_poll_with_timers_pipes_and_a_thread),
        cmocka_unit_test(test_loop_9_stop_is_told_to_who_steps),
        cmocka_unit_test(test_loop_13_runs_on_the_callers_thread_are_stopped_and_go_on),
        cmocka_unit_test(test_loop_12_run_until_a_future_that_only_a_thread_knows),
        cmocka_unit_test(test_step_one_thread_drives_after_the_other),
        cmocka_unit_test(test_loop_22_child_of_fork_cannot_drive_what_its_parent_drives),
        cmocka_unit_test(test_run_6_close_drives_the_loop_until_all_has_ended),
        cmocka_unit_test(test_step_options_that_contradict_it_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
