# common.sh - what the consumer tests share: an installed tree, and programs that are built in it.
#
# Sourced by bash, with the build folder in $1. Sets $source (the checkout), $here (this folder),
# $work (a folder of its own, removed at the end) and $libraries (of the installed tree, relative).

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$source/tests/consumer
build=$1
failures=0

cached() {
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

# A sanitizer's library wants programs of the same sort, an emulated one a cross compiler.
if [ "$(cached WHORL_SANITIZE)" != none ] || [ -n "$(cached CMAKE_CROSSCOMPILING_EMULATOR)" ]; then
    echo 'skipped: a stranger would not link to a library that was built like this'
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# fail WHAT: what is in the log tells why.
fail() {
    echo "FAILED: $1"
    [ ! -s "$work/log" ] || sed 's/^/    /' "$work/log"
    failures=$((failures + 1))
}

die() {
    fail "$1"
    exit 1
}

# logged COMMAND...
logged() {
    "$@" >"$work/log" 2>&1
}

# install_into FOLDER [COMPONENT]
install_into() {
    local component=()
    [ $# -lt 2 ] || component=(--component "$2")
    logged cmake --install "$build" --prefix "$1" "${component[@]}" || die "cmake --install $*"
    libraries=$(cached CMAKE_INSTALL_LIBDIR)
    libraries=${libraries:-lib}
}

# tell NAME TEXT: the line that tests/run shows.
tell() {
    printf 'consumer %-38s %s\n' "$1" "$2"
}

# run NAME COMMAND...: runs it with the libraries of $prefix, and tells the last line it printed.
run() {
    local name=$1
    shift
    if LD_LIBRARY_PATH=$prefix/$libraries logged timeout 60 "$@"; then
        tell "$name" "$(tail -n 1 "$work/log")"
    else
        fail "$name does not run: $*"
    fi
}

# Whether a program, $1, is linked to libwhorl.so.0, as $2 says: shared or static.
is_linked() {
    case "$2,$(readelf -d "$1" | grep -c 'NEEDED.*libwhorl\.so\.0\]')" in
    shared,1 | static,0) ;;
    *) fail "$1 is not linked $2" ;;
    esac
}
