/*
 * echo.c - the echo server of raw_epoll.c as tasks.
 *
 * Question:    what does a request cost through whorl, against the same server by hand?
 * Good answer: the same number of system calls, and at most 600 instructions more; bench/echo-cost
 *              counts both.
 *
 *   echo [--loops N] [--requests N]     prints "listening on PORT"; ends after N requests
 *
 * One task per connection reads and writes, as a user would write it. The buffer is larger than a
 * message, so that a read that comes short tells that there is no more.
 */
#include "support/measure.h"
#include "whorl.h"

#include <getopt.h>
#include <string.h>

#define MESSAGE_BYTES 64
#define BUFFER_BYTES  1024

static struct {
    int loops;
    uint64_t bytes_max;              /* C: of all requests together */
    uint64_t bytes;                  /* A: echoed so far */
    struct whorl_future *served_all; /* C */
} server = {.loops = 1, .bytes_max = UINT64_MAX};

static void count_bytes(uint64_t count)
{
    /* relaxed: a sum; the future orders what comes after the last */
    const uint64_t bytes = __atomic_add_fetch(&server.bytes, count, __ATOMIC_RELAXED);
    if (bytes >= server.bytes_max && bytes - count < server.bytes_max) {
        whorl_future_set_result(server.served_all, NULL);
    }
}

static int echo(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char bytes[BUFFER_BYTES];
    ssize_t count;
    while ((count = whorl_read(fd, bytes, sizeof(bytes))) > 0 &&
           whorl_write(fd, bytes, (size_t)count) == count) {
        count_bytes((uint64_t)count);
    }
    return whorl_close(fd);
}

static int accept_all(void *arg)
{
    const int listener = (int)(intptr_t)arg;
    int fd, error = 0;
    while (!error && (fd = whorl_accept(listener)) >= 0) {
        error = whorl_spawn(echo, (void *)(intptr_t)fd, NULL, NULL);
    }
    return error ? error : -ECANCELED;
}

/* A listener and a task for each loop, all on one port. */
static int serve(void *arg)
{
    int port = 0;
    int error = 0;
    (void)arg;
    for (int loop = 0; loop < server.loops && !error; loop++) {
        const struct whorl_attr attr = {.name = "accept", .pin = WHORL_PIN(loop)};
        const int listener = whorl_tcp_listen("127.0.0.1", port, 0, WHORL_REUSEPORT);
        if (listener < 0) {
            return listener;
        }
        port = whorl_socket_port(listener);
        error = whorl_spawn(accept_all, (void *)(intptr_t)listener, &attr, NULL);
    }
    if (error) {
        return error;
    }
    printf("listening on %d\n", port);
    fflush(stdout);
    return whorl_future_await(server.served_all, NULL);
}

static void parse_options(int argc, char **argv)
{
    static const struct option known[] = {{"loops", required_argument, NULL, 'l'},
                                          {"requests", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    int choice;
    while ((choice = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (choice == 'l') {
            server.loops = (int)bench_parse_count("--loops", optarg, WHORL_LOOPS_MAX);
        } else if (choice == 'r') {
            server.bytes_max =
                MESSAGE_BYTES * (uint64_t)bench_parse_count("--requests", optarg, INT64_C(1) << 40);
        } else {
            bench_die("usage: echo [--loops N] [--requests N]");
        }
    }
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    const struct whorl_options options = {.loops = server.loops};
    int error = whorl_future_new(&server.served_all);
    if (!error) {
        error = whorl_run(serve, NULL, &options);
        whorl_future_unref(server.served_all);
    }
    if (error) {
        bench_die("the server failed: %s", strerror(-error));
    }
    return 0;
}
