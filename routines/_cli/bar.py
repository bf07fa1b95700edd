"""The progress bar: one line on a terminal, drawn over and over, and taken away at the end.

With `rich` installed (the extra `cli`) it has colours and a smooth bar, without it plain
characters. Both are strings that this file writes itself, so the line can be cleared before
anything else is printed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, TextIO

from routines import sleep

from .output import write_all
from .pipeline import Progress

__all__ = ["Bar", "Snapshot", "human_bytes", "plain_line"]

SECONDS_PER_FRAME = 0.1
PLAIN_BAR_CELLS = 20
RICH_BAR_CELLS = 8  # at least
CTRL_C_CELLS = 2  # "^C", which a terminal puts behind the line
CLEAR_LINE = b"\r\x1b[K"


class Snapshot(NamedTuple):
    """What one frame of the bar shows."""

    files_done: int
    bytes_done: int
    files_found: int | None
    """None, as `bytes_found`, until everything is counted."""
    bytes_found: int | None
    seconds: float

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1; None until everything is counted."""
        if self.files_found is None or self.bytes_found is None:
            return None
        # Bytes tell best how long it takes; where there are only empty files, files do. Files that
        # grow under our eyes must not push it past the end.
        done, found = self.bytes_done, self.bytes_found
        if not found:
            done, found = self.files_done, self.files_found
        return min(done / found, 1.0) if found else 1.0


def human_bytes(count: float) -> str:
    """`count` with a decimal unit, in at most 8 characters.

    >>> human_bytes(999), human_bytes(1_000), human_bytes(123_456_789)
    ('999 B', '1.0 kB', '123.5 MB')
    """
    if count < 1000:
        return f"{count:.0f} B"
    units = iter(("kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    count /= 1000
    # Not 1000: 999.96 would be printed as 1000.0.
    while count >= 999.95 and (larger := next(units, None)):
        unit = larger
        count /= 1000
    return f"{count:.1f} {unit}"


def _figures(shown: Snapshot, columns: int) -> str:
    """As many of the figures as there is room for."""
    files, size = f"{shown.files_done:,}", human_bytes(shown.bytes_done)
    if shown.files_found is not None and shown.bytes_found is not None:
        files, size = f"{files} of {shown.files_found:,}", f"{size} of {human_bytes(shown.bytes_found)}"
    speed = human_bytes(shown.bytes_done / shown.seconds if shown.seconds > 0 else 0)
    figures = [f"{files} files", size, f"{speed}/s"]
    while figures and len("  ".join(figures)) > columns:
        figures.pop()
    return "  ".join(figures)


def plain_line(shown: Snapshot, columns: int) -> str:
    """A frame without colours, cut to `columns`."""
    fraction = shown.fraction
    line = "digest  "
    if fraction is not None:
        filled = int(fraction * PLAIN_BAR_CELLS)
        cells = "#" * filled + "-" * (PLAIN_BAR_CELLS - filled)
        line = f"digest [{cells}] {fraction:4.0%}  "
    return (line + _figures(shown, columns - len(line)))[:columns]


def _rich_line() -> Callable[[Snapshot, int], str] | None:
    """`plain_line`'s rich sister, or None where `rich` is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Columns
    except ImportError:
        return None
    console = Console(stderr=True)
    columns_shown = Columns(
        TextColumn("digest"),
        BarColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
        auto_refresh=False,
    )
    task = columns_shown.add_task("digest", total=None, figures="")

    def line(shown: Snapshot, columns: int) -> str:
        fraction = shown.fraction
        columns_shown.update(
            task,
            total=None if fraction is None else 1.0,
            completed=0.0 if fraction is None else fraction,
            figures=_figures(shown, columns - len("digest  ") - RICH_BAR_CELLS),
        )
        console.width = columns
        with console.capture() as frame:
            console.print(columns_shown.get_renderable(), end="", no_wrap=True)
        lines = str(frame.get()).splitlines()
        return lines[0] if lines else ""

    return line


class Bar:
    """The bar of one run, on a terminal."""

    def __init__(self, terminal: TextIO, progress: Progress) -> None:
        self._descriptor = terminal.fileno()
        self._progress = progress
        self._line = _rich_line() or plain_line
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @staticmethod
    def suits(stream: TextIO | None) -> bool:
        """Whether `stream` is a terminal that can draw a bar."""
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"

    def snapshot(self) -> Snapshot:
        """How far the run is now."""
        progress = self._progress
        return Snapshot(
            files_done=progress.files_done,
            bytes_done=progress.bytes_done,
            files_found=progress.files_found if progress.counted else None,
            bytes_found=progress.bytes_found if progress.counted else None,
            seconds=time.monotonic() - self._started,
        )

    def clear(self) -> None:
        """Take the bar away for good."""
        with suppress(OSError):
            write_all(self._descriptor, CLEAR_LINE)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Room for a thread to print: the bar is taken away, and comes back after the block."""
        with self._lock:
            self.clear()
            yield

    def draw(self) -> None:
        """Draw the next frame over the last.

        Raises:
            OSError: the terminal has gone.
        """
        try:
            columns = os.get_terminal_size(self._descriptor).columns
        except OSError:
            columns = 0
        # Some terminals do not know their width. And short of the edge, by one more than Ctrl-C adds:
        # there the cursor would wrap, and clearing would miss the line above.
        line = self._line(self.snapshot(), max((columns or 80) - CTRL_C_CELLS - 1, 1))
        # Never wait for a thread that prints: it may be stuck, and the loop must stay free for
        # Ctrl-C.
        if self._lock.acquire(blocking=False):
            try:
                write_all(self._descriptor, CLEAR_LINE + line.encode("utf-8", "backslashreplace"))
            finally:
                self._lock.release()

    async def keep_drawing(self) -> None:
        """Draw until aborted, or until the terminal has gone."""
        with suppress(OSError):
            while True:
                self.draw()
                await sleep(SECONDS_PER_FRAME)
