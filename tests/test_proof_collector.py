"""The collector runs between any two steps, and finds garbage whose end uses the channels that are in use."""

import gc
import math

import pytest
from helpers import outcome, settle

from routines import (
    Channel,
    ChannelClosed,
    RecvError,
    Selector,
    SendError,
    channel,
    go,
    select,
    sleep,
    timeout,
    yield_now,
)


@pytest.fixture
def collecting():
    """A collection at every second allocation of what the collector tracks."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


class Meddler:
    """Garbage in a cycle; when it is collected it sends and receives, as often as it can."""

    def __init__(self, tx, rx, seen):
        self.cycle, self.tx, self.rx, self.seen = self, tx, rx, seen

    def __del__(self):
        if len(self.seen) > 100:
            return  # or a consumer that makes meddlers would be fed by them for ever
        try:
            self.tx.try_send("meddled")
        except (SendError, ChannelClosed):
            pass
        else:
            self.seen.append(("sent", "meddled"))
        try:
            self.seen.append(("received", self.rx.try_recv()))
        except (RecvError, ChannelClosed):
            pass


@pytest.mark.parametrize("capacity", [0, 1, 3, math.inf])
async def test_nothing_is_lost_while_the_collector_meddles(capacity, start, collecting):
    tx, rx = channel(capacity)
    seen, received = [], []

    async def produce():
        for value in range(30):
            Meddler(tx, rx, seen)
            await tx.send(value)
        Meddler(tx, rx, seen)
        await tx.send_many(range(30, 60))

    async def consume():
        while True:
            Meddler(tx, rx, seen)
            received.append(await rx.recv())

    producer, consumer = start(produce()), start(consume())
    await producer
    gc.collect()
    await settle()
    consumer.cancel()
    await outcome(consumer)
    rest = []
    while True:
        try:
            rest.append(rx.try_recv())
        except RecvError:
            break
    sent = list(range(60)) + [value for way, value in seen if way == "sent"]
    got = received + rest + [value for way, value in seen if way == "received"]
    assert sorted(map(str, got)) == sorted(map(str, sent))
    stats = tx.stats()
    assert (stats.waiting_senders, stats.waiting_receivers, stats.buffered) == (0, 0, 0)
    assert stats.sent == stats.received == len(sent)


async def test_selects_and_selectors_go_on_while_the_collector_runs(start, collecting):
    pairs = [channel(place) for place in range(3)]
    got = []

    async def produce(tx, base):
        for value in range(base, base + 20):
            await tx.send(value)
            await yield_now()

    async def choose():
        receivers = [rx for _, rx in pairs]
        for _ in range(30):
            got.append((await select(*receivers, timeout=10)).value)
        selector = Selector(*receivers)
        for _ in range(30):
            got.append((await selector.next()).value)

    everybody = [start(produce(tx, 100 * place)) for place, (tx, _) in enumerate(pairs)]
    await start(choose())
    for each in everybody:
        await each
    assert sorted(got) == sorted(100 * place + value for place in range(3) for value in range(20))
    assert all(tx.stats().waiting_receivers == 0 for tx, _ in pairs)


async def test_closing_joining_and_timing_out_go_on_while_the_collector_runs(start, collecting):
    ch = Channel()
    waiting = [start(outcome(ch.recv())) for _ in range(10)]
    await settle()
    ch.close()
    for each in waiting:
        assert isinstance(await each, ChannelClosed)
    routines_ = [go(sleep, 0) for _ in range(10)]
    for each in routines_:
        await each.join(timeout=10)
    with pytest.raises(TimeoutError):
        async with timeout(0.001):
            await Channel().recv()
