"""Fan-out, fan-in: one source of jobs, five workers, one stream of results.

Each worker has a clone of the receiver, and clones share the work: each job goes to exactly one
worker, whoever is free. Clones of a sender share the way back: the results are complete when the
last worker has closed its own.

    python examples/fan_out_fan_in.py
"""

from __future__ import annotations

from typing import NamedTuple

from routines import Receiver, Sender, channel, go, run

WORKERS = 5
JOBS = 100


class Square(NamedTuple):
    """One result."""

    number: int
    square: int
    worker: int


async def hand_out(jobs: Sender[int]) -> None:
    with jobs:
        for number in range(JOBS):
            await jobs.send(number)


async def work(worker: int, jobs: Receiver[int], results: Sender[Square]) -> None:
    with jobs, results:
        async for number in jobs:
            await results.send(Square(number, number * number, worker))


async def main() -> list[Square]:
    """The square of every number, in the order in which the workers were done."""
    jobs: Sender[int]
    open_jobs: Receiver[int]
    results: Sender[Square]
    squares: Receiver[Square]
    # One in reserve, so that whoever is done first has work at once.
    jobs, open_jobs = channel(1)
    results, squares = channel()
    for worker in range(WORKERS):
        go(work, worker, open_jobs.clone(), results.clone())
    # Only the workers' clones count from here on.
    open_jobs.close()
    results.close()
    go(hand_out, jobs)
    return [square async for square in squares]


if __name__ == "__main__":
    done = run(main)
    print(f"{len(done)} squares, sum {sum(result.square for result in done):,}")
    for worker in range(WORKERS):
        print(f"worker {worker} did {sum(result.worker == worker for result in done)}")
