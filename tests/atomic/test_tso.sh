#!/bin/sh
# test_tso.sh - AArch64 never gets the fences that ck has for x86-64.
#
# Debian keeps ck's configuration in a folder that is not the processor's own, so a cross compiler
# may find the one for amd64, in which the fences are empty. Compiling atomic.h over it has to fail,
# with our message; and has to succeed in each of the cases next to that one.
set -u
cd "$(dirname "$0")/../.." || exit 1
compiler=aarch64-linux-gnu-gcc
command -v $compiler >/dev/null || { echo "skipped: $compiler is missing"; exit 77; }
[ -e /usr/include/ck_md.h ] || { echo "skipped: libck-dev is not in /usr/include"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/total" "$folder/relaxed"
cp -r /usr/include/ck_* /usr/include/gcc "$folder/total" && cp -r "$folder"/total/* "$folder/relaxed" &&
    sed 's/CK_MD_TSO/CK_MD_RMO/' "$folder/total/ck_md.h" >"$folder/relaxed/ck_md.h" || exit 1
grep -q CK_MD_TSO "$folder/total/ck_md.h" || { echo "skipped: ck is not configured for x86-64"; exit 77; }

cat >"$folder/probe.c" <<'PROBE'
#include "atomic/atomic.h"
#include <ck_ring.h>
#include <ck_stack.h>
void probe(void **field);
void probe(void **field)
{
    whorl__store_release_ptr(field, field);
}
PROBE

# compiles COMPILER CK_FOLDER OPTION...: the assembly goes to $folder/probe.s
compiles() {
    with=$1 ck=$2
    shift 2
    "$with" -std=gnu11 -D_GNU_SOURCE -O2 -S "$@" -Iruntime -isystem "$folder/$ck" \
        "$folder/probe.c" -o "$folder/probe.s" 2>"$folder/errors"
}
fail() {
    echo "FAILED: $1"
    cat "$folder/errors"
    exit 1
}

c11="-DWHORL_ATOMIC_C11 -Iruntime/atomic/shim"
# shellcheck disable=SC2086 # several options in one word
for options in "" "$c11"; do
    if compiles $compiler total $options; then
        fail "AArch64 takes ck's configuration for x86-64 ($options)"
    fi
    grep -q 'configured for x86-64' "$folder/errors" || fail "refused, but not by our #error"
    compiles $compiler relaxed $options || fail "AArch64 does not take its own ($options)"
    grep -q -E 'dmb|stlr' "$folder/probe.s" || fail "a store that releases is plain ($options)"
done
compiles gcc total || fail "x86-64 takes its own configuration"
