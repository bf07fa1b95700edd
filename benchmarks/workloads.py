"""What is measured: the workloads, the contestants, and the bars that `routines` has to meet.

To add a row: a `Workload` here, a function of the same name in each `workloads_*.py` (and in
`go/main.go`) that takes part, and a `Bar` for each promise about it.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGES = 12_800
"""Messages of one run: divides by 64 (a batch) and by 10 (producers, spinners)."""

BURST = 1_280
"""Routines alive at once when spawning; Go slows down threefold at ten times as many."""


SLEEPERS = 10_000
"""Sleepers at once."""

MEMBERS = 1_000
"""Routines of one group."""


@dataclass(frozen=True)
class Workload:
    """One piece of work that each contestant does in the same amount."""

    name: str
    title: str
    unit: str
    count: int
    """Units in one run; a measurement is as many runs as fill its time."""


@dataclass(frozen=True)
class Bar:
    """A promise: `subject` takes at most `ratio` times what `rival` takes, or at most `limit`.

    `ratio` below one reads "at least 1/ratio times faster". A bar without a rival holds the
    subject to `limit`, an absolute figure in the workload's unit (nanoseconds or bytes).
    """

    workload: str
    rival: str | None = None
    ratio: float | None = None
    limit: float | None = None
    subject: str = "routines"
    rival_workload: str | None = None
    """Where the rival's figure is from; None: the same workload."""

    def __post_init__(self) -> None:
        compared = self.rival is not None
        if compared is (self.ratio is None) or compared is (self.limit is not None):
            raise ValueError(f"a bar is a rival with a ratio, or a limit alone: {self!r}")

    @property
    def text(self) -> str:
        """The promise in words."""
        if self.ratio is None:
            return f"≤ {self.limit:,.0f}"
        if self.ratio < 1:
            words = f"≥ {1 / self.ratio:g} × faster than {self.rival}"
        else:
            words = f"≤ {self.ratio:g} × {self.rival}"
        return words if self.rival_workload is None else f"{words} ({self.rival_workload})"


CONTESTANTS = {
    "routines": "routines on the stock loop",
    "tasks": "plain asyncio tasks over a channel of routines",
    "asyncio": "asyncio tasks and asyncio.Queue on the stock loop",
    "uvloop": "the same on uvloop",
    "factory": "asyncio's workloads on the stock loop, with the task factory of routines",
    "gevent": "greenlets and gevent.queue.Queue",
    "go1": "Go, GOMAXPROCS=1",
    "go2": "Go, GOMAXPROCS=2",
    "floor": "what the interpreter itself takes (floor.pyx)",
}

WORKLOADS = (
    Workload("unbuffered", "unbuffered", "message", MESSAGES),
    Workload("capacity64", "capacity 64", "message", MESSAGES),
    Workload("batches64", "batches of 64", "value", MESSAGES),
    Workload("ping_pong", "ping-pong", "round trip", MESSAGES),
    Workload("many_to_one", "10 producers, 1 consumer", "message", MESSAGES),
    Workload("fan_out_fan_in", "fan-out, fan-in, 5 workers", "message", MESSAGES),
    Workload("spawn", "spawn to end", "routine", BURST),
    Workload("yielding", "yield, 10 routines", "switch", MESSAGES),
    Workload("deep_chain", "yield below 10 awaits", "switch", MESSAGES),
    Workload("select_ready", "select of 2, one ready", "select", MESSAGES),
    Workload("select_builder", "the same with handlers", "select", MESSAGES),
    Workload("select_blocked", "select of 2, blocked", "message", MESSAGES),
    Workload("select_timeout", "the same with a timeout", "message", MESSAGES),
    Workload("select_blocked_10", "select of 10, blocked", "message", MESSAGES),
    Workload("select_blocked_100", "select of 100, blocked", "message", MESSAGES),
    Workload("select_default", "select of 2, default", "select", MESSAGES),
    Workload("selector_2", "Selector over 2", "turn", MESSAGES),
    Workload("selector_1000", "Selector over 1,000", "turn", MESSAGES),
    Workload("broadcast_100", "broadcast to 100 subscribers", "delivery", MESSAGES),
    Workload("watch_10", "watch, 10 readers", "update", MESSAGES),
    Workload("watch_10_million", "the same, 1,000,000 updates in a row", "update", 1_000_000),
    Workload("timeout_unused", "timeout that is not needed", "timeout", MESSAGES),
    Workload("mutex", "mutex that is free", "lock", MESSAGES),
    Workload("mutex_contended", "mutex, 10 contend", "lock", MESSAGES),
    Workload("wait_group", "wait group of 1,000", "routine", MEMBERS),
    Workload("wait_group_by_hand", "the same, add and done", "routine", MEMBERS),
    Workload("group_all", "group of 1,000", "routine", MEMBERS),
    Workload("sleepers_wall", "10,000 sleepers of 10 ms, time in all", "sleeper", SLEEPERS),
    Workload("sleepers_late", "the same, lateness at p50", "sleeper", SLEEPERS),
    Workload("create_tasks", "100,000 tasks", "task", 100_000),
    Workload("chain_20", "sleep(0) below 20 awaits", "switch", MESSAGES),
    Workload("await_future", "await a future", "future", MESSAGES),
    Workload("echo_100", "echo server, 100 clients", "line", MESSAGES),
)
"""Go does a `Selector`'s work with `reflect.Select`, whose number of cases is free too."""

