#!/bin/sh
# test_branch_protection.sh - the AArch64 switch among code that signs its return addresses, and
# where an indirect jump must end at a landing pad.
#
# The fiber layer and test_switch are compiled once more with -mbranch-protection=standard and run
# by qemu-user, whose processor checks both. It looks for landing pads only in a program all of
# whose objects have them; Debian's start files have none, so the program brings its own start. A
# switch that ends in a jump other than `ret` must be caught, or the check proves nothing.
#
# also: cross
set -u
skip() { echo "skipped: $1"; exit 77; }
fail() { echo "FAILED: $1"; tail -n 20 "$folder/log"; exit 1; }
root=$(cd "$(dirname "$0")/../.." && pwd)
sysroot=$(sed -n 's/^WHORL_SYSROOT:[A-Z]*=//p' "$1/CMakeCache.txt")
[ -n "$sysroot" ] || skip "this build is not for AArch64"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

cat >"$folder/start.c" <<'START'
__asm__("    .text\n"
        "    .globl _start\n"
        "_start:\n"
        "    hint 38\n" /* bti jc */
        "    mov x29, 0\n"
        "    mov x30, 0\n"
        "    mov x5, x0\n"
        "    ldr x1, [sp]\n"
        "    add x2, sp, 8\n"
        "    mov x6, sp\n"
        "    adrp x0, main\n"
        "    add x0, x0, :lo12:main\n"
        "    mov x3, 0\n"
        "    mov x4, 0\n"
        "    bl __libc_start_main\n");
START

# build SWITCH: $folder/program, with that file as the switch
build() {
    # shellcheck disable=SC2046 # a list of files
    aarch64-linux-gnu-gcc --sysroot="$sysroot" -std=gnu11 -D_GNU_SOURCE -O2 -nostartfiles \
        -mbranch-protection=standard -mno-outline-atomics -DWHORL_ATOMIC_C11 \
        -I"$root/runtime/atomic/shim" -I"$root/runtime" -I"$root/include" -I"$root/tests" \
        -o "$folder/program" "$folder/start.c" "$root/tests/fiber/test_switch.c" "$1" \
        $(printf "$root/runtime/%s.c " fiber/fiber fiber/stack base/assert sys/os_linux sys/tls) \
        -L"$sysroot/usr/lib/aarch64-linux-gnu" -lcmocka -lm >"$folder/log" 2>&1
}
run() {
    timeout 60 qemu-aarch64 -L "$sysroot" "$folder/program" >"$folder/log" 2>&1
}

build "$root/runtime/fiber/switch_aarch64.S" || fail "it does not compile"
aarch64-linux-gnu-readelf -n "$folder/program" >"$folder/log" && grep -q 'feature: BTI' "$folder/log" ||
    fail "some object does not say that it has landing pads"
aarch64-linux-gnu-objdump -d "$folder/program" | grep -q paciasp || fail "no address is signed"
run || fail "the switch does not pass its tests"
echo "passed with branch targets checked and return addresses signed"

sed 's/^    ret$/    br x30/' "$root/runtime/fiber/switch_aarch64.S" >"$folder/jumping.S"
build "$folder/jumping.S" || fail "the jumping switch does not compile"
if run || ! grep -q 'Illegal instruction' "$folder/log"; then
    fail "a jump to where no landing pad is was not caught"
fi
echo "caught the switch that jumps"
