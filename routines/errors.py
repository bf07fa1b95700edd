"""Every exception that `routines` raises.

All of them derive from `Error`. The parts of a message are attributes too (``channel``, ``routine``, ``reason``, ``sent``,
``missed``), so that a program never has to take a text apart.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Aborted",
    "Cancelled",
    "ChannelClosed",
    "DeadlineExceeded",
    "Deadlock",
    "Error",
    "Lagged",
    "RecvError",
    "RuntimeClosed",
    "SelectError",
    "SendError",
    "SpawnError",
    "Timeout",
]


class Error(Exception):
    """Base of every exception that `routines` raises on its own account."""


class _ChannelError(Error):
    """An error about one channel; its text names the channel as it is when the text is read.

    Formatting a channel costs more than an operation on it, and a refused `try_recv` in a polling loop is not
    exceptional, so the text is put together only when somebody looks at it.
    """

    channel: Any
    """The `Channel` that the operation was tried on, or None."""

    def __init__(self, message: str = "", *, channel: Any = None) -> None:
        super().__init__(message)
        self.channel = channel

    def __str__(self) -> str:
        message = str(self.args[0])
        if self.channel is None:
            return message
        return message.replace("{channel}", repr(self.channel))

    def __reduce__(self) -> tuple[Any, ...]:
        # A channel belongs to one process: what travels is the text.
        return type(self), (str(self),)


class ChannelClosed(_ChannelError):
    """The channel is closed for this operation, for good.

    A send meets it when the channel or this sender was closed, or when nobody can receive any more; a receive when
    the channel was closed, or every sender is gone, and nothing is left in the buffer. ``__cause__`` is the cause that the
    last `close` was given, if any.
    """

    sent: int | None
    """From `send_many`: how many of the values were sent before the channel was closed; else None."""

    def __init__(self, message: str = "", *, channel: Any = None, sent: int | None = None) -> None:
        super().__init__(message, channel=channel)
        self.sent = sent


class SendError(_ChannelError):
    """`try_send` could not send now: the buffer is full, or nobody is receiving. The value was not sent."""


class RecvError(_ChannelError):
    """`try_recv` could not receive now: nothing is there, but the channel is open."""


class SelectError(Error):
    """A select that makes no sense, such as one with no case, or one that was run twice."""


class SpawnError(Error):
    """A routine could not be started; ``reason`` says what was passed and what to pass."""

    reason: str
    """What was wrong, and the way out."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Aborted(Error):
    """The joined routine was stopped, by `Routine.abort` or `Routine.cancel`."""

    reason: Any
    """What `abort(reason)` or `cancel(msg)` was given, or None."""
    routine: Any
    """The `Routine` that was stopped, or None."""

    def __init__(self, reason: Any = None, *, routine: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.routine = routine

    def __str__(self) -> str:
        subject = "the routine" if self.routine is None else repr(self.routine)
        if self.reason is None:
            return f"{subject} was aborted"
        return f"{subject} was aborted: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


class Timeout(Error, TimeoutError):
    """The time given was over before the operation was complete; the operation has not happened."""


class Cancelled(Error):
    """A context was cancelled; ``__cause__`` is what its ``cancel`` was given. Found as ``routines.context.Cancelled``."""

    def __init__(self, message: str = "the context was cancelled") -> None:
        super().__init__(message)


class DeadlineExceeded(Timeout):
    """The deadline of a context has passed. Found as ``routines.context.DeadlineExceeded``."""

    def __init__(self, message: str = "the deadline of the context has passed") -> None:
        super().__init__(message)


class Lagged(Error):
    """A subscriber was too slow: ``missed`` values were overwritten before it took them. It may go on receiving."""

    missed: int
    """How many values this subscriber has lost."""

    def __init__(self, missed: int = 0) -> None:
        super().__init__(missed)
        self.missed = missed

    def __str__(self) -> str:
        return (
            f"{self.missed} values were overwritten before this subscriber took them; "
            "receive faster, or use a larger capacity or lossless=True"
        )


class Deadlock(Error):
    """Every routine is parked and nothing can wake any of them; the text is the dump of all routines."""


class RuntimeClosed(Error):
    """The runtime was shut down; start a new one."""
