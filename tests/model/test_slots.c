/*
 * test_slots.c - task slots between loops and foreign threads: runtime/state/slots.c, and the end
 * of a task's memory in runtime/sched/drop.c.
 *
 * Who has a slot writes to it as a plain field: a slot handed out twice, or before the one who gave
 * it back is done with it, is a race.
 *
 * Shown to fail: by --mutate of state/slots.c:new_chunk_locked#2:relaxed (L1), of each order of
 * sched/drop.c:let_go, and of lockfree/spinlock.h:whorl__spin_unlock#2:relaxed.
 */
#include "model/model.h"

#include "sched/sched.h"
#include "sys/os.h"

#define SLOTS_TAKEN (WHORL__MAGAZINE + 1) /* one more than a magazine holds */

struct scene {
    struct whorl__slots slots;
    struct whorl__slot_cache caches[2];
};

static void setup(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(whorl__slots_init(&scene->slots) == 0);
}

/* What the holder of a slot does with it. */
static void use(struct whorl_task *task)
{
    whorl__plain_write(&task->body);
}

static unsigned count_chain(const struct whorl_task *task)
{
    unsigned count = 0;
    for (; task != NULL; task = task->next_free) {
        count++;
    }
    return count;
}

/* Every slot that was ever made lies in exactly one place: they add up. */
static void finish(void *state)
{
    struct scene *const scene = state;
    struct whorl__slots *const slots = &scene->slots;
    unsigned free_slots = count_chain(slots->foreign);
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(count_chain(scene->caches[i].current) == scene->caches[i].current_count);
        free_slots += scene->caches[i].current_count + count_chain(scene->caches[i].spare);
    }
    for (struct whorl_task *full = slots->magazines; full != NULL; full = full->next_magazine) {
        MODEL_CHECK(count_chain(full) == WHORL__MAGAZINE);
        free_slots += WHORL__MAGAZINE;
    }
    MODEL_CHECK(free_slots == whorl__slots_count(slots));
    MODEL_CHECK(whorl__slots_close(slots));
}

/* ---- two loops take more than a magazine and give it back ---- */

static void take_and_give(struct scene *scene, unsigned cache)
{
    struct whorl_task *taken[SLOTS_TAKEN];
    for (unsigned i = 0; i < SLOTS_TAKEN; i++) {
        taken[i] = whorl__slots_take(&scene->slots, &scene->caches[cache]);
        MODEL_CHECK(taken[i] != NULL);
        use(taken[i]);
    }
    for (unsigned i = 0; i < SLOTS_TAKEN; i++) {
        use(taken[i]);
        whorl__slots_give(&scene->slots, &scene->caches[cache], taken[i]);
    }
}

static void body_trade(void *state, unsigned thread)
{
    take_and_give(state, thread);
}

/* ---- a task is made on one loop and freed on the other, twice over ---- */

struct handover {
    struct scene scene;
    void *box[SLOTS_TAKEN * 2]; /* A: what loop 0 has made */
};

static bool is_full(void *arg)
{
    return *(void **)arg != NULL;
}

static void body_one_way(void *state, unsigned thread)
{
    struct handover *const handover = state;
    struct scene *const scene = &handover->scene;
    for (unsigned i = 0; i < SLOTS_TAKEN * 2; i++) {
        if (thread == 0) {
            struct whorl_task *const task = whorl__slots_take(&scene->slots, &scene->caches[0]);
            MODEL_CHECK(task != NULL);
            use(task);
            whorl__store_release_ptr(&handover->box[i], task); /* release, pairs the load below */
        } else {
            struct whorl_task *task;
            model_block_until(is_full, &handover->box[i]);
            while ((task = whorl__load_acquire_ptr(&handover->box[i])) == NULL) {
                model_yield();
            }
            use(task);
            whorl__slots_give(&scene->slots, &scene->caches[1], task);
        }
    }
}

/* ---- foreign threads, one slot at a time, beside a loop ---- */

static void take_and_give_remote(struct scene *scene)
{
    struct whorl_task *const task = whorl__slots_take_remote(&scene->slots);
    MODEL_CHECK(task != NULL);
    use(task);
    whorl__state_spawn(&task->word);
    MODEL_CHECK(whorl__state_finish(&task->word));
    MODEL_CHECK(!whorl__slots_give_remote(&scene->slots, task)); /* it is not closed */
}

static void body_remote(void *state, unsigned thread)
{
    if (thread == 0) {
        take_and_give(state, 0);
    } else {
        take_and_give_remote(state);
    }
}

