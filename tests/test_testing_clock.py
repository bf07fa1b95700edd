"""Virtual time: what it governs, and where it refuses."""

import asyncio
import time

import pytest

import routines
from routines.testing import VirtualClock, VirtualClockLoop

YEAR = 365 * 86_400


@pytest.fixture
def clock():
    return VirtualClock()


def test_an_hour_of_sleep_takes_no_time_at_all(clock):
    async def main():
        await routines.sleep(3600)
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    begun = time.monotonic()
    assert clock.run(main) == 7200
    assert clock.time() == 7200
    assert time.monotonic() - begun < 10


def test_sleeps_end_in_the_order_of_their_deadlines_to_the_nanosecond(clock):
    async def main():
        ended = []

        async def nap(seconds):
            await routines.sleep(seconds)
            ended.append(seconds)

        naps = [1 + 2e-9, 1, 1 + 1e-9, 0.5]
        for each in [routines.go(nap, seconds) for seconds in naps]:
            await each
        return ended == sorted(naps)

    assert clock.run(main)


def test_timers_of_routines_and_of_asyncio_are_on_one_clock(clock):
    async def main():
        ended = []

        async def ours(seconds):
            await routines.sleep(seconds)
            ended.append(seconds)

        async def theirs(seconds):
            await asyncio.sleep(seconds)
            ended.append(seconds)

        asyncio.get_running_loop().call_later(2.5, ended.append, 2.5)
        for each in [
            routines.go(ours, 3),
            routines.go(theirs, 2),
            routines.go(ours, 1),
            routines.go(theirs, 4),
        ]:
            await each
        return ended

    assert clock.run(main) == [1, 2, 2.5, 3, 4]


def test_every_kind_of_timer_obeys(clock):
    async def main():
        loop = asyncio.get_running_loop()
        channel, passed = routines.Channel(), []
        for wait in (
            lambda: routines.select(channel, timeout=10),
            lambda: routines.go(channel.recv()).join(timeout=10),
            lambda: asyncio.wait_for(channel.recv(), 10),
        ):
            begun = loop.time()
            with pytest.raises(TimeoutError):
                await wait()
            passed.append(loop.time() - begun)
        for block in (routines.timeout, asyncio.timeout):
            begun = loop.time()
            with pytest.raises(TimeoutError):
                async with block(10):
                    await channel.recv()
            passed.append(loop.time() - begun)
        begun = loop.time()
        passed.append(await routines.after(10).recv() - begun)
        ticker = routines.Ticker(10)
        passed += [await ticker.recv() - begun for _ in range(3)]
        return passed

    assert clock.run(main) == [10] * 6 + [20, 30, 40]


def test_time_stands_still_while_anything_is_ready(clock):
    async def main():
        loop = asyncio.get_running_loop()
        ended = []

        async def nap():
            await routines.sleep(1e-9)
            ended.append(loop.time())

        napping = routines.go(nap)
        for _ in range(50_000):
            await routines.yield_now()
        assert loop.time() == 0
        assert not ended
        await napping
        return ended

    assert clock.run(main) == [1e-9]


def test_timers_are_found_due_when_years_have_passed(clock):
    async def main():
        await asyncio.sleep(100 * YEAR)
        await routines.sleep(0.001)
        await asyncio.sleep(0.001)
        return asyncio.get_running_loop().time()

    assert clock.run(main) == pytest.approx(100 * YEAR + 0.002, abs=1e-4)


def test_time_can_be_moved_forward_by_hand(clock):
    async def main():
        ended = []

        async def nap():
            await routines.sleep(5)
            ended.append(clock.time())

        napping = routines.go(nap)
        await routines.yield_now()
        clock.advance(7)
        assert clock.time() == 7
        await napping
        return ended

    assert clock.run(main) == [7]
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_a_clock_goes_on_from_loop_to_loop():
    clock = VirtualClock(start=100)
    assert clock.run(lambda: _nap(1)) == 101
    clock.advance(10)
    assert clock.run(lambda: _nap(1)) == 112
    assert "112" in repr(clock)


def test_a_clock_can_be_moved_before_it_drives_a_loop(clock):
    clock.advance(5)
    assert clock.run(lambda: _nap(1)) == 6


def test_a_loop_that_is_closed_twice_is_closed():
    loop = VirtualClockLoop(start=3)
    loop.close()
    loop.close()
    assert (loop.is_closed(), loop.time()) == (True, 3)


async def _nap(seconds):
    await routines.sleep(seconds)
    return asyncio.get_running_loop().time()


def test_one_clock_drives_one_loop_at_a_time(clock):
    loop = clock.new_event_loop()
    with pytest.raises(RuntimeError, match="close that before"):
        clock.new_event_loop()
    loop.close()
    clock.new_event_loop().close()


def test_waiting_for_what_can_never_come_is_a_deadlock_with_the_dump(clock):
    async def wait_in_vain():
        tx, rx = routines.channel()
        await rx.recv()

    with pytest.raises(routines.Deadlock) as caught:
        clock.run(wait_in_vain)
    assert "chan receive" in str(caught.value)
    assert "await rx.recv()" in str(caught.value)


def test_time_stands_still_while_a_function_runs_in_a_thread(clock):
    async def main():
        naps = routines.go(_nap, 1000)
        result = await asyncio.to_thread(lambda: time.sleep(0.02) or "done")
        assert asyncio.get_running_loop().time() == 0
        await naps
        return result

    assert clock.run(main) == "done"


def test_another_thread_is_waited_for_where_nothing_else_can_happen(clock):
    import threading

    async def main():
        tx, rx = routines.channel()

        def send():
            time.sleep(0.02)
            tx.send_blocking("from a thread")

        thread = threading.Thread(target=send)
        thread.start()
        received = await rx.recv()
        thread.join()
        return received

    assert clock.run(main) == "from a thread"


def test_the_outside_world_is_refused(clock):
    async def main():
        with pytest.raises(RuntimeError, match="create_connection.*virtual"):
            await asyncio.open_connection("localhost", 1)
        with pytest.raises(RuntimeError, match="virtual"):
            await asyncio.create_subprocess_exec("true")

    clock.run(main)


def test_other_loops_keep_real_time():
    loop = VirtualClockLoop(start=1e6)
    try:

        async def main():
            begun = time.monotonic()
            await routines.sleep(0.01)
            return time.monotonic() - begun

        assert 0.01 <= routines.run(main) < 5
    finally:
        loop.close()
    assert loop.time() == 1e6


def test_plain_asyncio_takes_the_loop_too():
    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_nap(seconds)) for seconds in (3, 1, 2)]
        return [task.result() for task in tasks]

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        assert runner.run(main()) == [3, 1, 2]


def test_signal_handlers_of_the_loop_are_called(clock):
    import os
    import signal

    if not hasattr(signal, "SIGUSR1"):
        pytest.skip("no such signal")

    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "signal")
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(10_000):
            if seen:
                break
            await asyncio.sleep(0)
        loop.remove_signal_handler(signal.SIGUSR1)
        return seen

    assert clock.run(main) == ["signal"]
