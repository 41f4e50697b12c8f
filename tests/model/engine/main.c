/*
 * main.c - model_main: options, the loop over models and modes, reports.
 *
 * Owns:       the options.
 * Invariant:  a printed seed, and a printed list, repeat the execution that was printed. Both begin
 *             with the version of the engine; another engine would read them another way, so it
 *             refuses them.
 *
 *   0.1.0-m1/tso/runqueue/two-thieves/0x1234        the choices that this seed makes
 *   0.1.0-m1/tso/runqueue/two-thieves/x12.1_5.2     12 times the first answer, then the second,
 *                                                   5 times the first, then the third, then firsts
 */
#include "model/engine/engine.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_REACHED = 4 };
enum { SHRINK_MAX = 4000, REACH_TRIALS = 400, EXHAUSTIVE_MAX = 300000, REPEAT_MAX = 4096 };

static const char *const mode_names[MODEL_MODES] = {"sc", "tso", "pso", "c11"};

static struct {
    const char *program;
    const struct model *models;
    size_t model_count;
    const char *only;
    int mode; /* -1: all */
    uint64_t seed;
    bool seed_given;
    int64_t schedules; /* -1: what the model says */
    int bound;         /* -1: what the model says */
    bool exhaustive_only;
    bool brief;
    bool sites;
    const char *mutant;
    uint64_t scale;
    uint64_t at_most;
} options = {
    .mode = -1, .schedules = -1, .bound = -1, .seed = 1, .scale = 1, .at_most = UINT64_MAX};

static void print_usage(void)
{
    printf(
        "usage: %s [option...]\n"
        "  --list              the models and what they are about\n"
        "  --model NAME        only this one\n"
        "  --mode MODE         only sc, tso, pso or c11\n"
        "  --seed S            begin with this seed (default 1); with --schedules 1: it alone\n"
        "  --schedules N       this many seeds for each model and mode; times WHORL_TEST_SCALE\n"
        "  --exhaustive[=N]    no seeds; all executions with at most N choices that cost, such\n"
        "                      as a preemption (default: what the model says)\n"
        "  --replay TEXT       one execution, as a failure printed it, with its interleaving\n"
        "  --at-most N         no more than N executions a model, mode and search\n"
        "  --sites             list the operations that the code calls, their mutants, and how\n"
        "                      often the models reached them\n"
        "  --mutate SITE:KIND  with this operation weakened; a failure is what one wants\n"
        "  --brief             a failure in one line\n"
        "Exit code: 0 all held, 1 one failed, 2 could not begin, 4 the mutant was not reached.\n",
        options.program);
}

/* ---- names of executions ---- */

static void print_name(const char *tail)
{
    printf("%s/%s/%s/%s", MODEL_VERSION, mode_names[engine.mode], engine.model->name, tail);
}

static unsigned significant_decisions(const struct model_decision *decisions, unsigned count)
{
    while (count > 0 && decisions[count - 1].picked == 0) {
        count--;
    }
    return count;
}

static void print_list(const struct model_decision *decisions, unsigned count)
{
    print_name("x");
    unsigned zeros = 0;
    const char *between = "";
    for (unsigned i = 0; i < count; i++) {
        if (decisions[i].picked == 0) {
            zeros++;
        } else {
            printf("%s%u.%u", between, zeros, decisions[i].picked);
            between = "_";
            zeros = 0;
        }
    }
}

/* Reads what print_list wrote behind the x. */
static bool parse_list(const char *text)
{
    engine.given_count = 0;
    while (*text != 0) {
        char *end;
        const unsigned long zeros = strtoul(text, &end, 10);
        if (end == text || *end != '.' || zeros >= MODEL_CHOICES_MAX - engine.given_count) {
            return false;
        }
        text = end + 1;
        const unsigned long picked = strtoul(text, &end, 10);
        if (end == text || (*end != '_' && *end != 0) || picked > UINT16_MAX) {
            return false;
        }
        for (unsigned long i = 0; i < zeros; i++) {
            engine.decisions[engine.given_count++].picked = 0;
        }
        engine.decisions[engine.given_count++].picked = (uint16_t)picked;
        text = *end == '_' ? end + 1 : end;
    }
    return true;
}

/* ---- failures ---- */

static struct model_decision kept[MODEL_CHOICES_MAX];

