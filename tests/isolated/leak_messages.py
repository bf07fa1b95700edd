"""A million messages, sent and received in every way."""

import asyncio
import math

from measure import check

from routines import ChannelClosed, RecvError, SendError, channel, go, yield_now


def pump(capacity, total):
    async def produce(tx):
        with tx:
            for number in range(total):
                await tx.send(number)

    async def workload():
        tx, rx = channel(capacity)
        producing = go(produce, tx)
        count = 0
        async for _ in rx:
            count += 1
        assert count == total
        await producing

    workload.__name__ = f"pump through capacity {capacity}"
    return workload


async def batches():
    tx, rx = channel(64)

    async def produce():
        with tx:
            for _ in range(500):
                assert await tx.send_many([object() for _ in range(100)]) == 100

    producing = go(produce)
    count = 0
    async for batch in rx.batches(64):
        count += len(batch)
    assert count == 50_000
    await producing


async def by_tasks():
    tx, rx = channel()

    async def produce():
        with tx:
            for number in range(5000):
                await tx.send(number)

    producing = asyncio.Task(produce())
    assert len([value async for value in rx]) == 5000
    await producing


async def tries():
    tx, rx = channel(1)
    for number in range(20_000):
        tx.try_send(number)
        try:
            tx.try_send(number)
        except SendError:
            pass
        rx.try_recv()
        try:
            rx.try_recv()
        except RecvError:
            pass


async def channels_made_and_closed():
    for number in range(5000):
        tx, rx = channel(number % 3)
        clone = tx.clone()
        if number % 3:
            tx.try_send((tx, rx))
        tx.close(LookupError())
        clone.close()
        rx.close()
        try:
            await rx.recv()
        except ChannelClosed:
            pass
        assert await rx.recv_ok() == (None, False)


async def parked_and_cancelled():
    tx, rx = channel()

    async def receive():
        await rx.recv()

    async def send():
        await tx.send(object())

    for make in (receive, send):
        for kind in (go, lambda make: asyncio.Task(make())):
            for _ in range(300):
                waiting = [kind(make) for _ in range(5)]
                await yield_now()
                await yield_now()
                for each in waiting:
                    each.cancel()
                await asyncio.wait(waiting)


async def timed_out():
    tx, rx = channel()
    for _ in range(300):
        try:
            async with asyncio.timeout(0):
                await rx.recv()
        except TimeoutError:
            pass
        try:
            await asyncio.wait_for(tx.send(1), 0.0001)
        except TimeoutError:
            pass


async def cancelled_at_hand_over():
    tx, rx = channel()

    async def receive(got):
        got.append(await rx.recv())
        await asyncio.get_running_loop().create_future()

    for kind in (go, lambda function, got: asyncio.Task(function(got))):
        for _ in range(500):
            got = []
            receiving = kind(receive, got)
            while not rx.stats().waiting_receivers:
                await yield_now()
            tx.try_send(object())
            receiving.cancel()
            await asyncio.wait([receiving])
            assert got


WORKLOADS = [
    pump(0, 50_000), pump(1, 50_000), pump(64, 100_000), pump(math.inf, 50_000), batches, by_tasks,
    tries, channels_made_and_closed, parked_and_cancelled, timed_out, cancelled_at_hand_over,
]  # fmt: skip

for each in WORKLOADS:
    check(each)
check(pump(0, 250_000), rounds=4, traced=False)
