/*
 * faults.c - small models with a fault each; test_engine.sh sees that the checker finds them.
 *
 * `about` is the text that the report must have.
 */
#include "model/model.h"

#include <string.h>

struct state {
    uint32_t flag WHORL_ALIGNED(WHORL_CACHE_LINE);
    uint32_t other WHORL_ALIGNED(WHORL_CACHE_LINE);
    uint32_t data;
    bool done[2];
    void *block;
    void *slot;
    uint32_t *nowhere;
};

static void both_write(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    whorl__plain_write(&state->data);
    state->data = thread;
}

static void publish_relaxed(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        whorl__plain_write(&state->data);
        state->data = 1;
        whorl__store_relaxed_u32(&state->flag, 1);
    } else if (whorl__load_acquire_u32(&state->flag) == 1) {
        whorl__plain_read(&state->data);
    }
}

static void publish_well(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        whorl__plain_write(&state->data);
        state->data = 1;
        whorl__store_release_u32(&state->flag, 1);
    } else if (whorl__load_acquire_u32(&state->flag) == 1) {
        whorl__plain_read(&state->data);
        MODEL_CHECK(state->data == 1);
    }
}

static bool is_done(void *arg)
{
    return *(bool *)arg;
}

static void wait_for_each_other(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    model_block_until(is_done, &state->done[1 - thread]);
    state->done[thread] = true;
}

/* One sleeps on a word, the other looks first whether anybody sleeps: the fences are missing. */
static void sleep_without_fence(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        whorl__store_relaxed_u32(&state->flag, 1);
        if (whorl__load_relaxed_u32(&state->other) == 1) {
            whorl__store_relaxed_u32(&state->other, 0);
            (void)model_os.futex_wake(&state->other, 1);
        }
    } else {
        whorl__store_relaxed_u32(&state->other, 1);
        if (whorl__load_relaxed_u32(&state->flag) == 0) {
            (void)model_os.futex_wait(&state->other, 1, INT64_MAX);
        }
    }
}

static void leak(void *pointer, unsigned thread)
{
    (void)pointer;
    if (thread == 0) {
        (void)model_alloc(24);
    }
}

static void allocate(void *pointer)
{
    struct state *const state = pointer;
    state->block = model_alloc(64);
    memset(state->block, 0, 64);
}

static void use_freed(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        model_free(state->block);
    } else {
        (void)whorl__load_relaxed_u32(state->block);
    }
}

/* The flag says that the other has looked, but does not release it. */
static void free_too_soon(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        (void)whorl__load_relaxed_u32(state->block);
        whorl__store_relaxed_u32(&state->flag, 1);
    } else {
        while (whorl__load_acquire_u32(&state->flag) == 0) {
            whorl__pause();
        }
        model_free(state->block);
    }
}

static void free_twice(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    (void)thread;
    model_free(state->block);
}

static void step_outside(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    char *const behind = (char *)state->block + 62;
    if (thread == 0) {
        whorl__store_relaxed_u32((uint32_t *)(void *)behind, 1);
    } else {
        model_free(state->block);
    }
}

static void spin_for_ever(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    while (thread == 1 && whorl__load_relaxed_u32(&state->flag) == 0) {
        whorl__pause();
    }
}

static void crash(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    whorl__store_relaxed_u32(&state->flag, 1);
    if (thread == 1) {
        *state->nowhere = 1;
    }
}

static void assert_wrongly(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    const uint32_t old = whorl__add_u32(&state->flag, 1);
    WHORL_ASSERT(old == thread);
}

static void check_wrongly(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    whorl__store_relaxed_u32(thread == 0 ? &state->flag : &state->other, 1);
    model_note("thread %u looks", thread);
    state->done[thread] = whorl__load_relaxed_u32(thread == 0 ? &state->other : &state->flag) == 0;
}

static void not_both(void *pointer)
{
    const struct state *const state = pointer;
    MODEL_CHECK(!(state->done[0] && state->done[1]));
}

/* The slot is stored to again, and the copy that was kept is not known to be over. */
static void reuse_unordered(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        (void)whorl__load_relaxed_ptr(&state->slot);
        whorl__plain_copy(&state->slot);
        (void)whorl__cas_u32(&state->flag, 0, 1);
    } else {
        whorl__store_relaxed_ptr(&state->slot, &state->data);
    }
}

static void choose_badly(void *pointer, unsigned thread)
{
    (void)pointer;
    if (thread == 0) {
        MODEL_CHECK(model_choose(40) != 39);
    }
}

static void say_too_much(void *pointer)
{
    const struct state *const state = pointer;
    model_outcome("%u", state->flag);
}

static void add_one(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    whorl__store_relaxed_u32(&state->flag, whorl__load_relaxed_u32(&state->flag) + 1 + thread);
}

#define FAULT(NAME, ABOUT, SETUP, BODY, FINISH)                                                    \
    {                                                                                              \
        .name = NAME, .about = ABOUT, .threads = 2, .state_bytes = sizeof(struct state),           \
        .setup = SETUP, .body = BODY, .finish = FINISH, .preemptions = 2, .schedules = 500         \
    }

static const struct model models[] = {
    FAULT("holds/publish", "held", NULL, publish_well, NULL),
    FAULT("race/writes", "data race: plain write", NULL, both_write, NULL),
    FAULT("race/publish", "data race: plain read", NULL, publish_relaxed, NULL),
    FAULT("race/reuse", "not ordered after the plain copy", NULL, reuse_unordered, NULL),
    FAULT("stuck/deadlock", "deadlock: nobody can run", NULL, wait_for_each_other, NULL),
    FAULT("stuck/lost-wake-up", "deadlock: nobody can run", NULL, sleep_without_fence, NULL),
    FAULT("stuck/livelock", "livelock: more than", NULL, spin_for_ever, NULL),
    FAULT("heap/leak", "leak: block 1, 24 bytes", NULL, leak, NULL),
    FAULT("heap/use-after-free", "use after free: block 1", allocate, use_freed, NULL),
    FAULT("heap/free-unordered", "data race: plain write of the block", allocate, free_too_soon,
          NULL),
    FAULT("heap/double-free", "block 1 is freed twice", allocate, free_twice, NULL),
    FAULT("heap/behind", "access behind the end: block 1 + 62", allocate, step_outside, NULL),
    FAULT("wrong/crash", "crash: Segmentation fault", NULL, crash, NULL),
    FAULT("wrong/assertion", "old == thread at model/faults.c", NULL, assert_wrongly, NULL),
    FAULT("wrong/store-buffering", "MODEL_CHECK(!(state->done[0]", NULL, check_wrongly, not_both),
    FAULT("wrong/choice", "MODEL_CHECK(model_choose(40) != 39)", NULL, choose_badly, NULL),
    {.name = "wrong/outcome",
     .about = "the outcome 1 is not among those expected: 3",
     .threads = 2,
     .state_bytes = sizeof(struct state),
     .body = add_one,
     .finish = say_too_much,
     .preemptions = 2,
     .outcomes = {"3", "3", "3", "3"}},
    {.name = "wrong/missing-outcome",
     .about = "no execution had the outcome 7",
     .threads = 2,
     .state_bytes = sizeof(struct state),
     .body = add_one,
     .finish = say_too_much,
     .preemptions = MODEL_UNBOUNDED,
     .outcomes = {"1 2 3 7", "1 2 3 7", "1 2 3 7", "1 2 3 7"}},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
