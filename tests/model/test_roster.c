/*
 * The list of runtimes, walked without a lock: sched/roster.c, pairs V1 to V3.
 *
 * Who walks looks into each runtime he is given; who takes one off the list frees it at once. A
 * runtime that was on the list all the time is found, whatever others do.
 *
 * Shown to fail: by --mutate of sched/roster.c:enter#2:removed and whorl__roster_remove#1:removed
 * (V1), of pick#1:relaxed (V2), of whorl__roster_leave#1:acquire (V3).
 */
#include "model/model.h"

#include "sched/roster.h"

#include <errno.h>
#include <string.h>

enum { RUNTIMES = 3 };

struct state {
    struct whorl__runtime *runtimes[RUNTIMES];
    unsigned seen[RUNTIMES];
};

/* Nobody wakes who waits for walkers: he looks again after a while. */
static int wait_a_while(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    (void)word, (void)expected, (void)deadline_ns;
    model_yield();
    return -ETIMEDOUT;
}

static void add(struct state *state, unsigned index)
{
    struct whorl__runtime *const runtime = model_alloc(sizeof(*runtime));
    memset(runtime, 0, sizeof(*runtime));
    whorl__plain_write(&runtime->loop_count);
    runtime->loop_count = index;
    state->runtimes[index] = runtime;
    whorl__roster_add(runtime);
}

static void drop(struct state *state, unsigned index)
{
    struct whorl__runtime *const runtime = state->runtimes[index];
    whorl__roster_remove(runtime);
    whorl__plain_write(&runtime->loop_count); /* nobody looks any more */
    model_free(runtime);
}

static void look_into(struct state *state, struct whorl__runtime *runtime)
{
    whorl__plain_read(&runtime->loop_count);
    MODEL_CHECK(runtime->loop_count < RUNTIMES);
    state->seen[runtime->loop_count]++;
}

static void walk(struct state *state)
{
    struct whorl__runtime *runtime = NULL;
    while ((runtime = whorl__roster_next(runtime)) != NULL) {
        look_into(state, runtime);
    }
}

static void find(struct state *state, uint64_t id)
{
    struct whorl__runtime *const runtime = whorl__roster_find(id);
    if (runtime != NULL) {
        MODEL_CHECK(runtime->id == id);
        look_into(state, runtime);
        whorl__roster_leave(runtime);
    }
}

static void set_up(void *pointer)
{
    struct state *const state = pointer;
    model_os.futex_wait = wait_a_while;
    whorl__roster_clear(); /* the list is the process's: it begins anew */
    add(state, 0);
    add(state, 1);
}

static void finish(void *pointer)
{
    struct state *const state = pointer;
    drop(state, 0);
    MODEL_CHECK(whorl__roster_next(NULL) == NULL);
}

/* ---- one is added while somebody walks ---- */

static void added(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        add(state, 2);
    } else {
        walk(state);
    }
}

static void finish_added(void *pointer)
{
    struct state *const state = pointer;
    MODEL_CHECK(state->seen[0] == 1 && state->seen[1] == 1 && state->seen[2] <= 1);
    drop(state, 1);
    drop(state, 2);
    finish(state);
}

/* ---- one goes while somebody walks ---- */

static void removed(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        drop(state, 1);
    } else {
        walk(state);
    }
}

static void finish_removed(void *pointer)
{
    struct state *const state = pointer;
    MODEL_CHECK(state->seen[0] == 1 && state->seen[1] <= 1);
    finish(state);
}

/* ---- one goes and one comes while somebody looks for the first ---- */

static void replaced(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        drop(state, 1);
        add(state, 2);
    } else {
        find(state, state->runtimes[0]->id + 1);
    }
}

static void finish_replaced(void *pointer)
{
    struct state *const state = pointer;
    drop(state, 2);
    finish(state);
}

#define ROSTER(NAME, ABOUT, BODY, FINISH)                                                          \
    {                                                                                              \
        .name = "roster/" NAME, .about = ABOUT, .threads = 2, .state_bytes = sizeof(struct state), \
        .setup = set_up, .body = BODY, .finish = FINISH, .preemptions = 3, .schedules = 4000       \
    }

static const struct model models[] = {
    ROSTER("added", "a runtime starts while somebody walks: seen whole, or not yet", added,
           finish_added),
    ROSTER("removed", "a runtime ends while somebody walks: it stays until he has left", removed,
           finish_removed),
    ROSTER("replaced", "one ends, another starts, and somebody looks for the first", replaced,
           finish_replaced),
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
