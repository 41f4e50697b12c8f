/*
 * waits.c - how long does who waits wait, where a constant of the runtime bounds it?
 *
 * Question:    how long is a socket, a timer, a task from a thread ... left waiting by loops that
 *              have to do, and how many calls into the system does that take?
 * Good answer: none of its own. bench/sweep asks it while it varies a constant of the runtime.
 *
 *   waits WHAT LOOPS
 *
 *   socket        a byte that a thread sends, until its reader goes on
 *   short         the same
 *   timer         the end of a sleep, until the sleeper goes on
 *   thread        a task that a thread spawns, until it begins
 *   beside-chain  a pinned task that yields, until its next turn; two wake each other all the time
 *   beside-lock   the same; one acquires a free lock, computes 1 us and releases it; 2 loops
 *   beside-io     the same; one reads a byte, of which there always are, and computes 1 us
 *   stuck         a byte as above; a task computes for 20 ms, and sleeps for 10
 *   quiet         a sleep of 200 ms, in a runtime with nothing else to do
 *   echo          an answer, as 16 clients see it; the servers compute 50 us, and began on one loop
 *   ready         500 bytes that are sent at once, until their readers go on; once for all of them
 *   accept        a server without descriptors, from when there is one until it has a connection
 *   unix          a client of a Unix listener, from when it has room until the client is connected
 *   stacks        the memory of 6000 stacks, from when their tasks end until it is given back
 *
 * In the first four, and in the last, four tasks a loop compute 5 us and yield, for ever; in short
 * they only read the clock. What is printed: how long, on average and at most; and the calls into
 * the system of all threads together.
 *
 * All is played (whorl/sim.h): time passes as fast as the constants and the lengths above say, no
 * matter what machine it is, and a figure is the same each time. A call into the system takes 16 to
 * 64 ns; a thread that was woken goes on 0.5 to 4.5 us later, and so does one that has computed;
 * what is sent arrives after 1 us.
 */
#include "support/measure.h"
#include "whorl.h"
#include "whorl/sim.h"

#include "sched/sched.h"
#include "sys/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SEEDS       4
#define ROUNDS      200
#define BUSY_EACH   4
#define BUSY_NS     (5 * WHORL_MICROSECOND)
#define CLIENTS     16
#define READERS     500
#define STACKS      6000
#define DESCRIPTORS 1500
#define SHORT_OF    64 /* descriptors, where there are to be too few */
#define UNIX_PATH   "@whorl-bench-waits"
#define LONGEST_NS  (600 * WHORL_SECOND)

static struct {
    unsigned loops;
    bool over;
    unsigned busy_count;
    struct whorl_task *busy[BUSY_EACH * WHORL_LOOPS_MAX];
    int64_t begun_ns[ROUNDS];
    struct whorl_event accepted;
    int64_t sum_ns; /* over all seeds, as the rest */
    int64_t most_ns;
    unsigned waits;
    unsigned rounds;
    uint64_t steps;
    struct whorl_stats stats;
} world;

static void check(int error)
{
    if (error != 0) {
        bench_die("a call failed: %s", strerror(-error));
    }
}

static void sample(int64_t wait_ns)
{
    world.sum_ns += wait_ns;
    world.most_ns = wait_ns > world.most_ns ? wait_ns : world.most_ns;
    world.waits++;
}

static int64_t some_time(int64_t least_ns, int64_t most_ns)
{
    return least_ns + (int64_t)(whorl_sim_random() % (uint64_t)(most_ns - least_ns));
}

static void finish(struct whorl_task *task)
{
    check(whorl_await(task, NULL));
    whorl_task_unref(task);
}

static struct whorl_task *start(whorl_body *body, void *arg)
{
    struct whorl_task *task = NULL;
    check(whorl_spawn(body, arg, NULL, &task));
    return task;
}

static struct whorl_task *start_on(unsigned loop, whorl_body *body, void *arg)
{
    const struct whorl_attr attr = {.pin = WHORL_PIN((int)loop)};
    struct whorl_task *task = NULL;
    check(whorl_spawn(body, arg, &attr, &task));
    return task;
}

/* ---- those who are always ready ---- */

static int keep_busy(void *arg)
{
    (void)arg;
    while (!world.over) {
        check(whorl_sim_stall(BUSY_NS));
        check(whorl_yield());
    }
    return 0;
}

static int read_clock(void *arg)
{
    (void)arg;
    while (!world.over) {
        (void)whorl_now();
        check(whorl_yield());
    }
    return 0;
}

