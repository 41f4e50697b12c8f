#!/usr/bin/env bash
# cpack makes two Debian packages. They are installed into a root of their own, by dpkg itself where
# that is allowed, and a program is built against what is there, and run with it.
#
# label: medium, time limit: 400 s
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for tool in dpkg-deb dpkg-shlibdeps file pkg-config readelf; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
version=$(cached CMAKE_PROJECT_VERSION)
architecture=$(dpkg --print-architecture)
triplet=$(dpkg-architecture -q DEB_HOST_MULTIARCH)

logged cpack --config "$build/CPackConfig.cmake" -G DEB -B "$work/packages" || die 'cpack'
runtime=$work/packages/libwhorl0_${version}_$architecture.deb
development=$work/packages/libwhorl-dev_${version}_$architecture.deb
for package in "$runtime" "$development"; do
    [ -e "$package" ] || die "cpack has made no ${package##*/}"
done

# is PACKAGE FIELD PATTERN
is() {
    local value
    value=$(dpkg-deb --field "$1" "$2")
    [[ $value =~ $3 ]] || fail "$2 of ${1##*/} is '$value'"
}
is "$runtime" Package '^libwhorl0$'
is "$runtime" Section '^libs$'
is "$runtime" Depends 'libc6 \(>= [0-9.]+\), libhwloc15 \(>= [0-9.]+\)$' # by dpkg-shlibdeps
is "$development" Package '^libwhorl-dev$'
is "$development" Section '^libdevel$'
is "$development" Depends "^libwhorl0 \(= $version\), libhwloc-dev$"

# holds PACKAGE FILE...: these files and no others.
holds() {
    local package=$1
    shift
    dpkg-deb --contents "$package" | sed -n 's|^[-l].* \./\([^ ]*\).*|\1|p' |
        grep -v '^usr/include/whorl/.*\.h$' | LC_ALL=C sort >"$work/have"
    printf '%s\n' "$@" | LC_ALL=C sort | diff - "$work/have" >"$work/log" ||
        fail "${package##*/} holds other files (< wanted, > there)"
}
lib=usr/lib/$triplet
holds "$runtime" $lib/libwhorl{,-locks}.so.0 $lib/libwhorl{,-locks}.so."$version" usr/share/doc/libwhorl0/copyright
holds "$development" usr/include/whorl.h $lib/libwhorl{,-locks}.so $lib/libwhorl.a \
    $lib/pkgconfig/whorl{,-locks}.pc \
    $lib/cmake/whorl/whorl-{config,config-version,shared,static,locks}.cmake \
    $lib/cmake/whorl/whorl-{shared,static,locks}-relwithdebinfo.cmake \
    usr/share/whorl/whorl-gdb.py usr/share/gdb/auto-load/$lib/libwhorl.so.$version-gdb.py \
    usr/share/doc/libwhorl-dev/copyright

# Of control files only those that are data: a trigger runs ldconfig, no script does.
for package in "$runtime" "$development"; do
    scripts=$(dpkg-deb --ctrl-tarfile "$package" | tar -t | grep -E '(pre|post)(inst|rm)$')
    [ -z "$scripts" ] || fail "${package##*/} has scripts: $scripts"
done
[ "$(dpkg-deb --info "$runtime" triggers)" = 'activate-noawait ldconfig' ] || fail 'no trigger'
[ "$(dpkg-deb --info "$runtime" shlibs | LC_ALL=C sort)" = \
    "$(printf '%s\n' "libwhorl 0 libwhorl0 (>= $version)" \
        "libwhorl-locks 0 libwhorl0 (>= $version)" | LC_ALL=C sort)" ] ||
    fail 'what depends on the library would not learn from which package it is'

root=$work/root
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
how=dpkg
if [ "$(id -u)" -eq 0 ]; then
    # What they depend on is the system's, not in this root.
    logged dpkg --root="$root" --force-depends --force-script-chrootless --install \
        "$runtime" "$development" || fail 'dpkg --install'
    state=$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package} ${db:Status-Status}\n')
    [ "$state" = "$(printf '%s\n' 'libwhorl-dev installed' 'libwhorl0 installed')" ] ||
        fail "dpkg says: $state"
else
    how='dpkg-deb (no root here)'
    logged dpkg-deb --extract "$runtime" "$root" || fail 'dpkg-deb --extract'
    logged dpkg-deb --extract "$development" "$root" || fail 'dpkg-deb --extract'
fi

prefix=$root/usr
libraries=lib/$triplet
flags() {
    PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/$lib/pkgconfig pkg-config "$@" whorl
}
# In a root of its own even the standard folders have to be named.
for kind in shared static; do
    read -ra link <<<"-L$root/$lib $(flags --libs)"
    [ $kind = shared ] || read -ra link <<<"$root/$lib/libwhorl.a -lhwloc"
    # shellcheck disable=SC2046 # flags are words
    if logged cc -std=c11 -Wall -Wextra -Werror -I"$root/usr/include" $(flags --cflags) \
        -o "$work/user" "$here/c11.c" "${link[@]}" -pthread; then
        is_linked "$work/user" $kind
        run "packages by $how, $kind" "$work/user"
    else
        fail "packages, $kind: does not build"
    fi
done

logged cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$root/usr" -DKINDS=shared &&
    logged cmake --build "$work/cmake" --parallel 2 && run "packages by $how, cmake" "$work/cmake/c11-shared"
[ -x "$work/cmake/c11-shared" ] || fail 'packages, cmake: does not build'

if [ "$how" = dpkg ]; then
    logged dpkg --root="$root" --force-depends --purge libwhorl-dev libwhorl0 || fail 'dpkg --purge'
    left=$(find "$root/usr" -name '*whorl*' 2>/dev/null)
    [ -z "$left" ] || fail "after the packages were purged there is still: $left"
fi
[ $failures -eq 0 ]
