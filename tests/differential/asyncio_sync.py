"""Locks and their like, and their steps, for asyncio_side.py.

What is asyncio's is used: Lock, Event, the queue's items, the barrier's states. What Debian's Python
has not, or does otherwise than the model (3.14), is re-implemented; REPLACED says what and why.
"""
import asyncio
import asyncio.locks

REPLACED = {
    "Semaphore": "3.12.1, gh-111693: who leaves wakes on while units are free",
    "Condition": "3.13, gh-112202: a wait that fails notifies one other; the cancel that is told is "
                 "the last one",
    "Queue": "3.13, gh-96471: shutdown",
    # A row of the catalogue says it otherwise than CPython does it.
    "Barrier, index": "no two of a round have the same (BAR-13)",
}


class Refused(Exception):
    """An error of one of these, by the name that whorl gives it."""

    def __init__(self, name):
        super().__init__()
        self.name = name


class Semaphore(asyncio.Semaphore):
    """Units in the order of arrival."""

    bound = None

    async def acquire(self):
        if not self.locked():
            self._value -= 1
            return
        mine = self._get_loop().create_future()
        line = self._waiters = self._waiters or asyncio.locks.collections.deque()
        line.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            self._value += mine.done() and not mine.cancelled()
            raise
        finally:
            line.remove(mine)
            while self._value > 0 and self.wake_one():
                pass

    def wake_one(self):
        for waiter in self._waiters or ():
            if not waiter.done():
                self._value -= 1
                waiter.set_result(True)
                return True
        return False

    def release(self):
        if self.bound is not None and self._value >= self.bound:
            raise Refused("EOVERFLOW")
        self._value += 1
        self.wake_one()


class BoundedSemaphore(Semaphore):
    """Takes back no more than it gave."""

    def __init__(self, value):
        super().__init__(value)
        self.bound = value


class Condition(asyncio.Condition):
    """Waiting for a notification, with a lock."""

    def wake(self, count):
        for waiter in self._waiters:
            if count > 0 and not waiter.done():
                waiter.set_result(False)
                count -= 1

    async def wait(self):
        if not self.locked():
            raise Refused("EPERM")
        failure = None
        mine = self._get_loop().create_future()
        self.release()
        self._waiters.append(mine)
        try:
            await mine
        except asyncio.CancelledError as error:
            failure = error
        self._waiters.remove(mine)
        while True:
            try:
                await self.acquire()
                break
            except asyncio.CancelledError as error:
                failure = error
        if failure is not None:
            self.wake(1)
            raise failure
        return True

    def notify(self, n=1):
        if not self.locked():
            raise Refused("EPERM")
        self.wake(n)


class Barrier(asyncio.Barrier):
    """So many meet; the index is by arrival among those who are there when the round is full."""

    def __init__(self, parties):
        super().__init__(parties)
        self._cond = Condition()
        self.arrivals = []

    async def wait(self):
        async with self._cond:
            await self._block()
            me = [None]
            self.arrivals.append(me)
            self._count += 1
            try:
                if self._count == self._parties:
                    for index, arrival in enumerate(self.arrivals):
                        arrival[0] = index
                    self.arrivals = []
                    await self._release()
                else:
                    await self._wait()
                return me[0]
            finally:
                self.arrivals = [other for other in self.arrivals if other is not me]
                self._count -= 1
                self._exit()


class Shutdown:
    """What a queue does of which 3.11 knows no shutdown. Mixed into each kind."""

    shut = False

    def put_nowait(self, item):
        if self.shut:
            raise Refused("ESHUTDOWN")
        if self.full():
            raise Refused("EAGAIN")
        super().put_nowait(item)

    def get_nowait(self):
        if self.empty():
            raise Refused("ESHUTDOWN" if self.shut else "EAGAIN")
        return super().get_nowait()

    async def wait_in(self, line, may_go_on):
        """Until it is woken; who was woken and cancelled wakes the next one."""
        mine = self._get_loop().create_future()
        line.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            mine.cancel()
            if mine in line:
                line.remove(mine)
            if may_go_on() and not mine.cancelled():
                self._wakeup_next(line)
            raise

    async def put(self, item):
        while self.full():
            if self.shut:
                raise Refused("ESHUTDOWN")
            await self.wait_in(self._putters, lambda: not self.full())
        self.put_nowait(item)

    async def get(self):
        while self.empty():
            if self.shut:
                raise Refused("ESHUTDOWN")
            await self.wait_in(self._getters, lambda: not self.empty())
        return self.get_nowait()

    def task_done(self):
        if self._unfinished_tasks == 0:
            raise Refused("EOVERFLOW")
        super().task_done()

    def shutdown(self, immediate):
        self.shut = True
        while immediate and not self.empty():
            self._get()
            self._unfinished_tasks -= self._unfinished_tasks > 0
        if immediate and self._unfinished_tasks == 0:
            self._finished.set()
        for line in (self._getters, self._putters):
            while line:
                self._wakeup_next(line)


class Queue(Shutdown, asyncio.Queue):
    """First in, first out."""


