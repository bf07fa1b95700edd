"""Broadcast on asyncio: a queue for each subscriber, which is what its users write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

SUBSCRIBERS = 100
BUFFERED = 64


async def listen(queue: asyncio.Queue[int | None]) -> int:
    """Get values until there is None, and return the last."""
    last = -1
    while (value := await queue.get()) is not None:
        last = value
    return last


async def broadcast_100(count: int) -> None:
    """Make `count` deliveries to a hundred subscribers."""
    queues: list[asyncio.Queue[int | None]] = [asyncio.Queue(BUFFERED) for _ in range(SUBSCRIBERS)]
    listeners = [asyncio.create_task(listen(queue)) for queue in queues]
    for i in range(count // SUBSCRIBERS):
        for queue in queues:
            await queue.put(i)
    for queue in queues:
        await queue.put(None)
    for each in listeners:
        assert await each == count // SUBSCRIBERS - 1


WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {"broadcast_100": broadcast_100}
