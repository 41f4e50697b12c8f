/*
 * switch.c - what the cheapest possible change of task costs.
 *
 * Question:    how long does a bare switch between two stacks take, with few stacks and with many?
 * Good answer: a small multiple of a locked compare-and-swap, and with 1000 stacks not much more
 *              than with two: the saved registers then come from the second cache, not the first.
 *
 * There is no scheduler here. yield.c sets a task's whole yield against the second figure.
 */
#include "support/measure.h"
#include "support/yardstick.h"

#define SWITCHES 4000000L

static const char help[] =
    "Times a locked compare-and-swap, and a switch in a ring of 2 and of 1000 fibers.";

int main(int argc, char **argv)
{
    const struct bench_options options = bench_options_parse(argc, argv, 15, help);
    const long count = options.quick ? SWITCHES / 10 : SWITCHES;
    struct bench_series cas = {.count = 0};
    struct bench_series two = {.count = 0};
    struct bench_series thousand = {.count = 0};
    struct json json;
    if (json_open(&json, options.json_path)) {
        bench_die("cannot write %s", options.json_path);
    }
    bench_pin(0);
    yardstick_cas_ns(count); /* the core leaves its slow clock */
    for (int round = 0; round < options.rounds; round++) {
        bench_series_add(&cas, yardstick_cas_ns(count));
        bench_series_add(&two, yardstick_switch_ns(2, count));
        bench_series_add(&thousand, yardstick_switch_ns(1000, count));
    }
    const struct json_place cas_place = {"switch", "one word", "bare", 0};
    const struct json_place two_place = {"switch", "2 fibers", "bare", 0};
    const struct json_place thousand_place = {"switch", "1000 fibers", "bare", 0};
    bench_report(&json, &cas_place, "locked CAS", &cas, "ns");
    bench_report(&json, &two_place, "switch", &two, "ns");
    bench_report(&json, &thousand_place, "switch", &thousand, "ns");
    return json_close(&json) ? 2 : 0;
}
