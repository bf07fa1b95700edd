"""Routines and channels that become garbage in cycles: collected, warned about, and gone."""

import asyncio
import threading
import warnings

from measure import check

from routines import channel, spawn, yield_now

warnings.simplefilter("ignore", ResourceWarning)


async def park(tx, rx):
    await rx.recv()
    await tx.send(1)


async def park_sending(tx, rx):
    await tx.send((tx, rx))


async def leaked_routines():
    import gc

    for _ in range(200):
        for make in (park, park_sending):
            spawn(make(*channel()))
        await yield_now()
        await yield_now()
    gc.collect()


async def cyclic_channels():
    import gc

    for _ in range(2000):
        tx, rx = channel(2)
        tx.try_send(tx)
        tx.try_send(rx)
    gc.collect()


async def abandoned_generators():
    tx, rx = channel(1)

    async def values():
        async for value in rx:
            yield value

    async def take_one():
        async for value in values():
            return value

    for number in range(500):
        tx.try_send(number)
        assert await spawn(take_one()) == number
        await asyncio.sleep(0)


async def nested_loops():
    def run():
        async def inner():
            tx, rx = channel()
            kept.append((tx, rx))
            spawn(park(tx, rx))
            await yield_now()

        kept = []
        asyncio.run(inner())

    for _ in range(10):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()


for workload in (leaked_routines, cyclic_channels, abandoned_generators, nested_loops):
    check(workload)
