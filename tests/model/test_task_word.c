/*
 * test_task_word.c - the task word against all who may change it at once: runtime/state/state.h.
 *
 * The task here is a few steps that whoever holds it carries out, as a loop would: its frame is a
 * plain field, so two holders at once, or a holder who does not see what the one before wrote, are
 * a race. That is S1 and S2, and that the first who moves PARKED to LIVE, or claims what is open,
 * holds the task.
 *
 * Shown to fail: by --mutate of whorl__state_park_commit#1:relaxed and #2:acquire (S2, S1), and of
 * whorl__state_wake#1:release and #3:acquire, all in state/state.h; by test_planted.c, bug 1. And
 * stale-after-cancel by a park_begin that never raises the epoch, as Promela's bug 5.
 */
#include "model/model.h"
#include "model/rig.h"

#include "state/state.h"
#include "whorl.h"

#include <errno.h>

/* ---- a task of few steps ---- */

struct play {
    uint64_t word;
    uint16_t wait_begun; /* R */
    struct whorl__spinlock lock; /* the task's, for cancel */
    bool (*step)(struct play *play, unsigned step); /* false: it has ended */
    unsigned steps;   /* R: plain; done so far */
    uint32_t handles; /* A: epoch of the newest wait, where wakers find it */
    int news[2];      /* plain: what a waker did before it woke; S1 */
    uint32_t delivered; /* M(lock): cancels the task has met */
    uint32_t accepted;  /* A: cancels that found it alive */
    uint32_t woken;     /* A: wake-ups that hit the present wait */
    uint32_t too_late;  /* A: and that found it over */
};

/* The holder's part: steps until the task parks, or ends. */
static void run(struct play *play)
{
    do {
        whorl__plain_write(&play->steps); /* the frame: the holder is alone */
        if (!play->step(play, play->steps++)) {
            return;
        }
        whorl__plain_write(&play->steps); /* the switch: the last that is done on its stack */
    } while (!whorl__state_park_commit(&play->word));
}

static uint32_t begin_wait(struct play *play)
{
    return whorl__state_park_begin(&play->word, &play->wait_begun);
}

static void publish(struct play *play, uint32_t epoch)
{
    whorl__store_release_u32(&play->handles, epoch); /* release, pairs find */
}

static bool is_published(void *arg)
{
    return ((struct play *)arg)->handles != 0;
}

static bool is_second(void *arg)
{
    return ((struct play *)arg)->handles == 2; /* a first task of a slot begins with epoch 1 */
}

/* A waker has its handle from the task, by a list, a record or a timer: it happens after. */
static uint32_t find(struct play *play, bool (*is_there)(void *arg), uint32_t least)
{
    uint32_t epoch;
    model_block_until(is_there, play);
    while ((epoch = whorl__load_acquire_u32(&play->handles)) < least) { /* pairs publish */
        model_yield();
    }
    return epoch;
}

static uint32_t find_first(struct play *play)
{
    return find(play, is_published, 1);
}

static enum whorl__wake wake(struct play *play, uint32_t epoch)
{
    const enum whorl__wake result = whorl__state_wake(&play->word, epoch);
    model_note("wake of epoch %u: %s", epoch,
               result == WHORL__WAKE_TAKEN   ? "taken"
               : result == WHORL__WAKE_NOTED ? "noted"
                                             : "stale");
    if (result == WHORL__WAKE_TAKEN) {
        run(play);
    }
    return result;
}

static void cancel(struct play *play)
{
    bool taken = false;
    whorl__spin_lock(&play->lock);
    const bool accepted = whorl__state_cancel(&play->word, &taken);
    whorl__spin_unlock(&play->lock);
    model_note("cancel: %s", !accepted ? "over" : taken ? "taken" : "pending");
    if (accepted) {
        (void)whorl__add_u32(&play->accepted, 1);
    }
    if (taken) {
        run(play);
    }
}

/* As whorl__cancel_take: the running task looks, and looks again under its lock. */
static bool take_cancel(struct play *play)
{
    if (!whorl__state_cancel_pending(&play->word)) {
        return false;
    }
    whorl__spin_lock(&play->lock);
    whorl__plain_write(&play->delivered);
    play->delivered++;
    whorl__state_cancel_clear(&play->word);
    whorl__spin_unlock(&play->lock);
    return true;
}

