#!/usr/bin/env bash
# C++ exceptions inside tasks: see exceptions.cpp. Built against the library as it lies in the build,
# shared and static, with its own sanitizer; and as a plugin that a C program loads, whose C++
# runtime nobody else sees.
#
# time limit: 200 s
set -u
build=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

cached() {
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

fail() {
    echo "FAILED: $1"
    sed 's/^/    /' "$work/log"
    failures=$((failures + 1))
}

case $(cached CMAKE_C_COMPILER) in
*clang*) compiler=clang++ ;;
*) compiler=g++ ;;
esac
command -v $compiler >/dev/null || { echo "skipped: there is no $compiler"; exit 77; }
sanitizer=$(cached WHORL_SANITIZE)
flags=(-std=c++17 -O2 -g -Wall -Wextra -Werror -I "$here/../../include")
[ "$sanitizer" = none ] || flags+=("-fsanitize=${sanitizer/address/address,undefined}")
read -ra hwloc <<<"$(pkg-config --libs hwloc)"

build_user() {
    $compiler "${flags[@]}" -o "$work/user" "$here/exceptions.cpp" "$@" -pthread \
        >"$work/log" 2>&1 || { fail "does not build: $*"; return 1; }
}

run_user() {
    LD_LIBRARY_PATH=$build timeout 100 "$@" >"$work/log" 2>&1
}

try_all() {
    if run_user "$work/user"; then
        printf 'consumer exceptions, %-8s %s\n' "$1:" "$(cat "$work/log")"
    else
        fail "exceptions, $1"
    fi
}

# try_escape WAY WORDS...: the process ends by abort, and each of the words was said.
try_escape() {
    local way=$1 words
    shift
    run_user bash -c 'ulimit -c 0; exec "$@"' bash "$work/user" "$way" 2>/dev/null
    [ $? -eq 134 ] || fail "exceptions $way does not end by abort"
    for words in "$@"; do
        grep -qF "$words" "$work/log" || fail "exceptions $way does not say: $words"
    done
}

for kind in shared static; do
    link=("$build/libwhorl.so")
    [ $kind = shared ] || link=("$build/libwhorl.a" "${hwloc[@]}")
    build_user "${link[@]}" || continue
    try_all $kind
    [ "$sanitizer" = none ] || continue # they have an abort of their own
    try_escape escape 'whorl: an exception leaves the body of task "main"; catch it there' \
        'nobody catches this'
    try_escape exit 'whorl: task "main" was to end by pthread_exit or pthread_cancel'
done

# A plugin: the host is C and knows of no C++ runtime, and the plugin's is its own.
if [ "$sanitizer" = none ]; then
    $compiler "${flags[@]}" -fPIC -shared -Dmain=plugin_main -o "$work/plugin.so" \
        "$here/exceptions.cpp" "$build/libwhorl.so" -pthread >"$work/log" 2>&1 ||
        fail 'the plugin does not build'
    nm -D --defined-only "$work/plugin.so" >"$work/names"
    name=$(grep -oE '[^ ]*plugin_main[^ ]*' "$work/names")
    printf '%s\n' '#include <dlfcn.h>' '#include <stdio.h>' '#include <string.h>' \
        'int main(int argc, char **argv) {' \
        'int (*run)(int, char **) = NULL;' \
        'void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL), *name = NULL;' \
        'if (plugin != NULL) name = dlsym(plugin, argv[2]);' \
        'memcpy(&run, &name, sizeof run);' \
        'return argc < 3 || run == NULL ? fprintf(stderr, "%s\n", dlerror()), 1' \
        '                               : run(1, argv); }' >"$work/host.c"
    # The library comes with the host, before there is any C++: what it needs is found at the start.
    cc -o "$work/user" "$work/host.c" -Wl,--no-as-needed "$build/libwhorl.so" >"$work/log" 2>&1 ||
        fail 'the host does not build'
    if run_user "$work/user" "$work/plugin.so" "$name"; then
        printf 'consumer exceptions, %-8s %s\n' 'plugin:' "$(cat "$work/log")"
    else
        fail 'exceptions in a plugin'
    fi
fi
[ $failures -eq 0 ]
