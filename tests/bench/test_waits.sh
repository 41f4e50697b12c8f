#!/usr/bin/env bash
# The waits that docs/guide/fairness.md promises to be bounded are: in played time, so whatever the
# machine does. They are the same each time; and what bench/sweep varies for the page of constants,
# the page has a row for.
# label: medium
set -u
program=$1/bench/waits
root=$(cd "$(dirname "$0")/../.." && pwd)
[ -x "$program" ] || {
    echo "skipped: the benchmarks were not built"
    exit 77
}
# One thread plays all others: there is nothing for it to find, and it takes minutes.
grep -q '^WHORL_SANITIZE:[A-Z]*=thread$' "$1/CMakeCache.txt" && {
    echo "skipped: ThreadSanitizer"
    exit 77
}

failed() {
    echo "FAILED: $*"
    exit 1
}

# most WAIT LOOPS US: nobody waits longer.
most() {
    local line most
    line=$(timeout 120 "$program" "$1" "$2") || failed "$1 at $2 loops ended with $?"
    most=$(sed -n 's/^'"$1"': [0-9.]* us, \([0-9]*\)\.[0-9] at most; each time .*/\1/p' <<<"$line")
    [ -n "$most" ] && [ "$most" -gt 0 ] || failed "$1 at $2 loops says '$line'"
    [ "$most" -le "$3" ] || failed "$1 at $2 loops: $most us at most, and not $3"
}

# A turn (100 us, and what of it was begun), and whoever is in line: ten of 9.5 us.
for loops in 1 2 4; do
    most socket "$loops" 300
    most timer "$loops" 200
    most unix "$loops" 1100
    most accept "$loops" 50100
done
for loops in 2 4; do
    most thread "$loops" 680     # 61 runs, and a turn
    most beside-chain "$loops" 50 # four runs
    most beside-lock "$loops" 1450 # 256 calls of up to 5.5 us
    most beside-io "$loops" 400   # 64 of them
    most stuck "$loops" 5000      # 2 ms, and two looks
    most ready "$loops" 1000
    most echo "$loops" 2000
done
most quiet 2 10
most stacks 2 200000 # of 6000, 16 in a millisecond by each of two loops; some are kept

[ "$("$program" stuck 3)" = "$("$program" stuck 3)" ] || failed "a second run differs"
output=$("$program" socket 2>&1) && failed "takes one argument"
output=$("$program" sleep 2 2>&1) && failed "knows a wait that there is not"
[[ $output == *"no wait sleep"* ]] || failed "says of an unknown wait: $output"

# Each line of the page's list: FILE NAME WHAT LOOPS VALUE...
page=$root/docs/decisions/013-constants.md
lines=0
while read -r file name what _; do
    grep -q "^| \`$name\` | .* | \`$file\` | .*\`$what 2\`" "$page" ||
        failed "the page has no row for $name in $file with a figure of '$what 2'"
    lines=$((lines + 1))
done < <(sed -n "/^page() {/,/^}/{/^runtime/p}" "$root/bench/sweep")
[ "$lines" -ge 20 ] || failed "bench/sweep --page has $lines lines"
figures=$(grep '^|' "$page" | grep -o "sweep \`[a-z-]* 2\`" | wc -l)
[ "$figures" -eq "$lines" ] || failed "bench/sweep --page makes $lines figures, the page has $figures"
