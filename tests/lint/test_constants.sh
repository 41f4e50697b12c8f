#!/usr/bin/env bash
# Each row of docs/decisions/013-constants.md names a constant that the source defines, with the
# value that it has there; and in the layers that schedule and wait each number has a row. A page
# with a wrong value, a constant that is gone and a number without a row are found, which is tried.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
page=docs/decisions/013-constants.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Numbers in these that are no choice: bits, tags, sizes of a format, the length of a report.
unchosen='_SHIFT$|_MASK$|_LOG2$|_BITS$|_MAX_LOG2$|^(SIGNALS|FRAMES|NAMED|CALL_BYTES|LINE_BYTES|'
unchosen+='ORIGIN_BYTES|WHY_BYTES|MONITOR_|NOBODY_ASKS|ASKED|ANSWERED|ALTSTACK_BYTES|'
unchosen+='MADV_GUARD_INSTALL|WHORL_STACK_(PAGE_MAX|LEAST|MAX|MIN|GUARD|WARM_MAX)|RUNNING_ON_VALGRIND)'

# definitions: file, name and value, tabs between, of #defines and of enums of one line, below here.
definitions() {
    find runtime -name '*.[ch]' ! -path 'runtime/sim/*' -exec awk '
        /^# *define +[A-Za-z_0-9]+ +[^ ]/ || /^enum \{ *[A-Z_0-9]+ = [^,]*\};/ {
            sub(/ *\/\*.*/, "")
            if (sub(/^enum \{ */, ""))
                sub(/ *\};.*/, "")
            else
                sub(/^# *define +/, "")
            name = $1
            sub(/^[A-Za-z_0-9]+ +(= )?/, "")
            print FILENAME "\t" name "\t" $0
        }' {} +
}

# rows FILE: the same of each row of the page.
rows() {
    sed -nE 's/^\| `([A-Za-z_0-9]+)` \| ([^|]*[^| ]) \| `([^`]+)` \|.*/\3\t\1\t\2/p' "$1"
}

# check TREE: prints what is wrong; the page is that of the tree.
check() {
    (cd "$1" && definitions) >"$work/definitions"
    rows "$1/$page" >"$work/rows"
    [ "$(wc -l <"$work/rows")" -ge 40 ] || echo "the page has hardly any rows"
    awk -F '\t' -v unchosen="$unchosen" '
        NR == FNR { value[$1, $2] = $3; files[$1] = 1; next }
        FILENAME ~ /rows$/ {
            row[$1, $2] = 1
            if (!($1 in files))
                print $2 ": there is no " $1
            else if (value[$1, $2] != $3)
                print $2 ": " $1 " does not say " $3
            next
        }
        $1 ~ /^runtime\/(sched|loop|io|fiber|poll|sync)\// && $2 !~ unchosen &&
        ($3 ~ /SECOND/ || $3 ~ /^\(*(\(size_t\))?([2-9]|[1-9][0-9]+)U?([^0-9A-Za-z_]|$)/) &&
        !(($1, $2) in row) { print $2 ": " $1 " gives it " $3 ", and it has no row" }
    ' "$work/definitions" "$work/rows" "$work/definitions"
}

# finds WHAT WORD: check of the copy prints one line, with this word at its beginning.
finds() {
    local output
    output=$(check "$work/tree")
    if [ "$(wc -l <<<"$output")" -ne 1 ] || [[ $output != "$2: "* ]]; then
        printf 'FAILED: %s is not found, but: %s\n' "$1" "$output"
        exit 1
    fi
}

afresh() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/docs/decisions"
    cp -r "$root/runtime" "$work/tree/runtime"
    cp "$root/$page" "$work/tree/$page"
}

output=$(check "$root")
[ -z "$output" ] || {
    printf 'FAILED: %s and the source do not agree:\n%s\n' "$page" "$output"
    exit 1
}

afresh
sed -i 's/^#define POLL_NS .*/#define POLL_NS (60 * WHORL_MICROSECOND)/' "$work/tree/runtime/sched/worker.c"
finds "another value" POLL_NS
afresh
sed -i 's/SHARED_INTERVAL/SHARED_ROUNDS/' "$work/tree/runtime/sched/run.c"
sed -i 's/`SHARED_INTERVAL`/`SHARED_ROUNDS`/; s/61 | `runtime.sched.run.c`/61 | `runtime\/sched\/gone.c`/' \
    "$work/tree/$page"
output=$(check "$work/tree")
[[ $output == *"SHARED_ROUNDS: there is no runtime/sched/gone.c"* ]] || {
    echo "FAILED: a file that is gone is not found: $output"
    exit 1
}
afresh
echo '#define WAIT_A_WHILE 99' >>"$work/tree/runtime/sched/idle.c"
finds "a number without a row" WAIT_A_WHILE
afresh
sed -i '/^| `WINDOW`/d' "$work/tree/$page"
finds "a constant without a row" WINDOW
