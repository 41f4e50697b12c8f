/*
 * The lock that sleeps: lockfree/mutex.h, pair K2. One holder at a time, who sees what the last one
 * did, and nobody sleeps for ever: an execution in which all who are left wait is an error.
 *
 * Shown to fail: by --mutate of lockfree/mutex.c:whorl__mutex_unlock#1:acquire (K2), and by a lock
 * that takes a word it has waited for as HELD.
 */
#include "model/model.h"

#include "lockfree/mutex.h"

enum { TIMES = 2 };

struct state {
    struct whorl__mutex mutex;
    uint32_t counter; /* M(mutex) */
};

static void lock_once(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    (void)thread;
    whorl__mutex_lock(&state->mutex);
    whorl__plain_read(&state->counter);
    whorl__plain_write(&state->counter);
    state->counter++;
    whorl__mutex_unlock(&state->mutex);
}

static void lock_often(void *pointer, unsigned thread)
{
    for (unsigned i = 0; i < TIMES; i++) {
        lock_once(pointer, thread);
    }
}

static void all_counted(const struct state *state, uint32_t expected)
{
    MODEL_CHECK(state->counter == expected);
    MODEL_CHECK(state->mutex.word == 0);
}

static void two_counted(void *pointer)
{
    all_counted(pointer, 2 * TIMES);
}

static void three_counted(void *pointer)
{
    all_counted(pointer, 3);
}

static const struct model models[] = {
    {
        .name = "mutex/two",
        .about = "two lock twice each",
        .threads = 2,
        .state_bytes = sizeof(struct state),
        .body = lock_often,
        .finish = two_counted,
        .preemptions = 4,
        .schedules = 3000,
    },
    {
        .name = "mutex/three",
        .about = "three lock once: two of them may sleep at the same time",
        .threads = 3,
        .state_bytes = sizeof(struct state),
        .body = lock_once,
        .finish = three_counted,
        .preemptions = 3,
        .schedules = 4000,
    },
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
