"""Random schedules that account for every value. The seed is printed; ROUTINES_SEED repeats a run.

ROUTINES_STRESS_SECONDS makes each of them shorter or longer.
"""

import asyncio
import math
import os
import random
import sys
import threading
import time
from collections import Counter

import pytest
from helpers import LOOPS, new_loop, settle

from routines import ChannelClosed, RecvError, SendError, channel, sleep, spawn, yield_now

pytestmark = [pytest.mark.stress, pytest.mark.timeout(120)]

SECONDS = float(os.environ.get("ROUTINES_STRESS_SECONDS") or 1.0)


class Ledger:
    """Which values were surely sent, which may have been, and which came out, in which order."""

    def __init__(self):
        self.next_value = 0
        self.sent = Counter()
        self.maybe = Counter()  # values of a send that raised: the contract says they were not sent
        self.received = Counter()
        self.next_batch = 0

    def fresh(self, producer):
        self.next_value += 1
        return (producer, self.next_value)


class Chaos:
    """Producers, consumers and cancellers over one channel, all drawing from one seeded source."""

    def __init__(self, chance, capacity, plain):
        self.chance = chance
        self.ledger = Ledger()
        self.tx, self.rx = channel(capacity)
        self.plain = plain  # how likely a worker is a plain task
        self.workers = set()
        self.results = []
        self.stopping = False

    def start(self, coro):
        make = asyncio.Task if self.chance.random() < self.plain else spawn
        task = make(coro)
        self.workers.add(task)
        task.add_done_callback(self.workers.discard)
        return task

    async def pause(self):
        what = self.chance.random()
        if what < 0.4:
            await yield_now()
        elif what < 0.5:
            await asyncio.sleep(0)
        elif what < 0.52:
            await sleep(0.0005)

    async def produce(self, name):
        ledger, tx, chance = self.ledger, self.tx, self.chance
        while not self.stopping:
            how = chance.random()
            if how < 0.5:
                value = ledger.fresh(name)
                ledger.maybe[value] += 1
                await tx.send(value)  # a cancellation here must mean that it was not sent
                ledger.sent[value] += 1
                del ledger.maybe[value]
            elif how < 0.7:
                values = [ledger.fresh(name) for _ in range(chance.randrange(6))]
                for value in values:
                    ledger.maybe[value] += 1
                assert await tx.send_many(values) == len(values)
                for value in values:
                    ledger.sent[value] += 1
                    del ledger.maybe[value]
            elif how < 0.8:
                value = ledger.fresh(name)
                try:
                    tx.try_send(value)
                except SendError:
                    pass
                else:
                    ledger.sent[value] += 1
            elif how < 0.9:
                value = ledger.fresh(name)
                ledger.maybe[value] += 1
                try:
                    async with asyncio.timeout(chance.choice([0, 0.0001, 0.001])):
                        await tx.send(value)
                        ledger.sent[value] += 1
                        del ledger.maybe[value]
                except TimeoutError:
                    pass
            await self.pause()

    async def consume(self):
        got, rx, chance = self.ledger.received, self.rx, self.chance
        while True:
            how = chance.random()
            try:
                if how < 0.4:
                    got[await rx.recv()] += 1
                elif how < 0.5:
                    value, ok = await rx.recv_ok()
                    if not ok:
                        return
                    got[value] += 1
                elif how < 0.7:
                    for value in await rx.recv_many(chance.randrange(1, 8)):
                        got[value] += 1
                elif how < 0.8:
                    try:
                        got[rx.try_recv()] += 1
                    except RecvError:
                        await yield_now()
                elif how < 0.9:
                    try:
                        async with asyncio.timeout(chance.choice([0, 0.0001, 0.001])):
                            value = await rx.recv()
                            got[value] += 1
                    except TimeoutError:
                        pass
                else:
                    async for value in rx:
                        got[value] += 1
                        if chance.random() < 0.5:
                            break
            except ChannelClosed:
                return
            if chance.random() < 0.3:
                await self.pause()

    async def cancel_someone(self, spare):
        victims = [each for each in self.workers if each not in spare]
        if victims:
            victim = self.chance.choice(sorted(victims, key=lambda task: task.get_name()))
            if self.chance.random() < 0.5:
                # In the turn of a hand-over, if there is one to be had.
                try:
                    if self.chance.random() < 0.5:
                        self.ledger.received[self.rx.try_recv()] += 1
                    else:
                        value = self.ledger.fresh("canceller")
                        self.tx.try_send(value)
                        self.ledger.sent[value] += 1
                except (SendError, RecvError):
                    pass
            victim.cancel()

    async def main(self):
        deadline = time.monotonic() + SECONDS
        rounds = 0
        while time.monotonic() < deadline:
            producers = sum(1 for each in self.workers if each.get_name().startswith("p"))
            consumers = len(self.workers) - producers
            for _ in range(5 - producers):
                task = self.start(self.produce(self.ledger.next_batch))
                task.set_name(f"p{self.ledger.next_batch}")
                self.ledger.next_batch += 1
            for _ in range(5 - consumers):
                task = self.start(self.consume())
                task.set_name(f"c{self.ledger.next_batch}")
                self.ledger.next_batch += 1
            for _ in range(self.chance.randrange(1, 6)):
                await yield_now()
            await self.cancel_someone(())
            rounds += 1
            if rounds % 100 == 0:
                await sleep(0.001)
        self.stopping = True
        for task in list(self.workers):
            if task.get_name().startswith("p"):
                task.cancel()
        await settle(20)
        for task in list(self.workers):
            task.cancel()
        await settle(20)
        assert not self.workers, "somebody hangs"
        stats = self.rx.stats()
        assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
        while len(self.rx):
            self.ledger.received[self.rx.try_recv()] += 1
        return rounds

    def check(self):
        ledger = self.ledger
        doubled = {value: count for value, count in ledger.received.items() if count != 1}
        assert not doubled
        lost = set(ledger.sent) - set(ledger.received)
        assert not lost, f"{len(lost)} of {len(ledger.sent)} values were sent and never came out"
        unexpected = set(ledger.received) - set(ledger.sent)
        # A cancelled send_many has sent a prefix of its values; nothing else comes from a send that raised.
        assert unexpected <= set(ledger.maybe)
        stats = self.rx.stats()
        assert stats.sent == stats.received == sum(ledger.received.values())


