"""The same on asyncio: `asyncio.Lock`, and `asyncio.TaskGroup` over tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

CONTENDERS = 10


async def mutex(count: int) -> None:
    """Lock and unlock `count` times what nobody else wants."""
    lock = asyncio.Lock()
    for _ in range(count):
        async with lock:
            pass


async def contend(lock: asyncio.Lock, count: int) -> None:
    """Lock `count` times, each time giving way while holding it."""
    for _ in range(count):
        async with lock:
            await asyncio.sleep(0)


async def mutex_contended(count: int) -> None:
    """Lock and unlock `count` times in all from ten tasks, nine of which wait."""
    lock = asyncio.Lock()
    contenders = [asyncio.create_task(contend(lock, count // CONTENDERS)) for _ in range(CONTENDERS)]
    for contender in contenders:
        await contender


async def nothing() -> None:
    """End at once."""


async def group_all(count: int) -> None:
    """Start `count` tasks in a block that waits for them."""
    async with asyncio.TaskGroup() as g:
        for _ in range(count):
            g.create_task(nothing())


WORKLOADS: dict[str, Callable[[int], Awaitable[Any]]] = {
    work.__name__: work for work in (mutex, mutex_contended, group_all)
}
