# whorl-gdb.py - tasks of a whorl program in gdb: who there is, and where each one waits.
#
#   info tasks                     every task of every runtime
#   task N                         look at task N: backtrace, frame, info locals are the task's
#   task                           which task is looked at; task off: none, but the thread again
#   task apply N... COMMAND        run a command in the frames of some tasks
#   task apply all COMMAND         ... of all: task apply all bt
#
# Works on a live process and on a core file: nothing is called and no register is written. The
# frames of a task that does not run are found by an unwinder that takes the registers from where
# the switch has saved them. gdb shows them from #1 on; #0 is the thread's own, and left out.
#
# gdb loads this by itself beside the installed shared library; for a program linked statically:
# source /usr/share/whorl/whorl-gdb.py. The library's debug information has to be there.

import gdb
import gdb.printing
import gdb.unwinder

STATES = ("ready", "running", "parked", "done")
FREE, LIVE, PARKED, DONE = range(4)
WAIT_FUTURE, WAIT_SLEEP, WAIT_READ, WAIT_WRITE, WAIT_GROUP, WAIT_SYNC, WAIT_STRAND = \
    range(1, 8)
SYNC_KINDS = ("lock", "semaphore", "event", "condition", "queue to get", "queue to put",
              "queue to be done", "lock to read", "lock to write", "once", "select",
              "barrier")
KIND_TASK, KIND_GATHER, KIND_SHIELD = 1, 2, 3
FUTURE_DONE, FUTURE_CANCELLED = 4, 8
CANCEL = 16
CHUNK_SLOTS = 1024


def fail(text):
    raise gdb.GdbError("whorl: " + text)


def type_of(name):
    try:
        return gdb.lookup_type("struct " + name)
    except gdb.error:
        fail("no debug information of the library (struct %s)" % name)


def pointer_to(value, name):
    return value.cast(type_of(name).pointer())


def text_of(field):
    return field.string(errors="replace")


# ---- what there is ----


def runtimes():
    """All runtimes of the process, oldest first."""
    try:
        head = gdb.parse_and_eval("whorl__roster_head")
    except gdb.error:
        fail("no debug information of the library (whorl__roster_head)")
    found = []
    while int(head) != 0:
        runtime = pointer_to(head, "whorl__runtime").dereference()
        found.append(runtime)
        head = runtime["next_older"]
    return reversed(found)


def loops_of(runtime):
    return [runtime["loops"][i].dereference() for i in range(int(runtime["loop_count"]))]


class Task:
    def __init__(self, slot):
        self.slot = slot
        self.word = int(slot["word"])
        self.phase = self.word & 7
        self.number = int(slot["serial"])
        self.loop = slot["loop"]

    def name(self):
        return text_of(self.slot["name"]) if self.slot["named"] else "Task-%d" % self.number

    def runs(self):
        here = int(self.slot.address)
        return self.phase == LIVE and int(self.loop) != 0 and int(self.loop["current"]) == here

    def state(self):
        if self.phase == PARKED:
            return "parked"
        if self.phase == DONE:
            return "done"
        return "running" if self.runs() else "ready"

    def loop_index(self):
        return int(self.loop["index"]) if int(self.loop) != 0 else 0

    def fiber(self):
        return pointer_to(self.slot["fiber"], "whorl__fiber")

    def waits_on(self):
        """What a parked task waits for, in words."""
        wait = int(self.slot["waits_on"])
        reason = wait & 7
        if reason == WAIT_FUTURE:
            kind = wait >> 4 & 3
            if kind == KIND_TASK:
                return "task %d" % (wait >> 6)
            words = {KIND_GATHER: "gather", KIND_SHIELD: "shield"}
            return "%s 0x%x" % (words.get(kind, "future"), wait & ~63)
        if reason == WAIT_GROUP:
            return "children of its group"
        if reason == WAIT_SYNC:
            kind = wait >> 4 & 15
            name = SYNC_KINDS[kind] if kind < len(SYNC_KINDS) else "?"
            return "%s 0x%x" % (name, wait >> 8 << 3)
        if reason in (WAIT_READ, WAIT_WRITE):
            both = wait & 16
            what = "read or write" if both else "read" if reason == WAIT_READ else "write"
            return "%s fd %d" % (what, wait >> 6)
        return "sleep" if wait & 8 else "sleep for ever"

    def awaits(self):
        """What a task awaits that is not parked: mostly another one, which runs in its place."""
        future = pointer_to(gdb.Value(int(self.slot["awaited"]) & ~1), "whorl_future").dereference()
        if int(future["kind"]) == KIND_TASK:
            return "task %d" % int(pointer_to(future.address, "whorl_task")["serial"])
        return "future 0x%x" % int(future.address)

    def detail(self):
        notes = []
        if self.phase == PARKED:
            notes.append(self.waits_on())
        elif self.phase == DONE:
            notes.append(result_of(self.slot["future"]))
        elif int(self.slot["fiber"]) == 0:
            notes.append("not begun")
        elif not self.runs() and int(self.slot["awaited"]) != 0:
            notes.append("awaits " + self.awaits())
        if self.state() == "ready" and int(self.slot["waits_on"]) & 7 == WAIT_STRAND:
            notes.append("strand 0x%x" % (int(self.slot["waits_on"]) >> 8 << 3))
        if self.word & CANCEL and self.phase != DONE:
            notes.append("cancel pending")
        return ", ".join(notes)


