"""Broadcast and watch on `routines`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from routines import Receiver, broadcast, go, watch

SUBSCRIBERS = 100
READERS = 10
BUFFERED = 64


async def listen(rx: Receiver[int]) -> int:
    """Receive until the channel is closed, and return the last value."""
    last = -1
    async for value in rx:
        last = value
    return last


async def broadcast_100(count: int) -> None:
    """Make `count` deliveries to a hundred subscribers, none of which misses a value."""
    tx, first = broadcast(BUFFERED, lossless=True)
    listeners = [go(listen(first)), *(go(listen(tx.subscribe())) for _ in range(SUBSCRIBERS - 1))]
    with tx:
        for i in range(count // SUBSCRIBERS):
            await tx.send(i)
    for each in listeners:
        assert await each == count // SUBSCRIBERS - 1


async def watch_10(count: int) -> None:
    """Change a value `count` times before ten readers, who may skip some and end with the last."""
    tx, first = watch(-1)
    readers = [go(listen(first)), *(go(listen(tx.subscribe())) for _ in range(READERS - 1))]
    with tx:
        for i in range(count):
            await tx.send(i)
    for each in readers:
        assert await each == count - 1


WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {
    "broadcast_100": broadcast_100,
    "watch_10": watch_10,
    "watch_10_million": watch_10,
}
