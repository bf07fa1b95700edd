"""Under the task factory a program does what it did on asyncio's own tasks, in the same order.

Each program leaves a trace, once on tasks and once on routines.
"""

import asyncio
import contextlib

import pytest
from helpers import PLAIN_LOOPS, new_loop, recorded_warnings

import routines
from routines import channel, go, yield_now


def trace(program, factory, loop_kind, *, debug=False):
    left = []
    loop = new_loop(loop_kind)
    loop.set_debug(debug)
    loop.set_task_factory(factory)
    try:
        loop.run_until_complete(program(loop, left.append))
    finally:
        loop.close()
    return left


def scheduled_before_giving_way(loop, leave):
    async def main():
        for number in range(5):
            loop.call_soon(leave, ("callback", number))
            await asyncio.sleep(0)
            leave(("main", number))

    return main()


async def started_before_giving_way(loop, leave):
    async def child(number):
        leave(("child", number))
        loop.call_soon(leave, ("callback of", number))
        await asyncio.sleep(0)
        leave(("child goes on", number))

    children = [asyncio.create_task(child(number)) for number in range(3)]
    loop.call_soon(leave, "callback of main")
    await asyncio.sleep(0)
    leave("main")
    await asyncio.sleep(0)
    leave("main again")
    await asyncio.gather(*children)


async def many_that_give_way(loop, leave):
    async def child(number):
        for turn in range(4):
            leave((number, turn))
            if number % 5 == 0:
                loop.call_soon(leave, ("callback", number, turn))
            await asyncio.sleep(0)

    await asyncio.gather(*(child(number) for number in range(17)))


async def cancelled_and_given_way(_loop, leave):
    async def wait(number):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            leave(("cancelled", number))
            await asyncio.sleep(0)
            leave(("cleaned up", number))
            raise

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
        await asyncio.sleep(0)
        leave("main")
    await asyncio.wait(waiting)
    leave([task.cancelled() for task in waiting])


async def woken_by_futures(loop, leave):
    futures = [loop.create_future() for _ in range(4)]

    async def wait(number):
        leave(("got", number, await futures[number]))
        asyncio.create_task(start(number))

    async def start(number):
        leave(("started by", number))

    waiting = [asyncio.create_task(wait(number)) for number in range(4)]
    await asyncio.sleep(0)
    for number, future in enumerate(futures):
        future.set_result(number)
        loop.call_soon(leave, ("callback", number))
    for _ in range(3):
        await asyncio.sleep(0)
        leave("main")
    await asyncio.gather(*waiting)


async def a_lock_released_and_a_waiter_cancelled(loop, leave):
    lock = asyncio.Lock()

    async def take(number):
        async with lock:
            leave(("took", number))

    await lock.acquire()
    first, *others = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    loop.call_soon(first.cancel)
    loop.call_soon(lock.release)
    with contextlib.suppress(asyncio.CancelledError):
        await first
    leave("main")
    await asyncio.gather(*others)


async def a_semaphore_released_three_times(_loop, leave):
    semaphore = asyncio.Semaphore(0)

    async def take(number):
        await semaphore.acquire()
        leave(("took", number))
        asyncio.create_task(start(number))

    async def start(number):
        leave(("started by", number))

    async def release():
        for _ in range(3):
            semaphore.release()
        await asyncio.sleep(0)
        leave("released")

    taking = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.create_task(release())
    await asyncio.gather(*taking)
    await asyncio.sleep(0)


async def a_timeout_that_is_over_at_once(_loop, leave):
    for _ in range(3):
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(0)
                leave("not late")
        except TimeoutError:
            leave("late")


async def a_bounded_queue(_loop, leave):
    queue = asyncio.Queue(2)

    async def put():
        for number in range(6):
            await queue.put(number)
            leave(("put", number))

    async def get():
        for _ in range(6):
            leave(("got", await queue.get()))

    await asyncio.gather(put(), get())


