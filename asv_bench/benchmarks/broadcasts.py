"""Broadcast, watch and oneshot, by the number of receivers."""

from __future__ import annotations

from typing import Any

from .common import MESSAGES, OnLoop, routines


async def listen(rx: Any) -> None:
    """Receive until the channel is closed."""
    async for _ in rx:
        pass


class Broadcast(OnLoop):
    """MESSAGES deliveries in all, lossless."""

    needs = ("broadcast", "go")
    params = ([1, 10, 100], [1, 64])
    param_names = ("subscribers", "capacity")

    def time_deliver(self, subscribers: int, capacity: int) -> None:
        """Each subscriber in a routine of its own."""
        self.run(self.deliver(subscribers, capacity))

    async def deliver(self, subscribers: int, capacity: int) -> None:
        """Do the work of `time_deliver`."""
        tx, first = routines.broadcast(capacity, lossless=True)
        ends = [first, *(tx.subscribe() for _ in range(subscribers - 1))]
        listeners = [routines.go(listen(end)) for end in ends]
        with tx:
            for i in range(MESSAGES // subscribers):
                await tx.send(i)
        for each in listeners:
            await each

    def time_overwrite(self, subscribers: int, capacity: int) -> None:
        """Nobody reads."""
        tx, first = routines.broadcast(capacity)
        ends = [first, *(tx.subscribe() for _ in range(subscribers - 1))]
        for i in range(MESSAGES // subscribers):
            tx.try_send(i)
        assert len(ends[-1]) == min(capacity, MESSAGES // subscribers)


class Watch(OnLoop):
    """MESSAGES changes of a value."""

    needs = ("watch", "go")
    params = ([1, 10],)
    param_names = ("readers",)

    def time_change(self, readers: int) -> None:
        """Each reader in a routine of its own."""
        self.run(self.change(readers))

    async def change(self, readers: int) -> None:
        """Do the work of `time_change`."""
        tx, first = routines.watch(-1)
        ends = [first, *(tx.subscribe() for _ in range(readers - 1))]
        followers = [routines.go(listen(end)) for end in ends]
        with tx:
            for i in range(MESSAGES):
                await tx.send(i)
        for each in followers:
            await each


class Oneshot(OnLoop):
    """A channel for one value each time."""

    needs = ("oneshot",)

    def time_make_send_recv(self) -> None:
        """A thousand of them."""
        self.run(self.pass_on(1000))

    async def pass_on(self, count: int) -> None:
        """Do the work of `time_make_send_recv`."""
        for i in range(count):
            tx, rx = routines.oneshot()
            tx.try_send(i)
            await rx.recv()
