/*
 * Stopping a runtime and going on: stop, run_until, run_forever, state; rows LOOP-9 to LOOP-13 and
 * MT-23 of asyncio's semantics. With one loop to the letter, pass by pass; with several: that
 * nothing runs while it is stopped, and that nothing is lost or done twice.
 *
 * What tasks write is plain, not atomic, wherever a run's end or begin is what orders it: under
 * TSan that is a test of its own.
 */
#include "support/mark.h"
#include "support/play.h"

#include "sched/sched.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static struct whorl_runtime *new_runtime(int loops)
{
    const struct whorl_options options = {.loops = loops, .no_pin = 1};
    struct whorl_runtime *runtime = NULL;
    assert_int_equal(whorl_runtime_new(&options, &runtime), 0);
    return runtime;
}

static void until_stopped(struct whorl_runtime *runtime)
{
    for (;;) {
        const int seen = whorl_runtime_state(runtime);
        if (seen == WHORL_RUNTIME_STOPPED) {
            return;
        }
        assert_int_equal(seen, WHORL_RUNTIME_GOING);
        sched_yield();
    }
}

/* New, and stopped without a request that is left: what is given to it begins with the next run. */
static struct whorl_runtime *new_stopped(int loops)
{
    struct whorl_runtime *const runtime = new_runtime(loops);
    assert_int_equal(whorl_runtime_stop(runtime), 0);
    assert_int_equal(whorl_runtime_run_forever(runtime), 0);
    assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_STOPPED);
    return runtime;
}

static struct whorl_task *give(struct whorl_runtime *runtime, whorl_body *body, void *arg)
{
    struct whorl_task *task = NULL;
    assert_int_equal(whorl_runtime_spawn(runtime, body, arg, NULL, &task), 0);
    return task;
}

/* One pass: asked for before the run begins. */
static void run_one_pass(struct whorl_runtime *runtime)
{
    assert_int_equal(whorl_runtime_stop(runtime), 0);
    assert_int_equal(whorl_runtime_run_forever(runtime), 0);
}

/* ---- pass by pass; one loop ---- */

static void call_note_x(void *arg)
{
    note(arg, 'x');
}

static int stop_and_call(void *arg)
{
    note(arg, 'a');
    must(whorl_runtime_stop(NULL));
    must(whorl_call_soon(call_note_x, arg, NULL, NULL));
    note(arg, 'A');
    return 0;
}

static int note_and_yield(void *arg)
{
    note(arg, 'b');
    must(whorl_yield());
    note(arg, 'B');
    return 0;
}

static void test_loop_9_rest_of_the_batch_runs_and_no_more(void **state)
{
    /* What follows the stop in its batch runs; what the batch schedules stays for the next run, in
     * its order: the call, then who gave way. */
    (void)state;
    struct journal journal = {.text = ""};
    struct whorl_runtime *const runtime = new_stopped(1);
    whorl_task_unref(give(runtime, stop_and_call, &journal));
    whorl_task_unref(give(runtime, note_and_yield, &journal));
    assert_int_equal(whorl_runtime_run_forever(runtime), 0);
    assert_string_equal(journal.text, "aAb");
    assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_STOPPED);
    run_one_pass(runtime);
    assert_string_equal(journal.text, "aAbxB");
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

static int note_passes(void *arg)
{
    for (;;) {
        note(arg, 'p');
        const int error = whorl_yield();
        if (error != 0) {
            return error;
        }
    }
}

