/*
 * load.c - sends requests to a local server when they are due, and tells how long each took.
 *
 * Question:    what latency and what rate does the server give under a stated load, and at which
 *              cost in CPU?
 * Good answer: the rate that was asked for, with a lag far below the latencies. The lag is how late
 *              the generator itself was; above 1 ms at p99 the figures are its own, and it says so.
 *
 * A connection's home is what the reply to /-/loop says; connections that fit nowhere are closed.
 * The server's counters (/-/stats) are read before and after, its CPU clock at both ends of the
 * window. All requests of a class are the same; nothing of whorl's runtime is used here.
 */
#include "support/http.h"
#include "support/measure.h"
#include "support/plan.h"
#include "support/process.h"
#include "support/traffic.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DRAIN_NS   INT64_C(3000000000)
#define COUNTED_NS INT64_C(120000000000) /* --requests gives up then */

/* What is read from the server at one end of the run. */
struct reading {
    int64_t time_ns;
    char *counters; /* the text of /-/stats; NULL: the server has none */
};

/* What was spent between the two ends of the window. */
struct window {
    int64_t ns;
    int64_t server_cpu_ns;
    int64_t busiest_cpu_ns; /* of it, by the server's busiest thread; 0: not known */
    int64_t own_cpu_ns;
    int64_t others_cpu_ns; /* by everybody else, roughly: the kernel counts it in ticks */
};

static const char *const counter_names[] = {"steals",  "stolen", "migrations", "rescues",
                                            "rescued", "moves",  "wakes",      "sleeps",
                                            "turns",   "polls",  "stalls",     "overflows"};

/* ---- connections ---- */

/* The loop a new connection belongs to; 0 for a server that does not say. */
static int home_of(const struct plan *plan, int fd)
{
    struct http_head head;
    if (plan->echo_bytes) {
        return 0;
    }
    const int error = http_get(fd, "/-/loop", &head, NULL);
    if (error) {
        bench_die("the server does not answer /-/loop: %s", strerror(-error));
    }
    return head.loop < 0 ? 0 : head.loop;
}

/* How many connections of this class may come from one loop. */
static int share_of(const struct plan *plan, const struct plan_class *wish)
{
    return (wish->connections + plan->place.loops - 1) / plan->place.loops;
}

/* The class that still wants a connection from this loop; those bound to a loop come first. */
static struct plan_class *find_class(struct plan *plan, int home,
                                     int taken[PLAN_CLASSES_MAX][PLAN_LOOPS_MAX])
{
    for (int bound = 1; bound >= 0; bound--) {
        for (int i = 0; i < plan->class_count; i++) {
            struct plan_class *wish = &plan->classes[i];
            if (wish->class.connections == wish->connections ||
                (wish->home != PLAN_HOME_SPREAD) != bound) {
                continue;
            }
            if (bound ? wish->home == home : taken[i][home] < share_of(plan, wish)) {
                taken[i][home]++;
                return wish;
            }
        }
    }
    return NULL;
}

static void open_connections(struct plan *plan, struct traffic *traffic)
{
    const int wanted = plan_connections(plan);
    static int taken[PLAN_CLASSES_MAX][PLAN_LOOPS_MAX];
    /* The kernel spreads connections by a hash: the rarest home takes loops times its share. */
    int tries_left = 200 + 20 * wanted * plan->place.loops;
    while (traffic->count < wanted) {
        if (!tries_left--) {
            bench_die("too few connections came home to the loops that were asked for");
        }
        const int fd = http_connect(plan->port);
        if (fd < 0) {
            bench_die("cannot connect to port %d: %s", plan->port, strerror(-fd));
        }
        const int home = home_of(plan, fd);
        struct plan_class *wish = home < PLAN_LOOPS_MAX ? find_class(plan, home, taken) : NULL;
        if (wish) {
            traffic_add(traffic, &wish->class, fd);
        } else {
            close(fd);
        }
    }
}

/* ---- the server's counters ---- */

static struct reading read_counters(const struct plan *plan)
{
    struct reading reading = {.time_ns = bench_now_ns()};
    struct http_head head;
    if (plan->echo_bytes) {
        return reading;
    }
    const int fd = http_connect(plan->port);
    if (fd < 0 || http_get(fd, "/-/stats", &head, &reading.counters)) {
        bench_die("the server does not answer /-/stats");
    }
    close(fd);
    return reading;
}

