/*
 * httpd.c - an HTTP/1.1 server for a folder, on every core.
 *
 * Owns:       one shard a loop (listener, cache, list of connections), and the connections.
 * Threads:    one task a connection, written as if it were alone: read a request, answer it, again.
 *             One acceptor task a loop, pinned to it, with a listener of its own, among which the
 *             kernel spreads the connections. A connection keeps the shard it came by, wherever its
 *             task runs later.
 * Invariant:  a request for a cached file on a kept connection costs one read, one write and no
 *             other system call. No lock is held over a wait.
 * Pairs:      server.users drops by acquire-release: who drops the last one sees what all did.
 *             server.stopping and connection.idle are relaxed: nothing is handed over by them, and
 *             a late look costs a moment only.
 * Not chosen: sendfile for large files (reading a chunk of 64 KiB costs little beside sending it);
 *             one cache for all loops (its lock would be the one thing that they share).
 *
 * httpd_files.h and httpd_request.h know files and requests, and nothing of whorl; httpd_bench.h
 * and httpd_options.h are what their names say. Here follow: receiving, answers, connections, start
 * and stop. connection_run() is the story in one screen.
 */
#define _GNU_SOURCE

#include <whorl.h>

#include "httpd_bench.h"
#include "httpd_files.h"
#include "httpd_options.h"
#include "httpd_request.h"

#include <http_parser.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

enum {
    CHUNK_BYTES = 64 * 1024,    /* of a large file, read and sent at a time */
    LINGER_BYTES_MAX = 1 << 20, /* taken from a peer that was told of the end, and thrown away */
};

#define WRITE_TIMEOUT  (30 * WHORL_SECOND)       /* for an answer, or a chunk of one */
#define LINGER_TIMEOUT (1 * WHORL_SECOND)        /* for the peer to take its last answer */
#define STOP_GRACE     (100 * WHORL_MILLISECOND) /* for requests that are on their way */
#define STOP_TIMEOUT   (10 * WHORL_SECOND)       /* for requests in flight */

/* What a loop has for itself. */
struct shard {
    int listener;                   /* C */
    struct whorl_task *acceptor;    /* C */
    struct file_cache cache;        /* M(cache.lock) */
    pthread_mutex_t lock;           /* of the following; held for a few instructions only */
    struct connection *connections; /* M(lock) */
    time_t date_s;                  /* M(lock): the second that date_line tells */
    char date_line[64];             /* M(lock) */
} __attribute__((aligned(64)));

/* Only its own task touches a connection, but for the fields that have a code. */
struct connection {
    int fd;                             /* C */
    struct shard *shard;                /* C */
    struct connection *previous, *next; /* M(shard->lock) */
    bool linked;                        /* M(shard->lock) */
    int idle;                           /* A: it waits for the first byte of a request */
    bool keep_alive;                    /* after this answer */
    int64_t deadline_ns;                /* for all of the request; 0: nothing was missing yet */
    struct request request;
};

static struct options options; /* C */

static struct {
    int root_fd, signal_fd;       /* C */
    int port;                     /* C: options.port, or the one that was given */
    struct shard *shards;         /* C */
    int shard_count;              /* C */
    int stopping;                 /* A */
    int users;                    /* A: acceptors, connections, and one for serve() */
    struct whorl_future *drained; /* done when the last user has left */
} server = {.users = 1};

static bool is_stopping(void)
{
    return __atomic_load_n(&server.stopping, __ATOMIC_RELAXED); /* relaxed: only a hint to hurry */
}

static void user_enter(void)
{
    __atomic_fetch_add(&server.users, 1, __ATOMIC_RELAXED); /* relaxed: the caller is a user, too */
}

static void user_leave(void)
{
    if (__atomic_sub_fetch(&server.users, 1, __ATOMIC_ACQ_REL) == 0) { /* pairs with itself */
        whorl_future_set_result(server.drained, NULL);
    }
}

