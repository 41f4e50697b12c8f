/*
 * test_fd.c - any descriptor: adopting it, and waiting until it is ready.
 */
#include "support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- waiting ---- */

struct wait {
    int fd;
    int events;
    int got;
};

static int wait_for(void *arg)
{
    struct wait *const wait = arg;
    wait->got = whorl_fd_wait(wait->fd, wait->events);
    return 0;
}

static struct whorl_task *spawn_waiter(struct wait *wait)
{
    struct whorl_task *const task = net_spawn(wait_for, wait, 0);
    net_until_parked(task);
    return task;
}

static void check_pipe(bool adopt)
{
    int ends[2];
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    if (adopt) {
        NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    }
    struct wait wait = {.fd = ends[0], .events = POLLIN};
    for (int round = 0; round < 3; round++) {
        struct whorl_task *const task = spawn_waiter(&wait);
        NET_EXPECT_EQUAL(write(ends[1], "x", 1), 1);
        NET_EXPECT_EQUAL(net_finish(task), 0);
        NET_EXPECT_EQUAL(wait.got, POLLIN);
        NET_EXPECT_EQUAL(whorl_fd_wait(ends[0], POLLIN), POLLIN); /* it is still there */
        char byte;
        NET_EXPECT_EQUAL(read(ends[0], &byte, 1), 1);
    }
    struct whorl_task *const task = spawn_waiter(&wait);
    (void)close(ends[1]);
    NET_EXPECT_EQUAL(net_finish(task), 0);
    NET_EXPECT_EQUAL(wait.got, POLLHUP);
    NET_EXPECT_EQUAL(adopt ? whorl_close(ends[0]) : close(ends[0]), 0);
}

static int wait_main(void *arg)
{
    (void)arg;
    check_pipe(false);
    check_pipe(true);
    const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const uint64_t one = 1;
    struct wait in = {.fd = event, .events = POLLIN};
    NET_EXPECT_EQUAL(whorl_fd_wait(event, POLLOUT), POLLOUT);
    NET_EXPECT_EQUAL(whorl_fd_wait(event, POLLIN | POLLOUT), POLLOUT);
    struct whorl_task *const task = spawn_waiter(&in);
    NET_EXPECT_EQUAL(write(event, &one, sizeof one), sizeof one);
    NET_EXPECT_EQUAL(net_finish(task), 0);
    NET_EXPECT_EQUAL(in.got, POLLIN);
    NET_EXPECT_EQUAL(whorl_fd_wait(event, POLLIN | POLLOUT), POLLIN | POLLOUT);
    return close(event);
}

static void test_fd_wait_on_pipes_and_eventfds_tells_what_is_ready(void **state)
{
    /* Foreign descriptors, adopted or not, as a library's own would be. */
    (void)state;
    net_run_each(wait_main, NULL);
}

static int either_main(void *arg)
{
    /* A full socket is neither readable nor writable; then it is one, then the other. */
    int fds[2];
    char bytes[65536] = {0};
    (void)arg;
    if (!net_raw_pair(SOCK_STREAM, fds)) {
        return 0;
    }
    for (int round = 0; round < 2; round++) {
        while (write(fds[0], bytes, sizeof bytes) > 0) {
        }
        struct wait wait = {.fd = fds[0], .events = POLLIN | POLLOUT};
        struct whorl_task *const task = spawn_waiter(&wait);
        NET_EXPECT_EQUAL(whorl_fd_wait_until(fds[0], POLLIN | POLLOUT, whorl_now()), -ETIMEDOUT);
        if (round == 0) {
            NET_EXPECT_EQUAL(write(fds[1], "x", 1), 1);
        }
        while (round == 1 && read(fds[1], bytes, sizeof bytes) > 0) {
        }
        NET_EXPECT_EQUAL(net_finish(task), 0);
        NET_EXPECT_EQUAL(wait.got, round == 0 ? POLLIN : POLLOUT);
        NET_EXPECT_EQUAL(read(fds[0], bytes, 1), round == 0 ? 1 : -1);
    }
    return close(fds[0]) + close(fds[1]);
}

static void test_fd_wait_for_either_direction_ends_with_the_first(void **state)
{
    /* Both slots hold the same task; the second wake-up must be harmless. */
    (void)state;
    net_run_with(either_main, NULL,
                 &(struct whorl_options){.loops = 1, .no_pin = 1, .stack_bytes = 256 << 10});
    net_run_with(either_main, NULL,
                 &(struct whorl_options){.loops = 8, .no_pin = 1, .stack_bytes = 256 << 10});
}

static int closed_main(void *arg)
{
    int ends[2], others[2];
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    struct wait wait = {.fd = ends[0], .events = POLLIN};
    struct whorl_task *const task = spawn_waiter(&wait);
    (void)close(ends[0]);
    NET_EXPECT_EQUAL(pipe2(others, O_CLOEXEC), 0); /* gets the number that was closed */
    NET_EXPECT_EQUAL(others[0], ends[0]);
    NET_EXPECT_EQUAL(write(others[1], "x", 1), 1);
    for (int i = 0; i < 10; i++) {
        (void)whorl_yield();
    }
    NET_EXPECT(!whorl_task_done(task)); /* it waits for the pipe it was given */
    NET_EXPECT_EQUAL(write(ends[1], "x", 1), 1);
    NET_EXPECT_EQUAL(net_finish(task), 0);
    NET_EXPECT_EQUAL(wait.got, POLLIN);
    return close(ends[1]) + close(others[0]) + close(others[1]);
}

