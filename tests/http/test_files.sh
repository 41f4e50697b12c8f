#!/usr/bin/env bash
# A thousand files of awkward sizes and names come back byte for byte, by several clients at a time,
# over connections that are kept, with one loop and with more than there are cores.
# label: medium
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need curl diff

seed=${WHORL_TEST_SEED:-1}
clients=4
compile tree
mkdir "$work/root"
(cd "$work/root" && "$work/tree" "$seed" 1000) >"$work/list" || { echo "no tree"; exit 1; }

# Writes what client $1 asks for as a curl configuration: every $clients-th file.
make_config() {
    awk -F '\t' -v me="$1" -v all="$clients" -v url="http://127.0.0.1:$port/" -v to="$work/got/" '
        NR % all == me {
            gsub(/[\\"]/, "\\\\&", $2)
            printf "url = \"%s%s\"\noutput = \"%s%s\"\n", url, $1, to, $2
        }' "$work/list" >"$work/config.$1"
}

fetch_all() {
    local me fetchers=()
    rm -rf "$work/got"
    mkdir "$work/got"
    for ((me = 0; me < clients; me++)); do
        make_config "$me"
        curl -sS --fail --create-dirs --max-time 100 -K "$work/config.$me" &
        fetchers+=($!)
    done
    for me in "${fetchers[@]}"; do
        wait "$me" || failed "curl ended with $? ($*)"
    done
    diff -r "$work/root" "$work/got" || failed "what came differs from what was served ($*)"
}

for loops in 1 4; do
    start_httpd --root "$work/root" --loops "$loops"
    fetch_all "loops $loops, seed $seed"
    stop_httpd
done
finish
