/*
 * program_streams.c - roles that move bytes. Every byte knows its place in its stream.
 */
#include "programs.h"
#include "support/net.h"
#include "support/play.h"

#include "atomic/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO_BYTES = 3000, MANY_BYTES = 96 * 1024, SINGLE_BYTES = 20, CONNECTIONS = 2 };

#define PATIENCE_NS (60 * WHORL_SECOND)

/* ---- the cast ---- */

static struct {
    struct trial_child children[ROLES_MAX];
    struct whorl_future *address; /* done when the listener listens */
    struct net_listener listener; /* written before that */
    int pipe[2];
    int bell[2]; /* a pipe that whorl does not know */
    int pair[2];
    struct whorl_future *ready; /* done when loop 0 watches the pair */
    uint32_t asked;             /* A: bytes of the pair that its reader is about to wait for */
} stage;

static int wait_first(void *arg)
{
    whorl_body *const *const body = arg;
    (void)TRY_FOR(TRIAL_PLAIN, -ECANCELED, whorl_sleep_until(WHORL_NEVER));
    return (*body)(NULL);
}

static int at_once(void *arg)
{
    whorl_body *const *const body = arg;
    return (*body)(NULL);
}

static void begin_cast(const struct cast *cast, whorl_body *way)
{
    memset(&stage, 0, sizeof stage);
    cast->open();
    for (int i = 0; i < ROLES_MAX && cast->roles[i].body != NULL; i++) {
        const struct role *const role = &cast->roles[i];
        stage.children[i] = (struct trial_child){
            .body = way, .arg = (void *)(uintptr_t)&role->body, .pin = role->pin};
        trial_begin(&stage.children[i]);
    }
}

void play_cast(const struct cast *cast)
{
    begin_cast(cast, at_once);
    for (int i = 0; i < ROLES_MAX && cast->roles[i].body != NULL; i++) {
        NET_EXPECT_EQUAL(trial_finish(&stage.children[i]), 0);
    }
}

void leave_cast(const struct cast *cast)
{
    begin_cast(cast, wait_first);
    for (int i = 0; i < ROLES_MAX && cast->roles[i].body != NULL; i++) {
        whorl_task_unref(stage.children[i].task); /* it runs on without */
    }
}

/* ---- bytes, failure or not ---- */

static void write_all(int fd, size_t count)
{
    static const size_t piece_max = 1000;
    unsigned char bytes[1000];
    for (size_t done = 0; done < count;) {
        const size_t left = count - done;
        const size_t piece = left < piece_max ? left : piece_max;
        net_fill(bytes, piece, done);
        const long put =
            TRY(TRIAL_WRITE, whorl_write_until(fd, bytes, piece, whorl_after(PATIENCE_NS)));
        done += put > 0 ? (size_t)put : 0;
    }
}

/* In parts, so that it goes the other way through whorl and the kernel. */
static void write_parts(int fd, const unsigned char *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        const size_t left = count - done;
        const size_t half = left / 2;
        const struct iovec parts[] = {
            {.iov_base = (void *)(uintptr_t)(bytes + done), .iov_len = half},
            {.iov_base = (void *)(uintptr_t)(bytes + done + half), .iov_len = left - half},
        };
        const long put = TRY(TRIAL_WRITE, whorl_writev(fd, parts, 2));
        done += put > 0 ? (size_t)put : 0;
    }
}

/* Until that many have come, or the stream ends; how many did. */
static size_t read_all(int fd, size_t count)
{
    unsigned char bytes[1024];
    size_t done = 0;
    while (done < count) {
        const size_t left = count - done;
        const size_t room = left < sizeof bytes ? left : sizeof bytes;
        const long got =
            TRY(TRIAL_READ, whorl_read_until(fd, bytes, room, whorl_after(PATIENCE_NS)));
        if (got <= 0) {
            break;
        }
        NET_EXPECT(net_matches(bytes, (size_t)got, done));
        done += (size_t)got;
    }
    return done;
}

static void read_end(int fd)
{
    char byte;
    (void)TRY_FOR(TRIAL_READ, 0, whorl_read(fd, &byte, 1));
}

