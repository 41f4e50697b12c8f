/*
 * traffic.c - requests sent when they are due: see traffic.h.
 */
#include "support/traffic.h"

#include "support/http.h"
#include "support/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers handled before the clock is looked at for requests that are due. */
#define EVENTS_MAX 16

void traffic_init(struct traffic *traffic, int connections_max)
{
    *traffic = (struct traffic){.capacity = connections_max,
                                .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                                .send_max = UINT64_MAX};
    traffic->connections = calloc((size_t)connections_max, sizeof(*traffic->connections));
    whorl__heap_init(&traffic->idle, malloc, free);
    whorl__histogram_init(&traffic->lag);
    if (traffic->epoll_fd < 0 || !traffic->connections ||
        whorl__heap_reserve(&traffic->idle, (size_t)connections_max)) {
        bench_die("cannot begin: %s", strerror(errno));
    }
}

void traffic_fini(struct traffic *traffic)
{
    for (int i = 0; i < traffic->count; i++) {
        close(traffic->connections[i].fd);
    }
    whorl__heap_fini(&traffic->idle);
    free(traffic->connections);
    close(traffic->epoll_fd);
}

void traffic_add(struct traffic *traffic, struct traffic_class *class, int fd)
{
    struct traffic_connection *connection = &traffic->connections[traffic->count++];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    WHORL_CHECK(traffic->count <= traffic->capacity, "more connections than announced");
    connection->class = class;
    connection->fd = fd;
    class->connections++;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) || epoll_ctl(traffic->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        bench_die("cannot watch a connection: %s", strerror(errno));
    }
}

static bool is_closed_loop(const struct traffic_class *class)
{
    return class->rate <= 0;
}

static bool is_in_window(const struct traffic *traffic, int64_t time_ns)
{
    return time_ns >= traffic->begin_ns && time_ns < traffic->end_ns;
}

/* Uniform in (0, 1]. */
static double random_fraction(struct whorl__random *random)
{
    return (double)((whorl__random_u64(random) >> 11) + 1) * 0x1p-53;
}

static int64_t next_gap_ns(struct traffic_connection *connection)
{
    const struct traffic_class *class = connection->class;
    const double mean_ns = 1e9 * class->connections / class->rate;
    if (class->arrival == TRAFFIC_FIXED) {
        return (int64_t)mean_ns;
    }
    return (int64_t)(-log(random_fraction(&connection->random)) * mean_ns);
}

/*
 * The connection is of no further use; its schedule goes on and is counted as unanswered. A server
 * that ends after the last request closes those that wait for nothing: no error.
 */
