"""What runs a program: its configuration, its worker threads, and the entry point."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from ._core import (
    Routine,
    close_quietly,
    duration_seconds,
    live_routines,
    read_stats,
    scheduler_for,
    set_debug,
    task_factory,
)
from ._deadlock import DeadlockWatch
from ._stats import RuntimeStats
from ._worker import ENDED, Worker, allow, end_all, restrict
from .debug import dump_on_quit, forget_quit
from .errors import Aborted, RuntimeClosed, SpawnError, Timeout

__all__ = ["Runtime", "RuntimeConfig", "run", "runtime"]

R = TypeVar("R")


@dataclasses.dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """How a runtime is to run; see `Runtime` and `run`.

    Attributes:
        worker_threads: how many threads there are, each with an event loop and a scheduler of its own; at least 1.
        thread_name: the threads are called ``<thread_name>-0`` and so on.
        enable_io: whether sockets, pipes and subprocesses may be used; where not, using one raises ``RuntimeError``.
        enable_time: whether ``sleep``, timers and timeouts may be used; where not, using one raises ``RuntimeError``.
        loop_factory: makes each worker's event loop, such as ``uvloop.new_event_loop``; None: asyncio's own.
        debug: asyncio's debug mode for each loop, and `set_debug`, which stays on; where the platform has SIGQUIT (Ctrl-\\ on a
            terminal) and the runtime is started on the main thread, that signal prints `dump` to stderr as long as it runs.
        detect_deadlock: whether `run` raises `Deadlock`, with the dump of all routines, where every routine is parked and nothing can
            wake any of them. Anything that might counts: a timer, a watched socket or process, a call that another thread works
            on, a signal handler, and any thread that is neither a worker nor an idle one of an executor, whatever it does. It
            takes some tenths of a second to be sure. On asyncio's selector loops and on uvloop; on others nothing is detected.

    Raises:
        ValueError: a field makes no sense; the message names it.
    """

    worker_threads: int = 1
    thread_name: str = "routines"
    enable_io: bool = True
    enable_time: bool = True
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    debug: bool = False
    detect_deadlock: bool = False

    def __post_init__(self) -> None:
        threads: object = self.worker_threads
        name: object = self.thread_name
        for field in ("enable_io", "enable_time", "debug", "detect_deadlock"):
            self._require(field, isinstance(getattr(self, field), bool), "True or False")
        number = isinstance(threads, int) and not isinstance(threads, bool) and threads >= 1
        self._require("worker_threads", number, "an int of at least 1")
        self._require("thread_name", isinstance(name, str) and name != "", "a str that is not empty")
        self._require(
            "loop_factory", self.loop_factory is None or callable(self.loop_factory), "callable, or None"
        )

    def _require(self, name: str, holds: object, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {what}, not {getattr(self, name)!r}")


def _coroutine_of(main: Any, caller: str) -> Coroutine[Any, Any, Any]:
    """What is to be run, of a coroutine or an async function."""
    coroutine = main() if not inspect.iscoroutine(main) and callable(main) else main
    if not asyncio.iscoroutine(coroutine):
        raise SpawnError(
            f"{caller}() takes a coroutine or an async function without arguments, not {main!r}"
            + ("" if coroutine is main else f", which returned {coroutine!r}")
        )
    return coroutine


def _refuse_inside_a_loop(main: Any, caller: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if inspect.iscoroutine(main):
        main.close()
    raise RuntimeError(
        f"{caller}() was called while an event loop runs on this thread; there, use 'await', go() or spawn()"
    )


class Runtime:
    """Worker threads, each with an event loop and a scheduler of its own.

    They are started by the constructor and run until `shutdown`, or until the ``with`` block is left. They are daemons: a process that
    ends takes them with it. Routines on different workers share channels, selects and joins as those on one worker do.

    Args:
        config: how it is to run; None: a `RuntimeConfig` as it comes.

    Example:
        >>> import routines
        >>> async def double(x):
        ...     return 2 * x
        >>> with routines.Runtime(routines.RuntimeConfig(worker_threads=2)) as rt:
        ...     rt.spawn(double(21)).join_blocking()
        42
    """

    def __init__(self, config: RuntimeConfig | None = None) -> None:
        self._set_up(config)
        self._start(self._named_workers(0))

    def _set_up(self, config: RuntimeConfig | None) -> None:
        if config is not None and not isinstance(config, RuntimeConfig):
            raise TypeError(f"config must be a RuntimeConfig, or None, not {config!r}")
        self.config = config if config is not None else RuntimeConfig()
        self._lock = (
            threading.Lock()
        )  # one decides whether a routine is started before the shutdown or refused after it
        self._closed = False
        self._workers: list[Worker] = []
        if self.config.debug:
            set_debug(True)
            dump_on_quit(self)
        self._watch = DeadlockWatch(self._workers) if self.config.detect_deadlock else None
        _runtimes.add(self)

    def _named_workers(self, first: int) -> list[Worker]:
        return [Worker(f"{self.config.thread_name}-{n}") for n in range(first, self.config.worker_threads)]

    def _start(self, workers: list[Worker]) -> None:
        """Start them, all or none."""
        for worker in workers:
            worker.start(self, self.config)
        try:
            for worker in workers:
                worker.wait_ready()
        except BaseException:
            self._closed = True
            for worker in workers:
                worker.ask_to_stop()
            raise
        self._workers += workers

    @classmethod
    def _around(cls, loop: asyncio.AbstractEventLoop, config: RuntimeConfig | None, name: str) -> Self:
        """One whose worker 0 is a loop that somebody else runs."""
        self = cls.__new__(cls)
        self._set_up(config)
        caller = Worker(name)
        caller.adopt(loop, self)
        self._workers.append(caller)
        return self

    def run(self, main: Coroutine[Any, Any, R] | Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Run ``main`` on worker 0 and wait for its end, from the outside. What it has started goes on.

        Ctrl-C cancels ``main``, and raises ``KeyboardInterrupt`` once it has ended.

        Args:
            main: a coroutine, or an async function without arguments.

        Returns:
            What ``main`` returned.

        Raises:
            RuntimeError: an event loop runs on this thread, or worker 0 has died.
            RuntimeClosed: the runtime is shut down.
            SpawnError: ``main`` is neither a coroutine nor an async function.
            Deadlock: nothing can go on any more, where the configuration has it detected; ``main`` is aborted then.
            BaseException: what ``main`` raised.
        """
        _refuse_inside_a_loop(main, "Runtime.run")
        self._refuse_if_closed(main)
        coroutine: Coroutine[Any, Any, R] = _coroutine_of(main, "Runtime.run")
        with self._detecting(coroutine):
            return self._run_on_first(coroutine)

    @contextlib.contextmanager
    def _detecting(self, coroutine: Coroutine[Any, Any, Any]) -> Iterator[None]:
        """Raise `Deadlock` where the coroutine cannot go on, if the configuration asks for it."""
        if self._watch is None:
            yield
            return
        with self._watch.over(coroutine) as watched:
            try:
                yield
            except BaseException as error:
                if watched.error is None:
                    raise
                ended = isinstance(error, (Aborted, asyncio.CancelledError))
                raise watched.error from (None if ended else error)
        if watched.error is not None:
            raise watched.error

    def _run_on_first(self, coroutine: Coroutine[Any, Any, R]) -> R:
        worker = self._workers[0]
        routine: Routine[R] = self.spawn(coroutine, worker=0)
        try:
            return routine.join_blocking()
        except Aborted as aborted:
            if worker.failure is not None:
                raise RuntimeError(f"{worker.name} has died of {worker.failure!r}") from worker.failure
            raise aborted
        except KeyboardInterrupt:
            if not routine.done():
                worker.loop.call_soon_threadsafe(routine.cancel, "Ctrl-C")
                with contextlib.suppress(BaseException):  # what came of it is of no interest now
                    routine.join_blocking()
            raise

    def spawn(self, coro: Coroutine[Any, Any, R], *, worker: int | str | None = None) -> Routine[R]:
        """Start a coroutine on a worker, from any thread.

        Args:
            coro: what calling an async function returned.
            worker: its number, or the name of its thread; None: the one with the fewest routines.

        Returns:
            The `Routine`. Coroutines anywhere can await it; a plain thread calls its `Routine.join_blocking`.

        Raises:
            SpawnError: ``coro`` is no coroutine, or was started already.
            RuntimeClosed: the runtime is shut down. The coroutine is closed.
            ValueError: there is no such worker. The coroutine is closed.
        """
        self._refuse_if_closed(coro)
        chosen = self._worker(worker, coro)
        with self._lock:
            self._refuse_if_closed(coro)
            if not chosen.alive:
                close_quietly(coro)
                raise RuntimeClosed(f"{chosen.name} has died of {chosen.failure!r}; start another runtime")
            return chosen.scheduler.spawn(coro)

    def _worker(self, which: int | str | None, coro: object) -> Worker:
        if which is None:
            alive = [worker for worker in self._workers if worker.alive]
            return min(alive or self._workers, key=lambda worker: worker.scheduler.load)
        for number, worker in enumerate(self._workers):
            if which == worker.name or (which == number and not isinstance(which, bool)):
                return worker
        names = ", ".join(worker.name for worker in self._workers)
        close_quietly(coro)
        raise ValueError(
            f"worker must be None, 0 … {len(self._workers) - 1}, or one of {names}, not {which!r}"
        )

    def _refuse_if_closed(self, coro: object = None) -> None:
        if self._closed:
            close_quietly(coro)
            raise RuntimeClosed("the runtime was shut down; start a new one")

    def stats(self) -> RuntimeStats:
        """What was done here and what lives here, at one instant; from any thread, in a few microseconds.

        Raises:
            RuntimeClosed: the runtime is shut down.

        Example:
            >>> import routines
            >>> async def main():
            ...     tx, rx = routines.channel(2)
            ...     await tx.send_many("ab")
            ...     stats = routines.runtime().stats()
            ...     return stats.sends, stats.receives
            >>> routines.run(main())
            (2, 0)
        """
        self._refuse_if_closed()
        return read_stats([worker.scheduler for worker in self._workers])

    def shutdown(self, timeout: float | timedelta | None = None) -> None:
        """End it: refuse new work, abort what runs, wait for its ``finally`` blocks, and stop the threads.

        Args:
            timeout: seconds as a float, or a timedelta; None waits for ever.

        Raises:
            Timeout: something did not end in time; the message lists it. The threads are daemons, and end with the process.
            RuntimeClosed: the runtime is shut down already.
            RuntimeError: called in one of its own routines, or for a loop that it has not started.
            ValueError: ``timeout`` is negative or NaN.
        """
        limit = None if timeout is None else duration_seconds(timeout, "timeout")
        self._refuse_on_own_thread()
        with self._lock:
            self._refuse_if_closed()
            self._closed = True
        deadline = None if limit is None else monotonic() + limit
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.join(deadline)
        forget_quit(self)
        stuck = [worker for worker in self._workers if worker.running]
        if stuck:
            loops = [worker.loop for worker in stuck]
            left = [repr(routine) for routine in live_routines() if routine.get_loop() in loops]
            raise Timeout(
                f"after {limit:g} s the shutdown still waits for {', '.join(worker.name for worker in stuck)}: "
                + ("; ".join(left) or "a callback that does not return")
            )

    def _refuse_on_own_thread(self) -> None:
        loop = asyncio._get_running_loop()
        for worker in self._workers:
            if worker.thread is None:
                raise RuntimeError(
                    "this runtime belongs to run(), or to a plain asyncio loop: it ends with that"
                )
            if worker.loop is loop:
                raise RuntimeError(
                    f"shutdown() was called on {worker.name}, which it waits for; call it from the outside"
                )

    async def _end_together(self) -> None:
        """End what runs on all workers; this is worker 0."""
        started = self._workers[1:]
        for worker in started:
            worker.ask_to_stop()
        await end_all(ENDED)
        for worker in started:
            await asyncio.wrap_future(worker.ended)

    def __enter__(self) -> Self:
        self._refuse_if_closed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(RuntimeClosed):
            self.shutdown()

    def __repr__(self) -> str:
        state = "shut down" if self._closed else "running"
        return f"<Runtime {state}, workers: {', '.join(worker.name for worker in self._workers)}>"


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()


