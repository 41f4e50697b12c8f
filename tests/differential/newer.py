#!/usr/bin/env python3
"""asyncio_side.py on Python 3.13 or newer, with what that one has of its own.

Plays the programs on standard input: with asyncio's own timeouts, wait_for, uncancel, as_completed,
eager tasks and task groups in the place of what REPLACED says is of a newer version. Only sets are
given the order that asyncio leaves open. What a row of the catalogue says otherwise stays replaced.
"""
import asyncio
import asyncio.tasks
import asyncio.timeouts
import sys

import asyncio_side
import asyncio_sync


class Ordered(dict):
    """A set that is gone through in the order in which it was filled."""

    def add(self, one):
        self[one] = True

    def remove(self, one):
        del self[one]

    def discard(self, one):
        self.pop(one, None)


class Completed(asyncio.tasks._AsCompletedIterator):
    """As it is made by asyncio, but for the set."""

    def __init__(self, futures, timeout):
        loop = asyncio.get_running_loop()
        self._cur_task = asyncio.current_task()
        self._done = asyncio.Queue()
        self._todo = Ordered.fromkeys(futures)
        self._todo_left = len(self._todo)
        self._timeout_handle = None
        for future in self._todo:
            future.add_done_callback(self._handle_completion)
        if self._todo and timeout is not None:
            self._timeout_handle = loop.call_later(timeout, self._handle_timeout)

    @property
    def to_serve(self):
        return self._todo_left

    async def next(self):
        return await anext(self)


class Maker:
    """Stands for the coroutine that create_task is given: makes the task, or is closed."""

    def __init__(self, make):
        self.make = make

    def close(self):
        pass


class MakerLoop:
    """Of a group: its children are made by a Maker."""

    def __init__(self, loop):
        self.loop = loop

    def create_task(self, maker, **_):
        return maker.make()

    def __getattr__(self, name):
        return getattr(self.loop, name)


class Group(asyncio.TaskGroup):
    """With the names that asyncio_side uses."""

    def __init__(self):
        super().__init__()
        self._tasks = Ordered()

    async def __aenter__(self):
        await super().__aenter__()
        self._loop = MakerLoop(self._loop)
        return self

    def add(self, make):
        try:
            self.create_task(Maker(make))
        except RuntimeError:
            return False
        return True

    async def __aexit__(self, *how):
        try:
            return await super().__aexit__(*how)
        except BaseExceptionGroup as group:
            raise asyncio_side.GroupFailure(list(group.exceptions)) from None


def eager(loop, coroutine):
    return asyncio_side.Task(coroutine, loop=loop, eager_start=True)


# What whorl calls the errors of locks and queues.
NAMES = {asyncio.QueueFull: "EAGAIN", asyncio.QueueEmpty: "EAGAIN", ValueError: "EOVERFLOW",
         RuntimeError: "EPERM"}


def refused(error):
    return asyncio_sync.Refused(NAMES.get(type(error), "ESHUTDOWN"))


def named(cls, waiting, acting):
    """The same with its errors named. QueueShutDown is of 3.13."""
    def wrap_waiting(method):
        async def call(self, *args):
            try:
                return await method(self, *args)
            except (asyncio.QueueShutDown, *NAMES) as error:
                raise refused(error) from error
        return call

    def wrap_acting(method):
        def call(self, *args):
            try:
                return method(self, *args)
            except (asyncio.QueueShutDown, *NAMES) as error:
                raise refused(error) from error
        return call

    methods = {name: wrap_waiting(getattr(cls, name)) for name in waiting}
    methods |= {name: wrap_acting(getattr(cls, name)) for name in acting}
    return type(cls.__name__, (cls,), methods)


def own_kinds():
    """asyncio_sync.KINDS by this Python; the index of a barrier stays replaced (BAR-13)."""
    asyncio_sync.Condition = named(asyncio.Condition, ("wait",), ("notify",))
    queues = [named(cls, ("put", "get"), ("put_nowait", "get_nowait", "task_done"))
              for cls in (asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue)]
    return dict(asyncio_sync.KINDS, semaphore=asyncio.Semaphore,
                bounded=named(asyncio.BoundedSemaphore, (), ("release",)),
                **dict(zip(("queue", "lifo", "priority"), queues)))


def main():
    asyncio_sync.KINDS = own_kinds()
    asyncio_side.Timeout = asyncio.timeouts.Timeout
    asyncio_side.wait_for = asyncio.wait_for
    asyncio_side.completed = Completed
    asyncio_side.Group = Group
    asyncio_side.eager = eager
    del asyncio_side.Task.uncancel
    asyncio_side.main()


if __name__ == "__main__":
    sys.exit(main())
