/*
 * program_play.c - the world of one program: its tasks, its trace, its end.
 *
 * Owns:       the one world, in static memory: a simulated run that fails never comes back.
 * Threads:    in strict mode one. With several loops, what they share is under `lock`.
 *
 * The root waits for the main task; after a thousand milliseconds it cancels it, and again each
 * thousand, a few times: a group of it may wait for a child that waits for ever. Then all tasks
 * that live are cancelled, in rounds ten milliseconds apart, so that every program ends.
 */
#include "differential/program_actor.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LATE_MS = 1000, LATE_MAX = 5, ROUND_MS = 10, ROUNDS_MAX = 100 };

static struct {
    struct program *program;
    enum play_how how;
    int64_t ms_ns;
    int64_t start_ns;
    pthread_mutex_t lock;
    unsigned spawned;    /* M(lock) */
    unsigned inside;     /* M(lock): callbacks that act */
    unsigned violations; /* M(lock) */
    bool over;           /* M(lock): what comes now finds nothing */
    FILE *out;           /* NULL: standard output */
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Who holds it may be in a call, where a simulation switches threads: so the others make calls. */
void world_lock(void)
{
    while (pthread_mutex_trylock(&world.lock) != 0) {
        (void)whorl_now();
        sched_yield();
    }
}

void world_unlock(void)
{
    pthread_mutex_unlock(&world.lock);
}

bool world_is_over(void)
{
    return world.over;
}

bool world_enter(void)
{
    world_lock();
    const bool enters = !world.over;
    world.inside += enters;
    world_unlock();
    return enters;
}

void world_leave(void)
{
    world_lock();
    world.inside--;
    world_unlock();
}

/* Nobody enters any more. */
static bool is_anybody_inside(void)
{
    world_lock();
    const bool inside = world.inside > 0;
    world.over = true;
    world_unlock();
    return inside;
}

int64_t world_deadline(int64_t ms)
{
    return ms == WHORL_NEVER ? WHORL_NEVER : world.start_ns + ms * world.ms_ns;
}

int64_t world_after(int64_t ms)
{
    return ms == WHORL_NEVER ? WHORL_NEVER : whorl_now() + ms * world.ms_ns;
}

int64_t world_duration(int64_t ms)
{
    return ms == WHORL_NEVER ? WHORL_NEVER : ms * world.ms_ns;
}

bool actor_may_uncancel(void)
{
    return world.how == PLAY_STRICT;
}

/* ---- the trace ---- */

void program_trace_to(FILE *out)
{
    world.out = out;
}

static void say_line(const char *who, const char *what, const char *outcome)
{
    if (world.how == PLAY_STRICT) {
        fprintf(world.out != NULL ? world.out : stdout, "%lld %s: %s%s%s\n",
                (long long)((whorl_now() - world.start_ns) / world.ms_ns), who, what,
                *outcome != 0 ? " " : "", outcome);
    }
}

void actor_say(const struct actor *actor, const char *what, const char *format, ...)
{
    char outcome[160];
    va_list args;
    va_start(args, format);
    vsnprintf(outcome, sizeof outcome, format, args);
    va_end(args);
    say_line(actor->object->name, what, outcome);
}

void actor_violation(const struct actor *actor, const char *what)
{
    world_lock();
    printf("VIOLATION program %ld %s: %s\n", world.program->number,
           actor == NULL ? "-" : actor->object->name, what);
    world.violations++;
    world_unlock();
}

struct text {
    char *at;
    size_t left;
};

static void add_text(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    const size_t used = wrote < 0 || (size_t)wrote >= text->left ? text->left - 1 : (size_t)wrote;
    text->at += used;
    text->left -= used;
}

/* A list may hold the value of another gather, which is a list. */
static void add_value(struct text *text, const struct object *of, void *value)
{
    const struct whorl_result *const results = value;
    if (of == NULL || !of->is_list) {
        add_text(text, "%lld", (long long)(intptr_t)value);
        return;
    }
    add_text(text, "[");
    for (size_t i = 0; i < of->listed; i++) {
        add_text(text, "%s", i == 0 ? "" : " ");
        if (results[i].error != 0) {
            add_text(text, "%s", whorl_error_name(results[i].error));
        } else {
            add_value(text, of->members[i], results[i].value);
        }
    }
    add_text(text, "]");
}

void actor_outcome_text(int error, const char *message, const struct object *of, void *value,
                        char *ret_text, size_t text_max)
{
    if (error == 0) {
        struct text text = {ret_text, text_max};
        add_text(&text, "= ");
        add_value(&text, of, value);
    } else if (error == -ECANCELED) {
        snprintf(ret_text, text_max, "! cancelled%s%s", message != NULL ? " " : "",
                 message != NULL ? message : "");
    } else {
        snprintf(ret_text, text_max, "! %s", whorl_error_name(error));
    }
}

void actor_error_text(const struct actor *actor, int error, char *ret_text, size_t text_max)
{
    actor_outcome_text(error, actor->message, NULL, NULL, ret_text, text_max);
}

int actor_tell(struct actor *actor, const struct step *step, int error, const struct object *of,
               void *value)
{
    char outcome[128];
    if (error == -ECANCELED) {
        actor->message = whorl_cancel_message();
    }
    actor_outcome_text(error, actor->message, of, value, outcome, sizeof outcome);
    if (error == 0 && of == NULL) {
        snprintf(outcome, sizeof outcome, "done");
    }
    actor_say(actor, step->text, "%s", outcome);
    return error;
}

/* ---- tasks ---- */

int actor_perform(struct actor *actor, const struct step *steps)
{
    for (const struct step *step = steps; step != NULL; step = step->next) {
        const int result = step->perform(actor, step);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int task_body(void *arg)
{
    struct object *const object = arg;
    struct actor actor = {.object = object};
    char outcome[64];
    if (object->begun++ != 0) {
        actor_violation(&actor, "begun twice");
    }
    actor_say(&actor, "begins", "%s", "");
    int result = actor_perform(&actor, object->body);
    result = result == RETURNED ? 0 : result;
    (void)whorl_return((void *)(intptr_t)actor.value);
    actor_outcome_text(result, actor.message, NULL, (void *)(intptr_t)actor.value, outcome,
                       sizeof outcome);
    actor_say(&actor, "ends", "%s", outcome);
    object->ended++;
    return result;
}

static void task_free(void *arg)
{
    struct object *const object = arg;
    object->freed++;
}

struct whorl_future *object_take(struct object *object)
{
    struct whorl_future *future = NULL;
    world_lock();
    if (object != NULL && object->future != NULL && !world.over) {
        future = whorl_future_ref(object->future);
    }
    world_unlock();
    return future;
}

bool object_name(struct object *object, struct whorl_future *future, const struct object *like)
{
    world_lock();
    const bool is_new = object->future == NULL && !object->is_task && !world_is_over();
    if (is_new) {
        object->future = future;
        object->is_list = like->is_list;
        object->listed = like->listed;
        memcpy(object->members, like->members, sizeof object->members);
    }
    world_unlock();
    return is_new;
}

static int spawn(struct object *object, struct object *group, const struct whorl_attr *attr,
                 struct whorl_task **ret_task)
{
    return group == NULL ? whorl_spawn(task_body, object, attr, ret_task)
                         : whorl_group_spawn(group->group, task_body, object, attr, ret_task);
}

/* A simulation may switch threads meanwhile, and a task that begins at once needs the lock. Until
 * this is back, the task cannot be named. */
static int spawn_unlocked(struct object *object, const struct whorl_attr *attr,
                          struct whorl_task **ret_task)
{
    world_unlock();
    const int error = spawn(object, NULL, attr, ret_task);
    world_lock();
    return error;
}

int object_spawn(struct object *object, struct object *group, uint64_t flags)
{
    const struct whorl_attr attr = {
        .name = object->name, .arg_free = task_free, .flags = flags};
    struct whorl_task *task = NULL;
    int error = -EALREADY;
    world_lock();
    if (group != NULL && group->group == NULL) {
        error = -ENOENT;
    } else if (object->is_task && !object->spawned && !world.over) {
        object->spawned = true;
        error = group != NULL ? spawn(object, group, &attr, &task) /* it stays open meanwhile */
                              : spawn_unlocked(object, &attr, &task);
        object->spawned = error == 0;
        object->task = task;
        object->future = error == 0 ? whorl_task_future(task) : NULL;
        world.spawned += error == 0;
    }
    world_unlock();
    return error;
}

static unsigned tasks_spawned(void)
{
    world_lock();
    const unsigned spawned = world.spawned;
    world_unlock();
    return spawned;
}

/* ---- the root ---- */

static struct object *find_task(const char *name)
{
    for (unsigned i = 0; i < world.program->declared_count; i++) {
        struct object *const object = world.program->declared[i];
        if (object->is_task && strcmp(object->name, name) == 0) {
            return object;
        }
    }
    return NULL;
}

/* In strict mode at the same times as on the other side, whatever main does. */
static bool wait_for_main(struct whorl_task *main_task, int64_t until_ns)
{
    if (world.how == PLAY_LOOPS) {
        (void)whorl_join(main_task, until_ns, NULL);
    } else {
        (void)whorl_sleep_until(until_ns);
    }
    return whorl_task_done(main_task);
}

/*
 * Cancels all that live; true if it found any, or could have missed one: a task looked at before it
 * was spawned. That a request comes too late is no sign of the end: the argument is freed first.
 */
static bool cancel_all(void)
{
    const unsigned spawned_before = tasks_spawned();
    bool any = false;
    for (unsigned i = 0; i < world.program->declared_count; i++) {
        world_lock();
        struct whorl_task *const task = world.program->declared[i]->task;
        world_unlock();
        if (task != NULL && !whorl_task_done(task)) {
            (void)whorl_cancel(task, "end");
            any = true;
        }
    }
    return any || tasks_spawned() != spawned_before;
}

static int make_futures(void)
{
    int error = 0;
    for (unsigned i = 0; i < world.program->declared_count && error == 0; i++) {
        struct object *const object = world.program->declared[i];
        error = object->is_future ? whorl_future_new(&object->future)
                : object->is_tool ? tool_make(object)
                                  : 0;
    }
    return error;
}

static void say_end(struct object *object)
{
    const struct actor actor = {.object = object};
    void *value = NULL;
    char outcome[64];
    if (object->task == NULL) {
        return;
    }
    if (!whorl_task_done(object->task)) {
        actor_violation(&actor, "it has not ended");
        return;
    }
    const int error = whorl_task_result(object->task, &value);
    actor_outcome_text(error, NULL, NULL, value, outcome, sizeof outcome);
    actor_say(&actor, "after all", "%s, %s, %d requests", outcome,
              whorl_task_cancelled(object->task) ? "cancelled" : "done",
              whorl_task_cancelling(object->task));
}

/* A future that nobody ends keeps the gathers and shields over it. */
static void give_back(struct object *object)
{
    if (object->is_future && object->future != NULL) {
        (void)whorl_future_cancel(object->future, NULL);
    }
    if (object->task == NULL) {
        whorl_future_unref(object->future);
        whorl_handle_unref(object->handle);
    } else {
        whorl_task_unref(object->task);
    }
}

int program_play(struct program *program, enum play_how how, int64_t ms_ns)
{
    world.program = program;
    world.how = how;
    world.ms_ns = ms_ns;
    world.start_ns = whorl_now();
    world.spawned = 0;
    world.violations = 0;
    world.over = false;
    struct object *const main_object = find_task("main");
    if (main_object == NULL || make_futures() != 0 || object_spawn(main_object, NULL, 0) != 0) {
        return -EINVAL;
    }
    for (int64_t ms = LATE_MS; !wait_for_main(main_object->task, world_deadline(ms)) &&
                               ms < LATE_MAX * LATE_MS;
         ms += LATE_MS) {
        (void)whorl_cancel(main_object->task, "late");
    }
    for (unsigned round = 0; round < ROUNDS_MAX && cancel_all(); round++) {
        (void)whorl_sleep(world_duration(ROUND_MS));
    }
    for (unsigned i = 0; i < program->declared_count; i++) {
        say_end(program->declared[i]);
    }
    while (is_anybody_inside()) {
        (void)whorl_sleep(world_duration(ROUND_MS));
    }
    for (unsigned i = 0; i < program->object_count; i++) {
        give_back(&program->objects[i]);
        tool_free(&program->objects[i]);
    }
    return world.violations == 0 ? 0 : -EPROTO;
}

int program_check(const struct program *program)
{
    int error = 0;
    for (unsigned i = 0; i < program->object_count; i++) {
        const struct object *const object = &program->objects[i];
        const struct actor actor = {.object = (struct object *)(uintptr_t)object};
        if (object->begun != object->ended) {
            actor_violation(&actor, "begun, and not ended once");
            error = -EPROTO;
        }
        if (object->begun > 1) {
            actor_violation(&actor, "begun twice");
            error = -EPROTO;
        }
        if (object->freed != object->spawned) {
            actor_violation(&actor, "its argument was not freed exactly once");
            error = -EPROTO;
        }
    }
    return error;
}

void program_rewind(struct program *program)
{
    for (unsigned i = 0; i < program->object_count; i++) {
        struct object *const object = &program->objects[i];
        object->spawned = false;
        object->task = NULL;
        object->handle = NULL;
        object->future = NULL;
        object->timeout = NULL;
        object->group = NULL;
        object->is_list = false;
        object->begun = object->ended = object->freed = 0;
    }
}
