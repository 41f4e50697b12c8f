/*
 * test_dump.c - what whorl_dump says of tasks and loops, and that nothing keeps it from saying so.
 */
#include "capture.h"

#include "support/mark.h"

#include "task/cancel.h"
#include "task/park.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* ---- one task of each kind ---- */

#define ZOO_TASKS 15

/* Tasks that wait in every way there is; one that computes; one that has not begun. */
struct zoo {
    int ends[2];        /* a socket pair; tasks read and write the first, the peer does nothing */
    int full[2];        /* another one; a task waits for anything on the first, which is full */
    uint32_t stop;      /* A: the computing task may end */
    uint32_t crunching; /* A */
    struct whorl_future *gate;
    struct whorl_future *over;
    struct whorl_future *shield;
    struct whorl_task *tasks[ZOO_TASKS];
    unsigned count;
    struct capture capture;
    struct capture loops;
    uint64_t serials[ZOO_TASKS];
};

static int crunch(void *arg)
{
    struct zoo *const zoo = arg;
    mark(&zoo->crunching);
    return compute_until(&zoo->stop, 1) ? 0 : -ETIMEDOUT;
}

static int nap(void *arg)
{
    (void)arg;
    struct whorl_timeout outer;
    struct whorl_timeout inner;
    must(whorl_timeout_enter(&outer, whorl_after(500 * WHORL_SECOND)));
    must(whorl_timeout_enter(&inner, WHORL_NEVER));
    return whorl_timeout_exit(&outer, whorl_timeout_exit(&inner, whorl_sleep(1000 * WHORL_SECOND)));
}

static int read_some(void *arg)
{
    char byte;
    return (int)whorl_read(*(int *)arg, &byte, 1);
}

static int wait_either(void *arg)
{
    return whorl_fd_wait_until(*(int *)arg, POLLIN | POLLOUT, whorl_after(700 * WHORL_SECOND));
}

static int fill_up(void *arg)
{
    static const char zeros[4096];
    for (;;) {
        const ssize_t put = whorl_write(*(int *)arg, zeros, sizeof zeros);
        if (put < 0) {
            return (int)put;
        }
    }
}

static int await_gate(void *arg)
{
    return whorl_future_await(((struct zoo *)arg)->gate, NULL);
}

static int join_gate(void *arg)
{
    return whorl_future_join(((struct zoo *)arg)->gate, whorl_after(300 * WHORL_SECOND), NULL);
}

static int await_first(void *arg)
{
    return whorl_await(((struct zoo *)arg)->tasks[0], NULL);
}

static int gather_three(void *arg)
{
    return whorl_gather(((struct zoo *)arg)->tasks, 3, 0, NULL);
}

static int await_shield(void *arg)
{
    struct zoo *const zoo = arg;
    must(whorl_shield(zoo->gate, &zoo->shield));
    const int error = whorl_future_await(zoo->shield, NULL);
    whorl_future_unref(zoo->shield);
    return error;
}

static int end_group(void *arg)
{
    const struct whorl_attr attr = {.name = "cub", .pin = WHORL_PIN(0)};
    struct whorl_group group;
    must(whorl_group_begin(&group));
    must(whorl_group_spawn(&group, await_gate, arg, &attr, NULL));
    return whorl_group_end(&group, 0, NULL);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return wait_for_ever();
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int end_cancelled(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

static struct whorl_task *house(struct zoo *zoo, whorl_body *body, void *arg, const char *name,
                                int loop)
{
    const struct whorl_attr attr = {.name = name, .pin = WHORL_PIN(loop), .stack_bytes = 131072};
    struct whorl_task *task = NULL;
    must(whorl_spawn(body, arg, name != NULL ? &attr : NULL, &task));
    zoo->serials[zoo->count] = whorl__load_relaxed_u64(&task->serial);
    zoo->tasks[zoo->count++] = task;
    return task;
}

/* The plain thread that looks: twelve wait, and so does main. */
static void *look_at_zoo(void *arg)
{
    struct zoo *const zoo = arg;
    zoo->capture = capture_dump_with(" ready=1 running=1 parked=13 done=2\n");
    zoo->loops = capture_dump_with(" watched-by=0 ");
    must(whorl_future_set_result(zoo->over, NULL));
    return NULL;
}

static void open_pairs(struct zoo *zoo)
{
    static const char zeros[4096];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, zoo->ends));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, zoo->full));
    while (send(zoo->full[0], zeros, sizeof zeros, MSG_DONTWAIT) > 0) {
    }
    must(whorl_fd_adopt(zoo->ends[0]));
    must(whorl_fd_adopt(zoo->full[0]));
}