static void begin_busy(whorl_body *body)
{
    world.over = false;
    world.busy_count = BUSY_EACH * world.loops;
    for (unsigned i = 0; i < world.busy_count; i++) {
        world.busy[i] = start(body, NULL);
    }
    check(whorl_sleep(WHORL_MILLISECOND)); /* loops have shared them by then */
}

static void end_busy(void)
{
    world.over = true;
    for (unsigned i = 0; i < world.busy_count; i++) {
        finish(world.busy[i]);
    }
    world.busy_count = 0;
}

/* One on each loop who counts how long he waits for his next turn, until he has the rounds. */
static int take_turns(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        check(whorl_sim_stall(BUSY_NS));
        const int64_t begin_ns = whorl_now();
        check(whorl_yield());
        sample(whorl_now() - begin_ns);
    }
    return 0;
}

/* others(arg) on each loop beside them, until they have done. */
static void take_turns_beside(whorl_body *others)
{
    struct whorl_task *turns[WHORL_LOOPS_MAX];
    struct whorl_task *beside[WHORL_LOOPS_MAX];
    world.over = false;
    for (unsigned i = 0; i < world.loops; i++) {
        turns[i] = start_on(i, take_turns, NULL);
    }
    for (unsigned i = 0; i < world.loops; i++) {
        beside[i] = start_on(i, others, NULL);
    }
    for (unsigned i = 0; i < world.loops; i++) {
        finish(turns[i]);
    }
    world.over = true;
    for (unsigned i = 0; i < world.loops; i++) {
        finish(beside[i]);
    }
    world.rounds += ROUNDS * world.loops;
}

/* ---- bytes from a thread ---- */

static void new_pair(int ret_fds[2])
{
    check(whorl_sim_pair(ret_fds));
    check(whorl_fd_adopt(ret_fds[0]));
}

static void send_byte(int fd)
{
    if (whorl__os->write(fd, "x", 1) != 1) {
        bench_die("a byte was not sent");
    }
}

static int send_bytes(void *arg)
{
    const int fd = *(const int *)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        check(whorl_sim_block(some_time(300 * WHORL_MICROSECOND, WHORL_MILLISECOND)));
        world.begun_ns[i] = whorl_now();
        send_byte(fd);
    }
    return 0;
}

static void receive_bytes(void)
{
    struct whorl_sim_thread *sender;
    char byte;
    int fds[2];
    new_pair(fds);
    check(whorl_sim_thread_start(send_bytes, &fds[1], &sender));
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (whorl_read(fds[0], &byte, 1) != 1) {
            bench_die("a byte was lost");
        }
        sample(whorl_now() - world.begun_ns[i]);
    }
    check(whorl_sim_thread_join(sender));
    check(whorl__os->close(fds[1]));
    check(whorl_close(fds[0]));
    world.rounds += ROUNDS;
}

static void wait_for_socket(void)
{
    begin_busy(keep_busy);
    receive_bytes();
    end_busy();
}

static void wait_beside_short(void)
{
    begin_busy(read_clock);
    receive_bytes();
    end_busy();
}

static int compute_for_long(void *arg)
{
    (void)arg;
    while (!world.over) {
        check(whorl_sleep(10 * WHORL_MILLISECOND));
        check(whorl_sim_stall(20 * WHORL_MILLISECOND));
    }
    return 0;
}

static void wait_beside_stuck(void)
{
    world.over = false;
    struct whorl_task *const culprit = start(compute_for_long, NULL);
    receive_bytes();
    world.over = true;
    finish(culprit);
}

/* ---- timers, and tasks from a thread ---- */

static void wait_for_timer(void)
{
    begin_busy(keep_busy);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const int64_t due_ns = whorl_after(some_time(300 * WHORL_MICROSECOND, WHORL_MILLISECOND));
        check(whorl_sleep_until(due_ns));
        sample(whorl_now() - due_ns);
    }
    end_busy();
    world.rounds += ROUNDS;
}

static void wait_for_nothing(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        const int64_t due_ns = whorl_after(200 * WHORL_MILLISECOND);
        check(whorl_sleep_until(due_ns));
        sample(whorl_now() - due_ns);
    }
    world.rounds += ROUNDS;
}

struct spawner {
    struct whorl_task *near;
    struct whorl_future *last;
};

static int begin_late(void *arg)
{
    sample(whorl_now() - *(const int64_t *)arg);
    return 0;
}

