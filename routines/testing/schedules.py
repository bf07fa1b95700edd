"""A schedule: the choices that were made, as numbers; its text, and how a failing one is shrunk.

A program under exploration asks again and again: which of so many is it to be? The answers, in order, are a schedule. 0 is always the
natural answer: who became ready first goes first, an operation does not give way, the first ready case of a select is taken, nobody is
cancelled. What a schedule does not answer is 0. So a schedule without its last zeros is the same schedule, and replacing a number by 0 makes a simpler one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

__all__: list[str] = []


def stripped(choices: list[int]) -> list[int]:
    """Without the zeros at the end, which say nothing."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return choices[:end]


def to_text(choices: list[int]) -> str:
    """The choices, ``0*17`` for a run of them; to be pasted back as ``explore(fn, replay=…)``."""
    parts = []
    for value, run in groupby(stripped(choices)):
        count = len(list(run))
        parts.append(str(value) if count == 1 else f"{value}*{count}")
    return " ".join(parts)


def from_text(text: str) -> list[int]:
    """What `to_text` made the text from.

    Raises:
        ValueError: it made no such text.
    """
    choices: list[int] = []
    for part in text.split():
        value, star, count = part.partition("*")
        if not (value.isdecimal() and (count.isdecimal() if star else not count)):
            raise ValueError(
                f"{part!r} is no part of a schedule; pass what explore() printed, such as '0*12 1 0*3 2'"
            )
        choices += [int(value)] * (int(count) if star else 1)
    return choices


def _simplicity(choices: list[int]) -> tuple[int, int, int]:
    """Fewer choices that differ from the natural ones are simpler, then fewer choices, then smaller ones."""
    return sum(map(bool, choices)), len(choices), sum(choices)


class _Shrinking:
    """The simplest failing schedule so far, and how many more may be tried."""

    def __init__(
        self, choices: list[int], fails: Callable[[list[int]], list[int] | None], tries: int
    ) -> None:
        self.best = stripped(choices)
        self.fails = fails
        self.tries = tries
        self.tried: set[tuple[int, ...]] = {tuple(self.best)}

    def accepts(self, candidate: list[int]) -> bool:
        """Whether it fails too; then what it really chose is the best one, where that is simpler."""
        candidate = stripped(candidate)
        if self.tries <= 0 or tuple(candidate) in self.tried:
            return False
        self.tried.add(tuple(candidate))
        self.tries -= 1
        chosen = self.fails(candidate)
        if chosen is None:
            return False
        chosen = stripped(chosen)
        self.best = chosen if _simplicity(chosen) <= _simplicity(candidate) else candidate
        return True

    def cut(self) -> None:
        """Drop the end: half of what is left, a quarter, and so on."""
        size = len(self.best)
        while size:
            while len(self.best) >= size and self.accepts(self.best[: len(self.best) - size]):
                pass
            size //= 2

    def clear(self) -> None:
        """Make choices natural, many at once and then one by one."""
        size = sum(map(bool, self.best))
        while size:
            start = 0
            while True:
                places = [place for place, choice in enumerate(self.best) if choice][start : start + size]
                if not places:
                    break
                candidate = list(self.best)
                for place in places:
                    candidate[place] = 0
                if not self.accepts(candidate):
                    start += size
            size //= 2

    def remove(self) -> None:
        """Take stretches out, so that what follows moves forward."""
        size = max(1, len(self.best) // 2)
        while size:
            place = 0
            while place < len(self.best):
                if not self.accepts(self.best[:place] + self.best[place + size :]):
                    place += size
            size //= 2

    def lower(self) -> None:
        """Make single choices smaller."""
        for place in range(len(self.best)):
            if place < len(self.best) and self.best[place] > 1:
                for value in range(1, self.best[place]):
                    if self.accepts([*self.best[:place], value, *self.best[place + 1 :]]):
                        break


def shrink(choices: list[int], fails: Callable[[list[int]], list[int] | None], tries: int) -> list[int]:
    """A simpler schedule that fails as well; the same where there is none, or none was found within ``tries``.

    Args:
        choices: a schedule that fails.
        fails: runs a schedule; what it chose, where it failed in the same way, else None.
        tries: how many schedules may be run.
    """
    shrinking = _Shrinking(choices, fails, tries)
    before = None
    while before != shrinking.best and shrinking.tries > 0:
        before = shrinking.best
        shrinking.cut()
        shrinking.clear()
        shrinking.remove()
        shrinking.lower()
    return shrinking.best
