#!/usr/bin/env bash
# test_bugs.sh - bugs of runtime/base/bug.h that lose a grant, let two in, or miscount, are found by
# the program of locks and queues: each within so many seeds, which are fine without it.
#
# label: medium, time limit: 300 s
set -eu
build=${1:?usage: $0 BUILD_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

folder=$("$here/../support/build_seeded.sh" "$build" sim_test_programs)
programs=$folder/tests/sim/test_programs
missed=0

# bug, loops, seeds
look_for() {
    "$programs" sync "$2" 0 "$3" >/dev/null || { echo "sync at $2 loops: fails without a bug"; exit 1; }
    if "$programs" --bug "$1" sync "$2" 0 "$3" >"$scratch" 2>&1; then
        echo "$1 at $2 loops: NOT FOUND by $3 seeds"
        missed=1
    else
        [ "$(grep -c 'FAILED$' "$scratch")" = 1 ] || { cat "$scratch"; exit 1; }
        echo "$1 at $2 loops: $(sed -n 's/.*loops: *\([0-9]* seeds\).*/\1/p' "$scratch"), $(
            sed -n 's/^    [A-Z0-9]* (\(.*\)); repeat it.*/\1/p; s/^    [A-Z0-9]* (\(.*\)$/\1/p' "$scratch" |
                head -1)"
    fi
}
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT

look_for LOCK_FORGETS_THE_NEXT 1 100
look_for LOCK_FORGETS_THE_NEXT 2 100
look_for SEMAPHORE_LOSES_A_UNIT 1 100
look_for SEMAPHORE_LOSES_A_UNIT 2 100
look_for SEMAPHORE_HAS_NO_BOUND 2 100
look_for EVENT_WAKES_ONE 1 600
look_for CONDITION_TAKES_NO_LOCK 2 600
look_for BARRIER_LETS_IN 2 100
look_for BARRIER_KEEPS_THEM 2 300
look_for QUEUE_LOSES_AN_ITEM 2 600
look_for QUEUE_COUNTS_GETS 2 100
look_for QUEUE_TAKES_ON 2 300
look_for QUEUE_DROPS_ALL 2 300
exit "$missed"
