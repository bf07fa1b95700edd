"""Locks, wait groups and groups on `routines`, as the contestant "routines" does them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from routines import Mutex, WaitGroup, go, group, yield_now

CONTENDERS = 10


async def mutex(count: int) -> None:
    """Lock and unlock `count` times what nobody else wants."""
    lock = Mutex()
    for _ in range(count):
        async with lock:
            pass


async def contend(lock: Mutex, count: int) -> None:
    """Lock `count` times, each time giving way while holding it."""
    for _ in range(count):
        async with lock:
            await yield_now()


async def mutex_contended(count: int) -> None:
    """Lock and unlock `count` times in all from ten routines, nine of which wait."""
    lock = Mutex()
    contenders = [go(contend, lock, count // CONTENDERS) for _ in range(CONTENDERS)]
    for contender in contenders:
        await contender


async def nothing() -> None:
    """End at once."""


async def wait_group(count: int) -> None:
    """Start `count` routines and wait until the last of them is done."""
    wg = WaitGroup()
    for _ in range(count):
        wg.go(nothing)
    await wg.wait()


async def wait_group_by_hand(count: int) -> None:
    """The same, counted up and down by hand, as in Go before 1.25."""
    wg = WaitGroup()

    async def work() -> None:
        wg.done()

    for _ in range(count):
        wg.add(1)
        go(work)
    await wg.wait()


async def group_all(count: int) -> None:
    """Start `count` routines in a block that waits for them."""
    async with group() as g:
        for _ in range(count):
            g.go(nothing)


WORKLOADS: dict[str, Callable[[int], Awaitable[Any]]] = {
    work.__name__: work for work in (mutex, mutex_contended, wait_group, wait_group_by_hand, group_all)
}
