/*
 * The run queue against thieves and overflow: lockfree/runqueue.c, pairs Q1 and Q2.
 *
 * Whatever the threads do, in the end every task has run once, its payload was seen by who ran it,
 * and no slot was reused while somebody still copied from it.
 */
#include "model/model.h"

#include "lockfree/runqueue.h"

WHORL_STATIC(WHORL_RUNQUEUE_SLOTS == 4, "the models count on a ring that overflows soon");

enum { TASKS = 8, QUEUES = 3, PAYLOAD = 42 };

struct task {
    uint32_t payload;
    uint32_t runs;
};

struct state {
    struct whorl__runqueue queues[QUEUES];
    struct task tasks[TASKS];
    unsigned pushed;    /* tasks[0 .. pushed) went into some queue, by thread 0 */
    uint32_t searching; /* as idle.word is for a searcher */
    uint32_t saw_task;
    uint32_t saw_searcher;
};

static void run_task(void *pointer)
{
    struct task *const task = pointer;
    whorl__plain_read(&task->payload);
    MODEL_CHECK(task->payload == PAYLOAD);
    whorl__plain_write(&task->runs);
    task->runs++;
}

/* Runs the older half itself when the ring is full, as if from the shared queue. */
static void push_task(struct whorl__runqueue *queue, struct task *task)
{
    whorl__plain_write(&task->payload);
    task->payload = PAYLOAD;
    while (!whorl__runqueue_push(queue, task)) {
        void *half[2];
        const unsigned count = whorl__runqueue_take_half_for_overflow(queue, half, 2);
        for (unsigned i = 0; i < count; i++) {
            run_task(half[i]);
        }
    }
}

static void push_many(struct state *state, unsigned queue, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        push_task(&state->queues[queue], &state->tasks[i]);
    }
}

static void run_own(struct state *state, unsigned queue)
{
    for (void *task = whorl__runqueue_take(&state->queues[queue]); task != NULL;
         task = whorl__runqueue_take(&state->queues[queue])) {
        run_task(task);
    }
}

static void steal(struct state *state, unsigned victim, unsigned thief)
{
    void *first;
    if (whorl__runqueue_steal_half(&state->queues[victim], &state->queues[thief], &first) > 0) {
        run_task(first);
    }
}

static void set_up(void *pointer)
{
    struct state *const state = pointer;
    for (unsigned i = 0; i < QUEUES; i++) {
        whorl__runqueue_init(&state->queues[i]);
    }
}

/* All counters pass 2^32 during the execution. */
static void set_up_near_wrap(void *pointer)
{
    struct state *const state = pointer;
    set_up(pointer);
    for (unsigned i = 0; i < QUEUES; i++) {
        struct ck_ring *const ring = &state->queues[i].ring;
        ring->c_head = ring->p_tail = ring->p_head = UINT32_MAX - 1;
    }
}

static void check_all_ran(void *pointer, unsigned count)
{
    struct state *const state = pointer;
    for (unsigned i = 0; i < QUEUES; i++) {
        MODEL_CHECK(whorl__runqueue_verify(&state->queues[i]));
        MODEL_CHECK(whorl__runqueue_length(&state->queues[i]) <= WHORL_RUNQUEUE_CAPACITY);
        run_own(state, i);
        MODEL_CHECK(whorl__runqueue_length(&state->queues[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        MODEL_CHECK(state->tasks[i].runs == 1);
    }
}

/* ---- one thief ---- */

static void one_thief(void *pointer, unsigned thread)
{
    if (thread == 0) {
        push_many(pointer, 0, 0, 6);
    } else {
        steal(pointer, 0, 1);
    }
    run_own(pointer, thread);
}

static void six_ran(void *pointer)
{
    check_all_ran(pointer, 6);
}

/* ---- a slot is reused while a slow thief still copies it ---- */

static void reuse(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        push_many(state, 0, 0, 3);
        void *const first = whorl__runqueue_take(&state->queues[0]);
        if (first != NULL) {
            run_task(first);
        }
        push_many(state, 0, 3, 3);
    } else {
        steal(state, 0, 1);
        steal(state, 0, 1);
    }
    run_own(state, thread);
}

/* ---- two thieves at one victim ---- */

static void two_thieves(void *pointer, unsigned thread)
{
    if (thread == 0) {
        push_many(pointer, 0, 0, 4);
    } else {
        steal(pointer, 0, thread);
    }
    run_own(pointer, thread);
}

static void four_ran(void *pointer)
{
    check_all_ran(pointer, 4);
}

/* ---- a thief is robbed of what it has stolen ---- */

static void chain(void *pointer, unsigned thread)
{
    if (thread == 0) {
        push_many(pointer, 0, 0, 3);
    } else if (thread == 1) {
        steal(pointer, 0, 1);
        steal(pointer, 0, 1);
    } else {
        steal(pointer, 1, 2);
    }
}

static void three_ran(void *pointer)
{
    check_all_ran(pointer, 3);
}

/* ---- two owners rob each other ---- */

static void each_other(void *pointer, unsigned thread)
{
    push_many(pointer, thread, 3 * thread, 3);
    steal(pointer, 1 - thread, thread);
    run_own(pointer, thread);
}

/* ---- a searcher's last look does not miss a push: what I1 of sched/idle.c stands on ---- */

static void last_look(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    if (thread == 0) {
        push_many(state, 0, 0, 1);
        whorl__fence_full();
        state->saw_searcher = whorl__load_relaxed_u32(&state->searching);
    } else {
        whorl__store_relaxed_u32(&state->searching, 1);
        whorl__fence_full();
        state->saw_task = whorl__runqueue_length(&state->queues[0]);
    }
}

static void somebody_saw(void *pointer)
{
    const struct state *const state = pointer;
    MODEL_CHECK(state->saw_searcher != 0 || state->saw_task != 0);
    check_all_ran(pointer, 1);
}

#define RUNQUEUE(NAME, ABOUT, THREADS, SETUP, BODY, FINISH, BOUND, SCHEDULES)                      \
    {                                                                                              \
        .name = "runqueue/" NAME, .about = ABOUT, .threads = THREADS,                              \
        .state_bytes = sizeof(struct state), .setup = SETUP, .body = BODY, .finish = FINISH,       \
        .preemptions = BOUND, .schedules = SCHEDULES                                               \
    }

static const struct model models[] = {
    RUNQUEUE("one-thief", "the owner pushes, overflows and takes; a thief steals half", 2, set_up,
             one_thief, six_ran, 3, 5000),
    RUNQUEUE("reuse", "slots are stored to again while a thief copies them", 2, set_up, reuse,
             six_ran, 3, 5000),
    RUNQUEUE("two-thieves", "two thieves at one victim", 3, set_up, two_thieves, four_ran, 2, 5000),
    RUNQUEUE("chain", "a thief is robbed of what it has just stolen", 3, set_up, chain, three_ran,
             3, 5000),
    RUNQUEUE("each-other", "two owners rob each other", 2, set_up, each_other, six_ran, 3, 5000),
    RUNQUEUE("wrap", "each other, with counters that pass 2^32", 2, set_up_near_wrap, each_other,
             six_ran, 2, 5000),
    RUNQUEUE("last-look", "a push and a searcher's last look do not miss each other", 2, set_up,
             last_look, somebody_saw, MODEL_UNBOUNDED, 2000),
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
