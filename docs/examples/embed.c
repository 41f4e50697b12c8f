/* embed.c - whorl inside a main loop of the program's own: docs/guide/embedding.md
 *
 * One thread, one poll(2). It waits for the program's own descriptor, as a toolkit waits for its
 * windows, and for whorl's; tasks, sockets and timers run in between, on the same thread. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <whorl.h>

static int sockets[2]; /* a connection: one end for the server task, one for the client */
static int keyboard[2]; /* the program's own descriptor, a pipe; a thread types */
static int ticks;
static struct whorl_task *client;

/* ---- tasks: plain code that waits ---- */

static int serve(void *arg)
{
    char bytes[64];
    ssize_t length;
    (void)arg;
    while ((length = whorl_read(sockets[0], bytes, sizeof bytes)) > 0) {
        if (whorl_write(sockets[0], bytes, (size_t)length) < 0) {
            break;
        }
    }
    return whorl_close(sockets[0]);
}

static int talk(void *arg)
{
    char answer[64] = "";
    (void)arg;
    for (int i = 0; i < 3; i++) {
        whorl_sleep(10 * WHORL_MILLISECOND);
        if (whorl_write(sockets[1], "hello", 5) != 5 || whorl_read(sockets[1], answer, 5) != 5) {
            return -1;
        }
        printf("the server says %s\n", answer);
    }
    return whorl_close(sockets[1]);
}

static int tick(void *arg)
{
    (void)arg;
    for (;;) {
        const int error = whorl_sleep(5 * WHORL_MILLISECOND);
        if (error != 0) {
            return error; /* the runtime is closed */
        }
        ticks++;
    }
}

/* Everything of whorl's runs on the main thread: no lock is needed for `letters`. */
static int letters;

static void count_letter(void *arg)
{
    (void)arg;
    letters++;
}

static int begin(void *arg)
{
    (void)arg;
    int error = whorl_fd_adopt(sockets[0]);
    error = error != 0 ? error : whorl_fd_adopt(sockets[1]);
    error = error != 0 ? error : whorl_spawn(serve, NULL, NULL, NULL);
    error = error != 0 ? error : whorl_spawn(tick, NULL, NULL, NULL);
    return error != 0 ? error : whorl_spawn(talk, NULL, NULL, &client);
}

/* ---- another thread: it gives work to the loop, and types ---- */

static void *type(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        usleep(3000);
        if (whorl_call_soon_threadsafe(client, count_letter, NULL, NULL, NULL) != 0 ||
            write(keyboard[1], "x", 1) != 1) {
            break;
        }
    }
    close(keyboard[1]);
    return NULL;
}

/* ---- the main loop ---- */

/* poll(2) counts milliseconds, and is to wake late rather than early. */
static int wait_ms(int64_t deadline_ns)
{
    const int64_t left_ns = deadline_ns - whorl_now();
    if (deadline_ns == WHORL_NEVER) {
        return -1;
    }
    return left_ns <= 0 ? 0 : (int)(left_ns / WHORL_MILLISECOND) + 1;
}

/* False: the keyboard has been closed. */
static int read_key(void)
{
    char key;
    if (read(keyboard[0], &key, 1) != 1) {
        return 0;
    }
    printf("a key\n");
    return 1;
}

static int run_main_loop(struct whorl_runtime *runtime)
{
    int open = 1;
    int error = 0;
    while (error == 0 && (open || !whorl_task_done(client))) {
        int64_t deadline_ns;
        const int fd = whorl_loop_next(runtime, &deadline_ns);
        struct pollfd ready[2] = {{.fd = fd, .events = POLLIN},
                                  {.fd = open ? keyboard[0] : -1, .events = POLLIN}};
        if (fd < 0 || poll(ready, 2, wait_ms(deadline_ns)) < 0) {
            return -1;
        }
        if (ready[1].revents != 0) {
            open = read_key();
        }
        error = whorl_loop_step(runtime, 0);
    }
    return error;
}

int main(void)
{
    const struct whorl_options options = {.flags = WHORL_STEPPED};
    struct whorl_runtime *runtime;
    pthread_t typist;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0 || pipe(keyboard) != 0 ||
        whorl_runtime_new(&options, &runtime) != 0 || whorl_loop_begin(runtime) != 0) {
        return 1;
    }
    int error = whorl_runtime_run(runtime, begin, NULL);
    if (error == 0 && pthread_create(&typist, NULL, type, NULL) == 0) {
        error = run_main_loop(runtime);
        pthread_join(typist, NULL);
        whorl_task_unref(client);
    }
    const int ends = whorl_loop_end(runtime) != 0 || whorl_runtime_free(runtime) != 0;
    printf("%d letters, %s\n", letters, ticks > 0 ? "and it ticked" : "and it did not tick");
    return error != 0 || ends || letters != 5;
}
