#!/usr/bin/env bash
# Programs in C99, C11 and C++17 build against the installed tree by pkg-config, with their warnings
# as errors, and run: shared and static, by gcc and clang, plainly and optimised at link time. Then
# the tree is moved, and all goes on from there.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for tool in pkg-config readelf; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done

strict=(-pedantic -Wall -Wextra -Wconversion -Werror -O2)
declare -A standard=([c99.c]=c99 [c11.c]=c11 [cxx17.cpp]=c++17)
declare -A in_c=([gcc]=gcc [clang]=clang) in_cxx=([gcc]=g++ [clang]=clang++)

flags() {
    PKG_CONFIG_LIBDIR=$prefix/$libraries/pkgconfig:$(pkg-config --variable pc_path pkg-config) \
        pkg-config "$@" whorl
}

# try NAME KIND COMPILER FILE OPTION...
try() {
    local name=$1 kind=$2 compiler=$3 file=$4 link=()
    shift 4
    if [ "$kind" = static ]; then # what an archiver's user does when both are there
        read -ra link <<<"$(flags --libs --static)"
        link=("${link[@]/#-lwhorl/-l:libwhorl.a}")
    else
        read -ra link <<<"$(flags --libs)"
    fi
    # shellcheck disable=SC2046 # flags are words
    logged "$compiler" -std="${standard[$file]}" "${strict[@]}" "$@" $(flags --cflags) \
        -o "$work/user" "$here/$file" "${link[@]}" -pthread ||
        { fail "$name does not build: $compiler ${link[*]}"; return; }
    is_linked "$work/user" "$kind"
    run "$name" "$work/user"
}

can_link_time() {
    echo 'int main(void) { return 0; }' >"$work/probe.c"
    "$@" -flto -o "$work/probe" "$work/probe.c" 2>/dev/null
}

# every COMPILER OPTION...: all programs, both ways.
every() {
    local family=$1 file compiler kind title
    shift
    title="$family${*:+ $*}"
    for file in c99.c c11.c cxx17.cpp; do
        compiler=${in_c[$family]}
        [ "${file##*.}" != cpp ] || compiler=${in_cxx[$family]}
        command -v "$compiler" >/dev/null || { echo "left out: there is no $compiler"; continue; }
        for kind in shared static; do
            try "pkg-config $title ${standard[$file]} $kind" $kind "$compiler" "$file" "$@"
        done
    done
}

prefix=$work/first
install_into "$prefix"
[ "$(flags --modversion)" = "$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' \
    "$build/CMakeCache.txt")" ] || fail 'whorl.pc names another version'

every gcc
every gcc -flto
every clang
can_link_time clang && every clang -flto

mv "$prefix" "$work/second"
prefix=$work/second
try 'pkg-config, tree moved, shared' shared gcc c99.c
try 'pkg-config, tree moved, static' static gcc c99.c

[ $failures -eq 0 ]
