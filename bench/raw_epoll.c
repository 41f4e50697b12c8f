/*
 * raw_epoll.c - an echo server written by hand on epoll: the yardstick for echo.c.
 *
 * Question:    what does a request cost at the very least, on one thread, with nothing between the
 *              program and the kernel?
 * Good answer: one read and one write a request, and an epoll_wait for all that are ready.
 *
 *   raw_epoll [--requests N]     prints "listening on PORT"; ends after N requests, or when killed
 *
 * A request is 64 bytes there and the same 64 bytes back. Level-triggered, so no second read is
 * needed to learn that there is no more. With one request under way per connection an answer always
 * fits into the socket's buffer; a write that falls short ends the connection.
 */
#include "support/measure.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES 64
#define EVENTS_MAX    256

static int listen_anywhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1024) ||
        getsockname(fd, (struct sockaddr *)&address, &address_bytes)) {
        bench_die("cannot listen: %s", strerror(errno));
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        bench_die("cannot watch a connection: %s", strerror(errno));
    }
}

static void accept_all(int epoll_fd, int listener)
{
    const int on = 1;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(epoll_fd, fd);
    }
}

/* The bytes echoed; 0 once the connection is gone. */
static size_t echo(int fd)
{
    char bytes[MESSAGE_BYTES];
    const ssize_t count = read(fd, bytes, sizeof(bytes));
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (count <= 0 || write(fd, bytes, (size_t)count) != count) {
        close(fd);
        return 0;
    }
    return (size_t)count;
}

static void serve(int epoll_fd, int listener, uint64_t bytes_max)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t bytes = 0;
    while (bytes < bytes_max) {
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                accept_all(epoll_fd, listener);
            } else {
                bytes += echo(events[i].data.fd);
            }
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t requests_max = UINT64_MAX / MESSAGE_BYTES;
    if (argc == 3 && !strcmp(argv[1], "--requests")) {
        requests_max = (uint64_t)bench_parse_count(argv[1], argv[2], INT64_C(1) << 40);
    } else if (argc != 1) {
        bench_die("usage: raw_epoll [--requests N]");
    }
    int port;
    const int listener = listen_anywhere(&port);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        bench_die("cannot make an epoll descriptor: %s", strerror(errno));
    }
    watch(epoll_fd, listener);
    printf("listening on %d\n", port);
    fflush(stdout);
    serve(epoll_fd, listener, requests_max * MESSAGE_BYTES);
    return 0;
}
