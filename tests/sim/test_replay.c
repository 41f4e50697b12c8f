/*
 * test_replay.c - one seed is one run: the same hash over all events, twice in a process, in
 * another process whose memory lies elsewhere, with other runs before, with the trace switched on.
 *
 *     test_replay --print    only prints the hashes
 */
#include "sim/program.h"
#include "support/play.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>


static const int loops[] = {1, 2, 8, 64};
#define LOOPS (sizeof loops / sizeof loops[0])

#define SEED_FIRST 1000000 /* not those of test_programs */
#define SEEDS      12
#define CANNOT_RUN 126 /* what a shell returns then, or more */

static uint64_t seeds_of(size_t loop)
{
    return fewer_here(loops[loop] == 64 ? SEEDS / 4 : SEEDS);
}

static struct whorl_sim_report reports[PROGRAMS][LOOPS][SEEDS];

static void run_all(void)
{
    for (size_t i = 0; i < PROGRAMS; i++) {
        for (size_t k = 0; k < LOOPS; k++) {
            for (uint64_t s = 0; s < seeds_of(k); s++) {
                (void)simulate(programs[i], loops[k], SEED_FIRST + s, &reports[i][k][s]);
            }
        }
    }
}

static void print_all(FILE *out)
{
    for (size_t i = 0; i < PROGRAMS; i++) {
        for (size_t k = 0; k < LOOPS; k++) {
            for (uint64_t s = 0; s < seeds_of(k); s++) {
                const struct whorl_sim_report *const report = &reports[i][k][s];
                fprintf(out, "%s %d %llu %016llx %llu %lld\n", programs[i]->name, loops[k],
                        (unsigned long long)report->seed, (unsigned long long)report->hash,
                        (unsigned long long)report->steps, (long long)report->ns);
            }
        }
    }
}

static void ignore_line(void *trace_arg, const char *line)
{
    (void)line;
    ++*(uint64_t *)trace_arg;
}

/* Backwards, so that what each run leaves in the process differs; and with a trace. */
static void test_second_run_of_a_seed_is_the_same(void **state)
{
    (void)state;
    static struct whorl_sim_report report;
    uint64_t lines = 0;
    uint64_t runs = 0;
    for (size_t i = PROGRAMS; i-- > 0;) {
        for (size_t k = LOOPS; k-- > 0;) {
            for (uint64_t s = seeds_of(k); s-- > 0;) {
                struct whorl_sim_options options;
                options_of(programs[i], loops[k], SEED_FIRST + s, &options);
                options.report = &report;
                options.trace = s % 2 == 0 ? ignore_line : NULL;
                options.trace_arg = &lines;
                assert_int_equal(
                    whorl_sim_run(SEED_FIRST + s, &options, programs[i]->body, NULL), 0);
                assert_int_equal(report.hash, reports[i][k][s].hash);
                assert_int_equal(report.steps, reports[i][k][s].steps);
                assert_int_equal(report.switches, reports[i][k][s].switches);
                assert_int_equal(report.ns, reports[i][k][s].ns);
                runs++;
            }
        }
    }
    assert_true(lines > 0);
    printf("sim replay: %llu seeds, twice the same on 1, 2, 8 and 64 loops\n",
           (unsigned long long)runs);
}

/* Different seeds are different runs: or the comparison above would say nothing. */
static void test_hashes_of_different_seeds_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROGRAMS; i++) {
        for (size_t k = 0; k < LOOPS; k++) {
            for (uint64_t s = 1; s < seeds_of(k); s++) {
                assert_int_not_equal(reports[i][k][s].hash, reports[i][k][s - 1].hash);
            }
        }
    }
}

/* Another process has other addresses, wherever the system spreads them. */
static void test_another_process_runs_the_same(void **state)
{
    (void)state;
    char command[4200];
    char ours[200], theirs[200];
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(length > 0);
    path[length] = '\0';
    const char *const emulator = getenv("WHORL_EMULATOR");
    snprintf(command, sizeof command, "%s '%s' --print", emulator != NULL ? emulator : "", path);
    FILE *const own = tmpfile();
    assert_non_null(own);
    print_all(own);
    rewind(own);
    FILE *const other = popen(command, "r");
    assert_non_null(other);
    unsigned lines = 0;
    while (fgets(ours, sizeof ours, own) != NULL) {
        const bool told = fgets(theirs, sizeof theirs, other) != NULL;
        if (!told && lines == 0 && WEXITSTATUS(pclose(other)) >= CANNOT_RUN) {
            fclose(own);
            skip(); /* under an emulator that is not there for new processes */
        }
        assert_true(told);
        assert_string_equal(theirs, ours);
        lines++;
    }
    assert_null(fgets(theirs, sizeof theirs, other));
    assert_int_equal(pclose(other), 0);
    fclose(own);
    assert_true(lines >= PROGRAMS * LOOPS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_run_of_a_seed_is_the_same),
        cmocka_unit_test(test_hashes_of_different_seeds_differ),
        cmocka_unit_test(test_another_process_runs_the_same),
    };
    run_all();
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        print_all(stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
