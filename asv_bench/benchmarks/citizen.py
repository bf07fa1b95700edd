"""Programs of plain asyncio, which never touch a channel: what the task factory makes of them, and who waits while routines are busy."""

from __future__ import annotations

import statistics
import sys
from typing import Any, ClassVar

from .common import LOOPS, OnLoop, need, routines, workloads


class Programs(OnLoop):
    """What services do all day, with the task factory and without."""

    units: ClassVar[dict[str, int]] = {
        "create_tasks": 100_000,
        "ping_pong": 12_800,
        "chain_20": 12_800,
        "await_future": 12_800,
        "echo_100": 12_800,
    }
    params = (LOOPS, ["asyncio", "factory"], list(units))
    param_names = ("loop", "tasks", "program")
    needs = ("task_factory",)
    number = 1
    timeout = 120

    def prepare(self, tasks: str, program: str) -> None:
        """Set the factory, and find the program."""
        if tasks == "factory":
            self.loop.set_task_factory(routines.task_factory)
        self.program = workloads("workloads_asyncio", "workloads_citizen")[program]

    def time_program(self, _loop: str, _tasks: str, program: str) -> None:
        """As many tasks, round trips, switches, futures or lines as `units` says."""
        self.loop.run_until_complete(self.program(self.units[program]))

    def peakmem_program(self, _loop: str, _tasks: str, program: str) -> None:
        """The same, for what it takes at most."""
        self.loop.run_until_complete(self.program(self.units[program]))


class Saturated(OnLoop):
    """An echo server in a loop that ten pairs of routines keep busy; its client is a process of its own."""

    needs = ("channel", "go")
    timeout = 120

    def prepare(self, *_: Any) -> None:
        """Find the measuring."""
        need(*self.needs)
        workloads()  # where it lies
        if sys.platform == "win32":
            raise NotImplementedError("the loops here differ in what they can do with a process")
        import latency

        self.latency = latency

    def track_p99(self, _loop: str) -> float:
        """What one answer in a hundred takes longer than."""
        took = self.loop.run_until_complete(self.latency.measure(self.latency.saturate_with_routines, 1_000))
        return statistics.quantiles(took, n=100)[98] / 1e3

    track_p99.unit = "ms"  # type: ignore[attr-defined]
