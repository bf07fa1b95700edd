"""The entry point of a program."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ._core import task_factory
from .errors import SpawnError

__all__ = ["run"]

R = TypeVar("R")


def run(main: Coroutine[Any, Any, R] | Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a program: ``main`` on a fresh loop, every task there a routine.

    Signals and Ctrl-C arrive as under ``asyncio.run``: ``main`` is cancelled, and ``KeyboardInterrupt`` is raised once it has ended. When
    ``main`` is done, every other routine is aborted and awaited, so that its ``finally`` blocks run, and the loop is closed.

    Args:
        main: a coroutine, or an async function without arguments.

    Returns:
        What ``main`` returned.

    Raises:
        SpawnError: ``main`` is neither a coroutine nor an async function.
        RuntimeError: a loop is running on this thread already.
        BaseException: what ``main`` raised.

    Example:
        >>> import routines
        >>> async def main():
        ...     return 42
        >>> routines.run(main)
        42
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        if inspect.iscoroutine(main):
            main.close()
        raise RuntimeError(
            "routines.run() was called while an event loop runs on this thread; there, use 'await', go() or spawn()"
        )
    coroutine = main() if not inspect.iscoroutine(main) and callable(main) else main
    if not asyncio.iscoroutine(coroutine):
        raise SpawnError(
            f"run() takes a coroutine or an async function without arguments, not {main!r}"
            + ("" if coroutine is main else f", which returned {coroutine!r}")
        )
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(task_factory)
        result: R = runner.run(coroutine)
        return result
