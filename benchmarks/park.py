"""What a parked routine weighs: `python park.py CONTESTANT COUNT`, in a fresh process.

Parks COUNT routines (or tasks) on a receive from one channel (or queue), then wakes each with a
value and waits for its end. Prints JSON: the growth of the resident set per parked routine, in
bytes, how many came to their end, and how long parking and ending took, in seconds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))


class Tally:
    """Counts the ends of `expected` routines; `all_ended` resolves at the last."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.ended = 0
        self.all_ended = asyncio.get_running_loop().create_future()

    def count(self) -> None:
        """One more has ended."""
        self.ended += 1
        if self.ended == self.expected:
            self.all_ended.set_result(None)


def resident_bytes() -> int:
    """The resident set of this process; its peak where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def summary(tally: Tally, before: int, parked: int, times: list[float]) -> dict[str, Any]:
    """The line of JSON, from two resident sets and three clock readings."""
    return {
        "bytes": (parked - before) / tally.expected,
        "ended": tally.ended,
        "park_seconds": times[1] - times[0],
        "end_seconds": times[2] - times[1],
    }


async def park_routines(count: int) -> dict[str, Any]:
    """Park `count` routines on one receiver."""
    from routines import channel, go, yield_now

    tally = Tally(count)
    tx, rx = channel()

    async def park() -> None:
        await rx.recv()
        tally.count()

    gc.collect()
    before = resident_bytes()
    times = [time.perf_counter()]
    for _ in range(count):
        go(park())
    while rx.stats().waiting_receivers < count:
        await yield_now()
    times.append(time.perf_counter())
    parked = resident_bytes()
    for i in range(count):
        await tx.send(i)
    await tally.all_ended
    times.append(time.perf_counter())
    return summary(tally, before, parked, times)


async def park_tasks(count: int) -> dict[str, Any]:
    """Park `count` asyncio tasks on one queue."""
    tally = Tally(count)
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def park() -> None:
        await queue.get()
        tally.count()

    gc.collect()
    before = resident_bytes()
    times = [time.perf_counter()]
    # asyncio itself refers to tasks weakly, so somebody has to hold them.
    tasks = [asyncio.create_task(park()) for _ in range(count)]
    await asyncio.sleep(0)  # tasks start in order, so all of them have by now
    times.append(time.perf_counter())
    parked = resident_bytes()
    for i in range(count):
        queue.put_nowait(i)
    await asyncio.wait(tasks)
    times.append(time.perf_counter())
    return summary(tally, before, parked, times)


def main() -> None:
    """Park once and print the outcome."""
    contestant, count = sys.argv[1], int(sys.argv[2])
    if contestant == "routines":
        from routines import go

        async def start() -> dict[str, Any]:
            outcome: dict[str, Any] = await go(park_routines(count))
            return outcome

        outcome = asyncio.run(start())
    elif contestant == "asyncio":
        outcome = asyncio.run(park_tasks(count))
    else:
        raise SystemExit(f"no contestant {contestant!r}")
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
