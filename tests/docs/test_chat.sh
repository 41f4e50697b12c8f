#!/usr/bin/env bash
# The chat of docs/guide/porting.md, written for one loop, keeps its rooms in order on one and on
# many: 200 clients on real sockets, some of which leave, cut the connection, or do not read.
#
# time limit: 250 s
set -u
build=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
command -v python3 >/dev/null || { echo 'skipped: there is no python3'; exit 77; }
chat=$build/docs/examples/chat
[ -x "$chat" ] || { echo "skipped: there is no chat in $build"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# ThreadSanitizer keeps a signal until the main thread calls the C library, and it sleeps outside of
# that; but what it has found it has said by then.
end=interrupt
! grep -q __tsan_init "$chat" || end=kill

chat_on() {
    python3 tests/docs/chat_clients.py "$chat" "$1" $end 2>"$work/err" || failed "on $1 loops"
    [ ! -s "$work/err" ] || failed "on $1 loops: $(head -40 "$work/err")"
}

test_mt_7_chat_keeps_its_order_on_one_loop() {
    chat_on 1
}

test_mt_7_chat_keeps_its_order_on_many_loops() {
    chat_on 4
}

test_mt_7_chat_keeps_its_order_on_one_loop
test_mt_7_chat_keeps_its_order_on_many_loops
[ $failures -eq 0 ] || { echo "$failures failed"; exit 1; }
echo 'all passed'