/* As finish_word of task/task.c. */
static void end_word(struct play *play)
{
    while (!whorl__state_finish(&play->word)) {
        (void)take_cancel(play);
    }
}

static void spawn(struct play *play, bool (*step)(struct play *play, unsigned step))
{
    play->step = step;
    whorl__state_spawn(&play->word);
}

/* ---- one wait, two wakers of the same handle ---- */

static bool step_wait_once(struct play *play, unsigned step)
{
    if (step == 0) {
        publish(play, begin_wait(play));
        return true;
    }
    MODEL_CHECK(step == 1);
    return false;
}

static void setup_wait_once(void *state)
{
    spawn(state, step_wait_once);
}

static void body_two_wakers(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
        return;
    }
    const enum whorl__wake result = wake(play, find_first(play));
    (void)whorl__add_u32(&play->woken, result == WHORL__WAKE_TAKEN);
    (void)whorl__add_u32(&play->too_late, result == WHORL__WAKE_STALE);
}

static void finish_two_wakers(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 2); /* resumed once, not twice, not never */
    MODEL_CHECK(play->woken <= 1);
    MODEL_CHECK(play->too_late <= play->woken); /* one at most, and only after who has taken it */
    MODEL_CHECK(whorl__state_phase(play->word) == WHORL__LIVE);
}

/* ---- S1 and S2: what either side did before is seen by the other ---- */

static bool step_read_news(struct play *play, unsigned step)
{
    if (step == 0) {
        publish(play, begin_wait(play));
        return true;
    }
    whorl__plain_read(&play->news[0]);
    MODEL_CHECK(play->news[0] == 7);
    return false;
}

static void setup_news(void *state)
{
    spawn(state, step_read_news);
}

static void body_news(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
        return;
    }
    const uint32_t epoch = find_first(play);
    whorl__plain_write(&play->news[0]);
    play->news[0] = 7;
    MODEL_CHECK(wake(play, epoch) != WHORL__WAKE_STALE);
}

static void finish_news(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 2);
}

/* ---- a handle of an earlier wait changes nothing in a later one ---- */

static bool step_two_waits(struct play *play, unsigned step)
{
    if (step < 2) {
        publish(play, begin_wait(play));
        return true;
    }
    whorl__plain_read(&play->news[0]); /* S1: only who knew the second wait can have ended it */
    MODEL_CHECK(play->news[0] == 7);
    return false;
}

static void setup_two_waits(void *state)
{
    spawn(state, step_two_waits);
}

/* Thread 1 ends the first wait and, with the same handle, tries again at any time; thread 2 ends
 * the second. */
static void body_two_waits(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
    } else if (thread == 1) {
        const uint32_t first = 1;
        (void)find_first(play);
        (void)wake(play, first);
        (void)wake(play, first);
    } else {
        const uint32_t second = find(play, is_second, 2);
        whorl__plain_write(&play->news[0]);
        play->news[0] = 7;
        MODEL_CHECK(wake(play, second) != WHORL__WAKE_STALE);
    }
}

static void finish_two_waits(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 3);
}

/* ---- the same where a cancel may have ended the first: the second raises the epoch itself ---- */

static bool step_waits_on(struct play *play, unsigned step)
{
    const bool cancelled = take_cancel(play);
    if (step < 2) {
        publish(play, begin_wait(play));
        return true;
    }
    if (!cancelled) {
        whorl__plain_read(&play->news[0]); /* S1: else only who knew this wait has ended it */
        MODEL_CHECK(play->news[0] == 7);
    }
    return false;
}

static void setup_waits_on(void *state)
{
    spawn(state, step_waits_on);
}

/* Thread 1 has the first handle; thread 2 cancels, then ends the second wait. */
static void body_waits_on(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
    } else if (thread == 1) {
        (void)find_first(play);
        (void)wake(play, 1);
    } else {
        cancel(play);
        const uint32_t second = find(play, is_second, 2);
        whorl__plain_write(&play->news[0]);
        play->news[0] = 7;
        (void)wake(play, second);
    }
}

/* ---- a wake-up and a cancel at once ---- */

static bool step_wait_cancellable(struct play *play, unsigned step)
{
    if (step == 0) {
        publish(play, begin_wait(play));
        return true;
    }
    (void)take_cancel(play);
    return false;
}