static void adopt(int fd)
{
    (void)TRY_FOR(TRIAL_ADOPT, 0, whorl_fd_adopt(fd));
}

static void close_one(int fd)
{
    (void)TRY_FOR(TRIAL_PLAIN, 0, whorl_close(fd));
}

/* ---- TCP: an echo server, and a client ---- */

/* Of who completes it, and of who waits. */
static struct whorl_future *new_shared_future(void)
{
    struct whorl_future *future = NULL;
    (void)TRY(TRIAL_FUTURE, whorl_future_new(&future));
    return whorl_future_ref(future);
}

static void tell(struct whorl_future *future)
{
    (void)TRY(TRIAL_PLAIN, whorl_future_set_result(future, NULL));
    whorl_future_unref(future);
}

static void be_told(struct whorl_future *future)
{
    (void)TRY(TRIAL_PLAIN, whorl_future_join(future, WHORL_NEVER, NULL));
    whorl_future_unref(future);
}

static void open_address(void)
{
    stage.address = new_shared_future();
}

/* Echoes until the peer has no more; how many bytes. */
static size_t echo(int fd)
{
    unsigned char bytes[700];
    size_t done = 0;
    long got;
    while ((got = TRY(TRIAL_READ, whorl_read(fd, bytes, sizeof bytes))) > 0) {
        write_parts(fd, bytes, (size_t)got);
        done += (size_t)got;
    }
    return done;
}

/* A connect that failed after the kernel had connected leaves a connection without a byte. */
static int tcp_server(void *arg)
{
    (void)arg;
    const int listener =
        (int)TRY(TRIAL_LISTEN, whorl_tcp_listen("127.0.0.1", 0, 0, WHORL_REUSEPORT));
    stage.listener.port = (int)TRY(TRIAL_PORT, whorl_socket_port(listener));
    tell(stage.address);
    for (int served = 0; served < CONNECTIONS;) {
        const int fd = (int)TRY(TRIAL_ACCEPT, whorl_accept(listener));
        const size_t bytes = echo(fd);
        (void)TRY(TRIAL_SHUTDOWN, whorl_shutdown(fd, SHUT_WR));
        close_one(fd);
        NET_EXPECT(bytes == 0 || bytes == ECHO_BYTES);
        served += bytes > 0;
    }
    close_one(listener);
    return 0;
}

static int tcp_client(void *arg)
{
    (void)arg;
    be_told(stage.address);
    for (int i = 0; i < CONNECTIONS; i++) {
        const int fd =
            (int)TRY(TRIAL_CONNECT, whorl_tcp_connect_until("127.0.0.1", stage.listener.port,
                                                            whorl_after(PATIENCE_NS)));
        write_all(fd, ECHO_BYTES);
        NET_EXPECT_EQUAL(read_all(fd, ECHO_BYTES), ECHO_BYTES);
        (void)TRY_FOR(TRIAL_CLOSE_UNTIL, 0, whorl_close_until(fd, whorl_after(PATIENCE_NS)));
    }
    return 0;
}

const struct cast tcp_cast = {
    .open = open_address,
    .roles = {{.body = tcp_server}, {.body = tcp_client}},
};

/* ---- Unix: a writer that has to wait for room ---- */

static int unix_server(void *arg)
{
    static uint32_t serial; /* A */
    char *const path = stage.listener.path;
    (void)arg;
    snprintf(path, sizeof stage.listener.path, "/%s/whorl-faults-%d-%u", P_tmpdir, (int)getpid(),
             (unsigned)whorl__add_u32(&serial, 1));
    const int listener = (int)TRY(TRIAL_LISTEN, whorl_unix_listen(path, 0));
    tell(stage.address);
    const int fd = (int)TRY(TRIAL_ACCEPT, whorl_accept(listener));
    net_shrink(fd);
    write_all(fd, MANY_BYTES);
    (void)TRY(TRIAL_SHUTDOWN, whorl_shutdown(fd, SHUT_WR));
    read_end(fd);
    close_one(fd);
    close_one(listener);
    NET_EXPECT_EQUAL(unlink(path), 0);
    return 0;
}