/* Fails again, in the very same way. */
static bool fails_with(const struct model_decision *decisions, unsigned count, const char *failure)
{
    memcpy(engine.decisions, decisions, count * sizeof(*decisions));
    engine.given_count = count;
    search_begin_repeat();
    return !run_execution() && strcmp(engine.failure, failure) == 0;
}

/* Fewer deviations from the undisturbed execution, as long as it fails. */
static unsigned shrink(unsigned count, const char *failure)
{
    unsigned trials = 0;
    bool better = true;
    while (better && trials < SHRINK_MAX) {
        better = false;
        for (unsigned i = count; i-- > 0 && trials < SHRINK_MAX;) {
            const uint16_t picked = kept[i].picked;
            if (picked != 0) {
                kept[i].picked = 0;
                trials++;
                if (fails_with(kept, count, failure)) {
                    better = true;
                } else {
                    kept[i].picked = picked;
                }
            }
        }
    }
    return significant_decisions(kept, count);
}

static void show_execution(void)
{
    engine.tracing = true;
    trace_forget_names();
    (void)run_execution();
    trace_print();
    engine.tracing = false;
    printf("  %s\n", engine.failed ? engine.failure : "this execution holds");
}

static void report_failure(bool by_seed, uint64_t seed, uint64_t tried)
{
    unsigned count = significant_decisions(engine.decisions, engine.decision_count);
    char found[sizeof(engine.failure)];
    memcpy(found, engine.failure, sizeof(found));
    printf("model %s: FAILED in %s after %" PRIu64 " schedules: %s\n", engine.model->name,
           mode_names[engine.mode], tried, found);
    if (options.brief) {
        return;
    }
    memcpy(kept, engine.decisions, count * sizeof(kept[0]));
    if (by_seed) {
        char tail[24];
        (void)snprintf(tail, sizeof(tail), "0x%" PRIx64, seed);
        printf("  seed      ");
        print_name(tail);
        printf("\n");
    }
    if (fails_with(kept, count, found)) {
        count = shrink(count, found);
    }
    printf("  shortened ");
    print_list(kept, count);
    printf("\n  repeat    %s%s%s --replay ", options.program,
           options.mutant != NULL ? " --mutate " : "",
           options.mutant != NULL ? options.mutant : "");
    print_list(kept, count);
    printf("\n");
    memcpy(engine.decisions, kept, count * sizeof(kept[0]));
    engine.given_count = count;
    search_begin_repeat();
    show_execution();
}

/* ---- searches ---- */

/* How long an execution is that nothing disturbs; where change points of PCT are drawn from. */
static bool measure(void)
{
    engine.usual_steps = 0;
    engine.given_count = 0;
    search_begin_repeat();
    const bool held = run_execution();
    engine.usual_steps = engine.steps;
    return held;
}

struct tally {
    uint64_t random;
    uint64_t exhaustive;
    bool cut;
};

static bool try_seeds(uint64_t first, uint64_t count, struct tally *tally)
{
    for (uint64_t i = 0; i < count; i++) {
        search_begin_seed(first + i);
        tally->random++;
        if (!run_execution()) {
            report_failure(true, first + i, tally->random + tally->exhaustive);
            return false;
        }
    }
    return true;
}

static bool try_all(unsigned bound, uint64_t executions_max, struct tally *tally)
{
    search_begin_exhaustive(bound);
    do {
        tally->exhaustive++;
        if (!run_execution()) {
            report_failure(false, 0, tally->random + tally->exhaustive);
            return false;
        }
        if (tally->exhaustive == executions_max) {
            tally->cut = true;
            return true;
        }
    } while (search_next_exhaustive(bound));
    return true;
}

static bool is_wanted(const struct model *model)
{
    return options.only == NULL || strcmp(options.only, model->name) == 0;
}

static uint64_t at_most(uint64_t executions)
{
    return executions < options.at_most ? executions : options.at_most;
}

static uint64_t seeds_of(const struct model *model)
{
    if (options.exhaustive_only) {
        return 0;
    }
    if (options.schedules >= 0) {
        return (uint64_t)options.schedules;
    }
    /* to see what is reached, few are enough */
    return options.sites && model->schedules > REACH_TRIALS ? REACH_TRIALS : model->schedules;
}

