"""A hundred thousand routines per round, ended in every way."""

import asyncio

from measure import check

from routines import channel, go, sleep, spawn, yield_now


async def nothing():
    pass


async def fail():
    raise LookupError


async def for_ever(rx):
    await rx.recv()


async def spawn_and_forget():
    for _ in range(1000):
        for _ in range(100):
            spawn(nothing())
        await yield_now()
    await yield_now()


async def spawn_and_await():
    for _ in range(10_000):
        await go(nothing)


async def spawn_and_join():
    for _ in range(10_000):
        await go(nothing).join()


async def spawn_and_join_with_a_timeout():
    for _ in range(2000):
        await go(nothing).join(timeout=1000)


async def spawn_and_fail():
    for _ in range(5000):
        try:
            await spawn(fail())
        except LookupError:
            pass


async def spawn_and_abort():
    tx, rx = channel()
    for _ in range(500):
        started = [spawn(for_ever(rx)) for _ in range(10)]
        await yield_now()
        for each in started:
            each.abort("enough")
        await asyncio.wait(started)
    assert tx.stats().waiting_receivers == 0


async def spawn_with_everything():
    seen = []
    for number in range(2000):
        routine = spawn(nothing(), name=f"routine {number}")
        routine.add_done_callback(seen.append)
        routine.set_name("renamed")
        assert routine.get_stack() is not None
        assert repr(routine)
        await asyncio.gather(routine, asyncio.shield(routine))
        seen.clear()


async def sleep_and_cancel():
    for _ in range(200):
        sleeping = [spawn(nap()) for _ in range(10)]
        await yield_now()
        for each in sleeping:
            each.cancel()
        await asyncio.wait(sleeping)


async def nap():
    await sleep(1000)


WORKLOADS = [
    spawn_and_forget, spawn_and_await, spawn_and_join, spawn_and_join_with_a_timeout, spawn_and_fail,
    spawn_and_abort, spawn_with_everything, sleep_and_cancel,
]  # fmt: skip

for workload in WORKLOADS:
    check(workload)
check(spawn_and_forget, rounds=10, traced=False)
