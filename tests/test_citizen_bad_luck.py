"""What libraries and programs do to tasks besides awaiting them, and routines have to bear."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest
from helpers import collect, new_loop, outcome, settle

import routines
from routines import SpawnError, _core, channel, current, go, run, select, sleep, spawn, timeout, yield_now


async def test_a_library_that_swaps_the_current_task(start):
    """As those do that run code on behalf of another task."""
    loop = asyncio.get_running_loop()
    other = spawn(sleep(60))

    async def swap():
        me = asyncio.current_task()
        asyncio.tasks._leave_task(loop, me)
        asyncio.tasks._enter_task(loop, other)
        try:
            assert asyncio.current_task() is other
        finally:
            asyncio.tasks._leave_task(loop, other)
            asyncio.tasks._enter_task(loop, me)
        await yield_now()
        assert asyncio.current_task() is me
        return "swapped"

    assert await start(swap()) == "swapped"
    other.cancel()
    await outcome(other)


async def test_a_library_that_looks_at_fut_waiter_and_must_cancel():
    """As anyio does, to know whether a cancellation would be delivered."""
    future = asyncio.get_running_loop().create_future()

    async def wait():
        await future

    routine = spawn(wait())
    assert routine._fut_waiter is None
    await settle()
    assert routine._fut_waiter is future
    assert not routine._must_cancel
    routine.cancel()
    assert future.cancelled()
    await outcome(routine)
    assert routine._fut_waiter is None
    fresh = spawn(wait())
    fresh.cancel()
    assert fresh._must_cancel
    await outcome(fresh)


def nested(loop, coro):
    """Run the loop from inside one of its own callbacks, as nest_asyncio does."""
    task = asyncio.ensure_future(coro, loop=loop)
    entered = asyncio.current_task(loop)
    if entered is not None:
        asyncio.tasks._leave_task(loop, entered)
    try:
        while not task.done():
            loop._run_once()
    finally:
        if entered is not None:
            asyncio.tasks._enter_task(loop, entered)
    return task.result()


def test_a_loop_that_is_entered_again_from_inside_a_routine():
    loop = new_loop("stock")
    loop.set_task_factory(routines.task_factory)

    async def inner(depth):
        me = asyncio.current_task()
        tx, rx = channel()
        producing = go(produce, tx)
        got = [value async for value in rx]
        await producing
        await asyncio.sleep(0)
        await sleep(0.001)
        _silent, other = channel()
        with pytest.raises(routines.Timeout):
            await select(other, timeout=0.001)
        if depth:
            got += nested(loop, inner(depth - 1))
            assert asyncio.current_task() is me
            await asyncio.sleep(0)
        return got

    async def produce(tx):
        with tx:
            for number in range(100):
                await tx.send(number)

    async def outer():
        waiting = go(wait_for_long)
        await yield_now()
        me = current()
        assert nested(loop, inner(3)) == 4 * list(range(100))
        assert current() is me
        waiting.cancel()
        await outcome(waiting)
        return "done"

    async def wait_for_long():
        async with timeout(60):
            await asyncio.get_running_loop().create_future()

    async def main():
        return await go(outer)

    assert loop.run_until_complete(main()) == "done"
    loop.close()


def test_a_loop_that_is_entered_again_while_a_select_is_linked_for_longer_than_its_timeout():
    """What came meanwhile is taken: the select looks again, and does not take the time for what happened first."""
    loop = new_loop("stock")
    tx, rx = channel(1)

    async def wait():
        await sleep(0.005)
        tx.try_send("value")

    class Nesting(asyncio.Future):
        def add_done_callback(self, *arguments, **keywords):
            super().add_done_callback(*arguments, **keywords)
            nested(loop, wait())

    async def main():
        return (await select(rx, routines.case(Nesting()), timeout=0.001)).value

    assert loop.run_until_complete(main()) == "value"
    loop.close()


def test_a_routine_that_stops_its_loop_goes_on_when_that_runs_again(loop):
    order = []

    async def stop():
        order.append("before")
        loop.stop()
        await yield_now()
        order.append("after")
        await asyncio.sleep(0)
        order.append("a turn later")
        await loop.create_future()

    routine = routines.Routine(stop(), loop=loop)
    loop.run_forever()
    assert order[0] == "before"
    loop.run_until_complete(asyncio.sleep(0.001))
    assert order == ["before", "after", "a turn later"]
    assert not routine.done()
    routine.cancel()
    loop.run_until_complete(asyncio.wait([routine]))


def test_two_loops_in_two_threads_keep_their_routines_apart():
    seen = {}

    async def look(name):
        loop = asyncio.get_running_loop()
        for _ in range(300):
            assert asyncio.current_task() is current()
            assert current().get_loop() is loop
            await yield_now()
            await asyncio.sleep(0)
        seen[name] = {each.get_loop() for each in asyncio.all_tasks()} == {loop}

    async def main(name):
        await asyncio.gather(*(go(look, f"{name} {number}") for number in range(5)))

    threads = [threading.Thread(target=run, args=(main(name),)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 10
    assert all(seen.values())


FORKING = """
import asyncio, os, sys
import routines
from routines import channel, go, run, sleep

