"""Fan-in: one channel for what two talkers say. Each message
carries a channel on which its talker waits for the next
turn.
"""

from contextlib import suppress
from itertools import count

from routines import ChannelClosed, channel, go, run, select


def talk(name):
    tx, rx = channel()
    next_tx, next_rx = channel()

    async def say():
        with suppress(ChannelClosed):  # nobody listens any more
            for i in count():
                await tx.send((f"{name} {i}", next_tx))
                await next_rx.recv()

    go(say)
    return rx


def fan_in(a, b):
    tx, rx = channel()

    async def forward():
        with suppress(ChannelClosed):
            while True:
                chosen = await select(a, b)
                await tx.send(chosen.value)

    go(forward)
    return rx


async def main():
    both = fan_in(talk("Ann"), talk("Joe"))
    for _ in range(3):
        first, second = await both.recv(), await both.recv()
        print(*sorted([first[0], second[0]]), sep=" and ")
        await first[1].send(None)
        await second[1].send(None)


run(main)
