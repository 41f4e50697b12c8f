/*
 * reaper.c - generators that nobody closes: those whose last reference is lost, and those that are
 * left when the runtime ends.
 *
 *   begun --last reference lost--> lost --a reaper takes it--> closed, freed
 *     |                              |
 *     +--whorl_generators_close, end-+--> taken, closed by a task each, all together
 *
 * A reaper is a task that closes what is on the list of the lost until that is empty. If it cannot
 * be made, or gets no stack, they stay there for the next one, or for the end of the runtime. What
 * the end itself has no task for is dropped: its memory goes, and its clean-up never runs.
 *
 * A thread that loses the last reference is no part of the runtime, which may be over in the next
 * moment:
 *
 *   losing order                               ours
 *   thread: the last one, and it waits         thread: claims it (RUNNING); guests + 1
 *   end:    takes and closes it, frees the     end:    finds RUNNING: the one who closes it asks
 *           runtime                                    again; then waits for guests
 *   thread: takes the lock of its list         thread: list, moves on to WAITING, reaper;
 *                                                      guests - 1, the last it touches
 *
 * Owns:       runtime->generators; the link, closer and next_taken of a generator.
 * Threads:    any that keeps the runtime from being freed, under the lock of the lists, which is
 *             taken before no other.
 * Pairs:      the lock's own (K1), and the guests' (B1, E2).
 */
#include "task/generator.h"

#include "task/park.h"
#include "task/task.h"

#include "sys/os.h"

#include <errno.h>

/* The mark stands for all that the lock protects. */
static void lock(struct whorl__generators *generators)
{
    whorl__spin_lock(&generators->lock);
    whorl__plain_write(&generators->begun);
}

static void unlock(struct whorl__generators *generators)
{
    whorl__spin_unlock(&generators->lock);
}

/* ---- the lists ---- */

bool whorl__generators_add(struct whorl__runtime *runtime, struct whorl_generator *generator)
{
    struct whorl__generators *const generators = &runtime->generators;
    lock(generators);
    const bool open = !generators->closed;
    if (open) {
        generator->listed = true;
        whorl__list_push_back(&generators->begun, &generator->link);
        whorl__store_relaxed_ptr(&generator->runtime, runtime); /* relaxed: by N1 */
    }
    unlock(generators);
    return open;
}

void whorl__generators_remove(struct whorl_generator *generator)
{
    struct whorl__runtime *const runtime =
        whorl__load_relaxed_ptr(&generator->runtime); /* relaxed: by N1 */
    lock(&runtime->generators);
    generator->listed = false;
    whorl__list_remove(&generator->link);
    unlock(&runtime->generators);
}

static struct whorl_generator *take_locked(struct whorl__list *list)
{
    struct whorl__list *const link = whorl__list_pop_front(list);
    return link == NULL
               ? NULL
               : whorl_generator_ref(whorl_container_of(link, struct whorl_generator, link));
}

static struct whorl_generator *take_lost(struct whorl__generators *generators)
{
    lock(generators);
    struct whorl_generator *const generator = take_locked(&generators->lost);
    unlock(generators);
    return generator;
}

/* All of them, linked by next_taken, a reference on each; no more begin. */
static struct whorl_generator *take_all(struct whorl__generators *generators)
{
    struct whorl_generator *first = NULL;
    struct whorl_generator **end = &first;
    lock(generators);
    generators->closed = true;
    whorl__list_append(&generators->begun, &generators->lost);
    while ((*end = take_locked(&generators->begun)) != NULL) {
        end = &(*end)->next_taken;
    }
    unlock(generators);
    return first;
}

/* ---- closing one ---- */

static void report(struct whorl__runtime *runtime, struct whorl_generator *generator,
                   const char *message, int error)
{
    whorl__report(runtime, &(struct whorl_report){.message = message,
                                                  .error = error,
                                                  .generator = generator,
                                                  .generator_name = generator->name});
}

/* In a task of the runtime. */
static int close_one(void *arg)
{
    struct whorl_generator *const generator = arg;
    const int error = whorl_generator_close(generator);
    if (error != 0) {
        report(whorl__task_current()->runtime, generator,
               "an error occurred while a generator was closed", error);
    }
    return 0;
}

