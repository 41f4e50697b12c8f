#!/usr/bin/env python3
"""Draws random programs of program_language.h.

    generate.py --seed N --count N      programs N, N + 1, ... on standard output
    generate.py ... --themed            N, N + 4, ...: of those that have a theme

A program is a function of its number. What a task waits for are futures, and tasks that come behind
it in the alphabet: so no two of them wait for each other. Some await themselves, which is an error.
"""
import argparse
import random

MESSAGES = ("why", "stop", "late", None, None)
ERRORS = ("ENOENT", "EIO", "EBADF", "EPIPE", "ECANCELED")

# Constructs that are not drawn yet, each with what is lacking. To stay empty. "zero" is a deadline
# that has passed when it is set.
OFF = {}

# How often each is drawn. What waits, what asks and completes, what encloses.
WEIGHTS = {
    "yield": 8, "sleep": 8, "await": 12, "wait_for": 6,
    "spawn": 6, "gather": 5, "gather_all": 4,
    "cancel": 8, "uncancel": 2, "cancelling": 1, "set": 6, "fail": 3, "state": 2,
    "raise": 2, "return": 2, "reschedule": 2, "expired": 1, "put": 2, "get": 2,
    "wait": 6, "each": 3, "shield": 4, "eager": 2, "add": 7, "cancel_group": 1,
    "soon": 3, "later": 3, "drop": 1, "done": 3, "undone": 1,
    "group": 5, "timeout": 6, "timeout_at": 2, "try": 6, "try_error": 3, "ensure": 3,
}

# What programs of a theme are about, every fourth of them: the rest is drawn less often.
THEMES = (
    ("group", "add", "cancel_group", "cancel", "raise", "try", "try_error", "yield"),
    ("timeout", "timeout_at", "reschedule", "wait_for", "cancel", "uncancel", "ensure", "sleep"),
    ("await", "gather", "gather_all", "shield", "wait", "cancel", "spawn", "fail"),
)
THEME_EVERY = 4
THEME_FACTOR = 4
GROUPED_EVERY = 3  # leaves most tasks to groups, so that these have several children

# Programs from this number on are about locks and their like. What they have beside the others, and
# what of those is drawn less often.
SYNC_FROM = 10_000_000
SYNC_WEIGHTS = {
    "acquire": 6, "release": 8, "try_acquire": 3, "locked": 2, "with": 12,
    "wait_on": 10, "notify": 5, "notify_all": 2,
    "wait_set": 5, "set_event": 5, "clear": 3, "is_set": 1,
    "meet": 8, "reset": 2, "abort": 1, "waiting": 2,
    "qput": 8, "qget": 8, "qput_now": 3, "qget_now": 3, "qdone": 3, "qjoin": 2, "qshut": 1,
    "qshut_now": 1, "qsize": 2,
    "yield": 8, "sleep": 6, "cancel": 10, "spawn": 4, "timeout": 5, "try": 8, "ensure": 2,
    "await": 3, "uncancel": 1, "set": 2, "soon": 3, "later": 3, "group": 2, "add": 2,
}
# Some of them are about a condition before all: a cancel that comes while one who was notified waits
# for the lock again takes several steps of several tasks, all of the same condition.
CONDITION_EVERY, CONDITION_REST = 7, 0
CONDITION_THEME = ("with", "wait_on", "notify", "yield", "sleep", "cancel", "spawn")
WAITS_FOR_TASKS = ("await", "group")
SYNC_KINDS = {"lock": "l", "semaphore": "m", "bounded": "m", "event": "e", "condition": "c",
              "barrier": "b", "queue": "q", "lifo": "q", "priority": "q"}
SYNC_IN_CALLBACKS = ("release", "try_acquire", "notify", "set_event", "clear", "qput_now", "qget_now",
                     "qdone", "qshut")

WAITS = ("yield", "sleep", "await", "wait_for", "wait", "each")
SYNC_WAITS = ("acquire", "wait_on", "wait_set", "meet", "qput", "qget", "qjoin")
BLOCKS = ("timeout", "timeout_at", "group", "try", "try_error", "ensure", "with")
IN_CALLBACKS = ("spawn", "cancel", "uncancel", "cancelling", "set", "fail", "state", "reschedule", "expired",
                "put", "get", "soon", "later", "drop", "done", "undone")


