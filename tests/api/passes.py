"""How many passes of the loop each wait of test_passes.c costs in asyncio: one line a wait.

Each is measured as there: a ticker calls itself first in every pass; a callback makes the event,
and the passes from there until the waiting task goes on are the price. What is newer than Debian's
Python comes from ../differential/asyncio_side.py, and the race from here.
"""
import asyncio
import contextlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "differential"))
from asyncio_side import Group, GroupFailure, Loop, Timeout, completed, wait_for  # noqa: E402


class Wait:
    """One wait: what ends it, and when the waiting task went on."""

    def __init__(self, loop, body, end):
        self.loop, self.body, self.end = loop, body, end
        self.ticks, self.stop = 0, False
        self.ended_at = self.resumed_at = None

    def tick(self):
        self.ticks += 1
        if not self.stop:
            self.loop.call_soon(self.tick)

    async def child_of_future(self):
        await self.future

    def begin_end(self):
        self.ended_at = self.ticks
        self.end(self)

    async def wait_here(self):
        self.ended_at = self.ticks  # until something ends it
        try:
            await self.body(self)
        except (asyncio.CancelledError, TimeoutError, GroupFailure, OSError):
            pass
        if self.resumed_at is None:
            self.resumed_at = self.ticks

    async def passes(self):
        self.loop.call_soon(self.tick)
        await asyncio.sleep(0)
        self.future = self.loop.create_future()
        self.never = self.loop.create_future()
        self.child = self.loop.create_task(self.child_of_future())
        await skip(2)
        self.waiter = self.loop.create_task(self.wait_here())
        await skip(4)
        if self.end is not None:
            self.loop.call_soon(self.begin_end)
        await skip(12)
        if not self.future.done():
            self.future.set_result(None)
        await asyncio.wait({self.waiter, self.child})
        self.stop = True
        await skip(2)
        return self.resumed_at - self.ended_at


async def skip(count):
    for _ in range(count):
        await asyncio.sleep(0)


# ---- what ends a wait ----


def give(wait):
    wait.future.set_result(None)


def fail(wait):
    wait.future.set_exception(OSError())


def cancel(wait):
    wait.waiter.cancel()


def cancel_group(wait):
    wait.group.cancel()


# ---- waits ----


async def done_future(wait):
    future = wait.loop.create_future()
    future.set_result(None)
    return future


async def wait_all(wait):
    await asyncio.wait({wait.future})


async def wait_first(wait):
    await asyncio.wait({wait.future, wait.never}, return_when=asyncio.FIRST_COMPLETED)


async def wait_exception(wait):
    await asyncio.wait({wait.future, wait.never}, return_when=asyncio.FIRST_EXCEPTION)


async def wait_child(wait):
    await asyncio.wait({wait.child})


async def wait_done(wait):
    await asyncio.wait({await done_future(wait)})


async def wait_no_time(wait):
    await asyncio.wait({wait.never}, timeout=0)


async def wait_for_nothing(wait):
    await wait_for(wait.future, 0)


async def wait_for_child_nothing(wait):
    await wait_for(wait.child, 0)


async def wait_for_child(wait):
    await wait_for(wait.child, 3600)


async def wait_for_done(wait):
    await wait_for(await done_future(wait), 0)


async def shield(wait):
    await asyncio.shield(wait.future)


async def shield_child(wait):
    await asyncio.shield(wait.child)


async def shield_done(wait):
    await asyncio.shield(await done_future(wait))


async def group_child(wait):
    async with Group() as group:
        group.add(lambda: wait.loop.create_task(wait.child_of_future()))


async def group_of_none(wait):
    async with Group():
        pass


async def group_ended(wait):
    async with Group() as group:
        group.add(lambda: wait.loop.create_task(asyncio.sleep(0)))
        await skip(4)
        wait.ended_at = wait.ticks


async def group_block(wait):
    async with Group() as wait.group:
        wait.group.add(lambda: wait.loop.create_task(wait.child_of_future()))
        await wait.never


async def group_new_child(wait):
    async with Group() as group:
        group.add(lambda: wait.loop.create_task(skip(0)))


async def each(wait):
    await completed([wait.future, wait.never], None).next()


async def each_child(wait):
    await completed([wait.child], None).next()


async def each_done(wait):
    await completed([await done_future(wait)], None).next()


async def each_without_time(wait):
    await completed([wait.future], 0).next()


async def rescheduled(wait):
    async with Timeout(None) as timeout:
        timeout.reschedule(0)
        await wait.future


async def nested(wait):
    async with Timeout(None):
        async with Timeout(0):
            await wait.future


async def race_one(wait):
    await staggered_race([wait.child_of_future], None)


async def race_next(wait):
    await staggered_race([wait.child_of_future, lambda: skip(0)], None)


async def items(wait):
    await wait.future
    yield 1


