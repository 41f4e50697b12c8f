#!/usr/bin/env bash
# What HTTP/1.1 asks of a server, said in raw bytes: framing, methods, conditions, limits, versions;
# and that no path leads out of the root.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
compile client

mkdir -p "$work/root/folder" "$work/root/.../x"
printf 'the page\n' >"$work/root/index.html"
printf 'some text' >"$work/root/a b.txt"
printf 'nested\n' >"$work/root/folder/index.html"
printf 'dots\n' >"$work/root/.../x/y"
printf 'keep out\n' >"$work/secret"
ln -s ../secret "$work/root/link-out"
ln -s .. "$work/root/folder-out"
ln -s index.html "$work/root/link-in"
mkfifo "$work/root/fifo"

# says BYTES WANTED CLIENT_OPTION...: what printf makes of BYTES is sent, and the answer, without
# carriage returns and dates, has to match the pattern of [[ ]].
says() {
    local bytes=$1 wanted=$2 answer
    shift 2
    # shellcheck disable=SC2059 # the bytes are a format, for their escapes
    if ! answer=$(printf "$bytes" | "$work/client" talk "$port" "$@" 2>&1 | tr -d '\r' | sed '/^Date: /d'; exit "${PIPESTATUS[1]}"); then
        failed "$bytes: $answer"
        return
    fi
    # shellcheck disable=SC2053 # a pattern it is
    [[ $answer == $wanted ]] || failed "$bytes"$'\n'"  wanted: $wanted"$'\n'"  came: $answer"
}

host='Host: test\r\n'
end="$host\r\n"
ok='HTTP/1.1 200 OK'

test_get_gives_type_length_tag_and_content() {
    says "GET / HTTP/1.1\r\n$end" "$ok*"$'\nContent-Type: text/html; charset=utf-8\n*'
    says "GET / HTTP/1.1\r\n$end" "$ok*"$'\nContent-Length: 9\n*\n\nthe page'
    says "GET /a%%20b.txt?query HTTP/1.1\r\n$end" "$ok"$'*text/plain*\n\nsome text'
    says "GET http://test/a%%20b.txt HTTP/1.1\r\n$end" "$ok"$'*\n\nsome text'
    says "GET /folder/ HTTP/1.1\r\n$end" "$ok"$'*\n\nnested'
    says "GET /.../x/y HTTP/1.1\r\n$end" "$ok"$'*\n\ndots'
    says "GET /link-in HTTP/1.1\r\n$end" "$link_in"
}

test_folder_without_slash_is_sent_to_one() {
    says "GET /folder HTTP/1.1\r\n$end" 'HTTP/1.1 301 *Location: ./folder/'$'\n*'
    says "GET //folder HTTP/1.1\r\n$end" 'HTTP/1.1 301 *Location: ./folder/'$'\n*'
}

test_head_gives_the_header_of_get_only() {
    says "HEAD / HTTP/1.1\r\n${end}HEAD /none HTTP/1.1\r\n$end" \
        "$ok"$'*Content-Length: 9\n*\n\nHTTP/1.1 404 *Content-Length: 14*' head responses=2
}

test_pipelined_requests_are_answered_in_order() {
    local three="GET / HTTP/1.1\r\n${end}GET /none HTTP/1.1\r\n${end}GET /folder/ HTTP/1.1\r\n$end"
    local wanted="$ok"$'*the page\nHTTP/1.1 404 *404 Not Found\n'"$ok"$'*\nnested'
    says "$three" "$wanted" responses=3
    says "$three" "$wanted" responses=3 split=-1
    says "$three" "$wanted" responses=0 shut
}

test_request_split_anywhere_is_answered() {
    local request="GET /folder/ HTTP/1.1\r\nX-Long: some value\r\nIf-None-Match: \"none\"\r\n$end" at
    for ((at = 1; at < 90; at++)); do
        says "$request" "$ok"$'*\n\nnested' split="$at"
    done
}

