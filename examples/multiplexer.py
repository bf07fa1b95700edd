"""A multiplexer: one select over several talkers, each of which stops when it likes.

A talker that has finished closes its channel, and a closed channel is always ready. So its place in
the select is set to None, which is never ready: Go's nil channel. The loop ends when every place
is None.

    python examples/multiplexer.py
"""

from __future__ import annotations

from typing import NamedTuple

from routines import Receiver, Selected, Sender, channel, go, run, select, sleep

LINES = {"Ann": 3, "Bob": 5, "Joe": 2}


class Line(NamedTuple):
    """What somebody said."""

    talker: str
    number: int


async def talk(talker: str, lines: int, tx: Sender[Line]) -> None:
    """Say so many lines, each after a pause, and hang up."""
    with tx:
        for number in range(lines):
            await sleep(0.001 * len(talker))
            await tx.send(Line(talker, number))


async def main() -> list[Line]:
    """All lines of all talkers, in the order in which they came."""
    talkers: list[Receiver[Line] | None] = []
    for talker, lines in LINES.items():
        tx: Sender[Line]
        rx: Receiver[Line]
        tx, rx = channel()
        go(talk, talker, lines, tx)
        talkers.append(rx)

    heard: list[Line] = []
    while any(talkers):
        match await select(*talkers):
            case Selected(_, line, True):
                heard.append(line)
            case Selected(index):
                talkers[index] = None
    return heard


if __name__ == "__main__":
    for line in run(main):
        print(f"{line.talker}: line {line.number}")
