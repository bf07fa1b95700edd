"""Ping-pong: two routines and two unbuffered channels, one ball that goes back and forth.

A send over an unbuffered channel is complete when the other side has taken the value, so the two
take turns with no lock, no event and no sleep.

    python examples/ping_pong.py
"""

from __future__ import annotations

from routines import Receiver, Sender, channel, go, run

ROUND_TRIPS = 1_000


async def play(source: Receiver[int], out: Sender[int]) -> None:
    with source, out:
        async for ball in source:
            await out.send(ball + 1)


async def main() -> int:
    """How often the ball was hit: twice a round trip."""
    there: Sender[int]
    at_the_other_side: Receiver[int]
    from_the_other_side: Sender[int]
    back: Receiver[int]
    there, at_the_other_side = channel()
    from_the_other_side, back = channel()
    player = go(play, at_the_other_side, from_the_other_side)
    ball = 0
    # Closing our side of the table ends the other player's loop.
    with there:
        for _ in range(ROUND_TRIPS):
            await there.send(ball + 1)
            ball = await back.recv()
    await player.join()
    return ball


if __name__ == "__main__":
    print(f"{run(main):,} hits in {ROUND_TRIPS:,} round trips")
