#!/usr/bin/env bash
# The report finds what it is there to find: made-up rows and programs, one thing wrong at a time.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null || { echo 'skipped: there is no python3'; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

# A tree with four rows, all accounted for: two by a program, one by a script, one not in C.
make_tree() {
    rm -rf "$work/tree" "$work/build"
    mkdir -p "$work/tree/conformance" "$work/tree/api" "$work/build/tests/api"
    cat >"$work/tree/conformance/rows.txt" <<'ROWS'
# a comment
FUT-1 all: a text that goes on
    in the next line.
FUT-2 weak: another.
    | what is left of it
RUN-1 all: shown by a script.
RUN-2 none: no such thing.
    | the reason
ROWS
    echo '# open' >"$work/tree/conformance/open.txt"
    cat >"$work/tree/api/test_a.c" <<'SOURCE'
static void test_fut_1_and_2_hold(void **state)
static void test_a_case_without_a_row(void **state)
SOURCE
    printf '%s\n' '#!/bin/sh' 'test_run_1_is_shown() { :; }' 'test_run_1_is_shown' \
        >"$work/tree/api/test_b.sh"
    chmod +x "$work/tree/api/test_b.sh"
    make_program 1 2
}

# A program that runs its one case at the named numbers of loops.
make_program() {
    {
        echo '#!/bin/sh'
        echo 'echo "[ RUN      ] test_fut_1_and_2_hold"'
        printf 'echo "[ LOOPS    ] %s"\n' "$@"
        echo 'echo "[       OK ] test_fut_1_and_2_hold"'
    } >"$work/build/tests/api/test_a"
    chmod +x "$work/build/tests/api/test_a"
}

report() {
    "$here/report" "$work/build" --tests "$work/tree" "$@" >"$work/said" 2>&1
}

fail() {
    echo "FAILED: $1"
    cat "$work/said"
    failures=$((failures + 1))
}

# Says WHAT, and fails.
refuses() {
    if report; then
        fail "accepted, though: $1"
    elif ! grep -qF "$1" "$work/said"; then
        fail "did not say: $1"
    fi
}

test_a_full_account_passes() {
    make_tree
    report || fail 'a full account was refused'
    grep -qE '^ +all +4 +2 +1 +1 +0 +0$' "$work/said" || fail 'the counts are wrong'
}

test_a_row_without_a_case_fails() {
    make_tree
    echo 'FUT-3 all: new.' >>"$work/tree/conformance/rows.txt"
    refuses 'FUT-3 is unaccounted for, at one and several'
    echo 'FUT-3 one several' >>"$work/tree/conformance/open.txt"
    report || fail 'a row in open.txt was refused'
    grep -qx 'open: FUT-3' "$work/said" || fail 'the open row is not named'
}

test_a_case_at_one_loop_only_is_half() {
    make_tree
    make_program 1
    refuses 'FUT-1 is unaccounted for, at several'
    ! grep -q 'FUT-2 is unaccounted' "$work/said" || fail 'a weak row needs one loop only'
    make_program 2
    refuses 'FUT-1 is unaccounted for, at one'
    refuses 'FUT-2 is unaccounted for, at one'
}

test_a_stale_entry_fails() {
    make_tree
    echo 'FUT-1 one several' >>"$work/tree/conformance/open.txt"
    refuses 'FUT-1 holds where open.txt says that it does not'
    make_program 1
    refuses 'FUT-1 holds where open.txt says that it does not'
    make_tree
    echo 'FUT-9 one' >>"$work/tree/conformance/open.txt"
    refuses 'open.txt names FUT-9, which does not exist'
}

test_a_case_of_no_row_fails() {
    make_tree
    sed -i 's/and_2/and_7/' "$work/tree/api/test_a.c" "$work/build/tests/api/test_a"
    refuses 'names FUT-7, which does not exist'
    make_tree
    sed -i 's/test_run_1/test_run_2/' "$work/tree/api/test_b.sh"
    refuses 'names RUN-2, which is of the kind none'
}

test_a_case_that_does_not_pass_fails() {
    make_tree
    sed -i 's/\[       OK \]/[  FAILED  ]/' "$work/build/tests/api/test_a"
    refuses 'test_fut_1_and_2_hold did not run, or failed'
    make_tree
    : >"$work/build/tests/api/test_a"
    refuses 'test_fut_1_and_2_hold did not run, or failed'
    make_tree
    echo 'exit 1' >>"$work/tree/api/test_b.sh"
    refuses 'test_run_1_is_shown did not run, or failed'
    make_tree
    sed -i '$d' "$work/tree/api/test_b.sh" # defined, and never called
    refuses 'RUN-1 is unaccounted for'
}

test_update_writes_what_is_open() {
    make_tree
    make_program 1
    report --update || fail 'after an update it was refused'
    [ "$(tail -n +2 "$work/tree/conformance/open.txt")" = 'FUT-1 several' ] ||
        fail 'open.txt is wrong'
}

test_a_full_account_passes
test_a_row_without_a_case_fails
test_a_case_at_one_loop_only_is_half
test_a_stale_entry_fails
test_a_case_of_no_row_fails
test_a_case_that_does_not_pass_fails
test_update_writes_what_is_open
[ $failures -eq 0 ]