PROGRAMS = [
    scheduled_before_giving_way,
    started_before_giving_way,
    many_that_give_way,
    cancelled_and_given_way,
    woken_by_futures,
    a_lock_released_and_a_waiter_cancelled,
    a_semaphore_released_three_times,
    a_timeout_that_is_over_at_once,
    a_bounded_queue,
]


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_order_is_the_same_as_with_tasks(program, debug):
    on_routines = trace(program, routines.task_factory, "stock", debug=debug)
    assert on_routines == trace(program, None, "stock", debug=debug)
    assert on_routines


@pytest.mark.skipif("uvloop" not in PLAIN_LOOPS, reason="uvloop is not installed")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_order_is_the_same_as_with_tasks_on_uvloop(program):
    assert trace(program, routines.task_factory, "uvloop") == trace(program, None, "uvloop")


def test_ten_thousand_that_were_started_run_before_what_was_scheduled_after_them():
    async def program(loop, leave):
        async def child(number):
            leave(number)
            sum(range(200))

        children = [asyncio.create_task(child(number)) for number in range(10_000)]
        loop.call_soon(leave, "callback")
        await asyncio.wait(children)

    left = trace(program, routines.task_factory, "stock")
    assert left == [*range(10_000), "callback"]


def test_what_routines_wake_without_end_lets_callbacks_and_those_that_gave_way_go_on(loop):
    """The budget is for that: a ring that never empties starves neither the loop nor a bare yield."""
    turns = []

    async def ping(tx, rx):
        while True:
            await tx.send(await rx.recv())

    async def main():
        tx1, rx1 = channel()
        tx2, rx2 = channel()
        players = [go(ping, tx1, rx2), go(ping, tx2, rx1)]
        await tx1.send("ball")
        loop.call_soon(turns.append, "callback")
        for number in range(10):
            await asyncio.sleep(0)
            turns.append(number)
        for player in players:
            player.abort()
        await asyncio.wait(players)

    loop.run_until_complete(asyncio.wait_for(main(), 30))
    assert turns == ["callback", *range(10)]


async def test_yield_now_lets_routines_go_on_before_the_loop():
    """Ours gives way to routines, and a turn of the loop is only taken when the budget is spent."""
    loop = asyncio.get_running_loop()
    order = []

    async def child():
        order.append("child")
        await yield_now()
        order.append("child again")

    async def main():
        loop.call_soon(order.append, "callback")
        go(child)
        await yield_now()
        order.append("main")
        await yield_now()
        order.append("main again")

    await go(main)
    assert order[:4] == ["child", "main", "child again", "main again"]


@pytest.mark.parametrize("kind", PLAIN_LOOPS)
def test_one_that_gave_way_when_its_loop_was_closed_is_not_lost_without_a_word(kind):
    ended = []
    loop = new_loop(kind)

    async def give_way():
        try:
            while True:
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    async def main():
        routine = go(give_way)
        await asyncio.sleep(0)
        return routine

    routine = loop.run_until_complete(main())
    loop.close()
    assert not routine.done()
    with recorded_warnings() as seen:
        del routine, loop
    assert ["its event loop stopped while it was ready" in str(each.message) for each in seen] == [True]
    assert ended == [True]


def test_an_interrupt_in_one_that_gave_way_leaves_the_others_ready(loop):
    went_on = []

    async def give_way(number):
        await asyncio.sleep(0)
        if number == 1:
            raise KeyboardInterrupt
        went_on.append(number)

    made = []

    async def main():
        made.extend(go(give_way, number) for number in range(4))
        await asyncio.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0.01))
    assert went_on == [0, 2, 3]
    assert isinstance(made[1].exception(), KeyboardInterrupt)


def test_a_yield_driven_by_hand_says_nothing_of_a_later_step():
    async def program():
        seen = []
        loop = asyncio.get_running_loop()
        assert next(routines.yield_now()) is None
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        loop.call_soon(seen.append, "callback")
        await asyncio.sleep(0)
        seen.append("main")
        return seen

    assert routines.run(program()) == ["callback", "main"]