/* ---- Receiving: 0, a status to refuse the request with, or -errno: there is nobody to answer - */

static int receive(struct connection *conn, int64_t deadline_ns)
{
    struct request *request = &conn->request;
    const ssize_t n = whorl_read_until(conn->fd, request->input + request->have,
                                       sizeof request->input - request->have, deadline_ns);
    if (n <= 0) {
        return n < 0 ? (int)n : -ECONNRESET;
    }
    request->have += (size_t)n;
    return 0;
}

/* More of a request that has begun. The clock is asked only if something is missing. */
static int receive_rest(struct connection *conn)
{
    if (conn->deadline_ns == 0) {
        conn->deadline_ns = whorl_after(options.header_timeout_ns);
    }
    const int error = receive(conn, conn->deadline_ns);
    return error == -ETIMEDOUT ? HTTP_STATUS_REQUEST_TIMEOUT : error;
}

/* The first bytes of a request, unless they came along with the one before. */
static int receive_first(struct connection *conn)
{
    if (conn->request.have > 0) {
        return 0;
    }
    __atomic_store_n(&conn->idle, 1, __ATOMIC_RELAXED); /* relaxed: see hang_up_idle() */
    const int64_t patience_ns = is_stopping() ? STOP_GRACE : options.idle_timeout_ns;
    const int error = receive(conn, whorl_after(patience_ns));
    __atomic_store_n(&conn->idle, 0, __ATOMIC_RELAXED);
    return error;
}

static int receive_header(struct connection *conn)
{
    struct request *request = &conn->request;
    for (;;) {
        int status = request_parse(request);
        if (status || request->header_done) {
            return status;
        }
        if (request->have == sizeof request->input) {
            return HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
        }
        status = receive_rest(conn);
        if (status) {
            return status;
        }
    }
}

/* The body, if there is one: again and again into what the header left free, and forgotten. */
static int receive_body(struct connection *conn)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = &conn->request;
    const size_t begin = request->parsed; /* the header's last byte, so one at least has room */
    bool expects = slice_is(request->expect, "100-continue");
    for (;;) {
        int status = request_parse(request);
        if (status || request->message_done) {
            return status;
        }
        request->parsed = request->have = begin;
        const int64_t write_deadline_ns = expects ? whorl_after(WRITE_TIMEOUT) : 0;
        if (expects && whorl_write_until(conn->fd, go_on, strlen(go_on), write_deadline_ns) < 0) {
            return -ECONNRESET;
        }
        expects = false;
        status = receive_rest(conn);
        if (status) {
            return status;
        }
    }
}

static int receive_request(struct connection *conn)
{
    conn->deadline_ns = 0;
    conn->keep_alive = false;
    request_begin(&conn->request);
    int status = receive_first(conn);
    status = status ? status : receive_header(conn);
    status = status ? status : request_check_header(&conn->request);
    status = status ? status : receive_body(conn);
    conn->keep_alive = !status && http_should_keep_alive(&conn->request.parser) && !is_stopping();
    return status;
}

/* ---- Answers: 0, or -errno: the connection is of no more use --------------------------------- */

static int send_parts(struct connection *conn, const struct iovec *parts, int part_count)
{
    size_t bytes = 0;
    for (int i = 0; i < part_count; i++) {
        bytes += parts[i].iov_len;
    }
    const ssize_t sent =
        whorl_writev_until(conn->fd, parts, part_count, whorl_after(WRITE_TIMEOUT));
    return sent < 0 ? (int)sent : (size_t)sent == bytes ? 0 : -EPIPE;
}

