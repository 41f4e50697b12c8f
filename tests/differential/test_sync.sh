#!/usr/bin/env bash
# test_sync.sh - random programs of locks, semaphores, events, conditions, barriers and queues leave
# the same trace on whorl as on Python's asyncio.
#
# label: medium
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
player=$build/tests/differential/test_player
count=${WHORL_DIFFERENTIAL_COUNT:-500}

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "skipped: python3 is older than 3.11"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/compare.py" "$player" --seed 10000000 --count "$count" \
    --floor "${WHORL_DIFFERENTIAL_FLOOR:-85}"
