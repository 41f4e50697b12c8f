#!/bin/sh
# The sources keep the rules of rules.awk.
exec "$(dirname "$0")/lint.sh"
