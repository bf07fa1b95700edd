# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Broadcast, watch, oneshot and stages as users write them; checked, not run."""

import math
from collections.abc import AsyncIterator
from typing import assert_type

from routines import (
    BroadcastSender,
    Receiver,
    Sender,
    Subscription,
    WatchReceiver,
    WatchSender,
    broadcast,
    oneshot,
    select,
    stages,
    watch,
)


async def broadcasting() -> None:
    tx: BroadcastSender[int]
    first: Subscription[int]
    tx, first = broadcast(16)
    tx, first = broadcast(math.inf, lossless=True)
    sender: Sender[int] = tx
    receiver: Receiver[int] = first
    await sender.send(1)
    assert_type(await receiver.recv(), int)
    second = tx.subscribe()
    assert_type(second, Subscription[int])
    assert_type(second.clone(), Subscription[int])
    assert_type(await second.recv_many(3), list[int])
    assert_type(await select().recv(first).recv(second, str).run(), int | str)
    async for value in second:
        assert_type(value, int)


async def watching() -> None:
    tx, rx = watch("initial")
    assert_type(tx, WatchSender[str])
    assert_type(rx, WatchReceiver[str])
    await tx.send("next")
    assert_type(tx.value, str)
    assert_type(rx.value, str)
    assert_type(await rx.changed(), str)
    assert_type(tx.subscribe(), WatchReceiver[str])
    async with rx.clone() as twin:
        async for value in twin:
            assert_type(value, str)


async def replying() -> None:
    ends: tuple[Sender[bytes], Receiver[bytes]] = oneshot()
    await ends[0].send(b"")
    assert_type(await ends[1].recv(), bytes)


async def staging(numbers: Receiver[int], texts: Subscription[str], tx: Sender[int]) -> None:
    async def halve(number: int) -> float:
        return number / 2

    async def count() -> AsyncIterator[bytes]:
        yield b""

    assert_type(stages.merge(numbers, numbers), Receiver[int])
    assert_type(stages.map(halve, numbers, workers=3), Receiver[float])
    assert_type(stages.map(len, texts, ordered=False), Receiver[int])
    assert_type(stages.filter(lambda text: len(text) > 3, texts), Receiver[str])
    assert_type(stages.batch(texts, 10, within=0.5), Receiver[list[str]])
    assert_type(stages.throttle(numbers, 100, per=60), Receiver[int])
    assert_type(stages.pipe(count(), capacity=3), Receiver[bytes])
    assert_type(await stages.into(numbers, tx), int)
    assert_type(await stages.collect(texts), list[str])
