/*
 * The run queue against thieves and overflow: lockfree/runqueue.c, pairs Q1 and Q2.
 */
#include "model/model.h"

#include "lockfree/runqueue.h"

WHORL_STATIC(WHORL_RUNQUEUE_SLOTS == 4, "the models count on a ring that overflows soon");

enum { TASKS = 6, QUEUES = 2 };

struct task {
    uint64_t payload;
    unsigned runs;
};

struct state {
    struct whorl__runqueue queues[QUEUES];
    struct task tasks[TASKS];
};

static void run_task(void *pointer)
{
    struct task *const task = pointer;
    whorl__plain_read(&task->payload);
    whorl__plain_write(&task->runs);
    MODEL_CHECK(task->payload == 42);
    task->runs++;
}

static void push_task(struct whorl__runqueue *queue, struct task *task)
{
    whorl__plain_write(&task->payload);
    task->payload = 42;
    while (!whorl__runqueue_push(queue, task)) {
        void *half[2];
        const unsigned count = whorl__runqueue_take_half_for_overflow(queue, half, 2);
        for (unsigned i = 0; i < count; i++) {
            run_task(half[i]);
        }
    }
}

static void set_up(void *pointer)
{
    struct state *const state = pointer;
    for (unsigned i = 0; i < QUEUES; i++) {
        whorl__runqueue_init(&state->queues[i]);
    }
}

static void run_all(struct whorl__runqueue *queue)
{
    for (void *task = whorl__runqueue_take(queue); task != NULL;
         task = whorl__runqueue_take(queue)) {
        run_task(task);
    }
}

static void one_thief(void *pointer, unsigned thread)
{
    struct state *const state = pointer;
    struct whorl__runqueue *const own = &state->queues[thread];
    if (thread == 0) {
        for (unsigned i = 0; i < TASKS; i++) {
            push_task(own, &state->tasks[i]);
        }
    } else {
        void *first;
        if (whorl__runqueue_steal_half(&state->queues[0], own, &first) > 0) {
            run_task(first);
        }
    }
    run_all(own);
}

static void all_ran_once(void *pointer)
{
    struct state *const state = pointer;
    for (unsigned i = 0; i < QUEUES; i++) {
        MODEL_CHECK(whorl__runqueue_verify(&state->queues[i]));
        run_all(&state->queues[i]);
    }
    for (unsigned i = 0; i < TASKS; i++) {
        MODEL_CHECK(state->tasks[i].runs == 1);
    }
}

static const struct model models[] = {
    {
        .name = "runqueue/one-thief",
        .about = "the owner pushes, overflows and takes; a thief steals half",
        .threads = 2,
        .state_bytes = sizeof(struct state),
        .setup = set_up,
        .body = one_thief,
        .finish = all_ran_once,
        .preemptions = 2,
        .schedules = 5000,
    },
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof(models) / sizeof(models[0]));
}
