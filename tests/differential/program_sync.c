/*
 * program_sync.c - locks and their like, and their steps, each by one call of whorl's.
 *
 * A step that does not wait says its error and goes on; one that waits raises it.
 */
#include "differential/program_actor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- kinds ---- */

enum kind { LOCK, SEMAPHORE, BOUNDED, EVENT, CONDITION, BARRIER, QUEUE, LIFO, PRIORITY };

struct tool {
    enum kind kind;
    union {
        struct whorl_lock lock;
        struct whorl_semaphore semaphore;
        struct whorl_event event;
        struct whorl_condition condition;
        struct whorl_barrier barrier;
        struct whorl_queue queue;
    };
};

static const char *const kinds[] = {
    [LOCK] = "lock",           [SEMAPHORE] = "semaphore", [BOUNDED] = "bounded",
    [EVENT] = "event",         [CONDITION] = "condition", [BARRIER] = "barrier",
    [QUEUE] = "queue",         [LIFO] = "lifo",           [PRIORITY] = "priority",
};

int tool_find_kind(const char *name)
{
    for (int kind = 0; kind < (int)(sizeof kinds / sizeof kinds[0]); kind++) {
        if (strcmp(kinds[kind], name) == 0) {
            return kind;
        }
    }
    return -1;
}

static int compare(const void *a, const void *b)
{
    return ((intptr_t)a > (intptr_t)b) - ((intptr_t)a < (intptr_t)b);
}

static int init(struct tool *tool, int64_t size)
{
    switch (tool->kind) {
    case LOCK:
        return whorl_lock_init(&tool->lock, 0);
    case SEMAPHORE:
        return whorl_semaphore_init(&tool->semaphore, size, 0);
    case BOUNDED:
        return whorl_semaphore_init(&tool->semaphore, size, WHORL_SEMAPHORE_BOUNDED);
    case EVENT:
        return whorl_event_init(&tool->event);
    case CONDITION:
        return whorl_condition_init(&tool->condition, NULL);
    case BARRIER:
        return whorl_barrier_init(&tool->barrier, (unsigned)size);
    case QUEUE:
        return whorl_queue_init(&tool->queue, WHORL_QUEUE_FIFO, size, NULL);
    case LIFO:
        return whorl_queue_init(&tool->queue, WHORL_QUEUE_LIFO, size, NULL);
    case PRIORITY:
        return whorl_queue_init(&tool->queue, WHORL_QUEUE_PRIORITY, size, compare);
    }
    return -EINVAL;
}

int tool_make(struct object *object)
{
    struct tool *const tool = calloc(1, sizeof *tool);
    if (tool == NULL) {
        return -ENOMEM;
    }
    tool->kind = (enum kind)object->tool_kind;
    object->tool = tool;
    return init(tool, object->tool_size);
}

static int destroy(struct tool *tool)
{
    switch (tool->kind) {
    case LOCK:
        (void)whorl_lock_release(&tool->lock); /* its last holder may have ended */
        return whorl_lock_destroy(&tool->lock);
    case SEMAPHORE:
    case BOUNDED:
        return whorl_semaphore_destroy(&tool->semaphore);
    case EVENT:
        return whorl_event_destroy(&tool->event);
    case CONDITION:
        return whorl_condition_destroy(&tool->condition);
    case BARRIER:
        return whorl_barrier_destroy(&tool->barrier);
    default:
        return whorl_queue_destroy(&tool->queue);
    }
}

/* All tasks have ended: nobody is in it any more. */
void tool_free(struct object *object)
{
    const struct actor actor = {.object = object};
    if (object->tool != NULL && destroy(object->tool) != 0) {
        actor_violation(&actor, "somebody is left in it");
    }
    free(object->tool);
    object->tool = NULL;
}

/* ---- what steps have in common ---- */

static struct tool *tool_of(const struct step *step)
{
    return step->words[0].object->tool;
}

/* Of a step that does not wait: 0, a number or an error is said. */
static int say_done(struct actor *actor, const struct step *step, int error)
{
    if (error == 0) {
        actor_say(actor, step->text, "%s", "");
    } else {
        actor_say(actor, step->text, "! %s", whorl_error_name(error));
    }
    return 0;
}

