/*
 * test_kernel.c - the kernel that is played behaves as Linux does: each scenario is run by the real
 * table of sys/os.h and by the simulated one, and what they return is compared line by line.
 *
 * Descriptors are written down by the order of their making, errors by name, epoll events by their
 * bits. Where Linux needs a moment, the scenario waits until the socket says so.
 */
#include "support/play.h"
#include "sys/os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static struct diary {
    char text[8192];
    size_t length;
    bool simulated;
} *diary;

static void say(const char *what, long result)
{
    char line[96];
    const char *const name = result < 0 ? whorl_error_name((int)result) : NULL;
    const int length = name != NULL ? snprintf(line, sizeof line, "%s = %s\n", what, name)
                                    : snprintf(line, sizeof line, "%s = %ld\n", what, result);
    must(diary->length + (size_t)length < sizeof diary->text ? 0 : -EOVERFLOW);
    memcpy(diary->text + diary->length, line, (size_t)length + 1);
    diary->length += (size_t)length;
}

static void say_bits(const char *what, uint32_t bits)
{
    char text[96];
    snprintf(text, sizeof text, "%s%s%s%s%s%s", what, bits & EPOLLIN ? " IN" : "",
             bits & EPOLLOUT ? " OUT" : "", bits & EPOLLRDHUP ? " RDHUP" : "",
             bits & EPOLLHUP ? " HUP" : "", bits & EPOLLERR ? " ERR" : "");
    say(text, 0);
}

/* ---- what both can do ---- */

static void make_pair(int fds[2])
{
    if (diary->simulated) {
        must(whorl_sim_pair(fds));
    } else {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
    }
}

static void make_pipe(int fds[2])
{
    if (diary->simulated) {
        must(whorl_sim_pipe(fds));
    } else {
        must(pipe2(fds, O_NONBLOCK));
    }
}

static void rest_a_while(void)
{
    struct epoll_event event;
    const int empty = whorl__os->epoll_create();
    (void)whorl__os->epoll_wait(empty, &event, 1, 2 * WHORL_MILLISECOND);
    must(whorl__os->close(empty));
}

/* Until one of the events is there; at most two seconds. */
static void await_ready(int fd, int events)
{
    for (int i = 0; i < 1000 && (whorl__os->poll(fd, events) & events) == 0; i++) {
        rest_a_while();
    }
}

static int watch(int epoll_fd, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return whorl__os->epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* All events there are, in the order of the descriptors they belong to. */
static void look(const char *what, int epoll_fd)
{
    struct epoll_event events[8];
    char line[64];
    const int count = whorl__os->epoll_wait(epoll_fd, events, 8, 0);
    snprintf(line, sizeof line, "%s: events", what);
    say(line, count);
    for (uint64_t data = 0; data < 8; data++) {
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == data) {
                snprintf(line, sizeof line, "%s: %d is", what, (int)data);
                say_bits(line, events[i].events);
            }
        }
    }
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    must(whorl__os->getsockname(fd, (struct sockaddr *)&address, &bytes));
    return ntohs(address.sin_port);
}

static int bind_to(int fd, int port)
{
    const struct sockaddr_in address = loopback(port);
    return whorl__os->bind(fd, (const struct sockaddr *)&address, sizeof address);
}

static int connect_to(int fd, int port)
{
    const struct sockaddr_in address = loopback(port);
    return whorl__os->connect(fd, (const struct sockaddr *)&address, sizeof address);
}

static int so_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    must(whorl__os->getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes));
    return -error;
}

static int new_tcp(void)
{
    return whorl__os->socket(AF_INET, SOCK_STREAM, 0);
}

static int new_listener(int backlog)
{
    const int fd = new_tcp();
    must(bind_to(fd, 0));
    must(whorl__os->listen(fd, backlog));
    return fd;
}

/* A connection over TCP: both ends. */
static void make_connection(int fds[2])
{
    const int listener = new_listener(4);
    fds[0] = new_tcp();
    (void)connect_to(fds[0], port_of(listener));
    await_ready(fds[0], POLLOUT);
    await_ready(listener, POLLIN);
    fds[1] = whorl__os->accept(listener, NULL, NULL);
    must(fds[1] >= 0 ? 0 : fds[1]);
    must(whorl__os->close(listener));
}

static long put(int fd, size_t count)
{
    static char bytes[1 << 16];
    return whorl__os->send(fd, bytes, count, 0);
}

static long get(int fd, size_t count)
{
    static char bytes[1 << 16];
    return whorl__os->read(fd, bytes, count);
}

static void close_both(int a, int b)
{
    must(whorl__os->close(a));
    must(whorl__os->close(b));
}

/* ---- scenarios ---- */

