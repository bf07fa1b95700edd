"""Broadcast, watch, oneshot and stages, from the first send to the last end."""

import asyncio

from measure import check

from routines import Lagged, Selector, broadcast, channel, go, oneshot, select, stages, watch, yield_now


async def broadcasts():
    for _ in range(300):
        tx, first = broadcast(4)
        second = tx.subscribe()
        tx.try_send(object())
        await tx.send_many(object() for _ in range(10))
        try:
            await first.recv()
        except Lagged:
            await first.recv_many(3)
        waiting = [go(second.clone().recv()), go(select(first, second.clone()))]
        await yield_now()
        tx.try_send(object())
        for each in waiting:
            await each


async def cancelled():
    tx, rx = broadcast(1, lossless=True)
    for kind in (go, asyncio.Task):
        for _ in range(300):
            waiting = [kind(end.recv()) for end in (rx, tx.subscribe())]
            await yield_now()
            await yield_now()
            tx.try_send(object())
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)
            if len(rx):
                rx.try_recv()


async def watches():
    for _ in range(300):
        tx, rx = watch(object())
        selector = Selector(rx)
        waiting = [go(rx.changed()), go(selector.next())]
        await yield_now()
        for _ in range(5):
            tx.try_send(object())
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


async def oneshots():
    for _ in range(1_000):
        tx, rx = oneshot()
        waiting = go(rx.recv())
        await yield_now()
        tx.try_send(object())
        await waiting
        unused_tx, unused = oneshot()
        unused_tx.try_send(object())
        assert len(unused) == 1


async def pipelines():
    for number in range(50):
        tx, rx = channel(8)
        out = stages.batch(stages.map(repr, stages.merge(rx), workers=3), 2)
        await tx.send_many(object() for _ in range(8))
        await out.recv()
        if number % 2:
            tx.close()
            await stages.collect(out)
        else:
            out.close()
            await tx.wait_closed()


for each in [broadcasts, cancelled, watches, oneshots, pipelines]:
    check(each)
