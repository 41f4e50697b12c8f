/*
 * test_player.c - plays programs of program_language.h on whorl.
 *
 *     test_player                      its own test: a program whose trace is known
 *     test_player --strict             programs from standard input, on one loop, in strict order,
 *                                      on a played clock: each with its trace
 *     test_player --strict BUG         with one of the bugs of base/bug.h in it, if the build can
 *     test_player --stranded           as --strict, with all tasks and callbacks in one strand
 *     test_player --bugs               lists those
 *     test_player --loops N            the same programs live on N loops, for what must hold in any
 *                                      order: program_check, and no cancel without a request
 *     test_player --sim N SEED COUNT   in the simulation on N loops, each program with COUNT seeds
 *
 * What it prints is read by tests/differential/compare.py and tests/differential/test_loops.sh.
 */
#include "differential/program_language.h"
#include "support/bug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIVE_MS_NS (20 * WHORL_MICROSECOND)

static struct program program;

static int play_strict(void *arg)
{
    return program_play(arg, PLAY_STRICT, WHORL_MILLISECOND);
}

static int play_loops(void *arg)
{
    return program_play(arg, PLAY_LOOPS, LIVE_MS_NS);
}

static void quiet(void *log_arg, const char *line)
{
    (void)log_arg;
    (void)line;
}

/* ---- programs from a text ---- */

/* The text up to the next line that begins with "program"; NULL: there is no more. */
static char *next_program(char **rest)
{
    char *const text = *rest;
    if (text == NULL || *text == 0) {
        return NULL;
    }
    char *const end = strstr(text + 1, "\nprogram ");
    *rest = end == NULL ? NULL : end + 1;
    if (end != NULL) {
        *end = 0;
    }
    return text;
}

static char *read_all(FILE *from)
{
    size_t used = 0;
    size_t size = 1 << 16;
    char *text = malloc(size);
    size_t got;
    while (text != NULL && (got = fread(text + used, 1, size - used - 1, from)) > 0) {
        used += got;
        if (size - used < 2) {
            text = realloc(text, size *= 2);
        }
    }
    if (text != NULL) {
        text[used] = 0;
    }
    return text;
}

/* ---- strict ---- */

/* flags: of struct whorl_options. */
static int play_on_one_loop(char *text, uint64_t flags)
{
    const struct whorl_options options = {.loops = 1,
                                          .no_pin = 1,
                                          .stall_ns = WHORL_NEVER,
                                          .report_ns = WHORL_NEVER,
                                          .log = quiet,
                                          .flags = flags};
    if (!program_read(text, &program)) {
        return 2;
    }
    const int error = whorl_run(play_strict, &program, &options);
    return error != 0 ? error : program_check(&program);
}

/* bug: NULL for none. */
static int strict(const char *bug, uint64_t flags)
{
    if (bug != NULL && !bug_choose(bug)) {
        fprintf(stderr, "differential: there is no bug %s in this build\n", bug);
        return 2;
    }
    char *const all = read_all(stdin);
    char *rest = all;
    char *text;
    int result = 0;
    program_clock_install();
    while (result <= 0 && (text = next_program(&rest)) != NULL) {
        printf("%.*s\n", (int)strcspn(text, "\n"), text);
        result = play_on_one_loop(text, flags);
        if (result != 0) {
            printf("FAILED %s\n", whorl_error_name(result));
        }
        fflush(stdout); /* what was played before a crash is told */
    }
    free(all);
    return result > 0 ? result : 0;
}

/* ---- several loops ---- */

static int play_live(int loops)
{
    const struct whorl_options options = {.loops = loops, .no_pin = 1, .log = quiet};
    const int error = whorl_run(play_loops, &program, &options);
    return error != 0 ? error : program_check(&program);
}

static int play_simulated(int loops, uint64_t first, uint64_t count)
{
    const struct whorl_sim_options options = {.runtime = {.loops = loops, .log = quiet}};
    int result = 0;
    for (uint64_t seed = first; result == 0 && seed < first + count; seed++) {
        program_rewind(&program);
        result = whorl_sim_run(seed, &options, play_loops, &program);
        result = result == 0 ? program_check(&program) : result;
        if (result != 0) {
            printf("program %ld, %d loops, seed %" PRIu64 ": %s\n", program.number, loops, seed,
                   whorl_error_name(result));
        }
    }
    return result;
}

