"""Plays programs of program_language.h on python3's own asyncio, with a clock of its own.

What is asyncio's: the loop's pass (BaseEventLoop), futures, tasks, sleep, wait, shield.
Debian's Python is older than the one that is the model (3.14). Where the two differ, or where asyncio
leaves an order open, there is a small re-implementation here, each in the table REPLACED.
"""
import asyncio
import asyncio.futures
import asyncio.tasks
import contextvars
import json
import sys

import asyncio_sync

REPLACED = {
    # Younger than Debian's Python: version and change.
    "Task.uncancel": "3.13, gh-116720: the last uncancel withdraws a request that was not delivered",
    "Timeout": "3.11.4 (Debian has 3.11.2), gh-102780: the base is the count of requests at the "
               "entry",
    "wait_for": "3.12, gh-96764: in place, on a timeout block",
    "gather": "3.12, gh-104144: children that are done are counted before the gather is returned",
    "eager": "3.12, gh-97696: a task that begins at once",
    "completed": "3.13, gh-77714: as_completed tells which one it is",
    "Group": "3.13, gh-116720: a cancel from outside is kept beside an error; 3.14, gh-128588: the "
             "end of a child is told by a done callback also if it ended at once; 3.15, gh-108951: "
             "cancel(), and gh-155433: a cancel from outside is kept beside the group's own",
    # asyncio leaves it open.
    "clock": "time is played: the poll jumps to the next timer; one unit is a millisecond",
    "Timer": "timers of equal time fire in the order in which they were made (TIME-4)",
    "order of sets": "children of a group are cancelled in the order in which they were added, and "
                     "futures that are done come out of as_completed in the order given",
    # A row of the catalogue says it otherwise than CPython does it.
    "gather, cancelled": "it ends when all children have, and as cancelled (GATH-9, GATH-10; CPython: "
                         "without return_exceptions with the first child), with the message of the "
                         "cancel (GATH-19; CPython: of the child that stands last)",
    "Group, requests of before": "those that were met before the block do not count at its end (TG-29, "
                                 "which asks for a base; CPython: all count), and its own cancel does "
                                 "not outlive the block then (MT-15, TG-26)",
    "Group, error of the block": "it is in the group error also if the group had cancelled itself and "
                                 "a cancel came from outside (TG-7, TG-20; CPython 3.15: lost)",
    "cancel message": "everyone who awaits a cancelled task sees it (CANC-23; CPython: the first one)",
    # C has no exceptions (head of the catalogue: to raise is to return an error).
    "GroupFailure": "several errors stand for the first one",
    "Task.met": "a task that ends cancelled has the message of the cancel that it met last: -ECANCELED "
                "is a number, and cannot say which of two it is",
}

LATE_MAX = 5  # so often the main task is cancelled before all are

ERRORS = ("ENOENT", "EIO", "EBADF", "EPIPE")


