#!/usr/bin/env bash
# test_bugs.sh - some of the bugs of runtime/base/bug.h, each put into the library, are found.
#
# label: medium, time limit: 300 s
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
every=${WHORL_BUGS_EVERY:-6}

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "skipped: python3 is older than 3.11"; exit 77; }
folder=$("$here/../support/build_seeded.sh" "$build" differential_test_player)
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/bugs.py" --every "$every" "$folder/tests/differential/test_player"
