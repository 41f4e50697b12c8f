/*
 * calls.c - the same call, so many times: for who counts instructions.
 *
 * Question:    how many instructions does one round of a call take? Run it under callgrind with two
 *              counts; the difference, by the difference of the counts, is that of one round.
 * Good answer: none of its own. bench/sweep asks it while it varies a constant of the runtime.
 *
 *   calls ROUND COUNT LOOPS
 *
 *   spawn   spawn a task that does nothing, and await it
 *   yield   two tasks give way, once each
 *   lock    acquire a free lock, and release it
 *   queue   put into a queue with room, and get
 *   switch  two tasks hand an item to each other, through queues of one
 *   io      write a byte to a socket, and read it at the other end
 *   fan     one of 1000 tasks that are spawned, and then awaited
 *   context the same in a context that is given
 *   cancel  one of 1000 tasks that sleep, is asked to end, and awaited
 */
#include "support/measure.h"
#include "whorl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MANY 1000 /* divides the counts */

static long count;

static void check(int error)
{
    if (error != 0) {
        bench_die("a call failed: %s", strerror(-error));
    }
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void spawn(void)
{
    for (long i = 0; i < count; i++) {
        struct whorl_task *task = NULL;
        check(whorl_spawn(do_nothing, NULL, NULL, &task));
        check(whorl_await(task, NULL));
        whorl_task_unref(task);
    }
}

/* body beside the calling task, until both are done. */
static void beside(whorl_body *body)
{
    struct whorl_task *task = NULL;
    check(whorl_spawn(body, NULL, NULL, &task));
    (void)body(&count);
    check(whorl_await(task, NULL));
    whorl_task_unref(task);
}

static int give_way(void *arg)
{
    (void)arg;
    for (long i = 0; i < count; i++) {
        check(whorl_yield());
    }
    return 0;
}

static void yield(void)
{
    beside(give_way);
}

static void lock(void)
{
    static struct whorl_lock one = WHORL_LOCK_INIT;
    for (long i = 0; i < count; i++) {
        check(whorl_lock_acquire(&one));
        check(whorl_lock_release(&one));
    }
}

static void queue(void)
{
    static struct whorl_queue one = WHORL_QUEUE_INIT(4);
    void *item;
    for (long i = 0; i < count; i++) {
        check(whorl_queue_put(&one, NULL));
        check(whorl_queue_get(&one, &item));
    }
}

static struct whorl_queue there = WHORL_QUEUE_INIT(1);
static struct whorl_queue back = WHORL_QUEUE_INIT(1);

/* arg: NULL in the one who answers. */
static int hand_over(void *arg)
{
    void *item;
    for (long i = 0; i < count; i++) {
        if (arg != NULL) {
            check(whorl_queue_put(&there, arg));
        }
        check(whorl_queue_get(arg != NULL ? &back : &there, &item));
        if (arg == NULL) {
            check(whorl_queue_put(&back, item));
        }
    }
    return 0;
}

static void hand(void)
{
    beside(hand_over);
}

static void io(void)
{
    char byte = 'x';
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
        bench_die("socketpair: %s", strerror(errno));
    }
    check(whorl_fd_adopt(fds[0]));
    check(whorl_fd_adopt(fds[1]));
    for (long i = 0; i < count; i++) {
        if (whorl_write(fds[1], &byte, 1) != 1 || whorl_read(fds[0], &byte, 1) != 1) {
            bench_die("a byte was lost");
        }
    }
    (void)whorl_close(fds[0]);
    (void)whorl_close(fds[1]);
}

/* ask: they sleep, and are cancelled. */
static void run_many(whorl_body *body, const struct whorl_attr *attr, bool ask)
{
    static struct whorl_task *tasks[MANY];
    for (long done = 0; done < count; done += MANY) {
        for (int i = 0; i < MANY; i++) {
            check(whorl_spawn(body, NULL, attr, &tasks[i]));
        }
        if (ask) {
            check(whorl_yield()); /* they sleep by then */
        }
        for (int i = 0; ask && i < MANY; i++) {
            (void)whorl_cancel(tasks[i], "enough");
        }
        for (int i = 0; i < MANY; i++) {
            const int error = whorl_await(tasks[i], NULL);
            check(ask && error == -ECANCELED ? 0 : error);
            whorl_task_unref(tasks[i]);
        }
    }
}

static void fan(void)
{
    run_many(do_nothing, NULL, false);
}

static void context(void)
{
    struct whorl_attr attr = {.name = NULL};
    check(whorl_context_new(&attr.context));
    run_many(do_nothing, &attr, false);
    whorl_context_unref(attr.context);
}

static int sleep_long(void *arg)
{
    (void)arg;
    return whorl_sleep(WHORL_SECOND * 1000);
}

static void cancel(void)
{
    run_many(sleep_long, NULL, true);
}

static const struct {
    const char *name;
    void (*run)(void);
} rounds[] = {{"spawn", spawn}, {"yield", yield},     {"lock", lock},
              {"queue", queue}, {"switch", hand},     {"io", io},
              {"fan", fan},     {"context", context}, {"cancel", cancel}};

static int run_rounds(void *arg)
{
    for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
        if (strcmp(arg, rounds[i].name) == 0) {
            rounds[i].run();
            return 0;
        }
    }
    bench_die("there is no round %s", (const char *)arg);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        bench_die("usage: calls ROUND COUNT LOOPS");
    }
    count = bench_parse_count("COUNT", argv[2], INT64_C(1) << 30);
    const struct whorl_options options = {
        .loops = (int)bench_parse_count("LOOPS", argv[3], WHORL_LOOPS_MAX),
        .stall_ns = WHORL_NEVER};
    check(whorl_run(run_rounds, argv[1], &options));
    return 0;
}
