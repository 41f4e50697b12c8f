#!/usr/bin/env bash
# test_gdb.sh - whorl-gdb.py on a live process, on gdb's core of it, and on the kernel's.
#
# The program is linked statically, and the script sourced; and to the shared library, where gdb
# loads it by itself. Names, states and what tasks wait for are compared, and the user's functions must stand in
# the backtraces of tasks that are parked.
#
# label: medium
set -u
build=${1:?usage: $0 BUILD_FOLDER}
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
script=$source/runtime/debug/whorl-gdb.py
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

skip() {
    echo "skipped: $*"
    exit 77
}

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

setting() {
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

command -v gdb >/dev/null || skip "there is no gdb"
[ "$(setting WHORL_SANITIZE)" = none ] || skip "a sanitizer's memory does not fit into a core file"
[ "$(uname -m)" = x86_64 ] || skip "the script knows suspended frames on x86-64 only"
gdb -q -nx -batch -ex 'python print(1)' 2>/dev/null | grep -q 1 || skip "gdb has no python"

compile() {
    "$(setting CMAKE_C_COMPILER)" -g -O0 -std=gnu11 -I "$source/include" -I "$source/tests" \
        -I "$source/runtime" "$source/tests/debug/menagerie.c" "$build/tests/libtest_support_objects.a" \
        "$@" -lcmocka -lpthread || exit 1
}

# in_gdb FILE GDB_OPTION...: what it prints goes to the file.
in_gdb() {
    local output=$1
    shift
    timeout 50 gdb -q -nx -batch -iex 'set debuginfod enabled off' \
        -iex "add-auto-load-safe-path $build" -ex 'set width 0' -ex 'set confirm off' "$@" \
        >"$output" 2>&1 </dev/null
}

# has FILE PATTERN...: each one stands in some line.
has() {
    local file=$1 pattern
    shift
    for pattern in "$@"; do
        grep -Eq -- "$pattern" "$file" || failed "${file##*/}: no line with $pattern"
    done
}

# The lines of the backtrace of task NAME in FILE.
frames_of() {
    awk -v name="\"$2\"" '/^Task /{ ours = index($0, name) } ours' "$1"
}

frames_have() {
    local file=$1 name=$2 function
    shift 2
    for function in "$@"; do
        frames_of "$file" "$name" | grep -Eq "^#[0-9]+ .*\b$function \(" ||
            failed "${file##*/}: $function is not in the frames of $name"
    done
}

check() {
    local file=$1
    has "$file" '^ +[0-9]+  parked  +0  "cellar" +sleep$' \
        '^ +[0-9]+  parked  +0  "well" +read fd [0-9]+$' \
        '^ +[0-9]+  running +1  "mason"' \
        '^ +[0-9]+  parked  +0  "patron" +task [0-9]+$' \
        '^ +[0-9]+  parked  +0  "host" +gather 0x[0-9a-f]+$' \
        '^ +[0-9]+  parked  +0  "pilgrim" +barrier 0x[0-9a-f]+$' \
        '^ +[0-9]+  done    +0  "early" +value 0x0$' \
        '^ +[0-9]+  ready   +[0-9]+  "turn" +not begun$' \
        '^9 tasks: 1 ready, 1 running, 6 parked, 1 done$'
    frames_have "$file" cellar sleep_in_the_cellar whorl_sleep_until whorl__fiber_main
    frames_have "$file" well read_from_the_well whorl__fiber_main
    frames_have "$file" patron await_the_mason whorl__fiber_main
    frames_have "$file" host gather_the_guests whorl_gather whorl__fiber_main
    frames_have "$file" pilgrim stand_at_the_gate whorl__fiber_main
    frames_have "$file" mason carve_stone be_a_mason whorl__fiber_main
    frames_have "$file" main keep_house
    [ "$(frames_of "$file" turn | tail -n +2 | head -n 1)" = '(no frames)' ] ||
        failed "${file##*/}: a task that has not begun has frames"
    ! grep -q 'Python Exception\|Error occurred' "$file" || failed "${file##*/}: the script broke"
}

show=(-ex 'info tasks' -ex 'task apply all bt')

# Looking at one task: its frames until it is left, by number and by hand; printers.
look=(-ex 'python number = str(find_task_named("cellar"))'
    -ex 'python gdb.execute("task " + number)' -ex 'up 20' -ex 'down 20' -ex 'bt' -ex 'task'
    -ex 'frame function sleep_in_the_cellar' -ex 'print *(long *)years' -ex 'task off' -ex 'bt 1'
    -ex 'python gdb.execute("task apply " + number + " frame function sleep_in_the_cellar")'
    -ex 'print *tasks[0]' -ex 'print tasks[5]->future'
    -ex 'print *((struct whorl__runtime *)whorl__roster_head)->loops[1]'
    -ex 'print ((struct whorl__record *)((struct whorl__runtime *)whorl__roster_head)->records.chunks[0])[wells[0]]'
    -ex 'task 99999' -ex 'task apply all' -ex 'task apply 99999 bt')
cat >"$work/find.py" <<'END'
def find_task_named(name):
    return [task.number for task in all_tasks() if task.name() == name][0]
END

check_look() {
    local file=$1
    has "$file" '^Task [0-9]+ "cellar" parked: sleep$' '^\$1 = 1000000$' \
        '^#[01] .*everything_is_in_place|^#0 .*abort|^#0 .*raise|^#0 .*pthread_kill' \
        '= Task [0-9]+ "cellar" parked: sleep$' '= future, done: value 0x0$' \
        '= loop 1, (stuck in|running) task [0-9]+ "mason", ring 0, bound [01], timers 0$' \
        '= fd [0-9]+, open, on loop 0, in awaited by slot [0-9]+, out ' \
        'whorl: no task 99999; see info tasks' \
        'whorl: task apply all COMMAND, or task apply N... COMMAND'
}

compile -o "$work/static" "$build/libwhorl.a" -lck -lhwloc
compile -o "$work/shared" -L "$build" -lwhorl -Wl,-rpath,"$build"

in_gdb "$work/live" -ex 'break everything_is_in_place' -ex 'run old-guards' -ex "source $script" \
    -ex "source $work/find.py" "${show[@]}" "${look[@]}" -ex "gcore $work/core.gdb" \
    -ex continue "$work/static"
! grep -q 'not permitted' "$work/live" || skip "no ptrace here"
check "$work/live"
check_look "$work/live"
has "$work/live" '^at home$' # nothing was changed: it goes on, and ends

in_gdb "$work/loaded" -ex 'break everything_is_in_place' -ex run "${show[@]}" -ex kill "$work/shared"
check "$work/loaded"

in_gdb "$work/gcore" -ex "source $script" -ex "source $work/find.py" "${show[@]}" "${look[@]}" \
    "$work/static" "$work/core.gdb"
check "$work/gcore"
check_look "$work/gcore"

# The kernel's core lies where core_pattern says; only a plain name leads here.
pattern=$(cat /proc/sys/kernel/core_pattern)
case $pattern in
core | core.%p)
    (cd "$work" && ulimit -c unlimited && timeout 20 ./shared abort) >/dev/null 2>&1
    core=$(find "$work" -name 'core*' ! -name core.gdb | head -n 1)
    if [ -n "$core" ]; then
        in_gdb "$work/kernel" "${show[@]}" "$work/shared" "$core"
        check "$work/kernel"
        what='live, gcore, core'
    else
        what='live, gcore; the kernel wrote no core'
    fi
    ;;
*) what="live, gcore; the kernel's core goes to $pattern" ;;
esac

if [ "$failures" -gt 0 ]; then
    tail -n 120 "$work/live"
    echo "$failures failed"
    exit 1
fi
echo "passed: $what"