static void open_zoo(struct zoo *zoo)
{
    open_pairs(zoo);
    zoo->gate = new_future();
    zoo->over = new_future();
    (void)house(zoo, nap, NULL, "nap", 0);
    (void)house(zoo, read_some, &zoo->ends[0], "read", 0);
    (void)house(zoo, fill_up, &zoo->ends[0], "write", 0);
    (void)house(zoo, await_gate, zoo, "await", 0);
    (void)house(zoo, join_gate, zoo, "join", 0);
    (void)house(zoo, await_first, zoo, "chain", 0);
    (void)house(zoo, gather_three, zoo, "gather", 0);
    (void)house(zoo, end_group, zoo, "group", 0);
    (void)house(zoo, await_shield, zoo, "shield", 0);
    (void)house(zoo, end_at_once, NULL, "done", 0);
    must(whorl_await(house(zoo, end_cancelled, NULL, "gone", 0), NULL) == -ECANCELED ? 0 : -EPROTO);
    (void)house(zoo, sleep_for_ever, NULL, NULL, 0);
    whorl_task_set_name(zoo->tasks[zoo->count - 1], "two\nlines \"quoted\"");
    struct whorl_task *const busy = house(zoo, crunch, zoo, "crunch", 1);
    must(yield_until(&zoo->crunching, 1) ? 0 : -ETIMEDOUT);
    must(whorl_cancel(busy, "that will do") ? 0 : -EPROTO);
    (void)house(zoo, end_at_once, NULL, "ready", 1);
}

static int keep_zoo(void *arg)
{
    struct zoo *const zoo = arg;
    pthread_t thread;
    open_zoo(zoo);
    (void)house(zoo, wait_either, &zoo->full[0], "either", 0);
    must(pthread_create(&thread, NULL, look_at_zoo, zoo));
    must(whorl_future_await(zoo->over, NULL));
    must(pthread_join(thread, NULL));
    mark(&zoo->stop);
    for (unsigned i = 0; i < zoo->count; i++) {
        (void)whorl_cancel(zoo->tasks[i], NULL);
        (void)whorl_join(zoo->tasks[i], WHORL_NEVER, NULL);
        whorl_task_unref(zoo->tasks[i]);
    }
    must(whorl_close(zoo->ends[0]));
    must(whorl_close(zoo->full[0]));
    close(zoo->ends[1]);
    close(zoo->full[1]);
    whorl_future_unref(zoo->gate);
    whorl_future_unref(zoo->over);
    return 0;
}

static void assert_loop(const struct capture *capture, int loop, const char *words)
{
    char start[32];
    char line[1024];
    snprintf(start, sizeof start, "loop=%d ", loop);
    if (!capture_line(capture, start, words, line)) {
        fail_msg("no loop %d with %s in:\n%s", loop, words, capture->text);
    }
}

static void assert_waits(const struct zoo *zoo, const char *name, const char *format, ...)
{
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    assert_task(&zoo->capture, name, words);
}

static unsigned long long serial_of(const struct zoo *zoo, unsigned index)
{
    return (unsigned long long)zoo->serials[index];
}

static void check_waits(const struct zoo *zoo)
{
    assert_waits(zoo, "nap", "state=parked loop=0 waits=sleep timeouts=2");
    assert_waits(zoo, "read", "state=parked waits=read fd=%d", zoo->ends[0]);
    assert_waits(zoo, "write", "state=parked waits=write fd=%d", zoo->ends[0]);
    assert_waits(zoo, "either", "state=parked waits=read+write fd=%d", zoo->full[0]);
    assert_waits(zoo, "await", "state=parked waits=future on=future:%#llx",
                 (unsigned long long)(uintptr_t)zoo->gate);
    assert_waits(zoo, "join", "state=parked waits=future on=future:%#llx",
                 (unsigned long long)(uintptr_t)zoo->gate);
    assert_waits(zoo, "chain", "waits=future on=task:%llu awaited=no", serial_of(zoo, 0));
    assert_waits(zoo, "gather", "pending=3 of=3 children=task:%llu,task:%llu,task:%llu",
                 serial_of(zoo, 0), serial_of(zoo, 1), serial_of(zoo, 2));
    assert_waits(zoo, "shield", "state=parked waits=future on=shield:%#llx",
                 (unsigned long long)(uintptr_t)zoo->shield);
    assert_waits(zoo, "group", "state=parked waits=group cancel=no");
    assert_waits(zoo, "cub", "state=parked waits=future");
    assert_waits(zoo, "main", "state=parked waits=future on=future:%#llx cancel=no requests=0",
                 (unsigned long long)(uintptr_t)zoo->over);
}

