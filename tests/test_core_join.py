"""Joining and aborting routines, and the state they are in."""

import asyncio
import datetime
import time

import pytest
from helpers import outcome, parked, settle, until

import routines
from routines import (
    Aborted,
    Error,
    Timeout,
    channel,
    current,
    go,
    sleep,
    spawn,
    yield_now,
)


async def give(value=None):
    return value


async def fail(error):
    raise error


async def receive(rx):
    return await rx.recv()


async def for_ever():
    await asyncio.get_running_loop().create_future()


async def join(routine, **kwargs):
    return await routine.join(**kwargs)


# --- join


async def test_join_gives_the_result(start):
    assert await start(join(spawn(give(42)))) == 42


async def test_join_of_a_finished_routine_gives_the_result_again():
    routine = spawn(give(42))
    await routine
    assert [await routine.join(), await routine.join()] == [42, 42]


async def test_join_raises_the_exception_as_it_was(start):
    error = LookupError("mine")
    caught = await outcome(start(join(spawn(fail(error)))))
    assert caught is error


async def test_every_joiner_gets_the_outcome(start):
    tx, rx = channel()
    routine = spawn(receive(rx))
    joiners = [start(join(routine)) for _ in range(10)]
    await until(lambda: rx.stats().waiting_receivers == 1)
    await tx.send("shared")
    assert await asyncio.gather(*joiners) == ["shared"] * 10


async def test_joiners_continue_in_the_order_they_joined():
    tx, rx = channel()
    order = []
    routine = spawn(receive(rx))

    async def note(number):
        await routine.join()
        order.append(number)

    joiners = [spawn(note(number)) for number in range(5)]
    await settle()
    await tx.send(1)
    await asyncio.gather(*joiners)
    assert order == list(range(5))


async def test_a_cancelled_joiner_leaves_the_routine_alone(start):
    tx, rx = channel()
    routine = spawn(receive(rx))
    joining, staying = start(join(routine)), start(join(routine))
    await settle()
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert not routine.done()
    assert routine.cancelling() == 0
    await tx.send("went on")
    assert await staying == "went on"


async def test_a_joiner_cancelled_before_it_started_leaves_the_routine_alone(start):
    routine = spawn(give("fine"))
    joining = start(join(routine))
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert await routine.join() == "fine"


async def test_a_joiner_cancelled_in_the_turn_of_the_end_is_not_stuck(start):
    tx, rx = channel()
    after = []

    async def body():
        await rx.recv()
        joining.cancel()
        return "ended"

    async def join_and_go_on():
        after.append(await outcome(routine.join()))
        after.append(await outcome(asyncio.sleep(0)))

    routine = spawn(body())
    joining = start(join_and_go_on())
    await settle()
    await tx.send(None)
    await asyncio.wait([joining])
    assert await routine.join() == "ended"
    cancelled = [each for each in after if isinstance(each, asyncio.CancelledError)]
    assert len(cancelled) == 1, "the cancellation arrives once, here or at the next suspension"


async def test_join_from_a_joiner_that_has_a_timeout_block(start):
    routine = spawn(for_ever())

    async def join_in_time():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await routine.join()
        return "timed out"

    assert await start(join_in_time()) == "timed out"
    assert not routine.done()
    routine.abort()
    await asyncio.wait([routine])


async def test_a_join_that_is_too_late_raises_timeout_and_the_routine_goes_on(start):
    tx, rx = channel()
    routine = spawn(receive(rx))
    started = time.monotonic()
    with pytest.raises(Timeout):
        await start(join(routine, timeout=0.02))
    assert time.monotonic() - started >= 0.02
    assert not routine.done()
    assert routine.cancelling() == 0
    await tx.send("later")
    assert await routine.join() == "later"


async def test_a_join_in_time_gives_the_result(start):
    assert await start(join(spawn(give(1)), timeout=10)) == 1
    assert await start(join(spawn(give(1)), timeout=datetime.timedelta(seconds=10))) == 1


