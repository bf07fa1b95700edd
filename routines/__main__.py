"""The command line: `python -m routines` is a tour, `… digest PATH` a program built of routines."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

EXIT_CTRL_C = 128 + 2
EXIT_BROKEN_PIPE = 128 + 13
"""What a shell reports for a program that SIGINT, or SIGPIPE, ended."""

MAX_WORKERS = 256


def _worker_count(text: str) -> int:
    try:
        workers = int(text)
    except ValueError:
        workers = 0
    if not 1 <= workers <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_WORKERS}")
    return workers


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an empty path names nothing")
    if text == "-":
        # `sha256sum -c` would take the name for its own standard input.
        raise argparse.ArgumentTypeError(
            "write './-' for the file of that name, '/dev/stdin' for standard input"
        )
    return text


def _processors() -> int:
    """Those that this process may use, where the system tells."""
    if sys.platform != "win32" and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parser(default_workers: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m routines",
        description="Go's concurrency for asyncio. Without a command: this page and a short tour, "
        "with this machine's figures beside asyncio's.",
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    digest = commands.add_parser(
        "digest",
        help="SHA-256 of every file below a path, by a pipeline of routines",
        description="Print the SHA-256 of every file at and below each PATH, in the format that "
        "'sha256sum -c' checks, in a fixed order: that of the PATHs, and in directories by name.",
        epilog="A PATH is read whatever it is: links are followed, pipes and devices read to their "
        "end. Below a directory only regular files count; links, pipes, sockets and devices are "
        "passed over. Exit status: 0; 1 where something could not be read (the rest is done all "
        "the same); 2 for wrong arguments; 130 after Ctrl-C; 141 where the reader of the output "
        "has gone.",
    )
    digest.add_argument("paths", metavar="PATH", nargs="+", type=_path, help="file or directory")
    digest.add_argument(
        "-w",
        "--workers",
        metavar="N",
        type=_worker_count,
        default=default_workers,
        help="how many read at the same time (here by default: %(default)s)",
    )
    digest.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="no progress bar and no closing line; errors are reported all the same",
    )
    return parser


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    # Imported late: what goes wrong from here on, Ctrl-C included, is inside `main`'s `try`.
    if arguments.command == "digest":
        from routines._cli.digest import digest

        return digest(arguments.paths, workers=arguments.workers, quiet=arguments.quiet)
    from routines._cli.tour import tour

    print(parser.format_help())
    tour()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return the exit status.

    Raises:
        SystemExit: from `argparse`, after `--help` or for wrong arguments.
    """
    parser = _parser(default_workers=_processors())
    try:
        status = _run(parser.parse_args(argv), parser)
        # Here, where a reader that has gone can be told from a failure; at exit it cannot.
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return EXIT_CTRL_C
    except BrokenPipeError:
        # What is left in the buffer would fail again when the interpreter flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())
