# shellcheck shell=bash
# common.sh - what the http tests share: a server of their own, a client, a verdict.
#
# Sourced by bash with the test's arguments: $1 is the build folder. Makes the working folder $work,
# which goes away at the end together with every process that was started by start_*.

set -u
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
httpd=$build/docs/examples/httpd
work=$(mktemp -d)
started=()
failures=0

clean_up() {
    local pid
    for pid in "${started[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

skip() {
    echo "skipped: $*"
    exit 77
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "there is no $program"
    done
}

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# The last line of a test.
finish() {
    [ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
    echo "all passed"
    exit 0
}

# wait_until SECONDS COMMAND...: until the command succeeds; 1 if it does not in time.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.02
    done
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# start_httpd OPTION...: sets $pid and $port once it listens. Its output is in $work/httpd.{out,err}.
# $httpd_prefix may hold a command to start it under.
httpd_prefix=()
start_httpd() {
    : >"$work/httpd.out" # or the wait below would find the line of the server before
    "${httpd_prefix[@]}" "$httpd" --port 0 --no-pin "$@" >"$work/httpd.out" 2>"$work/httpd.err" &
    pid=$!
    started+=("$pid")
    if ! wait_until 20 grep -q '^listening on ' "$work/httpd.out"; then
        cat "$work/httpd.err"
        echo "httpd does not start with: $*"
        exit 1
    fi
    # shellcheck disable=SC2034 # for the tests
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/httpd.out")
}

# Ends the server as its user would. A sanitizer or a leak shows in the exit code.
stop_httpd() {
    local status
    kill -TERM "$pid"
    wait_until 20 is_gone "$pid" || failed "httpd did not end within 20 s of SIGTERM"
    wait "$pid"
    status=$?
    [ "$status" -eq 0 ] || failed "httpd ended with $status"
    if [ -s "$work/httpd.err" ]; then
        sed 's/^/httpd: /' "$work/httpd.err"
    fi
}

# The raw client, compiled once for each test; and another program of this folder in the same way.
compile() {
    need cc
    cc -std=gnu11 -O1 -o "$work/$1" "$here/$1.c" || { echo "$1.c does not compile"; exit 1; }
}

[ -x "$httpd" ] || skip "there is no httpd in $build (was libhttp-parser-dev installed?)"