static int say_yes(struct actor *actor, const struct step *step, bool yes)
{
    actor_say(actor, step->text, "%s", yes ? "= yes" : "= no");
    return 0;
}

static int tell_done(struct actor *actor, const struct step *step, int error)
{
    return actor_tell(actor, step, error, NULL, NULL);
}

/* ---- locks and semaphores ---- */

static int acquire(struct tool *tool)
{
    switch (tool->kind) {
    case LOCK:
        return whorl_lock_acquire(&tool->lock);
    case CONDITION:
        return whorl_lock_acquire(whorl_condition_lock(&tool->condition));
    default:
        return whorl_semaphore_acquire(&tool->semaphore);
    }
}

static int release(struct tool *tool)
{
    switch (tool->kind) {
    case LOCK:
        return whorl_lock_release(&tool->lock);
    case CONDITION:
        return whorl_lock_release(whorl_condition_lock(&tool->condition));
    default:
        return whorl_semaphore_release(&tool->semaphore);
    }
}

static int step_acquire(struct actor *actor, const struct step *step)
{
    return tell_done(actor, step, acquire(tool_of(step)));
}

static int step_release(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, release(tool_of(step)));
}

static int step_try_acquire(struct actor *actor, const struct step *step)
{
    struct tool *const tool = tool_of(step);
    return say_done(actor, step,
                    tool->kind == LOCK ? whorl_lock_try_acquire(&tool->lock)
                                       : whorl_semaphore_try_acquire(&tool->semaphore));
}

static int step_locked(struct actor *actor, const struct step *step)
{
    struct tool *const tool = tool_of(step);
    return say_yes(actor, step,
                   tool->kind == LOCK ? whorl_lock_locked(&tool->lock)
                                      : whorl_semaphore_locked(&tool->semaphore));
}

static int step_with(struct actor *actor, const struct step *step)
{
    const struct object *const outer = actor->with;
    int error = tell_done(actor, step, acquire(tool_of(step)));
    if (error != 0) {
        return error;
    }
    actor->with = step->words[0].object;
    const int result = actor_perform(actor, step->body);
    actor->with = outer;
    error = release(tool_of(step));
    return actor_leave_block(actor, step, result, error != 0 ? error : result < 0 ? result : 0);
}

/* ---- conditions ---- */

/* Only where its lock is held, and will be given back, whatever is taken out of the program. */
static int step_wait_on(struct actor *actor, const struct step *step)
{
    if (actor->with != step->words[0].object) {
        actor_say(actor, step->text, "absent");
        return 0;
    }
    return tell_done(actor, step, whorl_condition_wait(&tool_of(step)->condition));
}

static int step_notify(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_condition_notify(&tool_of(step)->condition,
                                                        (size_t)step->words[1].number));
}

static int step_notify_all(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_condition_notify_all(&tool_of(step)->condition));
}

/* ---- events ---- */

static int step_wait_set(struct actor *actor, const struct step *step)
{
    return tell_done(actor, step, whorl_event_wait(&tool_of(step)->event));
}

static int step_set_event(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_event_set(&tool_of(step)->event));
}

static int step_clear(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_event_clear(&tool_of(step)->event));
}

static int step_is_set(struct actor *actor, const struct step *step)
{
    return say_yes(actor, step, whorl_event_is_set(&tool_of(step)->event));
}

/* ---- barriers ---- */

static int step_meet(struct actor *actor, const struct step *step)
{
    unsigned index = 0;
    const int error = whorl_barrier_wait(&tool_of(step)->barrier, &index);
    if (error != 0) {
        return tell_done(actor, step, error);
    }
    actor_say(actor, step->text, "= %u", index);
    return 0;
}

static int step_reset(struct actor *actor, const struct step *step)
{
    return tell_done(actor, step, whorl_barrier_reset(&tool_of(step)->barrier));
}

static int step_abort(struct actor *actor, const struct step *step)
{
    return tell_done(actor, step, whorl_barrier_abort(&tool_of(step)->barrier));
}

static int step_waiting(struct actor *actor, const struct step *step)
{
    const struct whorl_barrier *const barrier = &tool_of(step)->barrier;
    actor_say(actor, step->text, "= %u%s", whorl_barrier_n_waiting(barrier),
              whorl_barrier_broken(barrier) ? " broken" : "");
    return 0;
}

