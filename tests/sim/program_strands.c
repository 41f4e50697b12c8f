/*
 * program_strands.c - tasks of a few strands that wait, go into each other's strands and out,
 * spawn, and are cancelled.
 *
 * In the middle of what a task does in its strand are calls that let every other thread go on:
 * never is another task of the strand found there. In the end nobody is in any strand.
 */
#include "sim/program.h"

#include <errno.h>
#include <string.h>

#define STRANDS 3
#define CROWD   14
#define STEPS   10

static struct {
    struct whorl_strand strands[STRANDS];
    int inside[STRANDS];
    unsigned sections;
    unsigned ended;
    struct whorl_task *tasks[CROWD];
} world;

/* With the turn, if the caller is in a strand: the clock is a call of the system's. */
static void section(void)
{
    struct whorl_strand *const strand = whorl_strand_current();
    if (strand == NULL) {
        return;
    }
    int *const inside = &world.inside[strand - world.strands];
    expect(*inside == 0);
    ++*inside;
    for (unsigned i = draw(4); i > 0; i--) {
        (void)whorl_now();
    }
    expect(*inside == 1);
    --*inside;
    world.sections++;
}

static struct whorl_strand *any_strand(void)
{
    const unsigned which = draw(STRANDS + 1);
    return which < STRANDS ? &world.strands[which] : NULL;
}

static int visit(void *arg)
{
    (void)arg;
    section();
    const int error = dawdle();
    section();
    return error;
}

static int child(void *arg)
{
    (void)visit(arg);
    world.ended++;
    return 0;
}

static int spawn_one(void)
{
    struct whorl_strand *const strand = any_strand();
    const struct whorl_attr attr = {.strand = strand,
                                    .flags = (draw(2) ? WHORL_EAGER : 0) |
                                             (strand == NULL && draw(2) ? WHORL_NO_STRAND : 0)};
    struct whorl_task *const task = spawn_surely(child, NULL, &attr);
    const int error = draw(2) ? whorl_await(task, NULL) : 0;
    whorl_task_unref(task);
    return error;
}

static int step(void)
{
    switch (draw(5)) {
    case 0:
        return whorl_strand_run(any_strand(), NULL, visit, NULL);
    case 1:
        return whorl_strand_enter(any_strand());
    case 2:
        return spawn_one();
    default:
        return dawdle();
    }
}

static int wander(void *arg)
{
    int error = 0;
    (void)arg;
    for (unsigned i = 0; i < STEPS && error == 0; i++) {
        section();
        error = step();
        expect(error == 0 || bad_luck(error));
    }
    section();
    return error;
}

static int main_task(void *arg)
{
    const unsigned count = 2 + draw(CROWD - 1);
    (void)arg;
    memset(&world, 0, sizeof world);
    for (unsigned i = 0; i < count; i++) {
        world.tasks[i] =
            spawn_surely(wander, NULL, &(struct whorl_attr){.strand = any_strand()});
    }
    for (unsigned i = draw(4); i > 0; i--) {
        (void)whorl_cancel(world.tasks[draw(count)], NULL);
        (void)dawdle();
    }
    for (unsigned i = 0; i < count; i++) {
        const int error = whorl_await(world.tasks[i], NULL);
        expect(error == 0 || bad_luck(error));
        whorl_task_unref(world.tasks[i]);
    }
    for (unsigned i = 0; i < STRANDS; i++) {
        int error;
        do {
            error = whorl_strand_join(&world.strands[i], WHORL_NEVER);
        } while (error == -ENOMEM);
        expect(error == 0);
        expect(whorl_strand_destroy(&world.strands[i]) == 0);
        expect(world.inside[i] == 0);
    }
    expect(world.sections > 0 || world.ended == 0);
    return 0;
}

const struct program program_strands = {
    .name = "strands",
    .body = main_task,
    .faults = ALL_FAULTS,
};
