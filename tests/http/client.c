/*
 * client.c - the other side of the http tests: says raw bytes, and is rude on demand.
 *
 * Threads:    one; loads use poll(2).
 * Invariant:  every wait has a limit (wait_ms), so a server that says nothing fails a test and does
 *             not hang it.
 * Not chosen: curl for these: it says what is right only.
 *
 * The first argument names what to do; each function below whose name begins with do_ is one of
 * these and says what it prints. Exit code 0: done as asked; 1: not; 2: wrong arguments.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { wait_ms = 20000, input_max = 1 << 20 };

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("client: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int try_connect(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0) {
        fail("socket: %s", strerror(errno));
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int must_connect(int port)
{
    const int fd = try_connect(port);
    if (fd < 0) {
        fail("connect to port %d: %s", port, strerror(errno));
    }
    return fd;
}

static bool wait_for(int fd, short events, int limit_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    return poll(&entry, 1, limit_ms) == 1;
}

/* As much as the peer takes; fewer if it went away. */
static size_t say(int fd, const char *bytes, size_t count)
{
    size_t said = 0;
    while (said < count) {
        const ssize_t n = send(fd, bytes + said, count - said, MSG_NOSIGNAL);
        if (n < 0) {
            break;
        }
        said += (size_t)n;
    }
    return said;
}

/* Until the peer's kernel has everything: what is said next comes as a packet of its own. */
static void wait_until_taken(int fd)
{
    const int64_t end_ms = now_ms() + wait_ms;
    int left = 1;
    while (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0) {
        if (now_ms() > end_ms) {
            fail("the peer's kernel does not take %d bytes", left);
        }
        sched_yield();
    }
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

/* ---- Responses ------------------------------------------------------------------------------- */

struct response {
    int status;
    bool closes;
    size_t head_bytes, body_bytes;
};

/* The value of a header among head_bytes of text, NULL if it is not there. */
static const char *find_header(const char *text, size_t head_bytes, const char *name)
{
    const size_t len = strlen(name);
    for (const char *line = memmem(text, head_bytes, "\r\n", 2); line;) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return line + len + 1 + strspn(line + len + 1, " ");
        }
        line = memmem(line, (size_t)(text + head_bytes - line), "\r\n", 2);
    }
    return NULL;
}

/* Whether the text, which ends in NUL, begins with a whole header; a body may be missing. */
static bool parse_head(const char *text, size_t bytes, bool head_only,
                       struct response *ret_response)
{
    const char *end = memmem(text, bytes, "\r\n\r\n", 4);
    if (!end) {
        return false;
    }
    struct response response = {.head_bytes = (size_t)(end - text) + 4};
    if (sscanf(text, "HTTP/1.1 %d ", &response.status) != 1) {
        fail("this is no response: %.40s", text);
    }
    const char *length = find_header(text, response.head_bytes, "Content-Length");
    const char *connection = find_header(text, response.head_bytes, "Connection");
    const bool bodiless = head_only || response.status == 304 || response.status < 200;
    response.body_bytes = length && !bodiless ? strtoul(length, NULL, 10) : 0;
    response.closes = connection && strncasecmp(connection, "close", 5) == 0;
    *ret_response = response;
    return true;
}

static size_t response_bytes(const struct response *response)
{
    return response->head_bytes + response->body_bytes;
}

/*
 * talk PORT [split=N] [turns] [shut] [head] [responses=N] [closed]
 *
 * Sends standard input and prints what comes back: that many responses (1), or all up to the end of
 * the stream (responses=0).
 *   split   two packets, the first of N bytes; split=-1: each byte in its own
 *   turns   each request, of those without a body, when the one before was answered
 *   shut    half-closes after sending
 *   head    the answers are to HEAD
 *   closed  the server has to close in order after the last response, without another byte
 */
static char talk_input[input_max], talk_output[16 * input_max];

static void talk_say(int fd, const char *bytes, size_t count, long split)
{
    const size_t first = split < 0 ? 1 : (size_t)split;
    for (size_t at = 0; at < count;) {
        const size_t piece = first > 0 && (split < 0 || at == 0) ? first : count - at;
        const size_t left = count - at;
        at += say(fd, bytes + at, piece < left ? piece : left);
        if (split != 0) {
            wait_until_taken(fd);
        }
    }
}

/* How many of so many bytes the first request has; all of them if its header does not end. */
static size_t request_bytes(const char *bytes, size_t count)
{
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    return end ? (size_t)(end - bytes) + 4 : count;
}

static bool talk_was_reset;

