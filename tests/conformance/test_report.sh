#!/usr/bin/env bash
# Every row of rows.txt is accounted for by cases that run and pass, or stands in open.txt.
#
# label: medium, time limit: 600 s
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
command -v python3 >/dev/null || { echo 'skipped: there is no python3'; exit 77; }
if ! grep -q '^WHORL_SANITIZE:.*=none' "$build/CMakeCache.txt" ||
    grep -q '^WHORL_VALGRIND:.*=ON' "$build/CMakeCache.txt"; then
    echo 'skipped: the report is made in a build without sanitizer and valgrind'
    exit 77
fi
exec "$here/report" "$build"
