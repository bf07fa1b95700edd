"""The workloads on asyncio: tasks, and `asyncio.Queue` for channels.

`Queue(1)` stands for an unbuffered channel: asyncio has nothing nearer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PRODUCERS = 10
WORKERS = 5
SPINNERS = 10
DEPTH = 10


async def produce(queue: asyncio.Queue[int], count: int) -> None:
    """Put the ints below `count`."""
    for i in range(count):
        await queue.put(i)


async def consume(queue: asyncio.Queue[int], count: int) -> int:
    """Get `count` ints and return the last."""
    value = -1
    for _ in range(count):
        value = await queue.get()
    return value


async def pipe(queue: asyncio.Queue[int], count: int) -> None:
    """Send `count` ints from one task to another."""
    producer = asyncio.create_task(produce(queue, count))
    consumer = asyncio.create_task(consume(queue, count))
    await producer
    assert await consumer == count - 1


async def unbuffered(count: int) -> None:
    """One value in the queue at most."""
    await pipe(asyncio.Queue(1), count)


async def capacity64(count: int) -> None:
    """Sixty-four values in the queue at most."""
    await pipe(asyncio.Queue(64), count)


async def reflect(ping: asyncio.Queue[int], pong: asyncio.Queue[int], count: int) -> None:
    """Send each of `count` values back."""
    for _ in range(count):
        await pong.put(await ping.get())


async def serve(ping: asyncio.Queue[int], pong: asyncio.Queue[int], count: int) -> int:
    """Send `count` ints, await the answer to each, return the last answer."""
    value = -1
    for i in range(count):
        await ping.put(i)
        value = await pong.get()
    return value


async def ping_pong(count: int) -> None:
    """Make `count` round trips between two tasks."""
    ping: asyncio.Queue[int] = asyncio.Queue(1)
    pong: asyncio.Queue[int] = asyncio.Queue(1)
    reflector = asyncio.create_task(reflect(ping, pong, count))
    server = asyncio.create_task(serve(ping, pong, count))
    await reflector
    assert await server == count - 1


async def many_to_one(count: int) -> None:
    """Send `count` ints in all from ten producers to one consumer."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    share = count // PRODUCERS
    producers = [asyncio.create_task(produce(queue, share)) for _ in range(PRODUCERS)]
    consumer = asyncio.create_task(consume(queue, share * PRODUCERS))
    for producer in producers:
        await producer
    await consumer


async def feed(jobs: asyncio.Queue[int | None], count: int) -> None:
    """Put `count` jobs, then tell each worker that there are no more."""
    for i in range(count):
        await jobs.put(i)
    for _ in range(WORKERS):
        await jobs.put(None)


async def work(jobs: asyncio.Queue[int | None], results: asyncio.Queue[int]) -> None:
    """Answer jobs until there are no more."""
    while (job := await jobs.get()) is not None:
        await results.put(job + 1)


async def fan_out_fan_in(count: int) -> None:
    """Pass `count` ints from a producer through five workers to a collector."""
    jobs: asyncio.Queue[int | None] = asyncio.Queue(1)
    results: asyncio.Queue[int] = asyncio.Queue(1)
    feeder = asyncio.create_task(feed(jobs, count))
    workers = [asyncio.create_task(work(jobs, results)) for _ in range(WORKERS)]
    collector = asyncio.create_task(consume(results, count))
    await feeder
    for worker in workers:
        await worker
    await collector


async def nothing() -> None:
    """End at once."""


async def spawn(count: int) -> None:
    """Start `count` tasks and wait for their ends: they start in order, so for the last one's."""
    for _ in range(count):
        task = asyncio.create_task(nothing())
    await task


async def spin(switches: int) -> None:
    """Give way `switches` times."""
    for _ in range(switches):
        await asyncio.sleep(0)


async def descend(depth: int, switches: int) -> None:
    """Give way `switches` times below `depth` awaiting coroutines."""
    if depth > 1:
        await descend(depth - 1, switches)
    else:
        await spin(switches)


async def yielding(count: int) -> None:
    """Make `count` switches among ten tasks."""
    spinners = [asyncio.create_task(spin(count // SPINNERS)) for _ in range(SPINNERS)]
    for spinner in spinners:
        await spinner


async def deep_chain(count: int) -> None:
    """Make `count` switches among ten tasks, each below ten awaits."""
    spinners = [asyncio.create_task(descend(DEPTH, count // SPINNERS)) for _ in range(SPINNERS)]
    for spinner in spinners:
        await spinner


WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {
    work.__name__: work
    for work in (
        unbuffered,
        capacity64,
        ping_pong,
        many_to_one,
        fan_out_fan_in,
        spawn,
        yielding,
        deep_chain,
    )
}