static void test_loop_10_stop_before_the_run_makes_it_one_pass(void **state)
{
    /* Each run one step, however often a stop was asked for before it. */
    (void)state;
    struct journal journal = {.text = ""};
    struct whorl_runtime *const runtime = new_stopped(1);
    whorl_task_unref(give(runtime, note_passes, &journal));
    for (unsigned passes = 1; passes <= 5; passes++) {
        for (unsigned asked = 1; asked < passes; asked++) {
            assert_int_equal(whorl_runtime_stop(runtime), 0);
        }
        run_one_pass(runtime);
        assert_int_equal(strlen(journal.text), passes);
    }
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

/* Reads bytes one by one, and stops its runtime after each. */
struct reader {
    struct journal journal;
    int fd;
    int got; /* the last read's result; UNSET: it has not returned */
};

static int read_and_stop(void *arg)
{
    struct reader *const reader = arg;
    char byte;
    must(whorl_fd_adopt(reader->fd));
    note(&reader->journal, '(');
    while ((reader->got = (int)whorl_read(reader->fd, &byte, 1)) > 0) {
        note(&reader->journal, byte);
        must(whorl_runtime_stop(NULL));
    }
    return reader->got;
}

static void send_byte(int fd, char byte)
{
    assert_int_equal(write(fd, &byte, 1), 1);
}

static void test_loop_10_one_pass_polls_and_does_not_block(void **state)
{
    /* Nothing there: the pass ends all the same. A byte there: the pass that polls for it also runs
     * who waits for it. */
    (void)state;
    int fds[2];
    struct reader reader = {.got = UNSET};
    struct whorl_runtime *const runtime = new_stopped(1);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    reader.fd = fds[0];
    struct whorl_task *const task = give(runtime, read_and_stop, &reader);
    run_one_pass(runtime);
    assert_string_equal(reader.journal.text, "(");
    run_one_pass(runtime);
    assert_string_equal(reader.journal.text, "(");
    send_byte(fds[1], 'b');
    run_one_pass(runtime);
    assert_string_equal(reader.journal.text, "(b");
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(whorl_runtime_run_until(runtime, whorl_task_future(task), NULL), 0);
    assert_int_equal(reader.got, 0);
    whorl_task_unref(task);
    assert_int_equal(whorl_runtime_free(runtime), 0);
    assert_int_equal(close(fds[0]), 0);
}

static void test_loop_11_event_is_handled_once_though_the_run_was_stopped_in_it(void **state)
{
    /* The task that handles it stops the run; in the passes that follow nothing is left of it. */
    (void)state;
    int fds[2];
    struct reader reader = {.got = UNSET};
    struct whorl_runtime *const runtime = new_stopped(1);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    reader.fd = fds[0];
    struct whorl_task *const task = give(runtime, read_and_stop, &reader);
    send_byte(fds[1], '1');
    assert_int_equal(whorl_runtime_run_forever(runtime), 0);
    assert_string_equal(reader.journal.text, "(1");
    run_one_pass(runtime);
    run_one_pass(runtime);
    assert_string_equal(reader.journal.text, "(1");
    send_byte(fds[1], '2');
    assert_int_equal(whorl_runtime_run_forever(runtime), 0);
    assert_string_equal(reader.journal.text, "(12");
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(whorl_runtime_run_until(runtime, whorl_task_future(task), NULL), 0);
    whorl_task_unref(task);
    assert_int_equal(whorl_runtime_free(runtime), 0);
    assert_int_equal(close(fds[0]), 0);
}

static void test_loop_9_what_comes_meanwhile_stands_behind_what_was_there(void **state)
{
    /* Calls that other threads make while it is stopped run in the next run, and not before. */
    (void)state;
    struct journal journal = {.text = ""};
    struct whorl_runtime *const runtime = new_stopped(1);
    struct whorl_task *const passes = give(runtime, note_passes, &journal);
    run_one_pass(runtime);
    assert_int_equal(whorl_call_soon_threadsafe(passes, call_note_x, &journal, NULL, NULL), 0);
    assert_string_equal(journal.text, "p");
    run_one_pass(runtime);
    assert_string_equal(journal.text, "ppx");
    run_one_pass(runtime);
    assert_string_equal(journal.text, "ppxp");
    whorl_task_unref(passes);
    assert_int_equal(whorl_runtime_free(runtime), 0);
}

/* ---- a run that is stopped before its main has ended ---- */

/* A main that waits for what the test gives it, and shows itself. */
struct patient {
    struct whorl_task *self; /* with a reference; NULL: it has not begun */
    struct whorl_future *gate;
    int got;
};

static int be_patient(void *arg)
{
    struct patient *const patient = arg;
    patient->self = whorl_task_ref(whorl_task_current());
    must(whorl_runtime_stop(NULL));
    patient->got = whorl_future_await(patient->gate, NULL);
    return patient->got == 0 ? -EXDEV : patient->got;
}

static void test_loop_13_stopped_run_is_an_error_and_a_later_run_finishes_the_main(void **state)
{
    /* -EINPROGRESS; the main is pending, and its result is the later run's. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct patient patient = {.gate = new_future(), .got = UNSET};
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_runtime_run(runtime, be_patient, &patient), -EINPROGRESS);
        assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_STOPPED);
        assert_int_equal(patient.got, UNSET);
        assert_false(whorl_task_done(patient.self));
        assert_int_equal(whorl_future_set_result(patient.gate, NULL), 0);
        struct whorl_future *const main_future = whorl_task_future(patient.self);
        assert_int_equal(whorl_runtime_run_until(runtime, main_future, NULL), -EXDEV);
        assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_GOING);
        assert_int_equal(patient.got, 0);
        whorl_task_unref(patient.self);
        whorl_future_unref(patient.gate);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void test_loop_13_close_of_a_stopped_runtime_cancels_the_pending_main(void **state)
{
    /* As asyncio.run does when somebody stops its loop: the main is cancelled, and waited for. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct patient patient = {.gate = new_future(), .got = UNSET};
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_runtime_run(runtime, be_patient, &patient), -EINPROGRESS);
        assert_int_equal(whorl_runtime_close(runtime), 0);
        assert_int_equal(patient.got, -ECANCELED);
        assert_true(whorl_task_cancelled(patient.self));
        whorl_task_unref(patient.self);
        whorl_future_unref(patient.gate);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void test_loop_13_whorl_run_that_is_stopped_says_so(void **state)
{
    /* It cancels its main and ends, but the main's answer is not its own. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct patient patient = {.gate = new_future(), .got = UNSET};
        assert_int_equal(play(loops, be_patient, &patient), -EINPROGRESS);
        assert_int_equal(patient.got, -ECANCELED);
        whorl_task_unref(patient.self);
        whorl_future_unref(patient.gate);
    }
}

static int stop_and_end(void *arg)
{
    must(whorl_runtime_stop(NULL));
    return *(const int *)arg;
}

static void test_loop_13_stop_in_the_last_step_leaves_the_result(void **state)
{
    /* The main has ended when all are held: its result counts, and the request is used up. */
    (void)state;
    int code = -EPIPE;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const runtime = new_runtime(loops);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(whorl_runtime_run(runtime, stop_and_end, &code), -EPIPE);
            assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_STOPPED);
        }
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void *complete_soon(void *arg)
{
    assert_int_equal(whorl_future_set_result(arg, arg), 0);
    return NULL;
}