async def test_a_join_in_time_leaves_no_timer(start):
    tx, rx = channel()
    before = routines.runtime().stats().timers
    joining = start(join(spawn(receive(rx)), timeout=10))
    await parked(rx, receivers=1)
    await until(lambda: routines.runtime().stats().timers == before + 1)
    await tx.send(1)
    assert await joining == 1
    assert routines.runtime().stats().timers == before


async def test_a_join_timeout_of_zero_looks_once():
    done = spawn(give(1))
    await settle()
    assert await done.join(timeout=0) == 1
    routine = spawn(for_ever())
    await settle()
    with pytest.raises(Timeout):
        await routine.join(timeout=0)
    routine.abort()
    await asyncio.wait([routine])


async def test_the_timeout_of_a_join_names_the_routine():
    routine = spawn(for_ever(), name="the slow one")
    with pytest.raises(Timeout, match="the slow one") as caught:
        await routine.join(timeout=0.001)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, Error)
    routine.abort()
    await asyncio.wait([routine])


@pytest.mark.parametrize("bad", [-1, -0.001, float("nan"), datetime.timedelta(seconds=-1)])
async def test_a_negative_join_timeout_is_a_value_error(bad):
    routine = spawn(give())
    with pytest.raises(ValueError):
        await routine.join(timeout=bad)
    await routine


async def test_an_infinite_join_timeout_never_comes():
    assert await spawn(give(1)).join(timeout=float("inf")) == 1


async def test_join_and_await_may_be_mixed():
    tx, rx = channel()
    routine = spawn(receive(rx))
    both = asyncio.gather(routine.join(), join(routine), routine)
    await parked(rx, receivers=1)
    await tx.send(1)
    assert await both == [1, 1, 1]


async def test_joining_oneself_is_an_error_and_no_hang():
    async def bite():
        await current().join(timeout=5)

    with pytest.raises(Exception) as caught:
        await spawn(bite())
    assert not isinstance(caught.value, asyncio.CancelledError)


async def test_joins_in_a_ring_end_by_abort():
    made = []

    async def link(number):
        return await made[(number + 1) % 3].join()

    made.extend(spawn(link(number)) for number in range(3))
    await settle()
    made[0].abort("cut")
    outcomes = await asyncio.gather(*(outcome(each.join()) for each in made))
    assert all(isinstance(each, (Aborted, asyncio.CancelledError)) for each in outcomes)


# --- abort


async def test_abort_stops_a_routine_and_join_raises_aborted(start):
    ended = []

    async def work():
        try:
            await for_ever()
        finally:
            ended.append(True)

    routine = spawn(work())
    await settle()
    assert routine.abort("enough") is True
    with pytest.raises(Aborted) as caught:
        await start(join(routine))
    assert caught.value.reason == "enough"
    assert caught.value.routine is routine
    assert "enough" in str(caught.value)
    assert ended == [True]
    assert routine.cancelled()


async def test_awaiting_an_aborted_routine_raises_cancelled_error():
    routine = spawn(for_ever())
    await settle()
    routine.abort()
    with pytest.raises(asyncio.CancelledError):
        await routine


async def test_joining_a_cancelled_routine_raises_aborted_with_the_message():
    routine = spawn(for_ever())
    await settle()
    routine.cancel("by asyncio")
    with pytest.raises(Aborted) as caught:
        await routine.join()
    assert caught.value.reason == "by asyncio"


async def test_joining_a_routine_that_raised_a_cancellation_itself_raises_aborted(start):
    async def give_up():
        raise asyncio.CancelledError("own")

    routine = spawn(give_up())
    with pytest.raises(Aborted):
        await start(join(routine))


async def test_the_end_of_a_routine_beats_a_join_timeout_of_the_same_turn(start):
    for _ in range(10):
        tx, rx = channel()
        routine = spawn(receive(rx))
        joining = start(join(routine, timeout=0.002))
        await parked(rx, receivers=1)
        deadline = time.monotonic() + 0.002
        while time.monotonic() < deadline:
            pass
        tx.try_send("value")
        result = await outcome(joining)
        assert result == "value" or isinstance(result, Timeout)
        assert await routine.join() == "value"


