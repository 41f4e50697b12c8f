#!/usr/bin/env bash
# The pages show code that compiles, lead to files that exist, and name tests that exist.
#
# A block marked ```c in README.md or docs/guide is one of:
#   - a whole program, when the line before it is <!-- docs/examples/NAME.c -->;
#   - a part of a program in docs/examples, blank lines aside;
#   - declarations, or statements, that compile by themselves against the public headers.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
compiler=${CC:-cc}
command -v "$compiler" >/dev/null || { echo "skipped: there is no $compiler"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# Writes each C block of page $1 to $2.N.c, and what its marker names to $2.N.of.
take_blocks() {
    awk -v prefix="$2" '
        /^```c$/ { file = prefix "." ++count; printf "" >(file ".c"); print marker >(file ".of")
                   inside = 1; next }
        /^```$/ { inside = 0 }
        inside { print >(file ".c") }
        { marker = /^<!-- docs\/examples\/[a-z_]+\.c -->$/ ? $2 : "" }' "$1"
}

# Whether the lines of file $1 follow each other in file $2, blank lines aside.
is_part_of() {
    local part whole
    part=$'\n'$(grep -v '^$' "$1")$'\n'
    whole=$'\n'$(grep -v '^$' "$2")$'\n'
    [[ $whole == *"$part"* ]]
}

is_part_of_an_example() {
    local example
    for example in docs/examples/*.c; do
        ! is_part_of "$1" "$example" || return 0
    done
    return 1
}

headers='#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <whorl.h>'

accepts() {
    "$compiler" -std=gnu11 -fsyntax-only -Wall -Werror -Wno-unused -Iinclude -x c - 2>"$work/errors"
}

compiles() {
    { echo "$headers" && cat "$1"; } | accepts ||
        { echo "$headers" && echo 'int block(void *arg); int block(void *arg) {' && cat "$1" &&
            echo 'return 0; }'; } | accepts
}

test_code_blocks_are_programs_or_compile() {
    local page block of count=0
    for page in README.md docs/guide/*.md; do
        take_blocks "$page" "$work/${page//\//_}"
        for block in "$work/${page//\//_}".*.c; do
            [ -e "$block" ] || continue
            count=$((count + 1))
            of=$(cat "${block%.c}.of")
            if [ -n "$of" ]; then
                diff "$of" "$block" || failed "$page shows another $of"
            elif ! is_part_of_an_example "$block" && ! compiles "$block"; then
                cat "$block" "$work/errors"
                failed "$page: this block is in no example and does not compile"
            fi
        done
    done
    [ "$count" -gt 3 ] || failed "found only $count blocks"
}

pages() {
    find README.md docs -name '*.md'
}

test_links_lead_to_files() {
    local page link
    while read -r page; do
        while read -r link; do
            [ -e "$(dirname "$page")/$link" ] || failed "$page: no file $link"
        done < <(grep -oE '\]\([^)#]+' "$page" | cut -c 3- | grep -v '^https\{0,1\}:')
    done < <(pages)
}

# `runtime/...`, `tests/...` and so on, up to a space or a colon; with a * in it, one file must match. A program
# is named without its .c.
# shellcheck disable=SC2016 # the quotes are those of the pages
test_named_files_exist() {
    local page name
    while read -r page; do
        while read -r name; do
            compgen -G "$name" >/dev/null || [ -e "$name.c" ] || failed "$page names $name, which does not exist"
        done < <(grep -oE '`(runtime|tests|bench|docs|include)/[^` ]+' "$page" | cut -c 2- |
            cut -d : -f 1 | sort -u)
    done < <(pages)
}

# shellcheck disable=SC2016 # as above
test_named_tests_exist() {
    local page name
    while read -r page; do
        while read -r name; do
            grep -rqw --include='*.c' --include='*.sh' "$name" tests ||
                failed "$page names the test $name, which does not exist"
        done < <(grep -oE '`test_[a-z0-9_]+`' "$page" | tr -d '`' | sort -u)
    done < <(pages)
}

test_code_blocks_are_programs_or_compile
test_links_lead_to_files
test_named_files_exist
test_named_tests_exist
[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all passed"
