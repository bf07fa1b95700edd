# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Channels as users write them; checked, not run."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Literal, assert_type

from routines import Channel, ChannelStats, Receiver, Sender, channel, go


class Animal: ...


class Dog(Animal): ...


async def annotated_ends() -> None:
    tx: Sender[int]
    rx: Receiver[int]
    tx, rx = channel()
    tx, rx = channel(16)
    tx, rx = channel(capacity=math.inf)
    pair: tuple[Sender[str], Receiver[str]] = channel(1)

    operation: Coroutine[Any, Any, None] = tx.send(1)
    await operation
    tx.try_send(1)
    assert_type(await tx.send_many(range(3)), int)
    assert_type(await tx.send_many(number for number in range(3)), int)

    assert_type(await rx.recv(), int)
    assert_type(rx.try_recv(), int)
    assert_type(await rx.recv_ok(), tuple[int | None, bool])
    value, ok = await rx.recv_ok()
    assert_type(value, int | None)
    assert_type(ok, bool)
    assert_type(await rx.recv_many(10), list[int])

    assert_type(await pair[1].recv(), str)


async def iteration(rx: Receiver[str], ch: Channel[bytes]) -> None:
    async for text in rx:
        assert_type(text, str)
    async for data in ch:
        assert_type(data, bytes)
    async for texts in rx.batches(100):
        assert_type(texts, list[str])
    assert_type(ch.batches(100), AsyncIterator[list[bytes]])
    assert_type([text async for text in rx], list[str])
    assert_type(await anext(rx), str)


async def both_ends_in_one(ch: Channel[int]) -> None:
    assert_type(Channel[int](), Channel[int])
    other: Channel[float] = Channel(4)
    assert_type(await other.recv(), float)
    assert_type(ch.sender(), Sender[int])
    assert_type(ch.receiver(), Receiver[int])
    assert_type(ch.clone(), Channel[int])
    assert_type(ch.channel, Channel[int])
    await ch.send(1)
    ch.try_send(1)
    assert_type(await ch.send_many([1, 2]), int)
    assert_type(await ch.recv(), int)
    assert_type(ch.try_recv(), int)
    assert_type(await ch.recv_ok(), tuple[int | None, bool])
    assert_type(await ch.recv_many(2), list[int])
    ch.close(ValueError("why"))
    assert_type({ch: "may be a key"}, dict[Channel[int], str])


async def handles(tx: Sender[int], rx: Receiver[int]) -> None:
    assert_type(tx.clone(), Sender[int])
    assert_type(rx.clone(), Receiver[int])
    assert_type(tx.channel, Channel[int])
    assert_type(rx.channel, Channel[int])
    assert_type(tx.closed, bool)
    assert_type(len(rx), int)
    assert_type(rx.__bool__(), Literal[True])
    assert_type(rx.capacity, int | float)
    await tx.wait_closed()
    tx.close()
    rx.close(cause=None)
    with tx as sender, rx as receiver:
        assert_type(sender, Sender[int])
        assert_type(receiver, Receiver[int])
    async with tx as sender, rx as receiver:
        assert_type(sender, Sender[int])
        assert_type(receiver, Receiver[int])


def counters(rx: Receiver[int]) -> None:
    stats = rx.stats()
    assert_type(stats, ChannelStats)
    assert_type(
        (stats.sent, stats.received, stats.waiting_senders, stats.waiting_receivers),
        tuple[int, int, int, int],
    )
    assert_type((stats.senders, stats.receivers, stats.buffered), tuple[int, int, int])
    assert_type(stats.capacity, int | float)
    assert_type(stats.closed, bool)


async def feed_dogs(dogs: Sender[Dog]) -> None:
    await dogs.send(Dog())


async def watch_animals(animals: Receiver[Animal]) -> None:
    assert_type(await animals.recv(), Animal)


async def variance(
    animals_in: Sender[Animal], animals_out: Receiver[Animal], dogs_out: Receiver[Dog]
) -> None:
    # Who takes any animal takes dogs; who gives dogs gives animals.
    await feed_dogs(animals_in)
    await watch_animals(animals_out)
    await watch_animals(dogs_out)


async def operations_are_coroutines(tx: Sender[int], rx: Receiver[int]) -> None:
    assert_type(asyncio.create_task(rx.recv()), asyncio.Task[int])
    assert_type(await asyncio.wait_for(rx.recv(), 1.0), int)
    assert_type(await asyncio.gather(tx.send_many([1]), rx.recv_many(1)), tuple[int, list[int]])
    await asyncio.gather(tx.send(1), rx.recv())
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(tx.send_many([1])), asyncio.Task[int])
    assert_type(await go(tx.send_many, [1, 2, 3]).join(), int)
    assert_type(await go(rx.recv()), int)