static void check_figures(const struct zoo *zoo)
{
    const struct capture *const capture = &zoo->capture;
    assert_in_range(task_number(capture, "nap", "deadline"), 900000, 1000000);
    assert_in_range(task_number(capture, "nap", "timeout"), 400000, 500000);
    assert_in_range(task_number(capture, "either", "deadline"), 600000, 700000);
    assert_in_range(task_number(capture, "join", "deadline"), 200000, 300000);
    assert_in_range(task_number(capture, "nap", "stack"), 1, 131072);
    assert_in_range(task_number(capture, "nap", "high"), 4096, 131072);
    assert_true(task_number(capture, "nap", "high") >= task_number(capture, "nap", "stack"));
    assert_in_range(task_number(capture, "nap", "age"), 0, 100000);
    assert_true(task_number(capture, "main", "age") >= task_number(capture, "nap", "age"));
    assert_true(strstr(capture->text, "/131072 high=") != NULL);
}

static void test_dump_tells_of_each_task_what_it_does_and_waits_for(void **state)
{
    (void)state;
    struct zoo zoo = {.count = 0};
    const struct whorl_options options = {.loops = 2, .no_pin = 1, .report_ns = WHORL_NEVER};
    assert_int_equal(whorl_run(keep_zoo, &zoo, &options), 0);
    check_waits(&zoo);
    check_figures(&zoo);
    assert_task(&zoo.capture, "done", "state=done cancelled=no refs=1");
    assert_task(&zoo.capture, "gone", "state=done cancelled=yes refs=1");
    assert_task(&zoo.capture, "two\\x0alines \\x22quoted\\x22",
                "state=parked waits=sleep pinned=no");
    assert_task(&zoo.capture, "crunch",
                "state=running loop=1 pinned=yes cancel=pending requests=1 "
                "message=\"that will do\"");
    assert_task(&zoo.capture, "ready", "state=ready loop=0 stack=none");
    assert_loop(&zoo.loops, 1, " state=stuck ");
    assert_loop(&zoo.loops, 1, " name=\"crunch\" ");
    assert_loop(&zoo.loops, 1, " watched-by=0 ");
    assert_loop(&zoo.loops, 0, " state=");
    assert_non_null(strstr(zoo.capture.text, " mode=stealing loops=2 shared=0 ending=no\n"));
    capture_drop(&zoo.capture);
    capture_drop(&zoo.loops);
}

static void test_dump_first_line_says_version_time_and_process(void **state)
{
    (void)state;
    char expected[64];
    struct capture capture = capture_dump();
    int major, minor, patch, year, end = 0;
    assert_int_equal(sscanf(capture.text, "whorl %d.%d.%d dump time=%d-%*d-%*dT%*d:%*d:%*d.%*3dZ%n",
                            &major, &minor, &patch, &year, &end),
                     4);
    assert_int_equal(major, WHORL_VERSION_MAJOR);
    assert_int_equal(minor, WHORL_VERSION_MINOR);
    assert_int_equal(patch, WHORL_VERSION_PATCH);
    assert_in_range(year, 2020, 2200);
    snprintf(expected, sizeof expected, " pid=%d runtimes=0\n", (int)getpid());
    assert_string_equal(capture.text + end, expected);
    capture_drop(&capture);
}

/* ---- nothing keeps it ---- */

struct jam {
    unsigned loops;
    uint32_t stop;     /* A */
    uint32_t in_place; /* A */
    struct whorl_task *locked;
    struct whorl__loop *loop;
    struct capture capture;
};

static int hold_a_loop(void *arg)
{
    struct jam *const jam = arg;
    mark(&jam->in_place);
    return compute_until(&jam->stop, 1) ? 0 : -ETIMEDOUT;
}

