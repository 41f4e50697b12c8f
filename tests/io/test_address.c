/*
 * test_address.c - addresses and ports, good and bad; and every call from where it is not allowed.
 */
#include "support/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- TCP ---- */

static int bad_tcp_main(void *arg)
{
    static const char *const bad[] = {
        "",           "localhost", "127.0.0", "127.0.0.256", "127.0.0.1 ",
        "1.2.3.4:80", "::1::",     "[::1]",   "*",
    };
    (void)arg;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        NET_EXPECT_EQUAL(whorl_tcp_listen(bad[i], 0, 0, 0), -EINVAL);
        NET_EXPECT_EQUAL(whorl_tcp_connect(bad[i], 80), -EINVAL);
    }
    static const int ports[] = {-1, 65536, 1 << 30, -65536};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        NET_EXPECT_EQUAL(whorl_tcp_listen("127.0.0.1", ports[i], 0, 0), -EINVAL);
        NET_EXPECT_EQUAL(whorl_tcp_connect("127.0.0.1", ports[i]), -EINVAL);
    }
    NET_EXPECT_EQUAL(whorl_tcp_listen("127.0.0.1", 0, -1, 0), -EINVAL);
    NET_EXPECT_EQUAL(whorl_tcp_listen("127.0.0.1", 0, 0, 2), -EINVAL);
    NET_EXPECT_EQUAL(whorl_tcp_listen("192.0.2.1", 0, 0, 0),
                     -EADDRNOTAVAIL); /* not this machine's */
    return 0;
}

static void test_tcp_address_or_port_that_is_none_is_einval(void **state)
{
    /* Names are not looked up, and nothing is guessed. */
    (void)state;
    net_run(bad_tcp_main, NULL, 1);
}

static void check_port_in_use(const char *address)
{
    const int first = whorl_tcp_listen(address, 0, 0, 0);
    const int port = whorl_socket_port(first);
    NET_EXPECT(first >= 0 && port > 0);
    NET_EXPECT_EQUAL(whorl_tcp_listen(address, port, 0, 0), -EADDRINUSE);
    NET_EXPECT_EQUAL(whorl_close(first), 0);
    NET_EXPECT_EQUAL(whorl_tcp_connect(address, port), -ECONNREFUSED);
    const int again = whorl_tcp_listen(address, port, 0, 0); /* free again at once */
    NET_EXPECT(again >= 0);
    NET_EXPECT_EQUAL(whorl_socket_port(again), port);
    NET_EXPECT_EQUAL(whorl_close(again), 0);
}

static int port_main(void *arg)
{
    (void)arg;
    check_port_in_use("127.0.0.1");
    if (net_has(NET_TCP6)) {
        check_port_in_use("::1");
    }
    return 0;
}

static void test_port_in_use_is_eaddrinuse_and_free_after_close(void **state)
{
    /* And nobody listens there after that: -ECONNREFUSED, with nothing left open. */
    (void)state;
    net_run_each(port_main, NULL);
}

static int shared_port_main(void *arg)
{
    const int first = whorl_tcp_listen("127.0.0.1", 0, 0, WHORL_REUSEPORT);
    const int port = whorl_socket_port(first);
    const int second = whorl_tcp_listen("127.0.0.1", port, 0, WHORL_REUSEPORT);
    (void)arg;
    NET_EXPECT(first >= 0 && second >= 0);
    NET_EXPECT_EQUAL(whorl_socket_port(second), port);
    NET_EXPECT_EQUAL(whorl_tcp_listen("127.0.0.1", port, 0, 0), -EADDRINUSE);
    return whorl_close(first) + whorl_close(second);
}

static void test_reuseport_lets_several_listen_on_one_port(void **state)
{
    /* One listener a loop is how a server spreads its connections. */
    (void)state;
    net_run(shared_port_main, NULL, 1);
}

static int every_address_main(void *arg)
{
    const int listener = whorl_tcp_listen(NULL, 0, 0, 0);
    (void)arg;
    const int near = whorl_tcp_connect("127.0.0.1", whorl_socket_port(listener));
    const int far = whorl_accept(listener);
    NET_EXPECT(near >= 0 && far >= 0);
    int on = 0;
    socklen_t on_bytes = sizeof on;
    NET_EXPECT_EQUAL(getsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, &on_bytes), 0);
    NET_EXPECT_EQUAL(on, 1);
    return whorl_close(near) + whorl_close(far) + whorl_close(listener);
}

