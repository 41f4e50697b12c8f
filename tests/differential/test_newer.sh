#!/usr/bin/env bash
# test_newer.sh - what asyncio_side.py re-implements for old Pythons is what a newer one does.
#
# WHORL_NEWER_PYTHON names one if it is not in the PATH as python3.13 or higher.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
count=$((300 * ${WHORL_TEST_SCALE:-1}))

is_new() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; }
newer=
for python in ${WHORL_NEWER_PYTHON:-} python3 python3.13 python3.14; do
    if [ -z "$newer" ] && is_new "$python"; then newer=$python; fi
done
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
[ -n "$newer" ] || { echo "skipped: there is no python3 of version 3.13 or higher"; exit 77; }

export PYTHONDONTWRITEBYTECODE=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# cancel_group is of 3.15.
python3 "$here/generate.py" --seed 1 --count "$count" --without cancel_group >"$scratch/programs"
python3 "$here/generate.py" --seed 10000000 --count "$count" >>"$scratch/programs" # locks, queues
timeout 300 python3 "$here/asyncio_side.py" <"$scratch/programs" >"$scratch/replaced" 2>/dev/null
timeout 300 "$newer" "$here/newer.py" <"$scratch/programs" >"$scratch/own" 2>/dev/null
[ "$(grep -c '^program ' "$scratch/own")" -eq $((2 * count)) ] || { echo "not all were played"; exit 1; }
diff --label "replaced, on $(python3 --version)" --label "$("$newer" --version)" -u "$scratch/replaced" "$scratch/own"
echo "$((2 * count)) programs, $(wc -l <"$scratch/own") lines: as on $("$newer" --version)"
