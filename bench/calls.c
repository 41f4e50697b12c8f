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
 */
#include "support/measure.h"
#include "whorl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

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

static const struct {
    const char *name;
    void (*run)(void);
} rounds[] = {{"spawn", spawn}, {"yield", yield}, {"lock", lock},
              {"queue", queue}, {"switch", hand}, {"io", io}};

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
