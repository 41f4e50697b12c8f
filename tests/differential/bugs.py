#!/usr/bin/env python3
"""Looks for the bugs of runtime/base/bug.h, which are put in on purpose.

    bugs.py PLAYER [--count N] [--every K] [NAME...]

PLAYER is test_player of a build in which bugs can be chosen. For each bug programs are played until
one leaves another trace than asyncio; that is shrunk and printed. Exit 1: a bug was not found, or
programs differ without any.
"""
import argparse
import subprocess
import sys

import asyncio_side
import compare
import generate
import shrink

BATCH = 100
BATCH_S = 60
SHRINK_TRIES = 400


class Programs:
    """Texts and asyncio's traces, in batches, made when they are wanted."""

    def __init__(self, count, first):
        self.count = count
        self.first = first
        self.batches = []

    def batch(self, index):
        while index >= len(self.batches):
            first = len(self.batches) * BATCH + self.first
            numbers = range(first, first + BATCH)
            texts = [generate.program(number).text() for number in numbers]
            self.batches.append((numbers, texts, compare.play_asyncio_all(texts)[0]))
        return self.batches[index]

    def different(self, side):
        """The first program that differs, or None."""
        for index in range(self.count // BATCH):
            numbers, texts, ours = self.batch(index)
            theirs = compare.play_whorl_all(side, texts, BATCH_S)
            for number, a, b in zip(numbers, ours, theirs):
                if a != b:
                    return number
        return None


SYNC_AREAS = ("LOCK", "EVT", "COND", "SEM", "BAR", "QUE")


def is_of_sync(bug):
    """Whether programs about locks and queues are wanted to find it."""
    return bug[1].split("-")[0] in SYNC_AREAS


def list_bugs(player):
    """(name, row, what) of each."""
    out = subprocess.run([player, "--bugs"], capture_output=True, text=True, check=True).stdout
    return [tuple(line.split(" ", 2)) for line in out.splitlines()]


def shrunk(side, number):
    def differs(text):
        return asyncio_side.play(text) != compare.play_whorl_all(side, [text], compare.ONE_S)[0]
    return shrink.shrink(generate.program(number), differs, SHRINK_TRIES).text()


def look_for(player, programs, bug):
    """Whether it was found."""
    name, row, what = bug
    side = [player, "--strict", name]
    subprocess.run(side, input="", text=True, check=True)  # not found because it cannot be chosen
    number = programs.different(side)
    if number is None:
        print(f"{name} ({row}: {what}): NOT FOUND by {programs.count} programs")
        return False
    text = shrunk(side, number)
    print(f"{name} ({row}: {what}): program {number}, {len(text.splitlines()) - 1} lines of it")
    print("".join(f"    {line}\n" for line in text.splitlines()[1:]), end="", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("player")
    parser.add_argument("--count", type=int, default=3000, help="programs that a bug is given")
    parser.add_argument("--every", type=int, default=1, help="only every K-th bug")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    bugs = [bug for bug in list_bugs(options.player)
            if not options.names or bug[0] in options.names]
    bugs = bugs[::options.every]
    kinds = {False: Programs(options.count, 1), True: Programs(options.count, generate.SYNC_FROM)}
    for programs in [kinds[of_sync] for of_sync in sorted(set(map(is_of_sync, bugs)))]:
        number = programs.different([options.player, "--strict"])
        if number is not None:
            print(f"program {number} differs without any bug")
            return 1
    found = sum([look_for(options.player, kinds[is_of_sync(bug)], bug) for bug in bugs])
    print(f"bugs: {found} of {len(bugs)} found")
    return 0 if found == len(bugs) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