/* The end of every header: what becomes of the connection, and the date, written once a second. */
static struct iovec last_lines(struct connection *conn, char text[static 100])
{
    const char *connection = "";
    if (!conn->keep_alive) {
        connection = "Connection: close\r\n";
    } else if (conn->request.parser.http_minor == 0) {
        connection = "Connection: keep-alive\r\n";
    }
    struct shard *shard = conn->shard;
    char *end = stpcpy(text, connection);
    const time_t now_s = time(NULL);
    pthread_mutex_lock(&shard->lock);
    if (shard->date_s != now_s) {
        char date[40];
        format_http_date(now_s, date);
        snprintf(shard->date_line, sizeof shard->date_line, "Date: %s\r\n\r\n", date);
        shard->date_s = now_s;
    }
    end = stpcpy(end, shard->date_line);
    pthread_mutex_unlock(&shard->lock);
    return (struct iovec){text, (size_t)(end - text)};
}

/* A plain text; headers are whole lines. */
static int send_text(struct connection *conn, int status, const char *headers, const char *body,
                     size_t body_bytes)
{
    char head[TARGET_BYTES_MAX + 256], last[100];
    const int bytes =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: %zu\r\n%s",
                 status, http_status_str((enum http_status)status), body_bytes, headers);
    const struct iovec parts[] = {
        {head, (size_t)bytes}, last_lines(conn, last), {(void *)(uintptr_t)body, body_bytes}};
    return send_parts(conn, parts, conn->request.parser.method == HTTP_HEAD ? 2 : 3);
}

static int send_status(struct connection *conn, int status, const char *headers)
{
    char body[100];
    const int bytes =
        snprintf(body, sizeof body, "%d %s\n", status, http_status_str((enum http_status)status));
    return send_text(conn, status, headers, body, (size_t)bytes);
}

static int send_error(struct connection *conn, int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENXIO: /* a socket */
    case -ELOOP:
    case -EXDEV: /* a link out of the root */
    case -ENAMETOOLONG:
        return send_status(conn, HTTP_STATUS_NOT_FOUND, "");
    case -EACCES:
        return send_status(conn, HTTP_STATUS_FORBIDDEN, "");
    case -EINVAL:
        return send_status(conn, HTTP_STATUS_BAD_REQUEST, "");
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return send_status(conn, HTTP_STATUS_SERVICE_UNAVAILABLE, "Retry-After: 1\r\n");
    default:
        return send_status(conn, HTTP_STATUS_INTERNAL_SERVER_ERROR, "");
    }
}

/* A folder has a name that ends in a slash, or the links in its page would lead astray. */
static int send_to_folder(struct connection *conn, struct slice path)
{
    char location[TARGET_BYTES_MAX + 32];
    const char *name = (const char *)memrchr(path.at, '/', path.len) + 1;
    const int name_bytes = (int)(path.at + path.len - name);
    snprintf(location, sizeof location, "Location: ./%.*s/\r\n", name_bytes, name);
    return send_status(conn, HTTP_STATUS_MOVED_PERMANENTLY, location);
}

/* Whether the client says that it has the file as it is. */
static bool is_known(const struct request *request, const struct file *file)
{
    const struct slice tags = request->if_none_match, since = request->if_modified_since;
    if (tags.len > 0) { /* a list; our tag is looked for with its quotes, weak or not */
        return slice_is(tags, "*") || memmem(tags.at, tags.len, file->etag, strlen(file->etag));
    }
    char text[40];
    if (since.len == 0 || since.len >= sizeof text) {
        return false;
    }
    memcpy(text, since.at, since.len);
    text[since.len] = '\0';
    struct tm utc = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    return end && *end == '\0' && timegm(&utc) >= file->stat.st_mtim.tv_sec;
}

static int send_not_modified(struct connection *conn, const struct file *file)
{
    char head[256], last[100];
    const int bytes = snprintf(head, sizeof head,
                               "HTTP/1.1 304 Not Modified\r\nETag: %s\r\nLast-Modified: %s\r\n",
                               file->etag, file->modified);
    const struct iovec parts[] = {{head, (size_t)bytes}, last_lines(conn, last)};
    return send_parts(conn, parts, 2);
}