def result_of(future):
    word = int(future["word"])
    if word & FUTURE_CANCELLED:
        return "cancelled"
    error = int(future["error"])
    return "error %d" % error if error != 0 else "value 0x%x" % int(future["value"])


def tasks_of(runtime):
    slots = runtime["slots"]
    for chunk in range(int(slots["chunk_count"])):
        base = pointer_to(slots["chunks"][chunk], "whorl_task")
        for index in range(CHUNK_SLOTS):
            slot = base[index]
            if int(slot["word"]) & 7 != FREE:
                yield Task(slot)


def all_tasks():
    found = [task for runtime in runtimes() for task in tasks_of(runtime)]
    return sorted(found, key=lambda task: task.number)


def find_task(number):
    for task in all_tasks():
        if task.number == number:
            return task
    fail("no task %d; see info tasks" % number)


# ---- the frames of a task that does not run ----


def read_word(address):
    return int(gdb.Value(address).cast(type_u64().pointer()).dereference())


def type_u64():
    return gdb.lookup_type("unsigned long")


def switches_by_ucontext():
    switch = gdb.lookup_global_symbol("whorl__switch")
    return switch is not None and switch.symtab.filename.endswith("switch_ucontext.c")


def saved_registers(task):
    """By name, from what the switch has left on the task's stack."""
    arch = gdb.selected_inferior().architecture().name()
    if arch != "i386:x86-64":
        fail("frames of suspended tasks are known on x86-64 only, this is " + arch)
    sp = int(task.fiber()["sp"])
    if switches_by_ucontext():  # sp is a ucontext_t
        places = {"rip": 168, "rsp": 160, "rbp": 120, "rbx": 128,
                  "r12": 72, "r13": 80, "r14": 88, "r15": 96}
        return {name: read_word(sp + place) for name, place in places.items()}
    places = {"rip": 56, "rbp": 48, "rbx": 40, "r12": 32, "r13": 24, "r14": 16, "r15": 8}
    registers = {name: read_word(sp + place) for name, place in places.items()}
    registers["rsp"] = sp + 64
    return registers


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """While a task is looked at, the newest frame of the thread is called from the task's."""

    def __init__(self):
        super().__init__("whorl-tasks")
        self.registers = None
        self.newest = None

    def __call__(self, pending_frame):
        if self.registers is None:
            return None
        sp = int(pending_frame.read_register("rsp"))
        pc = int(pending_frame.read_register("rip"))
        if (sp, pc) != self.newest:
            return None
        # Below the task's frames: gdb refuses a caller whose stack lies below the callee's.
        info = pending_frame.create_unwind_info(
            FrameId(gdb.Value(self.registers["rsp"] - 64), gdb.Value(pc)))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(type_u64()))
        return info

    def show(self, task):
        self.hide()
        frame = gdb.newest_frame()
        self.newest = (int(frame.read_register("rsp")), int(frame.read_register("rip")))
        self.registers = saved_registers(task)
        gdb.invalidate_cached_frames()
        caller = gdb.newest_frame().older()
        if caller is None:
            self.hide()
            fail("gdb does not find the frames of task %d" % task.number)
        caller.select()

    def hide(self):
        if self.registers is not None:
            self.registers = None
            gdb.invalidate_cached_frames()


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def thread_of(task):
    wanted = int(task.loop["thread_id"])
    for thread in gdb.selected_inferior().threads():
        if thread.ptid[1] == wanted:
            return thread
    fail("the thread of loop %d is not there" % task.loop_index())


def without_newest(output):
    """A backtrace without the frame that is the thread's own."""
    lines = output.split("\n")
    for i, line in enumerate(lines):
        if line.startswith("#1 "):
            return "\n".join(lines[i:])
    return output


def is_backtrace(command):
    words = command.split()
    return bool(words) and words[0] in ("bt", "where", "backtrace")


def run_in_frames(task, command):
    """What the command prints in the frames of the task; None: it has none."""
    state = task.state()
    if state == "done" or int(task.slot["fiber"]) == 0:
        return None
    selected = gdb.selected_thread()
    if state == "running":
        thread_of(task).switch()
        output = gdb.execute(command, to_string=True)
        selected.switch()
        return output
    try:
        unwinder.show(task)
        output = gdb.execute(command, to_string=True)
    finally:
        unwinder.hide()
    return without_newest(output) if is_backtrace(command) else output


# ---- commands ----


