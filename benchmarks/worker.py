"""A Python contestant: `python worker.py CONTESTANT` in a process of its own.

Reads one request a line, "WORK COUNT RUNS", and answers with the nanoseconds that RUNS runs of
COUNT units took, or with a line that starts with "error:". The first line out says that it is
ready, or why it cannot take part. The loop, and everything that is imported, starts before.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

# The installed package comes first; the source tree, built in place, is the fallback.
sys.path.append(str(Path(__file__).resolve().parent.parent))

Measure = Callable[[str, int, int], int | None]
"""Nanoseconds for a workload's name, the units of a run, the runs; None: no such workload."""


async def repeat(work: Callable[[int], Awaitable[Any]], count: int, runs: int) -> int:
    """Nanoseconds that `runs` runs take inside a running loop, by their own account if they give one."""
    gc.collect()
    own_account = 0
    start = time.perf_counter_ns()
    for _ in range(runs):
        own_account += await work(count) or 0
    return own_account or time.perf_counter_ns() - start


def measure_calls(workloads: Mapping[str, Callable[[int], None]]) -> Measure:
    """For contestants whose workloads are plain functions."""

    def measure(name: str, count: int, runs: int) -> int | None:
        work = workloads.get(name)
        if work is None:
            return None
        gc.collect()
        start = time.perf_counter_ns()
        for _ in range(runs):
            work(count)
        return time.perf_counter_ns() - start

    return measure


def measure_coroutines(
    workloads: Mapping[str, Callable[[int], Awaitable[Any]]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    start: Callable[[Any], Awaitable[int]] | None = None,
) -> Measure:
    """For contestants on an event loop, which is made once; `start` runs the whole as a routine."""
    runner = asyncio.Runner(loop_factory=loop_factory)

    async def started(work: Callable[[int], Awaitable[Any]], count: int, runs: int) -> int:
        measuring = repeat(work, count, runs)
        return await (measuring if start is None else start(measuring))

    def measure(name: str, count: int, runs: int) -> int | None:
        work = workloads.get(name)
        return None if work is None else runner.run(started(work, count, runs))

    return measure


def enter(contestant: str) -> Measure:
    """Import what the contestant needs and return how it measures."""
    if contestant == "floor":
        import workloads_floor

        return measure_calls(workloads_floor.WORKLOADS)
    if contestant == "gevent":
        import workloads_gevent

        return measure_calls(workloads_gevent.WORKLOADS)
    if contestant == "routines":
        import broadcasts_routines
        import selects_routines
        import sync_routines
        import workloads_routines

        works = workloads_routines.WORKLOADS | selects_routines.WORKLOADS
        works |= broadcasts_routines.WORKLOADS | sync_routines.WORKLOADS
        return measure_coroutines(works, start=workloads_routines.START)
    if contestant == "tasks":
        import workloads_routines

        return measure_coroutines(workloads_routines.TASK_WORKLOADS)
    import broadcasts_asyncio
    import selects_asyncio
    import sync_asyncio
    import workloads_asyncio
    import workloads_citizen

    works = workloads_asyncio.WORKLOADS | selects_asyncio.WORKLOADS | workloads_citizen.WORKLOADS
    works |= broadcasts_asyncio.WORKLOADS | sync_asyncio.WORKLOADS
    if contestant == "asyncio":
        return measure_coroutines(works)
    if contestant == "factory":
        import routines

        def new_loop() -> asyncio.AbstractEventLoop:
            loop = asyncio.new_event_loop()
            loop.set_task_factory(routines.task_factory)
            return loop

        # Of the others only what is compared: the rest would double the time that everything takes.
        works = workloads_citizen.WORKLOADS | {"ping_pong": workloads_asyncio.ping_pong}
        return measure_coroutines(works, loop_factory=new_loop)
    if contestant == "uvloop":
        import uvloop

        return measure_coroutines(works, loop_factory=uvloop.new_event_loop)
    raise SystemExit(f"no contestant {contestant!r}")


def main() -> None:
    """Answer requests until the input ends."""
    try:
        measure = enter(sys.argv[1])
    except ImportError as error:
        print(f"error: {error}", flush=True)
        return
    if os.environ.get("BENCHMARK_GC") == "off":
        gc.disable()
    gc.freeze()  # what was imported is not this work's garbage
    print("ready", flush=True)
    for line in sys.stdin:
        name, count, runs = line.split()
        took = measure(name, int(count), int(runs))
        print(f"error: no workload {name}" if took is None else took, flush=True)


if __name__ == "__main__":
    main()