static int spawn_from_thread(void *arg)
{
    const struct spawner *const self = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        check(whorl_sim_block(some_time(300 * WHORL_MICROSECOND, WHORL_MILLISECOND)));
        world.begun_ns[i] = whorl_now();
        check(whorl_spawn_remote(self->near, begin_late, &world.begun_ns[i], NULL, NULL));
    }
    check(whorl_sim_block(50 * WHORL_MILLISECOND));
    return whorl_future_set_result(self->last, NULL);
}

static void wait_for_thread(void)
{
    struct spawner spawner = {.near = whorl_task_current()};
    struct whorl_sim_thread *thread;
    begin_busy(keep_busy);
    check(whorl_future_new(&spawner.last));
    check(whorl_sim_thread_start(spawn_from_thread, &spawner, &thread));
    check(whorl_future_await(spawner.last, NULL));
    check(whorl_sim_thread_join(thread));
    whorl_future_unref(spawner.last);
    end_busy();
    world.rounds += ROUNDS;
}

/* ---- turns beside one who never has to wait ---- */

struct chain {
    struct whorl_queue there, back;
};

static int pass_on(void *arg)
{
    struct chain *const chain = arg;
    void *item = NULL;
    while (whorl_queue_get(&chain->there, &item) == 0) {
        check(whorl_sim_stall(BUSY_NS));
        check(whorl_queue_put(&chain->back, item));
    }
    return 0;
}

/* Free tasks: a pinned one is never woken into the hot slot. */
static int begin_chain(void *arg)
{
    struct chain *const chain = arg;
    void *item = NULL;
    struct whorl_task *const other = start(pass_on, chain);
    while (!world.over) {
        check(whorl_sim_stall(BUSY_NS));
        check(whorl_queue_put(&chain->there, item));
        check(whorl_queue_get(&chain->back, &item));
    }
    whorl_queue_shutdown(&chain->there, false);
    finish(other);
    return 0;
}

static int start_chain(void *arg)
{
    struct chain chain = {.there = WHORL_QUEUE_INIT(1), .back = WHORL_QUEUE_INIT(1)};
    (void)arg;
    finish(start(begin_chain, &chain));
    return 0;
}

static void wait_beside_chain(void)
{
    take_turns_beside(start_chain);
}

static int lock_and_compute(void *arg)
{
    struct whorl_lock lock = WHORL_LOCK_INIT;
    (void)arg;
    while (!world.over) {
        check(whorl_lock_acquire(&lock));
        check(whorl_sim_stall(WHORL_MICROSECOND));
        check(whorl_lock_release(&lock));
    }
    return 0;
}

static void wait_beside_lock(void)
{
    take_turns_beside(lock_and_compute);
}

static int read_and_compute(void *arg)
{
    static const char bytes[8192];
    int fds[2];
    unsigned left = 0;
    char byte;
    (void)arg;
    new_pair(fds);
    for (; !world.over; left--) {
        if (left == 0 && whorl__os->write(fds[1], bytes, sizeof bytes) != sizeof bytes) {
            bench_die("a socket has no room");
        }
        left = left == 0 ? sizeof bytes : left;
        if (whorl_read(fds[0], &byte, 1) != 1) {
            bench_die("a byte was lost");
        }
        check(whorl_sim_stall(WHORL_MICROSECOND));
    }
    check(whorl__os->close(fds[1]));
    return whorl_close(fds[0]);
}

static void wait_beside_io(void)
{
    take_turns_beside(read_and_compute);
}

/* ---- a server, and many readers ---- */

struct connection {
    int fds[2]; /* the server's, the client's */
    struct whorl_task *task;
    struct whorl_sim_thread *client;
};

static int answer(void *arg)
{
    const struct connection *const self = arg;
    char byte;
    while (whorl_read(self->fds[0], &byte, 1) == 1) {
        check(whorl_sim_stall(10 * BUSY_NS));
        if (whorl_write(self->fds[0], &byte, 1) != 1) {
            bench_die("an answer was lost");
        }
    }
    return whorl_close(self->fds[0]);
}

static int ask(void *arg)
{
    const struct connection *const self = arg;
    char byte;
    for (unsigned i = 0; i < ROUNDS; i++) {
        check(whorl_sim_block(some_time(WHORL_MICROSECOND, WHORL_MILLISECOND)));
        const int64_t begin_ns = whorl_now();
        send_byte(self->fds[1]);
        while (whorl__os->read(self->fds[1], &byte, 1) != 1) {
            check(whorl_sim_block(BUSY_NS));
        }
        sample(whorl_now() - begin_ns);
    }
    return whorl__os->close(self->fds[1]);
}

