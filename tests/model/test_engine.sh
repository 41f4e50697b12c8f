#!/usr/bin/env bash
# The checker as a user meets it: each kind of fault is found and named, the printed texts repeat the
# printed interleaving, a text of another version is refused, options and exit codes are right.
# label: medium
set -u
programs=$1/tests/model
faults=$programs/faults
[ -x "$faults" ] || { echo "skipped: the models are not part of this build"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

failed() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect STATUS COMMAND...: its output goes to $work/out
expect() {
    local wanted=$1 status
    shift
    timeout 60 "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ "$status" -eq "$wanted" ] || failed "$* ended with $status, not $wanted: $(head -c 300 "$work/err")"
}

says() {
    grep -qF -- "$1" "$work/out" "$work/err" || failed "${2:-output} does not say: $1"
}

# The interleaving and the verdict of a report.
interleaving() {
    sed -n '/^ step /,$p' "$work/out"
}

# ---- every fault is found, and its texts repeat it ----

"$faults" --list >"$work/list" || failed "--list"
while read -r name about; do
    if [ "$about" = held ]; then
        expect 0 "$faults" --model "$name"
        says "model $name: held;"
        continue
    fi
    expect 1 "$faults" --model "$name"
    says "model $name: FAILED" "$name"
    says "$about" "$name"
    [ "$name" != wrong/missing-outcome ] || continue # no execution is to blame
    interleaving >"$work/first"
    [ "$(wc -l <"$work/first")" -ge 2 ] || failed "$name has no interleaving"
    text=$(sed -n 's/.* --replay //p' "$work/out")
    seed=$(sed -n 's/^ *seed *//p' "$work/out")
    for _ in 1 2; do
        expect 1 "$faults" --replay "$text"
        interleaving >"$work/again"
        cmp -s "$work/first" "$work/again" || failed "$name: $text shows another interleaving"
    done
    if [ -n "$seed" ]; then
        expect 1 "$faults" --replay "$seed"
        says "$about" "$seed"
    fi
done <"$work/list"
[ "$(wc -l <"$work/list")" -ge 15 ] || failed "--list has only $(wc -l <"$work/list") models"

# ---- what an interleaving looks like: a column for each thread, the weak memory in words ----

expect 1 "$faults" --model wrong/store-buffering --mode tso
says ' step  thread 0'
says '(to the buffer)'
says 'thread 1 looks'
grep -qE '^ step  thread 0 +thread 1$' "$work/out" || failed "there are no two columns"
grep -qE '^ +[0-9]+  model/faults.c:[0-9]+ store relaxed' "$work/out" || failed "no step of thread 0"
grep -qE '^ +[0-9]+ {40,}model/faults.c:[0-9]+ store' "$work/out" || failed "no step of thread 1"
expect 1 "$faults" --model wrong/store-buffering --mode c11
says '(old: 1 newer)'
expect 0 "$faults" --model wrong/store-buffering --mode sc

# ---- the same seed tries the same executions ----

expect 1 "$faults" --model stuck/lost-wake-up --mode pso --seed 7
cp "$work/out" "$work/first"
expect 1 "$faults" --model stuck/lost-wake-up --mode pso --seed 7
cmp -s "$work/first" "$work/out" || failed "two runs from one seed differ"

# ---- texts that cannot be repeated ----

version=${text%%/*}
expect 2 "$faults" --replay "0.0.9-m0/${text#*/}"
says 'is of another version'
expect 2 "$faults" --replay "$version/sc/no/such/0x1"
says 'no such mode or model'
expect 2 "$faults" --replay "$version/sc/race/writes/x1.2_nonsense"
says 'is damaged'
expect 2 "$faults" --replay "$version/sc/race/writes/0x1z"
says 'is no number'
expect 2 "$faults" --replay nonsense
says 'not of the form'

# ---- options ----

expect 0 "$faults" --help
says 'usage:'
expect 2 "$faults" --no-such-option
expect 2 "$faults" --mode x87
expect 2 "$faults" --model no/such
expect 2 "$faults" --mutate model/faults.c:no_such#1
says 'no operation is called'
expect 2 "$faults" --mutate model/faults.c:publish_well#1:fluffy
says 'has no weaker form'
expect 0 "$faults" --model holds/publish --exhaustive=5
expect 1 "$faults" --model holds/publish --mutate model/faults.c:publish_well#1:relaxed --brief
says 'data race'
expect 4 "$faults" --model holds/publish --mutate model/faults.c:publish_relaxed#2:relaxed

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
