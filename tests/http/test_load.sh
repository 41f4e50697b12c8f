#!/usr/bin/env bash
# wrk (HTTP/1.1) and ab -k (HTTP/1.0 with keep-alive) find no error, with one loop and with several,
# in each mode; and no connection is forgotten while requests differ much in what they cost.
# label: medium
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need wrk ab
compile client

mkdir "$work/root"
echo 'Hello, World!' >"$work/root/index.html"
head -c 200000 /dev/zero >"$work/root/large.bin"

# Reads wrk's output: answers, and nothing but good ones.
check_wrk() {
    local output=$1 what=$2
    if grep -E 'Socket errors|Non-2xx' "$output" || ! grep -Eq '^ +[1-9][0-9]* requests in' "$output"; then
        cat "$output"
        failed "wrk: $what"
    fi
}

check_ab() {
    local output=$1 count=$2 what=$3
    if grep -q 'Non-2xx' "$output" ||
        ! grep -Eq "^Complete requests: +$count\$" "$output" ||
        ! grep -Eq '^Failed requests: +0$' "$output" ||
        ! grep -Eq "^Keep-Alive requests: +$count\$" "$output"; then
        cat "$output"
        failed "ab: $what"
    fi
}

# wrk does not miss an answer that never comes; this client does. Two at a time: one whose requests
# are light, one whose requests hold their loop for longer than it takes to be rescued.
check_nobody_is_forgotten() {
    local light
    "$work/client" load "$port" 50 2000 '/-/work?units=5' >"$work/light.out" &
    light=$!
    "$work/client" load "$port" 4 2000 '/-/work?units=1000' >"$work/heavy.out" ||
        failed "heavy requests, $*: $(tail -n 1 "$work/heavy.out")"
    wait "$light" || failed "light requests, $*: $(tail -n 1 "$work/light.out")"
}

run_load() {
    local url what=$* output=$work/load.out
    start_httpd --root "$work/root" --bench "$@"
    url=http://127.0.0.1:$port
    timeout 60 wrk --timeout 10s -t 1 -c 64 -d "$seconds" "$url/" >"$output" 2>&1
    check_wrk "$output" "small file, $what"
    timeout 60 wrk --timeout 10s -t 1 -c 8 -d 1 "$url/large.bin" >"$output" 2>&1
    check_wrk "$output" "large file, $what"
    timeout 60 ab -q -k -c 16 -n 5000 "$url/" >"$output" 2>&1
    check_ab "$output" 5000 "$what"
    check_nobody_is_forgotten "$@"
    stop_httpd
}

seconds=5
run_load --loops 1
run_load --loops 4 --mode stealing
seconds=1
run_load --loops 4 --mode isolated
finish