async def test_an_abort_without_a_reason_has_none():
    routine = spawn(for_ever())
    await settle()
    routine.abort()
    with pytest.raises(Aborted) as caught:
        await routine.join()
    assert caught.value.reason is None


async def test_the_reason_may_be_any_object():
    reason = LookupError("why")
    routine = spawn(for_ever())
    await settle()
    routine.abort(reason)
    with pytest.raises(Aborted) as caught:
        await routine.join()
    assert caught.value.reason is reason


async def test_abort_of_a_finished_routine_returns_false():
    routine = spawn(give(1))
    await routine
    assert routine.abort("too late") is False
    assert await routine.join() == 1


async def test_abort_of_a_routine_that_never_started_never_runs_it():
    ran = []

    async def note():
        ran.append(True)

    routine = go(note)
    assert routine.abort("not today") is True
    with pytest.raises(Aborted) as caught:
        await routine.join()
    assert caught.value.reason == "not today"
    assert not ran


async def test_a_routine_that_aborts_itself_stops_at_its_next_suspension():
    trace = []

    async def stop():
        assert current().abort("self") is True
        trace.append("still running")
        await yield_now()
        trace.append("never")

    with pytest.raises(Aborted) as caught:
        await spawn(stop()).join()
    assert caught.value.reason == "self"
    assert trace == ["still running"]


async def test_a_routine_that_swallows_its_abort_returns_its_result():
    async def swallow():
        try:
            await for_ever()
        except asyncio.CancelledError:
            return "swallowed"

    routine = spawn(swallow())
    await settle()
    assert routine.abort()
    assert await routine.join() == "swallowed"
    assert not routine.cancelled()


async def test_a_routine_that_fails_while_it_is_aborted_raises_its_failure():
    error = LookupError("in finally")

    async def stumble():
        try:
            await for_ever()
        finally:
            raise error

    routine = spawn(stumble())
    await settle()
    routine.abort()
    assert await outcome(routine.join()) is error


async def test_an_aborted_routine_may_clean_up_over_channels():
    tx, rx = channel()

    async def work():
        try:
            await for_ever()
        finally:
            await tx.send("cleaned up")

    routine = spawn(work())
    await settle()
    routine.abort()
    assert await rx.recv() == "cleaned up"
    with pytest.raises(Aborted):
        await routine.join()


async def test_aborting_twice_asks_twice():
    async def survive_once():
        try:
            await for_ever()
        except asyncio.CancelledError:
            pass
        await for_ever()

    routine = spawn(survive_once())
    await settle()
    routine.abort("first")
    await settle()
    assert not routine.done()
    routine.abort("second")
    with pytest.raises(Aborted) as caught:
        await routine.join()
    assert caught.value.reason == "second"


async def test_the_joiner_of_an_aborted_routine_is_not_cancelled_itself(start):
    routine = spawn(for_ever())

    async def join_and_go_on():
        with pytest.raises(Aborted):
            await routine.join()
        await yield_now()
        return asyncio.current_task().cancelling()

    joining = start(join_and_go_on())
    await settle()
    routine.abort()
    assert await joining == 0


async def test_an_abort_wakes_a_parked_routine_promptly():
    tx, rx = channel()
    routine = spawn(receive(rx))
    await parked(rx, receivers=1)
    routine.abort()
    await asyncio.wait_for(asyncio.wait([routine]), 5)
    assert tx.stats().waiting_receivers == 0


# --- state


async def test_state_follows_the_life_of_a_routine():
    seen = []
    tx, rx = channel()

    async def live():
        seen.append(current().state)
        await rx.recv()
        await tx.send(None)
        await sleep(1000)

    routine = spawn(live())
    assert routine.state == "ready"
    await until(lambda: routine.state != "ready")
    assert seen == ["running"]
    assert routine.state == "chan receive"
    await tx.send(None)
    await until(lambda: tx.stats().waiting_senders == 1)
    assert routine.state == "chan send"
    await rx.recv()
    await settle()
    assert routine.state == "sleep"
    routine.abort()
    await asyncio.wait([routine])
    assert routine.state == "done"


