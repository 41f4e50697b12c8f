#!/usr/bin/env bash
# build_seeded.sh - builds one program against a library that has the bugs of runtime/base/bug.h in
# it, to be chosen at run time (support/bug.h).
#
#     build_seeded.sh BUILD_FOLDER TARGET     prints the folder of that build
#
# It is made as BUILD_FOLDER was, and kept inside it. 0, 1: it did not build, 77: not with sanitizers.
set -eu
build=${1:?usage: $0 BUILD_FOLDER TARGET}
target=${2:?usage: $0 BUILD_FOLDER TARGET}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$build/tests/seeded

of_build() { sed -n "s/^$1:[^=]*=//p" "$build/CMakeCache.txt"; }
if [ "$(of_build WHORL_SANITIZE)" != none ]; then
    echo "skipped: in builds without sanitizers only" >&2
    exit 77
fi
mkdir -p "$folder"
exec 9>"$folder/lock" # several tests build it
flock 9
build_target() {
    cmake -S "$here/../.." -B "$folder" -DCMAKE_C_COMPILER="$(of_build CMAKE_C_COMPILER)" \
        -DCMAKE_C_COMPILER_LAUNCHER="$(of_build CMAKE_C_COMPILER_LAUNCHER)" \
        -DWHORL_WERROR="$(of_build WHORL_WERROR)" -DCMAKE_C_FLAGS=-DWHORL__BUG_CHOSEN=whorl__bug &&
        cmake --build "$folder" -j 2 --target "$target"
}
if ! build_target >"$folder/$target.log" 2>&1 9>&-; then
    tail -20 "$folder/$target.log" >&2
    exit 1
fi
echo "$folder"
