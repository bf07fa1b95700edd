"""Messages over channels: crossbeam's grid of who sends to whom, and of capacities."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from .common import LOOPS, MESSAGES, OnLoop, need, routines

BATCH = 64
CAPACITIES = [0, 1, 64, math.inf]


async def produce(tx: Any, count: int) -> None:
    """Send the ints below `count`."""
    for i in range(count):
        await tx.send(i)


async def produce_and_close(tx: Any, count: int) -> None:
    """Send the ints below `count`, then close this sender."""
    with tx:
        for i in range(count):
            await tx.send(i)


async def consume(rx: Any, count: int) -> None:
    """Receive `count` values."""
    for _ in range(count):
        await rx.recv()


async def drain(rx: Any) -> None:
    """Receive until the channel is closed."""
    async for _ in rx:
        pass


class Sequential(OnLoop):
    """One routine fills the channel and empties it: nobody ever waits."""

    params = (LOOPS, [1, 64, math.inf])
    param_names = ("loop", "capacity")

    def prepare(self, capacity: float) -> None:
        """Make the channel."""
        self.tx, self.rx = routines.channel(capacity)
        self.burst = int(min(capacity, BATCH))

    def time_send_then_recv(self, _loop: str, _capacity: float) -> None:
        """As many sends as fit (64 at most), as many receives, until MESSAGES have passed."""
        self.run(self.fill_and_empty())

    def time_try_send_then_try_recv(self, _loop: str, _capacity: float) -> None:
        """The same without awaiting."""
        tx, rx, burst = self.tx, self.rx, self.burst
        for _ in range(MESSAGES // burst):
            for i in range(burst):
                tx.try_send(i)
            for _ in range(burst):
                rx.try_recv()

    async def fill_and_empty(self) -> None:
        """Do the work of `time_send_then_recv`."""
        for _ in range(MESSAGES // self.burst):
            await produce(self.tx, self.burst)
            await consume(self.rx, self.burst)


class OneToOne(OnLoop):
    """A producer and a consumer."""

    params = (LOOPS, CAPACITIES)
    param_names = ("loop", "capacity")

    def prepare(self, capacity: float) -> None:
        """Make the channel."""
        self.tx, self.rx = routines.channel(capacity)

    def time_send_recv(self, _loop: str, _capacity: float) -> None:
        """MESSAGES values, one by one."""
        self.run(self.pipe())

    def peakmem_send_recv(self, _loop: str, _capacity: float) -> None:
        """The same, for what the channel and its values take at most."""
        self.run(self.pipe())

    async def pipe(self) -> None:
        """Do the work."""
        producer = routines.go(produce(self.tx, MESSAGES))
        await routines.go(consume(self.rx, MESSAGES))
        await producer


class Batches(OnLoop):
    """A producer and a consumer that pass sixty-four values at a time."""

    params = (LOOPS, [0, 64, math.inf])
    param_names = ("loop", "capacity")

    def prepare(self, capacity: float) -> None:
        """Make the channel."""
        self.tx, self.rx = routines.channel(capacity)

    def time_send_many_recv_many(self, _loop: str, _capacity: float) -> None:
        """MESSAGES values, sixty-four at a time."""
        self.run(self.pipe())

    async def produce(self) -> None:
        """Send the ints below MESSAGES."""
        for first in range(0, MESSAGES, BATCH):
            await self.tx.send_many(range(first, first + BATCH))

    async def consume(self) -> None:
        """Receive MESSAGES values."""
        left = MESSAGES
        while left:
            left -= len(await self.rx.recv_many(BATCH))

    async def pipe(self) -> None:
        """Do the work of `time_send_many_recv_many`."""
        producer = routines.go(self.produce())
        await routines.go(self.consume())
        await producer


class PingPong(OnLoop):
    """Two routines and two unbuffered channels."""

    def prepare(self) -> None:
        """Make the channels."""
        self.ping_tx, self.ping_rx = routines.channel()
        self.pong_tx, self.pong_rx = routines.channel()

    def time_round_trips(self, _loop: str) -> None:
        """MESSAGES round trips."""
        self.run(self.play())

    async def reflect(self) -> None:
        """Send each value back."""
        for _ in range(MESSAGES):
            await self.pong_tx.send(await self.ping_rx.recv())

    async def play(self) -> None:
        """Do the work of `time_round_trips`."""
        reflector = routines.go(self.reflect())
        for i in range(MESSAGES):
            await self.ping_tx.send(i)
            await self.pong_rx.recv()
        await reflector


class Streams(OnLoop):
    """Producers that close their senders at the end, and as many consumers, which iterate until all are closed."""

    params = (LOOPS, CAPACITIES, [(1, 1), (10, 1), (5, 5)])
    param_names = ("loop", "capacity", "producers and consumers")
    number = 1  # a closed channel stays closed

    def prepare(self, capacity: float, crowd: tuple[int, int]) -> None:
        """Make the channel and a handle for each."""
        producers, consumers = crowd
        tx, rx = routines.channel(capacity)
        self.share = MESSAGES // producers
        self.senders = [tx.clone() for _ in range(producers)]
        self.receivers = [rx.clone() for _ in range(consumers)]
        tx.close()
        rx.close()

    def time_async_for(self, _loop: str, _capacity: float, _crowd: tuple[int, int]) -> None:
        """MESSAGES values in all."""
        self.run(self.flow())

    async def flow(self) -> None:
        """Do the work of `time_async_for`."""
        for tx in self.senders:
            routines.go(produce_and_close(tx, self.share))
        for consumer in [routines.go(drain(rx)) for rx in self.receivers]:
            await consumer


class FanOutFanIn(OnLoop):
    """A producer, workers, a collector; unbuffered."""

    params = (LOOPS, [5])
    param_names = ("loop", "workers")
    number = 1  # a closed channel stays closed

    def prepare(self, workers: int) -> None:
        """Make both channels and a handle of each for every worker."""
        self.jobs, jobs = routines.channel()
        results, self.results = routines.channel()
        self.ends = [(jobs.clone(), results.clone()) for _ in range(workers)]
        jobs.close()
        results.close()

    def time_jobs(self, _loop: str, _workers: int) -> None:
        """MESSAGES jobs, each of which is a message to a worker and one from it."""
        self.run(self.process())

    async def work(self, jobs: Any, results: Any) -> None:
        """Answer jobs until there are no more."""
        with results:
            async for job in jobs:
                await results.send(job)

    async def process(self) -> None:
        """Do the work of `time_jobs`."""
        routines.go(produce_and_close(self.jobs, MESSAGES))
        for jobs, results in self.ends:
            routines.go(self.work(jobs, results))
        await drain(self.results)


class PlainTasks(OnLoop):
    """A producer and a consumer that are asyncio's own tasks."""

    params = (LOOPS, [0, 64])
    param_names = ("loop", "capacity")

    def prepare(self, capacity: float) -> None:
        """Make the channel."""
        self.tx, self.rx = routines.channel(capacity)

    def time_send_recv(self, _loop: str, _capacity: float) -> None:
        """MESSAGES values, one by one."""
        self.loop.run_until_complete(self.pipe())

    async def pipe(self) -> None:
        """Do the work of `time_send_recv`."""
        producer = asyncio.create_task(produce(self.tx, MESSAGES))
        await consume(self.rx, MESSAGES)
        await producer


class Ends:
    """Making channels and handles, for which no loop is needed."""

    def setup(self) -> None:
        """Make a channel to clone from."""
        need("channel")
        self.tx, self.rx = routines.channel()

    def time_channel(self) -> None:
        """Make and drop a thousand channels."""
        for _ in range(1_000):
            routines.channel()

    def time_clone_and_close(self) -> None:
        """Clone and close a thousand senders."""
        for _ in range(1_000):
            self.tx.clone().close()
