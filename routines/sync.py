"""What of Go's ``sync`` needs no compiled code of its own, over that which does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from ._core import Routine, go
from ._sync import Mutex, Signals

__all__ = ["Cond", "Once"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Cond(Signals):
    """A condition to wait for under a `Mutex`: Go's ``sync.Cond``.

    Who waits holds the mutex, gives it up while waiting, and has it again afterwards, cancelled or not. Routines, plain tasks and
    the threads of a runtime share it. While parked on it, the state of a routine is ``chan receive``.

    Args:
        mutex: the `Mutex` that guards what the condition is about.

    Raises:
        TypeError: ``mutex`` is no `Mutex`.

    Example:
        >>> import routines
        >>> async def main():
        ...     items, mutex = [], routines.Mutex()
        ...     filled = routines.Cond(mutex)
        ...     async def take():
        ...         async with mutex:
        ...             await filled.wait_for(lambda: items)
        ...             return items.pop()
        ...     taking = routines.go(take)
        ...     async with mutex:
        ...         items.append("item")
        ...         filled.signal()
        ...     return await taking.join()
        >>> routines.run(main())
        'item'
    """

    __slots__ = ()

    async def wait_for(self, predicate: Callable[[], _T]) -> _T:
        """Wait until ``predicate()`` is true, and return what it returned; the mutex has to be locked.

        It is asked at once, and after each signal, with the mutex locked. What it raises is raised, with the mutex locked.

        Args:
            predicate: a plain function.

        Raises:
            RuntimeError: the mutex is not locked, and the predicate is not true.
        """
        while not (answer := predicate()):
            await self.wait()
        return answer


class Once:
    """Something that is done once, whoever asks first: Go's ``sync.Once``, with an outcome, as its ``OnceValue``.

    Example:
        >>> import routines
        >>> async def main():
        ...     once = routines.Once()
        ...     async def load():
        ...         print("loading")
        ...         return 42
        ...     return await once.do(load), await once.do(load)
        >>> routines.run(main())
        loading
        (42, 42)
    """

    __slots__ = ("__weakref__", "_mutex", "_routine")

    def __init__(self) -> None:
        self._mutex = Mutex()
        self._routine: Routine[Any] | None = None

    async def do(
        self, fn: Callable[_P, Coroutine[Any, Any, _T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """The outcome of the first call's function: this one's where this is the first, and it is not called otherwise.

        The function runs as a routine of its own, so a caller that is cancelled takes it from nobody: it runs to its end, even
        if nobody waits any more. A failure is kept like a result: it is raised for every caller, and nothing is tried again;
        where that is wanted, make a new `Once`.

        Args:
            fn: an async function, called with the other arguments.

        Returns:
            What the first call's function returned.

        Raises:
            BaseException: what that function raised, as it was.
            Aborted: that function was stopped, by the end of its loop for one.
            SpawnError: ``fn`` is no async function; then it has not been done.
        """
        if self._routine is None:
            # Calling ``fn`` may let other threads run; a Mutex keeps them from calling theirs.
            async with self._mutex:
                if self._routine is None:  # pragma: no branch - 3.11 tells of the next line either way
                    self._routine = go(fn, *args, **kwargs)
        outcome: _T = await self._routine.join()
        return outcome

    def __repr__(self) -> str:
        routine = self._routine
        if routine is None:
            return "<Once not done>"
        if not routine.done():
            return f"<Once doing {routine!r}>"
        if routine.cancelled():
            return "<Once done, aborted>"
        error = routine._exception  # exception() would count as having retrieved it
        return "<Once done>" if error is None else f"<Once done, raised={error!r}>"
