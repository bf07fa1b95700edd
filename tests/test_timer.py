"""Timers: never early, in order, gone when nobody wants them."""

import asyncio
import contextlib
import gc
import inspect
import itertools
import threading
import time
import weakref
from datetime import timedelta

import pytest
from helpers import outcome, parked, settle, until

from routines import (
    RecvError,
    Selector,
    Ticker,
    Timeout,
    after,
    channel,
    go,
    runtime,
    select,
    sleep,
    spawn,
    timeout,
    yield_now,
)
from routines._core import scheduler_for
from routines._timer import Alarm
from routines.testing import VirtualClock

BAD = [-1, -0.001, float("nan"), timedelta(seconds=-1)]


@pytest.mark.parametrize("bad", BAD)
async def test_no_duration_may_be_negative_or_nan(bad):
    _tx, rx = channel()
    routine = spawn(sleep(0))
    for refused in (
        lambda: after(bad),
        lambda: Ticker(bad),
        lambda: timeout(bad),
        lambda: select(rx, timeout=bad),
        lambda: select().timeout(bad),
        lambda: sleep(bad),
        lambda: routine.join(bad),
    ):
        with pytest.raises(ValueError, match="negative or NaN"):
            refused()
    await routine


@pytest.mark.parametrize("kind", [float, lambda seconds: timedelta(seconds=seconds)])
async def test_every_duration_may_be_a_number_or_a_timedelta(kind):
    _tx, rx = channel()
    begun = time.monotonic()
    await after(kind(0.001)).recv()
    with pytest.raises(Timeout):
        await select(rx, timeout=kind(0.001))
    with pytest.raises(Timeout):
        async with timeout(kind(0.001)):
            await rx.recv()
    ticker = Ticker(kind(0.001))
    await ticker.recv()
    ticker.stop()
    assert time.monotonic() - begun >= 0.004


async def test_after_gives_the_loops_time_once():
    loop = asyncio.get_running_loop()
    begun = time.monotonic()
    receiver = after(0.001)
    value = await receiver.recv()
    assert isinstance(value, float)
    assert abs(value - loop.time()) < 5
    assert time.monotonic() - begun >= 0.001
    with pytest.raises(RecvError):
        receiver.try_recv()
    assert not receiver.closed


async def test_timers_fire_in_the_order_of_their_deadlines(start):
    earliest, latest, order = {}, {}, []

    async def wait(number, seconds):
        earliest[number] = time.monotonic() + seconds
        timer = after(seconds)
        latest[number] = time.monotonic() + seconds
        await timer.recv()
        order.append(number)

    waiting = [
        start(wait(number, seconds)) for number, seconds in enumerate([0.006, 0.002, 0.004, 0.0, 0.002])
    ]
    await asyncio.wait(waiting)
    assert sorted(order) == [0, 1, 2, 3, 4]
    # On a busy machine milliseconds may pass between two starts, so the deadlines are what counts.
    for first, second in itertools.combinations(order, 2):
        assert earliest[first] <= latest[second]


async def test_ticks_keep_in_step_with_the_first():
    begun = time.monotonic()
    ticker = Ticker(0.002)
    for number in range(1, 16):
        await ticker.recv()
        assert time.monotonic() - begun >= number * 0.002
        if number == 5:
            time.sleep(0.003)  # the loop is late: later ticks are not
            await ticker.recv()
            break
    ticker.stop()


def test_a_late_tick_does_not_delay_the_next():
    clock = VirtualClock()

    async def hear_two():
        ticker = Ticker(1)
        clock.advance(1.5)
        return await ticker.recv(), await ticker.recv()

    assert clock.run(hear_two) == (1.5, 2.0)


async def test_a_ticker_that_nobody_hears_keeps_one_tick_and_a_dropped_one_stops():
    ticker = Ticker(0.0005)
    await sleep(0.004)
    ticker.try_recv()
    with pytest.raises(RecvError):
        ticker.try_recv()
    del ticker
    gc.collect()
    await sleep(0.001)


