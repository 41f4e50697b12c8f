#!/bin/sh
# test_planted.sh BUILD - every planted bug of planted.c is found within its budget, by the model it
# was planted in and by no other; its seed and the shortened one fail again, in the same way. With
# none planted all models hold. A seed of another version is refused, and says so.
set -u
programs=$1/tests/model
if [ ! -x "$programs/planted_0" ]; then
    echo "the models are not part of this build"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
    echo "FAILED: $1"
    sed 's/^/    /' "$work/out" | head -20
    failed=1
}

# The value behind a word of the last report.
value_of() {
    sed -n "s/^ *$1  *//p" "$work/out" | head -1
}

# What went wrong, without the number of schedules it took.
reason() {
    sed -n 's/^model .*: FAILED .*schedules: //p' "$work/out" | head -1
}

replays() {
    text=$1
    why=$2
    timeout 60 "$program" --replay "$text" >"$work/out" 2>&1
    [ $? -eq 1 ] && grep -qF "$why" "$work/out"
}

program=$programs/planted_0
if timeout 60 "$program" >"$work/out" 2>&1; then
    echo "none planted: all hold"
else
    complain "a model fails though nothing is planted"
fi

for program in "$programs"/planted_[1-9]*; do
    bug=${program##*_}
    timeout 60 "$program" >"$work/out" 2>&1
    code=$?
    cp "$work/out" "$work/report"
    if [ "$code" -ne 1 ] || [ "$(grep -c ': FAILED ' "$work/out")" -ne 1 ] ||
        ! grep -q "^model planted/$bug-.*: FAILED " "$work/out"; then
        complain "bug $bug was not found, or not where it is (exit code $code)"
        continue
    fi
    line=$(grep ': FAILED ' "$work/out")
    why=$(reason)
    seed=$(value_of seed)
    short=$(value_of shortened)
    for text in $seed $short; do
        replays "$text" "$why" || complain "bug $bug: $text does not fail again with: $why"
    done
    old=$(echo "${short:-$seed}" | sed 's/^[^/]*/0.0.0-m0/')
    timeout 60 "$program" --replay "$old" >"$work/out" 2>&1
    code=$?
    if [ "$code" -ne 2 ] || ! grep -q version "$work/out"; then
        complain "bug $bug: a seed of version 0.0.0-m0 was not refused (exit code $code)"
    fi
    echo "$line, and again from ${short:-$seed}" | sed 's/: FAILED in /: found in /'
done
exit $failed
