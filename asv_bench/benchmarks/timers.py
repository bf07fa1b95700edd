"""Timers: those that never fire, which are most, and many that do."""

from __future__ import annotations

import time
import timeit
from typing import Any

from .common import MESSAGES, OnLoop, routines

SLEEPERS = 10_000


class Unused(OnLoop):
    """Timers that are started and called off."""

    needs = ("timeout", "after", "Ticker")

    def time_timeout(self, _loop: str) -> None:
        """MESSAGES timeouts whose block is over at once."""
        self.run(self.enter_and_leave())

    def time_after(self, _loop: str) -> None:
        """MESSAGES timers made and dropped."""
        self.run(self.make_and_drop())

    def time_ticker_reset(self, _loop: str) -> None:
        """MESSAGES resets of one ticker."""
        self.run(self.reset())

    async def enter_and_leave(self) -> None:
        """Do the work of `time_timeout`."""
        for _ in range(MESSAGES):
            async with routines.timeout(60.0):
                pass

    async def make_and_drop(self) -> None:
        """Do the work of `time_after`."""
        for _ in range(MESSAGES):
            routines.after(60.0)

    async def reset(self) -> None:
        """Do the work of `time_ticker_reset`."""
        ticker = routines.Ticker(60.0)
        for _ in range(MESSAGES):
            ticker.reset(50.0)
        ticker.stop()


class Sleepers(OnLoop):
    """Ten thousand that sleep at once."""

    needs = ("go", "sleep")
    timeout = 120

    timer = timeit.default_timer  # they do wait

    def time_sleep_hardly(self, _loop: str) -> None:
        """SLEEPERS sleeps of a nanosecond: what the timers cost, without the waiting."""
        self.run(self.sleep(1e-9))

    def time_sleep(self, _loop: str) -> None:
        """SLEEPERS sleeps of 10 ms at once, which is what this takes at least."""
        self.run(self.sleep(0.010))

    def track_lateness(self, _loop: str) -> float:
        """How late half of SLEEPERS sleeps of 10 ms are at most; lateness is what there is to see, so they do sleep."""
        late: list[float] = self.run(self.sleep(0.010))
        return sorted(late)[SLEEPERS // 2] * 1e3

    track_lateness.unit = "ms"  # type: ignore[attr-defined]

    async def sleep(self, seconds: float) -> list[float]:
        """Start SLEEPERS sleepers and wait for them; how late each was, in seconds."""
        late: list[float] = []
        for sleeper in [routines.go(self.nap(seconds, late)) for _ in range(SLEEPERS)]:
            await sleeper
        return late

    async def nap(self, seconds: float, late: Any) -> None:
        """Sleep once."""
        due = time.monotonic() + seconds
        await routines.sleep(seconds)
        late.append(time.monotonic() - due)