async def test_a_ticker_that_was_stopped_neither_ticks_nor_closes(start):
    ticker = Ticker(0.0005)
    ticker.stop()
    ticker.stop()
    waiting = start(ticker.recv())
    await sleep(0.003)
    assert not waiting.done()
    ticker.reset(timedelta(milliseconds=0.5))
    assert isinstance(await waiting, float)
    ticker.close()
    with pytest.raises(RuntimeError, match="closed"):
        ticker.reset(1)


async def test_timeout_blocks_nest_and_each_ends_its_own():
    _tx, rx = channel()
    async with timeout(60) as outer:
        with pytest.raises(Timeout):
            async with timeout(0.001) as inner:
                await rx.recv()
        assert inner.expired
        await yield_now()
    assert not outer.expired

    with pytest.raises(Timeout):
        async with timeout(0.001) as outer:
            async with timeout(60) as inner:
                await rx.recv()
    assert outer.expired
    assert not inner.expired


async def test_both_nested_timeouts_in_one_instant_raise_once(start):
    _tx, rx = channel()

    async def body():
        async with timeout(0.001):
            async with timeout(0.001):
                await rx.recv()

    running = start(body())
    with pytest.raises(Timeout):
        await running
    assert running.cancelling() == 0


async def test_a_timeout_can_be_moved_both_ways():
    _tx, rx = channel()
    begun = time.monotonic()
    async with timeout(0.001) as scope:
        scope.reschedule(60)
        await sleep(0.003)
        scope.reschedule(None)
        await sleep(0.001)
    assert not scope.expired
    with pytest.raises(Timeout):
        async with timeout(60) as scope:
            scope.reschedule(0.001)
            await rx.recv()
    assert time.monotonic() - begun < 30
    with pytest.raises(RuntimeError, match="inside the block"):
        scope.reschedule(1)
    with pytest.raises(RuntimeError, match="inside the block"):
        timeout(1).reschedule(1)


async def test_a_timeout_that_has_expired_cannot_be_moved():
    with pytest.raises(Timeout):
        async with timeout(0.001) as limit:
            try:
                await sleep(10)
            finally:
                with pytest.raises(RuntimeError, match="expired already"):
                    limit.reschedule(10)
    assert "0.001" in repr(limit)


async def test_timeouts_that_are_entered_by_hand_are_told_apart():
    scopes = [timeout(1), timeout(2), timeout(3)]
    entering = [scope.__aenter__() for scope in scopes]
    with pytest.raises(StopIteration) as entered:
        entering[0].__next__()  # not next(), which asks the type
    assert [entered.value.value, *[await each for each in entering[1:]]] == scopes
    for scope in scopes:
        await scope.__aexit__(None, None, None)


async def test_a_timeout_that_is_made_in_two_steps_is_like_any_other():
    limit = timeout.__new__(timeout)
    limit.__init__(0.001)
    with pytest.raises(Timeout):
        async with limit:
            await sleep(10)


async def test_an_alarm_is_set_once():
    rung = []
    alarm = Alarm(time.monotonic() + 0.001, lambda: rung.append("first"))
    with pytest.raises(RuntimeError, match="set once"):
        alarm.__init__(0.0, lambda: rung.append("second"))
    await until(lambda: rung)
    await settle()
    assert rung == ["first"]


async def test_a_timeout_is_entered_once():
    scope = timeout(1)
    async with scope:
        with pytest.raises(RuntimeError, match="entered already"):
            await scope.__aenter__()
    with pytest.raises(RuntimeError, match="entered already"):
        async with scope:
            pass


async def test_a_timeout_that_is_kept_is_not_used_again():
    kept = []
    for _ in range(3):
        async with timeout(60) as scope:
            kept.append(scope)
    assert len({id(each) for each in kept}) == 3
    assert all("left in time" in repr(each) for each in kept)
    async with timeout(60):
        pass
    assert repr(timeout(1)) == "<timeout 1 s, not entered>"