/* ---- L1: who looks at all slots sees whole ones ---- */

static void body_look(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        take_and_give(scene, 0);
        return;
    }
    for (unsigned look = 0; look < 2; look++) {
        const uint32_t count = whorl__slots_count(&scene->slots);
        for (uint32_t i = 0; i < count; i++) {
            const struct whorl_task *const task = whorl__slot_at(&scene->slots, i);
            MODEL_CHECK(task != NULL);
            whorl__plain_read(&task->index);
            MODEL_CHECK(task->index == i);
        }
    }
}

/* ---- the last reference, dropped by either side, and a runtime that is closed meanwhile ---- */

#define ZOMBIES 2

struct end {
    struct whorl__runtime *runtime;
    struct whorl_task *tasks[ZOMBIES];
};

static void setup_end(void *state)
{
    struct end *const end = state;
    end->runtime = model_alloc(sizeof *end->runtime);
    *end->runtime = (struct whorl__runtime){.loop_count = 1};
    MODEL_CHECK(whorl__slots_init(&end->runtime->slots) == 0);
    for (unsigned i = 0; i < ZOMBIES; i++) {
        struct whorl_task *const task = whorl__slots_take_remote(&end->runtime->slots);
        task->runtime = end->runtime;
        task->future.kind = WHORL__FUTURE_TASK;
        task->future.references = 2;
        whorl__state_spawn(&task->word);
        MODEL_CHECK(whorl__state_finish(&task->word));
        end->tasks[i] = task;
    }
}

/* Threads 0 and 1 each let go of both tasks, one from either end; nobody else does. */
static void drop_both(struct end *end, unsigned thread)
{
    for (unsigned i = 0; i < ZOMBIES; i++) {
        struct whorl_task *const task = end->tasks[(i + thread) % ZOMBIES];
        whorl__plain_read(&task->future.error);
        whorl_task_unref(task);
    }
}

/* The end of a runtime, as destroy_runtime: whoever is last frees it, and only he. */
static void body_close(void *state, unsigned thread)
{
    struct end *const end = state;
    if (thread < 2) {
        drop_both(end, thread);
    } else if (whorl__slots_close(&end->runtime->slots)) {
        whorl__os->free(end->runtime);
    }
}

/* The same without a close: the slots are free when both have let go, and used again at once. */
static void body_last_reference(void *state, unsigned thread)
{
    struct end *const end = state;
    drop_both(end, thread);
    struct whorl_task *const task = whorl__slots_take_remote(&end->runtime->slots);
    MODEL_CHECK(task != NULL);
    use(task);
    whorl__plain_write(&task->future.error); /* its next task: nobody of the last one reads now */
}

static void finish_last_reference(void *state)
{
    struct end *const end = state;
    for (unsigned i = 0; i < ZOMBIES; i++) {
        MODEL_CHECK(whorl__state_phase(end->tasks[i]->word) == WHORL__FREE);
    }
    MODEL_CHECK(whorl__slots_close(&end->runtime->slots));
    model_free(end->runtime);
}

/* ---- */

static const struct model models[] = {
    {.name = "slots/trade",
     .about = "two loops take more than a magazine and give it back",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup,
     .body = body_trade,
     .finish = finish,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "slots/one-way",
     .about = "one loop makes tasks, the other frees them: magazines go round",
     .threads = 2,
     .state_bytes = sizeof(struct handover),
     .setup = setup,
     .body = body_one_way,
     .finish = finish,
     .preemptions = 1,
     .schedules = 10000},
    {.name = "slots/remote",
     .about = "two foreign threads beside a loop",
     .threads = 3,
     .state_bytes = sizeof(struct scene),
     .setup = setup,
     .body = body_remote,
     .finish = finish,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "slots/look",
     .about = "L1: a thread that walks all slots sees whole ones",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup,
     .body = body_look,
     .finish = finish,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "slots/last-reference",
     .about = "two threads let go of two tasks: each slot is free once, after both",
     .threads = 2,
     .state_bytes = sizeof(struct end),
     .setup = setup_end,
     .body = body_last_reference,
     .finish = finish_last_reference,
     .preemptions = 2,
     .schedules = 10000},
    {.name = "slots/close",
     .about = "a runtime ends while others hold its last tasks: freed once, by who is last",
     .threads = 3,
     .state_bytes = sizeof(struct end),
     .setup = setup_end,
     .body = body_close,
     .preemptions = 2,
     .schedules = 10000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
