"""How channels close: who hears of it, what stays receivable, and whose fault it was."""

import asyncio
import math
import weakref

import pytest
from helpers import Value, collect, outcome, parked, settle, until

from routines import Channel, ChannelClosed, RecvError, SendError, channel, spawn

capacities = pytest.mark.parametrize("capacity", [0, 1, 64, math.inf])
bounded = pytest.mark.parametrize("capacity", [0, 1, 64])


async def send(tx, value):
    return await tx.send(value)


async def receive(rx):
    return await rx.recv()


async def wait_closed(end):
    return await end.wait_closed()


# --- closing the sending side


@capacities
async def test_a_closed_and_drained_channel_refuses_receivers(capacity):
    tx, rx = channel(capacity)
    tx.close()
    with pytest.raises(ChannelClosed):
        await rx.recv()
    with pytest.raises(ChannelClosed):
        rx.try_recv()
    with pytest.raises(ChannelClosed):
        await rx.recv_many(3)
    assert await rx.recv_ok() == (None, False)
    assert [value async for value in rx] == []
    assert [batch async for batch in rx.batches(3)] == []


@pytest.mark.parametrize("capacity", [1, 64, math.inf])
async def test_buffered_values_stay_receivable_after_closing(capacity):
    tx, rx = channel(capacity)
    tx.try_send("last")
    tx.close()
    assert not rx.closed
    assert await rx.recv() == "last"
    assert rx.closed
    with pytest.raises(ChannelClosed):
        await rx.recv()


@capacities
async def test_parked_receivers_wake_when_the_last_sender_closes(capacity, start):
    tx, rx = channel(capacity)
    other = tx.clone()
    waiting = [start(receive(rx)) for _ in range(5)]
    await parked(rx, receivers=5)
    tx.close()
    await settle()
    assert not any(each.done() for each in waiting)
    other.close()
    outcomes = [await outcome(each) for each in waiting]
    assert all(isinstance(each, ChannelClosed) for each in outcomes)
    assert rx.stats().waiting_receivers == 0


async def test_a_sender_that_was_closed_cannot_send():
    tx, rx = channel(4)
    other = tx.clone()
    tx.close()
    with pytest.raises(ChannelClosed):
        await tx.send(1)
    with pytest.raises(ChannelClosed):
        tx.try_send(1)
    with pytest.raises(ChannelClosed) as caught:
        await tx.send_many([1])
    assert caught.value.sent == 0
    assert tx.closed
    assert not other.closed
    await other.send(2)
    assert await rx.recv() == 2


