/*
 * test_move.c - descriptors follow their tasks from loop to loop, and numbers are used again.
 */
#include "support/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- moving ---- */

static int move_main(void *arg)
{
    int fds[2];
    uint64_t place = 0;
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), -EAGAIN); /* nobody has waited for this end yet */
    net_read_waiting(0, fds[1], fds[0], 1, &place);
    NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), 0);
    for (int loop = 1; loop < whorl_loop_count(); loop++) {
        net_read_waiting(loop, fds[1], fds[0], 7, &place);
        NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), loop - 1);
        net_read_waiting(loop, fds[1], fds[0], 1, &place); /* the eighth in a row */
        NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), loop);
        NET_EXPECT_EQUAL(NET_STAT(moves), loop);
    }
    const uint64_t events_before = NET_STAT(events);
    net_read_waiting(whorl_loop_count() - 1, fds[1], fds[0], 20, &place);
    NET_EXPECT(NET_STAT(events) - events_before < 30); /* 20 if only one poller watches it */
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_mt_20_descriptor_moves_when_its_task_waited_elsewhere_eight_times(void **state)
{
    /* Seven are chance, eight are a habit; no byte is lost on the way. */
    (void)state;
    net_run(move_main, NULL, 2);
    net_run(move_main, NULL, 8);
    net_run_with(move_main, NULL,
                 &(struct whorl_options){.loops = 3, .no_pin = 1, .mode = WHORL_MODE_ISOLATED});
}

static int stay_main(void *arg)
{
    int fds[2];
    uint64_t place = 0;
    (void)arg;
    if (!net_pair(NET_TCP4, fds)) {
        return 0;
    }
    net_read_waiting(0, fds[1], fds[0], 1, &place);
    for (int i = 0; i < 5; i++) {
        net_read_waiting(1, fds[1], fds[0], 7, &place);
        net_read_waiting(0, fds[1], fds[0], 1, &place); /* home again: the count begins anew */
    }
    NET_EXPECT_EQUAL(whorl_fd_loop(fds[1]), 0);
    NET_EXPECT_EQUAL(NET_STAT(moves), 0);
    return whorl_close(fds[0]) + whorl_close(fds[1]);
}

static void test_descriptor_stays_while_its_tasks_come_home_in_between(void **state)
{
    /* A task that is stolen now and then does not drag its socket along. */
    (void)state;
    net_run(stay_main, NULL, 2);
}

#define WANDER_BYTES 200000
#define WANDER_PAIRS 6

struct wander {
    int fds[2];
    uint64_t taken; /* the readers', one after another */
    uint64_t sent;  /* the writer's */
};

static int wander_read(void *arg)
{
    struct wander *const wander = arg;
    unsigned char bytes[500];
    for (int i = 0; i < 10; i++) {
        const ssize_t got = whorl_read(wander->fds[0], bytes, sizeof bytes);
        if (got == 0) {
            return 1; /* the end */
        }
        if (!NET_EXPECT(got > 0) || !NET_EXPECT(net_matches(bytes, (size_t)got, wander->taken))) {
            return 1;
        }
        wander->taken += (uint64_t)got;
    }
    return 0;
}

static int wander_write(void *arg)
{
    struct wander *const wander = arg;
    unsigned char bytes[400];
    uint64_t place = 0;
    while (place < WANDER_BYTES) {
        const size_t count = 1 + place % sizeof bytes;
        net_fill(bytes, count, place);
        NET_EXPECT_EQUAL(whorl_write(wander->fds[1], bytes, count), (ssize_t)count);
        place += count;
        (void)whorl_yield(); /* so that the reader has to wait now and then */
    }
    wander->sent = place;
    return whorl_shutdown(wander->fds[1], SHUT_WR);
}

static int wander_one(void *arg)
{
    struct wander wander = {.taken = 0};
    const int loops = whorl_loop_count();
    if (!net_pair((enum net_kind)(intptr_t)arg, wander.fds)) {
        return 0;
    }
    struct whorl_task *const writer = net_spawn(wander_write, &wander, 0);
    for (int i = 0; net_finish(net_spawn(wander_read, &wander, WHORL_PIN(i % loops))) == 0; i++) {
    }
    NET_EXPECT_EQUAL(net_finish(writer), 0);
    NET_EXPECT_EQUAL(wander.taken, wander.sent);
    return whorl_close(wander.fds[0]) + whorl_close(wander.fds[1]);
}

