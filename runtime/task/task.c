/*
 * task.c - a task's beginning, body and end; and the public calls that concern one task.
 *
 *   spawn                 slot from the cache, fields, word FREE -> LIVE, into a queue
 *   first step            a loop takes it, gives it a fiber, switches: entry -> run_body
 *   end                   word LIVE -> DONE, argument freed, future completed, switch to the loop,
 *                         which takes the fiber back and gives back the runtime's reference
 *
 * Threads:    spawn from any; body and end by the loop that runs the task.
 */
#include "task/task.h"

#include "task/cancel.h"
#include "task/context.h"
#include "task/debugging.h"
#include "task/executor.h"
#include "task/extra.h"
#include "task/future.h"
#include "task/generator.h"
#include "task/inline.h"
#include "task/park.h"
#include "task/strand.h"

#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#define ATTR_FLAGS (WHORL_EAGER | WHORL_QUIET | WHORL_NO_STRAND)

/* Process-wide, so that Task-N is unique over all runtimes. */
static uint64_t next_serial = 1;

/* ---- the beginning ---- */

static uint64_t draw_serial(struct whorl__loop *loop)
{
    return loop == NULL ? whorl__add_u64(&next_serial, 1)
                        : whorl__serials_draw(&loop->task_serials, &next_serial);
}

static void set_name(struct whorl_task *task, const char *name)
{
    whorl__spin_lock(&task->lock);
    snprintf(task->name, sizeof task->name, "%s", name);
    task->named = true;
    whorl__spin_unlock(&task->lock);
}

static int check_attr(const struct whorl__runtime *runtime, const struct whorl_attr *attr)
{
    if (attr == NULL) {
        return 0;
    }
    const bool stack_ok =
        attr->stack_bytes == 0 ||
        (attr->stack_bytes >= WHORL_STACK_LEAST && attr->stack_bytes <= WHORL_STACK_MAX);
    const bool pin_ok = attr->pin >= 0 && (unsigned)attr->pin <= runtime->loop_count;
    const bool reserved_ok = whorl__reserved_ok(attr->reserved, WHORL__RESERVED(attr));
    const bool flags_ok = (attr->flags & ~(uint64_t)ATTR_FLAGS) == 0;
    const bool strand_ok = attr->strand == NULL || (attr->flags & WHORL_NO_STRAND) == 0;
    return stack_ok && pin_ok && flags_ok && strand_ok && reserved_ok ? 0 : -EINVAL;
}

static WHORL_COLD void clear_leftovers(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock); /* a report may be reading the last task's name */
    task->asked = task->shutdown_asked = task->arrived = task->told = false;
    task->users_pending = 0;
    task->requests = 0;
    task->request_message = NULL;
    task->name[0] = '\0';
    task->named = false;
    whorl__spin_unlock(&task->lock);
}

/* Where a task of a foreign thread begins when loops do not share: round robin. */
static WHORL_COLD struct whorl__loop *place(struct whorl__runtime *runtime)
{
    return runtime->loops[whorl__add_u64(&runtime->place_next, 1) % runtime->loop_count];
}

/* The creator's context, or the one that was asked for. */
static WHORL_COLD void give_context(struct whorl_task *task, struct whorl__loop *here,
                                    struct whorl_task *creator, struct whorl_context *context)
{
    void *const word = context != NULL ? whorl__context_lease(here, context)
                                       : whorl__context_inherit(here, creator);
    whorl__store_relaxed_ptr(&task->more, word); /* relaxed: published with the task */
}

static inline void inherit(struct whorl_task *task, struct whorl__loop *here,
                           struct whorl_context *context)
{
    struct whorl_task *const creator = here != NULL ? here->current : NULL;
    /* relaxed: its own map, or nothing; anything else is read again, with acquire */
    void *const own = creator != NULL ? whorl__load_relaxed_ptr(&creator->more) : NULL;
    if (WHORL_LIKELY(creator != NULL && context == NULL && own == NULL)) {
        return;
    }
    /* Of a shared one a task that inherits gets the map. */
    void *const word = context != NULL ? whorl__more_tagged(context, WHORL__MORE_SHARED)
                       : whorl__more_tag(own) == WHORL__MORE_MAP ? own : NULL;
    if (here != NULL && word != NULL && whorl__stock_take(here, word)) {
        whorl__store_relaxed_ptr(&task->more, word); /* relaxed: published with the task */
    } else {
        give_context(task, here, creator, context);
    }
}