async def child_program():
    tx, rx = channel()
    async def produce():
        with tx:
            for number in range(10):
                await tx.send(number)
    go(produce)
    await sleep(0.001)
    return [value async for value in rx]

def child():
    # On a plain loop of its own, and on one of run().
    for start in (asyncio.run, run):
        assert start(child_program()) == list(range(10))
    os._exit(7)

async def main():
    tx, rx = channel()
    reader = go(rx.recv())
    await sleep(0.001)
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(1)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    tx.try_send("the parent goes on")
    print(os.waitstatus_to_exitcode(status), await reader)

run(main)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_was_forked_inside_a_routine_has_loops_of_its_own(tmp_path):
    script = tmp_path / "forking.py"
    script.write_text(FORKING)
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(script)],
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(routines.__file__))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "7 the parent goes on\n", done.stderr


@pytest.mark.bodies("routine")
async def test_a_forked_step_is_in_no_loop_any_more():
    """What a child calls first, called here: whatever a child that ends by os._exit() has run is not counted."""
    loop = asyncio.get_running_loop()
    _core._forget_the_parent()
    asyncio._set_running_loop(None)  # as os.getpid() has another answer then
    try:
        with pytest.raises(SpawnError, match="no event loop is running on this thread"):
            spawn(child())
    finally:
        asyncio._set_running_loop(loop)


async def child():
    pass


def test_a_loop_that_is_closed_while_routines_wait_for_everything_tells_of_each():
    ended = []

    async def wait(awaitable, name, _sender):
        try:
            await awaitable
        finally:
            ended.append(name)

    async def main():
        tx, rx = channel()
        waits = {
            "receive": rx.recv(),
            "sleep": sleep(60),
            "future": asyncio.get_running_loop().create_future(),
            "asyncio.sleep": asyncio.sleep(60),
            "select": select(rx.clone(), timeout=60),
        }
        for name, awaitable in waits.items():
            go(wait(awaitable, name, tx))  # or the channel would close
        await yield_now()
        await yield_now()

    loop = new_loop("stock")
    loop.run_until_complete(main())
    loop.close()
    with pytest.warns(ResourceWarning):
        del loop
        collect()
    assert sorted(ended) == ["asyncio.sleep", "future", "receive", "select", "sleep"]


def test_an_interrupt_in_a_nested_turn_leaves_no_drain_asked_for():
    loop = new_loop("stock")
    ended = []

    async def receive(rx):
        ended.append(await rx.recv())

    async def interrupt(rx):
        await rx.recv()
        raise KeyboardInterrupt

    async def outer(future, to_first, to_second):
        await future
        # The loop looks at the timers first, and that steps those whom it is asked for a drain for after that.
        moment = sleep(1e-8)
        moment.send(None)
        to_first.try_send("first")
        to_second.try_send("second")
        with pytest.raises(KeyboardInterrupt):
            loop._run_once()
        assert ended == ["first"]
        assert len(loop._ready) == 1
        moment.close()
        loop.stop()

    async def begin():
        future = loop.create_future()
        (to_first, first), (to_second, second) = channel(), channel()
        started = [go(receive, first), go(interrupt, second), go(outer, future, to_first, to_second)]
        await settle()
        return future, started

    future, (_, interrupted, last) = loop.run_until_complete(begin())
    future.set_result(None)
    loop.run_forever()
    last.result()
    with pytest.raises(KeyboardInterrupt):
        interrupted.result()
    assert not loop._ready
    loop.close()
