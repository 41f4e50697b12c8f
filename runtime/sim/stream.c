/*
 * stream.c - bytes under way: cut into pieces, each with a delay of its own, never out of order.
 *
 * A writer is told of room only if it was told before that there was none, and only when a third is
 * free: as Linux does, so an edge that the runtime misses does not come again. What arrives where
 * nobody is any more comes back as a reset.
 *
 * Owns:       the contents of ways.
 * Threads:    the carrier.
 */
#include "sim/stream.h"

#include "base/assert.h"

#include <errno.h>

#define PIECES_MAX 3

struct piece {
    struct whorl__sim_timer timer; /* first */
    struct whorl__sim_connection *connection;
    enum whorl__sim_piece kind;
    unsigned from;
    size_t bytes;
};

struct whorl__sim_connection *whorl__sim_connection_new(bool local)
{
    struct whorl__sim_connection *const connection = whorl__sim_own(sizeof *connection);
    const size_t room = whorl__sim->options.buffer_bytes;
    connection->local = local;
    for (unsigned i = 0; i < 2; i++) {
        connection->ways[i].room = room;
        connection->ways[i].bytes = whorl__sim_own(room);
    }
    return connection;
}

static void free_if_unused(struct whorl__sim_connection *connection)
{
    if (connection->ends[0] == NULL && connection->ends[1] == NULL &&
        connection->under_way == 0) {
        whorl__sim_disown(connection->ways[0].bytes);
        whorl__sim_disown(connection->ways[1].bytes);
        whorl__sim_disown(connection);
    }
}

/* ---- arrivals ---- */

static void data_arrived(struct whorl__sim_connection *connection, unsigned from, size_t bytes)
{
    struct whorl__sim_way *const way = &connection->ways[from];
    struct whorl__sim_socket *const reader = connection->ends[1 - from];
    if (reader != NULL && reader->was_reset) {
        return; /* came too late */
    }
    way->visible += bytes;
    WHORL_ASSERT(way->visible <= way->held);
    if (reader != NULL && !whorl__sim_goes_wrong(WHORL__SIM_LOSE_EDGE)) {
        whorl__sim_file_notify(&reader->file, EPOLLIN);
    } else if (reader == NULL) {
        whorl__sim_send_piece(connection, 1 - from, WHORL__SIM_RST, 0, whorl__sim_latency());
    }
}

static void fin_arrived(struct whorl__sim_connection *connection, unsigned from)
{
    struct whorl__sim_socket *const reader = connection->ends[1 - from];
    connection->ways[from].fin_seen = true;
    if (reader != NULL) {
        whorl__sim_file_notify(&reader->file, 0);
    }
}

static void space_arrived(struct whorl__sim_connection *connection, unsigned reader)
{
    struct whorl__sim_way *const way = &connection->ways[1 - reader];
    struct whorl__sim_socket *const writer = connection->ends[1 - reader];
    if (writer != NULL && way->want_space && whorl__sim_has_space(way)) {
        way->want_space = false;
        if (!whorl__sim_goes_wrong(WHORL__SIM_LOSE_SPACE)) {
            whorl__sim_file_notify(&writer->file, EPOLLOUT);
        }
    }
}

static void rst_arrived(struct whorl__sim_connection *connection, unsigned from)
{
    struct whorl__sim_socket *const socket = connection->ends[1 - from];
    /* as Linux: who has had the peer's end is told that nobody listens, others of the reset */
    const bool had_end = !connection->local && connection->ways[from].fin_seen;
    if (socket != NULL && !socket->was_reset) {
        socket->was_reset = true;
        socket->error = had_end ? EPIPE : ECONNRESET;
        whorl__sim_file_notify(&socket->file, 0);
    }
}

static void piece_arrived(struct whorl__sim_timer *timer)
{
    const struct piece *const piece = (struct piece *)(void *)timer;
    struct whorl__sim_connection *const connection = piece->connection;
    switch (piece->kind) {
    case WHORL__SIM_DATA:
        data_arrived(connection, piece->from, piece->bytes);
        break;
    case WHORL__SIM_FIN:
        fin_arrived(connection, piece->from);
        break;
    case WHORL__SIM_SPACE:
        space_arrived(connection, piece->from);
        break;
    case WHORL__SIM_RST:
        rst_arrived(connection, piece->from);
        break;
    case WHORL__SIM_SYN:
        whorl__sim_syn_arrived(connection);
        break;
    case WHORL__SIM_ACK:
        whorl__sim_ack_arrived(connection);
        break;
    }
    connection->under_way--;
    free_if_unused(connection);
}

void whorl__sim_send_piece(struct whorl__sim_connection *connection, unsigned from,
                           enum whorl__sim_piece kind, size_t bytes, int64_t delay_ns)
{
    struct whorl__sim_way *const way = &connection->ways[from];
    const bool in_order = kind == WHORL__SIM_DATA || kind == WHORL__SIM_FIN;
    const int64_t now_ns = whorl__sim->now_ns;
    struct piece *const piece = whorl__sim_own(sizeof *piece);
    *piece = (struct piece){.timer.fire = piece_arrived,
                            .connection = connection,
                            .kind = kind,
                            .from = from,
                            .bytes = bytes};
    if (in_order) {
        delay_ns = way->last_ns > now_ns + delay_ns ? way->last_ns - now_ns : delay_ns;
        way->last_ns = now_ns + delay_ns;
    }
    connection->under_way++;
    whorl__sim_later(&piece->timer, delay_ns);
}