async def test_state_of_a_routine_that_joins_or_awaits():
    target = spawn(for_ever())

    async def wait():
        await target

    joining, awaiting, foreign = spawn(join(target)), spawn(wait()), spawn(for_ever())
    await settle()
    assert joining.state == "join"
    assert awaiting.state in ("join", "io wait")
    assert foreign.state == "io wait"
    target.abort()
    foreign.abort()
    await asyncio.wait([joining, awaiting, foreign])
    joining.exception()


async def test_state_of_an_aborted_but_not_yet_resumed_routine_is_ready():
    tx, rx = channel()
    routine = spawn(receive(rx))
    await parked(rx, receivers=1)
    routine.abort()
    assert routine.state == "ready"
    await asyncio.wait([routine])


async def test_state_of_a_woken_routine_is_ready():
    tx, rx = channel()
    routine = spawn(receive(rx))
    await parked(rx, receivers=1)
    tx.try_send(1)
    assert routine.state == "ready"
    assert await routine == 1


async def test_state_of_batch_operations():
    tx, rx = channel()

    async def receive_many():
        return await rx.recv_many(2)

    async def send_many():
        return await tx.send_many([1, 2])

    receiving = spawn(receive_many())
    await parked(rx, receivers=1)
    assert receiving.state == "chan receive"
    receiving.abort()
    sending = spawn(send_many())
    await parked(rx, senders=1)
    assert sending.state == "chan send"
    sending.abort()
    await asyncio.wait([receiving, sending])


async def test_id_and_state_cannot_be_written():
    routine = spawn(give())
    with pytest.raises(AttributeError):
        routine.id = 1
    with pytest.raises(AttributeError):
        routine.state = "done"
    await routine


async def test_who_awaits_a_routine_is_told_while_a_select_waits_for_it_too():
    async def block():
        await asyncio.sleep(60)

    routine = spawn(block())
    joining = spawn(outcome(routine.join()))
    selecting = spawn(outcome(routines.select(routine)))
    await until(lambda: selecting.state == "select" and joining.state == "join")
    assert routine._asyncio_awaited_by == {joining}
    routine.abort()
    await joining
    await selecting


async def test_an_abort_of_a_join_with_a_timeout_leaves_no_timer():
    before = routines.runtime().stats().timers
    joined = spawn(for_ever())
    joining = spawn(join(joined, timeout=60))
    await until(lambda: joining.state == "join")
    assert routines.runtime().stats().timers == before + 1
    joining.abort()
    await asyncio.wait([joining])
    assert routines.runtime().stats().timers == before
    joined.abort()


async def test_a_timeout_that_comes_after_the_end_but_before_the_joiner_goes_on_is_too_late():
    tx, rx = channel()
    routine = spawn(receive(rx))
    await parked(rx, receivers=1)
    operation = routine.join(0.001)
    operation.send(None)
    await tx.send("value")
    await routine
    await sleep(0.005)
    with pytest.raises(StopIteration) as ended:
        operation.send(None)
    assert ended.value.value == "value"


async def test_a_cancellation_that_fails_on_its_way_along_a_chain_may_be_tried_again():
    class Refuses(asyncio.Future):
        refusals = 1

        def cancel(self, msg=None):
            if self.refusals:
                self.refusals -= 1
                raise LookupError("not now")
            return super().cancel(msg)

    async def wait_for(awaitable):
        return await awaitable

    inner = spawn(wait_for(Refuses()))
    outer = spawn(wait_for(inner))
    await until(lambda: outer.state == "join")
    with pytest.raises(LookupError, match="not now"):
        outer.cancel()
    assert outer.cancel()
    await asyncio.wait([inner, outer])
    assert inner.cancelled()
    assert outer.cancelled()