/* A large file; parts are the header's two, and one to use. */
static int send_chunks(struct connection *conn, const struct file *file, struct iovec parts[3])
{
    char *chunk = malloc(CHUNK_BYTES);
    int error = chunk ? 0 : -ENOMEM;
    for (off_t at = 0; !error && at < file->stat.st_size; at += (off_t)parts[2].iov_len) {
        const off_t left = file->stat.st_size - at;
        const ssize_t n =
            pread(file->fd, chunk, (size_t)(left < CHUNK_BYTES ? left : CHUNK_BYTES), at);
        if (n <= 0) { /* it became shorter: the length we told cannot be kept */
            error = n < 0 ? negative_errno() : -ENODATA;
            break;
        }
        parts[2] = (struct iovec){chunk, (size_t)n};
        error = at == 0 ? send_parts(conn, parts, 3) : send_parts(conn, parts + 2, 1);
        error = error ? error : whorl_yield(); /* a fast reader must not have the loop for itself */
    }
    free(chunk);
    return error;
}

static int send_file(struct connection *conn, struct file *file)
{
    if (is_known(&conn->request, file)) {
        return send_not_modified(conn, file);
    }
    char last[100];
    struct iovec parts[3] = {{file->head, file->head_bytes},
                             last_lines(conn, last),
                             {file->content, (size_t)file->stat.st_size}};
    if (conn->request.parser.method == HTTP_HEAD) {
        return send_parts(conn, parts, 2);
    }
    return file->fd < 0 ? send_parts(conn, parts, 3) : send_chunks(conn, file, parts);
}

static int answer_file(struct connection *conn, struct slice raw_path)
{
    char path[PATH_BYTES_MAX];
    struct file *file = NULL;
    int error = path_decode(raw_path, path);
    error = error ? error : file_get(&conn->shard->cache, server.root_fd, path, &file);
    if (error) {
        return error == -EISDIR ? send_to_folder(conn, raw_path) : send_error(conn, error);
    }
    error = send_file(conn, file);
    file_unref(file);
    return error;
}

/* A request of --bench, with headers that tell the loop that polls the connection and this one. */
static int answer_bench(struct connection *conn, struct slice path, struct slice query)
{
    const int polled = whorl_fd_loop(conn->fd);
    const int home = polled < 0 ? whorl_loop_current() : polled;
    struct bench_body body;
    const int error = bench_answer(path, query, home, &body);
    if (error) {
        return send_error(conn, error);
    }
    char headers[100];
    snprintf(headers, sizeof headers, "X-Whorl-Loop: %d\r\nX-Whorl-Ran: %d\r\n", home,
             whorl_loop_current());
    const int sent = send_text(conn, HTTP_STATUS_OK, headers, body.text, body.bytes);
    free(body.allocated);
    return sent;
}

/* ---- Connections ----------------------------------------------------------------------------- */

static int answer(struct connection *conn)
{
    struct slice path, query;
    const unsigned method = conn->request.parser.method;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        return send_status(conn, HTTP_STATUS_METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n");
    }
    if (!target_split(conn->request.target, &path, &query)) {
        return send_error(conn, -EINVAL);
    }
    if (options.bench && slice_begins(path, "/-/")) {
        return answer_bench(conn, path, query);
    }
    return answer_file(conn, path);
}

/*
 * Closing with bytes unread would reset the connection, and the reset may overtake our last answer.
 * So say that we are done, and wait for the peer to say the same.
 */
static void linger(struct connection *conn)
{
    const int64_t deadline_ns = whorl_after(LINGER_TIMEOUT);
    size_t taken = 0;
    ssize_t n = whorl_shutdown(conn->fd, SHUT_WR) == 0 ? 1 : 0;
    while (n > 0 && taken < LINGER_BYTES_MAX) {
        n = whorl_read_until(conn->fd, conn->request.input, sizeof conn->request.input,
                             deadline_ns);
        taken += n > 0 ? (size_t)n : 0;
    }
}

