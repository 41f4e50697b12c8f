#!/usr/bin/env bash
# test_stranded.sh - with all tasks and callbacks in one strand, one loop still leaves the traces of
# Python's asyncio: a strand changes nothing of the order there (row MT-7).
#
# label: medium
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
player=$build/tests/differential/test_player
count=${WHORL_DIFFERENTIAL_COUNT:-250}

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "skipped: python3 is older than 3.11"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
for seed in 2000000 10200000; do # of tasks and futures; of locks and queues
    python3 "$here/compare.py" "$player" --stranded --seed "$seed" --count "$count"
done
