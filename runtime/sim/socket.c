/*
 * socket.c - sockets: their addresses, how two of them come together, what a poll says of them.
 *
 * Stream sockets only, of the families INET, INET6 and UNIX; all addresses are this machine. Paths
 * of UNIX sockets are names, not files: a name is free again when its socket is closed. An INET6
 * socket does not take INET connections.
 *
 *   IDLE --listen--> LISTENING
 *     +---connect--> CONNECTING --ack--> CONNECTED       accept makes CONNECTED ones
 *     ^                  |
 *     +---- refused -----+
 *
 * Owns:       struct whorl__sim_socket; sim->sockets.
 * Threads:    the carrier.
 */
#include "sim/stream.h"

#include "base/assert.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define SYN_AGAIN_NS   INT64_C(1000000000)
#define SYNS_MAX       6
#define RESET_NS_MAX   20000000
#define PORT_FIRST     40000
#define PIPE_ATOMIC    4096

static struct whorl__sim_socket *socket_in(struct whorl__sim_file *file)
{
    return whorl_container_of(file, struct whorl__sim_socket, file);
}

struct whorl__sim_socket *whorl__sim_socket_of(int fd, int *ret_error)
{
    struct whorl__sim_file *const file = whorl__sim_fd_file(fd);
    if (file == NULL || file->kind != WHORL__SIM_FILE_SOCKET) {
        *ret_error = file == NULL ? -EBADF : -ENOTSOCK;
        return NULL;
    }
    return socket_in(file);
}

/* ---- addresses ---- */

static uint16_t *port_of(struct sockaddr_storage *address)
{
    switch (address->ss_family) {
    case AF_INET:
        return &((struct sockaddr_in *)address)->sin_port;
    case AF_INET6:
        return &((struct sockaddr_in6 *)address)->sin6_port;
    default:
        return NULL;
    }
}

static bool is_any(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_ANY);
    }
    return address->ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (is_any(a) || is_any(b)) {
        return true;
    }
    if (a->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    }
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

/* Whether a connection to one of them could reach the other. */
static bool overlap(struct sockaddr_storage *a, struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_UNIX) {
        return memcmp(((struct sockaddr_un *)a)->sun_path, ((struct sockaddr_un *)b)->sun_path,
                      sizeof((struct sockaddr_un *)a)->sun_path) == 0;
    }
    return *port_of(a) == *port_of(b) && same_host(a, b);
}

static int copy_address(int domain, const struct sockaddr *from, socklen_t bytes,
                        struct sockaddr_storage *ret_address)
{
    if (bytes < sizeof from->sa_family || bytes > sizeof *ret_address) {
        return -EINVAL;
    }
    if (from->sa_family != domain) {
        return -EAFNOSUPPORT;
    }
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(ret_address, from, bytes);
    return 0;
}

static socklen_t bytes_of(const struct sockaddr_storage *address)
{
    switch (address->ss_family) {
    case AF_INET:
        return sizeof(struct sockaddr_in);
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
    default:
        return sizeof(struct sockaddr_un);
    }
}

static void give_address(const struct sockaddr_storage *address, struct sockaddr *ret_address,
                         socklen_t *ret_bytes)
{
    const socklen_t bytes = bytes_of(address);
    if (ret_address != NULL && ret_bytes != NULL) {
        memcpy(ret_address, address, *ret_bytes < bytes ? *ret_bytes : bytes);
        *ret_bytes = bytes;
    }
}

/* ---- making and binding ---- */

static struct whorl__sim_socket *new_socket(int domain)
{
    struct whorl__sim_socket *const made = whorl__sim_own(sizeof *made);
    whorl__sim_file_init(&made->file, WHORL__SIM_FILE_SOCKET);
    whorl__list_init(&made->pending);
    whorl__list_init(&made->in_pending);
    whorl__list_push_back(&whorl__sim->sockets, &made->link);
    made->domain = domain;
    made->local.ss_family = (sa_family_t)domain;
    made->peer.ss_family = (sa_family_t)domain;
    return made;
}

