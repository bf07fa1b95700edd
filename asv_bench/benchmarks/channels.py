"""Messages over channels: crossbeam's grid of who sends to whom, and of capacities."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from .common import MESSAGES, OnLoop, need, routines

BATCH = 64


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


async def many_to_many(capacity: float, producers: int, consumers: int) -> None:
    """Send MESSAGES values in all."""
    tx, rx = routines.channel(capacity)
    with tx:
        for _ in range(producers):
            routines.go(produce_and_close(tx.clone(), MESSAGES // producers))
    for consumer in [routines.go(drain(rx.clone())) for _ in range(consumers)]:
        await consumer


class Sequential(OnLoop):
    """One routine fills the channel and empties it: nobody ever waits."""

    params = ([1, 64, math.inf],)
    param_names = ("capacity",)

    def time_send_then_recv(self, capacity: float) -> None:
        """As many sends as fit (64 at most), as many receives, until MESSAGES have passed."""
        self.run(self.fill_and_empty(capacity))

    def time_try_send_then_try_recv(self, capacity: float) -> None:
        """The same without awaiting."""
        tx, rx = routines.channel(capacity)
        burst = min(64, int(min(capacity, 64)))
        for _ in range(MESSAGES // burst):
            for i in range(burst):
                tx.try_send(i)
            for _ in range(burst):
                rx.try_recv()

    async def fill_and_empty(self, capacity: float) -> None:
        """Do the work of `time_send_then_recv`."""
        tx, rx = routines.channel(capacity)
        burst = int(min(capacity, 64))
        for _ in range(MESSAGES // burst):
            await produce(tx, burst)
            await consume(rx, burst)


class OneToOne(OnLoop):
    """A producer and a consumer."""

    params = ([0, 1, 64, math.inf],)
    param_names = ("capacity",)

    def time_send_recv(self, capacity: float) -> None:
        """MESSAGES values, one by one."""
        self.run(self.pipe(capacity))

    def time_async_for(self, capacity: float) -> None:
        """MESSAGES values, received by iterating until the channel is closed."""
        self.run(many_to_many(capacity, 1, 1))

    async def pipe(self, capacity: float) -> None:
        """Do the work of `time_send_recv`."""
        tx, rx = routines.channel(capacity)
        producer = routines.go(produce(tx, MESSAGES))
        await routines.go(consume(rx, MESSAGES))
        await producer


class Batches(OnLoop):
    """A producer and a consumer that pass sixty-four values at a time."""

    params = ([0, 64, math.inf],)
    param_names = ("capacity",)

    def time_send_many_recv_many(self, capacity: float) -> None:
        """MESSAGES values, sixty-four at a time."""
        self.run(self.pipe(capacity))

    async def produce(self, tx: Any) -> None:
        """Send the ints below MESSAGES."""
        for first in range(0, MESSAGES, BATCH):
            await tx.send_many(range(first, first + BATCH))

    async def consume(self, rx: Any) -> None:
        """Receive MESSAGES values."""
        left = MESSAGES
        while left:
            left -= len(await rx.recv_many(BATCH))

    async def pipe(self, capacity: float) -> None:
        """Do the work of `time_send_many_recv_many`."""
        tx, rx = routines.channel(capacity)
        producer = routines.go(self.produce(tx))
        await routines.go(self.consume(rx))
        await producer


class PingPong(OnLoop):
    """Two routines and two unbuffered channels."""

    def time_round_trips(self) -> None:
        """MESSAGES round trips."""
        self.run(self.play())

    async def reflect(self, rx: Any, tx: Any) -> None:
        """Send each value back."""
        for _ in range(MESSAGES):
            await tx.send(await rx.recv())

    async def play(self) -> None:
        """Do the work of `time_round_trips`."""
        ping_tx, ping_rx = routines.channel()
        pong_tx, pong_rx = routines.channel()
        reflector = routines.go(self.reflect(ping_rx, pong_tx))
        for i in range(MESSAGES):
            await ping_tx.send(i)
            await pong_rx.recv()
        await reflector


class ManyToOne(OnLoop):
    """Several producers and a consumer."""

    params = ([0, 1, 64, math.inf], [10])
    param_names = ("capacity", "producers")

    def time_send_recv(self, capacity: float, producers: int) -> None:
        """MESSAGES values in all."""
        self.run(many_to_many(capacity, producers, 1))


class ManyToMany(OnLoop):
    """Several producers and as many consumers, which share the values."""

    params = ([0, 1, 64, math.inf], [5])
    param_names = ("capacity", "producers")

    def time_send_recv(self, capacity: float, producers: int) -> None:
        """MESSAGES values in all."""
        self.run(many_to_many(capacity, producers, producers))


class FanOutFanIn(OnLoop):
    """A producer, workers, a collector; unbuffered."""

    params = ([5],)
    param_names = ("workers",)

    def time_jobs(self, workers: int) -> None:
        """MESSAGES jobs, each of which is a message to a worker and one from it."""
        self.run(self.process(workers))

    async def work(self, jobs: Any, results: Any) -> None:
        """Answer jobs until there are no more."""
        with results:
            async for job in jobs:
                await results.send(job)

    async def process(self, workers: int) -> None:
        """Do the work of `time_jobs`."""
        jobs_tx, jobs_rx = routines.channel()
        results_tx, results_rx = routines.channel()
        routines.go(produce_and_close(jobs_tx, MESSAGES))
        with results_tx:
            for _ in range(workers):
                routines.go(self.work(jobs_rx.clone(), results_tx.clone()))
        await drain(results_rx)


class PlainTasks(OnLoop):
    """A producer and a consumer that are asyncio's own tasks."""

    params = ([0, 64],)
    param_names = ("capacity",)

    def time_send_recv(self, capacity: float) -> None:
        """MESSAGES values, one by one."""
        self.loop.run_until_complete(self.pipe(capacity))

    async def pipe(self, capacity: float) -> None:
        """Do the work of `time_send_recv`."""
        tx, rx = routines.channel(capacity)
        producer = asyncio.create_task(produce(tx, MESSAGES))
        await consume(rx, MESSAGES)
        await producer


class Ends:
    """Making channels and handles."""

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
