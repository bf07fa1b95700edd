"""A line of output per file, byte for byte as `sha256sum` writes it and `sha256sum -c` reads it."""

from __future__ import annotations

import os

__all__ = ["checksum_line"]


def checksum_line(hexdigest: str, path: str) -> bytes:
    r"""The line for one file: the digest, two blanks, the name, a newline.

    A name that holds a newline, a carriage return or a backslash would break the line or be
    misread, so coreutils (9.0 and later) writes it as ``\n``, ``\r`` or ``\\`` and puts one
    backslash in front of the line. The name's own bytes come out again whatever their encoding
    (`os.fsencode`).

    >>> checksum_line("ab12", "notes.txt")
    b'ab12  notes.txt\n'
    >>> checksum_line("ab12", "two\nlines")
    b'\\ab12  two\\nlines\n'
    """
    name = os.fsencode(path)
    # The backslash goes first: the other two replacements bring in new ones.
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"" if escaped == name else b"\\"
    return b"%s%s  %s\n" % (mark, hexdigest.encode("ascii"), escaped)