int whorl__sim_socket_new(int domain, int type, int protocol)
{
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) {
        return -EAFNOSUPPORT;
    }
    if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM ||
        (protocol != 0 && protocol != IPPROTO_TCP)) {
        return -EPROTONOSUPPORT;
    }
    const int error = whorl__sim_fd_room(1);
    if (error != 0) {
        return error;
    }
    return whorl__sim_fault(WHORL_SIM_NO_MEMORY) ? -ENOBUFS
                                                 : whorl__sim_fd_new(&new_socket(domain)->file);
}

/* Whether `other` keeps `asking` from an address that they would share. */
static bool stands_in_the_way(const struct whorl__sim_socket *other,
                              const struct whorl__sim_socket *asking)
{
    if (asking->reuse_port && other->reuse_port) {
        return false;
    }
    const bool both_reuse = asking->reuse_address && other->reuse_address;
    return !both_reuse || other->state == WHORL__SIM_LISTENING || other->domain == AF_UNIX;
}

static bool is_taken(const struct whorl__sim_socket *asking, struct sockaddr_storage *address)
{
    whorl__list_for_each(link, &whorl__sim->sockets)
    {
        struct whorl__sim_socket *const other =
            whorl_container_of(link, struct whorl__sim_socket, link);
        if (other != asking && other->bound && overlap(&other->local, address) &&
            stands_in_the_way(other, asking)) {
            return true;
        }
    }
    return false;
}

static int bind_to(struct whorl__sim_socket *socket, struct sockaddr_storage *address)
{
    uint16_t *const port = port_of(address);
    if (port != NULL && *port == 0) {
        unsigned tries = 0;
        do {
            uint16_t *const next = &whorl__sim->next_port;
            *next = *next < PORT_FIRST || *next == UINT16_MAX ? PORT_FIRST : *next + 1;
            *port = htons(*next);
        } while (is_taken(socket, address) && ++tries <= UINT16_MAX - PORT_FIRST);
    }
    if (is_taken(socket, address)) {
        return -EADDRINUSE;
    }
    socket->local = *address;
    socket->bound = true;
    return 0;
}

static int bind_anywhere(struct whorl__sim_socket *socket)
{
    struct sockaddr_storage address = {.ss_family = (sa_family_t)socket->domain};
    if (socket->bound || socket->domain == AF_UNIX) {
        return 0;
    }
    if (socket->domain == AF_INET) {
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
    }
    return bind_to(socket, &address);
}

int whorl__sim_socket_bind(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    int error = 0;
    struct sockaddr_storage copy;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error;
    }
    error = copy_address(socket->domain, address, address_bytes, &copy);
    if (error != 0) {
        return error;
    }
    return socket->bound ? -EINVAL : bind_to(socket, &copy);
}

int whorl__sim_socket_listen(int fd, int backlog)
{
    int error = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error;
    }
    if (socket->state != WHORL__SIM_IDLE && socket->state != WHORL__SIM_LISTENING) {
        return -EINVAL;
    }
    error = bind_anywhere(socket);
    if (error == 0 && socket->bound && is_taken(socket, &socket->local)) {
        error = -EADDRINUSE;
    }
    if (error == 0) {
        socket->state = WHORL__SIM_LISTENING;
        socket->backlog = backlog < 0 ? 0 : (unsigned)backlog;
    }
    return error;
}

/* ---- connecting ---- */

/* Of several that share the address the seed draws one. */
static struct whorl__sim_socket *find_listener(struct sockaddr_storage *target)
{
    struct whorl__sim_socket *chosen = NULL;
    uint32_t found = 0;
    whorl__list_for_each(link, &whorl__sim->sockets)
    {
        struct whorl__sim_socket *const socket =
            whorl_container_of(link, struct whorl__sim_socket, link);
        if (socket->state == WHORL__SIM_LISTENING && overlap(&socket->local, target) &&
            whorl__random_below(&whorl__sim->kernel, ++found) == 0) {
            chosen = socket;
        }
    }
    return chosen;
}

