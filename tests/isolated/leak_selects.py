"""Selects, selectors and timers in every way; a million timeouts that are started and cancelled."""

import asyncio

from measure import check

from routines import Selector, Ticker, Timeout, after, case, channel, go, select, timeout, yield_now


async def ready_and_default():
    tx, rx = channel(1)
    _silent_tx, silent = channel()
    for number in range(5_000):
        tx.try_send(number)
        await select(silent, rx, None, timeout=1)
        await select(silent, default=None)
        tx.try_send(number)
        await select().recv(silent).recv(rx, lambda value: value).run()
        await select(tx.case(number))
        rx.try_recv()


async def blocked():
    ends = [channel() for _ in range(10)]

    async def produce():
        for number in range(5_000):
            await ends[number % 10][0].send(number)

    producing = go(produce)
    for _ in range(5_000):
        await select(*(rx for _tx, rx in ends), timeout=60)
    await producing


async def by_tasks():
    tx, rx = channel()
    producing = asyncio.Task(tx.send_many(range(2_000)))
    for _ in range(2_000):
        await select(rx, timeout=60)
    await producing


async def cancelled():
    tx, rx = channel()
    _other, silent = channel()
    for kind in (go, asyncio.Task):
        for _ in range(300):
            waiting = [kind(select(rx, silent, timeout=60)) for _ in range(5)]
            await yield_now()
            await yield_now()
            tx.try_send(object())
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)


async def nothing():
    pass


async def foreign():
    loop = asyncio.get_running_loop()
    for _ in range(300):
        future, event = loop.create_future(), asyncio.Event()
        loop.call_soon(future.set_result, 1)
        await select(case(future), case(event))
        await select(go(nothing), after(60))


async def selectors():
    for _ in range(50):
        ends = [channel(1) for _ in range(20)]
        selector = Selector(*(rx for _tx, rx in ends))
        for tx, _rx in ends:
            tx.try_send(object())
        for _ in range(20):
            await selector.next()
        selector.remove(3)
        turn = go(selector.next)
        await yield_now()
        turn.cancel()
        await asyncio.wait([turn])


async def timers():
    for _ in range(2_000):
        after(60)
        ticker = Ticker(60)
        ticker.reset(50)
        async with timeout(60) as scope:
            scope.reschedule(50)
    for _ in range(100):
        try:
            async with timeout(0):
                await yield_now()
        except Timeout:
            pass


async def timeouts():
    _tx, rx = channel()
    routine = go(rx.recv())
    for _ in range(25_000):
        async with timeout(60):
            pass
        after(60)
        try:
            await select(rx, timeout=0)
        except Timeout:
            pass
    # Many at once, and the first of them cancelled first: each leaves the heap later than it was cancelled.
    for _ in range(25):
        waiting = [go(select(rx, timeout=60)) for _ in range(1_000)]
        await yield_now()
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
    routine.cancel()
    await asyncio.wait([routine])


for each in [ready_and_default, blocked, by_tasks, cancelled, foreign, selectors, timers]:
    check(each)
check(timeouts, rounds=9, traced=False)  # a million of them
