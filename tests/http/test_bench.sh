#!/usr/bin/env bash
# The endpoints of --bench, on which the benchmarks stand: they tell both loops, count each request
# once, by its home and by where it ran, and are not there without the option.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need curl awk

mkdir "$work/root"
echo page >"$work/root/index.html"

get() {
    curl -sS --max-time 20 "$@"
}

status_of() {
    get -o "$work/body" -w '%{http_code}' "http://127.0.0.1:$port$1"
}

# The sum of a counter over the loops; or the counter $1 itself if it has no loop.
stat_of() {
    get "http://127.0.0.1:$port/-/stats" |
        awk -v name="$1" '$1 == name || $1 ~ "^loop[0-9]+\\." name "$" { sum += $2; n++ }
            END { if (n) print sum; else print "none" }'
}

is_stat() {
    local value
    value=$(stat_of "$1")
    [ "$value" = "$2" ] || failed "$1 is $value, not $2 ($what)"
}

test_every_answer_tells_its_loops() {
    local path headers
    for path in '/-/work?units=1' '/-/stall?ms=1' /-/loop /-/stats; do
        headers=$(get -D - -o "$work/body" "http://127.0.0.1:$port$path" | tr -d '\r')
        for name in X-Whorl-Loop X-Whorl-Ran; do
            grep -Eq "^$name: [0-9]+\$" <<<"$headers" || failed "$path has no $name ($what)"
        done
        [ -s "$work/body" ] || failed "$path has no body ($what)"
    done
}

# Eight clients at a time, so that with stealing some requests run away from home.
test_requests_are_counted_once() {
    local light heavy ran i urls=()
    light=$(stat_of light)
    heavy=$(stat_of heavy)
    ran=$(stat_of ran)
    for ((i = 0; i < 80; i++)); do
        urls+=("http://127.0.0.1:$port/-/work?units=$((i % 4 == 0 ? 10 : 9))")
    done
    get -Z --parallel-max 8 "${urls[@]}" >/dev/null 2>"$work/curl.err" ||
        failed "work is not answered ($what): $(cat "$work/curl.err")"
    is_stat light $((light + 60))
    is_stat heavy $((heavy + 20))
    is_stat ran $((ran + 80))
}

test_work_depends_on_its_units_only() {
    local one two
    one=$(get "http://127.0.0.1:$port/-/work?units=3")
    two=$(get "http://127.0.0.1:$port/-/work?units=3")
    [ "$one" = "$two" ] || failed "the same work gave $one and $two"
    two=$(get "http://127.0.0.1:$port/-/work?units=4")
    [ "$one" != "$two" ] || failed "other work gave the same $one"
}

test_stall_takes_its_time() {
    local took
    took=$(get -o "$work/body" -w '%{time_total}' "http://127.0.0.1:$port/-/stall?ms=200")
    awk -v took="$took" 'BEGIN { exit !(took >= 0.2) }' || failed "a stall of 200 ms took $took s"
}

test_bad_queries_are_400_and_unknown_names_404() {
    local query
    for query in 'work' 'work?units=' 'work?units=x' 'work?units=100001' 'work?units=-1' \
        'work?unit=1' 'stall' 'stall?ms=1001' 'work?units=99999999999999999999'; do
        [ "$(status_of "/-/$query")" = 400 ] || failed "/-/$query is not refused"
    done
    [ "$(status_of /-/)" = 404 ] || failed "/-/ is there"
    [ "$(status_of /-/other)" = 404 ] || failed "/-/other is there"
}

for what in "--loops 1" "--loops 3 --mode isolated" "--loops 3 --mode stealing"; do
    # shellcheck disable=SC2086 # words
    start_httpd --root "$work/root" --bench $what
    test_every_answer_tells_its_loops
    test_requests_are_counted_once
    test_work_depends_on_its_units_only
    test_stall_takes_its_time
    test_bad_queries_are_400_and_unknown_names_404
    [ "$(stat_of missed_wakes)" = 0 ] || failed "wake-ups were missed ($what)"
    stop_httpd
done

what="without --bench"
start_httpd --root "$work/root" --loops 1
[ "$(status_of '/-/work?units=1')" = 404 ] || failed "/-/work is there without --bench"
stop_httpd
finish