static void fail_connect(struct whorl__sim_socket *client, int error)
{
    struct whorl__sim_connection *const connection = client->connection;
    client->state = WHORL__SIM_IDLE;
    client->error = error;
    client->connection = NULL;
    connection->ends[0] = NULL;
    whorl__sim_file_notify(&client->file, 0);
}

static void queue_for_accept(struct whorl__sim_socket *listener,
                             struct whorl__sim_connection *connection)
{
    struct whorl__sim_socket *const client = connection->ends[0];
    struct whorl__sim_socket *const served = new_socket(listener->domain);
    served->state = WHORL__SIM_CONNECTED;
    served->local = connection->target;
    served->peer = client->local;
    served->connection = connection;
    served->end = 1;
    connection->ends[1] = served;
    whorl__list_push_back(&listener->pending, &served->in_pending);
    listener->pending_count++;
    whorl__sim_file_notify(&listener->file, EPOLLIN);
}

static void maybe_drop_later(struct whorl__sim_connection *connection)
{
    if (whorl__sim_fault(WHORL_SIM_RESET)) {
        const int64_t delay_ns = whorl__random_below(&whorl__sim->luck, RESET_NS_MAX);
        whorl__sim_send_piece(connection, 0, WHORL__SIM_RST, 0, delay_ns);
        whorl__sim_send_piece(connection, 1, WHORL__SIM_RST, 0, delay_ns);
    }
}

/* A listener whose backlog is full says nothing, and is asked again. */
void whorl__sim_syn_arrived(struct whorl__sim_connection *connection)
{
    struct whorl__sim_socket *const client = connection->ends[0];
    struct whorl__sim_socket *const listener = find_listener(&connection->target);
    if (client == NULL) {
        return;
    }
    if (listener == NULL) {
        fail_connect(client, ECONNREFUSED);
    } else if (listener->pending_count <= listener->backlog) {
        queue_for_accept(listener, connection);
        whorl__sim_send_piece(connection, 1, WHORL__SIM_ACK, 0, whorl__sim_latency());
        /* nothing that is said to the client overtakes this */
        connection->ways[1].last_ns = whorl__sim->now_ns + whorl__sim->options.latency_ns + 1000;
        maybe_drop_later(connection);
    } else if (++connection->attempts < SYNS_MAX) {
        whorl__sim_send_piece(connection, 0, WHORL__SIM_SYN, 0, SYN_AGAIN_NS);
    } else {
        fail_connect(client, ETIMEDOUT);
    }
}

void whorl__sim_ack_arrived(struct whorl__sim_connection *connection)
{
    struct whorl__sim_socket *const client = connection->ends[0];
    if (client != NULL && client->state == WHORL__SIM_CONNECTING) {
        client->state = WHORL__SIM_CONNECTED;
        whorl__sim_file_notify(&client->file, EPOLLOUT);
    }
}

static int connect_local(struct whorl__sim_socket *client, struct sockaddr_storage *target)
{
    struct whorl__sim_socket *const listener = find_listener(target);
    if (listener == NULL) {
        return -ECONNREFUSED;
    }
    if (listener->pending_count > listener->backlog) {
        return -EAGAIN;
    }
    client->connection = whorl__sim_connection_new(true);
    client->connection->target = *target;
    client->connection->ends[0] = client;
    client->state = WHORL__SIM_CONNECTED;
    queue_for_accept(listener, client->connection);
    return 0;
}

static int begin_connect(struct whorl__sim_socket *client, struct sockaddr_storage *target)
{
    if (client->error != 0) {
        const int error = client->error;
        client->error = 0;
        return -error;
    }
    const int error = bind_anywhere(client);
    if (error != 0) {
        return error;
    }
    client->peer = *target;
    if (client->domain == AF_UNIX) {
        return connect_local(client, target);
    }
    client->connection = whorl__sim_connection_new(false);
    client->connection->target = *target;
    client->connection->ends[0] = client;
    client->state = WHORL__SIM_CONNECTING;
    whorl__sim_send_piece(client->connection, 0, WHORL__SIM_SYN, 0, whorl__sim_latency());
    return -EINPROGRESS;
}

