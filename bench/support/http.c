/*
 * http.c - a request, and a reply's head: see http.h.
 */
#include "support/http.h"

#include "support/measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* The number behind a header's name, or `missing`. A line of the head starts after a newline. */
static long header_number(const char *head, size_t head_bytes, const char *name, long missing)
{
    const size_t name_bytes = strlen(name);
    const char *line = head;
    const char *end = head + head_bytes;
    while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        line++;
        if ((size_t)(end - line) <= name_bytes) {
            return missing;
        }
        if (!strncasecmp(line, name, name_bytes)) {
            return strtol(line + name_bytes, NULL, 10); /* stops at the line's end */
        }
    }
    return missing;
}

int http_head_parse(const char *bytes, size_t count, struct http_head *ret_head)
{
    const char *blank = memmem(bytes, count, "\r\n\r\n", 4);
    if (!blank) {
        return 0;
    }
    const size_t head_bytes = (size_t)(blank - bytes) + 4;
    const long body_bytes = header_number(bytes, head_bytes, "Content-Length:", -1);
    if (head_bytes < 16 || memcmp(bytes, "HTTP/1.", 7) || body_bytes < 0) {
        return -EBADMSG;
    }
    *ret_head = (struct http_head){
        .head_bytes = head_bytes,
        .body_bytes = (size_t)body_bytes,
        .status = (int)strtol(bytes + 9, NULL, 10),
        .loop = (int)header_number(bytes, head_bytes, "X-Whorl-Loop:", -1),
    };
    return 1;
}

char *http_request(const char *path)
{
    char *text;
    if (asprintf(&text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path) < 0) {
        bench_die("out of memory");
    }
    return text;
}

int http_connect(int port)
{
    const int on = 1;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static int send_all(int fd, const char *bytes, size_t count)
{
    while (count) {
        const ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return -errno;
        }
        bytes += sent > 0 ? sent : 0;
        count -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

/* Reads until the reply is complete; the bytes behind its end, if any, are an error. */
static int receive_reply(int fd, char *bytes, size_t bytes_max, struct http_head *ret_head)
{
    size_t filled = 0;
    for (;;) {
        struct http_head head;
        const int parsed = http_head_parse(bytes, filled, &head);
        if (parsed < 0 || (parsed > 0 && head.head_bytes + head.body_bytes < filled)) {
            return -EBADMSG;
        }
        if (parsed > 0 && head.head_bytes + head.body_bytes == filled) {
            *ret_head = head;
            return 0;
        }
        if (filled == bytes_max) {
            return -EBADMSG;
        }
        const ssize_t count = recv(fd, bytes + filled, bytes_max - filled, 0);
        if (count == 0) {
            return -EPIPE;
        }
        if (count < 0 && errno != EINTR) {
            return -errno;
        }
        filled += count > 0 ? (size_t)count : 0;
    }
}

int http_get(int fd, const char *path, struct http_head *ret_head, char **ret_body)
{
    const size_t bytes_max = 1 << 20; /* the counters of a thousand loops fit */
    char *request = http_request(path);
    char *bytes = malloc(bytes_max + 1);
    struct http_head head;
    int error = bytes ? send_all(fd, request, strlen(request)) : -ENOMEM;
    free(request);
    if (!error) {
        error = receive_reply(fd, bytes, bytes_max, &head);
    }
    if (!error && head.status != 200) {
        error = -EBADMSG;
    }
    if (!error) {
        *ret_head = head;
        if (ret_body) {
            memmove(bytes, bytes + head.head_bytes, head.body_bytes);
            bytes[head.body_bytes] = 0;
            *ret_body = bytes;
            return 0;
        }
    }
    free(bytes);
    return error;
}
