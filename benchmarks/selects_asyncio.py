"""Select and timers as asyncio users write them today: `asyncio.wait` over tasks, `FIRST_COMPLETED`.

The gets that did not come first are cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

NAP = 0.010
"""Seconds that a sleeper sleeps."""


async def first_of(queues: Sequence[asyncio.Queue[int]], limit: float | None = None) -> int:
    """Get from whichever queue has a value first, the way a single select is written."""
    gets = [asyncio.create_task(queue.get()) for queue in queues]
    done, pending = await asyncio.wait(gets, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return done.pop().result()


async def select_ready(count: int) -> int:
    """Get `count` values that are there, from one of two queues."""
    silent: asyncio.Queue[int] = asyncio.Queue()
    queue: asyncio.Queue[int] = asyncio.Queue()
    for i in range(count):
        queue.put_nowait(i)
    start = time.perf_counter_ns()
    for _ in range(count):
        value = await first_of([silent, queue])
    took = time.perf_counter_ns() - start
    assert value == count - 1
    return took


async def produce_in_turn(queues: Sequence[asyncio.Queue[int]], count: int) -> None:
    """Put the ints below `count` into one queue after the other, each when the one before was taken."""
    for i in range(count):
        queue = queues[i % len(queues)]
        await queue.put(i)
        await queue.join()


async def select_blocked(count: int, ways: int = 1, limit: float | None = None) -> None:
    """Wait for each of `count` values that come over `ways` queues in turn, beside a silent one if there is but one."""
    busy: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(ways)]
    queues = [*busy, asyncio.Queue[int]()] if ways == 1 else busy
    producer = asyncio.create_task(produce_in_turn(busy, count))
    for i in range(count):
        assert await first_of(queues, limit) == i
        busy[i % ways].task_done()
    await producer


async def select_blocked_10(count: int) -> None:
    """Wait for each of `count` values that come over ten queues in turn."""
    await select_blocked(count, 10)


async def select_blocked_100(count: int) -> None:
    """The same over a hundred queues."""
    await select_blocked(count, 100)


async def select_timeout(count: int) -> None:
    """Wait for each of `count` values over two queues, each time for a second at most."""
    await select_blocked(count, limit=1.0)


async def timeout_unused(count: int) -> None:
    """Start and cancel `count` timers of the loop."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        loop.call_later(1.0, print).cancel()
    await asyncio.sleep(0)  # the loop drops the cancelled ones in its next turn


async def nap(lateness: list[int]) -> None:
    """Sleep once and tell how much later than asked it went on."""
    due = time.monotonic_ns() + int(NAP * 1e9)
    await asyncio.sleep(NAP)
    lateness.append(time.monotonic_ns() - due)


async def all_naps(count: int) -> list[int]:
    """Have `count` sleepers at once; how late each was."""
    lateness: list[int] = []
    sleepers = [asyncio.create_task(nap(lateness)) for _ in range(count)]
    for sleeper in sleepers:
        await sleeper
    return lateness


async def sleepers_wall(count: int) -> None:
    """How long `count` sleepers take in all, from the start of the first to the end of the last."""
    await all_naps(count)


async def sleepers_late(count: int) -> int:
    """How late half of `count` sleepers are at most."""
    lateness = sorted(await all_naps(count))
    return lateness[count // 2] * count


WORKLOADS: dict[str, Callable[[int], Awaitable[Any]]] = {
    work.__name__: work
    for work in (
        select_ready,
        select_blocked,
        select_blocked_10,
        select_blocked_100,
        select_timeout,
        timeout_unused,
        sleepers_wall,
        sleepers_late,
    )
}
