#!/bin/bash
# What a public function does in a child of fork is decided, and tested: each one of runtime/whorl.map
# is called in test_fork.c.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
functions=$(sed -n 's/^ *\(whorl_[a-z0-9_]*\);$/\1/p' "$root/runtime/whorl.map")
[ "$(wc -w <<<"$functions")" -gt 50 ] || { echo 'FAILED: finds no functions in the map'; exit 1; }
failed=0
for function in $functions; do
    if ! grep -qE "\\b$function\\(" "$root/tests/api/test_fork.c"; then
        echo "FAILED: tests/api/test_fork.c does not call $function in a child: does it refuse, with"
        echo '    -ECHILD, or can it do without a runtime? It must not hang. See runtime/sys/fork.h'
        failed=1
    fi
done
exit $failed