@pytest.mark.parametrize(
    ("kind", "plain"),
    [("stock", 0.0), ("stock", 0.5), ("stock", 1.0)] + [("uvloop", 0.5)] * ("uvloop" in LOOPS),
    ids=lambda value: {0.0: "routines", 0.5: "mixed", 1.0: "tasks"}.get(value, value),
)
@pytest.mark.parametrize("capacity", [0, 1, 5, math.inf])
def test_random_cancellation_loses_and_doubles_nothing(kind, capacity, plain, seed):
    chaos = Chaos(random.Random(seed), capacity, plain)
    with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
        reports = []
        runner.get_loop().set_exception_handler(lambda _, context: reports.append(context))
        rounds = runner.run(chaos.main())
    chaos.check()
    assert rounds > 10
    assert not reports


@pytest.mark.parametrize("plain", [0.0, 1.0], ids=["routines", "tasks"])
@pytest.mark.parametrize("capacity", [0, 1, 4])
def test_a_cancelled_single_send_was_not_sent_and_a_returned_one_was(capacity, plain, seed):
    """Stricter than the chaos: with single sends only, what raised never arrives."""
    chance = random.Random(seed)

    async def main():
        tx, rx = channel(capacity)
        sent, refused, received = set(), set(), []

        async def produce(name):
            for number in range(10**9):
                value = (name, number)
                try:
                    await tx.send(value)
                except asyncio.CancelledError:
                    refused.add(value)
                    raise
                sent.add(value)

        async def consume():
            while True:
                received.append(await rx.recv())
                if chance.random() < 0.2:
                    await yield_now()

        def begin(coro):
            return asyncio.Task(coro) if chance.random() < plain else spawn(coro)

        deadline = time.monotonic() + SECONDS / 2
        names = iter(range(10**9))
        running = []
        while time.monotonic() < deadline:
            running = [each for each in running if not each[1].done()]
            while len(running) < 8:
                producing = chance.random() < 0.5
                coro = produce(next(names)) if producing else consume()
                running.append((producing, begin(coro)))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            chance.choice(running)[1].cancel()
        for _, each in running:
            each.cancel()
        await settle(20)
        assert all(each.done() for _, each in running)
        while len(rx):
            received.append(rx.try_recv())
        assert len(received) == len(set(received))
        assert set(received) == sent
        assert not refused & sent
        assert len(sent) > 100

    asyncio.run(main())


@pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
def test_threads_with_loops_and_without_lose_and_double_nothing(capacity, seed):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_threads(capacity, random.Random(seed))
    finally:
        sys.setswitchinterval(before)


def run_threads(capacity, chance):
    tx, rx = channel(capacity)
    stop = threading.Event()
    sent, received = [], []
    failures = []

    def guarded(function):
        def run():
            try:
                function()
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run, daemon=True)

    def poll_and_send(own, name):
        def run():
            mine = []
            number = 0
            while not stop.is_set():
                try:
                    own.try_send((name, number))
                except SendError:
                    time.sleep(0)
                else:
                    mine.append((name, number))
                    number += 1
            own.close()
            sent.extend(mine)

        return run

    def loop_and_send(own, name):
        async def produce(mine, part):
            number = 0
            while not stop.is_set():
                await own.send((name, part, number))
                mine.append((name, part, number))
                number += 1

        async def main():
            mine = []
            await asyncio.gather(*(spawn(produce(mine, part)) for part in range(3)))
            own.close()
            sent.extend(mine)

        return lambda: asyncio.run(main())

    def loop_and_receive(own):
        async def consume(mine):
            async for value in own:
                mine.append(value)

        async def main():
            parts = [[] for _ in range(3)]
            await asyncio.gather(*(spawn(consume(part)) for part in parts))
            received.extend(parts)

        return lambda: asyncio.run(main())

    threads = [guarded(poll_and_send(tx.clone(), "poller"))]
    threads += [guarded(loop_and_send(tx.clone(), name)) for name in ("one", "two")]
    threads += [guarded(loop_and_receive(rx.clone())) for _ in range(2)]
    tx.close()
    rx.close()
    for thread in threads:
        thread.start()
    time.sleep(SECONDS / 2)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    flat = [value for part in received for value in part]
    assert len(flat) == len(set(flat))
    assert sorted(map(str, flat)) == sorted(map(str, sent))
    for part in received:
        by_source = {}
        for *source, number in part:
            assert by_source.get(tuple(source), -1) < number, "one sender's values came out of order"
            by_source[tuple(source)] = number