# The value of a header in the answer to GET /.
header_of_page() {
    printf 'GET / HTTP/1.1\r\nHost: test\r\n\r\n' | "$work/client" talk "$port" | tr -d '\r' |
        sed -n "s/^$1: //p"
}

test_unchanged_file_is_not_sent_again() {
    local tag date
    tag=$(header_of_page ETag)
    date=$(header_of_page Last-Modified)
    for tags in "$tag" "W/$tag" "\"x\", $tag" "*"; do
        says "GET / HTTP/1.1\r\nIf-None-Match: $tags\r\n${end}GET /folder/ HTTP/1.1\r\n$end" \
            $'HTTP/1.1 304 *ETag: *\n\n'"$ok"$'*\nnested' responses=2
    done
    says "GET / HTTP/1.1\r\nIf-Modified-Since: $date\r\n$end" 'HTTP/1.1 304 *'
    says "GET / HTTP/1.1\r\nIf-None-Match: \"other\"\r\nIf-Modified-Since: $date\r\n$end" "$ok*"
    says "GET / HTTP/1.1\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n$end" "$ok*"
    says "GET / HTTP/1.1\r\nIf-Modified-Since: yesterday\r\n$end" "$ok*"
}

test_changed_file_is_seen() {
    printf 'first' >"$work/root/changing"
    says "GET /changing HTTP/1.1\r\n$end" "$ok"$'*\n\nfirst'
    printf 'second' >"$work/root/new" && mv "$work/root/new" "$work/root/changing"
    wait_until 10 page_is changing second || failed "a changed file is not seen"
    rm "$work/root/changing"
    wait_until 10 answer_is changing 404 || failed "a removed file is not seen"
}

page_is() {
    printf 'GET /%s HTTP/1.1\r\nHost: test\r\n\r\n' "$1" | "$work/client" talk "$port" | tail -n 1 |
        grep -q "$2"
}

answer_is() {
    printf 'GET /%s HTTP/1.1\r\nHost: test\r\n\r\n' "$1" | "$work/client" talk "$port" |
        grep -q "^HTTP/1.1 $2 "
}

test_other_methods_are_refused_and_the_connection_kept() {
    local next="GET / HTTP/1.1\r\n$end"
    says "DELETE / HTTP/1.1\r\n$end$next" $'HTTP/1.1 405 *\nAllow: GET, HEAD\n*'"$ok*" responses=2
    says "POST / HTTP/1.1\r\nContent-Length: 5\r\n${end}abcde$next" "HTTP/1.1 405 *$ok*" responses=2
    says "OPTIONS * HTTP/1.1\r\n$end" 'HTTP/1.1 405 *'
    says "CONNECT a:1 HTTP/1.1\r\n$end" 'HTTP/1.1 405 *'
}

test_body_is_read_and_thrown_away() {
    local body next="GET /folder/ HTTP/1.1\r\n$end"
    body=$(head -c 65536 /dev/zero | tr '\0' x)
    says "GET / HTTP/1.1\r\nContent-Length: 65536\r\n$end$body$next" "$ok*$ok"$'*\nnested' responses=2
    says "GET / HTTP/1.1\r\nContent-Length: 3\r\n${end}abc$next" "$ok*$ok"$'*\nnested' responses=2 split=-1
    says "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${end}3\r\nabc\r\n0\r\nX: y\r\n\r\n$next" \
        "$ok*$ok"$'*\nnested' responses=2 split=-1
    says "GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n${end}" \
        'HTTP/1.1 100 Continue'
}

test_body_too_large_is_413_and_the_end() {
    local body
    body=$(head -c 70000 /dev/zero | tr '\0' x)
    says "POST / HTTP/1.1\r\nContent-Length: 65537\r\n$end" \
        $'HTTP/1.1 413 *\nConnection: close\n*' closed
    says "POST / HTTP/1.1\r\nContent-Length: 70000\r\n$end$body" 'HTTP/1.1 413 *' closed
    says "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${end}11170\r\n$body\r\n0\r\n\r\n" \
        'HTTP/1.1 413 *' closed
}

