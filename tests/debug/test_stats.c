/*
 * test_stats.c - counters from outside: which runtimes there are, and that their end waits.
 */
#include "capture.h"

#include "support/mark.h"
#include "task/park.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#define BIG UINT64_C(9007199254740993) /* 2^53 + 1: no double has it */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- one runtime, seen by a plain thread ---- */

struct seen {
    struct whorl_future *over;
    uint64_t id;
    uint64_t found;
    size_t count;
    int errors[6];
    struct whorl_stats by_id;
    struct whorl_stats only;
    struct whorl_stats loops[2];
};

static void *look_from_outside(void *arg)
{
    struct seen *const seen = arg;
    struct whorl_stats unused = {.turns = UNSET};
    seen->count = whorl_runtimes(&seen->found, 1);
    seen->errors[0] = whorl_stats_of(seen->id, -1, &seen->by_id);
    seen->errors[1] = whorl_stats_of(0, -1, &seen->only);
    seen->errors[2] = whorl_stats_of(seen->id, 2, &unused);
    seen->errors[3] = whorl_stats_of(seen->id, -2, &unused);
    seen->errors[4] = whorl_stats_of(seen->id + 1, 0, &unused);
    seen->errors[5] = whorl_stats_of(seen->id, 0, NULL);
    must(unused.turns == UNSET ? 0 : -EPROTO);
    for (int i = 0; i < 2; i++) {
        must(whorl_stats_of(seen->id, i, &seen->loops[i]));
    }
    must(whorl_runtime_current() == 0 ? 0 : -EPROTO);
    must(whorl_future_set_result(seen->over, NULL));
    return NULL;
}

static int be_seen(void *arg)
{
    struct seen *const seen = arg;
    pthread_t thread;
    for (int i = 0; i < 10; i++) {
        must(finish(start(do_nothing, NULL)));
    }
    seen->id = whorl_runtime_current();
    seen->over = new_future();
    must(pthread_create(&thread, NULL, look_from_outside, seen));
    must(whorl_future_await(seen->over, NULL));
    must(pthread_join(thread, NULL));
    whorl_future_unref(seen->over);
    return 0;
}

static void test_stats_of_a_runtime_are_read_by_a_plain_thread(void **state)
{
    (void)state;
    struct seen seen = {.count = 0};
    const int expected[] = {0, 0, -EINVAL, -EINVAL, -ESRCH, -EINVAL};
    assert_int_equal(play(2, be_seen, &seen), 0);
    assert_memory_equal(seen.errors, expected, sizeof expected);
    assert_int_equal(seen.count, 1);
    assert_true(seen.id != 0 && seen.found == seen.id);
    assert_int_equal(seen.by_id.spawned, 11); /* main was begun by a plain thread */
    assert_int_equal(seen.loops[0].spawned + seen.loops[1].spawned, 10);
    assert_int_equal(seen.only.spawned, 11);
    assert_true(seen.only.runs >= 11);
    assert_int_equal(whorl_stats_of(seen.id, -1, &seen.only), -ESRCH); /* it has ended */
    assert_int_equal(whorl_stats_of(0, -1, &seen.only), -ESRCH);
    assert_int_equal(whorl_runtimes(NULL, 0), 0);
}

/* ---- several ---- */

static int look_at_two(void *arg)
{
    struct whorl_stats stats;
    uint64_t ids[3] = {0, 0, UNSET};
    (void)arg;
    while (whorl_runtimes(ids, 2) < 2) {
        must(whorl_sleep(WHORL_MILLISECOND));
    }
    const bool ordered = ids[0] < ids[1] && ids[2] == UNSET;
    must(ordered && whorl_stats_of(0, -1, &stats) == -ESRCH ? 0 : -EPROTO);
    must(whorl_stats_of(ids[0], -1, &stats));
    must(whorl_stats_of(ids[1], -1, &stats));
    return whorl_runtimes(ids, 1) == 2 ? 0 : -EPROTO;
}

static int await_gate(void *arg)
{
    return whorl_future_await(arg, NULL);
}

static void *run_beside(void *gate)
{
    must(whorl_run(await_gate, gate, &(struct whorl_options){.loops = 1, .no_pin = 1}));
    return NULL;
}

static void test_stats_of_zero_wants_a_single_runtime(void **state)
{
    (void)state;
    struct whorl_future *const gate = new_future();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_beside, gate), 0);
    assert_int_equal(whorl_run(look_at_two, NULL, &(struct whorl_options){.loops = 1}), 0);
    assert_int_equal(whorl_future_set_result(gate, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    whorl_future_unref(gate);
}

/* ---- a monitor that does not know when runtimes come and go ---- */

#define ROUNDS 60

struct monitor {
    uint32_t stop; /* A */
    uint32_t seen; /* A: reads that found a runtime */
    uint32_t odd;  /* A */
};

static void *monitor(void *arg)
{
    struct monitor *const self = arg;
    char text[4096];
    while (whorl__load_acquire_u32(&self->stop) == 0) { /* acquire, pairs mark */
        struct whorl_stats stats;
        uint64_t id;
        if (whorl_runtimes(&id, 1) > 0) {
            const int error = whorl_stats_of(id, -1, &stats);
            const bool odd = error != 0 && error != -ESRCH;
            mark(odd ? &self->odd : &self->seen);
        }
        if (whorl_stats_print(WHORL_STATS_TEXT, text, sizeof text) <= 0 ||
            whorl_stats_print(WHORL_STATS_PROMETHEUS, text, sizeof text) <= 0) {
            mark(&self->odd);
        }
    }
    return NULL;
}

static void test_stats_may_be_read_while_runtimes_come_and_go(void **state)
{
    /* The end of a runtime waits for who reads; nobody reads what is gone. */
    (void)state;
    struct monitor shared = {.stop = 0};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, monitor, &shared), 0);
    }
    for (int i = 0; i < ROUNDS || level_of(&shared.seen) == 0; i++) {
        const struct whorl_options options = {.loops = 1 + i % 3, .no_pin = 1};
        assert_int_equal(whorl_run(do_nothing, NULL, &options), 0);
    }
    mark(&shared.stop);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(shared.odd, 0);
}

