"""The tour: two programs that routines and channels make short, then this machine's figures."""

from __future__ import annotations

import os
import platform
import shutil
import textwrap
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


def figures_table(figures: list[Figure], columns: int) -> str:
    """`figures` as text in so many columns: a line each, or, where that is too long, the work above its numbers."""
    heads = f"{'routines':>10}  {'asyncio':>10}  {'ratio':>7}"
    rows = [
        (
            figure.work,
            f"{figure.routines_ns:>7,.0f} ns  {figure.asyncio_ns:>7,.0f} ns  {figure.ratio:>5.1f} x",
        )
        for figure in figures
    ]
    width = max(len(work) for work, _ in rows)
    if width + 2 + len(heads) <= columns:
        return "\n".join(f"{work:{width}}  {numbers}" for work, numbers in [("", heads), *rows])
    lines = [heads]
    for work, numbers in rows:
        lines += [*textwrap.wrap(work, columns), numbers]
    return "\n".join(lines)


def _say(text: str, columns: int, indent: str = "") -> None:
    """Print a line, as several where the terminal is narrower."""
    print(textwrap.fill(text, columns, initial_indent=indent, subsequent_indent="  " + indent), flush=True)


def tour() -> None:
    """Print the tour; a few seconds."""
    columns = max(shutil.get_terminal_size().columns, 40)
    _say(f"Prime sieve: {PRIMES} routines in a chain, joined by unbuffered channels", columns)
    started = time.perf_counter()
    primes, messages = run(sieve(PRIMES))
    seconds = time.perf_counter() - started
    _say(f"{', '.join(map(str, primes[:12]))}, ... {primes[-1]:,}", columns, "  ")
    _say(f"{messages:,} messages in {seconds * 1e3:,.0f} ms", columns, "  ")
    print()
    _say(f"Fan-out, fan-in: {JOBS:,} jobs to {WORKERS} workers, the results into one channel", columns)
    started = time.perf_counter()
    total, done = run(share_out(JOBS, WORKERS))
    seconds = time.perf_counter() - started
    _say(f"jobs per worker: {', '.join(f'{share:,}' for share in done)}", columns, "  ")
    _say(f"sum of squares: {total:,}", columns, "  ")
    _say(f"{2 * JOBS:,} messages in {seconds * 1e3:,.0f} ms", columns, "  ")
    print()
    _say(
        f"This machine: {platform.python_implementation()} {platform.python_version()}, "
        f"{platform.machine()}, {os.cpu_count()} processors",
        columns,
    )
    print(textwrap.indent(figures_table(measure(), columns - 2), "  "))
    _say("(medians of a short run on the stock loop)", columns, "  ")
