/*
 * program_stalls.c - tasks that hold their loop, beside tasks that want to be served.
 *
 * Pairs of tasks exchange messages over sockets and sleep for short times, while others compute or
 * block for longer than a loop may. With another loop to help nobody waits for a stall to end; in
 * any case all that was sent arrives, in order, once. Pinned tasks are called by others meanwhile,
 * also when their loop has just come back.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define PAIRS_MAX  6
#define STALLS_MAX 6
#define MESSAGES   12
#define LISTENERS  3
#define CALLS      24

static struct {
    int fds[PAIRS_MAX][2];
    unsigned pairs;
    unsigned told[2 * PAIRS_MAX];
    struct listener {
        struct whorl_future *calls[CALLS];
        unsigned heard;
    } listeners[LISTENERS];
} world;

static int hold_the_loop(void *arg)
{
    (void)arg;
    const unsigned times = 1 + draw(3);
    for (unsigned i = 0; i < times; i++) {
        /* half of them end about when the loop is found stuck: then all happens at once */
        const int64_t for_ns = draw(2) == 0 ? draw(30) * WHORL_MILLISECOND
                                            : 1500 * WHORL_MICROSECOND +
                                                  draw(3000) * WHORL_MICROSECOND;
        const bool says = draw(3) == 0;
        expect(!says || whorl_blocking_begin("hold") == 0);
        expect((draw(2) == 0 ? whorl_sim_stall(for_ns) : whorl_sim_block(for_ns)) == 0);
        expect(!says || whorl_blocking_end() == 0);
        dawdle();
    }
    return 0;
}

static int read_one(int fd, unsigned char *ret_byte)
{
    ssize_t got;
    do {
        got = draw(4) == 0
                  ? whorl_read_until(fd, ret_byte, 1, whorl_after(draw(900) * WHORL_MICROSECOND))
                  : whorl_read(fd, ret_byte, 1);
    } while (got == -ETIMEDOUT || got == -ENOMEM);
    return (int)got;
}

static int write_one(int fd, unsigned char byte)
{
    ssize_t put;
    do {
        put = whorl_write(fd, &byte, 1);
    } while (put == -ENOBUFS || put == -ENOMEM);
    return (int)put;
}

/* The even one begins; each answers with one more. */
static int converse(void *arg)
{
    const unsigned who = (unsigned)(uintptr_t)arg;
    const int fd = world.fds[who / 2][who % 2];
    unsigned char said = 0;
    if (who % 2 == 0) {
        expect(write_one(fd, 1) == 1);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        expect(read_one(fd, &said) == 1);
        expect(said == 2 * i + (who % 2 == 0 ? 2 : 1));
        world.told[who]++;
        dawdle();
        if (who % 2 != 0 || i + 1 < MESSAGES) {
            expect(write_one(fd, (unsigned char)(said + 1)) == 1);
        }
    }
    expect(whorl_close(fd) == 0);
    return 0;
}

/* ---- pinned tasks that others wake, through the inbox of their loop ---- */

static int listen_to_calls(void *arg)
{
    struct listener *const listener = arg;
    for (unsigned i = 0; i < CALLS; i++) {
        expect(whorl_future_join(listener->calls[i], WHORL_NEVER, NULL) == 0);
        listener->heard++;
    }
    return 0;
}

static int call_one(void *arg)
{
    struct listener *const listener = arg;
    for (unsigned i = 0; i < CALLS; i++) {
        expect(whorl_sleep(draw(1200) * WHORL_MICROSECOND) == 0);
        expect(whorl_future_set_result(listener->calls[i], NULL) == 0);
    }
    return 0;
}

static unsigned start_listeners(struct whorl_task **tasks)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LISTENERS; i++) {
        struct listener *const listener = &world.listeners[i];
        const struct whorl_attr pinned = {.pin = WHORL_PIN((int)i % whorl_loop_count())};
        for (unsigned k = 0; k < CALLS; k++) {
            expect(whorl_future_new(&listener->calls[k]) == 0);
        }
        tasks[count++] = spawn_surely(listen_to_calls, listener, &pinned);
        tasks[count++] = spawn_surely(call_one, listener, NULL);
    }
    return count;
}

static void end_listeners(void)
{
    for (unsigned i = 0; i < LISTENERS; i++) {
        expect(world.listeners[i].heard == CALLS);
        for (unsigned k = 0; k < CALLS; k++) {
            whorl_future_unref(world.listeners[i].calls[k]);
        }
    }
}

static void open_pair(int fds[2])
{
    int error;
    do {
        error = whorl_sim_pair(fds);
        expect(error == 0 || bad_luck(error));
    } while (error != 0);
    for (unsigned i = 0; i < 2; i++) {
        do {
            error = whorl_fd_adopt(fds[i]);
            expect(error == 0 || error == -ENOMEM);
        } while (error != 0);
    }
}

static int main_task(void *arg)
{
    struct whorl_task *tasks[2 * PAIRS_MAX + STALLS_MAX + 2 * LISTENERS];
    unsigned count = 0;
    (void)arg;
    memset(&world, 0, sizeof world);
    world.pairs = 1 + draw(PAIRS_MAX);
    const unsigned stalls = 1 + draw(STALLS_MAX);
    for (unsigned i = 0; i < world.pairs; i++) {
        open_pair(world.fds[i]);
        const struct whorl_attr pinned = {.pin = WHORL_PIN((int)i % whorl_loop_count())};
        tasks[count++] = spawn_surely(converse, (void *)(uintptr_t)(2 * i), NULL);
        tasks[count++] = spawn_surely(converse, (void *)(uintptr_t)(2 * i + 1),
                                      draw(3) == 0 ? &pinned : NULL);
    }
    count += start_listeners(&tasks[count]);
    for (unsigned i = 0; i < stalls; i++) {
        dawdle();
        tasks[count++] = spawn_surely(hold_the_loop, NULL, NULL);
    }
    for (unsigned i = 0; i < count; i++) {
        expect(whorl_await(tasks[i], NULL) == 0);
        whorl_task_unref(tasks[i]);
    }
    end_listeners();
    for (unsigned i = 0; i < 2 * world.pairs; i++) {
        expect(world.told[i] == MESSAGES);
    }
    return 0;
}

const struct program program_stalls = {
    .name = "stalls",
    .body = main_task,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
};