/* A loop knows the time well enough, and a look at the clock is not free. */
static uint64_t spawn_time(const struct whorl__loop *here)
{
    return here != NULL ? here->turn_ns : (uint64_t)whorl__os->now_ns();
}

static inline void count_made(struct whorl__runtime *runtime, struct whorl__loop *here)
{
    if (here != NULL) {
        whorl__count(&here->stats.spawned, 1);
    } else {
        (void)whorl__add_u64(&runtime->foreign_made, 1);
    }
}

/* As a task is that has no attributes. `here`: the spawning thread's own loop; NULL on a foreign
 * thread. What a slot's last task left is not to be seen. */
static inline void fill(struct whorl_task *task, struct whorl__runtime *runtime,
                        struct whorl__loop *here, whorl_body *body, void *arg, bool referred)
{
    whorl__future_init(&task->future, WHORL__FUTURE_TASK, referred ? 2 : 1);
    whorl__plain_write(&task->runtime); /* it stands for all that is set here */
    task->runtime = runtime;
    whorl__task_set_loop(task, here != NULL ? here : place(runtime));
    whorl__store_relaxed_ptr(&task->fiber, NULL); /* relaxed: published with the task */
    whorl__task_set_body(task, body);
    task->arg = arg;
    task->arg_free = NULL;
    whorl__task_set_pin(task, 0);
    task->stack_class = (uint8_t)runtime->stack_class;
    whorl__store_relaxed_u32(&task->stall_reported, 0); /* relaxed: nobody reports a new task yet */
    whorl__store_relaxed_u64(&task->serial, draw_serial(here)); /* relaxed: a number */
    whorl__store_relaxed_u64(&task->born_ns, spawn_time(here)); /* relaxed: for dumps */
    if (WHORL_UNLIKELY(task->asked | task->told | task->named)) {
        clear_leftovers(task);
    }
    count_made(runtime, here);
}

/* What a task has of its attributes, its creator and its runtime beyond that. */
static void dress(struct whorl_task *task, struct whorl__loop *here, const struct whorl_attr *attr)
{
    static const struct whorl_attr plain;
    const struct whorl_attr *const wanted = attr != NULL ? attr : &plain;
    if ((wanted->flags & WHORL_QUIET) != 0) {
        whorl__future_set_looked(&task->future);
    }
    task->arg_free = wanted->arg_free;
    whorl__task_set_pin(task, wanted->pin);
    if (wanted->stack_bytes != 0) {
        task->stack_class = (uint8_t)whorl__stack_class(wanted->stack_bytes);
    }
    if (wanted->name != NULL) {
        set_name(task, wanted->name);
    }
    if (!WHORL__BUG(SPAWN_SHARES_NO_CONTEXT)) {
        inherit(task, here, wanted->context);
    }
    if (WHORL_UNLIKELY(whorl__debugs(task->runtime))) {
        whorl__debug_note_origin(task);
    }
}

void whorl__task_run_here(struct whorl__loop *here, struct whorl_task *task)
{
    struct whorl__cxx held = {0};
    const int saved_errno = *here->errno_at;
    const struct whorl__bars bars = here->bars;
    whorl__loop_set_bars(here, (struct whorl__bars){.locks = 0});
    if (here->cxx_own != NULL) {
        held = *here->cxx_own;
        *here->cxx_own = (struct whorl__cxx){0};
    }
    whorl__sched_run_nested(here, task);
    if (here->cxx_own != NULL) {
        *here->cxx_own = held;
    }
    whorl__loop_set_bars(here, bars);
    *here->errno_at = saved_errno;
}