/* Reads more; 0 at the end of the stream or when the peer has reset it. */
static size_t talk_hear(int fd, size_t have)
{
    if (have + 1 >= sizeof talk_output) {
        fail("the answer is too long");
    }
    if (!wait_for(fd, POLLIN, wait_ms)) {
        fail("no answer for %d ms; so far: %.200s", wait_ms, talk_output);
    }
    const ssize_t n = recv(fd, talk_output + have, sizeof talk_output - 1 - have, 0);
    talk_was_reset = n < 0;
    return n > 0 ? (size_t)n : 0;
}

static int do_talk(int port, char **options)
{
    long split = 0, responses = 1;
    bool turns = false, shut = false, head = false, closed = false;
    for (; *options; options++) {
        turns |= strcmp(*options, "turns") == 0;
        shut |= strcmp(*options, "shut") == 0;
        head |= strcmp(*options, "head") == 0;
        closed |= strcmp(*options, "closed") == 0;
        sscanf(*options, "split=%ld", &split);
        sscanf(*options, "responses=%ld", &responses);
    }
    const size_t count = fread(talk_input, 1, sizeof talk_input, stdin);
    const int fd = must_connect(port);
    size_t said = turns ? request_bytes(talk_input, count) : count;
    talk_say(fd, talk_input, said, split);
    if (shut) {
        shutdown(fd, SHUT_WR);
    }
    size_t have = 0, at = 0, n = 1;
    struct response response = {0};
    for (long seen = 0; n > 0 && (responses == 0 || seen < responses);) {
        if (responses > 0 && parse_head(talk_output + at, have - at, head, &response) &&
            response_bytes(&response) <= have - at) {
            at += response_bytes(&response);
            seen++;
            const size_t next = request_bytes(talk_input + said, count - said);
            talk_say(fd, talk_input + said, next, split);
            said += next;
        } else {
            n = talk_hear(fd, have);
            have += n;
        }
    }
    fwrite(talk_output, 1, responses == 0 ? have : at, stdout);
    if (n == 0 && responses > 0) {
        fail("the connection ended in the middle: %.200s", talk_output + at);
    }
    if (closed && (have > at || talk_hear(fd, have) > 0)) {
        fail("more came instead of the end: %.200s", talk_output + at);
    }
    if (closed && talk_was_reset) {
        fail("the connection was reset after the answer");
    }
    close(fd);
    return 0;
}

/*
 * drip PORT MS: sends standard input byte by byte, one each MS milliseconds, until the server has
 * closed. Prints the milliseconds that took, and on the next line what the server said.
 */
static int do_drip(int port, char **options)
{
    const int pause_ms = *options ? atoi(*options) : 100;
    const size_t count = fread(talk_input, 1, sizeof talk_input, stdin);
    const int fd = must_connect(port);
    const int64_t begin_ms = now_ms();
    size_t have = 0;
    for (size_t at = 0;; at++) {
        if (at < count) {
            say(fd, talk_input + at, 1);
        }
        if (now_ms() - begin_ms > wait_ms) {
            fail("not closed after %d ms", wait_ms);
        }
        if (wait_for(fd, POLLIN, pause_ms)) {
            const size_t n = talk_hear(fd, have);
            if (n == 0) {
                break;
            }
            have += n;
        }
    }
    printf("%lld\n%.*s", (long long)(now_ms() - begin_ms), (int)have, talk_output);
    close(fd);
    return 0;
}

/*
 * crowd PORT COUNT [reset]: opens COUNT connections that say nothing, or half a request each and
 * then reset. Prints "open N", and without reset holds them until standard input ends.
 */
static int do_crowd(int port, char **options)
{
    static const char half[] = "GET /index.html HTTP/1.1\r\nHo";
    const int count = *options ? atoi(*options) : 1;
    const bool resets = *options && options[1];
    int *fds = calloc((size_t)count, sizeof *fds);
    int made = 0;
    while (fds && made < count && (fds[made] = try_connect(port)) >= 0) {
        if (resets) {
            say(fds[made], half, (size_t)made % sizeof half);
            reset(fds[made]);
        }
        made++;
    }
    printf("open %d\n", made);
    fflush(stdout);
    while (!resets && getchar() != EOF) {
    }
    free(fds);
    return made == count ? 0 : 1;
}

/* ---- load: what a stopping server must not lose ---------------------------------------------- */

/*
 * load PORT CONNECTIONS LIMIT_MS PATH: GETs PATH on so many kept connections, one request at a time
 * on each. A connection is made anew after an answer that closes it; if that fails, it is over.
 * Runs until all are over, or asks for LIMIT_MS and waits for the answers. Prints "begun" after the
 * first answer, and at the end "answered N, refused N, lost N, bad N": refused are those whom the
 * server let go before they asked, lost are requests without a whole answer.
 */