static void setup_wait_cancellable(void *state)
{
    spawn(state, step_wait_cancellable);
}

static void body_wake_cancel(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
    } else if (thread == 1) {
        (void)wake(play, find_first(play));
    } else {
        cancel(play);
    }
}

static void finish_wake_cancel(void *state)
{
    struct play *const play = state;
    const bool pending = (play->word & WHORL__CANCEL) != 0;
    MODEL_CHECK(play->steps == 2);
    MODEL_CHECK(play->accepted == 1);
    MODEL_CHECK(play->delivered + pending == 1); /* delivered, or there for the next wait */
}

/* ---- only a cancel comes: before the wait, into it, never too early for it to count ---- */

static void body_cancel_only(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
    } else {
        cancel(play);
    }
}

static void finish_cancel_only(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 2); /* nobody else ends this wait: a missed cancel would hang here */
    MODEL_CHECK(play->accepted == 2);
    MODEL_CHECK(play->delivered + ((play->word & WHORL__CANCEL) != 0) >= 1);
}

/* ---- the end against two cancels: each is refused, or met before the end ---- */

static bool step_end(struct play *play, unsigned step)
{
    (void)step;
    end_word(play);
    return false;
}

static void setup_end(void *state)
{
    spawn(state, step_end);
}

static void body_end_cancel(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
    } else {
        cancel(play);
    }
}

static void finish_end_cancel(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(whorl__state_phase(play->word) == WHORL__DONE);
    MODEL_CHECK((play->word & (WHORL__CANCEL | WHORL__WAKE)) == 0);
    MODEL_CHECK(play->delivered <= play->accepted);
    MODEL_CHECK((play->delivered > 0) == (play->accepted > 0));
}

/* ---- the slot is used again while somebody still has a handle of the task before ---- */

/* The first task waits once and ends; the second is parked and must stay so. */
static bool step_two_lives(struct play *play, unsigned step)
{
    if (step == 0) {
        publish(play, begin_wait(play));
        return true;
    }
    if (step == 1) {
        end_word(play);
        whorl__state_free(&play->word);
        whorl__state_spawn(&play->word);
        (void)begin_wait(play);
        return true;
    }
    model_check_failed("no handle of the task before wakes this one", __FILE__, __LINE__);
}

static void setup_two_lives(void *state)
{
    spawn(state, step_two_lives);
}

static void body_two_lives(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        run(play);
        return;
    }
    const uint32_t epoch = find_first(play);
    (void)wake(play, epoch);
    (void)wake(play, epoch);
}

static void finish_two_lives(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 2);
    MODEL_CHECK(whorl__state_phase(play->word) == WHORL__PARKED);
    MODEL_CHECK((play->word & (WHORL__CANCEL | WHORL__WAKE)) == 0);
}

/* ---- a task that is open: who awaits it, a thief, and a cancel ---- */

/* The only step: whoever runs it sees what its spawner has filled in, and nobody runs it again. */
static bool step_claimed(struct play *play, unsigned step)
{
    MODEL_CHECK(step == 0);
    whorl__plain_read(&play->news[0]);
    MODEL_CHECK(play->news[0] == 7);
    end_word(play);
    return false;
}

static void setup_claim(void *state)
{
    ((struct play *)state)->step = step_claimed;
}

static void fill_and_open(struct play *play)
{
    whorl__plain_write(&play->news[0]);
    play->news[0] = 7;
    publish(play, whorl__state_spawn_open(&play->word)); /* the ring does, Q1 */
}

static bool claim_and_run(struct play *play, uint32_t epoch)
{
    const bool claimed = whorl__state_claim(&play->word, epoch);
    model_note("claim of epoch %u: %s", epoch, claimed ? "won" : "lost");
    if (claimed) {
        run(play);
    }
    return claimed;
}

static void body_claim(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 0) {
        fill_and_open(play);
        (void)claim_and_run(play, 1);
    } else if (thread == 1) {
        (void)claim_and_run(play, find_first(play));
    } else {
        (void)find_first(play);
        cancel(play);
    }
}

static void finish_claim(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 1); /* run once: by one of the two, and not by none */
    MODEL_CHECK((play->word & WHORL__OPEN) == 0);
    finish_end_cancel(state);
}