/* Only where it would be run anyway, and with the turn that the creator has. */
static bool is_eager(const struct whorl__loop *here, const struct whorl_task *task,
                     const struct whorl_attr *attr)
{
    if (attr == NULL || (attr->flags & WHORL_EAGER) == 0 || here == NULL ||
        WHORL__BUG(EAGER_IS_QUEUED)) {
        return false;
    }
    const struct whorl__strand *const strand = whorl__strand_shared(task);
    return (attr->pin == 0 || attr->pin - 1 == (int)here->index) &&
           (strand == NULL || strand == whorl__strand_here(here));
}

static struct whorl_task *take_slot(struct whorl__runtime *runtime, struct whorl__loop *here)
{
    return here != NULL ? whorl__slots_take(&runtime->slots, &here->slots)
                        : whorl__slots_take_remote(&runtime->slots);
}

static int make(struct whorl__runtime *runtime, struct whorl__loop *here, whorl_body *body,
                void *arg, const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    struct whorl__strand *strand;
    const int error = whorl__strand_choose(runtime, here, attr, &strand);
    if (error != 0) {
        return error;
    }
    struct whorl_task *const task = take_slot(runtime, here);
    if (task == NULL) {
        if (strand != NULL) {
            whorl__strand_drop(strand);
        }
        return -ENOMEM;
    }
    fill(task, runtime, here, body, arg, ret_task != NULL);
    dress(task, here, attr);
    whorl__strand_set(task, strand);
    if (ret_task != NULL) {
        *ret_task = task;
    }
    if (strand == NULL && whorl__inline_is_open(here, attr, ret_task)) {
        whorl__sched_submit_open(here, task, whorl__state_spawn_open(&task->word));
        return 0;
    }
    whorl__state_spawn(&task->word);
    if (is_eager(here, task, attr)) {
        whorl__task_run_here(here, task);
    } else {
        whorl__sched_submit_new(here, task);
    }
    return 0;
}

/*
 * Whether a task without attributes that is made here has nothing of its creator and its runtime:
 * no context, no strand; no end that has begun, no factory, no debug mode. One test for all, and
 * who finds any looks for it by name, in spawn_specially.
 */
static inline bool makes_plain(const struct whorl__loop *here)
{
    struct whorl_task *const creator = here->current;
    const struct whorl__runtime *const runtime = here->runtime;
    if (creator == NULL) {
        return false;
    }
    /* relaxed, all: the creator's own; hints, which come late to who nobody has told of them */
    const uintptr_t inherited = (uintptr_t)whorl__load_relaxed_ptr(&creator->more) |
                                (uintptr_t)whorl__strand_of(creator);
    const uint32_t modes = whorl__load_relaxed_u32(&runtime->ending) |
                           whorl__load_relaxed_u32(&runtime->factory.there) |
                           whorl__load_relaxed_u32(&runtime->debug);
    return (inherited | modes) == 0;
}

/* The same as make, where no question is open. */
static inline int make_plain(struct whorl__loop *here, whorl_body *body, void *arg,
                             struct whorl_task **ret_task)
{
    struct whorl__runtime *const runtime = here->runtime;
    struct whorl_task *const task = whorl__slots_take(&runtime->slots, &here->slots);
    if (WHORL_UNLIKELY(task == NULL)) {
        return -ENOMEM;
    }
    fill(task, runtime, here, body, arg, ret_task != NULL);
    if (ret_task != NULL) {
        *ret_task = task;
    }
    if (whorl__inline_is_open(here, NULL, ret_task)) {
        whorl__sched_submit_open(here, task, whorl__state_spawn_open(&task->word));
    } else {
        whorl__state_spawn(&task->word);
        whorl__sched_submit_plain(here, task);
    }
    return 0;
}

static int spawn_in(struct whorl__runtime *runtime, struct whorl__loop *here, whorl_body *body,
                    void *arg, const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    if (body == NULL || check_attr(runtime, attr) != 0) {
        return -EINVAL;
    }
    /* acquire, pairs the store in end.c */
    if (WHORL_UNLIKELY(whorl__load_acquire_u32(&runtime->ending))) {
        return -ECANCELED;
    }
    return make(runtime, here, body, arg, attr, ret_task);
}