def _close_in_child() -> None:
    # A child has the forking thread alone: no worker runs there.
    for each in list(_runtimes):
        if any(worker.thread is not None for worker in each._workers):
            each._closed = True
            each._lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork()
    os.register_at_fork(after_in_child=_close_in_child)


def runtime() -> Runtime:
    """The runtime of the loop that runs here; a plain asyncio loop has one too, with the calling thread as its only worker.

    Raises:
        RuntimeError: no event loop runs on this thread.
    """
    loop = asyncio.get_running_loop()
    scheduler = scheduler_for(loop)
    if scheduler.runtime is None:
        Runtime._around(loop, None, threading.current_thread().name)
    found: Runtime = scheduler.runtime
    return found


def run(
    main: Coroutine[Any, Any, R] | Callable[[], Coroutine[Any, Any, R]],
    *,
    config: RuntimeConfig | None = None,
) -> R:
    """Run a program: ``main`` on a fresh loop, every task there a routine.

    Signals and Ctrl-C arrive as under ``asyncio.run``: ``main`` is cancelled, and ``KeyboardInterrupt`` is raised once it has ended. When
    ``main`` is done, every other routine is aborted and awaited, so that its ``finally`` blocks run, and the loop is closed.

    Args:
        main: a coroutine, or an async function without arguments.
        config: how to run it. Worker 0 is the calling thread; the others, if any, are threads that end with ``main``. `runtime`
            gets at them.

    Returns:
        What ``main`` returned.

    Raises:
        SpawnError: ``main`` is neither a coroutine nor an async function.
        RuntimeError: a loop is running on this thread already.
        Deadlock: nothing can go on any more, where the configuration has it detected; ``main`` is aborted then.
        BaseException: what ``main`` raised.

    Example:
        >>> import routines
        >>> async def main():
        ...     return 42
        >>> routines.run(main)
        42
    """
    _refuse_inside_a_loop(main, "routines.run")
    if config is not None and not isinstance(config, RuntimeConfig):
        close_quietly(main)
        raise TypeError(f"config must be a RuntimeConfig, or None, not {config!r}")
    settings = config if config is not None else RuntimeConfig()
    coroutine = _coroutine_of(main, "run")
    with asyncio.Runner(debug=settings.debug or None, loop_factory=settings.loop_factory) as runner:
        loop = runner.get_loop()
        loop.set_task_factory(task_factory)
        here = Runtime._around(loop, settings, f"{settings.thread_name}-0")
        restrict(loop, settings)
        try:
            here._start(here._named_workers(1))
            with here._detecting(coroutine):
                result: R = runner.run(coroutine)
            return result
        finally:
            if (
                not inspect.iscoroutine(coroutine)
                or inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
            ):
                close_quietly(coroutine)  # one that runs is cancelled and awaited, as the others are
            here._closed = True
            if settings.worker_threads > 1:
                # Together, as what ends on one worker may need another for it.
                runner.run(here._end_together())
            allow(loop)
            forget_quit(here)