class LifoQueue(Shutdown, asyncio.LifoQueue):
    """Last in, first out."""


class PriorityQueue(Shutdown, asyncio.PriorityQueue):
    """Lowest first."""


KINDS = {
    "lock": lambda size: asyncio.Lock(),
    "semaphore": Semaphore,
    "bounded": BoundedSemaphore,
    "event": lambda size: asyncio.Event(),
    "condition": lambda size: Condition(),
    "barrier": Barrier,
    "queue": Queue,
    "lifo": LifoQueue,
    "priority": PriorityQueue,
}


class Steps:
    """The steps; mixed into asyncio_side.Actor."""

    withs = ()  # conditions whose block it is in, the innermost last

    def tool(self, name):
        return self.world.tools.get(name)

    def attempt(self, step, act):
        """A step that does not wait: what came of it is said, and no error raised."""
        try:
            value = act()
        except Refused as error:
            return self.say(step[4], "! " + error.name)
        except RuntimeError:
            return self.say(step[4], "! EPERM")
        self.say(step[4], "" if value is None else f"= {value}")

    # -- locks and semaphores --

    async def step_acquire(self, step, name):
        await self.tell(step, self.tool(name).acquire(), False)

    async def step_release(self, step, name):
        self.attempt(step, self.tool(name).release)

    async def step_try_acquire(self, step, name):
        tool = self.tool(name)
        taken = tool.locked() or not all(w.cancelled() for w in tool._waiters or ())
        if not taken:
            self.take(tool)
        self.say(step[4], "! EAGAIN" if taken else "")

    @staticmethod
    def take(tool):
        """What its acquire does when it need not wait."""
        try:
            tool.acquire().send(None)
        except StopIteration:
            return
        raise RuntimeError("it had to wait")

    async def step_locked(self, step, name):
        self.say(step[4], "= yes" if self.tool(name).locked() else "= no")

    async def step_with(self, step, name):
        tool = self.tool(name)
        result = False
        await self.tell(step, tool.acquire(), False)
        outer, self.withs = self.withs, (*self.withs, name)
        try:
            try:
                result = await self.perform(step[2])
            finally:
                self.withs = outer
                self.give_back(tool)
        except BaseException as error:
            self.say("end of " + step[4], self.text_of_error(error))
            raise
        self.say("end of " + step[4], "left")
        return result

    @staticmethod
    def give_back(tool):
        try:
            tool.release()
        except RuntimeError as error:
            raise Refused("EPERM") from error

    # -- conditions --

    async def step_wait_on(self, step, name):
        if not self.withs or self.withs[-1] != name:
            return self.say(step[4], "absent")
        await self.tell(step, self.tool(name).wait(), False)

    async def step_notify(self, step, name, count):
        self.attempt(step, lambda: self.tool(name).notify(int(count)))

    async def step_notify_all(self, step, name):
        self.attempt(step, lambda: self.tool(name).notify(1000))

    # -- events --

    async def step_wait_set(self, step, name):
        await self.tell(step, self.tool(name).wait(), False)

    async def step_set_event(self, step, name):
        self.attempt(step, self.tool(name).set)

    async def step_clear(self, step, name):
        self.attempt(step, self.tool(name).clear)

    async def step_is_set(self, step, name):
        self.say(step[4], "= yes" if self.tool(name).is_set() else "= no")

    # -- barriers --

    @staticmethod
    async def broken(waiting):
        try:
            return await waiting
        except asyncio.BrokenBarrierError as error:
            raise Refused("ENOTRECOVERABLE") from error

    async def step_meet(self, step, name):
        await self.tell(step, self.broken(self.tool(name).wait()))

    async def step_reset(self, step, name):
        await self.tell(step, self.tool(name).reset(), False)

    async def step_abort(self, step, name):
        await self.tell(step, self.tool(name).abort(), False)

    async def step_waiting(self, step, name):
        barrier = self.tool(name)
        self.say(step[4], f"= {barrier.n_waiting}{' broken' if barrier.broken else ''}")

    # -- queues --

    async def step_qput(self, step, name, value):
        await self.tell(step, self.tool(name).put(int(value)), False)

    async def step_qget(self, step, name):
        await self.tell(step, self.tool(name).get())

    async def step_qput_now(self, step, name, value):
        self.attempt(step, lambda: self.tool(name).put_nowait(int(value)))

    async def step_qget_now(self, step, name):
        self.attempt(step, self.tool(name).get_nowait)

    async def step_qdone(self, step, name):
        self.attempt(step, self.tool(name).task_done)

    async def step_qjoin(self, step, name):
        await self.tell(step, self.tool(name).join(), False)

    async def step_qshut(self, step, name):
        self.attempt(step, lambda: self.tool(name).shutdown(False))

    async def step_qshut_now(self, step, name):
        self.attempt(step, lambda: self.tool(name).shutdown(True))

    async def step_qsize(self, step, name):
        queue = self.tool(name)
        self.say(step[4], f"= {queue.qsize()}{' full' if queue.full() else ''}")
