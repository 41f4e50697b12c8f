#!/bin/bash
# The headers, the export map and the shared library name the same functions: a name that leaks
# becomes somebody's interface, a missing one shows only when they link. Each name has the version
# that the map gives it, and the library's soname is that of the ABI it keeps.
set -u
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
map=$root/runtime/whorl.map
library=$build/libwhorl.so
for tool in nm readelf; do
    command -v "$tool" >/dev/null || { echo "$tool is lacking (binutils)"; exit 77; }
done
[ -e "$library" ] || { echo "FAILED: no $library"; exit 1; }
failed=0

# same WHAT-IS-WRONG-IF-ONLY-LEFT LEFT WHAT-IF-ONLY-RIGHT RIGHT: two sorted lists.
same() {
    local only
    only=$(comm -23 <(printf '%s\n' "$2") <(printf '%s\n' "$4"))
    [ -z "$only" ] || { printf 'FAILED: %s:\n%s\n' "$1" "$only"; failed=1; }
    only=$(comm -13 <(printf '%s\n' "$2") <(printf '%s\n' "$4"))
    [ -z "$only" ] || { printf 'FAILED: %s:\n%s\n' "$3" "$only"; failed=1; }
}

# A declaration's name is the first of ours that a parenthesis follows.
declared=$(cat "$root"/include/*.h "$root"/include/whorl/*.h |
    awk '/^WHORL_API/ && match($0, /whorl_[a-z0-9_]+\(/) { print substr($0, RSTART, RLENGTH - 1) }' |
    LC_ALL=C sort -u)
# "name@@WHORL_0.1", as the dynamic symbol table writes it.
mapped=$(awk '/^WHORL_[0-9.]+ \{$/ { version = $1 } /^ +whorl_[a-z0-9_]+;$/ {
    print substr($1, 1, length($1) - 1) "@@" version }' "$map" | LC_ALL=C sort)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' |
    grep -vE '^(__asan_|__tsan_|__ubsan_|__odr_asan)' | LC_ALL=C sort -u)

repeated=$(printf '%s\n' "${mapped}" | sed 's/@@.*//' | LC_ALL=C uniq -d)
[ -z "$repeated" ] || { printf 'FAILED: twice in runtime/whorl.map:\n%s\n' "$repeated"; failed=1; }
same 'declared WHORL_API in include/, and lacking in runtime/whorl.map: add these names to it' \
    "$declared" \
    'in runtime/whorl.map, and not declared WHORL_API at the start of a line in include/' \
    "$(printf '%s\n' "$mapped" | sed 's/@@.*//' | LC_ALL=C sort -u)"
same 'in runtime/whorl.map, and not exported by the library with that version' "$mapped" \
    'exported by the library, and not in runtime/whorl.map' "$exported"

soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ "$soname" = libwhorl.so.0 ] || { echo "FAILED: soname '$soname', not libwhorl.so.0"; failed=1; }
exit $failed