/* At the end of the runtime: whoever is inside it is on his way out (see the top). */
static int close_late(void *arg)
{
    struct whorl_generator *const generator = arg;
    int error;
    while ((error = whorl_generator_close(generator)) == -EBUSY) {
        whorl__give_way(whorl__task_current());
        whorl__os->yield(); /* to a thread, which may have no core */
    }
    if (error != 0) {
        report(whorl__task_current()->runtime, generator,
               "an error occurred while a generator was closed at the end of the runtime", error);
    }
    return 0;
}

/* ---- the last reference is lost ---- */

static int reap(void *arg)
{
    struct whorl__runtime *const runtime = arg;
    struct whorl_task *const task = whorl__task_current();
    struct whorl_generator *generator;
    if (task->loop->strict) {
        whorl__give_way(task); /* as in asyncio, where a callback makes the task that closes it */
    }
    while ((generator = take_lost(&runtime->generators)) != NULL) {
        (void)close_one(generator);
        whorl_generator_unref(generator);
    }
    return 0;
}

/* H, with the last reference, unless somebody has taken it off its list meanwhile. */
static bool move_to_lost(struct whorl__generators *generators, struct whorl_generator *generator)
{
    lock(generators);
    const bool listed = !whorl__list_is_empty(&generator->link);
    if (listed) {
        whorl__list_remove(&generator->link);
        whorl__list_push_back(&generators->lost, &generator->link);
    }
    whorl__generator_move_on(generator, WHORL__GENERATOR_WAITING, -1);
    unlock(generators);
    return listed;
}

void whorl__generators_lose(struct whorl_generator *generator)
{
    static const struct whorl_attr attr = {.name = "reaper"};
    struct whorl__runtime *const runtime =
        whorl__load_relaxed_ptr(&generator->runtime); /* relaxed: by N1 */
    const bool open = whorl__guest_enter(runtime);
    if (move_to_lost(&runtime->generators, generator) && open) {
        const int error = whorl__task_spawn_into(runtime, reap, runtime, &attr, NULL);
        (void)error; /* it stays on the list */
    }
    whorl__plain_read(&runtime->loops); /* it stands for all of the runtime; B1 */
    whorl__guest_leave(runtime);
}

/* ---- all of them, while the runtime runs ---- */

/* What could not be closed, since somebody was inside it or no task could be had, may be asked
 * again, and waits for the end of the runtime. */
static void let_go(void *arg)
{
    struct whorl_generator *const generator = arg;
    struct whorl__runtime *const runtime =
        whorl__load_relaxed_ptr(&generator->runtime); /* relaxed: the lists had it */
    lock(&runtime->generators);
    if (generator->listed && whorl__list_is_empty(&generator->link)) {
        whorl__list_push_back(&runtime->generators.begun, &generator->link);
    }
    unlock(&runtime->generators);
    whorl_generator_unref(generator);
}

/* A task that closes it, with a reference of its own. */
static int start_closer(struct whorl_generator *generator)
{
    static const struct whorl_attr attr = {.name = "closer", .arg_free = let_go};
    struct whorl_generator *const theirs = whorl_generator_ref(generator);
    const int error = whorl_spawn(close_one, theirs, &attr, &generator->closer);
    if (error != 0) {
        generator->closer = NULL;
        let_go(theirs);
    }
    return error;
}

/* Watches it end. 0; -ECANCELED: the caller was cancelled; -ENOMEM: the closer got no stack. */
static int await_closer(struct whorl_task *closer)
{
    const int error = whorl_join(closer, WHORL_NEVER, NULL);
    return error == -ECANCELED && whorl_task_cancelled(closer) ? 0 : error;
}

/* Waits for one of them, unless the caller was cancelled, and lets go of it. */
static int see_off(struct whorl_generator *generator, bool waits)
{
    struct whorl_task *const closer = generator->closer;
    const int error = closer != NULL && waits ? await_closer(closer) : 0;
    whorl_task_unref(closer);
    whorl_generator_unref(generator);
    return error;
}

