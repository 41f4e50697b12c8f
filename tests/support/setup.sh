# setup.sh - what tests/run and bench/run share: messages with the time, Debian packages, builds.
#
# Sourced by bash. The caller sets nothing; it gets $whorl_root (the checkout) and $whorl_builds
# (where builds go: build/ in the checkout, or what WHORL_BUILD_DIR names).

whorl_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
whorl_builds=${WHORL_BUILD_DIR:-$whorl_root/build}

# A line with the seconds since the script began.
say() {
    printf '[%4ds] %s\n' "$SECONDS" "$*"
}

# The one clear line before giving up. 2: could not begin, as opposed to 1: something failed.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

require_linux() {
    [ "$(uname -s)" = Linux ] || die "whorl runs on Linux only; this is $(uname -s)"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Sets $as_root to what must stand before a command that needs root.
find_root() {
    as_root=()
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || die "needs these packages, and neither root nor sudo: $*"
    as_root=(sudo)
    [ -t 0 ] || as_root=(sudo -n)
    "${as_root[@]}" true 2>/dev/null || die "needs these packages, and sudo refused: $*"
}

# Installs those of the named packages that are missing; touches the network only then.
install_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null ||
        die "needs a Debian system with these packages: $*"
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "needs these packages, and there is no apt: ${missing[*]}"
    find_root "${missing[*]}"
    say "installing ${missing[*]}"
    mkdir -p "$whorl_builds"
    apt_get update || die "apt-get update failed; see $whorl_builds/apt.log"
    apt_get install -y --no-install-recommends "${missing[@]}" ||
        die "could not install ${missing[*]}; see $whorl_builds/apt.log"
}

apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$whorl_builds/apt.log" 2>&1
}

# Only one run at a time works in a build folder; the second waits for the first.
lock_builds() {
    mkdir -p "$whorl_builds" || die "cannot write to $whorl_builds"
    exec 9>"$whorl_builds/.lock" || die "cannot write to $whorl_builds"
    flock -n 9 && return
    say "another run works in $whorl_builds; waiting for it"
    flock 9
}

# configure_and_build NAME CMAKE_OPTION...: into $whorl_builds/NAME; its output goes to a log there.
configure_and_build() {
    local folder=$whorl_builds/$1
    shift
    # A cache that was made for a checkout at another place cannot be used here.
    if [ -e "$folder/CMakeCache.txt" ] &&
        ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$whorl_root" "$folder/CMakeCache.txt"; then
        rm -rf "$folder"
    fi
    mkdir -p "$folder"
    cmake -S "$whorl_root" -B "$folder" "$@" >"$folder/build.log" 2>&1 9>&- &&
        cmake --build "$folder" --parallel "$(nproc)" >>"$folder/build.log" 2>&1 9>&-
}
