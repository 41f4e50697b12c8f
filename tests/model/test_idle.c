/*
 * test_idle.c - which loops search, which sleep, whom to wake: no wake-up is lost.
 *
 * The guarantee is the invariant of sched/idle.c: work that may be stolen, nobody searching,
 * somebody asleep => a wake-up is under way; and P1 of loop/loop.c for what only one loop may run.
 * Every worker is the real one. In each model a task or a thread makes work and then holds its
 * loop, or waits, until somebody else has run it: nothing else comes, so a wake-up that is lost
 * leaves all threads blocked, which is a failure.
 *
 * Able to fail, each of these alone:
 *   sched/idle.c    the fence of notify away, the fence of sleep_begin away (I1)
 *   sched/worker.c  the fence of stop_searching away (I1): idle/diversion
 *   loop/loop.c     the fence of post away (P1)
 */
#include "model/model.h"
#include "model/stage.h"

struct idle {
    struct stage stage;
    struct whorl_task *tasks[5]; /* what the bodies talk about, by model */
    unsigned left;               /* bodies that have ended */
    unsigned parties;            /* that have come to where all must come */
    unsigned parties_wanted;
};

static bool all_came(void *arg)
{
    const struct idle *const idle = arg;
    return idle->parties >= idle->parties_wanted;
}

/* ---- bodies: the last one to end stops all ---- */

static int leave(struct idle *idle)
{
    if (++idle->left == idle->stage.task_count) {
        stage_stop(&idle->stage);
    }
    return 0;
}

static int just_run(void *arg)
{
    return leave(arg);
}

/* Holds its loop until as many as wanted hold theirs: each needs a loop of its own. */
static int meet(void *arg)
{
    struct idle *const idle = arg;
    idle->parties++;
    model_block_until(all_came, idle);
    return leave(idle);
}

/* Makes one task and holds its loop until another has come for it. */
static int spawn_and_hold(void *arg)
{
    struct idle *const idle = arg;
    stage_submit_new(&idle->stage, idle->tasks[1]);
    stage_wait_ran(&idle->stage, idle->tasks[1]);
    return leave(idle);
}

/* Makes two: the first to be woken has to wake the second. */
static int spawn_two_and_meet(void *arg)
{
    struct idle *const idle = arg;
    stage_submit_new(&idle->stage, idle->tasks[1]);
    stage_submit_new(&idle->stage, idle->tasks[2]);
    return meet(idle);
}

/* Wakes two: the second displaces the first from the hot slot, which is then anyone's. */
static int wake_two_and_hold(void *arg)
{
    struct idle *const idle = arg;
    stage_submit(&idle->stage, idle->tasks[1]);
    stage_submit(&idle->stage, idle->tasks[2]);
    stage_wait_ran(&idle->stage, idle->tasks[1]);
    return leave(idle);
}

/* More than the ring of 4 holds: the older half goes to the shared queue. */
static int spawn_four_and_hold(void *arg)
{
    struct idle *const idle = arg;
    for (int i = 1; i <= 4; i++) {
        stage_submit_new(&idle->stage, idle->tasks[i]);
    }
    for (int i = 1; i <= 4; i++) {
        stage_wait_ran(&idle->stage, idle->tasks[i]);
    }
    return leave(idle);
}

/* Holds the loop that was woken to search, by a task of its own, until the child was fetched. */
static int hold_until_child(void *arg)
{
    struct idle *const idle = arg;
    stage_wait_ran(&idle->stage, idle->tasks[1]);
    return leave(idle);
}

static int divert_and_hold(void *arg)
{
    struct idle *const idle = arg;
    stage_submit(&idle->stage, idle->tasks[2]); /* pinned to loop 1 */
    return spawn_and_hold(idle);
}

/* ---- a holder and thieves ---- */

static void set_up_holder(struct idle *idle, unsigned loops, whorl_body *holder, whorl_body *child,
                          int children)
{
    stage_begin(&idle->stage, loops, STAGE_STEALING);
    idle->tasks[0] = stage_add_ready(&idle->stage, 0, holder, idle);
    for (int i = 1; i <= children; i++) {
        idle->tasks[i] = stage_add(&idle->stage, child, idle);
    }
    idle->parties_wanted = (unsigned)children + 1;
}

static void set_up_spawn(void *state)
{
    set_up_holder(state, 2, spawn_and_hold, just_run, 1);
}

static void set_up_spawn_three_loops(void *state)
{
    set_up_holder(state, 3, spawn_and_hold, just_run, 1);
}

static void set_up_chain(void *state)
{
    set_up_holder(state, 3, spawn_two_and_meet, meet, 2);
}

static void set_up_hot(void *state)
{
    set_up_holder(state, 2, wake_two_and_hold, just_run, 2);
}

static void set_up_hot_three_loops(void *state)
{
    set_up_holder(state, 3, wake_two_and_hold, just_run, 2);
}

