/*
 * stream.h - a connection: two ends, bytes under way between them, and how it ends.
 *
 * Owns:       struct whorl__sim_connection and its two ways; struct whorl__sim_socket.
 * Threads:    the carrier.
 * Invariant:  what is sent is held by its way until it is read: first under way, in pieces that
 *             arrive in order, then visible. A way never holds more than its room.
 *             A connection lives while an end is open or a piece is under way.
 *
 *   ends[0] --- ways[0]: [ under way ][ visible ] ---> ends[1]
 *   ends[0] <-- ways[1]: [ visible ][ under way ] ---- ends[1]
 */
#ifndef WHORL_SIM_STREAM_H
#define WHORL_SIM_STREAM_H

#include "sim/sim.h"

struct whorl__sim_way {
    char *bytes; /* a ring */
    size_t room;
    size_t start;
    size_t visible;
    size_t held;     /* visible and under way */
    int64_t last_ns; /* when the last piece arrives */
    bool fin_sent;
    bool fin_seen;
    bool want_space; /* the writer was told that there is no room */
};

struct whorl__sim_connection {
    struct whorl__sim_way ways[2];
    struct whorl__sim_socket *ends[2]; /* NULL: closed */
    unsigned under_way;                /* pieces */
    unsigned attempts;                 /* to connect */
    bool local;                        /* a pair or a pipe: what is written has arrived */
    struct sockaddr_storage target;    /* whom it is to reach */
};

enum whorl__sim_socket_state {
    WHORL__SIM_IDLE,
    WHORL__SIM_LISTENING,
    WHORL__SIM_CONNECTING,
    WHORL__SIM_CONNECTED,
};

struct whorl__sim_socket {
    struct whorl__sim_file file;
    struct whorl__list link; /* of sim->sockets */
    enum whorl__sim_socket_state state;
    int domain;
    bool is_pipe;
    bool bound;
    bool reuse_address;
    bool reuse_port;
    bool drop_at_close; /* SO_LINGER with no time */
    bool shut_read;
    bool shut_write;
    bool was_reset;
    int error; /* as SO_ERROR tells it, once */
    struct sockaddr_storage local;
    struct sockaddr_storage peer;
    struct whorl__sim_connection *connection;
    unsigned end;
    unsigned backlog;
    unsigned pending_count;
    struct whorl__list pending; /* LISTENING: sockets nobody has accepted */
    struct whorl__list in_pending;
};

enum whorl__sim_piece {
    WHORL__SIM_DATA,
    WHORL__SIM_FIN,
    WHORL__SIM_SPACE, /* the reader has made room */
    WHORL__SIM_RST,
    WHORL__SIM_SYN,
    WHORL__SIM_ACK,   /* the connection is there */
};

struct whorl__sim_connection *whorl__sim_connection_new(bool local);

/* To the other end of `from`, in order; SPACE and RST concern ends[1 - from]. */
void whorl__sim_send_piece(struct whorl__sim_connection *connection, unsigned from,
                           enum whorl__sim_piece piece, size_t bytes, int64_t delay_ns);

/* Bytes moved; -EAGAIN when there is no room, or nothing visible. */
ssize_t whorl__sim_put(struct whorl__sim_connection *connection, unsigned from,
                       const struct iovec *parts, size_t part_count);
ssize_t whorl__sim_take(struct whorl__sim_connection *connection, unsigned to, void *ret_bytes,
                        size_t bytes_max, bool peek);

void whorl__sim_send_fin(struct whorl__sim_connection *connection, unsigned from);
void whorl__sim_leave_end(struct whorl__sim_connection *connection, unsigned end, bool drop);

/* socket.c: a piece that concerns the making of a connection has arrived. */
void whorl__sim_syn_arrived(struct whorl__sim_connection *connection);
void whorl__sim_ack_arrived(struct whorl__sim_connection *connection);

static inline bool whorl__sim_has_space(const struct whorl__sim_way *way)
{
    return 3 * (way->room - way->held) >= way->room; /* as Linux: a third */
}

#endif
