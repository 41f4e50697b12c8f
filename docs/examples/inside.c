/*
 * inside.c - a program that can be looked into: `kill -QUIT` shows its tasks on standard error, and
 * http://127.0.0.1:PORT/ its counters, for Prometheus.
 *
 *     inside [PORT]      0 or nothing: the kernel chooses one; it is printed
 */
#include <whorl.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int water_the_plants(void *arg)
{
    int error = 0;
    (void)arg;
    while (error == 0) {
        error = whorl_sleep(10 * WHORL_SECOND);
    }
    return error;
}

/* Whatever is asked, the counters are the answer. */
static int answer(int fd)
{
    char request[4096];
    char head[128];
    const ssize_t got = whorl_read(fd, request, sizeof request);
    if (got <= 0) {
        return (int)got;
    }
    const ssize_t length = whorl_stats_print(WHORL_STATS_PROMETHEUS, NULL, 0) + 4096;
    char *const text = malloc((size_t)length);
    if (text == NULL) {
        return -ENOMEM;
    }
    const ssize_t bytes = whorl_stats_print(WHORL_STATS_PROMETHEUS, text, (size_t)length);
    const int head_bytes = snprintf(head, sizeof head,
                                    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                    "Content-Type: text/plain; version=0.0.4\r\n"
                                    "Content-Length: %zd\r\n\r\n",
                                    bytes);
    ssize_t put = whorl_write(fd, head, (size_t)head_bytes);
    if (put >= 0) {
        put = whorl_write(fd, text, (size_t)bytes);
    }
    free(text);
    return put < 0 ? (int)put : 0;
}

static int be_scraped(void *arg)
{
    const int listener = *(const int *)arg;
    for (;;) {
        const int fd = whorl_accept(listener);
        if (fd < 0) {
            return fd;
        }
        const int error = answer(fd);
        (void)whorl_close(fd);
        if (error == -ECANCELED) {
            return error;
        }
    }
}

static int run(void *arg)
{
    const struct whorl_attr plants = {.name = "plants"};
    const struct whorl_attr metrics = {.name = "metrics"};
    struct whorl_task *tasks[2];
    int listener = whorl_tcp_listen("127.0.0.1", *(const int *)arg, 0, 0);
    if (listener < 0) {
        return listener;
    }
    printf("http://127.0.0.1:%d/\n", whorl_socket_port(listener));
    fflush(stdout);
    int error = whorl_spawn(water_the_plants, NULL, &plants, &tasks[0]);
    if (error != 0) {
        return error;
    }
    error = whorl_spawn(be_scraped, &listener, &metrics, &tasks[1]);
    if (error == 0) {
        error = whorl_gather(tasks, 2, 0, NULL);
        whorl_task_unref(tasks[1]);
    }
    whorl_task_unref(tasks[0]);
    (void)whorl_close(listener);
    return error;
}

int main(int argc, char **argv)
{
    const struct whorl_options options = {.loops = 2, .dump_signal = SIGQUIT};
    int port = argc > 1 ? atoi(argv[1]) : 0;
    const int error = whorl_run(run, &port, &options);
    if (error != 0) {
        fprintf(stderr, "inside: %s\n", whorl_error_text(error));
    }
    return error != 0;
}