async def item(wait):
    await anext(items(wait))


async def numbers():
    yield 1
    yield 2


async def item_at_once(wait):
    await anext(numbers())


async def closing(wait):
    generator = numbers()
    await anext(generator)
    await generator.aclose()


async def cleaned(wait):
    try:
        yield 1
    finally:
        wait.resumed_at = wait.ticks


async def dropped(wait):
    generator = cleaned(wait)
    await anext(generator)
    del generator


async def all_closed(wait):
    generator = numbers()
    await anext(generator)
    await wait.loop.shutdown_asyncgens()


async def thread(wait, cancelled=False):
    """The loop's thread waits in a callback until the end of the function has been posted."""
    go = threading.Event()

    def end():
        wait.ended_at = wait.ticks
        ready = len(wait.loop._ready)
        go.set()
        while len(wait.loop._ready) == ready:
            time.sleep(0.001)
        if cancelled:
            wait.waiter.cancel()

    wait.loop.call_later(0, lambda: wait.loop.call_soon(end))
    await asyncio.to_thread(go.wait)


async def thread_cancelled(wait):
    await thread(wait, cancelled=True)


# ---- CPython 3.14's race ----


async def staggered_race(makers, delay):
    """As in asyncio.staggered, without the results."""
    loop = asyncio.get_running_loop()
    attempts = iter(makers)
    running = set()
    ended = cancelled = None

    def task_done(task):
        running.discard(task)
        if ended is not None and not ended.done() and not running:
            ended.set_result(None)

    def begin(failed_before):
        task = loop.create_task(run_one(failed_before))
        running.add(task)
        task.add_done_callback(task_done)

    async def run_one(failed_before):
        if failed_before is not None:
            with contextlib.suppress(TimeoutError):
                await wait_for(failed_before.wait(), delay)
        make = next(attempts, None)
        if make is None:
            return
        failed = asyncio.Event()
        begin(failed)
        try:
            await make()
        except (OSError, asyncio.CancelledError):
            failed.set()
        else:
            for task in running:
                if task is not asyncio.current_task():
                    task.cancel()

    begin(None)
    while running:
        ended = loop.create_future()
        try:
            await ended
        except asyncio.CancelledError as error:
            cancelled = error
            for task in running:
                task.cancel()
        ended = None
    if cancelled is not None:
        raise cancelled


# ---- the table ----

# name: what waits, and what ends it (None: it ends by itself)
WAITS = {
    "wait": (wait_all, give),
    "wait, the first": (wait_first, give),
    "wait, the first that fails": (wait_exception, fail),
    "wait for a child": (wait_child, give),
    "wait for what is done": (wait_done, None),
    "wait without time": (wait_no_time, None),
    "wait, cancelled": (wait_all, cancel),
    "wait_for a child": (wait_for_child, give),
    "wait_for, cancelled": (wait_for_child, cancel),
    "wait_for without time": (wait_for_nothing, None),
    "wait_for a child without time": (wait_for_child_nothing, None),
    "wait_for what is done": (wait_for_done, None),
    "first_of": (wait_first, give),
    "first_of, cancelled": (wait_first, cancel),
    "shield": (shield, give),
    "shield of a child": (shield_child, give),
    "shield of what is done": (shield_done, None),
    "shield, cancelled": (shield, cancel),
    "group of a child": (group_child, give),
    "group of a child that fails": (group_child, fail),
    "group of a new child": (group_new_child, None),
    "group of none": (group_of_none, None),
    "group of one that has ended": (group_ended, None),
    "group, cancelled": (group_child, cancel),
    "group, its block cancelled": (group_block, cancel),
    "group, its block and a failure": (group_block, fail),
    "group, group_cancel": (group_block, cancel_group),
    "as_completed": (each, give),
    "as_completed of a child": (each_child, give),
    "as_completed of what is done": (each_done, None),
    "as_completed, cancelled": (each, cancel),
    "as_completed without time": (each_without_time, None),
    "timeout, rescheduled to the past": (rescheduled, None),
    "timeout, an inner one": (nested, None),
    "race of one": (race_one, give),
    "race of one that fails": (race_one, fail),
    "race, the next one": (race_next, fail),
    "race, cancelled": (race_next, cancel),
    "generator, an item": (item, give),
    "generator, cancelled": (item, cancel),
    "generator, an item at once": (item_at_once, None),
    "generator, closed": (closing, None),
    "generator, dropped": (dropped, None),
    "generators, all closed": (all_closed, None),
    "to_thread": (thread, None),
    "to_thread, cancelled at its end": (thread_cancelled, None),
}


def main():
    for name, (body, end) in WAITS.items():
        loop = Loop()
        loop.set_exception_handler(lambda loop, context: None)
        print(f"{name}: {loop.run_until_complete(Wait(loop, body, end).passes())}")
        loop.close()


if __name__ == "__main__":
    main()
