# rules.awk - the rules of the house that a program can check. lint.sh calls it from the root of
# the checkout with -v layers="bottom ... top"; it prints FILE:LINE: RULE: why, and exits with 1 if
# it printed anything. test_rules.sh has a bad sample for each rule.
#
# `code` is the line without comments and without what stands in quotes, but for #include lines.

BEGIN {
    layer_count = split(layers, names, " ")
    for (i = 1; i <= layer_count; ++i) {
        height[names[i]] = i
    }
    function_lines_max = 80
    columns_max = 100
}

function complain(rule, why) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, rule, why
    found = 1
}

# Where the first of the four things that end plain code begins, or 0: " ' /* //
function next_break(text) {
    return match(text, /["']|\/\*|\/\//)
}

# The length of a quoted piece that begins `text`, with both quotes.
function quoted_length(text, quote,    i, c) {
    for (i = 2; i <= length(text); ++i) {
        c = substr(text, i, 1)
        if (c == "\\") {
            ++i
        } else if (c == quote) {
            return i
        }
    }
    return length(text)
}

# Plain code of a line; in_comment carries a comment over to the next one.
function strip(text,    plain, at, mark) {
    plain = ""
    while (text != "") {
        if (in_comment) {
            at = index(text, "*/")
            if (at == 0) {
                return plain
            }
            text = substr(text, at + 2)
            in_comment = 0
            continue
        }
        at = next_break(text)
        if (at == 0) {
            return plain text
        }
        plain = plain substr(text, 1, at - 1)
        text = substr(text, at)
        mark = substr(text, 1, 2)
        if (mark == "//") {
            return plain
        }
        if (mark == "/*") {
            in_comment = 1
            text = substr(text, 3)
        } else {
            plain = plain "\"\""
            text = substr(text, quoted_length(text, substr(text, 1, 1)) + 1)
        }
    }
    return plain
}

# The layer of a path from runtime/: its folder, or `runtime` for a file directly there.
function layer_of(path) {
    return index(path, "/") ? substr(path, 1, index(path, "/") - 1) : "runtime"
}

# Whether `word` stands in the code as a word of its own.
function has_word(text, word) {
    return (" " text " ") ~ ("[^A-Za-z0-9_]" word "[^A-Za-z0-9_]")
}

FNR == 1 {
    in_comment = 0
    body_starts = 0
    previous = ""
    in_api = 0
    in_runtime = FILENAME ~ /^runtime\//
    layer = in_runtime ? layer_of(substr(FILENAME, length("runtime/") + 1)) : ""
    if (in_runtime && !(layer in height)) {
        complain("layer", "the folder " layer " is not in the list of runtime/CMakeLists.txt")
    }
    if ($0 !~ /^\/\*/) {
        complain("opening", "a file opens with a comment that says what it is for")
    }
}

{
    was_in_comment = in_comment
    code = strip($0)
}

length($0) > columns_max {
    complain("width", length($0) " columns, more than " columns_max)
}

has_word($0, "TODO") || has_word($0, "FIXME") || has_word($0, "XXX") {
    complain("unfinished", "finish it, or write down what is so and why")
}

in_runtime && !was_in_comment && /^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, parts, "\"")
    target = layer_of(parts[2])
    if (target != "whorl" && parts[2] != "whorl.h") {
        if (!(target in height)) {
            complain("layer", parts[2] " is in no layer")
        } else if (height[target] > height[layer]) {
            complain("layer", layer " may not know of " target ", which stands above it")
        }
    }
}

in_runtime && layer != "atomic" &&
code ~ /__ATOMIC_|__atomic_|__sync_|memory_order|ck_pr_|ck_pr\.h|stdatomic/ {
    complain("atomic", "memory orders are named in runtime/atomic only")
}

# The library in front of a program's locks has no tasks: no call of it begins here and ends there.
in_runtime && FILENAME != "runtime/sys/tls.c" && layer != "locks" &&
(has_word(code, "_Thread_local") || has_word(code, "thread_local") || has_word(code, "__thread")) {
    complain("tls", "a task may wake on another thread: only sys/tls.c knows thread-locals")
}

in_runtime && layer != "sys" && has_word(code, "errno") && code !~ /#[ \t]*include/ {
    complain("errno", "a task may wake on another thread: only sys/ reads errno")
}

# A public prototype has its comment right above, or stands in a group under one.
FILENAME ~ /^include\// && /^WHORL_API/ {
    if (previous !~ /\*\/[ \t]*$/ && !previous_ended_api) {
        complain("doc", "a public function has its comment right above")
    }
    in_api = 1
}

{
    previous_ended_api = in_api && /;[ \t]*$/
    if (previous_ended_api) {
        in_api = 0
    }
    previous = $0
}

code ~ /^\{/ || (code ~ /^[A-Za-z_].*\)[ \t]*\{[ \t]*$/) {
    body_starts = FNR
}

code ~ /^\}/ {
    if (body_starts && FNR - body_starts - 1 > function_lines_max) {
        complain("length", "a function of " FNR - body_starts - 1 " lines, more than " \
                 function_lines_max)
    }
    body_starts = 0
}

END {
    exit found
}
