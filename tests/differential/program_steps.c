/*
 * program_steps.c - the steps of the language, each by one call of whorl's.
 */
#include "differential/program_actor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- small things ---- */

static int say(struct actor *actor, const struct step *step, const char *outcome)
{
    actor_say(actor, step->text, "%s", outcome);
    return 0;
}

static int absent(struct actor *actor, const struct step *step)
{
    return say(actor, step, "absent");
}

static int error_of(const char *name)
{
    static const int errors[] = {ENOENT, EIO, EBADF, EPIPE, ECANCELED};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (strcmp(whorl_error_name(errors[i]), name) == 0) {
            return -errors[i];
        }
    }
    return -EINVAL;
}

static struct whorl_future *take(const struct step *step, unsigned word)
{
    return word < step->count ? object_take(step->words[word].object) : NULL;
}

/* ---- waiting ---- */

/* Nobody has asked, and no block is open that might have: then it is one that came too late. */
static void check_late(struct actor *actor, int error)
{
    if (!actor_may_uncancel() && error == -ECANCELED && actor->blocks == 0 &&
        whorl_task_cancelling(whorl_task_current()) == 0) {
        actor_violation(actor, "a cancel without a request");
    }
}

static int step_yield(struct actor *actor, const struct step *step)
{
    const int error = whorl_yield();
    check_late(actor, error);
    return actor_tell(actor, step, error, NULL, NULL);
}

static int step_sleep(struct actor *actor, const struct step *step)
{
    const int error = whorl_sleep(world_duration(step->words[0].number));
    check_late(actor, error);
    return actor_tell(actor, step, error, NULL, NULL);
}

static int step_await(struct actor *actor, const struct step *step)
{
    struct whorl_future *const future = take(step, 0);
    void *value = NULL;
    if (future == NULL) {
        return absent(actor, step);
    }
    const int error = whorl_future_await(future, &value);
    (void)actor_tell(actor, step, error, step->words[0].object, value);
    whorl_future_unref(future);
    return error;
}

static int step_wait_for(struct actor *actor, const struct step *step)
{
    struct whorl_future *const future = take(step, 0);
    void *value = NULL;
    if (future == NULL) {
        return absent(actor, step);
    }
    const int error =
        whorl_future_wait_for(future, world_duration(step->words[1].number), &value);
    (void)actor_tell(actor, step, error, step->words[0].object, value);
    whorl_future_unref(future);
    return error;
}

/* ---- tasks and futures ---- */

static const char *outcome_of_spawn(int error)
{
    switch (error) {
    case 0:
        return "";
    case -EALREADY:
        return "again";
    case -ENOENT:
        return "absent";
    default:
        return error == -ESHUTDOWN ? "refused" : whorl_error_name(error);
    }
}

static int step_spawn(struct actor *actor, const struct step *step)
{
    return say(actor, step, outcome_of_spawn(object_spawn(step->words[0].object, NULL, 0)));
}

static int step_eager(struct actor *actor, const struct step *step)
{
    const int error = object_spawn(step->words[0].object, NULL, WHORL_EAGER);
    return say(actor, step, outcome_of_spawn(error));
}

static int step_add(struct actor *actor, const struct step *step)
{
    const int error = object_spawn(step->words[1].object, step->words[0].object, 0);
    return say(actor, step, outcome_of_spawn(error));
}

static int step_cancel_group(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[0].object;
    world_lock();
    const bool open = object->group != NULL;
    if (open) {
        whorl_group_cancel(object->group);
    }
    world_unlock();
    return say(actor, step, open ? "" : "absent");
}

static int step_cancel(struct actor *actor, const struct step *step)
{
    struct whorl_future *const future = take(step, 0);
    if (future == NULL) {
        return absent(actor, step);
    }
    const bool asked = whorl_future_cancel(future, step->count > 1 ? step->words[1].text : NULL);
    whorl_future_unref(future);
    return say(actor, step, asked ? "= asked" : "= not asked");
}

/* Of another task too: the object keeps it until the program is over. */
static struct whorl_task *task_of(const struct step *step)
{
    struct object *const object = step->words[0].object;
    world_lock();
    struct whorl_task *const task = object == NULL ? NULL : object->task;
    world_unlock();
    return task;
}

static int step_uncancel(struct actor *actor, const struct step *step)
{
    struct whorl_task *const task = task_of(step);
    if (task == NULL) {
        return absent(actor, step);
    }
    if (actor_may_uncancel()) {
        actor_say(actor, step->text, "= %d", whorl_uncancel(task));
    }
    return 0;
}