@bounded
async def test_senders_parked_through_the_last_sender_wake_when_it_closes(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    waiting = start(send(tx, "undelivered"))
    await parked(tx, senders=1)
    tx.close()
    assert isinstance(await outcome(waiting), ChannelClosed)
    assert [value async for value in rx] == list(range(capacity))


# --- closing the receiving side


@capacities
async def test_a_channel_without_receivers_refuses_senders(capacity):
    tx, rx = channel(capacity)
    rx.close()
    assert tx.closed
    with pytest.raises(ChannelClosed):
        await tx.send(1)
    with pytest.raises(ChannelClosed):
        tx.try_send(1)
    with pytest.raises(ChannelClosed):
        await tx.send_many([1])
    assert tx.stats().sent == 0


@bounded
async def test_parked_senders_wake_when_the_last_receiver_closes(capacity, start):
    tx, rx = channel(capacity)
    other = rx.clone()
    for value in range(capacity):
        tx.try_send(value)
    waiting = [start(send(tx, "undelivered")) for _ in range(5)]
    await parked(tx, senders=5)
    rx.close()
    await settle()
    assert not any(each.done() for each in waiting)
    other.close()
    outcomes = [await outcome(each) for each in waiting]
    assert all(isinstance(each, ChannelClosed) for each in outcomes)
    stats = tx.stats()
    assert (stats.waiting_senders, stats.sent) == (0, capacity)


async def test_a_receiver_that_was_closed_cannot_receive():
    tx, rx = channel(4)
    other = rx.clone()
    tx.try_send(1)
    rx.close()
    with pytest.raises(ChannelClosed):
        await rx.recv()
    with pytest.raises(ChannelClosed):
        rx.try_recv()
    with pytest.raises(ChannelClosed):
        await rx.recv_many(1)
    assert await rx.recv_ok() == (None, False)
    assert [value async for value in rx] == []
    assert rx.closed
    assert not other.closed
    assert await other.recv() == 1


async def test_receivers_parked_through_the_last_receiver_wake_when_it_closes(start):
    tx, rx = channel()
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    rx.close()
    assert isinstance(await outcome(waiting), ChannelClosed)
    assert tx.closed


async def test_buffered_values_are_dropped_when_the_last_receiver_goes():
    tx, rx = channel(4)
    value = Value()
    reference = weakref.ref(value)
    tx.try_send(value)
    del value
    assert reference() is not None
    rx.close()
    assert reference() is None
    assert len(tx) == 0


async def test_values_of_parked_senders_are_let_go_when_the_channel_closes(start):
    tx, rx = channel()
    value = Value()
    reference = weakref.ref(value)
    waiting = start(send(tx, value))
    await parked(tx, senders=1)
    del value
    rx.close()
    assert isinstance(await outcome(waiting), ChannelClosed)
    del waiting
    await settle()
    collect()
    assert reference() is None


# --- Channel.close, Go's close(ch)


@capacities
async def test_closing_a_channel_object_is_gos_close(capacity, start):
    ch = Channel(capacity)
    tx, rx = ch.sender(), ch.receiver()
    if capacity:
        await tx.send("buffered")
    ch.close()
    assert tx.closed
    with pytest.raises(ChannelClosed):
        await tx.send(1)
    with pytest.raises(ChannelClosed):
        await ch.send(1)
    if capacity:
        assert await rx.recv() == "buffered"
    with pytest.raises(ChannelClosed):
        await rx.recv()
    assert rx.closed


async def test_closing_a_channel_object_wakes_everybody(start):
    ch = Channel()
    receivers = [start(receive(ch)) for _ in range(3)]
    await parked(ch, receivers=3)
    ch.close()
    assert all([isinstance(await outcome(each), ChannelClosed) for each in receivers])

    full = Channel()
    senders = [start(send(full, 1)) for _ in range(3)]
    await parked(full, senders=3)
    full.close()
    assert all([isinstance(await outcome(each), ChannelClosed) for each in senders])


# --- twice, and in any order


@capacities
def test_closing_twice_is_nothing(capacity):
    tx, rx = channel(capacity)
    for _ in range(3):
        tx.close()
        rx.close()
    ch = Channel(capacity)
    for _ in range(3):
        ch.close()
    assert tx.closed
    assert rx.closed


def test_closing_one_sender_twice_does_not_close_for_its_clone():
    tx, rx = channel(1)
    other = tx.clone()
    tx.close()
    tx.close()
    other.try_send("open")
    assert rx.try_recv() == "open"


def test_dropping_a_closed_sender_does_not_close_for_its_clone():
    tx, rx = channel(1)
    other = tx.clone()
    tx.close()
    del tx
    collect()
    other.try_send("open")
    assert rx.try_recv() == "open"


def test_a_clone_of_a_closed_handle_does_not_open_the_channel_again():
    tx, rx = channel(1)
    tx.close()
    rx.close()
    for end in (tx, rx):
        try:
            clone = end.clone()
        except ChannelClosed:
            continue
        assert clone.closed


async def test_parked_waiters_are_woken_in_their_order(start):
    tx, rx = channel()
    order = []

    async def note(number):
        try:
            await rx.recv()
        except ChannelClosed:
            order.append(number)

    waiting = []
    for number in range(10):
        waiting.append(start(note(number)))
        await parked(rx, receivers=number + 1)
    tx.close()
    await asyncio.gather(*waiting)
    assert order == list(range(10))


# --- causes


async def test_the_cause_of_a_close_is_the_cause_of_every_error_after_it(start):
    cause = LookupError("the reason")
    tx, rx = channel()
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    tx.close(cause)
    error = await outcome(waiting)
    assert isinstance(error, ChannelClosed)
    assert error.__cause__ is cause
    for _ in range(2):
        with pytest.raises(ChannelClosed) as caught:
            await rx.recv()
        assert caught.value.__cause__ is cause
        with pytest.raises(ChannelClosed) as caught:
            rx.try_recv()
        assert caught.value.__cause__ is cause
        with pytest.raises(ChannelClosed) as caught:
            await rx.recv_many(2)
        assert caught.value.__cause__ is cause


async def test_the_cause_of_a_receivers_close_reaches_senders(start):
    cause = LookupError("the reason")
    tx, rx = channel()
    waiting = [start(send(tx, 1)), start(send_many(tx, [1, 2]))]
    await parked(tx, senders=2)
    rx.close(cause)
    for each in waiting:
        error = await outcome(each)
        assert isinstance(error, ChannelClosed)
        assert error.__cause__ is cause
    with pytest.raises(ChannelClosed) as caught:
        tx.try_send(1)
    assert caught.value.__cause__ is cause


async def send_many(tx, values):
    return await tx.send_many(values)


async def test_only_the_last_close_gives_the_cause():
    tx, rx = channel()
    other = tx.clone()
    tx.close(LookupError("not the last"))
    cause = LookupError("the last")
    other.close(cause)
    with pytest.raises(ChannelClosed) as caught:
        await rx.recv()
    assert caught.value.__cause__ is cause


async def test_a_cause_given_to_a_second_close_is_ignored():
    tx, rx = channel()
    cause = LookupError("first")
    tx.close(cause)
    tx.close(LookupError("second"))
    with pytest.raises(ChannelClosed) as caught:
        await rx.recv()
    assert caught.value.__cause__ is cause


async def test_a_close_without_a_cause_has_none():
    tx, rx = channel()
    tx.close()
    with pytest.raises(ChannelClosed) as caught:
        await rx.recv()
    assert caught.value.__cause__ is None


async def test_iteration_ends_quietly_whatever_the_cause():
    tx, rx = channel(2)
    tx.try_send(1)
    tx.close(LookupError("the reason"))
    assert [value async for value in rx] == [1]
    assert [batch async for batch in rx.batches(2)] == []
    assert await rx.recv_ok() == (None, False)


async def test_a_receiver_closed_under_its_parked_operation_fails_it_and_loses_no_value(start):
    tx, rx = channel()
    other = rx.clone()
    waiting = start(receive(rx))
    elsewhere = start(receive(other))
    await parked(rx, receivers=2)
    rx.close()
    assert rx.stats().waiting_receivers == 1
    with pytest.raises(ChannelClosed, match="this handle"):
        await waiting
    await tx.send("value")
    assert await elsewhere == "value"


async def test_a_sender_closed_under_its_parked_operation_is_clear_about_it(start):
    tx, rx = channel()
    other = tx.clone()
    waiting = start(send(tx, "value"))
    await parked(tx, senders=1)
    tx.close()
    assert rx.stats().waiting_senders == 0
    with pytest.raises(ChannelClosed, match="this handle"):
        await waiting
    assert not other.closed
    with pytest.raises(RecvError):
        rx.try_recv()


async def test_a_batch_parked_through_a_sender_that_closes_tells_how_many_went(start):
    tx, rx = channel(2)
    other = tx.clone()
    waiting = start(tx.send_many(range(5)))
    await parked(tx, senders=1)
    tx.close()
    with pytest.raises(ChannelClosed) as caught:
        await waiting
    assert caught.value.sent == len(rx) == 2
    assert not other.closed


async def test_the_cause_arrives_after_the_buffer_is_drained():
    tx, rx = channel(2)
    cause = LookupError("the reason")
    tx.try_send(1)
    tx.close(cause)
    assert await rx.recv() == 1
    with pytest.raises(ChannelClosed) as caught:
        await rx.recv()
    assert caught.value.__cause__ is cause


async def test_the_cause_of_channel_close_reaches_both_sides():
    ch = Channel()
    cause = LookupError("the reason")
    ch.close(cause)
    for operation in (ch.recv(), ch.send(1)):
        with pytest.raises(ChannelClosed) as caught:
            await operation
        assert caught.value.__cause__ is cause


@pytest.mark.parametrize("cause", ["text", 42, LookupError, object()])
def test_a_cause_that_is_no_exception_is_a_type_error_or_kept_out(cause):
    tx, rx = channel()
    try:
        tx.close(cause)
    except TypeError:
        assert not rx.closed
        return
    with pytest.raises(ChannelClosed):
        rx.try_recv()


async def test_errors_of_one_close_are_objects_of_their_own(start):
    tx, rx = channel()
    waiting = [start(receive(rx)) for _ in range(2)]
    await parked(rx, receivers=2)
    tx.close()
    one, other = [await outcome(each) for each in waiting]
    assert one is not other


# --- context managers


async def test_leaving_a_block_closes_the_end():
    tx, rx = channel(1)
    with tx as same:
        assert same is tx
        tx.try_send(1)
    assert tx.closed
    with rx as same:
        assert same is rx
        assert await rx.recv() == 1
    assert rx.closed

    tx, rx = channel(1)
    async with rx as same:
        assert same is rx
        async with tx as same:
            assert same is tx
        assert await rx.recv_ok() == (None, False)
    assert rx.closed


async def test_the_exception_that_leaves_a_block_is_the_cause(start):
    error = LookupError("left the block")
    for enter in ("with", "async with"):
        tx, rx = channel()
        with pytest.raises(LookupError) as caught:
            if enter == "with":
                with tx:
                    raise error
            else:
                async with tx:
                    raise error
        assert caught.value is error, "it is not swallowed"
        with pytest.raises(ChannelClosed) as caught:
            await rx.recv()
        assert caught.value.__cause__ is error

        tx, rx = channel()
        with pytest.raises(LookupError):
            if enter == "with":
                with rx:
                    raise error
            else:
                async with rx:
                    raise error
        with pytest.raises(ChannelClosed) as caught:
            await tx.send(1)
        assert caught.value.__cause__ is error


async def test_a_channel_object_is_a_context_manager_too():
    with Channel(1) as ch:
        ch.try_send(1)
    assert await ch.recv() == 1
    assert ch.closed
    async with Channel() as ch:
        pass
    assert ch.closed


async def test_a_cancelled_block_closes_with_the_cancellation_as_cause(start):
    tx, rx = channel()

    async def hold():
        async with tx:
            await asyncio.get_running_loop().create_future()

    holding = start(hold())
    await settle()
    holding.cancel()
    assert isinstance(await outcome(holding), asyncio.CancelledError)
    with pytest.raises(ChannelClosed) as caught:
        await rx.recv()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


# --- closed and wait_closed


async def test_closed_means_that_this_end_would_fail_for_good():
    tx, rx = channel(2)
    assert not tx.closed
    assert not rx.closed
    tx.try_send(1)
    tx.close()
    assert tx.closed
    assert not rx.closed, "there is something to receive"
    rx.try_recv()
    assert rx.closed


async def test_a_sender_learns_that_nobody_receives_any_more(start):
    tx, rx = channel()
    waiting = start(wait_closed(tx))
    await settle()
    assert not waiting.done()
    rx.close()
    assert await waiting is None
    assert await tx.wait_closed() is None


async def test_a_receiver_waits_until_closed_and_drained(start):
    tx, rx = channel(2)
    tx.try_send(1)
    waiting = start(wait_closed(rx))
    await settle()
    tx.close()
    await settle()
    assert not waiting.done()
    assert rx.try_recv() == 1
    assert await waiting is None


async def test_wait_closed_of_a_handle_that_was_closed_returns(start):
    tx, rx = channel()
    other = tx.clone()
    waiting = start(wait_closed(tx))
    await settle()
    tx.close()
    assert await waiting is None
    assert not other.closed
    assert not rx.closed


async def test_many_wait_for_the_close(start):
    tx, rx = channel()
    clones = [tx.clone() for _ in range(3)]
    waiting = [start(wait_closed(end)) for end in [tx, *clones]]
    await settle()
    rx.close()
    assert await asyncio.gather(*waiting) == [None] * 4


async def test_wait_closed_on_a_channel_object(start):
    ch = Channel(1)
    ch.try_send(1)
    waiting = start(wait_closed(ch))
    await settle()
    assert not waiting.done()
    ch.close()
    await settle()
    if not waiting.done():
        await ch.recv()
    assert await waiting is None


async def test_wait_closed_does_not_count_as_a_receiver(start):
    tx, rx = channel()
    waiting = start(wait_closed(rx))
    await settle()
    with pytest.raises(SendError):
        tx.try_send(1)
    with pytest.raises(RecvError):
        rx.try_recv()
    tx.close()
    await waiting


# --- closing by dropping


@capacities
async def test_dropping_the_last_sender_closes_for_receivers(capacity, start):
    tx, rx = channel(capacity)
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    del tx
    assert isinstance(await outcome(waiting), ChannelClosed)
    assert rx.closed


@bounded
async def test_dropping_the_last_receiver_closes_for_senders(capacity, start):
    tx, rx = channel(capacity)
    for value in range(capacity):
        tx.try_send(value)
    waiting = start(send(tx, "undelivered"))
    await parked(tx, senders=1)
    del rx
    assert isinstance(await outcome(waiting), ChannelClosed)
    assert tx.closed
    assert len(tx) == 0


async def test_dropping_one_of_two_clones_closes_nothing():
    tx, rx = channel(1)
    other_tx, other_rx = tx.clone(), rx.clone()
    del tx, rx
    collect()
    await other_tx.send(1)
    assert await other_rx.recv() == 1


async def test_dropping_the_last_sender_leaves_the_buffer_receivable():
    tx, rx = channel(2)
    tx.try_send(1)
    tx.try_send(2)
    del tx
    assert [value async for value in rx] == [1, 2]


async def test_an_end_that_is_gone_in_a_cycle_closes_after_a_collection(start):
    tx, rx = channel()

    class Knot:
        pass

    knot = Knot()
    knot.itself, knot.tx = knot, tx
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    del knot, tx
    collect()
    assert isinstance(await outcome(waiting), ChannelClosed)


async def test_an_end_in_the_middle_of_an_operation_is_not_gone(start):
    tx, rx = channel()
    operations = [rx.recv()]
    del rx
    collect()
    assert not tx.closed

    async def wait():
        return await operations.pop()

    waiting = start(wait())
    await parked(tx, receivers=1)
    collect()
    await tx.send("arrived")
    assert await waiting == "arrived"
    await until(lambda: tx.closed)


async def test_a_sender_in_the_middle_of_an_operation_is_not_gone(start):
    tx, rx = channel()
    operations = [tx.send("arrived")]
    del tx
    collect()

    async def wait():
        return await operations.pop()

    waiting = start(wait())
    await parked(rx, senders=1)
    collect()
    assert await rx.recv() == "arrived"
    await waiting
    await until(lambda: rx.closed)


async def test_an_iteration_keeps_its_receiver(start):
    tx, rx = channel()

    async def consume(iterator):
        return [value async for value in iterator]

    consuming = start(consume(rx))
    del rx
    await tx.send(1)
    await settle()
    assert not tx.closed
    tx.close()
    assert await consuming == [1]


async def test_batches_keep_their_receiver():
    tx, rx = channel(4)
    batches = rx.batches(2)
    del rx
    collect()
    assert not tx.closed
    await tx.send_many([1, 2, 3])
    tx.close()
    assert [batch async for batch in batches] == [[1, 2], [3]]


async def test_the_end_of_a_routine_closes_what_only_it_held():
    tx, rx = channel()

    async def produce(tx):
        for value in range(3):
            await tx.send(value)

    spawn(produce(tx))
    del tx
    assert [value async for value in rx] == [0, 1, 2]


async def test_an_aborted_routine_closes_what_only_it_held():
    tx, rx = channel()

    async def produce(tx):
        await tx.send(1)
        await asyncio.get_running_loop().create_future()

    routine = spawn(produce(tx))
    del tx
    assert await rx.recv() == 1
    routine.abort()
    del routine  # it would keep the traceback, and that the frame
    assert await rx.recv_ok() == (None, False)


async def test_the_channel_property_does_not_hold_the_channel_open(start):
    tx, rx = channel()
    held = tx.channel, rx.channel
    waiting = start(receive(rx))
    await parked(rx, receivers=1)
    del tx
    assert isinstance(await outcome(waiting), ChannelClosed)
    assert held[0].stats().senders == 0


async def test_values_in_a_channel_that_is_gone_are_let_go():
    tx, rx = channel(4)
    values = [Value(number) for number in range(4)]
    references = [weakref.ref(value) for value in values]
    for value in values:
        tx.try_send(value)
    del values, value
    assert all(reference() is not None for reference in references)
    del tx, rx
    assert all(reference() is None for reference in references)


async def test_errors_of_closing_name_the_channel():
    tx, rx = channel()
    rx.close()
    with pytest.raises(ChannelClosed) as caught:
        await tx.send(1)
    assert "hannel" in str(caught.value)
    assert caught.value.channel is not None