/* The number behind `name` at the start of a line; NAN if there is none. */
static double counter(const struct reading *reading, const char *name)
{
    const size_t name_bytes = strlen(name);
    for (const char *line = reading->counters; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, name, name_bytes) && line[name_bytes] == ' ') {
            return strtod(line + name_bytes, NULL);
        }
    }
    return NAN;
}

static double counter_change(const struct reading *before, const struct reading *after,
                             const char *name)
{
    return counter(after, name) - counter(before, name);
}

/* ---- the run ---- */

/* So that a request leaves when it is due. What the kernel granted stands in the report. */
static const char *claim_core(const struct plan *plan)
{
    const struct sched_param priority = {.sched_priority = 1};
    if (plan->cpu >= 0) {
        bench_pin(plan->cpu);
    }
    prctl(PR_SET_TIMERSLACK, 1UL); /* 50 us by default */
    if (!plan->realtime) {
        return "normal";
    }
    if (!sched_setscheduler(0, SCHED_FIFO, &priority)) {
        return "SCHED_FIFO";
    }
    return setpriority(PRIO_PROCESS, 0, -20) ? "normal" : "nice -20";
}

/* The clocks at one end of the window. */
struct clocks {
    int64_t now_ns;
    int64_t server_cpu_ns;
    int64_t own_cpu_ns;
    int64_t machine_cpu_ns;
    struct process_threads threads;
};

static void read_clocks(const struct plan *plan, struct clocks *ret_clocks)
{
    ret_clocks->now_ns = bench_now_ns();
    ret_clocks->machine_cpu_ns = process_machine_ns();
    if (process_cpu_ns(0, &ret_clocks->own_cpu_ns)) {
        bench_die("cannot read the own CPU clock");
    }
    if (!plan->pid) {
        return;
    }
    if (process_cpu_ns(plan->pid, &ret_clocks->server_cpu_ns)) {
        bench_die("there is no process %d", (int)plan->pid);
    }
    process_read_threads(plan->pid, &ret_clocks->threads);
}

static struct window run_window(const struct plan *plan, struct traffic *traffic)
{
    static struct clocks before, after; /* too large for the stack */
    read_clocks(plan, &before);
    traffic_run(traffic, traffic->end_ns);
    read_clocks(plan, &after);
    struct window window = {
        .ns = after.now_ns - before.now_ns,
        .server_cpu_ns = after.server_cpu_ns - before.server_cpu_ns,
        .busiest_cpu_ns = process_busiest_ns(&before.threads, &after.threads),
        .own_cpu_ns = after.own_cpu_ns - before.own_cpu_ns,
    };
    window.others_cpu_ns =
        after.machine_cpu_ns - before.machine_cpu_ns - window.server_cpu_ns - window.own_cpu_ns;
    return window;
}

static struct window run_timed(const struct plan *plan, struct traffic *traffic)
{
    const int64_t start_ns = bench_now_ns();
    const int64_t begin_ns = start_ns + (int64_t)(plan->warm_up * 1e9);
    const int64_t end_ns = begin_ns + (int64_t)(plan->seconds * 1e9);
    traffic_start(traffic, plan->seed, start_ns, begin_ns, end_ns);
    traffic_run(traffic, begin_ns);
    const struct window window = run_window(plan, traffic);
    traffic_drain(traffic, end_ns + DRAIN_NS);
    return window;
}

static struct window run_counted(const struct plan *plan, struct traffic *traffic)
{
    const int64_t start_ns = bench_now_ns();
    traffic->send_max = plan->requests;
    traffic_start(traffic, plan->seed, start_ns, start_ns, start_ns + COUNTED_NS);
    const struct window window = run_window(plan, traffic);
    if (traffic->received < plan->requests) {
        bench_die("only %" PRIu64 " requests were answered", traffic->received);
    }
    return window;
}

/* ---- the report ---- */

static void report(struct json *json, const struct plan *plan, const char *prefix,
                   const char *metric, double value, const char *unit)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s", prefix, metric);
    if (!isnan(value)) {
        printf("  %-28s %12.6g %s\n", name, value, unit);
        json_figure(json, &plan->place, name, value, unit);
    }
}

static double percentile_us(const struct whorl__histogram *histogram, double percent)
{
    return (double)whorl__histogram_percentile(histogram, percent) / 1e3;
}

