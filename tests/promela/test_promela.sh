#!/usr/bin/env bash
# Every interleaving of the protocols, without the code: spin searches all states of each *.pml, and
# must find each of the bugs planted in it (BUG=1, 2, ...). One line a protocol.
#
# label: medium; time limit: 600 s
#
# In memory that is sequentially consistent; fences and orders are the business of tests/model.
# With WHORL_TEST_SCALE above 1 also the large configurations, which want 2 GB.
set -u
folder=$(cd "$(dirname "$0")" && pwd)
for tool in spin gcc; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

# search PROTOCOL OPTION...: leaves pan's report in `report`, the count of states in $states.
search() {
    local protocol=$1
    shift
    rm -f pan* ./*.trail
    if ! spin -a "$@" "$folder/$protocol.pml" >report 2>&1 ||
        ! gcc -O2 -DSAFETY -DCOLLAPSE -w -o pan pan.c 2>>report; then
        states=0
        return 1
    fi
    timeout 250 ./pan -m1000000 >report 2>&1
    states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' report)
    grep -q 'errors:' report
}

# holds PROTOCOL OPTION...: no state is bad, and the search reached its end.
holds() {
    if ! search "$@" || ! grep -q 'errors: 0$' report || grep -q 'max search depth' report; then
        echo "FAILED: $*: repeat with spin -a ${*:2} $1.pml; gcc -DSAFETY pan.c; ./a.out; spin -t -p $1.pml"
        grep -v '^Depth=' report | tail -n 15
        failures=$((failures + 1))
    fi
    total=$((total + states))
}

# finds PROTOCOL OPTION...: the search meets the planted bug.
finds() {
    planted=$((planted + 1))
    if search "$@" && grep -q 'errors: 1$' report; then
        found=$((found + 1))
    else
        echo "FAILED: $*: this bug was not found"
        grep -v '^Depth=' report | tail -n 15
        failures=$((failures + 1))
    fi
}

begin() {
    total=0
    planted=0
    found=0
}

end() {
    echo "promela $1: $total states, every interleaving; $found of $planted planted bugs found"
}

begin
holds task
for bug in 1 2 3 4 5; do
    finds task -DBUG="$bug"
done
end task

begin
holds record -DCLOSE=0
holds record -DCLOSE=1
finds record -DCLOSE=0 -DBUG=1
finds record -DCLOSE=1 -DBUG=2
finds record -DCLOSE=0 -DBUG=3
finds record -DCLOSE=1 -DBUG=4
end record

begin
holds idle -DLOOPS=2
holds idle -DLOOPS=2 -DFOREIGN=0
holds idle -DLOOPS=2 -DFOREIGN=0 -DEVENTS=1
holds idle -DLOOPS=3 -DFOREIGN=0 -DEVENTS=1
if [ "${WHORL_TEST_SCALE:-1}" -gt 1 ]; then
    holds idle -DLOOPS=3 -DFOREIGN=1
    holds idle -DLOOPS=3 -DFOREIGN=2
fi
for bug in 1 2 3 4; do
    finds idle -DLOOPS=3 -DFOREIGN=0 -DEVENTS=1 -DBUG="$bug"
done
end idle

[ "$failures" -eq 0 ]
