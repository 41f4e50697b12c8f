#!/usr/bin/env bash
# Every code that a public header says a call returns has a name and words in include/whorl/error.h.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C
listed=$(sed -n 's/^ *X(\(E[A-Z0-9]*\),.*/\1/p' include/whorl/error.h | sort -u)
told=$(grep -ohE -e '-E[A-Z][A-Z0-9]+\b' include/whorl/*.h | tr -d - | sort -u)
[ "$(wc -l <<<"$told")" -gt 20 ] || { echo "FAILED: the headers name hardly any code"; exit 1; }
missing=$(comm -13 <(echo "$listed") <(echo "$told"))
[ -z "$missing" ] || { printf 'FAILED: not in WHORL_ERRORS of include/whorl/error.h:\n%s\n' "$missing"; exit 1; }
