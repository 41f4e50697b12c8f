#!/bin/bash
# Each function of runtime/whorl.map is called in test_fork.c, so that what it does in a child of fork
# is decided; and in test_misuse.c, so that what it does with arguments it cannot take is.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
functions=$(sed -n 's/^ *\(whorl_[a-z0-9_]*\);$/\1/p' "$root/runtime/whorl.map")
[ "$(wc -w <<<"$functions")" -gt 50 ] || { echo 'FAILED: finds no functions in the map'; exit 1; }
failed=0

# calls FILE FUNCTION WHAT-TO-DO
calls() {
    grep -qE "\\b$2\\(" "$root/tests/api/$1" && return
    echo "FAILED: tests/api/$1 does not call $2: $3"
    failed=1
}

for function in $functions; do
    calls test_fork.c "$function" 'does it refuse, with -ECHILD, or can it do without a runtime?
    It must not hang. See runtime/sys/fork.h'
    [[ $function =~ ^whorl_sim_ ]] || calls test_misuse.c "$function" 'a line of its table, please'
done
exit $failed