static void connection_link(struct connection *conn)
{
    struct shard *shard = conn->shard;
    pthread_mutex_lock(&shard->lock);
    conn->next = shard->connections;
    if (conn->next) {
        conn->next->previous = conn;
    }
    shard->connections = conn;
    conn->linked = true;
    pthread_mutex_unlock(&shard->lock);
}

static void connection_unlink(struct connection *conn)
{
    struct shard *shard = conn->shard;
    pthread_mutex_lock(&shard->lock);
    if (conn->linked) {
        *(conn->previous ? &conn->previous->next : &shard->connections) = conn->next;
        if (conn->next) {
            conn->next->previous = conn->previous;
        }
        conn->linked = false;
    }
    pthread_mutex_unlock(&shard->lock);
}

/* Serves a connection until either side has had enough. */
static int connection_run(void *arg)
{
    struct connection *conn = arg;
    int status, error;
    do {
        status = receive_request(conn);
        if (status < 0) {
            error = status;
        } else if (status > 0) {
            error = send_status(conn, status, "");
        } else {
            error = answer(conn);
        }
    } while (!error && conn->keep_alive);

    const bool unread = status > 0 || conn->request.parsed < conn->request.have || is_stopping();
    if (!error && unread) {
        linger(conn);
    }
    connection_unlink(conn); /* first, or hang_up_idle() could meet a stranger's descriptor */
    whorl_close(conn->fd);
    return error == -ECANCELED ? error : 0;
}

/* The end of a connection's task, which may not even have begun. */
static void connection_destroy(void *arg)
{
    connection_unlink(arg);
    free(arg);
    user_leave();
}

static void connection_start(struct shard *shard, int fd)
{
    const struct whorl_attr attr = {.name = "connection", .arg_free = connection_destroy};
    struct connection *conn = malloc(sizeof *conn);
    if (!conn) {
        whorl_close(fd);
        return;
    }
    conn->fd = fd;
    conn->shard = shard;
    conn->previous = NULL;
    conn->idle = 0;
    request_init(&conn->request);
    connection_link(conn);
    user_enter();
    if (whorl_spawn(connection_run, conn, &attr, NULL) < 0) {
        connection_destroy(conn);
        whorl_close(fd);
    }
}

/*
 * Those whom the kernel has let in and nobody has accepted: closing the listener would reset them.
 * Asked of the kernel itself: a loop that is busy may not have heard of them yet.
 */
