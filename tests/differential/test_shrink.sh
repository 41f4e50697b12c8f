#!/usr/bin/env bash
# test_shrink.sh - shrinking keeps what makes a program interesting, and leaves nothing else.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
cd "$here"
python3 - <<'PROGRAM'
import re
import generate
import shrink


def nested(text):
    return re.search(r"^  try\n(    .*\n)*    timeout ", text, re.M) is not None


def two_tasks(text):
    main, *others = re.split(r"^task ", text, flags=re.M)[1:]
    return "sleep" in main and any("await" in other for other in others)


def long_sleep(text):
    return any(int(ms) >= 5 for ms in re.findall(r"sleep (\d+)", text))


checked = 0
for interesting, lines in ((nested, 7), (two_tasks, 5), (long_sleep, 4)):
    for number in range(1, 300):
        program = generate.program(number)
        if not interesting(program.text()):
            continue
        before = program.text()
        small = shrink.shrink(program, interesting)
        text = small.text()
        assert program.text() == before, "the program itself was changed"
        assert interesting(text), text
        assert len(text.splitlines()) <= lines, f"not small:\n{text}"
        for way in shrink.WAYS:
            assert not any(interesting(c.text()) for c in way(small)), f"can be smaller:\n{text}"
        checked += 1
        assert shrink.shrink(program, interesting, tries_max=0).text() == before
print(f"shrink: {checked} programs")
assert checked > 100
PROGRAM
