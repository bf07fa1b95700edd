"""nest_asyncio, which lets a loop be entered again from inside of itself. It patches asyncio for good, so in a process of its own."""

import os
import subprocess
import sys

import pytest

import routines

pytest.importorskip("nest_asyncio")

PROGRAM = """
import asyncio
import nest_asyncio
from routines import Routine, channel, go, run, select, sleep

nest_asyncio.apply()

async def produce(tx, count):
    with tx:
        for number in range(count):
            await tx.send(number)

async def inner(depth):
    tx, rx = channel()
    go(produce, tx, 50)
    got = [value async for value in rx]
    await asyncio.sleep(0.001)
    await sleep(0.001)
    if depth:
        got += asyncio.get_running_loop().run_until_complete(inner(depth - 1))
    return got

async def main():
    assert type(asyncio.current_task()) is Routine
    ticks = []

    async def tick():
        while True:
            ticks.append(None)
            await asyncio.sleep(0.001)

    ticking = go(tick)
    loop = asyncio.get_running_loop()
    got = loop.run_until_complete(inner(3))
    assert got == 4 * list(range(50))
    assert len(ticks) > 2
    ticking.cancel()
    tx, rx = channel()
    go(produce, tx, 2)
    print([(await select(rx, timeout=10)).value for _ in range(2)])

run(main)
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio does not support it")
def test_a_loop_that_nest_asyncio_lets_in_again():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(routines.__file__))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "[0, 1]\n", done.stderr
