"""A rate limiter: requests go through at the pace of a ticker, with a burst after a quiet time.

Each request takes a token out of a bounded channel. A ticker puts one back at every tick, with
`try_send`: where the channel is full the token is dropped, so a quiet time saves up a burst and no more.

    python examples/rate_limiter.py
"""

from __future__ import annotations

import time
from contextlib import suppress

from routines import Receiver, Sender, SendError, Ticker, channel, go, run, select

PACE = 0.005
"""Seconds from one request to the next, once the burst is used up."""

BURST = 3
REQUESTS = 8


async def refill(tokens: Sender[None], stop: Receiver[None]) -> None:
    """Add a token at every tick, until told to stop."""
    ticker = Ticker(PACE)
    while True:
        chosen = await select(ticker, stop)
        if chosen.source is stop:
            ticker.stop()
            return
        with suppress(SendError):  # the burst is saved up already
            tokens.try_send(None)


async def main() -> list[float]:
    """When each request went through, in seconds from the first."""
    add_token: Sender[None]
    tokens: Receiver[None]
    add_token, tokens = channel(BURST)
    await add_token.send_many([None] * BURST)
    stop: Sender[None]
    stopped: Receiver[None]
    stop, stopped = channel()
    refilling = go(refill, add_token, stopped)

    begun = time.monotonic()
    passed: list[float] = []
    for _ in range(REQUESTS):
        await tokens.recv()
        passed.append(time.monotonic() - begun)
    stop.close()
    await refilling
    return passed


if __name__ == "__main__":
    for number, seconds in enumerate(run(main)):
        print(f"request {number} after {seconds * 1e3:5.1f} ms")
