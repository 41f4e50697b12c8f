/*
 * test_shutdown.c - the end of a runtime: everybody leaves, nothing is touched after it was freed.
 *
 * Each model is a whole whorl_run, start to end, with foreign threads beside it: the caller is
 * thread 0, the loops are the threads that the library starts. The guarantees are those of
 * end.c and sched/submit.c: a task that was begun is waited for (E1); a spawn from a foreign
 * thread is either refused or counted before the runtime looks (E2); a foreign thread that is
 * inside a call keeps the runtime's memory (B1); every loop leaves after stop; a task that somebody
 * still refers to keeps its slot, and the last reference frees it. The checker sees a use after
 * free, a leak, and a thread that never leaves.
 *
 * Able to fail, each of these alone:
 *   runner.c        life stored without release, or read without acquire (E3)
 *   end.c           the fence of runtime_end away (E2), the load of guests relaxed (B1), the load
 *                   of ended relaxed (E1)
 *   sched/worker.c  the store of ended relaxed (E1)
 *   sched/submit.c  the fence of guest_enter away (E2), the add of guest_leave without release (B1)
 */
#include "model/kernel.h"
#include "model/machine.h"
#include "model/model.h"

#include "sched/roster.h"
#include "task/park.h"
#include "whorl.h"

#include <errno.h>
#include <stdio.h>

#define STEPS_MAX 40000

struct house {
    struct kernel kernel;
    struct whorl_runtime *runtime; /* the handle, where there is one */
    struct whorl_task *door;       /* a task of the runtime, with a reference for who is outside */
    struct whorl_future *letter;   /* what the main task awaits */
    uint32_t gate;                 /* A: the program's own way to hand door or letter over */
    bool open;                     /* door, or letter, is there */
    bool over;                     /* there will be none */
    int result;                    /* whorl_run's */
    int child;                     /* how the child's sleep ended */
    unsigned told;                 /* what the exception handler was told, plain: it is over */
    unsigned spawned;              /* by foreign threads, with success */
    unsigned ended;                /* of those: their arguments were freed */
};

/* The program's own, which whorl_run gives back to it when it returns. */
static int take_report(void *arg, const struct whorl_report *report)
{
    struct house **const house = arg;
    (void)report;
    whorl__plain_write(&(*house)->told);
    (*house)->told++;
    return 0;
}

static struct house *told_house;

static const struct whorl_options options = {
    .exception_handler = take_report,
    .exception_handler_arg = &told_house,
    .loops = 2,
    .mode = WHORL_MODE_STEALING,
    .stack_bytes = WHORL_STACK_LEAST,
    .stall_ns = WHORL_NEVER,
    .report_ns = WHORL_NEVER,
    .no_pin = 1,
};

static void set_up(void *state)
{
    struct house *const house = state;
    told_house = house;
    kernel_begin(&house->kernel);
    machine_begin();
    whorl__roster_clear(); /* an execution that failed has left its runtime on the list */
    house->kernel.threads_max = 2;
}

static bool door_is_open(void *arg)
{
    const struct house *const house = arg;
    return house->open || house->over;
}

static void open_gate(struct house *house)
{
    (void)whorl__add_u32(&house->gate, 1); /* release half, pairs pass_gate */
    house->open = true;
}

static bool pass_gate(struct house *house)
{
    model_block_until(door_is_open, house);
    (void)whorl__add_u32(&house->gate, 1); /* acquire half, pairs open_gate */
    return house->open;
}

static void run(struct house *house, whorl_body *body)
{
    house->result = whorl_run(body, house, &options);
    whorl__plain_write(&house->told);
    house->over = true;
    kernel_no_more_threads();
}

/* Thread 0 runs it, 1 and 2 are its loops, the others are foreign. */
static void play(struct house *house, unsigned thread, whorl_body *body,
                 void (*foreign)(struct house *))
{
    if (thread == 0) {
        run(house, body);
    } else if (thread <= 2) {
        kernel_run_thread(thread);
    } else if (pass_gate(house)) {
        foreign(house);
    }
}

/* ---- a child that would sleep for ever ---- */

static int sleep_for_ever(void *arg)
{
    struct house *const house = arg;
    house->child = whorl_sleep_until(WHORL_NEVER);
    return house->child;
}

static int leave_child_behind(void *arg)
{
    return whorl_spawn(sleep_for_ever, arg, NULL, NULL);
}

static void child_body(void *state, unsigned thread)
{
    play(state, thread, leave_child_behind, NULL);
}

/* The child ends at once and leaves one of its own: who sees its end must see what it began. That
 * one is bound to the same loop, so nothing is published on the way that has a fence. */
static int leave_bound_child_behind(void *arg)
{
    const struct whorl_attr attr = {.pin = whorl_loop_current() + 1};
    return whorl_spawn(sleep_for_ever, arg, &attr, NULL);
}

static int leave_grandchild_behind(void *arg)
{
    return whorl_spawn(leave_bound_child_behind, arg, NULL, NULL);
}

static void grandchild_body(void *state, unsigned thread)
{
    play(state, thread, leave_grandchild_behind, NULL);
}