class Node:
    """A step, and the steps inside it."""

    def __init__(self, line, body=None, cleanup=None):
        self.line = line
        self.body = body
        self.cleanup = cleanup

    def copy(self):
        return Node(self.line, copies(self.body), copies(self.cleanup))

    def lines(self, depth):
        yield "  " * depth + self.line
        if self.body is not None:
            for node in self.body:
                yield from node.lines(depth + 1)
            if self.cleanup is not None:
                yield "  " * depth + "cleanup"
                for node in self.cleanup:
                    yield from node.lines(depth + 1)
            yield "  " * depth + "end"


def copies(nodes):
    return None if nodes is None else [node.copy() for node in nodes]


class Program:
    """Futures, and the bodies of tasks and callbacks: (kind, name, nodes)."""

    def __init__(self, number, futures, bodies, tools=()):
        self.number = number
        self.futures = futures
        self.bodies = bodies
        self.tools = tools  # their declarations

    def copy(self):
        return Program(self.number, list(self.futures),
                       [(kind, name, copies(nodes)) for kind, name, nodes in self.bodies], self.tools)

    def text(self):
        lines = [f"program {self.number}"] + [f"future {f}" for f in self.futures]
        lines += self.tools
        for kind, name, nodes in self.bodies:
            lines.append(f"{kind} {name}")
            for node in nodes:
                lines.extend(node.lines(1))
        return "\n".join(lines) + "\n"


