"""Sleeping parks a routine for at least as long as it asked."""

import asyncio
import datetime
import decimal
import fractions
import itertools
import math
import time

import pytest
from helpers import outcome, settle, until

from routines import sleep, spawn


async def nap(seconds):
    await sleep(seconds)
    return "awake"


@pytest.mark.parametrize("seconds", [0, 0.001, 0.02, datetime.timedelta(milliseconds=5)])
async def test_a_sleep_is_never_shorter_than_asked(start, seconds):
    wanted = seconds.total_seconds() if isinstance(seconds, datetime.timedelta) else seconds
    before = time.monotonic()
    assert await start(nap(seconds)) == "awake"
    assert time.monotonic() - before >= wanted


async def test_sleep_returns_none():
    assert await sleep(0) is None


async def test_sleepers_wake_in_the_order_of_their_deadlines(start):
    order = []
    began = {}

    async def wake_up(seconds):
        began[seconds] = time.monotonic()
        await sleep(seconds)
        order.append(seconds)

    durations = [0.03, 0.01, 0.02, 0.0]
    sleepers = [start(wake_up(seconds)) for seconds in durations]
    await until(lambda: len(began) == len(durations))
    all_asleep = time.monotonic()
    await asyncio.gather(*sleepers)
    assert sorted(order) == sorted(durations)
    for earlier, later in itertools.pairwise(order):
        # A busy machine may have been slow to begin them.
        assert began[earlier] + earlier <= all_asleep + later


async def test_a_sleep_of_zero_lets_others_run(start):
    order = []

    async def count(name):
        for number in range(3):
            order.append((number, name))
            await sleep(0)

    await asyncio.gather(start(count("a")), start(count("b")))
    assert {name for _, name in order[:2]} == {"a", "b"}


async def test_a_sleeping_routine_does_not_block_the_thread():
    sleeping = spawn(nap(10))
    assert await spawn(nap(0.001)) == "awake"
    assert not sleeping.done()
    sleeping.cancel()
    await asyncio.wait([sleeping])


@pytest.mark.parametrize("bad", [-1, -0.5, float("nan"), datetime.timedelta(seconds=-1)])
async def test_a_negative_or_nan_duration_is_a_value_error(bad):
    with pytest.raises(ValueError):
        await sleep(bad)


@pytest.mark.parametrize("bad", ["1", None, [1], object()])
async def test_what_is_no_duration_is_a_type_error(bad):
    with pytest.raises(TypeError):
        await sleep(bad)


async def test_a_sleeper_cancelled_before_it_starts_does_not_sleep(start):
    sleeping = start(nap(1000))
    sleeping.cancel()
    assert isinstance(await outcome(sleeping), asyncio.CancelledError)


async def test_a_cancelled_sleeper_wakes_at_once(start):
    sleeping = start(nap(1000))
    await settle()
    before = time.monotonic()
    sleeping.cancel()
    assert isinstance(await outcome(sleeping), asyncio.CancelledError)
    assert time.monotonic() - before < 1


async def test_a_sleeper_cancelled_about_when_it_wakes_is_cancelled_once(start):
    for number in range(20):
        ends = []

        async def sleep_then_wait(ends=ends):
            ends.append(await outcome(sleep(0.001)))
            ends.append(await outcome(asyncio.sleep(0)))

        sleeping = start(sleep_then_wait())
        deadline = time.monotonic() + 0.0001 * number
        await until(lambda deadline=deadline: time.monotonic() >= deadline)
        in_time = sleeping.cancel()
        await asyncio.wait([sleeping])
        if in_time and not sleeping.cancelled():
            cancelled = [each for each in ends if isinstance(each, asyncio.CancelledError)]
            assert len(cancelled) == 1


async def test_a_sleep_inside_a_timeout_block_ends_with_it(start):
    async def overslept():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await sleep(1000)
        return "on time"

    assert await start(overslept()) == "on time"


async def test_ten_thousand_sleepers_wake():
    woken = await asyncio.gather(*(spawn(nap(0.001 * (n % 7))) for n in range(10_000)))
    assert woken == ["awake"] * 10_000


async def test_a_very_long_sleep_can_be_asked_for():
    for seconds in (1e9, float("inf")):
        sleeping = spawn(nap(seconds))
        await settle()
        assert not sleeping.done()
        sleeping.cancel()
        await asyncio.wait([sleeping])


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 2.0**62, 9.3e9, datetime.timedelta.max])
async def test_a_sleep_for_ever_outlasts_the_timers_that_fire_meanwhile(start, seconds):
    sleeping = start(nap(seconds))
    await settle()
    await sleep(0.001)
    await settle()
    assert not sleeping.done()
    sleeping.cancel()
    assert isinstance(await outcome(sleeping), asyncio.CancelledError)


async def test_a_sleep_after_the_thread_was_busy_is_not_short(start):
    """A loop may cache its time per turn; a deadline must not be counted from there."""

    async def work():
        for _ in range(3):
            busy_until = time.monotonic() + 0.01
            while time.monotonic() < busy_until:
                pass
            before = time.monotonic()
            await sleep(0.005)
            assert time.monotonic() - before >= 0.005

    await start(work())


@pytest.mark.parametrize(
    "seconds", [fractions.Fraction(1, 500), decimal.Decimal("0.002")], ids=["fraction", "decimal"]
)
async def test_what_can_be_made_a_float_is_a_duration(seconds):
    before = time.monotonic()
    await sleep(seconds)
    assert time.monotonic() - before >= 0.002
