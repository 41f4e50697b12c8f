/*
 * generator.c - a body that gives items: its own fiber, inside the task that asks.
 *
 *            claim                    the body yields
 *   NEW ----------------> RUNNING -----------------------> WAITING
 *    ^     no room, refused  | ^                              |
 *    +-----------------------+ +------------------------------+
 *                            |      claim: next, send, throw, close
 *                            | the body returns; or it was never begun and is closed
 *                            v
 *                          OVER
 *
 *   NEW      nothing ran.
 *   RUNNING  one has claimed it (H in generator.h): the task that asks; or, for a moment, who gives
 *            the last reference back.
 *   WAITING  its fiber is suspended in a yield. It is on a list of its runtime: reaper.c.
 *   OVER     its fiber is given back.
 *
 * While the body runs, its fiber is the asking task's: task->fiber says so. So a wait of the body
 * parks the task, which is resumed on the body's fiber, on any loop; a cancel, a deadline, a dump
 * find the body, for it is on top of one stack of calls that happens to lie in two pieces.
 *
 * Losing order, if a body said itself that it waits:
 *
 *   body (loop 0)                    another asker (loop 1)
 *   WAITING (still on its stack)
 *                                    claims it, switches to its fiber: two on one stack
 *
 * Ours: the body switches to the asker's fiber; there, on the asker's own stack, the word is moved
 * from RUNNING to WAITING.
 *
 * Threads:    any task asks; references are anybody's.
 * Invariant:  task->fiber is the fiber that the task runs on, or was parked on. A fiber's `user`
 *             tells whose it is: a task's, or with a tag a generator's.
 * Pairs:      N1  move_on (release half): the body's frame was left, the item is read - claim
 *                 (acquire half)
 *             N2  a reference less (release half) - the last one frees (acquire half)
 * Not chosen: a task of its own with a hand-over: docs/decisions/010-generators.md.
 */
#include "task/generator.h"

#include "task/cancel.h"
#include "task/park.h"
#include "task/task.h"

#include "sys/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the word ---- */

enum whorl__generator_phase whorl__generator_claim(struct whorl_generator *generator,
                                                   enum whorl__generator_phase from)
{
    uint32_t old = whorl__load_relaxed_u32(&generator->word); /* relaxed: the cas checks it */
    while (whorl__generator_phase(old) == from &&
           !whorl__cas_value_u32(&generator->word, &old, /* pairs N1 */
                                 (old & ~WHORL__GENERATOR_PHASE) | WHORL__GENERATOR_RUNNING)) {
    }
    return whorl__generator_phase(old);
}

void whorl__generator_move_on(struct whorl_generator *generator, enum whorl__generator_phase to,
                              int references)
{
    const uint32_t change = (uint32_t)to - (uint32_t)WHORL__GENERATOR_RUNNING +
                            (uint32_t)references * WHORL__GENERATOR_REFERENCE;
    whorl__plain_write(&generator->fiber); /* it stands for all that is H's */
    const uint32_t old = whorl__add_u32(&generator->word, change); /* release half, pairs N1 */
    WHORL_ASSERT(whorl__generator_phase(old) == WHORL__GENERATOR_RUNNING);
    (void)old;
}

/* Claims it from NEW or WAITING; -EBUSY: somebody else has it; -ENODATA: it is over. */
static int claim(struct whorl_generator *generator, enum whorl__generator_phase *ret_from)
{
    enum whorl__generator_phase from = WHORL__GENERATOR_WAITING;
    enum whorl__generator_phase found = whorl__generator_claim(generator, from);
    if (found == WHORL__GENERATOR_NEW) {
        from = found;
        found = whorl__generator_claim(generator, from);
    }
    if (found != from) {
        return found == WHORL__GENERATOR_OVER ? -ENODATA : -EBUSY;
    }
    whorl__plain_write(&generator->fiber); /* N1 */
    *ret_from = from;
    return 0;
}

/* ---- the hand-over ---- */

static struct whorl_generator *generator_of(const struct whorl__fiber *fiber)
{
    return (struct whorl_generator *)((uintptr_t)fiber->user & ~WHORL__GENERATOR_TAG);
}

/* The C++ exceptions that one of the two is handling are no business of the other: sys/cxx.h. */
static WHORL_COLD void switch_in_catch_block(struct whorl__cxx *here, struct whorl__fiber *from,
                                             struct whorl__fiber *to)
{
    const struct whorl__cxx held = *here;
    *here = (struct whorl__cxx){0};
    whorl__fiber_switch(from, to);
    *whorl__loop_current()->cxx = held;
}