class Failure(Exception):
    """An error of the program, by its name."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class Stuck(Exception):
    """Nobody can go on: a mistake of this side, since the root always has a timer."""


# ---- the loop ----


class Timer(asyncio.TimerHandle):
    """Ordered by time, then by when it was made."""

    __slots__ = ("number",)
    count = 0

    def __init__(self, when, callback, args, loop, context=None):
        super().__init__(when, callback, args, loop, context)
        Timer.count += 1
        self.number = Timer.count

    def __lt__(self, other):
        return (self._when, self.number) < (other._when, other.number)


class Selector:
    """Has no descriptors: a poll that would sleep moves the clock."""

    def __init__(self):
        self.now = 0

    def select(self, timeout):
        if timeout is None:
            raise Stuck()
        self.now += timeout
        return []


class Loop(asyncio.BaseEventLoop):
    """The base loop with a played clock. Times are whole milliseconds."""

    def __init__(self):
        super().__init__()
        self._selector = Selector()
        self._clock_resolution = 0.5  # less than one unit: due is what is due now
        self.set_task_factory(lambda loop, coro, **kw: Task(coro, loop=loop, **kw))

    def time(self):
        return self._selector.now

    def create_future(self):
        return Future(loop=self)

    def call_at(self, when, callback, *args, context=None):
        timer = Timer(when, callback, args, self, context)
        import heapq
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


class Future(asyncio.futures._PyFuture):
    """A future whose cancel message is there for everyone who awaits it."""

    def _make_cancelled_error(self):
        return cancelled_error(self)


class Task(asyncio.tasks._PyTask):
    """Python's own task, with what came after 3.11."""

    met = ()  # the arguments of the cancel it met last

    def _make_cancelled_error(self):
        if self._cancelled_exc is not None:
            return asyncio.CancelledError(*self.met)
        return cancelled_error(self)

    deliveries = 0

    def _Task__step(self, exc=None):
        self.deliveries += self._must_cancel or isinstance(exc, asyncio.CancelledError)
        if isinstance(exc, asyncio.CancelledError):
            self.met = exc.args
        elif self._must_cancel:
            self.met = () if self._cancel_message is None else (self._cancel_message,)
        super()._Task__step(exc)

    pending = 0  # requests since it ran last

    def cancelled_before(self):
        """Requests that are not pending any more."""
        if not self._must_cancel:
            self.pending = 0
        return max(self.cancelling() - self.pending, 0)

    def cancel(self, msg=None):
        if not self._must_cancel:
            self.pending = 0
        asked = super().cancel(msg)
        self.pending += asked and self._must_cancel
        return asked

    def uncancel(self):
        left = super().uncancel()
        if left == 0:
            self._must_cancel = False
        return left


def cancelled_error(future):
    """The error as it was, if there was one, else one with the message of the cancel."""
    first = future._cancelled_exc
    if first is not None:
        message = first.args
    else:
        message = () if future._cancel_message is None else (future._cancel_message,)
    return asyncio.CancelledError(*message)


# ---- what came after 3.11 ----


