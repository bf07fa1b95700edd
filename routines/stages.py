"""Stages of a pipeline: what users write the same ten lines for each time.

Each function but `into` and `collect` starts routines and returns the receiver of what they send; with ``stages.map(fn, rx)`` and the
others by their full names nothing of Python's own is hidden. What they have in common:

- **Ownership.** A stage owns the receivers that it is given and closes them when it ends; pass a clone to keep one. It ends when its
  input does, when it fails, or when the receiver it returned is closed or dropped: then its routines are aborted, and so a whole
  pipeline stops from its end to its beginning.
- **Failure.** Where a function that it was given raises, or an input was closed with a cause, the receiver gets what was sent until then, and
  after that every `ChannelClosed` has that exception as its ``__cause__``. The same exception closes the inputs. ``async for``
  ends as it does with any closed channel; `collect` and `into` raise.
- **Nothing is lost** while somebody receives: each value that was taken from the input is sent before the stage ends, also where the
  input ends with a cause. Only a stage whose own function raises, or that is cancelled as a routine, drops what its routines have in hand.
- **Backpressure.** ``capacity`` is that of the channel it returns; by default a value is worked on only when the one before was taken.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast, overload

from ._channel import Channel, Receiver, Sender, channel, give_back
from ._core import Routine, current, duration_seconds, spawn
from ._select import select
from ._timer import sleep
from .errors import ChannelClosed, RecvError, Timeout

__all__ = ["batch", "collect", "filter", "into", "map", "merge", "pipe", "throttle"]

_T = TypeVar("_T")
_R = TypeVar("_R")


class _Ended(Exception):
    """There is no more input; its cause is that of the input."""


async def _next(rx: Receiver[_T]) -> _T:
    """The next value of an input."""
    try:
        return await rx.recv()
    except ChannelClosed as error:
        raise _Ended from error.__cause__


class _Stage(Generic[_R]):
    """The routines of one stage, and the ends that they close together. It does not hold the receiver, so that dropping that
    one ends the stage."""

    def __init__(self, name: str, sources: tuple[Receiver[Any], ...]) -> None:
        self.name = name
        self.sources = sources
        self.tx: Sender[_R]
        self.routines: set[Routine[Any]] = set()
        self.workers = 0
        self.cause: BaseException | None = None

    def open(self, capacity: float) -> Receiver[_R]:
        """Its output."""
        self.tx, rx = channel(capacity)
        self.spawn(self._stop_when_unwanted())
        return rx

    def spawn(self, coro: Coroutine[Any, Any, _T]) -> Routine[_T]:
        """A routine that ends with the stage."""
        routine = spawn(coro, name=self.name)
        self.routines.add(routine)
        routine.add_done_callback(self.routines.discard)
        return routine

    def start(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """A worker: the stage ends with its last one."""
        self.workers += 1
        self.spawn(self._run(work, args))

    async def _run(self, work: Callable[..., Awaitable[None]], args: tuple[Any, ...]) -> None:
        try:
            await work(self, *args)
        except _Ended as ended:
            if ended.__cause__ is not None and self.cause is None:
                # The others take nothing more, and send what they have.
                self.cause = ended.__cause__
                self._close_sources(self.cause)
        except BaseException as error:
            # Downstream hears of it; where downstream is gone, this is how a worker ends, and no failure.
            self.end(None if isinstance(error, ChannelClosed) and self.tx.closed else error)
            if not isinstance(error, Exception):
                raise
        self.workers -= 1
        if self.workers == 0:
            self.end(self.cause)

    async def _stop_when_unwanted(self) -> None:
        await self.tx.wait_closed()
        self.end(None)

    def _close_sources(self, cause: BaseException | None) -> None:
        for each in self.sources:
            each.close(cause)

    def end(self, cause: BaseException | None) -> None:
        """Close all ends, and abort whoever still works."""
        self.tx.close(cause)
        self._close_sources(cause)
        running = current()
        for each in tuple(self.routines):
            if each is not running:
                each.abort()


def _check_receiver(rx: Any) -> None:
    if not isinstance(rx, (Receiver, Channel)):
        raise TypeError(
            f"a stage receives from a receiver or a channel, not from {rx!r}; pipe() makes a receiver of an iterable"
        )


def _check_count(value: Any, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")


def _check_callable(fn: Any) -> None:
    if not callable(fn):
        raise TypeError(f"a stage calls a function, not {fn!r}")


# ---------------------------------------------------------------------------------------------------------------------
# Many into one


async def _forward(stage: _Stage[_T], rx: Receiver[_T]) -> None:
    while True:
        await stage.tx.send(await _next(rx))


def merge(*receivers: Receiver[_T], capacity: float = 0) -> Receiver[_T]:
    """Everything from all of these receivers, as it comes; in order as far as it is from the same one. Go's fan-in.

    It ends when all have ended, or with the first one that was closed with a cause.

    Args:
        receivers: any number.
        capacity: of the channel it returns.

    Raises:
        TypeError: one of them is no receiver.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def numbers(*values):
        ...     for value in values:
        ...         yield value
        >>> async def main():
        ...     return sorted(await stages.collect(stages.merge(stages.pipe(numbers(1, 3)), stages.pipe(numbers(2)))))
        >>> routines.run(main())
        [1, 2, 3]
    """
    for each in receivers:
        _check_receiver(each)
    stage: _Stage[_T] = _Stage("stages.merge", receivers)
    merged = stage.open(capacity)
    for each in receivers:
        stage.start(_forward, each)
    if not receivers:
        stage.end(None)
    return merged


# ---------------------------------------------------------------------------------------------------------------------
# A function over each value


Emit = Callable[[Sender[Any], Any, Any], Awaitable[None]]


async def _send_result(tx: Sender[Any], value: Any, result: Any) -> None:
    await tx.send(result)


async def _send_if_kept(tx: Sender[Any], value: Any, result: Any) -> None:
    if result:
        await tx.send(value)


async def _call(fn: Callable[[Any], Any], value: Any) -> Any:
    result = fn(value)
    return await result if inspect.isawaitable(result) else result


async def _apply(stage: _Stage[Any], rx: Receiver[Any], fn: Callable[[Any], Any], emit: Emit) -> None:
    while True:
        value = await _next(rx)
        await emit(stage.tx, value, await _call(fn, value))


async def _attempt(fn: Callable[[Any], Any], value: Any) -> tuple[Any, Any, Exception | None]:
    try:
        return value, await _call(fn, value), None
    except Exception as error:  # noqa: BLE001 - it is raised in its turn
        return value, None, error


async def _apply_side_by_side(
    stage: _Stage[Any], rx: Receiver[Any], fn: Callable[[Any], Any], begun: Sender[Routine[Any]]
) -> None:
    """Start the function on each value; the channel of what was begun keeps their order and bounds their number."""
    while True:
        try:
            value = await _next(rx)
        except _Ended as ended:
            begun.close(ended.__cause__)
            return
        await begun.send(stage.spawn(_attempt(fn, value)))


async def _emit_in_order(stage: _Stage[Any], begun: Receiver[Routine[Any]], emit: Emit) -> None:
    while True:
        value, result, error = await (await _next(begun))
        if error is not None:
            raise error
        await emit(stage.tx, value, result)


def _applied(
    name: str,
    fn: Callable[[Any], Any],
    rx: Receiver[Any],
    emit: Emit,
    workers: int,
    ordered: bool,
    capacity: float,
) -> Receiver[Any]:
    _check_callable(fn)
    _check_receiver(rx)
    _check_count(workers, "workers")
    stage: _Stage[Any] = _Stage(name, (rx,))
    out = stage.open(capacity)
    if ordered and workers > 1:
        # One waits to be entered here, and one is waited for.
        begun_tx, begun = cast("tuple[Sender[Routine[Any]], Receiver[Routine[Any]]]", channel(workers - 2))
        stage.start(_apply_side_by_side, rx, fn, begun_tx)
        stage.start(_emit_in_order, begun, emit)
    else:
        for _ in range(workers):
            stage.start(_apply, rx, fn, emit)
    return out


@overload
def map(
    fn: Callable[[_T], Awaitable[_R]],
    rx: Receiver[_T],
    *,
    workers: int = 1,
    ordered: bool = True,
    capacity: float = 0,
) -> Receiver[_R]: ...
@overload
def map(
    fn: Callable[[_T], _R],
    rx: Receiver[_T],
    *,
    workers: int = 1,
    ordered: bool = True,
    capacity: float = 0,
) -> Receiver[_R]: ...
def map(
    fn: Callable[[_T], Any],
    rx: Receiver[_T],
    *,
    workers: int = 1,
    ordered: bool = True,
    capacity: float = 0,
) -> Receiver[Any]:
    """What a function makes of each value.

    Args:
        fn: takes a value; an async function, or a plain one that returns soon.
        rx: where the values come from.
        workers: on how many values it works at once.
        ordered: results come in the order of the values, and a slow one holds up those behind it; False: as they are done.
        capacity: of the channel it returns.

    Raises:
        TypeError: ``fn`` cannot be called, ``rx`` is no receiver, or ``workers`` no int.
        ValueError: ``workers`` is below 1.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def double(number):
        ...     await routines.sleep(0.001)
        ...     return number * 2
        >>> async def main():
        ...     tx, rx = routines.channel(3)
        ...     with tx:
        ...         await tx.send_many([1, 2, 3])
        ...     return await stages.collect(stages.map(double, rx, workers=3))
        >>> routines.run(main())
        [2, 4, 6]
    """
    return _applied("stages.map", fn, rx, _send_result, workers, ordered, capacity)


def filter(
    fn: Callable[[_T], Any],
    rx: Receiver[_T],
    *,
    workers: int = 1,
    ordered: bool = True,
    capacity: float = 0,
) -> Receiver[_T]:
    """The values for which a function returns something true.

    Args:
        fn: takes a value; an async function, or a plain one that returns soon.
        rx: where the values come from.
        workers: on how many values it works at once.
        ordered: values come in their order; False: as they are done.
        capacity: of the channel it returns.

    Raises:
        TypeError: as for `map`.
        ValueError: as for `map`.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def main():
        ...     tx, rx = routines.channel(9)
        ...     with tx:
        ...         await tx.send_many(range(9))
        ...     return await stages.collect(stages.filter(lambda number: number % 3 == 0, rx))
        >>> routines.run(main())
        [0, 3, 6]
    """
    return _applied("stages.filter", fn, rx, _send_if_kept, workers, ordered, capacity)


# ---------------------------------------------------------------------------------------------------------------------
# Over time


def _take_what_is_there(rx: Receiver[_T], values: list[_T], limit: int) -> None:
    try:
        while len(values) < limit:
            values.append(rx.try_recv())
    except (RecvError, ChannelClosed):
        pass  # the next wait tells which


async def _gather_batches(
    stage: _Stage[list[_T]], rx: Receiver[_T], limit: int, within: float | None
) -> None:
    now = asyncio.get_running_loop().time
    while True:
        values = [await _next(rx)]
        deadline = None if within is None else now() + within
        try:
            _take_what_is_there(rx, values, limit)
            while len(values) < limit:
                if deadline is None:
                    values.append(await _next(rx))
                else:
                    chosen = await select(rx, timeout=max(0.0, deadline - now()))
                    if not chosen.ok:
                        break  # the next wait tells why
                    values.append(chosen.value)
                _take_what_is_there(rx, values, limit)
        except (_Ended, Timeout):
            pass
        await stage.tx.send(values)


def batch(
    rx: Receiver[_T], max: int, *, within: float | timedelta | None = None, capacity: float = 0
) -> Receiver[list[_T]]:
    """Lists of values: full ones, and a shorter one where the time is over, or the input.

    ``rx.batches(max)`` takes what is there and never waits for more; this waits until a list is full.

    Args:
        rx: where the values come from.
        max: how many values a list has at the most.
        within: seconds, as a float or a timedelta, after which the first value of a list has to go on; None: it waits as
            long as it takes.
        capacity: of the channel it returns.

    Raises:
        TypeError: ``rx`` is no receiver, or ``max`` no int.
        ValueError: ``max`` is below 1, or ``within`` is negative or NaN.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def main():
        ...     tx, rx = routines.channel(5)
        ...     with tx:
        ...         await tx.send_many("abcde")
        ...     return await stages.collect(stages.batch(rx, 2, within=1.0))
        >>> routines.run(main())
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    _check_receiver(rx)
    _check_count(max, "max")
    seconds = None if within is None else duration_seconds(within, "within")
    stage: _Stage[list[_T]] = _Stage("stages.batch", (rx,))
    out = stage.open(capacity)
    stage.start(_gather_batches, rx, max, seconds)
    return out


