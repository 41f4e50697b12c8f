#!/usr/bin/env bash
# test_sync_long.sh - as test_sync.sh, with 20 000 programs in a long run.
#
# label: long, time limit: 3600 s
set -eu
export WHORL_DIFFERENTIAL_FLOOR=95
export WHORL_DIFFERENTIAL_COUNT=$((2000 * ${WHORL_TEST_SCALE:-1}))
exec "$(dirname "${BASH_SOURCE[0]}")/test_sync.sh" "$@"
