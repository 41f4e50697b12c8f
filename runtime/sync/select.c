/*
 * select.c - standing in several lines at once, and going with the first that lets one in.
 *
 * A call has an arm for each case: a stander in the line of a queue, an event, a lock or a
 * semaphore; a waiter of a future; nothing for a time, of which the next one is the timer's. All
 * arms belong to one wait of the task (one handle), or to one word of a plain thread.
 *
 *            visit: it may not go on                        granted
 *      OUT -------------------------> STANDING [ in line ----------> reserved for it ]
 *       |                                |  ^                             |
 *       | visit: done                    |  +--- visit: taken by others --+
 *       v                                |                                | visit: done
 *     CHOSEN <---------------------------+--------------------------------+
 *                                        |
 *                                        +-- leave: what was reserved for it is for the next
 *
 * Nothing is done where a grant comes from, only here, by the caller, with the lock of one line at
 * a time: so exactly one arm is chosen, however many were let in meanwhile. The others leave, and
 * what they were granted goes on to who stands behind them, as if they had been cancelled.
 *
 *   losing order: the first grant decides   ours
 *   A: put: takes the item off, gives it     A: put: an item is reserved for our first arm
 *      to S, which is off all lines          B: release: the lock is reserved for our second
 *   S: is cancelled: has an item that        S: is cancelled: leaves both lines; item and lock
 *      nobody asked for any more                go to those behind it
 *
 * A round: a new handle; each arm is visited under its lock, and either done or left standing with
 * that handle; then the caller parks. Whatever is granted from the visit on finds the handle, and
 * the park returns at once. A thread clears its word before the round:
 *
 *   losing order                             ours
 *   S: visits: nothing                       S: clears the word
 *   A: put: S is granted; word := 1          S: visits: nothing
 *   S: clears the word, sleeps for ever      A: put: S is granted; word := 1
 *                                            S: does not sleep
 *
 * In a strict order those who stand in one line only are passed over once they were woken by
 * something else; an arm is not (`selects`): that its task was woken does not tell for which arm.
 *
 * Owns:       struct selection and its arms, on the caller's stack, or in one block if they are
 *             many.
 * Threads:    the caller.
 * Pairs:      K3 of line.h, F1 of future.c: as the calls that the cases stand for.
 * Not chosen: claiming the whole call by one cas where the grant is made, as Go does under all
 *             locks at once: a put would look into arms of other lines, and a reservation that the
 *             claim loses would have to be taken back there, by a thread that has other locks.
 */
#include "sync/select.h"

#include "sync/lock.h"
#include "sync/queue.h"

#include "sys/os.h"
#include "task/cancel.h"
#include "task/future.h"
#include "task/park.h"

#include "whorl.h"

#include <errno.h>

enum { NONE = -EAGAIN }; /* for a number of a case */

/* How one case waits. */
struct arm {
    struct whorl_select_case *given; /* C: the caller's */
    struct whorl__line_place place;  /* C: of a queue without primitive and rules */
    union {
        struct whorl__queue_use use; /* its stander, told and word: for every line */
        struct whorl__waiter waiter; /* of a future */
    };
    bool stands; /* its own: in line, or granted; or on the future's list */
};

struct selection {
    struct whorl_task *task; /* C: NULL: a thread, or a callback */
    struct whorl_select_case *cases;
    size_t count;
    struct arm *arms;
    uint16_t *order; /* in which they are visited */
    whorl__handle handle;
    uint32_t signal; /* A: futex: 1 once an arm was told something */
    bool timed;
    int64_t until_ns; /* the first of the times and the deadline */
    int late;         /* the case whose time that is; or -ETIMEDOUT */
    struct whorl__timer timer;
};

/* ---- lines ---- */

static int begin_queue(struct arm *arm)
{
    struct whorl_select_case *const given = arm->given;
    const int error = whorl__queue_use_begin(&arm->use, given->of,
                                             given->kind == WHORL_SELECT_GET, given->item);
    arm->place.line = whorl__queue_line(&arm->use, &arm->place.rank);
    return error;
}

static int begin_line(struct arm *arm)
{
    arm->use.told = (struct whorl__told){{0}};
    switch (arm->given->kind) {
    case WHORL_SELECT_EVENT:
        return whorl__event_place(arm->given->of, &arm->place);
    case WHORL_SELECT_LOCK:
        return whorl__lock_place(arm->given->of, &arm->place);
    case WHORL_SELECT_SEMAPHORE:
        return whorl__semaphore_place(arm->given->of, &arm->place);
    default:
        return begin_queue(arm);
    }
}