static void test_listen_on_every_address_is_reached_by_loopback(void **state)
{
    /* The usual way to start a server; small messages go out at once on both ends. */
    (void)state;
    net_run(every_address_main, NULL, 1);
}

/* ---- Unix ---- */

static int unix_main(void *arg)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 2];
    (void)arg;
    memset(path, 'x', sizeof path);
    path[sizeof path - 2] = '\0'; /* as long as the field: no room for the final 0 */
    NET_EXPECT_EQUAL(whorl_unix_listen(path, 0), -ENAMETOOLONG);
    NET_EXPECT_EQUAL(whorl_unix_connect(path), -ENAMETOOLONG);
    path[0] = '@';
    NET_EXPECT_EQUAL(whorl_unix_listen(path, 0), -ENAMETOOLONG);
    path[sizeof path - 3] = '\0'; /* the longest name there is */
    const int longest = whorl_unix_listen(path, 0);
    NET_EXPECT(longest >= 0);
    NET_EXPECT_EQUAL(whorl_socket_port(longest), -EAFNOSUPPORT);
    const int near = whorl_unix_connect(path);
    NET_EXPECT(near >= 0);
    NET_EXPECT_EQUAL(whorl_unix_listen(path, 0), -EADDRINUSE);
    NET_EXPECT_EQUAL(whorl_close(near) + whorl_close(longest), 0);
    NET_EXPECT_EQUAL(whorl_unix_connect(path), -ECONNREFUSED);
    NET_EXPECT_EQUAL(whorl_unix_listen("", 0), -EINVAL);
    NET_EXPECT_EQUAL(whorl_unix_listen(NULL, 0), -EINVAL);
    NET_EXPECT_EQUAL(whorl_unix_connect(""), -EINVAL);
    NET_EXPECT_EQUAL(whorl_unix_connect(NULL), -EINVAL);
    NET_EXPECT_EQUAL(whorl_unix_listen("x", -1), -EINVAL);
    NET_EXPECT_EQUAL(whorl_unix_connect("/no/such/folder/socket"), -ENOENT);
    NET_EXPECT_EQUAL(whorl_unix_listen("/no/such/folder/socket", 0), -ENOENT);
    return 0;
}

static int unix_path_main(void *arg)
{
    struct net_listener listener = net_listen(NET_UNIX_PATH, 0);
    (void)arg;
    NET_EXPECT_EQUAL(whorl_unix_listen(listener.path, 0), -EADDRINUSE);
    NET_EXPECT_EQUAL(whorl_close(listener.fd), 0);
    NET_EXPECT_EQUAL(whorl_unix_listen(listener.path, 0),
                     -EADDRINUSE); /* the file is still there */
    NET_EXPECT_EQUAL(whorl_unix_connect(listener.path), -ECONNREFUSED);
    NET_EXPECT_EQUAL(unlink(listener.path), 0);
    NET_EXPECT_EQUAL(whorl_unix_connect(listener.path), -ENOENT);
    return 0;
}

static void test_unix_names_too_long_empty_or_taken_are_refused(void **state)
{
    /* Paths and abstract names, at the very length that still fits. */
    (void)state;
    net_run(unix_main, NULL, 1);
    net_run(unix_path_main, NULL, 1);
}

/* ---- what is not a stream, or not ours ---- */

