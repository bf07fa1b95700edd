"""Cancellation, joins and timeouts under explored schedules."""

import asyncio

import pytest

import routines
from routines.testing import explore


def is_worker(routine):
    return routine.get_name().startswith("worker")


def work(coroutine):
    return routines.spawn(coroutine, name=f"worker of {coroutine.__qualname__}")


def test_a_finally_block_runs_once_whenever_the_cancellation_comes():
    async def main():
        channel, entered, left = routines.Channel(3), 0, 0

        async def job():
            nonlocal entered, left
            entered += 1
            try:
                await channel.send(1)
                await routines.sleep(1)
                await channel.recv()
            finally:
                left += 1
                await routines.yield_now()

        for each in [work(job()) for _ in range(3)]:
            try:
                await each.join()
            except routines.Aborted as aborted:
                assert aborted.reason == "cancelled by explore()"
        assert entered == left

    explore(main, 300, seed=1, cancellations=2, may_cancel=is_worker)


def test_a_cancellation_counts_once_and_is_raised_once():
    async def main():
        channel = routines.Channel()
        raised = 0

        async def job():
            nonlocal raised
            for _ in range(3):
                try:
                    await channel.recv()
                except asyncio.CancelledError:
                    raised += 1
                    assert routines.current().cancelling() == 1
                    assert routines.current().uncancel() == 0

        working = work(job())

        async def feed():
            while not working.done():
                try:
                    async with routines.timeout(1):
                        await channel.send(1)
                except routines.Timeout:
                    pass

        feeding = routines.go(feed)
        try:
            await working
        except asyncio.CancelledError:
            assert not raised  # it had not begun
        await feeding
        assert raised <= 1

    explore(main, 300, seed=2, cancellations=1, may_cancel=is_worker)


def test_every_joiner_gets_the_one_outcome():
    async def main():
        outcomes = []

        async def job():
            await routines.yield_now()
            await routines.sleep(1)
            return "done"

        async def join(target):
            try:
                outcomes.append(await target.join())
            except routines.Aborted:
                outcomes.append("aborted")

        target = work(job())
        for each in [routines.go(join, target) for _ in range(3)]:
            await each
        assert outcomes in (["done"] * 3, ["aborted"] * 3)

    explore(main, 200, seed=3, cancellations=1, may_cancel=is_worker)


def test_a_joiner_that_is_cancelled_leaves_the_routine_alone():
    async def main():
        async def job():
            await routines.sleep(1)
            return "done"

        target = routines.go(job)

        async def join():
            await target.join()

        joiners = [work(join()) for _ in range(2)]
        assert await target.join() == "done"
        for each in joiners:
            try:
                await each.join()
            except routines.Aborted:
                pass

    explore(main, 200, seed=4, cancellations=2, may_cancel=is_worker)


@pytest.mark.parametrize("block", [routines.timeout, asyncio.timeout])
def test_a_timeout_and_a_value_that_come_together_lose_nothing(block):
    async def main():
        channel, got = routines.Channel(1), []

        async def send():
            await routines.sleep(1)
            await channel.send("value")

        async def receive():
            try:
                async with block(1):
                    got.append(await channel.recv())
            except TimeoutError:
                pass
            assert routines.current().cancelling() == 0

        for each in [routines.go(send), routines.go(receive)]:
            await each
        assert len(got) + len(channel) == 1

    explore(main, 200, seed=5)


def test_a_task_group_ends_all_of_its_routines():
    async def main():
        running = 0

        async def job(fails):
            nonlocal running
            running += 1
            try:
                await routines.yield_now()
                if fails:
                    raise ZeroDivisionError
                await routines.channel()[1].recv_ok()
            finally:
                running -= 1

        try:
            async with asyncio.TaskGroup() as group:
                for fails in (False, True, False):
                    group.create_task(job(fails))
        except* ZeroDivisionError:
            pass
        assert running == 0

    explore(main, 200, seed=6)


def test_gathering_what_is_cancelled_raises_it_and_ends():
    async def main():
        channel = routines.Channel()

        async def job():
            return await channel.recv()

        jobs = [work(job()) for _ in range(2)]

        async def feed():
            await channel.send(1)
            await channel.send(2)

        feeding = routines.go(feed)
        results = await asyncio.gather(*jobs, return_exceptions=True)
        values = [value for value in results if not isinstance(value, BaseException)]
        feeding.abort()
        assert values in ([1, 2], [2, 1], [1])
        assert len(values) == 2 or any(isinstance(each, asyncio.CancelledError) for each in results)

    explore(main, 200, seed=7, cancellations=1, may_cancel=is_worker)
