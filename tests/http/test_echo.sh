#!/usr/bin/env bash
# The first server of the guide echoes to many clients at a time, and the guide shows the program as
# it is.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need cmp

root=$here/../..
echo_server=$build/docs/examples/echo
[ -x "$echo_server" ] || skip "there is no echo in $build"

# Its C code blocks that hold whole functions, without blank lines, are what follows echo.c's
# includes.
blocks_of_guide() {
    awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside && !/^$/ && !/one_loop/' \
        "$root/docs/guide/first-server.md"
}

code_of_program() {
    awk '/^static/ { begun = 1 } begun && !/^$/' "$root/docs/examples/echo.c"
}

test_guide_shows_the_program() {
    diff <(code_of_program) <(blocks_of_guide) || failed "the guide shows another program"
}

can_connect() {
    (exec 3<>/dev/tcp/127.0.0.1/7000) 2>/dev/null
}

# One client: sends a file of a megabyte and wants it back.
talk() {
    exec 3<>/dev/tcp/127.0.0.1/7000 || return 1
    cat "$work/sent" >&3 &
    head -c "$(wc -c <"$work/sent")" <&3 | cmp - "$work/sent"
}

test_echo_gives_many_clients_back_what_they_sent() {
    local i clients=()
    head -c 1000000 /dev/urandom >"$work/sent"
    for ((i = 0; i < 20; i++)); do
        (talk) &
        clients+=($!)
    done
    for i in "${clients[@]}"; do
        wait "$i" || failed "a client did not get back what it sent"
    done
}

test_guide_shows_the_program
if can_connect; then
    echo "left out: somebody else has port 7000"
    finish
fi
"$echo_server" &
started+=($!)
wait_until 20 can_connect || failed "echo does not start"
test_echo_gives_many_clients_back_what_they_sent
finish
