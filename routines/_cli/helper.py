"""A thread that makes blocking calls for one routine and never holds up the end of the program.

`asyncio.to_thread` would do but for one thing: its threads are joined when the interpreter ends, so
one that waits for a pipe into which nobody writes would turn Ctrl-C into a hang. A helper's thread
is a daemon: left alone in its system call, it ends with the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

__all__ = ["Helper"]

P = ParamSpec("P")
R = TypeVar("R")

_Call = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Helper:
    """One daemon thread for blocking calls, one at a time; started by the first, ended by `with`.

    Use it from one routine. A cancelled call leaves its thread to finish alone, and what it then
    returns or raises is dropped.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        self._calls.put(None)
        # A busy one may be blocked for good: that was the routine's reason to go.
        if not self._busy:
            self._thread.join()

    async def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What `fn(*args, **kwargs)` returns or raises, computed in the helper's thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._busy = True
        self._calls.put((loop, future, lambda: fn(*args, **kwargs)))
        try:
            return await future
        finally:
            # A future that was given up, not settled: the thread is still on it.
            self._busy = future.cancelled() or not future.done()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            loop, future, fn = call
            result, error = None, None
            try:
                result = fn()
            except BaseException as raised:  # noqa: BLE001  it goes to whoever waits
                error = raised
            try:
                loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                # The loop is closed: the run was stopped while we were away.
                return
            # Or the last batch would stay alive while we wait for the next one.
            del call, future, fn, result, error


def _settle(future: asyncio.Future[R], result: R, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
