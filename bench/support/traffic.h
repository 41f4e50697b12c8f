/*
 * traffic.h - requests sent when they are due, whatever the server does meanwhile.
 *
 * Each connection of a class has a schedule of its own: a sequence of intended times, drawn from a
 * seed. A request is sent at its intended time, or, when the one before it on the same connection
 * has not been answered, as soon as it is. Its latency counts from the intended time in both cases:
 * a server that stops for 30 ms is charged for every request that should have come meanwhile.
 * A class without a rate is a closed loop instead: each answer sends the next request.
 *
 *   IDLE --due--> WAITING --answer, next not due--> IDLE          IDLE:    in the heap, by due time
 *                  |   ^                                          WAITING: one request is under way
 *                  +---+ answer, next due already
 *
 * Owns:       the connections, one epoll descriptor, the histograms.
 * Threads:    one.
 * Invariant:  what is due inside the window and was not answered is counted all the same, with the
 *             time it has waited so far. Leaving it out would favour the server that lost it.
 * Not chosen: a queue of intended times per connection. The schedule is a sequence, so the time of
 *             the next one is all that must be kept.
 */
#ifndef WHORL_BENCH_TRAFFIC_H
#define WHORL_BENCH_TRAFFIC_H

#include "base/heap.h"
#include "base/histogram.h"
#include "base/random.h"

#define TRAFFIC_REPLY_MAX 2048 /* head and body; what the server under test sends is far less */

enum traffic_arrival {
    TRAFFIC_POISSON, /* independent arrivals: the gaps are exponential */
    TRAFFIC_FIXED    /* equal gaps, each connection with a phase of its own */
};

/* Connections that ask for the same thing at the same rate. */
struct traffic_class {
    const char *name;
    char *request;
    size_t request_bytes;
    enum traffic_arrival arrival;
    double rate;     /* requests/s of all its connections together; 0: closed loop */
    int connections; /* how many traffic_start will find */

    struct whorl__histogram latency; /* ns, of requests intended inside the window */
    uint64_t answered;               /* answers that came inside the window */
    uint64_t unanswered;             /* intended inside the window, not answered by the end */
};

struct traffic_connection {
    struct whorl__heap_node node; /* in traffic.idle, keyed by due_ns */
    struct traffic_class *class;
    int fd;
    bool waiting;
    int64_t intended_ns; /* of the request under way */
    int64_t due_ns;      /* of the request after it */
    struct whorl__random random;
    size_t filled;
    char reply[TRAFFIC_REPLY_MAX];
};

struct traffic {
    int epoll_fd;
    struct whorl__heap idle;
    struct traffic_connection *connections;
    int count;
    int capacity;

    size_t echo_bytes; /* an answer is that many bytes; 0: an answer is HTTP */
    uint64_t send_max; /* nothing is sent after that many requests */
    int64_t begin_ns;  /* the window: what is intended from here */
    int64_t end_ns;    /* to before here is measured; nothing intended later is sent */

    uint64_t sent;
    uint64_t received;
    uint64_t errors;             /* answers with a status other than 200; connections lost */
    int waiting;                 /* connections with a request under way */
    struct whorl__histogram lag; /* ns from due to sent, of connections that were idle */
};

/* Ends the program if it cannot. */
void traffic_init(struct traffic *traffic, int connections_max);
void traffic_fini(struct traffic *traffic);

/* Takes over a connected socket and makes it non-blocking. */
void traffic_add(struct traffic *traffic, struct traffic_class *class, int fd);

/*
 * Begins: schedules run from start_ns, the window is begin_ns .. end_ns. Every connection's
 * schedule follows from the seed and the order of traffic_add.
 */
void traffic_start(struct traffic *traffic, uint64_t seed, int64_t start_ns, int64_t begin_ns,
                   int64_t end_ns);

/* Sends and receives until until_ns, or until send_max requests were answered. */
void traffic_run(struct traffic *traffic, int64_t until_ns);

/* After the window: waits for answers, at most until deadline_ns, and counts what is missing. */
void traffic_drain(struct traffic *traffic, int64_t deadline_ns);

#endif