class Generator:
    """One program."""

    def __init__(self, number, without=()):
        self.random = random.Random(number)
        self.zero = "zero" not in OFF and "zero" not in without
        self.number = number
        self.weights = {k: w for k, w in WEIGHTS.items() if k not in OFF and k not in without}
        if not self.zero:
            self.weights.pop("timeout_at")
        self.themed = number % THEME_EVERY == 0
        self.late = False  # tasks are left for groups that are ending already
        if self.themed:
            theme = THEMES[number // THEME_EVERY % len(THEMES)]
            self.late = "add" in theme and number % 24 == 0  # every second of those
            self.weights = {k: w * THEME_FACTOR if k in theme else w
                            for k, w in self.weights.items()}
        self.grouped = number % GROUPED_EVERY == 0
        if self.grouped and "group" in self.weights:
            self.weights["group"] *= THEME_FACTOR
        self.tools = []
        self.kinds = {}  # name of a lock or the like -> its kind
        self.withs = []  # whose block is open
        if number >= SYNC_FROM:
            self.themed = self.late = self.grouped = False
            self.about_condition = number % CONDITION_EVERY == CONDITION_REST
            self.weights = {
                k: w * (THEME_FACTOR if self.about_condition and k in CONDITION_THEME else 1)
                for k, w in SYNC_WEIGHTS.items() if k not in without}
            self.make_tools()
        self.tasks = ["main", *"abcde"[:self.random.randint(2 if self.tools else 1, 4)]]
        self.futures = [f"f{i}" for i in range(self.random.randint(0, 2))]
        self.callbacks = [f"k{i}" for i in range(self.random.randint(0, 2))]
        self.groups = {}  # name -> the task whose block it is
        self.named = {}  # gathers and shields: name -> the first task among what it awaits
        self.made = 0
        self.within = 0  # of the callbacks: the first one that may be added from here
        self.blocks = []  # timeouts

    def program(self):
        bodies = [("task", "main", self.main())]
        for level, name in enumerate(self.tasks):
            if level > 0:
                bodies.append(("task", name, self.body(level, self.random.randint(1, 5), 0)))
        if "soon" in self.weights or "done" in self.weights:
            bodies += [("callback", name, self.callback(i))
                       for i, name in enumerate(self.callbacks)]
        return Program(self.number, self.futures, bodies, self.tools)

    def make_tools(self):
        """Three or so, of few kinds, so that they are met."""
        kinds = self.random.sample(list(SYNC_KINDS), self.random.randint(1, 3))
        if self.about_condition:
            kinds = ["condition"]
        for i, kind in enumerate(kinds):
            name = f"{SYNC_KINDS[kind]}{i}"
            least = 1 if kind in ("barrier", "bounded") else 0
            self.kinds[name] = kind
            self.tools.append(f"{kind} {name} {self.random.randint(least, 3)}")

    def tool(self, *kinds):
        names = [n for n, kind in self.kinds.items() if kind in kinds]
        return self.random.choice(names) if names else None

    def callback(self, index):
        """Steps that do not wait, raise or return."""
        self.within = index + 1
        nodes = []
        for _ in range(self.random.randint(1, 3)):
            names = [n for n in IN_CALLBACKS + SYNC_IN_CALLBACKS if n in self.weights]
            name = self.random.choices(names, [self.weights[n] for n in names])[0]
            node = getattr(self, "draw_" + name)(0, 0)
            nodes += [] if node is None else [node]
        return nodes

    def main(self):
        spawns = [Node(f"spawn {t}") for t in self.tasks[1:]
                  if self.random.random() < (0.2 if self.late or self.grouped else 0.8)]
        return spawns + self.body(0, self.random.randint(2, 7), 0)

    def body(self, level, count, depth):
        nodes = []
        for _ in range(count):
            nodes.append(self.step(level, depth))
            if nodes[-1].line.split()[0] in ("raise", "return"):
                break
        return nodes

    def step(self, level, depth):
        while True:
            names = list(self.weights)
            name = self.random.choices(names, [self.weights[n] for n in names])[0]
            if name in WAITS_FOR_TASKS and self.holds_condition():
                continue
            node = getattr(self, "draw_" + name)(level, depth)
            if node is not None:
                return node

    def holds_condition(self):
        """The task waited for may want the condition's lock again, and no cancel ends that."""
        return any(self.kinds[name] == "condition" for name in self.withs)

    # -- words --

    def ms(self):
        return self.random.choice((0, 1, 1, 2, 3, 3, 5, 5, 8, 12))

    def deadline_ms(self):
        return self.ms() if self.zero else self.random.choice((1, 1, 2, 3, 3, 5, 8, 12))

    def name(self, letter):
        self.made += 1
        return f"{letter}{self.made}"

    def awaitable(self, level):
        """What a task of this level may wait for."""
        names = self.tasks[level + 1:] + self.futures
        names += [n for n, first in self.named.items() if first > level]
        return self.random.choice(names) if names else None

    def several(self, level):
        names = [self.awaitable(level) for _ in range(self.random.randint(1, 4))]
        return [n for n in names if n is not None]

    def level_of(self, name):
        if name in self.tasks:
            return self.tasks.index(name)
        return self.named.get(name, 99)

    def anyone(self):
        return self.random.choice(self.tasks + self.futures + list(self.named))

    def one(self, word, name, *more):
        return None if name is None else Node(" ".join((word, str(name), *map(str, more))))

    # -- steps --

    def draw_yield(self, level, depth):
        return Node("yield")

    def draw_sleep(self, level, depth):
        return Node(f"sleep {self.ms()}")

    def draw_await(self, level, depth):
        itself = self.themed and self.random.random() < 0.1
        return self.one("await", self.tasks[level] if itself else self.awaitable(level))

    def draw_wait_for(self, level, depth):
        return self.one("wait_for", self.awaitable(level), self.deadline_ms())

    def draw_spawn(self, level, depth):
        later = self.tasks[1:]
        return self.one("spawn", self.random.choice(later) if later else None)

    def many(self, word, level):
        names = self.several(level)
        if not names:
            return None
        name = self.name("g")
        node = Node(" ".join((word, name, *names)))
        self.named[name] = min(map(self.level_of, names))
        return node

    def draw_gather(self, level, depth):
        return self.many("gather", level)

    def draw_gather_all(self, level, depth):
        return self.many("gather_all", level)

    def draw_shield(self, level, depth):
        inner = self.awaitable(level)
        if inner is None:
            return None
        name = self.name("s")
        node = Node(f"shield {name} {inner}")
        self.named[name] = self.level_of(inner)
        return node

    def draw_wait(self, level, depth):
        names = self.several(level)
        when = self.random.choice(("all", "first", "exception"))
        ms = self.random.choice((self.deadline_ms(), self.deadline_ms(), "never"))
        return Node(" ".join(("wait", when, str(ms), *names))) if names else None

    def draw_each(self, level, depth):
        names = self.several(level)
        ms = self.random.choice((self.deadline_ms(), "never"))
        return Node(" ".join(("each", str(ms), *names))) if names else None

    def draw_eager(self, level, depth):
        later = self.tasks[level + 1:]
        return self.one("eager", self.random.choice(later) if later else None)

    def draw_add(self, level, depth):
        if not self.groups:
            return None
        name = self.random.choice(list(self.groups))
        later = self.tasks[self.groups[name] + 1:]
        return Node(f"add {name} {self.random.choice(later)}") if later else None

    def draw_cancel_group(self, level, depth):
        return self.one("cancel_group", self.random.choice(list(self.groups)) if self.groups else None)

    def callback_name(self):
        return self.random.choice(self.callbacks) if self.callbacks else None

    def draw_soon(self, level, depth):
        return self.one("soon", self.callback_name())

    def draw_later(self, level, depth):
        return self.one("later", self.callback_name(), self.ms())

    def draw_drop(self, level, depth):
        return self.one("drop", self.callback_name())

    def draw_done(self, level, depth):
        names = self.callbacks[self.within:]  # one that adds itself would never end
        return Node(f"done {self.anyone()} {self.random.choice(names)}") if names else None

    def draw_undone(self, level, depth):
        return None if not self.callbacks else Node(f"undone {self.anyone()} {self.callback_name()}")

    def draw_group(self, level, depth):
        if depth >= 3:
            return None
        name = self.name("p")
        self.groups[name] = level
        later = self.tasks[level + 1:]
        adds = [Node(f"add {name} {t}") for t in later
                if self.random.random() < (0.7 if self.grouped else 0.2 if self.late else 0.5)]
        return Node(f"group {name}", adds + self.inside(level, depth))

    def draw_cancel(self, level, depth):
        message = self.random.choice(MESSAGES)
        return self.one("cancel", self.anyone(), *((message,) if message else ()))

    def draw_uncancel(self, level, depth):
        return self.one("uncancel", self.random.choice(self.tasks))

    def draw_cancelling(self, level, depth):
        return self.one("cancelling", self.random.choice(self.tasks))

    def draw_set(self, level, depth):
        if not self.futures:
            return None
        return self.one("set", self.random.choice(self.futures), self.random.randint(1, 9))

    def draw_fail(self, level, depth):
        if not self.futures:
            return None
        return self.one("fail", self.random.choice(self.futures), self.random.choice(ERRORS))

    def draw_state(self, level, depth):
        return self.one("state", self.anyone())

    def draw_put(self, level, depth):
        return Node(f"put v{self.random.randint(0, 1)} {self.random.randint(1, 9)}")

    def draw_get(self, level, depth):
        return Node(f"get v{self.random.randint(0, 1)}")

    def draw_raise(self, level, depth):
        return Node("raise " + self.random.choice(ERRORS))

    def draw_return(self, level, depth):
        return Node(f"return {self.random.randint(1, 9)}")

    def draw_reschedule(self, level, depth):
        if not self.blocks:
            return None
        ms = self.random.choice((self.deadline_ms(), self.deadline_ms(), -1, "never"))
        ms = 1 if ms == -1 and not self.zero else ms
        return self.one("reschedule", self.random.choice(self.blocks), ms)

    def draw_expired(self, level, depth):
        return self.one("expired", self.random.choice(self.blocks) if self.blocks else None)

    # -- locks and their like --

    def draw_acquire(self, level, depth):
        return self.one("acquire", self.tool("lock", "semaphore", "bounded"))

    def draw_release(self, level, depth):
        return self.one("release", self.tool("lock", "semaphore", "bounded"))

    def draw_try_acquire(self, level, depth):
        return self.one("try_acquire", self.tool("lock", "semaphore", "bounded"))

    def draw_locked(self, level, depth):
        return self.one("locked", self.tool("lock", "semaphore", "bounded"))

    def draw_with(self, level, depth):
        name = self.tool("lock", "semaphore", "bounded", "condition")
        if name is None or depth >= 3:
            return None
        self.withs.append(name)
        node = self.block(f"with {name}", level, depth)
        self.withs.pop()
        return node

    def draw_wait_on(self, level, depth):
        name = self.withs[-1] if self.withs else None
        return self.one("wait_on", name if self.kinds.get(name) == "condition" else None)

    def draw_notify(self, level, depth):
        return self.one("notify", self.tool("condition"), self.random.randint(0, 2))

    def draw_notify_all(self, level, depth):
        return self.one("notify_all", self.tool("condition"))

    def draw_wait_set(self, level, depth):
        return self.one("wait_set", self.tool("event"))

    def draw_set_event(self, level, depth):
        return self.one("set_event", self.tool("event"))

    def draw_clear(self, level, depth):
        return self.one("clear", self.tool("event"))

    def draw_is_set(self, level, depth):
        return self.one("is_set", self.tool("event"))

    def draw_meet(self, level, depth):
        return self.one("meet", self.tool("barrier"))

    def draw_reset(self, level, depth):
        return self.one("reset", self.tool("barrier"))

    def draw_abort(self, level, depth):
        return self.one("abort", self.tool("barrier"))

    def draw_waiting(self, level, depth):
        return self.one("waiting", self.tool("barrier"))

    def queue(self, word, *more):
        return self.one(word, self.tool("queue", "lifo", "priority"), *more)

    def item(self):
        """No two the same: which of equal ones a priority queue gives is not said (QUE-25)."""
        self.made += 1
        return self.random.randint(1, 9) * 1000 + self.made

    def draw_qput(self, level, depth):
        return self.queue("qput", self.item())

    def draw_qget(self, level, depth):
        return self.queue("qget")

    def draw_qput_now(self, level, depth):
        return self.queue("qput_now", self.item())

    def draw_qget_now(self, level, depth):
        return self.queue("qget_now")

    def draw_qdone(self, level, depth):
        return self.queue("qdone")

    def draw_qjoin(self, level, depth):
        return self.queue("qjoin")

    def draw_qshut(self, level, depth):
        return self.queue("qshut")

    def draw_qshut_now(self, level, depth):
        return self.queue("qshut_now")

    def draw_qsize(self, level, depth):
        return self.queue("qsize")

    # -- blocks --

    def inside(self, level, depth):
        return self.body(level, self.random.randint(1, 3), depth + 1)

    def block(self, head, level, depth):
        return None if depth >= 3 else Node(head, self.inside(level, depth))

    def deadline(self, word, level, depth):
        if depth >= 3:
            return None
        name = self.name("t")
        self.blocks.append(name)
        ms = "never" if self.random.random() < 0.1 else self.deadline_ms()
        return self.block(f"{word} {name} {ms}", level, depth)

    def draw_timeout(self, level, depth):
        return self.deadline("timeout", level, depth)

    def draw_timeout_at(self, level, depth):
        return self.deadline("timeout_at", level, depth)

    def draw_try(self, level, depth):
        return self.block("try", level, depth)

    def draw_try_error(self, level, depth):
        return self.block("try_error", level, depth)

    def draw_ensure(self, level, depth):
        if depth >= 3:
            return None
        return Node("ensure", self.inside(level, depth), self.inside(level, depth))


def pairs(without=(), number=0):
    """What may meet in programs of that kind, as asyncio_side.Pairs notes it: (nested, racing)."""
    drawn = set(Generator(number, without).weights)
    outer = [b for b in BLOCKS if b in drawn] + ["cleanup"]
    waits = [w for w in WAITS + SYNC_WAITS if w in drawn]
    nested = {(a, b) for a in outer for b in drawn}
    if "soon" in drawn or "done" in drawn:
        nested |= {("callback", b) for b in IN_CALLBACKS + SYNC_IN_CALLBACKS if b in drawn}
    return nested, {(a, b) for a in outer + waits for b in drawn}


def program(number, without=()):
    return Generator(number, without).program()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--themed", action="store_true", help="only programs that have a theme")
    parser.add_argument("--without", default="", help="constructs left out, with commas")
    options = parser.parse_args()
    step = THEME_EVERY if options.themed else 1
    first = -(-options.seed // step) * step
    for number in range(first, first + step * options.count, step):
        print(program(number, options.without.split(",")).text(), end="")


if __name__ == "__main__":
    main()
