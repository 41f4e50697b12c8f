#!/usr/bin/env bash
# Every order of the library weakened, one at a time: caught by a model, or listed with the argument.
# label: long; time limit: 5400 s
WHORL_TEST_SCALE=1 exec "$(dirname "${BASH_SOURCE[0]}")/mutate" --build "$1"
