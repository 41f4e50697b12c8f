#!/usr/bin/env bash
# The library itself optimised at link time (WHORL_LTO), and a program together with it as a whole:
# tasks move between threads, so no thread-local's address may be kept, and C++ exceptions find their
# way out of what was inlined. Its archive serves a compiler that knows nothing of gcc's LTO.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for tool in gcc g++ readelf; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
prefix=$work/prefix
libraries=lib
logged cmake -S "$source" -B "$work/build" -DCMAKE_C_COMPILER=gcc -DWHORL_LTO=ON -DWHORL_WERROR=ON \
    -DWHORL_TESTS=OFF -DWHORL_BENCH=OFF -DCMAKE_INSTALL_LIBDIR=lib ||
    die 'WHORL_LTO does not configure'
logged cmake --build "$work/build" --parallel 2 || die 'WHORL_LTO does not build'
logged cmake --install "$work/build" --prefix "$prefix" || die 'WHORL_LTO does not install'
"$source/tests/lint/test_exports.sh" "$work/build" >"$work/log" || fail 'it exports other names'

# try NAME KIND FILE COMPILER...
try() {
    local name=$1 kind=$2 file=$3 link=("$prefix/lib/libwhorl.a" -lhwloc)
    shift 3
    [ "$kind" = static ] || link=("$prefix/lib/libwhorl.so")
    if logged "$@" -O2 -Wall -Wextra -Werror -I "$prefix/include" -o "$work/user" "$here/$file" \
        "${link[@]}" -pthread; then
        is_linked "$work/user" "$kind"
        run "$name, $kind" "$work/user"
    else
        fail "$name, $kind: does not build"
    fi
}
for kind in shared static; do
    try 'library with lto, gcc -flto c11' $kind c11.c gcc -std=c11 -flto
    try 'library with lto, g++ -flto exceptions' $kind exceptions.cpp g++ -std=c++17 -flto
    try 'library with lto, gcc' $kind c11.c gcc -std=c11
    ! command -v clang >/dev/null || try 'library with lto, clang' $kind c11.c clang -std=c11
done
[ $failures -eq 0 ]
