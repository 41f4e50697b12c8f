#!/usr/bin/env python3
"""Plays programs on asyncio and on whorl and compares the traces, line by line.

    compare.py WHORL_SIDE [--seed N] [--count N] [--show] [--file PROGRAMS]

WHORL_SIDE is the program made of tests/differential/test_player.c. A difference is shrunk: whatever
can be taken out of the program while the traces still differ is taken out, and what is left is
printed with both traces. Exit 1: there was one.
"""
import argparse
import difflib
import json
import subprocess
import sys

import asyncio_side
import generate
import shrink

BATCH = 1000
BATCH_S = 300
ONE_S = 10


def play_whorl(side, text, seconds):
    """side: a command that plays what it reads. Traces by program; one that ended the process has what it had said."""
    try:
        done = subprocess.run(side, input=text, capture_output=True, text=True,
                              timeout=seconds, check=False)
        out, ended = done.stdout, done.returncode
        why = done.stderr
    except subprocess.TimeoutExpired as late:
        out, ended, why = (late.stdout or b"").decode(), "too late", ""
    traces = [part.splitlines()[1:] for part in asyncio_side.split(out)]
    if ended != 0:
        traces = traces or [[]]
        traces[-1] = traces[-1] + [f"the process ended: {ended}"] + why.splitlines()[-3:]
    return traces


def play_whorl_all(side, texts, seconds=BATCH_S):
    """As many traces as texts: after one that ended the process the rest is played again."""
    traces = []
    while len(traces) < len(texts):
        got = play_whorl(side, "".join(texts[len(traces):]), seconds)
        traces += got
        if not got:
            break
    return traces + [["nothing was played"]] * (len(texts) - len(traces))


def play_asyncio_all(texts):
    """The traces, and which constructs have met."""
    done = subprocess.run([sys.executable, asyncio_side.__file__], input="".join(texts),
                          capture_output=True, text=True, timeout=BATCH_S, check=True)
    return ([part.splitlines()[1:] for part in asyncio_side.split(done.stdout)],
            json.loads(done.stderr))


# ---- one difference ----


def both(side, text):
    return asyncio_side.play(text), play_whorl_all(side, [text], ONE_S)[0]


def show_difference(asyncio_trace, whorl_trace):
    for line in difflib.unified_diff(asyncio_trace, whorl_trace, "asyncio", "whorl", "", "", 99, ""):
        print("    " + line)


def report(side, number, among_others, without):
    def differs(text):
        ours, theirs = both(side, text)
        return ours != theirs
    program = generate.program(number, without)
    if not differs(program.text()):
        print(f"program {number} differs only among others")
        show_difference(*among_others)
        return
    show(side, shrink.shrink(program, differs).text())


def show(side, text):
    asyncio_trace, whorl_trace = both(side, text)
    print(text, end="")
    show_difference(asyncio_trace, whorl_trace)
    if asyncio_trace == whorl_trace:
        print("\n".join("    " + line for line in asyncio_trace))
    print()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--without", default="", help="constructs left out, with commas")
    parser.add_argument("--show", action="store_true", help="print programs and traces")
    parser.add_argument("--file", help="programs from here")
    parser.add_argument("--known", help="programs that are compared first")
    parser.add_argument("--floor", type=float, default=0,
                        help="fails if fewer of the pairs of constructs have met, in percent")
    parser.add_argument("--stranded", action="store_true",
                        help="whorl's side has all in one strand, which must change nothing")
    parser.add_argument("--reports", type=int, default=3, help="differences that are shrunk")
    options = parser.parse_args()
    options.side = [options.side, "--stranded" if options.stranded else "--strict"]
    without = tuple(options.without.split(","))
    if options.file:
        with open(options.file, encoding="utf-8") as file:
            for text in asyncio_side.split(file.read()):
                show(options.side, text)
        return 0
    if options.show:
        for number in range(options.seed, options.seed + options.count):
            show(options.side, generate.program(number, without).text())
        return 0
    return compare(options, without)


class Coverage:
    """Which pairs of constructs have met, of those that may."""

    def __init__(self, without, number):
        self.may = dict(zip(("nested", "racing"), generate.pairs(without, number)))
        self.met = {way: set() for way in self.may}

    def add(self, met):
        for way, may in self.may.items():
            self.met[way] |= may & set(map(tuple, met[way]))

    def percent(self):
        return min(100 * len(self.met[way]) / len(may) for way, may in self.may.items())

    def __str__(self):
        return "pairs of constructs: " + ", ".join(
            f"{len(self.met[way])} of {len(may)} {way}" for way, may in self.may.items())

    def missing(self):
        return "\n".join(f"    {way}: {b} in {a}" if way == "nested" else f"    {way}: {b}, {a}"
                         for way, may in self.may.items() for a, b in sorted(may - self.met[way]))


def compare_known(side, path):
    """True: those of the file leave equal traces."""
    with open(path, encoding="utf-8") as file:
        texts = asyncio_side.split(file.read())
    pairs = zip(texts, play_asyncio_all(texts)[0], play_whorl_all(side, texts))
    different = [text for text, ours, theirs in pairs if ours != theirs]
    for text in different:
        show(side, text)
    print(f"known programs: {len(texts)}, {len(different)} different")
    return len(texts) > 0 and not different


def compare(options, without):
    known = options.known is None or compare_known(options.side, options.known)
    different = {}
    lines = 0
    coverage = Coverage(without, options.seed)
    end = options.seed + options.count
    for first in range(options.seed, end, BATCH):
        numbers = range(first, min(first + BATCH, end))
        texts = [generate.program(number, without).text() for number in numbers]
        ours, met = play_asyncio_all(texts)
        theirs = play_whorl_all(options.side, texts)
        coverage.add(met)
        lines += sum(map(len, ours))
        different |= {n: (a, w) for n, a, w in zip(numbers, ours, theirs) if a != w}
    print(f"differential: {options.count} programs, {lines} lines, {len(different)} different")
    print(coverage)
    covered = coverage.percent() >= options.floor
    if not covered:
        print(f"less than {options.floor} percent have met; these have not:\n{coverage.missing()}")
    for number in list(different)[:options.reports]:
        report(options.side, number, different[number], without)
    return 0 if known and covered and not different else 1


if __name__ == "__main__":
    sys.exit(main())
