/*
 * test_programs.c - programs worth simulating, on 2, 8 and 64 loops, some hundred seeds in all.
 *
 *     test_programs                      all; tests/sim/test_many_seeds.c tries more of them
 *     test_programs PROGRAM LOOPS SEED   one run, with its whole trace on standard error
 *
 * Each line says how much was tried. A seed that fails is printed with the last events, and with
 * the words that repeat it.
 */
#include "sim/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SEEDS
#    define SEEDS UINT64_C(100)
#endif

/* How many seeds a program gets: a run on 64 loops costs as much as several on 8. */
static const struct {
    int loops;
    uint64_t seeds;
} plan[] = {{1, SEEDS / 4}, {2, SEEDS}, {8, SEEDS}, {64, SEEDS / 4}};

static void print_line(void *trace_arg, const char *line)
{
    (void)trace_arg;
    fprintf(stderr, "%s\n", line);
}

static int repeat(const char *name, int loops, const char *seed_text)
{
    struct whorl_sim_report report;
    struct whorl_sim_options options;
    uint64_t seed;
    const int error = whorl_sim_seed_parse(seed_text, &seed);
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", seed_text,
                error == -ESTALE ? "a seed of another version" : "no seed");
        return 2;
    }
    for (size_t i = 0; i < PROGRAMS; i++) {
        if (strcmp(programs[i]->name, name) == 0) {
            options_of(programs[i], loops, seed, &options);
            options.report = &report;
            options.trace = print_line;
            int result = whorl_sim_run(seed, &options, programs[i]->body, NULL);
            result = result == 0 && programs[i]->after != NULL ? programs[i]->after() : result;
            printf("%s: %s, hash %016llx\n", report.seed_text, whorl_error_name(result),
                   (unsigned long long)report.hash);
            return result != 0;
        }
    }
    fprintf(stderr, "no program is called %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    struct tally total = {0};
    bool ok = true;
    if (argc == 4) {
        return repeat(argv[1], atoi(argv[2]), argv[3]);
    }
    for (size_t i = 0; i < PROGRAMS; i++) {
        for (size_t k = 0; k < sizeof plan / sizeof plan[0]; k++) {
            ok &= explore(programs[i], plan[k].loops, 0, fewer_here(plan[k].seeds), &total);
        }
    }
    printf("sim: %llu seeds, %llu calls, %llu faults\n", (unsigned long long)total.seeds,
           (unsigned long long)total.steps, (unsigned long long)total.faults);
    return ok ? 0 : 1;
}
