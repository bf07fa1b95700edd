"""The bounded pipeline: a walker, N workers, a collector, and channels between them.

    walker --jobs--> worker 1..N --reply--> collector
       `-------------order-------------------^

The walker sends each batch of files twice: as a job to whichever worker is free, and as the
receiver of that job's reply to the collector. The workers finish in any order; the collector takes
the receivers in the order in which they were sent and waits for each, so results come out in the
walker's order.

Both channels are bounded, and so is memory, whatever the size of the tree: behind one huge file the
workers run at most `REPLIES_AHEAD` batches ahead, then the walker waits. It cannot lock up: a reply
that the collector waits for belongs to a job that a worker has or will get, and workers wait for
nobody.

All that blocks (listing, reading, writing) happens in a helper thread per routine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from routines import Receiver, Routine, Sender, channel, go

from .files import Entry, File, Meter, Result, batches, digest_entries, walk
from .helper import Helper

__all__ = ["Progress", "digest_files"]

REPLIES_AHEAD = 256
"""Batches between the walker and the collector. At most 64 results each: a few megabytes."""


class _Job(NamedTuple):
    entries: list[Entry]
    answer: Sender[list[Result]]


_Reply: TypeAlias = Receiver[list[Result]]


class Progress:
    """How far a run has come, for whoever draws it. Read by the loop's thread."""

    def __init__(self) -> None:
        self.meters: list[Meter] = []
        self.files_done = 0
        self.files_found = 0
        self.bytes_found = 0
        self.counted = False
        """`files_found` and `bytes_found` are final. Until then nobody knows how much there is."""

    @property
    def bytes_done(self) -> int:
        """Bytes that the workers have read."""
        return sum(meter.bytes_read for meter in self.meters)


async def digest_files(
    paths: Sequence[str],
    workers: int,
    collect: Callable[[list[Result]], None],
    progress: Progress,
    *,
    count_ahead: bool = False,
) -> None:
    """Digest everything at and below `paths`.

    Args:
        paths: files and directories, walked in this order.
        workers: how many batches are read at the same time.
        collect: called in a thread, never twice at once, with the results of a batch, in the walk's
            order. What it raises ends the run and is raised here.
        progress: kept up to date while it runs.
        count_ahead: walk the tree a second time, ahead of the first, so that `progress` knows the
            total.

    Cancelled, it is over at once, even where a thread is stuck in a read: the thread is left to
    itself.
    """
    stop = threading.Event()
    jobs: Sender[_Job]
    open_jobs: Receiver[_Job]
    order: Sender[_Reply]
    replies: Receiver[_Reply]
    jobs, open_jobs = channel(workers)
    order, replies = channel(REPLIES_AHEAD)
    crew: list[Routine[None]] = [go(_find, paths, jobs, order)]
    for _ in range(workers):
        meter = Meter(stop)
        progress.meters.append(meter)
        crew.append(go(_work, open_jobs.clone(), meter))
    # The workers have clones. With the last of them the walker must learn that nobody is left.
    open_jobs.close()
    counter = [go(_count, paths, stop, progress)] if count_ahead else []
    try:
        await _collect(replies, collect, progress)
        # All is collected; what could still come up here is a failure that nobody foresaw.
        for routine in crew:
            await routine.join()
    finally:
        # The flag is for the threads, which no abort reaches.
        stop.set()
        for routine in crew + counter:
            routine.abort("the digest is over")
        for routine in crew + counter:
            # None of them waits for anything any more. And what failed has been told above.
            with suppress(Exception):
                await routine.join()


async def _find(paths: Sequence[str], jobs: Sender[_Job], order: Sender[_Reply]) -> None:
    """The walker: find files, hand them out in batches."""
    with jobs, order, Helper("digest-walker") as helper:
        portions = batches(walk(paths))
        while batch := await helper.call(next, portions, None):
            answer: Sender[list[Result]]
            reply: _Reply
            answer, reply = channel(1)
            # First its place in the order, then the job: nothing is read that could not be printed.
            await order.send(reply)
            await jobs.send(_Job(batch, answer))


async def _work(jobs: Receiver[_Job], meter: Meter) -> None:
    """A worker: read the files of one batch after the other."""
    with jobs, Helper("digest-worker") as helper:
        async for job in jobs:
            # An unforeseen exception leaves through this `with` and becomes the cause of the
            # closing, which the collector sees in place of a reply.
            with job.answer:
                # Never blocks: the reply has room for one.
                await job.answer.send(await helper.call(digest_entries, job.entries, meter))


async def _collect(
    replies: Receiver[_Reply],
    collect: Callable[[list[Result]], None],
    progress: Progress,
) -> None:
    """The collector: take the replies in order."""
    with replies, Helper("digest-collector") as helper:
        async for reply in replies:
            results = await reply.recv()
            await helper.call(collect, results)
            progress.files_done += len(results)


async def _count(paths: Sequence[str], stop: threading.Event, progress: Progress) -> None:
    """The counter: find out how much there is, for the bar."""

    def count() -> None:
        for entry in walk(paths):
            if stop.is_set():
                return
            progress.files_found += 1
            if isinstance(entry, File) and entry.size is not None:
                progress.bytes_found += entry.size
        progress.counted = True

    with Helper("digest-counter") as helper:
        await helper.call(count)
