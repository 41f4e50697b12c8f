#!/usr/bin/env bash
# test_bugs.sh - some of the bugs of runtime/base/bug.h, each put into the library, are found.
#
# label: medium, time limit: 300 s
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
every=${WHORL_BUGS_EVERY:-6}
folder=$build/tests/differential/seeded

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "skipped: python3 is older than 3.11"; exit 77; }
of_build() { sed -n "s/^$1:[^=]*=//p" "$build/CMakeCache.txt"; }
[ "$(of_build WHORL_SANITIZE)" = none ] || { echo "skipped: in builds without sanitizers only"; exit 77; }

mkdir -p "$folder"
exec 9>"$folder/lock" # the long test builds the same
flock 9
build_player() {
    cmake -S "$here/../.." -B "$folder" -DCMAKE_C_COMPILER="$(of_build CMAKE_C_COMPILER)" \
        -DCMAKE_C_COMPILER_LAUNCHER="$(of_build CMAKE_C_COMPILER_LAUNCHER)" \
        -DWHORL_WERROR="$(of_build WHORL_WERROR)" -DCMAKE_C_FLAGS=-DWHORL__BUG_CHOSEN=whorl__bug &&
        cmake --build "$folder" -j 2 --target differential_test_player
}
if ! build_player >"$folder/build.log" 2>&1 9>&-; then
    tail -20 "$folder/build.log"
    exit 1
fi
exec 9>&-
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/bugs.py" --every "$every" "$folder/tests/differential/test_player"
