"""Seeing inside: every routine, as Go prints its goroutines; on SIGQUIT too."""

from __future__ import annotations

import linecache
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any, TextIO

from ._core import Routine, describe_wait, live_routines

__all__ = ["dump"]

SHOWN = 5  # names, and things waited on, of routines that are told of together
LOOKED_AT = 1000  # of the things that they wait on: a repr takes its time


def _places(coroutine: Any) -> Iterator[tuple[str, int, str]]:
    """File, line and function of each coroutine that awaits the next one, outermost first."""
    seen: set[int] = set()
    while coroutine is not None and id(coroutine) not in seen:
        seen.add(id(coroutine))
        for prefix in ("cr_", "gi_", "ag_"):
            frame = getattr(coroutine, f"{prefix}frame", None)
            if frame is not None:
                name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
                yield frame.f_code.co_filename, frame.f_lineno, name
            if hasattr(coroutine, f"{prefix}frame"):
                coroutine = getattr(coroutine, f"{prefix}await", None) or getattr(
                    coroutine, "gi_yieldfrom", None
                )
                break
        else:
            return


def _more(members: list[Any]) -> str:
    return f" and {len(members) - SHOWN} more" if len(members) > SHOWN else ""


def _duration(seconds: float) -> str:
    """How long, as a person says it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


class _Group:
    """Routines that stand at the same place in the same state, whatever they wait on there."""

    def __init__(self, routine: Routine[Any]) -> None:
        self.members = [routine]
        self.state, subject, seconds, self.spawn_site = describe_wait(routine)
        self.subjects = [] if subject is None else [subject]
        self.shortest = self.longest = seconds
        self.stack = list(_places(routine.get_coro()))

    @property
    def key(self) -> tuple[Any, ...]:
        """What all its members share."""
        return self.state, self.spawn_site, tuple(self.stack)

    def add(self, other: _Group) -> None:
        """Take in those of another one with the same key."""
        self.members += other.members
        self.subjects += other.subjects
        self.shortest = min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)

    def lines(self) -> Iterator[str]:
        """As they are printed."""
        state = self.state
        if self.longest >= 0:
            first, last = _duration(max(self.shortest, 0)), _duration(self.longest)
            state += f", {first}" if first == last else f", {first} to {last}"
        if len(self.members) == 1:
            yield f"routine {self.members[0].id} {self.members[0].get_name()!r} [{state}]:"
        else:
            shown = ", ".join(f"{each.id} {each.get_name()!r}" for each in self.members[:SHOWN])
            yield f"{len(self.members)} routines [{state}]: {shown}{_more(self.members)}"
        yield from self._subject_lines()
        for file, line, function in self.stack:
            yield f'  File "{file}", line {line}, in {function}'
            if source := linecache.getline(file, line).strip():
                yield f"    {source}"
        if self.spawn_site is not None:
            yield f"  spawned at {self.spawn_site}"

    def _subject_lines(self) -> Iterator[str]:
        """What they wait on: each thing once, and not more than a screen has room for."""
        texts: dict[str, None] = {}
        looked = 0
        for subject in self.subjects:
            if len(texts) == SHOWN or looked == LOOKED_AT:
                break
            looked += 1
            texts[repr(subject)] = None
        for number, text in enumerate(texts):
            cut = looked < len(self.subjects) and number == len(texts) - 1
            yield f"  on {text}" + (", and others" if cut else "")


def dump(file: TextIO | None = None) -> str:
    """Every routine of the process that is not done, as Go prints goroutines.

    Each with its id and name, its state and for how long it has been in it, the channel or whatever else it waits on, where it stands, and,
    with `set_debug`, where it was spawned. Routines that stand at the same place in the same state are told of together. May be called
    from any thread and from a signal handler. With ``RuntimeConfig(debug=True)`` SIGQUIT prints it to stderr.

    Args:
        file: where to write it as well, such as ``sys.stderr``; None: nowhere.

    Returns:
        The text.

    Example:
        >>> import routines
        >>> async def main():
        ...     routines.go(routines.sleep(60))
        ...     await routines.yield_now()
        ...     return routines.dump()
        >>> print(routines.run(main).splitlines()[0])
        2 routines
    """
    groups: dict[tuple[Any, ...], _Group] = {}
    routines = live_routines()
    for routine in routines:
        group = _Group(routine)
        if group.state == "done":
            continue  # ended while we looked
        known = groups.setdefault(group.key, group)
        if known is not group:
            known.add(group)
    count = sum(len(group.members) for group in groups.values())
    blocks = [f"{count} routine{'' if count == 1 else 's'}"]
    blocks += ["\n".join(group.lines()) for group in groups.values()]
    text = "\n\n".join(blocks) + "\n"
    if file is not None:
        file.write(text)
        file.flush()
    return text


class _QuitDump:
    """The handler of SIGQUIT that prints the dump while there is a runtime that asks for it."""

    def __init__(self) -> None:
        self.asking: weakref.WeakSet[Any] = weakref.WeakSet()
        self.installed = False
        self.previous: Any = None

    def __call__(self, number: int, _frame: object) -> None:
        if not self.asking:
            # The runtimes have ended where the handler could not be taken away: on another thread.
            self.restore()
            os.kill(os.getpid(), number)
            return
        text = dump()
        try:
            print(text, file=sys.stderr, flush=True)
        except RuntimeError:  # stderr was being written when the signal came
            os.write(2, text.encode(errors="backslashreplace"))

    def install(self) -> None:
        self.previous = signal.signal(signal.SIGQUIT, self)
        self.installed = True

    def restore(self) -> None:
        now: object = signal.getsignal(signal.SIGQUIT)
        if now is self:  # else somebody has set another one meanwhile
            # None: it was set by C code, and cannot be set from here.
            signal.signal(signal.SIGQUIT, signal.SIG_DFL if self.previous is None else self.previous)
        self.previous = None
        self.installed = False


_quit = _QuitDump()


def is_quit_handler(handler: object) -> bool:
    """Whether this is the signal handler that prints the dump."""
    return handler is _quit


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def dump_on_quit(runtime: object) -> None:
    """Print the dump on SIGQUIT for as long as the runtime runs; where there is that signal, and on the main thread."""
    if not hasattr(signal, "SIGQUIT"):
        return
    if not _quit.installed:
        if not _on_main_thread():
            return
        _quit.install()
    _quit.asking.add(runtime)


def forget_quit(runtime: object) -> None:
    """The runtime has ended: with the last one the handler that was there before comes back."""
    _quit.asking.discard(runtime)
    if _quit.installed and not _quit.asking and _on_main_thread():
        _quit.restore()
