#!/usr/bin/env bash
# A program that was not linked to the library loads it, runs a runtime, and closes it, ten times:
# see dlopen.c. Once more for a shared object of somebody's that has the static library inside.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
prefix=$work/prefix
install_into "$prefix"
shared=$prefix/$libraries/libwhorl.so.0
logged cc -std=c11 -Wall -Wextra -Werror -I "$prefix/include" -o "$work/user" "$here/dlopen.c" ||
    die 'dlopen.c does not build'

# Thread-locals that are initial-exec lie in room that the loader keeps for libraries that come late
# (glibc.rtld.optional_static_tls: 512 bytes): ours may want little of it.
room=$(readelf -lW "$shared" | sed -n "s|^ *TLS .* 0x[0-9a-f]* \(0x[0-9a-f]*\) R .*|\1|p")
room=$((${room:-0}))
if [ $room -gt 0 ] && [ $room -le 64 ]; then
    tell 'dlopen, static thread-locals' "$room bytes"
else
    fail "the library takes $room bytes of static thread-locals"
fi

# try NAME LIBRARY
try() {
    GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1:glibc.malloc.mxfast=0 \
        run "$1" "$work/user" "$2"
}
try dlopen "$shared"

logged cc -shared -o "$work/plugin.so" -Wl,--whole-archive "$prefix/$libraries/libwhorl.a" \
    -Wl,--no-whole-archive -lhwloc -pthread || die 'the plugin does not build'
try 'dlopen, static library in a plugin' "$work/plugin.so"

# hwloc's plugins bring in C++ libraries, which leave something to the loader.
# valgrind 3.19 gives up over the newer debug information that clang writes.
if command -v valgrind >/dev/null; then
    cp "$shared" "$work/bare.so" && strip -g "$work/bare.so" || die 'it cannot be stripped'
    WHORL_UNDER_VALGRIND=1 HWLOC_PLUGINS_PATH=/none run 'dlopen, under valgrind' valgrind --quiet --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=all --show-leak-kinds=all \
        --suppressions="$source/tests/support/valgrind.supp" "$work/user" "$work/bare.so"
fi
[ $failures -eq 0 ]
