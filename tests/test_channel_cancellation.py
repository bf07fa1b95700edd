"""Every blocking operation against every event at every instant.

Events: cancellation, a timeout, closing either side, loss of the last reference to either side. Instants: before the operation
starts, while it is parked, in the turn in which it was completed, and after it has returned.
"""

import asyncio

import pytest
from helpers import collect, outcome, parked, settle, until

from routines import ChannelClosed, RecvError, SendError, channel, select, spawn


class Operation:
    """A blocking operation, how it is completed from outside, and what it leaves in its channel."""

    side = None  # "send" or "receive"
    result = None  # what it returns
    after_close = (
        ChannelClosed  # what it comes to once the other side is closed: an exception type or a result
    )

    def __init__(self):
        self.tx, self.rx = channel()
        self.view = self.tx.channel

    def __repr__(self):
        return type(self).__name__

    async def run(self):
        raise NotImplementedError

    async def is_parked(self):
        waiting = {"senders": 1} if self.side == "send" else {"receivers": 1}
        await parked(self.view, **waiting)

    def complete(self):
        if self.side == "send":
            assert self.rx.try_recv() == "value"
        else:
            self.tx.try_send("value")

    def close_other(self, cause=None):
        (self.rx if self.side == "send" else self.tx).close(cause)

    def close_own(self):
        (self.tx if self.side == "send" else self.rx).close()

    def drop_other(self):
        if self.side == "send":
            self.rx = None
        else:
            self.tx = None

    def assert_untouched(self):
        stats = self.view.stats()
        assert (stats.sent, stats.received, stats.buffered) == (0, 0, 0)
        assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
        if not stats.closed and self.tx is not None and self.rx is not None:
            with pytest.raises(SendError):
                self.tx.try_send("nobody takes it")
            with pytest.raises(RecvError):
                self.rx.try_recv()

    def assert_happened(self):
        stats = self.view.stats()
        assert (stats.sent, stats.received, stats.buffered) == (1, 1, 0)
        assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)


class Send(Operation):
    side = "send"

    async def run(self):
        return await self.tx.send("value")


class SendMany(Operation):
    side = "send"
    result = 1

    async def run(self):
        return await self.tx.send_many(["value"])


class Receive(Operation):
    side = "receive"
    result = "value"

    async def run(self):
        return await self.rx.recv()


class ReceiveOk(Operation):
    side = "receive"
    result = ("value", True)
    after_close = (None, False)

    async def run(self):
        return await self.rx.recv_ok()


class ReceiveMany(Operation):
    side = "receive"
    result = ["value"]

    async def run(self):
        return await self.rx.recv_many(3)


class Iterate(Operation):
    side = "receive"
    result = "value"
    after_close = "ended"

    async def run(self):
        async for value in self.rx:
            return value
        return "ended"


class IterateBatches(Operation):
    side = "receive"
    result = ["value"]
    after_close = "ended"

    async def run(self):
        async for batch in self.rx.batches(3):
            return batch
        return "ended"


class Next(Operation):
    side = "receive"
    result = "value"
    after_close = StopAsyncIteration

    async def run(self):
        # The result of a coroutine, which must not raise StopAsyncIteration through an async generator.
        return await self.rx.__anext__()


OPERATIONS = [Send, SendMany, Receive, ReceiveOk, ReceiveMany, Iterate, IterateBatches, Next]
every_operation = pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)


def is_cancelled(what):
    return isinstance(what, asyncio.CancelledError)


def is_after_close(operation, what):
    expected = operation.after_close
    return isinstance(what, expected) if isinstance(expected, type) else what == expected


# --- cancellation


@every_operation
async def test_cancelled_before_it_starts_it_never_happens(kind, start):
    operation = kind()
    running = start(operation.run())
    running.cancel()
    assert is_cancelled(await outcome(running))
    operation.assert_untouched()


@every_operation
async def test_cancelled_by_itself_before_it_parks_it_never_happens(kind, start):
    operation = kind()

    async def cancel_and_run():
        asyncio.current_task().cancel()
        await operation.run()

    assert is_cancelled(await outcome(start(cancel_and_run())))
    operation.assert_untouched()


