#!/usr/bin/env bash
# libwhorl-locks.so in front of a program's locks, in each way that it can come there: which waits
# with a lock held are told, by a whorl that is shared, linked in, or loaded late. Without it the
# same programs are told nothing.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
prefix=$work/prefix
install_into "$prefix"
lib=$prefix/$libraries
locks=$lib/libwhorl-locks.so.0
flags() {
    PKG_CONFIG_LIBDIR=$lib/pkgconfig pkg-config "$@"
}
read -ra link_locks <<<"$(flags --libs whorl-locks)"

# compile OUTPUT OPTION...: of locks.c, with its functions' names to be found.
compile() {
    local output=$1
    shift
    logged cc -std=gnu11 -Wall -Wextra -Werror -O1 -rdynamic -I "$prefix/include" -o "$output" "$@" \
        -pthread || die "$output does not build"
}
static=("$lib/libwhorl.a" -lhwloc)
compile "$work/shared" "$here/locks.c" -L "$lib" -lwhorl
compile "$work/static" "$here/locks.c" "${static[@]}"
compile "$work/shared-linked" "$here/locks.c" "${link_locks[@]}" -L "$lib" -lwhorl
compile "$work/static-linked" "$here/locks.c" "${static[@]}" "${link_locks[@]}"
compile "$work/plugin.so" -shared -fPIC -DAS_PLUGIN "$here/locks.c" "${static[@]}"
logged cc -Wall -Wextra -Werror -o "$work/loader" "$here/loader.c" -pthread || die 'loader.c'

for loops in 1 4; do
    for kind in shared static; do
        run "locks, $kind, $loops loops, without" "$work/$kind" $loops none
        run "locks, $kind, $loops loops, preloaded" env LD_PRELOAD="$locks" "$work/$kind" $loops all
        run "locks, $kind, $loops loops, linked" "$work/$kind-linked" $loops all
    done
    run "locks, whorl in a plugin, $loops loops" env LD_PRELOAD="$locks" \
        "$work/loader" "$work/plugin.so" $loops all
done

if command -v g++ >/dev/null; then
    logged g++ -std=c++17 -Wall -Wextra -Werror -I "$prefix/include" -o "$work/cxx" \
        "$here/locks.cpp" "${link_locks[@]}" -L "$lib" -lwhorl -pthread || die 'locks.cpp'
    run 'locks of the C++ library' "$work/cxx"
fi

mkdir -p "$work/project"
cat >"$work/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(project C)
find_package(whorl 0.1 REQUIRED COMPONENTS static locks)
find_package(Threads REQUIRED)
add_executable(user $here/locks.c)
set_property(TARGET user PROPERTY ENABLE_EXPORTS ON)
target_link_libraries(user PRIVATE whorl::locks whorl::whorl Threads::Threads)
END
logged cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$prefix" &&
    logged cmake --build "$work/project/build" || die 'the project does not build'
run 'locks, by cmake' "$work/project/build/user" 2 all

# Programs that know nothing of it go on as before.
for program in /bin/bash /usr/bin/sort; do
    LD_PRELOAD=$locks logged "$program" --version || fail "$program does not run with it"
done
[ $failures -eq 0 ]
