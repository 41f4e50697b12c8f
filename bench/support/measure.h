/*
 * measure.h - what every benchmark does besides its own question: options, clocks, medians.
 *
 * Threads:    one; nothing here is shared.
 * Invariant:  a program either prints figures that it checked, or ends with one line and status 2.
 *             Status 1 says that a figure missed its bar.
 */
#ifndef WHORL_BENCH_MEASURE_H
#define WHORL_BENCH_MEASURE_H

#include "base/compiler.h"
#include "json.h"

#include <stdbool.h>
#include <stdint.h>

#define BENCH_ROUNDS_MAX 99

/* What a program's command line may say; each has --json FILE, --rounds N, --quick and --help. */
struct bench_options {
    const char *json_path;
    int rounds; /* many short ones: a median of these passes over what others do meanwhile */
    bool quick; /* a tenth of the work in three rounds, for a look */
};

/* Prints `help` and ends for --help; ends with one line for a bad option. */
struct bench_options bench_options_parse(int argc, char **argv, int rounds_default,
                                         const char *help);

/* Prints "program: message" and ends with status 2. */
WHORL_PRINTF(1, 2) WHORL_COLD _Noreturn void bench_die(const char *format, ...);

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t bench_now_ns(void);

/* A positive number from an option's text, or bench_die. */
long bench_parse_count(const char *option, const char *text, long max);
double bench_parse_number(const char *option, const char *text);

/* Pins the calling thread to the index-th core it is allowed to use, counted round and round. */
void bench_pin(int index);

/* How many cores the calling thread may use. */
int bench_core_count(void);

/* One variant's rounds. */
struct bench_series {
    double values[BENCH_ROUNDS_MAX];
    int count;
};

void bench_series_add(struct bench_series *series, double value);
double bench_series_min(const struct bench_series *series);
double bench_series_max(const struct bench_series *series);
double bench_series_median(const struct bench_series *series);

/* One line for a person and the median as a figure, with its spread. */
void bench_report(struct json *json, const struct json_place *place, const char *metric,
                  const struct bench_series *series, const char *unit);

/*
 * Says whether `value` keeps to its bar, which is a most, in words and as figures (`metric`, and
 * `metric bar`). Returns what the program ends with: 0 kept, 1 missed.
 */
int bench_report_bar(struct json *json, const struct json_place *place, const char *metric,
                     double value, double bar, const char *unit);

/*
 * The same of ratios, each of two measured side by side. It is missed only if the lower end of the
 * 95 % interval of their median is above the bar. Of fewer than six ratios there is no such
 * interval, and the lowest stands for its end: measure BENCH_PAIRS_LEAST of them, or more.
 */
#define BENCH_PAIRS_LEAST 7
int bench_report_paired_bar(struct json *json, const struct json_place *place, const char *metric,
                            const struct bench_series *ratios, double bar);

#endif
