"""Timeouts: for one message, for the whole conversation, and
a routine that is asked to stop and cleans up first.
"""

from itertools import count

from routines import Channel, Timeout, channel, go, run, select, sleep, timeout


def talk(quitting, done):
    tx, rx = channel()

    async def say():
        for i in count():
            if i == 3:
                await sleep(0.75)  # too slow
            chosen = await select(tx.case(i), quitting)
            if chosen.index == 1:
                await done.send(f"cleaned up: {chosen.value}")
                return

    go(say)
    return rx


async def main():
    quitting, done = Channel(), Channel()
    numbers = talk(quitting, done)
    try:
        async with timeout(10) as whole:
            while True:
                chosen = await select(numbers, timeout=0.25)
                print("heard", chosen.value)
    except Timeout:
        print("too long" if whole.expired else "too slow")
    await quitting.send("bye")
    print(await done.recv())


run(main)
