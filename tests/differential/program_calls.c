/*
 * program_calls.c - the steps that have a callback called, and the callbacks.
 */
#include "differential/program_actor.h"

#include <errno.h>

static int say(struct actor *actor, const struct step *step, const char *outcome)
{
    actor_say(actor, step->text, "%s", outcome);
    return 0;
}

static void perform_callback(struct object *object)
{
    struct actor actor = {.object = object};
    if (world_enter()) {
        actor_say(&actor, "called", "%s", "");
        (void)actor_perform(&actor, object->body);
        world_leave();
    }
}

static void called(void *arg)
{
    struct object *const object = arg;
    world_lock();
    object->begun++;
    object->ended++;
    world_unlock();
    perform_callback(object);
}

static void called_when_done(struct whorl_future *future, void *arg)
{
    (void)future;
    perform_callback(arg);
}

static void called_free(void *arg)
{
    struct object *const object = arg;
    world_lock();
    object->freed++;
    world_unlock();
}

/* now: soon, else later. Not under the lock: see spawn_unlocked. */
static int call_unlocked(const struct step *step, bool now, struct whorl_handle **ret_handle)
{
    const struct whorl_call_attr attr = {.arg_free = called_free};
    struct object *const object = step->words[0].object;
    world_unlock();
    const int error =
        now ? whorl_call_soon(called, object, &attr, ret_handle)
            : whorl_call_later(world_duration(step->words[1].number), called, object, &attr,
                               ret_handle);
    world_lock();
    return error;
}

static int call(struct actor *actor, const struct step *step, bool now)
{
    struct object *const object = step->words[0].object;
    struct whorl_handle *handle = NULL;
    int error = -EALREADY;
    world_lock();
    if (object->is_callback && !object->spawned && !world_is_over()) {
        object->spawned = true;
        error = call_unlocked(step, now, &handle);
        object->spawned = error == 0;
        object->handle = world_is_over() ? NULL : handle;
    }
    const bool kept = object->handle == handle;
    world_unlock();
    if (!kept) {
        whorl_handle_unref(handle);
    }
    return say(actor, step, error == 0 ? "" : "again");
}

int step_soon(struct actor *actor, const struct step *step)
{
    return call(actor, step, true);
}

int step_later(struct actor *actor, const struct step *step)
{
    return call(actor, step, false);
}

/* What it says is not compared: asyncio's cancel of a handle tells nothing. */
int step_drop(struct actor *actor, const struct step *step)
{
    world_lock();
    struct whorl_handle *const handle = step->words[0].object->handle;
    world_unlock();
    if (handle == NULL) {
        return say(actor, step, "absent");
    }
    (void)whorl_handle_cancel(handle);
    return say(actor, step, "");
}

int step_done(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[1].object;
    struct whorl_future *const future = object_take(step->words[0].object);
    if (future == NULL || !object->is_callback) {
        whorl_future_unref(future);
        return say(actor, step, "absent");
    }
    const int error = whorl_future_add_done_callback(future, called_when_done, object);
    whorl_future_unref(future);
    if (error != 0) {
        actor_violation(actor, "no done callback");
    }
    return say(actor, step, "");
}

int step_undone(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[1].object;
    struct whorl_future *const future = object_take(step->words[0].object);
    if (future == NULL || !object->is_callback) {
        whorl_future_unref(future);
        return say(actor, step, "absent");
    }
    const int count = whorl_future_remove_done_callback(future, called_when_done, object);
    whorl_future_unref(future);
    actor_say(actor, step->text, "= %d", count);
    return 0;
}
