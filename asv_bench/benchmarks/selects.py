"""Select and the selector: what is ready, what has to wait, and what was called off."""

from __future__ import annotations

import asyncio
from typing import Any

from .common import LOOPS, MESSAGES, OnLoop, routines


def received(value: int) -> int:
    """Handle a value."""
    return value


async def produce_in_turn(senders: list[Any], count: int) -> None:
    """Send the ints below `count`, to one channel after the other."""
    ways = len(senders)
    for i in range(count):
        await senders[i % ways].send(i)


class Ready(OnLoop):
    """One of two channels has a value, or none has and there is a default."""

    needs = ("channel", "go", "select")
    number = 1  # the values that are there are used up by one call

    def prepare(self) -> None:
        """Put MESSAGES values into one of the channels."""
        self.silent_tx, self.silent = routines.channel()
        self.tx, self.rx = routines.channel(MESSAGES)
        for i in range(MESSAGES):
            self.tx.try_send(i)

    def time_direct(self, _loop: str) -> None:
        """MESSAGES selects in the direct form."""
        self.run(self.direct())

    def time_builder(self, _loop: str) -> None:
        """MESSAGES selects in the builder's form, with a handler for each case."""
        self.run(self.build())

    def time_default(self, _loop: str) -> None:
        """MESSAGES selects that take the default."""
        self.run(self.poll())

    async def direct(self) -> None:
        """Do the work of `time_direct`."""
        for _ in range(MESSAGES):
            await routines.select(self.silent, self.rx)

    async def build(self) -> None:
        """Do the work of `time_builder`."""
        for _ in range(MESSAGES):
            await routines.select().recv(self.silent, received).recv(self.rx, received).run()

    async def poll(self) -> None:
        """Do the work of `time_default`."""
        for _ in range(MESSAGES):
            await routines.select(self.silent, self.silent, default=None)


class Blocked(OnLoop):
    """Every select waits for a value that comes over one of the channels in turn."""

    needs = ("channel", "go", "select")
    params = (LOOPS, [2, 10, 100])
    param_names = ("loop", "ways")

    def prepare(self, ways: int) -> None:
        """Make the channels."""
        ends = [routines.channel() for _ in range(ways)]
        self.senders = [tx for tx, _ in ends]
        self.receivers = [rx for _, rx in ends]

    def time_select(self, _loop: str, _ways: int) -> None:
        """MESSAGES selects."""
        self.run(self.wait())

    def time_select_with_timeout(self, _loop: str, _ways: int) -> None:
        """MESSAGES selects with a timeout that never comes."""
        self.run(self.wait(timeout=60.0))

    def time_select_from_tasks(self, _loop: str, _ways: int) -> None:
        """MESSAGES selects, all by asyncio's own tasks."""
        self.loop.run_until_complete(self.wait(start=asyncio.create_task))

    def time_cancelled(self, _loop: str, _ways: int) -> None:
        """A thousand selects that are cancelled while they wait."""
        self.run(self.call_off())

    async def wait(self, start: Any = None, **options: Any) -> None:
        """Do the work of the first three."""
        producer = (start or routines.go)(produce_in_turn(self.senders, MESSAGES))
        for _ in range(MESSAGES):
            await routines.select(*self.receivers, **options)
        await producer

    async def call_off(self) -> None:
        """Do the work of `time_cancelled`."""
        waiting = [routines.go(routines.select(*self.receivers, timeout=60.0)) for _ in range(1_000)]
        await routines.yield_now()
        for routine in waiting:
            routine.cancel()
        await asyncio.wait(waiting)


class Turns(OnLoop):
    """A `Selector`, whose registrations persist."""

    needs = ("channel", "go", "Selector")
    params = (LOOPS, [2, 1_000])
    param_names = ("loop", "ways")

    def prepare(self, ways: int) -> None:
        """Make the channels and register them."""
        ends = [routines.channel() for _ in range(ways)]
        self.senders = [tx for tx, _ in ends]
        self.selector = routines.Selector(*(rx for _, rx in ends))

    def time_next(self, _loop: str, _ways: int) -> None:
        """MESSAGES turns."""
        self.run(self.turn())

    async def turn(self) -> None:
        """Do the work of `time_next`."""
        producer = routines.go(produce_in_turn(self.senders, MESSAGES))
        for _ in range(MESSAGES):
            await self.selector.next()
        await producer


class Parked(OnLoop):
    """Memory of selects that wait."""

    needs = ("channel", "go", "select")

    def prepare(self) -> None:
        """Make two channels over which nothing comes."""
        self.ends = [routines.channel() for _ in range(2)]

    def peakmem_selects(self, _loop: str) -> None:
        """A hundred thousand routines in a select of two channels with a timeout."""
        self.run(self.park())

    async def park(self) -> None:
        """Do the work of `peakmem_selects`."""
        receivers = [rx for _, rx in self.ends]
        waiting = [routines.go(routines.select(*receivers, timeout=600.0)) for _ in range(100_000)]
        await routines.yield_now()
        for routine in waiting:
            routine.cancel()
        await asyncio.wait(waiting)