class Timeout:
    """A deadline over a block."""

    def __init__(self, when):
        self.when = when
        self.timer = None
        self.state = "created"

    def reschedule(self, when):
        if self.state != "open":
            raise RuntimeError("not open")
        self.when = when
        self.disarm()
        if when is None:
            return
        loop = asyncio.get_running_loop()
        if when <= loop.time():
            self.timer = loop.call_soon(self.expire)
        else:
            self.timer = loop.call_at(when, self.expire)

    def disarm(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def expire(self):
        self.state = "expiring"
        self.timer = None
        self.task.cancel()

    def expired(self):
        return self.state in ("expiring", "expired")

    async def __aenter__(self):
        self.task = asyncio.current_task()
        self.baseline = self.task.cancelling()
        self.state = "open"
        self.reschedule(self.when)
        return self

    async def __aexit__(self, kind, error, trace):
        self.disarm()
        if self.state != "expiring":
            self.state = "left"
            return
        self.state = "expired"
        alone = self.task.uncancel() <= self.baseline
        if alone and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error


async def release_when_cancelled(future):
    """Cancels a future and waits for its end, without being cancelled in its place."""
    ended = asyncio.get_running_loop().create_future()

    def release(_):
        if not ended.done():
            ended.set_result(None)

    future.add_done_callback(release)
    try:
        future.cancel()
        await ended
    finally:
        future.remove_done_callback(release)


async def wait_for(future, timeout):
    """In the caller's task."""
    if timeout is not None and timeout <= 0:
        if future.done():
            return future.result()
        await release_when_cancelled(future)
        try:
            return future.result()
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    when = None if timeout is None else asyncio.get_running_loop().time() + timeout
    async with Timeout(when):
        return await future


class Group:
    """A task group."""

    def __init__(self):
        self.children = {}  # in the order in which they were added
        self.errors = []
        self.waiter = None
        self.ending = self.aborting = self.asked_parent = False

    def add(self, make):
        """False: it takes no more. make() makes the child."""
        if self.aborting or (self.ending and not self.children):
            return False
        child = make()
        self.children[child] = True
        child.add_done_callback(self.child_done)
        return True

    def abort(self):
        self.aborting = True
        for child in list(self.children):
            if not child.done():
                child.cancel()

    def cancel(self):
        if not self.aborting and not (self.ending and not self.children):
            self.abort()
            self.ask_parent()

    def ask_parent(self):
        if not self.asked_parent:
            self.asked_parent = True
            self.parent.cancel()
            self.asked_at = self.parent.deliveries

    def own_cancel_is_pending(self):
        """And no other is."""
        return (self.parent._must_cancel and self.parent.pending == 1 and
                self.asked_at == self.parent.deliveries)

    def child_done(self, child):
        del self.children[child]
        if not self.children and self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
        if child.cancelled() or child.exception() is None:
            return
        self.errors.append(child.exception())
        if not self.aborting:
            self.abort()
            self.ask_parent()

    async def __aenter__(self):
        self.parent = asyncio.current_task()
        self.baseline = self.parent.cancelled_before()
        return self

    async def __aexit__(self, kind, error, trace):
        self.ending = True
        cancelled = error if isinstance(error, asyncio.CancelledError) else None
        if error is not None and not self.aborting:
            self.abort()
        late = None
        met = self.parent.met
        while self.children:
            self.waiter = asyncio.get_running_loop().create_future()
            try:
                await self.waiter
            except asyncio.CancelledError as another:
                late = another
                if not self.aborting:
                    cancelled = late
                    met = late.args
                    self.abort()
        if cancelled is not None:
            self.parent.met = met
        if self.asked_parent:
            if self.own_cancel_is_pending():
                self.parent._must_cancel = False
            if self.parent.uncancel() <= self.baseline:
                cancelled = None
            elif cancelled is None:
                cancelled = late
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self.errors.append(error)
        if cancelled is not None and not self.errors:
            raise cancelled
        if self.errors:
            if self.parent.cancelling() > self.baseline:
                self.parent.uncancel()
                self.parent.cancel()
            raise GroupFailure(self.errors)
        return True


class GroupFailure(Exception):
    """Several errors; in whorl's way it stands for the first."""

    def __init__(self, errors):
        super().__init__()
        self.errors = errors


class completed:
    """An iteration over futures as they end."""

    def __init__(self, futures, timeout):
        self.done = asyncio.Queue()
        self.left = dict.fromkeys(futures)
        self.to_serve = len(self.left)
        self.timer = None
        for future in self.left:
            future.add_done_callback(self.ended)
        if timeout is not None and self.left:
            self.timer = asyncio.get_running_loop().call_later(timeout, self.late)

    def ended(self, future):
        if future not in self.left:
            return
        del self.left[future]
        self.done.put_nowait(future)
        if not self.left and self.timer is not None:
            self.timer.cancel()

    def late(self):
        for future in self.left:
            future.remove_done_callback(self.ended)
            self.done.put_nowait(None)
        self.left.clear()

    async def next(self):
        self.to_serve -= 1
        future = await self.done.get()
        if future is None:
            raise TimeoutError
        return future


def eager(loop, coroutine):
    """Takes the first step out of the queue and makes it at once."""
    task = loop.create_task(coroutine)
    first = loop._ready.pop()
    creator = asyncio.current_task()
    if creator is not None:
        asyncio.tasks._leave_task(loop, creator)
    try:
        first._run()
    finally:
        if creator is not None:
            asyncio.tasks._enter_task(loop, creator)
    return task


class Gathering(asyncio.futures._PyFuture):
    """The future of a gather: a cancel is for the children, and then decides how it ends."""

    def __init__(self, children, loop):
        super().__init__(loop=loop)
        self.children = children
        self.asked = None  # the cancel, once a child took it

    def cancel(self, msg=None):
        if self.done():
            return False
        took = any([child.cancel(msg=msg) for child in self.children])
        if took:
            self.asked = asyncio.CancelledError(*(() if msg is None else (msg,)))
        return took


def gather(children, return_exceptions):
    loop = asyncio.get_running_loop()
    distinct = list(dict.fromkeys(children))
    outer = Gathering(children, loop)
    left = len(distinct)

    def report(child):
        nonlocal left
        left -= 1
        failure = failure_of(child)
        if outer.done():
            return
        if failure is not None and not return_exceptions and outer.asked is None:
            outer.set_exception(failure)
        elif left == 0 and outer.asked is not None:
            outer.set_exception(outer.asked)
        elif left == 0:
            outer.set_result([failure_of(c) or c.result() for c in children])

    for child in distinct:
        if not child.done():
            child.add_done_callback(report)
    for child in distinct:
        if child.done():
            report(child)
    if not distinct:
        outer.set_result([])
    return outer


def failure_of(future):
    """Its error, a cancel too; None for a success."""
    if future.cancelled():
        return cancelled_error(future)
    return future.exception()


# ---- the program ----


def read(text):
    """The declarations of one program: name -> (kind, steps)."""
    things = {}
    body = None
    stack = []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "program":
            continue
        if words[0] in ("task", "future", "callback"):
            body = []
            things[words[1]] = (words[0], body)
            stack = []
        elif words[0] in asyncio_sync.KINDS:
            things[words[1]] = (words[0], int(words[2]))
        elif words[0] == "end":
            body = stack.pop()
        elif words[0] == "cleanup":
            stack_step = stack[-1][-1]
            body = stack_step[3]
        else:
            step = (words[0], words[1:], [], [], line.strip())
            body.append(step)
            if words[0] in BLOCKS:
                stack.append(body)
                body = step[2]
    return things


WHEN = {"all": asyncio.ALL_COMPLETED, "first": asyncio.FIRST_COMPLETED,
        "exception": asyncio.FIRST_EXCEPTION}
BLOCKS = ("timeout", "timeout_at", "try", "try_error", "ensure", "group", "with")


def number(word):
    return None if word == "never" else int(word)


class Pairs:
    """Which constructs have met: one inside the other, or begun while another task is in the other."""

    def __init__(self):
        self.nested = set()
        self.racing = set()
        self.actors = set()

    def met(self, actor, word):
        self.nested.update((outer, word) for outer in actor.open)
        for other in self.actors:
            if other is not actor:
                self.racing.update((outer, word) for outer in other.open[1:])


class Actor(asyncio_sync.Steps):
    """A task or callback of the program."""

    def __init__(self, world, name, kind="task"):
        self.world = world
        self.name = name
        self.value = 0
        self.open = [kind]  # the blocks it is in, and the step it performs

    @staticmethod
    def text_of_error(error):
        return text_of_error(error)

    def say(self, what, outcome=""):
        line = f"{self.world.loop.time()} {self.name}: {what}"
        self.world.trace.append(f"{line} {outcome}" if outcome else line)

    async def perform(self, steps):
        """True: a return was met."""
        for step in steps:
            self.world.pairs.met(self, step[0])
            self.open.append(step[0])
            try:
                if await getattr(self, "step_" + step[0])(step, *step[1]):
                    return True
            finally:
                self.open.pop()
        return False

    async def body(self, steps):
        self.say("begins")
        self.world.pairs.actors.add(self)
        try:
            await self.perform(steps)
        except BaseException as error:
            self.say("ends", text_of_error(error))
            raise
        finally:
            self.world.pairs.actors.discard(self)
        self.say("ends", f"= {self.value}")
        return self.value

    # -- waiting --

    async def tell(self, step, waiting, has_value=True):
        try:
            value = await waiting
        except Exception as error:
            self.say(step[4], text_of_error(error))
            raise
        except asyncio.CancelledError as error:
            asyncio.current_task().met = error.args  # of a future that was done it is not told
            self.say(step[4], text_of_error(error))
            raise
        self.say(step[4], "= " + text_of_value(value) if has_value else "done")

    async def step_yield(self, step):
        await self.tell(step, asyncio.sleep(0), False)

    async def step_sleep(self, step, ms):
        await self.tell(step, asyncio.sleep(int(ms)), False)

    async def step_await(self, step, name):
        future = self.world.find(name)
        if future is None:
            return self.say(step[4], "absent")
        await self.tell(step, plain(future))

    async def step_wait_for(self, step, name, ms):
        future = self.world.find(name)
        if future is None:
            return self.say(step[4], "absent")
        await self.tell(step, wait_for(future, number(ms)))

    # -- tasks and futures --

    async def step_spawn(self, step, name):
        self.say(step[4], "" if self.world.spawn(name) else "again")

    def make(self, step, name, future):
        if name in self.world.futures or self.world.kind(name) == "task":
            self.say(step[4], "again")
        else:
            self.world.futures[name] = future
            self.say(step[4])

    async def step_gather(self, step, name, *names):
        self.make(step, name, gather(self.world.find_all(names), False))

    async def step_gather_all(self, step, name, *names):
        self.make(step, name, gather(self.world.find_all(names), True))

    async def step_shield(self, step, name, inner):
        future = self.world.find(inner)
        if future is None:
            return self.say(step[4], "absent")
        self.make(step, name, asyncio.shield(future))

    async def step_wait(self, step, when, ms, *names):
        names = [n for n in names if self.world.find(n) is not None]
        futures = self.world.find_all(names)
        if not futures:
            return self.say(step[4], "absent")
        waiting = asyncio.wait(futures, timeout=number(ms), return_when=WHEN[when])
        try:
            done, _ = await waiting
        except asyncio.CancelledError as error:
            self.say(step[4], text_of_error(error))
            raise
        self.say(step[4], " ".join(["="] + [n for n, f in zip(names, futures) if f in done]))

    async def step_each(self, step, ms, *names):
        names = [n for n in names if self.world.find(n) is not None]
        futures = self.world.find_all(names)
        served = completed(futures, number(ms))
        while served.to_serve > 0:
            try:
                future = await served.next()
            except (asyncio.CancelledError, TimeoutError) as error:
                self.say(step[4], text_of_error(error))
                raise
            self.say(step[4], "= " + names[futures.index(future)])
        self.say(step[4], "all")

    async def step_eager(self, step, name):
        self.say(step[4], "" if self.world.spawn(name, eager) else "again")

    async def step_add(self, step, name, child):
        group = self.world.groups.get(name)
        if group is None:
            return self.say(step[4], "absent")
        if self.world.kind(child) != "task" or child in self.world.tasks:
            return self.say(step[4], "again")
        self.say(step[4], "" if group.add(lambda: self.world.make_task(child)) else "refused")

    async def step_cancel_group(self, step, name):
        group = self.world.groups.get(name)
        if group is None:
            return self.say(step[4], "absent")
        group.cancel()
        self.say(step[4])

    # -- callbacks --

    def call(self, step, name, make):
        if self.world.kind(name) != "callback" or name in self.world.handles:
            return self.say(step[4], "again")
        self.world.handles[name] = make(self.world.callback, name)
        self.say(step[4])

    async def step_soon(self, step, name):
        self.call(step, name, self.world.loop.call_soon)

    async def step_later(self, step, name, ms):
        self.call(step, name, lambda f, n: self.world.loop.call_later(int(ms), f, n))

    async def step_drop(self, step, name):
        handle = self.world.handles.get(name)
        if handle is None:
            return self.say(step[4], "absent")
        handle.cancel()
        self.say(step[4])

    async def step_done(self, step, name, callback):
        future = self.world.find(name)
        if future is None or self.world.kind(callback) != "callback":
            return self.say(step[4], "absent")
        future.add_done_callback(self.world.done_callback(callback))
        self.say(step[4])

    async def step_undone(self, step, name, callback):
        future = self.world.find(name)
        if future is None or self.world.kind(callback) != "callback":
            return self.say(step[4], "absent")
        count = future.remove_done_callback(self.world.done_callback(callback))
        self.say(step[4], f"= {count}")

    async def step_cancel(self, step, name, message=None):
        future = self.world.find(name)
        if future is None:
            return self.say(step[4], "absent")
        self.say(step[4], "= asked" if future.cancel(message) else "= not asked")

    async def step_uncancel(self, step, name):
        task = self.world.tasks.get(name)
        self.say(step[4], "absent" if task is None else f"= {task.uncancel()}")

    async def step_cancelling(self, step, name):
        task = self.world.tasks.get(name)
        self.say(step[4], "absent" if task is None else f"= {task.cancelling()}")

    def complete(self, step, name, do):
        if self.world.kind(name) != "future":
            return self.say(step[4], "absent")
        try:
            do(self.world.futures[name])
        except asyncio.InvalidStateError:
            return self.say(step[4], "already")
        self.say(step[4])

    async def step_set(self, step, name, value):
        self.complete(step, name, lambda future: future.set_result(int(value)))

    async def step_fail(self, step, name, error):
        self.complete(step, name, lambda future: future.set_exception(error_of(error)))

    async def step_state(self, step, name):
        future = self.world.find(name)
        self.say(step[4], "absent" if future is None else text_of_state(future))

    async def step_put(self, step, name, value):
        self.world.local(name).set(int(value))
        self.say(step[4])

    async def step_get(self, step, name):
        self.say(step[4], f"= {self.world.local(name).get()}")

    async def step_raise(self, step, name):
        self.say(step[4])
        raise error_of(name)

    async def step_return(self, step, value):
        self.value = int(value)
        return True

    # -- blocks --

    async def in_block(self, step, block, opened):
        result = False
        try:
            async with block:
                opened[step[1][0]] = block
                self.say(step[4])
                try:
                    result = await self.perform(step[2])
                finally:
                    opened.pop(step[1][0], None)
        except BaseException as error:
            self.say("end of " + step[4], text_of_error(error))
            raise
        self.say("end of " + step[4], "left")
        return result

    async def step_timeout(self, step, _, ms):
        when = None if ms == "never" else self.world.loop.time() + int(ms)
        return await self.in_block(step, Timeout(when), self.world.timeouts)

    async def step_timeout_at(self, step, _, ms):
        return await self.in_block(step, Timeout(number(ms)), self.world.timeouts)

    async def step_group(self, step, name):
        group = Group()
        result = False
        try:
            async with group:
                self.world.groups[name] = group
                self.say(step[4])
                result = await self.perform(step[2])
        except BaseException as error:
            listed = [name_of_error(e) for e in getattr(error, "errors", ())]
            self.say("end of " + step[4],
                     text_of_error(error) + (f" ({' '.join(listed)})" if listed else ""))
            raise
        finally:
            self.world.groups.pop(name, None)
        self.say("end of " + step[4], "left")
        return result

    async def step_reschedule(self, step, name, ms):
        block = self.world.timeouts.get(name)
        if block is None:
            return self.say(step[4], "absent")
        try:
            block.reschedule(None if ms == "never" else self.world.loop.time() + int(ms))
        except RuntimeError:
            return self.say(step[4], "refused")
        self.say(step[4])

    async def step_expired(self, step, name):
        block = self.world.timeouts.get(name)
        self.say(step[4], "absent" if block is None else "= yes" if block.expired() else "= no")

    async def step_try(self, step):
        try:
            return await self.perform(step[2])
        except (Exception, asyncio.CancelledError) as error:
            self.say("caught", text_of_error(error))

    async def step_try_error(self, step):
        try:
            return await self.perform(step[2])
        except Exception as error:
            self.say("caught", text_of_error(error))

    async def step_ensure(self, step):
        result = False
        try:
            result = await self.perform(step[2])
        finally:
            value = self.value
            self.open.append("cleanup")
            try:
                await self.perform(step[3])
            finally:
                self.open.pop()
            self.value = value
        return result


async def plain(future):
    """An await of the future itself, of no coroutine around it: costs no pass."""
    return await future


def error_of(name):
    return asyncio.CancelledError() if name == "ECANCELED" else Failure(name)


def text_of_error(error):
    if isinstance(error, asyncio.CancelledError):
        return " ".join(("! cancelled",) + error.args)
    return "! " + name_of_error(error)


def name_of_error(error):
    if isinstance(error, asyncio.CancelledError):
        return "ECANCELED"
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    if isinstance(error, GroupFailure):
        return name_of_error(error.errors[0])
    if isinstance(error, (Failure, asyncio_sync.Refused)):
        return error.name
    if isinstance(error, RuntimeError) and "await on itself" in str(error):
        return "EDEADLK"
    raise error


def text_of_value(value):
    if isinstance(value, BaseException):
        return name_of_error(value)
    if not isinstance(value, list):
        return str(value)
    return "[" + " ".join(map(text_of_value, value)) + "]"


def text_of_state(future):
    if not future.done():
        return "= pending"
    if future.cancelled():
        return "! cancelled, cancelled"
    error = future.exception()
    return "= " + text_of_value(future.result()) if error is None else bare(error)


def bare(error):
    """An error as it stands in a future, without a message."""
    return "! cancelled" if isinstance(error, asyncio.CancelledError) else text_of_error(error)


class World:
    """All that one program has made."""

    def __init__(self, loop, things, pairs):
        self.loop = loop
        self.things = things
        self.pairs = pairs
        self.trace = []
        self.tasks = {}
        self.futures = {}
        self.timeouts = {}
        self.groups = {}
        self.handles = {}
        self.done_callbacks = {}
        self.locals = {}
        self.tools = {}

    def local(self, name):
        if name not in self.locals:
            self.locals[name] = contextvars.ContextVar(name, default=0)
        return self.locals[name]

    def kind(self, name):
        return self.things.get(name, (None,))[0]

    def find(self, name):
        return self.tasks.get(name) or self.futures.get(name)

    def find_all(self, names):
        return [f for f in map(self.find, names) if f is not None]

    def spawn(self, name, create=None):
        if self.kind(name) != "task" or name in self.tasks:
            return False
        self.make_task(name, create)
        return True

    def make_task(self, name, create=None):
        body = Actor(self, name).body(self.things[name][1])
        if create is None:
            self.tasks[name] = self.loop.create_task(body)
        else:
            self.tasks[name] = None  # it is there, for those who would spawn it, and has no handle
            self.tasks[name] = create(self.loop, body)
        return self.tasks[name]

    def callback(self, name):
        """A body that does not wait is over after one step."""
        actor = Actor(self, name, "callback")
        actor.say("called")
        body = actor.perform(self.things[name][1])
        try:
            body.send(None)
        except StopIteration:
            return
        raise RuntimeError("a callback that waits")

    def done_callback(self, name):
        if name not in self.done_callbacks:
            self.done_callbacks[name] = lambda future: self.callback(name)
        return self.done_callbacks[name]

    async def root(self):
        for name, (kind, what) in self.things.items():
            if kind == "future":
                self.futures[name] = self.loop.create_future()
            elif kind in asyncio_sync.KINDS:
                self.tools[name] = asyncio_sync.KINDS[kind](what)
        self.spawn("main")
        until = 1000
        while True:
            await asyncio.sleep(until - self.loop.time())
            if self.tasks["main"].done() or until == LATE_MAX * 1000:
                break
            self.tasks["main"].cancel("late")
            until += 1000
        for _ in range(100):
            # A list: everyone is asked, in the order of declaration.
            if not any([self.tasks[n].cancel("end") for n in self.things if self.tasks.get(n)]):
                break
            await asyncio.sleep(10)
        for name in self.things:
            if name in self.tasks:
                self.say_end(name, self.tasks[name])

    def say_end(self, name, task):
        if not task.done():
            outcome = "it has not ended"
        elif task.cancelled():
            outcome = "! cancelled, cancelled"
        else:
            error = task.exception()
            outcome = (f"= {task.result()}" if error is None else bare(error)) + ", done"
        Actor(self, name).say("after all", f"{outcome}, {task.cancelling()} requests")


def play(text, pairs=None):
    """The trace of one program, as a list of lines."""
    loop = Loop()
    loop.set_exception_handler(lambda loop, context: None)
    pairs = pairs or Pairs()
    pairs.actors.clear()
    world = World(loop, read(text), pairs)
    try:
        loop.run_until_complete(world.root())
    finally:
        loop.close()
    return world.trace


def split(text):
    """The programs of a text that holds several."""
    programs = []
    for line in text.splitlines(keepends=True):
        if line.startswith("program "):
            programs.append("")
        programs[-1] += line
    return programs


def main():
    pairs = Pairs()
    for text in split(sys.stdin.read()):
        print(text.splitlines()[0])
        print("\n".join(play(text, pairs)))
    json.dump({"nested": sorted(pairs.nested), "racing": sorted(pairs.racing)}, sys.stderr)


if __name__ == "__main__":
    main()