test_target_too_long_is_414_and_the_end() {
    local long
    long=$(head -c 5000 /dev/zero | tr '\0' x)
    says "GET /$long HTTP/1.1\r\n$end" 'HTTP/1.1 414 *Connection: close*' closed
    says "GET /$long$long$long$long$long$long HTTP/1.1\r\n$end" 'HTTP/1.1 414 *' closed
    says "GET /${long:0:4000} HTTP/1.1\r\n$end" 'HTTP/1.1 404 *'
}

test_header_too_large_is_431_and_the_end() {
    local long
    long=$(head -c 17000 /dev/zero | tr '\0' x)
    says "GET / HTTP/1.1\r\nX: $long\r\n$end" 'HTTP/1.1 431 *Connection: close*' closed
    says "GET / HTTP/1.1\r\nX: ${long:0:16000}\r\n$end" "$ok*"
}

test_malformed_request_is_400_and_the_end() {
    local bad
    for bad in 'nonsense\r\n\r\n' "FOO / HTTP/1.1\r\n$end" "GET / HTTP/x.1\r\n$end" \
        "GET / HTTP/1.1\r\nBad Header: x\r\n$end" 'GET / HTTP/1.1\r\n\r\n' \
        "GET / HTTP/1.1\r\nHost: a\r\n$end" '\x16\x03\x01\x02\x00\x01' \
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n${end}" \
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n$end" \
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n${end}"; do
        says "$bad" 'HTTP/1.1 400 *Connection: close*' closed
    done
    says "GET / HTTP/2.0\r\n$end" 'HTTP/1.1 505 *' closed
}

test_path_never_leads_out_of_the_root() {
    local path
    for path in /../secret /folder/../../secret /%%2e%%2e/secret /%%2E%%2e/secret /..%%2fsecret \
        /folder/%%2e%%2e/%%2e%%2e/secret /%%2fetc/passwd /index.html%%00.txt /%% /%%2 /%%zz \
        /folder/..; do
        says "GET $path HTTP/1.1\r\n$end" 'HTTP/1.1 400 *'
    done
    for path in //etc/passwd ///etc/passwd /link-out /folder-out/secret /folder-out/root/index.html \
        /fifo /none /index.html/x /index.html/ /..%%5csecret '/....//secret'; do
        says "GET $path HTTP/1.1\r\n$end" 'HTTP/1.1 404 *'
    done
}

test_http_1_0_is_closed_unless_it_asks() {
    says 'GET / HTTP/1.0\r\n\r\n' "$ok"$'*\nConnection: close\n*the page' closed
    says 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /folder/ HTTP/1.0\r\n\r\n' \
        "$ok"$'*\nConnection: keep-alive\n*the page*nested' responses=2 closed
    says "GET / HTTP/1.1\r\nConnection: close\r\n$end" "$ok"$'*\nConnection: close\n*' closed
    says "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n$end" "$ok"$'*the page'
}

test_half_closed_client_gets_its_answer() {
    says "GET / HTTP/1.1\r\n$end" "$ok"$'*the page' shut closed
    says "GET / HTTP/1.1\r\nHo" '' shut responses=0
    says '' '' shut responses=0
}

run_tests() {
    local name
    for name in $(declare -F | sed -n 's/^declare -f \(test_.*\)/\1/p'); do
        "$name"
    done
}

link_in="$ok"$'*the page'
for loops in 1 4; do
    start_httpd --root "$work/root" --loops "$loops"
    run_tests
    stop_httpd
done

# Without openat2 the server looks for links itself, and follows none.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    httpd_prefix=(env ASAN_OPTIONS=detect_leaks=0 strace -D -f -qq -o /dev/null -e trace=openat2
        -e inject=openat2:error=ENOSYS)
    link_in='HTTP/1.1 404 *'
    start_httpd --root "$work/root" --loops 1
    test_get_gives_type_length_tag_and_content
    test_folder_without_slash_is_sent_to_one
    test_path_never_leads_out_of_the_root
    stop_httpd
else
    echo "left out: no strace, so openat2 cannot be made to fail"
fi
finish