static int step_cancelling(struct actor *actor, const struct step *step)
{
    struct whorl_task *const task = task_of(step);
    if (task == NULL) {
        return absent(actor, step);
    }
    actor_say(actor, step->text, "= %d", whorl_task_cancelling(task));
    return 0;
}

static int complete(struct actor *actor, const struct step *step, bool fails)
{
    struct object *const object = step->words[0].object;
    if (object == NULL || !object->is_future || step->count < 2) {
        return absent(actor, step);
    }
    const int error =
        fails ? whorl_future_set_error(object->future, error_of(step->words[1].text))
              : whorl_future_set_result(object->future,
                                        (void *)(intptr_t)step->words[1].number);
    return say(actor, step, error == 0 ? "" : error == -EALREADY ? "already" : "refused");
}

static int step_set(struct actor *actor, const struct step *step)
{
    return complete(actor, step, false);
}

static int step_fail(struct actor *actor, const struct step *step)
{
    return complete(actor, step, true);
}

static int step_state(struct actor *actor, const struct step *step)
{
    struct whorl_future *const future = take(step, 0);
    void *value = NULL;
    char outcome[128] = "= pending";
    if (future == NULL) {
        return absent(actor, step);
    }
    if (whorl_future_done(future)) {
        const int error = whorl_future_result(future, &value);
        actor_outcome_text(error, NULL, step->words[0].object, value, outcome,
                           sizeof outcome);
    }
    const char *const how = whorl_future_cancelled(future) ? ", cancelled" : "";
    actor_say(actor, step->text, "%s%s", outcome, how);
    whorl_future_unref(future);
    return 0;
}

static int step_put(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[0].object;
    void *const value = (void *)(intptr_t)step->words[1].number;
    const int error = whorl_local_set(&object->local, value, NULL);
    return say(actor, step, error == 0 ? "" : whorl_error_name(error));
}

static int step_get(struct actor *actor, const struct step *step)
{
    const void *const value = whorl_local_get(&step->words[0].object->local);
    actor_say(actor, step->text, "= %lld", (long long)(intptr_t)value);
    return 0;
}

static int step_raise(struct actor *actor, const struct step *step)
{
    const int error = error_of(step->words[0].text);
    if (error == -ECANCELED) {
        actor->message = NULL;
    }
    (void)say(actor, step, "");
    return error;
}

static int step_return(struct actor *actor, const struct step *step)
{
    actor->value = step->words[0].number;
    return RETURNED;
}

/* ---- blocks ---- */

int actor_leave_block(struct actor *actor, const struct step *step, int result, int error)
{
    char outcome[64] = "left";
    char line[192];
    snprintf(line, sizeof line, "end of %s", step->text);
    if (error != 0) {
        actor_error_text(actor, error, outcome, sizeof outcome);
    }
    actor_say(actor, line, "%s", outcome);
    return error != 0 ? error : result;
}

static void open_timeout(struct object *object, struct whorl_timeout *timeout)
{
    world_lock();
    object->timeout = timeout;
    world_unlock();
}

static int in_timeout(struct actor *actor, const struct step *step, int64_t deadline_ns)
{
    struct object *const object = step->words[0].object;
    struct whorl_timeout timeout;
    const int refused = whorl_timeout_enter(&timeout, deadline_ns);
    if (refused != 0) {
        actor_violation(actor, "no timeout");
        return refused;
    }
    open_timeout(object, &timeout);
    (void)say(actor, step, "");
    actor->blocks++;
    const int result = actor_perform(actor, step->body);
    actor->blocks--;
    open_timeout(object, NULL);
    const int error = whorl_timeout_exit(&timeout, result < 0 ? result : 0);
    return actor_leave_block(actor, step, result, error);
}

static int step_timeout(struct actor *actor, const struct step *step)
{
    return in_timeout(actor, step, world_after(step->words[1].number));
}

static int step_timeout_at(struct actor *actor, const struct step *step)
{
    return in_timeout(actor, step, world_deadline(step->words[1].number));
}

static int step_reschedule(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[0].object;
    int error = -ENOENT;
    world_lock();
    if (object != NULL && object->timeout != NULL) {
        error = whorl_timeout_reschedule(object->timeout, world_after(step->words[1].number));
    }
    world_unlock();
    return say(actor, step, error == 0 ? "" : error == -EINVAL ? "refused" : "absent");
}

static int step_expired(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[0].object;
    const char *outcome = "absent";
    world_lock();
    if (object != NULL && object->timeout != NULL) {
        outcome = whorl_timeout_expired(object->timeout) ? "= yes" : "= no";
    }
    world_unlock();
    return say(actor, step, outcome);
}

