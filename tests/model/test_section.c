/*
 * test_section.c - a task in a blocking section, and the loops that take over: sched/rescue.c C3.
 *
 * Real workers, and no monitor, but in the last model: a task holds loop 0 in a section until what
 * depends on that loop has happened. Nobody else tells, so an announcement that is lost leaves all
 * threads blocked, which is a failure.
 *
 * Able to fail, each of these alone:
 *   sched/idle.c    the fence of notify away, the fence of sleep_begin away (C3)
 *   sched/steal.c   something_there without the look at stuck loops
 *   sched/rescue.c  the hot slot kept by its loop; a monitor that clears what a section has said
 *   sched/submit.c  push_hot that does not look whether there is a section
 */
#include "model/machine.h"
#include "model/model.h"
#include "model/stage.h"

struct shop {
    struct stage stage;
    struct whorl_task *holder; /* blocks loop 0 */
    struct whorl_task *child;  /* depends on loop 0 meanwhile */
    struct whorl__timer timer;
    bool fired;
};

/* ---- what a task does in its section ---- */

static void enter(void)
{
    whorl__rescue_enter_section(whorl__loop_current(), "section");
}

static int leave(struct shop *shop)
{
    MODEL_CHECK(whorl__rescue_leave_section(whorl__loop_current()));
    stage_stop(&shop->stage);
    return 0;
}

static int wake_then_block(void *arg)
{
    struct shop *const shop = arg;
    stage_submit(&shop->stage, shop->child);
    enter();
    stage_wait_ran(&shop->stage, shop->child);
    return leave(shop);
}

static int block_then_wake(void *arg)
{
    struct shop *const shop = arg;
    enter();
    stage_submit(&shop->stage, shop->child);
    stage_wait_ran(&shop->stage, shop->child);
    return leave(shop);
}

static bool has_fired(void *arg)
{
    return ((const struct shop *)arg)->fired;
}

static int block_until_fired(void *arg)
{
    struct shop *const shop = arg;
    enter();
    model_block_until(has_fired, shop);
    return leave(shop);
}

static int just_run(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- two loops ---- */

static void set_up(struct shop *shop, whorl_body *holder)
{
    stage_begin(&shop->stage, 2, STAGE_STEALING);
    machine_begin();
    shop->holder = stage_add(&shop->stage, holder, shop);
    shop->holder->pin = 1;
    whorl__loop_push_bound(&shop->stage.loops[0], shop->holder);
}

static void set_up_before(void *state)
{
    struct shop *const shop = state;
    set_up(shop, wake_then_block);
    shop->child = stage_add(&shop->stage, just_run, shop);
}

static void set_up_inside(void *state)
{
    struct shop *const shop = state;
    set_up(shop, block_then_wake);
    shop->child = stage_add(&shop->stage, just_run, shop);
}

static void fire(struct whorl__runtime *runtime, whorl__handle handle, uint64_t serial)
{
    struct stage *const stage = whorl_container_of(runtime, struct stage, runtime);
    (void)handle;
    (void)serial;
    whorl_container_of(stage, struct shop, stage)->fired = true;
}

/* Due a second later: the model's clock moves when somebody sleeps so long, and loop 0 does not. */
static void set_up_timer(void *state)
{
    struct shop *const shop = state;
    set_up(shop, block_until_fired);
    shop->timer.fire = fire;
    MODEL_CHECK(whorl__timer_arm(&shop->stage.loops[0].timers, &shop->timer,
                                 whorl__os->now_ns() + WHORL_SECOND) == 0);
}

static void work(void *state, unsigned thread)
{
    struct shop *const shop = state;
    stage_work(&shop->stage, thread);
}

static void finish(void *state)
{
    struct shop *const shop = state;
    MODEL_CHECK(stage_has_run(&shop->stage, shop->holder));
    MODEL_CHECK(shop->child == NULL || stage_has_run(&shop->stage, shop->child));
    MODEL_CHECK(shop->stage.runtime.monitor.stuck_count == 0);
    MODEL_CHECK(shop->stage.loops[0].section == NULL);
    stage_end(&shop->stage);
}

/* ---- the monitor looks meanwhile ---- */

static void set_up_monitor(void *state)
{
    struct shop *const shop = state;
    stage_begin(&shop->stage, 2, STAGE_STEALING);
    machine_begin();
    shop->stage.kernel.threads_first = 1;
    shop->stage.runtime.stall_ns = 2 * WHORL_MILLISECOND;
    MODEL_CHECK(whorl__monitor_start(&shop->stage.runtime) == 0);
    whorl__store_relaxed_ptr(&shop->stage.loops[0].current, shop); /* it is in some task */
}

/* Every task is a run of its own, and new to the monitor, which clears marks then. */
static void monitor_body(void *state, unsigned thread)
{
    struct shop *const shop = state;
    struct whorl__loop *const loop = &shop->stage.loops[0];
    if (thread == 1) {
        kernel_run_thread(thread);
        return;
    }
    for (int i = 0; i < 2; i++) {
        whorl__count(&loop->stats.runs, 1);
        whorl__rescue_enter_section(loop, "section");
        model_yield();
        MODEL_CHECK(whorl__load_relaxed_u32(&loop->stuck) == WHORL__STUCK_SAID);
        MODEL_CHECK(whorl__load_relaxed_u32(&shop->stage.runtime.monitor.stuck_count) >= 1);
        MODEL_CHECK(whorl__rescue_leave_section(loop));
    }
    whorl__monitor_stop(&shop->stage.runtime);
}

static void finish_monitor(void *state)
{
    struct shop *const shop = state;
    const struct whorl__loop *const loop = &shop->stage.loops[0];
    MODEL_CHECK(loop->stuck != WHORL__STUCK_SAID);
    MODEL_CHECK(shop->stage.runtime.monitor.stuck_count == (loop->stuck != WHORL__STUCK_NOT));
    stage_end(&shop->stage);
}

#define SHOP(SETUP, BODY, FINISH)                                                                  \
    .state_bytes = sizeof(struct shop), .setup = (SETUP), .body = (BODY), .finish = (FINISH),      \
    .threads = 2

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "section/hot", .schedules = 3000,
         .about = "what stands in the hot slot when the section begins is taken",
         SHOP(set_up_before, work, finish)},
        {.name = "section/inside", .schedules = 3000,
         .about = "what is woken inside the section is taken",
         SHOP(set_up_inside, work, finish)},
        {.name = "section/serve", .schedules = 3000,
         .about = "a loop about to sleep hears of the section, and fires the other's timer (C3)",
         SHOP(set_up_timer, work, finish)},
        {.name = "section/monitor", .preemptions = 2, .schedules = 3000,
         .about = "the monitor clears only what it has found itself (C1)",
         SHOP(set_up_monitor, monitor_body, finish_monitor)},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
