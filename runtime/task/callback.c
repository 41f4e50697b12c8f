/*
 * callback.c - calls that a loop makes between two tasks: soon, at a time, when a future is done.
 *
 *   PENDING --its turn--> RUNNING [| AWAITED] --> RAN
 *      +------cancel----> CANCELLED
 *      +------the end---> CANCELLED
 *
 * Who moves PENDING on owns the call and its argument. A cancel of one that runs sets AWAITED and
 * sleeps on the word until it says RAN.
 *
 * LOOKED is a lock beside any state but RUNNING, for some instructions: who has set it may make the
 * call's own context one that can be shared. Who would move PENDING on waits until it is gone:
 *
 *   losing order, without it                     ours
 *   look:  the context is map M                  look:  PENDING -> PENDING | LOOKED
 *   run:   sets in it: map N, frees M            run:   finds LOOKED, tries again
 *   look:  makes a context of M, freed           look:  makes a context of M; -> PENDING
 *
 * A handle is kept by whoever has it and by where the call stands: a timer, then the loop's list.
 * A cancelled call stays in the list until its turn, which then does nothing; its timer goes at
 * once. A plain thread that takes it out must not do so in a loop that is gone:
 *
 *   losing order                                 ours
 *   cancel:  PENDING -> CANCELLED                cancel:  PENDING -> CANCELLED
 *   the end: frees the loop and its timers       cancel:  visits the runtime by its id (roster.c)
 *   cancel:  takes a timer out of freed memory   the end: waits for visitors, then frees
 *                                                cancel:  or finds no such runtime: nothing to do,
 *                                                         the end gives the timer's reference back
 *
 * A done callback is a waiter of its future (future.c), and once fired a call of its loop. It keeps
 * the future from then on only; until then the future keeps it. Who completes the future may be a
 * thread of anywhere, and finds the loop in the same way: by the id of its runtime.
 *
 * A call that is in a strand is made with its turn (task/seat.c). It passes that on before it says
 * that it RAN, as a task does before its future is done: who knows of it may forget the strand.
 *
 * Owns:       struct whorl_handle, struct done.
 * Threads:    made by the loop that makes the call, or by any thread (threadsafe, and done
 *             callbacks of tasks), which then counts as a guest as in submit.c; cancelled by any.
 * Invariant:  a call is run once or not at all, by the loop of its seat, or one that hands it the
 *             turn; arg_free is called once. The reference of where a call stands, and its seat,
 *             are given back together.
 * Pairs:      Y1  run: the function, then state := RAN (release half) - cancel: reads RAN (acquire)
 *             Y2  references: the last - 1 (acquire half) sees all that was done under the others
 *             Y3  a look's end: the context, then state without LOOKED (release) - claim, look: the
 *                 cas that finds it gone (acquire half)
 *             V1  of roster.c: a visit - the end of the runtime
 *             B1, E2  of submit.c and end.c: a guest - the end of the runtime
 */
#include "task/callback.h"

#include "task/context.h"
#include "task/debugging.h"
#include "task/future.h"
#include "task/park.h"
#include "task/seat.h"
#include "task/task.h"

#include "sched/culprit.h"
#include "sched/roster.h"
#include "base/bug.h"
#include "sys/os.h"

#include <errno.h>
#include <limits.h>

#define PENDING   UINT32_C(0)
#define RUNNING   UINT32_C(1)
#define RAN       UINT32_C(2)
#define CANCELLED UINT32_C(3)
#define AWAITED   UINT32_C(4)
#define LOOKED    UINT32_C(8)

struct whorl_handle {
    struct whorl__callback call; /* first; as a waiter is one */
    uint32_t references;         /* A: Y2 */
    uint32_t state;              /* A: futex; drawn above */
    uint32_t generation;         /* C: sys/fork.h */
    bool timed;                  /* C: it has a timer */
    struct whorl__seat seat;     /* C */
    uint64_t runtime_id;         /* C */
    whorl_callback *callback;    /* C */
    void *arg;                   /* C */
    void (*arg_free)(void *arg); /* C */
    int64_t when_ns;             /* C: 0 without a timer */
    void *context;               /* task/context.h: of its maker; the call's once it runs */
    struct whorl__timer timer;
};