/* ---- as text ---- */

struct printed {
    char whole[16384];
    char cut[100];
    ssize_t lengths[4];
    struct capture written;
    struct capture table;
};

static struct capture write_stats(enum whorl_stats_format format)
{
    const int fd = capture_open();
    must(whorl_stats_write(format, fd));
    return capture_close(fd);
}

/* One loop, which is in this task: no counter moves meanwhile. */
static int print_all(void *arg)
{
    struct printed *const printed = arg;
    struct whorl__loop *const loop = whorl__task_current()->loop;
    (void)whorl__add_u64(&loop->stats.runs, BIG - loop->stats.runs);
    (void)whorl__add_u64(&loop->stats.events, UINT64_MAX - loop->stats.events);
    const enum whorl_stats_format format = WHORL_STATS_PROMETHEUS;
    printed->lengths[0] = whorl_stats_print(format, NULL, 0);
    printed->lengths[1] = whorl_stats_print(format, printed->whole, sizeof printed->whole);
    printed->lengths[2] = whorl_stats_print(format, printed->cut, sizeof printed->cut);
    printed->lengths[3] = whorl_stats_print((enum whorl_stats_format)7, printed->cut, 100);
    printed->written = write_stats(format);
    printed->table = write_stats(WHORL_STATS_TEXT);
    return whorl_stats_write((enum whorl_stats_format)7, 1) == -EINVAL ? 0 : -EPROTO;
}

static void test_stats_print_is_cut_off_like_snprintf_and_exact(void **state)
{
    (void)state;
    struct printed printed;
    assert_int_equal(play(1, print_all, &printed), 0);
    assert_int_equal(printed.lengths[0], strlen(printed.whole));
    assert_int_equal(printed.lengths[1], printed.lengths[0]);
    assert_int_equal(printed.lengths[2], printed.lengths[0]);
    assert_int_equal(printed.lengths[3], -EINVAL);
    assert_int_equal(strlen(printed.cut), sizeof printed.cut - 1);
    assert_memory_equal(printed.cut, printed.whole, sizeof printed.cut - 1);
    assert_string_equal(printed.written.text, printed.whole);
    assert_non_null(strstr(printed.whole, "\",loop=\"0\"} 9007199254740993\n"));
    assert_non_null(strstr(printed.whole, "\",loop=\"0\"} 18446744073709551615\n"));
    capture_drop(&printed.written);
    capture_drop(&printed.table);
}

static void test_stats_table_has_a_line_a_counter_and_a_column_a_loop(void **state)
{
    (void)state;
    struct printed printed;
    char line[1024];
    assert_int_equal(play(1, print_all, &printed), 0);
    assert_int_equal(strncmp(printed.table.text, "whorl ", 6), 0);
    assert_non_null(strstr(printed.table.text, " loops=1 tasks=1\ncounter "));
    assert_true(capture_line(&printed.table, "counter ", " total      loop=0 ", line));
    assert_true(capture_line(&printed.table, "spawned ", "           1           0 ", line));
    assert_true(capture_line(&printed.table, "runs ", " 9007199254740993 ", line));
    assert_true(capture_line(&printed.table, "missed_wakes ", "           0           0 ", line));
    capture_drop(&printed.written);
    capture_drop(&printed.table);
}

static void test_stats_write_reports_why_it_could_not(void **state)
{
    (void)state;
    const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    for (int format = WHORL_STATS_TEXT; format <= WHORL_STATS_PROMETHEUS; format++) {
        assert_int_equal(whorl_stats_write((enum whorl_stats_format)format, full), -ENOSPC);
        assert_int_equal(whorl_stats_write((enum whorl_stats_format)format, -1), -EBADF);
    }
    close(full);
    assert_int_equal(whorl_stats_write(WHORL_STATS_TEXT, full), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats_of_a_runtime_are_read_by_a_plain_thread),
        cmocka_unit_test(test_stats_of_zero_wants_a_single_runtime),
        cmocka_unit_test(test_stats_may_be_read_while_runtimes_come_and_go),
        cmocka_unit_test(test_stats_print_is_cut_off_like_snprintf_and_exact),
        cmocka_unit_test(test_stats_table_has_a_line_a_counter_and_a_column_a_loop),
        cmocka_unit_test(test_stats_write_reports_why_it_could_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