static int unix_client(void *arg)
{
    (void)arg;
    be_told(stage.address);
    const int fd = (int)TRY(TRIAL_CONNECT, whorl_unix_connect(stage.listener.path));
    NET_EXPECT_EQUAL(read_all(fd, MANY_BYTES), MANY_BYTES);
    read_end(fd);
    close_one(fd);
    return 0;
}

const struct cast unix_cast = {
    .open = open_address,
    .roles = {{.body = unix_server}, {.body = unix_client}},
};

/* ---- a pipe, and a number that stays the program's ---- */

static void open_pipes(void)
{
    must(pipe2(stage.pipe, O_CLOEXEC));
    must(pipe2(stage.bell, O_CLOEXEC));
}

static int pipe_writer(void *arg)
{
    (void)arg;
    adopt(stage.pipe[1]);
    NET_EXPECT(fcntl(stage.pipe[1], F_SETPIPE_SZ, 4096) >= 4096);
    (void)TRY(TRIAL_FD_WAIT, whorl_fd_wait(stage.bell[0], POLLIN));
    write_all(stage.pipe[1], MANY_BYTES / 4);
    close_one(stage.pipe[1]);
    must(close(stage.bell[0]));
    return 0;
}

static int pipe_reader(void *arg)
{
    (void)arg;
    adopt(stage.pipe[0]);
    NET_EXPECT_EQUAL(write(stage.bell[1], "!", 1), 1);
    const long ready =
        TRY(TRIAL_FD_WAIT, whorl_fd_wait_until(stage.pipe[0], POLLIN, whorl_after(PATIENCE_NS)));
    NET_EXPECT(ready & POLLIN);
    NET_EXPECT_EQUAL(read_all(stage.pipe[0], MANY_BYTES / 4), MANY_BYTES / 4);
    read_end(stage.pipe[0]);
    close_one(stage.pipe[0]);
    must(close(stage.bell[1]));
    return 0;
}

const struct cast pipe_cast = {
    .open = open_pipes,
    .roles = {{.body = pipe_writer}, {.body = pipe_reader}},
};

/* ---- a socket whose reader is on another loop than its poller ---- */

static void open_pair(void)
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stage.pair));
    stage.ready = new_shared_future();
}

static void read_single(int fd, size_t place)
{
    unsigned char byte = 0;
    (void)TRY_FOR(TRIAL_READ, 1, whorl_read(fd, &byte, 1));
    NET_EXPECT(net_matches(&byte, 1, place));
}

/* The first wait is on loop 0: its poller gets the socket. */
static int near_reader(void *arg)
{
    (void)arg;
    adopt(stage.pair[0]);
    adopt(stage.pair[1]);
    const long late = TRY_FOR(TRIAL_READ, -ETIMEDOUT,
                              whorl_read_until(stage.pair[0], &(char){0}, 1, whorl_now()));
    NET_EXPECT_EQUAL(late, -ETIMEDOUT);
    tell(stage.ready);
    for (size_t i = 0; i < SINGLE_BYTES; i++) {
        const unsigned char byte = net_byte(i);
        while (whorl__load_acquire_u32(&stage.asked) <= i) {
            (void)TRY(TRIAL_PLAIN, whorl_yield());
        }
        (void)TRY_FOR(TRIAL_WRITE, 1, whorl_write(stage.pair[1], &byte, 1));
    }
    read_end(stage.pair[1]);
    close_one(stage.pair[1]);
    return 0;
}

/* And the rest on loop 1, which takes it over. */
static int far_reader(void *arg)
{
    (void)arg;
    be_told(stage.ready);
    for (size_t i = 0; i < SINGLE_BYTES; i++) {
        (void)whorl__add_u32(&stage.asked, 1);
        read_single(stage.pair[0], i);
    }
    close_one(stage.pair[0]);
    return 0;
}

const struct cast moved_cast = {
    .open = open_pair,
    .roles = {{.body = near_reader, .pin = WHORL_PIN(0)},
              {.body = far_reader, .pin = WHORL_PIN(1)}},
};
