#!/usr/bin/env bash
# test_passes_of_cpython.sh - what test_passes.c says of asyncio's passes is what Python does.
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "skipped: python3 is older than 3.11"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

timeout 60 python3 "$here/passes.py" >"$scratch/asyncio"
timeout 60 "$build/tests/api/test_passes" --asyncio >"$scratch/table"
diff --label "what the table says" --label asyncio -u "$scratch/table" "$scratch/asyncio"
echo "$(wc -l <"$scratch/table") waits take as many passes in asyncio as the table says"
