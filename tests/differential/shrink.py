"""Makes a program smaller as long as it stays interesting.

Whatever can go goes: declarations, runs of steps (halves first), the frame of a block, names in a
list, and at last times become smaller. Every candidate is a copy, and a program as any other.
"""

TRIES_MAX = 3000
LISTS = {"gather": 1, "gather_all": 1, "wait": 2, "each": 1}  # steps with a list, and where it begins
TIMES = ("sleep", "wait_for", "timeout", "timeout_at", "reschedule", "later", "wait", "each")


def node_lists(program):
    """All lists of steps, outer ones first."""
    todo = [nodes for _, _, nodes in program.bodies]
    found = []
    while todo:
        nodes = todo.pop(0)
        found.append(nodes)
        for node in nodes:
            todo += [inner for inner in (node.body, node.cleanup) if inner is not None]
    return found


def without_declaration(program):
    """main stays: it is what is started."""
    for i in range(len(program.bodies) - 1, 0, -1):
        copy = program.copy()
        del copy.bodies[i]
        yield copy
    for i in range(len(program.futures)):
        copy = program.copy()
        del copy.futures[i]
        yield copy


def without_steps(program):
    for number, nodes in enumerate(node_lists(program)):
        size = len(nodes)
        while size > 0:
            for first in range(0, len(nodes), size):
                copy = program.copy()
                del node_lists(copy)[number][first:first + size]
                yield copy
            size //= 2


def without_frames(program):
    """What was in a block is where the block was."""
    for number, nodes in enumerate(node_lists(program)):
        for i, node in enumerate(nodes):
            if node.body is not None:
                copy = program.copy()
                inside = node_lists(copy)[number]
                inside[i:i + 1] = inside[i].body + (inside[i].cleanup or [])
                yield copy


def with_line(program, number, i, words):
    copy = program.copy()
    node_lists(copy)[number][i].line = " ".join(words)
    return copy


def with_shorter_lines(program):
    for number, nodes in enumerate(node_lists(program)):
        for i, node in enumerate(nodes):
            words = node.line.split()
            first = 1 + LISTS.get(words[0], len(words))
            if len(words) > first + 1:
                for k in range(first, len(words)):
                    yield with_line(program, number, i, words[:k] + words[k + 1:])


def with_smaller_times(program):
    for number, nodes in enumerate(node_lists(program)):
        for i, node in enumerate(nodes):
            words = node.line.split()
            for k in range(1, len(words) if words[0] in TIMES else 0):
                if words[k].isdigit():
                    for less in range(min(int(words[k]), 3)):
                        yield with_line(program, number, i,
                                        words[:k] + [str(less)] + words[k + 1:])


WAYS = (without_declaration, without_steps, without_frames, with_shorter_lines, with_smaller_times)


def shrink(program, interesting, tries_max=TRIES_MAX):
    """The smallest that was found. interesting(text) tells of a program's text."""
    tries = 0
    again = True
    while again:
        again = False
        for way in WAYS:
            found = True
            while found:
                found = False
                for candidate in way(program):
                    tries += 1
                    if tries > tries_max:
                        return program
                    if interesting(candidate.text()):
                        program = candidate
                        found = again = True
                        break
    return program
