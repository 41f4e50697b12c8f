/*
 * planted.c - bugs that the checker must find: each is the losing interleaving of a file's header,
 * written out. test_planted.sh runs them.
 *
 * Compiled once for each bug, with WHORL_PLANTED its number, and once with 0, where all hold:
 *
 *   1   a task says that it is parked before its stack is left              state/state.h
 *   2   who completes a future looks at its waiters after DONE              task/future.c
 *   3   a timer keeps a pointer to a block that may have been left          task/cancel.c
 *   4   a loop says that it sleeps and looks into its inbox, unfenced       loop/loop.c
 *   5   a record is freed by who closes it while a poller holds its event   poll/record.h
 *
 * The other side is the library's own code in each of them.
 */
#include "model/kernel.h"
#include "model/model.h"
#include "model/rig.h"
#include "model/stage.h"

#include "state/state.h"
#include "task/future.h"
#include "whorl.h"

#include <errno.h>

enum { PLANTED = WHORL_PLANTED };

#define DUE_NS  10
#define LATE_NS 100

/* ---- 1: the stack ---- */

struct stack {
    uint64_t word;
    uint16_t wait_begun;
    uint32_t handle; /* A: epoch of the wait, where the waker finds it */
    int frame;       /* R */
    unsigned resumed;
};

static void setup_stack(void *state)
{
    whorl__state_spawn(&((struct stack *)state)->word);
}

static void resume(struct stack *stack)
{
    whorl__plain_write(&stack->frame);
    stack->resumed++;
}

/* Off its stack, and known to be. False: woken meanwhile. */
static bool leave_and_park(struct stack *stack)
{
    if (PLANTED == 1) {
        const bool parked = whorl__state_park_commit(&stack->word);
        whorl__plain_write(&stack->frame); /* the switch, too late */
        return parked;
    }
    whorl__plain_write(&stack->frame); /* the switch */
    return whorl__state_park_commit(&stack->word);
}

static bool is_waiting(void *arg)
{
    return ((struct stack *)arg)->handle != 0;
}

static void body_stack(void *state, unsigned thread)
{
    struct stack *const stack = state;
    if (thread == 0) {
        const uint32_t epoch = whorl__state_park_begin(&stack->word, &stack->wait_begun);
        whorl__store_release_u32(&stack->handle, epoch); /* release, pairs the load below */
        if (!leave_and_park(stack)) {
            resume(stack);
        }
        return;
    }
    uint32_t epoch;
    model_block_until(is_waiting, stack);
    while ((epoch = whorl__load_acquire_u32(&stack->handle)) == 0) { /* acquire: as above */
        model_yield();
    }
    if (whorl__state_wake(&stack->word, epoch) == WHORL__WAKE_TAKEN) {
        resume(stack);
    }
}

static void finish_stack(void *state)
{
    MODEL_CHECK(((struct stack *)state)->resumed == 1);
}

/* ---- 2: the waiter ---- */

struct scene {
    struct rig rig;
    struct whorl_task *task;
    struct whorl_future *future;
    int inside;
    int after;
};

static int task_joins(void *arg)
{
    struct scene *const scene = arg;
    scene->inside = whorl_future_join(scene->future, WHORL_NEVER, NULL);
    return 0;
}

static void setup_waiter(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
    scene->task = rig_spawn(&scene->rig, 0, task_joins, scene);
}

static uint32_t lock_word(struct whorl_future *future)
{
    for (;;) {
        const uint32_t old = whorl__load_relaxed_u32(&future->word); /* relaxed: the cas checks */
        if (!(old & WHORL__FUTURE_LOCKED) &&
            whorl__cas_u32(&future->word, old, old | WHORL__FUTURE_LOCKED)) {
            return old;
        }
        model_yield();
    }
}

/* Unlocks, then walks the list. */
static void complete_too_early(struct scene *scene)
{
    struct whorl_future *const future = scene->future;
    const uint32_t word = lock_word(future);
    whorl__plain_write(&future->error);
    future->error = 0;
    whorl__store_release_u32(&future->word, WHORL__FUTURE_DONE); /* release: the unlock */
    if (word & WHORL__FUTURE_WAITERS) {
        struct whorl__list *const link = whorl__list_pop_front(&future->waiters);
        struct whorl__waiter *const waiter = whorl_container_of(link, struct whorl__waiter, link);
        whorl__plain_read(&waiter->link);
        whorl__sched_wake(&scene->rig.runtime, waiter->handle);
    }
}

