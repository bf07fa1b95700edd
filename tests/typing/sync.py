# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Groups, locks and contexts as users write them; checked, not run."""

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, assert_type

from routines import (
    Cond,
    Mutex,
    Once,
    Routine,
    RWMutex,
    Semaphore,
    WaitGroup,
    context,
    go,
    group,
    select,
)


async def double(number: int) -> int:
    return 2 * number


async def locking() -> None:
    mutex = Mutex()
    operation: Coroutine[Any, Any, None] = mutex.lock()
    await operation
    mutex.unlock()
    assert_type(mutex.try_lock(), bool)
    async with mutex:
        pass
    lock = RWMutex()
    async with lock.reading():
        pass
    async with lock:
        assert_type(lock.try_rlock(), bool)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(mutex)
        await stack.enter_async_context(lock.reading())
    semaphore = Semaphore(3)
    await semaphore.acquire(2)
    semaphore.release(k=2)
    async with semaphore:
        assert_type(semaphore.try_acquire(), bool)
    go(mutex.lock())
    go(mutex.lock)


async def waiting() -> None:
    cond = Cond(Mutex())
    items = [1]
    assert_type(await cond.wait_for(lambda: items), list[int])
    await cond.wait()
    cond.signal()
    cond.broadcast()
    once = Once()
    assert_type(await once.do(double, 1), int)
    assert_type(await once.do(double, number=1), int)
    wg = WaitGroup()
    assert_type(wg.go(double, 1), Routine[int])
    wg.add()
    wg.add(-1)
    wg.done()
    await wg.wait()


async def grouping() -> None:
    async with group(limit=3) as g:
        assert_type(g, group)
        assert_type(g.go(double, 1), Routine[int])
        assert_type(g.go(double(1)), Routine[int])
        g.abort("enough")


async def under_a_context() -> None:
    ctx, cancel = context.with_timeout(context.background(), 1.0)
    ctx, cancel = context.with_timeout(ctx, timedelta(seconds=1))
    ctx, cancel = context.with_deadline(ctx, 1.0)
    ctx, cancel = context.with_cancel(context.with_value(ctx, "key", 1))
    assert_type(cancel, context.CancelFunction)
    assert_type(ctx, context.Context)
    assert_type(ctx.deadline(), float | None)
    await select(ctx.done(), timeout=1)
    cancel()
    cancel(ValueError())
    if (error := ctx.err()) is not None:
        raise error


async def mistakes() -> None:
    Semaphore()  # type: ignore[call-arg]
    Cond(RWMutex())  # type: ignore[arg-type]
    group("many")  # type: ignore[arg-type]
    context.with_cancel(None)  # type: ignore[arg-type]
    context.Context()
    Mutex().lock()  # type: ignore[unused-coroutine]
    WaitGroup().go(double, "text")  # type: ignore[call-overload]
    await Once().do(double)  # type: ignore[call-arg]
