#!/bin/bash
# Each public header compiles alone, as C99 and as C++, without a warning, those that strict programs
# switch on included: a user's program may be either, and may include only what it needs. (ConcurrencyKit's headers are not C++, hwloc's types
# are nobody's business: both would show here.)
set -u
include=$(cd "$(dirname "$0")/../../include" && pwd)
cd "$include" || exit 1
failed=0

check() {
    local header=$1 output
    shift
    if ! output=$(printf '#include <%s>\nint not_empty;\n' "$header" |
        "$@" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wundef \
            -Werror -I "$include" -fsyntax-only - 2>&1); then
        printf 'FAILED: %s with %s\n%s\n' "$header" "$*" "$output"
        failed=1
    fi
}

for header in *.h whorl/*.h; do
    check "$header" gcc -std=c99 -D_POSIX_C_SOURCE=200809L -Wstrict-prototypes -x c
    for compiler in g++ clang++; do
        if command -v $compiler >/dev/null; then
            check "$header" $compiler -std=c++11 -x c++
            check "$header" $compiler -std=c++20 -Wold-style-cast -Wuseless-cast \
                -Wno-unknown-warning-option -x c++
        fi
    done
    foreign=$(grep -nE '#[ ]*include[ ]*<(ck_|hwloc|liburing)|\b(ck|hwloc)_[a-z]' "$header")
    if [ -n "$foreign" ]; then
        printf 'FAILED: %s names a library that is our own business:\n%s\n' "$header" "$foreign"
        failed=1
    fi
done
exit $failed
