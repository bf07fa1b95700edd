"""A rate limit with a burst: a request takes a token, a ticker puts tokens back, a full
bucket drops them.
"""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

from routines import SendError, Ticker, channel, run


@asynccontextmanager
async def rate_limit(per_second, burst):
    """Gives a receiver: one value from it is the permission for one request."""
    tx, tokens = channel(burst)
    for _ in range(burst):
        tx.try_send(None)

    async def refill():
        with tx:
            async for _ in Ticker(1 / per_second):
                with suppress(SendError):  # the bucket is full
                    tx.try_send(None)

    refilling = asyncio.create_task(refill())
    try:
        yield tokens
    finally:
        refilling.cancel()
        with suppress(asyncio.CancelledError):
            await refilling


async def main():
    begun = time.monotonic()
    async with rate_limit(per_second=200, burst=3) as tokens:
        for _ in range(7):
            await tokens.recv()
    took = time.monotonic() - begun
    print("3 at once, then 4 at 5 ms each:", took >= 0.020)


if __name__ == "__main__":
    run(main)
# 3 at once, then 4 at 5 ms each: True
