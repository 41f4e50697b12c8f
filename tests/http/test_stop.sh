#!/usr/bin/env bash
# SIGTERM under load loses no request that was sent on an open connection, ends idle connections at
# once and the server with 0; SIGINT does the same.
# label: medium
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

ticks() {
    awk '{ print $14 + $15 }' "/proc/$pid/stat"
}

# It has used so much, or the client of this number has its answer.
has_used_or_answered() {
    [ "$(ticks)" -ge "$1" ] || [ -s "$work/answer.$2" ]
}

# Whether so many clients' ends of connections to the server are open.
has_clients() {
    local open
    open=$(awk -v port="$(printf ':%04X$' "$port")" '$3 ~ port && $4 == "01"' /proc/net/tcp | wc -l)
    [ "$open" -ge "$1" ]
}

# A loop stalls: it uses processor time. On a machine that gives it none the stall may be over before
# that is seen; then there is another one.
begin_stall() {
    local before i
    before=$(ticks)
    for i in 0 1 2 3 4 5 6 7 8 9; do
        ask "$i" "$work/stall"
        wait_until 20 has_used_or_answered $((before + 3)) "$i" || break
        [ "$(ticks)" -lt $((before + 3)) ] || return 0
    done
    failed "no loop stalls"
}

# ask NUMBER REQUEST
ask() {
    "$work/client" talk "$port" closed <"$2" >"$work/answer.$1" &
    clients[$1]=$!
}

# Connections that nobody has accepted when the signal comes are answered, too: those that come to a
# loop that stalls have to wait.
stop_with_a_queue() {
    local i clients=() asked
    rm -f "$work"/answer.*
    start_httpd --root "$work/root" --bench "$@"
    begin_stall
    asked=${#clients[@]}
    for i in 0 1 2 3 4 5; do
        ask $((asked + i)) "$work/request"
    done
    wait_until 10 has_clients $((asked + 6)) || failed "no clients"
    stop_httpd
    for i in "${!clients[@]}"; do
        wait "${clients[i]}" || failed "client $i of $* got no answer"
        grep -q '^HTTP/1.1 200 ' "$work/answer.$i" || failed "client $i of $* got another answer"
    done
}

printf 'GET /-/stall?ms=700 HTTP/1.1\r\nHost: test\r\n\r\n' >"$work/stall"
printf 'GET / HTTP/1.1\r\nHost: test\r\n\r\n' >"$work/request"
stop_with_a_queue --loops 1
for _ in 1 2 3 4; do # it is left to the kernel which loop stalls
    stop_with_a_queue --loops 2 --mode isolated
    stop_with_a_queue --loops 2 --mode stealing
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
