#!/usr/bin/env bash
# The load generator tells the truth: it sends as many requests as it was asked to, and charges a
# server that pauses for everybody whose request was due meanwhile.
set -u
build=$1/bench
[ -x "$build/load" ] && [ -x "$build/raw_epoll" ] || {
    echo "skipped: the benchmarks were not built"
    exit 77
}
work=$(mktemp -d)
server=
trap 'kill -KILL $server 2>/dev/null; rm -rf "$work"' EXIT

failed() {
    echo "FAILED: $*"
    cat "$work/load.out" 2>/dev/null
    exit 1
}

# start_server OPTION...: sets server and port.
start_server() {
    local tries
    : >"$work/server.out"
    "$build/raw_epoll" "$@" >"$work/server.out" &
    server=$!
    for ((tries = 0; tries < 200; tries++)); do
        port=$(sed -n 's/^listening on //p' "$work/server.out")
        [ -z "$port" ] || return 0
        sleep 0.05
    done
    failed "the server did not start"
}

drive() {
    "$build/load" --port "$port" --echo 64 --json "$work/figures" "$@" >"$work/load.out" 2>&1
}

# figure METRIC: its value, whole.
figure() {
    sed -n "s/.*\"metric\":\"$1\",\"value\":\([0-9]*\).*/\1/p" "$work/figures"
}

# expect METRIC at-least|at-most NUMBER
expect() {
    local value
    value=$(figure "$1")
    case $2 in
    at-least) [ "$value" -ge "$3" ] ;;
    at-most) [ "$value" -le "$3" ] ;;
    esac || failed "$1 is $value, expected $2 $3"
}

# The server ends after that many requests, so a request too few or too many would show.
test_requests_counted_server_ends() {
    start_server --requests 3000
    drive --requests 3000 --class echo,7,max,fixed,spread,- || failed "load ended with $?"
    wait "$server" || failed "the server ended with $?"
}

# A fifth of the window is a pause: a generator that waited for answers would have sent eight
# requests in it, one a connection, and its p99 would not know.
test_latency_server_pauses_all_are_charged() {
    start_server
    drive --warm-up 0.1 --seconds 1.5 --class echo,8,1000,fixed,spread,- &
    local load=$!
    sleep 0.5
    kill -STOP "$server"
    sleep 0.4
    kill -CONT "$server"
    wait "$load" || failed "load ended with $?"
    kill "$server"
    expect "echo requests" at-least 1480
    expect "echo requests" at-most 1520
    expect "echo p99" at-least 200000
    expect "echo unanswered" at-most 0
}

# What was never answered counts as well, with the time that it waited.
test_latency_server_stops_the_rest_is_counted() {
    start_server
    drive --warm-up 0 --seconds 0.6 --class echo,8,1000,poisson,spread,- &
    local load=$!
    sleep 0.3
    kill -STOP "$server"
    wait "$load"
    kill -KILL "$server"
    wait "$server" 2>/dev/null
    expect "echo requests" at-least 450
    expect "echo unanswered" at-least 50
    expect "echo max" at-least 2900000
}

test_options_wrong_one_line() {
    drive --class echo,8,often,poisson,spread,-
    [ $? -eq 2 ] || failed "a wrong rate was taken"
    [ "$(wc -l <"$work/load.out")" -eq 1 ] || failed "more than one line for a wrong rate"
}

test_requests_counted_server_ends
test_latency_server_pauses_all_are_charged
test_latency_server_stops_the_rest_is_counted
test_options_wrong_one_line
echo "all as expected"