/* ---- moving bytes ---- */

static void copy_in(struct whorl__sim_way *way, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        way->bytes[(way->start + way->held + i) % way->room] = bytes[i];
    }
    way->held += count;
}

static size_t put_parts(struct whorl__sim_way *way, const struct iovec *parts, size_t part_count,
                        size_t count_max)
{
    size_t done = 0;
    for (size_t i = 0; i < part_count && done < count_max; i++) {
        const size_t left = count_max - done;
        const size_t step = parts[i].iov_len < left ? parts[i].iov_len : left;
        copy_in(way, parts[i].iov_base, step);
        done += step;
    }
    return done;
}

static size_t some_of(size_t count)
{
    const uint32_t bound = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    return 1 + whorl__random_below(&whorl__sim->kernel, bound);
}

static void send_data(struct whorl__sim_connection *connection, unsigned from, size_t count)
{
    unsigned pieces = 0;
    while (count > 0) {
        const size_t bytes = ++pieces == PIECES_MAX ? count : some_of(count);
        whorl__sim_send_piece(connection, from, WHORL__SIM_DATA, bytes, whorl__sim_latency());
        count -= bytes;
    }
}

static size_t total_of(const struct iovec *parts, size_t part_count)
{
    size_t total = 0;
    for (size_t i = 0; i < part_count; i++) {
        total += parts[i].iov_len;
    }
    return total;
}

ssize_t whorl__sim_put(struct whorl__sim_connection *connection, unsigned from,
                       const struct iovec *parts, size_t part_count)
{
    struct whorl__sim_way *const way = &connection->ways[from];
    const size_t wanted = total_of(parts, part_count);
    size_t count = way->room - way->held;
    if (wanted == 0) {
        return 0;
    }
    if (count == 0) {
        way->want_space = true;
        return -EAGAIN;
    }
    if (whorl__sim_fault(WHORL_SIM_AGAIN)) {
        way->want_space = true;
        whorl__sim_send_piece(connection, 1 - from, WHORL__SIM_SPACE, 0, whorl__sim_latency());
        return -EAGAIN;
    }
    count = count < wanted ? count : wanted;
    count = whorl__sim_fault(WHORL_SIM_SHORT) ? some_of(count) : count;
    count = put_parts(way, parts, part_count, count);
    if (connection->local) {
        data_arrived(connection, from, count);
    } else {
        send_data(connection, from, count);
    }
    return (ssize_t)count;
}

static void make_room(struct whorl__sim_connection *connection, unsigned reader, size_t count)
{
    struct whorl__sim_way *const way = &connection->ways[1 - reader];
    way->start = (way->start + count) % way->room;
    way->visible -= count;
    way->held -= count;
    if (connection->local) {
        space_arrived(connection, reader);
    } else if (way->want_space) {
        whorl__sim_send_piece(connection, reader, WHORL__SIM_SPACE, 0, whorl__sim_latency());
    }
}

/* A read of TCP gives all that is there: so Linux does it, and the runtime relies on it. */
ssize_t whorl__sim_take(struct whorl__sim_connection *connection, unsigned to, void *ret_bytes,
                        size_t bytes_max, bool peek)
{
    struct whorl__sim_way *const way = &connection->ways[1 - to];
    char *const bytes = ret_bytes;
    size_t count = way->visible < bytes_max ? way->visible : bytes_max;
    if (way->visible == 0) {
        return -EAGAIN;
    }
    if ((connection->local && count > 0 && whorl__sim_fault(WHORL_SIM_SHORT)) ||
        (count > 0 && whorl__sim_goes_wrong(WHORL__SIM_EARLY_END))) {
        count = some_of(count);
    }
    for (size_t i = 0; i < count; i++) {
        bytes[i] = way->bytes[(way->start + i) % way->room];
    }
    if (!peek) {
        const bool loses = count < way->visible && whorl__sim_goes_wrong(WHORL__SIM_LOSE_BYTE);
        make_room(connection, to, count + loses);
    }
    return (ssize_t)count;
}

/* ---- the end ---- */

void whorl__sim_send_fin(struct whorl__sim_connection *connection, unsigned from)
{
    struct whorl__sim_way *const way = &connection->ways[from];
    if (way->fin_sent) {
        return;
    }
    way->fin_sent = true;
    if (connection->local) {
        fin_arrived(connection, from);
    } else {
        whorl__sim_send_piece(connection, from, WHORL__SIM_FIN, 0, whorl__sim_latency());
    }
}

/* As Linux: who closes without having read all, or asked for it, drops the connection. */
void whorl__sim_leave_end(struct whorl__sim_connection *connection, unsigned end, bool drop)
{
    struct whorl__sim_socket *const other = connection->ends[1 - end];
    const bool unread = connection->ways[1 - end].visible > 0;
    connection->ends[end] = NULL;
    if (!unread && !drop) {
        whorl__sim_send_fin(connection, end);
    } else if (!connection->local) {
        whorl__sim_send_piece(connection, end, WHORL__SIM_RST, 0, whorl__sim_latency());
    } else if (other != NULL && !other->is_pipe) {
        rst_arrived(connection, end);
    }
    if (connection->local && other != NULL) {
        whorl__sim_file_notify(&other->file, 0); /* nobody is there any more */
    }
    free_if_unused(connection);
}