int whorl_generators_close(void)
{
    const struct whorl_task *const task = whorl__task_current();
    int first_error = 0;
    if (task == NULL) {
        return whorl__error_outside();
    }
    struct whorl_generator *const taken = take_all(&task->runtime->generators);
    for (struct whorl_generator *each = taken; each != NULL; each = each->next_taken) {
        const int error = start_closer(each);
        first_error = first_error != 0 ? first_error : error;
    }
    for (struct whorl_generator *each = taken, *next; each != NULL; each = next) {
        next = each->next_taken;
        const int error = see_off(each, first_error != -ECANCELED);
        first_error = first_error == 0 || error == -ECANCELED ? error : first_error;
    }
    if (taken != NULL && first_error == 0 && task->loop->strict) {
        first_error = whorl_yield(); /* asyncio gathers them, which takes a pass */
    }
    return first_error;
}

/* ---- the end of the runtime; its thread, with nobody left but who is on his way out ---- */

/* There is no task to close it: the body ends where it stands. */
static WHORL_COLD void drop(struct whorl__runtime *runtime, struct whorl_generator *generator)
{
    while (whorl__generator_claim(generator, WHORL__GENERATOR_WAITING) !=
           WHORL__GENERATOR_WAITING) {
        whorl__os->yield();
    }
    whorl__plain_write(&generator->fiber); /* N1 */
    report(runtime, generator, "a generator was dropped without its clean-up: no task for it",
           -ENOMEM);
    whorl__stacks_drop(runtime->stacks, generator->fiber);
    whorl__generator_give_up(generator);
    whorl__generators_remove(generator);
    whorl__generator_move_on(generator, WHORL__GENERATOR_OVER, 0);
}

static void start_late(struct whorl__runtime *runtime, struct whorl_generator *generator)
{
    static const struct whorl_attr attr = {.name = "closer"};
    if (whorl__task_spawn_late(runtime, close_late, generator, &attr, &generator->closer) != 0) {
        generator->closer = NULL;
    }
}

/* As whorl_join; the thread that ends the runtime may be its loop's as well. */
static int join_late(struct whorl__runtime *runtime, struct whorl_task *closer, int64_t deadline_ns)
{
    while (runtime->stepped && !whorl_task_done(closer) && whorl_now() < deadline_ns) {
        whorl__worker_step(runtime->loops[0], WHORL_MILLISECOND);
    }
    return whorl_join(closer, runtime->stepped ? 0 : deadline_ns, NULL);
}

/* One that takes its time is told of after each round of the end, and cancelled. */
static void await_late(struct whorl__runtime *runtime, struct whorl_generator *generator,
                       int *rounds)
{
    struct whorl_task *const closer = generator->closer;
    while (join_late(runtime, closer, whorl_after(runtime->end_round_ns)) == -ETIMEDOUT) {
        report(runtime, generator,
               "a generator is being closed at the end of the runtime; still waiting", -ETIMEDOUT);
        whorl__at_end_round(runtime, rounds);
        (void)whorl_cancel(closer, "the runtime is ending");
    }
    whorl_task_unref(closer);
}

static void see_off_late(struct whorl__runtime *runtime, struct whorl_generator *generator,
                         int *rounds)
{
    if (generator->closer != NULL) {
        await_late(runtime, generator, rounds);
    }
    const uint32_t word =
        whorl__load_relaxed_u32(&generator->word); /* relaxed: its closer has ended, F1 */
    if (whorl__generator_phase(word) != WHORL__GENERATOR_OVER) {
        drop(runtime, generator);
    }
    whorl_generator_unref(generator);
}

static void close_all(struct whorl__at_end *self)
{
    struct whorl__runtime *const runtime =
        whorl_container_of(self, struct whorl__runtime, generators.at_end);
    struct whorl_generator *taken;
    int rounds = 0; /* of all of them together */
    while ((taken = take_all(&runtime->generators)) != NULL) {
        for (struct whorl_generator *each = taken; each != NULL; each = each->next_taken) {
            start_late(runtime, each);
        }
        for (struct whorl_generator *each = taken, *next; each != NULL; each = next) {
            next = each->next_taken;
            see_off_late(runtime, each, &rounds);
        }
    }
}

void whorl__generators_init(struct whorl__runtime *runtime)
{
    struct whorl__generators *const generators = &runtime->generators;
    generators->lock = (struct whorl__spinlock){0};
    whorl__list_init(&generators->begun);
    whorl__list_init(&generators->lost);
    generators->closed = false;
    generators->at_end.function = close_all;
    whorl__at_end_add(runtime, WHORL__AT_END_GENERATORS, &generators->at_end);
}
