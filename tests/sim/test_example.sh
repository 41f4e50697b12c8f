#!/bin/bash
# The example of docs/guide/simulation.md does what the page says: it finds its race, names a seed,
# and fails again with that seed in the same words; mended it finds nothing. A seed of another
# version is refused.
set -u
race=$1/docs/examples/race
[ -x "$race" ] || { echo "FAILED: there is no $race"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset WHORL_SIM_SEED

fail() {
    echo "FAILED: $1"
    tail -n 20 "$work"/*
    exit 1
}

timeout 60 "$race" >"$work/first" 2>&1 && fail 'the race is not found'
seed=$(sed -n 's/^whorl: repeat it with WHORL_SIM_SEED=//p' "$work/first")
[ -n "$seed" ] || fail 'no seed is named'
grep -q "^whorl: simulation $seed failed: more was paid out than was there$" "$work/first" ||
    fail 'the verdict is another one'

WHORL_SIM_SEED=$seed timeout 60 "$race" >"$work/second" 2>&1 && fail 'the seed does not fail again'
grep -q '^1 seeds, the last one failed$' "$work/second" || fail 'more than the one seed was run'
diff <(grep '^whorl:' "$work/first") <(grep '^whorl:' "$work/second") >"$work/difference" ||
    fail 'the second run differs'

timeout 300 "$race" mended >"$work/mended" 2>&1 || fail 'the mended program fails'
grep -q '^3000 seeds, all fine$' "$work/mended" || fail 'not all seeds were run'

WHORL_SIM_SEED=0.0.1-s1:0x1 timeout 60 "$race" >"$work/stale" 2>&1 && fail 'an old seed is taken'
grep -q 'is a seed of another version' "$work/stale" || fail 'nobody says why it is refused'
grep -q '^0 seeds' "$work/stale" || fail 'something was run all the same'
