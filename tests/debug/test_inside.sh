#!/usr/bin/env bash
# test_inside.sh - docs/examples/inside: what it is scraped for is what Prometheus reads, and what a
# signal makes it say is what docs/guide/looking-inside.md shows, but for the figures.
set -u
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guide=$here/../../docs/guide/looking-inside.md
example=$build/docs/examples/inside
work=$(mktemp -d) || exit 1
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid"; rm -rf "$work"' EXIT
failures=0

skip() {
    echo "skipped: $*"
    exit 77
}

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# Up to ten seconds until the command succeeds.
wait_until() {
    local i
    for ((i = 0; i < 1000; i++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.01
    done
    return 1
}

for program in curl python3; do
    command -v "$program" >/dev/null || skip "there is no $program"
done
python=python3 # the one that Debian's packages are for, if there are several
! /usr/bin/python3 -c 'import prometheus_client' 2>/dev/null || python=/usr/bin/python3
[ -x "$example" ] || skip "the examples are not built"

"$example" 0 >"$work/address" 2>"$work/dump" &
pid=$!
wait_until grep -q http "$work/address" || failed "it does not say where it listens"
curl -s -D "$work/head" -o "$work/metrics" --max-time 20 "$(cat "$work/address")" ||
    failed "curl ended with $?"

# ---- counters ----

grep -qi '^content-type: text/plain; version=0.0.4' "$work/head" || failed "the content type is wrong"
"$python" "$here/check_exposition.py" <"$work/metrics" || failed "this is no exposition"
for name in turns runs steals_tried steals overflows sleeps wakes missed_wakes polls timers rescues \
    migrations; do
    for loop in 0 1; do
        grep -qE "^whorl_${name}_total\{runtime=\"1\",loop=\"$loop\"\} [0-9]+$" "$work/metrics" ||
            failed "no $name of loop $loop"
    done
done

# The checker is not one that likes everything.
refuses() {
    sed "$1" "$work/metrics" | "$python" "$here/check_exposition.py" >/dev/null &&
        failed "the checker accepts: $1"
}
refuses '/^# HELP whorl_turns_total/d'
refuses '/^# TYPE whorl_turns_total/d'
refuses 's/_total/_count/'
refuses '/^whorl_turns_total/s/loop="1"/loop="0"/'
refuses '/^whorl_turns_total/s/"} /} /'
refuses '1h; $G'
refuses 's/^\(whorl_tasks{.*}\) [0-9]*$/\1 1.5/'

# ---- the dump ----

# Words with their figures taken out, and of loops what depends on the moment.
shape() {
    sed -E -e 's/(gather|task):[0-9a-fx]+/\1:N/g' -e 's/=-?[0-9][-0-9.:TZs\/]*/=N/g' \
        -e 's/program\+0x[0-9a-f]+/program+N/' -e '/^loop=/s/ state=.*//' "$1" |
        grep -E '^(whorl|runtime|loop|task|tasks)' | sort
}

# The last dump so far.
last_dump() {
    awk '/^whorl / { text = "" } { text = text $0 "\n" } END { printf "%s", text }' "$work/dump"
}

has_dumps() {
    [ "$(grep -c '^tasks=' "$work/dump")" -ge "$1" ]
}

awk '/^```text$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$guide" |
    awk '/^whorl .* dump/ { ours = 1 } /^tasks=/ && ours { print; exit } ours' >"$work/shown"
[ -s "$work/shown" ] || failed "the guide shows no dump"

# ThreadSanitizer keeps a signal until the thread that got it calls one of its functions; the one
# that waits in whorl_run calls none.
tries=20
! grep -q '^WHORL_SANITIZE:.*=thread$' "$build/CMakeCache.txt" || tries=0

# The server may still be about to close its connection: so there are some tries.
for ((try = 1; try <= tries; try++)); do
    kill -QUIT "$pid"
    wait_until has_dumps "$try" || {
        failed "the signal brought no dump"
        break
    }
    last_dump >"$work/last"
    ! diff <(shape "$work/shown") <(shape "$work/last") >"$work/difference" || break
    sleep 0.1
done
touch "$work/difference"
[ ! -s "$work/difference" ] || {
    cat "$work/difference"
    failed "the guide shows another dump"
}
kill -0 "$pid" 2>/dev/null || failed "the signal ended the program"

if [ "$failures" -gt 0 ]; then
    cat "$work/dump" "$work/metrics"
    echo "$failures failed"
    exit 1
fi
[ "$tries" -gt 0 ] && echo passed || echo "passed, but for the signal: a sanitizer keeps it"
