#!/bin/sh
# test_unwind.sh - a debugger unwinds through the switch, at every single instruction of it.
#
# Profilers and crash reports take their samples anywhere, so the call frame information in the
# switch (switch_x86_64.S, switch_aarch64.S) has to be right between any two instructions: before
# the stack pointer is changed the frames are those of the context being left, after it those of the
# context being resumed. gdb steps through four switches (into a new fiber and back, and into a
# suspended one and back) and after each step the frames must end where the stack does.
#
# also: cross, with the program in qemu-user, which waits for gdb at a socket
set -u
program=$1/tests/fiber/test_switch
skip() { echo "skipped: $1"; exit 77; }
sysroot=$(sed -n 's/^WHORL_SYSROOT:[A-Z]*=//p' "$1/CMakeCache.txt")
gdb=gdb
[ -z "$sysroot" ] || gdb=gdb-multiarch
command -v $gdb >/dev/null || skip "$gdb is missing (package $gdb)"
[ -x "$program" ] || skip "$program is not built"
nm "$program" | grep -q whorl__fiber_start || skip "this build does not use the assembly switch"

folder=$(mktemp -d) || exit 1
script=$folder/script.py
qemu=
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null; rm -rf "$folder"' EXIT
cat >"$script" <<'GDB'
import gdb

ENDS = ("main", "whorl__fiber_start")

# gdb takes "__" for Ada's dot in files whose language it does not know, as clang's assembly is.
def name_of(frame):
    return (frame.name() or "?").replace(".", "__") # "?" is a library without symbols

def frames():
    frame = gdb.newest_frame()
    names = []
    while frame is not None:
        names.append(name_of(frame))
        last, frame = frame, frame.older()
    return names, last

def check(seen):
    names, last = frames()
    reason = last.unwind_stop_reason()
    clean = reason in (gdb.FRAME_UNWIND_NO_REASON, gdb.FRAME_UNWIND_OUTERMOST)
    if names[-1] not in ENDS or names[:2] == ["whorl__switch", "?"] or not clean:
        print("BAD at", gdb.newest_frame().pc(), names, gdb.frame_stop_reason_string(reason))
        seen["bad"] += 1
    seen[names[-1]] = seen.get(names[-1], 0) + 1

seen = {"bad": 0}
gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("break whorl__switch")
if SYSROOT:
    gdb.execute("set sysroot " + SYSROOT)
    gdb.execute("target remote " + SOCKET)
    gdb.execute("continue")
else:
    gdb.execute("run")
for turn in range(4):
    while name_of(gdb.newest_frame()) == "whorl__switch":
        check(seen)
        gdb.execute("stepi", to_string=True)
    check(seen)
    gdb.execute("continue", to_string=True)
gdb.execute("kill")
both = all(seen.get(end, 0) > 30 for end in ENDS)
print("RESULT", "passed" if both and seen["bad"] == 0 else "failed", seen)
GDB
if [ -n "$sysroot" ]; then
    timeout 100 qemu-aarch64 -L "$sysroot" -g "$folder/socket" "$program" >"$folder/output" 2>&1 &
    qemu=$!
    while [ ! -S "$folder/socket" ] && kill -0 "$qemu" 2>/dev/null; do sleep 0.1; done
fi
export ASAN_OPTIONS=detect_leaks=0
output=$(timeout 50 $gdb -q -nx -batch -ex "python SYSROOT = '$sysroot'; SOCKET = '$folder/socket'" \
    -ex "source $script" "$program" 2>&1 </dev/null)
case $output in
*"RESULT passed"*) echo "$output" | grep RESULT ;;
*ptrace*"not permitted"*) skip "no ptrace here" ;;
*) echo "$output"; exit 1 ;;
esac
