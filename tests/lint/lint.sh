#!/bin/sh
# lint.sh [ROOT] - checks the C files of a checkout against rules.awk. Prints what is wrong, and
# exits with 1 if anything is, with 2 if it cannot look.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 2

layers=$(sed -n 's/^set(WHORL_LAYERS \(.*\))$/\1/p' runtime/CMakeLists.txt)
if [ -z "$layers" ]; then
    echo "lint: no list of layers in runtime/CMakeLists.txt" >&2
    exit 2
fi

folders=
for folder in include runtime tests bench docs; do
    [ ! -d "$folder" ] || folders="$folders $folder"
done

# shellcheck disable=SC2086 # the folders are words
files=$(find $folders -name '*.[ch]' -type f | LC_ALL=C sort)
if [ -z "$files" ]; then
    echo "lint: found no C files" >&2
    exit 2
fi
# shellcheck disable=SC2086 # no file name of ours has a space
awk -v layers="$layers" -f "$here/rules.awk" $files
