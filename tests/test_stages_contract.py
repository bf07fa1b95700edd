"""Stages: what goes through, how they end, and that they close what they own."""

import asyncio
import gc
import time
from datetime import timedelta

import pytest
from helpers import collect as collect_garbage
from helpers import outcome, parked, settle, until

from routines import ChannelClosed, RecvError, broadcast, channel, sleep, stages, watch, yield_now


def filled(values, capacity=100):
    tx, rx = channel(capacity)
    for each in values:
        tx.try_send(each)
    tx.close()
    return rx


async def double(number):
    await yield_now()
    return number * 2


async def fail_at_three(number):
    await yield_now()
    if number == 3:
        raise ValueError("three")
    return number


async def iterate(values, closed=None):
    try:
        for each in values:
            yield each
    finally:
        if closed is not None:
            closed.append(True)


STAGES = {
    "merge": lambda rx: stages.merge(rx),
    "map": lambda rx: stages.map(double, rx),
    "map, side by side": lambda rx: stages.map(double, rx, workers=3),
    "map, unordered": lambda rx: stages.map(double, rx, workers=3, ordered=False),
    "filter": lambda rx: stages.filter(lambda _: True, rx),
    "batch": lambda rx: stages.batch(rx, 3),
    "batch within": lambda rx: stages.batch(rx, 3, within=60),
    "throttle": lambda rx: stages.throttle(rx, 1000),
}
each_stage = pytest.mark.parametrize("make", STAGES.values(), ids=STAGES.keys())


# --- what goes through


async def test_merge_gives_everything_and_keeps_the_order_of_each():
    merged = await stages.collect(stages.merge(filled("abc"), filled("123"), filled("")))
    assert sorted(merged) == sorted("abc123")
    assert [each for each in merged if each in "abc"] == list("abc")
    assert [each for each in merged if each in "123"] == list("123")


async def test_merging_nothing_is_over_at_once():
    assert await stages.collect(stages.merge()) == []


@pytest.mark.parametrize("workers", [1, 2, 3, 10])
async def test_map_keeps_the_order_however_many_work(workers):
    async def uneven(number):
        for _ in range(number % 4):
            await yield_now()
        return number * 2

    mapped = stages.map(uneven, filled(range(40)), workers=workers)
    assert await stages.collect(mapped) == [2 * number for number in range(40)]


async def test_map_unordered_gives_what_is_done_first():
    gate = asyncio.Event()

    async def slow_first(number):
        if number == 0:
            await gate.wait()
        return number

    mapped = stages.map(slow_first, filled(range(4)), workers=2, ordered=False)
    assert [await mapped.recv() for _ in range(3)] == [1, 2, 3]
    gate.set()
    assert await stages.collect(mapped) == [0]


@pytest.mark.parametrize("ordered", [True, False])
async def test_so_many_work_at_once_and_no_more(ordered):
    working, most, gate = 0, 0, asyncio.Event()

    async def work(number):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await gate.wait()
        working -= 1
        return number

    mapped = stages.map(work, filled(range(12)), workers=4, ordered=ordered, capacity=12)
    await until(lambda: working == 4)
    await settle()
    assert most == 4
    gate.set()
    assert sorted(await stages.collect(mapped)) == list(range(12))
    assert most == 4


@pytest.mark.parametrize("workers", [1, 3])
async def test_filter_takes_plain_and_async_functions(workers):
    async def odd(number):
        return number % 2

    assert await stages.collect(stages.filter(odd, filled(range(9)), workers=workers)) == [1, 3, 5, 7]
    assert await stages.collect(stages.filter(bool, filled([0, 1, "", "x"]), workers=workers)) == [1, "x"]