class InfoTasks(gdb.Command):
    """Every task of every whorl runtime: number, state, loop, name, and what it waits for."""

    def __init__(self):
        super().__init__("info tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        counts = dict.fromkeys(STATES, 0)
        print("  %6s  %-7s  %4s  %-20s %s" % ("Id", "State", "Loop", "Name", "Waits for"))
        for task in all_tasks():
            mark = "*" if task.number == chosen() else " "
            state = task.state()
            counts[state] += 1
            line = "%s %6d  %-7s  %4d  %-20s %s" % (mark, task.number, state, task.loop_index(),
                                                    '"%s"' % task.name(), task.detail())
            print(line.rstrip())
        print("%d tasks: %s" % (sum(counts.values()),
                                ", ".join("%d %s" % (counts[state], state) for state in STATES)))


looked_at = None


def chosen():
    return looked_at


def look_at(task):
    """Sets gdb's frames to the task's, until `task off`, another task, or the program goes on."""
    global looked_at
    stop_looking()
    state = task.state()
    if state == "done" or int(task.slot["fiber"]) == 0:
        fail("task %d has no frames: it %s" % (task.number, "has ended" if state == "done"
                                               else "has not begun"))
    if state == "running":
        thread_of(task).switch()
    else:
        unwinder.show(task)
    looked_at = task.number


def stop_looking(event=None):
    global looked_at
    looked_at = None
    unwinder.hide()


gdb.events.cont.connect(stop_looking)
gdb.events.exited.connect(stop_looking)


class TaskCommand(gdb.Command):
    """Look at a whorl task: task N; task off; task apply all|N... COMMAND."""

    def __init__(self):
        super().__init__("task", gdb.COMMAND_STACK, prefix=True)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if not words:
            number = chosen()
            print("no task is looked at" if number is None else describe(find_task(number)))
        elif words[0] == "off":
            stop_looking()
            gdb.newest_frame().select()
        elif len(words) == 1 and words[0].isdigit():
            task = find_task(int(words[0]))
            look_at(task)
            print(describe(task))
            gdb.execute("frame")
        else:
            fail("task N, task off, or task apply all|N... COMMAND")


def describe(task):
    detail = task.detail()
    return 'Task %d "%s" %s%s' % (task.number, task.name(), task.state(),
                                  ": " + detail if detail else "")


class TaskApply(gdb.Command):
    """Run a command in the frames of tasks: task apply all COMMAND; task apply N... COMMAND."""

    def __init__(self):
        super().__init__("task apply", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if words and words[0] == "all":
            chosen_tasks, rest = all_tasks(), words[1:]
        else:
            count = 0
            while count < len(words) and words[count].isdigit():
                count += 1
            chosen_tasks, rest = [find_task(int(word)) for word in words[:count]], words[count:]
        if not chosen_tasks or not rest:
            fail("task apply all COMMAND, or task apply N... COMMAND")
        stop_looking()
        for task in chosen_tasks:
            print("\n" + describe(task))
            output = run_in_frames(task, " ".join(rest))
            if output is None:
                print("(no frames)")
            else:
                print(output, end="")


# ---- printers; print/r shows the fields ----


class TaskPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        task = Task(self.value)
        return "free task slot" if task.phase == FREE else describe(task)


class FuturePrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        word = int(self.value["word"])
        if word & FUTURE_DONE:
            return "future, done: " + result_of(self.value)
        return "future, pending%s" % (", awaited" if word & 2 else "")


class LoopPrinter:
    def __init__(self, value):
        self.value = value

    def state(self):
        current = self.value["current"]
        if int(current) != 0:
            task = Task(pointer_to(current, "whorl_task").dereference())
            stuck = ("running", "stuck in", "blocking in")[int(self.value["stuck"])]
            return '%s task %d "%s"' % (stuck, task.number, task.name())
        if int(self.value["sleeping"]):
            return "sleeping"
        return "searching" if int(self.value["searching"]) else "turning"

    def to_string(self):
        ring = self.value["queue"]["ring"]
        queued = (int(ring["p_tail"]) - int(ring["c_head"])) & 0xffffffff
        return "loop %d, %s, ring %d, bound %d, timers %d" % (
            int(self.value["index"]), self.state(), queued, int(self.value["bound"]["count"]),
            int(self.value["timers"]["heap"]["count"]))


class RecordPrinter:
    WAITING, READY = 1 << 63, 1 << 62

    def __init__(self, value):
        self.value = value

    def slot(self, direction):
        slot = int(self.value["slots"][direction])
        if slot & self.WAITING:
            return "awaited by slot %d" % ((slot & ~self.WAITING) >> 32)
        return "ready" if slot & self.READY else "not ready"

    def to_string(self):
        state = int(self.value["state"])
        words = "closing" if state & 2 else "open" if state & 1 else "closed"
        home = int(self.value["home"])
        return "fd %d, %s, %s, in %s, out %s" % (
            int(self.value["fd"]), words, "on loop %d" % (home - 1) if home else "on no loop",
            self.slot(0), self.slot(1))


def make_printers():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("whorl")
    printers.add_printer("task", "^whorl_task$", TaskPrinter)
    printers.add_printer("future", "^whorl_future$", FuturePrinter)
    printers.add_printer("loop", "^whorl__loop$", LoopPrinter)
    printers.add_printer("record", "^whorl__record$", RecordPrinter)
    return printers


gdb.printing.register_pretty_printer(None, make_printers(), replace=True)
InfoTasks()
TaskCommand()
TaskApply()
