"""Virtual time: a clock that jumps to the next timer when nothing is ready."""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from routines._core import Scheduler, scheduler_for
from routines._worker import IO_METHODS
from routines.debug import dump
from routines.errors import Deadlock
from routines.runtime import RuntimeConfig, run

__all__ = ["VirtualClock", "VirtualClockLoop"]

R = TypeVar("R")

# The self-pipe is emptied every so many turns of a loop that is never idle; signal handlers of the loop's come through it.
TURNS_BETWEEN_POLLS = 64


class _ClockSelector(selectors.DefaultSelector):
    """What the loop waits in: it does not wait, but has the time pass."""

    loop: VirtualClockLoop | None
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The file descriptors that are ready, which is the loop's own self-pipe at most."""
        self.turns += 1
        if timeout is not None and timeout <= 0:
            return super().select(0) if self.turns % TURNS_BETWEEN_POLLS == 0 else []
        if events := super().select(0):
            return events
        assert self.loop is not None
        if self.loop.expects_threads(timeout is None):
            return super().select(None)
        if timeout is None:
            raise Deadlock("nothing is ready, and no timer is set: none of these can ever go on\n\n" + dump())
        self.loop.advance(timeout)
        return []


def _refusing(method: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_options: Any) -> NoReturn:
        raise RuntimeError(
            f"{method}() waits for the outside world, whose time is real, and this loop's is virtual; "
            "use channels or in-memory streams in its place, or a loop with real time"
        )

    return refuse


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual: where nothing is ready, it jumps to the next timer.

    It governs the timers of routines (`routines.sleep`, `routines.after`, `routines.Ticker`, `routines.timeout` and every other
    ``timeout``), and the loop's own: ``loop.time``, ``call_later``, ``asyncio.sleep``, ``asyncio.timeout``. An hour of sleep takes no
    time at all, and two sleeps of an hour and of an hour and a nanosecond end in that order. Time passes only while nothing is
    ready: code takes none. ``time.monotonic`` and the other clocks of the system are not touched.

    Sockets, pipes and subprocesses live in real time, so using one raises ``RuntimeError``. While a function runs in an executor
    (``asyncio.to_thread``), time stands still. Where nothing is ready, no timer is set and no other thread is there that might bring
    something, nothing can ever happen again: then `routines.Deadlock` is raised, whose text is the dump of all routines.

    Args:
        start: the time it begins at, in seconds.

    Example:
        >>> import asyncio, routines.testing
        >>> async def main():
        ...     await asyncio.sleep(3600)
        ...     return asyncio.get_running_loop().time()
        >>> with asyncio.Runner(loop_factory=routines.testing.VirtualClockLoop) as runner:
        ...     runner.run(main())
        3600.0
    """

    _clock_resolution: float  # asyncio's: how much later than now a timer may be that is due now

    def __init__(self, start: float = 0.0) -> None:
        selector = _ClockSelector()
        super().__init__(selector)
        selector.loop = self
        self._clock_selector = selector
        self._threads_at_start = set(threading.enumerate())
        self._in_executors = 0
        self._closed_at = start
        self._scheduler_here: Scheduler | None = scheduler_for(self)
        self._scheduler_here.set_virtual_time(round(start * 1e9))
        for method in IO_METHODS:
            if method not in {"getaddrinfo", "getnameinfo"}:  # these run in the executor
                setattr(self, method, _refusing(method))

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._closed_at if self._scheduler_here is None else self._scheduler_here.virtual_now / 1e9

    def advance(self, seconds: float) -> None:
        """Let so much time pass; what has become due by then runs in the next turn of the loop, in order."""
        if not seconds >= 0:
            raise ValueError(
                f"time does not go back: seconds must not be negative or NaN, but is {seconds!r}"
            )
        if self._scheduler_here is None:
            self._closed_at += seconds
            return
        self._scheduler_here.set_virtual_time(self._scheduler_here.virtual_now + round(seconds * 1e9))
        # After some months the loop's time, a float, is coarser than a nanosecond, and a timer would never be found due.
        self._clock_resolution = max(1e-9, 2 * math.ulp(self.time()))

    def expects_threads(self, idle: bool) -> bool:
        """Whether another thread is to bring something: one of an executor; or, where the loop is idle, any that was started since."""
        if self._in_executors:
            return True
        return idle and any(
            thread not in self._threads_at_start and not thread.name.startswith("asyncio_")
            for thread in threading.enumerate()
        )

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As asyncio's; until it is done, time stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._in_executors += 1
        future.add_done_callback(self._executed)
        return future

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """As asyncio's; no time passes meanwhile."""
        self._in_executors += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self._in_executors -= 1

    def _executed(self, _future: asyncio.Future[Any]) -> None:
        self._in_executors -= 1

    def close(self) -> None:
        """As asyncio's."""
        if self._scheduler_here is None:
            return
        super().close()
        self._closed_at = self.time()
        self._scheduler_here.set_virtual_time(None)
        # So all of them go at once, and not by the collector.
        self._scheduler_here = None
        self._clock_selector.loop = None


class VirtualClock:
    """A virtual clock, and the way to run a program on it; what the fixture ``virtual_clock`` gives a test.

    Args:
        start: the time it begins at, in seconds.

    Example:
        >>> import routines, routines.testing
        >>> clock = routines.testing.VirtualClock()
        >>> async def main():
        ...     tx, rx = routines.channel()
        ...     try:
        ...         async with routines.timeout(60):
        ...             await rx.recv()
        ...     except routines.Timeout:
        ...         return "late"
        >>> clock.run(main), clock.time()
        ('late', 60.0)
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._loop: VirtualClockLoop | None = None

    def new_event_loop(self) -> VirtualClockLoop:
        """A loop on this clock, for whatever takes a ``loop_factory``; one at a time. It begins where the last one ended."""
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                f"{self!r} drives {self._loop!r}; close that before it is to drive another one"
            )
        self._now = self.time()
        self._loop = VirtualClockLoop(self._now)
        return self._loop

    def run(self, main: Coroutine[Any, Any, R] | Callable[[], Coroutine[Any, Any, R]]) -> R:
        """`routines.run` on this clock.

        Args:
            main: a coroutine, or an async function without arguments.

        Returns:
            What ``main`` returned.

        Raises:
            Deadlock: nothing was ready, no timer was set, and ``main`` not done.
            BaseException: what ``main`` raised.
        """
        return run(main, config=RuntimeConfig(loop_factory=self.new_event_loop))

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._now if self._loop is None else self._loop.time()

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once, as if the code that calls this took so long.

        What has become due by then runs in the next turn of the loop, in order.

        Raises:
            ValueError: ``seconds`` is negative or NaN.
        """
        if self._loop is None:
            self._loop = VirtualClockLoop(self._now)
            self._loop.close()
        self._loop.advance(seconds)

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.time():g} s>"