static bool all_outcomes_seen(void)
{
    if (options.sites) {
        return true;
    }
    size_t length = 0;
    const char *const missing = outcomes_missing(&length);
    if (missing != NULL && options.mutant == NULL) {
        printf("model %s: FAILED in %s: no execution had the outcome %.*s\n", engine.model->name,
               mode_names[engine.mode], (int)length, missing);
        return false;
    }
    return true;
}

static bool run_mode(const struct model *model, enum model_mode mode, struct tally *tally)
{
    outcomes_reset();
    if (!run_prepare(model, mode)) {
        (void)fprintf(stderr, "no memory for the checker\n");
        exit(EXIT_USAGE);
    }
    if (!measure()) {
        report_failure(false, 0, 1);
        return false;
    }
    const uint64_t seeds = seeds_of(model);
    const unsigned bound = options.bound >= 0 ? (unsigned)options.bound : model->preemptions;
    const bool exhaustive =
        (bound > 0 && !options.seed_given && !options.sites) || options.exhaustive_only;
    const uint64_t first_part = at_most(seeds < REACH_TRIALS ? seeds : REACH_TRIALS);
    if (!try_seeds(options.seed, first_part, tally)) {
        return false;
    }
    if (options.mutant != NULL && !sites_mutant_reached()) {
        return true; /* this model does not come there */
    }
    return (!exhaustive || try_all(bound, at_most(EXHAUSTIVE_MAX * options.scale), tally)) &&
           try_seeds(options.seed + first_part, at_most(seeds * options.scale) - first_part,
                     tally) &&
           all_outcomes_seen();
}

static void print_held(const struct model *model, const struct tally *tallies)
{
    uint64_t random = 0;
    printf("model %s: held;", model->name);
    for (unsigned mode = 0; mode < MODEL_MODES; mode++) {
        random += tallies[mode].random;
        if (tallies[mode].exhaustive > 0) {
            printf(" %s %" PRIu64 "%s", mode_names[mode], tallies[mode].exhaustive,
                   tallies[mode].cut ? " (cut)" : "");
        }
    }
    printf("%s%" PRIu64 " random schedules\n",
           tallies[MODEL_SC].exhaustive + tallies[MODEL_C11].exhaustive > 0 ? " exhaustive, " : " ",
           random);
    (void)fflush(stdout);
}

/* A mutant falls soonest in the weakest modes, and what sc or tso shows, pso shows as well. */
static bool is_wanted_mode(unsigned mode)
{
    if (options.mode >= 0) {
        return options.mode == (int)mode;
    }
    return options.mutant == NULL || mode == MODEL_C11 || mode == MODEL_PSO;
}

static bool run_model(const struct model *model)
{
    struct tally tallies[MODEL_MODES] = {{0, 0, false}};
    for (unsigned i = 0; i < MODEL_MODES; i++) {
        const unsigned mode = options.mutant != NULL ? MODEL_MODES - 1 - i : i;
        if (is_wanted_mode(mode) && !run_mode(model, mode, &tallies[mode])) {
            return false;
        }
    }
    if (!options.sites) {
        print_held(model, tallies);
    }
    return true;
}

/* ---- replay ---- */

static const struct model *model_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < options.model_count; i++) {
        const char *const candidate = options.models[i].name;
        if (strlen(candidate) == length && strncmp(candidate, name, length) == 0) {
            return &options.models[i];
        }
    }
    return NULL;
}

static int mode_by_name(const char *name, size_t length)
{
    for (int mode = 0; mode < MODEL_MODES; mode++) {
        if (strlen(mode_names[mode]) == length && strncmp(mode_names[mode], name, length) == 0) {
            return mode;
        }
    }
    return -1;
}

static int refuse_replay(const char *text, const char *why)
{
    (void)fprintf(stderr, "%s: cannot repeat %s: %s\n", options.program, text, why);
    return EXIT_USAGE;
}

