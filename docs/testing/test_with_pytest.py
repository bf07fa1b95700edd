"""An explored test, and a test on a virtual clock."""

import contextlib

import pytest

import routines


@pytest.mark.explore(schedules=500, cancellations=1)
async def test_nothing_is_lost():
    tx, rx = routines.channel(3)
    sent, received = [], []

    async def produce():
        for number in range(3):
            await tx.send(number)
            sent.append(number)

    async def consume():
        while True:
            received.append(await rx.recv())

    producer, consumer = routines.go(produce), routines.go(consume)
    with tx, contextlib.suppress(routines.Aborted):
        await producer.join()
    with contextlib.suppress(routines.Aborted, routines.ChannelClosed):
        await consumer.join()
    assert received + [number async for number in rx] == sent


async def test_gives_up_after_an_hour(virtual_clock):
    tx, rx = routines.channel()
    with tx, pytest.raises(routines.Timeout):
        await routines.select(rx, timeout=3600)
    assert virtual_clock.time() == 3600
