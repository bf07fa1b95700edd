"""The first of three replicas: ask all, take the answer that comes first, call the others off.

The losers are aborted, and waited for, so that their `finally` blocks have run and their connections
are closed before the answer is used. A replica that fails does not decide: its place in the select
becomes None, and the others go on. A timeout bounds it all.

    python examples/first_of_three_replicas.py
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from routines import Aborted, Routine, Timeout, go, run, select, sleep

LATENCY = {"north": 0.500, "south": 0.004, "west": 0.002}
"""Seconds that each replica takes. The fastest one is broken."""


def failed(asked: Routine[str]) -> bool:
    """Whether it is done, and without an answer."""
    return asked.done() and asked.exception() is not None


class Replicas:
    """Stands for three servers; knows which connections are open."""

    def __init__(self) -> None:
        self.connected: set[str] = set()

    async def ask(self, name: str, question: str) -> str:
        """One replica's answer."""
        self.connected.add(name)
        try:
            await sleep(LATENCY[name])
            if name == "west":
                raise ConnectionError(f"{name} is out of order")
            return f"{name}: {question.upper()}"
        finally:
            self.connected.remove(name)

    async def first_answer(self, question: str, patience: float) -> str:
        """The answer of whoever is first; Timeout where nobody is in time."""
        asked: list[Routine[str] | None] = [go(self.ask, name, question) for name in LATENCY]
        started = [each for each in asked if each is not None]
        try:
            while any(asked):
                try:
                    answer: str = (await select(*asked, timeout=patience)).value
                    return answer
                except ConnectionError:
                    # Only what failed: another may have answered in the meantime, and be done as well.
                    asked = [None if each is None or failed(each) else each for each in asked]
            raise ConnectionError(f"all of {', '.join(LATENCY)} failed")
        finally:
            for each in started:
                each.abort("another replica was first")
            for each in started:
                with suppress(Aborted, ConnectionError):
                    await each.join()


class Outcome(NamedTuple):
    """What came of two questions."""

    answer: str
    impatient: str
    still_connected: int


async def main() -> Outcome:
    """Ask with enough time, ask with too little, and count the connections that are left."""
    replicas = Replicas()
    answer = await replicas.first_answer("where is the cat?", patience=5.0)
    try:
        impatient = await replicas.first_answer("and the dog?", patience=0.0)
    except Timeout:
        impatient = "no answer in time"
    return Outcome(answer, impatient, len(replicas.connected))


if __name__ == "__main__":
    outcome = run(main)
    print(outcome.answer)
    print(outcome.impatient)
    print(f"{outcome.still_connected} connections left open")