static void wait_for_answer(void)
{
    struct connection connections[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct connection *const connection = &connections[i];
        new_pair(connection->fds);
        connection->task = start(answer, connection);
        check(whorl_sim_thread_start(ask, connection, &connection->client));
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        finish(connections[i].task);
        check(whorl_sim_thread_join(connections[i].client));
    }
    world.rounds += CLIENTS * ROUNDS;
}

static int read_once(void *arg)
{
    const struct connection *const self = arg;
    char byte;
    if (whorl_read(self->fds[0], &byte, 1) != 1) {
        bench_die("a byte was lost");
    }
    sample(whorl_now() - world.begun_ns[0]);
    return 0;
}

static int send_to_all(void *arg)
{
    const struct connection *const all = arg;
    check(whorl_sim_block(WHORL_MILLISECOND));
    world.begun_ns[0] = whorl_now();
    for (unsigned i = 0; i < READERS; i++) {
        send_byte(all[i].fds[1]);
    }
    return 0;
}

static void wait_for_many(void)
{
    static struct connection all[READERS];
    struct whorl_sim_thread *sender;
    for (unsigned i = 0; i < READERS; i++) {
        new_pair(all[i].fds);
    }
    for (unsigned round = 0; round < ROUNDS / 10; round++) {
        for (unsigned i = 0; i < READERS; i++) {
            all[i].task = start(read_once, &all[i]);
        }
        check(whorl_sim_thread_start(send_to_all, all, &sender));
        for (unsigned i = 0; i < READERS; i++) {
            finish(all[i].task);
        }
        check(whorl_sim_thread_join(sender));
        world.rounds++;
    }
    for (unsigned i = 0; i < READERS; i++) {
        check(whorl__os->close(all[i].fds[1]));
        check(whorl_close(all[i].fds[0]));
    }
}

/* ---- pauses ---- */

static int accept_each(void *arg)
{
    const int listener = *(const int *)arg;
    int fd;
    while ((fd = whorl_accept(listener)) >= 0) {
        sample(whorl_now() - world.begun_ns[0]);
        check(whorl_close(fd));
        world.rounds++;
        whorl_event_set(&world.accepted);
    }
    return 0;
}

/* One of the few is left, for the client; the server has none until another one is free. */
static void connect_without(int port, int *hoard, unsigned count)
{
    const int client = whorl_tcp_connect("127.0.0.1", port);
    check(client < 0 ? client : 0);
    check(whorl_sleep(some_time(20 * WHORL_MILLISECOND, 120 * WHORL_MILLISECOND)));
    check(whorl__os->close(hoard[count - 1]));
    world.begun_ns[0] = whorl_now();
    check(whorl_event_wait(&world.accepted));
    whorl_event_clear(&world.accepted);
    check(whorl_close(client));
    hoard[count - 1] = whorl__os->socket(AF_INET, SOCK_STREAM, 0);
}

static void wait_for_descriptor(void)
{
    int listener = whorl_tcp_listen("127.0.0.1", 0, 16, 0);
    int hoard[SHORT_OF];
    unsigned count = 0;
    check(listener < 0 ? listener : 0);
    struct whorl_task *const server = start(accept_each, &listener);
    while (count < SHORT_OF && (hoard[count] = whorl__os->socket(AF_INET, SOCK_STREAM, 0)) >= 0) {
        count++;
    }
    check(whorl__os->close(hoard[--count]));
    for (unsigned round = 0; round < ROUNDS; round++) {
        connect_without(whorl_socket_port(listener), hoard, count);
    }
    while (count > 0) {
        check(whorl__os->close(hoard[--count]));
    }
    check(whorl_close(listener));
    (void)whorl_await(server, NULL);
    whorl_task_unref(server);
}

/* The first two find room. */
static int connect_each(void *arg)
{
    int *const fds = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        fds[i] = whorl_unix_connect(UNIX_PATH);
        check(fds[i] < 0 ? fds[i] : 0);
        if (i >= 2) {
            sample(whorl_now() - world.begun_ns[0]);
            world.rounds++;
        }
    }
    return 0;
}