static int strangers_main(void *arg)
{
    char byte = 'x';
    const struct iovec part = {&byte, 1};
    (void)arg;
    static const int numbers[] = {-1, 1 << 19, 1 << 30};
    const int open_but_not_ours = dup(0);
    for (size_t i = 0; i <= 3; i++) {
        const int fd = i < 3 ? numbers[i] : open_but_not_ours;
        NET_EXPECT_EQUAL(whorl_read(fd, &byte, 1), -EBADF);
        NET_EXPECT_EQUAL(whorl_write(fd, &byte, 1), -EBADF);
        NET_EXPECT_EQUAL(whorl_writev(fd, &part, 1), -EBADF);
        NET_EXPECT_EQUAL(whorl_accept(fd), -EBADF);
        NET_EXPECT_EQUAL(whorl_shutdown(fd, SHUT_WR), -EBADF);
        NET_EXPECT_EQUAL(whorl_shutdown_until(fd, SHUT_WR, WHORL_NEVER), -EBADF);
        NET_EXPECT_EQUAL(whorl_close(fd), -EBADF);
        NET_EXPECT_EQUAL(whorl_close_until(fd, WHORL_NEVER), -EBADF);
        NET_EXPECT_EQUAL(whorl_socket_port(fd), -EBADF);
        NET_EXPECT_EQUAL(whorl_fd_loop(fd), -EBADF);
    }
    return close(open_but_not_ours);
}

static int wrong_kind_main(void *arg)
{
    int fds[2];
    char byte;
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    NET_EXPECT_EQUAL(whorl_fd_loop(listener.fd), -EAGAIN);
    NET_EXPECT_EQUAL(whorl_read(listener.fd, &byte, 1), -ENOTCONN);
    NET_EXPECT_EQUAL(whorl_write(listener.fd, "x", 1), -EPIPE);
    if (net_pair(NET_TCP4, fds)) {
        NET_EXPECT_EQUAL(whorl_accept(fds[0]), -EINVAL);
        NET_EXPECT_EQUAL(whorl_shutdown(fds[0], 17), -EINVAL);
        NET_EXPECT_EQUAL(whorl_write(fds[0], NULL, 10), -EFAULT);
        NET_EXPECT_EQUAL(whorl_close(fds[0]) + whorl_close(fds[1]), 0);
    }
    net_listener_close(&listener);
    return 0;
}

static void test_calls_on_what_is_not_ours_or_of_the_wrong_kind_are_refused(void **state)
{
    /* A wrong number must never reach the kernel; a wrong kind gets the kernel's answer. */
    (void)state;
    net_run(strangers_main, NULL, 1);
    net_run(strangers_main, NULL, 2);
    net_run(wrong_kind_main, NULL, 1);
}

/* ---- where calls are not allowed ---- */

static void test_calls_outside_a_task_are_eperm(void **state)
{
    /* A plain thread has no loop to wait on. */
    (void)state;
    char byte = 'x';
    const struct iovec part = {&byte, 1};
    const int fds_before = net_open_fds();
    assert_int_equal(whorl_tcp_listen("127.0.0.1", 0, 0, 0), -EPERM);
    assert_int_equal(whorl_tcp_connect("127.0.0.1", 80), -EPERM);
    assert_int_equal(whorl_unix_listen("@x", 0), -EPERM);
    assert_int_equal(whorl_unix_connect("@x"), -EPERM);
    assert_int_equal(whorl_accept(0), -EPERM);
    assert_int_equal(whorl_read(0, &byte, 1), -EPERM);
    assert_int_equal(whorl_write(0, &byte, 1), -EPERM);
    assert_int_equal(whorl_writev(0, &part, 1), -EPERM);
    assert_int_equal(whorl_shutdown(0, SHUT_WR), -EPERM);
    assert_int_equal(whorl_close(0), -EPERM);
    assert_int_equal(whorl_close_until(0, WHORL_NEVER), -EPERM);
    assert_int_equal(whorl_fd_adopt(0), -EPERM);
    assert_int_equal(whorl_fd_wait(0, POLLIN), -EPERM);
    assert_int_equal(whorl_fd_loop(0), -EPERM);
    assert_int_equal(whorl_socket_port(0), -EPERM);
    assert_int_equal(net_open_fds(), fds_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_address_or_port_that_is_none_is_einval),
        cmocka_unit_test(test_port_in_use_is_eaddrinuse_and_free_after_close),
        cmocka_unit_test(test_reuseport_lets_several_listen_on_one_port),
        cmocka_unit_test(test_listen_on_every_address_is_reached_by_loopback),
        cmocka_unit_test(test_unix_names_too_long_empty_or_taken_are_refused),
        cmocka_unit_test(test_calls_on_what_is_not_ours_or_of_the_wrong_kind_are_refused),
        cmocka_unit_test(test_calls_outside_a_task_are_eperm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
