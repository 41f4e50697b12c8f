/*
 * http.h - the little of HTTP/1.1 that a load generator needs: a request, and a reply's head.
 *
 * Threads:    one.
 * Not chosen: a full parser. The server under test is ours, so a reply that this cannot read ends
 *             the run with a message instead of a guess.
 */
#ifndef WHORL_BENCH_HTTP_H
#define WHORL_BENCH_HTTP_H

#include "base/compiler.h"

#include <sys/types.h>

/* What the head of a reply says. */
struct http_head {
    size_t head_bytes; /* up to and with the empty line */
    size_t body_bytes; /* Content-Length */
    int status;
    int loop; /* X-Whorl-Loop, the connection's home; -1: not told */
};

/* 1: read; 0: not complete yet; -EBADMSG. */
int http_head_parse(const char *bytes, size_t count, struct http_head *ret_head);

/* The text of a GET for path with a kept connection; the caller's to free. */
char *http_request(const char *path);

/* A connected stream socket to a port of this machine, Nagle off, blocking; or -errno. */
int http_connect(int port);

/*
 * http_get - fetch path over fd, and wait for it.
 *
 *   ret_body  the body with a 0 behind it, the caller's to free; may be NULL
 *
 * Returns 0, -EBADMSG (no HTTP, or a status other than 200), -EPIPE (closed), or another -errno.
 */
int http_get(int fd, const char *path, struct http_head *ret_head, char **ret_body);

#endif