struct peer {
    int fd;       /* -1: at its end */
    long answers; /* on this connection */
    size_t heard; /* bytes of the answer */
    size_t have;  /* of these, the first ones, which are in head */
    char head[1024];
};

static struct {
    int port;
    char request[512];
    size_t request_bytes;
    bool ending; /* an answer has announced the end of its connection */
    bool over;   /* LIMIT_MS have passed: no more questions */
    long answered, refused, lost, bad;
} load;

/*
 * The end of a connection before its answer. What the kernel has queued for accept(2) when a server
 * closes its listening socket is reset: the server never saw it, so that is a refusal.
 */
static void peer_end(struct peer *peer)
{
    const bool queued = load.ending && peer->answers == 0;
    *(queued ? &load.refused : &load.lost) += 1;
    close(peer->fd);
    peer->fd = -1;
}

/* Asks again, unless the server has ended the connection since its last answer, as it may. */
static void peer_ask(struct peer *peer)
{
    char byte;
    if (recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        load.refused++;
        close(peer->fd);
        peer->fd = -1;
        return;
    }
    peer->heard = peer->have = 0;
    memset(peer->head, 0, sizeof peer->head);
    if (say(peer->fd, load.request, load.request_bytes) < load.request_bytes) {
        peer_end(peer);
    }
}

static void peer_begin(struct peer *peer)
{
    peer->answers = 0;
    peer->fd = try_connect(load.port);
    if (peer->fd < 0) {
        load.refused++;
    } else {
        peer_ask(peer);
    }
}

static void peer_answered(struct peer *peer, const struct response *response)
{
    if (load.answered++ == 0) {
        puts("begun");
        fflush(stdout);
    }
    load.bad += response->status != 200 || response_bytes(response) != peer->heard;
    peer->answers++;
    if (load.over) {
        close(peer->fd);
        peer->fd = -1;
    } else if (response->closes) {
        load.ending = true;
        close(peer->fd);
        peer_begin(peer);
    } else {
        peer_ask(peer);
    }
}

static void peer_hear(struct peer *peer)
{
    static char bytes[64 * 1024];
    struct response response;
    const ssize_t n = recv(peer->fd, bytes, sizeof bytes, 0);
    if (n <= 0) {
        peer_end(peer);
        return;
    }
    const size_t room = sizeof peer->head - 1 - peer->have;
    const size_t kept = (size_t)n < room ? (size_t)n : room;
    memcpy(peer->head + peer->have, bytes, kept);
    peer->have += kept;
    peer->heard += (size_t)n;
    if (parse_head(peer->head, peer->have, false, &response) &&
        response_bytes(&response) <= peer->heard) {
        peer_answered(peer, &response);
    }
}

static int load_turn(struct peer *peers, struct pollfd *entries, int count)
{
    int living = 0;
    for (int i = 0; i < count; i++) {
        entries[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
        living += peers[i].fd >= 0;
    }
    if (living > 0) {
        poll(entries, (nfds_t)count, 100);
    }
    for (int i = 0; i < count; i++) {
        if (entries[i].revents && peers[i].fd >= 0) {
            peer_hear(&peers[i]);
        }
    }
    return living;
}

static int do_load(int port, char **options)
{
    if (!options[0] || !options[1] || !options[2]) {
        return 2;
    }
    const int count = atoi(options[0]);
    const int64_t end_ms = now_ms() + atoi(options[1]);
    load.port = port;
    load.request_bytes = (size_t)snprintf(load.request, sizeof load.request,
                                          "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", options[2]);
    struct peer *peers = calloc((size_t)count, sizeof *peers);
    struct pollfd *entries = calloc((size_t)count, sizeof *entries);
    if (!peers || !entries) {
        fail("out of memory");
    }
    for (int i = 0; i < count; i++) {
        peer_begin(&peers[i]);
    }
    while (now_ms() < end_ms + wait_ms && load_turn(peers, entries, count) > 0) {
        load.over = now_ms() >= end_ms;
    }
    for (int i = 0; i < count; i++) {
        load.lost += peers[i].fd >= 0; /* forgotten */
    }
    printf("answered %ld, refused %ld, lost %ld, bad %ld\n", load.answered, load.refused, load.lost,
           load.bad);
    free(peers);
    free(entries);
    return load.answered > 0 && load.lost == 0 && load.bad == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int port, char **options);
    } commands[] = {
        {"talk", do_talk},
        {"drip", do_drip},
        {"crowd", do_crowd},
        {"load", do_load},
    };
    for (size_t i = 0; argc >= 3 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(atoi(argv[2]), argv + 3);
        }
    }
    fputs("usage: client talk|drip|crowd|load PORT ...\n", stderr);
    return 2;
}
