"""A chat server over asyncio's streams: one room, everybody hears everybody.

The room is a routine, and everything that happens comes to it over one channel: so there is no lock, and all hear the lines in the
same order. Each member has an outbox with a bound, which the room fills without ever waiting: who does not read is disconnected, and
nobody else notices. The end comes in order too: nobody is let in any more, the outboxes are closed, what is in them still goes out.

    python examples/chat_server.py                  # a demonstration with some clients of its own
    python examples/chat_server.py --serve 5000     # until Ctrl-C; try: nc 127.0.0.1 5000
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, TypeAlias

from routines import (
    Aborted,
    Channel,
    ChannelClosed,
    Receiver,
    Sender,
    SendError,
    Timeout,
    channel,
    go,
    run,
    select,
    sleep,
)

OUTBOX = 64
"""Lines that a member may be behind."""

PATIENCE = 2.0
"""Seconds for what is on its way when the server ends."""

SECONDS_PER_FRAME = 0.1


class Joined(NamedTuple):
    """Somebody came in; their `answer` gets the outbox, or is closed where the name is taken."""

    name: str
    answer: Sender[Receiver[str]]


class Said(NamedTuple):
    """Somebody said something."""

    name: str
    text: str


class Left(NamedTuple):
    """Somebody has gone."""

    name: str


Event: TypeAlias = Joined | Said | Left


class Room:
    """Who is here, and what they hear. Only the routine `run` touches it."""

    def __init__(self) -> None:
        self.members: dict[str, Sender[str]] = {}
        self.said = 0
        self.delivered = 0
        self.dropped: list[str] = []

    async def run(self, events: Receiver[Event]) -> None:
        """Serve what comes, one after the other, until nobody can come any more."""
        try:
            async for event in events:
                match event:
                    case Joined(name, answer):
                        self.let_in(name, answer)
                    case Said(name, "/who"):
                        self.tell(name, "here are " + ", ".join(sorted(self.members)))
                    case Said(name, text) if name in self.members:
                        self.said += 1
                        self.tell_all(f"{name}: {text}")
                    case Left(name) if name in self.members:
                        self.members.pop(name).close()
                        self.tell_all(f"* {name} has left")
                    case Said() | Left():  # of somebody who is not here any more
                        pass
        finally:
            for outbox in self.members.values():
                outbox.close()
            self.members.clear()

    def let_in(self, name: str, answer: Sender[Receiver[str]]) -> None:
        """Give them an outbox, unless there is one by that name."""
        with answer:
            if name in self.members:
                return
            outbox: Sender[str]
            outgoing: Receiver[str]
            outbox, outgoing = channel(OUTBOX)
            answer.try_send(outgoing)
            self.members[name] = outbox
        self.tell_all(f"* {name} has joined")

    def tell(self, name: str, line: str) -> bool:
        """Put a line into an outbox; a member whose outbox is full, or gone, is one no longer."""
        try:
            self.members[name].try_send(line)
        except (SendError, ChannelClosed) as error:
            self.members.pop(name).close(error)
            self.dropped.append(name)
            return False
        self.delivered += 1
        return True

    def tell_all(self, line: str) -> None:
        """Put a line into every outbox. Nobody is waited for."""
        lost = [name for name in list(self.members) if not self.tell(name, line)]
        for name in lost:
            self.tell_all(f"* {name} has been lost")


class Server:
    """Connections, and the events that they make."""

    def __init__(self, room: Room, events: Sender[Event]) -> None:
        self.room = room
        self.events = events
        self.connections: set[asyncio.Task[None]] = set()

    async def handle(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection, from its first line, the name, to its end."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            with suppress(ConnectionError, ChannelClosed):
                await self.converse(reader, writer)
        finally:
            self.connections.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Let them in, then listen and talk at the same time, until one of both ends."""
        writer.write(b"your name?\n")
        name = (await reader.readline()).decode(errors="replace").strip()
        if not name:
            return
        answer: Sender[Receiver[str]]
        answered: Receiver[Receiver[str]]
        answer, answered = channel(1)
        await self.events.send(Joined(name, answer))
        outbox, free = await answered.recv_ok()
        if outbox is None or not free:
            writer.write(b"that name is taken\n")
            return
        listening, talking = go(self.listen, name, reader), go(talk, outbox, writer)
        try:
            # Listening ends with the connection, talking with the outbox: too slow, or the end of the server.
            await select(listening, talking)
        finally:
            listening.abort("the connection is over")
            with suppress(ChannelClosed):
                await self.events.send(Left(name))  # which closes the outbox
            with suppress(Timeout, ConnectionError):
                await talking.join(PATIENCE)  # what is in it still goes out
            talking.abort("too slow for the end")
            for routine in (listening, talking):
                with suppress(Aborted, ConnectionError, ChannelClosed):
                    await routine.join()

    async def listen(self, name: str, reader: StreamReader) -> None:
        """Pass on what they say, until they hang up or say /quit."""
        async for raw in reader:
            text = raw.decode(errors="replace").strip()
            if text == "/quit":
                return
            if text:
                await self.events.send(Said(name, text))


