"""The tour: two programs that routines and channels make short, then this machine's figures."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress

from routines import ChannelClosed, Receiver, Sender, channel, go, run

from .figures import Figure, measure

__all__ = ["figures_table", "share_out", "sieve", "tour"]

PRIMES = 300
JOBS = 10_000
WORKERS = 5


async def _count_up(out: Sender[int]) -> None:
    # Ends by itself: once the last receiver has gone, a send says so.
    with suppress(ChannelClosed), out:
        number = 2
        while True:
            await out.send(number)
            number += 1


async def _drop_multiples(source: Receiver[int], out: Sender[int], prime: int) -> None:
    with suppress(ChannelClosed), source, out:
        async for number in source:
            if number % prime:
                await out.send(number)


async def sieve(count: int) -> tuple[list[int], int]:
    """The first `count` primes, and how many messages it took.

    One routine counts up, and for every prime one more routine keeps its multiples from passing: a
    chain of `count` routines, each joined to the next by an unbuffered channel. Closing the far end
    ends them all.
    """
    primes: list[int] = []
    links: list[Receiver[int]] = []
    out: Sender[int]
    tail: Receiver[int]
    out, tail = channel()
    go(_count_up, out)
    for _ in range(count):
        prime = await tail.recv()
        primes.append(prime)
        links.append(tail)
        out, tail = channel()
        go(_drop_multiples, links[-1], out, prime)
    messages = sum(link.stats().received for link in links)
    tail.close()
    return primes, messages


async def share_out(job_count: int, workers: int) -> tuple[int, list[int]]:
    """The sum of the first `job_count` squares, and how many each of the `workers` computed.

    All workers receive from clones of one receiver, so each job goes to one of them; all send on
    clones of one sender, so the results are complete when the last worker is done.
    """
    jobs: Sender[int]
    open_jobs: Receiver[int]
    results: Sender[int]
    squares: Receiver[int]
    # One in reserve, so that whoever is done first has work at once.
    jobs, open_jobs = channel(1)
    results, squares = channel()
    done = [0] * workers

    async def work(worker: int, source: Receiver[int], out: Sender[int]) -> None:
        with source, out:
            async for number in source:
                await out.send(number * number)
                done[worker] += 1

    for worker in range(workers):
        go(work, worker, open_jobs.clone(), results.clone())
    open_jobs.close()
    results.close()

    async def hand_out() -> None:
        with jobs:
            for number in range(job_count):
                await jobs.send(number)

    go(hand_out)
    total = 0
    async for square in squares:
        total += square
    return total, done


def figures_table(figures: list[Figure]) -> str:
    """`figures` as text, a line each."""
    width = max(len(figure.work) for figure in figures)
    lines = [f"{'':{width}}  {'routines':>10}  {'asyncio':>10}  {'ratio':>7}"]
    lines += [
        f"{figure.work:{width}}  {figure.routines_ns:>7,.0f} ns  {figure.asyncio_ns:>7,.0f} ns"
        f"  {figure.ratio:>5.1f} x"
        for figure in figures
    ]
    return "\n".join(lines)


def tour() -> None:
    """Print the tour; a few seconds."""
    print(f"Prime sieve: {PRIMES} routines in a chain, joined by unbuffered channels", flush=True)
    started = time.perf_counter()
    primes, messages = run(sieve(PRIMES))
    seconds = time.perf_counter() - started
    print(f"  {', '.join(map(str, primes[:12]))}, ... {primes[-1]:,}")
    print(f"  {messages:,} messages in {seconds * 1e3:,.0f} ms")
    print()
    print(
        f"Fan-out, fan-in: {JOBS:,} jobs to {WORKERS} workers, the results into one channel",
        flush=True,
    )
    started = time.perf_counter()
    total, done = run(share_out(JOBS, WORKERS))
    seconds = time.perf_counter() - started
    shares = ", ".join(f"{share:,}" for share in done)
    print(f"  jobs per worker: {shares}; sum of squares: {total:,}")
    print(f"  {2 * JOBS:,} messages in {seconds * 1e3:,.0f} ms")
    print()
    print(
        f"This machine: {platform.python_implementation()} {platform.python_version()}, "
        f"{platform.machine()}, {os.cpu_count()} processors",
        flush=True,
    )
    table = figures_table(measure())
    print("".join(f"  {line}\n" for line in table.splitlines()), end="")
    print("  (medians of a short run on the stock loop)")
