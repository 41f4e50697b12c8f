#!/usr/bin/env bash
# httpd's command line: what is wrong is refused with a word on what to do, and nothing hangs.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need curl timeout

mkdir "$work/root"
echo page >"$work/root/index.html"

# refuses CODE PATTERN OPTION...: ends with that code, and says what matches the pattern.
refuses() {
    local code=$1 pattern=$2 status
    shift 2
    timeout 20 "$httpd" "$@" >"$work/out" 2>&1
    status=$?
    [ "$status" -eq "$code" ] || failed "$*: ended with $status, not $code"
    grep -Eq -- "$pattern" "$work/out" || failed "$*: said: $(cat "$work/out")"
}

refuses 0 '^usage: httpd ' --help
refuses 2 'wants a number from 0 to 65535' --port 65536
refuses 2 'wants a number from 0 to 65535' --port 80x
refuses 2 'wants a number from 1 to' --idle-timeout 0
refuses 2 'single, isolated or stealing' --mode fast
refuses 2 'single means one loop' --mode single --loops 2
refuses 2 'try --help' --unknown
refuses 2 'try --help' --port
refuses 2 "'folder' is not an option" folder
refuses 2 'name one by --root' --root "$work/none"
refuses 2 'name one by --root' --root "$work/root/index.html"
refuses 1 'choose another --address' --root "$work/root" --port 0 --address nowhere

start_httpd --root "$work/root"
refuses 1 'choose another --address or --port' --root "$work/root" --port "$port"
refuses 1 'choose another --address or --port' --root "$work/root" --port "$port" --loops 1
curl -sS --max-time 20 "http://127.0.0.1:$port/" | grep -q page || failed "not served"
stop_httpd

if grep -q '^0*1 ' /proc/net/if_inet6 2>/dev/null; then
    start_httpd --root "$work/root" --address ::1
    grep -q "^listening on http://\\[::1\\]:$port\$" "$work/httpd.out" || failed "IPv6: no brackets"
    curl -sS --max-time 20 -g "http://[::1]:$port/" | grep -q page || failed "IPv6: not served"
    stop_httpd
fi
finish
