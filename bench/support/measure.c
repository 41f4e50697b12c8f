/*
 * measure.c - options, clocks, medians: see measure.h.
 */
#include "support/measure.h"

#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_die(const char *format, ...)
{
    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

long bench_parse_count(const char *option, const char *text, long max)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > max) {
        bench_die("%s wants a whole number from 1 to %ld, not '%s'", option, max, text);
    }
    return value;
}

double bench_parse_number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    const double value = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(value) || value < 0) {
        bench_die("%s wants a number from 0 on, not '%s'", option, text);
    }
    return value;
}

struct bench_options bench_options_parse(int argc, char **argv, int rounds_default,
                                         const char *help)
{
    static const struct option known[] = {{"json", required_argument, NULL, 'j'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"quick", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct bench_options options = {.rounds = 0};
    int choice;
    while ((choice = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (choice) {
        case 'j':
            options.json_path = optarg;
            break;
        case 'r':
            options.rounds = (int)bench_parse_count("--rounds", optarg, BENCH_ROUNDS_MAX);
            break;
        case 'q':
            options.quick = true;
            break;
        case 'h':
            printf("usage: %s [--rounds N] [--quick] [--json FILE]\n\n%s\n",
                   program_invocation_short_name, help);
            exit(0);
        default:
            bench_die("try --help");
        }
    }
    if (optind < argc) {
        bench_die("'%s' is not an option; try --help", argv[optind]);
    }
    if (!options.rounds) {
        options.rounds = options.quick && rounds_default > 3 ? 3 : rounds_default;
    }
    return options;
}

int64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int bench_core_count(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed)) {
        bench_die("cannot ask which cores may be used: %s", strerror(errno));
    }
    return CPU_COUNT(&allowed);
}

void bench_pin(int index)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed)) {
        bench_die("cannot ask which cores may be used: %s", strerror(errno));
    }
    index %= CPU_COUNT(&allowed);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &allowed) || index-- > 0) {
        cpu++;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one)) {
        bench_die("cannot stay on core %zu: %s", cpu, strerror(errno));
    }
}

void bench_series_add(struct bench_series *series, double value)
{
    if (series->count < BENCH_ROUNDS_MAX) {
        series->values[series->count++] = value;
    }
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_series_median(const struct bench_series *series)
{
    if (!series->count) {
        return NAN;
    }
    struct bench_series sorted = *series;
    const int middle = sorted.count / 2;
    qsort(sorted.values, (size_t)sorted.count, sizeof(double), compare_doubles);
    return sorted.count % 2 ? sorted.values[middle]
                            : (sorted.values[middle - 1] + sorted.values[middle]) / 2;
}

double bench_series_min(const struct bench_series *series)
{
    double least = NAN;
    for (int i = 0; i < series->count; i++) {
        least = fmin(least, series->values[i]); /* fmin passes over NAN */
    }
    return least;
}

double bench_series_max(const struct bench_series *series)
{
    double most = NAN;
    for (int i = 0; i < series->count; i++) {
        most = fmax(most, series->values[i]);
    }
    return most;
}

void bench_report(struct json *json, const struct json_place *place, const char *metric,
                  const struct bench_series *series, const char *unit)
{
    const double median = bench_series_median(series);
    char name[64];
    printf("%-10s %-24s %-10s %2d %-22s %12.4g %-4s (%.4g..%.4g, %d rounds)\n", place->bench,
           place->load, place->mode, place->loops, metric, median, unit, bench_series_min(series),
           bench_series_max(series), series->count);
    json_figure(json, place, metric, median, unit);
    snprintf(name, sizeof(name), "%s min", metric);
    json_figure(json, place, name, bench_series_min(series), unit);
    snprintf(name, sizeof(name), "%s max", metric);
    json_figure(json, place, name, bench_series_max(series), unit);
}

int bench_report_bar(struct json *json, const struct json_place *place, const char *metric,
                     double value, double bar, const char *unit)
{
    char name[64];
    const bool kept = value <= bar;
    printf("%s: %s, %s is %.3g %s, the bar is at most %.3g %s\n", place->bench,
           kept ? "kept" : "MISSED", metric, value, unit, bar, unit);
    json_figure(json, place, metric, value, unit);
    snprintf(name, sizeof(name), "%s bar", metric);
    json_figure(json, place, name, bar, unit);
    return kept ? 0 : 1;
}

/*
 * How many values there are below the interval of the median that holds it with 95 %, and as many
 * above: each value is below the median in one case of two, whatever the values are distributed by.
 */
static int outside_interval(int count)
{
    double chance = pow(0.5, count); /* of no value below the median, then of one, ... */
    double sum = chance;
    int outside = 0;
    while (outside < count && sum <= 0.025) {
        chance *= (double)(count - outside) / (outside + 1);
        outside++;
        sum += chance;
    }
    return outside > 0 ? outside - 1 : 0;
}

int bench_report_paired_bar(struct json *json, const struct json_place *place, const char *metric,
                            const struct bench_series *ratios, double bar)
{
    char name[64];
    struct bench_series sorted = *ratios;
    qsort(sorted.values, (size_t)sorted.count, sizeof(double), compare_doubles);
    const int outside = outside_interval(sorted.count);
    const double low = sorted.values[outside];
    const double high = sorted.values[sorted.count - 1 - outside];
    const double median = bench_series_median(ratios);
    const bool kept = low <= bar;
    printf("%s: %s, %s is %.3g times (%d pairs, 95 %% interval %.3g..%.3g), the bar is at most "
           "%.3g times\n",
           place->bench, kept ? "kept" : "MISSED", metric, median, sorted.count, low, high, bar);
    json_figure(json, place, metric, median, "times");
    snprintf(name, sizeof(name), "%s low", metric);
    json_figure(json, place, name, low, "times");
    snprintf(name, sizeof(name), "%s high", metric);
    json_figure(json, place, name, high, "times");
    snprintf(name, sizeof(name), "%s bar", metric);
    json_figure(json, place, name, bar, "times");
    return kept ? 0 : 1;
}