static void body_waiter(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else if (thread == 1) {
        (void)whorl_cancel(scene->task, NULL);
    } else if (PLANTED == 2) {
        complete_too_early(scene);
    } else {
        MODEL_CHECK(whorl_future_set_result(scene->future, NULL) == 0);
    }
}

static void finish_scene(void *state)
{
    struct scene *const scene = state;
    MODEL_CHECK(scene->inside == 0 || scene->inside == -ECANCELED);
    MODEL_CHECK(scene->after == 0);
    whorl_task_unref(scene->task);
    whorl_future_unref(scene->future);
    rig_fini(&scene->rig);
}

/* ---- 3: the block ---- */

struct block {
    bool expired; /* M(the task's lock) */
    struct whorl__timer timer;
};

/* Whatever lies there by now. */
static void cancel_by_pointer(struct whorl__runtime *runtime, whorl__handle handle,
                              uint64_t serial)
{
    struct whorl_task *const task = whorl__handle_task(&runtime->slots, handle);
    struct block *const block = (struct block *)(uintptr_t)serial;
    bool taken = false;
    whorl__spin_lock(&task->lock);
    whorl__plain_write(&block->expired);
    block->expired = true;
    task->asked = true;
    task->users_pending = 1;
    (void)whorl__state_cancel(&task->word, &taken);
    whorl__spin_unlock(&task->lock);
    if (taken) {
        whorl__sched_submit(task);
    }
}

static int wait_in_planted_block(struct whorl_task *task)
{
    struct block block = {.timer = {.handle = whorl__handle_make(task, 0)}};
    block.timer.serial = (uint64_t)(uintptr_t)&block;
    block.timer.fire = cancel_by_pointer;
    MODEL_CHECK(whorl__timer_arm(&task->loop->timers, &block.timer, DUE_NS) == 0);
    const int error = whorl_yield();
    (void)whorl__timer_disarm(&block.timer);
    whorl__plain_write(&block.expired); /* the block's memory goes */
    return error;
}

static int wait_in_block(struct whorl_task *task)
{
    if (PLANTED == 3) {
        return wait_in_planted_block(task);
    }
    struct whorl_timeout timeout;
    MODEL_CHECK(whorl_timeout_enter(&timeout, DUE_NS) == 0);
    const int inside = whorl_yield();
    (void)whorl_timeout_exit(&timeout, inside);
    return inside;
}

static int task_leaves_block(void *arg)
{
    struct scene *const scene = arg;
    scene->inside = wait_in_block(whorl_task_current());
    scene->after = whorl_yield();
    return 0;
}

static void setup_block(void *state)
{
    struct scene *const scene = state;
    rig_init(&scene->rig, 2, RIG_SHARING);
    MODEL_CHECK(whorl_future_new(&scene->future) == 0);
    scene->task = rig_spawn(&scene->rig, 0, task_leaves_block, scene);
}

static void body_block(void *state, unsigned thread)
{
    struct scene *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
        return;
    }
    (void)rig_loop_begin(&scene->rig, 1);
    (void)rig_fire(&scene->rig, 0, LATE_NS);
    rig_loop_run(&scene->rig, 1);
    rig_loop_end(&scene->rig, 1);
}

/* ---- */

/* ---- 4: the fence before the sleep ---- */

struct bed {
    struct stage stage;
    struct whorl_task *task;
};

static int body_of_nobody(void *arg)
{
    (void)arg;
    return 0;
}

static void setup_bed(void *state)
{
    struct bed *const bed = state;
    stage_begin(&bed->stage, 1, STAGE_STRICT);
    bed->task = stage_add(&bed->stage, body_of_nobody, bed);
}

/* True: there is nothing in the inbox, and who puts something there knows that it has to wake. */
static bool say_goodnight(struct whorl__loop *loop)
{
    whorl__store_relaxed_u32(&loop->sleeping, 1); /* relaxed: the fence orders it, P1 */
    if (PLANTED != 4) {
        whorl__fence_full(); /* P1 */
    }
    return whorl__inbox_is_empty(&loop->inbox);
}