static void test_fd_wait_on_a_number_closed_meanwhile_keeps_to_its_file(void **state)
{
    /* close(2) behind whorl's back, and the number given to another file. */
    (void)state;
    net_run_each(closed_main, NULL);
}

static int wait_errors_main(void *arg)
{
    FILE *const file = tmpfile();
    const int fd = fileno(file);
    (void)arg;
    NET_EXPECT_EQUAL(whorl_fd_wait(-1, POLLIN), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_wait(1 << 19, POLLIN), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_wait(1 << 30, POLLIN), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_wait(fd, 0), -EINVAL);
    NET_EXPECT_EQUAL(whorl_fd_wait(fd, POLLPRI), -EINVAL);
    NET_EXPECT_EQUAL(whorl_fd_wait(fd, POLLIN | POLLHUP), -EINVAL);
    NET_EXPECT_EQUAL(whorl_fd_wait(fd, POLLIN), -EPERM);
    NET_EXPECT_EQUAL(whorl_fd_wait(fd, POLLOUT), -EPERM);
    (void)fclose(file);
    return 0;
}

static void test_fd_wait_refuses_files_numbers_and_events_it_cannot_take(void **state)
{
    /* A regular file is always ready: whoever waits for it has made a mistake. */
    (void)state;
    net_run(wait_errors_main, NULL, 1);
    net_run(wait_errors_main, NULL, 2);
}

static int spin_on_ready(void *arg)
{
    const int fd = *(int *)arg;
    int rounds = 0;
    while (whorl_fd_wait(fd, POLLIN) == POLLIN && rounds < 1000000) {
        rounds++;
    }
    NET_EXPECT(rounds < 1000000); /* somebody got a turn and took the byte */
    return 0;
}

static int ready_main(void *arg)
{
    int ends[2];
    char byte;
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    NET_EXPECT_EQUAL(write(ends[1], "x", 1), 1);
    struct whorl_task *const task = net_spawn(spin_on_ready, &ends[0], 0);
    (void)whorl_yield();
    (void)whorl_yield();
    NET_EXPECT_EQUAL(read(ends[0], &byte, 1), 1);
    net_until_parked(task);
    NET_EXPECT_EQUAL(whorl_close(ends[0]), 0);
    NET_EXPECT_EQUAL(net_finish(task), 0);
    return close(ends[1]);
}

static void test_fd_wait_that_is_always_ready_lets_others_run(void **state)
{
    /* A hint that is true each time must not keep the loop for one task. */
    (void)state;
    net_run(ready_main, NULL, 1);
}

/* ---- adopting ---- */

static int adopt_main(void *arg)
{
    FILE *const file = tmpfile();
    int ends[2];
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(-1), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_adopt(1 << 19), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_adopt(1 << 30), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_adopt(fileno(file)), -EPERM);
    NET_EXPECT_EQUAL(whorl_close(fileno(file)), -EBADF); /* it is not ours */
    NET_EXPECT_EQUAL(fclose(file), 0);
    char byte;
    NET_EXPECT_EQUAL(whorl_read(ends[0], &byte, 1), -EBADF);
    NET_EXPECT_EQUAL(whorl_close(ends[0]), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), -EEXIST);
    NET_EXPECT(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    NET_EXPECT_EQUAL(write(ends[1], "x", 1), 1);
    NET_EXPECT_EQUAL(whorl_read(ends[0], &byte, 1), 1);
    NET_EXPECT_EQUAL(whorl_close(ends[0]), 0);
    NET_EXPECT_EQUAL(whorl_close(ends[0]), -EBADF);
    NET_EXPECT_EQUAL(whorl_fd_wait(ends[0], POLLIN), -EBADF);
    return close(ends[1]);
}

static void test_adopt_takes_a_pipe_and_refuses_the_rest(void **state)
{
    /* Each error of the header, and that a refused descriptor stays the caller's. */
    (void)state;
    net_run(adopt_main, NULL, 1);
    net_run(adopt_main, NULL, 2);
}

static int read_messages(void *arg)
{
    const int fd = *(int *)arg;
    char message[100];
    for (int i = 0; i < 4; i++) {
        NET_EXPECT_EQUAL(whorl_read(fd, message, sizeof message), i + 1);
    }
    return 0;
}

static int messages_main(void *arg)
{
    int fds[2];
    if (!net_raw_pair(*(int *)arg, fds)) {
        return 0;
    }
    NET_EXPECT_EQUAL(whorl_fd_adopt(fds[0]), 0);
    struct whorl_task *const reader = net_spawn(read_messages, &fds[0], 0);
    net_until_parked(reader);
    for (size_t i = 0; i < 4; i++) {
        NET_EXPECT_EQUAL(write(fds[1], "abcd", i + 1), i + 1);
    }
    NET_EXPECT_EQUAL(net_finish(reader), 0);
    NET_EXPECT_EQUAL(whorl_close(fds[0]), 0);
    return close(fds[1]);
}