int whorl__sim_socket_connect(int fd, const struct sockaddr *address, socklen_t address_bytes)
{
    int error = 0;
    struct sockaddr_storage target;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error;
    }
    error = copy_address(socket->domain, address, address_bytes, &target);
    if (error != 0) {
        return error;
    }
    switch (socket->state) {
    case WHORL__SIM_CONNECTING:
        return -EALREADY;
    case WHORL__SIM_CONNECTED:
        return -EISCONN;
    case WHORL__SIM_LISTENING:
        return -EINVAL;
    case WHORL__SIM_IDLE:
        break;
    }
    return begin_connect(socket, &target);
}

/* ---- accepting ---- */

static struct whorl__sim_socket *take_pending(struct whorl__sim_socket *listener)
{
    struct whorl__list *const link = whorl__list_pop_front(&listener->pending);
    if (link == NULL) {
        return NULL;
    }
    listener->pending_count--;
    return whorl_container_of(link, struct whorl__sim_socket, in_pending);
}

int whorl__sim_socket_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes)
{
    int error = 0;
    struct whorl__sim_socket *const listener = whorl__sim_socket_of(fd, &error);
    if (listener == NULL) {
        return error;
    }
    if (listener->state != WHORL__SIM_LISTENING) {
        return -EINVAL;
    }
    error = whorl__sim_fd_room(1); /* as Linux: before it looks whether there is one */
    if (error != 0) {
        return error;
    }
    if (whorl__list_is_empty(&listener->pending)) {
        return -EAGAIN;
    }
    if (whorl__sim_fault(WHORL_SIM_NO_MEMORY)) {
        return -ENOBUFS;
    }
    struct whorl__sim_socket *const served = take_pending(listener);
    if (whorl__sim_fault(WHORL_SIM_RESET)) {
        served->drop_at_close = true;
        whorl__sim_socket_close(&served->file);
        return -ECONNABORTED;
    }
    give_address(&served->peer, ret_peer, ret_peer_bytes);
    return whorl__sim_fd_new(&served->file);
}

/* ---- bytes ---- */

static int take_error(struct whorl__sim_socket *socket)
{
    const int error = socket->error;
    socket->error = 0;
    return -error;
}

static bool peer_is_gone(const struct whorl__sim_socket *socket)
{
    const struct whorl__sim_connection *const connection = socket->connection;
    return connection->local && connection->ends[1 - socket->end] == NULL;
}

ssize_t whorl__sim_socket_recv(int fd, void *ret_bytes, size_t bytes_max, int flags)
{
    int error = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error;
    }
    if (socket->is_pipe && socket->shut_read) {
        return -EBADF;
    }
    if (socket->state == WHORL__SIM_CONNECTING) {
        return -EAGAIN;
    }
    if (socket->state != WHORL__SIM_CONNECTED) {
        return socket->error != 0 ? take_error(socket) : -ENOTCONN;
    }
    const ssize_t got = whorl__sim_take(socket->connection, socket->end, ret_bytes, bytes_max,
                                        (flags & MSG_PEEK) != 0);
    if (got != -EAGAIN) {
        return got;
    }
    if (socket->error != 0) {
        return take_error(socket);
    }
    const bool ended = socket->shut_read || socket->was_reset || peer_is_gone(socket) ||
                       socket->connection->ways[1 - socket->end].fin_seen;
    return ended ? 0 : -EAGAIN;
}

ssize_t whorl__sim_socket_send(int fd, const struct iovec *parts, size_t part_count)
{
    int error = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error;
    }
    if (socket->is_pipe && socket->shut_write) {
        return -EBADF;
    }
    const bool local = socket->connection != NULL && socket->connection->local;
    if (socket->error != 0 && !local) { /* of a pair the next read has it, as Linux does it */
        return take_error(socket);
    }
    if (socket->state == WHORL__SIM_CONNECTING) {
        return -EAGAIN;
    }
    if (socket->state != WHORL__SIM_CONNECTED || socket->shut_write || socket->was_reset ||
        peer_is_gone(socket)) {
        return -EPIPE;
    }
    if (whorl__sim_fault(WHORL_SIM_NO_MEMORY)) {
        return -ENOBUFS;
    }
    return whorl__sim_put(socket->connection, socket->end, parts, part_count);
}