static void numbers(void)
{
    const int first = whorl__os->eventfd();
    const int second = whorl__os->dup(first);
    const int third = whorl__os->eventfd();
    say("second above first", second > first);
    must(whorl__os->close(first));
    say("lowest number comes back", whorl__os->eventfd() == first);
    say("close", whorl__os->close(third));
    say("close again", whorl__os->close(third));
    say("read of it", get(third, 8));
    say("poll of it", whorl__os->poll(third, POLLIN));
    say("dup of it", whorl__os->dup(third));
    say("set_nonblocking of it", whorl__os->set_nonblocking(third));
    close_both(first, second);
}

static void eventfds(void)
{
    const uint64_t one = 1;
    const int epoll_fd = whorl__os->epoll_create();
    const int fd = whorl__os->eventfd();
    say("read of an empty one", get(fd, 8));
    say("add", watch(epoll_fd, fd, EPOLLIN | EPOLLET, 1));
    look("before", epoll_fd);
    say("write", whorl__os->write(fd, &one, sizeof one));
    look("after a write", epoll_fd);
    look("without a change", epoll_fd);
    say("write", whorl__os->write(fd, &one, sizeof one));
    look("a write onto a full one is an edge", epoll_fd);
    say("short read", get(fd, 7));
    say("read", get(fd, 8));
    say("read again", get(fd, 8));
    close_both(fd, epoll_fd);
}

static void edges(void)
{
    int fds[2];
    make_pair(fds);
    const int a = whorl__os->epoll_create();
    const int b = whorl__os->epoll_create();
    say("add", watch(a, fds[0], EDGES, 1));
    say("add twice", watch(a, fds[0], EDGES, 1));
    look("the level at the add", a);
    look("once only", a);
    say("send", put(fds[1], 10));
    look("an edge", a);
    say("add elsewhere", watch(b, fds[0], EDGES, 2));
    look("the level there", b);
    say("send", put(fds[1], 10));
    look("an edge here", a);
    look("and there", b);
    say("read some", get(fds[0], 5));
    look("what is left is no edge", a);
    say("remove", whorl__os->epoll_ctl(a, EPOLL_CTL_DEL, fds[0], NULL));
    say("remove again", whorl__os->epoll_ctl(a, EPOLL_CTL_DEL, fds[0], NULL));
    say("send", put(fds[1], 10));
    look("nothing here", a);
    must(whorl__os->close(fds[1]));
    look("the peer has closed", b);
    must(whorl__os->close(fds[0]));
    look("a closed one is gone", b);
    close_both(a, b);
}

static void nests(void)
{
    int fds[2];
    make_pair(fds);
    const int inner = whorl__os->epoll_create();
    const int outer = whorl__os->epoll_create();
    say("add", watch(inner, fds[0], EPOLLIN | EPOLLET, 1));
    say("add inner", watch(outer, inner, EPOLLIN, 2));
    say("a circle", watch(inner, outer, EPOLLIN, 3));
    say("itself", watch(inner, inner, EPOLLIN, 3));
    look("outer, before", outer);
    say("send", put(fds[1], 1));
    look("outer", outer);
    look("outer again: its level", outer);
    look("inner", inner);
    look("outer, once inner was asked", outer);
    close_both(fds[0], fds[1]);
    close_both(inner, outer);
}

static void duplicates(void)
{
    int fds[2];
    make_pair(fds);
    const int epoll_fd = whorl__os->epoll_create();
    const int again = whorl__os->dup(fds[0]);
    say("add", watch(epoll_fd, fds[0], EPOLLIN | EPOLLET, 1));
    must(whorl__os->close(fds[0]));
    say("send", put(fds[1], 1));
    look("the file is still watched", epoll_fd);
    must(whorl__os->close(again));
    say("send to nobody", put(fds[1], 1));
    close_both(fds[1], epoll_fd);
}

static void half_close(void)
{
    int fds[2];
    make_connection(fds);
    const int epoll_fd = whorl__os->epoll_create();
    say("add", watch(epoll_fd, fds[0], EDGES, 1));
    look("connected", epoll_fd);
    say("send", put(fds[1], 3));
    say("shutdown", whorl__os->shutdown(fds[1], SHUT_WR));
    say("send after it", put(fds[1], 3));
    await_ready(fds[0], POLLRDHUP);
    look("data and the end", epoll_fd);
    say("read", get(fds[0], 10));
    say("read the end", get(fds[0], 10));
    say("and again", get(fds[0], 10));
    say("the other way is open", put(fds[0], 4));
    await_ready(fds[1], POLLIN);
    say("read", get(fds[1], 10));
    say("nothing more", get(fds[1], 10));
    must(whorl__os->close(fds[0]));
    await_ready(fds[1], POLLHUP);
    say_bits("both ways ended", (uint32_t)whorl__os->poll(fds[1], POLLIN | POLLOUT));
    say("read the end", get(fds[1], 10));
    close_both(fds[1], epoll_fd);
}

