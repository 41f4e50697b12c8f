#!/usr/bin/env python3
"""200 people who chat: chat_clients.py CHAT LOOPS [kill] starts the server, and says what each of
them saw that he should not have seen.

Of every room all see the same lines in the same order, each once, from the moment they join: the
server numbers a room's lines, and a number that is missing, or twice, or belongs to two lines, is
one that was counted by two at a time. Some leave and come back, some cut their connection, one does
not read what he is sent and must be shown the door without anybody else being held up.
"""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys

ROOMS, PEOPLE, LINES = 10, 20, 10
TIME_LIMIT_S = 200
BURST, BURSTS_MAX = 50, 600
seen = {}  # (room, number): the line
failures = []


def failed(text):
    failures.append(text)


class Person:
    def __init__(self, name):
        self.name, self.room, self.last, self.heard = name, None, None, []

    async def connect(self, port, receive_bytes=0):
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        self.reader, self.writer = await asyncio.open_connection(sock=sock)
        self.send("/nick " + self.name)
        await self.wait_for("* you are " + self.name)

    def send(self, line):
        self.writer.write((line + "\n").encode())

    async def next_line(self):
        line = (await self.reader.readline()).decode().rstrip("\n")
        if not line:
            raise EOFError(self.name + ": the server has closed the connection")
        if line.startswith("*"):
            return line
        room, number, rest = line.split(" ", 2)
        self.check(room, int(number), line)
        return rest

    def check(self, room, number, line):
        if room != self.room:
            failed(f"{self.name} is in {self.room} and hears {line}")
        if self.last is not None and number != self.last + 1:
            failed(f"{self.name} hears {number} of {room} after {self.last}")
        if seen.setdefault((room, number), line) != line:
            failed(f"number {number} of {room} is two lines: {line}")
        self.last = number

    async def wait_for(self, wanted):
        while await self.next_line() != wanted:
            pass

    async def join(self, room):
        self.room, self.last = room, None
        self.send("/join " + room)
        await self.wait_for(self.name + " has joined")

    async def leave(self):
        self.send("/leave")
        await self.wait_for("* you are out")
        self.room = None

    async def quit(self):
        self.send("/quit")
        try:
            while True:
                await self.next_line()
        except (EOFError, ConnectionError):
            self.writer.close()

    def cut(self):
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


async def chat(person, number, room):
    """Says all his lines, hears them all; some are away meanwhile, some never come back."""
    for i in range(LINES):
        person.send(f"line {i}")
        await person.wait_for(f"{person.name} line {i}")
        if number % 7 == 3 and i == LINES // 2:
            await person.leave()
            await person.join(room)
        if number % 9 == 4 and i == LINES - 2:
            person.cut()
            return False
    return True


async def person(port, room_number, number, keepers):
    me = Person(f"p{room_number}.{number}")
    room = f"room{room_number}"
    await me.connect(port)
    await me.join(room)
    keepers[room_number].append(number)
    while sum(map(len, keepers)) < ROOMS * PEOPLE:  # all are there, and the first stays to the end
        me.send("/who")
        await me.wait_for("* that is all")
        await asyncio.sleep(0.02)
    if not await chat(me, number, room):
        return
    if number == 0:
        return me
    await me.quit()


async def crowd(port):
    keepers = [[] for _ in range(ROOMS)]
    stayed = await asyncio.gather(
        *(person(port, room, number, keepers) for room in range(ROOMS) for number in range(PEOPLE)))
    for me in filter(None, stayed):
        await me.quit()
    for room in range(ROOMS):
        said = [line for (name, _), line in seen.items() if name == f"room{room}"]
        for i in range(LINES - 1):
            heard = sum(line.endswith(f" line {i}") for line in said)
            if heard != PEOPLE:
                failed(f"room{room}: line {i} of {heard} people, not of {PEOPLE}")


async def slow_reader(port):
    talker, witness, slow = Person("talker"), Person("witness"), Person("slow")
    await talker.connect(port)
    await witness.connect(port)
    await slow.connect(port, 4096)
    for someone in talker, witness, slow:
        await someone.join("slowly")
    for burst in range(BURSTS_MAX):
        for i in range(BURST):
            talker.send(f"{burst}.{i} " + "x" * 400)
        last = f"talker {burst}.{BURST - 1} " + "x" * 400
        await talker.wait_for(last)
        while (line := await witness.next_line()) != last:
            if line == "slow has left":
                return [await someone.quit() for someone in (talker, witness)]
        talker.send("/who")
        there = []
        while (line := await talker.next_line()) != "* that is all":
            there.append(line)
        if "* here is slow" not in there:
            return [await someone.quit() for someone in (talker, witness)]
    failed("who does not read is never shown the door")


async def talk(port):
    await asyncio.wait_for(asyncio.gather(crowd(port), slow_reader(port)), TIME_LIMIT_S)


def start(chat, loops):
    """A shell that starts us in the background has SIGINT ignored, and chat is to end by it."""
    emulator = os.environ.get("WHORL_EMULATOR", "").split()
    return subprocess.Popen(emulator + [chat, "0", loops], stdout=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def main(chat, loops, end="interrupt"):
    server = start(chat, loops)
    try:
        words = server.stdout.readline().split()
        if len(words) != 2:
            return "chat does not say its port"
        asyncio.run(talk(int(words[1])))
        server.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGKILL)
        code = server.wait(30)
    finally:
        server.kill()
    for line in failures[:20]:
        print("FAILED:", line)
    if code != (0 if end == "interrupt" else -signal.SIGKILL):
        return f"chat ends with {code}"
    print(f"{ROOMS * PEOPLE + 3} people, {len(seen)} lines, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main(*sys.argv[1:]))
