#!/bin/bash
# What programs were compiled and linked against is still there, and still the same: whorl-0.txt is
# what list.sh wrote when that was last decided. What is gone or different fails; what is new is
# told, and comes into the file by the same command.
set -u
build=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LC_ALL=C
for tool in gdb nm; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
if ! grep -q '^WHORL_SANITIZE:STRING=none$' "$build/CMakeCache.txt"; then
    echo 'skipped: a sanitizer adds names of its own'
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

"$here/list.sh" "$build" "$work/now" || { echo 'FAILED: list.sh'; exit 1; }
sort "$here/whorl-0.txt" >"$work/kept" || exit 1
for list in now kept; do
    lines=$(wc -l <"$work/$list")
    [ "$lines" -gt 100 ] || { echo "FAILED: $lines facts only are $list"; exit 1; }
done
sort "$work/now" >"$work/sorted"
gone=$(comm -23 "$work/kept" "$work/sorted")
new=$(comm -13 "$work/kept" "$work/sorted")
advice="cmake --build $build --target abi    # writes tests/abi/whorl-0.txt anew"

[ -z "$new" ] || printf 'new, and not in tests/abi/whorl-0.txt:\n%s\n' "$new"
if [ -n "$gone" ]; then
    printf 'FAILED: programs were built against this, and it is gone or different:\n%s\n' "$gone"
    printf 'See docs/decisions/008-abi.md. If it is meant, as when a field takes a reserved word:\n'
    printf '    %s\n' "$advice"
    exit 1
fi
[ -z "$new" ] || printf 'To take it in: %s\n' "$advice"
echo "the ABI: $(wc -l <"$work/kept") facts, all as they were"