async def test_batches_are_full_and_the_last_one_is_what_is_left():
    assert await stages.collect(stages.batch(filled(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert await stages.collect(stages.batch(filled([]), 3)) == []


async def test_a_batch_goes_on_when_its_time_is_over():
    tx, rx = channel(10)
    batches = stages.batch(rx, 5, within=timedelta(milliseconds=5))
    tx.try_send(1)
    tx.try_send(2)
    assert await batches.recv() == [1, 2]
    await tx.send_many(range(5))
    assert await batches.recv() == list(range(5))
    tx.try_send(9)
    tx.close()
    assert await stages.collect(batches) == [[9]]


async def test_a_batch_waits_for_more_while_there_is_time():
    tx, rx = channel()
    batches = stages.batch(rx, 3, within=60)
    for value in range(3):
        await tx.send(value)
    assert await batches.recv() == [0, 1, 2]


async def test_throttle_lets_no_more_than_the_rate_through_in_any_period():
    out = stages.throttle(filled(range(7)), 3, per=0.02)
    times = []
    async for _ in out:
        times.append(time.monotonic())
    assert len(times) == 7
    for earlier, later in zip(times, times[3:], strict=False):
        assert later - earlier > 0.019


async def test_pipe_gives_what_the_iterable_does_and_closes_it():
    closed = []
    assert await stages.collect(stages.pipe(iterate("abc", closed))) == ["a", "b", "c"]
    assert closed == [True]


async def test_pipe_takes_an_iterable_that_cannot_be_closed():
    class Three:
        def __init__(self):
            self.left = [3, 2, 1]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    assert await stages.collect(stages.pipe(Three())) == [1, 2, 3]


async def test_into_sends_on_and_closes_neither_end():
    tx, rx = channel(10)
    assert await stages.into(filled("abc"), tx) == 3
    assert await rx.recv_many(9) == ["a", "b", "c"]
    tx.try_send("still open")


async def test_a_whole_pipeline():
    numbers = stages.pipe(iterate(range(20)))
    even = stages.filter(lambda number: number % 2 == 0, numbers)
    doubled = stages.map(double, even, workers=4)
    assert await stages.collect(stages.batch(doubled, 4)) == [[0, 4, 8, 12], [16, 20, 24, 28], [32, 36]]


async def test_stages_over_a_broadcast_and_a_watch():
    tx, rx = broadcast(8)
    other = tx.subscribe()
    doubled, same = stages.map(double, rx), stages.merge(other)
    await tx.send_many([1, 2])
    tx.close()
    assert await stages.collect(doubled) == [2, 4]
    assert await stages.collect(same) == [1, 2]
    state_tx, state = watch("old")
    state_tx.try_send("new")
    state_tx.close()
    assert await stages.collect(stages.merge(state)) == ["new"]


async def test_a_lag_fails_the_stage():
    tx, rx = broadcast(1)
    await tx.send_many([1, 2])
    out = stages.map(double, rx)
    with pytest.raises(ChannelClosed) as caught:
        await out.recv()
    assert caught.value.__cause__.missed == 1
    assert tx.closed


# --- how they end


@each_stage
async def test_it_stops_and_closes_its_input_when_its_output_is_dropped(make):
    tx, rx = channel()
    out = make(rx)
    del rx
    await settle()
    assert not tx.closed
    del out
    await until(lambda: tx.closed)


@each_stage
async def test_it_stops_while_it_has_a_value_that_nobody_takes(make):
    tx, rx = channel(20)
    out = make(rx)
    await tx.send_many(range(10))
    await settle()
    out.close()
    await until(lambda: tx.closed and rx.closed)
    with pytest.raises(ChannelClosed) as caught:
        tx.try_send("nobody wants it")
    assert caught.value.__cause__ is None, "that is no failure"


@each_stage
async def test_it_passes_on_all_it_took_and_then_the_cause_of_its_input(make):
    tx, rx = channel(10)
    cause = OSError("lost")
    out = make(rx)
    await tx.send_many([1, 2])
    tx.close(cause)
    received = []
    with pytest.raises(ChannelClosed) as caught:
        while True:
            received.append(await out.recv())
    assert caught.value.__cause__ is cause
    assert len(received) == (1 if isinstance(received[0], list) else 2)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("stage", [stages.map, stages.filter])
async def test_what_its_function_raises_is_the_cause_at_both_ends(stage, workers, ordered):
    tx, rx = channel(10)
    await tx.send_many([1, 2, 3, 4])
    out = stage(fail_at_three, rx, workers=workers, ordered=ordered)
    with pytest.raises(ChannelClosed) as caught:
        await stages.collect(out)
    assert isinstance(caught.value.__cause__, ValueError)
    assert tx.closed
    with pytest.raises(ChannelClosed) as caught:
        tx.try_send(5)
    assert caught.value.__cause__ is not None


async def test_ordered_what_came_before_the_failure_is_received():
    out = stages.map(fail_at_three, filled(range(6)), workers=4)
    assert [await out.recv() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ChannelClosed):
        await out.recv()


async def test_a_failing_iterable_is_the_cause():
    async def failing():
        yield 1
        raise KeyError("gone")

    out = stages.pipe(failing())
    assert await out.recv() == 1
    with pytest.raises(ChannelClosed) as caught:
        await out.recv()
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_pipe_that_nobody_wants_closes_its_iterable():
    closed = []
    out = stages.pipe(iterate(range(100), closed))
    assert await out.recv() == 0
    del out
    await until(lambda: closed)


async def test_one_failed_input_ends_a_merge_and_closes_the_others():
    (tx1, rx1), (tx2, rx2) = channel(4), channel(4)
    merged = stages.merge(rx1, rx2)
    tx2.try_send("kept")
    await settle()
    cause = OSError("lost")
    tx1.close(cause)
    await settle()
    assert await merged.recv() == "kept", "it was taken already"
    with pytest.raises(ChannelClosed) as caught:
        await merged.recv()
    assert caught.value.__cause__ is cause
    assert tx2.closed


async def test_a_function_that_still_runs_is_aborted_when_the_output_is_gone():
    stopped, tx_rx = [], channel(3)

    async def for_ever(number):
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.append(number)

    for ordered in (True, False):
        tx, rx = channel(3)
        await tx.send_many([1, 2])
        out = stages.map(for_ever, rx, workers=2, ordered=ordered)
        await settle()
        out.close()
        await until(lambda: len(stopped) == 2)
        stopped.clear()
        assert tx.closed
    assert tx_rx[0].capacity == 3


async def test_a_whole_pipeline_stops_from_its_end():
    closed = []
    out = stages.batch(
        stages.map(double, stages.merge(stages.pipe(iterate(range(1000), closed))), workers=2), 3
    )
    assert await out.recv() == [0, 2, 4]
    out.close()
    await until(lambda: closed)


async def test_into_gives_back_what_it_could_not_send(start):
    tx, rx = channel(4)
    out_tx, out = channel()
    await tx.send_many([1, 2, 3])
    forwarding = start(stages.into(rx, out_tx))
    await parked(out_tx, senders=1)
    forwarding.cancel()
    assert isinstance(await outcome(forwarding), asyncio.CancelledError)
    assert await rx.recv() == 1
    out.close()
    with pytest.raises(ChannelClosed) as caught:
        await stages.into(rx, out_tx)
    assert caught.value.sent == 0
    assert await rx.recv_many(5) == [2, 3]


async def test_into_and_collect_raise_the_cause_of_their_input():
    cause = OSError("lost")
    for helper in ("into", "collect"):
        tx, rx = channel(4)
        out_tx, out = channel(4)
        tx.try_send(1)
        tx.close(cause)
        with pytest.raises(ChannelClosed) as caught:
            await (stages.into(rx, out_tx) if helper == "into" else stages.collect(rx))
        assert caught.value.__cause__ is cause
        assert caught.value.sent == (1 if helper == "into" else None)
        assert out.closed is False


# --- what is refused


async def test_nonsense_is_refused_before_anything_starts():
    rx = filled([1])
    for call, error in (
        (lambda: stages.merge(rx, 1), TypeError),
        (lambda: stages.map(None, rx), TypeError),
        (lambda: stages.map(double, [1]), TypeError),
        (lambda: stages.map(double, rx, workers=0), ValueError),
        (lambda: stages.filter(bool, rx, workers=1.5), TypeError),
        (lambda: stages.batch(rx, 0), ValueError),
        (lambda: stages.batch(rx, 1, within=-1), ValueError),
        (lambda: stages.throttle(rx, 0), ValueError),
        (lambda: stages.throttle(rx, 1, per=0), ValueError),
        (lambda: stages.pipe([1]), TypeError),
        (lambda: stages.map(double, rx, capacity=-1), ValueError),
    ):
        with pytest.raises(error):
            call()
    assert rx.try_recv() == 1, "nobody has taken it"
    with pytest.raises((RecvError, ChannelClosed)):
        rx.try_recv()


@pytest.mark.loops("stock")
async def test_stages_leave_no_routine_behind():
    from routines._core import live_routines

    before = len(live_routines())
    for make in STAGES.values():
        await stages.collect(make(filled(range(5))))
        tx, rx = channel()
        out = make(rx)
        await settle(2)
        del out, rx
    await until(lambda: len(live_routines()) == before)
    collect_garbage()
    assert gc.garbage == []


async def test_a_slow_consumer_holds_up_the_source():
    taken = []

    async def source():
        for number in range(100):
            taken.append(number)
            yield number

    out = stages.map(double, stages.pipe(source()))
    await settle(10)
    assert len(taken) <= 4
    out.close()
    await sleep(0)
