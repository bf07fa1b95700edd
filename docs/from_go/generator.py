"""A generator: a function that returns a receiver, and fills
its channel from a routine of its own.
"""

from contextlib import suppress

from routines import ChannelClosed, channel, go, run


def fibonacci():
    tx, rx = channel()

    async def fill():
        a, b = 0, 1
        # Nobody receives any more: Go's goroutine would stay.
        with suppress(ChannelClosed):
            while True:
                await tx.send(a)
                a, b = b, a + b

    go(fill)
    return rx


async def main():
    with fibonacci() as numbers:
        for _ in range(10):
            print(await numbers.recv())


run(main)
