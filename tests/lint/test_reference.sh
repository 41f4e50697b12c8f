#!/usr/bin/env bash
# docs/reference is what docs/reference/make.py makes of the public headers now, has every function
# once, and every link into a page of docs finds its heading.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
command -v python3 >/dev/null || { echo 'skipped: there is no python3'; exit 77; }
export LC_ALL=C
make=docs/reference/make.py
table=docs/guide/coming-from-asyncio.md
failures=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# failed_for WHAT LINES: a failure if there are such lines.
failed_for() {
    [ -z "$2" ] || failed "$1:"$'\n'"$2"
}

test_pages_are_current() {
    python3 $make --check || failed "after a change to a public header: $make, and commit what it writes"
}

# A copy in which one word of a comment, or of a page, is another.
copy() {
    rm -rf "$work/copy"
    mkdir -p "$work/copy/include" "$work/copy/docs/guide"
    cp -r include/whorl "$work/copy/include/"
    cp -r docs/reference "$work/copy/docs/"
    cp $table "$work/copy/docs/guide/"
}

test_check_notices_a_change() {
    local file
    for file in include/whorl/task.h docs/reference/task.md docs/reference/README.md; do
        copy
        sed -i 's/whorl_spawn/whorl_spwan/' "$work/copy/$file"
        ! python3 "$work/copy/$make" --check >"$work/out" 2>&1 || failed "$make --check overlooks a change of $file"
    done
    copy
    touch "$work/copy/docs/reference/gone.md"
    ! python3 "$work/copy/$make" --check >"$work/out" || failed "$make --check overlooks a page without a header"
}

exported() {
    sed -nE 's/^ +(whorl_[a-z0-9_]+);$/\1/p' runtime/whorl.map | sort
}

test_each_function_has_one_heading() {
    failed_for 'exported or with a heading, not both, or twice' \
        "$(diff <(exported) <(sed -nE 's/^### (whorl_[a-z0-9_]+)$/\1/p' docs/reference/*.md |
            grep -Fvxf <(typedefs) | sort))"
}

# Functions that a program supplies have headings, too.
typedefs() {
    sed -nE 's/^typedef [a-z]+ \**(whorl_[a-z0-9_]+)\(.*/\1/p' include/whorl/*.h
}

# The anchors of page $1 as the usual renderers make them of its headings: lower case, blanks as -,
# other marks dropped.
anchors() {
    sed -nE '/^```/,/^```/d; s/^#+ (.*)$/\1/p' "$1" | tr 'A-Z ' 'a-z-' | sed 's/[^a-z0-9_-]//g'
}

test_links_find_their_headings() {
    local page link target
    while read -r page; do
        while read -r link; do
            target=$(dirname "$page")/${link%%#*}
            [ -n "${link%%#*}" ] || target=$page
            [[ $target == *.md ]] || continue
            anchors "$target" | grep -qxF -- "${link#*#}" || failed "$page: no heading for $link"
        done < <(grep -oE '(\]\(|^\[[a-z0-9_ ]+\]: )[^):]*#[^)]+' "$page" | sed -E 's/^.*(\]\(|\]: )//' | sort -u)
    done < <(find README.md docs -name '*.md')
}

# In code quotes in a table, and not between the brackets of a link.
# shellcheck disable=SC2016 # the quotes are those of the page
test_each_function_of_the_table_is_linked() {
    failed_for "$table names without a link" \
        "$(grep '^| ' $table | grep -oE '(^|[^[])`whorl_[a-z0-9_]+[`(][^`]*' |
            grep -oE 'whorl_[a-z0-9_]+' | grep -Fxf <(exported) | sort -u)"
}

test_pages_are_current
test_check_notices_a_change
test_each_function_has_one_heading
test_links_find_their_headings
test_each_function_of_the_table_is_linked
[ $failures -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all passed: $(exported | wc -l) functions"