static void test_adopted_message_sockets_give_message_after_message(void **state)
{
    /* A short read of a message says nothing about the next one, and its edge is over. */
    (void)state;
    for (int type = SOCK_DGRAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_DGRAM) {
        net_run_each(messages_main, &type);
    }
}

static int packets_main(void *arg)
{
    int ends[2];
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC | O_DIRECT), 0); /* a pipe of packets */
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    struct whorl_task *const reader = net_spawn(read_messages, &ends[0], 0);
    net_until_parked(reader);
    for (size_t i = 0; i < 4; i++) {
        NET_EXPECT_EQUAL(write(ends[1], "abcd", i + 1), i + 1);
    }
    NET_EXPECT_EQUAL(net_finish(reader), 0);
    NET_EXPECT_EQUAL(whorl_close(ends[0]), 0);
    return close(ends[1]);
}

static void test_adopted_packet_pipe_gives_packet_after_packet(void **state)
{
    /* As messages, from something that is no socket. */
    (void)state;
    net_run_each(packets_main, NULL);
}

static int urgent_main(void *arg)
{
    int fds[2];
    char bytes[100];
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    for (int round = 0; round < 3; round++) {
        struct whorl_task *const waiter =
            net_spawn(wait_for, &(struct wait){.fd = fds[1], .events = POLLIN}, 0);
        net_until_parked(waiter);
        NET_EXPECT_EQUAL(send(fds[0], "ab", 2, 0), 2);
        NET_EXPECT_EQUAL(send(fds[0], "!", 1, MSG_OOB), 1);
        NET_EXPECT_EQUAL(send(fds[0], "cd", 2, 0), 2);
        NET_EXPECT_EQUAL(net_finish(waiter), 0);
        NET_EXPECT_EQUAL(net_read_all(fds[1], bytes, 4), 4); /* reads stop at the urgent byte */
        NET_EXPECT(memcmp(bytes, "abcd", 4) == 0);
    }
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_read_stopped_by_urgent_data_goes_on_behind_it(void **state)
{
    /* TCP ends a read at the urgent mark: short, and yet there is more. */
    (void)state;
    net_run_each(urgent_main, NULL);
}

static int write_then_close(void *arg)
{
    (void)arg;
    int ends[2];
    char bytes[4096] = {0};
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[0]), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[1]), 0);
    NET_EXPECT_EQUAL(whorl_write(ends[1], bytes, sizeof bytes), (ssize_t)sizeof bytes);
    NET_EXPECT_EQUAL(whorl_close(ends[1]), 0);
    NET_EXPECT_EQUAL(net_read_all(ends[0], bytes, sizeof bytes), (long)sizeof bytes);
    NET_EXPECT_EQUAL(whorl_read(ends[0], bytes, sizeof bytes), 0);
    NET_EXPECT_EQUAL(whorl_read(ends[0], bytes, sizeof bytes), 0);
    return whorl_close(ends[0]);
}

static void test_adopted_pipe_is_read_to_its_end(void **state)
{
    /* Both ends by whorl; the end of the stream is told as often as asked for. */
    (void)state;
    net_run_each(write_then_close, NULL);
}

static int epipe_main(void *arg)
{
    int ends[2];
    (void)arg;
    NET_EXPECT_EQUAL(pipe2(ends, O_CLOEXEC), 0);
    NET_EXPECT_EQUAL(whorl_fd_adopt(ends[1]), 0);
    (void)close(ends[0]);
    NET_EXPECT_EQUAL(whorl_write(ends[1], "x", 1), -EPIPE);
    NET_EXPECT_EQUAL(whorl_write(ends[1], "x", 1), -EPIPE);
    return whorl_close(ends[1]);
}

static void test_write_to_a_pipe_nobody_reads_is_epipe_without_signal(void **state)
{
    /* SIGPIPE would end the process, and this test with it. */
    (void)state;
    net_run_each(epipe_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fd_wait_on_pipes_and_eventfds_tells_what_is_ready),
        cmocka_unit_test(test_fd_wait_for_either_direction_ends_with_the_first),
        cmocka_unit_test(test_fd_wait_on_a_number_closed_meanwhile_keeps_to_its_file),
        cmocka_unit_test(test_fd_wait_refuses_files_numbers_and_events_it_cannot_take),
        cmocka_unit_test(test_fd_wait_that_is_always_ready_lets_others_run),
        cmocka_unit_test(test_adopt_takes_a_pipe_and_refuses_the_rest),
        cmocka_unit_test(test_adopted_message_sockets_give_message_after_message),
        cmocka_unit_test(test_adopted_packet_pipe_gives_packet_after_packet),
        cmocka_unit_test(test_read_stopped_by_urgent_data_goes_on_behind_it),
        cmocka_unit_test(test_adopted_pipe_is_read_to_its_end),
        cmocka_unit_test(test_write_to_a_pipe_nobody_reads_is_epipe_without_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
