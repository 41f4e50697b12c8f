/*
 * plan.c - the command line of load: see plan.h.
 */
#include "support/plan.h"

#include "support/http.h"
#include "support/measure.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: load --port PORT --class NAME,CONNECTIONS,RATE,ARRIVAL,HOME,PATH [--class ...]\n"
    "\n"
    "  --class ...     RATE is requests/s or max, ARRIVAL poisson or fixed, HOME a loop\n"
    "                  or spread. With --echo: PATH is not used and HOME must be spread\n"
    "  --loops N       loops of the server, for HOME (default 1)\n"
    "  --seconds S     length of the measured window (default 5)\n"
    "  --warm-up S     comes before it, with the same load (default 1)\n"
    "  --requests N    instead: N requests in all, no warm-up\n"
    "  --seed N        of the schedules (default 1)\n"
    "  --pid PID       the server's process, for its CPU time\n"
    "  --cpu INDEX     stay on the INDEX-th core this program may use\n"
    "  --realtime      ask for SCHED_FIFO, else for nice -20\n"
    "  --echo BYTES    speak the echo protocol: BYTES there, the same BYTES back\n"
    "  --bench NAME --load NAME --mode NAME    for the figures\n"
    "  --json FILE     write the figures\n";

static char *next_part(char **rest, const char *what)
{
    char *part = strsep(rest, ",");
    if (!part || !*part) {
        bench_die("--class lacks its %s; try --help", what);
    }
    return part;
}

static double parse_rate(const char *text)
{
    return strcmp(text, "max") ? bench_parse_number("RATE", text) : 0;
}

static enum traffic_arrival parse_arrival(const char *text)
{
    if (!strcmp(text, "poisson")) {
        return TRAFFIC_POISSON;
    }
    if (!strcmp(text, "fixed")) {
        return TRAFFIC_FIXED;
    }
    bench_die("ARRIVAL is poisson or fixed, not '%s'", text);
}

static int parse_home(const char *text)
{
    return strcmp(text, "spread") ? (int)bench_parse_number("HOME", text) : PLAN_HOME_SPREAD;
}

static void parse_class(struct plan *plan, char *text)
{
    if (plan->class_count == PLAN_CLASSES_MAX) {
        bench_die("at most %d classes", PLAN_CLASSES_MAX);
    }
    struct plan_class *wish = &plan->classes[plan->class_count++];
    wish->class.name = next_part(&text, "NAME");
    wish->connections =
        (int)bench_parse_count("CONNECTIONS", next_part(&text, "CONNECTIONS"), 20000);
    wish->class.rate = parse_rate(next_part(&text, "RATE"));
    wish->class.arrival = parse_arrival(next_part(&text, "ARRIVAL"));
    wish->home = parse_home(next_part(&text, "HOME"));
    wish->class.request = http_request(next_part(&text, "PATH"));
    wish->class.request_bytes = strlen(wish->class.request);
    whorl__histogram_init(&wish->class.latency);
}

/* In echo mode a request is bytes; the classes were given a GET by parse_class. */
static void make_echo_requests(struct plan *plan)
{
    for (int i = 0; i < plan->class_count; i++) {
        struct traffic_class *class = &plan->classes[i].class;
        char *bytes = malloc(plan->echo_bytes);
        if (!bytes) {
            bench_die("out of memory");
        }
        memset(bytes, 'e', plan->echo_bytes);
        free(class->request);
        class->request = bytes;
        class->request_bytes = plan->echo_bytes;
    }
}

enum option_key {
    OPTION_PORT = 256,
    OPTION_CLASS,
    OPTION_LOOPS,
    OPTION_SECONDS,
    OPTION_WARM_UP,
    OPTION_REQUESTS,
    OPTION_SEED,
    OPTION_PID,
    OPTION_CPU,
    OPTION_REALTIME,
    OPTION_ECHO,
    OPTION_BENCH,
    OPTION_LOAD,
    OPTION_MODE,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option known_options[] = {
    {"port", required_argument, NULL, OPTION_PORT},
    {"class", required_argument, NULL, OPTION_CLASS},
    {"loops", required_argument, NULL, OPTION_LOOPS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"requests", required_argument, NULL, OPTION_REQUESTS},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"pid", required_argument, NULL, OPTION_PID},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"realtime", no_argument, NULL, OPTION_REALTIME},
    {"echo", required_argument, NULL, OPTION_ECHO},
    {"bench", required_argument, NULL, OPTION_BENCH},
    {"load", required_argument, NULL, OPTION_LOAD},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"json", required_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* Options that are words, not numbers; false: not one of them. */
static bool set_word(struct plan *plan, enum option_key key, char *text)
{
    switch (key) {
    case OPTION_CLASS:
        parse_class(plan, text);
        return true;
    case OPTION_REALTIME:
        plan->realtime = true;
        return true;
    case OPTION_BENCH:
        plan->place.bench = text;
        return true;
    case OPTION_LOAD:
        plan->place.load = text;
        return true;
    case OPTION_MODE:
        plan->place.mode = text;
        return true;
    case OPTION_JSON:
        plan->json_path = text;
        return true;
    case OPTION_HELP:
        fputs(help, stdout);
        exit(0);
    default:
        return false;
    }
}

static void set_number(struct plan *plan, enum option_key key, const char *text)
{
    switch (key) {
    case OPTION_PORT:
        plan->port = (int)bench_parse_count("--port", text, 65535);
        break;
    case OPTION_LOOPS:
        plan->place.loops = (int)bench_parse_count("--loops", text, PLAN_LOOPS_MAX);
        break;
    case OPTION_SECONDS:
        plan->seconds = bench_parse_number("--seconds", text);
        break;
    case OPTION_WARM_UP:
        plan->warm_up = bench_parse_number("--warm-up", text);
        break;
    case OPTION_REQUESTS:
        plan->requests = (uint64_t)bench_parse_count("--requests", text, INT64_C(1) << 40);
        break;
    case OPTION_SEED:
        plan->seed = (uint64_t)bench_parse_count("--seed", text, INT64_C(1) << 40);
        break;
    case OPTION_PID:
        plan->pid = (pid_t)bench_parse_count("--pid", text, INT32_MAX);
        break;
    case OPTION_CPU:
        plan->cpu = (int)bench_parse_number("--cpu", text);
        break;
    case OPTION_ECHO:
        plan->echo_bytes = (size_t)bench_parse_count("--echo", text, TRAFFIC_REPLY_MAX);
        break;
    default:
        bench_die("try --help");
    }
}

struct plan plan_parse(int argc, char **argv)
{
    struct plan plan = {
        .place = {"load", "-", "-", 1}, .warm_up = 1, .seconds = 5, .seed = 1, .cpu = -1};
    int choice;
    while ((choice = getopt_long(argc, argv, "", known_options, NULL)) != -1) {
        if (!set_word(&plan, (enum option_key)choice, optarg)) {
            set_number(&plan, (enum option_key)choice, optarg);
        }
    }
    if (!plan.port || !plan.class_count || optind < argc) {
        bench_die("wants --port, --class and no other words; try --help");
    }
    if (plan.echo_bytes) {
        make_echo_requests(&plan);
    }
    return plan;
}

void plan_free(struct plan *plan)
{
    for (int i = 0; i < plan->class_count; i++) {
        free(plan->classes[i].class.request);
    }
}

int plan_connections(const struct plan *plan)
{
    int count = 0;
    for (int i = 0; i < plan->class_count; i++) {
        count += plan->classes[i].connections;
    }
    return count;
}
