"""Ten thousand routines in a row, each of which adds one to
what its neighbour says.
"""

from routines import channel, go, run


async def whisper(left, right):
    await left.send(1 + await right.recv())


async def main():
    left, leftmost = channel()
    for _ in range(10_000):
        next_left, right = channel()
        go(whisper, left, right)
        left = next_left
    await left.send(1)
    print(await leftmost.recv())


run(main)
