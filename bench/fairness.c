/*
 * fairness.c - a thousand connections at an echo server: how much does the slowest of them get?
 *
 * Question:    does every connection get its turn, at one loop and at all, also when one loop has
 *              to do with much heavier ones?
 * Good answer: the slowest connection is served at least half as often as the average. With equal
 *              connections it should be near the average.
 *
 * Each connection is a closed loop: it sends a message when it has the answer to the one before. A
 * thread of its own does that for all of them, a batch of events at a time, each connection at most
 * once a batch; so what differs between connections is what the server makes of them. Requests are
 * counted by connection, in a window of so many requests, not of so much time: on several loops who
 * is ahead changes all the time, and so the shares are the more equal, the more is counted.
 *
 *   equal   all send light requests
 *   skewed  one in ten sends requests that are computed on, and all of these are accepted by loop
 *           0; the others are compared among each other, and so are these
 *
 * The bar is on the median of the rounds: the average by the slowest, at most 2.
 */
#include "support/measure.h"
#include "whorl.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define CONNECTIONS   1000
#define HEAVY_EACH    10 /* one in so many, when skewed */
#define MESSAGE_BYTES 64
#define HEAVY_NS      (50 * WHORL_MICROSECOND)
#define WARM_UP_EACH  10 /* on average */
#define WINDOW_EACH   50
#define QUICK_EACH    20
#define STILL_MS      10000 /* without any answer */
#define FAIR_BAR      2.0

static const char help[] =
    "1000 connections, each with one request under way, at an echo server on one loop and on all.\n"
    "Exit code 1: the slowest connection gets less than half of the average.";

enum class { LIGHT, HEAVY, CLASSES };

struct connection {
    int fd;
    enum class class;
    size_t filled;
    long served; /* inside the window */
};

/* One window. */
struct run {
    int loops;
    int count;
    int window_each;
    bool skewed;
    int ports[CLASSES];
    struct connection *connections;
    struct whorl_future *over; /* the generator has closed them all */
};

/* What came of the connections of one class. */
struct shares {
    long min;
    long p1;
    long max;
    double mean;
};

/* ---- the server ---- */

/* As long as on a quiet machine; the clock is looked at, so that it is as long anywhere. */
static void compute(void)
{
    const int64_t end_ns = bench_now_ns() + HEAVY_NS;
    while (bench_now_ns() < end_ns) {
    }
}

static int echo(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char bytes[2 * MESSAGE_BYTES];
    ssize_t count;
    while ((count = whorl_read(fd, bytes, sizeof(bytes))) > 0) {
        if (bytes[0] == 'h') {
            compute();
        }
        if (whorl_write(fd, bytes, (size_t)count) != count) {
            break;
        }
    }
    return whorl_close(fd);
}

static int accept_all(void *arg)
{
    const int listener = (int)(intptr_t)arg;
    int fd;
    int error = 0;
    while (error == 0 && (fd = whorl_accept(listener)) >= 0) {
        error = whorl_spawn(echo, (void *)(intptr_t)fd, NULL, NULL);
    }
    (void)whorl_close(listener);
    return error;
}

static int listen_on(int loop, int port)
{
    const struct whorl_attr attr = {.name = "accept", .pin = WHORL_PIN(loop)};
    const int listener = whorl_tcp_listen("127.0.0.1", port, CONNECTIONS, WHORL_REUSEPORT);
    if (listener < 0) {
        return listener;
    }
    const int error = whorl_spawn(accept_all, (void *)(intptr_t)listener, &attr, NULL);
    return error != 0 ? error : whorl_socket_port(listener);
}

/* Light ones anywhere: a listener a loop. Heavy ones at loop 0. */
static int open_ports(struct run *run)
{
    int port = 0;
    for (int loop = 0; loop < run->loops && port >= 0; loop++) {
        port = listen_on(loop, port);
    }
    run->ports[LIGHT] = port;
    run->ports[HEAVY] = port < 0 ? port : listen_on(0, 0);
    return run->ports[HEAVY] < 0 ? run->ports[HEAVY] : 0;
}

/* ---- the generator; nothing of whorl but the future at its end ---- */

static int connect_to(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        bench_die("cannot connect: %s", strerror(errno));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return fd;
}

static void send_request(const struct connection *connection)
{
    char message[MESSAGE_BYTES] = {connection->class == HEAVY ? 'h' : 'l'};
    if (send(connection->fd, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message)) {
        bench_die("cannot send: %s", strerror(errno));
    }
}

static void open_all(struct run *run, int epoll_fd)
{
    for (int i = 0; i < run->count; i++) {
        struct connection *const connection = &run->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        *connection =
            (struct connection){.class = run->skewed && i % HEAVY_EACH == 0 ? HEAVY : LIGHT};
        connection->fd = connect_to(run->ports[connection->class]);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
            bench_die("epoll_ctl: %s", strerror(errno));
        }
    }
}

/* Its answer, or a part of it: whether that is whole. */
static bool receive(struct connection *connection, bool counts)
{
    char message[MESSAGE_BYTES];
    const ssize_t got = recv(connection->fd, message, MESSAGE_BYTES - connection->filled, 0);
    if (got <= 0) {
        bench_die("the server has closed a connection");
    }
    connection->filled += (size_t)got;
    if (connection->filled < MESSAGE_BYTES) {
        return false;
    }
    connection->filled = 0;
    connection->served += counts;
    send_request(connection);
    return true;
}

