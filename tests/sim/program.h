/*
 * program.h - the programs that are simulated, and the driver that runs them seed by seed.
 *
 * A program draws what it does from whorl_sim_random, so a seed is a program as well as a run. It
 * keeps what it needs in static memory, which it clears itself: a run that fails never comes back
 * to free anything. It checks what it can on the way (expect) and returns 0 if all was well. With
 * faults its calls may fail in ways that are nobody's bug: bad_luck() says which.
 */
#ifndef WHORL_TESTS_SIM_PROGRAM_H
#define WHORL_TESTS_SIM_PROGRAM_H

#include "whorl.h"

#include <stdbool.h>
#include <stddef.h>

struct program {
    const char *name;
    whorl_body *body;
    uint32_t faults; /* a bit for each enum whorl_sim_fault it can live with */
    int (*after)(void); /* NULL, or looks at what the run has left in static memory: 0 or -errno */
};

extern const struct program program_echo;
extern const struct program program_hungry; /* the same where memory is short */
extern const struct program program_tasks;
extern const struct program program_futures;
extern const struct program program_stalls;
extern const struct program program_foreign;
extern const struct program program_shutdown;
extern const struct program program_descriptors;
extern const struct program program_executors;
extern const struct program program_callbacks;
extern const struct program program_generators;
extern const struct program program_sync;
extern const struct program program_strands;
extern const struct program program_select;

enum { PROGRAMS = 14 };
extern const struct program *const programs[PROGRAMS];

#define ALL_FAULTS    ((UINT32_C(1) << WHORL_SIM_FAULTS) - 1)
/* ---- in a program ---- */

/* 0 .. bound - 1, from the seed. */
unsigned draw(unsigned bound);

/* False: the run has failed, with the condition as its verdict. */
#define expect(condition) ((condition) ? (void)0 : whorl_sim_fail("expected: " #condition))

/* Whether an error may come of faults, or of the program's own cancelling and closing. */
bool bad_luck(int error);

/* As whorl_spawn; tried again while there is no memory for it. */
struct whorl_task *spawn_surely(whorl_body *body, void *arg, const struct whorl_attr *attr);

/* Some of: a yield, a short sleep, nothing. What the wait returned: it may be the cancel. */
int dawdle(void);

/* ---- in a test ---- */

struct tally {
    uint64_t seeds;
    uint64_t steps;
    uint64_t faults;
    uint64_t switches;
};

/* The options of one seed: mode, sizes, faults all follow from it. */
void options_of(const struct program *program, int loops, uint64_t seed,
                struct whorl_sim_options *ret_options);

/* One run; the report says the rest. 0 or what failed. */
int simulate(const struct program *program, int loops, uint64_t seed,
             struct whorl_sim_report *ret_report);

/* Seeds first .. first + count - 1; prints one line. False: one has failed, and was printed. */
bool explore(const struct program *program, int loops, uint64_t first, uint64_t count,
             struct tally *total);

/* How many seeds this build may try of those that the plain one does. */
uint64_t fewer_here(uint64_t count);

#endif
