"""Seeing inside: every routine, as Go prints its goroutines."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from typing import Any, TextIO

from ._core import Routine, describe_wait, live_routines

__all__ = ["dump"]


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


def _duration(seconds: float) -> str:
    """How long, as a person says it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


class _Group:
    """Routines that stand at the same place in the same state."""

    def __init__(self, routine: Routine[Any]) -> None:
        self.members = [routine]
        self.state, self.subject, seconds, self.spawn_site = describe_wait(routine)
        self.shortest = self.longest = seconds
        self.stack = list(_places(routine.get_coro()))
        self.loop = routine.get_loop()

    @property
    def key(self) -> tuple[Any, ...]:
        """What all its members share."""
        return self.state, repr(self.subject), self.spawn_site, tuple(self.stack), id(self.loop)

    def add(self, other: _Group) -> None:
        """Take in those of another one with the same key."""
        self.members += other.members
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
            shown = ", ".join(f"{each.id} {each.get_name()!r}" for each in self.members[:5])
            more = f" and {len(self.members) - 5} more" if len(self.members) > 5 else ""
            yield f"{len(self.members)} routines [{state}]: {shown}{more}"
        if self.subject is not None:
            yield f"  on {self.subject!r}"
        for file, line, function in self.stack:
            yield f'  File "{file}", line {line}, in {function}'
            if source := linecache.getline(file, line).strip():
                yield f"    {source}"
        if self.spawn_site is not None:
            yield f"  spawned at {self.spawn_site}"


def dump(file: TextIO | None = None) -> str:
    """Every routine of the process that is not done, as Go prints goroutines.

    Each with its id and name, its state and for how long it has been in it, the channel or whatever else it waits on, where it stands, and,
    with `set_debug`, where it was spawned. Routines that stand at the same place in the same state are told of together. May be called
    from any thread and from a signal handler.

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