static void wait_for_room(void)
{
    static int fds[ROUNDS];
    const int listener = whorl_unix_listen(UNIX_PATH, 1);
    check(listener < 0 ? listener : 0);
    struct whorl_task *const client = start(connect_each, fds);
    for (unsigned i = 0; i < ROUNDS; i++) {
        check(whorl_sleep(some_time(5 * WHORL_MILLISECOND, 10 * WHORL_MILLISECOND)));
        world.begun_ns[0] = whorl_now();
        const int fd = whorl_accept(listener);
        check(fd < 0 ? fd : whorl_close(fd));
    }
    finish(client);
    for (unsigned i = 0; i < ROUNDS; i++) {
        check(whorl_close(fds[i]));
    }
    check(whorl_close(listener));
}

static int wait_on(void *arg)
{
    return whorl_future_await(arg, NULL);
}

static size_t used_stacks(void)
{
    struct whorl__stacks_info info;
    whorl__stacks_info(whorl__loop_current()->runtime->stacks, &info);
    return info.used;
}

static void wait_for_memory(void)
{
    static struct whorl_task *tasks[STACKS];
    struct whorl_future *gate;
    begin_busy(keep_busy);
    check(whorl_future_new(&gate));
    for (unsigned i = 0; i < STACKS; i++) {
        tasks[i] = start(wait_on, gate);
    }
    check(whorl_sleep(100 * WHORL_MILLISECOND));
    const int64_t begin_ns = whorl_now();
    check(whorl_future_set_result(gate, NULL));
    for (unsigned i = 0; i < STACKS; i++) {
        finish(tasks[i]);
    }
    while (used_stacks() > 0) {
        check(whorl_sleep(20 * BUSY_NS));
    }
    sample(whorl_now() - begin_ns);
    whorl_future_unref(gate);
    end_busy();
    world.rounds++;
}

/* ---- what there is ---- */

static const struct wait {
    const char *name;
    void (*run)(void);
    int descriptors_max; /* 0: plenty */
} waits[] = {
    {"socket", wait_for_socket, 0},
    {"short", wait_beside_short, 0},
    {"timer", wait_for_timer, 0},
    {"thread", wait_for_thread, 0},
    {"beside-chain", wait_beside_chain, 0},
    {"beside-lock", wait_beside_lock, 0},
    {"beside-io", wait_beside_io, 0},
    {"stuck", wait_beside_stuck, 0},
    {"quiet", wait_for_nothing, 0},
    {"echo", wait_for_answer, 0},
    {"ready", wait_for_many, 0},
    {"unix", wait_for_room, 0},
    {"accept", wait_for_descriptor, SHORT_OF},
    {"stacks", wait_for_memory, 0},
};

static const struct wait *find(const char *name)
{
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        if (strcmp(name, waits[i].name) == 0) {
            return &waits[i];
        }
    }
    bench_die("there is no wait %s", name);
}

static void add_stats(const struct whorl_stats *before)
{
    struct whorl_stats now;
    check(whorl_stats(-1, &now));
    world.stats.polls += now.polls - before->polls;
    world.stats.wakes += now.wakes - before->wakes;
    world.stats.moves += now.moves - before->moves;
    world.stats.stalls += now.stalls - before->stalls;
}

static int run_wait(void *arg)
{
    const struct wait *const wait = arg;
    struct whorl_stats before;
    check(whorl_stats(-1, &before));
    wait->run();
    add_stats(&before);
    return 0;
}

static void drop_line(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static double each(uint64_t count)
{
    return (double)count / world.rounds;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        bench_die("usage: waits WHAT LOOPS");
    }
    const struct wait *const wait = find(argv[1]);
    struct whorl_sim_report report;
    struct whorl_sim_options options = {
        .runtime = {.loops = (int)bench_parse_count("LOOPS", argv[2], WHORL_LOOPS_MAX),
                    .log = drop_line},
        .latency_ns = 1,
        .descriptors_max = wait->descriptors_max > 0 ? wait->descriptors_max : DESCRIPTORS,
        .steps_max = UINT64_C(1) << 32,
        .ns_max = LONGEST_NS,
        .report = &report};
    world.loops = (unsigned)options.runtime.loops;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        check(whorl_sim_run(seed, &options, run_wait, (void *)(uintptr_t)wait));
        world.steps += report.steps;
    }
    printf("%s: %.1f us, %.1f at most; each time %.1f calls, %.2f polls, %.2f wakes, %.3f moves, "
           "%.3f stalls\n",
           wait->name, (double)world.sum_ns / world.waits / 1000, (double)world.most_ns / 1000,
           each(world.steps), each(world.stats.polls), each(world.stats.wakes),
           each(world.stats.moves), each(world.stats.stalls));
    return 0;
}
