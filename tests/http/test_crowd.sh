#!/usr/bin/env bash
# Rude crowds: clients that connect and say nothing, that reset in the middle of a request, and more
# of them than there are descriptors. The server goes on, and gives all descriptors back.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
compile client

mkdir "$work/root"
echo page >"$work/root/index.html"
echo other >"$work/root/other.html"

is_served() {
    printf 'GET /%s HTTP/1.1\r\nHost: test\r\n\r\n' "$1" | timeout 15 "$work/client" talk "$port" \
        2>/dev/null | grep -q '^HTTP/1.1 200 '
}

# Sockets only: a sanitizer that reports something opens pipes of its own.
open_sockets() {
    find "/proc/$pid/fd" -lname 'socket:*' 2>/dev/null | wc -l
}

has_sockets() {
    [ "$(open_sockets)" -le "$1" ]
}

is_crowded() {
    grep -qs '^open ' "$work/crowd.out"
}

# hold_crowd COUNT: so many connections until release_crowd.
hold_crowd() {
    rm -f "$work/hold" "$work/crowd.out"
    mkfifo "$work/hold"
    "$work/client" crowd "$port" "$1" <"$work/hold" >"$work/crowd.out" &
    crowd=$!
    started+=("$crowd")
    exec 8>"$work/hold"
    wait_until 20 is_crowded || failed "a crowd of $1 could not connect"
}

release_crowd() {
    exec 8>&-
    wait "$crowd" || failed "the crowd could not connect: $(cat "$work/crowd.out")"
}

test_idle_and_reset_clients_do_no_harm() {
    local before
    start_httpd --root "$work/root" --loops 4
    is_served index.html || failed "not served at first"
    wait_until 10 has_sockets 4 || failed "a connection stays without its client"
    before=$(open_sockets)
    hold_crowd 500
    is_served index.html || failed "not served beside 500 idle clients"
    "$work/client" crowd "$port" 500 reset >/dev/null || failed "reset clients could not connect"
    is_served index.html || failed "not served after 500 resets"
    release_crowd
    wait_until 20 has_sockets "$before" || failed "$(open_sockets) sockets are open, not $before"
    stop_httpd
}

# The listening sockets' queues hold those who find no descriptor; they are served in their turn.
test_descriptors_run_out_and_come_back() {
    local loops=$1
    httpd_prefix=(bash -c 'ulimit -n 40 && exec "$@"' limited)
    start_httpd --root "$work/root" --loops "$loops"
    httpd_prefix=()
    is_served index.html || failed "not served at first, loops $loops"
    hold_crowd 100
    release_crowd
    wait_until 20 is_served other.html || failed "not served after descriptors ran out, loops $loops"
    hold_crowd 100
    release_crowd
    wait_until 20 is_served index.html || failed "not served the second time, loops $loops"
    stop_httpd
}

test_idle_and_reset_clients_do_no_harm
test_descriptors_run_out_and_come_back 1
test_descriptors_run_out_and_come_back 2
finish
