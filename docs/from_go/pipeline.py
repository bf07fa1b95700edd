"""A pipeline that is called off: the stages end because
nobody receives any more. No done channel, no count of who
is left.
"""

from contextlib import suppress
from itertools import count

from routines import ChannelClosed, channel, go, run

running = []


def stage(function, *ins):
    """A routine for each of `ins`, all of which send to the receiver that is returned."""
    tx, rx = channel()
    running.extend(go(function, each, tx.clone()) for each in ins)
    # Only the clones count: the last stage to end closes it.
    tx.close()
    return rx


async def numbers(_, out):
    with out, suppress(ChannelClosed):
        await out.send_many(count(1))


async def square(rx, out):
    with rx, out, suppress(ChannelClosed):
        async for number in rx:
            await out.send(number * number)


async def main():
    source = stage(numbers, None)
    squares = stage(square, source.clone(), source.clone())
    source.close()
    seen = set()
    with squares:
        while len(seen) < 100:
            seen.add(await squares.recv())
    for routine in running:
        await routine.join()
    print(len(seen), "squares, then every stage has ended")


run(main)
