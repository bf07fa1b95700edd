"""The workloads on `routines`: started with `go`, talking over channels.

`WORKLOADS` is for the contestant "routines", `TASK_WORKLOADS` for "tasks": plain asyncio tasks
that run the same coroutines over the same channels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from routines import Receiver, Sender, channel, go, yield_now

PRODUCERS = 10
WORKERS = 5
SPINNERS = 10
DEPTH = 10
BATCH = 64

Start = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]


async def produce(tx: Sender[int], count: int) -> None:
    """Send the ints below `count`."""
    for i in range(count):
        await tx.send(i)


async def consume(rx: Receiver[int], count: int) -> int:
    """Receive `count` ints and return the last."""
    value = -1
    for _ in range(count):
        value = await rx.recv()
    return value


async def pipe(capacity: int, count: int, start: Start) -> None:
    """Send `count` ints from one routine (or task) to another."""
    tx, rx = channel(capacity)
    producer = start(produce(tx, count))
    consumer = start(consume(rx, count))
    await producer
    assert await consumer == count - 1


async def unbuffered(count: int) -> None:
    """Hand over each value."""
    await pipe(0, count, go)


async def unbuffered_tasks(count: int) -> None:
    """Hand over each value, from one plain asyncio task to another."""
    await pipe(0, count, asyncio.create_task)


async def capacity64(count: int) -> None:
    """Sixty-four values in the channel at most."""
    await pipe(64, count, go)


async def produce_batches(tx: Sender[int], count: int) -> None:
    """Send the ints below `count`, sixty-four at a time."""
    for first in range(0, count, BATCH):
        await tx.send_many(range(first, first + BATCH))


async def consume_batches(rx: Receiver[int], count: int) -> int:
    """Receive `count` ints, up to sixty-four at a time, and return the last."""
    values = [-1]
    while count:
        values = await rx.recv_many(BATCH)
        count -= len(values)
    return values[-1]


async def batches64(count: int) -> None:
    """Send and receive in batches of sixty-four over a channel that holds one batch."""
    tx, rx = channel(BATCH)
    producer = go(produce_batches(tx, count))
    consumer = go(consume_batches(rx, count))
    await producer
    assert await consumer == count - 1


async def reflect(rx: Receiver[int], tx: Sender[int], count: int) -> None:
    """Send each of `count` values back."""
    for _ in range(count):
        await tx.send(await rx.recv())


async def serve(tx: Sender[int], rx: Receiver[int], count: int) -> int:
    """Send `count` ints, await the answer to each, return the last answer."""
    value = -1
    for i in range(count):
        await tx.send(i)
        value = await rx.recv()
    return value


async def ping_pong(count: int) -> None:
    """Make `count` round trips between two routines over two unbuffered channels."""
    ping_tx, ping_rx = channel()
    pong_tx, pong_rx = channel()
    reflector = go(reflect(ping_rx, pong_tx, count))
    server = go(serve(ping_tx, pong_rx, count))
    await reflector
    assert await server == count - 1


async def produce_and_close(tx: Sender[int], count: int) -> None:
    """Send the ints below `count`, then close this sender."""
    with tx:
        for i in range(count):
            await tx.send(i)


async def collect(rx: Receiver[int]) -> int:
    """Receive until the channel is closed and return how many values there were."""
    received = 0
    async for _ in rx:
        received += 1
    return received


async def many_to_one(count: int) -> None:
    """Send `count` ints in all from ten producers to one consumer, unbuffered."""
    tx, rx = channel()
    share = count // PRODUCERS
    with tx:
        for _ in range(PRODUCERS):
            go(produce_and_close(tx.clone(), share))
    assert await go(collect(rx)) == share * PRODUCERS


async def work(jobs: Receiver[int], results: Sender[int]) -> None:
    """Answer jobs until there are no more."""
    with results:
        async for job in jobs:
            await results.send(job + 1)


async def fan_out_fan_in(count: int) -> None:
    """Pass `count` ints from a producer through five workers to a collector, unbuffered."""
    jobs_tx, jobs_rx = channel()
    results_tx, results_rx = channel()
    go(produce_and_close(jobs_tx, count))
    with results_tx:
        for _ in range(WORKERS):
            go(work(jobs_rx.clone(), results_tx.clone()))
    assert await go(collect(results_rx)) == count


async def nothing() -> None:
    """End at once."""


async def spawn(count: int) -> None:
    """Start `count` routines and wait for their ends: they start in order, so for the last's."""
    for _ in range(count):
        routine = go(nothing())
    await routine


async def spin(switches: int) -> None:
    """Give way `switches` times."""
    for _ in range(switches):
        await yield_now()


async def descend(depth: int, switches: int) -> None:
    """Give way `switches` times below `depth` awaiting coroutines."""
    if depth > 1:
        await descend(depth - 1, switches)
    else:
        await spin(switches)


async def yielding(count: int) -> None:
    """Make `count` switches among ten routines."""
    spinners = [go(spin(count // SPINNERS)) for _ in range(SPINNERS)]
    for spinner in spinners:
        await spinner


async def deep_chain(count: int) -> None:
    """Make `count` switches among ten routines, each below ten awaits."""
    spinners = [go(descend(DEPTH, count // SPINNERS)) for _ in range(SPINNERS)]
    for spinner in spinners:
        await spinner


WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {
    work.__name__: work
    for work in (
        unbuffered,
        capacity64,
        batches64,
        ping_pong,
        many_to_one,
        fan_out_fan_in,
        spawn,
        yielding,
        deep_chain,
    )
}

START: Start = go
"""How "routines" starts the measuring itself, so that it is a routine as well."""

TASK_WORKLOADS: dict[str, Callable[[int], Awaitable[None]]] = {"unbuffered": unbuffered_tasks}
