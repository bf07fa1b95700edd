"""Between threads: blocking ends, workers, and the runtime itself."""

from __future__ import annotations

import math
import threading
from typing import Any

from .common import MESSAGES, OnLoop, need, routines

PARKED = 10_000
TRIPS = 1_000
SNAPSHOTS = 10_000


class ThreadToRoutine(OnLoop):
    """A plain thread sends, a routine receives."""

    needs = ("channel", "Runtime")
    params = (0, 64, math.inf)
    param_names = ("capacity",)

    def time_messages(self, capacity: float) -> None:
        """MESSAGES of them; a tenth where each is handed over."""
        self.run(self.receive(capacity, MESSAGES if capacity else MESSAGES // 10))

    async def receive(self, capacity: float, count: int) -> None:
        """Do the work of `time_messages`."""
        tx, rx = routines.channel(capacity)

        def send() -> None:
            for number in range(count):
                tx.send_blocking(number)

        thread = threading.Thread(target=send)
        thread.start()
        for _ in range(count):
            await rx.recv()
        thread.join()


class Workers:
    """Two workers."""

    def setup(self) -> None:
        """Start them."""
        need("Runtime", "RuntimeStats")
        self.runtime = routines.Runtime(routines.RuntimeConfig(worker_threads=2))

    def teardown(self) -> None:
        """End them, where they were started."""
        runtime = getattr(self, "runtime", None)
        if runtime is not None:
            runtime.shutdown()

    def time_round_trips(self) -> None:
        """TRIPS of them over unbuffered channels."""
        there, back = routines.channel(), routines.channel()
        answering = self.runtime.spawn(self.answer(there[1], back[0]), worker=1)
        self.runtime.spawn(self.ask(there[0], back[1]), worker=0).join_blocking()
        answering.join_blocking()

    def time_stats(self) -> None:
        """SNAPSHOTS of them."""
        for _ in range(SNAPSHOTS):
            self.runtime.stats()

    async def ask(self, tx: Any, rx: Any) -> None:
        """Send a number and wait for it to come back."""
        with tx:
            for number in range(TRIPS):
                await tx.send(number)
                await rx.recv()

    async def answer(self, rx: Any, tx: Any) -> None:
        """Send back whatever comes."""
        async for value in rx:
            await tx.send(value)


class Life:
    """The beginning and the end of a runtime."""

    number = 1
    repeat = 10

    def setup(self) -> None:
        """Start four workers and park PARKED routines there."""
        need("Runtime")
        self.runtime = routines.Runtime(routines.RuntimeConfig(worker_threads=4))
        self.ends = routines.channel()
        for worker in range(4):
            self.runtime.spawn(self.park(), worker=worker).join_blocking()

    def teardown(self) -> None:
        """Drop the channel."""
        self.ends = None

    async def park(self) -> None:
        """Start a worker's share of them."""
        for _ in range(PARKED // 4):
            routines.go(self.ends[1].recv)
        await routines.yield_now()

    def time_shutdown(self) -> None:
        """The end of PARKED routines."""
        self.runtime.shutdown()


class Start:
    """Four workers, the first routine, and the end."""

    def setup(self) -> None:
        """Ask for what it needs."""
        need("Runtime")

    def time_start(self) -> None:
        """Once."""
        with routines.Runtime(routines.RuntimeConfig(worker_threads=4)) as runtime:
            runtime.spawn(self.nothing()).join_blocking()

    async def nothing(self) -> None:
        """Be a routine."""
