#!/usr/bin/env bash
# label: medium
# What bench/fairness prints is what it counted: shares in their order, and a bar that follows from
# them. How fair the machine was is not judged here: tests/sim/test_fairness.c does that, by counts.
set -u
program=$1/bench/fairness
[ -x "$program" ] || {
    echo "skipped: the benchmarks were not built"
    exit 77
}
[ "$(ulimit -H -n)" = unlimited ] || [ "$(ulimit -H -n)" -ge 2100 ] || {
    echo "skipped: needs 2100 descriptors (ulimit -H -n)"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

timeout 120 "$program" --quick --json "$work/figures" >"$work/out" 2>&1
status=$?
if ! [ "$status" -le 1 ]; then
    echo "FAILED: ended with $status"
    cat "$work/out"
    exit 1
fi
# Six runs of figures: equal and light at one loop and at two, heavy at one and at two.
awk -v status="$status" '
    function text(key) {
        if (!match($0, "\"" key "\":\"[^\"]*\""))
            return ""
        return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 5)
    }
    function number(key) {
        if (!match($0, "\"" key "\":[-0-9.e+]+"))
            return -1
        return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0
    }
    function fail(why) {
        print "FAILED: " place ": " why
        failed = 1
    }
    {
        place = text("load") "/" number("loops")
        places[place] = 1
        value[place, text("metric")] = number("value")
    }
    END {
        for (place in places) {
            count++
            slowest = value[place, "slowest connection"]
            average = value[place, "average"]
            fastest = value[place, "fastest connection"]
            p1 = value[place, "p1"]
            if (slowest < 0 || slowest > p1 || p1 > fastest || slowest > average ||
                average > fastest)
                fail("shares are not in order")
            ratio = value[place, "slowest to average"]
            if (average <= 0 || ratio - slowest / average > 0.001 ||
                slowest / average - ratio > 0.001)
                fail("the ratio is not that of the shares")
            missed += ratio < 0.5
        }
        if (count != 6)
            fail("there are " count " runs")
        if ((missed > 0) != status)
            fail("ended with " status " where " missed + 0 " missed")
        exit failed
    }' "$work/figures" || {
    cat "$work/out"
    exit 1
}