/* The task goes on upon its other fiber. Returns when somebody switches back to `from`: a body's
 * may be another task then. */
static void hand_over(struct whorl_task *task, struct whorl__fiber *to)
{
    struct whorl__fiber *const from = task->fiber;
    struct whorl__cxx *const cxx = task->loop->cxx;
    WHORL_ASSERT(from != to);
    whorl__plain_write(from);                   /* the frame is left now; N1 */
    whorl__store_release_ptr(&task->fiber, to); /* release, pairs D2: what the fiber is */
    if (WHORL_UNLIKELY(whorl__cxx_holds(cxx))) {
        switch_in_catch_block(cxx, from, to);
    } else {
        whorl__fiber_switch(from, to);
    }
}

static WHORL_COLD _Noreturn void refuse_return(struct whorl_task *task,
                                               const struct whorl_generator *generator)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    char text[WHORL_TASK_NAME_MAX + WHORL_GENERATOR_NAME_MAX + 128];
    whorl__task_copy_name(task, name, sizeof name);
    snprintf(text, sizeof text,
             "the body of generator \"%s\" returned in task \"%s\" with a timeout, a group or a "
             "shield still open",
             generator->name, name);
    whorl__check_failed("all blocks are left", __FILE__, __LINE__, text);
}

/* A timeout or group on the body's stack that outlives it would be read where something else is. */
static void check_scopes(struct whorl_task *task, const struct whorl_generator *generator,
                         const struct whorl__fiber *fiber)
{
    const uintptr_t low = (uintptr_t)fiber->stack_low;
    bool left = false;
    for (const struct whorl__scope *scope = task->scopes; scope != NULL; scope = scope->outer) {
        left |= (uintptr_t)scope - low < fiber->stack_bytes;
    }
    if (WHORL_UNLIKELY(left)) {
        refuse_return(task, generator);
    }
}

void whorl__generator_run(struct whorl__fiber *self)
{
    struct whorl_generator *const generator = generator_of(self);
    generator->error = whorl__task_call_body(generator->body, generator->arg);
    struct whorl_task *const task = whorl__task_current(); /* not always the one that began it */
    WHORL_CHECK(task != NULL, "a generator's body has returned in a child of fork: exit, or exec");
    check_scopes(task, generator, self);
    generator->ended = true;
    hand_over(task, generator->asker);
}

int whorl_generator_yield(void *item, void **ret_sent)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__error_outside();
    }
    const struct whorl__fiber *const self = task->fiber;
    if (!whorl__generator_owns(self->user)) {
        return -EPERM;
    }
    struct whorl_generator *const generator = generator_of(self);
    if (generator->closing) {
        generator->ignored = true;
        whorl__give_way(task); /* one that never takes no for an answer holds up nobody else */
        return -ESHUTDOWN;
    }
    generator->item = item;
    hand_over(task, generator->asker);
    if (generator->told == 0 && ret_sent != NULL) {
        *ret_sent = generator->sent;
    }
    return generator->told;
}

/* ---- asking ---- */

void whorl__generator_give_up(struct whorl_generator *generator)
{
    if (generator->arg_free != NULL) {
        generator->arg_free(generator->arg);
    }
}

/* H: a stack for the body, and a place on the list. */
static int begin(struct whorl_generator *generator, const struct whorl_task *task)
{
    struct whorl__runtime *const runtime = task->runtime;
    const size_t bytes = generator->stack_bytes != 0
                             ? generator->stack_bytes
                             : whorl__stack_class_bytes(runtime->stack_class);
    if (!whorl__generators_add(runtime, generator)) {
        return -ESHUTDOWN;
    }
    const int error = whorl__fibers_get(&task->loop->fibers, bytes, &generator->fiber);
    if (error != 0) {
        whorl__generators_remove(generator);
        return error;
    }
    generator->fiber->user = (void *)((uintptr_t)generator | WHORL__GENERATOR_TAG);
    return 0;
}

/* H: the body has returned. */
static int end(struct whorl_generator *generator)
{
    whorl__generators_remove(generator);
    whorl__fibers_put(&whorl__loop_current()->fibers, generator->fiber);
    whorl__generator_give_up(generator);
    const int error = generator->error;
    whorl__generator_move_on(generator, WHORL__GENERATOR_OVER, 0);
    return error == 0 ? -ENODATA : error;
}

/* H: runs the body to its next yield, or to its end. */
static int resume(struct whorl_generator *generator, struct whorl_task *task, void **ret_item)
{
    generator->asker = task->fiber;
    hand_over(task, generator->fiber);
    whorl__plain_write(generator->fiber); /* left just now; N1 */
    if (generator->ended) {
        return end(generator);
    }
    if (ret_item != NULL) {
        *ret_item = generator->item;
    }
    whorl__generator_move_on(generator, WHORL__GENERATOR_WAITING, 0);
    return 0;
}

