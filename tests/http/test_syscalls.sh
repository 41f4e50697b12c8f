#!/usr/bin/env bash
# A small file on a kept connection costs one read, one write, and the poll that told of it; no timer
# is set for its deadlines.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need strace awk
strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
compile client

mkdir "$work/root"
echo page >"$work/root/index.html"
httpd_prefix=(env ASAN_OPTIONS=detect_leaks=0 strace -D -f -q -o "$work/trace")

# Counts the calls of $1 requests, one after the other on one connection.
count_calls() {
    local requests=$1 i
    start_httpd --root "$work/root" --loops 1
    for ((i = 0; i < requests; i++)); do
        printf 'GET / HTTP/1.1\r\nHost: test\r\n\r\n'
    done | "$work/client" talk "$port" turns responses="$requests" >/dev/null ||
        failed "$requests requests were not answered"
    stop_httpd
    wait_until 20 grep -q "^$pid .* exited with" "$work/trace" || failed "the trace has no end"
    sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$work/trace" | sort | uniq -c
}

# The difference between many and few requests is what requests cost, without start and end. Looking
# at the file once a second is the only thing that may come between.
count_calls 100 >"$work/few"
count_calls 600 >"$work/many"
awk 'NR == FNR { few[$2] = $1; next } { n = $1 - few[$2]; if (n > 25 || n < -25) print $2, n / 500 }' \
    "$work/few" "$work/many" | tee "$work/each"
while read -r name each; do
    case $name in
    read | recvfrom | recvmsg | readv) kind=reads ;;
    write | writev | sendto | sendmsg) kind=writes ;;
    epoll_wait | epoll_pwait | epoll_pwait2) kind=polls ;;
    *) failed "each request costs $each $name" && continue ;;
    esac
    awk -v each="$each" 'BEGIN { exit !(each > 0.9 && each < 1.1) }' || [ $kind = polls ] ||
        failed "each request costs $each $kind"
done <"$work/each"
finish