/* ---- readiness ---- */

static uint32_t pipe_ready(struct whorl__sim_socket *socket)
{
    struct whorl__sim_connection *const connection = socket->connection;
    const struct whorl__sim_way *const in = &connection->ways[1 - socket->end];
    struct whorl__sim_way *const out = &connection->ways[socket->end];
    if (socket->shut_write) { /* the read end */
        return (in->visible > 0 ? EPOLLIN : 0) | (peer_is_gone(socket) ? EPOLLHUP : 0);
    }
    const bool room = out->room - out->held >= PIPE_ATOMIC || out->held == 0;
    out->want_space |= !room;
    return (room ? EPOLLOUT : 0) | (peer_is_gone(socket) ? EPOLLERR : 0);
}

static uint32_t connected_ready(struct whorl__sim_socket *socket)
{
    const struct whorl__sim_way *const in = &socket->connection->ways[1 - socket->end];
    struct whorl__sim_way *const out = &socket->connection->ways[socket->end];
    const bool gone = socket->was_reset || peer_is_gone(socket);
    const bool no_more_in = gone || socket->shut_read || in->fin_seen;
    const bool no_more_out = gone || socket->shut_write;
    uint32_t ready = 0;
    ready |= no_more_in && no_more_out ? EPOLLHUP : 0;
    ready |= no_more_in ? EPOLLIN | EPOLLRDHUP : 0;
    ready |= in->visible > 0 ? EPOLLIN : 0;
    if (no_more_out || whorl__sim_has_space(out)) {
        ready |= EPOLLOUT;
    } else {
        out->want_space = true;
    }
    return ready;
}

uint32_t whorl__sim_socket_ready(struct whorl__sim_file *file)
{
    struct whorl__sim_socket *const socket = socket_in(file);
    const uint32_t failed = socket->error != 0 ? EPOLLERR : 0;
    switch (socket->state) {
    case WHORL__SIM_LISTENING:
        return whorl__list_is_empty(&socket->pending) ? 0 : EPOLLIN;
    case WHORL__SIM_CONNECTING:
        return 0;
    case WHORL__SIM_CONNECTED:
        return failed | (socket->is_pipe ? pipe_ready(socket) : connected_ready(socket));
    case WHORL__SIM_IDLE:
        break;
    }
    return failed | EPOLLOUT | EPOLLHUP;
}

/* ---- the end ---- */

static void drop_pending(struct whorl__sim_socket *listener)
{
    struct whorl__sim_socket *served;
    while ((served = take_pending(listener)) != NULL) {
        served->drop_at_close = true;
        whorl__sim_socket_close(&served->file);
    }
}

void whorl__sim_socket_close(struct whorl__sim_file *file)
{
    struct whorl__sim_socket *const socket = socket_in(file);
    drop_pending(socket);
    if (socket->connection != NULL) {
        whorl__sim_leave_end(socket->connection, socket->end, socket->drop_at_close);
    }
    whorl__list_remove(&socket->link);
    whorl__sim_disown(socket);
}

int whorl__sim_socket_shutdown(int fd, int how)
{
    int error = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error;
    }
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        return -EINVAL;
    }
    if (socket->state == WHORL__SIM_LISTENING && how != SHUT_WR) {
        drop_pending(socket);
        socket->state = WHORL__SIM_IDLE;
        whorl__sim_file_notify(&socket->file, 0);
        return 0;
    }
    if (socket->state != WHORL__SIM_CONNECTED || socket->was_reset) {
        return -ENOTCONN;
    }
    socket->shut_read |= how != SHUT_WR;
    if (how != SHUT_RD) {
        socket->shut_write = true;
        whorl__sim_send_fin(socket->connection, socket->end);
    }
    whorl__sim_file_notify(&socket->file, 0);
    return 0;
}

