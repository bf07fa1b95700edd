"""The prime sieve: a chain of routines, each of which filters
the multiples of one prime.
"""

from contextlib import suppress
from itertools import count

from routines import ChannelClosed, channel, go, run


async def generate(out):
    # When nobody takes the last filter's numbers, the chain ends.
    with suppress(ChannelClosed):
        await out.send_many(count(2))


async def sift(rx, out, prime):
    with suppress(ChannelClosed):
        async for i in rx:
            if i % prime != 0:
                await out.send(i)


async def main():
    tx, numbers = channel()
    go(generate, tx)
    for _ in range(25):
        prime = await numbers.recv()
        print(prime)
        tx, filtered = channel()
        go(sift, numbers, tx, prime)
        numbers = filtered


run(main)
