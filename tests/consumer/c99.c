/*
 * c99.c - a program in C99, and nothing else: tasks, a gather, a connection to itself.
 */
#include <whorl.h>

#include <stdio.h>
#include <string.h>

static int answer(void *arg)
{
    const int fd = whorl_accept(*(int *)arg);
    char text[8];
    ssize_t got = fd < 0 ? fd : whorl_read(fd, text, sizeof text);
    if (got > 0) {
        got = whorl_write(fd, text, (size_t)got);
    }
    (void)whorl_close(fd);
    return got < 0 ? (int)got : 0;
}

static int talk(void *arg)
{
    const int fd = whorl_tcp_connect("127.0.0.1", whorl_socket_port(*(int *)arg));
    char text[8] = "";
    if (fd < 0 || whorl_write(fd, "hello", 5) != 5 || whorl_read(fd, text, sizeof text) != 5) {
        return -EIO;
    }
    (void)whorl_close(fd);
    return strcmp(text, "hello") == 0 ? 0 : -EPROTO;
}

static int main_task(void *arg)
{
    struct whorl_task *tasks[2];
    int listener = whorl_tcp_listen("127.0.0.1", 0, 0, 0);
    int error = listener < 0 ? listener : 0;
    (void)arg;
    if (error == 0) {
        error = whorl_spawn(answer, &listener, NULL, &tasks[0]);
    }
    if (error == 0) {
        error = whorl_spawn(talk, &listener, NULL, &tasks[1]);
    }
    if (error == 0) {
        error = whorl_gather(tasks, 2, 0, NULL);
        whorl_task_unref(tasks[0]);
        whorl_task_unref(tasks[1]);
    }
    (void)whorl_close(listener);
    return error;
}

int main(void)
{
    const int error = whorl_run(main_task, NULL, NULL);
    if (error == 0) {
        puts("a connection to itself");
    }
    return error != 0;
}
