"""A log pipeline: access logs in, a summary of each minute out, at the pace of the slowest stage.

    reader --batches--> parser 1..N --reply--> summary --minutes--> writer
       `---------------order---------------------^

The reader is a thread that blocks on the file, the writer one that blocks on its own; what is between them is routines. The parsers
finish in any order, and the summary takes their replies in the order of the file, so a minute is complete when the next one
begins. Every channel is bounded: behind a slow disk the writer's channel fills, then the summary waits, then the parsers, then the
reader, and memory stays as it is. The display shows how full each channel is, so it shows which stage is the slow one.

    pip install rich
    python examples/log_pipeline.py                                # a log that it makes itself
    python examples/log_pipeline.py access.log --out minutes.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from routines import Aborted, ChannelClosed, Receiver, Sender, channel, go, group, run, sleep

LINES_IN_BATCH = 200
BATCHES_AHEAD = 4
"""Batches that may wait for a parser, and as many replies for the summary."""

MINUTES_AHEAD = 4
PARSERS = 3
SECONDS_PER_FRAME = 0.1

LINE = re.compile(r'\S+ \S+ \S+ \[([^]]+)\] "(?:[A-Z]+) (\S+)[^"]*" (\d{3}) (\d+|-)')
"""Common Log Format: time, path, status, bytes."""

TIME = "%d/%b/%Y:%H:%M:%S %z"


class Record(NamedTuple):
    """What is used of a line."""

    minute: str
    path: str
    status: str
    size: int


class Parsed(NamedTuple):
    """What came of a batch."""

    records: list[Record]
    rejected: int


class Minute:
    """Everything that happened in one minute."""

    def __init__(self, minute: str) -> None:
        self.minute = minute
        self.statuses: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.size = 0

    def add(self, record: Record) -> None:
        """Count one request."""
        self.statuses[record.status] += 1
        self.paths[record.path] += 1
        self.size += record.size

    def as_json(self) -> str:
        """One line for the output."""
        return json.dumps(
            {
                "minute": self.minute,
                "requests": self.statuses.total(),
                "bytes": self.size,
                "statuses": dict(sorted(self.statuses.items())),
                "top": self.paths.most_common(3),
            }
        )


class Batch(NamedTuple):
    """Lines to parse, and where the result goes."""

    lines: list[str]
    answer: Sender[Parsed]


class Gauge:
    """How far the pipeline has come, and how full its channels are and have been."""

    def __init__(self) -> None:
        self.lines = 0
        self.rejected = 0
        self.minutes = 0
        self.channels: dict[str, Receiver[Batch] | Receiver[Receiver[Parsed]] | Receiver[Minute]] = {}
        self.fullest: Counter[str] = Counter()

    def look(self) -> Iterator[tuple[str, int, int]]:
        """Name, values and capacity of each channel, now."""
        for name, rx in self.channels.items():
            self.fullest[name] = max(self.fullest[name], len(rx))
            yield name, len(rx), int(rx.capacity)


# -- the stages


def read(path: Path, batches: Sender[Batch], order: Sender[Receiver[Parsed]], gauge: Gauge) -> None:
    """The reader, in a thread of its own: blocks on the file, and on the channels while they are full."""
    with batches, order, suppress(ChannelClosed), path.open(encoding="utf-8", errors="replace") as file:
        while lines := list(islice(file, LINES_IN_BATCH)):
            answer: Sender[Parsed]
            reply: Receiver[Parsed]
            answer, reply = channel(1)
            order.send_blocking(reply)  # its place in the order first
            batches.send_blocking(Batch(lines, answer))
            gauge.lines += len(lines)
            for _ in gauge.look():
                pass


def parse_line(line: str) -> Record | None:
    """What a line says, or None where it is no such line."""
    match = LINE.match(line)
    if match is None:
        return None
    moment, path, status, size = match.groups()
    try:
        minute = datetime.strptime(moment, TIME).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return None
    return Record(minute, path.partition("?")[0], status, 0 if size == "-" else int(size))


async def parse(batches: Receiver[Batch]) -> None:
    """A parser: answers one batch after the other."""
    with batches:
        async for batch in batches:
            with batch.answer:
                records = [parse_line(line) for line in batch.lines]
                good = [record for record in records if record is not None]
                await batch.answer.send(Parsed(good, len(records) - len(good)))


async def summarise(order: Receiver[Receiver[Parsed]], minutes: Sender[Minute], gauge: Gauge) -> None:
    """Sum up minute by minute; a minute goes on as soon as a later one begins."""
    now: Minute | None = None
    with order, minutes:
        async for reply in order:
            parsed = await reply.recv()
            gauge.rejected += parsed.rejected
            for record in parsed.records:
                if now is None or record.minute > now.minute:
                    if now is not None:
                        await minutes.send(now)
                    now = Minute(record.minute)
                now.add(record)  # a line that is a little late counts in the minute that is open
        if now is not None:
            await minutes.send(now)


async def write(minutes: Receiver[Minute], store: Callable[[str], object], gauge: Gauge) -> None:
    """Store what is there, in a thread, as a disk may be slow."""
    with minutes:
        async for batch in minutes.batches(MINUTES_AHEAD):
            await asyncio.to_thread(store, "".join(f"{minute.as_json()}\n" for minute in batch))
            gauge.minutes += len(batch)


async def process(path: Path, store: Callable[[str], object], gauge: Gauge) -> None:
    """Put the stages together and wait for their end.

    Args:
        path: the log.
        store: called in a thread with lines of JSON, one for each minute.
        gauge: kept up to date meanwhile.

    Raises:
        OSError: the log cannot be read, or the output not be written.
    """
    batches: Sender[Batch]
    open_batches: Receiver[Batch]
    order: Sender[Receiver[Parsed]]
    replies: Receiver[Receiver[Parsed]]
    minutes: Sender[Minute]
    finished: Receiver[Minute]
    batches, open_batches = channel(BATCHES_AHEAD)
    order, replies = channel(BATCHES_AHEAD)
    minutes, finished = channel(MINUTES_AHEAD)
    gauge.channels = {
        "to parse": open_batches.clone(),
        "to sum up": replies.clone(),
        "to write": finished.clone(),
    }
    failures: list[OSError] = []

    def reading() -> None:
        try:
            read(path, batches, order, gauge)
        except OSError as error:
            failures.append(error)  # the ends are closed, so the rest ends as at the end of the file

    thread = threading.Thread(target=reading, name="log-reader")
    try:
        async with group() as stages:
            for _ in range(PARSERS):
                stages.go(parse, open_batches.clone())
            stages.go(summarise, replies, minutes, gauge)
            stages.go(write, finished, store, gauge)
            thread.start()
    finally:
        # Where a stage has failed, or all were cancelled, this is what ends the reader.
        for rx in (open_batches, *gauge.channels.values()):
            rx.close()
        if thread.ident is not None:
            await asyncio.to_thread(thread.join)
    if failures:
        raise failures[0]


# -- what one sees


class Display:
    """A table of the channels on a terminal where `rich` is installed, a line where it is not; nothing in a pipe."""

    BAR_CELLS = 20

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge

    def words(self) -> str:
        """The counters."""
        return f"{self.gauge.lines:,} lines, {self.gauge.minutes:,} minutes, {self.gauge.rejected:,} rejected"

    async def draw(self) -> None:
        """Draw until aborted."""
        try:
            from rich.console import Console
            from rich.live import Live
            from rich.table import Table
        except ImportError:
            await self.draw_plainly()
            return
        with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
            while True:
                table = Table(title=self.words(), box=None, show_header=False)
                for name, values, capacity in self.gauge.look():
                    cells = self.BAR_CELLS * values // capacity
                    colour = "red" if values == capacity else "green"
                    table.add_row(
                        name,
                        f"[{colour}]{'█' * cells}[/]{'░' * (self.BAR_CELLS - cells)}",
                        f"{values}/{capacity}",
                    )
                live.update(table, refresh=True)
                await sleep(SECONDS_PER_FRAME)

    async def draw_plainly(self) -> None:
        """One line, drawn over itself."""
        try:
            while True:
                full = ", ".join(
                    f"{name} {values}/{capacity}" for name, values, capacity in self.gauge.look()
                )
                print(f"\r\x1b[K{self.words()}; {full}", end="", file=sys.stderr, flush=True)
                await sleep(SECONDS_PER_FRAME)
        finally:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def shown(self) -> AsyncGenerator[None, None]:
        """Draw while the block runs, if anybody can see it."""
        drawing = go(self.draw) if sys.stderr.isatty() else None
        try:
            yield
        finally:
            if drawing is not None:
                drawing.abort("the log is read")
                with suppress(Aborted):
                    await drawing.join()


# -- the demonstration


def made_up_log(lines: int, seed: int = 1) -> Iterator[str]:
    """Lines of a log that nobody has written, a few of them broken."""
    chance = random.Random(seed)
    moment = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    paths = ["/", "/news", "/about", "/search?q=cats", "/api/items"]
    for number in range(lines):
        moment += timedelta(milliseconds=chance.randrange(100))
        status = chance.choices(["200", "304", "404", "500"], [90, 5, 4, 1])[0]
        if number % 997 == 500:
            yield "this is no line of a log\n"
        stamp = moment.strftime(TIME)
        yield f'10.0.0.{number % 250} - - [{stamp}] "GET {chance.choice(paths)} HTTP/1.1" {status} {chance.randrange(5000)}\n'


class Outcome(NamedTuple):
    """What came of a log."""

    minutes: list[dict[str, object]]
    gauge: Gauge


async def main(lines: int = 10_000) -> Outcome:
    """The minutes of a log that was made for it, through an output that is slower than the rest."""
    gauge = Gauge()
    stored: list[dict[str, object]] = []
    slow = threading.Event()  # never set: waiting for it is what takes the time

    def store(text: str) -> None:
        slow.wait(0.002)
        stored.extend(json.loads(line) for line in text.splitlines())

    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "access.log")
        await asyncio.to_thread(lambda: log.write_text("".join(made_up_log(lines)), encoding="utf-8"))
        async with Display(gauge).shown():
            await process(log, store, gauge)
    return Outcome(stored, gauge)


async def convert(log: Path, output: Path | None) -> Gauge:
    """Process a real log; the minutes go to `output`, or to the standard output."""
    gauge = Gauge()
    async with Display(gauge).shown():
        with output.open("w", encoding="utf-8") if output else nullcontext(sys.stdout) as file:
            await process(log, file.write, gauge)
    return gauge


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Sum up an access log, minute by minute; without one, one that is made up."
    )
    parser.add_argument("log", nargs="?", type=Path, help="a file in the Common Log Format")
    parser.add_argument("--out", type=Path, help="where the minutes go (the standard output)")
    options = parser.parse_args()
    try:
        if options.log:
            done = run(convert(options.log, options.out))
            print(
                f"{done.lines:,} lines, {done.minutes:,} minutes, {done.rejected:,} rejected", file=sys.stderr
            )
        else:
            outcome = run(main)
            for minute in outcome.minutes[:3]:
                print(minute["minute"], minute["requests"], "requests", minute["statuses"])
            print(
                f"... {len(outcome.minutes)} minutes of {outcome.gauge.lines:,} lines, {outcome.gauge.rejected} rejected"
            )
            print("fullest:", ", ".join(f"{name} {values}" for name, values in outcome.gauge.fullest.items()))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"log_pipeline: {error}")
