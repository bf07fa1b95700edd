"""Power series as streams of coefficients: McIlroy's "Squinting at Power Series", in the form Go's test suite knows.

A series is a routine that computes one coefficient whenever it is asked for one, so series that refer to themselves, as
the solution of a differential equation does, need nothing but channels. Where two consumers share one series, `split`
serves whichever asks first: a select over both, and what only one of them has had yet waits in a queue.

M. Douglas McIlroy, "Squinting at Power Series", Software: Practice and Experience 20 (7), 1990.

    python examples/power_series.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from fractions import Fraction
from typing import NamedTuple

from routines import ChannelClosed, Receiver, Selected, Sender, channel, go, run, select

TERMS = 10


class Series:
    """Coefficients on demand: ask, then take. Closing the question ends the routine that answers."""

    def __init__(self, asks: Sender[None], coefficients: Receiver[Fraction]) -> None:
        self.asks = asks
        self.coefficients = coefficients

    async def next(self) -> Fraction:
        """The next coefficient, computed now."""
        await self.asks.send(None)
        return await self.coefficients.recv()

    async def first(self, terms: int) -> list[Fraction]:
        """So many coefficients; nobody can ask for more afterwards."""
        taken = [await self.next() for _ in range(terms)]
        self.close()
        return taken

    def close(self) -> None:
        """Say that nothing will be asked any more."""
        self.asks.close()
        self.coefficients.close()


def series(make: Callable[[], AsyncGenerator[Fraction]]) -> Series:
    """Run a generator of coefficients as a routine that goes on only when it is asked."""
    asks: Sender[None]
    asked: Receiver[None]
    coefficients: Sender[Fraction]
    taken: Receiver[Fraction]
    asks, asked = channel()
    coefficients, taken = channel()

    async def answer() -> None:
        # Its own consumers are gone: so is it, and with its ends whatever it consumed in turn.
        with asked, coefficients, suppress(ChannelClosed):
            await asked.recv()
            async with aclosing(make()) as made:
                async for coefficient in made:
                    await coefficients.send(coefficient)
                    await asked.recv()

    go(answer)
    return Series(asks, taken)


def split(source: Series) -> tuple[Series, Series]:
    """Two series that are both ``source``; each may run ahead of the other. They end with the first one."""
    ask_left, left_asked = _channel_of_questions()
    ask_right, right_asked = _channel_of_questions()
    left, left_taken = _channel_of_coefficients()
    right, right_taken = _channel_of_coefficients()

    async def serve() -> None:
        answers = [left, right]
        ahead: list[deque[Fraction]] = [deque(), deque()]
        waiting: set[int] = set()
        coming: Receiver[Fraction] | None = (
            None  # a place in the select only while a coefficient was asked for
        )
        with left_asked, right_asked, left, right, suppress(ChannelClosed):
            while True:
                # A source that feeds on one of these two asks for more before it answers: so all three at once.
                match await select(left_asked, right_asked, coming):
                    case Selected(2, coefficient, True):
                        coming = None
                        for side, queue in enumerate(ahead):
                            if side in waiting:
                                waiting.discard(side)
                                await answers[side].send(coefficient)
                            else:
                                queue.append(coefficient)
                    case Selected(side, _, True) if ahead[side]:
                        await answers[side].send(ahead[side].popleft())
                    case Selected(side, _, True):
                        waiting.add(side)
                        if coming is None:
                            await source.asks.send(None)
                            coming = source.coefficients
                    case _:
                        break
        source.close()

    go(serve)
    return Series(ask_left, left_taken), Series(ask_right, right_taken)


def _channel_of_questions() -> tuple[Sender[None], Receiver[None]]:
    return channel()


def _channel_of_coefficients() -> tuple[Sender[Fraction], Receiver[Fraction]]:
    return channel()


def constant(value: int) -> Series:
    """``value``, and zero for ever."""

    async def coefficients() -> AsyncGenerator[Fraction]:
        yield Fraction(value)
        while True:
            yield Fraction(0)

    return series(coefficients)


def add(left: Series, right: Series) -> Series:
    """The sum."""

    async def coefficients() -> AsyncGenerator[Fraction]:
        try:
            while True:
                yield await left.next() + await right.next()
        finally:
            left.close()
            right.close()

    return series(coefficients)


def multiply(left: Series, right: Series) -> Series:
    """The product, by Cauchy's formula."""

    async def coefficients() -> AsyncGenerator[Fraction]:
        lefts: list[Fraction] = []
        rights: list[Fraction] = []
        try:
            while True:
                lefts.append(await left.next())
                rights.append(await right.next())
                yield sum((a * b for a, b in zip(lefts, reversed(rights), strict=True)), Fraction(0))
        finally:
            left.close()
            right.close()

    return series(coefficients)


def integrate(constant_term: int, make_integrand: Callable[[], Series]) -> Series:
    """The integral, which begins with its constant term; only then is the integrand needed, which may be made of the integral itself."""

    async def coefficients() -> AsyncGenerator[Fraction]:
        yield Fraction(constant_term)
        integrand = make_integrand()
        power = 1
        try:
            while True:
                yield await integrand.next() / power
                power += 1
        finally:
            integrand.close()

    return series(coefficients)


def solve(constant_term: int, derivative: Callable[[Series], Series]) -> Series:
    """The y with ``y' = derivative(y)``: it feeds on its own coefficients, each of which is known before it is needed."""
    itself: list[Series] = []
    y = integrate(constant_term, lambda: derivative(itself[0]))
    result, fed_back = split(y)
    itself.append(fed_back)
    return result


def square_plus_one(y: Series) -> Series:
    """1 + y²."""
    return add(constant(1), multiply(*split(y)))


class Outcome(NamedTuple):
    """The first coefficients of two series."""

    exponential: list[Fraction]
    tangent: list[Fraction]


async def main() -> Outcome:
    """Solve y' = y with y(0) = 1, which is exp, and y' = 1 + y² with y(0) = 0, which is tan."""
    exponential = solve(1, lambda y: y)
    tangent = solve(0, square_plus_one)
    return Outcome(await exponential.first(TERMS), await tangent.first(TERMS))


if __name__ == "__main__":
    outcome = run(main)
    print("exp", *outcome.exponential)
    print("tan", *outcome.tangent)
