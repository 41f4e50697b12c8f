#!/usr/bin/env bash
# A request has to arrive within --header-timeout in all, however it trickles; a connection without
# one is closed after --idle-timeout. Others are served meanwhile.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
compile client

mkdir "$work/root"
echo page >"$work/root/index.html"
start_httpd --root "$work/root" --loops 2 --header-timeout 1 --idle-timeout 2

# took WHAT FILE LEAST MOST: the milliseconds in the first line of a file.
took() {
    local ms
    ms=$(head -n 1 "$2")
    [ "$ms" -ge "$3" ] && [ "$ms" -le "$4" ] || failed "$1: closed after $ms ms, not $3 to $4"
}

request='GET / HTTP/1.1\r\nHost: test\r\nX-Slow: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n'
# shellcheck disable=SC2059 # the requests are formats, for their escapes
{
    printf "$request" | "$work/client" drip "$port" 100 >"$work/slow" &
    printf 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc' |
        "$work/client" drip "$port" 1 >"$work/body" &
    printf 'GET / HTTP/1.1\r\nHost: test\r\n\r\n' | "$work/client" drip "$port" 1 >"$work/kept" &
    "$work/client" drip "$port" 100 </dev/null >"$work/silent" &
}
clients=$(jobs -p | grep -vx "$pid")
for ((i = 0; i < 20; i++)); do
    printf 'GET / HTTP/1.1\r\nHost: test\r\n\r\n' | "$work/client" talk "$port" >"$work/other" ||
        failed "slow clients keep another one from its answer"
done
# shellcheck disable=SC2086 # the clients are words
wait $clients

took "slow header" "$work/slow" 900 6000
grep -q '^HTTP/1.1 408 ' "$work/slow" || failed "slow header: no 408"
took "slow body" "$work/body" 900 6000
grep -q '^HTTP/1.1 408 ' "$work/body" || failed "slow body: no 408"
took "kept connection" "$work/kept" 1900 7000
grep -q '^HTTP/1.1 200 ' "$work/kept" || failed "kept connection: no answer"
grep -q 408 "$work/kept" && failed "kept connection: a 408 without a request"
took "silent connection" "$work/silent" 1900 7000
[ "$(wc -l <"$work/silent")" -eq 1 ] || failed "silent connection: got an answer to nothing"

stop_httpd
finish