async def test_timeout_takes_one_argument():
    for wrong in (lambda: timeout(), lambda: timeout(1, 2), lambda: timeout(seconds=1)):
        with pytest.raises(TypeError):
            wrong()


async def test_an_operation_that_was_complete_when_the_time_came_returns(start):
    tx, rx = channel()
    got = []

    async def body():
        async with timeout(60) as scope:
            waiting.append(scope)
            got.append(await rx.recv())
            await asyncio.get_running_loop().create_future()

    waiting = []
    running = start(body())
    await settle()
    tx.try_send("value")
    waiting[0].reschedule(0)
    await asyncio.wait([running])
    assert isinstance(running.exception(), Timeout)
    assert got == ["value"]


async def test_what_else_is_raised_in_a_late_block_is_raised():
    _tx, rx = channel()
    with pytest.raises(LookupError):
        async with timeout(0.001):
            try:
                await rx.recv()
            except asyncio.CancelledError:
                raise LookupError from None


async def test_a_timeout_around_a_task_group(start):
    _tx, rx = channel()

    async def body():
        async with timeout(0.001):
            async with asyncio.TaskGroup() as group:
                group.create_task(rx.recv())
                group.create_task(rx.recv())

    with pytest.raises(Timeout):
        await start(body())
    assert rx.stats().waiting_receivers == 0


async def test_join_with_a_timeout_leaves_the_routine_alone():
    async def work():
        await sleep(0.004)
        return "done"

    routine = go(work)
    with pytest.raises(Timeout, match="it goes on"):
        await routine.join(timeout=0.001)
    assert await routine.join(timeout=60) == "done"


async def test_past_ten_milliseconds_a_timer_is_a_millisecond_late_at_most():
    lateness = []
    for _ in range(12):
        begun = time.monotonic()
        await sleep(0.012)
        lateness.append(time.monotonic() - begun - 0.012)
    assert min(lateness) >= 0
    assert sorted(lateness)[2] < 0.001  # the machine may be busy; most of the time it is not


async def test_cancelled_timers_do_not_delay_those_that_are_left(start):
    _tx, rx = channel()
    # Late enough that none has fired before half of them are cancelled, however busy the machine is.
    silent = [start(select(rx, timeout=0.5 + number * 1e-6)) for number in range(500)]
    await settle()
    for each in silent[::2]:
        each.cancel()
    await asyncio.wait(silent)
    assert sum(each.cancelled() for each in silent) == 250
    assert sum(isinstance(each.exception(), Timeout) for each in silent if not each.cancelled()) == 250


async def test_an_after_in_a_selector_fires_once():
    selector = Selector(after(0.0005))
    assert isinstance((await selector.next()).value, float)
    with pytest.raises(Timeout):
        async with timeout(0.003):
            await selector.next()


def test_timers_need_a_loop():
    for made in (lambda: after(1), lambda: Ticker(1)):
        with pytest.raises(RuntimeError, match="needs a running event loop"):
            made()
    _tx, rx = channel()
    for operation in (sleep(1), select(rx, timeout=1)):
        with pytest.raises(RuntimeError, match="needs a running event loop"):
            operation.send(None)


