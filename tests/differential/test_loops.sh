#!/usr/bin/env bash
# test_loops.sh - the same programs on several loops, live and in the simulation, those with a theme
# more often: every task begins at most once and ends, its argument is freed once, and no cancel
# comes that nobody asked for.
#
# label: medium
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
player=$build/tests/differential/test_player
scale=${WHORL_TEST_SCALE:-1}
programs=$(mktemp)
trap 'rm -f "$programs"' EXIT

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
python3 "$here/generate.py" --seed 100000 --count $((40 * scale)) >"$programs"
python3 "$here/generate.py" --seed 300000 --count $((20 * scale)) --themed >>"$programs"
python3 "$here/generate.py" --seed 10100000 --count $((30 * scale)) >>"$programs" # locks, queues
for loops in 2 4; do
    "$player" --loops "$loops" <"$programs"
done
for loops in 2 5; do
    "$player" --sim "$loops" 1 10 <"$programs"
done