/* ---- where a call is made ---- */

static bool runs_on(const struct whorl__loop *here, uint64_t runtime_id)
{
    return here != NULL && here->runtime->id == runtime_id;
}

/* Behind what is there, what other threads have sent included. */
static void push(struct whorl__loop *here, struct whorl__loop *loop, struct whorl__callback *call)
{
    if (here == loop) {
        (void)whorl__loop_take_inbox(loop);
        whorl__loop_push_callback(loop, call);
    } else {
        call->item.fiber = NULL;
        call->item.body = NULL;
        whorl__loop_post(loop, &call->item);
    }
}

/* ---- a handle ---- */

static bool is_inherited(const struct whorl_handle *handle)
{
    return whorl__fork_inherited(handle->generation);
}

static void unref(struct whorl_handle *handle)
{
    if (whorl__add_u32(&handle->references, (uint32_t)-1) == 1) { /* pairs Y2 */
        whorl__plain_write(&handle->call);
        whorl__context_release(handle->context, NULL);
        whorl__os->free(handle);
    }
}

static void free_arg(const struct whorl_handle *handle)
{
    if (handle->arg_free != NULL) {
        handle->arg_free(handle->arg);
    }
}

static bool claim(struct whorl_handle *handle, uint32_t state)
{
    uint32_t found = PENDING;
    while (!whorl__cas_value_u32(&handle->state, &found, state)) { /* pairs Y3 */
        if (found != (PENDING | LOOKED)) {
            return false;
        }
        whorl__pause();
        found = PENDING;
    }
    return true;
}

static WHORL_COLD void call_timed(struct whorl__loop *loop, const void *function, void **context,
                                  whorl_callback *callback, void *arg)
{
    const int64_t begin_ns = whorl__os->now_ns();
    whorl__context_call(context, callback, arg);
    whorl__culprit_tell_call(loop, function, whorl__os->now_ns() - begin_ns);
}

/* function: the program's own, by which reports name the call. */
static void call_in(struct whorl__loop *loop, const void *function, void **context,
                    whorl_callback *callback, void *arg)
{
    loop->poll_now = true;
    whorl__store_relaxed_ptr(&loop->called, (void *)(uintptr_t)function); /* relaxed: a sample */
    if (WHORL_UNLIKELY(whorl__debugs(loop->runtime))) {
        call_timed(loop, function, context, callback, arg);
    } else {
        whorl__context_call(context, callback, arg);
    }
}

/* From here to the end of the call: what it spawns, and whose turn it may lend. */
static struct whorl__loop *sit_down(const struct whorl__seat *seat)
{
    struct whorl__loop *const loop = seat->takes_turns ? whorl__loop_current() : seat->loop;
    loop->call_strand = seat->strand;
    return loop;
}

static void stand_up(struct whorl__loop *loop, const struct whorl__seat *seat)
{
    loop->call_strand = NULL;
    whorl__seat_pass(seat, false);
}

static void call_out(struct whorl_handle *handle)
{
    struct whorl__loop *const loop = sit_down(&handle->seat);
    call_in(loop, (void *)(uintptr_t)handle->callback, &handle->context, handle->callback,
            handle->arg);
    free_arg(handle);
    stand_up(loop, &handle->seat);
    if (whorl__swap_u32(&handle->state, RAN) & AWAITED) { /* pairs Y1 */
        (void)whorl__os->futex_wake(&handle->state, INT_MAX);
    }
}

/* It was cancelled; or it is now, if all is over. */
static void drop(struct whorl_handle *handle, bool over)
{
    if (over && claim(handle, CANCELLED)) {
        free_arg(handle);
    }
}

static void run(struct whorl__callback *self, bool over)
{
    struct whorl_handle *const handle = whorl_container_of(self, struct whorl_handle, call);
    whorl__plain_read(&handle->call);
    if (!over && (claim(handle, RUNNING) || WHORL__BUG(CALLBACK_RUNS_AFTER_ITS_CANCEL))) {
        call_out(handle);
    } else {
        drop(handle, over);
        whorl__seat_pass(&handle->seat, over);
    }
    unref(handle);
}