int whorl__task_spawn_late(struct whorl__runtime *runtime, whorl_body *body, void *arg,
                           const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    return make(runtime, NULL, body, arg, attr, ret_task);
}

int whorl__task_make(struct whorl__runtime *runtime, struct whorl__loop *here,
                     const struct whorl_spawning *spawning, struct whorl_task **ret_task)
{
    return spawn_in(runtime, here, spawning->body, spawning->arg, spawning->attr, ret_task);
}

/* relaxed: a hint; who has set it tells others of it by what orders them, or they miss it */
static bool has_factory(const struct whorl__runtime *runtime)
{
    return WHORL_UNLIKELY(whorl__load_relaxed_u32(&runtime->factory.there) != 0);
}

static WHORL_NOINLINE int spawn_specially(whorl_body *body, void *arg,
                                          const struct whorl_attr *attr,
                                          struct whorl_task **ret_task)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    if (has_factory(here->runtime)) {
        return whorl__factory_spawn(here->runtime, body, arg, attr, ret_task);
    }
    return spawn_in(here->runtime, here, body, arg, attr, ret_task);
}

int whorl_spawn(whorl_body *body, void *arg, const struct whorl_attr *attr,
                struct whorl_task **ret_task)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (WHORL_LIKELY(here != NULL && attr == NULL && body != NULL) && makes_plain(here)) {
        return make_plain(here, body, arg, ret_task);
    }
    return spawn_specially(body, arg, attr, ret_task);
}

int whorl__task_spawn_into(struct whorl__runtime *runtime, whorl_body *body, void *arg,
                           const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (here != NULL && here->runtime == runtime) {
        return whorl_spawn(body, arg, attr, ret_task);
    }
    int error = -ECANCELED;
    if (whorl__guest_enter(runtime)) {
        error = has_factory(runtime)
                    ? whorl__factory_spawn(runtime, body, arg, attr, ret_task)
                    : spawn_in(runtime, NULL, body, arg, attr, ret_task);
    }
    whorl__guest_leave(runtime);
    return error;
}

int whorl__task_spawn_main(struct whorl__runtime *runtime, whorl_body *body, void *arg,
                           const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    struct whorl_attr of_main = attr != NULL ? *attr : (struct whorl_attr){.name = NULL};
    of_main.name = of_main.name != NULL ? of_main.name : "main";
    of_main.context = of_main.context != NULL ? of_main.context : runtime->main_context;
    const int error = whorl__task_spawn_into(runtime, body, arg, &of_main, ret_task);
    return error == -ECANCELED ? -ESHUTDOWN : error;
}

int whorl_spawn_remote(struct whorl_task *near, whorl_body *body, void *arg,
                       const struct whorl_attr *attr, struct whorl_task **ret_task)
{
    if (near == NULL) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(near)) {
        return -ECHILD;
    }
    return whorl__task_spawn_into(near->runtime, body, arg, attr, ret_task);
}

/* ---- the end ---- */

/* A visitor has the lock as long as he is there. */
static void await_visitor(struct whorl_task *task)
{
    whorl__spin_lock(&task->lock);
    whorl__spin_unlock(&task->lock);
}

/* A request nobody has answered: a body that returned 0 ends cancelled, another error stays, and
 * a cancel's message with it. */
static int finish_word(struct whorl_task *task, int error)
{
    while (WHORL_UNLIKELY(!whorl__state_finish(&task->word))) {
        const char *const message = task->delivered_message;
        const bool told = task->told;
        if (!whorl__cancel_take(task)) {
            await_visitor(task);
        } else if (error == 0 && !WHORL__BUG(CANCEL_AT_THE_END_IS_LOST)) {
            error = -ECANCELED;
        } else {
            task->delivered_message = message;
            task->told = told;
        }
    }
    return error;
}

/* Nobody awaits a task that the end of the runtime has cancelled. */
static WHORL_COLD void tell_of_leftover(struct whorl_task *task, int error)
{
    whorl__spin_lock(&task->lock);
    const bool leftover = task->shutdown_asked;
    whorl__spin_unlock(&task->lock);
    if (leftover) {
        whorl__report(task->runtime,
                      &(struct whorl_report){.message = "a task that was cancelled at the end of "
                                                        "the runtime has failed",
                                             .error = error,
                                             .task = task});
        whorl__future_set_looked(&task->future);
    }
}