async def talk(outbox: Receiver[str], writer: StreamWriter) -> None:
    """Write what is in the outbox, all that is there at once, until it is closed."""
    with outbox:
        async for lines in outbox.batches(OUTBOX):
            writer.write("".join(f"{line}\n" for line in lines).encode())
            await writer.drain()


@asynccontextmanager
async def served(room: Room, port: int = 0) -> AsyncGenerator[int, None]:
    """Serve the room on loopback; gives the port. Afterwards everybody is gone, and has read everything or had the time to."""
    events: Sender[Event]
    happening: Receiver[Event]
    events, happening = channel(OUTBOX)
    running = go(room.run, happening)
    server = Server(room, events)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", port)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        events.close()  # the room closes the outboxes, and each connection ends when its own is empty
        await running.join()
        if server.connections:
            _, late = await asyncio.wait(server.connections, timeout=2 * PATIENCE)
            for task in late:
                task.cancel()
        await listener.wait_closed()


class Status:
    """A line on the terminal that says how it goes; nothing in a pipe."""

    def __init__(self, room: Room) -> None:
        self.room = room

    async def draw(self) -> None:
        """Draw until aborted."""
        try:
            while True:
                room = self.room
                words = f"{len(room.members)} here, {room.said:,} lines said, {room.delivered:,} delivered, {len(room.dropped)} lost"
                print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
                await sleep(SECONDS_PER_FRAME)
        finally:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def shown(self) -> AsyncGenerator[None, None]:
        """Draw while the block runs, if anybody can see it."""
        drawing = go(self.draw) if sys.stderr.isatty() else None
        try:
            yield
        finally:
            if drawing is not None:
                drawing.abort("the end")
                with suppress(Aborted):
                    await drawing.join()


# -- clients, for the demonstration


async def visit(port: int, name: str, lines: int, everybody: Channel[None], expected: int) -> list[str]:
    """Join, wait for everybody, say so many lines, and leave after `expected` lines; returns those."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard: list[str] = []
    try:
        await reader.readline()
        writer.write(f"{name}\n".encode())
        while (await reader.readline()).decode().strip() != f"* {name} has joined":
            pass
        await everybody.send(None)
        await everybody.wait_closed()  # closed when all are here
        said = 0
        while len(heard) < expected:
            # As people do: the next line after one's last was heard.
            if said < lines and said == sum(line.startswith(f"{name}:") for line in heard):
                writer.write(f"line {said}\n".encode())
                said += 1
            line = (await reader.readline()).decode().strip()
            if not line:
                break
            if not line.startswith("*"):
                heard.append(line)
        writer.write(b"/quit\n")
        await writer.drain()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return heard


class Outcome(NamedTuple):
    """What came of the demonstration."""

    heard: dict[str, list[str]]
    room: Room


async def main(clients: int = 20, lines: int = 20) -> Outcome:
    """What each client heard, and the room as it was in the end."""
    room = Room()
    async with served(room) as port, Status(room).shown():
        everybody: Channel[None] = Channel()
        visitors = {
            name: go(visit, port, name, lines, everybody, clients * lines)
            for name in (f"guest-{number}" for number in range(clients))
        }
        for _ in visitors:
            await everybody.recv()
        everybody.close()
        return Outcome({name: await visitor.join() for name, visitor in visitors.items()}, room)


async def serve(port: int) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    stop: Channel[None] = Channel()
    room = Room()
    with suppress(NotImplementedError):  # Windows, where Ctrl-C is a KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.close)
    async with served(room, port) as bound, Status(room).shown():
        print(f"listening on 127.0.0.1:{bound}", flush=True)
        await stop.wait_closed()
    print(f"{room.said:,} lines were said")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat server; without --serve, a demonstration.")
    parser.add_argument(
        "--serve", type=int, metavar="PORT", help="serve on this port of loopback; 0: a free one"
    )
    options = parser.parse_args()
    if options.serve is not None:
        with suppress(KeyboardInterrupt):
            run(serve(options.serve))
    else:
        outcome = run(main)
        print(
            f"{len(outcome.heard)} clients said {outcome.room.said:,} lines and heard {sum(map(len, outcome.heard.values())):,}"
        )
