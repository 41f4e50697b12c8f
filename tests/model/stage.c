/*
 * stage.c - loops, workers and tasks for the models of the scheduler; see stage.h.
 */
#include "model/stage.h"

#include <string.h>

#define STACK_BYTES ((size_t)64 * 1024)

static char stacks[STAGE_TASKS][STACK_BYTES] WHORL_ALIGNED(WHORL_CACHE_LINE);
static struct stage *here;

/* ---- tasks ---- */

/* What task/task.c runs, without the future: the body, then back to the loop, again and again. */
static void enter_task(struct whorl__fiber *self)
{
    for (;;) {
        struct whorl_task *const task = self->user;
        here->ran[task->index] = true;
        whorl__plain_read(&here->news[task->index]);
        (void)task->body(task->arg);
        struct whorl__loop *const loop = task->loop;
        loop->action = WHORL__ACTION_END;
        whorl__fiber_switch(self, &loop->host);
    }
}

static void give_fiber(struct whorl_task *task, struct whorl__fiber *fiber, char *low)
{
    fiber->stack_low = low;
    fiber->stack_bytes = STACK_BYTES;
    fiber->slab = (struct whorl__slab *)(void *)here; /* of no store; a warm one is asked for it */
    whorl__instrument_stack(&fiber->instrument, low, STACK_BYTES);
    fiber->entry = enter_task;
    fiber->sp = whorl__switch_prepare(low + STACK_BYTES, fiber);
    fiber->user = task;
    task->fiber = fiber;
}

struct whorl_task *stage_add(struct stage *stage, whorl_body *body, void *arg)
{
    MODEL_CHECK(stage->task_count < STAGE_TASKS);
    const unsigned index = stage->task_count++;
    struct whorl_task *const task = &stage->tasks[index];
    task->runtime = &stage->runtime;
    task->index = index;
    task->loop = &stage->loops[0];
    task->body = body;
    task->arg = arg;
    task->future.references = 2; /* the runtime's, and the stage's: its memory is not a slot's */
    whorl__state_spawn(&task->word);
    give_fiber(task, &stage->fibers[index], stacks[index]);
    return task;
}

struct whorl_task *stage_add_ready(struct stage *stage, unsigned loop, whorl_body *body,
                                   void *arg)
{
    struct whorl_task *const task = stage_add(stage, body, arg);
    MODEL_CHECK(whorl__runqueue_push(&stage->loops[loop].queue, task));
    return task;
}

static const bool *ran_of(const struct stage *stage, const struct whorl_task *task)
{
    return &stage->ran[task->index];
}

bool stage_has_run(const struct stage *stage, const struct whorl_task *task)
{
    return *ran_of(stage, task);
}

static bool is_set(void *flag)
{
    return *(const bool *)flag;
}

void stage_wait_ran(struct stage *stage, const struct whorl_task *task)
{
    model_block_until(is_set, &stage->ran[task->index]);
}

void stage_submit(struct stage *stage, struct whorl_task *task)
{
    whorl__plain_write(&stage->news[task->index]);
    whorl__sched_submit(task);
}

void stage_submit_new(struct stage *stage, struct whorl_task *task)
{
    whorl__plain_write(&stage->news[task->index]);
    whorl__sched_submit_new(whorl__loop_current(), task);
}

/* ---- loops ---- */

static void begin_loop(struct stage *stage, unsigned index, bool strict)
{
    struct whorl__loop *const loop = &stage->loops[index];
    const unsigned count = stage->runtime.loop_count;
    /* Never asked for a stack: every task comes with its own. */
    struct whorl__stacks *const no_stacks = (struct whorl__stacks *)(void *)stage;
    MODEL_CHECK(whorl__loop_init(loop, &stage->runtime, index, strict, no_stacks, enter_task) == 0);
    for (unsigned i = 0; i + 1 < count; i++) {
        stage->victims[index][i] = (uint16_t)((index + 1 + i) % count);
    }
    loop->victims = stage->victims[index];
    loop->victim_levels = stage->levels;
    stage->loop_list[index] = loop;
}

void stage_begin(struct stage *stage, unsigned loop_count, enum stage_kind kind)
{
    struct whorl__runtime *const runtime = &stage->runtime;
    MODEL_CHECK(loop_count <= STAGE_LOOPS);
    kernel_begin(&stage->kernel);
    here = stage;
    runtime->loop_count = loop_count;
    runtime->loops = stage->loop_list;
    runtime->stealing = kind == STAGE_STEALING;
    runtime->shares = runtime->stealing;
    runtime->stall_ns = WHORL_NEVER;
    runtime->report_ns = WHORL_NEVER;
    for (unsigned i = 0; i < STAGE_TASKS / WHORL__CHUNK_SLOTS; i++) {
        stage->chunk_list[i] = &stage->tasks[i * WHORL__CHUNK_SLOTS];
    }
    runtime->slots.chunks = stage->chunk_list;
    MODEL_CHECK(whorl__records_init(&runtime->records) == 0);
    MODEL_CHECK(whorl__stacks_create(&runtime->stacks) == 0); /* asked for memory to release only */
    for (unsigned i = 0; i < loop_count; i++) {
        begin_loop(stage, i, kind == STAGE_STRICT);
    }
}

/* A fiber that kept warm is the stage's, as all are. */
void stage_work(struct stage *stage, unsigned index)
{
    struct whorl__loop *const loop = &stage->loops[index];
    (void)whorl__worker_main(loop);
}

void stage_stop(struct stage *stage)
{
    whorl__workers_stop(&stage->runtime, stage->runtime.loop_count);
}

static void end_loop(struct whorl__loop *loop)
{
    MODEL_CHECK(whorl__runqueue_length(&loop->queue) == 0);
    MODEL_CHECK(whorl__fifo_is_empty(&loop->bound));
    MODEL_CHECK(whorl__inbox_is_empty(&loop->inbox));
    MODEL_CHECK(loop->hot == NULL);
    memset(loop->fibers.pools, 0, sizeof loop->fibers.pools); /* the stage's, not the store's */
    whorl__loop_fini(loop);
}

void stage_end(struct stage *stage)
{
    struct whorl__runtime *const runtime = &stage->runtime;
    MODEL_CHECK(runtime->shared.tasks.count == 0);
    MODEL_CHECK(runtime->guests == 0);
    for (unsigned i = 0; i < runtime->loop_count; i++) {
        end_loop(&stage->loops[i]);
    }
    whorl__stacks_destroy(runtime->stacks);
    whorl__records_fini(&runtime->records);
    kernel_end(&stage->kernel);
}
