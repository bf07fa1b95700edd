"""Who makes the choices of a schedule: chance, priorities, or a schedule that is known."""

from __future__ import annotations

import random
from typing import Protocol

__all__: list[str] = []


class Strategy(Protocol):
    """Answers what an explored program asks. Routines are numbers, in the order in which they were started."""

    def interposes(self) -> bool:
        """Whether operations that would complete at once may be made to give way first."""

    def pick(self, ready: list[int]) -> int:
        """Which of those that are ready goes on: its place in the list, in which they stand as they became ready."""

    def gives_way(self, running: int, ready: list[int]) -> bool:
        """Whether the running one, before an operation, lets those go first."""

    def choose(self, bound: int) -> int:
        """One of so many cases of a select that are ready; and whether, of two timers due, the first one's routine goes first."""

    def victim(self, candidates: int) -> int:
        """Who is cancelled now, counted from 1; 0: nobody."""


def below(chance: random.Random, bound: int) -> int:
    """Uniform in 0 … bound - 1. Of Python's generator only ``random`` gives the same numbers in every version."""
    return int(chance.random() * bound)


class Natural:
    """The schedule of a program that nobody explores, as far as there is one: 0 is the answer to everything."""

    def interposes(self) -> bool:
        return False

    def pick(self, ready: list[int]) -> int:
        return 0

    def gives_way(self, running: int, ready: list[int]) -> bool:
        return False  # pragma: no cover - the protocol has it; one that does not interpose is not asked

    def choose(self, bound: int) -> int:
        return 0

    def victim(self, candidates: int) -> int:
        return 0


class Known(Natural):
    """A schedule that is given, as far as it goes."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = choices
        self.place = 0

    def answer(self, bound: int) -> int:
        """The next one of its choices; the nearest possible one, where the program asks for something else by now."""
        if self.place >= len(self.choices):
            return 0
        self.place += 1
        return min(self.choices[self.place - 1], bound - 1)

    def interposes(self) -> bool:
        return bool(self.answer(2))

    def pick(self, ready: list[int]) -> int:
        return self.answer(len(ready))

    def gives_way(self, running: int, ready: list[int]) -> bool:
        return bool(self.answer(2))

    def choose(self, bound: int) -> int:
        return self.answer(bound)

    def victim(self, candidates: int) -> int:
        return self.answer(candidates + 1)


class RandomWalk(Natural):
    """Everything by chance: each of those that are ready as likely as the others."""

    def __init__(self, chance: random.Random, length: int, cancellations: int) -> None:
        self.chance = chance
        # A routine that never gives way, one that nearly always does, and what lies between: which one finds a bug differs.
        self.interruption = (0.0, 0.1, 0.3, 0.6)[below(chance, 4)]
        self.step = 0
        self.cancel_at = {1 + below(chance, max(1, length)) for _ in range(cancellations)}

    def interposes(self) -> bool:
        return self.interruption > 0

    def pick(self, ready: list[int]) -> int:
        return below(self.chance, len(ready))

    def gives_way(self, running: int, ready: list[int]) -> bool:
        return self.chance.random() < self.interruption

    def choose(self, bound: int) -> int:
        return below(self.chance, bound)

    def victim(self, candidates: int) -> int:
        self.step += 1
        return 1 + below(self.chance, candidates) if self.step in self.cancel_at else 0


class Priorities(RandomWalk):
    """Each routine has a random priority, and the highest one that is ready runs; at a few random points it becomes the lowest.

    Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010: a bug
    that needs d orderings between steps is found with a probability of at least 1/(n·kᵈ⁻¹), for n routines, k steps and d - 1 such points. Whoever
    yields without waiting becomes the lowest too: else one that polls would keep out whom it waits for.
    """

    def __init__(self, chance: random.Random, length: int, cancellations: int, preemptions: int) -> None:
        super().__init__(chance, length, cancellations)
        self.points = {1 + below(chance, max(1, length)): -1.0 - point for point in range(preemptions)}
        self.lowest = -1.0 - preemptions
        self.priorities: dict[int, float] = {}
        self.moment = 0
        self.last = -1
        self.gave_way = False

    def interposes(self) -> bool:
        return bool(self.points)

    def priority(self, number: int) -> float:
        """Of a routine; a new one's is random, and above those that were lowered."""
        return self.priorities.setdefault(number, self.chance.random())

    def pass_point(self, running: int) -> None:
        """Another moment has come: at some of them the running one's priority is lowered."""
        self.moment += 1
        if self.moment in self.points:
            self.priorities[running] = self.points[self.moment]

    def pick(self, ready: list[int]) -> int:
        for number in ready:
            self.priority(number)
        if self.last in ready and not self.gave_way:
            self.lowest -= 1.0
            self.priorities[self.last] = self.lowest
        self.gave_way = False
        place = max(range(len(ready)), key=lambda place: self.priorities[ready[place]])
        self.pass_point(ready[place])
        place = max(range(len(ready)), key=lambda place: self.priorities[ready[place]])
        self.last = ready[place]
        return place

    def gives_way(self, running: int, ready: list[int]) -> bool:
        self.pass_point(running)
        self.gave_way = any(self.priority(number) > self.priority(running) for number in ready)
        return self.gave_way