/* Every loop is in a task that computes; one's timers and a task are locked by the looker. */
static void *look_at_jam(void *arg)
{
    struct jam *const jam = arg;
    must(compute_until(&jam->in_place, jam->loops) ? 0 : -ETIMEDOUT);
    whorl__spin_lock(&jam->locked->lock);
    whorl__spin_lock(&jam->loop->timers.lock);
    jam->capture = capture_dump();
    whorl__spin_unlock(&jam->loop->timers.lock);
    whorl__spin_unlock(&jam->locked->lock);
    mark(&jam->stop);
    return NULL;
}

static int jam_all(void *arg)
{
    struct jam *const jam = arg;
    const struct whorl_attr here = {.pin = WHORL_PIN(0), .name = "first"};
    const struct whorl_attr there = {.pin = WHORL_PIN(1), .name = "second"};
    const struct whorl_attr plain = {.name = "locked"};
    struct whorl_task *first;
    struct whorl_task *second = NULL;
    pthread_t thread;
    must(whorl_spawn(sleep_for_ever, NULL, &plain, &jam->locked));
    must(whorl_yield());
    must(whorl_spawn(hold_a_loop, jam, &here, &first));
    if (jam->loops > 1) {
        must(whorl_spawn(hold_a_loop, jam, &there, &second));
    }
    jam->loop = whorl__task_current()->runtime->loops[jam->loops - 1];
    must(pthread_create(&thread, NULL, look_at_jam, jam));
    must(finish(first));
    must(second != NULL ? finish(second) : 0);
    must(pthread_join(thread, NULL));
    (void)whorl_cancel(jam->locked, NULL);
    (void)finish(jam->locked);
    return 0;
}

static void check_jam(unsigned loops)
{
    struct jam jam = {.loops = loops};
    char line[1024];
    const struct whorl_options options = {
        .loops = (int)loops, .no_pin = 1, .report_ns = WHORL_NEVER};
    assert_int_equal(whorl_run(jam_all, &jam, &options), 0);
    assert_task(&jam.capture, "first", "state=running loop=0");
    if (loops > 1) {
        assert_task(&jam.capture, "second", "state=running loop=1");
    }
    assert_true(capture_line(&jam.capture, "task=", " name=? ", line));
    assert_non_null(strstr(line, " requests=? timeouts=? "));
    assert_null(strstr(line, " name=\"locked\" "));
    assert_loop(&jam.capture, (int)loops - 1, " timers=? ");
    capture_drop(&jam.capture);
}

static void test_ins_10_dump_needs_no_loop_and_no_lock(void **state)
{
    /* With every loop in a task that computes, and locks held, it says "?" and goes on. */
    (void)state;
    check_jam(1);
    check_jam(2);
}

static int dump_alone(void *arg)
{
    struct capture *const capture = arg;
    errno = EXDEV;
    *capture = capture_dump();
    return errno == EXDEV ? 0 : -EPROTO;
}

static void test_dump_from_a_task_shows_it_running_and_keeps_errno(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct capture capture;
        assert_int_equal(play(loops, dump_alone, &capture), 0);
        assert_task(&capture, "main", "state=running");
        assert_non_null(strstr(capture.text, "tasks=1 "));
        assert_non_null(strstr(capture.text, " runtimes=1\n"));
        capture_drop(&capture);
    }
}

static int count_allocations(void *arg)
{
    const int fd = capture_open();
    struct mallinfo2 before = mallinfo2();
    must(whorl_dump(fd));
    struct mallinfo2 after = mallinfo2();
    *(bool *)arg = before.uordblks == after.uordblks && before.hblkhd == after.hblkhd;
    close(fd);
    return 0;
}

static void test_dump_allocates_nothing(void **state)
{
    (void)state;
    bool same = false;
    assert_int_equal(play(1, count_allocations, &same), 0);
    assert_true(same);
}

/* ---- where it cannot go ---- */