static void accept_last(struct shard *shard)
{
    int fd;
    while ((fd = accept4(shard->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (whorl_fd_adopt(fd) == 0) {
            connection_start(shard, fd);
        } else {
            close(fd);
        }
    }
}

/* Accepts until it is cancelled. */
static int acceptor_run(void *arg)
{
    struct shard *shard = arg;
    int fd;
    while ((fd = whorl_accept(shard->listener)) >= 0) {
        connection_start(shard, fd);
    }
    accept_last(shard);
    whorl_close(shard->listener);
    user_leave();
    return 0;
}

/* ---- Start and stop -------------------------------------------------------------------------- */

/* Another server of the same user could share our port unseen: so ask once without sharing. */
static int check_port(void)
{
    const int probe = options.port == 0 ? 0 : whorl_tcp_listen(options.address, options.port, 0, 0);
    if (probe > 0) {
        whorl_close(probe);
    }
    return probe < 0 ? probe : 0;
}

static int shard_start(struct shard *shard, int loop)
{
    const struct whorl_attr attr = {.name = "acceptor", .pin = WHORL_PIN(loop)};
    const int listener = whorl_tcp_listen(options.address, server.port, 0, WHORL_REUSEPORT);
    if (listener < 0) {
        return listener;
    }
    server.port = whorl_socket_port(listener); /* if none was asked for, the first one's for all */
    shard->listener = listener;
    user_enter();
    const int error = whorl_spawn(acceptor_run, shard, &attr, &shard->acceptor);
    if (error) {
        user_leave();
        whorl_close(listener);
    }
    return error;
}

static int start(void)
{
    const int count = whorl_loop_count();
    int error = check_port();
    if (error) {
        return error;
    }
    server.port = options.port;
    server.shards = aligned_alloc(64, (size_t)count * sizeof *server.shards);
    if (!server.shards) {
        return -ENOMEM;
    }
    memset(server.shards, 0, (size_t)count * sizeof *server.shards);
    for (int k = 0; k < count; k++) {
        pthread_mutex_init(&server.shards[k].lock, NULL);
        pthread_mutex_init(&server.shards[k].cache.lock, NULL);
    }
    server.shard_count = count;
    if (options.bench && bench_start(count) < 0) {
        return -ENOMEM;
    }
    for (int k = 0; k < count && !error; k++) {
        error = shard_start(&server.shards[k], k);
    }
    return error;
}

/*
 * Ends the reading on connections that wait for a request. One that has just got its bytes still
 * reads them all, and answers.
 */
static void hang_up_idle(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    for (struct connection *conn = shard->connections; conn; conn = conn->next) {
        if (__atomic_load_n(&conn->idle, __ATOMIC_RELAXED)) { /* relaxed: see receive_first() */
            whorl_shutdown(conn->fd, SHUT_RD);
        }
    }
    pthread_mutex_unlock(&shard->lock);
}

/* No new connections, a last answer for all that have asked, and an end to those that have not. */
static void stop(void)
{
    __atomic_store_n(&server.stopping, 1, __ATOMIC_RELAXED); /* relaxed: see is_stopping() */
    for (int k = 0; k < server.shard_count; k++) {
        whorl_cancel(server.shards[k].acceptor, "httpd stops");
    }
    whorl_sleep(STOP_GRACE);
    for (int k = 0; k < server.shard_count; k++) {
        hang_up_idle(&server.shards[k]);
    }
    user_leave();
    whorl_future_join(server.drained, whorl_after(STOP_TIMEOUT), NULL);
}

/* The first task. Whoever has not ended when it returns is cancelled by whorl_run(). */
static int serve(void *arg)
{
    (void)arg;
    int error = start();
    if (error) {
        fprintf(stderr,
                "httpd: cannot listen on %s port %d (%s); choose another --address or --port\n",
                options.address, options.port, whorl_error_text(error));
        return error;
    }
    const bool v6 = strchr(options.address, ':') != NULL;
    printf(v6 ? "listening on http://[%s]:%d\n" : "listening on http://%s:%d\n", options.address,
           server.port);
    fflush(stdout);
    error = whorl_fd_wait(server.signal_fd, POLLIN);
    stop();
    return error < 0 ? error : 0;
}

static void end(void)
{
    for (int k = 0; k < server.shard_count; k++) {
        struct shard *shard = &server.shards[k];
        if (shard->acceptor) {
            whorl_task_unref(shard->acceptor);
        }
        cache_clear(&shard->cache);
        pthread_mutex_destroy(&shard->cache.lock);
        pthread_mutex_destroy(&shard->lock);
    }
    free(server.shards);
    bench_end();
    whorl_future_unref(server.drained);
    close(server.signal_fd);
    close(server.root_fd);
}

/* A connection is a descriptor; take as many as we are allowed. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Blocked here, before there are other threads, so that the descriptor alone gets the signals. */
static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
    options_parse(argc, argv, &options);
    raise_descriptor_limit();
    server.signal_fd = open_signals();
    server.root_fd = open(options.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server.root_fd < 0) {
        give_up("cannot open the folder %s: %s; name one by --root", options.root, strerror(errno));
    }
    if (server.signal_fd < 0 || whorl_future_new(&server.drained) < 0) {
        give_up("out of memory or descriptors");
    }
    const int error = whorl_run(serve, NULL, &options.runtime);
    if (error) {
        fprintf(stderr, "httpd: ended early: %s\n", whorl_error_text(error));
    }
    end();
    return error ? 1 : 0;
}
