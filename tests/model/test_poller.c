/*
 * test_poller.c - waking a loop out of its poller, also while somebody else looks into it.
 *
 * The guarantees are P1 of poll/poller.h (work that is pushed before a wake is seen by the poll
 * that this wake ends), P1 of loop/loop.c with a rescuer between (sched/rescue.c: who finds a wake
 * in a foreign poller looks whether its loop sleeps, and writes again), and that a loop which
 * watches a stuck one is told of its events while it sleeps.
 *
 * Able to fail, each of these alone:
 *   poll/epoll.c     the acquire of the poll's swap, the release of the wake's swap (P1)
 *   loop/loop.c      the fence in post away
 *   sched/worker.c   the fence in workers_stop away: poller/rescuer-swallows-the-stop
 *   sched/halt.c     the fence in ask away: poller/rescuer-swallows-the-halt
 */
#include "model/model.h"
#include "model/stage.h"

#include "poll/poller.h"

/* ---- wake and poll ---- */

#define WAKERS 2

struct bell {
    struct kernel kernel;
    struct whorl__poller poller;
    struct whorl__poll_result result;
    uint32_t pushed[WAKERS]; /* A: work, in the loosest form there is */
};

static void set_up_bell(void *state)
{
    struct bell *const bell = state;
    kernel_begin(&bell->kernel);
    MODEL_CHECK(whorl__poller_init(&bell->poller) == 0);
}

static void push_and_wake(struct bell *bell, unsigned waker)
{
    whorl__store_relaxed_u32(&bell->pushed[waker], 1); /* relaxed: the wake orders it, P1 */
    whorl__poller_wake(&bell->poller);
}

static unsigned find_work(struct bell *bell)
{
    unsigned found = 0;
    for (unsigned i = 0; i < WAKERS; i++) {
        found += whorl__load_relaxed_u32(&bell->pushed[i]); /* relaxed: the poll orders it, P1 */
    }
    return found;
}

static void bell_body(void *state, unsigned thread)
{
    struct bell *const bell = state;
    if (thread > 0) {
        push_and_wake(bell, thread - 1);
        return;
    }
    while (find_work(bell) < WAKERS) {
        whorl__poller_poll(&bell->poller, -1, &bell->result);
    }
}

static void end_bell(void *state)
{
    struct bell *const bell = state;
    whorl__poller_fini(&bell->poller);
    kernel_end(&bell->kernel);
}

/* ---- a stuck loop and who serves it ---- */

struct rescue {
    struct stage stage;
    struct whorl_task *holder; /* holds loop 0 */
    struct whorl_task *posted; /* comes for loop 0 alone */
    struct whorl_task *reader; /* waits on loop 0's descriptor */
    int fd;
    unsigned file;
    struct whorl__record *record;
};

/* Loop 0 is marked stuck and loop 1 watches it, as sched/rescue.c leaves it. */
static void make_stuck(struct rescue *rescue)
{
    struct whorl__loop *const stuck = &rescue->stage.loops[0];
    struct whorl__loop *const watcher = &rescue->stage.loops[1];
    stuck->stuck = 1;
    rescue->stage.runtime.monitor.stuck_count = 1;
    stuck->watcher = watcher->index + 1;
    MODEL_CHECK(whorl__poller_watch(&watcher->poller, &stuck->poller) == 0);
    watcher->watch_set[0] = 1;
    watcher->watching = 1;
}

static int come_back(void *arg)
{
    (void)arg;
    return 0;
}

static int stop(void *arg)
{
    struct rescue *const rescue = arg;
    stage_stop(&rescue->stage);
    return 0;
}

static void set_up_swallow(void *state)
{
    struct rescue *const rescue = state;
    stage_begin(&rescue->stage, 2, STAGE_STEALING);
    rescue->holder = stage_add(&rescue->stage, come_back, rescue);
    rescue->holder->pin = 1;
    whorl__loop_push_bound(&rescue->stage.loops[0], rescue->holder);
    rescue->posted = stage_add(&rescue->stage, stop, rescue);
    rescue->posted->pin = 1;
    make_stuck(rescue);
}

/* Loop 0 comes back and goes to sleep; loop 1 looks into its poller; a task is posted to it. */
static void swallow_body(void *state, unsigned thread)
{
    struct rescue *const rescue = state;
    switch (thread) {
    case 0:
        stage_work(&rescue->stage, 0);
        break;
    case 1:
        whorl__rescue_serve_slow(&rescue->stage.loops[1]);
        whorl__rescue_serve_slow(&rescue->stage.loops[1]);
        break;
    default:
        stage_submit(&rescue->stage, rescue->posted);
    }
}

static bool holder_ran(void *arg)
{
    const struct rescue *const rescue = arg;
    return stage_has_run(&rescue->stage, rescue->holder);
}

/* The same with the last wake-up of all, which is given whether or not the loop sleeps. */
static void set_up_swallow_stop(void *state)
{
    struct rescue *const rescue = state;
    stage_begin(&rescue->stage, 2, STAGE_STEALING);
    rescue->holder = stage_add(&rescue->stage, come_back, rescue);
    rescue->holder->pin = 1;
    whorl__loop_push_bound(&rescue->stage.loops[0], rescue->holder);
    make_stuck(rescue);
}

static void swallow_stop_body(void *state, unsigned thread)
{
    struct rescue *const rescue = state;
    if (thread < 2) {
        swallow_body(state, thread);
    } else {
        model_block_until(holder_ran, rescue);
        stage_stop(&rescue->stage);
    }
}

