"""The prime sieve: a chain of routines, each of which lets through what its prime does not divide.

The classic of concurrent programming (Hoare's paper on CSP, Go's first demonstration). One routine
counts up from 2. The first number to reach the end of the chain is a prime, and the chain grows by
a filter for it.

    python examples/prime_sieve.py
"""

from __future__ import annotations

from contextlib import suppress

from routines import ChannelClosed, Receiver, Sender, channel, go, run

PRIMES = 100


async def count_up(out: Sender[int]) -> None:
    # It has no end of its own: it stops when nobody receives any more.
    with suppress(ChannelClosed), out:
        number = 2
        while True:
            await out.send(number)
            number += 1


async def drop_multiples(source: Receiver[int], out: Sender[int], prime: int) -> None:
    # Leaving closes both ends, so the news that nobody receives travels up the chain, link by link.
    with suppress(ChannelClosed), source, out:
        async for number in source:
            if number % prime:
                await out.send(number)


async def main() -> list[int]:
    """The first primes, in order."""
    out: Sender[int]
    tail: Receiver[int]
    out, tail = channel()
    go(count_up, out)
    primes: list[int] = []
    while len(primes) < PRIMES:
        prime = await tail.recv()
        primes.append(prime)
        source = tail
        out, tail = channel()
        go(drop_multiples, source, out, prime)
    tail.close()
    return primes


if __name__ == "__main__":
    print(*run(main))
