"""Random lives of routines, with collections in between: nobody is lost without a word."""

import asyncio
import gc
import os
import random
import time

import pytest
from helpers import PLAIN_LOOPS, collect, new_loop, recorded_warnings, settle

from routines import Aborted, channel, sleep, spawn, yield_now

pytestmark = [pytest.mark.stress, pytest.mark.timeout(120)]

SECONDS = float(os.environ.get("ROUTINES_STRESS_SECONDS") or 1.0)


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_every_routine_ends_by_result_abort_or_warning(kind, seed):
    chance = random.Random(seed)
    begun, ended = [0], [0]

    async def live(ends):
        tx, rx = ends
        try:
            for _ in range(chance.randrange(6)):
                what = chance.random()
                if what < 0.2:
                    await yield_now()
                elif what < 0.4:
                    await tx.send(chance.random())
                elif what < 0.6:
                    await rx.recv()
                elif what < 0.65:
                    await sleep(0.0005)
                elif what < 0.75:
                    await asyncio.sleep(0)
                elif what < 0.85:
                    begun[0] += 1
                    inner = spawn(live(channel(chance.randrange(2))))
                    try:
                        await asyncio.wait_for(inner, 0.001)
                    except (TimeoutError, asyncio.CancelledError):
                        pass
                    # Nobody would abort a second time. A timeout that met an abort must not swallow it, and neither must
                    # wait_for up to 3.11, which returns the result of what was done by then.
                    if asyncio.current_task().cancelling():
                        raise asyncio.CancelledError
                else:
                    await tx.clone().send_many([1, 2])
        finally:
            ended[0] += 1

    async def main():
        deadline = time.monotonic() + SECONDS
        held = []
        while time.monotonic() < deadline:
            begun[0] += 1
            ends = channel(chance.randrange(3)) if chance.random() < 0.3 else chance.choice(pool)
            routine = spawn(live(ends))
            del ends
            if chance.random() < 0.3:
                held.append(routine)
            if held and chance.random() < 0.2:
                victim = held.pop(chance.randrange(len(held)))
                victim.abort("chance")
                if chance.random() < 0.5:
                    try:
                        await victim.join()
                    except Aborted:
                        pass
                del victim
            if chance.random() < 0.02:
                gc.collect()
            await yield_now()
            del routine
        for routine in held:
            routine.abort()
        await settle(10)

    pool = [channel(capacity) for capacity in (0, 0, 1, 5)]
    with recorded_warnings() as seen:
        with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
            reports = []
            runner.get_loop().set_exception_handler(lambda _, context: reports.append(context))
            runner.run(main())
        pool.clear()
        collect()
    assert not reports
    assert {each.category for each in seen} <= {ResourceWarning}
    never_started = begun[0] - ended[0]
    assert 0 <= never_started < begun[0] // 2
