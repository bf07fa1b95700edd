"""What a parked routine, a channel, and a long run weigh."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

from .channels import consume, produce
from .common import WORKLOADS, OnLoop, need, routines

PARKED = 100_000


def resident_bytes() -> int:
    """The resident set of this process; no benchmark where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except FileNotFoundError:
        raise NotImplementedError("no /proc here") from None
    return pages * os.sysconf("SC_PAGE_SIZE")


class Parked(OnLoop):
    """Routines that wait on one channel; each figure is taken in a process of its own."""

    needs = ("channel", "go", "yield_now")
    timeout = 120

    def track_bytes_per_routine(self, _loop: str) -> float:
        """The growth of the resident set per parked routine."""
        grown: float = self.run(self.park())
        return grown

    track_bytes_per_routine.unit = "bytes"  # type: ignore[attr-defined]

    def peakmem_run_to_end(self, _loop: str) -> None:
        """Park PARKED routines and let each of them end."""
        self.run(self.park())

    def prepare(self) -> None:
        """Make the channel."""
        self.tx, self.rx = routines.channel()

    async def park(self) -> float:
        """Park PARKED routines, weigh them, wake them, and return the bytes of each."""
        tx, rx = self.tx, self.rx

        async def receive() -> None:
            await rx.recv()

        gc.collect()
        before = resident_bytes()
        for _ in range(PARKED):
            last = routines.go(receive())
        while rx.stats().waiting_receivers < PARKED:
            await routines.yield_now()
        grown = resident_bytes() - before
        await tx.send_many(range(PARKED))
        await last
        return grown / PARKED


class AgainstTasks:
    """What a parked routine weighs beside a task of asyncio; a process for each side."""

    timeout = 120

    def setup(self) -> None:
        """Skip where there is nothing to park."""
        need("channel", "go", "yield_now")

    def track_ratio(self) -> float:
        """The bytes of a routine that waits for a channel, divided by those of a task that waits for a queue."""
        return self.weigh("routines") / self.weigh("asyncio")

    track_ratio.unit = "× asyncio's bytes"  # type: ignore[attr-defined]

    def weigh(self, contestant: str) -> float:
        """The bytes of each, of PARKED."""
        command = [sys.executable, str(WORKLOADS / "park.py"), contestant, str(PARKED)]
        said = subprocess.run(command, capture_output=True, check=True, timeout=self.timeout)
        weight: float = json.loads(said.stdout)["bytes"]
        return weight


class Idle:
    """Things that exist and do nothing."""

    def setup(self) -> None:
        """Skip where there is nothing to make."""
        need("channel")

    def track_bytes_per_channel(self) -> float:
        """The growth of the resident set per unbuffered channel with both its handles."""
        gc.collect()
        before = resident_bytes()
        channels = [routines.channel() for _ in range(PARKED)]
        return (resident_bytes() - before) / len(channels)

    track_bytes_per_channel.unit = "bytes"  # type: ignore[attr-defined]


class Million(OnLoop):
    """A million messages leave nothing behind."""

    timeout = 120

    def peakmem_capacity_64(self, _loop: str) -> None:
        """Send a million values through a channel that holds sixty-four."""
        self.run(self.pipe(1_000_000))

    def prepare(self) -> None:
        """Make the channel."""
        self.tx, self.rx = routines.channel(64)

    async def pipe(self, count: int) -> None:
        """Do the work of `peakmem_capacity_64`."""
        producer = routines.go(produce(self.tx, count))
        await consume(self.rx, count)
        await producer