static void resets(void)
{
    int fds[2];
    make_connection(fds);
    say("send", put(fds[1], 3));
    await_ready(fds[0], POLLIN);
    must(whorl__os->close(fds[0])); /* with data that nobody has read */
    await_ready(fds[1], POLLERR);
    say_bits("reset", (uint32_t)whorl__os->poll(fds[1], POLLIN | POLLOUT));
    say("read", get(fds[1], 10));
    say("read again", get(fds[1], 10));
    say("send", put(fds[1], 3));
    say("shutdown", whorl__os->shutdown(fds[1], SHUT_WR));
    must(whorl__os->close(fds[1]));

    make_connection(fds);
    must(whorl__os->close(fds[0]));
    await_ready(fds[1], POLLIN);
    say("read the end", get(fds[1], 10));
    say("send to whom has gone", put(fds[1], 3));
    await_ready(fds[1], POLLERR);
    say("send again", put(fds[1], 3));
    say("and again", put(fds[1], 3));
    must(whorl__os->close(fds[1]));

    make_connection(fds);
    const struct linger drop = {.l_onoff = 1, .l_linger = 0};
    say("linger", whorl__os->setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &drop, sizeof drop));
    must(whorl__os->close(fds[0]));
    await_ready(fds[1], POLLERR);
    say("SO_ERROR", so_error(fds[1]));
    say("SO_ERROR once", so_error(fds[1]));
    must(whorl__os->close(fds[1]));
}

static void connecting(void)
{
    const int listener = new_listener(4);
    const int port = port_of(listener);
    const int client = new_tcp();
    say("accept of none", whorl__os->accept(listener, NULL, NULL));
    say_bits("idle", (uint32_t)whorl__os->poll(client, POLLIN | POLLOUT));
    say("read of an idle one", get(client, 1));
    say("connect", connect_to(client, port));
    await_ready(client, POLLOUT);
    say("SO_ERROR", so_error(client));
    const int again = connect_to(client, port);
    say("connect again", again == 0 ? -EISCONN : again); /* Linux says 0 once, to tell of success */
    say("connect a third time", connect_to(client, port));
    await_ready(listener, POLLIN);
    const int served = whorl__os->accept(listener, NULL, NULL);
    say("accept", served >= 0);
    say("accept of none", whorl__os->accept(listener, NULL, NULL));
    close_both(client, served);
    must(whorl__os->close(listener));

    const int refused = new_tcp();
    say("connect to nobody", connect_to(refused, port));
    await_ready(refused, POLLERR | POLLHUP);
    say("SO_ERROR", so_error(refused));
    must(whorl__os->close(refused));
}

