#!/bin/bash
# list.sh BUILD [FILE] - what programs are compiled and linked against, a fact a line: exported
# functions with version and type, the layout of every public struct, the values of enumerators and
# macros. Written to FILE, or printed.
#
# The names come from the headers and the library, everything else from the compiler: gdb reads it
# out of the debug information of a file that mentions them all.
set -u
build=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
headers=("$root"/include/*.h "$root"/include/whorl/*.h)
export LC_ALL=C

nm -D --defined-only "$build/libwhorl.so" | sed -n 's/.* \(whorl_.*\)/\1/p' | sort >"$work/functions"
sed -n 's/^struct \(whorl_[a-z0-9_]*\) {.*/\1/p' "${headers[@]}" | sort >"$work/structs"
# The version changes with each release; the rest of what is left out is no value.
"$compiler" -E -dM -I "$root/include" -include whorl.h -x c /dev/null |
    sed -n 's/^#define \(WHORL_[A-Z0-9_]*\) [-(0-9A-Z].*/\1/p' |
    grep -vE '^WHORL_(VERSION_.*|API|BEGIN|END|.*_H)$' | sort >"$work/macros"
sed -n '/^enum whorl_/,/^}/s/^ *\(WHORL_[A-Z0-9_]*\).*/\1/p' "${headers[@]}" | sort >"$work/values"

{
    echo '#include <whorl.h>'
    echo '#include <stdio.h>'
    sed 's/@.*//; s/.*/extern __typeof__(\&&) function_&; __typeof__(\&&) function_&;/' \
        "$work/functions"
    sed 's/.*/extern struct & struct_&; struct & struct_&;/' "$work/structs"
    echo 'int main(void) {'
    sed 's/.*/printf("constant & = %lld\\n", (long long)(&));/' "$work/macros" "$work/values"
    echo 'return 0; }'
} >"$work/list.c"
"$compiler" -std=gnu11 -g -O0 -w -I "$root/include" -o "$work/list" "$work/list.c" || exit 1

# One run of gdb answers all: `echo` says which question an answer belongs to.
{
    sed 's/\([^@]*\)\(.*\)/echo function \1\2: \nwhatis function_\1/' "$work/functions"
    sed 's/.*/echo of struct &\\n\nptype \/o struct &/' "$work/structs"
} >"$work/questions"
gdb -nx -batch -x "$work/questions" "$work/list" >"$work/answers" 2>"$work/errors" ||
    { cat "$work/errors" >&2; exit 1; }

{
    # ptype writes "/*     16      |       8 */    size_t stack_bytes;", and the size at the end.
    sed -n 's/^\(function .*:\)type = /\1 /p' "$work/answers"
    awk '/^of struct / { struct = $3 }
        match($0, /^\/\* *[0-9]+ *\| *[0-9]+ *\*\//) {
            split(substr($0, 3), part, /[|*]/)
            sub(/^[^\/]*\/ */, "", $0); sub(/^[^\/]*\*\/ */, "", $0)
            printf "struct %s: at %d, %d bytes: %s\n", struct, part[1], part[2], $0
        }
        /total size \(bytes\)/ { printf "struct %s: %d bytes\n", struct, $(NF - 1) }' "$work/answers"
    "$work/list"
} >"$work/list.txt"

if [ $# -gt 1 ]; then
    cp "$work/list.txt" "$2"
else
    cat "$work/list.txt"
fi
