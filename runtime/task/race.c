/*
 * race.c - a staggered race: the caller starts attempts, and waits for one end after the other.
 *
 * The caller itself does all that is to be decided; an attempt is a task like any other and knows
 * nothing of the race. Its end reaches the caller through a watch (wait.c), so the k-th end is told
 * once, in the order in which they came, and a cancel of the caller is not mixed up with an attempt
 * that was cancelled.
 *
 *   RUNNING --an attempt succeeds, the caller is cancelled, no memory for the wait--> ENDING
 *      +----all have failed-------------------------------------------------------------> over
 *   ENDING  starts none, waits for those that run --all have ended----------------------> over
 *
 * Threads:    the task that races.
 */
#include "task/park.h"
#include "task/wait.h"

#include "sys/os.h"

#include <errno.h>

struct race {
    struct whorl_attempt *attempts;
    size_t count;
    int64_t delay_ns;
    struct whorl_completed *watch; /* place i: attempt i */
    struct whorl_task **tasks;     /* those that run, with a reference; else NULL */
    size_t begun;                  /* attempts that had their turn */
    size_t running;
    int64_t next_ns; /* when the next one starts; WHORL_NEVER: not by the time */
    bool ending;
    int error;     /* why it ends without a winner; 0: not for a reason of its own */
    size_t winner; /* count: none */
};

/* The next attempt; one that cannot be made a task of has failed, and the one after it follows. */
static void begin_next(struct race *race)
{
    int error = -EAGAIN;
    while (error != 0 && race->begun < race->count) {
        const size_t index = race->begun++;
        struct whorl_attempt *const attempt = &race->attempts[index];
        struct whorl_task **const task = &race->tasks[index];
        error = whorl_spawn(attempt->body, attempt->arg, attempt->attr, task);
        attempt->error = error;
        attempt->started = error == 0;
        if (error == 0) {
            race->running++;
            race->next_ns =
                race->delay_ns == WHORL_NEVER ? WHORL_NEVER : whorl_after(race->delay_ns);
            whorl__watch_add(race->watch, index, whorl_task_future(*task));
        }
    }
    if (race->begun == race->count) {
        race->next_ns = WHORL_NEVER;
    }
}

/* Those that run are asked to end, once more if they were before. */
static void end_race(struct race *race, const char *message)
{
    race->ending = true;
    race->next_ns = WHORL_NEVER;
    for (size_t i = 0; i < race->begun; i++) {
        if (race->tasks[i] != NULL) {
            (void)whorl_cancel(race->tasks[i], message);
        }
    }
}

/* An attempt has ended: its entry tells how. */
static void take_end(struct race *race, size_t index)
{
    struct whorl_attempt *const attempt = &race->attempts[index];
    attempt->error = whorl_task_result(race->tasks[index], &attempt->value);
    whorl_task_unref(race->tasks[index]);
    race->tasks[index] = NULL;
    race->running--;
    if (attempt->error == 0 && race->winner == race->count) {
        race->winner = index;
        end_race(race, NULL);
    } else if (!race->ending && index + 1 == race->begun) {
        begin_next(race);
    }
}

static void run(struct race *race)
{
    begin_next(race);
    while (race->running > 0) {
        size_t index;
        const int error = whorl__watch_next(race->watch, race->next_ns, &index);
        if (error == 0) {
            take_end(race, index);
        } else if (error == -ETIMEDOUT) {
            begin_next(race);
        } else { /* -ENOMEM is of the wait's timer; to wait for those that run needs none */
            race->error = error;
            end_race(race, error == -ECANCELED ? whorl_cancel_message() : NULL);
        }
    }
}

int whorl_staggered_race(struct whorl_attempt *attempts, size_t count, int64_t delay_ns,
                         size_t *ret_winner)
{
    struct race race = {
        .attempts = attempts, .count = count, .delay_ns = delay_ns, .winner = count};
    if (whorl__task_current() == NULL) {
        return whorl__error_outside();
    }
    if (attempts == NULL || count == 0 || ret_winner == NULL) {
        return -EINVAL;
    }
    race.watch = whorl__watch_new(count);
    race.tasks = whorl__os->alloc(count * sizeof(struct whorl_task *));
    if (race.watch == NULL || race.tasks == NULL) {
        whorl_completed_free(race.watch);
        whorl__os->free(race.tasks);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        race.tasks[i] = NULL;
        attempts[i].started = false;
        attempts[i].error = 0;
        attempts[i].value = NULL;
    }
    run(&race);
    whorl_completed_free(race.watch);
    whorl__os->free(race.tasks);
    if (race.error != 0) {
        return race.error;
    }
    if (race.winner < count) {
        *ret_winner = race.winner;
        return 0;
    }
    return attempts[0].error;
}
