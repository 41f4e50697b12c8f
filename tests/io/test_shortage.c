/*
 * test_shortage.c - accept when the process has no descriptor left: in a child process of its own,
 * with a limit that is reached at once.
 */
#include "support/net.h"

#include "atomic/atomic.h"
#include "sys/os.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t refusals; /* A: accepts that the kernel refused */
static uint32_t lines;    /* A: warnings about it */
static struct whorl__os counting;

static int counting_accept(int fd, struct sockaddr *ret_peer, socklen_t *ret_peer_bytes)
{
    const int result = whorl__os_linux.accept(fd, ret_peer, ret_peer_bytes);
    if (result == -EMFILE) {
        (void)whorl__add_u32(&refusals, 1);
    }
    return result;
}

static void count_line(void *arg, const char *line)
{
    (void)arg;
    if (strstr(line, "accept") != NULL) {
        (void)whorl__add_u32(&lines, 1);
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

static void until_refused(uint32_t count)
{
    while (whorl__load_acquire_u32(&refusals) < count) { /* pairs the add in counting_accept */
        (void)whorl_yield();
    }
}

/* From now on no further number is handed out; what is open stays. Returns the limit before. */
static rlim_t forbid_more(void)
{
    struct rlimit limit;
    const int next = dup(0);
    (void)close(next);
    NET_EXPECT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)next;
    NET_EXPECT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void allow(rlim_t count)
{
    struct rlimit limit;
    NET_EXPECT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    NET_EXPECT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int accept_one(void *arg)
{
    const int fd = whorl_accept(*(int *)arg);
    return fd >= 0 ? whorl_close(fd) : fd;
}

static int accept_in_time(void *arg)
{
    return whorl_accept_until(*(int *)arg, whorl_after(10 * WHORL_MILLISECOND));
}

static struct whorl_task *spawn_refused(whorl_body *body, int *listener)
{
    const uint32_t before = whorl__load_acquire_u32(&refusals); /* pairs the add */
    struct whorl_task *const task = net_spawn(body, listener, 0);
    until_refused(before + 1);
    net_until_parked(task);
    return task;
}

static int shortage_main(void *arg)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    const int first = net_connect(&listener, WHORL_NEVER);
    const int second = net_connect(&listener, WHORL_NEVER);
    const rlim_t before = forbid_more();
    struct whorl_task *server = spawn_refused(accept_one, &listener.fd);
    until_refused(whorl__load_acquire_u32(&refusals) + 2); /* it tries again and again ... */
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&lines), 1);  /* ... and says so once */
    NET_EXPECT_EQUAL(whorl_tcp_connect("127.0.0.1", listener.port), -EMFILE);
    NET_EXPECT_EQUAL(whorl_close(first), 0); /* a number is free: within a pause it is used */
    NET_EXPECT_EQUAL(net_finish(server), 0);
    const int spare = dup(0);
    NET_EXPECT(spare >= 0);
    server = spawn_refused(accept_one, &listener.fd); /* the next shortage is told again */
    NET_EXPECT_EQUAL(whorl__load_acquire_u32(&lines), 2);
    NET_EXPECT(whorl_cancel(server, NULL));
    NET_EXPECT_EQUAL(net_finish(server), -ECANCELED);
    server = spawn_refused(accept_in_time, &listener.fd);
    NET_EXPECT_EQUAL(net_finish(server), -ETIMEDOUT);
    server = spawn_refused(accept_one, &listener.fd);
    (void)close(spare);
    NET_EXPECT_EQUAL(net_finish(server), 0); /* the connection has waited all the time */
    NET_EXPECT_EQUAL(whorl_close(second), 0);
    allow(before);
    net_listener_close(&listener);
    return 0;
}

static int close_main(void *arg)
{
    struct net_listener listener = net_listen(NET_TCP4, 0);
    (void)arg;
    const int near = net_connect(&listener, WHORL_NEVER);
    const rlim_t before = forbid_more();
    struct whorl_task *const server = spawn_refused(accept_one, &listener.fd);
    NET_EXPECT_EQUAL(whorl_close(listener.fd), 0);
    NET_EXPECT_EQUAL(net_finish(server), -EBADF);
    allow(before);
    return whorl_close(near);
}

/* Exits with how much went wrong. */
static _Noreturn void run_child(whorl_body *body, int loops)
{
    const struct whorl_options options = {
        .loops = loops, .no_pin = 1, .report_ns = WHORL_NEVER, .log = count_line};
    const int fds_before = net_open_fds();
    counting = whorl__os_linux;
    counting.accept = counting_accept;
    whorl__os = &counting;
    NET_EXPECT_EQUAL(whorl_run(body, NULL, &options), 0);
    NET_EXPECT_EQUAL(net_open_fds(), fds_before);
    _exit(net_take_failures() == 0 ? 0 : 1);
}

static void run_in_child(whorl_body *body, int loops)
{
    const pid_t child = fork();
    int status;
    assert_true(child >= 0);
    if (child == 0) {
        run_child(body, loops);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_accept_without_descriptors_backs_off_and_serves_on(void **state)
{
    /* Logged once a shortage; cancel and deadline end the pause; nobody is turned away. */
    (void)state;
    run_in_child(shortage_main, 1);
    run_in_child(shortage_main, 2);
    run_in_child(shortage_main, 8);
}

static void test_close_under_an_accept_that_backs_off_is_ebadf(void **state)
{
    /* It notices at the end of its pause. */
    (void)state;
    run_in_child(close_main, 1);
    run_in_child(close_main, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_without_descriptors_backs_off_and_serves_on),
        cmocka_unit_test(test_close_under_an_accept_that_backs_off_is_ebadf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