static int replay(const char *text)
{
    const char *const version_end = strchr(text, '/');
    const char *const mode_end = version_end != NULL ? strchr(version_end + 1, '/') : NULL;
    const char *const name_end = mode_end != NULL ? strrchr(mode_end + 1, '/') : NULL;
    if (name_end == NULL) {
        return refuse_replay(text, "it is not of the form VERSION/MODE/MODEL/SEED");
    }
    if (strncmp(text, MODEL_VERSION "/", sizeof(MODEL_VERSION)) != 0) {
        return refuse_replay(text, "it is of another version than " MODEL_VERSION
                                   ", which would make other choices of it");
    }
    const int mode = mode_by_name(version_end + 1, (size_t)(mode_end - version_end - 1));
    const struct model *const model =
        model_by_name(mode_end + 1, (size_t)(name_end - mode_end - 1));
    if (mode < 0 || model == NULL) {
        return refuse_replay(text, "no such mode or model in this program");
    }
    if (!run_prepare(model, (enum model_mode)mode)) {
        return refuse_replay(text, "no memory");
    }
    (void)measure();
    char *end = NULL;
    if (name_end[1] == 'x') {
        if (!parse_list(name_end + 2)) {
            return refuse_replay(text, "its list of choices is damaged");
        }
        search_begin_repeat();
    } else {
        const uint64_t seed = strtoull(name_end + 1, &end, 0);
        if (end == name_end + 1 || *end != 0) {
            return refuse_replay(text, "its seed is no number");
        }
        search_begin_seed(seed);
    }
    show_execution();
    return engine.failed ? EXIT_FAILED : EXIT_OK;
}

/* ---- options ---- */

static int list_models(void)
{
    for (size_t i = 0; i < options.model_count; i++) {
        printf("%-32s %s\n", options.models[i].name, options.models[i].about);
    }
    return EXIT_OK;
}

static bool set_option(int option, const char *value, const char **ret_replay)
{
    switch (option) {
    case 'm':
        options.only = value;
        return model_by_name(value, strlen(value)) != NULL;
    case 'o':
        options.mode = mode_by_name(value, strlen(value));
        return options.mode >= 0;
    case 's':
        options.seed = strtoull(value, NULL, 0);
        options.seed_given = true;
        return true;
    case 'n':
        options.schedules = (int64_t)strtoull(value, NULL, 0);
        return true;
    case 'e':
        options.exhaustive_only = true;
        options.bound = value != NULL ? atoi(value) : -1;
        return true;
    case 'r':
        *ret_replay = value;
        return true;
    case 't':
        options.mutant = value;
        return sites_weaken(value);
    case 'a':
        options.at_most = strtoull(value, NULL, 0);
        return options.at_most > 0;
    case 'b':
        options.brief = true;
        return true;
    case 'i':
        options.sites = true;
        return true;
    default:
        return false;
    }
}

static int run_models(void)
{
    int status = EXIT_OK;
    for (size_t i = 0; i < options.model_count; i++) {
        if (is_wanted(&options.models[i]) && !run_model(&options.models[i])) {
            status = EXIT_FAILED;
            if (options.mutant != NULL) {
                break;
            }
        }
    }
    if (options.sites) {
        sites_list();
    }
    if (status == EXIT_OK && options.mutant != NULL && !sites_mutant_reached()) {
        status = EXIT_NOT_REACHED;
    }
    return status;
}

int model_main(int argc, char **argv, const struct model *models, size_t count)
{
    static const struct option known[] = {
        {"help", no_argument, NULL, 'h'},
        {"list", no_argument, NULL, 'l'},
        {"model", required_argument, NULL, 'm'},
        {"mode", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 's'},
        {"schedules", required_argument, NULL, 'n'},
        {"exhaustive", optional_argument, NULL, 'e'},
        {"replay", required_argument, NULL, 'r'},
        {"mutate", required_argument, NULL, 't'},
        {"sites", no_argument, NULL, 'i'},
        {"brief", no_argument, NULL, 'b'},
        {"at-most", required_argument, NULL, 'a'},
        {NULL, 0, NULL, 0},
    };
    const char *const scale = getenv("WHORL_TEST_SCALE");
    const char *text = NULL;
    options.program = argv[0];
    options.models = models;
    options.model_count = count;
    options.scale = scale != NULL && atoi(scale) > 0 ? (uint64_t)atoi(scale) : 1;
    sites_number();
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'h') {
            print_usage();
            return EXIT_OK;
        }
        if (option == 'l') {
            return list_models();
        }
        if (!set_option(option, optarg, &text)) {
            (void)fprintf(stderr, "%s: bad option; try --help\n", argv[0]);
            return EXIT_USAGE;
        }
    }
    const int status = text != NULL ? replay(text) : run_models();
    run_release();
    return status;
}
