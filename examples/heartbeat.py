"""A heartbeat: a supervisor notices that a worker has stopped, and starts another in its place.

The worker waits for work and for its pulse ticker in one select, so it beats while it is idle too. The
supervisor listens with a timeout: a pulse that is late for long enough means that the worker is stuck,
not merely slow. What the worker had not done is still in the channel, for the next one.

    python examples/heartbeat.py
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from routines import Receiver, Selected, Sender, SendError, Ticker, Timeout, channel, go, run, select

PULSE = 0.002
"""Seconds between two beats."""

PATIENCE = 0.05
"""Seconds without a beat after which a worker is given up."""

JOBS = 6


async def work(jobs: Receiver[int], results: Sender[int], pulse: Sender[None]) -> None:
    """Square jobs, beating meanwhile; get stuck on the job 3 when it comes the first time."""
    ticker = Ticker(PULSE)
    while True:
        match await select(jobs, ticker):
            case Selected(0, job, True):
                if job == 3:
                    await stuck()
                await results.send(job * job)
            case Selected(0):
                results.close()
                return
            case _:
                beat(pulse)


def beat(pulse: Sender[None]) -> None:
    """A beat that nobody is listening for is no loss."""
    with suppress(SendError):
        pulse.try_send(None)


async def stuck() -> None:
    """Wait for something that never comes; our own two ends keep it from being closed."""
    silent_tx: Sender[None]
    silent_rx: Receiver[None]
    silent_tx, silent_rx = channel()
    with silent_tx:
        await silent_rx.recv()


class Outcome(NamedTuple):
    """What came of all jobs."""

    results: list[int]
    workers: int


async def main() -> Outcome:
    """The results, and how many workers it took."""
    submit: Sender[int]
    jobs: Receiver[int]
    submit, jobs = channel(JOBS)
    with submit:
        await submit.send_many(range(JOBS))

    results: list[int] = []
    workers = 0
    while True:
        workers += 1
        done: Sender[int]
        finished: Receiver[int]
        done, finished = channel()
        pulse: Sender[None]
        beats: Receiver[None]
        pulse, beats = channel(1)
        worker = go(work, jobs.clone(), done, pulse)
        try:
            while True:
                chosen = await select(finished, beats, timeout=PATIENCE)
                if chosen.source is finished:
                    if not chosen.ok:
                        return Outcome(results, workers)
                    results.append(chosen.value)
        except Timeout:
            worker.abort(f"no beat for {PATIENCE} s")


if __name__ == "__main__":
    outcome = run(main)
    print(f"results {outcome.results} by {outcome.workers} workers")
