"""Makes ``asyncio.all_tasks()`` list live routines, at no cost to a routine.

asyncio keeps third-party tasks in a ``WeakSet`` that it iterates when somebody asks. Registering there costs about a microsecond a task, more than
the whole life of a routine; the scheduler has a list of its live routines anyway. So that set is told to yield those as well.
"""

from __future__ import annotations

import asyncio.tasks
import gc
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any
from weakref import WeakSet

from ._core import live_routines, register_each

__all__: list[str] = []


class _TasksAndRoutines(WeakSet[Any]):
    """asyncio's own set of scheduled tasks; iterating it yields the live routines too."""

    def __iter__(self) -> Iterator[Any]:
        return chain(super().__iter__(), live_routines())

    def __len__(self) -> int:
        return super().__len__() + len(live_routines())


def _sets_of_tasks() -> Iterator[WeakSet[Any]]:
    """The sets that asyncio looks into: the Python module's, and the compiled module's own, which has no name since 3.14."""
    for name in ("_all_tasks", "_scheduled_tasks"):  # up to 3.11, and since
        named = getattr(asyncio.tasks, name, None)
        if type(named) is WeakSet:
            yield named
    compiled = sys.modules.get("_asyncio")
    if compiled is not None:
        yield from (each for each in gc.get_referents(compiled) if type(each) is WeakSet)


def install() -> None:
    """Give asyncio's sets their new class. They stay the same objects, so whoever holds them, compiled or not, sees the routines."""
    found = list(_sets_of_tasks())
    for tasks in found:
        tasks.__class__ = _TasksAndRoutines
    if not _all_tasks_asks(found):
        # An asyncio that keeps its tasks in another way: then each routine is registered, as asyncio documents it.
        register_each(asyncio._register_task)


class _Probe(_TasksAndRoutines):
    """The same while it is tried out whether anybody iterates it."""

    asked = False

    def __iter__(self) -> Iterator[Any]:
        _Probe.asked = True
        return super().__iter__()


def _all_tasks_asks(found: list[WeakSet[Any]]) -> bool:
    """Whether `asyncio.all_tasks` iterates one of our sets; tried out, with a loop that nobody runs."""
    _Probe.asked = False
    for tasks in found:
        tasks.__class__ = _Probe
    try:
        asyncio.all_tasks(loop=object())  # type: ignore[arg-type]
    finally:
        for tasks in found:
            tasks.__class__ = _TasksAndRoutines
    return _Probe.asked
