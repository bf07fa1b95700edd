"""Writing to a descriptor, past Python's own streams.

A stream has a lock. A thread that is stuck in it, because a pipe is full and nobody reads, would
hold that lock for good, and an interpreter that flushes its streams at the end would not come to an
end.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["complain", "write_all"]


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, blocking where the other side is slow.

    Raises:
        OSError: from `os.write`; how much went out before is unknown.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def complain(text: str) -> None:
    """Print one line to standard error, under the command's name.

    Where nobody listens there is nobody to tell; the exit status still does.
    """
    if sys.stderr is None:
        return
    # A name that is not valid text is shown with escapes; an error about it must not be one itself.
    line = f"digest: {text}\n".encode(sys.stderr.encoding, "backslashreplace")
    with suppress(OSError):
        write_all(sys.stderr.fileno(), line)
