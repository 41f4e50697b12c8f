/*
 * program_driver.c - runs programs seed by seed; see program.h.
 */
#include "sim/program.h"

#include "base/compiler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct program *const programs[PROGRAMS] = {
    &program_echo,      &program_hungry,    &program_tasks,      &program_futures,
    &program_stalls,    &program_foreign,   &program_shutdown,   &program_descriptors,
    &program_executors, &program_callbacks, &program_generators, &program_sync,
    &program_strands,   &program_select,
};

/* ---- in a program ---- */

unsigned draw(unsigned bound)
{
    return (unsigned)(whorl_sim_random() >> 33) % bound;
}

bool bad_luck(int error)
{
    static const int known[] = {ENOMEM,      ENOBUFS,      EMFILE,    ENFILE,       ECONNRESET,
                                EPIPE,       ECONNABORTED, ETIMEDOUT, ECONNREFUSED, EBADF,
                                ENOTCONN,    ECANCELED,    EAGAIN,    EBUSY};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (error == -known[i]) {
            return true;
        }
    }
    return false;
}

struct whorl_task *spawn_surely(whorl_body *body, void *arg, const struct whorl_attr *attr)
{
    struct whorl_task *task = NULL;
    int error;
    do {
        error = whorl_spawn(body, arg, attr, &task);
        expect(error == 0 || error == -ENOMEM || error == -ECANCELED);
    } while (error == -ENOMEM);
    return task; /* NULL: the runtime ends */
}

int dawdle(void)
{
    switch (draw(4)) {
    case 0:
        return whorl_yield();
    case 1:
        return whorl_sleep((int64_t)draw(200) * WHORL_MICROSECOND);
    default:
        return 0;
    }
}

/* ---- in a test ---- */

/* The same for all programs; drawn apart from the run's own generators. */
static uint64_t hash_of(uint64_t seed, uint64_t what)
{
    uint64_t mixed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= what * UINT64_C(0xbf58476d1ce4e5b9);
    mixed ^= mixed >> 31;
    return mixed * UINT64_C(0x94d049bb133111eb) >> 33;
}

static void no_log(void *log_arg, const char *line)
{
    (void)log_arg;
    (void)line;
}

void options_of(const struct program *program, int loops, uint64_t seed,
                struct whorl_sim_options *ret_options)
{
    static const uint32_t most[WHORL_SIM_FAULTS] = {
        [WHORL_SIM_SLOW] = 2000,      [WHORL_SIM_SHORT] = 200000, [WHORL_SIM_INTERRUPT] = 50000,
        [WHORL_SIM_AGAIN] = 50000,    [WHORL_SIM_NO_MEMORY] = 5000, [WHORL_SIM_LATE] = 20000,
        [WHORL_SIM_NO_DESCRIPTOR] = 20000, [WHORL_SIM_STALL] = 1000, [WHORL_SIM_RESET] = 100000,
    };
    static const int64_t latencies[] = {2000, 50000, 200000, 3000000};
    static const size_t buffers[] = {512, 4096, 16384, 65536};
    *ret_options = (struct whorl_sim_options){.swarm = 1};
    ret_options->runtime.loops = loops;
    ret_options->runtime.log = no_log;
    ret_options->latency_ns = latencies[hash_of(seed, 1) % 4];
    ret_options->buffer_bytes = buffers[hash_of(seed, 2) % 4];
    if (loops > 1 && hash_of(seed, 3) % 8 == 0) {
        ret_options->runtime.mode = WHORL_MODE_ISOLATED;
    }
    if (loops == 1 && hash_of(seed, 3) % 2 == 0) {
        ret_options->runtime.mode = WHORL_MODE_STEALING; /* fast order, and nobody steals */
    }
    ret_options->runtime.debug = hash_of(seed, 6) % 4 == 0 ? 1 : -1;
    for (unsigned i = 0; i < WHORL_SIM_FAULTS; i++) {
        const bool lives_with = program->faults >> i & 1;
        const bool fair = hash_of(seed, 4) % 4 == 0; /* a quarter of the runs without any */
        ret_options->faults[i] = lives_with && !fair ? most[i] : 0;
    }
    if (hash_of(seed, 5) % 4 == 0) { /* an overloaded machine */
        ret_options->faults[WHORL_SIM_LATE] = 300000;
        ret_options->faults[WHORL_SIM_STALL] = 20000;
        ret_options->swarm = 0;
    }
}

int simulate(const struct program *program, int loops, uint64_t seed,
             struct whorl_sim_report *ret_report)
{
    struct whorl_sim_options options;
    options_of(program, loops, seed, &options);
    options.report = ret_report;
    const int error = whorl_sim_run(seed, &options, program->body, NULL);
    return error == 0 && program->after != NULL ? program->after() : error;
}

uint64_t fewer_here(uint64_t count)
{
#if defined(WHORL_ASAN) || defined(WHORL_TSAN)
    const uint64_t divisor = 4;
#else
    const uint64_t divisor = 1;
#endif
    return count / divisor > 0 ? count / divisor : 1;
}

static void add(struct tally *tally, const struct whorl_sim_report *report)
{
    tally->seeds++;
    tally->steps += report->steps;
    tally->switches += report->switches;
    for (unsigned i = 0; i < WHORL_SIM_FAULTS; i++) {
        tally->faults += report->faults[i];
    }
}

bool explore(const struct program *program, int loops, uint64_t first, uint64_t count,
             struct tally *total)
{
    static struct whorl_sim_report report;
    struct tally tally = {0};
    int error = 0;
    for (uint64_t seed = first; error == 0 && seed < first + count; seed++) {
        error = simulate(program, loops, seed, &report);
        add(&tally, &report);
    }
    printf("sim %-12s %2d loops: %5llu seeds, %9llu calls, %8llu switches, %7llu faults: %s\n",
           program->name, loops, (unsigned long long)tally.seeds, (unsigned long long)tally.steps,
           (unsigned long long)tally.switches, (unsigned long long)tally.faults,
           error == 0 ? "ok" : "FAILED");
    if (error != 0) {
        printf("    %s (%s); repeat it with: %s %d %s\n", whorl_error_name(error), report.verdict,
               program->name, loops, report.seed_text);
    }
    fflush(stdout);
    total->seeds += tally.seeds;
    total->steps += tally.steps;
    total->faults += tally.faults;
    total->switches += tally.switches;
    return error == 0;
}
