/*
 * The spin lock: lockfree/spinlock.c, pair K1. One holder at a time, who sees what the last did.
 */
#include "model/model.h"

#include "lockfree/spinlock.h"

struct state {
    struct whorl__spinlock lock;
    uint32_t counter; /* M(lock) */
    uint32_t skipped; /* trylocks that failed */
};

static void count_locked(struct state *state)
{
    whorl__plain_read(&state->counter);
    whorl__plain_write(&state->counter);
    state->counter++;
}

static void lockers(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    (void)thread;
    for (unsigned i = 0; i < 2; i++) {
        whorl__spin_lock(&state->lock);
        count_locked(state);
        whorl__spin_unlock(&state->lock);
    }
}

static void triers(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        lockers(pointer, thread);
    } else if (whorl__spin_trylock(&state->lock)) {
        count_locked(state);
        whorl__spin_unlock(&state->lock);
    } else {
        whorl__add_relaxed_u32(&state->skipped, 1);
    }
}

static void all_counted(void *pointer, uint32_t expected)
{
    const struct state *const state = pointer;
    MODEL_CHECK(state->counter == expected);
    MODEL_CHECK(state->lock.word == 0);
}

static void two_counted(void *pointer)
{
    all_counted(pointer, 4);
}

static void three_counted(void *pointer)
{
    all_counted(pointer, 6);
}

static void some_counted(void *pointer)
{
    const struct state *const state = pointer;
    all_counted(pointer, 4 - state->skipped);
}

#define SPINLOCK(NAME, ABOUT, THREADS, BODY, FINISH, BOUND, SCHEDULES)                             \
    {                                                                                              \
        .name = "spinlock/" NAME, .about = ABOUT, .threads = THREADS,                              \
        .state_bytes = sizeof(struct state), .body = BODY, .finish = FINISH, .preemptions = BOUND, \
        .schedules = SCHEDULES                                                                     \
    }

static const struct model models[] = {
    SPINLOCK("two", "two lock twice", 2, lockers, two_counted, 5, 3000),
    SPINLOCK("three", "three lock twice", 3, lockers, three_counted, 2, 3000),
    SPINLOCK("try", "one locks, two try", 3, triers, some_counted, 4, 3000),
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