int whorl__sim_socket_reset(int fd)
{
    int error = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL) {
        return error == -ENOTSOCK ? -ENOTCONN : error;
    }
    if (socket->state != WHORL__SIM_CONNECTED || socket->is_pipe) {
        return -ENOTCONN;
    }
    whorl__sim_send_piece(socket->connection, 0, WHORL__SIM_RST, 0, 0);
    whorl__sim_send_piece(socket->connection, 1, WHORL__SIM_RST, 0, 0);
    return 0;
}

/* ---- options, names, pairs ---- */

static int option_value(struct whorl__sim_socket *socket, int option, int *ret_value)
{
    switch (option) {
    case SO_ERROR:
        *ret_value = -take_error(socket);
        return 0;
    case SO_PROTOCOL:
        *ret_value = socket->domain == AF_UNIX ? 0 : IPPROTO_TCP;
        return 0;
    case SO_TYPE:
        *ret_value = SOCK_STREAM;
        return 0;
    case SO_DOMAIN:
        *ret_value = socket->domain;
        return 0;
    case SO_ACCEPTCONN:
        *ret_value = socket->state == WHORL__SIM_LISTENING;
        return 0;
    case SO_RCVBUF:
    case SO_SNDBUF:
        *ret_value = (int)whorl__sim->options.buffer_bytes;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int whorl__sim_socket_get(int fd, int level, int option, void *ret_value, socklen_t *ret_bytes)
{
    int error = 0;
    int value = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL || socket->is_pipe) {
        return socket == NULL ? error : -ENOTSOCK;
    }
    if (level != SOL_SOCKET || *ret_bytes < sizeof value) {
        return level != SOL_SOCKET ? -ENOPROTOOPT : -EINVAL;
    }
    error = option_value(socket, option, &value);
    if (error == 0) {
        memcpy(ret_value, &value, sizeof value);
        *ret_bytes = sizeof value;
    }
    return error;
}

/* What has no meaning here is taken and forgotten: it changes how fast bytes go, not which. */
int whorl__sim_socket_set(int fd, int level, int option, const void *value, socklen_t bytes)
{
    int error = 0;
    int number = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL || socket->is_pipe) {
        return socket == NULL ? error : -ENOTSOCK;
    }
    if (bytes < sizeof number) {
        return -EINVAL;
    }
    memcpy(&number, value, sizeof number);
    if (level == SOL_SOCKET && option == SO_REUSEADDR) {
        socket->reuse_address = number != 0;
    } else if (level == SOL_SOCKET && option == SO_REUSEPORT) {
        socket->reuse_port = number != 0;
    } else if (level == SOL_SOCKET && option == SO_LINGER && bytes >= sizeof(struct linger)) {
        struct linger linger;
        memcpy(&linger, value, sizeof linger);
        socket->drop_at_close = linger.l_onoff != 0 && linger.l_linger == 0;
    }
    return 0;
}

int whorl__sim_socket_name(int fd, bool of_peer, struct sockaddr *ret_address,
                           socklen_t *ret_bytes)
{
    int error = 0;
    struct whorl__sim_socket *const socket = whorl__sim_socket_of(fd, &error);
    if (socket == NULL || socket->is_pipe) {
        return socket == NULL ? error : -ENOTSOCK;
    }
    if (of_peer && socket->state != WHORL__SIM_CONNECTED) {
        return -ENOTCONN;
    }
    give_address(of_peer ? &socket->peer : &socket->local, ret_address, ret_bytes);
    return 0;
}

int whorl__sim_socket_pair(int ret_fds[2], bool is_pipe)
{
    const int error = whorl__sim_fd_room(2);
    if (error != 0) {
        return error;
    }
    struct whorl__sim_connection *const connection = whorl__sim_connection_new(true);
    for (unsigned i = 0; i < 2; i++) {
        struct whorl__sim_socket *const socket = new_socket(AF_UNIX);
        socket->state = WHORL__SIM_CONNECTED;
        socket->connection = connection;
        socket->end = i;
        socket->is_pipe = is_pipe;
        socket->shut_write = is_pipe && i == 0;
        socket->shut_read = is_pipe && i == 1;
        connection->ends[i] = socket;
        ret_fds[i] = whorl__sim_fd_new(&socket->file);
    }
    return 0;
}
