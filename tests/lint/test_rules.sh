#!/bin/bash
# Each rule of rules.awk catches its bad sample, and only that; good code passes.
set -u
lint=$(cd "$(dirname "$0")" && pwd)/lint.sh
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
failed=0

# A checkout of three layers without a fault, afresh.
start() {
    rm -rf "$tree"
    mkdir -p "$tree"/include/whorl "$tree"/runtime/{base,atomic,sys,poll}
    echo 'set(WHORL_LAYERS base atomic sys poll runtime)' >"$tree/runtime/CMakeLists.txt"
}

# sample PATH: standard input becomes a file with an opening comment above it, so that line 1 of
# the input is line 2 of the file.
sample() {
    { echo '/* A sample. */' && cat; } >"$tree/$1"
}

# expect WHAT LINES: the lint's findings are these ("file:line: rule"), and the exit code fits.
expect() {
    local output status findings wanted_status=0
    output=$("$lint" "$tree" 2>&1)
    status=$?
    findings=$(printf '%s\n' "$output" | sed -n 's/^\([^:]*:[0-9]*: [a-z]*\):.*/\1/p')
    [ -z "$2" ] || wanted_status=1
    if [ "$findings" != "$2" ] || [ "$status" -ne "$wanted_status" ]; then
        printf 'FAILED: %s\n  wanted: %s\n  got (exit %d): %s\n' "$1" "$2" "$status" "$output"
        failed=1
    fi
}

# lines N TEXT: the text N times.
lines() {
    local i
    for ((i = 0; i < $1; ++i)); do
        printf '%s\n' "$2"
    done
}

start
sample runtime/poll/good.c <<'END'
#include "atomic/atomic.h"
#include "base/list.h"
#include "poll/good.h"

#include <errno.h>
#include <whorl/io.h>

/* Comments may say errno, memory_order and thread_local; -errno too. */
static const char text[] = "errno thread_local ck_pr_load \" /* errno"; // errno
static const char quote = '"';

int good(void)
{
    return *text + quote + /* errno */ whorl_errno_like;
}
END
sample runtime/atomic/atomic.h <<'END'
#include <ck_pr.h>
#define ORDER __ATOMIC_RELAXED
END
sample runtime/sys/tls.c <<'END'
static _Thread_local int depth;
int whorl__sys_error(void) { return -errno + depth; }
END
sample runtime/runtime.c <<<'#include "poll/good.h"'
sample include/whorl/io.h <<'END'
/* Reads. */
WHORL_API int whorl_read(int a,
                         int b);
WHORL_API int whorl_read_all(void);

/*
 * Writes.
 */
WHORL_API int whorl_write(int a);
END
expect 'good code is let through' ''

start
sample runtime/base/a.c <<'END'
#include "sys/os.h"
#  include "runtime.h"
#include "base/b.h"
END
expect 'an include points up' 'runtime/base/a.c:2: layer
runtime/base/a.c:3: layer'

start
sample runtime/base/a.c <<<'#include "cellar/b.h"'
mkdir "$tree/runtime/attic"
sample runtime/attic/b.c <<<'int b;'
expect 'a folder is no layer' 'runtime/attic/b.c:1: layer
runtime/base/a.c:2: layer'

start
sample runtime/poll/a.c <<'END'
int x = __atomic_load_n(&y, __ATOMIC_RELAXED);
#include <stdatomic.h>
void f(void) { ck_pr_store_int(&y, 1); }
void g(void) { __sync_synchronize(); }
END
expect 'atomics outside their layer' 'runtime/poll/a.c:2: atomic
runtime/poll/a.c:3: atomic
runtime/poll/a.c:4: atomic
runtime/poll/a.c:5: atomic'

start
sample runtime/sys/os.c <<'END'
static _Thread_local int a;
static __thread int b;
thread_local int c;
END
expect 'thread-locals outside sys/tls.c' 'runtime/sys/os.c:2: tls
runtime/sys/os.c:3: tls
runtime/sys/os.c:4: tls'

start
sample runtime/poll/a.c <<'END'
/* errno in a comment
 * of two lines: errno */ int a = 1;
int b(void) { return -errno; }
END
expect 'errno outside sys' 'runtime/poll/a.c:4: errno'

start
{
    printf '%0100d\n' 0
    printf '%0101d\n' 0
} | sample runtime/base/a.c
expect 'a line is too wide' 'runtime/base/a.c:3: width'

start
{
    printf 'void ends_in_time(void)\n{\n'
    lines 80 '    f();'
    printf '}\n\nvoid goes_on(void)\n{\n'
    lines 81 '    f();'
    printf '}\n\nvoid same_line(void) {\n'
    lines 81 '    f();'
    printf '}\n'
} | sample runtime/base/a.c
expect 'a function is too long' 'runtime/base/a.c:169: length
runtime/base/a.c:253: length'

start
mkdir -p "$tree"/tests/base "$tree"/bench "$tree"/docs/examples
for place in tests/base bench docs/examples; do
    sample "$place/a.c" <<<'int a; /* TODO: more */'
done
sample runtime/base/a.c <<'END'
/* FIXME */
/* XXX */
char name[] = "a-XXXXXX";
int TODO_LIST;
END
expect 'a word marks unfinished work' 'bench/a.c:2: unfinished
docs/examples/a.c:2: unfinished
runtime/base/a.c:2: unfinished
runtime/base/a.c:3: unfinished
tests/base/a.c:2: unfinished'

start
sample include/whorl/a.h <<'END'
/* Documented. */

WHORL_API int whorl_far_from_its_comment(void);
int between;
WHORL_API int whorl_without(int a,
                            int b);
WHORL_API int whorl_group(void);
END
expect 'a public function without a comment' 'include/whorl/a.h:4: doc
include/whorl/a.h:6: doc'

start
echo 'int a;' >"$tree/runtime/base/a.c"
expect 'a file without an opening comment' 'runtime/base/a.c:1: opening'

start
"$lint" "$tree" >/dev/null 2>&1
[ $? -eq 2 ] || { echo 'FAILED: a tree without files is no clean tree'; failed=1; }
sample runtime/base/a.c <<<'int a;'
: >"$tree/runtime/CMakeLists.txt"
"$lint" "$tree" >/dev/null 2>&1
[ $? -eq 2 ] || { echo 'FAILED: a tree without layers is no clean tree'; failed=1; }

exit $failed
