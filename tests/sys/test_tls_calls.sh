#!/bin/sh
# test_tls_calls.sh - compilers do not merge, cache or look through the thread-local accessors.
#
# A task may resume on another thread, so a function that asks for its worker before and after a
# suspension must really ask twice. Whether it does is decided by the optimiser, so this compiles
# such functions with each compiler there is, in each mode in which compilers were seen to merge the
# calls, and counts the calls in the machine code.
#
# A check that has never failed proves little: the same is done with two weakened copies of tls.c,
# and each must be found out in at least one mode.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v objdump >/dev/null || { echo "skipped: objdump is missing (package binutils)"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# The accessors see the same file as their callers, or meet them again when linking: then only the
# wall inside them keeps the optimiser out. `opaque` stands for the suspension.
cat >"$folder/probe.c" <<'PROBE'
#ifdef WITH_ACCESSORS
#    include "accessors.c"
#else
#    include "sys/tls.h"
#endif
void opaque(void);
int probe_worker(void);
int probe_errno(void);
__attribute__((noinline)) int probe_worker(void)
{
    struct whorl__worker *before = whorl__tls_worker();
    opaque();
    return before == whorl__tls_worker();
}
__attribute__((noinline)) int probe_errno(void)
{
    int before = whorl__tls_errno();
    opaque();
    return before - whorl__tls_errno();
}
int main(int count, char **words)
{
    (void)count;
    whorl__tls_set_worker((struct whorl__worker *)words);
    whorl__tls_set_errno(1);
    return probe_worker() + probe_errno();
}
PROBE
echo 'void opaque(void); void opaque(void) { __asm__("" ::: "memory"); }' >"$folder/opaque.c"

# The wall has two halves, WHORL_OPAQUE and the asm. "bare" lacks both, "open" the first. A lost
# asm alone changes nothing today: neither compiler takes a noinline reader of a variable for
# constant while something writes it.
cp runtime/sys/tls.c "$folder/real"
sed -e '/__asm__ volatile/d' -e 's/^WHORL_OPAQUE //' runtime/sys/tls.c >"$folder/bare"
sed -e 's/^WHORL_OPAQUE //' runtime/sys/tls.c >"$folder/open"

# build COMPILER MODE VARIANT: makes $folder/program, or fails when the compiler lacks the mode
build()
{
    cp "$folder/$3" "$folder/accessors.c"
    case $2 in
    plain) set -- "$1" -DWITH_ACCESSORS "$folder/opaque.c" ;;
    hidden-pic) set -- "$1" -DWITH_ACCESSORS -fPIC -fvisibility=hidden -shared ;;
    lto) "$1" -O2 -c "$folder/opaque.c" -o "$folder/opaque.o" || return 1
         set -- "$1" -flto "$folder/accessors.c" "$folder/opaque.o" ;;
    esac
    "$@" -std=gnu11 -D_GNU_SOURCE -Iruntime -O2 "$folder/probe.c" -o "$folder/program"
} 2>"$folder/errors"

# calls FUNCTION ACCESSOR: how often FUNCTION calls (or jumps to) ACCESSOR
calls()
{
    objdump -d --disassemble="$1" "$folder/program" | grep -c -E "(call|jmp|bl|b) .*<$2"
}

compilers=
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null && compilers="$compilers $compiler"
done
[ -n "$compilers" ] || { echo "skipped: neither gcc nor clang is installed"; exit 77; }

failed=0
real_seen=0
bare_caught=0
open_caught=0
for compiler in $compilers; do
    for mode in plain hidden-pic lto; do
        for variant in real bare open; do
            if ! build "$compiler" "$mode" "$variant"; then
                echo "$compiler $mode $variant: not built: $(head -n 1 "$folder/errors")"
                continue
            fi
            worker=$(calls probe_worker whorl__tls_worker)
            errno=$(calls probe_errno whorl__tls_errno)
            echo "$compiler $mode $variant: $worker calls for the worker, $errno for errno"
            case $variant in
            real) real_seen=$((real_seen + 1))
                  [ "$worker" = 2 ] && [ "$errno" = 2 ] || failed=1 ;;
            bare) [ "$worker" -lt 2 ] && bare_caught=1 ;;
            open) [ "$worker" -lt 2 ] && open_caught=1 ;;
            esac
        done
    done
done

[ $failed = 0 ] || echo "FAILED: two calls expected from the real accessors"
[ $real_seen -gt 0 ] || { echo "FAILED: nothing was built"; failed=1; }
[ $bare_caught = 1 ] || { echo "FAILED: accessors without any wall passed"; failed=1; }
[ $open_caught = 1 ] || { echo "FAILED: accessors that can be inlined passed"; failed=1; }
exit $failed
