#!/bin/bash
# A program outside this tree builds against the installed library with nothing but pkg-config, and
# runs: linked to the shared library, to the static one, and from C++. Sanitizers would want their
# own flags in that program, so their builds skip this.
set -u
build=$1
source=$(cd "$(dirname "$0")/../.." && pwd)
if ! grep -q "^WHORL_SANITIZE:STRING=none$" "$build/CMakeCache.txt"; then
    echo 'skipped: a sanitized library wants sanitized programs'
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $1"
    cat "$work/log"
    exit 1
}

cmake --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || fail 'cmake --install'
libraries=$(dirname "$(find "$work/prefix" -name libwhorl.a)")
export PKG_CONFIG_PATH=$libraries/pkgconfig
flags() {
    pkg-config --define-variable=prefix="$work/prefix" "$@" whorl
}

# try NAME COMMAND...: compiles what is in user.c with it, runs the result.
try() {
    local name=$1
    shift
    "$@" >"$work/log" 2>&1 || fail "$name does not compile: $*"
    LD_LIBRARY_PATH=$libraries timeout 20 "$work/user" >"$work/log" 2>&1 || fail "$name does not run"
    grep -qx 'in a task' "$work/log" || fail "$name does not say what it should"
}

cat >"$work/user.c" <<'END'
#include <stdio.h>
#include <whorl.h>

static int main_task(void *arg)
{
    (void)arg;
    return puts("in a task") < 0;
}

int main(void)
{
    return whorl_run(main_task, NULL, NULL);
}
END

# shellcheck disable=SC2046 # flags are words
try 'shared C' cc -std=c99 -o "$work/user" "$work/user.c" $(flags --cflags --libs)
rm "$libraries"/libwhorl.so*
try 'static C' cc -std=c99 -o "$work/user" "$work/user.c" $(flags --cflags --libs --static)
if command -v c++ >/dev/null; then
    try 'static C++' c++ -x c++ -o "$work/user" "$work/user.c" -x none $(flags --cflags --libs --static)
fi