async def _pace(stage: _Stage[_T], rx: Receiver[_T], rate: int, per: float) -> None:
    now = asyncio.get_running_loop().time
    sent: deque[float] = deque(maxlen=rate)
    while True:
        if len(sent) == rate:
            # Nothing is in hand meanwhile.
            await sleep(max(0.0, sent[0] + per - now()))
        await stage.tx.send(await _next(rx))
        sent.append(now())


def throttle(
    rx: Receiver[_T], rate: int, *, per: float | timedelta = 1.0, capacity: float = 0
) -> Receiver[_T]:
    """The same values, but at most so many in any period of time; what comes faster waits.

    Args:
        rx: where the values come from.
        rate: how many values, at least 1; after a pause so many may follow one another at once.
        per: the period in seconds, a float or a timedelta, above 0.
        capacity: of the channel it returns.

    Raises:
        TypeError: ``rx`` is no receiver, or ``rate`` no int.
        ValueError: ``rate`` is below 1, or ``per`` is 0, negative or NaN.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def main():
        ...     tx, rx = routines.channel(4)
        ...     with tx:
        ...         await tx.send_many(range(4))
        ...     return await stages.collect(stages.throttle(rx, 2, per=0.01))
        >>> routines.run(main())
        [0, 1, 2, 3]
    """
    _check_receiver(rx)
    _check_count(rate, "rate")
    seconds = duration_seconds(per, "per")
    if seconds == 0:
        raise ValueError("per must be above 0 seconds")
    stage: _Stage[_T] = _Stage("stages.throttle", (rx,))
    out = stage.open(capacity)
    stage.start(_pace, rx, rate, seconds)
    return out