static void body_bed(void *state, unsigned thread)
{
    struct bed *const bed = state;
    struct whorl__loop *const loop = &bed->stage.loops[0];
    if (thread == 1) {
        whorl__sched_submit(bed->task); /* to the inbox, for the loop is strict */
        return;
    }
    while (whorl__loop_take_inbox(loop) == 0) {
        if (say_goodnight(loop)) {
            whorl__poller_poll(&loop->poller, -1, &loop->poll_result);
        }
        whorl__store_relaxed_u32(&loop->sleeping, 0); /* relaxed: as in sleep_end */
    }
}

static void finish_bed(void *state)
{
    struct bed *const bed = state;
    MODEL_CHECK(whorl__fifo_pop(&bed->stage.loops[0].bound) != NULL);
    stage_end(&bed->stage);
}

/* ---- 5: the record of an event ---- */

struct line {
    struct kernel kernel;
    struct whorl__poller poller;
    struct whorl__poll_result results[2];
    struct whorl__record *record;
    unsigned file;
};

static void setup_line(void *state)
{
    struct line *const line = state;
    kernel_begin(&line->kernel);
    MODEL_CHECK(whorl__poller_init(&line->poller) == 0);
    line->record = model_alloc(sizeof *line->record);
    *line->record = (struct whorl__record){.state = WHORL__RECORD_LIFE | WHORL__RECORD_OPEN,
                                           .fd = kernel_open_stream()};
    line->file = kernel_file_of(line->record->fd);
    MODEL_CHECK(whorl__poller_add(&line->poller, line->record) == 0);
}

/* The last user: nobody is inside, but a poller has fetched an event and is about to mark it. */
static void hang_up(struct line *line)
{
    struct whorl__record *const record = line->record;
    whorl__handle woken[2];
    MODEL_CHECK(whorl__record_enter(record) == 0);
    MODEL_CHECK(whorl__record_close(record, woken) == 0);
    MODEL_CHECK(whorl__record_leave(record));
    whorl__poller_remove(&line->poller, record);
    whorl__record_closed(record);
    (void)whorl__os->close(record->fd);
    if (PLANTED == 5) {
        model_free(record);
        line->record = NULL;
    }
}

static void body_line(void *state, unsigned thread)
{
    struct line *const line = state;
    switch (thread) {
    case 0:
        hang_up(line);
        break;
    case 1:
        (void)kernel_peer_send(line->file);
        break;
    default: /* the poller's loop, and who serves it meanwhile */
        whorl__poller_poll(&line->poller, 0, &line->results[thread - 2]);
    }
}

static void finish_line(void *state)
{
    struct line *const line = state;
    if (line->record != NULL) {
        model_free(line->record); /* with the table, when no poller is left */
    }
    whorl__poller_fini(&line->poller);
    kernel_end(&line->kernel);
}

static const struct model models[] = {
    {.name = "planted/1-stack",
     .about = "parked before the stack is left",
     .threads = 2,
     .state_bytes = sizeof(struct stack),
     .setup = setup_stack,
     .body = body_stack,
     .finish = finish_stack,
     .preemptions = 2,
     .schedules = 1000},
    {.name = "planted/2-waiter",
     .about = "a future's waiters after DONE",
     .threads = 3,
     .state_bytes = sizeof(struct scene),
     .setup = setup_waiter,
     .body = body_waiter,
     .finish = finish_scene,
     .preemptions = 1,
     .schedules = 1000},
    {.name = "planted/3-block",
     .about = "a timer's pointer to a block that was left",
     .threads = 2,
     .state_bytes = sizeof(struct scene),
     .setup = setup_block,
     .body = body_block,
     .finish = finish_scene,
     .preemptions = 1,
     .schedules = 1000},
    {.name = "planted/4-sleep",
     .about = "asleep without the fence",
     .threads = 2,
     .state_bytes = sizeof(struct bed),
     .setup = setup_bed,
     .body = body_bed,
     .finish = finish_bed,
     .preemptions = 2,
     .schedules = 1000},
    {.name = "planted/5-record",
     .about = "a record freed while a second poller holds its event",
     .threads = 4,
     .state_bytes = sizeof(struct line),
     .setup = setup_line,
     .body = body_line,
     .finish = finish_line,
     .preemptions = 2,
     .schedules = 1000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
