# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Time as users write it; checked, not run."""

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, assert_type

from routines import Receiver, Ticker, after, sleep, timeout


async def sleeping() -> None:
    operation: Coroutine[Any, Any, None] = sleep(1)
    await operation
    await sleep(0.5)
    await sleep(timedelta(seconds=1))


async def ticking() -> None:
    assert_type(after(1), Receiver[float])
    assert_type(await after(timedelta(seconds=1)).recv(), float)
    ticker = Ticker(0.5)
    receiver: Receiver[float] = ticker
    print(receiver)
    ticker.reset(timedelta(seconds=1))
    async for now in ticker:
        assert_type(now, float)
        ticker.stop()


async def limiting() -> None:
    async with timeout(1.0) as limit:
        assert_type(limit, timeout)
        limit.reschedule(None)
        limit.reschedule(timedelta(seconds=1))
    assert_type(limit.expired, bool)
    async with AsyncExitStack() as stack:
        assert_type(await stack.enter_async_context(timeout(None)), timeout)