/* ---- its entry is stale, and the slot has an open task again ---- */

static void body_stale_entry(void *state, unsigned thread)
{
    struct play *const play = state;
    if (thread == 1) {
        const uint32_t epoch = find_first(play);
        (void)claim_and_run(play, epoch);
        MODEL_CHECK(!claim_and_run(play, epoch));
        return;
    }
    fill_and_open(play);
    if (claim_and_run(play, 1)) {
        whorl__state_free(&play->word);
        MODEL_CHECK(whorl__state_spawn_open(&play->word) == 2);
    }
}

static void finish_stale_entry(void *state)
{
    struct play *const play = state;
    MODEL_CHECK(play->steps == 1);
    const bool second = whorl__state_epoch(play->word) == 2;
    MODEL_CHECK(second == whorl__state_is_open(&play->word, 2));
}

/* ---- a cancel before, at and after the first step: MT-14, CANC-3 ---- */

struct first_step {
    struct rig rig;
    struct whorl_task *task;
    unsigned freed;
    unsigned begun;
    int seen; /* what its first wait returned */
    bool accepted;
};

static void count_freed(void *arg)
{
    struct first_step *const scene = arg;
    whorl__plain_write(&scene->freed);
    scene->freed++;
}

static int body_first_step(void *arg)
{
    struct first_step *const scene = arg;
    whorl__plain_write(&scene->begun);
    scene->begun++;
    scene->seen = whorl_yield();
    return 0;
}

static void setup_first_step(void *state)
{
    struct first_step *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->task = rig_spawn(&scene->rig, 0, body_first_step, scene);
    scene->task->arg_free = count_freed;
}

static void run_first_step(void *state, unsigned thread)
{
    struct first_step *const scene = state;
    if (thread == 0) {
        rig_loop(&scene->rig, 0);
    } else {
        scene->accepted = whorl_cancel(scene->task, "early");
        whorl_task_unref(whorl_task_ref(scene->task));
    }
}

static void finish_first_step(void *state)
{
    struct first_step *const scene = state;
    const int error = whorl_task_result(scene->task, NULL);
    MODEL_CHECK(scene->freed == 1);
    MODEL_CHECK(scene->begun <= 1);
    /* Refused: it never heard of it. Else the body never ran, or met it in its one wait, or ended
     * before it could and is cancelled for that. */
    if (!scene->accepted) {
        MODEL_CHECK(scene->begun == 1 && scene->seen == 0 && error == 0);
    } else if (scene->begun == 0) {
        MODEL_CHECK(error == -ECANCELED && whorl_task_cancelled(scene->task));
    } else {
        MODEL_CHECK(scene->seen == -ECANCELED ? error == 0 : error == -ECANCELED);
    }
    whorl_task_unref(scene->task);
    rig_fini(&scene->rig);
}

/* ---- the list of all tasks against the ends of tasks: VISIT, MT-22 ---- */

struct census {
    struct rig rig;
    struct whorl_task *keeper; /* lives to the end, and is known to the one who counts */
    unsigned heirs;            /* A: tasks that have run in the one slot */
};

static int be_counted(void *arg)
{
    (void)whorl__add_u32(&((struct census *)arg)->heirs, 1);
    return 0;
}

/* Two tasks one after the other, in the same slot; nobody has a handle of them. */
static int keep_spawning(void *arg)
{
    for (unsigned i = 0; i < 2; i++) {
        MODEL_CHECK(whorl_spawn(be_counted, arg, NULL, NULL) == 0);
        MODEL_CHECK(whorl_yield() == 0);
    }
    return 0;
}

static void setup_census(void *state)
{
    struct census *const scene = state;
    rig_init(&scene->rig, 1, RIG_STRICT);
    scene->keeper = rig_spawn(&scene->rig, 0, keep_spawning, scene);
}

/* Whoever has a reference has a task: the slot is not free, and not another's. */
static void check_held(struct whorl_task *task, uint64_t serial)
{
    const uint64_t word = whorl__load_acquire_u64(&task->word);
    whorl__plain_read(&task->runtime); /* written when the slot gets its next task */
    MODEL_CHECK(whorl__state_phase(word) != WHORL__FREE);
    MODEL_CHECK(whorl__load_relaxed_u64(&task->serial) == serial);
}