static void report_class(struct json *json, const struct plan *plan,
                         const struct traffic_class *class, double seconds)
{
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "%.24s ", class->name);
    report(json, plan, prefix, "rate", (double)class->answered / seconds, "1/s");
    report(json, plan, prefix, "asked rate", class->rate > 0 ? class->rate : NAN, "1/s");
    report(json, plan, prefix, "requests", (double)whorl__histogram_count(&class->latency), "1");
    report(json, plan, prefix, "p50", percentile_us(&class->latency, 50), "us");
    report(json, plan, prefix, "p99", percentile_us(&class->latency, 99), "us");
    report(json, plan, prefix, "p99.9", percentile_us(&class->latency, 99.9), "us");
    report(json, plan, prefix, "max", (double)whorl__histogram_max(&class->latency) / 1e3, "us");
    report(json, plan, prefix, "unanswered", (double)class->unanswered, "1");
}

static void report_counters(struct json *json, const struct plan *plan,
                            const struct reading *before, const struct reading *after)
{
    const double seconds = (double)(after->time_ns - before->time_ns) / 1e9;
    for (size_t i = 0; i < sizeof(counter_names) / sizeof(*counter_names); i++) {
        report(json, plan, "", counter_names[i],
               counter_change(before, after, counter_names[i]) / seconds, "1/s");
    }
    double heavy = 0;
    for (int loop = 0; loop < plan->place.loops; loop++) {
        char name[32];
        snprintf(name, sizeof(name), "loop%d.heavy", loop);
        heavy += counter_change(before, after, name);
    }
    report(json, plan, "", "heavy on loop 0",
           heavy > 0 ? 100 * counter_change(before, after, "loop0.heavy") / heavy : NAN, "%");
    report(json, plan, "", "missed wakes", counter_change(before, after, "missed_wakes"), "1");
}

static void report_cores(struct json *json, const struct plan *plan, const struct window *window,
                         double answered)
{
    const double ns = (double)window->ns;
    const double server_ns = (double)window->server_cpu_ns;
    report(json, plan, "", "generator cores", (double)window->own_cpu_ns / ns, "cores");
    if (plan->pid) {
        report(json, plan, "", "server CPU", server_ns / 1e3 / answered, "us/request");
        report(json, plan, "", "server cores", server_ns / ns, "cores");
        report(json, plan, "", "busiest loop", (double)window->busiest_cpu_ns / ns, "cores");
        report(json, plan, "", "other processes", fmax(0, (double)window->others_cpu_ns / ns),
               "cores");
    }
}

static void report_all(const struct plan *plan, const struct traffic *traffic,
                       const struct window *window, const struct reading *before,
                       const struct reading *after)
{
    struct json json;
    const double seconds = (double)window->ns / 1e9;
    double answered = 0;
    if (json_open(&json, plan->json_path)) {
        bench_die("cannot write %s: %s", plan->json_path, strerror(errno));
    }
    for (int i = 0; i < plan->class_count; i++) {
        report_class(&json, plan, &plan->classes[i].class, seconds);
        answered += (double)plan->classes[i].class.answered;
    }
    report(&json, plan, "", "rate", answered / seconds, "1/s");
    report_cores(&json, plan, window, answered);
    report(&json, plan, "", "lag p99", percentile_us(&traffic->lag, 99), "us");
    report(&json, plan, "", "errors", (double)traffic->errors, "1");
    report_counters(&json, plan, before, after);
    if (json_close(&json)) {
        bench_die("cannot write %s", plan->json_path);
    }
}

int main(int argc, char **argv)
{
    struct plan plan = plan_parse(argc, argv);
    struct traffic traffic;
    traffic_init(&traffic, plan_connections(&plan));
    traffic.echo_bytes = plan.echo_bytes;
    open_connections(&plan, &traffic);
    const char *scheduling = claim_core(&plan);
    const struct reading before = read_counters(&plan);
    const struct window window =
        plan.requests ? run_counted(&plan, &traffic) : run_timed(&plan, &traffic);
    const struct reading after = read_counters(&plan);

    printf("%s, %s, %d loops; generator scheduled as %s\n", plan.place.load, plan.place.mode,
           plan.place.loops, scheduling);
    report_all(&plan, &traffic, &window, &before, &after);
    if (percentile_us(&traffic.lag, 99) > 1000) {
        printf("  warning: the generator itself was late by more than 1 ms; it needs more CPU\n");
    }
    free(before.counters);
    free(after.counters);
    traffic_fini(&traffic);
    plan_free(&plan);
    return traffic.errors ? 1 : 0;
}