/* What an asker brings. */
struct call {
    void *sent;
    int told; /* what the yield is to return */
    bool closes;
};

/* H, of one that has not begun. Nobody waits in a yield that could take what the call brings. */
static int ask_new(struct whorl_generator *generator, struct whorl_task *task,
                   const struct call *call, void **ret_item)
{
    if (call->told != 0) {
        whorl__generator_give_up(generator);
        whorl__generator_move_on(generator, WHORL__GENERATOR_OVER, 0);
        return call->told;
    }
    const int error = call->sent != NULL ? -EINVAL : begin(generator, task);
    if (error != 0) {
        whorl__generator_move_on(generator, WHORL__GENERATOR_NEW, 0);
        return error;
    }
    return resume(generator, task, ret_item);
}

/* H, of one that waits in its yield. */
static int ask_waiting(struct whorl_generator *generator, struct whorl_task *task,
                       const struct call *call, void **ret_item)
{
    /* relaxed: H is alone */
    if (whorl__load_relaxed_ptr(&generator->runtime) != task->runtime) {
        whorl__generator_move_on(generator, WHORL__GENERATOR_WAITING, 0);
        return -EXDEV;
    }
    generator->sent = call->sent;
    generator->told = call->told;
    generator->closing = call->closes;
    return resume(generator, task, ret_item);
}

static int ask(struct whorl_generator *generator, const struct call *call, void **ret_item)
{
    struct whorl_task *const task = whorl__task_current();
    enum whorl__generator_phase from;
    if (task == NULL) {
        return whorl__error_outside();
    }
    const int error = claim(generator, &from);
    if (error != 0) {
        return error;
    }
    return from == WHORL__GENERATOR_NEW ? ask_new(generator, task, call, ret_item)
                                        : ask_waiting(generator, task, call, ret_item);
}

int whorl_generator_next(struct whorl_generator *generator, void **ret_item)
{
    if (generator == NULL) {
        return -EINVAL;
    }
    return ask(generator, &(struct call){0}, ret_item);
}

int whorl_generator_send(struct whorl_generator *generator, void *sent, void **ret_item)
{
    if (generator == NULL) {
        return -EINVAL;
    }
    return ask(generator, &(struct call){.sent = sent}, ret_item);
}

int whorl_generator_throw(struct whorl_generator *generator, int error, void **ret_item)
{
    if (generator == NULL) {
        return -EINVAL;
    }
    return error >= 0 ? -EINVAL : ask(generator, &(struct call){.told = error}, ret_item);
}

int whorl_generator_close(struct whorl_generator *generator)
{
    if (generator == NULL) {
        return -EINVAL;
    }
    const struct call call = {.told = -ESHUTDOWN, .closes = true};
    struct whorl_task *const task = whorl__task_current();
    enum whorl__generator_phase from;
    if (task == NULL) {
        return whorl__error_outside();
    }
    int error = claim(generator, &from);
    if (error != 0) {
        return error == -ENODATA ? 0 : error;
    }
    if (from == WHORL__GENERATOR_NEW) {
        (void)ask_new(generator, task, &call, NULL);
        return 0;
    }
    error = ask_waiting(generator, task, &call, NULL);
    if (error == -EXDEV) {
        return error;
    }
    /* It is over: what it was told and did is nobody's to change any more. */
    return generator->ignored ? -EPROTO
                              : error == -ESHUTDOWN || error == -ENODATA ? 0 : error;
}

/* ---- references, and what it is ---- */

static int iterate(struct whorl_iterator *self, void **ret_item)
{
    return whorl_generator_next(whorl_container_of(self, struct whorl_generator, iterator),
                                ret_item);
}

static int close_iterator(struct whorl_iterator *self)
{
    return whorl_generator_close(whorl_container_of(self, struct whorl_generator, iterator));
}

static int check_attr(const struct whorl_generator_attr *attr)
{
    const bool stack_ok =
        attr->stack_bytes == 0 ||
        (attr->stack_bytes >= WHORL_STACK_LEAST && attr->stack_bytes <= WHORL_STACK_MAX);
    return stack_ok && whorl__reserved_ok(attr->reserved, WHORL__RESERVED(attr)) ? 0 : -EINVAL;
}

