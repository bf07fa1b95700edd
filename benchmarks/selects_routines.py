"""Select and timers on `routines`, as the contestant "routines" does them.

A workload that returns a number was timed by itself: nanoseconds in all, without what only prepares it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from routines import Receiver, Selector, Sender, channel, go, select, sleep, timeout

NAP = 0.010
"""Seconds that a sleeper sleeps."""


def received(value: int) -> int:
    """Handle a value that a select has received."""
    return value


async def filled(count: int) -> Receiver[int]:
    """A receiver of `count` values that are all there."""
    tx, rx = channel(count)
    await tx.send_many(range(count))
    return rx


async def select_ready(count: int) -> int:
    """Receive `count` values that are there, in the direct form, from one of two channels."""
    _silent_tx, silent = channel()
    rx = await filled(count)
    start = time.perf_counter_ns()
    for _ in range(count):
        chosen = await select(silent, rx)
    took = time.perf_counter_ns() - start
    assert chosen.value == count - 1
    return took


async def select_builder(count: int) -> int:
    """The same with the builder and a handler for each case."""
    _silent_tx, silent = channel()
    rx = await filled(count)
    start = time.perf_counter_ns()
    for _ in range(count):
        value = await select().recv(silent, received).recv(rx, received).run()
    took = time.perf_counter_ns() - start
    assert value == count - 1
    return took


async def select_default(count: int) -> None:
    """Take the default `count` times, as two channels have nothing."""
    _tx1, rx1 = channel()
    _tx2, rx2 = channel()
    for _ in range(count):
        await select(rx1, rx2, default=None)


async def produce(tx: Sender[int], count: int) -> None:
    """Send the ints below `count`."""
    for i in range(count):
        await tx.send(i)


async def produce_in_turn(senders: list[Sender[int]], count: int) -> None:
    """Send the ints below `count`, to one channel after the other."""
    ways = len(senders)
    for i in range(count):
        await senders[i % ways].send(i)


def open_channels(ways: int) -> tuple[list[Sender[int]], list[Receiver[int]]]:
    """As many unbuffered channels: their senders, their receivers."""
    ends = [channel() for _ in range(ways)]
    return [tx for tx, _ in ends], [rx for _, rx in ends]


async def select_blocked(count: int) -> None:
    """Wait for each of `count` values that come over one of two channels."""
    _silent_tx, silent = channel()
    tx, rx = channel()
    producer = go(produce(tx, count))
    for _ in range(count):
        chosen = await select(silent, rx)
    assert chosen.value == count - 1
    await producer


async def select_timeout(count: int) -> None:
    """The same, each time for a second at most."""
    _silent_tx, silent = channel()
    tx, rx = channel()
    producer = go(produce(tx, count))
    for _ in range(count):
        chosen = await select(silent, rx, timeout=1.0)
    assert chosen.value == count - 1
    await producer


async def select_blocked_in_turn(count: int, ways: int) -> None:
    """Wait for each of `count` values that come over `ways` channels in turn."""
    senders, receivers = open_channels(ways)
    producer = go(produce_in_turn(senders, count))
    for _ in range(count):
        chosen = await select(*receivers)
    assert chosen.value == count - 1
    await producer


async def select_blocked_10(count: int) -> None:
    """Wait for each of `count` values that come over ten channels in turn."""
    await select_blocked_in_turn(count, 10)


async def select_blocked_100(count: int) -> None:
    """The same over a hundred channels."""
    await select_blocked_in_turn(count, 100)


async def selector_turns(count: int, ways: int) -> int:
    """Wait with a `Selector` for each of `count` values that come over one of `ways` channels."""
    senders, receivers = open_channels(ways)
    producer = go(produce_in_turn(senders, count))
    selector = Selector(*receivers)
    start = time.perf_counter_ns()
    for _ in range(count):
        chosen = await selector.next()
    took = time.perf_counter_ns() - start
    assert chosen.value == count - 1
    await producer
    return took


async def selector_2(count: int) -> int:
    """Take turns over two channels."""
    return await selector_turns(count, 2)


async def selector_1000(count: int) -> int:
    """Take turns over a thousand channels."""
    return await selector_turns(count, 1_000)


async def timeout_unused(count: int) -> None:
    """Start and cancel `count` timeouts."""
    for _ in range(count):
        async with timeout(1.0):
            pass


async def nap(lateness: list[int]) -> None:
    """Sleep once and tell how much later than asked it went on."""
    due = time.monotonic_ns() + int(NAP * 1e9)
    await sleep(NAP)
    late = time.monotonic_ns() - due
    assert late >= 0
    lateness.append(late)


async def all_naps(count: int) -> list[int]:
    """Have `count` sleepers at once; how late each was."""
    lateness: list[int] = []
    sleepers = [go(nap(lateness)) for _ in range(count)]
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
        select_builder,
        select_default,
        select_blocked,
        select_blocked_10,
        select_blocked_100,
        select_timeout,
        selector_2,
        selector_1000,
        timeout_unused,
        sleepers_wall,
        sleepers_late,
    )
}
