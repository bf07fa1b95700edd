"""anyio over routines: task groups, cancel scopes, memory streams, threads, locks."""

import asyncio

import pytest

anyio = pytest.importorskip("anyio")
from anyio import from_thread, to_thread  # noqa: E402

from routines import Routine, channel, select, timeout  # noqa: E402
from routines import Timeout as RoutineTimeout  # noqa: E402


def test_task_groups_and_memory_streams(program):
    async def main():
        send, receive = anyio.create_memory_object_stream(2)
        got = []

        async def produce(stream, number):
            assert type(asyncio.current_task()) is Routine
            async with stream:
                for turn in range(10):
                    await stream.send((number, turn))

        async def consume(stream):
            async with stream:
                async for item in stream:
                    got.append(item)

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(produce, send.clone(), number)
            send.close()
            for _ in range(3):
                group.start_soon(consume, receive.clone())
            receive.close()
        assert sorted(got) == [(number, turn) for number in range(5) for turn in range(10)]

    program.run(main())


def test_cancel_scopes(program):
    async def main():
        ended = []

        async def hold(name):
            try:
                await anyio.sleep_forever()
            finally:
                ended.append(name)

        with anyio.move_on_after(0.01) as scope:
            await hold("scope")
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await hold("fail_after")
        async with anyio.create_task_group() as group:
            for name in "abc":
                group.start_soon(hold, name)
            await anyio.sleep(0.001)
            group.cancel_scope.cancel()
        assert ended[:2] == ["scope", "fail_after"]
        assert sorted(ended[2:]) == ["a", "b", "c"]
        with anyio.CancelScope() as outer, anyio.CancelScope(shield=True):
            outer.cancel()
            await anyio.sleep(0.001)
            ended.append("shielded")
        assert ended[-1] == "shielded"

    program.run(main())


def test_a_cancel_scope_around_our_operations_loses_no_value(program):
    async def main():
        tx, rx = channel()
        for number in range(50):
            got, scopes = [], []

            async def take(got=got, scopes=scopes):
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    got.append(await rx.recv())

            async with anyio.create_task_group() as group:
                group.start_soon(take)
                while not rx.stats().waiting_receivers:
                    await anyio.sleep(0)
                if number % 2:
                    tx.try_send(number)
                scopes[0].cancel()
            assert got == ([number] if number % 2 else [])
        assert rx.stats().waiting_receivers == 0
        with anyio.move_on_after(0.005) as scope:
            await select(rx, rx.clone(), timeout=60)
        assert scope.cancelled_caught
        with anyio.move_on_after(60) as scope:
            with pytest.raises(RoutineTimeout):
                async with timeout(0.001):
                    await anyio.sleep_forever()
        assert not scope.cancelled_caught

    program.run(main())


def test_failures_in_a_task_group(program):
    async def main():
        async def fail(error):
            await anyio.sleep(0.001)
            raise error

        with pytest.raises(ExceptionGroup) as failed:
            async with anyio.create_task_group() as group:
                group.start_soon(fail, LookupError("one"))
                group.start_soon(anyio.sleep_forever)
        assert failed.group_contains(LookupError, match="one")

        async def start(*, task_status):
            task_status.started("ready")
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            assert await group.start(start) == "ready"
            group.cancel_scope.cancel()

    program.run(main())


def test_threads_and_locks(program):
    async def main():
        def in_a_thread(question):
            return from_thread.run(answer, question)

        async def answer(question):
            return question.upper(), type(asyncio.current_task())

        text, kind = await to_thread.run_sync(in_a_thread, "hello")
        assert text == "HELLO"
        assert kind is Routine

        lock, limiter, order = anyio.Lock(), anyio.CapacityLimiter(2), []

        async def work(number):
            async with limiter, lock:
                order.append(number)
                await anyio.sleep(0)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(work, number)
        assert sorted(order) == list(range(10))

    program.run(main())
