"""Cancellation, deadlines and values that a whole tree of calls shares: Go's ``context``.

A context is done when its own ``cancel`` is called, its deadline comes, or its parent is done. Whoever works under it selects over
``ctx.done()`` beside its other channels, and passes it on. As in Go, ``cancel`` should be called once the work is over: until a
context is done, its parent keeps it.

Example:
    >>> import routines
    >>> from routines import context
    >>> async def count(ctx, numbers):
    ...     number = 0
    ...     while (await routines.select(ctx.done(), numbers.case(number))).index == 1:
    ...         number += 1
    ...     return ctx.err()
    >>> async def main():
    ...     ctx, cancel = context.with_cancel(context.background())
    ...     numbers, received = routines.channel()
    ...     counting = routines.go(count, ctx, numbers)
    ...     print([await received.recv() for _ in range(3)])
    ...     cancel()
    ...     return await counting
    >>> routines.run(main())
    [0, 1, 2]
    Cancelled('the context was cancelled')
"""

from __future__ import annotations

import math
import threading
import time
from datetime import timedelta
from typing import Any, Never, Protocol

from ._channel import Channel, Receiver
from ._core import duration_seconds
from ._timer import Alarm
from .errors import Cancelled, DeadlineExceeded

__all__ = [
    "CancelFunction",
    "Cancelled",
    "Context",
    "DeadlineExceeded",
    "background",
    "with_cancel",
    "with_deadline",
    "with_timeout",
    "with_value",
]

# Guards every tree: which children there are, and who is done. Channels are closed outside of it. Reentrant, as a collection may
# run finalizers that cancel in the thread that holds it.
_tree = threading.RLock()


class CancelFunction(Protocol):
    """Cancels a context; called again, it does nothing. From any thread."""

    def __call__(self, cause: BaseException | None = None) -> None:
        """Cancel; ``cause`` is what `Context.cause` will say."""


class _Canceller:
    """What can be done: a node in a tree of those that are done with it."""

    __slots__ = ("alarm", "cause", "channel", "children", "deadline", "kind", "parent")

    def __init__(self, parent: _Canceller | None, deadline: float | None) -> None:
        self.parent = parent
        self.deadline = deadline
        self.children: set[_Canceller] = set()
        self.channel: Channel[Never] | None = None  # made when somebody asks for it
        self.kind: type[Cancelled | DeadlineExceeded] | None = None  # not None: done
        self.cause: BaseException | None = None
        self.alarm: Alarm | None = None

    def error(self) -> Cancelled | DeadlineExceeded | None:
        """Why it is done; one of its own for each who asks, as it may be raised."""
        if self.kind is None:
            return None
        error = self.kind()
        error.__cause__ = self.cause
        return error

    def done(self) -> Channel[Never]:
        """The channel that is closed once it is done."""
        with _tree:
            if self.channel is None:
                self.channel = Channel()
                if self.kind is not None:
                    self.channel.close(self.error())
            return self.channel

    def attach(self) -> None:
        """Be done with the parent."""
        parent = self.parent
        if parent is None:
            return
        with _tree:
            if parent.kind is None:
                parent.children.add(self)
                return
        self.cancel(parent.kind, parent.cause)

    def cancel(self, kind: type[Cancelled | DeadlineExceeded], cause: BaseException | None) -> None:
        """Be done, and all children with it: all of them before any channel is closed."""
        with _tree:
            if self.kind is not None:
                return
            done = [self]
            for each in done:
                if each.kind is None:  # else a signal handler has cancelled it meanwhile
                    each.kind, each.cause = kind, cause
                    done += each.children
                    each.children.clear()
            if self.parent is not None:
                self.parent.children.discard(self)
        for each in done:
            alarm, each.alarm = each.alarm, None
            if alarm is not None:
                alarm.stop()
            if each.channel is not None:
                each.channel.close(each.error())

    def expire(self) -> None:
        """The deadline has come."""
        self.cancel(DeadlineExceeded, None)


# Of what is never done. It is never closed, and somebody could always do so: who waits for it waits, and is no leak.
_never: Channel[Never] = Channel()


class Context:
    """What a tree of calls shares: whether it is over, until when it may take, and values. Any thread may ask it.

    It is made by `background`, `with_cancel`, `with_timeout`, `with_deadline` and `with_value`, and never changes but to be done.
    """

    __slots__ = ("__weakref__", "_canceller", "_key", "_parent", "_value")

    _parent: Context | None
    _canceller: _Canceller | None
    _key: Any
    _value: Any

    def __init__(self, *_: Never) -> None:
        raise TypeError(
            "a Context is made by context.background(), with_cancel(), with_timeout() and the like"
        )

    def done(self) -> Receiver[Never]:
        """A receiver that is closed once the context is done, and never gets a value.

        As a case of a `select` it comes up with ``ok`` false; alone, ``await ctx.done().recv_ok()`` waits for it. It is a handle
        of one's own, to close or to drop.
        """
        canceller = self._canceller
        return (_never if canceller is None else canceller.channel or canceller.done()).receiver()

    def err(self) -> Cancelled | DeadlineExceeded | None:
        """Why it is done, as an exception to raise or to look at: `Cancelled` or `DeadlineExceeded`; None while it is not."""
        return None if self._canceller is None else self._canceller.error()

    def cause(self) -> BaseException | None:
        """What ``cancel`` was given, here or above; else what `err` returns."""
        if self._canceller is None:
            return None
        return self._canceller.cause or self._canceller.error()

    def deadline(self) -> float | None:
        """When it is done at the latest, in seconds of ``time.monotonic()``; None where it may take for ever."""
        return None if self._canceller is None else self._canceller.deadline

    def value(self, key: Any) -> Any:
        """What `with_value` has set for a key equal to this one, here or nearest above; None where nobody has."""
        context: Context | None = self
        while context is not None:
            if context._key is not None and context._key == key:
                return context._value
            context = context._parent
        return None

    def __repr__(self) -> str:
        if self._canceller is None:
            text = "never done"
        elif self._canceller.kind is not None:
            text = f"done: {self._canceller.cause or self._canceller.error()!r}"
        elif self._canceller.deadline is not None:
            text = f"{max(0.0, self._canceller.deadline - time.monotonic()):.3f} s left"
        else:
            text = "not done"
        keys = []
        context: Context | None = self
        while context is not None:
            if context._key is not None:
                keys.append(repr(context._key))
            context = context._parent
        return f"<Context {text}{', values of ' if keys else ''}{', '.join(keys)}>"


