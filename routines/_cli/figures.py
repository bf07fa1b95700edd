"""This machine's own figures: the same three jobs by routines and by asyncio, side by side.

Short and rough by intention: a few thousand operations a time, in turns, so that whatever else the
machine does meets both. `benchmarks/` in the repository measures at length, and against more.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import NamedTuple

from routines import Receiver, Sender, channel, go, run, yield_now

__all__ = ["Figure", "measure"]

ROUNDS = 5
SPAWNED_AT_ONCE = 1_000


class Figure(NamedTuple):
    """One line of the table: medians over the rounds, in nanoseconds per operation."""

    work: str
    routines_ns: float
    asyncio_ns: float

    @property
    def ratio(self) -> float:
        """How many times faster routines are."""
        return self.asyncio_ns / self.routines_ns


async def _nothing() -> None:
    pass


async def _hand_over_routines(count: int) -> None:
    sender: Sender[int]
    receiver: Receiver[int]
    sender, receiver = channel()

    async def produce() -> None:
        for number in range(count):
            await sender.send(number)

    producer = go(produce)
    for _ in range(count):
        await receiver.recv()
    await producer


async def _hand_over_asyncio(count: int) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(count):
            await queue.put(number)

    producer = asyncio.create_task(produce())
    for _ in range(count):
        await queue.get()
    await producer


async def _spawn_routines(count: int) -> None:
    for _ in range(count // SPAWNED_AT_ONCE):
        for started in [go(_nothing) for _ in range(SPAWNED_AT_ONCE)]:
            await started


async def _spawn_asyncio(count: int) -> None:
    for _ in range(count // SPAWNED_AT_ONCE):
        for started in [asyncio.create_task(_nothing()) for _ in range(SPAWNED_AT_ONCE)]:
            await started


async def _yield_routines(count: int) -> None:
    async def give_way() -> None:
        for _ in range(count // 2):
            await yield_now()

    # Two, so that each yield is a switch.
    other = go(give_way)
    await give_way()
    await other


async def _yield_asyncio(count: int) -> None:
    async def give_way() -> None:
        for _ in range(count // 2):
            await asyncio.sleep(0)

    other = asyncio.create_task(give_way())
    await give_way()
    await other


_Work = Callable[[int], Awaitable[None]]


class _Contest(NamedTuple):
    """The same work twice, each side with a count that takes some hundredths of a second."""

    work: str
    routines: _Work
    routines_count: int
    asyncio: _Work
    asyncio_count: int


_CONTESTS = [
    _Contest(
        "unbuffered hand-over (asyncio: Queue(1))",
        _hand_over_routines,
        100_000,
        _hand_over_asyncio,
        5_000,
    ),
    _Contest(
        "spawn, run, await (asyncio: create_task)",
        _spawn_routines,
        50_000,
        _spawn_asyncio,
        10_000,
    ),
    _Contest(
        "give way to another (asyncio: sleep(0))",
        _yield_routines,
        200_000,
        _yield_asyncio,
        20_000,
    ),
]


async def _timed(work: _Work, count: int) -> float:
    """Nanoseconds per operation, without the loop's own start and end."""
    gc.collect()
    started = time.perf_counter()
    await work(count)
    return (time.perf_counter() - started) * 1e9 / count


def measure(shrink: int = 1) -> list[Figure]:
    """Run every contest in turns, each side in a loop of its own kind, and take the medians.

    Args:
        shrink: do that many times less work, where the figures do not matter.
    """
    ours: dict[str, list[float]] = {contest.work: [] for contest in _CONTESTS}
    theirs: dict[str, list[float]] = {contest.work: [] for contest in _CONTESTS}
    for _ in range(ROUNDS):
        for contest in _CONTESTS:
            ours_timed = _timed(contest.routines, contest.routines_count // shrink)
            ours[contest.work].append(run(ours_timed))
            theirs_timed = _timed(contest.asyncio, contest.asyncio_count // shrink)
            theirs[contest.work].append(asyncio.run(theirs_timed))
    return [
        Figure(contest.work, median(ours[contest.work]), median(theirs[contest.work]))
        for contest in _CONTESTS
    ]