static void finish(struct whorl_task *task, int error)
{
    whorl__inline_end(task);
    error = finish_word(task, error);
    if (WHORL_UNLIKELY(error != 0 && error != -ECANCELED)) {
        tell_of_leftover(task, error);
    }
    if (task->arg_free != NULL) {
        task->arg_free(task->arg);
    }
    if (WHORL_UNLIKELY(whorl__strand_of(task) != NULL)) {
        whorl__strand_end(task);
    }
    const bool cancelled = error == -ECANCELED;
    const struct whorl__outcome outcome = {
        .error = error,
        .value = error == 0 ? task->future.value : NULL,
        .cancelled = cancelled,
        .message = cancelled && task->told ? task->delivered_message : NULL,
    };
    whorl__future_complete_alone(&task->future, &outcome);
}

void whorl__task_clear(struct whorl_task *task, struct whorl__loop *here)
{
    whorl__extra_clear(task, here);
}

void whorl__task_abandon(struct whorl_task *task, int error)
{
    whorl__debug_tell_never_begun(task, error);
    finish(task, error);
}

/*
 * An unwinder asks this function on its way out of a body, and nobody above: there is no handler
 * for what leaves a body. A C++ runtime then calls std::terminate, with the stack still there.
 */
static _Unwind_Reason_Code leave_body(int version, _Unwind_Action actions,
                                      _Unwind_Exception_Class class,
                                      struct _Unwind_Exception *exception,
                                      struct _Unwind_Context *context)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    (void)version, (void)class, (void)exception, (void)context;
    whorl__task_copy_name(whorl__task_current(), name, sizeof name);
    if (actions & _UA_SEARCH_PHASE) {
        fprintf(stderr, "whorl: an exception leaves the body of task \"%s\"; catch it there\n",
                name);
        return _URC_CONTINUE_UNWIND;
    }
    fprintf(stderr, "whorl: task \"%s\" was to end by pthread_exit or pthread_cancel\n", name);
    abort();
}

/* What the compiler calls an address that the linker knows, where code may be moved. */
#if defined(__aarch64__)
#    define LINKED_ADDRESS "S"
#else
#    define LINKED_ADDRESS "i"
#endif

/* A frame of its own, with the function above as what C++ calls its personality (0x1b: written as a
 * distance of 4 bytes). */
WHORL_NOINLINE int whorl__task_call_body(whorl_body *body, void *arg)
{
    __asm__ volatile(".cfi_personality 0x1b, %c0" : : LINKED_ADDRESS(leave_body));
    const int error = body(arg);
    __asm__ volatile("" : : : "memory"); /* not by a jump, which would leave no frame */
    return error;
}

/* It was cancelled before its first step. */
static WHORL_COLD int never_begin(struct whorl_task *task)
{
    whorl__debug_tell_never_begun(task, -ECANCELED);
    return -ECANCELED;
}

static WHORL_COLD _Noreturn void refuse_return(struct whorl_task *task)
{
    char name[WHORL_TASK_NAME_MAX + 1];
    char text[WHORL_TASK_NAME_MAX + 96];
    whorl__task_copy_name(task, name, sizeof name);
    snprintf(text, sizeof text,
             "task \"%s\" returned with a timeout, a group or a shield still open", name);
    whorl__check_failed("all blocks are left", __FILE__, __LINE__, text);
}

/* A block that is open, or one of memory (extra.h): one test for both. */
static inline bool has_more(struct whorl_task *task)
{
    const uintptr_t more = (uintptr_t)whorl__load_relaxed_ptr(&task->more); /* relaxed: its own */
    return ((uintptr_t)task->scopes | (more & WHORL__MORE_BLOCK)) != 0;
}

static WHORL_COLD void look_at_more(struct whorl_task *task)
{
    if (task->scopes != NULL) {
        refuse_return(task);
    }
    whorl__debug_tell_of_owned(task);
}