/* It stood in line for the turn, and has that now. */
static void run_in_line(struct whorl__callback *self, bool over)
{
    struct whorl_handle *const handle = whorl_container_of(self, struct whorl_handle, call);
    struct whorl__loop *const here = whorl__loop_current();
    whorl__plain_write(&handle->call);
    if (!over) {
        self->run = run;
        push(here, whorl__seat_loop(&handle->seat, here), self);
        return;
    }
    drop(handle, true);
    whorl__seat_leave(&handle->seat);
    unref(handle);
}

static void make_ready(struct whorl_handle *handle, struct whorl__loop *here)
{
    if (whorl__seat_is_free(&handle->seat, &handle->call, run_in_line)) {
        push(here, whorl__seat_loop(&handle->seat, here), &handle->call);
    }
}

/* In strict order this is the call's turn; in fast order it stands in line now. The timer's
 * reference goes along. */
static void fire(struct whorl__runtime *runtime, whorl__handle none, uint64_t serial)
{
    struct whorl_handle *const handle = (struct whorl_handle *)(uintptr_t)serial;
    struct whorl__loop *const here = whorl__loop_current();
    (void)runtime, (void)none;
    if (here != handle->seat.loop || !here->strict) {
        make_ready(handle, here);
    } else if (whorl__seat_is_free(&handle->seat, &handle->call, run_in_line)) {
        run(&handle->call, false);
    }
}

/* ---- making one ---- */

/* What is to be called, and what becomes of it. */
struct wanted {
    whorl_callback *callback;
    void *arg;
    const struct whorl_call_attr *attr;
    struct whorl_handle **ret_handle;
};

/* The loop it is for: 0 or -EINVAL. */
static int check(const struct wanted *wanted, const struct whorl__runtime *runtime,
                 struct whorl__loop *plain, struct whorl__loop **ret_loop)
{
    const struct whorl_call_attr *const attr = wanted->attr;
    *ret_loop = plain;
    if (wanted->callback == NULL) {
        return -EINVAL;
    }
    if (attr == NULL) {
        return 0;
    }
    if (attr->pin < 0 || (unsigned)attr->pin > runtime->loop_count ||
        (attr->flags & ~(uint64_t)WHORL_NO_STRAND) != 0 ||
        (attr->strand != NULL && attr->flags != 0) ||
        !whorl__reserved_ok(attr->reserved, WHORL__RESERVED(attr))) {
        return -EINVAL;
    }
    if (attr->pin != 0) {
        *ret_loop = runtime->loops[attr->pin - 1];
    }
    return 0;
}

/* The strand of a call that is asked for here. */
static struct whorl__strand *strand_for(const struct whorl_call_attr *attr,
                                        struct whorl__runtime *runtime,
                                        const struct whorl__loop *here)
{
    if (attr != NULL && attr->strand != NULL) {
        return (struct whorl__strand *)(void *)attr->strand;
    }
    const bool none = attr != NULL && (attr->flags & WHORL_NO_STRAND) != 0;
    return none ? NULL : whorl__strand_inherited(runtime, here);
}

/* With one reference, that of where it will stand, and the caller's if he wants one. */
static struct whorl_handle *fill(const struct wanted *wanted, const struct whorl__seat *seat)
{
    struct whorl__loop *const loop = seat->loop;
    struct whorl_handle *const handle = whorl__os->alloc(sizeof *handle);
    if (handle == NULL) {
        return NULL;
    }
    *handle = (struct whorl_handle){
        .call.run = run,
        .references = wanted->ret_handle != NULL ? 2 : 1,
        .generation = whorl__fork_generation,
        .seat = *seat,
        .runtime_id = loop->runtime->id,
        .callback = wanted->callback,
        .arg = wanted->arg,
        .arg_free = wanted->attr != NULL ? wanted->attr->arg_free : NULL,
        .context = wanted->attr != NULL && wanted->attr->context != NULL
                       ? whorl__context_share(wanted->attr->context)
                       : whorl__context_capture(),
    };
    whorl__plain_write(&handle->call);
    return handle;
}

