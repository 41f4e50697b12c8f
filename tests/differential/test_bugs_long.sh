#!/usr/bin/env bash
# test_bugs_long.sh - as test_bugs.sh, with all of them.
#
# label: long, time limit: 1800 s
set -eu
export WHORL_BUGS_EVERY=1
exec "$(dirname "${BASH_SOURCE[0]}")/test_bugs.sh" "$@"
