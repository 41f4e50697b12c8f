#!/bin/bash
# docs/examples/embed: whorl driven from a poll(2) of the program's own comes to its end, and says
# what it has done.
set -u
build=$1
said=$(timeout 30 "$build/docs/examples/embed") || { echo "FAILED: exit code $?"; exit 1; }
for wanted in 'a key:5' 'the server says hello:3' '5 letters, and it ticked:1'; do
    count=$(grep -cx "${wanted%:*}" <<<"$said")
    [ "$count" = "${wanted##*:}" ] ||
        { printf 'FAILED: "%s" %d times in:\n%s\n' "${wanted%:*}" "$count" "$said"; exit 1; }
done