/* Where: seat->loop is set. 0 or -errno. */
static int make(const struct wanted *wanted, struct whorl__seat *seat,
                const struct whorl__loop *here, struct whorl_handle **ret_handle)
{
    struct whorl__runtime *const runtime = seat->loop->runtime;
    seat->pinned = wanted->attr != NULL && wanted->attr->pin != 0;
    const int error = whorl__seat_take(seat, strand_for(wanted->attr, runtime, here));
    if (error != 0) {
        return error;
    }
    *ret_handle = fill(wanted, seat);
    if (*ret_handle == NULL) {
        whorl__seat_leave(seat);
        return -ENOMEM;
    }
    return 0;
}

static void hand_out(const struct wanted *wanted, struct whorl_handle *handle)
{
    if (wanted->ret_handle != NULL) {
        *wanted->ret_handle = handle;
    }
}

static int call_soon(const struct wanted *wanted, struct whorl__loop *here,
                     struct whorl__runtime *runtime, struct whorl__loop *plain)
{
    struct whorl__seat seat = {.loop = NULL};
    struct whorl_handle *handle;
    int error = check(wanted, runtime, plain, &seat.loop);
    error = error != 0 ? error : make(wanted, &seat, here, &handle);
    if (error != 0) {
        return error;
    }
    hand_out(wanted, handle);
    make_ready(handle, here);
    return 0;
}

int whorl_call_soon(whorl_callback *callback, void *arg, const struct whorl_call_attr *attr,
                    struct whorl_handle **ret_handle)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (here == NULL) {
        return whorl__error_outside();
    }
    return call_soon(&(struct wanted){callback, arg, attr, ret_handle}, here, here->runtime, here);
}

int whorl_call_soon_threadsafe(struct whorl_task *near, whorl_callback *callback, void *arg,
                               const struct whorl_call_attr *attr,
                               struct whorl_handle **ret_handle)
{
    struct whorl__loop *const here = whorl__loop_current();
    if (near == NULL) {
        return -EINVAL;
    }
    if (whorl__task_is_inherited(near)) {
        return -ECHILD;
    }
    struct whorl__runtime *const runtime = near->runtime;
    if (here != NULL && here->runtime == runtime) {
        return whorl_call_soon(callback, arg, attr, ret_handle);
    }
    int error = -ECANCELED;
    if (whorl__guest_enter(runtime)) {
        error = call_soon(&(struct wanted){callback, arg, attr, ret_handle}, NULL, runtime,
                          runtime->loops[0]);
    }
    whorl__guest_leave(runtime);
    return error;
}

static int arm(struct whorl_handle *handle, int64_t deadline_ns)
{
    handle->timed = true;
    handle->when_ns = deadline_ns;
    handle->timer.serial = (uintptr_t)handle;
    handle->timer.fire = fire;
    return whorl__timer_arm(&handle->seat.loop->timers, &handle->timer, deadline_ns);
}

int whorl_call_at(int64_t deadline_ns, whorl_callback *callback, void *arg,
                  const struct whorl_call_attr *attr, struct whorl_handle **ret_handle)
{
    const struct wanted wanted = {callback, arg, attr, ret_handle};
    struct whorl__loop *const here = whorl__loop_here();
    struct whorl__seat seat = {.loop = NULL};
    struct whorl_handle *handle;
    if (here == NULL) {
        return whorl__error_outside();
    }
    if (check(&wanted, here->runtime, here, &seat.loop) != 0 || seat.loop != here) {
        return -EINVAL;
    }
    int error = make(&wanted, &seat, here, &handle);
    if (error != 0) {
        return error;
    }
    if (WHORL__BUG(CALLBACK_DUE_IS_CALLED_SOON) && deadline_ns <= whorl_now()) {
        hand_out(&wanted, handle);
        make_ready(handle, here);
        return 0;
    }
    error = arm(handle, deadline_ns);
    if (error != 0) {
        whorl__seat_leave(&handle->seat);
        handle->references = 1;
        unref(handle);
        return error;
    }
    hand_out(&wanted, handle);
    return 0;
}

