"""Eager tasks (3.12 and newer) and other drivers that step a coroutine at once."""

import asyncio
import contextvars
import sys

import pytest
from helpers import new_loop, outcome, parked, settle

import routines
from routines import Routine, channel, current, sleep, spawn, yield_now

from_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")


async def receive(rx):
    return await rx.recv()


def eager(coro):
    return asyncio.Task(coro, loop=asyncio.get_running_loop(), eager_start=True)


@from_312
async def test_an_eager_task_that_never_blocks_is_done_at_once():
    tx, rx = channel(1)
    await tx.send("there")
    task = eager(receive(rx))
    assert task.done()
    assert await task == "there"


@from_312
async def test_an_eager_task_parks_in_its_first_step():
    tx, rx = channel()
    task = eager(receive(rx))
    assert rx.stats().waiting_receivers == 1, "it parked before anything turned"
    tx.try_send("value")
    assert await task == "value"


@from_312
async def test_an_eager_task_inside_a_routine_is_not_taken_for_it():
    tx, rx = channel()

    async def look():
        inner = current(), asyncio.current_task()
        value = await rx.recv()
        return inner, value

    async def outer():
        me = current()
        task = eager(look())
        assert current() is me
        assert asyncio.current_task() is me
        tx.try_send("for the eager one")
        (seen, seen_by_asyncio), value = await task
        assert seen is None
        assert seen_by_asyncio is task
        return value

    assert await spawn(outer()) == "for the eager one"


@from_312
async def test_an_eager_task_cancelled_at_hand_over_keeps_the_value():
    tx, rx = channel()
    trace = []

    async def take():
        trace.append(await rx.recv())
        await asyncio.get_running_loop().create_future()

    task = eager(take())
    tx.try_send("value")
    task.cancel()
    assert isinstance(await outcome(task), asyncio.CancelledError)
    assert trace == ["value"]


@from_312
async def test_an_eager_task_that_spawns_joins_and_sleeps():
    async def work():
        routine = spawn(yield_twice())
        await sleep(0.001)
        return await routine.join()

    async def yield_twice():
        await yield_now()
        await yield_now()
        return "joined"

    assert await eager(work()) == "joined"


@from_312
@pytest.mark.loops(
    "stock", "debug"
)  # uvloop's create_task and early 3.13's eager factory do not fit together
async def test_channels_work_under_the_eager_task_factory():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        tx, rx = channel()

        async def produce():
            for number in range(100):
                await tx.send(number)
            tx.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            got = [value async for value in rx]
        assert got == list(range(100))
        assert await asyncio.gather(*(spawn(receive_ok(rx)) for _ in range(3))) == [(None, False)] * 3
    finally:
        loop.set_task_factory(None)


async def receive_ok(rx):
    return await rx.recv_ok()


@from_312
async def test_an_eager_task_that_fails_at_once_disturbs_nobody():
    async def fail():
        raise LookupError

    async def outer():
        task = eager(fail())
        await yield_now()
        with pytest.raises(LookupError):
            await task
        return current()

    routine = spawn(outer())
    assert await routine is routine
    await parked(channel()[0], receivers=0)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="eager_start reaches factories since 3.14")
def test_the_task_factory_takes_eager_start():
    loop = new_loop("stock")
    loop.set_task_factory(routines.task_factory)

    async def main():
        task = asyncio.create_task(settle(), eager_start=True)
        assert type(task) is Routine
        await task

    loop.run_until_complete(main())
    loop.close()


async def test_a_routine_that_starts_eagerly_makes_its_first_step_at_once():
    tx, rx = channel()

    async def look():
        seen = current(), asyncio.current_task()
        return *seen, await rx.recv()

    async def outer():
        me = asyncio.current_task()
        routine = Routine(look(), eager_start=True)
        assert rx.stats().waiting_receivers == 1, "it parked before anything turned"
        assert routine.state == "chan receive"
        assert asyncio.current_task() is me
        assert current() is (me if type(me) is Routine else None)
        await yield_now()
        tx.try_send("value")
        assert await routine == (routine, routine, "value")

    await outer()
    await spawn(outer())


async def test_a_routine_that_starts_eagerly_may_be_done_at_once():
    async def answer():
        return 42

    async def fail():
        raise LookupError

    assert Routine(answer(), eager_start=True).result() == 42
    failed = Routine(fail(), eager_start=True)
    assert isinstance(failed.exception(), LookupError)
    given = Routine(turn_once(), eager_start=True)
    assert not given.done()
    assert await given == "turned"


async def turn_once():
    await asyncio.sleep(0)
    return "turned"


async def test_an_eager_start_in_a_context_that_is_entered_is_refused():
    context = contextvars.copy_context()
    coro = settle()
    with pytest.raises(RuntimeError, match="already entered"):
        context.run(lambda: Routine(coro, context=context, eager_start=True))
    assert len(asyncio.all_tasks()) <= 2
    await Routine(coro, context=context, eager_start=True)


def test_an_eager_start_where_the_loop_does_not_run_waits_for_its_turn(loop):
    routine = Routine(turn_once(), loop=loop, eager_start=True)
    assert routine.state == "ready"
    assert loop.run_until_complete(routine) == "turned"


def test_an_interrupt_in_an_eager_start_goes_through_and_leaves_the_loop_usable(loop):
    async def interrupt():
        raise KeyboardInterrupt

    async def main():
        before = asyncio.current_task()
        with pytest.raises(KeyboardInterrupt):
            Routine(interrupt(), eager_start=True)
        assert asyncio.current_task() is before
        return await spawn(turn_once())

    assert loop.run_until_complete(main()) == "turned"
