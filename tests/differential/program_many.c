/*
 * program_many.c - the steps that wait for some of many, and what wraps a future.
 */
#include "differential/program_actor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The futures that the words from `first` on stand for now. */
static void take_all(const struct step *step, unsigned first, struct taken *ret_taken)
{
    ret_taken->count = 0;
    for (unsigned i = first; i < step->count; i++) {
        struct whorl_future *const future = object_take(step->words[i].object);
        ret_taken->futures[ret_taken->count] = future;
        ret_taken->objects[ret_taken->count] = step->words[i].object;
        ret_taken->count += future != NULL;
    }
}

static void drop_all(const struct taken *taken)
{
    for (size_t i = 0; i < taken->count; i++) {
        whorl_future_unref(taken->futures[i]);
    }
}

/* ---- futures of futures ---- */

/* Gives the name to a future that was just made. */
static int name_future(struct actor *actor, const struct step *step, struct whorl_future *future,
                       const struct object *like)
{
    struct object *const object = step->words[0].object;
    const bool is_new = object_name(object, future, like);
    if (!is_new) {
        whorl_future_unref(future);
    }
    actor_say(actor, step->text, "%s", is_new ? "" : "again");
    return 0;
}

static int make_gather(struct actor *actor, const struct step *step, unsigned flags)
{
    struct taken taken = {.count = 0};
    struct object list = {.is_list = true};
    struct whorl_future *gather;
    take_all(step, 1, &taken);
    const int error = whorl_gather_start(taken.futures, taken.count, flags, &gather);
    drop_all(&taken);
    if (error != 0) {
        actor_violation(actor, "no gather");
        return error;
    }
    list.listed = taken.count;
    memcpy(list.members, taken.objects, sizeof list.members);
    return name_future(actor, step, gather, &list);
}

int step_gather(struct actor *actor, const struct step *step)
{
    return make_gather(actor, step, 0);
}

int step_gather_all(struct actor *actor, const struct step *step)
{
    return make_gather(actor, step, WHORL_GATHER_RETURN_EXCEPTIONS);
}

int step_shield(struct actor *actor, const struct step *step)
{
    struct object *const of = step->words[1].object;
    struct whorl_future *const inner = object_take(of);
    struct whorl_future *shield;
    if (inner == NULL) {
        actor_say(actor, step->text, "absent");
        return 0;
    }
    const int error = whorl_shield(inner, &shield);
    whorl_future_unref(inner);
    if (error != 0) {
        actor_violation(actor, "no shield");
        return error;
    }
    return name_future(actor, step, shield, of);
}

/* ---- wait, as_completed ---- */

static enum whorl_return_when mode_of(const char *word)
{
    if (strcmp(word, "all") == 0) {
        return WHORL_ALL_COMPLETED;
    }
    return strcmp(word, "first") == 0 ? WHORL_FIRST_COMPLETED : WHORL_FIRST_EXCEPTION;
}

static void say_done(struct actor *actor, const struct step *step, const struct taken *taken,
                     const bool *done)
{
    char outcome[128] = "=";
    size_t used = 1;
    for (size_t i = 0; i < taken->count && used < sizeof outcome; i++) {
        used += done[i] ? (size_t)snprintf(outcome + used, sizeof outcome - used, " %s",
                                           taken->objects[i]->name)
                        : 0;
    }
    actor_say(actor, step->text, "%s", outcome);
}

int step_wait(struct actor *actor, const struct step *step)
{
    struct taken taken = {.count = 0};
    bool done[WORDS_MAX] = {false};
    take_all(step, 2, &taken);
    if (taken.count == 0) {
        actor_say(actor, step->text, "absent");
        return 0;
    }
    const int result = whorl_wait(taken.futures, taken.count, mode_of(step->words[0].text),
                                  world_after(step->words[1].number), done);
    if (result >= 0) {
        say_done(actor, step, &taken, done);
    } else {
        (void)actor_tell(actor, step, result, NULL, NULL);
    }
    drop_all(&taken);
    return result >= 0 ? 0 : result;
}

int step_each(struct actor *actor, const struct step *step)
{
    struct taken taken = {.count = 0};
    struct whorl_completed *completed;
    size_t index;
    take_all(step, 1, &taken);
    int result = whorl_as_completed(taken.futures, taken.count,
                                    world_after(step->words[0].number), &completed);
    if (result != 0) {
        actor_violation(actor, "no iteration");
        drop_all(&taken);
        return result;
    }
    while ((result = whorl_completed_next(completed, &index)) == 0) {
        actor_say(actor, step->text, "= %s", taken.objects[index]->name);
    }
    if (result == -ENOENT) {
        actor_say(actor, step->text, "all");
    } else {
        (void)actor_tell(actor, step, result, NULL, NULL);
    }
    whorl_completed_free(completed);
    drop_all(&taken);
    return result == -ENOENT ? 0 : result;
}
