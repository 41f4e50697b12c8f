#!/usr/bin/env bash
# A CMake project finds the installed tree by find_package, builds C99, C11 and C++17 programs with
# whorl::shared and whorl::static, warnings as errors, and runs them: plainly, optimised at link
# time, and after the tree was moved. What cannot be found is said in words. The same project with
# the sources of whorl inside.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for tool in g++ readelf; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done

# configure FOLDER OPTION...
configure() {
    local folder=$1
    shift
    logged cmake -S "$here" -B "$work/$folder" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_PREFIX_PATH="$prefix" "$@"
}

# try NAME FOLDER KINDS OPTION...
try() {
    local name=$1 folder=$2 kinds=$3 kind language default
    shift 3
    configure "$folder" -DKINDS="$kinds" "$@" || { fail "$name: does not configure"; return; }
    logged cmake --build "$work/$folder" --parallel 2 || { fail "$name: does not build"; return; }
    for kind in ${kinds//;/ }; do
        for language in c99 c11 cxx17; do
            is_linked "$work/$folder/$language-$kind" "$kind"
            run "cmake $name $language $kind" "$work/$folder/$language-$kind"
        done
    done
    default=${kinds%%;*} # shared, unless only the static one was asked for
    is_linked "$work/$folder/c99-whorl" "$default"
    run "cmake $name c99 whorl::whorl" "$work/$folder/c99-whorl"
}

# refuses NAME WORDS PROJECT-LINE: a project with that line does not configure, and says the words.
refuses() {
    mkdir -p "$work/refused"
    printf '%s\n' 'cmake_minimum_required(VERSION 3.22)' 'project(refused C)' "$3" \
        >"$work/refused/CMakeLists.txt"
    rm -rf "$work/refused/build"
    if logged cmake -S "$work/refused" -B "$work/refused/build" -DCMAKE_PREFIX_PATH="$prefix"; then
        fail "$1: is found"
    elif ! tr -s ' \n' ' ' <"$work/log" | grep -qF "$2"; then
        fail "$1: does not say \"$2\""
    else
        tell "cmake $1" "refused: $2"
    fi
}

prefix=$work/first
install_into "$prefix"
try find plain 'shared;static'
try 'find, lto' lto 'shared;static' -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON
refuses 'a later major version' 'version: 0.1.0' 'find_package(whorl 1.0 REQUIRED)'
refuses 'a later minor version' 'version: 0.1.0' 'find_package(whorl 0.2 REQUIRED)'
refuses 'an unknown component' 'there is no component bogus, only shared, static and locks' \
    'find_package(whorl REQUIRED COMPONENTS bogus)'

mv "$prefix" "$work/second"
prefix=$work/second
rm "$prefix/$libraries/libwhorl.so"* "$prefix/$libraries/cmake/whorl/whorl-shared"*.cmake
try 'find, moved and without the shared one,' moved static
refuses 'a component that is not installed' 'the component shared is not installed' \
    'find_package(whorl REQUIRED COMPONENTS shared)'
refuses 'what is not there when it matters' 'there is none' \
    'find_package(whorl COMPONENTS shared)
     if(whorl_FOUND)
         message(STATUS "found")
     else()
         message(FATAL_ERROR "there is none")
     endif()'

prefix=$work/none
try inside inside 'shared;static' -DHOW=inside -DWHORL="$source"
[ $failures -eq 0 ]