/* Not whorl_after, which knows no time before now. */
static int64_t due(int64_t delay_ns)
{
    const int64_t now_ns = whorl_now();
    if (delay_ns >= 0) {
        return whorl_after(delay_ns);
    }
    return delay_ns < -now_ns ? 0 : now_ns + delay_ns;
}

int whorl_call_later(int64_t delay_ns, whorl_callback *callback, void *arg,
                     const struct whorl_call_attr *attr, struct whorl_handle **ret_handle)
{
    return whorl_call_at(due(delay_ns), callback, arg, attr, ret_handle);
}

/* ---- a timer that is due already ---- */

struct errand {
    struct whorl__callback call; /* first */
    struct whorl__runtime *runtime;
    struct whorl__timer timer; /* what it is to do, copied; it is in no heap */
};

static void run_errand(struct whorl__callback *self, bool over)
{
    struct errand *const errand = whorl_container_of(self, struct errand, call);
    whorl__plain_read(&errand->call);
    if (!over) {
        errand->timer.fire(errand->runtime, errand->timer.handle, errand->timer.serial);
    }
    whorl__os->free(errand);
}

int whorl__callback_fire_soon(struct whorl__loop *loop, const struct whorl__timer *timer)
{
    struct errand *const errand = whorl__os->alloc(sizeof *errand);
    if (errand == NULL) {
        return -ENOMEM;
    }
    *errand = (struct errand){.call.run = run_errand, .runtime = loop->runtime, .timer = *timer};
    whorl__plain_write(&errand->call);
    push(whorl__loop_current(), loop, &errand->call);
    return 0;
}

/* ---- cancelling ---- */

/* The loop is there: by its own runtime's thread, or a visitor. */
static void take_timer_out(struct whorl_handle *handle)
{
    if (!whorl__timer_disarm(&handle->timer)) {
        whorl__seat_leave(&handle->seat);
        unref(handle); /* the timer's; the caller has one of his own */
    }
}

static void disarm(struct whorl_handle *handle)
{
    if (runs_on(whorl__loop_current(), handle->runtime_id)) {
        take_timer_out(handle);
        return;
    }
    struct whorl__runtime *const visited = whorl__roster_find(handle->runtime_id);
    if (visited != NULL) {
        take_timer_out(handle);
        whorl__roster_leave(visited);
    }
}

/* By a plain thread, which may wait. */
static void wait_until_ran(struct whorl_handle *handle)
{
    uint32_t state = whorl__load_acquire_u32(&handle->state); /* acquire, pairs Y1 */
    while ((state & ~AWAITED) == RUNNING) {
        if (state == RUNNING && !whorl__cas_value_u32(&handle->state, &state, RUNNING | AWAITED)) {
            continue;
        }
        (void)whorl__os->futex_wait(&handle->state, RUNNING | AWAITED, WHORL_NEVER);
        state = whorl__load_acquire_u32(&handle->state); /* acquire, pairs Y1 */
    }
}

bool whorl_handle_cancel(struct whorl_handle *handle)
{
    if (handle == NULL || is_inherited(handle)) {
        return false;
    }
    if (claim(handle, CANCELLED)) {
        if (handle->timed) {
            disarm(handle);
        }
        free_arg(handle);
        return true;
    }
    if (whorl__loop_current() == NULL) {
        wait_until_ran(handle);
    }
    return false;
}

bool whorl_handle_cancelled(const struct whorl_handle *handle)
{
    /* relaxed: orders nothing */
    return handle != NULL && (whorl__load_relaxed_u32(&handle->state) & ~LOOKED) == CANCELLED;
}

/* ---- its context ---- */

/* Whether it is the calling thread that runs it. */
static bool runs_here(const struct whorl_handle *handle)
{
    const struct whorl__loop *const here = whorl__loop_current();
    return here != NULL && here->context_at == &handle->context;
}

