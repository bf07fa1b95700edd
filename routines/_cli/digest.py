"""The command `digest`: what it prints, where, and with which exit status.

Lines go to standard output in the format of `sha256sum`, in a fixed order (see `files`).
Complaints, the progress bar and the closing line go to standard error; bar and closing line only on
a terminal.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

from routines import go, run

from .bar import Bar, human_bytes
from .checksums import checksum_line
from .files import Digest, Failed, Result
from .output import complain, write_all
from .pipeline import Progress, digest_files

__all__ = ["digest"]

EXIT_FINE = 0
EXIT_FAILURE = 1
EXIT_BROKEN_PIPE = 128 + 13
"""What a shell reports for a program that SIGPIPE ended, as it ends `sha256sum`."""


class _OutputError(Exception):
    """Standard output takes no more; the cause is the `OSError`."""


def _shown(path: str) -> str:
    """A name for people: one that would upset a terminal or hide its end is quoted."""
    return path if path.isprintable() and path == path.strip() else repr(path)


class _Printer:
    """Prints results, from the collector's thread, and counts them."""

    def __init__(self, output: int, bar: Bar | None) -> None:
        self.digested = 0
        self.failed = 0
        self.skipped = 0
        self._output = output
        self._bar = bar

    def print_results(self, results: list[Result]) -> None:
        """Write the lines of one batch, and complain about what could not be read.

        Raises:
            BrokenPipeError: the reader has gone.
            _OutputError: standard output failed in another way.
        """
        lines: list[bytes] = []
        for result in results:
            if isinstance(result, Digest):
                self.digested += 1
                lines.append(checksum_line(result.hexdigest, result.path))
            elif isinstance(result, Failed):
                self.failed += 1
            else:
                self.skipped += 1
        failures = [result for result in results if isinstance(result, Failed)]
        # A bar and lines that go elsewhere do not meet.
        in_the_way = bool(failures) or os.isatty(self._output)
        with self._bar.hidden() if self._bar is not None and in_the_way else nullcontext():
            self._write(b"".join(lines))
            for failure in failures:
                complain(f"{_shown(failure.path)}: {failure.reason}")

    def _write(self, lines: bytes) -> None:
        try:
            write_all(self._output, lines)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _OutputError from error


async def _digest(
    paths: Sequence[str], workers: int, printer: _Printer, progress: Progress, bar: Bar | None
) -> None:
    drawing = None if bar is None else go(bar.keep_drawing)
    ahead = bar is not None
    try:
        await digest_files(paths, workers, printer.print_results, progress, count_ahead=ahead)
    finally:
        if drawing is not None:
            drawing.abort("the digest is over")


def digest(paths: Sequence[str], *, workers: int, quiet: bool = False) -> int:
    """Print the SHA-256 of every file at and below `paths`.

    Returns:
        The exit status: 0; 1 where something could not be read (the rest is done) or written;
        141 where the reader of the output has gone.

    Raises:
        KeyboardInterrupt: after Ctrl-C, at once, with everything put away.
    """
    if sys.stdout is None:
        complain("standard output is closed")
        return EXIT_FAILURE
    sys.stdout.flush()
    progress = Progress()
    on_terminal = not quiet and Bar.suits(sys.stderr)
    bar = Bar(sys.stderr, progress) if on_terminal else None
    printer = _Printer(sys.stdout.fileno(), bar)
    started = time.monotonic()
    try:
        run(_digest(paths, workers, printer, progress, bar))
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except _OutputError as error:
        complain(f"write error: {error.__cause__}")
        return EXIT_FAILURE
    finally:
        if bar is not None:
            bar.clear()
    if on_terminal:
        seconds = time.monotonic() - started
        total = progress.bytes_done
        skipped = f"; {printer.skipped:,} links and special files passed over"
        complain(
            f"{printer.digested:,} files, {human_bytes(total)} in {seconds:.1f} s "
            f"({human_bytes(total / seconds)}/s)" + (skipped if printer.skipped else "")
        )
    if printer.failed:
        complain(f"{printer.failed:,} could not be read")
        return EXIT_FAILURE
    return EXIT_FINE
