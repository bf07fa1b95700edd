"""How long the work of the speed tables takes beside the same work on plain asyncio, as `benchmarks/` has it.

A ratio says of a commit whether it still keeps its promises, on whatever machine it ran; which of the two sides has moved is told by the
`time_` benchmarks. There is none for what asyncio has no counterpart to: batches, builder, default, selector.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from .common import LOOPS, OnLoop, new_loop, routines, workloads

ROUNDS = 9

CLOCKS = {"sleepers_wall": time.perf_counter_ns, "sleepers_late": None}

Work = Callable[[int], Awaitable[Any]]


async def clocked(work: Work, count: int, clock: Callable[[], int] | None) -> int:
    """Nanoseconds that `count` units take by this clock, or by the work's own account."""
    gc.collect()
    if clock is None:
        return int(await work(count))
    start = clock()
    await work(count)
    return clock() - start


class AgainstAsyncio(OnLoop):
    """Median over ROUNDS rounds, in each of which both sides do the same amount of work one after the other."""

    rows: ClassVar[dict[str, int]] = {
        "unbuffered": 2_560,
        "capacity64": 6_400,
        "ping_pong": 1_280,
        "many_to_one": 2_560,
        "fan_out_fan_in": 1_280,
        "spawn": 1_280,
        "yielding": 6_400,
        "deep_chain": 6_400,
        "select_ready": 640,
        "select_blocked": 640,
        "select_timeout": 640,
        "select_blocked_10": 320,
        "select_blocked_100": 32,
        "timeout_unused": 12_800,
        "sleepers_wall": 10_000,
        "sleepers_late": 10_000,
    }
    """Units of each row: as many as take asyncio some hundredths of a second."""

    params = (LOOPS, list(rows))
    param_names = ("loop", "work")
    timeout = 120

    def prepare(self, work: str) -> None:
        """Find both sides' work."""
        ours = workloads("workloads_routines", "selects_routines")
        theirs = workloads("workloads_asyncio", "selects_asyncio")
        if work not in ours:
            raise NotImplementedError(f"no {work} here")
        self.ours, self.theirs, self.count = ours[work], theirs[work], self.rows[work]
        # Where nobody sleeps, the processor's time: of two sides a busy machine interrupts the longer one.
        self.clock = CLOCKS.get(work, time.process_time_ns)

    def track_ratio(self, _loop: str, _work: str) -> float:
        """What routines take, divided by what tasks and queues take."""
        return statistics.median(self.one_round() for _ in range(ROUNDS))

    track_ratio.unit = "× asyncio's time"  # type: ignore[attr-defined]

    def one_round(self) -> float:
        """The ratio within one round."""
        theirs: int = self.loop.run_until_complete(clocked(self.theirs, self.count, self.clock))
        ours: int = self.run(clocked(self.ours, self.count, self.clock))
        return ours / theirs


class TasksOverChannels(AgainstAsyncio):
    """The same, where plain asyncio tasks use the channel: on our side no routine takes part."""

    rows: ClassVar[dict[str, int]] = {"unbuffered": 2_560}
    params = (LOOPS, list(rows))

    def prepare(self, work: str) -> None:
        """Find both sides' work."""
        super().prepare(work)
        import workloads_routines

        self.ours = workloads_routines.TASK_WORKLOADS[work]

    def one_round(self) -> float:
        """The ratio within one round."""
        theirs: int = self.loop.run_until_complete(clocked(self.theirs, self.count, self.clock))
        ours: int = self.loop.run_until_complete(clocked(self.ours, self.count, self.clock))
        return ours / theirs


class TaskFactory(AgainstAsyncio):
    """The same program of plain asyncio, with the task factory of routines on a second loop and without on the first."""

    rows: ClassVar[dict[str, int]] = {
        "create_tasks": 100_000,
        "ping_pong": 1_280,
        "chain_20": 6_400,
        "await_future": 6_400,
        "echo_100": 1_600,
    }
    params = (LOOPS, list(rows))
    needs = ("task_factory",)

    def setup(self, loop: str, work: str) -> None:
        """Make the second loop as well."""
        super().setup(loop, work)
        self.factory_loop = new_loop(loop)
        self.factory_loop.set_task_factory(routines.task_factory)

    def prepare(self, work: str) -> None:
        """Both sides do the same."""
        programs = workloads("workloads_asyncio", "workloads_citizen")
        self.ours = self.theirs = programs[work]
        self.count, self.clock = self.rows[work], time.process_time_ns

    def teardown(self, *parameters: object) -> None:
        """Close both loops."""
        super().teardown(*parameters)
        factory_loop = getattr(self, "factory_loop", None)
        if factory_loop is not None:
            factory_loop.close()

    def one_round(self) -> float:
        """The ratio within one round."""
        theirs: int = self.loop.run_until_complete(clocked(self.theirs, self.count, self.clock))
        ours: int = self.factory_loop.run_until_complete(clocked(self.ours, self.count, self.clock))
        return ours / theirs