def _new(parent: Context | None, canceller: _Canceller | None, key: Any = None, value: Any = None) -> Context:
    made = Context.__new__(Context)
    made._parent = parent
    made._canceller = canceller
    made._key = key
    made._value = value
    return made


_background = _new(None, None)


def background() -> Context:
    """The root of every tree: never done, without deadline and values.

    Example:
        >>> from routines import context
        >>> context.background()
        <Context never done>
    """
    return _background


def _check(parent: Context) -> None:
    if not isinstance(parent, Context):
        raise TypeError(f"parent must be a Context, such as context.background(), not {parent!r}")


def _child(parent: Context, deadline: float | None) -> tuple[Context, CancelFunction]:
    above = parent._canceller
    limit = None if above is None else above.deadline
    sooner = deadline is not None and (limit is None or deadline < limit)
    canceller = _Canceller(above, deadline if sooner else limit)
    if sooner and deadline is not None and (above is None or above.kind is None):
        if deadline <= time.monotonic():
            canceller.expire()
        elif deadline < math.inf:
            canceller.alarm = Alarm(deadline, canceller.expire)
    canceller.attach()

    def cancel(cause: BaseException | None = None) -> None:
        """Cancel the context; called again, it does nothing."""
        if cause is not None and not isinstance(cause, BaseException):
            raise TypeError(f"cause must be an exception or None, not {cause!r}")
        canceller.cancel(Cancelled, cause)

    return _new(parent, canceller), cancel


def with_cancel(parent: Context) -> tuple[Context, CancelFunction]:
    """A child of ``parent``, and the function that cancels it: ``cancel(cause=None)``.

    It is done once that is called, or once the parent is done; where that is done already, at once.

    Args:
        parent: a context.

    Raises:
        TypeError: ``parent`` is no context.

    Example:
        >>> from routines import context
        >>> ctx, cancel = context.with_cancel(context.background())
        >>> cancel(ValueError("enough"))
        >>> ctx.err(), ctx.cause()
        (Cancelled('the context was cancelled'), ValueError('enough'))
    """
    _check(parent)
    return _child(parent, None)


def with_deadline(parent: Context, t: float) -> tuple[Context, CancelFunction]:
    """`with_cancel`, and it is done at the time ``t`` at the latest, with `DeadlineExceeded`; never before that.

    Args:
        parent: a context. Where its own deadline is sooner, that holds.
        t: seconds of ``time.monotonic()``, the clock of asyncio's loops. A time that has passed: it is done at once.

    Raises:
        TypeError: ``parent`` is no context, or ``t`` no number.
        ValueError: ``t`` is NaN.
        RuntimeError: no event loop is running, whose timer it would be; or timers are switched off there.

    Example:
        >>> import time
        >>> from routines import context
        >>> ctx, cancel = context.with_deadline(context.background(), time.monotonic() - 1)
        >>> ctx.err()
        DeadlineExceeded('the deadline of the context has passed')
    """
    _check(parent)
    if isinstance(t, bool) or not isinstance(t, (int, float)):
        raise TypeError(f"t must be seconds of time.monotonic() as a number, not {t!r}")
    if math.isnan(t):
        raise ValueError("t must not be NaN")
    return _child(parent, float(t))


def with_timeout(parent: Context, d: float | timedelta) -> tuple[Context, CancelFunction]:
    """`with_deadline`, so long from now.

    Args:
        parent: a context. Where its own deadline is sooner, that holds.
        d: seconds as a float, or a timedelta; 0: it is done at once.

    Raises:
        TypeError: ``parent`` is no context, or ``d`` no duration.
        ValueError: ``d`` is negative or NaN.
        RuntimeError: as for `with_deadline`.

    Example:
        >>> import routines
        >>> from routines import context
        >>> async def main():
        ...     ctx, cancel = context.with_timeout(context.background(), 0.001)
        ...     await ctx.done().recv_ok()
        ...     return ctx.err()
        >>> routines.run(main())
        DeadlineExceeded('the deadline of the context has passed')
    """
    _check(parent)
    return _child(parent, time.monotonic() + duration_seconds(d, "d"))


def with_value(parent: Context, k: Any, v: Any) -> Context:
    """A child of ``parent`` that is done with it, and whose `Context.value` for ``k`` is ``v``.

    Args:
        parent: a context.
        k: a key, anything but None; a private object or a type of one's own meets nobody else's.
        v: anything.

    Raises:
        TypeError: ``parent`` is no context, or ``k`` is None.

    Example:
        >>> from routines import context
        >>> ctx = context.with_value(context.background(), "user", "gopher")
        >>> ctx.value("user"), ctx.value("host")
        ('gopher', None)
    """
    _check(parent)
    if k is None:
        raise TypeError("k must not be None, which stands for no key")
    return _new(parent, parent._canceller, k, v)