static void take_census(struct census *scene)
{
    struct whorl_task **tasks;
    size_t count;
    MODEL_CHECK(whorl_all_tasks(scene->keeper, &tasks, &count) == 0);
    MODEL_CHECK(count <= 2);
    for (size_t i = 0; i < count; i++) {
        const uint64_t serial = whorl__load_relaxed_u64(&tasks[i]->serial);
        check_held(tasks[i], serial);
        (void)whorl_task_done(tasks[i]);
        check_held(tasks[i], serial);
    }
    whorl_all_tasks_free(tasks, count);
}

static void body_census(void *state, unsigned thread)
{
    if (thread == 0) {
        rig_loop(state, 0);
    } else {
        take_census(state);
    }
}

/* rig_fini looks whether every slot is free again: no reference is lost, and none is left. */
static void finish_census(void *state)
{
    struct census *const scene = state;
    MODEL_CHECK(scene->heirs == 2);
    MODEL_CHECK(whorl_task_result(scene->keeper, NULL) == 0);
    whorl_task_unref(scene->keeper);
    rig_fini(&scene->rig);
}

/* ---- */

static const struct model models[] = {
    {.name = "task-word/two-wakers",
     .about = "two wakers of one wait: it is resumed once, by one holder, off its stack",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_wait_once,
     .body = body_two_wakers,
     .finish = finish_two_wakers,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/news",
     .about = "S1, S2: the waker's work is seen by the task, the task's frame by the waker",
     .threads = 2,
     .state_bytes = sizeof(struct play),
     .setup = setup_news,
     .body = body_news,
     .finish = finish_news,
     .preemptions = 3,
     .schedules = 20000},
    {.name = "task-word/stale-handle",
     .about = "a handle of the first wait, used late, never ends the second",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_two_waits,
     .body = body_two_waits,
     .finish = finish_two_waits,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/stale-after-cancel",
     .about = "the same where a cancel ended the first wait, and nobody has raised the epoch",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_waits_on,
     .body = body_waits_on,
     .finish = finish_two_waits,
     .preemptions = 3,
     .schedules = 20000},
    {.name = "task-word/wake-and-cancel",
     .about = "one resume; the cancel is delivered, or pending for the next wait",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_wait_cancellable,
     .body = body_wake_cancel,
     .finish = finish_wake_cancel,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/cancel-only",
     .about = "two cancels and a wait that nobody else ends: it is not missed",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_wait_cancellable,
     .body = body_cancel_only,
     .finish = finish_cancel_only,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/end-and-cancel",
     .about = "a cancel is refused, or met before the task is DONE",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_end,
     .body = body_end_cancel,
     .finish = finish_end_cancel,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/slot-reuse",
     .about = "handles of a slot's last task leave its next one parked",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_two_lives,
     .body = body_two_lives,
     .finish = finish_two_lives,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/claim",
     .about = "an open task is run by who awaits it or by a thief, with its cancel, once",
     .threads = 3,
     .state_bytes = sizeof(struct play),
     .setup = setup_claim,
     .body = body_claim,
     .finish = finish_claim,
     .preemptions = 2,
     .schedules = 20000},
    {.name = "task-word/stale-entry",
     .about = "an entry of the slot's last task leaves its next one open",
     .threads = 2,
     .state_bytes = sizeof(struct play),
     .setup = setup_claim,
     .body = body_stale_entry,
     .finish = finish_stale_entry,
     .preemptions = 3,
     .schedules = 20000},
    {.name = "task-word/first-step",
     .about = "MT-14, CANC-3: cancelled before its first step or after, its argument freed once",
     .threads = 2,
     .state_bytes = sizeof(struct first_step),
     .setup = setup_first_step,
     .body = run_first_step,
     .finish = finish_first_step,
     .preemptions = 2,
     .schedules = 5000},
    {.name = "task-word/all-tasks",
     .about = "MT-22: a task on the list is kept, also one that ends while it is put there",
     .threads = 2,
     .state_bytes = sizeof(struct census),
     .setup = setup_census,
     .body = body_census,
     .finish = finish_census,
     .preemptions = 2,
     .schedules = 5000},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, models, sizeof models / sizeof *models);
}
