/*
 * test_fairness.c - every connection of an echo server gets its turn: counted in simulated runs.
 *
 * Each connection is a pair of sockets with a task at each end: one asks, and asks again when it
 * has the answer; the other answers, in 5 us. When all have been answered so often on average, the
 * counts of the single ones are compared. Time is played, so what a run counts is a matter of its
 * seed and not of the machine: a connection that gets less than half of the average is a fault of
 * the runtime.
 *
 *   equal    all are alike
 *   flooded  beside them a task writes and another reads as fast as they can, and never wait long
 *   skewed   one in ten takes 50 us to answer, not 5; each kind has an average of its own
 *
 * label: medium
 */
#include "support/play.h"

#include "base/compiler.h"

#include <errno.h>

enum { CONNECTIONS_MAX = 1000, MESSAGE_BYTES = 64, HEAVY_EACH = 10 };

enum load { EQUAL, FLOODED, SKEWED };

struct connection {
    int fds[2]; /* who asks, who answers */
    bool heavy;
    bool begun; /* it has been answered once */
    unsigned answered;
    struct whorl_task *tasks[2];
};

static struct {
    enum load load;
    unsigned count;
    unsigned rounds; /* on average */
    unsigned begun;
    unsigned answered;
    bool over;
    unsigned flood; /* writes */
    struct connection connections[CONNECTIONS_MAX];
    struct connection flooded;
} world;

#define expect(condition) ((condition) ? (void)0 : whorl_sim_fail("expected: " #condition))

/* ---- a connection ---- */

/* What is counted begins when all have been answered once. */
static void note_answer(struct connection *self)
{
    if (!self->begun) {
        self->begun = true;
        world.begun++;
    } else if (world.begun == world.count && !world.over) {
        self->answered++;
        world.over = ++world.answered == world.count * world.rounds;
    }
}

static int ask(void *arg)
{
    struct connection *const self = arg;
    char message[MESSAGE_BYTES] = "";
    while (!world.over) {
        expect(whorl_write(self->fds[0], message, sizeof message) == MESSAGE_BYTES);
        ssize_t got = 0;
        while (got < MESSAGE_BYTES) {
            const ssize_t more = whorl_read(self->fds[0], message, sizeof message - (size_t)got);
            expect(more > 0);
            got += more;
        }
        note_answer(self);
    }
    return whorl_close(self->fds[0]);
}

static int answer(void *arg)
{
    struct connection *const self = arg;
    char message[MESSAGE_BYTES];
    ssize_t got;
    while ((got = whorl_read(self->fds[1], message, sizeof message)) > 0) {
        expect(whorl_sim_stall((self->heavy ? 50 : 5) * WHORL_MICROSECOND) == 0);
        expect(whorl_write(self->fds[1], message, (size_t)got) == got);
    }
    expect(got == 0);
    return whorl_close(self->fds[1]);
}

/* ---- a flood ---- */

static int pour(void *arg)
{
    struct connection *const self = arg;
    char message[MESSAGE_BYTES] = "";
    while (!world.over) {
        expect(whorl_write(self->fds[0], message, sizeof message) == MESSAGE_BYTES);
        world.flood++;
    }
    return whorl_close(self->fds[0]);
}

static int drink(void *arg)
{
    struct connection *const self = arg;
    char message[MESSAGE_BYTES];
    ssize_t got;
    while ((got = whorl_read(self->fds[1], message, sizeof message)) > 0) {
    }
    expect(got == 0);
    return whorl_close(self->fds[1]);
}

/* ---- a run ---- */

static void begin(struct connection *connection, whorl_body *first, whorl_body *second)
{
    must(whorl_sim_pair(connection->fds));
    must(whorl_fd_adopt(connection->fds[0]));
    must(whorl_fd_adopt(connection->fds[1]));
    must(whorl_spawn(second, connection, NULL, &connection->tasks[1]));
    must(whorl_spawn(first, connection, NULL, &connection->tasks[0]));
}

static void end(struct connection *connection)
{
    for (unsigned i = 0; i < 2; i++) {
        expect(finish(connection->tasks[i]) == 0);
    }
}

