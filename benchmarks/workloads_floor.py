"""The workloads with nothing but the interpreter in them: `floor` is compiled from `floor.pyx`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import building

floor = building.import_floor()

SPINNERS = 10
DEPTH = 10


async def poke(point: Any, count: int) -> None:
    """A send and a receive that both complete at once, `count` times."""
    for i in range(count):
        await point.poke(i)
        await point.poke0()


def capacity64(count: int) -> None:
    """Pass `count` messages through a channel that is not there."""
    try:
        poke(floor.Point(), count).send(None)
    except StopIteration:
        return
    raise AssertionError("the floor suspended where it was to complete at once")


async def spin(pause: Any, switches: int) -> None:
    """Suspend `switches` times."""
    for _ in range(switches):
        await pause.once()


async def descend(depth: int, pause: Any, switches: int) -> None:
    """Suspend `switches` times below `depth` awaiting coroutines."""
    if depth > 1:
        await descend(depth - 1, pause, switches)
    else:
        await spin(pause, switches)


def yielding(count: int) -> None:
    """Make `count` switches among ten coroutines."""
    floor.resume_all([spin(floor.Pause(), count // SPINNERS) for _ in range(SPINNERS)])


def deep_chain(count: int) -> None:
    """Make `count` switches among ten coroutines, each below ten awaits."""
    share = count // SPINNERS
    floor.resume_all([descend(DEPTH, floor.Pause(), share) for _ in range(SPINNERS)])


WORKLOADS: dict[str, Callable[[int], None]] = {
    "capacity64": capacity64,
    "yielding": yielding,
    "deep_chain": deep_chain,
}