/* 0, -EAGAIN, or how it ends: not in line, or granted. */
static int try_line_locked(struct arm *arm)
{
    const struct whorl__line_rules *const rules = arm->place.rules;
    struct whorl__queue_use *const use = &arm->use;
    if (rules == NULL) {
        return whorl__queue_try_locked(use);
    }
    const bool has_it = arm->stands ? rules->take(arm->place.primitive, &use->word, &use->told)
                                    : rules->enter(arm->place.primitive, &use->word);
    return has_it ? 0 : -EAGAIN;
}

static void give_up_locked(struct arm *arm, bool granted)
{
    const struct whorl__line_rules *const rules = arm->place.rules;
    struct whorl__queue_use *const use = &arm->use;
    if (rules != NULL) {
        rules->give_up(arm->place.primitive, &use->word, granted, &use->told);
    } else if (granted) {
        whorl__queue_pass_on_locked(use);
    }
}

static void leave_locked(struct arm *arm, bool with_it)
{
    const bool granted = arm->use.stander.granted;
    whorl__line_leave(arm->place.line, &arm->use.word, &arm->use.stander);
    arm->stands = false;
    if (!with_it) {
        give_up_locked(arm, granted);
    }
}

static void stand_locked(struct selection *selection, struct arm *arm)
{
    struct whorl__stander *const stander = &arm->use.stander;
    if (arm->stands) {
        stander->handle = selection->handle;
        if (stander->granted) {
            whorl__line_stand_again(stander);
        }
        return;
    }
    *stander = (struct whorl__stander){.task = selection->task,
                                       .signal = &selection->signal,
                                       .selects = true,
                                       .fresh = selection->handle};
    whorl__line_stand(arm->place.line, &arm->use.word, arm->place.rank, stander);
    arm->stands = true;
}

static void lock_line(struct arm *arm)
{
    arm->use.word = whorl__line_lock(arm->place.line);
}

static void unlock_line(struct arm *arm)
{
    whorl__line_unlock(arm->place.line, arm->use.word);
    whorl__tell(&arm->use.told);
}

/* What came of it is kept where the caller looks for it. */
static int done_with_line(struct arm *arm, int error)
{
    arm->given->error = error;
    if (error == 0 && arm->given->kind == WHORL_SELECT_GET) {
        arm->given->item = arm->use.item;
    } else if (error == 0 && arm->given->kind == WHORL_SELECT_LOCK) {
        whorl__lock_set_owner(arm->given->of);
    }
    return 0;
}

/* 0: it is the one; -EAGAIN: it stands, if `waits`. */
static int visit_line(struct selection *selection, struct arm *arm, bool waits)
{
    lock_line(arm);
    const bool may_go = !arm->stands || arm->use.stander.granted;
    const int error = may_go ? try_line_locked(arm) : -EAGAIN;
    if (error != -EAGAIN && arm->stands) {
        leave_locked(arm, error == 0);
    } else if (error == -EAGAIN && waits) {
        stand_locked(selection, arm);
    }
    unlock_line(arm);
    return error == -EAGAIN ? error : done_with_line(arm, error);
}

static void leave_line(struct arm *arm)
{
    lock_line(arm);
    leave_locked(arm, false);
    unlock_line(arm);
}

/* ---- futures ---- */

static int begin_future(const struct selection *selection, const struct whorl_future *future)
{
    if (whorl__future_is_done(future)) {
        return 0;
    }
    if (whorl__future_is_inherited(future)) {
        return -ECHILD;
    }
    return selection->task != NULL && future == &selection->task->future ? -EDEADLK : 0;
}

/* From its end on nobody touches the waiter. */
static void leave_future(struct arm *arm)
{
    (void)whorl__future_call_off(arm->given->of, &arm->waiter);
    whorl__plain_write(&arm->waiter.link); /* the frame goes: who still looks at it races */
    arm->stands = false;
}

static bool stand_at_future(struct selection *selection, struct arm *arm)
{
    if (arm->stands) {
        leave_future(arm);
    }
    if (selection->task != NULL) {
        arm->waiter = (struct whorl__waiter){.kind = WHORL__WAITER_TASK,
                                             .task = selection->task,
                                             .handle = selection->handle};
    } else {
        arm->waiter =
            (struct whorl__waiter){.kind = WHORL__WAITER_SELECT, .signal = &selection->signal};
    }
    arm->stands = whorl__future_add_waiter(arm->given->of, &arm->waiter);
    return arm->stands;
}

