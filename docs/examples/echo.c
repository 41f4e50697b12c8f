/* echo.c - sends back what comes, on port 7000 and on all cores. */
#include <stdint.h>
#include <whorl.h>

static int echo(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char bytes[4096];
    ssize_t n = whorl_read(fd, bytes, sizeof bytes);
    while (n > 0 && whorl_write(fd, bytes, (size_t)n) == n) {
        n = whorl_read(fd, bytes, sizeof bytes);
    }
    return whorl_close(fd);
}

static int serve(void *arg)
{
    const int listener = whorl_tcp_listen(arg, 7000, 0, WHORL_REUSEPORT);
    int fd, error = listener;
    while (error >= 0 && (fd = whorl_accept(listener)) >= 0) {
        error = whorl_spawn(echo, (void *)(intptr_t)fd, NULL, NULL);
    }
    return error;
}

static int serve_on_all_loops(void *arg)
{
    int error = 0;
    for (int k = 1; k < whorl_loop_count() && !error; k++) {
        error = whorl_spawn(serve, arg, &(struct whorl_attr){.pin = WHORL_PIN(k)}, NULL);
    }
    return error ? error : serve(arg);
}

int main(void)
{
    return whorl_run(serve_on_all_loops, (char[]){"127.0.0.1"}, NULL) < 0;
}