static void drive(struct run *run, int epoll_fd)
{
    static struct epoll_event events[CONNECTIONS];
    const long warm_up = (long)run->count * WARM_UP_EACH;
    const long end = warm_up + (long)run->count * run->window_each;
    long answers = 0;
    for (int i = 0; i < run->count; i++) {
        send_request(&run->connections[i]);
    }
    while (answers < end) {
        const bool counts = answers >= warm_up;
        const int count = epoll_wait(epoll_fd, events, run->count, STILL_MS);
        if (count <= 0) {
            bench_die("the server answers nobody");
        }
        for (int i = 0; i < count; i++) {
            answers += receive(events[i].data.ptr, counts);
        }
    }
}

static void *generate(void *arg)
{
    struct run *const run = arg;
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        bench_die("epoll_create1: %s", strerror(errno));
    }
    open_all(run, epoll_fd);
    drive(run, epoll_fd);
    for (int i = 0; i < run->count; i++) {
        close(run->connections[i].fd);
    }
    close(epoll_fd);
    (void)whorl_future_set_result(run->over, NULL);
    return NULL;
}

/* ---- a run ---- */

/* What is left when it returns, the acceptors above all, is cancelled. */
static int serve(void *arg)
{
    struct run *const run = arg;
    pthread_t generator;
    int error = open_ports(run);
    if (error == 0) {
        error = -pthread_create(&generator, NULL, generate, run);
    }
    if (error != 0) {
        return error;
    }
    error = whorl_future_await(run->over, NULL);
    pthread_join(generator, NULL);
    return error;
}

static int compare(const void *a, const void *b)
{
    const long first = *(const long *)a;
    const long second = *(const long *)b;
    return (first > second) - (first < second);
}

static struct shares shares_of(const struct run *run, enum class class)
{
    static long served[CONNECTIONS];
    int count = 0;
    double sum = 0;
    for (int i = 0; i < run->count; i++) {
        if (run->connections[i].class == class) {
            served[count++] = run->connections[i].served;
            sum += (double)run->connections[i].served;
        }
    }
    qsort(served, (size_t)count, sizeof(served[0]), compare);
    return (struct shares){
        .min = served[0], .p1 = served[count / 100], .max = served[count - 1], .mean = sum / count};
}

static void run_once(struct run *run)
{
    const struct whorl_options options = {.loops = run->loops};
    int error = whorl_future_new(&run->over);
    if (error == 0) {
        error = whorl_run(serve, run, &options);
        whorl_future_unref(run->over);
    }
    if (error != 0) {
        bench_die("the server failed: %s", strerror(-error));
    }
}

/* ---- what came of it ---- */

struct figures {
    struct bench_series min, p1, mean, max, ratio;
};

static void add_shares(struct figures *figures, const struct shares *shares)
{
    if (shares->mean <= 0) {
        bench_die("nothing was served");
    }
    bench_series_add(&figures->min, (double)shares->min);
    bench_series_add(&figures->p1, (double)shares->p1);
    bench_series_add(&figures->mean, shares->mean);
    bench_series_add(&figures->max, (double)shares->max);
    bench_series_add(&figures->ratio, (double)shares->min / shares->mean);
}

/* min / mean is for people; the bar is its inverse, since bars are what is not to be exceeded. */
static int report(struct json *json, const struct json_place *place, const struct figures *figures)
{
    bench_report(json, place, "slowest connection", &figures->min, "requests");
    bench_report(json, place, "p1", &figures->p1, "requests");
    bench_report(json, place, "average", &figures->mean, "requests");
    bench_report(json, place, "fastest connection", &figures->max, "requests");
    bench_report(json, place, "slowest to average", &figures->ratio, "");
    return bench_report_bar(json, place, "average to slowest",
                            1 / bench_series_median(&figures->ratio), FAIR_BAR, "");
}

static int measure(struct json *json, struct run *run, int rounds)
{
    static const char *const loads[] = {"1000 equal", "900 light beside heavy",
                                        "100 heavy on loop 0"};
    struct figures figures[CLASSES] = {{{{0}, 0}, {{0}, 0}, {{0}, 0}, {{0}, 0}, {{0}, 0}}};
    const enum class classes = run->skewed ? CLASSES : HEAVY;
    int missed = 0;
    for (int round = 0; round < rounds; round++) {
        run_once(run);
        for (enum class class = LIGHT; class < classes; class ++) {
            const struct shares shares = shares_of(run, class);
            add_shares(&figures[class], &shares);
        }
    }
    for (enum class class = LIGHT; class < classes; class ++) {
        const struct json_place place = {"fairness", loads[run->skewed ? 1 + (int)class : 0],
                                         run->loops == 1 ? "single" : "stealing", run->loops};
        missed |= report(json, &place, &figures[class]);
    }
    return missed;
}

/* Both ends of each connection are here. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    const rlim_t wanted = 2 * CONNECTIONS + 100;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < wanted) {
        bench_die("needs %d descriptors: ulimit -n", (int)wanted);
    }
    limit.rlim_cur = limit.rlim_cur > wanted ? limit.rlim_cur : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS];
    const struct bench_options options = bench_options_parse(argc, argv, 3, help);
    const int cores = bench_core_count() > 1 ? bench_core_count() : 2;
    struct json json;
    int missed = 0;
    allow_descriptors();
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    for (int i = 0; i < 4; i++) {
        struct run run = {.loops = i % 2 == 0 ? 1 : cores,
                          .count = CONNECTIONS,
                          .window_each = options.quick ? QUICK_EACH : WINDOW_EACH,
                          .skewed = i >= 2,
                          .connections = connections};
        missed |= measure(&json, &run, options.quick ? 1 : options.rounds);
    }
    return json_close(&json) ? 2 : missed;
}
