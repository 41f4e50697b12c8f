#!/usr/bin/env bash
# The report's words follow from the figures: exchanged figures give the opposite verdict.
set -u
report=$(dirname "${BASH_SOURCE[0]}")/../../bench/report
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

failed() {
    echo "FAILED: $*"
    cat "$work/report"
    exit 1
}

# one LOAD MODE METRIC VALUE
one() {
    printf '{"bench":"http","load":"%s","mode":"%s","loops":2,"metric":"%s","value":%s,"unit":"us"}\n' \
        "$@" >>"$work/figures"
}

# cell LOAD MODE RATE P99: one round of it.
cell() {
    one "$1" "$2" rate "$3"
    one "$1" "$2" "light p50" 90
    one "$1" "$2" "light p99" "$4"
    one "$1" "$2" "light p99.9" 20000
    one "$1" "$2" "server CPU" 15
    one "$1" "$2" "busiest loop" 0.5
    one "$1" "$2" steals 0
}

# rounds ISOLATED STEALING: three rounds, whose p99 differ a little and come unsorted.
rounds() {
    local more
    rm -f "$work/figures"
    for more in 7 0 3; do
        cell skewed single 5000 $((20000 + more))
        cell skewed isolated 5000 $(($1 + more))
        cell skewed stealing 5000 $(($2 + more))
    done
    "$report" -v json="$work/json" "$work/figures" >"$work/report" || failed "it ended with $?"
}

says() {
    grep -qF -- "$1" "$work/report" || failed "it does not say: $1"
}

test_verdict_stealing_better_says_so() {
    rounds 12000 3000
    says "skewed: stealing has the best p99, 3.00 ms: 0.15 of single's, 0.25 of isolated's. No round overlaps."
    says "pass  skewed, p99 of stealing to isolated: 0.250"
    says "3000..3007"
}

test_verdict_stealing_worse_says_so() {
    rounds 3000 12000
    says "skewed: isolated has the best p99, 3.00 ms"
    says "light p99 12003 against 3003 (+300 %)"
    says "MISS  skewed, p99 of stealing to isolated: 3.997"
}

test_verdict_rounds_overlap_says_so() {
    rounds 3001 3000
    says "Some rounds overlap"
}

test_figures_three_rounds_median_written() {
    rounds 12000 3000
    grep -qF '"load":"skewed","mode":"stealing","loops":2,"metric":"light p99","value":3003,"unit":"us","min":3000,"max":3007,"rounds":3' \
        "$work/json" || failed "the median is not among the figures"
}

test_checks_requests_failed_are_told() {
    rounds 12000 3000
    one skewed stealing errors 4
    "$report" "$work/figures" >"$work/report"
    says "skewed, stealing: up to 4 requests failed in a round"
}

test_bars_machine_busy_is_told() {
    rounds 12000 3000
    one skewed isolated "other processes" 0.4
    "$report" "$work/figures" >"$work/report"
    says "other processes were busy, so measure again"
    says "skewed, isolated: other processes used 0.40 of a core meanwhile"
}

test_figures_none_one_line() {
    : >"$work/figures"
    "$report" "$work/figures" >"$work/report" 2>&1
    [ $? -eq 2 ] || failed "no figures were taken for some"
}

test_verdict_stealing_better_says_so
test_verdict_stealing_worse_says_so
test_verdict_rounds_overlap_says_so
test_figures_three_rounds_median_written
test_checks_requests_failed_are_told
test_bars_machine_busy_is_told
test_figures_none_one_line
echo "all as expected"
