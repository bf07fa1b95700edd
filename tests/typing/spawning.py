# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Routines as users write them; checked, not run."""

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Any, assert_type

import routines
from routines import Aborted, Routine, current, go, spawn, yield_now


async def double(number: int) -> int:
    return 2 * number


async def greet(name: str, /, *, shout: bool = False) -> str:
    return name.upper() if shout else name


class Service:
    async def call(self, *numbers: int) -> list[int]:
        return list(numbers)


def not_async_itself(number: int) -> Coroutine[Any, Any, bytes]:
    raise NotImplementedError


async def starting() -> None:
    assert_type(go(double, 21), Routine[int])
    assert_type(go(double, number=21), Routine[int])
    assert_type(go(greet, "you", shout=True), Routine[str])
    assert_type(go(Service().call, 1, 2, 3), Routine[list[int]])
    assert_type(go(not_async_itself, 1), Routine[bytes])
    assert_type(go(double(21)), Routine[int])
    go(double, 21)  # fire and forget
    assert_type(spawn(double(21)), Routine[int])
    assert_type(spawn(double(21), name="doubler", context=copy_context()), Routine[int])
    assert_type(Routine(double(21), name="doubler"), Routine[int])
    assert_type(current(), Routine[Any] | None)
    await assert_type(yield_now(), Awaitable[None])


async def outcome(routine: Routine[int]) -> None:
    operation: Coroutine[Any, Any, int] = routine.join()
    assert_type(await operation, int)
    assert_type(await asyncio.gather(routine.join(), go(double, 1).join()), tuple[int, int])
    assert_type(await routine.join(0.5), int)
    assert_type(await routine.join(timeout=timedelta(seconds=1)), int)
    assert_type(await routine, int)
    assert_type(routine.result(), int)
    assert_type(routine.exception(), BaseException | None)
    assert_type(routine.done(), bool)
    assert_type(routine.cancelled(), bool)
    assert_type(routine.id, int)
    waits: str = routine.state
    print(waits)


async def stopping(routine: Routine[int]) -> None:
    assert_type(routine.abort(), bool)
    assert_type(routine.abort("enough"), bool)
    assert_type(routine.cancel(), bool)
    assert_type(routine.cancel(msg="enough"), bool)
    assert_type(routine.cancelling(), int)
    assert_type(routine.uncancel(), int)
    try:
        await routine.join()
    except Aborted as aborted:
        print(aborted.reason)


def details(routine: Routine[int]) -> None:
    assert_type(routine.get_name(), str)
    routine.set_name("other")
    coroutine: Coroutine[Any, Any, int] = routine.get_coro()
    print(coroutine)
    assert_type(routine.get_context(), Context)
    assert_type(routine.get_loop(), asyncio.AbstractEventLoop)
    print(routine.get_stack(limit=1))
    routine.print_stack()


def called_back(routine: Routine[int]) -> None:
    print(routine.result())


async def in_asyncio(routine: Routine[int], other: Routine[str]) -> None:
    # A routine goes wherever asyncio takes a task.
    assert_type(await asyncio.gather(routine, other), tuple[int, str])
    assert_type(await asyncio.wait_for(routine, 1.0), int)
    assert_type(await asyncio.shield(routine), int)
    done, pending = await asyncio.wait({routine})
    assert_type(done, set[Routine[int]])
    assert_type(pending, set[Routine[int]])
    for first in asyncio.as_completed([routine]):
        assert_type(await first, int)
    task: asyncio.Task[int] = routine
    future: asyncio.Future[int] = routine
    print(task, future)
    routine.add_done_callback(called_back)
    assert_type(routine.remove_done_callback(called_back), int)
    asyncio.get_running_loop().set_task_factory(routines.task_factory)


def covariance(routine: Routine[bool]) -> Routine[int]:
    return routine


def entry_points() -> None:
    assert_type(routines.run(double(21)), int)

    async def main() -> str:
        return "done"

    assert_type(routines.run(main), str)
    routines.set_debug(True)