# ---------------------------------------------------------------------------------------------------------------------
# In and out


async def _pump(stage: _Stage[_T], values: AsyncIterable[_T]) -> None:
    iterator = aiter(values)
    try:
        async for value in iterator:
            await stage.tx.send(value)
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


def pipe(values: AsyncIterable[_T], *, capacity: float = 0) -> Receiver[_T]:
    """A receiver of what an async iterable gives, such as an async generator. The other way is ``async for`` over a receiver.

    The iterable is asked for a value once the one before was taken; an async generator is closed when the stage ends.

    Args:
        values: an async iterable.
        capacity: of the channel it returns: how far ahead the iterable may be.

    Raises:
        TypeError: ``values`` is no async iterable.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def countdown():
        ...     for number in (3, 2, 1):
        ...         yield number
        >>> async def main():
        ...     return [number async for number in stages.pipe(countdown())]
        >>> routines.run(main())
        [3, 2, 1]
    """
    if not hasattr(type(values), "__aiter__"):
        raise TypeError(
            f"pipe() takes an async iterable, not {values!r}; tx.send_many() sends what an iterable gives"
        )
    stage: _Stage[_T] = _Stage("stages.pipe", ())
    out = stage.open(capacity)
    stage.start(_pump, values)
    return out


async def into(rx: Receiver[_T], tx: Sender[_T]) -> int:
    """Send on all that is received, until there is no more. It closes neither end.

    Cancelled, or where ``tx`` turns out to be closed, it has lost nothing: the value in hand is the first to be received again.

    Args:
        rx: where the values come from.
        tx: where they go.

    Returns:
        How many were sent.

    Raises:
        ChannelClosed: ``tx`` is closed; or ``rx`` was closed with a cause, which is this exception's. Its ``sent`` says how
            many were sent.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def main():
        ...     tx, rx = routines.channel(3)
        ...     out, result = routines.channel(3)
        ...     with tx:
        ...         await tx.send_many("abc")
        ...     return await stages.into(rx, out), await result.recv_many(3)
        >>> routines.run(main())
        (3, ['a', 'b', 'c'])
    """
    _check_receiver(rx)
    sent = 0
    while True:
        try:
            value = await rx.recv()
        except ChannelClosed as error:
            if error.__cause__ is None:
                return sent
            error.sent = sent
            raise
        try:
            await tx.send(value)
        except BaseException as error:
            give_back(rx, value)
            if isinstance(error, ChannelClosed):
                error.sent = sent
            raise
        sent += 1


async def collect(rx: Receiver[_T]) -> list[_T]:
    """All that is received until there is no more, as a list.

    Raises:
        ChannelClosed: the channel was closed with a cause, which is this exception's; that is how a stage fails.

    Example:
        >>> import routines
        >>> from routines import stages
        >>> async def main():
        ...     tx, rx = routines.channel(2)
        ...     with tx:
        ...         await tx.send_many(["1", "one"])
        ...     try:
        ...         return await stages.collect(stages.map(int, rx))
        ...     except routines.ChannelClosed as error:
        ...         return error.__cause__
        >>> routines.run(main())
        ValueError("invalid literal for int() with base 10: 'one'")
    """
    _check_receiver(rx)
    values: list[_T] = []
    while True:
        try:
            values.append(await rx.recv())
        except ChannelClosed as error:
            if error.__cause__ is None:
                return values
            raise