static int visit_future(struct selection *selection, struct arm *arm, bool waits)
{
    const bool done = whorl__future_is_done(arm->given->of) ||
                      (waits && !stand_at_future(selection, arm));
    if (done) {
        arm->given->error = 0;
    }
    return done ? 0 : -EAGAIN;
}

/* ---- times ---- */

/* The next one of them is the timer's; only one that is over at the beginning is found here. */
static int visit_time(struct arm *arm, bool waits)
{
    if (waits || arm->given->time_ns > whorl_now()) {
        return -EAGAIN;
    }
    arm->given->error = 0;
    return 0;
}

static void find_end(struct selection *selection, int64_t deadline_ns)
{
    selection->until_ns = deadline_ns;
    selection->late = -ETIMEDOUT;
    for (size_t i = 0; i < selection->count; i++) {
        const struct whorl_select_case *const given = &selection->cases[i];
        if (given->kind == WHORL_SELECT_TIME &&
            (given->time_ns < selection->until_ns ||
             (selection->late < 0 && given->time_ns == selection->until_ns))) {
            selection->until_ns = given->time_ns;
            selection->late = (int)i;
        }
    }
    selection->timed = selection->until_ns != WHORL_NEVER;
}

/* ---- all arms ---- */

static int begin_arm(const struct selection *selection, struct arm *arm)
{
    const struct whorl_select_case *const given = arm->given;
    arm->place = (struct whorl__line_place){NULL, NULL, NULL, NULL};
    arm->stands = false;
    if (given->kind == WHORL_SELECT_NEVER || given->kind == WHORL_SELECT_TIME) {
        return 0;
    }
    if (given->kind > WHORL_SELECT_SEMAPHORE || given->of == NULL) {
        return -EINVAL;
    }
    return given->kind == WHORL_SELECT_DONE ? begin_future(selection, given->of)
                                            : begin_line(arm);
}

static int begin_arms(struct selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        struct arm *const arm = &selection->arms[i];
        arm->given = &selection->cases[i];
        const int error = begin_arm(selection, arm);
        if (error != 0) {
            arm->given->error = error;
            return error;
        }
    }
    return 0;
}

/* By lot; in a strict order as they come. */
static void draw_order(struct selection *selection)
{
    struct whorl__loop *const here = whorl__loop_current();
    struct whorl__random own;
    if (here == NULL) {
        whorl__random_init(&own, (uint64_t)whorl_now());
    }
    struct whorl__random *const random = here != NULL ? &here->random : &own;
    for (size_t i = 0; i < selection->count; i++) {
        const bool strict = here != NULL && here->strict;
        const size_t other = strict ? i : whorl__random_below(random, (uint32_t)i + 1);
        selection->order[i] = selection->order[other];
        selection->order[other] = (uint16_t)i;
    }
}

static int visit(struct selection *selection, struct arm *arm, bool waits)
{
    switch (arm->given->kind) {
    case WHORL_SELECT_NEVER:
        return -EAGAIN;
    case WHORL_SELECT_TIME:
        return visit_time(arm, waits);
    case WHORL_SELECT_DONE:
        return visit_future(selection, arm, waits);
    default:
        return visit_line(selection, arm, waits);
    }
}

/* The number of the case that was done; NONE: all stand, if `waits`. */
static int visit_all(struct selection *selection, bool waits)
{
    for (size_t i = 0; i < selection->count; i++) {
        const unsigned number = selection->order[i];
        if (visit(selection, &selection->arms[number], waits) == 0) {
            return (int)number;
        }
    }
    return NONE;
}

static void leave_all(struct selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        struct arm *const arm = &selection->arms[i];
        if (!arm->stands) {
            continue;
        }
        if (arm->given->kind == WHORL_SELECT_DONE) {
            leave_future(arm);
        } else {
            leave_line(arm);
        }
    }
}

/* ---- waiting ---- */

static int begin_wait(struct selection *selection)
{
    if (selection->task == NULL) {
        whorl__store_relaxed_u32(&selection->signal, 0); /* relaxed: locks follow, drawn above */
        return 0;
    }
    selection->handle = whorl__park_begin(selection->task);
    return selection->timed ? whorl__park_timer(selection->task, &selection->timer,
                                                selection->handle, selection->until_ns)
                            : 0;
}

