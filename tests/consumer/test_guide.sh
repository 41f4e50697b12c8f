#!/usr/bin/env bash
# The commands of docs/guide/linking.md do what the page says: each block marked ```sh is run, in
# order, in one shell, in a folder that holds a checkout called whorl.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for tool in pkg-config dpkg-shlibdeps file; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
page=$source/docs/guide/linking.md
mkdir "$work/folder"
ln -s "$source" "$work/folder/whorl"

awk '/^```sh$/ { inside = 1; print "echo \"=== block " ++count "\""; next }
     /^```$/ { inside = 0 }
     inside { print }' "$page" >"$work/commands"
blocks=$(grep -c '^echo "=== block' "$work/commands")
[ "$blocks" -ge 5 ] || die "the page has $blocks blocks of commands only"
(cd "$work/folder" && timeout 300 bash -euo pipefail "$work/commands") >"$work/log" 2>&1 ||
    die 'a command of the page does not work'

greetings=$(grep -cE '^hello (core|world), from loop [0-9]+$' "$work/log")
[ "$greetings" -eq 6 ] || fail "three programs that greet twice each have greeted $greetings times"
found=$(find "$work/folder/runtime-only" -type f -printf '%f\n' | sed 's/\.so\..*//' | sort | xargs)
[ "$found" = 'libwhorl libwhorl-locks' ] || fail "the component runtime has $found"
[ $failures -ne 0 ] || tell 'docs/guide/linking.md' "$blocks blocks of commands, all run"
[ $failures -eq 0 ]
