#!/usr/bin/env bash
# docs/guide/coming-from-asyncio.md has every word of asyncio, and the guides have every function of
# whorl, and none that is not.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C
page=docs/guide/coming-from-asyncio.md
words=tests/docs/asyncio_words.txt
failures=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# failed WHAT LINES...: one failure, if there are such lines.
failed_for() {
    [ -z "$2" ] && return
    printf 'FAILED: %s:\n%s\n' "$1" "$2"
    failures=$((failures + 1))
}

listed() {
    grep -v '^#' $words | sort -u
}

# The names in code quotes in the first column of the tables of page $1: Task.cancel, gather.
# shellcheck disable=SC2016 # the quotes are those of the page
explained() {
    sed -n 's/^| \([^|]*\) |.*/\1/p' "$1" | grep -o '`[^`]*`' |
        grep -oE '[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_]+)?' | sort -u
}

test_each_word_stands_in_a_table() {
    failed_for "no table of $page has" "$(comm -23 <(listed) <(explained $page))"
}

# Whoever makes a word that was not here takes it out of that table.
test_no_word_is_here_and_not_here() {
    local here absent
    here=$(sed '/^## Not here/,$d' $page >"$work/here" && explained "$work/here")
    absent=$(sed -n '/^## Not here/,/^## A /p' $page >"$work/absent" && explained "$work/absent")
    failed_for "$page explains, and has under Not here" \
        "$(comm -12 <(echo "$here") <(echo "$absent") | grep -Fxf <(listed))"
}

# Of Python 3.11 only, say; what later versions added stands in the list all the same.
public_names() {
    python3 - <<'PYTHON'
import asyncio

classes = [asyncio.Future, asyncio.Task, asyncio.Handle, asyncio.Runner, asyncio.Timeout, asyncio.TaskGroup]
names = {name for name in asyncio.__all__ if not name.startswith("_")}
# Of these some words come with the object: a condition's acquire is its lock's.
shared = [asyncio.Lock(), asyncio.Event(), asyncio.Condition(), asyncio.Semaphore(), asyncio.BoundedSemaphore(),
          asyncio.Barrier(2), asyncio.Queue(), asyncio.LifoQueue(), asyncio.PriorityQueue()]
for made in shared:
    cls = type(made)
    for name in dir(made):
        inherited = any(name in dir(base) for base in cls.__bases__) and name not in vars(cls)
        if not name.startswith("_") and not inherited:
            names.add(f"{cls.__name__}.{name}")
for owner, prefix in [(cls, cls.__name__) for cls in classes] + [(asyncio.AbstractEventLoop, "loop")]:
    for name in dir(owner):
        inherited = owner is asyncio.Task and name in dir(asyncio.Future)
        if not name.startswith("_") and not inherited:
            names.add(f"{prefix}.{name}")
print("\n".join(names))
PYTHON
}

test_list_has_what_this_python_has() {
    command -v python3 >/dev/null || { echo 'no python3: the list is not compared with it'; return; }
    failed_for "asyncio has, and $words has not" "$(comm -23 <(public_names | sort -u) <(listed))"
}

# The words of locks and queues that have nothing of whorl's beside them in page $1.
# shellcheck disable=SC2016 # as above
without_their_like() {
    local word others
    while read -r word; do
        others=$(awk -F ' *[|] *' -v word="$word" 'index($2, "`" word "`") && $3 ~ /whorl_|-E[A-Z]+/' "$1")
        [ -n "$others" ] || echo "$word"
    done < <(listed | grep -E '^(Lock|Event|Condition|(Bounded)?Semaphore|Barrier|(Lifo|Priority)?Queue)(\.|$)|^Queue[A-Z]|^Broken')
}

test_locks_and_queues_have_no_gap() {
    failed_for "$page has nothing of whorl for" "$(without_their_like $page)"
}

# shellcheck disable=SC2016 # as above
test_a_gap_would_be_found() {
    sed 's/^| `Condition.notify`, .*/| `Condition.notify`, `Condition.notify_all` | nothing | none |/' $page >"$work/planted"
    [ "$(without_their_like "$work/planted")" = $'Condition.notify\nCondition.notify_all' ] ||
        failed_for 'a gap that was planted is not found' "$(without_their_like "$work/planted"; echo '(all that is)')"
}

exported() {
    sed -nE 's/^ +(whorl_[a-z0-9_]+);$/\1/p' runtime/whorl.map | sort -u
}

test_each_function_stands_in_a_guide() {
    failed_for 'exported, and in no page of docs/guide' \
        "$(comm -23 <(exported) <(grep -ohE '\bwhorl_[a-z0-9_]+' docs/guide/*.md | sort -u))"
}

# Calls, and names in code quotes.
# shellcheck disable=SC2016 # as above
test_each_function_of_the_guides_exists() {
    failed_for 'in a page, and declared nowhere in include/' \
        "$(comm -23 <(grep -ohE '\bwhorl_[a-z0-9_]+\(|`whorl_[a-z0-9_]+`' docs/guide/*.md README.md |
            grep -oE 'whorl_[a-z0-9_]+' | sort -u) \
            <(grep -ohE '\bwhorl_[a-z0-9_]+' include/whorl.h include/whorl/*.h | sort -u))"
}

test_each_word_stands_in_a_table
test_no_word_is_here_and_not_here
test_list_has_what_this_python_has
test_locks_and_queues_have_no_gap
test_a_gap_would_be_found
test_each_function_stands_in_a_guide
test_each_function_of_the_guides_exists
[ $failures -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all passed: $(listed | wc -l) words, $(exported | wc -l) functions"
