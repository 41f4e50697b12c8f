/*
 * program_shutdown.c - the main task returns at a random moment, and all others are cancelled in
 * whatever they are in. They give back what they hold, and the run is examined for what is left.
 */
#include "sim/program.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define TASKS_MAX 30

static struct {
    unsigned begun;
    unsigned ended;
    int listener;
    int port;
} world;

static bool was_ended(int error)
{
    return error >= 0 || bad_luck(error);
}

static int sleeper(void)
{
    return whorl_sleep(draw(2) == 0 ? WHORL_SECOND : draw(3000) * WHORL_MICROSECOND);
}

static int waiter(void)
{
    struct whorl_future *future;
    int error = whorl_future_new(&future);
    if (error == 0) {
        error = whorl_future_await(future, NULL);
        whorl_future_unref(future);
    }
    return error;
}

static int acceptor(void)
{
    const int64_t deadline_ns = whorl_after(WHORL_SECOND);
    const int fd = whorl_accept_until(world.listener, deadline_ns);
    if (fd >= 0) {
        char byte;
        const ssize_t got = whorl_read(fd, &byte, 1);
        expect(was_ended((int)got));
        expect(whorl_close(fd) == 0);
    }
    return fd < 0 ? fd : 0;
}

static int connector(void)
{
    const int fd = whorl_tcp_connect("127.0.0.1", world.port);
    if (fd >= 0) {
        const int ready = whorl_fd_wait(fd, POLLIN);
        expect(was_ended(ready));
        expect(whorl_close(fd) == 0);
    }
    return fd < 0 ? fd : 0;
}

static int yielder(void)
{
    int error = 0;
    for (unsigned i = 0; error == 0 && i < 200; i++) {
        error = whorl_yield();
    }
    return error;
}

static int member(void *arg);

static int parent(void)
{
    struct whorl_task *child = NULL;
    const int error = whorl_spawn(member, NULL, NULL, &child);
    if (error != 0) {
        return error;
    }
    const int result = draw(2) == 0 ? whorl_await(child, NULL)
                                    : whorl_join(child, whorl_after(WHORL_SECOND), NULL);
    whorl_task_unref(child);
    return result;
}

/* Answers the cancel only after another wait, as a task does that cleans up. */
static int reluctant(void)
{
    const int error = whorl_sleep(WHORL_SECOND);
    const int cleaned = whorl_sleep(draw(500) * WHORL_MICROSECOND);
    expect(was_ended(cleaned));
    return error;
}

static int member(void *arg)
{
    static int (*const kinds[])(void) = {sleeper, waiter,  acceptor, connector,
                                         yielder, parent,  parent,   reluctant};
    (void)arg;
    world.begun++;
    /* the cancel comes once: who drops it here would wait for ever below */
    const int late = dawdle();
    const int error =
        late == -ECANCELED ? late : kinds[draw(sizeof kinds / sizeof kinds[0])]();
    expect(was_ended(error));
    world.ended++;
    return error;
}

static int listen_surely(void)
{
    int fd;
    do {
        fd = whorl_tcp_listen("127.0.0.1", 0, 4, 0);
        expect(fd >= 0 || bad_luck(fd));
    } while (fd < 0);
    return fd;
}

static int main_task(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    world.listener = listen_surely();
    world.port = whorl_socket_port(world.listener);
    const unsigned count = 1 + draw(TASKS_MAX);
    for (unsigned i = 0; i < count; i++) {
        whorl_task_unref(spawn_surely(member, NULL, NULL));
    }
    if (draw(3) != 0) {
        const int slept = whorl_sleep(draw(4000) * WHORL_MICROSECOND);
        expect(slept == 0 || slept == -ENOMEM);
    }
    const int listener = world.listener;
    world.listener = -1; /* its number comes back as somebody else's */
    expect(whorl_close(listener) == 0); /* under those who accept from it */
    return 0;
}

static int check_after(void)
{
    return world.begun == world.ended ? 0 : -EPROTO;
}

const struct program program_shutdown = {
    .name = "shutdown", .body = main_task, .faults = ALL_FAULTS, .after = check_after};