/* True: its time was over. */
static bool end_wait(struct selection *selection)
{
    return selection->task != NULL && selection->timed &&
           whorl__timer_disarm(&selection->timer);
}

/* 0: it may have been told something; -ETIMEDOUT. */
static int sleep_in_thread(struct selection *selection)
{
    /* relaxed: what it is told stands under the locks */
    while (whorl__load_relaxed_u32(&selection->signal) == 0) {
        if (whorl__os->futex_wait(&selection->signal, 0, selection->until_ns) == -ETIMEDOUT) {
            return -ETIMEDOUT;
        }
    }
    return 0;
}

/* As that; -ECANCELED. */
static int sleep_until_told(struct selection *selection)
{
    if (selection->task == NULL) {
        return sleep_in_thread(selection);
    }
    whorl__park(selection->task, whorl__park_on_sync(selection->cases, WHORL__SYNC_SELECT) |
                                     (selection->timed ? WHORL__PARK_TIMED : 0));
    const bool late = end_wait(selection);
    return whorl__cancel_take(selection->task) ? -ECANCELED : late ? -ETIMEDOUT : 0;
}

/* Who is late looks once more: what it was granted until then is taken. */
static int look_when_late(struct selection *selection)
{
    const int chosen = visit_all(selection, true);
    if (chosen == NONE && selection->late >= 0) {
        selection->cases[selection->late].error = 0;
    }
    return chosen == NONE ? selection->late : chosen;
}

static int wait_for_one(struct selection *selection)
{
    int chosen = NONE;
    int error = 0;
    while (chosen == NONE && error == 0) {
        error = begin_wait(selection);
        if (error != 0) {
            break;
        }
        chosen = visit_all(selection, true);
        if (chosen == NONE) {
            error = sleep_until_told(selection);
        } else {
            (void)end_wait(selection);
        }
    }
    if (error == -ETIMEDOUT) {
        chosen = look_when_late(selection);
    }
    leave_all(selection);
    return chosen == NONE ? error : chosen;
}

/* ---- one call ---- */

/* Whether a wait could ever end. */
static bool has_an_end(const struct selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        const uint32_t kind = selection->cases[i].kind;
        if (kind != WHORL_SELECT_NEVER && kind != WHORL_SELECT_TIME) {
            return true;
        }
    }
    return selection->timed;
}

static int run(struct selection *selection, bool waits)
{
    const int error = begin_arms(selection);
    if (error != 0) {
        return error;
    }
    draw_order(selection);
    const int chosen = visit_all(selection, false);
    if (chosen != NONE || !waits) {
        return chosen;
    }
    if (!has_an_end(selection)) {
        return -EINVAL;
    }
    if (selection->task == NULL && whorl__loop_current() != NULL) {
        return -EPERM;
    }
    return wait_for_one(selection);
}

static WHORL_NOINLINE int run_small(struct selection *selection, bool waits)
{
    struct arm arms[WHORL_SELECT_SMALL];
    uint16_t order[WHORL_SELECT_SMALL];
    selection->arms = arms;
    selection->order = order;
    return run(selection, waits);
}

static int run_big(struct selection *selection, bool waits)
{
    const size_t arms_bytes = selection->count * sizeof *selection->arms;
    selection->arms = whorl__os->alloc(arms_bytes + selection->count * sizeof *selection->order);
    if (selection->arms == NULL) {
        return -ENOMEM;
    }
    selection->order = (uint16_t *)(void *)((char *)selection->arms + arms_bytes);
    const int result = run(selection, waits);
    whorl__os->free(selection->arms);
    return result;
}

static int begin(struct whorl_select_case *cases, size_t count, int64_t deadline_ns, bool waits)
{
    if ((cases == NULL && count > 0) || count > WHORL_SELECT_MAX) {
        return -EINVAL;
    }
    struct selection selection = {.task = whorl__task_current(), .cases = cases, .count = count};
    find_end(&selection, deadline_ns);
    return count <= WHORL_SELECT_SMALL ? run_small(&selection, waits)
                                       : run_big(&selection, waits);
}

int whorl_select_until(struct whorl_select_case *cases, size_t count, int64_t deadline_ns)
{
    const int error = whorl__spend_sync();
    return error != 0 ? error : begin(cases, count, deadline_ns, true);
}

int whorl_select(struct whorl_select_case *cases, size_t count)
{
    return whorl_select_until(cases, count, WHORL_NEVER);
}

int whorl_select_try(struct whorl_select_case *cases, size_t count)
{
    return begin(cases, count, WHORL_NEVER, false);
}