static int dump_to_bad_places(void *arg)
{
    int ends[2];
    const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    int *const errors = arg;
    must(full >= 0 ? 0 : -ENOENT);
    must(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    errors[0] = whorl_dump(full);
    close(full);
    errors[1] = whorl_dump(full);
    errors[2] = whorl_dump(-1);
    char zeros[512] = {0};
    while (write(ends[1], zeros, sizeof zeros) > 0) {
    }
    errors[3] = whorl_dump(ends[1]);
    close(ends[0]);
    errors[4] = whorl_dump(ends[1]);
    close(ends[1]);
    return 0;
}

static void test_dump_reports_why_it_could_not_write(void **state)
{
    /* A full disk, a closed descriptor, none, a full pipe, one without a reader: and no SIGPIPE. */
    (void)state;
    const int expected[] = {-ENOSPC, -EBADF, -EBADF, -EAGAIN, -EPIPE};
    int errors[5];
    assert_int_equal(play(1, dump_to_bad_places, errors), 0);
    assert_memory_equal(errors, expected, sizeof errors);
    assert_int_equal(dump_to_bad_places(errors), 0); /* the same without a runtime */
    assert_memory_equal(errors, expected, sizeof errors);
}

/* ---- several runtimes, and processes ---- */

static int pass_on_dump(void *arg)
{
    struct whorl_future *const gate = arg;
    return whorl_future_await(gate, NULL);
}

static void *run_another(void *gate)
{
    const struct whorl_options options = {.mode = WHORL_MODE_SINGLE, .no_pin = 1};
    must(whorl_run(pass_on_dump, gate, &options));
    return NULL;
}

static int dump_two(void *arg)
{
    struct capture *const capture = arg;
    struct whorl_future *const gate = new_future();
    pthread_t thread;
    must(pthread_create(&thread, NULL, run_another, gate));
    *capture = capture_dump_with(" runtimes=2\n");
    while (strstr(capture->text, "ready=0 running=0 parked=1 done=0\n") == NULL) {
        capture_drop(capture);
        *capture = capture_dump();
    }
    must(whorl_future_set_result(gate, NULL));
    must(pthread_join(thread, NULL));
    whorl_future_unref(gate);
    return 0;
}

static void test_dump_shows_all_runtimes_oldest_first(void **state)
{
    (void)state;
    struct capture capture;
    const struct whorl_options options = {.loops = 3, .mode = WHORL_MODE_ISOLATED, .no_pin = 1};
    assert_int_equal(whorl_run(dump_two, &capture, &options), 0);
    const char *const isolated = strstr(capture.text, " mode=isolated loops=3 ");
    const char *const single = strstr(capture.text, " mode=single loops=1 ");
    assert_non_null(isolated);
    assert_non_null(single);
    assert_true(isolated < single);
    capture_drop(&capture);
}

static int fork_and_dump(void *arg)
{
    const int fd = capture_open();
    const pid_t child = fork();
    if (child == 0) {
        _exit(-whorl_dump(fd));
    }
    int status;
    must(waitpid(child, &status, 0) == child && status == 0 ? 0 : -EPROTO);
    *(struct capture *)arg = capture_close(fd);
    return 0;
}

static void test_dump_in_a_child_of_fork_shows_no_runtime_of_its_parent(void **state)
{
    (void)state;
    struct capture capture;
    assert_int_equal(play(2, fork_and_dump, &capture), 0);
    assert_non_null(strstr(capture.text, " runtimes=0\n"));
    assert_null(strstr(capture.text, "task="));
    capture_drop(&capture);
}

/* ---- a task inside a generator's body ---- */

/* Three stacks, told apart by their sizes: the task's, and those of two bodies. */
#define TASK_STACK  524288
#define OUTER_STACK 262144
#define INNER_STACK 131072
#define INNER_FRAME 16384 /* bytes of its stack that the inner body uses */

struct tale {
    struct whorl_future *gate; /* the inner body waits for it */
    struct whorl_future *over; /* the task waits for it, when both bodies are in a yield */
    struct whorl_generator *inner;
    struct whorl_generator *outer;
    struct capture running;
    struct capture inside;
    struct capture outside;
};

static int dump_then_wait(void *arg)
{
    struct tale *const tale = arg;
    char frame[INNER_FRAME];
    struct whorl_timeout timeout;
    must(gethostname(frame, sizeof frame)); /* libc has its address: a compiler keeps all of it */
    tale->running = capture_dump();
    must(whorl_timeout_enter(&timeout, whorl_after(600 * WHORL_SECOND)));
    must(whorl_timeout_exit(&timeout, whorl_future_await(tale->gate, NULL)));
    return frame[0] != '\0' ? whorl_generator_yield(NULL, NULL) : -EPROTO;
}

static int ask_inner(void *arg)
{
    must(whorl_generator_next(((struct tale *)arg)->inner, NULL));
    return whorl_generator_yield(NULL, NULL);
}

static int listen_to_tale(void *arg)
{
    const struct tale *const tale = arg;
    must(whorl_generator_next(tale->outer, NULL));
    must(whorl_future_await(tale->over, NULL));
    must(whorl_generator_close(tale->outer));
    return whorl_generator_close(tale->inner);
}

static struct whorl_generator *new_body(whorl_body *body, struct tale *tale, size_t stack_bytes)
{
    const struct whorl_generator_attr attr = {.stack_bytes = stack_bytes};
    struct whorl_generator *generator = NULL;
    must(whorl_generator_new(body, tale, &attr, &generator));
    return generator;
}

static void name_future(char words[64], const struct whorl_future *future)
{
    snprintf(words, 64, " on=future:%#llx ", (unsigned long long)(uintptr_t)future);
}

static void *look_at_listener(void *arg)
{
    struct tale *const tale = arg;
    char words[64];
    name_future(words, tale->gate);
    tale->inside = capture_dump_with(words);
    must(whorl_future_set_result(tale->gate, NULL));
    name_future(words, tale->over);
    tale->outside = capture_dump_with(words);
    must(whorl_future_set_result(tale->over, NULL));
    return NULL;
}

static int tell_tale(void *arg)
{
    struct tale *const tale = arg;
    const struct whorl_attr attr = {.name = "listener", .stack_bytes = TASK_STACK};
    struct whorl_task *listener = NULL;
    pthread_t thread;
    tale->gate = new_future();
    tale->over = new_future();
    tale->inner = new_body(dump_then_wait, tale, INNER_STACK);
    tale->outer = new_body(ask_inner, tale, OUTER_STACK);
    must(whorl_spawn(listen_to_tale, tale, &attr, &listener));
    must(-pthread_create(&thread, NULL, look_at_listener, tale));
    must(finish(listener));
    must(-pthread_join(thread, NULL));
    whorl_generator_unref(tale->inner);
    whorl_generator_unref(tale->outer);
    whorl_future_unref(tale->gate);
    whorl_future_unref(tale->over);
    return 0;
}

/* The stack that the task is on has so many bytes. */
static void assert_stack(const struct capture *capture, unsigned bytes)
{
    char line[1024];
    char words[64];
    snprintf(words, sizeof words, "/%u high=", bytes);
    assert_true(capture_line(capture, "task=", " name=\"listener\" ", line));
    if (strstr(line, words) == NULL) {
        fail_msg("no stack of %u bytes in: %s", bytes, line);
    }
}

static void assert_same_body(const struct capture *one, const struct capture *other)
{
    char lines[2][1024];
    assert_true(capture_line(one, "task=", " name=\"listener\" ", lines[0]));
    assert_true(capture_line(other, "task=", " name=\"listener\" ", lines[1]));
    assert_string_equal(strstr(lines[0], " body="), strstr(lines[1], " body="));
}

static void check_tale(const struct tale *tale)
{
    char gate[64];
    char over[64];
    name_future(gate, tale->gate);
    name_future(over, tale->over);
    assert_task(&tale->running, "listener", "state=running timeouts=0");
    assert_stack(&tale->running, INNER_STACK);
    assert_task(&tale->inside, "listener", "state=parked waits=future cancel=no timeouts=1");
    assert_non_null(strstr(tale->inside.text, gate));
    assert_stack(&tale->inside, INNER_STACK);
    assert_in_range(task_number(&tale->inside, "listener", "timeout"), 500000, 600000);
    assert_in_range(task_number(&tale->inside, "listener", "stack"), INNER_FRAME, INNER_STACK);
    assert_in_range(task_number(&tale->inside, "listener", "high"), INNER_FRAME, INNER_STACK);
    assert_task(&tale->outside, "listener", "state=parked waits=future cancel=no timeouts=0");
    assert_non_null(strstr(tale->outside.text, over));
    assert_stack(&tale->outside, TASK_STACK);
    assert_same_body(&tale->inside, &tale->outside);
    assert_null(strstr(tale->inside.text, "generator")); /* its bodies are no tasks */
    assert_non_null(strstr(tale->inside.text, "\ntasks=2 "));
}

static void test_dump_of_a_task_in_a_generator_shows_the_wait_and_stack_there(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct tale tale = {.gate = NULL};
        const struct whorl_options options = {
            .loops = loops, .no_pin = 1, .report_ns = WHORL_NEVER};
        assert_int_equal(whorl_run(tell_tale, &tale, &options), 0);
        check_tale(&tale);
        capture_drop(&tale.running);
        capture_drop(&tale.inside);
        capture_drop(&tale.outside);
    }
}

