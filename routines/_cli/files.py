"""What is below a path, and the SHA-256 of each file: plain blocking code, to be run in threads.

What counts as a file:

- A path that the user names is read whatever it is, as `sha256sum` does: a link is followed, a pipe
  or a device is read to its end (so `digest <(command)` works).
- Below a directory only regular files count. Symbolic links are not followed: their target has a
  line of its own if it lies below the path, is not ours if it does not, and no loop is possible.
  Pipes, sockets and devices are passed over, because reading one may never end. What was passed
  over is counted.

The order is fixed: the paths as they were given, and within a directory the names in the order of
their bytes, each subdirectory gone through where its name stands.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

__all__ = [
    "Digest",
    "Entry",
    "Failed",
    "File",
    "Meter",
    "Result",
    "Skipped",
    "Stopped",
    "batches",
    "digest_entries",
    "walk",
]

CHUNK_BYTES = 256 * 1024
"""Read at a time: it stays in the processor's cache, and the GIL is free for nearly all of it."""

BATCH_BYTES = 1024 * 1024
BATCH_FILES = 64
"""A batch ends at whichever comes first. Small files cost less than the way to a thread and back,
so they go together; a file of a batch's size or more goes alone, so that no worker hoards work."""

TURN_SECONDS = 0.02
"""How long a thread waits for its turn to read small files: several batches from memory."""


class File(NamedTuple):
    """A file to be read."""

    path: str
    size: int | None
    """In bytes, when it was found; None for a pipe or a device, whose length nobody knows."""
    named: bool
    """Given by the user, not found below a directory: links are followed, anything is read."""


class Digest(NamedTuple):
    """A file that was read."""

    path: str
    hexdigest: str


class Failed(NamedTuple):
    """A file that could not be read, or a directory that could not be listed."""

    path: str
    reason: str


class Skipped(NamedTuple):
    """A link, pipe, socket or device below a directory."""

    path: str


Entry = File | Failed | Skipped
Result = Digest | Failed | Skipped


class Stopped(Exception):
    """The run is over and nobody waits for this work any more."""


class Meter:
    """Counts the bytes that one thread has read, and ends its work when the run is over.

    Written by one thread at a time and read by any: the progress bar adds up several meters, so no
    lock is needed and no count is lost.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.bytes_read = 0
        self._stop = stop

    def add(self, count: int) -> None:
        """Count `count` more bytes.

        Raises:
            Stopped: the run was stopped; a long file must not outlive it.
        """
        self.bytes_read += count
        if self._stop.is_set():
            raise Stopped


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _listing(folder: str) -> list[os.DirEntry[str]]:
    """What is in `folder`, last name first: `walk` takes from the end."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: os.fsencode(entry.name), reverse=True)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    # Windows' other kind of link. Only 3.12 and later can tell; earlier ones follow it, as
    # `os.walk` did.
    is_junction = getattr(entry, "is_junction", None)
    return is_junction is not None and bool(is_junction())


def _walk_folder(folder: str) -> Iterator[Entry]:
    # A list of what is left to visit and no recursion: depth is limited by the disk alone.
    try:
        waiting = _listing(folder)
    except OSError as error:
        yield Failed(folder, _reason(error))
        return
    while waiting:
        entry = waiting.pop()
        try:
            if entry.is_file(follow_symlinks=False):
                yield File(entry.path, entry.stat(follow_symlinks=False).st_size, named=False)
            elif entry.is_dir(follow_symlinks=False) and not _is_junction(entry):
                waiting += _listing(entry.path)
            else:
                yield Skipped(entry.path)
        except OSError as error:
            yield Failed(entry.path, _reason(error))


def walk(paths: Iterable[str]) -> Iterator[Entry]:
    """Everything at and below `paths`, in the order that the head of this file fixes.

    What cannot be looked at comes up as `Failed`, and the walk goes on.
    """
    for path in paths:
        try:
            found = os.stat(path)
        except OSError as error:
            yield Failed(path, _reason(error))
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _walk_folder(path)
        else:
            regular = stat.S_ISREG(found.st_mode)
            yield File(path, found.st_size if regular else None, named=True)


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The same entries in the same order, in portions that are worth a thread's while."""
    batch: list[Entry] = []
    batch_bytes = 0
    for entry in entries:
        size = 0
        if isinstance(entry, File):
            # No length known: it may block for ever, so nothing else may wait behind it.
            size = BATCH_BYTES if entry.size is None else entry.size
        if batch and size >= BATCH_BYTES:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(entry)
        batch_bytes += size
        if batch_bytes >= BATCH_BYTES or len(batch) >= BATCH_FILES:
            yield batch
            batch, batch_bytes = [], 0
    if batch:
        yield batch


# Windows would translate line ends.
_NAMED_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
# Between the walk and the opening somebody may put a link or a pipe in a file's place. These two
# make that an error and a descriptor that can be asked, instead of a stranger's file and a wait
# without end.
_FOUND_FLAGS = _NAMED_FLAGS | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _digest_file(file: File, meter: Meter) -> Result:
    # Bare descriptors: a file object costs half as much again as everything else for a small file.
    sha256 = hashlib.sha256()
    # Where all comes in one read, no more memory than that.
    ask = CHUNK_BYTES if file.size is None else min(file.size + 1, CHUNK_BYTES)
    try:
        descriptor = os.open(file.path, _NAMED_FLAGS if file.named else _FOUND_FLAGS)
        try:
            if not file.named and not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Skipped(file.path)
            while chunk := os.read(descriptor, ask):
                sha256.update(chunk)
                meter.add(len(chunk))
                ask = CHUNK_BYTES
        finally:
            os.close(descriptor)
    except OSError as error:
        return Failed(file.path, _reason(error))
    return Digest(file.path, sha256.hexdigest())


_turns = threading.Lock()


@contextmanager
def _turn() -> Iterator[None]:
    """Room for a thread that reads small files, so that it need not fight others for the GIL.

    A small file is a handful of short system calls, and each of them gives the GIL away and wants
    it back at once. Several threads in that are slower than one: 20,000 files from the page cache
    took 4 threads 1.6 s side by side and 0.9 s in turns, one thread 0.8 s (two processors, medians
    of 5). From a slow disk it is the other way round, and there nobody stands in line for long.
    """
    # Without a GIL there is nothing to fight for.
    mine = getattr(sys, "_is_gil_enabled", lambda: True)() and _turns.acquire(timeout=TURN_SECONDS)
    try:
        yield
    finally:
        if mine:
            _turns.release()


def digest_entries(entries: Sequence[Entry], meter: Meter) -> list[Result]:
    """Read each file of a batch; what the walk could not see, or passed over, goes through.

    Raises:
        Stopped: from `meter`, at the next chunk after the run was stopped.
    """
    # A batch of one is most likely big, and nearly all of its time is spent without the GIL.
    with _turn() if len(entries) > 1 else nullcontext():
        return [_digest_file(each, meter) if isinstance(each, File) else each for each in entries]
