/*
 * program_echo.c - a server that sends back what it gets, and clients who check what they get.
 *
 * Clients send a pattern that tells whose it is and where it stands; some leave in the middle, some
 * drop the connection, some are too slow for their own deadline. What comes back must be the
 * beginning of what was sent: no byte lost between two others, none twice, none of a stranger.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CLIENTS_MAX 24
#define BYTES_MAX   3000

/* More than the connections of a run: a client makes one. */
#define UNSERVED_MAX (2 * CLIENTS_MAX)

static struct {
    int listener;
    int port;
    bool hungry; /* there may be no memory for a task's stack: nobody may rely on one */
    unsigned clients;
    unsigned served;
    unsigned serving;
    int unserved[UNSERVED_MAX]; /* descriptors of tasks that have not begun; 0: none */
    unsigned client_ends;
    struct whorl_task *tasks[CLIENTS_MAX];
} world;

static unsigned char pattern(unsigned client, size_t at)
{
    return (unsigned char)(client * 31 + at * 7 + at / 251);
}

/* ---- the server ---- */

static int serve_one(void *arg)
{
    int *const unserved = arg;
    const int fd = *unserved;
    unsigned char bytes[1024];
    ssize_t got;
    *unserved = 0;
    while ((got = whorl_read(fd, bytes, 1 + draw(sizeof bytes))) > 0) {
        const ssize_t put = whorl_write(fd, bytes, (size_t)got);
        if (put != got) {
            expect(put >= 0 || bad_luck((int)put));
            break;
        }
    }
    expect(got >= 0 || bad_luck((int)got));
    expect(whorl_close(fd) == 0);
    world.served++;
    return 0;
}

static void end_of_serving(void *arg)
{
    (void)arg;
    world.serving--;
}

static int serve(void *arg)
{
    const struct whorl_attr ends = {.arg_free = end_of_serving};
    int fd;
    (void)arg;
    while ((fd = whorl_accept(world.listener)) != -ECANCELED) {
        if (fd < 0) {
            expect(bad_luck(fd));
            continue;
        }
        unsigned place = 0;
        while (world.unserved[place] != 0) {
            place++;
        }
        world.unserved[place] = fd;
        world.serving++;
        whorl_task_unref(spawn_surely(serve_one, &world.unserved[place], &ends));
    }
    return 0;
}

/* ---- a client: one task writes, the other reads, or both would wait for room ---- */

struct client {
    unsigned number;
    int fd;
    bool patient; /* waits for all of it, as long as it takes: what is lost is missed for ever */
    size_t planned;
    size_t sent;
    size_t got;
};

/* A patient reader waits for the server's end, which comes after this one. */
static int finish_sending(struct client *client)
{
    const bool tells = client->patient || draw(2) == 0;
    const int error = tells ? whorl_shutdown(client->fd, SHUT_WR) : 0;
    expect(error == 0 || bad_luck(error));
    return 0;
}

static int send_all(void *arg)
{
    struct client *const client = arg;
    unsigned char bytes[BYTES_MAX];
    while (client->sent < client->planned) {
        const size_t left = client->planned - client->sent;
        const size_t count = 1 + draw(left < BYTES_MAX ? (unsigned)left : BYTES_MAX);
        for (size_t i = 0; i < count; i++) {
            bytes[i] = pattern(client->number, client->sent + i);
        }
        const ssize_t put = whorl_write(client->fd, bytes, count);
        if (put != (ssize_t)count) {
            expect(put >= 0 || bad_luck((int)put));
            return finish_sending(client);
        }
        client->sent += count;
        if (dawdle() == -ECANCELED) {
            return -ECANCELED;
        }
    }
    return finish_sending(client);
}

static void read_back(struct client *client, size_t until)
{
    unsigned char bytes[700];
    while (client->got < until) {
        const int64_t patience_ns = draw(8) == 0 ? WHORL_MILLISECOND : WHORL_SECOND;
        const int64_t deadline_ns = client->patient ? WHORL_NEVER : whorl_after(patience_ns);
        const size_t count_max = 1 + draw(sizeof bytes);
        const ssize_t count = whorl_read_until(client->fd, bytes, count_max, deadline_ns);
        if (count <= 0) {
            expect(count == 0 || bad_luck((int)count));
            return;
        }
        for (ssize_t i = 0; i < count; i++) {
            expect(bytes[i] == pattern(client->number, client->got + (size_t)i));
        }
        client->got += (size_t)count;
        expect(client->got <= client->planned);
    }
}

static int be_client(void *arg)
{
    struct client client = {.number = (unsigned)(uintptr_t)arg, .planned = draw(3 * BYTES_MAX)};
    client.patient = !world.hungry && draw(2) == 0;
    dawdle();
    client.fd =
        whorl_tcp_connect_until("127.0.0.1", world.port, whorl_after(10 * WHORL_SECOND));
    if (client.fd < 0) {
        expect(bad_luck(client.fd));
        return 0;
    }
    struct whorl_task *const sender = spawn_surely(send_all, &client, NULL);
    const bool leaves = !client.patient && draw(3) == 0;
    read_back(&client, leaves ? draw((unsigned)client.planned + 1) : client.planned);
    if (!client.patient && draw(4) == 0) {
        (void)whorl_sim_reset(client.fd);
    }
    (void)whorl_cancel(sender, "the reader has left");
    const int error = whorl_await(sender, NULL);
    expect(error == 0 || error == -ECANCELED || error == -ENOMEM);
    whorl_task_unref(sender);
    expect(whorl_close(client.fd) == 0);
    world.client_ends++;
    return 0;
}

/* ---- all ---- */

static int listen_surely(void)
{
    int fd;
    do {
        fd = whorl_tcp_listen("127.0.0.1", 0, (int)draw(8) + 1, 0);
        expect(fd >= 0 || bad_luck(fd));
    } while (fd < 0);
    return fd;
}

/* The server's tasks end when their clients have; those that never began have left their
 * descriptor, which nobody else knows. */
static void await_served(void)
{
    while (world.serving > 0) {
        const int slept = whorl_sleep(WHORL_MILLISECOND);
        expect(slept == 0 || slept == -ENOMEM);
    }
    for (unsigned i = 0; i < UNSERVED_MAX; i++) {
        expect(world.unserved[i] == 0 || whorl_close(world.unserved[i]) == 0);
    }
}

static int run_all(void)
{
    world.listener = listen_surely();
    world.port = whorl_socket_port(world.listener);
    world.clients = 1 + draw(CLIENTS_MAX);
    struct whorl_task *const server = spawn_surely(serve, NULL, NULL);
    for (unsigned i = 0; i < world.clients; i++) {
        world.tasks[i] = spawn_surely(be_client, (void *)(uintptr_t)i, NULL);
    }
    for (unsigned i = 0; i < world.clients; i++) {
        const int error = whorl_await(world.tasks[i], NULL);
        expect(error == 0 || error == -ENOMEM); /* no stack for it */
        whorl_task_unref(world.tasks[i]);
    }
    whorl_cancel(server, "enough");
    const int error = whorl_await(server, NULL);
    expect(error == 0 || error == -ECANCELED || error == -ENOMEM);
    whorl_task_unref(server);
    expect(whorl_close(world.listener) == 0);
    await_served();
    return 0;
}

static int echo(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    return run_all();
}

static int echo_hungrily(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    world.hungry = true;
    return run_all();
}

const struct program program_echo = {
    .name = "echo",
    .body = echo,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
};
const struct program program_hungry = {
    .name = "hungry", .body = echo_hungrily, .faults = ALL_FAULTS};