static void test_loop_12_run_until_gives_the_result_and_the_others_go_on(void **state)
{
    /* Of a future that a thread completes; of one that is done; of a task. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sitter sitter = {.gate = new_future(), .got = UNSET};
        struct whorl_future *const future = new_future();
        struct whorl_runtime *const runtime = new_stopped(loops);
        struct whorl_task *const other = give(runtime, sit, &sitter);
        pthread_t thread;
        void *value = NULL;
        assert_int_equal(pthread_create(&thread, NULL, complete_soon, future), 0);
        assert_int_equal(whorl_runtime_run_until(runtime, future, &value), 0);
        assert_ptr_equal(value, future);
        assert_int_equal(pthread_join(thread, NULL), 0);
        value = NULL;
        assert_int_equal(whorl_runtime_run_until(runtime, future, &value), 0);
        assert_ptr_equal(value, future);
        assert_int_equal(sitter.got, UNSET);
        assert_int_equal(whorl_future_set_result(sitter.gate, NULL), 0);
        assert_int_equal(whorl_runtime_run_until(runtime, whorl_task_future(other), NULL), 0);
        assert_int_equal(sitter.got, 0);
        whorl_task_unref(other);
        whorl_future_unref(future);
        whorl_future_unref(sitter.gate);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void test_loop_14_run_until_a_task_of_another_runtime_is_refused(void **state)
{
    (void)state;
    struct sitter sitter = {.gate = new_future(), .got = UNSET};
    struct whorl_runtime *const runtime = new_runtime(1);
    struct whorl_runtime *const other = new_runtime(1);
    struct whorl_task *const task = give(other, sit, &sitter);
    assert_int_equal(whorl_runtime_run_until(runtime, whorl_task_future(task), NULL), -EXDEV);
    assert_int_equal(whorl_future_set_result(sitter.gate, NULL), 0);
    assert_int_equal(whorl_runtime_run_until(other, whorl_task_future(task), NULL), 0);
    whorl_task_unref(task);
    whorl_future_unref(sitter.gate);
    assert_int_equal(whorl_runtime_free(runtime), 0);
    assert_int_equal(whorl_runtime_free(other), 0);
}

/* ---- several loops, and threads ---- */

#define RUNNERS 8
#define HALTS   20

/* A count that only its task writes, plainly; the thread reads and writes it while all are held. */
struct mill {
    unsigned long turns[RUNNERS];
    bool over;
};

struct wheel {
    struct mill *mill;
    unsigned index;
};

static int turn_wheel(void *arg)
{
    struct wheel *const wheel = arg;
    while (!wheel->mill->over) { /* written while all are held */
        wheel->mill->turns[wheel->index]++;
        const int error = wheel->index % 2 == 0 ? whorl_yield() : whorl_sleep(1);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int stop_after_a_while(void *arg)
{
    for (int i = 0; i < 20; i++) {
        must(whorl_yield());
    }
    (void)arg;
    return whorl_runtime_stop(NULL);
}

static void check_nothing_turns(const struct mill *mill)
{
    const struct mill before = *mill;
    for (int i = 0; i < 100; i++) {
        sched_yield();
    }
    assert_memory_equal(&before, mill, sizeof before);
}

static void test_mt_23_nothing_runs_while_it_is_stopped_and_all_goes_on_after(void **state)
{
    /* The thread uses what the tasks use, without a lock: only one side runs at a time. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct mill mill = {.over = false};
        struct wheel wheels[RUNNERS];
        struct whorl_task *tasks[RUNNERS];
        struct whorl_runtime *const runtime = new_stopped(loops);
        for (unsigned i = 0; i < RUNNERS; i++) {
            wheels[i] = (struct wheel){&mill, i};
            tasks[i] = give(runtime, turn_wheel, &wheels[i]);
        }
        for (int i = 0; i < HALTS; i++) {
            whorl_task_unref(give(runtime, stop_after_a_while, NULL));
            assert_int_equal(whorl_runtime_run_forever(runtime), 0);
            check_nothing_turns(&mill);
        }
        mill.over = true;
        for (unsigned i = 0; i < RUNNERS; i++) {
            assert_int_equal(
                whorl_runtime_run_until(runtime, whorl_task_future(tasks[i]), NULL), 0);
            assert_true(mill.turns[i] > 0);
            whorl_task_unref(tasks[i]);
        }
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void test_mt_23_stop_without_a_run_is_for_the_next_one(void **state)
{
    /* The loops are held at once, and the run lets them do one pass. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct sitter sitter = {.gate = new_future(), .got = UNSET};
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_runtime_stop(runtime), 0);
        until_stopped(runtime);
        struct whorl_task *const task = give(runtime, sit, &sitter);
        struct whorl_future *const future = whorl_task_future(task);
        assert_int_equal(whorl_runtime_run_until(runtime, future, NULL), -EINPROGRESS);
        assert_int_equal(whorl_future_set_result(sitter.gate, NULL), 0);
        assert_int_equal(whorl_runtime_run_until(runtime, future, NULL), 0);
        whorl_task_unref(task);
        whorl_future_unref(sitter.gate);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void *stop_it(void *arg)
{
    assert_int_equal(whorl_runtime_stop(arg), 0);
    return NULL;
}

static void test_mt_23_stop_from_a_thread_ends_the_sleep_of_all_loops(void **state)
{
    /* There is nothing to do: every loop sleeps for ever. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const runtime = new_runtime(loops);
        for (int i = 0; i < HALTS; i++) {
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, stop_it, runtime), 0);
            assert_int_equal(whorl_runtime_run_forever(runtime), 0);
            assert_int_equal(pthread_join(thread, NULL), 0);
        }
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

struct visitor {
    struct whorl_runtime *runtime;
    struct whorl_future *future; /* NULL: it runs for ever */
    uint32_t *begun;
    int got;
    pthread_t thread;
};

static void *visit(void *arg)
{
    struct visitor *const visitor = arg;
    mark(visitor->begun);
    visitor->got = visitor->future == NULL
                       ? whorl_runtime_run_forever(visitor->runtime)
                       : whorl_runtime_run_until(visitor->runtime, visitor->future, NULL);
    return NULL;
}

static unsigned runs_under_way(struct whorl_runtime *runtime)
{
    struct whorl__halt *const halt = &((struct whorl__runtime *)(void *)runtime)->halt;
    unsigned count = 0;
    whorl__spin_lock(&halt->lock);
    whorl__list_for_each_safe(link, &halt->runs)
    {
        count++;
    }
    whorl__spin_unlock(&halt->lock);
    return count;
}

static void begin_visits(struct whorl_runtime *runtime, struct visitor visitors[4],
                         struct whorl_future *future)
{
    static uint32_t begun;
    for (int i = 0; i < 4; i++) {
        visitors[i] = (struct visitor){runtime, i < 2 ? NULL : future, &begun, UNSET, 0};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    while (runs_under_way(runtime) < 4) {
        sched_yield();
    }
}

static void end_visits(struct visitor visitors[4], int forever_got, int until_got)
{
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(visitors[i].thread, NULL), 0);
        assert_int_equal(visitors[i].got, i < 2 ? forever_got : until_got);
    }
}

static void test_mt_23_one_stop_ends_all_runs_that_are_under_way(void **state)
{
    /* And none that comes later. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_future *const future = new_future();
        struct whorl_runtime *const runtime = new_runtime(loops);
        struct visitor visitors[4];
        begin_visits(runtime, visitors, future);
        assert_int_equal(whorl_runtime_stop(runtime), 0);
        end_visits(visitors, 0, -EINPROGRESS);
        assert_int_equal(whorl_runtime_state(runtime), WHORL_RUNTIME_STOPPED);
        int code = -EPIPE;
        assert_int_equal(whorl_runtime_run(runtime, stop_and_end, &code), -EPIPE);
        whorl_future_unref(future);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static void test_loop_16_close_ends_the_runs_that_wait_for_no_main(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_future *const future = new_future();
        struct whorl_runtime *const runtime = new_runtime(loops);
        struct visitor visitors[4];
        begin_visits(runtime, visitors, future);
        assert_int_equal(whorl_runtime_close(runtime), 0);
        end_visits(visitors, -ESHUTDOWN, -ESHUTDOWN);
        whorl_future_unref(future);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

static struct whorl_runtime *signalled;

static void stop_in_handler(int number)
{
    (void)number;
    (void)whorl_runtime_stop(signalled);
}

static int raise_it(void *arg)
{
    (void)arg;
    return raise(SIGUSR1);
}

static void test_mt_23_stop_from_a_signal_handler(void **state)
{
    /* In a task's step, that is on a loop's thread, and on a thread of the program's. */
    (void)state;
    const struct sigaction action = {.sa_handler = stop_in_handler, .sa_flags = SA_ONSTACK};
    struct sigaction before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        signalled = new_runtime(loops);
        whorl_task_unref(give(signalled, raise_it, NULL));
        assert_int_equal(whorl_runtime_run_forever(signalled), 0);
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(whorl_runtime_run_forever(signalled), 0);
        assert_int_equal(whorl_runtime_close(signalled), 0);
        assert_int_equal(raise(SIGUSR1), 0); /* refused */
        assert_int_equal(whorl_runtime_free(signalled), 0);
    }
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void call_stop(void *arg)
{
    *(int *)arg = whorl_runtime_stop(NULL);
}

static int stop_by_call(void *arg)
{
    must(whorl_call_later(1, call_stop, arg, NULL, NULL));
    return whorl_sleep_until(WHORL_NEVER);
}

static void test_loop_9_stop_from_a_callback_of_a_timer(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        int got = UNSET;
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_runtime_run(runtime, stop_by_call, &got), -EINPROGRESS);
        assert_int_equal(got, 0);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

/* ---- its life ---- */

struct life {
    struct whorl_runtime *runtime;
    int state;
    int stop;
};

static int look_at_the_end(void *arg)
{
    struct life *const life = arg;
    must(whorl_runtime_stop(NULL)); /* of the run that began it */
    const int error = whorl_sleep_until(WHORL_NEVER);
    life->state = whorl_runtime_state(life->runtime);
    life->stop = whorl_runtime_stop(NULL);
    return error;
}

static void test_loop_17_state_and_stop_over_the_life_of_a_runtime(void **state)
{
    /* Going, stopped, closing as a task sees it, closed: refused from there on. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct life life = {.runtime = new_runtime(loops), .state = UNSET, .stop = UNSET};
        assert_int_equal(whorl_runtime_state(life.runtime), WHORL_RUNTIME_GOING);
        assert_int_equal(whorl_runtime_run(life.runtime, look_at_the_end, &life), -EINPROGRESS);
        assert_int_equal(whorl_runtime_state(life.runtime), WHORL_RUNTIME_STOPPED);
        assert_int_equal(whorl_runtime_close(life.runtime), 0);
        assert_int_equal(life.state, WHORL_RUNTIME_CLOSING);
        assert_int_equal(life.stop, -ESHUTDOWN);
        assert_int_equal(whorl_runtime_state(life.runtime), WHORL_RUNTIME_CLOSED);
        struct whorl_future *const future = new_future();
        assert_int_equal(whorl_runtime_stop(life.runtime), -ESHUTDOWN);
        assert_int_equal(whorl_runtime_run_forever(life.runtime), -ESHUTDOWN);
        assert_int_equal(whorl_runtime_run_until(life.runtime, future, NULL), -ESHUTDOWN);
        whorl_future_unref(future);
        assert_int_equal(whorl_runtime_free(life.runtime), 0);
    }
}

static void test_loop_18_close_while_the_loops_come_to_a_halt(void **state)
{
    /* The request is there, and whether the loops have seen it is left to chance. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        for (int i = 0; i < HALTS; i++) {
            struct whorl_runtime *const runtime = new_runtime(loops);
            assert_int_equal(whorl_runtime_stop(runtime), 0);
            assert_int_equal(whorl_runtime_free(runtime), 0);
        }
    }
}

static void test_stop_parks_the_monitor(void **state)
{
    /* While it is stopped no thread of the runtime wakes by itself. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct whorl_runtime *const runtime = new_stopped(loops);
        struct whorl__runtime *const inside = (struct whorl__runtime *)(void *)runtime;
        const uint32_t parked = 1; /* MONITOR_PARKED of rescue.c */
        while (whorl__load_acquire_u32(&inside->monitor.state) != parked) {
            sched_yield();
        }
        int code = 0;
        assert_int_equal(whorl_runtime_run(runtime, stop_and_end, &code), 0);
        assert_int_equal(whorl_runtime_free(runtime), 0);
    }
}

/* ---- a main with attributes ---- */

static const struct whorl_local colour = {.initial = NULL};

struct painting {
    char name[WHORL_TASK_NAME_MAX + 1];
    const void *found;
};

static char red[] = "red";

static int paint(void *arg)
{
    struct painting *const painting = arg;
    strcpy(painting->name, whorl_task_name(whorl_task_current()));
    painting->found = whorl_local_get(&colour);
    return whorl_local_set(&colour, red, NULL);
}

static void test_run_10_main_with_a_context_and_a_name_of_its_own(void **state)
{
    /* What it sets is in its context, and not in that of the other mains. */
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct painting own = {.found = &own};
        struct painting plain = {.found = &plain};
        struct painting again = {.found = NULL};
        struct whorl_attr attr = {.name = "painter"};
        struct whorl_runtime *const runtime = new_runtime(loops);
        assert_int_equal(whorl_context_new(&attr.context), 0);
        assert_int_equal(whorl_runtime_run_with(runtime, paint, &own, &attr), 0);
        assert_int_equal(whorl_runtime_run_with(runtime, paint, &plain, NULL), 0);
        assert_int_equal(whorl_runtime_run_with(runtime, paint, &again, &attr), 0);
        assert_int_equal(whorl_runtime_free(runtime), 0);
        assert_ptr_equal(whorl_context_get(attr.context, &colour), red);
        whorl_context_unref(attr.context);
        assert_string_equal(own.name, "painter");
        assert_string_equal(plain.name, "main");
        assert_null(own.found);
        assert_null(plain.found);
        assert_ptr_equal(again.found, red);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_9_rest_of_the_batch_runs_and_no_more),
        cmocka_unit_test(test_loop_10_stop_before_the_run_makes_it_one_pass),
        cmocka_unit_test(test_loop_10_one_pass_polls_and_does_not_block),
        cmocka_unit_test(test_loop_11_event_is_handled_once_though_the_run_was_stopped_in_it),
        cmocka_unit_test(test_loop_9_what_comes_meanwhile_stands_behind_what_was_there),
        cmocka_unit_test(
            test_loop_13_stopped_run_is_an_error_and_a_later_run_finishes_the_main),
        cmocka_unit_test(test_loop_13_close_of_a_stopped_runtime_cancels_the_pending_main),
        cmocka_unit_test(test_loop_13_whorl_run_that_is_stopped_says_so),
        cmocka_unit_test(test_loop_13_stop_in_the_last_step_leaves_the_result),
        cmocka_unit_test(test_loop_12_run_until_gives_the_result_and_the_others_go_on),
        cmocka_unit_test(test_loop_14_run_until_a_task_of_another_runtime_is_refused),
        cmocka_unit_test(test_mt_23_nothing_runs_while_it_is_stopped_and_all_goes_on_after),
        cmocka_unit_test(test_mt_23_stop_without_a_run_is_for_the_next_one),
        cmocka_unit_test(test_mt_23_stop_from_a_thread_ends_the_sleep_of_all_loops),
        cmocka_unit_test(test_mt_23_one_stop_ends_all_runs_that_are_under_way),
        cmocka_unit_test(test_loop_16_close_ends_the_runs_that_wait_for_no_main),
        cmocka_unit_test(test_mt_23_stop_from_a_signal_handler),
        cmocka_unit_test(test_loop_9_stop_from_a_callback_of_a_timer),
        cmocka_unit_test(test_loop_17_state_and_stop_over_the_life_of_a_runtime),
        cmocka_unit_test(test_loop_18_close_while_the_loops_come_to_a_halt),
        cmocka_unit_test(test_stop_parks_the_monitor),
        cmocka_unit_test(test_run_10_main_with_a_context_and_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