static int wander_main(void *arg)
{
    struct whorl_task *tasks[WANDER_PAIRS];
    (void)arg;
    for (intptr_t i = 0; i < WANDER_PAIRS; i++) {
        tasks[i] =
            net_spawn(wander_one, (void *)(i % 2 == 0 ? NET_TCP4 : (intptr_t)NET_UNIX_ABSTRACT), 0);
    }
    for (int i = 0; i < WANDER_PAIRS; i++) {
        NET_EXPECT_EQUAL(net_finish(tasks[i]), 0);
    }
    return 0;
}

static void test_mt_20_streams_read_from_one_loop_after_another_arrive_exactly(void **state)
{
    /* Descriptors on the move while bytes come in: two pollers, one record. */
    (void)state;
    net_run(wander_main, NULL, 2);
    net_run(wander_main, NULL, 8);
}

/* ---- again and again ---- */

static int reuse_main(void *arg)
{
    struct net_listener listener = net_listen(*(enum net_kind *)arg, 0);
    int first = -1;
    for (int i = 0; i < 3000; i++) {
        char byte = (char)i, got = 0;
        const int near = net_connect(&listener, WHORL_NEVER);
        const int far = whorl_accept(listener.fd);
        if (!NET_EXPECT(near >= 0 && far >= 0)) {
            break;
        }
        first = i == 0 ? near : first;
        NET_EXPECT_EQUAL(near, first); /* always the same number */
        NET_EXPECT_EQUAL(whorl_write(near, &byte, 1), 1);
        NET_EXPECT_EQUAL(whorl_read(far, &got, 1), 1);
        NET_EXPECT_EQUAL(got, byte);
        if (i % 2 == 0) { /* the end comes as an edge, or is there before anybody asks */
            NET_EXPECT_EQUAL(whorl_shutdown(near, SHUT_WR), 0);
        }
        NET_EXPECT_EQUAL(whorl_close(near), 0);
        NET_EXPECT_EQUAL(whorl_read(far, &got, 1), 0);
        NET_EXPECT_EQUAL(whorl_close(far), 0);
    }
    net_listener_close(&listener);
    return 0;
}

static void test_record_of_a_number_used_thousands_of_times_serves_each_anew(void **state)
{
    /* Edges of the file before must not be taken for the new one's, nor kept from it. */
    (void)state;
    for (enum net_kind kind = NET_TCP4; kind < NET_KINDS; kind += NET_UNIX_ABSTRACT) {
        net_run(reuse_main, &kind, 1);
        net_run(reuse_main, &kind, 2);
    }
}

static int churn(void *arg)
{
    for (int i = 0; i < 300; i++) {
        int fds[2];
        char byte = (char)i, got = 0;
        if (!net_raw_pair(SOCK_STREAM, fds)) {
            break;
        }
        NET_EXPECT_EQUAL(whorl_fd_adopt(fds[0]), 0);
        NET_EXPECT_EQUAL(whorl_fd_adopt(fds[1]), 0);
        NET_EXPECT_EQUAL(whorl_read_until(fds[0], &got, 1, 0), -ETIMEDOUT);
        NET_EXPECT_EQUAL(whorl_write(fds[1], &byte, 1), 1);
        NET_EXPECT_EQUAL(whorl_read(fds[0], &got, 1), 1);
        NET_EXPECT_EQUAL(got, byte);
        NET_EXPECT_EQUAL(whorl_close(fds[(uintptr_t)arg % 2]), 0);
        NET_EXPECT_EQUAL(whorl_close(fds[1 - (uintptr_t)arg % 2]), 0);
    }
    return 0;
}

static int churn_main(void *arg)
{
    struct whorl_task *tasks[16];
    (void)arg;
    for (uintptr_t i = 0; i < 16; i++) {
        tasks[i] = net_spawn(churn, (void *)i, 0);
    }
    for (int i = 0; i < 16; i++) {
        NET_EXPECT_EQUAL(net_finish(tasks[i]), 0);
    }
    return 0;
}

static void test_numbers_handed_from_task_to_task_on_many_loops_stay_apart(void **state)
{
    /* A number closed by one task is another one's at once, on another loop. */
    (void)state;
    net_run_each(churn_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mt_20_descriptor_moves_when_its_task_waited_elsewhere_eight_times),
        cmocka_unit_test(test_descriptor_stays_while_its_tasks_come_home_in_between),
        cmocka_unit_test(test_mt_20_streams_read_from_one_loop_after_another_arrive_exactly),
        cmocka_unit_test(test_record_of_a_number_used_thousands_of_times_serves_each_anew),
        cmocka_unit_test(test_numbers_handed_from_task_to_task_on_many_loops_stay_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
