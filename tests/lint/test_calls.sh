#!/bin/bash
# What the library calls beside its table of system calls is listed in calls.txt, with what becomes
# of each failure; nothing else is called, and no line that names a file is there in vain.
#
# The simulation is left out: it plays the system, and is no part of a service.
set -u
build=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v nm >/dev/null || { echo 'nm is lacking (binutils)'; exit 77; }
objects=$build/runtime/CMakeFiles/whorl_objects.dir
[ -d "$objects" ] || { echo "FAILED: no objects in $objects"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# "call file" of each call into another library; a fortified one by its plain name. What a compiler
# writes out as instructions, or calls where it does not optimise, is none: the order of bytes and
# the counting of bits cannot fail.
list_calls() {
    local object file
    find "$objects" -name '*.o' | LC_ALL=C sort | while read -r object; do
        file=${object#"$objects"/}
        file=${file%.o}
        case $file in sys/os_linux.c | sim/*) continue ;; esac
        nm -u "$object" | awk -v file="$file" '
            { call = $2 }
            call ~ /^__.*_chk$/ { sub(/^__/, "", call); sub(/_chk$/, "", call) }
            call ~ /^__isoc99_/ { sub(/^__isoc99_/, "", call) }
            call == "bcmp" { call = "memcmp" }
            call ~ /^((hton|ntoh)[ls]|__popcount[sdt]i2)$/ { next }
            call !~ /^(whorl_|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail$)/ { print call, file }'
    done
}

# Compares the calls of file $1 with the list $2; prints what does not agree.
compare() {
    awk '
        FNR == NR { if ($0 !~ /^(#|$)/) { listed[$1 " " $2] = FNR; outcome[$1 " " $2] = $3 } next }
        ($1 " " $2) in listed { used[$1 " " $2] = 1; next }
        ($1 " *") in listed { used[$1 " *"] = 1; next }
        { printf "%s in %s is not listed: say in tests/lint/calls.txt what its failure does\n",
                 $1, $2; bad = 1 }
        END {
            for (key in listed) {
                if (!(key in used) && key !~ /\*$/) { print key ": is listed, and not called"; bad = 1 }
                if (outcome[key] == "") { print key ": is listed without its outcome"; bad = 1 }
            }
            exit bad
        }' "$2" "$1"
}

list_calls >"$work/calls"
[ -s "$work/calls" ] || { echo 'FAILED: found no calls at all'; exit 1; }
compare "$work/calls" "$here/calls.txt" || { echo 'FAILED'; exit 1; }

# The comparison itself: a line too few, one too many, one that says nothing.
status=0
grep -v '^mincore ' "$here/calls.txt" >"$work/fewer"
{ cat "$here/calls.txt"; echo 'gets stdio.c cannot be used rightly'; } >"$work/more"
sed 's/^mincore \([^ ]*\).*/mincore \1/' "$here/calls.txt" >"$work/silent"
for list in fewer more silent; do
    if compare "$work/calls" "$work/$list" >/dev/null; then
        echo "FAILED: a list with an error was accepted: $list"
        status=1
    fi
done
exit $status
