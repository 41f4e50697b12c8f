#!/usr/bin/env bash
# SIGTERM under load loses no request that was sent on an open connection, ends idle connections at
# once and the server with 0; SIGINT does the same.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
compile client

mkdir "$work/root"
echo page >"$work/root/index.html"
head -c 300000 /dev/zero >"$work/root/large.bin"

has_begun() {
    grep -qs '^begun' "$work/load.out"
}

# stop_under_load PATH OPTION...
stop_under_load() {
    local path=$1 loader
    shift
    start_httpd --root "$work/root" --bench "$@"
    : >"$work/load.out"
    "$work/client" load "$port" 20 20000 "$path" >"$work/load.out" &
    loader=$!
    started+=("$loader")
    wait_until 10 has_begun || failed "no load on $path"
    stop_httpd
    wait "$loader" || failed "$path, $*: $(tail -n 1 "$work/load.out")"
}

for mode in "--loops 1" "--loops 4 --mode isolated" "--loops 4 --mode stealing"; do
    # shellcheck disable=SC2086 # the mode is words
    {
        stop_under_load / $mode
        stop_under_load /large.bin $mode
        stop_under_load '/-/work?units=100' $mode
        stop_under_load '/-/stall?ms=20' $mode
    }
done

# Idle connections do not hold the end up.
is_crowded() {
    grep -qs '^open 50' "$work/crowd.out"
}

start_httpd --root "$work/root" --loops 2
mkfifo "$work/hold"
"$work/client" crowd "$port" 50 <"$work/hold" >"$work/crowd.out" &
crowd=$!
started+=("$crowd")
exec 8>"$work/hold"
wait_until 10 is_crowded || failed "no crowd"
begin=$SECONDS
kill -INT "$pid"
wait_until 20 is_gone "$pid" || failed "httpd did not end within 20 s of SIGINT"
wait "$pid" || failed "httpd ended with $? after SIGINT"
[ $((SECONDS - begin)) -le 4 ] || failed "idle connections held the end up for $((SECONDS - begin)) s"
exec 8>&-
wait "$crowd"
finish