/* ---- while everything moves ---- */

#define CHURN_DUMPS 60

struct churn {
    uint32_t stop; /* A */
    uint32_t bad;  /* A */
};

static int short_life(void *arg)
{
    (void)arg;
    (void)whorl_yield();
    return whorl_sleep(20 * WHORL_MICROSECOND);
}

/* Tasks come and go, are gathered, timed out and cancelled, until the looker has seen enough. */
static int churn(void *arg)
{
    struct churn *const churn = arg;
    const struct whorl_attr named = {.name = "named"};
    while (whorl__load_acquire_u32(&churn->stop) == 0) { /* acquire, pairs mark */
        struct whorl_task *tasks[6];
        for (int i = 0; i < 6; i++) {
            must(whorl_spawn(short_life, NULL, i % 2 == 0 ? &named : NULL, &tasks[i]));
        }
        (void)whorl_cancel(tasks[5], "churn");
        (void)whorl_wait_for(tasks[4], 10 * WHORL_MICROSECOND, NULL);
        (void)whorl_gather(tasks, 6, WHORL_GATHER_RETURN_EXCEPTIONS, NULL);
        for (int i = 0; i < 6; i++) {
            whorl_task_unref(tasks[i]);
        }
    }
    return 0;
}

/* Whole lines, each with what a line of its kind must have. */
static bool is_well_formed(const struct capture *capture)
{
    char line[1024];
    bool ends = capture->bytes > 0 && capture->text[capture->bytes - 1] == '\n';
    for (const char *at = capture->text; *at != '\0'; at += strcspn(at, "\n"), at += *at != '\0') {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        const bool task = strncmp(line, "task=", 5) == 0;
        ends &= !task || (strstr(line, " state=") != NULL && strstr(line, " body=") != NULL &&
                          strstr(line, " age=") != NULL && strstr(line, " refs=") != NULL);
    }
    return ends && strstr(capture->text, "\ntasks=") != NULL;
}