static void addresses(void)
{
    const int on = 1;
    const int first = new_listener(1);
    const int port = port_of(first);
    const int second = new_tcp();
    say("bind to a taken port", bind_to(second, port));
    say("reuse", whorl__os->setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    say("bind while it listens", bind_to(second, port));
    say("listen elsewhere", whorl__os->listen(second, 1));
    say("another port", port_of(second) != port && port_of(second) != 0);
    say("bind twice", bind_to(second, 0));
    close_both(first, second);
    const int third = new_tcp();
    say("bind once it is free", bind_to(third, port));
    must(whorl__os->close(third));
    say("an unknown family", whorl__os->socket(AF_MAX + 1, SOCK_STREAM, 0));
    const int event = whorl__os->eventfd();
    say("listen on no socket", whorl__os->listen(event, 1));
    int kind = 0;
    socklen_t bytes = sizeof kind;
    say("option of no socket",
        whorl__os->getsockopt(event, SOL_SOCKET, SO_PROTOCOL, &kind, &bytes));
    must(whorl__os->close(event));
}

static void fill(int fd)
{
    for (int i = 0; i < 10000 && put(fd, 4096) > 0; i++) {
        rest_a_while();
    }
}

/* A writer is told of room when a good part of it is free, not before. */
static void room(void)
{
    int fds[2];
    make_pair(fds);
    const int epoll_fd = whorl__os->epoll_create();
    fill(fds[0]);
    say("full", put(fds[0], 1));
    say("add", watch(epoll_fd, fds[0], EPOLLOUT | EPOLLET, 1));
    look("no room", epoll_fd);
    while (get(fds[1], 1 << 16) > 0) {
    }
    look("room", epoll_fd);
    look("once", epoll_fd);
    say("send", put(fds[0], 1));
    close_both(fds[0], fds[1]);
    must(whorl__os->close(epoll_fd));
}

static void pipes(void)
{
    int fds[2];
    make_pipe(fds);
    const struct iovec part = {.iov_base = (char[]){'a', 'b', 'c'}, .iov_len = 3};
    say("read of an empty one", get(fds[0], 4));
    say("write", whorl__os->writev_quiet(fds[1], &part, 1));
    say_bits("readable", (uint32_t)whorl__os->poll(fds[0], POLLIN | POLLOUT));
    say_bits("writable", (uint32_t)whorl__os->poll(fds[1], POLLIN | POLLOUT));
    say("read", get(fds[0], 10));
    say("read of the write end", get(fds[1], 1));
    say("write to the read end", whorl__os->writev_quiet(fds[0], &part, 1));
    must(whorl__os->close(fds[1]));
    say_bits("no writer", (uint32_t)whorl__os->poll(fds[0], POLLIN));
    say("read the end", get(fds[0], 10));
    must(whorl__os->close(fds[0]));
    make_pipe(fds);
    must(whorl__os->close(fds[0]));
    say("write to nobody", whorl__os->writev_quiet(fds[1], &part, 1));
    must(whorl__os->close(fds[1]));
}

static void pairs(void)
{
    int fds[2];
    make_pair(fds);
    say("send", put(fds[0], 5));
    say("shutdown", whorl__os->shutdown(fds[0], SHUT_WR));
    say_bits("ended", (uint32_t)whorl__os->poll(fds[1], POLLIN | POLLOUT));
    say("read", get(fds[1], 3));
    say("read", get(fds[1], 3));
    say("read the end", get(fds[1], 3));
    must(whorl__os->close(fds[1]));
    say_bits("gone", (uint32_t)whorl__os->poll(fds[0], POLLIN | POLLOUT));
    say("send", put(fds[0], 5));
    must(whorl__os->close(fds[0]));
    make_pair(fds);
    say("send", put(fds[0], 5));
    must(whorl__os->close(fds[1])); /* with data that nobody has read */
    say("read", get(fds[0], 5));
    say("read again", get(fds[0], 5));
    must(whorl__os->close(fds[0]));
}

/* ---- both ---- */

static void (*scenario)(void);

static int play_it(void *arg)
{
    (void)arg;
    scenario();
    return 0;
}

static void compare(void (*chosen)(void))
{
    static struct diary real, simulated;
    const struct whorl_sim_options options = {.runtime.loops = 1, .ns_max = WHORL_NEVER};
    scenario = chosen;
    real = (struct diary){.simulated = false};
    diary = &real;
    chosen();
    for (uint64_t seed = 0; seed < 10; seed++) {
        simulated = (struct diary){.simulated = true};
        diary = &simulated;
        assert_int_equal(whorl_sim_run(seed, &options, play_it, NULL), 0);
        assert_string_equal(simulated.text, real.text);
    }
}

#define SCENARIO(name)                                                                             \
    static void test_##name##_as_linux_has_it(void **state)                                        \
    {                                                                                              \
        (void)state;                                                                               \
        compare(name);                                                                             \
    }

SCENARIO(numbers)
SCENARIO(eventfds)
SCENARIO(edges)
SCENARIO(nests)
SCENARIO(duplicates)
SCENARIO(half_close)
SCENARIO(resets)
SCENARIO(connecting)
SCENARIO(addresses)
SCENARIO(room)
SCENARIO(pipes)
SCENARIO(pairs)

static int look_at_table(void *arg)
{
    unsigned *const lacking = arg;
    const void *const *const entries = (const void *const *)(const void *)whorl__os;
    for (size_t i = 0; i < sizeof *whorl__os / sizeof(void *); i++) {
        *lacking += entries[i] == NULL;
    }
    return 0;
}

/* A call that somebody adds to sys/os.h must be played, too. */
static void test_every_call_of_the_table_is_played(void **state)
{
    (void)state;
    unsigned lacking = 0;
    assert_int_equal(whorl_sim_run(1, NULL, look_at_table, &lacking), 0);
    assert_int_equal(lacking, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_of_the_table_is_played),
        cmocka_unit_test(test_numbers_as_linux_has_it),
        cmocka_unit_test(test_eventfds_as_linux_has_it),
        cmocka_unit_test(test_edges_as_linux_has_it),
        cmocka_unit_test(test_nests_as_linux_has_it),
        cmocka_unit_test(test_duplicates_as_linux_has_it),
        cmocka_unit_test(test_half_close_as_linux_has_it),
        cmocka_unit_test(test_resets_as_linux_has_it),
        cmocka_unit_test(test_connecting_as_linux_has_it),
        cmocka_unit_test(test_addresses_as_linux_has_it),
        cmocka_unit_test(test_room_as_linux_has_it),
        cmocka_unit_test(test_pipes_as_linux_has_it),
        cmocka_unit_test(test_pairs_as_linux_has_it),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