static void lose(struct traffic *traffic, struct traffic_connection *connection)
{
    const bool over = !connection->waiting && traffic->sent == traffic->send_max;
    traffic->errors += !over;
    epoll_ctl(traffic->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
}

static void send_request(struct traffic *traffic, struct traffic_connection *connection,
                         int64_t intended_ns)
{
    const struct traffic_class *class = connection->class;
    connection->intended_ns = intended_ns;
    connection->waiting = true;
    connection->filled = 0;
    traffic->waiting++;
    traffic->sent++;
    const ssize_t sent = send(connection->fd, class->request, class->request_bytes, MSG_NOSIGNAL);
    /* The socket's buffer is empty, as all earlier requests were answered: no part can be left. */
    if (sent != (ssize_t) class->request_bytes) {
        lose(traffic, connection);
    }
}

/* The next intended time of an open loop; the schedule moves on. */
static int64_t take_due(struct traffic_connection *connection)
{
    const int64_t due_ns = connection->due_ns;
    connection->due_ns += next_gap_ns(connection);
    return due_ns;
}

/* What an idle connection does next. */
static void proceed(struct traffic *traffic, struct traffic_connection *connection, int64_t now_ns)
{
    if (traffic->sent == traffic->send_max) {
        return;
    }
    if (is_closed_loop(connection->class)) {
        if (now_ns < traffic->end_ns) {
            send_request(traffic, connection, now_ns);
        }
    } else if (connection->due_ns >= traffic->end_ns) {
        return; /* its schedule is over */
    } else if (connection->due_ns <= now_ns) {
        send_request(traffic, connection, take_due(connection));
    } else if (whorl__heap_insert(&traffic->idle, &connection->node, connection->due_ns)) {
        bench_die("out of memory"); /* reserved in traffic_init */
    }
}

/* Bytes that the complete answer has; 0: not known yet; -EBADMSG. */
static ssize_t answer_bytes(struct traffic *traffic, const struct traffic_connection *connection)
{
    struct http_head head;
    if (traffic->echo_bytes) {
        return (ssize_t)traffic->echo_bytes;
    }
    const int parsed = http_head_parse(connection->reply, connection->filled, &head);
    if (parsed <= 0) {
        return parsed;
    }
    if (head.status != 200) {
        traffic->errors++;
    }
    return (ssize_t)(head.head_bytes + head.body_bytes);
}

static void take_answer(struct traffic *traffic, struct traffic_connection *connection)
{
    struct traffic_class *class = connection->class;
    const int64_t now_ns = bench_now_ns();
    connection->waiting = false;
    traffic->waiting--;
    traffic->received++;
    if (is_in_window(traffic, connection->intended_ns)) {
        whorl__histogram_record(&class->latency, now_ns - connection->intended_ns);
    }
    if (is_in_window(traffic, now_ns)) {
        class->answered++;
    }
    proceed(traffic, connection, now_ns);
}

static void receive(struct traffic *traffic, struct traffic_connection *connection)
{
    const ssize_t count = recv(connection->fd, connection->reply + connection->filled,
                               sizeof(connection->reply) - connection->filled, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (count <= 0 || !connection->waiting) { /* closed, or an answer that nobody asked for */
        lose(traffic, connection);
        return;
    }
    connection->filled += (size_t)count;
    const ssize_t wanted = answer_bytes(traffic, connection);
    if (wanted < 0 || (size_t)wanted > sizeof(connection->reply) ||
        (wanted && connection->filled > (size_t)wanted)) {
        lose(traffic, connection);
    } else if (wanted && connection->filled == (size_t)wanted) {
        take_answer(traffic, connection);
    }
}

void traffic_start(struct traffic *traffic, uint64_t seed, int64_t start_ns, int64_t begin_ns,
                   int64_t end_ns)
{
    traffic->begin_ns = begin_ns;
    traffic->end_ns = end_ns;
    for (int i = 0; i < traffic->count; i++) {
        struct traffic_connection *connection = &traffic->connections[i];
        /* The generator hashes its state, so neighbouring states give unrelated schedules. */
        whorl__random_init(&connection->random, (seed << 20) + (uint64_t)i);
        connection->due_ns = start_ns;
        if (!is_closed_loop(connection->class)) {
            const double phase = random_fraction(&connection->random);
            const int64_t gap_ns = next_gap_ns(connection);
            connection->due_ns += connection->class->arrival == TRAFFIC_FIXED
                                      ? (int64_t)(phase * (double)gap_ns)
                                      : gap_ns;
        }
        proceed(traffic, connection, start_ns - 1); /* only closed loops send already */
    }
}

/* Sends what is due by now, and returns when the next one is: INT64_MAX when none. */
static int64_t send_all_due(struct traffic *traffic)
{
    struct whorl__heap_node *node;
    while ((node = whorl__heap_peek(&traffic->idle)) != NULL && traffic->sent < traffic->send_max) {
        struct traffic_connection *connection =
            whorl_container_of(node, struct traffic_connection, node);
        const int64_t late_ns = bench_now_ns() - connection->due_ns;
        if (late_ns < 0) {
            return connection->due_ns;
        }
        if (is_in_window(traffic, connection->due_ns)) {
            whorl__histogram_record(&traffic->lag, late_ns);
        }
        whorl__heap_pop(&traffic->idle);
        send_request(traffic, connection, take_due(connection));
    }
    return INT64_MAX;
}

static void wait_for_answers(struct traffic *traffic, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const int64_t now_ns = bench_now_ns();
    const int64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    const struct timespec timeout = {.tv_sec = wait_ns / 1000000000,
                                     .tv_nsec = wait_ns % 1000000000};
    const int count = epoll_pwait2(traffic->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    if (count < 0 && errno != EINTR) {
        bench_die("epoll_pwait2 (Linux 5.11 and later): %s", strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        receive(traffic, events[i].data.ptr);
    }
}

void traffic_run(struct traffic *traffic, int64_t until_ns)
{
    while (bench_now_ns() < until_ns && traffic->received < traffic->send_max) {
        const int64_t due_ns = send_all_due(traffic);
        wait_for_answers(traffic, due_ns < until_ns ? due_ns : until_ns);
    }
}

/* Counts what the connection still owes, with the time it has waited. */
static void count_unanswered(struct traffic *traffic, struct traffic_connection *connection,
                             int64_t now_ns)
{
    struct traffic_class *class = connection->class;
    if (is_closed_loop(class) && !connection->waiting) {
        return;
    }
    int64_t intended_ns = connection->waiting ? connection->intended_ns : take_due(connection);
    while (intended_ns < traffic->end_ns) {
        if (is_in_window(traffic, intended_ns)) {
            whorl__histogram_record(&class->latency, now_ns - intended_ns);
            class->unanswered++;
        }
        if (is_closed_loop(class)) {
            return;
        }
        intended_ns = take_due(connection);
    }
}

void traffic_drain(struct traffic *traffic, int64_t deadline_ns)
{
    while (bench_now_ns() < deadline_ns && (traffic->waiting || whorl__heap_peek(&traffic->idle))) {
        const int64_t due_ns = send_all_due(traffic);
        wait_for_answers(traffic, due_ns < deadline_ns ? due_ns : deadline_ns);
    }
    const int64_t now_ns = bench_now_ns();
    for (int i = 0; i < traffic->count; i++) {
        count_unanswered(traffic, &traffic->connections[i], now_ns);
    }
}
