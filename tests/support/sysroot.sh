#!/bin/sh
# sysroot.sh - libraries for AArch64 in a folder of their own, from Debian's packages for arm64.
#
# usage: tests/support/sysroot.sh FOLDER
#
# apt fetches and checks the packages under a configuration of its own, dpkg-deb unpacks them. The
# system stays as it is: no foreign architecture is added to it, nothing is installed, no root is
# needed. When FOLDER holds what is wanted already, the network is not touched.
#
# The compiler brings the C library to link with (libc6-dev-arm64-cross); the one unpacked here is
# what the programs run with. Exit code 0, or 1 with the reason in the last line.
set -u
packages="libc6 libgcc-s1 libck-dev libck0 libhwloc-dev libhwloc15 libudev1 libcmocka-dev libcmocka0
libhttp-parser-dev libhttp-parser2.9"

fail() {
    echo "$1"
    exit 1
}

[ $# -eq 1 ] || fail "usage: $0 FOLDER"
mkdir -p "$1" || fail "cannot write to $1"
folder=$(cd "$1" && pwd)
[ "$(cat "$folder/.packages" 2>/dev/null)" != "$packages" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "there is no apt here"

rm -rf "$folder"
mkdir -p "$folder/.apt/lists/partial" "$folder/.apt/archives/partial" "$folder/.apt/debs"
: >"$folder/.apt/status"
cat >"$folder/.apt/conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$folder/.apt";
Dir::State::status "$folder/.apt/status";
Dir::Cache "$folder/.apt";
CONF

# One source without arm64 makes update complain; whether the packages come is what counts.
cd "$folder/.apt/debs" || exit 1
APT_CONFIG=$folder/.apt/conf apt-get -q update
# shellcheck disable=SC2086 # a list of words
APT_CONFIG=$folder/.apt/conf apt-get -q download $packages ||
    fail "apt cannot download the packages for arm64"
for package in *.deb; do
    dpkg-deb -x "$package" "$folder" || fail "cannot unpack $package"
done
rm -rf "$folder/.apt"
printf '%s' "$packages" >"$folder/.packages"