/* ---- queues ---- */

static void *item_of(const struct step *step)
{
    return (void *)(intptr_t)step->words[1].number;
}

static int say_item(struct actor *actor, const struct step *step, void *item)
{
    actor_say(actor, step->text, "= %lld", (long long)(intptr_t)item);
    return 0;
}

static int step_qput(struct actor *actor, const struct step *step)
{
    return tell_done(actor, step, whorl_queue_put(&tool_of(step)->queue, item_of(step)));
}

static int step_qget(struct actor *actor, const struct step *step)
{
    void *item;
    const int error = whorl_queue_get(&tool_of(step)->queue, &item);
    return error != 0 ? tell_done(actor, step, error) : say_item(actor, step, item);
}

static int step_qput_now(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_queue_try_put(&tool_of(step)->queue, item_of(step)));
}

static int step_qget_now(struct actor *actor, const struct step *step)
{
    void *item;
    const int error = whorl_queue_try_get(&tool_of(step)->queue, &item);
    return error != 0 ? say_done(actor, step, error) : say_item(actor, step, item);
}

static int step_qdone(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_queue_task_done(&tool_of(step)->queue));
}

static int step_qjoin(struct actor *actor, const struct step *step)
{
    return tell_done(actor, step, whorl_queue_join(&tool_of(step)->queue));
}

static int step_qshut(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_queue_shutdown(&tool_of(step)->queue, false));
}

static int step_qshut_now(struct actor *actor, const struct step *step)
{
    return say_done(actor, step, whorl_queue_shutdown(&tool_of(step)->queue, true));
}

static int step_qsize(struct actor *actor, const struct step *step)
{
    struct whorl_queue *const queue = &tool_of(step)->queue;
    actor_say(actor, step->text, "= %zu%s", whorl_queue_size(queue),
              whorl_queue_full(queue) ? " full" : "");
    return 0;
}

/* ---- their names ---- */

/* For whom each is: a step of another kind is refused when the program is read. */
static const struct {
    const char *name;
    perform *perform;
    unsigned kinds; /* a bit each */
    bool is_block;
} steps[] = {
#define OF(kind)   (1U << (kind))
#define SEMAPHORES (OF(SEMAPHORE) | OF(BOUNDED))
#define QUEUES     (OF(QUEUE) | OF(LIFO) | OF(PRIORITY))
    {"acquire", step_acquire, OF(LOCK) | SEMAPHORES, false},
    {"release", step_release, OF(LOCK) | SEMAPHORES, false},
    {"try_acquire", step_try_acquire, OF(LOCK) | SEMAPHORES, false},
    {"locked", step_locked, OF(LOCK) | SEMAPHORES, false},
    {"with", step_with, OF(LOCK) | SEMAPHORES | OF(CONDITION), true},
    {"wait_on", step_wait_on, OF(CONDITION), false},
    {"notify", step_notify, OF(CONDITION), false},
    {"notify_all", step_notify_all, OF(CONDITION), false},
    {"wait_set", step_wait_set, OF(EVENT), false},
    {"set_event", step_set_event, OF(EVENT), false},
    {"clear", step_clear, OF(EVENT), false},
    {"is_set", step_is_set, OF(EVENT), false},
    {"meet", step_meet, OF(BARRIER), false},
    {"reset", step_reset, OF(BARRIER), false},
    {"abort", step_abort, OF(BARRIER), false},
    {"waiting", step_waiting, OF(BARRIER), false},
    {"qput", step_qput, QUEUES, false},
    {"qget", step_qget, QUEUES, false},
    {"qput_now", step_qput_now, QUEUES, false},
    {"qget_now", step_qget_now, QUEUES, false},
    {"qdone", step_qdone, QUEUES, false},
    {"qjoin", step_qjoin, QUEUES, false},
    {"qshut", step_qshut, QUEUES, false},
    {"qshut_now", step_qshut_now, QUEUES, false},
    {"qsize", step_qsize, QUEUES, false},
};

perform *tool_find_step(const char *name, bool *ret_is_block, unsigned *ret_kinds)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(steps[i].name, name) == 0) {
            *ret_is_block = steps[i].is_block;
            *ret_kinds = steps[i].kinds;
            return steps[i].perform;
        }
    }
    return NULL;
}