static void run_body(struct whorl_task *task)
{
    whorl__plain_read(&task->runtime);
    const int error = whorl__cancel_take(task) ? never_begin(task)
                                               : whorl__task_call_body(task->body, task->arg);
    WHORL_CHECK(!whorl__task_is_inherited(task),
                "a body has returned in a child of fork, where its loop is not: exit, or exec");
    if (WHORL_UNLIKELY(has_more(task))) {
        look_at_more(task);
    }
    finish(task, error);
}

void whorl__task_entry(struct whorl__fiber *self)
{
    for (;;) {
        if (WHORL_UNLIKELY(whorl__generator_owns(self->user))) {
            whorl__generator_run(self);
            continue;
        }
        struct whorl_task *const task = self->user;
        run_body(task);
        struct whorl__loop *const loop = task->loop; /* where it ends, not where it began */
        loop->action = WHORL__ACTION_END;
        whorl__fiber_switch(self, &loop->host);
    }
}

/* ---- public: one task ---- */

struct whorl_task *whorl_task_current(void)
{
    return whorl__task_current();
}

int whorl_return(void *value)
{
    struct whorl_task *const task = whorl__task_current();
    if (task == NULL) {
        return whorl__work_return(value);
    }
    task->future.value = value; /* nobody looks before the task is done */
    return 0;
}

/* NULL of NULL, for whoever checks it; the future is the first member. */
static struct whorl_future *future_of(struct whorl_task *task)
{
    return task != NULL ? &task->future : NULL;
}

int whorl_await(struct whorl_task *task, void **ret_value)
{
    return whorl_future_await(future_of(task), ret_value);
}

int whorl_join(struct whorl_task *task, int64_t deadline_ns, void **ret_value)
{
    return whorl_future_join(future_of(task), deadline_ns, ret_value);
}

int whorl_task_result(struct whorl_task *task, void **ret_value)
{
    return whorl_future_result(future_of(task), ret_value);
}

bool whorl_task_done(struct whorl_task *task)
{
    return whorl_future_done(future_of(task));
}

bool whorl_task_cancelled(struct whorl_task *task)
{
    return whorl_future_cancelled(future_of(task));
}

const char *whorl_cancel_message(void)
{
    const struct whorl_task *const task = whorl__task_current();
    return task == NULL || !task->told ? NULL : task->delivered_message;
}

whorl_body *whorl_task_body(struct whorl_task *task)
{
    return task != NULL ? task->body : NULL;
}

void *whorl_task_arg(struct whorl_task *task)
{
    return task != NULL ? task->arg : NULL;
}

const char *whorl_task_name(struct whorl_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    if (whorl__task_is_inherited(task)) {
        return task->name; /* as the fork found it; empty unless somebody named it or had asked */
    }
    char name[WHORL_TASK_NAME_MAX + 1];
    whorl__task_copy_name(task, name, sizeof name);
    whorl__spin_lock(&task->lock);
    if (!task->named) {
        memcpy(task->name, name, sizeof name);
        task->named = true;
    }
    whorl__spin_unlock(&task->lock);
    return task->name;
}

void whorl_task_set_name(struct whorl_task *task, const char *name)
{
    if (task == NULL || name == NULL) {
        return;
    }
    if (whorl__task_is_inherited(task)) {
        return;
    }
    set_name(task, name);
}

struct whorl_task *whorl_task_ref(struct whorl_task *task)
{
    if (task == NULL) {
        return NULL;
    }
    (void)whorl_future_ref(&task->future);
    return task;
}

void whorl_task_unref(struct whorl_task *task)
{
    if (task != NULL && !whorl__task_is_inherited(task)) {
        whorl__sched_drop(task);
    }
}

void whorl_task_detach(struct whorl_task *task)
{
    if (task != NULL && !whorl__task_is_inherited(task)) {
        whorl__future_set_looked(&task->future);
        whorl__sched_drop(task);
    }
}

struct whorl_future *whorl_task_future(struct whorl_task *task)
{
    return future_of(task);
}
