#!/usr/bin/env bash
# docs/guide/porting.md: its example does what the page says, and its table of weaker rows is that of
# tests/conformance/rows.txt.
set -u
build=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
page=docs/guide/porting.md
failures=0

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

test_mt_7_example_sells_each_piece_once() {
    local sold
    sold=$(timeout 60 "$build/docs/examples/shop") || failed "shop: exit code $?"
    [ "$sold" = "$(printf 'sold 1000, left 0\n%.0s' 1 2 3 4)" ] || failed "shop says: $sold"
}

# "CODE | what holds | what is left" of each weak row, on one line.
weak_rows() {
    awk 'function out() { if (weak) print code " | " text " *" reason "*" }
        /^[A-Z]+-[0-9]+ / { out(); code = $1; weak = $2 == "weak:"; text = $0; reason = ""; mine = 0
                            sub(/^[^:]*: /, "", text); next }
        /^    / { sub(/^ +/, ""); if (/^\|/) { mine = 1; sub(/^\| /, "") }
                  if (!mine) text = text " " $0; else reason = reason (reason == "" ? "" : " ") $0 }
        END { out() }' tests/conformance/rows.txt
}

test_table_is_that_of_the_rows() {
    local count
    count=$(weak_rows | wc -l)
    [ "$count" -gt 10 ] || failed "found $count weak rows only"
    diff <(weak_rows) <(sed -nE 's/^\| ([A-Z]+-[0-9]+ \| .*) \|$/\1/p' $page) ||
        failed "$page has other weak rows than rows.txt (<)"
}

test_page_begins_with_atomicity() {
    local first
    first=$(grep -m 1 '^## ' $page)
    [ "$first" = '## Between two waits you are not alone' ] || failed "$page begins with $first"
}

test_mt_7_example_sells_each_piece_once
test_table_is_that_of_the_rows
test_page_begins_with_atomicity
[ $failures -eq 0 ] || { echo "$failures failed"; exit 1; }
echo 'all passed'
