"""Structured concurrency: routines that end where the block ends that started them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from ._groups import Members

__all__ = ["group"]


def _raise_as_it_was(error: BaseException) -> None:
    """Raise what was raised elsewhere, without the error that is being handled here as its context."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context


class group(Members):  # noqa: N801
    """A block that waits for the routines started in it: Go's ``errgroup``, asyncio's ``TaskGroup``.

    ``async with group() as g:`` is left when its body and every routine that `go` started are done; nothing of it runs on.
    The first of them to fail, the body included, has the rest aborted, and is raised as it was; where several have failed, they
    are raised together, in order, as an ``ExceptionGroup``. A routine that is aborted has not failed. ``KeyboardInterrupt`` and
    ``SystemExit`` are raised alone.

    Cancelled, in its body or at its end, it aborts all and waits for them; then the cancellation goes on, or, where
    one has failed, that is raised and the cancellation comes at the next suspension.

    Args:
        limit: how many of the routines may run at once; the others wait for their turn in the state ``ready``. None: all.

    Raises:
        ValueError: ``limit`` is below 1.
        TypeError: ``limit`` is no int.
        RuntimeError: entered a second time, or outside of a routine or a task.

    Example:
        >>> import routines
        >>> async def square(number):
        ...     return number * number
        >>> async def main():
        ...     async with routines.group(limit=2) as g:
        ...         squares = [g.go(square, number) for number in range(4)]
        ...     return [routine.result() for routine in squares]
        >>> routines.run(main())
        [0, 1, 4, 9]
    """

    __slots__ = ("_cancelling", "_parent")

    _cancelling: int
    """What ``cancelling()`` of the parent was at entry: what is above that, others want."""
    _parent: asyncio.Task[Any]

    async def __aenter__(self) -> Self:
        parent = asyncio.current_task()
        self._enter(parent)
        assert parent is not None
        self._parent = parent
        self._cancelling = parent.cancelling()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        interrupted = self._leave(error)
        cancellation = error if isinstance(error, asyncio.CancelledError) else None
        if isinstance(error, GeneratorExit):
            # The coroutine is being closed, where nothing can be waited for any more.
            self._close()
            return False
        if interrupted:
            cancellation = await self._take_back(cancellation)
        while self._pending:
            ending = self._ending
            try:
                await self._wait()
            except asyncio.CancelledError as late:
                if not ending or self._cancelled_by_others:
                    cancellation = late
                self._end("the block of its group was cancelled")
            except GeneratorExit:
                self._end("the block of its group was closed")
                self._close()
                raise
        errors, fatal = self._close()
        try:
            if fatal is not None:
                errors = [fatal]
            if not errors:
                if cancellation is not None and cancellation is not error:
                    raise cancellation
                return cancellation is None and interrupted
            if cancellation is not None and self._cancelled_by_others:
                # It is not raised here: it comes at the next suspension, and is counted once.
                self._parent.uncancel()
                self._parent.cancel(*cancellation.args)
            if len(errors) > 1:
                raise BaseExceptionGroup(f"{len(errors)} failures in a group", errors) from None
            if errors[0] is not error:
                _raise_as_it_was(errors[0])
            return False
        finally:
            # What is raised refers to this frame, which is not to refer to it.
            del errors, fatal, error, cancellation, self

    @property
    def _cancelled_by_others(self) -> bool:
        return self._parent.cancelling() > self._cancelling

    async def _take_back(self, cancellation: asyncio.CancelledError | None) -> asyncio.CancelledError | None:
        """Take back the cancellation that interrupted the body. The one that is left, where others have cancelled it too."""
        if self._parent.uncancel() > self._cancelling:
            return cancellation
        if getattr(self._parent, "_must_cancel", False):
            # It was not raised yet, and would be outside of the block: before 3.13, uncancel() does not see to that.
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError as late:
                return late if self._cancelled_by_others else None
        return None