/* The state that it is to be given back by; RUNNING: somebody runs it. */
static uint32_t look(struct whorl_handle *handle)
{
    uint32_t state = whorl__load_relaxed_u32(&handle->state); /* relaxed: the cas checks it */
    while ((state & ~AWAITED) != RUNNING) {
        const uint32_t bare = state & ~LOOKED;
        if (state != bare) {
            whorl__pause();
            state = whorl__load_relaxed_u32(&handle->state); /* relaxed: as above */
        } else if (whorl__cas_value_u32(&handle->state, &state, bare | LOOKED)) { /* pairs Y3 */
            return bare;
        }
    }
    return RUNNING;
}

int whorl_handle_context(struct whorl_handle *handle, struct whorl_context **ret_context)
{
    if (handle == NULL || ret_context == NULL) {
        return -EINVAL;
    }
    if (is_inherited(handle)) {
        return -ECHILD;
    }
    if (runs_here(handle)) {
        return whorl__context_of_word(&handle->context, ret_context);
    }
    const uint32_t state = look(handle);
    if (state == RUNNING) {
        return -EBUSY;
    }
    const int error = whorl__context_of_word(&handle->context, ret_context);
    whorl__store_release_u32(&handle->state, state); /* release, pairs Y3 */
    return error;
}

/* ---- what is known of it ---- */

int64_t whorl_handle_when(const struct whorl_handle *handle)
{
    return handle != NULL ? handle->when_ns : 0;
}

void whorl_handle_unref(struct whorl_handle *handle)
{
    if (handle != NULL && !is_inherited(handle)) {
        unref(handle);
    }
}

/* ---- when a future is done ---- */

struct done {
    struct whorl__waiter waiter; /* first; a call once fired */
    struct whorl__seat seat;     /* C */
    uint64_t runtime_id;         /* C */
    struct whorl_future *future; /* C: with a reference once fired */
    whorl_done_callback *callback; /* C */
    void *arg;                   /* C */
    void *context;               /* as in struct whorl_handle */
};

static struct done *done_of(struct whorl__waiter *waiter)
{
    WHORL_ASSERT(waiter->kind == WHORL__WAITER_DONE);
    return whorl_container_of(waiter, struct done, waiter);
}

static void call_done(void *arg)
{
    const struct done *const done = arg;
    done->callback(done->future, done->arg);
}

static void free_done(struct done *done)
{
    whorl__context_release(done->context, NULL);
    whorl__os->free(done);
}

static void run_done(struct whorl__callback *self, bool over)
{
    struct done *const done = whorl_container_of(self, struct done, waiter.call);
    whorl__plain_read(&done->waiter.call);
    if (!over) {
        struct whorl__loop *const loop = sit_down(&done->seat);
        call_in(loop, (void *)(uintptr_t)done->callback, &done->context, call_done, done);
        stand_up(loop, &done->seat);
    } else {
        whorl__seat_pass(&done->seat, true);
    }
    whorl_future_unref(done->future);
    free_done(done);
}

/* Fired, and never to be called: it has no turn. */
static void drop_done(struct done *done)
{
    whorl__seat_leave(&done->seat);
    whorl_future_unref(done->future);
    free_done(done);
}

static void run_done_in_line(struct whorl__callback *self, bool over)
{
    struct done *const done = whorl_container_of(self, struct done, waiter.call);
    struct whorl__loop *const here = whorl__loop_current();
    whorl__plain_write(&done->waiter.call);
    if (over) {
        drop_done(done);
        return;
    }
    self->run = run_done;
    push(here, whorl__seat_loop(&done->seat, here), self);
}

/* The runtime is there. `here`: the calling thread's loop if it is one of that runtime. */
static void make_done_ready(struct done *done, struct whorl__loop *here)
{
    struct whorl__callback *const call = &done->waiter.call;
    call->run = run_done;
    if (whorl__seat_is_free(&done->seat, call, run_done_in_line)) {
        push(here, whorl__seat_loop(&done->seat, here), call);
    }
}