PARKED = Workload("parked", "parked, 100,000", "routine", 100_000)
"""Bytes instead of nanoseconds, in a process of its own; see `memory.py`."""

PARKED_MILLION = Workload("parked_million", "parked, 1,000,000, run to end", "routine", 1_000_000)

BARS = (
    Bar("unbuffered", "go1", 1.3),
    Bar("unbuffered", "asyncio", 1 / 30),
    Bar("unbuffered", "asyncio", 1 / 3, subject="tasks"),
    Bar("capacity64", "floor", 1.5),
    Bar("capacity64", "asyncio", 1 / 6),
    Bar("capacity64", "gevent", 1.0),
    Bar("batches64", "go1", 1.0),
    Bar("ping_pong", "go1", 1.1),
    Bar("many_to_one", "go1", 1.4),
    Bar("fan_out_fan_in", "go1", 1.4),
    Bar("spawn", "go1", 1.8),
    Bar("spawn", "asyncio", 1 / 6),
    Bar("yielding", "go1", 1.6),
    Bar("yielding", "asyncio", 1 / 12),
    Bar("deep_chain", "asyncio", 1.0),
    Bar("select_ready", "go1", 3.5),
    Bar("select_ready", limit=500),
    Bar("select_ready", "asyncio", 1 / 40),
    Bar("select_builder", "go1", 6.0),
    Bar("select_builder", limit=1_000),
    Bar("select_blocked", "go1", 1.3),
    Bar("select_blocked", "asyncio", 1 / 40),
    Bar("select_timeout", "go1", 1.0),
    Bar("select_blocked_10", "go1", 1.0),
    Bar("select_blocked_100", "go1", 0.5),
    Bar("select_default", "go1", 3.0),
    Bar("selector_1000", "routines", 1.5, rival_workload="selector_2"),
    Bar("selector_1000", "go1", 0.05),
    Bar("broadcast_100", limit=200),
    Bar("broadcast_100", "asyncio", 1 / 5),
    Bar("watch_10_million", "routines", 1.2, rival_workload="watch_10"),
    Bar("timeout_unused", "asyncio", 0.15),
    Bar("mutex", "asyncio", 0.5),
    Bar("mutex_contended", "asyncio", 0.2),
    Bar("wait_group", "go1", 1.5),
    Bar("wait_group_by_hand", "go1", 1.5),
    Bar("group_all", "asyncio", 0.3),
    Bar("sleepers_wall", "go1", 2.0),
    Bar("sleepers_wall", "asyncio", 1 / 3),
    Bar("sleepers_late", "go1", 2.0),
    Bar("sleepers_late", "asyncio", 1 / 3),
    Bar("create_tasks", "asyncio", 1.0, subject="factory"),
    Bar("ping_pong", "asyncio", 1.0, subject="factory"),
    Bar("chain_20", "asyncio", 1.0, subject="factory"),
    Bar("await_future", "asyncio", 1.0, subject="factory"),
    Bar("echo_100", "asyncio", 1.0, subject="factory"),
    Bar("parked", limit=700),
    Bar("parked_million", limit=700),
)