/* The same with the wake-up that stops the runtime until the next run. */
static void set_up_swallow_halt(void *state)
{
    struct rescue *const rescue = state;
    set_up_swallow_stop(state);
    whorl__halt_init(&rescue->stage.runtime.halt);
}

static bool is_held(void *arg)
{
    const struct rescue *const rescue = arg;
    return rescue->stage.runtime.halt.held == 1;
}

static void swallow_halt_body(void *state, unsigned thread)
{
    struct rescue *const rescue = state;
    if (thread < 2) {
        swallow_body(state, thread);
        return;
    }
    model_block_until(holder_ran, rescue);
    whorl__halt_ask(&rescue->stage.runtime);
    model_block_until(is_held, rescue);
    whorl__halt_lift(&rescue->stage.runtime);
    stage_stop(&rescue->stage);
}

static void end_rescue(void *state)
{
    struct rescue *const rescue = state;
    MODEL_CHECK(rescue->posted == NULL || stage_has_run(&rescue->stage, rescue->posted));
    MODEL_CHECK(rescue->reader == NULL || stage_has_run(&rescue->stage, rescue->reader));
    if (rescue->record != NULL) {
        MODEL_CHECK(whorl__os->close(rescue->fd) == 0);
    }
    stage_end(&rescue->stage);
}

/* ---- the watcher sleeps ---- */

/* Holds loop 0 until the reader has run, which only loop 1 can bring about. */
static int hold_until_read(void *arg)
{
    struct rescue *const rescue = arg;
    stage_wait_ran(&rescue->stage, rescue->reader);
    stage_stop(&rescue->stage);
    return 0;
}

static int reader_woken(void *arg)
{
    (void)arg;
    return 0;
}

/* The reader has parked on the descriptor, which loop 0 watches, before the threads begin. */
static void park_reader(struct rescue *rescue)
{
    rescue->reader = stage_add(&rescue->stage, reader_woken, rescue);
    rescue->fd = kernel_open_stream();
    rescue->file = kernel_file_of(rescue->fd);
    struct whorl__records *const records = &rescue->stage.runtime.records;
    MODEL_CHECK(whorl__record_adopt(records, rescue->fd, WHORL__TCP) == 0);
    rescue->record = whorl__record_find(records, rescue->fd);
    rescue->record->home = 1;
    MODEL_CHECK(whorl__poller_add(&rescue->stage.loops[0].poller, rescue->record) == 0);
    whorl__poller_poll(&rescue->stage.loops[0].poller, 0, &rescue->stage.loops[0].poll_result);
    whorl__record_clear(rescue->record, WHORL__IN, whorl__record_seen(rescue->record, WHORL__IN));
    struct whorl_task *const reader = rescue->reader;
    const uint32_t epoch = whorl__state_park_begin(&reader->word, &reader->wait_begun);
    const whorl__handle handle = whorl__handle_make(reader, epoch);
    MODEL_CHECK(whorl__record_wait(rescue->record, WHORL__IN, handle) == 0);
    MODEL_CHECK(whorl__state_park_commit(&rescue->reader->word));
}

static void set_up_watch(void *state)
{
    struct rescue *const rescue = state;
    stage_begin(&rescue->stage, 2, STAGE_STEALING);
    park_reader(rescue);
    rescue->holder = stage_add(&rescue->stage, hold_until_read, rescue);
    rescue->holder->pin = 1;
    whorl__loop_push_bound(&rescue->stage.loops[0], rescue->holder);
    make_stuck(rescue);
}

static void watch_body(void *state, unsigned thread)
{
    struct rescue *const rescue = state;
    if (thread < 2) {
        stage_work(&rescue->stage, thread);
    } else {
        MODEL_CHECK(kernel_peer_send(rescue->file));
    }
}

int main(int argc, char **argv)
{
    static const struct model models[] = {
        {.name = "poller/wake", .threads = 3, .preemptions = 3, .schedules = 8000,
         .about = "two threads push work and wake; one poll or two see all of it (P1)",
         .state_bytes = sizeof(struct bell), .setup = set_up_bell, .body = bell_body,
         .finish = end_bell},
        {.name = "poller/rescuer-swallows-the-edge", .threads = 3, .preemptions = 2,
         .schedules = 6000,
         .about = "a wake-up that another loop's look has taken is written again",
         .state_bytes = sizeof(struct rescue), .setup = set_up_swallow, .body = swallow_body,
         .finish = end_rescue},
        {.name = "poller/rescuer-swallows-the-stop", .threads = 3, .preemptions = 2,
         .schedules = 6000,
         .about = "the same with the wake-up that tells a loop to leave",
         .state_bytes = sizeof(struct rescue), .setup = set_up_swallow_stop,
         .body = swallow_stop_body, .finish = end_rescue},
        {.name = "poller/rescuer-swallows-the-halt", .threads = 3, .preemptions = 2,
         .schedules = 6000,
         .about = "the same with the wake-up that stops a runtime: the loop is held",
         .state_bytes = sizeof(struct rescue), .setup = set_up_swallow_halt,
         .body = swallow_halt_body, .finish = end_rescue},
        {.name = "poller/watcher-sleeps", .threads = 3, .preemptions = 1, .schedules = 3000,
         .about = "a stuck loop's descriptor becomes ready: the loop that watches it is told",
         .state_bytes = sizeof(struct rescue), .setup = set_up_watch, .body = watch_body,
         .finish = end_rescue},
    };
    return model_main(argc, argv, models, sizeof models / sizeof models[0]);
}