static void *look_again_and_again(void *arg)
{
    struct churn *const churn = arg;
    for (int i = 0; i < CHURN_DUMPS; i++) {
        struct capture capture = capture_dump();
        if (!is_well_formed(&capture)) {
            mark(&churn->bad);
        }
        capture_drop(&capture);
    }
    mark(&churn->stop);
    return NULL;
}

static int churn_and_look(void *arg)
{
    struct whorl_task *tasks[4];
    pthread_t thread;
    must(pthread_create(&thread, NULL, look_again_and_again, arg));
    for (int i = 0; i < 4; i++) {
        tasks[i] = start(churn, arg);
    }
    for (int i = 0; i < 4; i++) {
        must(finish(tasks[i]));
    }
    must(pthread_join(thread, NULL));
    return 0;
}

static void test_ins_13_dump_while_tasks_come_and_go_is_whole(void **state)
{
    (void)state;
    for (int loops = 1; loops <= LOOPS_MOST; loops *= 2) {
        struct churn churn_state = {.stop = 0};
        assert_int_equal(play(loops, churn_and_look, &churn_state), 0);
        assert_int_equal(churn_state.bad, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump_first_line_says_version_time_and_process),
        cmocka_unit_test(test_dump_tells_of_each_task_what_it_does_and_waits_for),
        cmocka_unit_test(test_ins_10_dump_needs_no_loop_and_no_lock),
        cmocka_unit_test(test_dump_from_a_task_shows_it_running_and_keeps_errno),
        cmocka_unit_test(test_dump_allocates_nothing),
        cmocka_unit_test(test_dump_reports_why_it_could_not_write),
        cmocka_unit_test(test_dump_shows_all_runtimes_oldest_first),
        cmocka_unit_test(test_dump_in_a_child_of_fork_shows_no_runtime_of_its_parent),
        cmocka_unit_test(test_dump_of_a_task_in_a_generator_shows_the_wait_and_stack_there),
        cmocka_unit_test(test_ins_13_dump_while_tasks_come_and_go_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