int whorl_generator_new(whorl_body *body, void *arg, const struct whorl_generator_attr *attr,
                        struct whorl_generator **ret_generator)
{
    if (ret_generator == NULL) {
        return -EINVAL;
    }
    static const struct whorl_generator_attr plain;
    const struct whorl_generator_attr *const wanted = attr != NULL ? attr : &plain;
    if (body == NULL || check_attr(wanted) != 0) {
        return -EINVAL;
    }
    struct whorl_generator *const generator = whorl__os->alloc(sizeof *generator);
    if (generator == NULL) {
        return -ENOMEM;
    }
    *generator = (struct whorl_generator){
        .iterator = {.next = iterate, .close = close_iterator},
        .word = WHORL__GENERATOR_REFERENCE | WHORL__GENERATOR_NEW,
        .body = body,
        .arg = arg,
        .arg_free = wanted->arg_free,
        .stack_bytes = wanted->stack_bytes,
    };
    whorl__list_init(&generator->link);
    snprintf(generator->name, sizeof generator->name, "%s",
             wanted->name != NULL ? wanted->name : "generator");
    *ret_generator = generator;
    return 0;
}

struct whorl_generator *whorl_generator_ref(struct whorl_generator *generator)
{
    if (generator == NULL) {
        return NULL;
    }
    whorl__add_relaxed_u32(&generator->word, WHORL__GENERATOR_REFERENCE); /* relaxed: it has one */
    return generator;
}

static void destroy(struct whorl_generator *generator, enum whorl__generator_phase phase)
{
    whorl__plain_write(&generator->fiber); /* N2 */
    if (phase == WHORL__GENERATOR_NEW) {
        whorl__generator_give_up(generator);
    }
    whorl__os->free(generator);
}

/* In a child of fork: its stack and its list stayed behind. */
static bool is_inherited(const struct whorl_generator *generator)
{
    /* relaxed: it counts only in a child, where who might be writing it is not */
    const struct whorl__runtime *const runtime = whorl__load_relaxed_ptr(&generator->runtime);
    return whorl__fork_generation != 0 &&
           (runtime == NULL || whorl__fork_inherited(runtime->generation));
}

/* True: the reference is gone. */
static bool give_reference_back(struct whorl_generator *generator, uint32_t *old)
{
    if (!whorl__cas_value_u32(&generator->word, old, *old - WHORL__GENERATOR_REFERENCE)) {
        return false; /* pairs N2 */
    }
    if (whorl__generator_references(*old) == 1) {
        destroy(generator, whorl__generator_phase(*old));
    }
    return true;
}

static WHORL_COLD _Noreturn void refuse_loss(const struct whorl_generator *generator)
{
    char text[WHORL_GENERATOR_NAME_MAX + 128];
    snprintf(text, sizeof text,
             "whorl_generator_unref: the last reference of generator \"%s\" goes while a task is "
             "inside it",
             generator->name);
    whorl__check_failed("nobody is inside", __FILE__, __LINE__, text);
}

/* The last reference of one that has begun: true if that was dealt with. */
static bool lose(struct whorl_generator *generator, enum whorl__generator_phase phase)
{
    if (is_inherited(generator)) {
        return true;
    }
    if (WHORL_UNLIKELY(phase == WHORL__GENERATOR_RUNNING)) {
        refuse_loss(generator);
    }
    if (whorl__generator_claim(generator, phase) != phase) {
        return false;
    }
    whorl__generators_lose(generator);
    return true;
}

void whorl_generator_unref(struct whorl_generator *generator)
{
    bool done = generator == NULL;
    while (!done) {
        uint32_t old = whorl__load_relaxed_u32(&generator->word); /* relaxed: a cas checks it */
        const enum whorl__generator_phase phase = whorl__generator_phase(old);
        const bool begun = phase == WHORL__GENERATOR_WAITING || phase == WHORL__GENERATOR_RUNNING;
        done = begun && whorl__generator_references(old) == 1
                   ? lose(generator, phase)
                   : give_reference_back(generator, &old);
    }
}

const char *whorl_generator_name(const struct whorl_generator *generator)
{
    if (generator == NULL) {
        return NULL;
    }
    return generator->name;
}

struct whorl_iterator *whorl_generator_iterator(struct whorl_generator *generator)
{
    if (generator == NULL) {
        return NULL;
    }
    return &generator->iterator;
}

int whorl_iterator_next(struct whorl_iterator *iterator, void **ret_item)
{
    if (iterator == NULL || iterator->next == NULL) {
        return -EINVAL;
    }
    return iterator->next(iterator, ret_item);
}

int whorl_iterator_close(struct whorl_iterator *iterator)
{
    if (iterator == NULL) {
        return -EINVAL;
    }
    return iterator->close != NULL ? iterator->close(iterator) : 0;
}