@every_operation
async def test_cancelled_while_parked_it_leaves_the_channel_as_it_was(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    assert running.cancel()
    assert is_cancelled(await outcome(running))
    operation.assert_untouched()


@every_operation
async def test_cancelled_while_parked_it_is_out_of_the_line_at_once(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    others = [start(operation.run()) for _ in range(2)]
    waiting = "waiting_senders" if operation.side == "send" else "waiting_receivers"
    await until(lambda: getattr(operation.view.stats(), waiting) == 3)
    others[0].cancel()
    assert is_cancelled(await outcome(others[0]))
    operation.complete()
    assert await running == operation.result
    operation.complete()
    assert await others[1] == operation.result


@every_operation
async def test_cancelled_in_the_turn_of_its_completion_it_returns_first(kind, start):
    operation = kind()
    trace = []

    async def run_then_suspend():
        trace.append(await operation.run())
        trace.append(asyncio.current_task().cancelling())
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            trace.append("cancelled")
            raise

    running = start(run_then_suspend())
    await operation.is_parked()
    operation.complete()
    assert running.cancel("why")
    assert is_cancelled(await outcome(running))
    assert trace == [operation.result, 1, "cancelled"]
    operation.assert_happened()


@every_operation
async def test_cancelled_and_then_completed_in_one_turn_it_is_cancelled_or_complete(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    running.cancel()
    happened = True
    try:
        operation.complete()
    except (SendError, RecvError):
        happened = False
    result = await outcome(running)
    if happened:
        assert result == operation.result
        operation.assert_happened()
    else:
        assert is_cancelled(result)
        operation.assert_untouched()


@every_operation
async def test_completed_and_cancelled_and_uncancelled_it_just_returns(kind, start):
    operation = kind()
    trace = []

    async def run_then_suspend():
        trace.append(await operation.run())
        assert asyncio.current_task().uncancel() == 0
        await settle()
        trace.append("went on")

    running = start(run_then_suspend())
    await operation.is_parked()
    operation.complete()
    running.cancel()
    await running
    assert trace == [operation.result, "went on"]
    assert not running.cancelled()


@every_operation
async def test_cancelled_at_completion_and_nothing_after_it_the_result_survives(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    running.cancel()
    assert await outcome(running) == operation.result
    operation.assert_happened()


@every_operation
async def test_cancelled_after_it_returned_the_result_is_kept(kind, start):
    operation = kind()
    results = []

    async def run_then_wait():
        results.append(await operation.run())
        await asyncio.get_running_loop().create_future()

    running = start(run_then_wait())
    await operation.is_parked()
    operation.complete()
    await until(lambda: results)
    running.cancel()
    assert is_cancelled(await outcome(running))
    assert results == [operation.result]
    operation.assert_happened()


@every_operation
async def test_the_cancellation_met_at_completion_stops_the_next_parked_operation(kind, start):
    operation = kind()
    tx, rx = channel()
    trace = []

    async def run_then_receive():
        trace.append(await operation.run())
        await rx.recv()

    running = start(run_then_receive())
    await operation.is_parked()
    operation.complete()
    running.cancel()
    assert is_cancelled(await outcome(running))
    assert trace == [operation.result]
    assert tx.stats().waiting_receivers == 0
    with pytest.raises(SendError):
        tx.try_send("nobody takes it")


@every_operation
async def test_a_next_operation_that_completes_at_once_is_no_suspension(kind, start):
    operation = kind()
    tx, rx = channel(1)
    trace = []

    async def run_twice():
        trace.append(await operation.run())
        await tx.send("sent on")
        trace.append("sent on")
        await asyncio.get_running_loop().create_future()

    running = start(run_twice())
    await operation.is_parked()
    operation.complete()
    running.cancel()
    assert is_cancelled(await outcome(running))
    assert trace[0] == operation.result
    assert len(rx) == len(trace) - 1, "it was sent, or it was not; never half"


@every_operation
async def test_a_timeout_overtaken_by_completion_leaves_no_cancellation_behind(kind, start):
    operation = kind()
    trace = []
    timeouts = []

    async def run_in_time():
        async with asyncio.timeout(None) as timeout:
            timeouts.append(timeout)
            trace.append(await operation.run())
        await settle()
        trace.append(asyncio.current_task().cancelling())

    running = start(run_in_time())
    await operation.is_parked()
    loop = asyncio.get_running_loop()
    timeouts[0].reschedule(loop.time() - 1)
    loop.call_soon(lambda: None)
    operation.complete()
    result = await outcome(running)
    assert result is None or isinstance(result, TimeoutError)
    assert trace[0] == operation.result
    operation.assert_happened()
    if result is None:
        assert trace == [operation.result, 0]


@every_operation
async def test_cancelled_by_a_timeout_while_parked_leaves_no_waiter(kind, start):
    operation = kind()

    async def run_in_time():
        async with asyncio.timeout(0.001):
            await operation.run()

    assert isinstance(await outcome(start(run_in_time())), TimeoutError)
    operation.assert_untouched()


@every_operation
async def test_cancelled_by_a_failing_task_group_leaves_no_waiter(kind):
    operation = kind()

    async def fail():
        await operation.is_parked()
        raise LookupError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(operation.run())
            group.create_task(fail())
    operation.assert_untouched()


@every_operation
async def test_aborted_while_parked_it_leaves_the_channel_as_it_was(kind):
    operation = kind()
    running = spawn(operation.run())
    await operation.is_parked()
    assert running.abort("stop")
    await asyncio.wait([running])
    assert running.cancelled()
    operation.assert_untouched()


@every_operation
async def test_a_swallowed_cancellation_lets_it_be_tried_again(kind, start):
    operation = kind()

    async def stubborn():
        try:
            await operation.run()
        except asyncio.CancelledError:
            return await operation.run()

    running = start(stubborn())
    await operation.is_parked()
    running.cancel()
    await settle()
    await operation.is_parked()
    operation.complete()
    assert await running == operation.result
    operation.assert_happened()


@every_operation
async def test_cancelled_twice_while_parked_is_cancelled_once(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    assert running.cancel()
    assert running.cancel()
    assert running.cancelling() == 2
    assert is_cancelled(await outcome(running))
    operation.assert_untouched()


# --- the other side closes


@every_operation
async def test_closed_before_it_starts_it_ends_at_once(kind, start):
    operation = kind()
    operation.close_other()
    assert is_after_close(operation, await outcome(start(operation.run())))


@every_operation
async def test_closed_between_its_start_and_its_first_step_it_ends(kind, start):
    operation = kind()
    running = start(operation.run())
    operation.close_other()
    assert is_after_close(operation, await outcome(running))


@every_operation
async def test_closed_while_parked_it_wakes(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.close_other()
    stats = operation.view.stats()
    assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
    assert is_after_close(operation, await outcome(running))
    operation.assert_untouched()


@every_operation
async def test_closed_in_the_turn_of_its_completion_it_returns_its_result(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    operation.close_other()
    assert await running == operation.result
    assert is_after_close(operation, await outcome(start(operation.run())))


@every_operation
async def test_closed_on_both_sides_in_the_turn_of_its_completion_it_returns_its_result(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    operation.tx.close()
    operation.rx.close()
    assert await running == operation.result
    operation.assert_happened()


@every_operation
async def test_closed_after_it_returned_the_next_one_ends(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    assert await running == operation.result
    operation.close_other()
    assert is_after_close(operation, await outcome(start(operation.run())))


@every_operation
async def test_closed_and_cancelled_in_one_turn_it_ends_once(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.close_other()
    running.cancel()
    result = await outcome(running)
    assert is_cancelled(result) or is_after_close(operation, result)
    operation.assert_untouched()


@every_operation
async def test_its_own_end_closed_before_it_starts_it_ends(kind, start):
    operation = kind()
    operation.close_own()
    assert is_after_close(operation, await outcome(start(operation.run())))


@every_operation
async def test_its_own_end_closed_while_parked_it_ends_too(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.close_own()
    assert is_after_close(operation, await outcome(running))
    operation.assert_untouched()


@every_operation
async def test_its_own_end_closed_in_the_turn_of_its_completion_it_returns_its_result(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    operation.close_own()
    assert await running == operation.result


# --- the last reference to the other side goes


@every_operation
async def test_other_side_lost_before_it_starts_it_ends(kind, start):
    operation = kind()
    operation.drop_other()
    assert is_after_close(operation, await outcome(start(operation.run())))


@every_operation
async def test_other_side_lost_while_parked_it_wakes(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.drop_other()
    assert is_after_close(operation, await outcome(running))


@every_operation
async def test_other_side_lost_in_the_turn_of_its_completion_it_returns_its_result(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    operation.drop_other()
    assert await running == operation.result


@every_operation
async def test_other_side_lost_after_it_returned_the_next_one_ends(kind, start):
    operation = kind()
    running = start(operation.run())
    await operation.is_parked()
    operation.complete()
    assert await running == operation.result
    operation.drop_other()
    assert is_after_close(operation, await outcome(start(operation.run())))


@every_operation
async def test_own_handle_forgotten_while_parked_it_completes(kind, start):
    operation = kind()

    class Frame:
        """Runs the operation so that only the operation knows its own end."""

    running = start(operation.run())
    await operation.is_parked()
    if operation.side == "send":
        operation.tx = None
    else:
        operation.rx = None
    collect()
    operation.complete()
    assert await running == operation.result


# --- wait_closed, at every instant


sides = pytest.mark.parametrize("side", ["sender", "receiver"])


def ends(side):
    tx, rx = channel()
    return (tx, rx) if side == "sender" else (rx, tx)


async def wait(end):
    return await end.wait_closed()


@sides
async def test_wait_closed_cancelled_before_it_starts(side, start):
    end, other = ends(side)
    waiting = start(wait(end))
    waiting.cancel()
    assert is_cancelled(await outcome(waiting))
    assert not end.closed


@sides
async def test_wait_closed_cancelled_while_parked(side, start):
    end, other = ends(side)
    waiting, staying = start(wait(end)), start(wait(end))
    await settle()
    waiting.cancel()
    assert is_cancelled(await outcome(waiting))
    other.close()
    assert await staying is None


@sides
async def test_wait_closed_cancelled_in_the_turn_of_the_close(side, start):
    end, other = ends(side)
    trace = []

    async def wait_then_suspend():
        trace.append(await outcome(end.wait_closed()))
        trace.append(await outcome(asyncio.get_running_loop().create_future()))

    waiting = start(wait_then_suspend())
    await settle()
    other.close()
    waiting.cancel()
    await until(lambda: waiting.done() or len(trace) == 2)
    assert sum(map(is_cancelled, trace)) == 1
    assert trace[0] is None


@sides
async def test_wait_closed_cancelled_after(side, start):
    end, other = ends(side)
    trace = []

    async def wait_then_suspend():
        trace.append(await end.wait_closed())
        await asyncio.get_running_loop().create_future()

    waiting = start(wait_then_suspend())
    await settle()
    other.close()
    await until(lambda: trace)
    waiting.cancel()
    assert is_cancelled(await outcome(waiting))


@sides
async def test_wait_closed_closed_before(side, start):
    end, other = ends(side)
    other.close()
    assert await start(wait(end)) is None


@sides
async def test_wait_closed_last_reference_lost_while_parked(side, start):
    end, other = ends(side)
    waiting = start(wait(end))
    await settle()
    del other
    assert await waiting is None


@sides
async def test_wait_closed_last_reference_lost_before(side, start):
    end, other = ends(side)
    del other
    assert await start(wait(end)) is None


@sides
async def test_wait_closed_timed_out(side, start):
    end, other = ends(side)

    async def wait_in_time():
        async with asyncio.timeout(0.001):
            await end.wait_closed()

    assert isinstance(await outcome(start(wait_in_time())), TimeoutError)
    assert not end.closed


async def test_who_comes_after_the_last_has_left_stands_behind_the_others(start):
    tx, rx = channel()
    waiting = []
    for place in range(3):
        waiting.append(start(rx.recv()))
        await parked(rx, receivers=place + 1)
    waiting[2].cancel()
    await parked(rx, receivers=2)
    waiting[2] = start(rx.recv())
    await parked(rx, receivers=3)
    for value in "abc":
        await tx.send(value)
    assert [await each for each in waiting] == list("abc")


@pytest.mark.parametrize(
    "begin",
    [
        lambda tx, rx: rx.recv(),
        lambda tx, rx: rx.recv_many(3),
        lambda tx, rx: tx.send("value"),
        lambda tx, rx: tx.send_many("values"),
        lambda tx, rx: select(rx, tx.case("value")),
    ],
    ids=["recv", "recv_many", "send", "send_many", "select"],
)
async def test_an_operation_that_is_closed_waits_nowhere(begin):
    tx, rx = channel()
    operation = begin(tx, rx)
    assert operation.send(None) is operation
    stats = rx.stats()
    assert stats.waiting_receivers + stats.waiting_senders > 0
    operation.close()
    stats = rx.stats()
    assert (stats.waiting_receivers, stats.waiting_senders) == (0, 0)
    with pytest.raises(SendError):
        tx.try_send("to nobody")
    with pytest.raises(RecvError):
        rx.try_recv()