static void open_group(struct object *object, struct whorl_group *group)
{
    world_lock();
    object->group = group;
    world_unlock();
}

/* As actor_leave_block, with all errors. */
static int leave_group(struct actor *actor, const struct step *step, int result, int error,
                       const struct whorl_errors *errors)
{
    char line[256];
    char outcome[64] = "left";
    size_t used = (size_t)snprintf(line, sizeof line, "end of %s", step->text);
    if (error != 0) {
        actor_error_text(actor, error, outcome, sizeof outcome);
    }
    used += (size_t)snprintf(line + used, sizeof line - used, " %s", outcome);
    const size_t count = whorl_errors_count(errors);
    for (size_t i = 0; i < count && used < sizeof line; i++) {
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s%s", i == 0 ? " (" : " ",
                                 whorl_error_name(whorl_errors_get(errors, i, NULL)),
                                 i + 1 == count ? ")" : "");
    }
    actor_say(actor, line, "%s", "");
    return error != 0 ? error : result;
}

static int step_group(struct actor *actor, const struct step *step)
{
    struct object *const object = step->words[0].object;
    struct whorl_group group;
    struct whorl_errors *errors = NULL;
    const int refused = whorl_group_begin(&group);
    if (refused != 0) {
        actor_violation(actor, "no group");
        return refused;
    }
    open_group(object, &group);
    (void)say(actor, step, "");
    actor->blocks++;
    int result = actor_perform(actor, step->body);
    const int error = whorl_group_end(&group, result < 0 ? result : 0, &errors);
    actor->blocks--;
    open_group(object, NULL);
    if (error == -ECANCELED && result != -ECANCELED) {
        actor->message = whorl_cancel_message(); /* else the block's own goes on */
    }
    result = leave_group(actor, step, result < 0 ? 0 : result, error, errors);
    whorl_errors_free(errors);
    return result;
}

static int catch(struct actor *actor, const struct step *step, bool cancel_too)
{
    char outcome[64];
    const int result = actor_perform(actor, step->body);
    if (result >= 0 || (result == -ECANCELED && !cancel_too)) {
        return result;
    }
    actor_error_text(actor, result, outcome, sizeof outcome);
    actor_say(actor, "caught", "%s", outcome);
    return 0;
}

static int step_try(struct actor *actor, const struct step *step)
{
    return catch(actor, step, true);
}

static int step_try_error(struct actor *actor, const struct step *step)
{
    return catch(actor, step, false);
}

/* A return in the clean-up would hide how the block ended: it does not count. */
static int step_ensure(struct actor *actor, const struct step *step)
{
    const int result = actor_perform(actor, step->body);
    const char *const message = actor->message;
    const int64_t value = actor->value;
    const int cleaned = actor_perform(actor, step->cleanup);
    if (cleaned < 0) {
        return cleaned;
    }
    actor->message = message;
    actor->value = value;
    return result;
}

/* ---- their names ---- */

static const struct {
    const char *name;
    perform *perform;
    bool is_block;
} steps[] = {
    {"yield", step_yield, false},
    {"sleep", step_sleep, false},
    {"await", step_await, false},
    {"wait_for", step_wait_for, false},
    {"spawn", step_spawn, false},
    {"gather", step_gather, false},
    {"gather_all", step_gather_all, false},
    {"cancel", step_cancel, false},
    {"uncancel", step_uncancel, false},
    {"cancelling", step_cancelling, false},
    {"set", step_set, false},
    {"fail", step_fail, false},
    {"state", step_state, false},
    {"put", step_put, false},
    {"get", step_get, false},
    {"raise", step_raise, false},
    {"return", step_return, false},
    {"reschedule", step_reschedule, false},
    {"expired", step_expired, false},
    {"eager", step_eager, false},
    {"shield", step_shield, false},
    {"wait", step_wait, false},
    {"each", step_each, false},
    {"soon", step_soon, false},
    {"later", step_later, false},
    {"drop", step_drop, false},
    {"done", step_done, false},
    {"undone", step_undone, false},
    {"add", step_add, false},
    {"cancel_group", step_cancel_group, false},
    {"group", step_group, true},
    {"timeout", step_timeout, true},
    {"timeout_at", step_timeout_at, true},
    {"try", step_try, true},
    {"try_error", step_try_error, true},
    {"ensure", step_ensure, true},
};

perform *program_find_step(const char *name, bool *ret_is_block)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(steps[i].name, name) == 0) {
            *ret_is_block = steps[i].is_block;
            return steps[i].perform;
        }
    }
    return NULL;
}