static void set_up_overflow(void *state)
{
    set_up_holder(state, 2, spawn_four_and_hold, just_run, 4);
}

static void set_up_diversion(void *state)
{
    struct idle *const idle = state;
    set_up_holder(idle, 3, divert_and_hold, just_run, 1);
    idle->tasks[2] = stage_add(&idle->stage, hold_until_child, idle);
    idle->tasks[2]->pin = 2;
}

static void work(void *state, unsigned thread)
{
    struct idle *const idle = state;
    stage_work(&idle->stage, thread);
}

/* ---- a foreign thread ---- */

static void set_up_shared(void *state)
{
    struct idle *const idle = state;
    stage_begin(&idle->stage, 2, STAGE_STEALING);
    idle->tasks[0] = stage_add(&idle->stage, just_run, idle);
}

static void set_up_shared_two(void *state)
{
    struct idle *const idle = state;
    stage_begin(&idle->stage, 2, STAGE_STEALING);
    idle->tasks[0] = stage_add(&idle->stage, meet, idle);
    idle->tasks[1] = stage_add(&idle->stage, meet, idle);
    idle->parties_wanted = 2;
}

static void set_up_inbox(void *state)
{
    struct idle *const idle = state;
    stage_begin(&idle->stage, 2, STAGE_STEALING);
    idle->tasks[0] = stage_add(&idle->stage, just_run, idle);
    idle->tasks[0]->pin = 2;
}

static void set_up_strict_inbox(void *state)
{
    struct idle *const idle = state;
    stage_begin(&idle->stage, 1, STAGE_STRICT);
    idle->tasks[0] = stage_add(&idle->stage, just_run, idle);
    idle->tasks[1] = stage_add(&idle->stage, just_run, idle);
}

static void submit_all(struct idle *idle)
{
    for (int i = 0; i < 2 && idle->tasks[i] != NULL; i++) {
        stage_submit(&idle->stage, idle->tasks[i]);
    }
}

static void work_or_submit(void *state, unsigned thread)
{
    struct idle *const idle = state;
    if (thread < idle->stage.runtime.loop_count) {
        stage_work(&idle->stage, thread);
    } else {
        submit_all(idle);
    }
}

/* Two foreign threads: of the two pushes one finds the inbox empty, and wakes. */
static void work_or_post(void *state, unsigned thread)
{
    struct idle *const idle = state;
    if (thread == 0) {
        stage_work(&idle->stage, 0);
    } else {
        stage_submit(&idle->stage, idle->tasks[thread - 1]);
    }
}

/* ---- the end of each ---- */

static void finish(void *state)
{
    struct idle *const idle = state;
    for (unsigned i = 0; i < idle->stage.task_count; i++) {
        MODEL_CHECK(idle->stage.ran[i]);
    }
    stage_end(&idle->stage);
}

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "idle/spawn-and-hold",
         .about = "a loop makes a task and stays busy; the other, going to sleep, comes for it",
         .threads = 2, .state_bytes = sizeof(struct idle), .setup = set_up_spawn, .body = work,
         .finish = finish, .preemptions = 2, .schedules = 2000},
        {.name = "idle/spawn-and-hold-three",
         .about = "the same among three loops, two of which may go to sleep",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_spawn_three_loops,
         .body = work, .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/chain",
         .about = "two tasks that need a loop each: who was woken wakes the next",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_chain, .body = work,
         .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/hot-slot",
         .about = "what the hot slot gives up is offered to those who sleep",
         .threads = 2, .state_bytes = sizeof(struct idle), .setup = set_up_hot, .body = work,
         .finish = finish, .preemptions = 2, .schedules = 2000},
        {.name = "idle/hot-slot-three",
         .about = "two loops that search look into the hot slot as well, and see its task whole",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_hot_three_loops,
         .body = work, .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/overflow",
         .about = "a ring that is full: its older half is found in the shared queue",
         .threads = 2, .state_bytes = sizeof(struct idle), .setup = set_up_overflow, .body = work,
         .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/diversion",
         .about = "a loop woken to search has a task of its own first, and wakes the third",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_diversion, .body = work,
         .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/foreign",
         .about = "a foreign thread's task in the shared queue, while both loops go to sleep",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_shared,
         .body = work_or_submit, .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/foreign-two",
         .about = "two of them, which need a loop each",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_shared_two,
         .body = work_or_submit, .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/pinned",
         .about = "a task for one loop alone, in its inbox while it goes to sleep (P1)",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_inbox,
         .body = work_or_submit, .finish = finish, .preemptions = 1, .schedules = 2000},
        {.name = "idle/strict-inbox",
         .about = "two foreign threads and one strict loop: the edge from empty wakes it (P1)",
         .threads = 3, .state_bytes = sizeof(struct idle), .setup = set_up_strict_inbox,
         .body = work_or_post, .finish = finish, .preemptions = 2, .schedules = 2000},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