static void child_was_told(void *state)
{
    struct house *const house = state;
    MODEL_CHECK(house->result == 0);
    MODEL_CHECK(house->child == 0 || house->child == -ECANCELED); /* 0: it never began */
    kernel_end(&house->kernel);
}

/* ---- a foreign thread spawns into the end ---- */

static int open_door(void *arg)
{
    struct house *const house = arg;
    house->door = whorl_task_ref(whorl_task_current());
    open_gate(house);
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* A task's argument is freed as it ends, even if it was cancelled before its first step. */
static void count_end(void *arg)
{
    struct house *const house = arg;
    house->ended++;
}

static void visit(struct house *house)
{
    const struct whorl_attr attr = {.arg_free = count_end};
    const int error = whorl_spawn_remote(house->door, nothing, house, &attr, NULL);
    MODEL_CHECK(error == 0 || error == -ECANCELED);
    house->spawned += error == 0;
    whorl_task_unref(house->door);
}

static void visit_body(void *state, unsigned thread)
{
    play(state, thread, open_door, visit);
}

static void visited(void *state)
{
    struct house *const house = state;
    MODEL_CHECK(house->result == 0);
    MODEL_CHECK(house->ended == house->spawned);
    kernel_end(&house->kernel);
}

/* ---- a foreign thread wakes the last task ---- */

static int await_letter(void *arg)
{
    struct house *const house = arg;
    if (whorl_future_new(&house->letter) != 0) {
        return -ENOMEM;
    }
    (void)whorl_future_ref(house->letter);
    open_gate(house);
    const int error = whorl_future_await(house->letter, NULL);
    whorl_future_unref(house->letter);
    return error;
}

static void send_letter(struct house *house)
{
    MODEL_CHECK(whorl_future_set_result(house->letter, NULL) == 0);
    whorl_future_unref(house->letter);
}

static void letter_body(void *state, unsigned thread)
{
    play(state, thread, await_letter, send_letter);
}

static void letter_came(void *state)
{
    struct house *const house = state;
    MODEL_CHECK(house->result == 0);
    kernel_end(&house->kernel);
}

/* ---- a foreign thread wakes a task that is left over ---- */

/* The end has waited for guests by then, and looks once more before it frees what they use. */
static int await_letter_at_last(void *arg)
{
    struct house *const house = arg;
    house->child = whorl_sleep_until(WHORL_NEVER);
    return await_letter(house);
}

static int leave_reader_behind(void *arg)
{
    return whorl_spawn(await_letter_at_last, arg, NULL, NULL);
}

/* The reader may have been asked to end once more, and the letter with him. */
static void send_late_letter(struct house *house)
{
    (void)whorl_future_set_result(house->letter, NULL);
    whorl_future_unref(house->letter);
}

static void late_letter_body(void *state, unsigned thread)
{
    play(state, thread, leave_reader_behind, send_late_letter);
}

/* ---- a reference outlives the runtime ---- */

static void drop_reference(struct house *house)
{
    MODEL_CHECK(!whorl_task_cancelled(house->door));
    whorl_task_unref(house->door);
}

static void reference_body(void *state, unsigned thread)
{
    play(state, thread, open_door, drop_reference);
}

/* ---- a foreign thread lists all tasks, before, at or after the end ---- */

static void list_tasks(struct house *house)
{
    struct whorl_task **tasks;
    size_t count;
    MODEL_CHECK(whorl_all_tasks(house->door, &tasks, &count) == 0);
    MODEL_CHECK(count <= 2);
    whorl_task_unref(house->door);
    for (size_t i = 0; i < count; i++) {
        (void)whorl_task_done(tasks[i]); /* its slot is there, also when the runtime is not */
    }
    whorl_all_tasks_free(tasks, count);
}

static int open_door_and_leave_child(void *arg)
{
    (void)open_door(arg);
    return leave_child_behind(arg);
}

static void list_body(void *state, unsigned thread)
{
    play(state, thread, open_door_and_leave_child, list_tasks);
}

/* ---- the last reference to a failed task, before, at or after the end ---- */

static FILE *standard_error;

/* What comes too late for the handler goes there. */
static void set_up_silent(void *state)
{
    static FILE *nowhere;
    nowhere = nowhere != NULL ? nowhere : fopen("/dev/null", "w");
    standard_error = stderr;
    stderr = nowhere;
    set_up(state);
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

/* Nobody looks at its error: neither the main task, nor who is outside. */
static int hand_out_failing_child(void *arg)
{
    struct house *const house = arg;
    const int error = whorl_spawn(fail, NULL, NULL, &house->door);
    open_gate(house);
    return error;
}

static void drop_unseen(struct house *house)
{
    whorl_task_unref(house->door);
}

static void unseen_body(void *state, unsigned thread)
{
    play(state, thread, hand_out_failing_child, drop_unseen);
}

static void unseen_was_told(void *state)
{
    struct house *const house = state;
    stderr = standard_error;
    MODEL_CHECK(house->result == 0);
    MODEL_CHECK(house->told <= 1);
    kernel_end(&house->kernel);
}

/* ---- somebody looks in from outside ---- */

/* As a dump does, while the runtime begins, runs or ends. Once: a second walk would order the first
 * visit as well. */
static void look_in(void)
{
    struct whorl__runtime *const runtime = whorl__roster_next(NULL);
    if (runtime != NULL) {
        whorl__plain_read(&runtime->loops);
        (void)whorl__load_relaxed_u32(&runtime->ending); /* relaxed: that it is there at all */
        whorl__roster_leave(runtime);
    }
}

static void visitor_body(void *state, unsigned thread)
{
    if (thread == 3) {
        look_in();
    } else {
        play(state, thread, leave_child_behind, NULL);
    }
}

/* ---- closed by two at once ---- */

static int leave_child_and_open(void *arg)
{
    const int error = leave_child_behind(arg);
    open_gate(arg);
    return error;
}

static void run_several(struct house *house)
{
    MODEL_CHECK(whorl_runtime_new(&options, &house->runtime) == 0);
    const int error = whorl_runtime_run(house->runtime, leave_child_and_open, house);
    MODEL_CHECK(error == 0 || error == -ECANCELED); /* it may be closed while main still runs */
    MODEL_CHECK(whorl_runtime_close(house->runtime) == 0);
    house->over = true;
    kernel_no_more_threads();
}

/* It is closed when this returns, whoever did it: nothing of it is there, and nothing comes in. */
static void close_too(struct house *house)
{
    MODEL_CHECK(whorl_runtime_close(house->runtime) == 0);
    MODEL_CHECK(whorl_runtime_run(house->runtime, nothing, NULL) == -ESHUTDOWN);
}

static void close_body(void *state, unsigned thread)
{
    if (thread == 0) {
        run_several(state);
    } else {
        play(state, thread, NULL, close_too);
    }
}

static void closed(void *state)
{
    struct house *const house = state;
    MODEL_CHECK(whorl_runtime_free(house->runtime) == 0);
    child_was_told(house);
}

/* ---- a start that fails half-way ---- */

static void set_up_failing(void *state)
{
    struct house *const house = state;
    set_up(house);
    house->kernel.threads_max = 1;
}

static void failing_body(void *state, unsigned thread)
{
    play(state, thread, nothing, NULL);
}

static void refused(void *state)
{
    struct house *const house = state;
    MODEL_CHECK(house->result == -EAGAIN);
    kernel_end(&house->kernel);
}

#define HOUSE(SETUP, BODY, FINISH)                                                                 \
    .state_bytes = sizeof(struct house), .setup = (SETUP), .body = (BODY), .finish = (FINISH),     \
    .steps_max = STEPS_MAX

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "shutdown/child-asleep", .threads = 3, .schedules = 4000,
         .about = "the main task ends; its child, asleep or not begun, is cancelled and waited for",
         HOUSE(set_up, child_body, child_was_told)},
        {.name = "shutdown/grandchild", .threads = 3, .schedules = 4000,
         .about = "a child ends and leaves one of its own: that one is waited for as well (E1)",
         HOUSE(set_up, grandchild_body, child_was_told)},
        {.name = "shutdown/foreign-spawn", .threads = 4, .schedules = 4000,
         .about = "a foreign thread spawns while the runtime ends: refused, or waited for (E1, E2)",
         HOUSE(set_up, visit_body, visited)},
        {.name = "shutdown/foreign-wakes-last", .threads = 4, .schedules = 4000,
         .about = "a foreign thread completes what the last task awaits, and is inside still (B1)",
         HOUSE(set_up, letter_body, letter_came)},
        {.name = "shutdown/foreign-wakes-leftover", .threads = 4, .schedules = 4000,
         .about = "the same, of a task that the end has cancelled (B1)",
         HOUSE(set_up, late_letter_body, child_was_told)},
        {.name = "shutdown/reference-outlives", .threads = 4, .schedules = 4000,
         .about = "the last reference to a task goes before, at, or after the runtime's end",
         HOUSE(set_up, reference_body, letter_came)},
        {.name = "shutdown/list-outlives", .threads = 4, .schedules = 4000,
         .about = "all tasks are listed while the runtime ends: what is on the list is kept",
         HOUSE(set_up, list_body, child_was_told)},
        {.name = "shutdown/unseen-outlives", .threads = 4, .schedules = 4000,
         .about = "a failed task is let go of as the runtime ends: told inside it (E2, B1)",
         HOUSE(set_up_silent, unseen_body, unseen_was_told)},
        {.name = "shutdown/visitor", .threads = 4, .schedules = 4000,
         .about = "a dump walks the list of runtimes while one begins and ends (V1, V2, V3)",
         HOUSE(set_up, visitor_body, child_was_told)},
        {.name = "shutdown/closed-twice", .threads = 4, .schedules = 4000,
         .about = "two threads close one runtime: each returns when it is closed (E3)",
         HOUSE(set_up, close_body, closed)},
        {.name = "shutdown/start-fails", .threads = 3, .schedules = 2000,
         .about = "the second loop cannot be started: the first leaves, nothing is left",
         HOUSE(set_up_failing, failing_body, refused)},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
