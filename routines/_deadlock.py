"""Finds out that a program can never go on: every routine is parked, and nothing is left that could wake one.

A look at one loop is made by a callback on that loop, so nothing happens there meanwhile. A runtime with several workers asks each of them in
turn, over and over: only where all have been quiet for some rounds, and none of them has stepped a routine in between, has nobody
been woken behind the back of a look. Whoever might wake a routine and cannot be looked into counts as one who will: any other thread, a
signal handler, a loop of an unknown kind. So a deadlock may be missed, and never made up. The collector is run before the verdict: what it
ends may wake others.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import functools
import gc
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

from ._core import live_routines
from ._worker import Worker
from .debug import dump, is_quit_handler
from .errors import Deadlock

__all__: list[str] = []

PERIOD_SECONDS = 0.03
QUIET_ROUNDS = 3

# Of these alone: what another loop, even one derived from them, polls besides is not known.
LOOKED_INTO = {asyncio.SelectorEventLoop}
POOL_WORKER = concurrent.futures.thread._worker.__code__


def _stock_is_quiet(loop: Any) -> bool:
    watched = set(loop._selector.get_map()) - {loop._ssock.fileno()}
    timers = [each for each in loop._scheduled if not each.cancelled()]
    return not (loop._ready or timers or watched or loop._signal_handlers)


def _uvloop_is_quiet(loop: Any) -> bool:
    # Its fields are private to C. What it holds of callbacks, timers, transports, servers, processes and polls is in containers,
    # each of them empty but for the socket that wakes it.
    held = gc.get_referents(loop)
    own = {each.fileno() for each in held if type(each) is socket.socket}
    for each in held:
        if isinstance(each, (set, deque, list, WeakValueDictionary)) and len(each):
            return False
        if type(each) is dict and each is not vars(loop) and not set(each) <= own:
            return False
    return True


def _loop_is_quiet(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether nothing that is known to this loop will call anything again."""
    if type(loop) in LOOKED_INTO:
        return _stock_is_quiet(loop)
    return type(loop).__module__.partition(".")[0] == "uvloop" and _uvloop_is_quiet(loop)


def _uvloop_asks_for_names() -> bool:
    """Whether a look-up of a host is under way: nothing but itself holds it."""
    return any(
        type(each).__module__ == "uvloop.loop" and type(each).__name__.endswith("Request")
        for each in gc.get_objects()
    )


def _idles_in_a_pool(frame: Any) -> bool:
    """Whether it is a thread of an executor that has nothing to do."""
    if frame.f_code is not POOL_WORKER:
        return False
    names = frame.f_locals
    return names.get("work_item") is None and names["work_queue"].empty()


def _handles_signals() -> bool:
    """Whether a handler of the user's may run, and wake whom it likes."""
    if threading.main_thread().is_alive():
        for number in signal.valid_signals():
            handler: Any = signal.getsignal(number)
            if not callable(handler) or handler is signal.default_int_handler or is_quit_handler(handler):
                continue
            if isinstance(handler, functools.partial):
                handler = handler.func
            if getattr(handler, "__func__", None) is not asyncio.Runner._on_sigint:  # type: ignore[attr-defined]
                return True
    return False


class Watched:
    """A `run` that waits for its main."""

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine
        self.thread = threading.get_ident()
        self.error: Deadlock | None = None


class DeadlockWatch:
    """Looks at the workers of one runtime while a `run` is under way there."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._runs: list[Watched] = []
        self._ticking = False
        self._round = 0
        self._answers: dict[Worker, int | None] = {}
        self._last: tuple[int | None, ...] | None = None
        self._quiet_rounds = 0
        self._collected = False

    @contextlib.contextmanager
    def over(self, coroutine: Any) -> Iterator[Watched]:
        """While the block runs, it is looked whether the program can go on; where it cannot, what runs the coroutine is aborted."""
        run = Watched(coroutine)
        with self._lock:
            self._runs.append(run)
            if not self._ticking:
                self._ticking = True
                self._workers[0].loop.call_soon_threadsafe(self._tick)
        try:
            yield run
        finally:
            with self._lock:
                self._runs.remove(run)

    def _tick(self) -> None:
        with self._lock:
            if not self._runs:
                self._ticking = False
                return
        # Not here: uvloop still counts this timer as one to come.
        self._workers[0].loop.call_soon(self._look_and_go_on)

    def _look_and_go_on(self) -> None:
        loop = self._workers[0].loop
        try:
            self._look()
        finally:
            # The type's: a runtime without timers has this one all the same. Of the two, the one that does not call the other.
            if type(loop) in LOOKED_INTO:
                type(loop).call_at(loop, loop.time() + PERIOD_SECONDS, self._tick)
            else:
                type(loop).call_later(loop, PERIOD_SECONDS, self._tick)

    def _look(self) -> None:
        first, *others = self._workers
        stamps = (self._stamp(first), *(self._answers.get(worker) for worker in others))
        if None in stamps or stamps != self._last:
            self._quiet_rounds = 0
            self._collected = False
        else:
            self._quiet_rounds += 1
        self._last = stamps
        if self._quiet_rounds >= QUIET_ROUNDS and self._nobody_else():
            self._quiet_rounds = 0
            if self._collected:
                self._declare()
            else:
                self._collected = True
                gc.collect()
        self._round += 1
        self._answers = {}
        for worker in others:
            try:
                worker.loop.call_soon_threadsafe(self._asked, worker, self._round)
            except RuntimeError:
                if not worker.loop.is_closed():
                    raise
                self._answers[worker] = 0  # it has died, and wakes nobody

    def _asked(self, worker: Worker, number: int) -> None:
        # A turn later, when the loop has read the byte that woke it.
        worker.loop.call_soon(self._answer, worker, number)

    def _answer(self, worker: Worker, number: int) -> None:
        if number == self._round:
            self._answers[worker] = self._stamp(worker)

    def _stamp(self, worker: Worker) -> int | None:
        """None: there is something to do on its loop; else a number that changes with every step that it makes."""
        return worker.scheduler.activity if worker.scheduler.quiet and _loop_is_quiet(worker.loop) else None

    def _nobody_else(self) -> bool:
        """Whether there is no thread and no signal handler that could do something."""
        frames = sys._current_frames()
        with self._lock:
            ours = {run.thread for run in self._runs}
        ours |= {worker.scheduler.thread_id for worker in self._workers}
        for thread in {*frames, *(each.ident for each in threading.enumerate())} - ours:
            if thread not in frames or not _idles_in_a_pool(frames[thread]):
                return False
        if any(type(worker.loop) not in LOOKED_INTO for worker in self._workers) and _uvloop_asks_for_names():
            return False
        return not _handles_signals()

    def _declare(self) -> None:
        error = Deadlock(f"every routine is parked, and nothing can wake any of them\n\n{dump()}")
        with self._lock:
            runs = list(self._runs)
        coroutines = {id(run.coroutine): run for run in runs}
        for run in runs:
            if run.error is None:
                run.error = error
        for routine in live_routines():
            if id(routine.get_coro()) in coroutines:
                routine.abort("deadlock")
