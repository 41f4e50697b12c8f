#!/bin/bash
# The shared library exports what include/ declares with WHORL_API, all of it and nothing else: an
# internal name that leaks becomes somebody's interface, a missing one shows only when they link.
set -u
build=$1
include=$(cd "$(dirname "$0")/../../include" && pwd)
command -v nm >/dev/null || { echo 'nm is lacking (binutils)'; exit 77; }
library=$build/libwhorl.so
[ -e "$library" ] || { echo "FAILED: no $library"; exit 1; }

# The name is the first of ours that a parenthesis follows.
declared=$(cat "$include"/*.h "$include"/whorl/*.h |
    awk '/^WHORL_API/ && match($0, /whorl_[a-z0-9_]+\(/) { print substr($0, RSTART, RLENGTH - 1) }' |
    sort -u)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' |
    grep -vE '^(__asan_|__tsan_|__ubsan_|__odr_asan)' | sort -u)

difference=$(diff <(printf '%s\n' "$declared") <(printf '%s\n' "$exported"))
if [ -n "$difference" ]; then
    echo 'FAILED: < declared but not exported, > exported but not declared'
    printf '%s\n' "$difference" | grep '^[<>]'
    exit 1
fi