async def test_a_crowd_of_timers_fires_even_though_some_callbacks_fail(reports):
    _tx, rx = channel()
    handled = []

    async def late():
        try:
            await select().recv(rx).timeout(0.001, lambda: 1 // 0).run()
        except ZeroDivisionError:
            handled.append(1)

    await asyncio.wait([go(late) for _ in range(50)])
    assert len(handled) == 50
    assert not reports


@pytest.mark.parametrize("make", [lambda: Ticker(60), lambda: after(60)], ids=["ticker", "after"])
def test_a_timer_may_be_collected_together_with_its_loop(make):
    async def main():
        await sleep(0)
        hold = []
        hold.append(hold)  # older than the timer, younger than the loop's timers: collected between the two
        hold.append(make())

    gc.collect()
    gc.disable()
    try:
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(main())
        loop.close()
        del loop
        gc.collect()
    finally:
        gc.enable()


async def in_time(rx):
    async with timeout(10):
        return await rx.recv()


async def selected_in_time(rx):
    return await select(rx, timeout=10)


@pytest.mark.parametrize("wait", [in_time, selected_in_time])
async def test_what_is_done_in_time_leaves_no_timer(wait, start):
    tx, rx = channel()
    before = runtime().stats().timers
    waiting = start(wait(rx))
    await parked(rx, receivers=1)
    assert runtime().stats().timers == before + 1
    await tx.send(1)
    await waiting
    assert runtime().stats().timers == before


@pytest.mark.parametrize("wait", [in_time, selected_in_time, lambda _: sleep(10)])
async def test_what_is_cancelled_leaves_no_timer(wait, start):
    _tx, rx = channel()
    before = runtime().stats().timers

    async def body():
        await wait(rx)

    waiting = start(body())
    await until(lambda: runtime().stats().timers == before + 1)
    waiting.cancel()
    assert isinstance(await outcome(waiting), asyncio.CancelledError)
    assert runtime().stats().timers == before


async def test_a_method_of_a_timeout_that_is_kept_stays_bound_to_it():
    first = timeout(1)
    enter, leave = first.__aenter__, first.__aexit__
    second = timeout(1)
    async with second:
        pass
    assert (enter.__self__, leave.__self__) == (first, first)
    assert await enter() is first
    async with timeout(1) as third:
        assert third not in (first, second)
    await leave(None, None, None)
    assert "left in time" in repr(first)


async def test_a_weak_reference_keeps_a_method_of_a_timeout_bound_to_it():
    first = timeout(1)
    watched = weakref.ref(first.__aenter__)
    async with timeout(1):
        assert watched() is None or watched().__self__ is first


async def test_timeouts_within_each_other_leave_in_their_order():
    async with timeout(30) as outer:
        async with timeout(20) as middle:
            async with timeout(10) as inner:
                assert len({id(outer), id(middle), id(inner)}) == 3
            assert repr(inner) == "<timeout 10 s, left in time>"
            assert repr(middle) == "<timeout 20 s, running>"
        assert repr(outer) == "<timeout 30 s, running>"


async def test_an_exit_stack_enters_a_timeout():
    with pytest.raises(Timeout):
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(timeout(0.001))
            await sleep(10)


def test_a_method_of_a_timeout_is_bound_to_a_timeout_alone():
    with pytest.raises(TypeError, match="timeout"):
        vars(timeout)["__aenter__"].__get__("no timeout")
    assert inspect.ismethoddescriptor(timeout.__aenter__)


async def test_a_ticker_is_reset_from_a_thread_while_its_loop_sleeps():
    ticker = Ticker(3600)
    ticking = asyncio.ensure_future(ticker.__anext__())
    await asyncio.to_thread(ticker.reset, 0.001)
    await asyncio.wait_for(ticking, 10)
    ticker.stop()


@pytest.mark.parametrize("end", [Ticker.close, Ticker.stop])
async def test_a_ticker_that_a_thread_resets_before_it_ends_arms_nothing(end):
    loop = asyncio.get_running_loop()
    before = runtime().stats().timers
    ticker = Ticker(3600)
    thread = threading.Thread(target=ticker.reset, args=[3600])
    thread.start()
    thread.join()
    end(ticker)
    told = loop.create_future()
    loop.call_soon(told.set_result, None)
    await told
    assert runtime().stats().timers == before


async def test_a_batch_of_a_timer_is_what_it_has_sent():
    late = after(0.001)
    assert len(await late.recv_many(3)) == 1
    ticker = Ticker(0.001)
    async for ticks in ticker.batches(3):
        assert len(ticks) == 1
        break
    ticker.stop()


async def test_a_timeout_is_not_rescheduled_where_timers_were_switched_off_meanwhile():
    scheduler = scheduler_for(asyncio.get_running_loop())
    async with timeout(60) as limit:
        scheduler.refuses_time = True
        try:
            with pytest.raises(RuntimeError, match="enable_time=False"):
                limit.reschedule(1)
        finally:
            scheduler.refuses_time = False
