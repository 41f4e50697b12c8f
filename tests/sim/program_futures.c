/*
 * program_futures.c - futures that change hands: tokens through a ring of tasks, races to complete,
 * crowds that wait for one.
 *
 * A token goes through every task of the ring in order, as often as there are rounds; of many who
 * complete one future exactly one wins, and all who wait see what the winner said.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define RING_MAX  12
#define ROUNDS    8
#define CROWD_MAX 16

static struct {
    struct whorl_future *ring[ROUNDS][RING_MAX];
    unsigned ring_size;
    unsigned passed[RING_MAX];
    struct whorl_future *prize;
    unsigned winners;
    void *won;  /* what the winner said */
    void *seen; /* what those who waited were told */
    unsigned saw;
    unsigned gave_up;
} world;

static struct whorl_future *future_surely(void)
{
    struct whorl_future *future = NULL;
    int error;
    do {
        error = whorl_future_new(&future);
        expect(error == 0 || error == -ENOMEM);
    } while (error != 0);
    return future;
}

/* ---- a ring ---- */

static int await_surely(struct whorl_future *future, void **ret_value)
{
    int error;
    do {
        error = whorl_future_join(future, WHORL_NEVER, ret_value);
    } while (error == -ENOMEM);
    return error;
}

/* Takes the token of each round from the one before, hands it to the one behind. */
static int pass_on(void *arg)
{
    const unsigned place = (unsigned)(uintptr_t)arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        void *token = NULL;
        expect(await_surely(world.ring[round][place], &token) == 0);
        expect(token == (void *)(uintptr_t)(round * RING_MAX + place + 1));
        world.passed[place]++;
        dawdle();
        const bool last = place + 1 == world.ring_size;
        const unsigned next_round = last ? round + 1 : round;
        const unsigned next_place = last ? 0 : place + 1;
        if (next_round < ROUNDS) {
            void *const next = (void *)(uintptr_t)(next_round * RING_MAX + next_place + 1);
            expect(whorl_future_set_result(world.ring[next_round][next_place], next) == 0);
        }
    }
    return 0;
}

static void run_ring(void)
{
    struct whorl_task *tasks[RING_MAX];
    world.ring_size = 2 + draw(RING_MAX - 1);
    for (unsigned i = 0; i < ROUNDS * RING_MAX; i++) {
        world.ring[i / RING_MAX][i % RING_MAX] = future_surely();
    }
    for (unsigned i = 0; i < world.ring_size; i++) {
        tasks[i] = spawn_surely(pass_on, (void *)(uintptr_t)i, NULL);
    }
    expect(whorl_future_set_result(world.ring[0][0], (void *)(uintptr_t)1) == 0);
    for (unsigned i = 0; i < world.ring_size; i++) {
        expect(whorl_await(tasks[i], NULL) == 0);
        expect(world.passed[i] == ROUNDS);
        whorl_task_unref(tasks[i]);
    }
    for (unsigned i = 0; i < ROUNDS * RING_MAX; i++) {
        whorl_future_unref(world.ring[i / RING_MAX][i % RING_MAX]);
    }
}

/* ---- a crowd ---- */

static int compete(void *arg)
{
    dawdle();
    const int error = whorl_future_set_result(world.prize, arg);
    expect(error == 0 || error == -EALREADY);
    if (error == 0) {
        world.winners++;
        world.won = arg;
    }
    return 0;
}

static int watch(void *arg)
{
    void *value = NULL;
    (void)arg;
    dawdle();
    const int64_t deadline_ns =
        draw(3) == 0 ? whorl_after(draw(300) * WHORL_MICROSECOND) : WHORL_NEVER;
    const int error = whorl_future_join(world.prize, deadline_ns, &value);
    expect(error == 0 || error == -ETIMEDOUT || error == -ECANCELED || error == -ENOMEM);
    if (error == 0) {
        expect(world.seen == NULL || world.seen == value);
        world.seen = value;
        world.saw++;
    } else {
        world.gave_up++;
    }
    return 0;
}

static void run_crowd(void)
{
    struct whorl_task *tasks[2 * CROWD_MAX];
    const unsigned count = 2 + draw(CROWD_MAX - 1);
    world.winners = world.saw = world.gave_up = 0;
    world.seen = NULL;
    world.prize = future_surely();
    for (unsigned i = 0; i < count; i++) {
        tasks[2 * i] = spawn_surely(watch, NULL, NULL);
        tasks[2 * i + 1] = spawn_surely(compete, &tasks[2 * i + 1], NULL);
    }
    if (draw(2) == 0) {
        (void)whorl_cancel(tasks[2 * draw(count)], NULL);
    }
    unsigned ended_early = 0; /* cancelled before it began */
    for (unsigned i = 0; i < 2 * count; i++) {
        const int error = whorl_await(tasks[i], NULL);
        expect(error == 0 || (error == -ECANCELED && i % 2 == 0));
        ended_early += error != 0;
        whorl_task_unref(tasks[i]);
    }
    expect(world.winners == 1);
    expect(world.seen == NULL || world.seen == world.won);
    expect(world.saw + world.gave_up + ended_early >= count);
    whorl_future_unref(world.prize);
}

static int main_task(void *arg)
{
    (void)arg;
    memset(&world, 0, sizeof world);
    run_ring();
    for (unsigned i = 0; i < 4; i++) {
        run_crowd();
    }
    return 0;
}

/* A task without memory for its stack would break the ring, and that is nobody's bug. */
const struct program program_futures = {
    .name = "futures",
    .body = main_task,
    .faults = ALL_FAULTS & ~(UINT32_C(1) << WHORL_SIM_NO_MEMORY),
};