/* count 0: live */
static int many(int loops, uint64_t first, uint64_t count)
{
    char *const all = read_all(stdin);
    char *rest = all;
    char *text;
    unsigned played = 0;
    unsigned failed = 0;
    while ((text = next_program(&rest)) != NULL) {
        if (!program_read(text, &program)) {
            return 2;
        }
        const int error = count == 0 ? play_live(loops) : play_simulated(loops, first, count);
        if (error != 0) {
            printf("program %ld on %d loops: %s\n", program.number, loops, whorl_error_name(error));
        }
        failed += error != 0;
        played++;
    }
    printf("%u programs on %d loops, %u failed\n", played, loops, failed);
    free(all);
    return failed != 0 || played == 0;
}

/* ---- its own test ---- */

static const char sample[] = "program 1\n"
                             "future f\n"
                             "task main\n"
                             "  spawn a\n"
                             "  spawn a\n"
                             "  timeout t 5\n"
                             "    await a\n"
                             "  end\n"
                             "task a\n"
                             "  try\n"
                             "    await f\n"
                             "  end\n"
                             "  ensure\n"
                             "    sleep 7\n"
                             "    return 3\n"
                             "  cleanup\n"
                             "    fail f EIO\n"
                             "    await b\n"
                             "  end\n";

static const char sample_trace[] = "0 main: begins\n"
                                   "0 main: spawn a\n"
                                   "0 main: spawn a again\n"
                                   "0 main: timeout t 5\n"
                                   "0 a: begins\n"
                                   "5 a: await f ! cancelled\n"
                                   "5 a: caught ! cancelled\n"
                                   "12 a: sleep 7 done\n"
                                   "12 a: fail f EIO already\n"
                                   "12 a: await b absent\n"
                                   "12 a: ends = 3\n"
                                   "12 main: await a = 3\n"
                                   "12 main: end of timeout t 5 left\n"
                                   "12 main: ends = 0\n"
                                   "1000 main: after all = 0, done, 0 requests\n"
                                   "1000 a: after all = 3, done, 1 requests\n";

static int test_itself(void)
{
    char trace[4096] = "";
    char text[sizeof sample];
    char wrong[] = "program 2\ntask main\n  dance\n";
    memcpy(text, sample, sizeof sample);
    FILE *const out = fmemopen(trace, sizeof trace, "w");
    program_clock_install();
    program_trace_to(out);
    const int result = play_on_one_loop(text, 0);
    fclose(out);
    const bool same = strcmp(trace, sample_trace) == 0;
    if (!same) {
        printf("expected:\n%s\ngot:\n%s\n", sample_trace, trace);
    }
    const bool refused = !program_read(wrong, &program);
    printf("player: %s, %s, %s\n", whorl_error_name(result), same ? "same trace" : "another trace",
           refused ? "an unknown step is refused" : "an unknown step is taken");
    return result != 0 || !same || !refused;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        return test_itself();
    }
    if (argc == 2 && strcmp(argv[1], "--bugs") == 0) {
        bug_list();
        return 0;
    }
    if ((argc == 2 || argc == 3) && strcmp(argv[1], "--strict") == 0) {
        return strict(argv[2], 0);
    }
    if (argc == 2 && strcmp(argv[1], "--stranded") == 0) {
        return strict(NULL, WHORL_STRANDED);
    }
    if (argc == 3 && strcmp(argv[1], "--loops") == 0) {
        return many(atoi(argv[2]), 0, 0);
    }
    if (argc == 5 && strcmp(argv[1], "--sim") == 0) {
        return many(atoi(argv[2]), strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
    }
    fprintf(stderr,
            "usage: %s [--strict [BUG] | --stranded | --bugs | --loops N | --sim N SEED COUNT]\n",
            argv[0]);
    return 2;
}