static int serve_all(void *arg)
{
    (void)arg;
    if (world.load == FLOODED) {
        begin(&world.flooded, pour, drink);
    }
    for (unsigned i = 0; i < world.count; i++) {
        world.connections[i].heavy = world.load == SKEWED && i % HEAVY_EACH == 0;
        begin(&world.connections[i], ask, answer);
    }
    for (unsigned i = 0; i < world.count; i++) {
        end(&world.connections[i]);
    }
    if (world.load == FLOODED) {
        end(&world.flooded);
    }
    return 0;
}

/* The slowest of a kind has at least so many hundredths of its average. */
static void compare(bool heavy, unsigned percent)
{
    unsigned count = 0;
    unsigned sum = 0;
    unsigned least = UINT32_MAX;
    for (unsigned i = 0; i < world.count; i++) {
        const struct connection *const connection = &world.connections[i];
        if (connection->heavy == heavy) {
            count++;
            sum += connection->answered;
            least = connection->answered < least ? connection->answered : least;
        }
    }
    if (count > 0 && (uint64_t)least * count * 100 < (uint64_t)sum * percent) {
        print_error("%s: the slowest was answered %u times, all %u of them %u times\n",
                    heavy ? "heavy" : "light", least, count, sum);
        fail();
    }
}

static void run_load(enum load load, int loops, unsigned connections, unsigned rounds,
                     uint64_t seed)
{
    struct whorl_sim_report report;
    const struct whorl_sim_options options = {.runtime.loops = loops,
                                              .descriptors_max = 2 * CONNECTIONS_MAX + 200,
                                              .steps_max = UINT64_C(1) << 32,
                                              .report = &report};
    memset(&world, 0, sizeof world);
    world.load = load;
    world.count = connections;
    world.rounds = rounds;
    tell_loops(loops);
    assert_int_equal(whorl_sim_run(seed, &options, serve_all, NULL), 0);
    assert_true(world.over);
    assert_true(world.flood > 0 || load != FLOODED);
}

static void play_load(enum load load, int loops, unsigned connections, unsigned rounds,
                      uint64_t seed)
{
    run_load(load, loops, connections, rounds, seed);
    compare(false, 50);
    compare(true, 50);
}

/* Fewer where that takes minutes: the slowest of few is less slow, so the same shares are due. */
#if defined(WHORL_TSAN)
#    define MANY 200
#else
#    define MANY CONNECTIONS_MAX
#endif

static void test_each_of_1000_connections_gets_half_of_the_average(void **state)
{
    (void)state;
    play_load(EQUAL, 1, MANY, 10, 1);
    play_load(EQUAL, 2, MANY, 20, 1);
    play_load(EQUAL, 8, MANY, 20, 1);
    play_load(SKEWED, 2, MANY, 20, 1);
}

/* Who is behind now is ahead later: nobody stays with the worse loop. */
static void test_the_more_is_counted_the_more_equal_are_the_shares(void **state)
{
    (void)state;
    run_load(EQUAL, 2, MANY, 20, 1);
    compare(false, 60);
    run_load(EQUAL, 2, MANY, 100, 1);
    compare(false, 75);
}

static void play_seeds(enum load load)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        const int loops = 1 << seed % 4;
        play_load(load, loops, 100, 40, seed);
    }
}

static void test_equal_connections_are_served_equally(void **state)
{
    (void)state;
    play_seeds(EQUAL);
}

static void test_a_flood_keeps_nobody_from_his_turn(void **state)
{
    (void)state;
    play_seeds(FLOODED);
}

static void test_heavy_connections_keep_nobody_from_his_turn(void **state)
{
    (void)state;
    play_seeds(SKEWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_of_1000_connections_gets_half_of_the_average),
        cmocka_unit_test(test_the_more_is_counted_the_more_equal_are_the_shares),
        cmocka_unit_test(test_equal_connections_are_served_equally),
        cmocka_unit_test(test_a_flood_keeps_nobody_from_his_turn),
        cmocka_unit_test(test_heavy_connections_keep_nobody_from_his_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
