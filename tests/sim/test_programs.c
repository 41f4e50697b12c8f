/*
 * test_programs.c - programs worth simulating, on 2, 8 and 64 loops, some hundred seeds in all.
 *
 *     test_programs                      all; tests/sim/test_many_seeds.c tries more of them
 *     test_programs PROGRAM LOOPS SEED   one run, with its whole trace on standard error
 *     test_programs PROGRAM LOOPS FIRST COUNT   so many seeds of one program
 *     test_programs --bug NAME ...       the same with one of the bugs of base/bug.h
 *
 * Each line says how much was tried. A seed that fails is printed with the last events, and with
 * the words that repeat it.
 */
#include "sim/program.h"
#include "support/bug.h"

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

static int repeat(const struct program *program, int loops, uint64_t seed)
{
    struct whorl_sim_report report;
    struct whorl_sim_options options;
    options_of(program, loops, seed, &options);
    options.report = &report;
    options.trace = print_line;
    int result = whorl_sim_run(seed, &options, program->body, NULL);
    result = result == 0 && program->after != NULL ? program->after() : result;
    printf("%s: %s, hash %016llx\n", report.seed_text, whorl_error_name(result),
           (unsigned long long)report.hash);
    return result != 0;
}

static const struct program *find(const char *name)
{
    for (size_t i = 0; i < PROGRAMS; i++) {
        if (strcmp(programs[i]->name, name) == 0) {
            return programs[i];
        }
    }
    return NULL;
}

/* What the words of the command line ask for: 0, 1: it failed, 2: there is no such thing. */
static int run_one(const char *name, int loops, const char *seed_text, const char *count_text)
{
    const struct program *const program = find(name);
    struct tally total = {0};
    uint64_t seed;
    const int error = whorl_sim_seed_parse(seed_text, &seed);
    if (error != 0 || program == NULL) {
        fprintf(stderr, "%s: %s\n", program == NULL ? name : seed_text,
                program == NULL    ? "no program is called that"
                : error == -ESTALE ? "a seed of another version"
                                   : "no seed");
        return 2;
    }
    if (count_text == NULL) {
        return repeat(program, loops, seed);
    }
    return explore(program, loops, seed, (uint64_t)atoll(count_text), &total) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct tally total = {0};
    bool ok = true;
    if (argc > 2 && strcmp(argv[1], "--bug") == 0) {
        if (!bug_choose(argv[2])) {
            fprintf(stderr, "%s: there is no such bug, or not in this build\n", argv[2]);
            return 2;
        }
        argc -= 2;
        argv += 2;
    }
    if (argc == 4 || argc == 5) {
        return run_one(argv[1], atoi(argv[2]), argv[3], argc == 5 ? argv[4] : NULL);
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