void whorl__done_callback_post(struct whorl__waiter *waiter)
{
    struct done *const done = done_of(waiter);
    struct whorl__loop *const here = whorl__loop_current();
    if (runs_on(here, done->runtime_id)) {
        make_done_ready(done, here);
        return;
    }
    struct whorl__runtime *const visited = whorl__roster_find(done->runtime_id);
    if (visited == NULL) {
        drop_done(done);
        return;
    }
    make_done_ready(done, NULL);
    whorl__roster_leave(visited);
}

void whorl__done_callback_free(struct whorl__waiter *waiter)
{
    whorl__seat_leave(&done_of(waiter)->seat);
    free_done(done_of(waiter));
}

/* The runtime is there: the caller runs in it, or is its guest. */
static int add_done(struct whorl_future *future, struct whorl__seat *seat,
                    struct whorl__strand *strand, whorl_done_callback *callback, void *arg)
{
    const int error = whorl__seat_take(seat, strand);
    if (error != 0) {
        return error;
    }
    struct done *const done = whorl__os->alloc(sizeof *done);
    if (done == NULL) {
        whorl__seat_leave(seat);
        return -ENOMEM;
    }
    *done = (struct done){
        .waiter.kind = WHORL__WAITER_DONE,
        .seat = *seat,
        .runtime_id = seat->loop->runtime->id,
        .future = future,
        .callback = callback,
        .arg = arg,
        .context = whorl__context_capture(),
    };
    if (!whorl__future_add_waiter(future, &done->waiter)) {
        (void)whorl_future_ref(future);
        whorl__done_callback_post(&done->waiter);
    }
    return 0;
}

int whorl__done_callback_add(struct whorl_future *future, struct whorl__loop *loop,
                             whorl_done_callback *callback, void *arg)
{
    return add_done(future, &(struct whorl__seat){.loop = loop}, NULL, callback, arg);
}

static int add_done_remote(struct whorl_task *task, whorl_done_callback *callback, void *arg)
{
    struct whorl__runtime *const runtime = task->runtime;
    int error = -ECANCELED;
    if (whorl__guest_enter(runtime)) {
        error = add_done(&task->future, &(struct whorl__seat){.loop = runtime->loops[0]},
                         whorl__strand_inherited(runtime, NULL), callback, arg);
    }
    whorl__guest_leave(runtime);
    return error;
}

int whorl_future_add_done_callback(struct whorl_future *future, whorl_done_callback *callback,
                                   void *arg)
{
    struct whorl__loop *const here = whorl__loop_here();
    if (future == NULL || callback == NULL) {
        return -EINVAL;
    }
    if (whorl__future_is_inherited(future)) {
        return -ECHILD;
    }
    if (here != NULL) {
        return add_done(future, &(struct whorl__seat){.loop = here},
                        whorl__strand_inherited(here->runtime, here), callback, arg);
    }
    if (whorl__loop_current() != NULL || future->kind != WHORL__FUTURE_TASK) {
        return whorl__error_outside();
    }
    return add_done_remote(whorl__task_of_future(future), callback, arg);
}

static bool is_same(const struct whorl__waiter *waiter, const void *sample)
{
    const struct done *const wanted = sample;
    if (waiter->kind != WHORL__WAITER_DONE) {
        return false;
    }
    const struct done *const done = whorl_container_of(waiter, const struct done, waiter);
    if (WHORL__BUG(CALLBACK_REMOVED_ONCE)) {
        return false;
    }
    return done->callback == wanted->callback && done->arg == wanted->arg;
}

int whorl_future_remove_done_callback(struct whorl_future *future, whorl_done_callback *callback,
                                      void *arg)
{
    const struct done sample = {.callback = callback, .arg = arg};
    struct whorl__list removed;
    struct whorl__list *link;
    int count = 0;
    if (future == NULL || whorl__future_is_inherited(future)) {
        return 0;
    }
    whorl__list_init(&removed);
    whorl__future_take_waiters(future, is_same, &sample, &removed);
    while ((link = whorl__list_pop_front(&removed)) != NULL) {
        whorl__done_callback_free(whorl_container_of(link, struct whorl__waiter, link));
        count++;
    }
    return count;
}
